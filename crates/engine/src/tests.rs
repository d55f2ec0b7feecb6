//! The loop and its plugin steps against small made-up sources and plugins.

use crate::group::GroupStep;
use crate::intake::{Intake, Polled, Standing};
use crate::letters::{Letters, Raws};
use crate::read::{LetterFilter, State};
use crate::run::{Engine, Parts, Stop};
use crate::transform::TransformStep;
use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_spec::Plan;
use weir_spec::plan::{
    ClockPlan, DecodePlan, Edge, EncodingPlan, EnginePlan, GroupClock, LimitPlan, OnFailure,
    SourcePlan, StartPlan, StepPlan, TablePlan, WorkPlan,
};
use weir_stage::{
    Clock, Decoded, Decoder, Fault, Group, GroupAnswer, GroupInput, Grouped, Headers, Limits,
    Opening, PluginError, Plugins, Port, Position, Produced, REPLAY_OF, RawBatch, RawRecord,
    Refused, RowRefusal, Shape, SourceError, Transform,
};
use weir_zset::op::{AggFn, AggregateSpec, DedupeSpec, JoinKind, JoinSpec, OpSpec};
use weir_zset::{Delta, meta};

pub(crate) struct Still;

impl Clock for Still {
    fn now_us(&self) -> i64 {
        0
    }
}

struct NoPlugins;

impl Plugins for NoPlugins {
    fn shape(&self, _: &Path, _: &str) -> Result<Shape, PluginError> {
        unreachable!("the plan has no plugin")
    }
    fn open_transform(
        &self,
        _: &Path,
        _: &Opening,
        _: &Limits,
    ) -> Result<Box<dyn Transform>, PluginError> {
        unreachable!("the plan has no plugin")
    }
    fn open_group(
        &self,
        _: &Path,
        _: &Opening,
        _: &SchemaRef,
        _: &Limits,
    ) -> Result<Box<dyn Group>, PluginError> {
        unreachable!("the plan has no plugin")
    }
}

/// Every value is one text column.
pub(crate) struct Texts;

impl Decoder for Texts {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, true)]))
    }
    fn decode(&self, records: &[RawRecord]) -> Decoded {
        let text = |record: &RawRecord| {
            record
                .value
                .as_ref()
                .map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let column: ArrayRef = Arc::new(records.iter().map(text).collect::<StringArray>());
        let batch = RecordBatch::try_new(self.schema(), vec![column]).unwrap();
        Decoded {
            batch,
            rows: (0..u32::try_from(records.len()).unwrap()).collect(),
            refused: vec![],
            stalled: None,
        }
    }
}

/// Sources whose records a test lets go.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<Vec<Queued>>>);

/// What a source still has, and where it stands.
type Queued = (VecDeque<RawRecord>, Standing);

impl Intake for Held {
    fn poll(&mut self, rows_max: usize, _: usize, held: &[bool]) -> Polled {
        let mut polled = Polled::default();
        for (index, (ready, standing)) in self.0.lock().unwrap().iter_mut().enumerate() {
            if held[index] {
                continue;
            }
            let count = ready.len().min(rows_max);
            let records: Vec<_> = ready.drain(..count).collect();
            for record in &records {
                standing
                    .position
                    .insert(record.partition, record.offset + 1);
            }
            standing.caught_up = crate::intake::reached(&standing.position, &standing.end);
            if !records.is_empty() {
                polled.batches.push((index, RawBatch { records }));
            }
        }
        polled
    }
    fn standing(&self) -> Vec<Standing> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(|(_, standing)| standing.clone())
            .collect()
    }
    fn is_ended(&self) -> bool {
        false
    }
}

impl Held {
    fn new(ends: &[i64]) -> Self {
        let source = |end: &i64| {
            let end = Position::from([(0, *end)]);
            (
                VecDeque::new(),
                Standing {
                    identity: None,
                    end,
                    ..Standing::default()
                },
            )
        };
        Self(Arc::new(Mutex::new(ends.iter().map(source).collect())))
    }
    fn release(&self, source: usize, records: impl IntoIterator<Item = RawRecord>) {
        self.0.lock().unwrap()[source].0.extend(records);
    }
}

pub(crate) fn record(offset: i64, text: &str) -> RawRecord {
    let value = Some(Bytes::copy_from_slice(text.as_bytes()));
    RawRecord {
        partition: 0,
        offset,
        timestamp_us: offset * 1_000_000,
        key: None,
        value,
        headers: Headers::default(),
    }
}

