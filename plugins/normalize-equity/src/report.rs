//! One trade capture report, read and checked.

use fields::{
    Action, Cell, Code, Currency, Date, Instant, Leg, Number, Refusal, Terms, Trade, amount,
    parse_instant,
};
use weir_exact::Decimal;
use weir_sdk::{I256, record};

record! {
    /// The columns of `trades.equities` as the decoder writes them.
    pub(crate) struct Message<'a> {
        /// Counts as the version where the report has none.
        offset: int64 required = "_offset",
        /// The report: `tag=value`, with `|` or SOH between fields.
        text: utf8,
    }
}

/// A report that is accepted.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    trade: Trade<'a>,
    /// None for a cancel.
    booked: Option<Booked<'a>>,
}

#[derive(Debug)]
struct Booked<'a> {
    isin: &'a str,
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

/// The tags that are read, and what they are called when one is refused.
const TAGS: [(&str, &str); 16] = [
    ("35", "35 (message type)"),
    ("571", "571 (trade report id)"),
    ("34", "34 (version)"),
    ("487", "487 (action)"),
    ("48", "48 (security id)"),
    ("22", "22 (kind of security id)"),
    ("54", "54 (side)"),
    ("32", "32 (quantity)"),
    ("31", "31 (price)"),
    ("15", "15 (currency)"),
    ("60", "60 (UTC time)"),
    ("75", "75 (trade date)"),
    ("64", "64 (settlement date)"),
    ("1", "1 (book)"),
    ("50", "50 (entity)"),
    ("448", "448 (counterparty)"),
];

/// The values of the known tags, each as it came first.
#[derive(Debug)]
struct Fields<'a>([Option<&'a str>; TAGS.len()]);

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Result<Self, Refusal> {
        let between = if text.contains('\u{1}') { '\u{1}' } else { '|' };
        let mut values = [None; TAGS.len()];
        for field in text.split(between).filter(|field| !field.is_empty()) {
            let (tag, value) = field
                .split_once('=')
                .filter(|(tag, _)| !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| {
                    Refusal::new(Code::BadText, "text", "has a field that is no tag=value")
                })?;
            if let Some(at) = TAGS.iter().position(|(known, _)| *known == tag) {
                values[at] = values[at].or(Some(value));
            }
        }
        Ok(Self(values))
    }

    fn cell(&self, tag: &str) -> Cell<'a> {
        let at = TAGS.iter().position(|(known, _)| *known == tag);
        let at = at.expect("the table has every tag that is read");
        Cell::new(TAGS[at].1, self.0[at])
    }
}

const ACTIONS: [(&str, Action); 3] = [
    ("0", Action::New),
    ("1", Action::Cancel),
    ("2", Action::Amend),
];

impl<'a> Report<'a> {
    /// Reads a report.
    pub(crate) fn read(message: &Message<'a>) -> Result<Self, Refusal> {
        let fields = Fields::read(Cell::new("text", message.text).required()?)?;
        fields.cell("35").word(&["AE"])?;
        let trade = Trade {
            id: fields.cell("571").required()?,
            version: fields.cell("34").version(message.offset)?,
            action: fields.cell("487").one_of_or(&ACTIONS, Action::New)?,
            asset_class: "EQUITY",
        };
        let booked = match trade.action {
            Action::Cancel => None,
            Action::New | Action::Amend => Some(Booked::read(&fields)?),
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
            product: Some("EQUITY"),
            entity: Some(booked.entity),
            book: Some(booked.book),
            counterparty: Some(booked.counterparty),
            trade_date: Some(booked.trade_date),
            maturity_date: Some(booked.settle_date),
            kind: Some("SECURITY"),
            direction: Some(if booked.buys { "RECEIVE" } else { "PAY" }),
            instrument_id: Some(booked.isin),
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
    fn read(fields: &Fields<'a>) -> Result<Self, Refusal> {
        fields.cell("22").word(&["4"])?;
        let quantity = fields.cell("32").positive(Number::QUANTITY)?;
        let price = fields.cell("31").not_negative(Number::PRICE)?;
        let time = utc_time(fields.cell("60").required()?)?;
        Ok(Self {
            isin: fields.cell("48").required()?,
            buys: fields.cell("54").one_of(&[("1", true), ("2", false)])?,
            quantity,
            cost: amount(
                Decimal::from_i128(quantity, Number::QUANTITY.scale),
                Decimal::from_i128(price, Number::PRICE.scale),
                1,
            ),
            currency: fields.cell("15").currency()?,
            trade_date: fields.cell("75").date()?,
            settle_date: fields.cell("64").date()?,
            book: fields.cell("1").required()?,
            entity: fields.cell("50").required()?,
            counterparty: fields.cell("448").required()?,
            terms: Terms::default()
                .digits("price", Some(price))
                .digits("time", Some(time)),
        })
    }
}

/// `20260302-15:04:05`, with or without a fraction, always UTC; or an instant with an offset.
fn utc_time(text: &str) -> Result<Instant, Refusal> {
    let field = "60 (UTC time)";
    let fix = text
        .split_once('-')
        .filter(|(day, _)| day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit()));
    let Some((day, time)) = fix else {
        return parse_instant(field, text);
    };
    let (year, rest) = day.split_at(4);
    let (month, day) = rest.split_at(2);
    parse_instant(field, &format!("{year}-{month}-{day}T{time}Z"))
}
