//! Bond tickets as rows, and which messages are refused for what.

use expect_test::{Expect, expect};
use fields::Leg;
use normalize_bond::NormalizeBond;
use weir_sdk::Data;
use weir_sdk::harness::transform;

/// A good ticket; the fields of `other` are added or, by a second value, replaced.
fn ticket(other: &[(&str, &str)]) -> String {
    let good = [
        ("tradeRef", "B1"),
        ("status", "NEW"),
        ("isin", "US1"),
        ("buySell", "B"),
        ("quantity", "2,000,000"),
        ("cleanPrice", "97.5"),
        ("accrued", "0.75"),
        ("ccy", "usd"),
        ("tradeDt", "2026-03-02T23:03:11-05:00"),
        ("settleDt", "20260305"),
        ("account", "LIQ"),
        ("entity", "E"),
        ("cpty", "C"),
    ];
    let kept = good
        .iter()
        .filter(|(name, _)| other.iter().all(|(changed, _)| changed != name));
    let cells = kept
        .chain(other)
        .map(|(name, value)| format!(r#""{name}":"{value}","#));
    format!(r#"{{{}"_offset":7}}"#, cells.collect::<String>())
}

fn check(rows: &[String], expected: &Expect) {
    let ran = transform::<NormalizeBond>("{}", &Data::default(), &rows.join("\n"))
        .expect("the plugin opens");
    expected.assert_eq(&ran.to_string());
}

/// `rev` is the version; a UTC date counts; the largest cost fits.
#[test]
fn tickets() {
    check(
        &[
            ticket(&[]),
            ticket(&[
                ("buySell", "S"),
                ("rev", "3"),
                ("status", "AMEND"),
                ("isin", ""),
                ("cusip", "CU1"),
            ]),
            ticket(&[
                ("cusip", "CU1"),
                ("quantity", "999999999bn"),
                ("cleanPrice", "999999999999999999"),
                ("accrued", "-1"),
            ]),
        ],
        &expect![[r"
            0: trade_id=B1 version=7 action=NEW asset_class=BOND product=BOND entity=E book=LIQ counterparty=C trade_date=2026-03-03 maturity_date=2026-03-05 leg=0 kind=SECURITY direction=RECEIVE instrument_id=US1 quantity=2000000 amount=1965000 currency=USD payment_date=2026-03-05 terms=clean=97500000000000;accrued=750000000000;
            1: trade_id=B1 version=3 action=AMEND asset_class=BOND product=BOND entity=E book=LIQ counterparty=C trade_date=2026-03-03 maturity_date=2026-03-05 leg=0 kind=SECURITY direction=PAY cusip=CU1 quantity=2000000 amount=1965000 currency=USD payment_date=2026-03-05 terms=clean=97500000000000;accrued=750000000000;
            2: trade_id=B1 version=7 action=NEW asset_class=BOND product=BOND entity=E book=LIQ counterparty=C trade_date=2026-03-03 maturity_date=2026-03-05 leg=0 kind=SECURITY direction=RECEIVE instrument_id=US1 cusip=CU1 quantity=999999999000000000 amount=9999999989999999980000000020000000 currency=USD payment_date=2026-03-05 terms=clean=999999999999999999000000000000;accrued=-1000000000000;
        "]],
    );
}

/// The cost of 10^-9 of face at a price, rounded half-even once at 18 decimals.
#[test]
fn half_even() {
    let price = |price: &str| {
        ticket(&[
            ("quantity", "0.000000001"),
            ("cleanPrice", price),
            ("accrued", "0"),
        ])
    };
    let prices = [
        "0.00000005",
        "0.000000050001",
        "0.000000149999",
        "0.00000015",
        "0.00000025",
        "0.000000250001",
    ];
    let ran = transform::<NormalizeBond>("{}", &Data::default(), &prices.map(price).join("\n"))
        .expect("the plugin opens");
    let cost = |leg: Leg<'_>| leg.amount.expect("a cost").to_string();
    let costs: Vec<String> = ran
        .rows
        .records::<Leg<'_>>()
        .map(|(_, leg)| cost(leg))
        .collect();
    assert_eq!(costs, ["0", "1", "1", "2", "2", "3"]);
}

/// Only id, version and action of a cancel are read.
#[test]
fn cancel() {
    let bare = r#"{"tradeRef":"B1","rev":"2","status":"CANCEL","quantity":"x","_offset":7}"#;
    check(
        &[bare.to_owned()],
        &expect![[r"
        0: trade_id=B1 version=2 action=CANCEL asset_class=BOND leg=0
    "]],
    );
}

/// Each rule once.
#[test]
fn refusals() {
    let refused = [
        ("tradeRef", ""),
        ("status", ""),
        ("status", "OPEN"),
        ("isin", ""),
        ("buySell", "X"),
        ("buySell", "BUY"),
        ("quantity", "0"),
        ("quantity", "0.0000000001"),
        ("cleanPrice", ""),
        ("accrued", "-98"),
        ("cleanPrice", "1.0000000000001"),
        ("accrued", ""),
        ("ccy", "dollars"),
        ("tradeDt", "2026-03-02T09:00:00"),
        ("settleDt", "OPEN"),
        ("account", ""),
        ("entity", ""),
        ("cpty", ""),
        ("rev", "1.5"),
    ];
    let rows: Vec<String> = refused.iter().map(|field| ticket(&[*field])).collect();
    check(
        &rows,
        &expect![[r"
            refused 0: missing_field (tradeRef): tradeRef is missing
            refused 1: missing_field (status): status is missing
            refused 2: unknown_value (status): status is none of NEW, AMEND, CANCEL
            refused 3: missing_field (isin): isin is missing
            refused 4: unknown_value (buySell): buySell is none of B, S
            refused 5: unknown_value (buySell): buySell is none of B, S
            refused 6: not_positive (quantity): quantity is not above 0
            refused 7: over_precise (quantity): quantity has more than 9 decimals
            refused 8: missing_field (cleanPrice): cleanPrice is missing
            refused 9: negative (cleanPrice): cleanPrice and accrued are together below 0
            refused 10: over_precise (cleanPrice): cleanPrice has more than 12 decimals
            refused 11: missing_field (accrued): accrued is missing
            refused 12: bad_currency (ccy): ccy is not a currency code
            refused 13: bad_date (tradeDt): tradeDt is neither a date nor an instant with an offset from UTC
            refused 14: bad_date (settleDt): settleDt is neither a date nor an instant with an offset from UTC
            refused 15: missing_field (account): account is missing
            refused 16: missing_field (entity): entity is missing
            refused 17: missing_field (cpty): cpty is missing
            refused 18: over_precise (rev): rev has more than 0 decimals
        "]],
    );
}
