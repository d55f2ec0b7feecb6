//! What ends a command: a text for the person at the terminal and an exit code that a script can read.
//!
//! 1 = something failed, 2 = wrong usage, 3 = a tool is missing and the text is the line that installs it.

use std::fmt::{self, Display};

/// The outcome of every command and step here.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    exit: u8,
}

impl Failure {
    /// Something that was tried did not work.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            exit: 1,
        }
    }

    /// The command line cannot be carried out as it stands.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            exit: 2,
        }
    }

    /// A tool is not there, and may not be installed without being told so.
    pub(crate) fn missing(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            exit: 3,
        }
    }

    pub(crate) fn exit(&self) -> u8 {
        self.exit
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::usage(error.to_string())
    }
}

/// Says what was being done when an error came.
pub(crate) trait Context<T> {
    fn context(self, doing: impl Display) -> Outcome<T>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context(self, doing: impl Display) -> Outcome<T> {
        self.map_err(|error| Failure::new(format!("{doing}: {error}")))
    }
}
