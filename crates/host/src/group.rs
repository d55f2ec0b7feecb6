//! A `group` plugin as the engine calls it.

use crate::abi::{self, EvaluateAnswer, EvaluateCall, GroupedRef};
use crate::divide::{deadline_ms, divide};
use crate::error::Verdict;
use crate::kind::Flat;
use crate::lift;
use crate::lower::Lowered;
use crate::sandbox::{Sandbox, failed};
use crate::transform::{check_input, index, joined, refusal, refusals_of};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::ops::Range;
use weir_stage::{Group, GroupAnswer, GroupInput, Grouped, PluginError, Port, RowRefusal};

/// A port and its columns, flat.
pub(crate) struct FlatPort {
    pub(crate) port: Port,
    pub(crate) flat: Vec<Flat>,
}

/// One opened instance and what its stage declared.
pub(crate) struct Grouper {
    pub(crate) sandbox: Sandbox,
    pub(crate) key: SchemaRef,
    pub(crate) key_flat: Vec<Flat>,
    pub(crate) inputs: Vec<FlatPort>,
    pub(crate) outputs: Vec<FlatPort>,
}

impl Group for Grouper {
    fn outputs(&self) -> Vec<Port> {
        self.outputs
            .iter()
            .map(|output| output.port.clone())
            .collect()
    }

    fn evaluate(
        &mut self,
        as_of_us: i64,
        keys: &RecordBatch,
        inputs: &[GroupInput],
    ) -> Result<Grouped, PluginError> {
        self.answer(as_of_us, keys, inputs)
            .map_err(|verdict| verdict.of(self.sandbox.name()))
    }
}

impl Grouper {
    fn answer(
        &mut self,
        as_of_us: i64,
        keys: &RecordBatch,
        inputs: &[GroupInput],
    ) -> Result<Grouped, Verdict> {
        self.check(keys, inputs)?;
        let groups = keys.num_rows();
        if groups == 0 {
            return self.merged(Vec::new(), Vec::new());
        }
        let call_ms_max = self.sandbox.limits().call_ms_max;
        let rows = rows_of(inputs, 0..groups);
        let divided = divide(groups, |part| {
            let deadline_ms = deadline_ms(call_ms_max, rows_of(inputs, part.clone()), rows);
            let cut: Vec<GroupInput> = inputs
                .iter()
                .map(|input| cut(input, part.clone()))
                .collect();
            self.call(
                as_of_us,
                &keys.slice(part.start, part.len()),
                &cut,
                deadline_ms,
            )
        })?;
        let mut refusals: Vec<RowRefusal> = Vec::new();
        for (group, verdict) in &divided.refused {
            refusals.extend(numbers(inputs, *group..group + 1).map(|row| refusal(row, verdict)));
        }
        let mut answers = Vec::with_capacity(divided.answered.len());
        for (part, mut grouped) in divided.answered {
            let numbers: Vec<u32> = numbers(inputs, part.clone()).collect();
            let whole = |refusal: RowRefusal| RowRefusal {
                row: numbers[refusal.row as usize],
                ..refusal
            };
            refusals.extend(std::mem::take(&mut grouped.refusals).into_iter().map(whole));
            answers.push((part.start, grouped.outputs));
        }
        refusals.sort_by_key(|refusal| refusal.row);
        self.merged(answers, refusals)
    }

    fn check(&self, keys: &RecordBatch, inputs: &[GroupInput]) -> Result<(), Verdict> {
        check_input(&self.key, keys)?;
        if inputs.len() != self.inputs.len()
            || inputs
                .iter()
                .any(|input| input.offsets.len() != keys.num_rows() + 1)
        {
            return Err(Verdict::wrong(
                "plugin_input",
                "the inputs or their groups are not those of the call",
            ));
        }
        self.inputs
            .iter()
            .zip(inputs)
            .try_for_each(|(port, input)| check_input(&port.port.schema, &input.rows))
    }

    /// The parts' answers as one: rows one behind the other, groups counted through.
    fn merged(
        &self,
        answers: Vec<(usize, Vec<GroupAnswer>)>,
        refusals: Vec<RowRefusal>,
    ) -> Result<Grouped, Verdict> {
        let mut parts: Vec<(Vec<RecordBatch>, Vec<u32>)> =
            self.outputs.iter().map(|_| Default::default()).collect();
        for (first, outputs) in answers {
            for ((batches, groups), output) in parts.iter_mut().zip(outputs) {
                groups.extend(output.group.iter().map(|group| group + index(first)));
                batches.push(output.batch);
            }
        }
        let one = |(output, (batches, group)): (&FlatPort, (Vec<RecordBatch>, Vec<u32>))| {
            Ok(GroupAnswer {
                batch: joined(&output.port.schema, batches)?,
                group,
            })
        };
        let outputs: Result<Vec<GroupAnswer>, Verdict> =
            self.outputs.iter().zip(parts).map(one).collect();
        Ok(Grouped {
            outputs: outputs?,
            refusals,
        })
    }

