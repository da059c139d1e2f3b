//! The store as a whole, against a model of it and under every failure the file layer can give.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::files::Disk;
use super::files::fault::FaultFiles;
use super::*;
use crate::series::{Batch, Key, Millis, Sample, Selector, TimeRange};

mod bugs;
mod damage;
mod deletes;
mod faults;
mod formats;
mod fsck;
mod memory;
mod model;
mod snapshots;
mod tiers;

pub(super) const DAY: Millis = crate::series::DAY;

/// Value bits by series and time, so that NaN payloads count.
pub(super) type Content = BTreeMap<(String, Millis), u64>;

/// A store in which nothing happens by itself.
pub(super) fn quiet() -> StoreSettings {
    StoreSettings { flush_samples: usize::MAX >> 4, flush_interval: Millis::MAX, ..StoreSettings::default() }
}

pub(super) fn open_on(files: &FaultFiles, dir: &Path) -> Result<Store, OpenError> {
    Store::open_with(Arc::new(files.clone()), dir, quiet())
}

pub(super) fn key(number: usize) -> Key {
    let (metric, host) = (["cpu", "disk"][number % 2], format!("host-{number}"));
    Key::from_pairs(metric, &[("host", &host), ("job", "node")]).unwrap()
}

pub(super) fn batch(samples: &[(usize, Millis, f64)]) -> Batch {
    Batch::from_samples(samples.iter().map(|(series, at, value)| (key(*series), Sample { at: *at, value: *value })))
}

pub(super) fn content(store: &Store) -> Content {
    let series = store.select(&Selector::all(), TimeRange::ALL).unwrap();
    let rows = series.iter().flat_map(|series| {
        series.samples.iter().map(|sample| ((series.key.to_string(), sample.at), sample.value.to_bits()))
    });
    rows.collect()
}

pub(super) fn parquet_files(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir.join("blocks")).unwrap() {
        found.extend(std::fs::read_dir(entry.unwrap().path()).unwrap().map(|entry| entry.unwrap().path()));
    }
    found.sort();
    found
}

#[test]
fn samples_are_found_in_memory_in_blocks_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.append(&batch(&[(0, 10, 1.0), (1, 10, 2.0), (0, 20, 3.0)])).unwrap();
    store.flush().unwrap();
    store.append(&batch(&[(0, 20, 4.0), (0, 15, 5.0), (2, DAY + 5, 6.0)])).unwrap();
    let check = |store: &Store| {
        let found = store.select(&Selector::metric("cpu"), TimeRange::new(10, 2 * DAY).unwrap()).unwrap();
        let samples: Vec<Vec<(Millis, f64)>> =
            found.iter().map(|series| series.samples.iter().map(|s| (s.at, s.value)).collect()).collect();
        assert_eq!(samples, [vec![(10, 1.0), (15, 5.0), (20, 4.0)], vec![(DAY + 5, 6.0)]]);
        assert_eq!(store.keys(&Selector::all(), TimeRange::new(0, 100).unwrap()).unwrap().len(), 2);
        assert_eq!(store.label_names(&Selector::all(), TimeRange::ALL).unwrap(), ["__name__", "host", "job"]);
        let hosts = store.label_values("host", &Selector::metric("cpu"), TimeRange::ALL).unwrap();
        assert_eq!(hosts, ["host-0", "host-2"]);
    };
    check(&store);
    store.flush().unwrap();
    check(&store);
    drop(store);
    let store = Store::open(dir.path(), quiet()).unwrap();
    check(&store);
    assert_eq!(parquet_files(dir.path()).len(), 3);
    store.close().unwrap();
    store.close().unwrap();
    check(&store);
    assert!(matches!(store.append(&batch(&[(0, 1, 1.0)])), Err(AppendError::Closed)));
}

#[test]
fn a_flush_of_one_block_inside_the_gaps_of_another_writes_every_sample_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    // By windows of two hours; the fifth is large enough for a block of its own, the others share one around it.
    let window = DAY / 12;
    let few = [0, 1, 3, 7].map(|number| number * window + 7);
    let mut times: Vec<Millis> = few.into_iter().chain((0..1_000).map(|n| 5 * window + n)).collect();
    times.sort_unstable();
    let in_order = times.iter().map(|at| (0, *at, *at as f64));
    // Of the other series the last ones come first, and one comes twice.
    let late = times.iter().rev().chain(&times[..1]).map(|at| (1, *at, -(*at as f64)));
    store.append(&batch(&in_order.chain(late).collect::<Vec<_>>())).unwrap();
    let before = content(&store);
    assert_eq!(before.len(), 2 * times.len());
    store.flush().unwrap();
    assert_eq!(parquet_files(dir.path()).len(), 2);
    assert_eq!(store.figures().n_block_samples, before.len() as u64);
    assert_eq!(content(&store), before);
}

