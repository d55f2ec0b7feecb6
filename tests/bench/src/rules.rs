//! What each kind of change costs in a book of many open trades, and what the book takes: the whole reference pipeline
//! over a made-up day. The book is loaded and kept in a state folder; a second process starts from there, so that it
//! holds what the pipeline keeps and no recorded book, and the changes come to it one by one, round after round. A
//! change is judged by the median of its rounds.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::engine::{get, labelled};

/// Monday, 2 March 2026, noon.
const START_MS: i64 = 1_772_452_800_000;
/// How fast the day goes by.
const SPEED: i64 = 80;
/// Between two changes: three seconds.
const STEP_MS: i64 = 3_000 * SPEED;
/// So often does each change come.
const ROUNDS: u64 = 7;
/// After the changes.
const MIDNIGHT_MS: i64 = 12 * 3_600_000 + 1_000;
/// Engine times are shown this often.
const SETTLE: Duration = Duration::from_millis(600);

const ENTITIES: [&str; 4] = ["BANK-A", "BANK-B", "BANK-C", "BANK-D"];
const BOOKS: u64 = 2_500;
const INSTRUMENTS: u64 = 1_000;
/// Held by every book of every entity.
const WIDE: &str = "XS0000000000";

/// A change: what it is, its goal in milliseconds, its topic, key and value.
type Change = (&'static str, Option<u64>, &'static str, String, Value);

/// Held, but not known before its round.
fn late(round: u64) -> String {
    format!("XS999999999{round}")
}

/// Each kind of change once, in the order in which they come; each differs from that of the round before.
fn changes(round: u64) -> Vec<Change> {
    let version = round + 2;
    let adjustment = |action: &str, version: u64, user: &str, more: Value| {
        let mut value = json!({"adjustmentId": format!("A{round}"), "version": version, "action": action, "user": user,
            "at": "2026-03-02T16:00:00Z"});
        for (name, cell) in more.as_object().into_iter().flatten() {
            value[name] = cell.clone();
        }
        value
    };
    let terms = json!({"scope": "issuer", "key": "WIDE", "hqlaClass": "NON", "reasonCode": "TEST",
        "effectiveFrom": "2026-03-02T00:00:00Z", "effectiveTo": "2026-04-01T00:00:00Z"});
    let (new, key, late) = (format!("NEW{round}"), format!("A{round}"), late(round));
    vec![
        (
            "a new trade",
            None,
            "trades.fx",
            new.clone(),
            fx(&new, 3, None, 1),
        ),
        (
            "an amended repo",
            None,
            "trades.repos",
            "R1".to_owned(),
            repo(1, version, &format!("{}.5", 1_234_567 + round)),
        ),
        (
            "a settlement",
            None,
            "settlements",
            format!("C{round}"),
            json!({"confirmationId": format!("C{round}"), "tradeId": format!("B{round}"), "quantity": "1000",
                "settledAt": "2026-03-02T16:00:00Z"}),
        ),
        (
            "a balance",
            None,
            "balances",
            "N1".to_owned(),
            json!({"accountId": "N1", "version": version, "kind": "cb_reserve", "ccy": "USD", "amount": 9_000_000 + round,
                "entity": ENTITIES[0]}),
        ),
        (
            "a price of an instrument in 10,000 positions",
            Some(50),
            "refdata.prices",
            WIDE.to_owned(),
            price(WIDE, &format!("98.76{round}"), version),
        ),
        (
            "an FX rate, 300,000 exchanges in its currency",
            Some(300),
            "refdata.fx",
            "EUR".to_owned(),
            euro(&format!("1.093{round}"), version),
        ),
        (
            "an override submitted",
            None,
            "adjustments",
            key.clone(),
            adjustment("SUBMIT", 1, "one", terms),
        ),
        (
            "an override on a widely held issuer",
            Some(100),
            "adjustments",
            key.clone(),
            adjustment("APPROVE", 2, "two", json!({})),
        ),
        (
            "its end",
            Some(100),
            "adjustments",
            key,
            adjustment("REVOKE", 3, "three", json!({})),
        ),
        (
            "an instrument that comes late",
            None,
            "refdata.instruments",
            late.clone(),
            instrument(&late, "LATE"),
        ),
    ]
}

fn price(id: &str, price: &str, version: u64) -> Value {
    json!({"instrumentId": id, "dirtyPrice": price, "per": 100, "ccy": "USD", "version": version})
}

