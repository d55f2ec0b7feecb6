//! Folders that are written, broken and read back, against a plain map.

use crate::{ParquetSink, SinkOptions, misfit};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
    Decimal256Array, DictionaryArray, Float64Array, Int8Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema, UInt32Type, i256};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tempfile::TempDir;
use weir_stage::sink::{Cut, Fault, Flushed, Item, Line, Opening, Rows, Sink, SourceError};

/// What a folder has of each key.
type Held = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A row of every type that tables have: a number, text and whether there is a value.
type Row = (i64, String, bool);

fn column(name: &str, column: ArrayRef) -> (Field, ArrayRef) {
    let field = Field::new(name, column.data_type().clone(), true);
    (field, column)
}

fn wide(number: i64) -> i256 {
    i256::from(number) << (u8::try_from(number.rem_euclid(14)).unwrap() * 15)
}

/// Keys, of which one is a partition, and a column of each type.
fn batch(rows: &[(i64, Option<String>, Row)]) -> RecordBatch {
    let number = |row: &(i64, Option<String>, Row)| row.2.2.then_some(row.2.0);
    let words = |row: &(i64, Option<String>, Row)| row.2.2.then(|| row.2.1.clone());
    let numbers = || rows.iter().map(number);
    let texts: StringArray = rows.iter().map(words).collect();
    let small = numbers().map(|n| n.map(|n| i32::try_from(n % 1000).unwrap()));
    let tiny = numbers().map(|n| n.map(|n| i8::try_from(n % 100).unwrap()));
    let large = numbers().map(|n| n.map(|n| i128::from(n) << 40));
    let words: DictionaryArray<UInt32Type> = texts.iter().collect();
    let amounts: Decimal128Array = large.collect();
    let sums: Decimal256Array = numbers().map(|n| n.map(wide)).collect();
    let times: TimestampMicrosecondArray = numbers().collect();
    let lists = numbers().map(|n| n.map(|n| vec![Some(n), None, Some(n / 2)]));
    let bytes: BinaryArray = texts.iter().map(|text| text.map(str::as_bytes)).collect();
    let inner: Fields = vec![
        Field::new("text", DataType::Utf8, true),
        Field::new("number", DataType::Int64, false),
    ]
    .into();
    let inside: ArrayRef = Arc::new(
        numbers()
            .map(Option::unwrap_or_default)
            .collect::<Int64Array>(),
    );
    let nulls: NullBuffer = numbers().map(|n| n.is_some()).collect();
    let records = StructArray::new(
        inner.clone(),
        vec![Arc::new(texts.clone()), inside],
        Some(nulls),
    );
    let items = Field::new("item", DataType::Struct(inner), true);
    let lengths = OffsetBuffer::from_lengths(vec![1; rows.len()]);
    let flows = ListArray::new(Arc::new(items), lengths, Arc::new(records.clone()), None);
    let columns: Vec<(Field, ArrayRef)> = vec![
        (
            Field::new("id", DataType::Int64, false),
            Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>()),
        ),
        column(
            "part",
            Arc::new(
                rows.iter()
                    .map(|row| row.1.clone())
                    .collect::<StringArray>(),
            ),
        ),
        column("text", Arc::new(texts)),
        column("word", Arc::new(words)),
        column("bytes", Arc::new(bytes)),
        column(
            "flag",
            Arc::new(
                numbers()
                    .map(|n| n.map(|n| n % 2 == 0))
                    .collect::<BooleanArray>(),
            ),
        ),
        column("tiny", Arc::new(tiny.collect::<Int8Array>())),
        column("small", Arc::new(small.clone().collect::<Int32Array>())),
        column("number", Arc::new(numbers().collect::<Int64Array>())),
        column(
            "whole",
            Arc::new(
                numbers()
                    .map(|n| n.map(i64::cast_unsigned))
                    .collect::<UInt64Array>(),
            ),
        ),
        column(
            "float",
            Arc::new(
                numbers()
                    .map(|n| n.map(|n| f64::from_bits(n.cast_unsigned())))
                    .collect::<Float64Array>(),
            ),
        ),
        column("date", Arc::new(small.collect::<Date32Array>())),
        column("time", Arc::new(times.with_timezone("UTC"))),
        column(
            "amount",
            Arc::new(amounts.with_precision_and_scale(38, 6).unwrap()),
        ),
        column(
            "sum",
            Arc::new(sums.with_precision_and_scale(76, 12).unwrap()),
        ),
        column(
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists)),
        ),
        column("record", Arc::new(records)),
        column("flows", Arc::new(flows)),
    ];
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn options(folder: &Path, is_partitioned: bool) -> SinkOptions {
    SinkOptions {
        folder: folder.to_owned(),
        pipeline: "a day".to_owned(),
        sink: "out".to_owned(),
        table: "rows".to_owned(),
        columns: batch(&[]).schema(),
        key: vec!["id".to_owned(), "part".to_owned()],
        partition_by: is_partitioned.then(|| "part".to_owned()),
        every: Duration::from_mins(1),
        bytes_max: 1 << 20,
        run: format!("run of {}", folder.display()),
    }
}

