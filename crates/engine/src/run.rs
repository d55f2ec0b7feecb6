//! The loop: take what is ready, run it through the steps, publish one cut; once per epoch.
//!
//! What an epoch publishes is a function of the offsets it has seen and its clock, so the loop may cut
//! epochs wherever it likes. While catching up nothing is published and `group` plugins rest; the first
//! epoch after that shows the net of everything.

use crate::asked::{Asked, Shelves};
use crate::checkpoint::{Checkpointer, Gathering, Keep};
use crate::clock::PipelineClock;
use crate::gates::Gates;
use crate::ingest::Ingest;
use crate::intake::{Intake, Standing, bytes_of, lag};
use crate::letters::{Letters, NO_PARTITION, Raws};
use crate::read::{Feed, Handle, Published, Sample, SourceStatus, State, Status, TableTrouble};
use crate::silence::Silence;
use crate::sinks::{Letter, Restored, Running, SinkParts};
use crate::step::{Blueprint, Fault, Input, Pass, Step};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use weir_spec::Plan;
use weir_spec::plan::{ClockPlan, Edge, EnginePlan, TablePlan};
use weir_stage::sink::Cut;
use weir_stage::{Clock, Decoder, Plugins, Position, RawBatch, RawRecord, SourceError};
use weir_zset::table::{Table, Version};
use weir_zset::{Delta, Refusal};

/// What the loop asks for when it finds nothing to do, before it looks again.
const IDLE_MS: u64 = 2;
/// Most records of a source that go through the steps at once, for each worker.
const PORTION_RECORDS: usize = 8_192;
/// How often metrics and lag are shown when nothing is published.
const STATUS_MS: u64 = 250;

/// Records by their topics.
type Raw = Vec<(String, RawBatch)>;
/// Decoded rows by their sources, and what was refused.
type Rows = Vec<(usize, Delta, Vec<Refusal>)>;

/// What a pipeline is made of, beside its plan.
pub struct Parts {
    /// One decoder per source.
    pub decoders: Vec<Arc<dyn Decoder>>,
    /// The plugin host.
    pub plugins: Arc<dyn Plugins>,
    /// Where records come from.
    pub intake: Box<dyn Intake>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// This run's id.
    pub run: String,
    /// The plan's sinks.
    pub sinks: Vec<SinkParts>,
    /// How long sinks may take for what is published when the pipeline ends.
    pub drain: Duration,
    /// Where the pipeline keeps what it knows; none: it begins anew each time.
    pub keep: Option<Keep>,
    /// Whether records far in front of the wall clock are kept from moving the clock (not in a replay).
    pub guard_clock: bool,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

/// Tells a running engine to stop between two epochs.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops the engine after the epoch under way.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A built pipeline. [`Engine::run`] drives it on the calling thread.
pub struct Engine {
    settings: EnginePlan,
    names: Vec<(String, String)>,
    ingests: Vec<Ingest>,
    intake: Box<dyn Intake>,
    clock: PipelineClock,
    steps: Vec<Step>,
    /// The places of those that forget keys, and the rows that name these.
    forgets: Vec<(usize, Input)>,
    /// Those that are served, then those that only sinks have.
    tables: Vec<(Arc<TablePlan>, Table)>,
    /// Tables that are worked out when a reader asks, and what for.
    asked: Vec<Arc<Asked>>,
    shelves: Shelves,
    /// How many are served.
    served: usize,
    sinks: Vec<Running>,
    drain: Duration,
    /// Keys of each table that do not have exactly one row.
    odd_keys: Vec<usize>,
    letters: Letters,
    gates: Gates,
    feed: Feed,
    run: String,
    state: State,
    epoch: u64,
    epochs: u64,
    /// Records that a stalled decoder left, per source.
    pending: Vec<VecDeque<RawRecord>>,
    /// Next offset per source: what the tables have seen.
    applied: Vec<Position>,
    /// What those offsets belong to, by source, see [`weir_stage::Source::identity`].
    identities: Vec<Option<String>>,
    failures: Vec<Option<SourceError>>,
    taken: Vec<(u64, u64)>,
    silences: Vec<Silence>,
    phases: Phases,
    /// When the last epoch ended.
    epoch_at: Instant,
    checkpoints: Option<Checkpointer>,
}

/// What the loop does with its time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// There is nothing to do.
    Wait,
    /// Records are taken from the sources.
    Fetch,
    /// Records become rows.
    Decode,
    /// Rows go through the stages.
    Stages,
    /// Tables take the answers, and readers are told.
    Publish,
}

/// Time spent in each phase so far.
#[derive(Default)]
struct Phases(BTreeMap<Phase, Duration>);

