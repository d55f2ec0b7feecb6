//! The command as shells, scripts and service managers meet it: whoever reads it goes away, its terminal goes, what it
//! is told cannot be done.
#![expect(
    clippy::disallowed_methods,
    reason = "a test waits for a process, and nothing else waits meanwhile"
)]

use crate::served::{PATIENCE, Served, eventually};
use crate::weir;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;
use tokio::time::Instant;

const SCHEMA: &str =
    r#"{"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}"#;
const NOON_MS: i64 = 1_772_452_800_000;

/// A pipeline of two topics and one table, and a day for it: a record at noon, one that is refused, one a second later.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let case = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        let source = |topic: &str| {
            format!(
                "  {topic}: {{ kafka: {{ cluster: none, topic: {topic} }}, decode: {{ json: {{ schema: raw.json }} }} }}\n"
            )
        };
        let text = format!(
            "weir: 1\nname: small\nclusters: {{ none: {{ bootstrap.servers: 127.0.0.1:1 }} }}\nsources:\n{}{}\
             stages:\n  both: {{ from: [one, two] }}\n  \
               counts: {{ from: both, aggregate: {{ by: [id], values: {{ n: {{ count: '*' }} }} }} }}\n\
             tables:\n  rows: {{ from: counts, key: [id] }}\n",
            source("one"),
            source("two")
        );
        case.write("pipeline.yaml", &text);
        case.write("raw.json", SCHEMA);
        fs::create_dir(case.path("day")).expect("a folder");
        let record = |offset: i64, value: Value| json!({"partition": 0, "offset": offset, "timestamp_ms": NOON_MS + offset * 500, "value": value});
        let records = [json!({"id": "a"}), json!({}), json!({"id": "b"})];
        let lines = (0..)
            .zip(records)
            .map(|(offset, value)| record(offset, value).to_string());
        case.write("day/one.jsonl", lines.collect::<Vec<_>>().join("\n"));
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).expect("a temporary file");
    }

    fn pipeline(&self) -> String {
        fs::read_to_string(self.path("pipeline.yaml")).expect("it was written")
    }

    /// The binary in the case's folder.
    fn weir(&self, args: &[&str]) -> Command {
        let mut command = Command::new(weir::binary());
        command.current_dir(self.folder.path()).args(args);
        command
    }

    /// Replays the day.
    fn run(&self, more: &[&str]) -> Command {
        let mut command = self.weir(&["run", "pipeline.yaml", "--replay", "day"]);
        command.args(["--listen", "127.0.0.1:0"]).args(more);
        command
    }
}

