//! One aggregate's state for all groups, by the groups' slots.

use super::super::AggFn;
use super::super::saved::{Reader, Unreadable, Writer};
use crate::OpError;
use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Decimal256Array, Int64Array, new_empty_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Field, Int64Type, i256};
use arrow::row::{RowConverter, SortField};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_exact::{
    Decimal, I256, Sum, fits, from_i128, from_le_bytes, mul_div_round, to_i128, to_le_bytes,
};

/// Digits that a mean has behind those of its argument.
const MEAN_DIGITS: i8 = 6;
/// What integers are summed as.
const INTEGER: DataType = DataType::Decimal128(20, 0);

/// Values of a group's rows, encoded, with their weights.
type Values = BTreeMap<Box<[u8]>, i64>;

pub(super) struct Accumulators {
    data_type: DataType,
    /// The argument's scale; 0 where there is none.
    scale: u8,
    state: State,
}

enum State {
    Sum(Vec<Sum>),
    Count(Vec<i64>),
    Mean(Vec<(Sum, i64)>),
    Extreme {
        greatest: bool,
        converter: RowConverter,
        values: Vec<Values>,
    },
}

impl Accumulators {
    pub(super) fn new(function: AggFn, argument: Option<&Field>) -> Result<Self, OpError> {
        if function == AggFn::Count {
            return Ok(Self {
                data_type: DataType::Int64,
                scale: 0,
                state: State::Count(Vec::new()),
            });
        }
        let Some(argument) = argument else {
            return Err(OpError::new(
                "missing_column",
                "only `count` goes without a column",
            ));
        };
        let found = argument.data_type();
        if matches!(function, AggFn::Min | AggFn::Max) {
            let converter =
                RowConverter::new(vec![SortField::new(found.clone())]).map_err(|e| {
                    OpError::new(
                        "wrong_type",
                        format!("column `{}` has no order: {e}", argument.name()),
                    )
                })?;
            let greatest = function == AggFn::Max;
            let state = State::Extreme {
                greatest,
                converter,
                values: Vec::new(),
            };
            return Ok(Self {
                data_type: found.clone(),
                scale: 0,
                state,
            });
        }
        let (sum, mean, scale) = number_types(argument)?;
        Ok(match function {
            AggFn::Sum => Self {
                data_type: sum,
                scale,
                state: State::Sum(Vec::new()),
            },
            _ => Self {
                data_type: mean,
                scale,
                state: State::Mean(Vec::new()),
            },
        })
    }

    pub(super) fn data_type(&self) -> &DataType {
        &self.data_type
    }

    pub(super) fn grow(&mut self, slots: usize) {
        match &mut self.state {
            State::Sum(sums) => sums.resize(slots, Sum::default()),
            State::Count(counts) => counts.resize(slots, 0),
            State::Mean(means) => means.resize(slots, (Sum::default(), 0)),
            State::Extreme { values, .. } => values.resize_with(slots, Values::new),
        }
    }

    pub(super) fn is_clear(&self, slot: u32) -> bool {
        let slot = slot as usize;
        match &self.state {
            State::Sum(sums) => sums[slot].is_zero(),
            State::Count(counts) => counts[slot] == 0,
            State::Mean(means) => means[slot].0.is_zero() && means[slot].1 == 0,
            State::Extreme { values, .. } => values[slot].is_empty(),
        }
    }

    pub(super) fn add(&mut self, argument: Option<&ArrayRef>, weights: &[i64], slots: &[u32]) {
        let rows = slots
            .iter()
            .map(|&slot| slot as usize)
            .zip(weights.iter().copied())
            .enumerate();
        match (&mut self.state, argument) {
            (State::Count(counts), None) => {
                let rows = slots.iter().zip(weights);
                rows.for_each(|(&slot, weight)| counts[slot as usize] += weight);
            }
            (State::Count(counts), Some(column)) => {
                let nulls = column.logical_nulls();
                let is_there = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                rows.filter(|(row, _)| is_there(*row))
                    .for_each(|(_, (slot, weight))| counts[slot] += weight);
            }
            (State::Sum(sums), Some(column)) => {
                each_number(column, rows, |slot, value, weight| {
                    sums[slot].add(value, weight);
                });
            }
            (State::Mean(means), Some(column)) => {
                each_number(column, rows, |slot, value, weight| {
                    means[slot].0.add(value, weight);
                    means[slot].1 += weight;
                });
            }
            (
                State::Extreme {
                    converter, values, ..
                },
                Some(column),
            ) => {
                let encoded = converter.convert_columns(&[Arc::clone(column)]);
                let encoded = encoded.expect("a column of the argument's type");
                let nulls = column.logical_nulls();
                let is_there = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                for (row, (slot, weight)) in rows.filter(|(row, _)| is_there(*row)) {
                    let now = values[slot]
                        .entry(encoded.row(row).data().into())
                        .or_insert(0);
                    *now += weight;
                    if *now == 0 {
                        values[slot].remove(encoded.row(row).data());
                    }
                }
            }
            (_, None) => unreachable!("only a count goes without a column"),
        }
    }

