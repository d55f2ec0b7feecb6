//! A `group` plugin as a step: rows by key, keys that changed, answers that are diffed with the last ones.
//!
//! State is the integral of the inputs; what a plugin answered before is kept and retracted by its own bytes,
//! so that a plugin that answers otherwise today leaves nothing behind.

use crate::step::{Fault, StepOut, record_at, refusal_at};
use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_spec::plan::{GroupClock, OnFailure};
use weir_stage::{Group, GroupInput, PluginError, Port, RawBatch, RawRecord};
use weir_zset::op::{Dirty, Put, Reader, Unreadable, Writer};
use weir_zset::rows::RowCodec;
use weir_zset::{Delta, Refusal, meta};

/// One row, encoded.
pub(crate) type RowBytes = Box<[u8]>;

/// Groups handed to the plugin in one call: enough to spread the cost of crossing, few enough to bound its memory.
const GROUPS_PER_CALL_MAX: usize = 4_096;
/// Rows of one call, roughly, for the same reason.
const ROWS_PER_CALL_MAX: usize = 262_144;
const US_PER_DAY: i64 = 86_400_000_000;

/// Rows with how often each stands.
type Bag = BTreeMap<RowBytes, i64>;

/// What a call answered, group by group.
struct Answered {
    /// Its rows, output by output.
    answers: Vec<Vec<Bag>>,
    /// The input rows it refuses.
    refusals: Vec<BTreeSet<Refusal>>,
    /// What these rows still know of their records, by topic.
    records: BTreeMap<String, RawBatch>,
}

impl Answered {
    fn new(groups: usize, outputs: usize) -> Self {
        Self {
            answers: vec![vec![Bag::new(); outputs]; groups],
            refusals: vec![BTreeSet::new(); groups],
            records: BTreeMap::new(),
        }
    }

    fn refuse(&mut self, group: usize, refusal: Refusal, record: RawRecord) {
        let records = self.records.entry(refusal.topic.clone()).or_default();
        records.records.push(record);
        self.refusals[group].insert(refusal);
    }
}

#[derive(Default)]
struct GroupState {
    inputs: Vec<Bag>,
    answers: Vec<Bag>,
    refusals: BTreeSet<Refusal>,
}

struct InputCodec {
    /// For each column kept: its index in the input, or none when the input has no such column.
    columns: Vec<Option<usize>>,
    codec: RowCodec,
    key: Vec<usize>,
    /// How many of the kept columns cross the border; metadata follows them.
    asked: usize,
    asked_schema: SchemaRef,
    tracked: bool,
}

/// A running group step.
pub(crate) struct GroupStep {
    plugin: Box<dyn Group>,
    clock: GroupClock,
    on_failure: OnFailure,
    key_codec: RowCodec,
    inputs: Vec<InputCodec>,
    outputs: Vec<RowCodec>,
    groups: BTreeMap<RowBytes, GroupState>,
    dirty: BTreeSet<RowBytes>,
    evaluated_day: Option<i64>,
    /// Rows of all groups, in and out.
    rows: usize,
    unsaved: Dirty,
}

/// Entries are of these kinds: a row of an input; a group's answers, and whether it is due; the day.
const INPUT: u8 = 0;
const GROUP: u8 = 1;
const DAY: u8 = 2;

impl GroupStep {
    /// A step over inputs of these schemas, which the plugin knows by `ports` in the same order.
    pub(crate) fn new(
        plugin: Box<dyn Group>,
        by: &[String],
        clock: GroupClock,
        on_failure: OnFailure,
        schemas: &[SchemaRef],
        ports: &[Port],
    ) -> Self {
        let first = schemas.first().expect("a group step has an input");
        let key_fields: Vec<FieldRef> = by.iter().map(|name| field(first, name)).collect();
        let inputs = schemas
            .iter()
            .zip(ports)
            .map(|(schema, port)| InputCodec::new(schema, port, by))
            .collect();
        let outputs = plugin
            .outputs()
            .into_iter()
            .map(|port| RowCodec::new(port.schema))
            .collect();
        Self {
            plugin,
            clock,
            on_failure,
            key_codec: RowCodec::new(Arc::new(Schema::new(key_fields))),
            inputs,
            outputs,
            groups: BTreeMap::new(),
            dirty: BTreeSet::new(),
            evaluated_day: None,
            rows: 0,
            unsaved: Dirty::default(),
        }
    }

