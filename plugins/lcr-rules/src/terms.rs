//! What one regime says on one date.

use crate::balance::balance_kind;
use crate::caps::Caps;
use crate::class::Class;
use crate::classify::ClassRule;
use crate::exact::Factor;
use crate::net::NetTerms;
use crate::rates::{SwapFlow, collateral_swap, flow_line};
use crate::regime::Regime;

/// The values in force; made by [`crate::Rules::terms`].
#[derive(Clone, Debug)]
pub struct Terms {
    /// Whose rules.
    pub regime: Regime,
    /// The last day that counts.
    pub horizon: i32,
    /// The caps on the stock.
    pub caps: Caps,
    pub(crate) haircuts: [Factor; Class::ALL.len()],
    pub(crate) flows: [Factor; crate::rates::FLOW_LINES.len()],
    pub(crate) balances: [Factor; crate::balance::BALANCE_KINDS.len()],
    pub(crate) inflow_cap: Factor,
    pub(crate) higher_cap: Factor,
    pub(crate) classes: Vec<ClassRule>,
}

impl Terms {
    /// What falls off a class, which is also the run-off and inflow rate of what it secures (B238 50-54, 114,
    /// 145-146; LCR30, LCR40; EU Art. 10(1)(f) for covered bonds).
    pub fn haircut(&self, class: Class) -> Factor {
        self.haircuts[class.index()]
    }

    /// What of a value counts in the stock.
    pub fn counted(&self, class: Class) -> Factor {
        self.haircut(class).rest()
    }

    /// What counts of a flow line; none for one that no rule knows.
    pub fn flow(&self, name: &str) -> Option<Factor> {
        flow_line(name).map(|(at, _)| self.flows[at])
    }

    /// What counts of a balance; none for a kind that no rule knows.
    pub fn balance(&self, kind: &str) -> Option<Factor> {
        balance_kind(kind).map(|(at, _)| self.balances[at])
    }

    /// What a collateral swap's end brings.
    pub fn collateral_swap(&self, lent: Class, borrowed: Class) -> SwapFlow {
        collateral_swap(|class| self.haircut(class), lent, borrowed)
    }

    /// What the denominator depends on; `percentage` is the bank's own in the US (249.30(c)), not read elsewhere.
    pub fn net(&self, percentage: Factor) -> NetTerms {
        NetTerms {
            regime: self.regime,
            inflow_cap: self.inflow_cap,
            higher_cap: self.higher_cap,
            percentage: match self.regime {
                Regime::Us => percentage,
                Regime::Basel | Regime::Eu => Factor::ONE,
            },
        }
    }

    pub(crate) fn class_rules(&self) -> &[ClassRule] {
        &self.classes
    }
}
