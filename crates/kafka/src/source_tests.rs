//! The source against librdkafka's built-in mock brokers, which need no service: the log's offsets,
//! order, positions, ends, tombstones and failures. What only a real broker has (transactions,
//! retention, sign-in) is tested end to end.

use crate::source::{KafkaSource, SourceOptions, Start};
use rdkafka::ClientConfig;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use std::collections::BTreeMap;
use std::time::Duration;
use weir_stage::source::{Fault, Position, RawRecord, Source, SourceError};

const TOPIC: &str = "t";
const PARTITIONS: i32 = 3;
const WAIT: Duration = Duration::from_secs(20);

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    cluster
}

fn produce(cluster: &MockCluster<'_, DefaultProducerContext>, numbers: std::ops::Range<i32>) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .create()
        .unwrap();
    for number in numbers {
        let (key, value) = (format!("k{number}"), format!("value {number}"));
        let record = BaseRecord::to(TOPIC)
            .partition(number % PARTITIONS)
            .timestamp(1_000 + i64::from(number))
            .key(&key);
        let record = if number % 10 == 9 {
            record
        } else {
            record.payload(&value)
        };
        producer.send(record).unwrap();
    }
    producer.flush(WAIT).unwrap();
}

fn open(bootstrap: &str, start: Start, position: Option<Position>) -> KafkaSource {
    let properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]);
    KafkaSource::open(SourceOptions {
        topic: TOPIC.to_owned(),
        properties,
        start,
        position,
        identity: None,
    })
    .unwrap()
}

/// Polls until `is_done`, or fails.
fn until(
    source: &mut KafkaSource,
    records: &mut Vec<RawRecord>,
    is_done: impl Fn(&KafkaSource, &[RawRecord]) -> bool,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let poll = async {
        while !is_done(source, records) {
            if let Ok(batch) = source.poll(100, 1 << 20) {
                assert!(batch.records.len() <= 100);
                records.extend(batch.records);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    runtime
        .block_on(async { tokio::time::timeout(WAIT, poll).await })
        .expect("in time");
}

fn failure(source: &mut KafkaSource) -> SourceError {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let poll = async {
        loop {
            if let Err(failure) = source.poll(1, 1) {
                return failure;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    runtime
        .block_on(async { tokio::time::timeout(WAIT, poll).await })
        .expect("in time")
}

fn is_caught_up(source: &KafkaSource, _records: &[RawRecord]) -> bool {
    source
        .start_end()
        .is_some_and(|end| source.position() == end)
}

/// Everything once, in order inside each partition, with keys, times and tombstones, up to the noted ends.
#[test]
fn reads_all() {
    let cluster = cluster();
    produce(&cluster, 0..1_000);
    let mut source = open(&cluster.bootstrap_servers(), Start::Earliest, None);
    let mut records = Vec::new();
    until(&mut source, &mut records, is_caught_up);
    assert_eq!(records.len(), 1_000);
    assert_eq!(source.end(), BTreeMap::from([(0, 334), (1, 333), (2, 333)]));
    for partition in 0..PARTITIONS {
        let of_partition = records
            .iter()
            .filter(|record| record.partition == partition);
        for (offset, record) in (0_i32..).zip(of_partition) {
            let number = offset * PARTITIONS + partition;
            assert_eq!(record.offset, i64::from(offset));
            assert_eq!(record.timestamp_us, (1_000 + i64::from(number)) * 1_000);
            assert_eq!(record.key.as_deref(), Some(format!("k{number}").as_bytes()));
            let value = format!("value {number}");
            assert_eq!(
                record.value.as_deref(),
                (number % 10 != 9).then_some(value.as_bytes())
            );
        }
    }
}

/// What is written later comes too; another opening goes on at a stored position; `latest` begins at the end.
#[test]
fn goes_on() {
    let cluster = cluster();
    produce(&cluster, 0..30);
    let mut latest = open(&cluster.bootstrap_servers(), Start::Latest, None);
    let mut stored = open(
        &cluster.bootstrap_servers(),
        Start::Earliest,
        Some(BTreeMap::from([(0, 10), (1, 7), (2, 8)])),
    );
    let (mut new, mut old) = (Vec::new(), Vec::new());
    until(&mut latest, &mut new, is_caught_up);
    until(&mut stored, &mut old, is_caught_up);
    assert_eq!((new.len(), old.len()), (0, 5));
    produce(&cluster, 30..60);
    until(&mut latest, &mut new, |_, records| records.len() == 30);
    until(&mut stored, &mut old, |_, records| records.len() == 35);
    assert!(new.iter().all(|record| record.offset >= 10));
}

/// A position that the log does not have is an error, never a reset.
#[test]
fn position_lost() {
    let cluster = cluster();
    produce(&cluster, 0..30);
    let mut source = open(
        &cluster.bootstrap_servers(),
        Start::Earliest,
        Some(BTreeMap::from([(0, 11)])),
    );
    let failure = failure(&mut source);
    assert_eq!(
        (failure.code, failure.fault),
        ("offset_lost", Fault::User),
        "{failure}"
    );
    assert!(
        failure
            .message
            .contains("the next offset to read is 11, but the log ends at 10"),
        "{failure}"
    );
}

/// No broker and no topic are outside failures that say where to look; both name what was asked for.
#[test]
fn nothing_there() {
    let mut nowhere = open("127.0.0.1:1", Start::Earliest, None);
    let failed = failure(&mut nowhere);
    assert_eq!(
        (failed.code, failed.fault),
        ("brokers_unreachable", Fault::External),
        "{failed}"
    );
    assert!(failed.message.contains("`127.0.0.1:1`"), "{failed}");
    assert_eq!(nowhere.start_end(), None);
}

/// Properties that no client takes fail at once, without their values.
#[test]
fn bad_properties() {
    for (key, value, code) in [
        ("boostrap.servers", "x", "client_property_unknown"),
        ("group.id", "x", "client_property_owned"),
        ("fetch.min.bytes", "secret", "client_property_invalid"),
        ("ssl.ca.pem", "secret", "client_rejected"),
    ] {
        let mut properties = BTreeMap::from([("bootstrap.servers".to_owned(), "a:1".to_owned())]);
        properties.insert("security.protocol".to_owned(), "ssl".to_owned());
        properties.insert(key.to_owned(), value.to_owned());
        let options = SourceOptions {
            topic: TOPIC.to_owned(),
            properties,
            start: Start::Earliest,
            position: None,
            identity: None,
        };
        let failure = KafkaSource::open(options).err().unwrap();
        assert_eq!(
            (failure.code, failure.fault),
            (code, Fault::User),
            "{failure}"
        );
        assert!(!failure.message.contains("secret"), "{failure}");
    }
}
