use super::*;
use crate::series::STALE_MARKER_BITS;
use crate::series::time::{DAY, HOUR, MINUTE};

fn samples(points: &[(Millis, f64)]) -> Vec<Sample> {
    points.iter().map(|&(at, value)| Sample { at, value }).collect()
}

fn check(points: &[(Millis, f64)], kind: MetricKind, expected: (Millis, Millis, &[f64])) {
    let history = History::from_samples(&samples(points), kind, None).unwrap();
    assert_eq!((history.start(), history.step().millis()), (expected.0, expected.1));
    let shown = |values: &[f64]| format!("{values:?}");
    assert_eq!(shown(history.values()), shown(expected.2));
}

#[test]
fn backwards_and_duplicate_timestamps_resolve_to_the_last_write() {
    check(&[(1000, 1.0), (3000, 3.0), (2000, 9.0), (2000, 2.0)], MetricKind::Gauge, (1000, 1000, &[1.0, 2.0, 3.0]));
}

#[test]
fn missing_nan_infinite_and_stale_samples_are_gaps() {
    let stale = f64::from_bits(STALE_MARKER_BITS);
    check(
        &[(0, 1.0), (1000, f64::NAN), (2000, 3.0), (3000, f64::INFINITY), (4000, 5.0), (5000, stale), (7000, 8.0)],
        MetricKind::Gauge,
        (0, 1000, &[1.0, f64::NAN, 3.0, f64::NAN, 5.0, f64::NAN, f64::NAN, 8.0]),
    );
}

#[test]
fn a_counter_is_its_rate_and_a_reset_restarts_at_zero() {
    check(
        &[(0, 100.0), (10_000, 150.0), (20_000, 20.0), (30_000, 30.0)],
        MetricKind::Counter,
        (10_000, 10_000, &[5.0, 2.0, 1.0]),
    );
}

#[test]
fn the_step_survives_jitter_and_gaps() {
    let jittered: Vec<(Millis, f64)> =
        (0..200).filter(|i| i % 7 != 3).map(|i| (i * 15_000 + (i * 37 % 90) - 45, i as f64)).collect();
    assert_eq!(detect_step(&samples(&jittered)), Some(Step::seconds(15)));
    assert_eq!(detect_step(&samples(&[(0, 1.0), (DAY, 1.0)])).map(Step::millis), Some(DAY));
    assert_eq!(detect_step(&samples(&[(0, 1.0)])), None);
}

#[test]
fn a_longer_distance_for_good_is_the_step_and_gaps_are_not() {
    let at = |points: Vec<Millis>| -> Vec<Sample> { points.into_iter().map(|at| Sample { at, value: 1.0 }).collect() };
    let minutes = |n: i64| (0..n).map(|i| i * MINUTE);
    let fives = |from: i64, n: i64| (0..n).map(move |i| from * MINUTE + i * 5 * MINUTE);
    let changed = at(minutes(4_320).chain(fives(4_320, 2_304)).collect());
    assert_eq!(detect_step(&changed), Some(Step::seconds(60)));
    assert_eq!(longer_step(&changed), Some(Step::seconds(300)));
    let lately = at(minutes(4_320).chain(fives(4_320, SETTLED as i64 - 1)).collect());
    assert_eq!(longer_step(&lately), None);
    let back = at(minutes(4_320).chain(fives(4_320, 500)).chain((0..200).map(|i| (6_820 + i) * MINUTE)).collect());
    assert_eq!(longer_step(&back), None);
    assert_eq!(longer_step(&at(minutes(4_320).filter(|at| at / MINUTE % 7 < 4).collect())), None);
    assert_eq!(longer_step(&at(fives(0, 500).chain((0..400).map(|i| (2_500 + i) * MINUTE)).collect())), None);
}

#[test]
fn days_go_by_the_newest_sample_on_both_sides_of_a_change_of_clocks() {
    // Midnights in Berlin around 2026-03-29T01:00:00Z, when clocks go from two to three; one is missing.
    let change = 1_774_746_000_000;
    let midnight = |nr: i64| change - 2 * HOUR + nr * DAY - if nr > 0 { HOUR } else { 0 };
    let present = |nr: &i64| *nr != -2;
    let days =
        |to: i64| -> Vec<(Millis, f64)> { (-4..=to).filter(present).map(|nr| (midnight(nr), nr as f64)).collect() };
    let gap = f64::NAN;
    check(&days(3), MetricKind::Gauge, (midnight(-4) - HOUR, DAY, &[-4.0, -3.0, gap, -1.0, 0.0, 1.0, 2.0, 3.0]));
    check(&days(0), MetricKind::Gauge, (midnight(-4), DAY, &[-4.0, -3.0, gap, -1.0, 0.0]));
    let history = History::from_samples(&samples(&days(3)), MetricKind::Gauge, None).unwrap();
    assert_eq!(history.end(), midnight(4));
    // Today's, as far as it has come, is not when days begin.
    let noon = [&days(0)[..], &[(midnight(1) + 11 * HOUR, 7.0)]].concat();
    check(&noon, MetricKind::Gauge, (midnight(-4), DAY, &[-4.0, -3.0, gap, -1.0, 0.0, 7.0]));
}

#[test]
fn what_makes_no_history_says_why() {
    let make = |points: &[(Millis, f64)]| History::from_samples(&samples(points), MetricKind::Gauge, None);
    assert_eq!(make(&[]).unwrap_err(), HistoryError::Empty);
    assert_eq!(make(&[(0, f64::NAN), (5, f64::NAN)]).unwrap_err(), HistoryError::Empty);
    assert_eq!(make(&[(0, 1.0)]).unwrap_err(), HistoryError::NoStep);
    let stray = [(0, 1.0), (1, 1.0), (2, 1.0), (MINUTE * 1_000_000, 1.0)];
    assert!(matches!(make(&stray), Err(HistoryError::TooSparse { .. })));
    let extremes = [(Millis::MIN, 1.0), (0, 1.0), (1, 1.0), (Millis::MAX, 1.0)];
    assert!(matches!(make(&extremes), Err(HistoryError::TooSparse { .. })));
}

#[test]
fn a_slice_beyond_the_ends_is_what_there_is() {
    let history = History::new(0, Step::seconds(1), vec![1.0, 2.0, 3.0]);
    assert_eq!(history.slice(1, 9).values(), [2.0, 3.0]);
    assert!(history.slice(7, 9).is_empty() && history.slice(2, 1).is_empty());
    assert_eq!(history.tail(9).start(), 0);
}

#[test]
fn filling_draws_straight_lines() {
    let gap = f64::NAN;
    let history = History::new(0, Step::seconds(1), vec![gap, 1.0, gap, gap, 4.0, gap]);
    assert_eq!(history.filled(), [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]);
    assert_eq!(history.n_gaps(), 4);
    assert_eq!((history.slice(1, 3).n_gaps(), history.tail(2).n_gaps()), (1, 1));
    assert_eq!(History::new(0, Step::seconds(1), vec![gap; 3]).filled(), [] as [f64; 0]);
}
