//! The binary on a real Kafka and a real schema registry.
//!
//! Needs `KAFKA_BOOTSTRAP`, `SCHEMA_REGISTRY_URL`, `KAFKA_PROCESS_GROUP` and `WEIR_FEED_BIN`; `cargo xtask test` starts
//! and names them. Each test has topics of its own.

#[path = "services/brokers.rs"]
mod brokers;
#[path = "services/cluster.rs"]
mod cluster;
#[path = "services/letters.rs"]
mod dead_letters;
#[path = "services/evolution.rs"]
mod evolution;
#[path = "services/kills.rs"]
mod kills;
#[path = "services/outages.rs"]
mod outages;
#[path = "services/poison.rs"]
mod poison;
#[path = "services/recorded.rs"]
mod recorded;
#[path = "services/sinks.rs"]
mod sinks;
#[path = "services/soak.rs"]
mod soak;

use crate::weir;
use recorded::Recorded;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PIPELINE: &str = "pipelines/treasury-liquidity.yaml";
const TABLES: &[&str] = &[
    "positions",
    "cash",
    "cells",
    "ladder",
    "hqla",
    "lcr",
    "workings",
    "adjustments",
];
/// Longest wait for a state.
const PATIENCE: Duration = Duration::from_mins(2);
const GLANCE: Duration = Duration::from_millis(100);
/// Rows of one answer.
const PAGE: usize = 500;

/// Written by the test that makes the broker hang.
static BROKER: RwLock<()> = RwLock::new(());

/// While this is held, the broker answers.
fn awake() -> RwLockReadGuard<'static, ()> {
    BROKER.read().unwrap_or_else(PoisonError::into_inner)
}

fn core_day() -> PathBuf {
    weir::root().join("tests/days/sample-core")
}

/// The topics of one test in one run.
struct Topics {
    prefix: String,
    /// Where its pipelines are.
    folder: TempDir,
}

impl Topics {
    fn new(test: &str) -> Self {
        Self {
            prefix: format!("{test}-{}.", std::process::id()),
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// Publishes a day's folder.
    fn publish(&self, day: &Path, more: &[&str]) {
        let day = day.to_str().expect("UTF-8");
        let args = ["publish", "--day", day, "--prefix", &self.prefix];
        weir::feed([&args[..], more].concat());
    }

    /// The reference pipeline, reading these topics.
    fn pipeline(&self) -> PathBuf {
        let text = std::fs::read_to_string(weir::root().join(PIPELINE)).expect("the pipeline");
        let text = text.replace("../", &format!("{}/", weir::root().display()));
        // A column of this name stays what it is.
        let (own, column) = (format!(" topic: {}", self.prefix), " topic: record_topic");
        let renamed = text.replace(" topic: ", &own);
        let own = renamed.replace(&format!("{own}record_topic"), column);
        assert_ne!(text, own, "the pipeline reads topics");
        self.write(&own)
    }

    /// A pipeline of this text.
    fn write(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("pipeline.yaml");
        std::fs::write(&path, text).expect("a temporary file");
        path
    }

    fn named(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// A letter, its topic without the prefix.
    fn plainly(&self, mut letter: Value) -> Value {
        let topic = letter["topic"].as_str().expect("a topic");
        letter["topic"] = topic
            .strip_prefix(&self.prefix)
            .expect("a topic of the test")
            .into();
        letter
    }
}

/// A running `weir`, ended when dropped.
struct Served {
    child: Child,
    url: String,
    client: reqwest::Client,
    runtime: Runtime,
    /// What it has said since it served.
    said: Arc<Mutex<Vec<String>>>,
}

impl Served {
    fn start(pipeline: &Path) -> Self {
        Self::start_with(pipeline, &[])
    }

    fn start_with(pipeline: &Path, more: &[&str]) -> Self {
        Self::start_as(Command::new(weir::binary()), pipeline, more)
    }

    /// Starts it by this command.
    fn start_as(mut command: Command, pipeline: &Path, more: &[&str]) -> Self {
        command
            .current_dir(weir::root())
            .arg("run")
            .arg(pipeline)
            .args(["--listen", "127.0.0.1:0"])
            .args(more);
        let mut child = command
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("weir starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped"))
            .lines()
            .map_while(Result::ok);
        let mut before = String::new();
        let url = lines.find_map(|line| {
            let url = line.strip_prefix("weir: serving on ").map(str::to_owned);
            writeln!(before, "{line}").expect("memory takes any write");
            url
        });
        let url = url.unwrap_or_else(|| panic!("weir does not say where it serves:\n{before}"));
        // What else it says is shown with a failing test.
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            lines.for_each(|line| {
                println!("{line}");
                heard
                    .lock()
                    .expect("nobody panics while holding it")
                    .push(line);
            });
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            child,
            url,
            client: reqwest::Client::new(),
            runtime,
            said,
        }
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.url);
        self.runtime.block_on(async {
            let answer = self
                .client
                .get(&url)
                .send()
                .await
                .unwrap_or_else(|error| panic!("{url}: {error}"));
            let status = answer.status().as_u16();
            let text = answer.text().await.expect("a body");
            (
                status,
                serde_json::from_str(&text).unwrap_or(Value::String(text)),
            )
        })
    }

