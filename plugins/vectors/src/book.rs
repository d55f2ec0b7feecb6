//! Whole trade books: classes by `lcr_rules`, cells by the plugin `liquidity_cells`, stock and net outflow by
//! `lcr_rules`. What the pipeline does in front of the plugin (valuing, netting of one exchange, who overrides what) is
//! done here in the plainest way.

use crate::Case;
use crate::answer::Answer;
use crate::stock::{all_terms, class, number, one_or_all, stock_answer};
use fields::{date_of, parse_instant};
use lcr_rules::{
    Class, Factor, I256, Inflows, Instrument, InstrumentKind, Levels, Regime, Terms, add, addon,
    classify, negate, net_outflow,
};
use liquidity_cells::{Cell, EntityState, LiquidityCells};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use weir_exact::Decimal;
use weir_sdk::{Data, harness};

/// The rows of each input of `liquidity_cells`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs(BTreeMap<&'static str, Vec<Value>>);

/// What the adjusted cells of one regime sum up to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) held: Levels,
    pub(crate) unwind: Levels,
    outflow: I256,
    inflow: I256,
    by_day: Vec<I256>,
}

/// Adds fields to a row.
pub(crate) fn set(row: &mut Value, more: &Value) {
    if let (Some(row), Some(more)) = (row.as_object_mut(), more.as_object()) {
        row.extend(more.clone());
    }
}

/// The six class columns, of an asset with these classes in Basel, the US, the EU.
pub(crate) fn class_columns(prefix: &str, classes: [&str; 3]) -> Value {
    let names = ["hqla_class", "us_class", "eu_class"];
    let columns = names.into_iter().zip(classes).flat_map(|(name, class)| {
        let base = format!("{prefix}base_{name}");
        [
            (format!("{prefix}{name}"), json!(class)),
            (base, json!(class)),
        ]
    });
    Value::Object(columns.collect())
}

/// Days since 1970 as the harness reads a date.
pub(crate) fn date_text(days: i64) -> String {
    // Counts in years that begin in March.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

impl Inputs {
    pub(crate) fn push(&mut self, input: &'static str, mut row: Value) {
        set(&mut row, &json!({"entity": "E"}));
        self.0.entry(input).or_default().push(row);
    }

    /// Runs `liquidity_cells` at an instant and sums the adjusted cells of a regime.
    pub(crate) fn sums(&self, as_of: &str, terms: &Terms) -> Result<Sums, String> {
        let lines = |rows: &Vec<Value>| {
            let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
            rows.join("\n")
        };
        let mut texts: Vec<(&str, String)> = self
            .0
            .iter()
            .map(|(name, rows)| (*name, lines(rows)))
            .collect();
        texts.push(("entities", json!({"entity": "E"}).to_string()));
        let rows: Vec<(&str, &str)> = texts.iter().map(|(name, rows)| (*name, &**rows)).collect();
        let config = json!({"regimes": [terms.regime.name()]}).to_string();
        let ran = harness::group::<LiquidityCells>(&config, &data(), as_of, &["entity"], &rows)
            .map_err(|failure| failure.to_string())?;
        if let Some(refused) = ran.refusals.first() {
            return Err(format!("refused: {}", refused.message));
        }
        for (_, state) in ran.output("states").records::<EntityState<'_>>() {
            if state.incomplete {
                return Err("the book is incomplete".to_owned());
            }
        }
        let days = usize::try_from(terms.horizon).unwrap_or(0) + 1;
        let mut sums = Sums {
            by_day: vec![I256::ZERO; days],
            ..Sums::default()
        };
        for (_, cell) in ran.output("cells").records::<Cell<'_>>() {
            if cell.basis == "adjusted" {
                sums.add(&cell).map_err(|error| error.to_string())?;
            }
        }
        Ok(sums)
    }
}

impl Sums {
    fn add(&mut self, cell: &Cell<'_>) -> Result<(), lcr_rules::RuleError> {
        let level = Class::parse(cell.line).and_then(Class::level);
        let signed = match (cell.side, level) {
            ("HQLA", Some(level)) => return self.held.add(level, cell.weighted),
            ("UNWIND", Some(level)) => return self.unwind.add(level, cell.weighted),
            ("OUT", _) => {
                self.outflow = add(self.outflow, cell.weighted)?;
                cell.weighted
            }
            _ => {
                self.inflow = add(self.inflow, cell.weighted)?;
                negate(cell.weighted)?
            }
        };
        let day = usize::try_from(cell.day)
            .ok()
            .and_then(|day| self.by_day.get_mut(day));
        if let Some(slot) = day.filter(|_| cell.day_net) {
            *slot = add(*slot, signed)?;
        }
        Ok(())
    }
}

