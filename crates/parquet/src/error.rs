//! Errors of a folder: what happened, where, and the cure.

use parquet::errors::ParquetError;
use std::io::{Error, ErrorKind};
use std::path::Path;
use weir_stage::sink::{Fault, SourceError};

/// A failure that is tried again.
pub(crate) fn external(code: &'static str, message: String) -> SourceError {
    SourceError {
        fault: Fault::External,
        code,
        message,
    }
}

/// A failure that stops the pipeline.
pub(crate) fn user(code: &'static str, message: String) -> SourceError {
    SourceError {
        fault: Fault::User,
        code,
        message,
    }
}

/// What the system refused to do with this file or folder.
pub(crate) fn io(path: &Path) -> impl Fn(Error) -> SourceError {
    let path = path.display().to_string();
    move |error| {
        let (code, cure) = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (
                "folder_full",
                "make room there; what waits is written as soon as there is some",
            ),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => (
                "folder_unwritable",
                "let this process's user write there, or name another folder",
            ),
            ErrorKind::NotFound => (
                "folder_missing",
                "make the folder above it, or mount what belongs there",
            ),
            _ => ("folder_failed", "it is tried again"),
        };
        external(code, format!("{path}: {error}: {cure}"))
    }
}

/// What became of writing a file: mostly the system's refusal.
pub(crate) fn written(path: &Path) -> impl Fn(ParquetError) -> SourceError {
    move |error| match error {
        ParquetError::External(cause) => match cause.downcast::<Error>() {
            Ok(error) => io(path)(*error),
            Err(cause) => external("folder_failed", format!("{}: {cause}", path.display())),
        },
        error => external("folder_failed", format!("{}: {error}", path.display())),
    }
}

/// A file that is there and cannot be read.
pub(crate) fn unreadable(path: &Path, cause: &dyn std::fmt::Display) -> SourceError {
    let message = format!(
        "{}: cannot read what was written: {cause}: move the file away, then the sink goes on",
        path.display()
    );
    external("file_unreadable", message)
}

pub(crate) fn stopped() -> SourceError {
    external("stopped", "the sink was told to stop".to_owned())
}
