//! What can be wrong with a schema, found when a decoder is made.

/// A schema that no decoder can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The text is no JSON, or no schema.
    #[error("the schema cannot be read: {0}")]
    Unreadable(String),
    /// Something in it has no columnar meaning.
    #[error("schema, {place}: {what}")]
    Unsupported {
        /// Where: the path of a field, or `top`.
        place: String,
        /// What is wrong.
        what: String,
        /// The cure.
        hint: Option<String>,
    },
    /// A writer's schema that the reader's cannot read.
    #[error("the writer's schema does not fit the reader's, {place}: {what}")]
    Incompatible {
        /// Where: the path of a field, or `top`.
        place: String,
        /// What is wrong.
        what: String,
    },
}

impl CodecError {
    pub(crate) fn unsupported(place: &str, what: impl Into<String>, hint: Option<&str>) -> Self {
        Self::Unsupported {
            place: place.to_owned(),
            what: what.into(),
            hint: hint.map(str::to_owned),
        }
    }

    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "schema_unreadable",
            Self::Unsupported { .. } => "schema_unsupported",
            Self::Incompatible { .. } => "schema_incompatible",
        }
    }

    /// The cure, where there is one to name.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unreadable(_) | Self::Incompatible { .. } => None,
            Self::Unsupported { hint, .. } => hint.as_deref(),
        }
    }
}