fn data() -> Data {
    let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    Data::new(vec![
        file(
            "basel.csv",
            include_str!("../../../schemas/rules/basel.csv"),
        ),
        file("us.csv", include_str!("../../../schemas/rules/us.csv")),
        file("eu.csv", include_str!("../../../schemas/rules/eu.csv")),
    ])
}

/// `trade_to_lcr`: every regime, from trades to the ratio.
pub(crate) fn trades(case: &Case<'_>) -> Result<Answer, String> {
    let book = Book(case.inputs);
    let as_of = case.inputs["as_of"].as_str().ok_or("no `as_of`")?;
    let instant = parse_instant("as_of", as_of).map_err(|refusal| refusal.message)?;
    let terms = all_terms(date_of(instant))?;
    let inputs = book.inputs(instant, &terms)?;
    let mut by_regime = Vec::new();
    for terms in &terms {
        let sums = inputs.sums(as_of, terms)?;
        let Answer::Parts(mut parts) = answer(&sums, terms)? else {
            return Err("a book's answer has parts".to_owned());
        };
        parts.insert("classes".to_owned(), book.classes(instant, terms)?);
        by_regime.push((terms.regime.name(), Answer::Parts(parts)));
    }
    one_or_all(case.expected, by_regime)
}

fn answer(sums: &Sums, terms: &Terms) -> Result<Answer, String> {
    let fault = |error: lcr_rules::RuleError| error.to_string();
    let adjusted = sums.held.plus(&sums.unwind).map_err(fault)?;
    let stock = lcr_rules::stock(&terms.caps, &sums.held, &adjusted).map_err(fault)?;
    let extra = match terms.regime {
        Regime::Us => addon(&sums.by_day).map_err(fault)?.amount,
        Regime::Basel | Regime::Eu => I256::ZERO,
    };
    let inflows = Inflows {
        capped: sums.inflow,
        ..Inflows::default()
    };
    let net = net_outflow(&terms.net(Factor::ONE), sums.outflow, &inflows, extra).map_err(fault)?;
    let Answer::Parts(mut parts) = stock_answer(&terms.caps, &sums.held, &adjusted)? else {
        return Err("a stock has parts".to_owned());
    };
    for (name, answer) in [
        ("l1", Answer::weighted(sums.held.level_1().map_err(fault)?)?),
        ("l2a", Answer::weighted(sums.held.two_a)?),
        ("l2b", Answer::weighted(sums.held.two_b)?),
        (
            "adj_l1",
            Answer::weighted(adjusted.level_1().map_err(fault)?)?,
        ),
        ("adj_l2a", Answer::weighted(adjusted.two_a)?),
        ("adj_l2b", Answer::weighted(adjusted.two_b)?),
        ("total_outflow", Answer::weighted(sums.outflow)?),
        ("total_inflow_uncapped", Answer::weighted(sums.inflow)?),
        ("total_inflow_capped", Answer::fraction(net.inflow)?),
        ("cap_binding", Answer::Flag(net.is_cap_binding)),
        ("add_on", Answer::weighted(extra)?),
        ("net_outflow", Answer::fraction(net.net)?),
        ("lcr", Answer::ratio(stock.total, net.net)?),
    ] {
        parts.insert(name.to_owned(), answer);
    }
    Ok(Answer::Parts(parts))
}

/// A case's instruments, trades and overrides.
struct Book<'v>(&'v Value);

/// An asset class whose amount flows at a rate: out, or in.
const RATED: [(&str, &str); 7] = [
    ("deposit_taken", "PAY"),
    ("debt_issued", "PAY"),
    ("commitment", "PAY"),
    ("other_outflow", "PAY"),
    ("loan_placed", "RECEIVE"),
    ("nostro", "RECEIVE"),
    ("other_inflow", "RECEIVE"),
];

impl<'v> Book<'v> {
    fn inputs(&self, instant: i64, terms: &[Terms; 3]) -> Result<Inputs, String> {
        let mut inputs = Inputs::default();
        let trades = self.0["trades"].as_array().ok_or("no `trades`")?;
        for trade in trades {
            let asset_class = trade["asset_class"]
                .as_str()
                .ok_or("a trade has no `asset_class`")?;
            let rated = RATED.iter().find(|(name, _)| *name == asset_class);
            match (asset_class, rated) {
                (_, Some((_, direction))) => self.rated(&mut inputs, trade, direction)?,
                ("holding", _) => self.holding(&mut inputs, trade, instant, terms)?,
                ("repo", _) => self.secured(&mut inputs, trade, "PAY", instant, terms)?,
                ("reverse_repo", _) => {
                    self.secured(&mut inputs, trade, "RECEIVE", instant, terms)?;
                }
                ("derivative", _) => self.derivative(&mut inputs, trade)?,
                ("commodity_physical", _) => {}
                ("posted_non_l1_collateral" | "hlba", _) => {
                    let value = self.value(trade, &["amount", "market_value"])?;
                    inputs.push(
                        "balances",
                        json!({"kind": asset_class, "value": value.to_text()}),
                    );
                }
                _ => return Err(format!("nobody answers the asset class `{asset_class}`")),
            }
        }
        Ok(inputs)
    }

