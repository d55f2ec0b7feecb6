//! The operators' common contract: what they are told, what they answer, how they refuse.
//!
//! An [`OpSpec`] is the resolved description of one operator; [`OpSpec::output_schema`] types an edge
//! without running anything, [`OpSpec::build`] makes the incremental operator. Both make the same checks.

mod aggregate;
mod bag;
mod columns;
mod dedupe;
mod explode;
mod filter;
mod join;
mod keyed;
pub(crate) mod latest;
mod log;
mod named;
mod narrow;
mod overrides;
mod project;
mod saved;
mod union;
mod valid;

pub use narrow::Names;
pub use saved::{Dirty, Keys, Put, Reader, Unreadable, Writer};

use crate::nearest::nearest;
use crate::{Delta, Parts, meta};
use arrow::datatypes::{Schema, SchemaRef};

/// Why an operator cannot be built over these inputs: a fault of whoever wrote the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OpError {
    /// Where in the operator's settings, as keys and indexes: `["key", "0"]`.
    pub at: Vec<String>,
    /// A stable code such as `unknown_column`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What would mend it.
    pub hint: Option<String>,
}

impl OpError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            at: Vec::new(),
            code,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Puts keys in front of the place.
    pub(crate) fn at(mut self, place: &[&str]) -> Self {
        self.at
            .splice(0..0, place.iter().map(|&key| key.to_owned()));
        self
    }

    pub(crate) fn unknown_column(name: &str, schema: &Schema) -> Self {
        let known = schema.fields().iter().map(|field| field.name().as_str());
        let fault = Self::new("unknown_column", format!("there is no column `{name}`"));
        if let Some(near) = nearest(name, known.clone()) {
            return fault.hint(format!("did you mean `{near}`?"));
        }
        let known: Vec<&str> = known.filter(|name| !meta::is_meta(name)).collect();
        fault.hint(format!("the columns are {}", known.join(", ")))
    }
}

/// A row that an operator would not take, or (weight -1) one that it takes after all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The record it came from.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// A stable code such as `version_conflict`.
    pub code: String,
    /// What is wrong with it, without any of its bytes.
    pub message: String,
    /// The column at fault, if it was one.
    pub field: Option<String>,
    /// +1: refused; -1: no longer refused.
    pub weight: i64,
}

/// What an operator answers for one step.
#[derive(Clone, Debug)]
pub struct Step {
    /// The change of its result.
    pub delta: Parts,
    /// Rows refused, or taken after all.
    pub refusals: Vec<Refusal>,
}

/// One incremental operator. Called once per epoch by the engine's scheduler, with one delta in parts for each
/// input in the order of the plan (maybe empty) and the epoch's clock; must not block, must not panic
/// on any row. The sum of all answers is a function of the sum of all inputs and the last clock alone
/// (`latest` and `dedupe`: of each partition's rows in offset order).
pub trait Operator: Send {
    /// The schema of its answers.
    fn schema(&self) -> SchemaRef;
    /// Takes one step. `as_of_us` never falls.
    fn step(&mut self, inputs: &[Parts], as_of_us: i64) -> Step;
    /// A step whose answer nobody waits for: it may be held back, to be answered by the next `step`.
    fn absorb(&mut self, inputs: &[Parts], as_of_us: i64) -> Step {
        self.step(inputs, as_of_us)
    }
    /// A step that may answer a part only of what was held back; `true` while there is more.
    fn release(&mut self, inputs: &[Parts], as_of_us: i64) -> (Step, bool) {
        (self.step(inputs, as_of_us), false)
    }
    /// Takes in which keys another stage names, to be forgotten: the key columns of its rows, in the order of the
    /// operator's. When it is time, the next step takes back what the keys show that have come to be named; answers
    /// whether there are any.
    fn forget(&mut self, _keys: &Delta, _is_time: bool) -> bool {
        false
    }
    /// Rows it keeps, for the metrics.
    fn state_rows(&self) -> usize;
    /// Tells the entries of its state that changed since they were told last; the first time, all. Nothing may be
    /// held back when it is called.
    fn save(&mut self, _put: &mut Put<'_>) {}
    /// Takes one entry back, before the first step, in the order of their keys.
    fn load(&mut self, _key: &[u8], _value: &[u8]) -> Result<(), Unreadable> {
        Err(Unreadable)
    }
}

/// One row set per key: that of the highest version. Over a log only (inserts in offset order).
///
/// A record's rows for one key and version are a set (the rows of one record stand together). The same
/// version and content again changes nothing; the same version with other content is refused
/// (`version_conflict`), the first stays. Content is every column but the metadata. A row whose
/// `tombstone` column is true forgets the key with its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatestSpec {
    /// Key columns.
    pub key: Vec<String>,
    /// The version: an `Int64` column, not null.
    pub version: String,
    /// A `Boolean` column that marks a deletion of the key, if the log has such rows.
    pub tombstone: Option<String>,
}

