//! Keys that another stage names, to be forgotten.

use super::saved::{Dirty, Put, Reader, Unreadable, Writer};
use crate::compact::Compact;
use crate::{Delta, OpError};
use arrow::array::Array;
use arrow::datatypes::SchemaRef;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Key = Box<[u8]>;

pub(super) struct Named {
    key: Compact,
    /// How often each key is named.
    weights: BTreeMap<Key, i64>,
    /// Those that were not named when it was last time to forget.
    fresh: BTreeSet<Key>,
    /// What the next step forgets.
    due: Vec<Key>,
    dirty: Dirty,
}

impl Named {
    /// For an operator over rows of this schema with these key columns.
    pub(super) fn new(schema: &SchemaRef, key: &[usize]) -> Result<Self, OpError> {
        let own = Arc::new(schema.project(key).expect("its own columns"));
        let key = Compact::new(&own, (0..key.len()).collect());
        Ok(Self {
            key: key.map_err(|error| error.at(&["key"]))?,
            weights: BTreeMap::new(),
            fresh: BTreeSet::new(),
            due: Vec::new(),
            dirty: Dirty::default(),
        })
    }

    /// Takes in which keys are named now and no longer; those with a null name nothing. When it is time, the keys
    /// newly named that `is_known` tells of are due; answers whether there are any.
    pub(super) fn take(
        &mut self,
        keys: &Delta,
        is_time: bool,
        is_known: impl Fn(&[u8]) -> bool,
    ) -> bool {
        let (packed, columns) = (self.key.encode(&keys.batch), keys.batch.columns());
        for (row, weight) in keys.weights.iter().enumerate() {
            if columns.iter().any(|column| column.is_null(row)) {
                continue;
            }
            let key = packed.row(row);
            self.dirty.touch(key);
            let before = self.weights.remove(key).unwrap_or(0);
            let now = before + weight;
            if now != 0 {
                self.weights.insert(key.into(), now);
            }
            if now <= 0 {
                self.fresh.remove(key);
            } else if before <= 0 {
                self.fresh.insert(key.into());
            }
        }
        if is_time {
            let fresh = std::mem::take(&mut self.fresh);
            for key in &fresh {
                self.dirty.touch(key);
            }
            self.due = fresh.into_iter().filter(|key| is_known(key)).collect();
        }
        !self.due.is_empty()
    }

    /// What this step forgets.
    pub(super) fn due(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.due)
    }

    /// Tells what changed under a tag.
    pub(super) fn save(&mut self, tag: u8, put: &mut Put<'_>) {
        let (weights, fresh) = (&self.weights, &self.fresh);
        let mut tell = |key: &[u8]| {
            let is_fresh = u8::from(fresh.contains(key));
            let value = weights.get(key);
            let value = value.map(|weight| Writer::tagged(is_fresh).i64(*weight).done());
            put(&Writer::tagged(tag).raw(key).done(), value.as_deref());
        };
        match self.dirty.take() {
            None => weights.keys().for_each(|key| tell(key)),
            Some(keys) => keys.iter().for_each(tell),
        }
    }

    /// What is there was told before.
    pub(super) fn settle(&mut self) {
        self.dirty.settle();
    }

    /// Takes a key back.
    pub(super) fn load(&mut self, key: Reader<'_>, value: &[u8]) -> Result<(), Unreadable> {
        let (key, mut value) = (key.rest(), Reader::new(value));
        if value.tag()? == 1 {
            self.fresh.insert(key.into());
        }
        self.weights.insert(key.into(), value.i64()?);
        value.end()
    }
}
