//! What does a score cost? Nanoseconds per sample for every registered detector, and per row for every matrix one.
//!
//! Each measurement scores one stretch of a series that the scorer has already been warmed up on, so that windows are
//! full and forests are grown; what a method spends on learning anew is spread over the samples, as it is live.

use std::hint::black_box;
use std::time::Duration;

use barograph::detect::{DETECTORS, MATRIX_DETECTORS, Settings};
use barograph::series::{History, MINUTE, MetricSettings, Millis, Sample, Step};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WARMUP: usize = 4_096;
const STRETCH: usize = 1_024;
const COLUMNS: usize = 38;

/// Uniform noise around a daily rhythm, the same on every run.
fn value(rng: &mut Xoshiro256PlusPlus, idx: usize) -> f64 {
    100.0 + 20.0 * (idx as f64 / 1_440.0 * std::f64::consts::TAU).sin() + rng.gen_range(-2.0..2.0)
}

fn samples(c: &mut Criterion) {
    let metric = MetricSettings { limit: Some(1e6), ..MetricSettings::default() };
    let settings = Settings { metric, ..Settings::default() };
    let mut group = c.benchmark_group("score a sample");
    group.throughput(Throughput::Elements(STRETCH as u64)).measurement_time(Duration::from_secs(3)).sample_size(20);
    for entry in DETECTORS {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let warmup = History::new(0, Step::seconds(60), (0..WARMUP).map(|idx| value(&mut rng, idx)).collect());
        let mut scorer = (entry.build)(&settings).start(&warmup).expect("a limit is given");
        let mut idx = WARMUP;
        group.bench_function(entry.name, |b| {
            b.iter(|| {
                for _ in 0..STRETCH {
                    let sample = Sample { at: idx as Millis * MINUTE, value: value(&mut rng, idx) };
                    black_box(scorer.score(sample));
                    idx += 1;
                }
            });
        });
    }
    group.finish();
}

fn rows(c: &mut Criterion) {
    let mut group = c.benchmark_group("score a row of 38");
    group.throughput(Throughput::Elements(STRETCH as u64)).measurement_time(Duration::from_secs(3)).sample_size(10);
    for entry in MATRIX_DETECTORS {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(2);
        let warmup = Array2::from_shape_fn((WARMUP, COLUMNS), |(idx, _)| value(&mut rng, idx));
        let mut scorer = (entry.build)(&Settings::default()).start(warmup.view()).expect("nothing is needed");
        let mut idx = WARMUP;
        let mut row = vec![0.0; COLUMNS];
        group.bench_function(entry.name, |b| {
            b.iter(|| {
                for _ in 0..STRETCH {
                    row.iter_mut().for_each(|cell| *cell = value(&mut rng, idx));
                    black_box(scorer.score(idx as Millis * MINUTE, &row));
                    idx += 1;
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, samples, rows);
criterion_main!(benches);
