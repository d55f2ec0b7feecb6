//! The recorded days: what must be refused is, and nothing else.

use normalize_commodity::NormalizeCommodity;

#[test]
fn refuses_what_must_be_refused() {
    days::check::<NormalizeCommodity>("{}", "trades.commodities", false);
}

#[test]
fn tells_other_content_from_other_notation() {
    days::check_versions::<NormalizeCommodity>("{}", "trades.commodities", false, "trade_id");
}