    /// The first of these amounts that there is, in the reporting currency.
    fn value(&self, trade: &Value, names: &[&str]) -> Result<Decimal, String> {
        for name in names {
            if let Some(amount) = number(trade, name)? {
                let currency = trade["ccy"].as_str().unwrap_or("USD");
                return self.converted(amount, currency);
            }
        }
        Err(format!("a trade has none of {}", names.join(", ")))
    }

    fn converted(&self, amount: Decimal, currency: &str) -> Result<Decimal, String> {
        let rate = number(&self.0["fx_to_reporting"], currency)?;
        let rate = rate.ok_or_else(|| format!("no rate for {currency}"))?;
        amount
            .checked_mul(rate)
            .map_err(|_error| "an amount has too many digits".to_owned())
    }

    fn rated(&self, inputs: &mut Inputs, trade: &Value, direction: &str) -> Result<(), String> {
        let amount = self.value(trade, &["amount", "undrawn", "market_value"])?;
        let rate = number(trade, "rate")?.ok_or("a trade has no `rate`")?;
        let value = amount
            .checked_mul(rate)
            .map_err(|_error| "an amount has too many digits")?;
        let line = if direction == "PAY" {
            "interbank_deposit"
        } else {
            "interbank_loan"
        };
        inputs.push(
            "flows",
            json!({"line": line, "direction": direction, "payment_date": maturity(trade), "last": false,
                   "value": value.to_text(), "unrated": 0}),
        );
        Ok(())
    }

    fn holding(
        &self,
        inputs: &mut Inputs,
        trade: &Value,
        instant: i64,
        terms: &[Terms; 3],
    ) -> Result<(), String> {
        let value = self.value(trade, &["market_value"])?;
        let id = trade["instrument"]
            .as_str()
            .ok_or("a holding has no `instrument`")?;
        let instrument = self.instrument(id)?;
        if let Some(kind @ ("cb_reserve" | "cash_coins")) = instrument["kind"].as_str() {
            inputs.push("balances", json!({"kind": kind, "value": value.to_text()}));
            return Ok(());
        }
        let classes = self.columns("", id, instant, terms)?;
        let encumbered = number(trade, "encumbered_fraction")?.unwrap_or(Decimal::ZERO);
        let free = Decimal::from_i128(1, 0).checked_sub(encumbered);
        let free = free.and_then(|free| free.checked_mul(value));
        let free = free.map_err(|_error| "a holding has too many digits")?;
        let mut stock = json!({"value": free.to_text(), "unvalued": 0});
        set(&mut stock, &classes);
        inputs.push("stock", stock);
        if !trade["redemption_amount"].is_null() {
            let amount = self.value(trade, &["redemption_amount"])?;
            let mut flow = json!({"line": "redemption", "direction": "RECEIVE", "last": false,
                "payment_date": instrument["redemption_date"], "value": amount.to_text()});
            set(&mut flow, &classes);
            inputs.push("security_flows", flow);
        }
        Ok(())
    }

    fn secured(
        &self,
        inputs: &mut Inputs,
        trade: &Value,
        direction: &str,
        instant: i64,
        terms: &[Terms; 3],
    ) -> Result<(), String> {
        let id = trade["collateral"]
            .as_str()
            .ok_or("a repo has no `collateral`")?;
        let is = |name: &str, default: bool| trade[name].as_bool().unwrap_or(default);
        let mut row = json!({"direction": direction, "central_bank": trade["counterparty_type"] == "central_bank",
            "rehypothecable": is("rehypothecable", true), "reused": is("reused", false),
            "payment_date": maturity(trade), "last": true, "rated": true, "valued": true,
            "cash": self.value(trade, &["cash"])?.to_text(),
            "collateral": self.value(trade, &["collateral_mv"])?.to_text()});
        set(&mut row, &self.columns("", id, instant, terms)?);
        inputs.push("secured", row);
        Ok(())
    }

