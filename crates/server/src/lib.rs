//! Tables over HTTP and WebSocket, health, metrics, and the page.
//!
//! The only crate that knows HTTP and wire formats. It reads a running pipeline through
//! [`weir_engine::Handle`] and changes nothing. Every answer is made from one cut: run, epoch, clock and
//! offsets stand beside the rows. Amounts are exact text from the table to the pixel.
//!
//! Every reader is bounded: rows and time of a query ([`query`]), queries at once, connections and
//! snapshot rows of a [`live`] reader, points of a line ([`history`]).

mod api;
pub mod error;
mod guard;
pub mod history;
pub mod live;
pub mod metrics;
mod page;
pub mod query;
mod wire;

use crate::error::ServeError;
use crate::guard::Guard;
use crate::history::History;
use crate::metrics::Counters;
use axum::Router;
use axum::serve::ListenerExt as _;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use weir_engine::Handle;

/// Most queries that run at once; the next ones wait as long as a query may take.
pub const QUERIES_MAX: usize = 4;
/// Most live readers at once; one browser page is one.
pub const LIVE_CONNECTIONS_MAX: usize = 256;

/// How to serve.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names besides the listening address by which clients may call this server, as in a `Host` header
    /// (`desk.example:8080`; without a port: any).
    pub names: Vec<String>,
}

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) handle: Handle,
    pub(crate) guard: Guard,
    pub(crate) history: Mutex<History>,
    pub(crate) queries: Semaphore,
    pub(crate) query_limit: Duration,
    pub(crate) live: Arc<Semaphore>,
    pub(crate) counters: Counters,
    /// True once the server stops: live readers close.
    pub(crate) stopping: watch::Sender<bool>,
}

impl App {
    fn new(handle: Handle, listen: SocketAddr, options: Options) -> Self {
        Self {
            guard: Guard::new(listen, options.names),
            history: Mutex::new(History::new(handle.views())),
            queries: Semaphore::new(QUERIES_MAX),
            query_limit: Duration::from_millis(query::QUERY_MS_MAX),
            live: Arc::new(Semaphore::new(LIVE_CONNECTIONS_MAX)),
            counters: Counters::default(),
            stopping: watch::channel(false).0,
            handle,
        }
    }
}

/// Serves until `stop` resolves; open queries are finished, live readers are told to go.
pub async fn serve<F>(
    listener: TcpListener,
    handle: Handle,
    options: Options,
    stop: F,
) -> Result<(), ServeError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listen = listener.local_addr().map_err(ServeError::Listen)?;
    let app = Arc::new(App::new(handle, listen, options));
    let stopping = {
        let app = Arc::clone(&app);
        async move {
            stop.await;
            app.stopping.send_replace(true);
        }
    };
    // Frames are small and late ones are useless: never wait to fill a packet.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot turn off packet delay");
        }
    });
    let serving = axum::serve(listener, router(&app)).with_graceful_shutdown(stopping);
    tokio::select! {
        served = async { serving.await } => served.map_err(ServeError::Listen),
        never = history::record(&app.handle, &app.history) => match never {},
    }
}

pub(crate) fn router(app: &Arc<App>) -> Router {
    let routes = api::routes()
        .merge(page::routes())
        .fallback(async || ServeError::NotFound)
        .method_not_allowed_fallback(async || ServeError::MethodNotAllowed);
    metrics::around(guard::around(routes, app), app).with_state(Arc::clone(app))
}

#[cfg(test)]
mod tests;
