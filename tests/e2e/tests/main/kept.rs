//! What a pipeline keeps between two runs, as operators meet it: stop, go on, damage, another plan, a second process.

use crate::books::{self, Book};
use crate::served::day;
use crate::weir;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const PIPELINE: &str = "pipelines/treasury-liquidity.yaml";
const MORNING: &str = "2026-03-02T09:00:00Z";
const NOON: &str = "2026-03-02T12:00:00Z";
/// Tables by the name of their file.
type Tables = BTreeMap<String, String>;

fn weir(args: &[&str]) -> Command {
    let mut command = Command::new(weir::binary());
    command.current_dir(weir::root()).args(args);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Replays the core day up to an instant, keeping what it knows; answers when it is there.
fn replay_until(instant: &str, state: &Path) -> Child {
    let core = day("sample-core");
    let args = ["run", PIPELINE, "--replay", text(&core), "--until", instant];
    let mut command = weir(&args);
    command.args(["--listen", "127.0.0.1:0", "--state", text(state)]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let stderr = child.stderr.take().expect("it is piped");
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    assert!(
        lines.any(|line| line.contains("Ended")),
        "the instant is reached"
    );
    std::thread::spawn(move || lines.for_each(drop));
    child
}

/// Ends it as a service manager does; answers its exit code.
fn terminate(mut child: Child) -> Option<i32> {
    weir::signal("TERM", &child.id().to_string());
    child.wait().expect("it was started").code()
}

/// Replays the rest of the day; answers its tables, and what was said.
fn rest(pipeline: &str, more: &[&str]) -> Result<(Tables, String), (i32, String)> {
    let (core, out) = (day("sample-core"), tempfile::tempdir().expect("a folder"));
    let mut command = weir(&["run", pipeline, "--replay", text(&core), "--until-end"]);
    command.args(["--dump", text(out.path()), "--listen", "127.0.0.1:0"]);
    let output = command.args(more).output().expect("it starts");
    match output.status.code() {
        Some(0) => Ok((files(out.path()), told(&output))),
        code => Err((code.expect("it was not killed"), told(&output))),
    }
}

fn files(folder: &Path) -> Tables {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let file = |entry: std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path()).expect("it is text");
        (entry.file_name().into_string().expect("UTF-8"), text)
    };
    entries.map(file).collect()
}

fn whole() -> Tables {
    rest(PIPELINE, &[]).expect("it ends well").0
}

/// Goal: SIGTERM writes what is known and exits 0, the next run goes on from there, and a second process is refused by
/// the name of the first. Method: the core day in two runs against one.
#[test]
fn a_stopped_pipeline_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    let first = replay_until(NOON, &state);
    let (code, said) = rest(PIPELINE, &["--state", text(&state)]).expect_err("the folder is held");
    let name = format!("process {} on ", first.id());
    assert!(code == 2 && said.contains(&name), "{code}: {said}");
    assert_eq!(terminate(first), Some(0));

    let inspected = weir(&["state", "inspect", text(&state)])
        .output()
        .expect("it starts");
    let shown = String::from_utf8_lossy(&inspected.stdout).into_owned();
    assert!(inspected.status.success(), "{shown}");
    for line in [
        "pipeline    treasury-liquidity",
        "clock       2026-03-02T12:00:00",
        "offset      raw_fx partition 0: ",
    ] {
        assert!(shown.contains(line), "{line:?} in\n{shown}");
    }
    let (code, said) = rest(PIPELINE, &["--state", text(&state), "--until", MORNING])
        .expect_err("the morning is over");
    assert!(
        code == 2 && said.contains("after --until 2026-03-02T09:00:00"),
        "{code}: {said}"
    );
    let other = day("sample-day");
    let mut command = weir(&["run", PIPELINE, "--until-end", "--listen", "127.0.0.1:0"]);
    command.args(["--replay", text(&other), "--state", text(&state)]);
    let output = command.output().expect("it starts");
    let said = told(&output);
    assert!(
        output.status.code() == Some(2)
            && said.contains("are not those that the checkpoint was made from"),
        "{said}"
    );
    let (tables, said) = rest(PIPELINE, &["--state", text(&state)]).expect("it ends well");
    assert!(said.contains("state restored"), "{said}");
    assert_eq!(tables, whole());
}

