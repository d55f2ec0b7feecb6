//! Currency codes: three letters in any case, kept in capitals.

use weir_sdk::ascii;

/// A currency code. A fourth byte, always 0, makes it one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency([u8; 4]);

impl Currency {
    /// Three letters, in any case.
    #[inline]
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(text.as_bytes().try_into().ok()?)
    }

    /// Base and quote, with or without a slash between them.
    #[inline]
    pub fn parse_pair(text: &str) -> Option<(Self, Self)> {
        let (base, rest) = text.as_bytes().split_first_chunk()?;
        let quote = rest.strip_prefix(b"/").unwrap_or(rest);
        let quote = quote.try_into().ok()?;
        Some((Self::of(*base)?, Self::of(quote)?))
    }

    /// All letters at once.
    #[inline]
    fn of([first, second, third]: [u8; 3]) -> Option<Self> {
        const EACH: u32 = 0x0001_0101;
        const HIGHEST: u32 = EACH * 0x80;
        let small = u32::from_le_bytes([first, second, third, 0]) | (EACH * 0x20);
        // In the highest bit of each byte.
        let from_a = small + EACH * (0x80 - 0x61);
        let past_z = small + EACH * (0x80 - 0x7b);
        let is_letter = from_a & !past_z & !small;
        (is_letter & HIGHEST == HIGHEST).then(|| Self((small ^ (EACH * 0x20)).to_le_bytes()))
    }

    /// The code in capitals.
    #[inline]
    pub fn as_str(&self) -> &str {
        ascii(&self.0[..3]).expect("letters are ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All letters at once are the letters one by one.
    #[test]
    fn at_once_is_one_by_one() {
        for byte in 0..=u8::MAX {
            for at in 0..3 {
                let mut code = *b"aZz";
                code[at] = byte;
                let plain = code.iter().all(u8::is_ascii_alphabetic);
                let plain = plain.then(|| code.to_ascii_uppercase());
                let read = Currency::of(code);
                assert_eq!(read.map(|currency| currency.0[..3].to_vec()), plain);
            }
        }
    }
}
