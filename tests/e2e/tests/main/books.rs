//! Properties of the ratio, on generated books through the whole pipeline: what redelivery, adjustments, the size of
//! all amounts and more of the best assets may do to it, and what not.

use crate::{bad_input, day, http, served::Served, weir};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use weir_e2e::day::{Run, lines};

const SEEDS: [u64; 3] = [11, 12, 13];
const DEALS: &str = "500";
const END: &str = "2026-03-02T16:00:00Z";
const END_MS: i64 = 1_772_467_200_000;
const TABLES: [&str; 7] = [
    "lcr",
    "positions",
    "cells",
    "hqla",
    "cash",
    "ladder",
    "failed",
];

/// Recorded lines by topic.
pub(crate) type Book = BTreeMap<String, Vec<Value>>;
/// Rows by table.
type Tables = BTreeMap<&'static str, Vec<Value>>;

pub(crate) fn book(seed: u64) -> Book {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (seed, out) = (seed.to_string(), folder.path().display().to_string());
    weir::feed([
        "random",
        "--seed",
        &seed,
        "--trades",
        DEALS,
        "--partitions",
        "2",
        "--out",
        &out,
    ]);
    let mut book = Book::new();
    for entry in std::fs::read_dir(folder.path()).expect("the day") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|ending| ending == "jsonl") {
            let topic = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            book.insert(topic, lines(&path).expect("lines"));
        }
    }
    assert!(
        book.len() >= 15,
        "a file for every topic: {:?}",
        book.keys()
    );
    book
}

pub(crate) fn write(book: &Book, folder: &Path) {
    for (topic, lines) in book {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        let path = folder.join(format!("{topic}.jsonl"));
        std::fs::write(path, lines.join("\n")).expect("a day is written");
    }
}

/// What the tables say at the end, each with its rows in order of their key.
fn tables(book: &Book) -> Tables {
    let (day, out) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    write(book, day.path());
    let run = Run::reference(weir::root(), weir::binary());
    run.replay(day.path(), END, out.path(), &[])
        .expect("the day replays");
    day::check_sums(out.path(), END);
    let table = |name: &'static str| {
        (
            name,
            lines(&out.path().join(format!("{name}.jsonl"))).expect("a table"),
        )
    };
    TABLES.map(table).into()
}

#[track_caller]
fn assert_same(found: &Tables, expected: &Tables, but: &[&str]) {
    for (name, expected) in expected {
        let without = |rows: &[Value]| -> Vec<Value> {
            let strip = |row: &Value| {
                let mut row = row.clone();
                row.as_object_mut()
                    .expect("a row")
                    .retain(|column, _| !but.contains(&column.as_str()));
                row
            };
            rows.iter().map(strip).collect()
        };
        assert_eq!(without(&found[name]), without(expected), "{name}");
    }
}

fn text<'r>(row: &'r Value, column: &str) -> Option<&'r str> {
    row[column].as_str()
}

/// Decimal text as parts of 10^-10.
fn parts(text: &str) -> i128 {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{decimals:0<10}").parse().expect("digits")
}

/// Goal: a record that comes twice changes nothing. Method: every record again, in a partition of its own.
#[test]
fn what_comes_twice_counts_once() {
    for seed in SEEDS {
        let once = book(seed);
        let again = |line: &Value| {
            let mut copy = line.clone();
            copy["partition"] = json!(line["partition"].as_i64().expect("a partition") + 100);
            [line.clone(), copy]
        };
        let twice = once
            .iter()
            .map(|(topic, lines)| (topic.clone(), lines.iter().flat_map(again).collect()));
        assert_same(&tables(&twice.collect()), &tables(&once), &[]);
    }
}

