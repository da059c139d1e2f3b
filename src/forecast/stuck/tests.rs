use super::*;
use crate::forecast::tests::Noise;
use crate::forecast::{Coverage, Horizon, Past, Request, prepare};
use crate::series::Step;

const WEEK: usize = 168;

/// Hours with a day.
fn hours(n: usize) -> Vec<f64> {
    let mut noise = Noise::seeded(5);
    let day = |t: usize| (std::f64::consts::TAU * (t % 24) as f64 / 24.0).sin();
    (0..n).map(|t| 100.0 + 20.0 * day(t) + 3.0 * noise.normal()).collect()
}

#[test]
fn a_run_that_is_over_and_like_nothing_else_was_stuck() {
    let mut values = hours(4 * WEEK);
    assert!(runs(&values).is_empty() && without(&values, &[])[..] == values[..]);
    values[300..400].fill(110.0);
    // What is missing in it does not end it.
    values[350] = f64::NAN;
    assert_eq!(runs(&values), [Range { start: 300, end: 400 }]);
    let shown = without(&values, &runs(&values));
    assert!(shown[300..400].iter().all(|value| value.is_nan()) && shown[299] == values[299] && !shown[400].is_nan());
    // Stuck now, from the first on, or for a few cells.
    assert!(runs(&values[..400]).is_empty() && runs(&values[300..]).is_empty());
    values[310..395].copy_from_slice(&hours(85));
    assert!(runs(&values).is_empty());
}

#[test]
fn what_stands_still_by_nature_was_not_stuck() {
    let run = 300..400;
    // It idles there at other times, one such hour is enough.
    let mut idle = hours(4 * WEEK);
    idle[run.clone()].fill(0.0);
    idle[40] = 0.0;
    assert!(runs(&idle).is_empty());
    idle[500..550].fill(0.0);
    assert!(runs(&idle).is_empty());
    // Whole numbers come again.
    let mut whole: Vec<f64> = hours(4 * WEEK).into_iter().map(f64::round).collect();
    whole[run.clone()].fill(110.5);
    assert!(runs(&whole).is_empty());
    // A counter, and one that begins anew.
    let mut sum = 0.0;
    let mut counter: Vec<f64> = hours(4 * WEEK)
        .into_iter()
        .enumerate()
        .map(|(idx, value)| {
            sum = if idx == 200 { 0.0 } else { sum + if run.contains(&idx) { 0.0 } else { value } };
            sum
        })
        .collect();
    assert!(runs(&counter).is_empty());
    counter.iter_mut().for_each(|value| *value = -*value);
    assert!(runs(&counter).is_empty());
    assert!(runs(&[]).is_empty() && runs(&[f64::NAN; 60]).is_empty() && runs(&[4.0; 60]).is_empty());
}

#[test]
fn after_weeks_of_one_value_bands_are_those_of_the_values() {
    let all = hours(6 * WEEK + 72);
    let (known, came) = all.split_at(6 * WEEK);
    let horizon = Horizon::new(came.len()).unwrap();
    let told = |values: &[f64]| {
        let request = Request { horizon, ..Request::default() };
        let prepared = prepare(Past::new(0, Step::seconds(3_600), values), &request).unwrap();
        let forecast = prepared.forecast(horizon, Coverage::new(0.8).unwrap());
        let band = forecast.band.unwrap();
        let n_held = (0..72).filter(|idx| (band.lower[*idx]..=band.upper[*idx]).contains(&came[*idx])).count();
        (n_held, forecast.points.iter().zip(came).map(|(point, value)| (point - value).abs()).sum::<f64>() / 72.0)
    };
    let mut stuck = known.to_vec();
    stuck[2 * WEEK..5 * WEEK].fill(110.0);
    let (calm, after) = (told(known), told(&stuck));
    assert!(after.0 >= 50 && after.1 < 1.2 * calm.1, "{after:?} {calm:?}");
    // As if they were missing.
    let mut missing = known.to_vec();
    missing[2 * WEEK..5 * WEEK].fill(f64::NAN);
    assert_eq!(after, told(&missing));
}
