//! The normaliser run natively, to compare the engine's border with: `native CONFIG ROWS.jsonl BATCH_ROWS` prints
//! nanoseconds a row.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use normalize_fx::NormalizeFx;
use weir_sdk::{Data, harness};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, rows, batch_rows] = &arguments[..] else {
        return Err("native CONFIG ROWS.jsonl BATCH_ROWS".into());
    };
    let rows = std::fs::read_to_string(rows)?;
    let per_row =
        harness::ns_per_row::<NormalizeFx>(config, &Data::default(), &rows, batch_rows.parse()?);
    println!("{:.1}", per_row.map_err(|failure| format!("{failure:?}"))?);
    Ok(())
}
