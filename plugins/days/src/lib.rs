//! For tests: the recorded days of `tests/days`, as rows for a normaliser.
//!
//! The records are turned into rows as the engine's decoders would: a JSON number's text is kept, its exponent written
//! out, an Avro record's numbers and dates are typed. What a decoder refuses is counted here.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use weir_sdk::columns::Columns;
use weir_sdk::harness::{Ran, batch};
use weir_sdk::wire::{Batch, Column, Head, Layout, Span, Varlen};
use weir_sdk::{Data, Description, Failure, Field, Json, Kind, Output, Table, Transform};

/// The days there are.
pub const DAYS: [&str; 2] = ["sample-core", "sample-day"];

const CONFLICT: &str = "version_conflict";

/// Codes of refusals that only later stages can know of.
const LATER: [&str; 3] = [CONFLICT, "over_settled", "four_eyes"];

/// The records of one topic of one day.
#[derive(Debug)]
pub struct Topic {
    records: Vec<Json>,
    expected: Vec<String>,
    conflicts: Vec<String>,
    tombstones: bool,
}

/// What became of a topic's records.
#[derive(Debug)]
pub struct Outcome {
    /// Offsets that the decoder or the normaliser refused, in order.
    pub refused: Vec<String>,
    /// Offsets that must be refused before any stage that keeps state.
    pub expected: Vec<String>,
    /// Offsets that must be refused for their version.
    pub conflicts: Vec<String>,
    /// What the normaliser made of the others.
    pub ran: Ran,
    /// Offset of each record that it read.
    pub read: Vec<String>,
}

impl Topic {
    /// Reads a topic's file, and what must be refused of it at the day's last instant.
    pub fn read(day: &str, topic: &str, tombstones: bool) -> Self {
        let folder = folder(day);
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let parse =
            |text: &str| Json::parse(text).unwrap_or_else(|error| panic!("{day} {topic}: {error}"));
        let records = read(&format!("{topic}.jsonl")).lines().map(parse).collect();
        let expected = parse(&read("expected.json"));
        let last = expected
            .get("instants")
            .and_then(|instants| instants.items().last())
            .expect("a day has instants");
        let refused = last
            .get("refused")
            .expect("an instant has refusals")
            .items()
            .iter();
        let refused: Vec<&Json> = refused
            .filter(|refusal| text(refusal, "topic") == Some(topic))
            .collect();
        let places = |wanted: &dyn Fn(&str) -> bool| {
            let wanted = refused
                .iter()
                .filter(|refusal| wanted(text(refusal, "code").unwrap_or_default()));
            sorted(wanted.map(|refusal| place(refusal)).collect())
        };
        let expected = places(&|code| !LATER.contains(&code));
        Self {
            records,
            expected,
            conflicts: places(&|code| code == CONFLICT),
            tombstones,
        }
    }

    /// Puts the records through a decoder's twin and a normaliser.
    pub fn run<T: Transform>(&self, config: &str) -> Outcome {
        let fields = input(&T::description(), config);
        let mut refused = Vec::new();
        let mut rows = Vec::new();
        let mut read = Vec::new();
        for record in &self.records {
            match decoded(record, &fields, self.tombstones) {
                Some(row) => {
                    rows.push(row);
                    read.push(place(record));
                }
                None => refused.push(place(record)),
            }
        }
        let ran = transform::<T>(config, &rows.join("\n")).expect("the config is good");
        refused.extend(
            ran.refusals
                .iter()
                .map(|refusal| read[refusal.row as usize].clone()),
        );
        let (expected, conflicts) = (self.expected.clone(), self.conflicts.clone());
        Outcome {
            refused: sorted(refused),
            expected,
            conflicts,
            ran,
            read,
        }
    }
}

/// The days that have a topic; there is at least one.
fn days_of(topic: &str) -> impl Iterator<Item = &'static str> {
    let days: Vec<&str> = DAYS
        .into_iter()
        .filter(|day| folder(day).join(format!("{topic}.jsonl")).exists())
        .collect();
    assert!(!days.is_empty(), "no day has {topic}");
    days.into_iter()
}

fn folder(day: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/days")
        .join(day)
}

/// Opens a transform and runs it on rows written as text, as the harness does, with columns that are lists too.
pub fn transform<T: Transform>(config: &str, rows: &str) -> Result<Ran, Failure> {
    let config = Json::parse(config)?;
    let description = T::description();
    let shape = description.shape(&config).expect("a shape for the config");
    let plugin = T::open(&config, &Data::default())?;
    let rows = with_lists(&shape.inputs[0].fields, rows);
    let mut out = Output::new(Table::new(&shape.outputs[0].fields, rows.len()));
    plugin.transform(&rows, &mut out);
    let (rows, origin, refusals) = out.finish();
    Ok(Ran {
        rows,
        origin,
        refusals,
    })
}

