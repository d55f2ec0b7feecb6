//! Goal: `latest` and `dedupe` depend on each partition's log alone: not on how partitions interleave
//! nor on how epochs are cut. Method: random logs in random interleavings against a plain replay.

use super::{
    Cell, Collection, Refused, Row, Rows, add, config, delta, integrate, projected, reborn, refuse,
    run, text,
};
use crate::meta;
use crate::op::latest::entry::LOWER_MAX;
use crate::op::{DedupeSpec, LatestSpec, Names, OpSpec, Operator, Step};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
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

/// A record with its partition and offset.
type Placed = (usize, i64, Record);

/// The records in one order that keeps each partition's.
fn merged(logs: &[Vec<Record>], order: &[usize]) -> Vec<Placed> {
    let mut next = [0; 3];
    let mut records = Vec::new();
    for partition in order
        .iter()
        .copied()
        .chain((0..3).flat_map(|p| std::iter::repeat_n(p, 40)))
    {
        if let Some(record) = logs[partition].get(next[partition]) {
            let offset = i64::try_from(next[partition]).unwrap() * 3;
            records.push((partition, offset, record.clone()));
            next[partition] += 1;
        }
    }
    records
}

/// The same, cut into steps.
fn steps(logs: &[Vec<Record>], order: &[usize], cuts: &[usize]) -> Vec<(Vec<Rows>, i64)> {
    let records = merged(logs, order);
    let rows = |(partition, offset, record): &Placed| rows(*partition, *offset, record);
    let mut records: Vec<Rows> = records.iter().map(rows).collect();
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

/// What an operator over logs is told.
enum Told {
    Record(Placed),
    /// These keys are forgotten.
    Forget(BTreeSet<Cell>),
}

fn all(logs: &[Vec<Record>]) -> Vec<Told> {
    merged(logs, &[]).into_iter().map(Told::Record).collect()
}

/// The twin of `latest`.
fn latest(told: &[Told]) -> (Collection, Refused) {
    let mut keys: BTreeMap<Cell, BTreeMap<(&str, i32), Known>> = BTreeMap::new();
    let mut refused = Refused::new();
    for told in told {
        match told {
            Told::Record((partition, offset, record)) => {
                let rows = rows(*partition, *offset, record);
                replay(&mut keys, &mut refused, *partition, *offset, &rows);
            }
            Told::Forget(gone) => keys.retain(|key, _| !gone.contains(key)),
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
        if known.versions.len() > LOWER_MAX + 1 {
            known.versions.pop_first();
        }
    }
}

/// The twin of `dedupe`.
fn first(told: &[Told]) -> Collection {
    let mut all: Vec<Row> = Vec::new();
    for told in told {
        match told {
            Told::Record((partition, offset, record)) => {
                let rows = rows(*partition, *offset, record);
                all.extend(rows.into_iter().map(|(row, _)| row));
            }
            Told::Forget(gone) => all.retain(|row| !gone.contains(&row[5])),
        }
    }
    // Stable: rows of one record keep their order.
    all.sort_by(|one, two| one[..3].cmp(&two[..3]));
    let mut seen = BTreeSet::new();
    all.into_iter()
        .filter(|row| seen.insert(row[5].clone()))
        .map(|row| (row, 1))
        .collect()
}

/// What happens to an operator that forgets: so many records come, or the weights of keys that another stage names
/// change, and maybe it is time to forget.
#[derive(Clone, Debug)]
enum Event {
    Records(usize),
    Named(Vec<(u8, i64)>, bool),
}

fn event() -> impl Strategy<Value = Event> {
    let named = vec((0_u8..4, prop_oneof![Just(1_i64), Just(-1)]), 0..4);
    prop_oneof![
        (1_usize..5).prop_map(Event::Records),
        (named, any::<bool>()).prop_map(|(named, is_time)| Event::Named(named, is_time)),
    ]
}

/// Drives an operator through the events; answers what it was told in the words of its twin, and its result.
fn forgetting(
    spec: &OpSpec,
    records: Vec<Placed>,
    events: &[Event],
) -> (Vec<Told>, (Collection, Refused)) {
    let schemas = [schema()];
    let names = Schema::new(vec![Field::new("key", DataType::Utf8, true)]);
    let names: SchemaRef = Arc::new(names);
    let mut operator = reborn(spec, &schemas);
    let (mut shown, mut refused) = (Collection::new(), Refused::new());
    let mut told = Vec::new();
    let mut records = records.into_iter();
    // Each key's weights since it was last time to forget.
    let mut weights: BTreeMap<Cell, Vec<i64>> = BTreeMap::new();
    for event in events {
        let (mut now, mut again) = (Rows::new(), true);
        match event {
            Event::Records(count) => {
                for (partition, offset, record) in records.by_ref().take(*count) {
                    now.extend(rows(partition, offset, &record));
                    told.push(Told::Record((partition, offset, record)));
                }
            }
            Event::Named(changes, is_time) => {
                let key = |key: u8| match key {
                    0 => Cell::Null,
                    _ => text(&format!("k{key}")),
                };
                let changes = changes
                    .iter()
                    .map(|&(name, weight)| (vec![key(name)], weight));
                let changes: Rows = changes.collect();
                for (row, weight) in changes.iter().filter(|(row, _)| row[0] != Cell::Null) {
                    let weights = weights.entry(row[0].clone()).or_insert_with(|| vec![0]);
                    weights.push(weights.last().unwrap() + weight);
                }
                again = operator.forget(&delta(&names, &changes), *is_time);
                if *is_time {
                    let is_new = |weights: &Vec<i64>| {
                        *weights.last().unwrap() > 0 && weights.iter().any(|weight| *weight <= 0)
                    };
                    let gone = weights.iter().filter(|(_, weights)| is_new(weights));
                    told.push(Told::Forget(gone.map(|(key, _)| key.clone()).collect()));
                    for weights in weights.values_mut() {
                        weights.drain(..weights.len() - 1);
                    }
                }
            }
        }
        if again {
            let step = operator.step(&[delta(&schemas[0], &now).into()], 0);
            integrate(&mut shown, &step.delta.whole());
            refuse(&mut refused, &step.refusals);
        }
    }
    (told, (shown, refused))
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
        let (want, refused) = latest(&all(&logs));
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
            let inputs = [delta(&schemas[0], &rows[0]).into()];
            let Step { delta, refusals } = match way {
                0 => operator.step(&inputs, 0),
                1 => operator.absorb(&inputs, 0),
                _ => operator.release(&inputs, 0).0,
            };
            integrate(&mut shown, &delta.whole());
            refuse(&mut told, &refusals);
        }
        let (want, refused) = latest(&all(&logs));
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
                prop_assert_eq!(answer, &(first(&all(&logs)), Refused::new()));
            }
        }
    }
}

proptest! {
    #![proptest_config(config(1500))]

    /// Goal: a key that comes to be named leaves with all that is known of it, and what comes later starts anew.
    /// Method: names come and go between records, in every order, with deaths between steps, against a plain replay.
    #[test]
    fn what_is_named_is_forgotten((logs, order, _) in case(), events in vec(event(), 0..24)) {
        let (told, answer) = forgetting(&spec(), merged(&logs, &order), &events);
        prop_assert_eq!(answer, latest(&told));
        let dedupe = OpSpec::Dedupe(DedupeSpec { key: vec!["key".to_owned()] });
        let (told, answer) = forgetting(&dedupe, merged(&logs, &order), &events);
        prop_assert_eq!(answer, (first(&told), Refused::new()));
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
    let none = [delta(&schema(), &[]).into()];
    assert_eq!(
        operator
            .absorb(&[delta(&schema(), &rows).into()], 0)
            .delta
            .len(),
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
