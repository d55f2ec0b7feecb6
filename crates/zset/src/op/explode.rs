//! One row per element of a list; struct elements become columns. Linear: it keeps nothing.

use super::columns::{batch, distinct, inputs, typed};
use super::{ExplodeSpec, Operator, Step};
use crate::nested::masked;
use crate::{Delta, OpError, Parts, meta};
use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use std::sync::Arc;

pub(super) struct Explode {
    schema: SchemaRef,
    list: usize,
    has_index: bool,
}

impl Explode {
    pub(super) fn new(spec: &ExplodeSpec, schemas: &[SchemaRef]) -> Result<Self, OpError> {
        let [schema] = inputs("explode", schemas)?;
        let is_list = |found: &DataType| matches!(found, DataType::List(_));
        let list = typed(schema, &spec.list, "list", "a list", is_list)?;
        let mut fields = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            match field.data_type() {
                DataType::List(element) if index == list => {
                    fields.extend(element_fields(field.name(), element));
                }
                _ => fields.push(Arc::clone(field)),
            }
        }
        if let Some(name) = &spec.index {
            if meta::is_meta(name) {
                let message =
                    format!("`{name}`: names that begin with `_` belong to record metadata");
                return Err(OpError::new("reserved_name", message).at(&["index"]));
            }
            fields.push(Arc::new(Field::new(name, DataType::Int32, false)));
        }
        Ok(Self {
            schema: distinct(fields, &["list"])?,
            list,
            has_index: spec.index.is_some(),
        })
    }
}

fn element_fields(name: &str, element: &FieldRef) -> Vec<FieldRef> {
    let nullable = element.is_nullable();
    match element.data_type() {
        DataType::Struct(fields) => fields
            .iter()
            .map(|f| {
                Arc::new(
                    f.as_ref()
                        .clone()
                        .with_nullable(nullable || f.is_nullable()),
                )
            })
            .collect(),
        other => vec![Arc::new(Field::new(name, other.clone(), nullable))],
    }
}

impl Operator for Explode {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn step(&mut self, inputs: &[Parts], _as_of_us: i64) -> Step {
        Step {
            delta: inputs[0].map(&self.schema, |part| self.exploded(part)),
            refusals: Vec::new(),
        }
    }

    fn state_rows(&self) -> usize {
        0
    }
}

impl Explode {
    fn exploded(&self, part: &Delta) -> Delta {
        let Delta {
            batch: rows,
            weights,
        } = part;
        let list: &ListArray = rows.column(self.list).as_list();
        let (mut origins, mut elements, mut indexes) = (Vec::new(), Vec::new(), Vec::new());
        for row in (0..rows.num_rows()).filter(|row| list.is_valid(*row)) {
            let (start, end) = (list.value_offsets()[row], list.value_offsets()[row + 1]);
            for (index, element) in (start..end).enumerate() {
                origins.push(u32::try_from(row).expect("a batch has fewer than 2^32 rows"));
                elements.push(element.cast_unsigned());
                indexes.push(i32::try_from(index).expect("list offsets are of 32 bits"));
            }
        }
        let weights = origins.iter().map(|&row| weights[row as usize]).collect();
        let (origins, elements) = (UInt32Array::from(origins), UInt32Array::from(elements));
        let pick =
            |array: &ArrayRef, rows: &UInt32Array| take(array, rows, None).expect("rows of it");
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for (index, column) in rows.columns().iter().enumerate() {
            if index == self.list {
                columns.extend(element_columns(&pick(list.values(), &elements)));
            } else {
                columns.push(pick(column, &origins));
            }
        }
        if self.has_index {
            columns.push(Arc::new(Int32Array::from(indexes)));
        }
        Delta::new(batch(&self.schema, columns, origins.len()), weights)
    }
}

fn element_columns(elements: &ArrayRef) -> Vec<ArrayRef> {
    match elements.as_struct_opt() {
        None => vec![Arc::clone(elements)],
        Some(elements) => elements
            .columns()
            .iter()
            .map(|child| masked(elements, child))
            .collect(),
    }
}
