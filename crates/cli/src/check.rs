//! `weir check`: every finding at once.

use crate::args::{CheckArgs, CheckFormat};
use crate::registry::{Files, World};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::ExitCode;
use weir_spec::{Diagnostic, Plan};

/// Checks all files; prints findings to standard output.
pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode> {
    let world = World::for_check();
    let mut all = Vec::new();
    for file in &args.files {
        let (text, _, diagnostics) = load(file, &world)?;
        for found in &diagnostics {
            match args.format {
                CheckFormat::Text => println!("{found}"),
                CheckFormat::Fancy => println!("{}", found.fancy(&text)),
                CheckFormat::Json => {}
            }
        }
        all.extend(diagnostics);
    }
    if args.format == CheckFormat::Json {
        println!(
            "{}",
            serde_json::to_string_pretty(&all).context("findings as JSON")?
        );
    }
    Ok(if all.iter().any(Diagnostic::is_error) {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    })
}

/// Reads and checks one file: its text, the plan if it is good, what was found.
pub(crate) fn load(file: &Path, world: &World) -> Result<(String, Option<Plan>, Vec<Diagnostic>)> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let base = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let (plan, diagnostics) =
        weir_spec::check(&file.display().to_string(), &text, base, &Files, world);
    Ok((text, plan, diagnostics))
}
