//! Deletes: gone at once, gone for good, and nothing else with them.

use super::super::files::fault::{Call, Fault};
use super::*;
use crate::series::{MatchOp, Matcher};

fn host(number: usize) -> Selector {
    Selector { matchers: vec![Matcher::new("host", MatchOp::Equal, format!("host-{number}")).unwrap()] }
}

fn found(store: &Store) -> Vec<(String, Millis, f64)> {
    let short = |key: String| key.split("host-").nth(1).unwrap()[..1].to_owned();
    content(store).into_iter().map(|((key, at), value)| (short(key), at, f64::from_bits(value))).collect()
}

fn row(host: usize, at: Millis, value: f64) -> (String, Millis, f64) {
    (host.to_string(), at, value)
}

#[test]
fn what_is_deleted_is_hidden_at_once_and_leaves_the_disk_with_the_next_merge() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.append(&batch(&[(0, 1, 1.0), (0, 5, 1.0), (2, 1, 1.0), (0, DAY, 1.0)])).unwrap();
    store.flush().unwrap();
    store.append(&batch(&[(0, 3, 1.0), (2, 3, 1.0)])).unwrap();
    // From 2 on, in blocks and in memory.
    let deleted = store.delete(&host(0), TimeRange::new(2, TimeRange::ALL.end()).unwrap()).unwrap();
    assert_eq!(deleted, Deleted { n_series: 1, n_blocks: 3 });
    let left = [row(0, 1, 1.0), row(2, 1, 1.0), row(2, 3, 1.0)];
    assert_eq!(found(&store), left);
    let keys = store.keys(&host(0), TimeRange::new(DAY, 2 * DAY).unwrap()).unwrap();
    assert_eq!(keys, [], "nothing of the series is left on that day");

    // What comes later stays, even with the time of what was deleted.
    store.append(&batch(&[(0, 5, 9.0)])).unwrap();
    let left = [&left[..1], &[row(0, 5, 9.0)], &left[1..]].concat();
    assert_eq!(found(&store), left);
    drop(store);
    let store = Store::open(dir.path(), quiet()).unwrap();
    assert_eq!(found(&store), left);

    store.compact().unwrap();
    assert_eq!(found(&store), left);
    assert_eq!(store.figures().n_block_samples, 3, "the deleted samples are still on the disk");
    assert_eq!(std::fs::read_dir(dir.path().join("deletes")).unwrap().count(), 0);
    assert!(!std::fs::read_to_string(dir.path().join("manifest.json")).unwrap().contains("matchers"));
    drop(store);
    let store = Store::open(dir.path(), quiet()).unwrap();
    assert_eq!((found(&store), store.figures().n_quarantined), (left, 0));
}

#[test]
fn no_label_of_a_deleted_series_stays_in_a_sidecar() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.append(&batch(&[(0, 1, 1.0), (2, 1, 1.0)])).unwrap();
    store.flush().unwrap();
    store.delete(&host(2), TimeRange::ALL).unwrap();
    store.compact().unwrap();
    let sidecar = std::fs::read_dir(dir.path().join("index")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(sidecar).unwrap();
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(has(b"host-0") && !has(b"host-2"));
}

#[test]
fn a_delete_of_nothing_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.append(&batch(&[(0, 1, 1.0)])).unwrap();
    assert_eq!(store.delete(&host(7), TimeRange::ALL).unwrap(), Deleted::default());
    assert_eq!(store.delete(&host(0), TimeRange::new(2, 9).unwrap()).unwrap(), Deleted::default());
    assert!(!dir.path().join("deletes").exists());
    assert_eq!(store.delete(&host(0), TimeRange::ALL).unwrap().n_series, 1);
    assert_eq!(store.delete(&host(0), TimeRange::ALL).unwrap(), Deleted::default(), "once is enough");
    assert_eq!(found(&store), []);
}

