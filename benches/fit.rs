//! How long does a method take to fit, and to be prepared with bands, against the length of the history? How large is
//! what `auto` makes, and how long does it take to take in a value?
//!
//! `cargo bench --bench fit`; `-- update` for the last alone, with the bytes. The series are seeded: hours of a
//! wandering level with a day, a week and noise, five minutes with a day, and minutes that stand still but for blips.

use std::hint::black_box;

use barograph::forecast::{
    Coverage, FORECASTERS, Horizon, Past, Regressors, Request, SeasonChoice, Settings, find_seasons, prepare,
};
use barograph::series::{History, Season, Step};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Evenly between -0.5 and 0.5.
fn noise() -> impl FnMut() -> f64 {
    let mut state = 12_345u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 31) - 0.5
    }
}

fn waves(n: usize, step: u32, day: usize, weekend: f64) -> History {
    let (mut noise, mut level) = (noise(), 100.0);
    let values = (0..n)
        .map(|t| {
            let noise = noise();
            level += 0.1 * noise;
            let of_week = if t / day % 7 >= 5 { weekend } else { 0.0 };
            level + of_week + 8.0 * (std::f64::consts::TAU * t as f64 / day as f64).sin() + 2.0 * noise
        })
        .collect();
    History::new(1_700_000_000_000, Step::seconds(step), values)
}

fn hours(n: usize) -> History {
    waves(n, 3600, 24, -3.0)
}

fn blips(n: usize) -> History {
    let mut noise = noise();
    let values = (0..n).map(|_| if noise() > 0.49 { 0.9 } else { 0.2 }).collect();
    History::new(1_700_000_000_000, Step::seconds(60), values)
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

fn updated(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("update");
    let cases = [
        ("hours with a week, 48 ahead", hours(1_000), 48),
        ("hours with a week, 168 ahead", hours(10_000), 168),
        ("five minutes with a day, 288 ahead", waves(5_000, 300, 288, 0.0), 288),
        ("minutes that stand still, 60 ahead", blips(10_000), 60),
        ("minutes that stand still, 4000 ahead", blips(20_000), 4_000),
    ];
    for (name, history, horizon) in cases {
        let horizon = Horizon::new(horizon).expect("not zero");
        let request = Request { horizon, ..Request::default() };
        let mut model = prepare(&history, &request).expect("the history suits auto");
        println!("{name}: {} bytes with bands, of {}", model.n_bytes(), model.model());
        let mut values = history.values().iter().copied().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| model.update(black_box(values.next().unwrap_or(0.0)), Regressors::NONE));
        });
    }
    group.finish();
}

criterion_group!(benches, fit, prepared, forecast, updated);
criterion_main!(benches);
