//! Forecasts by days of series whose days are not UTC's.

use super::*;
use crate::series::{Aggregate, Zone};

/// 2026-03-29T01:00:00Z, when clocks in Berlin go from two to three.
const MARCH: Millis = 1_774_746_000_000;
/// The midnights there before and after the change.
const BEFORE: Millis = MARCH - 2 * HOUR;
const AFTER: Millis = MARCH + 21 * HOUR;

fn watch_in(bench: &Bench, zone: Option<&str>) -> Arc<Watch> {
    let (now, zone) = (Arc::clone(&bench.now), zone.map(|zone| zone.parse::<Zone>().unwrap()));
    let presets = zone.map_or_else(Presets::none, |zone| Presets::none().in_zone(zone));
    let settings = WatchSettings { enabled: false, ..settings() };
    Watch::start_at(Arc::clone(&bench.store), presets, settings, Arc::new(move || now.load(Ordering::Relaxed))).unwrap()
}

/// The hours from `from` to `to`, each with the number of the hour since the change.
fn hours(from: Millis, to: Millis) -> Vec<Sample> {
    let at = (from..to).step_by(HOUR as usize);
    at.map(|at| Sample { at, value: ((at - MARCH) / HOUR) as f64 }).collect()
}

fn by(step: Millis) -> ForecastAsk {
    ForecastAsk { step: Step::new(step), model: "naive".to_owned(), ..ask(14 * DAY) }
}

#[test]
fn days_move_with_the_clocks_there_and_a_model_at_hand_moves_too() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    bench.record(&key("a"), &hours(BEFORE - 30 * DAY, BEFORE + 2 * HOUR));
    let (berlin, utc) = (watch_in(&bench, Some("Europe/Berlin")), watch_in(&bench, None));
    let start = |watch: &Watch, step: Millis| watch.forecast(&key("a"), &by(step)).unwrap().start;
    assert_eq!((start(&berlin, DAY), start(&utc, DAY)), (BEFORE, BEFORE + HOUR));
    assert_eq!(start(&berlin, HOUR), start(&utc, HOUR));
    // Monday the 23rd at midnight, there and by UTC.
    assert_eq!((start(&berlin, 7 * DAY), start(&utc, 7 * DAY)), (BEFORE - 6 * DAY, BEFORE - 6 * DAY + HOUR));
    let n_cold = berlin.figures().n_cold_forecasts;
    bench.record(&key("a"), &hours(BEFORE + 2 * HOUR, AFTER + 2 * HOUR));
    let moved = berlin.forecast(&key("a"), &by(DAY)).unwrap();
    // The mean of the 24 hours up to midnight, summer time.
    assert_eq!((moved.start, moved.points[0]), (AFTER, 21.0 - 12.5));
    assert_eq!(moved.facts.zone.to_string(), "Europe/Berlin");
    assert_eq!(berlin.figures().n_cold_forecasts, n_cold + 1, "its cells began elsewhere");
    bench.record(&key("a"), &hours(AFTER + 2 * HOUR, AFTER + 26 * HOUR));
    assert_eq!(start(&berlin, DAY), AFTER + DAY);
    assert_eq!(berlin.figures().n_cold_forecasts, n_cold + 1, "in summer it goes on");
    assert_eq!(start(&utc, DAY), AFTER + 26 * HOUR, "by UTC nothing moves");
}

#[test]
fn an_aggregate_has_the_days_that_its_members_share() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    bench.record(&key("a"), &hours(BEFORE - 30 * DAY, AFTER + 2 * HOUR));
    bench.record(&key("b"), &hours(BEFORE - 30 * DAY, AFTER + HOUR));
    let of_host = |host: &str, zone: &str| {
        format!("  - selector: 'load_average{{host=\"{host}\"}}'\n    metric: {{ time_zone: {zone} }}\n")
    };
    let start = |rules: String| {
        let path = dir.path().join("mine.yaml");
        std::fs::write(&path, format!("name: mine\nsummary: mine\nrules:\n{rules}")).unwrap();
        let presets = Presets::load(&[path.to_str().unwrap().to_owned()]).unwrap().in_zone("+05:00".parse().unwrap());
        let now = Arc::clone(&bench.now);
        let settings = WatchSettings { enabled: false, ..settings() };
        let clock: Clock = Arc::new(move || now.load(Ordering::Relaxed));
        let watch = Watch::start_at(Arc::clone(&bench.store), presets, settings, clock).unwrap();
        let keys = [key("a"), key("b")];
        let found = watch.forecast_aggregate(&key("all"), &keys, Aggregate::Sum, &by(DAY)).unwrap();
        assert_eq!(found.n_members, 2);
        (found.forecast.start, found.forecast.points[0])
    };
    let berlin = of_host("a", "Europe/Berlin") + &of_host("b", "Europe/Berlin");
    assert_eq!(start(berlin), (AFTER, 2.0 * (21.0 - 12.5)));
    // Of two places it has neither's, but what holds for all.
    let apart = of_host("a", "Europe/Berlin") + &of_host("b", "America/New_York");
    assert_eq!(start(apart).0, AFTER - 3 * HOUR);
}

#[test]
fn an_aggregate_of_what_comes_daily_stands_where_its_members_do() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    // Dates, as midnights by UTC; and of one that ended before the change.
    let days = |to: Millis| -> Vec<Sample> {
        (MARCH - HOUR - 40 * DAY..to).step_by(DAY as usize).map(|at| Sample { at, value: 2.0 }).collect()
    };
    bench.record(&key("b"), &days(BEFORE - 20 * DAY));
    bench.record(&key("a"), &days(AFTER));
    for zone in ["Pacific/Auckland", "America/Los_Angeles", "Europe/Berlin", "+03:00", "UTC"] {
        let watch = watch_in(&bench, Some(zone));
        let found = watch.forecast_aggregate(&key("all"), &[key("a"), key("b")], Aggregate::Sum, &by(DAY)).unwrap();
        assert_eq!((found.n_members, found.forecast.start), (2, MARCH - HOUR + DAY), "{zone}");
        let alone = watch.forecast(&key("a"), &by(DAY)).unwrap();
        assert_eq!((alone.start, found.forecast.points[0]), (found.forecast.start, 2.0), "{zone}");
    }
}
