//! Plugin stages: the plugin's own description decides what fits.

use super::{Flow, Output, Resolver, column_hint};
use crate::catalog::{Port, Problem, Shape};
use crate::codes;
use crate::nearest::hint;
use crate::plan::{Edge, GroupClock, OnFailure, StepPlan, WasmPlan, WorkPlan};
use crate::raw::{FromSpec, GroupClockSpec, OnFailureSpec, WasmSpec};
use crate::schema::Schema as JsonSchema;
use crate::tree::At;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use serde_json::Value as Json;
use std::collections::btree_map::Entry;
use std::io::ErrorKind;
use std::sync::Arc;
use weir_zset::meta;

/// Where plugins are when the file does not say.
const PLUGINS_DEFAULT: &str = "plugins";

impl Resolver<'_, '_> {
    /// `at` is the stage.
    pub(super) fn wasm(
        &mut self,
        at: &At,
        stage: &str,
        from: &FromSpec,
        spec: &WasmSpec,
    ) -> Output {
        let here = at.to("wasm");
        let config = spec
            .config
            .clone()
            .unwrap_or_else(|| Json::Object(serde_json::Map::new()));
        let Some(plan) = self.settings(&here, spec, &config) else {
            return Output::Unknown;
        };
        let schema = self.world.catalog.config_schema(&plan.file);
        let fits = schema.map(|schema| self.config(&here, &spec.plugin, schema, &config));
        let shape = fits.and_then(|fits| {
            let shape = || self.world.catalog.plugin(&plan.file, &plan.config);
            fits.then(shape).transpose()
        });
        let shape = match shape {
            Ok(Some(shape)) => shape,
            Ok(None) => return Output::Unknown,
            Err(Problem {
                code,
                message,
                hint,
            }) => {
                self.findings
                    .error(&here.to("plugin"), code, message)
                    .hinted(hint);
                return Output::Unknown;
            }
        };
        if shape.inputs.is_empty() || shape.outputs.is_empty() {
            let message = format!("the plugin `{}` has no input or no output", spec.plugin);
            self.findings
                .error(&here.to("plugin"), codes::PLUGIN_SHAPE, message);
            return Output::Unknown;
        }
        self.reserved(&here, &shape);
        if shape.is_group {
            self.group(at, stage, from, spec, plan, &shape)
        } else {
            self.transform(at, stage, from, spec, plan, &shape)
        }
    }

    fn settings(&mut self, here: &At, spec: &WasmSpec, config: &Json) -> Option<WasmPlan> {
        if spec.plugin.is_empty() || spec.plugin.contains(['/', '\\', '.']) {
            let message = format!("`{}` is no name of a plugin", spec.plugin);
            let hint =
                "the file's name without `.wasm`, in the folder that `plugins` names".to_owned();
            self.findings
                .error(&here.to("plugin"), codes::BAD_NAME, message)
                .hinted(hint);
            return None;
        }
        self.data_files(&here.to("data"), spec);
        let base = self.world.base;
        let folder = self.spec.plugins.as_deref().unwrap_or(PLUGINS_DEFAULT);
        if !self.is_there(&here.to("plugin"), folder, &spec.plugin) {
            return None;
        }
        let folder = base.join(folder);
        Some(WasmPlan {
            file: folder.join(format!("{}.wasm", spec.plugin)),
            config: config.to_string(),
            data: spec
                .data
                .iter()
                .map(|(name, path)| (name.clone(), base.join(path)))
                .collect(),
            call_ms_max: spec.call_ms_max,
            memory_mib_max: spec.memory_mib_max,
            on_failure: match spec.on_failure.unwrap_or(OnFailureSpec::Stop) {
                OnFailureSpec::Stop => OnFailure::Stop,
                OnFailureSpec::DeadLetter => OnFailure::DeadLetter,
            },
        })
    }

