//! Sinks running: each on a thread of its own, fed with versions of its table.
//!
//! Between the engine and a sink stands one place for the newest published version. A version shares what did not
//! change with those before it, so what is pending is the difference between the version that the sink has confirmed and
//! the newest one: a sink that is away holds nobody up, costs what changed at most, and gets the newest row of each key
//! when it comes back.
//!
//! What a sink holds, so that a restart sends the net difference alone: for keys that were written at `position` or
//! later, what was written last; for others the row of `base`, a version of the table, but for a few that it names. A
//! checkpoint keeps the position and each key in which the base differs from the checkpoint's table, which takes the
//! base's place at the restart. Without a checkpoint, the position is the sink's beginning and the base is empty. A
//! failed flush is the same case: the sink is opened again from the last position.

use crate::read::{SinkState, SinkStatus};
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::Instant;
use weir_stage::sink::{Cut, Fault, Flushed, Item, Line, Refused, Rows, Sink, SourceError, Unsent};
use weir_zset::table::Version;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Rows turned into items at a time.
const BATCH_ROWS: usize = 4_096;
/// More keys than this are not kept with a checkpoint: the sink is then read from its beginning.
const KEPT_MAX: usize = 20_000;
/// So many changed rows are written without regard to the sink's pace, so that a checkpoint can keep what is pending.
const EARLY: usize = KEPT_MAX / 2;
/// How often a sink without news is asked whether it has some.
const IDLE: Duration = Duration::from_secs(1);
/// Between attempts after a failure: this, doubled each time up to the second.
const BACKOFF_MIN: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 250 });
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How far a row that was refused can be told from others: its key's digest stands in the place of an offset.
const DIGEST_BITS: u32 = 52;

/// A sink to run.
pub struct SinkParts {
    /// Its name.
    pub name: String,
    /// The name of its table, one that is kept; none: the dead letters.
    pub table: Option<String>,
    /// What it writes to, as readers see it: the topic, the folder.
    pub to: String,
    /// What its position is of: with another one, it is of no use.
    pub identity: String,
    /// The sink.
    pub sink: Box<dyn Sink>,
}

impl std::fmt::Debug for SinkParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkParts")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a checkpoint keeps of a sink.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    to: String,
    position: String,
    /// Keys in which the sink differs from the table, in base64, with the digest of the row that it has.
    rows: Vec<(String, Option<String>)>,
    /// Keys whose newest row was refused, as the sink has them, in base64.
    refused: Vec<String>,
}

/// A row that was refused, or is not any more.
#[derive(Debug)]
pub(crate) struct Letter {
    /// Stands in the place of an offset.
    pub(crate) offset: i64,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) field: Option<String>,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) as_of_us: i64,
    /// 1, or -1 when it is not refused any more.
    pub(crate) weight: i64,
}

/// What a worker is to do.
enum Next {
    Offer(Offer),
    Idle,
    Stop,
}

/// A published version that is to be sent.
#[derive(Clone)]
struct Offer {
    number: u64,
    cut: Cut,
    table: Version,
}

/// What is known of the content.
#[derive(Clone)]
struct Content {
    base: Version,
    position: Option<String>,
    /// Keys whose row is another one than the base's: its digest, or none when there is none.
    others: BTreeMap<Box<[u8]>, Option<u128>>,
    /// Keys, as the sink writes them, whose newest row was refused, with the code.
    refused: BTreeMap<Vec<u8>, String>,
}

impl Content {
    /// Keys whose row in the table is another one than the sink has, as far as that is known.
    fn changed<'a>(&'a self, table: &'a Version) -> BTreeSet<&'a [u8]> {
        let is_plain = |key: &&[u8]| !self.others.contains_key(*key);
        let others = self.others.iter();
        let others = others.filter(|(key, row)| table.row(key).map(xxh3_128) != **row);
        table
            .changed(&self.base)
            .filter(is_plain)
            .chain(others.map(|(key, _)| key.as_ref()))
            .collect()
    }
}

