//! Weighted columnar batches, and what can be done with them one step at a time.
//!
//! A [`Delta`] is an Arrow batch with a weight per row (a Z-set): +1 inserts, -1 retracts, a change
//! is -old +new. Every operator takes the deltas of one step, in [`Parts`], and answers the delta of its result;
//! beside each stands a plain twin that recomputes the whole result, and random tests compare them.
//! Nothing here reads a clock, does I/O or depends on the order of a hash map.

pub mod compact;
pub mod delta;
pub mod expr;
pub mod kept;
pub mod meta;
mod nearest;
mod nested;
pub mod op;
pub mod pages;
pub mod rows;
pub mod table;
pub mod text;
#[cfg(test)]
mod twin;

pub use delta::{Delta, Parts};
pub use op::{OpError, Refusal};
