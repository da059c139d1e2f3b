//! Bugs that other stores had, each as a test that it is not one of ours.
//!
//! | where it happened | what happened | here |
//! |---|---|---|
//! | prometheus #16074 | one bad page of the log stalls compaction, and a replay then deletes what came before | [`damage_in_the_log_stops_neither_flush_nor_merge`], `damage::damage_in_one_segment_leaves_the_others` |
//! | prometheus #7835 | after a full disk, writes go into the damaged segment and are dropped later | `faults::a_failed_write_or_sync_is_not_acknowledged_and_its_segment_not_used_again`, [`any_single_call_may_fail`] |
//! | prometheus #7245 | a start on a full disk wipes the database | [`a_start_that_fails_anywhere_changes_nothing`], `tests/recovery.rs`: `a_full_disk_…` |
//! | prometheus #4058 | a metadata file of length zero | `damage::a_missing_or_damaged_manifest_is_made_again_from_the_blocks`, `fsck::every_file_may_have_changed_anywhere` |
//! | prometheus #8125 | a page written in part | `damage::the_log_may_be_cut_at_every_byte` |
//! | prometheus #16060 | samples whose series record a checkpoint has dropped | [`every_segment_can_be_replayed_alone`] |
//! | prometheus #19016 | out-of-order samples lost by a compaction and a restart | [`late_samples_survive_merges_and_restarts`], `model` |
//! | prometheus #19699 | a buffer of a failed write used again damages the log | [`a_failed_write_leaves_nothing_of_itself_in_the_next`] |
//! | prometheus #19289, mimir #3212 | a mapped file on a full disk ends the process | nothing is mapped; `tests/recovery.rs`: `a_full_disk_…` on a real file system |
//! | mimir #1149 | a read-only disk still accepts samples | [`a_read_only_disk_accepts_nothing_and_goes_on_answering`] |
//! | slatedb #1625 | a crash during a replay moves its boundary past what was not replayed | [`a_crash_during_a_replay_skips_nothing`] |
//! | greptimedb #1613 | sequence numbers jump back after a restart | [`numbers_never_jump_back`] |
//! | greptimedb #8913, #8775 | one message that does not decode spoils a pooled decoder | `ingest::remote_write`'s tests; `tests/http/bad_input.rs` |
//! | otel-arrow #1951 | a log that is written and never read | `tests/recovery.rs`: `kill_9_…` |
//! | VictoriaMetrics #11192 | metadata replaced in two steps | `faults::power_may_go_out_between_any_two_calls` |
//! | nodedb #172 | a replay doubles samples after an orderly restart | [`nothing_is_doubled_between_a_published_block_and_the_end_of_its_log`] |
//! | influxdb #25902, #26556 | damaged files of the log are skipped with no more than a line in the log | `damage::damage_in_one_segment_leaves_the_others`: counted and kept for a person; `fsck::every_file_may_have_changed_anywhere` |
//! | influxdb 3 | a file of the log on a local disk is acknowledged before it is synced | `faults::power_may_go_out_between_any_two_calls` |
//! | lix #1394 | a kill loses acknowledged commits | `tests/recovery.rs`: `kill_9_…` |
//! | (no one's) | clocks that jump | [`a_clock_that_jumps_deletes_nothing_and_merges_nothing_wrongly`], `retention_counts_from_the_newest_sample_…` |

use std::io::ErrorKind;

use super::super::files::fault::{Call, Fault};
use super::*;

