//! Client properties: any that librdkafka knows passes through, those that the engine owns do not, and
//! names pasted from Java clients are translated.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use std::collections::BTreeMap;

/// What differs from librdkafka's own defaults; the pipeline file wins over these.
pub(crate) const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "weir"),
    // At its default of a second a full queue stalls the fetcher; at 0 it spins.
    ("fetch.queue.backoff.ms", "5"),
    // As fast as the default of 100,000, in a third of the memory.
    ("queued.min.messages", "1000"),
    ("queued.max.messages.kbytes", "32768"),
    ("isolation.level", "read_committed"),
    ("log.connection.close", "false"),
    ("reconnect.backoff.max.ms", "2000"),
    ("socket.keepalive.enable", "true"),
    // Only these tell of a broker that hangs: the client itself waits for a minute, and then says nothing.
    ("statistics.interval.ms", "1000"),
];

/// What differs from librdkafka's own defaults for a sink; the pipeline file wins over these.
pub(crate) const SINK_DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "weir"),
    ("enable.idempotence", "true"),
    // As Java's clients choose partitions, so that topics of both can be joined.
    ("partitioner", "murmur2_random"),
    // Of a gibibyte by default.
    ("queue.buffering.max.kbytes", "65536"),
    ("log.connection.close", "false"),
    ("reconnect.backoff.max.ms", "2000"),
    ("socket.keepalive.enable", "true"),
    ("statistics.interval.ms", "1000"),
];

/// What is wrong with a sink's properties taken together: the key, a stable code, what, and the cure.
pub fn sink_properties(
    properties: &BTreeMap<String, String>,
    exactly_once: bool,
) -> Vec<(String, &'static str, String, &'static str)> {
    let get = |keys: &[&str]| {
        let found = keys.iter().find_map(|key| properties.get_key_value(*key));
        found.map(|(key, value)| (key.clone(), value.to_ascii_lowercase()))
    };
    let mut found = Vec::new();
    let mut put = |key: String, what: String, cure| {
        found.push((key, "client_property_conflict", what, cure));
    };
    let idempotence = get(&["enable.idempotence"]);
    let is_off = idempotence
        .as_ref()
        .is_some_and(|(_, value)| value == "false");
    if exactly_once && let Some((key, _)) = idempotence.filter(|_| is_off) {
        let what = "`delivery: exactly_once` needs an idempotent producer".to_owned();
        put(key, what, "leave it out");
    }
    let acks = get(&["acks", "request.required.acks"]);
    let fewer = acks.filter(|(_, value)| !matches!(value.as_str(), "all" | "-1"));
    if let Some((key, value)) = fewer.filter(|_| exactly_once || !is_off) {
        let what = format!(
            "`acks: {value}` lets brokers lose what they confirmed, and an idempotent producer cannot be had with it"
        );
        let cure = if exactly_once {
            "leave it out: `delivery: exactly_once` needs all"
        } else {
            "leave it out, or say `enable.idempotence: false` beside it and accept that rows may be lost or twice there"
        };
        put(key, what, cure);
    }
    if !exactly_once && let Some((key, _)) = get(&["transactional.id"]) {
        let what = "a transactional id means nothing with `delivery: at_least_once`".to_owned();
        put(key, what, "say `delivery: exactly_once`");
    }
    found
}

/// What the engine decides.
pub(crate) const OWNED: &[(&str, &str)] = &[
    // Offsets are kept with the checkpoint, and reading begins where the engine says or not at all.
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    // An end tells that the position moved over a gap.
    ("enable.partition.eof", "true"),
];

