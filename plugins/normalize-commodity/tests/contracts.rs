//! Commodity trades as rows, and which messages are refused for what.

use expect_test::{Expect, expect};
use normalize_commodity::NormalizeCommodity;
use weir_sdk::Data;
use weir_sdk::harness::transform;

/// A good forward with delivery; the fields of `other` are added or, by a second value, replaced.
fn contract(other: &[(&str, &str)]) -> String {
    let good = [
        ("contract", "C1"),
        ("type", "FORWARD"),
        ("commodity", "WTI"),
        ("qty", "50000"),
        ("uom", "BBL"),
        ("price", "60.5"),
        ("ccy", "usd"),
        ("delivery", "2026-03-11"),
        ("settle", "PHYS"),
        ("buySell", "B"),
        ("entity", "E"),
        ("book", "B"),
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
    let ran = transform::<NormalizeCommodity>("{}", &Data::default(), &rows.join("\n"))
        .expect("the plugin opens");
    expected.assert_eq(&ran.to_string());
}

/// The goods, goods for cash, cash alone; a price below 0 turns the payment round.
#[test]
fn contracts() {
    check(
        &[
            contract(&[]),
            contract(&[("buySell", "S"), ("version", "3"), ("action", "AMEND")]),
            contract(&[("price", "-37.63")]),
            contract(&[
                ("settle", "CASH"),
                ("mtm", "-1.5mm"),
                ("nettingAgreement", "N"),
            ]),
            contract(&[("type", "PHYSICAL"), ("delivery", ""), ("buySell", "S")]),
            contract(&[("action", "CANCEL"), ("qty", "x")]),
        ],
        &expect![[r"
            0: trade_id=C1 version=7 action=NEW asset_class=COMMODITY product=FORWARD entity=E book=B counterparty=C maturity_date=2026-03-11 leg=0 kind=PURCHASE direction=PAY instrument_id=WTI quantity=50000 amount=3025000 currency=USD payment_date=2026-03-11 terms=price=60500000000000;delivery=20523;side=B;settle=PHYS;unit=BBL;
            1: trade_id=C1 version=3 action=AMEND asset_class=COMMODITY product=FORWARD entity=E book=B counterparty=C maturity_date=2026-03-11 leg=0 kind=PURCHASE direction=RECEIVE instrument_id=WTI quantity=50000 amount=3025000 currency=USD payment_date=2026-03-11 terms=price=60500000000000;delivery=20523;side=S;settle=PHYS;unit=BBL;
            2: trade_id=C1 version=7 action=NEW asset_class=COMMODITY product=FORWARD entity=E book=B counterparty=C maturity_date=2026-03-11 leg=0 kind=PURCHASE direction=RECEIVE instrument_id=WTI quantity=50000 amount=1881500 currency=USD payment_date=2026-03-11 terms=price=-37630000000000;delivery=20523;side=B;settle=PHYS;unit=BBL;
            3: trade_id=C1 version=7 action=NEW asset_class=COMMODITY product=FORWARD entity=E book=B counterparty=C netting_agreement=N maturity_date=2026-03-11 leg=0 exchange=0 kind=CASH direction=PAY instrument_id=WTI quantity=50000 amount=1500000 currency=USD payment_date=2026-03-11 terms=price=60500000000000;delivery=20523;mark=-1500000000000;side=B;settle=CASH;unit=BBL;
            4: trade_id=C1 version=7 action=NEW asset_class=COMMODITY product=PHYSICAL entity=E book=B counterparty=C leg=0 kind=PHYSICAL direction=PAY instrument_id=WTI quantity=50000 currency=USD terms=price=60500000000000;side=S;settle=PHYS;unit=BBL;
            5: trade_id=C1 version=7 action=CANCEL asset_class=COMMODITY leg=0
        "]],
    );
}

/// Every reading that fails.
#[test]
fn refusals() {
    check(
        &[
            contract(&[("contract", "")]),
            contract(&[("type", "SPOT")]),
            contract(&[("settle", "")]),
            contract(&[("qty", "0")]),
            contract(&[("price", "1e3x")]),
            contract(&[("delivery", "")]),
            contract(&[("delivery", "OPEN")]),
            contract(&[("settle", "CASH")]),
            contract(&[("ccy", "DOLLAR")]),
            contract(&[("uom", "")]),
            contract(&[("buySell", "BUY")]),
        ],
        &expect![[r"
            refused 0: missing_field (contract): contract is missing
            refused 1: unknown_value (type): type is none of PHYSICAL, FORWARD
            refused 2: missing_field (settle): settle is missing
            refused 3: not_positive (qty): qty is not above 0
            refused 4: bad_number (price): price is not a number
            refused 5: missing_field (delivery): delivery is missing
            refused 6: bad_date (delivery): delivery is neither a date nor an instant with an offset from UTC
            refused 7: missing_field (mtm): mtm is missing
            refused 8: bad_currency (ccy): ccy is not a currency code
            refused 9: missing_field (uom): uom is missing
            refused 10: unknown_value (buySell): buySell is none of B, S
        "]],
    );
}
