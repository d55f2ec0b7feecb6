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
