//! What `latest` knows of one key: a log per partition, of which mostly there is one.

use super::super::keyed::Bytes;
use super::super::log::Partitions;
use super::super::saved::{Reader, Unreadable, Writer};
use crate::Refusal;
use crate::compact::take_part;

/// So many lower versions of a key are remembered per partition, the highest of them: a key that changes all day must
/// not grow all day. Older ones that come again change nothing and are compared with nothing.
pub(crate) const LOWER_MAX: usize = if cfg!(test) { 3 } else { 32 };

/// A key's logs.
#[derive(Debug, Default)]
pub(super) struct Entry {
    first: Option<Log>,
    /// More of them: the key lives in several partitions. Mostly none, which takes the room of a pointer.
    #[expect(
        clippy::box_collection,
        reason = "an entry is kept per key, and few have others"
    )]
    others: Option<Box<Vec<Log>>>,
    /// Its change was not answered yet.
    pub(super) is_open: bool,
    /// What was refused of it before this step is remembered.
    pub(super) is_foreign: bool,
}

/// One partition's log of one key.
#[derive(Debug)]
struct Log {
    partition: u32,
    highest: Seen,
    /// The rows of the highest version, see [`rows`].
    rows: Bytes,
    /// What came before or was refused, if anything.
    past: Option<Box<Past>>,
}

/// What a log knows beside its highest version.
#[derive(Debug, Default)]
struct Past {
    /// Lower versions, ascending: the highest [`LOWER_MAX`] of them.
    lower: Vec<Seen>,
    /// Offset and version of refused records.
    conflicts: Vec<(i64, i64)>,
}

/// A version, the digest of its content, and the record that first had it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) version: i64,
    pub(super) digest: [u8; 16],
    pub(super) offset: i64,
}

/// What became of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is known now.
    Yes,
    /// It was known, with other content.
    Conflict,
}

impl Entry {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn has_several(&self) -> bool {
        self.others.is_some()
    }

    fn logs(&self) -> impl Iterator<Item = &Log> {
        self.first
            .iter()
            .chain(self.others.iter().flat_map(|others| others.iter()))
    }

    fn log_mut(&mut self, partition: u32) -> Option<&mut Log> {
        let others = self.others.iter_mut().flat_map(|others| others.iter_mut());
        self.first
            .iter_mut()
            .chain(others)
            .find(|log| log.partition == partition)
    }

    /// The log that shows: the first by topic and number.
    fn owner(&self, partitions: &Partitions) -> Option<&Log> {
        if !self.has_several() {
            return self.first.as_ref();
        }
        self.logs()
            .min_by(|one, two| partitions.compare(one.partition, two.partition))
    }

    pub(super) fn shown(&self, partitions: &Partitions) -> Option<&Bytes> {
        self.owner(partitions).map(|log| &log.rows)
    }

    /// Whether this version with this content is known already.
    pub(super) fn knows(&self, partition: u32, seen: &Seen) -> bool {
        let log = self.logs().find(|log| log.partition == partition);
        log.and_then(|log| log.find(seen.version))
            .is_some_and(|known| known.digest == seen.digest)
    }

    /// Takes a version that is not known with this content.
    pub(super) fn take(
        &mut self,
        partition: u32,
        seen: Seen,
        rows: impl FnOnce() -> Bytes,
    ) -> Taken {
        let Some(log) = self.log_mut(partition) else {
            let rows = rows();
            let log = Log {
                partition,
                highest: seen,
                rows,
                past: None,
            };
            match &self.first {
                None => self.first = Some(log),
                Some(_) => self.others.get_or_insert_default().push(log),
            }
            return Taken::Yes;
        };
        if log.find(seen.version).is_some() {
            let past = log.past.get_or_insert_default();
            past.conflicts.push((seen.offset, seen.version));
            return Taken::Conflict;
        }
        let lower = &mut log.past.get_or_insert_default().lower;
        if seen.version > log.highest.version {
            lower.push(log.highest);
            log.highest = seen;
            log.rows = rows();
        } else {
            let place = lower.partition_point(|lower| lower.version < seen.version);
            lower.insert(place, seen);
        }
        if lower.len() > LOWER_MAX {
            lower.remove(0);
        }
        Taken::Yes
    }

    /// Forgets a partition's log; answers its conflicts.
    pub(super) fn forget(&mut self, partition: u32) -> Vec<(i64, i64)> {
        let is_it = |log: &Log| log.partition == partition;
        let mut others = self.others.take().map(|others| *others).unwrap_or_default();
        let gone = if self.first.as_ref().is_some_and(is_it) {
            std::mem::replace(&mut self.first, others.pop())
        } else {
            let index = others.iter().position(is_it);
            index.map(|index| others.remove(index))
        };
        self.others = (!others.is_empty()).then(|| Box::new(others));
        let past = gone.and_then(|log| log.past);
        past.map(|past| past.conflicts).unwrap_or_default()
    }

