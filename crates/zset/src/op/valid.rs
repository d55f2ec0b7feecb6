//! Rows exist while `from <= clock < until`.
//!
//! Rows in force without an end and rows that are over are not kept: time never falls, and the
//! operator is linear. What is kept follows from the input's integral and the clock.

use super::columns::{inputs, typed};
use super::saved::{Dirty, Put, Reader, Unreadable, Writer};
use super::{Operator, Step, ValidSpec};
use crate::compact::Compact;
use crate::pages::{Entries, Pages, weight};
use crate::{Delta, OpError, Parts};
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Date32Type, SchemaRef, TimestampMicrosecondType};
use std::sync::Arc;

const US_PER_DAY: i64 = 86_400_000_000;

pub(super) struct Valid {
    row: Compact,
    from: Option<usize>,
    until: Option<usize>,
    now: i64,
    /// Rows to come behind their start and their end, with weights.
    starts: Pages,
    /// Rows in force that will end, behind their end, twice.
    ends: Pages,
    dirty: Dirty,
}

/// Entries are of these kinds.
const STARTS: u8 = 0;
const ENDS: u8 = 1;

impl Valid {
    pub(super) fn new(spec: &ValidSpec, schemas: &[SchemaRef]) -> Result<Self, OpError> {
        let [schema] = inputs("valid", schemas)?;
        if spec.from.is_none() && spec.until.is_none() {
            return Err(OpError::new(
                "missing_key",
                "`valid` names neither `from` nor `until`",
            ));
        }
        let find = |name: &Option<String>, setting| {
            let wanted = "an instant in microseconds or a date";
            let column = name
                .as_ref()
                .map(|name| typed(schema, name, setting, wanted, is_instant));
            column.transpose()
        };
        let (from, until) = (find(&spec.from, "from")?, find(&spec.until, "until")?);
        Ok(Self {
            row: Compact::whole(schema)?,
            from,
            until,
            now: i64::MIN,
            starts: Pages::default(),
            ends: Pages::default(),
            dirty: Dirty::default(),
        })
    }

    /// Moves the clock: what begins and what ends.
    fn advance(&mut self, now: i64) -> Delta {
        self.now = self.now.max(now);
        let (mut rows, mut weights): (Vec<&[u8]>, Vec<i64>) = (Vec::new(), Vec::new());
        let (begun, mut ends) = (due(&mut self.starts, self.now), Entries::default());
        for (key, value) in begun.iter() {
            self.dirty.touch_parts([&[STARTS], key]);
            let (end, row) = place_of(key);
            if end > self.now {
                if end < i64::MAX {
                    let key = place(end, end, row);
                    self.dirty.touch_parts([&[ENDS], &key]);
                    ends.push([&key], weight(value));
                }
                rows.push(row);
                weights.push(weight(value));
            }
        }
        self.ends.add_all(&ends);
        let over = due(&mut self.ends, self.now);
        for (key, value) in over.iter() {
            self.dirty.touch_parts([&[ENDS], key]);
            rows.push(place_of(key).1);
            weights.push(-weight(value));
        }
        Delta::new(self.row.decode(&rows), weights)
    }
}

/// Takes out everything up to this instant.
fn due(calendar: &mut Pages, now: i64) -> Pages {
    calendar.seal();
    match now.checked_add(1) {
        None => std::mem::take(calendar),
        Some(after) => calendar.take_before(&ordered(after)),
    }
}

/// An instant as bytes that compare as instants do.
fn ordered(instant: i64) -> [u8; 8] {
    (instant ^ i64::MIN).to_be_bytes()
}

/// A row's key in a calendar.
fn place(instant: i64, end: i64, row: &[u8]) -> Vec<u8> {
    [&ordered(instant), &ordered(end), row].concat()
}

