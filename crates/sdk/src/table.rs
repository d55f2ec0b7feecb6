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
        Self {
            rows: 0,
            columns: fields
                .iter()
                .map(|field| Builder::new(field, rows))
                .collect(),
        }
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
    #[inline]
    pub fn push<'r, R: crate::Record<'r>>(&mut self, row: &R) {
        row.write(self.rows as usize, &mut self.columns);
        self.rows += 1;
    }

    /// Appends a row whose columns are not known when the plugin is compiled: `write` gets the row's index and gives
    /// each column one value. [`Table::push`] is the usual way.
    pub fn push_with(&mut self, write: impl FnOnce(usize, &mut [Builder])) {
        write(self.rows as usize, &mut self.columns);
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

/// Room for the text of a row, at first.
const TEXT_BYTES: usize = 8;

/// A column being written: row after row, one value each. A value of another kind than the column's is the author's
/// mistake and panics.
#[derive(Debug)]
pub struct Builder {
    name: &'static str,
    kind: Kind,
    layout: Layout,
    /// For so many rows there is room from the first value on.
    rows: usize,
    /// Bits, values of one width, or text: as far as the last value and room behind it, filled with 0, so that a null
    /// is written by leaving it out.
    values: Vec<u8>,
    /// How much of `values` is text.
    end: usize,
    /// Where texts end, as far as the last row with one.
    offsets: Vec<u8>,
    /// One bit a row, from the first null behind a value or value behind a null on; likewise with room.
    valid: Vec<u8>,
    nulls: usize,
    children: Vec<Builder>,
}

/// How a column's values lie: in one number, so that a cell costs one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout(usize);

impl Layout {
    const VARLEN: Self = Self(0);
    const BITS: Self = Self(1 << 10);
    const STRUCT: Self = Self(1 << 11);

    /// Values of this width.
    const fn fixed(width: usize) -> Self {
        Self(width)
    }

    fn of(field: &Field) -> Self {
        match field.kind {
            Kind::Bool => Self::BITS,
            Kind::Int32 | Kind::Date32 => Self::fixed(4),
            Kind::Int64 | Kind::Timestamp => Self::fixed(8),
            Kind::Decimal128(..) => Self::fixed(16),
            Kind::Decimal256(..) => Self::fixed(32),
            Kind::Utf8 | Kind::Binary => Self::VARLEN,
            Kind::Struct => Self::STRUCT,
            Kind::List => panic!("column `{}`: lists are read, not written", field.name),
        }
    }

    /// The bytes of `values` for so many rows, given those of the text.
    fn bytes(self, rows: usize, text: usize) -> usize {
        match self {
            Self::VARLEN => text,
            Self::STRUCT => 0,
            Self::BITS => rows.div_ceil(8),
            Self(width) => rows * width,
        }
    }
}

impl Builder {
    fn new(field: &Field, rows: usize) -> Self {
        Self {
            name: field.name,
            kind: field.kind,
            layout: Layout::of(field),
            rows,
            values: Vec::new(),
            end: 0,
            offsets: Vec::new(),
            valid: Vec::new(),
            nulls: 0,
            children: field
                .children
                .iter()
                .map(|child| Self::new(child, rows))
                .collect(),
        }
    }

    #[inline]
    fn expect(&self, layout: Layout) {
        if self.layout != layout {
            self.misfit();
        }
    }

    #[cold]
    fn misfit(&self) -> ! {
        panic!("output column `{}` is {}", self.name, self.kind)
    }

    /// Writes a value of one width.
    #[expect(
        clippy::inline_always,
        reason = "a call costs more than this does, in WebAssembly twice"
    )]
    #[inline(always)]
    pub fn fixed<T: Value>(&mut self, row: usize, value: Option<T>) {
        self.expect(Layout::fixed(T::WIDTH));
        match value {
            Some(value) => {
                let at = row * T::WIDTH;
                if at + T::WIDTH > self.values.len() {
                    self.grow(row);
                }
                value.write(&mut self.values[at..at + T::WIDTH]);
                self.set_valid(row);
            }
            None => self.skip(row),
        }
    }

    /// Writes true, false or null.
    #[inline]
    pub fn bool(&mut self, row: usize, value: Option<bool>) {
        self.expect(Layout::BITS);
        match value {
            Some(value) => {
                if row / 8 >= self.values.len() {
                    self.grow(row);
                }
                self.values[row / 8] |= u8::from(value) << (row % 8);
                self.set_valid(row);
            }
            None => self.skip(row),
        }
    }

    /// Writes text or bytes.
    #[inline]
    pub fn bytes(&mut self, row: usize, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.text(row, value);
        } else {
            self.expect(Layout::VARLEN);
            self.skip(row);
        }
    }

    fn text(&mut self, row: usize, value: &[u8]) {
        self.expect(Layout::VARLEN);
        if self.offsets.len() != (row + 1) * 4 {
            self.end_rows(row);
        }
        let start = self.end;
        self.end += value.len();
        if self.end > self.values.len() {
            self.grow(row);
        }
        copy(&mut self.values[start..], value);
        let end = u32::try_from(self.end).expect("a column holds less than 4 GiB");
        self.offsets.extend_from_slice(&end.to_le_bytes());
        self.set_valid(row);
    }

    /// Writes a struct: `write` gives each of its fields a value.
    pub fn fields(&mut self, row: usize, write: impl FnOnce(&mut [Builder])) {
        self.expect(Layout::STRUCT);
        write(&mut self.children);
        self.set_valid(row);
    }

    /// Writes null.
    pub fn null(&mut self, row: usize) {
        self.children.iter_mut().for_each(|child| child.null(row));
        self.skip(row);
    }

    /// Notes that the row is not null: nothing to do as long as none is.
    #[inline]
    fn set_valid(&mut self, row: usize) {
        if self.nulls > 0 {
            *bits_for(&mut self.valid, row) |= 1 << (row % 8);
        }
    }

    /// Notes that the row is null. Rows before the first null are valid.
    #[inline]
    fn skip(&mut self, row: usize) {
        if self.nulls == 0 && row > 0 {
            self.first_null(row);
        }
        self.nulls += 1;
    }

    #[cold]
    fn first_null(&mut self, row: usize) {
        self.valid = vec![0xff; row / 8];
        self.valid.push((1 << (row % 8)) - 1);
    }

    /// Makes room for row `row`, and for all rows that are expected or twice as many as before.
    #[cold]
    fn grow(&mut self, row: usize) {
        let rows = (row + 1).max(self.rows);
        let bytes = self.layout.bytes(rows, self.end.max(rows * TEXT_BYTES));
        self.values.resize(bytes.max(self.values.len() * 2), 0);
    }

    /// Where the texts of the rows before row `row` end: those that are missing have none.
    #[cold]
    fn end_rows(&mut self, row: usize) {
        if self.offsets.is_empty() {
            self.offsets.reserve((row.max(self.rows) + 1) * 4);
            self.offsets.extend_from_slice(&[0; 4]);
        }
        let end = u32::try_from(self.end).expect("a column holds less than 4 GiB");
        while self.offsets.len() < (row + 1) * 4 {
            self.offsets.extend_from_slice(&end.to_le_bytes());
        }
    }

    /// The column, then its children, depth first. One without any value is sent without buffers.
    fn finish(mut self, rows: usize, columns: &mut Vec<Column>) {
        let has_nulls = self.nulls > 0;
        let is_null = self.nulls == rows && has_nulls && self.layout != Layout::STRUCT;
        if self.layout == Layout::VARLEN && !is_null {
            self.end_rows(rows);
        }
        self.values.resize(self.layout.bytes(rows, self.end), 0);
        let data = match self.layout {
            Layout::STRUCT => Buffers::None,
            _ if is_null => Buffers::None,
            Layout::BITS => Buffers::Bits(self.values),
            Layout::VARLEN => Buffers::Varlen(Varlen {
                offsets: self.offsets,
                bytes: self.values,
            }),
            Layout(_) => Buffers::Fixed(self.values),
        };
        self.valid.resize(rows.div_ceil(8), 0);
        columns.push(Column {
            name: self.name.to_owned(),
            kind: self.kind.to_string(),
            validity: (has_nulls && !is_null).then_some(self.valid),
            data,
            children: u32::try_from(self.children.len()).expect("a struct has few fields"),
        });
        for child in self.children {
            child.finish(rows, columns);
        }
    }
}

