//! Recorded days: a folder with `<topic>.jsonl`, one record a line, in the place of Kafka.
//!
//! Records of all topics merge by timestamp, topic, partition and offset. With a pace they are handed out
//! as their day went by; up to the first instant, which holds the state a day starts with, the pipeline
//! counts as catching up.

use crate::intake::{Intake, Polled, Standing};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_stage::{Clock, Headers, Position, RawBatch, RawRecord};
use weir_zset::text::instant;
use xxhash_rust::xxh3::Xxh3;

/// A replay folder or file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no record.
    #[error("{path}:{line}: {message}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// There is no file for any of the pipeline's topics.
    #[error("{path} holds no file of the form <topic>.jsonl for any of the pipeline's topics")]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
    /// The checkpoint to go on from was made from other records.
    #[error(
        "{path}: its records of {topics} up to the checkpoint's offsets are not those that the checkpoint was made from; \
         replay the folder that it was made from, give this one another --state, or read everything again with --fresh"
    )]
    OtherDay {
        /// The folder.
        path: PathBuf,
        /// The topics that differ.
        topics: String,
    },
    /// The checkpoint to go on from is of a later instant than the one asked for.
    #[error(
        "the checkpoint is of {checkpoint}, after --until {until}; ask for a later instant, give another --state, or read \
         everything again with --fresh"
    )]
    Over {
        /// The instant asked for.
        until: String,
        /// The checkpoint's clock.
        checkpoint: String,
    },
}

/// Turns a record's JSON value into the bytes that its topic carries (Avro, say); `None`: the JSON text.
pub type Encode = Arc<dyn Fn(&str) -> Result<Vec<u8>, String> + Send + Sync>;

/// One topic to replay.
#[derive(Clone)]
pub struct Topic {
    /// Its name, and the file's.
    pub name: String,
    /// How a JSON value becomes bytes.
    pub encode: Option<Encode>,
    /// The same of a key, whose text is JSON then.
    pub encode_key: Option<Encode>,
}

impl std::fmt::Debug for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How fast a day goes by.
#[derive(Clone)]
pub enum Pace {
    /// As fast as it can be taken.
    Max,
    /// So many times as fast as it was.
    Times(u32, Arc<dyn Clock>),
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Max => f.write_str("Max"),
            Self::Times(times, _) => write!(f, "Times({times})"),
        }
    }
}

/// A day being replayed.
#[derive(Debug)]
pub struct Replay {
    /// Source index and record, in merge order.
    records: Vec<(usize, RawRecord)>,
    next: usize,
    ends: Vec<Position>,
    positions: Vec<Position>,
    until_us: Option<i64>,
    pace: Pace,
    /// Wall clock at the first poll.
    began_us: Option<i64>,
    /// What was handed out by source, where that is kept.
    seen: Option<Vec<Seen>>,
}

/// What was handed out of a source, up to where it stands.
#[derive(Debug)]
struct Seen {
    /// The sum of its records' digests; none: nothing of this folder.
    sum: Option<u128>,
    /// What a checkpoint says of it.
    kept: Option<String>,
}

impl Seen {
    fn add(&mut self, record: &RawRecord) {
        let sum = self.sum.unwrap_or_default();
        self.sum = Some(sum.wrapping_add(digest(record)));
    }

    fn identity(&self) -> Option<String> {
        let own = self.sum.map(|sum| format!("replay {sum:032x}"));
        own.or_else(|| self.kept.clone())
    }

    /// Whether it is not what the checkpoint says. A folder that holds nothing of what was read is the rest of it.
    fn is_other(&self) -> bool {
        self.sum.is_some() && self.kept.is_some() && self.identity() != self.kept
    }
}

/// A digest of all that a record is.
fn digest(record: &RawRecord) -> u128 {
    let mut digest = Xxh3::new();
    let mut part = |bytes: Option<&[u8]>| {
        let length = bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        digest.update(&length.to_le_bytes());
        digest.update(bytes.unwrap_or_default());
    };
    part(Some(&record.partition.to_le_bytes()));
    part(Some(&record.offset.to_le_bytes()));
    part(Some(&record.timestamp_us.to_le_bytes()));
    part(record.key.as_deref());
    part(record.value.as_deref());
    part(Some(record.headers.packed()));
    digest.digest128()
}

