//! Memory does not grow without end: neither with the series that come and go, nor when flushing lags.

use super::*;
use crate::series::Series;

fn pod(round: usize, number: usize) -> Key {
    let name = format!("app-{round}-{number}");
    Key::from_pairs("requests", &[("namespace", "shop"), ("pod", &name)]).unwrap()
}

#[test]
fn a_fleet_that_is_renewed_takes_the_memory_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let (n_rounds, n_pods) = (40, 2_000);
    let mut sizes = Vec::new();
    for round in 0..n_rounds {
        let samples = (0..n_pods).map(|pod_idx| {
            let value = (round * n_pods + pod_idx) as f64;
            (pod(round, pod_idx), Sample { at: round as Millis, value })
        });
        assert_eq!(store.append(&Batch::from_samples(samples)).unwrap().n_accepted, n_pods);
        store.flush().unwrap();
        let figures = store.figures();
        assert!(figures.n_series <= 2 * n_pods as u64, "round {round}: {figures:?}");
        assert_eq!(figures.memtable_bytes, 0);
        sizes.push(figures.series_bytes);
        let of_this_round = Selector::exactly(&pod(round, 7));
        assert_eq!(store.select(&of_this_round, TimeRange::ALL).unwrap().len(), 1);
    }
    // Numbers are freed when there are some thousands of them.
    let (early, late) = sizes.split_at(n_rounds / 2);
    assert!(late.iter().max() <= early.iter().max(), "{sizes:?}");
    store.compact().unwrap();
    let found = store.select(&Selector::all(), TimeRange::ALL).unwrap();
    assert_eq!(found.len(), n_rounds * n_pods);
    for series in &found {
        let [sample] = series.samples[..] else { panic!("{} has {} samples", series.key, series.samples.len()) };
        let number = sample.value as usize;
        assert_eq!(series.key, pod(number / n_pods, number % n_pods), "a sample of another series");
    }
}

#[test]
fn blocks_of_the_same_series_have_their_labels_in_memory_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let n_pods = 500;
    let flush = |at: Millis, first: usize| {
        let sample = |number: usize| (pod(first, number), Sample { at, value: (at * 1_000) as f64 + number as f64 });
        store.append(&Batch::from_samples((0..n_pods).map(sample))).unwrap();
        store.flush().unwrap();
    };
    // Asked of all blocks, so that their indexes are read.
    let pods = || store.label_values("pod", &Selector::all(), TimeRange::ALL).unwrap().len();
    flush(0, 0);
    let n_values = pods();
    let one = store.figures().index_bytes;
    (1..8).for_each(|at| flush(at, 0));
    assert_eq!((n_values, pods()), (n_pods, n_pods));
    let eight = store.figures().index_bytes;
    // Three numbers of four bytes for each series, and where the pages are.
    assert!(eight - one <= 7 * (12 * n_pods as u64 + 1_000), "{one} bytes, and of eight blocks {eight}");
    flush(8, 1);
    assert_eq!(pods(), 2 * n_pods);
    assert!(store.figures().index_bytes - eight > one / 2, "other series have other labels");

    store.compact().unwrap();
    assert_eq!((store.figures().n_blocks, pods()), (1, 2 * n_pods));
    for (round, times) in [(0, 0..8), (1, 8..9)] {
        for number in [0, 7, n_pods - 1] {
            let found = store.select(&Selector::exactly(&pod(round, number)), TimeRange::ALL).unwrap();
            let value = |at: Millis| Sample { at, value: (at * 1_000) as f64 + number as f64 };
            assert_eq!(found[0].samples, times.clone().map(value).collect::<Vec<_>>());
        }
    }
}

#[test]
fn series_shown_some_at_a_time_are_those_that_are_selected() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let (n_series, n_samples) = (90, 2_000);
    for part in 0..3 {
        // In the second part only every other series goes on; the last stays in memory.
        let samples = (0..n_series).filter(|series: &usize| part != 1 || series.is_multiple_of(2)).flat_map(|series| {
            (0..n_samples).map(move |row| (series, (part * n_samples + row) as Millis * 10, row as f64))
        });
        store.append(&batch(&samples.collect::<Vec<_>>())).unwrap();
        if part < 2 {
            store.flush().unwrap();
        }
    }
    let end = 2 * n_samples as Millis * 10 - 5_000;
    let range = TimeRange::new(700, end).unwrap();
    let (mut shown, mut n_most, mut n_parts) = (Vec::new(), 0, 0);
    let show = |part: Vec<Series>| {
        n_most = n_most.max(part.iter().map(|series| series.samples.len()).sum());
        n_parts += 1;
        shown.extend(part);
    };
    store.show(&Selector::all(), range, show).unwrap();
    shown.sort_by(|a, b| a.key.cmp(&b.key));
    let said = |series: &[Series]| -> Vec<(Key, Vec<Sample>)> {
        series.iter().map(|series| (series.key.clone(), series.samples.clone())).collect()
    };
    assert_eq!(said(&shown), said(&store.select(&Selector::all(), range).unwrap()));
    let (n_all, n_there) = (store.n_about(TimeRange::ALL), store.n_about(range));
    let n_shown: usize = shown.iter().map(|series| series.samples.len()).sum();
    assert_eq!(n_all, 5 * n_series as u64 / 2 * n_samples as u64);
    assert!(n_there.abs_diff(n_shown as u64) < 200, "{n_there} of {n_shown}");
    assert!(n_parts > 1 && n_most < 100_000, "{n_parts} parts of up to {n_most} samples");

    let newest: BTreeMap<String, Millis> =
        store.newest(&Selector::all(), range).unwrap().into_iter().map(|(key, at)| (key.to_string(), at)).collect();
    let expected = |series: usize| if series.is_multiple_of(2) { end - 1 } else { (n_samples as Millis - 1) * 10 };
    assert_eq!(newest, (0..n_series).map(|series| (key(series).to_string(), expected(series))).collect());
}

