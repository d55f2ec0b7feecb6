//! What changed since the last checkpoint, in memory: blocks of bytes, and where in them each entry is.

use std::ops::Range;

/// A block takes entries until this is full; one that is longer has a block of its own.
const BLOCK_BYTES: usize = 1 << 20;

/// Entries that were set or are gone. Of a key that is told twice the later telling counts.
#[derive(Debug, Default)]
pub struct Changes {
    blocks: Vec<Vec<u8>>,
    entries: Vec<Place>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    part: u16,
    block: u32,
    at: u32,
    key: u32,
    /// `None`: the key is gone.
    value: Option<u32>,
}

/// One entry: its part, its key, its value, or none when it is gone.
pub(super) type Entry<'a> = (u16, &'a [u8], Option<&'a [u8]>);

impl Changes {
    /// Notes that a key has this value now, or is gone.
    pub fn push(&mut self, part: u16, key: &[u8], value: Option<&[u8]>) {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a row is less than 4 GiB");
        let value = (value.unwrap_or_default(), value.map(length));
        let needed = key.len() + value.0.len();
        let is_room = |block: &Vec<u8>| block.capacity() - block.len() >= needed;
        if !self.blocks.last().is_some_and(is_room) {
            self.blocks
                .push(Vec::with_capacity(needed.max(BLOCK_BYTES)));
        }
        let index = self.blocks.len() - 1;
        let block = &mut self.blocks[index];
        self.entries.push(Place {
            part,
            block: u32::try_from(index).expect("fewer than 2^32 blocks"),
            at: length(block),
            key: length(key),
            value: value.1,
        });
        block.extend_from_slice(key);
        block.extend_from_slice(value.0);
        self.bytes += needed + size_of::<Place>();
    }

    /// Adds what changed after these; each key is kept once, so that this is bounded by what the state is.
    pub fn append(&mut self, later: &Self) {
        let mut both = Self::default();
        for changes in [&*self, later] {
            for place in &changes.entries {
                both.push(place.part, changes.key(place), changes.value(place));
            }
        }
        *self = Self::default();
        for (part, key, value) in both.sorted() {
            self.push(part, key, value);
        }
    }

    /// How many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries by part and key, each once.
    ///
    /// Keys are far apart in memory: mostly the first bytes in which a part's keys differ decide, and stand with what
    /// is sorted.
    pub(super) fn sorted(&self) -> impl Iterator<Item = Entry<'_>> {
        let same = self.same();
        let mut order: Vec<(u16, u128, u32)> = (0..)
            .zip(&self.entries)
            .map(|(index, place)| {
                let rest = &self.key(place)[same[usize::from(place.part)]..];
                (place.part, head(rest), index)
            })
            .collect();
        let key = |&(.., index): &(u16, u128, u32)| self.key(&self.entries[index as usize]);
        // Of one key, the later telling stands last.
        order.sort_unstable_by(|one, two| {
            let heads = (one.0, one.1).cmp(&(two.0, two.1));
            let keys = heads.then_with(|| key(one).cmp(key(two)));
            keys.then(one.2.cmp(&two.2))
        });
        (0..order.len()).filter_map(move |at| {
            let (part, first, index) = order[at];
            let place = &self.entries[index as usize];
            let is_same = |next: &(u16, u128, u32)| {
                (next.0, next.1) == (part, first) && key(next) == self.key(place)
            };
            let is_last = !order.get(at + 1).is_some_and(is_same);
            is_last.then(|| (part, self.key(place), self.value(place)))
        })
    }

    /// In how many first bytes all keys of a part are the same.
    fn same(&self) -> Vec<usize> {
        let mut parts: Vec<Option<&[u8]>> = Vec::new();
        for place in &self.entries {
            let (part, key) = (usize::from(place.part), self.key(place));
            parts.resize(parts.len().max(part + 1), None);
            let same = parts[part].get_or_insert(key);
            let differs = same.iter().zip(key).position(|(one, two)| one != two);
            *same = &same[..differs.unwrap_or(same.len().min(key.len()))];
        }
        let length = |same: Option<&[u8]>| same.map_or(0, <[u8]>::len);
        parts.into_iter().map(length).collect()
    }

    fn key(&self, place: &Place) -> &[u8] {
        let start = place.at as usize;
        self.at(place, start..start + place.key as usize)
    }

    fn value(&self, place: &Place) -> Option<&[u8]> {
        let start = place.at as usize + place.key as usize;
        let length = place.value? as usize;
        Some(self.at(place, start..start + length))
    }

    fn at(&self, place: &Place, range: Range<usize>) -> &[u8] {
        &self.blocks[place.block as usize][range]
    }
}

/// The first bytes as a number that compares as they do; where there are fewer, 0 fills it up.
fn head(bytes: &[u8]) -> u128 {
    let mut head = [0; 16];
    let length = bytes.len().min(head.len());
    head[..length].copy_from_slice(&bytes[..length]);
    u128::from_be_bytes(head)
}
