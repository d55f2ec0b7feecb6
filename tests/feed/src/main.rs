//! Writes a bank's trading day from a seed: as a folder of files, or to Kafka.
//!
//! Shares no code with the product, so that it cannot make the product's mistakes; what a message looks like is the
//! contract of its topic. Nothing it writes is ever edited by hand.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for a terminal"
)]

mod agenda;
mod avro;
mod bank;
mod calendar;
mod days;
mod decimal;
mod desk;
mod kafka;
mod market;
mod message;
mod rng;
mod soak;
mod topic;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// A bank's trading day, made up from a seed.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The demo's day: four entities, a squeeze, an override.
    Day {
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// The folder to write: a `<topic>.jsonl` a topic.
        #[arg(long)]
        out: PathBuf,
    },
    /// A day for tests: every notation, conflicts, deletions, bad messages.
    Random {
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// About how many deals and other events.
        #[arg(long, default_value_t = 10_000)]
        trades: i64,
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
        partitions: u64,
        /// The folder to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Publishes a folder's day to Kafka, partitions, offsets and timestamps as recorded.
    Publish {
        /// The folder of a day.
        #[arg(long)]
        day: PathBuf,
        /// Only these topics.
        #[arg(long)]
        topic: Vec<String>,
        #[command(flatten)]
        how: How,
        #[command(flatten)]
        to: To,
    },
    /// Makes a topic.
    Topic {
        /// Its name.
        #[arg(long)]
        name: String,
        #[arg(long, default_value_t = 1)]
        partitions: i32,
        /// On so many brokers.
        #[arg(long, default_value_t = 1)]
        replicas: i32,
        /// Its settings, such as `cleanup.policy=compact`.
        #[arg(long)]
        set: Vec<String>,
        #[command(flatten)]
        to: To,
    },
    /// Deletes a topic, and waits until it is gone.
    Delete {
        /// Its name.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        to: To,
    },
    /// Deletes a partition's records before an offset, as retention does.
    Trim {
        /// The topic.
        #[arg(long)]
        name: String,
        #[arg(long)]
        partition: i32,
        /// The first offset that stays.
        #[arg(long)]
        before: i64,
        #[command(flatten)]
        to: To,
    },
    /// Prints a topic's records, a JSON object a line, Avro by the registry.
    Read {
        /// Its name.
        #[arg(long)]
        name: String,
        /// Aborted and open transactions, too.
        #[arg(long)]
        uncommitted: bool,
        /// Keys as text and values in base64, as they are; null where there is none.
        #[arg(long)]
        raw: bool,
        #[command(flatten)]
        to: To,
    },
    /// Prints what a group has committed of a topic, a JSON object a line.
    Offsets {
        /// The group.
        #[arg(long)]
        group: String,
        /// The topic.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        to: To,
    },
    /// Plays a broker in memory until it is killed: one that a test may freeze. Prints where it is.
    Mock {
        /// A topic.
        #[arg(long)]
        name: String,
    },
    /// Publishes a book, then newer versions of its records at a rate: it changes all the time and grows no further.
    Soak {
        /// About so many records in the book.
        #[arg(long, default_value_t = 100_000)]
        records: usize,
        /// Newer versions a second.
        #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
        /// For how long.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        #[command(flatten)]
        how: How,
        #[command(flatten)]
        to: To,
    },
    /// Publishes a live day to Kafka, at a rate.
    Live {
        /// Messages a second.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
        /// For how long.
        #[arg(long, default_value_t = 5)]
        minutes: u32,
        #[arg(long, default_value_t = 7)]
        seed: u64,
        #[command(flatten)]
        to: To,
    },
}

/// How to publish a recorded day.
#[derive(Debug, Args)]
struct How {
    /// Stands in front of the names of topics.
    #[arg(long, default_value = "")]
    prefix: String,
    /// How batches are compressed: gzip, snappy, lz4, zstd.
    #[arg(long, default_value = "none")]
    compression: String,
    /// Everything in one transaction that ends so; the topics may hold something, and offsets are what they will be.
    #[arg(long)]
    transaction: Option<Ending>,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ending {
    Commit,
    Abort,
    /// Not at all, until the brokers lose their patience.
    Never,
}

/// Where to publish.
#[derive(Debug, Args)]
struct To {
    /// Kafka's address [default: `KAFKA_BOOTSTRAP`, else this machine].
    #[arg(long)]
    bootstrap: Option<String>,
    /// The schema registry's URL [default: `SCHEMA_REGISTRY_URL`, else this machine].
    #[arg(long)]
    registry: Option<String>,
}

impl To {
    fn bootstrap(&self) -> String {
        given(self.bootstrap.as_ref(), "KAFKA_BOOTSTRAP", "localhost:9092")
    }

    fn registry(&self) -> String {
        given(
            self.registry.as_ref(),
            "SCHEMA_REGISTRY_URL",
            "http://localhost:8081",
        )
    }
}

fn given(option: Option<&String>, variable: &str, default: &str) -> String {
    option
        .cloned()
        .or_else(|| std::env::var(variable).ok())
        .unwrap_or_else(|| default.to_owned())
}

fn main() -> Result<()> {
    match Command::parse().what {
        What::Day { seed, out } => write(&out, days::demo(seed), 1),
        What::Random {
            seed,
            trades,
            partitions,
            out,
        } => write(&out, days::random(seed, trades), partitions),
        What::Publish {
            day,
            topic,
            how,
            to,
        } => kafka::publish(&to, &day, &topic, &how),
        What::Topic {
            name,
            partitions,
            replicas,
            set,
            to,
        } => topic::make(&to, &name, partitions, replicas, &set),
        What::Delete { name, to } => topic::delete(&to, &name),
        What::Trim {
            name,
            partition,
            before,
            to,
        } => topic::trim(&to, &name, partition, before),
        What::Read {
            name,
            uncommitted,
            raw,
            to,
        } => topic::read(&to, &name, uncommitted, raw),
        What::Offsets { group, name, to } => topic::offsets(&to, &group, &name),
        What::Mock { name } => topic::mock(&name),
        What::Soak {
            records,
            rate,
            seconds,
            how,
            to,
        } => soak::soak(&to, &how, records, rate, seconds),
        What::Live {
            rate,
            minutes,
            seed,
            to,
        } => kafka::live(&to, rate, minutes, seed),
    }
}

fn write(out: &Path, messages: Vec<message::Message>, partitions: u64) -> Result<()> {
    let count = messages.len();
    message::write(out, &message::records(messages, partitions))?;
    eprintln!("weir-feed: {count} messages in {}", out.display());
    Ok(())
}
