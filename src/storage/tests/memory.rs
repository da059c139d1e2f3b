//! Memory does not grow without end: neither with the series that come and go, nor when flushing lags.

use super::*;

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