    /// Rows it keeps.
    pub(crate) fn state_rows(&self) -> usize {
        self.rows
    }

    /// Takes the inputs' changes in; evaluates what changed when `evaluate` (not while catching up).
    pub(crate) fn step(
        &mut self,
        deltas: &[Delta],
        as_of_us: i64,
        evaluate: bool,
    ) -> Result<StepOut, Fault> {
        let mut out = StepOut {
            errors: self.take_in(deltas),
            ..StepOut::default()
        };
        if !evaluate {
            out.deltas = self
                .outputs
                .iter()
                .map(|codec| Delta::empty(Arc::clone(codec.schema())))
                .collect();
            return Ok(out);
        }
        let day = as_of_us.div_euclid(US_PER_DAY);
        if self.clock == GroupClock::Date && self.evaluated_day.is_some_and(|last| last != day) {
            self.dirty = self.groups.keys().cloned().collect();
        }
        self.evaluated_day = Some(day);
        let dirty: Vec<RowBytes> = std::mem::take(&mut self.dirty).into_iter().collect();
        for key in &dirty {
            self.unsaved.touch_with(|| group_entry(key));
        }
        let mut changes: Vec<Bag> = vec![Bag::new(); self.outputs.len()];
        for chunk in self.chunks(&dirty) {
            self.evaluate(chunk, as_of_us, &mut changes, &mut out)?;
        }
        out.deltas = self
            .outputs
            .iter()
            .zip(&changes)
            .map(|(codec, bag)| delta_of(codec, bag))
            .collect();
        Ok(out)
    }

    /// Adds the deltas to the groups; answers how many rows ended with a negative weight.
    fn take_in(&mut self, deltas: &[Delta]) -> u64 {
        let mut errors = 0;
        let count = self.inputs.len();
        for (index, (input, delta)) in self.inputs.iter().zip(deltas).enumerate() {
            if delta.is_empty() {
                continue;
            }
            let rows = input.codec.encode(&input.project(&delta.batch));
            let keys = delta
                .batch
                .project(&input.key)
                .expect("the plan checked the keys");
            let keys = self
                .key_codec
                .encode(&with_schema(&keys, self.key_codec.schema()));
            for (row, &weight) in delta.weights.iter().enumerate() {
                let key: RowBytes = keys.row(row).data().into();
                let state = self.groups.entry(key.clone()).or_default();
                state.inputs.resize_with(count, Bag::new);
                let bag = &mut state.inputs[index];
                let before = bag.len();
                let now = add(bag, rows.row(row).data(), weight);
                self.rows = self.rows + bag.len() - before;
                errors += u64::from(now < 0 && weight < 0);
                self.unsaved.touch_with(|| group_entry(&key));
                self.unsaved
                    .touch_with(|| input_entry(index, &key, rows.row(row).data()));
                self.dirty.insert(key);
            }
        }
        errors
    }

    /// Tells what changed since it was told last; the first time, all.
    pub(crate) fn save(&mut self, put: &mut Put<'_>) {
        if let Some(day) = self.evaluated_day {
            put(&[DAY], Some(&day.to_le_bytes()));
        }
        if let Some(entries) = self.unsaved.take() {
            for entry in &entries {
                if entry[0] == GROUP {
                    put(entry, self.saved_group(&entry[1..]).as_deref());
                    continue;
                }
                let (input, key, row) = input_of(entry).expect("it was put together here");
                let bags = self.groups.get(key).map(|state| &state.inputs);
                let weight = bags.and_then(|bags| bags.get(input)?.get(row));
                let weight = weight.map(|weight| weight.to_le_bytes());
                put(entry, weight.as_ref().map(<[u8; 8]>::as_slice));
            }
            return;
        }
        for (key, state) in &self.groups {
            for (index, bag) in state.inputs.iter().enumerate() {
                for (row, weight) in bag {
                    put(&input_entry(index, key, row), Some(&weight.to_le_bytes()));
                }
            }
            put(&group_entry(key), self.saved_group(key).as_deref());
        }
    }

