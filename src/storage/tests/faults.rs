//! Calls that fail, and power that goes out between any two of them.

use std::io::ErrorKind;

use super::super::files::fault::{Call, Fault};
use super::*;

fn fault(call: Call, path: &'static str, kind: ErrorKind) -> Fault {
    Fault { call, path, kind }
}

#[test]
fn a_full_disk_refuses_writes_keeps_reading_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let files = FaultFiles::default();
    let store = open_on(&files, dir.path()).unwrap();
    store.append(&batch(&[(0, 1, 1.0)])).unwrap();
    files.fail(&[fault(Call::Write, "", ErrorKind::StorageFull), fault(Call::Create, "", ErrorKind::StorageFull)]);
    for at in 2..5 {
        let error = store.append(&batch(&[(0, at, 9.0)])).unwrap_err();
        assert!(matches!(error, AppendError::DiskFull { .. }), "{error}");
        assert!(store.flush().is_err());
        assert_eq!(content(&store).len(), 1);
    }
    files.fail(&[]);
    store.append(&batch(&[(0, 7, 2.0)])).unwrap();
    store.flush().unwrap();
    let kept = content(&store);
    assert_eq!(kept.keys().map(|(_, at)| *at).collect::<Vec<_>>(), [1, 7]);
    assert_eq!(store.figures().n_memtable_samples, 0);
    drop(store);
    assert_eq!(content(&Store::open(dir.path(), quiet()).unwrap()), kept);
}

#[test]
fn a_failed_write_or_sync_is_not_acknowledged_and_its_segment_not_used_again() {
    for call in [Call::Write, Call::Sync] {
        let dir = tempfile::tempdir().unwrap();
        let files = FaultFiles::default();
        let store = open_on(&files, dir.path()).unwrap();
        store.append(&batch(&[(0, 1, 1.0)])).unwrap();
        files.fail(&[fault(call, "000000000001.wal", ErrorKind::Other)]);
        let error = store.append(&batch(&[(0, 2, 9.0), (1, 2, 9.0)])).unwrap_err();
        assert!(matches!(error, AppendError::Io { .. }), "{error}");
        // The fault stays: only a new segment can take this. It must define the series anew.
        store.append(&batch(&[(0, 3, 3.0)])).unwrap();
        assert_eq!(store.figures().n_segments, 2);
        let kept = content(&store);
        drop(store);
        let reopened = content(&Store::open(dir.path(), quiet()).unwrap());
        for (sample, value) in &kept {
            assert_eq!(reopened.get(sample), Some(value), "{call:?}");
        }
        // A refused group may come back, but only whole.
        assert!(reopened.len() == 2 || reopened.len() == 4, "{call:?}: {reopened:?}");
    }
}

#[test]
fn a_flush_that_fails_anywhere_changes_nothing_and_works_later() {
    let calls = [
        (Call::Create, "tmp/01"),
        (Call::Write, ".parquet"),
        (Call::Sync, ".parquet"),
        (Call::Write, ".series"),
        (Call::Rename, ".series"),
        (Call::SyncDir, "index"),
        (Call::Create, "date="),
        (Call::Rename, ".parquet"),
        (Call::SyncDir, "date="),
        (Call::Write, "manifest.json"),
        (Call::Sync, "manifest.json"),
        (Call::Rename, "manifest.json"),
    ];
    for (call, path) in calls {
        let dir = tempfile::tempdir().unwrap();
        let files = FaultFiles::default();
        let store = open_on(&files, dir.path()).unwrap();
        store.append(&batch(&[(0, 1, 1.0), (1, DAY, 2.0)])).unwrap();
        let kept = content(&store);
        files.fail(&[fault(call, path, ErrorKind::Other)]);
        assert!(store.flush().is_err(), "{call:?} {path}");
        assert_eq!(content(&store), kept, "{call:?} {path}");
        assert_eq!(parquet_files(dir.path()), Vec::<PathBuf>::new(), "{call:?} {path}");
        store.append(&batch(&[(0, 2, 1.0)])).unwrap();
        files.fail(&[]);
        store.flush().unwrap();
        assert_eq!(content(&store).len(), 3);
        drop(store);
        let store = Store::open(dir.path(), quiet()).unwrap();
        assert_eq!((content(&store).len(), store.figures().n_block_samples), (3, 3), "{call:?} {path}");
    }
}

#[test]
fn nothing_is_deleted_while_the_new_manifest_is_not_durable() {
    let dir = tempfile::tempdir().unwrap();
    let files = FaultFiles::default();
    let store = open_on(&files, dir.path()).unwrap();
    store.append(&batch(&[(0, 1, 1.0)])).unwrap();
    let root = format!("{}$", dir.path().display()).leak();
    files.fail(&[fault(Call::SyncDir, root, ErrorKind::Other)]);
    store.flush().unwrap();
    assert_eq!((content(&store).len(), store.figures().n_block_samples), (1, 1));
    assert!(dir.path().join("wal/000000000001.wal").exists());
    drop(store);
    files.cut_power(0.0);
    let store = Store::open(dir.path(), quiet()).unwrap();
    // The old manifest is back, and with it the log counts again; the block it does not know is gone.
    assert_eq!((content(&store).len(), store.figures().n_memtable_samples), (1, 1));
    assert_eq!(parquet_files(dir.path()).len(), 0);
}

