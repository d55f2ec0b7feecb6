//! A `transform` plugin as the engine calls it.

use crate::abi::{self, TransformAnswer, TransformCall};
use crate::divide::{deadline_ms, divide};
use crate::error::Verdict;
use crate::kind::Flat;
use crate::lift;
use crate::lower::Lowered;
use crate::sandbox::{Sandbox, failed};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use weir_stage::{PluginError, Produced, RowRefusal, Transform};

/// One opened instance and what its stage declared.
pub(crate) struct Transformer {
    pub(crate) sandbox: Sandbox,
    pub(crate) input: SchemaRef,
    pub(crate) input_flat: Vec<Flat>,
    pub(crate) output: SchemaRef,
    pub(crate) output_flat: Vec<Flat>,
}

impl Transform for Transformer {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.output)
    }

    fn transform(&mut self, batch: &RecordBatch) -> Result<Produced, PluginError> {
        self.answer(batch)
            .map_err(|verdict| verdict.of(self.sandbox.name()))
    }
}

impl Transformer {
    fn answer(&mut self, batch: &RecordBatch) -> Result<Produced, Verdict> {
        check_input(&self.input, batch)?;
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(Produced {
                batch: RecordBatch::new_empty(self.schema()),
                origin: Vec::new(),
                refusals: Vec::new(),
            });
        }
        let call_ms_max = self.sandbox.limits().call_ms_max;
        let divided = divide(rows, |part| {
            let deadline_ms = deadline_ms(call_ms_max, part.len(), rows);
            if part.len() == rows {
                return self.call(batch, deadline_ms);
            }
            self.call(&batch.slice(part.start, part.len()), deadline_ms)
        })?;
        let mut parts = Vec::with_capacity(divided.answered.len());
        let (mut origin, mut refusals) = (Vec::new(), Vec::new());
        for (part, mut answer) in divided.answered {
            let first = index(part.start);
            if first > 0 {
                answer.origin.iter_mut().for_each(|row| *row += first);
                let refused = answer.refusals.iter_mut();
                refused.for_each(|refusal| refusal.row += first);
            }
            origin.append(&mut answer.origin);
            refusals.append(&mut answer.refusals);
            parts.push(answer.batch);
        }
        refusals.extend(
            divided
                .refused
                .into_iter()
                .map(|(row, verdict)| refusal(index(row), &verdict)),
        );
        refusals.sort_by_key(|refusal| refusal.row);
        Ok(Produced {
            batch: joined(&self.output, parts)?,
            origin,
            refusals,
        })
    }

    fn call(&mut self, batch: &RecordBatch, deadline_ms: u32) -> Result<Produced, Verdict> {
        let lowered = Lowered::new(&self.input_flat, batch);
        let (answer,) = self.sandbox.call(deadline_ms, |live| {
            let run = live
                .run
                .typed::<TransformCall<'_>, TransformAnswer>(&live.store)?;
            run.call(&mut live.store, (live.instance, lowered.batch(), &[]))
        })?;
        let produced = answer.map_err(|failure| failed(&failure))?;
        let rows_max = self.sandbox.limits().output_rows_max;
        if produced.output.rows > rows_max {
            let message = format!(
                "it answers {} rows, more than {rows_max}",
                produced.output.rows
            );
            return Err(Verdict::stopped("plugin_output", message));
        }
        self.lift(produced, batch.num_rows())
            .map_err(|why| Verdict::wrong("plugin_output", why))
    }

    fn lift(&self, produced: abi::Produced, rows: usize) -> Result<Produced, String> {
        let batch = lift::lift(produced.output, &self.output, &self.output_flat)?;
        let origin = match produced.origin {
            abi::Origin::Same if batch.num_rows() == rows => (0..index(rows)).collect(),
            abi::Origin::Same => {
                return Err(format!(
                    "{} rows came from {rows} one by one",
                    batch.num_rows()
                ));
            }
            abi::Origin::Rows(bytes) => {
                lift::indexes(&bytes, batch.num_rows(), index(rows), "origins")?
            }
            abi::Origin::Many(_) | abi::Origin::Group => {
                return Err("a transform's row comes from one input row".to_owned());
            }
        };
        let refusals = refusals_of(produced.refusals, index(rows))?;
        Ok(Produced {
            batch,
            origin,
            refusals,
        })
    }
}

/// Refused rows, which are among the `rows` of the input.
pub(crate) fn refusals_of(
    refusals: Vec<abi::Refusal>,
    rows: u32,
) -> Result<Vec<RowRefusal>, String> {
    if let Some(outside) = refusals.iter().find(|refusal| refusal.row >= rows) {
        return Err(format!("it refuses row {} of {rows}", outside.row));
    }
    let of = |abi::Refusal {
                  row,
                  code,
                  message,
                  field,
              }| RowRefusal {
        row,
        code,
        message,
        field,
    };
    Ok(refusals.into_iter().map(of).collect())
}

/// The refusal of a row that the plugin does not survive.
pub(crate) fn refusal(row: u32, verdict: &Verdict) -> RowRefusal {
    RowRefusal {
        row,
        code: verdict.code.to_owned(),
        message: verdict.message.clone(),
        field: None,
    }
}

/// That the engine sends the columns that the shape asks for.
pub(crate) fn check_input(schema: &SchemaRef, batch: &RecordBatch) -> Result<(), Verdict> {
    let came = batch.schema_ref().fields();
    let equal = came.len() == schema.fields().len()
        && came
            .iter()
            .zip(schema.fields())
            .all(|(came, asked)| came.data_type() == asked.data_type());
    if equal {
        Ok(())
    } else {
        Err(Verdict::wrong(
            "plugin_input",
            "the input's columns are not those of its shape",
        ))
    }
}

/// One batch of the parts in order.
pub(crate) fn joined(
    schema: &SchemaRef,
    mut parts: Vec<RecordBatch>,
) -> Result<RecordBatch, Verdict> {
    match parts.len() {
        1 => Ok(parts.remove(0)),
        _ => concat_batches(schema, &parts)
            .map_err(|error| Verdict::wrong("plugin_output", error.to_string())),
    }
}

pub(crate) fn index(row: usize) -> u32 {
    u32::try_from(row).expect("a call has less than 2^32 rows")
}
