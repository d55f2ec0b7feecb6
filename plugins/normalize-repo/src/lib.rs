//! Repos, reverse repos and collateral swaps as they come, to trade legs.
//!
//! A trade is one leg of cash against collateral, or of collateral against collateral, and one of interest where
//! there is any. All of a message is read before a leg is written, and of a cancel only its id, version and action.

mod contract;

use contract::{Contract, Message};
use fields::Leg;
use weir_sdk::{
    Batch, Data, Description, Failure, Json, Output, Record, Shape, Transform, export_transform,
};

/// The plugin.
#[derive(Debug)]
pub struct NormalizeRepo;

impl Transform for NormalizeRepo {
    fn description() -> Description {
        Description {
            name: "normalize_repo",
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
                Ok(contract) => contract.legs().iter().for_each(|leg| out.push(row, leg)),
                Err(refusal) => refusal.write(out, row),
            }
        }
    }
}

export_transform!(NormalizeRepo);
