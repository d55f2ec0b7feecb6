//! `cargo xtask services`: a real Kafka broker and a real schema registry, as plain processes of this machine.
//!
//! Downloads stay in the user's cache folder and are checked by hash every time they are used. Data lives in a fresh
//! temporary folder and goes with the services; ports are free ones. A process is stopped only when its command line
//! carries that folder's name, so that a pid that was given to another process meanwhile is left alone.

mod download;
mod probe;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio, id};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};
use std::{env, mem};

use lexopt::prelude::*;

use crate::failure::{Context, Failure, Outcome};
use crate::shell::{capture, free_ports, root, say, signal, wait_until};
use crate::{help, need};

const HELP: &str = "\
A real Apache Kafka (KRaft) and a real schema registry with Confluent's API, on this machine, without containers.

Usage: cargo xtask services up | status | down [--yes]

`up` prints the lines that tell a pipeline where they are: eval \"$(cargo xtask services up)\"
Needs java and mvn; downloads some 200 MB into the cache folder the first time.";

/// The services of one run and how to reach them.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) bootstrap: String,
    pub(crate) registry_url: String,
    /// Where Kafka's jars are: a test may start brokers of its own.
    jars: PathBuf,
    dir: PathBuf,
    /// The broker's, then the registry's; each leads a process group of its own.
    pids: Vec<u32>,
}

/// Services that end with us, however we end: their guard reads a pipe whose other end only we hold.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) running: Running,
    leashes: Vec<ChildStdin>,
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(mem::take(&mut self.leashes));
        if let Err(failure) = self.running.stop() {
            say(format!("stopping the services: {failure}"));
        }
    }
}

pub(crate) fn main(mut arguments: lexopt::Parser, mut yes: bool) -> Outcome {
    let mut command = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(value) if command.is_none() => command = Some(value.string()?),
            Long("yes") => yes = true,
            Short('h') | Long("help") => return help(HELP),
            other => return Err(other.unexpected().into()),
        }
    }
    match command.as_deref() {
        Some("up") => up(yes),
        Some("status") => status(),
        Some("down") => down(),
        _ => Err(Failure::usage(HELP)),
    }
}

/// The services that `up` left running, if they still are.
pub(crate) fn found() -> Option<Running> {
    let running = Running::load()?;
    running.alive().then_some(running)
}

/// Starts services for one run of the tests.
pub(crate) fn held(yes: bool) -> Outcome<Held> {
    let (running, children) = start(yes, free_ports()?, true)?;
    let leashes = children
        .into_iter()
        .filter_map(|mut child| child.stdin.take())
        .collect();
    Ok(Held { running, leashes })
}

fn up(yes: bool) -> Outcome {
    let _lock = lock()?;
    let running = match found() {
        Some(running) => running,
        None => fresh(yes)?,
    };
    for (name, value) in running.variables() {
        println!("export {name}={value}");
    }
    Ok(())
}

/// New services, in the place of what an earlier run may have left.
fn fresh(yes: bool) -> Outcome<Running> {
    if let Some(leftover) = Running::load() {
        leftover.stop()?;
    }
    let [broker, controller, registry] = free_ports()?;
    let ports = [
        preferred(9092, broker),
        controller,
        preferred(8081, registry),
    ];
    let (running, _) = start(yes, ports, false)?;
    running.save()?;
    Ok(running)
}

fn status() -> Outcome {
    let Some(running) = Running::load() else {
        return Err(Failure::new("no services are up"));
    };
    let kafka = if probe::kafka(&running.bootstrap) {
        "answers"
    } else {
        "does not answer"
    };
    println!("kafka     {kafka}  {}", running.bootstrap);
    let registry = if probe::registry(&running.registry_url) {
        "answers"
    } else {
        "does not answer"
    };
    println!("registry  {registry}  {}", running.registry_url);
    println!("data      {}", running.dir.display());
    if running.alive() {
        Ok(())
    } else {
        Err(Failure::new(
            "not all of it runs; `services down`, then `services up`",
        ))
    }
}

fn down() -> Outcome {
    let _lock = lock()?;
    let Some(running) = Running::load() else {
        say("no services are up");
        return Ok(());
    };
    running.stop()?;
    fs::remove_file(state_file()).context("removing the state of the services")
}

