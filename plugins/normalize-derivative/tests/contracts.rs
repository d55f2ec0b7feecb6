//! Derivatives as rows, and which messages are refused for what.

use expect_test::{Expect, expect};
use normalize_derivative::NormalizeDerivative;

/// A good swap with these flows; the fields of `other` are added or, by a second value, replaced. Values are JSON.
fn contract(flows: &str, other: &[(&str, &str)]) -> String {
    let good = [
        ("tradeId", r#""D1""#),
        ("product", r#""IRS""#),
        ("cpty", r#""C""#),
        ("entity", r#""E""#),
        ("book", r#""B""#),
        ("flows", flows),
    ];
    let kept = good
        .iter()
        .filter(|(name, _)| other.iter().all(|(changed, _)| changed != name));
    let cells = kept
        .chain(other)
        .map(|(name, value)| format!(r#""{name}":{value},"#));
    format!(r#"{{{}"_offset":7}}"#, cells.collect::<String>())
}

fn check(rows: &[String], expected: &Expect) {
    let ran =
        days::transform::<NormalizeDerivative>("{}", &rows.join("\n")).expect("the plugin opens");
    expected.assert_eq(&ran.to_string());
}

const IN: &str = r#"{"date":"2026-03-05","ccy":"usd","amount":"1.5mm"}"#;
const OUT: &str = r#"{"date":"16-MAR-26","ccy":"EUR","amount":"-2"}"#;

/// A leg a flow, each an exchange of its own; a trade without flows is there all the same.
#[test]
fn contracts() {
    check(
        &[
            contract(&format!("[{IN},{OUT}]"), &[]),
            contract(
                &format!("[{OUT}]"),
                &[
                    ("version", r#""4""#),
                    ("action", r#""AMEND""#),
                    ("nettingAgreement", r#""N""#),
                    ("csa", r#""S""#),
                ],
            ),
            contract("[]", &[]),
            contract("null", &[("action", r#""CANCEL""#), ("product", "null")]),
        ],
        &expect![[r"
            0: trade_id=D1 version=7 action=NEW asset_class=DERIVATIVE product=IRS entity=E book=B counterparty=C maturity_date=2026-03-16 leg=0 exchange=0 kind=CASH direction=RECEIVE amount=1500000 currency=USD payment_date=2026-03-05
            0: trade_id=D1 version=7 action=NEW asset_class=DERIVATIVE product=IRS entity=E book=B counterparty=C maturity_date=2026-03-16 leg=1 exchange=1 kind=CASH direction=PAY amount=2 currency=EUR payment_date=2026-03-16
            1: trade_id=D1 version=4 action=AMEND asset_class=DERIVATIVE product=IRS entity=E book=B counterparty=C netting_agreement=N maturity_date=2026-03-16 leg=0 exchange=0 kind=CASH direction=PAY amount=2 currency=EUR payment_date=2026-03-16 terms=csa=S;
            2: trade_id=D1 version=7 action=NEW asset_class=DERIVATIVE product=IRS entity=E book=B counterparty=C leg=0
            3: trade_id=D1 version=7 action=CANCEL asset_class=DERIVATIVE leg=0
        "]],
    );
}

/// Every reading that fails; one flow is enough.
#[test]
fn refusals() {
    check(
        &[
            contract("null", &[]),
            contract(&format!("[{IN},null]"), &[]),
            contract(
                &format!("[{IN},{OUT}]").replace("16-MAR-26", "16-MAT-26"),
                &[],
            ),
            contract(&format!("[{IN}]").replace("usd", "us"), &[]),
            contract(&format!("[{IN}]").replace("1.5mm", "0.0000001"), &[]),
            contract("[]", &[("product", "null")]),
            contract("[]", &[("tradeId", "null")]),
        ],
        &expect![[r"
            refused 0: missing_field (flows): flows is missing
            refused 1: missing_field (flows.date): flows.date is missing
            refused 2: bad_date (flows.date): flows.date is neither a date nor an instant with an offset from UTC
            refused 3: bad_currency (flows.ccy): flows.ccy is not a currency code
            refused 4: over_precise (flows.amount): flows.amount has more than 6 decimals
            refused 5: missing_field (product): product is missing
            refused 6: missing_field (tradeId): tradeId is missing
        "]],
    );
}
