//! The Avro topics: a record as a JSON object (decimals as text, dates ISO, unions plain) to bytes of its schema.

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail};
use apache_avro::schema::Name;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema};
use serde_json::Value;

/// A topic's schema: its text for the registry, and parsed.
#[derive(Debug)]
pub(crate) struct Encoder {
    pub(crate) text: &'static str,
    schema: Schema,
    /// Records that are named once and referred to after.
    named: HashMap<Name, Schema>,
}

impl Encoder {
    /// The encoder of a topic, where its values are Avro.
    pub(crate) fn of(topic: &str) -> Result<Option<Self>> {
        let text = match topic {
            "trades.repos" => include_str!("../../../schemas/raw/repo.avsc"),
            "holdings" => include_str!("../../../schemas/raw/holding.avsc"),
            _ => return Ok(None),
        };
        let schema = Schema::parse_str(text).with_context(|| format!("the schema of {topic}"))?;
        let mut named = HashMap::new();
        names(&schema, &mut named);
        Ok(Some(Self {
            text,
            schema,
            named,
        }))
    }

    /// The bytes of a record, without a header.
    pub(crate) fn encode(&self, value: &Value) -> Result<Vec<u8>> {
        let value = self.value(value, &self.schema)?;
        let writer = GenericDatumWriter::builder(&self.schema)
            .build()
            .context("no schema to write with")?;
        writer
            .write_value_to_vec(value)
            .context("no record of its schema")
    }

    fn value(&self, value: &Value, schema: &Schema) -> Result<Avro> {
        Ok(match (schema, value) {
            (Schema::Ref { name }, value) => {
                let schema = self
                    .named
                    .get(name)
                    .with_context(|| format!("no schema {name:?}"))?;
                return self.value(value, schema);
            }
            (Schema::Null, Value::Null) => Avro::Null,
            (Schema::Boolean, Value::Bool(value)) => Avro::Boolean(*value),
            (Schema::String, Value::String(text)) => Avro::String(text.clone()),
            (Schema::Long, Value::Number(number)) => {
                Avro::Long(number.as_i64().context("no long")?)
            }
            (Schema::Date, Value::String(text)) => Avro::Date(days(text)?),
            (Schema::Decimal(decimal), Value::String(text)) => {
                Avro::Decimal(Decimal::from(unscaled(text, decimal.scale)?.to_be_bytes()))
            }
            (Schema::Enum(symbols), Value::String(text)) => {
                let place = symbols.symbols.iter().position(|symbol| symbol == text);
                let place = place.with_context(|| format!("no symbol {text}"))?;
                Avro::Enum(u32::try_from(place)?, text.clone())
            }
            (Schema::Union(union), value) => {
                let branches = union.variants().iter().enumerate();
                let mut fits =
                    branches.filter_map(|(at, schema)| Some((at, self.value(value, schema).ok()?)));
                let (at, value) = fits.next().context("no branch of the union fits")?;
                Avro::Union(u32::try_from(at)?, Box::new(value))
            }
            (Schema::Record(record), Value::Object(object)) => {
                let field = |field: &apache_avro::schema::RecordField| {
                    let value = object
                        .get(&field.name)
                        .or(field.default.as_ref())
                        .unwrap_or(&Value::Null);
                    let value = self
                        .value(value, &field.schema)
                        .with_context(|| field.name.clone())?;
                    Ok((field.name.clone(), value))
                };
                Avro::Record(record.fields.iter().map(field).collect::<Result<_>>()?)
            }
            (schema, value) => bail!("{value} is no {schema:?}"),
        })
    }
}

fn names(schema: &Schema, named: &mut HashMap<Name, Schema>) {
    if let Schema::Record(record) = schema {
        named.insert(record.name.clone(), schema.clone());
        record
            .fields
            .iter()
            .for_each(|field| names(&field.schema, named));
    }
    if let Schema::Union(union) = schema {
        union
            .variants()
            .iter()
            .for_each(|variant| names(variant, named));
    }
}

/// Days since 1970-01-01 of `2026-03-02`.
fn days(text: &str) -> Result<i32> {
    let parts: Vec<i32> = text
        .split('-')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .context("no date")?;
    let [year, month, day] = parts[..] else {
        bail!("{text} is no date")
    };
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let doy = (153 * m + 2) / 5 + day - 1;
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    Ok(era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468)
}

/// `98.5` at scale 3 is 98500.
fn unscaled(text: &str, scale: usize) -> Result<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > scale {
        bail!("{text} has more than {scale} decimals");
    }
    format!("{whole}{fraction:0<scale$}")
        .parse()
        .with_context(|| format!("{text} is no decimal"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A record is encoded with its unions, dates and decimals; what has too many decimals is no record.
    #[test]
    fn a_repo_is_encoded() {
        let encoder = Encoder::of("trades.repos").unwrap().unwrap();
        let asset = json!({ "instrument_id": "X", "nominal": "5.5" });
        let mut repo = json!({
            "repo_id": "R", "version": 1, "action": "NEW", "direction": "REPO", "collateral": asset, "received": asset,
            "cash": "1000.25", "ccy": "USD", "repo_rate_pct": "-0.5", "start_date": "2026-03-02", "maturity_date": null,
            "entity": "E", "book": "B", "counterparty": "C", "rehypothecable": true, "reused": false,
        });
        assert!(encoder.encode(&repo).is_ok());
        repo["cash"] = "0.0000001".into();
        assert!(encoder.encode(&repo).is_err());
    }

    /// Dates on both sides of a leap day, decimals on both sides of zero.
    #[test]
    fn days_and_decimals() {
        assert_eq!(
            (days("1970-01-01").unwrap(), days("2026-03-06").unwrap()),
            (0, 20_518)
        );
        assert_eq!(
            (unscaled("-0.5", 3).unwrap(), unscaled("98", 2).unwrap()),
            (-500, 9_800)
        );
    }
}
