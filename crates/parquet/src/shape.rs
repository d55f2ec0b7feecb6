//! What rows are here: as items, as rows of a file, and in which partition they stand.

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use weir_stage::sink::{Item, Refused, Rows, Unsent};
use weir_zset::compact::{Compact, Packed};
use weir_zset::{meta, text};

/// Whether the key's row is gone.
pub(crate) const DELETED: &str = "_deleted";
/// The number of the file.
const FILE: &str = "_file";
/// The epoch and the clock of the cut.
const EPOCH: &str = "_epoch";
const AS_OF: &str = "_as_of";
/// The partition of what has no value, as Hive has it.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";
/// Longest name of a folder.
const NAME_MAX: usize = 255;

/// The columns of a table, and of its files.
#[derive(Debug)]
pub(crate) struct Shape {
    columns: SchemaRef,
    key: Vec<usize>,
    keys: Compact,
    rows: Compact,
    partition: Option<Partition>,
    /// The columns of a file.
    pub(crate) file: SchemaRef,
}

/// The column that the files are partitioned by.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Its index in the table, and among the key's columns.
    pub(crate) column: usize,
    in_key: usize,
    pub(crate) value: Compact,
}

/// What all rows of a file have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) file: u64,
    pub(crate) epoch: u64,
    pub(crate) as_of_us: i64,
}

/// A partition's folder.
pub(crate) type Place = Option<String>;

impl Shape {
    /// For a table with these key columns, and one of them to partition by; the message says why not.
    pub(crate) fn new(
        columns: &SchemaRef,
        key: Vec<usize>,
        partition: Option<usize>,
    ) -> Result<Self, String> {
        let compact = |columns: &SchemaRef| Compact::whole(columns).map_err(|error| error.message);
        let part = |indexes: &[usize]| -> SchemaRef {
            Arc::new(
                columns
                    .project(indexes)
                    .expect("indexes of its own columns"),
            )
        };
        let partition = partition.map(|column| -> Result<Partition, String> {
            let in_key = key.iter().position(|key| *key == column);
            Ok(Partition {
                column,
                in_key: in_key.expect("the plan partitions by a column of the key"),
                value: compact(&part(&[column]))?,
            })
        });
        let partition = partition.transpose()?;
        let kept = columns.fields().iter().enumerate();
        let kept = kept.filter(|(index, _)| !is_in(partition.as_ref(), *index));
        let field = |(index, field): (usize, &Arc<Field>)| -> Arc<Field> {
            // Of a row that is gone there is the key alone.
            let is_nullable = field.is_nullable() || !key.contains(&index);
            Arc::new(field.as_ref().clone().with_nullable(is_nullable))
        };
        let own = [
            (DELETED, DataType::Boolean),
            (FILE, DataType::Int64),
            (EPOCH, DataType::Int64),
            (AS_OF, meta::instant_type()),
        ];
        let own = own.map(|(name, kind)| Arc::new(Field::new(name, kind, false)));
        let fields: Vec<Arc<Field>> = kept.map(field).chain(own).collect();
        let file: SchemaRef = Arc::new(Schema::new(fields));
        ArrowSchemaConverter::new()
            .convert(&file)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            keys: compact(&part(&key))?,
            rows: compact(columns)?,
            columns: Arc::clone(columns),
            key,
            partition,
            file,
        })
    }

    pub(crate) fn partition(&self) -> Option<&Partition> {
        self.partition.as_ref()
    }

    /// The table's columns.
    pub(crate) fn columns(&self) -> &SchemaRef {
        &self.columns
    }

    /// The names of the key's columns.
    pub(crate) fn key_names(&self) -> impl Iterator<Item = &str> {
        let name = |index: &usize| self.columns.field(*index).name().as_str();
        self.key.iter().map(name)
    }

    /// The key's columns of rows that have them.
    fn keys_of(&self, rows: &RecordBatch) -> RecordBatch {
        let schema = rows.schema_ref();
        let index = |name: &str| schema.index_of(name).expect("rows have the key's columns");
        let indexes: Vec<usize> = self.key_names().map(index).collect();
        rows.project(&indexes).expect("indexes of its own columns")
    }

    /// Rows of the table, packed.
    pub(crate) fn pack(&self, rows: &RecordBatch) -> Packed {
        self.rows.encode(rows)
    }

    /// The keys of rows that have the key's columns, packed.
    pub(crate) fn pack_keys(&self, rows: &RecordBatch) -> Packed {
        self.keys.encode(&self.keys_of(rows))
    }

    /// In which partition a packed key stands, packed.
    pub(crate) fn partition_value(&self, partition: &Partition, key: &[u8]) -> Vec<u8> {
        let keys = self.keys.decode(&[key]);
        let value = keys.project(&[partition.in_key]);
        let value = value.expect("the index of its own column");
        partition.value.encode(&value).row(0).to_vec()
    }

    /// In which folder each of these keys stands.
    fn places(&self, keys: &RecordBatch) -> Vec<Place> {
        let Some(partition) = &self.partition else {
            return vec![None; keys.num_rows()];
        };
        let name = escaped(self.columns.field(partition.column).name());
        let values = keys.column(partition.in_key);
        let place = |row| {
            let value = text::cell(values, row);
            let value = value.map_or_else(|| NULL_PARTITION.to_owned(), |value| escaped(&value));
            Some(format!("{name}={value}"))
        };
        (0..keys.num_rows()).map(place).collect()
    }

    /// Items by the folder that they belong to.
    pub(crate) fn by_place(&self, items: Vec<Item>) -> BTreeMap<Place, Vec<Item>> {
        if self.partition.is_none() {
            return BTreeMap::from([(None, items)]);
        }
        let keys: Vec<&[u8]> = items.iter().map(|item| item.key.as_slice()).collect();
        let places = self.places(&self.keys.decode(&keys));
        let mut sorted: BTreeMap<Place, Vec<Item>> = BTreeMap::new();
        for (place, item) in places.into_iter().zip(items) {
            sorted.entry(place).or_default().push(item);
        }
        sorted
    }

    /// Items as rows of a file: those that are there, and those that are gone.
    pub(crate) fn batches(&self, items: &[Item], stamp: Stamp) -> [RecordBatch; 2] {
        let (mut there, mut gone): (Vec<&[u8]>, Vec<&[u8]>) = (Vec::new(), Vec::new());
        for item in items {
            match &item.value {
                Some(row) => there.push(row),
                None => gone.push(&item.key),
            }
        }
        let there = self.rows.decode(&there);
        let there = self.batch(there.num_rows(), false, stamp, |index| {
            Some(Arc::clone(there.column(index)))
        });
        let gone = self.keys.decode(&gone);
        let gone = self.batch(gone.num_rows(), true, stamp, |index| {
            let in_key = self.key.iter().position(|key| *key == index)?;
            Some(Arc::clone(gone.column(in_key)))
        });
        [there, gone]
    }

    fn batch(
        &self,
        rows: usize,
        is_deleted: bool,
        stamp: Stamp,
        column: impl Fn(usize) -> Option<ArrayRef>,
    ) -> RecordBatch {
        let fields = self.columns.fields().iter().enumerate();
        let kept = fields.filter(|(index, _)| !is_in(self.partition.as_ref(), *index));
        let nulls = |field: &Field| new_null_array(field.data_type(), rows);
        let kept = kept.map(|(index, field)| column(index).unwrap_or_else(|| nulls(field)));
        let number = |number: u64| -> ArrayRef {
            let number = i64::try_from(number).expect("far fewer than that");
            Arc::new(Int64Array::from_value(number, rows))
        };
        let as_of = TimestampMicrosecondArray::from_value(stamp.as_of_us, rows);
        let own: [ArrayRef; 4] = [
            Arc::new(BooleanArray::from(vec![is_deleted; rows])),
            number(stamp.file),
            number(stamp.epoch),
            Arc::new(as_of.with_timezone("UTC")),
        ];
        let columns = kept.chain(own).collect();
        RecordBatch::try_new(Arc::clone(&self.file), columns).expect("the columns of a file")
    }
}