impl Phases {
    /// Adds the time since `began`; answers now.
    fn add(&mut self, phase: Phase, began: Instant) -> Instant {
        let now = Instant::now();
        *self.0.entry(phase).or_default() += now.duration_since(began);
        now
    }
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Fetch => "fetch",
            Self::Decode => "decode",
            Self::Stages => "stages",
            Self::Publish => "publish",
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("run", &self.run)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Builds everything a plan names. Nothing is read yet.
    pub fn build(plan: &Plan, parts: Parts) -> Result<(Self, Handle), Fault> {
        let mut blueprint = Blueprint::of(plan, Arc::clone(&parts.plugins))?;
        let mut steps = blueprint.all()?;
        let blueprint = Arc::new(blueprint);
        let edges = &blueprint.edges;
        let asked = Asked::of(&blueprint);
        steps.retain(|step| !asked.iter().any(|asked| asked.runs(step.index)));
        let forgets = plan.forgets.iter().filter_map(|forget| {
            let place = steps.iter().position(|step| step.index == forget.step)?;
            Some((place, blueprint.input(forget.from, &forget.key)))
        });
        let forgets = forgets.collect();
        let tables: Vec<_> = plan
            .all_tables()
            .filter(|table| table.asked_by.is_none())
            .map(|table| {
                (
                    Arc::new(table.clone()),
                    Table::new(&edges[&table.from], &table.key),
                )
            })
            .collect();
        let ingest = |(index, decoder): (usize, Arc<dyn Decoder>)| Ingest {
            topic: plan.sources[index].topic.clone(),
            schema: Arc::clone(&edges[&Edge::Source(index)]),
            decoder,
        };
        let count = plan.sources.len();
        let status = Status {
            pipeline: plan.name.clone(),
            run: parts.run.clone(),
            state: State::Starting,
            replay: parts.intake.is_replay(),
            epoch: 0,
            as_of_us: None,
            sources: Vec::new(),
            sinks: Vec::new(),
            dead_letters: 0,
            checkpoint: None,
            tables: Vec::new(),
            clock_error: None,
            error: None,
        };
        let is_kept = |table: &&TablePlan| table.asked_by.is_none();
        let served = plan.tables.iter().filter(is_kept).count();
        let mut shown: Vec<_> = tables[..served]
            .iter()
            .map(|(table, _)| Arc::clone(table))
            .collect();
        shown.extend(asked.iter().map(|asked| Arc::clone(asked.table())));
        let (handle, feed) = Handle::fed(plan.views.clone(), shown, status);
        let mut engine = Self {
            settings: plan.engine.clone(),
            names: plan
                .sources
                .iter()
                .map(|source| (source.name.clone(), source.topic.clone()))
                .collect(),
            ingests: parts.decoders.into_iter().enumerate().map(ingest).collect(),
            intake: parts.intake,
            clock: PipelineClock::new(plan.engine.clock, parts.clock, parts.guard_clock),
            steps,
            forgets,
            odd_keys: vec![0; tables.len()],
            tables,
            shelves: Shelves::of(&asked),
            asked,
            served,
            sinks: Vec::new(),
            drain: parts.drain,
            letters: Letters::default(),
            gates: Gates::new(plan, parts.guard_clock),
            feed,
            run: parts.run,
            state: State::Starting,
            epoch: 0,
            epochs: 0,
            pending: vec![VecDeque::new(); count],
            applied: vec![Position::new(); count],
            identities: vec![None; count],
            failures: vec![None; count],
            taken: vec![(0, 0); count],
            silences: plan
                .sources
                .iter()
                .map(|source| Silence::new(source.silent_after_s))
                .collect(),
            phases: Phases::default(),
            epoch_at: Instant::now(),
            checkpoints: None,
        };
        let manifest = parts.keep.as_ref().and_then(|keep| keep.manifest.clone());
        if let Some(keep) = parts.keep {
            engine.restore(&keep)?;
            let names = engine.part_names();
            engine.checkpoints = Some(Checkpointer::start(keep, &plan.name, names));
        }
        for sink in parts.sinks {
            let index_of = |name: &String| {
                let index = engine
                    .tables
                    .iter()
                    .position(|(table, _)| table.name == *name);
                index.expect("the plan sinks tables that are kept")
            };
            let table = sink.table.as_ref().map(index_of);
            if table.is_none() {
                engine.letters.keep_rows();
            }
            let restored = Restored {
                kept: manifest
                    .as_ref()
                    .and_then(|kept| kept.sinks.get(&sink.name)),
                table: engine.version(table),
                letters: engine.letters.of_sink(&sink.name, &sink.to),
            };
            engine.sinks.push(Running::new(sink, table, restored));
        }
        Ok((engine, handle))
    }

    /// The parts of the state, by their number: steps, tables, rows for questions, dead letters.
    fn part_names(&self) -> Vec<String> {
        let steps = self
            .steps
            .iter()
            .map(|step| format!("stage {}", step.stage));
        let tables = self
            .tables
            .iter()
            .map(|(plan, _)| format!("table {}", plan.name));
        let shelves = (0..self.shelves.len()).map(|number| format!("kept rows {number}"));
        steps
            .chain(tables)
            .chain(shelves)
            .chain(["dead letters".to_owned()])
            .collect()
    }

