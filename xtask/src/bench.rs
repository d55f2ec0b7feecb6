//! `cargo xtask bench`: the project's measures, one after the other, on whatever machine this is.
//!
//! A measure that does not reach its goal is printed as such and fails nothing: machines differ. A measurement that is
//! wrong does: sums that differ, or a hand-written job too slow to compare with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lexopt::prelude::*;

use crate::failure::{Context, Failure, Outcome};
use crate::shell::{binary, capture, cargo, have, root, run, say, target_dir};
use crate::{build, help, plugins, services};

const HELP: &str = "\
Prints the project's measures: the time of `weir check`; the plugin border, and a plugin beside the same code run
natively; Kafka to a table of exact sums, beside a consumer that only counts bytes and the job written by hand.

Usage: cargo xtask bench [--no-services] [--messages 2000000] [--yes]
       cargo xtask bench rules [--trades 1000000] [--yes]

  rules          what each kind of change costs the reference pipeline, in a book of open trades
  --no-services  leave out what needs Kafka
  --messages     in the topic
  --trades       in the book";

/// A check of the reference pipeline describes plugins from their files and runs none.
const CHECK_GOAL: Duration = Duration::from_millis(100);
const CHECK_RUNS: usize = 11;

/// The hand-written job must reach this much of the plain consumer, in percent, to be worth comparing with.
const HAND_LEAST_PCT: u64 = 20;
/// What the engine is to reach of the hand-written job, in percent.
const ENGINE_GOAL_PCT: u64 = 50;
/// What the engine that writes checkpoints is to reach of itself without, in percent.
const KEPT_GOAL_PCT: u64 = 90;

/// Versions of each deal in the topic.
const VERSIONS: u64 = 4;
/// So many times as long is the topic that is read with checkpoints.
const LONGER: u64 = 5;

pub(crate) fn main(mut arguments: lexopt::Parser, mut yes: bool) -> Outcome {
    let (mut with_services, mut messages) = (true, 2_000_000_u64);
    let (mut only_rules, mut trades) = (false, 1_000_000_u64);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("no-services") => with_services = false,
            Value(what) if what == "rules" => only_rules = true,
            Long("trades") => trades = arguments.value()?.parse()?,
            Long("messages") => messages = arguments.value()?.parse()?,
            Long("yes") => yes = true,
            Short('h') | Long("help") => return help(HELP),
            other => return Err(other.unexpected().into()),
        }
    }
    build::binaries()?;
    plugins::all(yes)?;
    if only_rules {
        return rules(trades);
    }
    check()?;
    border()?;
    if with_services {
        kafka(messages, yes)?;
    }
    Ok(())
}

/// The median of several runs, so that one slow start says nothing.
fn check() -> Outcome {
    let mut times = Vec::with_capacity(CHECK_RUNS);
    for _ in 0..CHECK_RUNS {
        let mut check = Command::new(build::weir());
        check
            .args(["check", "pipelines/treasury-liquidity.yaml"])
            .current_dir(root());
        let started = Instant::now();
        let output = check.output().context("cannot run weir")?;
        times.push(started.elapsed());
        if !output.status.success() {
            say(String::from_utf8_lossy(&output.stdout));
            return Err(Failure::new("the reference pipeline does not check"));
        }
    }
    times.sort();
    let (median, goal) = (times[CHECK_RUNS / 2].as_millis(), CHECK_GOAL.as_millis());
    println!("weir check, reference pipeline: {median} ms (goal: under {goal} ms)");
    Ok(())
}

/// A book at once, then change by change.
fn rules(trades: u64) -> Outcome {
    let folder = target_dir().join("bench-rules");
    if folder.exists() {
        fs::remove_dir_all(&folder).context(folder.display())?;
    }
    println!("changes in a book of {trades} open trades, from the record to the published tables:");
    run(Command::new(binary("weir-bench"))
        .args(["rules", "--trades", &trades.to_string()])
        .arg("--weir")
        .arg(build::weir())
        .arg("--pipeline")
        .arg(root().join("pipelines/treasury-liquidity.yaml"))
        .arg("--folder")
        .arg(folder))
}

/// The border alone, then the FX normaliser in the engine and natively.
fn border() -> Outcome {
    // The whole workspace, so that features are those of every other build.
    run(cargo().args(["build", "--workspace", "--example", "border", "--locked"]))?;
    let mut native = cargo();
    native
        .current_dir(root().join("plugins"))
        .env("CARGO_TARGET_DIR", target_dir().join("native"));
    run(native.args([
        "build",
        "--release",
        "--package",
        "normalize_fx",
        "--example",
        "native",
    ]))?;
    let rows = target_dir().join("fx-rows.jsonl");
    let values =
        capture(Command::new(binary("weir-bench")).args(["rows", "--messages", "102400"]))?;
    fs::write(&rows, values).context(rows.display())?;
    let example = target_dir().join("debug/examples/border");
    let packed = root().join("target");
    run(Command::new(&example).arg(packed.join("guests/identity.wasm")))?;
    let native = target_dir().join("native/release/examples/native");
    let normaliser = packed.join("plugins/normalize_fx.wasm");
    run(Command::new(&example)
        .arg(normaliser)
        .arg("{}")
        .args([rows, native]))
}

