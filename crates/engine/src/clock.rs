//! The pipeline's clock: how it follows records or the machine, and what it does when the two disagree.
//!
//! It never goes back. What it says is published and kept, so an instant that is wrong must not get into it: neither
//! by a record whose producer is ahead, nor by a machine whose clock leaps.

use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use weir_spec::plan::ClockPlan;
use weir_stage::clock::Clock;
use weir_stage::source::RawRecord;

/// A machine's clock that leaps further than this is not followed until a record is as late.
const LEAP_MAX: Duration = Duration::from_hours(1);
/// Records in front are told of for so long after the last one.
const AHEAD_LASTS: Duration = Duration::from_mins(1);
/// A machine's clock may be so far behind before it is told.
const BEHIND_MAX: Duration = Duration::from_mins(1);

/// The pipeline's clock.
pub(crate) struct PipelineClock {
    plan: ClockPlan,
    machine: Arc<dyn Clock>,
    /// Whether it is compared with the machine's (a replay's is not).
    is_guarded: bool,
    /// What it says, microseconds since 1970, UTC; nothing before the first record or tick.
    pub(crate) as_of_us: Option<i64>,
    /// The newest record, however late.
    newest_us: i64,
    /// When it last ticked.
    ticked_at: Option<Instant>,
    /// When a record was last too far in front.
    ahead_at: Option<Instant>,
    trouble: Option<String>,
}

impl PipelineClock {
    pub(crate) fn new(plan: ClockPlan, machine: Arc<dyn Clock>, is_guarded: bool) -> Self {
        Self {
            plan,
            machine,
            is_guarded,
            as_of_us: None,
            newest_us: i64::MIN,
            ticked_at: None,
            ahead_at: None,
            trouble: None,
        }
    }

    /// Records are taken: an event clock moves to the latest that is not too far in front of the machine's.
    pub(crate) fn heard(&mut self, records: &[RawRecord]) {
        let times = || records.iter().map(|record| record.timestamp_us);
        let newest_us = times().max().unwrap_or(i64::MIN);
        self.newest_us = self.newest_us.max(newest_us);
        let ClockPlan::Event { max_ahead_ms } = self.plan else {
            return;
        };
        if !self.is_guarded {
            self.as_of_us = self.as_of_us.max(times().max());
            return;
        }
        let machine_us = self.machine.now_us();
        let limit_us = machine_us.saturating_add(us(Duration::from_millis(max_ahead_ms)));
        self.as_of_us = self
            .as_of_us
            .max(times().filter(|time| *time <= limit_us).max());
        if newest_us > limit_us {
            self.ahead_at = Some(Instant::now());
            let ahead = span(newest_us.saturating_sub(machine_us));
            self.tell(Some(format!(
                "records are {ahead} in front of this machine's clock, more than `max_ahead_ms` allows: the pipeline's clock does \
                 not follow them; set the machine's clock, or the producers'"
            )));
        } else if self.ahead_at.is_some_and(|at| at.elapsed() >= AHEAD_LASTS) {
            self.ahead_at = None;
            self.tell(None);
        }
    }

    /// A ticking clock follows the machine's.
    pub(crate) fn tick(&mut self) {
        if self.plan != ClockPlan::Tick {
            return;
        }
        let machine_us = self.machine.now_us();
        let passed = self
            .ticked_at
            .replace(Instant::now())
            .map(|at| at.elapsed());
        let (Some(last_us), true) = (self.as_of_us, self.is_guarded) else {
            self.as_of_us = self.as_of_us.max(Some(machine_us));
            return;
        };
        let leap_us = us(LEAP_MAX);
        let due_us = passed.map(|passed| last_us.saturating_add(us(passed)));
        let is_confirmed = self.newest_us >= machine_us.saturating_sub(leap_us);
        let trouble = match due_us {
            Some(due_us) if machine_us > due_us.saturating_add(leap_us) && !is_confirmed => {
                self.as_of_us = Some(due_us);
                Some(format!(
                    "this machine's clock leapt to {} in front of the time that has passed: the pipeline's clock does not follow it \
                     until a record is as late; set the machine's clock, or start again if it is right",
                    span(machine_us - due_us)
                ))
            }
            _ => {
                self.as_of_us = Some(last_us.max(machine_us));
                let behind_us = last_us.saturating_sub(machine_us);
                (behind_us > us(BEHIND_MAX)).then(|| {
                    format!(
                        "this machine's clock is {} behind the pipeline's, which stands still until then: set the machine's clock",
                        span(behind_us)
                    )
                })
            }
        };
        self.tell(trouble);
    }

