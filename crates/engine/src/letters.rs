//! Dead letters: refusals with weights, told by record, with the record's bytes while they are at hand.

use crate::read::{DeadLetter, LetterKey};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use weir_stage::{Headers, RawBatch, RawRecord, letter};
use weir_zset::op::{Dirty, Put, Reader, Unreadable, Writer};
use weir_zset::table::{Table, Version};
use weir_zset::{Delta, Refusal};

/// Larger values, or keys and headers, are kept by reference (topic, partition, offset) only.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// What a letter takes beside its texts and its record's bytes.
const OWN_BYTES: usize = 512;

/// Rows that sinks refuse stand in no partition.
pub(crate) const NO_PARTITION: i32 = -1;

/// The records of one epoch, or what a step still knows of older ones, found by where they stood.
pub(crate) struct Raws<'a> {
    batches: &'a [(String, RawBatch)],
    index: HashMap<(&'a str, i32, i64), &'a RawRecord>,
}

impl<'a> Raws<'a> {
    pub(crate) fn new(batches: &'a [(String, RawBatch)]) -> Self {
        Self {
            batches,
            index: HashMap::new(),
        }
    }

    /// The index is made at the first look-up: most epochs refuse nothing.
    fn record(&mut self, refusal: &Refusal) -> Option<RawRecord> {
        if self.index.is_empty() {
            for (topic, batch) in self.batches {
                let keyed = batch
                    .records
                    .iter()
                    .map(|record| ((topic.as_str(), record.partition, record.place()), record));
                self.index.extend(keyed);
            }
        }
        let place = (refusal.topic.as_str(), refusal.partition, refusal.offset);
        self.index.get(&place).map(|record| (*record).clone())
    }
}

/// All refusals that stand.
#[derive(Default)]
pub(crate) struct Letters {
    weights: BTreeMap<LetterKey, i64>,
    shown: imbl::OrdMap<LetterKey, Arc<DeadLetter>>,
    /// What those take.
    bytes: u64,
    dirty: Dirty,
    /// For a sink.
    rows: Option<AsTable>,
    /// Records that were refused since they were counted last, and (-1) those that are not any more.
    news: Vec<News>,
}

/// The letters as a table.
struct AsTable {
    table: Table,
    /// Letters that came (1) or went (-1) since.
    news: Vec<(Arc<DeadLetter>, i64)>,
    /// The topics of those that the sink was not offered.
    topics: BTreeSet<String>,
}

/// A record that is refused now (1), or not any more (-1).
pub(crate) struct News {
    pub(crate) topic: String,
    /// Its record's, where that is known.
    pub(crate) timestamp_us: Option<i64>,
    pub(crate) change: i64,
}

/// Adds refusals to an entry.
pub(crate) fn save_refusals<'a>(
    out: Writer,
    refusals: impl ExactSizeIterator<Item = &'a Refusal>,
) -> Writer {
    let out = out.count(refusals.len());
    refusals.fold(out, |out, refusal| {
        let out = out
            .part(refusal.topic.as_bytes())
            .raw(&refusal.partition.to_le_bytes());
        let out = out.i64(refusal.offset).i64(refusal.weight);
        let out = out
            .part(refusal.code.as_bytes())
            .part(refusal.message.as_bytes());
        match &refusal.field {
            None => out.raw(&[0]),
            Some(field) => out.raw(&[1]).part(field.as_bytes()),
        }
    })
}

/// Takes the refusals that end an entry.
pub(crate) fn load_refusals<T: FromIterator<Refusal>>(
    mut from: Reader<'_>,
) -> Result<T, Unreadable> {
    fn text(from: &mut Reader<'_>) -> Result<String, Unreadable> {
        let bytes = from.part()?;
        Ok(std::str::from_utf8(bytes).or(Err(Unreadable))?.to_owned())
    }
    let refusals = (0..from.u32()?).map(|_| {
        let topic = text(&mut from)?;
        let partition = from.raw().map(i32::from_le_bytes)?;
        let (offset, weight) = (from.i64()?, from.i64()?);
        let (code, message) = (text(&mut from)?, text(&mut from)?);
        let field = match from.tag()? {
            0 => None,
            _ => Some(text(&mut from)?),
        };
        Ok(Refusal {
            topic,
            partition,
            offset,
            code,
            message,
            field,
            weight,
        })
    });
    let refusals = refusals.collect::<Result<T, _>>()?;
    from.end()?;
    Ok(refusals)
}