    fn saved_group(&self, key: &[u8]) -> Option<Vec<u8>> {
        let state = self.groups.get(key)?;
        let mut out = Writer::tagged(u8::from(self.dirty.contains(key))).count(state.answers.len());
        for bag in &state.answers {
            out = out.count(bag.len());
            for (row, weight) in bag {
                out = out.i64(*weight).part(row);
            }
        }
        Some(crate::letters::save_refusals(out, state.refusals.iter()).done())
    }

    /// Takes an entry back.
    pub(crate) fn load(&mut self, entry: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        self.unsaved.settle();
        let mut value = Reader::new(value);
        match *entry.first().ok_or(Unreadable)? {
            DAY => {
                self.evaluated_day = Some(value.i64()?);
                value.end()
            }
            INPUT => {
                let (input, key, row) = input_of(entry)?;
                let state = self.groups.entry(key.into()).or_default();
                state.inputs.resize_with(self.inputs.len(), Bag::new);
                let bag = state.inputs.get_mut(input).ok_or(Unreadable)?;
                bag.insert(row.into(), value.i64()?);
                self.rows += 1;
                value.end()
            }
            GROUP => {
                let key: RowBytes = entry[1..].into();
                if value.tag()? == 1 {
                    self.dirty.insert(key.clone());
                }
                let mut answers = Vec::new();
                for _ in 0..value.u32()? {
                    let rows = (0..value.u32()?).map(|_| {
                        let weight = value.i64()?;
                        Ok((value.part()?.into(), weight))
                    });
                    answers.push(rows.collect::<Result<Bag, _>>()?);
                }
                self.rows += rows_in(&answers);
                let state = self.groups.entry(key).or_default();
                state.inputs.resize_with(self.inputs.len(), Bag::new);
                state.answers = answers;
                state.refusals = crate::letters::load_refusals(value)?;
                Ok(())
            }
            _ => Err(Unreadable),
        }
    }

