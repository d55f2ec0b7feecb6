//! The bounded queue between the thread that reads a topic and the engine's loop.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;
use weir_stage::source::{Fault, Position, RawBatch, RawRecord, SourceError};

/// Most records that wait: while an epoch takes them, as many come. There is a queue for each source.
const ROWS_MAX: usize = 16_384;
/// Most bytes that wait, unless a single batch has more.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// What was read in one go.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The records, those of one partition in offset order.
    pub(crate) records: VecDeque<RawRecord>,
    /// Next offsets once all of them are taken; also of partitions whose end was reached without records.
    pub(crate) after: Position,
    /// Bytes of keys and values.
    pub(crate) bytes: usize,
}

/// Shared by the reading thread and the source.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Chunk>,
    rows: usize,
    bytes: usize,
    position: Position,
    start_end: Option<Position>,
    identity: Option<String>,
    end: Position,
    error: Option<SourceError>,
    trouble: Option<SourceError>,
    is_stopped: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    /// What is read, where reading begins, and the ends noted at start.
    pub(crate) fn begin(&self, identity: Option<String>, position: Position, end: Position) {
        let mut state = self.lock();
        state.identity = identity;
        state.position = position;
        state.end = end.clone();
        state.start_end = Some(end);
    }

    /// A partition that was not there at start.
    pub(crate) fn begin_partition(&self, partition: i32) {
        let mut state = self.lock();
        state.position.insert(partition, 0);
        state.end.entry(partition).or_insert(0);
    }

    /// Puts a chunk in if there is room, else gives it back after waiting for at most `wait`.
    pub(crate) fn push(&self, chunk: Chunk, wait: Duration) -> Result<(), Chunk> {
        let is_full = |state: &mut State| {
            !state.is_stopped && (state.rows >= ROWS_MAX || state.bytes >= BYTES_MAX)
        };
        let waited = self.room.wait_timeout_while(self.lock(), wait, is_full);
        let (mut state, timeout) = waited.expect("nobody panics while holding it");
        if timeout.timed_out() {
            return Err(chunk);
        }
        state.rows += chunk.records.len();
        state.bytes += chunk.bytes;
        state.chunks.push_back(chunk);
        Ok(())
    }

    /// Waits, unless stopped.
    pub(crate) fn rest(&self, wait: Duration) {
        let waited = self
            .room
            .wait_timeout_while(self.lock(), wait, |state| !state.is_stopped);
        drop(waited.expect("nobody panics while holding it"));
    }

    /// Sets or clears the state of failure; answers whether it is news.
    pub(crate) fn report(&self, error: Option<SourceError>) -> bool {
        let mut state = self.lock();
        let code = |error: &Option<SourceError>| error.as_ref().map(|error| error.code);
        let is_news = code(&state.error) != code(&error);
        state.error = error;
        is_news
    }

    /// Sets or clears what keeps some partitions from being read; answers whether it is news.
    pub(crate) fn trouble_is(&self, trouble: Option<SourceError>) -> bool {
        let mut state = self.lock();
        let is_news = state.trouble.is_some() != trouble.is_some();
        state.trouble = trouble;
        is_news
    }

    pub(crate) fn trouble(&self) -> Option<SourceError> {
        self.lock().trouble.clone()
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.lock().error.is_some()
    }

    pub(crate) fn note_end(&self, partition: i32, end: i64) {
        let mut state = self.lock();
        let known = state.end.entry(partition).or_insert(end);
        *known = end.max(*known);
    }

    /// Ends the reading thread.
    pub(crate) fn stop(&self) {
        self.lock().is_stopped = true;
        self.room.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// Takes what is ready. Records come before a failure, but for one that ends the source.
    pub(crate) fn take(&self, rows_max: usize, bytes_max: usize) -> Result<RawBatch, SourceError> {
        let mut state = self.lock();
        let records = state.take(rows_max, bytes_max);
        drop_notified(&self.room, state.rows, state.bytes);
        match &state.error {
            Some(error) if records.is_empty() || error.fault == Fault::User => Err(error.clone()),
            _ => Ok(RawBatch { records }),
        }
    }

    pub(crate) fn start_end(&self) -> Option<Position> {
        self.lock().start_end.clone()
    }

    pub(crate) fn identity(&self) -> Option<String> {
        self.lock().identity.clone()
    }

    pub(crate) fn end(&self) -> Position {
        self.lock().end.clone()
    }

    pub(crate) fn position(&self) -> Position {
        self.lock().position.clone()
    }
}

fn drop_notified(room: &Condvar, rows: usize, bytes: usize) {
    if rows < ROWS_MAX && bytes < BYTES_MAX {
        room.notify_all();
    }
}

