//! The trading day: deals, what becomes of them, and the cash that they move.
//!
//! A deal is struck whole: its later versions, its cancellation, its confirmations and its cash are put on the agenda
//! at once, so that the day depends on the seed alone and not on how it is read out.

use std::mem;

use serde_json::{Value, json};

use crate::agenda::{Agenda, Event};
use crate::bank::{Bank, ENTITIES, Place};
use crate::calendar::{Date, MINUTE_MS, SECOND_MS, instant};
use crate::decimal::Decimal;
use crate::market::{Class, Market};
use crate::message::{Body, Message};
use crate::rng::Rng;

/// How the sources of a day behave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    /// Every notation the contract allows, instead of one a topic.
    pub(crate) any_notation: bool,
    /// Conflicting and surplus messages, deletions, repeats: what tests want and a demo does not.
    pub(crate) unruly: bool,
    /// Milliseconds between deals, on average, and how many are struck in the same one.
    pub(crate) deal_every_ms: i64,
    pub(crate) deals_at_once: u32,
    /// Sizes of deals and payments, in percent of the usual.
    pub(crate) size_pct: i64,
}

/// What kind of thing happens next.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Fx,
    Repo,
    Reverse,
    Swap,
    Bond,
    Payment,
    Prices,
    Rates,
    Bad,
}

const KINDS: [(Kind, i64); 9] = [
    (Kind::Fx, 470),
    (Kind::Repo, 70),
    (Kind::Reverse, 40),
    (Kind::Swap, 5),
    (Kind::Bond, 175),
    (Kind::Payment, 90),
    (Kind::Prices, 100),
    (Kind::Rates, 45),
    (Kind::Bad, 5),
];

const PAIRS: [(&str, &str); 8] = [
    ("EUR", "USD"),
    ("GBP", "USD"),
    ("USD", "JPY"),
    ("USD", "SGD"),
    ("EUR", "GBP"),
    ("USD", "CHF"),
    ("AUD", "USD"),
    ("USD", "CAD"),
];

#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) rng: Rng,
    pub(crate) market: Market,
    pub(crate) bank: Bank,
    pub(crate) today: Date,
    pub(crate) agenda: Agenda,
    habits: Habits,
    deals: u64,
    start: Vec<Message>,
}

impl Desk {
    /// The bank in the morning: everything the day starts with is stamped `start_ms`.
    pub(crate) fn open(seed: u64, start_ms: i64, habits: Habits) -> Self {
        let mut rng = Rng::new(seed);
        let today = Date::of_ms(start_ms);
        let market = Market::new(&mut rng, today);
        let bank = Bank::new(&mut rng, &market, today);
        let agenda = Agenda::default();
        let mut desk = Self {
            rng,
            market,
            bank,
            today,
            agenda,
            habits,
            deals: 0,
            start: Vec::new(),
        };
        let brought = desk.outstanding(start_ms);
        desk.bank.solve(&desk.market, &brought);
        desk.state(start_ms);
        for entity in 0..ENTITIES.len() {
            let first = desk.rng.between(20 * SECOND_MS, 4 * MINUTE_MS);
            desk.agenda.put(
                start_ms + first,
                Event::Reserves {
                    entity,
                    again: true,
                },
            );
        }
        desk.agenda.put(start_ms + 5 * SECOND_MS, Event::Deal);
        desk
    }

    /// The messages that the day starts with, once.
    pub(crate) fn start(&mut self) -> Vec<Message> {
        mem::take(&mut self.start)
    }

    /// The next message due by an instant, after everything that happens before it.
    pub(crate) fn next(&mut self, until_ms: i64) -> Option<Message> {
        loop {
            let (at_ms, event) = self.agenda.take(until_ms)?;
            match event {
                Event::Send(message) => return Some(message),
                Event::Cash { entity, cents } => {
                    let reserve = self.bank.reserve_of(entity);
                    self.bank.accounts[reserve].cents += cents;
                }
                Event::Reserves { entity, again } => {
                    if again {
                        let next = at_ms + self.rng.between(3 * MINUTE_MS, 9 * MINUTE_MS);
                        self.agenda.put(next, Event::Reserves { entity, again });
                    }
                    return Some(self.balance(at_ms, self.bank.reserve_of(entity)));
                }
                Event::Pay { place, cents } => {
                    let reserve = self.bank.reserve_of(self.bank.accounts[place].entity);
                    self.bank.accounts[place].cents += cents;
                    self.bank.accounts[reserve].cents += cents;
                    return Some(self.balance(at_ms, place));
                }
                Event::Deal => {
                    let mean = self.habits.deal_every_ms;
                    let next = at_ms + self.rng.between(mean / 5, mean * 9 / 5).max(1);
                    self.agenda.put(next, Event::Deal);
                    (0..self.habits.deals_at_once).for_each(|_| self.deal(at_ms));
                }
            }
        }
    }

