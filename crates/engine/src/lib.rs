//! A plan and a registry of stages turned into a running pipeline, one epoch at a time.

pub mod read;

pub use read::{DeadLetter, Feed, Handle, Published, Sample, State, Status};
pub use weir_spec::plan::{Edge, TablePlan, ViewPlan};
