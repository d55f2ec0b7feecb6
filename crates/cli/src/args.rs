//! What can be typed.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Streams records through pipelines of stages and WASM plugins into live tables.
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = true)]
pub(crate) struct Args {
    /// How lines on standard error are written (what is logged beside `info`: `WEIR_LOG`, such as `debug` or
    /// `weir_kafka=debug`).
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check pipeline files: every finding at once, without any service. Exit 0 when they are good, else 2.
    Check(CheckArgs),
    /// Run a pipeline, live from Kafka or replaying a recorded day.
    Run(Box<RunArgs>),
    /// Work with plugin files.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Look into a state folder.
    #[command(subcommand)]
    State(State),
    /// Look at the records that a running pipeline has refused, and send them again.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// List them: where each record stands, which stage refused it, the code and the message.
    List {
        #[command(flatten)]
        which: WhichLetters,
        /// Most of them to list.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// How they are printed.
        #[arg(long, value_enum, default_value_t = LettersFormat::Text)]
        format: LettersFormat,
    },
    /// Show all that is known of a record's refusals, key, value and headers included, as JSON.
    Show {
        /// Where weir serves.
        #[arg(long, value_name = "URL", default_value = SERVED)]
        at: String,
        /// The record: topic/partition/offset.
        record: RecordId,
    },
    /// Send records again into the same pipeline: to the partition that each stands in, with the key, value, timestamp and
    /// headers that it has, in the order that they stand. Each takes the place of its original: rows carry the original's
    /// offset, and its dead letters go, or come anew when it is refused again. Records whose dead letters go by themselves,
    /// with their cause, are not sent. Waits until the pipeline has read them, and says what became of them. Exit 0 when
    /// all were taken.
    Replay {
        /// The pipeline file: it names the clusters and the topics.
        file: PathBuf,
        #[command(flatten)]
        which: WhichLetters,
        /// All of them.
        #[arg(long)]
        all: bool,
        /// Say what would be sent, and send nothing.
        #[arg(long)]
        dry_run: bool,
        /// Longest wait for the pipeline to read what was sent.
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        wait: u64,
    },
}

/// Where weir serves when nothing else is said.
const SERVED: &str = "http://127.0.0.1:7878";

/// Which dead letters of which weir.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct WhichLetters {
    /// Where weir serves.
    #[arg(long, value_name = "URL", default_value = SERVED)]
    pub(crate) at: String,
    /// Of this record, topic/partition/offset; may be given several times.
    #[arg(long = "record", value_name = "RECORD")]
    pub(crate) records: Vec<RecordId>,
    /// Of this topic.
    #[arg(long)]
    pub(crate) topic: Option<String>,
    /// Of this partition.
    #[arg(long, value_name = "N")]
    pub(crate) partition: Option<i32>,
    /// Refused by this stage (`decode`: by a source's decoder).
    #[arg(long)]
    pub(crate) stage: Option<String>,
    /// With this code.
    #[arg(long)]
    pub(crate) code: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LettersFormat {
    /// A line each.
    Text,
    /// A JSON object a line.
    Json,
}

