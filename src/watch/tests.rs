//! The loop as a whole: scoring, restarting, falling behind, answering.

mod forecasts;
mod places;
mod sample;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::capacity::{Exhaustion, Limit};
use crate::detect::{Settings, detect};
use crate::events::PlannedEvents;
use crate::forecast::Coverage;
use crate::incident::Member;
use crate::presets::Presets;
use crate::series::{Batch, DAY, HOUR, Key, MINUTE, Millis, SECOND, Sample, Selector, Side, Step, TimeRange};
use crate::storage::{Store, StoreSettings};

const START: Millis = 1_760_000_000_000;

struct Bench {
    store: Arc<Store>,
    now: Arc<AtomicI64>,
}

impl Bench {
    fn new(dir: &Path) -> Bench {
        let store = Store::open(dir, StoreSettings::default()).unwrap();
        Bench { store: Arc::new(store), now: Arc::new(AtomicI64::new(START)) }
    }

    fn watch(&self, settings: WatchSettings) -> Arc<Watch> {
        let now = Arc::clone(&self.now);
        let clock: Clock = Arc::new(move || now.load(Ordering::Relaxed));
        Watch::start_at(Arc::clone(&self.store), Presets::shipped(), settings, clock).unwrap()
    }

    fn record(&self, key: &Key, samples: &[Sample]) -> Batch {
        let batch = Batch::from_samples(samples.iter().map(|sample| (key.clone(), *sample)));
        assert_eq!(self.store.append(&batch).unwrap().n_accepted, samples.len());
        if let Some(last) = samples.last() {
            self.now.fetch_max(last.at, Ordering::Relaxed);
        }
        batch
    }
}

fn settings() -> WatchSettings {
    WatchSettings { cpu_share: 1.0, flush_every: 100, ..WatchSettings::default() }
}

fn key(host: &str) -> Key {
    Key::from_pairs("load_average", &[("host", host)]).unwrap()
}

/// A quiet minute-by-minute series with a deterministic jitter, and 100 instead in each of `odd`.
fn samples(n: i64, odd: &[(i64, i64)]) -> Vec<Sample> {
    let value = |i: i64| {
        let jitter = ((i * 7919 + i * i * 31) % 1000) as f64 / 1000.0;
        if odd.iter().any(|(from, to)| (*from..*to).contains(&i)) { 100.0 + jitter } else { 10.0 + jitter }
    };
    (0..n).map(|i| Sample { at: START + i * MINUTE, value: value(i) }).collect()
}

fn wait_for(what: &str, mut is_done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_done() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn all(watch: &Watch) -> Vec<Member> {
    watch.anomalies(&Selector::all(), TimeRange::ALL, 0.0)
}

fn ask(horizon: Millis) -> ForecastAsk {
    let assumed = Arc::default();
    ForecastAsk { horizon, coverage: Coverage::P95, step: None, model: "auto".to_owned(), from_now: false, assumed }
}

#[test]
fn presets_name_known_methods() {
    for rule in Presets::shipped().presets().iter().flat_map(|preset| &preset.rules) {
        assert!(rule.detector.as_deref().is_none_or(|name| crate::detect::find(name).is_ok()), "{}", rule.selector);
        assert!(rule.forecaster.as_deref().is_none_or(|name| crate::forecast::find(name).is_ok()), "{}", rule.selector);
    }
}

#[test]
fn samples_in_bulk_are_scored_like_history() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let watch = bench.watch(settings());
    wait_for("backfill", || watch.figures().is_backfilled);
    let samples = samples(3000, &[(1000, 1010), (2500, 2503)]);
    for part in samples.chunks(700) {
        watch.observe(bench.record(&key("a"), part));
    }
    wait_for("scores", || watch.figures().n_scored == 3000);
    let expected = detect(&samples, "auto", &Settings::default(), &settings().alarm).unwrap().anomalies;
    assert!(expected.len() >= 2, "{expected:?}");
    let got: Vec<_> = all(&watch).into_iter().map(|member| member.anomaly).collect();
    assert_eq!(got, expected);
    let score = expected[0].score;
    assert_eq!(watch.anomalies(&Selector::metric("other"), TimeRange::ALL, 0.0), []);
    assert!(watch.anomalies(&Selector::all(), TimeRange::ALL, score * 2.0 + 1e9).is_empty());
    watch.stop();
    watch.stop();
}

