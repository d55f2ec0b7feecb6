//! Answers as exact numbers, and their comparison with what a case expects.

use lcr_rules::{Fraction, I256, WEIGHTED_SCALE};
use serde_json::Value;
use std::collections::BTreeMap;
use weir_exact::{Decimal, checked_add, checked_mul, from_i128, pow10};

/// A fraction in lowest terms; the denominator is above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exact {
    above: I256,
    below: I256,
}

const TOO_LARGE: &str = "has too many digits";

impl Exact {
    pub(crate) const ZERO: Self = Self {
        above: I256::ZERO,
        below: I256::ONE,
    };

    fn new(above: I256, below: I256) -> Result<Self, String> {
        let common = gcd(above, below);
        if below.is_zero() || common.is_zero() {
            return Err("divides by 0".to_owned());
        }
        let sign = if below.is_negative() {
            -I256::ONE
        } else {
            I256::ONE
        };
        Ok(Self {
            above: above / common * sign,
            below: below / common * sign,
        })
    }

    pub(crate) fn of_decimal(decimal: Decimal) -> Result<Self, String> {
        Self::new(decimal.value, pow10(decimal.scale).ok_or(TOO_LARGE)?)
    }

    pub(crate) fn of_weighted(digits: I256) -> Result<Self, String> {
        Self::of_decimal(Decimal::new(digits, WEIGHTED_SCALE))
    }

    pub(crate) fn of_fraction(fraction: Fraction) -> Result<Self, String> {
        Self::of_weighted(fraction.digits)?.over(Self::new(from_i128(fraction.per), I256::ONE)?)
    }

    /// `1.5`, or `3/2`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let decimal = |text: &str| -> Result<Self, String> {
            let decimal: Decimal = text
                .parse()
                .map_err(|_error| format!("`{text}` is no number"))?;
            Self::of_decimal(decimal)
        };
        match text.split_once('/') {
            None => decimal(text),
            Some((above, below)) => decimal(above)?.over(decimal(below)?),
        }
    }

    pub(crate) fn times(self, other: Self) -> Result<Self, String> {
        let product = |a, b| checked_mul(a, b).ok_or(TOO_LARGE);
        // Across first, so that the products stay small.
        let (a, b) = (
            Self::new(self.above, other.below)?,
            Self::new(other.above, self.below)?,
        );
        Self::new(product(a.above, b.above)?, product(a.below, b.below)?)
    }

    pub(crate) fn over(self, other: Self) -> Result<Self, String> {
        self.times(Self::new(other.below, other.above)?)
    }

    pub(crate) fn plus(self, other: Self) -> Result<Self, String> {
        let product = |a, b| checked_mul(a, b).ok_or(TOO_LARGE);
        let (a, b) = (
            product(self.above, other.below)?,
            product(other.above, self.below)?,
        );
        let sum = checked_add(a, b).ok_or(TOO_LARGE)?;
        Self::new(sum, product(self.below, other.below)?)
    }

    pub(crate) fn minus(self, other: Self) -> Result<Self, String> {
        self.plus(Self {
            above: -other.above,
            ..other
        })
    }

    pub(crate) fn is_negative(self) -> bool {
        self.above.is_negative()
    }

    /// The greater of the two.
    pub(crate) fn max(self, other: Self) -> Result<Self, String> {
        Ok(if self.minus(other)?.is_negative() {
            other
        } else {
            self
        })
    }

    fn abs(self) -> Self {
        Self {
            above: self.above.abs(),
            ..self
        }
    }
}

impl std::fmt::Display for Exact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.below == I256::ONE {
            write!(f, "{}", self.above)
        } else {
            write!(f, "{}/{}", self.above, self.below)
        }
    }
}

fn gcd(a: I256, b: I256) -> I256 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while !b.is_zero() {
        (a, b) = (b, a % b);
    }
    a
}

/// What a case is answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A figure.
    Figure(Exact),
    /// That there is none.
    Nothing,
    /// Yes or no.
    Flag(bool),
    /// A name.
    Word(String),
    /// Answers by name.
    Parts(BTreeMap<String, Answer>),
}

