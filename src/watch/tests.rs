//! The loop as a whole: scoring, restarting, falling behind, answering.

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

fn ask(horizon: Millis) -> ForecastAsk {
    let assumed = Arc::default();
    ForecastAsk { horizon, coverage: Coverage::P95, step: None, model: "auto".to_owned(), from_now: false, assumed }
}

#[test]
fn a_warm_forecast_follows_the_series() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let wave = |i: i64| 50.0 + 20.0 * (2.0 * std::f64::consts::PI * (i % 1440) as f64 / 1440.0).sin();
    let sample = |i: i64| Sample { at: START + i * MINUTE, value: wave(i) + ((i * 7919) % 100) as f64 / 100.0 };
    bench.record(&key("a"), &(0..10_000).map(sample).collect::<Vec<_>>());
    let watch = bench.watch(WatchSettings { enabled: false, ..settings() });
    let began = Instant::now();
    let first = watch.forecast(&key("a"), &ask(HOUR)).unwrap();
    let cold = began.elapsed();
    assert_eq!((first.start, first.points.len()), (START + 10_000 * MINUTE, 60));
    let mut times = Vec::new();
    for i in 10_000..10_100 {
        bench.record(&key("a"), &[sample(i)]);
        let began = Instant::now();
        let next = watch.forecast(&key("a"), &ask(HOUR)).unwrap();
        times.push(began.elapsed());
        assert_eq!((next.start, next.points.len()), (START + (i + 1) * MINUTE, 60));
    }
    times.sort();
    println!("10,000 points: cold {cold:?}, warm p50 {:?}, p99 {:?}", times[50], times[98]);
    let figures = watch.figures();
    assert_eq!(figures.n_warm_forecasts + figures.n_cold_forecasts, 101);
    assert!(figures.n_warm_forecasts >= 95, "{figures:?}");
    let long = watch.forecast(&key("a"), &ask(14 * DAY)).unwrap();
    assert!(long.points.len() <= 2_048 && long.step.millis() > MINUTE, "{} of {}", long.points.len(), long.step);
    assert!(watch.forecast(&key("a"), &ForecastAsk { model: "magic".to_owned(), ..ask(HOUR) }).is_err());
    assert!(watch.forecast(&key("a"), &ask(0)).is_err());
}

#[test]
fn a_model_that_stands_behind_keeps_its_band() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let wave = |i: i64| 50.0 + 20.0 * (2.0 * std::f64::consts::PI * (i % 60) as f64 / 60.0).sin();
    let sample = |i: i64| Sample { at: START + i * SECOND, value: wave(i) + ((i * 7919) % 100) as f64 / 100.0 };
    bench.record(&key("a"), &(0..3_000).map(sample).collect::<Vec<_>>());
    let watch = bench.watch(WatchSettings { enabled: false, ..settings() });
    // A power of two: the longest horizon of its class.
    let ask = ForecastAsk { model: "mstl".to_owned(), ..ask(128 * SECOND) };
    for i in 3_000..3_008 {
        let forecast = watch.forecast(&key("a"), &ask).unwrap();
        assert_eq!((forecast.start, forecast.points.len()), (START + i * SECOND, 128));
        let band = forecast.band.unwrap_or_else(|| panic!("{i}: {:?}", forecast.band_reason));
        assert_eq!((band.lower.len(), band.upper.len()), (128, 128));
        assert_eq!(forecast.last_seen, START + (i - 1) * SECOND);
        bench.record(&key("a"), &[sample(i)]);
    }
    assert_eq!(watch.figures().n_cold_forecasts, 1);
}

