//! What a plugin author uses.
//!
//! A plugin is a type that implements [`Transform`] (rows in, rows out, row by row) or [`Group`] (all rows of
//! one key in, that key's rows out) in plain Rust, and one line, [`export_transform!`] or [`export_group!`],
//! which makes the WebAssembly exports of `wit/weir-plugin.wit` when it is built for `wasm32` and nothing
//! otherwise: so a plugin is tested natively, with [`harness`].
//!
//! Columns cross as Arrow buffers; [`record!`] declares the columns of an input or output once and gives a
//! typed row to read or write.

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
pub mod columns;
pub mod describe;
pub mod group;
pub mod harness;
pub mod json;
pub mod record;
pub mod table;
mod text;
pub mod transform;
pub mod wire;

pub use columns::{Columns, ascii};
pub use describe::{Description, Field, Kind, Port, Shape};
pub use group::{Answers, Group, Groups, Input, Rows};
pub use json::Json;
pub use record::Record;
pub use table::Table;
pub use transform::{Output, Transform};
pub use wire::Batch;

/// Exports a [`Transform`] as the WebAssembly world `transform`; nothing on other targets.
#[macro_export]
macro_rules! export_transform {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Export = $crate::bindings::TransformExport<$plugin>;
    $crate::bindings::transform::export!(Export with_types_in $crate::bindings::transform);
        };
    };
}

/// Exports a [`Group`] as the WebAssembly world `group`; nothing on other targets.
#[macro_export]
macro_rules! export_group {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Export = $crate::bindings::GroupExport<$plugin>;
    $crate::bindings::group::export!(Export with_types_in $crate::bindings::group);
        };
    };
}

pub use weir_exact::I256;

/// Why `open` failed: a code and a message that names the config key or data file at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A stable code such as `config_invalid`.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Failure {
    /// A failure with this code.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}

/// One refused input row: `row` counts through the input's rows (of a group call through all inputs' rows in order).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The row.
    pub row: u32,
    /// A stable code such as `unknown_side`.
    pub code: String,
    /// What is wrong; never the whole record.
    pub message: String,
    /// The column at fault.
    pub field: Option<String>,
}

/// The stage's data files, in the order of their names.
#[derive(Clone, Debug, Default)]
pub struct Data {
    files: Vec<(String, Vec<u8>)>,
}

impl Data {
    /// These files.
    pub fn new(files: Vec<(String, Vec<u8>)>) -> Self {
        Self { files }
    }

    /// A file's bytes.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, bytes)| bytes.as_slice())
    }

    /// A file's text, or a failure that says which entry of `data:` is missing or is not UTF-8.
    pub fn text(&self, name: &str) -> Result<&str, Failure> {
        let bytes = self.get(name).ok_or_else(|| {
            Failure::new(
                "data_missing",
                format!("the stage's `data` names no file `{name}`"),
            )
        })?;
        std::str::from_utf8(bytes).map_err(|error| {
            Failure::new(
                "data_invalid",
                format!("data file `{name}` is not UTF-8: {error}"),
            )
        })
    }
}