/// Properties that are refused, and why.
const REFUSED: &[(&str, &str)] = &[
    (
        "enable.auto.commit",
        "offsets are kept with the engine's state",
    ),
    (
        "auto.commit.enable",
        "offsets are kept with the engine's state",
    ),
    (
        "auto.commit.interval.ms",
        "offsets are kept with the engine's state",
    ),
    (
        "enable.auto.offset.store",
        "offsets are kept with the engine's state",
    ),
    (
        "offset.store.method",
        "offsets are kept with the engine's state",
    ),
    (
        "offset.store.path",
        "offsets are kept with the engine's state",
    ),
    (
        "offset.store.sync.interval.ms",
        "offsets are kept with the engine's state",
    ),
    (
        "auto.offset.reset",
        "use `start: earliest`, `latest` or an instant beside `topic`",
    ),
    (
        "enable.partition.eof",
        "the engine needs the ends of partitions",
    ),
    (
        "group.id",
        "a source reads all partitions of its topic, without a group",
    ),
    (
        "group.instance.id",
        "a source reads all partitions of its topic, without a group",
    ),
    (
        "group.protocol",
        "a source reads all partitions of its topic, without a group",
    ),
    (
        "group.protocol.type",
        "a source reads all partitions of its topic, without a group",
    ),
    (
        "group.remote.assignor",
        "a source reads all partitions of its topic, without a group",
    ),
    (
        "partition.assignment.strategy",
        "a source reads all partitions of its topic, without a group",
    ),
    ("plugin.library.paths", "no code is loaded into the process"),
    ("log.queue", "the engine takes the client's log lines"),
];

/// Properties whose values are pointers of a C program: a text would be taken for one.
const POINTERS: &[&str] = &[
    "opaque",
    "default_topic_conf",
    "enabled_events",
    "interceptors",
    "ssl_ca",
    "ssl_certificate",
    "ssl_key",
    "ssl_engine_callback_data",
];

/// Names of Java clients, and what stands for them here.
const JAVA: &[(&str, &str)] = &[
    (
        "ssl.truststore.location",
        "use `ssl.ca.location`, a PEM file (`keytool -exportcert -rfc` writes one)",
    ),
    (
        "ssl.truststore.password",
        "leave it out: `ssl.ca.location` is a PEM file without a password",
    ),
    (
        "ssl.truststore.type",
        "leave it out: `ssl.ca.location` is a PEM file",
    ),
    ("ssl.truststore.certificates", "use `ssl.ca.pem`"),
    (
        "ssl.keystore.type",
        "leave it out: `ssl.keystore.location` is a PKCS#12 file",
    ),
    ("ssl.keystore.key", "use `ssl.key.pem`"),
    (
        "ssl.keystore.certificate.chain",
        "use `ssl.certificate.pem`",
    ),
    (
        "ssl.protocol",
        "leave it out: the best that both sides have is taken",
    ),
    (
        "ssl.enabled.protocols",
        "leave it out: the best that both sides have is taken",
    ),
    ("ssl.provider", "leave it out: TLS is OpenSSL's"),
    ("ssl.keymanager.algorithm", "leave it out: TLS is OpenSSL's"),
    (
        "ssl.trustmanager.algorithm",
        "leave it out: TLS is OpenSSL's",
    ),
    (
        "ssl.secure.random.implementation",
        "leave it out: TLS is OpenSSL's",
    ),
    ("ssl.engine.factory.class", "leave it out: TLS is OpenSSL's"),
    ("security.providers", "leave it out: TLS is OpenSSL's"),
    (
        "sasl.jaas.config",
        "use `sasl.username` and `sasl.password`, or `sasl.oauthbearer.*`",
    ),
    (
        "sasl.login.callback.handler.class",
        "use `sasl.oauthbearer.method: oidc` with `sasl.oauthbearer.*`",
    ),
    (
        "sasl.client.callback.handler.class",
        "leave it out, or use `sasl.oauthbearer.*`",
    ),
    ("sasl.login.class", "leave it out"),
    (
        "sasl.oauthbearer.scope.claim.name",
        "use `sasl.oauthbearer.scope`",
    ),
    ("max.poll.records", "use `engine.epoch_rows_max`"),
    ("key.deserializer", "use `decode` of the source"),
    ("value.deserializer", "use `decode` of the source"),
    ("key.serializer", "leave it out"),
    ("value.serializer", "leave it out"),
    ("fetch.max.wait.ms", "use `fetch.wait.max.ms`"),
    ("receive.buffer.bytes", "use `socket.receive.buffer.bytes`"),
    ("send.buffer.bytes", "use `socket.send.buffer.bytes`"),
    ("default.api.timeout.ms", "use `socket.timeout.ms`"),
    ("request.timeout.ms", "use `socket.timeout.ms`"),
    ("exclude.internal.topics", "leave it out"),
    (
        "interceptor.classes",
        "leave it out: no code is loaded into the process",
    ),
    (
        "metric.reporters",
        "leave it out: metrics are at `/metrics`",
    ),
    (
        "metrics.num.samples",
        "leave it out: metrics are at `/metrics`",
    ),
    (
        "metrics.recording.level",
        "leave it out: metrics are at `/metrics`",
    ),
    (
        "metrics.sample.window.ms",
        "leave it out: metrics are at `/metrics`",
    ),
    (
        "auto.include.jmx.reporter",
        "leave it out: metrics are at `/metrics`",
    ),
    ("schema.registry.url", "use `url` under `registries`"),
    (
        "basic.auth.credentials.source",
        "use `basic.auth.user.info` under `registries`",
    ),
    ("basic.auth.user.info", "it goes under `registries`"),
    ("specific.avro.reader", "leave it out"),
];

