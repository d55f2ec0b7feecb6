//! Whole days: the demo's, with its story, and random ones for tests.

use serde_json::json;

use crate::agenda::Event;
use crate::bank::{ENTITIES, millions};
use crate::calendar::{Date, HOUR_MS, MINUTE_MS, SECOND_MS, instant};
use crate::desk::{Desk, Habits};
use crate::market::Class;
use crate::message::Message;

/// Monday, 2 March 2026.
const MONDAY: Date = Date(20_514);

/// When the demo's day starts, and how long it is: at 120 times its speed, nine hours are four and a half minutes.
const OPENS_MS: i64 = 7 * HOUR_MS;
const LASTS_MS: i64 = 9 * HOUR_MS;

/// The demo's day: calm sources, and a story that a person can follow at 120 times the speed, where a second is two
/// minutes of the day.
pub(crate) fn demo(seed: u64) -> Vec<Message> {
    let start_ms = MONDAY.start_ms() + OPENS_MS;
    let habits = Habits {
        any_notation: false,
        unruly: false,
        deal_every_ms: 11 * SECOND_MS,
        deals_at_once: 1,
        size_pct: 100,
    };
    let mut desk = Desk::open(seed, start_ms, habits);
    squeeze(&mut desk, start_ms);
    disruption(&mut desk, start_ms);
    one_pair_of_eyes(&mut desk, start_ms);
    whole(desk, start_ms + LASTS_MS)
}

/// A day for tests: every notation, conflicts, deletions, surplus confirmations, overrides of all kinds.
pub(crate) fn random(seed: u64, deals: i64) -> Vec<Message> {
    let start_ms = MONDAY.start_ms() + OPENS_MS;
    let habits = Habits {
        any_notation: true,
        unruly: true,
        deal_every_ms: (LASTS_MS / deals.max(1)).max(1),
        deals_at_once: 1,
        // Many deals of a small part each, so that the book stays one that a bank could have.
        size_pct: (200_000 / deals.max(1)).clamp(1, 100),
    };
    let mut desk = Desk::open(seed, start_ms, habits);
    for number in 1..=20 {
        some_override(&mut desk, start_ms, number);
    }
    whole(desk, start_ms + LASTS_MS)
}

fn whole(mut desk: Desk, end_ms: i64) -> Vec<Message> {
    let mut messages = desk.start();
    while let Some(message) = desk.next(end_ms) {
        messages.push(message);
    }
    messages
}

/// Customers of MER-UK draw a quarter of its net outflow within an hour, and its ratio falls under 100 %. It places
/// six-month paper and swaps collateral up for three months, and is back well before noon.
fn squeeze(desk: &mut Desk, start_ms: i64) {
    let entity = ENTITIES
        .iter()
        .position(|entity| entity.name == "MER-UK")
        .expect("an entity of the table");
    let net = millions(ENTITIES[entity].net_mn);
    let mut accounts = desk.bank.accounts_of(entity, "deposit_nonfin");
    accounts.sort_by_key(|place| -desk.bank.accounts[*place].cents);
    let minutes = [18, 29, 38, 45, 51];
    for (place, minute) in accounts.into_iter().zip(minutes) {
        let drawn = desk.bank.accounts[place].cents * 85 / 100;
        let drawn = drawn.min(net * 62 / 1_000);
        pay(desk, start_ms + minute * MINUTE_MS, place, -drawn);
    }
    let matures = desk.today.plus(184);
    for minute in [82, 92, 103, 115] {
        let at_ms = start_ms + minute * MINUTE_MS;
        let place = desk.bank.add(entity, "debt_issued", 0, matures);
        pay(desk, at_ms, place, net * 7 / 100);
    }
    for minute in [88, 108] {
        desk.upgrade(start_ms + minute * MINUTE_MS, entity, net * 2 / 100);
    }
}

/// Moves an account, and tells the reserves at the same instant.
fn pay(desk: &mut Desk, at_ms: i64, place: usize, cents: i128) {
    desk.agenda.put(at_ms, Event::Pay { place, cents });
    let entity = desk.bank.accounts[place].entity;
    desk.agenda.put(
        at_ms,
        Event::Reserves {
            entity,
            again: false,
        },
    );
}

/// The market for a covered bond issuer that MER-DE holds freezes: treasury takes its paper out of the buffer for two
/// hours, one person submitting, another approving.
fn disruption(desk: &mut Desk, start_ms: i64) {
    let minute = |minute: i64| start_ms + minute * MINUTE_MS;
    let submit = json!({
        "adjustmentId": "ADJ-2026-0302-1", "version": 1, "action": "SUBMIT", "scope": "issuer", "key": "RHEIN-HYP",
        "hqlaClass": "NON", "effectiveFrom": instant(minute(125)), "effectiveTo": instant(minute(260)),
        "reasonCode": "MARKET_DISRUPTION", "narrative": "No bids in Rhein-Hyp covered bonds since the opening.",
        "user": "j.okafor", "at": instant(minute(95)),
    });
    adjust(desk, minute(95), submit);
    let approve = json!({
        "adjustmentId": "ADJ-2026-0302-1", "version": 2, "action": "APPROVE", "user": "m.lindqvist", "at": instant(minute(118)),
    });
    adjust(desk, minute(118), approve);
}