fn cut(epoch: u64) -> Cut {
    Cut {
        run: "this".to_owned(),
        epoch,
        as_of_us: 1_000_000 * i64::try_from(epoch).unwrap(),
        offsets: BTreeMap::from([("a \"topic\"".to_owned(), BTreeMap::from([(0, 5), (3, 7)]))]),
    }
}

fn open(sink: &mut ParquetSink, position: Option<&str>) -> Result<(Opening, Held), SourceError> {
    let mut held = Held::new();
    let mut told = |key: &[u8], row: Option<&[u8]>| {
        held.insert(key.to_vec(), row.map(<[u8]>::to_vec));
    };
    let opening = sink.open(position, &mut told, &Line::default())?;
    Ok((opening, held))
}

fn opened(options: &SinkOptions, position: Option<&str>) -> (ParquetSink, Opening, Held) {
    let mut sink = ParquetSink::new(options.clone()).unwrap();
    let (opening, held) = open(&mut sink, position).unwrap();
    (sink, opening, held)
}

fn refused(options: &SinkOptions) -> SourceError {
    let mut sink = ParquetSink::new(options.clone()).unwrap();
    open(&mut sink, None).unwrap_err()
}

fn write(sink: &mut ParquetSink, epoch: u64, items: Vec<Item>) -> Result<Flushed, SourceError> {
    sink.write(&cut(epoch), &mut items.into_iter(), &Line::default())
}

/// Every file below a folder, by its name there.
fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(name, path);
        }
    }
    found
}

fn parquet(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = files(folder);
    found.retain(|name, _| name.ends_with(".parquet"));
    found
}

fn rows_of(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReader::try_new(File::open(path).unwrap(), 100).unwrap();
    reader.map(Result::unwrap).collect()
}

fn part() -> impl Strategy<Value = Option<String>> {
    let text = prop_oneof![
        Just("a".to_owned()),
        Just("b/ä %=".to_owned()),
        Just(String::new())
    ];
    proptest::option::weighted(0.8, text)
}

/// What is done to a folder.
#[derive(Clone, Debug)]
enum Step {
    /// These keys get a row, or lose it.
    Flush(Vec<(i64, Option<String>, Option<Row>)>),
    /// The process dies, and the folder is read from the position that was kept.
    Restart,
    /// The position is kept.
    Keep,
}

