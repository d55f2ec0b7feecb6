//! What is traded, with whom, and at what price: instruments, counterparties, prices and rates that move.

use serde_json::{Value, json};

use crate::calendar::Date;
use crate::decimal::Decimal;
use crate::rng::Rng;

/// How well an instrument serves as liquidity, as the reference data below lead to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    L1,
    L2A,
    L2BRmbs,
    L2B,
    Non,
}

impl Class {
    /// What is left of the market value after the haircut, in percent.
    pub(crate) fn kept_pct(self) -> i128 {
        match self {
            Class::L1 => 100,
            Class::L2A => 85,
            Class::L2BRmbs => 75,
            Class::L2B => 50,
            Class::Non => 0,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Instrument {
    pub(crate) id: String,
    pub(crate) cusip: Option<String>,
    pub(crate) ccy: &'static str,
    pub(crate) class: Class,
    pub(crate) issuer: &'static str,
    pub(crate) country: &'static str,
    /// Dirty price in thousandths, for 100 of face or, of a share, for one.
    pub(crate) price: i64,
    pub(crate) per: i64,
    kind: &'static str,
    financial: bool,
    risk_weight: Option<&'static str>,
    rating: Option<&'static str>,
    major_index: bool,
    maturity: Option<Date>,
    price_version: i64,
}

/// Issuers: country, kind, issuer, currency, financial, risk weight, rating, class, how many instruments.
type Issuer = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    bool,
    Option<&'static str>,
    Option<&'static str>,
    Class,
    usize,
);

const ISSUERS: [Issuer; 27] = [
    (
        "US",
        "sovereign",
        "US-TREASURY",
        "USD",
        false,
        Some("0"),
        Some("AA+"),
        Class::L1,
        6,
    ),
    (
        "GB",
        "sovereign",
        "HM-TREASURY",
        "GBP",
        false,
        Some("0"),
        Some("AA"),
        Class::L1,
        5,
    ),
    (
        "DE",
        "sovereign",
        "BUND",
        "EUR",
        false,
        Some("0"),
        Some("AAA"),
        Class::L1,
        5,
    ),
    (
        "FR",
        "sovereign",
        "OAT",
        "EUR",
        false,
        Some("0"),
        Some("AA-"),
        Class::L1,
        3,
    ),
    (
        "SG",
        "sovereign",
        "SGS",
        "SGD",
        false,
        Some("0"),
        Some("AAA"),
        Class::L1,
        4,
    ),
    (
        "DE",
        "pse",
        "KFW",
        "EUR",
        false,
        Some("0"),
        Some("AAA"),
        Class::L1,
        2,
    ),
    (
        "XS",
        "mdb",
        "EIB",
        "EUR",
        false,
        Some("0"),
        Some("AAA"),
        Class::L1,
        2,
    ),
    (
        "US",
        "mdb",
        "IBRD",
        "USD",
        false,
        Some("0"),
        Some("AAA"),
        Class::L1,
        2,
    ),
    (
        "DE",
        "pse",
        "LAND-NRW",
        "EUR",
        false,
        Some("20"),
        Some("AA"),
        Class::L2A,
        2,
    ),
    (
        "US",
        "gse",
        "FNMA",
        "USD",
        false,
        Some("20"),
        Some("AA+"),
        Class::L2A,
        3,
    ),
    (
        "DE",
        "covered_bond",
        "RHEIN-HYP",
        "EUR",
        true,
        None,
        Some("AAA"),
        Class::L2A,
        3,
    ),
    (
        "GB",
        "covered_bond",
        "ALBION-BS",
        "GBP",
        true,
        None,
        Some("AAA"),
        Class::L2A,
        2,
    ),
    (
        "US",
        "corporate",
        "HARTLAND-RAIL",
        "USD",
        false,
        None,
        Some("AA-"),
        Class::L2A,
        2,
    ),
    (
        "SG",
        "corporate",
        "STRAITS-PORTS",
        "SGD",
        false,
        None,
        Some("AA"),
        Class::L2A,
        2,
    ),
    (
        "US",
        "corporate",
        "PRAIRIE-POWER",
        "USD",
        false,
        None,
        Some("A"),
        Class::L2B,
        2,
    ),
    (
        "GB",
        "corporate",
        "SEVERN-WATER",
        "GBP",
        false,
        None,
        Some("BBB+"),
        Class::L2B,
        2,
    ),
    (
        "FR",
        "corporate",
        "LOIRE-ENERGIE",
        "EUR",
        false,
        None,
        Some("A-"),
        Class::L2B,
        2,
    ),
    (
        "GB",
        "rmbs",
        "PENNINE-MORTGAGES",
        "GBP",
        false,
        None,
        Some("AAA"),
        Class::L2BRmbs,
        2,
    ),
    (
        "US",
        "equity",
        "GRANITE-TOOLS",
        "USD",
        false,
        None,
        None,
        Class::L2B,
        2,
    ),
    (
        "GB",
        "equity",
        "CALDER-FOODS",
        "GBP",
        false,
        None,
        None,
        Class::L2B,
        1,
    ),
    (
        "US",
        "corporate",
        "OZARK-TELECOM",
        "USD",
        false,
        None,
        Some("BB"),
        Class::Non,
        2,
    ),
    (
        "DE",
        "corporate",
        "ELBE-WERFT",
        "EUR",
        false,
        None,
        Some("BB+"),
        Class::Non,
        2,
    ),
    (
        "SG",
        "corporate",
        "MERLION-AIR",
        "SGD",
        false,
        None,
        Some("BB"),
        Class::Non,
        2,
    ),
    (
        "US",
        "corporate",
        "CASCADE-BANCORP",
        "USD",
        true,
        None,
        Some("A"),
        Class::Non,
        2,
    ),
    (
        "GB",
        "corporate",
        "THAMES-BANK",
        "GBP",
        true,
        None,
        Some("A+"),
        Class::Non,
        3,
    ),
    (
        "DE",
        "corporate",
        "ISAR-BANK",
        "EUR",
        true,
        None,
        Some("A-"),
        Class::Non,
        2,
    ),
    (
        "XS",
        "corporate",
        "LION-CITY-BANK",
        "SGD",
        true,
        None,
        Some("AA-"),
        Class::Non,
        2,
    ),
];

#[derive(Debug, Clone, Copy)]
pub(crate) struct Counterparty {
    pub(crate) id: &'static str,
    kind: &'static str,
    agreement: Option<&'static str>,
}

const COUNTERPARTIES: [(&str, &str, Option<&str>); 18] = [
    ("CASCADE-BANCORP", "bank", Some("ISDA-0101")),
    ("THAMES-BANK", "bank", Some("ISDA-0102")),
    ("ISAR-BANK", "bank", Some("ISDA-0103")),
    ("LION-CITY-BANK", "bank", Some("ISDA-0104")),
    ("SEINE-BANQUE", "bank", Some("ISDA-0105")),
    ("TOKAI-TRUST", "bank", Some("ISDA-0106")),
    ("HELVETIA-PRIVAT", "bank", None),
    ("ATLAS-ASSET-MGMT", "financial", Some("ISDA-0201")),
    ("BEACON-PENSIONS", "financial", None),
    ("CORAL-INSURANCE", "financial", Some("ISDA-0203")),
    ("HARTLAND-RAIL", "nonfin_corporate", None),
    ("ELBE-WERFT", "nonfin_corporate", None),
    ("SEVERN-WATER", "nonfin_corporate", None),
    ("STRAITS-PORTS", "nonfin_corporate", None),
    ("LAND-NRW", "pse", None),
    ("FED", "central_bank", None),
    ("ECB", "central_bank", None),
    ("BOE", "central_bank", None),
];

/// Millionths of a US dollar for one unit; the dollar itself has no message.
const RATES: [(&str, i64); 8] = [
    ("USD", 1_000_000),
    ("EUR", 1_084_200),
    ("GBP", 1_270_600),
    ("JPY", 6_712),
    ("CHF", 1_129_800),
    ("SGD", 745_300),
    ("AUD", 654_100),
    ("CAD", 731_900),
];

#[derive(Debug, Clone)]
struct Rate {
    ccy: &'static str,
    millionths: i64,
    version: i64,
}

#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) instruments: Vec<Instrument>,
    pub(crate) counterparties: Vec<Counterparty>,
    rates: Vec<Rate>,
}

impl Market {
    pub(crate) fn new(rng: &mut Rng, today: Date) -> Self {
        let mut instruments = Vec::new();
        for issuer in ISSUERS {
            instruments.extend((0..issuer.8).map(|_| Instrument::new(rng, &issuer, today)));
        }
        let counterparties = COUNTERPARTIES.map(|(id, kind, agreement)| Counterparty {
            id,
            kind,
            agreement,
        });
        let rates = RATES.map(|(ccy, millionths)| Rate {
            ccy,
            millionths,
            version: 1,
        });
        Self {
            instruments,
            counterparties: counterparties.into(),
            rates: rates.into(),
        }
    }