impl Letters {
    /// Adds one stage's refusals; those whose record is not among `raws` are told by reference only. They are final where
    /// nothing that comes later takes them back, but that the record is sent again.
    pub(crate) fn add(
        &mut self,
        stage: &str,
        is_final: bool,
        refusals: Vec<Refusal>,
        raws: &mut Raws<'_>,
    ) {
        for refusal in refusals {
            let place = (refusal.topic.clone(), refusal.partition, refusal.offset);
            let key = (
                place.0,
                place.1,
                place.2,
                stage.to_owned(),
                refusal.code.clone(),
            );
            self.dirty.touch_with(|| entry(&key));
            let weight = self.weights.entry(key.clone()).or_insert(0);
            *weight += refusal.weight;
            match *weight {
                0 => {
                    self.weights.remove(&key);
                    self.hide(&key);
                }
                now if now > 0 && !self.shown.contains_key(&key) => {
                    let record = raws.record(&refusal);
                    let letter = letter(stage, is_final, refusal, record.as_ref());
                    self.show(key, Arc::new(letter));
                }
                _ => {}
            }
        }
    }

    /// This record was sent again: what was final of it stands no longer.
    pub(crate) fn settle(&mut self, topic: &str, partition: i32, offset: i64) {
        let of_it = self.of_record(topic, partition, offset);
        let is_final = |(_, letter): &(&LetterKey, &Arc<DeadLetter>)| letter.is_final;
        let keys: Vec<LetterKey> = of_it.filter(is_final).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.dirty.touch_with(|| entry(&key));
            self.weights.remove(&key);
            self.hide(&key);
        }
    }

    fn of_record(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> impl Iterator<Item = (&LetterKey, &Arc<DeadLetter>)> {
        let from = (
            topic.to_owned(),
            partition,
            offset,
            String::new(),
            String::new(),
        );
        let to = (
            topic.to_owned(),
            partition,
            offset + 1,
            String::new(),
            String::new(),
        );
        self.shown.range(from..to)
    }

    fn show(&mut self, key: LetterKey, letter: Arc<DeadLetter>) {
        self.tell(&letter, 1);
        self.bytes += letter.bytes();
        self.shown.insert(key, letter);
    }

    fn hide(&mut self, key: &LetterKey) {
        if let Some(letter) = self.shown.remove(key) {
            self.tell(&letter, -1);
            self.bytes -= letter.bytes();
        }
    }

    /// Takes note for those who count and for the sink; called while the letter is not among those that show.
    fn tell(&mut self, letter: &Arc<DeadLetter>, change: i64) {
        let others = self.of_record(&letter.topic, letter.partition, letter.offset);
        if others.count() == 0 {
            self.news.push(News {
                topic: letter.topic.clone(),
                timestamp_us: letter.timestamp_us,
                change,
            });
        }
        if let Some(rows) = &mut self.rows {
            rows.news.push((Arc::clone(letter), change));
            if !rows.topics.contains(&letter.topic) {
                rows.topics.insert(letter.topic.clone());
            }
        }
    }

    /// Records that are refused since the last call, and those that are not any more.
    pub(crate) fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Keeps them as a table from now on, too, for a sink.
    pub(crate) fn keep_rows(&mut self) {
        let all = self.shown.values().map(|letter| (Arc::clone(letter), 1));
        self.rows = Some(AsTable {
            table: Table::new(&letter::schema(), &letter::KEY.map(str::to_owned)),
            news: all.collect(),
            topics: BTreeSet::new(),
        });
    }

    /// Whether there is something that the sink was not offered.
    pub(crate) fn has_news(&self) -> bool {
        self.rows
            .as_ref()
            .is_some_and(|rows| !rows.topics.is_empty())
    }

    /// The topics of what the sink was not offered and is now.
    pub(crate) fn take_topics(&mut self) -> BTreeSet<String> {
        let rows = self.rows.as_mut();
        rows.map_or_else(BTreeSet::new, |rows| std::mem::take(&mut rows.topics))
    }

    /// The table for the sink.
    pub(crate) fn version(&mut self) -> Version {
        let AsTable { table, news, .. } =
            self.rows.as_mut().expect("a sink of letters has it kept");
        if !news.is_empty() {
            table.apply(&rows(&std::mem::take(news)));
        }
        table.version()
    }

    /// Tells the letters that changed since they were told last; the first time, all.
    pub(crate) fn save(&mut self, put: &mut Put<'_>) {
        let value = |key: &LetterKey| {
            let weight = self.weights.get(key)?;
            let out = Writer::default().i64(*weight);
            Some(match self.shown.get(key) {
                None => out.raw(&[0]).done(),
                Some(letter) => letter.save(out.raw(&[1])),
            })
        };
        match self.dirty.take() {
            None => {
                for key in self.weights.keys() {
                    put(&entry(key), value(key).as_deref());
                }
            }
            Some(entries) => entries.iter().for_each(|entry| {
                let key = key_of(entry).expect("it was put together here");
                put(entry, value(&key).as_deref());
            }),
        }
    }

    /// Takes a letter back.
    pub(crate) fn load(&mut self, entry: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        self.dirty.settle();
        let (key, mut value) = (key_of(entry)?, Reader::new(value));
        let weight = value.i64()?;
        if value.tag()? != 0 {
            let letter = DeadLetter::load(&key, value)?;
            self.bytes += letter.bytes();
            self.shown.insert(key.clone(), Arc::new(letter));
        }
        self.weights.insert(key, weight);
        Ok(())
    }

    /// The letters, as readers see them.
    pub(crate) fn shown(&self) -> imbl::OrdMap<LetterKey, Arc<DeadLetter>> {
        self.shown.clone()
    }

    /// What a sink refuses: what stands in the place of an offset, and the code.
    pub(crate) fn of_sink(&self, sink: &str, to: &str) -> BTreeMap<i64, String> {
        let keys = self.shown.keys();
        let of_it = keys.filter(|key| key.0 == to && key.1 == NO_PARTITION && key.3 == sink);
        of_it.map(|key| (key.2, key.4.clone())).collect()
    }

    /// How many there are, by stage.
    pub(crate) fn by_stage(&self) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for key in self.shown.keys() {
            *counts.entry(key.3.as_str()).or_insert(0) += 1;
        }
        counts
    }

    /// What they take.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.shown.len()
    }
}

