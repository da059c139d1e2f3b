//! Forecasts that are kept warm, judged when their time comes, and changed by what is planned.

use super::*;

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
        assert!(one.key.labels().get("lead").is_some());
        assert_eq!(one.key.labels().get("model"), Some("auto"));
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
