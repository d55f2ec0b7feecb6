//! One build of everything that is tested or run, and where its executables are.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Outcome};
use crate::shell::{cargo, root, say};

/// What the build made that can be run as a test.
#[derive(Debug)]
pub(super) struct Artifacts {
    pub(super) tests: Vec<TestBinary>,
}

/// A test executable and the folder of its package.
#[derive(Debug)]
pub(super) struct TestBinary {
    path: PathBuf,
    package: PathBuf,
}

impl TestBinary {
    /// The end-to-end package's tests need more than themselves.
    pub(super) fn is_end_to_end(&self) -> bool {
        self.package.ends_with("tests/e2e")
    }

    /// The command that runs it as cargo would.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command
            .current_dir(&self.package)
            .env("CARGO_MANIFEST_DIR", &self.package);
        command
    }
}

/// Builds the workspace, its tests and examples at once, so that all of it agrees on features.
pub(super) fn build() -> Outcome<Artifacts> {
    let mut command = cargo();
    command.args(["build", "--workspace", "--all-targets", "--locked"]);
    say("$ cargo build --workspace --all-targets --locked");
    command
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot run cargo")?;
    let messages = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    let mut tests = Vec::new();
    for message in messages.lines() {
        tests.extend(test_binary(&message.context("reading what cargo says")?));
    }
    if !child.wait().context("waiting for cargo")?.success() {
        return Err(Failure::new("the build failed"));
    }
    tests.sort_by(|a, b| a.package.cmp(&b.package).then_with(|| a.path.cmp(&b.path)));
    Ok(Artifacts { tests })
}

/// The test that one of cargo's messages tells of.
fn test_binary(message: &str) -> Option<TestBinary> {
    // The profile tells whether this is the test of a target; the target itself, whether it may have one.
    let (_, profile) = message.split_once("\"profile\":{")?;
    let (profile, _) = profile.split_once('}')?;
    profile.contains("\"test\":true").then_some(())?;
    let value = |key: &str| {
        let (_, rest) = message.split_once(&format!("\"{key}\":\""))?;
        rest.split_once('"').map(|(value, _)| PathBuf::from(value))
    };
    let manifest = value("manifest_path")?;
    let package = manifest.parent()?.to_path_buf();
    package.starts_with(root()).then_some(())?;
    Some(TestBinary {
        path: value("executable")?,
        package,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A binary that may be tested is not the test of it.
    #[test]
    fn only_tests_are_found() {
        let root = root();
        let message = |test: bool| {
            format!(
                "{{\"manifest_path\":\"{0}/xtask/Cargo.toml\",\"target\":{{\"test\":true}},\
                 \"profile\":{{\"test\":{test}}},\"executable\":\"{0}/target/debug/x\"}}",
                root.display()
            )
        };
        assert!(test_binary(&message(false)).is_none());
        let found = test_binary(&message(true)).unwrap();
        assert_eq!(
            (found.path, found.package),
            (root.join("target/debug/x"), root.join("xtask"))
        );
    }
}
