//! Cells, rows, instants and states as JSON text.
//!
//! Amounts, dates and instants are strings (exact, ISO 8601); booleans and integers are themselves; lists
//! and records nest. A live frame carries every cell as a string or null, so that no reader's number type
//! touches it.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use serde_json::{Value, json};
use std::io::Write as _;
use weir_engine::{DrillPlan, Published, State, Status, TablePlan, ViewPlan};
use weir_zset::text::{self, instant};

/// The rows as a JSON array of objects.
pub(crate) fn objects(batch: &RecordBatch, out: &mut Vec<u8>) {
    list(out, batch.num_rows(), |out, row| {
        text::json_row(batch, row, out);
    });
}

/// The rows as a JSON array of arrays of strings or nulls.
pub(crate) fn cells(batch: &RecordBatch, out: &mut Vec<u8>) {
    list(out, batch.num_rows(), |out, row| {
        list(out, batch.num_columns(), |out, column| {
            match plain(batch.column(column), row) {
                Some(text) => text::json_string(&text, out),
                None => out.extend_from_slice(b"null"),
            }
        });
    });
}

/// A cell as text; lists and records as JSON text.
pub(crate) fn plain(array: &ArrayRef, row: usize) -> Option<String> {
    if array.is_null(row) || !array.data_type().is_nested() {
        return text::cell(array, row);
    }
    let mut out = Vec::new();
    text::json_cell(array, row, &mut out);
    Some(String::from_utf8(out).expect("JSON is written from strings"))
}

fn list(out: &mut Vec<u8>, len: usize, mut item: impl FnMut(&mut Vec<u8>, usize)) {
    out.push(b'[');
    for index in 0..len {
        if index > 0 {
            out.push(b',');
        }
        item(out, index);
    }
    out.push(b']');
}

/// The answer to a query for rows: which cut, how many rows match, and the page of rows.
pub(crate) fn page(
    cut: &Published,
    total: usize,
    rows: &RecordBatch,
    write: fn(&RecordBatch, &mut Vec<u8>),
) -> Vec<u8> {
    let mut out = Vec::new();
    let (run, as_of) = (json!(cut.run), json!(instant(cut.as_of_us)));
    let (epoch, offsets) = (cut.epoch, json!(cut.offsets));
    write!(out, r#"{{"run":{run},"epoch":{epoch},"as_of":{as_of},"offsets":{offsets},"total":{total},"rows":"#)
        .expect("memory takes any write");
    write(rows, &mut out);
    out.push(b'}');
    out
}

/// A type as the pipeline file and plugins name it.
pub(crate) fn kind(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "bool".into(),
        DataType::Timestamp(..) => "timestamp(us)".into(),
        DataType::Decimal128(precision, scale) => format!("decimal128({precision},{scale})"),
        DataType::Decimal256(precision, scale) => format!("decimal256({precision},{scale})"),
        DataType::List(item) => format!("list({})", kind(item.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|f| format!("{}: {}", f.name(), kind(f.data_type())))
                .collect();
            format!("struct({})", fields.join(", "))
        }
        other => other.to_string().to_lowercase(),
    }
}

fn column(field: &Field) -> Value {
    json!({ "name": field.name(), "type": kind(field.data_type()), "nullable": field.is_nullable() })
}

/// The columns of a schema.
pub(crate) fn columns(schema: &SchemaRef) -> Value {
    schema.fields().iter().map(|field| column(field)).collect()
}

/// A table's name, columns, key and, once published, number of rows.
pub(crate) fn table(plan: &TablePlan, rows: Option<usize>) -> Value {
    json!({
        "name": plan.name, "columns": columns(&plan.schema), "key": plan.key, "rows": rows, "asked_by": plan.asked_by,
    })
}

/// What the pipeline is doing, as `type` (live frames name theirs) and the status itself.
pub(crate) fn status(status: &Status) -> Value {
    json!({
        "pipeline": status.pipeline,
        "run": status.run,
        "state": status.state,
        "replay": status.replay,
        "epoch": status.epoch,
        "as_of": status.as_of_us.map(instant),
        "lag": status.sources.iter().map(|source| source.lag).sum::<i64>(),
        "sources": status.sources,
        "sinks": status.sinks,
        "dead_letters": status.dead_letters,
        "checkpoint": status.checkpoint,
        "tables": status.tables,
        "clock_error": status.clock_error,
        "error": status.error,
    })
}

/// Whether readers may take what is published for the newest truth.
pub(crate) fn is_ready(state: State) -> bool {
    matches!(state, State::Live | State::Ended)
}

/// A view as the pipeline file declares it.
pub(crate) fn view(view: &ViewPlan) -> Value {
    match view {
        ViewPlan::Headline {
            table,
            column,
            by,
            beside,
            mark,
            line,
            percent,
            title,
            drill,
        } => json!({
            "kind": "headline", "table": table, "column": column, "by": by, "beside": beside, "mark": mark,
            "line": line, "percent": percent, "title": title, "drill": drills(drill),
        }),
        ViewPlan::Grid {
            table,
            columns,
            title,
            drill,
        } => {
            let drill = drills(drill);
            json!({ "kind": "grid", "table": table, "columns": columns, "title": title, "drill": drill })
        }
    }
}

fn drills(drills: &[DrillPlan]) -> Vec<Value> {
    let drill =
        |drill: &DrillPlan| json!({ "table": drill.table, "by": drill.by, "title": drill.title });
    drills.iter().map(drill).collect()
}
