//! Sinks on the real broker and registry: what a topic holds is the table, whatever happened on the way.
#![expect(
    clippy::disallowed_methods,
    reason = "a process is killed after a while, and nothing else waits meanwhile"
)]

use super::brokers::Frozen;
use super::kills::start;
use super::recorded::Recorded;
use super::{Served, Topics, awake, core_day};
use crate::random::Random;
use crate::weir;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

const NOON_MS: i64 = 1_772_409_600_000 + 12 * 3_600_000;

/// All committed records of a topic.
pub(super) fn records(topic: &str, more: &[&str]) -> Vec<Value> {
    told(&[&["read", "--name", topic][..], more].concat())
}

/// What the feed prints.
pub(super) fn told(args: &[&str]) -> Vec<Value> {
    let output = weir::feeder().args(args).output();
    let output = output.expect("weir-feed starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "weir-feed {args:?}: {said}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect()
}

/// What is left of records when the topic is compacted: of each key the last value.
pub(super) fn compacted(records: &[Value]) -> BTreeMap<String, Value> {
    let mut content = BTreeMap::new();
    for record in records {
        let key = record["key"].to_string();
        if record["value"].is_null() {
            content.remove(&key);
        } else {
            content.insert(key, record["value"].clone());
        }
    }
    content
}

/// The rows of a table as the sink's JSON has them, by key.
pub(super) fn table(weir: &Served, name: &str, key: &[&str]) -> BTreeMap<String, Value> {
    let rows = weir
        .rows(&format!("/api/v1/tables/{name}/rows"))
        .into_iter();
    let keyed = |row: Value| {
        let key: serde_json::Map<String, Value> = key
            .iter()
            .map(|column| ((*column).to_owned(), row[*column].clone()))
            .collect();
        (Value::Object(key).to_string(), row)
    };
    rows.map(keyed).collect()
}

/// Waits until all sinks have what is published.
pub(super) fn sunk(weir: &Served) {
    weir.until("sunk", |status| {
        let sinks = status["sinks"].as_array().expect("sinks");
        let is_done = |sink: &Value| {
            sink["state"] == "live" && sink["waiting_ms"] == 0 && sink["pending"] == 0
        };
        status["state"] == "live" && status["lag"] == 0 && sinks.iter().all(is_done)
    });
}

pub(super) fn make(topic: &str) {
    let settings = ["--partitions", "3", "--set", "cleanup.policy=compact"];
    weir::feed([&["topic", "--name", topic][..], &settings].concat());
}

/// Goal: at the end a compacted topic is its table, to the last digit, in JSON and in Avro by the registry; a restart
/// adds nothing, with its state or without; a row that goes is a tombstone. Method: the core day, its morning before the
/// start, the rest while the pipeline is live, through the reference pipeline with sinks of both kinds.
#[test]
fn a_compacted_topic_is_its_table() {
    let _awake = awake();
    let topics = Topics::new("sinks");
    let whole = Recorded::read(&core_day());
    let mut morning = whole.clone();
    morning.retain(|record| record["timestamp_ms"].as_i64() < Some(NOON_MS));
    let mut rest = whole.clone();
    rest.retain(|record| record["timestamp_ms"].as_i64() >= Some(NOON_MS));
    topics.publish(morning.write().path(), &[]);
    let text = std::fs::read_to_string(topics.pipeline()).expect("the pipeline");
    let (positions, ratios) = (topics.named("sunk.positions"), topics.named("sunk.ratios"));
    make(&positions);
    make(&ratios);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kept = format!(
        "checkpoint: {{ every_s: 1, to: {}/state }}",
        folder.path().display()
    );
    let text = text.replace("clock: event }", &format!("clock: event, {kept} }}"));
    let sinks = format!(
        "  held_topic: {{ from: positions, kafka: {{ cluster: main, topic: {positions} }} }}\n  \
           ratio_topic: {{ from: lcr, kafka: {{ cluster: main, topic: {ratios}, delivery: exactly_once,\n    \
             encode: {{ avro: {{ registry: main }} }}, properties: {{ linger.ms: 1, compression.type: zstd }} }} }}\n"
    );
    let text = with_sinks(&text, &sinks);
    let pipeline = topics.write(&text);
    let weir = Served::start(&pipeline);
    weir.has_read(morning.len());
    sunk(&weir);
    topics.publish(rest.write().path(), &[]);
    weir.has_read(whole.len());
    sunk(&weir);
    let written = records(&positions, &[]);
    let expected = table(&weir, "positions", &["entity", "book", "instrument_id"]);
    assert!(!expected.is_empty());
    assert_eq!(compacted(&written), expected);
    assert!(
        written
            .iter()
            .all(|record| record["headers"]["weir.epoch"].is_string())
    );
    let ratios_written = records(&ratios, &[]);
    let ratio_rows = table(&weir, "lcr", &["entity", "scope", "regime"]);
    let columns = weir.get("/api/v1/tables").1;
    let found = compacted(&ratios_written);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        ratio_rows.keys().collect::<Vec<_>>()
    );
    for (key, row) in &ratio_rows {
        assert_eq!(unscaled(row, &columns, "lcr"), found[key], "{key}");
    }
    let (_, metrics) = weir.get("/metrics");
    let metrics = metrics.as_str().expect("text").to_owned();
    assert!(
        metrics.contains("weir_sink_waiting_ms{sink=\"held_topic\"} 0"),
        "{metrics}"
    );
    assert_eq!(weir.get("/readyz").1["sinks"], json!([]));

    // Killed and started anew, with the state and with an empty one, it has nothing to say.
    drop(weir);
    let other = text.replace("/state }", "/other }");
    for text in [&text, &other] {
        let weir = Served::start(&topics.write(text));
        weir.has_read(whole.len());
        sunk(&weir);
        assert_eq!(records(&positions, &[]).len(), written.len());
        assert_eq!(records(&ratios, &[]).len(), ratios_written.len());
    }
}

