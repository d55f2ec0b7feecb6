//! Tools that must be there. What is missing is installed by apt when that is allowed, asked for at a terminal, or
//! named with the exact line to run.
//!
//! Nothing is left out because a tool is missing: a test that did not run must not look like one that passed.

use std::env;
use std::io::{IsTerminal, Write, stderr, stdin};
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::shell::{capture, have, run, say};

/// A command and the Debian package that brings it, by a name that fits the releases we support.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) command: &'static str,
    pub(crate) package: &'static str,
}

/// Kafka and the registry.
pub(crate) const SERVICES: [Tool; 2] = [
    Tool {
        command: "java",
        package: "default-jre-headless",
    },
    Tool {
        command: "mvn",
        package: "maven",
    },
];

/// The page.
pub(crate) const BROWSER: [Tool; 2] = [
    Tool {
        command: "chromium",
        package: "chromium",
    },
    Tool {
        command: "chromedriver",
        package: "chromium-driver",
    },
];

/// Sees that all of `tools` are there when it returns.
pub(crate) fn require(tools: &[Tool], yes: bool) -> Outcome {
    let missing: Vec<&str> = tools
        .iter()
        .filter(|tool| !have(tool.command))
        .map(|tool| tool.package)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        install(&missing, yes)
    }
}

/// Installs packages, or fails with the line that does.
pub(crate) fn install(packages: &[&str], yes: bool) -> Outcome {
    let root = capture(Command::new("id").arg("-u"))?.trim() == "0";
    let sudo = if root { "" } else { "sudo " };
    let line = format!(
        "{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    );
    if !have("apt-get") {
        return Err(Failure::missing(format!(
            "missing (names of Debian's packages): {}",
            packages.join(" ")
        )));
    }
    if !allowed(root, yes) && !asked(&line)? {
        return Err(Failure::missing(format!(
            "missing: {}. Run: {line}",
            packages.join(" ")
        )));
    }
    say(format!("installing {}", packages.join(" ")));
    let apt = |arguments: &str| {
        let command = format!("{sudo}env DEBIAN_FRONTEND=noninteractive apt-get -q {arguments}");
        run(Command::new("sh").args(["-c", &command]))
    };
    apt("update")?;
    apt(&format!(
        "install -y --no-install-recommends {}",
        packages.join(" ")
    ))
}

/// Said before: by root on the command line or in CI, or at the question that `xtask/boot` asked.
fn allowed(root: bool, yes: bool) -> bool {
    let ci = env::var("CI").is_ok_and(|value| value == "true");
    (root && (ci || yes)) || env::var("WEIR_YES").is_ok_and(|value| value == "1")
}

fn asked(line: &str) -> Outcome<bool> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Ok(false);
    }
    eprint!("xtask: something is missing. Run `{line}` now? [y/N] ");
    stderr().flush().context("the terminal")?;
    let mut answer = String::new();
    stdin().read_line(&mut answer).context("the terminal")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
