//! `cargo xtask trades`: a live day on the running services, made up as it goes.

use std::process::Command;

use lexopt::prelude::*;

use crate::failure::{Failure, Outcome};
use crate::shell::run;
use crate::{build, help, services};

const HELP: &str = "\
Publishes a plausible live day to the services that `cargo xtask services up` started: every topic, versions out of
order, some bad messages. The same seed makes the same messages; only their timestamps are of now.

Usage: cargo xtask trades [--rate 1000] [--minutes 5] [--seed 7]

  --rate     messages a second
  --minutes  for how long
  --seed     which day";

pub(crate) fn main(mut arguments: lexopt::Parser) -> Outcome {
    let (mut rate, mut minutes, mut seed) = (1000_u32, 5_u32, 7_u64);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("rate") => rate = arguments.value()?.parse()?,
            Long("minutes") => minutes = arguments.value()?.parse()?,
            Long("seed") => seed = arguments.value()?.parse()?,
            Short('h') | Long("help") => return help(HELP),
            other => return Err(other.unexpected().into()),
        }
    }
    let services = services::found();
    let services =
        services.ok_or_else(|| Failure::new("no services are up. Run: cargo xtask services up"))?;
    build::binaries()?;
    let mut feed = Command::new(build::feed());
    feed.args([
        "live",
        "--rate",
        &rate.to_string(),
        "--minutes",
        &minutes.to_string(),
        "--seed",
        &seed.to_string(),
    ]);
    run(feed.args([
        "--bootstrap",
        &services.bootstrap,
        "--registry",
        &services.registry_url,
    ]))
}
