//! Trade capture reports as rows, and which are refused for what.

use expect_test::{Expect, expect};
use normalize_equity::NormalizeEquity;
use weir_sdk::Data;
use weir_sdk::harness::transform;

const GOOD: &str = "35=AE|571=E1|34=3|487=0|48=US1|22=4|54=1|32=5,000|31=190.12|15=usd|\
                    60=20260302-15:04:05|75=20260302|64=04.03.2026|1=B|50=E|448=C|";

fn check(reports: &[String], expected: &Expect) {
    let row = |text: &String| {
        format!(
            r#"{{"_offset":7,"text":"{}"}}"#,
            text.replace('\u{1}', "\\u0001")
        )
    };
    let rows: Vec<String> = reports.iter().map(row).collect();
    let ran = transform::<NormalizeEquity>("{}", &Data::default(), &rows.join("\n"))
        .expect("the plugin opens");
    expected.assert_eq(&ran.to_string());
}

fn changed(changes: &[(&str, &str)]) -> String {
    let change = |text: String, (from, to): &(&str, &str)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    changes.iter().fold(GOOD.to_owned(), change)
}

/// Either separator, any order, an end or none, unknown tags, a tag twice, a version or the offset, a cancel.
#[test]
fn reports() {
    check(
        &[
            GOOD.to_owned(),
            GOOD.replace('|', "\u{1}"),
            changed(&[("|34=3|487=0", ""), ("448=C|", "448=C|32=1|9999=x")]),
            changed(&[("54=1", "54=2"), ("487=0", "487=2"), ("48=US1", "48=A|B")])
                .replace("A|B", "A"),
            "35=AE|571=E1|34=4|487=1|32=abc".to_owned(),
            changed(&[("20260302-15:04:05", "20260302-15:04:05.250")]),
        ],
        &expect![[r"
            0: trade_id=E1 version=3 action=NEW asset_class=EQUITY product=EQUITY entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-03-04 leg=0 kind=SECURITY direction=RECEIVE instrument_id=US1 quantity=5000 amount=950600 currency=USD payment_date=2026-03-04 terms=price=190120000000000;time=1772463845000000;
            1: trade_id=E1 version=3 action=NEW asset_class=EQUITY product=EQUITY entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-03-04 leg=0 kind=SECURITY direction=RECEIVE instrument_id=US1 quantity=5000 amount=950600 currency=USD payment_date=2026-03-04 terms=price=190120000000000;time=1772463845000000;
            2: trade_id=E1 version=7 action=NEW asset_class=EQUITY product=EQUITY entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-03-04 leg=0 kind=SECURITY direction=RECEIVE instrument_id=US1 quantity=5000 amount=950600 currency=USD payment_date=2026-03-04 terms=price=190120000000000;time=1772463845000000;
            3: trade_id=E1 version=3 action=AMEND asset_class=EQUITY product=EQUITY entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-03-04 leg=0 kind=SECURITY direction=PAY instrument_id=A quantity=5000 amount=950600 currency=USD payment_date=2026-03-04 terms=price=190120000000000;time=1772463845000000;
            4: trade_id=E1 version=4 action=CANCEL asset_class=EQUITY leg=0
            5: trade_id=E1 version=3 action=NEW asset_class=EQUITY product=EQUITY entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-03-04 leg=0 kind=SECURITY direction=RECEIVE instrument_id=US1 quantity=5000 amount=950600 currency=USD payment_date=2026-03-04 terms=price=190120000000000;time=1772463845250000;
        "]],
    );
}

/// Every reading that fails.
#[test]
fn refusals() {
    check(
        &[
            changed(&[("35=AE", "35=D")]),
            changed(&[("35=AE|", "")]),
            changed(&[("571=E1|", "")]),
            changed(&[("22=4", "22=1")]),
            changed(&[("54=1", "54=3")]),
            changed(&[("32=5,000", "32=0")]),
            changed(&[("31=190.12", "31=-1")]),
            changed(&[("31=190.12", "31")]),
            changed(&[("15=usd", "15=US$")]),
            changed(&[("20260302-15:04:05", "20260302-25:04:05")]),
            changed(&[("20260302-15:04:05", "2026-03-02T15:04:05")]),
            changed(&[("75=20260302", "75=20260230")]),
            changed(&[("50=E|", "")]),
            changed(&[("487=0", "487=5")]),
            "hello".to_owned(),
        ],
        &expect![[r"
            refused 0: unknown_value (35 (message type)): 35 (message type) is none of AE
            refused 1: missing_field (35 (message type)): 35 (message type) is missing
            refused 2: missing_field (571 (trade report id)): 571 (trade report id) is missing
            refused 3: unknown_value (22 (kind of security id)): 22 (kind of security id) is none of 4
            refused 4: unknown_value (54 (side)): 54 (side) is none of 1, 2
            refused 5: not_positive (32 (quantity)): 32 (quantity) is not above 0
            refused 6: negative (31 (price)): 31 (price) is below 0
            refused 7: bad_text (text): text has a field that is no tag=value
            refused 8: bad_currency (15 (currency)): 15 (currency) is not a currency code
            refused 9: bad_instant (60 (UTC time)): 60 (UTC time) is not an instant with an offset from UTC
            refused 10: bad_instant (60 (UTC time)): 60 (UTC time) is not an instant with an offset from UTC
            refused 11: bad_date (75 (trade date)): 75 (trade date) is neither a date nor an instant with an offset from UTC
            refused 12: missing_field (50 (entity)): 50 (entity) is missing
            refused 13: unknown_value (487 (action)): 487 (action) is none of 0, 1, 2
            refused 14: bad_text (text): text has a field that is no tag=value
        "]],
    );
}
