//! Deals as rows: what each product exchanges, and which messages are refused for what.

use expect_test::{Expect, expect};
use normalize_fx::NormalizeFx;
use weir_sdk::Data;
use weir_sdk::harness::transform;

/// A good deal; the fields of `other` are added or, by a second value, replaced.
fn deal(other: &[(&str, &str)]) -> String {
    let good = [
        ("dealId", "D1"),
        ("ccyPair", "EUR/USD"),
        ("side", "BUY"),
        ("notional", "10mm"),
        ("rate", "1.08"),
        ("tradeDate", "2026-03-02"),
        ("settlementDate", "2026-03-04"),
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
    let ran = transform::<NormalizeFx>("{}", &Data::default(), &rows.join("\n"))
        .expect("the plugin opens");
    expected.assert_eq(&ran.to_string());
}

/// Base bought against quote sold, and the other way round; a missing product is a spot, a missing version the offset.
#[test]
fn outright() {
    check(
        &[
            deal(&[]),
            deal(&[
                ("side", "S"),
                ("product", "FORWARD"),
                ("version", "3"),
                ("nettingAgreement", "N"),
                ("action", "AMEND"),
            ]),
            deal(&[
                ("ccyPair", "usdjpy"),
                ("notional", "0.000001"),
                ("rate", "0.000000000001"),
            ]),
        ],
        &expect![[r"
            0: trade_id=D1 version=7 action=NEW asset_class=FX product=SPOT entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-03-04 leg=0 exchange=1 kind=CASH direction=RECEIVE amount=10000000 currency=EUR payment_date=2026-03-04
            0: trade_id=D1 version=7 action=NEW asset_class=FX product=SPOT entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-03-04 leg=1 exchange=1 kind=CASH direction=PAY amount=10800000 currency=USD payment_date=2026-03-04
            1: trade_id=D1 version=3 action=AMEND asset_class=FX product=FORWARD entity=E book=B counterparty=C netting_agreement=N trade_date=2026-03-02 maturity_date=2026-03-04 leg=0 exchange=1 kind=CASH direction=PAY amount=10000000 currency=EUR payment_date=2026-03-04
            1: trade_id=D1 version=3 action=AMEND asset_class=FX product=FORWARD entity=E book=B counterparty=C netting_agreement=N trade_date=2026-03-02 maturity_date=2026-03-04 leg=1 exchange=1 kind=CASH direction=RECEIVE amount=10800000 currency=USD payment_date=2026-03-04
            2: trade_id=D1 version=7 action=NEW asset_class=FX product=SPOT entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-03-04 leg=0 exchange=1 kind=CASH direction=RECEIVE amount=0.000001 currency=USD payment_date=2026-03-04
            2: trade_id=D1 version=7 action=NEW asset_class=FX product=SPOT entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-03-04 leg=1 exchange=1 kind=CASH direction=PAY amount=0.000000000000000001 currency=JPY payment_date=2026-03-04
        "]],
    );
}

/// The far leg is the reverse of the near one.
#[test]
fn swap() {
    let far = [
        ("product", "SWAP"),
        ("farSettlementDate", "05.06.2026"),
        ("farRate", "1.1"),
    ];
    check(
        &[deal(&far)],
        &expect![[r"
            0: trade_id=D1 version=7 action=NEW asset_class=FX product=SWAP entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-06-05 leg=0 exchange=1 kind=CASH direction=RECEIVE amount=10000000 currency=EUR payment_date=2026-03-04
            0: trade_id=D1 version=7 action=NEW asset_class=FX product=SWAP entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-06-05 leg=1 exchange=1 kind=CASH direction=PAY amount=10800000 currency=USD payment_date=2026-03-04
            0: trade_id=D1 version=7 action=NEW asset_class=FX product=SWAP entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-06-05 leg=2 exchange=2 kind=CASH direction=PAY amount=10000000 currency=EUR payment_date=2026-06-05
            0: trade_id=D1 version=7 action=NEW asset_class=FX product=SWAP entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-06-05 leg=3 exchange=2 kind=CASH direction=RECEIVE amount=11000000 currency=USD payment_date=2026-06-05
        "]],
    );
}

/// One flow, by its sign.
#[test]
fn non_deliverable() {
    let ndf = |amount| {
        deal(&[
            ("product", "NDF"),
            ("settleAmount", amount),
            ("settleCcy", "usd"),
        ])
    };
    check(
        &[ndf("4.2mm"), ndf("-6,100,000"), ndf("0")],
        &expect![[r"
            0: trade_id=D1 version=7 action=NEW asset_class=FX product=NDF entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-03-04 leg=0 exchange=1 kind=CASH direction=RECEIVE amount=4200000 currency=USD payment_date=2026-03-04 terms=base=EUR;quote=USD;side=BUY;notional=10000000000000;rate=1080000000000;
            1: trade_id=D1 version=7 action=NEW asset_class=FX product=NDF entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-03-04 leg=0 exchange=1 kind=CASH direction=PAY amount=6100000 currency=USD payment_date=2026-03-04 terms=base=EUR;quote=USD;side=BUY;notional=10000000000000;rate=1080000000000;
            2: trade_id=D1 version=7 action=NEW asset_class=FX product=NDF entity=E book=B counterparty=C trade_date=2026-03-02 maturity_date=2026-03-04 leg=0 exchange=1 kind=CASH direction=RECEIVE amount=0 currency=USD payment_date=2026-03-04 terms=base=EUR;quote=USD;side=BUY;notional=10000000000000;rate=1080000000000;
        "]],
    );
}

/// Only id, version and action of a cancel are read.
#[test]
fn cancel() {
    check(
        &[
            r#"{"dealId":"D1","version":"3","action":"CANCEL","_offset":7}"#.to_owned(),
            r#"{"dealId":"D1","action":"CANCEL","notional":"12x","product":"X","ccyPair":"E","_offset":7}"#.to_owned(),
        ],
        &expect![[r"
            0: trade_id=D1 version=3 action=CANCEL asset_class=FX leg=0
            1: trade_id=D1 version=7 action=CANCEL asset_class=FX leg=0
        "]],
    );
}

/// Another notation gives the same row, another value another one, also where no leg's amount shows it.
#[test]
fn content() {
    let rows = |deals: &[String]| {
        let ran = transform::<NormalizeFx>("{}", &Data::default(), &deals.join("\n"))
            .expect("the plugin opens");
        ran.to_string()
            .lines()
            .map(|line| line.split_once(' ').expect("a row").1.to_owned())
            .collect::<Vec<_>>()
    };
    let same = rows(&[
        deal(&[
            ("product", "NDF"),
            ("settleAmount", "1"),
            ("settleCcy", "USD"),
        ]),
        deal(&[
            ("product", "NDF"),
            ("settleAmount", "0.001k"),
            ("settleCcy", "usd"),
            ("ccyPair", "eurusd"),
            ("side", "B"),
            ("notional", "10,000,000.00"),
            ("rate", "1.080"),
            ("tradeDate", "03/02/2026"),
            ("settlementDate", "04-Mar-26"),
            ("action", "NEW"),
            ("version", ""),
        ]),
    ]);
    assert_eq!(same[0], same[1]);
    let ndf = [
        ("product", "NDF"),
        ("settleAmount", "1"),
        ("settleCcy", "USD"),
    ];
    for other in [
        ("rate", "1.09"),
        ("notional", "11mm"),
        ("side", "S"),
        ("ccyPair", "EURGBP"),
        ("farRate", "1"),
        ("cpty", "X"),
    ] {
        let changed = rows(&[deal(&[ndf.as_slice(), &[other]].concat())]);
        assert_ne!(changed[0], same[0], "{other:?}");
    }
    let spot = rows(&[deal(&[])]);
    for other in [
        ("rate", "1.09"),
        ("farSettlementDate", "2026-04-01"),
        ("settleAmount", "0"),
        ("settleCcy", "EUR"),
    ] {
        assert_ne!(rows(&[deal(&[other])]), spot, "{other:?}");
    }
}

/// Each rule once: the field, the code, no byte of the message.
#[test]
fn refusals() {
    let refused = [
        ("dealId", ""),
        ("ccyPair", "EURUS"),
        ("side", "HOLD"),
        ("side", "buy"),
        ("notional", "12x"),
        ("notional", "1,00,000"),
        ("notional", "1.0000001"),
        ("notional", "0"),
        ("notional", "-5"),
        ("notional", "1000000000bn"),
        ("notional", "true"),
        ("rate", "OPEN"),
        ("rate", "0"),
        ("rate", "1.0000000000001"),
        ("farRate", "-1"),
        ("tradeDate", "2026-03-02T09:00:00"),
        ("settlementDate", "2026-02-30"),
        ("settlementDate", "OPEN"),
        ("entity", ""),
        ("book", ""),
        ("cpty", ""),
        ("product", "OPTION"),
        ("product", "SWAP"),
        ("product", "NDF"),
        ("action", "DELETE"),
        ("version", "1.5"),
        ("version", "x"),
        ("settleCcy", "dollars"),
    ];
    let mut rows: Vec<String> = refused.iter().map(|field| deal(&[*field])).collect();
    rows.push(deal(&[
        ("product", "SWAP"),
        ("farSettlementDate", "2026-04-01"),
    ]));
    rows.push(deal(&[("product", "NDF"), ("settleAmount", "1")]));
    check(
        &rows,
        &expect![[r"
        refused 0: missing_field (dealId): dealId is missing
        refused 1: bad_currency (ccyPair): ccyPair is not a pair of currency codes
        refused 2: unknown_value (side): side is none of BUY, SELL, B, S
        refused 3: unknown_value (side): side is none of BUY, SELL, B, S
        refused 4: bad_number (notional): notional is not a number
        refused 5: bad_number (notional): notional is not a number
        refused 6: over_precise (notional): notional has more than 6 decimals
        refused 7: not_positive (notional): notional is not above 0
        refused 8: not_positive (notional): notional is not above 0
        refused 9: out_of_range (notional): notional is 10^18 or more
        refused 10: bad_number (notional): notional is not a number
        refused 11: bad_number (rate): rate is not a number
        refused 12: not_positive (rate): rate is not above 0
        refused 13: over_precise (rate): rate has more than 12 decimals
        refused 14: not_positive (farRate): farRate is not above 0
        refused 15: bad_date (tradeDate): tradeDate is neither a date nor an instant with an offset from UTC
        refused 16: bad_date (settlementDate): settlementDate is neither a date nor an instant with an offset from UTC
        refused 17: bad_date (settlementDate): settlementDate is neither a date nor an instant with an offset from UTC
        refused 18: missing_field (entity): entity is missing
        refused 19: missing_field (book): book is missing
        refused 20: missing_field (cpty): cpty is missing
        refused 21: unknown_value (product): product is none of SPOT, FORWARD, SWAP, NDF
        refused 22: missing_field (farSettlementDate): farSettlementDate is missing
        refused 23: missing_field (settleAmount): settleAmount is missing
        refused 24: unknown_value (action): action is none of NEW, AMEND, CANCEL
        refused 25: over_precise (version): version has more than 0 decimals
        refused 26: bad_number (version): version is not a number
        refused 27: bad_currency (settleCcy): settleCcy is not a currency code
        refused 28: missing_field (farRate): farRate is missing
        refused 29: missing_field (settleCcy): settleCcy is missing
    "]],
    );
}
