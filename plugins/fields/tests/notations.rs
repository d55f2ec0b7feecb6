//! What each notation reads as, as tables: `text => value` or the code of the refusal.

use expect_test::{Expect, expect};
use fields::{Cell, Currency, Number, Refusal, parse_date, parse_instant, parse_number};
use std::fmt::Display;

/// One line per text: what it reads as.
fn check<T: Display>(texts: &[&str], read: impl Fn(&str) -> Result<T, Refusal>, expected: &Expect) {
    let line = |text: &&str| match read(text) {
        Ok(value) => format!("{text} => {value}\n"),
        Err(refusal) => format!("{text} => {}\n", refusal.code.as_str()),
    };
    expected.assert_eq(&texts.iter().map(line).collect::<String>());
}

fn numbers(number: Number, texts: &[&str], expected: &Expect) {
    check(texts, |text| parse_number("f", text, number), expected);
}

/// The notations of the topics, at the scale of an amount.
#[test]
fn amounts_in_every_notation() {
    numbers(
        Number::AMOUNT,
        &[
            "1",
            "-1",
            "0",
            "-0",
            "0.0",
            "007",
            "38,000,000.00",
            "1,234",
            "100mm",
            "100MM",
            "100Mm",
            "250k",
            "250K",
            "1.5bn",
            "1.5BN",
            "-1.9mm",
            "47.487k",
            "0.1",
            "98.52",
            "1.000000",
            "50%",
            "1,000k",
            "10.50",
        ],
        &expect![[r"
            1 => 1000000
            -1 => -1000000
            0 => 0
            -0 => 0
            0.0 => 0
            007 => 7000000
            38,000,000.00 => 38000000000000
            1,234 => 1234000000
            100mm => 100000000000000
            100MM => 100000000000000
            100Mm => 100000000000000
            250k => 250000000000
            250K => 250000000000
            1.5bn => 1500000000000000
            1.5BN => 1500000000000000
            -1.9mm => -1900000000000
            47.487k => 47487000000
            0.1 => 100000
            98.52 => 98520000
            1.000000 => 1000000
            50% => 500000
            1,000k => 1000000000000
            10.50 => 10500000
        "]],
    );
}

/// What is no number, though some library would read it as one.
#[test]
fn no_numbers() {
    numbers(
        Number::AMOUNT,
        &[
            "",
            "-",
            ".",
            "1.",
            ".5",
            "+1",
            " 1",
            "1 ",
            "1 mm",
            "12x",
            "1m",
            "1kk",
            "1k%",
            "1%%",
            "%",
            "k",
            "1e6",
            "1E6",
            "1e-3",
            "1,00,000",
            "1,0000",
            "1000,000",
            ",100",
            "100,",
            "1,,000",
            "0,123",
            "1.000,5",
            "1.5,000",
            "1.2.3",
            "--1",
            "1-",
            "NaN",
            "Infinity",
            "inf",
            "OPEN",
            "true",
            "0x10",
            "1_000",
            "١",
            "1\u{a0}000",
            "−1",
        ],
        &expect![[r"
             => bad_number
            - => bad_number
            . => bad_number
            1. => bad_number
            .5 => bad_number
            +1 => bad_number
             1 => bad_number
            1  => bad_number
            1 mm => bad_number
            12x => bad_number
            1m => bad_number
            1kk => bad_number
            1k% => bad_number
            1%% => bad_number
            % => bad_number
            k => bad_number
            1e6 => bad_number
            1E6 => bad_number
            1e-3 => bad_number
            1,00,000 => bad_number
            1,0000 => bad_number
            1000,000 => bad_number
            ,100 => bad_number
            100, => bad_number
            1,,000 => bad_number
            0,123 => bad_number
            1.000,5 => bad_number
            1.5,000 => bad_number
            1.2.3 => bad_number
            --1 => bad_number
            1- => bad_number
            NaN => bad_number
            Infinity => bad_number
            inf => bad_number
            OPEN => bad_number
            true => bad_number
            0x10 => bad_number
            1_000 => bad_number
            ١ => bad_number
            1 000 => bad_number
            −1 => bad_number
        "]],
    );
}

/// Decimals are counted by value: zeros at the end do not count, a suffix moves the point.
#[test]
fn precision_and_range() {
    numbers(
        Number::AMOUNT,
        &[
            "1.0000001",
            "1.0000010",
            "0.000001",
            "0.0000001",
            "1.0000001k",
            "1.0000000001k",
            "0.00001%",
            "0.0001%",
            "999999999999999999.999999",
            "999,999,999,999,999,999",
            "1000000000000000000",
            "1000000000bn",
            "999999999bn",
            "-1000000000000000000",
            "0.00000000000000000000000000000000000000000000000000",
            "000000000000000000000000000000000000000000000000000001",
            "340282366920938463463374607431768211456",
            "340282366920938463463374607431768211457000000000000000000000000000000000000000",
            "0.340282366920938463463374607431768211456",
        ],
        &expect![[r"
            1.0000001 => over_precise
            1.0000010 => 1000001
            0.000001 => 1
            0.0000001 => over_precise
            1.0000001k => 1000000100
            1.0000000001k => over_precise
            0.00001% => over_precise
            0.0001% => 1
            999999999999999999.999999 => 999999999999999999999999
            999,999,999,999,999,999 => 999999999999999999000000
            1000000000000000000 => out_of_range
            1000000000bn => out_of_range
            999999999bn => 999999999000000000000000
            -1000000000000000000 => out_of_range
            0.00000000000000000000000000000000000000000000000000 => 0
            000000000000000000000000000000000000000000000000000001 => 1000000
            340282366920938463463374607431768211456 => out_of_range
            340282366920938463463374607431768211457000000000000000000000000000000000000000 => out_of_range
            0.340282366920938463463374607431768211456 => over_precise
        "]],
    );
    numbers(
        Number::QUANTITY,
        &["0.000000001", "0.0000000001"],
        &expect![[r"
            0.000000001 => 1
            0.0000000001 => over_precise
        "]],
    );
    numbers(
        Number::PRICE,
        &["1.000000000001", "1.0000000000001", "999999999999999999"],
        &expect![[r"
            1.000000000001 => 1000000000001
            1.0000000000001 => over_precise
            999999999999999999 => 999999999999999999000000000000
        "]],
    );
    numbers(
        Number::WHOLE,
        &[
            "3",
            "3.0",
            "1.5",
            "1k",
            "-2",
            "999999999999999999",
            "9223372036854775807",
        ],
        &expect![[r"
            3 => 3
            3.0 => 3
            1.5 => over_precise
            1k => 1000
            -2 => -2
            999999999999999999 => 999999999999999999
            9223372036854775807 => out_of_range
        "]],
    );
}

/// A field in percent has the same value with and without the sign.
#[test]
fn percent() {
    numbers(
        Number::PERCENT,
        &["20", "20%", "20.0%", "-0.25", "0.0000000001%"],
        &expect![[r"
            20 => 20000000000
            20% => 20000000000
            20.0% => 20000000000
            -0.25 => -250000000
            0.0000000001% => over_precise
        "]],
    );
    numbers(
        Number::QUANTITY,
        &["20", "20%", "0.0000001%"],
        &expect![[r"
            20 => 20000000000
            20% => 200000000
            0.0000001% => 1
        "]],
    );
}

/// A text of a million digits neither overflows nor takes long.
#[test]
fn long_texts() {
    let digits = "1234567890".repeat(100_000);
    let code = |text: &str| {
        parse_number("f", text, Number::AMOUNT)
            .unwrap_err()
            .code
            .as_str()
    };
    assert_eq!(code(&digits), "out_of_range");
    assert_eq!(code(&format!("0.{digits}")), "over_precise");
    assert_eq!(
        parse_number("f", &format!("1.{}", "0".repeat(1_000_000)), Number::AMOUNT),
        Ok(1_000_000)
    );
}

/// Five notations of one day, and days that the calendar does not have. Numbers are days since 1970.
#[test]
fn dates() {
    check(
        &[
            "2026-03-17",
            "20260317",
            "03/17/2026",
            "17.03.2026",
            "17-MAR-26",
            "17-Mar-26",
            "17-mar-26",
            "1970-01-01",
            "1969-12-31",
            "0001-01-01",
            "9999-12-31",
            "2000-02-29",
            "2024-02-29",
            "29-FEB-24",
            "2026-03-17T23:30:00-05:00",
            "2026-03-17T00:30:00+01:00",
            "1969-12-31T23:59:59.999999Z",
        ],
        |text| parse_date("f", text),
        &expect![[r"
            2026-03-17 => 20529
            20260317 => 20529
            03/17/2026 => 20529
            17.03.2026 => 20529
            17-MAR-26 => 20529
            17-Mar-26 => 20529
            17-mar-26 => 20529
            1970-01-01 => 0
            1969-12-31 => -1
            0001-01-01 => -719162
            9999-12-31 => 2932896
            2000-02-29 => 11016
            2024-02-29 => 19782
            29-FEB-24 => 19782
            2026-03-17T23:30:00-05:00 => 20530
            2026-03-17T00:30:00+01:00 => 20528
            1969-12-31T23:59:59.999999Z => -1
        "]],
    );
    check(
        &[
            "",
            "OPEN",
            "1900-02-29",
            "2026-02-29",
            "2026-02-30",
            "31/31/2026",
            "17/03/2026",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "20260431",
            "0000-01-01",
            "2026-3-17",
            "3/17/2026",
            "03/17/26",
            "17.03.26",
            "17-MAR-2026",
            "17-MRZ-26",
            "17-03-26",
            "2026/03/17",
            "2026-03-17 ",
            "2026-03-17T09:00:00",
            "2026-03-17T09:00:00 Z",
            "+026-03-17",
            "2026-0x-17",
        ],
        |text| parse_date("f", text),
        &expect![[r"
             => bad_date
            OPEN => bad_date
            1900-02-29 => bad_date
            2026-02-29 => bad_date
            2026-02-30 => bad_date
            31/31/2026 => bad_date
            17/03/2026 => bad_date
            2026-13-01 => bad_date
            2026-00-10 => bad_date
            2026-01-00 => bad_date
            20260431 => bad_date
            0000-01-01 => bad_date
            2026-3-17 => bad_date
            3/17/2026 => bad_date
            03/17/26 => bad_date
            17.03.26 => bad_date
            17-MAR-2026 => bad_date
            17-MRZ-26 => bad_date
            17-03-26 => bad_date
            2026/03/17 => bad_date
            2026-03-17  => bad_date
            2026-03-17T09:00:00 => bad_date
            2026-03-17T09:00:00 Z => bad_date
            +026-03-17 => bad_date
            2026-0x-17 => bad_date
        "]],
    );
}

/// An instant has an offset; two notations of one instant are the same.
#[test]
fn instants() {
    check(
        &[
            "1970-01-01T00:00:00Z",
            "2026-03-02T10:00:00Z",
            "2026-03-02T11:00:00+01:00",
            "2026-03-02T05:00:00-05:00",
            "2026-03-02T05:00:00-0500",
            "2026-03-02T11:00:00+01",
            "2026-03-02T10:00Z",
            "2026-03-02 10:00:00Z",
            "2026-03-02t10:00:00z",
            "2026-03-02T10:00:00.5Z",
            "2026-03-02T10:00:00.500000Z",
            "2026-03-02T10:00:00.123456789Z",
            "1969-12-31T23:59:59.999999Z",
            "2026-03-02T23:59:59+23:59",
        ],
        |text| parse_instant("f", text),
        &expect![[r"
            1970-01-01T00:00:00Z => 0
            2026-03-02T10:00:00Z => 1772445600000000
            2026-03-02T11:00:00+01:00 => 1772445600000000
            2026-03-02T05:00:00-05:00 => 1772445600000000
            2026-03-02T05:00:00-0500 => 1772445600000000
            2026-03-02T11:00:00+01 => 1772445600000000
            2026-03-02T10:00Z => 1772445600000000
            2026-03-02 10:00:00Z => 1772445600000000
            2026-03-02t10:00:00z => 1772445600000000
            2026-03-02T10:00:00.5Z => 1772445600500000
            2026-03-02T10:00:00.500000Z => 1772445600500000
            2026-03-02T10:00:00.123456789Z => 1772445600123456
            1969-12-31T23:59:59.999999Z => -1
            2026-03-02T23:59:59+23:59 => 1772409659000000
        "]],
    );
    check(
        &[
            "",
            "2026-03-02",
            "2026-03-02T10:00:00",
            "2026-03-02 10:00",
            "2026-03-02T10:00:00.Z",
            "2026-03-02T10:00:00.5",
            "2026-03-02T10:00:00,5Z",
            "2026-03-02T24:00:00Z",
            "2026-03-02T10:60:00Z",
            "2026-03-02T10:00:60Z",
            "2026-02-30T10:00:00Z",
            "2026-03-02T10Z",
            "2026-03-02T1:00:00Z",
            "2026-03-02T10:00:00+24:00",
            "2026-03-02T10:00:00+1:00",
            "2026-03-02T10:00:00+",
            "2026-03-02T10:00:00ZZ",
            "2026-03-02T10:00:00Z ",
            "2026-03-02T10:00:00 UTC",
            "20260302T100000Z",
        ],
        |text| parse_instant("f", text),
        &expect![[r"
             => bad_instant
            2026-03-02 => bad_instant
            2026-03-02T10:00:00 => bad_instant
            2026-03-02 10:00 => bad_instant
            2026-03-02T10:00:00.Z => bad_instant
            2026-03-02T10:00:00.5 => bad_instant
            2026-03-02T10:00:00,5Z => bad_instant
            2026-03-02T24:00:00Z => bad_instant
            2026-03-02T10:60:00Z => bad_instant
            2026-03-02T10:00:60Z => bad_instant
            2026-02-30T10:00:00Z => bad_instant
            2026-03-02T10Z => bad_instant
            2026-03-02T1:00:00Z => bad_instant
            2026-03-02T10:00:00+24:00 => bad_instant
            2026-03-02T10:00:00+1:00 => bad_instant
            2026-03-02T10:00:00+ => bad_instant
            2026-03-02T10:00:00ZZ => bad_instant
            2026-03-02T10:00:00Z  => bad_instant
            2026-03-02T10:00:00 UTC => bad_instant
            20260302T100000Z => bad_instant
        "]],
    );
}

/// Codes in any case; a pair with or without its slash.
#[test]
fn currencies() {
    let pair = |text: &str| {
        let (base, quote) = Cell::new("f", Some(text)).currency_pair()?;
        Ok(format!("{} {}", base.as_str(), quote.as_str()))
    };
    check(
        &[
            "USD/EUR", "USDEUR", "usd/eur", "usdEur", "EURUS", "EUR/US", "EU/USDX", "USD-EUR",
            "USD//EUR", "USD/", "", "€USD", "U$DEUR",
        ],
        pair,
        &expect![[r"
            USD/EUR => USD EUR
            USDEUR => USD EUR
            usd/eur => USD EUR
            usdEur => USD EUR
            EURUS => bad_currency
            EUR/US => bad_currency
            EU/USDX => bad_currency
            USD-EUR => bad_currency
            USD//EUR => bad_currency
            USD/ => bad_currency
             => missing_field
            €USD => bad_currency
            U$DEUR => bad_currency
        "]],
    );
    let code = |text: &str| {
        Cell::new("f", Some(text))
            .currency()
            .map(|code| code.as_str().to_owned())
    };
    check(
        &["USD", "usd", "US", "USDX", "U1D", "dollars", "USD ", "é$"],
        code,
        &expect![[r"
            USD => USD
            usd => USD
            US => bad_currency
            USDX => bad_currency
            U1D => bad_currency
            dollars => bad_currency
            USD  => bad_currency
            é$ => bad_currency
        "]],
    );
    assert_eq!(Currency::parse("eur"), Currency::parse("EUR"));
}

/// Null, an empty text and a missing field are the same; a version that is missing is the offset.
#[test]
fn missing() {
    for cell in [Cell::new("f", None), Cell::new("f", Some(""))] {
        assert_eq!(cell.optional(), None);
        assert_eq!(cell.required(), Err(Refusal::missing("f")));
        assert_eq!(cell.optional_number(Number::AMOUNT), Ok(None));
        assert_eq!(cell.maturity(), Ok(None));
        assert_eq!(cell.version(7), Ok(7));
        assert_eq!(cell.required_version(), Err(Refusal::missing("f")));
        assert_eq!(cell.one_of_or(&[("A", 1)], 2), Ok(2));
    }
    assert_eq!(Cell::new("f", Some("OPEN")).maturity(), Ok(None));
    assert_eq!(
        Cell::new("f", Some("open"))
            .maturity()
            .unwrap_err()
            .code
            .as_str(),
        "bad_date"
    );
    assert_eq!(Cell::new("f", Some("3")).version(7), Ok(3));
}

/// Signs; and words are as written, with no byte of the message in the refusal.
#[test]
fn signs_and_words() {
    let cell = |text| Cell::new("f", Some(text));
    assert_eq!(
        cell("0").positive(Number::AMOUNT).unwrap_err().to_string(),
        "not_positive: f is not above 0"
    );
    assert_eq!(
        cell("-0.000001")
            .not_negative(Number::AMOUNT)
            .unwrap_err()
            .to_string(),
        "negative: f is below 0"
    );
    assert_eq!(cell("0").not_negative(Number::AMOUNT), Ok(0));
    assert_eq!(cell("L1").word(&["L1", "L2A"]), Ok("L1"));
    assert_eq!(
        cell("l1").word(&["L1", "L2A"]).unwrap_err().to_string(),
        "unknown_value: f is none of L1, L2A"
    );
}
