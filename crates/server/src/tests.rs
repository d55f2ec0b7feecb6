//! The handlers over a made-up pipeline, without a socket.

use crate::{App, Options, QUERIES_MAX, live, router};
use arrow::array::{
    Array as _, ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
};
use arrow::ipc::reader::StreamReader;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use tower::ServiceExt as _;
use weir_engine::asked::Library;
use weir_engine::read::SourceStatus;
use weir_engine::{
    DeadLetter, Edge, Feed, Handle, Published, Sample, State, Status, TablePlan, ViewPlan,
};
use weir_zset::Delta;
use weir_zset::table::Table;

/// 2026-03-02T12:00:00Z.
pub(crate) const NOON_US: i64 = 1_772_452_800_000_000;

/// One row: its item, amount in thousandths, count, and day since 1970.
pub(crate) type Row = (&'static str, Option<i128>, Option<i64>, Option<i32>);

/// A pipeline with one table, `stock`, and a headline over it.
pub(crate) struct Fixture {
    pub(crate) app: Arc<App>,
    pub(crate) feed: Feed,
    table: Table,
    plan: Arc<TablePlan>,
}

pub(crate) fn rows(rows: &[Row]) -> RecordBatch {
    let items: StringArray = rows.iter().map(|row| Some(row.0)).collect();
    let amounts: Decimal128Array = rows.iter().map(|row| row.1).collect();
    let counts: Int64Array = rows.iter().map(|row| row.2).collect();
    let days: Date32Array = rows.iter().map(|row| row.3).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("item", Arc::new(items) as ArrayRef, false),
        (
            "amount",
            Arc::new(amounts.with_precision_and_scale(38, 3).unwrap()),
            true,
        ),
        ("count", Arc::new(counts), true),
        ("day", Arc::new(days), true),
    ])
    .unwrap()
}

