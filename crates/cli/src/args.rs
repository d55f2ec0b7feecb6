//! What can be typed.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Streams records through pipelines of stages and WASM plugins into live tables.
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = true)]
pub(crate) struct Args {
    /// How log lines are written to standard error (what is logged: `WEIR_LOG`, such as `debug` or `weir_kafka=debug`).
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
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
    /// `file:line:column: code: message`, then a hint.
    Text,
    /// With the lines of the file around each finding.
    Fancy,
    /// One JSON array of findings.
    Json,
}

/// How to run a pipeline.
#[derive(Clone, Debug, ClapArgs)]
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
    /// Serve the page and the API here; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7878")]
    pub listen: SocketAddr,
    /// Serve to anyone who can reach an address that is not loopback. There is no sign-in.
    #[arg(long)]
    pub allow_unauthenticated: bool,
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
