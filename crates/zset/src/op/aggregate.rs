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
    /// Whether anything was added in this step.
    is_moved: bool,
}

/// A part's rows, and of those that are the first of their group the groups and the indexes.
type First<'a> = (&'a RecordBatch, Vec<u32>, Vec<u32>);

/// Groups that a step touches.
struct Touched {
    slots: Vec<u32>,
    keys: Vec<ArrayRef>,
}

/// What the touched groups show.
struct Shown {
    exists: Vec<bool>,
    /// Each value's column, and for which groups it overflows.
    values: Vec<(ArrayRef, Vec<usize>)>,
    /// For each value the number of groups for which it overflows.
    overflows: Vec<i64>,
    /// Groups that lack rows.
    lacking: i64,
}

impl Shown {
    fn columns(&self) -> Vec<ArrayRef> {
        self.values
            .iter()
            .map(|(column, _)| Arc::clone(column))
            .collect()
    }
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
                is_moved: false,
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
        let count = rows.num_rows();
        let slots = self
            .groups
            .slots_of(count, |row| keys.row(row), || Group::new(0));
        let mut firsts = Vec::new();
        for (row, &slot) in (0..).zip(&slots) {
            let group = self.groups.at_mut(slot);
            if group.step != self.step {
                group.step = self.step;
                self.groups.touch(slot);
                firsts.push(row);
            }
        }
        (slots.into(), firsts)
    }

    /// Takes the rows in, some parts at a time; answers the groups that they touch, some at a time with their keys and
    /// with what they showed before.
    fn take_in(&mut self, parts: &Parts) -> Vec<(Touched, Shown)> {
        self.step += 1;
        self.values
            .iter_mut()
            .for_each(|value| value.is_moved = false);
        let (mut changes, mut open, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts.iter() {
            let rows = &part.batch;
            // What a row was and what it is now mostly have the same key, in the same column.
            let is_same = |(before, slots): &&(&Delta, Arc<[u32]>)| {
                slots.len() == rows.num_rows() && are_same(&before.batch, rows, &self.key_columns)
            };
            let same = waiting.last().filter(is_same);
            if let Some(slots) = same.map(|(_, slots)| Arc::clone(slots)) {
                waiting.push((part, slots));
                continue;
            }
            if open
                .iter()
                .map(|(.., firsts): &First<'_>| firsts.len())
                .sum::<usize>()
                >= PART_ROWS
            {
                changes.push(self.open(&std::mem::take(&mut open)));
                self.apply_all(&std::mem::take(&mut waiting));
            }
            let (slots, firsts) = self.assign(rows);
            if !firsts.is_empty() {
                let groups = firsts.iter().map(|&row| slots[row as usize]);
                open.push((rows, groups.collect(), firsts));
            }
            waiting.push((part, slots));
        }
        if !open.is_empty() {
            changes.push(self.open(&open));
        }
        self.apply_all(&waiting);
        changes
    }

    /// Groups that are touched first by these rows, and what they show before that.
    fn open(&mut self, firsts: &[First<'_>]) -> (Touched, Shown) {
        for value in &mut self.values {
            value.accumulators.grow(self.groups.slots());
        }
        let touched = Self::touched(&self.key_columns, firsts);
        let shown = self.shown(&touched.slots, None);
        (touched, shown)
    }

    /// Groups with their keys: of some parts their slots and their first rows.
    fn touched(key_columns: &[usize], parts: &[First<'_>]) -> Touched {
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
            keys: key_columns.iter().map(key).collect(),
        }
    }

    fn apply_all(&mut self, parts: &[(&Delta, Arc<[u32]>)]) {
        let mut rest = parts;
        while let [(part, slots), after @ ..] = rest {
            // Rows as they were and as they are now: what they share comes to nothing.
            let is_now = |(now, of): &&(&Delta, Arc<[u32]>)| {
                let mut weights = part.weights.iter().zip(now.weights.iter());
                Arc::ptr_eq(slots, of) && weights.all(|(old, new)| *old == -*new)
            };
            let now = after.first().filter(is_now);
            if now.is_none() {
                for (&slot, &weight) in slots.iter().zip(part.weights.iter()) {
                    self.groups.at_mut(slot).rows += weight;
                }
            }
            for value in &mut self.values {
                let argument = |of: &'_ Delta| {
                    value
                        .argument
                        .map(|index| Arc::clone(of.batch.column(index)))
                };
                let old = argument(part);
                let new = now.map(|(now, _)| argument(now));
                let is_shared = match (&old, &new) {
                    (Some(old), Some(Some(new))) => Arc::ptr_eq(old, new),
                    (None, Some(None)) => true,
                    _ => false,
                };
                if is_shared {
                    continue;
                }
                value.is_moved = true;
                value.accumulators.add(old.as_ref(), &part.weights, slots);
                if let (Some(new), Some((now, _))) = (new, now) {
                    value.accumulators.add(new.as_ref(), &now.weights, slots);
                }
            }
            rest = if now.is_some() { &after[1..] } else { after };
        }
    }

    /// What groups show; where nothing was added to a value in this step, it is as it was.
    fn shown(&self, touched: &[u32], before: Option<&Shown>) -> Shown {
        let mut exists: Vec<bool> = touched
            .iter()
            .map(|&slot| self.groups.at(slot).rows > 0)
            .collect();
        let lacking = touched.iter().filter(|&&slot| self.lacks(slot)).count();
        let value = |(index, value): (usize, &Value)| match before {
            Some(before) if !value.is_moved => before.values[index].clone(),
            _ => value.accumulators.output(touched),
        };
        let values: Vec<(ArrayRef, Vec<usize>)> =
            self.values.iter().enumerate().map(value).collect();
        let count = |count: usize| i64::try_from(count).expect("fewer groups than 2^63");
        let there = |overflow: &Vec<usize>| overflow.iter().filter(|&&index| exists[index]).count();
        let overflows = values
            .iter()
            .map(|(_, overflow)| count(there(overflow)))
            .collect();
        for &index in values.iter().flat_map(|(_, overflow)| overflow) {
            exists[index] = false;
        }
        Shown {
            exists,
            values,
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
        let (before, after) = (before.columns(), after.columns());
        // A withheld group has null where a column may have none, so rows are picked before they are a batch.
        let old = picked(keys.iter().chain(&before), &gone);
        let is_shared = |index: usize| {
            let of_value = index.checked_sub(keys.len());
            gone == come && of_value.is_none_or(|value| Arc::ptr_eq(&before[value], &after[value]))
        };
        let column = |(index, column): (usize, &ArrayRef)| {
            if is_shared(index) {
                Arc::clone(&old[index])
            } else {
                picked([column], &come).remove(0)
            }
        };
        let new = keys.iter().chain(&after).enumerate().map(column).collect();
        [(old, &gone, -1), (new, &come, 1)].map(|(columns, mask, weight)| {
            let count = mask.true_count();
            Delta::new(batch(&self.schema, columns, count), vec![weight; count])
        })
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
        let (touched, before): (Vec<Touched>, Vec<Shown>) =
            self.take_in(&inputs[0]).into_iter().unzip();
        let now = |(touched, before): (&Touched, &Shown)| self.shown(&touched.slots, Some(before));
        let after: Vec<Shown> = touched.iter().zip(&before).map(now).collect();
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
fn picked<'a>(
    columns: impl IntoIterator<Item = &'a ArrayRef>,
    mask: &BooleanArray,
) -> Vec<ArrayRef> {
    let is_whole = mask.true_count() == mask.len();
    let pick = |column: &ArrayRef| {
        if is_whole {
            Arc::clone(column)
        } else {
            filter(column, mask).expect("one flag a row")
        }
    };
    columns.into_iter().map(pick).collect()
}

/// For each touched group whether what it shows is different now.
fn changed(before: &Shown, after: &Shown) -> Vec<bool> {
    let old = BooleanArray::from(before.exists.clone());
    let new = BooleanArray::from(after.exists.clone());
    let mut changed = differs(&old, &new).expect("both are flags");
    let columns = before.columns().into_iter().zip(after.columns());
    for (old, new) in columns.filter(|(old, new)| !Arc::ptr_eq(old, new)) {
        let different = differs(&old, &new).expect("columns of one type");
        changed = or(&changed, &different).expect("as many flags");
    }
    changed.values().iter().collect()
}
