//! Bad messages among good ones: every one of them is kept, told once, and changes nothing.

use super::recorded::Recorded;
use super::{Served, Topics, awake, core_day, letters, replayed, same_tables};
use serde_json::{Value, json};

/// Who finds a bad message bad, how, and the message as a day's file has it.
type Poison = (&'static str, &'static str, &'static str, Value);

/// Beyond what any decoder looks at.
const LARGE_BYTES: usize = 10 << 20;

fn poisons() -> Vec<Poison> {
    let text = |text: &str| json!({ "value_text": text });
    let bytes = |base64: &str| json!({ "value_base64": base64 });
    let large = format!(r#"{{"accountId":"{}"}}"#, "x".repeat(LARGE_BYTES));
    let digits = r#"{"tradeRef":"POISON","status":"NEW","buySell":"B","quantity":1234567890123456789012345678901234567890,
        "cleanPrice":97.5,"accrued":0,"ccy":"USD","tradeDt":"2026-03-02","settleDt":"2026-03-04","account":"LIQ",
        "entity":"BANK-US","cpty":"CP-01","isin":"US547019A346","rev":1}"#;
    vec![
        (
            "trades.fx",
            "decode",
            "invalid_json",
            text(r#"{"dealId":"FX-1","notional":10"#),
        ),
        (
            "refdata.prices",
            "decode",
            "invalid_json",
            text(r#"{"instrumentId":"US424517A339","dirtyPrice":NaN}"#),
        ),
        ("trades.bonds", "bond_legs", "out_of_range", text(digits)),
        ("balances", "decode", "too_large", text(&large)),
        // {"confirmationId":"CNF-?"}, where ? is the byte FF.
        (
            "settlements",
            "decode",
            "invalid_utf8",
            bytes("eyJjb25maXJtYXRpb25JZCI6IkNORi3/In0="),
        ),
        // 01 00000001 FF: a schema's id behind a byte that is not 0.
        ("trades.repos", "decode", "wrong_magic", bytes("AQAAAAH/")),
        // 00 7FFFFFFE 02 04: a schema's id that no registry has come to.
        (
            "holdings",
            "decode",
            "unknown_schema_id",
            bytes("AH////4CBA=="),
        ),
    ]
}

/// The core day with every poison early, in the middle and at the end of its topic; then the same without them, where
/// the good records keep their places.
fn days() -> (Recorded, Recorded) {
    let mut poisoned = Recorded::read(&core_day());
    for (index, (topic, _, _, message)) in poisons().into_iter().enumerate() {
        let records = poisoned.0.get_mut(topic).expect("a topic of the day");
        for (number, after) in [1, records.len() / 2, records.len()]
            .into_iter()
            .rev()
            .enumerate()
        {
            let mut poison = message.clone();
            poison["partition"] = json!(0);
            poison["timestamp_ms"] = records[after - 1]["timestamp_ms"].clone();
            poison["key"] = json!(format!("POISON-{index}-{number}"));
            records.insert(after, poison);
        }
    }
    for records in poisoned.0.values_mut() {
        for (offset, record) in records.iter_mut().enumerate() {
            assert_eq!(record["partition"], 0, "the core day has one partition");
            record["offset"] = json!(offset);
        }
    }
    let mut clean = poisoned.clone();
    clean.retain(|record| !is_poison(record));
    (poisoned, clean)
}

fn is_poison(record: &Value) -> bool {
    let key = record["key"].as_str();
    key.is_some_and(|key| key.starts_with("POISON"))
}

/// What the API promises to tell of a poison: where it stood, who refused it and why, and its bytes unless too large.
fn promised(poisoned: &Recorded) -> Vec<Value> {
    let mut all = Vec::new();
    for (topic, stage, code, message) in poisons() {
        let of_it = |record: &&Value| is_poison(record);
        for record in poisoned.0[topic].iter().filter(of_it) {
            let at_ms = record["timestamp_ms"].as_i64().expect("a timestamp");
            let is_large = code == "too_large";
            all.push(json!({
                "topic": topic, "partition": 0, "offset": record["offset"], "at_ms": at_ms, "key": record["key"],
                "stage": stage, "code": code,
                "value": if is_large { &Value::Null } else { &message["value_text"] },
                "value_base64": message["value_base64"], "key_base64": null, "headers": [], "by_reference": is_large,
                "final": true,
            }));
        }
    }
    all
}

fn told(letter: &Value) -> Value {
    let mut told = letter.clone();
    let fields = told.as_object_mut().expect("a letter");
    let message = fields.remove("message").expect("a message");
    assert!(
        message.as_str().is_some_and(|text| !text.is_empty()),
        "{letter}"
    );
    fields.remove("field");
    let at = fields.remove("timestamp").expect("a timestamp");
    fields.insert(
        "at_ms".to_owned(),
        json!(ms_of(at.as_str().expect("an instant"))),
    );
    told
}

/// An instant of the day, which is 2 March 2026, in milliseconds since 1970.
fn ms_of(instant: &str) -> i64 {
    const DAY_MS: i64 = 1_772_409_600_000;
    let clock = instant
        .strip_prefix("2026-03-02T")
        .and_then(|clock| clock.strip_suffix('Z'));
    let clock = clock.unwrap_or_else(|| panic!("{instant} is not on the day"));
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let seconds = clock.split(':').fold(0, |sum, part| {
        sum * 60 + part.parse::<i64>().expect("digits")
    });
    DAY_MS + seconds * 1_000 + format!("{fraction:0<3}").parse::<i64>().expect("digits")
}

fn sorted(values: impl IntoIterator<Item = Value>) -> Vec<String> {
    let mut texts: Vec<String> = values
        .into_iter()
        .map(|value| {
            let ordered: std::collections::BTreeMap<String, Value> =
                serde_json::from_value(value).expect("an object");
            serde_json::to_string(&ordered).expect("JSON")
        })
        .collect();
    texts.sort();
    texts
}

/// Goal: a bad message stops nothing, is lost never and told once, with its bytes, and changes no table. Method: seven
/// kinds of them at three places each of the core day; the tables and letters of the same day without them.
#[test]
fn every_poison_is_told_once_and_changes_nothing() {
    let _awake = awake();
    let (poisoned, clean) = days();
    let expected = replayed(clean.write().path());
    let topics = Topics::new("poison");
    topics.publish(poisoned.write().path(), &[]);
    let weir = Served::start(&topics.pipeline());
    let status = weir.live();
    same_tables(&weir, expected.path());

    let all = weir.rows("/api/v1/dead-letters");
    assert_eq!(
        status["dead_letters"],
        all.len(),
        "the status counts them all"
    );
    let (bad, others): (Vec<Value>, Vec<Value>) = all
        .into_iter()
        .map(|letter| topics.plainly(letter))
        .partition(is_poison);
    let bad: Vec<Value> = bad.iter().map(told).collect();
    assert_eq!(bad.len(), poisons().len() * 3);
    assert_eq!(sorted(bad), sorted(promised(&poisoned)));
    assert_eq!(letters(&others), super::dumped_letters(expected.path()));
}
