//! Equity trades as FIX 4.4 trade capture reports, to trade legs.
//!
//! A trade is one leg: a security against its cost. All of a report is read before the leg is written, and of a
//! cancel only its id, version and action.

mod report;

use fields::Leg;
use report::{Message, Report};
use weir_sdk::{
    Batch, Data, Description, Failure, Json, Output, Record, Shape, Transform, export_transform,
};

/// The plugin.
#[derive(Debug)]
pub struct NormalizeEquity;

impl Transform for NormalizeEquity {
    fn description() -> Description {
        Description {
            name: "normalize_equity",
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
            match Report::read(&message) {
                Ok(read) => read.legs().iter().for_each(|leg| out.push(row, leg)),
                Err(refusal) => refusal.write(out, row),
            }
        }
    }
}

export_transform!(NormalizeEquity);
