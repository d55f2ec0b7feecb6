//! Sources: where records come from, and decoders: what they mean.
//!
//! Delivery: a source repeats from the position it is opened at; the engine keeps positions with its
//! checkpoint. Inside a partition records come in offset order, each once per opening.

use std::collections::BTreeMap;
use weir_zset::Refusal;

pub use weir_codec::record::{
    Decoded, Decoder, Fault, Headers, REPLAY_OF, RawRecord, Refused, SourceError,
};

/// Records of one topic; those of one partition in offset order.
#[derive(Clone, Debug, Default)]
pub struct RawBatch {
    /// The records.
    pub records: Vec<RawRecord>,
}

/// Next offset to read per partition.
pub type Position = BTreeMap<i32, i64>;

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
    /// What its offsets belong to, where that can be told: a topic that is made anew has another identity.
    fn identity(&self) -> Option<String> {
        None
    }
    /// Whether no record will ever come any more (replay only).
    fn is_ended(&self) -> bool;
    /// What keeps some of its records away just now, while others may come: a fault that `poll` does not tell.
    fn trouble(&self) -> Option<SourceError> {
        None
    }
}

/// A refusal of this record.
pub fn refusal_of(topic: &str, record: &RawRecord, why: Refused) -> Refusal {
    Refusal {
        topic: topic.to_owned(),
        partition: record.partition,
        offset: record.place(),
        code: why.code.to_owned(),
        message: why.message,
        field: why.field,
        weight: 1,
    }
}
