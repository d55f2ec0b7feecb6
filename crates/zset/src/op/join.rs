//! Input 0 joined with input 1, inner or left. Null joins nothing.
//!
//! With `at_most_one` a key's least right row counts (by the taken columns, then by its record); each
//! further one is refused (`more_than_one_match`) for as long as it is there. A right row that was
//! retracted more often than inserted joins nothing and is refused (`retracted_unknown`) meanwhile.

use super::bag::{self, Bag};
use super::columns::{Encoder, Records, distinct, find, inputs};
use super::keyed::{Bytes, Keyed};
use super::saved::{Dirty, Put, Reader, Unreadable, Writer};
use super::{JoinKind, JoinSpec, Operator, Step};
use crate::compact::{Compact, Packed};
use crate::delta::PART_ROWS;
use crate::pages::{Entries, Pages, weight};
use crate::rows::RowCodec;
use crate::{Delta, OpError, Parts, Refusal, meta};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;

pub(super) struct Join {
    schema: SchemaRef,
    kind: JoinKind,
    at_most_one: bool,
    left_key: Encoder,
    left_row: Compact,
    right_key: Encoder,
    /// The taken columns, then the metadata.
    right_row: Encoder,
    taken: usize,
    records: Records,
    /// What a left row without a partner is joined with.
    nulls: Bytes,
    /// Decodes right rows, where every column may be null.
    right_codec: RowCodec,
    /// Rows behind their keys, with weights.
    left: Pages,
    right: Keyed<Bag>,
    /// How many the right side has.
    rows: usize,
    dirty: Dirty,
}

/// Entries are of these kinds.
const LEFT: u8 = 0;
const RIGHT: u8 = 1;

/// Right rows that a key joins, with weights.
type Partners = Vec<(Bytes, i64)>;

impl Join {
    pub(super) fn new(spec: &JoinSpec, schemas: &[SchemaRef]) -> Result<Self, OpError> {
        let [left, right] = inputs("join", schemas)?;
        let (left_on, right_on) = keys(spec, left, right)?;
        let mut fields: Vec<FieldRef> = left.fields().iter().map(Arc::clone).collect();
        let mut taken = Vec::new();
        for (name, column) in &spec.columns {
            let index = find(right, column).map_err(|error| error.at(&["take", name]))?;
            if meta::is_meta(name) {
                let message =
                    format!("`{name}`: names that begin with `_` belong to record metadata");
                return Err(OpError::new("reserved_name", message).at(&["take", name]));
            }
            let field = right.field(index).clone().with_name(name);
            let nullable = field.is_nullable() || spec.kind == JoinKind::Left;
            fields.push(Arc::new(field.with_nullable(nullable)));
            taken.push(index);
        }
        let schema = distinct(fields, &["take"])?;
        let (count, mut kept) = (taken.len(), taken);
        let is_meta = |index: &usize| meta::is_meta(right.field(*index).name());
        kept.extend((0..right.fields().len()).filter(is_meta));
        let right_row = Encoder::new(right, kept).map_err(|error| error.at(&["take"]))?;
        let open = right_row
            .codec
            .schema()
            .fields()
            .iter()
            .map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
        Ok(Self {
            schema,
            kind: spec.kind,
            at_most_one: spec.at_most_one,
            left_key: Encoder::new(left, left_on).map_err(|error| error.at(&["on"]))?,
            left_row: Compact::whole(left)?,
            right_key: Encoder::new(right, right_on).map_err(|error| error.at(&["on"]))?,
            right_codec: RowCodec::new(Arc::new(Schema::new(open.collect::<Vec<_>>()))),
            records: Records::of(right_row.codec.schema()),
            nulls: right_row.null_row().into(),
            right_row,
            taken: count,
            left: Pages::default(),
            right: Keyed::new(),
            rows: 0,
            dirty: Dirty::default(),
        })
    }

