//! Rows being written: one builder per column of an output.

use crate::columns::Value;
use crate::describe::{Field, Kind};
use crate::wire::{Batch, Column, Head, Layout as Wire, Varlen};
use std::hint::assert_unchecked;

/// The rows of one output. Written through [`crate::Record`].
#[derive(Debug)]
pub struct Table {
    rows: u32,
    /// For so many rows there is room in each column that has a value.
    room: usize,
    /// The kinds of the records written last, which the columns were seen to hold.
    known: &'static [Kind],
    columns: Vec<Builder>,
}

/// How much a table held: the next one of its kind will be alike, and is given as much room and an eighth more.
#[derive(Clone, Debug, Default)]
pub struct Room {
    rows: usize,
    /// Bytes of each column's text.
    text: Vec<usize>,
}

impl Table {
    /// No rows yet of these columns; room for `rows`.
    pub fn new(fields: &[Field], rows: usize) -> Self {
        Self::like(&Room::default(), fields, rows)
    }

    /// Likewise, and room for as much as a table held before.
    pub fn like(room: &Room, fields: &[Field], rows: usize) -> Self {
        let more = |held: usize| held + held / 8;
        let rows = rows.max(more(room.rows));
        let texts = room.text.iter().copied().chain(std::iter::repeat(0));
        let columns = fields.iter().zip(texts).map(|(field, text)| {
            let text = more(text).max(rows * TEXT_BYTES);
            Builder::new(field, rows, text)
        });
        Self {
            rows: 0,
            room: rows,
            known: &[],
            columns: columns.collect(),
        }
    }

    /// How many rows there is room for.
    pub(crate) fn rows_expected(&self) -> usize {
        self.room
    }

    /// How much it holds.
    pub fn room(&self) -> Room {
        Room {
            rows: self.len(),
            text: self.columns.iter().map(|column| column.end).collect(),
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
    #[expect(
        unsafe_code,
        reason = "what is seen once is not looked at for each cell"
    )]
    pub fn push<'r, R: crate::Record<'r>>(&mut self, row: &R) {
        if self.len() >= self.room || !std::ptr::eq(self.known, R::KINDS) {
            self.prepare(R::KINDS);
        }
        // SAFETY: the columns hold these kinds, and those with a value have room for the row.
        unsafe { row.write(self.rows as usize, &mut self.columns) };
        self.rows += 1;
    }

    /// Makes room for another row, twice as much as before; sees that the columns hold these kinds.
    #[cold]
    fn prepare(&mut self, kinds: &'static [Kind]) {
        if self.len() >= self.room {
            self.room = (self.room * 2).max(self.len() + 1).max(16);
            let columns = self.columns.iter_mut();
            columns.for_each(|column| column.make_room(self.room));
        }
        assert!(
            kinds.len() <= self.columns.len(),
            "the output's columns are the record's"
        );
        for (column, kind) in self.columns.iter().zip(kinds) {
            column.expect(Layout::of(*kind));
        }
        self.known = kinds;
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
        let mut batch = Batch {
            rows,
            columns: Vec::with_capacity(self.columns.len()),
            buffers: Vec::with_capacity(self.columns.len() * 2),
        };
        for column in self.columns {
            column.finish(&mut batch);
        }
        batch
    }
}

/// Room for the text of a row, at first.
const TEXT_BYTES: usize = 8;

/// A column being written: row after row, at most one value each. A value of another kind than the column's is the
/// author's mistake and panics. A null is written by leaving it out.
///
/// What a cell must find in order before it may be written is compared all at once: in WebAssembly a branch that is
/// not taken costs as much as one that is.
#[derive(Debug)]
pub struct Builder {
    head: Head,
    layout: Layout,
    /// For so many rows, and bytes of text, there is room from the first value on.
    rows: usize,
    text: usize,
    /// Bits, filled with 0 as far as there is room; or values of one width, or text, as far as the last value before the
    /// last null: what came since stands behind the vector's end, until [`Builder::settle`].
    values: Vec<u8>,
    /// How much text there is.
    end: usize,
    /// Where texts begin and end, as far as `values`.
    offsets: Vec<[u8; 4]>,
    /// The row behind the last value; [`NO_ROOM`] before the first.
    next: usize,
    /// Up to this end of the text there is room for a short one.
    last_end: usize,
    /// One bit a row, once there was a null: 0 for each null so far, 1 for all other rows and rows to come.
    valid: Vec<u8>,
    children: Vec<Builder>,
}

