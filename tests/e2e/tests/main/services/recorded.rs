//! A recorded day that a test rewrites: records put in, offsets given anew.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Every topic of the contract; a day may have no file of some.
const TOPICS: &[&str] = &[
    "adjustments",
    "balances",
    "holdings",
    "refdata.counterparties",
    "refdata.fx",
    "refdata.instruments",
    "refdata.prices",
    "settlements",
    "trades.bonds",
    "trades.commodities",
    "trades.derivatives",
    "trades.equities",
    "trades.fx",
    "trades.interbank",
    "trades.repos",
];

/// The records of each topic in the order of their file.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded(pub(super) BTreeMap<String, Vec<Value>>);

impl Recorded {
    pub(super) fn read(folder: &Path) -> Self {
        let records = |topic: &&str| {
            let path = folder.join(format!("{topic}.jsonl"));
            let text = if path.exists() {
                std::fs::read_to_string(path).expect("a recorded topic")
            } else {
                String::new()
            };
            let records = text
                .lines()
                .map(|line| serde_json::from_str(line).expect("a record a line"));
            ((*topic).to_owned(), records.collect())
        };
        Self(TOPICS.iter().map(records).collect())
    }

    /// Writes it as a folder of its own.
    pub(super) fn write(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for topic in TOPICS {
            let records = self.0.get(*topic).into_iter().flatten();
            let lines: Vec<String> = records.map(ToString::to_string).collect();
            let path = folder.path().join(format!("{topic}.jsonl"));
            std::fs::write(path, lines.join("\n")).expect("a temporary file");
        }
        folder
    }

    /// Moves a record's offset to where it comes to lie: `place` is asked with topic, partition and what was there.
    pub(super) fn move_offsets(&mut self, place: impl Fn(&str, i64, i64) -> i64) {
        for (topic, records) in &mut self.0 {
            for record in records {
                let number = |name: &str| record[name].as_i64().expect("a number");
                let moved = place(topic, number("partition"), number("offset"));
                record["offset"] = json!(moved);
            }
        }
    }

    /// Lets other records go.
    pub(super) fn retain(&mut self, keep: impl Fn(&Value) -> bool) {
        for records in self.0.values_mut() {
            records.retain(&keep);
        }
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// How many records a partition has.
    pub(super) fn count(&self, topic: &str, partition: i64) -> i64 {
        let records = self.0[topic].iter();
        let here = records.filter(|record| record["partition"] == partition);
        i64::try_from(here.count()).expect("few records")
    }
}
