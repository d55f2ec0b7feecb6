//! Publishing: a recorded day exactly as recorded, or a live one at a rate.
//!
//! One idempotent producer, so that what is sent again lies where it was meant to. A recorded day's offsets are
//! compared with those that the broker gave: a topic that held something before is an error, not a shifted day.
#![expect(
    clippy::disallowed_methods,
    reason = "the live feed goes by the clock on the wall"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, anyhow, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use schema_registry_converter::async_impl::schema_registry::{SrSettings, post_schema};
use schema_registry_converter::schema_registry_common::{SchemaType, SuppliedSchema};
use tokio::runtime::Runtime;

use crate::avro::Encoder;
use crate::desk::{Desk, Habits};
use crate::message::{Body, Message, Record, TOPICS, partition_of, read};
use crate::{Ending, How, To};

pub(crate) const PARTITIONS: i32 = 4;

/// How often a refused schema is offered again.
const REGISTER_TRIES: u32 = 3;

/// The longest that brokers let a transaction stand open.
const TRANSACTION_MS: &str = "900000";

/// Longest wait for what an administrator asks.
const ADMIN: Duration = Duration::from_secs(30);
/// How long everything sent may take to arrive.
const FLUSH: Duration = Duration::from_mins(2);

/// Publishes the files of a folder.
pub(crate) fn publish(to: &To, day: &Path, only: &[String], how: &How) -> Result<()> {
    let mut topics = read(day)?;
    topics.retain(|topic, _| only.is_empty() || only.iter().any(|wanted| wanted == topic));
    let highest = topics
        .values()
        .flatten()
        .map(|record| record.partition)
        .max()
        .unwrap_or(0);
    let partitions = topics.keys().map(|topic| (*topic, highest + 1));
    let publisher = Publisher::connect(to, partitions, how)?;
    if how.transaction.is_some() {
        publisher.producer.init_transactions(FLUSH)?;
        publisher.producer.begin_transaction()?;
    }
    let mut count = 0;
    for record in topics.values().flatten() {
        let expected = how.transaction.is_none().then_some(record.offset);
        publisher.send(record, expected)?;
        count += 1;
    }
    publisher.finish()?;
    match how.transaction {
        Some(Ending::Commit) => publisher.producer.commit_transaction(FLUSH)?,
        Some(Ending::Abort) => publisher.producer.abort_transaction(FLUSH)?,
        Some(Ending::Never) | None => {}
    }
    eprintln!("weir-feed: {count} messages published");
    Ok(())
}

/// Makes up a day as it goes.
pub(crate) fn live(to: &To, rate: u32, minutes: u32, seed: u64) -> Result<()> {
    let plainly = How {
        prefix: String::new(),
        compression: "none".to_owned(),
        transaction: None,
    };
    let partitions = TOPICS.map(|(topic, _)| (topic, PARTITIONS));
    let publisher = Publisher::connect(to, partitions, &plainly)?;
    let start_ms = now_ms()?;
    let at_once = rate.div_ceil(200);
    let total = i64::from(rate) * 60 * i64::from(minutes.max(1));
    let habits = Habits {
        any_notation: true,
        unruly: true,
        deal_every_ms: i64::from(1_000 * at_once / rate),
        deals_at_once: at_once,
        size_pct: (200_000 / total).clamp(1, 100),
    };
    let mut desk = Desk::open(seed, start_ms, habits);
    let send = |message: Message| {
        let partition = partition_of(&message.key, PARTITIONS.unsigned_abs().into());
        let record = Record {
            partition,
            offset: 0,
            message,
            headers: Vec::new(),
        };
        publisher.send(&record, None)
    };
    for message in desk.start() {
        send(message)?;
    }
    let (started, length) = (Instant::now(), Duration::from_mins(minutes.into()));
    let (mut shown, mut day_ms, mut sent) = (Instant::now(), start_ms, 0);
    while started.elapsed() < length {
        // Not every deal sends something: the day goes a little faster than the wall clock, the messages do not.
        let due = u64::from(rate) * u64::try_from(started.elapsed().as_millis())? / 1_000;
        while sent < due {
            match desk.next(day_ms) {
                Some(message) => {
                    send(Message {
                        at_ms: now_ms()?,
                        ..message
                    })?;
                    sent += 1;
                }
                None => day_ms += 1,
            }
        }
        if shown.elapsed() > Duration::from_secs(10) {
            shown = Instant::now();
            eprintln!(
                "weir-feed: {sent} messages after {} s",
                started.elapsed().as_secs()
            );
        }
        sleep(Duration::from_millis(5));
    }
    publisher.finish()?;
    eprintln!("weir-feed: {sent} messages published in {minutes} min");
    Ok(())
}

