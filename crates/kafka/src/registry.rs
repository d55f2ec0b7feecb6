//! Writers' schemas from a Confluent-compatible registry, by the ids in the records.
//!
//! Decoding runs on the engine's workers; only the first record of each id waits for an answer, which a
//! thread of its own fetches. An id that the registry does not know refuses its records, until the registry,
//! asked again after a while, knows it; a registry that does not answer stops the batch there, to be tried again.

use crate::error;
use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_referenced_schema, get_schema_by_id, get_schema_by_subject, post_schema,
};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{
    RawError, RegisteredReference, RegisteredSchema, SchemaType, SubjectNameStrategy,
    SuppliedSchema,
};
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::time::Instant;
use weir_codec::avro::{AvroDecoder, AvroReader, WriterPlan, WriterSchemas};
use weir_codec::{CodecError, Decoder, Refused, SourceError, Stop};
use weir_stage::source::Fault;

/// Longest wait for one answer of one registry.
const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// After a failure the registry is left alone for this long.
const REST: Duration = Duration::from_secs(1);
/// Most ids remembered of schemas that the registry knows; when it fills up, those that cannot be read go first.
const IDS_MAX: usize = 4_096;
/// Most ids remembered that the registry does not know: broken records may carry any, and the oldest gives way.
const UNKNOWN_MAX: usize = 256;
/// For so long an id counts as unknown; then the registry is asked again, for somebody may have registered it.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);
/// Most schemas that one schema may name, and theirs.
const REFERENCES_MAX: usize = 64;

/// A decoder of Avro records in the registry's wire format, read as `schema_text` says. `properties` are
/// those of the pipeline file's registry: `url` (several with commas between), `basic.auth.user.info`
/// (`user:password`) or `bearer.auth.token`.
pub fn registry_decoder(
    schema_text: &str,
    properties: &BTreeMap<String, String>,
    tombstones: bool,
    on_incompatible: OnIncompatible,
) -> Result<Box<dyn Decoder>, SourceError> {
    let reader = AvroReader::new(schema_text, tombstones);
    let reader = reader.map_err(|failure: CodecError| user(failure.code(), failure.to_string()))?;
    Ok(Box::new(AvroDecoder::new(
        reader,
        Registry::new(properties, on_incompatible)?,
        tombstones,
    )))
}

/// What happens to records whose writer's schema cannot be read as the reader's.
#[derive(Clone, Debug)]
pub enum OnIncompatible {
    /// They are refused.
    Refuse,
    /// They are waited in front of.
    Wait {
        /// The subject that the schema is of where the registry does not say.
        subject: String,
    },
}

fn user(code: &'static str, message: String) -> SourceError {
    error::error(Fault::User, code, message)
}

struct Registry {
    on_incompatible: OnIncompatible,
    known: RwLock<Known>,
    asking: Mutex<Asking>,
}

/// What the registry has answered.
#[derive(Default)]
struct Known {
    schemas: BTreeMap<u32, Result<Arc<WriterPlan>, Stop>>,
    /// Ids that it did not know, the oldest answer first.
    unknown: VecDeque<(Instant, u32, Refused)>,
}

impl Known {
    fn find(&self, id: u32, now: Instant) -> Option<Result<Arc<WriterPlan>, Stop>> {
        let unknown = || {
            self.unknown
                .iter()
                .find(|(at, unknown, _)| *unknown == id && now < *at + UNKNOWN_FOR)
        };
        let refused = || unknown().map(|(_, _, why)| Err(Stop::Refused(why.clone())));
        self.schemas.get(&id).cloned().or_else(refused)
    }

    fn remember(&mut self, id: u32, plan: Result<Arc<WriterPlan>, Stop>, now: Instant) {
        self.unknown.retain(|(_, unknown, _)| *unknown != id);
        match plan {
            Err(Stop::Refused(why)) if why.code == UNKNOWN => {
                if self.unknown.len() >= UNKNOWN_MAX {
                    self.unknown.pop_front();
                }
                self.unknown.push_back((now, id, why));
            }
            plan => {
                if self.schemas.len() >= IDS_MAX {
                    self.schemas.retain(|_, plan| plan.is_ok());
                }
                if self.schemas.len() >= IDS_MAX {
                    self.schemas.clear();
                }
                self.schemas.insert(id, plan);
            }
        }
    }
}