/// The row behind the last value where there is none, and no room for any.
const NO_ROOM: usize = usize::MAX;

/// How a column's values lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout(usize);

impl Layout {
    const VARLEN: Self = Self(1 << 9);
    const BITS: Self = Self(1 << 10);
    const STRUCT: Self = Self(1 << 11);

    /// Values of this width.
    const fn fixed(width: usize) -> Self {
        Self(width)
    }

    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::BITS,
            Kind::Int32 | Kind::Date32 => Self::fixed(4),
            Kind::Int64 | Kind::Timestamp => Self::fixed(8),
            Kind::Decimal128(..) => Self::fixed(16),
            Kind::Decimal256(..) => Self::fixed(32),
            Kind::Utf8 | Kind::Binary => Self::VARLEN,
            Kind::Struct => Self::STRUCT,
            Kind::List => unreachable!("no column is written as a list"),
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
    fn new(field: &Field, rows: usize, text: usize) -> Self {
        assert!(
            field.kind != Kind::List,
            "column `{}`: lists are read, not written",
            field.name
        );
        Self {
            head: Head::of(field),
            layout: Layout::of(field.kind),
            rows,
            text,
            values: Vec::new(),
            end: 0,
            offsets: Vec::new(),
            next: NO_ROOM,
            last_end: 0,
            valid: Vec::new(),
            children: field
                .children
                .iter()
                .map(|child| Self::new(child, rows, rows * TEXT_BYTES))
                .collect(),
        }
    }

    fn expect(&self, layout: Layout) {
        assert!(self.layout == layout, "output {}", self.head);
    }

    /// The row behind the last value.
    fn end_row(&self) -> usize {
        if self.next == NO_ROOM { 0 } else { self.next }
    }

    /// Whether there is no value in this row yet.
    #[doc(hidden)]
    pub fn lacks(&self, row: usize) -> bool {
        self.end_row() != row + 1
    }

    /// Before a value of this layout, which is not null, is written to this row.
    #[inline]
    fn ready(&mut self, row: usize, layout: Layout) {
        if self.next != row || row >= self.rows || self.layout != layout {
            self.expect(layout);
            self.prepare(row, 0);
        }
    }

    /// Writes a value of one width.
    #[inline]
    #[expect(unsafe_code, reason = "the column is made ready for the cell first")]
    pub fn fixed<T: Value>(&mut self, row: usize, value: Option<T>) {
        if value.is_some() {
            self.ready(row, Layout::fixed(size_of::<T::Bytes>()));
            // SAFETY: this is the column's layout, and there is room.
            unsafe { self.try_fixed(row, value) };
        }
    }

