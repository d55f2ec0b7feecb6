//! One topic, made or read: what a sink wrote, seen by a client that shares no code with it.
#![expect(
    clippy::disallowed_methods,
    reason = "nothing else waits while a topic goes"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_schema_by_id};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::To;

const ANSWER_WAIT: Duration = Duration::from_secs(20);

fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

fn config(to: &To) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", to.bootstrap())
        .set("broker.address.family", "v4");
    config
}

/// Makes a topic with these settings.
pub(crate) fn make(
    to: &To,
    name: &str,
    partitions: i32,
    replicas: i32,
    settings: &[String],
) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(to).create()?;
    let mut new = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
    for setting in settings {
        let (key, value) = setting.split_once('=').context("--set wants key=value")?;
        new = new.set(key, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_WAIT));
    let made = runtime()?.block_on(admin.create_topics([&new], &options))?;
    for result in made {
        if let Err((topic, error)) = result {
            bail!("cannot make {topic}: {error}");
        }
    }
    Ok(())
}

/// Deletes a topic, and waits until no broker knows it.
pub(crate) fn delete(to: &To, name: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(to).create()?;
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_WAIT));
    for result in runtime()?.block_on(admin.delete_topics(&[name], &options))? {
        if let Err((topic, error)) = result {
            bail!("cannot delete {topic}: {error}");
        }
    }
    let started = Instant::now();
    while started.elapsed() < ANSWER_WAIT {
        let metadata = admin.inner().fetch_metadata(None, ANSWER_WAIT)?;
        if metadata.topics().iter().all(|topic| topic.name() != name) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("{name} is still there")
}

/// Deletes a partition's records before an offset.
pub(crate) fn trim(to: &To, name: &str, partition: i32, before: i64) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(to).create()?;
    let mut which = TopicPartitionList::new();
    which.add_partition_offset(name, partition, Offset::Offset(before))?;
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_WAIT));
    let trimmed = runtime()?.block_on(admin.delete_records(&which, &options))?;
    trimmed
        .elements()
        .iter()
        .try_for_each(TopicPartitionListElem::error)
        .context("cannot delete records")
}

/// Prints what a group has committed of each partition.
pub(crate) fn offsets(to: &To, group: &str, name: &str) -> Result<()> {
    let consumer: BaseConsumer = config(to).set("group.id", group).create()?;
    let metadata = consumer.fetch_metadata(Some(name), ANSWER_WAIT)?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == name);
    let mut asked = TopicPartitionList::new();
    for partition in topic.map_or(&[][..], rdkafka::metadata::MetadataTopic::partitions) {
        asked.add_partition(name, partition.id());
    }
    for element in consumer.committed_offsets(asked, ANSWER_WAIT)?.elements() {
        let (partition, offset) = (element.partition(), element.offset().to_raw());
        let metadata = element.metadata();
        println!(
            "{}",
            json!({ "partition": partition, "offset": offset, "metadata": metadata })
        );
    }
    Ok(())
}

/// A broker in memory.
pub(crate) fn mock(name: &str) -> Result<()> {
    let cluster = MockCluster::new(1)?;
    cluster.create_topic(name, 2, 1)?;
    println!("{}", cluster.bootstrap_servers());
    loop {
        std::thread::park();
    }
}

