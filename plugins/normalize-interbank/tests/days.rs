//! The recorded days: what must be refused is, and nothing else.

use normalize_interbank::NormalizeInterbank;

#[test]
fn refuses_what_must_be_refused() {
    days::check::<NormalizeInterbank>("{}", "trades.interbank", false);
}

#[test]
fn tells_other_content_from_other_notation() {
    days::check_versions::<NormalizeInterbank>("{}", "trades.interbank", false, "trade_id");
}