    /// Places of the instruments that satisfy a condition.
    pub(crate) fn places(&self, wanted: impl Fn(&Instrument) -> bool) -> Vec<usize> {
        (0..self.instruments.len())
            .filter(|place| wanted(&self.instruments[*place]))
            .collect()
    }

    /// Millionths of a US dollar for one unit.
    pub(crate) fn rate(&self, ccy: &str) -> i64 {
        self.rates
            .iter()
            .find(|rate| rate.ccy == ccy)
            .map_or(1_000_000, |rate| rate.millionths)
    }

    /// An amount in one currency, in cents, as the same value in another.
    pub(crate) fn convert(&self, cents: i128, from: &str, to: &str) -> i128 {
        cents * i128::from(self.rate(from)) / i128::from(self.rate(to))
    }

    /// Currencies that have a message of their own.
    pub(crate) fn currencies(&self) -> impl Iterator<Item = &'static str> {
        self.rates.iter().skip(1).map(|rate| rate.ccy)
    }

    /// Moves a rate by at most three hundredths of a percent.
    pub(crate) fn move_rate(&mut self, rng: &mut Rng, ccy: &str) {
        if let Some(rate) = self.rates.iter_mut().find(|rate| rate.ccy == ccy) {
            rate.millionths += rate.millionths * rng.between(-300, 300) / 1_000_000;
            rate.version += 1;
        }
    }

