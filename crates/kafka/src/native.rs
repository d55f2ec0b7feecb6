//! The few calls to librdkafka that `rdkafka` has no safe form of: reading partitions without a group into
//! one queue, taking messages from it in batches, and asking which topic it is.

#![expect(
    unsafe_code,
    reason = "librdkafka's batch calls have no safe form in rdkafka"
)]

use crate::events::Events;
use crate::queue::Chunk;
use bytes::Bytes;
use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{IsError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;
use weir_stage::source::{Headers, RawRecord};

/// Most messages taken at once.
const BATCH_ROWS_MAX: usize = 4_096;

/// Asks the brokers for a topic's identity: one of this name that is made anew has another. Empty where they know none.
pub(crate) fn identity(
    consumer: &BaseConsumer<Events>,
    name: &str,
    wait: Duration,
) -> Result<String, RDKafkaErrorCode> {
    let name = CString::new(name).map_err(|_nul| RDKafkaErrorCode::InvalidTopic)?;
    let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    let client = consumer.client().native_ptr();
    // SAFETY: every handle made here is destroyed here, once and after its last use; the client outlives them. What the
    // event holds is copied before the event goes. librdkafka copies the name.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client);
        let mut names = [name.as_ptr()];
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = sys::rd_kafka_AdminOptions_new(client, operation);
        let (text, room) = (ptr::null_mut(), 0);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, wait_ms, text, room);
        sys::rd_kafka_DescribeTopics(client, topics, options, queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(topics);
        // The request has a limit of its own; this one is for a client that says nothing.
        let event = sys::rd_kafka_queue_poll(queue, wait_ms.saturating_mul(2));
        let identity = identity_in(event);
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_queue_destroy(queue);
        identity
    }
}

/// # Safety
/// The event is null or alive.
unsafe fn identity_in(event: *mut sys::rd_kafka_event_t) -> Result<String, RDKafkaErrorCode> {
    let ok = |code: RDKafkaRespErr| -> Result<(), RDKafkaErrorCode> {
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            code => Err(code.into()),
        }
    };
    if event.is_null() {
        return Err(RDKafkaErrorCode::OperationTimedOut);
    }
    // SAFETY: the event is alive, and so is all that it holds; lists have as many places as are told.
    unsafe {
        ok(sys::rd_kafka_event_error(event))?;
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if count == 0 {
            return Err(RDKafkaErrorCode::UnknownTopicOrPartition);
        }
        let topic = *topics;
        ok(sys::rd_kafka_error_code(
            sys::rd_kafka_TopicDescription_error(topic),
        ))?;
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let known = !id.is_null()
            && (sys::rd_kafka_Uuid_most_significant_bits(id) != 0
                || sys::rd_kafka_Uuid_least_significant_bits(id) != 0);
        let text = known.then(|| CStr::from_ptr(sys::rd_kafka_Uuid_base64str(id)));
        Ok(text.map_or_else(String::new, |text| text.to_string_lossy().into_owned()))
    }
}

/// A topic being read.
pub(crate) struct Topic {
    consumer: BaseConsumer<Events>,
    queue: *mut sys::rd_kafka_queue_t,
    handle: *mut sys::rd_kafka_topic_t,
    name: CString,
    started: Vec<i32>,
    messages: Vec<*mut sys::rd_kafka_message_t>,
}

// SAFETY: librdkafka's handles may be used from any thread; this struct is used by one at a time.
unsafe impl Send for Topic {}

/// Messages taken at once, and what went wrong.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) chunk: Chunk,
    /// Partitions whose end was reached, with their end.
    pub(crate) ends: Vec<(i32, i64)>,
    /// Partitions that cannot be read.
    pub(crate) failures: Vec<(i32, RDKafkaErrorCode)>,
}

impl Topic {
    /// The topic's handle and its queue; reads nothing yet.
    pub(crate) fn new(consumer: BaseConsumer<Events>, name: &str) -> Option<Self> {
        let name = CString::new(name).ok()?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives as long as `consumer`, which outlives both handles (see `drop`).
        let (queue, handle) = unsafe {
            (
                sys::rd_kafka_queue_new(client),
                sys::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut()),
            )
        };
        let messages = vec![ptr::null_mut(); BATCH_ROWS_MAX];
        let this = Self {
            consumer,
            queue,
            handle,
            name,
            started: Vec::new(),
            messages,
        };
        (!this.queue.is_null() && !this.handle.is_null()).then_some(this)
    }

    pub(crate) fn consumer(&self) -> &BaseConsumer<Events> {
        &self.consumer
    }

    /// Begins to read a partition at an offset.
    pub(crate) fn start(&mut self, partition: i32, offset: i64) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: both handles are alive.
        let result = unsafe {
            sys::rd_kafka_consume_start_queue(self.handle, partition, offset, self.queue)
        };
        if result != 0 {
            // SAFETY: no arguments; it reads this thread's last error.
            return Err(unsafe { sys::rd_kafka_last_error() }.into());
        }
        self.started.push(partition);
        Ok(())
    }

    /// The partition's end as of the last fetch; asks nobody.
    pub(crate) fn known_end(&self, partition: i32) -> Option<i64> {
        let (mut low, mut high) = (-1, -1);
        let client = self.consumer.client().native_ptr();
        // SAFETY: the client is alive, the name is a C string, both results are written before the return.
        let result = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                client,
                self.name.as_ptr(),
                partition,
                &raw mut low,
                &raw mut high,
            )
        };
        (!result.is_error() && high >= 0).then_some(high)
    }

    /// Takes what is there; waits for the first message only, for a batch call would wait for a full batch.
    pub(crate) fn take(&mut self, wait: Duration) -> Taken {
        let mut count = self.fill(0, BATCH_ROWS_MAX, Duration::ZERO);
        if count == 0 && !wait.is_zero() {
            count = self.fill(0, 1, wait);
            if count == 1 {
                count += self.fill(1, BATCH_ROWS_MAX - 1, Duration::ZERO);
            }
        }
        self.collect(count)
    }

    fn fill(&mut self, from: usize, rows_max: usize, wait: Duration) -> usize {
        let room = &mut self.messages[from..from + rows_max];
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive and `room` has as many places as are told.
        let count = unsafe {
            sys::rd_kafka_consume_batch_queue(self.queue, wait_ms, room.as_mut_ptr(), room.len())
        };
        usize::try_from(count).unwrap_or(0)
    }

    /// Copies messages into one block of memory that the records share, and gives them back.
    fn collect(&mut self, count: usize) -> Taken {
        let mut taken = Taken::default();
        let mut block = Vec::with_capacity(
            self.messages[..count]
                .iter()
                .map(|message| bytes_of(*message))
                .sum(),
        );
        let mut spans = Vec::with_capacity(count);
        for slot in &mut self.messages[..count] {
            // SAFETY: librdkafka filled the first `count` places; the message is ours until it is destroyed below.
            let message = unsafe { &**slot };
            match message.err {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => spans.push(copy(message, &mut block)),
                RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
                    taken.end(message.partition, message.offset);
                }
                other => taken.failures.push((message.partition, other.into())),
            }
            // SAFETY: each message is destroyed once; nothing refers to it any more.
            unsafe { sys::rd_kafka_message_destroy(*slot) };
            *slot = ptr::null_mut();
        }
        taken.chunk.bytes = block.len();
        let block = Bytes::from(block);
        for span in spans {
            taken.chunk.records.push_back(span.record(&block));
        }
        taken
    }
}

