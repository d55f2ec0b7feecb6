//! Denominator cases: the inflow cap, the EU cascade, the US add-on, rows by currency, disclosures.

use crate::Case;
use crate::answer::Answer;
use crate::stock::{DATE, all_terms, amount, number};
use lcr_rules::{
    AddOn, Factor, Fraction, I256, Inflows, NetOutflow, Regime, WEIGHTED_SCALE, add, addon,
    net_outflow,
};
use serde_json::Value;
use weir_exact::Decimal;

fn fault(error: lcr_rules::RuleError) -> String {
    error.to_string()
}

/// The sum of `amount * rate`.
fn weighted(flows: &Value) -> Result<I256, String> {
    let none = Vec::new();
    let mut sum = I256::ZERO;
    for flow in flows.as_array().unwrap_or(&none) {
        let given = |name| number(flow, name)?.ok_or_else(|| format!("a flow has no `{name}`"));
        let product = given("amount")?.checked_mul(given("rate")?);
        let product = product.and_then(|product| product.at(WEIGHTED_SCALE));
        let product = product.map_err(|_error| "a flow has too many digits".to_owned())?;
        sum = add(sum, product).map_err(fault)?;
    }
    Ok(sum)
}

/// What of the US net outflow counts, under either name.
fn percentage(inputs: &Value) -> Result<Factor, String> {
    for name in ["outflow_adjustment_pct", "pct"] {
        if let Some(share) = number(inputs, name)? {
            let factor = Factor::parse(&share.to_text());
            return factor.ok_or_else(|| format!("`{name}` is no share"));
        }
    }
    Ok(Factor::ONE)
}

fn net_by(
    regime: Regime,
    percentage: Factor,
    outflow: I256,
    inflows: &Inflows,
    addon: I256,
) -> Result<NetOutflow, String> {
    let terms = all_terms(DATE)?;
    let terms = terms[regime.column()].net(percentage);
    net_outflow(&terms, outflow, inflows, addon).map_err(fault)
}

fn capped(inflow: I256) -> Inflows {
    Inflows {
        capped: inflow,
        ..Inflows::default()
    }
}

/// `net_outflow`: [`lcr_rules::net_outflow`], by the regime that the case names or by Basel.
pub(crate) fn net(case: &Case<'_>) -> Result<Answer, String> {
    let regime = match case.inputs["regime"].as_str() {
        None => Regime::Basel,
        Some(name) => Regime::parse(name).ok_or_else(|| format!("unknown regime `{name}`"))?,
    };
    net_of(regime, case.inputs)
}

fn net_of(regime: Regime, inputs: &Value) -> Result<Answer, String> {
    let (outflow, inflow) = (
        weighted(&inputs["outflows"])?,
        weighted(&inputs["inflows"])?,
    );
    let net = net_by(
        regime,
        percentage(inputs)?,
        outflow,
        &capped(inflow),
        I256::ZERO,
    )?;
    answer(inputs, outflow, inflow, &net)
}

fn answer(inputs: &Value, outflow: I256, inflow: I256, net: &NetOutflow) -> Result<Answer, String> {
    let stock = Fraction::whole(amount(inputs, "hqla")?);
    Ok(Answer::parts([
        ("total_outflow", Answer::weighted(outflow)?),
        ("total_inflow", Answer::weighted(inflow)?),
        ("total_inflow_uncapped", Answer::weighted(inflow)?),
        ("total_inflow_capped", Answer::fraction(net.inflow)?),
        ("cap_binding", Answer::Flag(net.is_cap_binding)),
        ("net_outflow", Answer::fraction(net.net)?),
        ("lcr", Answer::ratio(stock, net.net)?),
    ]))
}

/// `by_currency`: [`lcr_rules::net_outflow`] in each currency by itself.
pub(crate) fn by_currency(case: &Case<'_>) -> Result<Answer, String> {
    let currencies = case.inputs["currencies"].as_object();
    let mut parts = Vec::new();
    for (currency, inputs) in currencies.ok_or("no `currencies`")? {
        parts.push((currency.clone(), net_of(Regime::Basel, inputs)?));
    }
    Ok(Answer::parts(parts))
}

