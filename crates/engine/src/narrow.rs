//! Which columns each step is handed: those that its answers or its refusals hang on, and no others. What
//! nobody wants is neither made nor carried along nor kept.

use crate::step::{Fault, is_log, schema_of};
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;
use weir_spec::Plan;
use weir_spec::plan::{Edge, StepPlan, WorkPlan};
use weir_stage::Plugins;
use weir_zset::meta;
use weir_zset::op::Names;

/// The columns in use.
pub(crate) struct Narrow {
    /// Of each source.
    pub(crate) sources: Vec<Names>,
    /// Of each step's inputs.
    pub(crate) inputs: Vec<Vec<Names>>,
    /// Of each step's outputs.
    pub(crate) outputs: Vec<Vec<Names>>,
}

impl Narrow {
    /// From the tables back to the sources. An edge that nobody reads keeps its columns.
    pub(crate) fn of(plan: &Plan, plugins: &dyn Plugins) -> Result<Self, Fault> {
        let mut wanted: BTreeMap<Edge, Names> = BTreeMap::new();
        for table in plan.all_tables() {
            let schema = schema_of(plan, table.from);
            let shown = names(&schema).filter(|name| !meta::is_meta(name));
            wanted.entry(table.from).or_default().extend(shown);
        }
        for forget in &plan.forgets {
            let key = forget.key.iter().cloned();
            wanted.entry(forget.from).or_default().extend(key);
        }
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for (index, step) in plan.steps.iter().enumerate().rev() {
            let of_step: Vec<Names> = (0..step.outputs.len())
                .map(|port| taken(plan, &mut wanted, Edge::Step { step: index, port }))
                .collect();
            let needs = needs(plan, step, &of_step[0], plugins)?;
            for ((_, edge), needs) in step.inputs.iter().zip(&needs) {
                let wanted = wanted.entry(*edge).or_default();
                wanted.extend(needs.iter().cloned());
            }
            inputs.push(needs);
            outputs.push(of_step);
        }
        inputs.reverse();
        outputs.reverse();
        let sources = (0..plan.sources.len())
            .map(|source| taken(plan, &mut wanted, Edge::Source(source)))
            .collect();
        Ok(Self {
            sources,
            inputs,
            outputs,
        })
    }
}

fn taken(plan: &Plan, wanted: &mut BTreeMap<Edge, Names>, edge: Edge) -> Names {
    let wanted = wanted.remove(&edge).filter(|wanted| !wanted.is_empty());
    wanted.unwrap_or_else(|| names(&schema_of(plan, edge)).collect())
}

/// What a step reads of each input.
fn needs(
    plan: &Plan,
    step: &StepPlan,
    wanted: &Names,
    plugins: &dyn Plugins,
) -> Result<Vec<Names>, Fault> {
    let schemas: Vec<SchemaRef> = step
        .inputs
        .iter()
        .map(|(_, edge)| schema_of(plan, *edge))
        .collect();
    let all = || {
        schemas
            .iter()
            .map(|schema| names(schema).collect())
            .collect()
    };
    let needs: Vec<Names> = match &step.work {
        WorkPlan::Op(spec) => spec
            .needs(&schemas, wanted)
            .map_err(|source| Fault::Operator {
                stage: step.stage.clone(),
                source,
            })?,
        WorkPlan::Transform(wasm) if is_log(plan, step.inputs[0].1) => {
            let shape = plugins.shape(&wasm.file, &wasm.config)?;
            let asked = |name: &String| {
                let ports = shape.inputs.first();
                ports.is_none_or(|port| port.schema.index_of(name).is_ok())
            };
            let is_read = |name: &String| {
                asked(name)
                    || meta::PLACE.contains(&name.as_str())
                    || meta::is_meta(name) && wanted.contains(name)
            };
            vec![names(&schemas[0]).filter(is_read).collect()]
        }
        // What they keep and refuse later are whole rows.
        WorkPlan::Transform(_) | WorkPlan::Group { .. } => all(),
    };
    let or_all = |(needs, schema): (Names, &SchemaRef)| {
        if needs.is_empty() {
            names(schema).collect()
        } else {
            needs
        }
    };
    Ok(needs.into_iter().zip(&schemas).map(or_all).collect())
}

fn names(schema: &SchemaRef) -> impl Iterator<Item = String> + '_ {
    schema.fields().iter().map(|field| field.name().clone())
}