#[test]
fn a_silent_series_is_forecast_from_its_end_or_from_now() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let sample = |i: i64| Sample { at: START + i * MINUTE, value: (i % 60) as f64 };
    bench.record(&key("a"), &(0..600).map(sample).collect::<Vec<_>>());
    let watch = bench.watch(WatchSettings { enabled: false, ..settings() });
    let end = START + 599 * MINUTE;
    bench.now.store(end + 2 * DAY + 1, Ordering::Relaxed);
    let ask = ask(HOUR);
    let from_end = watch.forecast(&key("a"), &ask).unwrap();
    assert_eq!((from_end.start, from_end.points.len(), from_end.last_seen), (end + MINUTE, 60, end));
    assert_eq!(from_end.silent_for(watch.now()), Some(2 * DAY + 1));
    assert_eq!(from_end.silent_for(end + MINUTE), None);
    let from_now = watch.forecast(&key("a"), &ForecastAsk { from_now: true, ..ask.clone() }).unwrap();
    assert_eq!((from_now.start, from_now.points.len(), from_now.last_seen), (end + 2 * DAY + MINUTE, 60, end));
    // Two days ahead is further than its band was made for, and the answer says so.
    assert!(from_now.band.is_none() && from_now.band_reason.is_some());
    bench.now.store(end + 400 * DAY, Ordering::Relaxed);
    let too_late = watch.forecast(&key("a"), &ForecastAsk { from_now: true, ..ask }).unwrap_err();
    assert!(matches!(&too_late, WatchError::Ask(text) if text.contains("last sample")), "{too_late}");
    bench.now.store(end, Ordering::Relaxed);
    let too_many = watch.forecast(&key("a"), &ForecastAsk { step: Step::new(MINUTE), ..self::ask(100 * DAY) });
    assert!(matches!(too_many, Err(WatchError::Ask(_))), "{too_many:?}");
}

#[test]
fn the_fleet_is_listed_soonest_first() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let watch = bench.watch(settings());
    let series = |metric: &str, mount: &str| Key::from_pairs(metric, &[("host", "a"), ("mountpoint", mount)]).unwrap();
    let line = |from: f64, per_hour: f64| -> Vec<Sample> {
        (0..24 * 14).map(|i| Sample { at: START + i * HOUR, value: from + per_hour * i as f64 }).collect()
    };
    for (mount, per_hour) in [("/slow", -0.1), ("/fast", -1.0), ("/still", 0.0)] {
        watch.observe(bench.record(&series("node_filesystem_avail_bytes", mount), &line(500.0, per_hour)));
        watch.observe(bench.record(&series("node_filesystem_size_bytes", mount), &line(1000.0, 0.0)));
    }
    wait_for("the fleet", || watch.capacity(None, None, 365 * DAY, &PlannedEvents::none()).unwrap().series.len() == 3);
    let fleet = watch.capacity(None, None, 365 * DAY, &PlannedEvents::none()).unwrap().series;
    let mounts: Vec<_> = fleet.iter().map(|(key, _)| key.labels().get("mountpoint").unwrap()).collect();
    assert_eq!(mounts, ["/fast", "/slow", "/still"], "{fleet:?}");
    assert!(matches!(fleet[0].1.exhaustion, Exhaustion::Expected { p50: Some(_), .. }));
    assert_eq!(fleet[2].1.exhaustion, Exhaustion::NotGrowing);
    assert_eq!(fleet[2].1.headroom[0].share, Some(0.5));
    let selector = Selector::metric("node_filesystem_avail_bytes");
    let limit = Limit { value: 400.0, side: Side::Down };
    let asked = watch.capacity(Some(&selector), Some(limit), 365 * DAY, &PlannedEvents::none()).unwrap().series;
    assert!(matches!(asked[0].1.exhaustion, Exhaustion::Crossed { .. }), "{asked:?}");
    let unlimited =
        watch.capacity(Some(&Selector::metric("node_filesystem_size_bytes")), None, DAY, &PlannedEvents::none());
    assert!(matches!(unlimited, Err(WatchError::NoLimit(_))));
}