/// Appends, flushes and merges until something fails; answers what was acknowledged and what was tried.
fn work(store: &Store) -> (Content, Content) {
    let (mut acknowledged, mut tried) = (Content::new(), Content::new());
    for round in 0..6_i64 {
        let samples: Vec<_> =
            (0..3).map(|series| (series, round + DAY * (round % 2), (round * 10) as f64 + series as f64)).collect();
        let rows: Content =
            samples.iter().map(|(series, at, value)| ((key(*series).to_string(), *at), value.to_bits())).collect();
        tried.extend(rows.clone());
        if store.append(&batch(&samples)).is_ok() {
            acknowledged.extend(rows);
        }
        if round % 2 == 1 {
            let _ = store.flush();
        }
        if round == 5 {
            let _ = store.compact();
        }
    }
    (acknowledged, tried)
}

#[test]
fn power_may_go_out_between_any_two_calls() {
    let open = |files: &FaultFiles, dir: &Path| {
        let settings = StoreSettings { max_blocks_per_day: 2, segment_size: 300, ..quiet() };
        Store::open_with(Arc::new(files.clone()), dir, settings)
    };
    let n_calls = {
        let dir = tempfile::tempdir().unwrap();
        let files = FaultFiles::default();
        let store = open(&files, dir.path()).unwrap();
        let (acknowledged, tried) = work(&store);
        assert_eq!(acknowledged, tried);
        assert!(store.figures().n_compactions > 0);
        files.n_calls()
    };
    assert!(n_calls > 100);
    for crash_after in 0..n_calls {
        for keep in [0.0, [0.3, 0.6, 1.0][crash_after as usize % 3]] {
            let dir = tempfile::tempdir().unwrap();
            let files = FaultFiles::default();
            files.crash_after(crash_after);
            let (acknowledged, tried) = match open(&files, dir.path()) {
                Ok(store) => work(&store),
                Err(_) => Default::default(),
            };
            files.cut_power(keep);
            // A second crash, now during recovery.
            let again = FaultFiles::default();
            again.crash_after(crash_after % 17);
            drop(open(&again, dir.path()));
            again.cut_power(keep);

            let case = format!("crash after {crash_after} calls, {keep} of the unsynced kept");
            let store = Store::open(dir.path(), quiet()).unwrap_or_else(|error| panic!("{case}: {error}"));
            let found = content(&store);
            for (sample, value) in &acknowledged {
                assert_eq!(found.get(sample), Some(value), "{case}: {sample:?} is lost");
            }
            for (sample, value) in &found {
                assert_eq!(tried.get(sample), Some(value), "{case}: {sample:?} was invented");
            }
            let figures = store.figures();
            let n_stored = figures.n_block_samples + figures.n_memtable_samples;
            assert_eq!(n_stored, found.len() as u64, "{case}: stored twice");
            assert_eq!(parquet_files(dir.path()).len() as u64, figures.n_blocks, "{case}: strays");
            assert_eq!(figures.n_quarantined, 0, "{case}");
        }
    }
}

#[test]
fn a_failed_write_does_not_cost_what_an_interval_has_promised() {
    let dir = tempfile::tempdir().unwrap();
    let files = FaultFiles::default();
    let settings = StoreSettings { ack: Ack::Interval(Duration::from_secs(3600)), ..quiet() };
    let store = Store::open_with(Arc::new(files.clone()), dir.path(), settings).unwrap();
    store.append(&batch(&[(0, 1, 1.0)])).unwrap();
    let kept = content(&store);
    files.fail(&[fault(Call::Write, "000000000001.wal", ErrorKind::StorageFull)]);
    store.append(&batch(&[(0, 2, 2.0)])).unwrap_err();
    // The segment with the promised sample can never be synced: only a block makes it safe.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while store.figures().n_flushes == 0 {
        assert!(std::time::Instant::now() < deadline, "it is not flushed");
        std::thread::sleep(Duration::from_millis(10));
    }
    files.crash_after(0);
    drop(store);
    files.cut_power(0.0);
    assert_eq!(content(&Store::open(dir.path(), quiet()).unwrap()), kept);
}

#[test]
fn a_day_folder_whose_name_was_not_synced_is_synced_before_the_log_goes() {
    let dir = tempfile::tempdir().unwrap();
    let files = FaultFiles::default();
    let store = open_on(&files, dir.path()).unwrap();
    store.append(&batch(&[(0, 1, 1.0)])).unwrap();
    let kept = content(&store);
    files.fail(&[fault(Call::SyncDir, "blocks$", ErrorKind::Other)]);
    store.flush().unwrap_err();
    files.fail(&[]);
    store.flush().unwrap();
    files.crash_after(0);
    drop(store);
    files.cut_power(0.0);
    assert_eq!(content(&Store::open(dir.path(), quiet()).unwrap()), kept);
}
