//! `weir-day ROOT DAY...`: replays recorded days with the binary that `WEIR_BIN` names and compares every table and the
//! refused records at every instant of their expectations. Ends with 1 when something differs.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for a terminal"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use weir_e2e::day::{Run, differences, summary};

/// So many differences are shown.
const SHOWN: usize = 40;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("weir-day: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let root = arguments.next().context("usage: weir-day ROOT DAY...")?;
    let weir = std::env::var_os("WEIR_BIN");
    let weir = weir.map_or_else(|| root.join("target/debug/weir"), PathBuf::from);
    let run = Run::reference(root, weir);
    let mut all_equal = true;
    for day in arguments {
        let outcomes = run.compare(&day)?;
        let found = differences(&outcomes);
        println!("{}\n{}", day.display(), summary(&outcomes).trim_end());
        found.iter().take(SHOWN).for_each(|text| println!("{text}"));
        println!("{} differences", found.len());
        all_equal &= found.is_empty();
    }
    Ok(all_equal)
}
