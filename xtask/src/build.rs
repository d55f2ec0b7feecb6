//! Binaries of the workspace, built once for whoever asks.

use std::path::PathBuf;

use crate::failure::Outcome;
use crate::shell::{binary, cargo, run};

/// Builds every binary of the workspace in the one profile. All, because cargo chooses features for what is built
/// together: a choice of packages would compile half of the dependencies once more.
pub(crate) fn binaries() -> Outcome {
    run(cargo().args(["build", "--workspace", "--bins", "--locked"]))
}

/// The product.
pub(crate) fn weir() -> PathBuf {
    binary("weir")
}

/// The generator of trading days.
pub(crate) fn feed() -> PathBuf {
    binary("weir-feed")
}
