//! The recorded days: what must be refused is, and nothing else.

use normalize_repo::NormalizeRepo;

#[test]
fn refuses_what_must_be_refused() {
    days::check::<NormalizeRepo>("{}", "trades.repos", false);
}

#[test]
fn tells_other_content_from_other_notation() {
    days::check_versions::<NormalizeRepo>("{}", "trades.repos", false, "trade_id");
}