/// The code of records whose schema the registry does not know.
const UNKNOWN: &str = "unknown_schema_id";

/// One question at a time.
struct Asking {
    questions: SyncSender<Question>,
    failed: Option<(Instant, SourceError)>,
}

struct Question {
    id: u32,
    answer: SyncSender<Result<Answer, SourceError>>,
}

/// A schema, or why its records are refused.
type Answer = Result<Found, Refused>;

/// A schema as the registry has it.
struct Found {
    /// Its text, where it is an Avro schema.
    text: Option<String>,
    /// The texts of the schemas that it names.
    references: Vec<String>,
    /// The subject that it is of, where the registry says so.
    subject: Option<String>,
}

impl Registry {
    fn new(
        properties: &BTreeMap<String, String>,
        on_incompatible: OnIncompatible,
    ) -> Result<Self, SourceError> {
        let asker = Asker::new(properties)?;
        let (questions, inbox) = sync_channel(1);
        let thread = std::thread::Builder::new().name("schema registry".to_owned());
        // It ends with the last question, when the registry is dropped.
        let spawned = thread.spawn(move || asker.run(&inbox));
        drop(spawned.map_err(|failure| {
            error::error(Fault::Internal, "thread", format!("no thread: {failure}"))
        })?);
        Ok(Self {
            on_incompatible,
            known: RwLock::default(),
            asking: Mutex::new(Asking {
                questions,
                failed: None,
            }),
        })
    }

    fn known(&self, id: u32, now: Instant) -> Option<Result<Arc<WriterPlan>, Stop>> {
        self.known
            .read()
            .expect("nobody panics while holding it")
            .find(id, now)
    }

    fn find_at(&self, id: u32, reader: &AvroReader, now: Instant) -> Result<Arc<WriterPlan>, Stop> {
        if let Some(plan) = self.known(id, now) {
            return plan;
        }
        // No registry is asked: what is no number to it may be answered in any way, and would stall the topic.
        if id > ID_MAX {
            let why = "the ids of registries are positive 32-bit integers";
            return Err(Stop::Refused(refused(UNKNOWN, id, why)));
        }
        let mut asking = self.asking.lock().expect("nobody panics while holding it");
        // Another worker may have asked meanwhile.
        if let Some(plan) = self.known(id, now) {
            return plan;
        }
        let answer = asking.ask(id).map_err(Stop::Stalled)?;
        let plan = answer
            .map_err(Stop::Refused)
            .and_then(|found| self.plan(id, &found, reader));
        self.known
            .write()
            .expect("nobody panics while holding it")
            .remember(id, plan.clone(), now);
        plan
    }

    /// How records of this schema are read, or what happens to them if they cannot be.
    fn plan(&self, id: u32, found: &Found, reader: &AvroReader) -> Result<Arc<WriterPlan>, Stop> {
        let (code, what) = match &found.text {
            None => ("schema_incompatible", "it is no Avro schema".to_owned()),
            Some(text) => match reader.plan(text, &found.references) {
                Ok(plan) => return Ok(Arc::new(plan)),
                Err(failure) => (failure.code(), failure.to_string()),
            },
        };
        let OnIncompatible::Wait { subject } = &self.on_incompatible else {
            return Err(Stop::Refused(refused(code, id, &what)));
        };
        let subject = found.subject.as_ref().unwrap_or(subject);
        let message = format!(
            "subject `{subject}`, schema id {id}: {what}; the source waits in front of this record, the others go on: give \
             the source a schema that reads what was written so, or set `on_incompatible: dead_letter`, and start weir again"
        );
        // Nobody outside can mend it, but it is no reason to stop other sources.
        Err(Stop::Stalled(error::error(Fault::External, code, message)))
    }
}

/// Registries number their schemas with signed integers.
const ID_MAX: u32 = i32::MAX.unsigned_abs();

impl WriterSchemas for Registry {
    fn find(&self, id: u32, reader: &AvroReader) -> Result<Arc<WriterPlan>, Stop> {
        self.find_at(id, reader, Instant::now())
    }
}

