//! `vectors FILE`: runs every case of a file against the rules, tells the differences and `N passed, N failed`, and ends
//! with 1 when one failed.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for a terminal"
)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: vectors FILE");
        return ExitCode::from(2);
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("vectors: {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    match vectors::run(&text) {
        Ok(outcomes) => {
            print!("{}", vectors::told(&outcomes));
            let is_failed = outcomes.iter().any(|outcome| !outcome.faults.is_empty());
            ExitCode::from(u8::from(is_failed))
        }
        Err(error) => {
            eprintln!("vectors: {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
