//! Entries in the order of their keys' bytes, many to a page: an entry costs its own bytes and a few more.
//!
//! What an operator keeps by the million is kept so: no allocation, no pointer and no slack for each row. Cloning is
//! cheap: versions share the pages that did not change.

use crate::compact::{push_part, take_part};
use imbl::OrdMap;
use std::ops::Bound;
use std::sync::Arc;

type Bytes = Arc<[u8]>;

/// A page is cut in two when it is longer, and joined with the next one when both together are much shorter.
const PAGE_BYTES: usize = 2_048;

/// A map from bytes to bytes.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// By a key that is greater than all of the page before, and not greater than any of its own.
    cuts: OrdMap<Bytes, Bytes>,
    /// The page that is being filled by [`Pages::push`].
    tail: Vec<u8>,
    entries: usize,
}

/// The entries of one page.
#[derive(Clone, Debug)]
struct Each<'a>(&'a [u8]);

impl<'a> Iterator for Each<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| (take_part(&mut self.0), take_part(&mut self.0)))
    }
}

/// Keys with what is to be added to their weights.
#[derive(Debug, Default)]
pub struct Entries {
    bytes: Vec<u8>,
    /// Where each key ends, and its weight.
    ends: Vec<(usize, i64)>,
}

impl Entries {
    /// One more, put together from parts.
    pub fn push<const N: usize>(&mut self, key: [&[u8]; N], weight: i64) {
        for part in key {
            self.bytes.extend_from_slice(part);
        }
        self.ends.push((self.bytes.len(), weight));
    }

    /// All of them, as they came.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], i64)> {
        let mut start = 0;
        self.ends.iter().map(move |&(end, weight)| {
            let key = &self.bytes[start..end];
            start = end;
            (key, weight)
        })
    }
}

/// A weight as an entry's value: mostly 1, which takes no byte.
#[inline]
pub fn weight(value: &[u8]) -> i64 {
    value.try_into().map_or(1, i64::from_le_bytes)
}

