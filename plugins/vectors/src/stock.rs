//! Stock cases: caps and unwind in each regime, haircuts, random books.

use crate::Case;
use crate::answer::{Answer, Exact};
use crate::book;
use lcr_rules::{
    Caps, Class, Cut, I256, Level, Levels, Regime, Rules, Stock, Terms, WEIGHTED_SCALE,
};
use serde_json::{Value, json};
use weir_exact::Decimal;

/// 2 March 2026, the date of cases that name none.
pub(crate) const DATE: i32 = 20_514;

/// The project's rules.
pub(crate) fn rules() -> Result<Rules, String> {
    let text = |name: &str| -> Result<&'static str, String> {
        Ok(match name {
            "basel.csv" => include_str!("../../../schemas/rules/basel.csv"),
            "us.csv" => include_str!("../../../schemas/rules/us.csv"),
            _ => include_str!("../../../schemas/rules/eu.csv"),
        })
    };
    Rules::of(text, |why| why)
}

/// The terms of every regime on a date.
pub(crate) fn all_terms(date: i32) -> Result<[Terms; 3], String> {
    let rules = rules()?;
    Ok(Regime::ALL.map(|regime| rules.terms(regime, date)))
}

/// The number of this name, if there is one.
pub(crate) fn number(inputs: &Value, name: &str) -> Result<Option<Decimal>, String> {
    let text = match &inputs[name] {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let parsed = text
        .parse()
        .map_err(|_error| format!("{name}: `{text}` is no number"));
    parsed.map(Some)
}

/// Digits at the scale of weighted amounts, 0 when there is none.
pub(crate) fn amount(inputs: &Value, name: &str) -> Result<I256, String> {
    let number = number(inputs, name)?.unwrap_or(Decimal::ZERO);
    number
        .at(WEIGHTED_SCALE)
        .map_err(|_error| format!("{name}: has too many digits"))
}

fn levels(inputs: &Value, names: [&str; 5]) -> Result<Levels, String> {
    let [one, uncovered, covered, two_a, two_b] = names;
    let mut levels = Levels::default();
    for (level, name) in [
        (Level::One, one),
        (Level::One, uncovered),
        (Level::Covered, covered),
        (Level::TwoA, two_a),
        (Level::TwoB, two_b),
    ] {
        levels
            .add(level, amount(inputs, name)?)
            .map_err(|error| error.to_string())?;
    }
    Ok(levels)
}

/// `hqla_caps`: the entry point is [`lcr_rules::stock`], behind the unwind of `liquidity_cells`.
pub(crate) fn caps(case: &Case<'_>) -> Result<Answer, String> {
    let held = levels(case.inputs, ["l1", "l1x", "l1cb", "l2a", "l2b"])?;
    let mut parts = Vec::new();
    for terms in all_terms(DATE)? {
        let unwind = unwind(case.inputs, &terms)?;
        let adjusted = held.plus(&unwind).map_err(|error| error.to_string())?;
        parts.push((
            terms.regime.name(),
            stock_answer(&terms.caps, &held, &adjusted)?,
        ));
    }
    Ok(Answer::parts(parts))
}

/// `haircut_caps`: [`Terms::counted`] and [`lcr_rules::stock`], by Basel or by each regime that is expected.
pub(crate) fn haircuts_and_caps(case: &Case<'_>) -> Result<Answer, String> {
    let mut by_regime = Vec::new();
    for terms in all_terms(DATE)? {
        let mut held = Levels::default();
        let values = case.inputs["market_values"].as_object();
        for (name, _) in values.ok_or("no `market_values`")? {
            let class = class(name)?;
            let value = number(&case.inputs["market_values"], name)?.unwrap_or(Decimal::ZERO);
            let counted =
                Decimal::from_i128(terms.counted(class).digits(), lcr_rules::FACTOR_SCALE);
            let weighted = value
                .checked_mul(counted)
                .and_then(|value| value.at(WEIGHTED_SCALE));
            let weighted = weighted.map_err(|_error| format!("{name}: has too many digits"))?;
            if let Some(level) = class.level() {
                held.add(level, weighted)
                    .map_err(|error| error.to_string())?;
            }
        }
        let Answer::Parts(mut parts) = stock_answer(&terms.caps, &held, &held)? else {
            return Err("a stock has parts".to_owned());
        };
        for (name, digits) in [
            ("l1", held.level_1().map_err(|error| error.to_string())?),
            ("l2a", held.two_a),
            ("l2b", held.two_b),
        ] {
            parts.insert(name.to_owned(), Answer::weighted(digits)?);
        }
        if let (Some(net), Some(Answer::Figure(stock))) =
            (number(case.inputs, "net_outflow")?, parts.get("stock"))
        {
            let lcr = if net == Decimal::ZERO {
                Answer::Nothing
            } else {
                Answer::Figure(stock.over(Exact::of_decimal(net)?)?)
            };
            parts.insert("lcr".to_owned(), lcr);
        }
        by_regime.push((terms.regime.name(), Answer::Parts(parts)));
    }
    one_or_all(case.expected, by_regime)
}

/// By regime where the case expects it so, else Basel's.
pub(crate) fn one_or_all(
    expected: &Value,
    by_regime: Vec<(&'static str, Answer)>,
) -> Result<Answer, String> {
    if Regime::ALL
        .iter()
        .any(|regime| !expected[regime.name()].is_null())
    {
        return Ok(Answer::parts(by_regime));
    }
    let basel = by_regime
        .into_iter()
        .find(|(name, _)| *name == Regime::Basel.name());
    basel
        .map(|(_, answer)| answer)
        .ok_or_else(|| "no answer by Basel".to_owned())
}

/// A random case: [`lcr_rules::stock`] in each regime, from levels as held and as adjusted.
pub(crate) fn random(inputs: &Value) -> Result<Answer, String> {
    let held = levels(inputs, ["l1", "l1x", "l1cb", "l2a", "l2b"])?;
    let adjusted = levels(inputs, ["a1", "a1x", "a1cb", "a2a", "a2b"])?;
    let mut parts = Vec::new();
    for terms in all_terms(DATE)? {
        let stock = stock_answer(&terms.caps, &held, &adjusted)?;
        let Answer::Parts(answers) = stock else {
            continue;
        };
        let wanted: &[(&str, &str)] = match terms.regime {
            Regime::Basel => &[
                ("basel_stock", "stock"),
                ("adj15", "adj15"),
                ("adj40", "adj40"),
            ],
            Regime::Us => &[("us_hqla", "hqla")],
            Regime::Eu => &[("eu_buffer", "buffer"), ("eu_excess", "excess")],
        };
        for (name, answer) in wanted {
            let answer = answers.get(*answer).cloned();
            parts.push((*name, answer.ok_or("a stock answers it")?));
        }
    }
    Ok(Answer::parts(parts))
}

/// The stock and how it came about, by the names that cases use.
pub(crate) fn stock_answer(
    caps: &Caps,
    held: &Levels,
    adjusted: &Levels,
) -> Result<Answer, String> {
    let stock = lcr_rules::stock(caps, held, adjusted).map_err(|error| error.to_string())?;
    let level_1 = adjusted.level_1().map_err(|error| error.to_string())?;
    let levels = Answer::parts([
        ("L1", Answer::weighted(level_1)?),
        ("L1CB", Answer::weighted(adjusted.covered)?),
        ("L2A", Answer::weighted(adjusted.two_a)?),
        ("L2B", Answer::weighted(adjusted.two_b)?),
    ]);
    let total = Exact::of_fraction(stock.total)?;
    let mut parts = vec![
        ("adjusted", levels),
        ("stock", Answer::Figure(total)),
        ("hqla", Answer::Figure(total)),
        ("stock_floored", Answer::Figure(total.max(Exact::ZERO)?)),
    ];
    parts.extend(cut(caps, &stock, held, adjusted)?);
    Ok(Answer::parts(parts))
}

fn cut(
    caps: &Caps,
    stock: &Stock,
    held: &Levels,
    adjusted: &Levels,
) -> Result<Vec<(&'static str, Answer)>, String> {
    Ok(match stock.cut {
        Cut::Basel { level_2b, level_2 } => vec![
            ("adj15", Answer::fraction(level_2b)?),
            ("adj40", Answer::fraction(level_2)?),
            ("stock_alt_para6", Answer::Figure(para_6(held, adjusted)?)),
        ],
        Cut::Us {
            unadjusted,
            adjusted,
        } => {
            let total = |excess: lcr_rules::UsExcess| -> Result<Answer, String> {
                Answer::fraction(excess.total().map_err(|error| error.to_string())?)
            };
            vec![
                ("l2_cap_excess", Answer::fraction(unadjusted.level_2)?),
                ("l2b_cap_excess", Answer::fraction(unadjusted.level_2b)?),
                ("adj_l2_cap_excess", Answer::fraction(adjusted.level_2)?),
                ("adj_l2b_cap_excess", Answer::fraction(adjusted.level_2b)?),
                ("unadjusted_excess", total(unadjusted)?),
                ("adjusted_excess", total(adjusted)?),
            ]
        }
        Cut::Eu { excess } => {
            let split = lcr_rules::eu_split(caps, adjusted).map_err(|error| error.to_string())?;
            let [a, b, c, d] = split.ok_or("the EU shares out its buffer")?;
            vec![
                ("excess", Answer::fraction(excess)?),
                ("buffer", Answer::fraction(stock.total)?),
                (
                    "post_cap",
                    Answer::parts([
                        ("l1x", Answer::fraction(a)?),
                        ("l1cb", Answer::fraction(b)?),
                        ("l2a", Answer::fraction(c)?),
                        ("l2b", Answer::fraction(d)?),
                    ]),
                ),
            ]
        }
    })
}

/// The single expression of Annex 1 para 6, worked out in fractions: the plain twin of para 5.
fn para_6(held: &Levels, adjusted: &Levels) -> Result<Exact, String> {
    let exact = Exact::of_weighted;
    let (a1, a2a, a2b) = (
        exact(adjusted.one)?,
        exact(adjusted.two_a)?,
        exact(adjusted.two_b)?,
    );
    let by_40 = a2a.plus(a2b)?.minus(Exact::parse("2/3")?.times(a1)?)?;
    let by_15 = a2b.minus(Exact::parse("15/85")?.times(a1.plus(a2a)?)?)?;
    let held = exact(held.total().map_err(|error| error.to_string())?)?;
    held.minus(by_40.max(by_15)?.max(Exact::ZERO)?)
}

/// A class by its name; other names than ours are of what is not liquid.
pub(crate) fn class(name: &str) -> Result<Class, String> {
    match name {
        "NON" | "NON_HQLA" | "non_hqla" | "OTHER" | "other" | "none" => Ok(Class::Non),
        name => Class::parse(name).ok_or_else(|| format!("unknown class `{name}`")),
    }
}

/// What `liquidity_cells` unwinds of the secured trades, by level.
fn unwind(inputs: &Value, terms: &Terms) -> Result<Levels, String> {
    let mut rows = book::Inputs::default();
    let none = Vec::new();
    for trade in inputs["sfts"].as_array().unwrap_or(&none) {
        let date = match trade["days"].as_i64() {
            Some(days) => Some(i64::from(DATE) + days),
            None if trade["days"] == "open" => None,
            None => return Err("a secured trade has no `days`".to_owned()),
        };
        let asset = |side: &str| -> Result<(Class, String), String> {
            let leg = &trade[side];
            let class = class(leg["level"].as_str().unwrap_or("NON"))?;
            match number(leg, "mv")? {
                Some(value) => Ok((class, value.to_text())),
                None => Err(format!("`{side}` has no `mv`")),
            }
        };
        let is = |name: &str, default: bool| trade[name].as_bool().unwrap_or(default);
        let mut row = json!({
            "rehypothecable": is("rehypothecable", true), "reused": is("reused", false),
            "payment_date": date.map(book::date_text), "last": true, "valued": true, "rated": true,
        });
        match (!trade["give"].is_null(), !trade["get"].is_null()) {
            (true, true) => {
                let ((given, value), (received, held)) = (asset("give")?, asset("get")?);
                book::set(&mut row, &book::class_columns("", [given.name(); 3]));
                book::set(
                    &mut row,
                    &book::class_columns("received_", [received.name(); 3]),
                );
                book::set(
                    &mut row,
                    &json!({"given": value, "received": held, "received_valued": true}),
                );
                rows.push("swaps", row);
            }
            (gives, gets) if gives || gets => {
                let (class, value) = asset(if gives { "give" } else { "get" })?;
                let cash = number(trade, "cash")?.ok_or("a repo has `cash`")?.to_text();
                book::set(&mut row, &book::class_columns("", [class.name(); 3]));
                book::set(
                    &mut row,
                    &json!({"direction": if gives { "PAY" } else { "RECEIVE" }, "central_bank": false,
                            "cash": cash, "collateral": value}),
                );
                rows.push("secured", row);
            }
            _ => return Err("a secured trade gives or gets something".to_owned()),
        }
    }
    let sums = rows.sums("2026-03-02T12:00:00Z", terms)?;
    Ok(sums.unwind)
}
