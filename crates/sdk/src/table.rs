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

/// A column being written: row after row, one value each. A value of another kind than the column's is the author's
/// mistake and panics.
#[derive(Debug)]
pub struct Builder {
    name: &'static str,
    kind: Kind,
    layout: Layout,
    /// Bits, values of one width, or text. But for text there is room for rows to come, filled with 0, so that a null
    /// is written by leaving it out.
    values: Vec<u8>,
    /// Where texts end, with room likewise.
    offsets: Vec<u8>,
    /// One bit a row, set where it is not null, with room likewise.
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

    /// The bytes of `values` for so many rows; `None` for text.
    fn bytes(self, rows: usize) -> Option<usize> {
        match self {
            Self::VARLEN => None,
            Self::BITS => Some(rows.div_ceil(8)),
            Self::STRUCT => Some(0),
            Self(width) => Some(rows * width),
        }
    }
}

impl Builder {
    fn new(field: &Field, rows: usize) -> Self {
        let layout = Layout::of(field);
        let is_text = layout == Layout::VARLEN;
        Self {
            name: field.name,
            kind: field.kind,
            layout,
            values: layout
                .bytes(rows)
                .map_or_else(|| Vec::with_capacity(rows * 8), |bytes| vec![0; bytes]),
            offsets: if is_text {
                vec![0; (rows + 1) * 4]
            } else {
                Vec::new()
            },
            valid: vec![0; rows.div_ceil(8)],
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
    #[inline]
    pub fn fixed<T: Value>(&mut self, row: usize, value: Option<T>) {
        self.expect(Layout::fixed(T::WIDTH));
        match value {
            Some(value) => {
                value.write(slot(&mut self.values, row * T::WIDTH, T::WIDTH));
                set_bit(&mut self.valid, row);
            }
            None => self.nulls += 1,
        }
    }

    /// Writes true, false or null.
    #[inline]
    pub fn bool(&mut self, row: usize, value: Option<bool>) {
        self.expect(Layout::BITS);
        match value {
            Some(value) => {
                if value {
                    set_bit(&mut self.values, row);
                }
                set_bit(&mut self.valid, row);
            }
            None => self.nulls += 1,
        }
    }

    /// Writes text or bytes.
    pub fn bytes(&mut self, row: usize, value: Option<&[u8]>) {
        self.expect(Layout::VARLEN);
        match value {
            Some(value) => {
                extend(&mut self.values, value);
                set_bit(&mut self.valid, row);
            }
            None => self.nulls += 1,
        }
        let end = u32::try_from(self.values.len()).expect("a column holds less than 4 GiB");
        slot(&mut self.offsets, (row + 1) * 4, 4).copy_from_slice(&end.to_le_bytes());
    }

    /// Writes a struct: `write` gives each of its fields a value.
    pub fn fields(&mut self, row: usize, write: impl FnOnce(&mut [Builder])) {
        self.expect(Layout::STRUCT);
        write(&mut self.children);
        set_bit(&mut self.valid, row);
    }

    /// Writes null.
    pub fn null(&mut self, row: usize) {
        if self.layout == Layout::VARLEN {
            return self.bytes(row, None);
        }
        self.children.iter_mut().for_each(|child| child.null(row));
        self.nulls += 1;
    }

    /// The column, then its children, depth first.
    fn finish(mut self, rows: usize, columns: &mut Vec<Column>) {
        if let Some(bytes) = self.layout.bytes(rows) {
            self.values.resize(bytes, 0);
        }
        self.valid.resize(rows.div_ceil(8), 0);
        let data = match self.layout {
            Layout::BITS => Buffers::Bits(self.values),
            Layout::STRUCT => Buffers::None,
            Layout::VARLEN => {
                self.offsets.truncate((rows + 1) * 4);
                Buffers::Varlen(Varlen {
                    offsets: self.offsets,
                    bytes: self.values,
                })
            }
            Layout(_) => Buffers::Fixed(self.values),
        };
        columns.push(Column {
            name: self.name.to_owned(),
            kind: self.kind.to_string(),
            validity: (self.nulls > 0).then_some(self.valid),
            data,
            children: u32::try_from(self.children.len()).expect("a struct has few fields"),
        });
        for child in self.children {
            child.finish(rows, columns);
        }
    }
}

/// `width` bytes at `at`, for which room is made.
#[inline]
fn slot(bytes: &mut Vec<u8>, at: usize, width: usize) -> &mut [u8] {
    if at + width > bytes.len() {
        grow(bytes, at + width);
    }
    &mut bytes[at..at + width]
}

/// Sets a bit of a bitmap, for which room is made.
#[inline]
fn set_bit(bits: &mut Vec<u8>, row: usize) {
    slot(bits, row / 8, 1)[0] |= 1 << (row % 8);
}

/// At least so long, and twice as long as before.
#[cold]
fn grow(bytes: &mut Vec<u8>, length: usize) {
    bytes.resize(length.max(bytes.len() * 2), 0);
}

/// Appends bytes. In WebAssembly a copy of unknown length is a call out of the plugin; texts are short, so a few copies
/// of known length are several times faster.
#[inline]
fn extend(to: &mut Vec<u8>, bytes: &[u8]) {
    const LONG: usize = 64;
    if bytes.len() > LONG {
        return to.extend_from_slice(bytes);
    }
    let end = to.len() + bytes.len();
    let (eights, _) = bytes.as_chunks::<8>();
    for eight in eights {
        to.extend_from_slice(eight);
    }
    let rest = bytes.len() % 8;
    if rest > 0 {
        to.extend_from_slice(&tail(bytes, rest).to_le_bytes());
        to.truncate(end);
    }
}

/// The last `rest` bytes (1 to 7) as the lowest of eight.
#[inline]
fn tail(bytes: &[u8], rest: usize) -> u64 {
    if let Some(eight) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*eight) >> (8 * (8 - rest));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (rest - 4));
    }
    let byte = |at: usize| u64::from(bytes[at]) << (8 * at);
    byte(0) | byte(rest / 2) | byte(rest - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The copies of known length are the plain copy, for every length around their borders.
    #[test]
    fn extend_appends_the_bytes() {
        let source: Vec<u8> = (1..=200).collect();
        for length in 0..=80 {
            let (mut plain, mut to) = (b"ab".to_vec(), b"ab".to_vec());
            for from in [0, 3, 100] {
                plain.extend_from_slice(&source[from..from + length]);
                extend(&mut to, &source[from..from + length]);
                assert_eq!(to, plain, "length {length}");
            }
        }
    }

    /// Nulls in any place, rows past the room that was reserved, a column without nulls has no bitmap.
    #[test]
    fn nulls_are_bits() {
        let fields = [
            Field::new("a", Kind::Int32, true),
            Field::new("b", Kind::Bool, true),
        ];
        let mut table = Table::new(&fields, 3);
        for row in 0..100 {
            table.push_with(|at, columns| {
                columns[0].fixed(at, (row % 3 == 0).then_some(row));
                columns[1].bool(at, Some(row % 2 == 0));
            });
        }
        let batch = table.into_batch();
        let (numbers, bools) = (
            crate::Columns::of(&batch).fixed::<i32>("a"),
            crate::Columns::of(&batch).bools("b"),
        );
        for row in 0..100 {
            let index = usize::try_from(row).unwrap();
            assert_eq!(numbers.get(index), (row % 3 == 0).then_some(row));
            assert_eq!(bools.get(index), Some(row % 2 == 0));
        }
        assert_eq!(batch.columns[0].validity.as_ref().map(Vec::len), Some(13));
        assert_eq!(batch.columns[1].validity, None);
    }
}
