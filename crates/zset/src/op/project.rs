//! `select`: columns by expressions; metadata columns come along at the end. Linear: it keeps nothing.

use super::columns::{Records, batch, distinct, inputs};
use super::{Operator, Step};
use crate::expr::Expr;
use crate::{Delta, OpError, meta};
use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) struct Project {
    schema: SchemaRef,
    /// `schema` with every column nullable, for rows that are refused right after.
    open_schema: SchemaRef,
    exprs: Vec<(String, Expr)>,
    meta: Vec<usize>,
    records: Records,
}

impl Project {
    pub(super) fn new(
        columns: &[(String, String)],
        schemas: &[SchemaRef],
    ) -> Result<Self, OpError> {
        let [schema] = inputs("select", schemas)?;
        let mut exprs = Vec::new();
        for (name, sql) in columns
            .iter()
            .filter(|(name, sql)| !is_meta_itself(name, sql))
        {
            if meta::is_meta(name) {
                let message =
                    format!("`{name}`: names that begin with `_` belong to record metadata");
                return Err(OpError::new("reserved_name", message).at(&[name]));
            }
            let expr = Expr::compile(sql, schema).map_err(|error| error.at(&[name]))?;
            exprs.push((name.clone(), expr));
        }
        let field = |(name, expr): &(String, Expr)| -> FieldRef {
            Arc::new(Field::new(name, expr.data_type().clone(), expr.nullable()))
        };
        let mut fields: Vec<FieldRef> = exprs.iter().map(field).collect();
        let is_meta = |index: &usize| meta::is_meta(schema.field(*index).name());
        let meta: Vec<usize> = (0..schema.fields().len()).filter(is_meta).collect();
        fields.extend(
            meta.iter()
                .map(|&index| Arc::clone(&schema.fields()[index])),
        );
        let schema = distinct(fields, &[])?;
        let open = schema
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true));
        let open_schema = Arc::new(Schema::new(open.collect::<Vec<_>>()));
        let records = Records::of(&schemas[0]);
        Ok(Self {
            schema,
            open_schema,
            exprs,
            meta,
            records,
        })
    }
}

/// `_offset: _offset` says what happens anyway.
fn is_meta_itself(name: &str, sql: &str) -> bool {
    meta::is_meta(name) && name == sql.trim()
}

impl Operator for Project {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn step(&mut self, inputs: &[Delta], _as_of_us: i64) -> Step {
        let Delta {
            batch: rows,
            weights,
        } = &inputs[0];
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        let (mut refusals, mut refused) = (Vec::new(), BTreeSet::new());
        for (name, expr) in &self.exprs {
            let (values, errors) = expr.eval(rows);
            columns.push(values);
            // A row is refused once, for the first column that has no value.
            for error in errors.into_iter().filter(|error| refused.insert(error.row)) {
                let weight = weights[error.row];
                let message = format!("{name}: {}", error.message);
                let refusal = self
                    .records
                    .refusal(rows, error.row, weight, error.code, message);
                refusals.push(crate::Refusal {
                    field: Some(name.clone()),
                    ..refusal
                });
            }
        }
        columns.extend(
            self.meta
                .iter()
                .map(|&index| Arc::clone(rows.column(index))),
        );
        if refused.is_empty() {
            let batch = batch(&self.schema, columns, rows.num_rows());
            return Step {
                delta: Delta {
                    batch,
                    weights: Arc::clone(weights),
                },
                refusals,
            };
        }
        let open = batch(&self.open_schema, columns, rows.num_rows());
        let kept: Vec<bool> = (0..rows.num_rows())
            .map(|row| !refused.contains(&row))
            .collect();
        let weights = (0..rows.num_rows())
            .filter(|row| kept[*row])
            .map(|row| weights[row])
            .collect();
        let open = filter_record_batch(&open, &BooleanArray::from(kept)).expect("one flag a row");
        let delta = Delta::new(
            batch(&self.schema, open.columns().to_vec(), open.num_rows()),
            weights,
        );
        Step { delta, refusals }
    }

    fn state_rows(&self) -> usize {
        0
    }
}
