//! What fills a plan's places: decoders, Kafka sources, plugins; for the check and for the run.

use arrow::datatypes::SchemaRef;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use weir_codec::avro::OneSchema;
use weir_codec::{AvroDecoder, AvroReader, Beside};
use weir_engine::SinkParts;
use weir_host::Host;
use weir_kafka::{Content, Format, KafkaSink, OnIncompatible, SinkOptions};
use weir_parquet::ParquetSink;
use weir_spec::plan::{
    DecodePlan, EncodePlan, EncodingPlan, KafkaSinkPlan, LettersPlan, ParquetSinkPlan, SinkTo,
    SourcePlan, TablePlan,
};
use weir_spec::{Catalog, Plan, Problem, Shape};
use weir_stage::{Clock, Decoder, Plugins};

/// The machine's clock.
#[derive(Debug)]
pub(crate) struct WallClock;

impl Clock for WallClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock comes in"
    )]
    fn now_us(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        })
    }
}

/// Environment and files, for interpolation.
#[derive(Debug)]
pub(crate) struct Files;

impl weir_spec::Reader for Files {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> std::io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// Everything outside the pipeline file.
pub(crate) struct World {
    pub(crate) host: Arc<Host>,
}

impl World {
    /// Enough to check: nothing is compiled.
    pub(crate) fn for_check() -> Self {
        Self::with_cache(None).expect("a host without a cache touches nothing outside")
    }

    /// Keeps compiled plugins in this folder.
    pub(crate) fn with_cache(cache: Option<PathBuf>) -> Result<Self, weir_host::HostError> {
        Ok(Self {
            host: Arc::new(Host::new(cache)?),
        })
    }
}

impl Catalog for World {
    fn decoded(&self, decode: &DecodePlan) -> Result<SchemaRef, Problem> {
        local_decoder(decode).map(|decoder| decoder.schema())
    }

    fn plugins(&self, folder: &Path) -> Vec<String> {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let name = |file: std::fs::DirEntry| {
            let name = file.file_name().into_string().ok()?;
            name.strip_suffix(".wasm").map(str::to_owned)
        };
        let mut names: Vec<String> = files.filter_map(name).collect();
        names.sort();
        names
    }

    fn config_schema(&self, file: &Path) -> Result<String, Problem> {
        self.host.config_schema(file).map_err(plugin_problem)
    }

    fn plugin(&self, file: &Path, config: &str) -> Result<Shape, Problem> {
        self.host.shape(file, config).map_err(plugin_problem)
    }

    fn client_property(&self, key: &str, value: &str) -> Option<Problem> {
        weir_kafka::client_property(key, value).map(|(code, message, hint)| Problem {
            code,
            message,
            hint,
        })
    }

    fn sink_properties(
        &self,
        properties: &BTreeMap<String, String>,
        exactly_once: bool,
    ) -> Vec<(String, Problem)> {
        let problem = |(key, code, message, hint): (String, &'static str, String, &str)| {
            let hint = Some(hint.to_owned());
            (
                key,
                Problem {
                    code,
                    message,
                    hint,
                },
            )
        };
        let found = weir_kafka::sink_properties(properties, exactly_once);
        found.into_iter().map(problem).collect()
    }

    fn encoded(&self, encode: &EncodePlan, topic: &str, columns: &SchemaRef) -> Option<Problem> {
        let EncodePlan::Avro {
            schema, register, ..
        } = encode
        else {
            return None;
        };
        // What the registry has is not known here.
        if !register {
            return None;
        }
        let text = match schema.as_deref().map(read).transpose() {
            Ok(text) => text,
            Err(problem) => return Some(problem),
        };
        let error = weir_kafka::misfit(text.as_deref(), topic, columns)?;
        Some(Problem {
            code: error.code(),
            message: error.to_string(),
            hint: error.hint().map(str::to_owned),
        })
    }

