//! Outages that last, and logs that are not what they were: each is told, nothing is lost, and the pipeline goes on by
//! itself or stops with the cure.

use super::brokers::{day, shows};
use super::cluster::Cluster;
use super::{Served, Topics, awake};
use crate::weir;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// How long brokers stay away: `WEIR_OUTAGE_S`, or a few seconds.
fn outage() -> Duration {
    let asked = std::env::var("WEIR_OUTAGE_S").ok();
    Duration::from_secs(asked.map_or(5, |seconds| seconds.parse().expect("a number of seconds")))
}

/// Longest time without a record that is in order.
const SILENT_S: u64 = 3_600;

/// A topic of rates on a cluster, and a pipeline that shows each of its records and keeps its state.
struct Rates {
    topics: Topics,
    bootstrap: String,
}

impl Rates {
    fn new(test: &str, bootstrap: String) -> Self {
        Self {
            topics: Topics::new(test),
            bootstrap,
        }
    }

    fn topic(&self) -> String {
        self.topics.named("refdata.fx")
    }

    fn feed(&self, what: &str, args: &[&str]) {
        let topic = self.topic();
        let common = [what, "--bootstrap", &self.bootstrap, "--name", &topic];
        weir::feed([&common[..], args].concat());
    }

    /// Publishes records: partition, offset, minute of the day, currency.
    fn publish(&self, records: &[(i64, i64, i64, &str)]) {
        let day = day(records);
        let args = ["--topic", "refdata.fx", "--bootstrap", &self.bootstrap];
        self.topics.publish(day.path(), &args);
    }

    fn pipeline(&self) -> PathBuf {
        self.topics.write(&self.text())
    }

    fn text(&self) -> String {
        format!(
            "weir: 1\nname: rates\n\
             engine: {{ clock: event, checkpoint: {{ every_s: 1, to: {folder}/state }} }}\n\
             clusters: {{ main: {{ bootstrap.servers: \"{bootstrap}\" }} }}\n\
             sources:\n  raw:\n    kafka: {{ cluster: main, topic: {topic} }}\n    \
               decode: {{ json: {{ schema: {root}/schemas/raw/rate.json }} }}\n    silent_after_s: {SILENT_S}\n\
             stages:\n  each: {{ from: raw, select: {{ part: _partition, place: _offset, ccy: ccy }} }}\n\
             tables:\n  all: {{ from: each, key: [part, place] }}\n",
            folder = self.topics.folder.path().display(),
            bootstrap = self.bootstrap,
            topic = self.topic(),
            root = weir::root().display(),
        )
    }

    fn start(&self) -> Served {
        Served::start(&self.pipeline())
    }

    /// Starts a run that must stop by itself, and say why with its cure.
    fn is_refused(&self, why: &[&str]) {
        stopped(self.start(), why);
    }
}

/// Waits until a run stops by itself, and says why.
fn stopped(mut weir: Served, why: &[&str]) {
    assert_eq!(weir.ended(), Some(1));
    weir.until_said(why);
}

fn error(status: &Value) -> Option<String> {
    status["sources"][0]["error"].as_str().map(str::to_owned)
}

/// What is told while brokers are away, in every place that tells.
fn is_told(weir: &Served, what: &str) {
    let status = weir.until("told of it", |status| error(status).is_some());
    let told = error(&status).expect("just seen");
    assert!(told.contains(what), "{told}");
    assert_eq!(weir.get("/readyz").1["topics"][0]["error"], told.as_str());
    measured(weir, "weir_source_failing{source=\"raw\"} 1");
}

/// Waits until a line is among the metrics, which are drawn now and then.
fn measured(weir: &Served, line: &str) {
    weir.until(line, |_| {
        let metrics = weir.get("/metrics").1;
        metrics.as_str().expect("text").contains(line)
    });
}

fn is_over(weir: &Served) {
    weir.until("told that it is over", |status| error(status).is_none());
    assert_eq!(weir.get("/readyz").1["topics"], json!([]));
    measured(weir, "weir_source_failing{source=\"raw\"} 0");
}

