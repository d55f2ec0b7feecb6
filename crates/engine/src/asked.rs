//! Tables that are worked out when a reader asks for them, by the same stages, from what an epoch published.
//!
//! A table that is `asked_by` a column costs an epoch nothing but to keep the rows that enter its stages: those stages
//! run once for each question, on the reader's thread, over the rows of one cut. A question is narrowed as it goes:
//! rows that carry the column are those of the value asked for, and a join reads only the kept rows that it can join
//! with what is there already.

use crate::step::{Blueprint, Fault, Pass};
use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_spec::Plan;
use weir_spec::plan::{Edge, TablePlan, WorkPlan};
use weir_zset::kept::{Keeper, Kept};
use weir_zset::op::{JoinKind, JoinSpec, OpSpec};
use weir_zset::table::{Table, Version};
use weir_zset::{Delta, Parts};

/// Rows of an edge, and the columns that they are found by.
type Shelf = (Edge, Vec<String>);

/// The rows that questions are answered from, as of one cut.
#[derive(Clone, Debug, Default)]
pub struct Library {
    shelves: BTreeMap<Shelf, Kept>,
}

/// The writing side of a [`Library`]. Its shelves have one order, which is that of the plan.
#[derive(Debug)]
pub(crate) struct Shelves(Vec<(Shelf, Keeper)>);

impl Shelves {
    pub(crate) fn of(asked: &[Arc<Asked>]) -> Self {
        let mut shelves = BTreeMap::new();
        for asked in asked {
            let read = asked.read.values().flatten();
            for (edge, by) in read.flatten().chain(&asked.shown) {
                let keeper = || Keeper::new(&asked.blueprint.edges[edge], by);
                shelves.entry((*edge, by.clone())).or_insert_with(keeper);
            }
        }
        Self(shelves.into_iter().collect())
    }

    /// Takes in what came on the edges.
    pub(crate) fn take(&mut self, edges: &BTreeMap<Edge, Parts>) {
        for ((edge, _), keeper) in &mut self.0 {
            if let Some(delta) = edges.get(edge) {
                delta.iter().for_each(|part| keeper.apply(part));
            }
        }
    }

