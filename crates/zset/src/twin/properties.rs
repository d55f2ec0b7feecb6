//! Goal: an operator's answers sum to what its twin makes of the sum of its inputs, after every step.
//! Method: random weighted rows (retractions too, also of what never was), cut into random steps.

use super::plain;
use super::{
    Cell, Collection, Refused, Row, Rows, add, config, digits, halves, projected, reborn, run,
    run_cut, sum, text,
};
use crate::op::{
    AggFn, AggregateSpec, ExplodeSpec, JoinKind, JoinSpec, Names, OpSpec, OverrideSpec, ValidSpec,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, i256};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;

fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
    Arc::new(Schema::new(fields.iter().map(field).collect::<Vec<_>>()))
}

/// Some rows for each input, and by how much the clock goes on.
fn steps(inputs: Vec<BoxedStrategy<Row>>) -> BoxedStrategy<Vec<(Vec<Rows>, i64)>> {
    let rows = inputs
        .into_iter()
        .map(|row| vec((row, -1_i64..3), 0..6).boxed());
    let rows = rows.collect::<Vec<_>>();
    let steps = vec((rows, 0_i64..4), 1..8);
    steps
        .prop_map(|mut steps| {
            let mut clock = 0;
            for (inputs, tick) in &mut steps {
                clock += *tick;
                *tick = clock;
                for rows in inputs {
                    rows.retain(|(_, weight)| *weight != 0);
                }
            }
            steps
        })
        .boxed()
}

/// Compares an operator over what it needs for one column with the whole one's answers in that column.
fn check_narrow(
    spec: &OpSpec,
    schemas: &[SchemaRef],
    steps: &[(Vec<Rows>, i64)],
    answers: &[(Collection, Refused)],
) -> Result<(), TestCaseError> {
    let whole = spec.output_schema(schemas).unwrap();
    for field in whole.fields() {
        let wanted = Names::from([field.name().clone()]);
        let needs = spec.needs(schemas, &wanted).unwrap();
        let narrow = |(schema, needs): (&SchemaRef, &Names)| -> SchemaRef {
            let fields = schema.fields().iter();
            let fields = fields.filter(|field| needs.contains(field.name()));
            Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
        };
        let narrow: Vec<SchemaRef> = schemas.iter().zip(&needs).map(narrow).collect();
        let cells = |(index, rows): (usize, &Rows)| -> Rows {
            let names = schemas[index].fields().iter().map(|field| field.name());
            let kept: Vec<bool> = names.map(|name| needs[index].contains(name)).collect();
            let cells = |(row, weight): &(Row, i64)| {
                let kept = row.iter().zip(&kept).filter(|(_, kept)| **kept);
                (kept.map(|(cell, _)| cell.clone()).collect(), *weight)
            };
            rows.iter().map(cells).collect()
        };
        let steps: Vec<(Vec<Rows>, i64)> = steps
            .iter()
            .map(|(inputs, clock)| (inputs.iter().enumerate().map(cells).collect(), *clock))
            .collect();
        let mut operator = spec.build_narrow(&narrow, &wanted).unwrap();
        let found = run(operator.as_mut(), &narrow, &steps);
        let onto = Arc::new(Schema::new(vec![Arc::clone(field)]));
        for ((found, told), (want, refused)) in found.iter().zip(answers) {
            let found = projected(found, &operator.schema(), &onto);
            prop_assert_eq!(found, projected(want, &whole, &onto), "{}", field.name());
            prop_assert_eq!(told, refused, "{}", field.name());
        }
    }
    Ok(())
}

/// Compares an operator with its twin after each step, and with itself in one step and over fewer columns.
fn check(
    spec: &OpSpec,
    schemas: &[SchemaRef],
    steps: &[(Vec<Rows>, i64)],
    twin: impl Fn(&[Collection], i64) -> (Collection, Refused),
) -> Result<(), TestCaseError> {
    let mut operator = spec.build(schemas).unwrap();
    prop_assert_eq!(&operator.schema(), &spec.output_schema(schemas).unwrap());
    let answers = run(operator.as_mut(), schemas, steps);
    for (index, answer) in answers.iter().enumerate() {
        let upto = &steps[..=index];
        let integral = |input: usize| sum(upto.iter().flat_map(|(rows, _)| &rows[input]));
        let integrals: Vec<Collection> = (0..schemas.len()).map(integral).collect();
        prop_assert_eq!(
            answer,
            &twin(&integrals, steps[index].1),
            "after step {}",
            index
        );
    }
    let whole: Vec<Rows> = (0..schemas.len())
        .map(|input| {
            steps
                .iter()
                .flat_map(|(rows, _)| rows[input].clone())
                .collect()
        })
        .collect();
    let saved = run(&mut reborn(spec, schemas), schemas, steps);
    prop_assert_eq!(&saved, &answers);
    let mut operator_of_parts = spec.build(schemas).unwrap();
    let of_parts = run_cut(operator_of_parts.as_mut(), schemas, steps, halves);
    prop_assert_eq!(&of_parts, &answers);
    let clock = steps.last().map_or(0, |(_, clock)| *clock);
    let whole = run(
        spec.build(schemas).unwrap().as_mut(),
        schemas,
        &[(whole, clock)],
    );
    prop_assert_eq!(whole.last(), answers.last());
    check_narrow(spec, schemas, steps, &answers)?;
    // What was retracted leaves nothing behind: after the opposite of everything nothing is kept.
    let mut back: Vec<Rows> = Vec::new();
    for input in 0..schemas.len() {
        let rows = steps.iter().flat_map(|(rows, _)| &rows[input]);
        back.push(rows.map(|(row, weight)| (row.clone(), -weight)).collect());
    }
    let ended = run(operator.as_mut(), schemas, &[(back, clock)]);
    prop_assert_eq!(operator.state_rows(), 0);
    drop(ended);
    Ok(())
}

