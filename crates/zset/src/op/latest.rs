//! One row set per key: that of the highest version.
//!
//! Each partition's log is followed by itself: its versions with their digests, its conflicts, the row
//! set of its highest version. So the answer does not depend on how partitions interleave. A key should
//! live in one partition; where it lives in several, the first of them by topic and number is shown,
//! and the versions of the others are refused (`key_in_two_partitions`) until the key is only there.
//! Other refusals: `version_conflict` (until a tombstone forgets the key), `null_version`,
//! `retraction_in_log`. All of it is a function of each partition's rows in offset order. A key that another
//! stage names is forgotten, as by a tombstone in every partition.

use super::columns::{Records, find_all, inputs, log, some, typed};
use super::keyed::{Bytes, Keyed};
use super::log::Partitions;
use super::named::Named;
use super::saved::{Put, Reader, Unreadable, Writer};
use super::{LatestSpec, Operator, Step};
use crate::compact::{Compact, Packed, push_part};
use crate::{Delta, OpError, Parts, Refusal, meta};
use arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use entry::{Entry, Seen, Taken};
use std::collections::BTreeSet;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

pub(crate) mod entry;

pub(super) struct Latest {
    key: Compact,
    version: usize,
    tombstone: Option<usize>,
    /// Every column but the metadata.
    content: Compact,
    /// What it answers with.
    kept: Compact,
    records: Records,
    partitions: Partitions,
    keys: Keyed<Entry>,
    /// Keys whose change was not answered yet, each with what it showed before.
    open: Vec<(u32, Option<Bytes>)>,
    scratch: Scratch,
    named: Named,
}

/// Entries are of these kinds.
const PARTITION: u8 = 0;
const KEY: u8 = 1;
const NAMED: u8 = 2;

/// One step's rows in every form.
struct Rowed<'a> {
    batch: &'a RecordBatch,
    weights: &'a [i64],
    keys: Packed,
    content: Packed,
    kept: Packed,
    versions: &'a Int64Array,
    tombstones: Option<&'a BooleanArray>,
}

/// Room that is used again for every record.
#[derive(Default)]
struct Scratch {
    bytes: Vec<u8>,
    digests: Vec<[u8; 16]>,
}

/// A record's rows of one key and version.
struct Unit<'a> {
    partition: u32,
    offset: i64,
    rows: &'a [u32],
}

/// What was refused of a key that lives in several partitions, before this step.
type Foreign = Vec<(u32, Vec<Refusal>)>;

/// Most keys that one release answers.
const RELEASE_KEYS: usize = 8_192;

impl Latest {
    /// With `wanted`, only these columns are kept and answered.
    pub(super) fn new(
        spec: &LatestSpec,
        schemas: &[SchemaRef],
        wanted: Option<&BTreeSet<String>>,
    ) -> Result<Self, OpError> {
        let [schema] = inputs("latest", schemas)?;
        log("latest", schema)?;
        some(&spec.key, "key")?;
        let key = find_all(schema, &spec.key, "key")?;
        let is_version = |found: &DataType| *found == DataType::Int64;
        let version = typed(schema, &spec.version, "version", "Int64", is_version)?;
        let is_flag = |found: &DataType| *found == DataType::Boolean;
        let find = |name: &String| typed(schema, name, "tombstone", "Boolean", is_flag);
        let tombstone = spec.tombstone.as_ref().map(find).transpose()?;
        let columns = |is_chosen: &dyn Fn(&String) -> bool| -> Vec<usize> {
            (0..schema.fields().len())
                .filter(|&index| is_chosen(schema.field(index).name()))
                .collect()
        };
        let content = columns(&|name| !meta::is_meta(name));
        let kept = columns(&|name| wanted.is_none_or(|wanted| wanted.contains(name)));
        let named = Named::new(schema, &key)?;
        Ok(Self {
            key: Compact::new(schema, key).map_err(|error| error.at(&["key"]))?,
            named,
            version,
            tombstone,
            content: Compact::new(schema, content)?,
            kept: Compact::new(schema, kept)?,
            records: Records::of(schema),
            partitions: Partitions::new(schema),
            keys: Keyed::new(),
            open: Vec::new(),
            scratch: Scratch::default(),
        })
    }

