//! Typed views of the columns of a [`Batch`]. A view that does not fit its column is the author's
//! mistake (the host passes what the shape asks for), so it panics with the column's name.

use crate::I256;
use crate::table::offset_of;
use crate::wire::{Batch, Column, Layout, Span, Varlen, bytes};
use std::marker::PhantomData;

/// The bytes as text, if they are ASCII: of few bytes much quicker than to look for any UTF-8.
#[expect(
    unsafe_code,
    reason = "the standard library's way is a call, whose answer goes through memory in WebAssembly"
)]
#[inline]
pub fn ascii(bytes: &[u8]) -> Option<&str> {
    // Many at a time, each time: in WebAssembly every turn of a loop looks at the clock.
    let (chunks, rest) = bytes.as_chunks::<256>();
    let all = chunks.iter().fold([0; 64], |mut all: [u8; 64], chunk| {
        let (parts, _) = chunk.as_chunks::<64>();
        for (at, all) in all.iter_mut().enumerate() {
            *all |= parts[0][at] | parts[1][at] | parts[2][at] | parts[3][at];
        }
        all
    });
    let rest = rest.iter().fold(0, |all, byte| all | byte);
    // SAFETY: ASCII is UTF-8.
    (all.iter().fold(rest, |all, byte| all | byte).is_ascii())
        .then(|| unsafe { std::str::from_utf8_unchecked(bytes) })
}

/// Bit `row` of a bitmap; one that is not there is 0.
#[inline]
fn bit(bits: &[u8], row: usize) -> bool {
    bits.get(row / 8)
        .is_some_and(|byte| byte >> (row % 8) & 1 == 1)
}

/// Number `index` of a buffer of u32.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], index: usize) -> usize {
    u32::from_le_bytes(bytes.as_chunks().0[index]) as usize
}

/// Numbers `index` and the next of a buffer of u32, as a range.
#[inline]
fn range_at(bytes: &[u8], index: usize) -> std::ops::Range<usize> {
    let numbers = &bytes.as_chunks().0[index..index + 2];
    let [start, end] = [0, 1].map(|at| u32::from_le_bytes(numbers[at]) as usize);
    start..end
}

/// Whether row `row` is not null by this bitmap.
#[inline]
pub fn is_valid(validity: Option<&[u8]>, row: usize) -> bool {
    validity.is_none_or(|bits| bit(bits, row))
}

/// A value of one width.
///
/// # Safety
///
/// `Bytes` is an array of bytes: columns take its size for the width, and read what is written as bytes.
#[expect(unsafe_code, reason = "columns write values where nothing is yet")]
pub unsafe trait Value: Copy {
    /// Bytes.
    const WIDTH: usize;
    /// From exactly `WIDTH` little-endian bytes.
    fn read(bytes: &[u8]) -> Self;
    /// An array of `WIDTH` bytes.
    type Bytes;
    /// The little-endian bytes.
    fn bytes(self) -> Self::Bytes;
}

macro_rules! value {
    ($($type:ty),*) => { $(
        // SAFETY: so it is.
        #[expect(unsafe_code, reason = "as the trait says")]
        unsafe impl Value for $type {
            const WIDTH: usize = size_of::<$type>();
            #[inline]
            fn read(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("the width of the kind"))
            }
            type Bytes = [u8; size_of::<$type>()];
            #[inline]
            fn bytes(self) -> Self::Bytes {
                self.to_le_bytes()
            }
        }
    )* };
}
value!(i8, i16, i32, i64, i128, u8, u16, u32, u64);

// SAFETY: so it is.
#[expect(unsafe_code, reason = "as the trait says")]
unsafe impl Value for I256 {
    const WIDTH: usize = 32;

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        weir_exact::from_le_bytes(bytes.try_into().expect("the width of the kind"))
    }

    type Bytes = [u8; 32];

    #[inline]
    fn bytes(self) -> Self::Bytes {
        weir_exact::to_le_bytes(self)
    }
}

/// A column of one-width values: numbers, dates (days), instants (microseconds), decimals (digits without the point).
#[derive(Clone, Copy, Debug)]
pub struct Fixed<'a, T> {
    validity: Option<&'a [u8]>,
    bytes: &'a [u8],
    value: PhantomData<T>,
}

impl<T: Value> Fixed<'_, T> {
    /// The value, `None` when null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<T> {
        if !is_valid(self.validity, row) {
            return None;
        }
        Some(T::read(&self.bytes[row * T::WIDTH..(row + 1) * T::WIDTH]))
    }
}

/// A column of true and false.
#[derive(Clone, Copy, Debug)]
pub struct Bools<'a> {
    validity: Option<&'a [u8]>,
    bits: &'a [u8],
}

