//! Several segments as one: each key once, with its newest value.

use super::StateError;
use super::changes::Entry;
use super::segment::Reader;
use std::cmp::Reverse;
use std::path::PathBuf;

/// Walks segments, given oldest first, in order of part and key.
pub(super) struct Merge {
    readers: Vec<Reader>,
    /// The readers that stand on an entry, as a heap: in front the one of the least key, of one key the newest.
    heap: Vec<usize>,
    /// Whether the entry in front was given.
    is_given: bool,
}

impl Merge {
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, StateError> {
        let mut this = Self {
            readers: Vec::new(),
            heap: Vec::new(),
            is_given: false,
        };
        for (index, path) in paths.iter().enumerate() {
            let mut reader = Reader::open(path)?;
            if reader.advance()? {
                this.heap.push(index);
            }
            this.readers.push(reader);
        }
        for place in (0..this.heap.len()).rev() {
            this.sink(place);
        }
        Ok(this)
    }

    /// The next key with its newest value; a key that is gone is told, too.
    pub(super) fn next(&mut self) -> Result<Option<Entry<'_>>, StateError> {
        if std::mem::take(&mut self.is_given) {
            // Older values of the same key stand right behind it.
            for behind in [1, 2] {
                while self.heap.len() > behind && self.key(behind) == self.key(0) {
                    self.advance(behind)?;
                }
            }
            self.advance(0)?;
        }
        let Some(&first) = self.heap.first() else {
            return Ok(None);
        };
        self.is_given = true;
        Ok(self.readers[first].entry())
    }

    /// Brings the reader at a place of the heap to its next entry.
    fn advance(&mut self, place: usize) -> Result<(), StateError> {
        if !self.readers[self.heap[place]].advance()? {
            self.heap.swap_remove(place);
        }
        self.sink(place);
        Ok(())
    }

    /// Brings what may be too far in front to its place.
    fn sink(&mut self, mut place: usize) {
        loop {
            let behind = 2 * place + 1..self.heap.len().min(2 * place + 3);
            let Some(least) = behind.min_by_key(|place| self.rank(*place)) else {
                return;
            };
            if self.rank(place) <= self.rank(least) {
                return;
            }
            self.heap.swap(place, least);
            place = least;
        }
    }

    fn rank(&self, place: usize) -> (Option<(u16, &[u8])>, Reverse<usize>) {
        (self.key(place), Reverse(self.heap[place]))
    }

    fn key(&self, place: usize) -> Option<(u16, &[u8])> {
        let entry = self.readers[self.heap[place]].entry();
        entry.map(|(part, key, _)| (part, key))
    }
}
