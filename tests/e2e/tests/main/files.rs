//! A sink of Parquet files, without any service: what its files say is the table, whatever happened on the way.
#![expect(
    clippy::disallowed_methods,
    reason = "a process is killed after a while, and nothing else waits meanwhile"
)]

use crate::random::Random;
use crate::served::Served;
use crate::weir;
use arrow::array::{Array, RecordBatch};
use arrow::util::display::array_value_to_string;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

const RECORDS: u64 = 20_000;
const IDS: u64 = 400;
const KILLS: u64 = 8;
/// Longest wait for a process to write something; there is nothing when the day is over.
const START: Duration = Duration::from_secs(20);
const REGIONS: [&str; 3] = ["EU", "US/NY 1%", ""];
const COLUMNS: [&str; 6] = ["id", "region", "n", "amount", "day", "note"];
const SCHEMA: &str = r#"{"type": "object", "required": ["id", "v"], "properties": {
    "id": {"type": "string"}, "v": {"type": "integer"}, "region": {"type": "string"}, "amount": {"type": "string"},
    "day": {"type": "string"}, "note": {"type": "string"}, "gone": {"type": "boolean"}}}"#;

/// A pipeline of one table, and a recorded day for it.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    /// With this under `sinks`.
    fn new(sinks: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = format!(
            "weir: 1\nname: files\nengine: {{ clock: event, cycle_min_ms: 5, checkpoint: {{ every_s: 1, to: state }} }}\n\
             clusters: {{ none: {{ bootstrap.servers: 127.0.0.1:1 }} }}\n\
             sources:\n  raw: {{ kafka: {{ cluster: none, topic: raw }}, decode: {{ json: {{ schema: raw.json }} }} }}\n\
             stages:\n  newest: {{ from: raw, latest: {{ key: [id], version: v }} }}\n  \
               there: {{ from: newest, where: gone is not true }}\n  \
               rows: {{ from: there, select: {{ id: id, region: region, n: v, amount: 'cast(amount as decimal(38, 6))', \
                 day: cast(day as date), note: note }} }}\n\
             tables:\n  rows: {{ from: rows, key: [id, region] }}\n\
             sinks:\n{sinks}"
        );
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("a temporary file");
        };
        write("pipeline.yaml", &text);
        write("raw.json", SCHEMA);
        let mut day = String::new();
        for offset in 0..RECORDS {
            let any = |salt, below| Random(offset * 8 + salt).below(below);
            let id = any(0, IDS);
            // Rows move from one partition to another, and some have none.
            let region = match any(1, 12) {
                0 => Value::Null,
                1 => json!(REGIONS[usize::try_from(any(2, 3)).expect("few")]),
                _ => json!(REGIONS[usize::try_from(id % 3).expect("few")]),
            };
            let note = [20, 21, 22, 23].map(|salt| any(salt, u64::MAX).to_string());
            let value = json!({
                "id": format!("id {id}"), "v": offset, "region": region, "gone": any(3, 9) == 0,
                "amount": format!("{}.{:02}", any(4, 1 << 40), any(5, 100)),
                "day": format!("2026-03-{:02}", 1 + any(6, 28)), "note": note.concat(),
            });
            let record = json!({
                "partition": 0, "offset": offset, "timestamp_ms": 1_772_409_600_000 + offset, "key": format!("id {id}"),
                "value": value,
            });
            writeln!(day, "{record}").expect("memory takes any write");
        }
        fs::create_dir(folder.path().join("day")).expect("a temporary folder");
        write("day/raw.jsonl", &day);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The run of the day with its sinks, before what is particular.
    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(weir::binary());
        command.current_dir(weir::root()).arg("run");
        command.arg(self.path("pipeline.yaml"));
        command.arg("--replay").arg(self.path("day"));
        command.arg("--state").arg(self.path("state"));
        command.args(["--sinks", "--listen", "127.0.0.1:0"]);
        command.args(more).stderr(Stdio::piped());
        command
    }

    /// Runs the rest of the day to its end; answers the table.
    fn end(&self, more: &[&str]) -> BTreeMap<Key, String> {
        let out = self.path("out");
        let mut command = self.command(&["--until-end", "--dump"]);
        let output = command.arg(&out).args(more).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let text = fs::read_to_string(out.join("rows.jsonl")).expect("the table");
        let rows = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        rows.map(|row: Value| row_of(&row)).collect()
    }
}

