//! Sinks.

use super::Resolver;
use super::sources::texts;
use super::tables::Types;
use crate::catalog::Problem;
use crate::codes;
use crate::nearest::hint;
use crate::plan::{EncodePlan, KafkaSinkPlan, ParquetSinkPlan, SinkPlan, SinkTo, TablePlan};
use crate::raw::{
    AvroEncodeSpec, DeliverySpec, EncodeSpec, KafkaSinkSpec, OneEncodeSpec, ParquetSinkSpec,
    ScalarSpec, SinkSpec, TableSpec,
};
use crate::tree::At;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use indexmap::IndexMap;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Seconds between two flushes of files where the file does not say.
const EVERY_S: u32 = 60;
/// Mebibytes of a file where the file does not say.
const MAX_MIB: u32 = 128;

impl Resolver<'_, '_> {
    /// The sinks that run, and the tables that they alone have.
    pub(super) fn sinks(
        &mut self,
        tables: &[TablePlan],
        types: &Types,
    ) -> (Vec<TablePlan>, Vec<SinkPlan>) {
        let spec = self.spec;
        let (mut own, mut plans) = (Vec::new(), Vec::<SinkPlan>::new());
        for (name, sink) in &spec.sinks {
            let at = At::of(&["sinks", name]);
            self.check_name(&at, "sink", name);
            let table = self.sunk(&at, name, sink, tables, types);
            let to = self.sink_to(&at, sink, table.as_ref());
            let is_enabled = self.is_enabled(&at.to("enabled"), sink.enabled.as_ref());
            let (Some(table), Some(to)) = (table, to) else {
                continue;
            };
            if !is_enabled {
                continue;
            }
            if let Some(other) = plans.iter().find(|other| is_one_place(&other.to, &to)) {
                let (at, what, all) = match to {
                    SinkTo::Kafka(_) => (at.to("kafka").to("topic"), "topic", "a topic holds"),
                    SinkTo::Parquet(_) => (
                        at.to("parquet").to("path"),
                        "folder",
                        "a folder and all in it hold",
                    ),
                };
                let message = format!("the sink `{}` writes this {what} too", other.name);
                let hint = format!("{all} the rows of one table: give each sink its own");
                self.findings
                    .error(&at, codes::DUPLICATE_NAME, message)
                    .hinted(hint);
            }
            if let Some(kafka) = &sink.kafka {
                self.feedback(&at.to("kafka").to("topic"), kafka);
            }
            let index = tables.iter().position(|known| known.name == table.name);
            let index = index.filter(|_| sink.key.is_none()).unwrap_or_else(|| {
                own.push(table);
                tables.len() + own.len() - 1
            });
            plans.push(SinkPlan {
                name: name.clone(),
                table: index,
                to,
            });
        }
        (own, plans)
    }

    /// Reports a topic that the pipeline reads itself.
    fn feedback(&mut self, at: &At, to: &KafkaSinkSpec) {
        let mut sources = self.spec.sources.iter();
        let read = sources.find(|(_, source)| {
            (&source.kafka.cluster, &source.kafka.topic) == (&to.cluster, &to.topic)
        });
        if let Some((name, _)) = read {
            let message = format!(
                "the source `{name}` reads this topic: what is written would come in again"
            );
            self.findings
                .error(at, codes::BAD_VALUE, message)
                .hinted("write a topic of the sink's own".to_owned());
        }
    }