struct State {
    offer: Option<Offer>,
    /// How many versions were offered, and the number of the last one that is there whole.
    offered: u64,
    confirmed: u64,
    /// Whether the sink's pace is over, as there is little more to come.
    hurries: bool,
    content: Content,
    /// Since when something is not sent that was published.
    waiting_since: Option<Instant>,
    letters: Vec<Letter>,
    /// The rows that are told as refused: what stands in the place of their offset, and the code.
    told: BTreeMap<i64, String>,
    shown: SinkState,
    /// The epoch that the sink has confirmed, or was found at.
    epoch: u64,
    flushes: u64,
    error: Option<SourceError>,
    fatal: bool,
}

struct Shared {
    name: String,
    line: Line,
    state: Mutex<State>,
    news: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

/// A running sink, as the engine sees it.
pub(crate) struct Running {
    /// The index of its table; none: the dead letters.
    pub(crate) table: Option<usize>,
    pub(crate) name: String,
    pub(crate) to: String,
    identity: String,
    shared: Arc<Shared>,
    sink: Option<Box<dyn Sink>>,
    thread: Option<JoinHandle<()>>,
}

/// What a checkpoint knows of a sink.
pub(crate) struct Restored<'a> {
    /// As [`Running::keep`] gave it.
    pub(crate) kept: Option<&'a String>,
    /// The checkpoint's table.
    pub(crate) table: Version,
    /// Codes of the rows that are told as refused, by what stands in the place of their offset.
    pub(crate) letters: BTreeMap<i64, String>,
}

impl Running {
    /// What was kept of it is taken back; nothing runs yet. `table` is the index of its table among those of the engine.
    pub(crate) fn new(parts: SinkParts, table: Option<usize>, restored: Restored<'_>) -> Self {
        let kept = restored
            .kept
            .and_then(|text| serde_json::from_str::<Kept>(text).ok())
            .filter(|kept| kept.to == parts.identity);
        let mut content = Content {
            base: restored.table.emptied(),
            position: None,
            others: BTreeMap::new(),
            refused: BTreeMap::new(),
        };
        if let Some(kept) = kept {
            content.base = restored.table;
            content.position = Some(kept.position);
            let other = |(key, row): &(String, Option<String>)| {
                let row = row.as_ref().map(|row| u128::from_str_radix(row, 16));
                (unbase64(key).into(), row.map(Result::unwrap_or_default))
            };
            content.others = kept.rows.iter().map(other).collect();
            for key in &kept.refused {
                let key = unbase64(key);
                let code = restored.letters.get(&digest(&key)).cloned();
                content.refused.insert(key, code.unwrap_or_default());
            }
        }
        let state = State {
            offer: None,
            offered: 0,
            confirmed: 0,
            hurries: false,
            content,
            waiting_since: None,
            letters: Vec::new(),
            told: restored.letters,
            shown: SinkState::Opening,
            epoch: 0,
            flushes: 0,
            error: None,
            fatal: false,
        };
        Self {
            table,
            name: parts.name.clone(),
            to: parts.to,
            identity: parts.identity,
            shared: Arc::new(Shared {
                name: parts.name,
                line: Line::default(),
                state: Mutex::new(state),
                news: Condvar::new(),
            }),
            sink: Some(parts.sink),
            thread: None,
        }
    }

    /// Begins: the sink is opened, and what is offered is sent.
    pub(crate) fn start(&mut self) {
        let Some(sink) = self.sink.take() else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(format!("sink {}", self.name));
        let thread = thread.spawn(move || Worker { sink, shared }.run());
        self.thread = Some(thread.expect("the system has a thread for us"));
    }

    /// A new version of its table was published; answers its number.
    pub(crate) fn offer(&self, cut: Cut, table: Version) -> u64 {
        let mut state = self.shared.lock();
        if state.waiting_since.is_none() {
            state.waiting_since = Some(Instant::now());
        }
        state.offered += 1;
        let number = state.offered;
        state.offer = Some(Offer { number, cut, table });
        drop(state);
        self.shared.news.notify_all();
        number
    }

