//! A call that a plugin does not survive is made again in halves, down to the rows (or groups) that are to blame.

use crate::error::Verdict;
use std::ops::Range;

/// Failed parts of one call, after which the whole call has failed: a plugin that fails everywhere is broken, and its
/// stage's policy decides. Finding one bad row among 65,536 takes 17.
const FAILURES_MAX: u32 = 2_000;
/// The same for parts that pass their deadline, each of which takes at least a twentieth of `call_ms_max`.
const OVERDUE_MAX: u32 = 64;

/// What became of the units (rows or groups) of one call, in order.
#[derive(Debug)]
pub(crate) struct Divided<T> {
    /// The parts that went through.
    pub(crate) answered: Vec<(Range<usize>, T)>,
    /// The units that did not, and why.
    pub(crate) refused: Vec<(usize, Verdict)>,
}

/// Calls for all units at once; where that fails by a limit or a trap, for the halves.
pub(crate) fn divide<T>(
    units: usize,
    mut call: impl FnMut(Range<usize>) -> Result<T, Verdict>,
) -> Result<Divided<T>, Verdict> {
    let mut divided = Divided {
        answered: Vec::new(),
        refused: Vec::new(),
    };
    let mut open = Vec::new();
    open.push(0..units);
    let (mut failures, mut overdue) = (0, 0);
    while let Some(part) = open.pop() {
        let verdict = match call(part.clone()) {
            Ok(answer) => {
                divided.answered.push((part, answer));
                continue;
            }
            Err(verdict) => verdict,
        };
        failures += 1;
        overdue += u32::from(verdict.code == "plugin_deadline");
        if !verdict.divisible || failures > FAILURES_MAX || overdue > OVERDUE_MAX {
            return Err(verdict);
        }
        if part.len() == 1 {
            divided.refused.push((part.start, verdict));
        } else {
            let middle = part.start + part.len() / 2;
            open.push(middle..part.end);
            open.push(part.start..middle);
        }
    }
    Ok(divided)
}

/// The deadline of a part that holds `rows` of a call's `of` rows: its share, and at least a twentieth of the whole.
pub(crate) fn deadline_ms(call_ms_max: u32, rows: usize, of: usize) -> u32 {
    let share = u64::from(call_ms_max) * rows as u64 / of.max(1) as u64;
    u32::try_from(share)
        .unwrap_or(call_ms_max)
        .max(call_ms_max / 20)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(units: usize, bad: &[usize]) -> (Result<Divided<()>, Verdict>, usize) {
        let mut calls = 0;
        let divided = divide(units, |part| {
            calls += 1;
            if bad.iter().any(|bad| part.contains(bad)) {
                return Err(Verdict::stopped("plugin_trap", "x"));
            }
            Ok(())
        });
        (divided, calls)
    }

    /// Exactly the bad units are refused, the others answered once and in order, in few calls.
    #[test]
    fn bad_units_are_found() {
        let (divided, calls) = run(65_536, &[0, 4_711, 65_535]);
        let divided = divided.unwrap();
        assert_eq!(
            divided
                .refused
                .iter()
                .map(|(unit, _)| *unit)
                .collect::<Vec<_>>(),
            [0, 4_711, 65_535]
        );
        let answered: Vec<usize> = divided
            .answered
            .into_iter()
            .flat_map(|(part, ())| part)
            .collect();
        let expected: Vec<usize> = (0..65_536)
            .filter(|unit| ![0, 4_711, 65_535].contains(unit))
            .collect();
        assert_eq!(answered, expected);
        assert!(calls <= 3 * 2 * 17, "{calls} calls");
    }

    /// A plugin that fails on everything does not take a call per row for ever.
    #[test]
    fn patience_ends() {
        let bad: Vec<usize> = (0..65_536).collect();
        let (divided, calls) = run(65_536, &bad);
        assert!(divided.is_err());
        assert_eq!(calls, FAILURES_MAX as usize + 1);
    }

    /// What more rows or fewer cannot cure is not tried again.
    #[test]
    fn a_wrong_answer_is_final() {
        let mut calls = 0;
        let divided: Result<Divided<()>, Verdict> = divide(8, |_| {
            calls += 1;
            Err(Verdict::wrong("plugin_output", "x"))
        });
        assert_eq!(divided.unwrap_err().code, "plugin_output");
        assert_eq!(calls, 1);
    }

    #[test]
    fn parts_get_their_share_of_time() {
        assert_eq!(deadline_ms(5_000, 100, 100), 5_000);
        assert_eq!(deadline_ms(5_000, 50, 100), 2_500);
        assert_eq!(deadline_ms(5_000, 1, 65_536), 250);
        assert_eq!(deadline_ms(5_000, 0, 0), 250);
    }
}