/// Goal: brokers may be away at start and in the middle, for long: it is told once each time, what is shown stays, and
/// reading goes on by itself. Method: a broker that starts late, is killed, and comes back with its log.
#[test]
fn brokers_that_are_away_come_back() {
    let mut cluster = Cluster::new(1);
    let rates = Rates::new("away", cluster.bootstrap());
    let weir = rates.start();
    is_told(&weir, "no broker of");
    assert_eq!(weir.status()["state"], "catching_up");
    assert_eq!(weir.get("/readyz").0, 503);
    weir.pause(outage());
    assert_eq!(weir.said("cannot be read").len(), 1);
    cluster.start();
    rates.publish(&[(0, 0, 10, "AAA")]);
    shows(&weir, "all", &["0/0 AAA"]);
    is_over(&weir);

    let said = weir.said("cannot be read").len();
    cluster.kill(0);
    is_told(&weir, "no broker of");
    weir.pause(outage());
    assert_eq!(weir.get("/readyz").0, 200, "what is shown stays right");
    assert_eq!(weir.status()["state"], "live");
    assert_eq!(weir.said("cannot be read").len(), said + 1);
    shows(&weir, "all", &["0/0 AAA"]);
    cluster.start();
    rates.publish(&[(0, 1, 20, "BBB")]);
    shows(&weir, "all", &["0/0 AAA", "0/1 BBB"]);
    is_over(&weir);
    weir.stop();
}

/// Goal: when a partition's leader is lost, the next one is read, without loss, doubling or help. Method: two brokers
/// with all records; the one that leads some partitions is killed, records come, it returns.
#[test]
fn another_leader_is_found() {
    let mut cluster = Cluster::new(2);
    cluster.start();
    let rates = Rates::new("leader", cluster.bootstrap());
    rates.feed("topic", &["--partitions", "4", "--replicas", "2"]);
    let at = |offset, ccy| [0, 1, 2, 3].map(|partition| (partition, offset, 10 + offset, ccy));
    rates.publish(&at(0, "AAA"));
    let weir = rates.start();
    let before = ["0/0 AAA", "1/0 AAA", "2/0 AAA", "3/0 AAA"];
    shows(&weir, "all", &before);
    cluster.kill(1);
    rates.publish(&at(1, "BBB"));
    let after = [
        "0/0 AAA", "0/1 BBB", "1/0 AAA", "1/1 BBB", "2/0 AAA", "2/1 BBB", "3/0 AAA", "3/1 BBB",
    ];
    shows(&weir, "all", &after);
    cluster.start();
    rates.publish(&at(2, "CCC"));
    weir.has_read(12);
    is_over(&weir);
    assert_eq!(weir.rows("/api/v1/dead-letters"), Vec::<Value>::new());
    weir.stop();
}

/// Goal: a topic that is deleted and made anew is never read on as if it were the old one. Method: remade with more
/// records than there were, while the pipeline runs and while it does not.
#[test]
fn a_topic_made_anew_stops_the_pipeline() {
    const WHY: [&str; 2] = ["made anew", "--fresh"];
    let mut cluster = Cluster::new(1);
    cluster.start();
    let rates = Rates::new("anew", cluster.bootstrap());
    rates.publish(&[(0, 0, 10, "AAA")]);
    let weir = rates.start();
    shows(&weir, "all", &["0/0 AAA"]);
    weir.until("a checkpoint", |status| {
        status["checkpoint"]["epoch"].as_u64().is_some()
    });
    let remake = |names: &[&str]| {
        rates.feed("delete", &[]);
        let records = (0..).zip(names).map(|(offset, ccy)| (0, offset, 20, *ccy));
        rates.publish(&records.collect::<Vec<_>>());
    };
    remake(&["BBB", "CCC"]);
    stopped(weir, &WHY);
    rates.is_refused(&WHY);
    let weir = Served::start_with(&rates.pipeline(), &["--fresh"]);
    shows(&weir, "all", &["0/0 BBB", "0/1 CCC"]);
    weir.stop();
    remake(&["DDD", "EEE", "FFF"]);
    rates.is_refused(&WHY);
}

