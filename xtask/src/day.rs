//! `cargo xtask day`: a recorded day through the binary, compared to the last digit.

use std::path::PathBuf;
use std::process::Command;

use lexopt::prelude::*;

use crate::failure::{Context, Failure, Outcome};
use crate::shell::{binary, root, run};
use crate::{build, help, plugins};

const HELP: &str = "\
Replays recorded days through pipelines/treasury-liquidity.yaml to every instant that their expected.json names, and
compares every row of every table and the refused records with it, to the last digit. Prints the first differences and
ends with 1 when there are some. Another day needs no code.

Usage: cargo xtask day DIR...

  DIR  a folder in the form of tests/days/sample-day";

pub(crate) fn main(mut arguments: lexopt::Parser, yes: bool) -> Outcome {
    let mut days = Vec::new();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(path) => {
                let path = PathBuf::from(path);
                days.push(path.canonicalize().context(path.display())?);
            }
            Short('h') | Long("help") => return help(HELP),
            other => return Err(other.unexpected().into()),
        }
    }
    if days.is_empty() {
        return Err(Failure::usage(HELP));
    }
    build::binaries()?;
    plugins::product(yes)?;
    let mut command = Command::new(binary("weir-day"));
    command
        .env("WEIR_BIN", build::weir())
        .env("WEIR_PLUGINS", root().join("target/plugins"));
    run(command.arg(root()).args(days))
}
