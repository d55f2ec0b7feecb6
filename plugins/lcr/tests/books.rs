//! Whole trade books of `tests/vectors/lcr-vectors.json` through `liquidity_cells` and `lcr`: every kind of exposure
//! with Basel factors, adjustments, currencies exchanged with and without netting.
//!
//! What the pipeline does in front of the plugins (valuing, netting of one exchange, who overrides what) is done here
//! in the plainest way.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use lcr::{Lcr, Ratio};
use lcr_rules::{Instrument, InstrumentKind, Regime, classify};
use liquidity_cells::{Cell, EntityState, LiquidityCells};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use weir_exact::{Decimal, mul_div_round};
use weir_sdk::{Data, harness};

/// The rows of each input of `liquidity_cells`.
type Inputs = BTreeMap<&'static str, Vec<Value>>;

#[test]
fn trade_books() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../tests/vectors/lcr-vectors.json")).unwrap();
    let cases = vectors["cases"].as_array().unwrap().iter();
    let mut count = 0;
    for case in cases.filter(|case| case["kind"] == "trade_to_lcr") {
        check(case);
        count += 1;
    }
    assert!(count >= 5, "the vectors hold books");
}

fn check(case: &Value) {
    let (book, expected) = (&case["inputs"], &case["expected"]);
    let as_of = book["as_of"].as_str().unwrap();
    let cells = cells(&exposures(book), as_of);
    let inputs = cells.each_ref().map(|(name, rows)| (*name, rows.as_str()));
    let by = ["entity", "scope", "regime"];
    let ran = harness::group::<Lcr>("{}", &Data::default(), as_of, &by, &inputs).unwrap();
    let (_, row) = ran.output("lcr").records::<Ratio<'_>>().next().unwrap();
    let found = [
        ("l1", row.l1),
        ("l2a", row.l2a),
        ("l2b", row.l2b),
        ("adj_l1", row.adj_l1),
        ("adj_l2a", row.adj_l2a),
        ("adj_l2b", row.adj_l2b),
        ("stock", row.hqla),
        ("total_outflow", row.outflow),
        ("total_inflow_uncapped", row.inflow_uncapped),
        ("net_outflow", row.net_outflow),
    ];
    for (name, digits) in found {
        if let Some(wanted) = expected[name].as_str() {
            assert_eq!(
                Decimal::new(digits, 6).to_text(),
                wanted,
                "{} {name}",
                case["id"]
            );
        }
    }
    let (above, below) = expected["lcr"]
        .as_str()
        .unwrap()
        .split_once('/')
        .unwrap_or((expected["lcr"].as_str().unwrap(), "1"));
    let wanted = mul_div_round(
        above.parse().unwrap(),
        Decimal::from_i128(1, 0),
        below.parse().unwrap(),
        10,
    );
    assert_eq!(
        Decimal::new(row.lcr.unwrap(), 10),
        wanted.unwrap(),
        "{} lcr",
        case["id"]
    );
}

