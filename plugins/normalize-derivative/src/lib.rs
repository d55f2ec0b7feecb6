//! Derivatives with their projected flows, to trade legs.
//!
//! A flow is a leg. All of a message is read before a leg is written, and of a cancel only its id, version and
//! action.

mod contract;
mod flows;

use contract::{Contract, Message};
use fields::Leg;
use flows::Flows;
use weir_sdk::{
    Batch, Data, Description, Failure, Json, Output, Record, Shape, Transform, export_transform,
};

/// The plugin.
#[derive(Debug)]
pub struct NormalizeDerivative;

impl Transform for NormalizeDerivative {
    fn description() -> Description {
        let mut columns = Message::fields();
        columns.push(flows::column());
        Description {
            name: "normalize_derivative",
            version: env!("CARGO_PKG_VERSION"),
            config_schema: r#"{"type":"object","additionalProperties":false}"#,
            shapes: vec![Shape::transform(columns, Leg::fields())],
        }
    }

    fn open(_config: &Json, _data: &Data) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn transform(&self, rows: &Batch, out: &mut Output) {
        let flows = Flows::of(rows);
        for (row, message) in rows.records::<Message<'_>>() {
            match Contract::read(&message, flows.of_row(row as usize)) {
                Ok(contract) => contract.legs().iter().for_each(|leg| out.push(row, leg)),
                Err(refusal) => refusal.write(out, row),
            }
        }
    }
}

export_transform!(NormalizeDerivative);