/// Puts sinks in the place of those that the pipeline has.
pub(super) fn with_sinks(text: &str, sinks: &str) -> String {
    let (before, after) = text.split_once("\nviews:").expect("the pipeline has views");
    let before = before
        .split("\nsinks:")
        .next()
        .expect("there is a beginning");
    format!("{before}\nsinks:\n{sinks}\nviews:{after}")
}

/// A row with its amounts as whole numbers of their last digit, as Avro has them.
fn unscaled(row: &Value, tables: &Value, name: &str) -> Value {
    let tables = tables["tables"].as_array().expect("tables");
    let table = tables.iter().find(|table| table["name"] == name);
    let columns = table.expect("the table")["columns"]
        .as_array()
        .expect("columns");
    let cell = |column: &Value| {
        let name = column["name"].as_str().expect("a name");
        let kind = column["type"].as_str().expect("a type");
        let value = &row[name];
        let scale = kind
            .strip_prefix("decimal")
            .and_then(|kind| kind.trim_end_matches(')').split(',').nth(1)?.parse().ok());
        let value = match (value.as_str(), scale) {
            (Some(text), Some(scale)) => json!(digits(text, scale)),
            _ => value.clone(),
        };
        (name.to_owned(), value)
    };
    columns.iter().map(cell).collect()
}

fn digits(text: &str, scale: usize) -> String {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction:0<scale$}");
    let number: i128 = digits.parse().expect("a number");
    number.to_string()
}

/// A pipeline of one topic whose records are lists: each record changes as many rows of its table at once.
struct Lists {
    topics: Topics,
    folder: tempfile::TempDir,
    /// Records published so far.
    count: i64,
}

impl Lists {
    fn new(test: &str) -> Self {
        Self {
            topics: Topics::new(test),
            folder: tempfile::tempdir().expect("a temporary folder"),
            count: 0,
        }
    }

    /// Publishes the next records: of one key, so many rows each, all with the record's number.
    fn publish(&mut self, records: i64, rows: usize, note: &str) {
        let day = self.day(records, rows, note);
        self.topics
            .publish(day.path(), &["--topic", "trades.derivatives"]);
    }

