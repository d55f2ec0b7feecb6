//! Currency codes: three letters in any case, kept in capitals.

/// A currency code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Three letters, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 3] = text.as_bytes().try_into().ok()?;
        code.iter()
            .all(u8::is_ascii_alphabetic)
            .then(|| Self(code.map(|letter| letter.to_ascii_uppercase())))
    }

    /// Base and quote, with or without a slash between them.
    pub fn parse_pair(text: &str) -> Option<(Self, Self)> {
        let (base, quote) = text.split_once('/').or_else(|| text.split_at_checked(3))?;
        Some((Self::parse(base)?, Self::parse(quote)?))
    }

    /// The code in capitals.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("letters are UTF-8")
    }
}