fn times(store: &Store) -> Vec<Millis> {
    content(store).into_keys().map(|(_, at)| at).collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(dir.join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn damage_in_the_log_stops_neither_flush_nor_merge() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    (0..5).for_each(|at| drop(store.append(&batch(&[(0, at, 1.0)])).unwrap()));
    drop(store);
    let segment = segments(dir.path()).remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&segment, bytes).unwrap();
    let store = Store::open(dir.path(), StoreSettings { max_blocks_per_day: 2, ..quiet() }).unwrap();
    assert_eq!((times(&store).len(), store.figures().n_quarantined), (4, 1));
    for at in 10..14 {
        store.append(&batch(&[(0, at, 1.0)])).unwrap();
        store.flush().unwrap();
    }
    store.compact().unwrap();
    let expected = times(&store);
    assert_eq!(expected.len(), 8);
    drop(store);
    assert_eq!(times(&Store::open(dir.path(), quiet()).unwrap()), expected);
}

#[test]
fn a_start_that_fails_anywhere_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.append(&batch(&[(0, 1, 1.0)])).unwrap();
    store.flush().unwrap();
    store.append(&batch(&[(0, 2, 1.0)])).unwrap();
    drop(store);
    for call in [Call::Create, Call::Write, Call::Sync, Call::Rename, Call::Remove, Call::SyncDir] {
        for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
            let files = FaultFiles::default();
            files.fail(&[Fault { call, path: "", kind }]);
            if let Ok(store) = open_on(&files, dir.path()) {
                assert_eq!(times(&store), [1, 2], "{call:?} {kind:?}");
            }
            files.fail(&[]);
            assert_eq!(times(&open_on(&files, dir.path()).unwrap()), [1, 2], "{call:?} {kind:?}");
        }
    }
}

#[test]
fn any_single_call_may_fail() {
    // Appends, flushes, merges and deletes; answers what must be there and what may be.
    let work = |store: &Store| -> (Content, Content) {
        let (mut told, mut tried) = (Content::new(), Content::new());
        for round in 0..4_i64 {
            let samples: Vec<_> = (0..3).map(|series| (series, round + DAY * (round % 2), round as f64)).collect();
            let rows: Content =
                samples.iter().map(|(series, at, value)| ((key(*series).to_string(), *at), value.to_bits())).collect();
            tried.extend(rows.clone());
            if store.append(&batch(&samples)).is_ok() {
                told.extend(rows);
            }
            if round % 2 == 1 {
                let _ = store.flush();
            }
        }
        let _ = store.delete(&Selector::exactly(&key(2)), TimeRange::ALL);
        told.retain(|(name, _), _| *name != key(2).to_string());
        let _ = store.compact();
        (told, tried)
    };
    let settings = || StoreSettings { max_blocks_per_day: 2, segment_size: 300, ..quiet() };
    let open = |files: &FaultFiles, dir: &Path| Store::open_with(Arc::new(files.clone()), dir, settings());
    let n_calls = {
        let (dir, files) = (tempfile::tempdir().unwrap(), FaultFiles::default());
        work(&open(&files, dir.path()).unwrap());
        files.n_calls()
    };
    for at in 0..n_calls {
        let kind = [ErrorKind::StorageFull, ErrorKind::Other][at as usize % 2];
        let (dir, files) = (tempfile::tempdir().unwrap(), FaultFiles::default());
        files.fail_once(at, kind);
        // A start that fails is tried again, as whoever runs it does.
        let store = open(&files, dir.path()).or_else(|_| open(&files, dir.path())).unwrap();
        let (told, tried) = work(&store);
        let case = format!("call {at} fails with {kind:?}");
        let check = |store: &Store| {
            let found = content(store);
            for (sample, value) in &told {
                assert_eq!(found.get(sample), Some(value), "{case}: {sample:?} is lost");
            }
            for (sample, value) in &found {
                assert_eq!(tried.get(sample), Some(value), "{case}: {sample:?} was invented");
            }
        };
        check(&store);
        store.flush().unwrap();
        store.compact().unwrap();
        check(&store);
        drop(store);
        let store = Store::open(dir.path(), quiet()).unwrap();
        check(&store);
        assert_eq!(store.figures().n_quarantined, 0, "{case}");
        drop(store);
        let report = fsck(dir.path()).unwrap();
        assert!(report.findings.is_empty(), "{case}: {:?}", report.findings);
    }
}

