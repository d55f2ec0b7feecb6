//! What librdkafka tells besides records: log lines and errors of the whole client.
//!
//! It repeats itself at every reconnection, so its lines go to the debug log; what an operator must know
//! is said once, by the reader, when the state changes.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The client's callbacks.
#[derive(Debug, Default)]
pub(crate) struct Events {
    last: Mutex<Option<(RDKafkaErrorCode, String)>>,
    is_shaken: AtomicBool,
}

impl Events {
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

    fn stats_raw(&self, _statistics: &[u8]) {}

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
