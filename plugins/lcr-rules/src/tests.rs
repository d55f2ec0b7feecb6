//! Rules files: what holds on a date, and what is refused with its place and cure.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use crate::rules::parse_date;
use crate::{Class, Factor, Regime, Rules, SwapFlow};
use expect_test::{Expect, expect};

const BASEL: &str = include_str!("../../../schemas/rules/basel.csv");
const US: &str = include_str!("../../../schemas/rules/us.csv");
const EU: &str = include_str!("../../../schemas/rules/eu.csv");

/// The project's rules.
pub(crate) fn rules() -> Rules {
    parse(BASEL).unwrap_or_else(|error| panic!("{error}"))
}

fn parse(basel: &str) -> Result<Rules, crate::RulesError> {
    Rules::parse(&[("basel.csv", basel), ("us.csv", US), ("eu.csv", EU)])
}

/// Basel's rules with one line changed.
fn changed(from: &str, to: &str) -> Result<Rules, crate::RulesError> {
    assert!(BASEL.contains(from), "{from}");
    parse(&BASEL.replacen(from, to, 1))
}

const STABLE: &str = "basel,balance.deposit_retail_stable,5%,,,,B238 75";

/// The Reserve Bank of India adds 2.5 points to deposits reached by internet or phone from 1 April 2026.
#[test]
fn a_factor_changes_on_its_date() {
    let two = "basel,balance.deposit_retail_stable,5%,,2026-04-01,,B238 75\n\
               basel,balance.deposit_retail_stable,7.5%,2026-04-01,,,RBI, LCR review 2025";
    let rules = changed(STABLE, two).expect("two dated lines");
    let on = |date| {
        rules
            .terms(Regime::Basel, date)
            .balance("deposit_retail_stable")
    };
    let first_of_april_2026 = 20_544;
    assert_eq!(on(first_of_april_2026 - 1), Some(Factor::new(500)));
    assert_eq!(on(first_of_april_2026), Some(Factor::new(750)));
    let source = |date| rules.source(Regime::Basel, "balance.deposit_retail_stable", date);
    assert_eq!(source(first_of_april_2026), Some("RBI, LCR review 2025"));
    assert_eq!(source(first_of_april_2026 - 1), Some("B238 75"));
}

/// Dates by a walk through the calendar, day by day over leap years and centuries; no other day is a date.
#[test]
fn dates_follow_each_other() {
    let mut days = 0;
    for year in 1970..2105 {
        let february = match year {
            2000 => 29,
            2100 => 28,
            _ if year % 4 == 0 => 29,
            _ => 28,
        };
        let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, length) in (1..).zip(lengths) {
            for day in 1..=length {
                let text = format!("{year}-{month:02}-{day:02}");
                assert_eq!(parse_date(&text), Some(days), "{text}");
                days += 1;
            }
            for day in [0, length + 1] {
                let text = format!("{year}-{month:02}-{day:02}");
                assert_eq!(parse_date(&text), None, "{text}");
            }
        }
    }
    assert_eq!(parse_date("1969-12-31"), Some(-1));
    for text in [
        "1900-02-29",
        "2026-00-01",
        "2026-13-01",
        "2026-1-01",
        "20260101",
    ] {
        assert_eq!(parse_date(text), None, "{text}");
    }
}

/// The days on which classes change are those of class rules alone.
#[test]
fn days_on_which_classes_change() {
    assert!(rules().class_dates().is_empty());
    let class = "basel,class.equity.major_index,L2B,,,,B238 54(c)";
    let two = "basel,class.equity.major_index,L2B,,2026-04-01,,B238 54(c)\n\
               basel,class.equity.major_index,NON,2026-04-01,,,a test";
    let rules = changed(class, two).expect("two dated lines");
    assert_eq!(
        rules.class_dates().into_iter().collect::<Vec<_>>(),
        [20_544]
    );
    let factor = "basel,balance.deposit_retail_stable,5%,,2026-04-01,,s\n\
                  basel,balance.deposit_retail_stable,6%,2026-04-01,,,s";
    let rules = changed(STABLE, factor).expect("two dated lines");
    assert!(rules.class_dates().is_empty());
}

