//! Dead letters on the real broker: a topic of them, sending records again, and sources that are read no further.

use super::brokers::Frozen;
use super::recorded::Recorded;
use super::sinks::{Mock, make, sunk, told};
use super::{Served, Topics, awake};
use crate::weir;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DAY_MS: i64 = 1_772_409_600_000;

/// A record of a topic of one partition, a second after the one before.
pub(super) fn record(offset: i64, key: &str, what: &Value) -> Value {
    let mut record = json!({ "partition": 0, "offset": offset, "timestamp_ms": DAY_MS + offset * 1_000, "key": key });
    for (name, value) in what.as_object().expect("an object") {
        record[name] = value.clone();
    }
    record
}

fn good(ccy: &str) -> Value {
    json!({ "value": { "ccy": ccy, "rate": "1.5" } })
}

fn bad() -> Value {
    json!({ "value_text": "{\"ccy\":" })
}

/// A pipeline of topics of rates, each with a table that shows where its records stand.
struct Rates {
    topics: Topics,
    /// Records published so far, by topic.
    count: BTreeMap<&'static str, i64>,
}

impl Rates {
    fn new(test: &str) -> Self {
        Self {
            topics: Topics::new(test),
            count: BTreeMap::new(),
        }
    }

    fn publish(&mut self, topic: &'static str, records: &[(&str, Value)]) {
        let next = self.count.entry(topic).or_default();
        let made = (*next..).zip(records);
        let made: Vec<Value> = made
            .map(|(offset, (key, what))| record(offset, key, what))
            .collect();
        *next += i64::try_from(made.len()).expect("few");
        let day = Recorded(BTreeMap::from([(topic.to_owned(), made)])).write();
        self.topics.publish(day.path(), &["--topic", topic]);
    }

    /// A pipeline over these topics, with a state folder, and what else the file has.
    fn pipeline(&self, name: &str, state: &str, sources: &[&str], rest: &str) -> PathBuf {
        let schema = weir::root().join("schemas/raw/rate.json");
        let decode = format!("{{ json: {{ schema: {} }} }}", schema.display());
        self.decoding(name, state, sources, &decode, rest)
    }

    fn decoding(
        &self,
        name: &str,
        state: &str,
        sources: &[&str],
        decode: &str,
        rest: &str,
    ) -> PathBuf {
        use std::fmt::Write as _;
        let (mut raw, mut stages, mut tables) = (String::new(), String::new(), String::new());
        for (index, topic) in sources.iter().enumerate() {
            let topic = self.topics.named(topic);
            writeln!(
                raw,
                "  raw{index}: {{ kafka: {{ cluster: main, topic: {topic} }}, decode: {decode} }}"
            )
            .expect("memory");
            writeln!(
                stages,
                "  of{index}: {{ from: raw{index}, select: {{ place: _offset, ccy: ccy }} }}"
            )
            .expect("memory");
            writeln!(
                tables,
                "  rates{index}: {{ from: of{index}, key: [place] }}"
            )
            .expect("memory");
        }
        let folder = self.topics.folder.path();
        let name = self.topics.named(name);
        let text = format!(
            "weir: 1\nname: {name}\n\
             engine: {{ clock: event, cycle_min_ms: 1, checkpoint: {{ every_s: 1, to: {folder}/{state} }} }}\n\
             clusters:\n  main: {{ bootstrap.servers: \"${{env:KAFKA_BOOTSTRAP}}\" }}\n\
             sources:\n{raw}stages:\n{stages}tables:\n{tables}{rest}",
            folder = folder.display()
        );
        self.topics.write(&text)
    }
}

/// The dead letters in a topic as the brokers have them.
fn raw(topic: &str, more: &[&str]) -> Vec<Value> {
    told(&[&["read", "--name", topic, "--raw"][..], more].concat())
}

