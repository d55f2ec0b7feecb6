//! A `transform` plugin as a step: rows in, rows out, metadata carried along by origin.
//!
//! Over a log it runs once per row and keeps nothing. Anywhere else its answers are kept and retracted by
//! their own bytes, so that an impure or a replaced plugin leaves no residue.

use crate::group::RowBytes;
use crate::step::{Fault, StepOut, refusal_at};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::{cast, concat_batches, take};
use arrow::datatypes::{DataType, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_spec::plan::OnFailure;
use weir_stage::{PluginError, Produced, Transform};
use weir_zset::compact::Compact;
use weir_zset::op::{Dirty, Put, Reader, Unreadable, Writer};
use weir_zset::{Delta, Parts, Refusal, meta};

/// Rows below which a second worker costs more than it saves.
const ROWS_PER_WORKER_MIN: usize = 512;

/// A running transform step.
pub(crate) struct TransformStep {
    /// One instance per worker.
    instances: Vec<Box<dyn Transform>>,
    on_failure: OnFailure,
    /// The asked columns' indexes in the input; none: the input has no such column.
    columns: Vec<Option<usize>>,
    asked: SchemaRef,
    /// The input's metadata columns.
    meta: Vec<usize>,
    output: SchemaRef,
    /// Answers by input row; `None` over a log.
    memo: Option<Memo>,
}

struct Memo {
    input: Compact,
    output: Compact,
    rows: BTreeMap<RowBytes, Remembered>,
    dirty: Dirty,
}

#[derive(Default)]
struct Remembered {
    weight: i64,
    answers: Vec<RowBytes>,
    refusals: Vec<Refusal>,
}

impl Remembered {
    fn save(&self) -> Vec<u8> {
        let out = Writer::default().i64(self.weight).count(self.answers.len());
        let out = self.answers.iter().fold(out, |out, row| out.part(row));
        crate::letters::save_refusals(out, self.refusals.iter()).done()
    }

    fn load(value: &[u8]) -> Result<Self, Unreadable> {
        let mut value = Reader::new(value);
        let weight = value.i64()?;
        let answers = (0..value.u32()?).map(|_| value.part().map(RowBytes::from));
        Ok(Self {
            weight,
            answers: answers.collect::<Result<_, _>>()?,
            refusals: crate::letters::load_refusals(value)?,
        })
    }
}

impl TransformStep {
    /// A step over an input of this schema; `output` is the plugin's columns, then the input's metadata.
    pub(crate) fn new(
        instances: Vec<Box<dyn Transform>>,
        on_failure: OnFailure,
        input: &SchemaRef,
        asked: SchemaRef,
        output: SchemaRef,
        is_log: bool,
    ) -> Self {
        let columns = asked
            .fields()
            .iter()
            .map(|field| input.index_of(field.name()).ok())
            .collect();
        let is_meta = |index: &usize| meta::is_meta(input.field(*index).name());
        let memo = (!is_log).then(|| Memo {
            input: Compact::whole(input).expect("the plan's types have a row form"),
            output: Compact::whole(&output).expect("the plan's types have a row form"),
            rows: BTreeMap::new(),
            dirty: Dirty::default(),
        });
        let meta = (0..input.fields().len()).filter(is_meta).collect();
        Self {
            instances,
            on_failure,
            columns,
            asked,
            meta,
            output,
            memo,
        }
    }

    /// Rows it keeps.
    pub(crate) fn state_rows(&self) -> usize {
        self.memo.as_ref().map_or(0, |memo| memo.rows.len())
    }

    /// Tells the answers that changed since they were told last; the first time, all.
    pub(crate) fn save(&mut self, put: &mut Put<'_>) {
        let Some(memo) = &mut self.memo else {
            return;
        };
        match memo.dirty.take() {
            None => {
                for (row, kept) in &memo.rows {
                    put(row, Some(&kept.save()));
                }
            }
            Some(keys) => keys.iter().for_each(|row| {
                let kept = memo.rows.get(row).map(Remembered::save);
                put(row, kept.as_deref());
            }),
        }
    }

    /// Takes an answer back.
    pub(crate) fn load(&mut self, row: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        let memo = self.memo.as_mut().ok_or(Unreadable)?;
        memo.dirty.settle();
        memo.rows.insert(row.into(), Remembered::load(value)?);
        Ok(())
    }

    /// Takes one delta.
    pub(crate) fn step(&mut self, delta: &Delta) -> Result<StepOut, Fault> {
        if delta.is_empty() {
            return Ok(StepOut {
                deltas: vec![Parts::empty(Arc::clone(&self.output))],
                ..StepOut::default()
            });
        }
        match self.memo.take() {
            None => self.step_log(delta),
            Some(mut memo) => {
                let out = self.step_kept(&mut memo, delta);
                self.memo = Some(memo);
                out
            }
        }
    }

    fn step_log(&mut self, delta: &Delta) -> Result<StepOut, Fault> {
        let answered = self.call(&delta.batch)?;
        let weights = answered
            .origin
            .iter()
            .map(|&row| delta.weights[row as usize])
            .collect();
        Ok(StepOut {
            deltas: vec![Delta::new(answered.batch, weights).into()],
            refusals: answered
                .refusals
                .into_iter()
                .map(|(_, refusal)| refusal)
                .collect(),
            ..StepOut::default()
        })
    }

    fn step_kept(&mut self, memo: &mut Memo, delta: &Delta) -> Result<StepOut, Fault> {
        let rows = memo.input.encode(&delta.batch);
        let mut changes: BTreeMap<RowBytes, i64> = BTreeMap::new();
        for (row, &weight) in delta.weights.iter().enumerate() {
            *changes.entry(rows.row(row).into()).or_insert(0) += weight;
        }
        changes.retain(|_, weight| *weight != 0);
        let fresh: Vec<&RowBytes> = changes
            .keys()
            .filter(|row| !memo.rows.contains_key(*row))
            .collect();
        for (row, remembered) in self.ask(memo, &fresh)? {
            memo.rows.insert(row, remembered);
        }
        let mut out = StepOut::default();
        let mut answers: BTreeMap<RowBytes, i64> = BTreeMap::new();
        for (row, change) in changes {
            let kept = memo.rows.get_mut(&row).expect("asked for above");
            memo.dirty.touch(&row);
            kept.weight += change;
            out.errors += u64::from(kept.weight < 0);
            for answer in &kept.answers {
                crate::group::add(&mut answers, answer, change);
            }
            let changed = |refusal: &Refusal| Refusal {
                weight: change,
                ..refusal.clone()
            };
            out.refusals.extend(kept.refusals.iter().map(changed));
            if kept.weight == 0 {
                memo.rows.remove(&row);
            }
        }
        out.deltas = vec![crate::group::delta_of(&memo.output, &answers).into()];
        Ok(out)
    }

    /// Asks the plugin about rows it has not seen.
    fn ask(
        &mut self,
        memo: &Memo,
        fresh: &[&RowBytes],
    ) -> Result<Vec<(RowBytes, Remembered)>, Fault> {
        if fresh.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<&[u8]> = fresh.iter().map(|row| &row[..]).collect();
        let batch = memo.input.decode(&rows);
        let answered = self.call(&batch)?;
        let mut remembered: Vec<(RowBytes, Remembered)> = fresh
            .iter()
            .map(|row| ((*row).clone(), Remembered::default()))
            .collect();
        let rows = memo.output.encode(&answered.batch);
        for (index, &origin) in answered.origin.iter().enumerate() {
            remembered[origin as usize]
                .1
                .answers
                .push(rows.row(index).into());
        }
        for (row, refusal) in answered.refusals {
            remembered[row as usize].1.refusals.push(refusal);
        }
        Ok(remembered)
    }

    /// Calls the plugin on all workers, each with its share of the rows.
    fn call(&mut self, batch: &RecordBatch) -> Result<Answered, Fault> {
        let asked = self.asked(batch);
        let workers = self
            .instances
            .len()
            .min(asked.num_rows().div_ceil(ROWS_PER_WORKER_MIN))
            .max(1);
        let share = asked.num_rows().div_ceil(workers);
        let starts: Vec<usize> = (0..workers)
            .map(|worker| (worker * share).min(asked.num_rows()))
            .collect();
        let slice = |start: usize| asked.slice(start, share.min(asked.num_rows() - start));
        let produced: Vec<Result<Produced, PluginError>> = if workers == 1 {
            vec![self.instances[0].transform(&asked)]
        } else {
            std::thread::scope(|scope| {
                let calls: Vec<_> = self.instances[..workers]
                    .iter_mut()
                    .zip(&starts)
                    .map(|(instance, &start)| {
                        let rows = slice(start);
                        scope.spawn(move || instance.transform(&rows))
                    })
                    .collect();
                calls
                    .into_iter()
                    .map(|call| call.join().expect("plugin calls do not panic"))
                    .collect()
            })
        };
        let mut all = Answered {
            batch: RecordBatch::new_empty(Arc::clone(&self.output)),
            origin: Vec::new(),
            refusals: Vec::new(),
        };
        let mut batches = Vec::new();
        for (produced, start) in produced.into_iter().zip(starts) {
            let rows = share.min(asked.num_rows() - start);
            let part = match produced {
                Ok(part) => part,
                Err(error) if self.on_failure == OnFailure::Stop => {
                    return Err(Fault::Plugin(error));
                }
                Err(error) => none_of(self.instances[0].schema(), rows, &error),
            };
            let offset = u32::try_from(start).expect("an epoch's rows are bounded");
            all.origin
                .extend(part.origin.iter().map(|row| row + offset));
            for refusal in part.refusals {
                let row = refusal.row + offset;
                all.refusals.push((row, told(batch, row as usize, refusal)));
            }
            batches.push(part.batch);
        }
        let schema = batches[0].schema();
        let rows = concat_batches(&schema, &batches).expect("instances answer by one schema");
        all.batch = self.with_meta(&rows, batch, &all.origin);
        Ok(all)
    }

    fn asked(&self, batch: &RecordBatch) -> RecordBatch {
        let column = |(index, field): (&Option<usize>, &arrow::datatypes::FieldRef)| -> ArrayRef {
            match index {
                Some(index) => as_asked(batch.column(*index), field.data_type()),
                None => new_null_array(field.data_type(), batch.num_rows()),
            }
        };
        let columns = self
            .columns
            .iter()
            .zip(self.asked.fields())
            .map(column)
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.asked), columns, &options)
            .expect("the plan checked the columns' types")
    }

    /// The plugin's rows with the metadata of the rows they came from.
    fn with_meta(&self, rows: &RecordBatch, input: &RecordBatch, origin: &[u32]) -> RecordBatch {
        let indexes = UInt32Array::from(origin.to_vec());
        let mut columns = rows.columns().to_vec();
        let taken = self
            .meta
            .iter()
            .map(|&index| take(input.column(index), &indexes, None).expect("origins are in range"));
        columns.extend(taken);
        RecordBatch::try_new(Arc::clone(&self.output), columns).expect("the plan's output schema")
    }
}