pub(crate) fn now_ms() -> Result<i64> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .context("the machine's clock")?;
    Ok(i64::try_from(now.as_millis())?)
}

/// The first thing that went wrong with a delivery.
#[derive(Debug, Clone, Default)]
struct Deliveries(Arc<Mutex<Option<String>>>);

impl Deliveries {
    fn fail(&self, text: String) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get_or_insert(text);
    }

    fn failure(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    /// The offset that the record must get, if it matters.
    type DeliveryOpaque = Box<Option<i64>>;

    fn delivery(&self, result: &DeliveryResult<'_>, expected: Self::DeliveryOpaque) {
        match (result, *expected) {
            (Err((error, _)), _) => self.fail(format!("a message was not delivered: {error}")),
            (Ok(message), Some(expected)) if message.offset() != expected => self.fail(format!(
                "{} [{}] is not empty: a record recorded at offset {expected} came to lie at {}",
                message.topic(),
                message.partition(),
                message.offset()
            )),
            (Ok(_), _) => {}
        }
    }
}

pub(crate) struct Publisher {
    producer: ThreadedProducer<Deliveries>,
    deliveries: Deliveries,
    prefix: String,
    /// Schema id and encoder of the Avro topics.
    encoders: BTreeMap<&'static str, (u32, Encoder)>,
}

impl Publisher {
    /// Makes the topics that are not there, and the partitions that they lack, and registers the schemas.
    pub(crate) fn connect(
        to: &To,
        topics: impl IntoIterator<Item = (&'static str, i32)>,
        how: &How,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", to.bootstrap())
            .set("broker.address.family", "v4");
        let topics: Vec<(&str, i32)> = topics.into_iter().collect();
        let prefix = how.prefix.clone();
        let named = topics
            .iter()
            .map(|(topic, partitions)| (format!("{prefix}{topic}"), *partitions));
        runtime.block_on(create(&config, &named.collect::<Vec<_>>()))?;
        let mut encoders = BTreeMap::new();
        for (topic, _) in topics {
            if let Some(encoder) = Encoder::of(topic)? {
                let named = format!("{prefix}{topic}");
                let id = register(&runtime, &to.registry(), &named, &encoder)?;
                encoders.insert(topic, (id, encoder));
            }
        }
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("compression.codec", &how.compression)
            .set("message.max.bytes", "33554432");
        if how.transaction.is_some() {
            config
                .set("transactional.id", format!("weir-feed-{}", process::id()))
                .set("transaction.timeout.ms", TRANSACTION_MS);
        }
        let deliveries = Deliveries::default();
        let producer = config
            .create_with_context(deliveries.clone())
            .context("the Kafka client")?;
        Ok(Self {
            producer,
            deliveries,
            prefix,
            encoders,
        })
    }

    pub(crate) fn send(&self, record: &Record, expected: Option<i64>) -> Result<()> {
        let Message {
            topic,
            at_ms,
            key,
            body,
        } = &record.message;
        let payload = self
            .payload(topic, body)
            .with_context(|| format!("{topic} {key}"))?;
        let named = format!("{}{topic}", self.prefix);
        let mut sending = BaseRecord::with_opaque_to(&named, Box::new(expected));
        sending = sending
            .partition(record.partition)
            .key(key.as_bytes())
            .timestamp(*at_ms);
        if let Some(payload) = &payload {
            sending = sending.payload(payload);
        }
        if !record.headers.is_empty() {
            let headers = record.headers.iter();
            let add = |headers: OwnedHeaders, (key, value): &(String, String)| {
                let value = Some(value.as_str());
                headers.insert(Header { key, value })
            };
            sending = sending.headers(headers.fold(OwnedHeaders::new(), add));
        }
        loop {
            match self.producer.send(sending) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    sending = back;
                    sleep(Duration::from_millis(2));
                }
                Err((error, _)) => return Err(error).with_context(|| format!("{topic} {key}")),
            }
        }
        self.deliveries
            .failure()
            .map_or(Ok(()), |failure| Err(anyhow!(failure)))
    }

    /// The bytes on the wire; nothing for an empty value.
    fn payload(&self, topic: &str, body: &Body) -> Result<Option<Vec<u8>>> {
        Ok(match (body, self.encoders.get(topic)) {
            (Body::Empty, _) => None,
            (Body::Text(text), _) => Some(text.clone().into_bytes()),
            (Body::Bytes(bytes), _) => Some(bytes.clone()),
            (Body::Value(value), None) => Some(serde_json::to_vec(value)?),
            (Body::Value(value), Some((id, encoder))) => {
                let mut bytes = vec![0];
                bytes.extend(id.to_be_bytes());
                bytes.extend(encoder.encode(value)?);
                Some(bytes)
            }
        })
    }

    pub(crate) fn finish(&self) -> Result<()> {
        self.producer
            .flush(FLUSH)
            .context("not everything was delivered")?;
        self.deliveries
            .failure()
            .map_or(Ok(()), |failure| Err(anyhow!(failure)))
    }
}

