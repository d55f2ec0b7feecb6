//! Dead letters: refusals with weights, told by record, with the record's bytes while they are at hand.

use crate::read::{DeadLetter, LetterKey};
use base64::Engine as _;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use weir_stage::{RawBatch, RawRecord};
use weir_zset::Refusal;
use weir_zset::op::{Dirty, Put, Reader, Unreadable, Writer};

/// Larger values are kept by reference (topic, partition, offset) only.
const VALUE_BYTES_MAX: usize = 64 * 1024;

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
                    .map(|record| ((topic.as_str(), record.partition, record.offset), record));
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
    dirty: Dirty,
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
    /// Adds one stage's refusals; those whose record is not among `raws` are told by reference only.
    pub(crate) fn add(&mut self, stage: &str, refusals: Vec<Refusal>, raws: &mut Raws<'_>) {
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
                    self.shown.remove(&key);
                }
                now if now > 0 && !self.shown.contains_key(&key) => {
                    let record = raws.record(&refusal);
                    self.shown
                        .insert(key, Arc::new(letter(stage, refusal, record.as_ref())));
                }
                _ => {}
            }
        }
    }

    /// Tells the letters that changed since they were told last; the first time, all.
    pub(crate) fn save(&mut self, put: &mut Put<'_>) {
        let value = |key: &LetterKey| {
            let weight = self.weights.get(key)?;
            let letter = serde_json::to_vec(&self.shown.get(key).map(AsRef::as_ref));
            let letter = letter.expect("a letter is plain data");
            Some(Writer::default().i64(*weight).raw(&letter).done())
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
        let letter: Option<DeadLetter> =
            serde_json::from_slice(value.rest()).or(Err(Unreadable))?;
        if let Some(letter) = letter {
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

fn letter(stage: &str, refusal: Refusal, record: Option<&RawRecord>) -> DeadLetter {
    let value = record
        .and_then(|record| record.value.as_ref())
        .filter(|value| value.len() <= VALUE_BYTES_MAX);
    let text = value.and_then(|value| String::from_utf8(value.to_vec()).ok());
    let key = record.and_then(|record| record.key.as_ref());
    DeadLetter {
        topic: refusal.topic,
        partition: refusal.partition,
        offset: refusal.offset,
        stage: stage.to_owned(),
        code: refusal.code,
        message: refusal.message,
        field: refusal.field,
        timestamp_us: record.map(|record| record.timestamp_us),
        key: key.map(|key| String::from_utf8(key.to_vec()).unwrap_or_else(|_| base64(key))),
        value_base64: value.filter(|_| text.is_none()).map(|value| base64(value)),
        value: text,
    }
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
