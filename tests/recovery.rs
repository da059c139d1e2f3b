//! `kill -9` at any moment, with a real process and real files; and a disk that is really full.
//!
//! This test binary starts itself as a writer, kills it, opens what it left, and compares with what the writer had
//! been told was stored and deleted, and what its retention said it takes. 20 rounds; `BAROGRAPH_LONG=1` makes it 200.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use barograph::series::{Selector, TimeRange};
use barograph::storage::{AppendError, Store, StoreSettings};

#[path = "recovery/told.rs"]
mod told;
#[path = "recovery/work.rs"]
mod work;

use told::Told;
use work::{N_SERIES, N_THREADS, batch, settings};

const DIR: &str = "BAROGRAPH_TEST_WRITER_DIR";
const FIRST: &str = "BAROGRAPH_TEST_WRITER_FIRST";
const ROUND: &str = "BAROGRAPH_TEST_WRITER_ROUND";
// Between two rounds, so that retention by age has something to do however slow the machine.
const PAUSE: i64 = 800;

/// Not a test of its own: the process that is killed. Without the variable, which only the parent sets, it is over.
#[test]
fn child_writer() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let number = |name| std::env::var(name).unwrap().parse::<i64>().unwrap();
    work::run(Path::new(&dir), number(FIRST), number(ROUND) as usize);
}

/// Runs the writer for a while, kills it, and notes what it said.
fn run_and_kill(dir: &Path, first: i64, round: usize, after: Duration, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_writer", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(FIRST, first.to_string())
        .env(ROUND, round.to_string())
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = child.stderr.take().unwrap();
    let reader = thread::spawn(move || BufReader::new(stderr).lines().map(Result::unwrap).collect::<Vec<_>>());
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap().iter().for_each(|line| told.hear(line));
}

fn count_parquet(dir: &Path) -> u64 {
    let days = std::fs::read_dir(dir.join("blocks")).unwrap().map(|day| day.unwrap().path());
    days.map(|day| std::fs::read_dir(day).unwrap().count() as u64).sum()
}

#[test]
fn kill_9_at_any_moment_loses_doubles_and_brings_back_nothing() {
    let n_rounds = if std::env::var("BAROGRAPH_LONG").is_ok_and(|long| long == "1") { 200 } else { 20 };
    let dir = tempfile::tempdir().unwrap();
    let mut random = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    println!("seed {random}");
    let mut told = Told::default();
    let mut n_in_blocks = 0;
    for round in 0..n_rounds {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Numbers from here on are new: at most one batch per thread was on its way, untold, when the kill came.
        let first = told.last() + PAUSE;
        run_and_kill(dir.path(), first, round, Duration::from_millis(20 + random % 900), &mut told);
        if round % 3 == 2 {
            // Now and then the next writer finds what two crashes left.
            continue;
        }
        let store = Store::open(dir.path(), settings()).unwrap();
        told.check(&store, round + 1);
        let figures = store.figures();
        assert_eq!(figures.n_quarantined, 0, "a crash damages nothing: {figures:?}");
        assert_eq!(count_parquet(dir.path()), figures.n_blocks, "strays lie between the blocks");
        if round % 3 == 1 {
            // Once what is deleted is off the disk, every sample counts once.
            store.compact().unwrap();
            let n_found = told.check(&store, round + 1);
            let figures = store.figures();
            assert_eq!(figures.n_block_samples + figures.n_memtable_samples, n_found, "stored twice: {figures:?}");
            n_in_blocks = figures.n_block_samples;
        }
    }
    let Told { acknowledged, n_deletes, n_retired_by_age, n_retired_by_size, n_beyond, .. } = &told;
    println!(
        "{n_rounds} kills: {} batches acknowledged and {n_deletes} deletes; {n_retired_by_age} times blocks went by \
         age, {n_retired_by_size} times by size; {n_beyond} batches beyond are there, {n_in_blocks} samples in blocks",
        acknowledged.len()
    );
    assert!(acknowledged.len() > 20 * N_THREADS && n_in_blocks > 0, "the writer hardly worked");
    assert!(*n_deletes > 0 && *n_retired_by_age > 0 && *n_retired_by_size > 0, "something was never put to the test");
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

/// The batches in the store, each of them whole.
fn stored(store: &Store) -> BTreeSet<(usize, i64)> {
    let mut found: Vec<(usize, i64)> = Vec::new();
    for series in store.select(&Selector::all(), TimeRange::ALL).unwrap() {
        let thread = series.key.labels().get("thread").unwrap().parse().unwrap();
        found.extend(series.samples.iter().map(|sample| (thread, sample.value as i64)));
    }
    found.sort_unstable();
    let batches = found.chunk_by(|a, b| a == b);
    batches
        .inspect(|batch| assert_eq!(batch.len(), N_SERIES, "{:?} is there in part", batch[0]))
        .map(|batch| batch[0])
        .collect()
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
            // The writer process takes the lock before it makes anything; not to take it first, look for that.
            for _ in 0..100 {
                thread::sleep(Duration::from_millis(20));
                if dir.path().join("wal").exists()
                    && let Err(error) = Store::open(dir.path(), settings())
                {
                    let text = error.to_string();
                    assert!(text.contains("in use by another process") && text.contains("--data"), "{text}");
                    held.store(true, Ordering::Relaxed);
                    break;
                }
            }
        });
        run_and_kill(dir.path(), 0, 0, Duration::from_millis(2_500), &mut Told::default());
    });
    assert!(held.load(Ordering::Relaxed));
    Store::open(dir.path(), settings()).unwrap();
}
