//! `cargo xtask chaos`: the kill test of the end-to-end tests, as long as one likes.

use lexopt::prelude::*;

use crate::failure::Outcome;
use crate::{help, test};

const HELP: &str = "\
Kills a running pipeline again and again, at moments that a seed gives: while it reads, while it restores, while it writes
a checkpoint; now and then a checkpoint is damaged, too. After every few kills, and at the end, all tables and refused
records must equal those of a replay of the records so far, and what the sinks' topics hold must equal the tables.

Usage: cargo xtask chaos [--kills 500] [--seed 5] [--yes]

  --kills  how often
  --seed   which day, and which moments
  --yes    install missing tools with apt (root; CI=true does the same)";

pub(crate) fn main(mut arguments: lexopt::Parser, mut yes: bool) -> Outcome {
    let (mut kills, mut seed) = (500_u64, 5_u64);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("kills") => kills = arguments.value()?.parse()?,
            Long("seed") => seed = arguments.value()?.parse()?,
            Long("yes") => yes = true,
            Short('h') | Long("help") => return help(HELP),
            other => return Err(other.unexpected().into()),
        }
    }
    let asked = [("WEIR_KILLS", kills), ("WEIR_SEED", seed)];
    test::one("kills_leave_no_trace", &asked, yes)
}
