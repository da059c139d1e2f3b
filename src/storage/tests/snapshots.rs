//! Snapshots while writing goes on, and restores.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::files::fault::{Call, Fault};
use super::*;

#[test]
fn a_snapshot_holds_what_was_acknowledged_before_and_nothing_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.append(&batch(&[(0, 1, 1.0), (1, DAY, 2.0)])).unwrap();
    store.flush().unwrap();
    store.append(&batch(&[(0, 2, 3.0), (3, 2, 3.0)])).unwrap();
    store.delete(&Selector::exactly(&key(3)), TimeRange::ALL).unwrap();
    let before = content(&store);
    std::fs::create_dir_all(dir.path().join("results/anomalies")).unwrap();
    std::fs::write(dir.path().join("results/anomalies/a.parquet"), "not ours to look into").unwrap();
    let snapshot = store.snapshot().unwrap();
    assert_eq!((snapshot.n_blocks, snapshot.n_samples), (3, 4));
    store.append(&batch(&[(0, 3, 4.0)])).unwrap();
    store.delete(&Selector::metric("cpu"), TimeRange::ALL).unwrap();
    store.compact().unwrap();
    assert_eq!(content(&store).len(), 1);

    // Opened where it is.
    assert_eq!(fsck(&snapshot.path).unwrap().findings.len(), 0);
    assert_eq!(content(&Store::open(&snapshot.path, quiet()).unwrap()), before);
    // And restored elsewhere.
    let target = tempfile::tempdir().unwrap();
    let restored = restore(&snapshot.path, &target.path().join("new")).unwrap();
    assert_eq!(restored.report.n_block_samples, 4);
    let restored = Store::open(&target.path().join("new"), quiet()).unwrap();
    assert_eq!(content(&restored), before);
    restored.append(&batch(&[(0, 9, 9.0)])).unwrap();
    assert!(target.path().join("new/results/anomalies/a.parquet").exists());
}

#[test]
fn a_snapshot_under_load_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings { flush_samples: 300, segment_size: 4096, max_blocks_per_day: 2, ..quiet() };
    let store = Arc::new(Store::open(dir.path(), settings).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|thread| {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut n_acknowledged = 0_i64;
                while !stop.load(Ordering::Relaxed) {
                    let samples: Vec<_> = (0..5).map(|series| (thread * 5 + series, n_acknowledged, 1.0)).collect();
                    store.append(&batch(&samples)).unwrap();
                    n_acknowledged += 1;
                }
                n_acknowledged
            })
        })
        .collect();
    let mut snapshots = Vec::new();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(40));
        let acknowledged = content(&store);
        snapshots.push((acknowledged, store.snapshot().unwrap()));
        store.compact().unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let n_all: i64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    assert!(n_all > 20);
    for (acknowledged, snapshot) in snapshots {
        let report = fsck(&snapshot.path).unwrap();
        assert_eq!(report.findings.len(), 0, "{:?}", report.findings);
        let held = content(&Store::open(&snapshot.path, quiet()).unwrap());
        assert!(acknowledged.keys().all(|sample| held.contains_key(sample)), "an acknowledged sample is missing");
        // A batch is there whole or not at all: every series of a thread ends at the same time.
        let mut ends: BTreeMap<String, Millis> = BTreeMap::new();
        for (key, at) in held.keys() {
            ends.insert(key.clone(), *at);
        }
        for thread in 0..4 {
            let of_thread = (0..5).map(|series| ends.get(&key(thread * 5 + series).to_string()));
            assert!(of_thread.collect::<std::collections::BTreeSet<_>>().len() == 1);
        }
    }
}

