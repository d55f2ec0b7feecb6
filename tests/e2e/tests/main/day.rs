//! Recorded days: every row of every table at the stated instants, to the last digit; and the same however
//! the records come.

use crate::weir;
use std::path::{Path, PathBuf};
use weir_e2e::day::{Run, differences, instants};

fn day(name: &str) -> PathBuf {
    weir::root().join("tests/days").join(name)
}

fn run() -> Run {
    Run::reference(weir::root(), weir::binary())
}

fn check(name: &str) {
    let outcomes = run().compare(&day(name)).expect("the day replays");
    let found = differences(&outcomes);
    let shown: Vec<&str> = found.iter().take(40).map(String::as_str).collect();
    assert!(
        found.is_empty(),
        "{} differences:\n{}",
        found.len(),
        shown.join("\n")
    );
}

/// Goal: the tables are what an independent program expects. Method: the whole binary over a recorded day.
#[test]
fn the_core_day_matches_to_the_last_digit() {
    check("sample-core");
}

/// The same for the day with every asset class.
#[test]
fn the_whole_day_matches_to_the_last_digit() {
    check("sample-day");
}

/// Goal: what is published depends on offsets and clock alone. Method: other workers, batches and
/// interleavings; equal dumps, byte by byte.
#[test]
fn dumps_do_not_depend_on_workers_batches_or_interleaving() {
    let variants: &[&[&str]] = &[
        &["--workers", "3"],
        &["--workers", "1", "--epoch-rows-max", "1"],
        &["--workers", "3", "--epoch-rows-max", "100"],
        &[
            "--workers",
            "1",
            "--epoch-rows-max",
            "65536",
            "--interleave",
            "7",
        ],
        &[
            "--workers",
            "3",
            "--epoch-rows-max",
            "100",
            "--interleave",
            "8",
        ],
    ];
    let day = day("sample-core");
    for instant in instants(&day).expect("the day has expectations") {
        let at = instant["at"].as_str().expect("an instant");
        let plain = tempfile::tempdir().expect("a temporary folder");
        let replay = |out: &Path, more: &[&str]| {
            run().replay(&day, at, out, more).expect("the day replays");
        };
        replay(plain.path(), &["--workers", "1"]);
        for variant in variants {
            let out = tempfile::tempdir().expect("a temporary folder");
            replay(out.path(), variant);
            for entry in std::fs::read_dir(plain.path()).expect("the dump") {
                let name = entry.expect("an entry").file_name();
                let read = |folder: &Path| {
                    std::fs::read_to_string(folder.join(&name)).expect("a dumped table")
                };
                assert!(
                    read(plain.path()) == read(out.path()),
                    "{at}: {name:?} differs with {variant:?}"
                );
            }
        }
    }
}
