//! What the plugin border costs.
//!
//! `border identity.wasm` prints rows a second through a plugin that answers its ten columns as they came, and that
//! writes them anew cell by cell. `border PLUGIN.wasm CONFIG ROWS.jsonl [NATIVE]` prints the time per row of any
//! transform on given rows (one JSON object a line); NATIVE is a program that is called with CONFIG, ROWS.jsonl and
//! the rows per batch, runs the same plugin natively, and prints nanoseconds per row: then the ratio is printed too.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{Field, SchemaRef, i256};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_host::Host;
use weir_stage::{Limits, Opening, Plugins, Transform};

/// Rows per call.
const BATCH_ROWS: usize = 1_024;
const MEASURE: Duration = Duration::from_secs(2);
/// In the engine and natively by turns: a machine that others use is slower for seconds at a time.
const ROUNDS: usize = 5;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [identity] => border(Path::new(identity)),
        [plugin, config, rows] => ratio(Path::new(plugin), config, rows, None),
        [plugin, config, rows, native] => ratio(Path::new(plugin), config, rows, Some(native)),
        _ => Err("border IDENTITY.wasm | border PLUGIN.wasm CONFIG ROWS.jsonl [NATIVE]".into()),
    }
}

fn border(identity: &Path) -> Outcome {
    let batch = ten_columns()?;
    for (config, name) in [
        (r#"{"by":"column"}"#, "columns as they came"),
        (r#"{"by":"cell"}"#, "cell by cell"),
    ] {
        let mut plugin = open(identity, config)?;
        let per_row = per_row(&mut *plugin, std::slice::from_ref(&batch))?;
        println!(
            "border, 10 columns, batch {BATCH_ROWS}, {name}: {:.1} M rows/s a core",
            1_000.0 / per_row
        );
    }
    Ok(())
}

fn ratio(plugin: &Path, config: &str, rows: &str, native: Option<&str>) -> Outcome {
    let host = Host::new(None)?;
    let schema = Arc::clone(&host.shape(plugin, config)?.inputs[0].schema);
    let batches = read(&std::fs::read_to_string(rows)?, &schema)?;
    let mut opened = open(plugin, config)?;
    let (mut in_wasm, mut natively) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        in_wasm = in_wasm.min(per_row(&mut *opened, &batches)?);
        if let Some(program) = native {
            let output = Command::new(program)
                .args([config, rows, &BATCH_ROWS.to_string()])
                .output()?;
            natively = natively.min(String::from_utf8(output.stdout)?.trim().parse()?);
        }
    }
    println!("{}: {in_wasm:.0} ns a row in the engine", plugin.display());
    if native.is_some() {
        println!(
            "{}: {natively:.0} ns a row natively, ratio {:.2}",
            plugin.display(),
            in_wasm / natively
        );
    }
    Ok(())
}

/// Batches of one JSON object a line: each value as text, cast to the column's type; a missing one is null.
fn read(text: &str, schema: &SchemaRef) -> Outcome<Vec<RecordBatch>> {
    let rows: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    let cell = |row: &Value, name: &str| match row.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let column = |rows: &[Value], field: &Field| {
        let texts: StringArray = rows.iter().map(|row| cell(row, field.name())).collect();
        cast(&texts, field.data_type())
    };
    let batch = |rows: &[Value]| -> Outcome<RecordBatch> {
        let columns: Result<Vec<ArrayRef>, _> = schema
            .fields()
            .iter()
            .map(|field| column(rows, field))
            .collect();
        Ok(RecordBatch::try_new(Arc::clone(schema), columns?)?)
    };
    rows?.chunks(BATCH_ROWS).map(batch).collect()
}

fn open(plugin: &Path, config: &str) -> Outcome<Box<dyn Transform>> {
    let opening = Opening {
        config: config.to_owned(),
        ..Opening::default()
    };
    Ok(Host::new(None)?.open_transform(plugin, &opening, &Limits::default())?)
}

/// Nanoseconds a row: of each batch the shortest of many calls, as other work on the machine only ever adds.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn per_row(plugin: &mut dyn Transform, batches: &[RecordBatch]) -> Outcome<f64> {
    let mut best = vec![Duration::MAX; batches.len()];
    let start = Instant::now();
    while start.elapsed() < MEASURE {
        for (batch, best) in batches.iter().zip(&mut best) {
            let call = Instant::now();
            plugin.transform(batch)?;
            *best = call.elapsed().min(*best);
        }
    }
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    Ok(best.iter().sum::<Duration>().as_secs_f64() * 1e9 / f64::from(u32::try_from(rows)?))
}

/// A batch of the columns of the guest `identity`.
fn ten_columns() -> Outcome<RecordBatch> {
    let rows = || 0..i32::try_from(BATCH_ROWS).expect("a small batch");
    let text = |word: &str| {
        Arc::new(
            rows()
                .map(|row| Some(format!("{word}{row}")))
                .collect::<StringArray>(),
        ) as ArrayRef
    };
    let quantity = rows()
        .map(|row| Some(i128::from(row) * 1_000_000_007))
        .collect::<Decimal128Array>();
    let amount = rows()
        .map(|row| Some(i256::from_i128(i128::from(row) << 70)))
        .collect::<Decimal256Array>();
    let at = rows()
        .map(|row| Some(i64::from(row)))
        .collect::<TimestampMicrosecondArray>()
        .with_timezone("UTC");
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("id", text("trade-2026-"), false),
        (
            "book",
            Arc::new(
                rows()
                    .map(|row| (row % 5 > 0).then_some("BOOK-7"))
                    .collect::<StringArray>(),
            ) as _,
            true,
        ),
        ("entity", text("E"), true),
        (
            "version",
            Arc::new(rows().map(i64::from).map(Some).collect::<Int64Array>()) as _,
            false,
        ),
        (
            "leg",
            Arc::new(rows().map(Some).collect::<Int32Array>()) as _,
            false,
        ),
        (
            "open",
            Arc::new(
                rows()
                    .map(|row| Some(row % 2 == 0))
                    .collect::<BooleanArray>(),
            ) as _,
            true,
        ),
        (
            "day",
            Arc::new(
                rows()
                    .map(|row| (row % 3 > 0).then_some(row))
                    .collect::<Date32Array>(),
            ) as _,
            true,
        ),
        ("at", Arc::new(at) as _, true),
        (
            "quantity",
            Arc::new(quantity.with_precision_and_scale(38, 9)?) as _,
            true,
        ),
        (
            "amount",
            Arc::new(amount.with_precision_and_scale(76, 18)?) as _,
            true,
        ),
    ])?)
}