    /// At least this instant, which the input asks for.
    pub(crate) fn at_least(&mut self, us: i64) {
        self.as_of_us = self.as_of_us.max(Some(us));
    }

    /// What is wrong with it just now.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Says once when it begins and once when it is over.
    fn tell(&mut self, trouble: Option<String>) {
        match (&self.trouble, &trouble) {
            (None, Some(trouble)) => tracing::warn!(code = "clock_held", "{trouble}"),
            (Some(_), None) => tracing::info!("the clocks agree again"),
            _ => {}
        }
        self.trouble = trouble;
    }
}

fn us(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// A span as people say it: the seconds tell nothing when it is hours.
fn span(us: i64) -> String {
    let seconds = us / 1_000_000;
    match seconds {
        0..7_200 => format!("{seconds} s"),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    const HOUR_US: i64 = 3_600_000_000;

    struct Machine(AtomicI64);

    impl Machine {
        fn set(&self, us: i64) {
            self.0.store(us, Ordering::Relaxed);
        }
    }

    impl Clock for Machine {
        fn now_us(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn clock(plan: ClockPlan) -> (PipelineClock, Arc<Machine>) {
        let machine = Arc::new(Machine(AtomicI64::new(100 * HOUR_US)));
        (
            PipelineClock::new(plan, Arc::clone(&machine) as _, true),
            machine,
        )
    }

    fn record(timestamp_us: i64) -> RawRecord {
        RawRecord {
            partition: 0,
            offset: 0,
            timestamp_us,
            headers: weir_stage::source::Headers::default(),
            key: None,
            value: None,
        }
    }

    /// Goal: a machine's clock that goes back makes the pipeline's stand, and is told.
    #[test]
    fn it_never_goes_back() {
        let (mut clock, machine) = clock(ClockPlan::Tick);
        clock.tick();
        assert_eq!(
            (clock.as_of_us, clock.trouble()),
            (Some(100 * HOUR_US), None)
        );
        machine.set(97 * HOUR_US);
        clock.tick();
        assert_eq!(clock.as_of_us, Some(100 * HOUR_US));
        assert!(clock.trouble().unwrap().contains("3 h behind"));
        machine.set(100 * HOUR_US + 1);
        clock.tick();
        assert_eq!(
            (clock.as_of_us, clock.trouble()),
            (Some(100 * HOUR_US + 1), None)
        );
    }

    /// Goal: a leap is not followed, for what it says would be kept, until a record tells that it is right.
    #[test]
    fn a_leap_is_not_followed() {
        let (mut clock, machine) = clock(ClockPlan::Tick);
        clock.tick();
        machine.set(900 * HOUR_US);
        clock.tick();
        let held_us = clock.as_of_us.unwrap() - 100 * HOUR_US;
        assert!((0..HOUR_US).contains(&held_us), "{held_us} µs have passed");
        assert!(clock.trouble().unwrap().contains("leapt to 33 days"));
        clock.heard(&[record(102 * HOUR_US)]);
        clock.tick();
        assert!(clock.trouble().is_some());
        clock.heard(&[record(900 * HOUR_US - HOUR_US / 2)]);
        clock.tick();
        assert_eq!(
            (clock.as_of_us, clock.trouble()),
            (Some(900 * HOUR_US), None)
        );
    }

    /// Goal: what was down for long follows the machine's clock at once.
    #[test]
    fn a_long_rest_is_no_leap() {
        let (mut clock, _) = clock(ClockPlan::Tick);
        clock.as_of_us = Some(3 * HOUR_US);
        clock.tick();
        assert_eq!(
            (clock.as_of_us, clock.trouble()),
            (Some(100 * HOUR_US), None)
        );
    }

    /// Goal: a record too far in front does not move an event clock and is told, until none has come for a while.
    #[test]
    fn records_in_front_are_told() {
        let (mut clock, machine) = clock(ClockPlan::Event {
            max_ahead_ms: 3_600_000,
        });
        clock.heard(&[record(99 * HOUR_US), record(300 * HOUR_US)]);
        assert_eq!(clock.as_of_us, Some(99 * HOUR_US));
        assert!(clock.trouble().unwrap().contains("8 days in front"));
        clock.heard(&[record(99 * HOUR_US)]);
        assert!(clock.trouble().is_some(), "that was just now");
        machine.set(299 * HOUR_US);
        clock.ahead_at = clock
            .ahead_at
            .map(|at| at.checked_sub(AHEAD_LASTS).unwrap());
        clock.heard(&[record(299 * HOUR_US)]);
        assert_eq!(
            (clock.as_of_us, clock.trouble()),
            (Some(299 * HOUR_US), None)
        );
    }
}
