//! The walk over a batch that all decoders share: tombstones, sizes, good rows and refused ones.

use crate::column::Table;
use crate::record::{Decoded, RawRecord, Refused};
use crate::{RECORD_BYTES_MAX, SourceError};
use arrow::datatypes::SchemaRef;

/// Why one record gave no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It is bad.
    Refused(Refused),
    /// It could not be looked at.
    Stalled(SourceError),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Reads every record with `read`, which appends one row to the table or fails (then what it has
/// appended is taken back).
pub(crate) fn decode_all(
    schema: SchemaRef,
    mut table: Table,
    tombstones: bool,
    records: &[RawRecord],
    mut read: impl FnMut(&[u8], &mut Table) -> Result<(), Stop>,
) -> Decoded {
    let mut rows = Vec::with_capacity(records.len());
    let mut refused = Vec::new();
    let mut stalled = None;
    for (index, record) in (0u32..).zip(records) {
        match one(record, &mut table, tombstones, &mut read) {
            Ok(()) => {
                rows.push(index);
                table.rows = rows.len();
            }
            Err(stop) => {
                table.truncate(rows.len());
                match stop {
                    Stop::Refused(why) => refused.push((index, why)),
                    Stop::Stalled(error) => {
                        stalled = Some((index, error));
                        break;
                    }
                }
            }
        }
    }
    Decoded {
        batch: table.finish(schema),
        rows,
        refused,
        stalled,
    }
}

fn one(
    record: &RawRecord,
    table: &mut Table,
    tombstones: bool,
    read: &mut impl FnMut(&[u8], &mut Table) -> Result<(), Stop>,
) -> Result<(), Stop> {
    match record.value.as_deref() {
        None | Some([]) if tombstones => {
            table.push_nulls();
            Ok(())
        }
        None | Some([]) => Err(refused(
            "empty_value",
            "the value is empty, and this source takes no tombstones",
        )
        .into()),
        Some(value) if value.len() > RECORD_BYTES_MAX => {
            let message = format!(
                "the value has {} bytes, more than {RECORD_BYTES_MAX}",
                value.len()
            );
            Err(refused("too_large", message).into())
        }
        Some(value) => read(value, table),
    }
}

/// A refusal that no single field is at fault for.
pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> Refused {
    Refused {
        code,
        message: message.into(),
        field: None,
    }
}
