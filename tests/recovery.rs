//! `kill -9` at any moment, with a real process and real files; and a disk that is really full.
//!
//! This test binary starts itself as a writer, kills it, opens what it left, and compares with what the writer had
//! been told was stored. 20 rounds; `BAROGRAPH_LONG=1` makes it 200.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use barograph::series::{Batch, DAY, Key, Sample, Selector, TimeRange};
use barograph::storage::{AppendError, Store, StoreSettings};

const N_THREADS: usize = 4;
const N_SERIES: usize = 5;
const DIR: &str = "BAROGRAPH_TEST_WRITER_DIR";
const FIRST: &str = "BAROGRAPH_TEST_WRITER_FIRST";

/// So small that flushes, new segments and merges happen all the time.
fn settings() -> StoreSettings {
    StoreSettings { flush_samples: 400, segment_size: 8 << 10, max_blocks_per_day: 3, ..StoreSettings::default() }
}

/// Batch `number` of a thread: one sample of each of its series, on one of three days.
fn batch(thread: usize, number: i64) -> Batch {
    let sample = Sample { at: (number % 3) * DAY + number, value: number as f64 };
    Batch::from_samples((0..N_SERIES).map(|series| {
        let labels = [("thread", thread.to_string()), ("series", series.to_string())];
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        (Key::from_pairs("work", &labels).unwrap(), sample)
    }))
}

