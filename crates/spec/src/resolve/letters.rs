//! Dead letters: their topic, and how many there may be.

use super::Resolver;
use crate::codes;
use crate::plan::{LettersPlan, LimitPlan, SinkPlan};
use crate::raw::{DeliverySpec, LimitSpec, SourceSpec};
use crate::tree::At;

/// What the sink of the dead letters goes by.
const NAME: &str = "dead_letters";
/// Most records of a source that may be refused where the file does not say, in percent.
const PERCENT_MAX: u32 = 50;
/// What may stand refused where the file does not say, in MiB.
const MAX_MIB: u32 = 256;
/// The window where the file does not say, in seconds.
const WINDOW_S: u32 = 300;

impl Resolver<'_, '_> {
    /// The topic of the dead letters, where there is one that is written.
    pub(super) fn letters(&mut self, sinks: &[SinkPlan]) -> Option<LettersPlan> {
        let spec = &self.spec.dead_letters;
        let at = At::of(&["dead_letters"]);
        let kafka = spec.kafka.as_ref()?;
        if self.spec.sinks.contains_key(NAME) {
            let message = format!("the sink of the dead letters is called `{NAME}`, too");
            self.findings
                .key_error(&At::of(&["sinks", NAME]), codes::DUPLICATE_NAME, message)
                .hinted("rename one of `sinks`".to_owned());
        }
        let at_kafka = at.to("kafka");
        let exactly_once = kafka.delivery == Some(DeliverySpec::ExactlyOnce);
        let properties =
            self.sink_properties(&at_kafka, &kafka.cluster, &kafka.properties, exactly_once);
        let is_enabled = self.is_enabled(&at.to("enabled"), spec.enabled.as_ref());
        let plan = LettersPlan {
            topic: kafka.topic.clone(),
            properties: properties?,
            exactly_once,
        };
        let brokers = plan.properties.get("bootstrap.servers");
        let at_topic = at_kafka.to("topic");
        let sink = sinks.iter().find(|sink| {
            sink.kafka().is_some_and(|kafka| {
                kafka.topic == plan.topic && kafka.properties.get("bootstrap.servers") == brokers
            })
        });
        if let Some(sink) = sink {
            let message = format!("the sink `{}` writes this topic, too", sink.name);
            let hint = "give the dead letters a topic of their own".to_owned();
            self.findings
                .error(&at_topic, codes::DUPLICATE_NAME, message)
                .hinted(hint);
        }
        let source = self.sources.iter().find(|source| {
            source.topic == plan.topic && source.properties.get("bootstrap.servers") == brokers
        });
        if let Some(source) = source {
            let message = format!("the source `{}` reads this topic", source.name);
            let hint = "what is refused of it would be written to it again: give the dead letters a topic of their own";
            self.findings
                .error(&at_topic, codes::DUPLICATE_NAME, message)
                .hinted(hint.to_owned());
        }
        is_enabled.then_some(plan)
    }

    /// How many records of a source may be refused.
    pub(super) fn source_limit(&self, source: &SourceSpec) -> LimitPlan {
        let each = self.spec.dead_letters.each_source.as_ref();
        let limit = source.dead_letters.as_ref().or(each);
        let mut plan = limit.map_or(limit_of(&LimitSpec::default()), limit_of);
        plan.percent_max = plan.percent_max.or(Some(PERCENT_MAX));
        plan
    }

    /// How much all that stands refused may take.
    pub(super) fn letters_bytes_max(&self) -> u64 {
        u64::from(self.spec.dead_letters.max_mib.unwrap_or(MAX_MIB)) << 20
    }

    /// How many records of all sources may be refused.
    pub(super) fn pipeline_limit(&mut self) -> Option<LimitPlan> {
        let limit = self.spec.dead_letters.pipeline.as_ref()?;
        if limit.percent_max.is_none() && limit.count_max.is_none() {
            let message = "a limit of the pipeline needs `percent_max` or `count_max`";
            let at = At::of(&["dead_letters", "pipeline"]);
            self.findings
                .error(&at, codes::MISSING_KEY, message)
                .hinted("such as `{ percent_max: 20, window_s: 600 }`".to_owned());
        }
        Some(limit_of(limit))
    }
}

fn limit_of(spec: &LimitSpec) -> LimitPlan {
    LimitPlan {
        percent_max: spec.percent_max,
        count_max: spec.count_max,
        window_s: spec.window_s.unwrap_or(WINDOW_S),
    }
}
