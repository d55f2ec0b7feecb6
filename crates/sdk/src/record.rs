//! Rows as structs: `record!` declares the columns of an input or an output once.

use crate::columns::Columns;
use crate::describe::{Field, Kind};
use crate::table::Builder;

/// A row of known columns. Written by [`record!`](crate::record!).
pub trait Record<'a>: Sized {
    /// Typed views of the columns of one batch.
    type Views: std::fmt::Debug;
    /// What the columns hold.
    const KINDS: &'static [Kind];
    /// The columns, for a [`crate::Shape`].
    fn fields() -> Vec<Field>;
    /// The views of these columns; panics when the shape asks for others.
    fn views(columns: Columns<'a>) -> Self::Views;
    /// Row `row`.
    fn read(views: &Self::Views, row: usize) -> Self;
    /// Writes one value to each column, whose row this is; called by [`Table::push`](crate::Table::push).
    ///
    /// # Safety
    ///
    /// The columns hold [`Record::KINDS`], and those with a value have room for the row.
    #[expect(
        unsafe_code,
        reason = "what is seen once is not looked at for each cell"
    )]
    unsafe fn write(&self, row: usize, columns: &mut [Builder]);
    /// Likewise, of the columns that have no value in this row yet, whatever they hold.
    fn write_rest(&self, row: usize, columns: &mut [Builder]);
}

