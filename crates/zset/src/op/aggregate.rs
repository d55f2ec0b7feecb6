//! Sums and the like per key.
//!
//! A group's accumulators are a function of the rows left in it. Three cases are refused visibly, without
//! a record to blame, and go when their cause goes: `overflow` (a sum or mean has more digits than its
//! column; the group's row is withheld meanwhile), `retracted_unknown` (a group of less than no rows,
//! or of none with something left in its accumulators).

use super::columns::{batch, chained, distinct, find, find_all, inputs, some, unplaced};
use super::keyed::Keyed;
use super::saved::{Dirty, Put, Reader, Unreadable, Writer};
use super::{AggFn, AggregateSpec, Operator, Step};
use crate::compact::Compact;
use crate::{Delta, OpError, Refusal};
use accumulators::Accumulators;
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::kernels::cmp::distinct as differs;
use arrow::compute::{filter, or, take};
use arrow::datatypes::{Field, FieldRef, SchemaRef};
use std::sync::Arc;

mod accumulators;

pub(super) struct Aggregate {
    schema: SchemaRef,
    key: Compact,
    key_columns: Vec<usize>,
    groups: Keyed<Group>,
    values: Vec<Value>,
    step: u64,
    /// Keys of groups that are gone since they were told.
    dirty: Dirty,
    /// Slots of groups that changed since they were told.
    unsaved: Vec<u32>,
}

struct Group {
    /// The sum of its rows' weights.
    rows: i64,
    /// The last step that touched it.
    step: u64,
    /// Whether its slot is among those that are not told yet.
    is_unsaved: bool,
}

impl Group {
    fn new(rows: i64) -> Self {
        Self {
            rows,
            step: 0,
            is_unsaved: false,
        }
    }
}

struct Value {
    name: String,
    argument: Option<usize>,
    accumulators: Accumulators,
}

/// What the touched groups show.
struct Shown {
    exists: Vec<bool>,
    columns: Vec<ArrayRef>,
    /// For each value the number of groups for which it overflows.
    overflows: Vec<i64>,
    /// Groups that lack rows.
    lacking: i64,
}

impl Aggregate {
    pub(super) fn new(spec: &AggregateSpec, schemas: &[SchemaRef]) -> Result<Self, OpError> {
        let [schema] = inputs("aggregate", schemas)?;
        some(&spec.by, "by")?;
        let key_columns = find_all(schema, &spec.by, "by")?;
        let mut fields: Vec<FieldRef> = key_columns
            .iter()
            .map(|&index| Arc::clone(&schema.fields()[index]))
            .collect();
        let mut values = Vec::new();
        for (name, function, argument) in &spec.values {
            let place = ["values", name.as_str()];
            let argument = argument
                .as_ref()
                .map(|column| find(schema, column))
                .transpose();
            let argument = argument.map_err(|error| error.at(&place))?;
            let found = argument.map(|index| schema.field(index));
            let accumulators = Accumulators::new(*function, found).map_err(|e| e.at(&place))?;
            let nullable = !matches!(function, AggFn::Sum | AggFn::Count);
            fields.push(Arc::new(Field::new(
                name,
                accumulators.data_type().clone(),
                nullable,
            )));
            values.push(Value {
                name: name.clone(),
                argument,
                accumulators,
            });
        }
        Ok(Self {
            key: Compact::new(schema, key_columns.clone()).map_err(|error| error.at(&["by"]))?,
            schema: distinct(fields, &["values"])?,
            key_columns,
            groups: Keyed::new(),
            values,
            step: 0,
            dirty: Dirty::default(),
            unsaved: Vec::new(),
        })
    }

    /// The group of every row, and the first row of every group that is touched.
    fn assign(&mut self, rows: &RecordBatch) -> (Vec<u32>, Vec<u32>) {
        self.step += 1;
        let keys = self.key.encode(rows);
        let (mut slots, mut firsts) = (Vec::with_capacity(rows.num_rows()), Vec::new());
        // A join that answers anew hands on its rows as they were, then the same rows as they are.
        let half = rows.num_rows().div_ceil(2);
        for row in 0..rows.num_rows() {
            if row >= half && keys.row(row) == keys.row(row - half) {
                slots.push(slots[row - half]);
                continue;
            }
            let (slot, _) = self.groups.slot(keys.row(row), || Group::new(0));
            let group = self.groups.at_mut(slot);
            if group.step != self.step {
                group.step = self.step;
                if self.dirty.is_settled() && !group.is_unsaved {
                    group.is_unsaved = true;
                    self.unsaved.push(slot);
                }
                firsts.push(u32::try_from(row).expect("a batch has fewer than 2^32 rows"));
            }
            slots.push(slot);
        }
        for value in &mut self.values {
            value.accumulators.grow(self.groups.slots());
        }
        (slots, firsts)
    }

    fn apply(&mut self, rows: &RecordBatch, weights: &[i64], slots: &[u32]) {
        for (&slot, &weight) in slots.iter().zip(weights) {
            self.groups.at_mut(slot).rows += weight;
        }
        for value in &mut self.values {
            let argument = value.argument.map(|index| rows.column(index));
            value.accumulators.add(argument, weights, slots);
        }
    }

