//! A pipeline file in, a [`Plan`] and [`Diagnostic`]s out.
//!
//! YAML text becomes a tree with places, the tree a raw [`raw::PipelineSpec`], the raw spec a resolved
//! [`Plan`] whose every edge is typed. All findings come at once.

pub mod catalog;
pub mod plan;

pub use catalog::{Catalog, Port, Problem, Shape};
pub use plan::Plan;