/// Texts, but for those from `stall` on, as long as it says so.
struct Stalling(Arc<AtomicBool>);

impl Decoder for Stalling {
    fn schema(&self) -> SchemaRef {
        Texts.schema()
    }
    fn decode(&self, records: &[RawRecord]) -> Decoded {
        let is_stop = |record: &RawRecord| record.value.as_deref() == Some(b"stall");
        let at = records.iter().position(is_stop);
        let Some(at) = at.filter(|_| self.0.load(Ordering::Relaxed)) else {
            return Texts.decode(records);
        };
        let error = SourceError {
            fault: Fault::External,
            code: "away",
            message: "away".to_owned(),
        };
        Decoded {
            stalled: Some((u32::try_from(at).unwrap(), error)),
            ..Texts.decode(&records[..at])
        }
    }
}

/// Two text topics, counted together by text.
pub(crate) fn plan() -> Plan {
    let mut fields = meta::fields();
    fields.push(Arc::new(Field::new("text", DataType::Utf8, true)));
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let source = |name: &str| SourcePlan {
        silent_after_s: None,
        name: name.to_owned(),
        topic: name.to_owned(),
        properties: BTreeMap::new(),
        start: StartPlan::Earliest,
        decode: DecodePlan::of(EncodingPlan::Text, false),
        schema: Arc::clone(&schema),
        limit: LimitPlan {
            percent_max: None,
            count_max: None,
            window_s: 60,
        },
    };
    let counts = OpSpec::Aggregate(AggregateSpec {
        by: vec!["text".to_owned()],
        values: vec![("n".to_owned(), AggFn::Count, None)],
    });
    let counted = counts.output_schema(std::slice::from_ref(&schema)).unwrap();
    let step = |work, inputs: &[Edge], schema: &SchemaRef| StepPlan {
        stage: "counts".to_owned(),
        inputs: inputs.iter().map(|edge| (String::new(), *edge)).collect(),
        work: WorkPlan::Op(work),
        outputs: vec![(String::new(), Arc::clone(schema))],
    };
    let from = Edge::Step { step: 1, port: 0 };
    Plan {
        name: "counting".to_owned(),
        engine: EnginePlan {
            cycle_min_ms: 0,
            cycle_max_ms: 0,
            epoch_rows_max: 1_000,
            epoch_bytes_max: 1_000_000,
            workers: 2,
            clock: ClockPlan::Event { max_ahead_ms: 0 },
            checkpoint: None,
        },
        sources: vec![source("left"), source("right")],
        steps: vec![
            step(OpSpec::Union, &[Edge::Source(0), Edge::Source(1)], &schema),
            step(counts, &[Edge::Step { step: 0, port: 0 }], &counted),
        ],
        forgets: vec![],
        tables: vec![TablePlan {
            name: "counts".to_owned(),
            from,
            key: vec!["text".to_owned()],
            schema: counted,
            asked_by: None,
        }],
        sink_tables: vec![],
        sinks: vec![],
        letters: None,
        limit: None,
        letters_bytes_max: u64::MAX,
        views: vec![],
    }
}

fn engine(intake: &Held) -> (Engine, crate::Handle) {
    engine_with(intake, &plan(), Arc::new(Texts))
}

fn engine_with(intake: &Held, plan: &Plan, left: Arc<dyn Decoder>) -> (Engine, crate::Handle) {
    let parts = Parts {
        decoders: vec![left, Arc::new(Texts)],
        plugins: Arc::new(NoPlugins),
        intake: Box::new(intake.clone()),
        clock: Arc::new(Still),
        run: "test".to_owned(),
        sinks: vec![],
        drain: Duration::ZERO,
        keep: None,
        guard_clock: false,
    };
    Engine::build(plan, parts).unwrap()
}

fn shown(handle: &crate::Handle) -> Option<Vec<(String, i64)>> {
    let published = handle.published()?;
    let rows = published.table("counts").unwrap().1.rows(0, usize::MAX);
    let (texts, counts) = (
        rows.column(0).as_string::<i32>(),
        rows.column(1).as_primitive::<Int64Type>(),
    );
    Some(
        (0..rows.num_rows())
            .map(|row| (texts.value(row).to_owned(), counts.value(row)))
            .collect(),
    )
}

