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
use weir_zset::compact::{Compact, push_part, take_part};
use weir_zset::op::{Dirty, Put, Reader, Unreadable, Writer};
use weir_zset::pages::{Pages, weight};
use weir_zset::rows::RowCodec;
use weir_zset::{Delta, Parts, Refusal, meta};

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

struct InputCodec {
    /// For each column kept: its index in the input, or none when the input has no such column.
    columns: Vec<Option<usize>>,
    codec: Compact,
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
    outputs: Vec<Compact>,
    /// All groups' rows with weights, each behind its group's key and its port.
    rows: Pages,
    /// What the plugin refuses of a group, where it does.
    refusals: BTreeMap<RowBytes, BTreeSet<Refusal>>,
    dirty: BTreeSet<RowBytes>,
    evaluated_day: Option<i64>,
    unsaved: Dirty,
}

/// Entries are of these kinds: a row; a group's refusals, and whether it is due; the day.
const ROW: u8 = 0;
const GROUP: u8 = 1;
const DAY: u8 = 2;
/// Answers stand behind inputs, so many ports later.
const ANSWERS: u8 = 128;

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
            .map(|port| Compact::whole(&port.schema).expect("the plan's types have a row form"))
            .collect();
        Self {
            plugin,
            clock,
            on_failure,
            key_codec: RowCodec::new(Arc::new(Schema::new(key_fields))),
            inputs,
            outputs,
            rows: Pages::default(),
            refusals: BTreeMap::new(),
            dirty: BTreeSet::new(),
            evaluated_day: None,
            unsaved: Dirty::default(),
        }
    }

    /// Rows it keeps.
    pub(crate) fn state_rows(&self) -> usize {
        self.rows.len()
    }

    /// Takes the inputs' changes in; evaluates at most so many of the groups that changed (none while catching up).
    pub(crate) fn step(
        &mut self,
        deltas: &[Delta],
        as_of_us: i64,
        groups_max: usize,
    ) -> Result<StepOut, Fault> {
        self.rows.seal();
        let mut out = StepOut {
            errors: self.take_in(deltas),
            ..StepOut::default()
        };
        if groups_max == 0 {
            out.deltas = self
                .outputs
                .iter()
                .map(|codec| Parts::empty(Arc::clone(codec.schema())))
                .collect();
            return Ok(out);
        }
        let day = as_of_us.div_euclid(US_PER_DAY);
        if self.clock == GroupClock::Date && self.evaluated_day.is_some_and(|last| last != day) {
            self.dirty = self.groups();
        }
        self.evaluated_day = Some(day);
        let later = self.dirty.iter().nth(groups_max).cloned();
        let later = later.map(|key| self.dirty.split_off(&key));
        out.more = later.is_some();
        let dirty = std::mem::replace(&mut self.dirty, later.unwrap_or_default());
        let dirty: Vec<RowBytes> = dirty.into_iter().collect();
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
            .map(|(codec, bag)| delta_of(codec, bag).into())
            .collect();
        Ok(out)
    }

    /// Adds the deltas to the groups; answers how many rows ended with a negative weight.
    fn take_in(&mut self, deltas: &[Delta]) -> u64 {
        let mut errors = 0;
        for (input, delta) in (0..).zip(deltas) {
            if delta.is_empty() {
                continue;
            }
            let codec = &self.inputs[usize::from(input)];
            let rows = codec.codec.encode(&codec.project(&delta.batch));
            let keys = delta
                .batch
                .project(&codec.key)
                .expect("the plan checked the keys");
            let keys = self
                .key_codec
                .encode(&with_schema(&keys, self.key_codec.schema()));
            for (row, &weight) in delta.weights.iter().enumerate() {
                let key = keys.row(row).data();
                let entry = entry(key, input, rows.row(row));
                let now = self.rows.add(&entry, weight);
                errors += u64::from(now < 0 && weight < 0);
                self.unsaved.touch_with(|| group_entry(key));
                self.unsaved.touch_with(|| row_entry(&entry));
                if !self.dirty.contains(key) {
                    self.dirty.insert(key.into());
                }
            }
        }
        errors
    }

    /// The keys of all groups.
    fn groups(&self) -> BTreeSet<RowBytes> {
        let mut groups = BTreeSet::new();
        let mut last: &[u8] = &[];
        for (mut entry, _) in self.rows.iter() {
            let key = take_part(&mut entry);
            if key != last || groups.is_empty() {
                groups.insert(key.into());
                last = key;
            }
        }
        groups
    }

    /// The rows of a group at a port.
    fn at<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], i64)> {
        let rows = self.rows.range(prefix);
        rows.map(|(entry, value)| (&entry[prefix.len()..], weight(value)))
    }

    /// What a group answered last at a port.
    fn answers(&self, key: &[u8], port: u8) -> Bag {
        let prefix = entry(key, ANSWERS + port, &[]);
        let rows = self.at(&prefix);
        rows.map(|(row, weight)| (row.into(), weight)).collect()
    }

    /// Tells what changed since it was told last; the first time, all.
    pub(crate) fn save(&mut self, put: &mut Put<'_>) {
        if let Some(day) = self.evaluated_day {
            put(&[DAY], Some(&day.to_le_bytes()));
        }
        let Some(entries) = self.unsaved.take() else {
            for (entry, value) in self.rows.iter() {
                put(&row_entry(entry), Some(value));
            }
            for key in self.dirty.iter().chain(self.refusals.keys()) {
                put(&group_entry(key), self.saved_group(key).as_deref());
            }
            return;
        };
        for entry in entries.iter() {
            if entry[0] == GROUP {
                put(entry, self.saved_group(&entry[1..]).as_deref());
            } else {
                put(entry, self.rows.get(&entry[1..]));
            }
        }
    }

    fn saved_group(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (is_due, refusals) = (self.dirty.contains(key), self.refusals.get(key));
        if !is_due && refusals.is_none() {
            return None;
        }
        let none = BTreeSet::new();
        let out = Writer::tagged(u8::from(is_due));
        Some(crate::letters::save_refusals(out, refusals.unwrap_or(&none).iter()).done())
    }

    /// Takes an entry back.
    pub(crate) fn load(&mut self, entry: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        self.unsaved.settle();
        let (kind, key) = entry.split_first().ok_or(Unreadable)?;
        let mut from = Reader::new(value);
        match *kind {
            ROW => self.rows.push(key, value),
            GROUP => {
                if from.tag()? == 1 {
                    self.dirty.insert(key.into());
                }
                let refusals: BTreeSet<Refusal> = crate::letters::load_refusals(from)?;
                if !refusals.is_empty() {
                    self.refusals.insert(key.into(), refusals);
                }
            }
            DAY => {
                self.evaluated_day = Some(from.i64()?);
                from.end()?;
            }
            _ => return Err(Unreadable),
        }
        Ok(())
    }

    /// Cuts the keys into calls.
    fn chunks<'a>(&self, keys: &'a [RowBytes]) -> Vec<&'a [RowBytes]> {
        let mut chunks = Vec::new();
        let (mut start, mut rows) = (0, 0);
        for (index, key) in keys.iter().enumerate() {
            let prefix = group_prefix(key);
            let group = self.inputs_of(&prefix).count();
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

    /// The entries of a group's inputs.
    fn inputs_of<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let entries = self.rows.range(prefix).map(|(entry, _)| entry);
        entries.take_while(|entry| entry[prefix.len()] < ANSWERS)
    }

    fn evaluate(
        &mut self,
        keys: &[RowBytes],
        as_of_us: i64,
        changes: &mut [Bag],
        out: &mut StepOut,
    ) -> Result<(), Fault> {
        let (present, gone): (Vec<&RowBytes>, Vec<&RowBytes>) = keys
            .iter()
            .partition(|key| self.inputs_of(&group_prefix(key)).next().is_some());
        for key in gone {
            let none = vec![Bag::new(); self.outputs.len()];
            self.answer(key, none, BTreeSet::new(), changes, out);
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
            self.answer(key, answers, refusals, changes, out);
        }
        Ok(())
    }

    /// Puts a group's answers and refusals in the place of the last ones.
    fn answer(
        &mut self,
        key: &[u8],
        answers: Vec<Bag>,
        refusals: BTreeSet<Refusal>,
        changes: &mut [Bag],
        out: &mut StepOut,
    ) {
        for (port, (mut now, changes)) in (0..).zip(answers.into_iter().zip(changes)) {
            for (row, weight) in self.answers(key, port) {
                add(&mut now, &row, -weight);
            }
            for (row, change) in now {
                let entry = entry(key, ANSWERS + port, &row);
                self.rows.add(&entry, change);
                self.unsaved.touch_with(|| row_entry(&entry));
                add(changes, &row, change);
            }
        }
        let before = self.refusals.remove(key).unwrap_or_default();
        out.refusals.extend(refusals.difference(&before).cloned());
        let over = before.difference(&refusals).cloned();
        out.refusals.extend(over.map(|refusal| Refusal {
            weight: -1,
            ..refusal
        }));
        if !refusals.is_empty() {
            self.refusals.insert(key.into(), refusals);
        }
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
                add(answer, rows.row(row), 1);
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
        let port = u8::try_from(input).expect("a plugin has fewer inputs");
        for key in keys {
            let prefix = entry(key, port, &[]);
            for (entry, value) in self.rows.range(&prefix) {
                let times = usize::try_from(weight(value)).unwrap_or(0);
                rows.extend(std::iter::repeat_n(&entry[prefix.len()..], times));
            }
            offsets.push(u32::try_from(rows.len()).expect("a call's rows are bounded"));
        }
        (self.inputs[input].codec.decode(&rows), offsets)
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
            codec: Compact::whole(&Arc::new(Schema::new(
                fields.iter().map(nullable).collect::<Vec<_>>(),
            )))
            .expect("the plan's types have a row form"),
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

fn row_entry(entry: &[u8]) -> Vec<u8> {
    Writer::tagged(ROW).raw(entry).done()
}

fn group_prefix(key: &[u8]) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(key.len() + 1);
    push_part(key, &mut prefix);
    prefix
}

/// A row of a group at a port.
fn entry(key: &[u8], port: u8, row: &[u8]) -> Vec<u8> {
    let mut entry = Vec::with_capacity(key.len() + row.len() + 3);
    push_part(key, &mut entry);
    entry.push(port);
    entry.extend_from_slice(row);
    entry
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

/// A bag as a delta.
pub(crate) fn delta_of(codec: &Compact, bag: &BTreeMap<RowBytes, i64>) -> Delta {
    let rows: Vec<&[u8]> = bag.keys().map(AsRef::as_ref).collect();
    Delta::new(codec.decode(&rows), bag.values().copied().collect())
}
