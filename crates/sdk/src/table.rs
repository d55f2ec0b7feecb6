//! Rows being written: one builder per column of an output.

use crate::columns::Value;
use crate::describe::{Field, Kind};
use crate::wire::{Batch, Buffers, Column, Varlen};

/// The rows of one output. Written through [`crate::Record`].
#[derive(Debug)]
pub struct Table {
    rows: u32,
    columns: Vec<Builder>,
}

impl Table {
    /// No rows yet of these columns; room for `rows`.
    pub fn new(fields: &[Field], rows: usize) -> Self {
        Self { rows: 0, columns: fields.iter().map(|field| Builder::new(field, rows)).collect() }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows as usize
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Appends a row.
    pub fn push<'r, R: crate::Record<'r>>(&mut self, row: &R) {
        row.write(&mut self.columns);
        self.rows += 1;
    }

    /// The builders of the columns, each of which gets one value a row: for rows whose columns are not known
    /// when the plugin is compiled. [`Table::push`] is the usual way.
    pub fn push_with(&mut self, write: impl FnOnce(&mut [Builder])) {
        write(&mut self.columns);
        self.rows += 1;
    }

    /// The rows as they cross the border.
    pub fn into_batch(self) -> Batch {
        let rows = self.rows;
        let mut columns = Vec::new();
        for column in self.columns {
            column.finish(rows as usize, &mut columns);
        }
        Batch { rows, columns }
    }
}

/// A column being written. A value of another kind than the column's is the author's mistake and panics.
#[derive(Debug)]
pub struct Builder {
    name: &'static str,
    kind: Kind,
    rows: usize,
    /// Empty until the first null.
    validity: Vec<u8>,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Bits(Vec<u8>),
    Fixed { width: usize, bytes: Vec<u8> },
    Varlen { offsets: Vec<u8>, bytes: Vec<u8> },
    Struct(Vec<Builder>),
}

impl Builder {
    fn new(field: &Field, rows: usize) -> Self {
        let fixed = |width: usize| Data::Fixed { width, bytes: Vec::with_capacity(rows * width) };
        let data = match field.kind {
            Kind::Bool => Data::Bits(Vec::with_capacity(rows.div_ceil(8))),
            Kind::Int32 | Kind::Date32 => fixed(4),
            Kind::Int64 | Kind::Timestamp => fixed(8),
            Kind::Decimal128(..) => fixed(16),
            Kind::Decimal256(..) => fixed(32),
            Kind::Utf8 | Kind::Binary => {
                let mut offsets = Vec::with_capacity((rows + 1) * 4);
                offsets.extend_from_slice(&0u32.to_le_bytes());
                Data::Varlen { offsets, bytes: Vec::with_capacity(rows * 8) }
            }
            Kind::Struct => Data::Struct(field.children.iter().map(|child| Self::new(child, rows)).collect()),
            Kind::List => panic!("column `{}`: lists are read, not written", field.name),
        };
        Self { name: field.name, kind: field.kind, rows: 0, validity: Vec::new(), data }
    }

    /// Counts a row and marks it.
    #[inline]
    fn mark(&mut self, valid: bool) {
        if !valid || !self.validity.is_empty() {
            self.mark_bit(valid);
        }
        self.rows += 1;
    }

    fn mark_bit(&mut self, valid: bool) {
        if self.validity.is_empty() {
            self.validity = vec![0xff; self.rows / 8];
            if self.rows % 8 != 0 {
                self.validity.push((1 << (self.rows % 8)) - 1);
            }
        }
        push_bit(&mut self.validity, self.rows, valid);
    }

    fn misfit(&self) -> ! {
        panic!("output column `{}` is {}", self.name, self.kind)
    }

    /// Appends a value of one width.
    #[inline]
    pub fn fixed<T: Value>(&mut self, value: Option<T>) {
        match &mut self.data {
            Data::Fixed { width, bytes } if *width == T::WIDTH => value.unwrap_or(T::ZERO).write(bytes),
            _ => self.misfit(),
        }
        self.mark(value.is_some());
    }

    /// Appends true, false or null.
    #[inline]
    pub fn bool(&mut self, value: Option<bool>) {
        let Some(value) = value else { return self.null() };
        match &mut self.data {
            Data::Bits(bits) => push_bit(bits, self.rows, value),
            _ => self.misfit(),
        }
        self.mark(true);
    }

    /// Appends text or bytes.
    #[inline]
    pub fn bytes(&mut self, value: Option<&[u8]>) {
        let Some(value) = value else { return self.null() };
        match &mut self.data {
            Data::Varlen { offsets, bytes } => {
                extend(bytes, value);
                let end = u32::try_from(bytes.len()).expect("a column holds less than 4 GiB");
                offsets.extend_from_slice(&end.to_le_bytes());
            }
            _ => self.misfit(),
        }
        self.mark(true);
    }

    /// Appends a struct: `write` gives each of its fields a value.
    pub fn fields(&mut self, write: impl FnOnce(&mut [Builder])) {
        match &mut self.data {
            Data::Struct(children) => write(children),
            _ => self.misfit(),
        }
        self.mark(true);
    }

    /// Appends null.
    pub fn null(&mut self) {
        match &mut self.data {
            Data::Bits(bits) => push_bit(bits, self.rows, false),
            Data::Fixed { width, bytes } => bytes.resize(bytes.len() + *width, 0),
            Data::Varlen { offsets, .. } => offsets.extend_from_within(offsets.len() - 4..),
            Data::Struct(children) => children.iter_mut().for_each(Self::null),
        }
        self.mark(false);
    }

    /// The column, then its children, depth first.
    fn finish(self, rows: usize, columns: &mut Vec<Column>) {
        assert_eq!(self.rows, rows, "output column `{}` has one value a row", self.name);
        let (data, children) = match self.data {
            Data::Bits(bits) => (Buffers::Bits(bits), Vec::new()),
            Data::Fixed { bytes, .. } => (Buffers::Fixed(bytes), Vec::new()),
            Data::Varlen { offsets, bytes } => (Buffers::Varlen(Varlen { offsets, bytes }), Vec::new()),
            Data::Struct(children) => (Buffers::None, children),
        };
        let validity = (!self.validity.is_empty()).then_some(self.validity);
        let count = u32::try_from(children.len()).expect("a struct has few fields");
        columns.push(Column {
            name: self.name.to_owned(),
            kind: self.kind.to_string(),
            validity,
            data,
            children: count,
        });
        for child in children {
            child.finish(rows, columns);
        }
    }
}

/// Appends bytes. In WebAssembly a copy of unknown length is a call out of the plugin; texts are short, so a few copies
/// of known length are several times faster.
fn extend(to: &mut Vec<u8>, bytes: &[u8]) {
    const LONG: usize = 64;
    if bytes.len() > LONG {
        return to.extend_from_slice(bytes);
    }
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        to.extend_from_slice(eight);
    }
    let (four, rest) = rest.as_chunks::<4>();
    if let [four] = four {
        to.extend_from_slice(four);
    }
    let (two, rest) = rest.as_chunks::<2>();
    if let [two] = two {
        to.extend_from_slice(two);
    }
    if let [one] = rest {
        to.push(*one);
    }
}

/// Appends bit `row` to a bitmap of `row` bits.
#[inline]
fn push_bit(bits: &mut Vec<u8>, row: usize, bit: bool) {
    if row.is_multiple_of(8) {
        bits.push(0);
    }
    if bit {
        bits[row / 8] |= 1 << (row % 8);
    }
}
