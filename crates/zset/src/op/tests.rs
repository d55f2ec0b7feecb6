//! Goal: what cannot work is refused before anything runs, with its place and a hint. Method: wrong specs.

use super::*;
use arrow::datatypes::{DataType, Field, FieldRef};
use expect_test::{Expect, expect};
use std::sync::Arc;

fn trades() -> SchemaRef {
    let mut fields: Vec<FieldRef> = meta::fields();
    let own = [
        ("trade_id", DataType::Utf8),
        ("version", DataType::Int64),
        ("deleted", DataType::Boolean),
        ("book", DataType::Utf8),
        ("amount", DataType::Decimal128(38, 6)),
        ("share", DataType::Float64),
        (
            "legs",
            DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true))),
        ),
        ("at", meta::instant_type()),
    ];
    fields.extend(own.map(|(name, found)| Arc::new(Field::new(name, found, true))));
    Arc::new(Schema::new(fields))
}

fn books() -> SchemaRef {
    let fields = [
        ("book", DataType::Utf8),
        ("desk", DataType::Utf8),
        ("number", DataType::Int64),
    ];
    let fields = fields.map(|(name, found)| Field::new(name, found, false));
    Arc::new(Schema::new(fields.to_vec()))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|&(one, two)| (one.to_owned(), two.to_owned()))
        .collect()
}

/// The output's columns, or the refusal.
fn check(spec: &OpSpec, inputs: &[SchemaRef], expected: &Expect) {
    let text = match spec.output_schema(inputs) {
        Ok(schema) => {
            let fields = schema
                .fields()
                .iter()
                .filter(|field| !meta::is_meta(field.name()));
            let field = |field: &FieldRef| {
                let mark = if field.is_nullable() { "" } else { "!" };
                format!("{}: {}{mark}", field.name(), field.data_type())
            };
            fields.map(field).collect::<Vec<_>>().join(", ")
        }
        Err(error) => {
            let hint = error
                .hint
                .map(|hint| format!(" ({hint})"))
                .unwrap_or_default();
            format!("{} at {:?}: {}{hint}", error.code, error.at, error.message)
        }
    };
    expected.assert_eq(&text);
}

fn latest(key: &[&str], version: &str, tombstone: Option<&str>) -> OpSpec {
    let (key, version) = (names(key), version.to_owned());
    OpSpec::Latest(LatestSpec {
        key,
        version,
        tombstone: tombstone.map(str::to_owned),
    })
}

