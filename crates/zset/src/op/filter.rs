//! `where`: rows for which an expression is true. Linear: it keeps nothing.

use super::columns::{Records, inputs};
use super::{Operator, Step};
use crate::expr::Expr;
use crate::{Delta, OpError, Parts, Refusal};
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

    fn kept(&self, part: &Delta, refusals: &mut Vec<Refusal>) -> Delta {
        let Delta { batch, weights } = part;
        let (values, errors) = self.condition.eval(batch);
        refusals.extend(errors.into_iter().map(|e| {
            let message = format!("where: {}", e.message);
            self.records
                .refusal(batch, e.row, weights[e.row], e.code, message)
        }));
        let mask = values.as_boolean();
        if mask.null_count() == 0 && mask.true_count() == mask.len() {
            return part.clone();
        }
        let kept = filter_record_batch(batch, mask).expect("one value a row");
        let is_kept = |row: &usize| mask.is_valid(*row) && mask.value(*row);
        let rows = (0..batch.num_rows()).filter(is_kept);
        Delta::new(kept, rows.map(|row| weights[row]).collect())
    }
}

impl Operator for Filter {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn step(&mut self, inputs: &[Parts], _as_of_us: i64) -> Step {
        let mut refusals = Vec::new();
        let delta = inputs[0].map(&self.schema(), |part| self.kept(part, &mut refusals));
        Step { delta, refusals }
    }

    fn state_rows(&self) -> usize {
        0
    }
}