#[test]
fn what_cannot_be_stored_is_rejected_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreSettings { max_series: 2, ..quiet() }).unwrap();
    let nanoseconds = 1_700_000_000_000_000_000;
    let samples = [(0, 1, 1.0), (1, Millis::MIN, 2.0), (2, 1, 3.0), (0, nanoseconds, 4.0), (1, 1, 5.0)];
    let appended = store.append(&batch(&samples)).unwrap();
    assert_eq!(appended.n_accepted, 2);
    let rejected: Vec<usize> = appended.rejected.iter().map(|(idx, _)| *idx).collect();
    assert_eq!(rejected, [1, 2, 3]);
    assert!(appended.rejected[1].1.contains("2 active series"), "{}", appended.rejected[1].1);
    assert!(appended.rejected[2].1.contains("nanoseconds"), "{}", appended.rejected[2].1);
    let figures = store.figures();
    assert_eq!((figures.n_appended, figures.n_rejected, figures.n_series), (2, 3, 2));
}

#[test]
fn quiet_series_make_room_for_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreSettings { max_series: 2, ..quiet() }).unwrap();
    for round in 0..6 {
        let appended = store.append(&batch(&[(0, round, 1.0), (1 + round as usize / 3, round, 1.0)])).unwrap();
        // Series 1 was in the memtables of rounds 0 to 2, so it goes when that of round 4 is frozen.
        assert_eq!(appended.n_accepted, if (3..5).contains(&round) { 1 } else { 2 }, "round {round}");
        store.flush().unwrap();
    }
    assert_eq!(content(&store).len(), 10);
}

#[test]
fn a_second_process_is_refused_and_an_unusable_directory_explained() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    assert!(matches!(Store::open(dir.path(), quiet()), Err(OpenError::Locked { .. })));
    drop(store);
    Store::open(dir.path(), quiet()).unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Store::open(&file, quiet()).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
    assert!(matches!(
        Store::open(dir.path(), StoreSettings { flush_samples: 0, ..quiet() }),
        Err(OpenError::Setting { name: "flush_samples", .. })
    ));
}

#[test]
fn concurrent_appends_share_commits_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings { flush_samples: 500, segment_size: 4096, ..quiet() };
    let store = Arc::new(Store::open(dir.path(), settings).unwrap());
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                for round in 0..50 {
                    let samples: Vec<_> = (0..5).map(|series| (thread * 5 + series, round, round as f64)).collect();
                    assert_eq!(store.append(&batch(&samples)).unwrap().n_accepted, 5);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(content(&store).len(), 8 * 50 * 5);
    store.close().unwrap();
    assert_eq!(store.figures().n_memtable_samples, 0);
    assert_eq!(store.figures().wal_bytes, 0);
    assert!(store.figures().n_commits <= 400);
    drop(store);
    assert_eq!(content(&Store::open(dir.path(), quiet()).unwrap()).len(), 8 * 50 * 5);
}

#[test]
fn every_way_to_acknowledge_keeps_samples_over_a_restart() {
    for ack in [Ack::Fsync, Ack::Interval(Duration::from_millis(20)), Ack::None] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreSettings { ack, ..quiet() }).unwrap();
        store.append(&batch(&[(0, 1, 1.0)])).unwrap();
        std::thread::sleep(Duration::from_millis(60));
        let n_fsyncs = store.figures().n_fsyncs;
        assert_eq!(n_fsyncs > 0, ack != Ack::None, "{ack}");
        store.append(&batch(&[(0, 2, 1.0)])).unwrap();
        drop(store);
        assert_eq!(content(&Store::open(dir.path(), quiet()).unwrap()).len(), 2, "{ack}");
    }
}

#[test]
fn blocks_of_a_day_are_merged_and_the_later_value_stays() {
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings { max_blocks_per_day: 3, ..quiet() };
    let store = Store::open(dir.path(), settings).unwrap();
    let today = shared::now();
    for round in 0..12 {
        let at = today + round;
        store.append(&batch(&[(0, today, round as f64), (1, at, 1.0), (2 + round as usize, at, 1.0)])).unwrap();
        store.flush().unwrap();
    }
    let before = content(&store);
    store.compact().unwrap();
    assert_eq!(content(&store), before);
    assert_eq!(before[&(key(0).to_string(), today)], 11f64.to_bits());
    let figures = store.figures();
    assert!(figures.n_blocks <= 6 && figures.n_compactions > 0, "{figures:?}");
    assert_eq!(parquet_files(dir.path()).len() as u64, figures.n_blocks);
    drop(store);
    assert_eq!(content(&Store::open(dir.path(), quiet()).unwrap()), before);
}

