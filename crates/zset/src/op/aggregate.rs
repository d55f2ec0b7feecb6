//! Sums and the like per key.
//!
//! A group's accumulators are a function of the rows left in it. Three cases are refused visibly, without
//! a record to blame, and go when their cause goes: `overflow` (a sum or mean has more digits than its
//! column; the group's row is withheld meanwhile), `retracted_unknown` (a group of less than no rows,
//! or of none with something left in its accumulators).

use super::columns::{are_same, batch, distinct, find, find_all, inputs, some, unplaced};
use super::keyed::Keyed;
use super::saved::{Put, Reader, Unreadable, Writer};
use super::{AggFn, AggregateSpec, Operator, Step};
use crate::compact::Compact;
use crate::delta::PART_ROWS;
use crate::{Delta, OpError, Parts, Refusal};
use accumulators::Accumulators;
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::kernels::cmp::distinct as differs;
use arrow::compute::{filter, interleave, or, take};
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
}

struct Group {
    /// The sum of its rows' weights.
    rows: i64,
    /// The last step that touched it.
    step: u64,
}

impl Group {
    fn new(rows: i64) -> Self {
        Self { rows, step: 0 }
    }
}

struct Value {
    name: String,
    argument: Option<usize>,
    accumulators: Accumulators,
}

/// Groups that a step touches.
struct Touched {
    slots: Vec<u32>,
    keys: Vec<ArrayRef>,
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
        })
    }

    /// The group of every row of a part, and which of its rows are the first of a group in this step.
    fn assign(&mut self, rows: &RecordBatch) -> (Arc<[u32]>, Vec<u32>) {
        let keys = self.key.encode(rows);
        let (mut slots, mut firsts) = (Vec::with_capacity(rows.num_rows()), Vec::new());
        for row in 0..rows.num_rows() {
            let (slot, _) = self.groups.slot(keys.row(row), || Group::new(0));
            let group = self.groups.at_mut(slot);
            if group.step != self.step {
                group.step = self.step;
                self.groups.touch(slot);
                firsts.push(u32::try_from(row).expect("a batch has fewer than 2^32 rows"));
            }
            slots.push(slot);
        }
        (slots.into(), firsts)
    }

    /// The groups of all rows, part by part, and those that are touched, some at a time with their keys.
    fn assign_all(&mut self, parts: &Parts) -> (Vec<Arc<[u32]>>, Vec<Touched>) {
        self.step += 1;
        let mut assigned: Vec<Arc<[u32]>> = Vec::new();
        let (mut touched, mut open) = (Vec::new(), Vec::new());
        let mut before: Option<&RecordBatch> = None;
        for Delta { batch: rows, .. } in parts.iter() {
            // What a row was and what it is now mostly have the same key, in the same column.
            let is_same = |before: &RecordBatch| are_same(before, rows, &self.key_columns);
            let (slots, firsts) = match assigned.last() {
                Some(slots) if before.is_some_and(is_same) && slots.len() == rows.num_rows() => {
                    (Arc::clone(slots), Vec::new())
                }
                _ => self.assign(rows),
            };
            if !firsts.is_empty() {
                let groups = firsts.iter().map(|&row| slots[row as usize]);
                open.push((rows, groups.collect(), firsts));
            }
            if open.iter().map(|(.., firsts)| firsts.len()).sum::<usize>() >= PART_ROWS {
                touched.push(self.touched(&std::mem::take(&mut open)));
            }
            assigned.push(slots);
            before = Some(rows);
        }
        if !open.is_empty() {
            touched.push(self.touched(&open));
        }
        for value in &mut self.values {
            value.accumulators.grow(self.groups.slots());
        }
        (assigned, touched)
    }

    /// Groups with their keys: of some parts their slots and their first rows.
    fn touched(&self, parts: &[(&RecordBatch, Vec<u32>, Vec<u32>)]) -> Touched {
        let slots = parts.iter().flat_map(|(_, slots, _)| slots).copied();
        let key = |&index: &usize| match parts {
            [(rows, _, firsts)] if firsts.len() == rows.num_rows() => {
                Arc::clone(rows.column(index))
            }
            [(rows, _, firsts)] => {
                let firsts = UInt32Array::from(firsts.clone());
                take(rows.column(index), &firsts, None).expect("rows of the batch")
            }
            parts => {
                let columns = parts.iter().map(|(rows, ..)| rows.column(index).as_ref());
                let firsts = parts.iter().enumerate();
                let firsts = firsts.flat_map(|(part, (.., firsts))| {
                    firsts.iter().map(move |&row| (part, row as usize))
                });
                interleave(&columns.collect::<Vec<_>>(), &firsts.collect::<Vec<_>>())
                    .expect("rows of the parts")
            }
        };
        Touched {
            slots: slots.collect(),
            keys: self.key_columns.iter().map(key).collect(),
        }
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

    fn refusals(&self, before: &[Shown], after: &[Shown]) -> Vec<Refusal> {
        let change = |of: &dyn Fn(&Shown) -> i64| -> i64 {
            after.iter().map(of).sum::<i64>() - before.iter().map(of).sum::<i64>()
        };
        let mut refusals = Vec::new();
        for (index, value) in self.values.iter().enumerate() {
            let change = change(&|shown| shown.overflows[index]);
            if change != 0 {
                let message =
                    "a group's value has more digits than its column holds; its row is withheld";
                refusals.push(unplaced("overflow", message, Some(&value.name), change));
            }
        }
        let change = change(&|shown| shown.lacking);
        if change != 0 {
            let message = "rows were retracted from a group that never had them";
            refusals.push(unplaced("retracted_unknown", message, None, change));
        }
        refusals
    }

    /// Rows of the touched groups that were shown and are no longer so, and those that are shown now.
    fn answer(&self, keys: &[ArrayRef], before: &Shown, after: &Shown) -> [Delta; 2] {
        let changed = changed(before, after);
        let flags = |shown: &Shown| -> BooleanArray {
            let flags = shown.exists.iter().zip(&changed);
            flags
                .map(|(exists, changed)| Some(*exists && *changed))
                .collect()
        };
        let (gone, come) = (flags(before), flags(after));
        let old_keys = picked(keys, &gone);
        let new_keys = if gone == come {
            old_keys.clone()
        } else {
            picked(keys, &come)
        };
        let rows = |keys: Vec<ArrayRef>, shown: &Shown, mask: &BooleanArray, weight: i64| {
            // A withheld group has null where a column may have none, so rows are picked before they are a batch.
            let columns = [keys, picked(&shown.columns, mask)].concat();
            let count = mask.true_count();
            Delta::new(batch(&self.schema, columns, count), vec![weight; count])
        };
        [
            rows(old_keys, before, &gone, -1),
            rows(new_keys, after, &come, 1),
        ]
    }

    fn forget_empty(&mut self, touched: &[u32]) {
        for &slot in touched {
            if self.groups.at(slot).rows == 0 && self.is_clear(slot) {
                self.groups.remove(slot);
            }
        }
    }
}