    /// The next records as a folder.
    fn day(&mut self, records: i64, rows: usize, note: &str) -> tempfile::TempDir {
        const DAY_MS: i64 = 1_772_409_600_000;
        let record = |number: i64| {
            let flow =
                |_| json!({ "date": "2026-03-02", "ccy": note, "amount": number.to_string() });
            let flows: Vec<Value> = (0..rows).map(flow).collect();
            let value = json!({ "tradeId": "T", "version": number.to_string(), "flows": flows });
            json!({ "partition": 0, "offset": number, "timestamp_ms": DAY_MS + number, "key": "T", "value": value })
        };
        let made: Vec<Value> = (self.count..self.count + records).map(record).collect();
        self.count += records;
        Recorded(BTreeMap::from([("trades.derivatives".to_owned(), made)])).write()
    }

    /// The pipeline, with this sink and this state folder.
    fn pipeline(&self, name: &str, state: &str, kafka: &str) -> PathBuf {
        let text = format!(
            "weir: 1\nname: {name}\n\
             engine: {{ clock: event, cycle_min_ms: 1, checkpoint: {{ every_s: 1, to: {folder}/{state} }} }}\n\
             clusters:\n  main: {{ bootstrap.servers: \"${{env:KAFKA_BOOTSTRAP}}\" }}\n  \
               other: {{ bootstrap.servers: \"${{env:OTHER_BOOTSTRAP:-127.0.0.1:1}}\" }}\n\
             registries: {{ main: {{ url: \"${{env:SCHEMA_REGISTRY_URL}}\" }} }}\n\
             sources:\n  raw:\n    kafka: {{ cluster: main, topic: {topic} }}\n    \
               decode: {{ json: {{ schema: {root}/schemas/raw/derivative.json }} }}\n\
             stages:\n  rows: {{ from: raw, explode: {{ list: flows, index: n }}, let: {{ v: cast(version as bigint) }} }}\n  \
               newest: {{ from: rows, latest: {{ key: [tradeId], version: v }} }}\n  \
               shown: {{ from: newest, select: {{ id: tradeId, n: n, v: v, amount: amount, note: ccy }} }}\n\
             tables:\n  book: {{ from: shown, key: [id, n] }}\n\
             sinks:\n  out: {{ from: book, kafka: {{ {kafka} }} }}\n",
            folder = self.folder.path().display(),
            topic = self.topics.named("trades.derivatives"),
            root = weir::root().display(),
        );
        let path = self.folder.path().join(format!("{state}.yaml"));
        std::fs::write(&path, text).expect("a temporary file");
        path
    }

    /// Waits until all records are in the table and the table is in the sink.
    fn settled(&self, weir: &Served) {
        weir.has_read(usize::try_from(self.count).expect("few"));
        sunk(weir);
    }
}

/// What exactly once means, in the order of the log: each epoch that shows has all its rows, all of one record, and no
/// record comes twice or after a later one. The topic has one partition, so that there is an order.
fn are_whole_epochs(written: &[Value], rows: usize) {
    let mut epochs: Vec<((String, String), Vec<&Value>)> = Vec::new();
    for record in written {
        let header = |name: &str| {
            record["headers"][name]
                .as_str()
                .expect("a header")
                .to_owned()
        };
        let epoch = (header("weir.run"), header("weir.epoch"));
        match epochs.last_mut() {
            Some((last, records)) if *last == epoch => records.push(record),
            _ => epochs.push((epoch, vec![record])),
        }
    }
    let mut last = -1;
    for (epoch, records) in &epochs {
        let keys: BTreeSet<String> = records
            .iter()
            .map(|record| record["key"].to_string())
            .collect();
        assert_eq!(
            (keys.len(), records.len()),
            (rows, rows),
            "{epoch:?} is whole"
        );
        let numbers: BTreeSet<i64> = records
            .iter()
            .map(|record| record["value"]["v"].as_i64().expect("a number"))
            .collect();
        let number = *numbers.first().expect("a record");
        assert_eq!(numbers.len(), 1, "{epoch:?} is of one record");
        assert!(number > last, "{epoch:?}: {number} comes after {last}");
        last = number;
    }
    assert!(epochs.len() > 3, "{} epochs were sunk", epochs.len());
}

