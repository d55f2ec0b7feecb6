//! The pipeline file as it is written: one type per mapping, nothing resolved.
//!
//! `schemas/pipeline.schema.json` is generated from these types; their doc comments are the help that editors
//! show, so they speak to whoever writes a pipeline.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A pipeline of Weir: sources, stages, tables and views.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("patternProperties" = {"^x-": true}))]
pub struct PipelineSpec {
    /// Version of this grammar: 1.
    pub weir: u32,
    /// The pipeline's name.
    pub name: String,
    /// Folder of the plugins (`<plugin>.wasm`), relative to this file. Default: `plugins`.
    pub plugins: Option<String>,
    /// How epochs are cut and what moves the clock.
    #[serde(default)]
    pub engine: EngineSpec,
    /// Kafka clusters by name: any librdkafka property, `bootstrap.servers` at least.
    #[serde(default)]
    pub clusters: IndexMap<String, IndexMap<String, ScalarSpec>>,
    /// Schema registries by name: `url`, and credentials if it wants them.
    #[serde(default)]
    pub registries: IndexMap<String, IndexMap<String, ScalarSpec>>,
    /// Where rows come from, by name.
    pub sources: IndexMap<String, SourceSpec>,
    /// What is done with them, by name, in any order.
    #[serde(default)]
    pub stages: IndexMap<String, StageSpec>,
    /// What is served, by name.
    #[serde(default)]
    pub tables: IndexMap<String, TableSpec>,
    /// Where rows go beside being served, by name.
    #[serde(default)]
    pub sinks: IndexMap<String, SinkSpec>,
    /// What becomes of records that are refused, beside being shown.
    #[serde(default)]
    pub dead_letters: DeadLettersSpec,
    /// What the page draws, from top to bottom.
    #[serde(default)]
    #[schemars(with = "Vec<ViewSpec>")]
    pub views: Vec<Option<ViewSpec>>,
}

/// Text, a number or true/false; passed on as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "serde_json::Value")]
pub struct ScalarSpec(pub String);

impl From<serde_json::Value> for ScalarSpec {
    fn from(value: serde_json::Value) -> Self {
        Self(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        )
    }
}

impl JsonSchema for ScalarSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// How epochs are cut and what moves the clock. Everything has a default.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineSpec {
    /// Shortest time between two epochs, in milliseconds. Default: 20.
    pub cycle_min_ms: Option<u64>,
    /// Longest time between two epochs when something changed, in milliseconds. Default: 250.
    #[schemars(range(min = 1))]
    pub cycle_max_ms: Option<u64>,
    /// Most records that one epoch takes. Default: 65536.
    #[schemars(range(min = 1))]
    pub epoch_rows_max: Option<u32>,
    /// Most bytes that one epoch takes. Default: 67108864.
    #[schemars(range(min = 1))]
    pub epoch_bytes_max: Option<u64>,
    /// Threads that decode and run plugins. Default: 2.
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<u32>,
    /// `event`: the highest record timestamp moves the clock; `tick`: the wall clock. Default: event.
    pub clock: Option<ClockSpec>,
    /// With `clock: event`: a record this far in front of the wall clock does not move it, in milliseconds.
    /// Default: 3600000.
    pub max_ahead_ms: Option<u64>,
    /// Where and how often the pipeline keeps what it knows, so that a restart goes on from there. Without it, and
    /// without `--state`, a restart reads every topic from where its source starts.
    pub checkpoint: Option<CheckpointSpec>,
}

/// Checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointSpec {
    /// Seconds between two of them; more where most of the state changes meanwhile, so that gathering it takes a thirtieth
    /// of the time at most. Default: 10.
    #[schemars(range(min = 1))]
    pub every_s: Option<u32>,
    /// The folder, from that of the pipeline file. `--state` takes its place.
    pub to: String,
}

/// What moves the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClockSpec {
    /// The highest record timestamp.
    Event,
    /// The wall clock.
    Tick,
}

