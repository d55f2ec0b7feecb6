//! The twins of the operators over collections.

use super::{Cell, Collection, Refused, Row, add};
use arrow::datatypes::i256;
use std::collections::BTreeMap;

/// `filter`, `project`, `explode`: each row by itself.
pub(super) fn rowwise(input: &Collection, rows: impl Fn(&Row) -> Vec<Row>) -> Collection {
    let mut out = Collection::new();
    for (row, weight) in input {
        for row in rows(row) {
            add(&mut out, row, *weight);
        }
    }
    out
}

/// `valid`: rows whose interval holds the clock.
pub(super) fn valid(input: &Collection, from: usize, until: usize, clock: i64) -> Collection {
    let in_force = |row: &Row| {
        let begun = match row[from] {
            Cell::Int(from) => from <= clock,
            _ => true,
        };
        let open = match row[until] {
            Cell::Int(until) => clock < until,
            _ => true,
        };
        begun && open
    };
    rowwise(input, |row| {
        if in_force(row) {
            vec![row.clone()]
        } else {
            Vec::new()
        }
    })
}

/// `join`, by nested loops. `take` are right columns.
pub(super) fn join(
    left: &Collection,
    right: &Collection,
    on: &[(usize, usize)],
    take: &[usize],
    is_left: bool,
    at_most_one: bool,
) -> (Collection, Refused) {
    let (mut out, mut refused) = (Collection::new(), Refused::new());
    let taken = |row: &Row| -> Row { take.iter().map(|&index| row[index].clone()).collect() };
    // The right side as the join sees it: only key and taken columns tell rows apart.
    let mut partners: BTreeMap<Row, Collection> = BTreeMap::new();
    for (row, weight) in right {
        let key: Row = on.iter().map(|&(_, index)| row[index].clone()).collect();
        if !key.contains(&Cell::Null) {
            add(partners.entry(key).or_default(), taken(row), *weight);
        }
    }
    for rows in partners.values_mut() {
        let missing: i64 = rows.values().filter(|weight| **weight < 0).sum();
        note(&mut refused, "retracted_unknown", -missing);
        rows.retain(|_, weight| *weight > 0);
        if at_most_one {
            let count: i64 = rows.values().sum();
            note(&mut refused, "more_than_one_match", (count - 1).max(0));
            let least = rows.keys().next().cloned();
            *rows = least.into_iter().map(|row| (row, 1)).collect();
        }
    }
    for (row, weight) in left {
        let key: Row = on.iter().map(|&(index, _)| row[index].clone()).collect();
        let found = partners.get(&key).filter(|rows| !rows.is_empty());
        let nulls = Collection::from([(vec![Cell::Null; take.len()], 1)]);
        let lonely = is_left.then_some(&nulls);
        for (partner, count) in found.or(lonely).into_iter().flatten() {
            let joined = row.iter().chain(partner).cloned().collect();
            add(&mut out, joined, weight * count);
        }
    }
    (out, refused)
}

fn note(refused: &mut Refused, code: &str, weight: i64) {
    if weight != 0 {
        *refused
            .entry((String::new(), -1, -1, code.to_owned()))
            .or_insert(0) += weight;
    }
}