#[test]
fn merges_with_younger_blocks_keep_what_came_after_the_delete() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreSettings { max_blocks_per_day: 2, ..quiet() }).unwrap();
    let today = shared::now();
    for round in 0..4 {
        store.append(&batch(&[(0, today, f64::from(round)), (2, today, f64::from(round))])).unwrap();
        store.flush().unwrap();
        if round == 2 {
            store.delete(&host(0), TimeRange::ALL).unwrap();
        }
    }
    store.append(&batch(&[(0, today + 1, 7.0)])).unwrap();
    store.flush().unwrap();
    let expected = [row(0, today, 3.0), row(0, today + 1, 7.0), row(2, today, 3.0)];
    assert_eq!(found(&store), expected);
    store.compact().unwrap();
    assert_eq!(found(&store), expected);
}

#[test]
fn a_lost_manifest_brings_nothing_back() {
    for is_carried_out in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let files = FaultFiles::default();
        let store = open_on(&files, dir.path()).unwrap();
        store.append(&batch(&[(0, 1, 1.0), (2, 1, 1.0)])).unwrap();
        // The log's segment stays although its samples are in a block, as after a crash between the two.
        files.fail(&[Fault { call: Call::Remove, path: ".wal", kind: std::io::ErrorKind::Other }]);
        store.delete(&host(0), TimeRange::ALL).unwrap();
        store.append(&batch(&[(0, 1, 9.0)])).unwrap();
        if is_carried_out {
            files.fail(&[]);
            store.compact().unwrap();
        }
        drop(store);
        std::fs::remove_file(dir.path().join("manifest.json")).unwrap();
        for _ in 0..2 {
            let store = Store::open(dir.path(), quiet()).unwrap();
            assert_eq!(found(&store), [row(0, 1, 9.0), row(2, 1, 1.0)], "carried out: {is_carried_out}");
            store.compact().unwrap();
        }
    }
}

#[test]
fn a_block_that_was_missing_when_its_samples_were_deleted_brings_none_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.append(&batch(&[(0, 1, 1.0), (2, 1, 1.0)])).unwrap();
    store.flush().unwrap();
    drop(store);
    let block = parquet_files(dir.path()).remove(0);
    let aside = dir.path().join("aside");
    std::fs::rename(&block, &aside).unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.delete(&host(0), TimeRange::ALL).unwrap();
    store.compact().unwrap();
    drop(store);
    std::fs::create_dir_all(block.parent().unwrap()).unwrap();
    std::fs::rename(&aside, &block).unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    assert_eq!(found(&store), [row(2, 1, 1.0)]);
    store.compact().unwrap();
    assert_eq!(found(&store), [row(2, 1, 1.0)]);
    assert_eq!(std::fs::read_dir(dir.path().join("deletes")).unwrap().count(), 0);
}