/// Goal: records that retention took before they were read are never passed over in silence. Method: a run ends, the
/// log goes on and loses its beginning, the next run starts.
#[test]
fn retention_that_ate_the_next_offset_stops_the_pipeline() {
    let mut cluster = Cluster::new(1);
    cluster.start();
    let rates = Rates::new("eaten", cluster.bootstrap());
    rates.publish(&[(0, 0, 10, "AAA")]);
    let weir = rates.start();
    shows(&weir, "all", &["0/0 AAA"]);
    weir.stop();
    rates.publish(&[(0, 1, 20, "BBB"), (0, 2, 20, "CCC"), (0, 3, 20, "DDD")]);
    rates.feed("trim", &["--partition", "0", "--before", "3"]);
    rates.is_refused(&[
        "partition 0",
        "next offset to read is 1",
        "2 records are lost",
        "--fresh",
    ]);
    let weir = Served::start_with(&rates.pipeline(), &["--fresh"]);
    shows(&weir, "all", &["0/3 DDD"]);
    weir.stop();
}

/// Goal: a source that gives nothing for longer than its file allows is told, once, and so is its end; what is shown
/// stays. Method: a limit of a second.
#[test]
fn a_silent_source_is_told() {
    let _awake = awake();
    let rates = Rates::new(
        "silent",
        std::env::var("KAFKA_BOOTSTRAP").expect("a broker"),
    );
    rates.publish(&[(0, 0, 10, "AAA")]);
    let text = rates.text();
    let soon = text.replace(&format!("silent_after_s: {SILENT_S}"), "silent_after_s: 2");
    assert_ne!(text, soon);
    let weir = Served::start(&rates.topics.write(&soon));
    shows(&weir, "all", &["0/0 AAA"]);
    is_told(&weir, "no record for more than 2 s");
    assert_eq!(weir.get("/readyz").0, 200);
    assert_eq!(weir.status()["state"], "live");
    weir.pause(Duration::from_secs(2));
    assert_eq!(weir.said("no record for more than").len(), 1);
    rates.publish(&[(0, 1, 20, "BBB")]);
    shows(&weir, "all", &["0/0 AAA", "0/1 BBB"]);
    weir.until_said(&["silent no longer"]);
    weir.stop();
}

/// Goal: a full disk costs checkpoints, not the pipeline: it is told, and checkpoints come again when there is room.
/// Method: a small file system of the process's own, filled up before it starts and emptied later.
#[test]
fn a_full_disk_costs_checkpoints_only() {
    const ROOM_KIB: usize = 64;
    let _awake = awake();
    let rates = Rates::new("full", std::env::var("KAFKA_BOOTSTRAP").expect("a broker"));
    let folder = rates.topics.folder.path().join("state");
    std::fs::create_dir(&folder).expect("a temporary folder");
    let records = |from: i64| (from..from + 4_000).map(|offset| (0, offset, 10, "AAA"));
    rates.publish(&records(0).collect::<Vec<_>>());
    let command = weir::on_small_disk(&folder, ROOM_KIB);
    let weir = Served::start_as(command, &rates.pipeline(), &[]);
    let checkpoint = |status: &Value, what: &str| status["checkpoint"][what].clone();
    let status = weir.until("told that the disk is full", |status| {
        checkpoint(status, "error").is_string()
    });
    let told = checkpoint(&status, "error");
    let told = told.as_str().expect("just seen");
    assert!(
        told.contains("No space left") && told.contains("state"),
        "{told}"
    );
    weir.has_read(4_000);
    let (code, ready) = weir.get("/readyz");
    assert_eq!((code, &ready["checkpoint_error"]), (200, &json!(told)));
    assert_eq!(weir.said("no checkpoint can be written").len(), 1);
    rates.publish(&records(4_000).collect::<Vec<_>>());
    weir.has_read(8_000);

    let ballast = format!("/proc/{}/root{}/ballast", weir.child.id(), folder.display());
    std::fs::remove_file(ballast).expect("the process's own file system");
    let status = weir.until("checkpoints again", |status| {
        checkpoint(status, "error").is_null() && checkpoint(status, "epoch").is_u64()
    });
    assert!(checkpoint(&status, "failed").as_u64() > Some(0), "{status}");
    weir.until_said(&["checkpoints are written again"]);
    weir.stop();
}
