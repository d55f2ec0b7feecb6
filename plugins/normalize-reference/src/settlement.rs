//! `settlements`: a delivery happened, maybe in part.

use fields::{Cell, Number, Refusal};
use weir_sdk::{Output, record};

record! {
    /// The columns of `settlements` as the decoder writes them.
    pub(crate) struct Message<'a> {
        confirmation_id: utf8 = "confirmationId",
        trade_id: utf8 = "tradeId",
        quantity: utf8,
        settled_at: utf8 = "settledAt",
    }
}

record! {
    /// A confirmation.
    pub(crate) struct Settlement<'a> {
        confirmation_id: utf8 required,
        trade_id: utf8 required,
        quantity: decimal128(38, 9) required,
        settled_at: timestamp required,
    }
}

pub(crate) fn write(message: &Message<'_>, row: u32, out: &mut Output) -> Result<(), Refusal> {
    let settlement = Settlement {
        confirmation_id: Cell::new("confirmationId", message.confirmation_id).required()?,
        trade_id: Cell::new("tradeId", message.trade_id).required()?,
        quantity: Cell::new("quantity", message.quantity).positive(Number::QUANTITY)?,
        settled_at: Cell::new("settledAt", message.settled_at).instant()?,
    };
    out.push(row, &settlement);
    Ok(())
}
