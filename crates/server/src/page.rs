//! The page: plain ES modules, a style sheet and an icon, compiled into the binary.
//!
//! No bundler, no framework, no request to any other origin. It knows no table by name: it draws what
//! `/api/v1/views` declares.

use crate::App;
use axum::Router;
use axum::http::header;
use axum::routing::get;
use std::sync::Arc;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../page/index.html")),
    ("/page/app.css", CSS, include_str!("../page/app.css")),
    ("/page/icon.svg", SVG, include_str!("../page/icon.svg")),
    ("/page/app.js", JS, include_str!("../page/app.js")),
    ("/page/banner.js", JS, include_str!("../page/banner.js")),
    ("/page/chart.js", JS, include_str!("../page/chart.js")),
    ("/page/dom.js", JS, include_str!("../page/dom.js")),
    ("/page/drill.js", JS, include_str!("../page/drill.js")),
    ("/page/exact.js", JS, include_str!("../page/exact.js")),
    ("/page/filter.js", JS, include_str!("../page/filter.js")),
    ("/page/grid.js", JS, include_str!("../page/grid.js")),
    ("/page/headline.js", JS, include_str!("../page/headline.js")),
    ("/page/letters.js", JS, include_str!("../page/letters.js")),
    ("/page/live.js", JS, include_str!("../page/live.js")),
    ("/page/order.js", JS, include_str!("../page/order.js")),
    ("/page/rows.js", JS, include_str!("../page/rows.js")),
    ("/page/windows.js", JS, include_str!("../page/windows.js")),
];

pub(crate) fn routes() -> Router<Arc<App>> {
    FILES
        .iter()
        .fold(Router::new(), |routes, &(path, kind, text)| {
            // `no-cache`: a page of the last build never meets the server of the next.
            let headers = [
                (header::CONTENT_TYPE, kind),
                (header::CACHE_CONTROL, "no-cache"),
            ];
            routes.route(path, get(async move || (headers, text)))
        })
}
