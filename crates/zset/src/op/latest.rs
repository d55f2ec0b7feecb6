//! One row set per key: that of the highest version.
//!
//! Each partition's log is followed by itself: its versions with their digests, its conflicts, the row
//! set of its highest version. So the answer does not depend on how partitions interleave. A key should
//! live in one partition; where it lives in several, the first of them by topic and number is shown,
//! and the versions of the others are refused (`key_in_two_partitions`) until the key is only there.
//! Other refusals: `version_conflict` (until a tombstone forgets the key), `null_version`,
//! `retraction_in_log`. All of it is a function of each partition's rows in offset order.

use super::columns::{Encoder, Records, batch, chained, find_all, inputs, log, some, typed};
use super::keyed::{Bytes, Keyed};
use super::log::Partitions;
use super::{LatestSpec, Operator, Step};
use crate::{Delta, OpError, Refusal, meta};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::row::Rows;
use entry::{Entry, RowSet, Seen, Taken};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

mod entry;

pub(super) struct Latest {
    schema: SchemaRef,
    key: Encoder,
    version: usize,
    tombstone: Option<usize>,
    content: Encoder,
    meta: Encoder,
    /// For each output column whether it is metadata, and its index there.
    layout: Vec<(bool, usize)>,
    records: Records,
    partitions: Partitions,
    keys: Keyed<Entry>,
}

/// One step's rows in every form.
struct Rowed<'a> {
    batch: &'a RecordBatch,
    weights: &'a [i64],
    keys: Rows,
    content: Rows,
    meta: Rows,
    versions: &'a Int64Array,
    tombstones: Option<&'a BooleanArray>,
}

/// A record's rows of one key and version.
struct Unit {
    partition: u32,
    seen: Seen,
    rows: Vec<u32>,
    is_tombstone: bool,
}

/// A key that this step has changed.
struct Touched {
    slot: u32,
    before: Option<Bytes>,
    refused: Vec<Refusal>,
}

impl Latest {
    pub(super) fn new(spec: &LatestSpec, schemas: &[SchemaRef]) -> Result<Self, OpError> {
        let [schema] = inputs("latest", schemas)?;
        log("latest", schema)?;
        some(&spec.key, "key")?;
        let key = find_all(schema, &spec.key, "key")?;
        let is_version = |found: &DataType| *found == DataType::Int64;
        let version = typed(schema, &spec.version, "version", "Int64", is_version)?;
        let is_flag = |found: &DataType| *found == DataType::Boolean;
        let find = |name: &String| typed(schema, name, "tombstone", "Boolean", is_flag);
        let tombstone = spec.tombstone.as_ref().map(find).transpose()?;
        let (mut content, mut metadata, mut layout) = (Vec::new(), Vec::new(), Vec::new());
        for (index, field) in schema.fields().iter().enumerate() {
            let is_meta = meta::is_meta(field.name());
            let side = if is_meta { &mut metadata } else { &mut content };
            layout.push((is_meta, side.len()));
            side.push(index);
        }
        Ok(Self {
            schema: Arc::clone(schema),
            key: Encoder::new(schema, key).map_err(|error| error.at(&["key"]))?,
            version,
            tombstone,
            content: Encoder::new(schema, content)?,
            meta: Encoder::new(schema, metadata)?,
            layout,
            records: Records::of(schema),
            partitions: Partitions::new(schema),
            keys: Keyed::new(),
        })
    }

