//! Sums of cells, and what the rules make of them.

use crate::{AMOUNT_SCALE, Cell, Policy};
use lcr_rules::{
    AddOn, Class, Cut, Fraction, Inflows, Levels, NetOutflow, RATIO_SCALE, RuleError, Terms,
    WEIGHTED_SCALE, add, addon, coverage_ratio, negate, net_outflow, stock,
};
use std::collections::BTreeMap;
use weir_exact::{Decimal, I256, mul_div_round};

/// The stock of one class.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    /// At market value.
    pub(crate) value: I256,
    /// After haircut.
    pub(crate) counted: I256,
}

/// The sums of one set of cells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals<'a> {
    pub(crate) held: Levels,
    unwind: Levels,
    by_class: [Held; Class::ALL.len()],
    pub(crate) outflow: I256,
    pub(crate) inflows: Inflows,
    /// What of the US cumulative outflow is due on each day.
    by_day: Vec<I256>,
    /// What counts, by side and line.
    by_line: BTreeMap<(&'a str, &'a str), I256>,
}

/// What the rules make of the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) stock: Fraction,
    /// Whether the formula made it negative and the policy zero.
    pub(crate) is_floored: bool,
    /// What the caps cut; none where there are none.
    pub(crate) cut: Option<Cut>,
    pub(crate) addon: AddOn,
    pub(crate) net: NetOutflow,
    pub(crate) ratio: Option<Decimal>,
}

impl<'a> Totals<'a> {
    pub(crate) fn new(terms: &Terms) -> Self {
        let days = usize::try_from(terms.horizon)
            .unwrap_or(0)
            .saturating_add(1);
        Self {
            by_day: vec![I256::ZERO; days],
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, cell: &Cell<'a>) -> Result<(), RuleError> {
        let weighted = cell.weighted.unwrap_or_default();
        let line = (cell.side.unwrap_or_default(), cell.line.unwrap_or_default());
        let sum = self.by_line.entry(line).or_default();
        *sum = add(*sum, weighted)?;
        let class = cell.line.and_then(Class::parse);
        let level = class.and_then(|class| Some((class, class.level()?)));
        match (cell.side, level) {
            (Some("OUT"), _) => {
                self.outflow = add(self.outflow, weighted)?;
                self.add_to_day(cell, weighted)?;
            }
            (Some("IN"), _) => {
                let slot = match cell.inflow_cap {
                    Some(100) => &mut self.inflows.exempt,
                    Some(90) => &mut self.inflows.ninety,
                    _ => &mut self.inflows.capped,
                };
                *slot = add(*slot, weighted)?;
                self.add_to_day(cell, negate(weighted)?)?;
            }
            (Some("UNWIND"), Some((_, level))) => self.unwind.add(level, weighted)?,
            (Some("HQLA"), Some((class, level))) => {
                self.held.add(level, weighted)?;
                let held = &mut self.by_class[class.index()];
                held.value = add(held.value, cell.unweighted.unwrap_or_default())?;
                held.counted = add(held.counted, weighted)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn add_to_day(&mut self, cell: &Cell<'_>, net: I256) -> Result<(), RuleError> {
        let day = cell.day.and_then(|day| usize::try_from(day).ok());
        let slot = day.and_then(|day| self.by_day.get_mut(day));
        if let Some(slot) = slot.filter(|_| cell.day_net == Some(true)) {
            *slot = add(*slot, net)?;
        }
        Ok(())
    }

    /// The levels with the secured trades of the horizon undone.
    pub(crate) fn unwound(&self) -> Result<Levels, RuleError> {
        self.held.plus(&self.unwind)
    }

    /// What counts of each line of a side.
    pub(crate) fn lines_of(&self, side: &str) -> impl Iterator<Item = (&'a str, I256)> {
        let lines = self.by_line.iter();
        lines.filter_map(move |((of, line), counted)| (*of == side).then_some((*line, *counted)))
    }

    pub(crate) fn held(&self, class: Class) -> Held {
        self.by_class[class.index()]
    }

    /// Stock, net outflow and ratio (B238 16, 69, Annex 1); the add-on is the US's alone, and the stock of one currency
    /// has no caps: those are on all of it (B238 46-54).
    pub(crate) fn outcome(
        &self,
        terms: &Terms,
        policy: Policy,
        is_capped: bool,
    ) -> Result<Outcome, RuleError> {
        let (literal, cut) = if is_capped {
            let capped = stock(&terms.caps, &self.held, &self.unwound()?)?;
            (capped.total, Some(capped.cut))
        } else {
            (Fraction::whole(self.held.total()?), None)
        };
        let is_floored = policy.is_floored && literal.digits.is_negative();
        let stock = if is_floored {
            Fraction::whole(I256::ZERO)
        } else {
            literal
        };
        let addon = if terms.regime == lcr_rules::Regime::Us {
            addon(&self.by_day)?
        } else {
            AddOn::default()
        };
        let net = net_outflow(
            &terms.net(policy.us_percentage),
            self.outflow,
            &self.inflows,
            addon.amount,
        )?;
        let ratio = coverage_ratio(stock, net.net)?;
        Ok(Outcome {
            stock,
            is_floored,
            cut,
            addon,
            net,
            ratio,
        })
    }
}

/// A class's share of the stock after haircut.
pub(crate) fn share(counted: I256, whole: I256) -> Result<Option<I256>, RuleError> {
    if whole.is_zero() {
        return Ok(None);
    }
    let at = |digits| Decimal::new(digits, WEIGHTED_SCALE);
    let part = mul_div_round(
        at(counted),
        Decimal::from_i128(1, 0),
        at(whole),
        RATIO_SCALE,
    );
    part.map(|part| Some(part.value))
        .map_err(|_too_large| RuleError::Overflow)
}

/// A weighted amount as it leaves.
pub(crate) fn weighted(digits: I256) -> Result<I256, RuleError> {
    Fraction::whole(digits).round(AMOUNT_SCALE)
}