/// One job three ways, each client on one core, the broker wherever it likes.
fn kafka(messages: u64, yes: bool) -> Outcome {
    let services = services::held(yes)?;
    let job = Job {
        bootstrap: services.running.bootstrap.clone(),
        messages: messages.to_string(),
        versions: VERSIONS.to_string(),
    };
    job.run(&["load"], &[])?;
    let plain = job.run(&["plain"], &[])?;
    let hand = job.run(&["hand"], &[])?;
    let (weir, pipeline) = (build::weir(), root().join("tests/bench/fx-sums.yaml"));
    let engine = job.run(&["engine"], &[("--weir", &weir), ("--pipeline", &pipeline)])?;
    let (weir, pipeline) = (weir.as_path(), pipeline.as_path());
    let options = [("--weir", weir), ("--pipeline", pipeline)];
    let sunk = |delivery: &str| {
        let sunk = [&options[..], &[("--sunk", Path::new(delivery))]].concat();
        job.run(&["engine"], &sunk)
    };
    let (at_least, exactly) = (sunk("at_least_once")?, sunk("exactly_once")?);
    let (plain_rate, hand_rate, engine_rate) = (
        rate(&plain, "plain"),
        rate(&hand, "hand"),
        rate(&engine, "engine"),
    );
    println!("Kafka to exact sums, {messages} messages, one core a client, rows/s:");
    println!("  plain consumer   {plain_rate:>9}");
    println!(
        "  by hand          {hand_rate:>9}  {} % of the plain consumer",
        pct(hand_rate, plain_rate)
    );
    let of_hand = pct(engine_rate, hand_rate);
    println!(
        "  the engine       {engine_rate:>9}  {of_hand} % of the one by hand (goal: {ENGINE_GOAL_PCT} %)"
    );
    let (at_least, exactly) = (
        rate(&at_least, "at_least_once"),
        rate(&exactly, "exactly_once"),
    );
    println!("a table to a topic, rows/s:");
    println!("  at least once    {at_least:>9}");
    println!(
        "  exactly once     {exactly:>9}  {} % of at least once",
        pct(exactly, at_least)
    );
    if hand.sums != engine.sums {
        return Err(Failure::new(
            "the engine's sums are not those of the job written by hand",
        ));
    }
    println!("  {} sums, equal to the last digit", hand.sums.len());
    if pct(hand_rate, plain_rate) < HAND_LEAST_PCT {
        let least = format!(
            "the job by hand is under {HAND_LEAST_PCT} % of the plain consumer: no measure to compare with"
        );
        return Err(Failure::new(least));
    }
    kept(&job, messages, &options)
}

/// The engine on a topic so long that checkpoints come, with and without them.
fn kept(job: &Job, messages: u64, options: &[(&str, &Path)]) -> Outcome {
    let longer = Job {
        messages: (messages * LONGER).to_string(),
        versions: (VERSIONS * LONGER).to_string(),
        ..job.clone()
    };
    longer.run(&["load"], &[("--from", Path::new(&job.messages))])?;
    let without = longer.run(&["engine"], options)?;
    let folder = target_dir().join("bench-kept");
    if folder.exists() {
        fs::remove_dir_all(&folder).context(folder.display())?;
    }
    let with = longer.run(&["engine"], &[options, &[("--kept", &folder)]].concat())?;
    let (without_rate, with_rate) = (rate(&without, "engine"), rate(&with, "kept"));
    println!("checkpoints, {} messages, rows/s:", longer.messages);
    println!("  without          {without_rate:>9}");
    println!(
        "  every 10 s       {with_rate:>9}  {} % of the engine without (goal: {KEPT_GOAL_PCT} %)",
        pct(with_rate, without_rate)
    );
    if without.sums != with.sums {
        return Err(Failure::new("checkpoints change the engine's sums"));
    }
    Ok(())
}

fn rate(result: &Measured, name: &str) -> u64 {
    result.rates.get(name).copied().unwrap_or(0)
}

fn pct(part: u64, of: u64) -> u64 {
    part * 100 / of.max(1)
}

#[derive(Clone)]
struct Job {
    bootstrap: String,
    messages: String,
    versions: String,
}

/// What one way printed: rows per second by name, and the sums, sorted.
struct Measured {
    rates: BTreeMap<String, u64>,
    sums: Vec<String>,
}

impl Job {
    fn run(&self, what: &[&str], options: &[(&str, &Path)]) -> Outcome<Measured> {
        let bench: PathBuf = binary("weir-bench");
        // The last core is for the client, where there are several.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut command = if have("taskset") && cores > 1 && what != ["load"] {
            let mut pinned = Command::new("taskset");
            pinned.args(["-c", &(cores - 1).to_string()]).arg(bench);
            pinned
        } else {
            Command::new(bench)
        };
        command
            .args(what)
            .args(["--bootstrap", &self.bootstrap])
            .args(["--messages", &self.messages, "--versions", &self.versions]);
        for (option, path) in options {
            command.arg(option).arg(path);
        }
        let printed = capture(&mut command)?;
        let mut sums: Vec<String> = printed
            .lines()
            .filter_map(|line| line.strip_prefix("sum "))
            .map(str::to_owned)
            .collect();
        sums.sort();
        let rate = |line: &str| {
            line.split_once(' ')
                .and_then(|(name, rate)| Some((name.to_owned(), rate.parse().ok()?)))
        };
        Ok(Measured {
            rates: printed.lines().filter_map(rate).collect(),
            sums,
        })
    }
}