    fn status(&self) -> Value {
        self.get("/api/v1/status").1
    }

    fn pause(&self, time: Duration) {
        self.runtime
            .block_on(async { tokio::time::sleep(time).await });
    }

    /// Waits until the status is so.
    fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut waited = Duration::ZERO;
        loop {
            let status = self.status();
            if is_so(&status) {
                return status;
            }
            assert!(waited < PATIENCE, "not {what} after {waited:?}: {status}");
            self.pause(GLANCE);
            waited += GLANCE;
        }
    }

    /// Waits until everything is read and shown.
    fn live(&self) -> Value {
        self.until("live", |status| {
            status["state"] == "live" && status["lag"] == 0
        })
    }

    /// Waits until so many records are read and shown, where offsets have no gaps.
    fn has_read(&self, records: usize) {
        let of_source = |source: &Value| -> i64 {
            let positions = source["position"].as_object().expect("positions");
            positions.values().filter_map(Value::as_i64).sum()
        };
        self.until(&format!("live with {records} records"), |status| {
            let sources = status["sources"].as_array().expect("sources");
            let read: i64 = sources.iter().map(of_source).sum();
            status["state"] == "live" && usize::try_from(read) == Ok(records)
        });
    }

    /// All rows of a table or of the dead letters.
    fn rows(&self, path: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let (code, page) = self.get(&format!("{path}?limit={PAGE}&offset={}", all.len()));
            assert_eq!(code, 200, "{path}: {page}");
            let rows = page["rows"]
                .as_array()
                .unwrap_or_else(|| panic!("{path}: {page}"));
            all.extend(rows.iter().cloned());
            if rows.len() < PAGE {
                return all;
            }
        }
    }

    /// Asks it to end, and waits until it has.
    fn stop(mut self) {
        weir::signal("TERM", &self.child.id().to_string());
        assert_eq!(self.ended(), Some(0));
    }

    /// Waits until it ends by itself; its exit code.
    fn ended(&mut self) -> Option<i32> {
        let mut waited = Duration::ZERO;
        loop {
            if let Some(status) = self.child.try_wait().expect("it was started") {
                return status.code();
            }
            assert!(waited < PATIENCE, "it still runs after {waited:?}");
            self.pause(GLANCE);
            waited += GLANCE;
        }
    }

    /// Waits until a line says all of this.
    fn until_said(&self, what: &[&str]) {
        let mut waited = Duration::ZERO;
        loop {
            let lines = self.said("");
            if lines
                .iter()
                .any(|line| what.iter().all(|part| line.contains(part)))
            {
                return;
            }
            assert!(waited < PATIENCE, "nobody says {what:?}: {lines:#?}");
            self.pause(GLANCE);
            waited += GLANCE;
        }
    }

    /// The lines of its log that say this.
    fn said(&self, what: &str) -> Vec<String> {
        let said = self.said.lock().expect("nobody panics while holding it");
        said.iter()
            .filter(|line| line.contains(what))
            .cloned()
            .collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was started");
    }
}

fn texts(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(ToString::to_string).collect()
}

/// Where each letter stood and why, sorted, as often as it is told.
fn letters(rows: &[Value]) -> Vec<String> {
    let place = |row: &Value| {
        format!(
            "{} {} {} {} {}",
            row["topic"], row["partition"], row["offset"], row["stage"], row["code"]
        )
    };
    let mut places: Vec<String> = rows.iter().map(place).collect();
    places.sort();
    places
}

/// The folder of the tables at the end of a day's replay.
fn replayed(day: &Path) -> TempDir {
    let out = tempfile::tempdir().expect("a temporary folder");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (day, folder) = (text(day), text(out.path()));
    let args = [
        "--replay",
        &day,
        "--until-end",
        "--dump",
        &folder,
        "--listen",
        "127.0.0.1:0",
    ];
    weir::run_to_end(PIPELINE, &args);
    out
}

fn dumped(folder: &Path, table: &str) -> Vec<Value> {
    let text =
        std::fs::read_to_string(folder.join(format!("{table}.jsonl"))).expect("a dumped table");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect()
}

fn dumped_letters(folder: &Path) -> Vec<String> {
    letters(&dumped(folder, "dead_letters"))
}

/// Every row of every table is that of the replay.
fn same_tables(weir: &Served, expected: &Path) {
    for table in TABLES {
        let expected = dumped(expected, table);
        let actual = weir.rows(&format!("/api/v1/tables/{table}/rows"));
        assert!(!expected.is_empty(), "{table} has rows");
        assert_eq!(expected.len(), actual.len(), "{table}");
        assert_eq!(texts(&expected), texts(&actual), "{table}");
    }
}

