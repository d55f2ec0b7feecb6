//! Exposures as rows, and the cells they make on 2 March 2026. Only adjusted cells are printed where the base ones are
//! the same; `~` in front of those that are base alone.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use crate::{Cell, EntityState, LiquidityCells};
use expect_test::{Expect, expect};
use std::collections::BTreeSet;
use weir_exact::Decimal;
use weir_sdk::{Data, harness};

const L2A: &str = r#""hqla_class": "L2A", "us_class": "NON", "eu_class": "L1CB",
    "base_hqla_class": "L2A", "base_us_class": "NON", "base_eu_class": "L1CB""#;
const L1: &str = r#""hqla_class": "L1", "us_class": "L1", "eu_class": "L1",
    "base_hqla_class": "L1", "base_us_class": "L1", "base_eu_class": "L1""#;
const OVERRIDDEN: &str = r#""hqla_class": "NON", "us_class": "NON", "eu_class": "NON",
    "base_hqla_class": "L1", "base_us_class": "L1", "base_eu_class": "L1""#;

/// The project's rules.
fn rules() -> Data {
    let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    Data::new(vec![
        file(
            "basel.csv",
            include_str!("../../../schemas/rules/basel.csv"),
        ),
        file("us.csv", include_str!("../../../schemas/rules/us.csv")),
        file("eu.csv", include_str!("../../../schemas/rules/eu.csv")),
    ])
}

/// Rows of one input, one in each line, without the entity; `<L2A>`, `<L1>` and `<L1 now NON>` stand for the class columns.
fn check(input: &str, rows: &str, expected: &Expect) {
    check_in("basel", input, rows, expected);
}