/// Longest distance of a name that is suggested.
const DISTANCE_MAX: usize = 6;

/// What is wrong with a client property, if anything: a stable code, what, and the cure. Asks no service.
pub fn client_property(key: &str, value: &str) -> Option<(&'static str, String, Option<String>)> {
    let among = |table: &[(&str, &'static str)]| {
        table
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, text)| *text)
    };
    if let Some(why) = among(REFUSED) {
        return Some((
            "client_property_owned",
            format!("client property `{key}` is the engine's to set"),
            Some(why.to_owned()),
        ));
    }
    if POINTERS.contains(&key) || key.ends_with("_cb") {
        let message = format!("client property `{key}` can be set by a program only");
        return Some(("client_property_owned", message, None));
    }
    if let Some(cure) = among(JAVA) {
        return Some((
            "client_property_java",
            format!("`{key}` is a property of Java clients"),
            Some(cure.to_owned()),
        ));
    }
    if let Some(cure) = unsupported_value(key, value) {
        return Some((
            "client_property_invalid",
            format!("client property `{key}` has a value that is not supported here"),
            Some(cure),
        ));
    }
    let mut config = ClientConfig::new();
    match config.set(key, value).create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, _, _)) => {
            let nearest = nearest(key).map(|name| format!("did you mean `{name}`?"));
            Some((
                "client_property_unknown",
                format!("no client property is named `{key}`"),
                nearest,
            ))
        }
        // The value stays out: it may be a secret.
        Err(_) => Some((
            "client_property_invalid",
            format!("client property `{key}` does not take this value"),
            None,
        )),
    }
}

fn unsupported_value(key: &str, value: &str) -> Option<String> {
    let is_mechanism = matches!(key, "sasl.mechanism" | "sasl.mechanisms");
    if is_mechanism && value.eq_ignore_ascii_case("GSSAPI") {
        return Some(
            "Kerberos is not built in: use SCRAM-SHA-512, PLAIN or OAUTHBEARER".to_owned(),
        );
    }
    if key.ends_with(".location") && value.to_ascii_lowercase().ends_with(".jks") {
        return Some(
            "Java key stores cannot be read: use PEM, or PKCS#12 for `ssl.keystore.location`"
                .to_owned(),
        );
    }
    None
}

/// Names of properties that a source or a sink has, to be suggested.
const NAMES: &str = include_str!("properties.txt");

fn nearest(key: &str) -> Option<&'static str> {
    let known = NAMES.lines().map(|name| (distance(key, name), name));
    known
        .filter(|(distance, _)| *distance <= DISTANCE_MAX.min(key.len() / 2))
        .min()
        .map(|(_, name)| name)
}

