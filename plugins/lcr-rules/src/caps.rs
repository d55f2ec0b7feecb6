//! The stock of liquid assets under the composition caps, regime by regime.
//!
//! The caps bite on the stock as it would be with secured trades inside the horizon unwound (`adjusted`), and what
//! they cut is taken off the stock as it is. Basel and the US are the literal formulas: with a negative adjusted
//! level 1 the total may be negative too; the EU takes off no more than there is.

use crate::class::Level;
use crate::exact::{Factor, Fraction, RuleError, add, product, reduced, sub, times};
use weir_exact::I256;

/// Amounts by level after haircut, digits at [`crate::WEIGHTED_SCALE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// Level 1, but for covered bonds.
    pub one: I256,
    /// Covered bonds of level 1, in the EU.
    pub covered: I256,
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
            Level::Covered => &mut self.covered,
            Level::TwoA => &mut self.two_a,
            Level::TwoB => &mut self.two_b,
        };
        *slot = add(*slot, amount)?;
        Ok(())
    }

    /// The amount of one level.
    pub fn of(&self, level: Level) -> I256 {
        match level {
            Level::One => self.one,
            Level::Covered => self.covered,
            Level::TwoA => self.two_a,
            Level::TwoB => self.two_b,
        }
    }

    /// Level by level.
    pub fn plus(&self, other: &Self) -> Result<Self, RuleError> {
        Ok(Self {
            one: add(self.one, other.one)?,
            covered: add(self.covered, other.covered)?,
            two_a: add(self.two_a, other.two_a)?,
            two_b: add(self.two_b, other.two_b)?,
        })
    }

    /// Level 1 with its covered bonds.
    pub fn level_1(&self) -> Result<I256, RuleError> {
        add(self.one, self.covered)
    }

    /// All levels.
    pub fn total(&self) -> Result<I256, RuleError> {
        add(add(self.level_1()?, self.two_a)?, self.two_b)
    }
}

/// The caps of a regime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caps {
    /// B238 46-54 and Annex 1: shares of the stock.
    Basel {
        /// Level 2 is at most this share.
        level_2: Factor,
        /// Level 2B is at most this share.
        level_2b: Factor,
    },
    /// 12 CFR 249.21: decimals as printed, 0.6667 and 0.1765.
    Us {
        /// Level 2 is at most this much of level 1.
        level_2_of_level_1: Factor,
        /// Level 2B is at most this much of levels 1 and 2A.
        level_2b_of_better: Factor,
    },
    /// EU Art. 17(1): shares of the buffer.
    Eu {
        /// Level 1 without covered bonds is at least this share.
        level_1_uncovered: Factor,
        /// Level 1 is at least this share.
        level_1: Factor,
        /// Level 2B is at most this share.
        level_2b: Factor,
    },
}

/// The stock, and what the caps cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    /// What remains.
    pub total: Fraction,
    /// How the cut came about.
    pub cut: Cut,
}

/// What the caps cut, as each regime says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The two adjustments of Annex 1 para 5.
    Basel {
        /// By the cap on level 2B.
        level_2b: Fraction,
        /// By the cap on level 2.
        level_2: Fraction,
    },
    /// The greater sum counts (12 CFR 249.21(a)).
    Us {
        /// Of the stock as it is.
        unadjusted: UsExcess,
        /// Of the stock as unwound.
        adjusted: UsExcess,
    },
    /// The excess of Annex I para 2, before it is held to what there is.
    Eu {
        /// Over the smallest of the four bounds.
        excess: Fraction,
    },
}

/// The two excess amounts of 12 CFR 249.21(b)-(i).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsExcess {
    /// Of level 2 over its share of level 1.
    pub level_2: Fraction,
    /// Of level 2B over its share of the better ones.
    pub level_2b: Fraction,
}

impl UsExcess {
    /// Both together; their denominators are the same.
    pub fn total(&self) -> Result<Fraction, RuleError> {
        Ok(Fraction {
            digits: add(self.level_2.digits, self.level_2b.digits)?,
            per: self.level_2.per,
        })
    }
}

/// The stock under the caps, from the levels as held and as unwound.
pub fn stock(caps: &Caps, held: &Levels, adjusted: &Levels) -> Result<Stock, RuleError> {
    match *caps {
        Caps::Basel { level_2, level_2b } => basel(level_2, level_2b, held, adjusted),
        Caps::Us {
            level_2_of_level_1,
            level_2b_of_better,
        } => {
            let excess = |levels| us_excess(level_2_of_level_1, level_2b_of_better, levels);
            us(held, excess(held)?, excess(adjusted)?)
        }
        Caps::Eu {
            level_1_uncovered,
            level_1,
            level_2b,
        } => eu(level_1_uncovered, level_1, level_2b, held, adjusted),
    }
}

/// B238 Annex 1 para 5; with caps of 40 % and 15 %:
///
/// ```text
/// cut 15 = max(A2B - 15/85 (A1 + A2A), A2B - 15/60 A1, 0)
/// cut 40 = max(A2A + A2B - cut 15 - 2/3 A1, 0)
/// stock  = L1 + L2A + L2B - cut 15 - cut 40
/// ```
fn basel(
    level_2: Factor,
    level_2b: Factor,
    held: &Levels,
    adjusted: &Levels,
) -> Result<Stock, RuleError> {
    let (one_of_all, better_of_all) = (level_2.rest().digits(), level_2b.rest().digits());
    let [per, of_better, of_one, two_of_one] = reduced([
        product(&[one_of_all, better_of_all])?,
        product(&[level_2b.digits(), one_of_all])?,
        product(&[level_2b.digits(), better_of_all])?,
        product(&[level_2.digits(), better_of_all])?,
    ]);
    let one = adjusted.level_1()?;
    let two_b = times(adjusted.two_b, per)?;
    let better = add(one, adjusted.two_a)?;
    let by_85 = sub(two_b, times(better, of_better)?)?;
    let by_60 = sub(two_b, times(one, of_one)?)?;
    let cut_2b = by_85.max(by_60).max(I256::ZERO);
    let two = sub(add(times(adjusted.two_a, per)?, two_b)?, cut_2b)?;
    let allowed = times(one, two_of_one)?;
    let cut_2 = sub(two, allowed)?.max(I256::ZERO);
    let total = sub(sub(times(held.total()?, per)?, cut_2b)?, cut_2)?;
    let part = |digits| Fraction { digits, per };
    Ok(Stock {
        total: part(total),
        cut: Cut::Basel {
            level_2b: part(cut_2b),
            level_2: part(cut_2),
        },
    })
}