#[test]
fn every_segment_can_be_replayed_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreSettings { segment_size: 1, ..quiet() }).unwrap();
    (0..4).for_each(|at| drop(store.append(&batch(&[(0, at, 1.0), (1, at, 1.0)])).unwrap()));
    drop(store);
    for segment in segments(dir.path()) {
        let alone = tempfile::tempdir().unwrap();
        std::fs::create_dir(alone.path().join("wal")).unwrap();
        std::fs::copy(&segment, alone.path().join("wal").join(segment.file_name().unwrap())).unwrap();
        assert_eq!(times(&Store::open(alone.path(), quiet()).unwrap()).len(), 2, "{}", segment.display());
    }
}

#[test]
fn late_samples_survive_merges_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let settings = || StoreSettings { max_blocks_per_day: 2, ..quiet() };
    let today = shared::now();
    let mut expected = Content::new();
    for round in 0..8_i64 {
        let store = Store::open(dir.path(), settings()).unwrap();
        // Ever earlier, and over what is there.
        let samples: Vec<_> = (0..5).map(|n| (0, today - round * 3 + n, (round * 10 + n) as f64)).collect();
        store.append(&batch(&samples)).unwrap();
        expected.extend(samples.iter().map(|(_, at, value)| ((key(0).to_string(), *at), value.to_bits())));
        if round % 3 != 0 {
            store.flush().unwrap();
        }
        store.compact().unwrap();
        assert_eq!(content(&store), expected, "round {round}");
        drop(store);
        assert_eq!(content(&Store::open(dir.path(), settings()).unwrap()), expected, "round {round}, restarted");
    }
}

#[test]
fn a_failed_write_leaves_nothing_of_itself_in_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let files = FaultFiles::default();
    let store = open_on(&files, dir.path()).unwrap();
    for round in 0..5 {
        files.fail(&[Fault { call: Call::Write, path: ".wal", kind: ErrorKind::StorageFull }]);
        let refused: Vec<_> = (0..200).map(|n| (n % 7, 1_000 * round + 500 + n as i64, -1.0)).collect();
        assert!(store.append(&batch(&refused)).is_err());
        files.fail(&[]);
        store.append(&batch(&[(0, round, round as f64), (1, round, round as f64)])).unwrap();
    }
    let told = content(&store);
    assert_eq!(told.len(), 10);
    drop(store);
    let store = Store::open(dir.path(), quiet()).unwrap();
    assert_eq!((content(&store), store.figures().n_quarantined), (told, 0));
}

#[test]
fn a_read_only_disk_accepts_nothing_and_goes_on_answering() {
    let dir = tempfile::tempdir().unwrap();
    let files = FaultFiles::default();
    let store = open_on(&files, dir.path()).unwrap();
    store.append(&batch(&[(0, 1, 1.0)])).unwrap();
    let calls = [Call::Create, Call::Write, Call::Sync, Call::Rename, Call::Remove, Call::SyncDir];
    files.fail(&calls.map(|call| Fault { call, path: "", kind: ErrorKind::ReadOnlyFilesystem }));
    for _ in 0..3 {
        assert!(store.append(&batch(&[(0, 2, 1.0)])).is_err());
        assert!(store.flush().is_err() && store.snapshot().is_err());
        assert!(store.delete(&Selector::all(), TimeRange::ALL).is_err());
        assert_eq!(times(&store), [1]);
    }
    files.fail(&[]);
    store.append(&batch(&[(0, 3, 1.0)])).unwrap();
    assert_eq!(times(&store), [1, 3]);
}

