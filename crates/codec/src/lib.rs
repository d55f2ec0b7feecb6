//! Bytes to batches: JSON by a schema, Avro by a writer's and a reader's schema, plain text.
//!
//! A bad record never stops a batch: it comes back as a [`Refused`] with a stable code, the field and
//! the place, never with its bytes. Nothing here does I/O, reads a clock or passes a number through
//! binary floating point.

pub mod avro;
pub mod beside;
pub mod encode;
pub mod json;
pub mod record;
pub mod text;

mod civil;
mod column;
mod error;
mod rows;

pub use avro::{AvroDecoder, AvroReader, WriterSchemas};
pub use beside::Beside;
pub use encode::{Encoder, JsonEncoder};
pub use error::CodecError;
pub use json::JsonDecoder;
pub use record::{Decoded, Decoder, Fault, Headers, RawRecord, Refused, SourceError};
pub use rows::Stop;
pub use text::TextDecoder;

/// Largest value that is decoded. Kafka's own default for a message is 1 MiB; what is far above is no
/// trade but an accident, and would make one batch's columns arbitrarily large.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
