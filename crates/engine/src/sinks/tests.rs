//! Sinks that fail, crash and come back, against the plain truth: what a compacted topic holds is the table.

use super::*;
use arrow::array::{Int64Array, RecordBatch};
use proptest::prelude::*;
use weir_codec::{Encoder, JsonEncoder};
use weir_stage::sink::{Opening, Refused};
use weir_zset::Delta;
use weir_zset::table::Table;

/// A topic in memory.
#[derive(Default)]
struct Log {
    records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// So many more items are taken, then a flush fails.
    fails_after: Option<usize>,
    /// Whether a flush that fails leaves nothing.
    whole: bool,
    /// Rows with this value are refused.
    refused: i64,
    pace: Duration,
}

impl Log {
    fn compacted(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut content = BTreeMap::new();
        for (key, value) in &self.records {
            match value {
                Some(value) => content.insert(key.clone(), value.clone()),
                None => content.remove(key),
            };
        }
        content
    }
}

struct Memory(Arc<Mutex<Log>>);

struct Pair {
    key: JsonEncoder,
    value: JsonEncoder,
}

impl Rows for Pair {
    fn items(&self, rows: &RecordBatch) -> Vec<Result<Item, Unsent>> {
        let keys = self.keys(rows).into_iter();
        let item = |(key, value): (Result<Vec<u8>, Refused>, Result<Vec<u8>, Refused>)| {
            Ok(Item {
                key: key.unwrap(),
                value: Some(value.unwrap()),
            })
        };
        keys.zip(self.value.encode(rows)).map(item).collect()
    }

    fn keys(&self, rows: &RecordBatch) -> Vec<Result<Vec<u8>, Refused>> {
        self.key.encode(rows)
    }
}

impl Sink for Memory {
    fn open(
        &mut self,
        position: Option<&str>,
        told: &mut weir_stage::sink::Told<'_>,
        _line: &Line,
    ) -> Result<Opening, SourceError> {
        let log = self.0.lock().unwrap();
        let from: usize = position.map_or(0, |text| text.parse().unwrap());
        for (key, value) in &log.records[from..] {
            told(key, value.as_deref());
        }
        let columns = |names: &[&str]| {
            JsonEncoder::new(names.iter().map(|name| (*name).to_owned()).collect())
        };
        Ok(Opening {
            rows: Arc::new(Pair {
                key: columns(&["k"]),
                value: columns(&["k", "v"]),
            }),
            whole: position.is_none(),
            position: log.records.len().to_string(),
            epoch: None,
        })
    }

    fn write(
        &mut self,
        _cut: &Cut,
        items: &mut dyn Iterator<Item = Item>,
        line: &Line,
    ) -> Result<Flushed, SourceError> {
        let mut log = self.0.lock().unwrap();
        let began = log.records.len();
        let mut unsent = Vec::new();
        for item in items {
            if line.is_stopped() || log.fails_after == Some(0) {
                log.fails_after = None;
                if log.whole {
                    log.records.truncate(began);
                }
                return Err(SourceError {
                    fault: Fault::External,
                    code: "away",
                    message: String::new(),
                });
            }
            let is_refused = |value: &Vec<u8>| {
                let ends = format!("\"v\":{}}}", log.refused);
                value.ends_with(ends.as_bytes())
            };
            if item.value.as_ref().is_some_and(is_refused) {
                let why = Refused {
                    code: "too_large",
                    message: String::new(),
                    field: None,
                };
                unsent.push(Unsent { item, why });
                continue;
            }
            log.fails_after = log.fails_after.map(|left| left - 1);
            log.records.push((item.key, item.value));
        }
        Ok(Flushed {
            position: log.records.len().to_string(),
            unsent,
        })
    }

    fn pace(&self) -> Duration {
        self.0.lock().unwrap().pace
    }
}

