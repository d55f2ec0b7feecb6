//! The served tables as programs read them: rows by query, and the live stream.

use crate::served::{Served, day, eventually};
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

/// The tables of one reader of the stream, by name and key.
type Tables = BTreeMap<String, BTreeMap<String, Value>>;

/// Follows the stream as the protocol says, for as long as frames come that `more` wants.
async fn follow(served: &Served, more: impl Fn(&Value) -> bool) -> (u64, Tables) {
    let url = format!("ws://{}/api/v1/live", served.address());
    let (mut socket, _) = connect_async(url).await.expect("the stream opens");
    let (mut tables, mut keys, mut staged) = (Tables::new(), BTreeMap::new(), vec![]);
    let mut epoch = None;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message.expect("the stream is whole") else {
            continue;
        };
        let frame: Value = serde_json::from_str(&text).expect("a frame is JSON");
        let base = frame["base_epoch"].as_u64();
        assert!(base.is_none() || base == epoch, "a gap before {text}");
        match frame["type"].as_str().expect("a type") {
            "rows" => staged.push(frame),
            "cut" => {
                epoch = frame["epoch"].as_u64();
                staged
                    .drain(..)
                    .for_each(|frame| apply(&mut tables, &mut keys, &frame));
            }
            _ if more(&frame) => {}
            _ => break,
        }
    }
    (epoch.expect("a cut was sent"), tables)
}

fn apply(tables: &mut Tables, keys: &mut BTreeMap<String, Vec<usize>>, frame: &Value) {
    let name = frame["table"].as_str().expect("a table").to_owned();
    let rows = tables.entry(name.clone()).or_default();
    if let Some(columns) = frame["columns"].as_array() {
        rows.clear();
        let place = |key: &Value| {
            columns
                .iter()
                .position(|column| column["name"] == *key)
                .expect("a key is a column")
        };
        keys.insert(
            name.clone(),
            frame["key"]
                .as_array()
                .expect("a key")
                .iter()
                .map(place)
                .collect(),
        );
    }
    for key in frame["removed"].as_array().expect("keys") {
        rows.remove(&key.to_string())
            .expect("what is removed was there");
    }
    for row in frame["upserts"].as_array().expect("rows") {
        let key: Value = keys[&name]
            .iter()
            .map(|&index| row[index].clone())
            .collect();
        rows.insert(key.to_string(), row.clone());
    }
}

/// Goal: who follows the stream has what who asks for the rows gets. Method: follow a day while it is replayed, to its
/// end; then every table, cell by cell.
#[tokio::test]
async fn the_stream_leads_to_the_rows() {
    let served = Served::replay(&day("sample-core"), &["--speed", "4000"]);
    let (epoch, tables) = follow(&served, |status| status["state"] != "ended").await;
    let (_, known) = served.get("/api/v1/tables").await;
    assert_eq!(
        known["epoch"].as_u64(),
        Some(epoch),
        "the stream tells the end after the last cut"
    );
    let known = known["tables"].as_array().expect("tables").iter();
    for table in known.filter(|table| table["asked_by"].is_null()) {
        let name = table["name"].as_str().expect("a name");
        let (_, answer) = served
            .get(&format!(
                "/api/v1/tables/{name}/rows?cells=text&limit=100000"
            ))
            .await;
        assert_eq!(answer["total"], table["rows"], "{name}");
        let mut expected: Vec<String> = answer["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut streamed: Vec<String> = tables[name].values().map(ToString::to_string).collect();
        expected.sort();
        streamed.sort();
        assert_eq!(streamed, expected, "{name}");
    }
}

/// Goal: rows are asked for by filter, order and page, each answer with its cut. Method: a day stopped at an instant.
#[tokio::test]
async fn rows_are_asked_for() {
    let served = Served::replay(&day("sample-core"), &["--until", "2026-03-02T09:00:00Z"]);
    let ended = served.ended().await;
    let path = "/api/v1/tables/positions/rows?where=settled%20%3E%2010000000&sort=-settled&limit=5";
    let (status, answer) = served.get(path).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        [&answer["run"], &answer["epoch"], &answer["as_of"]],
        [&ended["run"], &ended["epoch"], &ended["as_of"]]
    );
    assert_eq!(answer["as_of"], "2026-03-02T09:00:00Z");
    let settled: Vec<&str> = answer["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["settled"].as_str().expect("text"))
        .collect();
    let digits = |text: &&str| text.split('.').next().map_or(0, str::len);
    assert_eq!(settled.len(), 5);
    assert!(
        settled.is_sorted_by_key(|text| std::cmp::Reverse(digits(text))),
        "{settled:?}"
    );
    let (status, refused) = served
        .get("/api/v1/tables/positions/rows?where=setled%20%3E%201")
        .await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (400, &json!("bad_expression"))
    );
}

/// Parts of 10^-22.
fn parts(row: &Value, column: &str) -> i128 {
    let Some(text) = row[column].as_str() else {
        return 0;
    };
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{decimals:0<22}").parse().expect("digits")
}

/// Half to even, to parts of a millionth.
fn millionths(parts: i128) -> i128 {
    let unit = 10_i128.pow(16);
    let (below, rest) = (parts.div_euclid(unit), parts.rem_euclid(unit));
    match (2 * rest).cmp(&unit) {
        std::cmp::Ordering::Less => below,
        std::cmp::Ordering::Equal => below + below.rem_euclid(2),
        std::cmp::Ordering::Greater => below + 1,
    }
}

