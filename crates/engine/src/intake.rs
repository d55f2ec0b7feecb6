//! Where an epoch's records come from: all sources together, live or replayed.
//!
//! An intake hands out records of several topics; inside a partition in offset order, else in any order
//! and in any batches. What is published must not depend on either.

use std::collections::BTreeMap;
use weir_stage::{Position, RawBatch, Source, SourceError};

/// What one poll gave.
#[derive(Debug, Default)]
pub struct Polled {
    /// Index of the source, and its records.
    pub batches: Vec<(usize, RawBatch)>,
    /// Sources that failed this time.
    pub failed: Vec<(usize, SourceError)>,
}

/// Where one source stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Next offset per partition that a poll will give.
    pub position: Position,
    /// What its offsets belong to, see [`Source::identity`].
    pub identity: Option<String>,
    /// The newest known end per partition.
    pub end: Position,
    /// Whether everything that was there at start has been given.
    pub caught_up: bool,
    /// What keeps some of its records away just now.
    pub trouble: Option<SourceError>,
}

/// All sources of a pipeline. The engine's loop calls every method; none blocks.
pub trait Intake: Send {
    /// Takes what is ready, at most `rows_max` records and about `bytes_max` bytes in all, and nothing of the sources
    /// that are held.
    fn poll(&mut self, rows_max: usize, bytes_max: usize, held: &[bool]) -> Polled;
    /// Where the sources stand, in the plan's order.
    fn standing(&self) -> Vec<Standing>;
    /// The clock the intake itself asks for (a replay's end), microseconds since 1970, UTC.
    fn clock_us(&self) -> Option<i64> {
        None
    }
    /// Whether no record will ever come any more.
    fn is_ended(&self) -> bool;
    /// Whether this is a recorded day, whose records stand in no topic.
    fn is_replay(&self) -> bool {
        false
    }
}

/// Live sources, each behind its own thread.
pub struct Sources {
    sources: Vec<Box<dyn Source>>,
    first: usize,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources")
            .field("count", &self.sources.len())
            .finish_non_exhaustive()
    }
}

impl Sources {
    /// These sources, in the plan's order.
    pub fn new(sources: Vec<Box<dyn Source>>) -> Self {
        Self { sources, first: 0 }
    }
}

impl Intake for Sources {
    /// Every source gets an equal share, the turn's first one also what the others leave.
    fn poll(&mut self, rows_max: usize, bytes_max: usize, held: &[bool]) -> Polled {
        let mut polled = Polled::default();
        let count = self.sources.len();
        let (mut rows_left, mut bytes_left) = (rows_max, bytes_max);
        for turn in 0..count {
            let index = (self.first + turn) % count;
            if held[index] {
                continue;
            }
            let shares = count - turn;
            let (rows, bytes) = (rows_left.div_ceil(shares), bytes_left.div_ceil(shares));
            if rows == 0 {
                break;
            }
            match self.sources[index].poll(rows, bytes) {
                Ok(batch) if batch.records.is_empty() => {}
                Ok(batch) => {
                    rows_left = rows_left.saturating_sub(batch.records.len());
                    bytes_left = bytes_left.saturating_sub(bytes_of(&batch));
                    polled.batches.push((index, batch));
                }
                Err(error) => polled.failed.push((index, error)),
            }
        }
        self.first = (self.first + 1) % count.max(1);
        polled
    }

    fn standing(&self) -> Vec<Standing> {
        self.sources
            .iter()
            .map(|source| standing_of(source.as_ref()))
            .collect()
    }

    fn is_ended(&self) -> bool {
        !self.sources.is_empty() && self.sources.iter().all(|source| source.is_ended())
    }
}

fn standing_of(source: &dyn Source) -> Standing {
    let position = source.position();
    let caught_up = source
        .start_end()
        .is_some_and(|end| reached(&position, &end));
    Standing {
        identity: source.identity(),
        end: source.end(),
        position,
        caught_up,
        trouble: source.trouble(),
    }
}

/// Whether `position` has come to `end` in every partition.
pub(crate) fn reached(position: &Position, end: &Position) -> bool {
    end.iter()
        .all(|(partition, &end)| end == 0 || position.get(partition).is_some_and(|&at| at >= end))
}

pub(crate) fn bytes_of(batch: &RawBatch) -> usize {
    let size = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    batch
        .records
        .iter()
        .map(|record| size(&record.key) + size(&record.value))
        .sum()
}

/// Records between two positions, over all partitions.
pub(crate) fn lag(position: &Position, end: &Position) -> i64 {
    let ends: &BTreeMap<i32, i64> = end;
    ends.iter()
        .map(|(partition, &end)| (end - position.get(partition).copied().unwrap_or(0)).max(0))
        .sum()
}
