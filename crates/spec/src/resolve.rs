//! The raw spec to a plan: every name found, every edge typed, every finding placed.
//!
//! An edge whose type is not known, because of a finding, is passed on as unknown; what follows from it alone is
//! not reported again.

mod letters;
mod sinks;
mod sources;
mod stages;
mod tables;
mod wasm;

use crate::catalog::Catalog;
use crate::codes;
use crate::diagnostic::{Findings, Severity};
use crate::interpolate::Reader;
use crate::nearest::hint;
use crate::plan::{Edge, Plan, SourcePlan, StepPlan};
use crate::raw::PipelineSpec;
use crate::schema::Schema;
use crate::tree::{At, Place};
use arrow::datatypes::SchemaRef;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use weir_zset::meta;

/// What is outside of the file.
pub(crate) struct World<'a> {
    pub(crate) base: &'a Path,
    pub(crate) reader: &'a dyn Reader,
    pub(crate) catalog: &'a dyn Catalog,
}

/// Sections whose entries stand for themselves, so that one that does not fit the schema is left out alone.
const SECTIONS: [&str; 6] = [
    "clusters",
    "registries",
    "sources",
    "stages",
    "tables",
    "sinks",
];

/// What was left out of the raw spec because it does not fit the schema.
#[derive(Debug, Default)]
pub(crate) struct Broken {
    /// Section and entry.
    entries: BTreeSet<(String, String)>,
    /// Views by index.
    views: BTreeSet<usize>,
    /// Other keys of the file.
    keys: BTreeSet<String>,
}

impl Broken {
    /// Takes note of a violation at this path.
    pub(crate) fn note(&mut self, path: &[String]) {
        match path {
            [section, name, ..] if SECTIONS.contains(&section.as_str()) => {
                self.entries.insert((section.clone(), name.clone()));
            }
            [section, index, ..] if section == "views" => {
                self.views.extend(index.parse::<usize>().ok());
            }
            [key, ..] => {
                self.keys.insert(key.clone());
            }
            [] => {}
        }
    }

    /// Removes what was noted, and the keys that are free for anything; puts blanks where something must stand.
    pub(crate) fn remove_from(&self, json: &mut Json) {
        let Some(root) = json.as_object_mut() else {
            return;
        };
        root.retain(|key, _| !key.starts_with("x-") && !self.keys.contains(key));
        // Without a readable name there is still much to say about stages.
        root.entry("weir").or_insert_with(|| 1.into());
        root.entry("name").or_insert_with(|| "".into());
        root.entry("sources")
            .or_insert_with(|| Json::Object(serde_json::Map::new()));
        for (section, name) in &self.entries {
            if let Some(section) = root.get_mut(section).and_then(Json::as_object_mut) {
                section.shift_remove(name);
            }
        }
        for &index in &self.views {
            if let Some(view) = root.get_mut("views").and_then(|views| views.get_mut(index)) {
                *view = Json::Null;
            }
        }
    }

    /// Whether this entry was left out, or its whole section.
    fn has(&self, section: &str, name: &str) -> bool {
        self.keys.contains(section)
            || self
                .entries
                .contains(&(section.to_owned(), name.to_owned()))
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.views.is_empty() && self.keys.is_empty()
    }
}

/// Rows of a known type.
#[derive(Clone, Debug)]
struct Flow {
    edge: Edge,
    schema: SchemaRef,
    /// Whether they are still records in offset order.
    is_log: bool,
}

/// What a source or stage gives.
#[derive(Clone, Debug)]
enum Output {
    /// Something, but a finding says why its type is not known.
    Unknown,
    /// One kind of rows.
    One(Flow),
    /// Several, by name.
    Several(Vec<(String, Flow)>),
}