    /// What they hold now.
    pub(crate) fn library(&self) -> Library {
        let shelf = |(shelf, keeper): &(Shelf, Keeper)| (shelf.clone(), keeper.kept());
        Library {
            shelves: self.0.iter().map(shelf).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Keeper> {
        self.0.get_mut(index).map(|(_, keeper)| keeper)
    }

    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut Keeper> {
        self.0.iter_mut().map(|(_, keeper)| keeper)
    }
}

/// A table that is worked out when somebody asks.
#[derive(Debug)]
pub struct Asked {
    blueprint: Arc<Blueprint>,
    table: Arc<TablePlan>,
    column: String,
    /// The steps that only such tables need, as far as this one needs them.
    steps: Vec<usize>,
    /// Per step and input the shelf it reads, where a step of every epoch makes its rows.
    read: BTreeMap<usize, Vec<Option<Shelf>>>,
    /// The shelf that the table itself shows, where it does.
    shown: Option<Shelf>,
}

impl Asked {
    /// All such tables of a plan.
    pub(crate) fn of(blueprint: &Arc<Blueprint>) -> Vec<Arc<Self>> {
        let plan = &blueprint.plan;
        let mut always = needed(plan, |table| table.asked_by.is_none());
        let named = plan.forgets.iter().map(|forget| forget.from);
        always.extend(behind(plan, named.collect()));
        let later = needed(plan, |table| table.asked_by.is_some());
        let is_later = |step: &usize| later.contains(step) && !always.contains(step);
        let asked = |table: &TablePlan| {
            let column = table.asked_by.clone()?;
            let own = needed(plan, |other| other.name == table.name);
            let steps: Vec<usize> = own.into_iter().filter(is_later).collect();
            let is_kept = |edge: &Edge| match edge {
                Edge::Source(_) => true,
                Edge::Step { step, .. } => !is_later(step),
            };
            let shelf = |edge: &Edge, by: Vec<String>| is_kept(edge).then_some((*edge, by));
            let shelves = |step: &usize| {
                let inputs = &plan.steps[*step].inputs;
                let of = |(port, (_, edge)): (usize, &(String, Edge))| {
                    shelf(edge, found_by(blueprint, *step, port, *edge, &column))
                };
                (*step, inputs.iter().enumerate().map(of).collect())
            };
            Some(Arc::new(Self {
                blueprint: Arc::clone(blueprint),
                read: steps.iter().map(shelves).collect(),
                steps,
                shown: shelf(&table.from, vec![column.clone()]),
                table: Arc::new(table.clone()),
                column,
            }))
        };
        plan.tables.iter().filter_map(asked).collect()
    }

    /// What the table is.
    pub fn table(&self) -> &Arc<TablePlan> {
        &self.table
    }

    pub(crate) fn runs(&self, step: usize) -> bool {
        self.read.contains_key(&step)
    }

    /// The table's rows for this value.
    pub(crate) fn answer(
        &self,
        library: &Library,
        as_of_us: i64,
        value: &str,
    ) -> Result<Version, Fault> {
        let edges = &self.blueprint.edges;
        let mut made: BTreeMap<Edge, Parts> = BTreeMap::new();
        for &index in &self.steps {
            let (mut step, outputs) = self.blueprint.build(index)?;
            let plan = &self.blueprint.plan.steps[index];
            let shelves = &self.read[&index];
            let mut inputs: BTreeMap<Edge, Parts> = BTreeMap::new();
            for (_, edge) in &plan.inputs {
                if let Some(delta) = made.get(edge) {
                    inputs.insert(*edge, delta.clone());
                }
            }
            for (port, shelf) in shelves.iter().enumerate() {
                let Some(shelf @ (edge, by)) = shelf else {
                    continue;
                };
                let kept = &library.shelves[shelf];
                let other = plan.inputs.get(1 - port.min(1)).map(|(_, edge)| edge);
                let delta = if by.is_empty() {
                    kept.all()
                } else if by[..] == [self.column.clone()] {
                    kept.of(&one(&self.column, value))
                } else if let (WorkPlan::Op(OpSpec::Join(join)), Some(other)) = (&plan.work, other)
                    && let Some(other) = made.get(other)
                {
                    kept.of(&keys(join, port, &other.whole()))
                } else {
                    kept.all()
                };
                inputs.insert(*edge, delta.into());
            }
            let out = step.step(&inputs, as_of_us, Pass::Evaluate, false)?;
            debug_assert_eq!(outputs.len(), out.deltas.len(), "a delta per output");
            for (port, delta) in out.deltas.into_iter().enumerate() {
                made.insert(Edge::Step { step: index, port }, delta);
            }
        }
        let mut table = Table::new(&edges[&self.table.from], &self.table.key);
        if let Some(shelf) = &self.shown {
            table.apply(&library.shelves[shelf].of(&one(&self.column, value)));
        } else if let Some(made) = made.get(&self.table.from) {
            table.apply_parts(made);
        }
        Ok(table.version())
    }
}

/// The steps behind some of the tables.
fn needed(plan: &Plan, is_of: impl Fn(&TablePlan) -> bool) -> BTreeSet<usize> {
    let tables = plan.all_tables().filter(|table| is_of(table));
    behind(plan, tables.map(|table| table.from).collect())
}

/// The steps behind some of the edges.
fn behind(plan: &Plan, mut edges: Vec<Edge>) -> BTreeSet<usize> {
    let mut needed = BTreeSet::new();
    while let Some(edge) = edges.pop() {
        if let Edge::Step { step, .. } = edge
            && needed.insert(step)
        {
            edges.extend(plan.steps[step].inputs.iter().map(|(_, edge)| *edge));
        }
    }
    needed
}

/// The columns that a step finds rows of an input by: that of the question, where they have it, or those of its join.
fn found_by(
    blueprint: &Blueprint,
    step: usize,
    port: usize,
    edge: Edge,
    column: &str,
) -> Vec<String> {
    if blueprint.edges[&edge].index_of(column).is_ok() {
        return vec![column.to_owned()];
    }
    let step = &blueprint.plan.steps[step];
    match &step.work {
        // Left rows of a left join are all wanted, with a partner or without.
        WorkPlan::Op(OpSpec::Join(join)) if port == 1 || join.kind == JoinKind::Inner => {
            let side = |(left, right): &(String, String)| [left, right][port].clone();
            join.on.iter().map(side).collect()
        }
        _ => vec![],
    }
}

/// The question as a row.
fn one(column: &str, value: &str) -> RecordBatch {
    let schema = Schema::new(vec![Field::new(column, DataType::Utf8, true)]);
    let values = StringArray::from(vec![value]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(values)]).expect("one column of one row")
}

/// The values of the columns that this port of a join is found by, as they stand on its other side.
fn keys(join: &JoinSpec, port: usize, other: &Delta) -> RecordBatch {
    let side = |(left, right): &(String, String)| [right, left][port].clone();
    let schema = other.batch.schema();
    let index = |name: String| schema.index_of(&name).expect("the plan checked the keys");
    let columns: Vec<usize> = join.on.iter().map(side).map(index).collect();
    other
        .batch
        .project(&columns)
        .expect("indexes of its own columns")
}
