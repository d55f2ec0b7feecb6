//! `holdings`: start-of-day settled quantities. Avro gives the numbers typed.
//!
//! The date of the holding is that of its record, not content: the same message sent again is the same.

use crate::{deleted_key, is_empty};
use fields::{Cell, Number, Refusal, in_range, not_negative};
use weir_sdk::{Output, record};

record! {
    /// The columns of `holdings` as the decoder writes them.
    pub(crate) struct Message<'a> {
        key: utf8 = "_key",
        entity: utf8,
        book: utf8,
        instrument_id: utf8,
        quantity: decimal128(38, 9),
        encumbered: decimal128(38, 9),
        version: int64,
    }
}

record! {
    /// What a book holds of an instrument, or that it is not known any more.
    pub(crate) struct Holding<'a> {
        key: utf8 required,
        deleted: bool required,
        version: int64 required,
        entity: utf8,
        book: utf8,
        instrument_id: utf8,
        quantity: decimal128(38, 9),
        encumbered: decimal128(38, 9),
    }
}

pub(crate) fn write(message: &Message<'_>, row: u32, out: &mut Output) -> Result<(), Refusal> {
    if is_empty(&[message.entity, message.book, message.instrument_id]) {
        out.push(row, &deleted(deleted_key(message.key)?));
        return Ok(());
    }
    let entity = Cell::new("entity", message.entity).required()?;
    let book = Cell::new("book", message.book).required()?;
    let instrument_id = Cell::new("instrument_id", message.instrument_id).required()?;
    let encumbered = given("encumbered", message.encumbered)?;
    let holding = Holding {
        key: &[entity, book, instrument_id].join("|"),
        deleted: false,
        version: message.version.ok_or_else(|| Refusal::missing("version"))?,
        entity: Some(entity),
        book: Some(book),
        instrument_id: Some(instrument_id),
        // A book may be short: what was sold and not yet delivered.
        quantity: Some(given("quantity", message.quantity)?),
        encumbered: Some(not_negative("encumbered", encumbered)?),
    };
    out.push(row, &holding);
    Ok(())
}

fn given(field: &'static str, digits: Option<i128>) -> Result<i128, Refusal> {
    in_range(
        field,
        digits.ok_or_else(|| Refusal::missing(field))?,
        Number::QUANTITY,
    )
}

fn deleted(key: &str) -> Holding<'_> {
    Holding {
        key,
        deleted: true,
        version: 0,
        entity: None,
        book: None,
        instrument_id: None,
        quantity: None,
        encumbered: None,
    }
}