impl Operator for Aggregate {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn step(&mut self, inputs: &[Parts], _as_of_us: i64) -> Step {
        let (assigned, touched) = self.assign_all(&inputs[0]);
        let shown = |this: &Self| -> Vec<Shown> {
            let touched = touched.iter();
            touched.map(|touched| this.shown(&touched.slots)).collect()
        };
        let before = shown(self);
        for (part, slots) in inputs[0].iter().zip(&assigned) {
            self.apply(&part.batch, &part.weights, slots);
        }
        let after = shown(self);
        let changes = touched.iter().zip(before.iter().zip(&after));
        let parts = changes
            .flat_map(|(touched, (before, after))| self.answer(&touched.keys, before, after));
        let delta = Parts::new(self.schema(), parts.collect::<Vec<_>>());
        let refusals = self.refusals(&before, &after);
        for touched in &touched {
            self.forget_empty(&touched.slots);
        }
        Step { delta, refusals }
    }

    fn state_rows(&self) -> usize {
        self.groups.len()
    }

    fn save(&mut self, put: &mut Put<'_>) {
        let (values, mut room) = (&self.values, Vec::new());
        self.groups.tell(|key, group| {
            let Some((slot, group)) = group else {
                put(key, None);
                return;
            };
            let out = Writer::over(std::mem::take(&mut room)).i64(group.rows);
            let add = |out, value: &Value| value.accumulators.save(slot, out);
            room = values.iter().fold(out, add).done();
            put(key, Some(&room));
        });
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        self.groups.settle();
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

/// The values of these rows.
fn picked(columns: &[ArrayRef], mask: &BooleanArray) -> Vec<ArrayRef> {
    if mask.true_count() == mask.len() {
        return columns.to_vec();
    }
    let columns = columns.iter();
    columns
        .map(|column| filter(column, mask).expect("one flag a row"))
        .collect()
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
