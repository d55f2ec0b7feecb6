//! The state folder: what a pipeline knows at one epoch, kept so that a crash loses nothing.
//!
//! State is a map: each part (an operator, a table) has keys with values. A checkpoint appends one segment
//! with the entries that changed since the last, then a manifest, written last and renamed into place, that
//! names the epoch, the offsets, the clock and the segments. In a later segment a key's value replaces that of
//! an earlier one. Small segments are merged in the background, so disk use is bounded by a few times what the
//! state is. The last two manifests are kept with their segments: a damaged file is found by its checksum and
//! the checkpoint before it is used.

mod changes;
mod manifest;
mod merge;
mod segment;
mod store;

pub use changes::Changes;
pub use manifest::{Manifest, SegmentRef};
pub use store::{Checked, Opened, Report, Store, inspect, verify};

use std::io;
use std::path::{Path, PathBuf};

/// The version of the files. Another one is refused.
pub const FORMAT: u32 = 2;

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or the folder cannot be read or written.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why. Told with it, and no source, which would be told again.
        error: io::Error,
    },
    /// Another process has the folder.
    #[error("{path}: process {holder} has this state folder; stop it, or give this one another --state", path = path.display())]
    Held {
        /// The folder.
        path: PathBuf,
        /// Its process id and host, as it wrote them.
        holder: String,
    },
    /// What a file holds is not what was written.
    #[error("{path}: {what}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        what: String,
    },
    /// There are checkpoints, and none is whole.
    #[error("{path}: no whole checkpoint is left ({last}); bring back the folder from a copy, or read everything again with --fresh", path = path.display())]
    NoneWhole {
        /// The folder.
        path: PathBuf,
        /// What is wrong with the newest.
        last: String,
    },
    /// The checkpoint is of another pipeline.
    #[error("{path}: this folder is of pipeline `{pipeline}`, of another plan: {differs}; run the file it was made with, give this one another --state, or read everything again with --fresh", path = path.display())]
    OtherPlan {
        /// The folder.
        path: PathBuf,
        /// Whose checkpoint it is.
        pipeline: String,
        /// What differs.
        differs: String,
    },
}

impl StateError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |error| Self::Io {
            path: path.to_owned(),
            error,
        }
    }

    fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}

/// The manifests and segments of a folder.
#[cfg(test)]
fn store_files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.retain(|name| name != "lock");
    names.sort();
    names
}

#[cfg(test)]
mod tests;