    /// Writes a value behind that of the row before, where there is one: whether it does.
    ///
    /// # Safety
    ///
    /// The column has this layout, and, if it has a value, room for the row.
    #[doc(hidden)]
    #[expect(
        clippy::inline_always,
        reason = "a call costs more than this does, in WebAssembly twice"
    )]
    #[expect(
        unsafe_code,
        reason = "another look at the room costs as much as the rest"
    )]
    #[inline(always)]
    pub unsafe fn try_fixed<T: Value>(&mut self, row: usize, value: Option<T>) -> bool {
        let Some(value) = value else { return true };
        if self.next != row {
            return false;
        }
        let values = self.values.as_mut_ptr().cast::<T::Bytes>();
        // SAFETY: the values are of this width, and there is room for that of `row`, as the caller knows.
        unsafe { values.add(row).write_unaligned(value.bytes()) };
        self.next = row + 1;
        true
    }

    /// Writes true, false or null.
    #[inline]
    #[expect(unsafe_code, reason = "the column is made ready for the cell first")]
    pub fn bool(&mut self, row: usize, value: Option<bool>) {
        if value.is_some() {
            self.ready(row, Layout::BITS);
            // SAFETY: this is the column's layout, and there is room.
            unsafe { self.try_bool(row, value) };
        }
    }

    /// Likewise.
    ///
    /// # Safety
    ///
    /// As of [`Builder::try_fixed`].
    #[doc(hidden)]
    #[expect(unsafe_code, reason = "written like the others")]
    #[inline]
    pub unsafe fn try_bool(&mut self, row: usize, value: Option<bool>) -> bool {
        let Some(value) = value else { return true };
        if self.next != row {
            return false;
        }
        self.values[row / 8] |= u8::from(value) << (row % 8);
        self.next = row + 1;
        true
    }

    /// Writes text or bytes.
    #[inline]
    #[expect(unsafe_code, reason = "the column is made ready for the cell first")]
    pub fn bytes(&mut self, row: usize, value: Option<&[u8]>) {
        let Some(text) = value else { return };
        self.ready(row, Layout::VARLEN);
        // SAFETY: this is the column's layout, and there is room.
        if !unsafe { self.try_bytes(row, value) } {
            self.prepare(row, text.len());
            self.long(row, text);
        }
    }

    /// Writes a text that is short, behind the text of the row before, where there is one, and room: whether it does.
    ///
    /// # Safety
    ///
    /// As of [`Builder::try_fixed`]; the room of the text is looked at here.
    #[doc(hidden)]
    #[expect(
        clippy::inline_always,
        reason = "a call costs more than this does, in WebAssembly twice"
    )]
    #[expect(
        unsafe_code,
        reason = "another look at the room costs as much as the rest"
    )]
    #[inline(always)]
    pub unsafe fn try_bytes(&mut self, row: usize, value: Option<&[u8]>) -> bool {
        let Some(value) = value else { return true };
        let lack = (self.last_end.wrapping_sub(self.end)).cast_signed() >> (isize::BITS - 1);
        let long = value.len() & !(SHORT_BYTES_MAX - 1);
        if (self.next ^ row) | long | lack.cast_unsigned() != 0 {
            return false;
        }
        let end = self.end + value.len();
        // SAFETY: from `last_end` on `values` has capacity for a short text, and `end` is not past it; `offsets` has
        // capacity for the end of `row`, as the caller knows.
        unsafe {
            assert_unchecked(value.len() < SHORT_BYTES_MAX);
            copy(self.values.as_mut_ptr().add(self.end), value);
            *self.offsets.as_mut_ptr().add(row + 1) = offset_of(end);
        }
        self.end = end;
        self.next = row + 1;
        true
    }

    fn long(&mut self, row: usize, value: &[u8]) {
        self.values.extend_from_slice(value);
        self.end = self.values.len();
        self.offsets.push(offset_of(self.end));
        self.next = row + 1;
    }

    /// Writes a struct: `write` gives each of its fields a value.
    pub fn fields(&mut self, row: usize, write: impl FnOnce(&mut [Builder])) {
        self.expect(Layout::STRUCT);
        self.prepare(row, 0);
        write(&mut self.children);
        self.next = row + 1;
    }

    /// Before a value of so many bytes of text: makes room, and catches up with the rows since the last value, which are
    /// null.
    #[cold]
    fn prepare(&mut self, row: usize, text: usize) {
        assert!(
            u32::try_from(row + 1).is_ok(),
            "a table has less than 2^32 rows"
        );
        self.settle();
        self.nulls_to(row);
        if row >= self.rows {
            self.rows = (self.rows * 2).max(row + 1);
        }
        match self.layout {
            Layout::STRUCT | Layout::BITS => {}
            Layout::VARLEN => {
                self.offsets.resize(row + 1, offset_of(self.end));
                reserve(
                    &mut self.values,
                    text + SHORT_BYTES_MAX,
                    self.text + 2 * SHORT_BYTES_MAX,
                );
                self.last_end = self.values.capacity() - SHORT_BYTES_MAX;
            }
            Layout(width) => self.values.resize(row * width, 0),
        }
        self.reserve_rows();
        self.next = row;
    }

    /// Makes room for so many rows, now or when the first value comes.
    fn make_room(&mut self, rows: usize) {
        self.rows = self.rows.max(rows);
        if self.next != NO_ROOM {
            self.settle();
            self.reserve_rows();
        }
    }

    fn reserve_rows(&mut self) {
        match self.layout {
            Layout::STRUCT => {}
            Layout::BITS => {
                let bytes = self.rows.div_ceil(8).max(self.values.len());
                self.values.resize(bytes, 0);
            }
            Layout::VARLEN => {
                let more = (self.rows + 1).saturating_sub(self.offsets.len());
                self.offsets.reserve_exact(more);
            }
            Layout(width) => {
                let more = (self.rows * width).saturating_sub(self.values.len());
                self.values.reserve_exact(more);
            }
        }
    }

    /// Takes in what was written behind the vectors' ends.
    #[expect(unsafe_code, reason = "room that is not filled before it is written")]
    fn settle(&mut self) {
        let rows = self.end_row();
        // SAFETY: texts, values and offsets were written one behind the other from the vectors' ends on, as far as the
        // last row with a value, within the capacity.
        unsafe {
            match self.layout {
                Layout::BITS | Layout::STRUCT => {}
                Layout::VARLEN => {
                    self.values.set_len(self.end);
                    self.offsets.set_len(if rows == 0 { 0 } else { rows + 1 });
                }
                Layout(width) => self.values.set_len(rows * width),
            }
        }
    }

    /// Notes the rows from the last value up to row `row`, which are null.
    fn nulls_to(&mut self, row: usize) {
        let nulls = self.end_row()..row;
        if nulls.is_empty() {
            return;
        }
        let bytes = row.div_ceil(8);
        if self.valid.len() < bytes {
            let bytes = bytes.max(self.rows.div_ceil(8)).max(self.valid.len() * 2);
            self.valid.resize(bytes, 0xff);
        }
        let (first, last) = (nulls.start.div_ceil(8), row / 8);
        let (before, behind) = if first < last {
            self.valid[first..last].fill(0);
            (nulls.start..first * 8, last * 8..row)
        } else {
            (nulls, 0..0)
        };
        for row in before.chain(behind) {
            self.valid[row / 8] &= !(1 << (row % 8));
        }
    }

    /// The column, then its children, depth first. One without any value is sent without buffers.
    fn finish(mut self, batch: &mut Batch) {
        let rows = batch.len();
        let is_null = rows > 0 && self.end_row() == 0 && self.layout != Layout::STRUCT;
        if !is_null {
            self.settle();
            self.nulls_to(rows);
            if self.layout == Layout::VARLEN {
                self.offsets.resize(rows + 1, offset_of(self.end));
            }
            self.values.resize(self.layout.bytes(rows, self.end), 0);
        }
        let data = match self.layout {
            Layout::STRUCT => Wire::None,
            _ if is_null => Wire::None,
            Layout::BITS => Wire::Bits(batch.buffer(self.values)),
            Layout::VARLEN => Wire::Varlen(Varlen {
                offsets: batch.buffer(self.offsets.into_flattened()),
                bytes: batch.buffer(self.values),
            }),
            Layout(_) => Wire::Fixed(batch.buffer(self.values)),
        };
        let validity = (!self.valid.is_empty()).then(|| {
            self.valid.resize(rows.div_ceil(8), 0xff);
            if let Some(last) = self.valid.last_mut() {
                *last &= 0xff >> (rows.next_multiple_of(8) - rows);
            }
            batch.buffer(self.valid)
        });
        batch.columns.push(Column {
            head: self.head,
            validity,
            data,
        });
        for child in self.children {
            child.finish(batch);
        }
    }
}