/// A topic and how its records become rows.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// The topic.
    pub kafka: KafkaSpec,
    /// How a record becomes a row.
    pub decode: DecodeSpec,
    /// Whether an empty value is a deletion by key (a row of nulls with the key in `_key`). Default: false, it is
    /// refused.
    #[serde(default)]
    pub tombstones: bool,
    /// Seconds without a record after which the source is told as silent: in the status, `/readyz`, the log and the
    /// metrics. Default: never.
    #[schemars(range(min = 1))]
    pub silent_after_s: Option<u32>,
    /// How many of its records may be refused before it is read no further, in the place of
    /// `dead_letters.each_source`.
    pub dead_letters: Option<LimitSpec>,
}

/// What becomes of records that are refused, beside being shown: a topic, and limits.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLettersSpec {
    /// Whether the topic is written: true or false, also by `${env:NAME:-false}`. Default: true. (In a replay it is not,
    /// unless `--sinks` asks for it.)
    #[serde(default)]
    #[schemars(with = "BoolSpec")]
    pub enabled: Option<ScalarSpec>,
    /// A topic, which should be compacted: of each refusal a record with the refused one's value and headers, and what
    /// was wrong in `weir.*` headers; a tombstone when it stands no longer. While it cannot be written, sources with
    /// refused records are read no further.
    pub kafka: Option<LettersTopicSpec>,
    /// How many records of any one source may be refused before that source is read no further. Default: half of them
    /// in 300 seconds.
    pub each_source: Option<LimitSpec>,
    /// How many records of all sources together may be refused before the pipeline stops. Default: no limit.
    pub pipeline: Option<LimitSpec>,
    /// How much all that stands refused may take, in MiB, with each record's bytes. Past it, a source of which one more
    /// is refused is read no further. Default: 256.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_mib: Option<u32>,
}

/// A Kafka topic for dead letters.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LettersTopicSpec {
    /// The cluster, by its name under `clusters`.
    pub cluster: String,
    /// The topic's name.
    #[schemars(length(min = 1))]
    pub topic: String,
    /// What readers are promised. Default: `at_least_once`.
    pub delivery: Option<DeliverySpec>,
    /// librdkafka properties for this topic alone, over the cluster's.
    #[serde(default)]
    pub properties: IndexMap<String, ScalarSpec>,
}

/// How many records may be refused within a window of the clock, by their own timestamps.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitSpec {
    /// Most of them that may be refused, in percent of those that came; counts from 100 records on. 100: no limit.
    /// Default: 50 for a source, no limit for the pipeline.
    #[schemars(range(min = 0, max = 100))]
    pub percent_max: Option<u32>,
    /// Most of them that may be refused. Default: no limit.
    pub count_max: Option<u64>,
    /// The window, in seconds of the pipeline's clock. Default: 300.
    #[schemars(range(min = 1, max = 86400))]
    pub window_s: Option<u32>,
}

/// A Kafka topic.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaSpec {
    /// The cluster, by its name under `clusters`.
    pub cluster: String,
    /// The topic's name.
    #[schemars(length(min = 1))]
    pub topic: String,
    /// Where to begin without a stored position: `earliest`, `latest`, or an instant such as
    /// `2026-03-02T00:00:00Z`. Default: earliest.
    pub start: Option<String>,
    /// librdkafka properties for this topic alone, over the cluster's.
    #[serde(default)]
    pub properties: IndexMap<String, ScalarSpec>,
}

/// How a record becomes a row: the value's encoding, or one for the key and one for the value, and headers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DecodeSpec {
    /// `text`: one text column, `text`.
    Text(TextSpec),
    /// By a schema.
    By(EncodingSpec),
    /// Key and value.
    Both(KeyValueSpec),
}

/// `text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TextSpec {
    /// Text.
    Text,
}

/// `decode` of key and value.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyValueSpec {
    /// The key's encoding. By a schema, its fields are columns `key_<field>`, and a record whose key cannot be read is
    /// refused. Default: `text`, which `_key` shows.
    pub key: Option<ValueSpec>,
    /// The value's encoding.
    pub value: ValueSpec,
    /// Headers to show as columns: `column: header`. Their text; null where there is none. Of several of one name the last.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
}

