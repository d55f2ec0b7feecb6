//! How many rows a second `latest` and then `aggregate` take: 2,000,000 rows of 500,000 keys.
//!
//! `cargo run --release -p weir-zset --example latest [rows] [keys] [rows per step]`

#![expect(clippy::print_stdout, reason = "the figures are what it is run for")]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures wall time, outside any runtime"
)]

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_zset::op::{AggFn, AggregateSpec, LatestSpec, OpSpec, Operator};
use weir_zset::{Delta, meta};

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse().expect("a number"));
    let rows: usize = arguments.next().unwrap_or(2_000_000);
    let keys: usize = arguments.next().unwrap_or(500_000);
    let step: usize = arguments.next().unwrap_or(65_536);

    let batches: Vec<RecordBatch> = (0..rows)
        .step_by(step)
        .map(|start| batch(start, step.min(rows - start), keys))
        .collect();
    let schemas = [batches[0].schema()];
    let mut latest = latest().build(&schemas).expect("a right spec");
    let mut positions = positions().build(&[latest.schema()]).expect("a right spec");

    let (mut first, mut second) = (Duration::ZERO, Duration::ZERO);
    for batch in batches {
        let begun = Instant::now();
        let delta = one(latest.as_mut(), Delta::inserts(batch));
        let between = Instant::now();
        one(positions.as_mut(), delta);
        first += between - begun;
        second += between.elapsed();
    }
    report("latest", rows, first, latest.as_ref());
    report("aggregate", rows, second, positions.as_ref());
    report("both", rows, first + second, positions.as_ref());
}

fn one(operator: &mut dyn Operator, delta: Delta) -> Delta {
    operator.step(&[delta], 0).delta
}

fn report(name: &str, rows: usize, time: Duration, operator: &dyn Operator) {
    let rate = rows as u128 * 1_000_000 / time.as_micros().max(1);
    println!(
        "{name}: {rate} rows/s, {} ms, {} keys kept",
        time.as_millis(),
        operator.state_rows()
    );
}

fn latest() -> OpSpec {
    OpSpec::Latest(LatestSpec {
        key: vec!["trade_id".to_owned()],
        version: "version".to_owned(),
        tombstone: None,
    })
}

fn positions() -> OpSpec {
    let by = ["entity", "book", "instrument_id"]
        .map(str::to_owned)
        .to_vec();
    let sum = |name: &str| (name.to_owned(), AggFn::Sum, Some(name.to_owned()));
    OpSpec::Aggregate(AggregateSpec {
        by,
        values: vec![sum("quantity"), sum("amount")],
    })
}

/// Rows as a normaliser writes them: an eighth of a key's rows are old versions, all of it from a counter.
fn batch(start: usize, rows: usize, keys: usize) -> RecordBatch {
    let numbers = || start..start + rows;
    // A multiplier that shares no factor with the number of keys spreads them without chance.
    let key = |n: usize| n.wrapping_mul(2_654_435_761) % keys;
    let version = |n: usize| {
        if n.is_multiple_of(8) {
            0
        } else {
            i64::try_from(n / keys).expect("small") + 1
        }
    };
    let text = |of: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(numbers().map(of)))
    };
    let number = |of: &dyn Fn(usize) -> i128, scale: i8| -> ArrayRef {
        let values = Decimal128Array::from_iter_values(numbers().map(of));
        Arc::new(
            values
                .with_precision_and_scale(38, scale)
                .expect("a right scale"),
        )
    };
    let wide = |n: usize| i128::try_from(n).expect("small");
    let times = TimestampMicrosecondArray::from(vec![0; rows]).with_timezone("UTC");
    let columns: Vec<(&str, ArrayRef)> = vec![
        (meta::TOPIC, text(&|_| "trades.equities".to_owned())),
        (
            meta::PARTITION,
            Arc::new(Int32Array::from_iter_values(
                numbers().map(|n| i32::from(key(n) % 2 == 0)),
            )),
        ),
        (
            meta::OFFSET,
            Arc::new(Int64Array::from_iter_values(
                numbers().map(|n| i64::try_from(n).expect("small")),
            )),
        ),
        (meta::TIMESTAMP, Arc::new(times)),
        (meta::KEY, text(&|n| format!("T{:09}", key(n)))),
        ("trade_id", text(&|n| format!("T{:09}", key(n)))),
        (
            "version",
            Arc::new(Int64Array::from_iter_values(numbers().map(version))),
        ),
        ("action", text(&|_| "NEW".to_owned())),
        ("entity", text(&|n| format!("ENTITY{}", key(n) % 5))),
        ("book", text(&|n| format!("BOOK{:03}", key(n) % 200))),
        (
            "counterparty",
            text(&|n| format!("CP{:04}", key(n) % 1_000)),
        ),
        (
            "instrument_id",
            text(&|n| format!("US{:09}", key(n) % 2_000)),
        ),
        ("quantity", number(&|n| wide(n % 1_000) * 1_000_000_000, 9)),
        ("amount", number(&|n| wide(n % 100_000) * 1_234_567, 6)),
        (
            "currency",
            text(&|n| ["USD", "EUR", "GBP"][key(n) % 3].to_owned()),
        ),
        (
            "trade_date",
            Arc::new(Date32Array::from(vec![20_514; rows])),
        ),
        (
            "payment_date",
            Arc::new(Date32Array::from_iter_values(
                numbers().map(|n| 20_514 + i32::from(n.is_multiple_of(9))),
            )),
        ),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}
