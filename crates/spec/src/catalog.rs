//! What the check must be told about things that it cannot know itself: decoders, plugins, client properties.

use crate::plan::{DecodePlan, EncodePlan};
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;
use std::path::Path;

/// A named input or output of a plugin. The only output of a `transform` is named `out`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the pipeline file.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
}

/// What a plugin is, read from its custom section without running it.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its own name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// Whether it is a `group` plugin (else a `transform`).
    pub is_group: bool,
    /// The columns it asks for: one port named `in` for a transform, one per named input for a group.
    /// Only these cross the border. A column that the stage's input does not have is an error unless nullable:
    /// then it is passed as nulls. Metadata columns may be asked for by name (`_offset`).
    pub inputs: Vec<Port>,
    /// The columns it writes, for the config that was given.
    pub outputs: Vec<Port>,
}

/// Why something outside the pipeline file does not fit it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A stable code such as `schema_unreadable`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// The cure.
    pub hint: Option<String>,
}

/// The world around a pipeline file, as far as the check needs it; needs no service. `cli` implements it.
pub trait Catalog {
    /// The columns that decoding by this plan gives (without metadata).
    fn decoded(&self, decode: &DecodePlan) -> Result<SchemaRef, Problem>;
    /// The names of the plugins in this folder; none when there is no such folder.
    fn plugins(&self, folder: &Path) -> Vec<String>;
    /// The JSON Schema of a plugin's config (draft 7 unless its `$schema` says otherwise).
    fn config_schema(&self, file: &Path) -> Result<String, Problem>;
    /// A plugin's shape for this config (JSON text), which fits its schema.
    fn plugin(&self, file: &Path, config: &str) -> Result<Shape, Problem>;
    /// What is wrong with a Kafka client property, if anything.
    fn client_property(&self, key: &str, value: &str) -> Option<Problem>;
    /// What is wrong with a sink's client properties taken together: each with the key at fault.
    fn sink_properties(
        &self,
        _properties: &BTreeMap<String, String>,
        _exactly_once: bool,
    ) -> Vec<(String, Problem)> {
        Vec::new()
    }
    /// Why rows of these columns cannot be written so to this topic, if they cannot.
    fn encoded(&self, _encode: &EncodePlan, _topic: &str, _columns: &SchemaRef) -> Option<Problem> {
        None
    }
    /// Why rows of these columns cannot be written to files, if they cannot.
    fn filed(&self, _columns: &SchemaRef) -> Option<Problem> {
        None
    }
}