/// Goal: a process that is paused for longer than its transactions may take goes on by itself, and readers see whole
/// epochs. Method: stopped while records wait in an open transaction, and woken when that has expired.
#[test]
fn a_pause_leaves_whole_epochs() {
    const ROWS: usize = 200;
    const PAUSE: Duration = Duration::from_secs(16);
    let _awake = awake();
    let mut lists = Lists::new("paused");
    let topic = lists.topics.named("book");
    weir::feed(["topic", "--name", &topic]);
    let slow = "properties: { transaction.timeout.ms: 4000, linger.ms: 1500 }";
    let kafka = format!("cluster: main, topic: {topic}, delivery: exactly_once, {slow}");
    lists.publish(1, ROWS, "USD");
    let weir = Served::start(&lists.pipeline(&lists.topics.named("paused"), "state", &kafka));
    lists.settled(&weir);
    lists.publish(1, ROWS, "USD");
    weir.until("sending", |status| status["sinks"][0]["pending"] != 0);
    let frozen = Frozen::of(weir.child.id().to_string());
    std::thread::sleep(PAUSE);
    drop(frozen);
    for _ in 0..3 {
        lists.publish(1, ROWS, "USD");
        lists.settled(&weir);
    }
    assert_eq!(weir.said("sink failed").len(), 1);
    let written = records(&topic, &[]);
    are_whole_epochs(&written, ROWS);
    assert_eq!(compacted(&written), table(&weir, "book", &["id", "n"]));
}

/// Goal: SIGKILL at any moment loses and doubles nothing. Method: records flow while processes are killed, some as they
/// open their sink; readers of committed records look meanwhile. Exactly once, each epoch that shows is whole, and none
/// comes twice; at least once, the compacted topic is the table.
#[test]
fn kills_leave_no_trace_in_sinks() {
    const KILLS: u64 = 8;
    const ROWS: usize = 300;
    let _awake = awake();
    let mut random = Random(11);
    for delivery in ["exactly_once", "at_least_once"] {
        let mut lists = Lists::new(&format!("sinkkills.{delivery}"));
        let topic = lists.topics.named("book");
        weir::feed(["topic", "--name", &topic]);
        let slow = "properties: { linger.ms: 1000, batch.size: 4000 }";
        let kafka = format!("cluster: main, topic: {topic}, delivery: {delivery}, {slow}");
        let pipeline = lists.pipeline(&lists.topics.named("kills"), "state", &kafka);
        let is_exact = delivery == "exactly_once";
        for kill in 0..KILLS {
            if kill % 2 == 0 {
                let mut child = start(&pipeline);
                for _ in 0..2 + random.below(5) {
                    lists.publish(20, ROWS, "USD");
                    std::thread::sleep(random.millis(250));
                }
                std::thread::sleep(random.millis(1_200));
                child.kill().expect("it runs");
                child.wait().expect("it was started");
            } else {
                // In the midst of a flush: some of its batches are there, the last one waits.
                let weir = Served::start(&pipeline);
                weir.until("live", |status| status["state"] == "live");
                lists.publish(20, ROWS, "USD");
                weir.until("sending", |status| status["sinks"][0]["pending"] != 0);
            }
            if is_exact && kill + 1 == KILLS {
                are_whole_epochs(&records(&topic, &[]), ROWS);
            }
        }
        let weir = Served::start(&pipeline);
        lists.settled(&weir);
        let written = records(&topic, &[]);
        let expected = table(&weir, "book", &["id", "n"]);
        assert_eq!(expected.len(), ROWS);
        assert_eq!(compacted(&written), expected);
        if is_exact {
            are_whole_epochs(&written, ROWS);
        }
        let all = records(&topic, &["--uncommitted"]).len();
        assert!(
            !is_exact || all > written.len(),
            "a transaction was cut off"
        );
        println!(
            "{delivery}: {KILLS} kills, {} records, {all} with those of open or aborted transactions",
            written.len()
        );
        // Rows that go leave tombstones.
        lists.publish(1, 3, "USD");
        lists.settled(&weir);
        let written = records(&topic, &[]);
        assert_eq!(compacted(&written), table(&weir, "book", &["id", "n"]));
        let gone = written
            .iter()
            .filter(|record| record["value"].is_null())
            .count();
        assert_eq!(gone, ROWS - 3);
    }
}

