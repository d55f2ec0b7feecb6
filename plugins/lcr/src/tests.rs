//! Cells as rows, and the ratio they make.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use crate::Lcr;
use expect_test::{Expect, expect};
use weir_sdk::{Data, harness};

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

fn check(cells: &str, incomplete: bool, expected: &Expect) {
    check_in("basel", "{}", cells, incomplete, expected);
}

/// Cells as `basis side line unweighted weighted`, and, with `@day`, in the day net; with `^cap`, of inflows so capped.
fn check_in(regime: &str, config: &str, cells: &str, incomplete: bool, expected: &Expect) {
    let key = format!(r#""entity": "E", "scope": "total", "regime": "{regime}""#);
    let cell = |cell: &str| {
        let words: Vec<&str> = cell.split(' ').collect();
        let [basis, side, line, unweighted, weighted] = words[..5] else {
            panic!("five words: {cell}")
        };
        let more = words[5..].iter().map(|word| match word.split_at(1) {
            ("@", day) => format!(r#", "day": {day}, "day_net": true"#),
            (_, cap) => format!(r#", "inflow_cap": {cap}"#),
        });
        let more: String = more.collect();
        let what = format!(r#""basis": "{basis}", "side": "{side}", "line": "{line}""#);
        format!(r#"{{{key}, {what}, "unweighted": {unweighted}, "weighted": {weighted}{more}}}"#)
    };
    let cells: Vec<String> = cells
        .split(", ")
        .filter(|text| !text.is_empty())
        .map(cell)
        .collect();
    let state = format!(r#"{{{key}, "incomplete": {incomplete}}}"#);
    let inputs = [("cells", &*cells.join("\n")), ("states", &*state)];
    let by = ["entity", "scope", "regime"];
    let ran =
        harness::group::<Lcr>(config, &rules(), "2026-03-02T12:00:00Z", &by, &inputs).unwrap();
    let text = ran
        .to_string()
        .replace(&format!(" 0: entity=E scope=total regime={regime}"), ":")
        .replace("hqla: level=", "  ");
    expected.assert_eq(&text);
}

/// Caps on the stock as unwound, a ratio that is rounded once, and the base ratio of the base cells.
#[test]
fn ratio() {
    check(
        "adjusted HQLA L1 100 100, adjusted HQLA L2A 30 30, adjusted UNWIND L1 -50 -50, adjusted UNWIND L2A 60 51, \
         adjusted OUT repo 50 7.5, adjusted OUT debt_issued 60 60, adjusted IN loan_nonfin 20 10, \
         base HQLA L1 1 1, base OUT debt_issued 3 3",
        false,
        &expect![[r#"
            lcr: l1=100 l2a=30 l2b=0 adj_l1=50 adj_l2a=81 adj_l2b=0 hqla=82.333333 outflow=67.5 inflow_uncapped=10 inflow_capped=10 inflow_cap_binding=false addon=0 net_outflow=57.5 lcr=1.431884058 base_lcr=0.3333333333 state=ok
              L1 amount=100 post_haircut=100 share=0.7692307692
              L2A amount=30 post_haircut=30 share=0.2307692308
              L2B_RMBS amount=0 post_haircut=0 share=0
              L2B amount=0 post_haircut=0 share=0
        "#]],
    );
}

/// Inflows above three quarters of the outflows do not count.
#[test]
fn inflow_cap() {
    check(
        "adjusted HQLA L2B_RMBS 40 30, adjusted OUT x 100 100, adjusted IN y 90 90",
        false,
        &expect![[r#"
        lcr: l1=0 l2a=0 l2b=30 adj_l1=0 adj_l2a=0 adj_l2b=30 hqla=0 outflow=100 inflow_uncapped=90 inflow_capped=75 inflow_cap_binding=true addon=0 net_outflow=25 lcr=0 state=ok
          L1 amount=0 post_haircut=0 share=0
          L2A amount=0 post_haircut=0 share=0
          L2B_RMBS amount=40 post_haircut=30 share=1
          L2B amount=0 post_haircut=0 share=0
    "#]],
    );
}

/// Nothing flows out: the ratio is undefined, and `incomplete` comes before that.
#[test]
fn undefined() {
    check(
        "",
        false,
        &expect![[r#"
        lcr: l1=0 l2a=0 l2b=0 adj_l1=0 adj_l2a=0 adj_l2b=0 hqla=0 outflow=0 inflow_uncapped=0 inflow_capped=0 inflow_cap_binding=false addon=0 net_outflow=0 state=undefined
          L1 amount=0 post_haircut=0
          L2A amount=0 post_haircut=0
          L2B_RMBS amount=0 post_haircut=0
          L2B amount=0 post_haircut=0
    "#]],
    );
    check(
        "adjusted HQLA L1 1 1, adjusted IN y 90 90",
        true,
        &expect![[r#"
        lcr: l1=1 l2a=0 l2b=0 adj_l1=1 adj_l2a=0 adj_l2b=0 hqla=1 outflow=0 inflow_uncapped=90 inflow_capped=0 inflow_cap_binding=true addon=0 net_outflow=0 state=incomplete
          L1 amount=1 post_haircut=1 share=1
          L2A amount=0 post_haircut=0 share=0
          L2B_RMBS amount=0 post_haircut=0 share=0
          L2B amount=0 post_haircut=0 share=0
    "#]],
    );
}

/// The US: the greater excess counts, decimals as printed; the add-on; a bank's percentage of it all.
#[test]
fn by_us_rules() {
    let cells = "adjusted HQLA L1 40 40, adjusted HQLA L2A 70.5 60, adjusted UNWIND L1 38 38, \
                 adjusted UNWIND L2A 40 -34, adjusted OUT a 60 60 @5, adjusted OUT b 40 40, adjusted IN c 30 30 @10, \
                 adjusted IN d 15 15 @25";
    check_in(
        "us",
        "{}",
        cells,
        false,
        &expect![[r#"
            lcr: l1=40 l2a=60 l2b=0 adj_l1=78 adj_l2a=26 adj_l2b=0 hqla=66.668 outflow=100 inflow_uncapped=45 inflow_capped=45 inflow_cap_binding=false addon=45 net_outflow=100 lcr=0.66668 state=ok
              L1 amount=40 post_haircut=40 share=0.4
              L2A amount=70.5 post_haircut=60 share=0.6
              L2B_RMBS amount=0 post_haircut=0 share=0
              L2B amount=0 post_haircut=0 share=0
        "#]],
    );
    check_in(
        "us",
        r#"{"us_percentage": "85%"}"#,
        cells,
        false,
        &expect![[r#"
            lcr: l1=40 l2a=60 l2b=0 adj_l1=78 adj_l2a=26 adj_l2b=0 hqla=66.668 outflow=100 inflow_uncapped=45 inflow_capped=45 inflow_cap_binding=false addon=45 net_outflow=85 lcr=0.7843294118 state=ok
              L1 amount=40 post_haircut=40 share=0.4
              L2A amount=70.5 post_haircut=60 share=0.6
              L2B_RMBS amount=0 post_haircut=0 share=0
              L2B amount=0 post_haircut=0 share=0
        "#]],
    );
}

/// The EU: covered bonds are level 1 with a floor on the rest of it; inflows one bucket after the other.
#[test]
fn by_eu_rules() {
    check_in(
        "eu",
        "{}",
        "adjusted HQLA L1 30 30, adjusted HQLA L1CB 100 93, adjusted OUT a 100 100, adjusted IN b 10 10 ^100, \
         adjusted IN c 27 27 ^90, adjusted IN d 60 60 ^75",
        false,
        &expect![[r#"
            lcr: l1=123 l2a=0 l2b=0 adj_l1=123 adj_l2a=0 adj_l2b=0 hqla=100 outflow=100 inflow_uncapped=97 inflow_capped=82 inflow_cap_binding=true addon=0 net_outflow=18 lcr=5.5555555556 state=ok
              L1 amount=30 post_haircut=30 share=0.243902439
              L1CB amount=100 post_haircut=93 share=0.756097561
              L2A amount=0 post_haircut=0 share=0
              L2B_RMBS amount=0 post_haircut=0 share=0
              L2B amount=0 post_haircut=0 share=0
        "#]],
    );
}

/// The stock of one currency is not capped; what flows in is.
#[test]
fn one_currency() {
    let key = r#""entity": "E", "scope": "EUR", "regime": "basel""#;
    let cell = |side: &str, line: &str, amount: i32| {
        format!(
            r#"{{{key}, "basis": "adjusted", "side": "{side}", "line": "{line}", "unweighted": {amount}, "weighted": {amount}}}"#
        )
    };
    let cells = [
        cell("HQLA", "L2B", 10),
        cell("OUT", "x", 30),
        cell("IN", "y", 90),
    ]
    .join("\n");
    let state = format!(r#"{{{key}, "incomplete": false}}"#);
    let by = ["entity", "scope", "regime"];
    let inputs = [("cells", &*cells), ("states", &*state)];
    let ran = harness::group::<Lcr>("{}", &rules(), "2026-03-02T12:00:00Z", &by, &inputs).unwrap();
    let row = ran.to_string().lines().next().unwrap().to_owned();
    expect!["lcr 0: entity=E scope=EUR regime=basel l1=0 l2a=0 l2b=10 adj_l1=0 adj_l2a=0 adj_l2b=10 hqla=10 outflow=30 inflow_uncapped=90 inflow_capped=22.5 inflow_cap_binding=true addon=0 net_outflow=7.5 lcr=1.3333333333 state=ok"].assert_eq(&row);
}
