//! Trades and confirmations as rows, and what is left of them.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use crate::Settle;
use expect_test::{Expect, expect};
use weir_sdk::{Data, harness};

fn check(trades: &str, confirmations: &str, expected: &Expect) {
    expected.assert_eq(&ran(trades, confirmations));
}

fn ran(trades: &str, confirmations: &str) -> String {
    ran_by("{}", trades, confirmations)
}

fn ran_by(config: &str, trades: &str, confirmations: &str) -> String {
    let inputs = [("trades", trades), ("confirmations", confirmations)];
    let ran = harness::group::<Settle>(
        config,
        &Data::default(),
        "2026-03-02T12:00:00Z",
        &["trade_id"],
        &inputs,
    );
    ran.unwrap().to_string()
}

const BOND: &str = r#"{"trade_id": "B", "entity": "E", "book": "K", "leg": 0, "kind": "SECURITY", "direction": "RECEIVE",
 "instrument_id": "I", "quantity": 100, "amount": 98.5, "currency": "USD", "payment_date": "2026-03-04"}"#;

fn bond() -> String {
    BOND.replace('\n', "")
}

/// Deliveries count in the order of their time, then id, whatever the order of arrival; the one that is too much is
/// refused and a later one that fits still counts. The cost to come is pro rata.
#[test]
fn deliveries_in_order_and_one_too_many() {
    check(
        &bond(),
        r#"{"trade_id": "B", "confirmation_id": "C4", "quantity": 30, "settled_at": "2026-03-02T11:00:00Z"}
           {"trade_id": "B", "confirmation_id": "C3", "quantity": 45, "settled_at": "2026-03-02T10:00:00Z"}
           {"trade_id": "B", "confirmation_id": "C2", "quantity": 20, "settled_at": "2026-03-02T10:00:00Z"}
           {"trade_id": "B", "confirmation_id": "C1", "quantity": 40, "settled_at": "2026-03-01T23:59:59Z"}"#,
        &expect![[r#"
            legs 0: trade_id=B entity=E book=K inflow_cap=75 leg=0 kind=SECURITY direction=RECEIVE instrument_id=I quantity=100 amount=9.85 currency=USD payment_date=2026-03-04 last=true rehypothecable=true reused=false
            legs 0: trade_id=B entity=E book=K inflow_cap=75 leg=0 kind=DELIVERY direction=RECEIVE instrument_id=I quantity=40 currency=USD payment_date=2026-03-04 last=true delivered_on=2026-03-01 rehypothecable=true reused=false
            legs 0: trade_id=B entity=E book=K inflow_cap=75 leg=0 kind=DELIVERY direction=RECEIVE instrument_id=I quantity=20 currency=USD payment_date=2026-03-04 last=true delivered_on=2026-03-02 rehypothecable=true reused=false
            legs 0: trade_id=B entity=E book=K inflow_cap=75 leg=0 kind=DELIVERY direction=RECEIVE instrument_id=I quantity=30 currency=USD payment_date=2026-03-04 last=true delivered_on=2026-03-02 rehypothecable=true reused=false
            refused 2: over_settled (quantity): with this confirmation more would be delivered than the trade's winning version orders
        "#]],
    );
}

/// A trade that is wholly delivered keeps its row, for the position, and has no cash to come.
#[test]
fn wholly_delivered() {
    check(
        &bond(),
        r#"{"trade_id": "B", "confirmation_id": "C1", "quantity": 100, "settled_at": "2026-03-02T10:00:00Z"}"#,
        &expect![[r#"
            legs 0: trade_id=B entity=E book=K inflow_cap=75 leg=0 kind=SECURITY direction=RECEIVE instrument_id=I quantity=100 currency=USD payment_date=2026-03-04 last=true rehypothecable=true reused=false
            legs 0: trade_id=B entity=E book=K inflow_cap=75 leg=0 kind=DELIVERY direction=RECEIVE instrument_id=I quantity=100 currency=USD payment_date=2026-03-04 last=true delivered_on=2026-03-02 rehypothecable=true reused=false
            ended 0: trade_id=B confirmation_id=C1 entity=E book=K instrument_id=I delivered_on=2026-03-02
        "#]],
    );
}

/// Inflows of the counterparties that the policy names are capped otherwise.
#[test]
fn inflows_by_policy() {
    let loan = |counterparty: &str| {
        format!(
            r#"{{"trade_id": "{counterparty}", "entity": "E", "counterparty": "{counterparty}", "leg": 0, "kind": "PRINCIPAL", "direction": "RECEIVE", "amount": 5, "currency": "USD"}}"#
        )
    };
    let trades = ["A", "B", "C"].map(loan).join("\n");
    let policy = r#"{"eu_exempt": ["A"], "eu_90_percent": ["B"]}"#;
    let ran = ran_by(policy, &trades, "");
    let caps = ran
        .lines()
        .filter_map(|line| Some(line.split_once("inflow_cap=")?.1.split_once(' ')?.0));
    assert_eq!(caps.collect::<Vec<_>>(), ["100", "90", "75"]);
}

/// Any confirmation settles a trade that is no security trade; without one its latest legs are marked.
#[test]
fn other_trades_settle_in_full() {
    check(
        r#"{"trade_id": "F", "entity": "E", "leg": 0, "kind": "CASH", "direction": "PAY", "amount": 5, "currency": "USD", "payment_date": "2026-03-04"}
           {"trade_id": "F", "entity": "E", "leg": 1, "kind": "CASH", "direction": "RECEIVE", "amount": 5, "currency": "USD", "payment_date": "2026-04-04"}
           {"trade_id": "G", "entity": "E", "leg": 0, "kind": "CASH", "direction": "PAY", "amount": 7, "currency": "USD", "payment_date": "2026-03-04"}"#,
        r#"{"trade_id": "G", "confirmation_id": "C1", "quantity": 1, "settled_at": "2026-03-02T10:00:00Z"}"#,
        &expect![[r#"
            legs 0: trade_id=F entity=E inflow_cap=75 leg=0 kind=CASH direction=PAY amount=5 currency=USD payment_date=2026-03-04 last=false rehypothecable=true reused=false
            legs 0: trade_id=F entity=E inflow_cap=75 leg=1 kind=CASH direction=RECEIVE amount=5 currency=USD payment_date=2026-04-04 last=true rehypothecable=true reused=false
            ended 1: trade_id=G confirmation_id=C1 entity=E
        "#]],
    );
}

/// An open repo has no last date; a start date becomes the instant at which it runs.
#[test]
fn open_repo() {
    check(
        r#"{"trade_id": "R", "entity": "E", "leg": 0, "kind": "SECURED", "direction": "PAY", "instrument_id": "I", "quantity": 10, "amount": 9, "currency": "USD", "start_date": "2026-03-05", "rehypothecable": true, "reused": false}"#,
        "",
        &expect![[r#"
            legs 0: trade_id=R entity=E inflow_cap=75 leg=0 kind=SECURED direction=PAY instrument_id=I quantity=10 amount=9 currency=USD last=false starts_at=2026-03-05T00:00:00Z rehypothecable=true reused=false
        "#]],
    );
}

/// What is settled in full is told with every confirmation, when its last record was written and when the last delivery
/// that counts was; what is delivered in part is not.
#[test]
fn what_has_ended() {
    let bond = bond().replace('}', r#", "recorded_at": "2026-02-27T08:00:00Z"}"#);
    let first = r#"{"trade_id": "B", "confirmation_id": "C1", "quantity": 60, "settled_at": "2026-03-02T10:00:00Z", "recorded_at": "2026-03-05T09:00:00Z"}"#;
    let rest = r#"{"trade_id": "B", "confirmation_id": "C2", "quantity": 40, "settled_at": "2026-03-03T10:00:00Z", "recorded_at": "2026-03-03T11:00:00Z"}"#;
    let more = r#"{"trade_id": "B", "confirmation_id": "C3", "quantity": 1, "settled_at": "2026-03-04T10:00:00Z", "recorded_at": "2026-03-04T11:00:00Z"}"#;
    let loan = r#"{"trade_id": "L", "entity": "E", "leg": 0, "kind": "PRINCIPAL", "direction": "PAY", "amount": 5, "currency": "USD", "recorded_at": "2026-03-06T08:00:00Z"}"#;
    let paid = r#"{"trade_id": "L", "confirmation_id": "C4", "quantity": 1, "settled_at": "2026-03-02T10:00:00Z", "recorded_at": "2026-03-02T10:00:01Z"}"#;
    assert!(!ran(&bond, first).contains("ended"));
    let ended = |trade: &str, confirmations: &[&str]| -> String {
        let ran = ran(trade, &confirmations.join("\n"));
        let ended = ran.lines().filter(|line| line.starts_with("ended"));
        ended.flat_map(|line| [line, "\n"]).collect()
    };
    expect![[r#"
        ended 0: trade_id=B confirmation_id=C1 entity=E book=K instrument_id=I delivered_on=2026-03-03 last_recorded_at=2026-03-05T09:00:00Z
        ended 0: trade_id=B confirmation_id=C2 entity=E book=K instrument_id=I delivered_on=2026-03-03 last_recorded_at=2026-03-05T09:00:00Z
        ended 0: trade_id=B confirmation_id=C3 entity=E book=K instrument_id=I delivered_on=2026-03-03 last_recorded_at=2026-03-05T09:00:00Z
    "#]].assert_eq(&ended(&bond, &[first, rest, more]));
    expect![[r#"
        ended 0: trade_id=L confirmation_id=C4 entity=E last_recorded_at=2026-03-06T08:00:00Z
    "#]]
    .assert_eq(&ended(loan, &[paid]));
}

/// Confirmations of a trade that is unknown or cancelled wait for it: they are neither refused nor shown.
#[test]
fn confirmations_wait() {
    check(
        "",
        r#"{"trade_id": "X", "confirmation_id": "C1", "quantity": 1, "settled_at": "2026-03-02T10:00:00Z"}"#,
        &expect![],
    );
}

/// Goods stay a position; the first confirmation, whatever its quantity, delivers all of them.
#[test]
fn goods() {
    check(
        r#"{"trade_id": "G", "entity": "E", "book": "K", "leg": 0, "kind": "PHYSICAL", "direction": "PAY", "instrument_id": "GOLD", "quantity": 100}"#,
        r#"{"trade_id": "G", "confirmation_id": "C2", "quantity": 1, "settled_at": "2026-03-02T11:00:00Z"}
           {"trade_id": "G", "confirmation_id": "C1", "quantity": 7, "settled_at": "2026-03-01T10:00:00Z"}"#,
        &expect![[r#"
            legs 0: trade_id=G entity=E book=K inflow_cap=75 leg=0 kind=SECURITY direction=PAY instrument_id=GOLD quantity=100 last=true rehypothecable=true reused=false
            legs 0: trade_id=G entity=E book=K inflow_cap=75 leg=0 kind=DELIVERY direction=PAY instrument_id=GOLD quantity=100 last=true delivered_on=2026-03-01 rehypothecable=true reused=false
            ended 0: trade_id=G confirmation_id=C2 entity=E book=K instrument_id=GOLD delivered_on=2026-03-01
            ended 0: trade_id=G confirmation_id=C1 entity=E book=K instrument_id=GOLD delivered_on=2026-03-01
        "#]],
    );
}
