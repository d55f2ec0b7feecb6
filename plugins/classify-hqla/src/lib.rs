//! The liquidity class of each instrument by its static data, in every regime: a `transform` over instruments.
//!
//! The rules are dated data, see `lcr_rules::classify`: an instrument whose classes change on a date has a row for the
//! days before and one for those from then on. An instrument that is not known has no row here, and the pipeline takes it for
//! `NON`.

use lcr_rules::{Instrument, InstrumentKind, Regime, Rules, Terms, classify};
use weir_sdk::{
    Batch, Data, Description, Failure, Json, Output, Record, Shape, Transform, export_transform,
    record,
};

record! {
    /// An instrument's static data.
    pub struct StaticData<'a> {
        /// Its id.
        instrument_id: utf8,
        /// What it is.
        instrument_kind: utf8,
        /// Who issued it.
        issuer_id: utf8,
        /// Whether that is a financial institution.
        issuer_financial: bool,
        /// The standardised approach's risk weight.
        risk_weight_pct: decimal128(38, 9),
        /// In S&P notation.
        rating: utf8,
        /// Issued in the home currency, or that of the risk.
        home_or_local_ccy: bool,
        /// Member of a major index.
        major_index: bool,
        /// The bank's own paper.
        own_issue: bool,
        /// Extremely high quality covered bond.
        ehq: bool,
        /// What it is quoted in.
        currency: utf8,
        /// When it is redeemed.
        maturity: date32,
    }
}

record! {
    /// An instrument with its classes.
    pub struct Classified<'a> {
        /// Its id.
        instrument_id: utf8,
        /// What it is.
        instrument_kind: utf8,
        /// Who issued it.
        issuer_id: utf8,
        /// What it is quoted in.
        currency: utf8,
        /// When it is redeemed.
        maturity: date32,
        /// Its class in Basel.
        hqla_class: utf8 required,
        /// Its class in the US.
        us_class: utf8 required,
        /// Its class in the EU.
        eu_class: utf8 required,
        /// The first day on which it is of these; null: ever.
        valid_from: date32,
        /// The first day after; null: for ever.
        valid_until: date32,
    }
}

/// A risk weight is kept to nine decimals; the rules know whole percentages.
const PERCENT: i128 = 1_000_000_000;

/// The plugin: the rules of each period that differs in some, from its first day on.
#[derive(Clone, Debug)]
pub struct ClassifyHqla {
    periods: Vec<(Option<i32>, [Terms; 3])>,
}

impl Transform for ClassifyHqla {
    fn description() -> Description {
        Description {
            name: "classify_hqla",
            version: env!("CARGO_PKG_VERSION"),
            config_schema: r#"{"type":"object","additionalProperties":false}"#,
            shapes: vec![Shape::transform(StaticData::fields(), Classified::fields())],
        }
    }

    fn open(_config: &Json, data: &Data) -> Result<Self, Failure> {
        let rules = Rules::of(
            |name| data.text(name),
            |why| Failure::new("rules_invalid", why),
        )?;
        let terms = |date| Regime::ALL.map(|regime| rules.terms(regime, date));
        let dates = rules.class_dates();
        let later = dates.iter().map(|date| (Some(*date), terms(*date)));
        Ok(Self {
            periods: std::iter::once((None, terms(i32::MIN)))
                .chain(later)
                .collect(),
        })
    }

    fn transform(&self, rows: &Batch, out: &mut Output) {
        for (row, data) in rows.records::<StaticData<'_>>() {
            match instrument(&data) {
                Some(instrument) => {
                    for classified in &self.classified(&data, &instrument) {
                        out.push(row, classified);
                    }
                }
                None => out.refuse_field(
                    row,
                    "instrument_kind",
                    "unknown_kind",
                    "no rule for this kind of instrument",
                ),
            }
        }
    }
}

export_transform!(ClassifyHqla);

