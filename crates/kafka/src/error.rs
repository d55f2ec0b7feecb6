//! What can go wrong with Kafka, whose fault it is, and the cure.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use weir_stage::source::{Fault, SourceError};

/// An error of a topic's source.
pub(crate) fn error(fault: Fault, code: &'static str, message: String) -> SourceError {
    SourceError {
        fault,
        code,
        message,
    }
}

/// No broker answers.
pub(crate) fn unreachable(brokers: &str) -> SourceError {
    let message = format!(
        "no broker of `{brokers}` answers; reading goes on as soon as one does: check `bootstrap.servers`, the network and, \
         where they are set, `security.protocol` and the certificates"
    );
    error(Fault::External, "brokers_unreachable", message)
}

/// A broker took a request and says nothing: it hangs, or its machine or the network is gone without a word.
pub(crate) fn silent(topic: &str, broker: &str) -> SourceError {
    let message = format!(
        "topic `{topic}`: broker {broker} is connected but does not answer; its partitions are read on as soon as it does, \
         or another broker leads them: look after that broker and the network"
    );
    error(Fault::External, "broker_silent", message)
}

/// The code of [`topic_missing`].
pub(crate) const TOPIC_MISSING: &str = "topic_missing";

/// The cluster has no such topic.
pub(crate) fn topic_missing(topic: &str) -> SourceError {
    let message = format!(
        "topic `{topic}` is not there; reading begins as soon as it is: create it, or correct `topic` in the pipeline file"
    );
    error(Fault::External, TOPIC_MISSING, message)
}

/// Records that were to be read are gone.
pub(crate) fn offset_lost(
    topic: &str,
    partition: i32,
    wanted: i64,
    low: i64,
    high: i64,
) -> SourceError {
    let what = if wanted < low {
        format!("the log begins at {low}: {} records are lost", low - wanted)
    } else {
        format!("the log ends at {high}: it was cut")
    };
    let message = format!(
        "topic `{topic}`, partition {partition}: the next offset to read is {wanted}, but {what}; start afresh with --fresh"
    );
    error(Fault::User, "offset_lost", message)
}

/// The topic is not the one that was read before.
pub(crate) fn topic_remade(topic: &str) -> SourceError {
    let message = format!(
        "topic `{topic}` was deleted and made anew since it was read: its offsets are those of other records, and what of the \
         old ones was not read yet is lost; nothing of the new ones is read: start afresh with --fresh"
    );
    error(Fault::User, "topic_remade", message)
}

/// An error that librdkafka reports, in words that an operator can act on. `reason` is its own text,
/// which names brokers and principals, no secrets and no records.
pub(crate) fn of_code(
    code: RDKafkaErrorCode,
    reason: &str,
    topic: &str,
    brokers: &str,
) -> SourceError {
    use RDKafkaErrorCode as Code;
    match code {
        Code::AllBrokersDown
        | Code::BrokerTransportFailure
        | Code::Resolve
        | Code::OperationTimedOut => unreachable(brokers),
        Code::RequestTimedOut
        | Code::BrokerNotAvailable
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition => {
            let message = format!(
                "topic `{topic}` has no reachable leader just now; reading goes on by itself: {reason}"
            );
            error(Fault::External, "leader_unavailable", message)
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            topic_missing(topic)
        }
        Code::Authentication if reason.contains("token") => {
            let message = format!(
                "no token for signing in to the brokers: {reason}; check `sasl.oauthbearer.*` and the token's issuer"
            );
            error(Fault::External, "token_unavailable", message)
        }
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => {
            let message =
                format!("the brokers refuse the sign-in: {reason}; check `sasl.*` of the cluster");
            error(Fault::User, "auth_failed", message)
        }
        Code::SSL => {
            let message = format!(
                "no TLS connection to the brokers: {reason}; check `security.protocol` and `ssl.*` of the cluster"
            );
            error(Fault::External, "tls_failed", message)
        }
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            let message =
                format!("the principal may not read topic `{topic}`: grant it READ and DESCRIBE");
            error(Fault::User, "not_authorized", message)
        }
        Code::InvalidTopic => {
            let message = format!(
                "`{topic}` is no name that a topic can have: correct `topic` in the pipeline file"
            );
            error(Fault::User, "topic_invalid", message)
        }
        other => error(
            Fault::External,
            "kafka_error",
            format!("topic `{topic}`: {other}: {reason}"),
        ),
    }
}

/// An error of a topic that is written.
pub(crate) fn of_sink(
    code: RDKafkaErrorCode,
    reason: &str,
    topic: &str,
    brokers: &str,
) -> SourceError {
    use RDKafkaErrorCode as Code;
    match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            let message = format!(
                "topic `{topic}` is not there; writing begins as soon as it is: create it with `cleanup.policy=compact`, or \
                 correct `topic` of the sink"
            );
            error(Fault::External, TOPIC_MISSING, message)
        }
        Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => {
            let message = format!(
                "the principal may not write topic `{topic}`: grant it WRITE, READ and DESCRIBE on the topic and, for \
                 `delivery: exactly_once`, WRITE on the transactional id and READ on the group `weir.<transactional id>`"
            );
            error(Fault::User, "not_authorized", message)
        }
        Code::AllBrokersDown
        | Code::BrokerTransportFailure
        | Code::Resolve
        | Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::MessageTimedOut => {
            let message = format!(
                "no broker of `{brokers}` confirms what is written to topic `{topic}`; the newest rows are sent as soon as \
                 one does: check `bootstrap.servers`, the network and the brokers"
            );
            error(Fault::External, "brokers_unreachable", message)
        }
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::SSL
        | Code::InvalidTopic => of_code(code, reason, topic, brokers),
        other => error(
            Fault::External,
            "sink_failed",
            format!("topic `{topic}`: {other}: {reason}"),
        ),
    }
}

/// Nothing is confirmed, and nobody says why.
pub(crate) fn unconfirmed(topic: &str, silent: Option<&str>) -> SourceError {
    let who = silent.map_or("the brokers".to_owned(), |broker| {
        format!("broker {broker}")
    });
    let message = format!(
        "{who} took rows for topic `{topic}` and does not confirm them; the newest ones are sent as soon as that is done: \
         look after the brokers, the topic's replicas and the network"
    );
    error(Fault::External, "unconfirmed", message)
}

/// A client that cannot be made from its properties.
pub(crate) fn of_creation(failure: &KafkaError) -> SourceError {
    match failure {
        // The value stays out: it may be a secret.
        KafkaError::ClientConfig(_, what, key, _) => error(
            Fault::User,
            "client_property_invalid",
            format!("client property `{key}`: {what}"),
        ),
        other => error(
            Fault::User,
            "client_rejected",
            format!("no Kafka client can be made of these properties: {other}"),
        ),
    }
}
