//! `cargo xtask test`: everything that must hold, in one run, each step timed, the sum at the end.
//!
//! One build of the whole workspace serves every test, so that one choice of features is compiled once. Test binaries
//! are run here, not by cargo, because the end-to-end ones need to be told where the services are.

mod artifacts;
mod report;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lexopt::prelude::*;

use crate::failure::{Failure, Outcome};
use crate::shell::{cargo, root, run, say, target_dir};
use crate::{build, help, need, plugins, services, tidy};
use artifacts::Artifacts;
use report::{Count, Report, tests};

const HELP: &str = "\
Runs everything: format, lints, docs, tidy, unit, property and plugin tests, end-to-end tests on a real Kafka, a real
schema registry and a real browser.

Usage: cargo xtask test [--no-services] [--yes]

  --no-services  leave out the tests that need Kafka and the registry, and say which
  --yes          install missing tools with apt (root; CI=true does the same)";

/// End-to-end tests in modules of this name need Kafka and the registry.
const NEEDS_SERVICES: &str = "services::";

/// A test binary that runs longer hangs.
const LIMIT: Duration = Duration::from_mins(20);

pub(crate) fn main(mut arguments: lexopt::Parser, mut yes: bool) -> Outcome {
    let mut with_services = true;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("no-services") => with_services = false,
            Long("yes") => yes = true,
            Short('h') | Long("help") => return help(HELP),
            other => return Err(other.unexpected().into()),
        }
    }
    // All that is missing is told before the first minute is spent.
    let mut tools = need::BROWSER.to_vec();
    tools.extend(
        with_services
            .then_some(need::SERVICES)
            .into_iter()
            .flatten(),
    );
    need::require(&tools, yes)?;
    all(with_services, yes)
}

fn all(with_services: bool, yes: bool) -> Outcome {
    let mut report = Report::default();
    let workspaces = workspaces();
    let format = |command: &mut Command| run(command.args(["fmt", "--all", "--check"]));
    report.step("format", || Ok(each(&workspaces, format)));
    report.step("tidy", || tidy::all().map(|()| Count::ONE));
    let mut built = None;
    report.step("build", || {
        built = Some(artifacts::build()?);
        Ok(Count::ONE)
    });
    match &built {
        Some(artifacts) => run_tests(&mut report, artifacts, with_services, yes),
        None => report.not_run(
            &["plugins", "unit tests", "doc tests", "end to end"],
            "the build failed",
        ),
    }
    report.step("plugin tests", || Ok(native_tests(&workspaces[1..])));
    report.step("lints", || {
        Ok(each(&workspaces, |command| run(command.args(CLIPPY))))
    });
    let docs = |command: &mut Command| run(command.args(DOC).env("RUSTDOCFLAGS", "-D warnings"));
    report.step("docs", || Ok(each(&workspaces, docs)));
    report.finish()
}

fn run_tests(report: &mut Report, artifacts: &Artifacts, with_services: bool, yes: bool) {
    let packed = report.step("plugins", || plugins::all(yes).map(|()| Count::ONE));
    report.step("unit tests", || Ok(unit(artifacts)));
    let doc_tests = || {
        tests(
            cargo().args(["test", "--workspace", "--doc", "--locked"]),
            LIMIT,
        )
    };
    report.step("doc tests", || Ok(doc_tests()));
    if packed {
        report.step("end to end", || end_to_end(artifacts, with_services, yes));
    } else {
        report.not_run(&["end to end"], "the plugins were not built");
    }
}

const CLIPPY: [&str; 6] = [
    "clippy",
    "--workspace",
    "--all-targets",
    "--",
    "-D",
    "warnings",
];
const DOC: [&str; 4] = ["doc", "--workspace", "--no-deps", "--quiet"];

/// The workspace, the plugins and the tests' guests.
fn workspaces() -> Vec<&'static str> {
    let all = [".", "plugins", "tests/guests"];
    all.into_iter()
        .filter(|dir| root().join(dir).join("Cargo.toml").exists())
        .collect()
}

/// Cargo in one of the workspaces; those of guests build beside the main one, natively.
fn cargo_in(workspace: &str) -> Command {
    let mut command = cargo();
    command.current_dir(root().join(workspace));
    if workspace != "." {
        command.env("CARGO_TARGET_DIR", target_dir().join("native"));
    }
    command
}

/// One command in every workspace; each that fails is a failure.
fn each(workspaces: &[&'static str], step: impl Fn(&mut Command) -> Outcome) -> Count {
    let count = |dir: &&str| match step(&mut cargo_in(dir)) {
        Ok(()) => Count::ONE,
        Err(failure) => {
            say(failure.to_string());
            Count::FAILED
        }
    };
    Count::sum(workspaces.iter().map(count).collect())
}

fn native_tests(workspaces: &[&'static str]) -> Count {
    let run = |dir: &&str| {
        tests(
            cargo_in(dir).args(["test", "--workspace", "--quiet"]),
            LIMIT,
        )
    };
    Count::sum(workspaces.iter().map(run).collect())
}

fn unit(artifacts: &Artifacts) -> Count {
    let binaries = artifacts.tests.iter().filter(|test| !test.is_end_to_end());
    Count::sum(
        binaries
            .map(|test| tests(&mut test.command(), LIMIT))
            .collect(),
    )
}

/// One end-to-end test by its name, shown as it runs, on services of its own if none are up.
pub(crate) fn one(name: &str, asked: &[(&str, u64)], yes: bool) -> Outcome {
    need::require(&need::SERVICES, yes)?;
    let artifacts = artifacts::build()?;
    plugins::all(yes)?;
    let services = services::held(yes)?;
    for mut command in end_to_end_commands(&artifacts) {
        command.envs(services.running.variables());
        command.envs(asked.iter().map(|(name, value)| (name, value.to_string())));
        run(command.args([name, "--nocapture"]))?;
    }
    Ok(())
}

/// The end-to-end tests, told by their environment where everything is.
fn end_to_end(artifacts: &Artifacts, with_services: bool, yes: bool) -> Outcome<Count> {
    let services = if with_services {
        Some(services::held(yes)?)
    } else {
        None
    };
    let mut counts = Vec::new();
    for mut command in end_to_end_commands(artifacts) {
        if let Some(services) = &services {
            command.envs(services.running.variables());
        } else {
            left_out(Path::new(command.get_program()))?;
            command.args(["--skip", NEEDS_SERVICES]);
        }
        counts.push(tests(&mut command, LIMIT));
    }
    if counts.is_empty() {
        return Err(Failure::new("there are no end-to-end tests"));
    }
    Ok(Count::sum(counts))
}

fn end_to_end_commands(artifacts: &Artifacts) -> impl Iterator<Item = Command> {
    let tests = artifacts.tests.iter().filter(|test| test.is_end_to_end());
    tests.map(|test| {
        let mut command = test.command();
        command
            .env("WEIR_BIN", build::weir())
            .env("WEIR_FEED_BIN", build::feed())
            .env("WEIR_PLUGINS", root().join("target/plugins"));
        command
    })
}

/// Says which tests do not run without services.
fn left_out(binary: &Path) -> Outcome {
    let listed = crate::shell::capture(Command::new(binary).args([
        "--list",
        "--format",
        "terse",
        NEEDS_SERVICES,
    ]))?;
    for test in listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
    {
        say(format!("left out, needs services: {test}"));
    }
    Ok(())
}
