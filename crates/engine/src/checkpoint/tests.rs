//! An engine that dies anywhere against one that does not.

use crate::Handle;
use crate::LetterFilter;
use crate::checkpoint::Keep;
use crate::intake::{Intake, Polled, Standing, reached};
use crate::run::{Engine, Parts};
use crate::state::Store;
use crate::tests::{Still, Texts, plan, record};
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_spec::Plan;
use weir_spec::plan::{
    Edge, ForgetPlan, GroupClock, OnFailure, StepPlan, TablePlan, WasmPlan, WorkPlan,
};
use weir_stage::{
    Group, GroupAnswer, GroupInput, Grouped, Limits, Opening, PluginError, Plugins, Port, Position,
    RawBatch, RawRecord, RowRefusal, Shape, Transform,
};
use weir_zset::op::{DedupeSpec, JoinKind, JoinSpec, LatestSpec, OpSpec};

/// Two topics, of which a test lets so many records be read.
#[derive(Clone)]
struct Topics(Arc<Mutex<[Topic; 2]>>);

/// All of its records, and how many may be read.
type Topic = (Vec<RawRecord>, usize);

/// Reads them from positions on.
struct Reading {
    topics: Topics,
    positions: [Position; 2],
}

impl Intake for Reading {
    fn poll(&mut self, _: usize, _: usize, _: &[bool]) -> Polled {
        let mut polled = Polled::default();
        let topics = self.topics.0.lock().unwrap();
        for (index, (records, open)) in topics.iter().enumerate() {
            let next = self.positions[index].get(&0).copied().unwrap_or(0);
            let records: Vec<RawRecord> = records[usize::try_from(next).unwrap()..*open].to_vec();
            if let Some(last) = records.last() {
                self.positions[index].insert(0, last.offset + 1);
                polled.batches.push((index, RawBatch { records }));
            }
        }
        polled
    }

    fn standing(&self) -> Vec<Standing> {
        let topics = self.topics.0.lock().unwrap();
        let standing = |((records, _), position): (&Topic, &Position)| {
            let end = Position::from([(0, i64::try_from(records.len()).unwrap())]);
            Standing {
                identity: None,
                caught_up: reached(position, &end),
                position: position.clone(),
                end,
                ..Standing::default()
            }
        };
        topics.iter().zip(&self.positions).map(standing).collect()
    }

    fn is_ended(&self) -> bool {
        false
    }
}

/// A plugin that counts the rows of a text, and refuses what it has seen three times.
struct Counts;

impl Counts {
    fn output() -> SchemaRef {
        let fields = [("text", DataType::Utf8), ("rows", DataType::Int64)];
        let field = |(name, kind)| Field::new(name, kind, true);
        Arc::new(Schema::new(fields.map(field).to_vec()))
    }

    fn port(name: &str, schema: SchemaRef) -> Port {
        Port {
            name: name.to_owned(),
            schema,
        }
    }
}

impl Plugins for Counts {
    fn shape(&self, _: &Path, _: &str) -> Result<Shape, PluginError> {
        let text = Schema::new(vec![Field::new("text", DataType::Utf8, true)]);
        Ok(Shape {
            name: "counts".to_owned(),
            version: "1.0.0".to_owned(),
            is_group: true,
            inputs: vec![Self::port("in", Arc::new(text))],
            outputs: vec![Self::port("out", Self::output())],
        })
    }

    fn open_transform(
        &self,
        _: &Path,
        _: &Opening,
        _: &Limits,
    ) -> Result<Box<dyn Transform>, PluginError> {
        unreachable!("the plan has no transform")
    }

    fn open_group(
        &self,
        _: &Path,
        _: &Opening,
        _: &SchemaRef,
        _: &Limits,
    ) -> Result<Box<dyn Group>, PluginError> {
        Ok(Box::new(Self))
    }
}

impl Group for Counts {
    fn outputs(&self) -> Vec<Port> {
        vec![Self::port("out", Self::output())]
    }

    fn evaluate(
        &mut self,
        _: i64,
        keys: &RecordBatch,
        inputs: &[GroupInput],
    ) -> Result<Grouped, PluginError> {
        let ends = inputs[0].offsets.windows(2);
        let rows: Int64Array = ends
            .map(|ends| Some(i64::from(ends[1] - ends[0])))
            .collect();
        let columns: Vec<ArrayRef> = vec![Arc::clone(keys.column(0)), Arc::new(rows)];
        let refuse = |ends: &[u32]| {
            (ends[1] - ends[0] >= 3).then(|| RowRefusal {
                row: ends[0],
                code: "thrice".to_owned(),
                message: "seen three times".to_owned(),
                field: None,
            })
        };
        let refusals = inputs[0].offsets.windows(2).filter_map(refuse).collect();
        Ok(Grouped {
            outputs: vec![GroupAnswer {
                batch: RecordBatch::try_new(Self::output(), columns).unwrap(),
                group: (0..).take(keys.num_rows()).collect(),
            }],
            refusals,
        })
    }
}