    fn shown(&self, touched: &[u32]) -> Shown {
        let mut exists: Vec<bool> = touched
            .iter()
            .map(|&slot| self.groups.at(slot).rows > 0)
            .collect();
        let lacking = touched.iter().filter(|&&slot| self.lacks(slot)).count();
        let (mut columns, mut overflows) = (Vec::new(), Vec::new());
        for value in &self.values {
            let (column, overflow) = value.accumulators.output(touched);
            let count = overflow.iter().filter(|&&index| exists[index]).count();
            overflows.push((count, overflow));
            columns.push(column);
        }
        for &index in overflows.iter().flat_map(|(_, overflow)| overflow) {
            exists[index] = false;
        }
        let count = |count: usize| i64::try_from(count).expect("fewer groups than 2^63");
        let overflows = overflows
            .into_iter()
            .map(|(groups, _)| count(groups))
            .collect();
        Shown {
            exists,
            columns,
            overflows,
            lacking: count(lacking),
        }
    }

    fn lacks(&self, slot: u32) -> bool {
        let rows = self.groups.at(slot).rows;
        rows < 0 || (rows == 0 && !self.is_clear(slot))
    }

    fn is_clear(&self, slot: u32) -> bool {
        self.values
            .iter()
            .all(|value| value.accumulators.is_clear(slot))
    }

    fn refusals(&self, before: &Shown, after: &Shown) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for (index, value) in self.values.iter().enumerate() {
            let change = after.overflows[index] - before.overflows[index];
            if change != 0 {
                let message =
                    "a group's value has more digits than its column holds; its row is withheld";
                refusals.push(unplaced("overflow", message, Some(&value.name), change));
            }
        }
        if after.lacking != before.lacking {
            let message = "rows were retracted from a group that never had them";
            let change = after.lacking - before.lacking;
            refusals.push(unplaced("retracted_unknown", message, None, change));
        }
        refusals
    }

    /// Rows of the touched groups where `flags` says so.
    fn rows(&self, keys: &[ArrayRef], shown: &Shown, flags: Vec<bool>, weight: i64) -> Delta {
        let mask = BooleanArray::from(flags);
        // A withheld group has null where a column may have none, so rows are picked before they are a batch.
        let columns = keys.iter().chain(&shown.columns);
        let columns = columns.map(|column| filter(column, &mask).expect("one flag a group"));
        let count = mask.true_count();
        Delta::new(
            batch(&self.schema, columns.collect(), count),
            vec![weight; count],
        )
    }

    fn forget_empty(&mut self, touched: &[u32]) {
        for &slot in touched {
            if self.groups.at(slot).rows == 0 && self.is_clear(slot) {
                self.dirty.touch(self.groups.key(slot));
                self.groups.remove(slot);
            }
        }
    }
}

impl Operator for Aggregate {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn step(&mut self, inputs: &[Delta], _as_of_us: i64) -> Step {
        let Delta {
            batch: rows,
            weights,
        } = &inputs[0];
        if rows.num_rows() == 0 {
            return Step {
                delta: Delta::empty(self.schema()),
                refusals: Vec::new(),
            };
        }
        let (slots, firsts) = self.assign(rows);
        let touched: Vec<u32> = firsts.iter().map(|&row| slots[row as usize]).collect();
        let before = self.shown(&touched);
        self.apply(rows, weights, &slots);
        let after = self.shown(&touched);
        let changed = changed(&before, &after);
        let firsts = UInt32Array::from(firsts);
        let keys: Vec<ArrayRef> = self
            .key_columns
            .iter()
            .map(|&index| take(rows.column(index), &firsts, None).expect("rows of the batch"))
            .collect();
        let flags = |shown: &Shown| {
            shown
                .exists
                .iter()
                .zip(&changed)
                .map(|(exists, changed)| *exists && *changed)
                .collect()
        };
        let old = self.rows(&keys, &before, flags(&before), -1);
        let new = self.rows(&keys, &after, flags(&after), 1);
        let refusals = self.refusals(&before, &after);
        self.forget_empty(&touched);
        let parts: Vec<Delta> = [old, new]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        Step {
            delta: chained(&self.schema, &parts),
            refusals,
        }
    }

    fn state_rows(&self) -> usize {
        self.groups.len()
    }

    fn save(&mut self, put: &mut Put<'_>) {
        let slots = u32::try_from(self.groups.slots()).expect("fewer than 2^32 keys in memory");
        let (groups, values) = (&mut self.groups, &self.values);
        let mut tell = |slot: u32, is_asked: bool| {
            let Some((key, group)) = groups.taken_mut(slot) else {
                return;
            };
            if !std::mem::take(&mut group.is_unsaved) && !is_asked {
                return;
            }
            let out = Writer::default().i64(group.rows);
            let add = |out, value: &Value| value.accumulators.save(slot, out);
            put(key, Some(&values.iter().fold(out, add).done()));
        };
        let unsaved = std::mem::take(&mut self.unsaved);
        let Some(gone) = self.dirty.take() else {
            (0..slots).for_each(|slot| tell(slot, true));
            return;
        };
        for slot in unsaved {
            tell(slot, false);
        }
        let gone = gone.iter().filter(|key| self.groups.find(key).is_none());
        gone.for_each(|key| put(key, None));
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        self.dirty.settle();
        let mut value = Reader::new(value);
        let rows = value.i64()?;
        let (slot, _) = self.groups.slot(key, || Group::new(rows));
        for of in &mut self.values {
            of.accumulators.grow(self.groups.slots());
            of.accumulators.load(slot, &mut value)?;
        }
        value.end()
    }
}

/// For each touched group whether what it shows is different now.
fn changed(before: &Shown, after: &Shown) -> Vec<bool> {
    let old = BooleanArray::from(before.exists.clone());
    let new = BooleanArray::from(after.exists.clone());
    let mut changed = differs(&old, &new).expect("both are flags");
    for (old, new) in before.columns.iter().zip(&after.columns) {
        let different = differs(old, new).expect("columns of one type");
        changed = or(&changed, &different).expect("as many flags");
    }
    changed.values().iter().collect()
}