    /// From now on everything is written at once, whatever the sink's pace.
    pub(crate) fn hurry(&self) {
        self.shared.lock().hurries = true;
        self.shared.news.notify_all();
    }

    /// The number of the last version that is there whole, and what keeps the others away, if something does.
    pub(crate) fn confirmed(&self) -> (u64, Option<SourceError>) {
        let state = self.shared.lock();
        (
            state.confirmed,
            self.shared.line.trouble().or_else(|| state.error.clone()),
        )
    }

    /// The epoch that it was brought to, by this run or the one before.
    pub(crate) fn epoch(&self) -> u64 {
        self.shared.lock().epoch
    }

    /// Rows that were refused since the last call, and those that are not any more.
    pub(crate) fn letters(&self) -> Vec<Letter> {
        std::mem::take(&mut self.shared.lock().letters)
    }

    /// What stops the pipeline.
    pub(crate) fn fatal(&self) -> Option<SourceError> {
        let state = self.shared.lock();
        state.error.clone().filter(|_| state.fatal)
    }

    /// What a checkpoint with this version of the table is to keep; nothing when too much is pending: then the sink is
    /// read from its beginning.
    pub(crate) fn keep(&self, table: &Version) -> Option<String> {
        let content = self.shared.lock().content.clone();
        let position = content.position?;
        let mut others = content.others;
        for key in table.changed(&content.base) {
            if others.len() + content.refused.len() >= KEPT_MAX {
                return None;
            }
            if !others.contains_key(key) {
                others.insert(key.into(), content.base.row(key).map(xxh3_128));
            }
        }
        let rows = others.iter();
        let rows = rows.map(|(key, row)| (base64(key), row.map(|row| format!("{row:x}"))));
        let kept = Kept {
            to: self.identity.clone(),
            position,
            rows: rows.collect(),
            refused: content.refused.keys().map(|key| base64(key)).collect(),
        };
        Some(serde_json::to_string(&kept).expect("it is plain data"))
    }

    /// Whether everything that was published is there.
    pub(crate) fn is_settled(&self) -> bool {
        self.shared.lock().waiting_since.is_none()
    }

    /// Waits until it is settled, the time is up or it has failed for good.
    pub(crate) fn settle(&self, until: Instant) -> bool {
        self.hurry();
        let is_open = |state: &mut State| state.waiting_since.is_some() && !state.fatal;
        let wait = until.saturating_duration_since(Instant::now());
        let waited = self
            .shared
            .news
            .wait_timeout_while(self.shared.lock(), wait, is_open);
        let (state, _) = waited.expect("nobody panics while holding it");
        state.waiting_since.is_none()
    }

    pub(crate) fn status(&self) -> SinkStatus {
        let line = &self.shared.line;
        let trouble = line.trouble();
        let state = self.shared.lock();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        SinkStatus {
            name: self.name.clone(),
            to: self.to.clone(),
            state: state.shown,
            epoch: state.epoch,
            pending: count(&line.sent)
                .saturating_sub(count(&line.acked))
                .saturating_sub(count(&line.failed)),
            sent: count(&line.sent),
            acked: count(&line.acked),
            failed: count(&line.failed),
            refused: state.content.refused.len() as u64,
            flushes: state.flushes,
            // At least 1, for 0 says that nothing waits.
            waiting_ms: state
                .waiting_since
                .map_or(0, |since| ms(since.elapsed()).max(1)),
            error: trouble
                .or_else(|| state.error.clone())
                .map(|error| error.message),
        }
    }

