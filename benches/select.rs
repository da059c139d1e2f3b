//! How fast are series found again, from blocks?
//!
//! 2,000 series over a day at 15 s, and one of them over 30 days: a single series, many series over an hour, labels.

use std::hint::black_box;
use std::time::Duration;

use barograph::series::{Batch, DAY, HOUR, Key, MatchOp, Matcher, Sample, Selector, TimeRange};
use barograph::storage::{Ack, Store, StoreSettings};
use criterion::{Criterion, criterion_group, criterion_main};

// Midnight.
const START: i64 = 1_700_006_400_000;
const STEP: i64 = 15_000;
const N_SERIES: usize = 2_000;

fn key(series: usize) -> Key {
    let (instance, cpu) = (format!("10.0.0.{}:9100", series / 10), (series % 10).to_string());
    Key::from_pairs("node_load", &[("cpu", &cpu), ("instance", &instance), ("job", "node")]).expect("valid labels")
}

fn fill(store: &Store) {
    let value = |at: i64, series: usize| ((at / STEP * 31 + series as i64 * 17) % 1_009) as f64 / 8.0;
    for day in 0..30 {
        let rows = (0..DAY / STEP).map(|step| {
            let at = START + day * DAY + step * STEP;
            (key(0), Sample { at, value: value(at, 0) })
        });
        store.append(&Batch::from_samples(rows)).expect("stored");
    }
    let keys: Vec<Key> = (0..N_SERIES).map(key).collect();
    for at in (START..START + DAY / 4).step_by(STEP as usize) {
        let rows = keys.iter().enumerate().map(|(series, key)| (key.clone(), Sample { at, value: value(at, series) }));
        store.append(&Batch::from_samples(rows)).expect("stored");
    }
    store.flush().expect("flushed");
}

fn selector(name: &str, op: MatchOp, value: &str) -> Selector {
    let mut selector = Selector::metric("node_load");
    selector.matchers.push(Matcher::new(name, op, value).expect("a valid expression"));
    selector
}

fn select(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let settings = StoreSettings { ack: Ack::None, flush_samples: 1 << 40, ..StoreSettings::default() };
    let store = Store::open(dir.path(), settings).expect("opens");
    fill(&store);
    let mut group = c.benchmark_group("select");
    group.sample_size(20).measurement_time(Duration::from_secs(5));

    let mut one = selector("instance", MatchOp::Equal, "10.0.0.0:9100");
    one.matchers.push(Matcher::new("cpu", MatchOp::Equal, "0").expect("plain text"));
    let month = TimeRange::new(START, START + 30 * DAY).expect("in order");
    let n_samples: usize = store.select(&one, month).expect("read").iter().map(|series| series.samples.len()).sum();
    assert_eq!(n_samples as i64, 30 * DAY / STEP);
    group.bench_function("one series, 30 days at 15 s", |bencher| {
        bencher.iter(|| black_box(store.select(&one, month).expect("read")));
    });

    let half = selector("cpu", MatchOp::Regex, "[0-4]");
    let hour = TimeRange::new(START + HOUR, START + 2 * HOUR).expect("in order");
    assert_eq!(store.select(&half, hour).expect("read").len(), N_SERIES / 2);
    group.bench_function("1,000 series, 1 hour", |bencher| {
        bencher.iter(|| black_box(store.select(&half, hour).expect("read")));
    });

    group.bench_function("label values over 2,000 series", |bencher| {
        bencher.iter(|| black_box(store.label_values("instance", &Selector::all(), hour).expect("read")));
    });
    group.finish();
}

criterion_group!(benches, select);
criterion_main!(benches);