/// Goal: half a book is never shown. Method: one of two topics is held back at start.
#[test]
fn nothing_is_published_until_every_source_has_caught_up() {
    let intake = Held::new(&[2, 1]);
    let (mut engine, handle) = engine(&intake);
    engine.begin();
    intake.release(0, [record(0, "a"), record(1, "b")]);
    for _ in 0..3 {
        engine.cycle().unwrap();
        assert_eq!(
            (handle.status().state, shown(&handle)),
            (State::CatchingUp, None)
        );
    }
    intake.release(1, [record(0, "a")]);
    engine.cycle().unwrap();
    assert_eq!(handle.status().state, State::Live);
    assert_eq!(
        shown(&handle),
        Some(vec![("a".to_owned(), 2), ("b".to_owned(), 1)])
    );
    assert_eq!(
        handle.published().unwrap().epoch,
        1,
        "the first epoch shows the net of everything"
    );
}

/// Goal: an epoch of several portions loses and repeats nothing, also when a decoder stalls in the midst.
#[test]
fn a_large_epoch_goes_in_portions() {
    let mut plan = plan();
    plan.engine.epoch_rows_max = 1_000_000;
    let intake = Held::new(&[0, 0]);
    let away = Arc::new(AtomicBool::new(true));
    let (mut engine, handle) = engine_with(&intake, &plan, Arc::new(Stalling(Arc::clone(&away))));
    engine.begin();
    engine.cycle().unwrap();
    assert_eq!(handle.status().state, State::Live);
    let text = |offset| if offset == 40_000 { "stall" } else { "a" };
    intake.release(0, (0..100_000).map(|offset| record(offset, text(offset))));
    intake.release(1, (0..50_000).map(|offset| record(offset, "b")));
    engine.cycle().unwrap();
    let counts = |rows: &[(&str, i64)]| {
        let rows = rows.iter();
        Some(
            rows.map(|(text, count)| ((*text).to_owned(), *count))
                .collect(),
        )
    };
    assert_eq!(shown(&handle), counts(&[("a", 40_000), ("b", 50_000)]));
    assert_eq!(handle.published().unwrap().offsets["left"][&0], 40_000);
    away.store(false, Ordering::Relaxed);
    engine.cycle().unwrap();
    assert_eq!(
        shown(&handle),
        counts(&[("a", 99_999), ("b", 50_000), ("stall", 1)])
    );
    assert_eq!(handle.published().unwrap().offsets["left"][&0], 100_000);
}

/// Goal: a table whose key is too short says so for as long as it is. Method: a key of counts, which two texts share, then
/// do not, then do again.
#[test]
fn a_key_that_is_too_short_is_told_while_it_is() {
    let mut plan = plan();
    plan.tables[0].key = vec!["n".to_owned()];
    let intake = Held::new(&[0, 0]);
    let (mut engine, handle) = engine_with(&intake, &plan, Arc::new(Texts));
    engine.begin();
    for (offset, (text, odd)) in (0..).zip([("a", 0), ("b", 1), ("a", 0), ("b", 1), ("b", 0)]) {
        intake.release(0, [record(offset, text)]);
        engine.cycle().unwrap();
        let tables = handle.status().tables.into_iter();
        let told: Vec<_> = tables.map(|table| (table.name, table.keys)).collect();
        assert_eq!(told, vec![("counts".to_owned(), 1); odd], "{offset}");
    }
}

/// Goal: rows that may be retracted are no log, so that a plugin's answers to them are kept.
#[test]
fn rows_of_dedupe_are_no_log() {
    let mut plan = plan();
    let edge = Edge::Step { step: 0, port: 0 };
    assert!(crate::step::is_log(&plan, edge));
    plan.steps[0].work = WorkPlan::Op(OpSpec::Dedupe(DedupeSpec {
        key: vec!["text".to_owned()],
    }));
    assert!(!crate::step::is_log(&plan, edge));
}

/// Goal: time is told by phase, and every sample has a name of the table of metrics.
#[test]
fn time_is_told_by_phase() {
    let intake = Held::new(&[1, 0]);
    let (mut engine, handle) = engine(&intake);
    intake.release(0, [record(0, "a")]);
    engine.begin();
    engine.cycle().unwrap();
    engine.cycle().unwrap();
    let stop = Stop::default();
    stop.stop();
    engine.run(&stop, false).unwrap();
    let samples = handle.metrics();
    let phases: Vec<&str> = samples
        .iter()
        .filter(|sample| sample.name == "weir_phase_us_total")
        .map(|sample| sample.labels[0].1.as_str())
        .collect();
    assert_eq!(phases, ["fetch", "decode", "stages", "publish"]);
    let is_named = |name| {
        crate::read::METRICS
            .iter()
            .any(|(known, ..)| *known == name)
    };
    assert!(samples.iter().all(|sample| is_named(sample.name)));
}