impl Replay {
    /// Reads the files of these topics (in the plan's order of sources) up to and including `until_us`.
    pub fn read(
        dir: &Path,
        topics: &[Topic],
        until_us: Option<i64>,
        pace: Pace,
    ) -> Result<Self, ReplayError> {
        let mut keyed = Vec::new();
        let there = names(dir).map_err(|source| ReplayError::Read {
            path: dir.to_owned(),
            source,
        })?;
        for (index, topic) in topics.iter().enumerate() {
            if !there.contains(&topic.name) {
                continue;
            }
            let path = dir.join(format!("{}.jsonl", topic.name));
            for record in read_topic(&path, topic)? {
                if until_us.is_none_or(|until| record.timestamp_us <= until) {
                    keyed.push((index, record));
                }
            }
        }
        let read: BTreeSet<String> = topics.iter().map(|topic| topic.name.clone()).collect();
        if read.is_disjoint(&there) {
            return Err(ReplayError::Nothing {
                path: dir.to_owned(),
            });
        }
        let told = |what: &str, names: &mut dyn Iterator<Item = &String>| {
            let names: Vec<&str> = names.map(String::as_str).collect();
            (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")))
        };
        let missing = told("topics without a file", &mut read.difference(&there));
        let strange = told(
            "files of topics that no source reads",
            &mut there.difference(&read),
        );
        let told: Vec<String> = missing.into_iter().chain(strange).collect();
        if !told.is_empty() {
            tracing::warn!(folder = %dir.display(), "{}", told.join("; "));
        }
        keyed.sort_by(|(a_topic, a), (b_topic, b)| {
            let key = |topic: &usize, r: &RawRecord| {
                (
                    r.timestamp_us,
                    topics[*topic].name.clone(),
                    r.partition,
                    r.offset,
                )
            };
            key(a_topic, a).cmp(&key(b_topic, b))
        });
        Ok(Self::of(keyed, topics.len(), until_us, pace))
    }

    /// Replays these records, in this order.
    pub fn of(
        records: Vec<(usize, RawRecord)>,
        sources: usize,
        until_us: Option<i64>,
        pace: Pace,
    ) -> Self {
        let mut ends = vec![Position::new(); sources];
        for (source, record) in &records {
            let end = ends[*source].entry(record.partition).or_insert(0);
            *end = (*end).max(record.offset + 1);
        }
        Self {
            records,
            next: 0,
            positions: vec![Position::new(); sources],
            ends,
            until_us,
            pace,
            began_us: None,
            seen: None,
        }
    }

    /// Goes on behind a checkpoint, and tells what the next ones need to: leaves out what stands before the position of
    /// each source. What was read up to there has an identity, and this folder must have it, too.
    pub fn going_on(
        mut self,
        dir: &Path,
        topics: &[Topic],
        from: Vec<(Position, Option<String>)>,
        clock_us: Option<i64>,
    ) -> Result<Self, ReplayError> {
        if let (Some(until_us), Some(clock_us)) = (self.until_us, clock_us)
            && until_us < clock_us
        {
            return Err(ReplayError::Over {
                until: instant(until_us),
                checkpoint: instant(clock_us),
            });
        }
        let (positions, kept): (Vec<_>, Vec<_>) = from.into_iter().unzip();
        let seen = kept.into_iter().map(|kept| Seen { sum: None, kept });
        let mut seen: Vec<Seen> = seen.collect();
        self.records.retain(|(source, record)| {
            let position = positions[*source].get(&record.partition);
            let is_seen = position.is_some_and(|next| record.offset < *next);
            if is_seen {
                seen[*source].add(record);
            }
            !is_seen
        });
        let others = seen.iter().zip(topics).filter(|(seen, _)| seen.is_other());
        let others: BTreeSet<_> = others.map(|(_, topic)| topic.name.as_str()).collect();
        if !others.is_empty() {
            return Err(ReplayError::OtherDay {
                path: dir.to_owned(),
                topics: others.into_iter().collect::<Vec<_>>().join(", "),
            });
        }
        self.positions = positions;
        self.seen = Some(seen);
        Ok(self)
    }

    /// The records not yet handed out, in order: what a test shuffles.
    pub fn into_records(self) -> Vec<(usize, RawRecord)> {
        self.records
    }

    /// How many of the records may be handed out by now.
    fn released(&mut self) -> usize {
        let Pace::Times(times, clock) = &self.pace else {
            return self.records.len();
        };
        let Some(first_us) = self.records.first().map(|(_, record)| record.timestamp_us) else {
            return 0;
        };
        let began_us = *self.began_us.get_or_insert_with(|| clock.now_us());
        let now_us = first_us + (clock.now_us() - began_us).max(0) * i64::from(*times);
        let left = &self.records[self.next..];
        self.next + left.partition_point(|(_, record)| record.timestamp_us <= now_us)
    }

    /// Whether the state that the day starts with has been handed out, or the whole day at full speed.
    fn has_started(&self) -> bool {
        match (
            &self.pace,
            self.records.first(),
            self.records.get(self.next),
        ) {
            (_, _, None) => true,
            (Pace::Max, ..) => false,
            (Pace::Times(..), Some((_, first)), Some((_, next))) => {
                next.timestamp_us > first.timestamp_us
            }
            (Pace::Times(..), None, Some(_)) => true,
        }
    }
}

impl Intake for Replay {
    /// One file's records wait for another's, so that none is handed out while any source is held.
    fn poll(&mut self, rows_max: usize, bytes_max: usize, held: &[bool]) -> Polled {
        if held.contains(&true) {
            return Polled::default();
        }
        let released = self.released();
        let mut batches: Vec<RawBatch> = vec![RawBatch::default(); self.ends.len()];
        let (mut rows, mut bytes) = (0, 0);
        while self.next < released && rows < rows_max && bytes < bytes_max {
            let (source, record) = &self.records[self.next];
            bytes += record.value.as_ref().map_or(0, Bytes::len);
            rows += 1;
            self.positions[*source].insert(record.partition, record.offset + 1);
            if let Some(seen) = &mut self.seen {
                seen[*source].add(record);
            }
            batches[*source].records.push(record.clone());
            self.next += 1;
        }
        let batches = batches
            .into_iter()
            .enumerate()
            .filter(|(_, batch)| !batch.records.is_empty());
        Polled {
            batches: batches.collect(),
            failed: Vec::new(),
        }
    }

