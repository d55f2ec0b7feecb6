//! An entity's liquidity cells: a `group` plugin over all that the entity holds, owes and is owed.
//!
//! The pipeline hands over sums in the reporting currency; this plugin says which of them count, on which day, with
//! which factor: one cell per side, line, detail and day, in each regime, twice: `adjusted` with overrides in force
//! and `base` without. Sides: `HQLA` is the stock, `OUT` and `IN` the flows of thirty days, `UNWIND` what undoing the
//! secured trades of those days adds to the stock's levels. A value that is null has no rate or price: it counts
//! nothing and the entity is `incomplete`. With `write: contributions` it answers which records a cell comes from, by the
//! same rules, record by record. topics.md section 3, lcr.md sections 1.6 and 2.

mod book;
mod classes;
mod exposures;
mod traced;

use book::{Book, HqlaBasis, TOTAL};
use exposures::{Balance, Flow, Named, Netted, Secured, SecurityFlow, Stock, Swap};
use lcr_rules::{Regime, RuleError, Rules};
use weir_sdk::{
    Answers, Data, Description, Failure, Group, Groups, Json, Record, Shape, export_group, record,
};

record! {
    /// A cell: `weighted = unweighted * factor`.
    pub struct Cell<'a> {
        /// Whose.
        entity: utf8 required,
        /// What the ratio is of: `total`, or a significant currency.
        scope: utf8 required,
        /// Whose rules.
        regime: utf8 required,
        /// `adjusted` or `base`.
        basis: utf8 required,
        /// `HQLA`, `OUT`, `IN` or `UNWIND`.
        side: utf8 required,
        /// The class of `HQLA` and `UNWIND`, else what flows.
        line: utf8 required,
        /// What tells apart cells of a line: the counterparty and agreement of a net, the collateral's class.
        detail: utf8 required,
        /// Day of the horizon.
        day: int32 required,
        /// The amount.
        unweighted: decimal256(76, 18) required,
        /// What of it counts.
        factor: decimal128(38, 4) required,
        /// What counts.
        weighted: decimal256(76, 22) required,
        /// Of an inflow: up to how many percent of the outflows it counts, 100, 90 or 75.
        inflow_cap: int32 required,
        /// Whether it is in the US net cumulative maturity outflow.
        day_net: bool required,
    }
}

record! {
    /// That an entity is there, and whether all of it could be valued.
    pub struct EntityState<'a> {
        /// Which.
        entity: utf8 required,
        /// What the ratio is of: `total`, or a significant currency.
        scope: utf8 required,
        /// Whose rules.
        regime: utf8 required,
        /// A price, rate or instrument is missing.
        incomplete: bool required,
    }
}

const DAY_US: i64 = 86_400_000_000;

const CONFIG_SCHEMA: &str = r#"{"type":"object","additionalProperties":false,
"properties":{"regimes":{"description":"Whose cells are written.","type":"array","default":["basel","us","eu"],"minItems":1,"uniqueItems":true,"items":{"enum":["basel","us","eu"]}},
"significant_currencies":{"description":"Codes with commas between them: each has a ratio of its own beside the total.","type":"string","default":"","pattern":"^([A-Z]{3}(,[A-Z]{3})*)?$"},
"hqla_basis":{"description":"From when on liquid securities count in the stock: from their settlement, while the cash for them does not flow; or from the trade, and the cash flows.","enum":["settlement","trade"],"default":"settlement"},
"write":{"description":"All cells from sums, or what single records add to the cell that `asked` names.","enum":["cells","contributions"],"default":"cells"}}}"#;

/// The plugin: the regimes and currencies it writes cells for, and the rules.
#[derive(Clone, Debug)]
pub struct LiquidityCells {
    regimes: Vec<Regime>,
    significant: Vec<String>,
    hqla_basis: HqlaBasis,
    rules: Rules,
}

impl Group for LiquidityCells {
    fn description() -> Description {
        let inputs = vec![
            ("entities", Named::fields()),
            ("stock", Stock::fields()),
            ("security_flows", SecurityFlow::fields()),
            ("flows", Flow::fields()),
            ("currency_flows", Flow::fields()),
            ("secured", Secured::fields()),
            ("swaps", Swap::fields()),
            ("netted", Netted::fields()),
            ("balances", Balance::fields()),
        ];
        let outputs = vec![("cells", Cell::fields()), ("states", EntityState::fields())];
        let contributions = vec![("contributions", traced::Contribution::fields())];
        Description {
            name: "liquidity_cells",
            version: env!("CARGO_PKG_VERSION"),
            config_schema: CONFIG_SCHEMA,
            shapes: vec![
                Shape::group(traced::inputs(), contributions).when("write", "contributions"),
                Shape::group(inputs, outputs),
            ],
        }
    }

