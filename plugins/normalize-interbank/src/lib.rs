//! Interbank loans and deposits as CSV lines, to trade legs.
//!
//! A trade is one leg: the principal on its maturity. All of a line is read before the leg is written, and of a
//! cancel only its id, version and action.

mod line;

use fields::Leg;
use line::{Line, Message};
use weir_sdk::{
    Batch, Data, Description, Failure, Json, Output, Record, Shape, Transform, export_transform,
};

/// The plugin.
#[derive(Debug)]
pub struct NormalizeInterbank;

impl Transform for NormalizeInterbank {
    fn description() -> Description {
        Description {
            name: "normalize_interbank",
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
            match Line::read(&message) {
                Ok(read) => read.legs().iter().for_each(|leg| out.push(row, leg)),
                Err(refusal) => refusal.write(out, row),
            }
        }
    }
}

export_transform!(NormalizeInterbank);
