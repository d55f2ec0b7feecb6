//! What a running pipeline shows to its readers: status, published tables, dead letters.
//!
//! Every table in one [`Published`] is from one cut: the same epoch, clock and offsets.

use crate::asked::{Asked, Library};
use crate::step::Fault;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use tokio::sync::watch;
use weir_spec::plan::{TablePlan, ViewPlan};
use weir_stage::Headers;
use weir_zset::table::Version;
use weir_zset::text::instant;

/// What the pipeline is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Sources are being opened.
    Starting,
    /// Records written before the start are being read; nothing is published.
    CatchingUp,
    /// Publishing.
    Live,
    /// The input has ended (replay only); the last epoch is served.
    Ended,
    /// Stopped by an error, which `Status::error` tells.
    Failed,
}

/// Where one source stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceStatus {
    /// Its name in the pipeline file.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// Next offset to read per partition.
    pub position: BTreeMap<i32, i64>,
    /// The newest known end per partition.
    pub end: BTreeMap<i32, i64>,
    /// Records between the two.
    pub lag: i64,
    /// Whether everything that was there at start has been read.
    pub caught_up: bool,
    /// Seconds since the last record, or since the start.
    pub idle_s: u64,
    /// The last failure, until it is over.
    pub error: Option<String>,
}

/// What a sink is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkState {
    /// It is connected to, and what it holds is read back.
    Opening,
    /// It takes what is published.
    Live,
    /// It failed, and is tried again.
    Retrying,
    /// It failed for good, which stops the pipeline.
    Failed,
}

/// Where one sink stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// Its name in the pipeline file.
    pub name: String,
    /// What it writes: the topic, the folder.
    pub to: String,
    /// What it is doing.
    pub state: SinkState,
    /// The last epoch that is there whole.
    pub epoch: u64,
    /// Rows handed over and not confirmed yet.
    pub pending: u64,
    /// Rows handed over so far.
    pub sent: u64,
    /// Rows confirmed so far.
    pub acked: u64,
    /// Attempts that failed so far.
    pub failed: u64,
    /// Rows that are refused now; they are dead letters.
    pub refused: u64,
    /// Flushes that are whole.
    pub flushes: u64,
    /// For how long something that was published waits; 0 when nothing does.
    pub waiting_ms: u64,
    /// What keeps it from going on.
    pub error: Option<String>,
}

/// The state of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The pipeline's name.
    pub pipeline: String,
    /// This run's id: a new one at every start.
    pub run: String,
    /// What it is doing.
    pub state: State,
    /// Whether it replays a recorded day.
    pub replay: bool,
    /// The last published epoch, 0 before the first.
    pub epoch: u64,
    /// The clock, microseconds since 1970, UTC; `None` before the first record.
    pub as_of_us: Option<i64>,
    /// The sources.
    pub sources: Vec<SourceStatus>,
    /// The sinks that run.
    pub sinks: Vec<SinkStatus>,
    /// Dead letters so far.
    pub dead_letters: u64,
    /// The checkpoints; none where nothing is kept.
    pub checkpoint: Option<CheckpointStatus>,
    /// Tables whose key does not tell all their rows apart.
    pub tables: Vec<TableTrouble>,
    /// What is wrong with the clock just now.
    pub clock_error: Option<String>,
    /// What stopped the pipeline.
    pub error: Option<String>,
}

/// A table of which some keys have several rows, so that it shows one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableTrouble {
    /// The table.
    pub name: String,
    /// How many of its keys.
    pub keys: usize,
    /// What that means.
    pub error: String,
}

/// How the checkpoints stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckpointStatus {
    /// The epoch of the last one; none before the first of this run.
    pub epoch: Option<u64>,
    /// Seconds since the last one was written, or since the start.
    pub age_s: u64,
    /// How many this run wrote.
    pub written: u64,
    /// How many could not be written.
    pub failed: u64,
    /// Bytes of the last one.
    pub bytes: u64,
    /// Bytes of all state files.
    pub disk_bytes: u64,
    /// Microseconds that the pipeline stood still for them, in all.
    pub stall_us: u64,
    /// Why the last one failed, until one is written.
    pub error: Option<String>,
}

/// One cut of all tables.
#[derive(Clone, Debug)]
pub struct Published {
    /// The run's id.
    pub run: String,
    /// The epoch.
    pub epoch: u64,
    /// Its clock, microseconds since 1970, UTC.
    pub as_of_us: i64,
    /// Next offset per topic and partition: what this cut has seen.
    pub offsets: BTreeMap<String, BTreeMap<i32, i64>>,
    /// The tables in the plan's order.
    pub tables: Vec<(Arc<TablePlan>, Version)>,
    /// The tables that are worked out when somebody asks.
    pub asked: Vec<Arc<Asked>>,
    /// What they are worked out from.
    pub library: Library,
}

