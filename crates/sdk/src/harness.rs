//! Runs a plugin natively, as the host would, on small tables written as text: one JSON object a line, a missing
//! field is null. Decimals are numbers or text, dates `2026-03-02`, instants `2026-03-02T12:00:00Z`.
//! Mistakes in the text panic, as a test should.

use crate::describe::{Field, Kind, Shape};
use crate::group::{Answers, Group, Grouped, Groups, Written};
use crate::record::Record;
use crate::table::{Builder, Table};
use crate::transform::{Output, Transform};
use crate::wire::Batch;
use crate::{Data, Failure, I256, Json, Refusal, text};
use std::fmt;
use std::time::{Duration, Instant};

/// What a transform answered.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The rows; [`Batch::records`] reads them.
    pub rows: Batch,
    /// The input row of each.
    pub origin: Vec<u32>,
    /// The refused input rows.
    pub refusals: Vec<Refusal>,
}

/// Prints each row as `<input row>: name=value ...`, nulls left out, then the refusals.
impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (row, from) in self.origin.iter().enumerate() {
            writeln!(f, "{from}: {}", text::row(&self.rows, row))?;
        }
        print_refusals(f, &self.refusals)
    }
}

/// Opens a transform with a config and runs it on rows written as text.
pub fn transform<T: Transform>(config: &str, data: &Data, rows: &str) -> Result<Ran, Failure> {
    let (plugin, shape) = open(config, T::description, |config| T::open(config, data))?;
    Ok(run(&plugin, &shape, &batch(&shape.inputs[0].fields, rows)))
}

/// Opens a transform and runs it on records.
pub fn transform_records<'r, T: Transform, R: Record<'r>>(
    config: &str,
    data: &Data,
    rows: &[R],
) -> Result<Ran, Failure> {
    let (plugin, shape) = open(config, T::description, |config| T::open(config, data))?;
    assert_eq!(
        shape.inputs[0].fields,
        R::fields(),
        "the shape asks for the record's columns"
    );
    Ok(run(&plugin, &shape, &batch_of(rows)))
}

fn run<T: Transform>(plugin: &T, shape: &Shape, rows: &Batch) -> Ran {
    let mut out = Output::new(Table::new(&shape.outputs[0].fields, rows.len()));
    plugin.transform(rows, &mut out);
    let (rows_out, origin, refusals) = out.finish();
    assert!(
        origin.iter().all(|row| *row < rows.rows),
        "a row comes from an input row"
    );
    assert!(
        refusals.iter().all(|refusal| refusal.row < rows.rows),
        "an input row is refused"
    );
    Ran {
        rows: rows_out,
        origin,
        refusals,
    }
}

/// What a group plugin answered.
#[derive(Clone, Debug)]
pub struct GroupRan {
    /// The key of each group, in the order in which the rows name them.
    pub keys: Batch,
    /// What was written to each output.
    pub outputs: Vec<Written>,
    /// The refused input rows, counted through the inputs in order, group by group.
    pub refusals: Vec<Refusal>,
}

impl GroupRan {
    /// The rows of an output.
    pub fn output(&self, name: &str) -> &Batch {
        let found = self.outputs.iter().find(|(known, ..)| *known == name);
        let Some((_, rows, _)) = found else {
            panic!("no output `{name}`")
        };
        rows
    }
}

/// Prints each row as `<output> <group>: name=value ...`, nulls left out, then the refusals.
impl fmt::Display for GroupRan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, rows, groups) in &self.outputs {
            for (row, group) in groups.iter().enumerate() {
                writeln!(f, "{name} {group}: {}", text::row(rows, row))?;
            }
        }
        print_refusals(f, &self.refusals)
    }
}

