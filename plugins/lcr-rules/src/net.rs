//! The denominator, and the ratio.

use crate::exact::{Factor, Fraction, RATIO_SCALE, RuleError, add, product, sub, times};
use crate::regime::Regime;
use weir_exact::{Decimal, I256, from_i128, mul_div_round};

/// Weighted inflows by the cap that the EU puts on them; elsewhere their sum counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inflows {
    /// Exempt from it (Art. 33(1)-(3)).
    pub exempt: I256,
    /// Capped at 90 % (Art. 33(4)).
    pub ninety: I256,
    /// Capped at 75 %.
    pub capped: I256,
}

impl Inflows {
    /// All of them.
    pub fn total(&self) -> Result<I256, RuleError> {
        add(add(self.exempt, self.ninety)?, self.capped)
    }
}

/// What the denominator depends on besides flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetTerms {
    /// Whose formula.
    pub regime: Regime,
    /// Inflows count up to this share of the outflows (B238 69, 144; 249.30(a)(2); Art. 33(1)).
    pub inflow_cap: Factor,
    /// The higher share of some, in the EU (Art. 33(4)).
    pub higher_cap: Factor,
    /// Of the US net outflow (249.30(c)); one elsewhere.
    pub percentage: Factor,
}

/// Net outflow and how it came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetOutflow {
    /// Inflows that count.
    pub inflow: Fraction,
    /// Of those the exempt ones, those under the higher cap, and the others.
    pub used: [Fraction; 3],
    /// Whether inflows are above the cap on all.
    pub is_cap_binding: bool,
    /// What counts.
    pub net: Fraction,
}

/// The net outflow of totals at [`crate::WEIGHTED_SCALE`]; `addon` is the US maturity mismatch.
///
/// ```text
/// Basel: TO - min(TI, 75 % TO)                                                        B238 69
/// US:    pct (TO - min(TI, 75 % TO) + add-on)                                         249.30(a)
/// EU:    TO - min(FEI, TO) - min(IHC, 90 % max(TO - FEI, 0))
///           - min(IC, 75 % max(TO - FEI - IHC / 90 %, 0)), not below 0                 Annex II
/// ```
pub fn net_outflow(
    terms: &NetTerms,
    outflow: I256,
    inflows: &Inflows,
    addon: I256,
) -> Result<NetOutflow, RuleError> {
    let one = Factor::ONE.digits();
    let all = inflows.total()?;
    let is_cap_binding = times(all, one)? > times(outflow, terms.inflow_cap.digits())?;
    if terms.regime == Regime::Eu {
        return cascade(terms, outflow, inflows, is_cap_binding);
    }
    let counted = times(all, one)?.min(times(outflow, terms.inflow_cap.digits())?);
    let net = sub(add(times(outflow, one)?, times(addon, one)?)?, counted)?;
    let inflow = Fraction {
        digits: counted,
        per: one,
    };
    let nothing = Fraction::whole(I256::ZERO);
    Ok(NetOutflow {
        inflow,
        used: [nothing, nothing, inflow],
        is_cap_binding,
        net: Fraction {
            digits: times(net, terms.percentage.digits())?,
            per: product(&[one, one])?,
        },
    })
}

/// The EU's three kinds of inflows one after the other.
fn cascade(
    terms: &NetTerms,
    outflow: I256,
    inflows: &Inflows,
    is_cap_binding: bool,
) -> Result<NetOutflow, RuleError> {
    let one = Factor::ONE.digits();
    let (cap, higher) = (terms.inflow_cap.digits(), terms.higher_cap.digits());
    let per = product(&[one, higher])?;
    let zero = I256::ZERO;
    let exempt = inflows.exempt.min(outflow);
    let rest = sub(outflow, inflows.exempt)?.max(zero);
    // In parts of `one`.
    let ninety = times(inflows.ninety, one)?.min(times(rest, higher)?);
    // In parts of `higher`: outflow less exempt less what the ninety bucket takes before its cap.
    let behind = sub(outflow, inflows.exempt)?;
    let behind = sub(times(behind, higher)?, times(inflows.ninety, one)?)?.max(zero);
    let capped = times(inflows.capped, per)?.min(times(behind, cap)?);
    let used = [times(exempt, per)?, times(ninety, higher)?, capped];
    let counted = add(add(used[0], used[1])?, used[2])?;
    let part = |digits| Fraction { digits, per };
    Ok(NetOutflow {
        inflow: part(counted),
        used: used.map(part),
        is_cap_binding,
        net: part(sub(times(outflow, per)?, counted)?.max(zero)),
    })
}

/// The US maturity mismatch add-on (249.30(b)): how far the net cumulative outflow of some day is above that of the
/// last. `by_day` has the nets (outflows less inflows of its lines) from day 0 on, to the horizon's last day; what is
/// due today counts in day 1.
pub fn addon(by_day: &[I256]) -> Result<AddOn, RuleError> {
    let mut sum = I256::ZERO;
    let mut peak = I256::ZERO;
    for (day, net) in by_day.iter().enumerate() {
        sum = add(sum, *net)?;
        if day > 0 {
            peak = peak.max(sum);
        }
    }
    let last = sum.max(I256::ZERO);
    Ok(AddOn {
        peak,
        last,
        amount: sub(peak, last)?,
    })
}

/// The add-on and the two cumulative outflows it is the difference of, neither below 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddOn {
    /// The highest of a day.
    pub peak: I256,
    /// That of the last day.
    pub last: I256,
    /// The difference.
    pub amount: I256,
}

/// Stock over net outflow at [`RATIO_SCALE`], rounded once, half-even; `None` when the net outflow is 0: the ratio
/// is undefined then (B238 22).
pub fn coverage_ratio(stock: Fraction, net: Fraction) -> Result<Option<Decimal>, RuleError> {
    if net.digits.is_zero() {
        return Ok(None);
    }
    let whole = |digits| Decimal::new(digits, 0);
    mul_div_round(
        whole(stock.digits),
        whole(from_i128(net.per)),
        whole(times(net.digits, stock.per)?),
        RATIO_SCALE,
    )
    .map(Some)
    .map_err(|_inexact| RuleError::Overflow)
}
