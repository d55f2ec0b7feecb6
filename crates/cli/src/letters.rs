//! `weir dead-letters`: what a running pipeline has refused, and sending it again.

use crate::args::{LettersFormat, RecordId, WhichLetters};
use crate::registry::World;
use crate::say::{self, out};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;
use weir_engine::DeadLetter;
use weir_kafka::{Again, Original};
use weir_spec::Plan;
use weir_stage::Position;

/// Letters of one answer: the most that the server gives.
const PAGE: usize = 1_000;
/// Longest wait for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Between looks at how far the pipeline has read.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Prints the letters, and how many there are.
pub(crate) fn list(which: &WhichLetters, limit: usize, format: LettersFormat) -> Result<ExitCode> {
    let (total, letters) = letters(which, limit)?;
    for letter in &letters {
        match format {
            LettersFormat::Json => out(letter)?,
            LettersFormat::Text => out(line(letter))?,
        }
    }
    if format == LettersFormat::Text {
        say::note(format_args!("{} of {total} dead letters", letters.len()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints all letters of a record.
pub(crate) fn show(at: &str, record: &RecordId) -> Result<ExitCode> {
    let which = of_record(at, record.clone());
    let (_, letters) = letters(&which, usize::MAX)?;
    if letters.is_empty() {
        say::error(format_args!("{record} is not refused"));
        return Ok(ExitCode::from(2));
    }
    for letter in &letters {
        out(serde_json::to_string_pretty(letter)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends records again.
pub(crate) fn replay(
    file: &Path,
    which: &WhichLetters,
    all: bool,
    dry_run: bool,
    wait: Duration,
) -> Result<ExitCode> {
    let filters = [&which.topic, &which.stage, &which.code];
    let is_filtered = filters.iter().any(|filter| filter.is_some()) || which.partition.is_some();
    if !all && !is_filtered && which.records.is_empty() {
        say::error("say which records: --record, --topic, --partition, --stage, --code or --all");
        return Ok(ExitCode::from(2));
    }
    let (_, plan, findings) = crate::check::load(file, &World::for_check());
    let Some(plan) = plan else {
        for found in &findings {
            say::finding(found);
        }
        return Ok(ExitCode::from(2));
    };
    let status = get(&which.at, "/api/v1/status")?;
    if status["replay"] == true {
        bail!(
            "{} replays a recorded day: its records are not those of the topics, which are left as they are; mend the \
             day's files, or name with --at a weir that reads the topics",
            which.at
        );
    }
    let running = status["pipeline"].clone();
    if running != *plan.name {
        bail!(
            "{} runs the pipeline {running}, and {} is `{}`",
            which.at,
            file.display(),
            plan.name
        );
    }
    let (_, letters) = letters(which, usize::MAX)?;
    let (lasting, passing): (Vec<Value>, Vec<Value>) = letters
        .into_iter()
        .partition(|letter| letter["final"] == true);
    let lasting: BTreeMap<RecordId, Value> = lasting
        .into_iter()
        .map(|letter| (id(&letter), letter))
        .collect();
    let passing: BTreeSet<RecordId> = passing.iter().map(id).collect();
    let passing = passing
        .iter()
        .filter(|record| !lasting.contains_key(*record))
        .count();
    if passing > 0 {
        out(format_args!(
            "{passing} records are not sent: their dead letters go when their cause goes"
        ))?;
    }
    if dry_run {
        for letter in lasting.values() {
            out(line(letter))?;
        }
        out(format_args!("{} records would be sent", lasting.len()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (sent, behind) = send(&plan, &lasting)?;
    out(format_args!("{} records sent", sent.len()))?;
    let is_read = until_read(&which.at, &behind, wait)?;
    let mut refused = 0;
    for record in &sent {
        for letter in self::letters(&of_record(&which.at, record.clone()), usize::MAX)?.1 {
            if letter["final"] == true && is_read {
                refused += 1;
                out(format_args!("refused again: {}", line(&letter)))?;
            }
        }
    }
    if !is_read {
        out(format_args!(
            "after {} s the pipeline has not read all of them yet: `weir dead-letters list` tells what became of them",
            wait.as_secs()
        ))?;
    }
    let is_good = is_read && refused == 0 && sent.len() == lasting.len();
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Sends each record whose bytes are still there; answers those, and the offsets behind them by topic.
fn send(
    plan: &Plan,
    letters: &BTreeMap<RecordId, Value>,
) -> Result<(Vec<RecordId>, BTreeMap<String, Position>)> {
    let mut topics: BTreeMap<&str, Again> = BTreeMap::new();
    let mut sent = Vec::new();
    // Ordered by topic, partition and offset, so that records of a key stay in order.
    for (record, letter) in letters {
        let RecordId {
            topic,
            partition,
            offset,
        } = record;
        if !topics.contains_key(topic.as_str()) {
            let mut sources = plan.sources.iter();
            let source = sources.find(|source| source.topic == *topic);
            let source = source.with_context(|| format!("no source reads topic `{topic}`"))?;
            topics.insert(topic, Again::new(topic, &source.properties)?);
        }
        let again = &topics[topic.as_str()];
        let found = again.original(*partition, *offset)?;
        let Some(original) = found.or_else(|| kept(letter)) else {
            say::warning(format_args!(
                "{record} is gone: neither its topic nor the dead letter has its bytes any more"
            ));
            continue;
        };
        again.send(*partition, *offset, &original)?;
        sent.push(record.clone());
    }
    let behind = topics.into_iter();
    let behind = behind.map(|(topic, again)| Ok((topic.to_owned(), again.finish()?)));
    Ok((sent, behind.collect::<Result<_>>()?))
}

/// The record as its dead letter has it.
fn kept(letter: &Value) -> Option<Original> {
    if letter["by_reference"] == true {
        return None;
    }
    let (key, value, headers) = DeadLetter::bytes_of(letter)?;
    Some(Original {
        key,
        value,
        timestamp_ms: None,
        headers,
    })
}

/// Waits until the pipeline has read up to these offsets.
fn until_read(at: &str, behind: &BTreeMap<String, Position>, wait: Duration) -> Result<bool> {
    let until = Instant::now() + wait;
    loop {
        let status = get(at, "/api/v1/status")?;
        let has = |topic: &str, partition: i32, offset: i64| {
            let mut sources = status["sources"].as_array().into_iter().flatten();
            sources.any(|source| {
                source["topic"] == *topic
                    && source["position"][partition.to_string()].as_i64() >= Some(offset)
            })
        };
        let is_read = behind.iter().all(|(topic, position)| {
            position
                .iter()
                .all(|(partition, offset)| has(topic, *partition, *offset))
        });
        if is_read || Instant::now() >= until {
            return Ok(is_read);
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}

fn of_record(at: &str, record: RecordId) -> WhichLetters {
    WhichLetters {
        at: at.to_owned(),
        records: vec![record],
        topic: None,
        partition: None,
        stage: None,
        code: None,
    }
}

/// How many such letters there are, and the first of them.
fn letters(which: &WhichLetters, limit: usize) -> Result<(usize, Vec<Value>)> {
    if which.records.is_empty() {
        return of_place(which, None, limit);
    }
    let (mut total, mut all) = (0, Vec::new());
    for record in &which.records {
        let (count, letters) = of_place(which, Some(record), limit.saturating_sub(all.len()))?;
        total += count;
        all.extend(letters);
    }
    Ok((total, all))
}

fn of_place(
    which: &WhichLetters,
    record: Option<&RecordId>,
    limit: usize,
) -> Result<(usize, Vec<Value>)> {
    let mut all = Vec::new();
    loop {
        let count = PAGE.min(limit - all.len());
        let mut path = format!("/api/v1/dead-letters?limit={count}&offset={}", all.len());
        let mut ask = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                path.extend(["&", name, "=", &escaped(&value)]);
            }
        };
        ask(
            "topic",
            record
                .map(|record| record.topic.clone())
                .or(which.topic.clone()),
        );
        let partition = record.map(|record| record.partition).or(which.partition);
        ask(
            "partition",
            partition.map(|partition| partition.to_string()),
        );
        ask("at", record.map(|record| record.offset.to_string()));
        ask("stage", which.stage.clone());
        ask("code", which.code.clone());
        let page = get(&which.at, &path)?;
        let total = page["total"].as_u64().unwrap_or(0);
        let rows = page["rows"].as_array().cloned().unwrap_or_default();
        let is_last = rows.len() < count || count == 0;
        all.extend(rows);
        if is_last || all.len() == limit {
            return Ok((usize::try_from(total)?, all));
        }
    }
}

fn id(letter: &Value) -> RecordId {
    let number = |name: &str| letter[name].as_i64().unwrap_or_default();
    RecordId {
        topic: letter["topic"].as_str().unwrap_or_default().to_owned(),
        partition: i32::try_from(number("partition")).unwrap_or_default(),
        offset: number("offset"),
    }
}

fn line(letter: &Value) -> String {
    let text = |name: &str| letter[name].as_str().unwrap_or_default();
    let field = letter["field"].as_str().map(|field| format!(" {field}:"));
    format!(
        "{} {} {}{} {}",
        id(letter),
        text("stage"),
        text("code"),
        field.unwrap_or_default(),
        text("message")
    )
}

/// Text as a part of an address.
fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| {
        if is_plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(escape).collect()
}

/// What a running weir answers: an exchange as plain as it can be, for it is with our own server.
fn get(at: &str, path: &str) -> Result<Value> {
    let host = at
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'));
    let host = host.with_context(|| format!("`{at}` does not begin with http://"))?;
    let address = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let away = || format!("no weir answers at {at}: start it, or name it with --at");
    let mut stream = TcpStream::connect(&address).with_context(away)?;
    stream.set_read_timeout(Some(ANSWER_WAIT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").with_context(away)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).with_context(away)?;
    let answer = String::from_utf8(answer).context("the answer is no text")?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(away)?;
    let body: Value = serde_json::from_str(body).with_context(|| {
        format!(
            "what answers at {at} is no weir: {}",
            head.lines().next().unwrap_or_default()
        )
    })?;
    if head.split(' ').nth(1) != Some("200") {
        bail!("{at}{path}: {body}");
    }
    Ok(body)
}