/// Goal: a second process takes over, and the first one stops and says why. Method: two with the same pipeline and sink,
/// each with a state of its own.
#[test]
fn a_second_process_fences_the_first() {
    let _awake = awake();
    let mut lists = Lists::new("fenced");
    let topic = lists.topics.named("book");
    weir::feed(["topic", "--name", &topic]);
    let kafka = format!("cluster: main, topic: {topic}, delivery: exactly_once");
    let name = lists.topics.named("fenced");
    lists.publish(3, 5, "USD");
    let mut first = Served::start(&lists.pipeline(&name, "first", &kafka));
    lists.settled(&first);
    let second = Served::start(&lists.pipeline(&name, "second", &kafka));
    lists.settled(&second);
    lists.publish(1, 5, "EUR");
    lists.settled(&second);
    let ended = first.child.wait().expect("it was started");
    assert_eq!(ended.code(), Some(1));
    let said = first.said("another process (run ");
    assert!(
        said.iter().any(|line| line.contains("so this one stops")),
        "{said:?}"
    );
    let written = records(&topic, &[]);
    assert_eq!(compacted(&written), table(&second, "book", &["id", "n"]));
    assert_eq!(written.len(), 10, "5 rows at the start, 5 changed");
    // The transaction carries what it has seen of the sources, and whose it is.
    let group = format!("weir.{name}.out");
    let source = lists.topics.named("trades.derivatives");
    let offsets = told(&["offsets", "--group", &group, "--name", &source]);
    assert_eq!(offsets[0]["offset"], lists.count);
    let marker = told(&["offsets", "--group", &group, "--name", &topic]);
    let marker = marker[0]["metadata"].as_str().expect("a marker");
    let status = second.status();
    let run = status["run"].as_str().expect("a run");
    assert!(
        marker.starts_with(&format!("run={run} epoch={} ", status["epoch"])),
        "{marker}"
    );
}

/// A broker in memory that a test may freeze, killed when dropped.
pub(super) struct Mock {
    pub(super) child: Child,
    pub(super) bootstrap: String,
}

impl Mock {
    pub(super) fn new(topic: &str) -> Self {
        let mut feed = weir::feeder();
        feed.args(["mock", "--name", topic]).stdout(Stdio::piped());
        let mut child = feed.spawn().expect("weir-feed starts");
        let out = child.stdout.take().expect("piped");
        let line = BufReader::new(out).lines().next();
        let bootstrap = line.expect("it says where it is").expect("UTF-8");
        Self { child, bootstrap }
    }

    fn records(&self, topic: &str) -> Vec<Value> {
        records(topic, &["--bootstrap", &self.bootstrap])
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was started");
    }
}