#[test]
fn forecasts_are_kept_with_issue_and_target_time() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    bench.record(&key("a"), &samples(5000, &[]));
    let watch = bench.watch(settings());
    wait_for("a kept forecast", || watch.figures().n_kept_forecasts == 1);
    watch.stop();
    let folder = dir.path().join("results/forecasts");
    let day = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(day).unwrap().next().unwrap().unwrap().path();
    let rows = results::read_parquet(&file).unwrap();
    assert_eq!(rows.iter().map(|rows| rows.num_rows()).sum::<usize>(), 96);
    for name in
        ["series_id", "labels", "issued_at", "target_at", "step_ms", "value", "lower", "upper", "coverage", "model"]
    {
        assert!(rows[0].column_by_name(name).is_some(), "{name}");
    }
}

#[test]
fn a_question_out_of_range_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let wrong = WatchSettings { detector: "magic".to_owned(), ..settings() };
    assert!(matches!(Watch::start(Arc::clone(&bench.store), Presets::none(), wrong), Err(WatchError::Settings(_))));
    let watch = bench.watch(settings());
    assert!(matches!(watch.capacity(None, None, 0, &PlannedEvents::none()), Err(WatchError::Ask(_))));
    assert_eq!(watch.capacity(None, None, DAY, &PlannedEvents::none()).unwrap().series, []);
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

/// The generated sample history, as the demo replays it.
fn sample_history() -> Vec<crate::series::Series> {
    use arrow::array::AsArray;
    use arrow::compute::cast;
    use arrow::datatypes::{DataType, Float64Type, Int64Type};

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/generated.parquet");
    let mut samples = Vec::new();
    for rows in results::read_parquet(&path).unwrap() {
        let int = |name: &str| cast(rows.column_by_name(name).unwrap(), &DataType::Int64).unwrap();
        let (at, value) = (int("timestamp"), rows.column_by_name("value").unwrap());
        let texts: Vec<_> = rows
            .schema()
            .fields()
            .iter()
            .zip(rows.columns())
            .filter(|(field, _)| !["timestamp", "value", "metric"].contains(&field.name().as_str()))
            .map(|(field, column)| (field.name().clone(), cast(column, &DataType::Utf8).unwrap()))
            .collect();
        let metric = cast(rows.column_by_name("metric").unwrap(), &DataType::Utf8).unwrap();
        let mut known = hashbrown::HashMap::new();
        for idx in 0..rows.num_rows() {
            let labels: Vec<(&str, &str)> = texts
                .iter()
                .filter(|(_, column)| !arrow::array::Array::is_null(column.as_ref(), idx))
                .map(|(name, column)| (name.as_str(), column.as_string::<i32>().value(idx)))
                .collect();
            let metric = metric.as_string::<i32>().value(idx);
            let key = known
                .entry((metric, labels))
                .or_insert_with_key(|(metric, labels)| Key::from_pairs(metric, labels).unwrap())
                .clone();
            let at = at.as_primitive::<Int64Type>().value(idx);
            samples.push((key, Sample { at, value: value.as_primitive::<Float64Type>().value(idx) }));
        }
    }
    scoring::by_series([&Batch::from_samples(samples)])
}

