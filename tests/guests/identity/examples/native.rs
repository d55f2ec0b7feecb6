//! The guest natively: `native CONFIG ROWS.jsonl BATCH_ROWS` prints nanoseconds per row.

use identity::Identity;
use weir_sdk::{Data, harness};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, rows, batch_rows] = &arguments[..] else {
        panic!("native CONFIG ROWS.jsonl BATCH_ROWS")
    };
    let rows = std::fs::read_to_string(rows).expect("the rows can be read");
    let batch_rows = batch_rows.parse().expect("a number of rows");
    let time = harness::ns_per_row::<Identity>(config, &Data::default(), &rows, batch_rows);
    println!("{}", time.expect("the config fits"));
}