impl Published {
    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<&(Arc<TablePlan>, Version)> {
        self.tables.iter().find(|(plan, _)| plan.name == name)
    }

    /// The rows that a table has for this value of its `asked_by` column, worked out from this cut; nothing when no
    /// such table is worked out when asked. Takes as long as it takes: not on a thread that may not block.
    pub fn ask(&self, name: &str, value: &str) -> Option<Result<Version, Fault>> {
        let asked = self.asked.iter().find(|asked| asked.table().name == name)?;
        Some(asked.answer(&self.library, self.as_of_us, value))
    }
}

/// A record, or a row of one, that was refused and still is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The stage that refused it (`decode` for the source's decoder).
    pub stage: String,
    /// A stable code.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// The field at fault.
    pub field: Option<String>,
    /// The record's timestamp, microseconds since 1970, UTC; unknown where the row no longer knows its record.
    pub timestamp_us: Option<i64>,
    /// The record's key.
    pub key: Option<Bytes>,
    /// The record's value; `None` for a tombstone, and where it is not kept.
    pub value: Option<Bytes>,
    /// The record's headers.
    pub headers: Headers,
    /// Whether the record's bytes are not kept, too large or no longer at hand: its place is all there is.
    pub by_reference: bool,
    /// Whether it stands until its record is sent again; else it goes when its cause goes.
    pub is_final: bool,
}

impl DeadLetter {
    /// As JSON: bytes as text, or in `..._base64` where they are none.
    pub fn json(&self) -> Value {
        let text = |bytes: &Option<Bytes>| {
            let text = bytes.as_deref().map(std::str::from_utf8);
            text.and_then(Result::ok).map(str::to_owned)
        };
        let other = |bytes: &Option<Bytes>| {
            let bytes = bytes.as_deref();
            let other = bytes.filter(|bytes| std::str::from_utf8(bytes).is_err());
            other.map(|bytes| STANDARD.encode(bytes))
        };
        let header = |(name, value): (&str, Option<&[u8]>)| {
            let value = value.map(Bytes::copy_from_slice);
            json!({ "name": name, "value": text(&value), "value_base64": other(&value) })
        };
        json!({
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "timestamp": self.timestamp_us.map(instant),
            "stage": self.stage,
            "code": self.code,
            "field": self.field,
            "message": self.message,
            "key": text(&self.key),
            "key_base64": other(&self.key),
            "value": text(&self.value),
            "value_base64": other(&self.value),
            "headers": self.headers.iter().map(header).collect::<Vec<_>>(),
            "by_reference": self.by_reference,
            "final": self.is_final,
        })
    }

    /// Key, value and headers of a letter that was told as JSON.
    pub fn bytes_of(json: &Value) -> Option<RecordBytes> {
        let bytes = |of: &Value, name: &str| {
            let text = of[name].as_str().map(|text| text.as_bytes().to_vec());
            let other = of[format!("{name}_base64")].as_str();
            text.or_else(|| STANDARD.decode(other?).ok())
        };
        let header = |header: &Value| {
            let name = header["name"].as_str().unwrap_or_default().to_owned();
            (name, bytes(header, "value"))
        };
        let headers: Vec<_> = json["headers"].as_array()?.iter().map(header).collect();
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_deref()));
        Some((
            bytes(json, "key"),
            bytes(json, "value"),
            Headers::of(headers),
        ))
    }

    /// Whether a reader asks for it.
    pub fn is_asked(&self, asked: &LetterFilter<'_>) -> bool {
        let is = |wanted: Option<&str>, found: &str| wanted.is_none_or(|wanted| wanted == found);
        is(asked.topic, &self.topic)
            && is(asked.stage, &self.stage)
            && is(asked.code, &self.code)
            && asked
                .partition
                .is_none_or(|wanted| wanted == self.partition)
            && asked.at.is_none_or(|wanted| wanted == self.offset)
    }
}

/// A record's key, value and headers.
pub type RecordBytes = (Option<Vec<u8>>, Option<Vec<u8>>, Headers);

/// Which dead letters a reader asks for; nothing given: all.
#[derive(Clone, Copy, Debug, Default)]
pub struct LetterFilter<'a> {
    /// Of this topic.
    pub topic: Option<&'a str>,
    /// Of this partition.
    pub partition: Option<i32>,
    /// At this offset.
    pub at: Option<i64>,
    /// Refused by this stage.
    pub stage: Option<&'a str>,
    /// With this code.
    pub code: Option<&'a str>,
}

