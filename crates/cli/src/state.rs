//! `weir state`: what a state folder holds, and whether it is whole.

use crate::say::{self, out};
use anyhow::Result;
use std::path::Path;
use std::process::ExitCode;
use weir_engine::state::{self, Manifest};

pub(crate) fn inspect(folder: &Path) -> Result<ExitCode> {
    let (manifest, passed_over, disk_bytes) = state::inspect(folder)?;
    for error in passed_over {
        say::warning(error);
    }
    let Some(manifest) = manifest else {
        say::error(format_args!("{}: there is no checkpoint", folder.display()));
        return Ok(ExitCode::from(2));
    };
    out(format_args!("checkpoint  {}", manifest.number))?;
    out(format_args!("pipeline    {}", manifest.pipeline))?;
    out(format_args!(
        "written by  weir {}, format {}",
        manifest.weir, manifest.format
    ))?;
    out(format_args!("epoch       {}", manifest.epoch))?;
    let clock = manifest.as_of_us.map(weir_zset::text::instant);
    out(format_args!(
        "clock       {}",
        clock.unwrap_or_else(|| "not set yet".to_owned())
    ))?;
    out(format_args!("on disk     {disk_bytes} bytes"))?;
    for (source, position) in &manifest.offsets {
        for (partition, offset) in position {
            out(format_args!(
                "offset      {source} partition {partition}: {offset}"
            ))?;
        }
    }
    for (source, identity) in &manifest.identities {
        out(format_args!("topic       {source}: {identity}"))?;
    }
    for (sink, stands) in &manifest.sinks {
        // What a sink keeps is its own; these are the parts that an operator knows.
        let stands: serde_json::Value = serde_json::from_str(stands).unwrap_or_default();
        let text = |name: &str| stands[name].as_str().unwrap_or("unknown").to_owned();
        let count = |name: &str| stands[name].as_array().map_or(0, Vec::len);
        out(format_args!(
            "sink        {sink}: {}, has all to {} but {} rows, and refuses {}",
            text("to"),
            text("position"),
            count("rows"),
            count("refused")
        ))?;
    }
    for segment in &manifest.segments {
        out(format_args!(
            "segment     {}: {} entries, {} bytes",
            segment.file, segment.entries, segment.bytes
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn verify(folder: &Path) -> Result<ExitCode> {
    let found = state::verify(folder)?;
    let told = |manifest: &Manifest| {
        let (epoch, files) = (manifest.epoch, manifest.segments.len());
        format!(
            "whole, epoch {epoch}, {files} segments, {} bytes",
            manifest.bytes()
        )
    };
    for (path, checked) in &found {
        match checked {
            Ok(manifest) => out(format_args!("{}: {}", path.display(), told(manifest)))?,
            Err(error) => out(format_args!("{}: damaged: {error}", path.display()))?,
        }
    }
    if found.is_empty() {
        say::error(format_args!("{}: there is no checkpoint", folder.display()));
    }
    let newest_is_whole = found.first().is_some_and(|(_, checked)| checked.is_ok());
    Ok(if newest_is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    })
}
