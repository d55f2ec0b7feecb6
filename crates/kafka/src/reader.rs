//! The thread that reads a topic: finds its partitions, reads them into the queue, and says once when
//! something fails and once when it is over.

use crate::error::{self, TOPIC_MISSING};
use crate::events::Events;
use crate::native::{Taken, Topic, identity};
use crate::queue::{Chunk, Queue, note_after};
use crate::source::{SourceOptions, Start};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{IsError, KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::Offset;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use weir_stage::source::{Fault, Position, SourceError};

/// Longest wait for a message, and so for noticing the end of the source.
const TAKE_WAIT: Duration = Duration::from_millis(50);
/// Longest wait for a broker's answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Between attempts to begin: this, doubled each time up to the second.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Between looks at the ends of partitions, for the lag.
const ENDS_EVERY: Duration = Duration::from_millis(200);
/// Between looks for new partitions.
const PARTITIONS_EVERY: Duration = Duration::from_secs(10);
/// Between probes while the brokers are gone.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Where a partition's reading begins.
#[derive(Clone, Copy, Debug)]
struct Begin {
    /// Its next offset.
    position: i64,
    /// What the client is told: the same, or "the beginning", which stays right when the log moves on.
    offset: i64,
    /// Its end just then.
    end: i64,
}

pub(crate) struct Reader {
    consumer: BaseConsumer<Events>,
    options: SourceOptions,
    queue: Arc<Queue>,
}

impl Reader {
    pub(crate) fn new(
        consumer: BaseConsumer<Events>,
        options: SourceOptions,
        queue: Arc<Queue>,
    ) -> Self {
        Self {
            consumer,
            options,
            queue,
        }
    }

    /// Until the source is dropped or cannot go on.
    pub(crate) fn run(self) {
        let Some((identity, begins)) = self.begins_retried() else {
            return;
        };
        let Self {
            consumer,
            options,
            queue,
        } = self;
        let Some(mut topic) = Topic::new(consumer, &options.topic) else {
            report(
                &queue,
                &options.topic,
                Some(of_code(&options, RDKafkaErrorCode::InvalidTopic, "")),
            );
            return;
        };
        let position = begins
            .iter()
            .map(|(partition, begin)| (*partition, begin.position))
            .collect();
        queue.begin(
            Some(identity.clone()).filter(|identity| !identity.is_empty()),
            position,
            begins
                .iter()
                .map(|(partition, begin)| (*partition, begin.end))
                .collect(),
        );
        for (partition, begin) in &begins {
            if let Err(code) = topic.start(*partition, begin.offset) {
                report(&queue, &options.topic, Some(of_code(&options, code, "")));
                return;
            }
        }
        let now = Instant::now();
        let reading = Reading {
            topic,
            options,
            queue,
            identity,
            known: begins,
            is_doubtful: false,
            is_shaken: false,
            is_silent: false,
            ends_at: now,
            partitions_at: now,
            probe_at: now,
        };
        reading.run();
    }

    /// The topic's identity, its partitions and where each begins, as soon as the brokers tell.
    fn begins_retried(&self) -> Option<(String, BTreeMap<i32, Begin>)> {
        let mut backoff = BACKOFF_MIN;
        while !self.queue.is_stopped() {
            let failure = match self.begins() {
                Ok(begins) => {
                    report(&self.queue, &self.options.topic, None);
                    return Some(begins);
                }
                Err(failure) => failure,
            };
            serve(&self.consumer);
            let cause = self.consumer.context().take();
            let failure = cause.map_or(failure, |(code, reason)| {
                of_code(&self.options, code, &reason)
            });
            let is_final = failure.fault != Fault::External;
            report(&self.queue, &self.options.topic, Some(failure));
            if is_final {
                return None;
            }
            self.queue.rest(backoff);
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
        None
    }

    fn begins(&self) -> Result<(String, BTreeMap<i32, Begin>), SourceError> {
        let partitions = partitions(&self.consumer, &self.options)?;
        let identity = match &self.options.identity {
            Some(stored) => {
                is_same(&self.consumer, &self.options, stored)?;
                stored.clone()
            }
            None => self.identity(),
        };
        let at = match self.options.start {
            Start::At(at_us) => self.offsets_at(&partitions, at_us)?,
            Start::Earliest | Start::Latest => BTreeMap::new(),
        };
        let begins = partitions
            .into_iter()
            .map(|partition| Ok((partition, self.begin(partition, &at)?)))
            .collect::<Result<_, _>>()?;
        Ok((identity, begins))
    }

    /// The topic's identity; empty where brokers know none.
    fn identity(&self) -> String {
        let topic = &self.options.topic;
        identity(&self.consumer, topic, ANSWER_WAIT)
            .inspect_err(|code| {
                tracing::info!(topic, %code, "the brokers do not tell the topic's identity: one made anew is not noticed");
            })
            .unwrap_or_default()
    }

    fn begin(&self, partition: i32, at: &Position) -> Result<Begin, SourceError> {
        let topic = &self.options.topic;
        let marks = self
            .consumer
            .fetch_watermarks(topic, partition, ANSWER_WAIT);
        let (low, end) = marks.map_err(|failure| of_failure(&self.options, &failure))?;
        let stored = self
            .options
            .position
            .as_ref()
            .and_then(|stored| stored.get(&partition).copied());
        let exactly = |offset| Begin {
            position: offset,
            offset,
            end,
        };
        match (stored, self.options.start) {
            (Some(stored), _) if stored < low || stored > end => {
                Err(error::offset_lost(topic, partition, stored, low, end))
            }
            (Some(stored), _) => Ok(exactly(stored)),
            // A partition that is newer than the stored position: nothing of it was read.
            (None, Start::Earliest) => Ok(Begin {
                position: low,
                offset: BEGINNING,
                end,
            }),
            (None, _) if self.options.position.is_some() => Ok(Begin {
                position: low,
                offset: BEGINNING,
                end,
            }),
            (None, Start::Latest) => Ok(exactly(end)),
            (None, Start::At(_)) => Ok(exactly(
                at.get(&partition)
                    .copied()
                    .unwrap_or(end)
                    .clamp(low, end.max(low)),
            )),
        }
    }

    fn offsets_at(&self, partitions: &[i32], at_us: i64) -> Result<Position, SourceError> {
        let mut asked = TopicPartitionList::new();
        // The first millisecond that is not before the instant.
        let at_ms = at_us.div_euclid(1_000) + i64::from(at_us.rem_euclid(1_000) != 0);
        for partition in partitions {
            let added =
                asked.add_partition_offset(&self.options.topic, *partition, Offset::Offset(at_ms));
            added.map_err(|failure| of_failure(&self.options, &failure))?;
        }
        let found = self
            .consumer
            .offsets_for_times(asked, ANSWER_WAIT)
            .map_err(|failure| of_failure(&self.options, &failure))?;
        let offset =
            |element: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element
                .offset()
            {
                Offset::Offset(offset) => Some((element.partition(), offset)),
                _ => None,
            };
        Ok(found.elements().into_iter().filter_map(offset).collect())
    }
}

/// `RD_KAFKA_OFFSET_BEGINNING`.
const BEGINNING: i64 = -2;

fn of_code(options: &SourceOptions, code: RDKafkaErrorCode, reason: &str) -> SourceError {
    let brokers = ["bootstrap.servers", "metadata.broker.list"]
        .iter()
        .find_map(|key| options.properties.get(*key));
    error::of_code(
        code,
        reason,
        &options.topic,
        brokers.map_or("bootstrap.servers", String::as_str),
    )
}

fn of_failure(options: &SourceOptions, failure: &KafkaError) -> SourceError {
    of_code(
        options,
        failure
            .rdkafka_error_code()
            .unwrap_or(RDKafkaErrorCode::Fail),
        &failure.to_string(),
    )
}

/// Its partitions, once each has a leader.
fn partitions(
    consumer: &BaseConsumer<Events>,
    options: &SourceOptions,
) -> Result<Vec<i32>, SourceError> {
    let metadata = consumer.fetch_metadata(Some(&options.topic), ANSWER_WAIT);
    let metadata = metadata.map_err(|failure| of_failure(options, &failure))?;
    let mut topics = metadata.topics().iter();
    let Some(topic) = topics.find(|topic| topic.name() == options.topic) else {
        return Err(error::topic_missing(&options.topic));
    };
    if let Some(code) = topic.error().filter(IsError::is_error) {
        return Err(of_code(options, code.into(), ""));
    }
    let partitions = topic.partitions();
    if partitions.is_empty() {
        return Err(error::topic_missing(&options.topic));
    }
    if partitions.iter().any(|partition| partition.leader() < 0) {
        let code = RDKafkaErrorCode::LeaderNotAvailable;
        return Err(of_code(options, code, "a partition has none"));
    }
    Ok(partitions.iter().map(MetadataPartition::id).collect())
}

/// Asks whether the topic is still the one that it was.
fn is_same(
    consumer: &BaseConsumer<Events>,
    options: &SourceOptions,
    was: &str,
) -> Result<(), SourceError> {
    let told = identity(consumer, &options.topic, ANSWER_WAIT);
    match told.map_err(|code| of_code(options, code, &code.to_string()))? {
        is if is == was => Ok(()),
        _ => Err(error::topic_remade(&options.topic)),
    }
}

/// Events served at once: a bound, so that a flood of them does not hold up records.
const EVENTS_MAX: usize = 32;

/// Lets the client's callbacks run. A poll answers "nothing" after a log line too, so it is asked a fixed
/// number of times.
fn serve(consumer: &BaseConsumer<Events>) {
    for _ in 0..EVENTS_MAX {
        // The callbacks have seen whatever comes out.
        drop(consumer.poll(Duration::ZERO));
    }
}

fn report(queue: &Queue, topic: &str, failure: Option<SourceError>) {
    let line = failure.clone();
    if !queue.report(failure) {
        return;
    }
    match line {
        None => tracing::info!(topic, "the topic is read"),
        Some(failure) => {
            tracing::warn!(topic, code = failure.code, error = %failure, "the topic cannot be read");
        }
    }
}

/// A topic whose partitions are being read.
struct Reading {
    topic: Topic,
    options: SourceOptions,
    queue: Arc<Queue>,
    /// Of the topic whose offsets are read.
    identity: String,
    known: BTreeMap<i32, Begin>,
    /// The topic was not there for a moment: what comes now may be of another one.
    is_doubtful: bool,
    /// A broker was lost, and it is not known yet whether that matters.
    is_shaken: bool,
    /// A broker takes requests and does not answer.
    is_silent: bool,
    ends_at: Instant,
    partitions_at: Instant,
    probe_at: Instant,
}

impl Reading {
    fn run(mut self) {
        while !self.queue.is_stopped() {
            let taken = self.topic.take(TAKE_WAIT);
            if !self.took(taken) || !self.events() || !self.look_around() {
                break;
            }
        }
    }

    /// Passes on what was taken; `false` ends the source.
    fn took(&mut self, taken: Taken) -> bool {
        let Taken {
            mut chunk,
            ends,
            failures,
        } = taken;
        note_after(&mut chunk.after, chunk.records.make_contiguous());
        for (partition, end) in ends {
            let after = chunk.after.entry(partition).or_insert(end);
            *after = end.max(*after);
            self.queue.note_end(partition, end);
        }
        self.is_doubtful |= failures.iter().any(|(_, code)| {
            matches!(
                code,
                RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::UnknownPartition
                    | RDKafkaErrorCode::AutoOffsetReset
                    | RDKafkaErrorCode::OffsetOutOfRange
            )
        });
        let is_alive = !chunk.after.is_empty();
        if is_alive && !self.is_sure() {
            return false;
        }
        if is_alive {
            self.push(chunk);
        }
        for (partition, code) in failures {
            let failure = self.failure_of(partition, code);
            let is_final = failure.fault != Fault::External;
            report(&self.queue, &self.options.topic, Some(failure));
            if is_final {
                return false;
            }
        }
        if is_alive && self.queue.is_failing() {
            report(&self.queue, &self.options.topic, None);
        }
        true
    }

    /// Waits until it is known that what was taken is of the topic that was read before; `false` ends the source.
    fn is_sure(&mut self) -> bool {
        while self.is_doubtful && !self.queue.is_stopped() {
            if !self.probe() {
                return false;
            }
            if self.is_doubtful {
                self.queue.rest(PROBE_EVERY);
            }
        }
        true
    }

    /// Waits for room: the client's own queue fills up meanwhile, and it stops fetching.
    fn push(&self, chunk: Chunk) {
        let mut chunk = chunk;
        while let Err(back) = self.queue.push(chunk, TAKE_WAIT) {
            chunk = back;
            serve(self.topic.consumer());
        }
    }

    fn failure_of(&self, partition: i32, code: RDKafkaErrorCode) -> SourceError {
        if !matches!(
            code,
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange
        ) {
            return of_code(&self.options, code, &code.to_string());
        }
        // A topic that was made anew has other offsets, and that is the better answer.
        if let Err(failure) = self.partitions() {
            return failure;
        }
        let wanted = self
            .queue
            .position()
            .get(&partition)
            .copied()
            .unwrap_or_default();
        let marks =
            self.topic
                .consumer()
                .fetch_watermarks(&self.options.topic, partition, ANSWER_WAIT);
        let (low, high) = marks.unwrap_or((wanted, wanted));
        error::offset_lost(&self.options.topic, partition, wanted, low, high)
    }

    /// Errors of the whole client; `false` ends the source.
    fn events(&self) -> bool {
        serve(self.topic.consumer());
        let Some((code, reason)) = self.topic.consumer().context().take() else {
            return true;
        };
        let failure = of_code(&self.options, code, &reason);
        let is_final = failure.fault != Fault::External;
        report(&self.queue, &self.options.topic, Some(failure));
        !is_final
    }

    /// `false` ends the source.
    fn look_around(&mut self) -> bool {
        let now = Instant::now();
        if now >= self.ends_at {
            self.ends_at = now + ENDS_EVERY;
            for partition in self.known.keys() {
                if let Some(end) = self.topic.known_end(*partition) {
                    self.queue.note_end(*partition, end);
                }
            }
        }
        self.is_shaken |= self.topic.consumer().context().take_shaken();
        if !self.listen() {
            return false;
        }
        if (self.is_shaken || self.queue.is_failing()) && now >= self.probe_at {
            return self.probe();
        }
        if now >= self.partitions_at + PARTITIONS_EVERY && !self.is_silent {
            self.partitions_at = now;
            return self.find_partitions();
        }
        true
    }

    /// Tells of a broker that is silent, and that it is so no longer: then it answers, or was given up, and a probe
    /// tells which. `false` ends the source.
    fn listen(&mut self) -> bool {
        let silent = self.topic.consumer().context().silent();
        let was_silent = std::mem::replace(&mut self.is_silent, silent.is_some());
        if was_silent && !self.is_silent && !self.probe() {
            return false;
        }
        let topic = &self.options.topic;
        let trouble = silent.map(|broker| error::silent(topic, &broker));
        if !self.queue.trouble_is(trouble.clone()) {
            return true;
        }
        if let Some(failure) = trouble {
            tracing::warn!(topic, code = failure.code, error = %failure, "a broker is silent");
        } else {
            tracing::info!(topic, "no broker is silent any more");
        }
        true
    }

    /// A quiet topic tells nothing, so ask whether the brokers are there. `false` ends the source.
    fn probe(&mut self) -> bool {
        let asked = self.partitions();
        self.probe_at = Instant::now() + PROBE_EVERY;
        match asked {
            Ok(_) => {
                // What was said before this answer is over.
                serve(self.topic.consumer());
                drop(self.topic.consumer().context().take());
                self.is_shaken = false;
                self.is_doubtful = false;
                report(&self.queue, &self.options.topic, None);
                true
            }
            Err(failure) => self.goes_on_after(failure),
        }
    }

    /// Its partitions, as long as it is the topic that it was.
    fn partitions(&self) -> Result<Vec<i32>, SourceError> {
        let consumer = self.topic.consumer();
        let found = partitions(consumer, &self.options)?;
        if !self.identity.is_empty() {
            is_same(consumer, &self.options, &self.identity)?;
        }
        Ok(found)
    }

    fn goes_on_after(&mut self, failure: SourceError) -> bool {
        let goes_on = failure.fault == Fault::External;
        self.is_doubtful |= failure.code == TOPIC_MISSING;
        report(&self.queue, &self.options.topic, Some(failure));
        goes_on
    }

    /// `false` ends the source.
    fn find_partitions(&mut self) -> bool {
        let found = match self.partitions() {
            Ok(found) => found,
            Err(failure) => return self.goes_on_after(failure),
        };
        for partition in found {
            if self.known.contains_key(&partition) {
                continue;
            }
            // First the position, so that the engine never sees a record of a partition without one.
            self.queue.begin_partition(partition);
            match self.topic.start(partition, BEGINNING) {
                Ok(()) => {
                    tracing::info!(
                        topic = self.options.topic,
                        partition,
                        "a new partition is read"
                    );
                    self.known.insert(
                        partition,
                        Begin {
                            position: 0,
                            offset: BEGINNING,
                            end: 0,
                        },
                    );
                }
                Err(code) => {
                    report(
                        &self.queue,
                        &self.options.topic,
                        Some(of_code(&self.options, code, "")),
                    );
                }
            }
        }
        true
    }
}