impl Bools<'_> {
    /// The value, `None` when null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<bool> {
        if !is_valid(self.validity, row) {
            return None;
        }
        Some(bit(self.bits, row))
    }
}

/// A column of text.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    validity: Option<&'a [u8]>,
    rows: usize,
    offsets: &'a [[u8; 4]],
    chars: &'a str,
}

impl<'a> Text<'a> {
    /// The text, `None` when null.
    #[expect(
        unsafe_code,
        reason = "looking at offsets and characters around each text costs more than all else here"
    )]
    #[expect(
        clippy::inline_always,
        reason = "a call costs more than this does, in WebAssembly twice"
    )]
    #[inline(always)]
    pub fn get(&self, row: usize) -> Option<&'a str> {
        if !is_valid(self.validity, row) {
            return None;
        }
        assert!(row < self.rows, "the column has no such row");
        // SAFETY: there is one more offset than rows, and `checked` saw that they never fall, stay within the
        // characters, and are where one begins.
        Some(unsafe {
            let start = self.offsets.as_ptr().add(row);
            let [start, end] = [start, start.add(1)].map(|at| u32::from_le_bytes(*at) as usize);
            self.chars.get_unchecked(start..end)
        })
    }
}

/// A column of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    validity: Option<&'a [u8]>,
    offsets: &'a [u8],
    values: &'a [u8],
}

impl<'a> Bytes<'a> {
    /// The bytes, `None` when null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&'a [u8]> {
        if !is_valid(self.validity, row) {
            return None;
        }
        Some(&self.values[range_at(self.offsets, row)])
    }
}

impl Batch {
    /// Texts by dictionary, a key for each row, as texts: what a null row's key says is of no meaning.
    pub fn plain(&mut self, validity: Option<Span>, keys: Span, values: Varlen) -> Varlen {
        let (offsets, bytes) = (self.bytes(values.offsets), self.bytes(values.bytes));
        let validity = validity.map(|span| self.bytes(span));
        let texts = (offsets.len() / 4).saturating_sub(1);
        let (mut ends, mut all) = (vec![offset_of(0)], Vec::new());
        for (row, key) in self.bytes(keys).as_chunks().0.iter().enumerate() {
            if is_valid(validity, row) {
                let key = u32::from_le_bytes(*key) as usize;
                assert!(key < texts, "the host sends keys of texts");
                all.extend_from_slice(&bytes[range_at(offsets, key)]);
            }
            ends.push(offset_of(all.len()));
        }
        Varlen {
            offsets: self.buffer(ends.into_flattened()),
            bytes: self.buffer(all),
        }
    }
}

/// Columns in a row: those of a batch, or the fields of a struct column.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    columns: &'a [Column],
    buffers: &'a [Vec<u8>],
}

impl<'a> Columns<'a> {
    /// The columns of a batch.
    pub fn of(batch: &'a Batch) -> Self {
        Self {
            columns: &batch.columns,
            buffers: &batch.buffers,
        }
    }

