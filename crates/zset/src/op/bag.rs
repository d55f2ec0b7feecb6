//! Encoded rows with weights, in row order; mostly just one.

use super::keyed::{Bytes, Keyed};
use super::saved::{Dirty, Put, Reader, Unreadable, Writer};
use std::collections::BTreeMap;

/// A multiset of rows. Weights are never 0, and below 0 only when more was retracted than inserted.
#[derive(Debug, Default)]
pub(super) enum Bag {
    #[default]
    None,
    One(Bytes, i64),
    Many(BTreeMap<Bytes, i64>),
}

impl Bag {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(..) => 1,
            Self::Many(rows) => rows.len(),
        }
    }

    /// Adds to a row's weight.
    pub(super) fn add(&mut self, row: &Bytes, weight: i64) {
        match self {
            Self::None if weight == 0 => {}
            Self::None => *self = Self::One(Bytes::clone(row), weight),
            Self::One(only, now) if only == row => {
                *now += weight;
                if *now == 0 {
                    *self = Self::None;
                }
            }
            Self::One(only, now) => {
                let rows = [(Bytes::clone(only), *now), (Bytes::clone(row), weight)];
                *self = Self::Many(rows.into_iter().collect());
            }
            Self::Many(rows) => {
                let now = rows.entry(Bytes::clone(row)).or_insert(0);
                *now += weight;
                if *now == 0 {
                    rows.remove(row);
                }
                if rows.is_empty() {
                    *self = Self::None;
                }
            }
        }
    }

    /// A row's weight.
    pub(super) fn weight(&self, row: &[u8]) -> i64 {
        match self {
            Self::None => 0,
            Self::One(only, weight) => {
                if **only == *row {
                    *weight
                } else {
                    0
                }
            }
            Self::Many(rows) => rows.get(row).copied().unwrap_or(0),
        }
    }

    /// All rows, least first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Bytes, i64)> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(row, weight) => (Some((row, *weight)), None),
            Self::Many(rows) => (None, Some(rows.iter().map(|(row, weight)| (row, *weight)))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// The rows that are there.
    pub(super) fn present(&self) -> impl DoubleEndedIterator<Item = (&Bytes, i64)> {
        self.iter().filter(|(_, weight)| *weight > 0)
    }

    /// How many retractions have no insert.
    pub(super) fn missing(&self) -> i64 {
        -self.iter().map(|(_, weight)| weight.min(0)).sum::<i64>()
    }
}

/// Bags by key, whose rows are saved one by one under a tag: the key behind its length, the row.
pub(super) fn entry(tag: u8, key: &[u8], row: &[u8]) -> Vec<u8> {
    Writer::tagged(tag).part(key).raw(row).done()
}

/// The entry of a row changed.
pub(super) fn touch(tag: u8, key: &[u8], row: &[u8], dirty: &mut Dirty) {
    let length = u32::try_from(key.len()).expect("a row is less than 4 GiB");
    dirty.touch_parts([&[tag], &length.to_le_bytes(), key, row]);
}

/// Tells all rows of the bags.
pub(super) fn save_all(tag: u8, bags: &Keyed<Bag>, put: &mut Put<'_>) {
    for (key, bag) in bags.each() {
        for (row, weight) in bag.iter() {
            put(&entry(tag, key, row), Some(&weight.to_le_bytes()));
        }
    }
}

/// Tells the row of this entry (without its tag) as it is now.
pub(super) fn save_one(bags: &Keyed<Bag>, saved: &[u8], put: &mut Put<'_>) {
    let mut rest = Reader::new(&saved[1..]);
    let key = rest.part().expect("it was put together by `entry`");
    let weight = bags.get(key).map_or(0, |bag| bag.weight(rest.rest()));
    put(saved, (weight != 0).then_some(&weight.to_le_bytes()));
}

/// Takes an entry back (without its tag); answers how many rows its bag grew.
pub(super) fn load(
    bags: &mut Keyed<Bag>,
    mut key: Reader<'_>,
    value: &[u8],
) -> Result<usize, Unreadable> {
    let mut value = Reader::new(value);
    let weight = value.i64()?;
    value.end()?;
    let (slot, _) = bags.slot(key.part()?, Bag::default);
    bags.at_mut(slot).add(&key.rest().into(), weight);
    Ok(1)
}
