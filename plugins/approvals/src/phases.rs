//! A life laid out in time.

use crate::life::{Life, State};

/// A state and the instants between which it shows: `from` inclusive, `until` exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) state: &'static str,
    pub(crate) from: Option<i64>,
    pub(crate) until: Option<i64>,
}

/// The phases, in order. Approved is approved until `effectiveFrom`, in force until `effectiveTo`, expired after; an
/// approval that comes late counts from when it was recorded, not back to `effectiveFrom`.
pub(crate) fn of(life: &Life<'_>) -> Vec<Phase> {
    let always = |state| {
        vec![Phase {
            state,
            from: None,
            until: None,
        }]
    };
    match life.state {
        State::Submitted => always("submitted"),
        State::Rejected => always("rejected"),
        State::Withdrawn => always("withdrawn"),
        State::Revoked => always("revoked"),
        State::Approved => {
            let end = life.terms.effective_to;
            let known_from = life.approval.map_or(end, |approval| approval.known_from);
            let start = life.terms.effective_from.max(known_from).min(end);
            let mut phases = vec![Phase {
                state: "approved",
                from: None,
                until: Some(start),
            }];
            if start < end {
                phases.push(Phase {
                    state: "active",
                    from: Some(start),
                    until: Some(end),
                });
            }
            phases.push(Phase {
                state: "expired",
                from: Some(end),
                until: None,
            });
            phases
        }
    }
}
