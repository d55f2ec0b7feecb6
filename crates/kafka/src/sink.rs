//! The sink of one topic: keyed upserts and tombstones.
//!
//! Delivery: the producer is idempotent, so that what is sent again by itself is not there twice and stays in order.
//! `at_least_once`: a flush is done when all of it is confirmed. `exactly_once`: a flush is one transaction; in it, as
//! offsets of a group named after the transactional id, are the sources' positions (of those that are on the same
//! cluster, for lag tools) and a marker on the topic's first partition: run, epoch and clock. The content needs neither,
//! for it is read back from the topic itself; the marker tells a process that was fenced whether another one took over,
//! or only its own transaction took too long.

use crate::error;
use crate::events::Events;
use crate::letters::{self, LetterRows};
use crate::properties;
use crate::readback;
use crate::registry::SchemaClient;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;
use weir_codec::avro::{AvroEncoder, schema_of};
use weir_codec::{Encoder, JsonEncoder};
use weir_stage::sink::{
    Cut, Fault, Flushed, Item, Line, Opening, Position, Refused, Rows, Sink, SourceError, Told,
    Unsent,
};
use weir_zset::text::instant;

/// Longest wait inside the client, and so for noticing that the sink is to stop.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// Longest wait for an answer of the transaction's coordinator before it is asked again.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// When nothing is confirmed for so long, it is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to write, and how.
#[derive(Clone)]
pub struct SinkOptions {
    /// The topic.
    pub topic: String,
    /// Client properties of the cluster and the sink; they win over the defaults.
    pub properties: BTreeMap<String, String>,
    /// What is written.
    pub content: Content,
    /// Whether each flush is one transaction.
    pub exactly_once: bool,
    /// The transactional id, where `properties` name none.
    pub transactional_id: String,
    /// This run's id.
    pub run: String,
    /// Topics of sources on the same cluster.
    pub sources: BTreeSet<String>,
}

/// What a sink writes.
#[derive(Clone)]
pub enum Content {
    /// The rows of a table.
    Rows {
        /// How keys are written.
        key: Format,
        /// How rows are written.
        value: Format,
        /// The key's columns.
        key_columns: SchemaRef,
        /// The row's columns.
        columns: SchemaRef,
    },
    /// The dead letters.
    Letters,
}

/// How rows become bytes.
#[derive(Clone)]
pub enum Format {
    /// JSON objects.
    Json,
    /// Avro in the registry's wire format.
    Avro {
        /// Registry properties.
        registry: BTreeMap<String, String>,
        /// The schema's text; `None`: made of the columns.
        schema: Option<String>,
        /// The subject.
        subject: String,
        /// Whether the schema is registered, else the subject's newest is taken.
        register: bool,
    },
}

/// A record's name in a schema that is made of columns.
fn record_name(topic: &str, part: &str) -> String {
    format!("{topic}_{part}")
}

/// Why rows of these columns can never be written so, as far as that shows without the registry.
pub fn misfit(
    schema: Option<&str>,
    topic: &str,
    columns: &SchemaRef,
) -> Option<weir_codec::CodecError> {
    let made = match schema {
        Some(text) => Ok(text.to_owned()),
        None => schema_of(&record_name(topic, "value"), columns),
    };
    made.and_then(|text| AvroEncoder::new(0, &text, columns))
        .err()
}

/// The callbacks of a producer: what became of its records.
struct Deliveries {
    events: Events,
    state: Mutex<Delivered>,
}

#[derive(Default)]
struct Delivered {
    acked: u64,
    failed: u64,
    /// Next offset per partition behind what was confirmed.
    after: Position,
    /// Records that brokers refused for what they are.
    refused: Vec<(Vec<u8>, RDKafkaErrorCode)>,
    /// Another failure of a record.
    failure: Option<KafkaError>,
}

impl Deliveries {
    fn lock(&self) -> MutexGuard<'_, Delivered> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.events.stats(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }
}

/// Whether a record is refused for what it is: sending it again would change nothing.
fn is_of_record(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::InvalidTimestamp
    )
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut state = self.lock();
        match result {
            Ok(message) => {
                state.acked += 1;
                let after = state.after.entry(message.partition()).or_insert(0);
                *after = (message.offset() + 1).max(*after);
            }
            Err((error, message)) => {
                state.failed += 1;
                match error.rdkafka_error_code() {
                    Some(code) if is_of_record(code) => {
                        let key = message.key().unwrap_or_default().to_vec();
                        state.refused.push((key, code));
                    }
                    _ => state.failure = Some(error.clone()),
                }
            }
        }
    }
}

