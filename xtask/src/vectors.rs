//! `cargo xtask vectors`: worked cases of the liquidity rules.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::failure::{Context, Outcome};
use crate::help;
use crate::shell::{cargo, root, run, target_dir};

const HELP: &str = "\
Runs every case of a file of worked cases against the rules of plugins/lcr-rules, prints what differs and
`N passed, N failed`, and ends with 1 when a case failed. Each kind of case has its entry point in plugins/vectors; a
kind without one fails. Another file needs no code.

Usage: cargo xtask vectors [FILE]

  FILE  in the form of tests/vectors/lcr-vectors.json, the default";

pub(crate) fn main(mut arguments: lexopt::Parser) -> Outcome {
    let mut file = root().join("tests/vectors/lcr-vectors.json");
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(path) => file = PathBuf::from(path),
            Short('h') | Long("help") => return help(HELP),
            other => return Err(other.unexpected().into()),
        }
    }
    let file = file.canonicalize().context(file.display())?;
    let mut command = cargo();
    command
        .current_dir(root().join("plugins"))
        .env("CARGO_TARGET_DIR", target_dir().join("native"));
    run(command
        .args(["run", "--quiet", "--package", "vectors", "--"])
        .arg(file))
}
