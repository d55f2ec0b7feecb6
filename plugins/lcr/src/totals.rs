//! Sums of cells, and what the rules make of them.

use crate::{AMOUNT_SCALE, Cell};
use lcr_rules::{
    BASEL_CAPS, Class, Levels, NetOutflow, RATIO_SCALE, RuleError, Stock, WEIGHTED_SCALE, add,
    coverage_ratio, net_outflow, stock,
};
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
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) held: Levels,
    unwind: Levels,
    by_class: [Held; Class::STOCK.len()],
    pub(crate) outflow: I256,
    pub(crate) inflow: I256,
}

/// What the rules make of the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// As it leaves.
    pub(crate) stock: I256,
    pub(crate) net: NetOutflow,
    pub(crate) ratio: Option<Decimal>,
}

impl Totals {
    pub(crate) fn add(&mut self, cell: &Cell<'_>) -> Result<(), RuleError> {
        let weighted = cell.weighted.unwrap_or_default();
        let class = cell.line.and_then(Class::parse);
        let level = class.and_then(Class::level);
        match (cell.side, level) {
            (Some("OUT"), _) => self.outflow = add(self.outflow, weighted)?,
            (Some("IN"), _) => self.inflow = add(self.inflow, weighted)?,
            (Some("UNWIND"), Some(level)) => self.unwind.add(level, weighted)?,
            (Some("HQLA"), Some(level)) => {
                self.held.add(level, weighted)?;
                let slot = Class::STOCK.iter().position(|known| Some(*known) == class);
                if let Some(held) = slot.map(|slot| &mut self.by_class[slot]) {
                    held.value = add(held.value, cell.unweighted.unwrap_or_default())?;
                    held.counted = add(held.counted, weighted)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The levels with the secured trades of the horizon undone.
    pub(crate) fn unwound(&self) -> Result<Levels, RuleError> {
        self.held.plus(&self.unwind)
    }

    pub(crate) fn by_class(&self) -> impl Iterator<Item = (Class, Held)> {
        Class::STOCK.into_iter().zip(self.by_class)
    }

    /// All classes after haircut.
    pub(crate) fn held_in_all(&self) -> Result<I256, RuleError> {
        self.by_class
            .iter()
            .try_fold(I256::ZERO, |sum, held| add(sum, held.counted))
    }

    /// Stock, net outflow and ratio (B238 16, 69, Annex 1).
    pub(crate) fn outcome(&self) -> Result<Outcome, RuleError> {
        let stock = stock(&BASEL_CAPS, &self.held, &self.unwound()?)?;
        let net = net_outflow(self.outflow, self.inflow)?;
        Ok(Outcome {
            stock: leaving(&stock)?,
            net,
            ratio: coverage_ratio(&stock, net.net)?,
        })
    }
}

fn leaving(stock: &Stock) -> Result<I256, RuleError> {
    part(stock.total, Decimal::from_i128(stock.per, 0), AMOUNT_SCALE)
}

/// A class's share of the stock after haircut.
pub(crate) fn share(counted: I256, whole: I256) -> Result<Option<I256>, RuleError> {
    if whole.is_zero() {
        return Ok(None);
    }
    part(counted, Decimal::new(whole, WEIGHTED_SCALE), RATIO_SCALE).map(Some)
}

/// A weighted amount over a divisor that is not 0, rounded once.
fn part(digits: I256, divisor: Decimal, scale: u8) -> Result<I256, RuleError> {
    let (amount, one) = (
        Decimal::new(digits, WEIGHTED_SCALE),
        Decimal::from_i128(1, 0),
    );
    let part =
        mul_div_round(amount, one, divisor, scale).map_err(|_too_large| RuleError::Overflow)?;
    Ok(part.value)
}