    /// Adds a group's state to an entry.
    pub(super) fn save(&self, slot: u32, out: Writer) -> Writer {
        let slot = slot as usize;
        match &self.state {
            State::Sum(sums) => out.raw(&sums[slot].to_le_bytes()),
            State::Count(counts) => out.i64(counts[slot]),
            State::Mean(means) => out.raw(&means[slot].0.to_le_bytes()).i64(means[slot].1),
            State::Extreme { values, .. } => {
                let values = &values[slot];
                let out = out.count(values.len());
                values
                    .iter()
                    .fold(out, |out, (value, weight)| out.part(value).i64(*weight))
            }
        }
    }

    /// Takes a group's state from an entry.
    pub(super) fn load(&mut self, slot: u32, from: &mut Reader<'_>) -> Result<(), Unreadable> {
        let slot = slot as usize;
        match &mut self.state {
            State::Sum(sums) => sums[slot] = Sum::from_le_bytes(from.raw()?),
            State::Count(counts) => counts[slot] = from.i64()?,
            State::Mean(means) => means[slot] = (Sum::from_le_bytes(from.raw()?), from.i64()?),
            State::Extreme { values, .. } => {
                for _ in 0..from.u32()? {
                    values[slot].insert(from.part()?.into(), from.i64()?);
                }
            }
        }
        Ok(())
    }

    /// The values of these groups, and which of them (by index) overflow.
    pub(super) fn output(&self, slots: &[u32]) -> (ArrayRef, Vec<usize>) {
        match &self.state {
            State::Count(counts) => {
                let counts = slots.iter().map(|&slot| Some(counts[slot as usize]));
                (Arc::new(counts.collect::<Int64Array>()), Vec::new())
            }
            State::Sum(sums) => self.numbers(
                slots
                    .iter()
                    .map(|&slot| Number::of(sums[slot as usize].get())),
            ),
            State::Mean(means) => {
                self.numbers(slots.iter().map(|&slot| self.mean(means[slot as usize])))
            }
            State::Extreme {
                greatest,
                converter,
                values,
            } => {
                let values = slots
                    .iter()
                    .map(|&slot| extreme(&values[slot as usize], *greatest));
                (decode(converter, &self.data_type, values), Vec::new())
            }
        }
    }

    fn mean(&self, (sum, count): (Sum, i64)) -> Number {
        let count = Decimal::from_i128(i128::from(count).max(0), 0);
        let one = Decimal::from_i128(1, 0);
        let scale = scale_of(&self.data_type);
        let mean = |total| mul_div_round(Decimal::new(total, self.scale), one, count, scale);
        if count.value.is_zero() {
            return Number::Null;
        }
        Number::of(
            sum.get()
                .and_then(|total| mean(total).ok())
                .map(|mean| mean.value),
        )
    }

    /// A column of numbers, of the output's type.
    fn numbers(&self, values: impl Iterator<Item = Number>) -> (ArrayRef, Vec<usize>) {
        let mut overflows = Vec::new();
        let digits = match self.data_type {
            DataType::Decimal128(digits, _) | DataType::Decimal256(digits, _) => digits,
            _ => 19,
        };
        let values = values.enumerate().map(|(index, number)| match number {
            Number::Null => None,
            Number::Value(value) if fits(value, digits) && self.holds(value) => Some(value),
            Number::Value(_) | Number::TooLong => {
                overflows.push(index);
                None
            }
        });
        let narrow = |value: I256| to_i128(value).expect("at most 38 digits");
        let column: ArrayRef = match self.data_type {
            DataType::Decimal256(..) => {
                let wide = |value: I256| i256::from_le_bytes(to_le_bytes(value));
                let values: Decimal256Array = values.map(|value| value.map(wide)).collect();
                Arc::new(values.with_data_type(self.data_type.clone()))
            }
            DataType::Decimal128(..) => {
                let values: Decimal128Array = values.map(|value| value.map(narrow)).collect();
                Arc::new(values.with_data_type(self.data_type.clone()))
            }
            _ => {
                let whole = |value| i64::try_from(narrow(value)).expect("checked to be one");
                Arc::new(values.map(|value| value.map(whole)).collect::<Int64Array>())
            }
        };
        (column, overflows)
    }

