use super::*;
use crate::forecast::model::{Coverage, Horizon};
use crate::forecast::outlook::Forecast;
use crate::forecast::tests::{Noise, Says};
use crate::forecast::{Band, Prepared, Request, prepare};
use crate::series::Step;

const DAYS: usize = 42;
const AHEAD: usize = 72;

/// Hours of six weeks with a day's cycle of 20 about 100 and noise of 3, and the days after them; `moved` by the
/// hour and what it would be.
fn hours(moved: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    let mut noise = Noise::seeded(3);
    let cycle = |t: usize| (t as f64 / 24.0 * std::f64::consts::TAU).sin();
    (0..DAYS * 24 + AHEAD).map(|t| moved(t, 100.0 + 20.0 * cycle(t) + 3.0 * noise.normal())).collect()
}

fn forecast(values: &[f64]) -> Forecast {
    let horizon = Horizon::new(AHEAD).unwrap();
    let past = Past::new(0, Step::seconds(3_600), &values[..DAYS * 24]);
    prepare(past, &Request { horizon, ..Request::default() }).unwrap().forecast(horizon, Coverage::P95)
}

/// The mean error of a forecast of the end of `values`, the share in its band, and the band's mean width.
fn told(values: &[f64]) -> (f64, f64, f64) {
    let forecast = forecast(values);
    let (came, band) = (&values[DAYS * 24..], forecast.band.unwrap());
    let each = || came.iter().zip(&forecast.points).zip(band.lower.iter().zip(&band.upper));
    let mean = |of: &dyn Fn(f64, f64, f64, f64) -> f64| {
        each().map(|((came, point), (lower, upper))| of(*came, *point, *lower, *upper)).sum::<f64>() / AHEAD as f64
    };
    let within = |came, _, lower, upper| f64::from(u8::from((lower..=upper).contains(&came)));
    (mean(&|came: f64, point, _, _| (came - point).abs()), mean(&within), mean(&|_, _, lower, upper| upper - lower))
}

fn since(hours: usize) -> usize {
    DAYS * 24 - hours
}

#[test]
fn a_new_level_a_new_scale_and_an_end_of_growth_are_followed_after_a_day() {
    let level = |hours_ago: usize| hours(move |t, v| if t >= since(hours_ago) { v + 80.0 } else { v });
    let scale = hours(|t, v| if t >= since(30) { v / 2.0 } else { v });
    let slope = hours(|t, v| v + 0.5 * t.min(since(48)) as f64);
    for values in [&level(24), &level(48), &level(90), &scale, &slope] {
        let (error, share, _) = told(values);
        assert!(error < 4.0 && share > 0.9, "{error} {share}");
    }
    // When a whole forecast lies after it, bands are as narrow as they were.
    assert!(told(&level(90)).2 < 1.3 * told(&hours(|_, v| v)).2);
}

#[test]
fn an_end_of_growth_is_followed_after_a_day_though_noise_hides_when_it_was() {
    let stopped = |seed: u64, hours_ago: usize| {
        let mut noise = Noise::seeded(seed);
        let cycle = |t: usize| (t as f64 / 24.0 * std::f64::consts::TAU).sin();
        let level = move |t: usize| 100.0 + 0.5 * t.min(since(hours_ago)) as f64 + 20.0 * cycle(t);
        let values: Vec<f64> = (0..DAYS * 24 + AHEAD).map(|t| level(t) + 3.0 * noise.normal()).collect();
        told(&values)
    };
    for (hours_ago, most) in [(24, 14.0), (30, 6.0)] {
        let all: Vec<(f64, f64, f64)> = (1..=6).map(|seed| stopped(seed, hours_ago)).collect();
        let [error, share] = [0, 1].map(|nr| all.iter().map(|told| [told.0, told.1][nr]).sum::<f64>() / 6.0);
        assert!(error < most && share > 0.8, "{hours_ago}: {all:?}");
    }
    // What goes on to grow is not taken for it.
    assert_eq!(forecast(&hours(|t, v| v + 0.5 * t as f64)).fallback, None);
}

#[test]
fn within_a_day_of_a_shift_bands_hold_both_what_was_and_what_is() {
    let ends = |lasts: bool| hours(move |t, v| if t >= since(6) && (lasts || t < since(0)) { v + 80.0 } else { v });
    for values in [ends(true), ends(false)] {
        let (_, share, width) = told(&values);
        assert!(share > 0.9 && width > 60.0, "{share} {width}");
    }
    let forecast = forecast(&ends(true));
    assert!(forecast.fallback.is_some_and(|reason| reason.contains("level of the last")), "{:?}", forecast.model);
    assert!(told(&hours(|_, v| v)).2 < 20.0);
}

