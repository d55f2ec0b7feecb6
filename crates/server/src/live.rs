//! Tables as they change, over a WebSocket: a snapshot, then what differs from it, cut by cut.
//!
//! `docs/http.md` says which frames there are.
//!
//! # Delivery
//!
//! Frames of one epoch are the difference to what this reader was last sent, so a slow reader skips epochs
//! and nothing is ever queued for it: it holds one older version of its tables, which shares what did not
//! change. A reader that takes no frame in time, or is not heard for too long, is dropped. After a
//! reconnect everything begins with a snapshot.

use crate::App;
use crate::error::ServeError;
use crate::wire;
use arrow::array::RecordBatch;
use axum::extract::ws::{Message, WebSocket};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};
use weir_engine::{Published, State, Status, TablePlan};
use weir_zset::table::{Changes, Version};
use weir_zset::text;

/// Most rows of a table in a snapshot: what a browser holds with ease. A larger table is read in windows.
pub const SNAPSHOT_ROWS_MAX: usize = 50_000;
/// Most rows of one frame, to keep it near a megabyte.
pub const FRAME_ROWS_MAX: usize = 4_000;
/// Shortest time between two cuts to one reader: ten a second is as much as an eye takes.
pub const CUT_MS_MIN: u64 = 100;
/// Time between two `status` frames.
pub const STATUS_MS: u64 = 1_000;
/// Time between two pings.
pub const PING_MS: u64 = 15_000;
/// Longest time in which nothing, not even a pong, is heard from a reader.
pub const SILENCE_MS_MAX: u64 = 45_000;
/// Longest time a reader may take for one frame.
pub const SEND_MS_MAX: u64 = 20_000;
/// Most bytes of a message from a reader; it has nothing to say.
pub const HEARD_BYTES_MAX: usize = 4_096;

/// What one reader was sent, and what it is to be sent next. No socket: the protocol alone.
#[derive(Debug)]
pub struct Follower {
    tables: Vec<Watched>,
    epoch: Option<u64>,
}

#[derive(Debug)]
struct Watched {
    name: String,
    seen: Seen,
}

/// What the reader has of a table.
#[derive(Debug)]
enum Seen {
    Nothing,
    Rows(Version),
    Large,
}

/// A frame before it is text.
#[derive(Debug)]
pub struct Frame {
    head: Value,
    /// Rows and keys removed.
    body: Option<(RecordBatch, RecordBatch)>,
}

impl Frame {
    /// The frame as it goes over the wire.
    pub fn text(&self) -> String {
        let mut out = serde_json::to_vec(&self.head).expect("a JSON value is JSON");
        if let Some((upserts, removed)) = &self.body {
            out.pop();
            out.extend_from_slice(b",\"upserts\":");
            wire::cells(upserts, &mut out);
            out.extend_from_slice(b",\"removed\":");
            wire::cells(removed, &mut out);
            out.push(b'}');
        }
        String::from_utf8(out).expect("JSON is written from strings")
    }
}

impl Follower {
    /// A reader of these tables that has seen nothing.
    pub fn new(tables: Vec<String>) -> Self {
        let tables = tables
            .into_iter()
            .map(|name| Watched {
                name,
                seen: Seen::Nothing,
            })
            .collect();
        Self {
            tables,
            epoch: None,
        }
    }

    /// The epoch it has.
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// The frames that bring the reader to this cut; none when it has it.
    pub fn step(&mut self, cut: &Published) -> Vec<Frame> {
        if self.epoch == Some(cut.epoch) {
            return vec![];
        }
        let mut frames = vec![];
        for watched in &mut self.tables {
            if let Some((plan, version)) = cut.table(&watched.name) {
                watched.step(
                    plan,
                    version,
                    Stamp {
                        cut,
                        base: self.epoch,
                    },
                    &mut frames,
                );
            }
        }
        let as_of = text::instant(cut.as_of_us);
        let mut end = Stamp {
            cut,
            base: self.epoch,
        }
        .head("cut");
        put(&mut end, "as_of", json!(as_of));
        put(&mut end, "offsets", json!(cut.offsets));
        frames.push(Frame {
            head: end,
            body: None,
        });
        self.epoch = Some(cut.epoch);
        frames
    }
}