/// Goal: a sink's broker that hangs, or is not there, stops nothing: tables go on, it is told, and when it comes back the
/// newest row of each key is sent, once. Method: the sink is on a broker of its own, frozen while records flow.
#[test]
fn a_sink_that_is_away_holds_nobody_up() {
    const ROWS: usize = 50;
    let _awake = awake();
    let mut lists = Lists::new("away");
    lists.publish(5, ROWS, "USD");
    let kafka = "cluster: other, topic: book";
    let text = |lists: &Lists, bootstrap: &str| {
        let path = lists.pipeline("away", "state", kafka);
        let text = std::fs::read_to_string(&path).expect("just written");
        std::fs::write(
            &path,
            text.replace("${env:OTHER_BOOTSTRAP:-127.0.0.1:1}", bootstrap),
        )
        .expect("a temporary file");
        path
    };
    let is_told = |status: &Value| status["sinks"][0]["error"].is_string();
    // Nobody is there: tables are served, and it is told.
    {
        let weir = Served::start(&text(&lists, "127.0.0.1:1"));
        weir.has_read(5);
        weir.until("told that the sink is away", is_told);
        let (code, ready) = weir.get("/readyz");
        assert_eq!(
            (code, &ready["sinks"][0]["sink"]),
            (200, &json!("out")),
            "{ready}"
        );
        assert_eq!(table(&weir, "book", &["id", "n"]).len(), ROWS);
    }
    let mock = Mock::new("book");
    let weir = Served::start(&text(&lists, &mock.bootstrap));
    lists.settled(&weir);
    assert_eq!(
        compacted(&mock.records("book")),
        table(&weir, "book", &["id", "n"])
    );
    let before = mock.records("book").len();
    let frozen = Frozen::of(mock.child.id().to_string());
    for _ in 0..20 {
        lists.publish(1, ROWS, "USD");
    }
    weir.has_read(usize::try_from(lists.count).expect("few"));
    weir.until("told that the sink hangs", is_told);
    assert_eq!(weir.status()["state"], "live");
    drop(frozen);
    lists.settled(&weir);
    weir.until("told that it is over", |status| !is_told(status));
    let written = mock.records("book");
    assert_eq!(compacted(&written), table(&weir, "book", &["id", "n"]));
    let added = written.len() - before;
    assert!(
        added <= 6 * ROWS,
        "{added} records for 20 changes of {ROWS} rows"
    );

    // Killed while the sink hangs and something waits, it goes on with that.
    let frozen = Frozen::of(mock.child.id().to_string());
    lists.publish(1, ROWS - 7, "EUR");
    weir.has_read(usize::try_from(lists.count).expect("few"));
    weir.until("kept", |status| {
        status["checkpoint"]["epoch"] == status["epoch"]
    });
    drop(weir);
    drop(frozen);
    let weir = Served::start(&text(&lists, &mock.bootstrap));
    lists.settled(&weir);
    let held = compacted(&mock.records("book"));
    assert_eq!(held.len(), ROWS - 7);
    assert_eq!(held, table(&weir, "book", &["id", "n"]));
}

/// Goal: a row that a broker does not take is a dead letter with its key, is not lost from sight, and goes when a later
/// row is taken; all others arrive. Method: a topic of small records, refused by the client and by the broker.
#[test]
fn a_row_that_is_too_large_is_a_dead_letter() {
    let _awake = awake();
    for (test, limit, set) in [
        (
            "large.client",
            "properties: { message.max.bytes: 2000, linger.ms: 0 }",
            "max.message.bytes=1000000",
        ),
        (
            "large.broker",
            "delivery: exactly_once",
            "max.message.bytes=2000",
        ),
        (
            "large.plain",
            "properties: { batch.size: 1500 }",
            "max.message.bytes=2000",
        ),
    ] {
        let mut lists = Lists::new(test);
        let topic = lists.topics.named("book");
        weir::feed(["topic", "--name", &topic, "--set", set]);
        let kafka = format!("cluster: main, topic: {topic}, {limit}");
        let name = lists.topics.named("large");
        lists.publish(1, 3, "USD");
        let weir = Served::start(&lists.pipeline(&name, "state", &kafka));
        lists.settled(&weir);
        lists.publish(1, 2, &noise(4_000));
        lists.settled(&weir);
        let letters = weir.until("told of dead letters", |status| status["dead_letters"] == 2);
        assert_eq!(letters["sinks"][0]["refused"], 2, "{test}");
        let rows = weir.rows("/api/v1/dead-letters");
        let said: BTreeSet<String> = rows
            .iter()
            .map(|row| format!("{} {} {}", row["stage"], row["code"], row["key"]))
            .collect();
        let expected = [0, 1].map(|n| {
            format!(
                "\"out\" \"too_large\" {}",
                json!(format!("{{\"id\":\"T\",\"n\":{n}}}"))
            )
        });
        assert_eq!(said, BTreeSet::from(expected), "{test}");
        // The third row went, the others are as they were.
        assert_eq!(compacted(&records(&topic, &[])).len(), 2, "{test}");
        drop(weir);
        let weir = Served::start(&lists.pipeline(&name, "state", &kafka));
        lists.settled(&weir);
        weir.until("told again", |status| status["dead_letters"] == 2);
        lists.publish(1, 2, "EUR");
        lists.settled(&weir);
        weir.until("free of dead letters", |status| status["dead_letters"] == 0);
        assert_eq!(
            compacted(&records(&topic, &[])),
            table(&weir, "book", &["id", "n"]),
            "{test}"
        );
    }
}