/// Makes topics that are not there, and gives those that have fewer partitions more. Nothing is asked of the brokers
/// where all is as it should be: some of them may be away.
async fn create(config: &ClientConfig, topics: &[(String, i32)]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config.create().context("the Kafka client")?;
    let known = admin.inner().fetch_metadata(None, ADMIN);
    let known = known.context("cannot list the topics; is Kafka up?")?;
    let count = |topic: &str| {
        let known = known.topics().iter().find(|known| known.name() == topic);
        known.map(|known| known.partitions().len())
    };
    let new = topics
        .iter()
        .filter(|(topic, _)| count(topic).is_none())
        .map(|(topic, partitions)| NewTopic::new(topic, *partitions, TopicReplication::Fixed(1)));
    let new: Vec<_> = new.collect();
    let options = AdminOptions::new().operation_timeout(Some(ADMIN));
    if !new.is_empty() {
        for result in admin.create_topics(&new, &options).await? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, error)) => bail!("cannot make {topic}: {error}"),
            }
        }
    }
    let more = topics.iter().filter_map(|(topic, partitions)| {
        let partitions = usize::try_from(*partitions).unwrap_or(0);
        let has_fewer = count(topic).is_some_and(|count| count < partitions);
        has_fewer.then(|| NewPartitions::new(topic, partitions))
    });
    let more: Vec<_> = more.collect();
    if !more.is_empty() {
        for result in admin.create_partitions(&more, &options).await? {
            if let Err((topic, error)) = result {
                bail!("cannot give {topic} more partitions: {error}");
            }
        }
    }
    Ok(())
}

fn register(runtime: &Runtime, registry: &str, topic: &str, encoder: &Encoder) -> Result<u32> {
    let settings = SrSettings::new(registry.to_owned());
    let mut tries = 0;
    loop {
        let schema = SuppliedSchema::new(None, SchemaType::Avro, encoder.text.to_owned());
        match runtime.block_on(post_schema(&settings, format!("{topic}-value"), schema)) {
            Ok(schema) => return Ok(schema.id),
            // Somebody else registers it at this moment: the registry refuses one of the two.
            Err(_) if tries < REGISTER_TRIES => tries += 1,
            Err(error) => bail!("cannot register the schema of {topic} at {registry}: {error}"),
        }
        sleep(Duration::from_millis(200));
    }
}
