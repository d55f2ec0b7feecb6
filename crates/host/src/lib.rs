//! A WASM component as a stage: limits, versions, verdicts.
//!
//! [`Host`] implements [`weir_stage::Plugins`]. A plugin is a component of one of the worlds of `weir:plugin`, which
//! imports no function; it is described by a section of its file, compiled once, and opened once per worker. A call is
//! bounded in time, memory and rows. What a plugin answers is checked in full before it becomes Arrow. A call that the
//! plugin does not survive ends the instance and nothing else: it is made again in halves until the rows to blame are
//! found, which are refused as `plugin_trap`, `plugin_deadline`, `plugin_memory` or `plugin_output`.
//!
//! Delivery: plugins are pure, so any call may be repeated; an instance keeps nothing that the engine would miss.

mod abi;
mod buffers;
mod describe;
mod divide;
mod error;
mod group;
mod kind;
mod lift;
mod load;
mod lower;
mod pack;
mod sandbox;
mod section;
mod ticker;
mod transform;
#[cfg(test)]
mod wire_tests;

pub use error::HostError;
pub use pack::pack;

use arrow::datatypes::{DataType, SchemaRef};
use error::Verdict;
use group::{FlatPort, Grouper};
use kind::Flat;
use load::{Loaded, Loader};
use sandbox::Sandbox;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use transform::Transformer;
use weir_stage::{Group, Limits, Opening, PluginError, Plugins, Port, Shape, Transform};

/// The plugin host: one runtime, with what it has compiled.
#[derive(Debug)]
pub struct Host {
    loader: Loader,
}

impl Host {
    /// A host that keeps compiled code in a folder, which it makes, or in memory alone.
    pub fn new(cache: Option<PathBuf>) -> Result<Self, HostError> {
        Ok(Self {
            loader: Loader::new(cache)?,
        })
    }

    /// The JSON Schema of a plugin's config, without running it.
    pub fn config_schema(&self, file: &Path) -> Result<String, PluginError> {
        load::description(file).map(|description| description.config_schema)
    }

    fn shape_of(
        &self,
        file: &Path,
        opening: &Opening,
        is_group: bool,
    ) -> Result<(Arc<Loaded>, Shape), PluginError> {
        let loaded = self.loader.load(file)?;
        let name = loaded.description.name.clone();
        let shape = loaded.description.shape(&opening.config);
        let shape = shape.map_err(|why| Verdict::wrong("config_invalid", why).of(&name))?;
        if shape.is_group != is_group {
            let world = loaded.description.world.name();
            let asked = if is_group { "with" } else { "without" };
            let message = format!("it is a {world} plugin and is used {asked} `group_by`");
            return Err(Verdict::wrong("plugin_invalid", message).of(&name));
        }
        Ok((loaded, shape))
    }
}

impl Plugins for Host {
    fn shape(&self, file: &Path, config: &str) -> Result<Shape, PluginError> {
        let description = load::description(file)?;
        description
            .shape(config)
            .map_err(|why| Verdict::wrong("config_invalid", why).of(&description.name))
    }

    fn open_transform(
        &self,
        file: &Path,
        opening: &Opening,
        limits: &Limits,
    ) -> Result<Box<dyn Transform>, PluginError> {
        let (loaded, shape) = self.shape_of(file, opening, false)?;
        let open = || {
            let (inputs, outputs) = (flat_ports(shape.inputs)?, flat_ports(shape.outputs)?);
            let ports = (
                inputs.iter().map(named).collect(),
                Vec::new(),
                outputs.iter().map(named).collect(),
            );
            let sandbox = Sandbox::open(loaded, opening.clone(), ports, limits.clone())?;
            let (input, input_flat) = only(inputs)?;
            let (output, output_flat) = only(outputs)?;
            Ok(Transformer {
                sandbox,
                input,
                input_flat,
                output,
                output_flat,
            })
        };
        let opened: Result<Transformer, Verdict> = open();
        Ok(Box::new(opened.map_err(|verdict| verdict.of(&shape.name))?))
    }

    fn open_group(
        &self,
        file: &Path,
        opening: &Opening,
        key: &SchemaRef,
        limits: &Limits,
    ) -> Result<Box<dyn Group>, PluginError> {
        let (loaded, shape) = self.shape_of(file, opening, true)?;
        let open = || {
            let (inputs, outputs) = (flat_ports(shape.inputs)?, flat_ports(shape.outputs)?);
            let key_flat = flat(key)?;
            let keys = key_flat.iter().map(field).collect();
            let ports = (
                inputs.iter().map(named).collect(),
                keys,
                outputs.iter().map(named).collect(),
            );
            let sandbox = Sandbox::open(loaded, opening.clone(), ports, limits.clone())?;
            Ok(Grouper {
                sandbox,
                key: Arc::clone(key),
                key_flat,
                inputs,
                outputs,
            })
        };
        let opened: Result<Grouper, Verdict> = open();
        Ok(Box::new(opened.map_err(|verdict| verdict.of(&shape.name))?))
    }
}

fn flat(schema: &SchemaRef) -> Result<Vec<Flat>, Verdict> {
    let no_kind = |data_type: DataType| {
        Verdict::wrong(
            "plugin_input",
            format!("a column of {data_type} does not cross the border"),
        )
    };
    kind::flatten(schema.fields()).map_err(no_kind)
}

fn flat_ports(ports: Vec<Port>) -> Result<Vec<FlatPort>, Verdict> {
    ports
        .into_iter()
        .map(|port| {
            Ok(FlatPort {
                flat: flat(&port.schema)?,
                port,
            })
        })
        .collect()
}

/// The one port of a transform.
fn only(mut ports: Vec<FlatPort>) -> Result<(SchemaRef, Vec<Flat>), Verdict> {
    let port = ports.pop().ok_or_else(|| {
        Verdict::wrong("plugin_invalid", "a transform has one input and one output")
    })?;
    Ok((port.port.schema, port.flat))
}

fn named(port: &FlatPort) -> abi::Port {
    abi::Port {
        name: port.port.name.clone(),
        fields: port.flat.iter().map(field).collect(),
    }
}

fn field(flat: &Flat) -> abi::Field {
    abi::Field {
        name: flat.name.clone(),
        kind: flat.kind.clone(),
        nullable: flat.nullable,
        children: flat.children,
        properties: Vec::new(),
    }
}