fn step() -> impl Strategy<Value = Step> {
    let row = (
        any::<i64>(),
        "[a-c]{0,3}|x{200}",
        proptest::bool::weighted(0.8),
    );
    let change = (0..6_i64, part(), proptest::option::weighted(0.7, row));
    prop_oneof![
        4 => proptest::collection::vec(change, 1..40).prop_map(Step::Flush),
        1 => Just(Step::Restart),
        1 => Just(Step::Keep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Goal: what is read back is what was written, to the last bit, whatever its type, from any flush on; each key once
    /// in a file, which is whole and in its partition. Method: random rows of all types, flushes and restarts against a
    /// map of each flush.
    #[test]
    fn reads_back_what_it_wrote(
        steps in proptest::collection::vec(step(), 0..12),
        is_partitioned in any::<bool>(),
    ) {
        let temporary = TempDir::new().unwrap();
        let options = options(&temporary.path().join("out"), is_partitioned);
        let (mut sink, opening, held) = opened(&options, None);
        prop_assert!(opening.whole && held.is_empty() && opening.epoch.is_none());
        let rows = opening.rows;
        let mut position = opening.position;
        let (mut kept, mut since, mut all) = (position.clone(), Held::new(), Held::new());
        let mut epoch = 0;
        for step in steps {
            match step {
                Step::Flush(changes) => {
                    let mut items: BTreeMap<Vec<u8>, Item> = BTreeMap::new();
                    for (id, part, row) in changes {
                        let value = row.clone().unwrap_or_default();
                        let item = rows.items(&batch(&[(id, part, value)])).remove(0).unwrap();
                        let value = item.value.filter(|_| row.is_some());
                        items.insert(item.key.clone(), Item { key: item.key, value });
                    }
                    let flushed: Held = items.values().map(|item| (item.key.clone(), item.value.clone())).collect();
                    since.extend(flushed.clone());
                    all.extend(flushed);
                    epoch += 1;
                    position = write(&mut sink, epoch, items.into_values().collect()).unwrap().position;
                }
                Step::Keep => {
                    kept.clone_from(&position);
                    since.clear();
                }
                Step::Restart => {
                    drop(sink);
                    let (again, opening, held) = opened(&options, Some(&kept));
                    prop_assert!(!opening.whole);
                    prop_assert_eq!(&held, &since);
                    prop_assert_eq!(opening.epoch.unwrap_or(0), epoch);
                    prop_assert_eq!(&opening.position, &position);
                    sink = again;
                }
            }
        }
        drop(sink);
        let (_, opening, held) = opened(&options, None);
        prop_assert!(opening.whole);
        prop_assert_eq!(held, all);
        let names = files(&options.folder).into_keys().filter(|name| name.starts_with('.'));
        prop_assert_eq!(names.count(), 0);
        for (name, path) in parquet(&options.folder) {
            let is_in_partition = path.parent().unwrap() != options.folder;
            prop_assert_eq!(is_in_partition, is_partitioned);
            let mut seen = BTreeSet::new();
            for batch in rows_of(&path) {
                let file = batch.column_by_name("_file").unwrap().as_primitive::<Int64Type>();
                let ids = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>();
                let part = batch.column_by_name("part").map(AsArray::as_string::<i32>);
                prop_assert_eq!(part.is_none(), is_partitioned);
                for row in 0..batch.num_rows() {
                    prop_assert_eq!(format!("{:010}.parquet", file.value(row)), name.clone());
                    let part = part.map(|part| part.is_valid(row).then(|| part.value(row).to_owned()));
                    prop_assert!(seen.insert((ids.value(row), part)));
                }
            }
        }
    }
}

fn some_items(rows: &dyn Rows, ids: std::ops::Range<i64>, part: &str) -> Vec<Item> {
    let row = |id: i64| {
        let noise: String = (0..40_i64)
            .map(|at| char::from(b'!' + u8::try_from((id * 7919 + at * at * id) % 90).unwrap()))
            .collect();
        (id, Some(part.to_owned()), (id, noise, true))
    };
    let rows = rows.items(&batch(&ids.map(row).collect::<Vec<_>>()));
    rows.into_iter().map(Result::unwrap).collect()
}

/// Goal: a crash leaves whole files, and a restart finds those that are there and removes the rest. Method: of a flush of
/// three files one is in its place when the process dies, the others are drafts.
#[test]
fn a_crash_leaves_no_half_file() {
    let temporary = TempDir::new().unwrap();
    let options = options(&temporary.path().join("out"), true);
    let (mut sink, opening, _) = opened(&options, None);
    let items = |part| some_items(opening.rows.as_ref(), 0..5, part);
    let kept = write(&mut sink, 1, items("a")).unwrap().position;
    let mark = fs::read(options.folder.join("_weir")).unwrap();
    let three: Vec<Item> = ["b", "c", "d"].into_iter().flat_map(items).collect();
    write(&mut sink, 2, three).unwrap();
    drop(sink);
    fs::write(options.folder.join("_weir"), mark).unwrap();
    for number in [3, 4] {
        let name = format!("{number:010}.parquet");
        let path = parquet(&options.folder)[&name].clone();
        fs::rename(&path, path.with_file_name(format!(".{name}.tmp"))).unwrap();
    }
    fs::write(options.folder.join("notes.txt"), "ours").unwrap();
    let (mut sink, opening, held) = opened(&options, Some(&kept));
    let there: BTreeSet<Vec<u8>> = items("b").into_iter().map(|item| item.key).collect();
    assert!(!opening.whole && opening.epoch == Some(2));
    assert_eq!(held.into_keys().collect::<BTreeSet<_>>(), there);
    assert_eq!(parquet(&options.folder).len(), 2);
    assert!(
        !files(&options.folder)
            .keys()
            .any(|name| name.starts_with('.'))
    );
    assert!(files(&options.folder).contains_key("notes.txt"));
    write(&mut sink, 3, items("c")).unwrap();
    assert!(parquet(&options.folder).contains_key("0000000003.parquet"));
}

/// Goal: files are cut by size, and a flush that is stopped or fails shows nothing of it. Method: rows of some mebibytes
/// that do not compress.
#[test]
fn files_are_cut_by_size() {
    let temporary = TempDir::new().unwrap();
    let options = options(&temporary.path().join("out"), false);
    let (mut sink, opening, _) = opened(&options, None);
    let items = some_items(opening.rows.as_ref(), 0..20_000, "a");
    let line = Line::default();
    line.stop();
    let stopped = sink.write(&cut(1), &mut items.clone().into_iter(), &line);
    assert_eq!(stopped.unwrap_err().code, "stopped");
    assert_eq!(files(&options.folder).len(), 2, "the mark and the lock");

    let (_, held) = open(&mut sink, None).unwrap();
    assert!(held.is_empty());
    let line = Line::default();
    sink.write(&cut(1), &mut items.into_iter(), &line).unwrap();
    assert_eq!(line.sent.load(Ordering::Relaxed), 20_000);
    assert_eq!(line.acked.load(Ordering::Relaxed), 20_000);
    let found = parquet(&options.folder);
    assert!(found.len() > 2, "{found:?}");
    for path in found.values().take(found.len() - 1) {
        let bytes = fs::metadata(path).unwrap().len();
        assert!((1 << 18..5 << 18).contains(&bytes), "{bytes}");
    }
    let rows = found.values().flat_map(|path| rows_of(path));
    assert_eq!(rows.map(|rows| rows.num_rows()).sum::<usize>(), 20_000);
}

/// Goal: a folder that is not this sink's is refused, with the cure. Method: another table, key, process, and files.
#[test]
fn a_folder_has_one_owner() {
    let temporary = TempDir::new().unwrap();
    let ours = options(&temporary.path().join("out"), false);
    let (mut sink, opening, _) = opened(&ours, None);
    let held = refused(&ours);
    let process = format!("process {} on ", std::process::id());
    assert_eq!((held.fault, held.code), (Fault::External, "folder_held"));
    assert!(held.message.contains(&process), "{held}");
    write(&mut sink, 1, some_items(opening.rows.as_ref(), 0..3, "a")).unwrap();
    drop(sink);

    let table = SinkOptions {
        table: "others".to_owned(),
        ..ours.clone()
    };
    let key = SinkOptions {
        key: vec!["id".to_owned()],
        ..ours.clone()
    };
    for (options, told) in [
        (
            table,
            "has `table rows`, the sink `table others`: give the sink a folder of its own",
        ),
        (
            options(&ours.folder, true),
            "has `partitioned by nothing`, the sink `partitioned by part`",
        ),
        (key, "has `key id, part`, the sink `key id`"),
    ] {
        let error = refused(&options);
        assert_eq!(
            (error.fault, error.code),
            (Fault::User, "folder_of_another")
        );
        assert!(error.message.contains(told), "{error}");
    }
    let fields = ours
        .columns
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "id" => Arc::new(Field::new("id", DataType::Utf8, false)),
            _ => Arc::clone(field),
        });
    let error = refused(&SinkOptions {
        columns: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        ..ours.clone()
    });
    assert_eq!(error.fault, Fault::User);
    assert!(
        error
            .message
            .contains("column `id` is Int64, in the table it is Utf8"),
        "{error}"
    );

    fs::remove_file(ours.folder.join("_weir")).unwrap();
    let error = refused(&ours);
    assert!(
        error
            .message
            .contains("holds `0000000001.parquet` and no file `_weir`"),
        "{error}"
    );
    let error = refused(&options(&temporary.path().join("gone/out"), false));
    assert_eq!(
        (error.fault, error.code),
        (Fault::External, "folder_missing")
    );
    assert!(
        error.message.contains("make the folder above it"),
        "{error}"
    );
}

