//! Repos as rows, and which messages are refused for what.

use expect_test::{Expect, expect};
use normalize_repo::NormalizeRepo;
use weir_sdk::Data;
use weir_sdk::harness::transform;

const SWAPPED: [(&str, &str); 3] = [
    ("direction", r#""COLLATERAL_SWAP""#),
    ("cash", r#""0""#),
    ("received", r#"{"instrument_id":"I2","nominal":"900"}"#),
];

/// A good repo; the fields of `other` are added or, by a second value, replaced. Values are JSON.
fn repo(other: &[(&str, &str)]) -> String {
    let good = [
        ("repo_id", r#""R1""#),
        ("version", "1"),
        ("action", r#""NEW""#),
        ("direction", r#""REPO""#),
        ("collateral", r#"{"instrument_id":"I1","nominal":"1000.5"}"#),
        ("cash", r#""36000000""#),
        ("ccy", r#""eur""#),
        ("repo_rate_pct", r#""4.35""#),
        ("start_date", r#""2026-03-02""#),
        ("maturity_date", r#""2026-03-17""#),
        ("entity", r#""E""#),
        ("book", r#""B""#),
        ("counterparty", r#""C""#),
        ("rehypothecable", "true"),
        ("reused", "false"),
    ];
    let kept = good
        .iter()
        .filter(|(name, _)| other.iter().all(|(changed, _)| changed != name));
    let cells = kept
        .chain(other)
        .map(|(name, value)| format!(r#""{name}":{value}"#));
    format!("{{{}}}", cells.collect::<Vec<_>>().join(","))
}

fn check(rows: &[String], expected: &Expect) {
    let ran = transform::<NormalizeRepo>("{}", &Data::default(), &rows.join("\n"))
        .expect("the plugin opens");
    expected.assert_eq(&ran.to_string());
}

/// Cash goes back at the end of a repo and comes back at the end of a reverse repo.
#[test]
fn principal() {
    check(
        &[
            repo(&[("repo_rate_pct", r#""0""#)]),
            repo(&[
                ("direction", r#""REVERSE_REPO""#),
                ("maturity_date", "null"),
                ("reused", "true"),
            ]),
            repo(&[SWAPPED.as_slice(), &[("rehypothecable", "false")]].concat()),
        ],
        &expect![[r"
            0: trade_id=R1 version=1 action=NEW asset_class=REPO product=REPO entity=E book=B counterparty=C start_date=2026-03-02 maturity_date=2026-03-17 leg=0 kind=SECURED direction=PAY instrument_id=I1 quantity=1000.5 amount=36000000 currency=EUR payment_date=2026-03-17 rehypothecable=true reused=false terms=rate=0;
            1: trade_id=R1 version=1 action=NEW asset_class=REPO product=REVERSE_REPO entity=E book=B counterparty=C start_date=2026-03-02 leg=0 kind=SECURED direction=RECEIVE instrument_id=I1 quantity=1000.5 amount=36000000 currency=EUR rehypothecable=true reused=true terms=rate=4350000000;
            2: trade_id=R1 version=1 action=NEW asset_class=REPO product=COLLATERAL_SWAP entity=E book=B counterparty=C start_date=2026-03-02 maturity_date=2026-03-17 leg=0 kind=SWAP instrument_id=I1 quantity=1000.5 received_instrument_id=I2 received_quantity=900 amount=0 currency=EUR payment_date=2026-03-17 rehypothecable=false reused=false terms=rate=4350000000;
        "]],
    );
}

/// Interest: direction by side and sign, 360 days, half-even at 18 decimals, none on an open or an empty term.
#[test]
fn interest() {
    let coupon = |direction: &str, rate: &str, cash: &str, maturity: &str| {
        let quoted = |text: &str| format!("\"{text}\"");
        let values = [direction, rate, cash, maturity].map(quoted);
        let names = ["direction", "repo_rate_pct", "cash", "maturity_date"];
        let fields: Vec<(&str, &str)> = names
            .into_iter()
            .zip(values.iter().map(String::as_str))
            .collect();
        let ran = transform::<NormalizeRepo>("{}", &Data::default(), &repo(&fields))
            .expect("the plugin opens");
        let printed = ran.to_string();
        let coupon = printed
            .lines()
            .find(|line| line.contains("kind=COUPON"))
            .unwrap_or("no kind=");
        coupon.split_once("kind=").expect("a kind").1.to_owned()
    };
    let table = [
        ("REPO", "4.35", "36000000", "2026-03-17"),
        ("REVERSE_REPO", "4.35", "36000000", "2026-03-17"),
        ("REPO", "-0.25", "36000000", "2026-03-17"),
        ("REVERSE_REPO", "-0.25", "36000000", "2026-03-17"),
        ("REPO", "1", "1", "2026-03-03"),
        ("REPO", "0.000000036", "0.000001", "2026-03-03"),
        ("REPO", "0.000000018", "0.000001", "2026-03-03"),
        ("REPO", "0.000000054", "0.000001", "2026-03-03"),
        ("REPO", "-0.000000054", "0.000001", "2026-03-03"),
        ("REPO", "4.35", "36000000", "2026-03-02"),
    ];
    let lines = table.map(|(direction, rate, cash, maturity)| {
        format!(
            "{direction} {rate} {cash} {maturity} => {}\n",
            coupon(direction, rate, cash, maturity)
        )
    });
    expect![[r"
        REPO 4.35 36000000 2026-03-17 => COUPON direction=PAY amount=65250 currency=EUR payment_date=2026-03-17 rehypothecable=true reused=false terms=rate=4350000000;
        REVERSE_REPO 4.35 36000000 2026-03-17 => COUPON direction=RECEIVE amount=65250 currency=EUR payment_date=2026-03-17 rehypothecable=true reused=false terms=rate=4350000000;
        REPO -0.25 36000000 2026-03-17 => COUPON direction=RECEIVE amount=3750 currency=EUR payment_date=2026-03-17 rehypothecable=true reused=false terms=rate=-250000000;
        REVERSE_REPO -0.25 36000000 2026-03-17 => COUPON direction=PAY amount=3750 currency=EUR payment_date=2026-03-17 rehypothecable=true reused=false terms=rate=-250000000;
        REPO 1 1 2026-03-03 => COUPON direction=PAY amount=0.000027777777777778 currency=EUR payment_date=2026-03-03 rehypothecable=true reused=false terms=rate=1000000000;
        REPO 0.000000036 0.000001 2026-03-03 => COUPON direction=PAY amount=0.000000000000000001 currency=EUR payment_date=2026-03-03 rehypothecable=true reused=false terms=rate=36;
        REPO 0.000000018 0.000001 2026-03-03 => 
        REPO 0.000000054 0.000001 2026-03-03 => COUPON direction=PAY amount=0.000000000000000002 currency=EUR payment_date=2026-03-03 rehypothecable=true reused=false terms=rate=54;
        REPO -0.000000054 0.000001 2026-03-03 => COUPON direction=RECEIVE amount=0.000000000000000002 currency=EUR payment_date=2026-03-03 rehypothecable=true reused=false terms=rate=-54;
        REPO 4.35 36000000 2026-03-02 => 
    "]].assert_eq(&lines.concat());
}

/// Only id, version and action of a cancel are read; only a collateral swap has `received` read.
#[test]
fn what_is_not_read() {
    let odd = r#"{"instrument_id":"","nominal":"-1"}"#;
    check(
        &[
            repo(&[
                ("action", r#""CANCEL""#),
                ("cash", r#""-1""#),
                ("ccy", r#""E""#),
                ("collateral", odd),
            ]),
            repo(&[("received", odd), ("maturity_date", "null")]),
        ],
        &expect![[r"
            0: trade_id=R1 version=1 action=CANCEL asset_class=REPO leg=0
            1: trade_id=R1 version=1 action=NEW asset_class=REPO product=REPO entity=E book=B counterparty=C start_date=2026-03-02 leg=0 kind=SECURED direction=PAY instrument_id=I1 quantity=1000.5 amount=36000000 currency=EUR rehypothecable=true reused=false terms=rate=4350000000;
        "]],
    );
}

/// Each rule once.
#[test]
fn refusals() {
    let mut rows: Vec<String> = [
        ("repo_id", r#""""#),
        ("action", r#""UNKNOWN""#),
        ("direction", r#""UNKNOWN""#),
        ("collateral", r#"{"instrument_id":"","nominal":"1"}"#),
        ("collateral", r#"{"instrument_id":"I1","nominal":"0"}"#),
        (
            "collateral",
            r#"{"instrument_id":"I1","nominal":"1000000000000000000"}"#,
        ),
        ("cash", r#""0""#),
        ("cash", r#""-1""#),
        ("cash", r#""1000000000000000000""#),
        ("ccy", r#""EURO""#),
        ("maturity_date", r#""2026-03-01""#),
        ("entity", r#""""#),
        ("book", r#""""#),
        ("counterparty", r#""""#),
    ]
    .iter()
    .map(|field| repo(&[*field]))
    .collect();
    let swaps = [
        ("cash", r#""1""#),
        ("received", "null"),
        ("received", r#"{"instrument_id":"","nominal":"1"}"#),
        ("received", r#"{"instrument_id":"I2","nominal":"-1"}"#),
    ];
    rows.extend(swaps.iter().map(|(name, value)| {
        let kept = SWAPPED.iter().filter(|(swapped, _)| swapped != name);
        repo(&kept.copied().chain([(*name, *value)]).collect::<Vec<_>>())
    }));
    check(
        &rows,
        &expect![[r"
        refused 0: missing_field (repo_id): repo_id is missing
        refused 1: unknown_value (action): action is none of NEW, AMEND, CANCEL
        refused 2: unknown_value (direction): direction is none of REPO, REVERSE_REPO, COLLATERAL_SWAP
        refused 3: missing_field (collateral.instrument_id): collateral.instrument_id is missing
        refused 4: not_positive (collateral.nominal): collateral.nominal is not above 0
        refused 5: out_of_range (collateral.nominal): collateral.nominal is 10^18 or more
        refused 6: not_positive (cash): cash is not above 0
        refused 7: negative (cash): cash is below 0
        refused 8: out_of_range (cash): cash is 10^18 or more
        refused 9: bad_currency (ccy): ccy is not a currency code
        refused 10: bad_order (maturity_date): maturity_date is before start_date
        refused 11: missing_field (entity): entity is missing
        refused 12: missing_field (book): book is missing
        refused 13: missing_field (counterparty): counterparty is missing
        refused 14: not_zero (cash): cash is not 0 in a collateral swap
        refused 15: missing_field (received): received is missing
        refused 16: missing_field (received.instrument_id): received.instrument_id is missing
        refused 17: not_positive (received.nominal): received.nominal is not above 0
    "]],
    );
}