struct Answered {
    batch: RecordBatch,
    origin: Vec<u32>,
    refusals: Vec<(u32, Refusal)>,
}

/// A refusal of this row, told by its record while it still knows it.
fn told(batch: &RecordBatch, row: usize, why: weir_stage::RowRefusal) -> Refusal {
    if meta::is_tracked(&batch.schema()) {
        return refusal_at(batch, row, why);
    }
    let weir_stage::RowRefusal {
        code,
        message,
        field,
        ..
    } = why;
    Refusal {
        topic: String::new(),
        partition: 0,
        offset: 0,
        code,
        message,
        field,
        weight: 1,
    }
}

/// Nested types may differ in what may be null inside; the plan checked everything else.
fn as_asked(column: &ArrayRef, asked: &DataType) -> ArrayRef {
    if column.data_type() == asked {
        return Arc::clone(column);
    }
    cast(column, asked).expect("the plan checked the columns' types")
}

/// The policy `dead_letter`: every row refused.
fn none_of(schema: SchemaRef, rows: usize, error: &PluginError) -> Produced {
    let refusal = |row| weir_stage::RowRefusal {
        row,
        code: error.code.to_owned(),
        message: error.message.clone(),
        field: None,
    };
    let rows = u32::try_from(rows).expect("an epoch's rows are bounded");
    Produced {
        batch: RecordBatch::new_empty(schema),
        origin: Vec::new(),
        refusals: (0..rows).map(refusal).collect(),
    }
}
