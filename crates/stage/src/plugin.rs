//! Plugins as the engine sees them: row-by-row transforms and whole-group functions over Arrow batches.
//!
//! The engine never passes weights. A transform is linear and pure, so it is called for inserts and
//! retractions alike; a group function answers all rows of the keys it is given.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;
use std::path::Path;

pub use weir_spec::{Port, Shape};

/// What `open` needs.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// The config as JSON text, valid by the plugin's schema.
    pub config: String,
    /// Data files of the stage: name, contents.
    pub data: BTreeMap<String, Vec<u8>>,
}

/// A whole plugin call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("plugin {plugin}: {message}")]
pub struct PluginError {
    /// The plugin's name.
    pub plugin: String,
    /// `plugin_trap`, `plugin_deadline`, `plugin_memory`, `plugin_output`, `plugin_failed`, `plugin_invalid` ...
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// The same call may go through later.
    pub transient: bool,
}

/// One input row refused by a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowRefusal {
    /// Its index in the input (of a group call: through the inputs' rows in order).
    pub row: u32,
    /// The plugin's code.
    pub code: String,
    /// The plugin's message.
    pub message: String,
    /// The column at fault.
    pub field: Option<String>,
}

/// Rows out of a transform.
#[derive(Clone, Debug)]
pub struct Produced {
    /// The rows, in the plugin's output schema.
    pub batch: RecordBatch,
    /// For each of them the input row it came from.
    pub origin: Vec<u32>,
    /// Input rows it would not take.
    pub refusals: Vec<RowRefusal>,
}

/// An opened `transform`. Called on worker threads, one call at a time per instance; may take up to the
/// call deadline. A trap is bisected inside: the offending rows come back as refusals with code `plugin_trap`.
pub trait Transform: Send {
    /// The schema of `Produced::batch`.
    fn schema(&self) -> SchemaRef;
    /// Rows in (the columns of `Shape::inputs[0]`, in that order), rows out.
    fn transform(&mut self, batch: &RecordBatch) -> Result<Produced, PluginError>;
}

/// One input of a group call.
#[derive(Clone, Debug)]
pub struct GroupInput {
    /// All rows of all called groups, group by group.
    pub rows: RecordBatch,
    /// Where each group's rows begin; one more than there are groups.
    pub offsets: Vec<u32>,
}

/// The rows of one output for all called groups.
#[derive(Clone, Debug)]
pub struct GroupAnswer {
    /// The rows.
    pub batch: RecordBatch,
    /// For each of them the index of its group.
    pub group: Vec<u32>,
}

/// All outputs of a group call, in the order of `Shape::outputs`, and refused input rows.
#[derive(Clone, Debug)]
pub struct Grouped {
    /// One per output.
    pub outputs: Vec<GroupAnswer>,
    /// Refused input rows.
    pub refusals: Vec<RowRefusal>,
}

/// An opened `group` plugin. A trap is bisected over groups inside; keys that trap come back in `Err`
/// only when every single call fails.
pub trait Group: Send {
    /// The schemas of the answers.
    fn outputs(&self) -> Vec<Port>;
    /// Evaluates the groups whose keys are the rows of `keys`. Pure.
    fn evaluate(
        &mut self,
        as_of_us: i64,
        keys: &RecordBatch,
        inputs: &[GroupInput],
    ) -> Result<Grouped, PluginError>;
}

/// Limits of one plugin stage; each has a default and a key in the pipeline file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest call, in milliseconds.
    pub call_ms_max: u32,
    /// Most linear memory, in mebibytes.
    pub memory_mib_max: u32,
    /// Most rows one call may answer.
    pub output_rows_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        // A call of 65,536 rows takes some 30 ms; a hundred times that is a loop.
        Self {
            call_ms_max: 5_000,
            memory_mib_max: 256,
            output_rows_max: 4_000_000,
        }
    }
}

/// The plugin host, as `cli` hands it to the check and to the engine.
pub trait Plugins: Send + Sync {
    /// Reads a plugin's description without running it.
    fn shape(&self, file: &Path, config: &str) -> Result<Shape, PluginError>;
    /// Opens a transform; `input` is the stage's input schema.
    fn open_transform(
        &self,
        file: &Path,
        opening: &Opening,
        limits: &Limits,
    ) -> Result<Box<dyn Transform>, PluginError>;
    /// Opens a group plugin; `key` are the group's key columns.
    fn open_group(
        &self,
        file: &Path,
        opening: &Opening,
        key: &SchemaRef,
        limits: &Limits,
    ) -> Result<Box<dyn Group>, PluginError>;
}