    fn rowed<'a>(&self, delta: &'a Delta) -> Rowed<'a> {
        let batch = &delta.batch;
        Rowed {
            batch,
            weights: &delta.weights,
            keys: self.key.encode(batch),
            content: self.content.encode(batch),
            meta: self.meta.encode(batch),
            versions: batch.column(self.version).as_primitive::<Int64Type>(),
            tombstones: self.tombstone.map(|index| batch.column(index).as_boolean()),
        }
    }

    /// Takes one record's rows of one key and version.
    fn take(
        &mut self,
        rowed: &Rowed<'_>,
        unit: Unit,
        touched: &mut Vec<Touched>,
        refusals: &mut Vec<Refusal>,
    ) {
        let first = unit.rows[0] as usize;
        let key = rowed.keys.row(first).data();
        if unit.is_tombstone {
            let Some(slot) = self.keys.find(key) else {
                return;
            };
            self.touch(slot, touched);
            let conflicts = self.keys.at_mut(slot).forget(unit.partition);
            let (topic, partition) = self.partitions.name(unit.partition);
            refusals.extend(
                conflicts
                    .into_iter()
                    .map(|(offset, version)| conflict(topic, partition, offset, version, -1)),
            );
            return;
        }
        let (slot, is_new) = self.keys.slot(key, Entry::default);
        if !is_new && self.keys.at(slot).knows(unit.partition, &unit.seen) {
            return;
        }
        self.touch(slot, touched);
        let seen = unit.seen;
        if self.keys.at_mut(slot).take(unit.partition, seen, unit.rows) == Taken::Conflict {
            let (topic, partition) = self.partitions.name(unit.partition);
            refusals.push(conflict(topic, partition, seen.offset, seen.version, 1));
        }
    }

    /// Remembers what a key showed before this step.
    fn touch(&mut self, slot: u32, touched: &mut Vec<Touched>) {
        if self.keys.at(slot).is_touched() {
            return;
        }
        let entry = self.keys.at(slot);
        let before = entry
            .shown(&self.partitions)
            .and_then(RowSet::stored)
            .cloned();
        let refused = entry.foreign(&self.partitions);
        touched.push(Touched {
            slot,
            before,
            refused,
        });
        self.keys.at_mut(slot).set_touched(true);
    }

    /// Encodes what the step brought and compares each touched key with what it showed before.
    fn answer(
        &mut self,
        rowed: &Rowed<'_>,
        touched: Vec<Touched>,
        refusals: &mut Vec<Refusal>,
    ) -> Delta {
        let (mut old, mut new): (Vec<Bytes>, Vec<u32>) = (Vec::new(), Vec::new());
        let mut again: Vec<Bytes> = Vec::new();
        for Touched {
            slot,
            before,
            refused,
        } in touched
        {
            let entry = self.keys.at_mut(slot);
            entry.set_touched(false);
            let fresh = entry.store(&self.partitions, |rows| blob(rowed, rows));
            let shown = entry.shown(&self.partitions).and_then(RowSet::stored);
            if shown != before.as_ref() {
                match (fresh, shown) {
                    (Some(rows), _) => new.extend(rows),
                    (None, Some(blob)) => again.push(Bytes::clone(blob)),
                    (None, None) => {}
                }
                old.extend(before);
            }
            if !refused.is_empty() || entry.has_several() {
                let now = entry.foreign(&self.partitions);
                change(&refused, now, refusals);
            }
            if self.keys.at(slot).is_empty() {
                self.keys.remove(slot);
            }
        }
        let fresh =
            take_record_batch(rowed.batch, &UInt32Array::from(new)).expect("rows of the batch");
        let parts = [
            self.decode(&old, -1),
            self.decode(&again, 1),
            Delta::inserts(fresh),
        ];
        let parts: Vec<Delta> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        chained(&self.schema, &parts)
    }

    fn decode(&self, blobs: &[Bytes], weight: i64) -> Delta {
        let rows: Vec<(&[u8], &[u8])> = blobs.iter().flat_map(|blob| entry::rows(blob)).collect();
        let content = self
            .content
            .codec
            .decode(rows.iter().map(|(content, _)| *content));
        let meta = self.meta.codec.decode(rows.iter().map(|(_, meta)| *meta));
        let column = |&(is_meta, index): &(bool, usize)| -> ArrayRef {
            Arc::clone(if is_meta {
                meta.column(index)
            } else {
                content.column(index)
            })
        };
        let columns = self.layout.iter().map(column).collect();
        Delta::new(
            batch(&self.schema, columns, rows.len()),
            vec![weight; rows.len()],
        )
    }

    fn is_taken(&self, rowed: &Rowed<'_>, row: u32, refusals: &mut Vec<Refusal>) -> bool {
        let index = row as usize;
        let (code, message) = if rowed.weights[index] < 1 {
            ("retraction_in_log", "a log has inserts only")
        } else if rowed.versions.is_null(index) && !is_tombstone(rowed, row) {
            ("null_version", "the version is null")
        } else {
            return true;
        };
        refusals.push(self.records.refusal(rowed.batch, index, 1, code, message));
        false
    }
}