/// One encoding.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ValueSpec {
    /// `text`: of a value one text column, `text`.
    Text(TextSpec),
    /// By a schema.
    By(EncodingSpec),
}

/// An encoding with a schema.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct EncodingSpec {
    /// JSON by a JSON Schema.
    pub json: Option<JsonSpec>,
    /// Avro in the registry's wire format.
    pub avro: Option<AvroSpec>,
}

/// JSON by a JSON Schema.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonSpec {
    /// The JSON Schema's file, relative to this one.
    pub schema: String,
}

/// Avro in the registry's wire format.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AvroSpec {
    /// The registry, by its name under `registries`.
    pub registry: String,
    /// The Avro schema that rows are read as, a file relative to this one.
    pub schema: String,
    /// What happens to a record whose writer's schema cannot be read as this one: `stop`: the source waits in front of
    /// it, the others go on; `dead_letter`: it is refused. Default: stop.
    pub on_incompatible: Option<OnIncompatibleSpec>,
}

/// What happens to a record whose writer's schema cannot be read as the reader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnIncompatibleSpec {
    /// The source waits in front of it.
    Stop,
    /// It is a dead letter.
    DeadLetter,
}

/// A stage: rows of other stages, at most one operation, then `let`, `where` and `select` in that order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageSpec {
    /// The source or stage whose rows come in; a list for all their rows together; for a plugin that takes several
    /// inputs a mapping from the plugin's name of an input. `stage.output` names one output of a plugin.
    pub from: FromSpec,
    /// Operation: of each key the rows of the highest version.
    pub latest: Option<LatestSpec>,
    /// Operation: rows exist from one instant until another.
    pub valid: Option<ValidSpec>,
    /// Operation: looks up columns in another stage, or in several, one after the other.
    pub join: Option<JoinsSpec>,
    /// Operation: sums and the like per key.
    pub aggregate: Option<AggregateSpec>,
    /// Operation: a row per element of a list column.
    pub explode: Option<ExplodeSpec>,
    /// Operation: the first row of each key, later ones are dropped.
    pub dedupe: Option<DedupeSpec>,
    /// Operation: replaces columns of rows that an override names, while it holds.
    pub r#override: Option<OverrideSpec>,
    /// Operation: a plugin.
    pub wasm: Option<WasmSpec>,
    /// Columns to add or to replace: name and SQL expression.
    pub r#let: Option<IndexMap<String, String>>,
    /// SQL condition: only rows for which it is true.
    pub r#where: Option<String>,
    /// The columns to keep: name and SQL expression.
    #[schemars(extend("minProperties" = 1))]
    pub select: Option<IndexMap<String, String>>,
}

/// Whose rows come in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FromSpec {
    /// A source or stage.
    One(String),
    /// All their rows together.
    Many(#[schemars(length(min = 1))] Vec<String>),
    /// By the plugin's input names.
    Named(IndexMap<String, String>),
}

/// Of each key the rows of the highest version, whatever the order of arrival. Needs records in offset order: not
/// behind a join, an aggregate or another `latest`. A version that is known with other content is refused; the 32 below
/// the highest are known.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatestSpec {
    /// Key columns.
    #[schemars(length(min = 1))]
    pub key: Vec<String>,
    /// The version column, an integer.
    pub version: String,
    /// A true/false column that marks a deletion of the key.
    pub tombstone: Option<String>,
    /// A stage with the key columns, which may read this one: keys that it names are forgotten with all their
    /// versions, at the end of the epoch, and what they showed is taken back. What comes later starts anew.
    pub forget: Option<String>,
}

/// Rows exist while `from <= clock < until`; null is unbounded.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct ValidSpec {
    /// The column with the first instant or date.
    pub from: Option<String>,
    /// The column with the first instant or date after.
    pub until: Option<String>,
}

/// One join or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum JoinsSpec {
    /// One.
    One(JoinSpec),
    /// One after the other.
    Many(#[schemars(length(min = 1))] Vec<JoinSpec>),
}