    /// What the key of this bag joins now.
    fn each_partner<'a>(&'a self, bag: Option<&'a Bag>, mut joined: impl FnMut(&'a Bytes, i64)) {
        let mut present = bag.into_iter().flat_map(Bag::present).peekable();
        if present.peek().is_none() && self.kind == JoinKind::Left {
            joined(&self.nulls, 1);
        }
        if self.at_most_one {
            present
                .next()
                .into_iter()
                .for_each(|(row, _)| joined(row, 1));
        } else {
            present.for_each(|(row, weight)| joined(row, weight));
        }
    }

    /// Adds what the key of this bag joins now.
    fn add_partners(&self, bag: &Bag, partners: &mut Partners) {
        self.each_partner(Some(bag), |row, weight| {
            partners.push((Bytes::clone(row), weight));
        });
    }

    /// Takes the right side's change; answers what becomes of the left rows there were.
    fn step_right(&mut self, parts: &Parts, refusals: &mut Vec<Refusal>) -> Vec<Delta> {
        // The slots of keys that change, and what there was: each key's partners end where it says.
        let (mut touched, mut before) = (Vec::new(), Partners::new());
        let mut seen: HashSet<u32> = HashSet::new();
        // Rows that are the same for many keys are kept once.
        let mut known: HashSet<Bytes> = HashSet::new();
        for delta in parts.iter() {
            let keys = self.right_key.encode(&delta.batch);
            let rows = self.right_row.encode(&delta.batch);
            let nulls = self.right_key.nulls(&delta.batch);
            for row in (0..delta.len()).filter(|row| !nulls[*row]) {
                let (key, right) = (keys.row(row).data(), rows.row(row).data());
                let (slot, _) = self.right.slot(key, Bag::default);
                if seen.insert(slot) {
                    let bag = self.right.at(slot);
                    self.add_partners(bag, &mut before);
                    self.refuse(&self.faults(bag), -1, refusals);
                    touched.push((slot, before.len()));
                }
                let bag = self.right.at_mut(slot);
                self.rows -= bag.len();
                bag.add(
                    known.get_or_insert_with(right, |row| row.into()),
                    delta.weights[row],
                );
                self.rows += bag.len();
                bag::touch(RIGHT, key, right, &mut self.dirty);
            }
        }
        let parts = self.rejoined(&touched, &before, refusals);
        for (slot, _) in touched {
            if self.right.at(slot).is_empty() {
                self.right.remove(slot);
            }
        }
        parts
    }

    /// What becomes of the left rows whose keys are in these slots.
    fn rejoined(
        &self,
        touched: &[(u32, usize)],
        before: &Partners,
        refusals: &mut Vec<Refusal>,
    ) -> Vec<Delta> {
        let (mut rows, mut parts): (Vec<&[u8]>, Vec<Delta>) = (Vec::new(), Vec::new());
        // Once with what they were joined with, then with what they are joined with now.
        let (mut gone, mut come) = (Matches::default(), Matches::default());
        let (mut start, mut after) = (0, Partners::new());
        for &(slot, end) in touched {
            let (key, bag) = (self.right.key(slot), self.right.at(slot));
            self.refuse(&self.faults(bag), 1, refusals);
            after.clear();
            self.add_partners(bag, &mut after);
            let before = &before[start..end];
            start = end;
            if *before == after {
                continue;
            }
            for (entry, value) in self.left.range(key) {
                let weight = weight(value);
                for (partner, count) in before {
                    gone.push(rows.len(), partner, -weight * count);
                }
                for (partner, count) in &after {
                    come.push(rows.len(), partner, weight * count);
                }
                rows.push(&entry[key.len()..]);
                if rows.len() == PART_ROWS {
                    parts.extend(self.both(&rows, &mut gone, &mut come));
                    rows.clear();
                }
            }
        }
        parts.extend(self.both(&rows, &mut gone, &mut come));
        parts
    }

    /// Kept left rows with what they were joined with, and the same rows with what they are joined with now.
    fn both(&self, rows: &[&[u8]], gone: &mut Matches, come: &mut Matches) -> [Delta; 2] {
        let left = self.left_row.decode(rows);
        [gone, come].map(|matches| self.delta_of(&left, std::mem::take(matches)))
    }

    /// Takes a part of the left side's change; answers what it joins, and adds its rows with their keys to `entries`.
    fn step_left(&self, delta: &Delta, entries: &mut Entries) -> Delta {
        let rows: Packed = self.left_row.encode(&delta.batch);
        let keys = self.left_key.encode(&delta.batch);
        let nulls = self.left_key.nulls(&delta.batch);
        let mut matches = Matches::default();
        for (row, is_null) in nulls.into_iter().enumerate() {
            let weight = delta.weights[row];
            if is_null {
                if self.kind == JoinKind::Left {
                    matches.push(row, &self.nulls, weight);
                }
                continue;
            }
            let key = keys.row(row).data();
            self.each_partner(self.right.get(key), |right, count| {
                matches.push(row, right, weight * count);
            });
            entries.push([key, rows.row(row)], weight);
        }
        self.delta_of(&delta.batch, matches)
    }

    /// Right rows of a key that break a rule, and how often.
    fn faults(&self, bag: &Bag) -> Faults {
        let mut faults = Faults::default();
        if self.at_most_one {
            let mut spare = 1;
            for (row, weight) in bag.present() {
                if weight > spare {
                    faults.more.push((Bytes::clone(row), weight - spare));
                }
                spare = 0;
            }
        }
        if bag.missing() > 0 {
            let missing = bag.iter().filter(|(_, weight)| *weight < 0);
            faults.missing = missing
                .map(|(row, weight)| (Bytes::clone(row), -weight))
                .collect();
        }
        faults
    }

    fn refuse(&self, faults: &Faults, sign: i64, refusals: &mut Vec<Refusal>) {
        let cases = [
            (
                &faults.more,
                "more_than_one_match",
                "its key has more than one row on the joined side",
            ),
            (
                &faults.missing,
                "retracted_unknown",
                "it was retracted more often than inserted",
            ),
        ];
        for (rows, code, message) in cases {
            if rows.is_empty() {
                continue;
            }
            let batch = self
                .right_codec
                .decode(rows.iter().map(|(row, _)| row.as_ref()));
            for (row, (_, weight)) in rows.iter().enumerate() {
                refusals.push(
                    self.records
                        .refusal(&batch, row, sign * weight, code, message),
                );
            }
        }
    }

    /// Left rows beside those they join.
    fn delta_of(&self, batch: &RecordBatch, mut matches: Matches) -> Delta {
        let is_whole = matches.rows.len() == batch.num_rows()
            && matches
                .rows
                .iter()
                .zip(0..)
                .all(|(&row, index)| row == index);
        let left = if is_whole {
            batch.clone()
        } else {
            let rows = UInt32Array::from(std::mem::take(&mut matches.rows));
            take_record_batch(batch, &rows).expect("rows of the batch")
        };
        let right = matches.decoded(&self.right_codec);
        let columns = left.columns().iter().chain(&right[..self.taken]);
        let columns = columns.map(Arc::clone).collect();
        let rows = matches.weights.len();
        Delta::new(
            super::columns::batch(&self.schema, columns, rows),
            matches.weights,
        )
    }
}

