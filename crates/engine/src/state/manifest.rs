//! A manifest: one checkpoint, told in full, as JSON with a checksum on the line after it.

use super::{FORMAT, StateError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use weir_stage::Position;
use xxhash_rust::xxh3::xxh3_64;

/// Most differences that are told one by one.
const TOLD: usize = 10;

/// One checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the files.
    pub format: u32,
    /// The version of the program that wrote it.
    pub weir: String,
    /// Its number: one more than that of the checkpoint before.
    pub number: u64,
    /// The pipeline's name.
    pub pipeline: String,
    /// What the state is of: each piece of the plan with a digest.
    pub plan: BTreeMap<String, String>,
    /// The last published epoch.
    pub epoch: u64,
    /// The clock, microseconds since 1970, UTC.
    pub as_of_us: Option<i64>,
    /// Next offset to read, by source and partition.
    pub offsets: BTreeMap<String, Position>,
    /// What the offsets belong to, by source, where it can be told: of a topic made anew nothing is read.
    #[serde(default)]
    pub identities: BTreeMap<String, String>,
    /// Where sinks stand, by sink: whatever each needs to go on.
    pub sinks: BTreeMap<String, String>,
    /// Names of the parts, by their number in the segments.
    pub parts: Vec<String>,
    /// The segments, oldest first.
    pub segments: Vec<SegmentRef>,
}

/// A segment, as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentRef {
    /// Its file in the state folder.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// How many keys it tells of.
    pub entries: u64,
    /// The digest of its content, in hexadecimal.
    pub digest: String,
}

impl Manifest {
    /// What differs from another plan, the first of it, or nothing.
    pub fn differs(&self, plan: &BTreeMap<String, String>) -> Option<String> {
        let mut found = Vec::new();
        for (name, digest) in plan {
            match self.plan.get(name) {
                None => found.push(format!("{name} is new")),
                Some(other) if other != digest => found.push(format!("{name} has changed")),
                Some(_) => {}
            }
        }
        let gone = self.plan.keys().filter(|name| !plan.contains_key(*name));
        found.extend(gone.map(|name| format!("{name} is gone")));
        let more = found.len().saturating_sub(TOLD);
        found.truncate(TOLD);
        let more = (more > 0).then(|| format!(", and {more} more"));
        (!found.is_empty()).then(|| found.join(", ") + &more.unwrap_or_default())
    }

    /// All bytes of its segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn read(path: &Path) -> Result<Self, StateError> {
        let text = fs::read(path).map_err(StateError::io(path))?;
        let damaged = |what: &str| StateError::damaged(path, what);
        let end = text.len().checked_sub(18);
        let (json, line) = end
            .and_then(|end| text.split_at_checked(end))
            .ok_or_else(|| damaged("it is cut off"))?;
        if line != checksum(json).as_bytes() {
            return Err(damaged("its checksum is wrong"));
        }
        let value: serde_json::Value =
            serde_json::from_slice(json).map_err(|error| damaged(&error.to_string()))?;
        if value["format"].as_u64() != Some(u64::from(FORMAT)) {
            return Err(damaged(&format!(
                "it has format {}, this program reads {FORMAT}: run the version that wrote it ({}), or read \
                 everything again with --fresh",
                value["format"], value["weir"]
            )));
        }
        serde_json::from_value(value).map_err(|error| damaged(&error.to_string()))
    }

    /// Writes it beside its place, then renames it into place.
    pub(super) fn write(&self, path: &Path) -> Result<(), StateError> {
        let mut text = serde_json::to_string_pretty(self).expect("a manifest is plain data");
        text.push_str(&checksum(text.as_bytes()));
        let draft = path.with_extension("draft");
        let write = || {
            let mut file = File::create(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, path)?;
            File::open(path.parent().expect("a file has a folder"))?.sync_all()
        };
        write().map_err(StateError::io(path))
    }
}

/// The line after the JSON.
fn checksum(json: &[u8]) -> String {
    format!("\n{:016x}\n", xxh3_64(json))
}
