//! The paths under `/api/v1`, health and metrics: parameters in, one cut out.

use crate::error::ServeError;
use crate::query::{Cells, Found, Parameters, Query};
use crate::{App, live, metrics, wire};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::writer::StreamWriter;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, Query as UrlQuery, State as Shared, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::Instant;
use weir_engine::{LetterFilter, Published, State, TablePlan};
use weir_zset::table::Version;
use weir_zset::text::instant;

const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";
/// Dead letters of a page when `limit` is not given.
const LETTERS_DEFAULT: usize = 100;
/// Most dead letters of a page.
const LETTERS_MAX: usize = 1_000;

/// The paths without parameters, for the metrics.
pub(crate) const PATHS: &[&str] = &[
    "/",
    "/api/v1/status",
    "/api/v1/tables",
    "/api/v1/dead-letters",
    "/api/v1/views",
    "/api/v1/history",
    "/api/v1/live",
    "/healthz",
    "/readyz",
    "/metrics",
];

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/tables", get(tables))
        .route("/api/v1/tables/{name}/rows", get(rows))
        .route("/api/v1/dead-letters", get(dead_letters))
        .route("/api/v1/views", get(views))
        .route("/api/v1/history", get(history))
        .route("/api/v1/live", get(live))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
}

async fn status(Shared(app): Shared<Arc<App>>) -> Json<Value> {
    Json(wire::status(&app.handle.status()))
}

async fn tables(Shared(app): Shared<Arc<App>>) -> Json<Value> {
    let cut = app.handle.published();
    let rows = |name: &str| cut.as_ref()?.table(name).map(|(_, version)| version.len());
    let tables: Vec<Value> = app
        .handle
        .tables()
        .iter()
        .map(|plan| wire::table(plan, rows(&plan.name)))
        .collect();
    let (run, epoch) = (app.handle.status().run, cut.as_ref().map(|cut| cut.epoch));
    Json(json!({ "run": run, "epoch": epoch, "tables": tables }))
}

async fn rows(
    Shared(app): Shared<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    parameters: Result<UrlQuery<Parameters>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ServeError> {
    let Path(name) = name.map_err(|rejection| ServeError::BadParameter(rejection.body_text()))?;
    let plan = plan(&app, &name)?;
    let parameters = readable(parameters)?;
    let query = Query::new(&parameters, plan)?;
    let asked = plan.asked_by.as_deref();
    let asked = asked.map(|column| parameters.value_of(column, &name));
    let asked = asked.transpose()?;
    let cut = published(&app)?;
    let (as_arrow, as_text) = (accepts_arrow(&headers), parameters.cells == Cells::Text);
    let key = plan.key.clone();
    let body = bounded(&app, move |deadline| {
        let version = version(&cut, &name, asked.as_deref())?;
        let found = query.run(&version, &key, deadline)?;
        let write = if as_text { wire::cells } else { wire::objects };
        if as_arrow {
            arrow_stream(&cut, &found)
        } else {
            Ok(wire::page(&cut, found.total, &found.rows, write))
        }
    });
    let kind = if as_arrow {
        ARROW_STREAM
    } else {
        "application/json"
    };
    Ok(([(header::CONTENT_TYPE, kind)], body.await?).into_response())
}

fn plan<'a>(app: &'a App, name: &str) -> Result<&'a TablePlan, ServeError> {
    let tables = app.handle.tables();
    tables
        .iter()
        .find(|plan| plan.name == name)
        .map(AsRef::as_ref)
        .ok_or_else(|| ServeError::UnknownTable {
            name: name.to_owned(),
            known: tables.iter().map(|plan| plan.name.clone()).collect(),
        })
}

fn published(app: &App) -> Result<Arc<Published>, ServeError> {
    app.handle.published().ok_or_else(|| {
        let status = app.handle.status();
        match status.state {
            State::Failed => {
                ServeError::Stopped(status.error.unwrap_or_else(|| "no reason was given".into()))
            }
            _ => ServeError::CatchingUp,
        }
    })
}

/// The table as this cut has it, or as it is worked out from the cut for this value.
fn version(cut: &Published, name: &str, asked: Option<&str>) -> Result<Version, ServeError> {
    let kept = cut.table(name).map(|(_, version)| Ok(version.clone()));
    let found = asked.map_or(kept, |value| cut.ask(name, value));
    let version = found.expect("a cut holds every table of the plan, or can work it out");
    version.map_err(|fault| ServeError::NotWorkedOut {
        table: name.to_owned(),
        message: fault.to_string(),
    })
}

fn readable<T>(parameters: Result<UrlQuery<T>, QueryRejection>) -> Result<T, ServeError> {
    match parameters {
        Ok(UrlQuery(parameters)) => Ok(parameters),
        Err(rejection) => {
            let text = rejection.body_text();
            Err(ServeError::BadParameter(
                text.trim_start_matches("Failed to deserialize query string: ")
                    .to_owned(),
            ))
        }
    }
}

fn accepts_arrow(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.contains(ARROW_STREAM)))
}

