//! Parquet files as a sink: what changed in a table, in files that are complete or not there.
//!
//! A folder belongs to one sink; the file `_weir` in it says to which, and `_weir.lock` keeps a second process away. Files
//! are numbered through, `0000000057.parquet`, over all partitions: of the rows of a key that in the file with the highest
//! number is the newest. A file is written under a name that begins with a dot, synced, and renamed into place; those of
//! one flush follow each other in the order of their numbers.
//!
//! Delivery: a restart reads back the files since the checkpoint and writes the difference alone; where one of those is
//! gone, the whole folder is read. A crash leaves whole files, and drafts that the next opening removes.
//!
//! The only crate that names `parquet`.

mod error;
mod file;
mod folder;
mod shape;
mod sink;
#[cfg(test)]
mod tests;

pub use sink::{ParquetSink, SinkOptions, misfit};