/// One metric's sample: name, labels, value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its name, such as `weir_records_total`.
    pub name: &'static str,
    /// Label names and values.
    pub labels: Vec<(&'static str, String)>,
    /// Its value; counters only rise within a run.
    pub value: u64,
}

/// Every metric the engine samples: name, Prometheus type, help.
pub const METRICS: &[(&str, &str, &str)] = &[
    ("weir_epoch", "gauge", "Last published epoch."),
    (
        "weir_state",
        "gauge",
        "1 for the state the pipeline is in, by label `state`.",
    ),
    (
        "weir_clock_seconds",
        "gauge",
        "The pipeline's clock, seconds since 1970.",
    ),
    (
        "weir_clock_held",
        "gauge",
        "1 while the clock does not follow the machine's or the records'.",
    ),
    (
        "weir_source_records_total",
        "counter",
        "Records taken, by source.",
    ),
    (
        "weir_source_bytes_total",
        "counter",
        "Bytes of keys and values taken, by source.",
    ),
    (
        "weir_source_lag_records",
        "gauge",
        "Records between position and end, by source.",
    ),
    (
        "weir_source_failing",
        "gauge",
        "1 while something keeps records of a source away, by source.",
    ),
    (
        "weir_source_idle_seconds",
        "gauge",
        "Seconds since the last record of a source, or since the start, by source.",
    ),
    (
        "weir_source_held",
        "gauge",
        "1 while a source is read no further, for too many of its records were refused or its dead letters cannot be written, by source.",
    ),
    (
        "weir_source_window_records",
        "gauge",
        "Records that came within the window of the source's limit, by source; 0 where there is no limit.",
    ),
    (
        "weir_source_window_refused",
        "gauge",
        "Of those, the ones that are refused, by source.",
    ),
    (
        "weir_dead_letters",
        "gauge",
        "Records refused now, by stage.",
    ),
    (
        "weir_dead_letters_bytes",
        "gauge",
        "What all that stands refused takes, with the records' bytes.",
    ),
    (
        "weir_stage_rows_total",
        "counter",
        "Rows a stage answered, by stage.",
    ),
    (
        "weir_stage_errors_total",
        "counter",
        "Rows that broke a stage's rule (a retraction of nothing, two rows where one may be), by stage.",
    ),
    (
        "weir_stage_busy_us_total",
        "counter",
        "Time spent in a stage, microseconds, by stage.",
    ),
    (
        "weir_stage_state_rows",
        "gauge",
        "Rows a stage keeps, by stage.",
    ),
    ("weir_table_rows", "gauge", "Rows of a table, by table."),
    (
        "weir_table_odd_keys",
        "gauge",
        "Keys of a table that have several rows, of which it shows one, by table.",
    ),
    (
        "weir_epochs_total",
        "counter",
        "Epochs run, published or not.",
    ),
    (
        "weir_checkpoint_epoch",
        "gauge",
        "Epoch of the last checkpoint of this run.",
    ),
    (
        "weir_checkpoint_age_seconds",
        "gauge",
        "Seconds since the last checkpoint, or since the start.",
    ),
    (
        "weir_checkpoints_total",
        "counter",
        "Checkpoints, by result (`written`, `failed`).",
    ),
    (
        "weir_checkpoint_bytes",
        "gauge",
        "Bytes of the last checkpoint.",
    ),
    (
        "weir_checkpoint_disk_bytes",
        "gauge",
        "Bytes of all files in the state folder.",
    ),
    (
        "weir_checkpoint_stall_us_total",
        "counter",
        "Time the engine's loop stood still to gather checkpoints, microseconds.",
    ),
    (
        "weir_phase_us_total",
        "counter",
        "Time the engine's loop spent waiting (`wait`), taking records (`fetch`), making rows of them (`decode`), in the stages (`stages`), and on tables and readers (`publish`), microseconds, by phase.",
    ),
    (
        "weir_sink_pending_rows",
        "gauge",
        "Rows handed to a sink and not confirmed yet, by sink.",
    ),
    (
        "weir_sink_waiting_ms",
        "gauge",
        "For how long the oldest change that was published is not confirmed by a sink, milliseconds, by sink.",
    ),
    (
        "weir_sink_epoch",
        "gauge",
        "Last epoch that a sink has whole, by sink.",
    ),
    (
        "weir_sink_sent_total",
        "counter",
        "Rows handed to a sink, by sink.",
    ),
    (
        "weir_sink_acked_total",
        "counter",
        "Rows that a sink confirmed, by sink.",
    ),
    (
        "weir_sink_failed_total",
        "counter",
        "Attempts to write a row to a sink that failed, by sink.",
    ),
    (
        "weir_sink_refused_rows",
        "gauge",
        "Rows of a table that its sink refuses now, by sink.",
    ),
    (
        "weir_sink_flushes_total",
        "counter",
        "Flushes that a sink has whole, by sink.",
    ),
];

