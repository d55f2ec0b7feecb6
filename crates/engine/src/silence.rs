//! Sources that give no record for longer than their pipeline file allows: told, and nothing else.

use std::time::Duration;
use tokio::time::Instant;

/// How long a source has given nothing.
#[derive(Debug)]
pub(crate) struct Silence {
    /// Longest time without a record that is in order.
    limit: Option<Duration>,
    heard_at: Instant,
    is_told: bool,
}

impl Silence {
    pub(crate) fn new(limit_s: Option<u64>) -> Self {
        Self {
            limit: limit_s.map(Duration::from_secs),
            heard_at: Instant::now(),
            is_told: false,
        }
    }

    /// Records have come.
    pub(crate) fn heard(&mut self) {
        self.heard_at = Instant::now();
    }

    /// Seconds since the last record, or since the start.
    pub(crate) fn idle_s(&self) -> u64 {
        self.heard_at.elapsed().as_secs()
    }

    /// Says once when it begins and once when it is over.
    pub(crate) fn tell(&mut self, source: &str, topic: &str) {
        let told = self.told(topic);
        if told.is_some() == self.is_told {
            return;
        }
        self.is_told = told.is_some();
        if let Some(told) = told {
            tracing::warn!(source, code = "silent", "{told}");
        } else {
            tracing::info!(source, "the source is silent no longer");
        }
    }

    /// What is to be told while it lasts.
    pub(crate) fn told(&self, topic: &str) -> Option<String> {
        let limit = self.limit?;
        (self.heard_at.elapsed() >= limit).then(|| {
            format!(
                "topic `{topic}`: no record for more than {} s (`silent_after_s`), though its brokers answer: look after who \
                 writes it; what is shown is right as of the last record",
                limit.as_secs()
            )
        })
    }
}
