//! Kafka as a source and a sink, and the schema registry beside it.
//!
//! The only crate that names `rdkafka` and `schema_registry_converter`. A [`KafkaSource`] reads all
//! partitions of one topic without a consumer group; offsets are the engine's to keep. A [`KafkaSink`] writes
//! the rows of one table, or the dead letters, to one topic.

mod again;
mod error;
mod events;
mod letters;
mod native;
mod properties;
mod queue;
mod readback;
mod reader;
mod registry;
mod sink;
mod source;

pub use again::{Again, Original};
pub use properties::{client_property, sink_properties};
pub use registry::{OnIncompatible, registry_decoder};
pub use sink::{Content, Format, KafkaSink, SinkOptions, misfit};
pub use source::{KafkaSource, SourceOptions, Start};

#[cfg(test)]
mod source_tests;
