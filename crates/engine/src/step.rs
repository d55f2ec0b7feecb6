//! One step of the plan, running: an operator, a transform plugin, a group plugin.

use crate::group::GroupStep;
use crate::narrow::Narrow;
use crate::transform::TransformStep;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use weir_spec::Plan;
use weir_spec::plan::{Edge, StepPlan, WasmPlan, WorkPlan};
use weir_stage::{
    Limits, Opening, PluginError, Plugins, RawBatch, RawRecord, RowRefusal, Shape, SourceError,
};
use weir_zset::op::{Names, Operator, Put, Unreadable};
use weir_zset::{Delta, OpError, Parts, Refusal, meta};

/// What stops a pipeline from being built or going on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A plugin failed as a whole, and its stage's policy is to stop.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A source failed in a way that trying again does not mend.
    #[error("source {source_name}: {error}")]
    Source {
        /// The source.
        source_name: String,
        /// What happened, and the cure.
        error: SourceError,
    },
    /// A sink failed in a way that trying again does not mend.
    #[error("sink {sink}: {error}")]
    Sink {
        /// The sink.
        sink: String,
        /// What happened, and the cure.
        error: SourceError,
    },
    /// A stage cannot be built.
    #[error("stage {stage}")]
    Operator {
        /// The stage.
        stage: String,
        /// Why.
        source: OpError,
    },
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] crate::state::StateError),
    /// What was kept cannot be taken back.
    #[error("{part}: cannot be restored; read everything again with --fresh")]
    Restore {
        /// Of which part.
        part: String,
        /// Why.
        source: Unreadable,
    },
    /// Too many records were refused.
    #[error(
        "{0}; look at the dead letters, mend their cause or raise `dead_letters.pipeline`, and start weir again"
    )]
    TooManyRefused(String),
    /// The last checkpoint was not written.
    #[error("the last checkpoint was not written: {0}; the next start goes on from the one before")]
    Checkpoint(String),
    /// A plugin's data file cannot be read.
    #[error("stage {stage}: cannot read data file {path}")]
    Data {
        /// The stage.
        stage: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What a step answers.
#[derive(Debug, Default)]
pub(crate) struct StepOut {
    /// One per output.
    pub(crate) deltas: Vec<Parts>,
    /// Rows refused, or taken after all.
    pub(crate) refusals: Vec<Refusal>,
    /// What rows refused by a group still know of their records, by topic.
    pub(crate) records: Vec<(String, RawBatch)>,
    /// Rows that broke a rule of the stage and were kept.
    pub(crate) errors: u64,
    /// Whether something is still held back.
    pub(crate) more: bool,
}

/// What becomes of a pass's answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Nobody sees them yet: operators may hold theirs back, groups rest.
    Absorb,
    /// What was held back comes, a part at a time; groups rest.
    Release,
    /// Groups answer, some at a time, as soon as nothing in front of them is held back.
    Gather,
    /// All of them come and are published.
    Evaluate,
}

/// Most groups that one pass gathers answers of.
const GATHER_GROUPS: usize = 8_192;

enum Work {
    Op(Box<dyn Operator>),
    Transform(TransformStep),
    Group(GroupStep),
}

/// What a step reads of an edge.
pub(crate) struct Input {
    edge: Edge,
    /// Its columns in the edge's rows.
    columns: Vec<usize>,
    /// Their schema: an input without news is an empty delta of it.
    schema: SchemaRef,
}

impl Input {
    pub(crate) fn delta(&self, edges: &BTreeMap<Edge, Parts>) -> Parts {
        let Some(delta) = edges.get(&self.edge) else {
            return Parts::empty(Arc::clone(&self.schema));
        };
        delta.map(&self.schema, |part| Delta {
            batch: part
                .batch
                .project(&self.columns)
                .expect("columns of the edge"),
            weights: Arc::clone(&part.weights),
        })
    }
}

/// A running step.
pub(crate) struct Step {
    /// Its place in the plan.
    pub(crate) index: usize,
    /// The stage it belongs to.
    pub(crate) stage: String,
    /// Whether what it refuses stays refused: it sees each record once.
    pub(crate) is_final: bool,
    inputs: Vec<Input>,
    work: Work,
    /// Rows answered so far.
    pub(crate) rows: u64,
    /// Rows that broke a rule so far.
    pub(crate) errors: u64,
    /// Time spent so far.
    pub(crate) busy_us: u64,
}