    /// Cuts the keys into calls.
    fn chunks<'a>(&self, keys: &'a [RowBytes]) -> Vec<&'a [RowBytes]> {
        let mut chunks = Vec::new();
        let (mut start, mut rows) = (0, 0);
        for (index, key) in keys.iter().enumerate() {
            let group: usize = self
                .groups
                .get(key)
                .map_or(0, |state| state.inputs.iter().map(Bag::len).sum());
            if index > start
                && (index - start >= GROUPS_PER_CALL_MAX || rows + group > ROWS_PER_CALL_MAX)
            {
                chunks.push(&keys[start..index]);
                (start, rows) = (index, 0);
            }
            rows += group;
        }
        if start < keys.len() {
            chunks.push(&keys[start..]);
        }
        chunks
    }

    fn evaluate(
        &mut self,
        keys: &[RowBytes],
        as_of_us: i64,
        changes: &mut [Bag],
        out: &mut StepOut,
    ) -> Result<(), Fault> {
        let (gone, present): (Vec<&RowBytes>, Vec<&RowBytes>) = keys.iter().partition(|key| {
            self.groups
                .get(*key)
                .is_none_or(|state| state.inputs.iter().all(Bag::is_empty))
        });
        for key in gone {
            if let Some(state) = self.groups.remove(key) {
                self.rows -= rows_in(&state.answers);
                replace(
                    &state.answers,
                    &vec![Bag::new(); self.outputs.len()],
                    changes,
                );
                out.refusals
                    .extend(state.refusals.into_iter().map(|refusal| Refusal {
                        weight: -1,
                        ..refusal
                    }));
            }
        }
        if present.is_empty() {
            return Ok(());
        }
        let answered = match self.call(&present, as_of_us) {
            Ok(answered) => answered,
            Err(error) if self.on_failure == OnFailure::Stop => return Err(Fault::Plugin(error)),
            Err(error) => self.all_refused(&present, &error),
        };
        let Answered {
            answers,
            refusals,
            records,
        } = answered;
        out.records.extend(records);
        for ((key, answers), refusals) in present.into_iter().zip(answers).zip(refusals) {
            let state = self.groups.get_mut(key).expect("present groups exist");
            replace(&state.answers, &answers, changes);
            self.rows = self.rows + rows_in(&answers) - rows_in(&state.answers);
            out.refusals
                .extend(refusals.difference(&state.refusals).cloned());
            let over = state.refusals.difference(&refusals).cloned();
            out.refusals.extend(over.map(|refusal| Refusal {
                weight: -1,
                ..refusal
            }));
            (state.answers, state.refusals) = (answers, refusals);
        }
        Ok(())
    }

    /// One plugin call: answers and refusals by group.
    fn call(&mut self, keys: &[&RowBytes], as_of_us: i64) -> Result<Answered, PluginError> {
        let key_batch = self.key_codec.decode(keys.iter().map(|key| &key[..]));
        let gathered: Vec<(RecordBatch, Vec<u32>)> = (0..self.inputs.len())
            .map(|input| self.gather(input, keys))
            .collect();
        let inputs: Vec<GroupInput> = gathered
            .iter()
            .zip(&self.inputs)
            .map(|((rows, offsets), input)| GroupInput {
                rows: input.asked(rows),
                offsets: offsets.clone(),
            })
            .collect();
        let grouped = self.plugin.evaluate(as_of_us, &key_batch, &inputs)?;
        let mut answered = Answered::new(keys.len(), self.outputs.len());
        for (port, (codec, answer)) in self.outputs.iter().zip(&grouped.outputs).enumerate() {
            let rows = codec.encode(&answer.batch);
            for (row, &group) in answer.group.iter().enumerate() {
                let answer = &mut answered.answers[group as usize][port];
                add(answer, rows.row(row).data(), 1);
            }
        }
        for refusal in grouped.refusals {
            if let Some((group, refusal, record)) = self.locate(&gathered, refusal) {
                answered.refuse(group, refusal, record);
            }
        }
        Ok(answered)
    }

    /// The rows of one input for these keys, group by group, each as often as its weight says.
    fn gather(&self, input: usize, keys: &[&RowBytes]) -> (RecordBatch, Vec<u32>) {
        let mut offsets = vec![0];
        let mut rows: Vec<&[u8]> = Vec::new();
        for key in keys {
            for (row, &weight) in &self.groups[*key].inputs[input] {
                rows.extend(std::iter::repeat_n(
                    row.as_ref(),
                    usize::try_from(weight).unwrap_or(0),
                ));
            }
            offsets.push(u32::try_from(rows.len()).expect("a call's rows are bounded"));
        }
        (self.inputs[input].codec.decode(rows), offsets)
    }

    /// Whose refusal it is: the group, and the record the row came from. Rows without a record are let go.
    fn locate(
        &self,
        gathered: &[(RecordBatch, Vec<u32>)],
        refusal: weir_stage::RowRefusal,
    ) -> Option<(usize, Refusal, RawRecord)> {
        let mut row = refusal.row as usize;
        for ((rows, offsets), input) in gathered.iter().zip(&self.inputs) {
            if row >= rows.num_rows() {
                row -= rows.num_rows();
                continue;
            }
            let group = offsets.partition_point(|&offset| offset as usize <= row) - 1;
            return input
                .tracked
                .then(|| (group, refusal_at(rows, row, refusal), record_at(rows, row)));
        }
        None
    }

    /// The policy `dead_letter`: no answers, every tracked row of the first input refused.
    fn all_refused(&self, keys: &[&RowBytes], error: &PluginError) -> Answered {
        let mut answered = Answered::new(keys.len(), self.outputs.len());
        let (rows, offsets) = self.gather(0, keys);
        if self.inputs[0].tracked {
            for (group, span) in offsets.windows(2).enumerate() {
                for row in span[0]..span[1] {
                    let why = weir_stage::RowRefusal {
                        row,
                        code: error.code.to_owned(),
                        message: error.message.clone(),
                        field: None,
                    };
                    let row = row as usize;
                    answered.refuse(group, refusal_at(&rows, row, why), record_at(&rows, row));
                }
            }
        }
        answered
    }
}

