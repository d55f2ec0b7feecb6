//! Rows kept for readers who may ask about them later: found by the columns they are ordered by, in versions that
//! share what did not change.

use crate::Delta;
use crate::compact::Compact;
use crate::op::{Dirty, Put, Unreadable};
use crate::pages::{Entries, Pages, weight};
use crate::rows::RowCodec;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The writing side of rows that are kept.
#[derive(Debug)]
pub struct Keeper {
    kept: Kept,
    dirty: Dirty,
}

/// Rows with weights, as they were when [`Keeper::kept`] was asked. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Each behind the columns that it is found by, and in front of how many bytes those take.
    rows: Pages,
    shape: Arc<Shape>,
}

#[derive(Debug)]
struct Shape {
    row: Compact,
    key: RowCodec,
    /// Where the key's columns are in the schema.
    by: Vec<usize>,
}

impl Keeper {
    /// Nothing yet, of this schema, to be found by these of its columns.
    pub fn new(schema: &SchemaRef, by: &[String]) -> Self {
        let index = |name: &String| schema.index_of(name).expect("the plan checked the columns");
        let by: Vec<usize> = by.iter().map(index).collect();
        let key: Schema = schema.project(&by).expect("indexes of its own fields");
        let shape = Shape {
            row: Compact::whole(schema).expect("the plan's types have a row form"),
            key: RowCodec::new(Arc::new(key)),
            by,
        };
        let kept = Kept {
            rows: Pages::default(),
            shape: Arc::new(shape),
        };
        Self {
            kept,
            dirty: Dirty::default(),
        }
    }

    /// The rows now.
    pub fn kept(&self) -> Kept {
        let mut kept = self.kept.clone();
        kept.rows.seal();
        kept
    }

    /// Takes a delta in.
    pub fn apply(&mut self, delta: &Delta) {
        let shape = Arc::clone(&self.kept.shape);
        let keys = delta.batch.project(&shape.by);
        let keys = shape.key.encode(&keys.expect("deltas have the schema"));
        let rows = shape.row.encode(&delta.batch);
        let mut entries = Entries::default();
        for (row, &weight) in delta.weights.iter().enumerate() {
            // Without columns there are no encoded rows either.
            let is_found = !shape.by.is_empty();
            let key = if is_found { keys.row(row).data() } else { &[] };
            let length = u32::try_from(key.len()).expect("a key is less than 4 GiB");
            entries.push([key, rows.row(row), &length.to_le_bytes()], weight);
        }
        entries
            .iter()
            .for_each(|(entry, _)| self.dirty.touch(entry));
        self.kept.rows.add_all(&entries);
    }

    /// Tells the rows that changed since they were told last; the first time, all.
    pub fn save(&mut self, put: &mut Put<'_>) {
        let Some(keys) = self.dirty.take() else {
            for (entry, weight) in self.kept.rows.iter() {
                put(entry, Some(weight));
            }
            return;
        };
        for entry in keys.iter() {
            put(entry, self.kept.rows.get(entry));
        }
    }

    /// Takes a row back.
    pub fn load(&mut self, entry: &[u8], weight: &[u8]) -> Result<(), Unreadable> {
        self.dirty.settle();
        split(entry).ok_or(Unreadable)?;
        self.kept.rows.push(entry, weight);
        Ok(())
    }
}

/// A row without its key.
fn split(entry: &[u8]) -> Option<&[u8]> {
    let (rest, length) = entry.split_last_chunk()?;
    rest.get(u32::from_le_bytes(*length) as usize..)
}

impl Kept {
    /// All rows.
    pub fn all(&self) -> Delta {
        self.decode(self.rows.iter().map(row))
    }

    /// The rows whose columns, those they are found by, are as in some row of `keys` (a batch of these columns).
    pub fn of(&self, keys: &RecordBatch) -> Delta {
        let keys = self.shape.key.encode(keys);
        let distinct: BTreeSet<&[u8]> = keys.iter().map(|key| key.data()).collect();
        let found = distinct
            .iter()
            .flat_map(|key| self.rows.range(key).map(row));
        self.decode(found)
    }

