//! The first row per key; later ones are dropped without a word.
//!
//! First is by topic, partition, offset: inside a partition the log's order, and between partitions an
//! order that does not depend on how they interleave. A row that turns out not to be the first is retracted, and
//! so is that of a key that another stage names: the next row of such a key is the first again.

use super::columns::{Records, find_all, inputs, log, some};
use super::keyed::{Bytes, Keyed};
use super::log::Partitions;
use super::named::Named;
use super::saved::{Put, Reader, Unreadable, Writer};
use super::{DedupeSpec, Operator, Step};
use crate::compact::Compact;
use crate::{Delta, OpError, Parts};
use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use std::sync::Arc;

pub(super) struct Dedupe {
    key: Compact,
    row: Compact,
    records: Records,
    partitions: Partitions,
    keys: Keyed<First>,
    named: Named,
}

/// Entries are of these kinds.
const PARTITION: u8 = 0;
const KEY: u8 = 1;
const NAMED: u8 = 2;

struct First {
    partition: u32,
    offset: i64,
    /// The encoded row; `None` until the step that brought it ends.
    row: Option<Bytes>,
}

impl Dedupe {
    pub(super) fn new(spec: &DedupeSpec, schemas: &[SchemaRef]) -> Result<Self, OpError> {
        let [schema] = inputs("dedupe", schemas)?;
        log("dedupe", schema)?;
        some(&spec.key, "key")?;
        let key = find_all(schema, &spec.key, "key")?;
        let named = Named::new(schema, &key)?;
        Ok(Self {
            named,
            key: Compact::new(schema, key).map_err(|error| error.at(&["key"]))?,
            row: Compact::whole(schema)?,
            records: Records::of(schema),
            partitions: Partitions::new(schema),
            keys: Keyed::new(),
        })
    }
}

impl Operator for Dedupe {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.row.schema())
    }

    fn step(&mut self, inputs: &[Parts], _as_of_us: i64) -> Step {
        let Delta { batch, weights } = &inputs[0].whole();
        let keys = self.key.encode(batch);
        let places = self.partitions.places(batch);
        let (mut old, mut refusals) = (Vec::new(), Vec::new());
        // Slots with a row of this batch; a later entry for a slot takes the place of an earlier one.
        let mut fresh: Vec<(u32, u32)> = Vec::new();
        for row in places.order(&self.partitions) {
            let index = row as usize;
            if weights[index] < 1 {
                let message = "a log has inserts only";
                refusals.push(
                    self.records
                        .refusal(batch, index, 1, "retraction_in_log", message),
                );
                continue;
            }
            let (partition, offset) = (places.partitions[index], places.offsets[index]);
            let new = || First {
                partition,
                offset,
                row: None,
            };
            let (slot, is_new) = self.keys.slot(keys.row(index), new);
            let first = self.keys.at_mut(slot);
            let earlier = self.partitions.compare(partition, first.partition);
            if !is_new && !earlier.then(offset.cmp(&first.offset)).is_lt() {
                continue;
            }
            old.extend(std::mem::replace(first, new()).row);
            self.keys.touch(slot);
            fresh.push((slot, row));
        }
        fresh.reverse();
        fresh.sort_by_key(|&(slot, _)| slot);
        fresh.dedup_by_key(|(slot, _)| *slot);
        fresh.sort_by_key(|&(_, row)| row);
        let rows = UInt32Array::from_iter_values(fresh.iter().map(|&(_, row)| row));
        let new = take_record_batch(batch, &rows).expect("rows of the batch");
        let bytes = self.row.encode(&new);
        for (index, (slot, _)) in fresh.into_iter().enumerate() {
            self.keys.at_mut(slot).row = Some(bytes.row(index).into());
        }
        for key in self.named.due() {
            if let Some(slot) = self.keys.find(&key) {
                old.extend(self.keys.remove(slot).row);
            }
        }
        let old: Vec<&[u8]> = old.iter().map(AsRef::as_ref).collect();
        let old = self.row.decode(&old);
        let gone = vec![-1; old.num_rows()];
        let parts = [Delta::new(old, gone), Delta::inserts(new)];
        Step {
            delta: Parts::new(self.schema(), parts),
            refusals,
        }
    }

    fn forget(&mut self, keys: &Delta, is_time: bool) -> bool {
        let known = &self.keys;
        let is_known = |key: &[u8]| known.find(key).is_some();
        self.named.take(keys, is_time, is_known)
    }

    fn state_rows(&self) -> usize {
        self.keys.len()
    }

    fn save(&mut self, put: &mut Put<'_>) {
        self.partitions.save(PARTITION, put);
        self.named.save(NAMED, put);
        self.keys.tell(|key, first| {
            let value = first.map(|(_, first)| {
                let row = first.row.as_ref();
                let row = row.expect("the step that brought it has ended");
                let place = Writer::default().u32(first.partition).i64(first.offset);
                place.raw(row).done()
            });
            put(&Writer::tagged(KEY).raw(key).done(), value.as_deref());
        });
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        self.keys.settle();
        self.named.settle();
        let (mut key, mut value) = (Reader::new(key), value);
        match key.tag()? {
            PARTITION => self.partitions.load(key, value),
            NAMED => self.named.load(key, value),
            KEY => {
                let mut head = Reader::new(value);
                let (partition, offset) = (head.u32()?, head.i64()?);
                value = head.rest();
                let row = Some(value.into());
                self.keys.slot(key.rest(), || First {
                    partition,
                    offset,
                    row,
                });
                Ok(())
            }
            _ => Err(Unreadable),
        }
    }
}
