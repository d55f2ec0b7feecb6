//! The bank: its entities, accounts and holdings at the start of the day.
//!
//! Sizes follow from a mix per hundred of net outflow; the reserve account is then solved for, so that an entity opens
//! at the ratio that it is meant to have. Only what the day starts with is computed here; where the ratio goes from
//! there is for the pipeline to say.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::calendar::Date;
use crate::decimal::Decimal;
use crate::market::{Class, Market};
use crate::rng::Rng;

/// An entity and what it is to look like in the morning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entity {
    pub(crate) name: &'static str,
    pub(crate) ccy: &'static str,
    /// Countries whose paper it holds most of.
    countries: [&'static str; 2],
    /// Net outflow in millions of its currency.
    pub(crate) net_mn: i64,
    /// The ratio at which it opens, in percent.
    target_pct: i64,
}

pub(crate) const ENTITIES: [Entity; 4] = [
    Entity {
        name: "MER-US",
        ccy: "USD",
        countries: ["US", "XS"],
        net_mn: 26_500,
        target_pct: 131,
    },
    Entity {
        name: "MER-UK",
        ccy: "GBP",
        countries: ["GB", "US"],
        net_mn: 9_200,
        target_pct: 117,
    },
    Entity {
        name: "MER-DE",
        ccy: "EUR",
        countries: ["DE", "FR"],
        net_mn: 12_400,
        target_pct: 142,
    },
    Entity {
        name: "MER-SG",
        ccy: "SGD",
        countries: ["SG", "US"],
        net_mn: 4_100,
        target_pct: 157,
    },
];

/// A kind of balance: its name, its factor in percent of the amount, its amount in percent of the net outflow, over how
/// many accounts, and how it matures. Reserves and coins are stock and stand elsewhere.
struct Line {
    kind: &'static str,
    factor_pct: i64,
    share_pct: i64,
    accounts: usize,
    term: Term,
    named: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Term {
    Open,
    /// In days.
    Soon,
    /// Within the horizon.
    Within,
    Beyond,
}

const fn line(
    kind: &'static str,
    factor_pct: i64,
    share_pct: i64,
    accounts: usize,
    term: Term,
    named: bool,
) -> Line {
    Line {
        kind,
        factor_pct,
        share_pct,
        accounts,
        term,
        named,
    }
}

const OUT: [Line; 13] = [
    line("deposit_retail_stable", 5, 800, 6, Term::Open, false),
    line("deposit_retail_less_stable", 10, 150, 5, Term::Open, false),
    line("deposit_retail_term", 0, 10, 4, Term::Beyond, false),
    line("deposit_operational", 25, 64, 8, Term::Open, true),
    line("deposit_operational_insured", 5, 20, 3, Term::Open, true),
    line("deposit_nonfin", 40, 90, 12, Term::Open, true),
    line("deposit_nonfin_insured", 20, 18, 4, Term::Open, true),
    line("deposit_financial", 100, 22, 8, Term::Within, true),
    line("debt_issued", 100, 11, 4, Term::Within, false),
    line("commitment_credit_nonfin", 10, 80, 6, Term::Open, true),
    line("commitment_credit_retail", 5, 65, 3, Term::Open, false),
    line("commitment_liquidity_nonfin", 30, 14, 3, Term::Open, true),
    line("other_contractual_out", 100, 2, 2, Term::Within, false),
];

const IN: [Line; 5] = [
    line("loan_retail", 50, 33, 5, Term::Within, false),
    line("loan_nonfin", 50, 47, 8, Term::Within, true),
    line("loan_financial", 100, 18, 5, Term::Soon, true),
    line("nostro_excess", 100, 3, 4, Term::Open, true),
    line("nostro_operational", 0, 2, 3, Term::Open, true),
];

/// Currencies of the accounts that it keeps with other banks.
const ABROAD: [&str; 6] = ["USD", "EUR", "GBP", "JPY", "CHF", "AUD"];

/// Holdings by class, in percent of the net outflow.
const HELD: [(Class, i128); 5] = [
    (Class::L1, 38),
    (Class::L2A, 15),
    (Class::L2BRmbs, 2),
    (Class::L2B, 7),
    (Class::Non, 24),
];

#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) entity: usize,
    pub(crate) ccy: &'static str,
    pub(crate) cents: i128,
    maturity: Option<Date>,
    counterparty: Option<&'static str>,
    version: i64,
}

