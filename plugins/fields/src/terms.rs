//! The rest of a message's content as one text, so that two messages are the same exactly when their rows are.

/// `name=value` for the contract's fields that no column of its own holds. Only numbers, dates and codes stand here,
/// none of which has a `;`, so that no two contents share a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms(String);

impl Terms {
    /// Adds a code.
    #[must_use]
    pub fn code(mut self, name: &str, value: &str) -> Self {
        for part in [name, "=", value, ";"] {
            self.0.push_str(part);
        }
        self
    }

    /// Adds digits: a number at its field's scale, a date, or nothing when there is none.
    #[must_use]
    pub fn digits(self, name: &str, value: Option<impl Into<i128>>) -> Self {
        match value {
            Some(value) => self.code(name, &value.into().to_string()),
            None => self,
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
