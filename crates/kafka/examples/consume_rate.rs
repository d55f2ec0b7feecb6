//! How fast a topic comes in, and what the source says meanwhile:
//! `consume_rate BOOTSTRAP TOPIC [write ROWS | follow SECONDS]`. Needs a broker and the topic. More client
//! properties, `name=value` with commas between, can be appended to the first argument after a `?`.
#![expect(clippy::print_stdout, reason = "figures to read")]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures time, on a thread of its own"
)]

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use weir_kafka::{KafkaSource, SourceOptions, Start};
use weir_stage::source::Source;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [bootstrap, topic, "write", rows] => {
            write(bootstrap, topic, rows.parse().expect("a number of rows"));
        }
        [bootstrap, topic, "follow", seconds] => {
            read(
                bootstrap,
                topic,
                Duration::from_secs(seconds.parse().expect("a number of seconds")),
            );
        }
        [bootstrap, topic] => read(bootstrap, topic, Duration::ZERO),
        _ => println!("consume_rate BOOTSTRAP TOPIC [write ROWS | follow SECONDS]"),
    }
}

fn write(bootstrap: &str, topic: &str, rows: u64) {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "50")
        .set("queue.buffering.max.messages", "1000000");
    let producer: BaseProducer = config.create().expect("a producer");
    for row in 0..rows {
        let key = format!("FX-{:08}", row % 500_000);
        let value = format!(
            r#"{{"dealId":"{key}","version":{},"action":"NEW","pair":"EUR/USD","side":"BUY","amount":{},"rate":1.0713,"dealt":"2026-03-02","due":"2026-03-04","entity":"ENTITY-FR","book":"FXTREAS-01","party":"CP-{:04}"}}"#,
            row / 500_000,
            10_000_000 + row,
            row % 97
        );
        while producer
            .send(BaseRecord::to(topic).key(&key).payload(&value))
            .is_err()
        {
            producer.poll(Duration::from_millis(10));
        }
    }
    producer
        .flush(Duration::from_mins(1))
        .expect("all are written");
}

/// Reads to the end noted at start, then goes on for so long.
fn read(bootstrap: &str, topic: &str, follow: Duration) {
    let start = Instant::now();
    let (bootstrap, more) = bootstrap.split_once('?').unwrap_or((bootstrap, ""));
    let mut properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]);
    let more = more.split(',').filter_map(|pair| pair.split_once('='));
    properties.extend(more.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let options = SourceOptions {
        topic: topic.to_owned(),
        properties,
        start: Start::Earliest,
        position: None,
        identity: None,
    };
    let mut source = KafkaSource::open(options).expect("the properties are good");
    let (mut rows, mut bytes, mut first, mut said) = (0, 0, None, None);
    loop {
        match source.poll(65_536, 64 << 20) {
            Ok(batch) if batch.records.is_empty() => std::thread::sleep(Duration::from_millis(1)),
            Ok(batch) => {
                first.get_or_insert_with(Instant::now);
                rows += batch.records.len();
                bytes += batch
                    .records
                    .iter()
                    .filter_map(|record| record.value.as_ref())
                    .map(bytes::Bytes::len)
                    .sum::<usize>();
                said = None;
            }
            Err(failure) if said != Some(failure.code) => {
                println!("{:?} {}: {failure}", failure.fault, failure.code);
                said = Some(failure.code);
            }
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
        if is_caught_up(&source) && start.elapsed() >= follow {
            break;
        }
    }
    let elapsed = first.map_or(Duration::ZERO, |first| first.elapsed());
    let rate = rows as u128 * 1_000_000_000 / elapsed.as_nanos().max(1);
    println!(
        "{rows} rows, {bytes} bytes, {} ms after {} ms, {rate} rows/s",
        elapsed.as_millis(),
        start.elapsed().saturating_sub(elapsed).as_millis()
    );
    println!("position {:?}", source.position());
}

fn is_caught_up(source: &KafkaSource) -> bool {
    let position = source.position();
    let reached =
        |(partition, end): (&i32, &i64)| position.get(partition).is_some_and(|next| next >= end);
    source
        .start_end()
        .is_some_and(|end| end.iter().all(reached))
}
