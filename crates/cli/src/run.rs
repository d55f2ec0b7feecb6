//! `weir run`: a pipeline from its file to a served page.

pub use crate::args::{RunArgs, Speed};
use crate::registry::{WallClock, World, avro_reader, live_decoder, local_decoder, sinks};
use crate::say;
use anyhow::{Context, Result};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use weir_engine::replay::Topic;
use weir_engine::state::{Manifest, StateError, Store};
use weir_engine::{
    Engine, Handle, Intake, Keep, Pace, Parts, Replay, ReplayError, Sources, State, Stop,
    plan_digest,
};
use weir_kafka::{KafkaSource, SourceOptions, Start};
use weir_server::Options;
use weir_spec::plan::{ClockPlan, EncodingPlan, SourcePlan, StartPlan};
use weir_spec::{Diagnostic, Plan, Problem};
use weir_stage::{Clock as _, Decoder, Position};

/// The schema id in the wire format of replayed Avro records; no registry is asked.
const REPLAYED_SCHEMA_ID: u32 = 1;
/// How long open answers may take to finish when the process ends.
const CLOSING: Duration = Duration::from_secs(2);
/// Seconds between two checkpoints where the file does not say.
const CHECKPOINT_S: u64 = 10;

/// Runs the pipeline until it is told to stop or, with `--until-end`, until its input ends.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode> {
    if !args.listen.ip().is_loopback() && !args.allow_unauthenticated {
        return Ok(refused(format_args!(
            "--listen {} would serve to anyone who can reach it; add --allow-unauthenticated if that is meant, \
             or listen on a loopback address",
            args.listen
        )));
    }
    let world = World::with_cache(cache(args)?).context("cannot start the plugin host")?;
    let (_, plan, findings) = crate::check::load(&args.file, &world);
    findings.iter().for_each(say::finding);
    let Some(mut plan) = plan.filter(|_| !findings.iter().any(Diagnostic::is_error)) else {
        return Ok(ExitCode::from(2));
    };
    settle(&mut plan, args);
    if args.fresh && state_folder(&plan, args).is_none() {
        return Ok(refused(
            "--fresh forgets a state folder, and none is named: add --state DIR; without one every start reads \
             everything anew",
        ));
    }
    if let Some(Err(error)) = args.dump.as_deref().map(crate::dump::prepare) {
        return Ok(refused(format_args!("--dump: {error:#}")));
    }
    let built = keep(&plan, args).and_then(|keep| build(&plan, args, &world, keep));
    match built {
        Err(error) if error.is::<StateError>() || error.is::<ReplayError>() => {
            Ok(refused(format_args!("{error:#}")))
        }
        built => {
            let (engine, handle) = built?;
            serve(engine, &handle, args)
        }
    }
}

/// What was asked for cannot be done.
fn refused(why: impl Display) -> ExitCode {
    say::error(why);
    ExitCode::from(2)
}

/// What the command line changes in the plan.
fn settle(plan: &mut Plan, args: &RunArgs) {
    if args.replay.is_some() {
        plan.engine.clock = ClockPlan::Event {
            max_ahead_ms: u64::MAX,
        };
    }
    if args.replay.is_some() && !args.sinks {
        plan.without_sinks();
    }
    if let Some(workers) = args.workers {
        plan.engine.workers = workers.get();
    }
    if let Some(rows) = args.epoch_rows_max {
        plan.engine.epoch_rows_max = rows.get();
    }
}

/// The folder of compiled plugins; none where the user may have no folder for them.
fn cache(args: &RunArgs) -> Result<Option<PathBuf>> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let user = || {
        std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(home)
    };
    let folder = args
        .state
        .clone()
        .or_else(|| user().map(|cache| cache.join("weir")));
    let folder = folder
        .unwrap_or_else(|| std::env::temp_dir().join("weir"))
        .join("plugins");
    if args.fresh && folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    match std::fs::create_dir_all(&folder) {
        Ok(()) => Ok(Some(folder)),
        Err(error) if args.state.is_none() => {
            say::warning(format_args!(
                "cannot make {}: {error}; plugins are compiled at each start, or set XDG_CACHE_HOME",
                folder.display()
            ));
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("cannot make {}", folder.display())),
    }
}

/// Where the pipeline keeps what it knows, if it does; a replay only where `--state` names it.
fn state_folder<'a>(plan: &'a Plan, args: &'a RunArgs) -> Option<&'a Path> {
    let of_file = plan.engine.checkpoint.as_ref();
    let of_file = of_file.filter(|_| args.replay.is_none());
    let asked = args.state.as_deref();
    asked.or(of_file.map(|asked| asked.to.as_path()))
}