/// The reading side of a running pipeline. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) views: Vec<ViewPlan>,
    pub(crate) tables: Vec<Arc<TablePlan>>,
    pub(crate) status: RwLock<Status>,
    pub(crate) published: RwLock<Option<Arc<Published>>>,
    pub(crate) dead_letters: RwLock<imbl::OrdMap<LetterKey, Arc<DeadLetter>>>,
    pub(crate) samples: RwLock<Vec<Sample>>,
    pub(crate) changed: watch::Sender<u64>,
}

/// Topic, partition, offset, stage, code.
pub type LetterKey = (String, i32, i64, String, String);

impl Handle {
    /// What the views declare.
    pub fn views(&self) -> &[ViewPlan] {
        &self.shared.views
    }

    /// The tables' plans, also before anything is published.
    pub fn tables(&self) -> &[Arc<TablePlan>] {
        &self.shared.tables
    }

    /// The status now.
    pub fn status(&self) -> Status {
        self.shared.status.read().expect("no writer panics").clone()
    }

    /// The last published cut; `None` until the pipeline is live for the first time.
    pub fn published(&self) -> Option<Arc<Published>> {
        self.shared
            .published
            .read()
            .expect("no writer panics")
            .clone()
    }

    /// Told the epoch at every publication, and also (same number) when only the status changed.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// How many such dead letters there are, and some of them, ordered by topic, partition and offset.
    pub fn dead_letters(
        &self,
        asked: &LetterFilter<'_>,
        offset: usize,
        limit: usize,
    ) -> (usize, Vec<Arc<DeadLetter>>) {
        let letters = self
            .shared
            .dead_letters
            .read()
            .expect("no writer panics")
            .clone();
        let is_all = asked.topic.or(asked.stage).or(asked.code).is_none();
        if is_all && asked.partition.is_none() && asked.at.is_none() {
            let page = letters.values().skip(offset).take(limit).cloned().collect();
            return (letters.len(), page);
        }
        let found = letters.values().filter(|letter| letter.is_asked(asked));
        let found: Vec<&Arc<DeadLetter>> = found.collect();
        let page = found.iter().skip(offset).take(limit).copied();
        (found.len(), page.cloned().collect())
    }

    /// All samples of [`METRICS`] now.
    pub fn metrics(&self) -> Vec<Sample> {
        self.shared
            .samples
            .read()
            .expect("no writer panics")
            .clone()
    }

    /// A handle that shows what its [`Feed`] is given: for tests of readers.
    pub fn fed(views: Vec<ViewPlan>, tables: Vec<Arc<TablePlan>>, status: Status) -> (Self, Feed) {
        let shared = Arc::new(Shared {
            views,
            tables,
            status: RwLock::new(status),
            published: RwLock::new(None),
            dead_letters: RwLock::default(),
            samples: RwLock::default(),
            changed: watch::channel(0).0,
        });
        (
            Self {
                shared: Arc::clone(&shared),
            },
            Feed { shared },
        )
    }
}

/// The writing side of a [`Handle`]. The engine's loop holds the only one.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
}

impl Feed {
    /// Shows a new status.
    pub fn status(&self, status: Status) {
        let epoch = status.epoch;
        *self.shared.status.write().expect("no writer panics") = status;
        self.shared.changed.send_replace(epoch);
    }

    /// Shows a new cut. The status of the same epoch follows.
    pub fn publish(&self, cut: Published) {
        *self.shared.published.write().expect("no writer panics") = Some(Arc::new(cut));
    }

    /// The pipeline's name.
    pub(crate) fn pipeline(&self) -> String {
        self.shared
            .status
            .read()
            .expect("no writer panics")
            .pipeline
            .clone()
    }

    /// Shows these dead letters.
    pub fn dead_letters(&self, letters: imbl::OrdMap<LetterKey, Arc<DeadLetter>>) {
        *self.shared.dead_letters.write().expect("no writer panics") = letters;
    }

    /// Shows these samples.
    pub fn metrics(&self, samples: Vec<Sample>) {
        *self.shared.samples.write().expect("no writer panics") = samples;
    }
}