/// Left rows of a part, by their index in it, with what they join.
#[derive(Default)]
struct Matches {
    rows: Vec<u32>,
    /// What each joins, by its index in `distinct`.
    partners: Vec<u32>,
    weights: Vec<i64>,
    distinct: Vec<Bytes>,
    /// Where those are in `distinct` whose bytes are here.
    known: HashMap<*const u8, u32>,
}

impl Matches {
    /// A partner's index.
    fn partner(&mut self, partner: &Bytes) -> u32 {
        // Mostly it is that of the row before.
        if let Some(&last) = self.partners.last()
            && Arc::ptr_eq(&self.distinct[last as usize], partner)
        {
            return last;
        }
        let distinct = &mut self.distinct;
        *self.known.entry(partner.as_ptr()).or_insert_with(|| {
            distinct.push(Bytes::clone(partner));
            u32::try_from(distinct.len() - 1).expect("a batch has fewer than 2^32 rows")
        })
    }

    fn push(&mut self, row: usize, partner: &Bytes, weight: i64) {
        let partner = self.partner(partner);
        self.rows
            .push(u32::try_from(row).expect("a batch has fewer than 2^32 rows"));
        self.partners.push(partner);
        self.weights.push(weight);
    }

    /// The partners' columns; those that share their bytes are decoded once.
    fn decoded(&self, codec: &RowCodec) -> Vec<ArrayRef> {
        let batch = codec.decode(self.distinct.iter().map(AsRef::as_ref));
        if batch.num_rows() == self.partners.len() {
            return batch.columns().to_vec();
        }
        let partners = UInt32Array::from(self.partners.clone());
        let batch = take_record_batch(&batch, &partners).expect("rows of the batch");
        batch.columns().to_vec()
    }
}

