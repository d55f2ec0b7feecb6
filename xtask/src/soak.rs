//! `cargo xtask soak`: the soak test of the end-to-end tests, as long as one likes.

use lexopt::prelude::*;

use crate::failure::Outcome;
use crate::{help, test};

const HELP: &str = "\
Runs the reference pipeline on a real broker while a book of fixed size changes all the time, and prints what memory, the
state folder and the lag do. Fails when memory or the folder grow, or when the pipeline falls behind.

Usage: cargo xtask soak [--minutes 60] [--rate 5000] [--records 100000] [--yes]

  --minutes  for how long
  --rate     newer versions a second
  --records  the size of the book
  --yes      install missing tools with apt (root; CI=true does the same)";

pub(crate) fn main(mut arguments: lexopt::Parser, mut yes: bool) -> Outcome {
    let (mut minutes, mut rate, mut records) = (60_u64, 5_000_u64, 100_000_u64);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("minutes") => minutes = arguments.value()?.parse()?,
            Long("rate") => rate = arguments.value()?.parse()?,
            Long("records") => records = arguments.value()?.parse()?,
            Long("yes") => yes = true,
            Short('h') | Long("help") => return help(HELP),
            other => return Err(other.unexpected().into()),
        }
    }
    let asked = [
        ("WEIR_SOAK_S", minutes * 60),
        ("WEIR_SOAK_RATE", rate),
        ("WEIR_SOAK_RECORDS", records),
    ];
    test::one("memory_stays_level", &asked, yes)
}