impl InputCodec {
    fn new(schema: &SchemaRef, port: &Port, by: &[String]) -> Self {
        let mut fields: Vec<FieldRef> = port.schema.fields().iter().cloned().collect();
        let asked_schema = Arc::clone(&port.schema);
        let tracked = meta::is_tracked(schema);
        if tracked {
            let kept: BTreeSet<String> = fields.iter().map(|field| field.name().clone()).collect();
            fields.extend(
                meta::fields()
                    .into_iter()
                    .filter(|field| !kept.contains(field.name())),
            );
        }
        let columns = fields
            .iter()
            .map(|field| schema.index_of(field.name()).ok())
            .collect();
        let nullable = |field: &FieldRef| Arc::new(field.as_ref().clone().with_nullable(true));
        Self {
            columns,
            asked: asked_schema.fields().len(),
            codec: RowCodec::new(Arc::new(Schema::new(
                fields.iter().map(nullable).collect::<Vec<_>>(),
            ))),
            key: by
                .iter()
                .map(|name| schema.index_of(name).expect("the plan checked the keys"))
                .collect(),
            asked_schema,
            tracked,
        }
    }

    fn project(&self, batch: &RecordBatch) -> RecordBatch {
        let column = |(kept, field): (&Option<usize>, &FieldRef)| -> ArrayRef {
            match kept {
                Some(index) => Arc::clone(batch.column(*index)),
                None => null_column(field.data_type(), batch.num_rows()),
            }
        };
        let columns = self
            .columns
            .iter()
            .zip(self.codec.schema().fields())
            .map(column)
            .collect();
        RecordBatch::try_new(Arc::clone(self.codec.schema()), columns)
            .expect("the plan checked the columns' types")
    }

    fn asked(&self, rows: &RecordBatch) -> RecordBatch {
        let columns = rows.columns()[..self.asked].to_vec();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.asked_schema), columns, &options)
            .expect("the plan checked the columns' types")
    }
}

fn group_entry(key: &[u8]) -> Vec<u8> {
    Writer::tagged(GROUP).raw(key).done()
}

fn input_entry(input: usize, key: &[u8], row: &[u8]) -> Vec<u8> {
    Writer::tagged(INPUT).count(input).part(key).raw(row).done()
}

/// The input, the key and the row of an entry.
fn input_of(entry: &[u8]) -> Result<(usize, &[u8], &[u8]), Unreadable> {
    let mut entry = Reader::new(entry);
    entry.tag()?;
    Ok((entry.u32()? as usize, entry.part()?, entry.rest()))
}

fn null_column(data_type: &DataType, rows: usize) -> ArrayRef {
    new_null_array(data_type, rows)
}

fn field(schema: &SchemaRef, name: &str) -> FieldRef {
    let field = schema
        .field_with_name(name)
        .expect("the plan checked the keys");
    Arc::new(field.clone().with_nullable(true))
}

fn with_schema(batch: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec())
        .expect("the same types under other nullability")
}

fn rows_in(bags: &[Bag]) -> usize {
    bags.iter().map(Bag::len).sum()
}

/// Adds to a bag and answers the new weight; rows of weight 0 leave.
pub(crate) fn add(bag: &mut Bag, row: &[u8], weight: i64) -> i64 {
    match bag.get_mut(row) {
        Some(now) => {
            *now += weight;
            let left = *now;
            if left == 0 {
                bag.remove(row);
            }
            left
        }
        None if weight == 0 => 0,
        None => {
            bag.insert(row.into(), weight);
            weight
        }
    }
}

/// Adds to `changes` what takes `old` to `new`, output by output.
fn replace(old: &[Bag], new: &[Bag], changes: &mut [Bag]) {
    for (port, changes) in changes.iter_mut().enumerate() {
        for (row, weight) in old.get(port).into_iter().flatten() {
            add(changes, row, -weight);
        }
        for (row, weight) in new.get(port).into_iter().flatten() {
            add(changes, row, *weight);
        }
    }
}

/// A bag as a delta.
pub(crate) fn delta_of(codec: &RowCodec, bag: &BTreeMap<RowBytes, i64>) -> Delta {
    Delta::new(
        codec.decode(bag.keys().map(AsRef::as_ref)),
        bag.values().copied().collect(),
    )
}
