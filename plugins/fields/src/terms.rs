//! The rest of a message's content as one text, so that two messages are the same exactly when their rows are.

/// `name=value` for the contract's fields that no column of its own holds. Only numbers, dates and codes stand here,
/// none of which has a `;`, so that no two contents share a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms(String);

impl Terms {
    /// Adds a code, or nothing when there is none.
    #[inline]
    #[must_use]
    pub fn code(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.add(name, value);
        }
        self
    }

    /// Adds digits: a number at its field's scale, a date, or nothing when there is none.
    #[inline]
    #[must_use]
    pub fn digits(mut self, name: &str, value: Option<impl Into<i128>>) -> Self {
        if let Some(value) = value {
            self.add(name, &value.into().to_string());
        }
        self
    }

    #[inline(never)]
    fn add(&mut self, name: &str, value: &str) {
        for part in [name, "=", value, ";"] {
            self.0.push_str(part);
        }
    }

    /// The text, if there is any.
    pub fn as_str(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }
}