/// What every frame of one step carries.
#[derive(Clone, Copy)]
struct Stamp<'a> {
    cut: &'a Published,
    base: Option<u64>,
}

impl Stamp<'_> {
    fn head(self, kind: &str) -> Value {
        json!({ "type": kind, "run": self.cut.run, "epoch": self.cut.epoch, "base_epoch": self.base })
    }
}

impl Watched {
    fn step(
        &mut self,
        plan: &TablePlan,
        version: &Version,
        stamp: Stamp<'_>,
        frames: &mut Vec<Frame>,
    ) {
        if version.len() > self.rows_max() {
            let mut head = Stamp {
                base: None,
                ..stamp
            }
            .head("large");
            describe(&mut head, plan, version);
            frames.push(Frame { head, body: None });
            self.seen = Seen::Large;
            return;
        }
        if let Seen::Rows(older) = &self.seen {
            let changes = version.diff(older);
            parts(plan, version, stamp, &changes, frames);
        } else {
            let removed = RecordBatch::new_empty(Arc::clone(version.key_schema()));
            let all = Changes {
                upserts: version.rows(0, version.len()),
                removed,
            };
            parts(
                plan,
                version,
                Stamp {
                    base: None,
                    ..stamp
                },
                &all,
                frames,
            );
        }
        self.seen = Seen::Rows(version.clone());
    }

    /// A table read in windows stays so until it is well below the limit, lest it flips to and fro.
    fn rows_max(&self) -> usize {
        match self.seen {
            Seen::Large => SNAPSHOT_ROWS_MAX / 2,
            Seen::Nothing | Seen::Rows(_) => SNAPSHOT_ROWS_MAX,
        }
    }
}

/// Cuts rows and removed keys into frames; a difference without any makes no frame.
fn parts(
    plan: &TablePlan,
    version: &Version,
    stamp: Stamp<'_>,
    changes: &Changes,
    frames: &mut Vec<Frame>,
) {
    let Changes { upserts, removed } = changes;
    let rows = upserts.num_rows().max(removed.num_rows());
    let count = rows
        .div_ceil(FRAME_ROWS_MAX)
        .max(usize::from(stamp.base.is_none()));
    for part in 0..count {
        let mut head = stamp.head("rows");
        put(&mut head, "table", json!(plan.name));
        put(&mut head, "part", json!(part));
        put(&mut head, "total", json!(version.len()));
        if stamp.base.is_none() && part == 0 {
            describe(&mut head, plan, version);
        }
        frames.push(Frame {
            head,
            body: Some((slice(upserts, part), slice(removed, part))),
        });
    }
}

fn slice(batch: &RecordBatch, part: usize) -> RecordBatch {
    let from = (part * FRAME_ROWS_MAX).min(batch.num_rows());
    batch.slice(from, FRAME_ROWS_MAX.min(batch.num_rows() - from))
}

fn describe(head: &mut Value, plan: &TablePlan, version: &Version) {
    put(head, "table", json!(plan.name));
    put(head, "total", json!(version.len()));
    put(head, "columns", wire::columns(&plan.schema));
    put(head, "key", json!(plan.key));
}

fn put(head: &mut Value, name: &str, value: Value) {
    head.as_object_mut()
        .expect("a head is an object")
        .insert(name.to_owned(), value);
}

/// Why a reader is no longer served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It went, or its connection broke.
    Gone,
    /// It took too long for a frame or was not heard.
    Dropped,
    /// The server stops.
    Stopping,
}

enum Event {
    Changed,
    EngineGone,
    Heard,
    Due,
    StatusDue,
    PingDue,
    End(End),
}

