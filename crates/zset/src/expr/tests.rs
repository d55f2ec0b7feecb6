//! Goal: expressions are exact or an error of their row. Method: small tables of cells, and random
//! decimal arithmetic against `weir_exact`.

use super::{Expr, OPERATORS_MAX, RowError};
use crate::text::cell;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Int32Array, Int64Array,
    RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, i256};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::fmt::Write as _;
use std::sync::Arc;
use weir_exact::{Decimal, parse};

fn narrow(texts: &[Option<&str>], scale: u8) -> ArrayRef {
    let value = |text: &str| weir_exact::to_i128(parse(text).unwrap().at(scale).unwrap()).unwrap();
    let values: Decimal128Array = texts.iter().map(|text| text.map(value)).collect();
    Arc::new(
        values
            .with_precision_and_scale(38, scale.cast_signed())
            .unwrap(),
    )
}

fn wide(texts: &[Option<&str>], scale: u8) -> ArrayRef {
    let value = |text: &str| {
        i256::from_le_bytes(weir_exact::to_le_bytes(
            parse(text).unwrap().at(scale).unwrap(),
        ))
    };
    let values: Decimal256Array = texts.iter().map(|text| text.map(value)).collect();
    Arc::new(
        values
            .with_precision_and_scale(76, scale.cast_signed())
            .unwrap(),
    )
}

fn batch() -> RecordBatch {
    let city: ArrayRef = Arc::new(StringArray::from(vec![Some("Bonn"), None, Some("Bern")]));
    let address = StructArray::from(vec![(
        Arc::new(Field::new("city", DataType::Utf8, true)),
        city,
    )]);
    let at =
        TimestampMicrosecondArray::from(vec![0, 1_772_452_800_000_000, -1]).with_timezone("UTC");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("narrow", narrow(&[Some("1.5"), None, Some("-2")], 6)),
        (
            "fine",
            narrow(&[Some("0.000000000001"), Some("7"), Some("-2")], 12),
        ),
        (
            "wide",
            wide(
                &[Some("1.5"), None, Some("123456789012345678901234567890.5")],
                18,
            ),
        ),
        ("finer", wide(&[Some("1.5"), Some("0"), None], 20)),
        (
            "int",
            Arc::new(Int64Array::from(vec![Some(3), None, Some(-4)])),
        ),
        ("small", Arc::new(Int32Array::from(vec![1, 2, i32::MAX]))),
        (
            "name",
            Arc::new(StringArray::from(vec![Some("ab"), None, Some("1.25")])),
        ),
        (
            "flag",
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        ),
        (
            "day",
            Arc::new(Date32Array::from(vec![Some(20_514), Some(20_515), None])),
        ),
        ("at", Arc::new(at)),
        ("address", Arc::new(address)),
        ("Camel", Arc::new(StringArray::from(vec!["x", "y", "z"]))),
    ];
    let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(nullable).unwrap()
}

/// The value of each row, or its error's code; then the type.
fn shown(sql: &str) -> String {
    let batch = batch();
    let expr = match Expr::compile(sql, &batch.schema()) {
        Ok(expr) => expr,
        Err(error) => {
            let hint = error
                .hint
                .map(|hint| format!(" ({hint})"))
                .unwrap_or_default();
            return format!("{sql}: {}: {}{hint}", error.code, error.message);
        }
    };
    let (values, errors) = expr.eval(&batch);
    assert_eq!(values.data_type(), expr.data_type());
    let mut text = format!("{sql} =");
    for row in 0..batch.num_rows() {
        let error = errors
            .iter()
            .find(|error| error.row == row)
            .map(|error| error.code);
        let value = cell(&values, row).unwrap_or_else(|| "null".to_owned());
        write!(text, " {}", error.unwrap_or(&value)).unwrap();
    }
    write!(text, " : {}", expr.data_type()).unwrap();
    text
}

