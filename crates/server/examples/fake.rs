//! A server over made-up tables that move, to work on the page without a pipeline:
//! `cargo run -p weir-server --example fake -- [ADDRESS] [ROWS]`.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example for the desk")]

use arrow::array::{ArrayRef, Decimal128Array, Decimal256Array, RecordBatch, StringArray};
use arrow::datatypes::{SchemaRef, i256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use weir_engine::read::SourceStatus;
use weir_engine::{DeadLetter, Edge, Feed, Handle, Published, State, Status, TablePlan, ViewPlan};
use weir_server::Options;
use weir_zset::Delta;
use weir_zset::table::Table;

const UNITS: [&str; 6] = ["NORTH", "SOUTH", "EAST", "WEST", "UPPER-VALLEY", "DELTA"];
const START_US: i64 = 1_772_431_200_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8088".into());
    let rows = arguments.next().map_or(3_000, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        println!("http://{}/", listener.local_addr().unwrap());
        let mut fake = Fake::new(rows);
        let handle = fake.handle.clone();
        let move_on = async {
            loop {
                fake.step();
                tokio::time::sleep(Duration::from_millis(120)).await;
            }
        };
        tokio::select! {
            served = weir_server::serve(listener, handle, Options::default(), std::future::pending()) => served.unwrap(),
            () = move_on => {}
        }
    });
}

struct Fake {
    handle: Handle,
    feed: Feed,
    status: Status,
    plans: Vec<Arc<TablePlan>>,
    tables: Vec<Table>,
    /// What each table shows, by row.
    shown: [Vec<RecordBatch>; 2],
    rows: usize,
    seed: u64,
    values: Vec<i128>,
}

impl Fake {
    fn new(rows: usize) -> Self {
        let mut fake_values = vec![];
        for unit in 0..UNITS.len() {
            fake_values.push(11_500_000_000 + 900_000_000 * unit as i128);
        }
        let ratios = ratios(&fake_values, 0).schema();
        let holdings = holding(0, 0).schema();
        let plans = vec![plan("ratios", &["unit", "rule"], &ratios), plan("holdings", &["unit", "shelf", "item"], &holdings)];
        let views = vec![
            ViewPlan::Headline {
                table: "ratios".into(),
                column: "ratio".into(),
                by: vec!["unit".into(), "rule".into()],
                beside: Some("base_ratio".into()),
                mark: Some("1".into()),
                line: true,
                percent: true,
                title: "Fill ratio".into(),
            },
            ViewPlan::Grid { table: "holdings".into(), columns: vec![], title: "Holdings".into() },
            ViewPlan::Grid { table: "ratios".into(), columns: vec![], title: "Ratios".into() },
        ];
        let status = Status {
            pipeline: "made-up".into(),
            run: format!("fake-{}", std::process::id()),
            state: State::CatchingUp,
            epoch: 0,
            as_of_us: None,
            sources: vec![source("stock.in", 41_200), source("stock.out", 7_000)],
            dead_letters: 0,
            error: None,
        };
        let (handle, feed) = Handle::fed(views, plans.clone(), status.clone());
        let tables = vec![Table::new(&ratios, &plans[0].key), Table::new(&holdings, &plans[1].key)];
        Self { handle, feed, status, plans, tables, shown: [vec![], vec![]], rows, seed: 7, values: fake_values }
    }