/// A batch of rows written as text, of columns that may be lists of records.
fn with_lists(fields: &[Field], rows: &str) -> Batch {
    let is_list = |field: &&Field| field.kind == Kind::List;
    let plain: Vec<Field> = fields
        .iter()
        .filter(|field| !is_list(field))
        .cloned()
        .collect();
    let mut whole = batch(&plain, rows);
    let rows: Vec<Json> = rows
        .lines()
        .map(|row| Json::parse(row).expect("a row is JSON"))
        .collect();
    for field in fields.iter().filter(is_list) {
        list(field, &rows, &mut whole);
    }
    whole
}

/// Adds a list column: its offsets, its item, and the item's columns.
fn list(field: &Field, rows: &[Json], whole: &mut Batch) {
    let item = &field.children[0];
    let mut validity = vec![0_u8; rows.len().div_ceil(8)];
    let mut offsets = 0_u32.to_le_bytes().to_vec();
    let (mut items, mut item_validity) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        if let Some(Json::List(values)) = row.get(field.name) {
            validity[at / 8] |= 1 << (at % 8);
            for value in values {
                let bit = items.len();
                item_validity.resize(bit / 8 + 1, 0_u8);
                item_validity[bit / 8] |= u8::from(*value != Json::Null) << (bit % 8);
                items.push(decoded_object(value, &item.children).expect("an item is a record"));
            }
        }
        let end = u32::try_from(items.len()).expect("a test has few items");
        offsets.extend_from_slice(&end.to_le_bytes());
    }
    let inside = batch(&item.children, &items.join("\n"));
    let offsets = whole.buffer(offsets);
    for (field, validity, data) in [
        (field, validity, Layout::Nested(offsets)),
        (item, item_validity, Layout::None),
    ] {
        let column = Column {
            head: Head::of(field),
            validity: Some(whole.buffer(validity)),
            data,
        };
        whole.columns.push(column);
    }
    for column in &inside.columns {
        copy(column, &inside, whole);
    }
}

/// Adds a column of a batch that the harness wrote.
fn copy(column: &Column, from: &Batch, to: &mut Batch) {
    let mut span = |span: Span| to.buffer(from.bytes(span).to_vec());
    let column = Column {
        head: column.head,
        validity: column.validity.map(&mut span),
        data: match column.data {
            Layout::None => Layout::None,
            Layout::Bits(bits) => Layout::Bits(span(bits)),
            Layout::Fixed(values) => Layout::Fixed(span(values)),
            Layout::Varlen(values) => Layout::Varlen(Varlen {
                offsets: span(values.offsets),
                bytes: span(values.bytes),
            }),
            Layout::Nested(_) => unreachable!("it writes none"),
        },
    };
    to.columns.push(column);
}

/// The cells of a record inside a record, as the harness reads them.
fn decoded_object(value: &Json, fields: &[Field]) -> Option<String> {
    let cell = |field: &Field| typed(field, value.get(field.name).unwrap_or(&Json::Null));
    let cells: Option<Vec<String>> = fields.iter().map(cell).collect();
    Some(format!("{{{}}}", cells?.join(",")))
}

/// On every day, exactly the records that must be are refused, and every other one gives a row.
pub fn check<T: Transform>(config: &str, topic: &str, tombstones: bool) {
    for day in days_of(topic) {
        let read = Topic::read(day, topic, tombstones);
        let outcome = read.run::<T>(config);
        assert_eq!(outcome.refused, outcome.expected, "{day} {topic}");
        let mut accepted = outcome.ran.origin.clone();
        accepted.dedup();
        assert_eq!(
            accepted.len() + outcome.refused.len(),
            read.records.len(),
            "{day} {topic}: a row for each"
        );
    }
}

/// On every day, exactly those records whose version came before with other content differ from it in their rows.
pub fn check_versions<T: Transform>(config: &str, topic: &str, tombstones: bool, key: &str) {
    for day in days_of(topic) {
        let outcome = Topic::read(day, topic, tombstones).run::<T>(config);
        assert_eq!(conflicts(&outcome, key), outcome.conflicts, "{day} {topic}");
    }
}

/// What a stage that keeps the highest version would refuse.
fn conflicts(outcome: &Outcome, key: &str) -> Vec<String> {
    let columns = Columns::of(&outcome.ran.rows);
    let (keys, versions) = (columns.text(key), columns.fixed::<i64>("version"));
    let is_keyed = outcome
        .ran
        .rows
        .columns
        .iter()
        .any(|column| column.head.name == "deleted");
    let deleted = is_keyed.then(|| columns.bools("deleted"));
    let printed = outcome.ran.to_string();
    let printed: Vec<&str> = printed
        .lines()
        .map(|line| line.split_once(": ").expect("a row").1)
        .collect();
    let mut seen: BTreeMap<(&str, i64), String> = BTreeMap::new();
    let mut found = Vec::new();
    for (content, at) in contents(&outcome.ran.origin, &printed) {
        let key = keys.get(at).expect("a key");
        if deleted.is_some_and(|deleted| deleted.get(at) == Some(true)) {
            seen.retain(|(other, _), _| *other != key);
            continue;
        }
        let version = versions.get(at).expect("a version");
        if seen
            .entry((key, version))
            .or_insert_with(|| content.clone())
            != &content
        {
            found.push(outcome.read[outcome.ran.origin[at] as usize].clone());
        }
    }
    sorted(found)
}