impl Running {
    /// What a pipeline and the tests read from their environment.
    pub(crate) fn variables(&self) -> [(&'static str, String); 4] {
        let broker = self.pids.first().map(ToString::to_string);
        [
            ("KAFKA_BOOTSTRAP", self.bootstrap.clone()),
            ("SCHEMA_REGISTRY_URL", self.registry_url.clone()),
            ("KAFKA_PROCESS_GROUP", broker.unwrap_or_default()),
            ("KAFKA_JARS", self.jars.display().to_string()),
        ]
    }

    fn alive(&self) -> bool {
        self.pids.iter().all(|pid| self.owns(*pid))
    }

    /// Whether a process is one that we started for this folder.
    fn owns(&self, pid: u32) -> bool {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&*self.dir.to_string_lossy())
    }

    /// Asks, waits, then insists; the data goes too.
    fn stop(&self) -> Outcome {
        for name in ["TERM", "KILL"] {
            let owned = || self.pids.iter().filter(|pid| self.owns(**pid));
            owned().try_for_each(|pid| signal(name, &format!("-{pid}")))?;
            let end = Instant::now() + Duration::from_secs(10);
            while owned().next().is_some() && Instant::now() < end {
                sleep(Duration::from_millis(50));
            }
        }
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir).context(self.dir.display())?;
        }
        Ok(())
    }

    fn save(&self) -> Outcome {
        let mut text = String::new();
        for (name, value) in self.variables() {
            writeln!(text, "{name}={value}").context("writing to memory")?;
        }
        writeln!(text, "dir={}", self.dir.display()).context("writing to memory")?;
        for pid in &self.pids {
            writeln!(text, "pid={pid}").context("writing to memory")?;
        }
        let path = state_file();
        fs::create_dir_all(path.parent().expect("a file in a folder")).context(path.display())?;
        fs::write(&path, text).context(path.display())
    }

    fn load() -> Option<Self> {
        let text = fs::read_to_string(state_file()).ok()?;
        let all = |name: &str| -> Vec<String> {
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            pairs
                .filter(|pair| pair.0 == name)
                .map(|pair| pair.1.to_owned())
                .collect()
        };
        Some(Self {
            bootstrap: all("KAFKA_BOOTSTRAP").pop()?,
            registry_url: all("SCHEMA_REGISTRY_URL").pop()?,
            jars: all("KAFKA_JARS").pop()?.into(),
            dir: all("dir").pop()?.into(),
            pids: all("pid")
                .iter()
                .filter_map(|pid| pid.parse().ok())
                .collect(),
        })
    }
}

/// Held while services of this work tree are started or stopped, so that two who do so at once wait for each other.
fn lock() -> Outcome<File> {
    let path = state_file().with_extension("lock");
    let dir = path.parent().expect("a file in a folder");
    fs::create_dir_all(dir).context(dir.display())?;
    let file = File::create(&path).context(path.display())?;
    file.lock().context(path.display())?;
    Ok(file)
}

fn state_file() -> PathBuf {
    root().join("target/services/state")
}

/// The usual port if nobody has it.
fn preferred(usual: u16, other: u16) -> u16 {
    if TcpListener::bind(("127.0.0.1", usual)).is_ok() {
        usual
    } else {
        other
    }
}

fn start(yes: bool, ports: [u16; 3], leashed: bool) -> Outcome<(Running, Vec<Child>)> {
    need::require(&need::SERVICES, yes)?;
    let downloads = download::all()?;
    let [broker, controller, registry_port] = ports;
    let mut running = Running {
        bootstrap: format!("127.0.0.1:{broker}"),
        registry_url: format!("http://127.0.0.1:{registry_port}/apis/ccompat/v7"),
        jars: downloads.kafka.clone(),
        dir: fresh_dir()?,
        pids: Vec::new(),
    };
    let mut children = Vec::new();
    let commands = [
        ("kafka.log", kafka(&downloads, &running, controller)?),
        (
            "registry.log",
            registry(&downloads, &running, registry_port),
        ),
    ];
    for (log, command) in commands {
        match spawn(command, &running.dir, log, leashed) {
            Ok(child) => {
                running.pids.push(child.id());
                children.push(child);
            }
            Err(failure) => return Err(given_up(&running, failure)),
        }
    }
    match wait_for(&running, &mut children) {
        Ok(()) => Ok((running, children)),
        Err(failure) => Err(given_up(&running, failure)),
    }
}

/// Leaves nothing behind but the failure.
fn given_up(running: &Running, failure: Failure) -> Failure {
    match running.stop() {
        Ok(()) => failure,
        Err(also) => Failure::new(format!("{failure}; and stopping what had started: {also}")),
    }
}

