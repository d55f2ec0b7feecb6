//! A plan and a registry of stages turned into a running pipeline, one epoch at a time.
//!
//! [`Engine::build`] makes every stage of a plan, [`Engine::run`] is the loop, [`Handle`] is what readers see.
//! Every published epoch is a function of the offsets it has seen and its clock alone.

pub mod asked;
mod checkpoint;
mod clock;
#[cfg(test)]
mod fuzz;
mod gates;
mod group;
mod ingest;
pub mod intake;
mod letters;
mod limits;
mod narrow;
pub mod read;
pub mod replay;
mod run;
mod silence;
mod sinks;
pub mod state;
mod step;
#[cfg(test)]
mod tests;
mod transform;

pub use checkpoint::{Keep, digest, plan_digest};
pub use intake::{Intake, Sources};
pub use read::{
    CheckpointStatus, DeadLetter, Feed, Handle, LetterFilter, Published, Sample, SinkState,
    SinkStatus, State, Status,
};
pub use replay::{Pace, Replay, ReplayError};
pub use run::{Engine, Parts, Stop};
pub use sinks::SinkParts;
pub use step::Fault;
pub use weir_spec::plan::{DrillPlan, Edge, TablePlan, ViewPlan};
pub use weir_stage::Headers;
