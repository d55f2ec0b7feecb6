//! Dead letters: refusals with weights, told by record, with the record's bytes while they are at hand.

use crate::read::{DeadLetter, LetterKey};
use base64::Engine as _;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use weir_stage::{RawBatch, RawRecord};
use weir_zset::Refusal;

/// Larger values are kept by reference (topic, partition, offset) only.
const VALUE_BYTES_MAX: usize = 64 * 1024;

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
    letters: imbl::OrdMap<LetterKey, Arc<DeadLetter>>,
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
            let weight = self.weights.entry(key.clone()).or_insert(0);
            *weight += refusal.weight;
            match *weight {
                0 => {
                    self.weights.remove(&key);
                    self.letters.remove(&key);
                }
                now if now > 0 && !self.letters.contains_key(&key) => {
                    let record = raws.record(&refusal);
                    self.letters
                        .insert(key, Arc::new(letter(stage, refusal, record.as_ref())));
                }
                _ => {}
            }
        }
    }

    /// The letters, as readers see them.
    pub(crate) fn shown(&self) -> imbl::OrdMap<LetterKey, Arc<DeadLetter>> {
        self.letters.clone()
    }

    /// How many there are, by stage.
    pub(crate) fn by_stage(&self) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for key in self.letters.keys() {
            *counts.entry(key.3.as_str()).or_insert(0) += 1;
        }
        counts
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.letters.len()
    }
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
