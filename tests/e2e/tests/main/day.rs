//! Recorded days: every row of every table at the stated instants, to the last digit; and the same however
//! the records come.

use crate::weir;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The tables of `expected.json` with their keys.
const KEYS: &[(&str, &[&str])] = &[
    ("positions", &["entity", "book", "instrument_id"]),
    ("lcr", &["entity", "scope", "regime"]),
    ("hqla", &["entity", "regime", "level"]),
    ("cash", &["entity", "currency"]),
    ("adjustments", &["adjustment_id"]),
];
/// The regimes that the reference pipeline has rules for.
const REGIMES: &[&str] = &["basel"];

/// Rows by key; a cell as text, so that `1.50` and `1.5` are the same amount.
type Rows = BTreeMap<Vec<String>, BTreeMap<String, String>>;

fn day(name: &str) -> PathBuf {
    weir::root().join("tests/days").join(name)
}

fn instants(day: &Path) -> Vec<Value> {
    let text =
        std::fs::read_to_string(day.join("expected.json")).expect("the day has expectations");
    let expected: Value = serde_json::from_str(&text).expect("expected.json is JSON");
    expected["instants"].as_array().expect("instants").clone()
}

fn replay(day: &Path, at: &str, out: &Path, more: &[&str]) {
    let mut args = vec![
        "--replay",
        day.to_str().expect("UTF-8"),
        "--until",
        at,
        "--until-end",
    ];
    args.extend([
        "--dump",
        out.to_str().expect("UTF-8"),
        "--listen",
        "127.0.0.1:0",
    ]);
    args.extend(more);
    weir::run_to_end("pipelines/treasury-liquidity.yaml", &args);
}

fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let is_number = text.contains('.')
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || c == '.' || c == '-');
    if is_number {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn keyed(rows: impl IntoIterator<Item = Value>, key: &[&str]) -> Rows {
    let mut keyed = Rows::new();
    for row in rows {
        let row: BTreeMap<String, String> = row
            .as_object()
            .expect("a row")
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect();
        if row
            .get("regime")
            .is_some_and(|regime| !REGIMES.contains(&regime.as_str()))
        {
            continue;
        }
        let key = key.iter().map(|column| row[*column].clone()).collect();
        assert!(keyed.insert(key, row).is_none(), "two rows of one key");
    }
    keyed
}

fn lines(path: &Path) -> Vec<Value> {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect()
}

/// The first differences between two tables, as text.
fn differences(table: &str, expected: &Rows, actual: &Rows) -> Vec<String> {
    let keys: BTreeSet<_> = expected.keys().chain(actual.keys()).collect();
    let mut found = Vec::new();
    for key in keys {
        match (expected.get(key), actual.get(key)) {
            (Some(_), None) => found.push(format!("{table} {key:?}: missing")),
            (None, Some(_)) => found.push(format!("{table} {key:?}: not expected")),
            (Some(expected), Some(actual)) => {
                let columns: BTreeSet<_> = expected.keys().chain(actual.keys()).collect();
                for column in columns
                    .into_iter()
                    .filter(|column| expected.get(*column) != actual.get(*column))
                {
                    let (expected, actual) = (expected.get(column), actual.get(column));
                    found.push(format!(
                        "{table} {key:?} {column}: expected {expected:?}, is {actual:?}"
                    ));
                }
            }
            (None, None) => {}
        }
    }
    found
}

fn refused(rows: &[Value]) -> BTreeMap<(String, i64, i64), BTreeSet<String>> {
    let mut refused: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        let number = |name: &str| row[name].as_i64().expect("a number");
        let place = (
            row["topic"].as_str().expect("a topic").to_owned(),
            number("partition"),
            number("offset"),
        );
        refused
            .entry(place)
            .or_default()
            .extend(row["code"].as_str().map(str::to_owned));
    }
    refused
}

fn refusal_differences(expected: &[Value], actual: &[Value]) -> Vec<String> {
    let (expected, actual) = (refused(expected), refused(actual));
    let mut found = Vec::new();
    for (place, codes) in &expected {
        match actual.get(place) {
            None => found.push(format!("refused {place:?} {codes:?}: was taken")),
            Some(actual) if !codes.is_subset(actual) => {
                found.push(format!(
                    "refused {place:?}: expected {codes:?}, is {actual:?}"
                ));
            }
            Some(_) => {}
        }
    }
    let more = actual
        .iter()
        .filter(|(place, _)| !expected.contains_key(*place));
    found.extend(
        more.map(|(place, codes)| format!("refused {place:?} {codes:?}: should have been taken")),
    );
    found
}

/// Goal: the tables are what an independent program expects. Method: the whole binary over a recorded day.
#[test]
fn the_core_day_matches_to_the_last_digit() {
    let day = day("sample-core");
    let mut found = Vec::new();
    for instant in instants(&day) {
        let at = instant["at"].as_str().expect("an instant");
        let out = tempfile::tempdir().expect("a temporary folder");
        replay(&day, at, out.path(), &[]);
        for (table, key) in KEYS {
            let expected = keyed(
                instant["tables"][table].as_array().expect("rows").clone(),
                key,
            );
            let actual = keyed(lines(&out.path().join(format!("{table}.jsonl"))), key);
            assert!(!expected.is_empty(), "{table} has expectations");
            found.extend(
                differences(table, &expected, &actual)
                    .into_iter()
                    .map(|text| format!("{at}: {text}")),
            );
        }
        let actual = lines(&out.path().join("dead_letters.jsonl"));
        let expected = instant["refused"].as_array().expect("refused");
        found.extend(
            refusal_differences(expected, &actual)
                .into_iter()
                .map(|text| format!("{at}: {text}")),
        );
    }
    let shown = found
        .iter()
        .take(40)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    assert!(found.is_empty(), "{} differences:\n{shown}", found.len());
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
    for instant in instants(&day) {
        let at = instant["at"].as_str().expect("an instant");
        let plain = tempfile::tempdir().expect("a temporary folder");
        replay(&day, at, plain.path(), &["--workers", "1"]);
        for variant in variants {
            let out = tempfile::tempdir().expect("a temporary folder");
            replay(&day, at, out.path(), variant);
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