    /// Moves a price by at most eight hundredths of a percent.
    pub(crate) fn move_price(&mut self, rng: &mut Rng, place: usize) {
        let instrument = &mut self.instruments[place];
        instrument.price += instrument.price * rng.between(-800, 800) / 1_000_000;
        instrument.price_version += 1;
    }

    pub(crate) fn rate_message(&self, ccy: &str) -> Value {
        let rate = self
            .rates
            .iter()
            .find(|rate| rate.ccy == ccy)
            .expect("a currency of the table");
        json!({ "ccy": ccy, "rate": Decimal::new(rate.millionths.into(), 6).number(), "version": rate.version })
    }
}

impl Instrument {
    fn new(rng: &mut Rng, issuer: &Issuer, today: Date) -> Self {
        let (country, kind, issuer, ccy, financial, risk_weight, rating, class, _) = *issuer;
        let cusip = (country == "US").then(|| cusip(rng));
        let body = cusip
            .clone()
            .unwrap_or_else(|| (0..9).map(|_| digit(rng)).collect());
        let share = kind == "equity";
        Self {
            id: isin(country, &body),
            cusip,
            ccy,
            class,
            issuer,
            country,
            price: if share {
                rng.between(30_000, 240_000)
            } else {
                rng.between(93_500, 104_800)
            },
            per: if share { 1 } else { 100 },
            kind,
            financial,
            risk_weight,
            rating,
            major_index: share,
            maturity: (!share).then(|| today.plus(rng.between(400, 4_000))),
            price_version: 1,
        }
    }

