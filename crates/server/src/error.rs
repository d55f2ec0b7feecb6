//! What can go wrong, as a status, a stable code, a message and a hint:
//! `{"error":{"code","message","hint"}}`.

use arrow::error::ArrowError;
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request was not answered, or the server could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Nothing is published yet.
    #[error("the pipeline is still catching up; nothing is published yet")]
    CatchingUp,
    /// The pipeline stopped before it published anything.
    #[error("the pipeline has stopped: {0}")]
    Stopped(String),
    /// No such table.
    #[error("there is no table `{name}`")]
    UnknownTable {
        /// As asked for.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// No such column.
    #[error("table `{table}` has no column `{column}`")]
    UnknownColumn {
        /// The table.
        table: String,
        /// As asked for.
        column: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// No view of this index keeps a line.
    #[error("view {view} keeps no line")]
    UnknownView {
        /// As asked for.
        view: usize,
    },
    /// A parameter cannot be read.
    #[error("{0}")]
    BadParameter(String),
    /// A parameter is above its limit.
    #[error("`{parameter}` is {value}; at most {max} is allowed")]
    AboveLimit {
        /// Its name.
        parameter: &'static str,
        /// As asked for.
        value: usize,
        /// The limit.
        max: usize,
    },
    /// The `where` expression cannot be used.
    #[error("`where`: {message}")]
    BadExpression {
        /// What is wrong.
        message: String,
        /// What would mend it.
        hint: Option<String>,
    },
    /// The `where` expression fails on a row.
    #[error("`where` fails on a row: {message}")]
    RowFailed {
        /// What is wrong.
        message: String,
    },
    /// A table that is worked out when asked was not asked as it can be.
    #[error("table `{table}` is worked out when a reader names a value of `{column}`")]
    AskedBy {
        /// The table.
        table: String,
        /// Its column.
        column: String,
    },
    /// Working a table out failed.
    #[error("table `{table}` could not be worked out: {message}")]
    NotWorkedOut {
        /// The table.
        table: String,
        /// Why.
        message: String,
    },
    /// The query took too long.
    #[error("the query took longer than {max_ms} ms and was stopped")]
    QueryTooSlow {
        /// The limit.
        max_ms: u64,
    },
    /// Too many queries run.
    #[error("too many queries are running")]
    Busy,
    /// Too many live readers.
    #[error("{max} live readers are connected, which is the limit")]
    TooManyConnections {
        /// The limit.
        max: usize,
    },
    /// The `Host` header names another server.
    #[error("this server is not called `{0}`")]
    HostNotAllowed(String),
    /// A page of another origin asks.
    #[error("pages of origin `{0}` may not ask this server")]
    OriginNotAllowed(String),
    /// A request for a live stream that is not a WebSocket handshake.
    #[error("this address speaks WebSocket only: {0}")]
    NotWebSocket(String),
    /// No such path.
    #[error("there is nothing at this path")]
    NotFound,
    /// The path is there, the method is not.
    #[error("this path answers GET only")]
    MethodNotAllowed,
    /// Columns could not be put together: a fault of ours.
    #[error("columns could not be put together")]
    Columns(#[from] ArrowError),
    /// A query's thread died: a fault of ours.
    #[error("the query's thread died")]
    Thread,
    /// The socket failed.
    #[error("cannot listen")]
    Listen(#[source] std::io::Error),
}

impl ServeError {
    /// The stable code that clients may rely on.
    pub fn code(&self) -> &'static str {
        self.kind().1
    }

    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::CatchingUp => (StatusCode::SERVICE_UNAVAILABLE, "catching_up"),
            Self::Stopped(_) => (StatusCode::SERVICE_UNAVAILABLE, "stopped"),
            Self::UnknownTable { .. } => (StatusCode::NOT_FOUND, "unknown_table"),
            Self::UnknownColumn { .. } => (StatusCode::BAD_REQUEST, "unknown_column"),
            Self::UnknownView { .. } => (StatusCode::NOT_FOUND, "unknown_view"),
            Self::BadParameter(_) => (StatusCode::BAD_REQUEST, "bad_parameter"),
            Self::AboveLimit { .. } => (StatusCode::BAD_REQUEST, "above_limit"),
            Self::BadExpression { .. } => (StatusCode::BAD_REQUEST, "bad_expression"),
            Self::RowFailed { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "row_failed"),
            Self::AskedBy { .. } => (StatusCode::BAD_REQUEST, "asked_by"),
            Self::NotWorkedOut { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "not_worked_out"),
            Self::QueryTooSlow { .. } => (StatusCode::SERVICE_UNAVAILABLE, "query_too_slow"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::TooManyConnections { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "too_many_connections")
            }
            Self::HostNotAllowed(_) => (StatusCode::MISDIRECTED_REQUEST, "host_not_allowed"),
            Self::OriginNotAllowed(_) => (StatusCode::FORBIDDEN, "origin_not_allowed"),
            Self::NotWebSocket(_) => (StatusCode::UPGRADE_REQUIRED, "not_websocket"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Columns(_) | Self::Thread | Self::Listen(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::CatchingUp => Some("ask /readyz which topics lag, and try again".into()),
            Self::Stopped(_) => Some("the log of the process tells more".into()),
            Self::UnknownTable { known, .. } => Some(format!("tables: {}", known.join(", "))),
            Self::UnknownColumn { known, .. } => Some(format!("columns: {}", known.join(", "))),
            Self::UnknownView { .. } => Some("/api/v1/views names those with `line`".into()),
            Self::BadExpression { hint, .. } => hint.clone(),
            Self::RowFailed { .. } => {
                Some("exclude such rows, or use a cast that gives null".into())
            }
            Self::AboveLimit { .. } => {
                Some("page with `limit` and `offset`, or narrow with `where`".into())
            }
            Self::QueryTooSlow { .. } => Some(
                "narrow with `where` on fewer columns, or ask for the whole table as Arrow".into(),
            ),
            Self::AskedBy { table, column } => Some(format!(
                "/api/v1/tables/{table}/rows?where={column} = 'value', and nothing else in `where`"
            )),
            Self::Busy | Self::TooManyConnections { .. } => Some("try again later".into()),
            Self::HostNotAllowed(_) => Some(
                "use the address the server printed, or start it with `--host` and this name"
                    .into(),
            ),
            Self::OriginNotAllowed(_) => {
                Some("ask without a browser, or serve the page from this server".into())
            }
            Self::NotFound => {
                Some("/api/v1/status, /api/v1/tables, /api/v1/views, /metrics".into())
            }
            Self::BadParameter(_)
            | Self::NotWebSocket(_)
            | Self::NotWorkedOut { .. }
            | Self::MethodNotAllowed
            | Self::Columns(_)
            | Self::Thread
            | Self::Listen(_) => None,
        }
    }
}

impl IntoResponse for ServeError {
    fn into_response(self) -> Response {
        let (status, code) = self.kind();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = &self as &dyn std::error::Error, "request failed");
        }
        let body =
            json!({ "error": { "code": code, "message": self.to_string(), "hint": self.hint() } });
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}
