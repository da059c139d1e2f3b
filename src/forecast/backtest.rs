//! How would a method have done on the series' own past?
//!
//! A replay stands at rolling origins in the history, forecasts with what lay before, and compares with what came.
//! `auto` chooses by it and bands are made of its errors.
//!
//! A method is fitted afresh at some of the origins and takes in the cells between them by
//! [`Fitted::update`](super::Fitted::update), where it can; where it cannot, it is fitted afresh at every origin, of
//! which there are fewer then, unless a fit is cheap. Nothing at or after an origin is seen before its forecast is
//! made; not in the effects of known columns either, which a past may have been freed of: see [`Past::freed`]. Only
//! where values went [astray](Astray) is looked for with all that is known of columns.

use super::astray::Astray;
use super::model::{Fitted, Forecaster, Updated};
use super::outlook::Accuracy;
use super::past::Past;

/// Origins that are replayed unless told otherwise: enough for a 95 % band from a third of them.
pub(super) const MOST_ORIGINS: usize = 60;

/// Forecasts that do not overlap, of which the later half of the history should hold so many.
const ENOUGH_APART: usize = 20;

/// How often a method that updates in place is fitted afresh during a replay. A fourth time costs a quarter more and
/// changes the accuracy of what is chosen by less than it varies from set to set.
const N_FITS: usize = 3;

/// Origins at which a method that must be fitted afresh at each is replayed; enough for a 95 % band.
pub(super) const MOST_FITS: usize = 24;

/// The golden ratio's part behind the point, whose multiples fill the unit interval most evenly.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// The least number of cells before the first origin.
const LEAST_BEFORE: usize = 8;

/// Origins from one fit to the next, at the least, where more is known to have gone astray.
const LEAST_BETWEEN: usize = 3;

/// Where a replay stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// How many cells lie before each origin, ascending.
    pub origins: Vec<usize>,
    /// How many steps ahead each goes; fewer than asked for in a short history.
    pub n_leads: usize,
}

impl Plan {
    /// Up to `most` origins in a history of `n_cells`, or `None` when it is too short for one.
    ///
    /// They are spread over the later half, or over three quarters when that holds few forecasts of this length that do
    /// not overlap, the last as late as all leads allow.
    pub fn new(n_cells: usize, horizon: usize, season: Option<usize>, most: usize) -> Option<Plan> {
        // Two cycles before the first origin let seasonal methods be fitted, where the history has them to give.
        let before = match season {
            Some(season) if n_cells >= 3 * season => 2 * season,
            Some(season) if n_cells > season => season,
            _ => 0,
        };
        let before = before.max(LEAST_BEFORE);
        let n_leads = horizon.min(n_cells.checked_sub(before)?);
        let last = n_cells - n_leads;
        if n_leads == 0 || most == 0 {
            return None;
        }
        let share = if n_cells / 2 < ENOUGH_APART * n_leads { 4 } else { 2 };
        let first = (n_cells / share).min(last.saturating_sub(most)).max(before).min(last);
        Some(Plan { origins: spread(first, last, most), n_leads })
    }

    /// The same moments in a history that begins `cells` earlier.
    pub fn later(&self, cells: usize) -> Plan {
        Plan { origins: self.origins.iter().map(|origin| origin + cells).collect(), n_leads: self.n_leads }
    }

    /// From the first origin to the last, in steps.
    pub fn span(&self) -> usize {
        span(&self.origins)
    }

    /// How many forecasts that do not overlap the origins have room for.
    pub fn n_apart(&self) -> f64 {
        n_apart(&self.origins, self.n_leads)
    }
}

fn span(origins: &[usize]) -> usize {
    origins.last().zip(origins.first()).map_or(0, |(last, first)| last - first)
}

fn n_apart(origins: &[usize], n_leads: usize) -> f64 {
    1.0 + span(origins) as f64 / n_leads.max(1) as f64
}

/// Up to `most` origins from `first` to `last`, `last` among them.
///
/// Golden steps within even ones: an even stride that shares a factor with the season would always start at the same
/// hours of the day. From a stride of two on they are far enough apart never to meet.
fn spread(first: usize, last: usize, most: usize) -> Vec<usize> {
    let span = last - first;
    let n_origins = (span + 1).min(most);
    let wide = span as f64 / n_origins as f64;
    let steps_back = |back: usize| {
        if wide < 2.0 {
            // Every cell, or nearly so.
            return back as f64 * (span as f64 / (n_origins.max(2) - 1) as f64).max(1.0);
        }
        (back as f64 + (back as f64 * GOLDEN).fract()) * wide
    };
    (0..n_origins).rev().map(|back| last - (steps_back(back) as usize).min(span)).collect()
}

