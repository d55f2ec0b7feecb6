//! Cells as rows, and the ratio they make.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use crate::Lcr;
use expect_test::{Expect, expect};
use weir_sdk::{Data, harness};

/// Cells as `basis side line unweighted weighted`.
fn check(cells: &str, incomplete: bool, expected: &Expect) {
    let key = r#""entity": "E", "scope": "total", "regime": "basel""#;
    let cell = |cell: &str| {
        let words: Vec<&str> = cell.split(' ').collect();
        let [basis, side, line, unweighted, weighted] = words[..] else {
            panic!("five words: {cell}")
        };
        let what = format!(r#""basis": "{basis}", "side": "{side}", "line": "{line}""#);
        format!(r#"{{{key}, {what}, "unweighted": {unweighted}, "weighted": {weighted}}}"#)
    };
    let cells: Vec<String> = cells
        .split(", ")
        .filter(|text| !text.is_empty())
        .map(cell)
        .collect();
    let state = format!(r#"{{{key}, "incomplete": {incomplete}}}"#);
    let inputs = [("cells", &*cells.join("\n")), ("states", &*state)];
    let by = ["entity", "scope", "regime"];
    let ran = harness::group::<Lcr>("{}", &Data::default(), "2026-03-02T12:00:00Z", &by, &inputs)
        .unwrap();
    let text = ran
        .to_string()
        .replace(" 0: entity=E scope=total regime=basel", ":")
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
