//! Run-off and inflow rates of what trades bring.

use crate::class::Class;

/// A whole percentage, 0 to 100.
pub type Percent = u8;

/// The outflow rate of a repo's cash: the haircut of what secures it, nothing towards a central bank
/// (B238 114, LCR40.46-48).
pub const fn repo_outflow(collateral: Class, is_central_bank: bool) -> Percent {
    if is_central_bank {
        0
    } else {
        collateral.haircut()
    }
}

/// The inflow rate of a reverse repo's cash: the haircut of what secured it, nothing when the collateral was used
/// again and so must be bought back first (B238 145-146, LCR40.78-80).
pub const fn reverse_repo_inflow(collateral: Class, is_reused: bool) -> Percent {
    if is_reused { 0 } else { collateral.haircut() }
}

/// The rate of a flow that a security brings (a pending purchase's cost, a pending sale's price, a redemption):
/// all of it when the security is not liquid. A liquid one is in the stock already, or comes with its cash
/// (B238 72, 155, LCR40.88).
pub const fn security_flow(security: Class) -> Percent {
    if security.is_liquid() { 0 } else { 100 }
}

/// What a collateral swap's end brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapFlow {
    /// Both sides are worth the same.
    Nothing,
    /// The better asset goes back: this much of the lent asset's value flows out.
    Out(Percent),
    /// The better asset comes back: this much of the borrowed asset's value flows in.
    In(Percent),
}

/// The difference of the two sides' rates (B238 48, 113, 146; the grid of LCR40.50 and 12 CFR 249.32(j)(3)).
pub const fn collateral_swap(lent: Class, borrowed: Class) -> SwapFlow {
    let (lent, borrowed) = (lent.haircut(), borrowed.haircut());
    if lent > borrowed {
        SwapFlow::Out(lent.saturating_sub(borrowed))
    } else if borrowed > lent {
        SwapFlow::In(borrowed.saturating_sub(lent))
    } else {
        SwapFlow::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of lcr.md 2.4.
    #[test]
    fn collateral_swap_grid() {
        assert_eq!(collateral_swap(Class::L2a, Class::L1), SwapFlow::Out(15));
        assert_eq!(collateral_swap(Class::L2b, Class::L2a), SwapFlow::Out(35));
        assert_eq!(collateral_swap(Class::L1, Class::Non), SwapFlow::In(100));
        assert_eq!(collateral_swap(Class::L2b, Class::L2b), SwapFlow::Nothing);
    }

    /// Rates of secured cash by collateral, with the two exceptions.
    #[test]
    fn secured_cash() {
        assert_eq!(
            Class::ALL.map(|class| repo_outflow(class, false)),
            [0, 7, 15, 25, 50, 100]
        );
        assert_eq!(Class::ALL.map(|class| repo_outflow(class, true)), [0; 6]);
        assert_eq!(
            Class::ALL.map(|class| reverse_repo_inflow(class, true)),
            [0; 6]
        );
        assert_eq!(Class::ALL.map(security_flow), [0, 0, 0, 0, 0, 100]);
    }
}