/// Goal: the unadjusted ratio is that of a day without adjustments, and an override that is revoked was never there.
#[test]
fn adjustments_leave_no_trace() {
    for seed in SEEDS {
        let mut adjusted = book(seed);
        let mut never = adjusted.clone();
        never.remove("adjustments");
        let without = tables(&never);
        let held = without["positions"]
            .iter()
            .filter_map(|row| text(row, "instrument_id"));
        let log = adjusted.get_mut("adjustments").expect("the topic");
        for (number, instrument) in held.step_by(7).enumerate() {
            for (version, action, user) in [(1, "SUBMIT", "one"), (2, "APPROVE", "two")] {
                let id = format!("OWN-{number}");
                let value = json!({
                    "adjustmentId": id, "version": version, "action": action, "user": user, "at": "2026-03-02T15:00:00Z",
                    "scope": "instrument", "key": instrument, "hqlaClass": "L2B", "reasonCode": "TEST",
                    "effectiveFrom": "2026-03-02T00:00:00Z", "effectiveTo": "2026-03-03T00:00:00Z",
                });
                log.push(json!({
                    "partition": 91, "offset": 2 * number + version - 1, "timestamp_ms": END_MS - 3_000, "key": id,
                    "value": value,
                }));
            }
        }
        let with = tables(&adjusted);
        let column = |rows: &[Value], value: &str| -> Vec<Value> {
            rows.iter().map(|row| row[value].clone()).collect()
        };
        assert_eq!(
            column(&with["lcr"], "base_lcr"),
            column(&without["lcr"], "lcr")
        );
        assert_eq!(
            column(&with["lcr"], "base_lcr"),
            column(&without["lcr"], "base_lcr")
        );
        assert_eq!(
            column(&with["positions"], "base_hqla_class"),
            column(&without["positions"], "hqla_class")
        );
        let active = with["positions"]
            .iter()
            .filter(|row| text(row, "adjustment_id").is_some());
        assert!(
            active.count() > 0,
            "an override is in force at the end of seed {seed}"
        );

        let mut revoked = adjusted.clone();
        let log = revoked.get_mut("adjustments").expect("the topic");
        let ids = log
            .iter()
            .filter_map(|line| text(&line["value"], "adjustmentId").map(str::to_owned));
        let ids: BTreeSet<String> = ids.collect();
        for (offset, id) in ids.into_iter().enumerate() {
            log.push(json!({
                "partition": 90, "offset": offset, "timestamp_ms": END_MS - 1_000, "key": id,
                "value": { "adjustmentId": id, "version": 1_000_000, "action": "REVOKE", "user": "nobody before",
                           "at": "2026-03-02T15:59:59Z" },
            }));
        }
        assert_same(&tables(&revoked), &without, &[]);
    }
}

/// Goal: a bank three times as large has the same ratio. Method: every amount and quantity times three.
#[test]
fn the_ratio_has_no_size() {
    for seed in SEEDS {
        let small = book(seed);
        let large = small.iter().map(|(topic, lines)| {
            let lines = lines.iter().map(|line| tripled(topic, line));
            (topic.clone(), lines.collect())
        });
        let (small, large) = (tables(&small), tables(&large.collect()));
        assert_eq!(small["lcr"].len(), large["lcr"].len());
        for (small, large) in small["lcr"].iter().zip(&large["lcr"]) {
            for column in [
                "entity",
                "scope",
                "regime",
                "lcr",
                "base_lcr",
                "state",
                "inflow_cap_binding",
            ] {
                assert_eq!(small[column], large[column], "{column} of {large}");
            }
            for column in [
                "l1",
                "l2a",
                "l2b",
                "adj_l1",
                "adj_l2a",
                "adj_l2b",
                "hqla",
                "outflow",
                "net_outflow",
                "addon",
            ] {
                let amount = |row: &Value| parts(text(row, column).expect("an amount"));
                // Each was rounded to a millionth.
                assert!(
                    (3 * amount(small) - amount(large)).abs() <= 20_000,
                    "{column} of {large}"
                );
            }
        }
    }
}

