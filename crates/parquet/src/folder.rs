//! The folder of a sink: whose it is, who writes it, and which files are there.

use crate::error::{external, io, user};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use weir_stage::lock::{Lock, NoLock};
use weir_stage::sink::SourceError;

const MARK: &str = "_weir";
const MARK_DRAFT: &str = "._weir.tmp";
const LOCK: &str = "_weir.lock";
/// The first line of the mark, for whoever opens it.
const TITLE: &str = "Weir writes this folder of Parquet files; this file says what for.";

/// The folder of a sink, held by this process.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// Tells it from one that is made anew in its place.
    pub(crate) id: String,
    /// The number of the next file.
    pub(crate) next: u64,
    /// Whose it is, line by line.
    owner: String,
    _lock: Lock,
}

/// Files by their numbers.
pub(crate) type Files = BTreeMap<u64, PathBuf>;

impl Folder {
    /// Takes the folder (made if it is not there, with this id), and removes the drafts that a crash has left.
    pub(crate) fn open(
        path: &Path,
        owner: String,
        new_id: &str,
    ) -> Result<(Self, Files), SourceError> {
        match fs::create_dir(path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(path)(error)),
        }
        let lock = lock(path)?;
        let mark = read_mark(path)?;
        if mark.is_none() {
            refuse_foreign(path)?;
        }
        let is_new = mark.is_none();
        let (id, next, found) = mark.unwrap_or_else(|| (new_id.to_owned(), 1, owner.clone()));
        if found != owner {
            return Err(of_another(path, &found, &owner));
        }
        let files = files(path)?;
        let last = files.keys().next_back().copied().unwrap_or(0);
        let folder = Self {
            path: path.to_owned(),
            id,
            next: next.max(last + 1),
            owner,
            _lock: lock,
        };
        if is_new {
            folder.mark(folder.next)?;
        }
        Ok((folder, files))
    }

    /// Whether it is still the one that was opened.
    pub(crate) fn check(&self) -> Result<(), SourceError> {
        let found = read_mark(&self.path)?;
        if found.is_some_and(|(id, ..)| id == self.id) {
            return Ok(());
        }
        let message = format!(
            "{}: the folder was emptied or made anew: the whole table is written to it",
            self.path.display()
        );
        Err(external("folder_remade", message))
    }

    /// Notes the number of the next file.
    pub(crate) fn advance(&mut self, next: u64) -> Result<(), SourceError> {
        self.mark(next)?;
        self.next = next;
        Ok(())
    }

    fn mark(&self, next: u64) -> Result<(), SourceError> {
        let (path, draft) = (self.path.join(MARK), self.path.join(MARK_DRAFT));
        let text = format!("{TITLE}\nid {}\nnext {next}\n{}\n", self.id, self.owner);
        let write = || {
            let mut file = File::create(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            sync(&self.path)
        };
        write().map_err(io(&path))
    }
}

/// Sees that what was renamed in a folder stays so.
pub(crate) fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The name of a file, and of its draft.
pub(crate) fn names(number: u64) -> (String, String) {
    (
        format!("{number:010}.parquet"),
        format!(".{number:010}.parquet.tmp"),
    )
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".parquet")?;
    let is_number = digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

fn is_draft(name: &str) -> bool {
    let draft = name
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(".tmp"));
    name == MARK_DRAFT || draft.is_some_and(|name| number(name).is_some())
}

/// Takes the folder for this process.
fn lock(folder: &Path) -> Result<Lock, SourceError> {
    let path = folder.join(LOCK);
    Lock::take(&path).map_err(|error| match error {
        NoLock::Io(error) => io(&path)(error),
        NoLock::Held(holder) => {
            let message = format!(
                "{}: process {holder} writes this folder: end it, or give this sink a folder of its own",
                folder.display(),
            );
            external("folder_held", message)
        }
    })
}

/// Id, number of the next file and owner; none where there is no mark.
fn read_mark(folder: &Path) -> Result<Option<(String, u64, String)>, SourceError> {
    let path = folder.join(MARK);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(&path)(error)),
    };
    let parse = || {
        let (id, rest) = text.split_once("\nid ")?.1.split_once('\n')?;
        let (next, owner) = rest.strip_prefix("next ")?.split_once('\n')?;
        let owner = owner.trim_end_matches('\n').to_owned();
        Some((id.to_owned(), next.parse().ok()?, owner))
    };
    parse().map(Some).ok_or_else(|| {
        let message = format!(
            "{}: this is not the mark of a sink's folder: give the sink a folder of its own",
            path.display()
        );
        user("folder_of_another", message)
    })
}

fn of_another(folder: &Path, found: &str, owner: &str) -> SourceError {
    let mut lines = found.lines().zip(owner.lines());
    let (found, owner) = lines
        .find(|(one, other)| one != other)
        .unwrap_or((found, owner));
    let message = format!(
        "{}: the folder has `{found}`, the sink `{owner}`: give the sink a folder of its own, or, if that was only \
         renamed, change it in the folder's file `{MARK}`",
        folder.display()
    );
    user("folder_of_another", message)
}

/// A folder without a mark that holds Parquet files is somebody else's.
fn refuse_foreign(folder: &Path) -> Result<(), SourceError> {
    let is_foreign = |name: &String| name.ends_with(".parquet") || name.contains('=');
    let Some(name) = entries(folder)?.into_iter().find(is_foreign) else {
        return Ok(());
    };
    let message = format!(
        "{}: the folder holds `{name}` and no file `{MARK}`, so it is not this sink's: give the sink an empty folder",
        folder.display()
    );
    Err(user("folder_of_another", message))
}

/// All files of the sink; drafts are removed.
fn files(folder: &Path) -> Result<Files, SourceError> {
    let mut files = Files::new();
    let partitions = entries(folder)?
        .into_iter()
        .filter(|name| name.contains('='));
    let partitions = partitions
        .map(|name| folder.join(name))
        .filter(|path| path.is_dir());
    for place in std::iter::once(folder.to_owned()).chain(partitions) {
        for name in entries(&place)? {
            let path = place.join(&name);
            if is_draft(&name) {
                fs::remove_file(&path).map_err(io(&path))?;
            } else if let Some(number) = number(&name) {
                files.insert(number, path);
            }
        }
    }
    Ok(files)
}

/// The names in a folder, but for those that are no text.
fn entries(folder: &Path) -> Result<Vec<String>, SourceError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        names.extend(entry.map_err(io(folder))?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}