/// Insertions, deletions and replacements between two names.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: &str, expected: &str) {
        let found = client_property(key, value)
            .map_or("good".to_owned(), |(code, message, hint)| {
                format!("{code}: {message}; {}", hint.unwrap_or_default())
            });
        assert_eq!(found, expected);
    }

    /// One of each kind.
    #[test]
    fn findings() {
        check("bootstrap.servers", "a:1,b:2", "good");
        check("sasl.mechanism", "SCRAM-SHA-512", "good");
        check("sasl.oauthbearer.method", "oidc", "good");
        check("compression.type", "zstd", "good");
        check("fetch.wait.max.ms", "50", "good");
        check(
            "group.id",
            "x",
            "client_property_owned: client property `group.id` is the engine's to set; a source reads all partitions of its topic, without a group",
        );
        check(
            "default_topic_conf",
            "x",
            "client_property_owned: client property `default_topic_conf` can be set by a program only; ",
        );
        check(
            "ssl.truststore.location",
            "x.jks",
            "client_property_java: `ssl.truststore.location` is a property of Java clients; use `ssl.ca.location`, a PEM file (`keytool -exportcert -rfc` writes one)",
        );
        check(
            "ssl.keystore.location",
            "/x.JKS",
            "client_property_invalid: client property `ssl.keystore.location` has a value that is not supported here; Java key stores cannot be read: use PEM, or PKCS#12 for `ssl.keystore.location`",
        );
        check(
            "sasl.mechanism",
            "GSSAPI",
            "client_property_invalid: client property `sasl.mechanism` has a value that is not supported here; Kerberos is not built in: use SCRAM-SHA-512, PLAIN or OAUTHBEARER",
        );
        check(
            "boostrap.servers",
            "x",
            "client_property_unknown: no client property is named `boostrap.servers`; did you mean `bootstrap.servers`?",
        );
        check(
            "fetch.wait.max",
            "x",
            "client_property_unknown: no client property is named `fetch.wait.max`; did you mean `fetch.wait.max.ms`?",
        );
        check(
            "zzzzzz",
            "x",
            "client_property_unknown: no client property is named `zzzzzz`; ",
        );
        check(
            "fetch.wait.max.ms",
            "secret",
            "client_property_invalid: client property `fetch.wait.max.ms` does not take this value; ",
        );
    }

    /// What a sink's properties say together.
    #[test]
    fn sinks() {
        let check = |properties: &[(&str, &str)], exactly_once, expected: &str| {
            let properties = properties
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let found = sink_properties(&properties.collect(), exactly_once);
            let keys: Vec<&str> = found.iter().map(|(key, ..)| key.as_str()).collect();
            assert_eq!(keys.join(" "), expected);
        };
        check(&[("acks", "all"), ("linger.ms", "50")], false, "");
        check(&[("acks", "1")], false, "acks");
        check(&[("acks", "1"), ("enable.idempotence", "false")], false, "");
        let both = [
            ("request.required.acks", "0"),
            ("enable.idempotence", "False"),
        ];
        check(&both, true, "enable.idempotence request.required.acks");
        check(&[("transactional.id", "x")], true, "");
        check(&[("transactional.id", "x")], false, "transactional.id");
    }

    /// Every name that is suggested, set or mentioned as a cure is one that librdkafka has.
    #[test]
    fn tables_hold() {
        let is_known = |name: &str| {
            let failure = ClientConfig::new()
                .set(name, "")
                .create_native_config()
                .err();
            !matches!(
                failure,
                Some(KafkaError::ClientConfig(
                    RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN,
                    _,
                    _,
                    _
                ))
            )
        };
        for name in NAMES.lines() {
            assert!(is_known(name), "{name}");
        }
        for (key, _) in DEFAULTS.iter().chain(OWNED).chain(SINK_DEFAULTS) {
            assert!(is_known(key), "{key}");
        }
        for (_, cure) in JAVA {
            for name in cure.split('`').skip(1).step_by(2).filter(|name| {
                name.starts_with(['s', 'f']) && name.contains('.') && !name.contains('*')
            }) {
                let name = name.split(':').next().unwrap();
                assert!(is_known(name), "{name}");
            }
        }
    }

    /// The build has what operators' clusters need; a lost feature would show only at a customer's broker.
    #[test]
    fn builtin_features() {
        let config = ClientConfig::new().create_native_config().unwrap();
        let features = config.get("builtin.features").unwrap();
        for feature in [
            "gzip",
            "snappy",
            "ssl",
            "sasl_plain",
            "sasl_scram",
            "sasl_oauthbearer",
            "lz4",
            "zstd",
            "oidc",
        ] {
            let is_there = features
                .split(',')
                .any(|name| name.trim_matches(['\0', ' ']).contains(feature));
            assert!(is_there, "{feature} is not in {features}");
        }
    }
}