/// Prints all records up to the end that the topic has now.
pub(crate) fn read(to: &To, name: &str, uncommitted: bool, raw: bool) -> Result<()> {
    let mut config = config(to);
    let isolation = if uncommitted {
        "read_uncommitted"
    } else {
        "read_committed"
    };
    config
        .set("group.id", "weir-feed-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation);
    let consumer: BaseConsumer = config.create()?;
    let metadata = consumer.fetch_metadata(Some(name), ANSWER_WAIT)?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == name);
    let partitions = topic.map_or(&[][..], rdkafka::metadata::MetadataTopic::partitions);
    let (mut from, mut open) = (TopicPartitionList::new(), BTreeSet::new());
    for partition in partitions {
        from.add_partition_offset(name, partition.id(), Offset::Beginning)?;
        open.insert(partition.id());
    }
    consumer.assign(&from)?;
    let mut schemas = Schemas {
        runtime: runtime()?,
        settings: SrSettings::new(to.registry()),
        known: BTreeMap::new(),
    };
    while !open.is_empty() {
        match consumer.poll(ANSWER_WAIT) {
            None => bail!("{name}: nothing comes"),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => return Err(error).context(name.to_owned()),
            Some(Ok(record)) => {
                let mut headers = serde_json::Map::new();
                for header in record.headers().into_iter().flat_map(|all| all.iter()) {
                    let text = header.value.map(String::from_utf8_lossy);
                    headers.insert(header.key.to_owned(), json!(text));
                }
                if raw {
                    let value = record.payload().map(|value| STANDARD.encode(value));
                    let key = record.key().map(String::from_utf8_lossy);
                    println!(
                        "{}",
                        json!({ "partition": record.partition(), "offset": record.offset(), "headers": headers,
                            "timestamp_ms": record.timestamp().to_millis(), "key": key, "value": value })
                    );
                    continue;
                }
                let line = json!({
                    "partition": record.partition(), "offset": record.offset(),
                    "timestamp_ms": record.timestamp().to_millis(), "headers": headers,
                    "key": record.key().map(|bytes| schemas.shown(bytes)).transpose()?,
                    "value": record.payload().map(|bytes| schemas.shown(bytes)).transpose()?,
                });
                println!("{line}");
            }
        }
    }
    Ok(())
}

/// The registry's schemas, asked for once.
struct Schemas {
    runtime: Runtime,
    settings: SrSettings,
    known: BTreeMap<u32, Schema>,
}

impl Schemas {
    /// JSON, Avro in the registry's wire format, or else text.
    fn shown(&mut self, bytes: &[u8]) -> Result<Value> {
        if let Some((&[0, a, b, c, d], mut body)) = bytes.split_first_chunk::<5>() {
            let id = u32::from_be_bytes([a, b, c, d]);
            if !self.known.contains_key(&id) {
                let found = get_schema_by_id(id, &self.settings);
                let found = self.runtime.block_on(found);
                let found = found.map_err(|error| anyhow::anyhow!("schema {id}: {error}"))?;
                self.known.insert(id, Schema::parse_str(&found.schema)?);
            }
            let reader = GenericDatumReader::builder(&self.known[&id]).build()?;
            return plain(reader.read_value(&mut body)?);
        }
        let text = String::from_utf8_lossy(bytes);
        Ok(serde_json::from_str(&text).unwrap_or_else(|_| json!(text)))
    }
}

/// An Avro value as JSON; a decimal as its unscaled digits, bytes as base64.
fn plain(value: Avro) -> Result<Value> {
    Ok(match value {
        Avro::Null => Value::Null,
        Avro::Boolean(value) => json!(value),
        Avro::Int(value) | Avro::Date(value) => json!(value),
        Avro::Long(value) | Avro::TimestampMicros(value) | Avro::TimestampMillis(value) => {
            json!(value)
        }
        Avro::Float(value) => json!(value),
        Avro::Double(value) => json!(value),
        Avro::String(text) | Avro::Enum(_, text) => json!(text),
        Avro::Union(_, value) => plain(*value)?,
        Avro::Decimal(decimal) => {
            let bytes = Vec::<u8>::try_from(&decimal)?;
            let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
            let digits = bytes
                .iter()
                .try_fold(if negative { -1 } else { 0_i128 }, |sum, byte| {
                    Some(sum.checked_mul(256)? + i128::from(*byte))
                });
            json!(
                digits
                    .context("an amount of more than 127 bits")?
                    .to_string()
            )
        }
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) => {
            json!(STANDARD.encode(bytes))
        }
        Avro::Array(items) => items.into_iter().map(plain).collect::<Result<_>>()?,
        Avro::Record(fields) => fields
            .into_iter()
            .map(|(name, value)| Ok((name, plain(value)?)))
            .collect::<Result<_>>()?,
        other => bail!("a value that no sink writes: {other:?}"),
    })
}
