//! Anti-vectors: inputs with the wrong answer of another implementation, which must not be ours.

use crate::answer::{Answer, Exact, Tolerance, differences};
use crate::stock::{DATE, all_terms, amount, number, stock_answer};
use crate::{Case, flows};
use lcr_rules::{Class, Level, Levels, Regime, WEIGHTED_SCALE};
use serde_json::{Value, json};
use weir_exact::Decimal;

/// The faults of one: our answer is not the correct one, or is the wrong one.
pub(crate) fn case(case: &Value) -> Result<Vec<String>, String> {
    let ours = answer(&case["inputs"])?;
    let exactly = Tolerance::of(&Value::Null)?;
    let mut faults = differences(&case["correct"], &ours, &exactly);
    // A figure may be printed with words behind it.
    let wrong = match &case["returns"] {
        Value::String(text) => json!(text.split(' ').next()),
        other => other.clone(),
    };
    if differences(&wrong, &ours, &exactly).is_empty() {
        faults.push(format!("is the wrong answer {wrong}"));
    }
    Ok(faults)
}

fn answer(inputs: &Value) -> Result<Answer, String> {
    let names: Vec<&str> = inputs
        .as_object()
        .ok_or("no `inputs`")?
        .keys()
        .map(String::as_str)
        .collect();
    match names[..] {
        ["l1", "l2a_mv", "l2b_mv"] => {
            let held = Levels {
                one: amount(inputs, "l1")?,
                two_a: after_haircut(inputs, "l2a_mv", Class::L2a)?,
                two_b: after_haircut(inputs, "l2b_mv", Class::L2b)?,
                ..Levels::default()
            };
            part(stock(&held)?, "stock")
        }
        ["l1", "l2a", "l2b"] => {
            let held = Levels {
                one: amount(inputs, "l1")?,
                two_a: amount(inputs, "l2a")?,
                two_b: amount(inputs, "l2b")?,
                ..Levels::default()
            };
            let stock = stock(&held)?;
            let kept = |digits, cut| -> Result<Answer, String> {
                match part(stock.clone(), cut)? {
                    Answer::Figure(cut) => {
                        Ok(Answer::Figure(Exact::of_weighted(digits)?.minus(cut)?))
                    }
                    other => Ok(other),
                }
            };
            Ok(Answer::parts([
                ("l2a", kept(held.two_a, "adj40")?),
                ("l2b", kept(held.two_b, "adj15")?),
                ("total", part(stock.clone(), "stock")?),
            ]))
        }
        ["hqla", "outflow", "inflow"] => {
            let flow = |name: &str| json!([{"amount": inputs[name], "rate": "1"}]);
            let inputs = json!({"hqla": inputs["hqla"], "outflows": flow("outflow"), "inflows": flow("inflow")});
            let expected = &Value::Null;
            part(
                flows::net(&Case {
                    inputs: &inputs,
                    expected,
                })?,
                "lcr",
            )
        }
        [name] if name.starts_with("reverse_repo_") => {
            let class = Class::parse(name.trim_start_matches("reverse_repo_"));
            let class = class.ok_or_else(|| format!("`{name}`: unknown class"))?;
            let haircut = all_terms(DATE)?[Regime::Basel.column()].haircut(class);
            let rate = Exact::parse(&haircut.to_string())?;
            let cash = number(inputs, name)?.ok_or("no cash")?;
            Ok(Answer::Figure(Exact::of_decimal(cash)?.times(rate)?))
        }
        _ => Err(format!("nobody answers inputs of {}", names.join(", "))),
    }
}

fn stock(held: &Levels) -> Result<Answer, String> {
    let terms = all_terms(DATE)?;
    stock_answer(&terms[Regime::Basel.column()].caps, held, held)
}

fn part(answer: Answer, name: &str) -> Result<Answer, String> {
    match answer {
        Answer::Parts(mut parts) => parts.remove(name).ok_or_else(|| format!("no `{name}`")),
        other => Ok(other),
    }
}

fn after_haircut(inputs: &Value, name: &str, class: Class) -> Result<lcr_rules::I256, String> {
    debug_assert_ne!(
        class.level(),
        Some(Level::One),
        "level 1 comes after haircut"
    );
    let counted = all_terms(DATE)?[Regime::Basel.column()].counted(class);
    let counted = Decimal::from_i128(counted.digits(), lcr_rules::FACTOR_SCALE);
    let value = number(inputs, name)?.ok_or_else(|| format!("no `{name}`"))?;
    let weighted = value
        .checked_mul(counted)
        .and_then(|value| value.at(WEIGHTED_SCALE));
    weighted.map_err(|_error| format!("{name}: has too many digits"))
}