/// Id and region.
type Key = (String, Option<String>);

/// A row of the table by its key, as text.
fn row_of(row: &Value) -> (Key, String) {
    let text = |name: &str| match &row[name] {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let key = (text("id").expect("an id"), text("region"));
    (key, format!("{:?}", COLUMNS.map(text)))
}

/// A change as a file has it, in the order of the files.
struct Change {
    key: Key,
    /// None: the key is gone.
    row: Option<String>,
}

/// The files below a folder, by name.
fn found(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(found(&path));
        } else {
            let name = entry.file_name().into_string().expect("UTF-8");
            assert!(all.insert(name, path).is_none(), "numbers are given once");
        }
    }
    all
}

/// Every change in every file, each of which must be whole.
fn changes(folder: &Path) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, path) in found(folder) {
        if !name.ends_with(".parquet") || name.starts_with('.') {
            continue;
        }
        let file = File::open(&path).expect("a file");
        let reader = ParquetRecordBatchReader::try_new(file, 1_000);
        let reader = reader.unwrap_or_else(|error| panic!("{} is whole: {error}", path.display()));
        for batch in reader {
            let batch =
                batch.unwrap_or_else(|error| panic!("{} is whole: {error}", path.display()));
            for row in 0..batch.num_rows() {
                let number = cell(&batch, "_file", row).expect("its number");
                assert_eq!(format!("{number:0>10}.parquet"), name);
                changes.push(change(&path, &batch, row));
            }
        }
    }
    changes
}

fn change(path: &Path, batch: &RecordBatch, row: usize) -> Change {
    let folder = path.parent().and_then(Path::file_name).expect("a folder");
    let folder = folder.to_str().expect("UTF-8");
    let region = match folder.strip_prefix("region=") {
        Some("__HIVE_DEFAULT_PARTITION__") => None,
        Some(escaped) => Some(unescaped(escaped)),
        None => cell(batch, "region", row),
    };
    let key = (cell(batch, "id", row).expect("an id"), region);
    let is_gone = cell(batch, "_deleted", row).expect("it is told") == "true";
    let text = |name: &str| match name {
        "region" => key.1.clone(),
        "amount" => cell(batch, name, row)
            .map(|text| text.trim_end_matches('0').trim_end_matches('.').to_owned()),
        _ => cell(batch, name, row),
    };
    let cells = COLUMNS.map(text);
    assert!(
        !is_gone || cells[2..].iter().all(Option::is_none),
        "{cells:?}"
    );
    Change {
        row: (!is_gone).then(|| format!("{cells:?}")),
        key,
    }
}

fn cell(batch: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(name).expect("a column");
    column
        .is_valid(row)
        .then(|| array_value_to_string(column, row).expect("a cell"))
}