/// All of what may be kept: keys with versions, first ones, partners, sums, groups.
fn everything() -> Plan {
    let mut plan = plan();
    let union = Edge::Step { step: 0, port: 0 };
    let key = || vec!["text".to_owned()];
    let mut add = |name: &str, work: WorkPlan, inputs: Vec<Edge>, table: &[&str]| {
        let schema_of = |edge: &Edge| match *edge {
            Edge::Source(source) => Arc::clone(&plan.sources[source].schema),
            Edge::Step { step, port } => Arc::clone(&plan.steps[step].outputs[port].1),
        };
        let inputs_of: Vec<_> = inputs.iter().map(schema_of).collect();
        let schema = match &work {
            WorkPlan::Op(op) => op.output_schema(&inputs_of).unwrap(),
            _ => Counts::output(),
        };
        let from = Edge::Step {
            step: plan.steps.len(),
            port: 0,
        };
        plan.steps.push(StepPlan {
            stage: name.to_owned(),
            inputs: inputs
                .into_iter()
                .map(|edge| ("in".to_owned(), edge))
                .collect(),
            work,
            outputs: vec![(String::new(), Arc::clone(&schema))],
        });
        plan.tables.push(TablePlan {
            name: name.to_owned(),
            from,
            key: table.iter().map(|name| (*name).to_owned()).collect(),
            schema,
            ..plan.tables[0].clone()
        });
        from
    };
    let latest_by_offset = || {
        OpSpec::Latest(LatestSpec {
            key: key(),
            version: "_offset".to_owned(),
            tombstone: None,
        })
    };
    let latest = WorkPlan::Op(latest_by_offset());
    let latest = add("latest", latest, vec![Edge::Source(0)], &["text"]);
    let dedupe = OpSpec::Dedupe(DedupeSpec { key: key() });
    let first = add("first", WorkPlan::Op(dedupe), vec![union], &["text"]);
    let join = OpSpec::Join(JoinSpec {
        on: vec![("text".to_owned(), "text".to_owned())],
        kind: JoinKind::Left,
        columns: vec![("first_offset".to_owned(), "_offset".to_owned())],
        at_most_one: true,
    });
    add("joined", WorkPlan::Op(join), vec![latest, first], &["text"]);
    // What came to the left stays until it comes to the right, too.
    let right = OpSpec::Dedupe(DedupeSpec { key: key() });
    let right = add(
        "right",
        WorkPlan::Op(right),
        vec![Edge::Source(1)],
        &["text"],
    );
    let mut forgets = Vec::new();
    for (name, op) in [
        ("open", latest_by_offset()),
        ("open_first", OpSpec::Dedupe(DedupeSpec { key: key() })),
    ] {
        let open = add(name, WorkPlan::Op(op), vec![Edge::Source(0)], &["text"]);
        let met = OpSpec::Join(JoinSpec {
            on: vec![("text".to_owned(), "text".to_owned())],
            kind: JoinKind::Inner,
            columns: Vec::new(),
            at_most_one: true,
        });
        let met = add(
            &format!("{name}_met"),
            WorkPlan::Op(met),
            vec![open, right],
            &["text"],
        );
        let Edge::Step { step, .. } = open else {
            unreachable!("it was added as a step")
        };
        forgets.push(ForgetPlan {
            step,
            key: key(),
            from: met,
        });
    }
    let wasm = WasmPlan {
        file: PathBuf::new(),
        config: String::new(),
        data: BTreeMap::new(),
        call_ms_max: None,
        memory_mib_max: None,
        on_failure: OnFailure::Stop,
    };
    let groups = WorkPlan::Group {
        wasm,
        by: key(),
        clock: GroupClock::Date,
    };
    add("groups", groups, vec![union], &["text"]);
    plan.forgets = forgets;
    plan
}

fn start(plan: &Plan, topics: &Topics, state: Option<&Path>) -> (Engine, Handle) {
    let keep = state.map(|state| {
        let digest = BTreeMap::from([("plan".to_owned(), "one".to_owned())]);
        let opened = Store::open(state, &digest, false).unwrap();
        Keep {
            store: opened.store,
            manifest: opened.manifest,
            every: Duration::from_secs(1_000),
            plan: digest,
        }
    });
    let manifest = keep.as_ref().and_then(|keep| keep.manifest.as_ref());
    let position = |name: &str| manifest.and_then(|manifest| manifest.offsets.get(name).cloned());
    let positions = ["left", "right"].map(|name| position(name).unwrap_or_default());
    let parts = Parts {
        decoders: vec![Arc::new(Texts), Arc::new(Texts)],
        plugins: Arc::new(Counts),
        intake: Box::new(Reading {
            topics: topics.clone(),
            positions,
        }),
        clock: Arc::new(Still),
        run: "test".to_owned(),
        sinks: Vec::new(),
        drain: Duration::ZERO,
        keep,
        guard_clock: false,
    };
    let (mut engine, handle) = Engine::build(plan, parts).unwrap();
    engine.begin();
    (engine, handle)
}