#[test]
fn the_sample_history_is_told_within_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let watch = bench.watch(settings());
    wait_for("backfill", || watch.figures().is_backfilled);
    let began = Instant::now();
    let series = sample_history();
    let n: usize = series.iter().map(|one| one.samples.len()).sum();
    for one in &series {
        watch.observe(bench.record(&one.key, &one.samples));
    }
    watch.stop();
    println!("{} series, {n} samples: {:?}, {:?}", series.len(), began.elapsed(), watch.figures());
    // The incident of the second Friday: the pool, the queue, and the services behind them.
    let friday = 1_794_579_600_000;
    let around = TimeRange::new(friday - 10 * MINUTE, friday + 50 * MINUTE).unwrap();
    let told = watch.anomalies(&Selector::all(), around, 0.0);
    for member in &told {
        println!("{:?} {} {}", member.anomaly.start, member.key, member.anomaly.explanation);
    }
    let began_then = |metric: &str| {
        told.iter().any(|member| member.key.metric() == metric && (member.anomaly.start - friday).abs() < 20 * MINUTE)
    };
    assert!(began_then("db_connections_active") && began_then("queue_depth") && began_then("http_error_ratio"));
    for incident in watch.incidents(TimeRange::ALL) {
        println!("{} {} members: {}", incident.start, incident.members.len(), incident.summary);
    }
    assert!(watch.incidents(around).iter().any(|incident| incident.members.len() >= 2));
    let began = Instant::now();
    let fleet = watch.capacity(None, None, 180 * DAY, &PlannedEvents::none()).unwrap().series;
    println!("fleet of {} in {:?}", fleet.len(), began.elapsed());
    for (key, answer) in &fleet {
        println!("{key} [{}] {}", answer.method, answer.recommendation);
    }
    let answer = |metric: &str, host: &str| {
        let is_it = |key: &Key| key.metric() == metric && key.labels().get("host") == Some(host);
        &fleet.iter().find(|(key, _)| is_it(key)).unwrap().1
    };
    // As data/truth.json says.
    let saw = answer("node_filesystem_avail_bytes", "web-1");
    assert_eq!(saw.exhaustion, Exhaustion::NotGrowing, "{saw:?}");
    let filling = answer("node_filesystem_avail_bytes", "db-1");
    let Exhaustion::Expected { p10: Some(p10), p50: Some(p50), p90: Some(p90) } = filling.exhaustion else {
        panic!("{filling:?}")
    };
    let (truth, now) = (1_795_749_300_000i64, 1_794_787_200_000i64);
    assert!((p50 - truth).abs() < (truth - now) / 20, "{} h of {}", (p50 - now) / HOUR, (truth - now) / HOUR);
    assert!((p10 - HOUR..=p90 + HOUR).contains(&truth), "{filling:?}");
    for (metric, label, limit, truth) in [
        ("process_resident_memory_bytes", ("service", "orders"), 4_294_967_296.0, 1_795_096_399_808i64),
        ("disk_used_bytes", ("host", "db-2"), 214_748_364_800.0, 1_796_745_600_000),
    ] {
        let mut selector = Selector::metric(metric);
        selector.matchers.push(crate::series::Matcher::new(label.0, crate::series::MatchOp::Equal, label.1).unwrap());
        let answers = watch
            .capacity(Some(&selector), Some(Limit { value: limit, side: Side::Up }), 180 * DAY, &PlannedEvents::none())
            .unwrap()
            .series;
        let Exhaustion::Expected { p50: Some(p50), .. } = answers[0].1.exhaustion else { panic!("{answers:?}") };
        let off = (p50 - truth).abs() as f64 / (truth - now) as f64;
        assert!(off < 0.15, "{metric}: {off} of {} h: {}", (truth - now) / HOUR, answers[0].1.recommendation);
    }
}