/// `eu_net_outflow`: [`lcr_rules::net_outflow`] with the EU's three kinds of inflows.
pub(crate) fn eu_cascade(case: &Case<'_>) -> Result<Answer, String> {
    let inputs = case.inputs;
    let inflows = Inflows {
        exempt: amount(inputs, "exempt_inflow")?,
        ninety: amount(inputs, "inflow_90")?,
        capped: amount(inputs, "inflow_75")?,
    };
    let outflow = amount(inputs, "total_outflow")?;
    let net = net_by(Regime::Eu, Factor::ONE, outflow, &inflows, I256::ZERO)?;
    let total = inflows.total().map_err(fault)?;
    let Answer::Parts(mut parts) = answer(inputs, outflow, total, &net)? else {
        return Err("a net outflow has parts".to_owned());
    };
    for (name, used) in ["exempt_used", "in90_used", "in75_used"]
        .into_iter()
        .zip(net.used)
    {
        parts.insert(name.to_owned(), Answer::fraction(used)?);
    }
    Ok(Answer::Parts(parts))
}

/// `us_addon`: [`lcr_rules::addon`] and [`lcr_rules::net_outflow`].
pub(crate) fn us_addon(case: &Case<'_>) -> Result<Answer, String> {
    let inputs = case.inputs;
    let terms = all_terms(DATE)?;
    let horizon = terms[Regime::Us.column()].horizon;
    let days = usize::try_from(horizon).map_err(|_error| "a horizon of no days")?;
    let mut by_day = vec![I256::ZERO; days + 1];
    for name in inputs["daily_net"]
        .as_object()
        .ok_or("no `daily_net`")?
        .keys()
    {
        let day: usize = name
            .parse()
            .map_err(|_error| format!("`{name}` is no day"))?;
        // What is behind the horizon is not in it.
        if let Some(slot) = by_day.get_mut(day) {
            *slot = amount(&inputs["daily_net"], name)?;
        }
    }
    let AddOn {
        peak,
        last,
        amount: extra,
    } = addon(&by_day).map_err(fault)?;
    let (outflow, inflow) = (
        amount(inputs, "total_outflow")?,
        amount(inputs, "total_inflow")?,
    );
    let percentage = percentage(inputs)?;
    let net = net_by(Regime::Us, percentage, outflow, &capped(inflow), extra)?;
    let without = net_by(
        Regime::Us,
        Factor::ONE,
        outflow,
        &capped(inflow),
        I256::ZERO,
    )?;
    let Answer::Parts(mut parts) = answer(inputs, outflow, inflow, &net)? else {
        return Err("a net outflow has parts".to_owned());
    };
    for (name, answer) in [
        ("peak", Answer::weighted(peak)?),
        ("day30", Answer::weighted(last)?),
        ("add_on", Answer::weighted(extra)?),
        ("net_excl_addon", Answer::fraction(without.net)?),
        ("total_net_outflow", Answer::fraction(net.net)?),
    ] {
        parts.insert(name.to_owned(), answer);
    }
    Ok(Answer::Parts(parts))
}

/// `disclosure`: [`lcr_rules::net_outflow`] of printed lines, by the US where an add-on is printed, else by Basel.
pub(crate) fn disclosure(case: &Case<'_>) -> Result<Answer, String> {
    let inputs = case.inputs;
    let sum = |side: &str| -> Result<I256, String> {
        let lines = inputs[side]
            .as_object()
            .ok_or_else(|| format!("no `{side}`"))?;
        let mut sum = I256::ZERO;
        for line in lines.values() {
            sum = add(sum, amount(line, "w")?).map_err(fault)?;
        }
        Ok(sum)
    };
    let (outflow, inflow) = (sum("outflows_weighted")?, sum("inflows_weighted")?);
    let extra = number(inputs, "maturity_mismatch_addon")?;
    let regime = if extra.is_some() {
        Regime::Us
    } else {
        Regime::Basel
    };
    let extra = extra.unwrap_or(Decimal::ZERO).at(WEIGHTED_SCALE);
    let extra = extra.map_err(|_error| "the add-on has too many digits".to_owned())?;
    let net = net_by(regime, percentage(inputs)?, outflow, &capped(inflow), extra)?;
    answer(inputs, outflow, inflow, &net)
}
