//! Why a plugin cannot be packed, loaded or called.

use std::path::PathBuf;
use weir_stage::PluginError;

/// A failure of the host or of a plugin file. What goes wrong inside a call is a [`Verdict`].
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The compiler or the runtime could not be set up.
    #[error("cannot start the WebAssembly runtime: {0}")]
    Runtime(String),
    /// The cache folder cannot be made.
    #[error("cannot make the folder {} for compiled plugins", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The module cannot be made a component.
    #[error("the module is no plugin: {0}")]
    Pack(String),
    /// It is packed already.
    #[error("the file is a component already; pack the core module that cargo built")]
    Packed,
    /// What `describe` answers is wrong.
    #[error("the plugin's description is wrong: {0}")]
    Description(String),
}

/// Why a call did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) transient: bool,
    /// The rows of the call may be to blame: it is tried again in parts.
    pub(crate) divisible: bool,
}

impl Verdict {
    /// The plugin did what the border does not allow, whatever the rows.
    pub(crate) fn wrong(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            transient: false,
            divisible: false,
        }
    }

    /// A limit or a trap that fewer or other rows may not meet.
    pub(crate) fn stopped(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            transient: false,
            divisible: true,
        }
    }

    /// As the engine gets it.
    pub(crate) fn of(self, plugin: &str) -> PluginError {
        PluginError {
            plugin: plugin.to_owned(),
            code: self.code,
            message: self.message,
            transient: self.transient,
        }
    }
}
