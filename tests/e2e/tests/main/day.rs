//! Recorded days: every row of every table at the stated instants, to the last digit; and the same however
//! the records come.

use crate::weir;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use weir_e2e::day::{Run, differences, instants, lines};

fn day(name: &str) -> PathBuf {
    weir::root().join("tests/days").join(name)
}

fn run() -> Run {
    Run::reference(weir::root(), weir::binary())
}

fn check(name: &str) {
    let outcomes = run().compare(&day(name)).expect("the day replays");
    let found = differences(&outcomes);
    let shown: Vec<&str> = found.iter().take(40).map(String::as_str).collect();
    assert!(
        found.is_empty(),
        "{} differences:\n{}",
        found.len(),
        shown.join("\n")
    );
}

/// Goal: the tables are what an independent program expects. Method: the whole binary over a recorded day.
#[test]
fn the_core_day_matches_to_the_last_digit() {
    check("sample-core");
}

/// The same for the day with every asset class.
#[test]
fn the_whole_day_matches_to_the_last_digit() {
    check("sample-day");
}

/// Parts of a millionth.
fn millionths(row: &Value, column: &str) -> i128 {
    let text = row[column].as_str().expect("an amount");
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{decimals:0<6}").parse().expect("digits")
}

/// Goal: a row of `lcr` is the sum of its `cells`, and `ladder` too. Method: added up, each cell being rounded.
#[test]
fn cells_sum_to_the_ratio_and_the_ladder() {
    let day = day("sample-day");
    for instant in instants(&day).expect("the day has expectations") {
        let out = tempfile::tempdir().expect("a temporary folder");
        let at = instant["at"].as_str().expect("an instant");
        run()
            .replay(&day, at, out.path(), &[])
            .expect("the day replays");
        check_sums(out.path(), at);
    }
}

/// Adds up the cells of dumped tables.
pub(crate) fn check_sums(out: &Path, at: &str) {
    let table = |name: &str| lines(&out.join(format!("{name}.jsonl"))).expect("a table");
    let text = |row: &Value, column: &str| row[column].as_str().unwrap_or_default().to_owned();
    let mut sums: BTreeMap<[String; 3], (i128, i128)> = BTreeMap::new();
    let mut ladder: BTreeMap<(String, String, String, i64), (i128, i128)> = BTreeMap::new();
    for cell in table("cells") {
        let (side, weighted) = (text(&cell, "side"), millionths(&cell, "weighted"));
        let level = match cell["line"].as_str().expect("a line") {
            "L1" | "L1CB" => "l1",
            "L2A" => "l2a",
            _ => "l2b",
        };
        let columns = match &*side {
            "OUT" => vec!["outflow".to_owned()],
            "IN" => vec!["inflow_uncapped".to_owned()],
            "HQLA" => vec![level.to_owned(), format!("adj_{level}")],
            _ => vec![format!("adj_{level}")],
        };
        let (entity, regime) = (text(&cell, "entity"), text(&cell, "regime"));
        for column in columns {
            let sum = sums
                .entry([entity.clone(), regime.clone(), column])
                .or_default();
            *sum = (sum.0 + weighted, sum.1 + 1);
        }
        let day = cell["day"].as_i64().expect("a day");
        let sum = ladder.entry((entity, regime, side, day)).or_default();
        *sum = (sum.0 + weighted, sum.1 + 1);
    }
    // Cells are those of all currencies together.
    for row in table("lcr").iter().filter(|row| row["scope"] == "total") {
        for column in [
            "l1",
            "l2a",
            "l2b",
            "adj_l1",
            "adj_l2a",
            "adj_l2b",
            "outflow",
            "inflow_uncapped",
        ] {
            let key = [text(row, "entity"), text(row, "regime"), column.to_owned()];
            let (sum, cells) = sums.get(&key).copied().unwrap_or_default();
            assert!(
                (sum - millionths(row, column)).abs() <= cells,
                "{at}: {key:?}"
            );
        }
    }
    let rows = table("ladder");
    assert_eq!(rows.len(), ladder.len());
    for row in rows {
        let day = row["day"].as_i64().expect("a day");
        let key = (
            text(&row, "entity"),
            text(&row, "regime"),
            text(&row, "side"),
            day,
        );
        let (sum, cells) = ladder[&key];
        assert!(
            (sum - millionths(&row, "weighted")).abs() <= cells,
            "{at}: {key:?}"
        );
    }
}

/// Goal: what is published depends on offsets and clock alone. Method: other workers, batches and
/// interleavings; equal dumps, byte by byte.
#[test]
fn dumps_do_not_depend_on_workers_batches_or_interleaving() {
    let variants: &[&[&str]] = &[
        &["--workers", "3"],
        &["--workers", "1", "--epoch-rows-max", "1"],
        &["--workers", "3", "--epoch-rows-max", "100"],
        &[
            "--workers",
            "1",
            "--epoch-rows-max",
            "65536",
            "--interleave",
            "7",
        ],
        &[
            "--workers",
            "3",
            "--epoch-rows-max",
            "100",
            "--interleave",
            "8",
        ],
    ];
    let day = day("sample-core");
    for instant in instants(&day).expect("the day has expectations") {
        let at = instant["at"].as_str().expect("an instant");
        let plain = tempfile::tempdir().expect("a temporary folder");
        let replay = |out: &Path, more: &[&str]| {
            run().replay(&day, at, out, more).expect("the day replays");
        };
        replay(plain.path(), &["--workers", "1"]);
        for variant in variants {
            let out = tempfile::tempdir().expect("a temporary folder");
            replay(out.path(), variant);
            for entry in std::fs::read_dir(plain.path()).expect("the dump") {
                let name = entry.expect("an entry").file_name();
                let read = |folder: &Path| {
                    std::fs::read_to_string(folder.join(&name)).expect("a dumped table")
                };
                assert!(
                    read(plain.path()) == read(out.path()),
                    "{at}: {name:?} differs with {variant:?}"
                );
            }
        }
    }
}