/// The rows of each record as one text, and the index of its first.
fn contents(origin: &[u32], printed: &[&str]) -> Vec<(String, usize)> {
    let starts = (0..origin.len()).filter(|at| *at == 0 || origin[*at] != origin[at - 1]);
    let rows =
        |start: usize| (start..origin.len()).take_while(move |at| origin[*at] == origin[start]);
    starts
        .map(|start| {
            (
                rows(start)
                    .map(|at| printed[at])
                    .collect::<Vec<_>>()
                    .join("\n"),
                start,
            )
        })
        .collect()
}

fn input(description: &Description, config: &str) -> Vec<Field> {
    let config = Json::parse(config).expect("the config is JSON");
    description
        .shape(&config)
        .expect("a shape for the config")
        .inputs[0]
        .fields
        .clone()
}

fn text<'j>(json: &'j Json, name: &str) -> Option<&'j str> {
    json.get(name).and_then(Json::as_str)
}

/// `partition/offset`, so that it sorts.
fn place(record: &Json) -> String {
    let number = |name: &str| {
        record
            .get(name)
            .and_then(Json::as_i64)
            .expect("a record has a place")
    };
    format!("{}/{:06}", number("partition"), number("offset"))
}

fn sorted(mut places: Vec<String>) -> Vec<String> {
    places.sort();
    places
}

/// The row that the decoder makes of a record, as JSON; none when it refuses.
fn decoded(record: &Json, fields: &[Field], tombstones: bool) -> Option<String> {
    if let Some(text) = text(record, "text") {
        let offset = record.get("offset").and_then(Json::as_i64)?;
        return Some(format!(
            "{{\"_offset\":{offset},\"text\":{}}}",
            quoted(text)
        ));
    }
    let value = match (record.get("value"), text(record, "value_text")) {
        (Some(Json::Null), _) if tombstones => Json::Null,
        (Some(value @ Json::Object(_)), _) => value.clone(),
        (None, Some(raw)) => Json::parse(raw)
            .ok()
            .filter(|value| matches!(value, Json::Object(_)))?,
        _ => return None,
    };
    let cell = |field: &Field| match field.name {
        "_offset" => record.get("offset").cloned(),
        "_key" => record.get("key").cloned(),
        name => value.get(name).cloned(),
    };
    let cells: Option<Vec<String>> = fields
        .iter()
        .map(|field| typed(field, &cell(field).unwrap_or(Json::Null)))
        .collect();
    Some(format!("{{{}}}", cells?.join(",")))
}

/// `"name":value` as the harness reads it for a column of this kind.
fn typed(field: &Field, value: &Json) -> Option<String> {
    let value = match (field.kind, value) {
        (Kind::Utf8, Json::Number(literal)) => quoted(&plain(literal)),
        (Kind::Utf8, Json::Bool(value)) => quoted(&value.to_string()),
        (Kind::Bool, Json::Bool(value)) => value.to_string(),
        (Kind::Bool | Kind::List, Json::Text(_) | Json::Number(_)) => return None,
        (Kind::Struct, Json::Object(_)) => decoded_object(value, &field.children)?,
        (Kind::List, Json::List(items)) => {
            let item = |item: &Json| match item {
                Json::Null => Some("null".to_owned()),
                item => decoded_object(item, &field.children[0].children),
            };
            let items: Option<Vec<String>> = items.iter().map(item).collect();
            format!("[{}]", items?.join(","))
        }
        (_, Json::Null) => "null".to_owned(),
        (_, Json::Text(text)) => quoted(text),
        (_, Json::Number(literal)) => literal.clone(),
        _ => return None,
    };
    Some(format!("{}:{value}", quoted(field.name)))
}

fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c < ' ' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// A JSON number without its exponent.
fn plain(literal: &str) -> String {
    let Some((mantissa, exponent)) = literal.split_once(['e', 'E']) else {
        return literal.to_owned();
    };
    let exponent: i64 = exponent.parse().expect("a small exponent");
    let (sign, mantissa) = mantissa
        .strip_prefix('-')
        .map_or(("", mantissa), |rest| ("-", rest));
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{decimals}");
    let point = i64::try_from(whole.len()).expect("a short number") + exponent;
    let before = usize::try_from(point).unwrap_or(0);
    match digits.split_at_checked(before) {
        Some(("", digits)) => format!(
            "{sign}0.{}{digits}",
            "0".repeat(usize::try_from(-point).unwrap_or(0))
        ),
        Some((whole, decimals)) if !decimals.is_empty() => format!("{sign}{whole}.{decimals}"),
        _ => format!("{sign}{digits:0<before$}"),
    }
}