/// Every table's rows, the offsets and the clock of the last cut.
fn cut(handle: &Handle) -> String {
    let cut = handle.published().unwrap();
    let rows = |(plan, version): &(Arc<TablePlan>, weir_zset::table::Version)| {
        format!("{}: {:?}", plan.name, version.rows(0, usize::MAX).columns())
    };
    let tables: Vec<String> = cut.tables.iter().map(rows).collect();
    let letters = handle.dead_letters(&LetterFilter::default(), 0, usize::MAX);
    format!("{:?} {} {letters:?} {tables:#?}", cut.offsets, cut.as_of_us)
}

/// Goal: keys that another stage names leave, be it one behind them. Method: what came to the left is forgotten when it
/// comes to the right, in the same epoch; another key stays, and one that comes again leaves again.
#[test]
fn what_is_named_leaves() {
    let topics = Topics(Arc::new(Mutex::new([(Vec::new(), 0), (Vec::new(), 0)])));
    let (mut engine, handle) = start(&everything(), &topics, None);
    let mut shown = |left: &[&str], right: &[&str]| -> Vec<Vec<String>> {
        for (topic, texts) in topics.0.lock().unwrap().iter_mut().zip([left, right]) {
            for text in texts {
                let offset = i64::try_from(topic.0.len()).unwrap();
                topic.0.push(record(offset, text));
            }
            topic.1 = topic.0.len();
        }
        engine.cycle().unwrap();
        let cut = handle.published().unwrap();
        let table = |name: &str| {
            let (_, rows) = cut
                .tables
                .iter()
                .find(|(plan, _)| plan.name == name)
                .unwrap();
            let rows = rows.rows(0, usize::MAX);
            let texts = rows.column_by_name("text").unwrap().as_string::<i32>();
            texts.iter().flatten().map(str::to_owned).collect()
        };
        ["open", "open_first", "open_met"].map(table).into()
    };
    let [both, one] = [vec!["a", "b"], vec!["b"]];
    assert_eq!(shown(&["a", "b"], &[]), [both.clone(), both, vec![]]);
    assert_eq!(shown(&[], &["a"]), [one.clone(), one.clone(), vec![]]);
    assert_eq!(shown(&["a"], &[]), [one.clone(), one, vec![]]);
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// So many more records of a topic may be read, and are.
    Read(usize, usize),
    /// A checkpoint is written.
    Keep,
    /// The process dies; what it did after its last checkpoint is gone.
    Die,
    /// The same while a checkpoint is being written: all of it but the manifest is there.
    DieWriting,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0usize..2, 1usize..6).prop_map(|(topic, count)| Event::Read(topic, count)),
        2 => Just(Event::Keep),
        1 => Just(Event::Die),
        1 => Just(Event::DieWriting),
    ]
}

fn forget_newest(state: &Path) {
    let entries = std::fs::read_dir(state).unwrap().flatten();
    let paths = entries.map(|entry| entry.path());
    let manifests = paths.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    std::fs::remove_file(manifests.max().unwrap()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Goal: what is published after any crashes is what it would have been without. Method: records of two topics let
    /// go in portions, checkpoints and deaths between them, while catching up and live, against one run over all.
    #[test]
    fn deaths_leave_no_trace(
        left in proptest::collection::vec(0u8..6, 1..24),
        right in proptest::collection::vec(0u8..6, 1..24),
        events in proptest::collection::vec(event(), 0..40),
    ) {
        let plan = everything();
        let records = |texts: &[u8]| -> Vec<RawRecord> {
            (0..).zip(texts).map(|(offset, text)| record(offset, &text.to_string())).collect()
        };
        let topics = |open: [usize; 2]| {
            Topics(Arc::new(Mutex::new([(records(&left), open[0]), (records(&right), open[1])])))
        };
        let whole = topics([left.len(), right.len()]);
        let (mut plain, plain_handle) = start(&plan, &whole, None);
        plain.cycle().unwrap();

        let folder = tempfile::tempdir().unwrap();
        let topics = topics([0, 0]);
        let (mut engine, mut handle) = start(&plan, &topics, Some(folder.path()));
        for event in events {
            match event {
                Event::Read(topic, count) => {
                    let mut topics = topics.0.lock().unwrap();
                    topics[topic].1 = (topics[topic].1 + count).min(topics[topic].0.len());
                    drop(topics);
                    engine.cycle().unwrap();
                }
                Event::Keep => engine.keep_now().unwrap(),
                Event::Die | Event::DieWriting => {
                    if matches!(event, Event::DieWriting) {
                        engine.keep_now().unwrap();
                    }
                    drop(engine);
                    if matches!(event, Event::DieWriting) {
                        forget_newest(folder.path());
                    }
                    (engine, handle) = start(&plan, &topics, Some(folder.path()));
                }
            }
        }
        for (records, open) in topics.0.lock().unwrap().iter_mut() {
            *open = records.len();
        }
        engine.cycle().unwrap();
        prop_assert_eq!(cut(&handle), cut(&plain_handle));
    }
}
