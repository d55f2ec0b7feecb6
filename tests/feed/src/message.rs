//! Messages as they stand on a topic, and a day of them as a folder of files.
//!
//! Partitions follow from keys; offsets from the order of time inside a partition. A file holds a record a line, in
//! the order of its offsets, as the sample days do.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// The topics of the contract, and whether their values are Avro.
pub(crate) const TOPICS: [(&str, bool); 15] = [
    ("adjustments", false),
    ("balances", false),
    ("holdings", true),
    ("refdata.counterparties", false),
    ("refdata.fx", false),
    ("refdata.instruments", false),
    ("refdata.prices", false),
    ("settlements", false),
    ("trades.bonds", false),
    ("trades.commodities", false),
    ("trades.derivatives", false),
    ("trades.equities", false),
    ("trades.fx", false),
    ("trades.interbank", false),
    ("trades.repos", true),
];

/// What a message carries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// A value of the topic's own encoding; an Avro record stands as a JSON object.
    Value(Value),
    /// Text that is no good JSON.
    Text(String),
    /// Bytes that are no good Avro.
    Bytes(Vec<u8>),
    /// An empty value.
    Empty,
}

/// A message before it has a partition and an offset.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) topic: &'static str,
    pub(crate) at_ms: i64,
    pub(crate) key: String,
    pub(crate) body: Body,
}

/// A record of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) message: Message,
    /// Headers, of recorded days alone.
    pub(crate) headers: Vec<(String, String)>,
}

/// Gives messages their places: in the order of time, a key always in the same partition.
pub(crate) fn records(
    mut messages: Vec<Message>,
    partitions: u64,
) -> BTreeMap<&'static str, Vec<Record>> {
    messages.sort_by_key(|message| message.at_ms);
    let mut next: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    let mut topics: BTreeMap<&'static str, Vec<Record>> = BTreeMap::new();
    for message in messages {
        let partition = partition_of(&message.key, partitions);
        let next = next.entry((message.topic, partition)).or_default();
        let record = Record {
            partition,
            offset: *next,
            message,
            headers: Vec::new(),
        };
        *next += 1;
        topics.entry(record.message.topic).or_default().push(record);
    }
    topics
}

/// FNV-1a of the key: the same partition on every machine.
pub(crate) fn partition_of(key: &str, partitions: u64) -> i32 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i32::try_from((hash >> 16) % partitions).expect("few partitions")
}

/// Writes `<topic>.jsonl` for every topic, empty ones too.
pub(crate) fn write(dir: &Path, topics: &BTreeMap<&'static str, Vec<Record>>) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for (topic, _) in TOPICS {
        let path = dir.join(format!("{topic}.jsonl"));
        let file =
            fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut file = BufWriter::new(file);
        for record in topics.get(topic).into_iter().flatten() {
            writeln!(file, "{}", line(record))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        file.flush()
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn line(record: &Record) -> Value {
    let mut line = Map::new();
    line.insert("partition".into(), record.partition.into());
    line.insert("offset".into(), record.offset.into());
    line.insert("timestamp_ms".into(), record.message.at_ms.into());
    line.insert("key".into(), record.message.key.as_str().into());
    let (name, value) = match &record.message.body {
        Body::Value(value) => ("value", value.clone()),
        Body::Text(text) => ("value_text", text.as_str().into()),
        Body::Bytes(bytes) => ("value_base64", STANDARD.encode(bytes).into()),
        Body::Empty => ("value", Value::Null),
    };
    line.insert(name.into(), value);
    line.into()
}

/// Reads a folder of files back, in the order of each file; a topic without one is empty.
pub(crate) fn read(dir: &Path) -> Result<BTreeMap<&'static str, Vec<Record>>> {
    let mut topics = BTreeMap::new();
    for (topic, _) in TOPICS {
        let path = dir.join(format!("{topic}.jsonl"));
        let text = if path.exists() {
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?
        } else {
            String::new()
        };
        let parsed = text.lines().enumerate().map(|(number, line)| {
            parse(topic, line).with_context(|| format!("{}:{}", path.display(), number + 1))
        });
        topics.insert(topic, parsed.collect::<Result<Vec<_>>>()?);
    }
    if topics.values().all(Vec::is_empty) {
        bail!("{} holds no records of any topic", dir.display());
    }
    Ok(topics)
}

fn parse(topic: &'static str, line: &str) -> Result<Record> {
    let line: Map<String, Value> = serde_json::from_str(line).context("no record")?;
    let number = |name: &str| {
        line.get(name)
            .and_then(Value::as_i64)
            .with_context(|| format!("no {name}"))
    };
    let text = |name: &str| line.get(name).and_then(Value::as_str);
    let body = match (
        line.get("value"),
        text("value_text").or(text("text")),
        text("value_base64"),
    ) {
        (_, Some(text), _) => Body::Text(text.to_owned()),
        (_, _, Some(text)) => Body::Bytes(STANDARD.decode(text).context("value_base64")?),
        (None | Some(Value::Null), None, None) => Body::Empty,
        (Some(value), None, None) => Body::Value(value.clone()),
    };
    let key = text("key").unwrap_or_default().to_owned();
    let message = Message {
        topic,
        at_ms: number("timestamp_ms")?,
        key,
        body,
    };
    let headers = line.get("headers").and_then(Value::as_object);
    let headers = headers.into_iter().flatten();
    let header = |(name, value): (&String, &Value)| {
        (name.clone(), value.as_str().unwrap_or_default().to_owned())
    };
    Ok(Record {
        partition: i32::try_from(number("partition")?)?,
        offset: number("offset")?,
        message,
        headers: headers.map(header).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(at_ms: i64, key: &str) -> Message {
        Message {
            topic: "balances",
            at_ms,
            key: key.to_owned(),
            body: Body::Empty,
        }
    }

    /// A key stays in its partition, and offsets there follow time without a gap.
    #[test]
    fn offsets_follow_time_inside_a_partition() {
        let keys = ["a", "b", "c", "d", "e", "f"];
        let messages = (0..60_i64)
            .rev()
            .map(|at| message(at, keys[usize::try_from(at % 6).unwrap()]))
            .collect();
        let topics = records(messages, 4);
        let mut seen: BTreeMap<i32, Vec<(i64, i64)>> = BTreeMap::new();
        for record in &topics["balances"] {
            assert_eq!(record.partition, partition_of(&record.message.key, 4));
            seen.entry(record.partition)
                .or_default()
                .push((record.offset, record.message.at_ms));
        }
        for (_, places) in seen {
            assert!(
                places
                    .iter()
                    .zip(0..)
                    .all(|(place, offset)| place.0 == offset)
            );
            assert!(places.is_sorted());
        }
    }
}
