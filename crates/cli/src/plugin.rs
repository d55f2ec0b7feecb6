//! `weir plugin`: packing and describing plugin files.

use crate::say::out;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::ExitCode;
use weir_stage::Plugins as _;

/// Core module in, plugin file out, by way of a temporary file so that a reader never sees half of it.
pub(crate) fn pack(core: &Path, out: &Path) -> Result<ExitCode> {
    let bytes = std::fs::read(core).with_context(|| format!("cannot read {}", core.display()))?;
    let packed =
        weir_host::pack(&bytes).with_context(|| format!("cannot pack {}", core.display()))?;
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let partial = out.with_extension("partial");
    std::fs::write(&partial, packed)
        .with_context(|| format!("cannot write {}", partial.display()))?;
    std::fs::rename(&partial, out).with_context(|| format!("cannot write {}", out.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints name, version, config schema, columns in and out.
pub(crate) fn describe(file: &Path, config: &str) -> Result<ExitCode> {
    let host = weir_host::Host::new(None).context("cannot start the plugin host")?;
    let shape = host.shape(file, config)?;
    out(format_args!(
        "{} {} ({})",
        shape.name,
        shape.version,
        if shape.is_group { "group" } else { "transform" }
    ))?;
    out(format_args!("config: {}", host.config_schema(file)?))?;
    for (way, ports) in [("in", &shape.inputs), ("out", &shape.outputs)] {
        for port in ports {
            out(format_args!("{way} {}:", port.name))?;
            for field in port.schema.fields() {
                let null = if field.is_nullable() { "" } else { " not null" };
                out(format_args!(
                    "  {} {}{null}",
                    field.name(),
                    field.data_type()
                ))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