    fn rowed<'a>(&self, delta: &'a Delta) -> Rowed<'a> {
        let batch = &delta.batch;
        Rowed {
            batch,
            weights: &delta.weights,
            keys: self.key.encode(batch),
            content: self.content.encode(batch),
            kept: self.kept.encode(batch),
            versions: batch.column(self.version).as_primitive::<Int64Type>(),
            tombstones: self.tombstone.map(|index| batch.column(index).as_boolean()),
        }
    }

    /// Takes one record's rows of one key and version.
    fn take(
        &mut self,
        rowed: &Rowed<'_>,
        unit: &Unit<'_>,
        foreign: &mut Foreign,
        refusals: &mut Vec<Refusal>,
    ) {
        let first = unit.rows[0];
        let key = rowed.keys.row(first as usize);
        if is_tombstone(rowed, first) {
            let Some(slot) = self.keys.find(key) else {
                return;
            };
            self.touch(slot, foreign);
            let conflicts = self.keys.at_mut(slot).forget(unit.partition);
            let (topic, partition) = self.partitions.name(unit.partition);
            refusals.extend(
                conflicts
                    .into_iter()
                    .map(|(offset, version)| conflict(topic, partition, offset, version, -1)),
            );
            return;
        }
        let seen = Seen {
            version: rowed.versions.value(first as usize),
            digest: self.scratch.digest(&rowed.content, unit.rows),
            offset: unit.offset,
        };
        let (slot, is_new) = self.keys.slot(key, Entry::default);
        if !is_new && self.keys.at(slot).knows(unit.partition, &seen) {
            return;
        }
        self.touch(slot, foreign);
        let scratch = &mut self.scratch;
        let rows = || scratch.blob(&rowed.kept, unit.rows);
        if self.keys.at_mut(slot).take(unit.partition, seen, rows) == Taken::Conflict {
            let (topic, partition) = self.partitions.name(unit.partition);
            refusals.push(conflict(topic, partition, seen.offset, seen.version, 1));
        }
        let entry = self.keys.at_mut(slot);
        if entry.has_several() && !entry.is_foreign {
            // It came to a second partition just now.
            entry.is_foreign = true;
            foreign.push((slot, Vec::new()));
        }
    }

    /// Remembers what a key that is about to change showed when it was last answered.
    fn open_slot(&mut self, slot: u32) {
        self.keys.touch(slot);
        let entry = self.keys.at(slot);
        if !entry.is_open {
            let before = entry.shown(&self.partitions).cloned();
            self.open.push((slot, before));
            self.keys.at_mut(slot).is_open = true;
        }
    }

    /// The same, and what was refused of it.
    fn touch(&mut self, slot: u32, foreign: &mut Foreign) {
        self.open_slot(slot);
        let entry = self.keys.at(slot);
        if entry.has_several() && !entry.is_foreign {
            foreign.push((slot, entry.foreign(&self.partitions)));
            self.keys.at_mut(slot).is_foreign = true;
        }
    }

    /// Takes a step's rows in; answers what that refuses.
    fn take_in(&mut self, delta: &Delta) -> Vec<Refusal> {
        let (rowed, mut refusals) = (self.rowed(delta), Vec::new());
        let places = self.partitions.places(rowed.batch);
        let order = places.order(&self.partitions);
        let (mut foreign, mut taken, mut lengths) = (Foreign::new(), Vec::new(), Vec::new());
        for record in places.records(&order) {
            let first = record[0] as usize;
            let (partition, offset) = (places.partitions[first], places.offsets[first]);
            taken.clear();
            let is_taken = |row: &u32| self.is_taken(&rowed, *row, &mut refusals);
            taken.extend(record.iter().copied().filter(is_taken));
            if taken.is_empty() {
                continue;
            }
            units(&rowed, &mut taken, &mut lengths);
            let mut rest = &taken[..];
            for &length in &lengths {
                let (rows, others) = rest.split_at(length);
                let unit = Unit {
                    partition,
                    offset,
                    rows,
                };
                self.take(&rowed, &unit, &mut foreign, &mut refusals);
                rest = others;
            }
        }
        for (slot, before) in foreign {
            let entry = self.keys.at_mut(slot);
            entry.is_foreign = false;
            change(&before, entry.foreign(&self.partitions), &mut refusals);
        }
        refusals
    }

    /// Forgets what is due.
    fn forget_due(&mut self, refusals: &mut Vec<Refusal>) {
        for key in self.named.due() {
            let Some(slot) = self.keys.find(&key) else {
                continue;
            };
            self.open_slot(slot);
            let entry = self.keys.at_mut(slot);
            change(&entry.foreign(&self.partitions), Vec::new(), refusals);
            for (partition, (offset, version)) in entry.forget_all() {
                let (topic, partition) = self.partitions.name(partition);
                refusals.push(conflict(topic, partition, offset, version, -1));
            }
        }
    }

    /// Compares keys with what they showed when last answered: at most so many of those that have changed.
    fn answer(&mut self, keys_max: usize) -> Delta {
        let open = self
            .open
            .split_off(self.open.len().saturating_sub(keys_max));
        // What a book took while it was held back is not kept for days of small changes.
        self.open.shrink_to(RELEASE_KEYS);
        let (mut old, mut new): (Vec<Bytes>, Vec<Bytes>) = (Vec::new(), Vec::new());
        for (slot, before) in open {
            let entry = self.keys.at_mut(slot);
            entry.is_open = false;
            let shown = entry.shown(&self.partitions);
            if shown != before.as_ref() {
                new.extend(shown.cloned());
                old.extend(before);
            }
            if self.keys.at(slot).is_empty() {
                self.keys.remove(slot);
            }
        }
        let mut rows: Vec<&[u8]> = old.iter().flat_map(|blob| entry::rows(blob)).collect();
        let gone = rows.len();
        rows.extend(new.iter().flat_map(|blob| entry::rows(blob)));
        let weights = (0..rows.len()).map(|row| if row < gone { -1 } else { 1 });
        let weights = weights.collect();
        Delta::new(self.kept.decode(&rows), weights)
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

/// The lengths of a record's units: its rows are of one key and version mostly, else they are sorted so that each
/// unit's stand together, the units in the order of their first rows.
fn units(rowed: &Rowed<'_>, record: &mut [u32], lengths: &mut Vec<usize>) {
    lengths.clear();
    let name = |row: u32| {
        let version = rowed.versions.value(row as usize);
        (
            is_tombstone(rowed, row),
            version,
            rowed.keys.row(row as usize),
        )
    };
    let first = name(record[0]);
    if record[1..].iter().all(|&row| name(row) == first) {
        lengths.push(record.len());
        return;
    }
    record.sort_by(|&one, &two| name(one).cmp(&name(two)));
    let mut groups: Vec<Vec<u32>> = record
        .chunk_by(|&one, &two| name(one) == name(two))
        .map(<[u32]>::to_vec)
        .collect();
    groups.sort_by_key(|rows| rows[0]);
    record.copy_from_slice(&groups.concat());
    lengths.extend(groups.iter().map(Vec::len));
}

fn is_tombstone(rowed: &Rowed<'_>, row: u32) -> bool {
    let row = row as usize;
    rowed
        .tombstones
        .is_some_and(|flags| flags.is_valid(row) && flags.value(row))
}

impl Scratch {
    /// What a unit's content is told apart by: every column but the metadata, whatever the rows' order.
    fn digest(&mut self, content: &Packed, rows: &[u32]) -> [u8; 16] {
        let digest = |&row: &u32| xxh3_128(content.row(row as usize)).to_le_bytes();
        if let [only] = rows {
            return digest(only);
        }
        self.digests.clear();
        self.digests.extend(rows.iter().map(digest));
        self.digests.sort_unstable();
        self.bytes.clear();
        for digest in &self.digests {
            self.bytes.extend_from_slice(digest);
        }
        xxh3_128(&self.bytes).to_le_bytes()
    }

    /// A unit's rows as one block of bytes, the same whatever their order.
    fn blob(&mut self, kept: &Packed, rows: &[u32]) -> Bytes {
        self.bytes.clear();
        let row = |row: &u32| kept.row(*row as usize);
        if rows.is_sorted_by_key(row) {
            for only in rows {
                push_part(row(only), &mut self.bytes);
            }
        } else {
            let mut sorted: Vec<&[u8]> = rows.iter().map(row).collect();
            sorted.sort_unstable();
            for row in sorted {
                push_part(row, &mut self.bytes);
            }
        }
        self.bytes[..].into()
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
        Arc::clone(self.kept.schema())
    }

    fn step(&mut self, inputs: &[Parts], _as_of_us: i64) -> Step {
        let mut refusals = self.take_in(&inputs[0].whole());
        self.forget_due(&mut refusals);
        let delta = self.answer(usize::MAX).into();
        Step { delta, refusals }
    }

    fn absorb(&mut self, inputs: &[Parts], _as_of_us: i64) -> Step {
        let refusals = self.take_in(&inputs[0].whole());
        let delta = Parts::empty(self.schema());
        Step { delta, refusals }
    }

    fn release(&mut self, inputs: &[Parts], _as_of_us: i64) -> (Step, bool) {
        let refusals = self.take_in(&inputs[0].whole());
        let delta = self.answer(RELEASE_KEYS).into();
        (Step { delta, refusals }, !self.open.is_empty())
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
        let (mut name, mut value) = (Vec::new(), Vec::new());
        self.keys.tell(|key, entry| {
            let room = std::mem::take(&mut name);
            name = Writer::over(room).raw(&[KEY]).raw(key).done();
            let room = std::mem::take(&mut value);
            let is_there = entry.is_some();
            if let Some((_, entry)) = entry {
                value = entry.save(Writer::over(room)).done();
            }
            put(&name, is_there.then_some(&value));
        });
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        self.keys.settle();
        self.named.settle();
        let mut key = Reader::new(key);
        match key.tag()? {
            PARTITION => self.partitions.load(key, value),
            NAMED => self.named.load(key, value),
            KEY => {
                let entry = Entry::load(value)?;
                self.keys.slot(key.rest(), || entry);
                Ok(())
            }
            _ => Err(Unreadable),
        }
    }
}
