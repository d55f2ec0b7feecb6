//! `weir run`: a pipeline from its file to a served page.

pub use crate::args::{RunArgs, Speed};
use crate::registry::{WallClock, World, avro_reader, live_decoder, local_decoder, sinks};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use weir_engine::replay::Topic;
use weir_engine::state::{Manifest, StateError, Store};
use weir_engine::{
    Engine, Handle, Intake, Keep, Pace, Parts, Replay, Sources, State, Stop, plan_digest,
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
        eprintln!(
            "weir: --listen {} would serve to anyone who can reach it; add --allow-unauthenticated if that is meant, \
             or listen on a loopback address",
            args.listen
        );
        return Ok(ExitCode::from(2));
    }
    let world = World::with_cache(Some(cache(args)?)).context("cannot start the plugin host")?;
    let (_, plan, findings) = crate::check::load(&args.file, &world)?;
    for found in &findings {
        eprintln!("{found}");
    }
    let Some(mut plan) = plan.filter(|_| !findings.iter().any(Diagnostic::is_error)) else {
        return Ok(ExitCode::from(2));
    };
    settle(&mut plan, args);
    let keep = match keep(&plan, args) {
        Err(error) if error.is::<StateError>() => {
            eprintln!("weir: {error}");
            return Ok(ExitCode::from(2));
        }
        keep => keep?,
    };
    let (engine, handle) = build(&plan, args, &world, keep)?;
    serve(engine, &handle, args)
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

/// The folder of compiled plugins.
fn cache(args: &RunArgs) -> Result<PathBuf> {
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
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// The state folder, with the checkpoint to go on from; a replay has one only where `--state` names it.
fn keep(plan: &Plan, args: &RunArgs) -> Result<Option<Keep>> {
    let asked = plan.engine.checkpoint.as_ref();
    let folder = match (&args.state, asked) {
        (Some(folder), _) => folder,
        (None, Some(asked)) if args.replay.is_none() => &asked.to,
        (None, _) => return Ok(None),
    };
    let digest = plan_digest(plan)?;
    let opened = Store::open(folder, &digest, args.fresh)?;
    for error in &opened.passed_over {
        eprintln!("weir: warning: {error}; the checkpoint before it is used");
    }
    Ok(Some(Keep {
        store: opened.store,
        manifest: opened.manifest,
        every: Duration::from_secs(asked.map_or(CHECKPOINT_S, |asked| asked.every_s)),
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
    let intake = intake(plan, args, stored)?;
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

fn intake(plan: &Plan, args: &RunArgs, stored: Option<&Manifest>) -> Result<Box<dyn Intake>> {
    let position = |source: &SourcePlan| stored?.offsets.get(&source.name).cloned();
    let Some(folder) = &args.replay else {
        let live = |source: &SourcePlan| {
            let identity = stored.and_then(|stored| stored.identities.get(&source.name).cloned());
            live(source, position(source), identity)
        };
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
    let positions = plan
        .sources
        .iter()
        .map(|source| position(source).unwrap_or_default());
    Ok(Box::new(replay.from(positions.collect())))
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
    eprintln!("weir: serving on http://{address}");
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
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut dump = args.dump.as_deref();
    loop {
        if handle.status().state == State::Ended {
            if let Some(folder) = dump.take() {
                crate::dump::dump(handle, folder)?;
            }
            if args.until_end {
                return Ok(());
            }
        }
        if running.is_finished() {
            return Ok(());
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = changed.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}

fn told(problem: Problem) -> anyhow::Error {
    let hint = problem
        .hint
        .map(|hint| format!(" ({hint})"))
        .unwrap_or_default();
    anyhow::anyhow!("{}: {}{hint}", problem.code, problem.message)
}