impl Pages {
    /// How many entries.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        debug_assert!(self.tail.is_empty(), "it is sealed before it is read");
        let (_, page) = self.cuts.get_prev(key)?;
        let found = Each(page).find(|(other, _)| *other >= key);
        found.and_then(|(other, value)| (other == key).then_some(value))
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        debug_assert!(self.tail.is_empty(), "it is sealed before it is read");
        self.cuts.values().flat_map(|page| Each(page))
    }

    /// The entries whose keys begin so.
    pub fn range<'a>(&'a self, prefix: &[u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        debug_assert!(self.tail.is_empty(), "it is sealed before it is read");
        let found = self.cuts.get_prev(prefix);
        let first = found.map_or(Bound::Unbounded, |(first, _)| {
            Bound::Excluded(first.as_ref())
        });
        // Mostly one page has them all: those behind it are looked for when it has been read.
        let behind = std::iter::once_with(move || {
            let pages = self.cuts.range::<_, [u8]>((first, Bound::Unbounded));
            pages.map(|(_, page)| page)
        });
        let pages = found.into_iter().map(|(_, page)| page);
        let entries = pages.chain(behind.flatten()).flat_map(|page| Each(page));
        entries
            .skip_while(move |(key, _)| *key < prefix)
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Gives a key another value, made from the one that it has, or none.
    pub fn update<V: AsRef<[u8]>>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(Option<&[u8]>) -> Option<V>,
    ) {
        self.seal();
        let (first, page) = self.page_of(key);
        // The entry, or its place, and what follows it.
        let (mut from, mut after, mut now) = (page.len(), page.len(), None);
        let mut entries = Each(&page);
        let mut at = 0;
        while let Some((other, value)) = entries.next() {
            let end = page.len() - entries.0.len();
            if other >= key {
                let is_it = other == key;
                (from, after) = (at, if is_it { end } else { at });
                now = is_it.then_some(value);
                break;
            }
            at = end;
        }
        let value = change(now);
        self.entries = self.entries + usize::from(value.is_some()) - usize::from(now.is_some());
        let mut bytes = Vec::with_capacity(page.len() + key.len() + 16);
        bytes.extend_from_slice(&page[..from]);
        if let Some(value) = value {
            push_part(key, &mut bytes);
            push_part(value.as_ref(), &mut bytes);
        }
        let is_last = after == page.len();
        bytes.extend_from_slice(&page[after..]);
        self.put(first, bytes, is_last);
    }

    /// The page where a key stands or would stand, with what it is found by.
    fn page_of(&self, key: &[u8]) -> (Bytes, Bytes) {
        let found = self.cuts.get_prev(key);
        found.map_or_else(Default::default, |(first, page)| {
            (Arc::clone(first), Arc::clone(page))
        })
    }

    /// Puts what was a page in its place: one page, several or none. Keys that come in order fill pages; others leave
    /// room on both sides.
    fn put(&mut self, first: Bytes, mut bytes: Vec<u8>, is_in_order: bool) {
        if bytes.is_empty() {
            self.cuts.remove(&first);
            return;
        }
        if bytes.len() <= PAGE_BYTES {
            self.join_next(&first, &mut bytes);
            self.cuts.insert(first, bytes.into());
            return;
        }
        let room = if is_in_order {
            PAGE_BYTES
        } else {
            bytes.len() / (bytes.len() / (PAGE_BYTES * 3 / 4) + 1)
        };
        let (mut entries, mut first, mut start, mut last) = (Each(&bytes), first, 0, &[][..]);
        let mut at = 0;
        while let Some((key, _)) = entries.next() {
            let end = bytes.len() - entries.0.len();
            if at > start && (at - start >= room || end - start > PAGE_BYTES) {
                let next = between(last, key);
                let full = std::mem::replace(&mut first, next);
                self.cuts.insert(full, bytes[start..at].into());
                start = at;
            }
            (last, at) = (key, end);
        }
        self.cuts.insert(first, bytes[start..].into());
    }

    /// Adds to the weights of many keys, in one go for each page; a key of weight 0 is gone.
    pub fn add_all(&mut self, entries: &Entries) {
        self.seal();
        let mut sorted: Vec<(&[u8], i64)> = entries.iter().collect();
        sorted.sort_by_key(|(key, _)| *key);
        let mut rest = &sorted[..];
        while let Some((key, _)) = rest.first() {
            let (first, page) = self.page_of(key);
            let after = (Bound::Excluded(first.as_ref()), Bound::Unbounded);
            let next = self.cuts.range::<_, [u8]>(after).next();
            let count = next.map_or(rest.len(), |(next, _)| {
                rest.partition_point(|(key, _)| *key < next.as_ref())
            });
            let (now, later) = rest.split_at(count);
            let (bytes, is_in_order) = self.merged(&page, now);
            self.put(first, bytes, is_in_order);
            rest = later;
        }
    }

    /// A page's bytes after these changes, in the order of their keys; and whether all are of keys behind its last.
    fn merged(&mut self, page: &[u8], changes: &[(&[u8], i64)]) -> (Vec<u8>, bool) {
        let mut bytes = Vec::with_capacity(page.len() + 256);
        let (mut old, mut at, mut is_in_order) = (Each(page), 0, true);
        for same in changes.chunk_by(|(one, _), (two, _)| one == two) {
            let (key, mut sum) = (same[0].0, same.iter().map(|(_, more)| more).sum::<i64>());
            let mut now = false;
            // What stands before it stays as it is.
            let (from, mut to) = (at, at);
            let mut ahead = old.clone();
            while let Some((other, value)) = ahead.next() {
                if other < key {
                    old = ahead.clone();
                    to = page.len() - old.0.len();
                    continue;
                }
                is_in_order = false;
                if other == key {
                    now = true;
                    sum += weight(value);
                    old = ahead.clone();
                }
                break;
            }
            bytes.extend_from_slice(&page[from..to]);
            at = page.len() - old.0.len();
            if sum != 0 {
                push_part(key, &mut bytes);
                let value = sum.to_le_bytes();
                push_part(if sum == 1 { &[] } else { &value }, &mut bytes);
            }
            self.entries = self.entries + usize::from(sum != 0) - usize::from(now);
        }
        bytes.extend_from_slice(&page[at..]);
        (bytes, is_in_order)
    }

    /// Takes the next page into this one when both are small.
    fn join_next(&mut self, first: &Bytes, bytes: &mut Vec<u8>) {
        if bytes.len() >= PAGE_BYTES / 4 {
            return;
        }
        let after = (Bound::Excluded(first.as_ref()), Bound::Unbounded);
        let mut pages = self.cuts.range::<_, [u8]>(after);
        let next = pages
            .next()
            .map(|(next, page)| (Arc::clone(next), Arc::clone(page)));
        if let Some((next, page)) = next.filter(|(_, page)| page.len() < PAGE_BYTES / 4) {
            bytes.extend_from_slice(&page);
            self.cuts.remove(&next);
        }
    }

    /// Adds to a key's weight and answers it; a key of weight 0 is gone.
    pub fn add(&mut self, key: &[u8], more: i64) -> i64 {
        let mut sum = more;
        self.update(key, |now| {
            sum += now.map_or(0, weight);
            match sum {
                0 => None,
                1 => Some(Vec::new()),
                _ => Some(sum.to_le_bytes().to_vec()),
            }
        });
        sum
    }

    /// Adds an entry behind all others: entries that come in the order of their keys are taken in quickest so.
    /// [`Pages::seal`] ends a row of these calls.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        if self.tail.len() + key.len() + value.len() > PAGE_BYTES {
            self.seal();
        }
        push_part(key, &mut self.tail);
        push_part(value, &mut self.tail);
        self.entries += 1;
    }

    /// Makes what was pushed a page like the others.
    pub fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let page: Bytes = std::mem::take(&mut self.tail).into();
        let key = Each(&page).next().map_or(&[][..], |(key, _)| key);
        let before = self.cuts.get_max();
        let last = before.and_then(|(_, page)| Each(page).last());
        let first = last.map_or_else(Bytes::default, |(last, _)| between(last, key));
        self.cuts.insert(first, page);
    }

    /// Takes out all entries before this key.
    #[must_use]
    pub fn take_before(&mut self, bound: &[u8]) -> Self {
        self.seal();
        let mut taken = Self::default();
        while let Some((first, page)) = self.cuts.get_min().cloned() {
            if first.as_ref() >= bound {
                break;
            }
            let mut entries = Each(&page);
            let mut rest = page.len();
            while entries.next().is_some_and(|(key, _)| key < bound) {
                rest = entries.0.len();
                taken.entries += 1;
            }
            let (before, after) = page.split_at(page.len() - rest);
            if !before.is_empty() {
                taken.cuts.insert(Arc::clone(&first), before.into());
            }
            self.cuts.remove(&first);
            if !after.is_empty() {
                self.cuts.insert(first, after.into());
                break;
            }
        }
        self.entries -= taken.entries;
        taken
    }
}

