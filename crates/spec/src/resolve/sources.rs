//! Engine settings, clusters, registries and sources.

use super::{Flow, Output, Resolver};
use crate::catalog::Problem;
use crate::codes;
use crate::nearest::{hint, nearest};
use crate::plan::{
    CheckpointPlan, ClockPlan, DecodePlan, Edge, EncodingPlan, EnginePlan, SourcePlan, StartPlan,
};
use crate::raw::{
    ClockSpec, DecodeSpec, EncodingSpec, EngineSpec, KeyValueSpec, OnIncompatibleSpec, ScalarSpec,
    SourceSpec, ValueSpec,
};
use crate::tree::At;
use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimestampMicrosecondType};
use indexmap::IndexMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_zset::meta;

type Properties = IndexMap<String, ScalarSpec>;

impl Resolver<'_, '_> {
    pub(super) fn engine(&mut self) -> EnginePlan {
        let at = At::of(&["engine"]);
        let EngineSpec {
            cycle_min_ms,
            cycle_max_ms,
            epoch_rows_max,
            epoch_bytes_max,
            workers,
            clock,
            max_ahead_ms,
            checkpoint,
        } = &self.spec.engine;
        let clock = match clock.unwrap_or(ClockSpec::Event) {
            ClockSpec::Event => ClockPlan::Event {
                max_ahead_ms: max_ahead_ms.unwrap_or(3_600_000),
            },
            ClockSpec::Tick => {
                if max_ahead_ms.is_some() {
                    let message = "`max_ahead_ms` means nothing with `clock: tick`";
                    self.findings
                        .key_warning(&at.to("max_ahead_ms"), codes::UNUSED, message);
                }
                ClockPlan::Tick
            }
        };
        let plan = EnginePlan {
            cycle_min_ms: cycle_min_ms.unwrap_or(20),
            cycle_max_ms: cycle_max_ms.unwrap_or(250),
            epoch_rows_max: epoch_rows_max.unwrap_or(65_536) as usize,
            epoch_bytes_max: usize::try_from(epoch_bytes_max.unwrap_or(64 << 20))
                .unwrap_or(usize::MAX),
            workers: workers.unwrap_or(2) as usize,
            clock,
            checkpoint: checkpoint.as_ref().map(|checkpoint| CheckpointPlan {
                every_s: checkpoint.every_s.unwrap_or(10).into(),
                to: self.world.base.join(&checkpoint.to),
            }),
        };
        if plan.cycle_min_ms > plan.cycle_max_ms {
            let message = format!(
                "the shortest cycle, {} ms, is longer than the longest, {} ms",
                plan.cycle_min_ms, plan.cycle_max_ms
            );
            let given = if cycle_min_ms.is_some() {
                "cycle_min_ms"
            } else {
                "cycle_max_ms"
            };
            self.findings
                .error(&at.to(given), codes::BAD_VALUE, message);
        }
        plan
    }

    pub(super) fn sources(&mut self) {
        self.connections();
        let spec = self.spec;
        for (name, source) in &spec.sources {
            let at = At::of(&["sources", name]);
            self.check_name(&at, "source", name);
            let plan = self.source(&at, name, source);
            let output = plan.map_or(Output::Unknown, |plan| {
                let edge = Edge::Source(self.sources.len());
                let flow = Flow {
                    edge,
                    schema: Arc::clone(&plan.schema),
                    is_log: true,
                };
                self.sources.push(plan);
                Output::One(flow)
            });
            self.outputs.insert(name.clone(), output);
        }
        for name in spec
            .stages
            .keys()
            .filter(|name| spec.sources.contains_key(*name))
        {
            let message = format!("there is a source `{name}` too");
            self.findings
                .key_error(&At::of(&["stages", name]), codes::DUPLICATE_NAME, message)
                .hinted("sources and stages share their names: rename one".to_owned());
        }
    }

    /// Clusters and registries.
    fn connections(&mut self) {
        let spec = self.spec;
        for (name, properties) in &spec.clusters {
            let at = At::of(&["clusters", name]);
            self.needs(&at, properties, "bootstrap.servers");
            self.client_properties(&at, properties);
        }
        for (name, properties) in &spec.registries {
            self.needs(&At::of(&["registries", name]), properties, "url");
        }
    }

