//! A table: rows by key, ordered by key, a new version per epoch that shares what did not change.
//!
//! A key should have one row of weight 1. Where the pipeline breaks that, nothing is lost: all rows of the
//! key are kept beside, the least one that is inserted shows, and the breach is counted.

use crate::op::{Dirty, Put, Reader, Unreadable, Writer};
use crate::rows::RowCodec;
use crate::{Delta, Parts, meta};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::Rows;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use std::collections::BTreeMap;
use std::sync::Arc;

type Bytes = Arc<[u8]>;

/// The writing side of a table.
#[derive(Debug)]
pub struct Table {
    version: Version,
    /// Indexes of the shown columns in the input: all but metadata.
    columns: Vec<usize>,
    /// Keys that do not have exactly one row of weight 1.
    odd: BTreeMap<Bytes, BTreeMap<Bytes, i64>>,
    dirty: Dirty,
}

/// What a reader sees: one version of a table. Cloning is cheap, and nothing changes it any more.
#[derive(Clone, Debug)]
pub struct Version {
    rows: OrdMap<Bytes, Bytes>,
    shape: Arc<Shape>,
}

#[derive(Debug)]
struct Shape {
    row: RowCodec,
    key: RowCodec,
    key_columns: Vec<usize>,
}

/// What takes one version to a newer one.
#[derive(Clone, Debug)]
pub struct Changes {
    /// New and changed rows, whole.
    pub upserts: RecordBatch,
    /// Key columns of the rows that are gone.
    pub removed: RecordBatch,
}

impl Table {
    /// An empty table over rows of this schema; metadata columns are not shown.
    pub fn new(input: &SchemaRef, key: &[String]) -> Self {
        let columns: Vec<usize> = (0..input.fields().len())
            .filter(|&index| !meta::is_meta(input.field(index).name()))
            .collect();
        let schema: SchemaRef =
            Arc::new(input.project(&columns).expect("indexes of its own fields"));
        let index = |name: &String| schema.index_of(name).expect("the plan checked the key");
        let key_columns: Vec<usize> = key.iter().map(index).collect();
        let key_schema: Schema = schema
            .project(&key_columns)
            .expect("indexes of its own fields");
        let shape = Shape {
            row: RowCodec::new(schema),
            key: RowCodec::new(Arc::new(key_schema)),
            key_columns,
        };
        Self {
            version: Version {
                rows: OrdMap::new(),
                shape: Arc::new(shape),
            },
            columns,
            odd: BTreeMap::new(),
            dirty: Dirty::default(),
        }
    }

    /// The version now.
    pub fn version(&self) -> Version {
        self.version.clone()
    }

    /// Takes a delta in; answers how many keys do not have exactly one row now.
    pub fn apply(&mut self, delta: &Delta) -> usize {
        self.apply_parts(&delta.clone().into())
    }

    /// The same of a delta in parts.
    pub fn apply_parts(&mut self, parts: &Parts) -> usize {
        let shape = Arc::clone(&self.version.shape);
        let encode = |part: &Delta| -> (Rows, Rows) {
            let shown = part.batch.project(&self.columns);
            let shown = shown.expect("deltas have the table's input schema");
            let keys = shown.project(&shape.key_columns);
            let keys = keys.expect("keys are shown columns");
            (shape.key.encode(&keys), shape.row.encode(&shown))
        };
        let encoded: Vec<(Rows, Rows)> = parts.iter().map(encode).collect();
        let mut sorted: Vec<(&[u8], &[u8], i64)> = Vec::with_capacity(parts.len());
        for (part, (keys, rows)) in parts.iter().zip(&encoded) {
            let rows = keys.iter().zip(rows).zip(part.weights.iter());
            sorted.extend(rows.map(|((key, row), &weight)| (key.data(), row.data(), weight)));
        }
        sorted.sort_by(|one, two| (one.0, one.1).cmp(&(two.0, two.1)));
        let mut net: Vec<(&[u8], i64)> = Vec::new();
        for of_key in sorted.chunk_by(|one, two| one.0 == two.0) {
            net.clear();
            for same in of_key.chunk_by(|one, two| one.1 == two.1) {
                let weight: i64 = same.iter().map(|(.., weight)| weight).sum();
                net.extend((weight != 0).then_some((same[0].1, weight)));
            }
            self.dirty.touch(of_key[0].0);
            self.change(of_key[0].0, &net);
        }
        self.odd.len()
    }

    /// Tells the keys that changed since they were told last, each with its rows; the first time, all.
    pub fn save(&mut self, put: &mut Put<'_>) {
        let mut room = Vec::new();
        let mut tell = |key: &[u8]| {
            let out = Writer::over(std::mem::take(&mut room));
            let value = if let Some(rows) = self.odd.get(key) {
                let add = |out: Writer, (row, weight): (&Bytes, &i64)| out.i64(*weight).part(row);
                Some(rows.iter().fold(out, add))
            } else {
                let row = self.version.rows.get(key);
                row.map(|row| out.i64(1).part(row))
            };
            let is_there = value.is_some();
            room = value.unwrap_or_default().done();
            put(key, is_there.then_some(&room));
        };
        if let Some(keys) = self.dirty.take() {
            keys.iter().for_each(tell);
            return;
        }
        let hidden = self
            .odd
            .keys()
            .filter(|key| !self.version.rows.contains_key(*key));
        for key in self.version.rows.keys().chain(hidden) {
            tell(key);
        }
    }

