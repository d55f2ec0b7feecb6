//! The flows that trades bring, and what a collateral swap's end brings.

use crate::class::Class;
use crate::exact::Factor;
use std::cmp::Ordering;

/// A line of flows with one factor of its own, whatever secures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowLine {
    /// Its name in cells and rules.
    pub name: &'static str,
    /// Whether it is in the US net cumulative maturity outflow (12 CFR 249.30(b)).
    pub is_day_net: bool,
}

const fn line(name: &'static str, is_day_net: bool) -> FlowLine {
    FlowLine { name, is_day_net }
}

/// The lines.
pub const FLOW_LINES: [FlowLine; 14] = [
    line("pending_purchase", true),
    line("pending_sale", false),
    line("redemption", true),
    line("interest", true),
    line("interest_reused", true),
    line("interbank_loan", true),
    line("interbank_deposit", true),
    line("fx", false),
    line("derivative", false),
    line("commodity_forward", false),
    line("commodity_purchase", false),
    line("net_derivatives", false),
    line("repo_central_bank", true),
    line("reverse_repo_reused", true),
];

/// The line of this name, and its place in the table.
pub fn flow_line(name: &str) -> Option<(usize, &'static FlowLine)> {
    FLOW_LINES
        .iter()
        .enumerate()
        .find(|(_, line)| line.name == name)
}

/// What a collateral swap's end brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapFlow {
    /// Both sides are worth the same.
    Nothing,
    /// The better asset goes back: this much of the lent asset's value flows out.
    Out(Factor),
    /// The better asset comes back: this much of the borrowed asset's value flows in.
    In(Factor),
}

/// The difference of the two sides' haircuts (B238 48, 113, 146; the grid of LCR40.50 and 12 CFR 249.32(j)(3)).
pub(crate) fn collateral_swap(
    haircut: impl Fn(Class) -> Factor,
    lent: Class,
    borrowed: Class,
) -> SwapFlow {
    let (lent, borrowed) = (haircut(lent), haircut(borrowed));
    match lent.cmp(&borrowed) {
        Ordering::Greater => SwapFlow::Out(lent.above(borrowed)),
        Ordering::Less => SwapFlow::In(borrowed.above(lent)),
        Ordering::Equal => SwapFlow::Nothing,
    }
}