/// Somebody tries to approve what they submitted; it is refused, and then somebody else rejects it.
fn one_pair_of_eyes(desk: &mut Desk, start_ms: i64) {
    let minute = |minute: i64| start_ms + minute * MINUTE_MS;
    let place = desk
        .market
        .places(|instrument| instrument.class == Class::Non && instrument.country == "SG")[0];
    let key = desk.market.instruments[place].id.clone();
    let id = "ADJ-2026-0302-2";
    let submit = json!({
        "adjustmentId": id, "version": 1, "action": "SUBMIT", "scope": "instrument", "key": key, "hqlaClass": "L2B",
        "effectiveFrom": instant(minute(300)), "effectiveTo": instant(minute(540)), "reasonCode": "DATA_ERROR",
        "user": "t.wong", "at": instant(minute(280)),
    });
    adjust(desk, minute(280), submit);
    for (version, action, user, at) in [
        (2, "APPROVE", " T.Wong ", 284),
        (3, "REJECT", "m.lindqvist", 301),
    ] {
        let value = json!({ "adjustmentId": id, "version": version, "action": action, "user": user, "at": instant(minute(at)) });
        adjust(desk, minute(at), value);
    }
}

fn adjust(desk: &mut Desk, at_ms: i64, value: serde_json::Value) {
    let key = value["adjustmentId"]
        .as_str()
        .expect("just made")
        .to_owned();
    desk.send(at_ms, "adjustments", &key, value);
}

/// An override of any scope, class and time, which may or may not come into force.
fn some_override(desk: &mut Desk, start_ms: i64, number: i64) {
    let id = format!("ADJ-{number:03}");
    let place = desk.rng.index(desk.market.instruments.len());
    let (instrument, issuer) = (
        desk.market.instruments[place].id.clone(),
        desk.market.instruments[place].issuer,
    );
    let held: Vec<_> = desk.bank.holdings.keys().copied().collect();
    let at = *desk.rng.pick(&held);
    let position = format!(
        "{}|{}|{}",
        ENTITIES[at.0].name, at.1, desk.market.instruments[at.2].id
    );
    let (scope, key) = desk
        .rng
        .pick(&[
            ("position", position),
            ("instrument", instrument),
            ("issuer", issuer.to_owned()),
        ])
        .clone();
    let mut at_ms = start_ms + desk.rng.between(MINUTE_MS, 6 * HOUR_MS);
    let from = at_ms + desk.rng.between(-2 * HOUR_MS, HOUR_MS);
    let to = from + desk.rng.between(20 * MINUTE_MS, 4 * HOUR_MS);
    let class = *desk.rng.pick(&["L1", "L2A", "L2B", "L2B_RMBS", "NON"]);
    let users = ["alice", "bob", "carol"];
    let submit = json!({
        "adjustmentId": id, "version": 1, "action": "SUBMIT", "scope": scope, "key": key, "hqlaClass": class,
        "effectiveFrom": instant(from), "effectiveTo": instant(to), "reasonCode": "TEST", "user": *desk.rng.pick(&users),
        "at": instant(at_ms),
    });
    adjust(desk, at_ms, submit);
    for version in 2..=desk.rng.between(2, 4) {
        at_ms += desk.rng.between(MINUTE_MS, HOUR_MS);
        let action = desk.rng.weighted(&[
            ("APPROVE", 60),
            ("REVOKE", 20),
            ("REJECT", 8),
            ("WITHDRAW", 8),
            ("SUBMIT", 4),
        ]);
        let user = *desk.rng.pick(&users);
        let value = json!({ "adjustmentId": id, "version": version, "action": action, "user": user, "at": instant(at_ms) });
        adjust(desk, at_ms, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Body, TOPICS, records};
    use std::collections::BTreeSet;

    /// The same seed is the same day, another seed another; its topics are those of the contract.
    #[test]
    fn a_day_follows_from_its_seed() {
        let text = |messages: &[Message]| format!("{messages:?}");
        let day = demo(7);
        assert_eq!(text(&day), text(&demo(7)));
        assert_ne!(text(&day), text(&demo(8)));
        let used: BTreeSet<_> = day.iter().map(|message| message.topic).collect();
        assert!(used.len() >= 11, "{used:?}");
        let known = TOPICS.map(|topic| topic.0);
        assert!(used.iter().all(|topic| known.contains(topic)), "{used:?}");
    }

    /// What the day starts with has one instant; trades follow within seconds.
    #[test]
    fn the_state_of_the_morning_has_one_instant() {
        let day = demo(7);
        let start = MONDAY.start_ms() + OPENS_MS;
        let later = day.iter().filter(|message| message.at_ms > start);
        assert!(
            later
                .clone()
                .all(|message| !["holdings", "refdata.instruments"].contains(&message.topic))
        );
        assert!(
            later
                .map(|message| message.at_ms)
                .min()
                .is_some_and(|first| first < start + 30 * SECOND_MS)
        );
    }

    /// A random day has about the deals that were asked for, in all of its partitions, with bad messages among them.
    #[test]
    fn a_random_day_is_spread_over_partitions() {
        let day = random(11, 3_000);
        let trades = day
            .iter()
            .filter(|message| message.topic.starts_with("trades."))
            .count();
        assert!((1_800..4_000).contains(&trades), "{trades}");
        assert!(
            day.iter()
                .any(|message| matches!(message.body, Body::Text(_)))
        );
        let topics = records(day, 4);
        let partitions: BTreeSet<_> = topics["trades.fx"]
            .iter()
            .map(|record| record.partition)
            .collect();
        assert_eq!(partitions.len(), 4);
    }
}