/// A connected producer.
struct Link {
    producer: BaseProducer<Deliveries>,
    /// Names the group that the transactions' offsets are of.
    group: BaseConsumer<Events>,
    /// What `Line` was told so far.
    told: (u64, u64),
    /// When something was last confirmed.
    confirmed_at: Instant,
}

/// Rows of one table in one topic.
pub struct KafkaSink {
    options: SinkOptions,
    config: ClientConfig,
    id: String,
    rows: Option<Arc<dyn Rows>>,
    link: Option<Link>,
    /// Next offset per partition behind the last flush.
    position: Position,
    /// Keys that were in a request that brokers refused: each is sent alone, to see whether it is the one.
    suspects: BTreeSet<Vec<u8>>,
    /// Rows that brokers refuse, and why.
    refused: BTreeMap<Vec<u8>, (Option<Vec<u8>>, RDKafkaErrorCode)>,
}

impl KafkaSink {
    /// Connects to nothing yet. Properties that no client can be made of are an error here.
    pub fn new(options: SinkOptions) -> Result<Self, SourceError> {
        let mut config = ClientConfig::new();
        for (key, value) in properties::SINK_DEFAULTS {
            config.set(*key, *value);
        }
        if !options.exactly_once {
            // A record waits for its brokers as long as it takes; meanwhile newer rows of its key replace each other.
            config.set("message.timeout.ms", "0");
        }
        for (key, value) in &options.properties {
            if let Some((code, message, hint)) = properties::client_property(key, value) {
                let message = hint.map_or(message.clone(), |hint| format!("{message}: {hint}"));
                return Err(error::error(Fault::User, code, message));
            }
            config.set(key, value);
        }
        config.set_log_level(RDKafkaLogLevel::Warning);
        let id = config
            .get("transactional.id")
            .unwrap_or(&options.transactional_id)
            .to_owned();
        if options.exactly_once {
            config.set("transactional.id", &id);
        }
        Ok(Self {
            options,
            config,
            id,
            rows: None,
            link: None,
            position: Position::new(),
            suspects: BTreeSet::new(),
            refused: BTreeMap::new(),
        })
    }

    fn writes_letters(&self) -> bool {
        matches!(self.options.content, Content::Letters)
    }

    fn make_rows(&self) -> Result<Arc<dyn Rows>, SourceError> {
        Ok(match &self.options.content {
            Content::Letters => Arc::new(LetterRows::new()),
            Content::Rows {
                key,
                value,
                key_columns,
                columns,
            } => Arc::new(Encoders {
                keys: self.encoder(key, "key", key_columns)?,
                values: self.encoder(value, "value", columns)?,
            }),
        })
    }

    fn encoder(
        &self,
        format: &Format,
        part: &str,
        columns: &SchemaRef,
    ) -> Result<Box<dyn Encoder>, SourceError> {
        let Format::Avro {
            registry,
            schema,
            subject,
            register,
        } = format
        else {
            let names = columns.fields().iter().map(|field| field.name().clone());
            return Ok(Box::new(JsonEncoder::new(names.collect())));
        };
        let user = |failure: weir_codec::CodecError| {
            let message = format!("subject `{subject}`: {failure}");
            error::error(Fault::User, failure.code(), message)
        };
        let client = SchemaClient::new(registry)?;
        let (id, text) = if *register {
            let text = match schema {
                Some(text) => text.clone(),
                None => {
                    schema_of(&record_name(&self.options.topic, part), columns).map_err(user)?
                }
            };
            (client.register(subject, &text)?, text)
        } else {
            client.newest(subject)?
        };
        Ok(Box::new(
            AvroEncoder::new(id, &text, columns).map_err(user)?,
        ))
    }

    fn failure(&self, failure: &KafkaError) -> SourceError {
        let code = failure.rdkafka_error_code();
        self.of_code(code.unwrap_or(RDKafkaErrorCode::Fail), &failure.to_string())
    }

    fn of_code(&self, code: RDKafkaErrorCode, reason: &str) -> SourceError {
        let brokers = self.config.get("bootstrap.servers").unwrap_or_default();
        error::of_sink(code, reason, &self.options.topic, brokers)
    }