    /// Ends the thread; what is under way is cut off.
    pub(crate) fn stop(&mut self) {
        self.shared.line.stop();
        self.shared.news.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(sink = self.name, "the thread of a sink had panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What the sink says it was told of a key.
enum Held {
    Row(u128),
    Nothing,
    /// Something, or nothing.
    Unknown,
}

struct Worker {
    sink: Box<dyn Sink>,
    shared: Arc<Shared>,
}

impl Worker {
    fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        while !self.shared.line.is_stopped() {
            let ended = self.round(&mut backoff);
            let Err(error) = ended else { return };
            if self.shared.line.is_stopped() {
                return;
            }
            let is_final = error.fault != Fault::External;
            self.failed(error, is_final);
            if is_final {
                return;
            }
            self.rest(backoff);
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Opens the sink and sends what comes, until something fails or it is to stop.
    fn round(&mut self, backoff: &mut Duration) -> Result<(), SourceError> {
        let mut content = self.shared.lock().content.clone();
        let mut held: HashMap<Vec<u8>, Held> = HashMap::new();
        for key in content.refused.keys() {
            held.insert(key.clone(), Held::Unknown);
        }
        let mut told = |key: &[u8], value: Option<&[u8]>| {
            let value = value.map_or(Held::Nothing, |value| Held::Row(xxh3_128(value)));
            held.insert(key.to_vec(), value);
        };
        let line = &self.shared.line;
        let opening = self
            .sink
            .open(content.position.as_deref(), &mut told, line)?;
        if opening.whole {
            content.base = content.base.emptied();
            content.others.clear();
        }
        let (mut held, mut position) = (Some(held), opening.position);
        {
            let mut state = self.shared.lock();
            state.epoch = state.epoch.max(opening.epoch.unwrap_or(0));
        }
        self.recovered();
        let mut due = Instant::now();
        loop {
            let Offer { number, cut, table } = match self.next(due) {
                Next::Offer(offer) => offer,
                Next::Idle => {
                    self.sink.idle()?;
                    if self.has_much(&content) {
                        due = Instant::now();
                    }
                    continue;
                }
                Next::Stop => return Ok(()),
            };
            let began = Instant::now();
            let changed: BTreeSet<&[u8]> = content.changed(&table);
            let mut told = Told::default();
            let making = RefCell::new(Making {
                rows: opening.rows.as_ref(),
                table: &table,
                content: &content,
                told: &mut told,
            });
            let found = RefCell::new(held.take().unwrap_or_default());
            let is_plain = found.borrow().is_empty();
            let written = if is_plain {
                let changed: Vec<&[u8]> = changed.into_iter().collect();
                self.write(&cut, changes(&making, &changed))
            } else {
                self.write(&cut, difference(&making, &changed, &found))
            }?;
            *backoff = BACKOFF_MIN;
            if let Some(written) = written {
                due = began + self.sink.pace();
                position = written.position;
                told.unsent.extend(written.unsent);
            }
            content.position = Some(position.clone());
            content.base = table;
            content.others.clear();
            self.flushed(&mut content, number, &cut, told, began);
        }
    }

    /// What there is to do, an offer not before it is due.
    fn next(&self, due: Instant) -> Next {
        let rest = due.saturating_duration_since(Instant::now());
        let wait = if rest.is_zero() { IDLE } else { rest.min(IDLE) };
        let is_due =
            |state: &State| state.offer.is_some() && (state.hurries || Instant::now() >= due);
        let is_idle = |state: &mut State| !is_due(state) && !self.shared.line.is_stopped();
        let waited = self
            .shared
            .news
            .wait_timeout_while(self.shared.lock(), wait, is_idle);
        let (state, _) = waited.expect("nobody panics while holding it");
        if self.shared.line.is_stopped() {
            return Next::Stop;
        }
        // It stays until it is sent: what fails is tried again with it or a newer one.
        let offer = state.offer.clone().filter(|_| is_due(&state));
        offer.map_or(Next::Idle, Next::Offer)
    }

    /// Whether so much waits for its time that a checkpoint could soon not keep it.
    fn has_much(&self, content: &Content) -> bool {
        let offered = self
            .shared
            .lock()
            .offer
            .as_ref()
            .map(|offer| offer.table.clone());
        offered.is_some_and(|table| table.changed(&content.base).nth(EARLY).is_some())
    }

    /// Sends these items, unless there are none; answers the new position.
    fn write(
        &mut self,
        cut: &Cut,
        items: impl Iterator<Item = Item>,
    ) -> Result<Option<Flushed>, SourceError> {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return Ok(None);
        }
        let line = &self.shared.line;
        self.sink.write(cut, &mut items, line).map(Some)
    }

    /// Takes note of a flush.
    fn flushed(&self, content: &mut Content, number: u64, cut: &Cut, told: Told, began: Instant) {
        for key in &told.again {
            content.refused.remove(key);
        }
        for Unsent { item, why } in &told.unsent {
            content
                .refused
                .insert(item.key.clone(), why.code.to_owned());
        }
        let letters = self.news_of_letters(content, cut, told);
        let mut state = self.shared.lock();
        state.content = content.clone();
        state.letters.extend(letters);
        state.epoch = state.epoch.max(cut.epoch);
        state.flushes += 1;
        state.confirmed = number;
        if state
            .offer
            .as_ref()
            .is_some_and(|offer| offer.number == number)
        {
            state.offer = None;
            state.waiting_since = None;
        } else {
            // What is newer came after that.
            state.waiting_since = Some(began);
        }
        drop(state);
        self.shared.news.notify_all();
    }

    /// What is refused now beside what was told to be.
    fn news_of_letters(&self, content: &Content, cut: &Cut, told: Told) -> Vec<Letter> {
        let now = content.refused.iter();
        let now: BTreeMap<i64, String> =
            now.map(|(key, code)| (digest(key), code.clone())).collect();
        let before = std::mem::replace(&mut self.shared.lock().told, now.clone());
        let letter = |offset, code: &str, weight| Letter {
            offset,
            code: code.to_owned(),
            message: String::new(),
            field: None,
            key: Vec::new(),
            value: None,
            as_of_us: cut.as_of_us,
            weight,
        };
        let is_over = |(offset, code): &(&i64, &String)| now.get(*offset) != Some(*code);
        let over = before.iter().filter(is_over);
        let mut letters: Vec<Letter> = over
            .map(|(offset, code)| letter(*offset, code, -1))
            .collect();
        for Unsent { item, why } in told.unsent {
            let offset = digest(&item.key);
            if before.get(&offset).map(String::as_str) == Some(why.code) {
                continue;
            }
            tracing::warn!(
                sink = self.shared.name,
                code = why.code,
                message = why.message,
                "a row was refused"
            );
            letters.push(Letter {
                message: why.message,
                field: why.field,
                key: item.key,
                value: item.value,
                ..letter(offset, why.code, 1)
            });
        }
        letters
    }

    fn failed(&self, error: SourceError, is_final: bool) {
        let mut state = self.shared.lock();
        let is_news = state.error.as_ref().map(|known| known.code) != Some(error.code);
        if is_news {
            tracing::warn!(sink = self.shared.name, code = error.code, %error, "sink failed");
        }
        state.shown = if is_final {
            SinkState::Failed
        } else {
            SinkState::Retrying
        };
        state.error = Some(error);
        state.fatal = is_final;
        drop(state);
        self.shared.line.trouble_is(None);
        self.shared.news.notify_all();
    }

    fn recovered(&self) {
        let mut state = self.shared.lock();
        if state.error.take().is_some() {
            tracing::info!(sink = self.shared.name, "sink works again");
        }
        state.shown = SinkState::Live;
    }

    /// Waits, unless stopped.
    fn rest(&self, wait: Duration) {
        let is_running = |_: &mut State| !self.shared.line.is_stopped();
        let waited = self
            .shared
            .news
            .wait_timeout_while(self.shared.lock(), wait, is_running);
        drop(waited.expect("nobody panics while holding it"));
    }
}

/// What was seen while items were made.
#[derive(Default)]
struct Told {
    unsent: Vec<Unsent>,
    /// Keys that were refused before and are tried again, or are gone.
    again: Vec<Vec<u8>>,
}

/// Makes the items of one flush, a batch at a time.
struct Making<'a> {
    rows: &'a dyn Rows,
    table: &'a Version,
    content: &'a Content,
    told: &'a mut Told,
}

impl Making<'_> {
    /// A key is as the table has it, or will be.
    fn note(&mut self, key: &[u8]) {
        if self.content.refused.contains_key(key) {
            self.told.again.push(key.to_vec());
        }
    }

    /// Upserts and tombstones of these keys, as the table has them.
    fn of_keys(&mut self, keys: &[&[u8]]) -> Vec<Item> {
        let (there, gone): (Vec<&[u8]>, Vec<&[u8]>) =
            keys.iter().copied().partition(|key| self.table.has(key));
        let mut items = self.upserts(&there, &mut HashMap::new());
        let keys = self.rows.keys(&self.table.key_rows(gone));
        for key in keys.into_iter().flatten() {
            self.note(&key);
            items.push(Item { key, value: None });
        }
        items
    }

    /// Rows of these keys, but for those that the sink holds already.
    fn upserts(&mut self, keys: &[&[u8]], held: &mut HashMap<Vec<u8>, Held>) -> Vec<Item> {
        let made = self.rows.items(&self.table.rows_of(keys.iter().copied()));
        let mut items = Vec::with_capacity(made.len());
        for made in made {
            let item = match made {
                Ok(item) => item,
                Err(unsent) => {
                    held.remove(&unsent.item.key);
                    self.told.unsent.push(unsent);
                    continue;
                }
            };
            let value = item.value.as_deref().unwrap_or_default();
            let is_there = match held.remove(&item.key) {
                Some(Held::Row(digest)) => digest == xxh3_128(value),
                _ => false,
            };
            self.note(&item.key);
            if !is_there {
                items.push(item);
            }
        }
        items
    }
}

/// The items of what changed since the base.
fn changes<'m>(
    making: &'m RefCell<Making<'_>>,
    changed: &'m [&[u8]],
) -> impl Iterator<Item = Item> {
    changed
        .chunks(BATCH_ROWS)
        .flat_map(|keys| making.borrow_mut().of_keys(keys))
}

