//! The sink of one folder.

use crate::error::{io, stopped};
use crate::file::{self, Draft};
use crate::folder::{Files, Folder, sync};
use crate::shape::{Place, Shape, Stamp};
use arrow::datatypes::SchemaRef;
use parquet::file::metadata::KeyValue;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use weir_stage::sink::{Cut, Flushed, Item, Line, Opening, Sink, SourceError, Told};
use weir_zset::text;

/// Rows turned into columns at a time, and about their bytes.
const CHUNK_ROWS: usize = 1_024;
const CHUNK_BYTES: usize = 1 << 20;
/// About the bytes of items that are sorted by partition at a time.
const LOT_BYTES: usize = if cfg!(test) { 16 << 10 } else { 32 << 20 };
/// About what an item takes in memory beside its bytes.
const ITEM_BYTES: usize = 96;

/// What to write, and where.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// The folder.
    pub folder: PathBuf,
    /// The names of pipeline, sink and table: whose folder it is.
    pub pipeline: String,
    /// The sink's.
    pub sink: String,
    /// The table's.
    pub table: String,
    /// The table's columns.
    pub columns: SchemaRef,
    /// The names of its key columns.
    pub key: Vec<String>,
    /// The one of them whose values are folders.
    pub partition_by: Option<String>,
    /// The least time between two flushes.
    pub every: Duration,
    /// About the most bytes of a file.
    pub bytes_max: usize,
    /// This run's id.
    pub run: String,
}

/// Why rows of these columns can never be written.
pub fn misfit(columns: &SchemaRef) -> Option<String> {
    Shape::new(columns, Vec::new(), None).err()
}

/// The sink of a folder.
pub struct ParquetSink {
    options: SinkOptions,
    shape: Arc<Shape>,
    folder: Option<Folder>,
}

impl ParquetSink {
    /// A sink that opens the folder when it is told to; the message says why these columns cannot be written.
    pub fn new(options: SinkOptions) -> Result<Self, String> {
        let index = |name: &String| {
            let index = options.columns.index_of(name);
            index.expect("the plan checked the key")
        };
        let key = options.key.iter().map(index).collect();
        let partition = options.partition_by.as_ref().map(index);
        let shape = Shape::new(&options.columns, key, partition)?;
        Ok(Self {
            shape: Arc::new(shape),
            options,
            folder: None,
        })
    }

    /// Whose folder it is, line by line.
    fn owner(&self) -> String {
        let SinkOptions {
            pipeline,
            sink,
            table,
            key,
            partition_by,
            ..
        } = &self.options;
        format!(
            "pipeline {pipeline}\nsink {sink}\ntable {table}\nkey {}\npartitioned by {}",
            key.join(", "),
            partition_by.as_deref().unwrap_or("nothing")
        )
    }

    fn footer(&self, cut: &Cut) -> Vec<KeyValue> {
        let options = &self.options;
        let pair = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
        vec![
            pair("weir.pipeline", options.pipeline.clone()),
            pair("weir.sink", options.sink.clone()),
            pair("weir.table", options.table.clone()),
            pair("weir.key", options.key.join(", ")),
            pair("weir.run", cut.run.clone()),
            pair(file::EPOCH, cut.epoch.to_string()),
            pair("weir.as_of", text::instant(cut.as_of_us)),
            pair("weir.offsets", offsets(cut)),
        ]
    }

    /// Writes all items to drafts, then shows these.
    fn flush(
        &self,
        folder: &mut Folder,
        cut: &Cut,
        items: &mut dyn Iterator<Item = Item>,
        line: &Line,
    ) -> Result<(), SourceError> {
        folder.check()?;
        let mut flush = Flush {
            sink: self,
            folder,
            cut,
            line,
            open: None,
            done: Vec::new(),
        };
        loop {
            let mut bytes = 0;
            let mut lot = Vec::new();
            while bytes < LOT_BYTES
                && let Some(item) = items.next()
            {
                bytes += ITEM_BYTES + size(&item);
                lot.push(item);
            }
            if lot.is_empty() {
                break;
            }
            for (place, items) in self.shape.by_place(lot) {
                flush.put(&place, &items)?;
            }
        }
        flush.close()?;
        let done = flush.done;
        let next = folder.next + done.len() as u64;
        let mut changed = BTreeSet::from([folder.path.clone()]);
        for draft in done {
            changed.insert(draft.publish()?);
        }
        for path in changed {
            sync(&path).map_err(io(&path))?;
        }
        folder.advance(next)
    }
}

/// The files of one flush.
struct Flush<'a> {
    sink: &'a ParquetSink,
    folder: &'a Folder,
    cut: &'a Cut,
    line: &'a Line,
    open: Option<(Place, Draft)>,
    done: Vec<Draft>,
}

