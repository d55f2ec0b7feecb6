//! The liquidity coverage ratio of an entity under one regime, its stock by level, and the working: a `group` plugin over the cells
//! of one entity, scope and regime.
//!
//! Cells are summed exactly; the caps and the ratio are `lcr_rules`. The ratio with overrides and the one without come
//! from the same cells in the same call, so they can never be of different instants. topics.md section 5.

mod totals;
mod workings;

use lcr_rules::{Class, Factor, Regime, RuleError, Rules, Terms, VALUE_SCALE};
use totals::{Outcome, Totals, weighted};
use weir_exact::Decimal;
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
        /// Day of the horizon.
        day: int32,
        /// The amount.
        unweighted: decimal256(76, 18),
        /// What counts.
        weighted: decimal256(76, 22),
        /// Of an inflow: up to how many percent of the outflows it counts, 100, 90 or 75.
        inflow_cap: int32,
        /// Whether it is in the US net cumulative maturity outflow.
        day_net: bool,
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
        /// Of what: `total`, or a significant currency.
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

record! {
    /// A line of the working: the formula with this moment's numbers.
    pub struct Working<'a> {
        /// Whose.
        entity: utf8 required,
        /// Of what.
        scope: utf8 required,
        /// By whose rules.
        regime: utf8 required,
        /// Counts the lines from 1.
        line: int32 required,
        /// What it says.
        text: utf8 required,
        /// How much; null for a ratio that is undefined.
        amount: decimal256(76, 10),
        /// The paragraph it stands on.
        source: utf8 required,
    }
}

/// Fraction digits of an amount as it leaves.
const AMOUNT_SCALE: u8 = 6;

const CONFIG_SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"properties":{"us_percentage":{
"description":"Of the US net outflow what counts for this bank (12 CFR 249.30(c)).","type":"string",
"pattern":"^(100|[0-9]{1,2}(\\.[0-9]+)?)%$|^(0?\\.[0-9]+|1)$","default":"100%"},
"stock_floor":{"description":"A stock that the formula makes negative: as it is, or zero.","enum":["none","zero"],"default":"none"}}}"#;

const DAY_US: i64 = 86_400_000_000;

/// The plugin: the rules, and the bank's policy.
#[derive(Clone, Debug)]
pub struct Lcr {
    rules: Rules,
    policy: Policy,
}

/// What the rules leave to the bank.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Of the US net outflow what counts.
    us_percentage: Factor,
    /// Whether a negative stock is none.
    is_floored: bool,
}

impl Group for Lcr {
    fn description() -> Description {
        let inputs = vec![("cells", Cell::fields()), ("states", EntityState::fields())];
        let outputs = vec![
            ("lcr", Ratio::fields()),
            ("hqla", Level::fields()),
            ("workings", Working::fields()),
        ];
        Description {
            name: "lcr",
            version: env!("CARGO_PKG_VERSION"),
            config_schema: CONFIG_SCHEMA,
            shapes: vec![Shape::group(inputs, outputs)],
        }
    }

    fn open(config: &Json, data: &Data) -> Result<Self, Failure> {
        let percentage = config.get("us_percentage").and_then(Json::as_str);
        let percentage = Factor::parse(percentage.unwrap_or("100%"));
        let us_percentage =
            percentage.filter(|share| (Factor::new(1)..=Factor::ONE).contains(share));
        Ok(Self {
            rules: Rules::of(
                |name| data.text(name),
                |why| Failure::new("rules_invalid", why),
            )?,
            policy: Policy {
                us_percentage: us_percentage.ok_or_else(|| {
                    let cure =
                        "`us_percentage` is a share above 0 and at most 1: write 85% or 0.85";
                    Failure::new("config_invalid", cure)
                })?,
                is_floored: config.get("stock_floor").and_then(Json::as_str) == Some("zero"),
            },
        })
    }

    fn evaluate(&self, as_of_us: i64, groups: &Groups, out: &mut Answers) {
        let date = i32::try_from(as_of_us.div_euclid(DAY_US)).unwrap_or(i32::MAX);
        let terms = Regime::ALL.map(|regime| self.rules.terms(regime, date));
        let cells = groups.input::<Cell<'_>>("cells");
        let states = groups.input::<EntityState>("states");
        for (group, key) in groups.keys::<Key<'_>>() {
            let Some((first, state)) = states.of(group).next() else {
                continue;
            };
            let Some(regime) = key.regime.and_then(Regime::parse) else {
                let why = "no such regime: the cells are of `liquidity_cells`";
                out.refuse(first, "unknown_regime", why);
                continue;
            };
            let of = Of {
                rules: &self.rules,
                date,
                key,
                terms: &terms[regime.column()],
                is_incomplete: state.incomplete.unwrap_or(true),
                policy: self.policy,
            };
            let rows = cells.of(group).map(|(_, cell)| cell);
            if let Err(error) = of.answer(group, rows, out) {
                out.refuse(first, error.code(), error.to_string());
            }
        }
    }
}