    fn holds(&self, value: I256) -> bool {
        let is_whole = |value| to_i128(value).is_some_and(|value| i64::try_from(value).is_ok());
        self.data_type != DataType::Int64 || is_whole(value)
    }
}

/// What a column of numbers is made from.
enum Number {
    Null,
    Value(I256),
    /// It has more digits than a decimal holds.
    TooLong,
}

impl Number {
    fn of(value: Option<I256>) -> Self {
        value.map_or(Self::TooLong, Self::Value)
    }
}

/// Types of the sum and the mean of a column, and the column's scale.
fn number_types(argument: &Field) -> Result<(DataType, DataType, u8), OpError> {
    let mean = |digits: u8, scale: i8| (scale + MEAN_DIGITS).min(digits.cast_signed());
    match argument.data_type() {
        DataType::Decimal128(_, scale @ 0..) => Ok((
            DataType::Decimal128(38, *scale),
            DataType::Decimal128(38, mean(38, *scale)),
            scale.cast_unsigned(),
        )),
        DataType::Decimal256(_, scale @ 0..) => Ok((
            DataType::Decimal256(76, *scale),
            DataType::Decimal256(76, mean(76, *scale)),
            scale.cast_unsigned(),
        )),
        found if found.is_integer() => {
            Ok((DataType::Int64, DataType::Decimal128(38, MEAN_DIGITS), 0))
        }
        found => {
            let message = format!(
                "column `{}` is {found}, which has no exact sum",
                argument.name()
            );
            Err(OpError::new("wrong_type", message).hint("sum decimals or integers"))
        }
    }
}

fn scale_of(found: &DataType) -> u8 {
    match found {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => scale.cast_unsigned(),
        _ => 0,
    }
}

/// Calls `add(slot, value, weight)` for each row that is not null.
fn each_number(
    column: &ArrayRef,
    rows: impl Iterator<Item = (usize, (usize, i64))>,
    mut add: impl FnMut(usize, I256, i64),
) {
    if let Some(wide) = column.as_primitive_opt::<Decimal256Type>() {
        for (row, (slot, weight)) in rows.filter(|(row, _)| wide.is_valid(*row)) {
            add(slot, from_le_bytes(wide.value(row).to_le_bytes()), weight);
        }
        return;
    }
    if let Some(whole) = column.as_primitive_opt::<Int64Type>() {
        for (row, (slot, weight)) in rows.filter(|(row, _)| whole.is_valid(*row)) {
            add(slot, from_i128(whole.value(row).into()), weight);
        }
        return;
    }
    let is_decimal = matches!(column.data_type(), DataType::Decimal128(..));
    let cast_column = (!is_decimal).then(|| cast(column, &INTEGER).expect("integers are decimals"));
    let narrow = cast_column
        .as_ref()
        .unwrap_or(column)
        .as_primitive::<Decimal128Type>();
    for (row, (slot, weight)) in rows.filter(|(row, _)| narrow.is_valid(*row)) {
        add(slot, from_i128(narrow.value(row)), weight);
    }
}

fn extreme(values: &Values, greatest: bool) -> Option<&[u8]> {
    let mut there = values
        .iter()
        .filter(|(_, weight)| **weight > 0)
        .map(|(value, _)| value.as_ref());
    if greatest {
        there.next_back()
    } else {
        there.next()
    }
}

fn decode<'a>(
    converter: &RowConverter,
    data_type: &DataType,
    values: impl Iterator<Item = Option<&'a [u8]>>,
) -> ArrayRef {
    let null = arrow::array::new_null_array(data_type, 1);
    let null = converter
        .convert_columns(&[null])
        .expect("a null of the argument's type");
    let parser = converter.parser();
    let rows: Vec<_> = values
        .map(|value| value.map_or_else(|| null.row(0), |bytes| parser.parse(bytes)))
        .collect();
    if rows.is_empty() {
        return new_empty_array(data_type);
    }
    let column = converter
        .convert_rows(rows)
        .expect("bytes of this converter")
        .remove(0);
    if column.data_type() == data_type {
        return column;
    }
    cast(&column, data_type).expect("a dictionary of the same values")
}