#[test]
fn a_rise_that_began_is_followed_though_the_metric_has_a_least_value() {
    let values = hours(|t, v| v + 2.0 * t.saturating_sub(since(40)) as f64);
    let forecast = forecast(&values);
    assert_eq!(forecast.facts.min, Some(0.0));
    let (error, share, _) = told(&values);
    assert!(error < 10.0 && share > 0.9, "{error} {share}");
}

#[test]
fn how_right_forecasts_were_is_told_of_what_came() {
    let mae = |values: &[f64]| forecast(values).accuracy.unwrap().mae;
    let (halved, calm) = (mae(&hours(|t, v| if t >= since(30) { v / 2.0 } else { v })), mae(&hours(|_, v| v)));
    assert!(halved > 0.95 * calm, "{halved} {calm}");
}

#[test]
fn what_has_happened_before_is_no_shift() {
    // Six hours at another level, again and again.
    let values = hours(|t, v| if t % 131 >= 125 || t >= since(6) { v + 80.0 } else { v });
    assert_eq!(forecast(&values).fallback, None);
}

#[test]
fn values_that_go_the_other_way_ask_for_another_fit() {
    let values = hours(|t, v| if t >= since(30) && t < since(0) { v + 80.0 } else { v });
    let horizon = Horizon::new(AHEAD).unwrap();
    let past = Past::new(0, Step::seconds(3_600), &values[..DAYS * 24]);
    let prepared = || prepare(past, &Request { horizon, ..Request::default() }).unwrap();
    let taken = |lasts: bool| {
        let mut prepared = prepared();
        let moved = if lasts { 80.0 } else { 0.0 };
        let is_taken = |value: &&f64| prepared.update(**value + moved, Regressors::NONE) != Updated::NeedsRefit;
        values[DAYS * 24..].iter().take_while(is_taken).count()
    };
    assert_eq!(taken(true), AHEAD);
    // Silence makes nothing of it.
    let mut silent = prepared();
    let likely = |prepared: &Prepared| prepared.forecast(horizon, Coverage::P95).band.unwrap();
    let before = likely(&silent);
    (0..12).for_each(|_| assert_ne!(silent.update(f64::NAN, Regressors::NONE), Updated::NeedsRefit));
    let width = |band: &Band| band.upper[23] - band.lower[23];
    assert!(width(&likely(&silent)) > 0.8 * width(&before));
    assert!((6..15).contains(&taken(false)), "{}", taken(false));
}

#[test]
fn silence_takes_time_but_tells_nothing() {
    let shift = Shift { change: Turn::Slope(2.0), length: 40, longest: 40 };
    let mut fitted = shift.between(Box::new(Says(100.0)), Box::new(Says(20.0)), Some(24), true);
    let without = |fitted: &dyn Fitted| fitted.others(Regressors::NONE, 1)[0];
    let before = without(&*fitted);
    assert_eq!(before.lower, 100.0 - 2.0 * 41.0);
    (0..12).for_each(|_| assert_eq!(fitted.update(f64::NAN, Regressors::NONE), Updated::Filtered));
    let after = without(&*fitted);
    assert_eq!((after.lower, after.chance), (100.0 - 2.0 * 53.0, before.chance));
}

#[test]
fn a_doubted_shift_asks_for_another_fit_when_it_is_over_or_no_longer_in_doubt() {
    let values = hours(|t, v| if t >= since(6) && t < since(0) { v + 80.0 } else { v });
    let horizon = Horizon::new(AHEAD).unwrap();
    let past = Past::new(0, Step::seconds(3_600), &values[..DAYS * 24]);
    let taken = |moved: f64| {
        let mut prepared = prepare(past, &Request { horizon, ..Request::default() }).unwrap();
        let is_taken = |value: &&f64| prepared.update(**value + moved, Regressors::NONE) != Updated::NeedsRefit;
        values[DAYS * 24..].iter().take_while(is_taken).count()
    };
    // Not at each quarter of its length: with the value that makes it a day.
    assert_eq!(taken(80.0), 24 - 6 - 1);
    assert_eq!(taken(0.0), 1);
}
