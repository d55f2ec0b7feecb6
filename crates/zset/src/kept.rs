//! Rows kept for readers who may ask about them later: found by the columns they are ordered by, in versions that
//! share what did not change.

use crate::Delta;
use crate::op::{Dirty, Put, Unreadable};
use crate::rows::RowCodec;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use imbl::OrdMap;
use std::collections::BTreeSet;
use std::sync::Arc;

type Bytes = Arc<[u8]>;

/// The writing side of rows that are kept.
#[derive(Debug)]
pub struct Keeper {
    kept: Kept,
    dirty: Dirty,
}

/// Rows with weights, as they were when [`Keeper::kept`] was asked. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Kept {
    rows: OrdMap<Bytes, i64>,
    shape: Arc<Shape>,
}

#[derive(Debug)]
struct Shape {
    schema: SchemaRef,
    /// Rows with the columns that they are found by in front: bytes of those are the beginning of a row's bytes.
    row: RowCodec,
    key: RowCodec,
    /// Where each column of `row` is in the schema, and the other way round.
    order: Vec<usize>,
    back: Vec<usize>,
}

impl Keeper {
    /// Nothing yet, of this schema, to be found by these of its columns.
    pub fn new(schema: &SchemaRef, by: &[String]) -> Self {
        let index = |name: &String| schema.index_of(name).expect("the plan checked the columns");
        let mut order: Vec<usize> = by.iter().map(index).collect();
        let key_schema = part(schema, &order);
        order.extend(
            (0..schema.fields().len()).filter(|index| !by.contains(schema.field(*index).name())),
        );
        let mut back = vec![0; order.len()];
        for (at, &index) in order.iter().enumerate() {
            back[index] = at;
        }
        let shape = Shape {
            schema: Arc::clone(schema),
            row: RowCodec::new(part(schema, &order)),
            key: RowCodec::new(key_schema),
            order,
            back,
        };
        let kept = Kept {
            rows: OrdMap::new(),
            shape: Arc::new(shape),
        };
        Self {
            kept,
            dirty: Dirty::default(),
        }
    }

    /// The rows now.
    pub fn kept(&self) -> Kept {
        self.kept.clone()
    }

    /// Takes a delta in.
    pub fn apply(&mut self, delta: &Delta) {
        let shape = Arc::clone(&self.kept.shape);
        let batch = delta.batch.project(&shape.order);
        let rows = shape.row.encode(&batch.expect("deltas have the schema"));
        for (row, weight) in rows.iter().zip(delta.weights.iter()) {
            let kept = &mut self.kept.rows;
            let now = kept.get(row.data()).copied().unwrap_or(0) + weight;
            if now == 0 {
                kept.remove(row.data());
            } else {
                kept.insert(row.data().into(), now);
            }
            self.dirty.touch(row.data());
        }
    }

    /// Tells the rows that changed since they were told last; the first time, all.
    pub fn save(&mut self, put: &mut Put<'_>) {
        let rows = &self.kept.rows;
        if let Some(keys) = self.dirty.take() {
            for key in &keys {
                let weight = rows.get(key.as_ref()).map(|weight| weight.to_le_bytes());
                put(key, weight.as_ref().map(<[u8; 8]>::as_slice));
            }
            return;
        }
        for (row, weight) in rows {
            put(row, Some(&weight.to_le_bytes()));
        }
    }

    /// Takes a row back.
    pub fn load(&mut self, row: &[u8], weight: &[u8]) -> Result<(), Unreadable> {
        self.dirty.settle();
        let weight = weight.try_into().map_err(|_other_length| Unreadable)?;
        self.kept
            .rows
            .insert(row.into(), i64::from_le_bytes(weight));
        Ok(())
    }
}

impl Kept {
    /// All rows.
    pub fn all(&self) -> Delta {
        self.decode(self.rows.iter())
    }

    /// The rows whose columns, those they are found by, are as in some row of `keys` (a batch of these columns).
    pub fn of(&self, keys: &RecordBatch) -> Delta {
        let keys = self.shape.key.encode(keys);
        let distinct: BTreeSet<&[u8]> = keys.iter().map(|key| key.data()).collect();
        let found = distinct.into_iter().flat_map(|key| {
            let from: Bytes = key.into();
            let rows = self.rows.range(from..);
            rows.take_while(move |(row, _)| row.starts_with(key))
        });
        self.decode(found)
    }

    fn decode<'a>(&self, rows: impl Iterator<Item = (&'a Bytes, &'a i64)>) -> Delta {
        let (rows, weights): (Vec<&[u8]>, Vec<i64>) =
            rows.map(|(row, weight)| (row.as_ref(), *weight)).unzip();
        let batch = self.shape.row.decode(rows);
        let columns = self
            .shape
            .back
            .iter()
            .map(|&at| Arc::clone(batch.column(at)));
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(weights.len()));
        let batch = RecordBatch::try_new_with_options(
            Arc::clone(&self.shape.schema),
            columns.collect(),
            &options,
        );
        Delta::new(batch.expect("columns of the schema"), weights)
    }
}

fn part(schema: &SchemaRef, columns: &[usize]) -> SchemaRef {
    let part: Schema = schema.project(columns).expect("indexes of its own fields");
    Arc::new(part)
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
            let keys: Vec<(i64, u8)> = asked.iter().map(|key| (0, *key)).collect();
            let keys = batch(&keys).project(&[1]).expect("it has two columns");
            let wanted: Vec<Option<String>> = asked.iter().map(|key| key_text(*key)).collect();
            twin.retain(|(_, key), _| wanted.contains(key));
            prop_assert_eq!(shown(&kept.of(&keys)), twin);
        }
    }
}
