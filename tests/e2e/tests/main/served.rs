//! A pipeline that is served while it runs, and asked over HTTP.

use crate::weir;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longest wait for anything: a loaded machine is slow, a broken product never gets there.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
const REFERENCE: &str = "pipelines/treasury-liquidity.yaml";
const PAUSE: Duration = Duration::from_millis(50);

/// The binary at work; killed when dropped.
pub(crate) struct Served {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(crate) origin: String,
    http: reqwest::Client,
}

/// A recorded day of the repository.
pub(crate) fn day(name: &str) -> PathBuf {
    weir::root().join("tests/days").join(name)
}

impl Served {
    /// Replays a day through the reference pipeline and serves it at any free port.
    pub(crate) fn replay(day: &Path, more: &[&str]) -> Self {
        Self::replay_at("127.0.0.1:0", day, more)
    }

    /// The same at a given address.
    pub(crate) fn replay_at(listen: &str, day: &Path, more: &[&str]) -> Self {
        Self::start(Path::new(REFERENCE), listen, day, more)
    }

    /// Replays a day with a setting, served at any free port.
    pub(crate) fn replay_by((name, value): (&str, &str), day: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(weir::binary());
        command.env(name, value);
        Self::started(command, Path::new(REFERENCE), "127.0.0.1:0", day, more)
    }

    /// Replays a day through any pipeline.
    pub(crate) fn start(pipeline: &Path, listen: &str, day: &Path, more: &[&str]) -> Self {
        Self::started(Command::new(weir::binary()), pipeline, listen, day, more)
    }

    /// The same, by a command that starts the binary with what is said to it.
    pub(crate) fn started(
        mut command: Command,
        pipeline: &Path,
        listen: &str,
        day: &Path,
        more: &[&str],
    ) -> Self {
        command
            .current_dir(weir::root())
            .arg("run")
            .arg(pipeline)
            .args(["--listen", listen]);
        command
            .arg("--replay")
            .arg(day)
            .args(more)
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", weir::binary().display()));
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped"))
            .lines()
            .map_while(Result::ok);
        let mut said = vec![];
        let origin = loop {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("the binary ended:\n{}", said.join("\n")));
            if let Some((_, origin)) = line.split_once("serving on ") {
                break origin.to_owned();
            }
            said.push(line);
        };
        // Whatever else it says is read, lest it blocks.
        std::thread::spawn(move || lines.for_each(drop));
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client without TLS");
        Self {
            child,
            origin,
            http,
        }
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.origin.trim_start_matches("http://")
    }

    /// An answer's status and JSON body.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.request(path).send().await.expect("the server answers");
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// A request to be sent.
    pub(crate) fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}{path}", self.origin))
    }

    /// Asks again and again until the answer will do.
    pub(crate) async fn until(&self, path: &str, will_do: impl Fn(u16, &Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, body) = self.get(path).await;
            if will_do(status, &body) {
                return body;
            }
            assert!(Instant::now() < deadline, "{path} stays {status} {body}");
            sleep(PAUSE).await;
        }
    }

    /// Waits until the replay has come to its end.
    pub(crate) async fn ended(&self) -> Value {
        self.until("/api/v1/status", |_, body| body["state"] == "ended")
            .await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Tries again and again until there is something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    attempt: impl Fn() -> F,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(Instant::now() < deadline, "in {PATIENCE:?} never: {what}");
        sleep(PAUSE).await;
    }
}