fn plainly(out: Collection) -> (Collection, Refused) {
    (out, Refused::new())
}

fn name() -> BoxedStrategy<Cell> {
    prop_oneof![
        Just(Cell::Null),
        Just(text("a")),
        Just(text("b")),
        Just(text("c"))
    ]
    .boxed()
}

fn int(range: std::ops::Range<i64>) -> BoxedStrategy<Cell> {
    prop_oneof![1 => Just(Cell::Null), 5 => range.prop_map(Cell::Int)].boxed()
}

fn row(cells: Vec<BoxedStrategy<Cell>>) -> BoxedStrategy<Row> {
    cells.boxed()
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn pairs(names: &[(&str, &str)]) -> Vec<(String, String)> {
    names
        .iter()
        .map(|&(one, two)| (one.to_owned(), two.to_owned()))
        .collect()
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn filter(steps in steps(vec![row(vec![name(), int(-3..4)])])) {
        let schemas = [schema(&[("k", DataType::Utf8), ("v", DataType::Int64)])];
        let spec = OpSpec::Filter("v > 0 and k <> 'c'".to_owned());
        check(&spec, &schemas, &steps, |inputs, _| {
            let keep = |row: &Row| {
                matches!(row[1], Cell::Int(1..)) && row[0] != text("c") && row[0] != Cell::Null
            };
            plainly(plain::rowwise(&inputs[0], |row| if keep(row) { vec![row.clone()] } else { vec![] }))
        })?;
    }

    /// Rows for which an expression has no value are refused with their weight, the others are not.
    #[test]
    fn project(steps in steps(vec![row(vec![name(), int(-3..4)])])) {
        let schemas = [schema(&[("k", DataType::Utf8), ("v", DataType::Int64)])];
        let columns = pairs(&[("double", "v * 2"), ("k", "k"), ("share", "12 / v"), ("again", "6 / v")]);
        check(&OpSpec::Project(columns), &schemas, &steps, |inputs, _| {
            let out = plain::rowwise(&inputs[0], |row| match row[1] {
                Cell::Int(0) => vec![],
                Cell::Int(v) => {
                    vec![vec![Cell::Int(v * 2), row[0].clone(), Cell::Int(12 / v), Cell::Int(6 / v)]]
                }
                _ => vec![vec![Cell::Null, row[0].clone(), Cell::Null, Cell::Null]],
            });
            let zeros = inputs[0].iter().filter(|(row, _)| row[1] == Cell::Int(0));
            let weight: i64 = zeros.map(|(_, weight)| weight).sum();
            let key = (String::new(), -1, -1, "division_by_zero".to_owned());
            (out, Refused::from_iter((weight != 0).then_some((key, weight))))
        })?;
    }

    #[test]
    fn union(steps in steps(vec![row(vec![name(), int(0..3)]), row(vec![int(0..3), name()])])) {
        let schemas = [
            schema(&[("k", DataType::Utf8), ("v", DataType::Int64)]),
            schema(&[("v", DataType::Int64), ("k", DataType::Utf8)]),
        ];
        check(&OpSpec::Union, &schemas, &steps, |inputs, _| {
            let mut out = inputs[0].clone();
            for (row, weight) in &inputs[1] {
                add(&mut out, vec![row[1].clone(), row[0].clone()], *weight);
            }
            plainly(out)
        })?;
    }

    #[test]
    fn explode(steps in steps(vec![row(vec![
        name(),
        prop_oneof![Just(Cell::Null), vec(int(0..3), 0..4).prop_map(Cell::List)].boxed(),
    ])])) {
        let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
        let schemas = [schema(&[("k", DataType::Utf8), ("v", list)])];
        let spec = ExplodeSpec { list: "v".to_owned(), index: Some("i".to_owned()) };
        check(&OpSpec::Explode(spec), &schemas, &steps, |inputs, _| {
            plainly(plain::rowwise(&inputs[0], |row| {
                let Cell::List(elements) = &row[1] else { return vec![] };
                let indexed = elements.iter().zip(0..);
                indexed.map(|(v, i)| vec![row[0].clone(), v.clone(), Cell::Int(i)]).collect()
            }))
        })?;
    }

    #[test]
    fn valid(steps in steps(vec![row(vec![name(), int(0..12), int(0..12)])])) {
        let instant = crate::meta::instant_type();
        let schemas = [schema(&[("k", DataType::Utf8), ("f", instant.clone()), ("u", instant)])];
        let spec = ValidSpec { from: Some("f".to_owned()), until: Some("u".to_owned()) };
        check(&OpSpec::Valid(spec), &schemas, &steps, |inputs, clock| {
            plainly(plain::valid(&inputs[0], 1, 2, clock))
        })?;
    }

    #[test]
    fn join(
        steps in steps(vec![row(vec![name(), int(0..2)]), row(vec![name(), int(0..2), int(0..3)])]),
        is_left in any::<bool>(),
        at_most_one in any::<bool>(),
        two_keys in any::<bool>(),
    ) {
        let schemas = [
            schema(&[("k", DataType::Utf8), ("n", DataType::Int64)]),
            schema(&[("key", DataType::Utf8), ("n", DataType::Int64), ("value", DataType::Int64)]),
        ];
        let on = if two_keys { vec![("k", "key"), ("n", "n")] } else { vec![("k", "key")] };
        let spec = JoinSpec {
            on: pairs(&on),
            kind: if is_left { JoinKind::Left } else { JoinKind::Inner },
            columns: pairs(&[("value", "value"), ("other_n", "n")]),
            at_most_one,
        };
        let on = if two_keys { vec![(0, 0), (1, 1)] } else { vec![(0, 0)] };
        check(&OpSpec::Join(spec), &schemas, &steps, |inputs, _| {
            plain::join(&inputs[0], &inputs[1], &on, &[2, 1], is_left, at_most_one)
        })?;
    }

    #[test]
    fn aggregate(
        steps in steps(vec![row(vec![
            name(),
            prop_oneof![
                1 => Just(Cell::Null),
                6 => (-20_i64..20).prop_map(digits),
                1 => Just(Cell::Digits(i256::from(10).wrapping_pow(38) - i256::ONE)),
            ].boxed(),
            name(),
        ])]),
    ) {
        let schemas = [schema(&[
            ("k", DataType::Utf8),
            ("v", DataType::Decimal128(38, 2)),
            ("t", DataType::Utf8),
        ])];
        let value = |name: &str, function, column: Option<&str>| {
            (name.to_owned(), function, column.map(str::to_owned))
        };
        let spec = AggregateSpec {
            by: strings(&["k"]),
            values: vec![
                value("total", AggFn::Sum, Some("v")),
                value("valued", AggFn::Count, Some("v")),
                value("rows", AggFn::Count, None),
                value("first", AggFn::Min, Some("t")),
                value("last", AggFn::Max, Some("t")),
            ],
        };
        check(&OpSpec::Aggregate(spec), &schemas, &steps, |inputs, _| {
            let (out, refused) = plain::aggregate(&inputs[0], 38);
            let without_mean = |(row, weight): (Row, i64)| (row[..6].to_vec(), weight);
            (out.into_iter().map(without_mean).collect(), refused)
        })?;
    }

    #[test]
    fn mean(steps in steps(vec![row(vec![name(), (-20_i64..20).prop_map(digits).boxed(), name()])])) {
        let schemas = [schema(&[
            ("k", DataType::Utf8),
            ("v", DataType::Decimal256(76, 2)),
            ("t", DataType::Utf8),
        ])];
        let mean = ("mean".to_owned(), AggFn::Avg, Some("v".to_owned()));
        let spec = AggregateSpec { by: strings(&["k"]), values: vec![mean] };
        let mut operator = OpSpec::Aggregate(spec).build(&schemas).unwrap();
        let answers = run(operator.as_mut(), &schemas, &steps);
        let integral = sum(steps.iter().flat_map(|(rows, _)| &rows[0]));
        let want = plain::aggregate(&integral, 76).0.into_iter();
        let want: Collection = want.map(|(row, n)| (vec![row[0].clone(), row[6].clone()], n)).collect();
        prop_assert_eq!(&answers.last().unwrap().0, &want);
    }

    #[test]
    fn overrides(steps in steps(vec![
        row(vec![name(), name(), name()]),
        row(vec![
            prop_oneof![Just(text("one")), Just(text("two")), Just(text("odd"))].boxed(),
            name(),
            int(0..3),
            name(),
        ]),
    ])) {
        let text = DataType::Utf8;
        let schemas = [
            schema(&[("x", text.clone()), ("y", text.clone()), ("class", text.clone())]),
            schema(&[("scope", text.clone()), ("key", text.clone()), ("rank", DataType::Int64), ("to", text)]),
        ];
        let spec = OverrideSpec {
            scope: "scope".to_owned(),
            key: "key".to_owned(),
            matching: pairs(&[("one", "x"), ("two", "y")]),
            latest: strings(&["rank"]),
            set: pairs(&[("class", "to")]),
            take: pairs(&[("rank", "rank")]),
        };
        check(&OpSpec::Override(spec), &schemas, &steps, |inputs, _| {
            plain::overridden(&inputs[0], &inputs[1], &[("one", 0), ("two", 1)], 2)
        })?;
    }
}
