//! Checkpoints of a running engine: what changed is gathered between two epochs, and written by a thread of its
//! own while epochs go on.

use crate::read::CheckpointStatus;
use crate::state::{Changes, Manifest, Report, StateError, Store};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::Instant;
use weir_spec::Plan;
use weir_spec::plan::{EncodingPlan, WasmPlan, WorkPlan};
use xxhash_rust::xxh3::xxh3_128;

/// Where a pipeline keeps what it knows.
#[derive(Debug)]
pub struct Keep {
    /// The folder.
    pub store: Store,
    /// The checkpoint to go on from.
    pub manifest: Option<Manifest>,
    /// Time between two checkpoints.
    pub every: Duration,
    /// What the state is of, see [`plan_digest`].
    pub plan: BTreeMap<String, String>,
}

enum Job {
    /// Some of what changed; more follows.
    Some(Changes),
    /// That was all, under what this says.
    Last(Box<Manifest>),
}

/// So much of what changed, as it takes in memory, is written while as much again is gathered.
const SOME_BYTES: usize = if cfg!(test) { 400 } else { 32 << 20 };

/// The stages stand still while it is gathered what changed: for a part in so many of the time at most. What is due
/// waits meanwhile, as while a book is caught up with, where most of it changes from one checkpoint to the next.
const STALL_SHARE: u32 = 30;

/// While a state is first caught up with, its first checkpoint waits for the end, but for so many times as long as others
/// at most: from the first one on, every key that changes is kept until the next one, and that would be most of a book.
const FIRST_PATIENCE: u32 = 10;

/// Takes what changed, and passes it on to be written, some at a time.
pub(crate) struct Gathering<'a> {
    some: Changes,
    jobs: &'a SyncSender<Job>,
}

impl Gathering<'_> {
    /// Notes that a key of a part has this value now, or is gone.
    pub(crate) fn push(&mut self, part: u16, key: &[u8], value: Option<&[u8]>) {
        self.some.push(part, key, value);
        if self.some.bytes() >= SOME_BYTES {
            self.pass_on();
        }
    }

    fn pass_on(&mut self) {
        // A thread that is gone is noticed with the last.
        drop(self.jobs.send(Job::Some(std::mem::take(&mut self.some))));
    }
}

/// What became of a job: what it cost, or what is still to be written and why.
type Done = Result<(u64, Report), (Changes, StateError)>;

/// Writes checkpoints.
pub(crate) struct Checkpointer {
    every: Duration,
    began: Instant,
    /// How long the stages stood still for the last one.
    stall: Duration,
    jobs: Option<SyncSender<Job>>,
    done: Receiver<Done>,
    is_busy: bool,
    /// Whether there is a state to go on from, here or from before.
    is_begun: bool,
    /// What a failed checkpoint did not write.
    left: Changes,
    template: Manifest,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    standing: CheckpointStatus,
    /// When the last one was written; before that, the start.
    written_at: Instant,
}