    fn standing(&self) -> Vec<Standing> {
        let caught_up = self.has_started();
        let standing = |source: usize| Standing {
            identity: self.seen.as_ref().and_then(|seen| seen[source].identity()),
            position: self.positions[source].clone(),
            end: self.ends[source].clone(),
            caught_up,
            trouble: None,
        };
        (0..self.ends.len()).map(standing).collect()
    }

    fn clock_us(&self) -> Option<i64> {
        if self.is_ended() { self.until_us } else { None }
    }

    fn is_replay(&self) -> bool {
        true
    }

    fn is_ended(&self) -> bool {
        self.next == self.records.len()
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key: Option<String>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    text: Option<String>,
    value_text: Option<String>,
    value_base64: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
}

/// The topics that a folder has files of.
fn names(dir: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name().into_string();
        let topic = name
            .ok()
            .and_then(|name| Some(name.strip_suffix(".jsonl")?.to_owned()));
        names.extend(topic);
    }
    Ok(names)
}

fn read_topic(path: &Path, topic: &Topic) -> Result<Vec<RawRecord>, ReplayError> {
    let text = std::fs::read_to_string(path).map_err(|source| ReplayError::Read {
        path: path.to_owned(),
        source,
    })?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let record = |(index, line)| {
        read_line(line, topic).map_err(|message| ReplayError::Line {
            path: path.to_owned(),
            line: index + 1,
            message,
        })
    };
    lines.map(record).collect()
}

pub(crate) fn read_line(line: &str, topic: &Topic) -> Result<RawRecord, String> {
    let line: Line<'_> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let timestamp_us = line
        .timestamp_ms
        .checked_mul(1000)
        .ok_or("timestamp_ms is out of range")?;
    let (partition, offset) = (line.partition, line.offset);
    let key = match (&line.key, &topic.encode_key) {
        (Some(key), Some(encode)) => Some(encode(key)?.into()),
        (key, _) => key.clone().map(|key| Bytes::from(key.into_bytes())),
    };
    let headers = line.headers.iter();
    let headers = Headers::of(
        headers.map(|(name, value)| (name.as_str(), value.as_deref().map(str::as_bytes))),
    );
    let value = value_of(line, topic)?.filter(|value| !value.is_empty());
    Ok(RawRecord {
        partition,
        offset,
        timestamp_us,
        key,
        value,
        headers,
    })
}

fn value_of(line: Line<'_>, topic: &Topic) -> Result<Option<Bytes>, String> {
    if let Some(text) = line.text.or(line.value_text) {
        return Ok(Some(text.into_bytes().into()));
    }
    if let Some(text) = line.value_base64 {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        return bytes
            .map(|bytes| Some(bytes.into()))
            .map_err(|error| format!("value_base64: {error}"));
    }
    let Some(value) = line.value.filter(|value| value.get() != "null") else {
        return Ok(None);
    };
    match &topic.encode {
        None => Ok(Some(Bytes::copy_from_slice(value.get().as_bytes()))),
        Some(encode) => encode(value.get()).map(|bytes| Some(bytes.into())),
    }
}

#[cfg(test)]
mod tests;