/// What is left of them when the topic is compacted: headers and value by key.
fn held(records: &[Value]) -> BTreeMap<String, Value> {
    let mut content = BTreeMap::new();
    for record in records {
        let key = record["key"].as_str().expect("a key").to_owned();
        if record["value"].is_null() {
            content.remove(&key);
        } else {
            content.insert(key, record.clone());
        }
    }
    content
}

fn places(weir: &Served, table: &str) -> Vec<String> {
    let rows = weir.rows(&format!("/api/v1/tables/{table}/rows"));
    let place = |row: &Value| {
        format!(
            "{} {}",
            row["place"],
            row["ccy"].as_str().expect("a currency")
        )
    };
    rows.iter().map(place).collect()
}

/// Runs `weir dead-letters`; answers whether it exited with 0, and what it said.
fn dead_letters(args: &[&str]) -> (bool, String) {
    let output = Command::new(weir::binary())
        .arg("dead-letters")
        .args(args)
        .output();
    let output = output.expect("weir starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8(said).expect("UTF-8"),
    )
}

/// Goal: each refused record is in the topic once, with its bytes and headers as they were and all that was wrong; a
/// restart adds nothing, with the state or without. Method: records refused for four reasons, at least once and exactly
/// once.
#[test]
fn refused_records_are_a_topic() {
    let _awake = awake();
    for delivery in ["at_least_once", "exactly_once"] {
        let mut rates = Rates::new(&format!("letters.{delivery}"));
        let (topic, source) = (
            rates.topics.named("letters"),
            rates.topics.named("refdata.fx"),
        );
        make(&topic);
        let large = format!("[\"{}\"]", "x".repeat(100_000));
        let mut traced = bad();
        traced["headers"] = json!({ "trace": "abc", "weir.code": "theirs" });
        rates.publish(
            "refdata.fx",
            &[
                ("A", good("AAA")),
                ("B", traced),
                ("C", json!({})),
                ("D", json!({ "value_text": large })),
                ("E", json!({ "value_base64": "/w==" })),
                ("F", good("FFF")),
            ],
        );
        let rest = format!(
            "dead_letters: {{ kafka: {{ cluster: main, topic: {topic}, delivery: {delivery} }} }}\n"
        );
        let run = |state: &str| rates.pipeline("letters", state, &["refdata.fx"], &rest);
        let weir = Served::start(&run("state"));
        weir.has_read(6);
        sunk(&weir);
        assert_eq!(places(&weir, "rates0"), ["0 AAA", "5 FFF"]);
        let written = raw(&topic, &[]);
        let letters = held(&written);
        assert_eq!((written.len(), letters.len()), (4, 4), "{written:?}");
        let letter = |offset: i64, code: &str| {
            let key = json!({ "topic": source, "partition": 0, "offset": offset, "stage": "decode", "code": code });
            let found = letters.values().find(|letter| {
                let text = letter["key"].as_str().expect("a key");
                serde_json::from_str::<Value>(text).expect("JSON") == key
            });
            found
                .unwrap_or_else(|| panic!("no letter {key}: {letters:?}"))
                .clone()
        };
        let b = letter(1, "invalid_json");
        // {"ccy":
        assert_eq!(b["value"], "eyJjY3kiOg==");
        let headers = b["headers"].as_object().expect("headers");
        let expected = [
            ("trace", "abc"),
            ("weir.topic", &*source),
            ("weir.partition", "0"),
            ("weir.offset", "1"),
            ("weir.stage", "decode"),
            ("weir.code", "invalid_json"),
            ("weir.timestamp", "2026-03-02T00:00:01Z"),
            ("weir.key", "B"),
        ];
        for (name, value) in expected {
            assert_eq!(headers[name], value, "{b}");
        }
        assert!(
            headers["weir.message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{b}"
        );
        assert!(
            headers["weir.epoch"].is_string() && headers.get("weir.value").is_none(),
            "{b}"
        );
        let (c, d) = (letter(2, "empty_value"), letter(3, "wrong_type"));
        assert_eq!(
            (&c["value"], &c["headers"]["weir.value"]),
            (&json!(""), &json!("tombstone"))
        );
        assert_eq!(
            (&d["value"], &d["headers"]["weir.value"]),
            (&json!(""), &json!("reference"))
        );
        assert_eq!(letter(4, "invalid_utf8")["value"], "/w==");
        weir.until("kept", |status| {
            status["checkpoint"]["epoch"] == status["epoch"]
        });
        drop(weir);
        for state in ["state", "other"] {
            let weir = Served::start(&run(state));
            weir.has_read(6);
            sunk(&weir);
            assert_eq!(raw(&topic, &[]).len(), written.len(), "{state}");
        }
    }
}

/// A registry of one schema that every id of a list has; others it does not know. It may be away.
pub(super) struct Registry {
    pub(super) url: String,
    ids: Arc<Mutex<Vec<u32>>>,
    pub(super) is_away: Arc<AtomicBool>,
}

impl Registry {
    pub(super) fn new(schema: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let ids = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&ids);
        let is_away = Arc::new(AtomicBool::new(false));
        let away = Arc::clone(&is_away);
        let schema = json!({ "schema": schema }).to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                if away.load(Ordering::Relaxed) {
                    continue;
                }
                let mut lines = BufReader::new(&stream).lines();
                let request = lines.next().expect("a line").expect("UTF-8");
                lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
                let is_known = |id: &u32| {
                    request.contains(&format!("/ids/{id}?"))
                        || request.contains(&format!("/ids/{id} "))
                };
                let (status, body) = if known.lock().expect("no panic").iter().any(is_known) {
                    (200, &*schema)
                } else {
                    (404, r#"{"error_code":40403,"message":"Schema not found"}"#)
                };
                let length = body.len();
                write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
                    .expect("it reads");
            }
        });
        Self { url, ids, is_away }
    }

    pub(super) fn knows(&self, id: u32) {
        self.ids.lock().expect("no panic").push(id);
    }
}

