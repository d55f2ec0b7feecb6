//! A Kafka cluster of a test's own, whose brokers it may stop, kill and bring back.
#![expect(
    clippy::disallowed_methods,
    reason = "a broker takes a while to start, and nothing else waits meanwhile"
)]

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest wait for a broker to listen, on a machine that is busy.
const STARTING: Duration = Duration::from_mins(2);
/// Ends a broker when its own input ends: when the test says so or ends, however it ends. Itself it ends after the broker.
const GUARD: &str = "\"$@\" </dev/null & cat >/dev/null; kill -9 $!; wait";

/// Brokers on one machine; the first is the controller, too.
pub(super) struct Cluster {
    folder: tempfile::TempDir,
    class_path: String,
    brokers: Vec<Broker>,
}

struct Broker {
    address: String,
    properties: PathBuf,
    running: Option<Running>,
}

struct Running {
    guard: Child,
    leash: Option<ChildStdin>,
}

impl Cluster {
    /// A cluster of so many brokers, none of which runs yet.
    pub(super) fn new(brokers: usize) -> Self {
        let jars = std::env::var("KAFKA_JARS")
            .expect("KAFKA_JARS is where Kafka is: `cargo xtask services up` tells it");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ports = free_ports(brokers + 1);
        let mut this = Self {
            class_path: format!("{jars}/*"),
            brokers: Vec::new(),
            folder,
        };
        let id = this.tool(&["random-uuid"]);
        for (index, port) in ports[1..].iter().enumerate() {
            let address = format!("127.0.0.1:{port}");
            let properties = this.properties(index + 1, &address, ports[0]);
            this.tool(&["format", "-t", id.trim(), "-c", path(&properties)]);
            this.brokers.push(Broker {
                address,
                properties,
                running: None,
            });
        }
        this
    }

    fn properties(&self, node: usize, address: &str, controller: u16) -> PathBuf {
        let (roles, listeners) = match node {
            1 => (
                "broker,controller",
                format!("PLAINTEXT://{address},CONTROLLER://127.0.0.1:{controller}"),
            ),
            _ => ("broker", format!("PLAINTEXT://{address}")),
        };
        let text = format!(
            "process.roles={roles}\nnode.id={node}\nlisteners={listeners}\n\
             advertised.listeners=PLAINTEXT://{address}\ncontroller.listener.names=CONTROLLER\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\nlog.dirs={data}\nauto.create.topics.enable=false\n\
             log.message.timestamp.after.max.ms=9223372036854775807\nlog.retention.ms=-1\n\
             broker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=500\n",
            data = self.folder.path().join(format!("data-{node}")).display(),
        );
        let properties = self.folder.path().join(format!("{node}.properties"));
        fs::write(&properties, text).expect("a temporary file");
        properties
    }

    /// What Kafka's storage tool says.
    fn tool(&self, args: &[&str]) -> String {
        let mut java = self.java("-Xmx128m", "kafka.tools.StorageTool");
        let output = java.args(args).output().expect("java runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {error}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn java(&self, heap: &str, class: &str) -> Command {
        let mut java = Command::new("java");
        java.args([heap, "-cp", &self.class_path, class])
            .current_dir(self.folder.path());
        java
    }

    /// All brokers' addresses.
    pub(super) fn bootstrap(&self) -> String {
        let addresses: Vec<&str> = self
            .brokers
            .iter()
            .map(|one| one.address.as_str())
            .collect();
        addresses.join(",")
    }

    /// Starts brokers that do not run, and waits until they take connections.
    pub(super) fn start(&mut self) {
        for index in 0..self.brokers.len() {
            if self.brokers[index].running.is_none() {
                self.start_one(index);
            }
        }
    }

    fn start_one(&mut self, index: usize) {
        let log = File::create(self.folder.path().join(format!("{index}.log"))).expect("a file");
        let java = self.java("-Xmx384m", "kafka.Kafka");
        let broker = &mut self.brokers[index];
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(java.get_program())
            .args(java.get_args())
            .arg(&broker.properties)
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sh runs");
        let leash = guard.stdin.take();
        broker.running = Some(Running { guard, leash });
        let started = Instant::now();
        while TcpStream::connect(&broker.address).is_err() {
            assert!(
                started.elapsed() < STARTING,
                "broker {index} does not start"
            );
            sleep(Duration::from_millis(100));
        }
    }

    /// Kills a broker as a lost machine does; 0 is the first.
    pub(super) fn kill(&mut self, index: usize) {
        let running = self.brokers[index].running.take();
        drop(running.expect("it runs"));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.leash.take());
        self.guard.wait().expect("it was started");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
        .collect();
    let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
    held.iter().map(port).collect()
}