fn euro(rate: &str, version: u64) -> Value {
    json!({"ccy": "EUR", "rate": rate, "version": version})
}

/// A restart from smaller books, then all of the full one.
pub(crate) fn run(weir: &Path, pipeline: &Path, folder: &Path, trades: u64) -> Result<()> {
    for trades in [trades / 8, trades / 2] {
        book(weir, pipeline, folder, trades, restart)?;
    }
    book(weir, pipeline, folder, trades, measure)
}

/// Loads a book of so many trades, starts anew from what was kept of it and takes a measure of that.
fn book(
    weir: &Path,
    pipeline: &Path,
    folder: &Path,
    trades: u64,
    measure: impl FnOnce(&str, &mut Child) -> Result<()>,
) -> Result<()> {
    println!("{trades} open trades:");
    write_book(folder, trades)?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let address = format!("127.0.0.1:{port}");
    let start = |records: &str, more: &[&str]| {
        let mut command = Command::new(weir);
        command.arg("run").arg(pipeline).arg("--replay");
        command.arg(folder.join(records)).arg("--state");
        command.arg(folder.join("state")).args(more);
        command.args(["--listen", &address, "--log-format", "json"]);
        let child = command.spawn();
        child.with_context(|| format!("cannot run {}", weir.display()))
    };
    load(&mut start("book", &["--until-end", "--grace", "600"])?)?;
    let mut child = start("changes", &["--speed", &SPEED.to_string()])?;
    let outcome = measure(&address, &mut child);
    child.kill().context("cannot end weir")?;
    child.wait().context("cannot end weir")?;
    std::fs::remove_dir_all(folder)?;
    outcome
}

/// Waits until the book is loaded and kept.
fn load(child: &mut Child) -> Result<()> {
    let (began, mut most) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_mins(20) {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("weir ended: {status}");
            }
            let took = began.elapsed().as_secs_f64();
            println!(
                "loaded and kept in {took:.1} s, resident {most} MiB at most, with the recorded book"
            );
            return Ok(());
        }
        most = most.max(resident_mib(child));
        sleep(Duration::from_millis(100));
    }
    child.kill().context("cannot end weir")?;
    bail!("the book is not loaded after twenty minutes")
}

/// Time spent in each stage so far, and in all.
struct Spent {
    epoch: u64,
    us: u64,
    stages: Vec<(String, u64)>,
}

impl Spent {
    fn now(address: &str) -> Result<Self> {
        let metrics = get(address, "/metrics")?;
        let phases = labelled(&metrics, "weir_phase_us_total{phase=\"");
        let counted = phases
            .iter()
            .filter(|(name, _)| ["decode", "stages", "publish"].contains(&&**name));
        let epoch = metrics
            .lines()
            .find_map(|line| line.strip_prefix("weir_epoch "));
        Ok(Self {
            epoch: epoch.and_then(|text| text.trim().parse().ok()).unwrap_or(0),
            us: counted.map(|(_, us)| us).sum(),
            stages: labelled(&metrics, "weir_stage_busy_us_total{stage=\""),
        })
    }
}

fn restart(address: &str, child: &mut Child) -> Result<()> {
    let began = Instant::now();
    // The first epoch is the one that was kept.
    wait(address, child, 0)?;
    let (served, kept) = (began.elapsed().saturating_sub(SETTLE), resident_mib(child));
    println!(
        "restart to serving {:.1} s  (goal: under 10 s), resident {kept} MiB  (goal: under 2048 MiB)",
        served.as_secs_f64(),
    );
    Ok(())
}

/// What a kind of change took, round by round.
struct Taken {
    what: &'static str,
    goal_ms: Option<u64>,
    us: Vec<u64>,
    stages: BTreeMap<String, Vec<u64>>,
}

impl Taken {
    /// The least, the median with the goal for it, and the stages whose medians are the greatest.
    fn print(mut self) {
        let ms = |us: u64| format!("{}.{}", us / 1_000, us % 1_000 / 100);
        let goal = self.goal_ms.map_or(String::new(), |goal| {
            format!("  (goal: median under {goal} ms)")
        });
        let (least, middle) = (
            self.us.iter().min().map_or(0, |us| *us),
            median(&mut self.us),
        );
        println!("{:>9} {:>9}  {}{goal}", ms(least), ms(middle), self.what);
        let stages = self.stages.iter_mut();
        let mut stages: Vec<(u64, &str)> = stages.map(|(name, us)| (median(us), &**name)).collect();
        stages.sort_unstable_by(|one, two| two.cmp(one));
        let stages = stages.iter().take(4);
        let most: Vec<String> = stages
            .map(|(us, name)| format!("{name} {}", ms(*us)))
            .collect();
        println!("                       {}", most.join(", "));
    }
}

fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).map_or(0, |value| *value)
}

fn measure(address: &str, child: &mut Child) -> Result<()> {
    restart(address, child)?;
    let mut before = wait(address, child, 1)?;
    let mut taken: Vec<Taken> = Vec::new();
    let all = (0..ROUNDS).flat_map(|round| changes(round).into_iter().enumerate());
    let all = all.map(|(kind, (what, goal, ..))| (kind, what, goal));
    let kinds = changes(0).len();
    for (kind, what, goal_ms) in all.chain([(kinds, "midnight, once", Some(3_000))]) {
        let after = wait(address, child, before.epoch)?;
        if after.epoch != before.epoch + 1 {
            bail!(
                "{what}: {} epochs at once; the machine is too slow for this pace",
                after.epoch - before.epoch
            );
        }
        if kind == taken.len() {
            taken.push(Taken {
                what,
                goal_ms,
                us: Vec::new(),
                stages: BTreeMap::new(),
            });
        }
        taken[kind].us.push(after.us - before.us);
        let stages = after.stages.iter().zip(&before.stages);
        for ((name, after), (_, before)) in stages {
            let stage = taken[kind].stages.entry(name.clone()).or_default();
            stage.push(after - before);
        }
        before = after;
    }
    println!(" least ms median ms  of {ROUNDS} rounds, and the stages that took the most");
    taken.into_iter().for_each(Taken::print);
    println!("resident {} MiB at the end", resident_mib(child));
    Ok(())
}

/// Waits for the next epoch, and until its times are shown.
fn wait(address: &str, child: &mut Child, epoch: u64) -> Result<Spent> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_mins(10) {
        if let Some(status) = child.try_wait()? {
            bail!("weir ended: {status}");
        }
        if Spent::now(address).is_ok_and(|spent| spent.epoch > epoch) {
            sleep(SETTLE);
            return Spent::now(address);
        }
        sleep(Duration::from_millis(100));
    }
    bail!("no epoch after {epoch} in ten minutes")
}

/// As Linux counts it; 0 elsewhere.
fn resident_mib(child: &Child) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1_024
}

/// A topic's file: first the one of the book, then the one of the changes.
struct Topic {
    file: BufWriter<File>,
    changes: File,
    offset: u64,
}

impl Topic {
    fn create(folder: &Path, name: &str) -> Result<Self> {
        let file = |part: &str| {
            let path = folder.join(part).join(format!("{name}.jsonl"));
            File::create(&path).with_context(|| path.display().to_string())
        };
        Ok(Self {
            file: BufWriter::new(file("book")?),
            changes: file("changes")?,
            offset: 0,
        })
    }

    /// What is put from now on are changes.
    fn turn(&mut self) -> Result<()> {
        self.file.flush()?;
        self.file = BufWriter::new(self.changes.try_clone()?);
        Ok(())
    }

    fn put_at(&mut self, at_ms: i64, key: &str, value: &Value) -> Result<()> {
        let line = json!({"partition": 0, "offset": self.offset, "timestamp_ms": at_ms, "key": key, "value": value});
        self.offset += 1;
        writeln!(self.file, "{line}")?;
        Ok(())
    }

    fn put(&mut self, key: &str, value: &Value) -> Result<()> {
        self.put_at(START_MS, key, value)
    }

    fn text(&mut self, key: &str, text: &str) -> Result<()> {
        let line = json!({"partition": 0, "offset": self.offset, "timestamp_ms": START_MS, "key": key, "text": text});
        self.offset += 1;
        writeln!(self.file, "{line}")?;
        Ok(())
    }
}

