//! Killed again and again, a pipeline ends where the undisturbed one does, and is nowhere wrong on the way.
#![expect(
    clippy::disallowed_methods,
    reason = "what is killed runs on the wall's clock"
)]

use super::recorded::Recorded;
use super::sinks::{compacted, make, records, sunk, table, with_sinks};
use super::{Served, Topics, awake, replayed, same};
use crate::random::Random;
use crate::weir;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// So many kills between two looks at the tables.
const LOOK: u64 = 5;
/// A checkpoint comes every second.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(4);

pub(super) fn asked(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a whole number"))
}

pub(super) fn start(pipeline: &Path) -> Child {
    let mut command = Command::new(weir::binary());
    command
        .current_dir(weir::root())
        .arg("run")
        .arg(pipeline)
        .args(["--listen", "127.0.0.1:0"]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("weir starts")
}

/// The files with one of these endings, by name.
fn files(state: &Path, endings: &[&str]) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(state).into_iter().flatten().flatten();
    let ends = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| endings.contains(&ending))
    };
    entries.map(|entry| entry.path()).filter(ends).collect()
}

/// Waits for a checkpoint to begin.
fn wait_for_writing(state: &Path) {
    let now = || files(state, &["seg", "draft", "json"]);
    let (before, began) = (now(), Instant::now());
    while now().is_subset(&before) && began.elapsed() < CHECKPOINT_WAIT {
        std::thread::sleep(Duration::from_micros(300));
    }
}

/// Cuts the newest manifest short, if there is one before it.
fn damage(state: &Path) -> bool {
    let manifests = files(state, &["json"]);
    let (Some(path), 2..) = (manifests.last(), manifests.len()) else {
        return false;
    };
    let bytes = std::fs::read(path).expect("a manifest");
    std::fs::write(path, &bytes[..bytes.len() / 2]).expect("it can be written");
    true
}

/// What each sink's topic holds is its table. They are two: at least once in JSON, and exactly once.
struct Sunk {
    positions: String,
    ratios: String,
}

impl Sunk {
    fn new(topics: &Topics) -> Self {
        let [positions, ratios] = ["positions", "ratios"].map(|name| topics.named(name));
        make(&positions);
        make(&ratios);
        Self { positions, ratios }
    }

    fn text(&self) -> String {
        let Self { positions, ratios } = self;
        format!(
            "  held_topic: {{ from: positions, kafka: {{ cluster: main, topic: {positions} }} }}\n  \
               ratio_topic: {{ from: lcr, kafka: {{ cluster: main, topic: {ratios}, delivery: exactly_once }} }}\n"
        )
    }

    /// Compares both; answers how many records the topics have.
    fn same(&self, served: &Served) -> usize {
        sunk(served);
        let same = |topic: &str, name: &str, key: &[&str]| {
            let written = records(topic, &[]);
            assert_eq!(compacted(&written), table(served, name, key), "{topic}");
            written.len()
        };
        same(
            &self.positions,
            "positions",
            &["entity", "book", "instrument_id"],
        ) + same(&self.ratios, "lcr", &["entity", "scope", "regime"])
    }
}

/// Records that a run has taken from its sources.
fn taken(metrics: &str) -> usize {
    let samples = metrics
        .lines()
        .filter(|line| line.starts_with("weir_source_records_total{"));
    let value = |line: &str| line.rsplit(' ').next()?.parse::<usize>().ok();
    samples.filter_map(value).sum()
}

/// Goal: nothing is lost, doubled or wrong after SIGKILL at any moment. Method: a generated day comes in pieces; the
/// process is killed at random moments, while it restores, while it writes a checkpoint, while it reads; now and then
/// the newest checkpoint is damaged, too. After every few kills, and at the end, all tables and refusals equal those of
/// a replay of the records so far, and what the sinks' topics hold equals the tables. `WEIR_KILLS` and `WEIR_SEED` ask for other runs.
#[test]
fn kills_leave_no_trace() {
    let _awake = awake();
    let (kills, seed) = (asked("WEIR_KILLS", 20), asked("WEIR_SEED", 5));
    println!("{kills} kills, seed {seed}");
    let mut random = Random(seed);
    let day = tempfile::tempdir().expect("a temporary folder");
    let out = day.path().to_str().expect("UTF-8");
    let (seed, trades) = (
        (seed % 1_000).to_string(),
        (2_000 + 200 * kills).to_string(),
    );
    let what = ["random", "--seed", &seed, "--trades", &trades];
    weir::feed([&what[..], &["--partitions", "3", "--out", out]].concat());
    let whole = Recorded::read(day.path());
    let time = |record: &Value| record["timestamp_ms"].as_i64().expect("a timestamp");
    let mut times: Vec<i64> = whole.0.values().flatten().map(time).collect();
    times.sort_unstable();

    let topics = Topics::new("kills");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    let text = std::fs::read_to_string(topics.pipeline()).expect("the pipeline");
    let kept = format!("checkpoint: {{ every_s: 1, to: {} }}", state.display());
    let own = text.replace("clock: event }", &format!("clock: event, {kept} }}"));
    assert_ne!(text, own, "the pipeline has settings");
    let sinks = Sunk::new(&topics);
    let pipeline = topics.write(&with_sinks(&own, &sinks.text()));

    let share = |kills: u64| usize::try_from(kills).expect("few");
    // The day's records up to here are published.
    let mut here = i64::MIN;
    let mut damaged = 0;
    for kill in 0..kills {
        // There is a book from the first piece on.
        let piece = times.len() * (3 * share(kills) + 7 * share(kill + 1)) / (10 * share(kills));
        let next = times[piece - 1] + 1;
        let mut fresh = whole.clone();
        fresh.retain(|record| (here..next).contains(&time(record)));
        here = next;
        let publish = || {
            if fresh.len() > 0 {
                topics.publish(fresh.write().path(), &[]);
            }
        };
        let mut child;
        match random.below(4) {
            0 => {
                publish();
                child = start(&pipeline);
                std::thread::sleep(random.millis(700));
            }
            1 => {
                child = start(&pipeline);
                publish();
                wait_for_writing(&state);
                std::thread::sleep(random.millis(4));
            }
            _ => {
                child = start(&pipeline);
                publish();
                std::thread::sleep(random.millis(2_500));
            }
        }
        child.kill().expect("it runs");
        child.wait().expect("it was started");
        if damaged * 8 < kill && damage(&state) {
            damaged += 1;
        }
        if (kill + 1) % LOOK == 0 || kill + 1 == kills {
            let mut so_far = whole.clone();
            so_far.retain(|record| time(record) < here);
            let served = Served::start(&pipeline);
            served.has_read(so_far.len());
            same(&served, &topics, replayed(so_far.write().path()).path());
            let (_, metrics) = served.get("/metrics");
            let read = taken(metrics.as_str().expect("text"));
            println!(
                "after {} kills: {} records, {read} of them read since the last, {} in the sinks",
                kill + 1,
                so_far.len(),
                sinks.same(&served)
            );
            let is_first = kill < LOOK;
            assert!(read < so_far.len() || is_first, "it begins at a checkpoint");
            // Now there is one, however slow the machine.
            served.until("kept", |status| {
                status["checkpoint"]["epoch"].as_u64() > Some(0)
            });
        }
    }
    println!("{kills} kills, {damaged} damaged checkpoints, nothing lost");
    assert!(damaged > 0 || kills < LOOK, "a checkpoint was damaged, too");
}
