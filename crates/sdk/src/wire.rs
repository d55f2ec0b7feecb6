//! Batches as they cross the border: Arrow buffers, little-endian, nested columns flat and depth first.

use crate::columns::{is_valid, u32_at};
use crate::describe::{Field, Kind};

/// Bytes `at` to `at + len` of buffer `of` of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Which buffer.
    pub of: u32,
    /// The first byte.
    pub at: u32,
    /// How many.
    pub len: u32,
}

/// Text or bytes: `rows + 1` u32 offsets into `bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Varlen {
    /// The offsets.
    pub offsets: Span,
    /// The bytes.
    pub bytes: Span,
}

/// How a column's bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// No values of its own: every row is null, or a struct, whose fields are its children.
    None,
    /// One bit a row.
    Bits(Span),
    /// Values of one width.
    Fixed(Span),
    /// Text or bytes.
    Varlen(Varlen),
    /// `rows + 1` u32 offsets into the one child.
    Nested(Span),
}

/// What a column is, besides its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its name.
    pub name: &'static str,
    /// What it means; none: a column of the key, which no shape asks for.
    pub kind: Option<Kind>,
    /// How many children stand behind it.
    pub children: u32,
}

impl Head {
    /// That of a field.
    pub fn of(field: &Field) -> Self {
        Self {
            name: field.name,
            kind: Some(field.kind),
            children: u32::try_from(field.children.len()).expect("a struct has few fields"),
        }
    }

    /// Those of the fields, flat and depth first.
    pub fn flat(fields: &[Field]) -> Vec<Self> {
        let mut heads = Vec::new();
        for field in fields {
            heads.push(Self::of(field));
            heads.extend(Self::flat(&field.children));
        }
        heads
    }
}

/// As a mistake is told.
impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "column `{}` is ", self.name)?;
        match self.kind {
            Some(kind) => kind.fmt(f),
            None => f.write_str("part of the key"),
        }
    }
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it is.
    pub head: Head,
    /// One bit a row, 1 valid; none: no row is null.
    pub validity: Option<Span>,
    /// Its values.
    pub data: Layout,
}

/// A number of rows of columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// How many rows.
    pub rows: u32,
    /// The columns.
    pub columns: Vec<Column>,
    /// The bytes of all of them.
    pub buffers: Vec<Vec<u8>>,
}

impl Batch {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows as usize
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The bytes of a span.
    pub fn bytes(&self, span: Span) -> &[u8] {
        bytes(&self.buffers, span)
    }

    /// Texts by dictionary, a key for each row, as texts: what a null row's key says is of no meaning.
    pub fn plain(&mut self, validity: Option<Span>, keys: Span, values: Varlen) -> Varlen {
        let (offsets, bytes) = (self.bytes(values.offsets), self.bytes(values.bytes));
        let validity = validity.map(|span| self.bytes(span));
        let texts = (offsets.len() / 4).saturating_sub(1);
        let (mut ends, mut all) = (vec![[0; 4]], Vec::new());
        for (row, key) in self.bytes(keys).as_chunks().0.iter().enumerate() {
            if is_valid(validity, row) {
                let key = u32::from_le_bytes(*key) as usize;
                assert!(key < texts, "the host sends keys of texts");
                all.extend_from_slice(&bytes[u32_at(offsets, key)..u32_at(offsets, key + 1)]);
            }
            let end = u32::try_from(all.len()).expect("a column holds less than 4 GiB");
            ends.push(end.to_le_bytes());
        }
        Varlen {
            offsets: self.buffer(ends.into_flattened()),
            bytes: self.buffer(all),
        }
    }

    /// Adds a buffer.
    pub fn buffer(&mut self, bytes: Vec<u8>) -> Span {
        let number = |of: usize| u32::try_from(of).expect("a buffer holds less than 4 GiB");
        let span = Span {
            of: number(self.buffers.len()),
            at: 0,
            len: number(bytes.len()),
        };
        self.buffers.push(bytes);
        span
    }
}

/// The bytes of a span.
#[inline]
pub(crate) fn bytes(buffers: &[Vec<u8>], span: Span) -> &[u8] {
    let at = span.at as usize;
    &buffers[span.of as usize][at..at + span.len as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of rows with these keys into `a`, `bc` and an empty text; row 1 is null.
    fn texts(keys: [u32; 4]) -> Vec<String> {
        let numbers = |of: &[u32]| of.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut batch = Batch {
            rows: 4,
            ..Batch::default()
        };
        let (keys, validity) = (batch.buffer(numbers(&keys)), batch.buffer(vec![0b1101]));
        let values = Varlen {
            offsets: batch.buffer(numbers(&[0, 1, 3, 3])),
            bytes: batch.buffer(b"abc".to_vec()),
        };
        let Varlen { offsets, bytes } = batch.plain(Some(validity), keys, values);
        let text = |row| {
            let at = u32_at(batch.bytes(offsets), row)..u32_at(batch.bytes(offsets), row + 1);
            String::from_utf8_lossy(&batch.bytes(bytes)[at]).into_owned()
        };
        (0..4).map(text).collect()
    }

    #[test]
    fn a_dictionary_is_written_out() {
        // What the key of a null row says is of no meaning.
        assert_eq!(texts([1, 77, 2, 0]), ["bc", "", "", "a"]);
    }

    #[test]
    #[should_panic(expected = "the host sends keys of texts")]
    fn a_key_of_no_text_is_seen() {
        texts([1, 0, 3, 0]);
    }
}
