//! The engine on the same topic: how long until its table is live, what the table says, where the time went.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{Job, say};

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_mins(5);

pub(crate) fn run(job: &Job, weir: &Path, pipeline: &Path) -> Result<()> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(weir);
    command
        .arg("run")
        .arg(pipeline)
        .args(["--listen", &address])
        .env("KAFKA_BOOTSTRAP", &job.bootstrap);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {}", weir.display()))?;
    let outcome = measure(job, &address, &mut child);
    child.kill().context("cannot end weir")?;
    child.wait().context("cannot end weir")?;
    outcome
}

fn measure(job: &Job, address: &str, child: &mut Child) -> Result<()> {
    let begun = Instant::now();
    let until = |state: &[&str], child: &mut Child| -> Result<Instant> {
        while begun.elapsed() < LIMIT {
            if let Some(status) = child.try_wait()? {
                bail!("weir ended: {status}");
            }
            let answer = get(address, "/api/v1/status")
                .ok()
                .and_then(|text| serde_json::from_str::<Value>(&text).ok());
            if answer.is_some_and(|status| state.iter().any(|state| status["state"] == *state)) {
                return Ok(Instant::now());
            }
            sleep(Duration::from_millis(5));
        }
        bail!("weir was not {state:?} after {} s", LIMIT.as_secs())
    };
    // Plugins are compiled and the port is open: from here on it reads.
    let started = until(&["starting", "catching_up", "live"], child)?;
    let live = until(&["live"], child)?;
    say("engine", job.messages, live.duration_since(started));
    for (stage, us) in busy(&get(address, "/metrics")?) {
        eprintln!(
            "weir-bench:   {stage:<12} {:>8.2} s",
            Duration::from_micros(us).as_secs_f64()
        );
    }
    let table: Value = serde_json::from_str(&get(address, "/api/v1/tables/sums/rows?limit=1000")?)?;
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    for row in table["rows"].as_array().context("the table has no rows")? {
        let amount = canonical(&text(row, "amount"));
        println!(
            "sum {} {} {} {amount}",
            text(row, "entity"),
            text(row, "book"),
            text(row, "currency")
        );
    }
    Ok(())
}

/// A decimal without the zeros that say nothing.
pub(crate) fn canonical(text: &str) -> String {
    let trimmed = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    };
    if trimmed == "-0" {
        "0".to_owned()
    } else {
        trimmed.to_owned()
    }
}

/// Microseconds by stage, from the metrics' text.
fn busy(metrics: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let (labels, value) = line
            .strip_prefix("weir_stage_busy_us_total{stage=\"")?
            .split_once("\"} ")?;
        Some((labels.to_owned(), value.trim().parse().ok()?))
    };
    metrics.lines().filter_map(line).collect()
}

fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    if !head.starts_with("HTTP/1.1 200") && !head.starts_with("HTTP/1.0 200") {
        bail!("{path}: {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}