/// Goal: a damaged file is found before it is used, and the checkpoint before it serves; when there is none, the run is
/// refused until it is told to begin anew. Method: one bit of the newest segment, then half of each manifest.
#[test]
fn damage_is_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    for instant in [MORNING, NOON] {
        assert_eq!(terminate(replay_until(instant, &state)), Some(0));
    }
    let found = |ending: &str| {
        let entries = std::fs::read_dir(&state).expect("the state").flatten();
        let paths = entries.map(|entry| entry.path());
        let ends = |path: &PathBuf| path.extension().is_some_and(|found| found == ending);
        paths.filter(ends).collect::<BTreeSet<_>>()
    };
    let verify = || {
        let output = weir(&["state", "verify", text(&state)]).output();
        let output = output.expect("it starts");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), shown)
    };
    assert_eq!(verify().0, Some(0));

    let segment = found("seg").pop_last().expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&segment, bytes).expect("it can be written");
    let (code, shown) = verify();
    assert_eq!(code, Some(2), "{shown}");
    assert!(
        shown.contains("damaged: ") && shown.contains(text(&segment)),
        "{shown}"
    );
    let (tables, said) = rest(PIPELINE, &["--state", text(&state)]).expect("one is left");
    assert!(said.contains("the checkpoint before it is used"), "{said}");
    assert_eq!(tables, whole());

    for manifest in found("json") {
        let bytes = std::fs::read(&manifest).expect("it is there");
        std::fs::write(&manifest, &bytes[..bytes.len() / 2]).expect("it can be written");
    }
    let (code, said) = rest(PIPELINE, &["--state", text(&state)]).expect_err("none is left");
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("no whole checkpoint is left") && said.contains("--fresh"),
        "{said}"
    );
    let fresh = ["--state", text(&state), "--fresh"];
    assert_eq!(rest(PIPELINE, &fresh).expect("it begins anew").0, whole());
}

/// Goal: a checkpoint of another plan is refused with what differs. Method: one stage of the pipeline is changed.
#[test]
fn another_plan_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("state");
    assert_eq!(terminate(replay_until(NOON, &state)), Some(0));
    let pipeline = std::fs::read_to_string(weir::root().join(PIPELINE)).expect("the pipeline");
    let own = pipeline.replace("../", &format!("{}/", weir::root().display()));
    let other = own.replace("action <> 'CANCEL'", "action <> 'CANCELLED'");
    assert_ne!(other, own, "the pipeline has the stage");
    let path = folder.path().join("other.yaml");
    std::fs::write(&path, other).expect("a temporary file");
    let (code, said) =
        rest(text(&path), &["--state", text(&state)]).expect_err("it is another plan");
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("of another plan: stage ") && said.contains("--fresh"),
        "{said}"
    );
}

/// What is left of a book on 20 March, when what is over is remembered for so many days: its tables, and the entries of
/// its state. There was a restart on the 16th.
fn remembering(days: &str, book: &Book) -> (Tables, u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [day, state, out] = ["day", "state", "out"].map(|name| folder.path().join(name));
    std::fs::create_dir(&day).expect("a folder");
    books::write(book, &day);
    for until in ["2026-03-16T00:00:00Z", "2026-03-20T00:00:00Z"] {
        let mut command = weir(&["run", PIPELINE, "--replay", text(&day), "--until-end"]);
        command.args(["--until", until, "--dump", text(&out)]);
        command.args(["--state", text(&state), "--listen", "127.0.0.1:0"]);
        let output = command.env("KEEP_DAYS", days).output().expect("it starts");
        assert!(output.status.success(), "{}", told(&output));
    }
    let inspected = weir(&["state", "inspect", text(&state)]).output();
    let inspected = String::from_utf8(inspected.expect("it starts").stdout).expect("UTF-8");
    let segments = inspected.lines().filter(|line| line.starts_with("segment"));
    let entries = segments.map(|line| {
        let (count, _) = line.split_once(" entries").expect("a segment has entries");
        let count = count.rsplit(' ').next().expect("a number");
        count.parse::<u64>().expect("a number")
    });
    let mut tables = files(&out);
    // A refusal goes with what was refused.
    tables.remove("dead_letters.jsonl");
    (tables, entries.sum())
}

