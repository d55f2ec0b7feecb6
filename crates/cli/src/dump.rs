//! Tables and dead letters as files: a JSON object a line, sorted by key.

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, FieldRef};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr as _;
use weir_engine::{Handle, LetterFilter, Published};
use weir_zset::text;

/// Rows turned into text at a time.
const ROWS_PER_BATCH: usize = 8_192;

/// Makes the folder, and sees whether files can be written there.
pub(crate) fn prepare(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join(".draft");
    std::fs::write(&file, "")
        .and_then(|()| std::fs::remove_file(&file))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Writes `<table>.jsonl` for every table and `dead_letters.jsonl`.
pub(crate) fn dump(handle: &Handle, folder: &Path) -> Result<()> {
    let published = handle
        .published()
        .context("nothing was published: the input is empty")?;
    for (plan, _) in &published.tables {
        write(folder, &plan.name, &table(&published, &plan.name)?)?;
    }
    let (_, letters) = handle.dead_letters(&LetterFilter::default(), 0, usize::MAX);
    let mut text = String::new();
    for letter in letters {
        writeln!(text, "{}", letter.json())?;
    }
    write(folder, "dead_letters", &text)
}

fn table(published: &Published, name: &str) -> Result<String> {
    let (_, version) = published.table(name).expect("asked for by its own name");
    let mut text = String::new();
    for batch in version.scan(ROWS_PER_BATCH) {
        for row in 0..batch.num_rows() {
            writeln!(text, "{}", object(&batch, row))?;
        }
    }
    Ok(text)
}

/// A row as JSON; amounts, dates and instants are text.
fn object(batch: &RecordBatch, row: usize) -> Value {
    let schema = batch.schema();
    let cell = |(field, column): (&FieldRef, &ArrayRef)| {
        let value = match (text::cell(column, row), field.data_type()) {
            (None, _) => Value::Null,
            (
                Some(text),
                DataType::Boolean
                | DataType::Int8
                | DataType::Int16
                | DataType::Int32
                | DataType::Int64,
            ) => Value::from_str(&text).expect("integers and booleans are JSON"),
            (Some(text), _) => Value::String(text),
        };
        (field.name().clone(), value)
    };
    Value::Object(
        schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(cell)
            .collect(),
    )
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(format!("{name}.jsonl"));
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
