//! One file: written beside its place and renamed into it, and read back.

use crate::error::{io, stopped, unreadable, user, written};
use crate::folder::names;
use crate::shape::{DELETED, Shape};
use arrow::array::{Array, AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_stage::sink::{Line, SourceError, Told};

/// The footer's key of the epoch.
pub(crate) const EPOCH: &str = "weir.epoch";
/// The footer's key of the partition's value, packed, in hexadecimal: the column is not in the file.
pub(crate) const PARTITION: &str = "weir.partition";
/// Encoded bytes of a row group, which is in memory until it is full.
const GROUP_BYTES: usize = 32 << 20;
/// Rows read at a time.
const BATCH_ROWS: usize = 4_096;
/// A row that equals none: of other columns than the table has now.
const OTHER: &[u8] = b"";

/// A file that is not in its place yet; removed when it is dropped before.
pub(crate) struct Draft {
    writer: Option<ArrowWriter<File>>,
    beside: PathBuf,
    path: PathBuf,
}

impl Draft {
    pub(crate) fn create(
        folder: &Path,
        number: u64,
        shape: &Shape,
        footer: Vec<KeyValue>,
    ) -> Result<Self, SourceError> {
        let (name, draft) = names(number);
        let mut this = Self {
            writer: None,
            beside: folder.join(draft),
            path: folder.join(name),
        };
        let file = File::create(&this.beside).map_err(io(&this.beside))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .set_key_value_metadata(Some(footer))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&shape.file), Some(properties));
        this.writer = Some(writer.map_err(written(&this.beside))?);
        Ok(this)
    }

    fn writer(&mut self) -> &mut ArrowWriter<File> {
        self.writer.as_mut().expect("it is not finished")
    }

    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), SourceError> {
        let done = self.writer().write(rows);
        done.map_err(written(&self.beside))
    }

    /// About how many bytes it has.
    pub(crate) fn bytes(&mut self) -> usize {
        let writer = self.writer();
        writer.bytes_written() + writer.in_progress_size()
    }

    /// Sees that all of it is on the disk.
    pub(crate) fn finish(&mut self) -> Result<(), SourceError> {
        let mut writer = self.writer.take().expect("it is finished once");
        writer.finish().map_err(written(&self.beside))?;
        writer.inner().sync_all().map_err(io(&self.beside))
    }

    /// Shows it to readers; answers the folder to sync.
    pub(crate) fn publish(self) -> Result<PathBuf, SourceError> {
        fs::rename(&self.beside, &self.path).map_err(io(&self.path))?;
        let folder = self.path.parent().expect("a file has a folder");
        Ok(folder.to_owned())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What is renamed is not there any more; what cannot be removed is when the folder is opened next.
        drop(fs::remove_file(&self.beside));
    }
}

type Reader = ParquetRecordBatchReaderBuilder<File>;

fn open(path: &Path) -> Result<Reader, SourceError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Reader::try_new(file).map_err(|error| unreadable(path, &error))
}

fn footer(builder: &Reader, key: &str) -> Option<String> {
    let footer = builder.metadata().file_metadata().key_value_metadata();
    let mut entries = footer.into_iter().flatten();
    entries.find(|entry| entry.key == key)?.value.clone()
}

/// The epoch that a file is of.
pub(crate) fn epoch(path: &Path) -> Result<Option<u64>, SourceError> {
    Ok(footer(&open(path)?, EPOCH).and_then(|epoch| epoch.parse().ok()))
}

/// Tells what a file has of each key.
pub(crate) fn read(
    path: &Path,
    shape: &Shape,
    told: &mut Told<'_>,
    line: &Line,
) -> Result<(), SourceError> {
    let builder = open(path)?;
    let is_same = builder.schema().fields() == shape.file.fields();
    let partition = footer(&builder, PARTITION).and_then(|packed| unhex(&packed));
    let reader = builder.with_batch_size(BATCH_ROWS).build();
    for batch in reader.map_err(|error| unreadable(path, &error))? {
        if line.is_stopped() {
            return Err(stopped());
        }
        let batch = batch.map_err(|error| unreadable(path, &error))?;
        let batch = with_partition(path, shape, batch, partition.as_deref())?;
        let deleted = batch.column_by_name(DELETED);
        let deleted = deleted.and_then(|column| column.as_boolean_opt());
        let deleted = deleted.ok_or_else(|| unreadable(path, &"it is not of this sink"))?;
        let is_gone = |row| deleted.is_valid(row) && deleted.value(row);
        check_key(path, shape, &batch)?;
        if !is_same {
            let keys = shape.pack_keys(&batch);
            for row in 0..batch.num_rows() {
                told(keys.row(row), (!is_gone(row)).then_some(OTHER));
            }
            continue;
        }
        let index = |field: &Arc<Field>| batch.schema_ref().index_of(field.name());
        let indexes: Result<Vec<usize>, _> = shape.columns().fields().iter().map(index).collect();
        let rows = batch.project(&indexes.expect("its columns are those of a file"));
        let rows = rows.expect("indexes of its own columns");
        let (keys, rows) = (shape.pack_keys(&rows), shape.pack(&rows));
        for row in 0..batch.num_rows() {
            told(keys.row(row), (!is_gone(row)).then(|| rows.row(row)));
        }
    }
    Ok(())
}

/// The rows with the column that the files leave out.
fn with_partition(
    path: &Path,
    shape: &Shape,
    rows: RecordBatch,
    packed: Option<&[u8]>,
) -> Result<RecordBatch, SourceError> {
    let Some(partition) = shape.partition() else {
        return Ok(rows);
    };
    let packed =
        packed.ok_or_else(|| unreadable(path, &"its footer does not name its partition"))?;
    let one = partition.value.decode(&[packed]);
    let every = UInt32Array::from_value(0, rows.num_rows());
    let column = take(one.column(0), &every, None).expect("there is a first value");
    let field = shape.columns().field(partition.column).clone();
    let mut fields: Vec<Arc<Field>> = rows.schema_ref().fields().iter().cloned().collect();
    let mut columns = rows.columns().to_vec();
    fields.push(Arc::new(field.with_nullable(true)));
    columns.push(column);
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new(schema, columns).expect("columns of one length"))
}

/// The key is what says which rows are one.
fn check_key(path: &Path, shape: &Shape, rows: &RecordBatch) -> Result<(), SourceError> {
    for name in shape.key_names() {
        let wanted = shape.columns().field_with_name(name);
        let wanted = wanted.expect("its own column").data_type();
        let found = rows.column_by_name(name).map(Array::data_type);
        if found != Some(wanted) {
            let found = found.map_or_else(|| "not there".to_owned(), ToString::to_string);
            let message = format!(
                "{}: the key's column `{name}` is {found}, in the table it is {wanted}: give the sink a folder of its own",
                path.display()
            );
            return Err(user("folder_of_another", message));
        }
    }
    Ok(())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("memory takes any write");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(high)? * 16 + digit(low)?).ok();
    pairs
        .iter()
        .map(byte)
        .collect::<Option<_>>()
        .filter(|_| rest.is_empty())
}