/// Looks up columns in another stage. Null joins nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinSpec {
    /// The source or stage to look in.
    pub with: String,
    /// Columns that must be equal: a list when they have the same name on both sides, else `left: right`.
    pub on: PairsSpec,
    /// `inner`: rows without a partner go; `left`: they stay, with nulls. Default: inner.
    pub kind: Option<JoinKindSpec>,
    /// Columns to take over: a list, or `new_name: column`. Default: none.
    pub take: Option<PairsSpec>,
    /// Whether the other side has at most one row per key. Default: true; more are counted as errors.
    pub at_most_one: Option<bool>,
}

/// Columns, or pairs of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PairsSpec {
    /// The same name on both sides.
    Same(#[schemars(length(min = 1))] Vec<String>),
    /// Two names.
    Pairs(#[schemars(extend("minProperties" = 1))] IndexMap<String, String>),
}

impl PairsSpec {
    /// The pairs.
    pub fn pairs(&self) -> Vec<(String, String)> {
        match self {
            Self::Same(names) => names
                .iter()
                .map(|name| (name.clone(), name.clone()))
                .collect(),
            Self::Pairs(pairs) => pairs
                .iter()
                .map(|(left, right)| (left.clone(), right.clone()))
                .collect(),
        }
    }
}

/// How rows without a partner fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JoinKindSpec {
    /// They go.
    Inner,
    /// They stay, with nulls.
    Left,
}

/// Sums and the like per key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregateSpec {
    /// Key columns; an empty list makes one row of all.
    pub by: Vec<String>,
    /// New columns: name and function, such as `total: { sum: amount }`.
    #[serde(default)]
    pub values: IndexMap<String, AggSpec>,
}

/// One aggregate function with its column.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct AggSpec {
    /// The exact sum of a column.
    pub sum: Option<String>,
    /// Rows where the column is not null; `"*"`: all rows.
    pub count: Option<String>,
    /// The least value of a column.
    pub min: Option<String>,
    /// The greatest value of a column.
    pub max: Option<String>,
    /// The mean of a column.
    pub avg: Option<String>,
}

/// A row per element of a list column; the fields of its elements become columns.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplodeSpec {
    /// The list column.
    pub list: String,
    /// A new column with the element's index from 0.
    pub index: Option<String>,
}

/// The first row of each key in offset order. Needs records in offset order, as `latest` does.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DedupeSpec {
    /// Key columns.
    #[schemars(length(min = 1))]
    pub key: Vec<String>,
    /// A stage whose keys are forgotten, as in `latest`.
    pub forget: Option<String>,
}

/// Replaces columns while an override matches the row; former values stay in `base_<column>`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideSpec {
    /// The stage with the overrides in force.
    pub with: String,
    /// Its column that names the scope.
    pub scope: String,
    /// Its column that holds the key within the scope.
    pub key: String,
    /// Scope and the column compared with the key, in order of precedence.
    #[schemars(extend("minProperties" = 1))]
    pub r#match: IndexMap<String, String>,
    /// Its columns that are compared in order when several overrides match: the greatest wins.
    #[serde(default)]
    pub latest: Vec<String>,
    /// Columns to replace: `column: override_column`.
    #[schemars(extend("minProperties" = 1))]
    pub set: IndexMap<String, String>,
    /// Columns to take over: `new_name: override_column`; null where nothing is overridden.
    #[serde(default)]
    pub take: IndexMap<String, String>,
}

/// A plugin, row by row or group by group.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WasmSpec {
    /// The plugin's name: `<plugin>.wasm` in the folder that `plugins` names.
    pub plugin: String,
    /// Its config; the plugin says what it takes.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, serde_json::Value>")]
    pub config: Option<serde_json::Value>,
    /// Data files for it: name and path relative to this file.
    #[serde(default)]
    pub data: IndexMap<String, String>,
    /// Key columns of the groups (plugins that work group by group only).
    #[schemars(length(min = 1))]
    pub group_by: Option<Vec<String>>,
    /// When the clock alone makes all groups be evaluated again: `date`, at midnight UTC. Default: never.
    pub clock: Option<GroupClockSpec>,
    /// Longest call, in milliseconds. Default: 5000.
    #[schemars(range(min = 1))]
    pub call_ms_max: Option<u32>,
    /// Most memory, in mebibytes. Default: 256.
    #[schemars(range(min = 1, max = 4096))]
    pub memory_mib_max: Option<u32>,
    /// When a call fails for good: `stop` the pipeline, or `dead_letter` the rows. Default: stop.
    pub on_failure: Option<OnFailureSpec>,
}

