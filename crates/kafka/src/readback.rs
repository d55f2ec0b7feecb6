//! What a sink's topic holds: read from a position to its end, as readers of committed records see it.

use crate::error;
use crate::events::Events;
use crate::letters;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{IsError, KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::time::Duration;
use weir_codec::Headers;
use weir_stage::sink::{Fault, Line, Position, SourceError, Told};

/// Longest wait for a broker's answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Longest wait for a record before the line is looked at.
const TAKE_WAIT: Duration = Duration::from_millis(50);
/// How often nothing may come before it is an error, so that it is told and tried again.
const TAKES_MAX: u32 = 400;

/// What was read.
pub(crate) struct Read {
    /// Next offset per partition.
    pub(crate) position: Position,
    /// Whether it was read from the beginning.
    pub(crate) whole: bool,
}

/// The properties of a reader on the same cluster, for a sink with this id.
pub(crate) fn config(sink: &ClientConfig, id: &str) -> ClientConfig {
    let mut config = sink.clone();
    for key in [
        "transactional.id",
        "enable.idempotence",
        "message.timeout.ms",
        "partitioner",
    ] {
        config.remove(key);
    }
    config
        .set("group.id", format!("weir.{id}"))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "5");
    config
}

/// Reads the topic, and tells each record's key and value.
pub(crate) fn read(
    config: &ClientConfig,
    topic: &str,
    brokers: &str,
    from: Option<&Position>,
    told: &mut Told<'_>,
    line: &Line,
    are_letters: bool,
) -> Result<Read, SourceError> {
    let consumer: BaseConsumer<Events> = config
        .create_with_context(Events::new(config))
        .map_err(|failure| error::of_creation(&failure))?;
    let failed = |failure: KafkaError| {
        let code = failure.rdkafka_error_code();
        let code = code.unwrap_or(RDKafkaErrorCode::Fail);
        match consumer.context().take() {
            Some((code, reason)) => error::of_sink(code, &reason, topic, brokers),
            None => error::of_sink(code, &failure.to_string(), topic, brokers),
        }
    };
    let mut bounds = Vec::new();
    let known = partitions(&consumer, topic, brokers);
    for partition in known.map_err(|found| found.unwrap_or_else(failed))? {
        let (low, end) = consumer
            .fetch_watermarks(topic, partition, ANSWER_WAIT)
            .map_err(failed)?;
        bounds.push((partition, low, end));
    }
    let is_there = |position: &&Position| {
        let holds = |(partition, low, end): &(i32, i64, i64)| {
            let stored = position.get(partition).copied().unwrap_or(*low);
            *low <= stored && stored <= *end
        };
        position.len() <= bounds.len() && bounds.iter().all(holds)
    };
    let usable = from.filter(is_there);
    if from.is_some() && usable.is_none() {
        tracing::warn!(
            topic,
            "the sink's topic was made anew or cut since the checkpoint: it is read whole"
        );
    }
    let mut position = Position::new();
    let mut assigned = TopicPartitionList::new();
    for (partition, low, _) in &bounds {
        let begin = usable.and_then(|from| from.get(partition)).unwrap_or(low);
        position.insert(*partition, *begin);
        assigned
            .add_partition_offset(topic, *partition, Offset::Offset(*begin))
            .map_err(failed)?;
    }
    let mut open: BTreeSet<i32> = bounds
        .iter()
        .filter(|(partition, _, end)| position[partition] < *end)
        .map(|(partition, ..)| *partition)
        .collect();
    consumer.assign(&assigned).map_err(failed)?;
    let mut idle = 0;
    while !open.is_empty() {
        if line.is_stopped() {
            let message = "the sink was told to stop".to_owned();
            return Err(error::error(Fault::External, "stopped", message));
        }
        match consumer.poll(TAKE_WAIT) {
            None => idle += 1,
            Some(Ok(record)) => {
                idle = 0;
                position.insert(record.partition(), record.offset() + 1);
                let Some(key) = record.key() else {
                    continue;
                };
                if are_letters {
                    let value = record.payload();
                    let letter = value.map(|value| letters::pack(&headers_of(&record), value));
                    told(key, letter.as_deref());
                } else {
                    told(key, record.payload().filter(|value| !value.is_empty()));
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                idle = 0;
                open.remove(&partition);
            }
            Some(Err(failure)) => return Err(failed(failure)),
        }
        if idle > TAKES_MAX {
            return Err(failed(KafkaError::Global(
                RDKafkaErrorCode::OperationTimedOut,
            )));
        }
    }
    Ok(Read {
        position,
        whole: usable.is_none(),
    })
}

/// The record's headers, packed, but for those that tell of the cut.
fn headers_of(record: &BorrowedMessage<'_>) -> Vec<u8> {
    let mut packed = Vec::new();
    for header in record
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter())
    {
        if !letters::OF_THE_CUT.contains(&header.key) {
            Headers::push(header.key, header.value, &mut packed);
        }
    }
    packed
}

/// The partitions of the topic, or what is wrong with it: `Err(Ok)` when that is known already.
fn partitions(
    consumer: &BaseConsumer<Events>,
    topic: &str,
    brokers: &str,
) -> Result<Vec<i32>, Result<SourceError, KafkaError>> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WAIT);
    let metadata = metadata.map_err(Err)?;
    let of = |code| Ok(error::of_sink(code, "", topic, brokers));
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    match found.map(|found| (found.error(), found.partitions())) {
        Some((Some(code), _)) if code.is_error() => Err(of(code.into())),
        Some((_, partitions)) if !partitions.is_empty() => Ok(partitions
            .iter()
            .map(rdkafka::metadata::MetadataPartition::id)
            .collect()),
        _ => Err(of(RDKafkaErrorCode::UnknownTopicOrPartition)),
    }
}