/// A record's place: topic/partition/offset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordId {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl std::str::FromStr for RecordId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let [topic, partition, offset] = parts[..] else {
            return Err("a record is topic/partition/offset, such as trades.fx/0/17".to_owned());
        };
        let number = |what: &str| format!("the {what} of a record is a whole number");
        Ok(Self {
            topic: topic.to_owned(),
            partition: partition.parse().map_err(|_no| number("partition"))?,
            offset: offset.parse().map_err(|_no| number("offset"))?,
        })
    }
}

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum State {
    /// Say what the newest checkpoint holds: epoch, clock, offsets, files.
    Inspect {
        /// The folder.
        dir: PathBuf,
    },
    /// Read every byte of every checkpoint. Exit 0 when the newest is whole, else 2.
    Verify {
        /// The folder.
        dir: PathBuf,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CheckArgs {
    /// Pipeline files.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// How findings are printed.
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// `file:line:column: code: message`, of a warning `file:line:column: warning: code: message`; then a hint.
    Text,
    /// With the lines of the file around each finding.
    Fancy,
    /// One JSON array of findings.
    Json,
}

/// How to run a pipeline.
#[derive(Clone, Debug, ClapArgs)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch")]
pub struct RunArgs {
    /// The pipeline file.
    pub file: PathBuf,
    /// Replay a recorded day in the place of Kafka: a folder with a `<topic>.jsonl` per topic. The clock is
    /// the records' own.
    #[arg(long, value_name = "DIR")]
    pub replay: Option<PathBuf>,
    /// How fast a replayed day goes by: so many times as fast as it was, or `max`.
    #[arg(long, value_name = "N|max", default_value = "max", requires = "replay")]
    pub speed: Speed,
    /// Replay every record up to and including this instant (such as 2026-03-02T12:00:00Z), move the clock to
    /// it, and go on serving.
    #[arg(long, value_name = "INSTANT", requires = "replay", value_parser = instant)]
    pub until: Option<i64>,
    /// Exit when the replayed input ends.
    #[arg(long, requires = "replay")]
    pub until_end: bool,
    /// When the replayed input has ended, write every table, sorted by key, and the dead letters to this
    /// folder, a JSON object a line.
    #[arg(long, value_name = "DIR", requires = "replay")]
    pub dump: Option<PathBuf>,
    /// Run the pipeline's sinks in a replay, too: what is replayed is written to their topics and folders.
    #[arg(long, requires = "replay")]
    pub sinks: bool,
    /// Serve the page and the API here; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7878")]
    pub listen: SocketAddr,
    /// Serve to anyone who can reach an address that is not loopback. There is no sign-in.
    #[arg(long)]
    pub allow_unauthenticated: bool,
    /// A name by which clients call this server besides its address, such as that of a service, an ingress or a proxy: `desk.example`
    /// (any port) or `desk.example:8080`. May be given several times.
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Keep what the pipeline knows in this folder, and go on from there at the next start; in the place of the
    /// file's `engine.checkpoint.to`. Compiled plugins are kept there, too [their default: the user's cache folder].
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Forget what the state folder holds, and read everything again.
    #[arg(long)]
    pub fresh: bool,
    /// Seconds that the last checkpoint may take when the process is told to end.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub grace: u64,
    /// Threads that decode and run plugins, in the place of the file's `engine.workers`.
    #[arg(long, value_name = "N")]
    pub workers: Option<std::num::NonZeroUsize>,
    /// Most records one epoch takes, in the place of the file's `engine.epoch_rows_max`.
    #[arg(long, value_name = "N")]
    pub epoch_rows_max: Option<std::num::NonZeroUsize>,
    /// Replay topics interleaved otherwise within the same offsets, by this seed: for tests.
    #[arg(long, hide = true, requires = "replay")]
    pub interleave: Option<u64>,
}

/// How fast a replay goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// As fast as it can be taken.
    Max,
    /// So many times as fast as it was.
    Times(u32),
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "max" => Ok(Self::Max),
            _ => match text.parse() {
                Ok(times) if times > 0 => Ok(Self::Times(times)),
                _ => Err("a whole number from 1, or `max`".to_owned()),
            },
        }
    }
}

fn instant(text: &str) -> Result<i64, String> {
    let time = text.split_once(['T', ' ']).map_or("", |(_, time)| time);
    if !time.ends_with('Z') && !time.contains(['+', '-']) {
        return Err("an instant needs an offset, such as 2026-03-02T12:00:00Z".to_owned());
    }
    let nanos = arrow::compute::kernels::cast_utils::string_to_timestamp_nanos(text);
    nanos
        .map(|nanos| nanos.div_euclid(1000))
        .map_err(|error| format!("no instant such as 2026-03-02T12:00:00Z: {error}"))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Turn a core WASM module into a plugin file: a component with its description inside.
    Pack {
        /// The module that the compiler wrote.
        core: PathBuf,
        /// The plugin file to write.
        #[arg(short, long)]
        out: PathBuf,
    },
    /// Print what a plugin file says of itself, without running it.
    Describe {
        /// The plugin file.
        file: PathBuf,
        /// The config to describe it for, as JSON.
        #[arg(long, default_value = "{}")]
        config: String,
    },
}
