//! The project's own file, and files that must fail.

use crate::{run, told};
use lcr_rules::{Class, Factor};
use serde_json::{Value, json};

const VECTORS: &str = include_str!("../../../tests/vectors/lcr-vectors.json");

fn last_line(text: &str) -> String {
    let outcomes = run(text).expect("a file of cases");
    let told = told(&outcomes);
    told.lines().last().unwrap_or_default().to_owned()
}

/// Every case passes.
#[test]
fn all_cases_pass() {
    let outcomes = run(VECTORS).expect("a file of cases");
    assert!(outcomes.len() >= 70);
    let told = told(&outcomes);
    assert!(
        told.ends_with(&format!("{} passed, 0 failed\n", outcomes.len())),
        "{told}"
    );
}

/// A figure that is off, a kind and a figure that nobody answers: each fails its case alone.
#[test]
fn what_is_wrong_fails() {
    let all = run(VECTORS).expect("a file of cases").len();
    for (from, to) in [
        (r#""stock": "122""#, r#""stock": "122.0000000001""#),
        (r#""kind": "us_addon""#, r#""kind": "us_add_on""#),
        (r#""peak": "60""#, r#""peek": "60""#),
        (r#""correct": "122""#, r#""correct": "106.35""#),
    ] {
        assert!(VECTORS.contains(from), "{from}");
        let wanted = format!("{} passed, 1 failed", all - 1);
        assert_eq!(last_line(&VECTORS.replacen(from, to, 1)), wanted, "{to}");
    }
    assert!(run("[]").is_err());
    assert!(run(r#"{"casse": []}"#).is_err());
}

/// What public implementations get wrong beside the anti-vectors of the file (lcr.md, section 8): who and what, the
/// kind, the inputs, the right figures, theirs.
fn wrong_answers() -> Vec<(&'static str, &'static str, Value, Value, Value)> {
    let both_bind = json!({"l1": "60", "l2a": "50", "l2b": "30"});
    let repo = |days: Value| {
        let given = json!({"level": "L2A", "mv": "60"});
        json!({"l1": "100", "l2a": "30", "l2b": "0",
            "sfts": [{"type": "repo", "days": days, "cash": "50", "give": given}]})
    };
    let reverse = json!({"l1": "40", "l2a": "60", "l2b": "0",
        "sfts": [{"type": "reverse_repo", "days": 10, "cash": "38", "get": {"level": "L2A", "mv": "40"}}]});
    let spent = json!({"l1": "20", "l2a": "0", "l2b": "0",
        "sfts": [{"type": "repo", "days": 5, "cash": "100", "give": {"level": "L2A", "mv": "130"}}]});
    let flow = |amount: &str, rate: &str| json!([{"line": "x", "amount": amount, "rate": rate}]);
    let nothing_flows = json!({"hqla": "50", "outflows": [], "inflows": []});
    let little_flows = json!({"hqla": "50", "outflows": flow("0.4", "1"), "inflows": []});
    let addon = json!({"hqla": "108", "total_outflow": "100", "total_inflow": "45",
        "daily_net": {"5": "60", "10": "-30", "20": "10", "25": "-15"}});
    let adjusted = |l1: &str, l2a: &str| {
        let levels = json!({"L1": l1, "L2A": l2a, "L2B": "0"});
        json!({"basel": {"adjusted": levels}})
    };
    let values = |names: &[(&str, &str)]| {
        let values: serde_json::Map<String, Value> = names
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        json!({"market_values": values, "net_outflow": "100"})
    };
    let mixed = values(&[
        ("L1", "100"),
        ("L2A", "40"),
        ("L2B_RMBS", "20"),
        ("L2B", "20"),
    ]);
    vec![
        (
            "finos: rates are not applied",
            "net_outflow",
            json!({"outflows": flow("100", "0.05"), "inflows": []}),
            json!({"total_outflow": "5"}),
            json!({"total_outflow": "100"}),
        ),
        (
            "finos: no add-on",
            "us_addon",
            addon.clone(),
            json!({"add_on": "35"}),
            json!({"add_on": "0"}),
        ),
        (
            "finos: open is after 30 days",
            "hqla_caps",
            repo(json!("open")),
            adjusted("50", "81"),
            adjusted("100", "30"),
        ),
        (
            "finos: a repo that flows is not unwound",
            "hqla_caps",
            repo(json!(25)),
            adjusted("50", "81"),
            adjusted("100", "30"),
        ),
        (
            "drop: caps are tested, not applied",
            "hqla_caps",
            both_bind.clone(),
            json!({"basel": {"stock": "100"}}),
            json!({"basel": {"stock": "140"}}),
        ),
        (
            "omnibank: no greater-of",
            "hqla_caps",
            reverse,
            json!({"us": {"hqla": "66.668"}}),
            json!({"us": {"hqla": "100"}}),
        ),
        (
            "omnibank: net is 1 where nothing flows",
            "net_outflow",
            nothing_flows.clone(),
            json!({"lcr": null}),
            json!({"lcr": "50"}),
        ),
        (
            "corpfinance: net is 1 at least",
            "net_outflow",
            little_flows,
            json!({"net_outflow": "0.4", "lcr": "125"}),
            json!({"net_outflow": "1", "lcr": "50"}),
        ),
        (
            "corpfinance: no amount is negative",
            "hqla_caps",
            spent.clone(),
            adjusted("-80", "110.5"),
            adjusted("0", "110.5"),
        ),
        (
            "typescript, python: caps on what is held",
            "hqla_caps",
            repo(json!(25)),
            json!({"basel": {"stock": "247/3"}}),
            json!({"basel": {"stock": "130"}}),
        ),
        (
            "typescript, python: one haircut for 2B",
            "haircut_caps",
            mixed.clone(),
            json!({"l2b": "25"}),
            json!({"l2b": "20"}),
        ),
        (
            "typescript: no number where nothing flows",
            "net_outflow",
            nothing_flows,
            json!({"lcr": null}),
            json!({"lcr": "0"}),
        ),
        (
            "gengstah, a spreadsheet: a plain sum",
            "hqla_caps",
            both_bind,
            json!({"basel": {"stock": "100"}, "eu": {"buffer": "100"}}),
            json!({"basel": {"stock": "140"}, "eu": {"buffer": "140"}}),
        ),
        (
            "gengstah: four decimals of a ratio",
            "haircut_caps",
            mixed,
            json!({"lcr": "134/85"}),
            json!({"lcr": "1.5765"}),
        ),
        (
            "constraint-based: no add-on",
            "us_addon",
            addon,
            json!({"lcr": "1.2"}),
            json!({"lcr": "108/55"}),
        ),
    ]
}

/// Goal: none of them is our answer. Method: each as a case with the right figures, which passes, and with theirs.
#[test]
fn wrong_answers_are_not_ours() {
    for (who, kind, inputs, right, wrong) in wrong_answers() {
        for (expected, last) in [(right, "1 passed, 0 failed"), (wrong, "0 passed, 1 failed")] {
            let case = json!({"id": who, "kind": kind, "inputs": &inputs, "expected": expected});
            let text = json!({"cases": [case]}).to_string();
            assert_eq!(
                told(&run(&text).expect("a file of cases")).lines().last(),
                Some(last),
                "{text}"
            );
        }
    }
}

/// Goal: nor are their rates. Method: the rates that lcr.md says they miss, by the project's rules in each regime.
#[test]
fn wrong_rates_are_not_ours() {
    let terms = crate::stock::all_terms(crate::stock::DATE).expect("rules");
    let percent = |factor: Option<Factor>| factor.map(|factor| factor.digits() / 100);
    let balance = |kind: &str| terms.each_ref().map(|terms| percent(terms.balance(kind)));
    // omnibank: deposits of financial institutions 0 %.
    assert_eq!(balance("deposit_financial"), [Some(100); 3]);
    // corpfinance: every liquidity facility 100 %, every credit line 10 %.
    assert_eq!(balance("commitment_liquidity_nonfin"), [Some(30); 3]);
    assert_eq!(balance("commitment_credit_retail"), [Some(5); 3]);
    assert_eq!(balance("commitment_credit_otherfin"), [Some(40); 3]);
    assert_eq!(balance("commitment_bank"), [Some(40), Some(50), Some(40)]);
    // corpfinance: nothing for what RMBS and other level 2B secure.
    for terms in &terms {
        assert_eq!(percent(Some(terms.haircut(Class::L2bRmbs))), Some(25));
        assert_eq!(percent(Some(terms.haircut(Class::L2b))), Some(50));
    }
}