fn delta(rows: &[(i64, i64, i64)]) -> Delta {
    let column =
        |pick: fn(&(i64, i64, i64)) -> i64| -> Int64Array { rows.iter().map(pick).collect() };
    let columns: [(&str, arrow::array::ArrayRef); 2] = [
        ("k", Arc::new(column(|row| row.0))),
        ("v", Arc::new(column(|row| row.1))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    Delta::new(batch, rows.iter().map(|row| row.2).collect())
}

type Rows2 = BTreeMap<i64, i64>;

fn table_of(rows: &Rows2) -> Table {
    let rows: Vec<_> = rows.iter().map(|(key, value)| (*key, *value, 1)).collect();
    let rows = delta(&rows);
    let mut table = Table::new(&rows.batch.schema(), &["k".to_owned()]);
    table.apply(&rows);
    table
}

/// What a checkpoint holds.
#[derive(Clone, Default)]
struct Checkpoint {
    rows: Rows2,
    kept: Option<String>,
    letters: BTreeMap<i64, i64>,
}

/// An engine with one table and one sink.
struct World {
    log: Arc<Mutex<Log>>,
    rows: Rows2,
    table: Table,
    running: Running,
    checkpoint: Checkpoint,
    /// Weights of the letters that stand.
    letters: BTreeMap<i64, i64>,
    epoch: u64,
}

impl World {
    fn new(log: Log) -> Self {
        let log = Arc::new(Mutex::new(log));
        let checkpoint = Checkpoint::default();
        let (table, running) = Self::restored(&log, &checkpoint);
        Self {
            log,
            rows: Rows2::new(),
            table,
            running,
            checkpoint,
            letters: BTreeMap::new(),
            epoch: 0,
        }
    }

    fn restored(log: &Arc<Mutex<Log>>, checkpoint: &Checkpoint) -> (Table, Running) {
        let table = table_of(&checkpoint.rows);
        let parts = SinkParts {
            name: "out".to_owned(),
            table: Some("out".to_owned()),
            to: "topic".to_owned(),
            identity: "one".to_owned(),
            sink: Box::new(Memory(Arc::clone(log))),
        };
        let letters = checkpoint.letters.keys();
        let restored = Restored {
            kept: checkpoint.kept.as_ref(),
            table: table.version(),
            letters: letters
                .map(|offset| (*offset, "too_large".to_owned()))
                .collect(),
        };
        let mut running = Running::new(parts, Some(0), restored);
        running.start();
        (table, running)
    }

    fn change(&mut self, key: i64, value: Option<i64>) {
        let mut changes = Vec::new();
        if let Some(old) = self.rows.remove(&key) {
            changes.push((key, old, -1));
        }
        if let Some(new) = value {
            self.rows.insert(key, new);
            changes.push((key, new, 1));
        }
        self.table.apply(&delta(&changes));
    }

    fn publish(&mut self) {
        self.epoch += 1;
        let cut = Cut {
            epoch: self.epoch,
            ..Cut::default()
        };
        self.running.offer(cut, self.table.version());
    }

    fn hear(&mut self) {
        for letter in self.running.letters() {
            let weight = self.letters.entry(letter.offset).or_insert(0);
            *weight += letter.weight;
            if *weight == 0 {
                self.letters.remove(&letter.offset);
            }
        }
    }

    fn settle(&mut self) {
        self.publish();
        let until = Instant::now() + Duration::from_secs(20);
        assert!(self.running.settle(until), "the sink does not settle");
        self.hear();
    }

    fn checkpoint(&mut self) {
        self.hear();
        self.checkpoint = Checkpoint {
            rows: self.rows.clone(),
            kept: self.running.keep(&self.table.version()),
            letters: self.letters.clone(),
        };
    }

    /// Goes on from the checkpoint; what came after it is read again.
    fn crash(&mut self) {
        self.running.stop();
        let (table, running) = Self::restored(&self.log, &self.checkpoint);
        (self.table, self.running) = (table, running);
        self.letters = self.checkpoint.letters.clone();
        let newest = std::mem::replace(&mut self.rows, self.checkpoint.rows.clone());
        for key in 0..KEYS {
            if self.rows.get(&key) != newest.get(&key) {
                self.change(key, newest.get(&key).copied());
            }
        }
    }

    fn written(&self) -> usize {
        self.log.lock().unwrap().records.len()
    }

    /// The topic is the table, but for the rows that are refused, which are letters.
    fn check(&self) {
        let log = self.log.lock().unwrap();
        let item = |key: i64, value: i64| {
            let key_text = format!("{{\"k\":{key}}}").into_bytes();
            (
                key_text,
                format!("{{\"k\":{key},\"v\":{value}}}").into_bytes(),
            )
        };
        let is_refused = |value: &i64| *value == log.refused;
        let mut found = log.compacted();
        let mut refused = BTreeMap::new();
        for (key, value) in self.rows.iter().filter(|(_, value)| is_refused(value)) {
            let (key, _) = item(*key, *value);
            // The topic has an older row, or none.
            found.remove(&key);
            refused.insert(digest(&key), 1);
        }
        let taken = self.rows.iter().filter(|(_, value)| !is_refused(value));
        let expected: BTreeMap<_, _> = taken.map(|(key, value)| item(*key, *value)).collect();
        assert_eq!(found, expected);
        assert_eq!(self.letters, refused);
    }
}

const KEYS: i64 = 6;

#[derive(Clone, Debug)]
enum Step {
    Change(i64, Option<i64>),
    Publish,
    Settle,
    Fail(usize),
    Checkpoint,
    /// A checkpoint that keeps nothing of the sink.
    Forget,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..KEYS, proptest::option::weighted(0.7, 0i64..4)).prop_map(|(key, value)| Step::Change(key, value)),
        3 => Just(Step::Publish),
        1 => Just(Step::Settle),
        2 => (0usize..4).prop_map(Step::Fail),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Forget),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Goal: whatever fails, wherever it crashes, the sink ends as the table, and a restart adds nothing to a sink that
    /// has everything. Method: random changes, publications, failures in the midst of a flush, checkpoints and crashes.
    #[test]
    fn ends_as_the_table(
        steps in proptest::collection::vec(step(), 0..40),
        whole in any::<bool>(),
        foreign in any::<bool>(),
    ) {
        let mut log = Log { whole, refused: 3, ..Log::default() };
        if foreign {
            log.records.push((b"{\"k\":2}".to_vec(), Some(b"other".to_vec())));
            log.records.push((b"left".to_vec(), Some(b"over".to_vec())));
        }
        let mut world = World::new(log);
        for step in steps {
            match step {
                Step::Change(key, value) => world.change(key, value),
                Step::Publish => world.publish(),
                Step::Settle => {
                    world.settle();
                    world.check();
                }
                Step::Fail(after) => world.log.lock().unwrap().fails_after = Some(after),
                Step::Checkpoint => world.checkpoint(),
                Step::Forget => {
                    world.checkpoint();
                    world.checkpoint.kept = None;
                }
                Step::Crash => world.crash(),
            }
        }
        world.log.lock().unwrap().fails_after = None;
        world.settle();
        world.check();
        let written = world.written();
        world.crash();
        world.settle();
        world.check();
        prop_assert_eq!(world.written(), written);
    }
}

