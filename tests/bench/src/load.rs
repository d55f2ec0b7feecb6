//! The topic: deals in several versions, nine in a hundred messages overtaken by a newer version of their deal.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use crate::Job;
use crate::consumer::{PARTITIONS, TOPIC};

/// Versions of a deal come in pairs; in so many of a hundred pairs the newer comes first.
const SWAPPED_PERCENT: u64 = 18;

const ENTITIES: [&str; 4] = ["MER-US", "MER-UK", "MER-DE", "MER-SG"];
const BOOKS: [&str; 8] = [
    "FXT-1", "FXT-2", "FXT-3", "FXT-4", "FWD-1", "FWD-2", "SWAPS", "CORP",
];
const PAIRS: [(&str, u64); 6] = [
    ("EUR/USD", 1_084_200),
    ("GBP/USD", 1_270_600),
    ("USD/JPY", 148_986_500),
    ("USD/SGD", 1_341_700),
    ("EUR/GBP", 853_300),
    ("AUD/USD", 654_100),
];
const COUNTERPARTIES: [&str; 5] = [
    "CASCADE-BANCORP",
    "THAMES-BANK",
    "ISAR-BANK",
    "LION-CITY-BANK",
    "SEINE-BANQUE",
];

pub(crate) struct Message {
    partition: i32,
    key: String,
    pub(crate) value: String,
}

/// The messages in the order in which they are sent.
pub(crate) fn messages(count: u64, versions: u64) -> impl Iterator<Item = Message> {
    let deals = count / versions;
    (0..versions).flat_map(move |round| (0..deals).map(move |deal| message(deal, round)))
}

fn message(deal: u64, round: u64) -> Message {
    let swapped = mix(deal * 4 + round / 2) % 100 < SWAPPED_PERCENT;
    let version = 1 + if swapped { round ^ 1 } else { round };
    // What stays the same over the versions of a deal, and what changes.
    let (fixed, changing) = (mix(deal), mix(deal * 4 + version + (1 << 40)));
    let (pair, rate) = PAIRS[place(fixed, PAIRS.len())];
    let entity = ENTITIES[place(fixed >> 8, ENTITIES.len())];
    let book = BOOKS[place(fixed >> 16, BOOKS.len())];
    let counterparty = COUNTERPARTIES[place(fixed >> 24, COUNTERPARTIES.len())];
    let side = if fixed >> 32 & 1 == 0 { "BUY" } else { "SELL" };
    let action = match version {
        1 => "NEW",
        4 if (fixed >> 40).trailing_zeros() >= 5 => "CANCEL",
        _ => "AMEND",
    };
    let cents = 1_000_000 + changing % 5_000_000_000;
    let rate = rate + (changing >> 40) % 1_000;
    let key = format!("FX-{deal:08}");
    let value = format!(
        "{{\"dealId\":\"{key}\",\"version\":{version},\"action\":\"{action}\",\"ccyPair\":\"{pair}\",\"side\":\"{side}\",\
         \"notional\":{}.{:02},\"rate\":{}.{:06},\"tradeDate\":\"2026-03-02\",\"settlementDate\":\"2026-03-04\",\
         \"entity\":\"{entity}\",\"book\":\"{book}\",\"cpty\":\"{counterparty}\"}}",
        cents / 100,
        cents % 100,
        rate / 1_000_000,
        rate % 1_000_000,
    );
    let partition =
        i32::try_from(deal % u64::from(PARTITIONS.unsigned_abs())).expect("few partitions");
    Message {
        partition,
        key,
        value,
    }
}

fn place(number: u64, of: usize) -> usize {
    usize::try_from(number & 0xff).expect("a byte") % of
}

/// A number that looks random and follows from another.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Sends everything from this message on, timestamps a millisecond apart for every thousand; makes the topic first if
/// that is everything.
pub(crate) fn fill(job: &Job, from: u64) -> Result<()> {
    let mut config = client(job);
    if from == 0 {
        create(&config, TOPIC)?;
    }
    config
        .set("linger.ms", "20")
        .set("batch.num.messages", "20000")
        .set("queue.buffering.max.messages", "200000");
    let producer: ThreadedProducer<DefaultProducerContext> =
        config.create().context("the Kafka client")?;
    let rest = usize::try_from(from).context("too many messages")?;
    for (number, message) in (0_i64..)
        .zip(messages(job.messages, job.versions))
        .skip(rest)
    {
        let mut record = BaseRecord::to(TOPIC)
            .partition(message.partition)
            .key(&message.key)
            .payload(&message.value);
        record = record.timestamp(1_772_434_800_000 + number / 1_000);
        while let Err((error, back)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error).context("cannot send");
            }
            record = back;
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    producer
        .flush(Duration::from_mins(2))
        .context("not everything was delivered")?;
    eprintln!("weir-bench: {} messages in {TOPIC}", job.messages);
    Ok(())
}

/// Makes a topic that is empty.
pub(crate) fn make(job: &Job, topic: &str) -> Result<()> {
    create(&client(job), topic)
}

fn client(job: &Job) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &job.bootstrap)
        .set("broker.address.family", "v4");
    config
}

fn create(config: &ClientConfig, name: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config.create().context("the Kafka client")?;
    let topic = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
    let made =
        block_on(admin.create_topics([&topic], &AdminOptions::new())).context("is Kafka up?")?;
    match made.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        other => bail!("cannot make {name}, which must be new: {other:?}"),
    }
}

/// The admin client answers from a thread of its own: waiting for one answer needs no runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Wake(std::thread::Thread);
    impl std::task::Wake for Wake {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Wake(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