#[test]
fn a_restart_neither_loses_nor_doubles() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let samples = samples(3000, &[(500, 520), (1990, 2010)]);
    let watch = bench.watch(settings());
    // Stops in the middle of the second anomaly.
    watch.observe(bench.record(&key("a"), &samples[..2000]));
    wait_for("scores", || watch.figures().n_scored == 2000);
    watch.stop();
    let before = all(&watch);
    assert_eq!(before.iter().map(|member| member.anomaly.is_open).collect::<Vec<_>>(), [false, true], "{before:?}");
    drop(watch);

    // Recorded while nobody watched: the anomaly's end.
    bench.record(&key("a"), &samples[2000..2500]);
    let watch = bench.watch(settings());
    // The second may have ended by now, as the scoring of what is stored goes on.
    assert_eq!(all(&watch)[0], before[0], "what was found is there at once");
    assert_eq!(all(&watch).len(), 2);
    wait_for("backfill", || watch.figures().is_backfilled);
    watch.observe(bench.record(&key("a"), &samples[2500..]));
    wait_for("scores", || watch.figures().n_scored == 3000);
    let after = all(&watch);
    assert_eq!(after.len(), 2, "{after:?}");
    assert_eq!(after[0], before[0]);
    assert_eq!(after[1].anomaly.start, before[1].anomaly.start);
    assert!(!after[1].anomaly.is_open && after[1].anomaly.end > before[1].anomaly.end);
    watch.stop();
    drop(watch);
    let watch = bench.watch(settings());
    assert_eq!(all(&watch), after, "a third start knows the same");
}

#[test]
fn a_crash_between_writes_is_made_up_for() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let samples = samples(2000, &[(500, 520), (1500, 1520)]);
    bench.record(&key("a"), &samples);
    let watch = bench.watch(settings());
    wait_for("backfill", || watch.figures().is_backfilled);
    watch.stop();
    let found = all(&watch);
    assert_eq!(found.len(), 2, "stored history that was never scored is scored");
    // What was written before a crash may be anything from nothing to all.
    std::fs::remove_file(dir.path().join("results/scored.parquet")).unwrap();
    let watch = bench.watch(settings());
    wait_for("backfill", || watch.figures().is_backfilled);
    assert_eq!(all(&watch), found);
}

#[test]
fn one_sample_from_the_future_silences_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let samples = samples(1500, &[(1000, 1010), (1400, 1404)]);
    let expected = detect(&samples, "auto", &Settings::default(), &settings().alarm).unwrap().anomalies;
    let watch = bench.watch(settings());
    watch.observe(bench.record(&key("a"), &samples[..700]));
    let in_2199 = Batch::from_samples([(key("a"), Sample { at: 7_226_582_400_000, value: 10.0 })]);
    assert_eq!(bench.store.append(&in_2199).unwrap().n_accepted, 1, "it is stored all the same");
    watch.observe(in_2199);
    watch.observe(bench.record(&key("a"), &samples[700..1200]));
    wait_for("scores", || watch.figures().n_scored == 1200 && watch.figures().n_ahead == 1);
    watch.stop();
    // What an earlier version may have left behind.
    let rows = results::scored_rows(&[(key("a").id(), 7_226_582_400_000)]).unwrap();
    results::write_parquet(&dir.path().join("results/scored.parquet"), &rows).unwrap();
    let watch = bench.watch(settings());
    wait_for("backfill", || watch.figures().is_backfilled);
    watch.observe(bench.record(&key("a"), &samples[1200..]));
    wait_for("scores", || watch.figures().n_scored == 1500);
    let got: Vec<_> = all(&watch).into_iter().map(|member| member.anomaly).collect();
    assert_eq!(got, expected);
}