#[test]
fn retention_counts_from_the_newest_sample_when_the_clock_has_jumped() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreSettings { retention: Some(10 * DAY), ..quiet() }).unwrap();
    store.append(&batch(&[(0, 0, 1.0), (0, 5 * DAY, 1.0), (0, 12 * DAY, 1.0)])).unwrap();
    store.flush().unwrap();
    // Today is decades later: only what is ten days older than the newest sample may go.
    for _ in 0..200 {
        if store.figures().n_blocks == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(content(&store).into_keys().map(|(_, at)| at).collect::<Vec<_>>(), [5 * DAY, 12 * DAY]);
    assert_eq!(parquet_files(dir.path()).len(), 2);
}

#[test]
fn the_oldest_blocks_go_when_all_are_too_large_and_the_log_never() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    for day in [3, 1, 2, 5, 4] {
        let samples = (0..2_000).map(|at| (key(0), Sample { at: day * DAY + at, value: (at * 7919 % 1013) as f64 }));
        store.append(&Batch::from_samples(samples)).unwrap();
        store.flush().unwrap();
    }
    let block_bytes = store.figures().block_bytes;
    store.append(&batch(&[(0, 1, 1.0), (0, 9 * DAY, 1.0)])).unwrap();
    drop(store);
    let check = |retention_size, retention, expected: &[Millis]| {
        let settings = StoreSettings { retention_size: Some(retention_size), retention, ..quiet() };
        let store = Store::open(dir.path(), settings).unwrap();
        let days = |store: &Store| {
            let days: std::collections::BTreeSet<_> =
                content(store).into_keys().map(|(_, at)| at.div_euclid(DAY)).collect();
            days.into_iter().collect::<Vec<_>>()
        };
        for _ in 0..200 {
            if days(&store) == expected {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // And stays so.
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(days(&store), expected, "{retention_size} {retention:?}");
    };
    check(10 * block_bytes, None, &[0, 1, 2, 3, 4, 5, 9]);
    check(block_bytes * 7 / 10, None, &[0, 3, 4, 5, 9]);
    check(block_bytes * 7 / 10, Some(DAY * 3 / 2), &[0, 4, 5, 9]);
    check(1, None, &[0, 5, 9]);
}

#[test]
fn a_large_series_spans_row_groups_and_is_read_in_part() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let n = 300_000;
    let rows = (0..n).map(|at| (key(0), Sample { at, value: (at % 7) as f64 }));
    store
        .append(&Batch::from_samples(
            rows.chain([(key(1), Sample { at: 3, value: 0.5 }), (key(2), Sample { at: 9, value: 1.5 })]),
        ))
        .unwrap();
    store.flush().unwrap();
    let found = store.select(&Selector::metric("cpu"), TimeRange::new(262_000, 262_300).unwrap()).unwrap();
    assert_eq!(found.len(), 1);
    let expected: Vec<Sample> = (262_000..262_300).map(|at| Sample { at, value: (at % 7) as f64 }).collect();
    assert_eq!(found[0].samples, expected);
    let found = store.select(&Selector::all(), TimeRange::ALL).unwrap();
    let lens: Vec<usize> = found.iter().map(|series| series.samples.len()).collect();
    assert_eq!(lens, [n as usize, 1, 1]);
}

#[test]
fn what_is_not_a_live_block_does_not_stay_between_the_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.append(&batch(&[(0, 1, 1.0)])).unwrap();
    store.flush().unwrap();
    drop(store);
    let block = parquet_files(dir.path()).remove(0);
    // A copy under another block's name, as a crash cannot leave it, and something of the user's.
    std::fs::copy(&block, block.with_file_name("01ARZ3NDEKTSV4RRFFQ69G5FAV.parquet")).unwrap();
    std::fs::write(block.with_file_name("notes.txt"), "mine").unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    assert_eq!(parquet_files(dir.path()), [block]);
    assert_eq!((content(&store).len(), store.figures().n_quarantined), (1, 2));
    assert_eq!(std::fs::read_dir(dir.path().join("quarantine")).unwrap().count(), 2);
}

#[test]
fn a_directory_works_through_the_plain_file_layer() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_with(Arc::new(Disk), dir.path(), quiet()).unwrap();
    assert!(store.select(&Selector::all(), TimeRange::ALL).unwrap().is_empty());
    store.flush().unwrap();
    assert_eq!(store.figures(), Figures::default());
}
