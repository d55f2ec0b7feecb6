//! End-to-end tests of the binary.

pub mod day;