export_group!(Lcr);

/// What one ratio is of.
struct Of<'a, 't> {
    rules: &'t Rules,
    date: i32,
    key: Key<'a>,
    terms: &'t Terms,
    is_incomplete: bool,
    policy: Policy,
}

impl<'a> Of<'a, '_> {
    fn answer(
        &self,
        group: u32,
        cells: impl Iterator<Item = Cell<'a>>,
        out: &mut Answers,
    ) -> Result<(), RuleError> {
        let (mut adjusted, mut base) = (Totals::new(self.terms), Totals::new(self.terms));
        for cell in cells {
            let totals = if cell.basis == Some("base") {
                &mut base
            } else {
                &mut adjusted
            };
            totals.add(&cell)?;
        }
        let is_capped = self.key.scope == Some("total");
        let outcome = adjusted.outcome(self.terms, self.policy, is_capped)?;
        let base = base.outcome(self.terms, self.policy, is_capped)?;
        let ratio = self.ratio(&adjusted, &outcome, base.ratio)?;
        let levels = self.levels(&adjusted)?;
        let workings = workings::lines(self, self.rules, self.date, &adjusted, &outcome)?;
        out.push("lcr", group, &ratio);
        for level in &levels {
            out.push("hqla", group, level);
        }
        let (entity, scope, regime) = names(&self.key);
        for (line, working) in (1..).zip(&workings) {
            let row = Working {
                entity,
                scope,
                regime,
                line,
                text: &working.text,
                amount: working.amount,
                source: &working.source,
            };
            out.push("workings", group, &row);
        }
        Ok(())
    }

    fn ratio(
        &self,
        totals: &Totals<'_>,
        outcome: &Outcome,
        base_ratio: Option<Decimal>,
    ) -> Result<Ratio<'a>, RuleError> {
        let (held, unwound) = (totals.held, totals.unwound()?);
        let state = match outcome.ratio {
            _ if self.is_incomplete => "incomplete",
            None => "undefined",
            Some(_) => "ok",
        };
        let (entity, scope, regime) = names(&self.key);
        Ok(Ratio {
            entity,
            scope,
            regime,
            l1: weighted(held.level_1()?)?,
            l2a: weighted(held.two_a)?,
            l2b: weighted(held.two_b)?,
            adj_l1: weighted(unwound.level_1()?)?,
            adj_l2a: weighted(unwound.two_a)?,
            adj_l2b: weighted(unwound.two_b)?,
            hqla: outcome.stock.round(AMOUNT_SCALE)?,
            outflow: weighted(totals.outflow)?,
            inflow_uncapped: weighted(totals.inflows.total()?)?,
            inflow_capped: outcome.net.inflow.round(AMOUNT_SCALE)?,
            inflow_cap_binding: outcome.net.is_cap_binding,
            addon: weighted(outcome.addon.amount)?,
            net_outflow: outcome.net.net.round(AMOUNT_SCALE)?,
            lcr: outcome.ratio.map(|ratio| ratio.value),
            base_lcr: base_ratio.map(|ratio| ratio.value),
            state,
        })
    }

    /// A row for every class of the regime, zeros too.
    fn levels(&self, totals: &Totals<'_>) -> Result<Vec<Level<'a>>, RuleError> {
        let whole = totals.held.total()?;
        let (entity, scope, regime) = names(&self.key);
        let level = |class: &Class| {
            let held = totals.held(*class);
            Ok(Level {
                entity,
                scope,
                regime,
                level: class.name(),
                amount: Decimal::new(held.value, VALUE_SCALE)
                    .round(AMOUNT_SCALE)
                    .map_err(|_too_large| RuleError::Overflow)?,
                post_haircut: weighted(held.counted)?,
                share: totals::share(held.counted, whole)?,
            })
        };
        Class::in_stock(self.terms.regime)
            .iter()
            .map(level)
            .collect()
    }
}

fn names<'a>(key: &Key<'a>) -> (&'a str, &'a str, &'a str) {
    (
        key.entity.unwrap_or_default(),
        key.scope.unwrap_or_default(),
        key.regime.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests;