#[test]
fn numbers_that_change_hands_under_load_mix_no_series_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let (n_threads, n_rounds, n_pods) = (3, 60, 400);
    std::thread::scope(|scope| {
        for thread in 0..n_threads {
            let store = &store;
            scope.spawn(move || {
                let lasting = pod(1_000 + thread, 0);
                for round in 0..n_rounds {
                    let at = round as Millis;
                    let one = |key: Key, number: usize| (key, Sample { at, value: number as f64 });
                    // One that stays, one that pauses, and some that come once.
                    let mut samples = vec![one(lasting.clone(), 1_000 + thread)];
                    if round % 10 < 2 {
                        samples.push(one(pod(2_000 + thread, 0), 2_000 + thread));
                    }
                    samples.extend((0..n_pods).map(|number| {
                        let round = 10_000 + thread * n_rounds + round;
                        one(pod(round, number), round)
                    }));
                    let n_samples = samples.len();
                    assert_eq!(store.append(&Batch::from_samples(samples)).unwrap().n_accepted, n_samples);
                }
            });
        }
        let lasting = Selector::exactly(&pod(1_000, 0));
        let mut n_before = 0;
        for _ in 0..n_rounds {
            store.flush().unwrap();
            let found = store.select(&lasting, TimeRange::ALL).unwrap();
            let samples: Vec<Sample> = found.iter().flat_map(|series| &series.samples).copied().collect();
            assert!(found.len() <= 1 && samples.iter().all(|sample| sample.value == 1_000.0), "{found:?}");
            assert!(samples.len() >= n_before, "{} samples after {n_before}", samples.len());
            n_before = samples.len();
        }
    });
    let found = store.select(&Selector::all(), TimeRange::ALL).unwrap();
    let n_samples: usize = found.iter().map(|series| series.samples.len()).sum();
    assert_eq!(n_samples, n_threads * (n_rounds + n_rounds / 5 + n_pods * n_rounds));
    for series in &found {
        for sample in &series.samples {
            let name = format!("app-{}-", sample.value);
            let has_name = series.key.labels().get("pod").is_some_and(|pod| pod.starts_with(&name));
            assert!(has_name, "{} has {sample:?}", series.key);
        }
    }
}

#[test]
fn when_flushing_lags_senders_are_refused_and_memory_stays_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreSettings { flush_samples: 600_000, ..quiet() }).unwrap();
    let n_series = 10_000;
    let keys: Vec<Key> = (0..n_series).map(|number| pod(0, number)).collect();
    let scrape = |at: Millis| Batch::from_samples(keys.iter().map(|key| (key.clone(), Sample { at, value: 1.0 })));
    let stuck = store.keeper().flushing.lock();
    let mut n_stored = 0;
    let refused = loop {
        match store.append(&scrape(n_stored)) {
            Ok(_) => n_stored += 1,
            Err(error) => break error,
        }
        assert!(n_stored < 1_000, "nobody is held back: {:?}", store.figures());
    };
    assert!(matches!(refused, AppendError::Overloaded { .. }), "{refused}");
    let figures = store.figures();
    assert_eq!(figures.n_memtable_samples, 2 * 600_000 + n_series as u64);
    // A byte for each sample that stays as it is, and what 10,000 series take in two memtables.
    assert!(figures.memtable_bytes <= figures.n_memtable_samples + 2 * 200 * n_series as u64, "{figures:?}");
    drop(stuck);
    store.flush().unwrap();
    assert_eq!(store.figures().memtable_bytes, 0);
    assert!(store.append(&scrape(n_stored)).is_ok());
    let found = store.select(&Selector::all(), TimeRange::ALL).unwrap();
    assert!(found.len() == n_series && found.iter().all(|series| series.samples.len() as Millis == n_stored + 1));
}