/// Each fault of a rules file, told with file, line and cure.
#[test]
fn faults() {
    let line = |tail: &str| format!("basel,balance.deposit_retail_stable,{tail}");
    let two = |first: &str, second: &str| format!("{}\n{}", line(first), line(second));
    let cases = [
        two("5%,,2026-04-01,,s", "6%,2026-04-02,,,s"),
        two("5%,,2026-04-02,,s", "6%,2026-04-01,,,s"),
        two("5%,,,,s", "6%,2026-04-01,,,s"),
        line("5%,2026-04-01,,,s"),
        line("5%,,2026-04-01,,s"),
        line("5%,2026-04-01,2026-04-01,,s"),
        line("5%,2026-02-30,,,s"),
        line("500%,,,,s"),
        line("5%,,,double,s"),
        line("5,5%,,,,s"),
        line("five,,,,s"),
        line("5%,,,,"),
        line("5%"),
        "basle,balance.deposit_retail_stable,5%,,,,s".to_owned(),
        "basel,balance.deposit_retail_stabel,5%,,,,s".to_owned(),
        "basel,class.shares.any,L1,,,,s".to_owned(),
        "basel,class.equity.any,L3,,,,s".to_owned(),
        "basel,class.equity.rating C,L1,,,,s".to_owned(),
        "# nothing".to_owned(),
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|case| changed(STABLE, case).expect_err(case).to_string())
        .collect();
    check(
        &told,
        &expect![[r#"
        basel.csv:38: rule `balance.deposit_retail_stable` of `basel` leaves a gap with line 37 of basel.csv: let that end on the day on which this begins
        basel.csv:38: rule `balance.deposit_retail_stable` of `basel` overlaps with line 37 of basel.csv: let that end on the day on which this begins
        basel.csv:38: rule `balance.deposit_retail_stable` of `basel` overlaps with line 37 of basel.csv: let that end on the day on which this begins
        basel.csv:37: rule `balance.deposit_retail_stable` of `basel` has no value before its first `from`: leave that empty
        basel.csv:37: rule `balance.deposit_retail_stable` of `basel` has no value from its last `until` on: leave that empty
        basel.csv:37: `from` is not before `until`: swap them, or leave the line out
        basel.csv:37: `2026-02-30` is no date: write 2026-04-01
        basel.csv:37: factor 500% is above 1: mend it, or flag it `above_one` if it is meant
        basel.csv:37: unknown flag `double`: there is only `above_one`
        basel.csv:37: `5%` is no date: write 2026-04-01
        basel.csv:37: `five` is no factor: write 0.15 or 15%, at most four decimals
        basel.csv:37: has no source: name the paragraph it stands on
        basel.csv:37: has not the columns `regime,rule,value,from,until,flag,source`: fill in the commas
        basel.csv:37: unknown regime `basle`: write one of basel, us, eu
        basel.csv:37: unknown rule `balance.deposit_retail_stabel` for `basel`: see the other files for how rules are called
        basel.csv:37: unknown kind of instrument `shares`: see `kind` of refdata
        basel.csv:37: unknown class `L3`: write one of L1, L1CB, L2A, L2B_RMBS, L2B, NON
        basel.csv:37: unknown condition `rating C`: such as `rating AA-`
        basel.csv:77: regime `basel` has no rule `balance.deposit_retail_stable`: add a line for it
    "#]],
    );
    assert!(changed(STABLE, &line("500%,,,above_one,s")).is_ok());
    let cap = "basel,cap.level_2,40%";
    let told: Vec<String> = ["100%", "0%"]
        .map(|share| {
            changed(cap, &format!("basel,cap.level_2,{share}"))
                .expect_err("a share")
                .to_string()
        })
        .to_vec();
    check(
        &told,
        &expect![[r#"
        basel.csv:6: share 1 is not between 0 and 1: mend it
        basel.csv:6: share 0 is not between 0 and 1: mend it
    "#]],
    );
    let headless = parse("basel,cap.level_2,40%,,,,s").expect_err("no header");
    check(
        &[headless.to_string()],
        &expect![[r#"
        basel.csv:1: the first line is not `regime,rule,value,from,until,flag,source`: put it there
    "#]],
    );
}

fn check(lines: &[String], expected: &Expect) {
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

/// Haircuts, the rates of secured cash, and the collateral swap examples of lcr.md 2.4.
#[test]
fn haircuts_and_swaps() {
    let terms = rules().terms(Regime::Basel, 20_000);
    let percent = |class: Class| terms.haircut(class).digits() / 100;
    assert_eq!(Class::ALL.map(percent), [0, 7, 15, 25, 50, 100]);
    let counted = |class: Class| terms.counted(class).digits() / 100;
    assert_eq!(Class::ALL.map(counted), [100, 93, 85, 75, 50, 0]);
    assert_eq!(terms.horizon, 30);
    let swap = |lent, borrowed| terms.collateral_swap(lent, borrowed);
    assert_eq!(
        swap(Class::L2a, Class::L1),
        SwapFlow::Out(Factor::new(1500))
    );
    assert_eq!(
        swap(Class::L2b, Class::L2a),
        SwapFlow::Out(Factor::new(3500))
    );
    assert_eq!(swap(Class::L1, Class::Non), SwapFlow::In(Factor::ONE));
    assert_eq!(swap(Class::L2b, Class::L2b), SwapFlow::Nothing);
    assert_eq!(terms.flow("repo_central_bank"), Some(Factor::ZERO));
    assert_eq!(terms.flow("nothing of ours"), None);
}