    /// What is wrong with the link, the gravest first: it was fenced, or has ended in another way.
    fn diagnosed(&self, link: &Link, failure: SourceError) -> SourceError {
        let fatal = link.producer.client().fatal_error();
        let is_fenced = |code| {
            matches!(
                code,
                RDKafkaErrorCode::Fenced
                    | RDKafkaErrorCode::ProducerFenced
                    | RDKafkaErrorCode::InvalidProducerEpoch
            )
        };
        match fatal {
            Some((code, reason)) if is_fenced(code) => self.fenced(&reason),
            Some((code, reason)) => self.of_code(code, &reason),
            None => failure,
        }
    }

    /// A newer producer has this transactional id: another process, or the brokers ended a transaction that took too
    /// long. The marker tells whose run it is.
    fn fenced(&self, reason: &str) -> SourceError {
        let id = &self.id;
        let holder = self.group_consumer().ok().and_then(|group| {
            let marker = self.marker(&group).ok()?;
            marker.map(|(run, _)| run)
        });
        match holder {
            Some(run) if run != self.options.run => {
                let message = format!(
                    "another process (run {run}) writes topic `{}` with the transactional id `{id}` now, so this one stops; \
                     run a pipeline once, or give one of them another name or `transactional.id`",
                    self.options.topic
                );
                error::error(Fault::User, "sink_fenced", message)
            }
            _ => {
                let message = format!(
                    "the brokers ended a transaction of `{id}` that took too long, and its rows are sent again; when that \
                     goes on, raise `transaction.timeout.ms` of the sink: {reason}"
                );
                error::error(Fault::External, "transaction_expired", message)
            }
        }
    }

    /// Names the group of the transactions' offsets, and asks for them; it reads nothing and is not polled, so it may
    /// have nothing to tell.
    fn group_consumer(&self) -> Result<BaseConsumer<Events>, SourceError> {
        let mut config = readback::config(&self.config, &self.id);
        config.set("statistics.interval.ms", "0");
        config
            .create_with_context(Events::new(&config))
            .map_err(|failure| error::of_creation(&failure))
    }

