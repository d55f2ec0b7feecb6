//! Writers whose schemas change mid-stream, keys by a schema, and headers as columns.

use super::dead_letters::{Registry, avro, base64, record};
use super::recorded::Recorded;
use super::{Served, Topics, awake};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What rows are read as: a field that writers may lack, one that was called otherwise.
const READER: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"id","type":"string"},
    {"name":"amount","type":"long","aliases":["quantity"]},
    {"name":"note","type":"string","default":"none"}]}"#;

/// Registers a schema of these fields; answers its id.
fn register(subject: &str, fields: &str) -> u32 {
    let url = std::env::var("SCHEMA_REGISTRY_URL").expect("SCHEMA_REGISTRY_URL is the registry's");
    let schema = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let answer: Value = runtime.expect("a runtime").block_on(async {
        let asked = reqwest::Client::new()
            .post(format!("{url}/subjects/{subject}/versions"))
            .header("content-type", "application/vnd.schemaregistry.v1+json")
            .body(json!({ "schema": schema }).to_string())
            .send()
            .await;
        let text = asked
            .expect("the registry answers")
            .text()
            .await
            .expect("a body");
        serde_json::from_str(&text).expect("JSON")
    });
    let id = answer["id"]
        .as_u64()
        .unwrap_or_else(|| panic!("{subject}: {answer}"));
    u32::try_from(id).expect("an id")
}

/// A record in the wire format: text, numbers and texts one behind the other.
fn written(id: u32, parts: &[Value]) -> Value {
    let mut bytes = [&[0][..], &id.to_be_bytes()].concat();
    let varint = |number: i64, bytes: &mut Vec<u8>| {
        let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
        while left >= 0x80 {
            bytes.push(u8::try_from(left & 0x7f).expect("seven bits") | 0x80);
            left >>= 7;
        }
        bytes.push(u8::try_from(left).expect("seven bits"));
    };
    for part in parts {
        if let Some(number) = part.as_i64() {
            varint(number, &mut bytes);
        } else {
            let text = part.as_str().expect("a number or text");
            varint(i64::try_from(text.len()).expect("short"), &mut bytes);
            bytes.extend(text.as_bytes());
        }
    }
    json!({ "value_base64": base64(&bytes) })
}

/// Topics that are written a record at a time.
struct Written {
    topics: Topics,
    next: BTreeMap<&'static str, i64>,
}

impl Written {
    fn new(test: &str) -> Self {
        Self {
            topics: Topics::new(test),
            next: BTreeMap::new(),
        }
    }

    fn publish(&mut self, topic: &'static str, key: &str, what: &Value) {
        let next = self.next.entry(topic).or_default();
        let made = vec![record(*next, key, what)];
        *next += 1;
        let day = Recorded(BTreeMap::from([(topic.to_owned(), made)])).write();
        self.topics.publish(day.path(), &["--topic", topic]);
    }

    fn pipeline(&self, rest: &str) -> PathBuf {
        let folder = self.topics.folder.path();
        std::fs::write(folder.join("reader.avsc"), READER).expect("a temporary file");
        let name = self.topics.named("evolution");
        self.topics.write(&format!(
            "weir: 1\nname: {name}\nengine: {{ clock: event, cycle_min_ms: 1, checkpoint: {{ every_s: 1, to: state }} }}\n\
             clusters: {{ main: {{ bootstrap.servers: \"${{env:KAFKA_BOOTSTRAP}}\" }} }}\n{rest}"
        ))
    }
}

fn rows(weir: &Served, table: &str) -> Vec<String> {
    let rows = weir.rows(&format!("/api/v1/tables/{table}/rows"));
    let cells = |row: &Value| {
        let cells = row.as_object().expect("a row").values();
        let text = |cell: &Value| {
            cell.as_str()
                .map_or_else(|| cell.to_string(), str::to_owned)
        };
        cells.map(text).collect::<Vec<_>>().join(" ")
    };
    rows.iter().map(cells).collect()
}

