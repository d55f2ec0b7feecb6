//! The recorded days: what must be refused is, and nothing else.

use normalize_bond::NormalizeBond;

#[test]
fn refuses_what_must_be_refused() {
    days::check::<NormalizeBond>("{}", "trades.bonds", false);
}

#[test]
fn tells_other_content_from_other_notation() {
    days::check_versions::<NormalizeBond>("{}", "trades.bonds", false, "trade_id");
}
