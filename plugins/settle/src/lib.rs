//! What of each trade is settled and what is still to come: a `group` plugin over one trade's legs and confirmations.
//!
//! A bond or equity trade is delivered piece by piece: its `SECURITY` row stays as long as the trade lives, with the
//! cost of what is not delivered yet, and each delivery that counts is a `DELIVERY` row. Any other trade is settled
//! in full by the first confirmation: goods are delivered then, and anything else has no rows any more. Confirmations of
//! a trade that is not there wait. What is settled in full is also told as `ended`, so that it may be forgotten.
//! topics.md: settlements, section 3 "Running".

mod delivery;

use delivery::{Confirmation, Delivered, deliver, remaining_amount};
use fields::EuInflows;
use weir_sdk::{
    Answers, Data, Description, Failure, Group, Groups, Json, Record, Shape, export_group, record,
};

record! {
    /// A leg of the trade's winning version.
    pub struct TradeLeg<'a> {
        /// The trade.
        trade_id: utf8,
        /// What is traded.
        asset_class: utf8,
        /// The bank entity.
        entity: utf8,
        /// Its book.
        book: utf8,
        /// With whom.
        counterparty: utf8,
        /// The agreement that the trade names.
        netting_agreement: utf8,
        /// When the trade begins, where that may be in the future.
        start_date: date32,
        /// Counts the legs from 0.
        leg: int32,
        /// Flows of one number net on their date.
        exchange: int32,
        /// `SECURITY`, `PHYSICAL` or what the flow is.
        kind: utf8,
        /// `PAY` or `RECEIVE`; of a security `RECEIVE` is a purchase.
        direction: utf8,
        /// The security, or the collateral.
        instrument_id: utf8,
        /// The security's CUSIP.
        cusip: utf8,
        /// How much of it.
        quantity: decimal128(38, 9),
        /// What a collateral swap holds for it.
        received_instrument_id: utf8,
        /// How much of that.
        received_quantity: decimal128(38, 9),
        /// Cash or cost.
        amount: decimal256(76, 18),
        /// Of the amount.
        currency: utf8,
        /// When it is due; null when open.
        payment_date: date32,
        /// The collateral held may be used again.
        rehypothecable: bool,
        /// The collateral held is in use elsewhere.
        reused: bool,
        /// The record's topic.
        record_topic: utf8,
        /// Its partition.
        record_partition: int32,
        /// Its offset.
        record_offset: int64,
        /// When it was written.
        recorded_at: timestamp,
    }
}

record! {
    /// A confirmation of this trade, each id once.
    pub struct ConfirmationRow<'a> {
        /// Its id.
        confirmation_id: utf8,
        /// How much was delivered.
        quantity: decimal128(38, 9),
        /// When.
        settled_at: timestamp,
        /// The record's topic.
        record_topic: utf8,
        /// Its partition.
        record_partition: int32,
        /// Its offset.
        record_offset: int64,
        /// When it was written.
        recorded_at: timestamp,
    }
}

record! {
    /// A confirmation of a trade that is settled in full: nothing of either is still to come.
    pub struct Ended<'a> {
        /// The trade.
        trade_id: utf8,
        /// The confirmation, also one that counts nothing.
        confirmation_id: utf8,
        /// The bank entity.
        entity: utf8,
        /// Its book.
        book: utf8,
        /// The security or the goods.
        instrument_id: utf8,
        /// The security's CUSIP.
        cusip: utf8,
        /// The UTC date of the last delivery: until a holding has that in it the trade is part of a position. Null where
        /// nothing is delivered.
        delivered_on: date32,
        /// When the last record of the trade and its confirmations was written.
        last_recorded_at: timestamp,
    }
}