/// A currency as an Avro record with this schema id.
pub(super) fn avro(id: u8, ccy: &str) -> Value {
    let body: Vec<u8> = [
        &[0, 0, 0, 0, id, u8::try_from(ccy.len() * 2).expect("short")],
        ccy.as_bytes(),
    ]
    .concat();
    json!({ "value_base64": base64(&body) })
}

pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| {
        let all = [group, &[0; 3]].concat();
        let bits = all[..3]
            .iter()
            .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        let digit = |at: usize| {
            char::from(if at <= group.len() {
                DIGITS[bits >> (18 - 6 * at) & 63]
            } else {
                b'='
            })
        };
        [0, 1, 2, 3].map(digit)
    };
    bytes.chunks(3).flat_map(group).collect()
}

/// Goal: a record whose cause of refusal is gone is taken when it is sent again, at its own place; its letter goes, and the
/// topic's, too; one that is still bad is refused again; and all of it is the same when everything is read anew. Method: a
/// schema that the registry learns of late, and a record that no schema mends.
#[test]
fn refused_records_are_sent_again() {
    const SCHEMA: &str =
        r#"{"type":"record","name":"R","fields":[{"name":"ccy","type":"string"}]}"#;
    let _awake = awake();
    let registry = Registry::new(SCHEMA);
    registry.knows(7);
    let mut rates = Rates::new("again");
    let topic = rates.topics.named("letters");
    make(&topic);
    let mut traced = avro(8, "BBB");
    traced["headers"] = json!({ "trace": "abc" });
    rates.publish(
        "refdata.fx",
        &[
            ("A", avro(7, "AAA")),
            ("B", traced),
            ("C", json!({ "value_base64": "AQAAAAH/" })),
            ("D", avro(8, "DDD")),
            ("E", avro(7, "EEE")),
        ],
    );
    let schema = rates.topics.folder.path().join("rate.avsc");
    std::fs::write(&schema, SCHEMA).expect("a temporary file");
    let decode = format!(
        "{{ avro: {{ registry: main, schema: {} }} }}",
        schema.display()
    );
    let rest = format!(
        "registries: {{ main: {{ url: {} }} }}\ndead_letters: {{ kafka: {{ cluster: main, topic: {topic} }} }}\n",
        registry.url
    );
    let run = |state: &str| rates.decoding("again", state, &["refdata.fx"], &decode, &rest);
    let pipeline = run("state");
    let weir = Served::start(&pipeline);
    weir.has_read(5);
    sunk(&weir);
    assert_eq!(held(&raw(&topic, &[])).len(), 3);
    assert_eq!(places(&weir, "rates0"), ["0 AAA", "4 EEE"]);

    let file = pipeline.to_str().expect("UTF-8");
    let at = ["--at", &weir.url];
    let source = rates.topics.named("refdata.fx");
    let (is_good, said) =
        dead_letters(&[&["list", "--code", "unknown_schema_id"], &at[..]].concat());
    assert!(is_good && said.contains("2 of 2 dead letters"), "{said}");
    let id = format!("{source}/0/1");
    let (is_good, said) = dead_letters(&[&["show", &id], &at[..]].concat());
    assert!(
        is_good && said.contains("\"trace\"") && said.contains("unknown_schema_id"),
        "{said}"
    );
    let (is_good, said) = dead_letters(&[&["replay", file], &at[..]].concat());
    assert!(!is_good && said.contains("say which"), "{said}");
    let (is_good, said) =
        dead_letters(&[&["replay", file, "--all", "--dry-run"], &at[..]].concat());
    assert!(
        is_good && said.contains("3 records would be sent"),
        "{said}"
    );

    // Until the registry knows the schema, it does not help.
    let (is_good, said) =
        dead_letters(&[&["replay", file, "--code", "unknown_schema_id"], &at[..]].concat());
    assert!(
        !is_good && said.contains("2 records sent") && said.matches("refused again").count() == 2,
        "{said}"
    );
    assert_eq!(weir.status()["dead_letters"], 3);
    registry.knows(8);
    weir.pause(Duration::from_secs(11));
    let (is_good, said) = dead_letters(&[&["replay", file, "--stage", "decode"], &at[..]].concat());
    assert!(
        !is_good && said.contains("3 records sent") && said.matches("refused again").count() == 1,
        "{said}"
    );
    // At the places of their originals.
    let all = ["0 AAA", "1 BBB", "3 DDD", "4 EEE"];
    assert_eq!(places(&weir, "rates0"), all);
    sunk(&weir);
    let left = held(&raw(&topic, &[]));
    assert_eq!(left.len(), 1);
    assert!(
        left.keys()
            .next()
            .is_some_and(|key| key.contains("wrong_magic")),
        "{left:?}"
    );
    let sent = raw(&source, &[]);
    let (last, original) = (&sent[7], &sent[1]);
    assert_eq!(
        (&last["value"], &last["timestamp_ms"]),
        (&original["value"], &original["timestamp_ms"])
    );
    assert_eq!(
        last["headers"],
        json!({ "trace": "abc", "weir.replay-of": "0:1" })
    );
    let (is_good, said) =
        dead_letters(&[&["replay", file, "--code", "unknown_schema_id"], &at[..]].concat());
    assert!(is_good && said.contains("0 records sent"), "{said}");
    drop(weir);
    for state in ["state", "other"] {
        let weir = Served::start(&run(state));
        weir.has_read(10);
        sunk(&weir);
        assert_eq!(places(&weir, "rates0"), all, "{state}");
        assert_eq!(weir.status()["dead_letters"], 1, "{state}");
        assert_eq!(held(&raw(&topic, &[])).len(), 1, "{state}");
    }
}

