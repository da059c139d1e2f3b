use super::*;
use crate::forecast::tests::Noise;
use crate::forecast::{Coverage, Horizon, Request, prepare};
use crate::series::Step;

const WEEK: usize = 168;

/// Hours with a day and a weekend, and what they are without noise.
fn hours(n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut noise = Noise::seeded(7);
    let at = |t: usize| {
        let day = (std::f64::consts::TAU * (t % 24) as f64 / 24.0).sin();
        200.0 + 50.0 * day + if t / 24 % 7 < 5 { 100.0 } else { 0.0 }
    };
    let usual: Vec<f64> = (0..n).map(at).collect();
    (usual.iter().map(|value| value + 8.0 * noise.normal()).collect(), usual)
}

fn astray(values: &[f64], n_leads: usize) -> Astray {
    Astray::of(&Past::new(0, Step::seconds(3600), values), [24, WEEK].into_iter(), n_leads)
}

/// The cells that a model of all of `values` is shown otherwise than they were, first and last.
fn changed(values: &[f64], n_leads: usize) -> Option<(usize, usize)> {
    let shown = astray(values, n_leads).mended(values, values.len()).into_owned();
    let is_changed = |idx: &usize| shown[*idx].to_bits() != values[*idx].to_bits();
    (0..values.len()).find(is_changed).zip((0..values.len()).rfind(is_changed))
}

fn forecast_error(values: &[f64], truth: &[f64]) -> (f64, f64) {
    forecast_error_at(0.8, values, truth)
}

/// The mean error and the mean width of the band.
fn forecast_error_at(share: f64, values: &[f64], truth: &[f64]) -> (f64, f64) {
    let horizon = Horizon::new(truth.len()).unwrap();
    let prepared = prepare(Past::new(0, Step::seconds(3600), values), &Request { horizon, ..Request::default() });
    let forecast = prepared.unwrap().forecast(horizon, Coverage::new(share).unwrap());
    let off = forecast.points.iter().zip(truth).map(|(point, value)| (point - value).abs());
    let band = forecast.band.unwrap();
    let widths = band.upper.iter().zip(&band.lower).map(|(upper, lower)| upper - lower);
    (off.sum::<f64>() / truth.len() as f64, widths.sum::<f64>() / truth.len() as f64)
}

#[test]
fn a_day_out_is_shown_as_the_cycles_before_it_were_once_it_is_over() {
    let (mut values, usual) = hours(8 * WEEK);
    let calm = values.clone();
    assert_eq!(changed(&values, 48), None);
    let (from, upto) = (7 * WEEK, 7 * WEEK + 24);
    values[from..upto].fill(0.0);
    assert_eq!(changed(&values, 48), Some((from, upto - 1)));
    let known = astray(&values, 48);
    let shown = known.mended(&values, values.len());
    assert!((from..upto).all(|idx| (shown[idx] - usual[idx]).abs() < 25.0));
    // While it lasts, and just after, it may be a new level: what is known then is all that counts.
    for origin in [from + 5, upto, upto + 5, upto + 6, upto + 60] {
        assert_eq!(known.mended(&values, origin), astray(&values[..origin], 48).mended(&values[..origin], origin));
        assert_eq!(known.mended(&values, origin)[..] != values[..origin], origin >= upto + 6, "{origin}");
    }
    assert!(known.is_told_anew(upto, upto + 10) && !known.is_told_anew(upto + 6, values.len()));
    assert_eq!(astray(&calm, 48).mended(&calm, 900)[..], calm[..900]);
}

#[test]
fn what_recurs_and_what_lasts_is_no_outage() {
    let (mut weekly, _) = hours(8 * WEEK);
    (0..8).for_each(|week| weekly[week * WEEK + 30..week * WEEK + 33].fill(900.0));
    assert_eq!(changed(&weekly, 2 * WEEK), None);
    // The first of a job that has come since is not forecast, the second is.
    let (mut new, _) = hours(8 * WEEK);
    (6..8).for_each(|week| new[week * WEEK + 30..week * WEEK + 33].fill(900.0));
    assert_eq!(changed(&new[..7 * WEEK], 48), Some((6 * WEEK + 30, 6 * WEEK + 32)));
    assert!(changed(&new, 48).is_none_or(|(_, last)| last < 7 * WEEK), "{:?}", changed(&new, 48));
    let (mut step, _) = hours(8 * WEEK);
    step[6 * WEEK + 50..].iter_mut().for_each(|value| *value += 200.0);
    assert_eq!(changed(&step, 48), None);
}

#[test]
fn a_short_span_is_mended_where_it_would_be_repeated() {
    let (mut values, _) = hours(8 * WEEK);
    let at = 7 * WEEK + 2;
    values[at] = 0.0;
    assert_eq!(changed(&values, 12), Some((at, at)));
    assert_eq!(changed(&values, 2), None);
    assert_eq!(changed(&values[..8 * WEEK - 40], 12), None);
    // A gap within it stays one.
    (values[at + 1], values[at + 2]) = (f64::NAN, 0.0);
    let known = astray(&values, 12);
    let shown = known.mended(&values, values.len());
    assert!(shown[at + 1].is_nan() && shown[at + 2] > 100.0);
}

