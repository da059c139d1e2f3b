//! How fast are blocks merged, and how small is what comes out?
//!
//! A day of 1,000 series at 15 s in twelve blocks of 2 hours, which become one that stays: a third of the series
//! stands still, a third counts, a third is noisy with four digits. Prints bytes per sample before and after.

use std::fs;
use std::path::Path;
use std::time::Duration;

use barograph::series::{Batch, DAY, HOUR, Key, Sample};
use barograph::storage::{Ack, Store, StoreSettings};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;

const N_SERIES: usize = 1_000;
const STEP: i64 = 15_000;
// Midnight.
const START: i64 = 1_700_006_400_000;

fn settings() -> StoreSettings {
    // So many blocks may stay that nothing is merged before it is asked for.
    StoreSettings { ack: Ack::None, flush_samples: 1 << 40, max_blocks_per_day: 1_000, ..StoreSettings::default() }
}

fn value(series: usize, step: i64) -> f64 {
    // A cheap hash for noise: the same values in every run.
    let noise = (series as i64 * 7_919 + step * 104_729) % 1_000_003;
    match series % 3 {
        0 => (step / 400) as f64,
        1 => (step * (series as i64 % 50 + 1) + noise % 7) as f64,
        _ => (noise % 10_000) as f64 / 10_000.0,
    }
}

fn fill(dir: &Path) {
    let store = Store::open(dir, settings()).expect("opens");
    let keys = (0..N_SERIES).map(|series| {
        let (instance, device) = (format!("10.0.0.{}:9100", series / 20), format!("sd{}", series % 20));
        Key::from_pairs("node_disk_io_time_seconds", &[("device", &device), ("instance", &instance), ("job", "node")])
    });
    let keys: Vec<Key> = keys.map(|key| key.expect("valid labels")).collect();
    for step in 0..DAY / STEP {
        let at = START + step * STEP;
        let rows =
            keys.iter().enumerate().map(|(series, key)| (key.clone(), Sample { at, value: value(series, step) }));
        store.append(&Batch::from_samples(rows)).expect("stored");
        if (at + STEP) % (2 * HOUR) == 0 {
            store.flush().expect("flushed");
        }
    }
    store.close().expect("closed");
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory").map(|entry| entry.expect("an entry")) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

fn bytes_per_sample(store: &Store) -> f64 {
    let figures = store.figures();
    figures.block_bytes as f64 / figures.n_block_samples as f64
}

fn compact(c: &mut Criterion) {
    let filled = tempfile::tempdir().expect("a temporary directory");
    fill(filled.path());
    let open = || {
        let dir: TempDir = tempfile::tempdir().expect("a temporary directory");
        copy_dir(filled.path(), dir.path());
        let store = Store::open(dir.path(), settings()).expect("opens");
        (dir, store)
    };
    let merge = |(dir, store): (TempDir, Store)| {
        store.compact().expect("merged");
        assert_eq!(store.figures().n_blocks, 1);
        (dir, store)
    };
    let (dir, store) = open();
    let before = bytes_per_sample(&store);
    let (_dir, store) = merge((dir, store));
    println!("bytes per sample: {before:.2} flushed, {:.2} merged", bytes_per_sample(&store));
    let n_samples = N_SERIES as u64 * (DAY / STEP) as u64;
    let mut group = c.benchmark_group("compact");
    group.sample_size(10).measurement_time(Duration::from_secs(30)).throughput(Throughput::Elements(n_samples));
    group.bench_function("12 blocks into 1", |bencher| bencher.iter_batched(open, merge, BatchSize::PerIteration));
    group.finish();
}

criterion_group!(benches, compact);
criterion_main!(benches);
