//! Kinds of balances and their factors: B238 69-160 with Annex 4, 12 CFR 249.32-33, EU Art. 22-34.

use crate::regime::Regime;

/// Where a balance counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// In the stock, as level 1, whatever its maturity says (B238 50(a), (b)).
    Stock,
    /// As an outflow; open ones on day 1.
    Out,
    /// As an inflow; open ones not at all.
    In,
    /// As an inflow that can be called: open ones on day 1 (B238 154).
    InOnDemand,
}

/// Until which maturity a balance counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Inside the horizon, or open.
    Horizon,
    /// Any maturity that is not past.
    Any,
}

/// One row of the table; arrays have a column for each [`Regime`].
#[derive(Clone, Copy, Debug)]
pub struct BalanceKind {
    /// Its name in the topic.
    pub name: &'static str,
    /// Where it counts.
    pub side: Side,
    /// Factors in percent.
    pub factors: [u8; 3],
    /// Until which maturity.
    pub reach: [Reach; 3],
    /// Whether it is in the US net cumulative maturity outflow (12 CFR 249.30(b)).
    pub is_day_net: bool,
}

impl BalanceKind {
    /// The factor in a regime, in percent.
    pub fn factor(&self, regime: Regime) -> u8 {
        self.factors[regime.column()]
    }

    /// Until which maturity it counts in a regime.
    pub fn reach(&self, regime: Regime) -> Reach {
        self.reach[regime.column()]
    }
}

/// The kind of this name.
pub fn balance_kind(name: &str) -> Option<&'static BalanceKind> {
    BALANCE_KINDS.iter().find(|kind| kind.name == name)
}

const HORIZON: [Reach; 3] = [Reach::Horizon; 3];
const ANY: [Reach; 3] = [Reach::Any; 3];
/// 12 CFR 249.32(a): retail deposits count whatever their maturity.
const ANY_IN_US: [Reach; 3] = [Reach::Horizon, Reach::Any, Reach::Horizon];

const fn row(
    name: &'static str,
    side: Side,
    factors: [u8; 3],
    reach: [Reach; 3],
    is_day_net: bool,
) -> BalanceKind {
    BalanceKind {
        name,
        side,
        factors,
        reach,
        is_day_net,
    }
}

/// The table: factors of Basel, the US, the EU.
#[rustfmt::skip]
pub const BALANCE_KINDS: [BalanceKind; 25] = [
    row("cb_reserve",                    Side::Stock,      [100, 100, 100], ANY,       false), // B238 50(b)
    row("cash_coins",                    Side::Stock,      [100,   0, 100], ANY,       false), // B238 50(a)
    row("nostro_operational",            Side::In,         [  0,   0,   0], HORIZON,   false), // B238 156
    row("nostro_excess",                 Side::InOnDemand, [100, 100, 100], HORIZON,   true),  // B238 154
    row("deposit_retail_stable",         Side::Out,        [  5,   3,   5], HORIZON,   false), // B238 75
    row("deposit_retail_less_stable",    Side::Out,        [ 10,  10,  10], HORIZON,   false), // B238 79
    row("deposit_retail_term",           Side::Out,        [  0,  10,   0], ANY_IN_US, false), // B238 82
    row("deposit_operational",           Side::Out,        [ 25,  25,  25], HORIZON,   false), // B238 93
    row("deposit_operational_insured",   Side::Out,        [  5,   5,   5], HORIZON,   false), // B238 104
    row("deposit_nonfin",                Side::Out,        [ 40,  40,  40], HORIZON,   true),  // B238 107
    row("deposit_nonfin_insured",        Side::Out,        [ 20,  20,  20], HORIZON,   true),  // B238 108
    row("deposit_financial",             Side::Out,        [100, 100, 100], HORIZON,   true),  // B238 109
    row("debt_issued",                   Side::Out,        [100, 100, 100], HORIZON,   true),  // B238 110
    row("commitment_credit_retail",      Side::Out,        [  5,   5,   5], ANY,       false), // B238 131(a)
    row("commitment_credit_nonfin",      Side::Out,        [ 10,  10,  10], ANY,       false), // B238 131(b)
    row("commitment_liquidity_nonfin",   Side::Out,        [ 30,  30,  30], ANY,       false), // B238 131(c)
    row("commitment_bank",               Side::Out,        [ 40,  50,  40], ANY,       false), // B238 131(d)
    row("commitment_credit_otherfin",    Side::Out,        [ 40,  40,  40], ANY,       false), // B238 131(e)
    row("commitment_liquidity_otherfin", Side::Out,        [100, 100, 100], ANY,       false), // B238 131(f)
    row("posted_non_l1_collateral",      Side::Out,        [ 20,  20,  20], ANY,       false), // B238 119
    row("hlba",                          Side::Out,        [100, 100, 100], ANY,       false), // B238 123
    row("other_contractual_out",         Side::Out,        [100, 100, 100], HORIZON,   true),  // B238 141
    row("loan_retail",                   Side::In,         [ 50,  50,  50], HORIZON,   true),  // B238 153
    row("loan_nonfin",                   Side::In,         [ 50,  50,  50], HORIZON,   true),  // B238 154
    row("loan_financial",                Side::In,         [100, 100, 100], HORIZON,   true),  // B238 154
];