/// Goal: while dead letters cannot be written, a source with refused records is read no further, and says so; the others
/// go on, and so does it when the topic's broker is back. Method: the topic is on a broker of its own, frozen meanwhile.
#[test]
fn a_source_waits_for_its_dead_letters() {
    let _awake = awake();
    let mut rates = Rates::new("waits");
    rates.publish("refdata.fx", &[("A", good("AAA"))]);
    rates.publish("refdata.prices", &[("A", good("AAA"))]);
    let mock = Mock::new("letters");
    let rest = "dead_letters: { kafka: { cluster: other, topic: letters } }\n";
    let path = rates.pipeline("waits", "state", &["refdata.fx", "refdata.prices"], rest);
    let text = std::fs::read_to_string(&path).expect("just written");
    let other = format!(
        "clusters:\n  other: {{ bootstrap.servers: \"{}\" }}\n",
        mock.bootstrap
    );
    let weir = Served::start(&rates.topics.write(&text.replace("clusters:\n", &other)));
    weir.has_read(2);
    sunk(&weir);
    let frozen = Frozen::of(mock.child.id().to_string());
    rates.publish("refdata.fx", &[("B", bad())]);
    let error = |status: &Value, source: usize| {
        status["sources"][source]["error"]
            .as_str()
            .map(str::to_owned)
    };
    let status = weir.until("told that letters cannot be written", |status| {
        error(status, 0).is_some()
    });
    let why = error(&status, 0).expect("just seen");
    assert!(
        why.contains("waits until its dead letters are written"),
        "{why}"
    );
    rates.publish("refdata.fx", &[("C", good("CCC"))]);
    rates.publish("refdata.prices", &[("C", good("CCC"))]);
    weir.until("read by the other source", |status| {
        status["sources"][1]["position"]["0"] == 2
    });
    assert_eq!(places(&weir, "rates1"), ["0 AAA", "1 CCC"]);
    let (code, ready) = weir.get("/readyz");
    assert_eq!(
        (code, ready["topics"][0]["error"].as_str()),
        (200, Some(&*why)),
        "{ready}"
    );
    assert_eq!(
        (
            &weir.status()["sources"][0]["position"]["0"],
            places(&weir, "rates0")
        ),
        (&json!(2), vec!["0 AAA".to_owned()])
    );
    drop(frozen);
    weir.has_read(5);
    weir.until("free of errors", |status| error(status, 0).is_none());
    sunk(&weir);
    assert_eq!(places(&weir, "rates0"), ["0 AAA", "2 CCC"]);
    assert_eq!(raw("letters", &["--bootstrap", &mock.bootstrap]).len(), 1);
    assert_eq!(weir.said("waits until its dead letters").len(), 1);
}

