//! Stages: their order, and the steps that each becomes.

use super::{Flow, Output, Resolver};
use crate::codes;
use crate::plan::{Edge, ForgetPlan, StepPlan, WorkPlan};
use crate::raw::{
    AggSpec, AggregateSpec, DedupeSpec, ExplodeSpec, FromSpec, JoinKindSpec, JoinSpec, JoinsSpec,
    LatestSpec, OverrideSpec, PairsSpec, StageSpec, ValidSpec,
};
use crate::tree::At;
use arrow::datatypes::SchemaRef;
use indexmap::IndexMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_zset::meta;
use weir_zset::op::{self, AggFn, JoinKind, OpSpec};

impl<'r> Resolver<'r, '_> {
    pub(super) fn stages(&mut self) {
        for name in self.order() {
            let at = At::of(&["stages", name]);
            self.check_name(&at, "stage", name);
            let output = self.stage(&at, name, &self.spec.stages[name]);
            self.outputs.insert(name.to_owned(), output);
        }
    }

    /// Stages in an order in which each comes after those that it reads; of several such orders the one nearest to
    /// the file's. Stages in a circle are reported, left out and known as unknown.
    fn order(&mut self) -> Vec<&'r str> {
        let stages = &self.spec.stages;
        let mut needs: Vec<BTreeSet<usize>> = stages
            .values()
            .map(|stage| {
                references(stage)
                    .iter()
                    .filter_map(|(_, reference)| stages.get_index_of(stage_of(reference)))
                    .collect()
            })
            .collect();
        let mut left: BTreeSet<usize> = (0..needs.len()).collect();
        let mut order = Vec::new();
        while !left.is_empty() {
            let ready = left.iter().copied().find(|&stage| needs[stage].is_empty());
            let done = ready.map_or_else(|| self.circle(&needs, &left), |stage| vec![stage]);
            for stage in done {
                left.remove(&stage);
                for needs in &mut needs {
                    needs.remove(&stage);
                }
                if let Some((name, _)) = stages.get_index(stage).filter(|_| ready.is_some()) {
                    order.push(name.as_str());
                }
            }
        }
        order
    }

    /// Reports one circle among stages that all wait for one another, and answers its members.
    fn circle(&mut self, needs: &[BTreeSet<usize>], left: &BTreeSet<usize>) -> Vec<usize> {
        let mut path: Vec<usize> = left.first().copied().into_iter().collect();
        let start = loop {
            let last = *path.last().expect("it is asked only when stages are left");
            let next = *needs[last]
                .first()
                .expect("a stage that is not ready waits for another");
            match path.iter().position(|&seen| seen == next) {
                Some(start) => break start,
                None => path.push(next),
            }
        };
        let mut circle = path.split_off(start);
        let first = (0..circle.len())
            .min_by_key(|&index| circle[index])
            .unwrap_or(0);
        circle.rotate_left(first);
        let stages = &self.spec.stages;
        let name = |index: usize| {
            stages
                .get_index(index)
                .map_or("", |(name, _)| name.as_str())
        };
        let names: Vec<&str> = circle
            .iter()
            .chain(&circle[..1])
            .map(|&index| name(index))
            .collect();
        let place = references(&stages[names[0]])
            .into_iter()
            .find(|(_, to)| stage_of(to) == names[1]);
        let at = At::of(&["stages", names[0]]);
        let hint = (place.as_ref()).and_then(|(_, reference)| self.other_name(reference));
        let at = place.map_or(at.clone(), |(parts, _)| {
            parts.iter().fold(at, |at, part| at.to(part))
        });
        let message = format!(
            "stages read each other in a circle: {}",
            names.join(" reads ")
        );
        self.findings.error(&at, codes::CYCLE, message).hinted(hint);
        for &index in &circle {
            self.outputs.insert(name(index).to_owned(), Output::Unknown);
        }
        circle
    }

    fn stage(&mut self, at: &At, name: &str, spec: &'r StageSpec) -> Output {
        if let [first, second, ..] = operations(spec)[..] {
            let message = format!("the stage has the operations `{first}` and `{second}`");
            let hint = "a stage has one operation: put the second in a stage of its own".to_owned();
            self.findings
                .key_error(&at.to(second), codes::SEVERAL_OPERATIONS, message)
                .hinted(hint);
            return Output::Unknown;
        }
        let output = match &spec.wasm {
            Some(wasm) => self.wasm(at, name, &spec.from, wasm),
            None => one(self
                .input(at, name, &spec.from)
                .and_then(|flow| self.operation(at, name, spec, flow))),
        };
        let Some(refining) = refinement(spec) else {
            return output;
        };
        match output {
            Output::One(flow) => one(self.refine(at, name, spec, flow)),
            Output::Several(_) => {
                let message = format!("`{refining}` on a stage with several outputs");
                let hint = format!("put it in a stage of its own: `from: {name}.output`");
                self.findings
                    .key_error(&at.to(refining), codes::PORT_NEEDED, message)
                    .hinted(hint);
                Output::Unknown
            }
            Output::Unknown => Output::Unknown,
        }
    }

    /// The one input of a stage that is no group plugin: a list is united first.
    pub(super) fn input(&mut self, at: &At, stage: &str, from: &FromSpec) -> Option<Flow> {
        let at = at.to("from");
        match from {
            FromSpec::One(name) => self.flow(&at, name),
            FromSpec::Many(names) => {
                for (index, name) in names
                    .iter()
                    .enumerate()
                    .filter(|(index, name)| names[..*index].contains(name))
                {
                    let message = format!("`{name}` is in the list twice, so its rows count twice");
                    self.findings
                        .key_warning(&at.to(&index), codes::DUPLICATE_INPUT, message);
                }
                let flows: Vec<Option<Flow>> = names
                    .iter()
                    .enumerate()
                    .map(|(index, name)| self.flow(&at.to(&index), name))
                    .collect();
                let flows: Vec<Flow> = flows.into_iter().collect::<Option<_>>()?;
                let is_log = flows.iter().all(|flow| flow.is_log);
                match &flows[..] {
                    [flow] => Some(flow.clone()),
                    flows => self.push(&at, stage, flows, OpSpec::Union, is_log),
                }
            }
            FromSpec::Named(_) => {
                let message = "inputs by name are for plugins that work group by group";
                let hint = "write `from: stage` or `from: [stage, stage]`".to_owned();
                self.findings
                    .error(&at, codes::BAD_TYPE, message)
                    .hinted(hint);
                None
            }
        }
    }

    fn operation(&mut self, at: &At, stage: &str, spec: &StageSpec, flow: Flow) -> Option<Flow> {
        if let Some(latest) = &spec.latest {
            Some(self.latest(&at.to("latest"), stage, latest, flow))
        } else if let Some(dedupe) = &spec.dedupe {
            Some(self.dedupe(&at.to("dedupe"), stage, dedupe, flow))
        } else if let Some(valid) = &spec.valid {
            Some(self.valid(&at.to("valid"), stage, valid, flow))
        } else if let Some(joins) = &spec.join {
            self.joins(&at.to("join"), stage, joins, flow)
        } else if let Some(aggregate) = &spec.aggregate {
            self.aggregate(&at.to("aggregate"), stage, aggregate, &flow)
        } else if let Some(explode) = &spec.explode {
            self.explode(&at.to("explode"), stage, explode, &flow)
        } else if let Some(over) = &spec.r#override {
            self.r#override(&at.to("override"), stage, over, flow)
        } else {
            Some(flow)
        }
    }

    /// Adds a step; `None` after a finding.
    fn push(
        &mut self,
        at: &At,
        stage: &str,
        inputs: &[Flow],
        op: OpSpec,
        is_log: bool,
    ) -> Option<Flow> {
        let schemas: Vec<_> = inputs.iter().map(|flow| Arc::clone(&flow.schema)).collect();
        match op.output_schema(&schemas) {
            Ok(schema) => Some(self.push_typed(stage, inputs, op, schema, is_log)),
            Err(error) => {
                self.findings.op_error(at, error);
                None
            }
        }
    }

    /// The same for an operator whose columns are known.
    fn push_typed(
        &mut self,
        stage: &str,
        inputs: &[Flow],
        op: OpSpec,
        schema: SchemaRef,
        is_log: bool,
    ) -> Flow {
        let edge = Edge::Step {
            step: self.steps.len(),
            port: 0,
        };
        let edges = inputs.iter().map(|flow| (String::new(), flow.edge));
        self.steps.push(StepPlan {
            stage: stage.to_owned(),
            inputs: edges.collect(),
            work: WorkPlan::Op(op),
            outputs: vec![(String::new(), Arc::clone(&schema))],
        });
        Flow {
            edge,
            schema,
            is_log,
        }
    }

    /// The same for an operator that does not change the columns: after a finding its input stands for its output.
    fn push_same(&mut self, at: &At, stage: &str, flow: Flow, op: OpSpec, is_log: bool) -> Flow {
        self.push(at, stage, std::slice::from_ref(&flow), op, is_log)
            .unwrap_or(Flow { is_log, ..flow })
    }

    fn needs_log(&mut self, at: &At, flow: &Flow) {
        if !flow.is_log {
            let message = "the rows that come in are no longer records in offset order";
            let hint = "it goes in front of `latest`, `dedupe`, `valid`, `join`, `aggregate`, `override` and group plugins";
            self.findings
                .key_error(at, codes::NOT_A_LOG, message)
                .hinted(hint.to_owned());
        }
    }

    /// Whether the rows have all columns of a list; those missing are reported.
    fn has_columns(&mut self, at: &At, flow: &Flow, columns: &[String]) -> bool {
        let mut has_all = true;
        for (index, column) in columns.iter().enumerate() {
            has_all &= self.has_column(&at.to(&index), &flow.schema, column);
        }
        has_all
    }

    fn latest(&mut self, at: &At, stage: &str, spec: &LatestSpec, flow: Flow) -> Flow {
        self.needs_log(at, &flow);
        let mut has_all = self.has_columns(&at.to("key"), &flow, &spec.key);
        has_all &= self.has_column(&at.to("version"), &flow.schema, &spec.version);
        if let Some(tombstone) = &spec.tombstone {
            has_all &= self.has_column(&at.to("tombstone"), &flow.schema, tombstone);
        }
        let LatestSpec {
            key,
            version,
            tombstone,
            forget,
        } = spec.clone();
        self.forget(at, &key, forget);
        let op = OpSpec::Latest(op::LatestSpec {
            key,
            version,
            tombstone,
        });
        if has_all {
            self.push_same(at, stage, flow, op, false)
        } else {
            Flow {
                is_log: false,
                ..flow
            }
        }
    }

    /// Takes note that the next step forgets keys; the stage that names them may come later.
    fn forget(&mut self, at: &At, key: &[String], from: Option<String>) {
        if let Some(from) = from {
            let step = self.steps.len();
            self.forgets
                .push((at.to("forget"), step, key.to_vec(), from));
        }
    }

    /// Whose keys are forgotten, now that every stage is known.
    pub(super) fn forgets(&mut self) -> Vec<ForgetPlan> {
        let mut plans = Vec::new();
        for (at, step, key, from) in std::mem::take(&mut self.forgets) {
            let Some(flow) = self.flow(&at, &from) else {
                continue;
            };
            let known = self.steps.get(step).map(|step| &step.outputs[0].1);
            let types: Vec<_> = known.map_or_else(Vec::new, |known| {
                let of = |name: &String| known.field_with_name(name).ok();
                let own = key.iter().filter_map(of);
                own.map(|field| field.data_type().clone()).collect()
            });
            for (name, own) in key.iter().zip(types) {
                if self.has_column(&at, &flow.schema, name)
                    && let Ok(field) = flow.schema.field_with_name(name)
                    && *field.data_type() != own
                {
                    let other = field.data_type();
                    let message = format!("`{name}` of `{from}` is {other}, the key is {own}");
                    self.findings.error(&at, codes::WRONG_TYPE, message);
                }
            }
            let from = flow.edge;
            plans.push(ForgetPlan { step, key, from });
        }
        plans
    }

    fn dedupe(&mut self, at: &At, stage: &str, spec: &DedupeSpec, flow: Flow) -> Flow {
        self.needs_log(at, &flow);
        self.forget(at, &spec.key, spec.forget.clone());
        let op = OpSpec::Dedupe(op::DedupeSpec {
            key: spec.key.clone(),
        });
        if self.has_columns(&at.to("key"), &flow, &spec.key) {
            self.push_same(at, stage, flow, op, false)
        } else {
            Flow {
                is_log: false,
                ..flow
            }
        }
    }

    fn valid(&mut self, at: &At, stage: &str, spec: &ValidSpec, flow: Flow) -> Flow {
        let mut has_all = true;
        for (key, column) in [("from", &spec.from), ("until", &spec.until)] {
            if let Some(column) = column {
                has_all &= self.has_column(&at.to(key), &flow.schema, column);
            }
        }
        let op = OpSpec::Valid(op::ValidSpec {
            from: spec.from.clone(),
            until: spec.until.clone(),
        });
        if has_all {
            self.push_same(at, stage, flow, op, false)
        } else {
            Flow {
                is_log: false,
                ..flow
            }
        }
    }

    fn joins(&mut self, at: &At, stage: &str, joins: &JoinsSpec, flow: Flow) -> Option<Flow> {
        match joins {
            JoinsSpec::One(join) => self.join(at, stage, join, Some(flow)),
            JoinsSpec::Many(joins) => {
                let mut flow = Some(flow);
                for (index, join) in joins.iter().enumerate() {
                    flow = self.join(&at.to(&index), stage, join, flow);
                }
                flow
            }
        }
    }

    /// One join. With an unknown left side only the right side's columns are checked.
    fn join(&mut self, at: &At, stage: &str, spec: &JoinSpec, left: Option<Flow>) -> Option<Flow> {
        let right = self.flow(&at.to("with"), &spec.with);
        let on = spec.on.pairs();
        let take = spec.take.as_ref().map(PairsSpec::pairs).unwrap_or_default();
        let mut is_good = true;
        for (index, (left_column, right_column)) in on.iter().enumerate() {
            let at = at.to("on").to(&index);
            if let Some(left) = &left {
                is_good &= self.has_key_column(&at, &left.schema, left_column);
            }
            if let Some(right) = &right {
                is_good &= self.has_column(&at, &right.schema, right_column);
            }
        }
        for (index, (name, column)) in take.iter().enumerate() {
            let at = at.to("take").to(&index);
            is_good &= self.is_free_name(&at, name);
            if let Some(right) = &right {
                is_good &= self.has_column(&at, &right.schema, column);
            }
        }
        let (Some(left), Some(right), true) = (left, right, is_good) else {
            return None;
        };
        let kind = match spec.kind.unwrap_or(JoinKindSpec::Inner) {
            JoinKindSpec::Inner => JoinKind::Inner,
            JoinKindSpec::Left => JoinKind::Left,
        };
        let at_most_one = spec.at_most_one.unwrap_or(true);
        let op = OpSpec::Join(op::JoinSpec {
            on,
            kind,
            columns: take,
            at_most_one,
        });
        self.push(at, stage, &[left, right], op, false)
    }

    fn aggregate(
        &mut self,
        at: &At,
        stage: &str,
        spec: &AggregateSpec,
        flow: &Flow,
    ) -> Option<Flow> {
        let mut is_good = self.has_columns(&at.to("by"), flow, &spec.by);
        let mut values = Vec::new();
        for (name, value) in &spec.values {
            let at = at.to("values").to(name);
            let (key, function, column) = function(value)?;
            is_good &= self.is_free_name(&at, name);
            if spec.by.contains(name) {
                let message = format!("`{name}` is a key column too");
                self.findings
                    .key_error(&at, codes::DUPLICATE_COLUMN, message);
                is_good = false;
            }
            let column = (function != AggFn::Count || column != "*").then(|| column.clone());
            if let Some(column) = &column {
                is_good &= self.has_column(&at.to(key), &flow.schema, column);
            }
            values.push((name.clone(), function, column));
        }
        let op = OpSpec::Aggregate(op::AggregateSpec {
            by: spec.by.clone(),
            values,
        });
        if is_good {
            self.push(at, stage, std::slice::from_ref(flow), op, false)
        } else {
            None
        }
    }

    fn explode(&mut self, at: &At, stage: &str, spec: &ExplodeSpec, flow: &Flow) -> Option<Flow> {
        let has_list = self.has_column(&at.to("list"), &flow.schema, &spec.list);
        let is_free = spec
            .index
            .as_ref()
            .is_none_or(|index| self.is_free_name(&at.to("index"), index));
        if !(has_list && is_free) {
            return None;
        }
        let op = OpSpec::Explode(op::ExplodeSpec {
            list: spec.list.clone(),
            index: spec.index.clone(),
        });
        self.push(at, stage, std::slice::from_ref(flow), op, flow.is_log)
    }

    fn r#override(
        &mut self,
        at: &At,
        stage: &str,
        spec: &OverrideSpec,
        flow: Flow,
    ) -> Option<Flow> {
        let mut is_good = true;
        for column in spec.r#match.keys() {
            is_good &= self.has_column(
                &at.to("match").to(column),
                &flow.schema,
                &spec.r#match[column],
            );
        }
        for column in spec.set.keys() {
            is_good &= self.has_key_column(&at.to("set").to(column), &flow.schema, column);
        }
        for name in spec.take.keys() {
            is_good &= self.is_free_name(&at.to("take").to(name), name);
        }
        let with = self.flow(&at.to("with"), &spec.with)?;
        for (key, column) in [("scope", &spec.scope), ("key", &spec.key)] {
            is_good &= self.has_column(&at.to(key), &with.schema, column);
        }
        is_good &= self.has_columns(&at.to("latest"), &with, &spec.latest);
        for (key, columns) in [("set", &spec.set), ("take", &spec.take)] {
            for (name, column) in columns {
                is_good &= self.has_column(&at.to(key).to(name), &with.schema, column);
            }
        }
        let op = OpSpec::Override(op::OverrideSpec {
            scope: spec.scope.clone(),
            key: spec.key.clone(),
            matching: pairs(&spec.r#match),
            latest: spec.latest.clone(),
            set: pairs(&spec.set),
            take: pairs(&spec.take),
        });
        if is_good {
            self.push(at, stage, &[flow, with], op, false)
        } else {
            None
        }
    }

    /// `let`, `where`, `select`.
    fn refine(&mut self, at: &At, stage: &str, spec: &StageSpec, mut flow: Flow) -> Option<Flow> {
        if let Some(columns) = &spec.r#let {
            let kept = flow
                .schema
                .fields()
                .iter()
                .filter(|field| !meta::is_meta(field.name()));
            let mut all: IndexMap<String, String> = kept
                .map(|field| (field.name().clone(), identifier(field.name())))
                .collect();
            all.extend(columns.clone());
            flow = self.project(&at.to("let"), stage, &flow, columns, pairs(&all))?;
        }
        if let Some(condition) = &spec.r#where {
            let is_log = flow.is_log;
            flow = self.push_same(
                &at.to("where"),
                stage,
                flow,
                OpSpec::Filter(condition.clone()),
                is_log,
            );
        }
        match &spec.select {
            Some(columns) => self.project(&at.to("select"), stage, &flow, columns, pairs(columns)),
            None => Some(flow),
        }
    }

    /// Columns by expressions; when they do not fit, every one of those written is looked at alone.
    fn project(
        &mut self,
        at: &At,
        stage: &str,
        flow: &Flow,
        written: &IndexMap<String, String>,
        all: Vec<(String, String)>,
    ) -> Option<Flow> {
        let mut is_good = true;
        for name in written.keys() {
            is_good &= self.is_free_name(&at.to(name), name);
        }
        let op = OpSpec::Project(all);
        if is_good && let Ok(schema) = op.output_schema(&[Arc::clone(&flow.schema)]) {
            let inputs = std::slice::from_ref(flow);
            return Some(self.push_typed(stage, inputs, op, schema, flow.is_log));
        }
        for (name, sql) in written {
            let alone = OpSpec::Project(vec![("x".to_owned(), sql.clone())]);
            if let Err(error) = alone.output_schema(&[Arc::clone(&flow.schema)]) {
                self.findings
                    .error(&at.to(name), error.code, error.message)
                    .hinted(error.hint);
                is_good = false;
            }
        }
        // What fits alone but not together.
        if is_good {
            self.push(at, stage, std::slice::from_ref(flow), op, flow.is_log)
        } else {
            None
        }
    }
}

