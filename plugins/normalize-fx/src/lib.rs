//! FX deals as they come, to trade legs: spot, forward, swap and non-deliverable forward.
//!
//! A deal with delivery exchanges two currencies on a date, a swap does so again, the other way round, on a later
//! one; a non-deliverable forward pays one amount. All of a message is read before a leg is written, and of a cancel
//! only its id, version and action.

mod deal;

use deal::Message;
use fields::Leg;
use weir_sdk::{
    Batch, Data, Description, Failure, Json, Output, Record, Shape, Transform, export_transform,
};

/// The plugin.
#[derive(Debug)]
pub struct NormalizeFx;

impl Transform for NormalizeFx {
    fn description() -> Description {
        Description {
            name: "normalize_fx",
            version: env!("CARGO_PKG_VERSION"),
            config_schema: r#"{"type":"object","additionalProperties":false}"#,
            shapes: vec![Shape::transform(Message::fields(), Leg::fields())],
        }
    }

    fn open(_config: &Json, _data: &Data) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn transform(&self, rows: &Batch, out: &mut Output) {
        for (row, message) in rows.records::<Message<'_>>() {
            if let Err(refusal) = deal::write(&message, row, out) {
                refusal.write(out, row);
            }
        }
    }
}

export_transform!(NormalizeFx);
