//! The engine on the same topic: how long until its table is live, what the table says, where the time went.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{Job, load, say};

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_mins(5);
/// Between looks at its state: each takes time from it, on one core.
const POLL: Duration = Duration::from_millis(20);

/// The job as it is.
pub(crate) fn run(job: &Job, weir: &Path, pipeline: &Path) -> Result<()> {
    let mut engine = Engine::start(job, weir, pipeline)?;
    let before = Threads::of(&engine.child);
    let live = engine.live()?;
    let threads = Threads::of(&engine.child).since(before);
    say("engine", job.messages, live);
    where_it_went(&engine.metrics()?, threads);
    engine.print_sums()
}

/// The same with checkpoints while it reads: it goes on from one, as a first one would wait until it is live.
pub(crate) fn kept(job: &Job, weir: &Path, pipeline: &Path, folder: &Path) -> Result<()> {
    let checkpoint = format!(
        "workers: 1, checkpoint: {{ to: {} }}",
        folder.join("state").display()
    );
    let pipeline = changed(pipeline, folder, |text| {
        text.replace("workers: 1", &checkpoint)
    })?;
    Engine::start(job, weir, &pipeline)?.end()?;
    let mut engine = Engine::start(job, weir, &pipeline)?;
    let position = engine.status()?["sources"][0]["position"].clone();
    let position = position.as_object().context("a source has a position")?;
    let before: u64 = position.values().filter_map(Value::as_u64).sum();
    say("kept", job.messages - before, engine.live()?);
    let metrics = engine.metrics()?;
    let written = labelled(&metrics, "weir_checkpoints_total{result=\"");
    let stall = sample(&metrics, "weir_checkpoint_stall_us_total");
    eprintln!("weir-bench: checkpoints {written:?}, {stall} µs of gathering");
    if !written
        .iter()
        .any(|(result, count)| result == "written" && *count > 0)
    {
        bail!("no checkpoint was written meanwhile: ask for more messages");
    }
    engine.print_sums()
}

/// What a sink writes a second, once the book is there: the newest version of each deal, to a topic of its own.
pub(crate) fn sunk(job: &Job, weir: &Path, pipeline: &Path, delivery: &str) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("weir-bench-{}", std::process::id()));
    let topic = format!("bench.{delivery}.{}", std::process::id());
    let sink = format!(
        "\nsinks:\n  deals: {{ from: latest, key: [trade_id, leg], \
         kafka: {{ cluster: main, topic: {topic}, delivery: {delivery} }} }}\n"
    );
    load::make(job, &topic)?;
    let pipeline = changed(pipeline, &folder, |text| text + &sink)?;
    let engine = Engine::start(job, weir, &pipeline);
    let outcome = engine.and_then(|mut engine| {
        let live = engine.begun + engine.live()?;
        let is_sunk = |status: &Value| {
            let sink = &status["sinks"][0];
            sink["state"] == "live" && sink["waiting_ms"] == 0 && sink["flushes"] != 0
        };
        let settled = engine.until(is_sunk)?;
        let acked = labelled(&engine.metrics()?, "weir_sink_acked_total{sink=\"");
        let rows = acked.first().context("the sink has a sample")?.1;
        say(delivery, rows, settled.duration_since(live));
        Ok(())
    });
    std::fs::remove_dir_all(&folder).context(folder.display().to_string())?;
    outcome
}

/// The pipeline file with something changed, in this folder.
fn changed(
    pipeline: &Path,
    folder: &Path,
    change: impl FnOnce(String) -> String,
) -> Result<PathBuf> {
    let text = std::fs::read_to_string(pipeline).context(pipeline.display().to_string())?;
    let root = pipeline
        .ancestors()
        .nth(3)
        .context("a pipeline of the repository")?;
    let changed = change(text.replace("../..", &root.display().to_string()));
    std::fs::create_dir_all(folder).context(folder.display().to_string())?;
    let path = folder.join("pipeline.yaml");
    std::fs::write(&path, changed).context(path.display().to_string())?;
    Ok(path)
}

/// A running engine.
struct Engine {
    address: String,
    child: Child,
    /// When it began to read: plugins are compiled and the port is open.
    begun: Instant,
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self
            .child
            .kill()
            .and_then(|()| self.child.wait().map(drop))
            .is_err()
        {
            eprintln!("weir-bench: cannot end weir");
        }
    }
}

impl Engine {
    fn start(job: &Job, weir: &Path, pipeline: &Path) -> Result<Self> {
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
        let child = command
            .spawn()
            .with_context(|| format!("cannot run {}", weir.display()))?;
        let mut engine = Self {
            address,
            child,
            begun: Instant::now(),
        };
        engine.begun = engine.until(|status| status["state"].is_string())?;
        Ok(engine)
    }

    /// Ends it as a service manager does: with a checkpoint.
    fn end(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        let told = Command::new("sh")
            .args(["-c", "kill -s TERM \"$0\"", &pid])
            .status()?;
        let ended = self.child.wait()?;
        ensure!(told.success() && ended.success(), "weir ended: {ended}");
        Ok(())
    }

    fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(&get(
            &self.address,
            "/api/v1/status",
        )?)?)
    }

    /// How long until its tables are live.
    fn live(&mut self) -> Result<Duration> {
        let live = self.until(|status| status["state"] == "live")?;
        Ok(live.duration_since(self.begun))
    }

    fn until(&mut self, is_so: impl Fn(&Value) -> bool) -> Result<Instant> {
        let (asked, mut last) = (Instant::now(), None);
        while asked.elapsed() < LIMIT {
            if let Some(status) = self.child.try_wait()? {
                bail!("weir ended: {status}");
            }
            let answer = get(&self.address, "/api/v1/status")
                .ok()
                .and_then(|text| serde_json::from_str::<Value>(&text).ok());
            if answer.as_ref().is_some_and(&is_so) {
                return Ok(Instant::now());
            }
            last = answer.or(last);
            sleep(POLL);
        }
        let last = last.unwrap_or_default();
        bail!("weir did not come so far in {} s: {last}", LIMIT.as_secs())
    }

    /// The samples of the first published epoch or later.
    fn metrics(&self) -> Result<String> {
        sleep(Duration::from_millis(500));
        get(&self.address, "/metrics")
    }

    fn print_sums(&self) -> Result<()> {
        let table = get(&self.address, "/api/v1/tables/sums/rows?limit=1000")?;
        let table: Value = serde_json::from_str(&table)?;
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
}

/// The value of a sample without labels; 0 where there is none.
fn sample(metrics: &str, name: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
    metrics.lines().find_map(value).unwrap_or(0)
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

/// Processor time of the engine's thread and of those that fetch.
#[derive(Clone, Copy, Default)]
struct Threads {
    engine: Duration,
    fetch: Duration,
    others: Duration,
}

impl Threads {
    /// As Linux counts them; nothing elsewhere.
    fn of(child: &Child) -> Self {
        let mut all = Self::default();
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id()));
        for task in tasks.into_iter().flatten().flatten() {
            let text = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let (name, counts) = (text("comm"), text("schedstat"));
            let ns = counts.split(' ').next().and_then(|ns| ns.parse().ok());
            let of = match name.trim() {
                "engine" => &mut all.engine,
                name if name.starts_with("rdk:") || name.starts_with("kafka ") => &mut all.fetch,
                _ => &mut all.others,
            };
            *of += Duration::from_nanos(ns.unwrap_or(0));
        }
        all
    }

    fn since(self, before: Self) -> Self {
        Self {
            engine: self.engine.saturating_sub(before.engine),
            fetch: self.fetch.saturating_sub(before.fetch),
            others: self.others.saturating_sub(before.others),
        }
    }
}

/// Prints what each part took. On one core the engine's own times hold what other threads did meanwhile, so they
/// are scaled to the processor time of its thread.
fn where_it_went(metrics: &str, threads: Threads) {
    let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
    let phases = labelled(metrics, "weir_phase_us_total{phase=\"");
    let stages = labelled(metrics, "weir_stage_busy_us_total{stage=\"");
    let busy: u64 = phases
        .iter()
        .filter(|(name, _)| name != "wait")
        .map(|(_, us)| us)
        .sum();
    let scale = match threads.engine.as_secs_f64() {
        0.0 => 1.0,
        engine => engine / seconds(busy).max(f64::MIN_POSITIVE),
    };
    let phase = |name: &str| {
        let found = phases.iter().find(|(known, _)| known == name);
        seconds(found.map_or(0, |(_, us)| *us)) * scale
    };
    let mut parts = vec![
        (
            "fetch".to_owned(),
            phase("fetch") + threads.fetch.as_secs_f64(),
        ),
        ("decode".to_owned(), phase("decode")),
    ];
    parts.extend(
        stages
            .iter()
            .map(|(stage, us)| (stage.clone(), seconds(*us) * scale)),
    );
    let in_stages: f64 = stages.iter().map(|(_, us)| seconds(*us) * scale).sum();
    parts.push(("publish".to_owned(), phase("publish")));
    let rest = (phase("stages") - in_stages).max(0.0) + threads.others.as_secs_f64();
    parts.push(("the rest".to_owned(), rest));
    let all: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
    for (part, seconds) in parts {
        let share = 100.0 * seconds / all;
        eprintln!("weir-bench:   {part:<12} {seconds:>8.2} s  {share:>3.0} %");
    }
}

/// Values of a metric by its label, in the order of the metrics' text.
pub(crate) fn labelled(metrics: &str, head: &str) -> Vec<(String, u64)> {
    let line = |line: &str| {
        let (label, value) = line.strip_prefix(head)?.split_once("\"} ")?;
        Some((label.to_owned(), value.trim().parse().ok()?))
    };
    metrics.lines().filter_map(line).collect()
}

pub(crate) fn get(address: &str, path: &str) -> Result<String> {
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
