//! Which sources are read no further: those of which too many records were refused, or more than there is room for, until
//! the next start, and those whose dead letters cannot be written, until they can.

use crate::letters::News;
use crate::limits::Window;
use std::collections::BTreeSet;
use weir_spec::Plan;
use weir_stage::{Fault, Position, RawBatch, SourceError};

/// One per source.
struct Gate {
    name: String,
    topic: String,
    window: Window,
    /// Some of it was refused since the last check.
    has_refused: bool,
    /// Its limit is passed.
    passed: Option<SourceError>,
    /// The newest version of the dead letters that has some of its own.
    letters: u64,
    /// They are not written.
    unwritten: Option<SourceError>,
}

pub(crate) struct Gates {
    each: Vec<Gate>,
    all: Option<Window>,
    /// How many bytes all that stands refused may take.
    bytes_max: u64,
    /// Whether a limit that is passed holds its source: not in a replay, which is to come to its end.
    holds: bool,
}

impl Gates {
    pub(crate) fn new(plan: &Plan, holds: bool) -> Self {
        let gate = |source: &weir_spec::plan::SourcePlan| Gate {
            name: source.name.clone(),
            topic: source.topic.clone(),
            window: Window::new(source.limit),
            has_refused: false,
            passed: None,
            letters: 0,
            unwritten: None,
        };
        Self {
            each: plan.sources.iter().map(gate).collect(),
            all: plan.limit.map(Window::new),
            bytes_max: plan.letters_bytes_max,
            holds,
        }
    }

    /// Whether the source is to be read no further.
    pub(crate) fn is_shut(&self, source: usize) -> bool {
        let gate = &self.each[source];
        gate.unwritten.is_some() || (self.holds && gate.passed.is_some())
    }

    /// Why.
    pub(crate) fn error(&self, source: usize) -> Option<&SourceError> {
        let gate = &self.each[source];
        gate.passed.as_ref().or(gate.unwritten.as_ref())
    }

    /// Records and refused ones of the source in its window.
    pub(crate) fn counts(&self, source: usize, now_us: i64) -> [u64; 2] {
        self.each[source].window.counts(now_us)
    }

    /// These records came, by source.
    pub(crate) fn came(&mut self, source: usize, batch: &RawBatch, now_us: i64) {
        let own = &mut self.each[source].window;
        for window in [Some(own), self.all.as_mut()].into_iter().flatten() {
            if !window.is_idle() {
                window.came(
                    batch.records.iter().map(|record| record.timestamp_us),
                    now_us,
                );
            }
        }
    }

    /// These are refused, or not any more.
    pub(crate) fn refused(&mut self, news: &[News], now_us: i64) {
        for News {
            topic,
            timestamp_us,
            change,
        } in news
        {
            let of_it = self.each.iter_mut().filter(|gate| gate.topic == *topic);
            let of_it = of_it.map(|gate| {
                gate.has_refused |= *change > 0;
                &mut gate.window
            });
            let windows = of_it.chain(&mut self.all);
            if let Some(at_us) = timestamp_us {
                windows.for_each(|window| window.refused(*at_us, *change, now_us));
            }
        }
    }

    /// Shuts the gates of sources whose limit is passed; answers why the pipeline is to stop. All that stands refused
    /// takes as many bytes.
    pub(crate) fn check(
        &mut self,
        now_us: i64,
        applied: &[Position],
        bytes: u64,
    ) -> Option<String> {
        let full = || {
            let max_mib = self.bytes_max >> 20;
            format!("all that stands refused takes {bytes} bytes, more than `max_mib: {max_mib}`")
        };
        let full = (bytes > self.bytes_max).then(full);
        for (gate, at) in self.each.iter_mut().zip(applied) {
            let has_refused = std::mem::take(&mut gate.has_refused);
            let full = full.clone().filter(|_| has_refused);
            let passed = gate.window.passed(now_us).or(full);
            let Some(told) = passed.filter(|_| gate.passed.is_none()) else {
                continue;
            };
            let places: Vec<String> = at
                .iter()
                .map(|(partition, offset)| format!("{partition}:{offset}"))
                .collect();
            let what = if self.holds {
                format!("is read no further than {}", places.join(" "))
            } else {
                "would be read no further".to_owned()
            };
            let message = format!(
                "source `{}` {what}: {told}; look at its dead letters, mend their cause or raise the limit in `dead_letters`, \
                 and start weir again to read on",
                gate.name
            );
            tracing::error!(source = gate.name, code = TOO_MANY, "{message}");
            gate.passed = Some(SourceError {
                fault: Fault::User,
                code: TOO_MANY,
                message,
            });
        }
        self.all.as_mut().and_then(|all| all.passed(now_us))
    }

    /// This version of the dead letters, with news of these topics, is on its way.
    pub(crate) fn offered(&mut self, number: u64, topics: &BTreeSet<String>) {
        for gate in &mut self.each {
            if topics.contains(&gate.topic) {
                gate.letters = number;
            }
        }
    }

    /// So far the dead letters are written, and this keeps the rest away.
    pub(crate) fn written(&mut self, number: u64, trouble: Option<&SourceError>) {
        for gate in &mut self.each {
            let trouble = trouble.filter(|_| gate.letters > number);
            let is_shut = gate.unwritten.is_some();
            gate.unwritten = trouble.map(|trouble| SourceError {
                fault: Fault::External,
                code: "letters_unwritten",
                message: format!(
                    "source `{}` waits until its dead letters are written: {trouble}",
                    gate.name
                ),
            });
            match &gate.unwritten {
                Some(error) if !is_shut => {
                    tracing::warn!(source = gate.name, code = error.code, "{error}");
                }
                None if is_shut => {
                    tracing::info!(
                        source = gate.name,
                        "its dead letters are written, it is read on"
                    );
                }
                _ => {}
            }
        }
    }
}

const TOO_MANY: &str = "too_many_refused";