/// Where a text ends, as an offset.
pub(crate) fn offset_of(end: usize) -> [u8; 4] {
    let end = u32::try_from(end).expect("a column holds less than 4 GiB");
    end.to_le_bytes()
}

/// Texts that are shorter are copied without a call. A power of two.
const SHORT_BYTES_MAX: usize = 32;

/// Copies a short text. In WebAssembly a copy of unknown length is a call out of the plugin; two copies of known length,
/// which may overlap, are several times faster.
///
/// # Safety
///
/// At `to` is room for the text.
#[expect(
    clippy::inline_always,
    reason = "a call costs more than this does, in WebAssembly twice"
)]
#[expect(unsafe_code, reason = "the room is not filled before it is written")]
#[inline(always)]
unsafe fn copy(to: *mut u8, from: &[u8]) {
    /// Copies the first and the last `N`; whether there are `N`.
    #[inline(always)]
    unsafe fn ends<const N: usize>(to: *mut u8, from: &[u8]) -> bool {
        let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else {
            return false;
        };
        // SAFETY: there is room for `from`, which has at least `N` bytes.
        unsafe {
            to.cast::<[u8; N]>().write(*first);
            to.add(from.len() - N).cast::<[u8; N]>().write(*last);
        }
        true
    }
    // SAFETY: there is room for `from`.
    unsafe {
        if !ends::<16>(to, from)
            && !ends::<8>(to, from)
            && !ends::<4>(to, from)
            && let (Some(first), Some(last)) = (from.first(), from.last())
        {
            to.write(*first);
            to.add(from.len() / 2).write(from[from.len() / 2]);
            to.add(from.len() - 1).write(*last);
        }
    }
}

