//! One message of the FX blotter, read and checked.

use fields::{
    Action, Cell, Currency, Date, Leg, Number, Refusal, Terms, Trade, priced_amount,
    received_amount,
};
use weir_sdk::{I256, Output, record};

record! {
    /// The columns of `trades.fx` as the decoder writes them.
    pub(crate) struct Message<'a> {
        /// Counts as the version where the message has none.
        offset: int64 required = "_offset",
        /// The deal's id.
        deal_id: utf8 = "dealId",
        /// A whole number.
        version: utf8,
        /// `NEW`, `AMEND`, `CANCEL`; missing: `NEW`.
        action: utf8,
        /// `SPOT`, `FORWARD`, `SWAP`, `NDF`; missing: `SPOT`.
        product: utf8,
        /// Base and quote currency.
        pair: utf8 = "ccyPair",
        /// What is done with the base currency.
        side: utf8,
        /// In the base currency.
        notional: utf8,
        /// Quote per base.
        rate: utf8,
        /// When it was agreed.
        trade_date: utf8 = "tradeDate",
        /// When the near exchange, or the one flow, is.
        settlement_date: utf8 = "settlementDate",
        /// When the far exchange is.
        far_settlement_date: utf8 = "farSettlementDate",
        /// Its rate.
        far_rate: utf8 = "farRate",
        /// The flow of a non-deliverable forward: above 0 is received.
        settle_amount: utf8 = "settleAmount",
        /// Its currency.
        settle_currency: utf8 = "settleCcy",
        /// The bank entity.
        entity: utf8,
        /// Its book.
        book: utf8,
        /// With whom.
        counterparty: utf8 = "cpty",
        /// The agreement it is netted under.
        netting_agreement: utf8 = "nettingAgreement",
    }
}

/// One exchange of the two currencies.
#[derive(Clone, Copy)]
struct Exchange {
    number: i32,
    buys: bool,
    rate: i128,
    date: Date,
}

/// Reads a message and writes its legs, after the last field is read.
pub(crate) fn write(message: &Message<'_>, row: u32, out: &mut Output) -> Result<(), Refusal> {
    let action = Cell::new("action", message.action);
    let trade = Trade {
        id: Cell::new("dealId", message.deal_id).required()?,
        version: Cell::new("version", message.version).version(message.offset)?,
        action: action.one_of_or(&Action::SPELLINGS, Action::New)?,
        asset_class: "FX",
    };
    if trade.action == Action::Cancel {
        out.push(row, &trade.bare_leg());
        return Ok(());
    }
    let product = Cell::new("product", message.product);
    let product = product.one_of_or(&Product::SPELLINGS, Product::Spot)?;
    let quoted = Quoted::read(message)?;
    let (far, difference) = match product {
        Product::Spot | Product::Forward => (None, None),
        Product::Swap => (Some(quoted.far()?), None),
        Product::Ndf => (None, Some(quoted.difference()?)),
    };
    let terms = if quoted.shows_all(product) {
        Terms::default()
    } else {
        hidden(message, product)?
    };
    let mut leg = Leg {
        product: Some(product.as_str()),
        entity: Some(Cell::new("entity", message.entity).required()?),
        book: Some(Cell::new("book", message.book).required()?),
        counterparty: Some(Cell::new("cpty", message.counterparty).required()?),
        netting_agreement: Cell::new("nettingAgreement", message.netting_agreement).optional(),
        trade_date: Some(Cell::new("tradeDate", message.trade_date).date()?),
        maturity_date: Some(far.map_or(quoted.date, |far| quoted.date.max(far.date))),
        kind: Some("CASH"),
        exchange: Some(1),
        payment_date: Some(quoted.date),
        terms: terms.as_str(),
        ..trade.bare_leg()
    };
    if let Some((settled, currency)) = difference {
        let amount = received_amount(settled.abs());
        pay(&mut leg, settled >= 0, amount, currency.as_str());
        out.push(row, &leg);
        return Ok(());
    }
    // Neither these two within what was quoted, nor the exchanges as an array: all of it would stand in memory.
    let (base, quote) = (quoted.base, quoted.quote);
    let (mut due, mut then) = (Some(quoted.near()), far);
    while let Some(of) = due {
        due = then.take();
        leg.exchange = Some(of.number);
        leg.payment_date = Some(of.date);
        let amount = received_amount(quoted.notional);
        pay(&mut leg, of.buys, amount, base.as_str());
        out.push(row, &leg);
        leg.leg += 1;
        let amount = priced_amount(quoted.notional, of.rate);
        pay(&mut leg, !of.buys, amount, quote.as_str());
        out.push(row, &leg);
        leg.leg += 1;
    }
    Ok(())
}

