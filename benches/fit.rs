//! How long does a method take to fit, and to be prepared with bands, against the length of the history?
//!
//! `cargo bench --bench fit`. The series are seeded: hours of a wandering level with a day, a week and noise.

use std::hint::black_box;

use barograph::forecast::{
    Coverage, FORECASTERS, Horizon, Past, Request, SeasonChoice, Settings, find_seasons, prepare,
};
use barograph::series::{History, Season, Step};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

fn hours(n: usize) -> History {
    let mut state = 12_345u64;
    let mut level = 100.0;
    let values = (0..n)
        .map(|t| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = (state >> 33) as f64 / f64::from(1u32 << 31) - 0.5;
            level += 0.1 * noise;
            let weekend = if t / 24 % 7 >= 5 { -3.0 } else { 0.0 };
            level + weekend + 8.0 * (std::f64::consts::TAU * t as f64 / 24.0).sin() + 2.0 * noise
        })
        .collect();
    History::new(1_700_000_000_000, Step::seconds(3600), values)
}

fn fit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fit");
    group.sample_size(10);
    for n in [1_000, 10_000] {
        let history = hours(n);
        for entry in FORECASTERS {
            let seasons: Vec<Season> = Season::new(24).into_iter().collect();
            let method = (entry.build)(&Settings { seasons, horizon: None });
            group.bench_with_input(BenchmarkId::new(entry.name, n), &history, |bencher, history| {
                bencher.iter(|| method.fit(&Past::of(black_box(history))).expect("the history suits every method"));
            });
        }
    }
    group.finish();
}

fn prepared(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("prepare");
    group.sample_size(10);
    let horizon = Horizon::new(48).expect("not zero");
    for n in [1_000, 10_000] {
        let history = hours(n);
        for entry in FORECASTERS {
            let request = Request { model: entry.name.to_owned(), season: SeasonChoice::Auto, horizon };
            group.bench_with_input(BenchmarkId::new(entry.name, n), &history, |bencher, history| {
                bencher.iter(|| prepare(black_box(history), &request).expect("the history suits every method"));
            });
        }
    }
    group.finish();
}

fn forecast(criterion: &mut Criterion) {
    let horizon = Horizon::new(168).expect("not zero");
    let history = hours(10_000);
    let request = Request { horizon, ..Request::default() };
    let warm = prepare(&history, &request).expect("the history suits auto");
    criterion.bench_function("forecast/warm-10000", |bencher| {
        bencher.iter(|| warm.forecast(black_box(horizon), Coverage::P95));
    });
    criterion.bench_function("find_seasons/10000", |bencher| bencher.iter(|| find_seasons(black_box(&history))));
}

criterion_group!(benches, fit, prepared, forecast);
criterion_main!(benches);