/// Runs a query on a thread that may block, when its turn comes, until the deadline.
async fn bounded<F>(app: &App, work: F) -> Result<Vec<u8>, ServeError>
where
    F: FnOnce(Instant) -> Result<Vec<u8>, ServeError> + Send + 'static,
{
    let start = Instant::now();
    let limit = app.query_limit;
    let turn = tokio::time::timeout(limit, app.queries.acquire())
        .await
        .map_err(|_elapsed| ServeError::Busy)?;
    let body = tokio::task::spawn_blocking(move || work(start + limit))
        .await
        .map_err(|_died| ServeError::Thread)?;
    drop(turn);
    app.counters.queries.add(1);
    app.counters
        .query_us
        .add(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    body
}

/// The rows as an Arrow stream; the cut stands in the schema's metadata.
fn arrow_stream(cut: &Published, found: &Found) -> Result<Vec<u8>, ServeError> {
    let metadata = [
        ("weir.run", cut.run.clone()),
        ("weir.epoch", cut.epoch.to_string()),
        ("weir.as_of", instant(cut.as_of_us)),
        ("weir.offsets", json!(cut.offsets).to_string()),
        ("weir.total", found.total.to_string()),
    ];
    let metadata = metadata
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    let schema = Schema::clone(&found.rows.schema()).with_metadata(metadata);
    let schema = Arc::new(schema);
    let batch = RecordBatch::try_new(Arc::clone(&schema), found.rows.columns().to_vec())?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

/// A page of the dead letters, and which of them: those of a topic, a partition, a record `at` an offset, a stage, a code.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Window {
    limit: Option<usize>,
    offset: Option<usize>,
    topic: Option<String>,
    partition: Option<i32>,
    at: Option<i64>,
    stage: Option<String>,
    code: Option<String>,
}

async fn dead_letters(
    Shared(app): Shared<Arc<App>>,
    window: Result<UrlQuery<Window>, QueryRejection>,
) -> Result<Json<Value>, ServeError> {
    let window = readable(window)?;
    let limit = window.limit.unwrap_or(LETTERS_DEFAULT);
    if limit > LETTERS_MAX {
        return Err(ServeError::AboveLimit {
            parameter: "limit",
            value: limit,
            max: LETTERS_MAX,
        });
    }
    let status = app.handle.status();
    let asked = LetterFilter {
        topic: window.topic.as_deref(),
        partition: window.partition,
        at: window.at,
        stage: window.stage.as_deref(),
        code: window.code.as_deref(),
    };
    let (total, letters) = app
        .handle
        .dead_letters(&asked, window.offset.unwrap_or(0), limit);
    let rows: Vec<Value> = letters.iter().map(|letter| letter.json()).collect();
    Ok(Json(
        json!({ "run": status.run, "epoch": status.epoch, "total": total, "rows": rows }),
    ))
}

async fn views(Shared(app): Shared<Arc<App>>) -> Json<Value> {
    let views: Vec<Value> = app.handle.views().iter().map(wire::view).collect();
    Json(json!({ "pipeline": app.handle.status().pipeline, "views": views }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WhichView {
    view: usize,
}

async fn history(
    Shared(app): Shared<Arc<App>>,
    which: Result<UrlQuery<WhichView>, QueryRejection>,
) -> Result<Json<Value>, ServeError> {
    let WhichView { view } = readable(which)?;
    let lines = app.history.lock().expect("no writer panics").lines(view);
    let mut body = lines.ok_or(ServeError::UnknownView { view })?;
    let status = app.handle.status();
    body["run"] = json!(status.run);
    body["as_of"] = json!(status.as_of_us.map(instant));
    Ok(Json(body))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Which {
    tables: Option<String>,
}

/// A table that can be followed: not one that is worked out when asked.
fn followed(app: &App, name: &str) -> Result<String, ServeError> {
    let plan = plan(app, name)?;
    match &plan.asked_by {
        None => Ok(plan.name.clone()),
        Some(column) => Err(ServeError::AskedBy {
            table: plan.name.clone(),
            column: column.clone(),
        }),
    }
}

async fn live(
    Shared(app): Shared<Arc<App>>,
    which: Result<UrlQuery<Which>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ServeError> {
    let tables: Vec<String> = if let Some(names) = readable(which)?.tables {
        let named = names.split(',').map(|name| followed(&app, name));
        named.collect::<Result<_, _>>()?
    } else {
        let tables = app.handle.tables().iter();
        let kept = tables.filter(|plan| plan.asked_by.is_none());
        kept.map(|plan| plan.name.clone()).collect()
    };
    let upgrade = upgrade.map_err(|rejection| ServeError::NotWebSocket(rejection.body_text()))?;
    let permit = live::admit(&app)?;
    let upgrade = upgrade
        .max_message_size(live::HEARD_BYTES_MAX)
        .max_frame_size(live::HEARD_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| live::Reader::new(socket, app, tables, permit).run()))
}

/// The process runs and its pipeline has not failed.
async fn health(Shared(app): Shared<Arc<App>>) -> (StatusCode, Json<Value>) {
    let status = app.handle.status();
    let code = if status.state == State::Failed {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (
        code,
        Json(json!({ "state": status.state, "error": status.error })),
    )
}

/// What is published is the newest truth; until then, which topics lag and by how much. Topics in trouble are named
/// in either case.
async fn ready(Shared(app): Shared<Arc<App>>) -> (StatusCode, Json<Value>) {
    let status = app.handle.status();
    let code = if wire::is_ready(status.state) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let named = status
        .sources
        .iter()
        .filter(|source| !source.caught_up || source.error.is_some());
    let topics: Vec<Value> = named
        .map(|source| json!({ "topic": source.topic, "lag": source.lag, "error": source.error }))
        .collect();
    let troubled = status.sinks.iter().filter(|sink| sink.error.is_some());
    let sinks: Vec<Value> = troubled
        .map(|sink| {
            json!({ "sink": sink.name, "to": sink.to, "waiting_ms": sink.waiting_ms, "error": sink.error })
        })
        .collect();
    let checkpoint = status.checkpoint.and_then(|checkpoint| checkpoint.error);
    (
        code,
        Json(json!({
            "state": status.state, "topics": topics, "sinks": sinks, "checkpoint_error": checkpoint,
            "tables": status.tables, "clock_error": status.clock_error, "error": status.error,
        })),
    )
}

async fn metrics_text(Shared(app): Shared<Arc<App>>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        metrics::text(&app),
    )
}