impl Checkpointer {
    pub(crate) fn start(keep: Keep, pipeline: &str, parts: Vec<String>) -> Self {
        // Nothing waits between the two: one gathers, the other writes.
        let (jobs, to_write) = sync_channel::<Job>(0);
        let (tell, done) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut store = keep.store;
        let write = move || {
            let mut failed: Option<(Changes, StateError)> = None;
            while let Ok(job) = to_write.recv() {
                let manifest = match (job, &mut failed) {
                    (Job::Some(changes), None) => {
                        let added = store.add(&changes);
                        failed = added.err().map(|error| (changes, error));
                        continue;
                    }
                    (Job::Some(changes), Some((left, _))) => {
                        left.append(&changes);
                        continue;
                    }
                    (Job::Last(manifest), _) => *manifest,
                };
                let epoch = manifest.epoch;
                let mut done = match failed.take() {
                    Some(failed) => Err(failed),
                    None => match store.keep(manifest) {
                        Ok(report) => Ok((epoch, report)),
                        Err(error) => Err((Changes::default(), error)),
                    },
                };
                // Told after merging, so that the next job waits for it.
                while done.is_ok() && !stopped.load(Ordering::Relaxed) {
                    match store.compact(&stopped) {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(error) => done = Err((Changes::default(), error)),
                    }
                }
                if tell.send(done).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(write);
        Self {
            every: keep.every,
            began: Instant::now(),
            stall: Duration::ZERO,
            jobs: Some(jobs),
            done,
            is_busy: false,
            is_begun: keep.manifest.is_some(),
            left: Changes::default(),
            template: Manifest {
                pipeline: pipeline.to_owned(),
                plan: keep.plan,
                parts,
                ..Manifest::default()
            },
            stop,
            thread: Some(thread.expect("the system has a thread for us")),
            standing: CheckpointStatus::default(),
            written_at: Instant::now(),
        }
    }

    /// Whether it is time for the next one, and the last one is done.
    pub(crate) fn is_due(&mut self, is_catching_up: bool) -> bool {
        self.hear(false);
        let due = if is_catching_up && !self.is_begun {
            self.every * FIRST_PATIENCE
        } else {
            self.every.max(self.stall * STALL_SHARE)
        };
        !self.is_busy && self.began.elapsed() >= due
    }

    /// Writes what `gather` tells, under what `about` says. The call before must have found it due.
    pub(crate) fn write(
        &mut self,
        gather: impl FnOnce(&mut Gathering<'_>),
        about: impl FnOnce(&mut Manifest),
    ) {
        self.began = Instant::now();
        self.is_begun = true;
        let jobs = self.jobs.as_ref().expect("it has not ended");
        let some = std::mem::take(&mut self.left);
        let mut gathering = Gathering { some, jobs };
        gathering.pass_on();
        gather(&mut gathering);
        gathering.pass_on();
        let mut manifest = self.template.clone();
        about(&mut manifest);
        let sent = jobs.send(Job::Last(Box::new(manifest)));
        self.is_busy = sent.is_ok();
        self.stall = self.began.elapsed();
        self.standing.stall_us += u64::try_from(self.stall.as_micros()).unwrap_or(u64::MAX);
    }

    /// Waits until nothing is under way; merging is cut short.
    pub(crate) fn settle(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.hear(true);
    }

    /// Waits until nothing is under way.
    #[cfg(test)]
    pub(crate) fn wait(&mut self) {
        self.hear(true);
    }

    /// Ends the thread; answers whether the last checkpoint was written.
    pub(crate) fn end(&mut self) -> bool {
        self.settle();
        self.close() && self.standing.error.is_none()
    }

    /// Ends the thread, without waiting for what it may still tell; answers whether it ended well.
    fn close(&mut self) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        let joined = self.thread.take().map(JoinHandle::join);
        joined.is_none_or(|joined| joined.is_ok())
    }

    pub(crate) fn standing(&self) -> CheckpointStatus {
        CheckpointStatus {
            age_s: self.written_at.elapsed().as_secs(),
            ..self.standing.clone()
        }
    }

    /// Hears of the job under way.
    fn hear(&mut self, wait: bool) {
        if !self.is_busy {
            return;
        }
        let done = if wait {
            self.done.recv().map_err(TryRecvError::from)
        } else {
            self.done.try_recv()
        };
        match done {
            Ok(Ok((epoch, report))) => {
                if self.standing.error.take().is_some() {
                    tracing::info!(epoch, "checkpoints are written again");
                }
                self.written_at = Instant::now();
                self.standing.epoch = Some(epoch);
                self.standing.bytes = report.bytes;
                self.standing.disk_bytes = report.disk_bytes;
                self.standing.written += 1;
                self.is_busy = false;
            }
            Ok(Err((left, error))) => {
                self.left = left;
                self.standing.failed += 1;
                self.is_busy = false;
                if self.standing.error.is_none() {
                    tracing::error!(%error, "no checkpoint can be written; the pipeline goes on without");
                }
                self.standing.error = Some(error.to_string());
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                self.is_busy = false;
                self.standing.error = Some("the checkpoint's thread has ended".to_owned());
            }
        }
    }
}

impl Drop for Checkpointer {
    /// The folder is let go of when this is gone: what was written stands, the rest is for the next run.
    fn drop(&mut self) {
        self.close();
    }
}

/// What a state is of: a digest of each source, stage and table, of what plugins and data files hold included.
/// Paths, clusters, engine settings and views are not in it: they may change.
pub fn plan_digest(plan: &Plan) -> std::io::Result<BTreeMap<String, String>> {
    let mut pieces: BTreeMap<String, String> = BTreeMap::new();
    for source in &plan.sources {
        let format = |encoding: &EncodingPlan| -> std::io::Result<String> {
            Ok(match encoding {
                EncodingPlan::Json { schema } => format!("json {}", file(schema)?),
                EncodingPlan::Avro { schema, .. } => format!("avro {}", file(schema)?),
                EncodingPlan::Text => "text".to_owned(),
            })
        };
        let tombstones = source.decode.tombstones;
        let value = format(&source.decode.value)?;
        let mut text = format!("{} {value} {tombstones} {:?}", source.topic, source.schema);
        if let Some(key) = &source.decode.key {
            write!(text, " {}", format(key)?).expect("memory takes any write");
        }
        if !source.decode.headers.is_empty() {
            let headers = &source.decode.headers;
            write!(text, " {headers:?}").expect("memory takes any write");
        }
        pieces.insert(format!("source {}", source.name), digest(text.as_bytes()));
    }
    let mut stages: BTreeMap<&str, String> = BTreeMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let work = match &step.work {
            WorkPlan::Op(spec) => format!("{spec:?}"),
            WorkPlan::Transform(wasm) => plugin(wasm)?,
            WorkPlan::Group { wasm, by, clock } => format!("{} {by:?} {clock:?}", plugin(wasm)?),
        };
        let text = stages.entry(&step.stage).or_default();
        let (inputs, outputs) = (&step.inputs, &step.outputs);
        writeln!(text, "{index} {inputs:?} {work} {outputs:?}").expect("memory takes any write");
    }
    for forget in &plan.forgets {
        let text = stages.entry(&plan.steps[forget.step].stage).or_default();
        writeln!(text, "{forget:?}").expect("memory takes any write");
    }
    pieces.extend(
        stages
            .into_iter()
            .map(|(stage, text)| (format!("stage {stage}"), digest(text.as_bytes()))),
    );
    for table in plan.all_tables() {
        let shape = (&table.from, &table.key, &table.schema, &table.asked_by);
        let text = format!("{shape:?}");
        pieces.insert(format!("table {}", table.name), digest(text.as_bytes()));
    }
    Ok(pieces)
}

fn plugin(wasm: &WasmPlan) -> std::io::Result<String> {
    let mut text = format!("{} {}", file(&wasm.file)?, wasm.config);
    for (name, path) in &wasm.data {
        let data = file(path)?;
        write!(text, " {name} {data}").expect("memory takes any write");
    }
    Ok(text)
}

fn file(path: &Path) -> std::io::Result<String> {
    let named = |error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    std::fs::read(path)
        .map_err(named)
        .map(|bytes| digest(&bytes))
}

/// A digest, in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

#[cfg(test)]
mod tests;