/// Goal: a stop is heeded between two epochs, and the status is shown.
#[test]
fn a_stop_ends_the_loop() {
    let (engine, handle) = engine(&Held::new(&[1, 1]));
    let stop = Stop::default();
    stop.stop();
    engine.run(&stop, false).unwrap();
    assert_eq!(handle.status().state, State::CatchingUp);
}

proptest! {
    /// Goal: a cut depends on its offsets alone. Method: the same records let go in random portions.
    #[test]
    fn epochs_may_be_cut_anywhere(
        left in proptest::collection::vec(0u8..4, 1..20),
        right in proptest::collection::vec(0u8..4, 1..20),
        portions in proptest::collection::vec((0usize..2, 1usize..5), 0..30),
    ) {
        let records = |texts: &[u8]| -> VecDeque<RawRecord> {
            (0..).zip(texts).map(|(offset, text)| record(offset, &text.to_string())).collect()
        };
        let ends = [i64::try_from(left.len()).unwrap(), i64::try_from(right.len()).unwrap()];
        let whole = Held::new(&ends);
        let (mut plain, plain_handle) = engine(&whole);
        plain.begin();
        whole.release(0, records(&left));
        whole.release(1, records(&right));
        plain.cycle().unwrap();

        let held = Held::new(&ends);
        let (mut cut, handle) = engine(&held);
        cut.begin();
        let mut waiting = [records(&left), records(&right)];
        for (source, count) in portions {
            let count = count.min(waiting[source].len());
            held.release(source, waiting[source].drain(..count));
            cut.cycle().unwrap();
        }
        for (source, rest) in waiting.into_iter().enumerate() {
            held.release(source, rest);
        }
        cut.cycle().unwrap();
        prop_assert_eq!(shown(&handle), shown(&plain_handle));
        let offsets = |handle: &crate::Handle| handle.published().unwrap().offsets.clone();
        prop_assert_eq!(offsets(&handle), offsets(&plain_handle));
        prop_assert_eq!(handle.status().as_of_us, plain_handle.status().as_of_us);
    }
}

/// Texts, but for those that are bad.
struct Choosy;