/// Rows exist while `from <= clock < until`; null means unbounded. Both are instants or dates (midnight UTC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidSpec {
    /// The column that holds the first instant.
    pub from: Option<String>,
    /// The column that holds the first instant after.
    pub until: Option<String>,
}

/// How rows without a partner fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// They are left out.
    Inner,
    /// Left rows stay, with nulls.
    Left,
}

/// Input 0 joined with input 1. Null joins nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinSpec {
    /// Pairs of equal columns: left, right.
    pub on: Vec<(String, String)>,
    /// Inner or left.
    pub kind: JoinKind,
    /// Right columns to take: output name, right column.
    pub columns: Vec<(String, String)>,
    /// The right side has at most one row per key; more are counted as errors, the smallest row is used.
    pub at_most_one: bool,
}

/// An aggregate function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggFn {
    /// Exact sum (i256 inside). Decimal128 stays Decimal128(38, s), Decimal256 Decimal256(76, s), integers Int64.
    Sum,
    /// Rows where the argument is not null; without an argument, rows.
    Count,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Mean: sum over count, half-even, at the argument's scale plus 6.
    Avg,
}

/// Sums and the like per key. A group exists while its rows' weights sum to more than 0. Nulls are not summed;
/// a sum of nothing is 0, the others null. In keys null equals null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregateSpec {
    /// Key columns.
    pub by: Vec<String>,
    /// Output name, function, argument column.
    pub values: Vec<(String, AggFn, Option<String>)>,
}

/// One row per element of a list column; struct elements become columns. Rows with an empty or null list vanish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplodeSpec {
    /// The list column.
    pub list: String,
    /// An output column with the element's index from 0, if wanted.
    pub index: Option<String>,
}

/// The first row per key in offset order; later ones are dropped without a word. Over a log only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DedupeSpec {
    /// Key columns.
    pub key: Vec<String>,
}

/// Replaces columns of input 0 while a row of input 1 (the overrides) matches it.
///
/// The scopes are tried in order; in the first that has a matching override, the one with the greatest
/// `latest` columns wins. The replaced columns' former values stay in `base_<column>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverrideSpec {
    /// The overrides' column that names the scope.
    pub scope: String,
    /// The overrides' column that holds the key within its scope.
    pub key: String,
    /// Scope's name, and input 0's column compared with the key; in order of precedence.
    pub matching: Vec<(String, String)>,
    /// Override columns, compared in order: the greatest wins.
    pub latest: Vec<String>,
    /// Input 0's column, override column of the same type.
    pub set: Vec<(String, String)>,
    /// Output name, override column: null where nothing is overridden.
    pub take: Vec<(String, String)>,
}

/// The resolved description of one built-in operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpSpec {
    /// See [`LatestSpec`].
    Latest(LatestSpec),
    /// See [`ValidSpec`].
    Valid(ValidSpec),
    /// See [`JoinSpec`].
    Join(JoinSpec),
    /// See [`AggregateSpec`].
    Aggregate(AggregateSpec),
    /// All inputs' rows; inputs have the same columns (in any order, metadata only if all have it).
    Union,
    /// See [`ExplodeSpec`].
    Explode(ExplodeSpec),
    /// See [`DedupeSpec`].
    Dedupe(DedupeSpec),
    /// See [`OverrideSpec`].
    Override(OverrideSpec),
    /// `where`: rows for which the SQL expression is true.
    Filter(String),
    /// `select`: output name and SQL expression; metadata columns come along unasked.
    Project(Vec<(String, String)>),
}

impl OpSpec {
    /// The schema that [`OpSpec::build`]'s operator will answer with.
    pub fn output_schema(&self, inputs: &[SchemaRef]) -> Result<SchemaRef, OpError> {
        self.build(inputs).map(|operator| operator.schema())
    }

    /// The incremental operator over inputs of these schemas.
    pub fn build(&self, inputs: &[SchemaRef]) -> Result<Box<dyn Operator>, OpError> {
        Ok(match self {
            Self::Latest(spec) => Box::new(latest::Latest::new(spec, inputs, None)?),
            Self::Valid(spec) => Box::new(valid::Valid::new(spec, inputs)?),
            Self::Join(spec) => Box::new(join::Join::new(spec, inputs)?),
            Self::Aggregate(spec) => Box::new(aggregate::Aggregate::new(spec, inputs)?),
            Self::Union => Box::new(union::Union::new(inputs)?),
            Self::Explode(spec) => Box::new(explode::Explode::new(spec, inputs)?),
            Self::Dedupe(spec) => Box::new(dedupe::Dedupe::new(spec, inputs)?),
            Self::Override(spec) => Box::new(overrides::Override::new(spec, inputs)?),
            Self::Filter(sql) => Box::new(filter::Filter::new(sql, inputs)?),
            Self::Project(columns) => Box::new(project::Project::new(columns, inputs)?),
        })
    }
}

#[cfg(test)]
mod tests;
