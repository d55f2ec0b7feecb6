//! The classes of a security, by regime, with overrides and without.

use crate::book::{Basis, View};
use lcr_rules::Class;

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
    pub(crate) fn seen(self, view: &View<'_>) -> Class {
        let classes = match view.basis {
            Basis::Adjusted => &self.adjusted,
            Basis::Base => &self.base,
        };
        classes[view.terms.regime.column()]
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
