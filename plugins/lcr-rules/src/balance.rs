//! Kinds of balances, and where they count: B238 69-160 with Annex 4, 12 CFR 249.32-33, EU Art. 22-34.

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

/// One row of the table; arrays have a column for each [`Regime`]. Factors are dated: see [`crate::Terms::balance`].
#[derive(Clone, Copy, Debug)]
pub struct BalanceKind {
    /// Its name in the topic.
    pub name: &'static str,
    /// Where it counts.
    pub side: Side,
    /// Until which maturity.
    pub reach: [Reach; 3],
    /// Whether it is in the US net cumulative maturity outflow (12 CFR 249.30(b)).
    pub is_day_net: bool,
}

impl BalanceKind {
    /// Until which maturity it counts in a regime.
    pub fn reach(&self, regime: Regime) -> Reach {
        self.reach[regime.column()]
    }
}

/// The kind of this name, and its place in the table.
pub fn balance_kind(name: &str) -> Option<(usize, &'static BalanceKind)> {
    BALANCE_KINDS
        .iter()
        .enumerate()
        .find(|(_, kind)| kind.name == name)
}

const HORIZON: [Reach; 3] = [Reach::Horizon; 3];
const ANY: [Reach; 3] = [Reach::Any; 3];
/// 12 CFR 249.32(a): retail deposits count whatever their maturity.
const ANY_IN_US: [Reach; 3] = [Reach::Horizon, Reach::Any, Reach::Horizon];

const fn row(name: &'static str, side: Side, reach: [Reach; 3], is_day_net: bool) -> BalanceKind {
    BalanceKind {
        name,
        side,
        reach,
        is_day_net,
    }
}

/// The table.
#[rustfmt::skip]
pub const BALANCE_KINDS: [BalanceKind; 25] = [
    row("cb_reserve",                    Side::Stock,      ANY,       false), // B238 50(b)
    row("cash_coins",                    Side::Stock,      ANY,       false), // B238 50(a)
    row("nostro_operational",            Side::In,         HORIZON,   false), // B238 156
    row("nostro_excess",                 Side::InOnDemand, HORIZON,   true),  // B238 154
    row("deposit_retail_stable",         Side::Out,        HORIZON,   false), // B238 75
    row("deposit_retail_less_stable",    Side::Out,        HORIZON,   false), // B238 79
    row("deposit_retail_term",           Side::Out,        ANY_IN_US, false), // B238 82
    row("deposit_operational",           Side::Out,        HORIZON,   false), // B238 93
    row("deposit_operational_insured",   Side::Out,        HORIZON,   false), // B238 104
    row("deposit_nonfin",                Side::Out,        HORIZON,   true),  // B238 107
    row("deposit_nonfin_insured",        Side::Out,        HORIZON,   true),  // B238 108
    row("deposit_financial",             Side::Out,        HORIZON,   true),  // B238 109
    row("debt_issued",                   Side::Out,        HORIZON,   true),  // B238 110
    row("commitment_credit_retail",      Side::Out,        ANY,       false), // B238 131(a)
    row("commitment_credit_nonfin",      Side::Out,        ANY,       false), // B238 131(b)
    row("commitment_liquidity_nonfin",   Side::Out,        ANY,       false), // B238 131(c)
    row("commitment_bank",               Side::Out,        ANY,       false), // B238 131(d)
    row("commitment_credit_otherfin",    Side::Out,        ANY,       false), // B238 131(e)
    row("commitment_liquidity_otherfin", Side::Out,        ANY,       false), // B238 131(f)
    row("posted_non_l1_collateral",      Side::Out,        ANY,       false), // B238 119
    row("hlba",                          Side::Out,        ANY,       false), // B238 123
    row("other_contractual_out",         Side::Out,        HORIZON,   true),  // B238 141
    row("loan_retail",                   Side::In,         HORIZON,   true),  // B238 153
    row("loan_nonfin",                   Side::In,         HORIZON,   true),  // B238 154
    row("loan_financial",                Side::In,         HORIZON,   true),  // B238 154
];
