//! The recorded days: what must be refused is, and nothing else.

use normalize_fx::NormalizeFx;

#[test]
fn refuses_what_must_be_refused() {
    days::check::<NormalizeFx>("{}", "trades.fx", false);
}

#[test]
fn tells_other_content_from_other_notation() {
    days::check_versions::<NormalizeFx>("{}", "trades.fx", false, "trade_id");
}
