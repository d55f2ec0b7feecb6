//! The demo's day: what a person who watches it is promised happens, and in time.

use crate::weir;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// The demo replays at this speed: a second there is two minutes of its day.
const SPEED: i64 = 120;
const OPENS_S: i64 = 7 * 3_600;

fn generated(folder: &Path) {
    let folder = folder.to_str().expect("UTF-8");
    weir::feed(["day", "--seed", "7", "--out", folder]);
}

/// A table when a person has watched for so many seconds.
fn watched(day: &Path, seconds: i64, tables: [&str; 2]) -> [Vec<Value>; 2] {
    let at = OPENS_S + seconds * SPEED;
    let at = format!(
        "2026-03-02T{:02}:{:02}:{:02}Z",
        at / 3_600,
        at / 60 % 60,
        at % 60
    );
    let out = tempfile::tempdir().expect("a temporary folder");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (day, folder) = (text(day), text(out.path()));
    let args = [
        "--replay",
        &day,
        "--until",
        &at,
        "--until-end",
        "--dump",
        &folder,
        "--listen",
        "127.0.0.1:0",
    ];
    weir::run_to_end("pipelines/treasury-liquidity.yaml", &args);
    tables.map(|table| {
        let rows = std::fs::read_to_string(out.path().join(format!("{table}.jsonl")))
            .expect("a dumped table");
        rows.lines()
            .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
            .collect()
    })
}

/// The ratio in hundredths of a percent, which is exact enough to watch.
fn ratio(row: &Value, column: &str) -> i64 {
    let text = row[column].as_str().expect("a ratio");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<4.4}").parse().expect("digits")
}

/// Goal: the demo shows what it says, in each regime. Method: the tables after as many seconds as a person has watched:
/// ratios a bank could have, movement at once, a dip of one entity under 100 % and back within a minute, an override that
/// comes, shows beside the unadjusted ratio, and goes within three.
#[test]
fn the_demo_tells_its_story() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let day = folder.path();
    generated(day);
    let seconds = [0, 10, 30, 60, 65, 120, 170, 270];
    let seen = seconds.map(|second| watched(day, second, ["lcr", "adjustments"]));
    for ([ratios, _], second) in seen.iter().zip(seconds) {
        assert_eq!(ratios.len(), 12, "four entities in three regimes");
        for row in ratios {
            assert_eq!(row["state"], "ok", "after {second} s: {row}");
            assert!(
                (9_000..=18_000).contains(&ratio(row, "lcr")),
                "after {second} s: {row}"
            );
        }
    }
    let [
        start,
        moved,
        dipped,
        recovered,
        overridden,
        still,
        over,
        end,
    ] = seen;
    assert_ne!(start[0], moved[0], "nothing moved in ten seconds");
    let under = |[ratios, _]: &[Vec<Value>; 2]| -> BTreeSet<String> {
        let under = ratios.iter().filter(|row| ratio(row, "lcr") < 10_000);
        under
            .map(|row| format!("{} {}", row["entity"], row["regime"]).replace('"', ""))
            .collect()
    };
    let dip = ["MER-UK basel", "MER-UK eu", "MER-UK us"];
    assert_eq!(under(&dipped), dip.map(str::to_owned).into());
    for rest in [&start, &recovered, &overridden, &still, &over, &end] {
        assert_eq!(under(rest), BTreeSet::new());
    }
    let adjusted =
        |[ratios, _]: &[Vec<Value>; 2]| ratios.iter().any(|row| row["lcr"] != row["base_lcr"]);
    assert_eq!(
        [&recovered, &overridden, &still, &over, &end].map(adjusted),
        [false, true, true, false, false]
    );
    let [_, adjustments] = &overridden;
    assert_eq!(adjustments[0]["state"], "active");
    assert_ne!(
        adjustments[0]["user"], adjustments[0]["approver"],
        "two people"
    );
    assert_eq!(over[1][0]["state"], "expired");
}
