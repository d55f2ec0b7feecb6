//! Worked cases against the rules: a file in the form of `tests/vectors/lcr-vectors.json`, each case at the level that
//! its `kind` speaks of.
//!
//! A kind is a row of [`KINDS`]: its name and the function that answers it. What the case expects must be answered, each
//! figure exactly; a kind, or a figure, that nobody answers is a failure. Another file needs no code.

mod answer;
mod anti;
mod book;
mod flows;
mod stock;

use answer::{Answer, Tolerance, differences};
use serde_json::Value;

/// What became of one case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its id, else its place.
    pub id: String,
    /// What is wrong; nothing when it passed.
    pub faults: Vec<String>,
}

/// Answers the inputs of a case, or says why it cannot.
type Answers = fn(&Case<'_>) -> Result<Answer, String>;

/// A case's inputs, and what the answers are wanted for.
struct Case<'v> {
    inputs: &'v Value,
    expected: &'v Value,
}

/// The kinds of cases, and the entry point of each.
const KINDS: [(&str, Answers); 8] = [
    ("hqla_caps", stock::caps),
    ("haircut_caps", stock::haircuts_and_caps),
    ("net_outflow", flows::net),
    ("eu_net_outflow", flows::eu_cascade),
    ("us_addon", flows::us_addon),
    ("by_currency", flows::by_currency),
    ("disclosure", flows::disclosure),
    ("trade_to_lcr", book::trades),
];

/// Runs a file's cases; fails when the text is no such file.
pub fn run(text: &str) -> Result<Vec<Outcome>, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let sections = file.as_object().ok_or("no JSON object")?;
    let mut outcomes = Vec::new();
    for (section, cases) in sections {
        let check: fn(&Value) -> Result<Vec<String>, String> = match section.as_str() {
            "schema" | "conventions" => continue,
            "cases" => case,
            "fuzz_cases" => random_case,
            "anti_vectors" => anti::case,
            _ => return Err(format!("unknown section `{section}`")),
        };
        let cases = cases.as_array();
        let cases = cases.ok_or_else(|| format!("`{section}` is no list"))?;
        for (at, value) in cases.iter().enumerate() {
            let id = ["id", "implementation"]
                .iter()
                .find_map(|name| value[name].as_str());
            outcomes.push(Outcome {
                id: id.map_or_else(|| format!("{section} {at}"), str::to_owned),
                faults: check(value).unwrap_or_else(|fault| vec![fault]),
            });
        }
    }
    Ok(outcomes)
}

/// The faults of every case that failed, and the count.
pub fn told(outcomes: &[Outcome]) -> String {
    let failed: Vec<&Outcome> = outcomes
        .iter()
        .filter(|outcome| !outcome.faults.is_empty())
        .collect();
    let lines = failed.iter().flat_map(|outcome| {
        outcome
            .faults
            .iter()
            .map(|fault| format!("{}: {fault}\n", outcome.id))
    });
    let told: String = lines.collect();
    format!(
        "{told}{} passed, {} failed\n",
        outcomes.len() - failed.len(),
        failed.len()
    )
}

fn case(case: &Value) -> Result<Vec<String>, String> {
    let kind = case["kind"].as_str().ok_or("has no `kind`")?;
    let (_, answer) = KINDS
        .iter()
        .find(|(known, _)| *known == kind)
        .ok_or_else(|| format!("nobody answers the kind `{kind}`"))?;
    let (inputs, expected) = (&case["inputs"], &case["expected"]);
    let answer = answer(&Case { inputs, expected })?;
    let tolerance = Tolerance::of(&case["tolerances"])?;
    let mut faults = differences(expected, &answer, &tolerance);
    if case["expect_mismatch"] == true {
        let published = &case["published_figures"];
        let figures = published.as_object().filter(|figures| !figures.is_empty());
        figures.ok_or("expects a mismatch and has no `published_figures`")?;
        if differences(published, &answer, &tolerance).is_empty() {
            faults.push("reproduces figures that contradict each other".to_owned());
        }
    }
    Ok(faults)
}

/// A random book by another implementation, printed to twelve decimals.
fn random_case(case: &Value) -> Result<Vec<String>, String> {
    let answer = stock::random(&case["in"])?;
    Ok(differences(&case["out"], &answer, &Tolerance::decimals(12)))
}

#[cfg(test)]
mod tests;
