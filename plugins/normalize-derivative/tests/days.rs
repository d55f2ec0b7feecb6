//! The recorded days: what must be refused is, and nothing else.

use normalize_derivative::NormalizeDerivative;

#[test]
fn refuses_what_must_be_refused() {
    days::check::<NormalizeDerivative>("{}", "trades.derivatives", false);
}

#[test]
fn tells_other_content_from_other_notation() {
    days::check_versions::<NormalizeDerivative>("{}", "trades.derivatives", false, "trade_id");
}
