//! Tables and dead letters as files: a JSON object a line, sorted by key.

use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::path::Path;
use weir_engine::{Handle, Published};

/// Rows turned into text at a time.
const ROWS_PER_BATCH: usize = 8_192;

/// Writes `<table>.jsonl` for every table and `dead_letters.jsonl`.
pub(crate) fn dump(handle: &Handle, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let published = handle.published().context("nothing was published: the input is empty")?;
    for (plan, _) in &published.tables {
        write(folder, &plan.name, &table(&published, &plan.name)?)?;
    }
    let (_, letters) = handle.dead_letters(0, usize::MAX);
    let mut text = String::new();
    for letter in letters {
        writeln!(text, "{}", serde_json::to_string(letter.as_ref())?)?;
    }
    write(folder, "dead_letters", &text)
}

fn table(published: &Published, name: &str) -> Result<String> {
    let (_, version) = published.table(name).expect("asked for by its own name");
    let mut text = String::new();
    for batch in version.scan(ROWS_PER_BATCH) {
        for row in weir_server::json::rows(&batch) {
            writeln!(text, "{}", serde_json::Value::Object(row))?;
        }
    }
    Ok(text)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(format!("{name}.jsonl"));
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