/// Opens a group plugin and evaluates it at `as_of` on the rows of named inputs, cut into groups by the columns `by`,
/// which need not be among those that the shape asks for.
pub fn group<G: Group>(
    config: &str,
    data: &Data,
    as_of: &str,
    by: &[&'static str],
    inputs: &[(&str, &str)],
) -> Result<GroupRan, Failure> {
    let (plugin, shape) = open(config, G::description, |config| G::open(config, data))?;
    let tables: Vec<Vec<Json>> = shape
        .inputs
        .iter()
        .map(|port| objects(named(inputs, port.name)))
        .collect();
    let mut keys: Vec<Vec<Json>> = Vec::new();
    for row in tables.iter().flatten() {
        let key = key_of(row, by);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let cut =
        |(port, rows): (&crate::Port, &Vec<Json>)| cut(port.name, &port.fields, rows, by, &keys);
    let grouped = shape.inputs.iter().zip(&tables).map(cut).collect();
    let groups = Groups::new(keys_batch(&shape, by, &keys), grouped);
    let mut out = Answers::new(&shape.outputs);
    plugin.evaluate(
        text::parse_instant(as_of).expect("an instant such as 2026-03-02T12:00:00Z"),
        &groups,
        &mut out,
    );
    let (outputs, refusals) = out.finish();
    Ok(GroupRan {
        keys: groups.into_keys(),
        outputs,
        refusals,
    })
}

/// Nanoseconds a row that a transform takes natively, on the given rows in batches of `batch_rows`: what its time in
/// the engine is compared with. Of each batch the shortest of many calls counts, as other work only ever adds.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub fn ns_per_row<T: Transform>(
    config: &str,
    data: &Data,
    rows: &str,
    batch_rows: usize,
) -> Result<f64, Failure> {
    const MEASURE: Duration = Duration::from_secs(2);
    let (plugin, shape) = open(config, T::description, |config| T::open(config, data))?;
    let lines: Vec<&str> = rows.lines().collect();
    let chunks = lines.chunks(batch_rows);
    let batches: Vec<Batch> = chunks
        .map(|chunk| batch(&shape.inputs[0].fields, &chunk.join("\n")))
        .collect();
    let mut best = vec![Duration::MAX; batches.len()];
    let start = Instant::now();
    while start.elapsed() < MEASURE {
        for (batch, best) in batches.iter().zip(&mut best) {
            let call = Instant::now();
            std::hint::black_box(run(&plugin, &shape, batch));
            *best = call.elapsed().min(*best);
        }
    }
    let rows = f64::from(u32::try_from(lines.len().max(1)).expect("a benchmark has few rows"));
    Ok(best.iter().sum::<Duration>().as_secs_f64() * 1e9 / rows)
}

/// A batch from one JSON object a line.
pub fn batch(fields: &[Field], rows: &str) -> Batch {
    let rows = objects(rows);
    let mut table = Table::new(fields, rows.len());
    for row in &rows {
        push_object(&mut table, fields, row);
    }
    table.into_batch()
}

/// A batch from records.
pub fn batch_of<'r, R: Record<'r>>(rows: &[R]) -> Batch {
    let mut table = Table::new(&R::fields(), rows.len());
    for row in rows {
        table.push(row);
    }
    table.into_batch()
}

fn open<P>(
    config: &str,
    description: impl FnOnce() -> crate::Description,
    open: impl FnOnce(&Json) -> Result<P, Failure>,
) -> Result<(P, Shape), Failure> {
    let config = Json::parse(config)?;
    let shape = description().shape(&config).cloned();
    let shape = shape.ok_or_else(|| {
        Failure::new(
            "config_invalid",
            "no shape of the plugin holds for this config",
        )
    })?;
    Ok((open(&config)?, shape))
}

fn print_refusals(f: &mut fmt::Formatter<'_>, refusals: &[Refusal]) -> fmt::Result {
    for Refusal {
        row,
        code,
        message,
        field,
    } in refusals
    {
        match field {
            Some(field) => writeln!(f, "refused {row}: {code} ({field}): {message}")?,
            None => writeln!(f, "refused {row}: {code}: {message}")?,
        }
    }
    Ok(())
}

fn named<'t>(inputs: &[(&str, &'t str)], name: &str) -> &'t str {
    inputs
        .iter()
        .find(|(known, _)| *known == name)
        .map_or("", |(_, rows)| rows)
}

