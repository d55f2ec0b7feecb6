//! `cargo xtask`: builds, demonstrates, tests and measures the project, and runs the services its tests need.
//!
//! The standard library and one argument parser only, so that the first line is on the screen in seconds on a
//! machine that has built nothing yet. Uses no crate of the product: it calls the binaries they become.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command for a terminal: it prints, waits and measures time"
)]

mod bench;
mod build;
mod chaos;
mod day;
mod demo;
mod failure;
mod need;
mod plugins;
mod rows;
mod services;
mod shell;
mod soak;
mod test;
mod tidy;
mod trades;
mod vectors;

use std::process::ExitCode;

use failure::{Failure, Outcome};
use lexopt::prelude::*;

const HELP: &str = "\
Builds, demonstrates, tests and measures the project.

Usage: cargo xtask COMMAND [OPTIONS]      (or: sh xtask/boot COMMAND [OPTIONS], which looks for a C compiler first)

Commands:
  demo      replay a generated trading day and serve the page
  test      everything: format, lints, docs, unit, plugin and end-to-end tests
  plugins   build the plugins to WebAssembly and pack them
  services  up | status | down: a real Kafka and a real schema registry on this machine
  trades    publish a plausible live day to the running services
  vectors   worked cases of the liquidity rules, of any file
  day       replays a recorded day and compares every table with its expectations
  bench     the project's measures
  chaos     kills a pipeline again and again, and compares every table
  soak      runs a pipeline for long, and watches its memory
  tidy      floors, owners, absent words, file headers

Options:
  --yes     install what is missing with apt, without asking (root; CI=true does the same)
  --help    of any command";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(failure.exit())
        }
    }
}

fn run() -> Outcome {
    let mut arguments = lexopt::Parser::from_env();
    let mut yes = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("yes") => yes = true,
            Short('h') | Long("help") => return help(HELP),
            Value(command) => return dispatch(&command.string()?, arguments, yes),
            other => return Err(other.unexpected().into()),
        }
    }
    Err(Failure::usage(HELP))
}

fn dispatch(command: &str, arguments: lexopt::Parser, yes: bool) -> Outcome {
    match command {
        "demo" => demo::main(arguments, yes),
        "test" => test::main(arguments, yes),
        "plugins" => plugins::main(arguments, yes),
        "services" => services::main(arguments, yes),
        "trades" => trades::main(arguments),
        "vectors" => vectors::main(arguments),
        "day" => day::main(arguments, yes),
        "bench" => bench::main(arguments, yes),
        "chaos" => chaos::main(arguments, yes),
        "soak" => soak::main(arguments, yes),
        "tidy" => tidy::main(arguments),
        unknown => Err(Failure::usage(format!("no command `{unknown}`\n\n{HELP}"))),
    }
}

/// Prints a help text as the answer that was asked for.
#[expect(
    clippy::unnecessary_wraps,
    reason = "every command answers help with it, as its outcome"
)]
fn help(text: &str) -> Outcome {
    println!("{text}");
    Ok(())
}
