//! `where`: rows for which an expression is true. Linear: it keeps nothing.

use super::columns::{Records, inputs};
use super::{Operator, Step};
use crate::expr::Expr;
use crate::{Delta, OpError};
use arrow::array::{Array, AsArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, SchemaRef};
use std::sync::Arc;

pub(super) struct Filter {
    schema: SchemaRef,
    condition: Expr,
    records: Records,
}

impl Filter {
    pub(super) fn new(sql: &str, schemas: &[SchemaRef]) -> Result<Self, OpError> {
        let [schema] = inputs("where", schemas)?;
        let condition = Expr::compile(sql, schema)?;
        if condition.data_type() != &DataType::Boolean {
            let message = format!(
                "the condition is {}, not true or false",
                condition.data_type()
            );
            return Err(OpError::new("wrong_type", message));
        }
        Ok(Self {
            schema: Arc::clone(schema),
            condition,
            records: Records::of(schema),
        })
    }
}

impl Operator for Filter {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn step(&mut self, inputs: &[Delta], _as_of_us: i64) -> Step {
        let Delta { batch, weights } = &inputs[0];
        let (values, errors) = self.condition.eval(batch);
        let refusals = errors.into_iter().map(|e| {
            self.records.refusal(
                batch,
                e.row,
                weights[e.row],
                e.code,
                format!("where: {}", e.message),
            )
        });
        let refusals = refusals.collect();
        let mask = values.as_boolean();
        if mask.null_count() == 0 && mask.true_count() == mask.len() {
            return Step {
                delta: inputs[0].clone(),
                refusals,
            };
        }
        let kept = filter_record_batch(batch, mask).expect("one value a row");
        let is_kept = |row: &usize| mask.is_valid(*row) && mask.value(*row);
        let weights = (0..batch.num_rows())
            .filter(is_kept)
            .map(|row| weights[row])
            .collect();
        Step {
            delta: Delta::new(kept, weights),
            refusals,
        }
    }

    fn state_rows(&self) -> usize {
        0
    }
}