    /// Forgets every partition's log; answers their conflicts.
    pub(super) fn forget_all(&mut self) -> Vec<(u32, (i64, i64))> {
        let others = self.others.take().map(|others| *others);
        let logs = self
            .first
            .take()
            .into_iter()
            .chain(others.unwrap_or_default());
        let conflicts = logs.flat_map(|log| {
            let past = log.past.map(|past| past.conflicts);
            let of_log = past.unwrap_or_default().into_iter();
            of_log.map(move |conflict| (log.partition, conflict))
        });
        conflicts.collect()
    }

    /// Refusals of the versions in partitions where the key should not be.
    pub(super) fn foreign(&self, partitions: &Partitions) -> Vec<Refusal> {
        if !self.has_several() {
            return Vec::new();
        }
        let owner = self.owner(partitions).expect("there are several").partition;
        let (home, number) = partitions.name(owner);
        let message = format!("its key lives in partition {number} of {home}, which comes first");
        let mut refusals = Vec::new();
        for log in self.logs().filter(|log| log.partition != owner) {
            let (topic, partition) = partitions.name(log.partition);
            refusals.extend(
                log.lower()
                    .iter()
                    .chain([&log.highest])
                    .map(|seen| Refusal {
                        topic: topic.to_owned(),
                        partition,
                        offset: seen.offset,
                        code: "key_in_two_partitions".to_owned(),
                        message: message.clone(),
                        field: None,
                        weight: 1,
                    }),
            );
        }
        refusals
    }
}

impl Entry {
    /// Its logs as bytes.
    pub(super) fn save(&self, mut out: Writer) -> Writer {
        let seen = |out: Writer, seen: &Seen| {
            let out = out.i64(seen.version).raw(&seen.digest);
            out.i64(seen.offset)
        };
        for log in self.logs() {
            out = seen(out.u32(log.partition), &log.highest).part(&log.rows);
            out = out.count(log.lower().len());
            out = log.lower().iter().fold(out, seen);
            let conflicts = log.past.as_ref().map_or(&[][..], |past| &past.conflicts);
            out = out.count(conflicts.len());
            for (offset, version) in conflicts {
                out = out.i64(*offset).i64(*version);
            }
        }
        out
    }

    /// The same from bytes.
    pub(super) fn load(bytes: &[u8]) -> Result<Self, Unreadable> {
        fn seen(bytes: &mut Reader<'_>) -> Result<Seen, Unreadable> {
            Ok(Seen {
                version: bytes.i64()?,
                digest: bytes.raw()?,
                offset: bytes.i64()?,
            })
        }
        let mut bytes = Reader::new(bytes);
        let mut logs = Vec::new();
        while !bytes.is_at_end() {
            let (partition, highest) = (bytes.u32()?, seen(&mut bytes)?);
            let rows = bytes.part()?.into();
            let lower = (0..bytes.u32()?).map(|_| seen(&mut bytes));
            let lower = lower.collect::<Result<Vec<_>, _>>()?;
            let conflicts = (0..bytes.u32()?).map(|_| Ok((bytes.i64()?, bytes.i64()?)));
            let conflicts = conflicts.collect::<Result<Vec<_>, _>>()?;
            let has_past = !lower.is_empty() || !conflicts.is_empty();
            let past = has_past.then(|| Box::new(Past { lower, conflicts }));
            logs.push(Log {
                partition,
                highest,
                rows,
                past,
            });
        }
        let mut logs = logs.into_iter();
        let first = Some(logs.next().ok_or(Unreadable)?);
        let others: Vec<Log> = logs.collect();
        Ok(Self {
            first,
            others: (!others.is_empty()).then(|| Box::new(others)),
            ..Self::default()
        })
    }
}

impl Log {
    fn find(&self, version: i64) -> Option<&Seen> {
        if version >= self.highest.version {
            return (version == self.highest.version).then_some(&self.highest);
        }
        let found = self
            .lower()
            .binary_search_by_key(&version, |seen| seen.version);
        found.ok().map(|index| &self.lower()[index])
    }

    fn lower(&self) -> &[Seen] {
        self.past.as_ref().map_or(&[], |past| &past.lower)
    }
}

/// The rows of a block, where each stands behind its length.
pub(super) fn rows(blob: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = blob;
    std::iter::from_fn(move || (!rest.is_empty()).then(|| take_part(&mut rest)))
}