#[test]
fn issued_forecasts_are_judged_when_their_time_comes_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let series = samples(5_200, &[]);
    bench.record(&key("a"), &series[..5_000]);
    // One minute ahead at first, and two hours at most.
    let settings = || WatchSettings { keep_horizon: 2 * HOUR, refresh_every: 5 * MINUTE, ..settings() };
    let watch = bench.watch(settings());
    wait_for("a kept forecast", || watch.figures().n_kept_forecasts >= 1);
    assert_eq!(watch.issued(&key("a")), None, "nothing has come yet");
    let n_waiting = watch.figures().n_waiting;
    assert!(n_waiting >= 7, "a value in each group of leads waits: {n_waiting}");
    // Twenty minutes pass, and what was forecast of them is judged at the next refresh.
    bench.record(&key("a"), &series[5_000..5_020]);
    wait_for("judgement", || watch.issued(&key("a")).is_some_and(|told| told.overall.n() >= 4));
    watch.stop();
    let before = watch.issued(&key("a")).unwrap();
    // Noise of one around ten; five values say little of a band.
    assert!(before.overall.mae().unwrap() < 1.0 && before.overall.coverage().is_some(), "{before:?}");
    assert!(before.leads.iter().all(|(lead, _)| *lead <= 16 * MINUTE), "{before:?}");
    drop(watch);

    // The figures and what waits are there again, and go on.
    let watch = bench.watch(settings());
    let after = watch.issued(&key("a")).unwrap();
    assert_eq!((after.overall.n(), after.leads.len()), (before.overall.n(), before.leads.len()));
    assert!(watch.figures().n_waiting > 0);
    // Three hours come at once, as from a sender that held them back: until the watch has met them the series counts as
    // silent, and what waits of it must wait on.
    watch.observe(bench.record(&key("a"), &series[5_020..5_200]));
    wait_for("the longest lead", || {
        watch
            .issued(&key("a"))
            .is_some_and(|told| told.leads.last().is_some_and(|(lead, _)| *lead >= 2 * HOUR - 5 * MINUTE))
    });
    watch.stop();
    // What was judged became series of its own, which nobody forecasts.
    let recorded = bench.store.select(&Selector::metric("barograph_forecast_coverage"), TimeRange::ALL).unwrap();
    assert!(recorded.len() >= 3, "{recorded:?}");
    for one in &recorded {
        assert_eq!(one.key.labels().get("metric"), Some("load_average"));
        assert!(one.key.labels().get("lead").is_some() && one.key.labels().get("model").is_some());
        assert!(one.samples.iter().all(|sample| (0.0..=1.0).contains(&sample.value)));
    }
    let rows = std::fs::read_dir(dir.path().join("results/accuracy")).unwrap().count();
    assert!(rows >= 1);
    let watch = bench.watch(settings());
    wait_for("backfill", || watch.figures().is_backfilled);
    assert_eq!(watch.figures().n_watched, 1);
    watch.stop();
}

#[test]
fn planned_events_change_forecasts_and_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    bench.record(&key("a"), &samples(600, &[]));
    let watch = bench.watch(WatchSettings { enabled: false, ..settings() });
    let ask = ForecastAsk { model: "naive".to_owned(), ..ask(HOUR) };
    let last = |ask: &ForecastAsk| *watch.forecast(&key("a"), ask).unwrap().points.last().unwrap();
    let plain = last(&ask);
    let at = START + 630 * MINUTE;
    let plan = |add: f64| {
        let time = chrono::DateTime::from_timestamp_millis(at).unwrap().to_rfc3339();
        PlannedEvents::parse(&format!("[{{kind: step, at: {time}, add: {add}, match: load_average}}]")).unwrap()
    };
    watch.set_events(plan(100.0));
    assert_eq!(last(&ask), plain + 100.0);
    let assumed = ForecastAsk { assumed: Arc::new(plan(1_000.0)), ..ask.clone() };
    assert_eq!((last(&assumed), last(&ask)), (plain + 1_100.0, plain + 100.0));
    // The step comes and the model takes it in at the level that it knows.
    let later: Vec<Sample> =
        (600..640).map(|i| Sample { at: START + i * MINUTE, value: if i < 630 { 10.0 } else { 110.0 } }).collect();
    bench.record(&key("a"), &later);
    assert_eq!(last(&ask), 110.0);
    watch.set_events(PlannedEvents::none());
    assert_eq!(last(&ask), 110.0);
    // Of the past: the last half hour is to be ignored.
    let masked = format!(
        "[{{kind: maintenance, from: {}, to: {}}}]",
        chrono::DateTime::from_timestamp_millis(START + 630 * MINUTE).unwrap().to_rfc3339(),
        chrono::DateTime::from_timestamp_millis(START + 700 * MINUTE).unwrap().to_rfc3339()
    );
    let masked = ForecastAsk { assumed: Arc::new(PlannedEvents::parse(&masked).unwrap()), ..ask.clone() };
    assert_eq!((last(&masked), last(&ask)), (10.0, 110.0));
}
