//! The class of a security by its static data, by the dated rules `class.<kind>.<condition>`: the first that matches
//! wins. Conditions: `any`, `home_or_local`, `major_index`, `ehq`, `risk_weight 20`, `rating AA-` (that or better).

use crate::class::Class;
use crate::terms::Terms;

/// What kind of paper it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstrumentKind {
    /// Issued or guaranteed by a state.
    Sovereign,
    /// Issued or guaranteed by a central bank.
    CentralBank,
    /// Public sector entity.
    Pse,
    /// Multilateral development bank.
    Mdb,
    /// Corporate debt.
    Corporate,
    /// Covered bond.
    CoveredBond,
    /// Residential mortgage backed security.
    Rmbs,
    /// Common equity.
    Equity,
    /// A commodity.
    Commodity,
    /// Government sponsored enterprise.
    Gse,
    /// Municipal debt.
    Municipal,
}

impl InstrumentKind {
    /// The kind of this name, as static data writes it.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "sovereign" => Self::Sovereign,
            "central_bank" => Self::CentralBank,
            "pse" => Self::Pse,
            "mdb" => Self::Mdb,
            "corporate" => Self::Corporate,
            "covered_bond" => Self::CoveredBond,
            "rmbs" => Self::Rmbs,
            "equity" => Self::Equity,
            "commodity" => Self::Commodity,
            "gse" => Self::Gse,
            "municipal" => Self::Municipal,
            _ => return None,
        })
    }
}

/// Static data of an instrument, as far as its class depends on it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "static data is flags")]
pub struct Instrument<'a> {
    /// What it is.
    pub kind: InstrumentKind,
    /// The issuer is a financial institution.
    pub is_issuer_financial: bool,
    /// The bank's or an affiliate's own paper.
    pub is_own_issue: bool,
    /// The standardised approach's risk weight, if it is a whole percentage.
    pub risk_weight: Option<u8>,
    /// Rating in S&P notation; anything else is below BBB-.
    pub rating: Option<&'a str>,
    /// Issued in the currency of the home country or of where the risk is taken.
    pub is_home_or_local_currency: bool,
    /// Member of a major index.
    pub is_major_index: bool,
    /// Extremely high quality covered bond.
    pub is_ehq: bool,
}

/// Ratings in S&P notation, the best first.
const RATINGS: [&str; 10] = [
    "AAA", "AA+", "AA", "AA-", "A+", "A", "A-", "BBB+", "BBB", "BBB-",
];

fn rank(rating: &str) -> Option<usize> {
    RATINGS.iter().position(|known| *known == rating)
}

/// A rule: instruments of a kind that meet a condition are of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClassRule {
    kind: InstrumentKind,
    condition: Condition,
    class: Class,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Any,
    HomeOrLocal,
    MajorIndex,
    Ehq,
    RiskWeight(u8),
    /// The worst rating's rank.
    Rating(usize),
}

impl ClassRule {
    /// Reads `<kind>.<condition>` and a class.
    pub(crate) fn parse(rule: &str, class: &str) -> Result<Self, String> {
        let (kind, condition) = rule.split_once('.').ok_or_else(|| {
            format!("`{rule}` has no condition: write `class.<kind>.<condition>`")
        })?;
        Ok(Self {
            kind: InstrumentKind::parse(kind).ok_or_else(|| {
                format!("unknown kind of instrument `{kind}`: see `kind` of refdata")
            })?,
            condition: Condition::parse(condition)
                .ok_or_else(|| format!("unknown condition `{condition}`: such as `rating AA-`"))?,
            class: Class::parse(class).ok_or_else(|| {
                let known = Class::ALL.map(Class::name).join(", ");
                format!("unknown class `{class}`: write one of {known}")
            })?,
        })
    }

    fn matches(&self, instrument: &Instrument<'_>) -> bool {
        self.kind == instrument.kind
            && match self.condition {
                Condition::Any => true,
                Condition::HomeOrLocal => instrument.is_home_or_local_currency,
                Condition::MajorIndex => instrument.is_major_index,
                Condition::Ehq => instrument.is_ehq,
                Condition::RiskWeight(weight) => instrument.risk_weight == Some(weight),
                Condition::Rating(worst) => instrument
                    .rating
                    .and_then(rank)
                    .is_some_and(|rank| rank <= worst),
            }
    }
}

