//! The state folder as a whole: opened, written to, merged, checked.

use super::changes::Changes;
use super::manifest::{Manifest, SegmentRef};
use super::merge::Merge;
use super::segment::{Reader, Sum, Writer};
use super::{FORMAT, StateError};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use weir_stage::lock::{Lock, NoLock};

/// How many checkpoints are kept: the newest, and one to fall back on.
const KEPT: usize = 2;
/// More segments than this are merged, the small ones first.
const SEGMENTS_MAX: usize = 8;

/// A state folder that this process holds.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    _lock: Lock,
    /// The newest checkpoints, oldest first.
    pub(super) kept: Vec<Manifest>,
    /// Segments that the next checkpoint names, and what they cost.
    added: (Vec<SegmentRef>, Report),
    /// The number of the next file.
    next: u64,
}

/// A folder as it was found.
#[derive(Debug)]
pub struct Opened {
    /// The folder, held.
    pub store: Store,
    /// The checkpoint to go on from, if there is one.
    pub manifest: Option<Manifest>,
    /// What was wrong with newer ones.
    pub passed_over: Vec<StateError>,
}

/// What a checkpoint cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries written.
    pub entries: u64,
    /// Bytes written for them.
    pub bytes: u64,
    /// Bytes on the disk now, over all files.
    pub disk_bytes: u64,
}

impl Store {
    /// Takes the folder (made if it is not there) and finds the newest whole checkpoint. With `fresh`, forgets
    /// what it holds.
    pub fn open(
        folder: &Path,
        plan: &BTreeMap<String, String>,
        fresh: bool,
    ) -> Result<Opened, StateError> {
        fs::create_dir_all(folder).map_err(StateError::io(folder))?;
        let lock = folder.join("lock");
        let lock = Lock::take(&lock).map_err(|error| match error {
            NoLock::Io(error) => StateError::io(&lock)(error),
            NoLock::Held(holder) => StateError::Held {
                path: folder.to_owned(),
                holder,
            },
        })?;
        let mut passed_over = Vec::new();
        let mut found = None;
        let manifests = manifests(folder)?;
        if !fresh {
            for (_, path) in manifests.iter().rev() {
                match whole(folder, path) {
                    Ok(manifest) => {
                        found = Some(manifest);
                        break;
                    }
                    Err(error) => passed_over.push(error),
                }
            }
            if let (None, Some(last)) = (&found, passed_over.first()) {
                return Err(StateError::NoneWhole {
                    path: folder.to_owned(),
                    last: last.to_string(),
                });
            }
        }
        if let Some(found) = &found
            && let Some(differs) = found.differs(plan)
        {
            return Err(StateError::OtherPlan {
                path: folder.to_owned(),
                pipeline: found.pipeline.clone(),
                differs,
            });
        }
        let next = manifests.last().map_or(1, |(number, _)| number + 1);
        let mut store = Self {
            folder: folder.to_owned(),
            _lock: lock,
            kept: found.clone().into_iter().collect(),
            added: <_>::default(),
            next,
        };
        store.remove_unnamed()?;
        Ok(Opened {
            store,
            manifest: found,
            passed_over,
        })
    }

