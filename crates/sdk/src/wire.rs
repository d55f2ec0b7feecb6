//! Batches as they cross the border: Arrow buffers, little-endian, nested columns flat and depth first.

/// Text or bytes: `rows + 1` u32 offsets into `bytes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Varlen {
    /// The offsets.
    pub offsets: Vec<u8>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Varlen {
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        (&self.offsets, &self.bytes)
    }
}

/// How a column's bytes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Buffers {
    /// No values of its own: every row is null, or a struct, whose fields are its children.
    None,
    /// One bit a row.
    Bits(Vec<u8>),
    /// Values of one width.
    Fixed(Vec<u8>),
    /// Text or bytes.
    Varlen(Varlen),
    /// A u32 key a row, and the values.
    Dictionary(Vec<u8>, Varlen),
    /// `rows + 1` u32 offsets into the one child.
    Nested(Vec<u8>),
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it means, as text.
    pub kind: String,
    /// One bit a row, 1 valid; none: no row is null.
    pub validity: Option<Vec<u8>>,
    /// Its values.
    pub data: Buffers,
    /// How many children stand behind it.
    pub children: u32,
}

/// A number of rows of columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// How many rows.
    pub rows: u32,
    /// The columns.
    pub columns: Vec<Column>,
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
}
