//! The liquidity coverage ratio of an entity under one regime, and its stock by level: a `group` plugin over the cells
//! of one entity, scope and regime.
//!
//! Cells are summed exactly; the caps and the ratio are `lcr_rules`. The ratio with overrides and the one without come
//! from the same cells in the same call, so they can never be of different instants. topics.md section 5.

mod totals;

use lcr_rules::{RuleError, VALUE_SCALE, WEIGHTED_SCALE};
use totals::{Held, Outcome, Totals};
use weir_exact::{Decimal, I256};
use weir_sdk::{
    Answers, Data, Description, Failure, Group, Groups, Json, Record, Shape, export_group, record,
};

record! {
    /// A cell of `liquidity_cells`.
    pub struct Cell<'a> {
        /// `adjusted` or `base`.
        basis: utf8,
        /// `HQLA`, `OUT`, `IN` or `UNWIND`.
        side: utf8,
        /// The class of `HQLA` and `UNWIND`, else what flows.
        line: utf8,
        /// The amount.
        unweighted: decimal256(76, 18),
        /// What counts.
        weighted: decimal256(76, 20),
    }
}

record! {
    /// That the entity is there, and whether all of it could be valued.
    pub struct EntityState {
        /// A price, rate or instrument is missing.
        incomplete: bool,
    }
}

record! {
    /// The group.
    pub struct Key<'a> {
        /// Whose ratio.
        entity: utf8,
        /// Of what: `total`.
        scope: utf8,
        /// By whose rules.
        regime: utf8,
    }
}

record! {
    /// The ratio and what it is made of.
    pub struct Ratio<'a> {
        /// Whose.
        entity: utf8 required,
        /// Of what.
        scope: utf8 required,
        /// By whose rules.
        regime: utf8 required,
        /// Level 1 after haircut.
        l1: decimal256(76, 6) required,
        /// Level 2A after haircut.
        l2a: decimal256(76, 6) required,
        /// Level 2B after haircut.
        l2b: decimal256(76, 6) required,
        /// Level 1 with the secured trades of the horizon undone.
        adj_l1: decimal256(76, 6) required,
        /// Level 2A likewise.
        adj_l2a: decimal256(76, 6) required,
        /// Level 2B likewise.
        adj_l2b: decimal256(76, 6) required,
        /// The stock under the caps.
        hqla: decimal256(76, 6) required,
        /// Outflows of the horizon.
        outflow: decimal256(76, 6) required,
        /// Inflows of the horizon.
        inflow_uncapped: decimal256(76, 6) required,
        /// Those that count.
        inflow_capped: decimal256(76, 6) required,
        /// Whether some do not.
        inflow_cap_binding: bool required,
        /// The US maturity mismatch; 0 elsewhere.
        addon: decimal256(76, 6) required,
        /// Outflows less the inflows that count.
        net_outflow: decimal256(76, 6) required,
        /// Stock over net outflow; null when that is 0.
        lcr: decimal256(76, 10),
        /// The same with no override.
        base_lcr: decimal256(76, 10),
        /// `ok`, `undefined` or `incomplete`.
        state: utf8 required,
    }
}

record! {
    /// The stock of one class, before the caps.
    pub struct Level<'a> {
        /// Whose.
        entity: utf8 required,
        /// Of what.
        scope: utf8 required,
        /// By whose rules.
        regime: utf8 required,
        /// Of which class.
        level: utf8 required,
        /// At market value.
        amount: decimal256(76, 6) required,
        /// After haircut.
        post_haircut: decimal256(76, 6) required,
        /// Of the stock after haircut; null when there is none.
        share: decimal256(76, 10),
    }
}

/// Fraction digits of an amount as it leaves.
const AMOUNT_SCALE: u8 = 6;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Lcr;

impl Group for Lcr {
    fn description() -> Description {
        let inputs = vec![("cells", Cell::fields()), ("states", EntityState::fields())];
        let outputs = vec![("lcr", Ratio::fields()), ("hqla", Level::fields())];
        Description {
            name: "lcr",
            version: env!("CARGO_PKG_VERSION"),
            config_schema: r#"{"type":"object","additionalProperties":false}"#,
            shapes: vec![Shape::group(inputs, outputs)],
        }
    }

