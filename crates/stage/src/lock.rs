//! One process per folder: who writes a folder holds a file in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::path::Path;

/// Held for as long as it lives; the system lets go of it when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a lock cannot be had.
#[derive(Debug)]
pub enum NoLock {
    /// Another process holds it: its number and its machine.
    Held(String),
    /// The system refuses the file.
    Io(io::Error),
}

impl Lock {
    /// Takes the lock of this file, made if it is not there, and notes in it who holds it.
    ///
    /// # Errors
    /// Another process holds it, or the file cannot be written.
    pub fn take(path: &Path) -> Result<Self, NoLock> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(NoLock::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(path).map_err(NoLock::Io)?;
                return Err(NoLock::Held(holder.trim().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(NoLock::Io(error)),
        }
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let holder = format!("{} on {}\n", std::process::id(), host.trim());
        let mut write = || {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(holder.as_bytes())
        };
        write().map_err(NoLock::Io)?;
        Ok(Self { _file: file })
    }
}