#[test]
fn a_snapshot_that_fails_leaves_nothing_and_the_store_goes_on() {
    for (call, path) in [
        (Call::Create, "snapshots"),
        (Call::Create, ".partial/blocks"),
        (Call::Create, ".parquet"),
        (Call::SyncDir, ".partial/index"),
        (Call::Write, "manifest.json"),
        (Call::SyncDir, ".partial$"),
        (Call::Rename, "snapshots/"),
        (Call::SyncDir, "snapshots$"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let files = FaultFiles::default();
        let store = open_on(&files, dir.path()).unwrap();
        store.append(&batch(&[(0, 1, 1.0)])).unwrap();
        store.flush().unwrap();
        files.fail(&[Fault { call, path, kind: std::io::ErrorKind::StorageFull }]);
        assert!(store.snapshot().is_err(), "{call:?} {path}");
        let n_left = std::fs::read_dir(dir.path().join("snapshots")).map_or(0, Iterator::count);
        assert_eq!((n_left, content(&store).len()), (0, 1), "{call:?} {path}");
        files.fail(&[]);
        store.append(&batch(&[(0, 2, 1.0)])).unwrap();
        let snapshot = store.snapshot().unwrap();
        assert_eq!(snapshot.n_samples, 2, "{call:?} {path}");
    }
}

#[test]
fn power_may_go_out_at_any_moment_of_a_snapshot() {
    let work = |files: &FaultFiles, dir: &Path| -> Option<Snapshot> {
        let store = open_on(files, dir).ok()?;
        store.append(&batch(&[(0, 1, 1.0), (1, DAY, 1.0)])).ok()?;
        store.snapshot().ok()
    };
    let n_calls = {
        let (dir, files) = (tempfile::tempdir().unwrap(), FaultFiles::default());
        work(&files, dir.path()).unwrap();
        files.n_calls()
    };
    for crash_after in 0..=n_calls {
        let (dir, files) = (tempfile::tempdir().unwrap(), FaultFiles::default());
        files.crash_after(crash_after);
        let made = work(&files, dir.path());
        files.cut_power([0.0, 0.5, 1.0][crash_after as usize % 3]);
        drop(Store::open(dir.path(), quiet()).unwrap());
        let left = std::fs::read_dir(dir.path().join("snapshots")).into_iter().flatten();
        let left: Vec<PathBuf> = left.map(|entry| entry.unwrap().path()).collect();
        assert!(made.is_none() || left.len() == 1, "crash after {crash_after} calls: the snapshot is gone");
        for path in left {
            assert_eq!(fsck(&path).unwrap().findings.len(), 0, "crash after {crash_after} calls");
            assert_eq!(content(&Store::open(&path, quiet()).unwrap()).len(), 2, "crash after {crash_after} calls");
        }
    }
}

#[test]
fn a_restore_refuses_what_it_could_only_spoil() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.append(&batch(&[(0, 1, 1.0)])).unwrap();
    let snapshot = store.snapshot().unwrap();
    let target = tempfile::tempdir().unwrap();
    std::fs::write(target.path().join("mine"), "").unwrap();
    assert!(matches!(restore(&snapshot.path, target.path()), Err(RestoreError::NotEmpty(_))));
    std::fs::remove_file(target.path().join("mine")).unwrap();
    assert!(matches!(restore(target.path(), target.path()), Err(RestoreError::NoSnapshot(_))));
    assert!(matches!(restore(dir.path(), target.path()), Err(RestoreError::Open(OpenError::Locked { .. }))));

    // Half a restore is not taken for a directory with little in it.
    std::fs::write(target.path().join("restoring"), "").unwrap();
    assert!(matches!(Store::open(target.path(), quiet()), Err(OpenError::HalfRestored { .. })));

    let block = parquet_files(&snapshot.path).remove(0);
    let bytes = std::fs::read(&block).unwrap();
    std::fs::remove_file(&block).unwrap();
    std::fs::write(&block, &bytes[1..]).unwrap();
    let target = tempfile::tempdir().unwrap();
    let error = restore(&snapshot.path, target.path()).unwrap_err();
    assert!(matches!(error, RestoreError::Damaged { .. }) && error.to_string().contains("01"), "{error}");
    assert_eq!(std::fs::read_dir(target.path()).unwrap().count(), 0);
}
