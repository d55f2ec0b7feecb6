//! The `weir` command: parses arguments, fills the registry of stages, starts everything, prints diagnostics.
//!
//! Exit codes: 0 done, 1 failed while running, 2 the command or the pipeline file is wrong.

mod args;
mod check;
mod dump;
mod letters;
#[cfg(target_env = "gnu")]
mod memory;
mod plugin;
mod registry;
pub mod run;
mod say;
mod state;

use clap::Parser;
use std::process::ExitCode;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    #[cfg(target_env = "gnu")]
    memory::share();
    let args = args::Args::parse();
    say::log(args.log_format);
    let done = match args.command {
        args::Command::Check(args) => check::check(&args),
        args::Command::Run(args) => run::run(&args),
        args::Command::Plugin(args::Plugin::Pack { core, out }) => plugin::pack(&core, &out),
        args::Command::Plugin(args::Plugin::Describe { file, config }) => {
            plugin::describe(&file, &config)
        }
        args::Command::State(args::State::Inspect { dir }) => state::inspect(&dir),
        args::Command::State(args::State::Verify { dir }) => state::verify(&dir),
        args::Command::DeadLetters(asked) => dead_letters(asked),
    };
    done.unwrap_or_else(|error| {
        say::error(format_args!("{error:#}"));
        ExitCode::FAILURE
    })
}

fn dead_letters(asked: args::DeadLetters) -> anyhow::Result<ExitCode> {
    match asked {
        args::DeadLetters::List {
            which,
            limit,
            format,
        } => letters::list(&which, limit, format),
        args::DeadLetters::Show { at, record } => letters::show(&at, &record),
        args::DeadLetters::Replay {
            file,
            which,
            all,
            dry_run,
            wait,
        } => {
            let wait = std::time::Duration::from_secs(wait);
            letters::replay(&file, &which, all, dry_run, wait)
        }
    }
}
