//! Going on behind a checkpoint with the folder that it was made from, its rest, and others.

use super::*;
use std::fs;

const TOPICS: [&str; 2] = ["a", "b"];

/// A folder with records of both topics at these offsets, minute by minute, whose values hold this.
fn folder(offsets: std::ops::Range<i64>, value: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for topic in TOPICS {
        let line = |offset| {
            format!(
                r#"{{"partition":0,"offset":{offset},"timestamp_ms":{},"key":"k","value":{{"v":"{value}"}}}}"#,
                offset * 60_000
            )
        };
        let text: Vec<String> = offsets.clone().map(line).collect();
        fs::write(
            folder.path().join(format!("{topic}.jsonl")),
            text.join("\n"),
        )
        .expect("a file");
    }
    folder
}

type Kept = Vec<(Position, Option<String>)>;

fn topics() -> Vec<Topic> {
    let topic = |name: &str| Topic {
        name: name.to_owned(),
        encode: None,
        encode_key: None,
    };
    TOPICS.map(topic).into()
}

/// Goes on with a folder up to a minute; answers what a checkpoint would keep, and how many records there were.
fn go_on(
    folder: &Path,
    until_min: i64,
    kept: &Kept,
    clock_min: Option<i64>,
) -> Result<(Kept, usize), ReplayError> {
    let us = |minute| minute * 60_000_000;
    let replay = Replay::read(folder, &topics(), Some(us(until_min)), Pace::Max)?;
    let mut replay = replay.going_on(folder, &topics(), kept.clone(), clock_min.map(us))?;
    let mut records = 0;
    while !replay.is_ended() {
        let polled = replay.poll(3, usize::MAX, &[false; 2]);
        records += polled
            .batches
            .iter()
            .map(|(_, batch)| batch.records.len())
            .sum::<usize>();
    }
    let standing = replay.standing().into_iter();
    Ok((
        standing
            .map(|standing| (standing.position, standing.identity))
            .collect(),
        records,
    ))
}

fn nothing() -> Kept {
    vec![(Position::new(), None); 2]
}

#[test]
fn a_folder_goes_on_with_itself_and_its_rest_alone() {
    let day = folder(0..20, "x");
    let (noon, records) = go_on(day.path(), 9, &nothing(), None).expect("a start");
    assert_eq!(records, 20);
    let (whole, records) = go_on(day.path(), 99, &noon, Some(9)).expect("the same day");
    assert_eq!(records, 20);
    assert_eq!(
        whole,
        go_on(day.path(), 99, &nothing(), None).expect("a start").0
    );
    assert_eq!(
        go_on(day.path(), 99, &whole, Some(19)).expect("the same day"),
        (whole.clone(), 0)
    );

    let rest = folder(10..20, "x");
    let (later, records) = go_on(rest.path(), 14, &noon, Some(9)).expect("what comes behind");
    assert_eq!(records, 10);
    assert_eq!(
        go_on(rest.path(), 99, &later, Some(14))
            .expect("the same rest")
            .1,
        10
    );

    for other in [folder(0..20, "y"), folder(1..20, "x"), folder(9..20, "x")] {
        let error = go_on(other.path(), 99, &noon, Some(9)).expect_err("another day");
        let told = error.to_string();
        assert!(
            told.contains(" of a, b up to ") && told.contains("--fresh"),
            "{told}"
        );
    }
    let error = go_on(day.path(), 8, &noon, Some(9)).expect_err("it is over");
    let told = error.to_string();
    assert!(
        told.contains("T00:09:00") && told.contains("--until 1970-01-01T00:08:00"),
        "{told}"
    );
}

/// What a checkpoint says of a source stays as long as nothing of it is replayed.
#[test]
fn a_topic_that_is_away_is_known_later() {
    let day = folder(0..20, "x");
    let (noon, _) = go_on(day.path(), 9, &nothing(), None).expect("a start");
    let part = folder(0..20, "x");
    fs::remove_file(part.path().join("b.jsonl")).expect("it is there");
    let (later, _) = go_on(part.path(), 14, &noon, Some(9)).expect("a part of the day");
    assert_eq!(later[1], noon[1]);
    let other = folder(0..20, "y");
    assert!(matches!(
        go_on(other.path(), 99, &later, None),
        Err(ReplayError::OtherDay { .. })
    ));
    assert_eq!(
        go_on(day.path(), 99, &later, Some(14))
            .expect("the same day")
            .1,
        15
    );
}