    /// Takes back what was kept, and shows it until the sources have caught up.
    fn restore(&mut self, keep: &Keep) -> Result<(), Fault> {
        let Some(manifest) = &keep.manifest else {
            return Ok(());
        };
        let began = Instant::now();
        let mut entries = 0_u64;
        keep.store.each(|part, key, value| -> Result<(), Fault> {
            entries += 1;
            let part = usize::from(part);
            let table = part.wrapping_sub(self.steps.len());
            let loaded = if let Some(step) = self.steps.get_mut(part) {
                step.load(key, value)
            } else if let Some((_, rows)) = self.tables.get_mut(table) {
                rows.load(key, value)
            } else if let Some(rows) = self.shelves.get_mut(table - self.tables.len()) {
                rows.load(key, value)
            } else {
                self.letters.load(key, value)
            };
            loaded.map_err(|source| {
                let part = manifest.parts.get(part).cloned().unwrap_or_default();
                Fault::Restore { part, source }
            })
        })?;
        for (odd, (_, table)) in self.odd_keys.iter_mut().zip(&self.tables) {
            *odd = table.odd_keys();
        }
        for (source, (name, _)) in self.names.iter().enumerate() {
            self.applied[source] = manifest.offsets.get(name).cloned().unwrap_or_default();
            self.identities[source] = manifest.identities.get(name).cloned();
        }
        self.clock.as_of_us = manifest.as_of_us;
        self.epoch = manifest.epoch;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(epoch = self.epoch, entries, took_ms, "state restored");
        if self.epoch > 0 {
            self.show_cut();
        }
        Ok(())
    }

    /// What a sink of this table is to have; of none: the dead letters.
    fn version(&mut self, table: Option<usize>) -> Version {
        match table {
            Some(table) => self.tables[table].1.version(),
            None => self.letters.version(),
        }
    }

    /// Writes a checkpoint when one is due.
    fn checkpoint(&mut self) -> Result<(), Fault> {
        let is_catching_up = self.state == State::CatchingUp;
        let checkpoints = self.checkpoints.as_mut();
        if checkpoints.is_some_and(|checkpoints| checkpoints.is_due(is_catching_up)) {
            self.write_checkpoint()?;
        }
        Ok(())
    }