/// Goal: more of the best assets never lowers the stock or the ratio. Method: reserves for every entity.
#[test]
fn more_reserves_never_hurt() {
    for seed in SEEDS {
        let before = book(seed);
        let poor = tables(&before);
        let entities: BTreeSet<&str> = poor["lcr"]
            .iter()
            .filter_map(|row| text(row, "entity"))
            .collect();
        let mut after = before.clone();
        let balances = after.get_mut("balances").expect("the topic");
        for (offset, entity) in entities.iter().enumerate() {
            let account = format!("MORE-{entity}");
            balances.push(json!({
                "partition": 90, "offset": offset, "timestamp_ms": END_MS - 1_000, "key": account,
                "value": { "accountId": account, "version": 1, "kind": "cb_reserve", "ccy": "USD", "amount": "12,345,678.90",
                           "entity": entity },
            }));
        }
        let rich = tables(&after);
        for (poor, rich) in poor["lcr"].iter().zip(&rich["lcr"]) {
            assert_eq!(poor["net_outflow"], rich["net_outflow"], "{rich}");
            for column in ["hqla", "lcr", "base_lcr"] {
                if let (Some(poor), Some(rich)) = (text(poor, column), text(rich, column)) {
                    assert!(parts(poor) <= parts(rich), "{column}: {poor} became {rich}");
                }
            }
        }
    }
}

/// Goal: also cells of a generated book are told by their records. Method: every seventh cell.
#[tokio::test]
async fn cells_of_generated_books_are_told_by_their_records() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(&book(SEEDS[0]), folder.path());
    let served = Served::replay(folder.path(), &["--until", END]);
    http::check_records(&served, 7).await;
}

/// Goal: the day rolls by the clock alone: what is live over midnight says what a start after it says. Method: a book
/// that is followed while it happens, the clock going on without records, beside the same book read at once.
#[test]
fn the_day_rolls_by_the_clock_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(&book(SEEDS[0]), folder.path());
    let run = Run::reference(weir::root(), weir::binary());
    let mut days = Vec::new();
    for until in [
        "2026-03-03T00:00:00Z",
        "2026-03-09T12:00:00Z",
        "2026-04-20T00:00:00Z",
    ] {
        let dump = |more: &[&str]| -> Tables {
            let out = tempfile::tempdir().expect("a temporary folder");
            run.replay(folder.path(), until, out.path(), more)
                .expect("the day replays");
            day::check_sums(out.path(), until);
            let table = |name: &'static str| {
                (
                    name,
                    lines(&out.path().join(format!("{name}.jsonl"))).expect("a table"),
                )
            };
            TABLES.map(table).into()
        };
        let (live, at_once) = (dump(&["--speed", "20000"]), dump(&[]));
        assert_same(&live, &at_once, &[]);
        days.push(at_once["ladder"].clone());
    }
    assert!(
        days[0] != days[1] && days[1] != days[2],
        "flows come nearer and go"
    );
}

