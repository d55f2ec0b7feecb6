//! What changed since the last checkpoint, in memory: one block of bytes, and where in it each entry is.

use std::cmp::Ordering;
use std::ops::Range;

/// Entries that were set or are gone. Of a key that is told twice the later telling counts.
#[derive(Debug, Default)]
pub struct Changes {
    bytes: Vec<u8>,
    entries: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    part: u16,
    at: usize,
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
        let at = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.entries.push(Place {
            part,
            at,
            key: length(key),
            value: value.map(length),
        });
    }

    /// Adds what changed after these; each key is kept once, so that this is bounded by what the state is.
    pub fn append(&mut self, later: &Self) {
        let shift = self.bytes.len();
        self.bytes.extend_from_slice(&later.bytes);
        self.entries.extend(later.entries.iter().map(|place| Place {
            at: place.at + shift,
            ..*place
        }));
        let mut once = Self::default();
        for (part, key, value) in self.sorted() {
            once.push(part, key, value);
        }
        *self = once;
    }

    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
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
    pub(super) fn sorted(&mut self) -> impl Iterator<Item = Entry<'_>> {
        let bytes = &self.bytes;
        let key = |place: &Place| (place.part, &bytes[key_range(place)]);
        // Stable: of one key, the later telling stands last.
        self.entries
            .sort_by(|one, two| -> Ordering { key(one).cmp(&key(two)) });
        let entries = &self.entries;
        (0..entries.len()).filter_map(move |index| {
            let place = &entries[index];
            let is_last = entries
                .get(index + 1)
                .is_none_or(|next| key(next) != key(place));
            let value = place.value.map(|length| {
                let at = place.at + place.key as usize;
                &bytes[at..at + length as usize]
            });
            is_last.then(|| (place.part, &bytes[key_range(place)], value))
        })
    }
}

fn key_range(place: &Place) -> Range<usize> {
    place.at..place.at + place.key as usize
}
