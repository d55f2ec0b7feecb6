//! The folder against a plain map, and against damage.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::AtomicBool;

type Model = BTreeMap<(u16, Vec<u8>), Vec<u8>>;

fn plan() -> BTreeMap<String, String> {
    BTreeMap::from([("stage a".to_owned(), "1".to_owned())])
}

fn manifest(epoch: u64) -> Manifest {
    Manifest {
        pipeline: "p".to_owned(),
        plan: plan(),
        epoch,
        ..Manifest::default()
    }
}

fn open(folder: &Path) -> Opened {
    Store::open(folder, &plan(), false).expect("the folder is whole")
}

fn read(store: &Store) -> Model {
    let mut model = Model::new();
    let read = store.each(|part, key, value| -> Result<(), StateError> {
        let before = model.insert((part, key.to_vec()), value.to_vec());
        assert!(before.is_none(), "each key is told once");
        Ok(())
    });
    read.expect("the folder is whole");
    model
}

/// One entry of a checkpoint: part, key, value or none.
type Told = (u16, u8, Option<u8>);

fn apply(store: &mut Store, model: &mut Model, epoch: u64, told: &[Told]) {
    let mut changes = Changes::default();
    for &(part, key, value) in told {
        // Values of some length, so that blocks are closed.
        let (key, value) = (vec![key; 3], value.map(|byte| vec![byte; 9_000]));
        changes.push(part, &key, value.as_deref());
        match value {
            Some(value) => model.insert((part, key), value),
            None => model.remove(&(part, key)),
        };
    }
    store.add(&changes).expect("the disk takes it");
    store.keep(manifest(epoch)).expect("the disk takes it");
}

fn told() -> impl Strategy<Value = Vec<Told>> {
    proptest::collection::vec(
        (
            0_u16..3,
            0_u8..20,
            proptest::option::weighted(0.7, any::<u8>()),
        ),
        0..12,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Goal: however often it is written, merged and opened again, a folder holds what a map would.
    #[test]
    fn holds_what_a_map_would(steps in proptest::collection::vec((told(), 0_u8..4), 1..30)) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut model = Model::new();
        let mut store = open(folder.path()).store;
        for (epoch, (told, what)) in (1..).zip(&steps) {
            apply(&mut store, &mut model, epoch, told);
            if *what == 0 {
                drop(store);
                let opened = open(folder.path());
                prop_assert_eq!(opened.manifest.expect("there is one").epoch, epoch);
                store = opened.store;
            }
            if *what == 1 {
                store.compact(&AtomicBool::new(false)).expect("the disk takes it");
            }
            prop_assert_eq!(&read(&store), &model);
        }
        store.compact(&AtomicBool::new(false)).expect("the disk takes it");
        prop_assert!(store.kept.last().expect("there is one").segments.len() <= 9);
    }

    /// Goal: wherever a file is cut or a bit flipped, what is read is a checkpoint that was written, whole, or
    /// the damage is told.
    #[test]
    fn damage_is_found(first in told(), second in told(), file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), cut in any::<bool>()) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(folder.path()).store;
        let (mut model, mut written) = (Model::new(), Vec::new());
        for (epoch, told) in (1..).zip([&first, &second]) {
            apply(&mut store, &mut model, epoch, told);
            written.push(model.clone());
        }
        drop(store);
        let names: Vec<_> = store_files(folder.path());
        let path = folder.path().join(file.get(&names));
        let mut bytes = fs::read(&path).expect("a file");
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1;
        }
        fs::write(&path, bytes).expect("a file");
        match Store::open(folder.path(), &plan(), false) {
            Ok(opened) => {
                let epoch = opened.manifest.as_ref().expect("one is left").epoch;
                let expected = &written[usize::try_from(epoch).expect("small") - 1];
                prop_assert_eq!(&read(&opened.store), expected);
                prop_assert!(epoch == 2 || !opened.passed_over.is_empty());
            }
            Err(StateError::NoneWhole { .. }) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    /// Goal: bytes that are no segment and no manifest are refused, never a panic.
    #[test]
    fn rubbish_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), real in any::<bool>()) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.seg");
        let mut content = if real { b"weirseg\x01".to_vec() } else { Vec::new() };
        content.extend(bytes);
        fs::write(&path, &content).expect("a file");
        prop_assert!(segment::Reader::check(&path).is_err());
        prop_assert!(Manifest::read(&path).is_err());
    }
}

#[test]
fn a_second_process_is_refused_by_the_name_of_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = open(folder.path());
    let error = Store::open(folder.path(), &plan(), false).expect_err("the folder is held");
    let told = error.to_string();
    assert!(
        told.contains(&format!("process {} on ", std::process::id())),
        "{told}"
    );
    drop(first);
    open(folder.path());
}

#[test]
fn another_plan_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path()).store;
    apply(&mut store, &mut Model::new(), 1, &[(0, 1, Some(1))]);
    drop(store);
    let other = BTreeMap::from([("stage b".to_owned(), "1".to_owned())]);
    let error = Store::open(folder.path(), &other, false).expect_err("another plan");
    let told = error.to_string();
    assert!(
        told.contains(
            "this folder is of pipeline `p`, of another plan: stage b is new, stage a is gone; "
        ),
        "{told}"
    );
    let many = (10..99).map(|number| (format!("stage {number}"), "1".to_owned()));
    let error = Store::open(folder.path(), &many.collect(), false).expect_err("another plan");
    let told = error.to_string();
    assert!(told.contains("stage 19 is new, and 80 more; "), "{told}");
    let opened = Store::open(folder.path(), &other, true).expect("fresh forgets");
    assert!(opened.manifest.is_none());
}

/// A failed write loses nothing: the changes are written with the next ones.
#[test]
fn a_failed_write_is_made_up_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path()).store;
    let mut changes = Changes::default();
    changes.push(0, b"a", Some(b"1"));
    let away = folder.path().with_extension("away");
    fs::rename(folder.path(), &away).expect("same disk");
    store.add(&changes).expect_err("there is no folder");
    store.keep(manifest(1)).expect_err("there is no folder");
    fs::rename(&away, folder.path()).expect("same disk");
    let mut later = Changes::default();
    later.push(0, b"b", Some(b"2"));
    changes.append(&later);
    store.add(&changes).expect("the folder is back");
    store.keep(manifest(2)).expect("the folder is back");
    assert_eq!(read(&open_again(store, folder.path())).len(), 2);
}

fn open_again(store: Store, folder: &Path) -> Store {
    drop(store);
    open(folder).store
}