/// The state folder, with the checkpoint to go on from.
fn keep(plan: &Plan, args: &RunArgs) -> Result<Option<Keep>> {
    let Some(folder) = state_folder(plan, args) else {
        return Ok(None);
    };
    let digest = plan_digest(plan)?;
    let opened = Store::open(folder, &digest, args.fresh)?;
    for error in &opened.passed_over {
        say::warning(format_args!("{error}; the checkpoint before it is used"));
    }
    Ok(Some(Keep {
        store: opened.store,
        manifest: opened.manifest,
        every: Duration::from_secs(
            plan.engine
                .checkpoint
                .as_ref()
                .map_or(CHECKPOINT_S, |asked| asked.every_s),
        ),
        plan: digest,
    }))
}

fn build(
    plan: &Plan,
    args: &RunArgs,
    world: &World,
    keep: Option<Keep>,
) -> Result<(Engine, Handle)> {
    let stored = keep.as_ref().and_then(|keep| keep.manifest.as_ref());
    let intake = intake(plan, args, keep.is_some(), stored)?;
    let decoder = |source: &SourcePlan| -> Result<Arc<dyn Decoder>> {
        let made = if args.replay.is_some() {
            local_decoder(&source.decode)
        } else {
            live_decoder(source)
        };
        made.map_err(told)
            .with_context(|| format!("source {}", source.name))
    };
    let run = format!("{:x}-{:x}", WallClock.now_us(), std::process::id());
    let parts = Parts {
        sinks: sinks(plan, &run).map_err(told)?,
        // The rest of the grace is the last checkpoint's.
        drain: Duration::from_secs(args.grace) / 2,
        decoders: plan.sources.iter().map(decoder).collect::<Result<_>>()?,
        plugins: Arc::clone(&world.host) as _,
        intake,
        keep,
        clock: Arc::new(WallClock),
        run,
        guard_clock: args.replay.is_none(),
    };
    Engine::build(plan, parts).context("cannot build the pipeline")
}

fn intake(
    plan: &Plan,
    args: &RunArgs,
    is_kept: bool,
    stored: Option<&Manifest>,
) -> Result<Box<dyn Intake>> {
    let position = |source: &SourcePlan| stored?.offsets.get(&source.name).cloned();
    let identity = |source: &SourcePlan| stored?.identities.get(&source.name).cloned();
    let Some(folder) = &args.replay else {
        let live = |source: &SourcePlan| live(source, position(source), identity(source));
        let sources = plan.sources.iter().map(live).collect::<Result<_>>()?;
        return Ok(Box::new(Sources::new(sources)));
    };
    let topics = plan.sources.iter().map(topic).collect::<Result<Vec<_>>>()?;
    let pace = match args.speed {
        Speed::Max => Pace::Max,
        Speed::Times(times) => Pace::Times(times, Arc::new(WallClock)),
    };
    let replay = Replay::read(folder, &topics, args.until, pace.clone())?;
    let replay = match args.interleave {
        None => replay,
        Some(seed) => Replay::of(
            interleaved(replay.into_records(), seed),
            topics.len(),
            args.until,
            pace,
        ),
    };
    if !is_kept {
        return Ok(Box::new(replay));
    }
    let from = |source: &SourcePlan| (position(source).unwrap_or_default(), identity(source));
    let clock_us = stored.and_then(|stored| stored.as_of_us);
    let from = plan.sources.iter().map(from).collect();
    Ok(Box::new(replay.going_on(folder, &topics, from, clock_us)?))
}

/// A topic of a Kafka cluster, read from where the plan says.
fn live(
    source: &SourcePlan,
    position: Option<Position>,
    identity: Option<String>,
) -> Result<Box<dyn weir_stage::Source>> {
    let options = SourceOptions {
        topic: source.topic.clone(),
        properties: source.properties.clone(),
        start: match source.start {
            StartPlan::Earliest => Start::Earliest,
            StartPlan::Latest => Start::Latest,
            StartPlan::At(us) => Start::At(us),
        },
        position,
        identity,
    };
    let opened = KafkaSource::open(options).with_context(|| format!("source {}", source.name))?;
    Ok(Box::new(opened))
}

/// A replayed topic; Avro values stand in its file as JSON and are encoded as a producer would.
fn topic(source: &SourcePlan) -> Result<Topic> {
    let decode = &source.decode;
    Ok(Topic {
        name: source.topic.clone(),
        encode: encoder(&decode.value, decode.tombstones)?,
        encode_key: decode
            .key
            .as_ref()
            .map_or(Ok(None), |key| encoder(key, false))?,
    })
}

