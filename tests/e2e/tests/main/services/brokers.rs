//! What brokers and other writers do: begin anywhere, add partitions, compress, abort, hang.

use super::recorded::Recorded;
use super::{BROKER, Served, Topics, awake, core_day, replayed, same};
use crate::weir;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// A pipeline that shows every record of a topic of rates as often as it reads the topic: once an entry of `starts`.
fn rates(topics: &Topics, starts: &[(&str, &str)]) -> Served {
    let (topic, schema) = (
        topics.named("refdata.fx"),
        weir::root().join("schemas/raw/rate.json"),
    );
    let each = |line: &dyn Fn(&str, &str) -> String| -> String {
        let lines: Vec<String> = starts
            .iter()
            .map(|(name, start)| line(name, start))
            .collect();
        lines.join("\n  ")
    };
    let sources = each(&|name, start| {
        let decode = format!("{{ json: {{ schema: {} }} }}", schema.display());
        format!(
            "raw_{name}: {{ kafka: {{ cluster: main, topic: {topic}, start: \"{start}\" }}, decode: {decode} }}"
        )
    });
    let columns = "{ part: _partition, place: _offset, ccy: ccy }";
    let stages = each(&|name, _| format!("of_{name}: {{ from: raw_{name}, select: {columns} }}"));
    let tables = each(&|name, _| format!("{name}: {{ from: of_{name}, key: [part, place] }}"));
    let text = format!(
        "weir: 1\nname: rates\nengine: {{ clock: event }}\n\
         clusters: {{ main: {{ bootstrap.servers: \"${{env:KAFKA_BOOTSTRAP}}\" }} }}\n\
         sources:\n  {sources}\nstages:\n  {stages}\ntables:\n  {tables}\n"
    );
    Served::start(&topics.write(&text))
}

/// Waits until a table shows these and no others, each as `partition/offset currency`.
pub(super) fn shows(weir: &Served, table: &str, expected: &[&str]) {
    let path = format!("/api/v1/tables/{table}/rows");
    let row = |row: &Value| {
        let ccy = row["ccy"].as_str().expect("a currency");
        format!("{}/{} {ccy}", row["part"], row["place"])
    };
    weir.until(&format!("{table} as expected: {expected:?}"), |status| {
        status["state"] == "live"
            && weir.rows(&path).iter().map(row).collect::<Vec<_>>() == expected
    });
}

/// A topic of rates: partition, offset, minute of the day, currency.
pub(super) fn day(records: &[(i64, i64, i64, &str)]) -> tempfile::TempDir {
    const DAY_MS: i64 = 1_772_409_600_000;
    let record = |(partition, offset, minute, ccy): &(i64, i64, i64, &str)| {
        json!({
            "partition": partition, "offset": offset, "timestamp_ms": DAY_MS + minute * 60_000, "key": ccy,
            "value": { "ccy": ccy, "rate": "1.5" },
        })
    };
    let records = records.iter().map(record).collect();
    Recorded(BTreeMap::from([("refdata.fx".to_owned(), records)])).write()
}

fn publish(topics: &Topics, records: &[(i64, i64, i64, &str)]) {
    topics.publish(day(records).path(), &["--topic", "refdata.fx"]);
}

/// Goal: reading begins where the pipeline file says, and reaches partitions that are added later. Method: one topic
/// read from its beginning, from its end and from an instant, in partitions of different ages.
#[test]
fn reading_begins_where_it_is_told() {
    let _awake = awake();
    let topics = Topics::new("starts");
    publish(
        &topics,
        &[
            (0, 0, 10, "AAA"),
            (0, 1, 20, "BBB"),
            (1, 0, 15, "CCC"),
            (1, 1, 16, "DDD"),
            (0, 2, 30, "EEE"),
        ],
    );
    let starts = [
        ("earliest", "earliest"),
        ("latest", "latest"),
        // To the millisecond, BBB is in.
        ("instant", "2026-03-02T00:20:00Z"),
        ("after", "2026-03-02T00:20:00.000001Z"),
        ("never", "2027-01-01T00:00:00Z"),
    ];
    let weir = rates(&topics, &starts);
    weir.live();
    let old = ["0/0 AAA", "0/1 BBB", "0/2 EEE", "1/0 CCC", "1/1 DDD"];
    shows(&weir, "earliest", &old);
    shows(&weir, "instant", &old[1..3]);
    shows(&weir, "after", &old[2..3]);
    shows(&weir, "latest", &[]);
    shows(&weir, "never", &[]);

    // A partition more, and it holds something before it is found.
    publish(
        &topics,
        &[(1, 2, 40, "FFF"), (2, 0, 5, "GGG"), (2, 1, 50, "HHH")],
    );
    let new = ["1/2 FFF", "2/0 GGG", "2/1 HHH"];
    shows(&weir, "earliest", &[&old[..], &new].concat());
    shows(&weir, "latest", &new);
    shows(&weir, "instant", &[&old[1..3], &new].concat());
    shows(&weir, "after", &[&old[2..3], &new].concat());
    shows(&weir, "never", &new);
}