impl Decoder for Choosy {
    fn schema(&self) -> SchemaRef {
        Texts.schema()
    }
    fn decode(&self, records: &[RawRecord]) -> Decoded {
        let is_bad = |record: &&RawRecord| {
            record
                .value
                .as_deref()
                .is_some_and(|text| text.starts_with(b"bad"))
        };
        let (mut good, mut rows, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (index, record) in (0..).zip(records) {
            if is_bad(&record) {
                let message = String::from_utf8(record.value.as_deref().unwrap().to_vec()).unwrap();
                let why = Refused {
                    code: "bad",
                    message,
                    field: None,
                };
                refused.push((index, why));
            } else {
                good.push(record.clone());
                rows.push(index);
            }
        }
        Decoded {
            rows,
            refused,
            ..Texts.decode(&good)
        }
    }
}

proptest! {
    /// Goal: a record that is sent again takes the place of its original, whatever comes together with what, and also
    /// through a checkpoint's words. Method: records and records sent again in random portions; a letter stands where the
    /// last of a place is bad.
    #[test]
    fn records_sent_again_may_be_cut_anywhere(
        records in proptest::collection::vec((0u8..5, proptest::option::of(0usize..30)), 1..30),
        portions in proptest::collection::vec(1usize..6, 0..30),
    ) {
        let mut made: VecDeque<RawRecord> = VecDeque::new();
        let (mut counts, mut standing) = (BTreeMap::new(), BTreeMap::new());
        for (offset, (text, again)) in (0..).zip(&records) {
            let text = if *text > 2 { format!("bad {offset}") } else { text.to_string() };
            let mut record = record(offset, &text);
            let of = again.and_then(|again| i64::try_from(again).ok()).filter(|again| *again < offset);
            if let Some(of) = of {
                let of = format!("0:{of}");
                record.headers = Headers::of([(REPLAY_OF, Some(of.as_bytes()))]);
            }
            let place = of.unwrap_or(offset);
            prop_assert_eq!(record.place(), place);
            if text.starts_with("bad") {
                standing.insert(place, text);
            } else {
                standing.remove(&place);
                *counts.entry(text).or_insert(0_i64) += 1;
            }
            made.push_back(record);
        }
        let held = Held::new(&[i64::try_from(made.len()).unwrap(), 0]);
        let (mut engine, handle) = engine_with(&held, &plan(), Arc::new(Choosy));
        engine.begin();
        for count in portions {
            held.release(0, made.drain(..count.min(made.len())));
            engine.cycle().unwrap();
        }
        held.release(0, made);
        engine.cycle().unwrap();
        prop_assert_eq!(shown(&handle).unwrap(), counts.into_iter().collect::<Vec<_>>());
        let (_, letters) = handle.dead_letters(&LetterFilter::default(), 0, usize::MAX);
        let told: BTreeMap<i64, String> = letters.iter().map(|letter| (letter.offset, letter.message.clone())).collect();
        prop_assert_eq!(&told, &standing);
        // The table that a sink has, and what a checkpoint keeps, are the same letters.
        let mut kept = Letters::default();
        kept.keep_rows();
        let mut entries = Vec::new();
        engine.save_letters(&mut |key: &[u8], value: Option<&[u8]>| entries.push((key.to_vec(), value.unwrap().to_vec())));
        for (key, value) in &entries {
            kept.load(key, value).unwrap();
        }
        let loaded = kept.shown();
        prop_assert_eq!(loaded.values().collect::<Vec<_>>(), letters.iter().collect::<Vec<_>>());
        kept.keep_rows();
        prop_assert_eq!(kept.version().len(), letters.len());
        for offset in standing.keys() {
            kept.settle("left", 0, *offset);
        }
        prop_assert_eq!((kept.len(), kept.version().len(), kept.bytes()), (0, 0, 0));
    }
}

/// Goal: a letter keeps its record's bytes unless they are too large, and only its own. Method: records at the bound.
#[test]
fn letters_keep_bytes_up_to_a_bound() {
    const BOUND: usize = 64 * 1024;
    let mut letters = Letters::default();
    for (offset, (value, header)) in (0..).zip([(BOUND, 0), (BOUND + 1, 0), (1, BOUND), (1, 100)]) {
        let header = vec![b'h'; header];
        let record = RawRecord {
            key: Some(Bytes::from_static(b"k")),
            headers: Headers::of([("name", Some(&header[..]))]),
            ..record(offset, &"x".repeat(value))
        };
        let why = Refused {
            code: "bad",
            message: String::new(),
            field: None,
        };
        let refusal = weir_stage::refusal_of("t", &record, why);
        let raws = [(
            "t".to_owned(),
            RawBatch {
                records: vec![record],
            },
        )];
        letters.add("decode", true, vec![refusal], &mut Raws::new(&raws));
    }
    let shown = letters.shown();
    let kept: Vec<_> = shown
        .values()
        .map(|letter| {
            (
                letter.value.is_some(),
                letter.key.is_some(),
                letter.by_reference,
            )
        })
        .collect();
    assert_eq!(
        kept,
        [
            (true, true, false),
            (false, true, true),
            (false, true, true),
            (true, true, false)
        ]
    );
}

fn pairs() -> SchemaRef {
    let fields = vec![
        Field::new("key", DataType::Utf8, true),
        Field::new("value", DataType::Int64, true),
    ];
    Arc::new(Schema::new(fields))
}

fn pairs_of(rows: &[(&str, i64)]) -> RecordBatch {
    let keys: ArrayRef = Arc::new(
        rows.iter()
            .map(|(key, _)| Some(*key))
            .collect::<StringArray>(),
    );
    let values: ArrayRef = Arc::new(
        rows.iter()
            .map(|(_, value)| Some(*value))
            .collect::<Int64Array>(),
    );
    RecordBatch::try_new(pairs(), vec![keys, values]).unwrap()
}

fn delta(rows: &[(&str, i64, i64)]) -> Delta {
    let plain: Vec<_> = rows.iter().map(|(key, value, _)| (*key, *value)).collect();
    Delta::new(
        pairs_of(&plain),
        rows.iter().map(|(.., weight)| *weight).collect(),
    )
}

/// The rows of a delta, sorted.
fn rows_of(delta: &Delta) -> Vec<(String, i64, i64)> {
    let (keys, values) = (
        delta.batch.column(0).as_string::<i32>(),
        delta.batch.column(1).as_primitive::<Int64Type>(),
    );
    let row = |row: usize| {
        (
            keys.value(row).to_owned(),
            values.value(row),
            delta.weights[row],
        )
    };
    let mut rows: Vec<_> = (0..delta.len()).map(row).collect();
    rows.sort();
    rows
}

fn row(key: &str, value: i64, weight: i64) -> (String, i64, i64) {
    (key.to_owned(), value, weight)
}

/// Sums the values of each key; answers with the call's day added, so that the clock shows.
struct Sums;

impl Group for Sums {
    fn outputs(&self) -> Vec<Port> {
        vec![Port {
            name: "out".to_owned(),
            schema: pairs(),
        }]
    }
    fn evaluate(
        &mut self,
        as_of_us: i64,
        keys: &RecordBatch,
        inputs: &[GroupInput],
    ) -> Result<Grouped, PluginError> {
        let input = &inputs[0];
        let values = input.rows.column(1).as_primitive::<Int64Type>();
        let sum = |group: usize| {
            let rows = input.offsets[group] as usize..input.offsets[group + 1] as usize;
            rows.map(|row| values.value(row)).sum::<i64>() + as_of_us / 86_400_000_000
        };
        let groups = 0..keys.num_rows();
        let sums: ArrayRef = Arc::new(
            groups
                .clone()
                .map(|group| Some(sum(group)))
                .collect::<Int64Array>(),
        );
        let batch = RecordBatch::try_new(pairs(), vec![Arc::clone(keys.column(0)), sums]).unwrap();
        let group = groups.map(|group| u32::try_from(group).unwrap()).collect();
        Ok(Grouped {
            outputs: vec![GroupAnswer { batch, group }],
            refusals: vec![],
        })
    }
}

fn sums(clock: GroupClock) -> GroupStep {
    let ports = [Port {
        name: "in".to_owned(),
        schema: pairs(),
    }];
    GroupStep::new(
        Box::new(Sums),
        &["key".to_owned()],
        clock,
        OnFailure::Stop,
        &[pairs()],
        &ports,
    )
}

/// Goal: groups answer by difference, leave without a trace, and rest while catching up.
#[test]
fn groups_answer_what_changed() {
    let mut step = sums(GroupClock::None);
    let quiet = step
        .step(&[delta(&[("a", 1, 1), ("b", 5, 1)])], 0, 0)
        .unwrap();
    assert!(
        quiet.deltas[0].is_empty(),
        "nothing is evaluated while catching up"
    );
    let first = step.step(&[delta(&[("a", 2, 2)])], 0, usize::MAX).unwrap();
    assert_eq!(
        rows_of(&first.deltas[0].whole()),
        [row("a", 5, 1), row("b", 5, 1)]
    );
    let changed = step.step(&[delta(&[("a", 2, -1)])], 0, usize::MAX).unwrap();
    assert_eq!(
        rows_of(&changed.deltas[0].whole()),
        [row("a", 3, 1), row("a", 5, -1)]
    );
    let gone = step
        .step(&[delta(&[("a", 1, -1), ("a", 2, -1)])], 0, usize::MAX)
        .unwrap();
    assert_eq!(rows_of(&gone.deltas[0].whole()), [row("a", 3, -1)]);
    let some = step
        .step(&[delta(&[("c", 1, 1), ("d", 2, 1)])], 0, 1)
        .unwrap();
    assert!(some.more, "there is one more than it may answer at once");
    assert_eq!(rows_of(&some.deltas[0].whole()), [row("c", 1, 1)]);
    let other = step.step(&[Delta::empty(pairs())], 0, 1).unwrap();
    assert!(!other.more);
    assert_eq!(rows_of(&other.deltas[0].whole()), [row("d", 2, 1)]);
    let wrong = step.step(&[delta(&[("b", 9, -1)])], 0, usize::MAX).unwrap();
    assert_eq!(
        (wrong.errors, rows_of(&wrong.deltas[0].whole())),
        (1, vec![]),
        "a retraction of nothing is counted"
    );
}

/// Goal: the clock alone moves groups that ask for it, at midnight UTC and not before.
#[test]
fn groups_follow_the_date() {
    const DAY_US: i64 = 86_400_000_000;
    let nothing = || [Delta::empty(pairs())];
    let mut step = sums(GroupClock::Date);
    step.step(&[delta(&[("a", 1, 1)])], DAY_US - 2, usize::MAX)
        .unwrap();
    let before = step.step(&nothing(), DAY_US - 1, usize::MAX).unwrap();
    assert!(before.deltas[0].is_empty());
    let midnight = step.step(&nothing(), DAY_US, usize::MAX).unwrap();
    assert_eq!(
        rows_of(&midnight.deltas[0].whole()),
        [row("a", 1, -1), row("a", 2, 1)]
    );
    let mut still = sums(GroupClock::None);
    still.step(&[delta(&[("a", 1, 1)])], 0, usize::MAX).unwrap();
    assert!(still.step(&nothing(), DAY_US, usize::MAX).unwrap().deltas[0].is_empty());
}

/// Answers nothing and refuses negative values.
struct Picky;

impl Group for Picky {
    fn outputs(&self) -> Vec<Port> {
        Sums.outputs()
    }
    fn evaluate(
        &mut self,
        _: i64,
        _: &RecordBatch,
        inputs: &[GroupInput],
    ) -> Result<Grouped, PluginError> {
        let values = inputs[0].rows.column(1).as_primitive::<Int64Type>();
        let refusal = |row: usize| RowRefusal {
            row: u32::try_from(row).unwrap(),
            code: "negative".to_owned(),
            message: "no".to_owned(),
            field: None,
        };
        let refused = (0..values.len()).filter(|row| values.value(*row) < 0);
        Ok(Grouped {
            outputs: vec![GroupAnswer {
                batch: pairs_of(&[]),
                group: vec![],
            }],
            refusals: refused.map(refusal).collect(),
        })
    }
}

/// Goal: a letter of a group says whose record it was, though that came long before and its bytes are gone. Method: a
/// row refused in a later step than it came in, and taken back.
#[test]
fn letters_of_groups_know_timestamp_and_key() {
    let mut fields = meta::fields();
    fields.extend(pairs().fields().iter().cloned());
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let row = |weight: i64| {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["t"])),
            Arc::new(Int32Array::from(vec![3])),
            Arc::new(Int64Array::from(vec![7])),
            Arc::new(TimestampMicrosecondArray::from(vec![11]).with_timezone("UTC")),
            Arc::new(StringArray::from(vec!["its key"])),
        ];
        columns.extend(pairs_of(&[("a", -1)]).columns().iter().cloned());
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        Delta::new(batch, vec![weight])
    };
    let ports = [Port {
        name: "in".to_owned(),
        schema: pairs(),
    }];
    let mut step = GroupStep::new(
        Box::new(Picky),
        &["key".to_owned()],
        GroupClock::None,
        OnFailure::Stop,
        &[Arc::clone(&schema)],
        &ports,
    );
    let mut letters = Letters::default();
    let nothing = || Delta::empty(Arc::clone(&schema));
    for (delta, evaluate, standing) in [
        (row(1), false, 0),
        (nothing(), true, 1),
        (nothing(), true, 1),
        (row(-1), true, 0),
    ] {
        let out = step
            .step(&[delta], 0, if evaluate { usize::MAX } else { 0 })
            .unwrap();
        letters.add("picky", false, out.refusals, &mut Raws::new(&out.records));
        assert_eq!(letters.len(), standing);
        for (_, letter) in letters.shown() {
            assert_eq!(
                (letter.topic.as_str(), letter.partition, letter.offset),
                ("t", 3, 7)
            );
            assert_eq!(
                (letter.timestamp_us, letter.key.as_deref()),
                (Some(11), Some(&b"its key"[..]))
            );
            assert_eq!((&letter.value, letter.by_reference), (&None, true));
        }
    }
}

