//! Classes of liquid assets, and the level that the caps see.

use crate::regime::Regime;

/// The liquidity class of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Level 1 (B238 50).
    L1,
    /// Extremely high quality covered bonds, level 1 in the EU only (Art. 10(1)(f)).
    L1Cb,
    /// Level 2A (B238 52).
    L2a,
    /// Residential mortgage backed securities of level 2B (B238 54(a)).
    L2bRmbs,
    /// The rest of level 2B (B238 54(b), (c)).
    L2b,
    /// Not liquid.
    Non,
}

/// What the composition caps tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Level 1, but for covered bonds.
    One,
    /// Covered bonds of level 1 in the EU (Art. 17(1)(a)).
    Covered,
    /// Level 2A.
    TwoA,
    /// Level 2B.
    TwoB,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::L1,
        Self::L1Cb,
        Self::L2a,
        Self::L2bRmbs,
        Self::L2b,
        Self::Non,
    ];

    /// The liquid classes that have a line of their own in a regime's stock.
    pub const fn in_stock(regime: Regime) -> &'static [Self] {
        match regime {
            Regime::Basel | Regime::Us => &[Self::L1, Self::L2a, Self::L2bRmbs, Self::L2b],
            Regime::Eu => &[Self::L1, Self::L1Cb, Self::L2a, Self::L2bRmbs, Self::L2b],
        }
    }

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::L1 => "L1",
            Self::L1Cb => "L1CB",
            Self::L2a => "L2A",
            Self::L2bRmbs => "L2B_RMBS",
            Self::L2b => "L2B",
            Self::Non => "NON",
        }
    }

    /// The class of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Its place in [`Class::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its level, if it is liquid.
    pub const fn level(self) -> Option<Level> {
        match self {
            Self::L1 => Some(Level::One),
            Self::L1Cb => Some(Level::Covered),
            Self::L2a => Some(Level::TwoA),
            Self::L2bRmbs | Self::L2b => Some(Level::TwoB),
            Self::Non => None,
        }
    }

    /// Whether it is a high quality liquid asset.
    pub const fn is_liquid(self) -> bool {
        self.level().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name read back is the class: tables and overrides speak the same words.
    #[test]
    fn names_round_trip() {
        for class in Class::ALL {
            assert_eq!(Class::parse(class.name()), Some(class));
        }
        assert_eq!(Class::parse("L3"), None);
    }

    /// What the caps see of each class; what has no level is not liquid.
    #[test]
    fn levels() {
        use Level::{Covered, One, TwoA, TwoB};
        let levels = [
            Some(One),
            Some(Covered),
            Some(TwoA),
            Some(TwoB),
            Some(TwoB),
            None,
        ];
        assert_eq!(Class::ALL.map(Class::level), levels);
        assert_eq!(
            Class::ALL.map(Class::is_liquid),
            levels.map(|level| level.is_some())
        );
    }
}