    /// The table whose rows go there: a served one, or one of its own.
    fn sunk(
        &mut self,
        at: &At,
        name: &str,
        sink: &SinkSpec,
        tables: &[TablePlan],
        types: &Types,
    ) -> Option<TablePlan> {
        if let Some(key) = &sink.key {
            let spec = TableSpec {
                from: sink.from.clone(),
                key: key.clone(),
                asked_by: None,
            };
            return self.table(at, &format!("sink.{name}"), &spec);
        }
        if let Some(table) = tables.iter().find(|table| table.name == sink.from) {
            if let Some(column) = &table.asked_by {
                let message = format!(
                    "`{}` is worked out by `{column}`, when a reader asks",
                    sink.from
                );
                let hint = "write a table that is kept, or a stage with `key: [...]`".to_owned();
                self.findings
                    .error(&at.to("from"), codes::BAD_VALUE, message)
                    .hinted(hint);
                return None;
            }
            return Some(table.clone());
        }
        let is_known = types.contains_key(&sink.from) || self.broken.has("tables", &sink.from);
        if !is_known {
            let is_stage = self.spec.stages.contains_key(&sink.from)
                || self.spec.sources.contains_key(&sink.from);
            let message = format!("there is no table `{}`", sink.from);
            let hint = if is_stage {
                Some(format!(
                    "`{}` is no table: with `key: [...]` its rows go there without being served",
                    sink.from
                ))
            } else {
                hint(&sink.from, types.keys().map(String::as_str))
            };
            self.findings
                .error(&at.to("from"), codes::UNKNOWN_TABLE, message)
                .hinted(hint);
        }
        None
    }

    pub(super) fn is_enabled(&mut self, at: &At, enabled: Option<&ScalarSpec>) -> bool {
        match enabled.map(|enabled| enabled.0.as_str()) {
            None | Some("true") => true,
            Some("false") => false,
            Some(other) => {
                let message = format!("`{other}` is neither true nor false");
                self.findings.error(at, codes::BAD_VALUE, message);
                false
            }
        }
    }

    fn sink_to(&mut self, at: &At, sink: &SinkSpec, table: Option<&TablePlan>) -> Option<SinkTo> {
        if let Some(kafka) = &sink.kafka {
            let plan = self.kafka_sink(&at.to("kafka"), kafka, table);
            return plan.map(SinkTo::Kafka);
        }
        let plan = self.parquet_sink(&at.to("parquet"), sink.parquet.as_ref()?, table);
        Some(SinkTo::Parquet(plan))
    }

    fn parquet_sink(
        &mut self,
        at: &At,
        parquet: &ParquetSinkSpec,
        table: Option<&TablePlan>,
    ) -> ParquetSinkPlan {
        if let Some(table) = table {
            let found = self.world.catalog.filed(&table.schema);
            if let Some(Problem {
                code,
                message,
                hint,
            }) = found
            {
                self.findings.error(at, code, message).hinted(hint);
            }
            if let Some(column) = &parquet.partition_by {
                self.partition(&at.to("partition_by"), table, column);
            }
        }
        ParquetSinkPlan {
            folder: self.world.base.join(&parquet.path),
            every_s: parquet.every_s.unwrap_or(EVERY_S),
            max_mib: parquet.max_mib.unwrap_or(MAX_MIB),
            partition_by: parquet.partition_by.clone(),
        }
    }

    /// Reports a column whose values cannot be folders.
    fn partition(&mut self, at: &At, table: &TablePlan, column: &String) {
        if !self.has_column(at, &table.schema, column) {
            return;
        }
        if !table.key.contains(column) {
            let message = format!("`{column}` is not in the key");
            let hint = format!(
                "a row that moves between partitions would stay in both; the key is {}",
                table.key.join(", ")
            );
            self.findings
                .error(at, codes::BAD_VALUE, message)
                .hinted(hint);
            return;
        }
        let Ok(field) = table.schema.field_with_name(column) else {
            return;
        };
        let found = match field.data_type() {
            DataType::Dictionary(_, values) => values,
            found => found,
        };
        let is_plain = matches!(found, DataType::Utf8 | DataType::Date32 | DataType::Boolean);
        if !is_plain && !found.is_integer() {
            let message =
                format!("`{column}` is {found}, not text, a whole number, a date or true/false");
            self.findings.error(at, codes::WRONG_TYPE, message);
        }
    }