record! {
    /// What is left of a leg, or one delivery.
    pub struct SettledLeg<'a> {
        /// The trade.
        trade_id: utf8,
        /// What is traded.
        asset_class: utf8,
        /// The bank entity.
        entity: utf8,
        /// Its book.
        book: utf8,
        /// With whom.
        counterparty: utf8,
        /// Up to how many percent of the outflows the EU counts inflows from them.
        inflow_cap: int32 required,
        /// The agreement that the trade names.
        netting_agreement: utf8,
        /// Counts the legs from 0.
        leg: int32,
        /// Flows of one number net on their date.
        exchange: int32,
        /// The leg's kind, or `DELIVERY`.
        kind: utf8,
        /// `PAY` or `RECEIVE`.
        direction: utf8,
        /// The security, or the collateral.
        instrument_id: utf8,
        /// The security's CUSIP.
        cusip: utf8,
        /// The leg's quantity, or what was delivered.
        quantity: decimal128(38, 9),
        /// What a collateral swap holds for it.
        received_instrument_id: utf8,
        /// How much of that.
        received_quantity: decimal128(38, 9),
        /// Cash still to flow; null when there is none.
        amount: decimal256(76, 18),
        /// Of the amount.
        currency: utf8,
        /// When it is due; null when open.
        payment_date: date32,
        /// Whether nothing of the trade is due later.
        last: bool required,
        /// The first instant at which the trade runs; null for those that always do.
        starts_at: timestamp,
        /// The UTC date of a delivery.
        delivered_on: date32,
        /// The collateral held may be used again.
        rehypothecable: bool required,
        /// The collateral held is in use elsewhere.
        reused: bool required,
        /// The record's topic.
        record_topic: utf8,
        /// Its partition.
        record_partition: int32,
        /// Its offset.
        record_offset: int64,
    }
}

const DAY_US: i64 = 86_400_000_000;

const CONFIG_SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"properties":{
"eu_exempt":{"description":"Counterparties whose inflows the EU does not cap.","type":"array","default":[],"uniqueItems":true,"items":{"type":"string"}},
"eu_90_percent":{"description":"Those whose inflows it caps at 90 %.","type":"array","default":[],"uniqueItems":true,"items":{"type":"string"}}}}"#;

/// The plugin, with the policy on inflows.
#[derive(Clone, Debug)]
pub struct Settle(EuInflows);

impl Group for Settle {
    fn description() -> Description {
        let inputs = vec![
            ("trades", TradeLeg::fields()),
            ("confirmations", ConfirmationRow::fields()),
        ];
        Description {
            name: "settle",
            version: env!("CARGO_PKG_VERSION"),
            config_schema: CONFIG_SCHEMA,
            shapes: vec![Shape::group(
                inputs,
                vec![("legs", SettledLeg::fields()), ("ended", Ended::fields())],
            )],
        }
    }

    fn open(config: &Json, _data: &Data) -> Result<Self, Failure> {
        EuInflows::open(config).map(Self)
    }

    fn evaluate(&self, _as_of_us: i64, groups: &Groups, out: &mut Answers) {
        let trades = groups.input::<TradeLeg<'_>>("trades");
        let confirmations = groups.input::<ConfirmationRow<'_>>("confirmations");
        for group in groups.ids() {
            let mut legs: Vec<TradeLeg<'_>> = trades.of(group).map(|(_, leg)| leg).collect();
            legs.sort_by_key(|leg| leg.leg);
            let confirmed: Vec<_> = confirmations.of(group).filter_map(confirmation).collect();
            let recorded_at = legs.iter().filter_map(|leg| leg.recorded_at).max();
            settle(group, &self.pending(&legs), recorded_at, &confirmed, out);
        }
    }
}

export_group!(Settle);

