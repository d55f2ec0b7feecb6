//! Kafka to a table of exact sums, measured three ways on the same cores: a consumer that only counts bytes, the
//! whole job written by hand for this one purpose, and the engine with its pipeline file, plugin and tables. And
//! what each kind of change costs the reference pipeline in a book of a million open trades.
//!
//! Shares no code with the product: what it computes by hand is also what the engine's table must say.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for a terminal"
)]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

mod consumer;
mod engine;
mod hand;
mod load;
mod rules;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

/// One job, three ways.
#[derive(Debug, Parser)]
struct Command {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    job: Job,
}

/// The topic and what it holds.
#[derive(Debug, Clone, Args)]
struct Job {
    /// Kafka's address.
    #[arg(long, global = true, default_value = "localhost:9092")]
    bootstrap: String,
    /// Messages in the topic: some versions of each deal.
    #[arg(long, global = true, default_value_t = 2_000_000)]
    messages: u64,
    /// How many versions.
    #[arg(long, global = true, default_value_t = 4)]
    versions: u64,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Fills the topic.
    Load {
        /// Messages that it has already; without any it is made.
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
    /// Prints the messages as the rows that a plugin gets, a line each; needs no Kafka.
    Rows,
    /// Counts bytes.
    Plain,
    /// The whole job by hand; prints the sums.
    Hand,
    /// The whole job by the engine; prints its sums and where the time went. Or, where asked, what more costs.
    Engine {
        /// Keeps its state in this folder, with checkpoints as often as where a file does not say.
        #[arg(long)]
        kept: Option<PathBuf>,
        /// Writes the newest version of each deal to a topic: `at_least_once` or `exactly_once`.
        #[arg(long)]
        sunk: Option<String>,
        /// The `weir` binary.
        #[arg(long)]
        weir: PathBuf,
        /// The pipeline file.
        #[arg(long)]
        pipeline: PathBuf,
    },
    /// What each kind of change costs in a book of open trades; needs no Kafka.
    Rules {
        /// The `weir` binary.
        #[arg(long)]
        weir: PathBuf,
        /// The pipeline file.
        #[arg(long)]
        pipeline: PathBuf,
        /// An empty folder for the book.
        #[arg(long)]
        folder: PathBuf,
        /// Open trades.
        #[arg(long, default_value_t = 1_000_000)]
        trades: u64,
    },
}

fn main() -> Result<()> {
    let Command { what, job } = Command::parse();
    match what {
        What::Load { from } => load::fill(&job, from),
        What::Rows => {
            for (offset, message) in load::messages(job.messages, job.versions).enumerate() {
                println!("{}", row(offset, &message.value)?);
            }
            Ok(())
        }
        What::Plain => plain(&job),
        What::Hand => hand::run(&job),
        What::Rules {
            weir,
            pipeline,
            folder,
            trades,
        } => rules::run(&weir, &pipeline, &folder, trades),
        What::Engine {
            kept,
            sunk,
            weir,
            pipeline,
        } => match (kept, sunk) {
            (None, None) => engine::run(&job, &weir, &pipeline),
            (Some(folder), _) => engine::kept(&job, &weir, &pipeline, &folder),
            (None, Some(delivery)) => engine::sunk(&job, &weir, &pipeline, &delivery),
        },
    }
}

/// A message as the normaliser's columns: numbers there are the text that they were written with.
fn row(offset: usize, value: &str) -> Result<serde_json::Value> {
    let mut row: serde_json::Value = serde_json::from_str(value)?;
    for field in row
        .as_object_mut()
        .into_iter()
        .flat_map(|row| row.values_mut())
    {
        if let serde_json::Value::Number(number) = field {
            *field = number.to_string().into();
        }
    }
    row["_offset"] = offset.into();
    Ok(row)
}

fn plain(job: &Job) -> Result<()> {
    let started = Instant::now();
    let mut bytes = 0;
    let rows = consumer::all(job, |value| {
        bytes += value.len();
        Ok(())
    })?;
    say("plain", rows, started.elapsed());
    eprintln!("weir-bench: {bytes} bytes");
    Ok(())
}

/// The line that the caller reads: `NAME ROWS_PER_SECOND`.
fn say(name: &str, rows: u64, time: Duration) {
    let rate = u128::from(rows) * 1_000_000 / time.as_micros().max(1);
    eprintln!(
        "weir-bench: {name}: {rows} rows in {:.2} s, {rate} rows/s",
        time.as_secs_f64()
    );
    println!("{name} {rate}");
}