    fn call(
        &mut self,
        as_of_us: i64,
        keys: &RecordBatch,
        inputs: &[GroupInput],
        deadline_ms: u32,
    ) -> Result<Grouped, Verdict> {
        let key_rows = Lowered::new(&self.key_flat, keys);
        let rows: Vec<Lowered> = self
            .inputs
            .iter()
            .zip(inputs)
            .map(|(port, input)| Lowered::new(&port.flat, &input.rows))
            .collect();
        let offsets: Vec<Vec<u8>> = inputs
            .iter()
            .map(|input| bytes_of(&input.offsets))
            .collect();
        let lend = |index: usize| GroupedRef {
            input: &self.inputs[index].port.name,
            offsets: &offsets[index],
            rows: rows[index].batch(),
        };
        let lent: Vec<GroupedRef<'_>> = (0..inputs.len()).map(lend).collect();
        let (answer,) = self.sandbox.call(deadline_ms, |live| {
            let run = live
                .run
                .typed::<EvaluateCall<'_>, EvaluateAnswer>(&live.store)?;
            run.call(
                &mut live.store,
                (live.instance, as_of_us, key_rows.batch(), &lent, &[]),
            )
        })?;
        let answered = answer.map_err(|failure| failed(&failure))?;
        let rows_max = u64::from(self.sandbox.limits().output_rows_max);
        let rows: u64 = answered
            .iter()
            .map(|answered| u64::from(answered.produced.output.rows))
            .sum();
        if rows > rows_max {
            return Err(Verdict::stopped(
                "plugin_output",
                format!("it answers {rows} rows, more than {rows_max}"),
            ));
        }
        self.lift(
            answered,
            keys.num_rows(),
            rows_of(inputs, 0..keys.num_rows()),
        )
        .map_err(|why| Verdict::wrong("plugin_output", why))
    }

    fn lift(
        &self,
        answered: Vec<abi::Answered>,
        groups: usize,
        rows: usize,
    ) -> Result<Grouped, String> {
        if answered.len() != self.outputs.len() {
            return Err(format!(
                "it answers {} outputs of {}",
                answered.len(),
                self.outputs.len()
            ));
        }
        let mut grouped = Grouped {
            outputs: Vec::with_capacity(answered.len()),
            refusals: Vec::new(),
        };
        for (declared, answered) in self.outputs.iter().zip(answered) {
            if answered.output != declared.port.name {
                return Err(format!(
                    "it answers `{}` where `{}` is declared",
                    answered.output, declared.port.name
                ));
            }
            let batch = lift::lift(
                answered.produced.output,
                &declared.port.schema,
                &declared.flat,
            )?;
            check_origin(answered.produced.origin, batch.num_rows(), index(rows))?;
            let offsets = lift::group_offsets(answered.offsets, groups, batch.num_rows())?;
            let group = offsets
                .lengths()
                .enumerate()
                .flat_map(|(group, rows)| std::iter::repeat_n(index(group), rows));
            grouped.outputs.push(GroupAnswer {
                group: group.collect(),
                batch,
            });
            grouped
                .refusals
                .extend(refusals_of(answered.produced.refusals, index(rows))?);
        }
        Ok(grouped)
    }
}

fn bytes_of(offsets: &[u32]) -> Vec<u8> {
    offsets
        .iter()
        .flat_map(|offset| offset.to_le_bytes())
        .collect()
}

/// Where rows came from is not used yet, but what is said must be true.
fn check_origin(origin: abi::Origin, rows: usize, of: u32) -> Result<(), String> {
    match origin {
        abi::Origin::Group => Ok(()),
        abi::Origin::Rows(bytes) => lift::indexes(&bytes, rows, of, "origins").map(|_| ()),
        abi::Origin::Many(spans) => {
            let count = spans.rows.len() / 4;
            lift::group_offsets(spans.offsets, rows, count)?;
            lift::indexes(&spans.rows, count, of, "origins").map(|_| ())
        }
        abi::Origin::Same => {
            Err("a group's rows do not come from its input's one by one".to_owned())
        }
    }
}

/// The rows of some groups of an input, counted from 0.
fn cut(input: &GroupInput, groups: Range<usize>) -> GroupInput {
    let offsets = &input.offsets[groups.start..=groups.end];
    let (first, last) = (offsets[0] as usize, offsets[groups.len()] as usize);
    GroupInput {
        rows: input.rows.slice(first, last - first),
        offsets: offsets.iter().map(|offset| offset - offsets[0]).collect(),
    }
}

fn rows_of(inputs: &[GroupInput], groups: Range<usize>) -> usize {
    inputs
        .iter()
        .map(|input| (input.offsets[groups.end] - input.offsets[groups.start]) as usize)
        .sum()
}

/// The numbers, counted through the inputs' rows in order, of the rows of some groups.
fn numbers(inputs: &[GroupInput], groups: Range<usize>) -> impl Iterator<Item = u32> {
    let mut before = 0;
    inputs.iter().flat_map(move |input| {
        let base = before;
        before += index(input.rows.num_rows());
        base + input.offsets[groups.start]..base + input.offsets[groups.end]
    })
}