fn check_in(regime: &str, input: &str, rows: &str, expected: &Expect) {
    check_with(
        &format!(r#"{{"regimes": ["{regime}"]}}"#),
        input,
        rows,
        expected,
    );
}

fn check_with(config: &str, input: &str, rows: &str, expected: &Expect) {
    let row = |row: &str| {
        let row = row
            .trim()
            .replace("<L1 now NON>", OVERRIDDEN)
            .replace("<L2A>", L2A)
            .replace("<L1>", L1);
        format!(r#"{{"entity": "E", {}}}"#, row.replace('\n', " "))
    };
    let rows: Vec<String> = rows
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(row)
        .collect();
    let rows = rows.join("\n");
    let inputs = [("entities", r#"{"entity": "E"}"#), (input, rows.as_str())];
    let ran = harness::group::<LiquidityCells>(
        config,
        &rules(),
        "2026-03-02T12:00:00Z",
        &["entity"],
        &inputs,
    )
    .unwrap();
    let print = |cell: &Cell<'_>| {
        let unweighted = Decimal::new(cell.unweighted, 18);
        let weighted = Decimal::new(cell.weighted, 22);
        let Cell {
            side,
            line,
            detail,
            day,
            factor,
            inflow_cap,
            day_net,
            ..
        } = cell;
        let factor = Decimal::from_i128(*factor, 2);
        let marks = [
            (*inflow_cap != 75).then(|| format!(", capped at {inflow_cap} %")),
            day_net.then(|| ", in the day net".to_owned()),
        ];
        let marks: String = marks.into_iter().flatten().collect();
        format!(
            "{side} {line} [{detail}] day {day}: {unweighted} at {factor} % = {weighted}{marks}"
        )
    };
    let printed = |basis: &str| -> BTreeSet<String> {
        let cells = ran
            .output("cells")
            .records::<Cell<'_>>()
            .map(|(_, cell)| cell);
        cells
            .filter(|cell| cell.basis == basis)
            .map(|cell| print(&cell))
            .collect()
    };
    let (adjusted, base) = (printed("adjusted"), printed("base"));
    let mut lines: Vec<String> = adjusted.iter().cloned().collect();
    lines.extend(base.difference(&adjusted).map(|line| format!("~ {line}")));
    lines.extend(
        adjusted
            .difference(&base)
            .map(|line| format!("adjusted alone: {line}")),
    );
    for (_, state) in ran.output("states").records::<EntityState<'_>>() {
        lines.push(format!("incomplete: {}", state.incomplete));
    }
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

/// The stock counts after haircut; what is not liquid does not; an override moves the adjusted cells alone.
#[test]
fn stock() {
    check(
        "stock",
        r#"<L2A>, "value": 200, "unvalued": 0
           <L1 now NON>, "value": 50, "unvalued": 0"#,
        &expect![[r#"
            HQLA L2A [securities] day 0: 200 at 85 % = 170
            ~ HQLA L1 [securities] day 0: 50 at 100 % = 50
            incomplete: false
        "#]],
    );
    check(
        "stock",
        r#"<L1>, "value": 0, "unvalued": 1"#,
        &expect![[r#"
        incomplete: true
    "#]],
    );
}

/// Pending trades and redemptions count where the security does not, a failed trade on day 0; a currency without a
/// rate matters where any regime counts the flow.
#[test]
fn security_flows() {
    check(
        "security_flows",
        r#"<L1 now NON>, "line": "pending_purchase", "direction": "PAY", "payment_date": "2026-02-27", "last": true, "value": 10
           <L1 now NON>, "line": "redemption", "direction": "RECEIVE", "payment_date": "2026-04-01", "last": false, "value": 20
           <L1 now NON>, "line": "redemption", "direction": "RECEIVE", "payment_date": "2026-04-02", "last": false, "value": 40
           <L1 now NON>, "line": "redemption", "direction": "RECEIVE", "payment_date": "2026-03-01", "last": false, "value": 80"#,
        &expect![[r#"
            IN redemption [] day 30: 20 at 100 % = 20, in the day net
            OUT pending_purchase [] day 0: 10 at 100 % = 10, in the day net
            adjusted alone: IN redemption [] day 30: 20 at 100 % = 20, in the day net
            adjusted alone: OUT pending_purchase [] day 0: 10 at 100 % = 10, in the day net
            incomplete: false
        "#]],
    );
    check(
        "security_flows",
        r#"<L1>, "line": "pending_sale", "direction": "RECEIVE", "payment_date": "2026-03-03", "last": true"#,
        &expect![[r#"
            incomplete: false
        "#]],
    );
    check(
        "security_flows",
        r#"<L2A>, "line": "pending_sale", "direction": "RECEIVE", "payment_date": "2026-03-03", "last": true"#,
        &expect![[r#"
            incomplete: true
        "#]],
    );
}

/// Liquid securities that count from the trade on do so with the cash that is pending for them; their redemption stays
/// in the stock.
#[test]
fn cash_for_liquid_securities_by_policy() {
    let rows = r#"<L1>, "line": "pending_purchase", "direction": "PAY", "payment_date": "2026-03-04", "last": true, "value": 10
        <L1>, "line": "pending_sale", "direction": "RECEIVE", "payment_date": "2026-03-04", "last": true, "value": 20
        <L1>, "line": "redemption", "direction": "RECEIVE", "payment_date": "2026-03-04", "last": false, "value": 40"#;
    let policy = |basis: &str| format!(r#"{{"regimes": ["basel"], "hqla_basis": "{basis}"}}"#);
    check_with(
        &policy("settlement"),
        "security_flows",
        rows,
        &expect![[r#"
        incomplete: false
    "#]],
    );
    check_with(
        &policy("trade"),
        "security_flows",
        rows,
        &expect![[r#"
        IN pending_sale [] day 2: 20 at 100 % = 20
        OUT pending_purchase [] day 2: 10 at 100 % = 10, in the day net
        incomplete: false
    "#]],
    );
}

/// Flows count in full; interest received on collateral in use elsewhere does not, interest paid on it does.
#[test]
fn flows() {
    check(
        "flows",
        r#""line": "interest", "direction": "RECEIVE", "reused": true, "payment_date": "2026-03-03", "last": true, "value": 1, "unrated": 0
           "line": "interest", "direction": "RECEIVE", "reused": false, "payment_date": "2026-03-03", "last": true, "value": 2, "unrated": 0
           "line": "interest", "direction": "PAY", "reused": true, "payment_date": "2026-03-03", "last": true, "value": 4, "unrated": 0
           "line": "fx", "direction": "PAY", "payment_date": "2026-04-02", "last": true, "value": 8, "unrated": 3"#,
        &expect![[r#"
            IN interest [] day 1: 2 at 100 % = 2, in the day net
            IN interest [reused] day 1: 1 at 0 % = 0, in the day net
            OUT interest [] day 1: 4 at 100 % = 4, in the day net
            incomplete: false
        "#]],
    );
    check(
        "flows",
        r#""line": "fx", "direction": "PAY", "payment_date": "2026-04-01", "last": true, "value": 8, "unrated": 1"#,
        &expect![[r#"
            OUT fx [] day 30: 8 at 100 % = 8
            incomplete: true
        "#]],
    );
}

/// Repos: the collateral's rate, none towards a central bank; open is day 1; behind the horizon nothing.
#[test]
fn repos() {
    check(
        "secured",
        r#"<L2A>, "direction": "PAY", "central_bank": false, "rehypothecable": true, "reused": false, "last": false, "rated": true, "valued": true, "cash": 100, "collateral": 120
           <L1 now NON>, "direction": "PAY", "central_bank": true, "rehypothecable": true, "reused": false, "payment_date": "2026-03-12", "last": true, "rated": true, "valued": true, "cash": 10, "collateral": 12
           <L2A>, "direction": "PAY", "central_bank": false, "rehypothecable": true, "reused": false, "payment_date": "2026-04-02", "last": true, "rated": true, "valued": true, "cash": 1000, "collateral": 1200"#,
        &expect![[r#"
            OUT repo [L2A] day 1: 100 at 15 % = 15, in the day net
            OUT repo_central_bank [NON] day 10: 10 at 0 % = 0, in the day net
            UNWIND L1 [cash] day 1: -100 at 100 % = -100
            UNWIND L2A [collateral] day 1: 120 at 85 % = 102
            ~ OUT repo_central_bank [L1] day 10: 10 at 0 % = 0, in the day net
            ~ UNWIND L1 [cash] day 10: -10 at 100 % = -10
            ~ UNWIND L1 [collateral] day 10: 12 at 100 % = 12
            adjusted alone: OUT repo_central_bank [NON] day 10: 10 at 0 % = 0, in the day net
            incomplete: false
        "#]],
    );
}

/// Reverse repos: collateral in the stock, even of open ones, and in the unwind only while at the bank's disposal.
#[test]
fn reverse_repos() {
    check(
        "secured",
        r#"<L2A>, "direction": "RECEIVE", "central_bank": true, "rehypothecable": true, "reused": false, "payment_date": "2026-03-12", "last": true, "rated": true, "valued": true, "cash": 100, "collateral": 120
           <L2A>, "direction": "RECEIVE", "central_bank": false, "rehypothecable": true, "reused": true, "payment_date": "2026-03-12", "last": true, "rated": true, "valued": true, "cash": 10, "collateral": 12
           <L2A>, "direction": "RECEIVE", "central_bank": false, "rehypothecable": false, "reused": false, "payment_date": "2026-03-12", "last": true, "rated": true, "valued": true, "cash": 1, "collateral": 1.2
           <L2A>, "direction": "RECEIVE", "central_bank": false, "rehypothecable": true, "reused": false, "last": false, "rated": true, "valued": true, "cash": 1000, "collateral": 1200"#,
        &expect![[r#"
            HQLA L2A [collateral held] day 0: 1320 at 85 % = 1122
            IN reverse_repo [L2A] day 10: 101 at 15 % = 15.15, in the day net
            IN reverse_repo_reused [L2A] day 10: 10 at 0 % = 0, in the day net
            UNWIND L1 [cash] day 10: 100 at 100 % = 100
            UNWIND L2A [collateral] day 10: -120 at 85 % = -102
            incomplete: false
        "#]],
    );
}

/// Collateral without price stays out of stock and unwind, its cash counts; cash without rate counts nothing.
#[test]
fn secured_without_value() {
    check(
        "secured",
        r#"<L2A>, "direction": "PAY", "central_bank": false, "rehypothecable": true, "reused": false, "last": false, "rated": true, "valued": false, "cash": 100, "collateral": 0"#,
        &expect![[r#"
            OUT repo [L2A] day 1: 100 at 15 % = 15, in the day net
            incomplete: true
        "#]],
    );
    check(
        "secured",
        r#"<L2A>, "direction": "RECEIVE", "central_bank": false, "rehypothecable": true, "reused": false, "payment_date": "2026-03-12", "last": true, "rated": false, "valued": true, "cash": 0, "collateral": 120"#,
        &expect![[r#"
            HQLA L2A [collateral held] day 0: 120 at 85 % = 102
            incomplete: true
        "#]],
    );
}

fn swap(terms: &str, given: &str, received: &str) -> String {
    let classes = |prefix: &str, class: &str| {
        let column = |name: &str| format!(r#""{prefix}{name}": "{class}""#);
        let names = [
            "hqla_class",
            "us_class",
            "eu_class",
            "base_hqla_class",
            "base_us_class",
            "base_eu_class",
        ];
        names.map(column).join(", ")
    };
    let (given_class, given_value) = given.split_once(' ').unwrap();
    let (received_class, received_value) = received.split_once(' ').unwrap();
    let classes = [
        classes("", given_class),
        classes("received_", received_class),
    ]
    .join(", ");
    let values = format!(r#""given": {given_value}, "received": {received_value}"#);
    format!(
        r#"{terms}, "valued": {}, "received_valued": {}, {classes}, {values}"#,
        given_value != "0",
        received_value != "0"
    )
}

/// Collateral swaps: the difference of the rates on the asset that flows; open ones only against us; in the unwind
/// when both are liquid and what is held is at the bank's disposal.
#[test]
fn swaps() {
    let dated =
        r#""rehypothecable": true, "reused": false, "payment_date": "2026-03-12", "last": true"#;
    let open = r#""rehypothecable": true, "reused": false, "last": false"#;
    let reused =
        r#""rehypothecable": true, "reused": true, "payment_date": "2026-03-12", "last": true"#;
    check(
        "swaps",
        &swap(dated, "L2B 100", "L1 80"),
        &expect![[r#"
            HQLA L1 [collateral held] day 0: 80 at 100 % = 80
            OUT collateral_swap [L2B for L1] day 10: 100 at 50 % = 50, in the day net
            UNWIND L1 [collateral held] day 10: -80 at 100 % = -80
            UNWIND L2B [collateral given] day 10: 100 at 50 % = 50
            incomplete: false
        "#]],
    );
    check(
        "swaps",
        &swap(dated, "L1 100", "NON 120"),
        &expect![[r#"
            IN collateral_swap [L1 for NON] day 10: 120 at 100 % = 120, in the day net
            incomplete: false
        "#]],
    );
    check(
        "swaps",
        &swap(open, "L1 100", "L2A 120"),
        &expect![[r#"
        HQLA L2A [collateral held] day 0: 120 at 85 % = 102
        UNWIND L1 [collateral given] day 1: 100 at 100 % = 100
        UNWIND L2A [collateral held] day 1: -120 at 85 % = -102
        incomplete: false
    "#]],
    );
    check(
        "swaps",
        &swap(open, "NON 100", "L1 80"),
        &expect![[r#"
            HQLA L1 [collateral held] day 0: 80 at 100 % = 80
            OUT collateral_swap [NON for L1] day 1: 100 at 100 % = 100, in the day net
            incomplete: false
        "#]],
    );
    check(
        "swaps",
        &swap(reused, "L1 100", "L2A 120"),
        &expect![[r#"
        incomplete: false
    "#]],
    );
    check(
        "swaps",
        &swap(dated, "L2A 100", "L1 0"),
        &expect![[r#"
        incomplete: true
    "#]],
    );
}

/// One net per counterparty and agreement over all days inside; what is outside stays out.
#[test]
fn netted() {
    check(
        "netted",
        r#""counterparty": "C", "agreement": "A", "payment_date": "2026-03-03", "last": false, "value": 10
           "counterparty": "C", "agreement": "A", "payment_date": "2026-04-01", "last": true, "value": -25
           "counterparty": "C", "agreement": "A", "payment_date": "2026-04-02", "last": true, "value": 1000
           "counterparty": "C", "agreement": "A", "payment_date": "2026-03-01", "last": false, "value": 1000
           "counterparty": "D", "agreement": "A", "payment_date": "2026-03-01", "last": true, "value": 3
           "counterparty": "D", "agreement": "A", "payment_date": "2026-05-01", "last": true"#,
        &expect![[r#"
            IN net_derivatives [D A] day 30: 3 at 100 % = 3
            OUT net_derivatives [C A] day 30: 15 at 100 % = 15
            incomplete: false
        "#]],
    );
}

/// Balances at their factors: stock whatever the maturity, open ones by side, some at any maturity.
#[test]
fn balances() {
    check(
        "balances",
        r#""kind": "cb_reserve", "maturity": "2020-01-01", "value": 1000
           "kind": "deposit_nonfin", "value": 100
           "kind": "deposit_nonfin", "maturity": "2026-03-01", "value": 100
           "kind": "deposit_nonfin", "maturity": "2026-04-02", "value": 100
           "kind": "commitment_bank", "maturity": "2030-01-01", "value": 100
           "kind": "loan_financial", "value": 10
           "kind": "loan_financial", "maturity": "2026-03-02", "value": 20
           "kind": "nostro_excess", "value": 40"#,
        &expect![[r#"
            HQLA L1 [cb_reserve] day 0: 1000 at 100 % = 1000
            IN loan_financial [] day 0: 20 at 100 % = 20, in the day net
            IN nostro_excess [] day 1: 40 at 100 % = 40, in the day net
            OUT commitment_bank [] day 30: 100 at 40 % = 40
            OUT deposit_nonfin [] day 1: 100 at 40 % = 40, in the day net
            incomplete: false
        "#]],
    );
    check(
        "balances",
        r#""kind": "loan_financial""#,
        &expect![[r#"
        incomplete: false
    "#]],
    );
    check(
        "balances",
        r#""kind": "deposit_retail_term", "maturity": "2030-01-01""#,
        &expect![[r#"
        incomplete: true
    "#]],
    );
}

/// The EU: the cash leg alone is unwound, covered bonds have a line, inflows have their caps.
#[test]
fn by_eu_rules() {
    let secured = r#""central_bank": false, "rehypothecable": true, "reused": false, "payment_date": "2026-03-12", "last": true, "rated": true, "valued": true"#;
    check_in(
        "eu",
        "secured",
        &format!(
            r#"<L1 now NON>, "direction": "PAY", {secured}, "cash": 100, "collateral": 120
               <L2A>, "direction": "RECEIVE", "inflow_cap": 90, {secured}, "cash": 10, "collateral": 12"#
        ),
        &expect![[r#"
            HQLA L1CB [collateral held] day 0: 12 at 93 % = 11.16
            IN reverse_repo [L1CB 90 %] day 10: 10 at 7 % = 0.7, capped at 90 %, in the day net
            OUT repo [NON] day 10: 100 at 100 % = 100, in the day net
            UNWIND L1 [cash] day 10: -90 at 100 % = -90
            UNWIND L1CB [collateral] day 10: -12 at 93 % = -11.16
            ~ OUT repo [L1] day 10: 100 at 0 % = 0, in the day net
            ~ UNWIND L1 [collateral] day 10: 120 at 100 % = 120
            adjusted alone: OUT repo [NON] day 10: 100 at 100 % = 100, in the day net
            incomplete: false
        "#]],
    );
    check_in(
        "eu",
        "balances",
        r#""kind": "loan_retail", "maturity": "2026-03-02", "value": 20, "inflow_cap": 100
           "kind": "loan_retail", "maturity": "2026-03-02", "value": 40, "inflow_cap": 75"#,
        &expect![[r#"
            IN loan_retail [] day 0: 40 at 50 % = 20, in the day net
            IN loan_retail [exempt] day 0: 20 at 50 % = 10, capped at 100 %, in the day net
            incomplete: false
        "#]],
    );
}

/// The US: no coins, retail deposits at any maturity, what is in the cumulative outflow; no caps by counterparty.
#[test]
fn by_us_rules() {
    check_in(
        "us",
        "balances",
        r#""kind": "cash_coins", "value": 1000
           "kind": "deposit_retail_term", "maturity": "2030-01-01", "value": 100
           "kind": "deposit_nonfin", "value": 100
           "kind": "loan_retail", "maturity": "2026-03-05", "value": 20, "inflow_cap": 100"#,
        &expect![[r#"
            IN loan_retail [] day 3: 20 at 50 % = 10, in the day net
            OUT deposit_nonfin [] day 1: 100 at 40 % = 40, in the day net
            OUT deposit_retail_term [] day 30: 100 at 10 % = 10
            incomplete: false
        "#]],
    );
}

/// A significant currency has cells of its own: what is in it, exchanges by their legs, nets of its part alone.
#[test]
fn significant_currencies() {
    let balances = r#"{"entity": "E", "kind": "deposit_nonfin", "currency": "EUR", "value": 100}
        {"entity": "E", "kind": "deposit_nonfin", "currency": "USD", "value": 1000}"#;
    let flows = r#"{"entity": "E", "line": "fx", "direction": "PAY", "payment_date": "2026-03-05", "value": 1, "unrated": 0}"#;
    let legs = r#"{"entity": "E", "line": "fx", "direction": "PAY", "payment_date": "2026-03-05", "currency": "EUR", "value": 41, "unrated": 0}
        {"entity": "E", "line": "fx", "direction": "RECEIVE", "payment_date": "2026-03-05", "currency": "USD", "value": 40, "unrated": 0}"#;
    let netted = r#"{"entity": "E", "counterparty": "C", "agreement": "A", "payment_date": "2026-03-05", "currency": "EUR", "value": 7}
        {"entity": "E", "counterparty": "C", "agreement": "A", "payment_date": "2026-03-05", "currency": "USD", "value": -10}"#;
    let ran = harness::group::<LiquidityCells>(
        r#"{"regimes": ["basel"], "significant_currencies": "EUR,JPY"}"#,
        &rules(),
        "2026-03-02T12:00:00Z",
        &["entity"],
        &[
            ("entities", r#"{"entity": "E"}"#),
            ("balances", balances),
            ("flows", flows),
            ("currency_flows", legs),
            ("netted", netted),
        ],
    )
    .unwrap();
    let mut lines: Vec<String> = Vec::new();
    for (_, cell) in ran.output("cells").records::<Cell<'_>>() {
        if cell.basis == "adjusted" {
            let amount = Decimal::new(cell.unweighted, 18);
            lines.push(format!(
                "{} {} {} {amount}",
                cell.scope, cell.side, cell.line
            ));
        }
    }
    for (_, state) in ran.output("states").records::<EntityState<'_>>() {
        lines.push(format!("{} incomplete: {}", state.scope, state.incomplete));
    }
    expect![[r#"
        EUR OUT deposit_nonfin 100
        EUR OUT fx 41
        EUR IN net_derivatives 7
        total OUT deposit_nonfin 1100
        total OUT fx 1
        total OUT net_derivatives 3
        total incomplete: false
        EUR incomplete: false
        JPY incomplete: false
    "#]]
    .assert_eq(&(lines.join("\n") + "\n"));
}

/// What records add to a cell: each its part, what flows against a net taken away from it, other cells' records nothing.
#[test]
fn records_of_a_cell() {
    let ask = |key: &str, input: &str, rows: &str| {
        let asked = format!(r#"{{"entity": "E", "drill_key": "K", "regime": "eu", {key}}}"#);
        let rows = rows.replace("<L1>", &L1.replace('\n', " "));
        harness::group::<LiquidityCells>(
            r#"{"write": "contributions"}"#,
            &rules(),
            "2026-03-02T12:00:00Z",
            &["entity"],
            &[("asked", &*asked), (input, &*rows)],
        )
        .unwrap()
        .to_string()
    };
    expect![[r#"
        contributions 0: entity=E drill_key=K origin=trade id=1 leg=0 counterparty=C unweighted=100 factor=1 weighted=100
        contributions 0: entity=E drill_key=K origin=trade id=2 leg=1 counterparty=C unweighted=-40 factor=1 weighted=-40
    "#]].assert_eq(&ask(
        r#""side": "OUT", "line": "net_derivatives", "detail": "C A", "day": 30"#,
        "netted",
        r#"{"entity": "E", "counterparty": "C", "agreement": "A", "payment_date": "2026-03-05", "value": -100, "origin": "trade", "id": "1", "leg": 0}
           {"entity": "E", "counterparty": "C", "agreement": "A", "payment_date": "2026-03-09", "value": 40, "origin": "trade", "id": "2", "leg": 1}
           {"entity": "E", "counterparty": "C", "agreement": "B", "payment_date": "2026-03-09", "value": -7, "origin": "trade", "id": "3", "leg": 0}
           {"entity": "E", "counterparty": "C", "agreement": "A", "payment_date": "2026-05-09", "value": -9, "origin": "trade", "id": "4", "leg": 0}"#,
    ));
    expect![[r#"
        contributions 0: entity=E drill_key=K origin=holding id=H instrument_id=I unweighted=100 factor=1 weighted=100 record_topic=t record_partition=1 record_offset=7
        contributions 0: entity=E drill_key=K origin=trade id=R instrument_id=I adjustment_id=A unweighted=-30 factor=1 weighted=-30
    "#]].assert_eq(&ask(
        r#""side": "HQLA", "line": "L1", "detail": "securities", "day": 0"#,
        "stock",
        r#"{"entity": "E", <L1>, "value": 100, "unvalued": 0, "origin": "holding", "id": "H", "instrument_id": "I", "record_topic": "t", "record_partition": 1, "record_offset": 7}
           {"entity": "E", <L1>, "value": -30, "unvalued": 0, "origin": "trade", "id": "R", "instrument_id": "I", "adjustment_id": "A"}"#,
    ));
}