fn instrument<'a>(data: &StaticData<'a>) -> Option<Instrument<'a>> {
    let whole = |digits: i128| (digits % PERCENT == 0).then_some(digits / PERCENT);
    let is = |flag: Option<bool>| flag.unwrap_or(false);
    Some(Instrument {
        kind: InstrumentKind::parse(data.instrument_kind?)?,
        is_issuer_financial: is(data.issuer_financial),
        is_own_issue: is(data.own_issue),
        risk_weight: data
            .risk_weight_pct
            .and_then(whole)
            .and_then(|weight| u8::try_from(weight).ok()),
        rating: data.rating,
        is_home_or_local_currency: is(data.home_or_local_ccy),
        is_major_index: is(data.major_index),
        is_ehq: is(data.ehq),
    })
}

impl ClassifyHqla {
    /// A row for every run of days with the same classes.
    fn classified<'a>(
        &self,
        data: &StaticData<'a>,
        instrument: &Instrument<'_>,
    ) -> Vec<Classified<'a>> {
        let mut rows: Vec<Classified<'a>> = Vec::new();
        for (from, terms) in &self.periods {
            let [hqla_class, us_class, eu_class] = terms
                .each_ref()
                .map(|terms| classify(instrument, terms).name());
            let classes = [hqla_class, us_class, eu_class];
            if let Some(last) = rows.last_mut() {
                if [last.hqla_class, last.us_class, last.eu_class] == classes {
                    continue;
                }
                last.valid_until = *from;
            }
            rows.push(Classified {
                instrument_id: data.instrument_id,
                instrument_kind: data.instrument_kind,
                issuer_id: data.issuer_id,
                currency: data.currency,
                maturity: data.maturity,
                hqla_class,
                us_class,
                eu_class,
                valid_from: *from,
                valid_until: None,
            });
        }
        rows
    }
}

#[cfg(test)]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
mod tests {
    use super::*;
    use expect_test::expect;
    use weir_sdk::harness;

    /// One row a kind of answer: three regimes that differ, a risk weight between the bands, a class that changes on a
    /// date, an unknown kind.
    #[test]
    fn classifies() {
        let rows = r#"
            {"instrument_id": "C", "instrument_kind": "covered_bond", "issuer_id": "I", "issuer_financial": true, "rating": "AA-", "ehq": true, "currency": "EUR", "maturity": "2030-01-01"}
            {"instrument_id": "S", "instrument_kind": "sovereign", "issuer_id": "J", "issuer_financial": false, "risk_weight_pct": 0.5, "currency": "USD"}
            {"instrument_id": "S2", "instrument_kind": "sovereign", "issuer_id": "J", "issuer_financial": false, "risk_weight_pct": 20, "currency": "USD"}
            {"instrument_id": "D", "instrument_kind": "corporate", "rating": "BBB+"}
            {"instrument_id": "X", "instrument_kind": "bond"}"#;
        let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
        let basel = include_str!("../../../schemas/rules/basel.csv");
        let dated = "basel,class.corporate.rating BBB-,L2B,,2026-07-01,,B238 54(b)\n\
                     basel,class.corporate.rating BBB-,NON,2026-07-01,,,of this test";
        let data = Data::new(vec![
            file(
                "basel.csv",
                &basel.replace("basel,class.corporate.rating BBB-,L2B,,,,B238 54(b)", dated),
            ),
            file("us.csv", include_str!("../../../schemas/rules/us.csv")),
            file("eu.csv", include_str!("../../../schemas/rules/eu.csv")),
        ]);
        let ran = harness::transform::<ClassifyHqla>("{}", &data, rows).unwrap();
        expect![[r#"
            0: instrument_id=C instrument_kind=covered_bond issuer_id=I currency=EUR maturity=2030-01-01 hqla_class=L2A us_class=NON eu_class=L1CB
            1: instrument_id=S instrument_kind=sovereign issuer_id=J currency=USD hqla_class=NON us_class=NON eu_class=NON
            2: instrument_id=S2 instrument_kind=sovereign issuer_id=J currency=USD hqla_class=L2A us_class=L2A eu_class=L2A
            3: instrument_id=D instrument_kind=corporate hqla_class=L2B us_class=L2B eu_class=L2B valid_until=2026-07-01
            3: instrument_id=D instrument_kind=corporate hqla_class=NON us_class=L2B eu_class=L2B valid_from=2026-07-01
            refused 4: unknown_kind (instrument_kind): no rule for this kind of instrument
        "#]].assert_eq(&ran.to_string());
    }
}