/// Runs `liquidity_cells`; its answers as the inputs of `lcr`.
fn cells(inputs: &Inputs, as_of: &str) -> [(&'static str, String); 2] {
    let lines = |rows: &Vec<Value>| {
        rows.iter()
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let texts: Vec<(&str, String)> = inputs
        .iter()
        .map(|(name, rows)| (*name, lines(rows)))
        .collect();
    let rows: Vec<(&str, &str)> = texts
        .iter()
        .map(|(name, rows)| (*name, rows.as_str()))
        .collect();
    let config = r#"{"regimes": ["basel"]}"#;
    let ran = harness::group::<LiquidityCells>(config, &Data::default(), as_of, &["entity"], &rows)
        .unwrap();
    let cell = |(_, cell): (u32, Cell<'_>)| {
        let Cell {
            entity,
            scope,
            regime,
            basis,
            side,
            line,
            ..
        } = cell;
        let (unweighted, weighted) = (
            Decimal::new(cell.unweighted, 18),
            Decimal::new(cell.weighted, 20),
        );
        json!({"entity": entity, "scope": scope, "regime": regime, "basis": basis, "side": side, "line": line,
               "unweighted": unweighted.to_text(), "weighted": weighted.to_text()})
    };
    let state = |(_, state): (u32, EntityState<'_>)| {
        let EntityState {
            entity,
            scope,
            regime,
            incomplete,
        } = state;
        json!({"entity": entity, "scope": scope, "regime": regime, "incomplete": incomplete})
    };
    let cells = ran.output("cells").records().map(cell).collect();
    let states = ran.output("states").records().map(state).collect();
    [("cells", lines(&cells)), ("states", lines(&states))]
}

/// The book's trades as exposures.
fn exposures(book: &Value) -> Inputs {
    let mut inputs = Inputs::from([("entities", vec![json!({"entity": "E"})])]);
    for trade in book["trades"].as_array().unwrap() {
        match trade["asset_class"].as_str().unwrap() {
            "holding" => holding(&mut inputs, book, trade),
            "repo" => secured(&mut inputs, book, trade, "PAY"),
            "reverse_repo" => secured(&mut inputs, book, trade, "RECEIVE"),
            "derivative" => derivative(&mut inputs, book, trade),
            "commodity_physical" => {}
            _ => balance(&mut inputs, trade),
        }
    }
    inputs
}

fn holding(inputs: &mut Inputs, book: &Value, trade: &Value) {
    let value = &trade["market_value"];
    if trade["instrument"] == "CB-RES" {
        push(
            inputs,
            "balances",
            json!({"kind": "cb_reserve", "value": value}),
        );
        return;
    }
    let (instrument, classes) = classes(book, trade["instrument"].as_str().unwrap());
    if trade["encumbered_fraction"].is_null() {
        push(inputs, "stock", with(json!({"value": value}), &classes));
    }
    let flow = json!({"line": "redemption", "direction": "RECEIVE", "payment_date": instrument["redemption_date"],
                      "last": false, "value": trade["redemption_amount"]});
    if !trade["redemption_amount"].is_null() {
        push(inputs, "security_flows", with(flow, &classes));
    }
}

fn secured(inputs: &mut Inputs, book: &Value, trade: &Value, direction: &str) {
    let (_, classes) = classes(book, trade["collateral"].as_str().unwrap());
    let row = json!({"direction": direction, "central_bank": false, "rehypothecable": true, "reused": false,
        "payment_date": trade["maturity"], "last": true, "rated": true, "valued": true, "cash": trade["cash"],
        "collateral": trade["collateral_mv"]});
    push(inputs, "secured", with(row, &classes));
}

/// A currency exchange nets on its date; other flows under an agreement, or not at all.
fn derivative(inputs: &mut Inputs, book: &Value, trade: &Value) {
    let is_exchange = trade["product"].as_str().unwrap().starts_with("fx");
    let mut alone: BTreeMap<(usize, &str), Decimal> = BTreeMap::new();
    for (index, flow) in trade["flows"].as_array().unwrap().iter().enumerate() {
        let rate: Decimal = book["fx_to_reporting"][flow["ccy"].as_str().unwrap()]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let amount: Decimal = flow["amount"].as_str().unwrap().parse().unwrap();
        let (date, value) = (
            flow["date"].as_str().unwrap(),
            amount.checked_mul(rate).unwrap(),
        );
        if let Some(agreement) = trade["netting_agreement"].as_str() {
            push(
                inputs,
                "netted",
                json!({"counterparty": trade["counterparty"], "agreement": agreement,
                "payment_date": date, "last": false, "value": value.to_text()}),
            );
        } else {
            let net = alone
                .entry((if is_exchange { 0 } else { index }, date))
                .or_insert(Decimal::ZERO);
            *net = net.checked_add(value).unwrap();
        }
    }
    for ((_, date), net) in alone {
        let is_paid = net < Decimal::ZERO;
        let (direction, value) = if is_paid {
            ("PAY", net.negated())
        } else {
            ("RECEIVE", net)
        };
        push(
            inputs,
            "flows",
            json!({"line": "fx", "direction": direction, "payment_date": date, "last": false,
            "value": value.to_text(), "unrated": 0}),
        );
    }
}

fn balance(inputs: &mut Inputs, trade: &Value) {
    let kind = match (
        trade["asset_class"].as_str().unwrap(),
        trade["bucket"].as_str(),
    ) {
        ("deposit_taken", Some("interbank")) => "deposit_financial",
        ("deposit_taken", Some("corporate_non_operational")) => "deposit_nonfin",
        ("deposit_taken", Some("retail_stable")) => "deposit_retail_stable",
        ("deposit_taken", Some("retail_less_stable")) => "deposit_retail_less_stable",
        ("loan_placed", Some("interbank")) => "loan_financial",
        ("commitment", Some("committed_credit_nonfinancial")) => "commitment_credit_nonfin",
        ("posted_non_l1_collateral", _) => "posted_non_l1_collateral",
        ("hlba", _) => "hlba",
        other => panic!("no balance kind for {other:?}"),
    };
    let amounts = [&trade["amount"], &trade["market_value"], &trade["undrawn"]];
    let amount = amounts
        .into_iter()
        .find(|amount| !amount.is_null())
        .unwrap();
    let maturity = if trade["maturity"] == "open" {
        &Value::Null
    } else {
        &trade["maturity"]
    };
    push(
        inputs,
        "balances",
        json!({"kind": kind, "maturity": maturity, "value": amount}),
    );
}

/// The instrument and its class columns: an override in force holds in all regimes.
fn classes<'b>(book: &'b Value, id: &str) -> (&'b Value, Value) {
    let instruments = book["instruments"].as_array().unwrap();
    let instrument = instruments
        .iter()
        .find(|instrument| instrument["id"] == id)
        .unwrap();
    let is = |name: &str| instrument[name].as_bool().unwrap_or(false);
    let data = Instrument {
        kind: InstrumentKind::parse(instrument["kind"].as_str().unwrap()).unwrap(),
        is_issuer_financial: is("issuer_financial"),
        is_own_issue: false,
        risk_weight: instrument["rw"]
            .as_u64()
            .map(|weight| weight.try_into().unwrap()),
        rating: instrument["rating"].as_str(),
        is_home_or_local_currency: false,
        is_major_index: is("major_index"),
        is_ehq: false,
    };
    let base = Regime::ALL.map(|regime| classify(&data, regime).name());
    let none = Vec::new();
    let in_force = |adjustment: &&Value| {
        let at = |name: &str| adjustment[name].as_str().unwrap();
        let as_of = book["as_of"].as_str().unwrap();
        adjustment["instrument"] == id
            && adjustment["status"] == "approved"
            && at("effective_from") <= as_of
            && as_of < at("effective_to")
    };
    let given = book["overrides"]
        .as_array()
        .unwrap_or(&none)
        .iter()
        .find(in_force);
    let adjusted = given.map_or(base, |given| [given["to"].as_str().unwrap(); 3]);
    let columns = json!({
        "hqla_class": adjusted[0], "us_class": adjusted[1], "eu_class": adjusted[2],
        "base_hqla_class": base[0], "base_us_class": base[1], "base_eu_class": base[2]});
    (instrument, columns)
}

fn with(mut row: Value, more: &Value) -> Value {
    row.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    row
}

fn push(inputs: &mut Inputs, input: &'static str, row: Value) {
    inputs
        .entry(input)
        .or_default()
        .push(with(row, &json!({"entity": "E"})));
}
