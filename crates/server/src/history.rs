//! The line of a headline over the day: what its columns were, epoch by epoch, so that a page opened at
//! noon shows the morning.
//!
//! Kept in memory, bounded, for the UTC day of the pipeline's clock. A point is written when the value
//! changes; when a line is full its points merge into buckets twice as wide, each of which keeps the
//! lowest, highest and last value, so that a dip stays visible however long the day gets.

use arrow::array::{Array, ArrayRef, AsArray as _, Decimal256Array, RecordBatch};
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Int8Type, Int16Type, Int32Type, Int64Type, i256,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;
use weir_engine::{Handle, Published, ViewPlan};

use crate::wire;

/// Most points of one line; more than a screen has pixels across.
pub const POINTS_MAX: usize = 2_000;
/// Most lines of one view; the others are left out.
pub const LINES_MAX: usize = 64;

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

/// The lines of all views.
#[derive(Debug)]
pub struct History {
    views: Vec<Option<Lines>>,
    epoch: u64,
}

/// The lines of one view.
#[derive(Debug)]
struct Lines {
    table: String,
    /// The headline's column and the one beside it.
    columns: Vec<String>,
    by: Vec<String>,
    /// Per key, a line per column.
    by_key: BTreeMap<Vec<Option<String>>, Vec<Line>>,
}

/// What one column was under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    scale: i8,
    width_us: i64,
    points: Vec<Point>,
}

/// One stretch of time: a bucket of the line's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    at_us: i64,
    low: Option<i256>,
    high: Option<i256>,
    last: Option<i256>,
}

/// Samples every publication into `history`; ends never.
pub(crate) async fn record(handle: &Handle, history: &Mutex<History>) -> Infallible {
    let mut changed = handle.changed();
    loop {
        if let Some(cut) = handle.published() {
            history.lock().expect("no writer panics").observe(&cut);
        }
        if changed.changed().await.is_err() {
            // The engine is gone: what was recorded stays readable.
            std::future::pending::<()>().await;
        }
    }
}

impl History {
    /// Empty lines for those views that draw one.
    pub fn new(views: &[ViewPlan]) -> Self {
        Self {
            views: views.iter().map(Lines::new).collect(),
            epoch: 0,
        }
    }

    /// Takes a cut into the lines; one that was taken already changes nothing.
    pub fn observe(&mut self, cut: &Published) {
        if cut.epoch == self.epoch {
            return;
        }
        self.epoch = cut.epoch;
        for lines in self.views.iter_mut().flatten() {
            if let Some((_, version)) = cut.table(&lines.table) {
                lines.observe(&version.rows(0, LINES_MAX), cut.as_of_us);
            }
        }
    }

    /// The lines of view `index` as JSON, or nothing when it has none. Instants are milliseconds since
    /// 1970, points are `[at, low, high, last]`, values exact text or null.
    pub fn lines(&self, index: usize) -> Option<Value> {
        self.views.get(index)?.as_ref().map(Lines::json)
    }
}

impl Lines {
    fn new(view: &ViewPlan) -> Option<Self> {
        let ViewPlan::Headline {
            table,
            column,
            by,
            beside,
            line: true,
            ..
        } = view
        else {
            return None;
        };
        let columns = std::iter::once(column).chain(beside).cloned().collect();
        Some(Self {
            table: table.clone(),
            columns,
            by: by.clone(),
            by_key: BTreeMap::new(),
        })
    }

    fn observe(&mut self, rows: &RecordBatch, as_of_us: i64) {
        let keys: Option<Vec<&ArrayRef>> = self
            .by
            .iter()
            .map(|name| rows.column_by_name(name))
            .collect();
        let values: Option<Vec<&ArrayRef>> = self
            .columns
            .iter()
            .map(|name| rows.column_by_name(name))
            .collect();
        let (Some(keys), Some(values)) = (keys, values) else {
            return;
        };
        for row in 0..rows.num_rows() {
            let key: Vec<_> = keys.iter().map(|column| wire::plain(column, row)).collect();
            let lines = self
                .by_key
                .entry(key)
                .or_insert_with(|| values.iter().map(|v| Line::new(v)).collect());
            for (line, column) in lines.iter_mut().zip(&values) {
                line.push(as_of_us, amount(column, row));
            }
        }
    }

    fn json(&self) -> Value {
        let lines = self.by_key.iter().map(|(key, lines)| {
            let columns: Vec<Value> = lines.iter().map(Line::json).collect();
            json!({ "key": key, "columns": columns })
        });
        json!({ "by": self.by, "columns": self.columns, "lines": lines.collect::<Vec<_>>() })
    }
}

impl Line {
    fn new(column: &ArrayRef) -> Self {
        let scale = match column.data_type() {
            DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => *scale,
            _ => 0,
        };
        Self {
            scale,
            width_us: SECOND_US,
            points: vec![],
        }
    }

    fn push(&mut self, at_us: i64, value: Option<i256>) {
        self.start_day(at_us);
        let point = Point {
            at_us,
            low: value,
            high: value,
            last: value,
        };
        match self.points.last_mut() {
            Some(last) if last.last == value => {}
            Some(last) if bucket(last.at_us, self.width_us) == bucket(at_us, self.width_us) => {
                last.merge(point);
            }
            _ => self.points.push(point),
        }
        while self.points.len() > POINTS_MAX {
            self.widen();
        }
    }

