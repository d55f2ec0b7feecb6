//! The recorded days: what must be refused is, and nothing else.

use normalize_equity::NormalizeEquity;

#[test]
fn refuses_what_must_be_refused() {
    days::check::<NormalizeEquity>("{}", "trades.equities", false);
}

#[test]
fn tells_other_content_from_other_notation() {
    days::check_versions::<NormalizeEquity>("{}", "trades.equities", false, "trade_id");
}
