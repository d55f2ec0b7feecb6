//! The recorded days: what must be refused is, and nothing else.

use normalize_reference::NormalizeReference;

#[test]
fn refuses_what_must_be_refused() {
    let check = |record: &str, topic: &str, tombstones: bool| {
        days::check::<NormalizeReference>(
            &format!(r#"{{"record":"{record}"}}"#),
            topic,
            tombstones,
        );
    };
    check("balance", "balances", true);
    check("holding", "holdings", true);
    check("settlement", "settlements", false);
    check("instrument", "refdata.instruments", true);
    check("counterparty", "refdata.counterparties", true);
    check("price", "refdata.prices", true);
    check("rate", "refdata.fx", true);
    check("adjustment", "adjustments", false);
}

#[test]
fn tells_other_content_from_other_notation() {
    let check = |record: &str, topic: &str, tombstones: bool, key: &str| {
        let config = format!(r#"{{"record":"{record}"}}"#);
        days::check_versions::<NormalizeReference>(&config, topic, tombstones, key);
    };
    check("balance", "balances", true, "key");
    check("holding", "holdings", true, "key");
    check("instrument", "refdata.instruments", true, "key");
    check("counterparty", "refdata.counterparties", true, "key");
    check("price", "refdata.prices", true, "key");
    check("rate", "refdata.fx", true, "key");
    check("adjustment", "adjustments", false, "adjustment_id");
}