    fn needs(&mut self, at: &At, properties: &Properties, key: &str) {
        if !properties.contains_key(key) {
            let instead = nearest(key, properties.keys().map(String::as_str));
            let hint = instead.map(|instead| format!("is `{instead}` meant for it?"));
            self.findings
                .error(
                    at,
                    codes::MISSING_KEY,
                    format!("the key `{key}` is missing"),
                )
                .hinted(hint);
        }
    }

    pub(super) fn client_properties(&mut self, at: &At, properties: &Properties) {
        for (key, value) in properties {
            if let Some(Problem {
                code,
                message,
                hint,
            }) = self.world.catalog.client_property(key, &value.0)
            {
                self.findings
                    .key_error(&at.to(key), code, message)
                    .hinted(hint);
            }
        }
    }

    fn source(&mut self, at: &At, name: &str, source: &SourceSpec) -> Option<SourcePlan> {
        let kafka = at.to("kafka");
        let properties = self.cluster(&kafka.to("cluster"), &source.kafka.cluster);
        self.client_properties(&kafka.to("properties"), &source.kafka.properties);
        let start = self.start(&kafka.to("start"), source.kafka.start.as_deref());
        let decode = self.decode(&at.to("decode"), source)?;
        let schema = self.columns(&at.to("decode"), source, &decode)?;
        if let Some(field) = schema
            .fields()
            .iter()
            .find(|field| meta::is_meta(field.name()))
        {
            let message = format!("the schema of `{name}` has the field `{}`", field.name());
            let hint = "names that begin with `_` are those of record metadata".to_owned();
            self.findings
                .error(&at.to("decode"), codes::RESERVED_NAME, message)
                .hinted(hint);
        }
        let fields: Vec<_> = meta::fields()
            .into_iter()
            .chain(schema.fields().iter().cloned())
            .collect();
        let mut properties = properties.unwrap_or_default();
        properties.extend(texts(&source.kafka.properties));
        Some(SourcePlan {
            name: name.to_owned(),
            topic: source.kafka.topic.clone(),
            properties,
            start,
            silent_after_s: source.silent_after_s.map(u64::from),
            decode,
            schema: Arc::new(Schema::new(fields)),
            limit: self.source_limit(source),
        })
    }

    pub(super) fn cluster(&mut self, at: &At, name: &str) -> Option<BTreeMap<String, String>> {
        self.used.insert(("clusters", name.to_owned()));
        let spec = self.spec;
        let found = spec.clusters.get(name).map(texts);
        if found.is_none() && !self.broken.has("clusters", name) {
            let message = format!("there is no cluster `{name}`");
            let hint = hint(name, spec.clusters.keys().map(String::as_str));
            self.findings
                .error(at, codes::UNKNOWN_CLUSTER, message)
                .hinted(hint);
        }
        found
    }

    pub(super) fn registry(&mut self, at: &At, name: &str) -> Option<BTreeMap<String, String>> {
        self.used.insert(("registries", name.to_owned()));
        let spec = self.spec;
        let found = spec.registries.get(name).map(texts);
        if found.is_none() && !self.broken.has("registries", name) {
            let message = format!("there is no schema registry `{name}`");
            let hint = hint(name, spec.registries.keys().map(String::as_str));
            self.findings
                .error(at, codes::UNKNOWN_REGISTRY, message)
                .hinted(hint);
        }
        found
    }

    fn start(&mut self, at: &At, start: Option<&str>) -> StartPlan {
        match start {
            None | Some("earliest") => StartPlan::Earliest,
            Some("latest") => StartPlan::Latest,
            Some(text) => instant_us(text).map_or_else(
                || {
                    let message = format!("`{text}` is neither earliest, latest nor an instant");
                    let hint = "an instant names its offset: 2026-03-02T00:00:00Z".to_owned();
                    self.findings
                        .error(at, codes::BAD_VALUE, message)
                        .hinted(hint);
                    StartPlan::Earliest
                },
                StartPlan::At,
            ),
        }
    }

    fn decode(&mut self, at: &At, source: &SourceSpec) -> Option<DecodePlan> {
        let value = match &source.decode {
            DecodeSpec::Text(_) => EncodingPlan::Text,
            DecodeSpec::By(encoding) => self.encoding(at, encoding)?,
            DecodeSpec::Both(both) => match &both.value {
                ValueSpec::Text(_) => EncodingPlan::Text,
                ValueSpec::By(encoding) => self.encoding(&at.to("value"), encoding)?,
            },
        };
        let mut plan = DecodePlan::of(value, source.tombstones);
        if let DecodeSpec::Both(both) = &source.decode {
            if let Some(ValueSpec::By(encoding)) = &both.key {
                plan.key = Some(self.encoding(&at.to("key"), encoding)?);
            }
            let headers = both.headers.iter();
            plan.headers = headers
                .map(|(column, name)| (column.clone(), name.clone()))
                .collect();
        }
        Some(plan)
    }

