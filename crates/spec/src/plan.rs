//! A pipeline with every decision made and every edge typed. Nothing in it can be wrong any more.

use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;
use std::path::PathBuf;
use weir_zset::op::OpSpec;

/// A checked pipeline.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The pipeline's name.
    pub name: String,
    /// Engine settings.
    pub engine: EnginePlan,
    /// Sources, by name in the file's order.
    pub sources: Vec<SourcePlan>,
    /// Steps in topological order; an input is a source or an earlier step.
    pub steps: Vec<StepPlan>,
    /// Whose keys some of the steps forget.
    pub forgets: Vec<ForgetPlan>,
    /// Tables in the file's order.
    pub tables: Vec<TablePlan>,
    /// Tables that only sinks have.
    pub sink_tables: Vec<TablePlan>,
    /// Sinks that run, in the file's order.
    pub sinks: Vec<SinkPlan>,
    /// The topic of the dead letters.
    pub letters: Option<LettersPlan>,
    /// How many records of all sources may be refused before the pipeline stops.
    pub limit: Option<LimitPlan>,
    /// How many bytes all that stands refused may take before sources are read no further.
    pub letters_bytes_max: u64,
    /// What the page draws.
    pub views: Vec<ViewPlan>,
}

impl Plan {
    /// The tables that are served, then those that only sinks have.
    pub fn all_tables(&self) -> impl Iterator<Item = &TablePlan> {
        self.tables.iter().chain(&self.sink_tables)
    }

    /// Turns off every sink, that of the dead letters included.
    pub fn without_sinks(&mut self) {
        self.sinks.clear();
        self.letters = None;
        self.sink_tables.clear();
    }
}

/// How epochs are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnginePlan {
    /// Shortest time between two epochs, in milliseconds.
    pub cycle_min_ms: u64,
    /// Longest time between two epochs when something changed, in milliseconds.
    pub cycle_max_ms: u64,
    /// Most records one epoch takes.
    pub epoch_rows_max: usize,
    /// Most bytes one epoch takes.
    pub epoch_bytes_max: usize,
    /// Threads that decode and run plugins.
    pub workers: usize,
    /// What moves the clock.
    pub clock: ClockPlan,
    /// Where and how often the pipeline keeps what it knows.
    pub checkpoint: Option<CheckpointPlan>,
}

/// Checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointPlan {
    /// Seconds between two of them.
    pub every_s: u64,
    /// The folder.
    pub to: PathBuf,
}

/// What moves the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockPlan {
    /// The highest record timestamp; one more than `max_ahead_ms` in front of the wall clock does not move it.
    Event {
        /// In milliseconds.
        max_ahead_ms: u64,
    },
    /// The wall clock at each epoch.
    Tick,
}

/// One source.
#[derive(Clone, Debug)]
pub struct SourcePlan {
    /// Its name in the file.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// Kafka client properties, the cluster's and the source's own, interpolated.
    pub properties: BTreeMap<String, String>,
    /// Where to begin without a stored position.
    pub start: StartPlan,
    /// Seconds without a record after which it is told as silent.
    pub silent_after_s: Option<u64>,
    /// How values become rows.
    pub decode: DecodePlan,
    /// The columns of its rows: metadata, then the decoder's.
    pub schema: SchemaRef,
    /// How many of its records may be refused before it is read no further.
    pub limit: LimitPlan,
}

/// How many records may be refused within a window of the clock, by their own timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitPlan {
    /// Most of them, in percent of those that came.
    pub percent_max: Option<u32>,
    /// Most of them.
    pub count_max: Option<u64>,
    /// The window, in seconds.
    pub window_s: u32,
}

/// The topic of the dead letters.
#[derive(Clone, Debug)]
pub struct LettersPlan {
    /// The topic.
    pub topic: String,
    /// Kafka client properties, the cluster's and the topic's own, interpolated.
    pub properties: BTreeMap<String, String>,
    /// Whether each flush is one transaction.
    pub exactly_once: bool,
}

/// Where a source begins without a stored position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPlan {
    /// The oldest record there is.
    Earliest,
    /// The next record to be written.
    Latest,
    /// The first record of this instant or later (microseconds since 1970, UTC).
    At(i64),
}

/// How records become rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodePlan {
    /// The value's encoding.
    pub value: EncodingPlan,
    /// The key's, where it gives columns.
    pub key: Option<EncodingPlan>,
    /// Columns of headers, and the headers' names.
    pub headers: Vec<(String, String)>,
    /// Whether an empty value is a row of nulls (a deletion by key) or refused.
    pub tombstones: bool,
}

impl DecodePlan {
    /// This encoding alone.
    pub fn of(value: EncodingPlan, tombstones: bool) -> Self {
        Self {
            value,
            key: None,
            headers: Vec::new(),
            tombstones,
        }
    }
}

/// An encoding, its files resolved against the pipeline file's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodingPlan {
    /// JSON by a JSON Schema file.
    Json {
        /// The schema.
        schema: PathBuf,
    },
    /// Avro in the registry's wire format, read as the schema of a local file.
    Avro {
        /// The reader's schema.
        schema: PathBuf,
        /// Registry properties (`url`, credentials).
        registry: BTreeMap<String, String>,
        /// Whether a record whose writer's schema does not fit is refused, else the source waits in front of it.
        refuses_incompatible: bool,
    },
    /// One string column, `text`.
    Text,
}

/// One output of a step or a source's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Edge {
    /// The rows of `Plan::sources[i]`.
    Source(usize),
    /// Output `port` of `Plan::steps[step]` (0 but for group plugins with several outputs).
    Step {
        /// Index of the step.
        step: usize,
        /// Index of its output.
        port: usize,
    },
}

