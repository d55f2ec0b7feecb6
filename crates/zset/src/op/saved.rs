//! An operator's state as entries, keys with values, of which those that changed are told.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Takes entries: a key with its value now, or none when it is gone.
pub type Put<'a> = dyn FnMut(&[u8], Option<&[u8]>) + 'a;

/// A saved entry is not what the operator wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a saved entry does not have the form that this version writes")]
pub struct Unreadable;

/// Which keys changed since they were told. Before the first telling it keeps nothing: then all count.
#[derive(Debug, Default)]
pub struct Dirty {
    keys: Option<Keys>,
}

impl Dirty {
    /// The key changed.
    #[inline]
    pub fn touch(&mut self, key: &[u8]) {
        self.touch_parts([key]);
    }

    /// The same of a key in parts.
    #[inline]
    pub fn touch_parts<const N: usize>(&mut self, key: [&[u8]; N]) {
        if let Some(keys) = &mut self.keys {
            keys.insert(key);
        }
    }

    /// The same of a key that is put together only when that is wanted.
    #[inline]
    pub fn touch_with(&mut self, key: impl FnOnce() -> Vec<u8>) {
        if let Some(keys) = &mut self.keys {
            keys.insert([&key()]);
        }
    }

    /// From now on only what changes is kept: the rest has been told, or was loaded.
    pub fn settle(&mut self) {
        self.keys.get_or_insert_default();
    }

    /// The keys that changed, or none at the first time: all of them count. They begin anew.
    pub fn take(&mut self) -> Option<Keys> {
        self.keys.replace(Keys::default())
    }
}

/// Distinct keys in the order in which they came first, one behind the other: none is allocated or freed by itself.
#[derive(Debug, Default)]
pub struct Keys {
    bytes: Vec<u8>,
    /// Where each key ends, and its hash.
    ends: Vec<(usize, u64)>,
    /// Which of them there are.
    table: HashTable<u32>,
}

impl Keys {
    fn insert<const N: usize>(&mut self, key: [&[u8]; N]) {
        let start = self.bytes.len();
        for part in key {
            self.bytes.extend_from_slice(part);
        }
        let (bytes, ends) = (&self.bytes, &self.ends);
        let (key, hash) = (&bytes[start..], xxh3_64(&bytes[start..]));
        let is_it = |&known: &u32| {
            ends[known as usize].1 == hash && key_at(bytes, ends, known as usize) == key
        };
        match self
            .table
            .entry(hash, is_it, |&known| ends[known as usize].1)
        {
            hashbrown::hash_table::Entry::Occupied(_) => self.bytes.truncate(start),
            hashbrown::hash_table::Entry::Vacant(place) => {
                let index = u32::try_from(ends.len()).expect("fewer than 2^32 keys in memory");
                place.insert(index);
                self.ends.push((self.bytes.len(), hash));
            }
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|index| key_at(&self.bytes, &self.ends, index))
    }
}

fn key_at<'a>(bytes: &'a [u8], ends: &[(usize, u64)], index: usize) -> &'a [u8] {
    let start = index.checked_sub(1).map_or(0, |before| ends[before].0);
    &bytes[start..ends[index].0]
}

/// Puts an entry together.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Begins with a tag that tells kinds of entries apart.
    pub fn tagged(tag: u8) -> Self {
        Self(vec![tag])
    }

    /// Begins with nothing, in the room of what was put together before.
    pub fn over(mut room: Vec<u8>) -> Self {
        room.clear();
        Self(room)
    }

    /// Adds bytes behind their length.
    #[must_use]
    pub fn part(mut self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).expect("a row is less than 4 GiB");
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn i64(self, number: i64) -> Self {
        self.raw(&number.to_le_bytes())
    }

    /// Adds a count or an index.
    #[must_use]
    pub fn u32(self, number: u32) -> Self {
        self.raw(&number.to_le_bytes())
    }

    /// Adds a count.
    #[must_use]
    pub fn count(self, count: usize) -> Self {
        self.u32(u32::try_from(count).expect("fewer than 2^32 of them"))
    }

    /// What was put together.
    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Takes an entry apart.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// So many bytes.
    pub fn raw<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*bytes)
    }

    /// Bytes behind their length.
    pub fn part(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = self.u32()? as usize;
        let (part, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(part)
    }

    /// A tag.
    pub fn tag(&mut self) -> Result<u8, Unreadable> {
        self.raw::<1>().map(|[tag]| tag)
    }

    /// A number.
    pub fn i64(&mut self) -> Result<i64, Unreadable> {
        self.raw().map(i64::from_le_bytes)
    }

    /// A count or an index.
    pub fn u32(&mut self) -> Result<u32, Unreadable> {
        self.raw().map(u32::from_le_bytes)
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), Unreadable> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Unreadable)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Goal: keys are told once each, however often and in whatever parts they were touched.
        #[test]
        fn as_a_set(keys in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..4), 0..200), cut in 0_usize..200) {
            let mut dirty = Dirty::default();
            dirty.touch(&[7]);
            prop_assert!(dirty.take().is_none());
            for round in [&keys[..cut.min(keys.len())], &keys[cut.min(keys.len())..]] {
                for key in round {
                    let (head, rest) = key.split_at(key.len() / 2);
                    dirty.touch_parts([head, rest]);
                    dirty.touch(key);
                }
                let taken = dirty.take().expect("it was settled");
                let mut twin = BTreeSet::new();
                let plain: Vec<&[u8]> = round.iter().map(Vec::as_slice).filter(|key| twin.insert(*key)).collect();
                prop_assert_eq!(taken.iter().collect::<Vec<_>>(), plain);
            }
        }
    }
}
