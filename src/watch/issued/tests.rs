//! Forecasts that wait, are judged, and teach the bands of the next.

use super::*;
use crate::forecast::{Band, Direction, Effect, Event, Facts, Heading};
use crate::series::{HOUR, MINUTE};

const START: Millis = 1_760_000_000_000 / DAY * DAY;

fn key(host: &str) -> Key {
    Key::from_pairs("load", &[("host", host)]).unwrap()
}

/// Twelve quarters of an hour at 10, give or take 2.
fn forecast(issued_at: Millis) -> Forecast {
    let coverage = Coverage::new(0.8).unwrap();
    Forecast {
        start: issued_at,
        step: Step::seconds(900),
        calendar: None,
        points: vec![10.0; 12],
        band: Some(Band { coverage, lower: vec![8.0; 12], upper: vec![12.0; 12] }),
        band_reason: None,
        facts: Facts::default(),
        last_seen: issued_at,
        direction: Direction { heading: Heading::Flat, slope_per_step: 0.0, p_value: 1.0 },
        model: "naive".to_owned(),
        settings: BTreeMap::new(),
        accuracy: None,
        season: None,
        fallback: None,
        events: Vec::new(),
        influences: Vec::new(),
    }
}

/// One a minute from the start on, of a value.
fn points(n: i64, value: f64) -> Vec<Sample> {
    (0..n).map(|i| Sample { at: START + i * MINUTE, value }).collect()
}

#[test]
fn a_target_is_judged_when_its_cell_and_one_more_have_passed() {
    let mut issued = Issued::new(100, 10);
    issued.add(&key("a"), START, "auto", &forecast(START), Events::NONE);
    // Leads 1, 2, 4, 8 and the horizon.
    assert_eq!(issued.counts().n_waiting, 5);
    assert_eq!(issued.needed(&key("a"), START + 29 * MINUTE), None);
    let now = START + 45 * MINUTE;
    let range = issued.needed(&key("a"), now).unwrap();
    assert_eq!((range.start(), range.end()), (START - 45 * MINUTE, START + 45 * MINUTE));
    issued.judge(&key("a"), now, &points(45, 13.0));
    assert_eq!(issued.counts(), IssuedCounts { n_waiting: 3, n_judged: 2, n_unjudged: 0 });
    let told = issued.of(&key("a")).unwrap();
    assert_eq!(
        told.leads.iter().map(|(lead, tally)| (*lead, tally.n())).collect::<Vec<_>>(),
        [(15 * MINUTE, 1), (30 * MINUTE, 1)]
    );
    assert_eq!((told.overall.mae(), told.overall.bias(), told.overall.coverage()), (Some(3.0), Some(3.0), Some(0.0)));
    assert_eq!((told.overall.promised(), told.since), (Some(0.8), START));
    // No sample came for the rest.
    issued.judge(&key("a"), START + DAY, &[]);
    assert_eq!(issued.counts(), IssuedCounts { n_waiting: 0, n_judged: 2, n_unjudged: 3 });
    assert_eq!(issued.of(&key("b")), None);
}

#[test]
fn coarse_cells_are_judged_by_their_mean_and_fine_ones_by_their_sample() {
    let target = |at, step| Target {
        issued_at: START,
        at,
        lead: step,
        step: Step::new(step).unwrap(),
        point: 0.0,
        band: None,
        scale: None,
        factor: 1.0,
        model: "naive",
    };
    let points: Vec<Sample> = (0..40).map(|i| Sample { at: START + i * MINUTE + 3, value: i as f64 }).collect();
    let value = |target| value_of(&points, &target, Some(Step::seconds(60)));
    assert_eq!(value(target(START, 15 * MINUTE)), Some(7.0));
    assert_eq!(value(target(START + 20 * MINUTE, MINUTE)), Some(20.0));
    assert_eq!(value(target(START + 90 * MINUTE, MINUTE)), None);
}