fn pay<'a>(leg: &mut Leg<'a>, receives: bool, amount: I256, currency: &'a str) {
    leg.direction = Some(if receives { "RECEIVE" } else { "PAY" });
    leg.amount = Some(amount);
    leg.currency = Some(currency);
}

#[derive(Clone, Copy, Debug)]
enum Product {
    Spot,
    Forward,
    Swap,
    Ndf,
}

impl Product {
    const SPELLINGS: [(&'static str, Self); 4] = [
        ("SPOT", Self::Spot),
        ("FORWARD", Self::Forward),
        ("SWAP", Self::Swap),
        ("NDF", Self::Ndf),
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "SPOT",
            Self::Forward => "FORWARD",
            Self::Swap => "SWAP",
            Self::Ndf => "NDF",
        }
    }
}

/// What was agreed. The fields of a far exchange and of a difference are read, and are content, in any product.
struct Quoted {
    base: Currency,
    quote: Currency,
    buys: bool,
    notional: i128,
    rate: i128,
    date: Date,
    far_rate: Option<i128>,
    far_date: Option<Date>,
    settle_amount: Option<i128>,
    settle_currency: Option<Currency>,
}

impl Quoted {
    // The answer of a call goes through memory in WebAssembly.
    #[inline(always)]
    fn read(message: &Message<'_>) -> Result<Self, Refusal> {
        const SIDES: [(&str, bool); 4] =
            [("BUY", true), ("SELL", false), ("B", true), ("S", false)];
        let (base, quote) = Cell::new("ccyPair", message.pair).currency_pair()?;
        Ok(Self {
            base,
            quote,
            buys: Cell::new("side", message.side).one_of(&SIDES)?,
            notional: Cell::new("notional", message.notional).positive(Number::AMOUNT)?,
            rate: Cell::new("rate", message.rate).positive(Number::PRICE)?,
            date: Cell::new("settlementDate", message.settlement_date).date()?,
            far_rate: Cell::new("farRate", message.far_rate).optional_positive(Number::PRICE)?,
            far_date: Cell::new("farSettlementDate", message.far_settlement_date)
                .optional_date()?,
            settle_amount: Cell::new("settleAmount", message.settle_amount)
                .optional_number(Number::AMOUNT)?,
            settle_currency: Cell::new("settleCcy", message.settle_currency).optional_currency()?,
        })
    }

    fn near(&self) -> Exchange {
        Exchange {
            number: 1,
            buys: self.buys,
            rate: self.rate,
            date: self.date,
        }
    }

    /// The other way round.
    fn far(&self) -> Result<Exchange, Refusal> {
        let missing = |field| move || Refusal::missing(field);
        Ok(Exchange {
            number: 2,
            buys: !self.buys,
            date: self.far_date.ok_or_else(missing("farSettlementDate"))?,
            rate: self.far_rate.ok_or_else(missing("farRate"))?,
        })
    }

    /// The one amount, above 0 received, and its currency.
    fn difference(&self) -> Result<(i128, Currency), Refusal> {
        let missing = |field| move || Refusal::missing(field);
        Ok((
            self.settle_amount.ok_or_else(missing("settleAmount"))?,
            self.settle_currency.ok_or_else(missing("settleCcy"))?,
        ))
    }

    /// Whether the legs show all that was agreed: mostly so.
    fn shows_all(&self, product: Product) -> bool {
        let has_far = self.far_date.is_some() || self.far_rate.is_some();
        let settles = self.settle_amount.is_some() || self.settle_currency.is_some();
        match product {
            Product::Spot | Product::Forward => !has_far && !settles,
            Product::Swap => !settles,
            Product::Ndf => false,
        }
    }
}

/// What the legs do not show: a difference hides what it is the difference of, and any other product the fields that
/// it has no use for. They are read once more, as it is seldom.
#[cold]
fn hidden(message: &Message<'_>, product: Product) -> Result<Terms, Refusal> {
    let quoted = Quoted::read(message)?;
    let terms = match product {
        Product::Ndf => Terms::default()
            .code("base", Some(quoted.base.as_str()))
            .code("quote", Some(quoted.quote.as_str()))
            .code("side", Some(if quoted.buys { "BUY" } else { "SELL" }))
            .digits("notional", Some(quoted.notional))
            .digits("rate", Some(quoted.rate)),
        Product::Spot | Product::Forward | Product::Swap => Terms::default()
            .digits("settle_amount", quoted.settle_amount)
            .code(
                "settle_currency",
                quoted.settle_currency.as_ref().map(Currency::as_str),
            ),
    };
    Ok(match product {
        Product::Swap => terms,
        Product::Spot | Product::Forward | Product::Ndf => terms
            .digits("far_date", quoted.far_date)
            .digits("far_rate", quoted.far_rate),
    })
}