/// The errors of a replay.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Replay {
    /// How many cells lay before each origin, ascending.
    pub origins: Vec<usize>,
    /// Value minus forecast, one row per origin, by lead; NaN at gaps. All NaN where the method could not be fitted.
    pub errors: Vec<Vec<f64>>,
    /// Whether the method took in the values between two origins.
    pub takes_values: bool,
}

impl Replay {
    /// Mean size of the errors of each origin; NaN where there are none.
    pub fn maes(&self) -> Vec<f64> {
        self.errors.iter().map(|row| mean(row.iter().map(|error| error.abs()))).collect()
    }

    /// Without the first `n` origins.
    pub fn from(&self, n: usize) -> Replay {
        let n = n.min(self.origins.len());
        Replay { origins: self.origins[n..].to_vec(), errors: self.errors[n..].to_vec(), ..*self }
    }

    /// How many forecasts that do not overlap the origins have room for, at most one each.
    pub fn n_apart(&self) -> f64 {
        let n_leads = self.errors.iter().map(Vec::len).max().unwrap_or(0);
        n_apart(&self.origins, n_leads).min(self.origins.len() as f64)
    }

    /// Without the origins at which nothing could be compared.
    pub fn known(&self) -> Replay {
        let kept = self.origins.iter().zip(&self.errors).filter(|(_, row)| row.iter().any(|error| !error.is_nan()));
        let (origins, errors) = kept.map(|(origin, row)| (*origin, row.clone())).unzip();
        Replay { origins, errors, ..*self }
    }
}

/// The mean of what is not NaN; NaN for nothing. Divided before it is added up, as huge values could overflow.
pub(super) fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().filter(|value| !value.is_nan()).count() as f64;
    if n == 0.0 { f64::NAN } else { values.filter(|value| !value.is_nan()).map(|value| value / n).sum() }
}

/// Replays `method` from the origins of `plan`; from at most `most_fits` of them, if it must be fitted afresh at each.
pub(super) fn replay(method: &dyn Forecaster, past: &Past<'_>, plan: &Plan, most_fits: usize) -> Replay {
    replay_to_the_end(method, past, Astray::NONE, plan, most_fits).0
}

/// The same, and the model that stood at the last origin. What was known to be `astray` of the past, at each fit, the
/// method is not shown; it is fitted again when more is.
pub(super) fn replay_to_the_end(
    method: &dyn Forecaster,
    past: &Past<'_>,
    astray: &Astray,
    plan: &Plan,
    most_fits: usize,
) -> (Replay, Option<Box<dyn Fitted>>) {
    let values = past.values();
    let freed = past.freed();
    let fit_every = plan.origins.len().div_ceil(N_FITS);
    let mut fitted: Option<Box<dyn Fitted>> = None;
    let mut n_seen = 0;
    // How many cells lay before the last fit, and which origin it was at: what was known of columns' effects and of
    // what is astray then is what the model knows.
    let mut fitted_at = (0, 0);
    // One in so many origins is replayed, counted from the last.
    let mut thinning = 1;
    let mut must_refit = false;
    let mut takes_values = false;
    let mut errors = Vec::with_capacity(plan.origins.len());
    for (nr, &origin) in plan.origins.iter().enumerate() {
        if !(plan.origins.len() - 1 - nr).is_multiple_of(thinning) {
            errors.push(vec![f64::NAN; plan.n_leads]);
            continue;
        }
        let mut has_moved = false;
        let is_stale = nr >= fitted_at.1 + LEAST_BETWEEN && astray.is_told_anew(fitted_at.0, origin);
        let goes_on = !must_refit && !is_stale && !nr.is_multiple_of(fit_every);
        if let Some(fitted) = fitted.as_mut().filter(|_| goes_on) {
            has_moved = values[n_seen..origin].iter().zip(n_seen..).all(|(&value, at)| {
                let value = freed.map_or(value, |freed| freed.as_known_at(fitted_at.0, at, value));
                fitted.update(value, past.regressors().skip(at)) != Updated::NeedsRefit
            });
            takes_values |= has_moved;
            if !has_moved {
                must_refit = true;
                thinning = plan.origins.len().div_ceil(most_fits);
            }
        }
        if !has_moved {
            let shown = astray.mended(values, origin);
            let shown = match freed {
                Some(freed) => freed.before(&shown).into(),
                None => shown,
            };
            let past = past.upto(origin).with_values(&shown);
            // Which model of its family it is was found at the first origin; what follows costs a fraction.
            let again = fitted.as_ref().filter(|_| nr < 2 * fit_every).and_then(|fitted| fitted.fitted_again(&past));
            fitted = again.or_else(|| method.fit(&past).ok());
            fitted_at = (origin, nr);
        }
        n_seen = origin;
        let mut row = vec![f64::NAN; plan.n_leads];
        if let Some(fitted) = &fitted {
            fitted.points_into(past.regressors().skip(origin), &mut row);
            for (lead, (point, value)) in row.iter_mut().zip(&values[origin..]).enumerate() {
                *point = freed.map_or(*point, |freed| freed.as_known_now(fitted_at.0, origin + lead, *point));
                *point = (value - *point).clamp(-f64::MAX, f64::MAX);
            }
        }
        errors.push(row);
    }
    (Replay { origins: plan.origins.clone(), errors, takes_values }, fitted)
}