/// Goal: what writers may change is read right, and what they may not is waited in front of, is told with subject, id and
/// offset, and is a dead letter where the file says so. Method: six schemas one after the other while the pipeline is live.
#[test]
fn writers_change_their_schemas() {
    let _awake = awake();
    let mut written_to = Written::new("evolution");
    let topic = written_to.topics.named("trades.derivatives");
    let subject = format!("{topic}-value");
    let text = |extra: &str| {
        format!(
            "registries: {{ main: {{ url: \"${{env:SCHEMA_REGISTRY_URL}}\" }} }}\n\
             sources:\n  raw: {{ kafka: {{ cluster: main, topic: {topic} }}, decode: {{ avro: {{ registry: main, schema: \
             reader.avsc{extra} }} }} }}\n  other: {{ kafka: {{ cluster: main, topic: {other} }}, decode: text }}\n\
             stages:\n  of: {{ from: raw, select: {{ place: _offset, id: id, amount: amount, note: note }} }}\n  \
             lines: {{ from: other, select: {{ place: _offset, line: text }} }}\n\
             tables:\n  r: {{ from: of, key: [place] }}\n  lines: {{ from: lines, key: [place] }}\n",
            other = written_to.topics.named("trades.equities"),
        )
    };
    let (waits, refuses) = (text(""), text(", on_incompatible: dead_letter"));
    let id = r#"{"name":"id","type":"string"}"#;
    let amount = r#"{"name":"amount","type":"int"}"#;
    let note = r#"{"name":"note","type":"string","default":"none"}"#;
    let first = register(&subject, &format!("{id},{amount}"));
    written_to.publish(
        "trades.derivatives",
        "K",
        &written(first, &[json!("A"), json!(1)]),
    );
    written_to.publish("trades.equities", "K", &json!({ "value_text": "one" }));
    let weir = Served::start(&written_to.pipeline(&waits));
    weir.has_read(2);
    assert_eq!(rows(&weir, "r"), ["0 A 1 none"]);

    let long = r#"{"name":"amount","type":"long"}"#;
    let later: [(&str, Vec<Value>); 4] = [
        // A defaulted field more.
        (
            &format!("{id},{amount},{note}"),
            vec![json!("B"), json!(2), json!("new")],
        ),
        // It is gone again, and one came that nobody reads.
        (
            &format!(r#"{id},{{"name":"venue","type":"string"}},{amount}"#),
            vec![json!("C"), json!("X"), json!(3)],
        ),
        // A wider number.
        (
            &format!("{id},{long}"),
            vec![json!("D"), json!(1_i64 << 40)],
        ),
        // By another name.
        (
            &format!(r#"{id},{{"name":"quantity","type":"long"}}"#),
            vec![json!("E"), json!(-5)],
        ),
    ];
    for (fields, values) in &later {
        let schema = register(&subject, fields);
        written_to.publish("trades.derivatives", "K", &written(schema, values));
    }
    weir.has_read(6);
    let good = [
        "0 A 1 none",
        "1 B 2 new",
        "2 C 3 none",
        "3 D 1099511627776 none",
        "4 E -5 none",
    ];
    assert_eq!(rows(&weir, "r"), good);

    let bad = register(
        &subject,
        &format!(r#"{id},{{"name":"amount","type":"string"}}"#),
    );
    written_to.publish(
        "trades.derivatives",
        "K",
        &written(bad, &[json!("F"), json!("six")]),
    );
    written_to.publish(
        "trades.derivatives",
        "K",
        &written(first, &[json!("G"), json!(7)]),
    );
    written_to.publish("trades.equities", "K", &json!({ "value_text": "two" }));
    let status = weir.until("told", |status| status["sources"][0]["error"].is_string());
    let why = status["sources"][0]["error"]
        .as_str()
        .expect("just seen")
        .to_owned();
    let told =
        format!("topic `{topic}`, partition 0, offset 5: subject `{subject}`, schema id {bad}: ");
    assert!(why.starts_with(&told) && why.contains("amount"), "{why}");
    weir.until("read by the other source", |status| {
        status["sources"][1]["position"]["0"] == 2
    });
    assert_eq!(rows(&weir, "lines"), ["0 one", "1 two"]);
    weir.pause(Duration::from_secs(1));
    assert_eq!(
        (
            &weir.status()["sources"][0]["position"]["0"],
            rows(&weir, "r").len()
        ),
        (&json!(5), good.len())
    );
    let (code, ready) = weir.get("/readyz");
    assert_eq!(
        (code, ready["topics"][0]["error"].as_str()),
        (200, Some(&*why)),
        "{ready}"
    );
    assert_eq!(weir.said("source failed").len(), 1);
    // Two checkpoints at least.
    weir.pause(Duration::from_secs(3));
    drop(weir);

    let weir = Served::start(&written_to.pipeline(&refuses));
    weir.has_read(9);
    assert_eq!(rows(&weir, "r"), [&good[..], &["6 G 7 none"]].concat());
    let letters = weir.rows("/api/v1/dead-letters");
    assert_eq!(
        (letters.len(), &letters[0]["code"], &letters[0]["offset"]),
        (1, &json!("schema_incompatible"), &json!(5))
    );
}

/// Goal: a registry that is away when a new schema comes is waited for, and told of; keys by the registry and headers are
/// columns, and a record whose key cannot be read is refused. Method: a registry that stops answering for a while.
#[test]
fn a_registry_that_is_away_is_waited_for() {
    const SCHEMA: &str =
        r#"{"type":"record","name":"R","fields":[{"name":"ccy","type":"string"}]}"#;
    let _awake = awake();
    let registry = Registry::new(SCHEMA);
    registry.knows(7);
    registry.knows(8);
    let mut written_to = Written::new("away.registry");
    let topic = written_to.topics.named("refdata.fx");
    let schema = written_to.topics.folder.path().join("ccy.avsc");
    std::fs::write(&schema, SCHEMA).expect("a temporary file");
    let avro_of = format!(
        "{{ avro: {{ registry: main, schema: {} }} }}",
        schema.display()
    );
    let text = format!(
        "registries: {{ main: {{ url: {} }} }}\n\
         sources:\n  raw:\n    kafka: {{ cluster: main, topic: {topic} }}\n    \
         decode: {{ key: {avro_of}, value: {avro_of}, headers: {{ trace: x-trace }} }}\n\
         stages:\n  of: {{ from: raw, select: {{ place: _offset, key: key_ccy, ccy: ccy, trace: trace }} }}\n\
         tables:\n  r: {{ from: of, key: [place] }}\n",
        registry.url
    );
    let key = |id: char, ccy: &str| {
        format!(
            "\0\0\0\0{id}{}{ccy}",
            char::from(u8::try_from(ccy.len() * 2).expect("short"))
        )
    };
    let mut traced = avro(7, "AAA");
    traced["headers"] = json!({ "x-trace": "abc" });
    written_to.publish("refdata.fx", &key('\u{7}', "KEY"), &traced);
    written_to.publish("refdata.fx", "no key", &avro(7, "BBB"));
    let weir = Served::start(&written_to.pipeline(&text));
    weir.has_read(2);
    assert_eq!(rows(&weir, "r"), ["0 KEY AAA abc"]);
    let letters = weir.rows("/api/v1/dead-letters");
    assert_eq!(
        (letters.len(), &letters[0]["code"]),
        (1, &json!("wrong_magic"))
    );
    assert!(
        letters[0]["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("the key: ")),
        "{letters:?}"
    );

    registry.is_away.store(true, Ordering::Relaxed);
    written_to.publish("refdata.fx", &key('\u{7}', "KEY"), &avro(8, "CCC"));
    written_to.publish("refdata.fx", &key('\u{7}', "KEY"), &avro(7, "DDD"));
    let status = weir.until("told", |status| status["sources"][0]["error"].is_string());
    let why = status["sources"][0]["error"].as_str().expect("just seen");
    assert!(
        why.contains("offset 2") && why.contains("does not answer as it should"),
        "{why}"
    );
    assert_eq!(
        (&status["state"], rows(&weir, "r").len()),
        (&json!("live"), 1)
    );
    weir.pause(Duration::from_secs(3));
    assert_eq!(weir.status()["sources"][0]["position"]["0"], 2);
    registry.is_away.store(false, Ordering::Relaxed);
    weir.has_read(4);
    assert_eq!(
        rows(&weir, "r"),
        ["0 KEY AAA abc", "2 KEY CCC null", "3 KEY DDD null"]
    );
    weir.until("told that it is over", |status| {
        status["sources"][0]["error"].is_null()
    });
    assert_eq!(weir.said("source failed").len(), 1);
}
