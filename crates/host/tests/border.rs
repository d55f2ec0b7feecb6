//! The plugin border with plugins that misbehave: each is contained and named, and the rest of the rows go through.
//! The guests are built by `cargo xtask plugins`; `WEIR_GUESTS` names another folder of packed ones.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use arrow::array::{
    Array, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_host::Host;
use weir_stage::{GroupInput, Grouped, Limits, Opening, PluginError, Plugins, Produced, Transform};

fn guest(name: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests");
    let folder = std::env::var_os("WEIR_GUESTS").map_or(workspace, PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    assert!(
        path.exists(),
        "{} is missing: run `cargo xtask plugins` first",
        path.display()
    );
    path
}

fn opening(config: &str) -> Opening {
    Opening {
        config: config.to_owned(),
        ..Opening::default()
    }
}

/// Limits that a test reaches soon.
fn tight() -> Limits {
    Limits {
        call_ms_max: 400,
        memory_mib_max: 16,
        output_rows_max: 50_000,
    }
}

fn naughty(limits: &Limits) -> Box<dyn Transform> {
    let host = Host::new(None).unwrap();
    host.open_transform(&guest("naughty"), &opening("{}"), limits)
        .unwrap()
}

/// Rows for `naughty`: what to do, and an amount.
fn asked(say: &[&str]) -> RecordBatch {
    let amounts: Vec<i128> = (0..say.len() as i128).collect();
    let amounts = Decimal128Array::from(amounts)
        .with_precision_and_scale(10, 2)
        .unwrap();
    RecordBatch::try_from_iter([
        ("say", Arc::new(StringArray::from(say.to_vec())) as _),
        ("amount", Arc::new(amounts) as _),
    ])
    .unwrap()
}

/// `rows` rows of which some say something.
fn with_marks(rows: usize, marks: &[(usize, &str)]) -> RecordBatch {
    let mut say = vec!["ok"; rows];
    for (row, word) in marks {
        say[*row] = word;
    }
    asked(&say)
}

fn refused(produced: &Produced) -> Vec<(u32, &str)> {
    produced
        .refusals
        .iter()
        .map(|refusal| (refusal.row, refusal.code.as_str()))
        .collect()
}

/// Rows come out once each, in order, but for the refused ones.
fn check_rest(produced: &Produced, rows: u32) {
    let refused: Vec<u32> = produced
        .refusals
        .iter()
        .map(|refusal| refusal.row)
        .collect();
    let rest: Vec<u32> = (0..rows).filter(|row| !refused.contains(row)).collect();
    assert_eq!(produced.origin, rest);
    let amounts = produced
        .batch
        .column(1)
        .as_any()
        .downcast_ref::<Decimal128Array>()
        .unwrap();
    let amounts: Vec<u32> = amounts
        .values()
        .iter()
        .map(|amount| u32::try_from(*amount).unwrap())
        .collect();
    assert_eq!(amounts, rest);
}

/// A row that traps is found among many and refused; the next call goes on as if nothing had been.
#[test]
fn a_trap_is_one_refused_row() {
    let mut plugin = naughty(&tight());
    let produced = plugin
        .transform(&with_marks(
            10_000,
            &[(0, "trap"), (7_001, "trap"), (9_999, "trap")],
        ))
        .unwrap();
    assert_eq!(
        refused(&produced),
        [
            (0, "plugin_trap"),
            (7_001, "plugin_trap"),
            (9_999, "plugin_trap")
        ]
    );
    check_rest(&produced, 10_000);
    let produced = plugin.transform(&with_marks(100, &[])).unwrap();
    assert_eq!(produced.refusals, []);
    check_rest(&produced, 100);
}

/// A recursion without end is a trap as well, not the end of the process.
#[test]
fn a_deep_stack_is_a_trap() {
    let produced = naughty(&tight())
        .transform(&with_marks(10, &[(3, "stack")]))
        .unwrap();
    assert_eq!(refused(&produced), [(3, "plugin_trap")]);
    check_rest(&produced, 10);
}

/// An endless loop meets the deadline; the message names the limit's key.
#[test]
fn a_loop_meets_the_deadline() {
    let produced = naughty(&tight())
        .transform(&with_marks(300, &[(123, "loop")]))
        .unwrap();
    assert_eq!(refused(&produced), [(123, "plugin_deadline")]);
    assert!(
        produced.refusals[0].message.contains("`call_ms_max`"),
        "{}",
        produced.refusals[0].message
    );
    check_rest(&produced, 300);
}

/// A memory bomb meets the memory limit.
#[test]
fn a_memory_bomb_meets_the_limit() {
    // Time for the memory to be had, on a machine that does much else.
    let limits = Limits {
        call_ms_max: 20_000,
        ..tight()
    };
    let produced = naughty(&limits)
        .transform(&with_marks(300, &[(7, "memory")]))
        .unwrap();
    assert_eq!(refused(&produced), [(7, "plugin_memory")]);
    assert!(
        produced.refusals[0].message.contains("16 MiB"),
        "{}",
        produced.refusals[0].message
    );
    check_rest(&produced, 300);
}

/// A batch that is larger than the memory is passed in parts, and no row is lost.
#[test]
fn a_batch_larger_than_the_memory_goes_in_parts() {
    let limits = Limits {
        memory_mib_max: 2,
        ..tight()
    };
    let produced = naughty(&limits)
        .transform(&with_marks(49_000, &[]))
        .unwrap();
    assert_eq!(produced.refusals, []);
    check_rest(&produced, 49_000);
}

/// More rows than a call may answer: the call is made in parts, each within the limit; one row past it is refused.
#[test]
fn the_output_limit_holds() {
    let mut plugin = naughty(&Limits {
        output_rows_max: 10,
        ..tight()
    });
    let produced = plugin.transform(&with_marks(25, &[])).unwrap();
    check_rest(&produced, 25);
    let mut plugin = naughty(&Limits {
        output_rows_max: 1,
        ..tight()
    });
    let produced = plugin.transform(&with_marks(3, &[(1, "twice")])).unwrap();
    assert_eq!(refused(&produced), [(1, "plugin_output")]);
    check_rest(&produced, 3);
}

/// A plugin that fails on every row fails the call in the end; its stage's policy decides.
#[test]
fn a_broken_plugin_fails_the_call() {
    let error = naughty(&tight())
        .transform(&asked(&vec!["trap"; 5_000]))
        .unwrap_err();
    assert_eq!(
        (error.plugin.as_str(), error.code),
        ("naughty", "plugin_trap")
    );
}

/// What the rows themselves ask for: refusals with code and field, rows left out, several rows of one.
#[test]
fn rows_know_where_they_came_from() {
    let produced = naughty(&tight())
        .transform(&asked(&["drop", "twice", "refuse", "ok"]))
        .unwrap();
    assert_eq!(produced.origin, [1, 1, 3]);
    assert_eq!(refused(&produced), [(2, "asked")]);
    assert_eq!(produced.refusals[0].field.as_deref(), Some("say"));
}

/// No rows in, no call, no rows out, and the schema is right.
#[test]
fn an_empty_batch_is_answered() {
    let mut plugin = naughty(&tight());
    let produced = plugin.transform(&asked(&[])).unwrap();
    assert_eq!(
        (produced.batch.num_rows(), produced.batch.schema()),
        (0, plugin.schema())
    );
}

/// Each way to answer what is no answer: the call fails, says so, and the instance goes on.
#[test]
fn wrong_answers_are_named() {
    let mut plugin = naughty(&tight());
    let cases = [
        ("missing_column", "1 columns came, 2 are declared"),
        ("rows", "column `say`: 16 bytes of offsets for 4 rows"),
        ("null", "column `say`: it has nulls and is declared without"),
        (
            "bits_behind",
            "column `amount`: bits are set behind the last row",
        ),
        ("bits_short", "column `amount`: 0 bytes of bits for 3 rows"),
        (
            "no_values",
            "column `say`: it has nulls and is declared without",
        ),
        (
            "other_layout",
            "column `amount`: its buffers are not those of its kind",
        ),
        ("no_buffer", "column `say`: no buffer 0 has bytes 0 and"),
        (
            "span_behind",
            "column `amount`: no buffer 2 has bytes 4294967295 and the next 48",
        ),
        ("origin", "origins name an input row of 3 and more"),
        ("origin_short", "0 bytes of origins for 3 rows"),
        ("origin_group", "a transform's row comes from one input row"),
        ("refusal", "it refuses row 4294967295 of 3"),
        ("digits", "column `amount`: row 0 has more than 10 digits"),
        ("width", "column `amount`: 49 bytes for 3 rows of 16"),
        ("utf8", "column `say`: "),
        (
            "offset_first",
            "column `say`: its offsets do not begin at 0, or fall, or pass 2^31",
        ),
        (
            "offset_falls",
            "column `say`: its offsets do not begin at 0, or fall, or pass 2^31",
        ),
        (
            "offset_negative",
            "column `say`: its offsets do not begin at 0, or fall, or pass 2^31",
        ),
        (
            "offset_last",
            "column `say`: its last offset is not the length of its bytes",
        ),
        (
            "offset_short",
            "column `say`: 4 bytes of offsets for 3 rows",
        ),
    ];
    for (say, message) in cases {
        let error = plugin.transform(&asked(&[say, "ok", "ok"])).unwrap_err();
        assert_eq!(
            (error.plugin.as_str(), error.code),
            ("naughty", "plugin_output"),
            "{say}: {error}"
        );
        assert!(
            error.message.starts_with(message),
            "{say}: {}",
            error.message
        );
    }
    check_rest(&plugin.transform(&with_marks(5, &[])).unwrap(), 5);
    let error = plugin.transform(&asked(&["fail"])).unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str(), error.transient),
        ("plugin_failed", "no_luck: asked to", true)
    );
}

