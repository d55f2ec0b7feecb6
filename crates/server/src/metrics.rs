//! Metrics as Prometheus text. The names are a contract: a test compares `docs/metrics.md` with the code.

use crate::{App, LIVE_CONNECTIONS_MAX};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use weir_engine::Sample;

/// The server's own metrics: name, Prometheus type, help.
pub const METRICS: &[(&str, &str, &str)] = &[
    (
        "weir_http_requests_total",
        "counter",
        "Requests answered, by path and status.",
    ),
    ("weir_queries_total", "counter", "Queries for rows run."),
    (
        "weir_query_us_total",
        "counter",
        "Time spent in queries for rows, microseconds.",
    ),
    ("weir_live_connections", "gauge", "Live readers connected."),
    (
        "weir_live_connections_max",
        "gauge",
        "Most live readers at once.",
    ),
    (
        "weir_live_refused_total",
        "counter",
        "Live readers refused because of the limit.",
    ),
    (
        "weir_live_dropped_total",
        "counter",
        "Live readers dropped because they fell silent or took nothing in time.",
    ),
    (
        "weir_live_frames_total",
        "counter",
        "Frames sent to live readers.",
    ),
    (
        "weir_live_bytes_total",
        "counter",
        "Bytes of frames sent to live readers.",
    ),
    (
        "weir_live_epochs_skipped_total",
        "counter",
        "Epochs that a live reader was not sent because a newer one was there.",
    ),
];

/// What the server counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    pub(crate) queries: Counter,
    pub(crate) query_us: Counter,
    pub(crate) live_refused: Counter,
    pub(crate) live_dropped: Counter,
    pub(crate) live_frames: Counter,
    pub(crate) live_bytes: Counter,
    pub(crate) live_epochs_skipped: Counter,
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts the answers of all routes. Paths are those of the routes, so that there are few.
pub(crate) fn around(routes: Router<Arc<App>>, app: &Arc<App>) -> Router<Arc<App>> {
    routes.layer(from_fn_with_state(Arc::clone(app), count))
}

async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = route(request.uri().path());
    let response = next.run(request).await;
    let mut requests = app.counters.requests.lock().expect("no writer panics");
    *requests
        .entry((path, response.status().as_u16()))
        .or_default() += 1;
    response
}

/// The route of a path: few, whatever is asked for.
fn route(path: &str) -> &'static str {
    if path.starts_with("/api/v1/tables/") {
        return "/api/v1/tables/{name}/rows";
    }
    if path.starts_with("/page/") {
        return "/page/{file}";
    }
    crate::api::PATHS
        .iter()
        .find(|known| **known == path)
        .copied()
        .unwrap_or("other")
}

/// All samples, the engine's and the server's, in the order of the tables of names.
pub(crate) fn text(app: &App) -> String {
    let mut samples = app.handle.metrics();
    samples.extend(own(app));
    let mut out = String::new();
    for (name, kind, help) in weir_engine::read::METRICS.iter().chain(METRICS) {
        let mut head = false;
        for sample in samples.iter().filter(|sample| sample.name == *name) {
            if !std::mem::replace(&mut head, true) {
                line(
                    &mut out,
                    format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
                );
            }
            line(
                &mut out,
                format_args!("{name}{} {}\n", labels(sample), sample.value),
            );
        }
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory takes any write");
}

fn labels(sample: &Sample) -> String {
    if sample.labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = sample
        .labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn own(app: &App) -> Vec<Sample> {
    let counters = &app.counters;
    let connections = LIVE_CONNECTIONS_MAX - app.live.available_permits();
    let plain = |name, value| Sample {
        name,
        labels: vec![],
        value,
    };
    let mut samples = vec![
        plain("weir_queries_total", counters.queries.get()),
        plain("weir_query_us_total", counters.query_us.get()),
        plain("weir_live_connections", connections as u64),
        plain("weir_live_connections_max", LIVE_CONNECTIONS_MAX as u64),
        plain("weir_live_refused_total", counters.live_refused.get()),
        plain("weir_live_dropped_total", counters.live_dropped.get()),
        plain("weir_live_frames_total", counters.live_frames.get()),
        plain("weir_live_bytes_total", counters.live_bytes.get()),
        plain(
            "weir_live_epochs_skipped_total",
            counters.live_epochs_skipped.get(),
        ),
    ];
    for ((path, status), value) in counters.requests.lock().expect("no writer panics").iter() {
        let labels = vec![("path", (*path).to_owned()), ("status", status.to_string())];
        samples.push(Sample {
            name: "weir_http_requests_total",
            labels,
            value: *value,
        });
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page is the contract: it and the code name the same metrics, types and meanings.
    #[test]
    fn documented_metrics_are_the_metrics() {
        let documented: Vec<String> = include_str!("../../../docs/metrics.md")
            .lines()
            .filter(|line| line.starts_with("| `weir_"))
            .map(str::to_owned)
            .collect();
        let named: Vec<String> = weir_engine::read::METRICS
            .iter()
            .chain(METRICS)
            .map(|(name, kind, help)| format!("| `{name}` | {kind} | {help} |"))
            .collect();
        assert_eq!(documented, named);
    }

    /// Label values may hold anything; the text stays parseable.
    #[test]
    fn label_values_are_escaped() {
        let sample = Sample {
            name: "x",
            labels: vec![("topic", "a\"b\\c\nd".into())],
            value: 1,
        };
        assert_eq!(labels(&sample), r#"{topic="a\"b\\c\nd"}"#);
    }
}