fn entry(key: &LetterKey) -> Vec<u8> {
    serde_json::to_vec(key).expect("a letter's key is plain data")
}

fn key_of(entry: &[u8]) -> Result<LetterKey, Unreadable> {
    serde_json::from_slice(entry).or(Err(Unreadable))
}

fn letter(stage: &str, is_final: bool, refusal: Refusal, record: Option<&RawRecord>) -> DeadLetter {
    let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let is_small = |record: &&RawRecord| {
        length(&record.value) <= VALUE_BYTES_MAX
            && length(&record.key) + record.headers.packed().len() <= VALUE_BYTES_MAX
    };
    let whole = record.filter(is_small);
    // A group's rows know no value, a tombstone has none.
    let is_missing = |record: &RawRecord| record.value.is_none() && refusal.code != "empty_value";
    // The record's bytes lie in a block with others', which is not to be kept for one of them.
    let own = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    let key = record.and_then(|record| record.key.as_ref());
    DeadLetter {
        timestamp_us: record.map(|record| record.timestamp_us),
        key: key.filter(|key| key.len() <= VALUE_BYTES_MAX).map(own),
        value: whole.and_then(|record| record.value.as_ref()).map(own),
        headers: whole.map_or_else(Headers::default, |record| {
            Headers::from_packed(own(record.headers.packed()))
        }),
        by_reference: whole.is_none_or(is_missing),
        is_final,
        topic: refusal.topic,
        partition: refusal.partition,
        offset: refusal.offset,
        stage: stage.to_owned(),
        code: refusal.code,
        message: refusal.message,
        field: refusal.field,
    }
}

