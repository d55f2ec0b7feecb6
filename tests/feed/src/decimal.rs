//! Decimal numbers as integers with a scale, and the ways a message may write them.

use std::fmt;

use serde_json::Value;

/// `units / 10^scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Decimal {
    pub(crate) units: i128,
    pub(crate) scale: u32,
}

impl Decimal {
    pub(crate) const fn new(units: i128, scale: u32) -> Self {
        Self { units, scale }
    }

    /// An amount with two decimals.
    pub(crate) const fn cents(units: i128) -> Self {
        Self { units, scale: 2 }
    }

    pub(crate) const fn whole(units: i128) -> Self {
        Self { units, scale: 0 }
    }

    /// As a JSON number.
    pub(crate) fn number(self) -> Value {
        serde_json::from_str(&self.to_string()).expect("plain digits are a JSON number")
    }

    /// As a JSON text.
    pub(crate) fn text(self) -> Value {
        Value::String(self.to_string())
    }

    /// With commas between groups of three: `38,000,000.00`.
    pub(crate) fn grouped(self) -> String {
        let plain = self.to_string();
        let (whole, fraction) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
        let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
        let mut grouped = sign.to_owned();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped + fraction
    }

    /// With a suffix for millions or thousands, where it comes out even: `100mm`, `250k`.
    pub(crate) fn suffixed(self) -> Option<String> {
        let one = 10_i128.pow(self.scale);
        let even = |size: i128| self.units % (size * one) == 0;
        let size = |size: i128| self.units / (size * one);
        match self.units {
            0 => None,
            _ if even(1_000_000) => Some(format!("{}mm", size(1_000_000))),
            _ if even(1_000) => Some(format!("{}k", size(1_000))),
            _ => None,
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 10_i128.pow(self.scale);
        let sign = if self.units < 0 { "-" } else { "" };
        let (whole, fraction) = ((self.units / one).abs(), (self.units % one).abs());
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let digits = format!("{fraction:0width$}", width = self.scale as usize);
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every notation says the same number.
    #[test]
    fn notations() {
        let amount = Decimal::cents(3_800_000_050);
        assert_eq!(
            (amount.to_string(), amount.grouped()),
            ("38000000.5".to_owned(), "38,000,000.5".to_owned())
        );
        assert_eq!(
            Decimal::cents(25_000_000).suffixed().as_deref(),
            Some("250k")
        );
        assert_eq!(Decimal::new(-5, 3).to_string(), "-0.005");
    }
}