    fn open(config: &Json, data: &Data) -> Result<Self, Failure> {
        let named = config.get("regimes").map(Json::items).unwrap_or_default();
        let named = named.iter().filter_map(Json::as_str);
        let regimes: Vec<Regime> = named.filter_map(Regime::parse).collect();
        let currencies = config.get("significant_currencies").and_then(Json::as_str);
        let currencies = currencies.unwrap_or_default().split(',');
        Ok(Self {
            significant: currencies
                .filter(|currency| !currency.is_empty())
                .map(str::to_owned)
                .collect(),
            regimes: if regimes.is_empty() {
                Regime::ALL.to_vec()
            } else {
                regimes
            },
            hqla_basis: match config.get("hqla_basis").and_then(Json::as_str) {
                Some("trade") => HqlaBasis::Trade,
                _ => HqlaBasis::Settlement,
            },
            rules: Rules::of(
                |name| data.text(name),
                |why| Failure::new("rules_invalid", why),
            )?,
        })
    }

    fn evaluate(&self, as_of_us: i64, groups: &Groups, out: &mut Answers) {
        let business_date = i32::try_from(as_of_us.div_euclid(DAY_US)).unwrap_or(i32::MAX);
        let terms = Regime::ALL.map(|regime| self.rules.terms(regime, business_date));
        for (group, key) in groups.keys::<Named<'_>>() {
            let Some(entity) = key.entity else { continue };
            if groups.has("asked") {
                let of = (group, entity);
                traced::write(groups, of, &terms, self.hqla_basis, business_date, out);
                continue;
            }
            let significant = &self.significant;
            let mut book = Book::new(
                &terms,
                &self.regimes,
                significant,
                self.hqla_basis,
                business_date,
            );
            fill(&mut book, groups, group, out);
            self.write(&book, entity, group, out);
        }
    }
}

export_group!(LiquidityCells);

fn fill<'a>(book: &mut Book<'_>, groups: &'a Groups, group: u32, out: &mut Answers) {
    each(
        book,
        groups.input::<Stock<'a>>("stock").of(group),
        out,
        exposures::stock,
    );
    each(
        book,
        groups.input::<SecurityFlow<'a>>("security_flows").of(group),
        out,
        exposures::security_flow,
    );
    each(
        book,
        groups.input::<Flow<'a>>("flows").of(group),
        out,
        exposures::flow,
    );
    each(
        book,
        groups.input::<Flow<'a>>("currency_flows").of(group),
        out,
        exposures::currency_flow,
    );
    each(
        book,
        groups.input::<Secured<'a>>("secured").of(group),
        out,
        exposures::secured,
    );
    each(
        book,
        groups.input::<Swap<'a>>("swaps").of(group),
        out,
        exposures::swap,
    );
    each(
        book,
        groups.input::<Netted<'a>>("netted").of(group),
        out,
        exposures::netted,
    );
    book.is_incomplete |= exposures::nets(book, None).is_err();
    each(
        book,
        groups.input::<Balance<'a>>("balances").of(group),
        out,
        exposures::balance,
    );
}

/// Takes every row into the book. A row whose amounts outgrow 256 bits is refused, and the entity is incomplete.
fn each<'r, 'b, R>(
    book: &mut Book<'b>,
    rows: impl Iterator<Item = (u32, R)> + 'r,
    out: &mut Answers,
    take: impl Fn(&mut Book<'b>, &R) -> Result<(), RuleError>,
) {
    for (number, row) in rows {
        if let Err(error) = take(book, &row) {
            book.is_incomplete = true;
            out.refuse(number, error.code(), error.to_string());
        }
    }
}

impl LiquidityCells {
    fn write(&self, book: &Book<'_>, entity: &str, group: u32, out: &mut Answers) {
        for (key, cell) in book.cells() {
            let row = Cell {
                entity,
                scope: &key.scope,
                regime: key.regime.name(),
                basis: key.basis.name(),
                side: key.side.name(),
                line: &key.line,
                detail: &key.detail,
                day: key.day,
                unweighted: cell.unweighted,
                factor: cell.factor.digits(),
                weighted: cell.weighted,
                inflow_cap: key.inflow_cap,
                day_net: key.is_day_net,
            };
            out.push("cells", group, &row);
        }
        let currencies = self.significant.iter().map(String::as_str);
        for scope in std::iter::once(TOTAL).chain(currencies) {
            for regime in &self.regimes {
                let state = EntityState {
                    entity,
                    scope,
                    regime: regime.name(),
                    incomplete: book.is_incomplete,
                };
                out.push("states", group, &state);
            }
        }
    }
}

#[cfg(test)]
mod tests;
