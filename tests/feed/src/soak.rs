//! A book that grows no further and changes all the time: what a pipeline that runs for long must bear.
#![expect(
    clippy::disallowed_methods,
    reason = "the feed goes by the clock on the wall"
)]

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::desk::{Desk, Habits};
use crate::kafka::{PARTITIONS, Publisher, now_ms};
use crate::message::{Body, Message, Record, TOPICS, partition_of};
use crate::{How, To};

/// How much later the versions of a round are than those of the round before: a day's own are few.
const ROUND: i64 = 1_000;

/// Publishes a book of about so many records at once, then newer versions of them at a rate.
pub(crate) fn soak(to: &To, how: &How, records: usize, rate: u32, seconds: u64) -> Result<()> {
    let topics = TOPICS.map(|(topic, _)| (topic, PARTITIONS));
    let publisher = Publisher::connect(to, topics, how)?;
    let send = |message: &Message| {
        let record = Record {
            partition: partition_of(&message.key, PARTITIONS.unsigned_abs().into()),
            offset: 0,
            message: Message {
                at_ms: now_ms()?,
                ..message.clone()
            },
            headers: Vec::new(),
        };
        publisher.send(&record, None)
    };
    let mut book = book(records)?;
    book.iter().try_for_each(send)?;
    eprintln!("weir-feed: a book of {} records", book.len());
    book.retain_mut(|message| version_of(message).is_some());
    let (started, length) = (Instant::now(), Duration::from_secs(seconds));
    let (mut sent, mut next) = (0, 0);
    while started.elapsed() < length {
        let due = u64::from(rate) * u64::try_from(started.elapsed().as_millis())? / 1_000;
        while sent < due {
            let message = &mut book[next];
            let version = version_of(message).expect("the others are gone");
            *version = (version.as_i64().unwrap_or(0) + ROUND).into();
            send(message)?;
            (sent, next) = (sent + 1, (next + 1) % book.len());
        }
        sleep(Duration::from_millis(5));
    }
    publisher.finish()?;
    eprintln!("weir-feed: {sent} newer versions in {seconds} s");
    Ok(())
}

/// A bank in the morning, and what it deals until there are so many records.
fn book(records: usize) -> Result<Vec<Message>> {
    let habits = Habits {
        any_notation: false,
        unruly: false,
        deal_every_ms: 1,
        deals_at_once: 5,
        size_pct: 1,
    };
    let mut day_ms = now_ms()?;
    let mut desk = Desk::open(7, day_ms, habits);
    let mut book = desk.start();
    while book.len() < records {
        match desk.next(day_ms) {
            Some(message) => book.push(message),
            None => day_ms += 1,
        }
    }
    if !book.iter_mut().any(|message| version_of(message).is_some()) {
        bail!("no record of the book has a version");
    }
    Ok(book)
}

/// A record's version, if its topic has versions that are whole numbers.
fn version_of(message: &mut Message) -> Option<&mut Value> {
    let Body::Value(Value::Object(fields)) = &mut message.body else {
        return None;
    };
    fields.get_mut("version").filter(|version| version.is_i64())
}