/// Goal: what was taken away is told where it matters. Method: files from before and since the position, one that is
/// damaged, all of them, and the folder under a running sink.
#[test]
fn files_that_are_gone() {
    let temporary = TempDir::new().unwrap();
    let options = options(&temporary.path().join("out"), false);
    let (mut sink, opening, _) = opened(&options, None);
    let items = || some_items(opening.rows.as_ref(), 0..3, "a");
    write(&mut sink, 1, items()).unwrap();
    let kept = write(&mut sink, 2, items()).unwrap().position;
    write(&mut sink, 3, items()).unwrap();
    drop(sink);
    let file = |number: u64| options.folder.join(format!("{number:010}.parquet"));
    fs::remove_file(file(1)).unwrap();
    let (mut sink, opening, _) = opened(&options, Some(&kept));
    assert!(!opening.whole, "it was there before");
    fs::remove_file(file(3)).unwrap();
    let (again, held) = open(&mut sink, Some(&kept)).unwrap();
    assert!(again.whole && held.len() == 3, "it was written since");
    write(&mut sink, 4, items()).unwrap();
    assert!(file(4).exists(), "no number is given twice");

    let bytes = fs::read(file(4)).unwrap();
    fs::write(file(4), &bytes[..bytes.len() - 9]).unwrap();
    let error = open(&mut sink, Some(&kept)).unwrap_err();
    assert_eq!(
        (error.fault, error.code),
        (Fault::External, "file_unreadable")
    );
    assert!(error.message.contains("0000000004.parquet"), "{error}");
    fs::write(file(4), &bytes).unwrap();
    let (now, _) = open(&mut sink, Some(&kept)).unwrap();

    fs::remove_dir_all(&options.folder).unwrap();
    let error = write(&mut sink, 5, items()).unwrap_err();
    assert_eq!(
        (error.fault, error.code),
        (Fault::External, "folder_remade")
    );
    let (again, held) = open(&mut sink, Some(&now.position)).unwrap();
    // In a process with another id than the one that made it, also what was numbered so is another folder.
    assert!(held.is_empty() && again.position.starts_with("1@"));
    write(&mut sink, 6, items()).unwrap();
}