/// Of ten trades three are exchanges without an agreement, in euros, and one is under one.
fn write_book(folder: &Path, trades: u64) -> Result<()> {
    for part in ["book", "changes"] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    let mut topics = BTreeMap::new();
    for name in [
        "trades.fx",
        "trades.repos",
        "trades.bonds",
        "trades.interbank",
        "trades.derivatives",
        "balances",
        "holdings",
        "settlements",
        "refdata.instruments",
        "refdata.prices",
        "refdata.fx",
        "adjustments",
    ] {
        topics.insert(name, Topic::create(folder, name)?);
    }
    let mut topic = |name: &'static str| topics.remove(name).context("each once");
    let (mut fxs, mut repos, mut bonds) = (
        topic("trades.fx")?,
        topic("trades.repos")?,
        topic("trades.bonds")?,
    );
    let (mut interbank, mut derivatives) =
        (topic("trades.interbank")?, topic("trades.derivatives")?);
    for number in 0..trades / 20 {
        for part in 0..6 {
            let id = format!("F{number}-{part}");
            fxs.put(&id, &fx(&id, number * 6 + part, None, 1))?;
        }
        for part in 0..2 {
            let id = format!("G{number}-{part}");
            fxs.put(&id, &fx(&id, number * 2 + part, Some("CSA"), 1))?;
        }
        for part in 0..4 {
            let id = number * 4 + part;
            repos.put(&format!("R{id}"), &repo(id, 1, "1000000"))?;
        }
        for part in 0..5 {
            let id = number * 5 + part;
            bonds.put(&format!("B{id}"), &bond(id))?;
        }
        for part in 0..2 {
            let id = number * 2 + part;
            let kind = if part == 1 {
                "DEPOSIT_TAKEN"
            } else {
                "LOAN_PLACED"
            };
            let (entity, maturity) = (entity(id), date(1 + id % 60));
            let line = format!(
                "I{id},{kind},CP-{},{}.25,USD,2026-02-20,{maturity},4.2,ACT/360,1,NEW,{entity},MM",
                id % 90,
                100_000 + id
            );
            interbank.text(&format!("I{id}"), &line)?;
        }
        let id = format!("D{number}");
        let flow = |day: u64, sign: &str| json!({"date": date(1 + day % 60), "ccy": "EUR", "amount": format!("{sign}{}.5", 1_000 + number % 5_000)});
        derivatives.put(&id, &json!({"tradeId": id, "version": 1, "product": "IRS", "cpty": format!("CP-{}", number % 90),
            "entity": entity(number), "book": "DERIV", "nettingAgreement": "CSA", "flows": [flow(number, ""), flow(number + 9, "-")]}))?;
    }
    let mut holdings = topic("holdings")?;
    let holding = |entity: &str, book: &str, instrument: &str| {
        json!({"entity": entity, "book": book, "instrument_id": instrument,
        "quantity": "200000", "encumbered": "0", "version": 1})
    };
    for entity in ENTITIES {
        for book in 0..BOOKS {
            let book = format!("K{book}");
            holdings.put(
                &format!("{entity}|{book}|{WIDE}"),
                &holding(entity, &book, WIDE),
            )?;
        }
    }
    for id in (0..ROUNDS).map(late) {
        holdings.put(&id, &holding(ENTITIES[0], "K0", &id))?;
    }
    let mut balances = topic("balances")?;
    for (number, entity) in ENTITIES.iter().enumerate() {
        for (kind, amount) in [
            ("cb_reserve", 900_000_000_000_u64),
            ("deposit_retail_stable", 2_000_000_000_000),
        ] {
            let id = format!("N{number}{kind}");
            balances.put(&id, &json!({"accountId": id, "version": 1, "kind": kind, "ccy": "USD", "amount": amount, "entity": entity}))?;
        }
    }
    let (mut instruments, mut prices) = (topic("refdata.instruments")?, topic("refdata.prices")?);
    let all = (0..INSTRUMENTS).map(instrument_id).map(|id| (id, "MANY"));
    for (id, issuer) in all.chain([(WIDE.to_owned(), "WIDE")]) {
        instruments.put(&id, &instrument(&id, issuer))?;
        prices.put(&id, &price(&id, "99.125", 1))?;
    }
    for id in (0..ROUNDS).map(late) {
        prices.put(&id, &price(&id, "99.125", 1))?;
    }
    let mut rates = topic("refdata.fx")?;
    rates.put("EUR", &euro("1.0834", 1))?;
    let (mut settlements, mut adjustments) = (topic("settlements")?, topic("adjustments")?);
    let all = [
        &mut fxs,
        &mut repos,
        &mut bonds,
        &mut interbank,
        &mut derivatives,
        &mut holdings,
        &mut balances,
        &mut instruments,
        &mut prices,
        &mut rates,
        &mut settlements,
        &mut adjustments,
    ];
    all.into_iter().try_for_each(Topic::turn)?;
    let all: Vec<Change> = (0..ROUNDS).flat_map(changes).collect();
    let steps = i64::try_from(all.len())? + 1;
    let mut at_ms = START_MS + MIDNIGHT_MS - STEP_MS * steps;
    // A record that changes nothing, so that the day goes on after the restart.
    rates.put_at(at_ms, "EUR", &euro("1.0834", 1))?;
    for (_, _, name, key, value) in all {
        let topic = match name {
            "trades.fx" => &mut fxs,
            "trades.repos" => &mut repos,
            "settlements" => &mut settlements,
            "balances" => &mut balances,
            "refdata.prices" => &mut prices,
            "refdata.fx" => &mut rates,
            "refdata.instruments" => &mut instruments,
            _ => &mut adjustments,
        };
        at_ms += STEP_MS;
        topic.put_at(at_ms, &key, &value)?;
    }
    // Another one, so that the clock moves.
    rates.put_at(at_ms + STEP_MS, "EUR", &euro("1.0834", 1))?;
    for topic in [
        fxs,
        repos,
        bonds,
        interbank,
        derivatives,
        holdings,
        balances,
        instruments,
        prices,
        rates,
        settlements,
        adjustments,
    ] {
        topic.file.into_inner().context("cannot write the book")?;
    }
    Ok(())
}

