//! Commodity trades as they come, to trade legs: physical holdings, and forwards with delivery or for cash.
//!
//! A trade is one leg. All of a message is read before the leg is written, and of a cancel only its id, version and
//! action.

mod contract;

use contract::{Contract, Message};
use fields::Leg;
use weir_sdk::{
    Batch, Data, Description, Failure, Json, Output, Record, Shape, Transform, export_transform,
};

/// The plugin.
#[derive(Debug)]
pub struct NormalizeCommodity;

impl Transform for NormalizeCommodity {
    fn description() -> Description {
        Description {
            name: "normalize_commodity",
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
            match Contract::read(&message) {
                Ok(read) => read.legs().iter().for_each(|leg| out.push(row, leg)),
                Err(refusal) => refusal.write(out, row),
            }
        }
    }
}

export_transform!(NormalizeCommodity);
