//! Kafka as a source, and the schema registry beside it.
//!
//! The only crate that names `rdkafka` and `schema_registry_converter`. A [`KafkaSource`] reads all
//! partitions of one topic without a consumer group; offsets are the engine's to keep.

mod error;
mod events;
mod native;
mod properties;
mod queue;
mod reader;
mod registry;
mod source;

pub use properties::client_property;
pub use registry::registry_decoder;
pub use source::{KafkaSource, SourceOptions, Start};

#[cfg(test)]
mod source_tests;
