//! `refdata.fx`: reporting currency per unit of a currency.

use crate::{deleted_key, is_empty};
use fields::{Cell, Number, Refusal};
use weir_sdk::{Output, record};

record! {
    /// The columns of `refdata.fx` as the decoder writes them.
    pub(crate) struct Message<'a> {
        offset: int64 required = "_offset",
        key: utf8 = "_key",
        currency: utf8 = "ccy",
        rate: utf8,
        version: utf8,
    }
}

record! {
    /// A rate, or that there is none any more.
    pub(crate) struct Rate<'a> {
        key: utf8 required,
        deleted: bool required,
        version: int64 required,
        currency: utf8,
        value: decimal128(38, 12) = "rate",
    }
}

pub(crate) fn write(message: &Message<'_>, row: u32, out: &mut Output) -> Result<(), Refusal> {
    if is_empty(&[message.currency, message.rate]) {
        let key = deleted_key(message.key)?.to_ascii_uppercase();
        out.push(
            row,
            &Rate {
                key: &key,
                deleted: true,
                version: 0,
                currency: None,
                value: None,
            },
        );
        return Ok(());
    }
    let currency = Cell::new("ccy", message.currency).currency()?;
    let rate = Rate {
        key: currency.as_str(),
        deleted: false,
        version: Cell::new("version", message.version).version(message.offset)?,
        currency: Some(currency.as_str()),
        value: Some(Cell::new("rate", message.rate).positive(Number::PRICE)?),
    };
    out.push(row, &rate);
    Ok(())
}