/// When all groups are evaluated again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupClockSpec {
    /// At midnight UTC.
    Date,
}

/// What happens when a call fails for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailureSpec {
    /// The pipeline stops.
    Stop,
    /// The rows are dead letters.
    DeadLetter,
}

/// A table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// The source or stage whose rows it shows.
    pub from: String,
    /// Its key columns: at most one row for each.
    #[schemars(length(min = 1))]
    pub key: Vec<String>,
    /// A column of text. The table is worked out when a reader names a value of it (`where=column = 'value'`), at the
    /// cut that is published then: stages that only such tables need do not run otherwise, and nobody is sent its rows.
    pub asked_by: Option<String>,
}

/// A sink: of each key of a table the newest row, as soon as it is published.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["kafka"] }, { "required": ["parquet"] }]))]
pub struct SinkSpec {
    /// The table whose rows go there; with `key`, a source or stage.
    pub from: String,
    /// Key columns, where `from` is a source or stage: at most one row for each.
    #[schemars(length(min = 1))]
    pub key: Option<Vec<String>>,
    /// Whether it runs: true or false, also by `${env:NAME:-false}`. Default: true. (In a replay no sink runs, unless
    /// `--sinks` asks for them.)
    #[serde(default)]
    #[schemars(with = "BoolSpec")]
    pub enabled: Option<ScalarSpec>,
    /// A Kafka topic, which should be compacted.
    pub kafka: Option<KafkaSinkSpec>,
    /// A folder of Parquet files.
    pub parquet: Option<ParquetSinkSpec>,
}

/// True or false, or text that says so.
#[derive(Debug)]
pub struct BoolSpec;

impl JsonSchema for BoolSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bool".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["boolean", "string"] })
    }
}

/// A Kafka topic to write: an upsert per row, a tombstone per row that is gone, the table's key as the record's key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaSinkSpec {
    /// The cluster, by its name under `clusters`.
    pub cluster: String,
    /// The topic's name.
    #[schemars(length(min = 1))]
    pub topic: String,
    /// How rows become records. Default: json.
    pub encode: Option<EncodeSpec>,
    /// What readers are promised. Default: `at_least_once`.
    pub delivery: Option<DeliverySpec>,
    /// librdkafka properties for this sink alone, over the cluster's: `linger.ms` (longer: larger batches, later
    /// records), `batch.size`, `compression.type` (zstd: least bytes, most processor), `acks` (fewer than all: a record
    /// that was confirmed may be lost) and any other.
    #[serde(default)]
    pub properties: IndexMap<String, ScalarSpec>,
}

/// A folder of Parquet files, each complete or not there: what changed, appended, never rewritten. Beside the table's
/// columns a row has `_deleted` (then it has the key's columns alone), `_file` (of the rows of a key the one with the
/// highest is the newest), `_epoch` and `_as_of` (the cut that it is from). Old files may be taken away. Amounts of more
/// than 38 digits are exact, but some readers take them for floating point: `cast` them to `decimal(38, ...)` for those.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParquetSinkSpec {
    /// The folder, relative to this file, which no other sink writes; it is made if the one above it is there.
    #[schemars(length(min = 1))]
    pub path: String,
    /// Seconds between two flushes, at least, unless 10,000 rows wait. What changes several times in between is written
    /// once, as it is then. Default: 60.
    #[schemars(range(min = 1))]
    pub every_s: Option<u32>,
    /// A flush that is larger makes several files of about so many mebibytes. Default: 128.
    #[schemars(range(min = 1))]
    pub max_mib: Option<u32>,
    /// A column of the key, of text, whole numbers, dates or true/false and with few values: each is a folder,
    /// `column=value`, with files of its own, which leave the column out, as Hive has it.
    pub partition_by: Option<String>,
}

