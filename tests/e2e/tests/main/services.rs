//! The binary on a real Kafka and a real schema registry.
//!
//! Needs `KAFKA_BOOTSTRAP`, `SCHEMA_REGISTRY_URL` (a broker without the day's topics) and `WEIR_FEED_BIN`;
//! `cargo xtask test` starts and names them.

use crate::weir;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::runtime::Runtime;

const PIPELINE: &str = "pipelines/treasury-liquidity.yaml";
const TABLES: &[&str] = &["positions", "cash", "cells", "hqla", "lcr", "adjustments"];
/// Longest wait for a state.
const PATIENCE: Duration = Duration::from_mins(1);
const GLANCE: Duration = Duration::from_millis(100);
/// Rows of one answer.
const PAGE: usize = 500;

fn day() -> PathBuf {
    weir::root().join("tests/days/sample-core")
}

/// Publishes the day, once for all tests.
fn publish() {
    static PUBLISHED: OnceLock<()> = OnceLock::new();
    PUBLISHED.get_or_init(|| {
        let feed = std::env::var_os("WEIR_FEED_BIN");
        let feed = feed.map_or_else(
            || weir::root().join("target/debug/weir-feed"),
            PathBuf::from,
        );
        let status = Command::new(&feed)
            .current_dir(weir::root())
            .args(["publish", "--day"])
            .arg(day())
            .status();
        let status = status.unwrap_or_else(|error| {
            panic!(
                "cannot start {}: {error}; or set WEIR_FEED_BIN",
                feed.display()
            )
        });
        assert!(status.success(), "weir-feed: {status}");
    });
}

/// A running `weir`, ended when dropped.
struct Served {
    child: Child,
    url: String,
    client: reqwest::Client,
    runtime: Runtime,
}

impl Served {
    fn start(pipeline: &Path) -> Self {
        let mut command = Command::new(weir::binary());
        command
            .current_dir(weir::root())
            .arg("run")
            .arg(pipeline)
            .args(["--listen", "127.0.0.1:0"]);
        let mut child = command
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("weir starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped"))
            .lines()
            .map_while(Result::ok);
        let url = lines.find_map(|line| Some(line.strip_prefix("weir: serving on ")?.to_owned()));
        // What else it says is shown with a failing test.
        std::thread::spawn(move || lines.for_each(|line| println!("{line}")));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            child,
            url: url.expect("weir says where it serves"),
            client: reqwest::Client::new(),
            runtime,
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

fn places(rows: &[Value]) -> BTreeSet<String> {
    let place = |row: &Value| {
        format!(
            "{} {} {} {}",
            row["topic"], row["partition"], row["offset"], row["code"]
        )
    };
    rows.iter().map(place).collect()
}

fn dumped(folder: &Path, table: &str) -> Vec<Value> {
    let text =
        std::fs::read_to_string(folder.join(format!("{table}.jsonl"))).expect("a dumped table");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect()
}

/// Goal: a day is the same through Kafka and the registry as from its files. Method: partitions, offsets and timestamps
/// as recorded; every table and every refusal at the end.
#[test]
fn the_core_day_through_kafka_equals_its_replay() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (day, folder) = (text(&day()), text(out.path()));
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
    publish();
    let weir = Served::start(Path::new(PIPELINE));
    weir.until("live", |status| {
        status["state"] == "live" && status["lag"] == 0
    });
    for table in TABLES {
        let (expected, actual) = (
            dumped(out.path(), table),
            weir.rows(&format!("/api/v1/tables/{table}/rows")),
        );
        assert!(!expected.is_empty(), "{table} has rows");
        assert_eq!(texts(&expected), texts(&actual), "{table}");
    }
    let refused = weir.rows("/api/v1/dead-letters");
    assert_eq!(
        places(&dumped(out.path(), "dead_letters")),
        places(&refused)
    );
}

/// Goal: half a book is never published. Method: one topic is not there; all others are read to their ends, and still
/// nothing is shown, and it is told why.
#[test]
fn half_a_book_is_never_published() {
    publish();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pipeline = folder.path().join("held-back.yaml");
    let text = std::fs::read_to_string(weir::root().join(PIPELINE)).expect("the pipeline");
    let text = text.replace("../", &format!("{}/", weir::root().display()));
    let held = text.replace("topic: trades.repos", "topic: held-back.repos");
    assert_ne!(text, held, "the pipeline reads trades.repos");
    std::fs::write(&pipeline, held).expect("a temporary file");
    let weir = Served::start(&pipeline);
    let others_are_read = |status: &Value| {
        let sources = status["sources"].as_array().expect("sources");
        sources
            .iter()
            .all(|source| source["topic"] == "held-back.repos" || source["caught_up"] == true)
            && sources.iter().any(|source| {
                source["error"]
                    .as_str()
                    .is_some_and(|error| error.contains("held-back.repos"))
            })
    };
    weir.until("read but for one topic", others_are_read);
    for _ in 0..20 {
        assert_eq!(weir.status()["state"], "catching_up");
        assert_eq!(weir.get("/readyz").0, 503);
        let (code, answer) = weir.get("/api/v1/tables/positions/rows");
        assert_eq!(code, 503, "{answer}");
        assert!(answer.to_string().contains("catching_up"), "{answer}");
        weir.pause(GLANCE);
    }
}
