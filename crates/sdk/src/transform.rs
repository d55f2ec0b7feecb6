//! Rows in, rows out.

use crate::describe::Description;
use crate::record::Record;
use crate::table::{Room, Table};
use crate::wire::Batch;
use crate::{Columns, Data, Failure, Json, Refusal};

/// A row-by-row plugin. The host calls [`Transform::transform`] for inserted and for retracted rows alike, in
/// whatever batches: the answer for a row depends on that row, the config and the data files alone.
pub trait Transform: Sized + 'static {
    /// Name, version, config schema, columns.
    fn description() -> Description;

    /// Called once per instance, with the config (valid by the schema) and the data files. What the plugin
    /// wants to know of them is worked out here.
    fn open(config: &Json, data: &Data) -> Result<Self, Failure>;

    /// Called per batch: writes rows and refusals to `out`. An input row may give no row, one, or several.
    fn transform(&self, rows: &Batch, out: &mut Output);
}

impl Batch {
    /// The rows as records, each with its index.
    pub fn records<'a, R: Record<'a>>(&'a self) -> impl Iterator<Item = (u32, R)> {
        let views = Box::new(R::views(Columns::of(self)));
        (0..self.rows).map(move |row| (row, R::read(&views, row as usize)))
    }
}

/// What a transform writes.
#[derive(Debug)]
pub struct Output {
    table: Table,
    origin: Vec<u32>,
    refusals: Vec<Refusal>,
    whole: Option<Batch>,
}

impl Output {
    /// Nothing yet.
    pub fn new(table: Table) -> Self {
        Self {
            origin: Vec::with_capacity(table.rows_expected()),
            table,
            refusals: Vec::new(),
            whole: None,
        }
    }

    /// Writes a row that came from input row `from`.
    pub fn push<'r, R: Record<'r>>(&mut self, from: u32, row: &R) {
        self.table.push(row);
        self.origin.push(from);
    }

    /// Answers these columns, a row for each input row, in place of anything written: for a plugin that changes
    /// whole columns. They are those of the output.
    pub fn same(&mut self, rows: Batch) {
        self.whole = Some(rows);
    }

    /// Refuses input row `row`. Rows that were already written from it stay: refuse first.
    pub fn refuse(&mut self, row: u32, code: &str, message: impl Into<String>) {
        self.refusals.push(Refusal {
            row,
            code: code.to_owned(),
            message: message.into(),
            field: None,
        });
    }

    /// Refuses input row `row` for what stands in `field`.
    pub fn refuse_field(&mut self, row: u32, field: &str, code: &str, message: impl Into<String>) {
        let field = Some(field.to_owned());
        self.refusals.push(Refusal {
            row,
            code: code.to_owned(),
            message: message.into(),
            field,
        });
    }

    /// How much was written, for the next call.
    pub fn room(&self) -> Room {
        self.table.room()
    }

    /// The rows, the input row of each, the refusals.
    pub fn finish(self) -> (Batch, Vec<u32>, Vec<Refusal>) {
        match self.whole {
            Some(rows) => {
                let origin = (0..rows.rows).collect();
                (rows, origin, self.refusals)
            }
            None => (self.table.into_batch(), self.origin, self.refusals),
        }
    }
}