    /// Run and epoch of the last transaction.
    fn marker(&self, group: &BaseConsumer<Events>) -> Result<Option<(String, u64)>, SourceError> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.options.topic, 0);
        let found = group
            .committed_offsets(asked, ANSWER_WAIT)
            .map_err(|failure| self.failure(&failure))?;
        let elements = found.elements();
        let marker = elements.first().map_or("", |element| element.metadata());
        let field = |name: &str| {
            marker
                .split(' ')
                .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        Ok(field("run").map(|run| {
            let epoch = field("epoch").and_then(|epoch| epoch.parse().ok());
            (run.to_owned(), epoch.unwrap_or(0))
        }))
    }

    /// Ends the transaction, with the cut in it.
    fn commit(&self, link: &Link, cut: &Cut, line: &Line) -> Result<(), SourceError> {
        let mut offsets = TopicPartitionList::new();
        let topics = cut.offsets.iter();
        for (topic, position) in topics.filter(|(topic, _)| self.options.sources.contains(*topic)) {
            for (partition, offset) in position {
                offsets
                    .add_partition_offset(topic, *partition, Offset::Offset(*offset))
                    .map_err(|failure| self.failure(&failure))?;
            }
        }
        let marker = format!(
            "run={} epoch={} as_of={}",
            cut.run,
            cut.epoch,
            instant(cut.as_of_us)
        );
        let mut place = offsets.add_partition(&self.options.topic, 0);
        place
            .set_offset(Offset::Offset(0))
            .map_err(|failure| self.failure(&failure))?;
        place.set_metadata(marker);
        let group = link.group.group_metadata();
        let group = group.expect("a consumer with a group id has one");
        self.insist(line, || {
            link.producer
                .send_offsets_to_transaction(&offsets, &group, ANSWER_WAIT)
        })?;
        self.insist(line, || link.producer.commit_transaction(ANSWER_WAIT))
    }

    /// Asks again while the answer is that asking again may help.
    fn insist(
        &self,
        line: &Line,
        ask: impl Fn() -> Result<(), KafkaError>,
    ) -> Result<(), SourceError> {
        loop {
            match ask() {
                Ok(()) => {
                    line.trouble_is(None);
                    return Ok(());
                }
                Err(KafkaError::Transaction(failure))
                    if failure.is_retriable() && !line.is_stopped() =>
                {
                    line.trouble_is(Some(self.of_code(failure.code(), &failure.string())));
                }
                Err(failure) => return Err(self.failure(&failure)),
            }
        }
    }

    fn connect(&self, line: &Line) -> Result<(Link, Option<u64>), SourceError> {
        let events = Events::new(&self.config);
        let deliveries = Deliveries {
            events,
            state: Mutex::default(),
        };
        let producer: BaseProducer<Deliveries> = self
            .config
            .create_with_context(deliveries)
            .map_err(|failure| error::of_creation(&failure))?;
        let link = Link {
            producer,
            group: self.group_consumer()?,
            told: (0, 0),
            confirmed_at: Instant::now(),
        };
        if !self.options.exactly_once {
            return Ok((link, None));
        }
        match self.claim(&link, line) {
            Ok(epoch) => Ok((link, epoch)),
            Err(failure) => Err(self.diagnosed(&link, failure)),
        }
    }

    /// Fences whoever had the transactional id before, ends its transaction, and says who has it now; answers the epoch
    /// that the topic was brought to.
    fn claim(&self, link: &Link, line: &Line) -> Result<Option<u64>, SourceError> {
        self.insist(line, || link.producer.init_transactions(ANSWER_WAIT))?;
        let held = self.marker(&link.group)?;
        let began = link.producer.begin_transaction();
        began.map_err(|failure| self.failure(&failure))?;
        let cut = Cut {
            run: self.options.run.clone(),
            epoch: held.as_ref().map_or(0, |(_, epoch)| *epoch),
            ..Cut::default()
        };
        self.commit(link, &cut, line)?;
        Ok(held.map(|(_, epoch)| epoch))
    }

    /// Hands over one item, waiting for room.
    fn send(
        &self,
        link: &mut Link,
        item: &Item,
        headers: &OwnedHeaders,
        as_of_us: i64,
        line: &Line,
    ) -> Result<Option<RDKafkaErrorCode>, SourceError> {
        let (mut headers, mut value) = (headers.clone(), item.value.as_deref());
        if let Some(packed) = value.filter(|_| self.writes_letters()) {
            let (own, letter) = letters::unpack(packed);
            for (key, value) in own.iter() {
                headers = headers.insert(Header { key, value });
            }
            value = Some(letter);
        }
        let mut record = BaseRecord::to(&self.options.topic)
            .key(&item.key)
            .headers(headers);
        if as_of_us > 0 {
            record = record.timestamp(as_of_us / 1_000);
        }
        if let Some(value) = value {
            record = record.payload(value);
        }
        loop {
            match link.producer.send(record) {
                Ok(()) => {
                    line.sent.fetch_add(1, Ordering::Relaxed);
                    return Ok(None);
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.turn(link, POLL_WAIT, line)?;
                }
                Err((failure, _)) => match failure.rdkafka_error_code() {
                    Some(code) if is_of_record(code) => return Ok(Some(code)),
                    _ => return Err(self.failure(&failure)),
                },
            }
        }
    }

    /// Lets the client's callbacks run, and tells the line what they heard.
    fn turn(&self, link: &mut Link, wait: Duration, line: &Line) -> Result<(), SourceError> {
        link.producer.poll(wait);
        let (acked, failed, failure) = {
            let mut state = link.producer.context().lock();
            (state.acked, state.failed, state.failure.take())
        };
        if acked > link.told.0 {
            link.confirmed_at = Instant::now();
            line.trouble_is(None);
        }
        line.acked.fetch_add(acked - link.told.0, Ordering::Relaxed);
        line.failed
            .fetch_add(failed - link.told.1, Ordering::Relaxed);
        link.told = (acked, failed);
        if let Some(failure) = failure {
            return Err(self.failure(&failure));
        }
        if line.is_stopped() {
            let message = "the sink was told to stop".to_owned();
            return Err(error::error(Fault::External, "stopped", message));
        }
        let events = &link.producer.context().events;
        if let Some((code, reason)) = events.take() {
            let trouble = self.of_code(code, &reason);
            if trouble.fault == Fault::User {
                return Err(trouble);
            }
            if code == RDKafkaErrorCode::Fatal {
                return Err(trouble);
            }
            line.trouble_is(Some(trouble));
        } else if link.confirmed_at.elapsed() > PATIENCE && line.trouble().is_none() {
            line.trouble_is(Some(error::unconfirmed(
                &self.options.topic,
                events.silent().as_deref(),
            )));
        }
        Ok(())
    }

    /// Waits until everything that was handed over is confirmed or refused.
    fn settle(&self, link: &mut Link, line: &Line) -> Result<(), SourceError> {
        while link.producer.in_flight_count() > 0 {
            self.turn(link, POLL_WAIT, line)?;
        }
        self.turn(link, Duration::ZERO, line)
    }

    fn flush(
        &mut self,
        link: &mut Link,
        cut: &Cut,
        items: &mut dyn Iterator<Item = Item>,
        line: &Line,
    ) -> Result<Vec<Unsent>, SourceError> {
        link.confirmed_at = Instant::now();
        if self.options.exactly_once {
            let began = link.producer.begin_transaction();
            began.map_err(|failure| self.failure(&failure))?;
        }
        let (epoch, as_of) = (cut.epoch.to_string(), instant(cut.as_of_us));
        let header = |key, value| Header {
            key,
            value: Some(value),
        };
        let headers = OwnedHeaders::new_with_capacity(3)
            .insert(header("weir.run", cut.run.as_str()))
            .insert(header("weir.epoch", epoch.as_str()))
            .insert(header("weir.as_of", as_of.as_str()));
        let mut unsent = Vec::new();
        // A letter that is refused is followed by the same one without its record's bytes.
        let mut shortened: Option<Item> = None;
        while let Some(item) = shortened.take().or_else(|| items.next()) {
            let is_refused = |(value, _): &&(Option<Vec<u8>>, _)| *value == item.value;
            if let Some((_, code)) = self.refused.get(&item.key).filter(is_refused) {
                shortened = self.not_sent(item, *code, &mut unsent)?;
                continue;
            }
            if !self.writes_letters() || item.value.is_none() {
                self.refused.remove(&item.key);
            }
            let is_suspect = self.suspects.contains(&item.key);
            if is_suspect {
                self.settle(link, line)?;
            }
            let code = self.send(link, &item, &headers, cut.as_of_us, line)?;
            if let Some(code) = code {
                shortened = self.not_sent(item, code, &mut unsent)?;
                continue;
            }
            if is_suspect {
                self.settle(link, line)?;
                self.suspects.remove(&item.key);
                let found = link.producer.context().lock().refused.pop();
                if let Some((_, code)) = found {
                    self.refused.insert(item.key, (item.value, code));
                    return Err(self.again());
                }
            }
        }
        self.settle(link, line)?;
        let refused = std::mem::take(&mut link.producer.context().lock().refused);
        if !refused.is_empty() {
            // Brokers refuse a request whole: which of its records is at fault shows when each is sent alone.
            self.suspects
                .extend(refused.into_iter().map(|(key, _)| key));
            return Err(self.again());
        }
        if self.options.exactly_once {
            self.commit(link, cut, line)?;
        }
        Ok(unsent)
    }

    /// Takes note of an item that is refused for what it is; answers what to send in its place. A letter is never lost: it
    /// is sent without its record's bytes, and if that is too much, too, the sink fails.
    fn not_sent(
        &self,
        item: Item,
        code: RDKafkaErrorCode,
        unsent: &mut Vec<Unsent>,
    ) -> Result<Option<Item>, SourceError> {
        if !self.writes_letters() {
            unsent.push(too_large(item, code));
            return Ok(None);
        }
        if let Some(short) = letters::by_reference(&item) {
            return Ok(Some(short));
        }
        let message = format!(
            "the brokers refuse a dead letter for topic `{}` also without the bytes of its record ({code}): raise \
             `max.message.bytes` of the topic",
            self.options.topic
        );
        Err(error::error(Fault::External, "letter_refused", message))
    }

    fn again(&self) -> SourceError {
        let message = format!(
            "the brokers refuse a record of topic `{}`: the others are sent without it",
            self.options.topic
        );
        error::error(Fault::External, "record_refused", message)
    }
}

