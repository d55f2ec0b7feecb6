//! One message of the FX blotter, read and checked.

use fields::{
    Action, Cell, Currency, Date, Number, Refusal, Terms, Trade, amount, received_amount,
};
use weir_exact::Decimal;
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

/// One flow.
#[derive(Clone, Copy, Debug)]
struct Payment {
    exchange: i32,
    receives: bool,
    amount: I256,
    currency: Currency,
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
    let mut leg = trade.bare_leg();
    if trade.action == Action::Cancel {
        out.push(row, &leg);
        return Ok(());
    }
    let product = Cell::new("product", message.product);
    let product = product.one_of_or(&Product::SPELLINGS, Product::Spot)?;
    let quoted = Quoted::read(message)?;
    let payments = quoted.payments(product)?;
    let terms = quoted.terms(product);
    leg.product = Some(product.as_str());
    leg.entity = Some(Cell::new("entity", message.entity).required()?);
    leg.book = Some(Cell::new("book", message.book).required()?);
    leg.counterparty = Some(Cell::new("cpty", message.counterparty).required()?);
    leg.netting_agreement = Cell::new("nettingAgreement", message.netting_agreement).optional();
    leg.trade_date = Some(Cell::new("tradeDate", message.trade_date).date()?);
    leg.maturity_date = payments.iter().flatten().map(|payment| payment.date).max();
    leg.kind = Some("CASH");
    leg.terms = terms.as_str();
    for (number, payment) in (0..).zip(payments.iter().flatten()) {
        leg.leg = number;
        leg.exchange = Some(payment.exchange);
        leg.direction = Some(if payment.receives { "RECEIVE" } else { "PAY" });
        leg.amount = Some(payment.amount);
        leg.currency = Some(payment.currency.as_str());
        leg.payment_date = Some(payment.date);
        out.push(row, &leg);
    }
    Ok(())
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
    fn read(message: &Message<'_>) -> Result<Self, Refusal> {
        let (base, quote) = Cell::new("ccyPair", message.pair).currency_pair()?;
        let sides = [("BUY", true), ("SELL", false), ("B", true), ("S", false)];
        Ok(Self {
            base,
            quote,
            buys: Cell::new("side", message.side).one_of(&sides)?,
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

    /// The flows, near ones first.
    fn payments(&self, product: Product) -> Result<[Option<Payment>; 4], Refusal> {
        let [base, quote] = match product {
            Product::Ndf => return Ok([Some(self.difference()?), None, None, None]),
            _ => self.exchange(1, self.buys, self.rate, self.date),
        };
        let far = match product {
            Product::Swap => self.far()?.map(Some),
            _ => [None, None],
        };
        Ok([Some(base), Some(quote), far[0], far[1]])
    }

    fn far(&self) -> Result<[Payment; 2], Refusal> {
        let date = self
            .far_date
            .ok_or_else(|| Refusal::missing("farSettlementDate"))?;
        let rate = self.far_rate.ok_or_else(|| Refusal::missing("farRate"))?;
        Ok(self.exchange(2, !self.buys, rate, date))
    }

    fn exchange(&self, exchange: i32, buys: bool, rate: i128, date: Date) -> [Payment; 2] {
        let notional = Decimal::from_i128(self.notional, Number::AMOUNT.scale);
        let payment = |receives, amount, currency| Payment {
            exchange,
            receives,
            amount,
            currency,
            date,
        };
        let cost = amount(notional, Decimal::from_i128(rate, Number::PRICE.scale), 1);
        [
            payment(buys, received_amount(self.notional), self.base),
            payment(!buys, cost, self.quote),
        ]
    }

    fn difference(&self) -> Result<Payment, Refusal> {
        let settled = self
            .settle_amount
            .ok_or_else(|| Refusal::missing("settleAmount"))?;
        let currency = self
            .settle_currency
            .ok_or_else(|| Refusal::missing("settleCcy"))?;
        Ok(Payment {
            exchange: 1,
            receives: settled >= 0,
            amount: received_amount(settled).abs(),
            currency,
            date: self.date,
        })
    }

    /// What the legs do not show: a difference hides what it is the difference of, and any other product the fields
    /// that it has no use for.
    fn terms(&self, product: Product) -> Terms {
        let terms = match product {
            Product::Ndf => self.hidden(),
            Product::Spot | Product::Forward | Product::Swap => Terms::default()
                .digits("settle_amount", self.settle_amount)
                .code(
                    "settle_currency",
                    self.settle_currency.as_ref().map(Currency::as_str),
                ),
        };
        match product {
            Product::Swap => terms,
            Product::Spot | Product::Forward | Product::Ndf => terms
                .digits("far_date", self.far_date)
                .digits("far_rate", self.far_rate),
        }
    }

    fn hidden(&self) -> Terms {
        Terms::default()
            .code("base", Some(self.base.as_str()))
            .code("quote", Some(self.quote.as_str()))
            .code("side", Some(if self.buys { "BUY" } else { "SELL" }))
            .digits("notional", Some(self.notional))
            .digits("rate", Some(self.rate))
    }
}