    fn filed(&self, columns: &SchemaRef) -> Option<Problem> {
        weir_parquet::misfit(columns).map(|message| Problem {
            code: "wrong_type",
            message,
            hint: Some("name what is to be written: `select`, in a stage before".to_owned()),
        })
    }
}

/// Kept parts of sinks of files are of this form.
const FILES_FORMAT: u32 = 1;

/// The sinks of a plan, as the engine runs them.
pub(crate) fn sinks(plan: &Plan, run: &str) -> Result<Vec<SinkParts>, Problem> {
    let tables: Vec<&TablePlan> = plan.all_tables().collect();
    let sinks = plan.sinks.iter();
    let sinks = sinks.map(|sink| {
        let table = tables[sink.table];
        match &sink.to {
            SinkTo::Kafka(kafka) => kafka_sink(plan, &sink.name, kafka, table, run),
            SinkTo::Parquet(parquet) => parquet_sink(plan, &sink.name, parquet, table, run),
        }
    });
    let letters = plan.letters.iter();
    let letters = letters.map(|letters| letters_sink(plan, letters, run));
    sinks.chain(letters).collect()
}

/// The brokers of a client with these properties.
fn brokers(properties: &BTreeMap<String, String>) -> Option<&String> {
    properties.get("bootstrap.servers")
}

/// Topics of the sources on the same cluster.
fn topics_beside(plan: &Plan, properties: &BTreeMap<String, String>) -> BTreeSet<String> {
    let sources = plan.sources.iter();
    let beside = sources.filter(|source| brokers(&source.properties) == brokers(properties));
    beside.map(|source| source.topic.clone()).collect()
}

/// The sink of the dead letters.
fn letters_sink(plan: &Plan, letters: &LettersPlan, run: &str) -> Result<SinkParts, Problem> {
    const NAME: &str = "dead_letters";
    let options = SinkOptions {
        topic: letters.topic.clone(),
        properties: letters.properties.clone(),
        content: Content::Letters,
        exactly_once: letters.exactly_once,
        transactional_id: format!("{}.{NAME}", plan.name),
        run: run.to_owned(),
        sources: topics_beside(plan, &letters.properties),
    };
    let servers = brokers(&letters.properties);
    let identity = format!("{} {}", servers.map_or("", String::as_str), letters.topic);
    sink_parts(NAME, None, &identity, options)
}

fn sink_parts(
    name: &str,
    table: Option<String>,
    identity: &str,
    options: SinkOptions,
) -> Result<SinkParts, Problem> {
    let to = options.topic.clone();
    let made = KafkaSink::new(options).map_err(|error| Problem {
        code: error.code,
        message: format!("sink {name}: {error}"),
        hint: None,
    })?;
    Ok(SinkParts {
        name: name.to_owned(),
        table,
        to,
        identity: weir_engine::digest(identity.as_bytes()),
        sink: Box::new(made),
    })
}

fn parquet_sink(
    plan: &Plan,
    name: &str,
    parquet: &ParquetSinkPlan,
    table: &TablePlan,
    run: &str,
) -> Result<SinkParts, Problem> {
    let to = parquet.folder.display().to_string();
    let (key, partition_by) = (&table.key, &parquet.partition_by);
    let identity = format!(
        "files {FILES_FORMAT} {to} {key:?} {partition_by:?} {:?}",
        table.schema
    );
    let options = weir_parquet::SinkOptions {
        folder: parquet.folder.clone(),
        pipeline: plan.name.clone(),
        sink: name.to_owned(),
        table: table.name.clone(),
        columns: Arc::clone(&table.schema),
        key: table.key.clone(),
        partition_by: parquet.partition_by.clone(),
        every: Duration::from_secs(parquet.every_s.into()),
        bytes_max: (parquet.max_mib as usize) << 20,
        run: run.to_owned(),
    };
    let made = ParquetSink::new(options).map_err(|message| Problem {
        code: "wrong_type",
        message: format!("sink {name}: {message}"),
        hint: None,
    })?;
    Ok(SinkParts {
        name: name.to_owned(),
        table: Some(table.name.clone()),
        to,
        identity: weir_engine::digest(identity.as_bytes()),
        sink: Box::new(made),
    })
}

fn kafka_sink(
    plan: &Plan,
    name: &str,
    kafka: &KafkaSinkPlan,
    table: &TablePlan,
    run: &str,
) -> Result<SinkParts, Problem> {
    let index = |name: &String| {
        table
            .schema
            .index_of(name)
            .expect("the plan checked the key")
    };
    let key_columns: Vec<usize> = table.key.iter().map(index).collect();
    let key_columns = table.schema.project(&key_columns);
    let options = SinkOptions {
        topic: kafka.topic.clone(),
        properties: kafka.properties.clone(),
        content: Content::Rows {
            key: format(&kafka.key)?,
            value: format(&kafka.value)?,
            key_columns: Arc::new(key_columns.expect("indexes of its own columns")),
            columns: Arc::clone(&table.schema),
        },
        exactly_once: kafka.exactly_once,
        transactional_id: format!("{}.{name}", plan.name),
        run: run.to_owned(),
        sources: topics_beside(plan, &kafka.properties),
    };
    // With another topic or other bytes, what was kept of it says nothing.
    let identity = format!(
        "{} {} {:?} {:?}",
        brokers(&kafka.properties).map_or("", String::as_str),
        kafka.topic,
        kafka.key,
        kafka.value
    );
    sink_parts(name, Some(table.name.clone()), &identity, options)
}

fn format(plan: &EncodePlan) -> Result<Format, Problem> {
    Ok(match plan {
        EncodePlan::Json => Format::Json,
        EncodePlan::Avro {
            registry,
            schema,
            subject,
            register,
        } => Format::Avro {
            registry: registry.clone(),
            schema: schema.as_deref().map(read).transpose()?,
            subject: subject.clone(),
            register: *register,
        },
    })
}

fn plugin_problem(error: weir_stage::PluginError) -> Problem {
    Problem {
        code: error.code,
        message: error.message,
        hint: None,
    }
}

/// A decoder that needs no service: Avro by the local schema alone, as a replay writes it.
pub(crate) fn local_decoder(decode: &DecodePlan) -> Result<Arc<dyn Decoder>, Problem> {
    beside(decode, local)
}

/// The value's decoder, with what is shown of key and headers beside.
fn beside(
    decode: &DecodePlan,
    decoder: impl Fn(&EncodingPlan, bool) -> Result<Arc<dyn Decoder>, Problem>,
) -> Result<Arc<dyn Decoder>, Problem> {
    let value = decoder(&decode.value, decode.tombstones)?;
    if decode.key.is_none() && decode.headers.is_empty() {
        return Ok(value);
    }
    let key = decode
        .key
        .as_ref()
        .map(|key| decoder(key, false))
        .transpose()?;
    Ok(Arc::new(Beside::new(value, key, decode.headers.clone())))
}

fn local(encoding: &EncodingPlan, tombstones: bool) -> Result<Arc<dyn Decoder>, Problem> {
    match encoding {
        EncodingPlan::Text => Ok(Arc::new(weir_codec::TextDecoder::new(tombstones))),
        EncodingPlan::Json { schema } => {
            let decoder = weir_codec::JsonDecoder::new(&read(schema)?, tombstones);
            let hint = "an Avro schema is for `decode: { avro: { registry: NAME, schema: FILE } }`";
            decoder
                .map(|decoder| Arc::new(decoder) as _)
                .map_err(|error| Problem {
                    hint: is_avro(schema).then(|| hint.to_owned()),
                    ..unusable(schema, &error)
                })
        }
        EncodingPlan::Avro { schema, .. } => {
            let text = read(schema)?;
            let reader = avro_reader(schema, &text, tombstones)?;
            let one = OneSchema::new(&reader, &text).map_err(|error| unusable(schema, &error))?;
            Ok(Arc::new(AvroDecoder::new(reader, one, tombstones)))
        }
    }
}

/// The columns of an Avro source, as its local schema gives them.
pub(crate) fn avro_reader(
    schema: &Path,
    text: &str,
    tombstones: bool,
) -> Result<AvroReader, Problem> {
    let hint =
        "an Avro schema is wanted; a JSON Schema is for `decode: { json: { schema: FILE } }`";
    AvroReader::new(text, tombstones).map_err(|error| Problem {
        hint: (!is_avro(schema)).then(|| hint.to_owned()),
        ..unusable(schema, &error)
    })
}

fn is_avro(schema: &Path) -> bool {
    schema
        .extension()
        .is_some_and(|extension| extension == "avsc")
}

/// The decoder of a live source.
pub(crate) fn live_decoder(source: &SourcePlan) -> Result<Arc<dyn Decoder>, Problem> {
    let decode = &source.decode;
    beside(decode, |encoding, tombstones| {
        let EncodingPlan::Avro {
            schema,
            registry,
            refuses_incompatible,
        } = encoding
        else {
            return local(encoding, tombstones);
        };
        let is_value = std::ptr::eq(encoding, &raw const decode.value);
        let on_incompatible = if *refuses_incompatible {
            OnIncompatible::Refuse
        } else {
            let part = if is_value { "value" } else { "key" };
            let subject = format!("{}-{part}", source.topic);
            OnIncompatible::Wait { subject }
        };
        let text = read(schema)?;
        let decoder = weir_kafka::registry_decoder(&text, registry, tombstones, on_incompatible);
        let problem = |error: weir_stage::SourceError| Problem {
            code: error.code,
            message: error.message,
            hint: None,
        };
        decoder.map(Arc::from).map_err(problem)
    })
}

fn read(path: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(path).map_err(|error| Problem {
        code: "schema_unreadable",
        message: format!("cannot read schema {}: {error}", path.display()),
        hint: Some("paths are relative to the pipeline file".to_owned()),
    })
}

pub(crate) fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Problem {
    Problem {
        code: "schema_invalid",
        message: format!("{}: {error}", path.display()),
        hint: None,
    }
}
