//! The liquidity coverage rules as exact arithmetic: classes, haircuts, rates, caps, unwind, net outflow.
//!
//! Pure: no I/O, no clock, no floating point. A money amount is a 256-bit integer of digits with the scale
//! that its name tells: [`VALUE_SCALE`] for a value, [`WEIGHTED_SCALE`] once a factor was applied; what divides is a
//! [`Fraction`]. Every operation is exact or answers [`RuleError`]; only what leaves is rounded, once, half-even.
//!
//! Formulas are code, one for each regime; what they are filled with is dated data, [`Rules`].
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
mod rules;
mod terms;

pub use balance::{BALANCE_KINDS, BalanceKind, Reach, Side, balance_kind};
pub use caps::{Caps, Cut, Levels, Stock, UsExcess, eu_split, stock};
pub use class::{Class, Level};
pub use classify::{Instrument, InstrumentKind, classify};
pub use exact::{
    FACTOR_SCALE, Factor, Fraction, RATIO_SCALE, RuleError, VALUE_SCALE, WEIGHTED_SCALE, add,
    negate, sub, weigh,
};
pub use horizon::{Day, day_of};
pub use net::{AddOn, Inflows, NetOutflow, NetTerms, addon, coverage_ratio, net_outflow};
pub use rates::{FLOW_LINES, FlowLine, SwapFlow, flow_line};
pub use regime::Regime;
pub use rules::{Rules, RulesError};
pub use terms::Terms;
pub use weir_exact::I256;

#[cfg(test)]
mod tests;