    /// Currencies exchanged net on their date; other flows under an agreement, or not at all. What is received for
    /// goods does not count.
    fn derivative(&self, inputs: &mut Inputs, trade: &Value) -> Result<(), String> {
        let product = trade["product"].as_str().unwrap_or_default();
        let mut alone: BTreeMap<(usize, &str), Decimal> = BTreeMap::new();
        let flows = trade["flows"]
            .as_array()
            .ok_or("a derivative has no `flows`")?;
        for (at, flow) in flows.iter().enumerate() {
            let amount = number(flow, "amount")?.ok_or("a flow has no `amount`")?;
            let value = self.converted(amount, flow["ccy"].as_str().unwrap_or("USD"))?;
            let date = flow["date"].as_str().ok_or("a flow has no `date`")?;
            if let Some(agreement) = trade["netting_agreement"].as_str() {
                inputs.push(
                    "netted",
                    json!({"counterparty": trade["counterparty"], "agreement": agreement,
                           "payment_date": date, "last": false, "value": value.to_text()}),
                );
            } else {
                let exchange = if product.starts_with("fx") { 0 } else { at };
                let net = alone.entry((exchange, date)).or_insert(Decimal::ZERO);
                *net = net
                    .checked_add(value)
                    .map_err(|_error| "flows have too many digits")?;
            }
        }
        let is_for_goods = product == "commodity_forward_physical";
        for ((_, date), net) in alone {
            let is_paid = net < Decimal::ZERO;
            let (direction, value) = if is_paid {
                ("PAY", net.negated())
            } else {
                ("RECEIVE", net)
            };
            if is_paid || !is_for_goods {
                inputs.push(
                    "flows",
                    json!({"line": "derivative", "direction": direction, "payment_date": date,
                           "last": false, "value": value.to_text(), "unrated": 0}),
                );
            }
        }
        Ok(())
    }

    fn instrument(&self, id: &str) -> Result<&'v Value, String> {
        let instruments = self.0["instruments"].as_array().ok_or("no `instruments`")?;
        let found = instruments.iter().find(|instrument| instrument["id"] == id);
        found.ok_or_else(|| format!("no instrument `{id}`"))
    }

    /// The class of every instrument, with overrides.
    fn classes(&self, instant: i64, terms: &Terms) -> Result<Answer, String> {
        let instruments = self.0["instruments"].as_array().ok_or("no `instruments`")?;
        let mut parts = Vec::new();
        for instrument in instruments {
            let id = instrument["id"]
                .as_str()
                .ok_or("an instrument has no `id`")?;
            let class = match instrument["kind"].as_str() {
                Some("cb_reserve" | "cash_coins") => Class::L1,
                _ => self.class(id, instant, terms)?,
            };
            parts.push((id, Answer::Word(class.name().to_owned())));
        }
        Ok(Answer::parts(parts))
    }

    fn class(&self, id: &str, instant: i64, terms: &Terms) -> Result<Class, String> {
        if let Some(given) = self.overridden(id, instant)? {
            return Ok(given);
        }
        let instrument = self.instrument(id)?;
        let is = |name: &str| instrument[name].as_bool().unwrap_or(false);
        let kind = instrument["kind"].as_str().unwrap_or_default();
        let data = Instrument {
            kind: InstrumentKind::parse(kind).ok_or_else(|| format!("unknown kind `{kind}`"))?,
            is_issuer_financial: is("issuer_financial"),
            is_own_issue: is("own_issue"),
            risk_weight: instrument["rw"]
                .as_u64()
                .and_then(|weight| weight.try_into().ok()),
            rating: instrument["rating"].as_str(),
            is_home_or_local_currency: is("home_or_local_ccy"),
            is_major_index: is("major_index"),
            is_ehq: is("ehq"),
        };
        Ok(classify(&data, terms))
    }

    /// The class that an override in force gives: approved, from its first instant to its last, not included.
    fn overridden(&self, id: &str, instant: i64) -> Result<Option<Class>, String> {
        let none = Vec::new();
        for given in self.0["overrides"].as_array().unwrap_or(&none) {
            let at = |name: &'static str| {
                let text = given[name].as_str().unwrap_or_default();
                parse_instant(name, text).map_err(|refusal| refusal.message)
            };
            let is_named = given["instrument"] == id
                || (!given["issuer"].is_null()
                    && given["issuer"] == self.instrument(id)?["issuer"]);
            let is_active = given["status"] == "approved"
                && at("effective_from")? <= instant
                && instant < at("effective_to")?;
            if is_named && is_active {
                return class(given["to"].as_str().unwrap_or_default()).map(Some);
            }
        }
        Ok(None)
    }

    fn columns(
        &self,
        prefix: &str,
        id: &str,
        instant: i64,
        terms: &[Terms; 3],
    ) -> Result<Value, String> {
        let mut classes = ["NON"; 3];
        for (class, terms) in classes.iter_mut().zip(terms) {
            *class = self.class(id, instant, terms)?.name();
        }
        Ok(class_columns(prefix, classes))
    }
}

/// A trade's maturity; none when it is open.
fn maturity(trade: &Value) -> Value {
    if trade["maturity"] == "open" {
        Value::Null
    } else {
        trade["maturity"].clone()
    }
}