/// Text that no compression makes small.
fn noise(length: usize) -> String {
    let mut random = Random(3);
    let letter = |_| char::from(b'a' + u8::try_from(random.below(26)).expect("few"));
    (0..length).map(letter).collect()
}

/// Goal: a registry that refuses the schema stops the pipeline with subject and cure. Method: the subject has another
/// schema already.
#[test]
fn an_incompatible_schema_stops_with_its_subject() {
    let _awake = awake();
    let lists = Lists::new("schema");
    let topic = lists.topics.named("book");
    weir::feed(["topic", "--name", &topic]);
    let kafka = |more: &str| {
        format!(
            "cluster: main, topic: {topic}, encode: {{ key: json, value: {{ avro: {{ registry: main{more} }} }} }}"
        )
    };
    let mut lists = lists;
    lists.publish(1, 2, "USD");
    let subject = format!("{topic}-value");
    let schema = lists.folder.path().join("other.avsc");
    let text = r#"{"type":"record","name":"X","fields":[{"name":"n","type":"long"},{"name":"id","type":["null","string"]}]}"#;
    std::fs::write(&schema, text).expect("a temporary file");
    let own = kafka(&format!(", schema: {}", schema.display()));
    {
        let weir = Served::start(&lists.pipeline("schemas", "own", &own));
        lists.settled(&weir);
        let values: Vec<Value> = records(&topic, &[])
            .iter()
            .map(|record| record["value"].clone())
            .collect();
        assert_eq!(
            values,
            [json!({ "n": 0, "id": "T" }), json!({ "n": 1, "id": "T" })]
        );
    }
    compatible(&subject);
    let mut weir = Served::start(&lists.pipeline("schemas", "made", &kafka("")));
    let ended = weir.child.wait().expect("it was started");
    assert_eq!(ended.code(), Some(1));
    let said = weir.said(&subject);
    assert!(
        said.iter().any(|line| line.contains("refuses the schema")),
        "{said:?}"
    );
}

/// From now on the registry wants schemas of this subject to be compatible with the last one.
fn compatible(subject: &str) {
    let url = std::env::var("SCHEMA_REGISTRY_URL").expect("SCHEMA_REGISTRY_URL is the registry's");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let asked = reqwest::Client::new()
            .put(format!("{url}/config/{subject}"))
            .json(&json!({ "compatibility": "FULL" }))
            .send()
            .await;
        let answer = asked.expect("the registry answers");
        assert!(answer.status().is_success(), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
}

/// Goal: a replay writes nothing unless it is asked to. Method: a
/// recorded day through a pipeline with a sink, without and with `--sinks`.
#[test]
fn a_replay_sinks_only_when_asked() {
    let _awake = awake();
    let mut lists = Lists::new("replayed");
    let day = lists.day(20, 30, "USD");
    let topic = lists.topics.named("book");
    weir::feed(["topic", "--name", &topic]);
    let path = lists.pipeline(
        "replayed",
        "state",
        &format!("cluster: main, topic: {topic}"),
    );
    let text = std::fs::read_to_string(&path).expect("just written");
    let source = lists.topics.named("trades.derivatives");
    std::fs::write(&path, text.replace(&source, "trades.derivatives")).expect("a temporary file");
    let replay = |path: &Path, more: &[&str]| {
        let day = day.path().to_str().expect("UTF-8");
        let args = ["--replay", day, "--until-end", "--listen", "127.0.0.1:0"];
        weir::run_to_end(path.to_str().expect("UTF-8"), &[&args[..], more].concat());
    };
    replay(&path, &[]);
    assert_eq!(records(&topic, &[]), Vec::<Value>::new());
    replay(&path, &["--sinks"]);
    let once = records(&topic, &[]);
    assert!(!once.is_empty());
    replay(&path, &["--sinks"]);
    assert_eq!(records(&topic, &[]), once);
}