/// `aggregate` by column 0 over column 1 (decimals) and column 2 (texts): sum, count, rows, min, max, mean.
pub(super) fn aggregate(input: &Collection, digits_max: u32) -> (Collection, Refused) {
    let mut groups: BTreeMap<&Cell, Vec<(&Row, i64)>> = BTreeMap::new();
    for (row, weight) in input {
        groups.entry(&row[0]).or_default().push((row, *weight));
    }
    let (mut out, mut refused) = (Collection::new(), Refused::new());
    for (key, rows) in groups {
        let count: i64 = rows.iter().map(|(_, weight)| weight).sum();
        let numbers: Vec<(i256, i64)> = rows
            .iter()
            .filter_map(|(row, weight)| match row[1] {
                Cell::Digits(value) => Some((value, *weight)),
                _ => None,
            })
            .collect();
        let sum = numbers.iter().fold(i256::ZERO, |sum, (value, weight)| {
            sum + *value * i256::from(*weight)
        });
        let valued: i64 = numbers.iter().map(|(_, weight)| weight).sum();
        // Values whose weights sum to more than 0, whatever else is in their rows.
        let mut texts: BTreeMap<&Cell, i64> = BTreeMap::new();
        for (row, weight) in &rows {
            *texts.entry(&row[2]).or_insert(0) += weight;
        }
        texts.retain(|text, weight| **text != Cell::Null && *weight != 0);
        let is_clear = sum == i256::ZERO && valued == 0 && texts.is_empty();
        if count < 0 || (count == 0 && !is_clear) {
            note(&mut refused, "retracted_unknown", 1);
        }
        if count <= 0 {
            continue;
        }
        let limit = i256::from(10).wrapping_pow(digits_max);
        if sum >= limit || sum <= -limit {
            note(&mut refused, "overflow", 1);
            continue;
        }
        let there: Vec<&Cell> = texts
            .iter()
            .filter(|(_, weight)| **weight > 0)
            .map(|(text, _)| *text)
            .collect();
        let extreme = |cell: Option<&&Cell>| cell.map_or(Cell::Null, |cell| (*cell).clone());
        let mean = match valued {
            ..=0 => Cell::Null,
            _ => Cell::Digits(half_even(sum * i256::from(1_000_000), i256::from(valued))),
        };
        let row = vec![
            key.clone(),
            Cell::Digits(sum),
            Cell::Int(valued),
            Cell::Int(count),
            extreme(there.first()),
            extreme(there.last()),
            mean,
        ];
        add(&mut out, row, 1);
    }
    (out, refused)
}

/// `n / d` for a positive divisor, from the definition.
fn half_even(n: i256, d: i256) -> i256 {
    let (quotient, rest) = (n.wrapping_div(d), n.wrapping_rem(d));
    let (floor, rest) = if rest < i256::ZERO {
        (quotient - i256::ONE, rest + d)
    } else {
        (quotient, rest)
    };
    let odd = floor.wrapping_rem(i256::from(2)) != i256::ZERO;
    match (rest + rest).cmp(&d) {
        std::cmp::Ordering::Greater => floor + i256::ONE,
        std::cmp::Ordering::Equal if odd => floor + i256::ONE,
        _ => floor,
    }
}

/// `override`. Rows of input 0: any columns, `set` the one replaced; overrides: scope, key, rank, value.
pub(super) fn overridden(
    input: &Collection,
    overrides: &Collection,
    scopes: &[(&str, usize)],
    set: usize,
) -> (Collection, Refused) {
    let mut refused = Refused::new();
    for (row, weight) in overrides {
        let is_known = scopes.iter().any(|(name, _)| row[0] == super::text(name));
        note(
            &mut refused,
            "unknown_scope",
            if is_known { 0 } else { *weight },
        );
    }
    refused.retain(|_, weight| *weight != 0);
    let winner = |row: &Row| {
        scopes.iter().find_map(|&(name, column)| {
            let matches = |other: &&Row| {
                other[0] == super::text(name) && other[1] == row[column] && other[1] != Cell::Null
            };
            let there = overrides
                .iter()
                .filter(|(_, weight)| **weight > 0)
                .map(|(row, _)| row);
            there
                .filter(matches)
                .max_by_key(|other| (&other[2], &other[3]))
        })
    };
    let out = rowwise(input, |row| {
        let winner = winner(row);
        let mut out = row.clone();
        if let Some(value) = winner
            .map(|other| &other[3])
            .filter(|value| **value != Cell::Null)
        {
            out[set] = value.clone();
        }
        out.push(row[set].clone());
        out.push(winner.map_or(Cell::Null, |other| other[2].clone()));
        vec![out]
    });
    (out, refused)
}
