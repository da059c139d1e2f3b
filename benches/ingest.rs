//! How fast are samples appended, each batch acknowledged after its fdatasync?
//!
//! Batches of 5,000 samples, one of each of 5,000 series, as remote write sends them; from one thread and from two.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use barograph::series::{Batch, Key, Sample};
use barograph::storage::{Ack, Store, StoreSettings};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const N_SERIES: usize = 5_000;

fn keys(thread: usize) -> Vec<Key> {
    let key = |series: usize| {
        let (instance, cpu) = (format!("10.0.{thread}.{}:9100", series / 40), (series % 40).to_string());
        Key::from_pairs("node_cpu_seconds_total", &[("cpu", &cpu), ("instance", &instance), ("job", "node")])
    };
    (0..N_SERIES).map(|series| key(series).expect("valid labels")).collect()
}

fn batch(keys: &[Key], at: i64) -> Batch {
    let mut batch = Batch::with_capacity(keys.len());
    for (series, key) in keys.iter().enumerate() {
        let key_idx = batch.add_key(key.clone());
        batch.push(key_idx, Sample { at, value: (at / 1_000) as f64 * 0.25 + series as f64 });
    }
    batch
}

/// Appends `n` batches from each of `n_threads` threads; the time from the first to the last acknowledgement.
fn run(n_threads: usize, n: u64, ack: Ack) -> Duration {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Arc::new(Store::open(dir.path(), StoreSettings { ack, ..StoreSettings::default() }).expect("opens"));
    let keys: Vec<Vec<Key>> = (0..n_threads).map(keys).collect();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for keys in &keys {
            scope.spawn(|| {
                for round in 0..n {
                    let appended = store.append(&batch(keys, 1_700_000_000_000 + 1_000 * round as i64));
                    black_box(appended.expect("stored"));
                }
            });
        }
    });
    started.elapsed()
}

fn ingest(c: &mut Criterion) {
    let mut group = c.benchmark_group("ingest");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for n_threads in [1, 2] {
        for ack in [Ack::Fsync, Ack::None] {
            group.throughput(Throughput::Elements((n_threads * N_SERIES) as u64));
            let id = BenchmarkId::new(format!("{n_threads} senders"), ack);
            group.bench_function(id, |bencher| bencher.iter_custom(|n| run(n_threads, n, ack)));
        }
    }
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
