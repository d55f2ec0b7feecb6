//! Plain twins: each operator recomputed whole from the integral of its inputs, and the properties that
//! hold the incremental ones to them.
//!
//! The twins share nothing with the operators but the contract: rows are vectors of cells, a collection
//! is a map from rows to weights, everything is computed anew by loops.

mod logs;
mod plain;
mod properties;

use crate::op::{OpSpec, Operator, Step};
use crate::{Delta, Parts, Refusal};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    Int32Array, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Int32Type, Int64Type, SchemaRef,
    TimestampMicrosecondType, i256,
};
use proptest::test_runner::{Config, RngSeed};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value, ordered as the row form orders it: null first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    /// Digits of a decimal of the column's scale.
    Digits(i256),
    Text(String),
    List(Vec<Cell>),
}

type Row = Vec<Cell>;
type Collection = BTreeMap<Row, i64>;

/// One input's rows of one step.
type Rows = Vec<(Row, i64)>;

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn digits(value: i64) -> Cell {
    Cell::Digits(i256::from(value))
}

/// The random seed: fixed, or `PROPTEST_RNG_SEED`; printed with each property.
fn config(cases: u32) -> Config {
    let mut config = Config::with_cases(cases);
    if matches!(config.rng_seed, RngSeed::Random) {
        config.rng_seed = RngSeed::Fixed(2026);
    }
    println!("seed: {:?}, another by PROPTEST_RNG_SEED", config.rng_seed);
    Config {
        failure_persistence: None,
        ..config
    }
}

/// Rows as a batch of this schema.
fn delta(schema: &SchemaRef, rows: &[(Row, i64)]) -> Delta {
    let column = |(index, field): (usize, &arrow::datatypes::FieldRef)| {
        let cells: Vec<&Cell> = rows.iter().map(|(row, _)| &row[index]).collect();
        array(field.data_type(), &cells)
    };
    let columns = schema.fields().iter().enumerate().map(column).collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).unwrap();
    Delta::new(batch, rows.iter().map(|(_, weight)| *weight).collect())
}

fn array(data_type: &DataType, cells: &[&Cell]) -> ArrayRef {
    let int = |cell: &&Cell| {
        if let Cell::Int(value) = cell {
            Some(*value)
        } else {
            None
        }
    };
    let int32 = |cell: &&Cell| int(cell).map(|value| i32::try_from(value).unwrap());
    let wide = |cell: &&Cell| {
        if let Cell::Digits(value) = cell {
            Some(*value)
        } else {
            None
        }
    };
    let narrow = |cell: &&Cell| wide(cell).map(|value| value.to_i128().unwrap());
    let flag = |cell: &&Cell| {
        if let Cell::Bool(value) = cell {
            Some(*value)
        } else {
            None
        }
    };
    let string = |cell: &&Cell| match cell {
        Cell::Text(value) => Some(value.clone()),
        _ => None,
    };
    let cells = cells.iter();
    match data_type {
        DataType::Boolean => Arc::new(cells.map(flag).collect::<BooleanArray>()),
        DataType::Int32 => Arc::new(cells.map(int32).collect::<Int32Array>()),
        DataType::Int64 => Arc::new(cells.map(int).collect::<Int64Array>()),
        DataType::Date32 => Arc::new(cells.map(int32).collect::<Date32Array>()),
        DataType::Timestamp(..) => {
            let values: TimestampMicrosecondArray = cells.map(int).collect();
            Arc::new(values.with_timezone("UTC"))
        }
        DataType::Utf8 => Arc::new(cells.map(string).collect::<StringArray>()),
        DataType::Decimal128(..) => {
            let values: Decimal128Array = cells.map(narrow).collect();
            Arc::new(values.with_data_type(data_type.clone()))
        }
        DataType::Decimal256(..) => {
            let values: Decimal256Array = cells.map(wide).collect();
            Arc::new(values.with_data_type(data_type.clone()))
        }
        DataType::List(element) => {
            let (mut offsets, mut values, mut valid) = (vec![0_i32], Vec::new(), Vec::new());
            for cell in cells {
                if let Cell::List(elements) = cell {
                    values.extend(elements);
                }
                valid.push(matches!(cell, Cell::List(_)));
                offsets.push(i32::try_from(values.len()).unwrap());
            }
            let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
            let values = array(element.data_type(), &values);
            let nulls = Some(NullBuffer::from(valid));
            Arc::new(ListArray::new(Arc::clone(element), offsets, values, nulls))
        }
        other => unreachable!("no property uses {other}"),
    }
}

fn cell(array: &ArrayRef, row: usize) -> Cell {
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Boolean => Cell::Bool(array.as_boolean().value(row)),
        DataType::Int32 => Cell::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Cell::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Date32 => Cell::Int(array.as_primitive::<Date32Type>().value(row).into()),
        DataType::Timestamp(..) => {
            Cell::Int(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Utf8 => text(array.as_string::<i32>().value(row)),
        DataType::Decimal128(..) => Cell::Digits(i256::from_i128(
            array.as_primitive::<Decimal128Type>().value(row),
        )),
        DataType::Decimal256(..) => Cell::Digits(array.as_primitive::<Decimal256Type>().value(row)),
        DataType::List(_) => {
            let elements = array.as_list::<i32>().value(row);
            Cell::List(
                (0..elements.len())
                    .map(|index| cell(&elements, index))
                    .collect(),
            )
        }
        other => unreachable!("no property uses {other}"),
    }
}

/// The sum of deltas.
fn integrate(into: &mut Collection, delta: &Delta) {
    for (row, weight) in delta.weights.iter().enumerate() {
        let cells = delta
            .batch
            .columns()
            .iter()
            .map(|column| cell(column, row))
            .collect();
        add(into, cells, *weight);
    }
}

fn add(into: &mut Collection, row: Row, weight: i64) {
    let now = into.remove(&row).unwrap_or(0) + weight;
    if now != 0 {
        into.insert(row, now);
    }
}

fn sum<'a>(rows: impl IntoIterator<Item = &'a (Row, i64)>) -> Collection {
    let mut collection = Collection::new();
    for (row, weight) in rows {
        add(&mut collection, row.clone(), *weight);
    }
    collection
}