/// A record's rows as units, in the order of their first rows.
fn units(rowed: &Rowed<'_>, partition: u32, offset: i64, record: Vec<u32>) -> Vec<Unit> {
    let mut groups: Vec<Vec<u32>> = Vec::new();
    if record.len() == 1 {
        groups.push(record);
    } else {
        let name = |row: u32| {
            let version = rowed.versions.value(row as usize);
            (
                is_tombstone(rowed, row),
                version,
                rowed.keys.row(row as usize),
            )
        };
        let mut sorted = record;
        sorted.sort_by(|&one, &two| name(one).cmp(&name(two)));
        groups.extend(
            sorted
                .chunk_by(|&one, &two| name(one) == name(two))
                .map(<[u32]>::to_vec),
        );
        groups.sort_by_key(|rows| rows[0]);
    }
    let unit = |rows: Vec<u32>| {
        let version = rowed.versions.value(rows[0] as usize);
        let seen = Seen {
            version,
            digest: digest(rowed, &rows),
            offset,
        };
        Unit {
            partition,
            seen,
            is_tombstone: is_tombstone(rowed, rows[0]),
            rows,
        }
    };
    groups.into_iter().map(unit).collect()
}

fn is_tombstone(rowed: &Rowed<'_>, row: u32) -> bool {
    let row = row as usize;
    rowed
        .tombstones
        .is_some_and(|flags| flags.is_valid(row) && flags.value(row))
}

/// What a unit's content is told apart by: every column but the metadata, whatever the rows' order.
fn digest(rowed: &Rowed<'_>, rows: &[u32]) -> u128 {
    let digest = |row: u32| xxh3_128(rowed.content.row(row as usize).data());
    match rows {
        [only] => digest(*only),
        rows => {
            let mut digests: Vec<u128> = rows.iter().map(|&row| digest(row)).collect();
            digests.sort_unstable();
            xxh3_128(
                &digests
                    .into_iter()
                    .flat_map(u128::to_le_bytes)
                    .collect::<Vec<u8>>(),
            )
        }
    }
}

fn blob(rowed: &Rowed<'_>, rows: &[u32]) -> Bytes {
    let row = |row: u32| {
        (
            rowed.content.row(row as usize).data(),
            rowed.meta.row(row as usize).data(),
        )
    };
    match rows {
        [only] => entry::blob(&[row(*only)]),
        rows => {
            let mut all: Vec<_> = rows.iter().map(|&index| row(index)).collect();
            all.sort_unstable();
            entry::blob(&all)
        }
    }
}

fn conflict(topic: &str, partition: i32, offset: i64, version: i64, weight: i64) -> Refusal {
    Refusal {
        topic: topic.to_owned(),
        partition,
        offset,
        code: "version_conflict".to_owned(),
        message: format!(
            "version {version} of its key came before with other content, which stays"
        ),
        field: None,
        weight,
    }
}

/// Refusals that are new, and -1 for those that are no longer.
fn change(before: &[Refusal], now: Vec<Refusal>, out: &mut Vec<Refusal>) {
    let gone = before.iter().filter(|refusal| !now.contains(refusal));
    out.extend(gone.map(|refusal| Refusal {
        weight: -1,
        ..refusal.clone()
    }));
    out.extend(now.into_iter().filter(|refusal| !before.contains(refusal)));
}

impl Operator for Latest {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn step(&mut self, inputs: &[Delta], _as_of_us: i64) -> Step {
        let (rowed, mut refusals) = (self.rowed(&inputs[0]), Vec::new());
        let places = self.partitions.places(rowed.batch);
        let order = places.order(&self.partitions);
        let mut touched = Vec::new();
        for record in places.records(&order) {
            let first = record[0] as usize;
            let (partition, offset) = (places.partitions[first], places.offsets[first]);
            let taken: Vec<u32> = record
                .iter()
                .copied()
                .filter(|&row| self.is_taken(&rowed, row, &mut refusals))
                .collect();
            if taken.is_empty() {
                continue;
            }
            for unit in units(&rowed, partition, offset, taken) {
                self.take(&rowed, unit, &mut touched, &mut refusals);
            }
        }
        let delta = self.answer(&rowed, touched, &mut refusals);
        Step { delta, refusals }
    }

    fn state_rows(&self) -> usize {
        self.keys.len()
    }
}