/// Goal: what other writers compress is read, what they abort or leave open is not, and neither keeps a pipeline from
/// going live. Method: the core day, each topic by another codec, in transactions: aborted, committed, left open.
#[test]
fn compressed_batches_and_transactions_of_others_are_read() {
    const CODECS: [&str; 4] = ["lz4", "zstd", "snappy", "gzip"];
    let _awake = awake();
    let topics = Topics::new("transactions");
    let day = Recorded::read(&core_day());
    for (index, codec) in CODECS.into_iter().enumerate() {
        let of_codec = day.0.keys().skip(index).step_by(CODECS.len());
        let of_codec: Vec<&str> = of_codec.flat_map(|topic| ["--topic", topic]).collect();
        for ending in ["abort", "commit", "never"] {
            let how = ["--compression", codec, "--transaction", ending];
            topics.publish(&core_day(), &[&of_codec[..], &how].concat());
        }
    }
    let weir = Served::start(&topics.pipeline());
    weir.until("live", |status| status["state"] == "live");
    // Each record comes to lie behind the aborted ones and the marker of their end.
    let mut moved = day.clone();
    moved.move_offsets(|topic, partition, offset| offset + day.count(topic, partition) + 1);
    same(&weir, &topics, replayed(moved.write().path()).path());
}

/// A broker that hangs until this is dropped.
pub(super) struct Frozen(String);

impl Frozen {
    fn new() -> Self {
        let group = std::env::var("KAFKA_PROCESS_GROUP")
            .expect("KAFKA_PROCESS_GROUP is the broker's: `cargo xtask services up` tells it");
        Self::of(format!("-{group}"))
    }

    /// A process, or with a minus a group of them.
    pub(super) fn of(processes: String) -> Self {
        let frozen = Self(processes);
        weir::signal("STOP", &frozen.0);
        frozen
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        weir::signal("CONT", &self.0);
    }
}

/// Goal: a broker that hangs is told of within seconds, once, and reading goes on by itself when it wakes. Method: the
/// broker is stopped, no connection is closed, and nothing is published that could be missed.
#[test]
fn a_broker_that_hangs_is_told_of() {
    let _asleep = BROKER.write().unwrap_or_else(PoisonError::into_inner);
    let topics = Topics::new("hangs");
    publish(&topics, &[(0, 0, 10, "AAA")]);
    let weir = rates(&topics, &[("all", "earliest")]);
    weir.live();
    shows(&weir, "all", &["0/0 AAA"]);
    let error = |status: &Value| status["sources"][0]["error"].as_str().map(str::to_owned);
    assert_eq!(error(&weir.status()), None);

    let frozen = Frozen::new();
    let status = weir.until("told that a broker hangs", |status| error(status).is_some());
    let told = error(&status).expect("just seen");
    assert!(told.contains("does not answer"), "{told}");
    assert!(told.contains(&topics.named("refdata.fx")), "{told}");
    let (code, ready) = weir.get("/readyz");
    assert_eq!(
        (code, &ready["state"]),
        (200, &json!("live")),
        "what is shown stays right"
    );
    assert_eq!(ready["topics"][0]["error"], told.as_str());
    assert_eq!(weir.said("a broker is silent").len(), 1);
    drop(frozen);

    publish(&topics, &[(0, 1, 20, "BBB")]);
    shows(&weir, "all", &["0/0 AAA", "0/1 BBB"]);
    weir.until("told that it is over", |status| error(status).is_none());
    assert_eq!(weir.said("a broker is silent").len(), 1);
    assert_eq!(weir.get("/readyz").1["topics"], json!([]));
}
