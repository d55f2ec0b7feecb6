//! Goal: `latest` and `dedupe` depend on each partition's log alone: not on how partitions interleave
//! nor on how epochs are cut. Method: random logs in random interleavings against a plain replay.

use super::{
    Cell, Collection, Refused, Row, Rows, add, config, delta, integrate, projected, reborn, refuse,
    run, text,
};
use crate::meta;
use crate::op::{DedupeSpec, LatestSpec, Names, OpSpec, Step};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A record: its rows' key, version (null too), deletion mark, value.
type Record = Vec<(u8, Option<i64>, bool, u8)>;

const PARTITIONS: [(&str, i32); 3] = [("t", 0), ("s", 1), ("t", 10)];

fn schema() -> SchemaRef {
    let mut fields: Vec<FieldRef> = meta::fields();
    let own = [
        Field::new("key", DataType::Utf8, true),
        Field::new("version", DataType::Int64, true),
        Field::new("gone", DataType::Boolean, false),
        Field::new("value", DataType::Int64, false),
    ];
    fields.extend(own.map(Arc::new));
    Arc::new(Schema::new(fields))
}

fn rows(partition: usize, offset: i64, record: &Record) -> Rows {
    let (topic, number) = PARTITIONS[partition];
    let row = |&(key, version, gone, value): &(u8, Option<i64>, bool, u8)| {
        let key = if key == 0 {
            Cell::Null
        } else {
            text(&format!("k{key}"))
        };
        let version = version.map_or(Cell::Null, Cell::Int);
        let own = [key, version, Cell::Bool(gone), Cell::Int(value.into())];
        let place = [
            text(topic),
            Cell::Int(number.into()),
            Cell::Int(offset),
            Cell::Int(7),
            Cell::Null,
        ];
        (place.into_iter().chain(own).collect(), 1)
    };
    record.iter().map(row).collect()
}

/// Logs of the partitions; the order in which partitions are read; records per step.
type Case = (Vec<Vec<Record>>, Vec<usize>, Vec<usize>);

