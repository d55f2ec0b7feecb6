//! Recorded days compared with what an independent program expects of them, to the last digit.
//!
//! A day is a folder of `<topic>.jsonl` and `expected.json`, in the form of `tests/days`. The binary replays it to each
//! instant that the expectations name and dumps its tables; every row, every column and every refused record is
//! compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The tables of `expected.json` with their keys.
pub const KEYS: &[(&str, &[&str])] = &[
    ("positions", &["entity", "book", "instrument_id"]),
    ("lcr", &["entity", "scope", "regime"]),
    ("hqla", &["entity", "regime", "level"]),
    ("cash", &["entity", "currency"]),
    ("adjustments", &["adjustment_id"]),
];

/// Rows by key; a cell as text, so that `1.50` and `1.5` are the same amount.
type Rows = BTreeMap<Vec<String>, BTreeMap<String, String>>;

/// What runs: the binary, the repository it runs in, and the pipeline.
#[derive(Clone, Debug)]
pub struct Run {
    /// The binary.
    pub weir: PathBuf,
    /// Where it runs.
    pub root: PathBuf,
    /// The pipeline's file.
    pub pipeline: PathBuf,
}

/// What became of one instant.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The instant.
    pub at: String,
    /// Each table, and `refused`: its rows expected, and the differences.
    pub tables: Vec<(String, usize, Vec<String>)>,
}

impl Run {
    /// The reference pipeline of a repository.
    pub fn reference(root: PathBuf, weir: PathBuf) -> Self {
        let pipeline = root.join("pipelines/treasury-liquidity.yaml");
        Self {
            weir,
            root,
            pipeline,
        }
    }

    /// Replays a day until an instant and dumps the tables.
    pub fn replay(&self, day: &Path, at: &str, out: &Path, more: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.weir);
        command
            .current_dir(&self.root)
            .arg("run")
            .arg(&self.pipeline);
        command
            .arg("--replay")
            .arg(day)
            .args(["--until", at, "--until-end"]);
        command
            .arg("--dump")
            .arg(out)
            .args(["--listen", "127.0.0.1:0"])
            .args(more);
        let output = command.output().with_context(|| {
            format!(
                "cannot start {}; build it with `cargo build --workspace --bins`, or set WEIR_BIN",
                self.weir.display()
            )
        })?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "weir run until {at}: {}\n{told}",
            output.status
        );
        Ok(())
    }

    /// Compares every instant of a day.
    pub fn compare(&self, day: &Path) -> Result<Vec<Outcome>> {
        let outcome = |instant: &Value| {
            let at = instant["at"].as_str().context("an instant has `at`")?;
            let out = tempfile::tempdir()?;
            self.replay(day, at, out.path(), &[])?;
            let tables = compare(instant, out.path()).with_context(|| format!("at {at}"))?;
            Ok(Outcome {
                at: at.to_owned(),
                tables,
            })
        };
        instants(day)?.iter().map(outcome).collect()
    }
}

/// The instants that a day has expectations of.
pub fn instants(day: &Path) -> Result<Vec<Value>> {
    let path = day.join("expected.json");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let expected: Value =
        serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let instants = expected["instants"].as_array().cloned();
    instants.with_context(|| format!("{} has no `instants`", path.display()))
}

/// All differences of some outcomes, each with its instant.
pub fn differences(outcomes: &[Outcome]) -> Vec<String> {
    let each = |outcome: &Outcome| -> Vec<String> {
        let tables = outcome.tables.iter().flat_map(|(_, _, found)| found);
        tables
            .map(|text| format!("{}: {text}", outcome.at))
            .collect()
    };
    outcomes.iter().flat_map(each).collect()
}

/// A line an instant: each table with its rows, and its differences where there are some.
pub fn summary(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        text += &outcome.at;
        for (table, rows, found) in &outcome.tables {
            match found.len() {
                0 => write!(text, "  {table} {rows}"),
                count => write!(text, "  {table} {rows} ({count} differences)"),
            }
            .expect("a text takes everything");
        }
        text.push('\n');
    }
    text
}

fn compare(instant: &Value, out: &Path) -> Result<Vec<(String, usize, Vec<String>)>> {
    let mut tables = Vec::new();
    for (table, key) in KEYS {
        let rows = instant["tables"][table].as_array();
        let expected = keyed(rows.with_context(|| format!("no `{table}`"))?.clone(), key)?;
        let actual = keyed(lines(&out.join(format!("{table}.jsonl")))?, key)?;
        let found = table_differences(table, &expected, &actual);
        tables.push(((*table).to_owned(), expected.len(), found));
    }
    let expected = instant["refused"].as_array().context("no `refused`")?;
    let actual = lines(&out.join("dead_letters.jsonl"))?;
    let found = refusal_differences(expected, &actual)?;
    tables.push(("refused".to_owned(), expected.len(), found));
    Ok(tables)
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

fn keyed(rows: Vec<Value>, key: &[&str]) -> Result<Rows> {
    let mut keyed = Rows::new();
    for row in rows {
        let cells = row.as_object().context("a row is an object")?.iter();
        let row: BTreeMap<String, String> = cells
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect();
        let cell = |column: &&str| row.get(*column).cloned().unwrap_or_default();
        let key: Vec<String> = key.iter().map(cell).collect();
        ensure!(
            keyed.insert(key.clone(), row).is_none(),
            "two rows of the key {key:?}"
        );
    }
    Ok(keyed)
}

/// The rows of a dumped table.
pub fn lines(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let line = |line| serde_json::from_str(line).with_context(|| path.display().to_string());
    text.lines().map(line).collect()
}

/// The differences between two tables, as text.
fn table_differences(table: &str, expected: &Rows, actual: &Rows) -> Vec<String> {
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

/// Records by topic, partition and offset, each with the codes it was refused with.
type Refused = BTreeMap<(String, i64, i64), BTreeSet<String>>;

fn refused(rows: &[Value]) -> Result<Refused> {
    let mut refused = Refused::new();
    for row in rows {
        let number = |name: &str| row[name].as_i64().with_context(|| format!("no `{name}`"));
        let topic = row["topic"].as_str().context("no `topic`")?.to_owned();
        let place = (topic, number("partition")?, number("offset")?);
        let codes = refused.entry(place).or_default();
        codes.extend(row["code"].as_str().map(str::to_owned));
    }
    Ok(refused)
}

fn refusal_differences(expected: &[Value], actual: &[Value]) -> Result<Vec<String>> {
    let (expected, actual) = (refused(expected)?, refused(actual)?);
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
    Ok(found)
}
