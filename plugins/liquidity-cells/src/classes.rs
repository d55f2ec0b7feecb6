//! The classes of a security, by regime, with overrides and without.

use crate::book::{Basis, View};
use lcr_rules::{Class, Regime};

/// Columns in the order of the regimes: with overrides, then without.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classes {
    adjusted: [Class; 3],
    base: [Class; 3],
}

impl Classes {
    /// From the columns' texts; one that is missing or unknown is not liquid.
    pub(crate) fn new(adjusted: [Option<&str>; 3], base: [Option<&str>; 3]) -> Self {
        let class = |name: Option<&str>| name.and_then(Class::parse).unwrap_or(Class::Non);
        Self {
            adjusted: adjusted.map(class),
            base: base.map(class),
        }
    }

    /// The class that a view sees.
    pub(crate) fn seen(self, view: View) -> Class {
        let classes = match view.basis {
            Basis::Adjusted => &self.adjusted,
            Basis::Base => &self.base,
        };
        classes[view.regime.column()]
    }

    /// Whether some regime, written here or not, takes it for not liquid.
    pub(crate) fn is_non_anywhere(self) -> bool {
        Regime::ALL
            .iter()
            .any(|regime| !self.adjusted[regime.column()].is_liquid())
    }
}

/// The six class columns of a record, as [`Classes`].
macro_rules! classes {
    ($row:expr) => {
        $crate::classes::Classes::new(
            [$row.hqla_class, $row.us_class, $row.eu_class],
            [$row.base_hqla_class, $row.base_us_class, $row.base_eu_class],
        )
    };
}
pub(crate) use classes;