#[derive(Default)]
struct Faults {
    more: Partners,
    missing: Partners,
}

fn left_entry(entry: &[u8]) -> Vec<u8> {
    Writer::tagged(LEFT).raw(entry).done()
}

fn keys(
    spec: &JoinSpec,
    left: &SchemaRef,
    right: &SchemaRef,
) -> Result<(Vec<usize>, Vec<usize>), OpError> {
    if spec.on.is_empty() {
        return Err(OpError::new("missing_key", "`on` names no column").at(&["on"]));
    }
    let (mut left_on, mut right_on) = (Vec::new(), Vec::new());
    for (index, (one, two)) in spec.on.iter().enumerate() {
        let place = ["on", &index.to_string()];
        let one_index = find(left, one).map_err(|error| error.at(&place))?;
        let two_index = find(right, two).map_err(|error| error.at(&place))?;
        let one_type = value_type(left.field(one_index).data_type());
        let two_type = value_type(right.field(two_index).data_type());
        if one_type != two_type {
            let message =
                format!("`{one}` is {one_type}, `{two}` of the joined side is {two_type}");
            let fault = OpError::new("wrong_type", message).at(&place);
            return Err(fault.hint("cast one of them with `let` before the join"));
        }
        left_on.push(one_index);
        right_on.push(two_index);
    }
    Ok((left_on, right_on))
}

/// The type whose row form a column has.
fn value_type(found: &DataType) -> &DataType {
    match found {
        DataType::Dictionary(_, values) => values,
        found => found,
    }
}

impl Operator for Join {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn step(&mut self, inputs: &[Parts], _as_of_us: i64) -> Step {
        let (mut refusals, mut entries) = (Vec::new(), Entries::default());
        self.left.seal();
        let mut parts = self.step_right(&inputs[1], &mut refusals);
        parts.extend(
            inputs[0]
                .iter()
                .map(|part| self.step_left(part, &mut entries)),
        );
        for (entry, _) in entries.iter() {
            self.dirty.touch_parts([&[LEFT], entry]);
        }
        self.left.add_all(&entries);
        Step {
            delta: Parts::new(self.schema(), parts),
            refusals,
        }
    }

    fn state_rows(&self) -> usize {
        self.left.len() + self.rows
    }

    fn save(&mut self, put: &mut Put<'_>) {
        let Some(keys) = self.dirty.take() else {
            for (entry, value) in self.left.iter() {
                put(&left_entry(entry), Some(value));
            }
            bag::save_all(RIGHT, &self.right, put);
            return;
        };
        keys.iter().for_each(|key| match key[0] {
            LEFT => put(key, self.left.get(&key[1..])),
            _ => bag::save_one(&self.right, key, put),
        });
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        self.dirty.settle();
        let mut key = Reader::new(key);
        match key.tag()? {
            LEFT => self.left.push(key.rest(), value),
            RIGHT => self.rows += bag::load(&mut self.right, key, value)?,
            _ => return Err(Unreadable),
        }
        Ok(())
    }
}