/// One connected reader.
pub(crate) struct Reader {
    socket: WebSocket,
    app: Arc<App>,
    follower: Follower,
    changed: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    engine_gone: bool,
    /// Something may be new; looked at not before `next_cut`.
    due: bool,
    next_cut: Instant,
    told: Option<State>,
    heard: Instant,
    status: Interval,
    ping: Interval,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    pub(crate) fn new(
        socket: WebSocket,
        app: Arc<App>,
        tables: Vec<String>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            socket,
            follower: Follower::new(tables),
            changed: app.handle.changed(),
            stopping: app.stopping.subscribe(),
            engine_gone: false,
            due: true,
            next_cut: Instant::now(),
            told: None,
            heard: Instant::now(),
            status: every(STATUS_MS),
            ping: every(PING_MS),
            app,
            _permit: permit,
        }
    }

    /// Serves the reader to its end.
    pub(crate) async fn run(mut self) {
        let end = loop {
            let event = self.next().await;
            if let Err(end) = self.handle(event).await {
                break end;
            }
        };
        if end == End::Dropped {
            self.app.counters.live_dropped.add(1);
        }
        tracing::debug!(?end, "live reader ended");
        if end == End::Stopping {
            // The reader may be gone already, which is as good.
            let closed = timeout(
                Duration::from_millis(CUT_MS_MIN),
                self.socket.send(Message::Close(None)),
            )
            .await;
            tracing::trace!(?closed, "live reader told to go");
        }
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            told = self.stopping.wait_for(|stop| *stop) => {
                drop(told);
                Event::End(End::Stopping)
            }
            heard = self.socket.recv() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => Event::End(End::Gone),
                Some(Ok(_)) => Event::Heard,
            },
            changed = self.changed.changed(), if !self.engine_gone => match changed {
                Ok(()) => Event::Changed,
                Err(_gone) => Event::EngineGone,
            },
            () = sleep_until(self.next_cut), if self.due => Event::Due,
            _ = self.status.tick() => Event::StatusDue,
            _ = self.ping.tick() => Event::PingDue,
        }
    }

    async fn handle(&mut self, event: Event) -> Result<(), End> {
        match event {
            Event::Changed => self.due = true,
            Event::EngineGone => self.engine_gone = true,
            Event::Heard => self.heard = Instant::now(),
            Event::Due => self.bring(false).await?,
            Event::StatusDue => self.bring(true).await?,
            Event::PingDue => self.ping().await?,
            Event::End(end) => return Err(end),
        }
        Ok(())
    }

    /// Brings the reader to the newest cut; says then what the pipeline does, when that is new or `told_anyway`.
    /// The status is read first: what it speaks of is never newer than the tables that were sent.
    async fn bring(&mut self, told_anyway: bool) -> Result<(), End> {
        self.due = false;
        self.next_cut = Instant::now() + Duration::from_millis(CUT_MS_MIN);
        let status = self.app.handle.status();
        if let Some(cut) = self.app.handle.published() {
            self.send_cut(&cut).await?;
        }
        if told_anyway || self.told != Some(status.state) {
            self.send_status(&status).await?;
        }
        Ok(())
    }

    async fn send_cut(&mut self, cut: &Published) -> Result<(), End> {
        if let Some(had) = self.follower.epoch() {
            self.app
                .counters
                .live_epochs_skipped
                .add(cut.epoch.saturating_sub(had + 1));
        }
        for frame in self.follower.step(cut) {
            self.send(frame.text()).await?;
        }
        Ok(())
    }

    async fn send_status(&mut self, status: &Status) -> Result<(), End> {
        self.told = Some(status.state);
        let mut frame = wire::status(status);
        put(&mut frame, "type", json!("status"));
        put(&mut frame, "epoch", json!(self.follower.epoch()));
        put(&mut frame, "base_epoch", json!(self.follower.epoch()));
        self.send(frame.to_string()).await
    }

    async fn ping(&mut self) -> Result<(), End> {
        if self.heard.elapsed() > Duration::from_millis(SILENCE_MS_MAX) {
            return Err(End::Dropped);
        }
        self.take(Message::Ping(bytes::Bytes::new())).await
    }

    async fn send(&mut self, text: String) -> Result<(), End> {
        self.app.counters.live_frames.add(1);
        self.app.counters.live_bytes.add(text.len() as u64);
        self.take(Message::Text(text.into())).await
    }

    async fn take(&mut self, message: Message) -> Result<(), End> {
        match timeout(
            Duration::from_millis(SEND_MS_MAX),
            self.socket.send(message),
        )
        .await
        {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_broken)) => Err(End::Gone),
            Err(_elapsed) => Err(End::Dropped),
        }
    }
}