impl Step {
    /// Rows it keeps.
    pub(crate) fn state_rows(&self) -> usize {
        match &self.work {
            Work::Op(operator) => operator.state_rows(),
            Work::Transform(step) => step.state_rows(),
            Work::Group(step) => step.state_rows(),
        }
    }

    /// Tells what of its state changed since it was told last; the first time, all.
    pub(crate) fn save(&mut self, put: &mut Put<'_>) {
        match &mut self.work {
            Work::Op(operator) => operator.save(put),
            Work::Transform(step) => step.save(put),
            Work::Group(step) => step.save(put),
        }
    }

    /// Takes an entry of its state back.
    pub(crate) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        match &mut self.work {
            Work::Op(operator) => operator.load(key, value),
            Work::Transform(step) => step.load(key, value),
            Work::Group(step) => step.load(key, value),
        }
    }

    /// Whether its refusals may be of rows that came in an earlier epoch.
    pub(crate) fn is_group(&self) -> bool {
        matches!(self.work, Work::Group(_))
    }

    /// Takes in which keys it is to forget; answers whether its next step does, when it is time.
    pub(crate) fn forget(&mut self, keys: &Delta, is_time: bool) -> bool {
        match &mut self.work {
            Work::Op(operator) => operator.forget(keys, is_time),
            Work::Transform(_) | Work::Group(_) => false,
        }
    }

    /// Whether one of these steps is in front of it.
    pub(crate) fn reads(&self, steps: &BTreeSet<usize>) -> bool {
        let mut edges = self.inputs.iter().map(|input| input.edge);
        edges.any(|edge| matches!(edge, Edge::Step { step, .. } if steps.contains(&step)))
    }

    /// Takes one step over what came on its edges; `waits` while something in front of it is held back.
    pub(crate) fn step(
        &mut self,
        edges: &BTreeMap<Edge, Parts>,
        as_of_us: i64,
        pass: Pass,
        waits: bool,
    ) -> Result<StepOut, Fault> {
        let began = tokio::time::Instant::now();
        let inputs: Vec<Parts> = self.inputs.iter().map(|input| input.delta(edges)).collect();
        let whole = || -> Vec<Delta> { inputs.iter().map(Parts::whole).collect() };
        let out = match &mut self.work {
            Work::Op(operator) => {
                let (step, more) = match pass {
                    Pass::Absorb => (operator.absorb(&inputs, as_of_us), true),
                    Pass::Release => operator.release(&inputs, as_of_us),
                    Pass::Gather | Pass::Evaluate => (operator.step(&inputs, as_of_us), false),
                };
                StepOut {
                    deltas: vec![step.delta],
                    refusals: step.refusals,
                    more,
                    ..StepOut::default()
                }
            }
            Work::Transform(step) => step.step(&inputs[0].whole())?,
            Work::Group(step) => match pass {
                Pass::Evaluate => step.step(&whole(), as_of_us, usize::MAX)?,
                Pass::Gather if !waits => step.step(&whole(), as_of_us, GATHER_GROUPS)?,
                _ => step.step(&whole(), as_of_us, 0)?,
            },
        };
        self.rows += out
            .deltas
            .iter()
            .map(|delta| delta.len() as u64)
            .sum::<u64>();
        self.errors += out.errors;
        self.busy_us += u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(out)
    }
}

/// What every step is built from.
pub(crate) struct Blueprint {
    pub(crate) plan: Plan,
    narrow: Narrow,
    plugins: Arc<dyn Plugins>,
    /// The columns that run on each edge, of the steps built so far.
    pub(crate) edges: BTreeMap<Edge, SchemaRef>,
}

impl std::fmt::Debug for Blueprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blueprint")
            .field("plan", &self.plan.name)
            .finish_non_exhaustive()
    }
}

impl Blueprint {
    pub(crate) fn of(plan: &Plan, plugins: Arc<dyn Plugins>) -> Result<Self, Fault> {
        let narrow = Narrow::of(plan, plugins.as_ref())?;
        let mut edges = BTreeMap::new();
        for (source, wanted) in narrow.sources.iter().enumerate() {
            let edge = Edge::Source(source);
            edges.insert(edge, kept(&schema_of(plan, edge), wanted));
        }
        Ok(Self {
            plan: plan.clone(),
            narrow,
            plugins,
            edges,
        })
    }

    /// Builds all steps of the plan, in its order.
    pub(crate) fn all(&mut self) -> Result<Vec<Step>, Fault> {
        let mut steps = Vec::new();
        for index in 0..self.plan.steps.len() {
            let (step, outputs) = self.build(index)?;
            for (port, schema) in outputs.into_iter().enumerate() {
                self.edges.insert(Edge::Step { step: index, port }, schema);
            }
            steps.push(step);
        }
        Ok(steps)
    }

