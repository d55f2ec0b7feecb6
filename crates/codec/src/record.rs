//! The contract of decoders: records in, rows and refusals out.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;

/// One record as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The record's timestamp, microseconds since 1970, UTC.
    pub timestamp_us: i64,
    /// The key's bytes.
    pub key: Option<Bytes>,
    /// The value's bytes; `None` is a tombstone (as is an empty value, which sources turn into `None`).
    pub value: Option<Bytes>,
    /// Its headers.
    pub headers: Headers,
}

/// The header of a record that was sent again: partition and offset of the record whose place it takes, `0:17`.
pub const REPLAY_OF: &str = "weir.replay-of";

impl RawRecord {
    /// The offset that it stands for: its own, or that of the earlier record of its partition that was sent again.
    pub fn place(&self) -> i64 {
        self.replay_of().unwrap_or(self.offset)
    }

    /// The offset of the record that was sent again as this one.
    pub fn replay_of(&self) -> Option<i64> {
        let (partition, offset) = self.headers.text(REPLAY_OF)?.split_once(':')?;
        let offset = offset.parse().ok()?;
        let is_earlier =
            partition.parse() == Ok(self.partition) && (0..self.offset).contains(&offset);
        is_earlier.then_some(offset)
    }
}

/// A record's headers in one piece of memory: many records have none, and few are ever looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Bytes);

/// Stands for the length of a value that is null.
const NULL: u32 = u32::MAX;

impl Headers {
    /// These names and values.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>) -> Self {
        let mut packed = Vec::new();
        for (name, value) in pairs {
            Self::push(name, value, &mut packed);
        }
        Self(packed.into())
    }

    /// Adds a header to those that are being packed.
    pub fn push(name: &str, value: Option<&[u8]>, packed: &mut Vec<u8>) {
        let length =
            |bytes: &[u8]| u32::try_from(bytes.len()).expect("a record is less than 4 GiB");
        packed.extend_from_slice(&length(name.as_bytes()).to_le_bytes());
        packed.extend_from_slice(&value.map_or(NULL, length).to_le_bytes());
        packed.extend_from_slice(name.as_bytes());
        packed.extend_from_slice(value.unwrap_or_default());
    }

    /// What was packed by [`Headers::push`]; none of it counts from where it is not.
    pub fn from_packed(packed: Bytes) -> Self {
        Self(packed)
    }

    /// The bytes.
    pub fn packed(&self) -> &Bytes {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let mut left: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (name, rest) = left.split_first_chunk::<4>()?;
            let (value, rest) = rest.split_first_chunk::<4>()?;
            let (name, value) = (u32::from_le_bytes(*name), u32::from_le_bytes(*value));
            let (name, rest) = rest.split_at_checked(name as usize)?;
            let size = if value == NULL { 0 } else { value as usize };
            let (bytes, rest) = rest.split_at_checked(size)?;
            left = rest;
            Some((
                std::str::from_utf8(name).ok()?,
                (value != NULL).then_some(bytes),
            ))
        })
    }

    /// The text of the last header of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        if self.is_empty() {
            return None;
        }
        let of_it = self.iter().filter(|(found, _)| *found == name);
        std::str::from_utf8(of_it.last()?.1?).ok()
    }
}

/// Turns records into rows. Called on worker threads, for several batches at once; pure.
pub trait Decoder: Send + Sync {
    /// The columns it writes (without metadata).
    fn schema(&self) -> SchemaRef;
    /// Decodes values. The answer's batch holds the good records' rows, `rows` their indexes into
    /// `records`, in order (one row a record); every other record is in `refused` with its index.
    /// Tombstones: with `tombstones` allowed a row of nulls, else refused (`empty_value`).
    fn decode(&self, records: &[RawRecord]) -> Decoded;
}

/// What a decoder answers.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The good rows.
    pub batch: RecordBatch,
    /// For each of them the record's index.
    pub rows: Vec<u32>,
    /// Refused records: index, and why (topic, partition and offset are filled in by the engine).
    pub refused: Vec<(u32, Refused)>,
    /// The decoder could not go on at this record index for want of an outside service (a schema
    /// registry that is away): records from here on are neither decoded nor refused; try them again.
    pub stalled: Option<(u32, SourceError)>,
}

/// Why a record was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// A stable code such as `invalid_json`.
    pub code: &'static str,
    /// What is wrong, without the record's bytes.
    pub message: String,
    /// The field at fault.
    pub field: Option<String>,
}

/// Whose fault an error is, and so what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The pipeline file or the data asked for something wrong: stop.
    User,
    /// An outside service failed: try again.
    External,
    /// Our own.
    Internal,
}

/// A source's failure. It never carries record bytes or secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// Whose.
    pub fault: Fault,
    /// A stable code such as `topic_missing`.
    pub code: &'static str,
    /// What happened, and the cure.
    pub message: String,
}
