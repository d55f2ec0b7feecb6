//! Good files and their plans.

use crate::world::{check, with_sources};
use expect_test::{Expect, expect};
use std::fmt::Write;
use weir_spec::plan::{Edge, Plan, WorkPlan};

/// Why writing cannot fail.
const TEXT: &str = "text takes everything";

/// A plan as a list: steps with inputs, what they do, and their columns.
fn print(plan: &Plan) -> String {
    let edge = |edge: &Edge| match edge {
        Edge::Source(source) => plan.sources[*source].name.clone(),
        Edge::Step { step, port: 0 } => format!("#{step}"),
        Edge::Step { step, port } => format!("#{step}.{port}"),
    };
    let mut out = String::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let inputs: Vec<String> = step
            .inputs
            .iter()
            .map(|(name, from)| format!("{name}<{}", edge(from)))
            .collect();
        let work = match &step.work {
            WorkPlan::Op(op) => format!("{op:?}"),
            WorkPlan::Transform(wasm) => format!("Transform {wasm:?}"),
            WorkPlan::Group { wasm, by, clock } => {
                format!("Group by {by:?} clock {clock:?} {wasm:?}")
            }
        };
        writeln!(out, "#{index} {} {} {work}", step.stage, inputs.join(" ")).expect(TEXT);
        for forget in plan.forgets.iter().filter(|forget| forget.step == index) {
            let named = edge(&forget.from);
            writeln!(out, "   forgets {:?} of {named}", forget.key).expect(TEXT);
        }
        for (name, schema) in &step.outputs {
            let columns: Vec<&str> = schema
                .fields()
                .iter()
                .map(|field| field.name().as_str())
                .collect();
            writeln!(out, "   {name}> {}", columns.join(" ")).expect(TEXT);
        }
    }
    for table in &plan.tables {
        writeln!(
            out,
            "table {} < {} key {:?}",
            table.name,
            edge(&table.from),
            table.key
        )
        .expect(TEXT);
    }
    for view in &plan.views {
        writeln!(out, "{view:?}").expect(TEXT);
    }
    out
}

#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "`expect!` is written in the call"
)]
fn plans(rest: &str, expected: Expect) {
    let (plan, found) = check(&with_sources(rest));
    let findings: Vec<String> = found
        .iter()
        .filter(|found| found.is_error())
        .map(ToString::to_string)
        .collect();
    assert_eq!(findings, Vec::<String>::new());
    expected.assert_eq(&print(&plan.expect("a file without errors has a plan")));
}

