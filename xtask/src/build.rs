//! Binaries of the workspace, built once for whoever asks.

use std::path::PathBuf;

use crate::failure::Outcome;
use crate::shell::{binary, cargo, run};

/// Builds the named packages' binaries in the one profile.
pub(crate) fn packages(names: &[&str]) -> Outcome {
    let mut command = cargo();
    command.arg("build");
    for name in names {
        command.args(["--package", name]);
    }
    run(&mut command)
}

/// The product.
pub(crate) fn weir() -> PathBuf {
    binary("weir")
}

/// The generator of trading days.
pub(crate) fn feed() -> PathBuf {
    binary("weir-feed")
}