fn entity(number: u64) -> &'static str {
    ENTITIES[usize::try_from(number % 4).unwrap_or(0)]
}

/// So many days after 2 March 2026, at most 60.
fn date(days: u64) -> String {
    match 2 + days {
        day @ ..=31 => format!("2026-03-{day:02}"),
        day @ ..=61 => format!("2026-04-{:02}", day - 31),
        day => format!("2026-05-{:02}", day - 61),
    }
}

fn instrument_id(number: u64) -> String {
    format!("XS{number:010}").replacen("XS0", "XS1", 1)
}

fn instrument(id: &str, issuer: &str) -> Value {
    json!({"instrumentId": id, "isin": id, "kind": "corporate", "issuerId": issuer, "issuerFinancial": false, "rating": "AA",
        "ccy": "USD", "maturity": "2033-02-13"})
}

fn fx(id: &str, number: u64, agreement: Option<&str>, version: u64) -> Value {
    json!({"dealId": id, "ccyPair": "EUR/USD", "side": (if number % 2 == 1 { "SELL" } else { "BUY" }),
        "notional": format!("{}.25", 10_000 + number % 90_000), "rate": format!("1.08{:02}", number % 100),
        "tradeDate": "2026-03-02", "settlementDate": date(1 + number % 40), "entity": entity(number), "book": "FXT",
        "cpty": format!("CP-{}", number % 90), "product": "FORWARD", "nettingAgreement": agreement, "version": version})
}

fn repo(number: u64, version: u64, cash: &str) -> Value {
    json!({"repo_id": format!("R{number}"), "version": version, "action": "NEW",
        "direction": (if number % 2 == 1 { "REVERSE_REPO" } else { "REPO" }),
        "collateral": {"instrument_id": instrument_id(number % INSTRUMENTS), "nominal": "1010000"}, "received": null,
        "cash": cash, "ccy": "USD", "repo_rate_pct": "4.25", "start_date": "2026-02-27", "maturity_date": date(1 + number % 60),
        "entity": entity(number), "book": format!("K{}", number % BOOKS), "counterparty": format!("CP-{}", number % 90),
        "rehypothecable": true, "reused": false})
}

fn bond(number: u64) -> Value {
    json!({"tradeRef": format!("B{number}"), "rev": 1, "status": "NEW", "isin": instrument_id(number % INSTRUMENTS),
        "buySell": (if number % 2 == 1 { "S" } else { "B" }), "quantity": 50_000 + number % 1_000, "cleanPrice": 98.5,
        "accrued": 1.25, "ccy": "USD", "tradeDt": "2026-03-02", "settleDt": date(1 + number % 10),
        "account": format!("K{}", number % BOOKS), "entity": entity(number), "cpty": format!("CP-{}", number % 90)})
}