#[test]
fn huge_values_and_still_ones_are_left() {
    for value in [f64::MAX, -f64::MAX, 5.0] {
        let mut values = vec![value; 6 * WEEK];
        values[5 * WEEK] = -value;
        let shown = astray(&values, 48).mended(&values, values.len()).into_owned();
        assert!(shown.iter().all(|value| value.is_finite()));
    }
    let (values, _) = hours(2 * WEEK);
    assert_eq!(astray(&values[..40], 48).mended(&values[..40], 40)[..], values[..40]);
    assert!(astray(&[f64::NAN; 900], 48).mended(&[f64::NAN; 900], 900).iter().all(|value| value.is_nan()));
}

#[test]
fn an_outage_a_week_ago_is_not_forecast() {
    let (values, usual) = hours(8 * WEEK + 48);
    let (mut values, truth) = (values[..8 * WEEK].to_vec(), &usual[8 * WEEK..]);
    let calm = forecast_error(&values, truth);
    values[7 * WEEK..7 * WEEK + 24].fill(0.0);
    let (error, width) = forecast_error(&values, truth);
    assert!(error < 1.5 * calm.0 + 1.0 && width < 2.0 * calm.1, "{error} {width} {calm:?}");
}

#[test]
fn the_level_and_the_week_are_known_after_a_long_gap() {
    for seen in [3, 30] {
        let (values, usual) = hours(10 * WEEK + 48);
        let (mut values, truth) = (values[..10 * WEEK].to_vec(), &usual[10 * WEEK..]);
        let calm = forecast_error(&values, truth).0;
        values[7 * WEEK - seen..10 * WEEK - seen].fill(f64::NAN);
        let error = forecast_error(&values, truth).0;
        assert!(error < 1.5 * calm + 2.0, "{seen}: {error} {calm}");
    }
}

#[test]
fn a_long_gap_is_bridged_until_cycles_were_seen_after_it() {
    let (mut values, usual) = hours(14 * WEEK);
    let (from, upto) = (6 * WEEK + 50, 8 * WEEK + 60);
    values[from..upto].fill(f64::NAN);
    values[upto..].iter_mut().for_each(|value| *value += 60.0);
    let known = astray(&values, 48);
    assert!(known.mended(&values, upto + 1)[from].is_nan());
    let shown = known.mended(&values, upto + 24);
    for idx in from..upto {
        let level = 60.0 * (idx - from) as f64 / (upto - from) as f64;
        assert!((shown[idx] - usual[idx] - level).abs() < 30.0, "{idx}: {} {}", shown[idx], usual[idx]);
    }
    assert!(known.mended(&values, upto + 5 * WEEK)[from].is_nan());
}

#[test]
fn a_band_reaches_to_an_outage_only_where_it_must_hold_more_than_what_is_usual() {
    // On a working day, and on a day off, of which zero is nearer.
    for day in [0, 5] {
        let n = 8 * WEEK + day * 24;
        let (values, usual) = hours(n + 48);
        let (mut values, truth) = (values[..n].to_vec(), &usual[n..]);
        let calm = forecast_error_at(0.95, &values, truth).1;
        values[n - WEEK..n - WEEK + 24].fill(0.0);
        // A day in six weeks of which it can be told.
        let width = |share: f64| forecast_error_at(share, &values, truth).1;
        assert!(width(0.95) < 1.4 * calm, "{day}: {} {calm}", width(0.95));
        assert!(width(0.99) > 100.0, "{day}: {}", width(0.99));
    }
}

#[test]
fn errors_at_cells_astray_are_taken_out_and_those_of_what_goes_so_often_stay() {
    let (mut values, _) = hours(8 * WEEK);
    values[7 * WEEK..7 * WEEK + 24].fill(0.0);
    let origins = vec![7 * WEEK - 30, 7 * WEEK + 10, 7 * WEEK + 30];
    let replay = Replay { origins, errors: vec![vec![1.0; 48]; 3], takes_values: true };
    let mut usual = replay.clone();
    let (errors, share) = astray(&values, 48).taken_out(&mut usual);
    let left = |row: &Vec<f64>| row.iter().filter(|error| !error.is_nan()).count();
    assert_eq!(usual.errors.iter().map(left).collect::<Vec<_>>(), [30, 0, 48]);
    assert_eq!((errors, share), (vec![1.0; 18 + 14], 25.0 / (6.0 * WEEK as f64 + 1.0)));
    assert_eq!(astray(&values, 48).all_mended(&values), astray(&values, 48).mended(&values, values.len()));
    // Each fourth day from the fifth week on, at another hour.
    let (mut restless, _) = hours(8 * WEEK);
    (0..7).for_each(|nr| restless[4 * WEEK + nr * 97..][..20].fill(900.0));
    let mut all = replay.clone();
    let (errors, share) = astray(&restless, 48).taken_out(&mut all);
    let first_only = 21.0 / (6.0 * WEEK as f64 + 1.0);
    assert!(errors.is_empty() && share <= first_only && all == replay, "{errors:?} {share}");
}
