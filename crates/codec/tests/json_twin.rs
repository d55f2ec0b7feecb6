//! The fast JSON decoder against its slow twin, which parses with `serde_json`, validates with
//! `jsonschema` and converts numbers as strings of digits.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use jsonschema::error::ValidationErrorKind;
use proptest::prelude::*;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt;
use weir_codec::{Decoder, JsonDecoder, RawRecord};

/// Random choices out of a byte string, so that a failing case shrinks.
struct Choices<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or(0)) % n
    }

    fn of<'t>(&mut self, options: &[&'t str]) -> &'t str {
        options[self.below(options.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        // A shrunk, empty string of choices says no.
        self.below(n) == n - 1
    }
}

const NAMES: &[&str] = &[
    "a",
    "b",
    "dealId",
    "ccyPair",
    "päng",
    "quo\"te",
    "back\\slash",
    "a b",
    "tab\there",
    "x0123456789012345678",
];

fn schema(choices: &mut Choices<'_>, depth: usize) -> Value {
    let mut properties = Map::new();
    for _ in 0..=choices.below(6) {
        let property = property(choices, depth);
        properties.insert(choices.of(NAMES).to_owned(), property);
    }
    let required: Vec<String> = properties
        .keys()
        .filter(|_| choices.one_in(3))
        .cloned()
        .collect();
    let mut schema = json!({"type": "object", "properties": properties, "required": required});
    if choices.one_in(5) {
        schema["additionalProperties"] = json!(false);
    }
    schema
}

fn property(choices: &mut Choices<'_>, depth: usize) -> Value {
    let mut property = match choices.below(if depth < 2 { 11 } else { 9 }) {
        0 => json!({"type": "string"}),
        1 => json!({"type": "integer"}),
        2 => json!({"type": "boolean"}),
        3 => json!({"type": "number"}),
        4 => json!({"type": "number", "x-decimal": [choices.below(38) + 1, 0]}),
        5 => json!({"type": ["number", "string", "boolean"]}),
        6 => json!({"type": ["integer", "string"]}),
        7 => json!({"type": "string", "x-type": choices.of(&["date32", "timestamp"])}),
        8 => json!({"type": "string", "enum": ["BUY", "SELL", "ä"], "maxLength": 4}),
        9 => schema(choices, depth + 1),
        _ => json!({"type": "array", "items": property(choices, depth + 1)}),
    };
    if property.get("x-decimal").is_some() {
        let precision = property["x-decimal"][0].as_u64().unwrap();
        property["x-decimal"][1] = json!(choices.below(usize::try_from(precision).unwrap() + 1));
    }
    if property["type"].is_string() && property.get("enum").is_none() && choices.one_in(5) {
        property["type"] = json!([property["type"], "null"]);
    }
    property
}

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "12.50",
    "0.1",
    "1e3",
    "1E-2",
    "1.5e+1",
    "-0.000",
    "123456789012345678",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "99999999999999999999999999999999999999",
    "1234567890123456789012345678901234567890",
    "0.00000000000000000000000000000000000001",
    "1.10000000000000000000000000000000000000000000",
    "1e400",
    "1e-400",
    "0e999",
    "100e-2",
    "01",
    "1.",
    ".5",
    "+1",
    "NaN",
    "Infinity",
    "-",
    "1e",
    "0x10",
];
const STRINGS: &[&str] = &[
    r#""BUY""#,
    r#""SELL""#,
    r#""""#,
    r#""ä""#,
    r#""tab\t nl\n \u00e4 \ud83d\ude00 \/ \b\f\r\"\\""#,
    r#""2026-03-17""#,
    r#""2026-02-30""#,
    r#""2026-03-17T09:00:00.25+01:00""#,
    r#""2026-03-17T09:00:00""#,
    r#""\ud800""#,
    r#""\udc00\ud800""#,
    r#""\x""#,
    r#""\u12""#,
    "\"a\tb\"",
    r#""a longer text that takes more than eight bytes, up to the quote""#,
    r#""unfinished"#,
    r#""\u0000""#,
    r#""12.5""#,
];

fn write_value(choices: &mut Choices<'_>, property: &Value, out: &mut String) {
    if choices.one_in(12) {
        out.push_str(choices.of(&[
            "null",
            "true",
            "{}",
            "[]",
            "[1,{\"a\":[]}]",
            "{\"z\":{\"y\":1}}",
            "nul",
            "tru",
            "",
            "}",
            "\"x\"",
        ]));
        return;
    }
    match type_name(property) {
        "object" => write_object(choices, property, out),
        "array" => {
            out.push('[');
            for n in 0..choices.below(3) {
                out.push_str(if n > 0 { "," } else { "" });
                space(choices, out);
                write_value(choices, &property["items"], out);
            }
            out.push(']');
        }
        "string" => out.push_str(choices.of(STRINGS)),
        "boolean" => out.push_str(choices.of(&["true", "false"])),
        "mixed" if choices.one_in(2) => out.push_str(choices.of(STRINGS)),
        _ => out.push_str(choices.of(NUMBERS)),
    }
}