/// Goal: every cell of the day is told by its records, to the last digit, and each of them says where it was read.
/// Method: ask for the contributions of every cell, add them up, round once. What a pending sale has had delivered
/// stands among its records.
#[tokio::test]
async fn the_records_of_a_cell_sum_to_it() {
    let served = Served::replay(&day("sample-day"), &["--until", "2026-03-02T18:00:00Z"]);
    check_records(&served, 1).await;
    let (_, sale) = served
        .get("/api/v1/tables/contributions/rows?where=drill_key%20=%20'BANK-FR%7Cbasel%7CIN%7Cpending_sale%7C%7C0'")
        .await;
    let rows = sale["rows"].as_array().expect("rows").iter();
    let delivered: Vec<_> = rows.filter(|row| row["origin"] == "delivery").collect();
    let [delivered] = delivered[..] else {
        panic!("{sale}");
    };
    assert_eq!(
        [
            &delivered["id"],
            &delivered["topic"],
            &delivered["weighted"]
        ],
        [&json!("B-00104"), &json!("settlements"), &json!(null)]
    );
    let (status, refused) = served
        .get("/api/v1/tables/contributions/rows?where=leg%20=%200")
        .await;
    let code = &refused["error"]["code"];
    assert_eq!((status, code), (400, &json!("asked_by")));
}

/// Asks for the records of every cell, or of every so many.
pub(crate) async fn check_records(served: &Served, step: usize) {
    served.ended().await;
    let (_, answer) = served.get("/api/v1/tables/cells/rows?limit=100000").await;
    let cells = answer["rows"].as_array().expect("rows");
    assert!(cells.len() > 500, "{} cells", cells.len());
    let check = async |cell: &Value| {
        let key = cell["drill_key"].as_str().expect("a key");
        let quoted = key
            .replace('%', "%25")
            .replace('|', "%7C")
            .replace(' ', "%20");
        let path = format!(
            "/api/v1/tables/contributions/rows?where=drill_key%20=%20'{quoted}'&limit=100000"
        );
        let (status, answer) = served.get(&path).await;
        assert_eq!(status, 200, "{answer}");
        let rows = answer["rows"].as_array().expect("rows");
        for column in ["unweighted", "weighted"] {
            let sum: i128 = rows.iter().map(|row| parts(row, column)).sum();
            let expected = millionths(parts(cell, column));
            assert_eq!(millionths(sum), expected, "{column} of {cell}");
        }
        for row in rows {
            let place = [&row["topic"], &row["partition"], &row["offset"]];
            assert!(place.iter().all(|cell| !cell.is_null()), "{row}");
            assert_eq!(&row["drill_key"], key);
        }
    };
    let asked = futures::stream::iter(cells.iter().step_by(step));
    asked.for_each_concurrent(4, check).await;
}

/// Goal: a foreign page or a name bound anew reads nothing, also over a real socket.
#[tokio::test]
async fn strangers_are_turned_away() {
    let served = Served::replay(&day("sample-core"), &["--until", "2026-03-02T06:30:00Z"]);
    served.until("/readyz", |status, _| status == 200).await;
    for (name, value, expected) in [
        ("host", "evil.example", 421),
        ("origin", "http://evil.example", 403),
        ("origin", served.origin.as_str(), 200),
    ] {
        let answer = served
            .request("/api/v1/status")
            .header(name, value)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), expected, "{name}: {value}");
    }
    eventually("the engine's metrics", async || {
        let answer = served.request("/metrics").send().await.expect("an answer");
        answer
            .text()
            .await
            .expect("text")
            .contains("weir_epoch ")
            .then_some(())
    })
    .await;
}

/// Goal: a server answers to names that it was given, with their port where they have one, and to no others; its pages may
/// ask it by them.
#[tokio::test]
async fn names_that_are_given_are_answered() {
    let given = ["--host", "desk.example", "--host", "other.example:9000"];
    for (more, is_given) in [(&given[..], true), (&[], false)] {
        let until = ["--until", "2026-03-02T06:30:00Z"];
        let served = Served::replay(&day("sample-core"), &[&until[..], more].concat());
        served.until("/readyz", |status, _| status == 200).await;
        let own = served.address();
        for (host, is_named) in [
            (own, true),
            ("desk.example", is_given),
            ("desk.example:8443", is_given),
            ("DESK.example", is_given),
            ("other.example:9000", is_given),
            ("other.example", false),
            ("other.example:9001", false),
            ("desk.example.evil.example", false),
            ("evil.example", false),
        ] {
            let ask = |origin: Option<String>| {
                let request = served.request("/api/v1/status").header("host", host);
                match origin {
                    Some(origin) => request.header("origin", origin),
                    None => request,
                }
            };
            for (origin, allowed) in [
                (None, 200),
                (Some(format!("http://{host}")), 200),
                (Some(format!("https://{host}")), 200),
                (Some("https://evil.example".to_owned()), 403),
            ] {
                let expected = if is_named { allowed } else { 421 };
                let answer = ask(origin.clone()).send().await.expect("an answer");
                let status = answer.status().as_u16();
                assert_eq!(status, expected, "{host} {origin:?} {more:?}");
            }
        }
    }
}