fn record() -> impl Strategy<Value = Record> {
    let version = prop_oneof![1 => Just(None), 12 => (0_i64..4).prop_map(Some)];
    let row = (0_u8..4, version, prop::bool::weighted(0.1), 0_u8..2);
    prop_oneof![
        4 => row.clone().prop_map(|row| vec![row]),
        2 => vec(row, 1..4),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    // Some cases keep to one partition, where versions and conflicts come to more.
    let logs = prop_oneof![
        vec(vec(record(), 0..10), 3),
        vec(record(), 0..24).prop_map(|log| vec![log, Vec::new(), Vec::new()]),
    ];
    (logs, vec(0_usize..3, 0..40), vec(1_usize..6, 40))
}

/// The records in one order that keeps each partition's, cut into steps.
fn steps(logs: &[Vec<Record>], order: &[usize], cuts: &[usize]) -> Vec<(Vec<Rows>, i64)> {
    let mut next = [0; 3];
    let mut records = Vec::new();
    for partition in order
        .iter()
        .copied()
        .chain((0..3).flat_map(|p| std::iter::repeat_n(p, 40)))
    {
        if let Some(record) = logs[partition].get(next[partition]) {
            let offset = i64::try_from(next[partition]).unwrap() * 3;
            records.push(rows(partition, offset, record));
            next[partition] += 1;
        }
    }
    let mut steps = Vec::new();
    let mut cuts = cuts.iter();
    while !records.is_empty() {
        let count = cuts
            .next()
            .copied()
            .unwrap_or(records.len())
            .min(records.len());
        steps.push((vec![records.drain(..count).flatten().collect()], 0));
    }
    steps
}

/// What a replay of one partition knows of a key: versions with content and first offset; conflicts.
#[derive(Clone, Default)]
struct Known {
    versions: BTreeMap<i64, (Vec<Row>, Vec<Row>, i64)>,
    conflicts: Vec<i64>,
}

/// The twin of `latest`.
fn latest(logs: &[Vec<Record>]) -> (Collection, Refused) {
    let mut keys: BTreeMap<Cell, BTreeMap<(&str, i32), Known>> = BTreeMap::new();
    let mut refused = Refused::new();
    for (partition, log) in logs.iter().enumerate() {
        for (index, record) in log.iter().enumerate() {
            let offset = i64::try_from(index).unwrap() * 3;
            replay(
                &mut keys,
                &mut refused,
                partition,
                offset,
                &rows(partition, offset, record),
            );
        }
    }
    let mut shown = Collection::new();
    for (_, partitions) in keys {
        for (rank, ((topic, number), known)) in partitions.into_iter().enumerate() {
            let mut refuse = |offset: i64, code: &str| {
                let key = (topic.to_owned(), number, offset, code.to_owned());
                *refused.entry(key).or_insert(0) += 1;
            };
            known
                .conflicts
                .iter()
                .for_each(|&offset| refuse(offset, "version_conflict"));
            if rank > 0 {
                known
                    .versions
                    .values()
                    .for_each(|v| refuse(v.2, "key_in_two_partitions"));
            } else if let Some((_, (_, rows, _))) = known.versions.last_key_value() {
                for row in rows {
                    add(&mut shown, row.clone(), 1);
                }
            }
        }
    }
    (shown, refused)
}

fn replay(
    keys: &mut BTreeMap<Cell, BTreeMap<(&'static str, i32), Known>>,
    refused: &mut Refused,
    partition: usize,
    offset: i64,
    rows: &Rows,
) {
    let place = PARTITIONS[partition];
    let mut units: Vec<((Cell, Cell, Cell), Vec<Row>)> = Vec::new();
    for (row, _) in rows {
        // A deletion's version says nothing, but tells units apart.
        if row[6] == Cell::Null && row[7] == Cell::Bool(false) {
            let key = (
                place.0.to_owned(),
                place.1,
                offset,
                "null_version".to_owned(),
            );
            *refused.entry(key).or_insert(0) += 1;
            continue;
        }
        let unit = (row[5].clone(), row[6].clone(), row[7].clone());
        match units.iter_mut().find(|(known, _)| *known == unit) {
            Some((_, rows)) => rows.push(row.clone()),
            None => units.push((unit, vec![row.clone()])),
        }
    }
    for ((key, version, gone), rows) in units {
        let known = keys.entry(key).or_default();
        if gone == Cell::Bool(true) {
            known.remove(&place);
            continue;
        }
        let Cell::Int(version) = version else {
            unreachable!("null versions are out")
        };
        let mut content: Vec<Row> = rows.iter().map(|row| row[5..].to_vec()).collect();
        content.sort();
        let known = known.entry(place).or_default();
        let first = known
            .versions
            .entry(version)
            .or_insert((content.clone(), rows, offset));
        if first.0 != content {
            known.conflicts.push(offset);
        }
    }
}

/// The twin of `dedupe`.
fn first(logs: &[Vec<Record>]) -> Collection {
    let mut all: Vec<Row> = Vec::new();
    for (partition, log) in logs.iter().enumerate() {
        for (index, record) in log.iter().enumerate() {
            let offset = i64::try_from(index).unwrap() * 3;
            all.extend(
                rows(partition, offset, record)
                    .into_iter()
                    .map(|(row, _)| row),
            );
        }
    }
    // Stable: rows of one record keep their order.
    all.sort_by(|one, two| one[..3].cmp(&two[..3]));
    let mut seen = std::collections::BTreeSet::new();
    all.into_iter()
        .filter(|row| seen.insert(row[5].clone()))
        .map(|row| (row, 1))
        .collect()
}

fn spec() -> OpSpec {
    OpSpec::Latest(LatestSpec {
        key: vec!["key".to_owned()],
        version: "version".to_owned(),
        tombstone: Some("gone".to_owned()),
    })
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn latest_is_its_replay((logs, order, cuts) in case()) {
        let schemas = [schema()];
        let (want, refused) = latest(&logs);
        for steps in [steps(&logs, &order, &cuts), steps(&logs, &[], &[]), steps(&logs, &[], &[1; 40])] {
            let answers = run(&mut reborn(&spec(), &schemas), &schemas, &steps);
            if let Some(answer) = answers.last() {
                prop_assert_eq!(&answer.0, &want);
                prop_assert_eq!(&answer.1, &refused);
            }
        }
    }

    /// Goal: what is held back, and columns that nobody wants, change nothing in what is wanted. Method: some
    /// steps are absorbed, some answered in part, and only some columns are wanted.
    #[test]
    fn latest_may_hold_back(
        (logs, order, cuts) in case(),
        ways in vec(0_u8..3, 40),
        wanted in proptest::sample::subsequence(
            schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>(),
            1..=9,
        ),
    ) {
        let schemas = [schema()];
        let wanted: Names = wanted.into_iter().collect();
        let mut operator = spec().build_narrow(&schemas, &wanted).unwrap();
        let (mut shown, mut told) = (Collection::new(), Refused::new());
        let none = (vec![Rows::new()], 0);
        let steps = steps(&logs, &order, &cuts);
        for ((rows, _), way) in steps.iter().zip(ways).chain([(&none, 2), (&none, 0)]) {
            let inputs = [delta(&schemas[0], &rows[0])];
            let Step { delta, refusals } = match way {
                0 => operator.step(&inputs, 0),
                1 => operator.absorb(&inputs, 0),
                _ => operator.release(&inputs, 0).0,
            };
            integrate(&mut shown, &delta);
            refuse(&mut told, &refusals);
        }
        let (want, refused) = latest(&logs);
        prop_assert_eq!(shown, projected(&want, &schemas[0], &operator.schema()));
        prop_assert_eq!(told, refused);
    }

    #[test]
    fn dedupe_keeps_the_first((logs, order, cuts) in case()) {
        let schemas = [schema()];
        let spec = OpSpec::Dedupe(DedupeSpec { key: vec!["key".to_owned()] });
        for steps in [steps(&logs, &order, &cuts), steps(&logs, &[], &[])] {
            let answers = run(&mut reborn(&spec, &schemas), &schemas, &steps);
            if let Some(answer) = answers.last() {
                prop_assert_eq!(answer, &(first(&logs), Refused::new()));
            }
        }
    }
}

/// Goal: two branches of one topic may be united before `latest`. Method: the branches' rows one after
/// the other in each step, as `union` gives them.
#[test]
fn branches_of_a_topic_meet_again() {
    let records: Vec<Record> = vec![vec![(1, Some(1), false, 0)], vec![(1, Some(2), false, 1)]];
    let mut united: Rows = Vec::new();
    for branch in 0..2 {
        for (offset, record) in records.iter().enumerate() {
            for (mut row, weight) in rows(0, i64::try_from(offset).unwrap(), record) {
                row[8] = Cell::Int(branch);
                united.push((row, weight));
            }
        }
    }
    let mut operator = spec().build(&[schema()]).unwrap();
    let answers = run(operator.as_mut(), &[schema()], &[(vec![united], 0)]);
    let (shown, refused) = answers.last().unwrap();
    assert_eq!(shown.len(), 2);
    assert!(shown.keys().all(|row| row[6] == Cell::Int(2)));
    assert!(refused.is_empty());
}

/// Goal: a release answers a part and says so. Method: more keys than it answers at once.
#[test]
fn a_release_is_bounded() {
    let mut operator = spec().build(&[schema()]).unwrap();
    let record = |key: i64| {
        let mut rows = rows(0, key, &vec![(1, Some(1), false, 0)]);
        rows[0].0[5] = text(&format!("k{key}"));
        rows
    };
    let rows: Rows = (0..20_000).flat_map(record).collect();
    let none = [delta(&schema(), &[])];
    assert_eq!(
        operator.absorb(&[delta(&schema(), &rows)], 0).delta.len(),
        0
    );
    let mut answered = Vec::new();
    loop {
        let (step, more) = operator.release(&none, 0);
        answered.push(step.delta.len());
        if !more {
            break;
        }
    }
    assert_eq!(answered, [8_192, 8_192, 3_616]);
    assert_eq!(operator.step(&none, 0).delta.len(), 0);
}

#[test]
fn a_log_has_no_retractions() {
    let mut operator = spec().build(&[schema()]).unwrap();
    let record = vec![(1, Some(1), false, 0)];
    let retracted = rows(0, 0, &record)
        .into_iter()
        .map(|(row, _)| (row, -1))
        .collect();
    let answers = run(operator.as_mut(), &[schema()], &[(vec![retracted], 0)]);
    let key = ("t".to_owned(), 0, 0, "retraction_in_log".to_owned());
    assert_eq!(
        answers.last(),
        Some(&(Collection::new(), Refused::from([(key, 1)])))
    );
}
