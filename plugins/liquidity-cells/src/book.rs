//! The cells of one entity as they fill.

use lcr_rules::{Class, Day, Factor, I256, Regime, RuleError, Terms, add, day_of, weigh};
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

/// From when on a liquid security counts in the stock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HqlaBasis {
    /// From its settlement; the cash for it counts until then, and does not flow.
    #[default]
    Settlement,
    /// From the trade; the cash for it flows.
    Trade,
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

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let all = [Self::Hqla, Self::Out, Self::In, Self::Unwind];
        all.into_iter().find(|side| side.name() == name)
    }
}

/// Up to how many percent of the outflows inflows count, but for those that a policy names.
pub(crate) const INFLOW_CAP: i32 = 75;

/// What the ratio of all currencies together is of.
pub(crate) const TOTAL: &str = "total";

/// Which cell. All that the factor depends on is in here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) scope: String,
    pub(crate) regime: Regime,
    pub(crate) basis: Basis,
    pub(crate) side: Side,
    pub(crate) line: String,
    pub(crate) detail: String,
    pub(crate) day: i32,
    pub(crate) inflow_cap: i32,
    pub(crate) is_day_net: bool,
}

/// What is in a cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sums {
    pub(crate) unweighted: I256,
    pub(crate) factor: Factor,
    pub(crate) weighted: I256,
}

/// Which ratios an amount is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope<'a> {
    /// The total, and that of its currency where one is significant.
    Both(Option<&'a str>),
    /// That of its currency alone.
    Currency(&'a str),
}

/// Where an amount goes, but for regime and basis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) scope: Scope<'a>,
    pub(crate) side: Side,
    pub(crate) line: &'a str,
    pub(crate) detail: &'a str,
    pub(crate) day: i32,
    pub(crate) inflow_cap: i32,
    pub(crate) is_day_net: bool,
}

impl<'a> Place<'a> {
    /// Of the stock, or of its unwind.
    pub(crate) const fn of_stock(
        side: Side,
        class: Class,
        currency: Option<&'a str>,
        detail: &'a str,
        day: i32,
    ) -> Self {
        Self {
            scope: Scope::Both(currency),
            side,
            line: class.name(),
            detail,
            day,
            inflow_cap: INFLOW_CAP,
            is_day_net: false,
        }
    }
}

/// One set of rules on one set of classes, at one date.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'b> {
    pub(crate) terms: &'b Terms,
    pub(crate) basis: Basis,
    date: i32,
}

impl View<'_> {
    /// The day of a flow, see [`day_of`].
    pub(crate) fn day(&self, date: Option<i32>, last: Option<bool>) -> Day {
        day_of(self.date, self.terms.horizon, date, last.unwrap_or(false))
    }

    pub(crate) fn is_eu(&self) -> bool {
        self.terms.regime == Regime::Eu
    }
}

/// Of a scope and regime, under an agreement with a counterparty; and the cap on inflows from them.
type Net = (String, Regime, String, String, i32);

/// The cells of one entity.
#[derive(Debug)]
pub(crate) struct Book<'b> {
    views: Vec<View<'b>>,
    all: Vec<View<'b>>,
    significant: &'b [String],
    cells: BTreeMap<Key, Sums>,
    nets: BTreeMap<Net, I256>,
    pub(crate) hqla_basis: HqlaBasis,
    pub(crate) is_incomplete: bool,
}

impl<'b> Book<'b> {
    /// Empty, for these regimes of all the terms and these currencies.
    pub(crate) fn new(
        terms: &'b [Terms],
        regimes: &[Regime],
        significant: &'b [String],
        hqla_basis: HqlaBasis,
        date: i32,
    ) -> Self {
        let both = |terms| [Basis::Adjusted, Basis::Base].map(|basis| View { terms, basis, date });
        let all: Vec<View<'b>> = terms.iter().flat_map(both).collect();
        let is_written = |view: &&View<'b>| regimes.contains(&view.terms.regime);
        Self {
            views: all.iter().filter(is_written).copied().collect(),
            all,
            significant,
            cells: BTreeMap::new(),
            nets: BTreeMap::new(),
            hqla_basis,
            is_incomplete: false,
        }
    }

    /// The views to write, with and without overrides.
    pub(crate) fn views(&self) -> Vec<View<'b>> {
        self.views.clone()
    }

    /// Whether this holds in some regime, written here or not, with overrides.
    pub(crate) fn in_any(&self, holds: impl Fn(&View<'b>) -> bool) -> bool {
        let mut views = self.all.iter();
        views.any(|view| view.basis == Basis::Adjusted && holds(view))
    }

    /// The ratios that an amount of this scope is in.
    pub(crate) fn scopes<'s>(&self, scope: Scope<'s>) -> impl Iterator<Item = &'s str> + use<'s> {
        let (total, currency) = match scope {
            Scope::Both(currency) => (Some(TOTAL), currency),
            Scope::Currency(currency) => (None, Some(currency)),
        };
        let is_significant =
            |currency: &&str| self.significant.iter().any(|known| known == currency);
        total.into_iter().chain(currency.filter(is_significant))
    }

    /// Adds an amount, of which a factor counts.
    pub(crate) fn add(
        &mut self,
        view: &View<'_>,
        place: Place<'_>,
        unweighted: I256,
        factor: Factor,
    ) -> Result<(), RuleError> {
        let mut scopes = self.scopes(place.scope);
        scopes.try_for_each(|scope| self.add_in(scope, view, place, unweighted, factor))
    }

    fn add_in(
        &mut self,
        scope: &str,
        view: &View<'_>,
        place: Place<'_>,
        unweighted: I256,
        factor: Factor,
    ) -> Result<(), RuleError> {
        if unweighted.is_zero() {
            return Ok(());
        }
        // Only the EU tells inflows apart.
        let is_told = view.is_eu() && place.side == Side::In;
        let (inflow_cap, bucket) = match place.inflow_cap {
            90 if is_told => (90, "90 %"),
            100 if is_told => (100, "exempt"),
            _ => (INFLOW_CAP, ""),
        };
        let key = Key {
            scope: scope.to_owned(),
            regime: view.terms.regime,
            basis: view.basis,
            side: place.side,
            line: place.line.to_owned(),
            detail: [place.detail, bucket].join(" ").trim().to_owned(),
            day: place.day,
            inflow_cap,
            is_day_net: place.is_day_net,
        };
        let weighted = weigh(unweighted, factor)?;
        let empty = Sums {
            unweighted: I256::ZERO,
            factor,
            weighted: I256::ZERO,
        };
        let cell = self.cells.entry(key).or_insert(empty);
        debug_assert_eq!(cell.factor, factor, "a cell has one factor");
        let sums = (
            add(cell.unweighted, unweighted)?,
            add(cell.weighted, weighted)?,
        );
        (cell.unweighted, cell.weighted) = sums;
        Ok(())
    }

    /// Adds a payment (negative) or receipt to a net.
    pub(crate) fn add_to_net(&mut self, net: Net, amount: I256) -> Result<(), RuleError> {
        let net = self.nets.entry(net).or_insert(I256::ZERO);
        *net = add(*net, amount)?;
        Ok(())
    }

    /// Takes the nets that were summed up.
    pub(crate) fn take_nets(&mut self) -> BTreeMap<Net, I256> {
        std::mem::take(&mut self.nets)
    }

    pub(crate) fn cells(&self) -> impl Iterator<Item = (&Key, &Sums)> {
        self.cells.iter()
    }
}