    /// Reference data, prices, rates, balances and holdings.
    fn state(&mut self, at_ms: i64) {
        let message = |topic, key: &str, value| Message {
            topic,
            at_ms,
            key: key.to_owned(),
            body: Body::Value(value),
        };
        let mut start = mem::take(&mut self.start);
        for counterparty in &self.market.counterparties {
            start.push(message(
                "refdata.counterparties",
                counterparty.id,
                counterparty.message(),
            ));
        }
        start.extend(
            self.market
                .currencies()
                .map(|ccy| message("refdata.fx", ccy, self.market.rate_message(ccy))),
        );
        for instrument in &self.market.instruments {
            start.push(message(
                "refdata.instruments",
                &instrument.id,
                instrument.message(),
            ));
            start.push(message(
                "refdata.prices",
                &instrument.id,
                instrument.price_message(),
            ));
        }
        for (place, quantity) in &self.bank.holdings {
            let (entity, book, instrument) = (
                ENTITIES[place.0].name,
                place.1,
                &self.market.instruments[place.2].id,
            );
            let value = json!({
                "entity": entity, "book": book, "instrument_id": instrument,
                "quantity": quantity.to_string(), "encumbered": "0", "version": 1,
            });
            start.push(message(
                "holdings",
                &format!("{entity}|{book}|{instrument}"),
                value,
            ));
        }
        for place in 0..self.bank.accounts.len() {
            let value = self.bank.balance_message(place);
            start.push(message("balances", &self.bank.accounts[place].id, value));
        }
        self.start = start;
    }

    /// Deals of earlier days that still run. Answers what their collateral adds to the stock, in US cents by entity.
    fn outstanding(&mut self, at_ms: i64) -> Vec<i128> {
        let agenda = mem::take(&mut self.agenda);
        let mut brought = vec![0; ENTITIES.len()];
        for _ in 0..120 {
            let start = self.today.plus(-self.rng.between(1, 40));
            self.fx(at_ms, start);
        }
        for _ in 0..16 {
            let start = self.today.plus(-self.rng.between(1, 3));
            self.repo(at_ms, start, self.today.plus(60));
        }
        for _ in 0..10 {
            let start = self.today.plus(-self.rng.between(1, 3));
            let (entity, usd_cents) = self.reverse(at_ms, start);
            brought[entity] += usd_cents;
        }
        // Their cash went long ago, and nothing more becomes of them than that they run.
        let mut planned = mem::replace(&mut self.agenda, agenda);
        while let Some((at, event)) = planned.take(at_ms) {
            if let (true, Event::Send(message)) = (at == at_ms, event) {
                self.start.push(message);
            }
        }
        brought
    }

    fn balance(&mut self, at_ms: i64, place: usize) -> Message {
        let value = self.bank.balance_message(place);
        let key = self.bank.accounts[place].id.clone();
        Message {
            topic: "balances",
            at_ms,
            key,
            body: Body::Value(value),
        }
    }

    fn deal(&mut self, at_ms: i64) {
        match self.rng.weighted(&KINDS) {
            Kind::Fx => self.fx(at_ms, self.today),
            Kind::Repo => self.repo(at_ms, self.today, self.today),
            Kind::Reverse => drop(self.reverse(at_ms, self.today)),
            Kind::Swap => self.collateral_swap(at_ms),
            Kind::Bond => self.bond(at_ms),
            Kind::Payment => self.payment(at_ms),
            Kind::Prices => self.prices(at_ms),
            Kind::Rates => self.rates(at_ms),
            Kind::Bad => self.bad(at_ms),
        }
    }