    /// Takes a key back.
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        self.dirty.settle();
        let mut value = Reader::new(value);
        let mut rows: Vec<(&[u8], i64)> = Vec::new();
        while !value.is_at_end() {
            let weight = value.i64()?;
            rows.push((value.part()?, weight));
        }
        self.change(key, &rows);
        Ok(())
    }

    /// How many keys do not have exactly one row.
    pub fn odd_keys(&self) -> usize {
        self.odd.len()
    }

    /// Takes a key's changes in: of each row at most one, none of 0.
    fn change(&mut self, key: &[u8], changes: &[(&[u8], i64)]) {
        if self.odd.contains_key(key) || !self.change_plainly(key, changes) {
            self.change_oddly(key, changes);
        }
    }

    /// Where a key has one row at most, before and after; answers whether it was so.
    fn change_plainly(&mut self, key: &[u8], changes: &[(&[u8], i64)]) -> bool {
        let rows = &mut self.version.rows;
        match *changes {
            [] => true,
            [(new, 1)] if !rows.contains_key(key) => {
                rows.insert(key.into(), new.into());
                true
            }
            [(old, -1)] if rows.get(key).is_some_and(|row| **row == *old) => {
                rows.remove(key);
                true
            }
            [(old, -1), (new, 1)] | [(new, 1), (old, -1)] => match rows.get_mut(key) {
                Some(row) if **row == *old => {
                    *row = new.into();
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn change_oddly(&mut self, key: &[u8], changes: &[(&[u8], i64)]) {
        let mut rows = self.odd.remove(key).unwrap_or_else(|| {
            self.version
                .rows
                .get(key)
                .map(|row| (Arc::clone(row), 1))
                .into_iter()
                .collect()
        });
        for &(row, weight) in changes {
            let now = rows.entry(row.into()).or_insert(0);
            *now += weight;
        }
        rows.retain(|_, weight| *weight != 0);
        let shown = rows
            .iter()
            .find(|(_, weight)| **weight > 0)
            .map(|(row, _)| Arc::clone(row));
        let is_plain =
            rows.is_empty() || (rows.len() == 1 && rows.values().all(|&weight| weight == 1));
        match shown {
            Some(row) if self.version.rows.get(key) == Some(&row) => {}
            Some(row) => {
                self.version.rows.insert(key.into(), row);
            }
            None => {
                self.version.rows.remove(key);
            }
        }
        if !is_plain {
            self.odd.insert(key.into(), rows);
        }
    }
}

impl Version {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The shown columns.
    pub fn schema(&self) -> &SchemaRef {
        self.shape.row.schema()
    }

    /// The key columns.
    pub fn key_schema(&self) -> &SchemaRef {
        self.shape.key.schema()
    }

    /// Some rows, in key order.
    pub fn rows(&self, offset: usize, limit: usize) -> RecordBatch {
        self.shape.row.decode(
            self.rows
                .values()
                .skip(offset)
                .take(limit)
                .map(AsRef::as_ref),
        )
    }

    /// All rows in key order, so many at a time (at least one).
    pub fn scan(&self, batch_rows: usize) -> impl Iterator<Item = RecordBatch> + '_ {
        let mut rows = self.rows.values().map(AsRef::as_ref).peekable();
        std::iter::from_fn(move || {
            rows.peek()?;
            Some(self.shape.row.decode(rows.by_ref().take(batch_rows.max(1))))
        })
    }

    /// The rows of these keys (a batch of the key columns), where there are any.
    pub fn get(&self, keys: &RecordBatch) -> RecordBatch {
        let keys = self.shape.key.encode(keys);
        let found = keys.iter().filter_map(|key| self.rows.get(key.data()));
        self.shape.row.decode(found.map(AsRef::as_ref))
    }

    /// All rows in key order with their keys, so many at a time (at least one).
    pub fn scan_keyed(&self, batch_rows: usize) -> impl Iterator<Item = (Vec<&[u8]>, RecordBatch)> {
        let mut rows = self.rows.iter().peekable();
        std::iter::from_fn(move || {
            rows.peek()?;
            let (keys, rows): (Vec<&[u8]>, Vec<&[u8]>) = rows
                .by_ref()
                .take(batch_rows.max(1))
                .map(|(key, row)| (key.as_ref(), row.as_ref()))
                .unzip();
            Some((keys, self.shape.row.decode(rows)))
        })
    }

    /// The same table without rows.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self {
            rows: OrdMap::new(),
            shape: Arc::clone(&self.shape),
        }
    }

    /// Whether there is a row of this key.
    pub fn has(&self, key: &[u8]) -> bool {
        self.rows.contains_key(key)
    }

    /// The row of a key, as bytes that are equal where rows are.
    pub fn row(&self, key: &[u8]) -> Option<&[u8]> {
        self.rows.get(key).map(AsRef::as_ref)
    }

    /// The key columns of these keys.
    pub fn key_rows<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> RecordBatch {
        self.shape.key.decode(keys)
    }

    /// The rows of these keys, where there are any.
    pub fn rows_of<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> RecordBatch {
        let found = keys.into_iter().filter_map(|key| self.rows.get(key));
        self.shape.row.decode(found.map(AsRef::as_ref))
    }

    /// The keys whose rows differ from those of `older`, an earlier version of the same table.
    pub fn changed<'a>(&'a self, older: &'a Self) -> impl Iterator<Item = &'a [u8]> {
        older.rows.diff(&self.rows).map(|item| match item {
            DiffItem::Add(key, _) | DiffItem::Remove(key, _) => key.as_ref(),
            DiffItem::Update { new: (key, _), .. } => key.as_ref(),
        })
    }

    /// What takes `older`, an earlier version of the same table, to this one. Costs what changed.
    pub fn diff(&self, older: &Self) -> Changes {
        let (mut upserts, mut removed): (Vec<&[u8]>, Vec<&[u8]>) = (Vec::new(), Vec::new());
        for item in older.rows.diff(&self.rows) {
            match item {
                DiffItem::Add(_, row) | DiffItem::Update { new: (_, row), .. } => upserts.push(row),
                DiffItem::Remove(key, _) => removed.push(key),
            }
        }
        Changes {
            upserts: self.shape.row.decode(upserts),
            removed: self.shape.key.decode(removed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use proptest::prelude::*;

    fn delta(rows: &[(u8, i64, i64)]) -> Delta {
        let keys: StringArray = rows
            .iter()
            .map(|(key, ..)| Some(format!("k{key}")))
            .collect();
        let values: Int64Array = rows.iter().map(|(_, value, _)| Some(*value)).collect();
        let columns: [(&str, ArrayRef); 2] = [("key", Arc::new(keys)), ("value", Arc::new(values))];
        let batch = RecordBatch::try_from_iter(columns).expect("two columns of one length");
        Delta::new(batch, rows.iter().map(|(.., weight)| *weight).collect())
    }

    fn text(batch: &RecordBatch) -> Vec<Vec<Option<String>>> {
        let row = |row| {
            batch
                .columns()
                .iter()
                .map(|column| crate::text::cell(column, row))
                .collect()
        };
        (0..batch.num_rows()).map(row).collect()
    }

    /// The plain twin: per key the least row whose weights sum to more than 0.
    fn twin(rows: &[(u8, i64, i64)]) -> Vec<Vec<Option<String>>> {
        let mut sums: BTreeMap<(u8, i64), i64> = BTreeMap::new();
        for &(key, value, weight) in rows {
            *sums.entry((key, value)).or_insert(0) += weight;
        }
        let mut shown: BTreeMap<u8, i64> = BTreeMap::new();
        for ((key, value), _) in sums.into_iter().filter(|(_, weight)| *weight > 0) {
            shown.entry(key).or_insert(value);
        }
        shown
            .into_iter()
            .map(|(key, value)| vec![Some(format!("k{key}")), Some(value.to_string())])
            .collect()
    }

    proptest! {
        /// Goal: a table shows what its input sums to, however it is cut, and diffs take one version to the next.
        #[test]
        fn shows_the_sum(rows in proptest::collection::vec((0u8..5, -2i64..3, -2i64..3), 0..40), cut in 0usize..40) {
            let cut = cut.min(rows.len());
            let first = delta(&rows);
            let mut table = Table::new(&first.batch.schema(), &["key".to_owned()]);
            table.apply(&delta(&rows[..cut]));
            let before = table.version();
            prop_assert_eq!(text(&before.rows(0, usize::MAX)), twin(&rows[..cut]));
            table.apply(&delta(&rows[cut..]));
            let after = table.version();
            prop_assert_eq!(text(&after.rows(0, usize::MAX)), twin(&rows));
            let scanned: Vec<_> = after.scan(2).flat_map(|batch| text(&batch)).collect();
            prop_assert_eq!(scanned, twin(&rows));

            let mut patched: BTreeMap<_, _> = twin(&rows[..cut]).into_iter().map(|row| (row[0].clone(), row)).collect();
            let changes = after.diff(&before);
            for key in text(&changes.removed) {
                patched.remove(&key[0]);
            }
            patched.extend(text(&changes.upserts).into_iter().map(|row| (row[0].clone(), row)));
            prop_assert_eq!(patched.into_values().collect::<Vec<_>>(), twin(&rows));
        }
    }
}
