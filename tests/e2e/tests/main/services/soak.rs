//! Running for long: memory, state on disk and lag stay level while a book changes all the time.

use super::kills::asked;
use super::{Served, Topics, awake};
use crate::weir;
use std::fs;
use std::process::Stdio;
use std::time::Duration;
use tokio::time::Instant;

/// What is measured at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at_s: u64,
    resident_mib: u64,
    disk_mib: u64,
    lag: u64,
    epoch: u64,
}

impl Sample {
    fn of(weir: &Served, at_s: u64) -> Self {
        let status = weir.status();
        let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
        let text = fs::read_to_string(format!("/proc/{}/status", weir.child.id()));
        let text = text.expect("the process runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        Self {
            at_s,
            resident_mib: kib.expect("Linux tells it") / 1_024,
            disk_mib: number(&status["checkpoint"]["disk_bytes"]) >> 20,
            lag: number(&status["lag"]),
            epoch: number(&status["epoch"]),
        }
    }
}

/// Goal: a pipeline that runs for long takes no more memory at the end than soon after its start, and keeps up. Method:
/// the reference pipeline with checkpoints; a book of fixed size whose records get newer versions at a rate.
/// `WEIR_SOAK_S`, `WEIR_SOAK_RATE` and `WEIR_SOAK_RECORDS` ask for more than the test command has time for.
#[test]
fn memory_stays_level() {
    const SAMPLES: u64 = 40;
    /// From so long a run on, what the first half took is the measure of the second: every record has changed, segments
    /// were merged.
    const LEVEL_S: u64 = 600;
    let _awake = awake();
    let seconds = asked("WEIR_SOAK_S", 20);
    let rate = asked("WEIR_SOAK_RATE", 1_000);
    let records = asked("WEIR_SOAK_RECORDS", 10_000);
    let topics = Topics::new("soak");
    let numbers = [records, rate, seconds].map(|number| number.to_string());
    let mut feed = weir::feeder();
    feed.args(["soak", "--prefix", &topics.prefix]);
    feed.args([
        "--records",
        &numbers[0],
        "--rate",
        &numbers[1],
        "--seconds",
        &numbers[2],
    ]);
    let mut feed = feed.stderr(Stdio::null()).spawn().expect("the feed starts");
    let state = topics.folder.path().join("state");
    let weir = Served::start_with(
        &topics.pipeline(),
        &["--state", state.to_str().expect("UTF-8")],
    );
    weir.until("live", |status| status["state"] == "live");
    let started = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    println!("     s  resident MiB  disk MiB      lag    epoch");
    while feed.try_wait().expect("it was started").is_none() {
        weir.pause(Duration::from_millis(1_000 * seconds / SAMPLES));
        let sample = Sample::of(&weir, started.elapsed().as_secs());
        let Sample {
            at_s,
            resident_mib,
            disk_mib,
            lag,
            epoch,
        } = sample;
        println!("{at_s:6}  {resident_mib:12}  {disk_mib:8}  {lag:7}  {epoch:7}");
        samples.push(sample);
    }
    assert!(feed.wait().expect("it was started").success());
    weir.until("everything read", |status| {
        status["state"] == "live" && status["lag"] == 0
    });
    let (early, late) = samples.split_at(samples.len() / 2);
    let most =
        |samples: &[Sample], of: fn(&Sample) -> u64| samples.iter().map(of).max().expect("some");
    // What a checkpoint takes for a moment is seen by chance.
    let usual = |samples: &[Sample]| {
        let mut all: Vec<u64> = samples.iter().map(|sample| sample.resident_mib).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    let (before, after) = (usual(early), usual(late));
    let disk = [early, late].map(|half| most(half, |sample| sample.disk_mib));
    if seconds >= LEVEL_S {
        assert!(
            after <= before + before / 10,
            "{before} MiB grew to {after} MiB"
        );
        assert!(
            disk[1] <= disk[0] + disk[0] / 4,
            "the state folder grew: {disk:?} MiB"
        );
    }
    assert!(after <= records / 10, "{after} MiB for {records} records");
    let behind = most(late, |sample| sample.lag);
    assert!(
        behind <= rate * 5,
        "{behind} records behind at {rate} a second"
    );
    // A bank sends some records that are bad; newer versions of the others are not.
    let refused = weir.status()["dead_letters"].as_u64().expect("a number");
    assert!(refused <= records / 100, "{refused} records are refused");
    weir.stop();
}
