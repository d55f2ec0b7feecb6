//! One message of the bond blotter, read and checked.

use fields::{Action, Cell, Code, Currency, Date, Leg, Number, Refusal, Terms, Trade, amount};
use weir_exact::Decimal;
use weir_sdk::{I256, record};

record! {
    /// The columns of `trades.bonds` as the decoder writes them.
    pub(crate) struct Message<'a> {
        /// Counts as the version where the message has none.
        offset: int64 required = "_offset",
        /// The trade's id.
        trade_ref: utf8 = "tradeRef",
        /// The version: a whole number.
        revision: utf8 = "rev",
        /// `NEW`, `AMEND`, `CANCEL`.
        status: utf8,
        /// The security.
        isin: utf8,
        /// The security, where the ISIN is missing.
        cusip: utf8,
        /// `B` or `S`.
        side: utf8 = "buySell",
        /// Face.
        quantity: utf8,
        /// Without interest, per 100.
        clean_price: utf8 = "cleanPrice",
        /// Interest since the last coupon, per 100.
        accrued: utf8,
        /// Of the price.
        currency: utf8 = "ccy",
        /// When it was agreed.
        trade_date: utf8 = "tradeDt",
        /// When it is to be delivered and paid.
        settle_date: utf8 = "settleDt",
        /// The book.
        account: utf8,
        /// The bank entity.
        entity: utf8,
        /// With whom.
        counterparty: utf8 = "cpty",
    }
}

/// A message that is accepted.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    trade: Trade<'a>,
    /// None for a cancel.
    booked: Option<Booked<'a>>,
}

#[derive(Debug)]
struct Booked<'a> {
    isin: Option<&'a str>,
    cusip: Option<&'a str>,
    buys: bool,
    quantity: i128,
    cost: I256,
    currency: Currency,
    trade_date: Date,
    settle_date: Date,
    book: &'a str,
    entity: &'a str,
    counterparty: &'a str,
    terms: Terms,
}

impl<'a> Ticket<'a> {
    /// Reads a message.
    pub(crate) fn read(message: &Message<'a>) -> Result<Self, Refusal> {
        let trade = Trade {
            id: Cell::new("tradeRef", message.trade_ref).required()?,
            version: Cell::new("rev", message.revision).version(message.offset)?,
            action: Cell::new("status", message.status).one_of(&Action::SPELLINGS)?,
            asset_class: "BOND",
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
        [Leg {
            product: Some("BOND"),
            entity: Some(booked.entity),
            book: Some(booked.book),
            counterparty: Some(booked.counterparty),
            trade_date: Some(booked.trade_date),
            maturity_date: Some(booked.settle_date),
            kind: Some("SECURITY"),
            direction: Some(if booked.buys { "RECEIVE" } else { "PAY" }),
            instrument_id: booked.isin,
            cusip: booked.cusip,
            quantity: Some(booked.quantity),
            amount: Some(booked.cost),
            currency: Some(booked.currency.as_str()),
            payment_date: Some(booked.settle_date),
            terms: booked.terms.as_str(),
            ..bare
        }]
    }
}

impl<'a> Booked<'a> {
    fn read(message: &Message<'a>) -> Result<Self, Refusal> {
        let isin = Cell::new("isin", message.isin).optional();
        let cusip = Cell::new("cusip", message.cusip).optional();
        if isin.or(cusip).is_none() {
            return Err(Refusal::missing("isin"));
        }
        let quantity = Cell::new("quantity", message.quantity).positive(Number::QUANTITY)?;
        let clean = Cell::new("cleanPrice", message.clean_price).number(Number::PRICE)?;
        let accrued = Cell::new("accrued", message.accrued).number(Number::PRICE)?;
        Ok(Self {
            isin,
            cusip,
            buys: Cell::new("buySell", message.side).one_of(&[("B", true), ("S", false)])?,
            quantity,
            cost: cost(quantity, dirty_price(clean, accrued)?),
            currency: Cell::new("ccy", message.currency).currency()?,
            trade_date: Cell::new("tradeDt", message.trade_date).date()?,
            settle_date: Cell::new("settleDt", message.settle_date).date()?,
            book: Cell::new("account", message.account).required()?,
            entity: Cell::new("entity", message.entity).required()?,
            counterparty: Cell::new("cpty", message.counterparty).required()?,
            terms: Terms::default()
                .digits("clean", Some(clean))
                .digits("accrued", Some(accrued)),
        })
    }
}

fn dirty_price(clean: i128, accrued: i128) -> Result<i128, Refusal> {
    let dirty = clean + accrued;
    let negative = || {
        Refusal::new(
            Code::Negative,
            "cleanPrice",
            "and accrued are together below 0",
        )
    };
    if dirty >= 0 {
        Ok(dirty)
    } else {
        Err(negative())
    }
}

/// Prices are per 100 of face.
fn cost(quantity: i128, dirty_price: i128) -> I256 {
    let quantity = Decimal::from_i128(quantity, Number::QUANTITY.scale);
    amount(
        quantity,
        Decimal::from_i128(dirty_price, Number::PRICE.scale),
        100,
    )
}