impl Answer {
    /// Answers by name.
    pub(crate) fn parts<N: Into<String>>(parts: impl IntoIterator<Item = (N, Self)>) -> Self {
        Self::Parts(
            parts
                .into_iter()
                .map(|(name, part)| (name.into(), part))
                .collect(),
        )
    }

    pub(crate) fn weighted(digits: I256) -> Result<Self, String> {
        Exact::of_weighted(digits).map(Self::Figure)
    }

    pub(crate) fn fraction(fraction: Fraction) -> Result<Self, String> {
        Exact::of_fraction(fraction).map(Self::Figure)
    }

    /// A stock over a net outflow; nothing when that is 0.
    pub(crate) fn ratio(stock: Fraction, net: Fraction) -> Result<Self, String> {
        if net.digits.is_zero() {
            return Ok(Self::Nothing);
        }
        let ratio = Exact::of_fraction(stock)?.over(Exact::of_fraction(net)?)?;
        Ok(Self::Figure(ratio))
    }
}

/// How far a figure may be off, by its name: not at all, but for what was rounded by who printed it.
#[derive(Clone, Debug)]
pub(crate) struct Tolerance {
    default: Exact,
    by_name: BTreeMap<String, Exact>,
}

impl Tolerance {
    /// A case's `tolerances`.
    pub(crate) fn of(value: &Value) -> Result<Self, String> {
        let none = serde_json::Map::new();
        let mut by_name = BTreeMap::new();
        for (name, tolerance) in value.as_object().unwrap_or(&none) {
            let text = tolerance.as_str().ok_or("a tolerance is a text")?;
            by_name.insert(name.clone(), Exact::parse(text)?);
        }
        Ok(Self {
            default: by_name.remove("default").unwrap_or(Exact::ZERO),
            by_name,
        })
    }

    /// Half of the last of so many decimals.
    pub(crate) fn decimals(decimals: u8) -> Self {
        let half = Decimal::from_i128(5, decimals + 1);
        Self {
            default: Exact::of_decimal(half).unwrap_or(Exact::ZERO),
            by_name: BTreeMap::new(),
        }
    }

    fn allows(&self, name: &str, found: Exact, wanted: Exact) -> bool {
        let tolerance = self.by_name.get(name).unwrap_or(&self.default);
        let distance = found.minus(wanted).map(Exact::abs);
        distance
            .and_then(|distance| tolerance.minus(distance))
            .is_ok_and(|rest| !rest.is_negative())
    }
}

/// What is expected and not answered so; answers that nobody expects are left.
pub(crate) fn differences(expected: &Value, answer: &Answer, tolerance: &Tolerance) -> Vec<String> {
    let mut found = Vec::new();
    compare("", expected, answer, tolerance, &mut found);
    found
}

fn compare(
    path: &str,
    expected: &Value,
    answer: &Answer,
    tolerance: &Tolerance,
    found: &mut Vec<String>,
) {
    let name = path.rsplit('.').next().unwrap_or(path);
    let is_same = match (expected, answer) {
        (Value::Object(wanted), Answer::Parts(parts)) => {
            for (name, wanted) in wanted {
                let path = [path, name].join(".");
                match parts.get(name) {
                    Some(part) => compare(&path, wanted, part, tolerance, found),
                    None => found.push(format!("{}: nobody answers it", path.trim_matches('.'))),
                }
            }
            return;
        }
        (Value::Null, Answer::Nothing) => true,
        (Value::Bool(wanted), Answer::Flag(flag)) => wanted == flag,
        (Value::String(wanted), Answer::Word(word)) => wanted == word,
        (Value::String(wanted), Answer::Figure(figure)) => {
            Exact::parse(wanted).is_ok_and(|wanted| tolerance.allows(name, *figure, wanted))
        }
        _ => false,
    };
    if !is_same {
        let shown = match answer {
            Answer::Figure(figure) => figure.to_string(),
            other => format!("{other:?}"),
        };
        found.push(format!(
            "{}: expected {expected}, is {shown}",
            path.trim_matches('.')
        ));
    }
}