/// Resolves what is left of the spec. The plan is meaningless if there are errors.
pub(crate) fn resolve(
    spec: &PipelineSpec,
    broken: &Broken,
    world: &World<'_>,
    findings: &mut Findings<'_>,
) -> Plan {
    let mut resolver = Resolver {
        spec,
        broken,
        world,
        findings,
        sources: Vec::new(),
        steps: Vec::new(),
        forgets: Vec::new(),
        outputs: BTreeMap::new(),
        used: BTreeSet::new(),
        schemas: BTreeMap::new(),
        plugins: None,
    };
    if spec.weir != 1 {
        let message = format!(
            "this Weir knows version 1 of the grammar, not {}",
            spec.weir
        );
        resolver
            .findings
            .error(&At::of(&["weir"]), codes::UNKNOWN_VERSION, message);
    }
    let engine = resolver.engine();
    resolver.sources();
    resolver.stages();
    let forgets = resolver.forgets();
    let (tables, types) = resolver.tables();
    let (sink_tables, sinks) = resolver.sinks(&tables, &types);
    let letters = resolver.letters(&sinks);
    let limit = resolver.pipeline_limit();
    let letters_bytes_max = resolver.letters_bytes_max();
    let views = resolver.views(&types);
    resolver.unused();
    Plan {
        name: spec.name.clone(),
        engine,
        sources: resolver.sources,
        steps: resolver.steps,
        forgets,
        tables,
        sink_tables,
        sinks,
        letters,
        limit,
        letters_bytes_max,
        views,
    }
}

/// The nearest column, else the columns; metadata only when a name is asked for that looks like it.
fn column_hint(column: &str, schema: &SchemaRef) -> Option<String> {
    let names = schema.fields().iter().map(|field| field.name().as_str());
    hint(
        column,
        names.filter(|name| meta::is_meta(name) == meta::is_meta(column)),
    )
}

/// The state of one resolution.
struct Resolver<'r, 'f> {
    spec: &'r PipelineSpec,
    broken: &'r Broken,
    world: &'r World<'r>,
    findings: &'r mut Findings<'f>,
    sources: Vec<SourcePlan>,
    steps: Vec<StepPlan>,
    /// Stages that forget keys: where that is said, its step, its key, the stage that names them.
    forgets: Vec<(At, usize, Vec<String>, String)>,
    /// By name of source or stage.
    outputs: BTreeMap<String, Output>,
    /// Section and name of what something refers to.
    used: BTreeSet<(&'static str, String)>,
    /// Plugins' config schemas by their text; `None` for one that is no schema.
    schemas: BTreeMap<String, Option<Schema>>,
    /// The plugins that are there, once a stage wants one.
    plugins: Option<Vec<String>>,
}

impl Resolver<'_, '_> {
    /// The rows that a reference (`stage` or `stage.output`) names; `None` after a finding, here or before.
    fn flow(&mut self, at: &At, reference: &str) -> Option<Flow> {
        let (name, port) = reference
            .split_once('.')
            .map_or((reference, None), |(name, port)| (name, Some(port)));
        self.used.insert(("sources", name.to_owned()));
        self.used.insert(("stages", name.to_owned()));
        match (self.outputs.get(name), port) {
            (Some(Output::One(flow)), None) => Some(flow.clone()),
            (Some(Output::Several(ports)), Some(port)) => {
                let found = ports
                    .iter()
                    .find(|(known, _)| known == port)
                    .map(|(_, flow)| flow.clone());
                if found.is_none() {
                    let hint = hint(port, ports.iter().map(|(known, _)| known.as_str()));
                    let message = format!("`{name}` has no output `{port}`");
                    self.findings
                        .error(at, codes::UNKNOWN_PORT, message)
                        .hinted(hint);
                }
                found
            }
            (Some(Output::One(_)), Some(port)) => {
                let message =
                    format!("`{name}` has one output only, so there is no `{name}.{port}`");
                let hint = self.other_name(reference);
                self.findings
                    .error(at, codes::UNKNOWN_PORT, message)
                    .hinted(hint.unwrap_or_else(|| format!("write `{name}`")));
                None
            }
            (Some(Output::Several(ports)), None) => {
                let known: Vec<String> = ports
                    .iter()
                    .map(|(port, _)| format!("{name}.{port}"))
                    .collect();
                let message = format!("`{name}` has several outputs");
                self.findings
                    .error(at, codes::PORT_NEEDED, message)
                    .hinted(format!("name one: {}", known.join(", ")));
                None
            }
            (Some(Output::Unknown), _) => None,
            (None, _) => {
                self.unknown_reference(at, name, reference);
                None
            }
        }
    }