    /// Market value in cents of so many units of face (or shares).
    pub(crate) fn value(&self, quantity: i128) -> i128 {
        // Thousandths to cents.
        quantity * i128::from(self.price) / i128::from(self.per) / 10
    }

    pub(crate) fn message(&self) -> Value {
        let mut message = json!({
            "instrumentId": self.id, "isin": self.id, "kind": self.kind, "issuerId": self.issuer,
            "issuerFinancial": self.financial, "ccy": self.ccy,
        });
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                message[name] = value;
            }
        };
        set("cusip", self.cusip.clone().map(Value::from));
        set("riskWeightPct", self.risk_weight.map(Value::from));
        set("rating", self.rating.map(Value::from));
        set("majorIndex", self.major_index.then_some(true.into()));
        set("maturity", self.maturity.map(|date| date.iso().into()));
        message
    }

    pub(crate) fn price_message(&self) -> Value {
        json!({
            "instrumentId": self.id, "dirtyPrice": Decimal::new(self.price.into(), 3).number(), "per": self.per,
            "ccy": self.ccy, "version": self.price_version,
        })
    }
}

impl Counterparty {
    pub(crate) fn message(self) -> Value {
        let mut message = json!({ "counterpartyId": self.id, "type": self.kind });
        if let Some(agreement) = self.agreement {
            message["nettingAgreement"] = agreement.into();
        }
        message
    }

    /// Banks and other financials trade; the rest is served.
    pub(crate) fn is_dealer(self) -> bool {
        matches!(self.kind, "bank" | "financial")
    }
}

fn digit(rng: &mut Rng) -> char {
    *rng.pick(&['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
}

/// Eight digits and the check digit that the number's standard asks for.
fn cusip(rng: &mut Rng) -> String {
    let digits: String = (0..8).map(|_| digit(rng)).collect();
    let doubled = |(at, digit): (usize, char)| {
        let value = digit.to_digit(10).unwrap_or(0) * if at % 2 == 1 { 2 } else { 1 };
        value / 10 + value % 10
    };
    let sum: u32 = digits.chars().enumerate().map(doubled).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// Country, nine characters and the check digit that the number's standard asks for.
fn isin(country: &str, body: &str) -> String {
    let values = country
        .chars()
        .chain(body.chars())
        .filter_map(|c| c.to_digit(36));
    let digits: Vec<u32> = values
        .flat_map(|value| {
            if value > 9 {
                vec![value / 10, value % 10]
            } else {
                vec![value]
            }
        })
        .collect();
    let doubled = |(at, digit): (usize, &u32)| {
        let value = digit * if at % 2 == 0 { 2 } else { 1 };
        value / 10 + value % 10
    };
    let sum: u32 = digits.iter().rev().enumerate().map(doubled).sum();
    format!("{country}{body}{}", (10 - sum % 10) % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that are printed on real paper have the check digits computed here.
    #[test]
    fn check_digits() {
        assert_eq!(isin("US", "037833100"), "US0378331005");
        assert_eq!(isin("GB", "000263494"), "GB0002634946");
    }

    /// A share's value is its price, a bond's a hundredth of it.
    #[test]
    fn market_values() {
        let mut rng = Rng::new(1);
        let market = Market::new(&mut rng, Date(20_000));
        let mut bond = market.instruments[0].clone();
        (bond.price, bond.per) = (98_520, 100);
        assert_eq!(bond.value(1_000_000), 98_520_000);
        (bond.price, bond.per) = (98_520, 1);
        assert_eq!(bond.value(10), 98_520);
    }
}