/// What |a - b| is in percent of their mean size, 0..200.
fn smape(value: f64, error: f64) -> f64 {
    let forecast = value - error;
    let size = value.abs() / 2.0 + forecast.abs() / 2.0;
    if size > 0.0 {
        100.0 * (error.abs() / size).min(2.0)
    } else if error.is_nan() {
        f64::NAN
    } else {
        0.0
    }
}

/// The error of seasonal naive (of naive without a season) one cycle ahead, over the whole history.
fn in_sample_error(values: &[f64], season: Option<usize>) -> Option<f64> {
    let lag = season.unwrap_or(1);
    let changes = values.iter().zip(values.iter().skip(lag)).map(|(before, value)| (value - before).abs());
    Some(mean(changes)).filter(|error| error.is_finite() && *error > 0.0)
}

/// How `replayed` did, against the replay of a baseline at the same origins; `None` when nothing could be compared.
pub(super) fn accuracy(
    past: &Past<'_>,
    replayed: &Replay,
    baseline: &Replay,
    season: Option<usize>,
) -> Option<Accuracy> {
    let known = replayed.known();
    let mae = mean(known.errors.iter().flatten().map(|error| error.abs()));
    if mae.is_nan() {
        return None;
    }
    let values = past.values();
    let smapes: Vec<f64> = known
        .origins
        .iter()
        .zip(&known.errors)
        .flat_map(|(&origin, row)| row.iter().zip(&values[origin..]).map(|(&error, &value)| smape(value, error)))
        .collect();
    let compared = baseline
        .origins
        .iter()
        .zip(&baseline.errors)
        .filter(|(origin, _)| known.origins.binary_search(origin).is_ok())
        .flat_map(|(_, row)| row);
    let baseline_mae = mean(compared.map(|error| error.abs()));
    Some(Accuracy {
        n_origins: known.origins.len(),
        n_leads: known.errors.iter().map(Vec::len).max().unwrap_or(0),
        mae,
        smape: mean(smapes.into_iter()),
        mase: in_sample_error(values, season).map(|scale| mae / scale),
        baseline_mae: if baseline_mae.is_nan() { mae } else { baseline_mae },
        coverage: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::naive::Naive;
    use crate::series::Step;

    #[test]
    fn origins_leave_room_before_and_after() {
        for n_cells in 0..200 {
            for (horizon, season) in [(1, None), (12, Some(12)), (48, Some(24)), (500, None)] {
                let Some(plan) = Plan::new(n_cells, horizon, season, 60) else { continue };
                assert!(!plan.origins.is_empty() && plan.origins.len() <= 60);
                assert!(plan.origins.windows(2).all(|pair| pair[0] < pair[1]));
                assert!(plan.origins[0] >= LEAST_BEFORE);
                assert_eq!(plan.origins.last().unwrap() + plan.n_leads, n_cells);
            }
        }
        assert_eq!(Plan::new(8, 3, None, 60), None);
    }

    #[test]
    fn origins_fall_on_nearly_all_places_of_the_cycle() {
        let plan = Plan::new(10_000, 24, Some(24), 60).unwrap();
        let mut places: Vec<usize> = plan.origins.iter().map(|origin| origin % 24).collect();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() >= 20, "{places:?}");
    }

    #[test]
    fn a_replay_sees_nothing_ahead() {
        let values: Vec<f64> = (0..40).map(|i| f64::from(i * i)).collect();
        let past = Past::new(0, Step::seconds(1), &values);
        let plan = Plan { origins: vec![10, 20, 37], n_leads: 3 };
        let replayed = replay(&Naive, &past, &plan, MOST_FITS);
        let square = |i: i32| f64::from(i * i);
        assert_eq!(replayed.errors[1], [20, 21, 22].map(|i| square(i) - square(19)));
    }
}
