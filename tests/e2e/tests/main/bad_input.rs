//! Bad input to the reference pipeline: what cannot be right is refused with file, line and cure; what is missing is
//! said by the state of whoever it is missing for. Nothing is a silent zero.

use crate::weir;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use weir_e2e::day::{Run, lines};

/// A copy of the pipeline and what it reads, with one text replaced in one of the files.
pub(crate) fn with_changed(file: &str, old: &str, new: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for folder in ["pipelines", "schemas/raw", "schemas/rules", "schemas/lcr"] {
        let (from, to) = (weir::root().join(folder), copy.path().join(folder));
        std::fs::create_dir_all(&to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("the folder") {
            let path = entry.expect("a file").path();
            std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
        }
    }
    let target = weir::root().join("target");
    std::os::unix::fs::symlink(target, copy.path().join("target")).expect("a link");
    let path = copy.path().join(file);
    let text = std::fs::read_to_string(&path).expect("a file");
    assert_eq!(text.matches(old).count(), 1, "{old} is in {file} once");
    std::fs::write(&path, text.replace(old, new)).expect("the file is written");
    copy
}

/// What a run says that does not start.
fn refusal(copy: &Path) -> String {
    let mut command = Command::new(weir::binary());
    command
        .args(["run", "pipelines/treasury-liquidity.yaml", "--replay"])
        .arg(weir::root().join("tests/days/sample-core"))
        .args(["--until-end", "--listen", "127.0.0.1:0"]);
    let plugins = std::env::var_os("WEIR_PLUGINS")
        .unwrap_or_else(|| weir::root().join("target/plugins").into());
    let output = command
        .current_dir(copy)
        .env("WEIR_PLUGINS", plugins)
        .output()
        .expect("the binary runs");
    assert!(!output.status.success(), "it does not start");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Goal: rules that do not hold together are refused before anything runs. Method: one fault each in a copy.
#[test]
fn rules_that_do_not_hold_together_are_refused() {
    let cap = "basel,cap.level_2,40%,,,,B238 48\n";
    for (new, expected) in [
        (
            "basel,cap.level_2,40%,,2026-03-01,,B238 48\nbasel,cap.level_2,40%,2026-03-02,,,B238 48\n",
            [
                "basel.csv:7: ",
                "leaves a gap",
                "let that end on the day on which this begins",
            ],
        ),
        (
            "basel,cap.level_2,40%,,2026-03-03,,B238 48\nbasel,cap.level_2,40%,2026-03-02,,,B238 48\n",
            [
                "basel.csv:7: ",
                "overlaps",
                "let that end on the day on which this begins",
            ],
        ),
        (
            "basle,cap.level_2,40%,,,,B238 48\n",
            [
                "basel.csv:6: ",
                "unknown regime `basle`",
                "write one of basel, us, eu",
            ],
        ),
        (
            "basel,cap.level_2,140%,,,,B238 48\n",
            [
                "basel.csv:6: ",
                "140% is above 1",
                "mend it, or flag it `above_one`",
            ],
        ),
        (
            "",
            [
                "basel.csv:",
                "has no rule `cap.level_2`",
                "add a line for it",
            ],
        ),
    ] {
        let copy = with_changed("schemas/rules/basel.csv", cap, new);
        let told = refusal(copy.path());
        for part in expected {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}

fn replay(day: &Path, out: &Path) {
    let run = Run::reference(weir::root(), weir::binary());
    run.replay(day, "2026-03-02T12:00:00Z", out, &[])
        .expect("the day replays");
}

/// Goal: what is missing or unknown is told where it matters. Method: a day without one currency's rate, and with a
/// balance of a kind that there is not.
#[test]
fn what_is_missing_is_told() {
    let (day, out, whole) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let source = weir::root().join("tests/days/sample-core");
    replay(&source, whole.path());
    for entry in std::fs::read_dir(&source).expect("the day") {
        let path = entry.expect("a file").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(&path).expect("a file");
        let is_kept = |line: &&str| name != "refdata.fx.jsonl" || !line.contains("EUR");
        let mut kept: Vec<String> = text.lines().filter(is_kept).map(str::to_owned).collect();
        if name == "balances.jsonl" {
            let value = json!({"accountId": "ODD", "version": 1, "kind": "deposit_of_gold", "ccy": "USD", "amount": 5, "entity": "BANK-US"});
            kept.push(json!({"partition": 77, "offset": 0, "timestamp_ms": 1_772_449_200_000_i64, "key": "ODD", "value": value}).to_string());
        }
        std::fs::write(day.path().join(name), kept.join("\n")).expect("a file is written");
    }
    replay(day.path(), out.path());
    let table =
        |folder: &Path, name: &str| lines(&folder.join(format!("{name}.jsonl"))).expect("a table");
    let of = |rows: &[Value], column: &str, value: &str| -> Vec<String> {
        let rows = rows.iter().filter(|row| row[column] == value);
        rows.map(|row| row["entity"].to_string()).collect()
    };
    let missing = of(&table(out.path(), "positions"), "reason", "no_rate");
    assert!(!missing.is_empty(), "some positions are in euros");
    let incomplete = of(&table(out.path(), "lcr"), "state", "incomplete");
    assert!(
        missing.iter().all(|entity| incomplete.contains(entity)),
        "{missing:?} {incomplete:?}"
    );
    assert!(of(&table(whole.path(), "lcr"), "state", "incomplete").len() < incomplete.len());
    let letters = table(out.path(), "dead_letters");
    let odd = letters
        .iter()
        .find(|letter| letter["partition"] == 77)
        .expect("the balance is refused");
    assert_eq!(odd["field"], "kind", "{odd}");
    assert!(
        odd["message"]
            .as_str()
            .is_some_and(|message| message.contains("deposit_retail_stable")),
        "{odd}"
    );
}