/// Not a test of its own: the process that is killed. Without the variable, which only the parent sets, it is over.
#[test]
fn child_writer() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let first: i64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let store = Arc::new(Store::open(Path::new(&dir), settings()).unwrap());
    let merger = Arc::clone(&store);
    thread::spawn(move || {
        loop {
            merger.compact().unwrap();
            thread::sleep(Duration::from_millis(5));
        }
    });
    let writers: Vec<_> = (0..N_THREADS)
        .map(|thread| {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                for number in first.. {
                    let appended = store.append(&batch(thread, number)).unwrap();
                    assert_eq!((appended.n_accepted, appended.rejected.len()), (N_SERIES, 0));
                    // One write, so that a line is there whole or not at all; straight into the pipe, because what
                    // waits in a buffer when the kill comes was never told.
                    std::io::stderr().write_all(format!("ack {thread} {number}\n").as_bytes()).unwrap();
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
}

/// Runs the writer for a while, kills it, and answers what it was told was stored.
fn run_and_kill(dir: &Path, first: i64, after: Duration) -> BTreeSet<(usize, i64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_writer", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(FIRST, first.to_string())
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = child.stderr.take().unwrap();
    let reader = thread::spawn(move || {
        let mut acknowledged = BTreeSet::new();
        for line in BufReader::new(stderr).lines() {
            let line = line.unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            if let ["ack", thread, number] = words[..] {
                acknowledged.insert((thread.parse().unwrap(), number.parse().unwrap()));
            } else {
                assert!(!line.contains("panicked"), "the writer failed: {line}");
            }
        }
        acknowledged
    });
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

/// Every stored batch number by thread, after checking that each is there whole, once and unchanged.
fn stored(store: &Store) -> BTreeSet<(usize, i64)> {
    let mut n_found = 0;
    let mut n_series_by_batch: BTreeMap<(usize, i64), usize> = BTreeMap::new();
    for series in store.select(&Selector::all(), TimeRange::ALL).unwrap() {
        let thread: usize = series.key.labels().get("thread").unwrap().parse().unwrap();
        for sample in &series.samples {
            let number = sample.value as i64;
            assert_eq!(sample.at, (number % 3) * DAY + number, "{} has a sample nobody sent", series.key);
            *n_series_by_batch.entry((thread, number)).or_default() += 1;
            n_found += 1;
        }
    }
    for (batch, n_series) in &n_series_by_batch {
        assert_eq!(*n_series, N_SERIES, "batch {batch:?} is there in part");
    }
    let figures = store.figures();
    assert_eq!(figures.n_block_samples + figures.n_memtable_samples, n_found, "stored twice: {figures:?}");
    assert_eq!(figures.n_quarantined, 0, "a crash damages nothing: {figures:?}");
    n_series_by_batch.into_keys().collect()
}

fn count_parquet(dir: &Path) -> u64 {
    let days = std::fs::read_dir(dir.join("blocks")).unwrap().map(|day| day.unwrap().path());
    days.map(|day| std::fs::read_dir(day).unwrap().count() as u64).sum()
}

#[test]
fn kill_9_at_any_moment_loses_no_acknowledged_sample() {
    let n_rounds = if std::env::var("BAROGRAPH_LONG").is_ok_and(|long| long == "1") { 200 } else { 20 };
    let dir = tempfile::tempdir().unwrap();
    let mut random = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    println!("seed {random}");
    let (mut acknowledged, mut first) = (BTreeSet::new(), 0);
    let (mut n_flushed, mut n_unacknowledged) = (0, 0);
    for round in 0..n_rounds {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let told = run_and_kill(dir.path(), first, Duration::from_millis(20 + random % 900));
        // Numbers from here on are new: at most one batch per thread was on its way, untold, when the kill came.
        let last = told.iter().map(|(_, number)| *number).max().unwrap_or(first);
        let range = first..last + 1_000_000;
        first = range.end;
        acknowledged.extend(told);
        if round % 3 == 2 {
            // Now and then the next writer finds what two crashes left.
            continue;
        }
        let store = Store::open(dir.path(), settings()).unwrap();
        let stored = stored(&store);
        let lost: Vec<_> = acknowledged.difference(&stored).take(5).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:?}");
        // What is there beyond that was sent, and each writer had one batch under way when it was killed.
        let beyond = stored.difference(&acknowledged).count();
        assert!(beyond <= N_THREADS * (round + 1), "round {round}: {beyond} batches were invented");
        n_unacknowledged = beyond;
        let figures = store.figures();
        assert_eq!(count_parquet(dir.path()), figures.n_blocks, "strays lie between the blocks");
        n_flushed = figures.n_block_samples;
    }
    let n_batches = acknowledged.len();
    println!(
        "{n_rounds} kills: {n_batches} batches acknowledged and kept, {n_unacknowledged} more kept, {n_flushed} samples in blocks"
    );
    assert!(n_batches > 20 * N_THREADS && n_flushed > 0, "the writer hardly worked");
}

/// A mounted file system that is unmounted whatever happens.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn tmpfs(at: &'a Path, size: &str) -> Option<Mount<'a>> {
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Mount(at))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_writes_keeps_reading_and_writes_again_when_there_is_space() {
    let at = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::tmpfs(at.path(), "4m") else {
        println!("skipped: mounting a small tmpfs needs root");
        return;
    };
    let ballast = at.path().join("ballast");
    std::fs::write(&ballast, vec![1; 3 << 20]).unwrap();
    let dir = at.path().join("data");
    let store = Store::open(&dir, StoreSettings { flush_samples: 1_000_000, ..settings() }).unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut n_refused = 0;
    for number in 0..1_000_000 {
        match store.append(&batch(0, number)) {
            Ok(_) => {
                assert_eq!(n_refused, 0, "there is no space, and nothing made some");
                acknowledged.insert((0, number));
            }
            Err(AppendError::DiskFull { .. }) => n_refused += 1,
            Err(error) => panic!("{error}"),
        }
        if n_refused == 20 {
            break;
        }
    }
    assert!(n_refused == 20 && acknowledged.len() > 1_000, "{n_refused} refused, {} stored", acknowledged.len());
    assert!(store.flush().is_err());
    assert_eq!(stored(&store), acknowledged);

    // A start on a full disk must serve what there is.
    drop(store);
    let store = Store::open(&dir, StoreSettings { flush_samples: 1_000_000, ..settings() }).unwrap();
    assert!(stored(&store).is_superset(&acknowledged));
    assert!(matches!(store.append(&batch(0, 0)), Err(AppendError::DiskFull { .. })));

    std::fs::remove_file(&ballast).unwrap();
    store.append(&batch(1, 7)).unwrap();
    acknowledged.insert((1, 7));
    store.flush().unwrap();
    assert!(stored(&store).is_superset(&acknowledged));
    assert_eq!(store.figures().n_memtable_samples, 0);
    store.close().unwrap();
    let store = Store::open(&dir, settings()).unwrap();
    assert!(stored(&store).is_superset(&acknowledged));
}

#[test]
fn a_second_process_is_refused_while_the_first_runs() {
    let dir = tempfile::tempdir().unwrap();
    let held = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // The writer process holds the lock from its start; look until it does.
            for _ in 0..100 {
                thread::sleep(Duration::from_millis(20));
                if let Err(error) = Store::open(dir.path(), settings()) {
                    let text = error.to_string();
                    assert!(text.contains("in use by another process") && text.contains("--data"), "{text}");
                    held.store(true, Ordering::Relaxed);
                    break;
                }
            }
        });
        run_and_kill(dir.path(), 0, Duration::from_millis(2_500));
    });
    assert!(held.load(Ordering::Relaxed));
    Store::open(dir.path(), settings()).unwrap();
}
