//! A page of a table's rows, filtered and sorted: bounded in rows, memory and time.
//!
//! Runs over one immutable version on a thread that may block, looks at its deadline between chunks, and
//! keeps no more rows than a page needs (and as many again before it sorts them down).

use crate::error::ServeError;
use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::{
    SortColumn, SortOptions, concat_batches, filter_record_batch, lexsort_to_indices,
    take_record_batch,
};
use arrow::datatypes::{DataType, SchemaRef};
use serde::Deserialize;
use std::sync::Arc;
use tokio::time::Instant;
use weir_engine::TablePlan;
use weir_zset::expr::Expr;
use weir_zset::table::Version;

/// Rows of a page when `limit` is not given.
pub const ROWS_DEFAULT: usize = 1_000;
/// Most rows of a page: some tens of megabytes of JSON.
pub const ROWS_MAX: usize = 100_000;
/// Furthest row a sorted query reaches: that many rows are kept while it runs.
pub const SORTED_ROWS_MAX: usize = 1_000_000;
/// Longest query, waiting for its turn included.
pub const QUERY_MS_MAX: u64 = 5_000;
/// Rows looked at between two looks at the deadline.
const CHUNK_ROWS: usize = 8_192;
/// Rows a sorted query gathers beyond its page before it sorts them down.
const GATHER_ROWS: usize = 65_536;

/// The parameters as they came.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    limit: Option<usize>,
    offset: Option<usize>,
    sort: Option<String>,
    r#where: Option<String>,
    /// How cells are written.
    pub cells: Cells,
}

impl Parameters {
    /// The value in `where=column = 'value'`, the only condition that a table asked by this column takes.
    pub fn value_of(&self, column: &str, table: &str) -> Result<String, ServeError> {
        let condition = self.r#where.as_deref().unwrap_or_default().trim();
        let value = || {
            let rest = condition.strip_prefix(column)?.trim_start();
            let quoted = rest.strip_prefix('=')?.trim_start();
            let inner = quoted.strip_prefix('\'')?.strip_suffix('\'')?;
            let value = inner.replace("''", "'");
            (value.replace('\'', "''") == inner).then_some(value)
        };
        value().ok_or_else(|| ServeError::AskedBy {
            table: table.to_owned(),
            column: column.to_owned(),
        })
    }
}

/// How cells are written in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cells {
    /// Rows are objects; booleans and integers are themselves, the rest is text.
    #[default]
    Typed,
    /// Rows are arrays of exact text or null, for readers whose integers are not exact.
    Text,
}

/// A query that a table can answer.
#[derive(Debug)]
pub struct Query {
    limit: usize,
    offset: usize,
    /// Column index, and whether it falls.
    sort: Vec<(usize, bool)>,
    filter: Option<Expr>,
}

/// The answer.
#[derive(Debug)]
pub struct Found {
    /// Rows that match.
    pub total: usize,
    /// Those of the page.
    pub rows: RecordBatch,
}

impl Query {
    /// Checks the parameters against the table.
    pub fn new(parameters: &Parameters, table: &TablePlan) -> Result<Self, ServeError> {
        let limit = parameters.limit.unwrap_or(ROWS_DEFAULT);
        let offset = parameters.offset.unwrap_or(0);
        below("limit", limit, ROWS_MAX)?;
        let sort = match &parameters.sort {
            Some(text) if !text.is_empty() => sort_columns(text, table)?,
            _ => vec![],
        };
        if !sort.is_empty() {
            below("offset", offset, SORTED_ROWS_MAX - limit)?;
        }
        let filter = match &parameters.r#where {
            Some(sql) if !sql.trim().is_empty() => Some(predicate(sql, &table.schema)?),
            _ => None,
        };
        Ok(Self {
            limit,
            offset,
            sort,
            filter,
        })
    }

    /// Answers from one version. Blocks, until `deadline` at the latest.
    pub fn run(
        &self,
        version: &Version,
        key: &[String],
        deadline: Instant,
    ) -> Result<Found, ServeError> {
        if self.filter.is_none() && self.sort.is_empty() {
            return Ok(Found {
                total: version.len(),
                rows: version.rows(self.offset, self.limit),
            });
        }
        let mut kept = Kept::new(self, Arc::clone(version.schema()), key)?;
        let mut total = 0;
        for chunk in version.scan(CHUNK_ROWS) {
            if Instant::now() >= deadline {
                return Err(ServeError::QueryTooSlow {
                    max_ms: QUERY_MS_MAX,
                });
            }
            let matching = self.matching(&chunk)?;
            total += matching.num_rows();
            kept.take(matching)?;
        }
        Ok(Found {
            total,
            rows: kept.page(self)?,
        })
    }

    fn matching(&self, chunk: &RecordBatch) -> Result<RecordBatch, ServeError> {
        let Some(filter) = &self.filter else {
            return Ok(chunk.clone());
        };
        let (verdicts, failed) = filter.eval(chunk);
        if let Some(first) = failed.first() {
            return Err(ServeError::RowFailed {
                message: first.message.clone(),
            });
        }
        let verdicts: &BooleanArray = verdicts.as_boolean();
        Ok(filter_record_batch(chunk, verdicts)?)
    }
}

/// The first rows so far, in the order asked for.
struct Kept {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    rows: usize,
    /// How many rows the page and what is before it need.
    wanted: usize,
    /// Columns and direction; the key last, so that equal rows keep one order. Empty: the table's order.
    order: Vec<(usize, bool)>,
}

