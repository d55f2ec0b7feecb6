//! Sending records again: read where they stand in their topic, and written behind its end, in the same partition, with
//! key, value, timestamp and headers as they were and a header that says whose place they take.
//!
//! Delivery: an idempotent producer, one record after the other in order; what is confirmed is there once.

use crate::error;
use crate::properties;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientContext, Timestamp};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;
use weir_codec::Headers;
use weir_codec::record::REPLAY_OF;
use weir_stage::source::{Fault, Position, SourceError};

/// Longest wait for a broker's answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Longest wait for room in the client's queue before it is tried again.
const ROOM_WAIT: Duration = Duration::from_millis(50);
/// Longest wait for what was sent to be confirmed.
const CONFIRM_WAIT: Duration = Duration::from_mins(2);

/// A record as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since 1970, UTC.
    pub timestamp_ms: Option<i64>,
    /// The headers.
    pub headers: Headers,
}

/// A topic whose records are sent again.
pub struct Again {
    topic: String,
    brokers: String,
    reader: BaseConsumer,
    writer: BaseProducer<Confirmed>,
}

/// Where the records came to lie.
#[derive(Default)]
struct Confirmed(Mutex<(Position, Option<KafkaError>)>);

impl ClientContext for Confirmed {}

impl ProducerContext for Confirmed {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut state = self.0.lock().expect("nobody panics while holding it");
        match result {
            Ok(record) => {
                let next = state.0.entry(record.partition()).or_insert(0);
                *next = (record.offset() + 1).max(*next);
            }
            Err((failure, _)) => state.1 = Some(failure.clone()),
        }
    }
}

impl Again {
    /// Of a topic of the cluster with these client properties.
    pub fn new(topic: &str, properties: &BTreeMap<String, String>) -> Result<Self, SourceError> {
        let config = |defaults: &[(&str, &str)], own: &[(&str, &str)]| {
            let mut config = ClientConfig::new();
            let of_cluster = properties
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()));
            for (key, value) in defaults
                .iter()
                .copied()
                .chain(of_cluster)
                .chain(own.iter().copied())
            {
                config.set(key, value);
            }
            config.set_log_level(RDKafkaLogLevel::Error);
            config
        };
        let reader = config(
            &[],
            &[
                ("group.id", "weir.again"),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("enable.partition.eof", "true"),
                ("auto.offset.reset", "error"),
            ],
        );
        let writer = config(
            properties::SINK_DEFAULTS,
            &[("message.timeout.ms", "60000")],
        );
        let rejected = |failure: KafkaError| error::of_creation(&failure);
        Ok(Self {
            topic: topic.to_owned(),
            brokers: properties
                .get("bootstrap.servers")
                .cloned()
                .unwrap_or_default(),
            reader: reader.create().map_err(rejected)?,
            writer: writer
                .create_with_context(Confirmed::default())
                .map_err(rejected)?,
        })
    }

    /// The record at this offset, if the log still has it.
    pub fn original(&self, partition: i32, offset: i64) -> Result<Option<Original>, SourceError> {
        let failed = |failure: KafkaError| self.failure(&failure);
        let marks = self
            .reader
            .fetch_watermarks(&self.topic, partition, ANSWER_WAIT);
        let (low, high) = marks.map_err(failed)?;
        if !(low..high).contains(&offset) {
            return Ok(None);
        }
        let mut place = TopicPartitionList::new();
        let at = Offset::Offset(offset);
        place
            .add_partition_offset(&self.topic, partition, at)
            .map_err(failed)?;
        self.reader.assign(&place).map_err(failed)?;
        match self.reader.poll(ANSWER_WAIT) {
            Some(Ok(record)) if record.offset() == offset => Ok(Some(original(&record))),
            // The log goes on behind it: it was compacted, or belongs to no committed transaction.
            Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Err(failure)) => Err(failed(failure)),
            None => {
                let message = format!(
                    "topic `{}`, partition {partition}: no broker of `{}` gives the record at {offset}",
                    self.topic, self.brokers
                );
                Err(error::error(
                    Fault::External,
                    "brokers_unreachable",
                    message,
                ))
            }
        }
    }

    /// Sends a record in the place of the one at this offset.
    pub fn send(&self, partition: i32, offset: i64, record: &Original) -> Result<(), SourceError> {
        let place = format!("{partition}:{offset}");
        let mut headers = OwnedHeaders::new();
        for (key, value) in record.headers.iter().filter(|(name, _)| *name != REPLAY_OF) {
            headers = headers.insert(Header { key, value });
        }
        headers = headers.insert(Header {
            key: REPLAY_OF,
            value: Some(place.as_str()),
        });
        let mut sending = BaseRecord::<[u8], [u8]>::to(&self.topic)
            .partition(partition)
            .headers(headers);
        if let Some(key) = &record.key {
            sending = sending.key(key);
        }
        if let Some(value) = &record.value {
            sending = sending.payload(value);
        }
        if let Some(timestamp_ms) = record.timestamp_ms {
            sending = sending.timestamp(timestamp_ms);
        }
        loop {
            match self.writer.send(sending) {
                Ok(()) => {
                    self.writer.poll(Duration::ZERO);
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    sending = back;
                    self.writer.poll(ROOM_WAIT);
                }
                Err((failure, _)) => return Err(self.failure(&failure)),
            }
        }
    }

    /// Waits until all of them are confirmed; answers the offsets behind them.
    pub fn finish(&self) -> Result<Position, SourceError> {
        let flushed = self.writer.flush(CONFIRM_WAIT);
        let state = self.writer.context().0.lock();
        let state = state.expect("nobody panics while holding it");
        match (&state.1, flushed) {
            (Some(failure), _) => Err(self.failure(failure)),
            (None, Err(failure)) => Err(self.failure(&failure)),
            (None, Ok(())) => Ok(state.0.clone()),
        }
    }

    fn failure(&self, failure: &KafkaError) -> SourceError {
        let code = failure.rdkafka_error_code();
        let code = code.unwrap_or(RDKafkaErrorCode::Fail);
        error::of_sink(code, &failure.to_string(), &self.topic, &self.brokers)
    }
}

fn original(record: &BorrowedMessage<'_>) -> Original {
    let headers = record
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter());
    Original {
        key: record.key().map(<[u8]>::to_vec),
        value: record.payload().map(<[u8]>::to_vec),
        timestamp_ms: match record.timestamp() {
            Timestamp::NotAvailable => None,
            Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => Some(ms),
        },
        headers: Headers::of(headers.map(|header| (header.key, header.value))),
    }
}

impl std::fmt::Debug for Again {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Again")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