fn encoder(
    encoding: &EncodingPlan,
    tombstones: bool,
) -> Result<Option<weir_engine::replay::Encode>> {
    Ok(match encoding {
        EncodingPlan::Avro { schema, .. } => {
            let text = std::fs::read_to_string(schema)
                .with_context(|| format!("cannot read {}", schema.display()))?;
            let reader = avro_reader(schema, &text, tombstones).map_err(told)?;
            let encode = move |json: &str| {
                reader
                    .encode(REPLAYED_SCHEMA_ID, json)
                    .map_err(|refused| refused.message)
            };
            Some(Arc::new(encode) as weir_engine::replay::Encode)
        }
        _ => None,
    })
}

type Records = Vec<(usize, weir_stage::RawRecord)>;

/// The same records in another order that keeps each partition's own.
fn interleaved(records: Records, seed: u64) -> Records {
    use std::collections::{BTreeMap, VecDeque};
    let count = records.len();
    let mut queues: BTreeMap<(usize, i32), VecDeque<_>> = BTreeMap::new();
    for (source, record) in records {
        queues
            .entry((source, record.partition))
            .or_default()
            .push_back(record);
    }
    let mut queues: Vec<_> = queues.into_iter().collect();
    let mut random = seed;
    let mut mixed = Vec::with_capacity(count);
    while !queues.is_empty() {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let pick = usize::try_from(random >> 33).expect("31 bits") % queues.len();
        let ((source, _), queue) = &mut queues[pick];
        mixed.extend(queue.pop_front().map(|record| (*source, record)));
        if queue.is_empty() {
            queues.remove(pick);
        }
    }
    mixed
}

/// Runs the engine on its own thread and the server beside it.
fn serve(engine: Engine, handle: &Handle, args: &RunArgs) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind(args.listen))
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener
        .local_addr()
        .context("a bound socket has an address")?;
    say::note(format_args!("serving on http://{address}"));
    let (close, closed) = tokio::sync::oneshot::channel::<()>();
    let closing = async move { drop(closed.await) };
    let server = runtime.spawn(weir_server::serve(
        listener,
        handle.clone(),
        Options {
            names: args.hosts.clone(),
        },
        closing,
    ));
    let stop = Stop::default();
    let until_end = args.until_end;
    let running = {
        let stop = stop.clone();
        std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || engine.run(&stop, until_end))
    }
    .context("cannot start the engine's thread")?;
    let waited = runtime.block_on(wait(handle, &running, args));
    stop.stop();
    let ended = async {
        while !running.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let grace = Duration::from_secs(args.grace);
    if runtime
        .block_on(async { tokio::time::timeout(grace, ended).await })
        .is_err()
    {
        anyhow::bail!(
            "the last checkpoint took longer than --grace {}; the next start goes on from the one before",
            args.grace
        );
    }
    let ran = running
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    drop(close);
    if runtime
        .block_on(async { tokio::time::timeout(CLOSING, server).await })
        .is_err()
    {
        tracing::warn!("open answers were cut off");
    }
    ran.context("the pipeline stopped")?;
    waited?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for a signal, for the input's end, or for the engine to stop; dumps when the input has ended.
async fn wait(
    handle: &Handle,
    running: &std::thread::JoinHandle<Result<(), weir_engine::Fault>>,
    args: &RunArgs,
) -> Result<()> {
    let mut changed = handle.changed();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = (!outlives_terminal())
        .then(|| signal(SignalKind::hangup()))
        .transpose()?;
    let hung_up = async {
        match &mut hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(hung_up);
    let mut dump = args.dump.as_deref();
    loop {
        // Asked first: what it has done when it is finished is seen below.
        let is_finished = running.is_finished();
        if handle.status().state == State::Ended {
            if let Some(folder) = dump.take() {
                crate::dump::dump(handle, folder)?;
            }
            if args.until_end {
                return Ok(());
            }
        }
        if is_finished {
            return Ok(());
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
            _ = &mut hung_up => break,
            _ = changed.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
    match dump {
        None => Ok(()),
        Some(folder) => anyhow::bail!(
            "told to end before the replayed input had ended: nothing was dumped to {}",
            folder.display()
        ),
    }
}

/// Whether whoever started this had it ignore that its terminal goes away, as `nohup` does.
fn outlives_terminal() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The first bit is that of the first signal, which it is.
    ignored
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .is_some_and(|bits| bits & 1 == 1)
}

fn told(problem: Problem) -> anyhow::Error {
    let hint = problem
        .hint
        .map(|hint| format!(" ({hint})"))
        .unwrap_or_default();
    anyhow::anyhow!("{}: {}{hint}", problem.code, problem.message)
}