fn is_in(partition: Option<&Partition>, column: usize) -> bool {
    partition.is_some_and(|partition| partition.column == column)
}

impl Rows for Shape {
    fn items(&self, rows: &RecordBatch) -> Vec<Result<Item, Unsent>> {
        let packed = self.rows.encode(rows);
        let item = |(row, key): (usize, Result<Vec<u8>, Refused>)| {
            let unsent = |why| Unsent {
                item: Item {
                    key: self.pack_keys(&rows.slice(row, 1)).row(0).to_vec(),
                    value: None,
                },
                why,
            };
            Ok(Item {
                key: key.map_err(unsent)?,
                value: Some(packed.row(row).to_vec()),
            })
        };
        self.keys(rows).into_iter().enumerate().map(item).collect()
    }

    fn keys(&self, rows: &RecordBatch) -> Vec<Result<Vec<u8>, Refused>> {
        let keys = self.keys_of(rows);
        let packed = self.keys.encode(&keys);
        let key = |(row, place): (usize, Place)| match place {
            Some(place) if place.len() > NAME_MAX => Err(self.too_long(place.len())),
            _ => Ok(packed.row(row).to_vec()),
        };
        self.places(&keys)
            .into_iter()
            .enumerate()
            .map(key)
            .collect()
    }
}

impl Shape {
    fn too_long(&self, bytes: usize) -> Refused {
        let partition = self.partition.as_ref().expect("it has a place");
        let name = self.columns.field(partition.column).name();
        Refused {
            code: "too_large",
            message: format!(
                "`{name}` would be the name of a folder, {bytes} bytes long, and {NAME_MAX} are the most: partition by \
                 another column"
            ),
            field: Some(name.clone()),
        }
    }
}

/// Text as a part of a folder's name, as Hive and URLs escape it; what is not ASCII stays.
fn escaped(text: &str) -> String {
    if text == NULL_PARTITION {
        return text.replacen('_', "%5F", 1);
    }
    let mut name = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_ascii() && !char.is_ascii_alphanumeric() && !"-_.".contains(char) {
            write!(name, "%{:02X}", u32::from(char)).expect("memory takes any write");
        } else {
            name.push(char);
        }
    }
    name
}
