//! The first row per key; later ones are dropped without a word.
//!
//! First is by topic, partition, offset: inside a partition the log's order, and between partitions an
//! order that does not depend on how they interleave. A row that turns out not to be the first is retracted.

use super::columns::{Encoder, Records, chained, find_all, inputs, log, some};
use super::compact::Compact;
use super::keyed::{Bytes, Keyed};
use super::log::Partitions;
use super::{DedupeSpec, Operator, Step};
use crate::{Delta, OpError};
use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use std::sync::Arc;

pub(super) struct Dedupe {
    key: Compact,
    row: Encoder,
    records: Records,
    partitions: Partitions,
    keys: Keyed<First>,
}

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
        Ok(Self {
            key: Compact::new(schema, key).map_err(|error| error.at(&["key"]))?,
            row: Encoder::whole(schema)?,
            records: Records::of(schema),
            partitions: Partitions::new(schema),
            keys: Keyed::new(),
        })
    }
}

impl Operator for Dedupe {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.row.codec.schema())
    }

    fn step(&mut self, inputs: &[Delta], _as_of_us: i64) -> Step {
        let Delta { batch, weights } = &inputs[0];
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
            self.keys.at_mut(slot).row = Some(bytes.row(index).data().into());
        }
        let old = self.row.codec.decode(old.iter().map(AsRef::as_ref));
        let gone = vec![-1; old.num_rows()];
        let parts = [Delta::new(old, gone), Delta::inserts(new)];
        let parts: Vec<Delta> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Step {
            delta: chained(self.row.codec.schema(), &parts),
            refusals,
        }
    }

    fn state_rows(&self) -> usize {
        self.keys.len()
    }
}
