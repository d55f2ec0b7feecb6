//! One message of the derivatives book, read and checked.

use crate::flows::Flow;
use fields::{Action, Cell, Currency, Date, Leg, Number, Refusal, Terms, Trade, received_amount};
use weir_sdk::{I256, record};

record! {
    /// The columns of `trades.derivatives` as the decoder writes them, but for the flows.
    pub(crate) struct Message<'a> {
        /// Counts as the version where the message has none.
        offset: int64 required = "_offset",
        /// The trade's id.
        trade_id: utf8 = "tradeId",
        /// A whole number.
        version: utf8,
        /// `NEW`, `AMEND`, `CANCEL`; missing: `NEW`.
        action: utf8,
        /// What it is: a swap, an option.
        product: utf8,
        /// With whom.
        counterparty: utf8 = "cpty",
        /// The agreement it is netted under.
        netting_agreement: utf8 = "nettingAgreement",
        /// Its credit support annex.
        support: utf8 = "csa",
        /// The bank entity.
        entity: utf8,
        /// Its book.
        book: utf8,
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
    product: &'a str,
    counterparty: &'a str,
    netting_agreement: Option<&'a str>,
    entity: &'a str,
    book: &'a str,
    payments: Vec<Payment>,
    terms: Terms,
}

/// One flow; above 0 it is received.
#[derive(Clone, Copy, Debug)]
struct Payment {
    date: Date,
    currency: Currency,
    amount: I256,
}

impl<'a> Contract<'a> {
    /// Reads a message.
    pub(crate) fn read(
        message: &Message<'a>,
        flows: Option<Vec<Flow<'a>>>,
    ) -> Result<Self, Refusal> {
        let action = Cell::new("action", message.action);
        let trade = Trade {
            id: Cell::new("tradeId", message.trade_id).required()?,
            version: Cell::new("version", message.version).version(message.offset)?,
            action: action.one_of_or(&Action::SPELLINGS, Action::New)?,
            asset_class: "DERIVATIVE",
        };
        let booked = match trade.action {
            Action::Cancel => None,
            Action::New | Action::Amend => {
                let flows = flows.ok_or_else(|| Refusal::missing("flows"))?;
                Some(Booked::read(message, &flows)?)
            }
        };
        Ok(Self { trade, booked })
    }

    /// The rows to write: one that names the entity where there is no flow.
    pub(crate) fn legs(&self) -> Vec<Leg<'_>> {
        let bare = self.trade.bare_leg();
        let Some(booked) = &self.booked else {
            return vec![bare];
        };
        let trade = Leg {
            product: Some(booked.product),
            entity: Some(booked.entity),
            book: Some(booked.book),
            counterparty: Some(booked.counterparty),
            netting_agreement: booked.netting_agreement,
            maturity_date: booked.payments.iter().map(|payment| payment.date).max(),
            terms: booked.terms.as_str(),
            ..bare
        };
        if booked.payments.is_empty() {
            return vec![trade];
        }
        (0..)
            .zip(&booked.payments)
            .map(|(leg, payment)| Leg {
                leg,
                // No flow is exchanged for another.
                exchange: Some(leg),
                kind: Some("CASH"),
                direction: Some(if payment.amount.is_negative() {
                    "PAY"
                } else {
                    "RECEIVE"
                }),
                amount: Some(payment.amount.abs()),
                currency: Some(payment.currency.as_str()),
                payment_date: Some(payment.date),
                ..trade
            })
            .collect()
    }
}

impl<'a> Booked<'a> {
    fn read(message: &Message<'a>, flows: &[Flow<'a>]) -> Result<Self, Refusal> {
        let support = Cell::new("csa", message.support).optional();
        Ok(Self {
            product: Cell::new("product", message.product).required()?,
            counterparty: Cell::new("cpty", message.counterparty).required()?,
            netting_agreement: Cell::new("nettingAgreement", message.netting_agreement).optional(),
            entity: Cell::new("entity", message.entity).required()?,
            book: Cell::new("book", message.book).required()?,
            payments: flows.iter().map(Payment::read).collect::<Result<_, _>>()?,
            terms: Terms::default().code("csa", support),
        })
    }
}

impl Payment {
    fn read(flow: &Flow<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            date: Cell::new("flows.date", flow.date).date()?,
            currency: Cell::new("flows.ccy", flow.currency).currency()?,
            amount: received_amount(Cell::new("flows.amount", flow.amount).number(Number::AMOUNT)?),
        })
    }
}