fn open_error(plugin: &Path, config: &str) -> PluginError {
    let host = Host::new(None).unwrap();
    host.open_transform(plugin, &opening(config), &tight())
        .err()
        .expect("the opening is refused")
}

/// A plugin that cannot be opened says why, by its own words where it has any.
#[test]
fn opening_fails_with_a_reason() {
    let error = open_error(&guest("naughty"), r#"{"open": "fail"}"#);
    assert_eq!(
        (error.code, error.message.as_str()),
        ("plugin_failed", "no_luck: asked to")
    );
    assert_eq!(
        open_error(&guest("naughty"), r#"{"open": "trap"}"#).code,
        "plugin_trap"
    );
    let error = open_error(&guest("naughty"), r#"{"opne": "trap", "mark": 1}"#);
    assert_eq!(error.code, "config_invalid");
    assert!(
        error.message.contains("opne") && error.message.contains("config/mark"),
        "{}",
        error.message
    );
    let error = open_error(&guest("naughty"), r#"{"open": "data"}"#);
    assert_eq!(
        error.message,
        "data_missing: the stage's `data` names no file `mark`"
    );
    let error = open_error(&guest("tally"), r#"{"mode": "plain"}"#);
    assert_eq!(
        error.to_string(),
        "plugin tally: it is a group plugin and is used without `group_by`"
    );
    let error = open_error(Path::new("nowhere/absent.wasm"), "{}");
    assert_eq!(
        (error.plugin.as_str(), error.code),
        ("absent", "plugin_missing")
    );
}

/// Data files reach `open`.
#[test]
fn data_files_are_passed() {
    let host = Host::new(None).unwrap();
    let mut opening = opening(r#"{"open": "data"}"#);
    opening
        .data
        .insert("mark".to_owned(), b"from the file".to_vec());
    let mut plugin = host
        .open_transform(&guest("naughty"), &opening, &tight())
        .unwrap();
    let produced = plugin.transform(&asked(&["mark"])).unwrap();
    let say = produced
        .batch
        .column(0)
        .as_any()
        .downcast_ref::<StringArray>()
        .unwrap();
    assert_eq!(say.value(0), "from the file");
}

/// A plugin of another version of the border is refused with what it exports and what is known.
#[test]
fn another_version_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(guest("identity")).unwrap();
    let path = folder.path().join("future.wasm");
    std::fs::write(&path, replaced(&bytes, b"@0.1.0", b"@0.9.0")).unwrap();
    let error = open_error(&path, "{}");
    assert_eq!(error.code, "plugin_version");
    assert_eq!(
        error.to_string(),
        "plugin future: it exports `weir:plugin/transformer@0.9.0`; this host runs plugins that export \
         `weir:plugin/transformer@0.1.0` or `weir:plugin/grouper@0.1.0`"
    );
    let check = |contents: &[u8], message: &str| {
        std::fs::write(&path, contents).unwrap();
        assert_eq!(open_error(&path, "{}").to_string(), message);
    };
    check(
        b"\0asm\x01\0\0\0",
        "plugin future: the file is a core module: pack it with `weir plugin pack`",
    );
    check(b"#!/bin/sh", "plugin future: the file is not WebAssembly");
    check(
        b"\0asm\x0d\0\x01\0",
        "plugin future: the file has no description: pack it with `weir plugin pack`",
    );
    assert!(
        weir_host::pack(&bytes).is_err(),
        "what is packed is not packed again"
    );
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + from.len()].copy_from_slice(to);
        }
    }
    bytes
}

/// The shape is read without running anything, by config, with its kinds as Arrow types.
#[test]
fn shapes_follow_the_config() {
    let host = Host::new(None).unwrap();
    let plain = host.shape(&guest("tally"), r#"{"mode": "plain"}"#).unwrap();
    let names = |ports: &[weir_stage::Port]| {
        ports
            .iter()
            .map(|port| port.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!((plain.name.as_str(), plain.is_group), ("tally", true));
    assert_eq!(
        (names(&plain.inputs), names(&plain.outputs)),
        (
            vec!["trades".into(), "notes".into()],
            vec!["sums".into(), "said".into()]
        )
    );
    let quiet = host.shape(&guest("tally"), r#"{"mode": "quiet"}"#).unwrap();
    assert_eq!(
        (names(&quiet.inputs), names(&quiet.outputs)),
        (vec!["trades".to_owned()], vec!["sums".to_owned()])
    );
    let error = host
        .shape(&guest("tally"), r#"{"mode": "loud"}"#)
        .unwrap_err();
    assert_eq!(error.code, "config_invalid");
    let identity = host.shape(&guest("identity"), "{}").unwrap();
    let types: Vec<String> = identity.outputs[0]
        .schema
        .fields()
        .iter()
        .map(|field| field.data_type().to_string())
        .collect();
    assert_eq!(types[8..], ["Decimal128(38, 9)", "Decimal256(76, 18)"]);
}

/// Compiled code is kept on disk and found by another host; what is no code there is compiled anew.
#[test]
fn compiled_code_is_cached() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("plugins");
    let open = || {
        let host = Host::new(Some(cache.clone())).unwrap();
        host.open_transform(&guest("naughty"), &opening("{}"), &tight())
            .unwrap()
            .transform(&with_marks(3, &[]))
            .unwrap()
    };
    let files = || {
        std::fs::read_dir(&cache)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    check_rest(&open(), 3);
    let first = files();
    assert_eq!(first.len(), 1);
    let written = std::fs::metadata(&first[0]).unwrap().modified().unwrap();
    check_rest(&open(), 3);
    assert_eq!(files(), first);
    assert_eq!(
        std::fs::metadata(&first[0]).unwrap().modified().unwrap(),
        written
    );
    std::fs::write(&first[0], b"rubbish").unwrap();
    check_rest(&open(), 3);
    assert!(std::fs::metadata(&first[0]).unwrap().len() > 1_000);
}

fn key() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("book", DataType::Utf8, true)]))
}

/// Groups of (book, amounts, notes) for `tally`.
fn evaluate(groups: &[(&str, &[i64], &[&str])]) -> Result<Grouped, PluginError> {
    let host = Host::new(None).unwrap();
    let mut plugin = host
        .open_group(
            &guest("tally"),
            &opening(r#"{"mode": "plain"}"#),
            &key(),
            &tight(),
        )
        .unwrap();
    let books: StringArray = groups.iter().map(|(book, ..)| Some(*book)).collect();
    let keys = RecordBatch::try_new(key(), vec![Arc::new(books)]).unwrap();
    let amounts: Int64Array = groups
        .iter()
        .flat_map(|(_, amounts, _)| amounts.iter().copied().map(Some))
        .collect();
    let notes: StringArray = groups
        .iter()
        .flat_map(|(.., notes)| notes.iter().copied().map(Some))
        .collect();
    let schema = Arc::new(Schema::new(vec![Field::new(
        "amount",
        DataType::Int64,
        false,
    )]));
    let trades = RecordBatch::try_new(schema, vec![Arc::new(amounts)]).unwrap();
    let notes =
        RecordBatch::try_from_iter_with_nullable([("say", Arc::new(notes) as _, true)]).unwrap();
    let offsets = |count: &dyn Fn(usize) -> usize| {
        let mut at = 0;
        let ends = (0..groups.len()).map(|group| {
            at += u32::try_from(count(group)).unwrap();
            at
        });
        std::iter::once(0).chain(ends).collect::<Vec<u32>>()
    };
    let inputs = [
        GroupInput {
            rows: trades,
            offsets: offsets(&|group| groups[group].1.len()),
        },
        GroupInput {
            rows: notes,
            offsets: offsets(&|group| groups[group].2.len()),
        },
    ];
    plugin.evaluate(1_000_000, &keys, &inputs)
}

fn sums(grouped: &Grouped) -> Vec<(u32, String, i64, i64)> {
    let batch = &grouped.outputs[0].batch;
    let column = |index: usize| batch.column(index).as_any();
    let (books, counts) = (
        column(0).downcast_ref::<StringArray>().unwrap(),
        column(1).downcast_ref::<Int64Array>().unwrap(),
    );
    let (sums, ats) = (
        column(2).downcast_ref::<Int64Array>().unwrap(),
        column(3)
            .downcast_ref::<TimestampMicrosecondArray>()
            .unwrap(),
    );
    assert!(
        ats.values().iter().all(|at| *at == 1_000_000),
        "the plugin is told the instant"
    );
    let row = |(row, group): (usize, &u32)| {
        (
            *group,
            books.value(row).to_owned(),
            counts.value(row),
            sums.value(row),
        )
    };
    grouped.outputs[0]
        .group
        .iter()
        .enumerate()
        .map(row)
        .collect()
}

/// Rows of several outputs belong to their groups; refused rows count through the inputs.
#[test]
fn groups_are_answered() {
    let grouped = evaluate(&[
        ("a", &[1, 2], &["x"]),
        ("b", &[], &["refuse"]),
        ("c", &[5], &["y", "refuse"]),
    ])
    .unwrap();
    assert_eq!(
        sums(&grouped),
        [(0, "a".to_owned(), 2, 3), (2, "c".to_owned(), 1, 5)]
    );
    assert_eq!(grouped.outputs[1].group, [0, 2]);
    let refused: Vec<u32> = grouped.refusals.iter().map(|refusal| refusal.row).collect();
    assert_eq!(refused, [4, 6]);
}

/// A group that traps is refused with all its rows; its neighbours are answered, their refusals keep their rows.
#[test]
fn a_trap_is_one_refused_group() {
    let grouped = evaluate(&[
        ("a", &[1], &["refuse"]),
        ("b", &[2], &[]),
        ("c", &[3, 4], &["x", "trap"]),
        ("d", &[5], &["refuse"]),
    ])
    .unwrap();
    assert_eq!(
        sums(&grouped),
        [
            (0, "a".to_owned(), 1, 1),
            (1, "b".to_owned(), 1, 2),
            (3, "d".to_owned(), 1, 5)
        ]
    );
    let refused: Vec<(u32, &str)> = grouped
        .refusals
        .iter()
        .map(|refusal| (refusal.row, refusal.code.as_str()))
        .collect();
    let trap = "plugin_trap";
    assert_eq!(
        refused,
        [
            (2, trap),
            (3, trap),
            (5, "asked"),
            (6, trap),
            (7, trap),
            (8, "asked")
        ]
    );
}

/// The same rows give the same answer whole and cut in parts.
#[test]
fn batches_do_not_matter() {
    let mut plugin = naughty(&tight());
    let words = ["ok", "twice", "drop", "refuse", "trap"];
    let say: Vec<&str> = (0..500).map(|row| words[row * 7 % 5]).collect();
    let whole = plugin.transform(&asked(&say)).unwrap();
    let mut parts = Vec::new();
    let mut origin = Vec::new();
    for first in (0..500).step_by(37) {
        let part = asked(&say).slice(first, 37.min(500 - first));
        let produced = plugin.transform(&part).unwrap();
        origin.extend(
            produced
                .origin
                .iter()
                .map(|row| row + u32::try_from(first).unwrap()),
        );
        parts.push(produced.batch);
    }
    assert_eq!(
        whole.batch,
        concat_batches(&plugin.schema(), &parts).unwrap()
    );
    assert_eq!(whole.origin, origin);
}