    fn id(&mut self, prefix: &str) -> String {
        self.deals += 1;
        format!("{prefix}-{:06}", self.deals)
    }

    fn dealer(&mut self) -> &'static str {
        let dealers: Vec<_> = self
            .market
            .counterparties
            .iter()
            .filter(|counterparty| counterparty.is_dealer())
            .collect();
        self.rng.pick(&dealers).id
    }

    /// The bigger an entity, the more it deals.
    fn entity(&mut self) -> usize {
        let weights: Vec<(usize, i64)> = ENTITIES
            .iter()
            .map(|entity| entity.net_mn)
            .enumerate()
            .collect();
        self.rng.weighted(&weights)
    }

    /// So many hundredths of a percent of an entity's net outflow, in cents of its currency, at least a thousand.
    fn size(&mut self, entity: usize, low: i64, high: i64) -> i128 {
        let part = self.rng.between(low, high) * self.habits.size_pct / 100;
        (crate::bank::millions(ENTITIES[entity].net_mn) * i128::from(part) / 10_000).max(100_000)
    }

    pub(crate) fn send(&mut self, at_ms: i64, topic: &'static str, key: &str, value: Value) {
        let message = Message {
            topic,
            at_ms,
            key: key.to_owned(),
            body: Body::Value(value),
        };
        self.agenda.put(at_ms, Event::Send(message));
    }

    /// An amount in one of the notations that its source uses.
    fn written(&mut self, amount: Decimal) -> Value {
        if !self.habits.any_notation {
            return amount.number();
        }
        match self.rng.between(0, 3) {
            0 => amount.number(),
            1 => amount.text(),
            2 => amount.grouped().into(),
            _ => amount.suffixed().map_or_else(|| amount.text(), Value::from),
        }
    }

    fn dated(&mut self, date: Date) -> Value {
        let style = if self.habits.any_notation {
            self.rng.index(5)
        } else {
            0
        };
        date.styled(style).into()
    }

    fn fx(&mut self, at_ms: i64, traded: Date) {
        let entity = self.entity();
        let (base, quote) = *self.rng.pick(&PAIRS);
        let of = ENTITIES[entity].ccy;
        let size = self.size(entity, 1, 40);
        // In lots of 100,000 of the base currency.
        let notional = (self.market.convert(size, of, base) / 10_000_000).max(1) * 100_000;
        let rate =
            i128::from(self.market.rate(base)) * 1_000_000 / i128::from(self.market.rate(quote));
        let rate = rate + rate * i128::from(self.rng.between(-60, 60)) / 100_000;
        let spot = traded.plus_business(2);
        let product = self
            .rng
            .weighted(&[("SPOT", 55), ("FORWARD", 22), ("SWAP", 18), ("NDF", 5)]);
        let settles = match product {
            "FORWARD" | "NDF" => self.today.plus(self.rng.between(3, 120)),
            _ if spot < self.today => self.today.plus_business(1),
            _ => spot,
        };
        let id = self.id("FX");
        let pair = if self.habits.any_notation {
            self.rng
                .pick(&[
                    format!("{base}/{quote}"),
                    format!("{base}{quote}"),
                    format!("{base}/{quote}").to_lowercase(),
                ])
                .clone()
        } else {
            format!("{base}/{quote}")
        };
        let mut deal = json!({
            "dealId": id, "version": 1, "action": "NEW", "product": product, "ccyPair": pair,
            "side": *self.rng.pick(&["BUY", "SELL"]), "notional": self.written(Decimal::whole(notional)),
            "rate": self.written(Decimal::new(rate, 6)), "tradeDate": self.dated(traded),
            "settlementDate": self.dated(settles), "entity": ENTITIES[entity].name, "book": "FXT", "cpty": self.dealer(),
        });
        if product == "SWAP" {
            let far = settles.plus(self.rng.between(5, 180));
            deal["farSettlementDate"] = self.dated(far);
            deal["farRate"] = self.written(Decimal::new(rate + rate / 2_000, 6));
        }
        if product == "NDF" {
            // A few percent of the notional, in dollars, either way.
            let usd = self.market.convert(notional * 100, base, "USD")
                * i128::from(self.rng.between(-300, 300))
                / 10_000;
            deal["ccyPair"] = "USD/KRW".into();
            deal["rate"] = self.written(Decimal::new(1_391_250_000, 6));
            deal["settleAmount"] = self.written(Decimal::cents(usd));
            deal["settleCcy"] = "USD".into();
        }
        let other = self.written(Decimal::whole(notional + 100_000));
        self.book(
            at_ms,
            "trades.fx",
            &id,
            deal,
            ("version", "action"),
            ("notional", other),
        );
    }

    fn bond(&mut self, at_ms: i64) {
        let entity = self.entity();
        let place = self.rng.index(self.market.instruments.len());
        let size = self.size(entity, 1, 25);
        let instrument = self.market.instruments[place].clone();
        if instrument.per == 1 {
            return;
        }
        let book = if instrument.class == Class::Non {
            "TRADING"
        } else {
            "LIQUIDITY"
        };
        let worth = self
            .market
            .convert(size, ENTITIES[entity].ccy, instrument.ccy);
        let quantity = (worth / 10_000_000).max(1) * 100_000;
        let at: Place = (entity, book, place);
        let free = self.bank.free.get(&at).copied().unwrap_or(0);
        let sells = free / 4 > quantity && self.rng.percent(50);
        let today = self.rng.percent(35);
        let settles = if today {
            self.today
        } else {
            self.today.plus_business(self.rng.between(1, 2))
        };
        let id = self.id("B");
        let accrued = self.rng.between(0, 2_000);
        let mut deal = json!({
            "tradeRef": id, "rev": 1, "status": "NEW", "isin": instrument.id, "buySell": if sells { "S" } else { "B" },
            "quantity": self.written(Decimal::whole(quantity)),
            "cleanPrice": self.written(Decimal::new((instrument.price - accrued).into(), 3)),
            "accrued": self.written(Decimal::new(accrued.into(), 3)), "ccy": instrument.ccy,
            "tradeDt": self.dated(self.today), "settleDt": self.dated(settles), "account": book,
            "entity": ENTITIES[entity].name, "cpty": self.dealer(),
        });
        if let (Some(cusip), true) = (&instrument.cusip, self.rng.percent(30)) {
            deal["cusip"] = cusip.as_str().into();
            deal.as_object_mut()
                .expect("just made")
                .shift_remove("isin");
        }
        if today {
            self.send(at_ms, "trades.bonds", &id, deal);
            if sells {
                self.bank.free.insert(at, free - quantity);
            }
            let cash = self.market.convert(
                instrument.value(quantity),
                instrument.ccy,
                ENTITIES[entity].ccy,
            );
            self.deliver(
                at_ms,
                &id,
                quantity,
                entity,
                if sells { cash } else { -cash },
            );
        } else {
            let other = self.written(Decimal::whole(quantity + 100_000));
            self.book(
                at_ms,
                "trades.bonds",
                &id,
                deal,
                ("rev", "status"),
                ("quantity", other),
            );
        }
    }

    /// Confirms a delivery some minutes later, now and then in two parts; the cash goes with it.
    fn deliver(&mut self, at_ms: i64, trade: &str, quantity: i128, entity: usize, cash: i128) {
        let parts = if self.rng.percent(25) {
            vec![quantity * 2 / 5, quantity - quantity * 2 / 5]
        } else {
            vec![quantity]
        };
        let mut at = at_ms;
        for part in parts {
            at += self.rng.between(5 * MINUTE_MS, 40 * MINUTE_MS);
            self.agenda.put(
                at,
                Event::Cash {
                    entity,
                    cents: cash * part / quantity,
                },
            );
            self.confirm(at, trade, Decimal::whole(part));
        }
        if self.habits.unruly && self.rng.percent(10) {
            self.confirm(at + SECOND_MS, trade, Decimal::whole(quantity));
        }
    }

    fn confirm(&mut self, at_ms: i64, trade: &str, quantity: Decimal) {
        let id = self.id("CNF");
        let value = json!({
            "confirmationId": id, "tradeId": trade, "quantity": self.written(quantity), "settledAt": instant(at_ms),
        });
        if self.habits.unruly && self.rng.percent(10) {
            self.send(at_ms + MINUTE_MS, "settlements", &id, value.clone());
        }
        self.send(at_ms, "settlements", &id, value);
    }

    /// Cash against paper that the entity holds. Shorter than `least`, only against paper that flows nothing.
    fn repo(&mut self, at_ms: i64, start: Date, least: Date) {
        let entity = self.entity();
        let term = self.term();
        let best = term.is_none_or(|date| date < least) || self.rng.percent(80);
        let cash = self.size(entity, 5, 45);
        let at = self.free_place(entity, |class| (class == Class::L1) == best);
        let Some((at, nominal)) = at.and_then(|at| self.nominal(entity, at, cash)) else {
            return;
        };
        *self.bank.free.get_mut(&at).expect("a place that is free") -= nominal;
        let instrument = self.market.instruments[at.2].clone();
        let cash = instrument.value(nominal) * 98 / 100;
        let deal = self.financing(
            "REPO",
            entity,
            at.1,
            (&instrument.id, nominal),
            None,
            (cash, instrument.ccy),
            (start, term),
        );
        let paid = self
            .market
            .convert(cash, instrument.ccy, ENTITIES[entity].ccy);
        self.agenda.put(
            at_ms + MINUTE_MS,
            Event::Cash {
                entity,
                cents: paid,
            },
        );
        self.financed(at_ms, deal);
    }

    /// Cash lent against paper. Answers the entity and what the paper adds to its stock, in US cents.
    fn reverse(&mut self, at_ms: i64, start: Date) -> (usize, i128) {
        let entity = self.entity();
        let term = self.term();
        let cash = self.size(entity, 3, 30);
        let class = if self.rng.percent(85) {
            Class::L1
        } else {
            Class::L2A
        };
        let places = self.market.places(|instrument| instrument.class == class);
        let instrument = self.market.instruments[*self.rng.pick(&places)].clone();
        let worth = self
            .market
            .convert(cash, ENTITIES[entity].ccy, instrument.ccy);
        let nominal = (worth * 100_000 / instrument.value(100_000) / 100_000).max(1) * 100_000;
        let cash = instrument.value(nominal) * 98 / 100;
        let usable = self.rng.percent(90);
        let mut deal = self.financing(
            "REVERSE_REPO",
            entity,
            "REPO",
            (&instrument.id, nominal),
            None,
            (cash, instrument.ccy),
            (start, term),
        );
        deal["rehypothecable"] = usable.into();
        let paid = self
            .market
            .convert(cash, instrument.ccy, ENTITIES[entity].ccy);
        self.agenda.put(
            at_ms + MINUTE_MS,
            Event::Cash {
                entity,
                cents: -paid,
            },
        );
        self.financed(at_ms, deal);
        let brought = self
            .market
            .convert(instrument.value(nominal), instrument.ccy, "USD")
            * class.kept_pct()
            / 100;
        (entity, if usable { brought } else { 0 })
    }

    /// Paper of little use against paper of the best, for three months.
    fn collateral_swap(&mut self, at_ms: i64) {
        let entity = self.entity();
        let size = self.size(entity, 5, 30);
        self.upgrade(at_ms, entity, size);
    }

    /// The same for a given size in cents of the entity's currency.
    pub(crate) fn upgrade(&mut self, at_ms: i64, entity: usize, cents: i128) {
        let at = self.free_place(entity, |class| class == Class::Non);
        let Some((at, nominal)) = at.and_then(|at| self.nominal(entity, at, cents)) else {
            return;
        };
        *self.bank.free.get_mut(&at).expect("a place that is free") -= nominal;
        let given = self.market.instruments[at.2].clone();
        let best = self
            .market
            .places(|instrument| instrument.class == Class::L1);
        let best = self.market.instruments[*self.rng.pick(&best)].clone();
        let worth = self
            .market
            .convert(given.value(nominal), given.ccy, best.ccy)
            * 92
            / 100;
        let received = (worth * 100_000 / best.value(100_000) / 100_000).max(1) * 100_000;
        let terms = (self.today, Some(self.today.plus(91)));
        let swap = "COLLATERAL_SWAP";
        let deal = self.financing(
            swap,
            entity,
            at.1,
            (&given.id, nominal),
            Some((&best.id, received)),
            (0, given.ccy),
            terms,
        );
        self.financed(at_ms, deal);
    }

    /// When money that is lent comes back; nothing for open.
    fn term(&mut self) -> Option<Date> {
        let days = self
            .rng
            .weighted(&[(1, 45), (7, 25), (0, 8), (14, 8), (91, 14)]);
        (days > 0).then(|| {
            if days == 1 {
                self.today.plus_business(1)
            } else {
                self.today.plus(days)
            }
        })
    }

    fn free_place(&mut self, entity: usize, wanted: impl Fn(Class) -> bool) -> Option<Place> {
        let fits = |(place, free): (&Place, &i128)| {
            let bond = self.market.instruments[place.2].per == 100;
            (place.0 == entity
                && *free > 500_000
                && bond
                && wanted(self.market.instruments[place.2].class))
            .then_some(*place)
        };
        let places: Vec<Place> = self.bank.free.iter().filter_map(fits).collect();
        if places.is_empty() {
            None
        } else {
            Some(*self.rng.pick(&places))
        }
    }

    /// Face for so much cash (in cents of the entity's currency), at most a third of what is free there.
    fn nominal(&self, entity: usize, at: Place, cents: i128) -> Option<(Place, i128)> {
        let instrument = &self.market.instruments[at.2];
        let worth = self
            .market
            .convert(cents, ENTITIES[entity].ccy, instrument.ccy);
        let wanted = worth * 100_000 / instrument.value(100_000);
        let nominal = wanted.min(self.bank.free[&at] / 3) / 100_000 * 100_000;
        (nominal > 0).then_some((at, nominal))
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of the record, once")]
    fn financing(
        &mut self,
        direction: &str,
        entity: usize,
        book: &str,
        collateral: (&str, i128),
        received: Option<(&str, i128)>,
        cash: (i128, &str),
        terms: (Date, Option<Date>),
    ) -> Value {
        let asset = |(id, nominal): (&str, i128)| json!({ "instrument_id": id, "nominal": nominal.to_string() });
        let rate = Decimal::new(self.rng.between(1_850, 4_400).into(), 3);
        json!({
            "repo_id": self.id("R"), "version": 1, "action": "NEW", "direction": direction,
            "collateral": asset(collateral), "received": received.map(asset), "cash": Decimal::cents(cash.0).text(),
            "ccy": cash.1, "repo_rate_pct": rate.text(), "start_date": terms.0.iso(),
            "maturity_date": terms.1.map(Date::iso), "entity": ENTITIES[entity].name, "book": book,
            "counterparty": self.dealer(), "rehypothecable": true, "reused": false,
        })
    }

    fn financed(&mut self, at_ms: i64, deal: Value) {
        let id = deal["repo_id"].as_str().expect("just made").to_owned();
        let other = Decimal::new(self.rng.between(1_850, 4_400).into(), 3).text();
        self.book(
            at_ms,
            "trades.repos",
            &id,
            deal,
            ("version", "action"),
            ("repo_rate_pct", other),
        );
    }

    /// Sends a deal and what becomes of it: most stay as they are, some are amended, cancelled, told late or twice.
    fn book(
        &mut self,
        at_ms: i64,
        topic: &'static str,
        id: &str,
        deal: Value,
        (version, action): (&str, &str),
        (field, other): (&str, Value),
    ) {
        let mut amended = deal.clone();
        amended[version] = 2.into();
        amended[action] = "AMEND".into();
        amended[field] = other;
        let later = at_ms + self.rng.between(MINUTE_MS, 40 * MINUTE_MS);
        let soon = at_ms + self.rng.between(2 * SECOND_MS, MINUTE_MS);
        // Money and paper of a repo have moved: it is amended, not cancelled.
        let cancels = topic != "trades.repos";
        match self.rng.between(0, 99) {
            0..7 => self.send(later, topic, id, amended),
            7..10 if cancels => {
                amended[action] = "CANCEL".into();
                self.send(later, topic, id, amended);
            }
            10..13 => {
                // The newer version comes first.
                self.send(at_ms, topic, id, amended);
                self.send(soon, topic, id, deal);
                return;
            }
            13..15 => self.send(soon, topic, id, deal.clone()),
            15..17 if self.habits.unruly => {
                // The same version with other content.
                amended[version] = 1.into();
                amended[action] = "NEW".into();
                self.send(soon, topic, id, amended);
            }
            17..19 if self.habits.unruly && cancels => {
                // Cancelled before it was known, then booked again.
                let mut again = amended.clone();
                again[version] = 3.into();
                amended[action] = "CANCEL".into();
                self.send(at_ms, topic, id, amended);
                self.send(soon, topic, id, deal);
                self.send(later, topic, id, again);
                return;
            }
            _ => {}
        }
        self.send(at_ms, topic, id, deal);
    }

    /// A customer pays in or out; the account and the reserves move together.
    fn payment(&mut self, at_ms: i64) {
        let entity = self.entity();
        let kind = self.rng.weighted(&[
            ("deposit_nonfin", 50),
            ("deposit_operational", 30),
            ("deposit_financial", 20),
        ]);
        let places = self.bank.accounts_of(entity, kind);
        let place = *self.rng.pick(&places);
        let most = self.bank.accounts[place].cents / 4;
        let size = self.size(entity, 1, 30).min(most);
        let cents = if self.rng.percent(50) { size } else { -size };
        self.agenda.put(at_ms, Event::Pay { place, cents });
        if self.habits.unruly && self.rng.percent(6) {
            self.close_and_open(at_ms, entity);
        }
    }

    /// Deletes an account that no ratio hangs on, and tells it anew.
    fn close_and_open(&mut self, at_ms: i64, entity: usize) {
        let places = self.bank.accounts_of(entity, "nostro_operational");
        let place = *self.rng.pick(&places);
        let key = self.bank.accounts[place].id.clone();
        let gone = Message {
            topic: "balances",
            at_ms,
            key,
            body: Body::Empty,
        };
        self.agenda.put(at_ms, Event::Send(gone));
        let cents = self.bank.accounts[place].cents / 50;
        let cents = if self.rng.percent(50) { cents } else { -cents };
        let anew = at_ms + self.rng.between(SECOND_MS, 20 * MINUTE_MS);
        self.agenda.put(anew, Event::Pay { place, cents });
    }

    fn prices(&mut self, at_ms: i64) {
        let place = self.rng.index(self.market.instruments.len());
        self.market.move_price(&mut self.rng, place);
        let instrument = &self.market.instruments[place];
        let (id, value) = (instrument.id.clone(), instrument.price_message());
        self.send(at_ms, "refdata.prices", &id, value);
    }

    fn rates(&mut self, at_ms: i64) {
        let ccys: Vec<&str> = self.market.currencies().collect();
        let ccy = *self.rng.pick(&ccys);
        self.market.move_rate(&mut self.rng, ccy);
        let value = self.market.rate_message(ccy);
        self.send(at_ms, "refdata.fx", ccy, value);
    }

    /// A message that nobody can book.
    fn bad(&mut self, at_ms: i64) {
        let id = self.id("BAD");
        let text = |text: String| Body::Text(text);
        let (topic, body) = match self.rng.between(0, 7) {
            0 => (
                "trades.fx",
                text(format!("{{\"dealId\":\"{id}\",\"notional\":")),
            ),
            1 => (
                "trades.fx",
                text(format!("{{\"dealId\":\"{id}\",\"notional\":NaN}}")),
            ),
            2 => (
                "trades.fx",
                Body::Value(json!({ "dealId": id, "ccyPair": "EUR/USD", "side": "HOLD" })),
            ),
            3 => (
                "trades.bonds",
                Body::Value(json!({ "tradeRef": id, "status": "NEW", "isin": "US0000000000" })),
            ),
            4 => ("trades.repos", Body::Bytes(b"no avro".to_vec())),
            5 => (
                "balances",
                Body::Value(
                    json!({ "accountId": id, "kind": "piggy_box", "ccy": "USD", "amount": 1 }),
                ),
            ),
            6 => (
                "refdata.fx",
                text("{\"ccy\":\"EUR\",\"rate\":Infinity}".to_owned()),
            ),
            _ => (
                "settlements",
                Body::Value(json!({ "confirmationId": id, "tradeId": "B-000001", "quantity": -5 })),
            ),
        };
        let message = Message {
            topic,
            at_ms,
            key: id,
            body,
        };
        self.agenda.put(at_ms, Event::Send(message));
    }
}