    fn random(&mut self, below: usize) -> usize {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.seed >> 33).unwrap() % below
    }

    fn step(&mut self) {
        if self.status.sources.iter().any(|source| source.lag > 0) {
            for source in &mut self.status.sources {
                source.lag = (source.lag - 2_000).max(0);
                source.caught_up = source.lag == 0;
            }
            self.feed.status(self.status.clone());
            return;
        }
        self.status.epoch += 1;
        self.status.state = State::Live;
        let as_of_us = START_US + i64::try_from(self.status.epoch).unwrap() * 7_300_000;
        self.status.as_of_us = Some(as_of_us);
        self.change();
        let tables = self.plans.iter().cloned().zip(self.tables.iter().map(Table::version)).collect();
        let offsets = BTreeMap::from([("stock.in".to_owned(), BTreeMap::from([(0, 41_200)]))]);
        let cut = Published { run: self.status.run.clone(), epoch: self.status.epoch, as_of_us, offsets, tables };
        self.letters();
        self.feed.publish(cut);
        self.feed.status(self.status.clone());
    }

    fn change(&mut self) {
        for unit in 0..UNITS.len() {
            let step = i128::try_from(self.random(90_000_000)).unwrap() - 45_100_000;
            self.values[unit] = (self.values[unit] + step).max(7_000_000_000);
        }
        let next = ratios(&self.values, self.status.epoch);
        self.replace(0, 0, next);
        if self.shown[1].is_empty() {
            for row in 0..self.rows {
                self.replace(1, row, holding(row, 0));
            }
        }
        for _ in 0..12 {
            let row = self.random(self.rows);
            let change = self.random(90_000);
            self.replace(1, row, holding(row, change as u64));
        }
    }

    fn replace(&mut self, table: usize, at: usize, next: RecordBatch) {
        if at < self.shown[table].len() {
            let before = std::mem::replace(&mut self.shown[table][at], next.clone());
            let weights = vec![-1; before.num_rows()];
            self.tables[table].apply(&Delta::new(before, weights));
        } else {
            self.shown[table].push(next.clone());
        }
        let weights = vec![1; next.num_rows()];
        self.tables[table].apply(&Delta::new(next, weights));
    }

    fn letters(&mut self) {
        self.status.dead_letters = self.status.epoch / 40;
        let letters = (0..self.status.dead_letters).map(|n| {
            let offset = i64::try_from(n * 31).unwrap();
            let letter = DeadLetter {
                topic: "stock.in".into(),
                partition: i32::try_from(n % 4).unwrap(),
                offset,
                stage: if n % 3 == 0 { "decode" } else { "normalise" }.into(),
                code: if n % 3 == 0 { "bad_json" } else { "bad_date" }.into(),
                message: "`when` is no date of the calendar".into(),
                field: Some("when".into()),
                timestamp_us: Some(START_US + offset * 1_000_000),
                key: Some(format!("K-{n}")),
                value: Some(format!(r#"{{"item":"X{n}","when":"2026-02-30","amount":"12.50"}}"#)),
                value_base64: None,
            };
            let key = (letter.topic.clone(), letter.partition, offset, letter.stage.clone(), letter.code.clone());
            (key, Arc::new(letter))
        });
        self.feed.dead_letters(letters.collect());
    }
}

fn source(topic: &str, lag: i64) -> SourceStatus {
    let (position, end) = (BTreeMap::from([(0, 0)]), BTreeMap::from([(0, lag)]));
    SourceStatus { name: topic.into(), topic: topic.into(), position, end, lag, caught_up: false, error: None }
}

fn plan(name: &str, key: &[&str], schema: &SchemaRef) -> Arc<TablePlan> {
    let key = key.iter().map(ToString::to_string).collect();
    Arc::new(TablePlan { name: name.into(), from: Edge::Source(0), key, schema: Arc::clone(schema) })
}

fn text(values: impl IntoIterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

fn nullable<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn ratios(values: &[i128], epoch: u64) -> RecordBatch {
    let units = || values.iter().enumerate();
    let lifted = |unit: usize, value: i128| if unit == 1 && epoch % 300 > 150 { value + 530_000_000 } else { value };
    let decimal = |values: Vec<i128>| -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, 10).unwrap())
    };
    nullable([
        ("unit", text(units().map(|(unit, _)| Some(UNITS[unit].into())))),
        ("rule", text(units().map(|_| Some("plain".into())))),
        ("ratio", decimal(units().map(|(unit, value)| lifted(unit, *value)).collect())),
        ("base_ratio", decimal(values.to_vec())),
        ("state", text(units().map(|(unit, _)| Some(if unit == 3 { "incomplete" } else { "ok" }.into())))),
    ])
}

fn holding(row: usize, change: u64) -> RecordBatch {
    let number = i128::try_from(row).unwrap();
    let quantity = (number * 7_919 % 20_000 - 300) * 1_000_000_000 + i128::from(change) * 1_000_000;
    let value = i256::from_i128(quantity * 104).wrapping_mul(i256::from_i128(1_000_003));
    let decimal = |value: i128, scale: i8| -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(38, scale).unwrap())
    };
    nullable([
        ("unit", text([Some(UNITS[row % 6].into())])),
        ("shelf", text([Some(["FRONT", "BACK", "COLD"][row % 3].into())])),
        ("item", text([Some(format!("DE{:010}", number * 999_331))])),
        ("quantity", decimal(quantity, 9)),
        ("reserved", decimal(number % 17 * 500_000, 6)),
        ("currency", text([Some(["EUR", "USD", "GBP"][row % 3].into())])),
        ("price", decimal(98_000_000_000_000 + number * 1_330_000_000, 12)),
        ("value", Arc::new(Decimal256Array::from(vec![value]).with_precision_and_scale(76, 15).unwrap())),
        ("class", text([(row % 7 != 0).then(|| format!("C{}", row % 4))])),
        ("base_class", text([(row % 7 != 0).then(|| format!("C{}", row % 4))])),
        ("status", text([Some(if row % 11 == 0 { "incomplete" } else { "ok" }.into())])),
        ("reason", text([(row % 11 == 0).then(|| "no_price".into())])),
    ])
}
