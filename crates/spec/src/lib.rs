//! A pipeline file in, a [`Plan`] and [`Diagnostic`]s out.
//!
//! YAML text becomes a tree with places ([`tree`]), its `${...}` are replaced ([`interpolate`]), the tree is checked
//! by the schema of [`raw::PipelineSpec`], and the raw spec is resolved to a [`Plan`] whose every edge is typed.
//! All findings come at once, sorted by place. No I/O but through the [`Reader`] and the [`Catalog`].

pub mod catalog;
pub mod codes;
pub mod diagnostic;
pub mod interpolate;
mod nearest;
pub mod plan;
pub mod raw;
mod reference;
mod resolve;
mod schema;
pub mod tree;

pub use catalog::{Catalog, Port, Problem, Shape};
pub use diagnostic::{Diagnostic, Severity};
pub use interpolate::Reader;
pub use plan::Plan;
pub use reference::pipeline_reference;
pub use schema::pipeline_schema;

use diagnostic::{Findings, Sink};
use resolve::{Broken, World};
use std::path::Path;
use tree::{At, Node};

/// Checks the text of a pipeline file; a plan when nothing is wrong with it (warnings aside).
///
/// `file_name` is what findings call the file, `base` the folder that paths in it are relative to.
pub fn check(
    file_name: &str,
    text: &str,
    base: &Path,
    reader: &dyn Reader,
    catalog: &dyn Catalog,
) -> (Option<Plan>, Vec<Diagnostic>) {
    let mut sink = Sink::new(file_name);
    let (root, errors) = tree::parse(text);
    for error in errors {
        sink.put(Severity::Error, &error.place, error.code, error.message)
            .hinted(error.hint);
    }
    let Some(mut root) = root else {
        return (None, sink.finish(str::to_owned));
    };
    let secrets = interpolate::interpolate(&mut root, base, reader, &mut sink);
    let mut findings = Findings::new(sink, &root);
    let plan = read_spec(&root, &mut findings).map(|(spec, broken)| {
        resolve::resolve(
            &spec,
            &broken,
            &World {
                base,
                reader,
                catalog,
            },
            &mut findings,
        )
    });
    let plan = plan.filter(|_| !findings.sink.has_errors());
    (
        plan,
        findings.sink.finish(|message| secrets.redact(message)),
    )
}

/// The tree as the raw spec, without the entries that do not fit the schema; those are reported and named.
fn read_spec(root: &Node, findings: &mut Findings<'_>) -> Option<(raw::PipelineSpec, Broken)> {
    let mut json = root.to_json();
    let mut broken = Broken::default();
    let violations = schema::Schema::pipeline().violations(&json);
    for violation in &violations {
        broken.note(violation.at.parts());
        if let Some(meant) = violation.misspelt() {
            broken.note(meant.parts());
        }
    }
    for violation in violations {
        violation.report(&At::default(), None, findings);
    }
    broken.remove_from(&mut json);
    match serde_json::from_value(json) {
        Ok(spec) => Some((spec, broken)),
        // What the file lacks as a whole is reported; without it there is nothing to resolve.
        Err(_) if findings.sink.has_errors() => None,
        Err(error) => {
            findings.error(
                &At::default(),
                codes::INTERNAL,
                format!("the schema takes what the reader does not: {error}"),
            );
            None
        }
    }
}
