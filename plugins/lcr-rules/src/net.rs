//! The denominator, and the ratio.

use crate::caps::Stock;
use crate::exact::{RATIO_SCALE, RuleError, WEIGHTED_SCALE, sub, times};
use weir_exact::{Decimal, I256, from_i128, mul_div_round};

/// Fraction digits of a weighted amount times a percentage.
const PERCENT_OF_WEIGHTED_SCALE: u8 = 22;

/// Inflows count up to this percentage of the outflows (B238 69, 144).
const INFLOW_CAP: i128 = 75;

/// Net outflow and how it came about.
#[derive(Clone, Copy, Debug)]
pub struct NetOutflow {
    /// Inflows that count.
    pub inflow: Decimal,
    /// Whether the cap cut some: inflows above 75 % of the outflows.
    pub is_cap_binding: bool,
    /// Outflows less the inflows that count.
    pub net: Decimal,
}

/// `outflow - min(inflow, 75 % outflow)`, of totals at [`WEIGHTED_SCALE`] (B238 69).
pub fn net_outflow(outflow: I256, inflow: I256) -> Result<NetOutflow, RuleError> {
    let cap = times(outflow, INFLOW_CAP)?;
    let offered = times(inflow, 100)?;
    let counted = offered.min(cap);
    let net = sub(times(outflow, 100)?, counted)?;
    let scaled = |digits| Decimal::new(digits, PERCENT_OF_WEIGHTED_SCALE);
    Ok(NetOutflow {
        inflow: scaled(counted),
        is_cap_binding: offered > cap,
        net: scaled(net),
    })
}

/// Stock over net outflow at [`RATIO_SCALE`], rounded once, half-even; `None` when the net outflow is 0: the ratio
/// is undefined then (B238 22).
pub fn coverage_ratio(stock: &Stock, net: Decimal) -> Result<Option<Decimal>, RuleError> {
    if net.value.is_zero() {
        return Ok(None);
    }
    let total = Decimal::new(stock.total, WEIGHTED_SCALE);
    let divisor = Decimal::new(times(net.value, stock.per)?, net.scale);
    let one = Decimal::new(from_i128(1), 0);
    mul_div_round(total, one, divisor, RATIO_SCALE)
        .map(Some)
        .map_err(|_inexact| RuleError::Overflow)
}