fn check(all: &[&str], expected: &Expect) {
    let lines: Vec<String> = all.iter().map(|sql| shown(sql)).collect();
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

#[test]
fn decimal_arithmetic() {
    check(
        &[
            "narrow * -1",
            "-narrow",
            "-wide",
            "wide * -1",
            "narrow + narrow",
            "narrow + fine",
            "narrow + wide",
            "wide - 1",
            "narrow * fine",
            "fine * fine",
            "narrow * wide",
            "narrow * 0.85",
            "wide % 2",
            "int * narrow",
            "small * narrow",
            "narrow / 2",
            "int / 2",
            "0.85",
            "1 - 0.0765",
            "1e5",
            "narrow * 1e5",
            "abs(narrow)",
            "abs(int)",
        ],
        &expect![[r"
            narrow * -1 = -1.5 null 2 : Decimal128(38, 6)
            -narrow = -1.5 null 2 : Decimal128(38, 6)
            -wide = -1.5 null -123456789012345678901234567890.5 : Decimal256(76, 18)
            wide * -1 = -1.5 null -123456789012345678901234567890.5 : Decimal256(76, 18)
            narrow + narrow = 3 null -4 : Decimal128(38, 6)
            narrow + fine = 1.500000000001 null -4 : Decimal128(38, 12)
            narrow + wide = 3 null 123456789012345678901234567888.5 : Decimal256(76, 18)
            wide - 1 = 0.5 null 123456789012345678901234567889.5 : Decimal256(76, 18)
            narrow * fine = 0.0000000000015 null 4 : Decimal128(38, 18)
            fine * fine = 0.000000000000000000000001 49 4 : Decimal128(38, 24)
            narrow * wide = 2.25 null -246913578024691357802469135781 : Decimal256(76, 24)
            narrow * 0.85 = 1.275 null -1.7 : Decimal128(38, 8)
            wide % 2 = 1.5 null 0.5 : Decimal256(19, 18)
            int * narrow = 4.5 null 8 : Decimal128(38, 6)
            small * narrow = 1.5 null -4294967294 : Decimal128(38, 6)
            narrow / 2: inexact_division: a quotient of decimals has no exact scale of its own (say where to round: `mul_div_round(a, 1, b, 18)` is a / b with 18 digits)
            int / 2 = 1 null -2 : Int64
            0.85 = 0.85 0.85 0.85 : Decimal128(2, 2)
            1 - 0.0765 = 0.9235 0.9235 0.9235 : Decimal128(6, 4)
            1e5 = 100000 100000 100000 : Decimal128(6, 0)
            narrow * 1e5 = 150000 null -200000 : Decimal128(38, 6)
            abs(narrow) = 1.5 null 2 : Decimal128(38, 6)
            abs(int) = 3 null 4 : Decimal128(20, 0)
        "]],
    );
}

#[test]
fn choices_and_comparisons() {
    check(
        &[
            "coalesce(narrow, 0)",
            "coalesce(wide, 0)",
            "coalesce(narrow, wide, 0)",
            "coalesce(finer, 0.0)",
            "coalesce(name, 'none')",
            "coalesce(int, 0)",
            "case when flag then narrow else 0 end",
            "case when flag then wide else narrow end",
            "case name when 'ab' then 1 else 2 end",
            "case when flag then wide end",
            "greatest(narrow, 0)",
            "greatest(wide, 0)",
            "least(narrow, wide)",
            "nullif(narrow, 1.5)",
            "nvl(wide, -1)",
            "nvl2(wide, 1, 0)",
            "narrow < fine",
            "narrow < 0",
            "wide > narrow",
            "narrow = 1.5",
            "narrow in (1.5, -2)",
            "wide between 1 and 2",
            "name in ('ab', 'cd')",
            "narrow is null",
            "name is not null",
            "narrow is distinct from wide",
            "day < '2026-03-02'",
            "day <= cast('2026-03-02' as date)",
            "day = date '2026-03-02'",
            "at >= '2026-03-02T12:00:00Z'",
            "flag and narrow > 0",
            "not flag",
        ],
        &expect![[r"
            coalesce(narrow, 0) = 1.5 0 -2 : Decimal128(38, 6)
            coalesce(wide, 0) = 1.5 0 123456789012345678901234567890.5 : Decimal256(76, 18)
            coalesce(narrow, wide, 0) = 1.5 0 -2 : Decimal256(76, 18)
            coalesce(finer, 0.0) = 1.5 0 0 : Decimal256(76, 20)
            coalesce(name, 'none') = ab none 1.25 : Utf8
            coalesce(int, 0) = 3 0 -4 : Int64
            case when flag then narrow else 0 end = 1.5 0 0 : Decimal128(38, 6)
            case when flag then wide else narrow end = 1.5 null -2 : Decimal256(76, 18)
            case name when 'ab' then 1 else 2 end = 1 2 2 : Int64
            case when flag then wide end = 1.5 null null : Decimal256(76, 18)
            greatest(narrow, 0) = 1.5 0 0 : Decimal128(38, 6)
            greatest(wide, 0) = 1.5 0 123456789012345678901234567890.5 : Decimal256(76, 18)
            least(narrow, wide) = 1.5 null -2 : Decimal256(76, 18)
            nullif(narrow, 1.5) = null null -2 : Decimal128(38, 6)
            nvl(wide, -1) = 1.5 -1 123456789012345678901234567890.5 : Decimal256(76, 18)
            nvl2(wide, 1, 0) = 1 0 1 : Int64
            narrow < fine = false null false : Boolean
            narrow < 0 = false null true : Boolean
            wide > narrow = false null true : Boolean
            narrow = 1.5 = true null false : Boolean
            narrow in (1.5, -2) = true null true : Boolean
            wide between 1 and 2 = true null false : Boolean
            name in ('ab', 'cd') = true null false : Boolean
            narrow is null = false true false : Boolean
            name is not null = true false true : Boolean
            narrow is distinct from wide = false false true : Boolean
            day < '2026-03-02' = false false null : Boolean
            day <= cast('2026-03-02' as date) = true false null : Boolean
            day = date '2026-03-02' = true false null : Boolean
            at >= '2026-03-02T12:00:00Z' = false true false : Boolean
            flag and narrow > 0 = true false false : Boolean
            not flag = false true null : Boolean
        "]],
    );
}

#[test]
fn text_dates_and_casts() {
    check(
        &[
            "name || '-' || Camel",
            "'n' || int",
            "upper(name)",
            "concat(name, '/', Camel)",
            "address.city",
            "address.town",
            "day + interval '30 days'",
            "day - date '2026-03-01'",
            "cast(day as timestamp)",
            "cast(at as date)",
            "cast('2026-03-02' as date)",
            "date_part('year', day)",
            "cast(name as decimal(10, 2))",
            "try_cast(name as decimal(10, 2))",
            "cast(name as decimal(10, 1))",
            "cast(narrow as decimal(76, 18))",
            "cast(narrow as decimal(38, 2))",
            "cast(narrow as bigint)",
            "cast(round_even(narrow, 0) as bigint)",
            "cast(int as decimal(38, 9))",
            "cast(int as varchar)",
            "cast(name as bigint)",
            "cast(null as varchar)",
            "cast(narrow as double)",
        ],
        &expect![[r#"
            name || '-' || Camel = ab-x null 1.25-z : Utf8
            'n' || int = n3 null n-4 : Utf8
            upper(name) = AB null 1.25 : Utf8
            concat(name, '/', Camel) = ab/x /y 1.25/z : Utf8
            address.city = Bonn null Bern : Utf8
            address.town: wrong_type: there is no field `town`
            day + interval '30 days' = 2026-04-01 2026-04-02 null : Date32
            day - date '2026-03-01' = 1 2 null : Int64
            cast(day as timestamp) = 2026-03-02T00:00:00Z 2026-03-03T00:00:00Z null : Timestamp(µs, "UTC")
            cast(at as date) = 1970-01-01 2026-03-02 1969-12-31 : Date32
            cast('2026-03-02' as date) = 2026-03-02 2026-03-02 2026-03-02 : Date32
            date_part('year', day) = 2026 2026 null : Int32
            cast(name as decimal(10, 2)) = bad_cast null 1.25 : Decimal128(10, 2)
            try_cast(name as decimal(10, 2)) = null null 1.25 : Decimal128(10, 2)
            cast(name as decimal(10, 1)) = bad_cast null bad_cast : Decimal128(10, 1)
            cast(narrow as decimal(76, 18)) = 1.5 null -2 : Decimal256(76, 18)
            cast(narrow as decimal(38, 2)): cast_drops_digits: a cast from Decimal128(38, 6) to Decimal128(38, 2) would drop digits in silence (round first: `round_even(x, 2)`)
            cast(narrow as bigint): cast_drops_digits: a cast from Decimal128(38, 6) to Int64 would drop digits in silence (round first: `round_even(x, 0)`)
            cast(round_even(narrow, 0) as bigint) = 2 null -2 : Int64
            cast(int as decimal(38, 9)) = 3 null -4 : Decimal128(38, 9)
            cast(int as varchar) = 3 null -4 : Utf8
            cast(name as bigint) = bad_cast null bad_cast : Int64
            cast(null as varchar) = null null null : Utf8
            cast(narrow as double): float_beside_decimal: a cast from Decimal128(38, 6) to Float64 mixes a decimal with a binary floating-point number (decode the column as a decimal or as text)
        "#]],
    );
}

#[test]
fn exact_functions_and_row_errors() {
    check(
        &[
            "mul_div_round(narrow, 2, 3, 18)",
            "mul_div_round(wide, fine, 1, 18)",
            "mul_div_round(narrow, fine, narrow + 2, 4)",
            "mul_div_round(int, 1, 3, 2)",
            "mul_div_round(null, 1, 0, 2)",
            "mul_div_round(narrow, 1, 1, int)",
            "mul_div_round(narrow, 1, 1)",
            "mul_div_round(name, 1, 1, 2)",
            "round_even(fine, 2)",
            "round_even(wide, 0)",
            "round_even(narrow, 39)",
            "small + cast(1 as int)",
            "int * 9223372036854775807",
            "int / (int - 3)",
            "case when int <> 3 then int / (int - 3) else 0 end",
            "wide * wide",
            "cast(wide as decimal(38, 18))",
        ],
        &expect![[r"
            mul_div_round(narrow, 2, 3, 18) = 1 null -1.333333333333333333 : Decimal256(76, 18)
            mul_div_round(wide, fine, 1, 18) = 0.0000000000015 null -246913578024691357802469135781 : Decimal256(76, 18)
            mul_div_round(narrow, fine, narrow + 2, 4) = 0 null division_by_zero : Decimal256(76, 4)
            mul_div_round(int, 1, 3, 2) = 1 null -1.33 : Decimal256(76, 2)
            mul_div_round(null, 1, 0, 2) = null null null : Decimal256(76, 2)
            mul_div_round(narrow, 1, 1, int): wrong_type: the scale of `mul_div_round` is a whole number from 0 to 76
            mul_div_round(narrow, 1, 1): wrong_type: `mul_div_round` is called as `mul_div_round(a, b, c, scale)`
            mul_div_round(name, 1, 1, 2): wrong_type: `mul_div_round` takes decimals and integers, not Utf8
            round_even(fine, 2) = 0 7 -2 : Decimal128(38, 2)
            round_even(wide, 0) = 2 null 123456789012345678901234567890 : Decimal256(76, 0)
            round_even(narrow, 39): wrong_type: the scale of `round_even` is a whole number from 0 to 38
            small + cast(1 as int) = 2 3 overflow : Int32
            int * 9223372036854775807 = overflow null overflow : Int64
            int / (int - 3) = division_by_zero null 0 : Int64
            case when int <> 3 then int / (int - 3) else 0 end = 0 0 0 : Int64
            wide * wide = 2.25 null overflow : Decimal256(76, 36)
            cast(wide as decimal(38, 18)) = 1.5 null bad_cast : Decimal128(38, 18)
        "]],
    );
}

#[test]
fn refusals_teach() {
    check(
        &[
            "narow + 1",
            "coalese(narrow, 0)",
            "narrow +",
            "now()",
            "uuid()",
            "random()",
            "narrow + name",
            "narrow = '1.5'",
            "coalesce(narrow, 'x')",
            "narrow * cast(1 as double)",
            "narrow as x",
            "(select 1)",
            "exists (select 1 from t)",
            "$1",
            "sum(narrow)",
            "null",
            "interval '1 day'",
            "arrow_cast(narrow, 'Float64')",
            "name + 1",
            "*",
            "",
        ],
        &expect![[r"
            narow + 1: unknown_column: there is no column `narow` (did you mean `narrow`?)
            coalese(narrow, 0): unknown_function: there is no function `coalese` (did you mean `coalesce`?)
            narrow +: invalid_expression: sql parser error: Expected: an expression, found: EOF
            now(): not_immutable: `now` does not give the same answer each time, so a replay would differ (time comes from columns such as `_timestamp`, or from a `valid` stage)
            uuid(): not_immutable: `uuid` does not give the same answer each time, so a replay would differ (time comes from columns such as `_timestamp`, or from a `valid` stage)
            random(): unknown_function: there is no function `random`
            narrow + name: wrong_type: `+` mixes a decimal with a value of type Utf8 (cast it: `cast(x as decimal(38, 9))`)
            narrow = '1.5': wrong_type: a comparison mixes a decimal with a value of type Utf8 (cast it: `cast(x as decimal(38, 9))`)
            coalesce(narrow, 'x'): wrong_type: a choice of values mixes a decimal with a value of type Utf8 (cast it: `cast(x as decimal(38, 9))`)
            narrow * cast(1 as double): float_beside_decimal: `*` mixes a decimal with a binary floating-point number (decode the column as a decimal or as text)
            narrow as x: invalid_expression: `as x` has no place here: the key names the column
            (select 1): invalid_expression: a query has no place in an expression (use a `join` stage)
            exists (select 1 from t): invalid_expression: a query has no place in an expression (use a `join` stage)
            $1: invalid_expression: parameters and variables have no value here
            sum(narrow): unknown_function: there is no function `sum` (aggregates belong in an `aggregate` stage)
            null: untyped_null: the type of this null is not known (name it: `cast(null as varchar)`)
            interval '1 day': wrong_type: a column cannot hold values of type Interval(MonthDayNano)
            arrow_cast(narrow, 'Float64'): unknown_function: there is no function `arrow_cast`
            name + 1: wrong_type: Cannot coerce arithmetic expression Utf8 + Int64 to valid types
            *: invalid_expression: sql parser error: Expected: an expression, found: * at Line: 1, Column: 1
            : invalid_expression: sql parser error: Expected: an expression, found: EOF
        "]],
    );
}

/// Goal: columns may have the names that data has. Method: names that SQL uses, which must be quoted.
#[test]
fn names_that_sql_uses() {
    let all = [
        "user",
        "key",
        "end",
        "at",
        "from",
        "until",
        "version",
        "scope",
        "rate",
        "per",
        "price",
        "action",
        "date",
        "day",
        "time",
        "timestamp",
        "value",
        "values",
        "order",
        "group",
        "index",
        "kind",
        "type",
        "level",
        "class",
        "leg",
        "exchange",
        "direction",
        "amount",
        "currency",
        "position",
        "interval",
        "entity",
        "book",
        "state",
        "status",
        "reason",
        "offset",
        "partition",
        "row",
        "rows",
        "start",
        "set",
        "table",
        "select",
        "where",
        "left",
        "right",
        "in",
        "is",
        "not",
        "null",
        "true",
        "case",
        "cast",
        "extract",
        "exists",
        "array",
        "map",
        "struct",
        "filter",
        "limit",
        "current_date",
        "lambda",
        "name",
    ];
    let fields = all.map(|name| Field::new(name, DataType::Decimal128(38, 2), true));
    let schema: SchemaRef = Arc::new(Schema::new(fields.to_vec()));
    let works = |sql: &str| {
        Expr::compile(sql, &schema).is_ok_and(|expr| expr.data_type() == &DataType::Boolean)
    };
    assert!(all.iter().all(|name| works(&format!("\"{name}\" > 0"))));
    let quoted: Vec<&str> = all
        .into_iter()
        .filter(|name| !works(&format!("{name} > 0")))
        .collect();
    expect!["interval true exists struct current_date"].assert_eq(&quoted.join(" "));
}

/// Goal: a field of a null struct is null, although the field itself cannot be.
#[test]
fn fields_of_null_structs() {
    let city: ArrayRef = Arc::new(StringArray::from(vec!["Bonn", ""]));
    let fields = vec![Field::new("city", DataType::Utf8, false)];
    let nulls = arrow::buffer::NullBuffer::from(vec![true, false]);
    let address: ArrayRef = Arc::new(StructArray::new(fields.into(), vec![city], Some(nulls)));
    let batch = RecordBatch::try_from_iter_with_nullable([("address", address, true)]).unwrap();
    let expr = Expr::compile("address.city", &batch.schema()).unwrap();
    let (values, errors) = expr.eval(&batch);
    assert_eq!(
        (cell(&values, 0), cell(&values, 1)),
        (Some("Bonn".to_owned()), None)
    );
    assert!(expr.nullable() && errors.is_empty());
}

fn schema() -> SchemaRef {
    batch().schema()
}

#[test]
fn no_rows_no_errors() {
    let expr = Expr::compile("1 / 0", &schema()).unwrap();
    assert_eq!(expr.eval(&batch().slice(0, 0)).1, Vec::<RowError>::new());
    assert_eq!(expr.eval(&batch()).1.len(), 3);
}

/// A number that a column of 38 digits and this scale holds.
fn number(scale: u8) -> impl Strategy<Value = Decimal> {
    (any::<i128>(), 0_u32..38)
        .prop_map(move |(value, digits)| Decimal::from_i128(value % 10_i128.pow(digits), scale))
}

proptest! {
    /// Goal: `+ - *` and comparisons are exact or refused, whatever the scales and widths.
    #[test]
    fn arithmetic_is_exact(
        (a, b) in (0_u8..20, 0_u8..20).prop_flat_map(|(x, y)| (number(x), number(y))),
        wides in any::<[bool; 2]>(),
        op in 0_usize..5,
    ) {
        let column = |number: Decimal, is_wide: bool| {
            let text = number.to_text();
            if is_wide { wide(&[Some(&text)], number.scale) } else { narrow(&[Some(&text)], number.scale) }
        };
        let columns = [("a", column(a, wides[0])), ("b", column(b, wides[1]))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let sql = ["a + b", "a - b", "a * b", "a < b", "a = b"][op];
        let (values, errors) = Expr::compile(sql, &batch.schema()).unwrap().eval(&batch);
        let want = match op {
            0 => a.checked_add(b).map(Decimal::to_text),
            1 => a.checked_sub(b).map(Decimal::to_text),
            2 => a.checked_mul(b).map(Decimal::to_text),
            3 => Ok((a < b).to_string()),
            _ => Ok((a == b).to_string()),
        };
        match errors.as_slice() {
            [] => prop_assert_eq!(cell(&values, 0), want.ok()),
            [error] => {
                prop_assert_eq!(error.code, "overflow");
                prop_assert!(op < 3 && (want.is_err() || !(wides[0] && wides[1])));
            }
            _ => unreachable!(),
        }
    }

    /// Goal: a row's value does not depend on the rows beside it. Method: expressions that look at some
    /// branch for some rows only, evaluated for a batch and for each row alone; some columns have one value.
    #[test]
    fn rows_stand_alone(
        rows in proptest::collection::vec((prop::option::of(-2_i64..3), prop::option::of(-1_i64..2)), 1..24),
        steady in any::<[bool; 2]>(), of in 0_usize..10,
    ) {
        let row = |row: usize| if steady[0] { rows[0] } else { rows[row] };
        let a: ArrayRef = Arc::new((0..rows.len()).map(|at| row(at).0).collect::<Int64Array>());
        let row = |row: usize| if steady[1] { rows[0] } else { rows[row] };
        let b: ArrayRef = Arc::new((0..rows.len()).map(|at| row(at).1).collect::<Int64Array>());
        let t: ArrayRef = Arc::new((0..rows.len()).map(|at| Some(row(at).1?.to_string())).collect::<StringArray>());
        let columns = [("a", a, true), ("b", b, true), ("t", t, true)];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let sql = [
            "a / b",
            "case when b <> 0 then a / b else 0 end",
            "b <> 0 and a / b > 0",
            "b = 0 or a / b > 0",
            "a > 0 and b <> 0 and 2 / b > 1",
            "coalesce(nullif(a, 0), 5 / b)",
            "a in (1 / b, 2)",
            "mul_div_round(a, 1, b, 2)",
            "mul_div_round(a, case t when '1' then 3 when '-1' then a else b end, 7, 2)",
            "case t when '1' then 'one' when '0' then cast(5 / b as varchar) else t end",
        ][of];
        let expr = Expr::compile(sql, &batch.schema()).unwrap();
        let (values, errors) = expr.eval(&batch);
        for row in 0..rows.len() {
            let (alone, error) = expr.eval(&batch.slice(row, 1));
            prop_assert_eq!(cell(&values, row), cell(&alone, 0), "{} row {}", sql, row);
            let error = error.into_iter().map(|error| RowError { row, ..error }).next();
            prop_assert_eq!(errors.iter().find(|error| error.row == row), error.as_ref());
        }
    }
}

/// Goal: a quoted name alone is read without the parser as with it. Method: names of all sorts, against the same in
/// parentheses, which go the long way.
#[test]
fn quoted_names_are_what_they_are_in_parentheses() {
    let names = [
        "entity", "_offset", "Text", "true", "null", "a b", "1", "x.y", "x\"y", "'", "date", "",
    ];
    let field = |name: &&str| Field::new(*name, DataType::Utf8, *name != "entity");
    let schema: SchemaRef = Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>()));
    let column = |name: &&str| Arc::new(StringArray::from(vec![format!("of {name}")])) as ArrayRef;
    let columns = names.iter().map(column).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let told = |sql: &str| {
        let expr = Expr::compile(sql, &schema).map_err(|error| error.code)?;
        let (values, errors) = expr.eval(&batch);
        Ok::<_, &str>((expr.data_type().clone(), expr.nullable(), values, errors))
    };
    for name in names.iter().chain(&["absent", "TEXT", "x\"\"y"]) {
        assert_eq!(
            told(&format!("\"{name}\"")),
            told(&format!("(\"{name}\")")),
            "{name}"
        );
    }
}

/// Goal: no text of an expression ends the process. Method: the deepest of each kind that are taken, and longer ones, on
/// the stack of any thread.
#[test]
fn deep_expressions_need_no_deep_stack() {
    let column: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
    let batch = RecordBatch::try_from_iter([("entity", column)]).unwrap();
    let kinds: [fn(usize) -> String; 5] = [
        |n| format!("{}true", "NOT ".repeat(n)),
        |n| format!("false{}", " OR entity = 'x'".repeat(n / 2)),
        |n| format!("entity{}", " || entity".repeat(n)),
        |n| format!("{}1", "- ".repeat(n)),
        |n| {
            format!(
                "{}true{}",
                "CASE WHEN ".repeat(n / 5),
                " THEN true END".repeat(n / 5)
            )
        },
    ];
    for kind in kinds {
        for n in [100, OPERATORS_MAX - 20] {
            if let Ok(expr) = Expr::compile(&kind(n), &batch.schema()) {
                assert_eq!(expr.eval(&batch).0.len(), 2);
            }
        }
        for n in [10 * OPERATORS_MAX, 100_000] {
            let refused = Expr::compile(&kind(n), &batch.schema()).unwrap_err();
            assert_eq!(refused.code, "invalid_expression");
        }
    }
}