fn too_large(item: Item, code: RDKafkaErrorCode) -> Unsent {
    let bytes = item.value.as_ref().map_or(0, Vec::len) + item.key.len();
    let (code, message) = match code {
        RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize => (
            "too_large",
            format!(
                "a record of {bytes} bytes is more than the topic takes: raise `max.message.bytes` of the topic and \
                 `message.max.bytes` of the sink"
            ),
        ),
        other => ("record_refused", format!("the brokers refuse it: {other}")),
    };
    Unsent {
        item,
        why: Refused {
            code,
            message,
            field: None,
        },
    }
}

/// Encoders of keys and of rows.
struct Encoders {
    keys: Box<dyn Encoder>,
    values: Box<dyn Encoder>,
}

impl Rows for Encoders {
    fn items(&self, rows: &RecordBatch) -> Vec<Result<Item, Unsent>> {
        let keys = self.keys(rows).into_iter();
        let item = |(key, value): (Result<Vec<u8>, Refused>, Result<Vec<u8>, Refused>)| {
            let unsent = |key: Vec<u8>, why| Unsent {
                item: Item { key, value: None },
                why,
            };
            let key = key.map_err(|why| unsent(Vec::new(), why))?;
            match value {
                Ok(value) => Ok(Item {
                    key,
                    value: Some(value),
                }),
                Err(why) => Err(unsent(key, why)),
            }
        };
        keys.zip(self.values.encode(rows)).map(item).collect()
    }