    /// Whether the plugin is in the folder. A folder without any is one finding, however many stages look there.
    fn is_there(&mut self, at: &At, folder: &str, plugin: &str) -> bool {
        let world = self.world;
        let first = self.plugins.is_none();
        let known =
            (self.plugins).get_or_insert_with(|| world.catalog.plugins(&world.base.join(folder)));
        let found = known.iter().any(|name| name == plugin);
        if known.is_empty() {
            let at = match &self.spec.plugins {
                Some(_) => At::of(&["plugins"]),
                None => at.clone(),
            };
            if first {
                let message = format!("there are no plugins in {folder}");
                let hint = "build them, or let `plugins` name their folder, relative to this file";
                self.findings
                    .error(&at, codes::PLUGIN_MISSING, message)
                    .hinted(hint.to_owned());
            }
        } else if !found {
            let hint = hint(plugin, known.iter().map(String::as_str));
            let message = format!("there is no plugin `{plugin}` in {folder}");
            self.findings
                .error(at, codes::PLUGIN_MISSING, message)
                .hinted(hint);
        }
        found
    }

    /// Data files are there; what is in them is the plugin's affair.
    fn data_files(&mut self, at: &At, spec: &WasmSpec) {
        for (name, path) in &spec.data {
            let found = self.world.reader.file(&self.world.base.join(path));
            if found.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                let message = format!("there is no file {path}");
                let hint = "paths are relative to the pipeline file".to_owned();
                self.findings
                    .error(&at.to(name), codes::FILE_MISSING, message)
                    .hinted(hint);
            }
        }
    }

    /// Whether the config fits the plugin's own schema.
    fn config(&mut self, here: &At, plugin: &str, text: String, config: &Json) -> bool {
        let compile = |text: &String| JsonSchema::new(serde_json::from_str(text).ok()?).ok();
        let schema = match self.schemas.entry(text) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let schema = compile(new.key());
                new.insert(schema)
            }
        };
        let Some(schema) = schema else {
            let message = format!("the config schema of the plugin `{plugin}` is no JSON Schema");
            self.findings
                .error(&here.to("plugin"), codes::PLUGIN_SHAPE, message);
            return false;
        };
        let violations = schema.violations(config);
        let fits = violations.is_empty();
        for violation in violations {
            violation.report(&here.to("config"), Some(codes::BAD_CONFIG), self.findings);
        }
        fits
    }

    /// A plugin's columns leave the names of metadata alone.
    fn reserved(&mut self, here: &At, shape: &Shape) {
        let fields = shape.outputs.iter().flat_map(|port| port.schema.fields());
        for field in fields.filter(|field| meta::is_meta(field.name())) {
            let message = format!(
                "the plugin `{}` writes the column `{}`",
                shape.name,
                field.name()
            );
            let hint = "names that begin with `_` are those of record metadata".to_owned();
            self.findings
                .error(&here.to("plugin"), codes::RESERVED_NAME, message)
                .hinted(hint);
        }
    }

    fn transform(
        &mut self,
        at: &At,
        stage: &str,
        from: &FromSpec,
        spec: &WasmSpec,
        wasm: WasmPlan,
        shape: &Shape,
    ) -> Output {
        for (key, is_given) in [
            ("group_by", spec.group_by.is_some()),
            ("clock", spec.clock.is_some()),
        ] {
            if is_given {
                let message = format!(
                    "the plugin `{}` works row by row, so it takes no `{key}`",
                    spec.plugin
                );
                self.findings
                    .key_error(&at.to("wasm").to(key), codes::PLUGIN_SHAPE, message);
            }
        }
        let ([input], [output]) = (&shape.inputs[..], &shape.outputs[..]) else {
            let message = format!(
                "the plugin `{}` does not have one input and one output",
                spec.plugin
            );
            self.findings
                .error(&at.to("wasm").to("plugin"), codes::PLUGIN_SHAPE, message);
            return Output::Unknown;
        };
        let Some(flow) = self.input(at, stage, from) else {
            return Output::Unknown;
        };
        self.fits(&at.to("from"), &flow.schema, input, &spec.plugin);
        let meta = flow
            .schema
            .fields()
            .iter()
            .filter(|field| meta::is_meta(field.name()));
        let fields: Vec<_> = output.schema.fields().iter().chain(meta).cloned().collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let edge = Edge::Step {
            step: self.steps.len(),
            port: 0,
        };
        self.steps.push(StepPlan {
            stage: stage.to_owned(),
            inputs: vec![(String::new(), flow.edge)],
            work: WorkPlan::Transform(wasm),
            outputs: vec![(String::new(), Arc::clone(&schema))],
        });
        Output::One(Flow {
            edge,
            schema,
            is_log: flow.is_log,
        })
    }

    fn group(
        &mut self,
        at: &At,
        stage: &str,
        from: &FromSpec,
        spec: &WasmSpec,
        wasm: WasmPlan,
        shape: &Shape,
    ) -> Output {
        let inputs = self.group_inputs(at, stage, from, shape, &spec.plugin);
        if let Some(by) = &spec.group_by {
            self.group_keys(&at.to("wasm").to("group_by"), by, &inputs, shape);
        } else {
            let message = format!(
                "the plugin `{}` works group by group: the key `group_by` is missing",
                spec.plugin
            );
            self.findings
                .error(&at.to("wasm"), codes::MISSING_KEY, message);
        }
        let step = self.steps.len();
        self.steps.push(StepPlan {
            stage: stage.to_owned(),
            inputs: inputs
                .iter()
                .map(|(name, flow)| (name.clone(), flow.edge))
                .collect(),
            work: WorkPlan::Group {
                wasm,
                by: spec.group_by.clone().unwrap_or_default(),
                clock: match spec.clock {
                    Some(GroupClockSpec::Date) => GroupClock::Date,
                    None => GroupClock::None,
                },
            },
            outputs: match &shape.outputs[..] {
                [only] => vec![(String::new(), Arc::clone(&only.schema))],
                several => several
                    .iter()
                    .map(|port| (port.name.clone(), Arc::clone(&port.schema)))
                    .collect(),
            },
        });
        let flow = |(port, output): (usize, &Port)| {
            let edge = Edge::Step { step, port };
            (
                output.name.clone(),
                Flow {
                    edge,
                    schema: Arc::clone(&output.schema),
                    is_log: false,
                },
            )
        };
        let mut flows: Vec<_> = shape.outputs.iter().enumerate().map(flow).collect();
        match flows.len() {
            1 => Output::One(flows.remove(0).1),
            _ => Output::Several(flows),
        }
    }

    /// The inputs in the plugin's order, as far as they are known.
    fn group_inputs(
        &mut self,
        at: &At,
        stage: &str,
        from: &FromSpec,
        shape: &Shape,
        plugin: &str,
    ) -> Vec<(String, Flow)> {
        let here = at.to("from");
        let FromSpec::Named(named) = from else {
            return self
                .group_input(at, stage, from, shape, plugin)
                .into_iter()
                .collect();
        };
        for name in named
            .keys()
            .filter(|name| !shape.inputs.iter().any(|port| port.name == **name))
        {
            let hint = hint(name, shape.inputs.iter().map(|port| port.name.as_str()));
            let message = format!("the plugin `{plugin}` has no input `{name}`");
            self.findings
                .key_error(&here.to(name), codes::UNKNOWN_PORT, message)
                .hinted(hint);
            self.flow(&here.to(name), &named[name]);
        }
        let mut inputs = Vec::new();
        for port in &shape.inputs {
            let Some(reference) = named.get(&port.name) else {
                let message = format!(
                    "the plugin `{plugin}` takes an input `{}`, which is not given",
                    port.name
                );
                self.findings.error(&here, codes::MISSING_INPUT, message);
                continue;
            };
            let at = here.to(&port.name);
            if let Some(flow) = self.flow(&at, reference) {
                self.fits(&at, &flow.schema, port, plugin);
                inputs.push((port.name.clone(), flow));
            }
        }
        inputs
    }

    /// The one input that is given without a name.
    fn group_input(
        &mut self,
        at: &At,
        stage: &str,
        from: &FromSpec,
        shape: &Shape,
        plugin: &str,
    ) -> Option<(String, Flow)> {
        let flow = self.input(at, stage, from);
        let here = at.to("from");
        let [port] = &shape.inputs[..] else {
            let names: Vec<String> = shape
                .inputs
                .iter()
                .map(|port| format!("{}: stage", port.name))
                .collect();
            let message = format!("the plugin `{plugin}` takes several inputs by name");
            let hint = format!("write `from: {{ {} }}`", names.join(", "));
            self.findings
                .error(&here, codes::MISSING_INPUT, message)
                .hinted(hint);
            return None;
        };
        let flow = flow?;
        self.fits(&here, &flow.schema, port, plugin);
        Some((port.name.clone(), flow))
    }

    /// Key columns are in all inputs and outputs, with one type.
    fn group_keys(&mut self, at: &At, by: &[String], inputs: &[(String, Flow)], shape: &Shape) {
        for (index, column) in by.iter().enumerate() {
            let at = at.to(&index);
            let mut kind: Option<DataType> = None;
            let sides = (inputs
                .iter()
                .map(|(name, flow)| ("input", name, &flow.schema)))
            .chain(
                shape
                    .outputs
                    .iter()
                    .map(|port| ("output", &port.name, &port.schema)),
            );
            for (side, name, schema) in sides {
                let is_asked_for =
                    |port: &Port| port.name == *name && is_required(&port.schema, column);
                match (schema.field_with_name(column), &kind) {
                    // Then it is missed already as a column of the plugin.
                    (Err(_), _) if side == "input" && shape.inputs.iter().any(is_asked_for) => {}
                    (Err(_), _) => {
                        let message = format!("the {side} `{name}` has no column `{column}`");
                        let hint = column_hint(column, schema);
                        self.findings
                            .error(&at, codes::MISSING_COLUMN, message)
                            .hinted(hint);
                    }
                    (Ok(field), None) => kind = Some(field.data_type().clone()),
                    (Ok(field), Some(kind)) if field.data_type() != kind => {
                        let found = field.data_type();
                        let message =
                            format!("`{column}` is {found} in the {side} `{name}`, {kind} before");
                        self.findings.error(&at, codes::WRONG_TYPE, message);
                    }
                    (Ok(_), Some(_)) => {}
                }
            }
        }
    }

    /// Whether rows of this schema can go into a plugin's input.
    fn fits(&mut self, at: &At, schema: &SchemaRef, port: &Port, plugin: &str) {
        for wanted in port.schema.fields() {
            let (name, kind) = (wanted.name(), wanted.data_type());
            match schema.field_with_name(name) {
                Err(_) if wanted.is_nullable() => {}
                Err(_) => {
                    let message =
                        format!("the plugin `{plugin}` asks for a column `{name}` ({kind})");
                    self.findings
                        .error(at, codes::MISSING_COLUMN, message)
                        .hinted(column_hint(name, schema));
                }
                Ok(found) if !is_same_kind(found.data_type(), kind) => {
                    let found = found.data_type();
                    let message = format!(
                        "the plugin `{plugin}` asks for `{name}` as {kind}, here it is {found}"
                    );
                    self.findings.error(at, codes::WRONG_TYPE, message);
                }
                Ok(found) if found.is_nullable() && !wanted.is_nullable() => {
                    let message =
                        format!("`{name}` may be null, the plugin `{plugin}` takes no null there");
                    let hint = format!(
                        "give nulls a value: `let: {{ {name}: \"coalesce({name}, ...)\" }}`"
                    );
                    self.findings
                        .error(at, codes::NULLABLE_COLUMN, message)
                        .hinted(hint);
                }
                Ok(_) => {}
            }
        }
    }
}

/// Whether a plugin's input must have this column.
fn is_required(schema: &SchemaRef, column: &str) -> bool {
    schema
        .field_with_name(column)
        .is_ok_and(|field| !field.is_nullable())
}

/// Whether two types are the same across the plugin border, which does not know names of list elements nor whether
/// nested values may be null.
fn is_same_kind(left: &DataType, right: &DataType) -> bool {
    match (left, right) {
        (DataType::List(left), DataType::List(right)) => {
            is_same_kind(left.data_type(), right.data_type())
        }
        (DataType::Struct(left), DataType::Struct(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(l, r)| {
                    l.name() == r.name() && is_same_kind(l.data_type(), r.data_type())
                })
        }
        _ => left == right,
    }
}