#[test]
fn a_delete_that_cannot_be_written_deletes_nothing() {
    for (call, path) in [
        (Call::Create, "deletes"),
        (Call::Write, "tmp/01"),
        (Call::Sync, "tmp/01"),
        (Call::Rename, "deletes/"),
        (Call::SyncDir, "deletes"),
        (Call::Write, "manifest.json"),
        (Call::Rename, "manifest.json"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let files = FaultFiles::default();
        let store = open_on(&files, dir.path()).unwrap();
        store.append(&batch(&[(0, 1, 1.0)])).unwrap();
        store.flush().unwrap();
        files.fail(&[Fault { call, path, kind: std::io::ErrorKind::StorageFull }]);
        assert!(store.delete(&host(0), TimeRange::ALL).is_err(), "{call:?} {path}");
        assert_eq!(found(&store).len(), 1, "{call:?} {path}");
        files.fail(&[]);
        drop(store);
        let store = Store::open(dir.path(), quiet()).unwrap();
        assert_eq!(found(&store).len(), 1, "{call:?} {path}");
        store.delete(&host(0), TimeRange::ALL).unwrap();
        assert_eq!(found(&store), [], "{call:?} {path}");
    }
}

/// What must be there, what must not, and what may be.
#[derive(Default)]
struct Told {
    kept: Content,
    tried: Vec<((String, Millis), u64)>,
    deleted: Vec<((String, Millis), u64)>,
    open: Vec<(String, Millis)>,
}

fn work(store: &Store) -> Told {
    let mut told = Told::default();
    for round in 0..4_i64 {
        let samples: Vec<_> = (0..3)
            .flat_map(|series| [(series, 1, round as f64), (series, DAY + round % 2, (round * 10) as f64)])
            .collect();
        let rows: Content =
            samples.iter().map(|(series, at, value)| ((key(*series).to_string(), *at), value.to_bits())).collect();
        told.tried.extend(rows.clone());
        if store.append(&batch(&samples)).is_ok() {
            told.kept.extend(rows);
        } else {
            told.open.extend(rows.into_keys());
        }
        if round == 2 {
            let _ = store.flush();
        }
        if round % 2 == 0 {
            let series = round as usize / 2;
            let is_hit = |key: &String| key.contains(&format!("host-{series}"));
            let (hit, left): (Content, Content) = told.kept.clone().into_iter().partition(|((key, _), _)| is_hit(key));
            if store.delete(&host(series), TimeRange::ALL).is_ok() {
                let tried = told.tried.iter().filter(|((key, _), _)| is_hit(key)).cloned();
                told.deleted.extend(tried);
            } else {
                told.open.extend(hit.into_keys());
            }
            told.kept = left;
        }
    }
    let _ = store.compact();
    told
}

#[test]
fn power_may_go_out_at_any_moment_of_a_delete() {
    let open = |files: &FaultFiles, dir: &Path| {
        let settings = StoreSettings { max_blocks_per_day: 2, segment_size: 600, ..quiet() };
        Store::open_with(Arc::new(files.clone()), dir, settings)
    };
    let n_calls = {
        let dir = tempfile::tempdir().unwrap();
        let files = FaultFiles::default();
        let store = open(&files, dir.path()).unwrap();
        let told = work(&store);
        assert!(told.open.is_empty() && !told.deleted.is_empty());
        assert_eq!(content(&store), told.kept);
        files.n_calls()
    };
    for crash_after in 0..n_calls {
        let keep = [0.0, 0.4, 0.7, 1.0][crash_after as usize % 4];
        let dir = tempfile::tempdir().unwrap();
        let files = FaultFiles::default();
        files.crash_after(crash_after);
        let told = match open(&files, dir.path()) {
            Ok(store) => work(&store),
            Err(_) => Told::default(),
        };
        files.cut_power(keep);
        let again = FaultFiles::default();
        again.crash_after(crash_after % 23);
        drop(open(&again, dir.path()));
        again.cut_power(keep);

        let case = format!("crash after {crash_after} calls, {keep} of the unsynced kept");
        let store = Store::open(dir.path(), quiet()).unwrap_or_else(|error| panic!("{case}: {error}"));
        for _ in 0..2 {
            let found = content(&store);
            for (sample, value) in &told.kept {
                if !told.open.contains(sample) {
                    assert_eq!(found.get(sample), Some(value), "{case}: {sample:?} is lost");
                }
            }
            for (sample, value) in &found {
                assert!(told.tried.contains(&(sample.clone(), *value)), "{case}: {sample:?} was invented");
                let row = (sample.clone(), *value);
                assert!(!told.deleted.contains(&row), "{case}: {sample:?} came back with {}", f64::from_bits(*value));
            }
            assert_eq!(store.figures().n_quarantined, 0, "{case}");
            // The same once the deletes are carried out.
            store.compact().unwrap();
        }
        assert_eq!(parquet_files(dir.path()).len() as u64, store.figures().n_blocks, "{case}: strays");
    }
}
