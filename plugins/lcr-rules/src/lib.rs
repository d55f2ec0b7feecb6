//! The liquidity coverage rules as exact arithmetic: classes, haircuts, rates, caps, unwind, net outflow.
//!
//! Pure: no I/O, no clock, no floating point. A money amount is a 256-bit integer of digits with the scale
//! that its name tells: [`VALUE_SCALE`] for a value, [`WEIGHTED_SCALE`] once a whole percentage was applied.
//! Every operation is exact or answers [`RuleError`]; only [`coverage_ratio`] rounds, once, half-even.
//!
//! Sources are named as in `lcr.md`: B238 is BCBS 238 (January 2013), LCR30 and LCR40 the chapters of the
//! Basel Framework, US 12 CFR 249, EU the Delegated Regulation (EU) 2015/61.

#![warn(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

mod balance;
mod caps;
mod class;
mod classify;
mod exact;
mod horizon;
mod net;
mod rates;
mod regime;

pub use balance::{BALANCE_KINDS, BalanceKind, Reach, Side, balance_kind};
pub use caps::{BASEL_CAPS, Caps, Levels, Stock, stock};
pub use class::{Class, Level};
pub use classify::{Instrument, InstrumentKind, classify};
pub use exact::{RATIO_SCALE, RuleError, VALUE_SCALE, WEIGHTED_SCALE, add, negate, weigh};
pub use horizon::{Day, HORIZON_DAYS, day_of};
pub use net::{NetOutflow, coverage_ratio, net_outflow};
pub use rates::{
    Percent, SwapFlow, collateral_swap, repo_outflow, reverse_repo_inflow, security_flow,
};
pub use regime::Regime;
pub use weir_exact::I256;
