//! The cells of one entity as they fill.

use lcr_rules::{Day, I256, Regime, RuleError, add, day_of, weigh};
use std::collections::BTreeMap;

/// With overrides, or as if there were none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Basis {
    Adjusted,
    Base,
}

impl Basis {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Adjusted => "adjusted",
            Self::Base => "base",
        }
    }
}

/// What a cell adds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Hqla,
    Out,
    In,
    Unwind,
}

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hqla => "HQLA",
            Self::Out => "OUT",
            Self::In => "IN",
            Self::Unwind => "UNWIND",
        }
    }
}

/// Which cell. All that the factor depends on is in here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) regime: Regime,
    pub(crate) basis: Basis,
    pub(crate) side: Side,
    pub(crate) line: String,
    pub(crate) detail: String,
    pub(crate) day: i32,
}

/// What is in a cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sums {
    pub(crate) unweighted: I256,
    pub(crate) percent: u8,
    pub(crate) weighted: I256,
}

/// Where an amount goes, but for regime and basis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) side: Side,
    pub(crate) line: &'a str,
    pub(crate) detail: &'a str,
    pub(crate) day: i32,
}

/// One set of rules on one set of classes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) regime: Regime,
    pub(crate) basis: Basis,
}

/// The cells of one entity.
#[derive(Debug)]
pub(crate) struct Book<'b> {
    regimes: &'b [Regime],
    business_date: i32,
    cells: BTreeMap<Key, Sums>,
    nets: BTreeMap<(String, String), I256>,
    pub(crate) is_incomplete: bool,
}

impl<'b> Book<'b> {
    pub(crate) fn new(regimes: &'b [Regime], business_date: i32) -> Self {
        Self {
            regimes,
            business_date,
            cells: BTreeMap::new(),
            nets: BTreeMap::new(),
            is_incomplete: false,
        }
    }

    pub(crate) fn regimes(&self) -> &'b [Regime] {
        self.regimes
    }

    /// All regimes, with and without overrides.
    pub(crate) fn views(&self) -> impl Iterator<Item = View> + use<'b> {
        let both = [Basis::Adjusted, Basis::Base];
        self.regimes.iter().flat_map(move |regime| {
            both.map(|basis| View {
                regime: *regime,
                basis,
            })
        })
    }

    /// The day of a flow, see [`day_of`].
    pub(crate) fn day(&self, date: Option<i32>, last: bool) -> Day {
        day_of(self.business_date, date, last)
    }

    /// Adds an amount, of which `percent` counts.
    pub(crate) fn add(
        &mut self,
        view: View,
        place: Place<'_>,
        unweighted: I256,
        percent: u8,
    ) -> Result<(), RuleError> {
        if unweighted.is_zero() {
            return Ok(());
        }
        let View { regime, basis } = view;
        let (line, detail) = (place.line.to_owned(), place.detail.to_owned());
        let key = Key {
            regime,
            basis,
            side: place.side,
            line,
            detail,
            day: place.day,
        };
        let weighted = weigh(unweighted, percent)?;
        let empty = Sums {
            unweighted: I256::ZERO,
            percent,
            weighted: I256::ZERO,
        };
        let cell = self.cells.entry(key).or_insert(empty);
        debug_assert_eq!(cell.percent, percent, "a cell has one factor");
        let sums = (
            add(cell.unweighted, unweighted)?,
            add(cell.weighted, weighted)?,
        );
        (cell.unweighted, cell.weighted) = sums;
        Ok(())
    }

    /// The same in every regime, with and without overrides.
    pub(crate) fn add_to_all(
        &mut self,
        place: Place<'_>,
        unweighted: I256,
        percent: u8,
    ) -> Result<(), RuleError> {
        self.views()
            .try_for_each(|view| self.add(view, place, unweighted, percent))
    }

    /// Adds a payment (negative) or receipt to the net under an agreement with a counterparty.
    pub(crate) fn add_to_net(
        &mut self,
        counterparty: &str,
        agreement: &str,
        amount: I256,
    ) -> Result<(), RuleError> {
        let net = self
            .nets
            .entry((counterparty.to_owned(), agreement.to_owned()))
            .or_insert(I256::ZERO);
        *net = add(*net, amount)?;
        Ok(())
    }

    /// Takes the nets that were summed up.
    pub(crate) fn take_nets(&mut self) -> BTreeMap<(String, String), I256> {
        std::mem::take(&mut self.nets)
    }

    pub(crate) fn cells(&self) -> impl Iterator<Item = (&Key, &Sums)> {
        self.cells.iter()
    }
}
