//! `refdata.prices`: dirty prices.

use crate::{deleted_key, is_empty};
use fields::{Cell, Code, Number, Refusal};
use weir_sdk::{Output, record};

record! {
    /// The columns of `refdata.prices` as the decoder writes them.
    pub(crate) struct Message<'a> {
        offset: int64 required = "_offset",
        key: utf8 = "_key",
        instrument_id: utf8 = "instrumentId",
        dirty_price: utf8 = "dirtyPrice",
        per: utf8,
        currency: utf8 = "ccy",
        version: utf8,
    }
}

record! {
    /// A price, or that there is none any more.
    pub(crate) struct Price<'a> {
        key: utf8 required,
        deleted: bool required,
        version: int64 required,
        instrument_id: utf8,
        dirty: decimal128(38, 12) = "price",
        per: decimal128(38, 12),
        currency: utf8,
    }
}

pub(crate) fn write(message: &Message<'_>, row: u32, out: &mut Output) -> Result<(), Refusal> {
    if is_empty(&[
        message.instrument_id,
        message.dirty_price,
        message.per,
        message.currency,
    ]) {
        out.push(row, &deleted(deleted_key(message.key)?));
        return Ok(());
    }
    let instrument_id = Cell::new("instrumentId", message.instrument_id).required()?;
    let currency = Cell::new("ccy", message.currency).currency()?;
    let price = Price {
        key: instrument_id,
        deleted: false,
        version: Cell::new("version", message.version).version(message.offset)?,
        instrument_id: Some(instrument_id),
        dirty: Some(Cell::new("dirtyPrice", message.dirty_price).not_negative(Number::PRICE)?),
        per: Some(per(Cell::new("per", message.per))?),
        currency: Some(currency.as_str()),
    };
    out.push(row, &price);
    Ok(())
}

/// A price is for 100 of face or for one piece.
fn per(cell: Cell<'_>) -> Result<i128, Refusal> {
    let unit = 10_i128.pow(u32::from(Number::PRICE.scale));
    let per = cell.number(Number::PRICE)?;
    let known = per == unit || per == 100 * unit;
    known
        .then_some(per)
        .ok_or_else(|| Refusal::new(Code::UnknownValue, "per", "is none of 100, 1"))
}

fn deleted(key: &str) -> Price<'_> {
    Price {
        key,
        deleted: true,
        version: 0,
        instrument_id: None,
        dirty: None,
        per: None,
        currency: None,
    }
}
