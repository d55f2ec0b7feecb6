//! Readers of files against bytes that nobody meant, by a seed. `WEIR_FUZZ=1000000` sets how many; without it a few, so
//! that the test command stays quick.

use crate::letters::Letters;
use crate::replay::{Topic, read_line};
use crate::state::{Changes, Manifest, StateError, Store, verify};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Numbers that a seed gives (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// The same bytes, damaged at one place or a few.
    fn damaged(&mut self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.next().to_le_bytes()[0]),
                _ if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                _ => bytes.extend_from_slice(&good[self.below(good.len())..]),
            }
        }
        bytes
    }
}

fn inputs() -> u64 {
    std::env::var("WEIR_FUZZ").map_or(20_000, |text| text.parse().expect("a whole number"))
}

/// A line of a recorded day is a record or is refused with words.
#[test]
fn lines_of_recorded_days() {
    const GOOD: [&str; 3] = [
        r#"{"partition":0,"offset":7,"timestamp_ms":1772409600000,"key":"K","value":{"a":[1,null,"é"]},"headers":{"t":"x"}}"#,
        r#"{"partition":2,"offset":9223372036854775807,"timestamp_ms":-1,"key":null,"value_text":"35=AE|"}"#,
        r#"{"partition":1,"offset":0,"timestamp_ms":0,"value_base64":"AAECAw==","headers":{"t":null}}"#,
    ];
    let topic = Topic {
        name: "t".to_owned(),
        encode: None,
        encode_key: None,
    };
    let mut random = Random(1);
    let (mut good, mut bad) = (0_u64, 0_u64);
    for _ in 0..inputs() {
        let good_line = GOOD[random.below(3)];
        let line = random.damaged(good_line.as_bytes());
        // Files are read as text.
        let Ok(line) = String::from_utf8(line) else {
            continue;
        };
        match read_line(&line, &topic) {
            Ok(_) => good += 1,
            Err(why) => {
                assert!(!why.is_empty());
                bad += 1;
            }
        }
    }
    assert!(good > 0 && bad > 0, "{good} good, {bad} bad");
}

/// What a checkpoint keeps of a dead letter is taken back or refused.
#[test]
fn entries_of_dead_letters() {
    let mut letters = Letters::default();
    let why = weir_stage::Refused {
        code: "bad",
        message: "words".to_owned(),
        field: Some("f".to_owned()),
    };
    let record = crate::tests::record(7, "value");
    let refusal = weir_stage::refusal_of("t", &record, why);
    let raws = [(
        "t".to_owned(),
        weir_stage::RawBatch {
            records: vec![record],
        },
    )];
    let mut raws = crate::letters::Raws::new(&raws);
    letters.add("decode", true, vec![refusal], &mut raws);
    let mut entries = Vec::new();
    letters.save(&mut |key, value| entries.push((key.to_vec(), value.unwrap().to_vec())));
    let (key, value) = entries.pop().unwrap();
    let mut random = Random(2);
    for _ in 0..inputs() {
        let mut letters = Letters::default();
        let taken = if random.below(2) == 0 {
            letters.load(&random.damaged(&key), &value)
        } else {
            letters.load(&key, &random.damaged(&value))
        };
        assert!(letters.len() <= 1);
        if taken.is_ok() {
            letters.keep_rows();
            assert_eq!(letters.version().len(), letters.len());
        }
    }
}

fn plan() -> BTreeMap<String, String> {
    BTreeMap::from([("stage a".to_owned(), "1".to_owned())])
}

/// A folder of two checkpoints.
fn folder(path: &Path) {
    let mut store = Store::open(path, &plan(), false).unwrap().store;
    for epoch in 1..3_u64 {
        let mut changes = Changes::default();
        for key in 0..40_u8 {
            let value = vec![key; 30 * usize::from(key)];
            changes.push(
                u16::from(key % 3),
                &[key, u8::try_from(epoch).unwrap()],
                Some(&value),
            );
        }
        let manifest = Manifest {
            pipeline: "p".to_owned(),
            plan: plan(),
            epoch,
            ..Manifest::default()
        };
        store.add(&changes).unwrap();
        store.keep(manifest).unwrap();
    }
}

/// A damaged file of a state folder is found, by name, and never taken for a whole one; what is read then is a whole
/// checkpoint or nothing.
#[test]
fn files_of_state_folders() {
    let good = tempfile::tempdir().unwrap();
    folder(good.path());
    let files: Vec<(PathBuf, Vec<u8>)> = std::fs::read_dir(good.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|kind| kind == "seg" || kind == "json")
        })
        .map(|path| {
            (
                PathBuf::from(path.file_name().unwrap()),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect();
    assert!(files.len() >= 4, "{files:?}");
    let mut random = Random(3);
    let damaged = tempfile::tempdir().unwrap();
    let (mut whole, mut found) = (0_u64, 0_u64);
    // Files cost more than lines do.
    for _ in 0..inputs().div_ceil(20) {
        let at = random.below(files.len());
        for (index, (name, bytes)) in files.iter().enumerate() {
            let bytes = if index == at {
                random.damaged(bytes)
            } else {
                bytes.clone()
            };
            std::fs::write(damaged.path().join(name), bytes).unwrap();
        }
        let is_same = std::fs::read(damaged.path().join(&files[at].0)).unwrap() == files[at].1;
        let checked = verify(damaged.path()).unwrap();
        let bad = checked
            .iter()
            .filter(|(_, checked)| checked.is_err())
            .count();
        assert!(is_same || bad > 0, "{}", files[at].0.display());
        found += u64::from(bad > 0);
        let Ok(opened) = Store::open(damaged.path(), &plan(), false) else {
            continue;
        };
        let mut entries = 0;
        let read = opened.store.each(|_, _, _| -> Result<(), StateError> {
            entries += 1;
            Ok(())
        });
        read.unwrap();
        let epoch = opened.manifest.map(|manifest| manifest.epoch);
        assert!([None, Some(1), Some(2)].contains(&epoch), "{epoch:?}");
        whole += u64::from(entries > 0);
    }
    assert!(whole > 0 && found > 0, "{whole} read, {found} found");
}