#[test]
fn what_does_not_fit_and_what_is_maintained_does_not_wait() {
    let mut issued = Issued::new(7, 10);
    issued.add(&key("a"), START, "auto", &forecast(START), Events::NONE);
    issued.add(&key("b"), START, "auto", &forecast(START), Events::NONE);
    assert_eq!(issued.counts(), IssuedCounts { n_waiting: 7, n_judged: 0, n_unjudged: 3 });
    issued.judge(&key("a"), START + 30 * MINUTE, &points(60, 10.0));
    // The series may be back within a day, with all that it missed.
    issued.retain(START + DAY - 1, |kept| *kept == key("b"));
    assert_eq!(issued.counts(), IssuedCounts { n_waiting: 6, n_judged: 1, n_unjudged: 3 });
    issued.retain(START + DAY, |kept| *kept == key("b"));
    assert_eq!(issued.counts(), IssuedCounts { n_waiting: 2, n_judged: 1, n_unjudged: 7 });
    assert!(issued.of(&key("a")).is_some(), "it may come back");
    issued.retain(START + 9 * DAY, |kept| *kept == key("b"));
    assert!(issued.of(&key("a")).is_none());
    let window = Effect::Maintenance(vec![(START, START + 20 * MINUTE)]);
    let events = Events::new(vec![Event { name: "w".to_owned(), effect: window }]);
    issued.add(&key("a"), START, "auto", &forecast(START), &events);
    assert_eq!(issued.waiting().iter().filter(|(of, _)| *of == key("a")).count(), 3);
}

#[test]
fn a_restart_goes_on_where_it_was_and_judges_nothing_twice() {
    let mut issued = Issued::new(100, 10);
    issued.add(&key("a"), START, "auto", &forecast(START), Events::NONE);
    let before = issued.waiting();
    let now = START + 45 * MINUTE;
    issued.judge(&key("a"), now, &points(45, 11.0));
    let days: Vec<JudgedDay> = issued.take_changed().into_values().flatten().collect();
    assert_eq!((days.len(), issued.take_changed().len()), (2, 0));
    issued.give_back(&days[..1]);
    assert_eq!(issued.take_changed().len(), 1);
    // The days were written, what waits was not any more.
    let mut again = Issued::new(100, 10);
    again.load(days, before);
    assert_eq!(again.counts().n_waiting, 3);
    assert_eq!(again.of(&key("a")), issued.of(&key("a")));
    for issued in [&mut issued, &mut again] {
        issued.judge(&key("a"), START + DAY, &points(600, 11.0));
    }
    assert_eq!(again.of(&key("a")), issued.of(&key("a")));
    // A week later nothing of it is left in memory.
    issued.judge(&key("a"), START + 8 * DAY, &[]);
    assert_eq!(issued.of(&key("a")), None);
}

#[test]
fn accuracy_becomes_few_series_however_many_metrics_there_are() {
    let mut issued = Issued::new(10_000, 8);
    let metric = |nr: i32| Key::from_pairs(&format!("m{nr}"), &[]).unwrap();
    for nr in 0..20 {
        issued.add(&metric(nr), START, "auto", &forecast(START), Events::NONE);
        issued.judge(&metric(nr), START + DAY, &points(600, 11.0));
    }
    let batch = issued.take_samples(START + DAY);
    let sets: HashSet<(String, String)> = batch
        .keys()
        .iter()
        .map(|key| (key.labels().get("metric").unwrap().to_owned(), key.labels().get("lead").unwrap().to_owned()))
        .collect();
    // Eight sets, and one for each lead of all the others.
    assert_eq!(sets.len(), 8 + 5, "{sets:?}");
    assert!(sets.contains(&("other".to_owned(), "15m".to_owned())), "{sets:?}");
    assert!(batch.keys().iter().all(is_own));
    let models: HashSet<&str> = batch.keys().iter().filter_map(|key| key.labels().get("model")).collect();
    assert_eq!(models, HashSet::from(["auto", "other"]), "not who `auto` chose");
    let judged: f64 = batch
        .iter()
        .filter(|(key, _)| key.metric() == "barograph_forecast_judged")
        .map(|(_, sample)| sample.value)
        .sum();
    assert_eq!(judged, 100.0);
    assert!(issued.take_samples(START + DAY).is_empty());
}

/// Noise of one in `n` cells, and from `from` to `to` of three.
fn errors(seed: u64, n: usize, from: usize, to: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut normal = || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
    (0..n).map(|cell| normal() * if (from..to).contains(&cell) { 3.0 } else { 1.0 }).collect()
}