/// The rows with the columns of another schema only.
fn projected(rows: &Collection, schema: &SchemaRef, onto: &SchemaRef) -> Collection {
    let fields = onto.fields().iter();
    let indexes: Vec<usize> = fields
        .map(|field| schema.index_of(field.name()).unwrap())
        .collect();
    let mut out = Collection::new();
    for (row, weight) in rows {
        let cells = indexes.iter().map(|&index| row[index].clone());
        add(&mut out, cells.collect(), *weight);
    }
    out
}

/// Refusals in force: topic, partition, offset, code.
type Refused = BTreeMap<(String, i32, i64, String), i64>;

fn refuse(into: &mut Refused, refusals: &[Refusal]) {
    for refusal in refusals {
        let Refusal {
            topic,
            partition,
            offset,
            code,
            ..
        } = refusal.clone();
        let key = (topic, partition, offset, code);
        let now = into.entry(key.clone()).or_insert(0);
        *now += refusal.weight;
        if *now == 0 {
            into.remove(&key);
        }
    }
}

/// Rows as one part.
fn uncut(delta: &Delta) -> Parts {
    delta.clone().into()
}

/// Some rows at a time, in two parts that share their columns: too many of each row, and those that are too many.
fn halves(delta: &Delta) -> Parts {
    let schema = delta.batch.schema();
    let part = |start: usize| {
        let rows = start..delta.len().min(start + 3);
        let batch = delta.batch.slice(start, rows.len());
        let weights = &delta.weights[rows];
        let times = |factor: i64| weights.iter().map(|weight| weight * factor).collect();
        [
            Delta::new(batch.clone(), times(2)),
            Delta::new(batch, times(-1)),
        ]
    };
    let parts: Vec<Delta> = (0..delta.len()).step_by(3).flat_map(part).collect();
    Parts::new(schema, parts)
}

/// Runs an operator over steps; answers what its answers sum to after each.
fn run(
    operator: &mut dyn Operator,
    schemas: &[SchemaRef],
    steps: &[(Vec<Rows>, i64)],
) -> Vec<(Collection, Refused)> {
    run_cut(operator, schemas, steps, uncut)
}

/// The same, of inputs that come in these parts.
fn run_cut(
    operator: &mut dyn Operator,
    schemas: &[SchemaRef],
    steps: &[(Vec<Rows>, i64)],
    cut: fn(&Delta) -> Parts,
) -> Vec<(Collection, Refused)> {
    let (mut shown, mut refused) = (Collection::new(), Refused::new());
    let mut all = Vec::new();
    for (inputs, clock) in steps {
        let deltas: Vec<Parts> = inputs
            .iter()
            .zip(schemas)
            .map(|(rows, schema)| cut(&delta(schema, rows)))
            .collect();
        let step = operator.step(&deltas, *clock);
        let answer = step.delta.whole();
        assert_eq!(answer.batch.schema(), operator.schema());
        integrate(&mut shown, &answer);
        refuse(&mut refused, &step.refusals);
        all.push((shown.clone(), refused.clone()));
    }
    all
}

/// An operator that is saved now and then, and lives on in a new one made from what was saved.
struct Reborn {
    spec: OpSpec,
    schemas: Vec<SchemaRef>,
    operator: Box<dyn Operator>,
    saved: BTreeMap<Vec<u8>, Vec<u8>>,
    steps: usize,
}

fn reborn(spec: &OpSpec, schemas: &[SchemaRef]) -> Reborn {
    Reborn {
        spec: spec.clone(),
        schemas: schemas.to_vec(),
        operator: spec.build(schemas).unwrap(),
        saved: BTreeMap::new(),
        steps: 0,
    }
}

impl Operator for Reborn {
    fn schema(&self) -> SchemaRef {
        self.operator.schema()
    }

    fn step(&mut self, inputs: &[Parts], as_of_us: i64) -> Step {
        let step = self.operator.step(inputs, as_of_us);
        self.steps += 1;
        let dies = self.steps.is_multiple_of(3);
        if dies || self.steps % 2 == 1 {
            let saved = &mut self.saved;
            self.operator.save(&mut |key, value| {
                match value {
                    Some(value) => saved.insert(key.to_vec(), value.to_vec()),
                    None => saved.remove(key),
                };
            });
        }
        if dies {
            let rows = self.operator.state_rows();
            self.operator = self.spec.build(&self.schemas).unwrap();
            for (key, value) in &self.saved {
                self.operator.load(key, value).unwrap();
            }
            assert_eq!(self.operator.state_rows(), rows);
        }
        step
    }

    fn forget(&mut self, keys: &Delta, is_time: bool) -> bool {
        self.operator.forget(keys, is_time)
    }

    fn state_rows(&self) -> usize {
        self.operator.state_rows()
    }
}