    /// What else in the file goes by this name: a source's topic, or a table.
    fn other_name(&self, reference: &str) -> Option<String> {
        let mut sources = self.spec.sources.iter();
        let source = sources.find(|(_, source)| source.kafka.topic == reference);
        let topic = |name| format!("`{reference}` is the topic of the source `{name}`: write that");
        let table = |from| format!("`{reference}` is a table: write what it is from, `{from}`");
        source.map(|(name, _)| topic(name)).or_else(|| {
            let found = self.spec.tables.get(reference)?;
            Some(table(&found.from))
        })
    }

    fn unknown_reference(&mut self, at: &At, name: &str, reference: &str) {
        if !self.broken.has("sources", name) && !self.broken.has("stages", name) {
            let spec = self.spec;
            let known = spec
                .sources
                .keys()
                .chain(spec.stages.keys())
                .map(String::as_str);
            let message = format!("there is no source or stage `{name}`");
            let hint = self.other_name(reference).or_else(|| hint(name, known));
            self.findings
                .error(at, codes::UNKNOWN_REFERENCE, message)
                .hinted(hint);
        }
    }

    /// Whether the rows have this column; if not, it is reported at the value there.
    fn has_column(&mut self, at: &At, schema: &SchemaRef, column: &str) -> bool {
        let place = *self.findings.root.place_at(at);
        self.has_column_at(&place, schema, column)
    }

    /// The same, reported at the key there.
    fn has_key_column(&mut self, at: &At, schema: &SchemaRef, column: &str) -> bool {
        let place = *self.findings.root.key_place_at(at);
        self.has_column_at(&place, schema, column)
    }

    fn has_column_at(&mut self, place: &Place, schema: &SchemaRef, column: &str) -> bool {
        let has = schema.index_of(column).is_ok();
        if !has {
            let message = format!("there is no column `{column}`");
            let found =
                self.findings
                    .sink
                    .put(Severity::Error, place, codes::UNKNOWN_COLUMN, message);
            found.hinted(column_hint(column, schema));
        }
        has
    }

    /// Whether a column may be named so; if not, it is reported at the key or value there.
    fn is_free_name(&mut self, at: &At, column: &str) -> bool {
        let is_free = !meta::is_meta(column);
        if !is_free {
            let message = format!("a column cannot be named `{column}`");
            let hint = "names that begin with `_` are those of record metadata".to_owned();
            self.findings
                .key_error(at, codes::RESERVED_NAME, message)
                .hinted(hint);
        }
        is_free
    }

    /// Reports a name that is no identifier (it could not stand in an address or an expression).
    fn check_name(&mut self, at: &At, what: &str, name: &str) {
        let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_good = name.starts_with(is_start)
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_good {
            let message = format!("`{name}` is no name for a {what}");
            self.findings
                .key_error(at, codes::BAD_NAME, message)
                .hinted("letters, digits and `_`, not beginning with a digit".to_owned());
        }
    }

    /// Warnings about what nothing refers to. Not when something could not be read: that may be what refers to it.
    fn unused(&mut self) {
        if !self.broken.is_empty() || self.findings.sink.has_errors() {
            return;
        }
        let spec = self.spec;
        let all = (spec
            .clusters
            .keys()
            .map(|name| ("clusters", "cluster", name)))
        .chain(
            spec.registries
                .keys()
                .map(|name| ("registries", "registry", name)),
        )
        .chain(spec.sources.keys().map(|name| ("sources", "source", name)))
        .chain(spec.stages.keys().map(|name| ("stages", "stage", name)));
        for (section, what, name) in all {
            if !self.used.contains(&(section, name.clone())) {
                let at = At::of(&[section, name]);
                let message = format!("nothing uses the {what} `{name}`");
                self.findings.key_warning(&at, codes::UNUSED, message);
            }
        }
    }
}
