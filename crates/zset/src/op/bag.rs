//! Encoded rows with weights, in row order; mostly just one.

use super::keyed::Bytes;
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