fn every(ms: u64) -> Interval {
    let mut interval = interval(Duration::from_millis(ms));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// A place among the live readers.
pub(crate) fn admit(app: &App) -> Result<OwnedSemaphorePermit, ServeError> {
    Arc::clone(&app.live).try_acquire_owned().map_err(|_full| {
        app.counters.live_refused.add(1);
        ServeError::TooManyConnections {
            max: crate::LIVE_CONNECTIONS_MAX,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Fixture, Row};
    use futures::StreamExt as _;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A reader of the protocol, as the page is one: rows by key, shown from cut to cut.
    #[derive(Default)]
    struct Model {
        epoch: Option<u64>,
        staged: Vec<Value>,
        rows: BTreeMap<String, Value>,
    }

    impl Model {
        fn take(&mut self, text: &str) {
            let frame: Value = serde_json::from_str(text).unwrap();
            let base = frame["base_epoch"].as_u64();
            assert!(base.is_none() || base == self.epoch, "a gap: {text}");
            if frame["type"] == "rows" {
                self.staged.push(frame);
                return;
            }
            assert_eq!(frame["type"], "cut");
            self.epoch = frame["epoch"].as_u64();
            for frame in std::mem::take(&mut self.staged) {
                if frame["base_epoch"].is_null() && frame["part"] == 0 {
                    self.rows.clear();
                }
                for key in frame["removed"].as_array().unwrap() {
                    self.rows
                        .remove(key[0].as_str().unwrap())
                        .expect("only what is there is removed");
                }
                for row in frame["upserts"].as_array().unwrap() {
                    self.rows
                        .insert(row[0].as_str().unwrap().to_owned(), row.clone());
                }
            }
        }
    }

    fn shown(cut: &Published) -> Vec<Value> {
        let mut out = vec![];
        wire::cells(&cut.tables[0].1.rows(0, usize::MAX), &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    const ITEMS: [&str; 5] = ["a", "b", "c", "d", "e"];

    proptest! {
        /// A reader that takes any of the cuts, in order, shows exactly the newest one it took.
        #[test]
        fn frames_lead_to_the_newest_cut(
            steps in prop::collection::vec((prop::collection::vec((0_usize..5, prop::option::of(0_i128..4)), 0..4), any::<bool>()), 1..12),
        ) {
            let mut fixture = Fixture::new();
            let mut follower = Follower::new(vec!["stock".into()]);
            let mut model = Model::default();
            let mut now: BTreeMap<&str, Row> = BTreeMap::new();
            for (epoch, (changes, taken)) in (1..).zip(steps) {
                let (mut added, mut removed) = (vec![], vec![]);
                for (item, amount) in changes {
                    let item = ITEMS[item];
                    removed.extend(now.remove(item));
                    if amount.is_some() {
                        now.insert(item, (item, amount, None, None));
                        added.push(now[item]);
                    }
                }
                let cut = fixture.publish(epoch, &added, &removed);
                if taken {
                    follower.step(&cut).iter().for_each(|frame| model.take(&frame.text()));
                    prop_assert_eq!(model.rows.values().cloned().collect::<Vec<_>>(), shown(&cut));
                    prop_assert!(follower.step(&cut).is_empty(), "a cut is sent once");
                }
            }
        }
    }

    /// Rows beyond one frame come in parts, and the cut comes last.
    #[test]
    fn a_snapshot_comes_in_parts() {
        let names: Vec<String> = (0..=FRAME_ROWS_MAX).map(|n| format!("{n:06}")).collect();
        let names: Vec<&'static str> = names.into_iter().map(|name| &*name.leak()).collect();
        let all: Vec<Row> = names
            .iter()
            .map(|name| (*name, Some(1), None, None))
            .collect();
        let cut = Fixture::new().publish(7, &all, &[]);
        let mut follower = Follower::new(vec!["stock".into()]);
        let frames: Vec<Value> = follower
            .step(&cut)
            .iter()
            .map(|frame| serde_json::from_str(&frame.text()).unwrap())
            .collect();
        let kinds: Vec<_> = frames
            .iter()
            .map(|frame| (frame["type"].as_str().unwrap(), frame["part"].as_u64()))
            .collect();
        assert_eq!(kinds, [("rows", Some(0)), ("rows", Some(1)), ("cut", None)]);
        assert_eq!(frames[1]["upserts"].as_array().unwrap().len(), 1);
    }

    /// A table above the limit is announced, not sent; well below it again, it is sent anew.
    #[test]
    fn a_large_table_is_read_in_windows() {
        let names: Vec<String> = (0..=SNAPSHOT_ROWS_MAX).map(|n| format!("{n:06}")).collect();
        let names: Vec<&'static str> = names.into_iter().map(|name| &*name.leak()).collect();
        let all: Vec<Row> = names
            .iter()
            .map(|name| (*name, Some(1), None, None))
            .collect();
        let mut fixture = Fixture::new();
        let mut follower = Follower::new(vec!["stock".into()]);
        let mut kinds = |cut: &Published| -> Vec<String> {
            let frames = follower.step(cut);
            frames
                .iter()
                .map(|frame| frame.head["type"].as_str().unwrap().to_owned())
                .collect()
        };
        let cut = fixture.publish(1, &all, &[]);
        assert_eq!(kinds(&cut), ["large", "cut"]);
        let cut = fixture.publish(2, &[], &all[..10]);
        assert_eq!(
            kinds(&cut),
            ["large", "cut"],
            "below the limit, but not well below"
        );
        let cut = fixture.publish(3, &[], &all[10..SNAPSHOT_ROWS_MAX - 10]);
        assert_eq!(kinds(&cut), ["rows", "cut"]);
    }

    const MANY: usize = 20_000;

    fn many(names: &[&'static str], amount: i128) -> Vec<Row> {
        names
            .iter()
            .map(|name| (*name, Some(amount), None, None))
            .collect()
    }

    /// A reader that takes nothing for a while is sent nothing meanwhile but what fits between: it skips epochs, and
    /// then has the newest one. Method: a real socket, its buffers overfilled by changes of a whole table.
    #[tokio::test]
    async fn a_slow_reader_skips_epochs() {
        let names: Vec<&'static str> = (0..MANY).map(|n| &*format!("{n:06}").leak()).collect();
        let mut fixture = Fixture::new();
        let mut cut = fixture.publish(1, &many(&names, 1), &[]);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/api/v1/live", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let handle = fixture.app.handle.clone();
        let served = crate::serve(listener, handle, crate::Options::default(), async move {
            drop(stopped.await);
        });
        let read = async move {
            let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
            let last = 40;
            for epoch in 2..=last {
                let amount = i128::from(epoch);
                cut = fixture.publish(epoch, &many(&names, amount), &many(&names, amount - 1));
                tokio::time::sleep(Duration::from_millis(CUT_MS_MIN)).await;
            }
            let (mut model, mut cuts) = (Model::default(), 0);
            while model.epoch != Some(last) {
                let message = socket.next().await.unwrap().unwrap();
                let Ok(text) = message.to_text() else {
                    continue;
                };
                if text.contains("\"rows\"") || text.contains("\"cut\"") {
                    model.take(text);
                    cuts += usize::from(text.contains("\"cut\""));
                }
            }
            assert_eq!(
                model.rows.values().cloned().collect::<Vec<_>>(),
                shown(&cut)
            );
            assert!(cuts < 30, "{cuts} of {last} epochs were sent");
            stop.send(()).unwrap();
            // The server says that it goes.
            while let Some(Ok(_)) = socket.next().await {}
        };
        let (served, ()) = tokio::join!(served, read);
        served.unwrap();
    }
}
