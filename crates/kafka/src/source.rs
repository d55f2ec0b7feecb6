//! The source of one topic.
//!
//! Delivery: reading begins at the stored position, or where `start` says; each record comes once per
//! opening, those of a partition in offset order, those of different partitions in any. What a
//! transaction left open or aborted does not come (`isolation.level` may be set otherwise). A crash
//! loses nothing: the position is the engine's.

use crate::error;
use crate::events::Events;
use crate::properties;
use crate::queue::Queue;
use crate::reader::Reader;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use weir_stage::source::{Fault, Position, RawBatch, Source, SourceError};

/// What to read.
#[derive(Clone)]
pub struct SourceOptions {
    /// The topic.
    pub topic: String,
    /// Client properties of the cluster and the source; they win over the defaults.
    pub properties: BTreeMap<String, String>,
    /// Where to begin without a stored position.
    pub start: Start,
    /// A stored position; partitions that it does not have are read from their beginning.
    pub position: Option<Position>,
    /// The stored identity of the topic that the position is of; of another one nothing is read.
    pub identity: Option<String>,
}

/// Where to begin without a stored position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest record there is.
    Earliest,
    /// The next record to be written.
    Latest,
    /// The first record of this instant or later (microseconds since 1970, UTC).
    At(i64),
}

/// All partitions of one topic, read by a thread of its own into a bounded queue.
pub struct KafkaSource {
    topic: String,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl KafkaSource {
    /// Begins to read. Properties that no client can be made of are an error here; that brokers or the topic
    /// are not there is one of `poll`, and passes when they come.
    pub fn open(options: SourceOptions) -> Result<Self, SourceError> {
        let config = client_config(&options.properties)?;
        let consumer = config
            .create_with_context(Events::new(&config))
            .map_err(|failure| error::of_creation(&failure))?;
        let queue = Arc::new(Queue::default());
        let topic = options.topic.clone();
        let reader = Reader::new(consumer, options, Arc::clone(&queue));
        let thread = std::thread::Builder::new()
            .name(format!("kafka {topic}"))
            .spawn(move || reader.run());
        let thread = thread.map_err(|failure| {
            error::error(Fault::Internal, "thread", format!("no thread: {failure}"))
        })?;
        Ok(Self {
            topic,
            queue,
            thread: Some(thread),
        })
    }
}

fn client_config(properties: &BTreeMap<String, String>) -> Result<ClientConfig, SourceError> {
    let mut config = ClientConfig::new();
    for (key, value) in properties::DEFAULTS {
        config.set(*key, *value);
    }
    for (key, value) in properties {
        if let Some((code, message, hint)) = properties::client_property(key, value) {
            let message = hint.map_or(message.clone(), |hint| format!("{message}: {hint}"));
            return Err(error::error(Fault::User, code, message));
        }
        config.set(key, value);
    }
    for (key, value) in properties::OWNED {
        config.set(*key, *value);
    }
    config.set_log_level(RDKafkaLogLevel::Warning);
    Ok(config)
}

impl Source for KafkaSource {
    fn poll(&mut self, rows_max: usize, bytes_max: usize) -> Result<RawBatch, SourceError> {
        self.queue.take(rows_max, bytes_max)
    }

    fn start_end(&self) -> Option<Position> {
        self.queue.start_end()
    }

    fn end(&self) -> Position {
        self.queue.end()
    }

    fn position(&self) -> Position {
        self.queue.position()
    }

    fn identity(&self) -> Option<String> {
        self.queue.identity()
    }

    fn is_ended(&self) -> bool {
        false
    }

    fn trouble(&self) -> Option<SourceError> {
        self.queue.trouble()
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.queue.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(
                topic = self.topic,
                "the thread that read a topic had panicked"
            );
        }
    }
}

impl fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSource")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SourceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of properties may be secrets.
        let keys: Vec<&String> = self.properties.keys().collect();
        f.debug_struct("SourceOptions")
            .field("topic", &self.topic)
            .field("properties", &keys)
            .finish_non_exhaustive()
    }
}