/// Exit code, standard output, standard error.
fn said(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// A pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// Goal: a pipeline needs nobody who reads its log, to the last checkpoint.
#[test]
fn a_log_reader_may_go_away() {
    let case = Case::new();
    let args = ["--until-end", "--dump", "out", "--state", "state"];
    for format in ["text", "json"] {
        let mut command = case.run(&args);
        command
            .args(["--log-format", format, "--fresh"])
            .stderr(closed());
        assert_eq!(command.status().expect("it starts").code(), Some(0));
        let table = fs::read_to_string(case.path("out/rows.jsonl")).expect("it is dumped");
        assert_eq!(table.lines().count(), 2, "{table}");
        let (code, shown, _) = said(&mut case.weir(&["state", "inspect", "state"]));
        assert!(
            code == Some(0) && shown.contains("offset      one partition 0: 3"),
            "{shown}"
        );
    }
}

/// Goal: `| head -1` ends the printing and nothing else; what cannot be written otherwise is one line.
#[test]
fn a_reader_may_have_enough() {
    let case = Case::new();
    let state = case.run(&["--until-end", "--state", "state"]).output();
    assert!(state.expect("it starts").status.success());
    case.write("bad.yaml", "weir: 2\n");
    let plugins = std::env::var_os("WEIR_PLUGINS")
        .map_or_else(|| weir::root().join("target/plugins"), PathBuf::from);
    let plugin = plugins.join("lcr.wasm");
    let plugin = plugin.to_str().expect("UTF-8");
    let served = Served::start(
        &case.path("pipeline.yaml"),
        "127.0.0.1:0",
        &case.path("day"),
        &[],
    );
    let at = ["--at", &served.origin];
    let list = [&["dead-letters", "list"][..], &at].concat();
    for (args, expected) in [
        (&["check", "bad.yaml"][..], 2),
        (&["check", "--format", "json", "bad.yaml"], 2),
        (&["state", "inspect", "state"], 0),
        (&["state", "verify", "state"], 0),
        (&["plugin", "describe", plugin], 0),
        (&list, 0),
    ] {
        let (code, shown, told) = said(&mut case.weir(args));
        assert!(
            code == Some(expected) && !shown.is_empty(),
            "{args:?}: {code:?} {shown} {told}"
        );
        let (code, _, told) = said(case.weir(args).stdout(closed()));
        assert!(
            code == Some(expected) && !told.contains("panicked"),
            "{args:?}: {code:?} {told}"
        );
        let full = File::options().write(true).open("/dev/full");
        let (code, _, told) = said(case.weir(args).stdout(full.expect("Linux has it")));
        assert_eq!(code, Some(1), "{args:?}: {told}");
        let line = told.lines().next_back().unwrap_or_default();
        assert!(
            line.starts_with("weir: cannot write to standard output: No space"),
            "{args:?}: {told}"
        );
        assert!(!told.contains("panicked"), "{args:?}: {told}");
    }
    let (_, shown, told) = said(&mut case.weir(&list));
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert_eq!(told, "weir: 1 of 1 dead letters\n");
}

/// Goal: a terminal that goes away ends a pipeline as SIGTERM does, but one that was started to outlive it goes on.
/// Method: SIGHUP, with the disposition that a shell leaves and with that of `nohup`.
#[test]
fn a_terminal_may_go_away() {
    let case = Case::new();
    for outlives in [false, true] {
        let own = case.run(&["--state", "state", "--fresh"]);
        let how: &[&str] = if outlives {
            &["nohup"]
        } else {
            // Whoever runs the tests may be meant to outlive a terminal, too.
            &["env", "--default-signal=HUP"]
        };
        let mut command = Command::new(how[0]);
        command
            .args(&how[1..])
            .current_dir(case.folder.path())
            .arg(own.get_program())
            .args(own.get_args());
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped"))
            .lines()
            .map_while(Result::ok);
        assert!(lines.any(|line| line.contains("to=Ended")), "the day ends");
        std::thread::spawn(move || lines.for_each(drop));
        weir::signal("HUP", &child.id().to_string());
        if outlives {
            std::thread::sleep(Duration::from_millis(500));
            assert_eq!(
                child
                    .try_wait()
                    .expect("it was started")
                    .map(|status| status.code()),
                None
            );
            weir::signal("TERM", &child.id().to_string());
        }
        let deadline = Instant::now() + PATIENCE;
        let ended = loop {
            if let Some(ended) = child.try_wait().expect("it was started") {
                break ended;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(ended.code(), Some(0));
        let (code, shown, _) = said(&mut case.weir(&["state", "inspect", "state"]));
        assert!(
            code == Some(0) && shown.contains("partition 0: 3"),
            "{shown}"
        );
    }
}

/// Goal: a user who may have no cache folder has the pipeline.
#[test]
fn a_cache_may_be_refused() {
    let case = Case::new();
    let mut command = case.run(&["--until-end"]);
    let (code, _, told) = said(
        command
            .env("HOME", "/dev/null")
            .env_remove("XDG_CACHE_HOME"),
    );
    assert_eq!(code, Some(0), "{told}");
    let warnings: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("/dev/null"))
        .collect();
    assert_eq!(warnings.len(), 1, "{told}");
    assert!(
        warnings[0].starts_with("weir: warning: cannot make /dev/null/.cache/weir/plugins: "),
        "{told}"
    );
}

/// Goal: a file that cannot be read is a finding like others. Method: a good file among three that cannot be read.
#[test]
fn what_cannot_be_read_is_a_finding() {
    let case = Case::new();
    case.write("latin.yaml", b"name: caf\xe9\n");
    case.write("bad.yaml", "weir: 2\n");
    let files = [
        "nowhere.yaml",
        "latin.yaml",
        "day",
        "bad.yaml",
        "pipeline.yaml",
    ];
    let args = [&["check", "--format", "json"], &files[..]].concat();
    let (code, shown, told) = said(&mut case.weir(&args));
    assert_eq!((code, told.as_str()), (Some(2), ""));
    let found: Vec<Value> = serde_json::from_str(&shown).expect("JSON");
    let unreadable = found
        .iter()
        .filter(|found| found["code"] == "file_unreadable");
    assert_eq!(
        unreadable.map(|found| &found["file"]).collect::<Vec<_>>(),
        files[..3]
    );
    assert!(
        found.iter().any(|found| found["file"] == "bad.yaml"),
        "{shown}"
    );
    for format in ["text", "fancy"] {
        let (code, shown, told) =
            said(&mut case.weir(&["check", "--format", format, "day", "pipeline.yaml"]));
        assert!(
            code == Some(2) && shown.contains("file_unreadable"),
            "{shown}{told}"
        );
    }
    let (code, _, told) = said(&mut case.weir(&["run", "nowhere.yaml"]));
    assert!(
        code == Some(2) && told.starts_with("nowhere.yaml:1:1: file_unreadable: "),
        "{told}"
    );
}

/// Goal: a folder whose files are not the pipeline's topics is told of. Method: one topic without a file, one misnamed.
#[test]
fn files_that_are_not_the_topics_are_told() {
    let case = Case::new();
    case.write("day/tow.jsonl", "");
    let (code, _, told) = said(&mut case.run(&["--until-end"]));
    assert_eq!(code, Some(0), "{told}");
    let warnings: Vec<&str> = told.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{told}");
    let expected = "topics without a file: two; files of topics that no source reads: tow";
    assert!(warnings[0].contains(expected), "{told}");
    fs::rename(case.path("day/tow.jsonl"), case.path("day/two.jsonl")).expect("it is there");
    let (_, _, told) = said(&mut case.run(&["--until-end"]));
    assert!(!told.contains("WARN"), "{told}");
}

/// Goal: what is asked for and cannot be done is told before anything is done.
#[test]
fn what_cannot_be_done_is_told_at_once() {
    let case = Case::new();
    case.write("full", "");
    for (args, expected) in [
        (
            &["--dump", "full/out"][..],
            "weir: --dump: cannot make full/out: ",
        ),
        (
            &["--fresh"],
            "weir: --fresh forgets a state folder, and none is named: add --state DIR",
        ),
        (
            &["--replay", "nowhere"],
            "weir: cannot read nowhere: No such file",
        ),
    ] {
        let mut command = case.weir(&[
            "run",
            "pipeline.yaml",
            "--until-end",
            "--listen",
            "127.0.0.1:0",
        ]);
        if args[0] != "--replay" {
            command.args(["--replay", "day"]);
        }
        let (code, _, told) = said(command.args(args));
        assert!(
            code == Some(2) && told.lines().any(|line| line.starts_with(expected)),
            "{code:?} {told}"
        );
        assert!(!told.contains("serving on"), "{told}");
    }
    let (code, _, told) = said(&mut case.weir(&["state", "inspect", "nowhere"]));
    assert_eq!(
        (code, told.as_str()),
        (
            Some(1),
            "weir: nowhere: No such file or directory (os error 2)\n"
        )
    );
}

/// Goal: a dump that will never be is told. Method: SIGTERM while a day is replayed as it went by.
#[test]
fn an_end_before_the_dump_is_told() {
    let case = Case::new();
    case.write(
        "day/two.jsonl",
        json!({"partition": 0, "offset": 0, "timestamp_ms": NOON_MS + 3_600_000}).to_string(),
    );
    let mut command = case.run(&["--until-end", "--speed", "1", "--dump", "out"]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped"))
        .lines()
        .map_while(Result::ok);
    assert!(lines.any(|line| line.contains("to=Live")), "the day begins");
    weir::signal("TERM", &child.id().to_string());
    let told: Vec<String> = lines.collect();
    let ended: ExitStatus = child.wait().expect("it was started");
    assert_eq!(ended.code(), Some(1));
    let last = told.last().expect("a line");
    assert_eq!(
        last,
        "weir: told to end before the replayed input had ended: nothing was dumped to out"
    );
}

/// Goal: with `--log-format json` every line is JSON, whatever is logged; a slip in `WEIR_LOG` turns nothing off.
#[test]
fn every_line_of_a_json_log_is_json() {
    let case = Case::new();
    let messages = |log: &str, args: &[&str]| -> Vec<(String, String)> {
        let mut command = case.weir(&["run", "pipeline.yaml", "--replay", "day", "--until-end"]);
        command.args(args);
        let (_, _, told) = said(command.args(["--log-format", "json"]).env("WEIR_LOG", log));
        let line = |line: &str| -> (String, String) {
            let line: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            (text(&line["level"]), text(&line["fields"]["message"]))
        };
        told.lines().map(line).collect()
    };
    let has = |messages: &[(String, String)], level: &str, begins: &str| {
        let mut messages = messages.iter();
        messages.any(|(found, message)| found == level && message.starts_with(begins))
    };
    let here = ["--listen", "127.0.0.1:0"];
    let off = messages("off", &here);
    assert!(
        off.len() == 1 && has(&off, "INFO", "serving on http://127.0.0.1:"),
        "{off:?}"
    );
    let failed = messages(
        "off",
        &["--listen", "192.0.2.1:9", "--allow-unauthenticated"],
    );
    assert!(
        has(&failed, "ERROR", "cannot listen on 192.0.2.1:9: "),
        "{failed:?}"
    );
    for slip in ["nonsense=", "inof"] {
        let slipped = messages(slip, &here);
        assert!(
            has(&slipped, "WARN", &format!("WEIR_LOG: `{slip}`")),
            "{slipped:?}"
        );
        assert!(has(&slipped, "INFO", "state changed"), "{slipped:?}");
    }
}

/// Goal: a table whose key is too short for its rows says so until its rows are unique again. Method: a key that is one
/// number for two ids, then for one.
#[tokio::test]
async fn a_key_that_is_too_short_is_told() {
    let case = Case::new();
    let text = case.pipeline();
    case.write("pipeline.yaml", text.replace("key: [id]", "key: [n]"));
    let record = |(offset, id): (i64, &str)| {
        json!({"partition": 0, "offset": offset, "timestamp_ms": NOON_MS + offset * 1000, "value": {"id": id}}).to_string()
    };
    let records = (0..).zip(["a", "b", "a"]).map(record);
    case.write("day/one.jsonl", records.collect::<Vec<_>>().join("\n"));
    for (until, odd) in [("12:00:01", 1), ("12:00:02", 0)] {
        let until = format!("2026-03-02T{until}Z");
        let served = Served::start(
            &case.path("pipeline.yaml"),
            "127.0.0.1:0",
            &case.path("day"),
            &["--until", &until],
        );
        let status = served.ended().await;
        let (_, ready) = served.get("/readyz").await;
        let expected = match odd {
            0 => json!([]),
            _ => json!([{
                "name": "rows", "keys": 1,
                "error": "1 of its keys have several rows, of which it shows one: n do not tell them apart",
            }]),
        };
        assert_eq!(
            [&status["tables"], &ready["tables"]],
            [&expected; 2],
            "{until}"
        );
        let (_, rows) = served.get("/api/v1/tables/rows/rows").await;
        assert_eq!(rows["total"], 2 - odd, "{rows}");
        // Both from after the last epoch.
        let expected = [("rows", 2 - odd), ("odd_keys", odd)]
            .map(|(name, value)| format!("weir_table_{name}{{table=\"rows\"}} {value}"));
        eventually("the table's metrics", async || {
            let answer = served.request("/metrics").send().await.expect("an answer");
            let metrics = answer.text().await.expect("text");
            let has = |line: &String| metrics.lines().any(|found| found == line);
            expected.iter().all(has).then_some(())
        })
        .await;
    }
}

/// Goal: what was refused of a recorded day is not sent to the topics. Method: brokers that nobody may call.
#[tokio::test]
async fn letters_of_a_recorded_day_are_not_sent() {
    let case = Case::new();
    let brokers = TcpListener::bind("127.0.0.1:0").expect("a free port");
    brokers.set_nonblocking(true).expect("a socket");
    let at = brokers.local_addr().expect("it is bound").to_string();
    let text = case.pipeline();
    case.write("pipeline.yaml", text.replace("127.0.0.1:1", &at));
    let served = Served::start(
        &case.path("pipeline.yaml"),
        "127.0.0.1:0",
        &case.path("day"),
        &[],
    );
    assert_eq!(served.ended().await["dead_letters"], 1);
    let origin = &*served.origin;
    for more in [
        &["--all"][..],
        &["--record", "one/0/1"],
        &["--all", "--dry-run"],
    ] {
        let args = [
            &["dead-letters", "replay", "pipeline.yaml", "--at", origin],
            more,
        ]
        .concat();
        let (code, shown, told) = said(&mut case.weir(&args));
        let expected = format!(
            "weir: {origin} replays a recorded day: its records are not those of the topics, which are left as they are; \
             mend the day's files, or name with --at a weir that reads the topics\n"
        );
        assert_eq!((code, &*shown, told), (Some(1), "", expected), "{more:?}");
    }
    let called = brokers.accept().map(|(_, caller)| caller);
    let called = called.map_err(|error| error.kind());
    assert_eq!(called, Err(ErrorKind::WouldBlock));
    assert_eq!(served.get("/api/v1/status").await.1["dead_letters"], 1);
}

/// Goal: no pipeline reads what it writes. Method: a sink, and the dead letters, to the topic of a source.
#[test]
fn a_pipeline_may_not_read_what_it_writes() {
    let case = Case::new();
    let text = case.pipeline();
    let begins = text.lines().count() + 1;
    for (more, column, code, reads, hint) in [
        (
            "sinks:\n  out: { from: rows, kafka: { cluster: none, topic: two } }\n",
            (1, 53),
            "bad_value",
            "the source `two` reads this topic: what is written would come in again",
            "write a topic of the sink's own",
        ),
        (
            "dead_letters: { kafka: { cluster: none, topic: one } }\n",
            (0, 48),
            "duplicate_name",
            "the source `one` reads this topic",
            "what is refused of it would be written to it again: give the dead letters a topic of their own",
        ),
    ] {
        case.write("loop.yaml", format!("{text}{more}"));
        let (line, column) = (begins + column.0, column.1);
        let expected = format!("loop.yaml:{line}:{column}: {code}: {reads}\n  hint: {hint}\n");
        let (exit, shown, told) = said(&mut case.weir(&["check", "--format", "text", "loop.yaml"]));
        assert_eq!((exit, shown, &*told), (Some(2), expected.clone(), ""));
        let run = [
            "run",
            "loop.yaml",
            "--replay",
            "day",
            "--listen",
            "127.0.0.1:0",
        ];
        let (exit, shown, told) = said(&mut case.weir(&run));
        assert_eq!((exit, &*shown, told), (Some(2), "", expected));
    }
}

/// Goal: what comes from the environment is in no message and no log, and hiding it tears no word apart. Method: a word
/// and a secret where each is wrong, then where they are right and everything is logged.
#[test]
fn what_the_environment_says_is_hidden() {
    const SECRET: &str = "hunter2-Hunter3";
    let case = Case::new();
    let text = case.pipeline();
    let hears = |args: &[&str], word: &str| {
        let mut command = case.weir(args);
        command.env("WORD", word).env("PASSWORD", SECRET);
        let (code, shown, told) = said(command.env("WEIR_LOG", "trace"));
        let all = shown + &told;
        assert!(!all.contains(SECRET) && !all.contains("hunter2"), "{all}");
        (code, all)
    };
    for (cluster, delivery, expected) in [
        (
            "none",
            "${env:WORD}",
            "`${env:WORD}` is not one of at_least_once, exactly_once",
        ),
        (
            "${env:PASSWORD}",
            "exactly_once",
            "there is no cluster `${env:PASSWORD}`",
        ),
    ] {
        let sink = format!(
            "sinks:\n  out: {{ from: rows, kafka: {{ cluster: \"{cluster}\", topic: out, delivery: \"{delivery}\" }} }}\n"
        );
        case.write("wrong.yaml", text.clone() + &sink);
        let run = ["run", "wrong.yaml", "--replay", "day"];
        let run = [&run[..], &["--listen", "127.0.0.1:0"]].concat();
        let json = ["check", "--format", "json", "wrong.yaml"];
        for args in [&["check", "wrong.yaml"][..], &json, &run] {
            let (code, told) = hears(args, "exactly");
            assert!(code == Some(2) && told.contains(expected), "{told}");
        }
    }
    let login = "127.0.0.1:1, security.protocol: sasl_plaintext, sasl.mechanism: PLAIN, sasl.username: \"${env:WORD}\", \
                 sasl.password: \"${env:PASSWORD}\"";
    case.write("right.yaml", text.replace("127.0.0.1:1", login));
    let run = [
        "run",
        "right.yaml",
        "--replay",
        "day",
        "--until-end",
        "--state",
        "state",
    ];
    for format in ["text", "json"] {
        let more = ["--fresh", "--listen", "127.0.0.1:0", "--log-format", format];
        let (code, told) = hears(&[&run[..], &more].concat(), "exactly");
        assert!(code == Some(0) && told.contains("state changed"), "{told}");
    }
}

/// Goal: a currency that is none is refused before anything runs, with place and cure. Method: a setting of the reference
/// pipeline.
#[test]
fn a_currency_is_three_capital_letters() {
    let check = |value: &str| {
        let mut command = Command::new(weir::binary());
        command.current_dir(weir::root());
        command.env("SIGNIFICANT_CURRENCIES", value);
        let pipeline = "pipelines/treasury-liquidity.yaml";
        said(command.args(["check", "--format", "text", pipeline]))
    };
    for bad in ["usd", "US", "USDX", "USD,eur"] {
        let (code, shown, told) = check(bad);
        let finding = "bad_config: the value does not match ";
        let hint = "\n  hint: Codes with commas between them";
        assert!(
            code == Some(2) && shown.contains(finding) && shown.contains(hint),
            "{bad}: {shown}{told}"
        );
    }
    let (code, shown, told) = check("EUR");
    assert_eq!(code, Some(0), "{shown}{told}");
}
