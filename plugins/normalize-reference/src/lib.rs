//! Balances, holdings, settlements, reference data and adjustments as they come, to typed rows.
//!
//! One plugin for the eight small topics; `record` in the config says which. A topic that keeps the last message per
//! key writes `key` and `deleted`: the key is worked out of the message, and an empty value deletes the key that Kafka
//! has for it. A row of such a topic in which nothing stands is an empty value, for its schema demands an id of
//! every other message.

mod adjustment;
mod balance;
mod counterparty;
mod holding;
mod instrument;
mod price;
mod rate;
mod settlement;

use fields::{Cell, Code, EuInflows, Refusal};
use weir_sdk::{
    Batch, Data, Description, Failure, Field, Json, Output, Record, Shape, Transform,
    export_transform,
};

/// The plugin, for one topic.
#[derive(Clone, Debug)]
pub enum NormalizeReference {
    /// `balances`.
    Balance(EuInflows),
    /// `holdings`.
    Holding,
    /// `settlements`.
    Settlement,
    /// `refdata.instruments`.
    Instrument,
    /// `refdata.counterparties`.
    Counterparty,
    /// `refdata.prices`.
    Price,
    /// `refdata.fx`.
    Rate,
    /// `adjustments`.
    Adjustment,
}

const CONFIG_SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"required":["record"],"properties":{"record":{
"enum":["balance","holding","settlement","instrument","counterparty","price","rate","adjustment"]},
"eu_exempt":{"description":"Of balances: counterparties whose inflows the EU does not cap.","type":"array","default":[],"uniqueItems":true,"items":{"type":"string"}},
"eu_90_percent":{"description":"Of balances: those whose inflows it caps at 90 %.","type":"array","default":[],"uniqueItems":true,"items":{"type":"string"}}}}"#;

impl Transform for NormalizeReference {
    fn description() -> Description {
        Description {
            name: "normalize_reference",
            version: env!("CARGO_PKG_VERSION"),
            config_schema: CONFIG_SCHEMA,
            shapes: vec![
                shape(
                    "balance",
                    balance::Message::fields(),
                    balance::Balance::fields(),
                ),
                shape(
                    "holding",
                    holding::Message::fields(),
                    holding::Holding::fields(),
                ),
                shape(
                    "settlement",
                    settlement::Message::fields(),
                    settlement::Settlement::fields(),
                ),
                shape(
                    "instrument",
                    instrument::Message::fields(),
                    instrument::Instrument::fields(),
                ),
                shape(
                    "counterparty",
                    counterparty::Message::fields(),
                    counterparty::Counterparty::fields(),
                ),
                shape("price", price::Message::fields(), price::Price::fields()),
                shape("rate", rate::Message::fields(), rate::Rate::fields()),
                shape(
                    "adjustment",
                    adjustment::Message::fields(),
                    adjustment::Adjustment::fields(),
                ),
            ],
        }
    }

    fn open(config: &Json, _data: &Data) -> Result<Self, Failure> {
        match config.get("record").and_then(Json::as_str) {
            Some("balance") => EuInflows::open(config).map(Self::Balance),
            Some("holding") => Ok(Self::Holding),
            Some("settlement") => Ok(Self::Settlement),
            Some("instrument") => Ok(Self::Instrument),
            Some("counterparty") => Ok(Self::Counterparty),
            Some("price") => Ok(Self::Price),
            Some("rate") => Ok(Self::Rate),
            Some("adjustment") => Ok(Self::Adjustment),
            _ => Err(Failure::new(
                "config_invalid",
                "`record` names none of the plugin's record kinds",
            )),
        }
    }

    fn transform(&self, rows: &Batch, out: &mut Output) {
        match self {
            Self::Balance(policy) => each(rows, out, |message, row, out| {
                balance::write(policy, message, row, out)
            }),
            Self::Holding => each(rows, out, holding::write),
            Self::Settlement => each(rows, out, settlement::write),
            Self::Instrument => each(rows, out, instrument::write),
            Self::Counterparty => each(rows, out, counterparty::write),
            Self::Price => each(rows, out, price::write),
            Self::Rate => each(rows, out, rate::write),
            Self::Adjustment => each(rows, out, adjustment::write),
        }
    }
}

fn shape(record: &'static str, input: Vec<Field>, output: Vec<Field>) -> Shape {
    Shape::transform(input, output).when("record", record)
}

/// Writes one row per message, or its refusal.
fn each<'a, M: Record<'a>>(
    rows: &'a Batch,
    out: &mut Output,
    write: impl Fn(&M, u32, &mut Output) -> Result<(), Refusal>,
) {
    for (row, message) in rows.records::<M>() {
        if let Err(refusal) = write(&message, row, out) {
            refusal.write(out, row);
        }
    }
}

/// The key that an empty value deletes.
fn deleted_key(key: Option<&str>) -> Result<&str, Refusal> {
    Cell::new("_key", key)
        .optional()
        .ok_or_else(|| Refusal::new(Code::EmptyValue, "_key", "is missing, and so is the value"))
}

/// Whether this is the row of an empty value: none of what every message has is there.
fn is_empty(needed: &[Option<&str>]) -> bool {
    needed.iter().all(Option::is_none)
}

export_transform!(NormalizeReference);