impl Taken {
    fn end(&mut self, partition: i32, offset: i64) {
        self.ends.push((partition, offset));
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        for partition in &self.started {
            // SAFETY: the topic is alive and the partition was started.
            unsafe { sys::rd_kafka_consume_stop(self.handle, *partition) };
        }
        // SAFETY: both handles are alive, used nowhere else and go before the client, whose field drops later.
        unsafe {
            if !self.queue.is_null() {
                sys::rd_kafka_queue_destroy(self.queue);
            }
            if !self.handle.is_null() {
                sys::rd_kafka_topic_destroy(self.handle);
            }
        }
    }
}

/// A record whose bytes are in a block that is still growing.
struct Span {
    partition: i32,
    offset: i64,
    timestamp_us: i64,
    key: Option<(usize, usize)>,
    value: Option<(usize, usize)>,
    headers: (usize, usize),
}

impl Span {
    fn record(self, block: &Bytes) -> RawRecord {
        let part = |span: Option<(usize, usize)>| span.map(|(from, to)| block.slice(from..to));
        RawRecord {
            partition: self.partition,
            offset: self.offset,
            timestamp_us: self.timestamp_us,
            key: part(self.key),
            value: part(self.value),
            headers: Headers::from_packed(block.slice(self.headers.0..self.headers.1)),
        }
    }
}

fn bytes_of(message: *mut sys::rd_kafka_message_t) -> usize {
    // SAFETY: called for messages that librdkafka just gave.
    let message = unsafe { &*message };
    if message.err.is_error() {
        0
    } else {
        message.len + message.key_len
    }
}

fn copy(message: &sys::rd_kafka_message_t, block: &mut Vec<u8>) -> Span {
    // SAFETY: the message is alive; the kind of timestamp is not asked for.
    let timestamp_ms = unsafe { sys::rd_kafka_message_timestamp(message, ptr::null_mut()) };
    let key = append(message.key.cast(), message.key_len, block);
    let value = append(message.payload.cast(), message.len, block).filter(|(from, to)| from < to);
    Span {
        partition: message.partition,
        offset: message.offset,
        // -1 means that there is none.
        timestamp_us: timestamp_ms.max(0).saturating_mul(1_000),
        key,
        value,
        headers: append_headers(message, block),
    }
}

/// Packs the message's headers; a name that is not UTF-8 is kept as near as it can be.
fn append_headers(message: &sys::rd_kafka_message_t, block: &mut Vec<u8>) -> (usize, usize) {
    let from = block.len();
    let mut headers = ptr::null_mut();
    // SAFETY: the message is alive; the headers are its own and live as long.
    let found = unsafe { sys::rd_kafka_message_headers(message, &raw mut headers) };
    if found.is_error() {
        return (from, from);
    }
    for index in 0.. {
        let (mut name, mut value, mut len) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the headers are alive, and all results are written where one is found.
        let found = unsafe {
            sys::rd_kafka_header_get_all(
                headers,
                index,
                &raw mut name,
                &raw mut value,
                &raw mut len,
            )
        };
        if found.is_error() {
            break;
        }
        // SAFETY: names are C strings; a value's start and length belong together. Both live as long as the message.
        let (name, value) = unsafe {
            let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast(), len));
            (CStr::from_ptr(name).to_string_lossy(), value)
        };
        Headers::push(&name, value, block);
    }
    (from, block.len())
}

fn append(start: *const u8, len: usize, block: &mut Vec<u8>) -> Option<(usize, usize)> {
    if start.is_null() {
        return None;
    }
    let from = block.len();
    // SAFETY: librdkafka gives a start and a length that belong together, valid while the message is alive.
    block.extend_from_slice(unsafe { std::slice::from_raw_parts(start, len) });
    Some((from, block.len()))
}