    /// The columns of value, key and headers.
    fn columns(&mut self, at: &At, source: &SourceSpec, decode: &DecodePlan) -> Option<SchemaRef> {
        let value = DecodePlan::of(decode.value.clone(), decode.tombstones);
        let value = self.decoded(&schema_at(at, &source.decode), &value)?;
        let mut fields: Vec<FieldRef> = value.fields().iter().cloned().collect();
        if let Some(key) = &decode.key {
            let at = at.to("key");
            let of_it = match &source.decode {
                DecodeSpec::Both(KeyValueSpec {
                    key: Some(ValueSpec::By(encoding)),
                    ..
                }) => encoding_at(&at, encoding),
                _ => at,
            };
            let key = self.decoded(&of_it, &DecodePlan::of(key.clone(), false))?;
            fields.extend(key.fields().iter().map(|field| {
                let name = format!("key_{}", field.name());
                Arc::new(field.as_ref().clone().with_name(name))
            }));
        }
        for (column, _) in &decode.headers {
            self.is_free_name(&at.to("headers").to(column), column);
            fields.push(Arc::new(Field::new(column, DataType::Utf8, true)));
        }
        let mut names = BTreeSet::new();
        for field in &fields {
            if !names.insert(field.name()) {
                let message = format!("two columns would be named `{}`", field.name());
                let hint = "a key's columns are named `key_<field>`, a header's as `headers` says";
                self.findings
                    .error(at, codes::DUPLICATE_COLUMN, message)
                    .hinted(hint.to_owned());
                return None;
            }
        }
        Some(Arc::new(Schema::new(fields)))
    }

    /// The columns that one encoding gives.
    fn decoded(&mut self, at: &At, decode: &DecodePlan) -> Option<SchemaRef> {
        match self.world.catalog.decoded(decode) {
            Ok(schema) => Some(schema),
            Err(Problem {
                code,
                message,
                hint,
            }) => {
                self.findings.error(at, code, message).hinted(hint);
                None
            }
        }
    }

    /// The one encoding that is given; the schema sees to it that there is one.
    fn encoding(&mut self, at: &At, encoding: &EncodingSpec) -> Option<EncodingPlan> {
        let base = self.world.base;
        let json = encoding.json.as_ref().map(|json| EncodingPlan::Json {
            schema: base.join(&json.schema),
        });
        json.or_else(|| {
            let avro = encoding.avro.as_ref()?;
            let registry = self.registry(&at.to("avro").to("registry"), &avro.registry);
            Some(EncodingPlan::Avro {
                schema: base.join(&avro.schema),
                registry: registry.unwrap_or_default(),
                refuses_incompatible: avro.on_incompatible == Some(OnIncompatibleSpec::DeadLetter),
            })
        })
    }
}

/// Where the schema of a source's values is named.
fn schema_at(at: &At, decode: &DecodeSpec) -> At {
    let (at, encoding) = match decode {
        DecodeSpec::By(encoding) => (at.clone(), encoding),
        DecodeSpec::Both(KeyValueSpec {
            value: ValueSpec::By(encoding),
            ..
        }) => (at.to("value"), encoding),
        _ => return at.clone(),
    };
    encoding_at(&at, encoding)
}

fn encoding_at(at: &At, encoding: &EncodingSpec) -> At {
    let key = if encoding.json.is_some() {
        "json"
    } else {
        "avro"
    };
    at.to(key).to("schema")
}

pub(super) fn texts(properties: &Properties) -> BTreeMap<String, String> {
    properties
        .iter()
        .map(|(key, value)| (key.clone(), value.0.clone()))
        .collect()
}

/// Microseconds since 1970 of an instant that names its offset from UTC.
fn instant_us(text: &str) -> Option<i64> {
    let (_, time) = text.split_once(['T', ' '])?;
    if !(time.ends_with(['Z', 'z']) || time.contains(['+', '-'])) {
        return None;
    }
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    let instant = cast_with_options(
        &StringArray::from(vec![text]),
        &meta::instant_type(),
        &options,
    )
    .ok()?;
    let instant = instant.as_primitive::<TimestampMicrosecondType>();
    instant.is_valid(0).then(|| instant.value(0))
}