/// Goal: a source of which too many records are refused is read no further, is told of once and reads on after a restart;
/// the others go on; too many of all stop the pipeline. Method: two hundred records, most of them bad, in batches.
#[test]
fn too_many_refused_records_stop_their_source() {
    let _awake = awake();
    let mut rates = Rates::new("limits");
    let many = |from: i64| {
        let one = |n: i64| ("K", if n % 3 == 0 { good("AAA") } else { bad() });
        (from..from + 100).map(one).collect::<Vec<_>>()
    };
    rates.publish("refdata.fx", &many(0)[..50]);
    rates.publish("refdata.prices", &[("A", good("AAA"))]);
    let weir =
        Served::start(&rates.pipeline("limits", "state", &["refdata.fx", "refdata.prices"], ""));
    weir.has_read(51);
    assert_eq!(
        weir.status()["sources"][0]["error"],
        Value::Null,
        "too few to tell"
    );
    rates.publish("refdata.fx", &many(50));
    let status = weir.until("told that the source is held", |status| {
        status["sources"][0]["error"].is_string()
    });
    let why = status["sources"][0]["error"]
        .as_str()
        .expect("just seen")
        .to_owned();
    assert!(
        why.contains("is read no further than 0:") && why.contains("`percent_max: 50`"),
        "{why}"
    );
    weir.pause(Duration::from_secs(1));
    let position = weir.status()["sources"][0]["position"]["0"].clone();
    rates.publish("refdata.fx", &many(0));
    rates.publish("refdata.prices", &[("B", good("BBB"))]);
    weir.until("read by the other source", |status| {
        status["sources"][1]["position"]["0"] == 2
    });
    weir.pause(Duration::from_secs(1));
    let status = weir.status();
    assert_eq!(
        (&status["state"], &status["sources"][0]["position"]["0"]),
        (&json!("live"), &position)
    );
    let (code, ready) = weir.get("/readyz");
    assert_eq!(
        (code, ready["topics"][0]["error"].as_str()),
        (200, Some(&*why)),
        "{ready}"
    );
    let (_, metrics) = weir.get("/metrics");
    let metrics = metrics.as_str().expect("text");
    assert!(
        metrics.contains("weir_source_held{source=\"raw0\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("weir_source_held{source=\"raw1\"} 0"),
        "{metrics}"
    );
    assert_eq!(weir.said("too_many_refused").len(), 1);
    weir.until("kept", |status| {
        status["checkpoint"]["epoch"] == status["epoch"]
    });
    drop(weir);

    let rest =
        "dead_letters: { each_source: { percent_max: 100 }, pipeline: { count_max: 150 } }\n";
    let mut weir =
        Served::start(&rates.pipeline("limits", "state", &["refdata.fx", "refdata.prices"], rest));
    weir.has_read(252);
    rates.publish("refdata.fx", &many(0));
    rates.publish("refdata.fx", &many(0));
    let ended = weir.child.wait().expect("it was started");
    assert_eq!(ended.code(), Some(1));
    assert!(!weir.said("`count_max: 150`").is_empty());
}

/// Goal: what stands refused takes no more room than it was given: its source is read no further, the others are, and
/// with more room it goes on; nothing is lost. Method: large bad records, in portions, beside good ones.
#[test]
fn what_stands_refused_has_its_room() {
    let _awake = awake();
    let mut rates = Rates::new("room");
    let large = json!({ "value_text": format!("{{\"ccy\": \"{}", "x".repeat(50_000)) });
    let rest = |max_mib: u32| {
        format!("dead_letters: {{ each_source: {{ percent_max: 100 }}, max_mib: {max_mib} }}\n")
    };
    let start = |rates: &Rates, max_mib: u32| {
        let sources = ["refdata.fx", "refdata.prices"];
        Served::start(&rates.pipeline("room", "state", &sources, &rest(max_mib)))
    };
    let portion = vec![("K", large); 20];
    rates.publish("refdata.fx", &portion);
    rates.publish("refdata.prices", &[("A", good("AAA"))]);
    let weir = start(&rates, 1);
    weir.has_read(21);
    assert_eq!(weir.status()["sources"][0]["error"], Value::Null);
    rates.publish("refdata.fx", &portion);
    let error = |status: &Value| status["sources"][0]["error"].as_str().map(str::to_owned);
    let status = weir.until("told that there is no room", |status| {
        error(status).is_some()
    });
    let why = error(&status).expect("just seen");
    assert!(
        why.contains("more than `max_mib: 1`") && why.contains("raise the limit"),
        "{why}"
    );
    rates.publish("refdata.fx", &portion);
    rates.publish("refdata.prices", &[("B", good("BBB"))]);
    weir.until("read by the other source", |status| {
        status["sources"][1]["position"]["0"] == 2
    });
    let (_, metrics) = weir.get("/metrics");
    let metrics = metrics.as_str().expect("text");
    let bytes = metrics
        .lines()
        .find_map(|line| line.strip_prefix("weir_dead_letters_bytes "));
    let bytes: u64 = bytes.expect("a sample").parse().expect("a number");
    assert!((1 << 20..3 << 20).contains(&bytes), "{bytes}");
    drop(weir);

    let weir = start(&rates, 8);
    weir.has_read(62);
    assert_eq!(weir.status()["dead_letters"], 60);
    assert_eq!(error(&weir.status()), None);
}