/// Answers another value at every call, and refuses the key `bad`.
struct Fickle(i64);

impl Transform for Fickle {
    fn schema(&self) -> SchemaRef {
        pairs()
    }
    fn transform(&mut self, batch: &RecordBatch) -> Result<Produced, PluginError> {
        self.0 += 1;
        let keys = batch.column(0).as_string::<i32>();
        let (mut rows, mut origin, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..keys.len() {
            let row = u32::try_from(index).unwrap();
            if keys.value(index) == "bad" {
                let (code, message) = ("bad_key".to_owned(), "no".to_owned());
                refusals.push(RowRefusal {
                    row,
                    code,
                    message,
                    field: None,
                });
            } else {
                rows.push((keys.value(index), self.0));
                origin.push(row);
            }
        }
        Ok(Produced {
            batch: pairs_of(&rows),
            origin,
            refusals,
        })
    }
}

/// Goal: a plugin that answers otherwise today leaves nothing behind. Method: kept answers are retracted as given.
#[test]
fn a_fickle_transform_leaves_no_residue() {
    let mut step = TransformStep::new(
        vec![Box::new(Fickle(0))],
        OnFailure::Stop,
        &pairs(),
        pairs(),
        pairs(),
        false,
    );
    let first = step.step(&delta(&[("a", 7, 1), ("bad", 1, 1)])).unwrap();
    assert_eq!(rows_of(&first.deltas[0].whole()), [row("a", 1, 1)]);
    assert_eq!(
        first
            .refusals
            .iter()
            .map(|refusal| refusal.weight)
            .collect::<Vec<_>>(),
        [1]
    );
    let again = step.step(&delta(&[("a", 7, 1), ("b", 7, 1)])).unwrap();
    assert_eq!(
        rows_of(&again.deltas[0].whole()),
        [row("a", 1, 1), row("b", 2, 1)]
    );
    let gone = step
        .step(&delta(&[("a", 7, -2), ("b", 7, -1), ("bad", 1, -1)]))
        .unwrap();
    assert_eq!(
        rows_of(&gone.deltas[0].whole()),
        [row("a", 1, -2), row("b", 2, -1)]
    );
    assert_eq!(
        gone.refusals
            .iter()
            .map(|refusal| refusal.weight)
            .collect::<Vec<_>>(),
        [-1]
    );
    assert_eq!(step.state_rows(), 0);
}

/// Texts that the counts name, with how often they came; worked out when asked, or in every epoch.
fn naming(asked_by: Option<&str>) -> Plan {
    let mut plan = plan();
    let schema = |plan: &Plan, step: usize| Arc::clone(&plan.steps[step].outputs[0].1);
    let edge = |step| Edge::Step { step, port: 0 };
    let mut push = |op: OpSpec, inputs: &[usize]| {
        let schemas: Vec<_> = inputs.iter().map(|step| schema(&plan, *step)).collect();
        let output = op.output_schema(&schemas).unwrap();
        plan.steps.push(StepPlan {
            stage: "pairs".to_owned(),
            inputs: inputs
                .iter()
                .map(|step| (String::new(), edge(*step)))
                .collect(),
            work: WorkPlan::Op(op),
            outputs: vec![(String::new(), output)],
        });
    };
    let named = ["name", "text", "n"].map(|name| (name.to_owned(), name.replace("name", "text")));
    push(OpSpec::Project(named.to_vec()), &[1]);
    let join = JoinSpec {
        on: vec![("text".to_owned(), "text".to_owned())],
        kind: JoinKind::Inner,
        columns: ["name", "n"]
            .map(|name| (name.to_owned(), name.to_owned()))
            .to_vec(),
        at_most_one: true,
    };
    push(OpSpec::Join(join), &[0, 2]);
    let rows = AggregateSpec {
        by: vec!["name".to_owned(), "n".to_owned()],
        values: vec![("rows".to_owned(), AggFn::Count, None)],
    };
    push(OpSpec::Aggregate(rows), &[3]);
    let table = |plan: &Plan, name: &str, step: usize, asked_by: Option<&str>| TablePlan {
        name: name.to_owned(),
        from: edge(step),
        key: vec!["name".to_owned()],
        schema: schema(plan, step),
        asked_by: asked_by.map(str::to_owned),
    };
    let tables = [
        table(&plan, "names", 2, None),
        table(&plan, "pairs", 4, asked_by),
    ];
    plan.tables.extend(tables);
    plan
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Goal: a table that is worked out when asked has the rows that it would have in every epoch. Method: the plain
    /// twin is the same plan with a table like any other.
    #[test]
    fn what_is_asked_is_what_would_be_shown(texts in prop::collection::vec(0u8..4, 0..30), cut in 0usize..30) {
        let letters = ["a", "b", "c", "ab"];
        let record = |(offset, text): (usize, &u8)| record(i64::try_from(offset).unwrap(), letters[usize::from(*text)]);
        let records: Vec<RawRecord> = texts.iter().enumerate().map(record).collect();
        let run = |asked_by| {
            let intake = Held::new(&[0, 0]);
            let (mut engine, handle) = engine_with(&intake, &naming(asked_by), Arc::new(Texts));
            engine.begin();
            let (first, rest) = records.split_at(cut.min(records.len()));
            for part in [first, rest] {
                intake.release(0, part.iter().cloned());
                engine.cycle().unwrap();
            }
            handle.published().unwrap()
        };
        let (asked, shown) = (run(Some("name")), run(None));
        prop_assert!(asked.table("pairs").is_none() && shown.ask("pairs", "a").is_none());
        let (_, all) = shown.table("pairs").unwrap();
        let mut found = Vec::new();
        for text in ["a", "ab", "b", "c", "d"] {
            let rows = asked.ask("pairs", text).unwrap().unwrap();
            found.extend(rows.scan(1));
        }
        prop_assert_eq!(found, all.scan(1).collect::<Vec<_>>());
    }
}
