//! One line of the interbank desk, read and checked.

use fields::{
    Action, Cell, Code, Currency, Date, Leg, Number, Refusal, Terms, Trade, received_amount,
};
use std::borrow::Cow;
use weir_sdk::{I256, record};

record! {
    /// The columns of `trades.interbank` as the decoder writes them.
    pub(crate) struct Message<'a> {
        /// Counts as the version where the line has none.
        offset: int64 required = "_offset",
        /// The line.
        text: utf8,
    }
}

/// The line's fields, in order.
const NAMES: [&str; 13] = [
    "ref",
    "type",
    "counterparty",
    "amount",
    "ccy",
    "start",
    "maturity",
    "rate_pct",
    "daycount",
    "version",
    "action",
    "entity",
    "book",
];

/// A line that is accepted.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    fields: Vec<Cow<'a, str>>,
    version: i64,
    action: Action,
    /// None for a cancel.
    booked: Option<Booked>,
}

#[derive(Debug)]
struct Booked {
    is_loan: bool,
    amount: I256,
    currency: Currency,
    start: Date,
    maturity: Option<Date>,
    terms: Terms,
}

impl<'a> Line<'a> {
    /// Reads a line.
    pub(crate) fn read(message: &Message<'a>) -> Result<Self, Refusal> {
        let fields = split(Cell::new("text", message.text).required()?)?;
        let action = cell(&fields, "action").one_of_or(&Action::SPELLINGS, Action::New)?;
        cell(&fields, "ref").required()?;
        let version = cell(&fields, "version").version(message.offset)?;
        let booked = match action {
            Action::Cancel => None,
            Action::New | Action::Amend => Some(Booked::read(&fields)?),
        };
        Ok(Self {
            fields,
            version,
            action,
            booked,
        })
    }

    /// The rows to write.
    pub(crate) fn legs(&self) -> [Leg<'_>; 1] {
        let text = |name| cell(&self.fields, name).optional();
        let trade = Trade {
            id: text("ref").unwrap_or_default(),
            version: self.version,
            action: self.action,
            asset_class: "INTERBANK",
        };
        let bare = trade.bare_leg();
        let Some(booked) = &self.booked else {
            return [bare];
        };
        [Leg {
            product: Some(if booked.is_loan {
                "LOAN_PLACED"
            } else {
                "DEPOSIT_TAKEN"
            }),
            entity: text("entity"),
            book: text("book"),
            counterparty: text("counterparty"),
            start_date: Some(booked.start),
            maturity_date: booked.maturity,
            kind: Some("PRINCIPAL"),
            direction: Some(if booked.is_loan { "RECEIVE" } else { "PAY" }),
            amount: Some(booked.amount),
            currency: Some(booked.currency.as_str()),
            payment_date: booked.maturity,
            terms: booked.terms.as_str(),
            ..bare
        }]
    }
}

impl Booked {
    fn read(fields: &[Cow<'_, str>]) -> Result<Self, Refusal> {
        let of = |name| cell(fields, name);
        for needed in ["counterparty", "entity", "book", "maturity"] {
            of(needed).required()?;
        }
        let rate = of("rate_pct").number(Number::PERCENT)?;
        let kinds = [("LOAN_PLACED", true), ("DEPOSIT_TAKEN", false)];
        Ok(Self {
            is_loan: of("type").one_of(&kinds)?,
            amount: received_amount(of("amount").positive(Number::AMOUNT)?),
            currency: of("ccy").currency()?,
            start: of("start").date()?,
            maturity: of("maturity").maturity()?,
            terms: Terms::default()
                .digits("rate", Some(rate))
                .code("daycount", Some(of("daycount").required()?)),
        })
    }
}

fn cell<'f>(fields: &'f [Cow<'_, str>], name: &'static str) -> Cell<'f> {
    let at = NAMES.iter().position(|known| *known == name);
    Cell::new(name, at.and_then(|at| fields.get(at)).map(AsRef::as_ref))
}

/// The fields of one line by RFC 4180; one line end may stand behind them.
fn split(text: &str) -> Result<Vec<Cow<'_, str>>, Refusal> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let mut rest = line.strip_suffix('\r').unwrap_or(line);
    let mut fields = Vec::with_capacity(NAMES.len());
    loop {
        let (field, behind) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => plain(rest)?,
        };
        fields.push(field);
        match behind.strip_prefix(',') {
            Some(next) => rest = next,
            None if behind.is_empty() => break,
            None => return Err(bad("has text behind a closing quote")),
        }
    }
    if fields.len() == NAMES.len() {
        Ok(fields)
    } else {
        Err(bad("has not 13 fields"))
    }
}

/// A field without quotes, and what stands behind it.
fn plain(text: &str) -> Result<(Cow<'_, str>, &str), Refusal> {
    let (field, behind) = text.split_at(text.find(',').unwrap_or(text.len()));
    if field.contains(['"', '\r', '\n']) {
        Err(bad("has a quote or a line end in a field without quotes"))
    } else {
        Ok((Cow::Borrowed(field), behind))
    }
}

/// A field behind its opening quote, two quotes being one, and what stands behind the closing one.
fn unquote(text: &str) -> Result<(Cow<'_, str>, &str), Refusal> {
    let mut field = Cow::Borrowed("");
    let mut rest = text;
    loop {
        let (part, behind) = rest
            .split_once('"')
            .ok_or_else(|| bad("has a quote that is not closed"))?;
        field += part;
        match behind.strip_prefix('"') {
            Some(next) => {
                field += "\"";
                rest = next;
            }
            None => return Ok((field, behind)),
        }
    }
}

fn bad(fault: &str) -> Refusal {
    Refusal::new(Code::BadText, "text", fault)
}