#[test]
fn a_crash_during_a_replay_skips_nothing() {
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreSettings { segment_size: 1, ..quiet() }).unwrap();
        store.append(&batch(&[(0, 0, 1.0)])).unwrap();
        store.flush().unwrap();
        (1..6).for_each(|at| drop(store.append(&batch(&[(0, at, 1.0)])).unwrap()));
        dir
    };
    let n_calls = {
        let (dir, files) = (make(), FaultFiles::default());
        drop(open_on(&files, dir.path()).unwrap());
        files.n_calls()
    };
    for crash_after in 0..=n_calls {
        let dir = make();
        for round in 0..3 {
            let files = FaultFiles::default();
            files.crash_after(crash_after + round);
            if let Ok(store) = open_on(&files, dir.path()) {
                let _ = store.append(&batch(&[(0, 100, 1.0)]));
                let _ = store.flush();
            }
            files.cut_power(0.5);
        }
        let store = Store::open(dir.path(), quiet()).unwrap();
        assert_eq!(times(&store)[..6], [0, 1, 2, 3, 4, 5], "crash after {crash_after} calls");
    }
}

#[test]
fn numbers_never_jump_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut last_segment, mut sequences) = (PathBuf::new(), Vec::new());
    for round in 0..6_i64 {
        let store = Store::open(dir.path(), quiet()).unwrap();
        store.append(&batch(&[(0, 7, round as f64)])).unwrap();
        let segment = segments(dir.path()).pop().unwrap();
        assert!(segment > last_segment, "round {round}: a segment's number was used again");
        last_segment = segment;
        store.flush().unwrap();
        let blocks = store.keeper().state.lock().manifest.blocks.clone();
        let newest = blocks.iter().map(|entry| entry.sequence).max().unwrap();
        assert!(sequences.iter().all(|before| *before < newest), "round {round}");
        sequences.push(newest);
        assert_eq!(content(&store).into_values().collect::<Vec<_>>(), [(round as f64).to_bits()]);
        drop(store);
        if round == 3 {
            std::fs::remove_file(dir.path().join("manifest.json")).unwrap();
            last_segment = PathBuf::new();
        }
    }
}

#[test]
fn nothing_is_doubled_between_a_published_block_and_the_end_of_its_log() {
    for is_orderly in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let files = FaultFiles::default();
        let store = open_on(&files, dir.path()).unwrap();
        store.append(&batch(&[(0, 1, 1.0), (1, 1, 1.0)])).unwrap();
        files.fail(&[Fault { call: Call::Remove, path: ".wal", kind: ErrorKind::Other }]);
        if is_orderly {
            store.close().unwrap();
        } else {
            store.flush().unwrap();
        }
        drop(store);
        assert_eq!(segments(dir.path()).len(), 1, "the segment was to outlive its block");
        for _ in 0..2 {
            let store = Store::open(dir.path(), quiet()).unwrap();
            let figures = store.figures();
            assert_eq!((figures.n_block_samples, figures.n_memtable_samples, figures.n_replayed), (2, 0, 0));
            assert_eq!(segments(dir.path()).len(), 0);
        }
    }
}

#[test]
fn a_clock_that_jumps_deletes_nothing_and_merges_nothing_wrongly() {
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings { retention: Some(30 * DAY), retention_5m: Some(60 * DAY), ..quiet() };
    let store = Store::open(dir.path(), settings).unwrap();
    let today = shared::now();
    store.append(&batch(&[(0, today - 20 * DAY, 1.0), (0, today, 2.0)])).unwrap();
    store.flush().unwrap();
    store.append(&batch(&[(0, today - 20 * DAY + 1, 3.0)])).unwrap();
    store.flush().unwrap();
    let expected = content(&store);
    for now in [today + 10_000 * DAY, today - 10_000 * DAY, 0, Millis::MIN / 2, Millis::MAX / 2, today] {
        store.keeper().retire(now).unwrap();
        store.keeper().merge_all_at(now, true).unwrap();
        store.keeper().downsample(now).unwrap();
        assert_eq!(content(&store), expected, "{now}");
    }
    drop(store);
    assert!(fsck(dir.path()).unwrap().findings.is_empty());
}
