//! Whole assessments on series whose truth is known.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::forecast::{Change, Effect, Event, Events};
use crate::series::{DAY, HOUR, History, Millis, Side, Step};

const START: Millis = 1_760_000_000_000;

fn history(step: Millis, values: Vec<f64>) -> History {
    History::new(START, Step::new(step).unwrap(), values)
}

fn up(value: f64) -> Limit {
    Limit { value, side: Side::Up }
}

fn normal(rng: &mut Xoshiro256PlusPlus) -> f64 {
    let (u, v): (f64, f64) = (rng.gen_range(1e-12..1.0), rng.r#gen());
    (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
}

fn rng(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// Whole assessments keep their promises whatever comes in.
fn assess_checked(history: &History, limit: Limit, settings: &CapacitySettings) -> Assessment {
    let got = assess(history, limit, settings);
    if let Exhaustion::Expected { p10, p50, p90 } = got.exhaustion {
        let order = [p10, p50, p90].map(|at| at.unwrap_or(Millis::MAX));
        assert!(order.is_sorted(), "{:?}", got.exhaustion);
    }
    assert_eq!(got.headroom.len(), 4);
    assert!(!got.recommendation.is_empty());
    let again = assess(history, limit, settings);
    assert_eq!((&got.exhaustion, &got.recommendation), (&again.exhaustion, &again.recommendation));
    got
}

fn dates(got: &Assessment) -> [f64; 3] {
    match got.exhaustion {
        Exhaustion::Expected { p10: Some(p10), p50: Some(p50), p90: Some(p90) } => [p10, p50, p90].map(|at| at as f64),
        _ => panic!("{got:?}"),
    }
}

#[test]
fn a_straight_line_crosses_where_it_says() {
    let values: Vec<f64> = (0..100).map(|i| 10.0 + f64::from(i)).collect();
    let history = history(HOUR, values);
    let got = assess_checked(&history, up(209.0), &CapacitySettings::default());
    let truth = history.at(199) as f64;
    for date in dates(&got) {
        assert!((date - truth).abs() < 0.01 * 100.0 * HOUR as f64, "{got:?}");
    }
    assert!((got.slope_per_day - 24.0).abs() < 1e-6);
    assert_eq!(got.headroom[0].value, Some(100.0));
    assert!((got.amount.unwrap() - 24.0 * 30.0).abs() < 1e-6, "{got:?}");
}

#[test]
fn noise_on_a_line_moves_the_date_by_little() {
    let mut rng = rng(1);
    let values: Vec<f64> = (0..720).map(|i| 100.0 + 0.1 * f64::from(i) + normal(&mut rng)).collect();
    let history = history(HOUR, values);
    let got = assess_checked(&history, up(220.0), &CapacitySettings::default());
    let [p10, p50, p90] = dates(&got);
    let now = history.at(719) as f64;
    let truth = 481.0 * HOUR as f64;
    assert!(((p50 - now) / truth - 1.0).abs() < 0.08, "{} of {}", (p50 - now) / HOUR as f64, 481);
    assert!(p90 - p10 < 0.2 * truth, "{got:?}");
}

#[test]
fn a_daily_season_does_not_hide_growth() {
    let mut rng = rng(2);
    let season = |i: usize| 15.0 * (2.0 * std::f64::consts::PI * (i % 24) as f64 / 24.0).sin();
    let values: Vec<f64> = (0..24 * 21).map(|i| 100.0 + 0.05 * i as f64 + season(i) + 0.5 * normal(&mut rng)).collect();
    let history = history(HOUR, values);
    let got = assess_checked(&history, up(200.0), &CapacitySettings::default());
    // The peak of the day reaches the limit first.
    let truth = (0..).find(|i| 100.0 + 0.05 * f64::from(*i) + season(*i as usize) >= 200.0).unwrap();
    let [_, p50, _] = dates(&got);
    let now = history.at(24 * 21 - 1) as f64;
    let (wait, true_wait) = ((p50 - now) / HOUR as f64, f64::from(truth) - 503.0);
    assert!((wait / true_wait - 1.0).abs() < 0.08, "{wait} {true_wait}");
}

#[test]
fn drifting_motion_crosses_as_the_inverse_gaussian_says() {
    // Distance 30, drift 1, deviation 5 per step; the drift is known from 400 steps, so its error widens the law.
    let mut first = Vec::new();
    let mut medians = Vec::new();
    for seed in 0..20 {
        let mut rng = rng(100 + seed);
        let mut level = 0.0;
        let values: Vec<f64> = (0..400)
            .map(|_| {
                level += 2.0 + 3.0 * normal(&mut rng);
                level
            })
            .collect();
        let limit = level + 60.0;
        let history = history(DAY, values);
        let got = assess_checked(
            &history,
            up(limit),
            &CapacitySettings { horizon: 400 * DAY, ..CapacitySettings::default() },
        );
        let now = history.at(399) as f64;
        let [p10, p50, _] = dates(&got).map(|at| (at - now) / DAY as f64);
        first.push(p10);
        medians.push(p50);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    // Closed form: 60, 2, 3 has quantiles 10/50/90 at 21.9, 29.0 and 38.8 or so.
    let inverse = |share: f64| {
        (1..10_000).map(|i| f64::from(i) * 0.01).find(|t| crossing_probability(60.0, 2.0, 3.0, *t) >= share).unwrap()
    };
    assert!((mean(&medians) / inverse(0.5) - 1.0).abs() < 0.1, "{} {}", mean(&medians), inverse(0.5));
    assert!((mean(&first) / inverse(0.1) - 1.0).abs() < 0.15, "{} {}", mean(&first), inverse(0.1));
}

#[test]
fn white_noise_does_not_grow() {
    let mut grown = 0;
    for seed in 0..40 {
        let mut rng = rng(seed);
        let values: Vec<f64> = (0..500).map(|_| 50.0 + normal(&mut rng)).collect();
        let got = assess_checked(&history(HOUR, values), up(100.0), &CapacitySettings::default());
        grown += usize::from(got.exhaustion != Exhaustion::NotGrowing);
    }
    assert!(grown <= 2, "{grown}");
}

#[test]
fn a_level_that_comes_back_will_not_reach_a_far_limit() {
    let mut rng = rng(11);
    let mut off = 0.0;
    let values: Vec<f64> = (0..1000)
        .map(|_| {
            off = 0.95 * off + normal(&mut rng);
            50.0 + off
        })
        .collect();
    let far = assess_checked(&history(HOUR, values.clone()), up(90.0), &CapacitySettings::default());
    assert_eq!((&far.exhaustion, far.probability), (&Exhaustion::NotGrowing, Some(0.0)), "{far:?}");
    let near = assess_checked(&history(HOUR, values), up(61.0), &CapacitySettings::default());
    assert!(near.probability.unwrap() > 0.5, "{near:?}");
}

#[test]
fn a_random_walk_mostly_does_not_grow() {
    let mut grown = 0;
    for seed in 0..60 {
        let mut rng = rng(1000 + seed);
        let mut level = 0.0;
        let values: Vec<f64> = (0..600)
            .map(|_| {
                level += normal(&mut rng);
                level
            })
            .collect();
        let got = assess_checked(&history(HOUR, values), up(level + 400.0), &CapacitySettings::default());
        grown += usize::from(got.exhaustion != Exhaustion::NotGrowing);
    }
    assert!(grown <= 9, "{grown} of 60");
}

#[test]
fn a_leak_that_began_lately_is_seen() {
    let mut rng = rng(5);
    let values: Vec<f64> =
        (0..1440).map(|i| 40.0 + 0.1 * (f64::from(i) - 1000.0).max(0.0) + 0.5 * normal(&mut rng)).collect();
    let history = history(HOUR / 12, values);
    let got = assess_checked(&history, up(104.0), &CapacitySettings::default());
    let [_, p50, _] = dates(&got);
    let wait = (p50 - history.at(1439) as f64) / (HOUR / 12) as f64;
    assert!((wait / 201.0 - 1.0).abs() < 0.15, "{wait}");
}

#[test]
fn a_step_up_is_no_growth() {
    let mut rng = rng(6);
    let values: Vec<f64> = (0..600).map(|i| if i < 300 { 20.0 } else { 40.0 } + normal(&mut rng)).collect();
    let got = assess_checked(&history(HOUR, values), up(100.0), &CapacitySettings::default());
    assert_eq!(got.exhaustion, Exhaustion::NotGrowing, "{got:?}");
}

/// Teeth of 25 to 55 hours in no order, each beginning at `base` times its number.
fn teeth(n: usize, base: f64) -> Vec<f64> {
    let mut rng = rng(7);
    let mut values = Vec::new();
    for tooth in 0..n {
        let len = rng.gen_range(25..=55);
        values.extend(
            (0..len).map(|i| base * tooth as f64 + 60.0 * f64::from(i) / f64::from(len) + 0.1 * normal(&mut rng)),
        );
    }
    values
}

#[test]
fn a_sawtooth_is_judged_by_its_peaks() {
    let flat = assess_checked(&history(HOUR, teeth(24, 0.0)), up(90.0), &CapacitySettings::default());
    assert_eq!((&flat.exhaustion, flat.method), (&Exhaustion::NotGrowing, "envelope"), "{flat:?}");
    let growing = history(HOUR, teeth(24, 1.0));
    let got = assess_checked(&growing, up(110.0), &CapacitySettings::default());
    assert_eq!(got.method, "envelope");
    let [_, p50, _] = dates(&got);
    // Peaks of 59 + k: 110 is reached at the end of tooth 51, 27 teeth of 40 hours from the end of tooth 24.
    let wait = (p50 - growing.at(growing.len() - 1) as f64) / HOUR as f64;
    assert!((wait / 1090.0 - 1.0).abs() < 0.12, "{wait}");
}

#[test]
fn a_regular_sawtooth_is_as_good_as_a_season() {
    let tooth = |grow: f64| (0..800).map(|i| grow * f64::from(i / 40) + f64::from(i % 40)).collect();
    let flat = assess_checked(&history(HOUR, tooth(0.0)), up(80.0), &CapacitySettings::default());
    assert_eq!(flat.exhaustion, Exhaustion::NotGrowing, "{flat:?}");
    let growing = history(HOUR, tooth(1.0));
    let got = assess_checked(&growing, up(80.0), &CapacitySettings::default());
    let [_, p50, _] = dates(&got);
    // 39 + k at the end of tooth k: near the end of tooth 41.
    let wait = (p50 - growing.at(799) as f64) / HOUR as f64;
    assert!((wait / 860.0 - 1.0).abs() < 0.1, "{wait}");
}

#[test]
fn a_purge_that_stays_away_is_growth() {
    let mut values: Vec<f64> = (0..400).map(|i| f64::from(i % 40)).collect();
    values.extend((0..90).map(f64::from));
    let history = history(HOUR, values);
    let got = assess_checked(&history, up(120.0), &CapacitySettings::default());
    let [_, p50, _] = dates(&got);
    let wait = (p50 - history.at(489) as f64) / HOUR as f64;
    assert!((wait - 31.0).abs() < 3.0, "{wait}");
}

#[test]
fn a_crossed_limit_says_since_when() {
    let values: Vec<f64> = (0..100).map(f64::from).collect();
    let history = history(HOUR, values);
    let got = assess_checked(&history, up(90.0), &CapacitySettings::default());
    assert_eq!(got.exhaustion, Exhaustion::Crossed { since: Some(history.at(90)) });
    assert!(got.amount.unwrap() > 9.0 && got.recommendation.contains("now"), "{}", got.recommendation);
    let always = assess_checked(&history, up(-1.0), &CapacitySettings::default());
    assert_eq!(always.exhaustion, Exhaustion::Crossed { since: None });
}

#[test]
fn a_lower_limit_is_the_mirror() {
    let values: Vec<f64> = (0..200).map(|i| 1000.0 - 2.0 * f64::from(i)).collect();
    let history = history(HOUR, values);
    let got = assess_checked(&history, Limit { value: 100.0, side: Side::Down }, &CapacitySettings::default());
    let [_, p50, _] = dates(&got);
    assert!((p50 - history.at(450) as f64).abs() < 2.0 * HOUR as f64, "{got:?}");
    assert!((got.slope_per_day + 48.0).abs() < 1e-6 && got.level == 602.0 && got.headroom[0].value == Some(502.0));
    let rising = assess_checked(&history, up(2000.0), &CapacitySettings::default());
    assert_eq!(rising.exhaustion, Exhaustion::NotGrowing);
}

#[test]
fn too_little_is_unknown_with_a_reason() {
    for values in [vec![], vec![f64::NAN; 50], vec![1.0], vec![1.0, 2.0, 3.0]] {
        let n = values.len();
        let got = assess_checked(&history(HOUR, values), up(100.0), &CapacitySettings::default());
        assert!(matches!(&got.exhaustion, Exhaustion::Unknown { reason } if !reason.is_empty()), "{n}: {got:?}");
    }
    // A minute of history does not speak for half a year.
    let minute = history(1000, (0..60).map(|i| 100.0 + 0.001 * f64::from(i)).collect());
    let got = assess_checked(&minute, up(1e6), &CapacitySettings::default());
    assert!(matches!(got.exhaustion, Exhaustion::Unknown { .. }), "{got:?}");
}

#[test]
fn a_short_history_advises_for_as_long_as_it_can_speak() {
    let mib = 1024f64 * 1024.0;
    // Twenty minutes of a small volume that loses 10 MiB a minute and has 100 left.
    let values: Vec<f64> = (0..240).map(|i| 300.0 * mib - 10.0 * mib * f64::from(i) / 12.0).collect();
    let settings =
        CapacitySettings { unit: Some("bytes".to_owned()), whole: Some(384.0 * mib), ..CapacitySettings::default() };
    let history = history(5_000, values);
    let got = assess_checked(&history, Limit { value: 0.0, side: Side::Down }, &settings);
    let [_, p50, _] = dates(&got);
    let wait = (p50 - history.at(239) as f64) / 60_000.0;
    assert!((wait - 10.1).abs() < 0.5, "{wait}");
    assert!(got.horizon < HOUR && got.horizon > 55 * 60_000, "{got:?}");
    // An hour of it, not 30 days.
    assert!((got.amount.unwrap() / (597.5 * mib) - 1.0).abs() < 0.05, "{got:?}");
    assert!(got.headroom[0].value.is_some() && got.headroom[1..].iter().all(|later| later.value.is_none()), "{got:?}");
    for part in ["to keep 1h of headroom", "shrinking by 10 MiB a minute", "the history of 20m speaks for the next 1h"]
    {
        assert!(got.recommendation.contains(part), "{part}: {}", got.recommendation);
    }
}

#[test]
fn a_morning_is_no_growth_for_months() {
    // Six hours of a daily wave on its way up: by then the limit would be reached, had it not a top.
    let values: Vec<f64> =
        (0..72).map(|i| 50.0 + 20.0 * (f64::from(i) / 288.0 * std::f64::consts::TAU).sin()).collect();
    let got = assess_checked(&history(HOUR / 12, values), up(300.0), &CapacitySettings::default());
    let Exhaustion::Unknown { reason } = &got.exhaustion else { panic!("{got:?}") };
    assert!(reason.contains("6h") && reason.contains("18h"), "{reason}");
    assert!(got.recommendation.starts_with("no advice: ") && got.amount.is_none(), "{got:?}");
}

#[test]
fn two_weeks_speak_for_half_a_year() {
    let values: Vec<f64> = (0..24 * 14).map(|i| 100.0 + f64::from(i)).collect();
    let got = assess_checked(&history(HOUR, values), up(600.0), &CapacitySettings::default());
    assert!(got.horizon == 180 * DAY && got.headroom.iter().all(|later| later.value.is_some()), "{got:?}");
    assert!(got.recommendation.contains("30 days of headroom") && !got.recommendation.contains("speaks"), "{got:?}");
}

#[test]
fn odd_values_do_not_panic() {
    let odd: [Vec<f64>; 6] = [
        vec![5.0; 300],
        (0..300).map(|i| if i % 3 == 0 { f64::NAN } else { f64::from(i) }).collect(),
        (0..300).map(|i| f64::from(i) * 1e300).collect(),
        (0..300).map(|i| f64::from(i) * 1e-300).collect(),
        (0..300).map(|i| f64::from(i % 2)).collect(),
        (0..300).map(|i| if i == 150 { 1e12 } else { 1.0 }).collect(),
    ];
    for values in odd {
        for limit in [up(1.0), up(1e9), up(0.0), up(f64::NAN), Limit { value: -1.0, side: Side::Down }] {
            assess_checked(&history(HOUR, values.clone()), limit, &CapacitySettings::default());
        }
    }
    let constant = assess_checked(&history(HOUR, vec![5.0; 300]), up(10.0), &CapacitySettings::default());
    assert_eq!((constant.exhaustion, constant.probability), (Exhaustion::NotGrowing, Some(0.0)));
}

#[test]
fn a_limit_that_daily_peaks_reach_is_expected_soon() {
    let values: Vec<f64> = (0..24 * 14)
        .map(|i| 60.0 + 30.0 * (2.0 * std::f64::consts::PI * f64::from(i % 24) / 24.0).sin() + f64::from(i % 7))
        .collect();
    let history = history(HOUR, values);
    let got = assess_checked(&history, up(90.0), &CapacitySettings::default());
    let [_, p50, _] = dates(&got);
    assert!(p50 - (history.at(24 * 14) as f64) < 3.0 * DAY as f64, "{got:?}");
}

#[test]
fn the_recommendation_names_amount_date_and_headroom() {
    let gib = 1024f64.powi(3);
    let values: Vec<f64> = (0..720).map(|i| gib * (400.0 + f64::from(i) / 6.0)).collect();
    let settings = CapacitySettings { unit: Some("bytes".to_owned()), ..CapacitySettings::default() };
    let got = assess_checked(&history(HOUR, values), up(600.0 * gib), &settings);
    for part in ["add 120 GiB (20 %) by 2025-", "to keep 30 days of headroom", "growing by 4 GiB a day"] {
        assert!(got.recommendation.contains(part), "{part}: {}", got.recommendation);
    }
}

fn planned(effect: Effect) -> CapacitySettings {
    let event = Event { name: "move".to_owned(), effect };
    CapacitySettings { events: Events::new(vec![event]), ..CapacitySettings::default() }
}

fn add(by: f64) -> Change {
    Change::Add { by, give_or_take: 0.0 }
}

#[test]
fn what_is_planned_moves_the_date() {
    let line = history(HOUR, (0..100).map(|i| 10.0 + f64::from(i)).collect());
    let (now, limit) = (line.at(99), up(209.0));
    let hours = |got: &Assessment| (dates(got)[1] - now as f64) / HOUR as f64;
    assert!((hours(&assess_checked(&line, limit, &CapacitySettings::default())) - 100.0).abs() < 1.0);
    // Forty more in two days; a larger limit in two days; both are in the answer's amount.
    let step = assess_checked(&line, limit, &planned(Effect::Step { at: now + 2 * DAY, change: add(40.0) }));
    assert!((hours(&step) - 60.0).abs() < 1.5, "{step:?}");
    assert!((step.amount.unwrap() - (24.0 * 30.0 + 40.0)).abs() < 1.0 && step.events == ["move"], "{step:?}");
    assert!(step.recommendation.contains("with `move` planned"), "{}", step.recommendation);
    let raised = assess_checked(&line, limit, &planned(Effect::Limit { at: now + 2 * DAY, change: add(100.0) }));
    assert!((hours(&raised) - 200.0).abs() < 2.0, "{raised:?}");
    // Forty more from the next cell on, or from the one after it.
    for after in [HOUR, 2 * HOUR] {
        let step = assess_checked(&line, limit, &planned(Effect::Step { at: now + after, change: add(40.0) }));
        assert!((hours(&step) - 60.0).abs() < 1.5, "{after}: {step:?}");
    }
    // What comes too late, and what has come already, moves nothing.
    let late = assess_checked(&line, limit, &planned(Effect::Step { at: now + 20 * DAY, change: add(40.0) }));
    assert!((hours(&late) - 100.0).abs() < 1.0, "{late:?}");
    // The headroom after a week knows of both growth and step.
    let room = |got: &Assessment| got.headroom[1].value.unwrap();
    assert!((room(&assess(&line, limit, &CapacitySettings::default())) - room(&step) - 40.0).abs() < 1e-6);
}

#[test]
fn a_step_onto_a_quiet_series_is_told_by_its_day() {
    let mut rng = rng(5);
    let quiet = history(HOUR, (0..720).map(|_| 100.0 + normal(&mut rng)).collect());
    let at = quiet.at(719) + 5 * DAY;
    let limit = up(150.0);
    assert_eq!(assess_checked(&quiet, limit, &CapacitySettings::default()).exhaustion, Exhaustion::NotGrowing);
    let got = assess_checked(&quiet, limit, &planned(Effect::Step { at, change: add(60.0) }));
    assert_eq!(got.method, "planned");
    for date in dates(&got) {
        assert!((date - at as f64).abs() < 12.0 * HOUR as f64, "{got:?}");
    }
    let amount = got.amount.unwrap();
    assert!((8.0..20.0).contains(&amount), "ten too much, and the noise: {amount}");
    assert!(got.recommendation.contains("`move`"), "{}", got.recommendation);
    let smaller = assess_checked(&quiet, limit, &planned(Effect::Step { at, change: add(30.0) }));
    assert_eq!(smaller.exhaustion, Exhaustion::NotGrowing);
    // Space that is left, which a step gives more of.
    let below = Limit { value: 90.0, side: Side::Down };
    let freed = assess_checked(&quiet, below, &planned(Effect::Step { at, change: add(60.0) }));
    assert_eq!(freed.exhaustion, Exhaustion::NotGrowing, "{freed:?}");
    let shut = Effect::OneOff { from: at, to: at + DAY, change: Change::Become(0.0) };
    let emptied = assess_checked(&quiet, below, &planned(shut));
    assert!((dates(&emptied)[1] - at as f64).abs() < 12.0 * HOUR as f64, "{emptied:?}");
}

#[test]
fn a_step_of_the_past_is_no_growth() {
    let mut rng = rng(6);
    let values = (0..720).map(|i| normal(&mut rng) + if i < 715 { 100.0 } else { 400.0 }).collect();
    let stepped = history(HOUR, values);
    let at = stepped.at(715);
    let got = assess_checked(&stepped, up(600.0), &planned(Effect::Step { at, change: add(300.0) }));
    assert_eq!(got.exhaustion, Exhaustion::NotGrowing, "{got:?}");
    assert!(got.level > 390.0 && got.headroom[2].value.unwrap() < 210.0, "{got:?}");
}