impl Flush<'_> {
    /// Writes items of one partition.
    fn put(&mut self, place: &Place, items: &[Item]) -> Result<(), SourceError> {
        let mut rest = items;
        while !rest.is_empty() {
            if self.line.is_stopped() {
                return Err(stopped());
            }
            let mut bytes = 0;
            let fits = |item: &&Item| {
                bytes += size(item);
                bytes < CHUNK_BYTES
            };
            let fitting = rest.iter().take(CHUNK_ROWS).take_while(fits).count();
            let (chunk, after) = rest.split_at(fitting.max(1));
            self.chunk(place, chunk)?;
            rest = after;
        }
        Ok(())
    }

    fn chunk(&mut self, place: &Place, items: &[Item]) -> Result<(), SourceError> {
        if self.open.as_ref().is_some_and(|(open, _)| open != place) {
            self.close()?;
        }
        let number = self.folder.next + self.done.len() as u64;
        if self.open.is_none() {
            let draft = self.create(place, number, &items[0])?;
            self.open = Some((place.clone(), draft));
        }
        let (_, draft) = self.open.as_mut().expect("it is there now");
        let stamp = Stamp {
            file: number,
            epoch: self.cut.epoch,
            as_of_us: self.cut.as_of_us,
        };
        let count = items.len() as u64;
        self.line.sent.fetch_add(count, Ordering::Relaxed);
        for batch in self.sink.shape.batches(items, stamp) {
            draft.write(&batch)?;
        }
        if draft.bytes() >= self.sink.options.bytes_max {
            self.close()?;
        }
        Ok(())
    }

    /// A new file in the partition of this item.
    fn create(&self, place: &Place, number: u64, first: &Item) -> Result<Draft, SourceError> {
        let shape = &self.sink.shape;
        let mut folder = self.folder.path.clone();
        let mut footer = self.sink.footer(self.cut);
        if let (Some(place), Some(partition)) = (place, shape.partition()) {
            folder.push(place);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(io(&folder)(error));
                }
                _ => {}
            }
            let value = shape.partition_value(partition, &first.key);
            footer.push(KeyValue::new(file::PARTITION.to_owned(), file::hex(&value)));
        }
        Draft::create(&folder, number, shape, footer)
    }

    fn close(&mut self) -> Result<(), SourceError> {
        if let Some((_, mut draft)) = self.open.take() {
            draft.finish()?;
            self.done.push(draft);
        }
        Ok(())
    }
}

fn size(item: &Item) -> usize {
    item.key.len() + item.value.as_ref().map_or(0, Vec::len)
}

/// Next offset per topic and partition, as JSON.
fn offsets(cut: &Cut) -> String {
    let mut json = Vec::new();
    for (topic, position) in &cut.offsets {
        json.push(if json.is_empty() { b'{' } else { b',' });
        text::json_string(topic, &mut json);
        let position = position.iter();
        let position = position.map(|(partition, offset)| format!("\"{partition}\":{offset}"));
        let position: Vec<String> = position.collect();
        json.extend(format!(":{{{}}}", position.join(",")).into_bytes());
    }
    json.extend_from_slice(if json.is_empty() { b"{}" } else { b"}" });
    String::from_utf8(json).expect("it was made of text")
}

/// Where files from a position of this folder on are, if none of them is gone.
fn since(position: &str, folder: &Folder, files: &Files) -> Option<u64> {
    let (number, id) = position.split_once('@')?;
    let from: u64 = number.parse().ok().filter(|_| id == folder.id)?;
    let is_whole =
        from <= folder.next && (from..folder.next).all(|number| files.contains_key(&number));
    is_whole.then_some(from)
}

fn shown(folder: &Folder) -> String {
    format!("{}@{}", folder.next, folder.id)
}

impl Sink for ParquetSink {
    fn open(
        &mut self,
        position: Option<&str>,
        told: &mut Told<'_>,
        line: &Line,
    ) -> Result<Opening, SourceError> {
        self.folder = None;
        let options = &self.options;
        let (folder, files) = Folder::open(&options.folder, self.owner(), &options.run)?;
        let from = position.and_then(|position| since(position, &folder, &files));
        if position.is_some() && from.is_none() {
            tracing::warn!(
                folder = %options.folder.display(),
                "the sink's folder was made anew, or files since the checkpoint were taken away: it is read whole"
            );
        }
        for (_, path) in files.range(from.unwrap_or(0)..) {
            file::read(path, &self.shape, told, line)?;
        }
        let last = files.values().next_back();
        let epoch = last.map_or(Ok(None), |path| file::epoch(path))?;
        let position = shown(&folder);
        self.folder = Some(folder);
        Ok(Opening {
            rows: Arc::clone(&self.shape) as _,
            whole: from.is_none(),
            position,
            epoch,
        })
    }

    fn write(
        &mut self,
        cut: &Cut,
        items: &mut dyn Iterator<Item = Item>,
        line: &Line,
    ) -> Result<Flushed, SourceError> {
        // What fails leaves it to be opened again.
        let mut folder = self.folder.take().expect("it was opened");
        let before = line.sent.load(Ordering::Relaxed);
        let flushed = self.flush(&mut folder, cut, items, line);
        let sent = line.sent.load(Ordering::Relaxed) - before;
        let counter = if flushed.is_ok() {
            &line.acked
        } else {
            &line.failed
        };
        counter.fetch_add(sent, Ordering::Relaxed);
        flushed?;
        let position = shown(&folder);
        self.folder = Some(folder);
        Ok(Flushed {
            position,
            unsent: Vec::new(),
        })
    }

    fn pace(&self) -> Duration {
        self.options.every
    }
}

impl fmt::Debug for ParquetSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetSink")
            .field("folder", &self.options.folder)
            .finish_non_exhaustive()
    }
}
