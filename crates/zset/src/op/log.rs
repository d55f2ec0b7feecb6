//! Reading a step of a log: the partitions' numbers, and rows in offset order with records together.

use super::saved::{Put, Reader, Unreadable, Writer};
use crate::meta;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef};
use std::cmp::Ordering;

/// Numbers for (topic, partition), in the order of their first appearance, which must never show:
/// comparisons go by name and number.
#[derive(Debug)]
pub(super) struct Partitions {
    columns: [usize; 3],
    known: Vec<(String, i32)>,
}

/// The partition's number and the offset of each row.
pub(super) struct Places {
    pub(super) partitions: Vec<u32>,
    pub(super) offsets: Vec<i64>,
}

impl Partitions {
    /// For rows of a schema that has the metadata columns.
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let index = |name| schema.index_of(name).expect("logs have their metadata");
        let columns = [meta::TOPIC, meta::PARTITION, meta::OFFSET].map(index);
        Self {
            columns,
            known: Vec::new(),
        }
    }

    pub(super) fn name(&self, partition: u32) -> (&str, i32) {
        let (topic, number) = &self.known[partition as usize];
        (topic, *number)
    }

    pub(super) fn compare(&self, one: u32, two: u32) -> Ordering {
        self.known[one as usize].cmp(&self.known[two as usize])
    }

    pub(super) fn places(&mut self, batch: &RecordBatch) -> Places {
        let [topics, numbers, offsets] = self.columns.map(|index| batch.column(index));
        let (topics, numbers) = (
            topics.as_string::<i32>(),
            numbers.as_primitive::<Int32Type>(),
        );
        let mut partitions = Vec::with_capacity(batch.num_rows());
        let mut last: Option<u32> = None;
        for row in 0..batch.num_rows() {
            let place = (topics.value(row), numbers.value(row));
            let partition = match last {
                Some(last) if self.name(last) == place => last,
                _ => self.number(place),
            };
            partitions.push(partition);
            last = Some(partition);
        }
        let offsets = offsets.as_primitive::<Int64Type>().values().to_vec();
        Places {
            partitions,
            offsets,
        }
    }

    /// Tells the numbers' names under a tag.
    pub(super) fn save(&self, tag: u8, put: &mut Put<'_>) {
        for (number, (topic, partition)) in (0..).zip(&self.known) {
            let key = Writer::tagged(tag).raw(&number_bytes(number)).done();
            let value = Writer::default()
                .raw(&partition.to_le_bytes())
                .raw(topic.as_bytes());
            put(&key, Some(&value.done()));
        }
    }

    /// Takes a name back; they come in the order of their numbers.
    pub(super) fn load(&mut self, key: Reader<'_>, value: &[u8]) -> Result<(), Unreadable> {
        let number = u32::try_from(self.known.len()).or(Err(Unreadable))?;
        (key.rest() == number_bytes(number))
            .then_some(())
            .ok_or(Unreadable)?;
        let mut value = Reader::new(value);
        let partition = value.raw().map(i32::from_le_bytes)?;
        let topic = std::str::from_utf8(value.rest()).or(Err(Unreadable))?;
        self.known.push((topic.to_owned(), partition));
        Ok(())
    }

    fn number(&mut self, (topic, number): (&str, i32)) -> u32 {
        let known = self
            .known
            .iter()
            .position(|known| (known.0.as_str(), known.1) == (topic, number));
        let index = known.unwrap_or_else(|| {
            self.known.push((topic.to_owned(), number));
            self.known.len() - 1
        });
        u32::try_from(index).expect("fewer partitions than 2^32")
    }
}

/// In the order of numbers.
fn number_bytes(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

impl Places {
    /// Rows so that a record's stand together and each partition's are in offset order. They come like
    /// that, unless a union has put two branches of one topic one after the other.
    pub(super) fn order(&self, partitions: &Partitions) -> Vec<u32> {
        let count = u32::try_from(self.offsets.len()).expect("a batch has fewer than 2^32 rows");
        let mut order: Vec<u32> = (0..count).collect();
        if !self.is_ordered(partitions) {
            let place = |row: u32| (self.partitions[row as usize], self.offsets[row as usize]);
            order.sort_by_key(|&row| place(row));
        }
        order
    }

    fn is_ordered(&self, partitions: &Partitions) -> bool {
        let mut last = vec![i64::MIN; partitions.known.len()];
        let mut before = None;
        for place in self.partitions.iter().zip(&self.offsets) {
            let (&partition, &offset) = place;
            let last = &mut last[partition as usize];
            if before != Some(place) && offset <= *last {
                return false;
            }
            *last = offset;
            before = Some(place);
        }
        true
    }

    /// The runs of `order` that are one record each.
    pub(super) fn records<'a>(&'a self, order: &'a [u32]) -> impl Iterator<Item = &'a [u32]> {
        let place = |row: u32| (self.partitions[row as usize], self.offsets[row as usize]);
        order.chunk_by(move |&one, &two| place(one) == place(two))
    }
}