fn objects(rows: &str) -> Vec<Json> {
    let lines = rows.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| Json::parse(line).unwrap_or_else(|error| panic!("{error} in {line}")))
        .collect()
}

fn key_of(row: &Json, by: &[&str]) -> Vec<Json> {
    by.iter()
        .map(|name| row.get(name).cloned().unwrap_or(Json::Null))
        .collect()
}

/// The rows of one input, group by group.
fn cut(name: &str, fields: &[Field], rows: &[Json], by: &[&str], keys: &[Vec<Json>]) -> Grouped {
    let mut table = Table::new(fields, rows.len());
    let mut offsets = 0u32.to_le_bytes().to_vec();
    for key in keys {
        rows.iter()
            .filter(|row| key_of(row, by) == *key)
            .for_each(|row| push_object(&mut table, fields, row));
        let end = u32::try_from(table.len()).expect("a test has few rows");
        offsets.extend_from_slice(&end.to_le_bytes());
    }
    Grouped {
        name: name.to_owned(),
        offsets,
        rows: table.into_batch(),
    }
}

/// The keys as a batch; a key column that no input asks for is text.
fn keys_batch(shape: &Shape, by: &[&'static str], keys: &[Vec<Json>]) -> Batch {
    let field = |name: &&'static str| {
        let asked = shape
            .inputs
            .iter()
            .flat_map(|port| &port.fields)
            .find(|field| field.name == *name);
        asked
            .cloned()
            .unwrap_or_else(|| Field::new(name, Kind::Utf8, true))
    };
    let fields: Vec<Field> = by.iter().map(field).collect();
    let mut table = Table::new(&fields, keys.len());
    for key in keys {
        table.push_with(|row, columns| {
            for ((column, field), value) in columns.iter_mut().zip(&fields).zip(key) {
                push_value(row, column, field, value);
            }
        });
    }
    table.into_batch()
}

fn push_object(table: &mut Table, fields: &[Field], object: &Json) {
    table.push_with(|row, columns| push_fields(row, columns, fields, object));
}

fn push_fields(row: usize, columns: &mut [Builder], fields: &[Field], object: &Json) {
    for (column, field) in columns.iter_mut().zip(fields) {
        push_value(
            row,
            column,
            field,
            object.get(field.name).unwrap_or(&Json::Null),
        );
    }
}

fn push_value(row: usize, column: &mut Builder, field: &Field, value: &Json) {
    if *value == Json::Null {
        assert!(field.nullable, "column `{}` may not be null", field.name);
        return;
    }
    push_text(row, column, field, value)
        .unwrap_or_else(|| panic!("column `{}` is {}, not {value:?}", field.name, field.kind));
}

fn push_text(row: usize, column: &mut Builder, field: &Field, value: &Json) -> Option<()> {
    match field.kind {
        Kind::Bool => column.bool(row, Some(value.as_bool()?)),
        Kind::Int32 => column.fixed(row, Some(value.as_number()?.parse::<i32>().ok()?)),
        Kind::Int64 => column.fixed(row, Some(value.as_number()?.parse::<i64>().ok()?)),
        Kind::Utf8 | Kind::Binary => column.bytes(row, Some(value.as_str()?.as_bytes())),
        Kind::Date32 => column.fixed(row, Some(text::parse_date(value.as_str()?)?)),
        Kind::Timestamp => column.fixed(row, Some(text::parse_instant(value.as_str()?)?)),
        Kind::Decimal128(_, scale) => {
            column.fixed(
                row,
                Some(
                    text::parse_digits(value.as_number()?, scale)?
                        .parse::<i128>()
                        .ok()?,
                ),
            );
        }
        Kind::Decimal256(_, scale) => {
            column.fixed(
                row,
                Some(
                    text::parse_digits(value.as_number()?, scale)?
                        .parse::<I256>()
                        .ok()?,
                ),
            );
        }
        Kind::Struct => column.fields(row, |columns| {
            push_fields(row, columns, &field.children, value);
        }),
        Kind::List => return None,
    }
    Some(())
}