/// Goal: rows of other columns than the table has now differ from all of its rows, so that they are written anew, but
/// keys that are gone are gone. Method: a column is added.
#[test]
fn other_columns_are_other_rows() {
    let temporary = TempDir::new().unwrap();
    let options = options(&temporary.path().join("out"), true);
    let mut fewer = options.clone();
    let last = options.columns.fields().len() - 1;
    let columns = options.columns.project(&(0..last).collect::<Vec<_>>());
    fewer.columns = Arc::new(columns.unwrap());
    let (mut sink, opening, _) = opened(&fewer, None);
    let mut items = some_items(opening.rows.as_ref(), 0..2, "a");
    items[1].value = None;
    write(&mut sink, 1, items.clone()).unwrap();
    drop(sink);
    let (_, opening, held) = opened(&options, None);
    let now = some_items(opening.rows.as_ref(), 0..2, "a");
    assert_eq!(held.len(), 2);
    let row = held[&now[0].key].clone();
    assert!(row.is_some() && row != now[0].value);
    assert_eq!(held[&now[1].key], None);
}

/// Goal: what can never be a folder or a column is refused by itself. Method: a value that is too long, and a record
/// without fields.
#[test]
fn what_cannot_be_written() {
    let temporary = TempDir::new().unwrap();
    let options = options(&temporary.path().join("out"), true);
    let (_, opening, _) = opened(&options, None);
    let rows = batch(&[
        (1, Some("long ".repeat(50)), Row::default()),
        (2, Some("short".to_owned()), Row::default()),
    ]);
    let made = opening.rows.items(&rows);
    let unsent = made[0].as_ref().unwrap_err();
    assert_eq!(unsent.why.code, "too_large");
    assert_eq!(unsent.why.field.as_deref(), Some("part"));
    assert!(!unsent.item.key.is_empty());
    assert!(made[1].is_ok());
    let keys = opening.rows.keys(&rows);
    assert!(keys[0].is_err() && keys[1].is_ok());

    assert_eq!(misfit(&options.columns), None);
    let empty = Field::new("empty", DataType::Struct(Fields::empty()), true);
    let columns = Schema::new(vec![Field::new("id", DataType::Int64, false), empty]);
    assert!(misfit(&Arc::new(columns)).is_some());
}
