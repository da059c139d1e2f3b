//! How fast does a memtable become Parquet?
//!
//! 1,000 series with 500 samples each, half of them noisy and half mostly standing still. Prints bytes per sample too.

use std::time::Duration;

use barograph::series::{Batch, Key, Sample};
use barograph::storage::{Ack, Store, StoreSettings};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;

const N_SERIES: usize = 1_000;
const N_STEPS: i64 = 500;
// Midnight, so that all samples are of one day.
const START: i64 = 1_700_006_400_000;

fn fill(store: &Store) {
    let keys = (0..N_SERIES).map(|series| {
        let (instance, device) = (format!("10.0.0.{}:9100", series / 20), format!("sd{}", series % 20));
        Key::from_pairs("node_disk_io_time_seconds", &[("device", &device), ("instance", &instance), ("job", "node")])
    });
    let keys: Vec<Key> = keys.map(|key| key.expect("valid labels")).collect();
    for step in 0..N_STEPS {
        let at = START + step * 15_000;
        let rows = keys.iter().enumerate().map(|(series, key)| {
            // A cheap hash for noise: the same values in every run.
            let noise = ((series as i64 * 7_919 + step * 104_729) % 1_000_003) as f64 / 997.0;
            let value = if series % 2 == 0 { noise } else { (step / 100) as f64 };
            (key.clone(), Sample { at, value })
        });
        store.append(&Batch::from_samples(rows)).expect("stored");
    }
}

fn open() -> (TempDir, Store) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let settings = StoreSettings { ack: Ack::None, flush_samples: 1 << 40, ..StoreSettings::default() };
    let store = Store::open(dir.path(), settings).expect("opens");
    (dir, store)
}

fn flush(c: &mut Criterion) {
    let n_samples = N_SERIES as u64 * N_STEPS as u64;
    let mut group = c.benchmark_group("flush");
    group.sample_size(10).measurement_time(Duration::from_secs(10)).throughput(Throughput::Elements(n_samples));
    let filled = || {
        let (dir, store) = open();
        fill(&store);
        (dir, store)
    };
    group.bench_function("memtable to block", |bencher| {
        bencher.iter_batched(
            filled,
            |(dir, store)| {
                store.flush().expect("flushed");
                (dir, store)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let (_dir, store) = filled();
    store.flush().expect("flushed");
    let figures = store.figures();
    println!("bytes per sample: {:.2}", figures.block_bytes as f64 / figures.n_block_samples as f64);
}

criterion_group!(benches, flush);
criterion_main!(benches);