/// The shortest key that is greater than `last` and not greater than `key`.
fn between(last: &[u8], key: &[u8]) -> Bytes {
    let same = last.iter().zip(key).take_while(|(one, two)| one == two);
    let length = same.count() + 1;
    key[..length.min(key.len())].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Twin = BTreeMap<Vec<u8>, i64>;

    fn shown<'a>(entries: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(Vec<u8>, i64)> {
        entries
            .map(|(key, value)| (key.to_vec(), weight(value)))
            .collect()
    }

    fn twin<'a>(entries: impl Iterator<Item = (&'a Vec<u8>, &'a i64)>) -> Vec<(Vec<u8>, i64)> {
        entries
            .map(|(key, weight)| (key.clone(), *weight))
            .collect()
    }

    /// Short keys that begin alike, and long ones of which a page holds few.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        let long = (0_usize..900, 0_u8..4).prop_map(|(length, last)| {
            let mut key = vec![7; length];
            key.push(last);
            key
        });
        prop_oneof![proptest::collection::vec(0_u8..4, 0..5), long]
    }

    proptest! {
        /// Goal: pages hold what a plain map would, through cuts, joins, saving and loading; versions stay as they were.
        #[test]
        fn as_a_map(
            steps in proptest::collection::vec((key(), -2_i64..3), 0..300),
            prefix in key(), bound in key(), cut in 0_usize..300,
        ) {
            let (mut pages, mut plain) = (Pages::default(), Twin::new());
            let mut version = None;
            for (index, (key, more)) in steps.iter().enumerate() {
                if index == cut {
                    version = Some((pages.clone(), plain.clone()));
                }
                let now = plain.entry(key.clone()).or_insert(0);
                *now += more;
                prop_assert_eq!(pages.add(key, *more), *now);
                plain.retain(|_, weight| *weight != 0);
            }
            prop_assert_eq!(shown(pages.iter()), twin(plain.iter()));
            prop_assert_eq!(pages.len(), plain.len());
            let mut at_once = Pages::default();
            for steps in steps.chunks(cut + 1) {
                let mut entries = Entries::default();
                for (key, more) in steps {
                    entries.push([key, &[]], *more);
                }
                at_once.add_all(&entries);
            }
            prop_assert_eq!(shown(at_once.iter()), twin(plain.iter()));
            prop_assert_eq!(at_once.len(), plain.len());
            prop_assert_eq!(pages.get(&prefix).map(weight), plain.get(&prefix).copied());
            let range = plain.iter().filter(|(key, _)| key.starts_with(&prefix));
            prop_assert_eq!(shown(pages.range(&prefix)), twin(range));
            if let Some((pages, plain)) = version {
                prop_assert_eq!(shown(pages.iter()), twin(plain.iter()));
            }
            let mut loaded = Pages::default();
            pages.iter().for_each(|(key, value)| loaded.push(key, value));
            loaded.seal();
            for mut pages in [pages, loaded, at_once] {
                let before = pages.take_before(&bound);
                let later = plain.clone().split_off(&bound);
                let earlier = plain.iter().filter(|(key, _)| **key < bound);
                prop_assert_eq!(before.len() + pages.len(), plain.len());
                prop_assert_eq!(shown(before.iter()), twin(earlier));
                prop_assert_eq!(shown(pages.iter()), twin(later.iter()));
                for (key, weight) in &later {
                    prop_assert_eq!(pages.add(key, -weight), 0);
                }
                prop_assert!(pages.is_empty() && pages.iter().next().is_none());
            }
        }
    }
}
