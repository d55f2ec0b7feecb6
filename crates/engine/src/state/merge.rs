//! Several segments as one: each key once, with its newest value.

use super::StateError;
use super::changes::Entry;
use super::segment::Reader;
use std::path::PathBuf;

/// Walks segments, given oldest first, in order of part and key.
pub(super) struct Merge {
    readers: Vec<Reader>,
    /// Whether the reader of this index stands on an entry.
    open: Vec<bool>,
    /// The reader whose entry was given last.
    given: Option<usize>,
}

impl Merge {
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, StateError> {
        let mut readers = paths
            .iter()
            .map(|path| Reader::open(path))
            .collect::<Result<Vec<_>, _>>()?;
        let open = readers
            .iter_mut()
            .map(Reader::advance)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            readers,
            open,
            given: None,
        })
    }

    /// The next key with its newest value; a key that is gone is told, too.
    pub(super) fn next(&mut self) -> Result<Option<Entry<'_>>, StateError> {
        if let Some(given) = self.given.take() {
            self.skip(given)?;
        }
        let mut least: Option<usize> = None;
        for index in (0..self.readers.len()).filter(|index| self.open[*index]) {
            let is_less = least.is_none_or(|least| self.key(index) <= self.key(least));
            if is_less {
                least = Some(index);
            }
        }
        self.given = least;
        Ok(least.and_then(|least| self.readers[least].entry()))
    }

    /// Leaves the key that `given` stands on, in every segment.
    fn skip(&mut self, given: usize) -> Result<(), StateError> {
        for index in (0..self.readers.len()).filter(|index| *index != given) {
            if self.open[index] && self.key(index) == self.key(given) {
                self.open[index] = self.readers[index].advance()?;
            }
        }
        self.open[given] = self.readers[given].advance()?;
        Ok(())
    }

    fn key(&self, index: usize) -> Option<(u16, &[u8])> {
        self.readers[index]
            .entry()
            .map(|(part, key, _)| (part, key))
    }
}