#[test]
fn an_overflow_is_caught_up_with_from_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let watch = bench.watch(WatchSettings { queue_samples: 100, ..settings() });
    wait_for("backfill", || watch.figures().is_backfilled);
    let samples = samples(3000, &[(1000, 1010), (2500, 2503)]);
    // Held so that the scoring thread cannot keep pace.
    let held = watch.hold_anomalies();
    for part in samples.chunks(60) {
        watch.observe(bench.record(&key("a"), part));
    }
    drop(held);
    wait_for("scores", || watch.figures().n_scored == 3000);
    assert!(watch.figures().n_overflowed > 1000, "{:?}", watch.figures());
    let expected = detect(&samples, "auto", &Settings::default(), &settings().alarm).unwrap().anomalies;
    let got: Vec<_> = all(&watch).into_iter().map(|member| member.anomaly).collect();
    assert_eq!(got, expected);
}

#[test]
fn anomalies_that_come_together_are_an_incident() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let watch = bench.watch(settings());
    for metric in ["load", "latency", "errors"] {
        let key = Key::from_pairs(metric, &[("host", "a"), ("job", "shop")]).unwrap();
        watch.observe(bench.record(&key, &samples(2000, &[(1500, 1510)])));
    }
    wait_for("an incident", || !watch.incidents(TimeRange::ALL).is_empty());
    wait_for("its members", || watch.incidents(TimeRange::ALL)[0].members.len() == 3);
    watch.stop();
    let before = watch.incidents(TimeRange::ALL);
    let again = bench.watch(settings());
    assert_eq!(again.incidents(TimeRange::ALL), before);
    let days = std::fs::read_dir(dir.path().join("results/incidents")).unwrap().count();
    assert_eq!(days, 1);
}

#[test]
fn series_beyond_the_limit_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let memory = 2 * settings::memory_of("auto") as u64;
    let watch = bench.watch(WatchSettings { memory, ..settings() });
    for host in ["a", "b", "c", "d"] {
        watch.observe(bench.record(&key(host), &samples(10, &[])));
    }
    wait_for("series", || watch.figures().n_watched == 2 && watch.figures().n_unwatched == 2);
    assert_eq!(watch.figures().scorer_bytes, memory);
    let missing = watch.forecast(&key("e"), &ask(HOUR)).unwrap_err();
    assert!(matches!(missing, WatchError::NoSamples(_)), "{missing}");
}

#[test]
#[ignore = "a measurement: the time for the release profile, the memory for any, alone in its process"]
fn scoring_takes_the_memory_it_is_said_to() {
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
    };
    let samples = samples(2_000, &[(500, 510)]);
    // Kept, so that no detector is measured in the memory another has left.
    let mut held = Vec::new();
    for entry in crate::detect::DETECTORS {
        let before = resident();
        let settings = WatchSettings { detector: entry.name.to_owned(), memory: u64::MAX / 2, ..settings() };
        let mut roster = roster::Roster::new(usize::MAX / 2);
        let mut scoring = scoring::Scoring::new(Presets::none(), settings, Default::default(), START);
        let mut anomalies = anomalies::Anomalies::default();
        let n = if entry.name == "isolation-forest" { 100 } else { 1_000 };
        let began = Instant::now();
        for i in 0..n {
            let series = crate::series::Series { key: key(&i.to_string()), samples: samples.clone() };
            let end = START + DAY * 100;
            let fed = scoring.feed(&series, scoring::Origin::Arrived, end, &mut roster, &mut anomalies);
            assert_eq!(fed.n_scored, 2_000);
        }
        let each = began.elapsed().as_secs_f64() / n as f64 / samples.len() as f64;
        let (taken, said) = ((resident() - before) / n as f64, settings::memory_of(entry.name));
        println!("{}: {:.2} us a sample, {taken:.0} bytes a series, said to be {said}", entry.name, each * 1e6);
        held.push((roster, scoring, anomalies));
    }
}