fn unescaped(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).expect("two digits"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// The newest row of each key; nothing was written that was there already.
fn newest(changes: &[Change]) -> BTreeMap<Key, String> {
    let mut rows: BTreeMap<Key, String> = BTreeMap::new();
    for Change { key, row } in changes {
        let before = match row {
            Some(row) => rows.insert(key.clone(), row.clone()),
            None => rows.remove(key),
        };
        assert_ne!(before, *row, "{key:?} is written needlessly");
    }
    rows
}

const SINKS: &str = "  parts: { from: rows, parquet: { path: files/parts, every_s: 1, partition_by: region } }\n  \
                       plain: { from: rows, parquet: { path: files/plain, every_s: 1, max_mib: 1 } }\n";

/// Goal: kill it at any moment, and the files are whole, none is written twice, and at the end their newest rows are the
/// table; a start that has nothing to say writes nothing, with its state or without. Method: a day at its own pace,
/// kills, the files read at each by a reader of their own.
#[test]
fn files_are_the_table_after_kills() {
    let case = Case::new(SINKS);
    fs::create_dir(case.path("files")).expect("a temporary folder");
    let folders = ["files/parts", "files/plain"].map(|name| case.path(name));
    let mut killed_at_work = 0;
    for kill in 0..KILLS {
        let before = found(&folders[1]).len();
        let mut child = case.command(&["--speed", "1"]).spawn().expect("it starts");
        let stderr = child.stderr.take().expect("it is piped");
        let reading = std::thread::spawn(move || std::io::read_to_string(stderr));
        let has_more = || found(&folders[1]).len() > before.max(3);
        let until = Instant::now() + START;
        while !has_more() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        killed_at_work += u64::from(has_more());
        std::thread::sleep(Random(kill).millis(2_000));
        child.kill().expect("it can be killed");
        child.wait().expect("it was started");
        let said = reading.join().expect("no panic").expect("UTF-8");
        assert!(!said.contains("sink failed"), "{said}");
        for folder in &folders {
            newest(&changes(folder));
        }
    }
    assert!(killed_at_work > 2, "{killed_at_work} of {KILLS}");
    let table = case.end(&[]);
    assert!(table.len() > 300);
    let all = folders.each_ref().map(|folder| found(folder));
    for folder in &folders {
        assert_eq!(newest(&changes(folder)), table, "{}", folder.display());
    }
    for files in &all {
        let is_strange = |name: &&String| name.starts_with('.');
        assert_eq!(files.keys().find(is_strange), None, "no draft is left");
    }
    assert!(case.path("files/parts/region=US%2FNY%201%25").is_dir());
    assert_eq!(case.end(&[]), table);
    assert_eq!(case.end(&["--fresh"]), table);
    let again = folders.each_ref().map(|folder| found(folder));
    assert_eq!(again, all, "nothing was to be said");

    let last = all[1]
        .values()
        .rfind(|path| path.extension().is_some_and(|end| end == "parquet"));
    let file = File::open(last.expect("files")).expect("a file");
    let file = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is whole");
    let footer = file.metadata().file_metadata().key_value_metadata();
    let footer = footer.expect("it has one").iter();
    let footer: BTreeMap<&str, &str> = footer
        .filter_map(|entry| Some((entry.key.as_str(), entry.value.as_deref()?)))
        .collect();
    assert_eq!(
        (footer["weir.sink"], footer["weir.table"]),
        ("plain", "rows")
    );
    assert_eq!(
        footer["weir.offsets"],
        format!("{{\"raw\":{{\"0\":{RECORDS}}}}}")
    );
}

/// Goal: a full disk holds nobody up, is told, and leaves nothing half; when there is room all of it is written. Method: a
/// small file system of the process's own, filled up before it starts and emptied later.
#[tokio::test]
async fn a_full_disk_holds_nobody_up() {
    const ROOM_KIB: usize = 20;
    let case = Case::new("  out: { from: rows, parquet: { path: disk/out, every_s: 1 } }\n");
    let disk = case.path("disk");
    fs::create_dir(&disk).expect("a temporary folder");
    let command = weir::on_small_disk(&disk, ROOM_KIB);
    let (pipeline, out) = (case.path("pipeline.yaml"), case.path("out"));
    let dump = ["--sinks", "--dump", out.to_str().expect("UTF-8")];
    let weir = Served::started(command, &pipeline, "127.0.0.1:0", &case.path("day"), &dump);
    weir.ended().await;
    let is_told = |_, status: &Value| status["sinks"][0]["error"].is_string();
    let status = weir.until("/api/v1/status", is_told).await;
    let sink = &status["sinks"][0];
    let told = sink["error"].as_str().expect("just seen");
    assert!(
        told.contains("No space left") && told.contains("disk/out"),
        "{told}"
    );
    assert!(
        sink["to"]
            .as_str()
            .expect("the folder")
            .ends_with("disk/out"),
        "{sink}"
    );
    let (code, ready) = weir.get("/readyz").await;
    assert_eq!((code, &ready["sinks"][0]["error"]), (200, &json!(told)));

    let seen = PathBuf::from(format!("/proc/{}/root{}", weir.pid(), disk.display()));
    fs::remove_file(seen.join("ballast")).expect("the process's own file system");
    let is_written = |_, status: &Value| {
        let sink = &status["sinks"][0];
        sink["error"].is_null() && sink["waiting_ms"] == 0 && sink["pending"] == 0
    };
    weir.until("/api/v1/status", is_written).await;
    let text = fs::read_to_string(out.join("rows.jsonl")).expect("the table");
    let rows = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let table: BTreeMap<Key, String> = rows.map(|row: Value| row_of(&row)).collect();
    assert_eq!(newest(&changes(&seen.join("out"))), table);
    assert!(!found(&seen).keys().any(|name| name.starts_with('.')));
}