fn us(held: &Levels, unadjusted: UsExcess, adjusted: UsExcess) -> Result<Stock, RuleError> {
    let (a, b) = (unadjusted.total()?, adjusted.total()?);
    let per = a.per;
    let digits = sub(times(held.total()?, per)?, a.digits.max(b.digits))?;
    Ok(Stock {
        total: Fraction { digits, per },
        cut: Cut::Us {
            unadjusted,
            adjusted,
        },
    })
}

/// ```text
/// level 2 excess  = max(L2A + L2B - 0.6667 L1, 0)
/// level 2B excess = max(L2B - level 2 excess - 0.1765 (L1 + L2A), 0)
/// ```
fn us_excess(of_one: Factor, of_better: Factor, levels: &Levels) -> Result<UsExcess, RuleError> {
    let per = Factor::ONE.digits();
    let one = levels.level_1()?;
    let two = times(add(levels.two_a, levels.two_b)?, per)?;
    let level_2 = sub(two, times(one, of_one.digits())?)?.max(I256::ZERO);
    let better = times(add(one, levels.two_a)?, of_better.digits())?;
    let level_2b = sub(sub(times(levels.two_b, per)?, level_2)?, better)?.max(I256::ZERO);
    let part = |digits| Fraction { digits, per };
    Ok(UsExcess {
        level_2: part(level_2),
        level_2b: part(level_2b),
    })
}

/// EU Annex I para 2-4, with a, b, c, d the adjusted level 1, covered bonds, levels 2A and 2B:
///
/// ```text
/// excess = (a+b+c+d) - min(a+b+c+d, 100/30 a, 100/60 (a+b), 100/85 (a+b+c))
/// buffer = L1 + L2A + L2B - min(L1 + L2A + L2B, excess)
/// ```
fn eu(
    uncovered: Factor,
    level_1: Factor,
    level_2b: Factor,
    held: &Levels,
    adjusted: &Levels,
) -> Result<Stock, RuleError> {
    let one = Factor::ONE.digits();
    let [a, b, c] = [uncovered, level_1, level_2b.rest()].map(Factor::digits);
    let [per, of_one, of_level_1, of_better] = reduced([
        product(&[a, b, c])?,
        product(&[one, b, c])?,
        product(&[one, a, c])?,
        product(&[one, a, b])?,
    ]);
    let with_2a = add(adjusted.level_1()?, adjusted.two_a)?;
    let whole = times(adjusted.total()?, per)?;
    let bounds = [
        times(adjusted.one, of_one)?,
        times(adjusted.level_1()?, of_level_1)?,
        times(with_2a, of_better)?,
    ];
    let allowed = bounds.into_iter().fold(whole, I256::min);
    let excess = sub(whole, allowed)?;
    let all = times(held.total()?, per)?;
    let part = |digits| Fraction { digits, per };
    Ok(Stock {
        total: part(sub(all, excess.min(all))?),
        cut: Cut::Eu {
            excess: part(excess),
        },
    })
}

/// How the EU shares out what remains: level 1, covered bonds, levels 2A and 2B (Annex I para 5), each with the same
/// denominator. Negative amounts count nothing.
pub fn eu_split(caps: &Caps, adjusted: &Levels) -> Result<Option<[Fraction; 4]>, RuleError> {
    let Caps::Eu {
        level_1_uncovered,
        level_1,
        level_2b,
    } = *caps
    else {
        return Ok(None);
    };
    let shares = [level_1_uncovered, level_1, level_2b.rest()].map(Factor::digits);
    let per = product(&shares)?;
    let at = |amount: I256| times(amount.max(I256::ZERO), per);
    // Beside what is a share of the whole: the rest of the whole over that share.
    let beside = |amount: I256, share: i128| -> Result<I256, RuleError> {
        let rest = Factor::ONE.digits().saturating_sub(share);
        let rest = times(amount, rest)?;
        rest.checked_div(weir_exact::from_i128(share))
            .ok_or(RuleError::Overflow)
    };
    // In parts of all three shares, so that a division by each in turn is exact.
    let (a, b, c, d) = (
        at(adjusted.one)?,
        at(adjusted.covered)?,
        at(adjusted.two_a)?,
        at(adjusted.two_b)?,
    );
    let beside_one = beside(a, shares[0])?;
    let b = b.min(beside_one);
    let beside_level_1 = beside(add(a, b)?, shares[1])?;
    let left = sub(beside_one, b)?.max(I256::ZERO);
    let c = c.min(beside_level_1).min(left);
    let d = d
        .min(beside(add(add(a, b)?, c)?, shares[2])?)
        .min(sub(beside_level_1, c)?.max(I256::ZERO))
        .min(sub(left, c)?.max(I256::ZERO));
    Ok(Some([a, b, c, d].map(|digits| Fraction { digits, per })))
}
