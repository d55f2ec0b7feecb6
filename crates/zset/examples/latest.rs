//! How many rows a second `latest`, a `join` and `aggregate` take in a row: 2,000,000 rows of 500,000 keys.
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
use weir_zset::op::{AggFn, AggregateSpec, JoinKind, JoinSpec, LatestSpec, OpSpec, Operator};
use weir_zset::{Delta, Parts, meta};

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
    let instruments = instruments();
    let mut latest = latest()
        .build(&[batches[0].schema()])
        .expect("a right spec");
    let sides = [latest.schema(), instruments.schema()];
    let mut join = join().build(&sides).expect("a right spec");
    let mut positions = positions().build(&[join.schema()]).expect("a right spec");

    let no_news = Parts::empty(instruments.schema());
    join.step(
        &[
            Parts::empty(latest.schema()),
            Delta::inserts(instruments).into(),
        ],
        0,
    );
    let mut times = [Duration::ZERO; 3];
    for batch in batches {
        let begun = Instant::now();
        let trades = one(latest.as_mut(), &[Delta::inserts(batch).into()]);
        let second = Instant::now();
        let joined = one(join.as_mut(), &[trades, no_news.clone()]);
        let third = Instant::now();
        one(positions.as_mut(), &[joined]);
        times[0] += second - begun;
        times[1] += third - second;
        times[2] += third.elapsed();
    }
    report("latest", rows, times[0], latest.as_ref());
    report("join", rows, times[1], join.as_ref());
    report("aggregate", rows, times[2], positions.as_ref());
    report("all", rows, times.iter().sum(), positions.as_ref());
}

fn one(operator: &mut dyn Operator, inputs: &[Parts]) -> Parts {
    operator.step(inputs, 0).delta
}

fn report(name: &str, rows: usize, time: Duration, operator: &dyn Operator) {
    let rate = rows as u128 * 1_000_000 / time.as_micros().max(1);
    println!(
        "{name}: {rate} rows/s, {} ms, {} kept",
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

fn join() -> OpSpec {
    let pair = |name: &str| (name.to_owned(), name.to_owned());
    OpSpec::Join(JoinSpec {
        on: vec![pair("instrument_id")],
        kind: JoinKind::Left,
        columns: vec![pair("class"), pair("price")],
        at_most_one: true,
    })
}

fn instruments() -> RecordBatch {
    let ids = (0..2_000).map(|n| format!("US{n:09}"));
    let classes = (0..2_000).map(|n| format!("CLASS{}", n % 5));
    let prices = Decimal128Array::from_iter_values((0..2_000).map(|n| n * 1_000_000_000_000));
    let prices = prices
        .with_precision_and_scale(38, 12)
        .expect("a right scale");
    let columns: [(&str, ArrayRef); 3] = [
        (
            "instrument_id",
            Arc::new(StringArray::from_iter_values(ids)),
        ),
        ("class", Arc::new(StringArray::from_iter_values(classes))),
        ("price", Arc::new(prices)),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
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
        ("desk", text(&|n| format!("CP{:04}", key(n) % 1_000))),
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
