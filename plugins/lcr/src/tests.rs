//! Cells as rows, and the ratio they make.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use crate::{Lcr, Working};
use expect_test::{Expect, expect};
use weir_exact::Decimal;
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
fn run_in(regime: &str, config: &str, cells: &str, incomplete: bool) -> harness::GroupRan {
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
    harness::group::<Lcr>(config, &rules(), "2026-03-02T12:00:00Z", &by, &inputs).unwrap()
}

fn check_in(regime: &str, config: &str, cells: &str, incomplete: bool, expected: &Expect) {
    let text = run_in(regime, config, cells, incomplete)
        .to_string()
        .replace(&format!(" 0: entity=E scope=total regime={regime}"), ":")
        .replace("hqla: level=", "  ");
    let text: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("workings"))
        .collect();
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

/// A stock that the formula makes negative is shown so, unless the policy says otherwise.
#[test]
fn a_negative_stock() {
    let cells = "adjusted HQLA L1 10 10, adjusted HQLA L2A 20 17, adjusted UNWIND L1 40 -40, adjusted OUT a 100 100";
    let answer = |config: &str| {
        let text = run_in("basel", config, cells, false).to_string();
        let found = [
            "hqla=-",
            " hqla=0",
            "lcr=-0.1",
            "lcr=0 ",
            "and the policy none",
        ];
        found.map(|part| text.contains(part))
    };
    assert_eq!(answer("{}"), [true, false, true, false, false]);
    assert_eq!(
        answer(r#"{"stock_floor": "zero"}"#),
        [false, true, false, true, true]
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

/// The working of each regime: every line with its amount and paragraph, ending in the ratio.
#[test]
fn workings() {
    let cells = "adjusted HQLA L1 100 100, adjusted HQLA L2A 40 34, adjusted HQLA L2B 100 50, adjusted UNWIND L1 -50 -50, \
                 adjusted UNWIND L2A 60 51, adjusted OUT repo 50 7.5 @5, adjusted OUT debt_issued 60 60, \
                 adjusted IN loan_nonfin 120 60 @10 ^75";
    for (regime, expected) in [
        (
            "basel",
            expect![[r#"
            1 L1 at market value = 100 (B238 50; LCR30.41)
            2 L1 after a haircut of 0 % = 100 (B238 50; LCR30.41)
            3 L2A at market value = 40 (B238 52; LCR30.43)
            4 L2A after a haircut of 15 % = 34 (B238 52; LCR30.43)
            5 L2B_RMBS at market value = 0 (B238 54(a); LCR30.45)
            6 L2B_RMBS after a haircut of 25 % = 0 (B238 54(a); LCR30.45)
            7 L2B at market value = 100 (B238 54(b)-(c); LCR30.45)
            8 L2B after a haircut of 50 % = 50 (B238 54(b)-(c); LCR30.45)
            9 Level 1: what undoing secured trades of the horizon changes = -50 (B238 Annex 1 para 4)
            10 Level 1 with them undone = 50 (B238 Annex 1 para 4)
            11 Level 2A: what undoing secured trades of the horizon changes = 51 (B238 Annex 1 para 4)
            12 Level 2A with them undone = 85 (B238 Annex 1 para 4)
            13 Level 2B: what undoing secured trades of the horizon changes = 0 (B238 Annex 1 para 4)
            14 Level 2B with them undone = 50 (B238 Annex 1 para 4)
            15 Cap on level 2B: binds, by = 37.5 (B238 47)
            16 Cap on level 2: binds, by = 64.1666666667 (B238 48)
            17 Stock of liquid assets = 82.3333333333 (B238 46-54)
            18 Outflow: debt_issued = 60 (B238 110)
            19 Outflow: repo = 7.5 (B238 114)
            20 Outflows = 67.5 (B238 69)
            21 Inflow: loan_nonfin = 60 (B238 154)
            22 Inflows = 60 (B238 142)
            23 Cap on inflows: binds, by = 9.375 (B238 69, 144)
            24 Inflows that count = 50.625 (B238 69, 144)
            25 Net outflow = 16.875 (B238 69)
            26 Ratio: stock over net outflow = 4.8790123457 (B238 22)
        "#]],
        ),
        (
            "us",
            expect![[r#"
            1 L1 at market value = 100 (12 CFR 249.20(a))
            2 L1 after a haircut of 0 % = 100 (12 CFR 249.20(a))
            3 L2A at market value = 40 (12 CFR 249.21(b)(2))
            4 L2A after a haircut of 15 % = 34 (12 CFR 249.21(b)(2))
            5 L2B_RMBS at market value = 0 (B238 54(a), of an override alone)
            6 L2B_RMBS after a haircut of 25 % = 0 (B238 54(a), of an override alone)
            7 L2B at market value = 100 (12 CFR 249.21(b)(3))
            8 L2B after a haircut of 50 % = 50 (12 CFR 249.21(b)(3))
            9 Level 1: what undoing secured trades of the horizon changes = -50 (12 CFR 249.21(f)-(i))
            10 Level 1 with them undone = 50 (12 CFR 249.21(f)-(i))
            11 Level 2A: what undoing secured trades of the horizon changes = 51 (12 CFR 249.21(f)-(i))
            12 Level 2A with them undone = 85 (12 CFR 249.21(f)-(i))
            13 Level 2B: what undoing secured trades of the horizon changes = 0 (12 CFR 249.21(f)-(i))
            14 Level 2B with them undone = 50 (12 CFR 249.21(f)-(i))
            15 Cap on level 2 of the stock as it is: binds, by = 17.33 (12 CFR 249.21(d), (g))
            16 Cap on level 2B of the stock as it is: binds, by = 9.019 (12 CFR 249.21(e), (h))
            17 Cap on level 2 of the stock with secured trades undone: binds, by = 101.665 (12 CFR 249.21(d), (g))
            18 Cap on level 2B of the stock with secured trades undone: does not bind = 0 (12 CFR 249.21(e), (h))
            19 Caps: the greater of the two: binds, by = 101.665 (12 CFR 249.21(a))
            20 Stock of liquid assets = 82.335 (12 CFR 249.21(a))
            21 Outflow: debt_issued = 60 (12 CFR 249.32(h)(2))
            22 Outflow: repo = 7.5 (12 CFR 249.32(j)(1))
            23 Outflows = 67.5 (12 CFR 249.32)
            24 Inflow: loan_nonfin = 60 (12 CFR 249.33(d)(2))
            25 Inflows = 60 (12 CFR 249.33)
            26 Cap on inflows: binds, by = 9.375 (12 CFR 249.30(a)(2))
            27 Inflows that count = 50.625 (12 CFR 249.30(a)(2))
            28 Highest net cumulative outflow of a day = 7.5 (12 CFR 249.30(b))
            29 That of the last day = 0 (12 CFR 249.30(b))
            30 Maturity mismatch add-on: the difference = 7.5 (12 CFR 249.30(b))
            31 Net outflow: 100 % of outflows less inflows that count, and the add-on = 24.375 (12 CFR 249.30(a))
            32 Ratio: stock over net outflow = 3.3778461538 (12 CFR 249.10(b))
        "#]],
        ),
        (
            "eu",
            expect![[r#"
            1 L1 at market value = 100 (Art. 10(2))
            2 L1 after a haircut of 0 % = 100 (Art. 10(2))
            3 L1CB at market value = 0 (Art. 10(2))
            4 L1CB after a haircut of 7 % = 0 (Art. 10(2))
            5 L2A at market value = 40 (Art. 11(2))
            6 L2A after a haircut of 15 % = 34 (Art. 11(2))
            7 L2B_RMBS at market value = 0 (Art. 13(14))
            8 L2B_RMBS after a haircut of 25 % = 0 (Art. 13(14))
            9 L2B at market value = 100 (Art. 12(2))
            10 L2B after a haircut of 50 % = 50 (Art. 12(2))
            11 Level 1: what undoing secured trades of the horizon changes = -50 (Annex I para 3)
            12 Level 1 with them undone = 50 (Annex I para 3)
            13 Covered bonds of level 1: what undoing secured trades of the horizon changes = 0 (Annex I para 3)
            14 Covered bonds of level 1 with them undone = 0 (Annex I para 3)
            15 Level 2A: what undoing secured trades of the horizon changes = 51 (Annex I para 3)
            16 Level 2A with them undone = 85 (Annex I para 3)
            17 Level 2B: what undoing secured trades of the horizon changes = 0 (Annex I para 3)
            18 Level 2B with them undone = 50 (Annex I para 3)
            19 Composition: the excess over the tightest bound: binds, by = 101.6666666667 (Annex I para 2-4)
            20 Stock of liquid assets = 82.3333333333 (Art. 17)
            21 Outflow: debt_issued = 60 (Art. 28(6))
            22 Outflow: repo = 7.5 (Art. 28(3))
            23 Outflows = 67.5 (Art. 22)
            24 Inflow: loan_nonfin = 60 (Art. 32(3)(a))
            25 Inflows = 60 (Art. 32)
            26 Inflows exempt from the cap that count = 0 (Art. 33(1))
            27 Inflows under the higher cap that count = 0 (Art. 33(4))
            28 Other inflows that count = 50.625 (Art. 33(1))
            29 Cap on inflows: binds, by = 9.375 (Art. 33(1))
            30 Inflows that count = 50.625 (Art. 33(1))
            31 Net outflow = 16.875 (Annex II)
            32 Ratio: stock over net outflow = 4.8790123457 (Art. 4(1))
        "#]],
        ),
    ] {
        let ran = run_in(regime, "{}", cells, false);
        let mut lines = Vec::new();
        for (_, row) in ran.output("workings").records::<Working<'_>>() {
            let amount = row.amount.map(|amount| Decimal::new(amount, 10).to_text());
            let amount = amount.unwrap_or_default();
            lines.push(format!(
                "{} {} = {amount} ({})",
                row.line, row.text, row.source
            ));
        }
        expected.assert_eq(&(lines.join("\n") + "\n"));
    }
}
