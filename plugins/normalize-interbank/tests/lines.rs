//! Interbank lines as rows, and which are refused for what.

use expect_test::{Expect, expect};
use normalize_interbank::NormalizeInterbank;
use weir_sdk::Data;
use weir_sdk::harness::transform;

fn check(lines: &[&str], expected: &Expect) {
    let row = |text: &&str| {
        let escaped = text
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\r', "\\r")
            .replace('\n', "\\n");
        format!(r#"{{"_offset":7,"text":"{escaped}"}}"#)
    };
    let rows: Vec<String> = lines.iter().map(row).collect();
    let ran = transform::<NormalizeInterbank>("{}", &Data::default(), &rows.join("\n"))
        .expect("the plugin opens");
    expected.assert_eq(&ran.to_string());
}

/// Quotes, commas in quotes, line ends, open maturities, missing versions, a cancel.
#[test]
fn lines() {
    check(
        &[
            "IB1,LOAN_PLACED,C,60000000,usd,2026-03-02,2026-03-12,4.41,ACT/360,1,NEW,E,B",
            "\"IB1\",\"DEPOSIT_TAKEN\",\"C \"\"x\"\", y\",\"60,000,000\",EUR,02-MAR-26,OPEN,4.41%,ACT/360,,,E,\"B\"\r\n",
            "IB1,,,,,,,,,9,CANCEL,,\n",
        ],
        &expect![[r#"
            0: trade_id=IB1 version=1 action=NEW asset_class=INTERBANK product=LOAN_PLACED entity=E book=B counterparty=C start_date=2026-03-02 maturity_date=2026-03-12 leg=0 kind=PRINCIPAL direction=RECEIVE amount=60000000 currency=USD payment_date=2026-03-12 terms=rate=4410000000;daycount=ACT/360;
            1: trade_id=IB1 version=7 action=NEW asset_class=INTERBANK product=DEPOSIT_TAKEN entity=E book=B counterparty=C "x", y start_date=2026-03-02 leg=0 kind=PRINCIPAL direction=PAY amount=60000000 currency=EUR terms=rate=4410000000;daycount=ACT/360;
            2: trade_id=IB1 version=9 action=CANCEL asset_class=INTERBANK leg=0
        "#]],
    );
}

/// Every reading that fails.
#[test]
fn refusals() {
    check(
        &[
            "IB1,LOAN_PLACED,C,1,usd,2026-03-02,2026-03-12,4.41,ACT/360,1,NEW,E",
            "IB1,LOAN_PLACED,C,1,usd,2026-03-02,2026-03-12,4.41,ACT/360,1,NEW,E,B,",
            "IB1,LOAN_PLACED,\"C,1,usd,2026-03-02,2026-03-12,4.41,ACT/360,1,NEW,E,B",
            "IB1,LOAN_PLACED,\"C\"x,1,usd,2026-03-02,2026-03-12,4.41,ACT/360,1,NEW,E,B",
            "IB1,LOAN_PLACED,C\"x,1,usd,2026-03-02,2026-03-12,4.41,ACT/360,1,NEW,E,B",
            ",LOAN_PLACED,C,1,usd,2026-03-02,2026-03-12,4.41,ACT/360,1,NEW,E,B",
            "IB1,LOAN,C,1,usd,2026-03-02,2026-03-12,4.41,ACT/360,1,NEW,E,B",
            "IB1,LOAN_PLACED,C,0,usd,2026-03-02,2026-03-12,4.41,ACT/360,1,NEW,E,B",
            "IB1,LOAN_PLACED,C,1,usd,OPEN,2026-03-12,4.41,ACT/360,1,NEW,E,B",
            "IB1,LOAN_PLACED,C,1,usd,2026-03-02,,4.41,ACT/360,1,NEW,E,B",
            "IB1,LOAN_PLACED,C,1,usd,2026-03-02,2026-03-12,x,ACT/360,1,NEW,E,B",
            "IB1,LOAN_PLACED,C,1,usd,2026-03-02,2026-03-12,4,ACT/360,1.5,NEW,E,B",
            "IB1,LOAN_PLACED,C,1,usd,2026-03-02,2026-03-12,4,,1,NEW,E,B",
        ],
        &expect![[r"
            refused 0: bad_text (text): text has not 13 fields
            refused 1: bad_text (text): text has not 13 fields
            refused 2: bad_text (text): text has a quote that is not closed
            refused 3: bad_text (text): text has text behind a closing quote
            refused 4: bad_text (text): text has a quote or a line end in a field without quotes
            refused 5: missing_field (ref): ref is missing
            refused 6: unknown_value (type): type is none of LOAN_PLACED, DEPOSIT_TAKEN
            refused 7: not_positive (amount): amount is not above 0
            refused 8: bad_date (start): start is neither a date nor an instant with an offset from UTC
            refused 9: missing_field (maturity): maturity is missing
            refused 10: bad_number (rate_pct): rate_pct is not a number
            refused 11: over_precise (version): version has more than 0 decimals
            refused 12: missing_field (daycount): daycount is missing
        "]],
    );
}