impl Condition {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            None => match text {
                "any" => Some(Self::Any),
                "home_or_local" => Some(Self::HomeOrLocal),
                "major_index" => Some(Self::MajorIndex),
                "ehq" => Some(Self::Ehq),
                _ => None,
            },
            Some(("risk_weight", weight)) => weight.parse().ok().map(Self::RiskWeight),
            Some(("rating", worst)) => rank(worst).map(Self::Rating),
            Some(_) => None,
        }
    }
}

/// The class of an instrument by these rules. Own paper never counts; paper of financial institutions only as covered
/// bonds (B238 50-54).
pub fn classify(instrument: &Instrument<'_>, terms: &Terms) -> Class {
    let is_covered = instrument.kind == InstrumentKind::CoveredBond;
    if instrument.is_own_issue || (instrument.is_issuer_financial && !is_covered) {
        return Class::Non;
    }
    let mut rules = terms.class_rules().iter();
    rules
        .find(|rule| rule.matches(instrument))
        .map_or(Class::Non, |rule| rule.class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regime::Regime;

    fn check(text: &str, classes: [Class; 3]) {
        let rules = crate::tests::rules();
        let mut words = text.split_whitespace();
        let kind = words
            .next()
            .and_then(InstrumentKind::parse)
            .expect("a kind comes first");
        let mut instrument = Instrument {
            kind,
            is_issuer_financial: false,
            is_own_issue: false,
            risk_weight: None,
            rating: None,
            is_home_or_local_currency: false,
            is_major_index: false,
            is_ehq: false,
        };
        for word in words {
            match word {
                "financial" => instrument.is_issuer_financial = true,
                "own" => instrument.is_own_issue = true,
                "home" => instrument.is_home_or_local_currency = true,
                "index" => instrument.is_major_index = true,
                "ehq" => instrument.is_ehq = true,
                _ => match word.parse() {
                    Ok(weight) => instrument.risk_weight = Some(weight),
                    Err(_) => instrument.rating = Some(word),
                },
            }
        }
        assert_eq!(
            Regime::ALL.map(|regime| classify(&instrument, &rules.terms(regime, 20_000))),
            classes,
            "{text}"
        );
    }

    /// Each row of section 4's list, at the edges of its bands; classes in Basel, the US, the EU.
    #[test]
    fn classes_by_static_data() {
        use Class::{L1, L1Cb, L2a, L2b, L2bRmbs, Non};
        check("sovereign 0", [L1; 3]);
        check("sovereign 20", [L2a; 3]);
        check("sovereign 50", [Non; 3]);
        check("sovereign 50 home", [L1; 3]);
        check("central_bank home", [L1; 3]);
        check("sovereign 0 own", [Non; 3]);
        check("pse 0", [L1; 3]);
        check("pse 0 financial", [Non; 3]);
        check("mdb 20 home", [L2a; 3]);
        check("pse home", [Non; 3]);
        check("corporate AA-", [L2a, L2b, L2a]);
        check("corporate A+", [L2b; 3]);
        check("corporate BBB-", [L2b; 3]);
        check("corporate BB+", [Non; 3]);
        check("corporate Aaa", [Non; 3]);
        check("corporate AAA financial", [Non; 3]);
        check("covered_bond AA- financial", [L2a, Non, L2a]);
        check("covered_bond A-", [Non, Non, L2a]);
        check("covered_bond BBB+", [Non; 3]);
        check("covered_bond AAA ehq", [L2a, Non, L1Cb]);
        check("covered_bond AAA own ehq", [Non; 3]);
        check("rmbs AA", [L2bRmbs, Non, L2bRmbs]);
        check("rmbs AA-", [Non; 3]);
        check("equity index", [L2b; 3]);
        check("equity", [Non; 3]);
        check("equity index financial", [Non; 3]);
        check("gse 20", [L2a; 3]);
        check("gse 0", [L1, L2a, L1]);
        check("municipal 20 BBB-", [L2a, L2b, L2a]);
        check("municipal 50 BB", [Non; 3]);
        check("commodity 0 AAA home index", [Non; 3]);
    }
}
