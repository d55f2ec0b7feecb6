//! Sinks: where the rows of a table go.
//!
//! Delivery: the engine keeps what a sink needs to go on with its checkpoint. After a restart it asks the sink what it
//! was sent after that, and sends the difference alone; so a sink may be told the same row twice only where it lost
//! what it was told, and never an older row after a newer one.

use arrow::array::RecordBatch;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use crate::source::{Fault, Position, Refused, SourceError};

/// What a sink is told of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The key, as the sink writes it.
    pub key: Vec<u8>,
    /// The row, as the sink writes it; `None`: there is none any more.
    pub value: Option<Vec<u8>>,
}

/// A row that cannot be sent, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// What it would have been; the value as far as it got.
    pub item: Item,
    /// Why.
    pub why: Refused,
}

/// The cut that a flush brings a sink to.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    /// This run's id.
    pub run: String,
    /// The epoch.
    pub epoch: u64,
    /// Its clock, microseconds since 1970, UTC.
    pub as_of_us: i64,
    /// Next offset per topic and partition: what the cut has seen.
    pub offsets: BTreeMap<String, Position>,
}

/// How rows become items. Pure; the same row gives the same item.
pub trait Rows: Send + Sync {
    /// Rows as they would be written, in order.
    fn items(&self, rows: &RecordBatch) -> Vec<Result<Item, Unsent>>;
    /// Keys as they would be written; the rows have the key columns at least.
    fn keys(&self, rows: &RecordBatch) -> Vec<Result<Vec<u8>, Refused>>;
}

/// How a sink was found.
pub struct Opening {
    /// How rows become items until the next opening.
    pub rows: Arc<dyn Rows>,
    /// Whether it was read from its beginning, for the position it was asked from is of no use any more.
    pub whole: bool,
    /// Where what is written from now on begins.
    pub position: String,
    /// The last epoch that it was brought to, where it keeps that.
    pub epoch: Option<u64>,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opening")
            .field("whole", &self.whole)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// What came of a flush.
#[derive(Clone, Debug, Default)]
pub struct Flushed {
    /// Where the next flush begins: what `open` takes.
    pub position: String,
    /// Rows that were refused for good; all others are there.
    pub unsent: Vec<Unsent>,
}

/// What the engine and a sink tell each other while one of its calls runs.
#[derive(Debug, Default)]
pub struct Line {
    stop: AtomicBool,
    /// Rows handed to the outside.
    pub sent: AtomicU64,
    /// Rows that the outside confirmed.
    pub acked: AtomicU64,
    /// Attempts of rows that failed.
    pub failed: AtomicU64,
    trouble: Mutex<Option<SourceError>>,
}

impl Line {
    /// Asks the call under way to end soon, with whatever error.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether that was asked.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Tells what keeps the call waiting, or that nothing does.
    pub fn trouble_is(&self, trouble: Option<SourceError>) {
        *self.trouble.lock().expect("nobody panics while holding it") = trouble;
    }

    /// What keeps it waiting.
    pub fn trouble(&self) -> Option<SourceError> {
        self.trouble
            .lock()
            .expect("nobody panics while holding it")
            .clone()
    }
}

/// Takes a key that was written, and the row or none.
pub type Told<'a> = dyn FnMut(&[u8], Option<&[u8]>) + 'a;

/// A sink of one table, keyed: of each key it keeps the newest row. A thread of its own calls every method and may
/// block; each call looks at the line, and ends soon after it is told to stop. An `External` error is tried again:
/// `open` from the last position, then `write`. A `User` error stops the pipeline.
pub trait Sink: Send {
    /// Connects, and tells each key that was written at `position` or later, the newest last; from the beginning when
    /// there is none.
    fn open(
        &mut self,
        position: Option<&str>,
        told: &mut Told<'_>,
        line: &Line,
    ) -> Result<Opening, SourceError>;
    /// Writes items, each key once, and answers when all are safe, or none of them need be.
    fn write(
        &mut self,
        cut: &Cut,
        items: &mut dyn Iterator<Item = Item>,
        line: &Line,
    ) -> Result<Flushed, SourceError>;
    /// The least time from the beginning of one `write` to that of the next, so that what changes several times in
    /// between is written once; the engine passes over it where it must.
    fn pace(&self) -> Duration {
        Duration::ZERO
    }
    /// Called about once a second while there is nothing to write.
    fn idle(&mut self) -> Result<(), SourceError> {
        Ok(())
    }
}