    fn decode<'a>(&self, rows: impl Iterator<Item = (&'a [u8], i64)>) -> Delta {
        let (rows, weights): (Vec<&[u8]>, Vec<i64>) = rows.unzip();
        Delta::new(self.shape.row.decode(&rows), weights)
    }
}

/// An entry's row.
fn row<'a>((entry, value): (&'a [u8], &[u8])) -> (&'a [u8], i64) {
    let row = split(entry).expect("it was put together here");
    (row, weight(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, AsArray as _, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn batch(rows: &[(i64, u8)]) -> RecordBatch {
        let values: Int64Array = rows.iter().map(|(value, _)| Some(*value)).collect();
        let keys: StringArray = rows.iter().map(|(_, key)| key_text(*key)).collect();
        let columns: [(&str, ArrayRef, bool); 2] = [
            ("value", Arc::new(values), true),
            ("key", Arc::new(keys), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).expect("two columns of one length")
    }

    /// Keys that begin with each other, and none.
    fn key_text(key: u8) -> Option<String> {
        (key > 0).then(|| "k".repeat(usize::from(key)))
    }

    fn shown(delta: &Delta) -> BTreeMap<(i64, Option<String>), i64> {
        let values = delta.batch.column(0).as_primitive::<Int64Type>();
        let keys = delta.batch.column(1).as_string::<i32>();
        let rows = values
            .values()
            .iter()
            .zip(keys.iter())
            .zip(delta.weights.iter());
        rows.map(|((value, key), weight)| ((*value, key.map(str::to_owned)), *weight))
            .collect()
    }

    proptest! {
        /// Goal: what is kept is what the deltas sum to, and the rows of a key are those and no others.
        #[test]
        fn keeps_the_sum_and_finds_by_key(
            rows in proptest::collection::vec((-2i64..3, 0u8..4, -1i64..2), 0..40),
            asked in proptest::collection::vec(0u8..5, 0..4),
        ) {
            let first = batch(&[]);
            let mut keeper = Keeper::new(&first.schema(), &["key".to_owned()]);
            let mut saved: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            let mut twin: BTreeMap<(i64, Option<String>), i64> = BTreeMap::new();
            for &(value, key, weight) in &rows {
                keeper.apply(&Delta::new(batch(&[(value, key)]), vec![weight]));
                keeper.save(&mut |row, weight| match weight {
                    Some(weight) => drop(saved.insert(row.to_vec(), weight.to_vec())),
                    None => drop(saved.remove(row)),
                });
                *twin.entry((value, key_text(key))).or_insert(0) += weight;
            }
            twin.retain(|_, weight| *weight != 0);
            let kept = keeper.kept();
            prop_assert_eq!(&shown(&kept.all()), &twin);
            let mut restored = Keeper::new(&first.schema(), &["key".to_owned()]);
            for (row, weight) in &saved {
                restored.load(row, weight).expect("as it was saved");
            }
            prop_assert_eq!(&shown(&restored.kept().all()), &twin);
            let mut heap = Keeper::new(&first.schema(), &[]);
            for &(value, key, weight) in &rows {
                heap.apply(&Delta::new(batch(&[(value, key)]), vec![weight]));
            }
            prop_assert_eq!(&shown(&heap.kept().all()), &twin);
            let keys: Vec<(i64, u8)> = asked.iter().map(|key| (0, *key)).collect();
            let keys = batch(&keys).project(&[1]).expect("it has two columns");
            let wanted: Vec<Option<String>> = asked.iter().map(|key| key_text(*key)).collect();
            twin.retain(|(_, key), _| wanted.contains(key));
            prop_assert_eq!(shown(&kept.of(&keys)), twin);
        }
    }
}
