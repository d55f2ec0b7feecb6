//! Parquet files as a sink: what changed in a table, in files that are complete or not there.
//!
//! The only crate that names `parquet`.