/// Every operation once; stages in another order than they run.
#[test]
fn every_operation() {
    plans(
        r#"stages:
  positions:
    from: priced
    aggregate: { by: [entity, book], values: { quantity: { sum: quantity }, n: { count: "*" }, first: { min: payment_date } } }
    let: { double: "quantity + quantity" }
    where: "n > 0"
  latest_trades: { from: [trades, more], latest: { key: [trade_id], version: version, tombstone: deleted, forget: settled.flags } }
  live: { from: latest_trades, valid: { from: starts_at } }
  priced:
    from: live
    join:
      - { with: ins, on: { entity: issuer }, kind: left, take: [rate] }
      - { with: ins, on: { book: issuer }, take: { other_rate: rate }, at_most_one: false }
  ins: { from: instruments, dedupe: { key: [instrument_id], forget: ins } }
  flows: { from: trades, explode: { list: flows, index: leg }, select: { trade_id: trade_id, amount: amount } }
  replaced:
    from: priced
    override: { with: ins, scope: issuer, key: instrument_id, match: { book: book, entity: entity }, latest: [rate], set: { entity: issuer }, take: { by: instrument_id } }
  read: { from: lines, wasm: { plugin: normalize, config: { limit: 0, currency: USD }, data: { rules: rules.csv }, on_failure: dead_letter } }
  settled: { from: { confirmations: ids, trades: latest_trades }, wasm: { plugin: settle, group_by: [trade_id], clock: date, call_ms_max: 10 } }
  ids: { from: read, select: { trade_id: trade_id } }
  totals: { from: settled.legs, wasm: { plugin: total, group_by: [trade_id] } }
tables:
  positions: { from: positions, key: [entity, book] }
  flags: { from: settled.flags, key: [trade_id] }
  flows: { from: flows, key: [trade_id] }
  replaced: { from: replaced, key: [trade_id] }
  totals: { from: totals, key: [trade_id] }
views:
  - { headline: positions.quantity, by: [entity], beside: positions.double, line: true, mark: 1.0, percent: true }
  - { grid: flags, columns: [trade_id], title: Flags }
"#,
        expect![[r##"
            #0 latest_trades <trades <more Union
               > _topic _partition _offset _timestamp _key trade_id version deleted entity book quantity payment_date starts_at flows
            #1 latest_trades <#0 Latest(LatestSpec { key: ["trade_id"], version: "version", tombstone: Some("deleted") })
               forgets ["trade_id"] of #14.1
               > _topic _partition _offset _timestamp _key trade_id version deleted entity book quantity payment_date starts_at flows
            #2 live <#1 Valid(ValidSpec { from: Some("starts_at"), until: None })
               > _topic _partition _offset _timestamp _key trade_id version deleted entity book quantity payment_date starts_at flows
            #3 ins <instruments Dedupe(DedupeSpec { key: ["instrument_id"] })
               forgets ["instrument_id"] of #3
               > _topic _partition _offset _timestamp _key instrument_id issuer rate number
            #4 priced <#2 <#3 Join(JoinSpec { on: [("entity", "issuer")], kind: Left, columns: [("rate", "rate")], at_most_one: true })
               > _topic _partition _offset _timestamp _key trade_id version deleted entity book quantity payment_date starts_at flows rate
            #5 priced <#4 <#3 Join(JoinSpec { on: [("book", "issuer")], kind: Inner, columns: [("other_rate", "rate")], at_most_one: false })
               > _topic _partition _offset _timestamp _key trade_id version deleted entity book quantity payment_date starts_at flows rate other_rate
            #6 positions <#5 Aggregate(AggregateSpec { by: ["entity", "book"], values: [("quantity", Sum, Some("quantity")), ("n", Count, None), ("first", Min, Some("payment_date"))] })
               > entity book quantity n first
            #7 positions <#6 Project([("entity", "\"entity\""), ("book", "\"book\""), ("quantity", "\"quantity\""), ("n", "\"n\""), ("first", "\"first\""), ("double", "quantity + quantity")])
               > entity book quantity n first double
            #8 positions <#7 Filter("n > 0")
               > entity book quantity n first double
            #9 flows <trades Explode(ExplodeSpec { list: "flows", index: Some("leg") })
               > _topic _partition _offset _timestamp _key trade_id version deleted entity book quantity payment_date starts_at amount leg
            #10 flows <#9 Project([("trade_id", "trade_id"), ("amount", "amount")])
               > trade_id amount _topic _partition _offset _timestamp _key
            #11 replaced <#5 <#3 Override(OverrideSpec { scope: "issuer", key: "instrument_id", matching: [("book", "book"), ("entity", "entity")], latest: ["rate"], set: [("entity", "issuer")], take: [("by", "instrument_id")] })
               > _topic _partition _offset _timestamp _key trade_id version deleted entity book quantity payment_date starts_at flows rate other_rate base_entity by
            #12 read <lines Transform WasmPlan { file: "base/plugins/normalize.wasm", config: "{\"limit\":0,\"currency\":\"USD\"}", data: {"rules": "base/rules.csv"}, call_ms_max: None, memory_mib_max: None, on_failure: DeadLetter }
               > trade_id version deleted entity book quantity payment_date starts_at flows _topic _partition _offset _timestamp _key
            #13 ids <#12 Project([("trade_id", "trade_id")])
               > trade_id _topic _partition _offset _timestamp _key
            #14 settled trades<#1 confirmations<#13 Group by ["trade_id"] clock Date WasmPlan { file: "base/plugins/settle.wasm", config: "{}", data: {}, call_ms_max: Some(10), memory_mib_max: None, on_failure: Stop }
               legs> trade_id quantity
               flags> trade_id
            #15 totals rows<#14 Group by ["trade_id"] clock None WasmPlan { file: "base/plugins/total.wasm", config: "{}", data: {}, call_ms_max: None, memory_mib_max: None, on_failure: Stop }
               > trade_id quantity
            table positions < #8 key ["entity", "book"]
            table flags < #14.1 key ["trade_id"]
            table flows < #10 key ["trade_id"]
            table replaced < #11 key ["trade_id"]
            table totals < #15 key ["trade_id"]
            Headline { table: "positions", column: "quantity", by: ["entity"], beside: Some("double"), mark: Some("1.0"), line: true, percent: true, title: "quantity", drill: [] }
            Grid { table: "flags", columns: ["trade_id"], title: "Flags", drill: [] }
        "##]],
    );
}

/// Anchors, merges and interpolation; sources with what clusters and files say.
#[test]
fn sources_and_settings() {
    let text = r#"
weir: 1
name: sources
plugins: ${env:PLUGINS:-../plugins}
engine: { cycle_min_ms: 5, workers: 3 }
x-kafka: &kafka { cluster: main, start: 2026-03-02T01:00:00+01:00 }
clusters:
  main:
    bootstrap.servers: "localhost:9092"
    sasl.password: ${file:secret}
    queued.max.messages.kbytes: 1024
    enable.x: true
sources:
  a: { kafka: { <<: *kafka, topic: "${env:TOPIC}", properties: { queued.max.messages.kbytes: 1 } }, decode: text, tombstones: true }
  b: { kafka: { <<: *kafka, topic: b, start: latest }, decode: { key: text, value: { json: { schema: trade.json } } } }
tables:
  a: { from: a, key: [text] }
  b: { from: b, key: [trade_id] }
"#;
    let (plan, found) = check(text);
    assert_eq!(found, Vec::new());
    let plan = plan.unwrap();
    let sources = plan.sources.iter().map(|source| {
        let (name, topic, start) = (&source.name, &source.topic, source.start);
        format!(
            "{name} {topic} {start:?} {:?} {:?}\n",
            source.decode, source.properties
        )
    });
    let text: String = sources.chain([format!("{:?}", plan.engine)]).collect();
    expect![[r#"
        a trades.fx At(1772409600000000) DecodePlan { value: Text, key: None, headers: [], tombstones: true } {"bootstrap.servers": "localhost:9092", "enable.x": "true", "queued.max.messages.kbytes": "1", "sasl.password": "s3cr3t-token"}
        b b Latest DecodePlan { value: Json { schema: "base/trade.json" }, key: None, headers: [], tombstones: false } {"bootstrap.servers": "localhost:9092", "enable.x": "true", "queued.max.messages.kbytes": "1024", "sasl.password": "s3cr3t-token"}
        EnginePlan { cycle_min_ms: 5, cycle_max_ms: 250, epoch_rows_max: 65536, epoch_bytes_max: 67108864, workers: 3, clock: Event { max_ahead_ms: 3600000 }, checkpoint: None }"#]].assert_eq(&text);
}

/// Sinks of tables and of stages, with what clusters, registries and files say; one that is off leaves nothing.
#[test]
fn sinks() {
    let text = r#"
weir: 1
name: sinks
clusters: { main: { bootstrap.servers: "localhost:9092" } }
registries: { main: { url: "http://localhost:8081" } }
sources:
  b: { kafka: { cluster: main, topic: b }, decode: { json: { schema: trade.json } } }
tables:
  b: { from: b, key: [trade_id] }
sinks:
  plain: { from: b, kafka: { cluster: main, topic: x } }
  exact:
    from: b
    key: [trade_id, entity]
    kafka:
      cluster: main
      topic: y
      delivery: exactly_once
      encode: { avro: { registry: main, schema: out.avsc } }
      properties: { linger.ms: 50 }
  mixed:
    from: b
    kafka: { cluster: main, topic: z, encode: { key: json, value: { avro: { registry: main, subject: s, register: false } } } }
  files: { from: b, parquet: { path: out/files } }
  parts: { from: b, key: [trade_id, entity], parquet: { path: out/parts, every_s: 5, max_mib: 16, partition_by: entity } }
  off: { from: b, key: [entity], enabled: "${env:OFF:-false}", kafka: { cluster: main, topic: o } }
"#;
    let (plan, found) = check(text);
    assert_eq!(found, Vec::new());
    let plan = plan.unwrap();
    let tables = plan
        .all_tables()
        .map(|table| format!("{} {:?}\n", table.name, table.key));
    let sinks = plan
        .sinks
        .iter()
        .map(|sink| format!("{} {} {:?}\n", sink.name, sink.table, sink.to));
    let text: String = tables.chain(sinks).collect();
    expect![[r#"
        b ["trade_id"]
        sink.exact ["trade_id", "entity"]
        sink.parts ["trade_id", "entity"]
        plain 0 Kafka(KafkaSinkPlan { topic: "x", properties: {"bootstrap.servers": "localhost:9092"}, key: Json, value: Json, exactly_once: false })
        exact 1 Kafka(KafkaSinkPlan { topic: "y", properties: {"bootstrap.servers": "localhost:9092", "linger.ms": "50"}, key: Avro { registry: {"url": "http://localhost:8081"}, schema: None, subject: "y-key", register: true }, value: Avro { registry: {"url": "http://localhost:8081"}, schema: Some("base/out.avsc"), subject: "y-value", register: true }, exactly_once: true })
        mixed 0 Kafka(KafkaSinkPlan { topic: "z", properties: {"bootstrap.servers": "localhost:9092"}, key: Json, value: Avro { registry: {"url": "http://localhost:8081"}, schema: None, subject: "s", register: false }, exactly_once: false })
        files 0 Parquet(ParquetSinkPlan { folder: "base/out/files", every_s: 60, max_mib: 128, partition_by: None })
        parts 2 Parquet(ParquetSinkPlan { folder: "base/out/parts", every_s: 5, max_mib: 16, partition_by: Some("entity") })
    "#]].assert_eq(&text);
}

/// A long file is checked in milliseconds: what an editor asks for at every key.
#[test]
fn a_long_file_is_quick() {
    let mut rest = String::from("stages:\n");
    for index in 0..150 {
        let from = if index == 0 {
            "trades".to_owned()
        } else {
            format!("s{}", index - 1)
        };
        writeln!(rest, "  s{index}: {{ from: {from} }}").expect(TEXT);
    }
    rest.push_str("tables:\n");
    for index in 0..150 {
        writeln!(rest, "  t{index}: {{ from: s{index}, key: [trade_id] }}").expect(TEXT);
    }
    let text = with_sources(&rest);
    check(&text);
    let began = now();
    let (plan, found) = check(&text);
    let took = began.elapsed();
    println!("{} lines in {took:?}", text.lines().count());
    assert!(plan.is_some(), "{found:?}");
    assert!(took.as_millis() < 250, "a check took {took:?}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures the check itself; nothing here can be paused"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// The topic of the dead letters, limits of sources and of the pipeline, and what a source does with schemas that it cannot
/// read.
#[test]
fn dead_letters() {
    let text = r#"
weir: 1
name: letters
clusters: { main: { bootstrap.servers: "localhost:9092" } }
registries: { main: { url: "http://localhost:8081" } }
sources:
  a: { kafka: { cluster: main, topic: a }, decode: { json: { schema: trade.json } } }
  b:
    kafka: { cluster: main, topic: b }
    decode: { avro: { registry: main, schema: trade.avsc, on_incompatible: dead_letter } }
    dead_letters: { count_max: 7, window_s: 60 }
tables:
  a: { from: a, key: [trade_id] }
  b: { from: b, key: [trade_id] }
dead_letters:
  kafka: { cluster: main, topic: d, delivery: exactly_once, properties: { linger.ms: 5 } }
  each_source: { percent_max: 10 }
  pipeline: { percent_max: 20 }
"#;
    let (plan, found) = check(text);
    assert_eq!(found, Vec::new());
    let plan = plan.unwrap();
    let sources = plan.sources.iter();
    let sources: Vec<_> = sources
        .map(|source| (source.limit, &source.decode.value))
        .collect();
    expect![[r#"
        [
            (
                LimitPlan {
                    percent_max: Some(
                        10,
                    ),
                    count_max: None,
                    window_s: 300,
                },
                Json {
                    schema: "base/trade.json",
                },
            ),
            (
                LimitPlan {
                    percent_max: Some(
                        50,
                    ),
                    count_max: Some(
                        7,
                    ),
                    window_s: 60,
                },
                Avro {
                    schema: "base/trade.avsc",
                    registry: {
                        "url": "http://localhost:8081",
                    },
                    refuses_incompatible: true,
                },
            ),
        ]
        Some(
            LettersPlan {
                topic: "d",
                properties: {
                    "bootstrap.servers": "localhost:9092",
                    "linger.ms": "5",
                },
                exactly_once: true,
            },
        )
        Some(
            LimitPlan {
                percent_max: Some(
                    20,
                ),
                count_max: None,
                window_s: 300,
            },
        )"#]]
    .assert_eq(&format!(
        "{sources:#?}\n{:#?}\n{:#?}",
        plan.letters, plan.limit
    ));
}

/// The pipeline that the reference begins with is a good one.
#[test]
fn the_example_of_the_reference() {
    let page = include_str!("../../src/reference.md");
    let example = page.split("```").nth(1).expect("an example");
    let (plan, found) = check(example.trim_start_matches("yaml"));
    assert_eq!(found.len(), 0, "{found:?}");
    assert_eq!(plan.expect("a plan").tables.len(), 1);
}