/// The end and the row of such a key.
fn place_of(key: &[u8]) -> (i64, &[u8]) {
    let (_, rest) = key.split_at(8);
    let (end, row) = rest.split_first_chunk().expect("it was put together here");
    (i64::from_be_bytes(*end) ^ i64::MIN, row)
}

fn entry(tag: u8, key: &[u8]) -> Vec<u8> {
    Writer::tagged(tag).raw(key).done()
}

fn is_instant(found: &DataType) -> bool {
    use arrow::datatypes::TimeUnit::Microsecond;
    matches!(
        found,
        DataType::Date32 | DataType::Timestamp(Microsecond, _)
    )
}

/// The instants of a column; `default` where there is none.
fn instants(batch: &RecordBatch, column: Option<usize>, default: i64) -> Vec<i64> {
    let Some(column) = column.map(|index| batch.column(index)) else {
        return vec![default; batch.num_rows()];
    };
    let instant = |row| match column.data_type() {
        _ if column.is_null(row) => default,
        DataType::Date32 => i64::from(column.as_primitive::<Date32Type>().value(row)) * US_PER_DAY,
        _ => column.as_primitive::<TimestampMicrosecondType>().value(row),
    };
    (0..batch.num_rows()).map(instant).collect()
}

impl Operator for Valid {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.row.schema())
    }

    fn step(&mut self, inputs: &[Parts], as_of_us: i64) -> Step {
        let moved = self.advance(as_of_us);
        let Delta { batch, weights } = &inputs[0].whole();
        let (from, until) = (
            instants(batch, self.from, i64::MIN),
            instants(batch, self.until, i64::MAX),
        );
        let is_open = |row: usize| until[row] == i64::MAX && from[row] <= self.now;
        let bytes = (!(0..batch.num_rows()).all(is_open)).then(|| self.row.encode(batch));
        let mut shown = Vec::with_capacity(batch.num_rows());
        let (mut starts, mut ends) = (Entries::default(), Entries::default());
        for row in 0..batch.num_rows() {
            let (start, end) = (from[row], until[row]);
            shown.push(start <= self.now && self.now < end);
            if is_open(row) || end <= self.now || end <= start {
                continue;
            }
            let bytes = bytes.as_ref().expect("not all are open").row(row);
            let (tag, calendar, instant) = if start > self.now {
                (STARTS, &mut starts, start)
            } else {
                (ENDS, &mut ends, end)
            };
            let key = place(instant, end, bytes);
            calendar.push([&key], weights[row]);
            self.dirty.touch_parts([&[tag], &key]);
        }
        self.starts.add_all(&starts);
        self.ends.add_all(&ends);
        let kept = (0..shown.len())
            .filter(|row| shown[*row])
            .map(|row| weights[row])
            .collect();
        let mask = BooleanArray::from(shown);
        let direct = Delta::new(
            filter_record_batch(batch, &mask).expect("one flag a row"),
            kept,
        );
        Step {
            delta: Parts::new(self.schema(), [moved, direct]),
            refusals: Vec::new(),
        }
    }

    fn state_rows(&self) -> usize {
        self.starts.len() + self.ends.len()
    }

    fn save(&mut self, put: &mut Put<'_>) {
        let Some(keys) = self.dirty.take() else {
            for (tag, calendar) in [(STARTS, &self.starts), (ENDS, &self.ends)] {
                for (key, value) in calendar.iter() {
                    put(&entry(tag, key), Some(value));
                }
            }
            return;
        };
        keys.iter().for_each(|key| {
            let calendar = if key[0] == STARTS {
                &self.starts
            } else {
                &self.ends
            };
            put(key, calendar.get(&key[1..]));
        });
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        self.dirty.settle();
        let mut key = Reader::new(key);
        let calendar = match key.tag()? {
            STARTS => &mut self.starts,
            ENDS => &mut self.ends,
            _ => return Err(Unreadable),
        };
        let key = key.rest();
        if key.len() < 16 {
            return Err(Unreadable);
        }
        calendar.push(key, value);
        Ok(())
    }
}