/// One step: one operator. A stage of the file with `where`, `select` or several joins becomes several
/// steps, all under its name; the last one's output is the stage's.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// The stage it belongs to.
    pub stage: String,
    /// Inputs: the name a group plugin knows it by (else empty), and the edge.
    pub inputs: Vec<(String, Edge)>,
    /// What it does.
    pub work: WorkPlan,
    /// The schema of each output, with the output's name (empty for the only one).
    pub outputs: Vec<(String, SchemaRef)>,
}

/// A step that forgets keys which another names, be it in front of it or behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgetPlan {
    /// The index of the step that forgets.
    pub step: usize,
    /// Its key columns, which the other has by the same names.
    pub key: Vec<String>,
    /// The rows that name keys.
    pub from: Edge,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum WorkPlan {
    /// A built-in operator.
    Op(OpSpec),
    /// A plugin, row by row. The output is its columns, then the input's metadata columns.
    Transform(WasmPlan),
    /// A plugin, group by group. The output is its columns, which hold the key columns.
    Group {
        /// The plugin.
        wasm: WasmPlan,
        /// The key columns, in every input.
        by: Vec<String>,
        /// When all groups are evaluated again.
        clock: GroupClock,
    },
}

/// When the clock alone makes a group stage evaluate all its groups again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupClock {
    /// Never.
    None,
    /// At midnight UTC.
    Date,
}

/// A plugin stage's settings.
#[derive(Clone, Debug)]
pub struct WasmPlan {
    /// The plugin's file.
    pub file: PathBuf,
    /// Its config as JSON text.
    pub config: String,
    /// Data files by name.
    pub data: BTreeMap<String, PathBuf>,
    /// Longest call, in milliseconds; `None`: the host's default.
    pub call_ms_max: Option<u32>,
    /// Most linear memory, in mebibytes; `None`: the host's default.
    pub memory_mib_max: Option<u32>,
    /// What happens when the whole call fails again and again.
    pub on_failure: OnFailure,
}

/// What a plugin stage does with rows whose call failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The pipeline stops.
    Stop,
    /// The rows are dead letters.
    DeadLetter,
}

/// One table.
#[derive(Clone, Debug)]
pub struct TablePlan {
    /// Its name.
    pub name: String,
    /// Whose rows it shows.
    pub from: Edge,
    /// Its key columns.
    pub key: Vec<String>,
    /// Its columns: metadata left out.
    pub schema: SchemaRef,
    /// The column that a reader names a value of, for a table that is worked out only then.
    pub asked_by: Option<String>,
}

/// One sink.
#[derive(Clone, Debug)]
pub struct SinkPlan {
    /// Its name.
    pub name: String,
    /// The index of its table among [`Plan::all_tables`].
    pub table: usize,
    /// Where the rows go.
    pub to: SinkTo,
}

impl SinkPlan {
    /// The topic that it writes, if it is one.
    pub fn kafka(&self) -> Option<&KafkaSinkPlan> {
        match &self.to {
            SinkTo::Kafka(kafka) => Some(kafka),
            SinkTo::Parquet(_) => None,
        }
    }
}

/// Where the rows of a sink go.
#[derive(Clone, Debug)]
pub enum SinkTo {
    /// A topic.
    Kafka(KafkaSinkPlan),
    /// A folder of files.
    Parquet(ParquetSinkPlan),
}

/// A folder of Parquet files to write.
#[derive(Clone, Debug)]
pub struct ParquetSinkPlan {
    /// The folder.
    pub folder: PathBuf,
    /// Seconds between two flushes.
    pub every_s: u32,
    /// Mebibytes at which a file is cut.
    pub max_mib: u32,
    /// The column of the key whose values are folders.
    pub partition_by: Option<String>,
}

/// A Kafka topic to write.
#[derive(Clone, Debug)]
pub struct KafkaSinkPlan {
    /// The topic.
    pub topic: String,
    /// Kafka client properties, the cluster's and the sink's own, interpolated.
    pub properties: BTreeMap<String, String>,
    /// How keys are written.
    pub key: EncodePlan,
    /// How rows are written.
    pub value: EncodePlan,
    /// Whether each flush is one transaction.
    pub exactly_once: bool,
}

/// How rows become bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodePlan {
    /// JSON objects.
    Json,
    /// Avro in the registry's wire format.
    Avro {
        /// Registry properties (`url`, credentials).
        registry: BTreeMap<String, String>,
        /// The schema to write; `None`: made of the columns.
        schema: Option<PathBuf>,
        /// The subject.
        subject: String,
        /// Whether the schema is registered, else the subject's newest is looked up.
        register: bool,
    },
}

/// One view of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewPlan {
    /// Big numbers: one per key, with a line over the day and a mark.
    Headline {
        /// The table.
        table: String,
        /// Its column.
        column: String,
        /// Columns that tell the numbers apart.
        by: Vec<String>,
        /// A second column shown beside, muted.
        beside: Option<String>,
        /// A reference line, as decimal text.
        mark: Option<String>,
        /// Draw a line over the day.
        line: bool,
        /// Show as a percentage.
        percent: bool,
        /// The heading.
        title: String,
        /// What a reader opens from it.
        drill: Vec<DrillPlan>,
    },
    /// A grid of a table.
    Grid {
        /// The table.
        table: String,
        /// Columns to show, all when empty.
        columns: Vec<String>,
        /// The heading.
        title: String,
        /// What a reader opens from it.
        drill: Vec<DrillPlan>,
    },
}

/// Rows of a table that belong to what a reader chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillPlan {
    /// The table whose rows are opened.
    pub table: String,
    /// Columns of both tables: rows where they are equal.
    pub by: Vec<String>,
    /// The heading.
    pub title: String,
}