fn write_object(choices: &mut Choices<'_>, schema: &Value, out: &mut String) {
    out.push('{');
    let mut names: Vec<&str> = schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    if choices.one_in(4) {
        names.reverse();
    }
    if choices.one_in(8) {
        names.push(choices.of(NAMES));
    }
    let mut is_first = true;
    for name in names {
        if choices.one_in(10) {
            continue;
        }
        out.push_str(if is_first { "" } else { "," });
        is_first = false;
        space(choices, out);
        if name == "a" && choices.one_in(3) {
            out.push_str(r#""\u0061""#);
        } else {
            out.push_str(&serde_json::to_string(name).unwrap());
        }
        space(choices, out);
        out.push(':');
        space(choices, out);
        match schema["properties"].get(name) {
            Some(property) => write_value(choices, property, out),
            None => out.push_str(choices.of(&[
                "1",
                "\"x\"",
                "{\"b\":[1,2,{\"c\":null}]}",
                "[]",
                "{}",
                "{\"b\" 1}",
                "[1 2]",
            ])),
        }
        space(choices, out);
    }
    out.push('}');
}

fn space(choices: &mut Choices<'_>, out: &mut String) {
    if choices.one_in(6) {
        out.push_str(choices.of(&[" ", "\n", "\t", "\r\n", "\u{b}", "   "]));
    }
}

fn document(choices: &mut Choices<'_>, schema: &Value) -> Vec<u8> {
    let mut text = String::new();
    write_object(choices, schema, &mut text);
    if choices.one_in(10) {
        text.push_str(choices.of(&[" ", "\n", "x", "{}", ",", "\0"]));
    }
    let mut bytes = text.into_bytes();
    while choices.one_in(4) && !bytes.is_empty() {
        let at = choices.below(256) * bytes.len() / 256;
        match choices.below(3) {
            0 => bytes.truncate(at),
            1 => bytes[at] = u8::try_from(choices.below(256)).unwrap(),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

fn type_name(property: &Value) -> &str {
    match &property["type"] {
        Value::String(one) => one,
        Value::Array(many) if many.len() == 2 && many[1] == "null" => many[0].as_str().unwrap(),
        _ => "mixed",
    }
}

fn takes_null(property: &Value) -> bool {
    property["type"]
        .as_array()
        .is_some_and(|types| types.iter().any(|one| one == "null"))
}

/// An object's names and values as they were written, repeated names included.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Pairs<'a> {
    fn of(text: &'a str) -> Self {
        let mut reader = serde_json::Deserializer::from_str(text);
        reader.deserialize_map(PairsVisitor).unwrap()
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}

type Codes = BTreeSet<&'static str>;

/// The row as text, or every reason why there is none.
fn twin(schema: &Value, bytes: &[u8]) -> Result<String, Codes> {
    let text = std::str::from_utf8(bytes).or(Err(Codes::from(["invalid_utf8"])))?;
    let value: Value = serde_json::from_str(text).or(Err(Codes::from(["invalid_json"])))?;
    let mut codes = Codes::new();
    let validator = jsonschema::validator_for(schema).unwrap();
    for error in validator.iter_errors(&prepared(schema, &value)) {
        codes.insert(match error.kind() {
            ValidationErrorKind::Required { .. } => "missing_field",
            ValidationErrorKind::Type { .. } => "wrong_type",
            ValidationErrorKind::AdditionalProperties { .. } => "unknown_field",
            _ => "schema_violation",
        });
    }
    if !value.is_object() {
        return Err(codes);
    }
    let row = twin_object(schema, text, &mut codes);
    if codes.is_empty() {
        Ok(row)
    } else {
        Err(codes)
    }
}

/// What `jsonschema` is to judge: an explicit null is a missing field.
fn prepared(schema: &Value, value: &Value) -> Value {
    match (type_name(schema), value) {
        ("object", Value::Object(map)) => {
            let mut map = map.clone();
            map.retain(|name, value| {
                !value.is_null() || schema["properties"].get(name).is_some_and(takes_null)
            });
            if schema.get("additionalProperties").is_some() {
                // An unknown name is one whatever its value.
                map.extend(
                    value
                        .as_object()
                        .unwrap()
                        .iter()
                        .filter(|(name, _)| schema["properties"].get(name.as_str()).is_none())
                        .map(|(k, v)| (k.clone(), v.clone())),
                );
            }
            let inner = |(name, value): (String, Value)| {
                let value = schema["properties"]
                    .get(&name)
                    .map_or(value.clone(), |property| prepared(property, &value));
                (name, value)
            };
            Value::Object(map.into_iter().map(inner).collect())
        }
        ("array", Value::Array(items)) => items
            .iter()
            .map(|item| prepared(&schema["items"], item))
            .collect(),
        // `jsonschema` takes numbers for binary floating point, where 1e-400 is the integer 0.
        (_, Value::Number(number)) => json!(if twin_digits(&number.to_string(), 0).is_some() {
            1.0
        } else {
            0.5
        }),
        _ => value.clone(),
    }
}

fn twin_object(schema: &Value, text: &str, codes: &mut Codes) -> String {
    let pairs = Pairs::of(text).0;
    let mut cells = Vec::new();
    for (name, property) in schema["properties"].as_object().unwrap() {
        let values: Vec<_> = pairs.iter().filter(|(other, _)| other == name).collect();
        if values.len() > 1 {
            codes.insert("duplicate_key");
        }
        for (_, value) in &values[1.min(values.len())..] {
            twin_value(property, value.get(), codes);
        }
        cells.push(values.first().map_or("null".to_owned(), |(_, value)| {
            twin_value(property, value.get(), codes)
        }));
    }
    format!("{{{}}}", cells.join(","))
}

fn twin_value(property: &Value, text: &str, codes: &mut Codes) -> String {
    let text = text.trim();
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        codes.insert("invalid_json");
        return String::new();
    };
    match (type_name(property), &value) {
        (_, Value::Null) => "null".to_owned(),
        ("object", Value::Object(_)) => twin_object(property, text, codes),
        ("array", Value::Array(_)) => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            let items: Vec<_> = items
                .iter()
                .map(|item| twin_value(&property["items"], item.get(), codes))
                .collect();
            format!("[{}]", items.join(","))
        }
        ("string", Value::String(value)) => match property.get("x-type").and_then(Value::as_str) {
            None => format!("{value:?}"),
            Some(name) => twin_time(name, value).unwrap_or_else(|| {
                codes.insert("wrong_type");
                String::new()
            }),
        },
        ("integer", Value::Number(_)) => twin_number(text, 38, 0)
            .and_then(|value| i64::try_from(value).ok())
            .map_or_else(
                || {
                    codes.insert("number_range");
                    String::new()
                },
                |value| value.to_string(),
            ),
        ("number", Value::Number(_)) if property.get("x-decimal").is_some() => {
            let part =
                |i: usize| usize::try_from(property["x-decimal"][i].as_u64().unwrap()).unwrap();
            twin_number(text, part(0), part(1)).map_or_else(
                || {
                    codes.insert("number_range");
                    String::new()
                },
                |value| value.to_string(),
            )
        }
        ("mixed" | "number", Value::String(value)) => format!("{value:?}"),
        ("mixed" | "number", Value::Number(_)) => format!("{:?}", twin_plain(text)),
        ("mixed" | "number", _) => format!("{text:?}"),
        (_, value) => value.to_string(),
    }
}

/// Whole and fractional digits, sign aside, the point moved by moving characters.
fn twin_moved(literal: &str) -> (String, String) {
    let (number, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
    let number = number.trim_start_matches('-');
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Far beyond any column, but not beyond memory.
    let exponent = exponent.parse::<i64>();
    let exponent = exponent
        .unwrap_or(if literal.contains("e-") {
            -5_000
        } else {
            5_000
        })
        .clamp(-5_000, 5_000);
    let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
    for _ in 0..exponent {
        whole.push(if fraction.is_empty() {
            '0'
        } else {
            fraction.remove(0)
        });
    }
    for _ in exponent..0 {
        fraction.insert(0, whole.pop().unwrap_or('0'));
    }
    (whole.trim_start_matches('0').to_owned(), fraction)
}

/// The digits of a number with so many decimals, sign aside. `None` when there are more decimals than that.
fn twin_digits(literal: &str, scale: usize) -> Option<String> {
    let (whole, fraction) = twin_moved(literal);
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction:0<scale$}");
    (fraction.len() <= scale).then(|| digits.trim_start_matches('0').to_owned())
}

fn twin_plain(literal: &str) -> String {
    if !literal.contains(['e', 'E']) {
        return literal.to_owned();
    }
    let (whole, fraction) = twin_moved(literal);
    if whole.is_empty() && fraction.trim_matches('0').is_empty() {
        return "0".to_owned();
    }
    let sign = if literal.starts_with('-') { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { &whole };
    let plain = format!(
        "{sign}{whole}{}{fraction}",
        if fraction.is_empty() { "" } else { "." }
    );
    if plain.len() > 128 {
        literal.to_owned()
    } else {
        plain
    }
}

fn twin_number(literal: &str, precision: usize, scale: usize) -> Option<i128> {
    let digits = twin_digits(literal, scale).filter(|digits| digits.len() <= precision)?;
    let sign = if literal.starts_with('-') { "-" } else { "" };
    if digits.is_empty() {
        Some(0)
    } else {
        format!("{sign}{digits}").parse().ok()
    }
}

fn twin_time(name: &str, text: &str) -> Option<String> {
    // The generator's texts; whatever else a corrupted byte makes is checked by the unit tests.
    match (name, text) {
        ("date32", "2026-03-17") => Some("20529".to_owned()),
        ("timestamp", "2026-03-17T09:00:00.25+01:00") => Some("1773734400250000".to_owned()),
        _ => None,
    }
}

fn render(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    match array.data_type() {
        DataType::Utf8 => format!("{:?}", array.as_string::<i32>().value(row)),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).to_string(),
        DataType::Timestamp(_, _) => array
            .as_primitive::<TimestampMicrosecondType>()
            .value(row)
            .to_string(),
        DataType::Decimal128(_, _) => array
            .as_primitive::<Decimal128Type>()
            .value(row)
            .to_string(),
        DataType::Struct(_) => {
            let cells: Vec<_> = array
                .as_struct()
                .columns()
                .iter()
                .map(|column| render(column, row))
                .collect();
            format!("{{{}}}", cells.join(","))
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items: Vec<_> = (0..items.len()).map(|row| render(&items, row)).collect();
            format!("[{}]", items.join(","))
        }
        _ => array_value_to_string(array, row).unwrap(),
    }
}

fn record(offset: i64, value: &[u8]) -> RawRecord {
    RawRecord {
        partition: 0,
        offset,
        timestamp_us: 0,
        key: None,
        value: Some(Bytes::copy_from_slice(value)),
        headers: weir_codec::Headers::default(),
    }
}

fn is_time(text: &[u8]) -> bool {
    // A corrupted date may be another good date, which the twin does not know.
    String::from_utf8_lossy(text).contains("20") && !text.is_empty()
}

fn compare(choices: &[u8]) {
    let mut choices = Choices {
        bytes: choices.iter(),
    };
    let schema = schema(&mut choices, 0);
    let documents: Vec<_> = (0..4)
        .map(|_| document(&mut choices, &schema))
        .filter(|bytes| !bytes.is_empty())
        .collect();
    let records: Vec<_> = (0..)
        .zip(&documents)
        .map(|(offset, bytes)| record(offset, bytes))
        .collect();
    let decoded = JsonDecoder::new(&schema.to_string(), false)
        .unwrap()
        .decode(&records);
    assert_eq!(decoded.rows.len() + decoded.refused.len(), records.len());
    for (index, document) in documents.iter().enumerate() {
        let expected = twin(&schema, document);
        let row = decoded.rows.iter().position(|row| *row as usize == index);
        let refused = decoded.refused.iter().find(|(at, _)| *at as usize == index);
        let text = String::from_utf8_lossy(document);
        match (expected, row, refused) {
            (Ok(expected), Some(row), None) => {
                let cells: Vec<_> = decoded
                    .batch
                    .columns()
                    .iter()
                    .map(|column| render(column, row))
                    .collect();
                assert_eq!(
                    format!("{{{}}}", cells.join(",")),
                    expected,
                    "{schema}\n{text}"
                );
            }
            (Err(codes), None, Some((_, why))) => {
                // `jsonschema` sees only the last of repeated names, and nothing of what is no JSON.
                let is_known = [why.code, "invalid_json", "duplicate_key"]
                    .iter()
                    .any(|code| codes.contains(code));
                assert!(is_known, "{schema}\n{text}\nfast: {why:?}\ntwin: {codes:?}");
            }
            (Err(codes), Some(_), None)
                if codes.iter().all(|code| *code == "wrong_type") && is_time(document) => {}
            (expected, _, _) => panic!("{schema}\n{text}\nfast: {refused:?}\ntwin: {expected:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Goal: the fast decoder takes and refuses what the slow one does, with the same values.
    /// Method: random schemas, four documents each, some with broken syntax and corrupted bytes.
    #[test]
    fn fast_equals_slow(choices in proptest::collection::vec(any::<u8>(), 0..400)) {
        compare(&choices);
    }
}
