//! Bytes to batches and back: JSON, Avro, raw; a bad record is kept and explained.
