//! Batches as they cross the border: Arrow buffers, little-endian, nested columns flat and depth first.

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
