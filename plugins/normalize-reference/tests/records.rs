//! Each small topic as rows, and which messages are refused for what.

use expect_test::{Expect, expect};
use normalize_reference::NormalizeReference;
use weir_sdk::Data;
use weir_sdk::harness::transform;

/// Rows are the members of a good message (JSON, without braces) and, for the others, what is added or replaced.
fn check(record: &str, good: &[(&str, &str)], others: &[&[(&str, &str)]], expected: &Expect) {
    let row = |other: &&[(&str, &str)]| {
        let kept = good
            .iter()
            .filter(|(name, _)| other.iter().all(|(changed, _)| changed != name));
        let cells = kept
            .chain(*other)
            .map(|(name, value)| format!(r#""{name}":{value}"#));
        format!("{{{}}}", cells.collect::<Vec<_>>().join(","))
    };
    let rows: Vec<String> = others.iter().map(row).collect();
    let config = format!(r#"{{"record":"{record}"}}"#);
    let ran = transform::<NormalizeReference>(&config, &Data::default(), &rows.join("\n"))
        .expect("the config is good");
    expected.assert_eq(&ran.to_string());
}

/// A message without any of its own fields: an empty value.
const EMPTY: &[(&str, &str)] = &[("_offset", "7"), ("_key", r#""K1""#)];
const KEYLESS: &[(&str, &str)] = &[("_offset", "7")];

#[test]
fn balances() {
    let good = [
        ("accountId", r#""A1""#),
        ("kind", r#""deposit_nonfin""#),
        ("ccy", r#""usd""#),
        ("amount", r#""32300k""#),
        ("entity", r#""E""#),
        ("_offset", "7"),
        ("_key", r#""other""#),
    ];
    check(
        "balance",
        &good,
        &[
            &[],
            &[
                ("version", r#""3""#),
                ("maturity", r#""OPEN""#),
                ("counterparty", r#""C""#),
                ("book", r#""B""#),
            ],
            &[
                ("maturity", r#""17-MAR-26""#),
                ("amount", r#""0""#),
                ("book", r#""""#),
            ],
            &[("accountId", r#""""#)],
            &[("kind", r#""deposit""#)],
            &[("ccy", r#""dollars""#)],
            &[("amount", r#""-1""#)],
            &[("amount", r#""true""#)],
            &[("amount", r#""0.0000001""#)],
            &[("amount", "null")],
            &[("maturity", r#""31/31/2026""#)],
            &[("maturity", r#""open""#)],
            &[("entity", "null")],
            &[("version", r#""1.5""#)],
        ],
        &expect![[r"
            0: key=A1 deleted=false version=7 account_id=A1 kind=deposit_nonfin currency=USD amount=32300000 inflow_cap=75 entity=E
            1: key=A1 deleted=false version=3 account_id=A1 kind=deposit_nonfin currency=USD amount=32300000 counterparty=C inflow_cap=75 entity=E book=B
            2: key=A1 deleted=false version=7 account_id=A1 kind=deposit_nonfin currency=USD amount=0 maturity=2026-03-17 inflow_cap=75 entity=E
            refused 3: missing_field (accountId): accountId is missing
            refused 4: unknown_value (kind): kind is none of cb_reserve, cash_coins, nostro_operational, nostro_excess, deposit_retail_stable, deposit_retail_less_stable, deposit_retail_term, deposit_operational, deposit_operational_insured, deposit_nonfin, deposit_nonfin_insured, deposit_financial, debt_issued, commitment_credit_retail, commitment_credit_nonfin, commitment_liquidity_nonfin, commitment_bank, commitment_credit_otherfin, commitment_liquidity_otherfin, posted_non_l1_collateral, hlba, other_contractual_out, loan_retail, loan_nonfin, loan_financial
            refused 5: bad_currency (ccy): ccy is not a currency code
            refused 6: negative (amount): amount is below 0
            refused 7: bad_number (amount): amount is not a number
            refused 8: over_precise (amount): amount has more than 6 decimals
            refused 9: missing_field (amount): amount is missing
            refused 10: bad_date (maturity): maturity is neither a date nor an instant with an offset from UTC
            refused 11: bad_date (maturity): maturity is neither a date nor an instant with an offset from UTC
            refused 12: missing_field (entity): entity is missing
            refused 13: over_precise (version): version has more than 0 decimals
        "]],
    );
    check(
        "balance",
        &[],
        &[EMPTY, KEYLESS],
        &expect![[r"
        0: key=K1 deleted=true version=0
        refused 1: empty_value (_key): _key is missing, and so is the value
    "]],
    );
}

#[test]
fn holdings() {
    let good = [
        ("entity", r#""E""#),
        ("book", r#""B""#),
        ("instrument_id", r#""I1""#),
        ("quantity", r#""100""#),
        ("encumbered", r#""25.5""#),
        ("version", "3"),
    ];
    check(
        "holding",
        &good,
        &[
            &[],
            &[("quantity", r#""-16400000""#), ("encumbered", r#""0""#)],
            &[("entity", r#""""#)],
            &[("book", r#""""#)],
            &[("instrument_id", r#""""#)],
            &[("encumbered", r#""-1""#)],
            &[("quantity", r#""1000000000000000000""#)],
            &[("encumbered", r#""1000000000000000000""#)],
        ],
        &expect![[r"
            0: key=E|B|I1 deleted=false version=3 entity=E book=B instrument_id=I1 quantity=100 encumbered=25.5
            1: key=E|B|I1 deleted=false version=3 entity=E book=B instrument_id=I1 quantity=-16400000 encumbered=0
            refused 2: missing_field (entity): entity is missing
            refused 3: missing_field (book): book is missing
            refused 4: missing_field (instrument_id): instrument_id is missing
            refused 5: negative (encumbered): encumbered is below 0
            refused 6: out_of_range (quantity): quantity is 10^18 or more
            refused 7: out_of_range (encumbered): encumbered is 10^18 or more
        "]],
    );
    check(
        "holding",
        &[],
        &[&[("_key", r#""E|B|I1""#)], &[]],
        &expect![[r"
            0: key=E|B|I1 deleted=true version=0
            refused 1: empty_value (_key): _key is missing, and so is the value
        "]],
    );
}

#[test]
fn settlements() {
    let good = [
        ("confirmationId", r#""C1""#),
        ("tradeId", r#""T1""#),
        ("quantity", r#""3000k""#),
        ("settledAt", r#""2026-03-02T03:38:06-05:00""#),
    ];
    check(
        "settlement",
        &good,
        &[
            &[],
            &[("confirmationId", "null")],
            &[("tradeId", r#""""#)],
            &[("quantity", r#""0""#)],
            &[("quantity", r#""-1""#)],
            &[("settledAt", r#""2026-03-02 10:00""#)],
            &[("settledAt", r#""2026-03-02""#)],
            &[("settledAt", "null")],
        ],
        &expect![[r"
            0: confirmation_id=C1 trade_id=T1 quantity=3000000 settled_at=2026-03-02T08:38:06Z
            refused 1: missing_field (confirmationId): confirmationId is missing
            refused 2: missing_field (tradeId): tradeId is missing
            refused 3: not_positive (quantity): quantity is not above 0
            refused 4: not_positive (quantity): quantity is not above 0
            refused 5: bad_instant (settledAt): settledAt is not an instant with an offset from UTC
            refused 6: bad_instant (settledAt): settledAt is not an instant with an offset from UTC
            refused 7: missing_field (settledAt): settledAt is missing
        "]],
    );
}

#[test]
fn instruments() {
    let good = [
        ("instrumentId", r#""US1""#),
        ("kind", r#""sovereign""#),
        ("issuerId", r#""I""#),
        ("issuerFinancial", "false"),
        ("ccy", r#""usd""#),
        ("_offset", "7"),
    ];
    check(
        "instrument",
        &good,
        &[
            &[],
            &[
                ("isin", r#""US1""#),
                ("cusip", r#""1""#),
                ("riskWeightPct", r#""20%""#),
                ("rating", r#""AA-""#),
                ("homeOrLocalCcy", "true"),
                ("majorIndex", "true"),
                ("ownIssue", "true"),
                ("ehq", "true"),
                ("maturity", r#""20280309""#),
            ],
            &[
                ("isin", r#""US2""#),
                ("riskWeightPct", r#""20""#),
                ("maturity", r#""OPEN""#),
                ("rating", r#""""#),
            ],
            &[("instrumentId", r#""""#)],
            &[("kind", r#""bond""#)],
            &[("issuerId", "null")],
            &[("issuerFinancial", "null")],
            &[("ccy", r#""dollars""#)],
            &[("riskWeightPct", r#""x""#)],
            &[("maturity", r#""2028-02-30""#)],
        ],
        &expect![[r"
            0: key=US1 deleted=false version=7 instrument_id=US1 instrument_kind=sovereign issuer_id=I issuer_financial=false home_or_local_ccy=false major_index=false own_issue=false ehq=false currency=USD
            1: key=US1 deleted=false version=7 instrument_id=US1 isin=US1 cusip=1 instrument_kind=sovereign issuer_id=I issuer_financial=false risk_weight_pct=20 rating=AA- home_or_local_ccy=true major_index=true own_issue=true ehq=true currency=USD maturity=2028-03-09
            2: key=US2 deleted=false version=7 instrument_id=US2 isin=US2 instrument_kind=sovereign issuer_id=I issuer_financial=false risk_weight_pct=20 home_or_local_ccy=false major_index=false own_issue=false ehq=false currency=USD
            refused 3: missing_field (instrumentId): instrumentId is missing
            refused 4: unknown_value (kind): kind is none of sovereign, central_bank, pse, mdb, corporate, covered_bond, rmbs, equity, commodity, gse, municipal
            refused 5: missing_field (issuerId): issuerId is missing
            refused 6: missing_field (issuerFinancial): issuerFinancial is missing
            refused 7: bad_currency (ccy): ccy is not a currency code
            refused 8: bad_number (riskWeightPct): riskWeightPct is not a number
            refused 9: bad_date (maturity): maturity is neither a date nor an instant with an offset from UTC
        "]],
    );
    check(
        "instrument",
        &[],
        &[EMPTY, KEYLESS],
        &expect![[r"
        0: key=K1 deleted=true version=0
        refused 1: empty_value (_key): _key is missing, and so is the value
    "]],
    );
}

#[test]
fn counterparties() {
    let good = [
        ("counterpartyId", r#""C1""#),
        ("type", r#""bank""#),
        ("_offset", "7"),
    ];
    check(
        "counterparty",
        &good,
        &[
            &[],
            &[("nettingAgreement", r#""N""#)],
            &[("nettingAgreement", r#""""#)],
            &[("counterpartyId", r#""""#)],
            &[("type", r#""hedge""#)],
            &[("type", "null")],
        ],
        &expect![[r"
            0: key=C1 deleted=false version=7 counterparty_id=C1 counterparty_type=bank
            1: key=C1 deleted=false version=7 counterparty_id=C1 counterparty_type=bank netting_agreement=N
            2: key=C1 deleted=false version=7 counterparty_id=C1 counterparty_type=bank
            refused 3: missing_field (counterpartyId): counterpartyId is missing
            refused 4: unknown_value (type): type is none of bank, financial, nonfin_corporate, sovereign, central_bank, pse, retail
            refused 5: missing_field (type): type is missing
        "]],
    );
    check(
        "counterparty",
        &[],
        &[EMPTY, KEYLESS],
        &expect![[r"
        0: key=K1 deleted=true version=0
        refused 1: empty_value (_key): _key is missing, and so is the value
    "]],
    );
}

#[test]
fn prices() {
    let good = [
        ("instrumentId", r#""US1""#),
        ("dirtyPrice", r#""98.52""#),
        ("per", r#""100""#),
        ("ccy", r#""USD""#),
        ("_offset", "7"),
    ];
    check(
        "price",
        &good,
        &[
            &[],
            &[
                ("version", r#""3""#),
                ("per", r#""1.0""#),
                ("dirtyPrice", r#""0""#),
            ],
            &[("instrumentId", r#""""#)],
            &[("dirtyPrice", r#""-1""#)],
            &[("dirtyPrice", r#""1.0000000000001""#)],
            &[("per", r#""10""#)],
            &[("per", "null")],
            &[("ccy", r#""US""#)],
        ],
        &expect![[r"
            0: key=US1 deleted=false version=7 instrument_id=US1 price=98.52 per=100 currency=USD
            1: key=US1 deleted=false version=3 instrument_id=US1 price=0 per=1 currency=USD
            refused 2: missing_field (instrumentId): instrumentId is missing
            refused 3: negative (dirtyPrice): dirtyPrice is below 0
            refused 4: over_precise (dirtyPrice): dirtyPrice has more than 12 decimals
            refused 5: unknown_value (per): per is none of 100, 1
            refused 6: missing_field (per): per is missing
            refused 7: bad_currency (ccy): ccy is not a currency code
        "]],
    );
    check(
        "price",
        &[],
        &[EMPTY, KEYLESS],
        &expect![[r"
        0: key=K1 deleted=true version=0
        refused 1: empty_value (_key): _key is missing, and so is the value
    "]],
    );
}

#[test]
fn rates() {
    let good = [("ccy", r#""eur""#), ("rate", r#""1.08""#), ("_offset", "7")];
    check(
        "rate",
        &good,
        &[
            &[],
            &[("version", r#""3""#)],
            &[("ccy", r#""EU""#)],
            &[("rate", r#""0""#)],
            &[("rate", "null")],
        ],
        &expect![[r"
            0: key=EUR deleted=false version=7 currency=EUR rate=1.08
            1: key=EUR deleted=false version=3 currency=EUR rate=1.08
            refused 2: bad_currency (ccy): ccy is not a currency code
            refused 3: not_positive (rate): rate is not above 0
            refused 4: missing_field (rate): rate is missing
        "]],
    );
    check(
        "rate",
        &[],
        &[&[("_offset", "7"), ("_key", r#""eur""#)], KEYLESS],
        &expect![[r"
            0: key=EUR deleted=true version=0
            refused 1: empty_value (_key): _key is missing, and so is the value
        "]],
    );
}

#[test]
fn adjustments() {
    let good = [
        ("adjustmentId", r#""ADJ""#),
        ("version", r#""1""#),
        ("action", r#""SUBMIT""#),
        ("scope", r#""position""#),
        ("key", r#""E|B|I1""#),
        ("hqlaClass", r#""L2B_RMBS""#),
        ("effectiveFrom", r#""2026-03-02T15:00:00+09:00""#),
        ("effectiveTo", r#""2026-03-02T20:00:00Z""#),
        ("reasonCode", r#""TEST""#),
        ("user", r#"" Carol ""#),
        ("at", r#""2026-03-02T02:00:00-05:00""#),
    ];
    check(
        "adjustment",
        &good,
        &[
            &[],
            &[
                ("scope", r#""issuer""#),
                ("key", r#""ISS""#),
                ("narrative", r#""why""#),
            ],
            // Of the other actions only these are read.
            &[
                ("action", r#""APPROVE""#),
                ("scope", r#""bank""#),
                ("effectiveTo", r#""x""#),
                ("hqlaClass", "null"),
            ],
            &[("adjustmentId", r#""""#)],
            &[("version", "null")],
            &[("action", r#""CONFIRM""#)],
            &[("scope", r#""bank""#)],
            &[("key", r#""I1""#)],
            &[("key", r#""E||I1""#)],
            &[("key", r#""E|B|I1|""#)],
            &[("key", "null")],
            &[("hqlaClass", r#""L3""#)],
            &[("effectiveFrom", r#""2026-03-02T06:00:00""#)],
            &[("effectiveTo", r#""2026-03-02T06:00:00Z""#)],
            &[("reasonCode", r#""""#)],
            &[("user", r#""  ""#)],
            &[("at", r#""2026-03-02""#)],
        ],
        &expect![[r"
            0: adjustment_id=ADJ version=1 action=SUBMIT scope=position key=E|B|I1 hqla_class=L2B_RMBS effective_from=2026-03-02T06:00:00Z effective_to=2026-03-02T20:00:00Z reason_code=TEST user= Carol  user_key=carol at=2026-03-02T07:00:00Z
            1: adjustment_id=ADJ version=1 action=SUBMIT scope=issuer key=ISS hqla_class=L2B_RMBS effective_from=2026-03-02T06:00:00Z effective_to=2026-03-02T20:00:00Z reason_code=TEST narrative=why user= Carol  user_key=carol at=2026-03-02T07:00:00Z
            2: adjustment_id=ADJ version=1 action=APPROVE user= Carol  user_key=carol at=2026-03-02T07:00:00Z
            refused 3: missing_field (adjustmentId): adjustmentId is missing
            refused 4: missing_field (version): version is missing
            refused 5: unknown_value (action): action is none of SUBMIT, APPROVE, REJECT, WITHDRAW, REVOKE
            refused 6: unknown_value (scope): scope is none of position, instrument, issuer
            refused 7: bad_key (key): key is not entity|book|instrument
            refused 8: bad_key (key): key is not entity|book|instrument
            refused 9: bad_key (key): key is not entity|book|instrument
            refused 10: missing_field (key): key is missing
            refused 11: unknown_value (hqlaClass): hqlaClass is none of L1, L2A, L2B, L2B_RMBS, NON
            refused 12: bad_instant (effectiveFrom): effectiveFrom is not an instant with an offset from UTC
            refused 13: bad_order (effectiveTo): effectiveTo is not after effectiveFrom
            refused 14: missing_field (reasonCode): reasonCode is missing
            refused 15: missing_field (user): user is missing
            refused 16: bad_instant (at): at is not an instant with an offset from UTC
        "]],
    );
}

/// A config that names no record is refused with a code.
#[test]
fn config() {
    let failure =
        transform::<NormalizeReference>(r#"{"record":"trade"}"#, &Data::default(), "").unwrap_err();
    assert_eq!(failure.code, "config_invalid");
}