    /// These columns of an edge.
    pub(crate) fn input(&self, edge: Edge, columns: &[String]) -> Input {
        let running = &self.edges[&edge];
        let columns = indexes(running, columns.iter());
        let schema = Arc::new(running.project(&columns).expect("columns of the edge"));
        Input {
            edge,
            columns,
            schema,
        }
    }

    /// Builds a step whose inputs' columns are known, and the schemas of its outputs.
    pub(crate) fn build(&self, index: usize) -> Result<(Step, Vec<SchemaRef>), Fault> {
        let (plan, step) = (&self.plan, &self.plan.steps[index]);
        let input = |((_, edge), needs): (&(String, Edge), &Names)| {
            let (running, schema) = (&self.edges[edge], kept(&self.edges[edge], needs));
            Input {
                edge: *edge,
                columns: indexes(running, schema.fields().iter().map(|field| field.name())),
                schema,
            }
        };
        let inputs = step.inputs.iter().zip(&self.narrow.inputs[index]);
        let inputs = inputs.map(input).collect();
        let wanted = &self.narrow.outputs[index][0];
        let (step, outputs) = build_step(plan, step, inputs, wanted, self.plugins.as_ref())?;
        let is_final = is_log(
            plan,
            Edge::Step {
                step: index,
                port: 0,
            },
        );
        let step = Step {
            index,
            is_final,
            ..step
        };
        Ok((step, outputs))
    }
}

/// The fields of these names.
fn kept(schema: &SchemaRef, names: &Names) -> SchemaRef {
    let fields = schema.fields().iter();
    let kept = fields.filter(|field| names.contains(field.name()));
    Arc::new(Schema::new(kept.cloned().collect::<Vec<_>>()))
}

/// A step over these inputs, and the schemas of its outputs.
fn build_step(
    plan: &Plan,
    step: &StepPlan,
    inputs: Vec<Input>,
    wanted: &Names,
    plugins: &dyn Plugins,
) -> Result<(Step, Vec<SchemaRef>), Fault> {
    let schemas: Vec<SchemaRef> = inputs
        .iter()
        .map(|input| Arc::clone(&input.schema))
        .collect();
    let mut outputs: Vec<SchemaRef> = step
        .outputs
        .iter()
        .map(|(_, schema)| Arc::clone(schema))
        .collect();
    let work = match &step.work {
        WorkPlan::Op(spec) => {
            let built = spec.build_narrow(&schemas, wanted);
            let built = built.map_err(|source| Fault::Operator {
                stage: step.stage.clone(),
                source,
            })?;
            outputs = vec![built.schema()];
            Work::Op(built)
        }
        WorkPlan::Transform(wasm) => {
            let is_there =
                |name: &String| !meta::is_meta(name) || schemas[0].index_of(name).is_ok();
            let names = outputs[0].fields().iter().map(|field| field.name().clone());
            outputs[0] = kept(&outputs[0], &names.filter(is_there).collect());
            Work::Transform(build_transform(
                plan,
                step,
                wasm,
                &schemas[0],
                &outputs[0],
                plugins,
            )?)
        }
        WorkPlan::Group { wasm, by, clock } => {
            let shape = plugins.shape(&wasm.file, &wasm.config)?;
            let key = schemas[0]
                .project(&indexes(&schemas[0], by.iter()))
                .expect("the plan checked the keys");
            let opening = opening(step, wasm)?;
            let plugin = plugins.open_group(&wasm.file, &opening, &Arc::new(key), &limits(wasm))?;
            let ports: Vec<_> = step
                .inputs
                .iter()
                .map(|(name, _)| port_of(&shape, name))
                .collect();
            Work::Group(GroupStep::new(
                plugin,
                by,
                *clock,
                wasm.on_failure,
                &schemas,
                &ports,
            ))
        }
    };
    let step = Step {
        index: 0,
        stage: step.stage.clone(),
        is_final: false,
        inputs,
        work,
        rows: 0,
        errors: 0,
        busy_us: 0,
    };
    Ok((step, outputs))
}

