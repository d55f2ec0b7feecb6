//! What a pipeline keeps between two runs, as operators meet it: stop, go on, damage, another plan, a second process.

use crate::served::day;
use crate::weir;
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
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(sent.expect("there is a kill").success());
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
