//! Rows exist while `from <= clock < until`.
//!
//! Rows in force without an end and rows that are over are not kept: time never falls, and the
//! operator is linear. What is kept follows from the input's integral and the clock.

use super::columns::{Encoder, chained, inputs, typed};
use super::keyed::Bytes;
use super::saved::{Dirty, Put, Reader, Unreadable, Writer};
use super::{Operator, Step, ValidSpec};
use crate::{Delta, OpError};
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Date32Type, SchemaRef, TimestampMicrosecondType};
use std::collections::BTreeMap;
use std::sync::Arc;

const US_PER_DAY: i64 = 86_400_000_000;

/// Rows by the instant at which something happens to them; for those to come also their end.
type Calendar = BTreeMap<(i64, Bytes), (i64, i64)>;

pub(super) struct Valid {
    encoder: Encoder,
    from: Option<usize>,
    until: Option<usize>,
    now: i64,
    /// Rows to come: their end, their weight.
    starts: Calendar,
    /// Rows in force that will end.
    ends: Calendar,
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
        let encoder = Encoder::whole(schema)?;
        let (starts, ends) = (Calendar::new(), Calendar::new());
        Ok(Self {
            encoder,
            from,
            until,
            now: i64::MIN,
            starts,
            ends,
            dirty: Dirty::default(),
        })
    }

    /// Moves the clock: what begins and what ends.
    fn advance(&mut self, now: i64) -> (Vec<Bytes>, Vec<i64>) {
        self.now = self.now.max(now);
        let (mut rows, mut weights) = (Vec::new(), Vec::new());
        for ((start, row), (end, weight)) in due(&mut self.starts, self.now) {
            self.dirty.touch_with(|| entry(STARTS, start, &row));
            if end > self.now {
                if end < i64::MAX {
                    self.dirty.touch_with(|| entry(ENDS, end, &row));
                    add(&mut self.ends, end, &row, end, weight);
                }
                rows.push(row);
                weights.push(weight);
            }
        }
        for ((end, row), (_, weight)) in due(&mut self.ends, self.now) {
            self.dirty.touch_with(|| entry(ENDS, end, &row));
            rows.push(row);
            weights.push(-weight);
        }
        (rows, weights)
    }
}

/// Takes out everything up to this instant.
fn due(calendar: &mut Calendar, now: i64) -> Calendar {
    let Some(after) = now.checked_add(1) else {
        return std::mem::take(calendar);
    };
    let later = calendar.split_off(&(after, Bytes::default()));
    std::mem::replace(calendar, later)
}

fn add(calendar: &mut Calendar, instant: i64, row: &Bytes, end: i64, weight: i64) {
    let entry = calendar
        .entry((instant, Bytes::clone(row)))
        .or_insert((end, 0));
    entry.1 += weight;
    if entry.1 == 0 {
        calendar.remove(&(instant, Bytes::clone(row)));
    }
}

fn entry(tag: u8, instant: i64, row: &[u8]) -> Vec<u8> {
    Writer::tagged(tag).i64(instant).raw(row).done()
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
        Arc::clone(self.encoder.codec.schema())
    }

    fn step(&mut self, inputs: &[Delta], as_of_us: i64) -> Step {
        let (rows, weights) = self.advance(as_of_us);
        let moved = Delta::new(
            self.encoder.codec.decode(rows.iter().map(AsRef::as_ref)),
            weights,
        );
        let Delta { batch, weights } = &inputs[0];
        let (from, until) = (
            instants(batch, self.from, i64::MIN),
            instants(batch, self.until, i64::MAX),
        );
        let is_open = |row: usize| until[row] == i64::MAX && from[row] <= self.now;
        let bytes = (!(0..batch.num_rows()).all(is_open)).then(|| self.encoder.encode(batch));
        let mut shown = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let (start, end) = (from[row], until[row]);
            shown.push(start <= self.now && self.now < end);
            if is_open(row) || end <= self.now || end <= start {
                continue;
            }
            let bytes: Bytes = bytes
                .as_ref()
                .expect("not all are open")
                .row(row)
                .data()
                .into();
            if start > self.now {
                self.dirty.touch_with(|| entry(STARTS, start, &bytes));
                add(&mut self.starts, start, &bytes, end, weights[row]);
            } else {
                self.dirty.touch_with(|| entry(ENDS, end, &bytes));
                add(&mut self.ends, end, &bytes, end, weights[row]);
            }
        }
        let kept = (0..shown.len())
            .filter(|row| shown[*row])
            .map(|row| weights[row])
            .collect();
        let mask = BooleanArray::from(shown);
        let direct = Delta::new(
            filter_record_batch(batch, &mask).expect("one flag a row"),
            kept,
        );
        let parts: Vec<Delta> = [moved, direct]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        Step {
            delta: chained(self.encoder.codec.schema(), &parts),
            refusals: Vec::new(),
        }
    }

    fn state_rows(&self) -> usize {
        self.starts.len() + self.ends.len()
    }

    fn save(&mut self, put: &mut Put<'_>) {
        let value = |(end, weight): &(i64, i64)| Writer::default().i64(*end).i64(*weight).done();
        let Some(keys) = self.dirty.take() else {
            for (tag, calendar) in [(STARTS, &self.starts), (ENDS, &self.ends)] {
                for ((instant, row), found) in calendar {
                    put(&entry(tag, *instant, row), Some(&value(found)));
                }
            }
            return;
        };
        keys.iter().for_each(|key| {
            let mut rest = Reader::new(&key[1..]);
            let instant = rest.i64().expect("it was put together by `entry`");
            let calendar = if key[0] == STARTS {
                &self.starts
            } else {
                &self.ends
            };
            let found = calendar.get(&(instant, rest.rest().into()));
            put(key, found.map(value).as_deref());
        });
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        self.dirty.settle();
        let (mut key, mut value) = (Reader::new(key), Reader::new(value));
        let calendar = match key.tag()? {
            STARTS => &mut self.starts,
            ENDS => &mut self.ends,
            _ => return Err(Unreadable),
        };
        let instant = key.i64()?;
        calendar.insert((instant, key.rest().into()), (value.i64()?, value.i64()?));
        value.end()
    }
}