fn build_transform(
    plan: &Plan,
    step: &StepPlan,
    wasm: &WasmPlan,
    input: &SchemaRef,
    output: &SchemaRef,
    plugins: &dyn Plugins,
) -> Result<TransformStep, Fault> {
    let shape = plugins.shape(&wasm.file, &wasm.config)?;
    let opening = opening(step, wasm)?;
    let open = |_| plugins.open_transform(&wasm.file, &opening, &limits(wasm));
    let instances = (0..plan.engine.workers.max(1))
        .map(open)
        .collect::<Result<Vec<_>, _>>()?;
    let asked = shape
        .inputs
        .first()
        .map_or_else(|| Arc::clone(input), |port| Arc::clone(&port.schema));
    let is_log = step.inputs.iter().all(|(_, edge)| is_log(plan, *edge));
    Ok(TransformStep::new(
        instances,
        wasm.on_failure,
        input,
        asked,
        Arc::clone(output),
        is_log,
    ))
}

/// The port of this name; a single unnamed input is the plugin's only port.
fn port_of(shape: &Shape, name: &str) -> weir_stage::Port {
    let named = shape.inputs.iter().find(|port| port.name == name);
    named
        .or(shape.inputs.first())
        .expect("the plan checked the ports")
        .clone()
}

fn opening(step: &StepPlan, wasm: &WasmPlan) -> Result<Opening, Fault> {
    let read = |(name, path): (&String, &PathBuf)| match std::fs::read(path) {
        Ok(bytes) => Ok((name.clone(), bytes)),
        Err(source) => Err(Fault::Data {
            stage: step.stage.clone(),
            path: path.clone(),
            source,
        }),
    };
    Ok(Opening {
        config: wasm.config.clone(),
        data: wasm.data.iter().map(read).collect::<Result<_, _>>()?,
    })
}

fn limits(wasm: &WasmPlan) -> Limits {
    let default = Limits::default();
    Limits {
        call_ms_max: wasm.call_ms_max.unwrap_or(default.call_ms_max),
        memory_mib_max: wasm.memory_mib_max.unwrap_or(default.memory_mib_max),
        ..default
    }
}

fn indexes<'a>(schema: &SchemaRef, names: impl Iterator<Item = &'a String>) -> Vec<usize> {
    names
        .map(|name| schema.index_of(name).expect("the plan checked the columns"))
        .collect()
}

pub(crate) fn schema_of(plan: &Plan, edge: Edge) -> SchemaRef {
    match edge {
        Edge::Source(source) => Arc::clone(&plan.sources[source].schema),
        Edge::Step { step, port } => Arc::clone(&plan.steps[step].outputs[port].1),
    }
}

/// Whether rows of this edge are only ever inserted, in offset order: a source's, through row-wise steps.
pub(crate) fn is_log(plan: &Plan, edge: Edge) -> bool {
    use weir_zset::op::OpSpec;
    let Edge::Step { step, .. } = edge else {
        return true;
    };
    let step = &plan.steps[step];
    let row_wise = match &step.work {
        WorkPlan::Op(op) => {
            matches!(
                op,
                OpSpec::Filter(_) | OpSpec::Project(_) | OpSpec::Union | OpSpec::Explode(_)
            )
        }
        WorkPlan::Transform(_) => true,
        WorkPlan::Group { .. } => false,
    };
    row_wise && step.inputs.iter().all(|(_, edge)| is_log(plan, *edge))
}

/// A plugin's refusal of this row, told by the row's record.
pub(crate) fn refusal_at(rows: &RecordBatch, row: usize, why: RowRefusal) -> Refusal {
    let column = |name| meta_column(rows, name);
    Refusal {
        topic: column(meta::TOPIC).as_string::<i32>().value(row).to_owned(),
        partition: column(meta::PARTITION)
            .as_primitive::<Int32Type>()
            .value(row),
        offset: column(meta::OFFSET).as_primitive::<Int64Type>().value(row),
        code: why.code,
        message: why.message,
        field: why.field,
        weight: 1,
    }
}

/// What this row still knows of its record: all but the value.
pub(crate) fn record_at(rows: &RecordBatch, row: usize) -> RawRecord {
    let column = |name| meta_column(rows, name);
    let key = column(meta::KEY).as_string::<i32>();
    RawRecord {
        partition: column(meta::PARTITION)
            .as_primitive::<Int32Type>()
            .value(row),
        offset: column(meta::OFFSET).as_primitive::<Int64Type>().value(row),
        timestamp_us: column(meta::TIMESTAMP)
            .as_primitive::<TimestampMicrosecondType>()
            .value(row),
        key: key.is_valid(row).then(|| key.value(row).to_owned().into()),
        value: None,
        headers: weir_stage::Headers::default(),
    }
}

fn meta_column<'a>(rows: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    rows.column_by_name(name)
        .expect("tracked rows have metadata")
}