impl Asking {
    fn ask(&mut self, id: u32) -> Result<Answer, SourceError> {
        if let Some((at, failure)) = &self.failed
            && Instant::now() < *at + REST
        {
            return Err(failure.clone());
        }
        let (answer, answers) = sync_channel(1);
        let sent = self.questions.send(Question { id, answer });
        let answer = sent.ok().and_then(|()| answers.recv().ok());
        let answer = answer.unwrap_or_else(|| {
            Err(error::error(
                Fault::Internal,
                "registry_thread",
                "the thread that asks the schema registry is gone".to_owned(),
            ))
        });
        self.failed = answer
            .as_ref()
            .err()
            .map(|failure| (Instant::now(), failure.clone()));
        answer
    }
}

fn refused(code: &'static str, id: u32, what: &str) -> Refused {
    Refused {
        code,
        message: format!("schema id {id}: {what}"),
        field: None,
    }
}

/// The registry's client, on its own thread.
struct Asker {
    settings: SrSettings,
    /// Its addresses as messages show them.
    shown: String,
}

impl Asker {
    fn new(properties: &BTreeMap<String, String>) -> Result<Self, SourceError> {
        let mut urls = Vec::new();
        let (mut basic, mut bearer) = (None, None);
        for (key, value) in properties {
            match key.as_str() {
                "url" => {
                    urls = value
                        .split(',')
                        .map(|url| url.trim().trim_end_matches('/').to_owned())
                        .collect();
                }
                "basic.auth.user.info" => basic = Some(value),
                "bearer.auth.token" => bearer = Some(value),
                _ => {
                    let message = format!(
                        "no registry property is named `{key}`: there are `url`, `basic.auth.user.info` and `bearer.auth.token`"
                    );
                    return Err(user("registry_property_unknown", message));
                }
            }
        }
        let is_good = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        let Some((first, others)) = urls.split_first().filter(|_| urls.iter().all(is_good)) else {
            return Err(user(
                "registry_property_invalid",
                "the registry's `url` must begin with http:// or https://".to_owned(),
            ));
        };
        let mut builder = SrSettings::new_builder(first.clone());
        builder.set_timeout(ANSWER_WAIT);
        for url in others {
            builder.add_url(url.clone());
        }
        if let Some((name, password)) = basic.and_then(|info| info.split_once(':')) {
            builder.set_basic_authorization(name, Some(password));
        }
        if let Some(token) = bearer {
            builder.set_token_authorization(token);
        }
        let settings = builder.build().map_err(|failure| {
            user(
                "registry_rejected",
                format!("no registry client: {}", failure.error),
            )
        })?;
        Ok(Self {
            settings,
            shown: urls
                .iter()
                .map(|url| shown(url))
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    fn run(self, inbox: &Receiver<Question>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime of one thread needs a few file handles");
        while let Ok(Question { id, answer }) = inbox.recv() {
            let result = runtime.block_on(self.schema(id));
            if answer.send(result).is_err() {
                tracing::debug!(id, "nobody waits for this schema any more");
            }
        }
    }

    async fn schema(&self, id: u32) -> Result<Answer, SourceError> {
        let schema = match get_schema_by_id(id, &self.settings).await {
            Ok(schema) => schema,
            Err(failure) if is_unknown(&failure) => {
                return Ok(Err(refused(UNKNOWN, id, "the registry does not know it")));
            }
            Err(failure) => return Err(self.failure(&failure)),
        };
        if schema.schema_type != SchemaType::Avro {
            return Ok(Ok(Found {
                text: None,
                references: Vec::new(),
                subject: schema.subject,
            }));
        }
        let references = match self.references(&schema).await {
            Ok(references) => references,
            Err(failure) if is_unknown(&failure) => {
                return Ok(Err(refused(
                    UNKNOWN,
                    id,
                    "the registry does not know a schema that it names",
                )));
            }
            Err(failure) => return Err(self.failure(&failure)),
        };
        Ok(Ok(Found {
            text: Some(schema.schema),
            references,
            subject: schema.subject,
        }))
    }

    /// All schemas that it names, and theirs.
    async fn references(&self, schema: &RegisteredSchema) -> Result<Vec<String>, SRCError> {
        let mut found: BTreeMap<(String, u32), String> = BTreeMap::new();
        let mut open: Vec<RegisteredReference> = schema.references.clone();
        while let Some(reference) = open.pop() {
            let key = (reference.subject.clone(), reference.version);
            if found.contains_key(&key) || found.len() >= REFERENCES_MAX {
                continue;
            }
            let schema = get_referenced_schema(&self.settings, &reference).await?;
            open.extend(schema.references);
            found.insert(key, schema.schema);
        }
        Ok(found.into_values().collect())
    }

    fn failure(&self, failure: &SRCError) -> SourceError {
        let shown = &self.shown;
        if ["401", "403"]
            .iter()
            .any(|status| failure.error.contains(&format!("status {status}")))
        {
            let message = format!(
                "the schema registry at {shown} refuses the sign-in: check `basic.auth.user.info` or `bearer.auth.token`"
            );
            return user("registry_auth_failed", message);
        }
        let message = format!(
            "the schema registry at {shown} does not answer as it should: {}; decoding goes on as soon as it does: check `url`",
            failure.error
        );
        error::error(Fault::External, "registry_unavailable", message)
    }
}

/// What writers ask a registry; blocks for an answer.
pub(crate) struct SchemaClient {
    asker: Asker,
    runtime: tokio::runtime::Runtime,
}

impl SchemaClient {
    pub(crate) fn new(properties: &BTreeMap<String, String>) -> Result<Self, SourceError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Ok(Self {
            asker: Asker::new(properties)?,
            runtime: runtime.expect("a runtime of one thread needs a few file handles"),
        })
    }

    /// The id of this schema under the subject, which has it from now on if it did not.
    pub(crate) fn register(&self, subject: &str, text: &str) -> Result<u32, SourceError> {
        let schema = SuppliedSchema::new(None, SchemaType::Avro, text.to_owned());
        let posted = post_schema(&self.asker.settings, subject.to_owned(), schema);
        let registered = self.runtime.block_on(posted);
        let registered = registered.map_err(|failure| self.failure(subject, &failure))?;
        Ok(registered.id)
    }

    /// The subject's newest schema, with its id.
    pub(crate) fn newest(&self, subject: &str) -> Result<(u32, String), SourceError> {
        // The strategy that takes a subject's name as it is.
        let strategy = SubjectNameStrategy::RecordNameStrategy(subject.to_owned());
        let asked = get_schema_by_subject(&self.asker.settings, &strategy);
        let found = self.runtime.block_on(asked);
        let found = found.map_err(|failure| self.failure(subject, &failure))?;
        Ok((found.id, found.schema))
    }

    fn failure(&self, subject: &str, failure: &SRCError) -> SourceError {
        let raw = failure
            .source()
            .and_then(|source| source.downcast_ref::<RawError>());
        let told = raw.map_or_else(|| failure.error.clone(), |raw| raw.message.clone());
        if failure.error.contains("status 409") || raw.is_some_and(|raw| raw.error_code == 409) {
            let message = format!(
                "subject `{subject}`: the registry refuses the schema as incompatible with what readers of the subject have: \
                 {told}; change the columns in a compatible way, or give the sink another `subject`"
            );
            return user("schema_incompatible", message);
        }
        if failure.error.contains("status 422") || raw.is_some_and(|raw| raw.error_code == 42201) {
            let message =
                format!("subject `{subject}`: the registry cannot read the schema: {told}");
            return user("schema_unreadable", message);
        }
        if is_unknown(failure) {
            let message = format!(
                "subject `{subject}` is not in the registry; writing begins as soon as it is: register a schema, or leave out \
                 `register: false`"
            );
            return error::error(Fault::External, "subject_missing", message);
        }
        self.asker.failure(failure)
    }
}

/// The registry itself says that there is no such schema (a bare 404 may be any server's).
fn is_unknown(failure: &SRCError) -> bool {
    let raw = failure
        .source()
        .and_then(|source| source.downcast_ref::<RawError>());
    raw.is_some_and(|raw| matches!(raw.error_code, 40_401..=40_403))
}

/// An address without the name and password that it may carry.
fn shown(url: &str) -> String {
    match url
        .split_once("://")
        .and_then(|(scheme, rest)| rest.rsplit_once('@').map(|(_, host)| (scheme, host)))
    {
        Some((scheme, host)) => format!("{scheme}://{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use weir_codec::RawRecord;

    const SCHEMA: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"}]}"#;

    /// A registry of a few answers, by id, the last of an id for good; counts the questions.
    fn registry(
        answers: &'static [(u32, u16, &'static str)],
    ) -> (BTreeMap<String, String>, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://user:secret@{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let request = lines.next().unwrap().unwrap();
                lines.find(|line| line.as_ref().unwrap().is_empty());
                let asked_for = |(id, _, _): &&(u32, _, _)| request.contains(&format!("/ids/{id}"));
                let mut left: Vec<_> = answers.iter().filter(asked_for).collect();
                let mut log = log.lock().unwrap();
                let earlier = log.iter().filter(|earlier| **earlier == request).count();
                let (_, status, body) = left.remove(earlier.min(left.len() - 1));
                log.push(request);
                drop(log);
                let length = body.len();
                write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
            }
        });
        (BTreeMap::from([("url".to_owned(), url)]), asked)
    }

    fn record(id: u32) -> RawRecord {
        let value = [[0].as_slice(), &id.to_be_bytes(), &[14]].concat();
        RawRecord {
            partition: 0,
            offset: 0,
            timestamp_us: 0,
            key: None,
            value: Some(Bytes::from(value)),
            headers: weir_codec::Headers::default(),
        }
    }

    /// A known id decodes and an unknown one refuses, both asked for once.
    #[test]
    fn known_and_unknown() {
        let (properties, asked) = registry(&[
            (
                7,
                200,
                r#"{"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}"}"#,
            ),
            (
                8,
                404,
                r#"{"error_code":40403,"message":"Schema not found"}"#,
            ),
            (9, 200, r#"{"schema":"\"string\""}"#),
        ]);
        let decoder = registry_decoder(SCHEMA, &properties, false, OnIncompatible::Refuse).unwrap();
        let records: Vec<_> = [7, 8, 9, 7, 8].into_iter().map(record).collect();
        let decoded = decoder.decode(&records);
        assert_eq!(decoded.rows, [0, 3]);
        let codes: Vec<_> = decoded
            .refused
            .iter()
            .map(|(index, why)| (*index, why.code))
            .collect();
        assert_eq!(
            codes,
            [
                (1, "unknown_schema_id"),
                (2, "schema_incompatible"),
                (4, "unknown_schema_id")
            ]
        );
        assert_eq!(decoded.stalled, None);
        assert_eq!(asked.lock().unwrap().len(), 3);
    }

    /// Where it is to be waited, a schema that cannot be read stalls in front of its first record, names subject, id and
    /// reason, and is asked for once.
    #[test]
    fn waits_in_front_of_what_it_cannot_read() {
        let (properties, asked) = registry(&[
            (
                7,
                200,
                r#"{"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}"}"#,
            ),
            (9, 200, r#"{"schema":"\"string\""}"#),
            (
                8,
                404,
                r#"{"error_code":40403,"message":"Schema not found"}"#,
            ),
        ]);
        let wait = OnIncompatible::Wait {
            subject: "t-value".to_owned(),
        };
        let decoder = registry_decoder(SCHEMA, &properties, false, wait).unwrap();
        let records: Vec<_> = [7, 8, 9, 7].into_iter().map(record).collect();
        for _ in 0..2 {
            let decoded = decoder.decode(&records);
            assert_eq!((&decoded.rows, decoded.refused.len()), (&vec![0], 1));
            let (at, why) = decoded.stalled.unwrap();
            assert_eq!(
                (at, why.fault, why.code),
                (2, Fault::External, "schema_incompatible")
            );
            assert!(
                why.message.starts_with("subject `t-value`, schema id 9: "),
                "{why}"
            );
        }
        assert_eq!(asked.lock().unwrap().len(), 3);
    }

    /// An id that the registry did not know is asked for again after a while, and then its records are read; when the
    /// registry is away then, they wait.
    #[test]
    fn unknown_for_a_while() {
        const NOT_FOUND: &str = r#"{"error_code":40403,"message":"Schema not found"}"#;
        let (properties, asked) = registry(&[
            (8, 404, NOT_FOUND),
            (
                8,
                200,
                r#"{"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}"}"#,
            ),
            (9, 404, NOT_FOUND),
            (9, 500, "{}"),
        ]);
        let registry = Registry::new(&properties, OnIncompatible::Refuse).unwrap();
        let reader = AvroReader::new(SCHEMA, false).unwrap();
        let first = Instant::now();
        let find = |id, now| registry.find_at(id, &reader, now);
        for id in [8, 9] {
            assert!(matches!(find(id, first), Err(Stop::Refused(_))));
            let soon = first + UNKNOWN_FOR - Duration::from_millis(1);
            assert!(matches!(find(id, soon), Err(Stop::Refused(_))));
        }
        assert_eq!(asked.lock().unwrap().len(), 2);
        assert!(find(8, first + UNKNOWN_FOR).is_ok());
        assert!(find(8, first).is_ok());
        assert!(matches!(
            find(9, first + UNKNOWN_FOR),
            Err(Stop::Stalled(_))
        ));
        assert_eq!(asked.lock().unwrap().len(), 4);
    }

    /// Unknown ids are remembered up to a bound: the oldest gives way, known schemas stay.
    #[test]
    fn unknown_ids_are_bounded() {
        let now = Instant::now();
        let mut known = Known::default();
        let unknown = |id| Err(Stop::Refused(refused(UNKNOWN, id, "x")));
        let bad = refused("schema_incompatible", 1, "x");
        known.remember(1, Err(Stop::Refused(bad)), now);
        let most = u32::try_from(UNKNOWN_MAX).unwrap();
        for id in 2..most + 4 {
            known.remember(id, unknown(id), now);
            known.remember(3, unknown(3), now);
        }
        assert_eq!(known.unknown.len(), UNKNOWN_MAX);
        let gone: Vec<u32> = (1..most + 4)
            .filter(|id| known.find(*id, now).is_none())
            .collect();
        assert_eq!(gone, [2, 4]);
    }

    /// An id that no schema can have is refused without a question, even of a server that is no registry.
    #[test]
    fn impossible_ids() {
        let (properties, asked) = registry(&[(u32::MAX, 404, "<html>")]);
        let decoder = registry_decoder(SCHEMA, &properties, false, OnIncompatible::Refuse).unwrap();
        let decoded = decoder.decode(&[record(u32::MAX)]);
        assert_eq!(decoded.refused[0].1.code, "unknown_schema_id");
        assert_eq!((decoded.stalled, asked.lock().unwrap().len()), (None, 0));
    }

    /// A server that is no registry, or a broken one, stalls; a refused sign-in is the user's; secrets stay out.
    #[test]
    fn stalls() {
        let (properties, asked) = registry(&[(7, 404, "<html>"), (8, 500, "{}"), (9, 401, "{}")]);
        for (id, fault) in [(7, Fault::External), (8, Fault::External), (9, Fault::User)] {
            let decoder =
                registry_decoder(SCHEMA, &properties, false, OnIncompatible::Refuse).unwrap();
            let decoded = decoder.decode(&[record(id), record(id)]);
            let (at, failure) = decoded.stalled.unwrap();
            assert_eq!((at, failure.fault), (0, fault), "{failure}");
            assert!(
                !failure.message.contains("secret") && failure.message.contains("127.0.0.1"),
                "{failure}"
            );
            // Left alone for a moment.
            assert!(decoder.decode(&[record(id)]).stalled.is_some());
        }
        assert_eq!(asked.lock().unwrap().len(), 3);
    }

    /// Properties that cannot be meant are refused at once.
    #[test]
    fn properties() {
        let code = |pairs: &[(&str, &str)]| {
            let properties = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            registry_decoder(SCHEMA, &properties, false, OnIncompatible::Refuse)
                .err()
                .map(|failure| failure.code)
        };
        assert_eq!(code(&[("url", "http://a, https://b")]), None);
        assert_eq!(
            code(&[("url", "localhost:8081")]),
            Some("registry_property_invalid")
        );
        assert_eq!(code(&[]), Some("registry_property_invalid"));
        assert_eq!(
            code(&[("url", "http://a"), ("urls", "x")]),
            Some("registry_property_unknown")
        );
    }
}