/// The byte of a bitmap with the bit of row `row`, for which room is made.
#[inline]
fn bits_for(bits: &mut Vec<u8>, row: usize) -> &mut u8 {
    if row / 8 >= bits.len() {
        grow_bits(bits, row);
    }
    &mut bits[row / 8]
}

#[cold]
fn grow_bits(bits: &mut Vec<u8>, row: usize) {
    bits.resize((row / 8 + 1).max(bits.len() * 2), 0);
}

/// Copies `from` over as many bytes. In WebAssembly a copy of unknown length is a call out of the plugin; texts are short,
/// so two copies of known length, which may overlap, are several times faster.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    /// Copies the first and the last `N`; whether there are `N`.
    #[inline]
    fn ends<const N: usize>(to: &mut [u8], from: &[u8]) -> bool {
        let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else {
            return false;
        };
        to[..N].copy_from_slice(first);
        to[from.len() - N..].copy_from_slice(last);
        true
    }
    let to = &mut to[..from.len()];
    if from.len() > 32 {
        to.copy_from_slice(from);
    } else if !ends::<16>(to, from)
        && !ends::<8>(to, from)
        && !ends::<4>(to, from)
        && let (Some(first), Some(last)) = (from.first(), from.last())
    {
        to[0] = *first;
        to[from.len() / 2] = from[from.len() / 2];
        to[from.len() - 1] = *last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The copies of known length are the plain copy, for every length around their borders.
    #[test]
    fn copy_copies_the_bytes() {
        let source: Vec<u8> = (1..=200).collect();
        for length in 0..=80 {
            for from in [0, 3, 100] {
                let mut to = vec![0; length];
                copy(&mut to, &source[from..from + length]);
                assert_eq!(to, &source[from..from + length], "length {length}");
            }
        }
    }

    /// Nulls in any place, rows past the room that was reserved, a column without nulls has no bitmap and one of nulls no values.
    #[test]
    fn nulls_are_bits() {
        let fields = [
            Field::new("a", Kind::Int32, true),
            Field::new("b", Kind::Bool, true),
            Field::new("late", Kind::Utf8, true),
            Field::new("never", Kind::Utf8, true),
        ];
        let mut table = Table::new(&fields, 3);
        for row in 0..100 {
            table.push_with(|at, columns| {
                columns[0].fixed(at, (row % 3 == 0).then_some(row));
                columns[1].bool(at, Some(row % 2 == 0));
                columns[2].bytes(at, (row > 90).then_some(b"text"));
                columns[3].bytes(at, None);
            });
        }
        let batch = table.into_batch();
        let columns = crate::Columns::of(&batch);
        let (numbers, bools) = (columns.fixed::<i32>("a"), columns.bools("b"));
        let (late, never) = (columns.text("late"), columns.text("never"));
        for row in 0..100 {
            let index = usize::try_from(row).unwrap();
            assert_eq!(numbers.get(index), (row % 3 == 0).then_some(row));
            assert_eq!(bools.get(index), Some(row % 2 == 0));
            assert_eq!(late.get(index), (row > 90).then_some("text"));
            assert_eq!(never.get(index), None);
        }
        assert_eq!(batch.columns[0].validity.as_ref().map(Vec::len), Some(13));
        assert_eq!(batch.columns[1].validity, None);
        assert_eq!(batch.columns[3].data, Buffers::None);
    }
}