/// Where a quantity of an instrument is kept: entity, book, place in the market.
pub(crate) type Place = (usize, &'static str, usize);

#[derive(Debug)]
pub(crate) struct Bank {
    pub(crate) accounts: Vec<Account>,
    /// Face settled at the start of the day.
    pub(crate) holdings: BTreeMap<Place, i128>,
    /// Face that nothing encumbers yet.
    pub(crate) free: BTreeMap<Place, i128>,
}

impl Bank {
    /// The bank in the morning, before its reserves are known.
    pub(crate) fn new(rng: &mut Rng, market: &Market, today: Date) -> Self {
        let mut bank = Self {
            accounts: Vec::new(),
            holdings: BTreeMap::new(),
            free: BTreeMap::new(),
        };
        for (entity, of) in ENTITIES.iter().enumerate() {
            bank.open(
                rng,
                entity,
                "cb_reserve",
                0,
                Term::Open,
                false,
                market,
                today,
            );
            let coins = millions(of.net_mn) * 3 / 100;
            bank.open(
                rng,
                entity,
                "cash_coins",
                coins,
                Term::Open,
                false,
                market,
                today,
            );
            for line in OUT.iter().chain(&IN) {
                let total = millions(of.net_mn) * i128::from(line.share_pct) / 100;
                for part in split(rng, total, line.accounts) {
                    bank.open(
                        rng, entity, line.kind, part, line.term, line.named, market, today,
                    );
                }
            }
            bank.hold(rng, entity, market);
        }
        bank.free = bank.holdings.clone();
        bank
    }

    #[expect(clippy::too_many_arguments, reason = "what an account is, once")]
    fn open(
        &mut self,
        rng: &mut Rng,
        entity: usize,
        kind: &'static str,
        cents: i128,
        term: Term,
        named: bool,
        market: &Market,
        today: Date,
    ) {
        let maturity = match term {
            Term::Open => None,
            Term::Soon => Some(today.plus(rng.between(1, 2))),
            Term::Within => Some(today.plus(rng.between(3, 29))),
            Term::Beyond => Some(today.plus(rng.between(90, 700))),
        };
        let counterparty = named.then(|| rng.pick(&market.counterparties).id);
        let home = ENTITIES[entity].ccy;
        let ccy = if kind.starts_with("nostro") {
            *rng.pick(&ABROAD)
        } else {
            home
        };
        let cents = market.convert(cents, home, ccy);
        let id = format!("{}-{:04}", ENTITIES[entity].name, self.accounts.len() + 1);
        self.accounts.push(Account {
            id,
            kind,
            entity,
            ccy,
            cents,
            maturity,
            counterparty,
            version: 1,
        });
    }

    /// Another account, opened during the day.
    pub(crate) fn add(
        &mut self,
        entity: usize,
        kind: &'static str,
        cents: i128,
        maturity: Date,
    ) -> usize {
        let id = format!("{}-{:04}", ENTITIES[entity].name, self.accounts.len() + 1);
        let (ccy, maturity) = (ENTITIES[entity].ccy, Some(maturity));
        self.accounts.push(Account {
            id,
            kind,
            entity,
            ccy,
            cents,
            maturity,
            counterparty: None,
            version: 1,
        });
        self.accounts.len() - 1
    }

    fn hold(&mut self, rng: &mut Rng, entity: usize, market: &Market) {
        let Entity {
            ccy,
            countries,
            net_mn,
            ..
        } = ENTITIES[entity];
        for (class, pct) in HELD {
            let at_home = market.places(|i| i.class == class && countries.contains(&i.country));
            let places = if at_home.is_empty() {
                market.places(|i| i.class == class)
            } else {
                at_home
            };
            let worth = millions(net_mn) * pct / 100;
            for (place, part) in places.iter().zip(split(rng, worth, places.len())) {
                let instrument = &market.instruments[*place];
                let cents = market.convert(part, ccy, instrument.ccy);
                // In lots of 100,000 of face, or 1,000 shares.
                let lot = if instrument.per == 1 { 1_000 } else { 100_000 };
                let quantity = cents * lot / instrument.value(lot) / lot * lot;
                let book = if class == Class::Non || instrument.per == 1 {
                    "TRADING"
                } else {
                    "LIQUIDITY"
                };
                self.holdings.insert((entity, book, *place), quantity);
            }
        }
    }

    /// Sets every reserve account so that its entity opens at its target. The stock is what is free after what runs
    /// already is taken out, and what reverse repos brought in, both in US cents by entity.
    pub(crate) fn solve(&mut self, market: &Market, brought: &[i128]) {
        for (entity, of) in ENTITIES.iter().enumerate() {
            let held = self.free.iter().filter(|((of, ..), _)| *of == entity);
            let worth = |((_, _, place), quantity): (&Place, &i128)| {
                let instrument = &market.instruments[*place];
                market.convert(instrument.value(*quantity), instrument.ccy, of.ccy)
                    * instrument.class.kept_pct()
                    / 100
            };
            let securities =
                held.map(worth).sum::<i128>() + market.convert(brought[entity], "USD", of.ccy);
            let flow = |lines: &[Line]| {
                lines
                    .iter()
                    .map(|line| i128::from(line.share_pct * line.factor_pct))
                    .sum::<i128>()
            };
            let (out, inn) = (flow(&OUT), flow(&IN));
            let net = millions(of.net_mn) * (out - inn.min(out * 3 / 4)) / 10_000;
            let coins = millions(of.net_mn) * 3 / 100;
            let reserve = net * i128::from(of.target_pct) / 100 - securities - coins;
            let place = self.reserve_of(entity);
            self.accounts[place].cents = reserve.max(millions(10));
        }
    }

    /// The account at the central bank through which an entity pays and is paid.
    pub(crate) fn reserve_of(&self, entity: usize) -> usize {
        let mut places =
            (0..self.accounts.len()).filter(|place| self.accounts[*place].entity == entity);
        places
            .find(|place| self.accounts[*place].kind == "cb_reserve")
            .expect("every entity has one")
    }

    /// Places of an entity's accounts of a kind.
    pub(crate) fn accounts_of(&self, entity: usize, kind: &str) -> Vec<usize> {
        let of = |place: &usize| {
            self.accounts[*place].entity == entity && self.accounts[*place].kind == kind
        };
        (0..self.accounts.len()).filter(of).collect()
    }

    /// The next version of an account's balance.
    pub(crate) fn balance_message(&mut self, place: usize) -> Value {
        let account = &mut self.accounts[place];
        let entity = ENTITIES[account.entity];
        let mut message = json!({
            "accountId": account.id, "version": account.version, "kind": account.kind, "ccy": account.ccy,
            "amount": Decimal::cents(account.cents).number(), "entity": entity.name,
        });
        account.version += 1;
        if let Some(date) = account.maturity {
            message["maturity"] = date.iso().into();
        }
        if let Some(counterparty) = account.counterparty {
            message["counterparty"] = counterparty.into();
        }
        message
    }
}

/// Millions of a currency in cents.
pub(crate) fn millions(amount: i64) -> i128 {
    i128::from(amount) * 100_000_000
}

/// An amount in parts of uneven size, in whole thousands but for the last.
fn split(rng: &mut Rng, total: i128, parts: usize) -> Vec<i128> {
    let weights: Vec<i128> = (0..parts).map(|_| rng.between(40, 160).into()).collect();
    let sum: i128 = weights.iter().sum();
    let mut split: Vec<i128> = weights
        .iter()
        .map(|weight| total * weight / sum / 100_000 * 100_000)
        .collect();
    let rest = total - split.iter().sum::<i128>();
    if let Some(last) = split.last_mut() {
        *last += rest;
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mix is stated per hundred of net outflow, and comes to about a hundred.
    #[test]
    fn the_mix_adds_up() {
        let flow = |lines: &[Line]| {
            lines
                .iter()
                .map(|line| line.share_pct * line.factor_pct)
                .sum::<i64>()
        };
        let net = flow(&OUT) - flow(&IN);
        assert!((9_500..10_500).contains(&net), "{net}");
        assert!(flow(&IN) * 4 < flow(&OUT) * 3);
    }

    /// Every entity opens with reserves: the securities alone do not make its ratio.
    #[test]
    fn reserves_are_plausible() {
        let (mut rng, today) = (Rng::new(7), Date(20_514));
        let market = Market::new(&mut rng, today);
        let mut bank = Bank::new(&mut rng, &market, today);
        bank.solve(&market, &[0; ENTITIES.len()]);
        for (entity, of) in ENTITIES.iter().enumerate() {
            let reserve = bank.accounts[bank.reserve_of(entity)].cents;
            assert!(
                reserve > millions(of.net_mn) / 2 && reserve < millions(of.net_mn),
                "{} {reserve}",
                of.name
            );
        }
    }
}