    fn kafka_sink(
        &mut self,
        at: &At,
        kafka: &KafkaSinkSpec,
        table: Option<&TablePlan>,
    ) -> Option<KafkaSinkPlan> {
        let exactly_once = kafka.delivery == Some(DeliverySpec::ExactlyOnce);
        let properties = self.sink_properties(at, &kafka.cluster, &kafka.properties, exactly_once);
        let at = at.to("encode");
        let json = OneEncodeSpec::Json(crate::raw::JsonWordSpec::Json);
        let (key, value) = match &kafka.encode {
            None | Some(EncodeSpec::Json(_)) => ((at.clone(), json.clone()), (at.clone(), json)),
            Some(EncodeSpec::By(by)) => {
                // One schema file or subject cannot be that of both.
                let mut key = by.clone();
                (key.avro.schema, key.avro.subject) = (None, None);
                (
                    (at.clone(), OneEncodeSpec::By(key)),
                    (at.clone(), OneEncodeSpec::By(by.clone())),
                )
            }
            Some(EncodeSpec::Both(both)) => (
                (at.to("key"), both.key.clone()),
                (at.to("value"), both.value.clone()),
            ),
        };
        let key_columns = table.map(|table| -> SchemaRef {
            let index = |name: &String| table.schema.index_of(name).ok();
            let columns: Vec<usize> = table.key.iter().filter_map(index).collect();
            Arc::new(table.schema.project(&columns).unwrap_or(Schema::empty()))
        });
        let value_columns = table.map(|table| Arc::clone(&table.schema));
        let key = self.encode(&key.0, &key.1, &kafka.topic, "key", key_columns)?;
        let value = self.encode(&value.0, &value.1, &kafka.topic, "value", value_columns)?;
        Some(KafkaSinkPlan {
            topic: kafka.topic.clone(),
            properties: properties?,
            key,
            value,
            exactly_once,
        })
    }

    /// Client properties of what is written: the cluster's, and its own over them.
    pub(super) fn sink_properties(
        &mut self,
        at: &At,
        cluster: &str,
        own: &IndexMap<String, ScalarSpec>,
        exactly_once: bool,
    ) -> Option<BTreeMap<String, String>> {
        let properties = self.cluster(&at.to("cluster"), cluster);
        self.client_properties(&at.to("properties"), own);
        let (mut properties, own) = (properties?, texts(own));
        properties.extend(own.clone());
        let found = self
            .world
            .catalog
            .sink_properties(&properties, exactly_once);
        for (key, problem) in found {
            let Problem {
                code,
                message,
                hint,
            } = problem;
            let at = if own.contains_key(&key) {
                at.to("properties").to(&key)
            } else {
                at.to("cluster")
            };
            self.findings.error(&at, code, message).hinted(hint);
        }
        Some(properties)
    }

    /// An encoding of rows with these columns.
    fn encode(
        &mut self,
        at: &At,
        spec: &OneEncodeSpec,
        topic: &str,
        part: &str,
        columns: Option<SchemaRef>,
    ) -> Option<EncodePlan> {
        let plan = match spec {
            OneEncodeSpec::Json(_) => EncodePlan::Json,
            OneEncodeSpec::By(by) => {
                let AvroEncodeSpec {
                    registry,
                    schema,
                    subject,
                    register,
                } = &by.avro;
                let base = self.world.base;
                EncodePlan::Avro {
                    registry: self.registry(&at.to("avro").to("registry"), registry)?,
                    schema: schema.as_ref().map(|schema| base.join(schema)),
                    subject: subject.clone().unwrap_or_else(|| format!("{topic}-{part}")),
                    register: register.unwrap_or(true),
                }
            }
        };
        if let Some(Problem {
            code,
            message,
            hint,
        }) = columns.and_then(|columns| self.world.catalog.encoded(&plan, topic, &columns))
        {
            self.findings.error(at, code, message).hinted(hint);
        }
        Some(plan)
    }
}

/// Whether two sinks would mix their rows: in one topic, or in folders one of which is in the other.
fn is_one_place(one: &SinkTo, other: &SinkTo) -> bool {
    match (one, other) {
        (SinkTo::Kafka(one), SinkTo::Kafka(other)) => {
            let brokers =
                |kafka: &KafkaSinkPlan| kafka.properties.get("bootstrap.servers").cloned();
            one.topic == other.topic && brokers(one) == brokers(other)
        }
        (SinkTo::Parquet(one), SinkTo::Parquet(other)) => {
            let (one, other) = (plain(&one.folder), plain(&other.folder));
            one.starts_with(&other) || other.starts_with(&one)
        }
        _ => false,
    }
}

/// A path without `.` and, as far as that shows in it, without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