/// What readers of a sink are promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliverySpec {
    /// Every change arrives, in order; after a crash one may be there twice.
    AtLeastOnce,
    /// Each flush is one transaction: readers with `isolation.level: read_committed` see whole epochs, once. Costs a few
    /// round trips to the brokers per flush. A second process with the same pipeline and sink takes over from the first.
    ExactlyOnce,
}

/// How rows become records: an encoding for both, or one for the key and one for the value.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EncodeSpec {
    /// `json`: objects.
    Json(JsonWordSpec),
    /// By a registry.
    By(AvroEncodingSpec),
    /// Key and value.
    Both(KeyValueEncodeSpec),
}

/// `json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JsonWordSpec {
    /// JSON objects; amounts, dates and instants as text.
    Json,
}

/// `encode` of key and value.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyValueEncodeSpec {
    /// The key's encoding.
    pub key: OneEncodeSpec,
    /// The value's encoding.
    pub value: OneEncodeSpec,
}

/// One encoding.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneEncodeSpec {
    /// `json`: objects.
    Json(JsonWordSpec),
    /// By a registry.
    By(AvroEncodingSpec),
}

/// Avro in the registry's wire format.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AvroEncodingSpec {
    /// Avro.
    pub avro: AvroEncodeSpec,
}

/// Avro in the registry's wire format.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AvroEncodeSpec {
    /// The registry, by its name under `registries`.
    pub registry: String,
    /// The schema to write, a file relative to this one; columns that it does not name stay out. Default: one made of the
    /// columns, amounts as decimals.
    pub schema: Option<String>,
    /// The subject. Default: `<topic>-value`, `<topic>-key`.
    pub subject: Option<String>,
    /// Whether the schema is registered. If not, the subject's newest schema is what is written. Default: true.
    pub register: Option<bool>,
}

/// One view of the page.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum ViewSpec {
    /// Big numbers.
    Headline(HeadlineSpec),
    /// A grid.
    Grid(GridSpec),
}

impl<'de> Deserialize<'de> for ViewSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let view = if value.get("headline").is_some() {
            serde_json::from_value(value).map(Self::Headline)
        } else {
            serde_json::from_value(value).map(Self::Grid)
        };
        view.map_err(D::Error::custom)
    }
}

/// Big numbers, one per key, with a line over the day.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadlineSpec {
    /// The number: `table.column`.
    pub headline: String,
    /// Columns that tell the numbers apart.
    #[serde(default)]
    pub by: Vec<String>,
    /// A second number beside it, muted: `table.column` of the same table.
    pub beside: Option<String>,
    /// Draw a line over the day. Default: false.
    #[serde(default)]
    pub line: bool,
    /// A reference line at this number.
    #[serde(default)]
    #[schemars(with = "NumberSpec")]
    pub mark: Option<ScalarSpec>,
    /// Show as a percentage. Default: false.
    #[serde(default)]
    pub percent: bool,
    /// The heading. Default: the column's name.
    pub title: Option<String>,
    /// What a number opens.
    #[serde(default)]
    pub drill: Vec<DrillSpec>,
}

/// Rows of a table that belong to what the reader chose.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrillSpec {
    /// The table whose rows are opened.
    pub table: String,
    /// Columns that both tables have: rows where they are equal.
    #[schemars(length(min = 1))]
    pub by: Vec<String>,
    /// The heading. Default: the table's name.
    pub title: Option<String>,
}

/// A number, or its digits as text.
#[derive(Debug)]
pub struct NumberSpec;

impl JsonSchema for NumberSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["number", "string"], "pattern": crate::schema::NUMBER })
    }
}

/// A grid of a table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GridSpec {
    /// The table.
    pub grid: String,
    /// Columns to show, in this order. Default: all.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The heading. Default: the table's name.
    pub title: Option<String>,
    /// What a row opens.
    #[serde(default)]
    pub drill: Vec<DrillSpec>,
}
