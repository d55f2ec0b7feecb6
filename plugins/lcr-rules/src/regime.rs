//! The supervisors' rule books.

/// A rule book. Tables that differ by regime have one column for each, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Regime {
    /// The Basel Framework.
    Basel,
    /// 12 CFR 249.
    Us,
    /// Delegated Regulation (EU) 2015/61.
    Eu,
}

impl Regime {
    /// All of them, in the order of the tables' columns.
    pub const ALL: [Self; 3] = [Self::Basel, Self::Us, Self::Eu];

    /// Its name in configs and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basel => "basel",
            Self::Us => "us",
            Self::Eu => "eu",
        }
    }

    /// The regime of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|regime| regime.name() == name)
    }

    /// Its column in a table.
    pub const fn column(self) -> usize {
        match self {
            Self::Basel => 0,
            Self::Us => 1,
            Self::Eu => 2,
        }
    }
}