/// A bank that holds a liquid bond, buys more of it, owes to one and is owed by another; its day, as recorded.
fn small_bank() -> Book {
    let bond = "US0000000001";
    let line = |key: &str, value: Value| json!({ "partition": 0, "offset": 0, "timestamp_ms": END_MS - 3_600_000, "key": key, "value": value });
    let balance = |account: &str, kind: &str, amount: u32, more: Value| {
        let mut value = json!({ "accountId": account, "version": 1, "kind": kind, "ccy": "USD", "amount": amount, "entity": "E" });
        let more = more.as_object().expect("fields").clone();
        value.as_object_mut().expect("fields").extend(more);
        line(account, value)
    };
    let mut balances = vec![
        balance("A1", "cb_reserve", 50, json!({})),
        balance("A2", "deposit_financial", 20, json!({})),
        balance(
            "A3",
            "loan_financial",
            30,
            json!({ "maturity": "2026-03-10", "counterparty": "OTHER" }),
        ),
    ];
    for (offset, line) in balances.iter_mut().enumerate() {
        line["offset"] = json!(offset);
    }
    let instrument = json!({ "instrumentId": bond, "isin": bond, "kind": "sovereign", "issuerId": "UST", "issuerFinancial": false,
        "riskWeightPct": 0, "ccy": "USD", "maturity": "2031-03-01" });
    let price = json!({ "instrumentId": bond, "dirtyPrice": "100", "per": 100, "ccy": "USD", "version": 1 });
    let holding = json!({ "entity": "E", "book": "K", "instrument_id": bond, "quantity": "100", "encumbered": "0", "version": 1 });
    let trade = json!({ "tradeRef": "B1", "rev": 1, "status": "NEW", "isin": bond, "buySell": "B", "quantity": 10, "cleanPrice": 98,
        "accrued": 1, "ccy": "USD", "tradeDt": "2026-03-02", "settleDt": "2026-03-04", "account": "K", "entity": "E", "cpty": "C" });
    Book::from([
        ("balances".to_owned(), balances),
        (
            "refdata.instruments".to_owned(),
            vec![line(bond, instrument)],
        ),
        ("refdata.prices".to_owned(), vec![line(bond, price)]),
        (
            "holdings".to_owned(),
            vec![line(&format!("E|K|{bond}"), holding)],
        ),
        ("trades.bonds".to_owned(), vec![line("B1", trade)]),
    ])
}

