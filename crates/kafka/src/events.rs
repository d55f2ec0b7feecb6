//! What librdkafka tells besides records: log lines, errors of the whole client, and how its brokers fare.
//!
//! It repeats itself at every reconnection, so its lines go to the debug log; what an operator must know
//! is said once, by the reader, when the state changes.

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::{Broker, Statistics};
use rdkafka::{ClientConfig, ClientContext};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A broker is silent when a request waits for longer than this, beyond what the broker may wait for records.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a broker may wait for records, as librdkafka has it.
const FETCH_WAIT_MS: u64 = 500;

/// The client's callbacks.
#[derive(Debug, Default)]
pub(crate) struct Events {
    last: Mutex<Option<(RDKafkaErrorCode, String)>>,
    is_shaken: AtomicBool,
    silence: Duration,
    silent: Mutex<Option<String>>,
}

impl Events {
    /// The callbacks of a client of these properties.
    pub(crate) fn new(config: &ClientConfig) -> Self {
        let fetch_wait_ms = config
            .get("fetch.wait.max.ms")
            .and_then(|value| value.parse().ok())
            .unwrap_or(FETCH_WAIT_MS);
        Self {
            silence: SILENCE + Duration::from_millis(fetch_wait_ms),
            ..Self::default()
        }
    }

    /// A broker that owes an answer for too long, if there is one.
    pub(crate) fn silent(&self) -> Option<String> {
        self.silent
            .lock()
            .expect("nobody panics while holding it")
            .clone()
    }

    /// Whether this broker is connected and owes an answer for too long.
    fn is_silent(&self, broker: &Broker) -> bool {
        let since_us = broker.txidle.min(broker.rxidle);
        let silence_us = i64::try_from(self.silence.as_micros()).unwrap_or(i64::MAX);
        broker.state == "UP" && broker.waitresp_cnt > 0 && since_us > silence_us
    }

    /// Whether a broker was lost since the last call.
    pub(crate) fn take_shaken(&self) -> bool {
        self.is_shaken.swap(false, Ordering::Relaxed)
    }

    /// The gravest error since the last call.
    pub(crate) fn take(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.last
            .lock()
            .expect("nobody panics while holding it")
            .take()
    }
}

/// Errors of one broker. It may be one of several, or the only one: the client does not always tell that
/// all are gone.
fn is_single(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve
    )
}

/// Errors that say why, before those that say that nothing works.
fn is_cause(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL | Code::Fatal
    )
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, message, "client");
    }

    fn stats(&self, statistics: Statistics) {
        let silent = statistics
            .brokers
            .values()
            .filter(|broker| self.is_silent(broker))
            .map(|broker| broker.nodename.clone())
            .min();
        *self.silent.lock().expect("nobody panics while holding it") = silent;
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        if is_single(code) {
            self.is_shaken.store(true, Ordering::Relaxed);
            return;
        }
        let mut last = self.last.lock().expect("nobody panics while holding it");
        if !last.as_ref().is_some_and(|(known, _)| is_cause(*known)) {
            *last = Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Events {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker is silent when it is connected and owes an answer for longer than it may take; not when nothing was
    /// asked, when it was asked just now, when bytes still come, or when it may wait that long for records.
    #[test]
    fn silence() {
        let silent = |fetch_wait_ms: &str, state: &str, waiting, asked_s: i64, heard_s: i64| {
            let mut config = ClientConfig::new();
            config.set("fetch.wait.max.ms", fetch_wait_ms);
            let events = Events::new(&config);
            let broker = Broker {
                nodename: "b:1".to_owned(),
                state: state.to_owned(),
                waitresp_cnt: waiting,
                txidle: asked_s * 1_000_000,
                rxidle: heard_s * 1_000_000,
                ..Broker::default()
            };
            let mut statistics = Statistics::default();
            statistics.brokers.insert("b:1/1".to_owned(), broker);
            events.stats(statistics);
            events.silent()
        };
        assert_eq!(silent("500", "UP", 1, 6, 6).as_deref(), Some("b:1"));
        for quiet in [
            silent("500", "UP", 0, 6, 6),
            silent("500", "UP", 1, 1, 20),
            silent("500", "UP", 1, 6, 1),
            silent("500", "UP", 1, 5, 5),
            silent("500", "APIVERSION_QUERY", 1, 6, 6),
            silent("3000", "UP", 1, 6, 6),
        ] {
            assert_eq!(quiet, None);
        }
    }
}