fn wait_for(running: &Running, children: &mut [Child]) -> Outcome {
    let [broker, registry] = children else {
        return Err(Failure::new("two services were started"));
    };
    let limit = Duration::from_mins(5);
    let started = Instant::now();
    let up = wait_until(limit, broker, || probe::kafka(&running.bootstrap))?;
    let up = up && wait_until(limit, registry, || probe::registry(&running.registry_url))?;
    if !up {
        let logs = ["kafka.log", "registry.log"].map(|name| tail(&running.dir.join(name)));
        return Err(Failure::new(format!(
            "the services did not come up\n{}",
            logs.join("\n")
        )));
    }
    say(format!(
        "kafka and the schema registry are up after {:.1} s",
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// The last lines of a log, for a failure's text.
fn tail(path: &Path) -> String {
    let text = fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    format!("-- {}\n{}", path.display(), lines.join("\n"))
}

/// A folder of our own for the data of one run.
fn fresh_dir() -> Outcome<PathBuf> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .context("the machine's clock")?;
    let dir = env::temp_dir().join(format!("weir-services-{}-{}", id(), now.as_millis()));
    fs::create_dir(&dir).context(dir.display())?;
    Ok(dir)
}

fn kafka(downloads: &download::Downloads, running: &Running, controller: u16) -> Outcome<Command> {
    let bootstrap = &running.bootstrap;
    let data = running.dir.join("kafka");
    let properties = running.dir.join("kafka.properties");
    // Days are recorded: their timestamps are neither "too old to keep" nor "too far in front" of this machine's clock.
    // Topics are made by whoever fills them, with the partitions that they need.
    let text = format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         listeners=PLAINTEXT://{bootstrap},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://{bootstrap}\n\
         controller.listener.names=CONTROLLER\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         group.initial.rebalance.delay.ms=0\n\
         log.message.timestamp.after.max.ms=9223372036854775807\n\
         log.retention.ms=-1\n\
         message.max.bytes=33554432\n\
         offsets.topic.num.partitions=1\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=1\n\
         transaction.state.log.replication.factor=1\n",
        data = data.display(),
    );
    fs::write(&properties, text).context(properties.display())?;
    let class_path = format!("{}/*", downloads.kafka.display());
    let java = |heap: &str, class: &str| {
        let mut java = Command::new("java");
        java.arg(heap)
            .args(["-cp", &class_path, class])
            .current_dir(&running.dir);
        java
    };
    let id = capture(java("-Xmx64m", "kafka.tools.StorageTool").arg("random-uuid"))?;
    let mut format = java("-Xmx128m", "kafka.tools.StorageTool");
    capture(
        format
            .args(["format", "-t", id.trim(), "-c"])
            .arg(&properties),
    )?;
    let mut kafka = java("-Xmx1g", "kafka.Kafka");
    kafka.arg(&properties);
    Ok(kafka)
}

fn registry(downloads: &download::Downloads, running: &Running, port: u16) -> Command {
    let mut registry = Command::new("java");
    registry.args([
        "-Xmx256m",
        &format!("-Dquarkus.http.port={port}"),
        "-Dquarkus.http.host=127.0.0.1",
    ]);
    registry.arg(format!("-Dweir.data={}", running.dir.display()));
    registry.arg("-jar").arg(&downloads.registry);
    registry
}

/// Starts a service in a process group of its own. On a leash it ends when our end of its guard's pipe closes.
fn spawn(command: Command, dir: &Path, log: &str, leashed: bool) -> Outcome<Child> {
    let path = dir.join(log);
    let log = File::create(&path).context(path.display())?;
    let mut command = if leashed { guarded(&command) } else { command };
    command.stdin(if leashed {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    command
        .stdout(log.try_clone().context(path.display())?)
        .stderr(log);
    command
        .current_dir(dir)
        .process_group(0)
        .spawn()
        .context("cannot run java")
}

/// The same command under a shell that ends it when its own input ends. The trap keeps the shell waiting for the
/// service when both are told to stop, and is not inherited as an ignored signal.
fn guarded(command: &Command) -> Command {
    const GUARD: &str = "trap : TERM; \"$@\" </dev/null & cat >/dev/null; kill $!; wait $!";
    let mut guard = Command::new("sh");
    guard
        .args(["-c", GUARD, "guard"])
        .arg(command.get_program())
        .args(command.get_args());
    guard
}
