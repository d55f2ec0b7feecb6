//! Classes of liquid assets, their haircuts and the level that the caps see.

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
    /// Level 1.
    One,
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

    /// The liquid classes with a line of their own in the stock.
    pub const STOCK: [Self; 4] = [Self::L1, Self::L2a, Self::L2bRmbs, Self::L2b];

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

    /// The haircut in percent, which is also the run-off and inflow rate of what it secures
    /// (B238 50-54, 114, 145-146; LCR30, LCR40; EU Art. 10(1)(f) for covered bonds).
    pub const fn haircut(self) -> u8 {
        match self {
            Self::L1 => 0,
            Self::L1Cb => 7,
            Self::L2a => 15,
            Self::L2bRmbs => 25,
            Self::L2b => 50,
            Self::Non => 100,
        }
    }

    /// What of a value counts in the stock, in percent.
    pub const fn counted(self) -> u8 {
        100_u8.saturating_sub(self.haircut())
    }

    /// Its level, if it is liquid.
    pub const fn level(self) -> Option<Level> {
        match self {
            Self::L1 | Self::L1Cb => Some(Level::One),
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
}