    fn write_checkpoint(&mut self) -> Result<(), Fault> {
        self.release()?;
        let mut sinks = BTreeMap::new();
        for index in 0..self.sinks.len() {
            let table = self.version(self.sinks[index].table);
            let sink = &self.sinks[index];
            if let Some(kept) = sink.keep(&table) {
                sinks.insert(sink.name.clone(), kept);
            }
        }
        let Some(checkpoints) = &mut self.checkpoints else {
            return Ok(());
        };
        let (steps, tables, letters) = (&mut self.steps, &mut self.tables, &mut self.letters);
        let shelves = &mut self.shelves;
        let gather = |changes: &mut Gathering<'_>| {
            let mut part = 0;
            let mut save = |save: &mut dyn FnMut(&mut weir_zset::op::Put<'_>)| {
                save(&mut |key, value| changes.push(part, key, value));
                part += 1;
            };
            for step in steps {
                save(&mut |put| step.save(put));
            }
            for (_, table) in tables {
                save(&mut |put| table.save(put));
            }
            for rows in shelves.each() {
                save(&mut |put| rows.save(put));
            }
            save(&mut |put| letters.save(put));
        };
        let (epoch, as_of_us) = (self.epoch, self.clock.as_of_us);
        let sources = self.names.iter().map(|(name, _)| name.clone());
        let offsets = sources.zip(self.applied.iter().cloned()).collect();
        let names = self.names.iter().map(|(name, _)| name);
        let identities = names.zip(&self.identities);
        let identities = identities
            .filter_map(|(name, identity)| Some((name.clone(), identity.clone()?)))
            .collect();
        checkpoints.write(gather, |manifest| {
            manifest.epoch = epoch;
            manifest.as_of_us = as_of_us;
            manifest.offsets = offsets;
            manifest.identities = identities;
            manifest.sinks = sinks;
        });
        Ok(())
    }

    /// Writes a checkpoint and waits until it is written.
    #[cfg(test)]
    pub(crate) fn keep_now(&mut self) -> Result<(), Fault> {
        self.write_checkpoint()?;
        self.checkpoints.as_mut().expect("it keeps").wait();
        Ok(())
    }

    /// Tells the dead letters as a checkpoint would.
    #[cfg(test)]
    pub(crate) fn save_letters(&mut self, put: &mut weir_zset::op::Put<'_>) {
        self.letters.save(put);
    }

    /// Lets go of what is held back while catching up, so that the state is whole.
    fn release(&mut self) -> Result<(), Fault> {
        if self.state != State::CatchingUp {
            return Ok(());
        }
        loop {
            let nothing = Raw::new();
            let (edges, more) = self.pass(Rows::new(), &mut Raws::new(&nothing), Pass::Release)?;
            self.fill_tables(&edges);
            if !more {
                return Ok(());
            }
        }
    }

    /// Writes the last checkpoint and waits for it.
    fn end(&mut self) -> Result<(), Fault> {
        let until = Instant::now() + self.drain;
        for sink in &self.sinks {
            if !sink.settle(until) {
                tracing::warn!(
                    sink = sink.name,
                    "ends before its sink has confirmed everything; the next start goes on with the rest"
                );
            }
        }
        self.sinks.iter_mut().for_each(Running::stop);
        self.hear_sinks()?;
        let Some(checkpoints) = &mut self.checkpoints else {
            return Ok(());
        };
        checkpoints.settle();
        self.write_checkpoint()?;
        let checkpoints = self.checkpoints.as_mut().expect("there are some");
        if checkpoints.end() {
            return Ok(());
        }
        let error = checkpoints.standing().error;
        Err(Fault::Checkpoint(error.unwrap_or_default()))
    }

    /// Runs until told to stop or, when `until_end`, until the input has ended. An error that stops the
    /// pipeline is shown in the status and answered.
    pub fn run(mut self, stop: &Stop, until_end: bool) -> Result<(), Fault> {
        self.begin();
        let mut shown_at = Instant::now();
        while !stop.is_asked() {
            let began = Instant::now();
            let took = self.cycle().inspect_err(|fault| self.fail(fault))?;
            self.hear_sinks().inspect_err(|fault| self.fail(fault))?;
            self.checkpoint()?;
            if self.state == State::Ended && until_end && self.sinks.iter().all(Running::is_settled)
            {
                break;
            }
            if shown_at.elapsed() >= Duration::from_millis(STATUS_MS) {
                self.show();
                self.show_metrics();
                shown_at = Instant::now();
            }
            let floor = if took && self.state == State::CatchingUp {
                0
            } else {
                self.settings.cycle_min_ms
            };
            let idle = if took { 0 } else { IDLE_MS };
            let spent = began.elapsed();
            if let Some(rest) = Duration::from_millis(floor.max(idle)).checked_sub(spent) {
                let began = Instant::now();
                std::thread::park_timeout(rest);
                self.phases.add(Phase::Wait, began);
            }
        }
        self.end()?;
        self.show();
        self.show_metrics();
        Ok(())
    }

    pub(crate) fn begin(&mut self) {
        self.sinks.iter_mut().for_each(Running::start);
        self.enter(State::CatchingUp);
        self.show_metrics();
    }

    /// One turn of the loop; answers whether there was anything to do.
    pub(crate) fn cycle(&mut self) -> Result<bool, Fault> {
        let began = Instant::now();
        // Nothing is published while catching up, so that an epoch need not be large to be whole.
        let rows_max = match self.state {
            State::CatchingUp => {
                let portions = self.portion_records() * self.names.len();
                self.settings.epoch_rows_max.min(portions)
            }
            _ => self.settings.epoch_rows_max,
        };
        // Behind a record that a decoder stalls at nothing more is taken.
        let is_held = |source| self.gates.is_shut(source) || !self.pending[source].is_empty();
        let held: Vec<bool> = (0..self.names.len()).map(is_held).collect();
        let bytes_max = self.settings.epoch_bytes_max;
        let polled = self.intake.poll(rows_max, bytes_max, &held);
        self.phases.add(Phase::Fetch, began);
        self.recovered(&polled.failed);
        for (source, error) in polled.failed {
            self.failed(source, error)?;
        }
        let took = !polled.batches.is_empty() || self.is_to_be_retried();
        let standing = self.intake.standing();
        for (known, standing) in self.identities.iter_mut().zip(&standing) {
            if standing.identity.is_some() {
                known.clone_from(&standing.identity);
            }
        }
        for (silence, (name, topic)) in self.silences.iter_mut().zip(&self.names) {
            silence.tell(name, topic);
        }
        let caught_up = standing.iter().all(|standing| standing.caught_up);
        let ended = self.intake.is_ended();
        if took || self.clock_moved() || self.must_turn(caught_up, ended) {
            self.epoch(polled.batches, caught_up, ended)?;
        }
        Ok(took)
    }

    /// Whether records that a decoder stalled at are to be tried again: not at every turn, for an epoch costs something.
    fn is_to_be_retried(&self) -> bool {
        let ceiling = Duration::from_millis(self.settings.cycle_max_ms);
        let mut pending = self.pending.iter();
        pending.any(|pending| !pending.is_empty()) && self.epoch_at.elapsed() >= ceiling
    }

    /// Whether the state is about to change, so that an epoch is due without records.
    fn must_turn(&self, caught_up: bool, ended: bool) -> bool {
        (self.state == State::CatchingUp && caught_up) || (ended && self.state != State::Ended)
    }

    /// Whether a ticking clock alone makes an epoch due.
    fn clock_moved(&self) -> bool {
        let ceiling = Duration::from_millis(self.settings.cycle_max_ms);
        self.settings.clock == ClockPlan::Tick
            && self.state == State::Live
            && self.epoch_at.elapsed() >= ceiling
    }

    /// Forgets the outside failures that are over: the source polls again, and nothing of it is stalled.
    fn recovered(&mut self, failing: &[(usize, SourceError)]) {
        for (source, failure) in self.failures.iter_mut().enumerate() {
            let is_over = failing.iter().all(|(failing, _)| *failing != source)
                && self.pending[source].is_empty();
            let outside = |error: &mut SourceError| error.fault == weir_stage::Fault::External;
            if failure.take_if(|error| is_over && outside(error)).is_some() {
                tracing::info!(source = self.names[source].0, "source works again");
            }
        }
    }

    /// Shows a source's failure; one that only the pipeline's author can mend stops the pipeline.
    fn failed(&mut self, source: usize, error: SourceError) -> Result<(), Fault> {
        if error.fault == weir_stage::Fault::User {
            let source = self.names[source].0.clone();
            return Err(Fault::Source {
                source_name: source,
                error,
            });
        }
        if self.failures[source].as_ref().map(|e| e.code) != Some(error.code) {
            tracing::warn!(source = self.names[source].0, code = error.code, error = %error, "source failed");
        }
        self.failures[source] = Some(error);
        Ok(())
    }

    /// Runs one epoch over these records, some of them at a time: what does not leave the processor's cache is
    /// quick, and what is published does not depend on where the records are cut.
    fn epoch(
        &mut self,
        batches: Vec<(usize, RawBatch)>,
        caught_up: bool,
        ended: bool,
    ) -> Result<(), Fault> {
        let mut records: BTreeMap<usize, VecDeque<RawRecord>> = BTreeMap::new();
        for (source, pending) in self.pending.iter_mut().enumerate() {
            if !pending.is_empty() {
                records.insert(source, std::mem::take(pending));
            }
        }
        for (source, batch) in batches {
            let bytes = bytes_of(&batch) as u64;
            self.taken[source].0 += batch.records.len() as u64;
            self.taken[source].1 += bytes;
            self.silences[source].heard();
            let batch = VecDeque::from(batch.records);
            match records.entry(source) {
                Entry::Vacant(place) => drop(place.insert(batch)),
                Entry::Occupied(mut pending) => pending.get_mut().extend(batch),
            }
        }
        loop {
            let (raws, decoded) = self.decode(&mut records)?;
            let is_last = records.is_empty();
            self.move_clock(ended && is_last);
            let stalled = self.pending.iter().any(|pending| !pending.is_empty());
            let is_live = self.state == State::Live;
            let evaluate =
                is_last && ((caught_up || self.state != State::CatchingUp) && !stalled || is_live);
            let sources: Vec<usize> = decoded.iter().map(|(source, ..)| *source).collect();
            self.portion(decoded, &raws, evaluate)?;
            self.count_refused(&sources, &raws)?;
            if is_last {
                self.epochs += 1;
                self.epoch_at = Instant::now();
                if evaluate {
                    self.publish(ended);
                    self.phases.add(Phase::Publish, self.epoch_at);
                }
                return Ok(());
            }
        }
    }

    /// Counts what came and what is refused of it, against the limits.
    fn count_refused(&mut self, sources: &[usize], raws: &Raw) -> Result<(), Fault> {
        let now_us = self.clock.as_of_us.unwrap_or(0);
        for (source, (_, batch)) in sources.iter().zip(raws) {
            self.gates.came(*source, batch, now_us);
        }
        self.gates.refused(&self.letters.news(), now_us);
        let passed = self
            .gates
            .check(now_us, &self.applied, self.letters.bytes());
        passed.map_or(Ok(()), |told| Err(Fault::TooManyRefused(told)))
    }

    fn portion_records(&self) -> usize {
        PORTION_RECORDS * self.settings.workers.max(1)
    }

    /// Takes the first records of each source and decodes them. Those that a decoder stalls at are pending, with all
    /// that come after.
    fn decode(
        &mut self,
        records: &mut BTreeMap<usize, VecDeque<RawRecord>>,
    ) -> Result<(Raw, Rows), Fault> {
        let began = Instant::now();
        let (mut raws, mut decoded) = (Raw::new(), Rows::new());
        let portion = self.portion_records();
        for (&source, rest) in records.iter_mut() {
            let mut records = if rest.len() <= portion {
                Vec::from(std::mem::take(rest))
            } else {
                rest.drain(..portion).collect()
            };
            for record in records.drain(whole(&records)..).rev() {
                rest.push_front(record);
            }
            let ingested = self.ingests[source].decode(&records, self.settings.workers);
            if let Some((at, mut error)) = ingested.stalled {
                let (
                    topic,
                    RawRecord {
                        partition, offset, ..
                    },
                ) = (&self.names[source].1, &records[at]);
                let place = format!("topic `{topic}`, partition {partition}, offset {offset}");
                error.message = format!("{place}: {}", error.message);
                self.pending[source].extend(records.drain(at..));
                self.pending[source].append(rest);
                self.failed(source, error)?;
            }
            self.advance(source, &records);
            raws.push((self.ingests[source].topic.clone(), RawBatch { records }));
            decoded.push((source, ingested.delta, ingested.refusals));
        }
        records.retain(|_, rest| !rest.is_empty());
        self.phases.add(Phase::Decode, began);
        Ok((raws, decoded))
    }

    /// Brings rows through the steps to the tables.
    fn portion(
        &mut self,
        decoded: Rows,
        raws: &[(String, RawBatch)],
        evaluate: bool,
    ) -> Result<(), Fault> {
        self.settle_replayed(raws);
        let (mut decoded, mut raws) = (decoded, Raws::new(raws));
        let mut pass = match (evaluate, self.state) {
            (false, _) => Pass::Absorb,
            // A whole book may have been held back while catching up.
            (true, State::CatchingUp) => Pass::Release,
            (true, _) => Pass::Evaluate,
        };
        loop {
            let began = Instant::now();
            let (edges, more) = self.pass(std::mem::take(&mut decoded), &mut raws, pass)?;
            let began = self.phases.add(Phase::Stages, began);
            self.fill_tables(&edges);
            drop(edges);
            self.phases.add(Phase::Publish, began);
            pass = match pass {
                Pass::Release if more => Pass::Release,
                Pass::Gather if !more => Pass::Evaluate,
                Pass::Release | Pass::Gather => Pass::Gather,
                // Keys are to be forgotten: each time there are fewer of them.
                Pass::Evaluate if more => Pass::Evaluate,
                Pass::Absorb | Pass::Evaluate => return Ok(()),
            };
        }
    }

    /// What was refused of records that are here again stands no longer, unless it is refused again.
    fn settle_replayed(&mut self, raws: &[(String, RawBatch)]) {
        for (topic, batch) in raws {
            for record in &batch.records {
                if let Some(offset) = record.replay_of() {
                    self.letters.settle(topic, record.partition, offset);
                }
            }
        }
    }

    /// Notes how far the tables will have seen a source, and moves an event clock.
    fn advance(&mut self, source: usize, records: &[RawRecord]) {
        for run in records.chunk_by(|one, two| one.partition == two.partition) {
            let last = run.last().expect("a run is not empty");
            self.applied[source].insert(last.partition, last.offset + 1);
        }
        self.clock.heard(records);
    }

    fn move_clock(&mut self, ended: bool) {
        self.clock.tick();
        if let Some(until_us) = self.intake.clock_us().filter(|_| ended) {
            self.clock.at_least(until_us);
        }
    }

    /// Runs the steps in topological order; answers what came on each edge, and whether there is more: held back, or
    /// to be forgotten.
    fn pass(
        &mut self,
        decoded: Rows,
        raws: &mut Raws<'_>,
        pass: Pass,
    ) -> Result<(BTreeMap<Edge, weir_zset::Parts>, bool), Fault> {
        let as_of_us = self.clock.as_of_us.unwrap_or(i64::MIN);
        let mut more = false;
        let mut edges: BTreeMap<Edge, weir_zset::Parts> = BTreeMap::new();
        // Steps that hold something back, or wait for one that does.
        let mut held: BTreeSet<usize> = BTreeSet::new();
        for (source, delta, refusals) in decoded {
            self.letters.add("decode", true, refusals, raws);
            edges.insert(Edge::Source(source), delta.into());
        }
        for step in &mut self.steps {
            let index = step.index;
            let waits = step.reads(&held);
            let out = step.step(&edges, as_of_us, pass, waits)?;
            more |= out.more;
            if out.more || waits {
                held.insert(index);
            }
            // What a group refuses may have come in any earlier epoch: it is always told by what its row knows.
            if step.is_group() {
                let mut known = Raws::new(&out.records);
                self.letters
                    .add(&step.stage, false, out.refusals, &mut known);
            } else {
                self.letters
                    .add(&step.stage, step.is_final, out.refusals, raws);
            }
            let deltas = out
                .deltas
                .into_iter()
                .enumerate()
                .filter(|(_, delta)| !delta.is_empty());
            edges.extend(deltas.map(|(port, delta)| (Edge::Step { step: index, port }, delta)));
        }
        for (place, forgotten) in &self.forgets {
            let keys = forgotten.delta(&edges).whole();
            more |= self.steps[*place].forget(&keys, pass == Pass::Evaluate);
        }
        Ok((edges, more))
    }

    fn fill_tables(&mut self, edges: &BTreeMap<Edge, weir_zset::Parts>) {
        self.shelves.take(edges);
        for (index, (plan, table)) in self.tables.iter_mut().enumerate() {
            if let Some(delta) = edges.get(&plan.from) {
                let odd = table.apply_parts(delta);
                let before = std::mem::replace(&mut self.odd_keys[index], odd);
                if (odd == 0) != (before == 0) {
                    tracing::warn!(
                        table = plan.name,
                        keys = odd,
                        "keys without exactly one row"
                    );
                }
            }
        }
    }

    fn publish(&mut self, ended: bool) {
        // What a sink was brought to before a crash may be newer than the checkpoint.
        let sunk = self.sinks.iter().map(Running::epoch).max().unwrap_or(0);
        self.epoch = self.epoch.max(sunk) + 1;
        self.show_cut();
        for index in 0..self.sinks.len() {
            self.offer(index);
        }
        let state = if ended { State::Ended } else { State::Live };
        self.enter(state);
    }

    /// Hands a sink what is published.
    fn offer(&mut self, index: usize) {
        let version = self.version(self.sinks[index].table);
        let cut = Cut {
            run: self.run.clone(),
            epoch: self.epoch,
            as_of_us: self.clock.as_of_us.unwrap_or(0),
            offsets: self.offsets(),
        };
        let sink = &self.sinks[index];
        let number = sink.offer(cut, version);
        if sink.table.is_none() {
            self.gates.offered(number, &self.letters.take_topics());
        }
    }

    /// Next offset per topic and partition: what the tables have seen.
    fn offsets(&self) -> BTreeMap<String, Position> {
        let topics = self.names.iter().map(|(_, topic)| topic.clone());
        topics.zip(self.applied.iter().cloned()).collect()
    }

    /// Takes in what sinks refused; one that failed for good stops the pipeline.
    fn hear_sinks(&mut self) -> Result<(), Fault> {
        for sink in &self.sinks {
            for letter in sink.letters() {
                let (refusal, record) = refused_row(&sink.to, letter);
                let raws = [(
                    sink.to.clone(),
                    RawBatch {
                        records: vec![record],
                    },
                )];
                let mut raws = Raws::new(&raws);
                self.letters
                    .add(&sink.name, false, vec![refusal], &mut raws);
            }
            if let Some(error) = sink.fatal() {
                let sink = sink.name.clone();
                return Err(Fault::Sink { sink, error });
            }
        }
        let Some(letters) = self.sinks.iter().position(|sink| sink.table.is_none()) else {
            return Ok(());
        };
        if self.letters.has_news() && matches!(self.state, State::Live | State::Ended) {
            self.offer(letters);
        }
        let (number, trouble) = self.sinks[letters].confirmed();
        self.gates.written(number, trouble.as_ref());
        Ok(())
    }

    /// Shows the tables as they are.
    fn show_cut(&self) {
        self.feed.publish(Published {
            run: self.run.clone(),
            epoch: self.epoch,
            as_of_us: self.clock.as_of_us.unwrap_or(0),
            offsets: self.offsets(),
            tables: self.tables[..self.served]
                .iter()
                .map(|(plan, table)| (Arc::clone(plan), table.version()))
                .collect(),
            asked: self.asked.clone(),
            library: self.shelves.library(),
        });
    }

    fn enter(&mut self, state: State) {
        if self.state != state {
            tracing::info!(from = ?self.state, to = ?state, epoch = self.epoch, "state changed");
            self.state = state;
        }
        if state == State::Ended {
            self.sinks.iter().for_each(Running::hurry);
        }
        self.show();
    }

    fn fail(&self, fault: &Fault) {
        let mut status = self.status(&self.intake.standing());
        status.state = State::Failed;
        status.error = Some(fault.to_string());
        self.feed.status(status);
    }

    /// Shows status and dead letters.
    fn show(&self) {
        self.feed.dead_letters(self.letters.shown());
        self.feed.status(self.status(&self.intake.standing()));
    }

    fn show_metrics(&self) {
        self.feed.metrics(self.samples(&self.intake.standing()));
    }

    fn status(&self, standing: &[Standing]) -> Status {
        let source = |(index, standing): (usize, &Standing)| SourceStatus {
            name: self.names[index].0.clone(),
            topic: self.names[index].1.clone(),
            position: self.applied[index].clone(),
            end: standing.end.clone(),
            lag: lag(&standing.position, &standing.end),
            caught_up: standing.caught_up,
            idle_s: self.silences[index].idle_s(),
            error: self.error_of(index, standing),
        };
        Status {
            pipeline: self.feed.pipeline(),
            run: self.run.clone(),
            state: self.state,
            replay: self.intake.is_replay(),
            epoch: self.epoch,
            as_of_us: self.clock.as_of_us,
            sources: standing.iter().enumerate().map(source).collect(),
            sinks: self.sinks.iter().map(Running::status).collect(),
            dead_letters: self.letters.len() as u64,
            checkpoint: self.checkpoints.as_ref().map(Checkpointer::standing),
            tables: self.troubled_tables().collect(),
            clock_error: self.clock.trouble().map(str::to_owned),
            error: None,
        }
    }

    fn troubled_tables(&self) -> impl Iterator<Item = TableTrouble> {
        let tables = self.tables.iter().zip(&self.odd_keys);
        let odd = tables.filter(|(_, keys)| **keys > 0);
        odd.map(|((plan, _), keys)| TableTrouble {
            name: plan.name.clone(),
            keys: *keys,
            error: format!(
                "{keys} of its keys have several rows, of which it shows one: {} do not tell them apart",
                plan.key.join(", ")
            ),
        })
    }

    /// What keeps a source from giving all its records just now, or seems to.
    fn error_of(&self, source: usize, standing: &Standing) -> Option<String> {
        let failure = self.failures[source].as_ref();
        let failure = failure.or(self.gates.error(source));
        let failure = failure.or(standing.trouble.as_ref());
        let silence = || self.silences[source].told(&self.names[source].1);
        failure.map(ToString::to_string).or_else(silence)
    }

    fn samples(&self, standing: &[Standing]) -> Vec<Sample> {
        let one = |name, labels, value| Sample {
            name,
            labels,
            value,
        };
        let count = |rows: usize| rows as u64;
        let clock_s = self
            .clock
            .as_of_us
            .map_or(0, |us| u64::try_from(us / 1_000_000).unwrap_or(0));
        let state = format!("{:?}", self.state).to_lowercase();
        let mut samples = vec![
            one("weir_epoch", vec![], self.epoch),
            one("weir_epochs_total", vec![], self.epochs),
            one("weir_state", vec![("state", state)], 1),
            one("weir_clock_seconds", vec![], clock_s),
            one(
                "weir_clock_held",
                vec![],
                self.clock.trouble().is_some().into(),
            ),
        ];
        let now_us = self.clock.as_of_us.unwrap_or(0);
        for (index, (((name, _), standing), taken)) in
            self.names.iter().zip(standing).zip(&self.taken).enumerate()
        {
            let [came, refused] = self.gates.counts(index, now_us);
            let is_held = u64::from(self.gates.is_shut(index));
            let is_failing = u64::from(self.error_of(index, standing).is_some());
            let idle_s = self.silences[index].idle_s();
            let source = || vec![("source", name.clone())];
            let behind = u64::try_from(lag(&standing.position, &standing.end)).unwrap_or(0);
            samples.push(one("weir_source_records_total", source(), taken.0));
            samples.push(one("weir_source_bytes_total", source(), taken.1));
            samples.push(one("weir_source_lag_records", source(), behind));
            samples.push(one("weir_source_failing", source(), is_failing));
            samples.push(one("weir_source_idle_seconds", source(), idle_s));
            samples.push(one("weir_source_held", source(), is_held));
            samples.push(one("weir_source_window_records", source(), came));
            samples.push(one("weir_source_window_refused", source(), refused));
        }
        if let Some(kept) = self.checkpoints.as_ref().map(Checkpointer::standing) {
            let result = |result: &str| vec![("result", result.to_owned())];
            samples.extend([
                one("weir_checkpoint_epoch", vec![], kept.epoch.unwrap_or(0)),
                one("weir_checkpoint_age_seconds", vec![], kept.age_s),
                one("weir_checkpoints_total", result("written"), kept.written),
                one("weir_checkpoints_total", result("failed"), kept.failed),
                one("weir_checkpoint_bytes", vec![], kept.bytes),
                one("weir_checkpoint_disk_bytes", vec![], kept.disk_bytes),
                one("weir_checkpoint_stall_us_total", vec![], kept.stall_us),
            ]);
        }
        for (phase, time) in &self.phases.0 {
            let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            let label = vec![("phase", phase.name().to_owned())];
            samples.push(one("weir_phase_us_total", label, us));
        }
        samples.push(one("weir_dead_letters_bytes", vec![], self.letters.bytes()));
        for (stage, refused) in self.letters.by_stage() {
            samples.push(one(
                "weir_dead_letters",
                vec![("stage", stage.to_owned())],
                refused,
            ));
        }
        for (stage, sums) in self.by_stage() {
            let label = || vec![("stage", stage.to_owned())];
            samples.push(one("weir_stage_rows_total", label(), sums[0]));
            samples.push(one("weir_stage_errors_total", label(), sums[1]));
            samples.push(one("weir_stage_busy_us_total", label(), sums[2]));
            samples.push(one("weir_stage_state_rows", label(), sums[3]));
        }
        for sink in &self.sinks {
            let status = sink.status();
            let values = [
                ("weir_sink_pending_rows", status.pending),
                ("weir_sink_waiting_ms", status.waiting_ms),
                ("weir_sink_epoch", status.epoch),
                ("weir_sink_sent_total", status.sent),
                ("weir_sink_acked_total", status.acked),
                ("weir_sink_failed_total", status.failed),
                ("weir_sink_refused_rows", status.refused),
                ("weir_sink_flushes_total", status.flushes),
            ];
            let of_it = |(metric, value)| one(metric, vec![("sink", sink.name.clone())], value);
            samples.extend(values.map(of_it));
        }
        for ((plan, table), odd) in self.tables.iter().zip(&self.odd_keys) {
            let labels = || vec![("table", plan.name.clone())];
            let rows = count(table.version().len());
            samples.push(one("weir_table_rows", labels(), rows));
            samples.push(one("weir_table_odd_keys", labels(), count(*odd)));
        }
        samples
    }

    /// Rows, errors, time and kept rows of each stage: the sums over its steps; rows are its last step's.
    fn by_stage(&self) -> BTreeMap<&str, [u64; 4]> {
        let mut stages: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
        for step in &self.steps {
            let sums = stages.entry(&step.stage).or_default();
            sums[0] = step.rows;
            sums[1] += step.errors;
            sums[2] += step.busy_us;
            sums[3] += step.state_rows() as u64;
        }
        stages
    }
}

/// How many of these records may go through the steps at once: their places ascend in each partition, so that a record
/// that was sent again does not come together with the one that it stands for.
fn whole(records: &[RawRecord]) -> usize {
    if records.iter().all(|record| record.headers.is_empty()) {
        return records.len();
    }
    let mut last: BTreeMap<i32, i64> = BTreeMap::new();
    let descends = |record: &RawRecord| {
        let before = last.insert(record.partition, record.place());
        before.is_some_and(|before| before >= record.place())
    };
    records.iter().position(descends).unwrap_or(records.len())
}

/// A row that a sink refused, told as records are: a row has no offset, so its key's digest stands there.
fn refused_row(topic: &str, letter: Letter) -> (Refusal, RawRecord) {
    let refusal = Refusal {
        topic: topic.to_owned(),
        partition: NO_PARTITION,
        offset: letter.offset,
        code: letter.code,
        message: letter.message,
        field: letter.field,
        weight: letter.weight,
    };
    let record = RawRecord {
        partition: NO_PARTITION,
        offset: letter.offset,
        timestamp_us: letter.as_of_us,
        key: Some(letter.key.into()),
        value: letter.value.map(Into::into),
        headers: weir_stage::Headers::default(),
    };
    (refusal, record)
}