/// Every table and every letter is that of the replay, and each letter knows its record's timestamp and key.
fn same(weir: &Served, topics: &Topics, expected: &Path) {
    same_tables(weir, expected);
    let refused = weir.rows("/api/v1/dead-letters").into_iter();
    let refused: Vec<Value> = refused.map(|letter| topics.plainly(letter)).collect();
    assert_eq!(dumped_letters(expected), letters(&refused));
    let knows = |letter: &&Value| letter["timestamp"].is_string() && letter["key"].is_string();
    let strange = refused.iter().find(|letter| !knows(letter));
    assert_eq!(strange, None);
}

/// Goal: a day is the same through Kafka and the registry as from its files. Method: partitions, offsets and timestamps
/// as recorded; every table and every refusal at the end.
#[test]
fn the_core_day_through_kafka_equals_its_replay() {
    let _awake = awake();
    let topics = Topics::new("core");
    topics.publish(&core_day(), &[]);
    let weir = Served::start(&topics.pipeline());
    weir.live();
    same(&weir, &topics, replayed(&core_day()).path());
}

/// Goal: the same of a day that nobody wrote by hand, over several partitions of each topic, which arrive in any order.
/// Method: its morning is there at the start, the rest comes while the pipeline is live.
#[test]
fn a_generated_day_through_kafka_equals_its_replay() {
    const NOON_MS: i64 = 1_772_409_600_000 + 12 * 3_600_000;
    let _awake = awake();
    let day = tempfile::tempdir().expect("a temporary folder");
    let out = day.path().to_str().expect("UTF-8");
    let what = ["random", "--seed", "11", "--trades", "10000"];
    weir::feed([&what[..], &["--partitions", "4", "--out", out]].concat());
    let whole = Recorded::read(day.path());
    let is_early = |record: &Value| record["timestamp_ms"].as_i64() < Some(NOON_MS);
    let (mut morning, mut rest) = (whole.clone(), whole.clone());
    morning.retain(is_early);
    rest.retain(|record| !is_early(record));
    assert!(morning.len() > 2_000 && rest.len() > 2_000);

    let topics = Topics::new("generated");
    topics.publish(morning.write().path(), &[]);
    let weir = Served::start(&topics.pipeline());
    weir.has_read(morning.len());
    topics.publish(rest.write().path(), &[]);
    weir.has_read(whole.len());
    let (_, cut) = weir.get("/api/v1/tables/lcr/rows?limit=1");
    let partitions = cut["offsets"][topics.named("trades.fx")].as_object();
    assert_eq!(partitions.map(serde_json::Map::len), Some(4), "{cut}");
    same(&weir, &topics, replayed(day.path()).path());
}

/// Goal: half a book is never published, and the other half is waited for. Method: one topic is not there; all others
/// are read to their ends, and still nothing is shown, and it is told why; then the topic comes.
#[test]
fn half_a_book_is_never_published() {
    const HELD: &str = "trades.repos";
    let _awake = awake();
    let topics = Topics::new("held");
    let day = Recorded::read(&core_day());
    let others = day.0.keys().filter(|topic| *topic != HELD);
    let others: Vec<&str> = others.flat_map(|topic| ["--topic", topic]).collect();
    topics.publish(&core_day(), &others);
    let held = topics.named(HELD);
    let weir = Served::start(&topics.pipeline());
    let others_are_read = |status: &Value| {
        let sources = status["sources"].as_array().expect("sources");
        sources
            .iter()
            .all(|source| source["topic"] == *held || source["caught_up"] == true)
            && sources.iter().any(|source| {
                source["error"]
                    .as_str()
                    .is_some_and(|error| error.contains(&held))
            })
    };
    weir.until("read but for one topic", others_are_read);
    for _ in 0..20 {
        assert_eq!(weir.status()["state"], "catching_up");
        let (code, ready) = weir.get("/readyz");
        assert_eq!(code, 503);
        let named = ready["topics"].as_array().expect("topics");
        assert_eq!(named.len(), 1, "{ready}");
        assert_eq!(named[0]["topic"], *held);
        let error = named[0]["error"].as_str().expect("why");
        assert!(error.contains("is not there"), "{ready}");
        let (code, answer) = weir.get("/api/v1/tables/positions/rows");
        assert_eq!(code, 503, "{answer}");
        assert!(answer.to_string().contains("catching_up"), "{answer}");
        weir.pause(GLANCE);
    }
    topics.publish(&core_day(), &["--topic", HELD]);
    let count = day.count(HELD, 0);
    weir.until("live with the topic that came", |status| {
        let sources = status["sources"].as_array().expect("sources");
        let read = |source: &Value| source["topic"] == *held && source["position"]["0"] == count;
        assert!(
            ["catching_up", "live"].contains(&status["state"].as_str().expect("a state")),
            "{status}"
        );
        status["state"] == "live" && status["lag"] == 0 && sources.iter().any(read)
    });
    let (code, ready) = weir.get("/readyz");
    assert_eq!((code, &ready["topics"]), (200, &serde_json::json!([])));
    same(&weir, &topics, replayed(&core_day()).path());
}