    fn keys(&self, rows: &RecordBatch) -> Vec<Result<Vec<u8>, Refused>> {
        self.keys.encode(rows)
    }
}

impl Sink for KafkaSink {
    fn open(
        &mut self,
        position: Option<&str>,
        told: &mut Told<'_>,
        line: &Line,
    ) -> Result<Opening, SourceError> {
        self.link = None;
        let rows = if let Some(rows) = &self.rows {
            Arc::clone(rows)
        } else {
            let made = self.make_rows()?;
            Arc::clone(self.rows.insert(made))
        };
        let (link, epoch) = self.connect(line)?;
        let brokers = self.config.get("bootstrap.servers").unwrap_or_default();
        let from = position.and_then(parse);
        let read = readback::read(
            &readback::config(&self.config, &self.id),
            &self.options.topic,
            brokers,
            from.as_ref(),
            told,
            line,
            self.writes_letters(),
        )?;
        self.position = read.position;
        self.link = Some(link);
        Ok(Opening {
            rows,
            whole: read.whole,
            position: shown(&self.position),
            epoch,
        })
    }

    fn write(
        &mut self,
        cut: &Cut,
        items: &mut dyn Iterator<Item = Item>,
        line: &Line,
    ) -> Result<Flushed, SourceError> {
        let mut link = self.link.take().expect("it was opened");
        match self.flush(&mut link, cut, items, line) {
            Ok(unsent) => {
                let after = std::mem::take(&mut link.producer.context().lock().after);
                self.position.extend(after);
                self.link = Some(link);
                Ok(Flushed {
                    position: shown(&self.position),
                    unsent,
                })
            }
            // The next producer of this transactional id ends what was begun.
            Err(failure) => Err(self.diagnosed(&link, failure)),
        }
    }

    /// Lets the client tell what it has to tell, which else would pile up.
    fn idle(&mut self) -> Result<(), SourceError> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        link.producer.poll(Duration::ZERO);
        drop(link.group.poll(Duration::ZERO));
        match link.producer.context().events.take() {
            Some((code @ RDKafkaErrorCode::Fatal, reason)) => {
                Err(self.diagnosed(link, self.of_code(code, &reason)))
            }
            // A broker that is away while there is nothing to write is no trouble yet.
            _ => Ok(()),
        }
    }
}

/// A position as text: `0:12,1:7`.
fn shown(position: &Position) -> String {
    let parts: Vec<String> = position
        .iter()
        .map(|(partition, offset)| format!("{partition}:{offset}"))
        .collect();
    parts.join(",")
}

fn parse(text: &str) -> Option<Position> {
    let part = |part: &str| {
        let (partition, offset) = part.split_once(':')?;
        Some((partition.parse().ok()?, offset.parse().ok()?))
    };
    text.split(',')
        .filter(|text| !text.is_empty())
        .map(part)
        .collect()
}

impl fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSink")
            .field("topic", &self.options.topic)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SinkOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of properties may be secrets.
        f.debug_struct("SinkOptions")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rows { .. } => "Rows",
            Self::Letters => "Letters",
        })
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json => f.write_str("Json"),
            Self::Avro { subject, .. } => f
                .debug_struct("Avro")
                .field("subject", subject)
                .finish_non_exhaustive(),
        }
    }
}