/// The rows of `lcr` that a copy of the repository makes of a book under a setting.
fn ratios(copy: &Path, (name, value): (&str, &str), book: &Book, until: &str) -> Vec<Value> {
    let (day, out) = (
        tempfile::tempdir().expect("a temporary folder"),
        tempfile::tempdir().expect("a temporary folder"),
    );
    write(book, day.path());
    let mut command = std::process::Command::new(weir::binary());
    command.args([
        "run",
        "pipelines/treasury-liquidity.yaml",
        "--until-end",
        "--until",
        until,
    ]);
    command
        .args(["--listen", "127.0.0.1:0", "--replay"])
        .arg(day.path());
    command.arg("--dump").arg(out.path()).current_dir(copy);
    let output = command.env(name, value).output().expect("it starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    day::check_sums(out.path(), until);
    lines(&out.path().join("lcr.jsonl")).expect("a table")
}

fn amounts(row: &Value) -> [&str; 4] {
    ["l1", "outflow", "inflow_capped", "net_outflow"]
        .map(|column| text(row, column).expect("an amount"))
}

/// Goal: each policy of the pipeline does what it says. Method: the small bank under one at a time.
#[test]
fn policies() {
    let book = small_bank();
    let inflows = |to: &str| {
        let from = "{ eu_exempt: [], eu_90_percent: [] }";
        bad_input::with_changed("pipelines/treasury-liquidity.yaml", from, to)
    };
    let of = |copy: &Path, policy: (&str, &str), regime: &str| {
        let rows = ratios(copy, policy, &book, END);
        let row = rows
            .iter()
            .find(|row| row["regime"] == regime)
            .expect("a row");
        assert_eq!(
            row["state"],
            if row["lcr"].is_null() {
                "undefined"
            } else {
                "ok"
            }
        );
        amounts(row).map(str::to_owned)
    };
    let (root, none) = (weir::root(), ("WEIR_NO_POLICY", ""));
    // The US adds what is due before it comes in: 20 of the first day.
    for (regime, net) in [("basel", "5"), ("us", "25"), ("eu", "5")] {
        assert_eq!(of(&root, none, regime), ["150", "20", "15", net]);
    }
    let trade = ("HQLA_BASIS", "trade");
    assert_eq!(
        of(&root, trade, "basel"),
        ["160", "29.9", "22.425", "7.475"]
    );
    let most = ("US_PERCENTAGE", "85%");
    assert_eq!(of(&root, most, "us"), ["150", "20", "15", "21.25"]);
    let exempt = inflows("{ eu_exempt: [OTHER], eu_90_percent: [] }");
    assert_eq!(of(exempt.path(), none, "eu"), ["150", "20", "20", "0"]);
    assert_eq!(of(exempt.path(), none, "basel"), ["150", "20", "15", "5"]);
    let ninety = inflows("{ eu_exempt: [], eu_90_percent: [OTHER] }");
    assert_eq!(of(ninety.path(), none, "eu"), ["150", "20", "18", "2"]);
}

/// Goal: a factor that changes on a day changes the number on that day. Method: the Reserve Bank of India's 2.5 points on
/// stable deposits, from 3 March on, on the small bank with such deposits.
#[test]
fn a_factor_changes_on_its_day() {
    let mut book = small_bank();
    let balances = book.get_mut("balances").expect("the topic");
    let mut deposits = balances[1].clone();
    deposits["key"] = json!("A4");
    deposits["offset"] = json!(balances.len());
    deposits["value"]["accountId"] = json!("A4");
    deposits["value"]["kind"] = json!("deposit_retail_stable");
    deposits["value"]["amount"] = json!(1000);
    balances.push(deposits);
    let rule = "basel,balance.deposit_retail_stable,5%,,,,B238 75";
    let copy = bad_input::with_changed(
        "schemas/rules/basel.csv",
        rule,
        "basel,balance.deposit_retail_stable,5%,,2026-03-03,,B238 75\n\
         basel,balance.deposit_retail_stable,7.5%,2026-03-03,,,RBI",
    );
    for (until, outflows) in [
        (
            "2026-03-02T23:59:59Z",
            [("basel", "70"), ("us", "50"), ("eu", "70")],
        ),
        (
            "2026-03-03T00:00:00Z",
            [("basel", "95"), ("us", "50"), ("eu", "70")],
        ),
    ] {
        let rows = ratios(copy.path(), ("WEIR_NO_POLICY", ""), &book, until);
        let found = rows
            .iter()
            .map(|row| (text(row, "regime").expect("a regime"), amounts(row)[1]));
        assert_eq!(
            found.collect::<BTreeSet<_>>(),
            BTreeSet::from(outflows),
            "{until}"
        );
    }
}

/// Goal: a significant currency has a ratio of its own, under its own cap on inflows. Method: euros beside the small
/// bank's dollars.
#[test]
fn significant_currencies() {
    let mut book = small_bank();
    let balances = book.get_mut("balances").expect("the topic");
    for (dollars, amount) in [(0, 10), (1, 20), (2, 100)] {
        let mut euros = balances[dollars].clone();
        let account = format!("E{dollars}");
        euros["offset"] = json!(balances.len());
        euros["key"] = json!(account);
        euros["value"]["accountId"] = json!(account);
        euros["value"]["ccy"] = json!("EUR");
        euros["value"]["amount"] = json!(amount);
        balances.push(euros);
    }
    let mut rate = balances[0].clone();
    rate["key"] = json!("EUR");
    rate["value"] = json!({ "ccy": "EUR", "rate": "1.1", "version": 1 });
    book.insert("refdata.fx".to_owned(), vec![rate]);
    let rows = ratios(
        &weir::root(),
        ("SIGNIFICANT_CURRENCIES", "EUR,JPY"),
        &book,
        END,
    );
    let basel = rows.iter().filter(|row| row["regime"] == "basel");
    let found: Vec<_> = basel
        .map(|row| {
            (
                text(row, "scope").expect("a scope"),
                amounts(row),
                text(row, "lcr"),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("EUR", ["11", "22", "16.5", "5.5"], Some("2")),
            ("JPY", ["0", "0", "0", "0"], None),
            (
                "total",
                ["161", "42", "31.5", "10.5"],
                Some("15.3333333333")
            ),
        ]
    );
}

/// Goal: where liquid securities count from the trade on, cells are told by their records as well. Method: every eleventh
/// cell of a generated book.
#[tokio::test]
async fn cells_from_the_trade_on_are_told_by_their_records() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(&book(SEEDS[1]), folder.path());
    let served = Served::replay_by(("HQLA_BASIS", "trade"), folder.path(), &["--until", END]);
    http::check_records(&served, 11).await;
}

/// A record with every amount and quantity times three; what is no number stays.
fn tripled(topic: &str, line: &Value) -> Value {
    let mut line = line.clone();
    if let Some(text) = line["text"].as_str() {
        let tripled = match topic {
            "trades.equities" => of_fields(text),
            "trades.interbank" => of_line(text),
            _ => text.to_owned(),
        };
        line["text"] = json!(tripled);
    }
    if let Some(value) = line.get_mut("value").and_then(Value::as_object_mut) {
        let names: &[&str] = match topic {
            "trades.fx" => &["notional", "settleAmount"],
            "trades.repos" => &["cash"],
            "trades.bonds" | "settlements" => &["quantity"],
            "trades.commodities" => &["qty", "mtm"],
            "balances" => &["amount"],
            "holdings" => &["quantity", "encumbered"],
            _ => &[],
        };
        for name in names {
            triple(value, name);
        }
        for name in ["collateral", "received"] {
            if let Some(leg) = value.get_mut(name).and_then(Value::as_object_mut) {
                triple(leg, "nominal");
            }
        }
        if topic == "trades.derivatives" {
            let flows = value
                .get_mut("flows")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten();
            flows
                .filter_map(Value::as_object_mut)
                .for_each(|flow| triple(flow, "amount"));
        }
    }
    line
}

/// Tags with the separator that the text uses: 32 is the quantity.
fn of_fields(text: &str) -> String {
    let separator = if text.contains('\u{1}') { "\u{1}" } else { "|" };
    let field = |field: &str| match field.strip_prefix("32=") {
        Some(quantity) => format!(
            "32={}",
            number(quantity).unwrap_or_else(|| quantity.to_owned())
        ),
        None => field.to_owned(),
    };
    text.split(separator)
        .map(field)
        .collect::<Vec<_>>()
        .join(separator)
}

/// The fourth of comma-separated cells, maybe in quotes.
fn of_line(text: &str) -> String {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    for letter in text.chars() {
        is_quoted ^= letter == '"';
        if letter == ',' && !is_quoted {
            cells.push(String::new());
        } else {
            cells.last_mut().expect("one at least").push(letter);
        }
    }
    if let Some(amount) = cells.get_mut(3)
        && let Some(tripled) = number(amount.trim_matches('"'))
    {
        *amount = tripled;
    }
    cells.join(",")
}

fn triple(record: &mut Map<String, Value>, name: &str) {
    let Some(cell) = record.get_mut(name) else {
        return;
    };
    let digits = match cell {
        Value::String(text) => number(text),
        Value::Number(digits) => number(&digits.to_string()),
        _ => None,
    };
    if let Some(digits) = digits {
        *cell = json!(digits);
    }
}

/// Three times a number in any notation, as plain digits with as many decimals; nothing for what is none.
fn number(text: &str) -> Option<String> {
    let plain = text.trim().replace(',', "").to_lowercase();
    let suffixes = [("mm", 6_u32), ("bn", 9), ("k", 3)];
    let found = suffixes
        .iter()
        .find_map(|(suffix, zeros)| Some((plain.strip_suffix(suffix)?, *zeros)));
    let (digits, zeros) = found.unwrap_or((&plain, 0));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = u32::try_from(decimals.len()).ok()?;
    let all: i128 = format!("{whole}{decimals}").parse().ok()?;
    let tripled = all
        .checked_mul(3)?
        .checked_mul(10_i128.checked_pow(zeros)?)?;
    let (sign, magnitude) = (if tripled < 0 { "-" } else { "" }, tripled.unsigned_abs());
    let unit = 10_u128.checked_pow(scale)?;
    let (whole, rest) = (magnitude / unit, magnitude % unit);
    if scale == 0 {
        return Some(format!("{sign}{whole}"));
    }
    Some(format!(
        "{sign}{whole}.{rest:0width$}",
        width = decimals.len()
    ))
}
