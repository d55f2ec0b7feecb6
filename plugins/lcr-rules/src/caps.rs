//! The stock of liquid assets under the composition caps: B238 Annex 1 para 5.
//!
//! The caps bite on the stock as it would be with secured trades inside the horizon unwound (`adjusted`), and what
//! they cut is taken off the stock as it is. The total is the literal formula: with a negative adjusted level 1 it
//! may be negative too.

use crate::class::Level;
use crate::exact::{RuleError, add, sub, times};
use weir_exact::I256;

/// Amounts by level after haircut, digits at [`crate::WEIGHTED_SCALE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// Level 1.
    pub one: I256,
    /// Level 2A.
    pub two_a: I256,
    /// Level 2B.
    pub two_b: I256,
}

impl Levels {
    /// Adds to one level.
    pub fn add(&mut self, level: Level, amount: I256) -> Result<(), RuleError> {
        let slot = match level {
            Level::One => &mut self.one,
            Level::TwoA => &mut self.two_a,
            Level::TwoB => &mut self.two_b,
        };
        *slot = add(*slot, amount)?;
        Ok(())
    }

    /// Level by level.
    pub fn plus(&self, other: &Self) -> Result<Self, RuleError> {
        Ok(Self {
            one: add(self.one, other.one)?,
            two_a: add(self.two_a, other.two_a)?,
            two_b: add(self.two_b, other.two_b)?,
        })
    }

    fn total(&self) -> Result<I256, RuleError> {
        add(add(self.one, self.two_a)?, self.two_b)
    }
}

/// The caps' constants as parts of `per`, so that no fraction is ever rounded.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// The common denominator.
    pub per: i128,
    /// 15/85: level 2B is at most 15 % of the whole.
    pub two_b_of_better: i128,
    /// 15/60: level 2B beside level 1 alone, when the cap on all of level 2 binds.
    pub two_b_of_one: i128,
    /// 40/60: level 2 is at most 40 % of the whole.
    pub two_of_one: i128,
}

/// 15/85 = 36/204, 15/60 = 51/204, 2/3 = 136/204.
pub const BASEL_CAPS: Caps = Caps {
    per: 204,
    two_b_of_better: 36,
    two_b_of_one: 51,
    two_of_one: 136,
};

/// The stock and what the caps cut: digits at [`crate::WEIGHTED_SCALE`] in parts of `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    /// The denominator of all three.
    pub per: i128,
    /// Cut by the 15 % cap.
    pub cut_15: I256,
    /// Cut by the 40 % cap.
    pub cut_40: I256,
    /// What remains.
    pub total: I256,
}

/// The stock by Annex 1 para 5:
///
/// ```text
/// cut 15 = max(A2B - 15/85 (A1 + A2A), A2B - 15/60 A1, 0)
/// cut 40 = max(A2A + A2B - cut 15 - 2/3 A1, 0)
/// stock  = L1 + L2A + L2B - cut 15 - cut 40
/// ```
pub fn stock(caps: &Caps, held: &Levels, adjusted: &Levels) -> Result<Stock, RuleError> {
    let two_b = times(adjusted.two_b, caps.per)?;
    let two_a = times(adjusted.two_a, caps.per)?;
    let better = add(adjusted.one, adjusted.two_a)?;
    let by_85 = sub(two_b, times(better, caps.two_b_of_better)?)?;
    let by_60 = sub(two_b, times(adjusted.one, caps.two_b_of_one)?)?;
    let cut_15 = by_85.max(by_60).max(I256::ZERO);
    let two = sub(add(two_a, two_b)?, cut_15)?;
    let cut_40 = sub(two, times(adjusted.one, caps.two_of_one)?)?.max(I256::ZERO);
    let total = sub(sub(times(held.total()?, caps.per)?, cut_15)?, cut_40)?;
    Ok(Stock {
        per: caps.per,
        cut_15,
        cut_40,
        total,
    })
}
