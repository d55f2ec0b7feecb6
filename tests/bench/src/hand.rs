//! The whole job by hand, for this one purpose: parse, two cash legs, the highest version of each deal, exact sums.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use hashbrown::HashMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Job, consumer, say};

/// Decimals of every amount here: those of a notional and of a rate together.
const SCALE: u32 = 8;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deal<'a> {
    #[serde(rename = "dealId")]
    id: &'a str,
    version: i64,
    action: &'a str,
    ccy_pair: &'a str,
    side: &'a str,
    #[serde(borrow)]
    notional: &'a RawValue,
    #[serde(borrow)]
    rate: &'a RawValue,
    entity: &'a str,
    book: &'a str,
}

/// What a deal adds to two sums.
#[derive(Clone, Copy)]
struct Booked {
    version: i64,
    cells: [(u32, i128); 2],
}

/// The sums and the names that their numbers stand for.
#[derive(Default)]
struct Sums {
    deals: HashMap<Box<str>, Booked>,
    cells: HashMap<[u16; 3], u32>,
    totals: Vec<i128>,
    names: Vec<Box<str>>,
}

pub(crate) fn run(job: &Job) -> Result<()> {
    let started = Instant::now();
    let mut sums = Sums::default();
    let rows = consumer::all(job, |value| sums.take(value))?;
    say("hand", rows, started.elapsed());
    for ((entity, book, currency), amount) in sums.table() {
        println!(
            "sum {entity} {book} {currency} {}",
            crate::engine::canonical(&decimal(amount))
        );
    }
    Ok(())
}

impl Sums {
    fn take(&mut self, value: &[u8]) -> Result<()> {
        let deal: Deal<'_> = serde_json::from_slice(value)?;
        let before = self.deals.get(deal.id).copied();
        if before.is_some_and(|before| before.version >= deal.version) {
            return Ok(());
        }
        let booked = self.booked(&deal)?;
        for (cell, amount) in before.iter().flat_map(|before| before.cells) {
            self.totals[cell as usize] -= amount;
        }
        for (cell, amount) in booked.cells {
            self.totals[cell as usize] += amount;
        }
        match self.deals.get_mut(deal.id) {
            Some(place) => *place = booked,
            None => drop(self.deals.insert(deal.id.into(), booked)),
        }
        Ok(())
    }

    fn booked(&mut self, deal: &Deal<'_>) -> Result<Booked> {
        let (base, quote) = deal
            .ccy_pair
            .split_once('/')
            .context("a pair has two currencies")?;
        let notional = units(deal.notional.get(), 2)?;
        let rate = units(deal.rate.get(), 6)?;
        let sign = match (deal.action, deal.side) {
            ("CANCEL", _) => 0,
            (_, "BUY") => 1,
            (_, "SELL") => -1,
            (_, side) => bail!("no side {side}"),
        };
        let base = self.cell(deal.entity, deal.book, base);
        let quote = self.cell(deal.entity, deal.book, quote);
        let cells = [
            (base, sign * notional * 10_i128.pow(6)),
            (quote, -sign * notional * rate),
        ];
        Ok(Booked {
            version: deal.version,
            cells,
        })
    }

    fn cell(&mut self, entity: &str, book: &str, currency: &str) -> u32 {
        let key = [self.name(entity), self.name(book), self.name(currency)];
        let next = u32::try_from(self.totals.len()).expect("few sums");
        let cell = *self.cells.entry(key).or_insert(next);
        if cell == next {
            self.totals.push(0);
        }
        cell
    }

    /// A small number for a name; there are a dozen, so that looking through them is quick.
    fn name(&mut self, name: &str) -> u16 {
        let place = self.names.iter().position(|known| &**known == name);
        let place = place.unwrap_or_else(|| {
            self.names.push(name.into());
            self.names.len() - 1
        });
        u16::try_from(place).expect("few names")
    }

    fn table(&self) -> BTreeMap<(&str, &str, &str), i128> {
        let name = |number: u16| &*self.names[usize::from(number)];
        // Sorted before anything is read from it.
        let cells: BTreeMap<[u16; 3], u32> =
            self.cells.iter().map(|(key, cell)| (*key, *cell)).collect();
        let row = |([entity, book, currency], cell): ([u16; 3], u32)| {
            (
                (name(entity), name(book), name(currency)),
                self.totals[cell as usize],
            )
        };
        cells.into_iter().map(row).collect()
    }
}

/// Digits with at most `scale` decimals as an integer of that scale.
fn units(text: &str, scale: usize) -> Result<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > scale {
        bail!("more than {scale} decimals");
    }
    let digits = |value: i128, digit: u8| match digit {
        b'0'..=b'9' => Ok(value * 10 + i128::from(digit - b'0')),
        _ => bail!("no number"),
    };
    let padding = std::iter::repeat_n(b'0', scale - fraction.len());
    whole
        .bytes()
        .chain(fraction.bytes())
        .chain(padding)
        .try_fold(0, digits)
}

fn decimal(amount: i128) -> String {
    let one = 10_u128.pow(SCALE);
    let sign = if amount < 0 { "-" } else { "" };
    format!(
        "{sign}{}.{:08}",
        amount.unsigned_abs() / one,
        amount.unsigned_abs() % one
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::messages;

    /// The newest version of a deal counts whatever came last, and a cancelled one counts nothing.
    #[test]
    fn sums_do_not_depend_on_the_order_of_versions() {
        let mut forward = Sums::default();
        let mut backward = Sums::default();
        let values: Vec<String> = messages(400, 4).map(|message| message.value).collect();
        for (value, from_the_end) in values.iter().zip(values.iter().rev()) {
            forward.take(value.as_bytes()).unwrap();
            backward.take(from_the_end.as_bytes()).unwrap();
        }
        assert_eq!(forward.table(), backward.table());
        assert_eq!(forward.deals.len(), 100);
    }

    /// Text to units and back.
    #[test]
    fn decimals() {
        assert_eq!(
            (units("12.5", 2).unwrap(), units("7", 6).unwrap()),
            (1_250, 7_000_000)
        );
        assert!(units("1.234", 2).is_err());
        assert_eq!(decimal(-1_250_000_000), "-12.50000000");
    }
}
