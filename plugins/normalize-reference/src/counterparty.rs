//! `refdata.counterparties`: type and netting. There is no version in it: the last message counts.

use crate::{deleted_key, is_empty};
use fields::{Cell, Refusal};
use weir_sdk::{Output, record};

record! {
    /// The columns of `refdata.counterparties` as the decoder writes them.
    pub(crate) struct Message<'a> {
        offset: int64 required = "_offset",
        key: utf8 = "_key",
        counterparty_id: utf8 = "counterpartyId",
        counterparty_type: utf8 = "type",
        netting_agreement: utf8 = "nettingAgreement",
    }
}

record! {
    /// A counterparty, or that it is not known any more.
    pub(crate) struct Counterparty<'a> {
        key: utf8 required,
        deleted: bool required,
        version: int64 required,
        id: utf8 = "counterparty_id",
        kind: utf8 = "counterparty_type",
        netting_agreement: utf8,
    }
}

const TYPES: [&str; 7] = [
    "bank",
    "financial",
    "nonfin_corporate",
    "sovereign",
    "central_bank",
    "pse",
    "retail",
];

pub(crate) fn write(message: &Message<'_>, row: u32, out: &mut Output) -> Result<(), Refusal> {
    if is_empty(&[message.counterparty_id, message.counterparty_type]) {
        out.push(row, &deleted(deleted_key(message.key)?));
        return Ok(());
    }
    let counterparty_id = Cell::new("counterpartyId", message.counterparty_id).required()?;
    let counterparty = Counterparty {
        key: counterparty_id,
        deleted: false,
        version: message.offset,
        id: Some(counterparty_id),
        kind: Some(Cell::new("type", message.counterparty_type).word(&TYPES)?),
        netting_agreement: Cell::new("nettingAgreement", message.netting_agreement).optional(),
    };
    out.push(row, &counterparty);
    Ok(())
}

fn deleted(key: &str) -> Counterparty<'_> {
    Counterparty {
        key,
        deleted: true,
        version: 0,
        id: None,
        kind: None,
        netting_agreement: None,
    }
}