fn one(flow: Option<Flow>) -> Output {
    flow.map_or(Output::Unknown, Output::One)
}

fn pairs(map: &IndexMap<String, String>) -> Vec<(String, String)> {
    map.iter()
        .map(|(left, right)| (left.clone(), right.clone()))
        .collect()
}

/// A column as a SQL expression.
fn identifier(column: &str) -> String {
    format!("\"{}\"", column.replace('"', "\"\""))
}

/// The keys of a stage that are operations.
fn operations(spec: &StageSpec) -> Vec<&'static str> {
    let all = [
        ("latest", spec.latest.is_some()),
        ("valid", spec.valid.is_some()),
        ("join", spec.join.is_some()),
        ("aggregate", spec.aggregate.is_some()),
        ("explode", spec.explode.is_some()),
        ("dedupe", spec.dedupe.is_some()),
        ("override", spec.r#override.is_some()),
        ("wasm", spec.wasm.is_some()),
    ];
    all.into_iter()
        .filter_map(|(name, is_given)| is_given.then_some(name))
        .collect()
}

/// The first key of a stage that comes after the operation.
fn refinement(spec: &StageSpec) -> Option<&'static str> {
    let all = [
        ("let", spec.r#let.is_some()),
        ("where", spec.r#where.is_some()),
        ("select", spec.select.is_some()),
    ];
    all.into_iter()
        .find_map(|(name, is_given)| is_given.then_some(name))
}

/// The one function of an aggregate value: its key, itself, its column.
fn function(spec: &AggSpec) -> Option<(&'static str, AggFn, &String)> {
    let AggSpec {
        sum,
        count,
        min,
        max,
        avg,
    } = spec;
    let all = [
        ("sum", AggFn::Sum, sum),
        ("count", AggFn::Count, count),
        ("min", AggFn::Min, min),
        ("max", AggFn::Max, max),
        ("avg", AggFn::Avg, avg),
    ];
    all.into_iter()
        .find_map(|(key, function, column)| column.as_ref().map(|column| (key, function, column)))
}

/// Everything that a stage reads: where in it that is said, and the name without an output.
fn references(spec: &StageSpec) -> Vec<(Vec<String>, &str)> {
    let path = |parts: &[&str]| parts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut found: Vec<(Vec<String>, &str)> = match &spec.from {
        FromSpec::One(name) => vec![(path(&["from"]), name.as_str())],
        FromSpec::Many(names) => names
            .iter()
            .enumerate()
            .map(|(index, name)| (path(&["from", &index.to_string()]), name.as_str()))
            .collect(),
        FromSpec::Named(names) => names
            .iter()
            .map(|(input, name)| (path(&["from", input]), name.as_str()))
            .collect(),
    };
    match &spec.join {
        Some(JoinsSpec::One(join)) => found.push((path(&["join", "with"]), &join.with)),
        Some(JoinsSpec::Many(joins)) => {
            found.extend(joins.iter().enumerate().map(|(index, join)| {
                (
                    path(&["join", &index.to_string(), "with"]),
                    join.with.as_str(),
                )
            }));
        }
        None => {}
    }
    found.extend(
        spec.r#override
            .as_ref()
            .map(|over| (path(&["override", "with"]), over.with.as_str())),
    );
    found
}

/// The stage of a reference, which may name one of its outputs.
fn stage_of(reference: &str) -> &str {
    reference
        .split_once('.')
        .map_or(reference, |(name, _)| name)
}