    /// Gives every entry of the last checkpoint, by part and key.
    pub fn each<E: From<StateError>>(
        &self,
        mut take: impl FnMut(u16, &[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(manifest) = self.kept.last() else {
            return Ok(());
        };
        let paths: Vec<PathBuf> = self.paths(&manifest.segments);
        let mut merge = Merge::open(&paths)?;
        while let Some((part, key, value)) = merge.next()? {
            if let Some(value) = value {
                take(part, key, value)?;
            }
        }
        Ok(())
    }

    /// Writes some of what changed since the last checkpoint, for the next one. When that fails it is still to be
    /// written.
    pub fn add(&mut self, changes: &Changes) -> Result<(), StateError> {
        if changes.is_empty() {
            return Ok(());
        }
        let name = format!("{:010}.seg", self.next);
        let path = self.folder.join(&name);
        let write = || {
            let mut writer = Writer::create(&path)?;
            for entry in changes.sorted() {
                writer.push(entry)?;
            }
            writer.finish()
        };
        let sum = write().inspect_err(|_| {
            // It takes room that another try needs; whether it goes or not, it counts for nothing.
            drop(fs::remove_file(&path));
        })?;
        self.next += 1;
        let (segments, report) = &mut self.added;
        report.entries += sum.entries;
        report.bytes += sum.bytes;
        segments.push(named(name, sum));
        Ok(())
    }

    /// Makes a checkpoint of what was added: the manifest that `manifest` says, with number and segments filled in.
    /// When that fails the checkpoint before stands, and what was added is for the next one.
    pub fn keep(&mut self, manifest: Manifest) -> Result<Report, StateError> {
        let last = self.kept.last();
        let mut segments = last.map(|last| last.segments.clone()).unwrap_or_default();
        // The last one names them already when all but the clearing up went well.
        segments.retain(|segment| !self.added.0.contains(segment));
        segments.extend(self.added.0.iter().cloned());
        self.name(manifest, self.next, segments)?;
        let (_, mut report) = std::mem::take(&mut self.added);
        report.disk_bytes = self.disk_bytes()?;
        Ok(report)
    }

    /// Merges small segments into one when there are many; `stop` ends it early, with nothing changed.
    /// Answers whether it did.
    pub fn compact(&mut self, stop: &AtomicBool) -> Result<bool, StateError> {
        let Some(last) = self.kept.last() else {
            return Ok(false);
        };
        let Some(from) = worth_merging(&last.segments) else {
            return Ok(false);
        };
        let number = self.next;
        let name = format!("{number:010}.seg");
        let path = self.folder.join(&name);
        let mut merge = Merge::open(&self.paths(&last.segments[from..]))?;
        let mut writer = Writer::create(&path)?;
        while let Some(entry) = merge.next()? {
            // What is gone need not be told when there is nothing older.
            if entry.2.is_some() || from > 0 {
                writer.push(entry)?;
            }
            if stop.load(Ordering::Relaxed) {
                drop(writer);
                fs::remove_file(&path).map_err(StateError::io(&path))?;
                return Ok(false);
            }
        }
        let sum = writer.finish()?;
        let mut segments = last.segments[..from].to_vec();
        segments.push(named(name, sum));
        let manifest = last.clone();
        self.name(manifest, number, segments)?;
        Ok(true)
    }

    /// Makes this the newest checkpoint, and removes what no kept one names.
    fn name(
        &mut self,
        mut manifest: Manifest,
        number: u64,
        segments: Vec<SegmentRef>,
    ) -> Result<(), StateError> {
        manifest.format = FORMAT;
        env!("CARGO_PKG_VERSION").clone_into(&mut manifest.weir);
        manifest.number = number;
        manifest.segments = segments;
        manifest.write(&self.folder.join(format!("{number:010}.json")))?;
        self.next = number + 1;
        self.kept.push(manifest);
        if self.kept.len() > KEPT {
            self.kept.remove(0);
        }
        self.remove_unnamed()
    }

    /// Removes manifests that are not kept, and segments that no kept one names: drafts, leftovers of a crash.
    fn remove_unnamed(&mut self) -> Result<(), StateError> {
        let mut named: BTreeSet<String> = BTreeSet::new();
        for manifest in &self.kept {
            named.insert(format!("{:010}.json", manifest.number));
            named.extend(manifest.segments.iter().map(|segment| segment.file.clone()));
        }
        named.extend(self.added.0.iter().map(|segment| segment.file.clone()));
        for name in files(&self.folder)? {
            let ours = [".json", ".seg", ".draft"]
                .iter()
                .any(|end| name.ends_with(end));
            if ours && !named.contains(&name) {
                let path = self.folder.join(&name);
                fs::remove_file(&path).map_err(StateError::io(&path))?;
            }
        }
        Ok(())
    }

    fn paths(&self, segments: &[SegmentRef]) -> Vec<PathBuf> {
        segments
            .iter()
            .map(|segment| self.folder.join(&segment.file))
            .collect()
    }

    fn disk_bytes(&self) -> Result<u64, StateError> {
        disk_bytes(&self.folder)
    }
}

/// Reads a folder without holding it: the newest whole checkpoint, what is wrong with newer ones, bytes on disk.
pub fn inspect(folder: &Path) -> Result<(Option<Manifest>, Vec<StateError>, u64), StateError> {
    let mut passed_over = Vec::new();
    for (_, path) in manifests(folder)?.iter().rev() {
        match Manifest::read(path) {
            Ok(manifest) => return Ok((Some(manifest), passed_over, disk_bytes(folder)?)),
            Err(error) => passed_over.push(error),
        }
    }
    Ok((None, passed_over, disk_bytes(folder)?))
}

/// A manifest's file, and what it says or what is wrong with it.
pub type Checked = (PathBuf, Result<Manifest, StateError>);

/// Reads every byte of every checkpoint; answers each with what is wrong with it, newest first.
pub fn verify(folder: &Path) -> Result<Vec<Checked>, StateError> {
    let check = |(_, path): &(u64, PathBuf)| -> Checked { (path.clone(), whole(folder, path)) };
    Ok(manifests(folder)?.iter().rev().map(check).collect())
}

/// A manifest whose segments are all as it says.
fn whole(folder: &Path, path: &Path) -> Result<Manifest, StateError> {
    let manifest = Manifest::read(path)?;
    for segment in &manifest.segments {
        let path = folder.join(&segment.file);
        let found = named(segment.file.clone(), Reader::check(&path)?);
        if found != *segment {
            return Err(StateError::damaged(
                &path,
                "it is not the segment that the checkpoint names",
            ));
        }
    }
    Ok(manifest)
}

fn named(file: String, sum: Sum) -> SegmentRef {
    SegmentRef {
        file,
        bytes: sum.bytes,
        entries: sum.entries,
        digest: format!("{:016x}", sum.digest),
    }
}

/// The manifests by number, oldest first.
fn manifests(folder: &Path) -> Result<Vec<(u64, PathBuf)>, StateError> {
    let number = |name: String| {
        let number = name.strip_suffix(".json")?.parse().ok()?;
        Some((number, folder.join(&name)))
    };
    let mut found: Vec<_> = files(folder)?.into_iter().filter_map(number).collect();
    found.sort();
    Ok(found)
}

fn files(folder: &Path) -> Result<Vec<String>, StateError> {
    let entries = fs::read_dir(folder).map_err(StateError::io(folder))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StateError::io(folder))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

fn disk_bytes(folder: &Path) -> Result<u64, StateError> {
    let mut bytes = 0;
    for name in files(folder)? {
        let path = folder.join(name);
        let meta = fs::metadata(&path).map_err(StateError::io(&path))?;
        bytes += if meta.is_file() { meta.len() } else { 0 };
    }
    Ok(bytes)
}

/// From which segment on merging pays: as long as the next older one is not much larger than all the newer
/// ones together, it is taken along, so that each entry is rewritten a logarithmic number of times.
fn worth_merging(segments: &[SegmentRef]) -> Option<usize> {
    if segments.len() <= SEGMENTS_MAX {
        return None;
    }
    let mut from = segments.len() - 1;
    let mut bytes = segments[from].bytes;
    while from > 0 && (segments[from - 1].bytes <= 2 * bytes || from >= SEGMENTS_MAX) {
        from -= 1;
        bytes += segments[from].bytes;
    }
    (from + 1 < segments.len()).then_some(from)
}