    /// A new day begins with the value that the last one ended with.
    fn start_day(&mut self, at_us: i64) {
        let Some(last) = self.points.last().copied() else {
            return;
        };
        if bucket(last.at_us, DAY_US) < bucket(at_us, DAY_US) {
            let at_us = bucket(at_us, DAY_US) * DAY_US;
            self.width_us = SECOND_US;
            self.points = vec![Point {
                at_us,
                low: last.last,
                high: last.last,
                last: last.last,
            }];
        }
    }

    fn widen(&mut self) {
        self.width_us *= 2;
        let width = self.width_us;
        let mut merged: Vec<Point> = Vec::with_capacity(self.points.len());
        for point in self.points.drain(..) {
            match merged.last_mut() {
                Some(last) if bucket(last.at_us, width) == bucket(point.at_us, width) => {
                    last.merge(point);
                }
                _ => merged.push(point),
            }
        }
        self.points = merged;
    }

    fn json(&self) -> Value {
        let text = |pick: fn(&Point) -> Option<i256>| {
            let values: Decimal256Array = self.points.iter().map(pick).collect();
            let column = values
                .with_precision_and_scale(76, self.scale)
                .expect("76 digits take any scale of a column");
            let column: ArrayRef = std::sync::Arc::new(column);
            (0..column.len())
                .map(|row| wire::plain(&column, row))
                .collect::<Vec<_>>()
        };
        let (low, high, last) = (text(|p| p.low), text(|p| p.high), text(|p| p.last));
        let points = self.points.iter().enumerate();
        points
            .map(|(i, point)| json!([point.at_us / 1_000, low[i], high[i], last[i]]))
            .collect()
    }
}

impl Point {
    fn merge(&mut self, later: Point) {
        self.low = [self.low, later.low].into_iter().flatten().min();
        self.high = [self.high, later.high].into_iter().flatten().max();
        self.last = later.last;
    }
}

fn bucket(at_us: i64, width_us: i64) -> i64 {
    at_us.div_euclid(width_us)
}

/// The cell as a whole number at the column's scale; null for what is no exact number.
fn amount(column: &ArrayRef, row: usize) -> Option<i256> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Decimal128(..) => Some(i256::from_i128(
            column.as_primitive::<Decimal128Type>().value(row),
        )),
        DataType::Decimal256(..) => Some(column.as_primitive::<Decimal256Type>().value(row)),
        DataType::Int64 => Some(i256::from(column.as_primitive::<Int64Type>().value(row))),
        DataType::Int32 => Some(i256::from(column.as_primitive::<Int32Type>().value(row))),
        DataType::Int16 => Some(i256::from(column.as_primitive::<Int16Type>().value(row))),
        DataType::Int8 => Some(i256::from(column.as_primitive::<Int8Type>().value(row))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Fixture, NOON_US};
    use expect_test::expect;

    fn line() -> Line {
        Line {
            scale: 0,
            width_us: SECOND_US,
            points: vec![],
        }
    }

    /// Points stand where the value changes.
    #[test]
    fn a_value_that_stays_is_one_point() {
        let mut line = line();
        for (second, value) in [(0, 5), (1, 5), (2, 5), (3, 6), (4, 6), (5, 5)] {
            line.push(NOON_US + second * SECOND_US, Some(i256::from(value)));
        }
        let at: Vec<i64> = line
            .points
            .iter()
            .map(|point| (point.at_us - NOON_US) / SECOND_US)
            .collect();
        assert_eq!(at, [0, 3, 5]);
    }

    /// However long the day, a line has its bound, and a dip of one second is still in it.
    #[test]
    fn a_dip_survives_a_long_day() {
        let mut line = line();
        let midnight = bucket(NOON_US, DAY_US) * DAY_US;
        for second in 0..86_400 {
            let value = if second == 40_000 {
                3
            } else {
                100 + second % 2
            };
            line.push(midnight + second * SECOND_US, Some(i256::from(value)));
            assert!(line.points.len() <= POINTS_MAX);
        }
        let lowest = line.points.iter().filter_map(|point| point.low).min();
        assert_eq!(lowest, Some(i256::from(3)));
        assert!(line.points.len() > POINTS_MAX / 4, "{}", line.points.len());
    }

    /// A new day begins at midnight with what the old one ended with.
    #[test]
    fn a_day_begins_at_midnight() {
        let mut line = line();
        line.push(NOON_US, Some(i256::from(1)));
        line.push(NOON_US + DAY_US, Some(i256::from(2)));
        let points: Vec<_> = line
            .points
            .iter()
            .map(|point| (point.at_us - NOON_US, point.last))
            .collect();
        assert_eq!(
            points,
            [
                (DAY_US / 2, Some(i256::from(1))),
                (DAY_US, Some(i256::from(2)))
            ]
        );
    }

    /// The lines as the page gets them: exact text, and a cut seen twice counts once.
    #[test]
    fn lines_are_exact_text() {
        let mut fixture = Fixture::new();
        let mut history = History::new(fixture.app.handle.views());
        let first = fixture.publish(
            1,
            &[("a", Some(1_250), None, None), ("b", None, None, None)],
            &[],
        );
        history.observe(&first);
        history.observe(&first);
        expect![[r#"{"by":["item"],"columns":["amount"],"lines":[{"key":["a"],"columns":[[[1772452800000,"1.25","1.25","1.25"]]]},{"key":["b"],"columns":[[[1772452800000,null,null,null]]]}]}"#]]
            .assert_eq(&history.lines(0).unwrap().to_string());
        assert!(history.lines(1).is_none(), "a grid has no line");
    }
}
