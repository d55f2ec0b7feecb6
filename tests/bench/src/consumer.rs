//! All messages of the topic, in batches from librdkafka's queue: the fastest way that its consumer has.
#![expect(
    unsafe_code,
    reason = "the batch queue has no safe binding: its messages are read in place and destroyed"
)]

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rdkafka::bindings::{
    rd_kafka_consume_batch_queue, rd_kafka_message_destroy, rd_kafka_message_t,
    rd_kafka_queue_destroy, rd_kafka_queue_get_consumer,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::Job;

pub(crate) const TOPIC: &str = "trades.fx";
pub(crate) const PARTITIONS: i32 = 4;

const BATCH: usize = 4_096;
const WAIT_MS: i32 = 100;
/// The topic is full before anything is measured: a gap this long means that it is not.
const SILENCE: Duration = Duration::from_secs(20);

/// Hands every value to `take`; answers how many there were.
pub(crate) fn all(job: &Job, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
    let consumer = consumer(job)?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(TOPIC, partition, Offset::Beginning)?;
    }
    consumer
        .assign(&assignment)
        .context("cannot read the topic")?;
    // SAFETY: the client outlives the queue, which is destroyed below.
    let queue = unsafe { rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
    let mut batch: Vec<*mut rd_kafka_message_t> = vec![std::ptr::null_mut(); BATCH];
    let (mut rows, mut silent) = (0, Duration::ZERO);
    let mut outcome = Ok(());
    while rows < job.messages && outcome.is_ok() {
        // SAFETY: the buffer has room for `BATCH` pointers.
        let got =
            unsafe { rd_kafka_consume_batch_queue(queue, WAIT_MS, batch.as_mut_ptr(), BATCH) };
        let got = usize::try_from(got).context("the batch queue failed")?;
        for message in &batch[..got] {
            // SAFETY: the queue gave a valid message; its payload is read before it is destroyed, once.
            unsafe {
                if (**message).err == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
                    && !(**message).payload.is_null()
                {
                    let value = std::slice::from_raw_parts(
                        (**message).payload.cast::<u8>(),
                        (**message).len,
                    );
                    outcome = outcome.and_then(|()| take(value));
                    rows += 1;
                }
                rd_kafka_message_destroy(*message);
            }
        }
        silent = if got == 0 {
            silent + Duration::from_millis(WAIT_MS.unsigned_abs().into())
        } else {
            Duration::ZERO
        };
        if silent > SILENCE {
            bail!("{TOPIC} holds {rows} messages, not {}", job.messages);
        }
    }
    // SAFETY: nothing uses the queue after this.
    unsafe { rd_kafka_queue_destroy(queue) };
    outcome.map(|()| rows)
}

fn consumer(job: &Job) -> Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &job.bootstrap)
        .set("broker.address.family", "v4")
        .set("group.id", "weir-bench");
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false");
    // The default of a second stalls a consumer that is slower than the fetcher.
    config
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", "100000");
    config.create().context("the Kafka client")
}
