//! All inputs' rows, one input after the other. Linear: it keeps nothing.

use super::columns::batch;
use super::{Operator, Step};
use crate::{Delta, OpError, Parts, meta};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use std::sync::Arc;

pub(super) struct Union {
    schema: SchemaRef,
    /// For each input the indexes of the output's columns.
    columns: Vec<Vec<usize>>,
}

impl Union {
    pub(super) fn new(schemas: &[SchemaRef]) -> Result<Self, OpError> {
        let [first, others @ ..] = schemas else {
            return Err(OpError::new(
                "wrong_inputs",
                "a union takes at least one input",
            ));
        };
        let mut fields: Vec<FieldRef> = Vec::new();
        for field in first.fields() {
            let same = others
                .iter()
                .map(|other| other.field_with_name(field.name()).ok());
            let Some(same) = same.collect::<Option<Vec<&Field>>>() else {
                if meta::is_meta(field.name()) {
                    continue;
                }
                return Err(lacking(field, schemas));
            };
            if let Some(other) = same
                .iter()
                .find(|other| other.data_type() != field.data_type())
            {
                return Err(unequal(field, other));
            }
            let nullable = field.is_nullable() || same.iter().any(|other| other.is_nullable());
            fields.push(Arc::new(field.as_ref().clone().with_nullable(nullable)));
        }
        for other in others {
            let extra = |field: &&FieldRef| {
                !meta::is_meta(field.name()) && first.index_of(field.name()).is_err()
            };
            if let Some(field) = other.fields().iter().find(extra) {
                return Err(lacking(field, schemas));
            }
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let index = |input: &SchemaRef, field: &FieldRef| {
            input.index_of(field.name()).expect("every input has it")
        };
        let order = |input| {
            schema
                .fields()
                .iter()
                .map(|field| index(input, field))
                .collect()
        };
        let columns = schemas.iter().map(order).collect();
        Ok(Self { schema, columns })
    }
}

fn lacking(field: &Field, schemas: &[SchemaRef]) -> OpError {
    let lacks = |schema: &&SchemaRef| schema.index_of(field.name()).is_err();
    let index = schemas
        .iter()
        .position(|schema| lacks(&schema))
        .unwrap_or(0);
    let message = format!(
        "input {} has no column `{}`, others have",
        index + 1,
        field.name()
    );
    let near = OpError::unknown_column(field.name(), &schemas[index]).hint;
    let hint = "the inputs of a union have the same columns; use `select` before it";
    OpError::new("unequal_inputs", message).hint(near.unwrap_or_else(|| hint.to_owned()))
}

fn unequal(field: &Field, other: &Field) -> OpError {
    let (one, two) = (field.data_type(), other.data_type());
    let message = format!(
        "column `{}` is {one} in one input and {two} in another",
        field.name()
    );
    OpError::new("unequal_inputs", message).hint("cast one of them with `let` before the union")
}

impl Operator for Union {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn step(&mut self, inputs: &[Parts], _as_of_us: i64) -> Step {
        let inputs = inputs.iter().zip(&self.columns);
        let parts =
            inputs.flat_map(|(input, columns)| input.iter().map(move |part| (part, columns)));
        let arranged = parts.map(|(part, columns)| {
            let picked = columns
                .iter()
                .map(|&index| Arc::clone(part.batch.column(index)));
            Delta {
                batch: batch(&self.schema, picked.collect(), part.len()),
                weights: Arc::clone(&part.weights),
            }
        });
        Step {
            delta: Parts::new(self.schema(), arranged),
            refusals: Vec::new(),
        }
    }

    fn state_rows(&self) -> usize {
        0
    }
}