fn confirmation((number, row): (u32, ConfirmationRow<'_>)) -> Option<Confirmation<'_>> {
    let (id, quantity, settled_at) = (row.confirmation_id?, row.quantity?, row.settled_at?);
    Some(Confirmation {
        number,
        id,
        quantity,
        settled_at,
        recorded_at: row.recorded_at,
        place: (row.record_topic, row.record_partition, row.record_offset),
    })
}

/// Writes the rows of a trade whose legs are these, wholly to come.
fn settle(
    group: u32,
    legs: &[SettledLeg<'_>],
    recorded_at: Option<i64>,
    confirmations: &[Confirmation<'_>],
    out: &mut Answers,
) {
    let is = |kind| legs.iter().find(|leg| leg.kind == Some(kind));
    let (of, delivered_at) = if let Some(security) = is("SECURITY") {
        let delivered = deliver(security.quantity.unwrap_or(0), confirmations.to_vec());
        deliveries(group, security, &delivered, out);
        if delivered.rest > 0 {
            return;
        }
        let counted = delivered.counted.iter();
        (security, counted.map(|counts| counts.settled_at).max())
    } else if let Some(goods) = is("PHYSICAL") {
        let first = confirmations
            .iter()
            .min_by_key(|confirmation| (confirmation.settled_at, confirmation.id));
        out.push(
            "legs",
            group,
            &SettledLeg {
                kind: Some("SECURITY"),
                ..*goods
            },
        );
        if let Some(first) = first {
            out.push("legs", group, &delivery(goods, goods.quantity, first));
        }
        (goods, first.map(|first| first.settled_at))
    } else if let Some(leg) = legs.first().filter(|_| !confirmations.is_empty()) {
        (leg, None)
    } else {
        let last_date = legs.iter().filter_map(|leg| leg.payment_date).max();
        for leg in legs {
            let last = leg.payment_date.is_some() && leg.payment_date == last_date;
            out.push("legs", group, &SettledLeg { last, ..*leg });
        }
        return;
    };
    let times = confirmations.iter().map(|one| one.recorded_at);
    let last_recorded_at = times.chain([recorded_at]).max().flatten();
    for confirmation in confirmations {
        let ended = Ended {
            trade_id: of.trade_id,
            confirmation_id: Some(confirmation.id),
            entity: of.entity,
            book: of.book,
            instrument_id: of.instrument_id,
            cusip: of.cusip,
            delivered_on: delivered_at.and_then(date),
            last_recorded_at,
        };
        out.push("ended", group, &ended);
    }
}

/// The UTC date of an instant.
fn date(at_us: i64) -> Option<i32> {
    i32::try_from(at_us.div_euclid(DAY_US)).ok()
}

/// The security's own row and a row per delivery that counts; refuses those that would be too much.
fn deliveries(group: u32, security: &SettledLeg<'_>, delivered: &Delivered<'_>, out: &mut Answers) {
    let ordered = security.quantity.unwrap_or(0);
    let amount = security
        .amount
        .and_then(|amount| remaining_amount(amount, delivered.rest, ordered));
    out.push(
        "legs",
        group,
        &SettledLeg {
            amount,
            ..*security
        },
    );
    for counts in &delivered.counted {
        out.push(
            "legs",
            group,
            &delivery(security, Some(counts.quantity), counts),
        );
    }
    for confirmation in &delivered.refused {
        out.refuse_field(
            confirmation.number,
            "quantity",
            "over_settled",
            "with this confirmation more would be delivered than the trade's winning version orders",
        );
    }
}

fn delivery<'a>(
    of: &SettledLeg<'a>,
    quantity: Option<i128>,
    confirmation: &Confirmation<'a>,
) -> SettledLeg<'a> {
    SettledLeg {
        kind: Some("DELIVERY"),
        quantity,
        delivered_on: date(confirmation.settled_at),
        amount: None,
        record_topic: confirmation.place.0,
        record_partition: confirmation.place.1,
        record_offset: confirmation.place.2,
        ..*of
    }
}

impl Settle {
    /// The legs as they are, wholly to come.
    fn pending<'a>(&self, legs: &[TradeLeg<'a>]) -> Vec<SettledLeg<'a>> {
        legs.iter()
            .map(|leg| pending(leg, self.0.cap(leg.counterparty)))
            .collect()
    }
}

fn pending<'a>(leg: &TradeLeg<'a>, inflow_cap: i32) -> SettledLeg<'a> {
    SettledLeg {
        trade_id: leg.trade_id,
        asset_class: leg.asset_class,
        entity: leg.entity,
        book: leg.book,
        counterparty: leg.counterparty,
        inflow_cap,
        netting_agreement: leg.netting_agreement,
        leg: leg.leg,
        exchange: leg.exchange,
        kind: leg.kind,
        direction: leg.direction,
        instrument_id: leg.instrument_id,
        cusip: leg.cusip,
        quantity: leg.quantity,
        received_instrument_id: leg.received_instrument_id,
        received_quantity: leg.received_quantity,
        amount: leg.amount,
        currency: leg.currency,
        payment_date: leg.payment_date,
        last: true,
        starts_at: leg
            .start_date
            .map(|date| i64::from(date).saturating_mul(DAY_US)),
        delivered_on: None,
        rehypothecable: leg.rehypothecable.unwrap_or(true),
        reused: leg.reused.unwrap_or(false),
        record_topic: leg.record_topic,
        record_partition: leg.record_partition,
        record_offset: leg.record_offset,
    }
}

#[cfg(test)]
mod tests;