impl State {
    fn take(&mut self, rows_max: usize, bytes_max: usize) -> Vec<RawRecord> {
        let mut records: Vec<RawRecord> = Vec::with_capacity(rows_max.min(self.rows));
        let mut bytes = 0;
        while let Some(chunk) = self.chunks.front_mut() {
            let from = records.len();
            while records.len() < rows_max && bytes < bytes_max {
                let Some(record) = chunk.records.pop_front() else {
                    break;
                };
                bytes += size_of(&record);
                records.push(record);
            }
            note_after(&mut self.position, &records[from..]);
            if !chunk.records.is_empty() {
                break;
            }
            let chunk = self.chunks.pop_front().expect("it was there just now");
            self.position.extend(chunk.after);
        }
        self.rows -= records.len();
        self.bytes -= bytes;
        records
    }
}

/// Moves the position behind these records, which mostly come in runs of one partition.
pub(crate) fn note_after(position: &mut Position, records: &[RawRecord]) {
    for run in records.chunk_by(|one, two| one.partition == two.partition) {
        if let Some(last) = run.last() {
            position.insert(last.partition, last.offset + 1);
        }
    }
}

/// A record's share of the bytes bound.
pub(crate) fn size_of(record: &RawRecord) -> usize {
    let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    len(&record.key) + len(&record.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::collections::BTreeMap;

    fn chunk(partition: i32, offsets: std::ops::Range<i64>, after: i64) -> Chunk {
        let record = |offset| RawRecord {
            partition,
            offset,
            timestamp_us: 0,
            key: None,
            value: Some(Bytes::from_static(b"12345")),
            headers: weir_codec::Headers::default(),
        };
        let records: VecDeque<_> = offsets.map(record).collect();
        let bytes = records.iter().map(size_of).sum();
        Chunk {
            records,
            after: BTreeMap::from([(partition, after)]),
            bytes,
        }
    }

    /// The position follows what was taken, and moves over a gap once all before it is.
    #[test]
    fn position_follows() {
        let queue = Queue::default();
        queue.begin(
            None,
            BTreeMap::from([(0, 3), (1, 0)]),
            BTreeMap::from([(0, 9), (1, 7)]),
        );
        queue.push(chunk(0, 3..6, 9), Duration::ZERO).unwrap();
        queue.push(chunk(1, 0..0, 7), Duration::ZERO).unwrap();
        assert_eq!(queue.take(2, 1_000).unwrap().records.len(), 2);
        assert_eq!(queue.position(), BTreeMap::from([(0, 5), (1, 0)]));
        assert_eq!(queue.take(10, 1_000).unwrap().records.len(), 1);
        assert_eq!(queue.position(), queue.start_end().unwrap());
    }

    /// Both bounds hold: taking stops at about so many bytes, putting in stops when full.
    #[test]
    fn bounds() {
        let queue = Queue::default();
        queue
            .push(chunk(0, 0..20_000, 20_000), Duration::ZERO)
            .unwrap();
        assert!(
            queue
                .push(chunk(0, 20_000..20_001, 20_001), Duration::ZERO)
                .is_err()
        );
        assert_eq!(queue.take(1_000, 11).unwrap().records.len(), 3);
        assert_eq!(queue.take(10_000, 1 << 20).unwrap().records.len(), 10_000);
        queue
            .push(chunk(0, 20_000..20_001, 20_001), Duration::ZERO)
            .unwrap();
    }

    /// Records come first; a failure is told once they are gone, and again until it is over.
    #[test]
    fn failures() {
        let queue = Queue::default();
        queue.push(chunk(0, 0..1, 1), Duration::ZERO).unwrap();
        let error = SourceError {
            fault: Fault::External,
            code: "x",
            message: String::new(),
        };
        assert!(queue.report(Some(error.clone())));
        assert!(!queue.report(Some(error)));
        assert_eq!(queue.take(10, 10).unwrap().records.len(), 1);
        assert!(queue.take(10, 10).is_err() && queue.take(10, 10).is_err());
        assert!(queue.report(None));
        assert!(queue.take(10, 10).unwrap().records.is_empty());
    }

    /// What keeps some partitions away is told beside the records of the others, and is no failure.
    #[test]
    fn troubles() {
        let queue = Queue::default();
        let error = SourceError {
            fault: Fault::External,
            code: "x",
            message: String::new(),
        };
        assert!(queue.trouble_is(Some(error.clone())));
        assert!(!queue.trouble_is(Some(error.clone())));
        assert_eq!(queue.trouble(), Some(error));
        assert!(queue.take(10, 10).is_ok() && !queue.is_failing());
        assert!(queue.trouble_is(None));
        assert_eq!(queue.trouble(), None);
    }
}