    fn open(_config: &Json, _data: &Data) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn evaluate(&self, _as_of_us: i64, groups: &Groups, out: &mut Answers) {
        let cells = groups.input::<Cell<'_>>("cells");
        let states = groups.input::<EntityState>("states");
        for (group, key) in groups.keys::<Key<'_>>() {
            let Some((first, state)) = states.of(group).next() else {
                continue;
            };
            let is_incomplete = state.incomplete.unwrap_or(true);
            let rows = cells.of(group).map(|(_, cell)| cell);
            if let Err(error) = answer(group, &key, rows, is_incomplete, out) {
                out.refuse(first, error.code(), error.to_string());
            }
        }
    }
}

export_group!(Lcr);

fn answer<'a>(
    group: u32,
    key: &Key<'a>,
    cells: impl Iterator<Item = Cell<'a>>,
    is_incomplete: bool,
    out: &mut Answers,
) -> Result<(), RuleError> {
    let (mut adjusted, mut base) = (Totals::default(), Totals::default());
    for cell in cells {
        let totals = if cell.basis == Some("base") {
            &mut base
        } else {
            &mut adjusted
        };
        totals.add(&cell)?;
    }
    let outcome = adjusted.outcome()?;
    let ratio = ratio(
        key,
        &adjusted,
        &outcome,
        base.outcome()?.ratio,
        is_incomplete,
    )?;
    let levels = levels(key, &adjusted)?;
    out.push("lcr", group, &ratio);
    for level in &levels {
        out.push("hqla", group, level);
    }
    Ok(())
}

fn ratio<'a>(
    key: &Key<'a>,
    totals: &Totals,
    outcome: &Outcome,
    base_ratio: Option<Decimal>,
    is_incomplete: bool,
) -> Result<Ratio<'a>, RuleError> {
    let (held, unwound) = (totals.held, totals.unwound()?);
    let state = match outcome.ratio {
        _ if is_incomplete => "incomplete",
        None => "undefined",
        Some(_) => "ok",
    };
    let (entity, scope, regime) = names(key);
    Ok(Ratio {
        entity,
        scope,
        regime,
        l1: weighted(held.one)?,
        l2a: weighted(held.two_a)?,
        l2b: weighted(held.two_b)?,
        adj_l1: weighted(unwound.one)?,
        adj_l2a: weighted(unwound.two_a)?,
        adj_l2b: weighted(unwound.two_b)?,
        hqla: outcome.stock,
        outflow: weighted(totals.outflow)?,
        inflow_uncapped: weighted(totals.inflow)?,
        inflow_capped: round(outcome.net.inflow)?,
        inflow_cap_binding: outcome.net.is_cap_binding,
        addon: I256::ZERO,
        net_outflow: round(outcome.net.net)?,
        lcr: outcome.ratio.map(|ratio| ratio.value),
        base_lcr: base_ratio.map(|ratio| ratio.value),
        state,
    })
}

/// A row for every class, zeros too.
fn levels<'a>(key: &Key<'a>, totals: &Totals) -> Result<Vec<Level<'a>>, RuleError> {
    let whole = totals.held_in_all()?;
    let (entity, scope, regime) = names(key);
    let level = |(class, held): (lcr_rules::Class, Held)| {
        Ok(Level {
            entity,
            scope,
            regime,
            level: class.name(),
            amount: round(Decimal::new(held.value, VALUE_SCALE))?,
            post_haircut: weighted(held.counted)?,
            share: totals::share(held.counted, whole)?,
        })
    };
    totals.by_class().map(level).collect()
}

fn names<'a>(key: &Key<'a>) -> (&'a str, &'a str, &'a str) {
    (
        key.entity.unwrap_or_default(),
        key.scope.unwrap_or_default(),
        key.regime.unwrap_or_default(),
    )
}

/// A weighted amount as it leaves.
fn weighted(digits: I256) -> Result<I256, RuleError> {
    round(Decimal::new(digits, WEIGHTED_SCALE))
}

fn round(amount: Decimal) -> Result<I256, RuleError> {
    amount
        .round(AMOUNT_SCALE)
        .map_err(|_too_large| RuleError::Overflow)
}

#[cfg(test)]
mod tests;
