//! `weir check`: every finding at once.

use crate::args::{CheckArgs, CheckFormat};
use crate::registry::{Files, World};
use crate::say::out;
use anyhow::{Context, Result};
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use weir_spec::{Diagnostic, Plan, Severity, codes};

/// Checks all files; prints findings to standard output.
pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode> {
    let world = World::for_check();
    let mut all = Vec::new();
    for file in &args.files {
        let (text, _, diagnostics) = load(file, &world);
        for found in &diagnostics {
            match args.format {
                CheckFormat::Text => out(found)?,
                CheckFormat::Fancy => out(found.fancy(&text))?,
                CheckFormat::Json => {}
            }
        }
        all.extend(diagnostics);
    }
    if args.format == CheckFormat::Json {
        out(serde_json::to_string_pretty(&all).context("findings as JSON")?)?;
    }
    Ok(if all.iter().any(Diagnostic::is_error) {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    })
}

/// Reads and checks one file: its text, the plan if it is good, what was found.
pub(crate) fn load(file: &Path, world: &World) -> (String, Option<Plan>, Vec<Diagnostic>) {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return (String::new(), None, vec![unreadable(file, &error)]),
    };
    let base = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let (plan, diagnostics) =
        weir_spec::check(&file.display().to_string(), &text, base, &Files, world);
    (text, plan, diagnostics)
}

fn unreadable(file: &Path, error: &std::io::Error) -> Diagnostic {
    let hint = match error.kind() {
        ErrorKind::NotFound => {
            "mend the path, which is relative to the folder that weir is started in"
        }
        ErrorKind::IsADirectory => "name a pipeline file in it",
        ErrorKind::InvalidData => "save it as UTF-8",
        _ => "let this user read it",
    };
    Diagnostic {
        severity: Severity::Error,
        code: codes::FILE_UNREADABLE,
        message: format!("the file cannot be read: {error}"),
        hint: Some(hint.to_owned()),
        file: file.display().to_string(),
        line: 1,
        column: 1,
        span: 0..0,
    }
}
