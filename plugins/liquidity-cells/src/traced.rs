//! Where a cell comes from: the same rules over single records, each with the place it was read from.

use crate::book::{Basis, Book, HqlaBasis, Side, TOTAL};
use crate::exposures::{self, Balance, Flow, Netted, Secured, SecurityFlow, Stock, Swap};
use lcr_rules::{Regime, RuleError, Terms};
use weir_sdk::{Answers, Field, Groups, Record, record};

record! {
    /// The cell asked for.
    pub struct Asked<'a> {
        /// Its key.
        drill_key: utf8,
        /// By whose rules.
        regime: utf8,
        /// `HQLA`, `OUT`, `IN` or `UNWIND`.
        side: utf8,
        /// As in the cell.
        line: utf8,
        /// As in the cell.
        detail: utf8,
        /// As in the cell.
        day: int32,
    }
}

record! {
    /// What a row was read from.
    pub struct Place<'a> {
        /// `trade`, `delivery`, `holding` or `balance`.
        origin: utf8,
        /// Its id.
        id: utf8,
        /// Which of its legs.
        leg: int32,
        /// The book.
        book: utf8,
        /// With whom.
        counterparty: utf8,
        /// The security.
        instrument_id: utf8,
        /// The adjustment in force on it.
        adjustment_id: utf8,
        /// Of the amount.
        currency: utf8,
        /// The record's topic.
        record_topic: utf8,
        /// Its partition.
        record_partition: int32,
        /// Its offset.
        record_offset: int64,
    }
}

record! {
    /// What a record adds to a cell.
    pub struct Contribution<'a> {
        /// Whose cell.
        entity: utf8 required,
        /// The cell's key.
        drill_key: utf8 required,
        /// `trade`, `delivery`, `holding` or `balance`.
        origin: utf8,
        /// Its id.
        id: utf8,
        /// Which of its legs.
        leg: int32,
        /// The book.
        book: utf8,
        /// With whom.
        counterparty: utf8,
        /// The security.
        instrument_id: utf8,
        /// The adjustment in force on it.
        adjustment_id: utf8,
        /// Of the amount.
        currency: utf8,
        /// The amount, in the reporting currency.
        unweighted: decimal256(76, 18),
        /// What of it counts.
        factor: decimal128(38, 4),
        /// What counts.
        weighted: decimal256(76, 22),
        /// The record's topic.
        record_topic: utf8,
        /// Its partition.
        record_partition: int32,
        /// Its offset.
        record_offset: int64,
    }
}

/// The inputs: the cell asked for, and records in place of sums.
pub(crate) fn inputs() -> Vec<(&'static str, Vec<Field>)> {
    vec![
        ("asked", Asked::fields()),
        ("stock", with_origin(Stock::fields())),
        ("security_flows", with_origin(SecurityFlow::fields())),
        ("flows", with_origin(Flow::fields())),
        ("secured", with_origin(Secured::fields())),
        ("swaps", with_origin(Swap::fields())),
        ("netted", with_origin(Netted::fields())),
        ("balances", with_origin(Balance::fields())),
    ]
}

fn with_origin(mut fields: Vec<Field>) -> Vec<Field> {
    for field in Place::fields() {
        if fields.iter().all(|known| known.name != field.name) {
            fields.push(field);
        }
    }
    fields
}

/// Writes what each record of a group adds to the cells asked for.
pub(crate) fn write(
    groups: &Groups,
    (group, entity): (u32, &str),
    terms: &[Terms],
    hqla_basis: HqlaBasis,
    date: i32,
    out: &mut Answers,
) {
    for (_, asked) in groups.input::<Asked<'_>>("asked").of(group) {
        let regime = asked.regime.and_then(Regime::parse);
        let side = asked.side.and_then(Side::parse);
        let (Some(regime), Some(side)) = (regime, side) else {
            continue;
        };
        let mut trace = Trace {
            groups,
            group,
            entity,
            terms,
            regimes: [regime],
            side,
            asked,
            hqla_basis,
            date,
            out,
        };
        trace.each("stock", exposures::stock);
        trace.each("security_flows", exposures::security_flow);
        trace.each("flows", exposures::flow);
        trace.each("secured", exposures::secured);
        trace.each("swaps", exposures::swap);
        trace.each("netted", |book: &mut Book<'_>, row: &Netted<'_>| {
            exposures::netted(book, row)?;
            exposures::nets(book, Some(side))
        });
        trace.each("balances", exposures::balance);
    }
}

/// One question about one entity.
struct Trace<'a, 'o> {
    groups: &'a Groups,
    group: u32,
    entity: &'a str,
    terms: &'a [Terms],
    regimes: [Regime; 1],
    side: Side,
    asked: Asked<'a>,
    hqla_basis: HqlaBasis,
    date: i32,
    out: &'o mut Answers,
}

impl<'a> Trace<'a, '_> {
    /// Takes every record into a book of its own.
    fn each<R: Record<'a>>(
        &mut self,
        input: &str,
        take: impl Fn(&mut Book<'a>, &R) -> Result<(), RuleError>,
    ) {
        let rows = self.groups.input::<R>(input);
        let origins = self.groups.input::<Place<'a>>(input);
        for ((number, row), (_, origin)) in rows.of(self.group).zip(origins.of(self.group)) {
            let (terms, regimes) = (self.terms, &self.regimes);
            let mut book = Book::new(terms, regimes, &[], self.hqla_basis, self.date);
            match take(&mut book, &row) {
                Ok(()) => self.push(&book, &origin),
                Err(error) => self.out.refuse(number, error.code(), error.to_string()),
            }
        }
    }

    fn push(&mut self, book: &Book<'_>, origin: &Place<'a>) {
        let asked = self.asked;
        let found = book.cells().find(|(key, _)| {
            key.scope == TOTAL
                && key.basis == Basis::Adjusted
                && key.side == self.side
                && asked.line == Some(&key.line)
                && asked.detail == Some(&key.detail)
                && asked.day == Some(key.day)
        });
        let Some((_, cell)) = found else { return };
        let row = Contribution {
            entity: self.entity,
            drill_key: asked.drill_key.unwrap_or_default(),
            origin: origin.origin,
            id: origin.id,
            leg: origin.leg,
            book: origin.book,
            counterparty: origin.counterparty,
            instrument_id: origin.instrument_id,
            adjustment_id: origin.adjustment_id,
            currency: origin.currency,
            unweighted: Some(cell.unweighted),
            factor: Some(cell.factor.digits()),
            weighted: Some(cell.weighted),
            record_topic: origin.record_topic,
            record_partition: origin.record_partition,
            record_offset: origin.record_offset,
        };
        self.out.push("contributions", self.group, &row);
    }
}