/// Milliseconds since 1970 of an hour of March 2026.
fn march(day: i64, hour: i64) -> i64 {
    1_772_323_200_000 + ((day - 1) * 24 + hour) * 3_600_000
}

fn rows(tables: &Tables, name: &str) -> Vec<Value> {
    let lines = tables[name].lines();
    let row = |line: &str| serde_json::from_str(line).expect("a row");
    lines.map(row).collect()
}

fn id<'r>(row: &'r Value, name: &str) -> &'r str {
    row[name].as_str().unwrap_or_default()
}

/// A confirmation, as recorded.
fn confirmed(offset: usize, trade: &str, quantity: &Value, at_ms: i64) -> Value {
    let confirmation = format!("LATE-{trade}");
    json!({
        "partition": 80, "offset": offset, "timestamp_ms": at_ms, "key": confirmation,
        "value": { "confirmationId": confirmation, "tradeId": trade, "quantity": quantity,
                   "settledAt": "2026-03-03T08:00:00Z" },
    })
}

/// Goal: what is over leaves the state and no table shows it; what comes later still starts anew, as the pipeline says.
/// Method: a generated book, whose failed trades are confirmed on the next day and whose holdings come anew on the day
/// after that, with a short memory beside a long one; then a deal and its confirmation once more.
#[test]
fn what_is_over_leaves_without_a_trace() {
    let mut book = books::book(11);
    let (open, _) = remembering("10", &book);
    let failed: BTreeMap<String, Value> = rows(&open, "failed.jsonl")
        .iter()
        .map(|row| (id(row, "trade_id").to_owned(), row["quantity"].clone()))
        .collect();
    let confirmations = book.get_mut("settlements").expect("the topic");
    for (offset, (trade, quantity)) in failed.iter().enumerate() {
        let quantity = if quantity.is_null() {
            json!(1)
        } else {
            quantity.clone()
        };
        confirmations.push(confirmed(offset, trade, &quantity, march(3, 9)));
    }
    let holdings = book.get_mut("holdings").expect("the topic");
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    for line in holdings.iter() {
        last.insert(id(line, "key").to_owned(), line.clone());
    }
    for (number, mut line) in last
        .into_values()
        .filter(|line| line["value"].is_object())
        .enumerate()
    {
        line["offset"] = json!(1_000_000 + number);
        line["timestamp_ms"] = json!(march(4, 1));
        line["value"]["version"] = json!(1_000_000);
        holdings.push(line);
    }
    let (long, all) = remembering("5000", &book);
    let (short, left) = remembering("10", &book);
    let confirmed_now = failed.len() - rows(&long, "failed.jsonl").len();
    assert!(confirmed_now * 2 > failed.len(), "most are confirmed");
    for (name, table) in &long {
        assert_eq!(short[name], *table, "{name}");
    }
    // Its booking, its confirmation, and both again where they meet.
    let gone = 3 * u64::try_from(confirmed_now).expect("a count");
    assert!(left + gone < all, "{left} of {all} entries are left");

    let is_over = |line: &&Value| failed.contains_key(id(&line["value"], "dealId"));
    let deals = book.get_mut("trades.fx").expect("the topic");
    let mut deal = deals
        .iter()
        .rfind(is_over)
        .expect("a deal that failed")
        .clone();
    let deal_id = id(&deal["value"], "dealId").to_owned();
    deal["offset"] = json!(1_000_000);
    deal["timestamp_ms"] = json!(march(18, 1));
    deals.push(deal);
    let fails = |tables: &Tables| {
        let failed = rows(tables, "failed.jsonl");
        failed.iter().any(|row| id(row, "trade_id") == deal_id)
    };
    assert!(
        !fails(&remembering("5000", &book).0),
        "it is known, and confirmed"
    );
    assert!(fails(&remembering("10", &book).0), "it is a new deal");
    let confirmations = book.get_mut("settlements").expect("the topic");
    confirmations.push(confirmed(1_000_000, &deal_id, &json!(1), march(18, 2)));
    assert!(!fails(&remembering("10", &book).0), "it is confirmed again");
}
