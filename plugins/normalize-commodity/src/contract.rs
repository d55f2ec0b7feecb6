//! One message of the commodity desk, read and checked.

use fields::{
    Action, Cell, Currency, Date, Leg, Number, Refusal, Terms, Trade, amount, received_amount,
};
use weir_exact::Decimal;
use weir_sdk::{I256, record};

record! {
    /// The columns of `trades.commodities` as the decoder writes them.
    pub(crate) struct Message<'a> {
        /// Counts as the version where the message has none.
        offset: int64 required = "_offset",
        /// The trade's id.
        contract: utf8,
        /// A whole number.
        version: utf8,
        /// `NEW`, `AMEND`, `CANCEL`; missing: `NEW`.
        action: utf8,
        /// `PHYSICAL` or `FORWARD`.
        kind: utf8 = "type",
        /// The instrument.
        commodity: utf8,
        /// How much of it.
        quantity: utf8 = "qty",
        /// The price's unit.
        unit: utf8 = "uom",
        /// Per unit.
        price: utf8,
        /// Of price and settlement.
        currency: utf8 = "ccy",
        /// When a forward is due.
        delivery: utf8,
        /// `PHYS` or `CASH`.
        settle: utf8,
        /// What a forward for cash pays: above 0 is received.
        mark: utf8 = "mtm",
        /// The agreement it is netted under.
        netting_agreement: utf8 = "nettingAgreement",
        /// `B` or `S`.
        side: utf8 = "buySell",
        /// The bank entity.
        entity: utf8,
        /// Its book.
        book: utf8,
        /// With whom.
        counterparty: utf8 = "cpty",
    }
}

/// A message that is accepted.
#[derive(Debug)]
pub(crate) struct Contract<'a> {
    trade: Trade<'a>,
    /// None for a cancel.
    booked: Option<Booked<'a>>,
}

#[derive(Debug)]
struct Booked<'a> {
    kind: Kind,
    commodity: &'a str,
    buys: bool,
    quantity: i128,
    currency: Currency,
    entity: &'a str,
    book: &'a str,
    counterparty: &'a str,
    netting_agreement: Option<&'a str>,
    terms: Terms,
}

/// What the trade comes to.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The commodity itself.
    Physical,
    /// The commodity against its price on a date; above 0 the price is received.
    Delivery(I256, Date),
    /// A difference on a date; above 0 it is received.
    Cash(I256, Date),
}

impl<'a> Contract<'a> {
    /// Reads a message.
    pub(crate) fn read(message: &Message<'a>) -> Result<Self, Refusal> {
        let action = Cell::new("action", message.action);
        let trade = Trade {
            id: Cell::new("contract", message.contract).required()?,
            version: Cell::new("version", message.version).version(message.offset)?,
            action: action.one_of_or(&Action::SPELLINGS, Action::New)?,
            asset_class: "COMMODITY",
        };
        let booked = match trade.action {
            Action::Cancel => None,
            Action::New | Action::Amend => Some(Booked::read(message)?),
        };
        Ok(Self { trade, booked })
    }

    /// The rows to write.
    pub(crate) fn legs(&self) -> [Leg<'_>; 1] {
        let bare = self.trade.bare_leg();
        let Some(booked) = &self.booked else {
            return [bare];
        };
        let trade = Leg {
            entity: Some(booked.entity),
            book: Some(booked.book),
            counterparty: Some(booked.counterparty),
            netting_agreement: booked.netting_agreement,
            instrument_id: Some(booked.commodity),
            quantity: Some(booked.quantity),
            currency: Some(booked.currency.as_str()),
            terms: booked.terms.as_str(),
            ..bare
        };
        [match booked.kind {
            Kind::Physical => Leg {
                product: Some("PHYSICAL"),
                kind: Some("PHYSICAL"),
                direction: Some(if booked.buys { "RECEIVE" } else { "PAY" }),
                ..trade
            },
            Kind::Delivery(cash, date) => Leg {
                product: Some("FORWARD"),
                // What is paid for goods; goods are no money, so what is received for them does not count.
                kind: Some("PURCHASE"),
                ..paid(&trade, cash, date)
            },
            Kind::Cash(cash, date) => Leg {
                product: Some("FORWARD"),
                kind: Some("CASH"),
                exchange: Some(0),
                ..paid(&trade, cash, date)
            },
        }]
    }
}

fn paid<'t>(trade: &Leg<'t>, cash: I256, date: Date) -> Leg<'t> {
    Leg {
        direction: Some(if cash.is_negative() { "PAY" } else { "RECEIVE" }),
        amount: Some(cash.abs()),
        maturity_date: Some(date),
        payment_date: Some(date),
        ..*trade
    }
}

impl<'a> Booked<'a> {
    fn read(message: &Message<'a>) -> Result<Self, Refusal> {
        let kinds = [("PHYSICAL", false), ("FORWARD", true)];
        let is_forward = Cell::new("type", message.kind).one_of(&kinds)?;
        let ways = [("PHYS", false), ("CASH", true)];
        let is_for_cash = Cell::new("settle", message.settle).one_of(&ways)?;
        let buys = Cell::new("buySell", message.side).one_of(&[("B", true), ("S", false)])?;
        let quantity = Cell::new("qty", message.quantity).positive(Number::QUANTITY)?;
        let price = Cell::new("price", message.price).number(Number::PRICE)?;
        let delivery = Cell::new("delivery", message.delivery).optional_date()?;
        let mark = Cell::new("mtm", message.mark).optional_number(Number::AMOUNT)?;
        let due = || delivery.ok_or_else(|| Refusal::missing("delivery"));
        let kind = match (is_forward, is_for_cash) {
            (false, _) => Kind::Physical,
            (true, false) => Kind::Delivery(cost(quantity, price, buys), due()?),
            (true, true) => {
                let mark = mark.ok_or_else(|| Refusal::missing("mtm"))?;
                Kind::Cash(received_amount(mark), due()?)
            }
        };
        let unit = Cell::new("uom", message.unit).required()?;
        Ok(Self {
            kind,
            commodity: Cell::new("commodity", message.commodity).required()?,
            buys,
            quantity,
            currency: Cell::new("ccy", message.currency).currency()?,
            entity: Cell::new("entity", message.entity).required()?,
            book: Cell::new("book", message.book).required()?,
            counterparty: Cell::new("cpty", message.counterparty).required()?,
            netting_agreement: Cell::new("nettingAgreement", message.netting_agreement).optional(),
            terms: Terms::default()
                .digits("price", Some(price))
                .digits("delivery", delivery)
                .digits("mark", mark)
                .code("side", Some(if buys { "B" } else { "S" }))
                .code("settle", Some(if is_for_cash { "CASH" } else { "PHYS" }))
                .code("unit", Some(unit)),
        })
    }
}

/// What the buyer pays and the seller receives.
fn cost(quantity: i128, price: i128, buys: bool) -> I256 {
    let cost = amount(
        Decimal::from_i128(quantity, Number::QUANTITY.scale),
        Decimal::from_i128(price, Number::PRICE.scale),
        1,
    );
    if buys { -cost } else { cost }
}