fn status(state: State, epoch: u64) -> Status {
    let source = SourceStatus {
        name: "stock_in".into(),
        topic: "stock.in".into(),
        position: BTreeMap::from([(0, 3)]),
        end: BTreeMap::from([(0, 10)]),
        lag: if state == State::CatchingUp { 7 } else { 0 },
        caught_up: state != State::CatchingUp,
        idle_s: 0,
        error: None,
    };
    Status {
        pipeline: "stock".into(),
        run: "run-1".into(),
        state,
        replay: false,
        epoch,
        as_of_us: (epoch > 0).then_some(NOON_US),
        sources: vec![source],
        sinks: vec![],
        dead_letters: 1,
        checkpoint: None,
        tables: vec![],
        clock_error: None,
        error: None,
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let schema = rows(&[]).schema();
        let key = vec!["item".to_owned()];
        let table = Table::new(&schema, &key);
        let plan = Arc::new(TablePlan {
            name: "stock".into(),
            from: Edge::Source(0),
            key,
            schema,
            asked_by: None,
        });
        let view = ViewPlan::Headline {
            table: "stock".into(),
            column: "amount".into(),
            by: vec!["item".into()],
            beside: None,
            mark: Some("1".into()),
            line: true,
            percent: false,
            title: "Stock".into(),
            drill: vec![],
        };
        let grid = ViewPlan::Grid {
            table: "stock".into(),
            columns: vec!["item".into()],
            title: "All".into(),
            drill: vec![],
        };
        let (handle, feed) = Handle::fed(
            vec![view, grid],
            vec![Arc::clone(&plan)],
            status(State::CatchingUp, 0),
        );
        let app = App::new(
            handle,
            "127.0.0.1:8080".parse().unwrap(),
            Options::default(),
        );
        Self {
            app: Arc::new(app),
            feed,
            table,
            plan,
        }
    }

    /// A pipeline that published these rows.
    pub(crate) fn with(added: &[Row]) -> Self {
        let mut fixture = Self::new();
        fixture.publish(1, added, &[]);
        fixture
    }

    pub(crate) fn publish(&mut self, epoch: u64, added: &[Row], removed: &[Row]) -> Arc<Published> {
        self.table
            .apply(&Delta::new(rows(removed), vec![-1; removed.len()]));
        self.table
            .apply(&Delta::new(rows(added), vec![1; added.len()]));
        let offsets = BTreeMap::from([("stock.in".to_owned(), BTreeMap::from([(0, 3)]))]);
        let tables = vec![(Arc::clone(&self.plan), self.table.version())];
        self.feed.publish(Published {
            run: "run-1".into(),
            epoch,
            as_of_us: NOON_US,
            offsets,
            tables,
            asked: vec![],
            library: Library::default(),
        });
        self.feed.status(status(State::Live, epoch));
        self.app.handle.published().unwrap()
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
        let service = router(&self.app);
        let response = service.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (
            parts.status,
            parts.headers,
            to_bytes(body, usize::MAX).await.unwrap().to_vec(),
        )
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path)
            .header("host", "127.0.0.1:8080")
            .body(Body::empty())
            .unwrap();
        let (status, _, body) = self.send(request).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// The rows that a query answers, one line each.
    async fn query(&self, parameters: &str, expected: Expect) {
        let (status, body) = self
            .get(&format!(
                "/api/v1/tables/stock/rows?cells=text&{parameters}"
            ))
            .await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let lines: Vec<String> = body["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(Value::to_string)
            .collect();
        expected.assert_eq(&format!(
            "{} of {}\n{}",
            lines.len(),
            body["total"],
            lines.join("\n")
        ));
    }

    async fn refused(&self, path: &str) -> String {
        let (status, body) = self.get(path).await;
        let error = &body["error"];
        format!(
            "{} {} | {} | {}",
            status.as_u16(),
            error["code"],
            error["message"],
            error["hint"]
        )
    }
}

fn some() -> Fixture {
    Fixture::with(&[
        ("a", Some(1_500), Some(3), Some(20_514)),
        ("b", Some(-2_000), None, None),
        ("c", None, Some(9_007_199_254_740_993), Some(20_515)),
        ("d", Some(1_500), Some(-1), None),
    ])
}

/// Rows come with their cut; amounts and dates as text, integers whole.
#[tokio::test]
async fn rows_are_exact() {
    let fixture = some();
    let request =
        Request::get("/api/v1/tables/stock/rows?limit=3").header("host", "localhost:8080");
    let (_, headers, body) = fixture.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(headers["content-type"], "application/json");
    expect![[r#"{"run":"run-1","epoch":1,"as_of":"2026-03-02T12:00:00Z","offsets":{"stock.in":{"0":3}},"total":4,"rows":[{"item":"a","amount":"1.5","count":3,"day":"2026-03-02"},{"item":"b","amount":"-2","count":null,"day":null},{"item":"c","amount":null,"count":9007199254740993,"day":"2026-03-03"}]}"#]]
        .assert_eq(&String::from_utf8(body).unwrap());
}

/// Sorting: nulls last, equal rows by key, several columns; filtering; the page of what matches.
#[tokio::test]
async fn queries_sort_and_filter() {
    let fixture = some();
    fixture
        .query(
            "sort=-amount",
            expect![[r#"
                4 of 4
                ["a","1.5","3","2026-03-02"]
                ["d","1.5","-1",null]
                ["b","-2",null,null]
                ["c",null,"9007199254740993","2026-03-03"]"#]],
        )
        .await;
    fixture
        .query(
            "sort=amount,count&offset=1&limit=2",
            expect![[r#"
                2 of 4
                ["d","1.5","-1",null]
                ["a","1.5","3","2026-03-02"]"#]],
        )
        .await;
    fixture
        .query(
            "where=amount%20%3E%200&limit=1",
            expect![[r#"
                1 of 2
                ["a","1.5","3","2026-03-02"]"#]],
        )
        .await;
    fixture.query("offset=9", expect!["0 of 4\n"]).await;
}

/// Every refusal says what is wrong, by code, and how to mend it.
#[tokio::test]
async fn refusals_teach() {
    let fixture = some();
    let mut lines = vec![];
    for path in [
        "/api/v1/tables/stok/rows",
        "/api/v1/tables/stock/rows?sort=-amuont",
        "/api/v1/tables/stock/rows?limit=100001",
        "/api/v1/tables/stock/rows?limit=x",
        "/api/v1/tables/stock/rows?sort=item&offset=1000000",
        "/api/v1/tables/stock/rows?filter=x",
        "/api/v1/tables/stock/rows?where=amount%20%2B%201",
        "/api/v1/dead-letters?limit=1001",
        "/api/v1/history?view=1",
        "/api/v1/live?tables=stok",
        "/api/v1/live",
        "/nowhere",
    ] {
        lines.push(fixture.refused(path).await);
    }
    expect![[r#"
        404 "unknown_table" | "there is no table `stok`" | "tables: stock"
        400 "unknown_column" | "table `stock` has no column `amuont`" | "columns: item, amount, count, day"
        400 "above_limit" | "`limit` is 100001; at most 100000 is allowed" | "page with `limit` and `offset`, or narrow with `where`"
        400 "bad_parameter" | "limit: invalid digit found in string" | null
        400 "above_limit" | "`offset` is 1000000; at most 999000 is allowed" | "page with `limit` and `offset`, or narrow with `where`"
        400 "bad_parameter" | "filter: unknown field `filter`, expected one of `limit`, `offset`, `sort`, `where`, `cells`" | null
        400 "bad_expression" | "`where`: the expression is decimal128(38,3), not a condition" | "compare it with something"
        400 "above_limit" | "`limit` is 1001; at most 1000 is allowed" | "page with `limit` and `offset`, or narrow with `where`"
        404 "unknown_view" | "view 1 keeps no line" | "/api/v1/views names those with `line`"
        404 "unknown_table" | "there is no table `stok`" | "tables: stock"
        426 "not_websocket" | "this address speaks WebSocket only: Connection header did not include 'upgrade'" | null
        404 "not_found" | "there is nothing at this path" | "/api/v1/status, /api/v1/tables, /api/v1/views, /metrics""#]].assert_eq(&lines.join("\n"));
    let (status, body) = fixture
        .get("/api/v1/tables/stock/rows?where=amuont%20%3E%201")
        .await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!("bad_expression"))
    );
    let request = Request::post("/api/v1/status")
        .header("host", "localhost:8080")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        fixture.send(request).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

/// Half a book is never shown: before the first cut there are no rows, and readiness names what lags.
#[tokio::test]
async fn catching_up_is_told() {
    let fixture = Fixture::new();
    let (status, body) = fixture.get("/api/v1/tables/stock/rows").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("catching_up"))
    );
    let (status, body) = fixture.get("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        body,
        json!({"state": "catching_up", "topics": [{"topic": "stock.in", "lag": 7, "error": null}], "sinks": [], "checkpoint_error": null, "tables": [], "clock_error": null, "error": null})
    );
    let (_, body) = fixture.get("/api/v1/tables").await;
    assert_eq!(
        (&body["tables"][0]["rows"], &body["epoch"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(fixture.get("/healthz").await.0, StatusCode::OK);
    assert_eq!(some().get("/readyz").await.0, StatusCode::OK);
}

/// A pipeline that failed is neither healthy nor ready, and says why.
#[tokio::test]
async fn a_failure_is_told() {
    let fixture = Fixture::new();
    fixture.feed.status(Status {
        error: Some("the disk is full".into()),
        ..status(State::Failed, 0)
    });
    assert_eq!(
        fixture.get("/healthz").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(
        fixture.get("/readyz").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    expect![[r#"503 "stopped" | "the pipeline has stopped: the disk is full" | "the log of the process tells more""#]]
        .assert_eq(&fixture.refused("/api/v1/tables/stock/rows").await);
}

/// The shapes of the small answers.
#[tokio::test]
async fn small_answers_have_their_shape() {
    let fixture = some();
    let letter = DeadLetter {
        topic: "stock.in".into(),
        partition: 0,
        offset: 2,
        stage: "decode".into(),
        code: "bad_json".into(),
        message: "it ends in the middle".into(),
        field: None,
        timestamp_us: Some(NOON_US),
        key: None,
        value: Some("{".into()),
        headers: weir_engine::Headers::default(),
        by_reference: false,
        is_final: true,
    };
    let key = (
        "stock.in".to_owned(),
        0,
        2,
        "decode".to_owned(),
        "bad_json".to_owned(),
    );
    fixture
        .feed
        .dead_letters(imbl::OrdMap::unit(key, Arc::new(letter)));
    let mut answers = String::new();
    for path in [
        "/api/v1/status",
        "/api/v1/tables",
        "/api/v1/views",
        "/api/v1/dead-letters",
        "/healthz",
        "/readyz",
    ] {
        let (_, body) = fixture.get(path).await;
        writeln!(answers, "{path} {body}").expect("a string takes it");
    }
    expect![[r#"
        /api/v1/status {"pipeline":"stock","run":"run-1","state":"live","replay":false,"epoch":1,"as_of":"2026-03-02T12:00:00Z","lag":0,"sources":[{"name":"stock_in","topic":"stock.in","position":{"0":3},"end":{"0":10},"lag":0,"caught_up":true,"idle_s":0,"error":null}],"sinks":[],"dead_letters":1,"checkpoint":null,"tables":[],"clock_error":null,"error":null}
        /api/v1/tables {"run":"run-1","epoch":1,"tables":[{"name":"stock","columns":[{"name":"item","type":"utf8","nullable":false},{"name":"amount","type":"decimal128(38,3)","nullable":true},{"name":"count","type":"int64","nullable":true},{"name":"day","type":"date32","nullable":true}],"key":["item"],"rows":4,"asked_by":null}]}
        /api/v1/views {"pipeline":"stock","views":[{"kind":"headline","table":"stock","column":"amount","by":["item"],"beside":null,"mark":"1","line":true,"percent":false,"title":"Stock","drill":[]},{"kind":"grid","table":"stock","columns":["item"],"title":"All","drill":[]}]}
        /api/v1/dead-letters {"run":"run-1","epoch":1,"total":1,"rows":[{"topic":"stock.in","partition":0,"offset":2,"timestamp":"2026-03-02T12:00:00Z","stage":"decode","code":"bad_json","field":null,"message":"it ends in the middle","key":null,"key_base64":null,"value":"{","value_base64":null,"headers":[],"by_reference":false,"final":true}]}
        /healthz {"state":"live","error":null}
        /readyz {"state":"live","topics":[],"sinks":[],"checkpoint_error":null,"tables":[],"clock_error":null,"error":null}
    "#]].assert_eq(&answers);
}

/// An Arrow answer holds the same rows, with the cut in its metadata.
#[tokio::test]
async fn arrow_holds_the_rows() {
    let fixture = some();
    let request = Request::get("/api/v1/tables/stock/rows?sort=-item&limit=2")
        .header("host", "localhost:8080")
        .header("accept", "application/vnd.apache.arrow.stream");
    let (_, headers, body) = fixture.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        headers["content-type"],
        "application/vnd.apache.arrow.stream"
    );
    let mut reader = StreamReader::try_new(body.as_slice(), None).unwrap();
    assert_eq!(reader.schema().metadata()["weir.epoch"], "1");
    let batch = reader.next().unwrap().unwrap();
    assert_eq!((batch.num_rows(), batch.num_columns()), (2, 4));
    assert!(batch.column(1).is_null(1), "c has no amount");
}

/// Who does not call us by our name, or comes from elsewhere, gets nothing, on any path.
#[tokio::test]
async fn strangers_get_nothing() {
    let fixture = some();
    for path in [
        "/",
        "/page/app.js",
        "/api/v1/status",
        "/api/v1/tables/stock/rows",
        "/api/v1/live",
        "/metrics",
        "/no",
    ] {
        for (host, origin, expected) in [
            ("evil.example:8080", None, StatusCode::MISDIRECTED_REQUEST),
            (
                "localhost:8080",
                Some("http://evil.example"),
                StatusCode::FORBIDDEN,
            ),
            ("localhost:8080", Some("null"), StatusCode::FORBIDDEN),
            (
                "localhost:8080",
                Some("http://localhost:9090"),
                StatusCode::FORBIDDEN,
            ),
        ] {
            let mut request = Request::get(path).header("host", host);
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let (status, headers, _) = fixture.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(status, expected, "{path} {host} {origin:?}");
            assert!(
                headers["content-security-policy"]
                    .to_str()
                    .unwrap()
                    .starts_with("default-src 'none'")
            );
        }
        let own = Request::get(path)
            .header("host", "localhost:8080")
            .header("origin", "http://localhost:8080");
        let (status, ..) = fixture.send(own.body(Body::empty()).unwrap()).await;
        assert!(
            status != StatusCode::FORBIDDEN && status != StatusCode::MISDIRECTED_REQUEST,
            "{path}"
        );
    }
}

/// Whatever is wrong with a request, the answer has the form of an error, on any path.
#[tokio::test]
async fn every_error_is_of_one_form() {
    let fixture = some();
    let paths = crate::api::PATHS.iter().copied();
    let wrong = paths.chain(["/page/app.js", "/api/v1/tables/stock/rows", "/no"]);
    let wrong = wrong.flat_map(|path| ["POST", "PUT", "DELETE", "OPTIONS"].map(|way| (way, path)));
    let unreadable = [
        ("GET", "/api/v1/tables/%ff/rows"),
        ("GET", "/api/v1/tables/stock/rows?limit=%ff"),
        ("GET", "/page/%ff"),
    ];
    for (way, path) in wrong.chain(unreadable) {
        let request = Request::builder()
            .method(way)
            .uri(path)
            .header("host", "localhost:8080");
        let (status, headers, body) = fixture.send(request.body(Body::empty()).unwrap()).await;
        let expected = match (way, path) {
            (_, "/no" | "/page/%ff") => (404, "not_found"),
            ("GET", _) => (400, "bad_parameter"),
            _ => (405, "method_not_allowed"),
        };
        let told = String::from_utf8(body).unwrap();
        let body: Value = serde_json::from_str(&told)
            .unwrap_or_else(|error| panic!("{way} {path}: {error}: {told:?}"));
        let code = body["error"]["code"].as_str().unwrap();
        assert_eq!((status.as_u16(), code), expected, "{way} {path}");
        assert!(body["error"]["message"].is_string(), "{way} {path}: {told}");
        assert_eq!(headers["content-type"], "application/json");
    }
}

/// The page and all it loads are there, and none of it names another origin.
#[tokio::test]
async fn the_page_is_whole() {
    let fixture = some();
    let mut open = vec!["/".to_owned()];
    let mut seen = vec![];
    while let Some(path) = open.pop() {
        if seen.contains(&path) {
            continue;
        }
        let request = Request::get(&path)
            .header("host", "localhost:8080")
            .body(Body::empty())
            .unwrap();
        let (status, headers, body) = fixture.send(request).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let body = String::from_utf8(body).unwrap();
        for word in body.split(['"', '\'', '(', ')']) {
            if let Some(module) = word.strip_prefix("./") {
                open.push(format!("/page/{module}"));
            } else if word.starts_with("/page/") {
                open.push(word.to_owned());
            }
        }
        let foreign = body.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !foreign.contains("http://") && !foreign.contains("https://"),
            "{path} names another origin"
        );
        seen.push(path);
    }
    assert!(seen.len() > 10, "{seen:?}");
}

/// The page for clients names every path and every code of an error.
#[test]
fn paths_and_codes_are_documented() {
    let page = include_str!("../../../docs/http.md");
    let (_, kinds) = include_str!("error.rs").split_once("fn kind").unwrap();
    let (kinds, _) = kinds.split_once("fn hint").unwrap();
    let codes = kinds.split('"').skip(1).step_by(2);
    let paths = crate::api::PATHS.iter().copied();
    let untold: Vec<&str> = codes
        .chain(paths.filter(|path| *path != "/"))
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    assert_eq!(untold, [""; 0]);
}

/// The text exposes metrics of the documented names only, the engine's among them.
#[tokio::test]
async fn metrics_are_those_documented() {
    let fixture = some();
    fixture.feed.metrics(vec![Sample {
        name: "weir_epoch",
        labels: vec![],
        value: 1,
    }]);
    fixture.get("/api/v1/tables/stock/rows").await;
    let request = Request::get("/metrics")
        .header("host", "localhost:8080")
        .body(Body::empty())
        .unwrap();
    let (_, headers, body) = fixture.send(request).await;
    assert!(
        headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    let text = String::from_utf8(body).unwrap();
    let text: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("weir_query_us_total"))
        .collect();
    expect![[r#"
        # HELP weir_epoch Last published epoch.
        # TYPE weir_epoch gauge
        weir_epoch 1
        # HELP weir_http_requests_total Requests answered, by path and status.
        # TYPE weir_http_requests_total counter
        weir_http_requests_total{path="/api/v1/tables/{name}/rows",status="200"} 1
        # HELP weir_queries_total Queries for rows run.
        # TYPE weir_queries_total counter
        weir_queries_total 1
        # HELP weir_query_us_total Time spent in queries for rows, microseconds.
        # TYPE weir_query_us_total counter
        # HELP weir_live_connections Live readers connected.
        # TYPE weir_live_connections gauge
        weir_live_connections 0
        # HELP weir_live_connections_max Most live readers at once.
        # TYPE weir_live_connections_max gauge
        weir_live_connections_max 256
        # HELP weir_live_refused_total Live readers refused because of the limit.
        # TYPE weir_live_refused_total counter
        weir_live_refused_total 0
        # HELP weir_live_dropped_total Live readers dropped because they fell silent or took nothing in time.
        # TYPE weir_live_dropped_total counter
        weir_live_dropped_total 0
        # HELP weir_live_frames_total Frames sent to live readers.
        # TYPE weir_live_frames_total counter
        weir_live_frames_total 0
        # HELP weir_live_bytes_total Bytes of frames sent to live readers.
        # TYPE weir_live_bytes_total counter
        weir_live_bytes_total 0
        # HELP weir_live_epochs_skipped_total Epochs that a live reader was not sent because a newer one was there.
        # TYPE weir_live_epochs_skipped_total counter
        weir_live_epochs_skipped_total 0
    "#]].assert_eq(&text);
}

/// The limit of live readers is reached and told.
#[tokio::test]
async fn live_readers_are_limited() {
    let fixture = some();
    let permits: Vec<_> = std::iter::from_fn(|| live::admit(&fixture.app).ok()).collect();
    assert_eq!(permits.len(), crate::LIVE_CONNECTIONS_MAX);
    assert_eq!(
        live::admit(&fixture.app).unwrap_err().code(),
        "too_many_connections"
    );
    drop(permits);
    assert!(live::admit(&fixture.app).is_ok());
}

/// Queries wait for their turn no longer than a query may take.
#[tokio::test]
async fn queries_are_limited() {
    let mut fixture = some();
    let app = Arc::get_mut(&mut fixture.app).expect("no request is open");
    app.query_limit = std::time::Duration::from_millis(1);
    let turns = fixture
        .app
        .queries
        .acquire_many(u32::try_from(QUERIES_MAX).unwrap())
        .await
        .unwrap();
    expect![[r#"503 "busy" | "too many queries are running" | "try again later""#]]
        .assert_eq(&fixture.refused("/api/v1/tables/stock/rows").await);
    drop(turns);
    assert_ne!(
        fixture.get("/api/v1/tables/stock/rows").await.1["error"]["code"],
        "busy"
    );
}
