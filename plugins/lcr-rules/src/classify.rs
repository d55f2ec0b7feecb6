//! The class of a security by its static data, regime by regime.
//!
//! Basel: B238 50-54 (LCR30.41-47). US: 12 CFR 249.20. EU: Art. 10-12 of 2015/61. The first match wins.

use crate::class::Class;
use crate::regime::Regime;

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

/// The rating bands of the rules, by the worst rating inside.
#[derive(Clone, Copy, Debug)]
enum Band {
    AaFlat = 2,
    AaMinus = 3,
    AMinus = 6,
    BbbMinus = 9,
}

/// Ratings in S&P notation, the best first.
const RATINGS: [&str; 10] = [
    "AAA", "AA+", "AA", "AA-", "A+", "A", "A-", "BBB+", "BBB", "BBB-",
];

impl Instrument<'_> {
    fn is_rated(&self, worst: Band) -> bool {
        let rank = self
            .rating
            .and_then(|rating| RATINGS.iter().position(|known| *known == rating));
        rank.is_some_and(|rank| rank <= worst as usize)
    }
}

/// The class of an instrument in a regime.
pub fn classify(instrument: &Instrument<'_>, regime: Regime) -> Class {
    // Own paper never counts; paper of financial institutions only as covered bonds (B238 50-54).
    let is_covered = instrument.kind == InstrumentKind::CoveredBond;
    if instrument.is_own_issue || (instrument.is_issuer_financial && !is_covered) {
        return Class::Non;
    }
    match instrument.kind {
        InstrumentKind::Sovereign | InstrumentKind::CentralBank => sovereign(instrument),
        InstrumentKind::Pse | InstrumentKind::Mdb => by_risk_weight(instrument),
        InstrumentKind::Gse => gse(instrument, regime),
        InstrumentKind::Municipal => municipal(instrument, regime),
        InstrumentKind::Corporate => corporate(instrument, regime),
        InstrumentKind::CoveredBond => covered_bond(instrument, regime),
        InstrumentKind::Rmbs => rmbs(instrument, regime),
        InstrumentKind::Equity if instrument.is_major_index => Class::L2b,
        InstrumentKind::Equity | InstrumentKind::Commodity => Class::Non,
    }
}

/// B238 50(c)-(e), 52(a).
fn sovereign(instrument: &Instrument<'_>) -> Class {
    if instrument.is_home_or_local_currency {
        Class::L1
    } else {
        by_risk_weight(instrument)
    }
}

/// B238 50(c), 52(a).
fn by_risk_weight(instrument: &Instrument<'_>) -> Class {
    match instrument.risk_weight {
        Some(0) => Class::L1,
        Some(20) => Class::L2a,
        _ => Class::Non,
    }
}

/// A public sector entity, but 12 CFR 249.20(b)(1) names it.
fn gse(instrument: &Instrument<'_>, regime: Regime) -> Class {
    match regime {
        Regime::Us => Class::L2a,
        Regime::Basel | Regime::Eu => by_risk_weight(instrument),
    }
}

/// A public sector entity, but 12 CFR 249.20(c)(2) takes investment grade as level 2B.
fn municipal(instrument: &Instrument<'_>, regime: Regime) -> Class {
    match regime {
        Regime::Us => if_rated(instrument, Band::BbbMinus, Class::L2b),
        Regime::Basel | Regime::Eu => by_risk_weight(instrument),
    }
}

/// B238 52(b), 54(b); 12 CFR 249.20(c)(1): investment grade is level 2B.
fn corporate(instrument: &Instrument<'_>, regime: Regime) -> Class {
    let is_high = instrument.is_rated(Band::AaMinus) && regime != Regime::Us;
    if is_high {
        Class::L2a
    } else {
        if_rated(instrument, Band::BbbMinus, Class::L2b)
    }
}

/// B238 52(b); none in the US; EU Art. 10(1)(f), 11(1)(c)-(d).
fn covered_bond(instrument: &Instrument<'_>, regime: Regime) -> Class {
    match regime {
        Regime::Basel => if_rated(instrument, Band::AaMinus, Class::L2a),
        Regime::Us => Class::Non,
        Regime::Eu if instrument.is_ehq => Class::L1Cb,
        Regime::Eu => if_rated(instrument, Band::AMinus, Class::L2a),
    }
}

/// B238 54(a); EU Art. 12(1)(a), 13; none in the US.
fn rmbs(instrument: &Instrument<'_>, regime: Regime) -> Class {
    match regime {
        Regime::Us => Class::Non,
        Regime::Basel | Regime::Eu => if_rated(instrument, Band::AaFlat, Class::L2bRmbs),
    }
}

fn if_rated(instrument: &Instrument<'_>, worst: Band, class: Class) -> Class {
    if instrument.is_rated(worst) {
        class
    } else {
        Class::Non
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, classes: [Class; 3]) {
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
            Regime::ALL.map(|regime| classify(&instrument, regime)),
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