impl DeadLetter {
    /// What it takes, about: what is of one size, its texts, twice those of its key, and the record's bytes.
    fn bytes(&self) -> u64 {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let named = self.topic.len() + self.stage.len() + self.code.len();
        let record = length(&self.key) + length(&self.value) + self.headers.packed().len();
        (OWN_BYTES + 2 * named + self.message.len() + record) as u64
    }

    fn save(&self, out: Writer) -> Vec<u8> {
        let flags = u8::from(self.by_reference)
            | u8::from(self.is_final) << 1
            | u8::from(self.timestamp_us.is_some()) << 2
            | u8::from(self.field.is_some()) << 3
            | u8::from(self.key.is_some()) << 4
            | u8::from(self.value.is_some()) << 5;
        let out = out.raw(&[flags]).i64(self.timestamp_us.unwrap_or(0));
        let out = out.part(self.message.as_bytes());
        let out = out.part(self.field.as_deref().unwrap_or_default().as_bytes());
        let out = out.part(self.key.as_deref().unwrap_or_default());
        let out = out.part(self.value.as_deref().unwrap_or_default());
        out.part(self.headers.packed()).done()
    }

    fn load(key: &LetterKey, mut from: Reader<'_>) -> Result<Self, Unreadable> {
        let flags = from.tag()?;
        let has = |bit: u8| flags & (1 << bit) != 0;
        let timestamp_us = from.i64()?;
        let mut text = || {
            let bytes = from.part()?;
            Ok::<_, Unreadable>(std::str::from_utf8(bytes).or(Err(Unreadable))?.to_owned())
        };
        let (message, field) = (text()?, text()?);
        let mut bytes = || from.part().map(Bytes::copy_from_slice);
        let (record_key, value, headers) = (bytes()?, bytes()?, bytes()?);
        from.end()?;
        let (topic, partition, offset, stage, code) = key.clone();
        Ok(Self {
            topic,
            partition,
            offset,
            stage,
            code,
            message,
            field: has(3).then_some(field),
            timestamp_us: has(2).then_some(timestamp_us),
            key: has(4).then_some(record_key),
            value: has(5).then_some(value),
            headers: Headers::from_packed(headers),
            by_reference: has(0),
            is_final: has(1),
        })
    }
}

/// Letters as rows.
fn rows(letters: &[(Arc<DeadLetter>, i64)]) -> Delta {
    let each = || letters.iter().map(|(letter, _)| letter);
    let text = |of: fn(&DeadLetter) -> &str| -> ArrayRef {
        Arc::new(
            each()
                .map(|letter| Some(of(letter)))
                .collect::<StringArray>(),
        )
    };
    let bytes = |of: fn(&DeadLetter) -> Option<&[u8]>| -> ArrayRef {
        Arc::new(each().map(|letter| of(letter)).collect::<BinaryArray>())
    };
    let timestamps = each().map(|letter| letter.timestamp_us);
    let timestamps: TimestampMicrosecondArray = timestamps.collect();
    let fields = each().map(|letter| letter.field.as_deref());
    let by_reference = each().map(|letter| Some(letter.by_reference));
    let columns: Vec<ArrayRef> = vec![
        text(|letter| &letter.topic),
        Arc::new(Int32Array::from_iter_values(
            each().map(|letter| letter.partition),
        )),
        Arc::new(Int64Array::from_iter_values(
            each().map(|letter| letter.offset),
        )),
        text(|letter| &letter.stage),
        text(|letter| &letter.code),
        text(|letter| &letter.message),
        Arc::new(fields.collect::<StringArray>()),
        Arc::new(timestamps.with_timezone("UTC")),
        bytes(|letter| letter.key.as_deref()),
        bytes(|letter| letter.value.as_deref()),
        bytes(|letter| Some(letter.headers.packed())),
        Arc::new(by_reference.collect::<BooleanArray>()),
    ];
    let batch = RecordBatch::try_new(letter::schema(), columns).expect("the columns of a letter");
    Delta::new(batch, letters.iter().map(|(_, weight)| *weight).collect())
}
