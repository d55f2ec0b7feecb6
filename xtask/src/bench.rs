//! `cargo xtask bench`: the project's measures, one after the other, on whatever machine this is.

use std::process::Command;
use std::time::{Duration, Instant};

use lexopt::prelude::*;

use crate::failure::{Context, Failure, Outcome};
use crate::shell::{cargo, root, run, say};
use crate::{build, help, plugins};

const HELP: &str = "\
Prints the project's measures: the time of `weir check`, a plugin call beside the same code run natively.

Usage: cargo xtask bench [--yes]";

/// A check of the reference pipeline describes plugins from their files and runs none.
const CHECK_GOAL: Duration = Duration::from_millis(100);
const CHECK_RUNS: usize = 11;

pub(crate) fn main(mut arguments: lexopt::Parser, mut yes: bool) -> Outcome {
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("yes") => yes = true,
            Short('h') | Long("help") => return help(HELP),
            other => return Err(other.unexpected().into()),
        }
    }
    build::packages(&["weir-cli"])?;
    plugins::all(yes)?;
    let check = check_time()?;
    println!(
        "weir check, reference pipeline: {} ms (goal: under {} ms)",
        check.as_millis(),
        CHECK_GOAL.as_millis()
    );
    run(cargo().args([
        "run",
        "--quiet",
        "--package",
        "weir-host",
        "--example",
        "border",
    ]))
}

/// The median of several runs, so that one slow start says nothing.
fn check_time() -> Outcome<Duration> {
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
    Ok(times[CHECK_RUNS / 2])
}