/// Declares a row struct: `name: kind`, nullable, so that the field is an `Option`, or `name: kind required`.
///
/// Kinds and their Rust types: `bool`, `int32` i32, `int64` i64, `utf8` `&str`, `binary` `&[u8]`, `date32` i32
/// (days since 1970), `timestamp` i64 (microseconds), `decimal128(p, s)` i128 (digits), `decimal256(p, s)`
/// [`I256`](crate::I256), and `record(Other)` for a struct column. A struct with text or
/// bytes is declared with a lifetime: `struct Leg<'a>`. A column that is named otherwise than the field:
/// `kind_: utf8 = "kind"`.
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident<$lt:lifetime> { $($body:tt)* }) => {
        $crate::__record! { [$lt] [$name<$lt>] [$(#[$meta])* $vis struct $name<$lt>] $($body)* }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($body:tt)* }) => {
        $crate::__record! { ['r] [$name] [$(#[$meta])* $vis struct $name] $($body)* }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __record {
    ([$lt:lifetime] [$self:ty] [$($head:tt)*] $(
        $(#[$meta:meta])* $field:ident : $kind:ident $(($($arg:tt)*))? $($req:ident)? $(= $column:literal)?
    ),* $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $($head)* {
            $($(#[$meta])* pub $field: $crate::__cell!(@type $lt [$kind $(($($arg)*))?] $($req)?),)*
        }
        const _: () = {
            #[doc(hidden)]
            #[derive(Debug)]
            pub struct Views<$lt> {
                $($field: $crate::__cell!(@view $lt [$kind $(($($arg)*))?]),)*
                lifetime: ::core::marker::PhantomData<&$lt ()>,
            }
            impl<$lt> $crate::Record<$lt> for $self {
                type Views = Views<$lt>;
                const KINDS: &'static [$crate::Kind] =
                    &[$($crate::__cell!(@kind $kind $(($($arg)*))?)),*];
                fn fields() -> ::std::vec::Vec<$crate::Field> {
                    ::std::vec![$($crate::__cell!(@field
                        $crate::__cell!(@name $field $($column)?), [$kind $(($($arg)*))?] $($req)?)),*]
                }
                fn views(columns: $crate::columns::Columns<$lt>) -> Views<$lt> {
                    let mut place = 0;
                    Views {
                        $($field: {
                            let name = $crate::__cell!(@name $field $($column)?);
                            let columns = columns.seek(&mut place, name);
                            $crate::__cell!(@open columns, name, [$kind $(($($arg)*))?])
                        },)*
                        lifetime: ::core::marker::PhantomData,
                    }
                }
                #[inline]
                fn read(views: &Views<$lt>, row: usize) -> Self {
                    Self { $($field: $crate::__cell!(@get views.$field, row, [$kind $(($($arg)*))?] $($req)?)),* }
                }
                #[inline]
                unsafe fn write(&self, row: usize, columns: &mut [$crate::table::Builder]) {
                    let all = columns.first_chunk_mut().expect("the output's columns are the record's");
                    let [$($field),*] = all;
                    $(
                        if !$crate::__cell!(@try $field, row, self.$field, [$kind $(($($arg)*))?] $($req)?) {
                            return self.write_rest(row, all);
                        }
                    )*
                }
                #[cold]
                #[inline(never)]
                fn write_rest(&self, row: usize, columns: &mut [$crate::table::Builder]) {
                    let mut columns = columns.iter_mut().map(|column| (column.lacks(row), column));
                    $(
                        if let ::core::option::Option::Some((true, column)) = columns.next() {
                            $crate::__cell!(@put column, row, self.$field, [$kind $(($($arg)*))?] $($req)?);
                        }
                    )*
                }
            }
        };
    };
}

/// One column of a record: its Rust type, view, field, reading and writing.
#[doc(hidden)]
#[macro_export]
macro_rules! __cell {
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $column:literal) => { $column };

    (@type $lt:lifetime [$($kind:tt)*]) => { ::core::option::Option<$crate::__cell!(@value $lt $($kind)*)> };
    (@type $lt:lifetime [$($kind:tt)*] required) => { $crate::__cell!(@value $lt $($kind)*) };

    (@value $lt:lifetime bool) => { bool };
    (@value $lt:lifetime int32) => { i32 };
    (@value $lt:lifetime int64) => { i64 };
    (@value $lt:lifetime date32) => { i32 };
    (@value $lt:lifetime timestamp) => { i64 };
    (@value $lt:lifetime utf8) => { &$lt str };
    (@value $lt:lifetime binary) => { &$lt [u8] };
    (@value $lt:lifetime decimal128 $args:tt) => { i128 };
    (@value $lt:lifetime decimal256 $args:tt) => { $crate::I256 };
    (@value $lt:lifetime record($inner:ident)) => { $inner<$lt> };

    (@view $lt:lifetime [bool]) => { $crate::columns::Bools<$lt> };
    (@view $lt:lifetime [utf8]) => { $crate::columns::Text<$lt> };
    (@view $lt:lifetime [binary]) => { $crate::columns::Bytes<$lt> };
    (@view $lt:lifetime [record($inner:ident)]) => {
        (::core::option::Option<&$lt [u8]>, <$inner<$lt> as $crate::Record<$lt>>::Views)
    };
    (@view $lt:lifetime [$($kind:tt)*]) => {
        $crate::columns::Fixed<$lt, $crate::__cell!(@value $lt $($kind)*)>
    };

    (@field $name:expr, [$($kind:tt)*]) => { $crate::__cell!(@plain $name, true, $($kind)*) };
    (@field $name:expr, [$($kind:tt)*] required) => { $crate::__cell!(@plain $name, false, $($kind)*) };
    (@plain $name:expr, $null:expr, record($inner:ident)) => {
        $crate::Field {
            name: $name,
            kind: $crate::Kind::Struct,
            nullable: $null,
            children: <$inner as $crate::Record>::fields(),
        }
    };
    (@plain $name:expr, $null:expr, $($kind:tt)*) => {
        $crate::Field::new($name, $crate::__cell!(@kind $($kind)*), $null)
    };
    (@kind bool) => { $crate::Kind::Bool };
    (@kind int32) => { $crate::Kind::Int32 };
    (@kind int64) => { $crate::Kind::Int64 };
    (@kind date32) => { $crate::Kind::Date32 };
    (@kind timestamp) => { $crate::Kind::Timestamp };
    (@kind utf8) => { $crate::Kind::Utf8 };
    (@kind binary) => { $crate::Kind::Binary };
    (@kind record $args:tt) => { $crate::Kind::Struct };
    (@kind decimal128($p:expr, $s:expr)) => { $crate::Kind::Decimal128($p, $s) };
    (@kind decimal256($p:expr, $s:expr)) => { $crate::Kind::Decimal256($p, $s) };

    (@open $columns:ident, $name:expr, [bool]) => { $columns.bools($name) };
    (@open $columns:ident, $name:expr, [utf8]) => { $columns.text($name) };
    (@open $columns:ident, $name:expr, [binary]) => { $columns.bytes($name) };
    (@open $columns:ident, $name:expr, [record($inner:ident)]) => {{
        let (validity, columns) = $columns.fields($name);
        (validity, <$inner as $crate::Record>::views(columns))
    }};
    (@open $columns:ident, $name:expr, [$($kind:tt)*]) => { $columns.fixed($name) };

    (@get $view:expr, $row:ident, [$($kind:tt)*] required) => {
        $crate::__cell!(@get $view, $row, [$($kind)*]).expect("the host sends no null in a required column")
    };
    (@get $view:expr, $row:ident, [record($inner:ident)]) => {
        $crate::columns::is_valid($view.0, $row).then(|| <$inner as $crate::Record>::read(&$view.1, $row))
    };
    (@get $view:expr, $row:ident, [$($kind:tt)*]) => { $view.get($row) };

    (@try $to:ident, $row:ident, $from:expr, [$($kind:tt)*] required) => {
        $crate::__cell!(@try $to, $row, ::core::option::Option::Some($from), [$($kind)*])
    };
    (@try $to:ident, $row:ident, $from:expr, [bool]) => {
        // SAFETY: as the caller of `write` knows.
        unsafe { $to.try_bool($row, $from) }
    };
    (@try $to:ident, $row:ident, $from:expr, [utf8]) => {
        // SAFETY: as the caller of `write` knows.
        unsafe { $to.try_bytes($row, $from.map(str::as_bytes)) }
    };
    (@try $to:ident, $row:ident, $from:expr, [binary]) => {
        // SAFETY: as the caller of `write` knows.
        unsafe { $to.try_bytes($row, $from) }
    };
    (@try $to:ident, $row:ident, $from:expr, [record($inner:ident)]) => { $from.is_none() };
    (@try $to:ident, $row:ident, $from:expr, [$($kind:tt)*]) => {
        // SAFETY: as the caller of `write` knows.
        unsafe { $to.try_fixed($row, $from) }
    };

    (@put $to:ident, $row:ident, $from:expr, [$($kind:tt)*] required) => {
        $crate::__cell!(@put $to, $row, ::core::option::Option::Some($from), [$($kind)*])
    };
    (@put $to:ident, $row:ident, $from:expr, [bool]) => { $to.bool($row, $from) };
    (@put $to:ident, $row:ident, $from:expr, [utf8]) => { $to.bytes($row, $from.map(str::as_bytes)) };
    (@put $to:ident, $row:ident, $from:expr, [binary]) => { $to.bytes($row, $from) };
    (@put $to:ident, $row:ident, $from:expr, [record($inner:ident)]) => {
        if let ::core::option::Option::Some(inner) = &$from {
            $to.fields($row, |columns| <$inner<'_> as $crate::Record<'_>>::write_rest(inner, $row, columns));
        }
    };
    (@put $to:ident, $row:ident, $from:expr, [$($kind:tt)*]) => { $to.fixed($row, $from) };
}