/// The items that take what the sink holds to the table.
fn difference<'m>(
    making: &'m RefCell<Making<'_>>,
    changed: &'m BTreeSet<&[u8]>,
    held: &'m RefCell<HashMap<Vec<u8>, Held>>,
) -> impl Iterator<Item = Item> {
    let (table, rows) = {
        let making = making.borrow();
        (making.table, making.rows)
    };
    let there = table.scan_keyed(BATCH_ROWS).flat_map(move |(keys, batch)| {
        let mut held = held.borrow_mut();
        let written = rows.keys(&batch);
        let is_due = |(key, written): (&&[u8], &Result<Vec<u8>, Refused>)| {
            let is_held = written.as_ref().is_ok_and(|key| held.contains_key(key));
            is_held || changed.contains(*key)
        };
        let due: Vec<bool> = keys.iter().zip(&written).map(is_due).collect();
        let keys = keys.into_iter().zip(due).filter(|(_, due)| *due);
        let keys: Vec<&[u8]> = keys.map(|(key, _)| key).collect();
        making.borrow_mut().upserts(&keys, &mut held)
    });
    let gone = std::iter::once_with(move || {
        let gone = changed.iter().copied().filter(|key| !table.has(key));
        let keys = rows.keys(&table.key_rows(gone)).into_iter().flatten();
        let (mut held, mut making) = (held.borrow_mut(), making.borrow_mut());
        let is_due = |key: &Vec<u8>| {
            making.note(key);
            !matches!(held.remove(key), Some(Held::Nothing))
        };
        let mut keys: Vec<Vec<u8>> = keys.filter(is_due).collect();
        // What is left is of keys that the table does not have.
        let left = held
            .drain()
            .filter(|(_, held)| !matches!(held, Held::Nothing));
        let mut left: Vec<Vec<u8>> = left.map(|(key, _)| key).collect();
        left.sort();
        keys.extend(left);
        keys.into_iter().map(|key| Item { key, value: None })
    });
    there.chain(gone.flatten())
}

/// Stands in the place of an offset for a row, which has none.
fn digest(key: &[u8]) -> i64 {
    (xxh3_64(key) >> (u64::BITS - DIGEST_BITS)).cast_signed()
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn unbase64(text: &str) -> Vec<u8> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    bytes.unwrap_or_default()
}

#[cfg(test)]
mod tests;
