//! Sources: where records come from, and decoders: what they mean.
//!
//! Delivery: a source repeats from the position it is opened at; the engine keeps positions with its
//! checkpoint. Inside a partition records come in offset order, each once per opening.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use std::collections::BTreeMap;
use weir_zset::Refusal;

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

/// Records of one topic; those of one partition in offset order.
#[derive(Clone, Debug, Default)]
pub struct RawBatch {
    /// The records.
    pub records: Vec<RawRecord>,
}

/// Next offset to read per partition.
pub type Position = BTreeMap<i32, i64>;

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
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// Whose.
    pub fault: Fault,
    /// A stable code such as `topic_missing`.
    pub code: &'static str,
    /// What happened, and the cure.
    pub message: String,
}

/// A running source of one topic. The engine's loop calls every method; none may block for more than a
/// few milliseconds: fetching is done on the source's own threads behind bounded queues.
pub trait Source: Send {
    /// Takes what is ready, at most `rows_max` records and about `bytes_max` bytes; empty when nothing is.
    /// Called every epoch, in order. An `External` error may be followed by records again.
    fn poll(&mut self, rows_max: usize, bytes_max: usize) -> Result<RawBatch, SourceError>;
    /// The end of each partition as it was noted at start (first offset not yet written then);
    /// `None` until it is known. The engine is catching up until `position` has reached it.
    fn start_end(&self) -> Option<Position>;
    /// The newest known end of each partition, for lag.
    fn end(&self) -> Position;
    /// Next offset that `poll` will give, per partition (compaction and transactions leave gaps, so this
    /// moves also without records).
    fn position(&self) -> Position;
    /// Whether no record will ever come any more (replay only).
    fn is_ended(&self) -> bool;
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

/// A refusal of this record.
pub fn refusal_of(topic: &str, record: &RawRecord, why: Refused) -> Refusal {
    Refusal {
        topic: topic.to_owned(),
        partition: record.partition,
        offset: record.offset,
        code: why.code.to_owned(),
        message: why.message,
        field: why.field,
        weight: 1,
    }
}