impl Kept {
    fn new(query: &Query, schema: SchemaRef, key: &[String]) -> Result<Self, ServeError> {
        let mut order = query.sort.clone();
        if !order.is_empty() {
            for column in key {
                order.push((schema.index_of(column)?, false));
            }
        }
        Ok(Self {
            schema,
            batches: vec![],
            rows: 0,
            wanted: query.offset.saturating_add(query.limit),
            order,
        })
    }

    fn take(&mut self, batch: RecordBatch) -> Result<(), ServeError> {
        if self.order.is_empty() && self.rows >= self.wanted {
            return Ok(());
        }
        self.rows += batch.num_rows();
        self.batches.push(batch);
        if !self.order.is_empty() && self.rows > self.wanted + self.wanted.max(GATHER_ROWS) {
            let first = self.sorted()?;
            self.rows = first.num_rows();
            self.batches = vec![first];
        }
        Ok(())
    }

    fn sorted(&self) -> Result<RecordBatch, ServeError> {
        let all = concat_batches(&self.schema, &self.batches)?;
        if self.order.is_empty() {
            return Ok(all);
        }
        let columns: Vec<SortColumn> = self
            .order
            .iter()
            .map(|&(column, descending)| SortColumn {
                values: Arc::clone(all.column(column)),
                options: Some(SortOptions {
                    descending,
                    nulls_first: false,
                }),
            })
            .collect();
        let order = lexsort_to_indices(&columns, Some(self.wanted))?;
        Ok(take_record_batch(&all, &order)?)
    }

    fn page(self, query: &Query) -> Result<RecordBatch, ServeError> {
        let all = self.sorted()?;
        let from = query.offset.min(all.num_rows());
        Ok(all.slice(from, query.limit.min(all.num_rows() - from)))
    }
}

fn below(parameter: &'static str, value: usize, max: usize) -> Result<(), ServeError> {
    if value > max {
        Err(ServeError::AboveLimit {
            parameter,
            value,
            max,
        })
    } else {
        Ok(())
    }
}

fn sort_columns(text: &str, table: &TablePlan) -> Result<Vec<(usize, bool)>, ServeError> {
    text.split(',')
        .map(|word| sort_column(word.trim(), table))
        .collect()
}

fn sort_column(word: &str, table: &TablePlan) -> Result<(usize, bool), ServeError> {
    let name = word.strip_prefix('-').unwrap_or(word);
    let index = table
        .schema
        .index_of(name)
        .map_err(|_unknown| unknown_column(name, table))?;
    if table.schema.field(index).data_type().is_nested() {
        return Err(ServeError::BadParameter(format!(
            "`sort`: column `{name}` holds lists or records, which have no order"
        )));
    }
    Ok((index, word.starts_with('-')))
}

fn unknown_column(name: &str, table: &TablePlan) -> ServeError {
    ServeError::UnknownColumn {
        table: table.name.clone(),
        column: name.to_owned(),
        known: table
            .schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect(),
    }
}

fn predicate(sql: &str, schema: &SchemaRef) -> Result<Expr, ServeError> {
    let expr = Expr::compile(sql, schema).map_err(|error| ServeError::BadExpression {
        message: error.message,
        hint: error.hint,
    })?;
    if *expr.data_type() != DataType::Boolean {
        let message = format!(
            "the expression is {}, not a condition",
            crate::wire::kind(expr.data_type())
        );
        return Err(ServeError::BadExpression {
            message,
            hint: Some("compare it with something".into()),
        });
    }
    Ok(expr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Fixture, Row, rows};
    use proptest::prelude::*;

    fn query(text: &str, fixture: &Fixture) -> Query {
        let parameters = Parameters {
            sort: Some(text.into()),
            ..Parameters::default()
        };
        Query::new(&parameters, &fixture.app.handle.tables()[0]).unwrap()
    }

    /// A query stops at its deadline.
    #[tokio::test]
    async fn the_deadline_holds() {
        let mut fixture = Fixture::new();
        let cut = fixture.publish(1, &[("a", None, None, None)], &[]);
        let version = &cut.tables[0].1;
        let error = query("amount", &fixture)
            .run(version, &["item".into()], Instant::now())
            .unwrap_err();
        assert_eq!(error.code(), "query_too_slow");
    }

    const ITEMS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

    proptest! {
        /// Any page of a sorted query is that of sorting everything; the plain twin is a stable sort.
        #[test]
        fn pages_are_of_the_whole_order(
            amounts in prop::collection::vec(prop::option::of(-3_i128..3), 0..8),
            falls: bool,
            offset in 0_usize..9,
            limit in 0_usize..9,
        ) {
            let all: Vec<Row> = amounts.iter().zip(ITEMS).map(|(amount, item)| (item, *amount, None, None)).collect();
            let mut fixture = Fixture::new();
            let cut = fixture.publish(1, &all, &[]);
            let mut asked = query(if falls { "-amount" } else { "amount" }, &fixture);
            (asked.offset, asked.limit) = (offset, limit);
            let later = Instant::now() + std::time::Duration::from_mins(1);
            let found = asked.run(&cut.tables[0].1, &["item".into()], later).unwrap();
            let mut sorted = all.clone();
            sorted.sort_by_key(|row| (row.1.is_none(), row.1.map(|amount| if falls { -amount } else { amount })));
            let page: Vec<Row> = sorted.into_iter().skip(offset).take(limit).collect();
            prop_assert_eq!(found.total, all.len());
            let expected = rows(&page);
            prop_assert_eq!(found.rows.columns(), expected.columns());
        }
    }
}
