//! How fast is the log read again at a start after a crash?
//!
//! 10 million samples of 5,000 series that are in no block yet, in batches of 5,000 and segments of 64 MiB: what a
//! `kill -9` leaves of a store whose flush was far off. The time is that of opening the store, to its first answer.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use barograph::series::{Batch, Key, Sample, Selector, TimeRange};
use barograph::storage::{Ack, Store, StoreSettings};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const N_SERIES: usize = 5_000;
const N_SAMPLES: u64 = 10_000_000;
const START: i64 = 1_700_000_000_000;

fn settings() -> StoreSettings {
    StoreSettings { ack: Ack::None, flush_samples: 1 << 40, ..StoreSettings::default() }
}

fn fill(dir: &Path) {
    let store = Store::open(dir, settings()).expect("opens");
    let key = |series: usize| {
        let (instance, cpu) = (format!("10.0.0.{}:9100", series / 40), (series % 40).to_string());
        Key::from_pairs("node_cpu_seconds_total", &[("cpu", &cpu), ("instance", &instance), ("job", "node")])
    };
    let keys: Vec<Key> = (0..N_SERIES).map(|series| key(series).expect("valid labels")).collect();
    for round in 0..N_SAMPLES as i64 / N_SERIES as i64 {
        let mut batch = Batch::with_capacity(keys.len());
        for (series, key) in keys.iter().enumerate() {
            let key_idx = batch.add_key(key.clone());
            let value = round as f64 * 0.25 + series as f64;
            batch.push(key_idx, Sample { at: START + 15_000 * round, value });
        }
        store.append(&batch).expect("stored");
    }
    // Dropped without being closed, it leaves what a crash leaves.
}

fn replay(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fill(dir.path());
    let open = || {
        let store = Store::open(dir.path(), settings()).expect("opens");
        assert_eq!(store.figures().n_replayed, N_SAMPLES);
        black_box(store.keys(&Selector::all(), TimeRange::ALL).expect("read"));
        store
    };
    println!("{:.1} bytes of log per sample", open().figures().wal_bytes as f64 / N_SAMPLES as f64);
    let mut group = c.benchmark_group("replay");
    group.sample_size(10).measurement_time(Duration::from_secs(20)).throughput(Throughput::Elements(N_SAMPLES));
    group.bench_function("10 million samples", |bencher| bencher.iter_with_large_drop(open));
    group.finish();
}

criterion_group!(benches, replay);
criterion_main!(benches);