    fn bytes_of(&self, span: Span) -> &'a [u8] {
        bytes(self.buffers, span)
    }

    fn parts(&self, values: Varlen) -> (&'a [u8], &'a [u8]) {
        (self.bytes_of(values.offsets), self.bytes_of(values.bytes))
    }

    /// The bits of the rows that are not null: of a column that came without values no bit is set.
    fn validity(&self, column: &Column) -> Option<&'a [u8]> {
        if is_null(column) {
            return Some(&[]);
        }
        column.validity.map(|span| self.bytes_of(span))
    }

    /// These columns from the one at `place` on, if that is its name; moves `place` behind it. Columns that are asked for
    /// in their order are so found at once.
    #[doc(hidden)]
    #[must_use]
    pub fn seek(self, place: &mut usize, name: &str) -> Self {
        match self.columns.get(*place) {
            Some(column) if column.head.name == name => {
                let columns = &self.columns[*place..];
                *place = end_of(self.columns, *place);
                Self { columns, ..self }
            }
            _ => self,
        }
    }

    /// The columns one level down: the column and everything behind it that is its own.
    fn with_children(&self, name: &str) -> &'a [Column] {
        let mut at = 0;
        while at < self.columns.len() {
            let end = end_of(self.columns, at);
            if self.columns[at].head.name == name {
                return &self.columns[at..end];
            }
            at = end;
        }
        panic!("the shape asks for no column `{name}`")
    }

    /// The columns that are no column's children.
    pub(crate) fn top(self) -> impl Iterator<Item = &'a Column> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let column = self.columns.get(at)?;
            at = end_of(self.columns, at);
            Some(column)
        })
    }

    fn column(&self, name: &str) -> &'a Column {
        &self.with_children(name)[0]
    }

    /// A column of one-width values.
    pub fn fixed<T: Value>(&self, name: &str) -> Fixed<'a, T> {
        let column = self.column(name);
        let bytes: &[u8] = match &column.data {
            Layout::Fixed(bytes) => self.bytes_of(*bytes),
            _ if is_null(column) => &[],
            _ => misfit(column, "values of one width"),
        };
        Fixed {
            validity: self.validity(column),
            bytes,
            value: PhantomData,
        }
    }

    /// A column of true and false.
    pub fn bools(&self, name: &str) -> Bools<'a> {
        let column = self.column(name);
        let bits: &[u8] = match &column.data {
            Layout::Bits(bits) => self.bytes_of(*bits),
            _ if is_null(column) => &[],
            _ => misfit(column, "true and false"),
        };
        Bools {
            validity: self.validity(column),
            bits,
        }
    }

    /// A column of text. Its offsets are looked at once, here, and not for each row.
    pub fn text(&self, name: &str) -> Text<'a> {
        let column = self.column(name);
        let (offsets, bytes) = match &column.data {
            Layout::Varlen(values) => self.parts(*values),
            _ if is_null(column) => Default::default(),
            _ => misfit(column, "text"),
        };
        let (offsets, _) = offsets.as_chunks();
        Text {
            validity: self.validity(column),
            rows: offsets.len().saturating_sub(1),
            offsets,
            chars: checked(offsets, bytes),
        }
    }

    /// A column of bytes.
    pub fn bytes(&self, name: &str) -> Bytes<'a> {
        let column = self.column(name);
        let (offsets, values) = match &column.data {
            Layout::Varlen(values) => self.parts(*values),
            _ if is_null(column) => Default::default(),
            _ => misfit(column, "bytes"),
        };
        Bytes {
            validity: self.validity(column),
            offsets,
            values,
        }
    }

    /// A struct column: whether a row of it is null, and its fields.
    pub fn fields(&self, name: &str) -> (Option<&'a [u8]>, Columns<'a>) {
        let columns = self.with_children(name);
        (
            columns[0].validity.map(|span| self.bytes_of(span)),
            Columns {
                columns: &columns[1..],
                buffers: self.buffers,
            },
        )
    }
}

/// The characters of a column of text, whose offsets never fall and are each where one begins, or the end.
fn checked<'a>(offsets: &[[u8; 4]], bytes: &'a [u8]) -> &'a str {
    let ascii = ascii(bytes);
    let chars = ascii.unwrap_or_else(|| std::str::from_utf8(bytes).expect("the host sends UTF-8"));
    let offset = |four: &[u8; 4]| u32::from_le_bytes(*four);
    // Without an early end, and many at a time: what is below 0 for an offset that falls, or passes 2^31.
    let falls = |start: [u8; 4], end: [u8; 4]| {
        let [start, end] = [start, end].map(i32::from_le_bytes);
        end | end.wrapping_sub(start)
    };
    let ends = offsets.get(1..).unwrap_or_default();
    let (start_chunks, starts_rest) = offsets[..ends.len()].as_chunks::<32>();
    let (end_chunks, ends_rest) = ends.as_chunks::<32>();
    let mut all = [0; 16];
    for (starts, ends) in start_chunks.iter().zip(end_chunks) {
        for (at, all) in all.iter_mut().enumerate() {
            *all |= falls(starts[at], ends[at]) | falls(starts[at + 16], ends[at + 16]);
        }
    }
    let first = offsets
        .first()
        .map_or(0, |first| i32::from_le_bytes(*first));
    let rest = starts_rest.iter().zip(ends_rest);
    let rest = rest.fold(first, |all, (start, end)| all | falls(*start, *end));
    let falls = all.iter().fold(rest, |all, falls| all | falls);
    let is_within = offsets
        .last()
        .is_none_or(|last| offset(last) as usize <= bytes.len());
    let begins = |four| chars.is_char_boundary(offset(four) as usize);
    assert!(
        falls >= 0 && is_within && (ascii.is_some() || offsets.iter().all(begins)),
        "the host sends offsets of texts"
    );
    chars
}

/// The index behind the column at `at` and its children.
fn end_of(columns: &[Column], at: usize) -> usize {
    let mut end = at + 1;
    for _ in 0..columns[at].head.children {
        end = end_of(columns, end);
    }
    end
}

/// Whether the column came without values, as every row is null.
fn is_null(column: &Column) -> bool {
    column.data == Layout::None && column.head.children == 0
}

fn misfit(column: &Column, wanted: &str) -> ! {
    panic!("{}, not {wanted}", column.head)
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
            let at = range_at(batch.bytes(offsets), row);
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