#[test]
fn logs() {
    let good = latest(&["trade_id"], "version", Some("deleted"));
    check(
        &good,
        &[trades()],
        &expect![[
            r#"trade_id: Utf8, version: Int64, deleted: Boolean, book: Utf8, amount: Decimal128(38, 6), share: Float64, legs: List(Int64), at: Timestamp(µs, "UTC")"#
        ]],
    );
    check(
        &good,
        &[books()],
        &expect![
            "not_a_log at []: `latest` needs a log, and these rows no longer know their records (put it before any `join`, `aggregate` or group plugin)"
        ],
    );
    check(
        &good,
        &[trades(), books()],
        &expect!["wrong_inputs at []: `latest` takes 1 input(s), not 2"],
    );
    check(
        &latest(&["book", "trade_di"], "version", None),
        &[trades()],
        &expect![[
            r#"unknown_column at ["key", "1"]: there is no column `trade_di` (did you mean `trade_id`?)"#
        ]],
    );
    check(
        &latest(&[], "version", None),
        &[trades()],
        &expect![[r#"missing_key at ["key"]: `key` names no column"#]],
    );
    check(
        &latest(&["trade_id"], "amount", None),
        &[trades()],
        &expect![[r#"wrong_type at ["version"]: column `amount` is Decimal128(38, 6), not Int64"#]],
    );
    check(
        &latest(&["trade_id"], "version", Some("book")),
        &[trades()],
        &expect![[r#"wrong_type at ["tombstone"]: column `book` is Utf8, not Boolean"#]],
    );
    let dedupe = OpSpec::Dedupe(DedupeSpec {
        key: names(&["trade"]),
    });
    check(
        &dedupe,
        &[trades()],
        &expect![[
            r#"unknown_column at ["key", "0"]: there is no column `trade` (the columns are trade_id, version, deleted, book, amount, share, legs, at)"#
        ]],
    );
}

#[test]
fn joins() {
    let join = |on: &[(&str, &str)], columns: &[(&str, &str)]| {
        let (on, columns) = (pairs(on), pairs(columns));
        OpSpec::Join(JoinSpec {
            on,
            kind: JoinKind::Left,
            columns,
            at_most_one: true,
        })
    };
    let inputs = [trades(), books()];
    check(
        &join(&[("book", "book")], &[("desk", "desk")]),
        &inputs,
        &expect![[
            r#"trade_id: Utf8, version: Int64, deleted: Boolean, book: Utf8, amount: Decimal128(38, 6), share: Float64, legs: List(Int64), at: Timestamp(µs, "UTC"), desk: Utf8"#
        ]],
    );
    check(
        &join(&[], &[]),
        &inputs,
        &expect![[r#"missing_key at ["on"]: `on` names no column"#]],
    );
    check(
        &join(&[("book", "boook")], &[]),
        &inputs,
        &expect![[
            r#"unknown_column at ["on", "0"]: there is no column `boook` (did you mean `book`?)"#
        ]],
    );
    check(
        &join(&[("book", "number")], &[]),
        &inputs,
        &expect![[
            r#"wrong_type at ["on", "0"]: `book` is Utf8, `number` of the joined side is Int64 (cast one of them with `let` before the join)"#
        ]],
    );
    check(
        &join(&[("book", "book")], &[("book", "desk")]),
        &inputs,
        &expect![[
            r#"duplicate_column at ["take"]: two columns would be named `book` (give one of them another name, or leave it out before)"#
        ]],
    );
    check(
        &join(&[("book", "book")], &[("x", "dsk")]),
        &inputs,
        &expect![[
            r#"unknown_column at ["take", "x"]: there is no column `dsk` (did you mean `desk`?)"#
        ]],
    );
}

#[test]
fn aggregates() {
    let aggregate = |by: &[&str], function, column: Option<&str>| {
        let values = vec![("value".to_owned(), function, column.map(str::to_owned))];
        OpSpec::Aggregate(AggregateSpec {
            by: names(by),
            values,
        })
    };
    let inputs = [trades()];
    check(
        &aggregate(&["book"], AggFn::Sum, Some("amount")),
        &inputs,
        &expect!["book: Utf8, value: Decimal128(38, 6)!"],
    );
    check(
        &aggregate(&["book"], AggFn::Avg, Some("version")),
        &inputs,
        &expect!["book: Utf8, value: Decimal128(38, 6)"],
    );
    check(
        &aggregate(&["book"], AggFn::Count, None),
        &inputs,
        &expect!["book: Utf8, value: Int64!"],
    );
    check(
        &aggregate(&["book"], AggFn::Max, Some("at")),
        &inputs,
        &expect![[r#"book: Utf8, value: Timestamp(µs, "UTC")"#]],
    );
    check(
        &aggregate(&["book"], AggFn::Sum, Some("share")),
        &inputs,
        &expect![[
            r#"wrong_type at ["values", "value"]: column `share` is Float64, which has no exact sum (sum decimals or integers)"#
        ]],
    );
    check(
        &aggregate(&["book"], AggFn::Sum, None),
        &inputs,
        &expect![[r#"missing_column at ["values", "value"]: only `count` goes without a column"#]],
    );
    check(
        &aggregate(&["book"], AggFn::Min, Some("ammount")),
        &inputs,
        &expect![[
            r#"unknown_column at ["values", "value"]: there is no column `ammount` (did you mean `amount`?)"#
        ]],
    );
    check(
        &aggregate(&[], AggFn::Count, None),
        &inputs,
        &expect![[r#"missing_key at ["by"]: `by` names no column"#]],
    );
}

#[test]
fn row_by_row() {
    let inputs = [trades()];
    check(
        &OpSpec::Filter("amount > 0".to_owned()),
        &inputs,
        &expect![[
            r#"trade_id: Utf8, version: Int64, deleted: Boolean, book: Utf8, amount: Decimal128(38, 6), share: Float64, legs: List(Int64), at: Timestamp(µs, "UTC")"#
        ]],
    );
    check(
        &OpSpec::Filter("amount".to_owned()),
        &inputs,
        &expect!["wrong_type at []: the condition is Decimal128(38, 6), not true or false"],
    );
    check(
        &OpSpec::Filter("amont > 0".to_owned()),
        &inputs,
        &expect!["unknown_column at []: there is no column `amont` (did you mean `amount`?)"],
    );
    let project = |columns: &[(&str, &str)]| OpSpec::Project(pairs(columns));
    check(
        &project(&[("a", "amount * 2"), ("b", "coalesce(amount, 0)")]),
        &inputs,
        &expect!["a: Decimal128(38, 6), b: Decimal128(38, 6)!"],
    );
    check(
        &project(&[("a", "amount"), ("a", "book")]),
        &inputs,
        &expect![
            "duplicate_column at []: two columns would be named `a` (give one of them another name, or leave it out before)"
        ],
    );
    check(
        &project(&[("_key", "book")]),
        &inputs,
        &expect![[
            r#"reserved_name at ["_key"]: `_key`: names that begin with `_` belong to record metadata"#
        ]],
    );
    check(
        &project(&[("a", "bok")]),
        &inputs,
        &expect![[r#"unknown_column at ["a"]: there is no column `bok` (did you mean `book`?)"#]],
    );
    let explode = |list: &str, index: Option<&str>| {
        OpSpec::Explode(ExplodeSpec {
            list: list.to_owned(),
            index: index.map(str::to_owned),
        })
    };
    check(
        &explode("legs", Some("leg")),
        &inputs,
        &expect![[
            r#"trade_id: Utf8, version: Int64, deleted: Boolean, book: Utf8, amount: Decimal128(38, 6), share: Float64, legs: Int64, at: Timestamp(µs, "UTC"), leg: Int32!"#
        ]],
    );
    check(
        &explode("book", None),
        &inputs,
        &expect![[r#"wrong_type at ["list"]: column `book` is Utf8, not a list"#]],
    );
    check(
        &explode("legs", Some("book")),
        &inputs,
        &expect![[
            r#"duplicate_column at ["list"]: two columns would be named `book` (give one of them another name, or leave it out before)"#
        ]],
    );
    check(
        &OpSpec::Union,
        &[trades(), books()],
        &expect![
            "unequal_inputs at []: input 2 has no column `trade_id`, others have (the columns are book, desk, number)"
        ],
    );
    check(
        &OpSpec::Union,
        &[],
        &expect!["wrong_inputs at []: a union takes at least one input"],
    );
    let valid = |from: Option<&str>| {
        OpSpec::Valid(ValidSpec {
            from: from.map(str::to_owned),
            until: None,
        })
    };
    check(
        &valid(Some("at")),
        &inputs,
        &expect![[
            r#"trade_id: Utf8, version: Int64, deleted: Boolean, book: Utf8, amount: Decimal128(38, 6), share: Float64, legs: List(Int64), at: Timestamp(µs, "UTC")"#
        ]],
    );
    check(
        &valid(Some("version")),
        &inputs,
        &expect![[
            r#"wrong_type at ["from"]: column `version` is Int64, not an instant in microseconds or a date"#
        ]],
    );
    check(
        &valid(None),
        &inputs,
        &expect!["missing_key at []: `valid` names neither `from` nor `until`"],
    );
}

#[test]
fn overrides() {
    let spec = OverrideSpec {
        scope: "desk".to_owned(),
        key: "book".to_owned(),
        matching: pairs(&[("book", "book")]),
        latest: names(&["number"]),
        set: pairs(&[("trade_id", "desk")]),
        take: pairs(&[("by", "number")]),
    };
    let inputs = [trades(), books()];
    let check =
        |spec: OverrideSpec, expected: &Expect| check(&OpSpec::Override(spec), &inputs, expected);
    check(
        spec.clone(),
        &expect![[
            r#"trade_id: Utf8, version: Int64, deleted: Boolean, book: Utf8, amount: Decimal128(38, 6), share: Float64, legs: List(Int64), at: Timestamp(µs, "UTC"), base_trade_id: Utf8, by: Int64"#
        ]],
    );
    check(
        OverrideSpec {
            matching: pairs(&[("a", "version")]),
            ..spec.clone()
        },
        &expect![[
            r#"wrong_type at ["match", "a"]: column `version` is Int64, the overrides' `book` is Utf8"#
        ]],
    );
    check(
        OverrideSpec {
            set: pairs(&[("amount", "desk")]),
            ..spec.clone()
        },
        &expect![[
            r#"wrong_type at ["set", "amount"]: `amount` is Decimal128(38, 6), the overrides' `desk` is Utf8"#
        ]],
    );
    check(
        OverrideSpec {
            latest: names(&["numbr"]),
            ..spec.clone()
        },
        &expect![[
            r#"unknown_column at ["latest", "0"]: there is no column `numbr` (did you mean `number`?)"#
        ]],
    );
    check(
        OverrideSpec {
            scope: "number".to_owned(),
            ..spec.clone()
        },
        &expect![[r#"wrong_type at ["scope"]: column `number` is Int64, not Utf8"#]],
    );
    check(
        OverrideSpec {
            take: pairs(&[("book", "number")]),
            ..spec
        },
        &expect![[
            r#"duplicate_column at ["take"]: two columns would be named `book` (give one of them another name, or leave it out before)"#
        ]],
    );
}