/// Goal: a sink with a pace is written to once in that time, with what is there then, but at once where a checkpoint could
/// not keep what waits, and at the end. Method: a pace that is never over.
#[test]
fn a_pace_is_kept() {
    let mut world = World::new(Log {
        pace: Duration::from_hours(1),
        refused: -1,
        ..Log::default()
    });
    let waits = |world: &World, records: usize| {
        let until = Instant::now() + Duration::from_secs(20);
        while world.written() < records {
            assert!(Instant::now() < until, "the sink has {}", world.written());
            std::thread::yield_now();
        }
    };
    world.change(1, Some(1));
    world.publish();
    waits(&world, 1);
    for value in 2..5 {
        world.change(1, Some(value));
        world.publish();
        std::thread::yield_now();
    }
    let status = world.running.status();
    assert!(status.waiting_ms > 0 && status.flushes == 1, "{status:?}");
    let many = i64::try_from(EARLY).unwrap();
    for key in 10..=many + 10 {
        world.rows.insert(key, 1);
    }
    let rows: Vec<_> = (10..=many + 10).map(|key| (key, 1, 1)).collect();
    world.table.apply(&delta(&rows));
    world.publish();
    waits(&world, EARLY + 3);
    assert_eq!(
        world.written(),
        EARLY + 3,
        "the three changes of key 1 are one"
    );
    world.change(1, None);
    world.settle();
    world.check();
}

/// Goal: a checkpoint keeps few keys, or says that the sink is to be read whole.
#[test]
fn a_checkpoint_is_bounded() {
    let mut world = World::new(Log::default());
    world.settle();
    let many = i64::try_from(KEPT_MAX).unwrap();
    let rows: Vec<_> = (0..many).map(|key| (key, 1, 1)).collect();
    world.table.apply(&delta(&rows));
    assert!(world.running.keep(&world.table.version()).is_some());
    world.table.apply(&delta(&[(many, 1, 1)]));
    assert!(world.running.keep(&world.table.version()).is_none());
}