/// A forecast every quarter of an hour whose fits never learn that the noise grew.
#[test]
fn bands_of_what_is_issued_follow_what_came_true() {
    let (n, from, to) = (900usize, 200, 700);
    let at = |cell: usize| START + cell as Millis * 15 * MINUTE;
    // Of cells before, while and after the noise is large, and of bands with and without what was learnt.
    let spans = [(100, 200), (280, 480), (480, 700), (780, 900)];
    let (mut held, mut plain, mut widths, mut counts) = ([0.0; 4], [0.0; 4], [0.0; 4], [0.0; 4]);
    for seed in 1..=12 {
        let key = key(&seed.to_string());
        let errors = errors(seed, n + 12, from, to);
        let samples: Vec<Sample> =
            errors.iter().enumerate().map(|(cell, error)| Sample { at: at(cell), value: 10.0 + error }).collect();
        let mut issued = Issued::new(1_000, 0);
        for cell in 0..n {
            let now = at(cell);
            if let Some(range) = issued.needed(&key, now) {
                let points: Vec<Sample> = samples[..cell].iter().filter(|it| range.contains(it.at)).copied().collect();
                issued.judge(&key, now, &points);
            }
            let correction = issued.correction(&key);
            let half: Vec<f64> = (1..=12).map(|lead| 1.96 * correction.factor(lead * 15 * MINUTE)).collect();
            let mut forecast = forecast(now);
            forecast.band = Some(Band {
                coverage: Coverage::P95,
                lower: half.iter().map(|half| 10.0 - half).collect(),
                upper: half.iter().map(|half| 10.0 + half).collect(),
            });
            issued.add(&key, now, "auto", &forecast, Events::NONE);
            for idx in [0, 1, 3, 7, 11] {
                let error = errors[cell + idx].abs();
                for nr in (0..4).filter(|nr| (spans[*nr].0..spans[*nr].1).contains(&(cell + idx))) {
                    held[nr] += f64::from(u8::from(error <= half[idx]));
                    plain[nr] += f64::from(u8::from(error <= 1.96));
                    widths[nr] += half[idx] / 1.96;
                    counts[nr] += 1.0;
                }
            }
            // A restart loses nothing of it.
            let mut again = Issued::new(1_000, 0);
            again.load(Vec::new(), issued.waiting());
            for lead in [1, 4, 12] {
                let [before, after] = [&issued, &again].map(|it| it.correction(&key).factor(lead * 15 * MINUTE));
                assert!((after / before - 1.0).abs() < 1e-6, "{cell} {lead}: {before} {after}");
            }
        }
    }
    let share = |sums: [f64; 4]| -> Vec<f64> { sums.iter().zip(counts).map(|(sum, n)| sum / n).collect() };
    let (held, plain, widths) = (share(held), share(plain), share(widths));
    assert!(held.iter().all(|share| (0.92..=0.99).contains(share)), "{held:?}");
    assert!(plain[1] < 0.6 && plain[2] < 0.6 && plain[3] > 0.92, "{plain:?}");
    assert!((widths[0] - 1.0).abs() < 0.1 && widths[1] > 2.4 && widths[3] < 1.6, "{widths:?}");
}

#[test]
fn an_edge_where_the_range_ends_and_a_band_of_no_width_say_little() {
    let target = |lower, upper| Target {
        issued_at: START,
        at: START,
        lead: MINUTE,
        step: Step::seconds(60),
        point: 1.0,
        band: Some((lower, upper, Coverage::P95)),
        scale: None,
        factor: 2.0,
        model: "auto",
    };
    let size = |target: Target, value| target.outcome(value, 1).map(|outcome| outcome.size);
    assert_eq!(size(target(0.0, 2.0), 3.0), Some(4.0));
    assert_eq!(size(target(0.0, 2.0), 0.0), Some(1.0), "inside, at the lowest value there is");
    assert_eq!(size(target(1.0, 2.0), 0.5), None);
    assert_eq!(size(target(1.0, 2.0), 1.0), Some(0.0));
    assert_eq!(size(Target { band: None, ..target(0.0, 2.0) }, 3.0), None);
}

#[test]
fn days_are_judged_by_the_cells_that_were_forecast() {
    // Days that begin at 22:00Z, as midnight is in Berlin in summer; at that hour the value goes up by one.
    let start = START - 2 * HOUR;
    let days = Forecast {
        step: Step::new(DAY).unwrap(),
        points: (0..8).map(f64::from).collect(),
        band: None,
        ..forecast(start)
    };
    let mut issued = Issued::new(100, 10);
    issued.add(&key("a"), start, "auto", &days, Events::NONE);
    let now = start + 10 * DAY;
    let range = issued.needed(&key("a"), now).unwrap();
    let hours = (range.start()..range.end()).step_by(HOUR as usize);
    let points: Vec<Sample> = hours.map(|at| Sample { at, value: (at - start).div_euclid(DAY) as f64 }).collect();
    issued.judge(&key("a"), now, &points);
    assert_eq!((issued.counts().n_judged, issued.of(&key("a")).unwrap().overall.mae()), (4, Some(0.0)));
}
