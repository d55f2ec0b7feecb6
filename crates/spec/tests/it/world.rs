//! A world made up for tests: a few schemas, plugins and variables.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::io;
use std::path::Path;
use std::sync::Arc;
use weir_spec::plan::{DecodePlan, EncodingPlan};
use weir_spec::{Catalog, Diagnostic, Plan, Port, Problem, Reader, Shape};

/// The world.
pub(crate) struct Made;

impl Reader for Made {
    fn env(&self, name: &str) -> Option<String> {
        match name {
            "TOPIC" => Some("trades.fx".to_owned()),
            "PASSWORD" => Some("hunter2000".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some("base/secret") => Ok("s3cr3t-token\n".to_owned()),
            Some("base/rules.csv") => Ok("a,b\n".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn schema(fields: &[(&str, DataType, bool)]) -> SchemaRef {
    let field = |(name, kind, nullable): &(&str, DataType, bool)| {
        Field::new(*name, kind.clone(), *nullable)
    };
    Arc::new(Schema::new(fields.iter().map(field).collect::<Vec<_>>()))
}

fn trade() -> SchemaRef {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let flow = Field::new("amount", DataType::Decimal128(38, 6), true);
    let flows = DataType::List(Arc::new(Field::new(
        "item",
        DataType::Struct(vec![flow].into()),
        true,
    )));
    schema(&[
        ("trade_id", DataType::Utf8, false),
        ("version", DataType::Int64, false),
        ("deleted", DataType::Boolean, true),
        ("entity", DataType::Utf8, true),
        ("book", DataType::Utf8, true),
        ("quantity", DataType::Decimal128(38, 9), true),
        ("payment_date", DataType::Date32, true),
        ("starts_at", instant, true),
        ("flows", flows, true),
    ])
}

impl Catalog for Made {
    fn decoded(&self, decode: &DecodePlan) -> Result<SchemaRef, Problem> {
        let (EncodingPlan::Json { schema: file } | EncodingPlan::Avro { schema: file, .. }) =
            &decode.value
        else {
            return Ok(schema(&[("text", DataType::Utf8, true)]));
        };
        match file.to_str() {
            Some("base/trade.json" | "base/trade.avsc") => Ok(trade()),
            Some("base/orders.schema.json") => Ok(schema(&[
                ("order_id", DataType::Utf8, false),
                ("version", DataType::Int64, false),
                ("customer", DataType::Utf8, true),
                ("state", DataType::Utf8, true),
                ("currency", DataType::Utf8, true),
                ("amount", DataType::Decimal128(38, 6), true),
            ])),
            Some("base/rates.schema.json") => Ok(schema(&[
                ("currency", DataType::Utf8, false),
                ("version", DataType::Int64, false),
                ("rate", DataType::Decimal128(38, 12), true),
            ])),
            Some("base/instrument.json") => Ok(schema(&[
                ("instrument_id", DataType::Utf8, false),
                ("issuer", DataType::Utf8, true),
                ("rate", DataType::Decimal128(38, 12), true),
                ("number", DataType::Int64, true),
            ])),
            _ => Err(Problem {
                code: "schema_unreadable",
                message: format!("cannot read schema {}", file.display()),
                hint: Some("paths are relative to the pipeline file".to_owned()),
            }),
        }
    }

    fn plugins(&self, folder: &Path) -> Vec<String> {
        let names = match folder.to_str() {
            Some("base/plugins") => "normalize strict reserved settle total closed",
            _ => "",
        };
        names.split_whitespace().map(str::to_owned).collect()
    }

    fn config_schema(&self, file: &Path) -> Result<String, Problem> {
        let schema = match file.to_str() {
            Some("base/plugins/closed.wasm") => {
                r#"{ "type": "object", "additionalProperties": false }"#
            }
            _ => {
                r#"{
            "type": "object", "additionalProperties": false,
            "properties": {
                "currency": { "type": "string", "pattern": "^[A-Z]{3}$", "description": "Three capital letters." },
                "regimes": { "type": "array", "items": { "enum": ["north", "south"] } },
                "limit": { "type": "integer", "minimum": 0 }
            }
        }"#
            }
        };
        Ok(schema.to_owned())
    }

    fn plugin(&self, file: &Path, _config: &str) -> Result<Shape, Problem> {
        let port = |name: &str, schema| Port {
            name: name.to_owned(),
            schema,
        };
        let id = || {
            schema(&[
                ("trade_id", DataType::Utf8, false),
                ("quantity", DataType::Decimal128(38, 9), true),
            ])
        };
        let (is_group, inputs, outputs) = match file.to_str() {
            Some("base/plugins/normalize.wasm") => (
                false,
                vec![port("in", schema(&[("text", DataType::Utf8, true)]))],
                vec![port("out", trade())],
            ),
            Some("base/plugins/strict.wasm") => {
                let asked = schema(&[
                    ("entity", DataType::Utf8, false),
                    ("version", DataType::Utf8, true),
                ]);
                (false, vec![port("in", asked)], vec![port("out", id())])
            }
            Some("base/plugins/reserved.wasm") => {
                let own = schema(&[("_offset", DataType::Int64, false)]);
                (false, vec![port("in", schema(&[]))], vec![port("out", own)])
            }
            Some("base/plugins/settle.wasm") => (
                true,
                vec![
                    port("trades", id()),
                    port(
                        "confirmations",
                        schema(&[("trade_id", DataType::Utf8, false)]),
                    ),
                ],
                vec![
                    port("legs", id()),
                    port("flags", schema(&[("trade_id", DataType::Utf8, false)])),
                ],
            ),
            Some("base/plugins/total.wasm") => {
                (true, vec![port("rows", id())], vec![port("out", id())])
            }
            _ => unreachable!("the check asks for plugins that are there"),
        };
        let (name, version) = ("made".to_owned(), "1.0.0".to_owned());
        Ok(Shape {
            name,
            version,
            is_group,
            inputs,
            outputs,
        })
    }

    fn client_property(&self, key: &str, value: &str) -> Option<Problem> {
        (key == "ssl.truststore.location").then(|| Problem {
            code: "java_property",
            message: format!(
                "\"{key}\" is a property of the Java client (its value is \"{value}\")"
            ),
            hint: Some("librdkafka calls it \"ssl.ca.location\"".to_owned()),
        })
    }
}

/// Checks a whole file.
pub(crate) fn check(text: &str) -> (Option<Plan>, Vec<Diagnostic>) {
    weir_spec::check("p.yaml", text, Path::new("base"), &Made, &Made)
}

/// A file of twelve lines of sources, and what is given from line 13 on.
pub(crate) fn with_sources(rest: &str) -> String {
    let head = r#"weir: 1
name: made
clusters:
  main: { bootstrap.servers: "localhost:9092" }
registries:
  reg: { url: "http://localhost:8081" }
sources:
  trades: { kafka: { cluster: main, topic: trades }, decode: { json: { schema: trade.json } } }
  more: { kafka: { cluster: main, topic: more }, decode: { avro: { registry: reg, schema: trade.avsc } } }
  instruments: { kafka: { cluster: main, topic: ins, start: latest }, decode: { json: { schema: instrument.json } } }
  lines: { kafka: { cluster: main, topic: lines }, decode: text }
# what is tested begins in line 13
"#;
    format!("{head}{rest}")
}