/// Makes room for `more`; when there is too little, for `first` in all, or twice as many as before.
fn reserve(values: &mut Vec<u8>, more: usize, first: usize) {
    if values.capacity() - values.len() < more {
        let capacity = first.max(values.capacity() * 2).max(values.len() + more);
        values.reserve_exact(capacity - values.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The copies of known length are the plain copy, for every length around their borders.
    #[test]
    #[expect(unsafe_code, reason = "the room is not filled before it is written")]
    fn copy_copies_the_bytes() {
        let source: Vec<u8> = (1..=200).collect();
        for length in 0..SHORT_BYTES_MAX {
            for from in [0, 3, 100] {
                let mut to = [0; SHORT_BYTES_MAX];
                // SAFETY: there is room for a short text.
                unsafe { copy(to.as_mut_ptr(), &source[from..from + length]) };
                assert_eq!(to[..length], source[from..from + length], "length {length}");
            }
        }
    }

    /// Offsets that fall, end too late or part a character are the host's mistake, and are not read.
    #[test]
    fn wrong_offsets_are_seen() {
        let is_read = |offsets: &[u32], bytes: &str| {
            let numbers = offsets.iter().flat_map(|offset| offset.to_le_bytes());
            let mut batch = Batch {
                rows: u32::try_from(offsets.len() - 1).unwrap(),
                ..Batch::default()
            };
            let values = Varlen {
                offsets: batch.buffer(numbers.collect()),
                bytes: batch.buffer(bytes.as_bytes().to_vec()),
            };
            batch.columns.push(Column {
                head: Head::of(&Field::new("text", Kind::Utf8, true)),
                validity: None,
                data: Wire::Varlen(values),
            });
            std::panic::catch_unwind(|| crate::Columns::of(&batch).text("text").get(1).is_some())
                .is_ok()
        };
        assert!(is_read(&[0, 2, 3], "abc"));
        assert!(is_read(&[0, 1, 3], "aü"));
        assert!(!is_read(&[0, 2, 3], "aü"));
        assert!(!is_read(&[0, 2, 1], "abc"));
        assert!(!is_read(&[0, 1, 4], "abc"));
        let text = "a".repeat(100);
        let good: Vec<u32> = (0..=100).collect();
        assert!(is_read(&good, &text));
        for at in 0..100 {
            for wrong in [good[at + 1] + 1, u32::MAX, 1 << 31] {
                let mut offsets = good.clone();
                offsets[at] = wrong;
                assert!(!is_read(&offsets, &text), "offset {at} is {wrong}");
            }
        }
    }

    /// A byte that is not ASCII is seen wherever it is.
    #[test]
    fn what_is_not_ascii_is_seen() {
        for length in [1, 64, 255, 256, 257, 300, 512, 600] {
            let mut bytes = vec![b'a'; length];
            assert_eq!(crate::ascii(&bytes).map(str::len), Some(length));
            for at in 0..length {
                bytes[at] = 0x80;
                assert_eq!(crate::ascii(&bytes), None);
                bytes[at] = b'a';
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
        assert_eq!(batch.columns[0].validity.map(|span| span.len), Some(13));
        assert_eq!(batch.columns[1].validity, None);
        assert_eq!(batch.columns[3].data, Wire::None);
    }
}
