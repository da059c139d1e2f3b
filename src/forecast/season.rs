//! Which cycle, if any, does a series repeat?
//!
//! In: a history. Out: at most two seasons, the one that explains most first; none for noise, trends and random walks.
//!
//! Cycles of the calendar are tested first, shortest first, by folding: do the places of the cycle differ by more
//! than the cycles do (an F test, with a stricter bar for autocorrelated noise)? What shorter cycles explain is taken
//! off first, so that multiples of a cycle explain nothing more. A long cycle made of shorter ones, a week of days, is
//! also tested on the means of its days, as its many places would dilute the effect. Only when the calendar explains
//! nothing is the spectrum searched, after whitening; its hint is sharpened on the autocorrelation and must pass the
//! same test. Source: the fold test is one-way analysis of variance; the search follows Vlachos, Yu and Castelli,
//! "On periodicity detection and structural periodic similarity" (AUTOPERIOD), 2005.

mod search;

use std::str::FromStr;

use search::search;
use statrs::distribution::{ContinuousCDF, FisherSnedecor};

use super::fourier::autocorrelations;
use super::past::Past;
use super::scale::Scale;
use crate::series::{DAY, HOUR, MINUTE, Season, WEEK, mad, median};

/// How the season is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeasonChoice {
    /// Looked for in the history.
    #[default]
    Auto,
    /// None, whatever the history looks like.
    None,
    /// Given.
    Steps(Season),
}

/// A season that is neither `auto`, `none` nor a number of at least 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the season is `{0}`, but must be `auto`, `none` or a number of steps of at least 2")]
pub struct SeasonChoiceError(pub String);

impl FromStr for SeasonChoice {
    type Err = SeasonChoiceError;

    fn from_str(text: &str) -> Result<SeasonChoice, SeasonChoiceError> {
        match text.trim() {
            "auto" => Ok(SeasonChoice::Auto),
            "none" => Ok(SeasonChoice::None),
            steps => steps
                .parse()
                .ok()
                .and_then(Season::new)
                .map(SeasonChoice::Steps)
                .ok_or_else(|| SeasonChoiceError(text.to_owned())),
        }
    }
}

/// Cells that are looked at, the last ones; four weeks of minutes.
const LONGEST: usize = 40_320;

/// Cycles of the calendar that machines and people keep.
const CALENDAR: [i64; 11] =
    [5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR, 12 * HOUR, DAY, WEEK, DAY * 61 / 2, DAY * 365];

/// Counts of steps that are cycles whatever the step is said to be: quarters, weekdays, months, hours, weeks, and the
/// day and week in hours and five minutes.
const CUSTOMARY: [usize; 8] = [4, 7, 12, 24, 52, 168, 288, 1440];

/// Days in hours, half hours, quarters of an hour, ten, five and one minutes.
const DAYS: [usize; 6] = [24, 48, 96, 144, 288, 1440];

/// The chance that noise passes one test.
const SIGNIFICANCE: f64 = 0.001;

/// The least share of the variance left by shorter cycles that a cycle must explain.
const LEAST_GAIN: f64 = 0.03;

/// The chance of noise at which a cycle is no more than hinted at.
const HINT: f64 = 0.1;

/// Cycles of which a history must have so many for a hint.
const HINT_CYCLES: usize = 3;

/// The seasons of a history.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seasons {
    /// Beyond doubt; the one that stands out most first.
    pub found: Vec<Season>,
    /// Not beyond doubt, but worth a try: who uses it is judged by its errors.
    pub hinted: Vec<Season>,
}

impl Seasons {
    /// All, those found first.
    pub fn all(&self) -> Vec<Season> {
        self.found.iter().chain(&self.hinted).copied().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.hinted.is_empty()
    }
}

/// The seasons found, and one more to try: the week over a day, or the likeliest cycle of a short history.
pub(super) fn look_for_seasons(past: &Past<'_>) -> Seasons {
    let found = find_seasons(past);
    let n = past.len();
    let is_new = |steps: &usize| steps * HINT_CYCLES <= n && found.iter().all(|season| season.steps() != *steps);
    let hinted = if found.is_empty() {
        likeliest(past)
    } else {
        let day = past.step().count_in(DAY).max(2);
        let is_day = |steps: usize| steps == day || DAYS.contains(&steps);
        found.iter().map(|season| season.steps()).filter(|steps| is_day(*steps)).map(|steps| 7 * steps).min()
    };
    let hinted = hinted.filter(is_new).and_then(Season::new).into_iter().collect();
    Seasons { found, hinted }
}

/// The customary cycle that chance explains least, of a history in which none is beyond doubt.
fn likeliest(past: &Past<'_>) -> Option<usize> {
    let tail = past.tail(LONGEST);
    if tail.len() < 8 || tail.n_gaps() * 2 > tail.len() {
        return None;
    }
    let values = calmed(tail.filled());
    let tested = candidates(&tail).into_iter().filter(|steps| steps * HINT_CYCLES <= values.len());
    let likely = tested.filter_map(|steps| {
        let (_, chance) = fold(&values, steps, 0)?;
        (chance < HINT).then_some((steps, chance))
    });
    likely.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(steps, _)| steps)
}

/// The season that stands out most, or `None`.
pub fn find_season<'a>(past: impl Into<Past<'a>>) -> Option<Season> {
    find_seasons(past).first().copied()
}

/// At most two seasons, the one that explains most of the history first.
pub fn find_seasons<'a>(past: impl Into<Past<'a>>) -> Vec<Season> {
    let tail = past.into().tail(LONGEST);
    if tail.len() < 8 || tail.n_gaps() * 2 > tail.len() {
        return Vec::new();
    }
    let values = calmed(tail.filled());
    let mut found = Vec::new();
    let mut rest = values.clone();
    for steps in candidates(&tail) {
        if let Some(gain) = test(&rest, steps, &found) {
            subtract_profile(&mut rest, steps);
            found.push(Found { steps, gain });
        }
    }
    if found.is_empty() {
        found.extend(search(&values).map(|found| Found { steps: snapped(found.steps, &tail), ..found }));
    }
    ranked(&found)
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Found {
    steps: usize,
    /// Share of the variance at hand that it explained.
    gain: f64,
}

/// The strongest two; a cycle that is only the overtone of a longer one, explaining less than that, is dropped.
fn ranked(found: &[Found]) -> Vec<Season> {
    let is_overtone = |one: &Found| {
        found.iter().any(|other| {
            other.steps > one.steps && other.steps.is_multiple_of(one.steps) && {
                // A longer cycle's gain was measured on what this one had left.
                other.gain * (1.0 - one.gain) >= 0.5 * one.gain
            }
        })
    };
    let mut kept: Vec<Found> = found.iter().filter(|one| !is_overtone(one)).copied().collect();
    kept.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    kept.into_iter().take(2).filter_map(|one| Season::new(one.steps)).collect()
}

/// Scaled values with single outliers held back, which would otherwise pass for a pattern or drown one.
fn calmed(values: Vec<f64>) -> Vec<f64> {
    let scale = Scale::centred(&values);
    let mut scaled: Vec<f64> = values.into_iter().map(|value| scale.apply(value)).collect();
    let centre = median(&scaled).unwrap_or(0.0);
    let spread = 1.4826 * mad(&scaled, centre).unwrap_or(0.0);
    if spread > 0.0 {
        for value in &mut scaled {
            *value = value.clamp(centre - 10.0 * spread, centre + 10.0 * spread);
        }
    }
    scaled
}

/// Cycles worth a test, shortest first, of which the history has at least two.
fn candidates(past: &Past<'_>) -> Vec<usize> {
    let step = past.step().millis();
    let of_calendar = CALENDAR.iter().filter(|cycle| **cycle % step == 0 || **cycle > 20 * DAY).map(|cycle| {
        // Months and years are no whole number of steps; the nearest will do.
        ((cycle + step / 2) / step) as usize
    });
    let mut candidates: Vec<usize> = of_calendar.chain(CUSTOMARY).collect();
    candidates.retain(|&steps| steps >= 4 && steps * 2 <= past.len());
    candidates.sort_unstable();
    candidates.dedup();
    candidates
}

/// Rows of whole cycles up to the end.
fn rows(values: &[f64], steps: usize) -> std::slice::ChunksExact<'_, f64> {
    values[values.len() % steps..].chunks_exact(steps)
}

/// `values` without their trend: straight lines between the middles of the cycles, whole cycles only.
fn detrended(values: &[f64], steps: usize) -> Vec<f64> {
    let means: Vec<f64> = rows(values, steps).map(|row| row.iter().sum::<f64>() / steps as f64).collect();
    let whole = &values[values.len() % steps..];
    let middle = (steps as f64 - 1.0) / 2.0;
    let last = means.len() - 1;
    whole
        .iter()
        .enumerate()
        .map(|(idx, value)| {
            let at = (idx as f64 - middle) / steps as f64;
            // Beyond the first and last middle the neighbouring line goes on.
            let from = (at.max(0.0) as usize).min(last.saturating_sub(1));
            let slope = if last == 0 { 0.0 } else { means[from + 1] - means[from] };
            value - means[from] - slope * (at - from as f64)
        })
        .collect()
}

/// The mean at each place of the cycle, centred.
fn profile(detrended: &[f64], steps: usize) -> Vec<f64> {
    let n_rows = (detrended.len() / steps) as f64;
    let mut profile = vec![0.0; steps];
    for row in detrended.chunks_exact(steps) {
        for (slot, value) in profile.iter_mut().zip(row) {
            *slot += value / n_rows;
        }
    }
    let mean = profile.iter().sum::<f64>() / steps as f64;
    profile.iter_mut().for_each(|slot| *slot -= mean);
    profile
}

fn subtract_profile(values: &mut [f64], steps: usize) {
    let profile = profile(&detrended(values, steps), steps);
    let from = values.len() % steps;
    for (idx, value) in values.iter_mut().enumerate() {
        *value -= profile[(idx + steps - from) % steps];
    }
}

/// The share of the variance that the cycle explains beyond what chance would; `None` when it fails the test.
fn test(rest: &[f64], steps: usize, shorter: &[Found]) -> Option<f64> {
    let nested = shorter.iter().filter(|found| steps.is_multiple_of(found.steps)).map(|found| found.steps).max();
    let gain = fold_test(rest, steps, nested.map_or(0, |inner| inner - 1));
    let is_confirmed = |gain: &f64| *gain > 0.4 || comes_back(rest, steps);
    if let Some(gain) = gain.filter(is_confirmed) {
        return Some(gain);
    }
    // Days of a week, hours of a day: fewer places, each the mean of an inner cycle.
    let inner = nested.filter(|inner| (4..=200).contains(&(steps / inner)))?;
    let from = rest.len() % steps;
    let means: Vec<f64> =
        rest[from..].chunks_exact(inner).map(|cells| cells.iter().sum::<f64>() / inner as f64).collect();
    let outer = steps / inner;
    if means.len() < 2 * outer {
        return None;
    }
    fold_test(&means, outer, 0)?;
    // What counts is the share of the whole that the means explain.
    let of_means = variance(&profile(&detrended(&means, outer), outer));
    let share = of_means / variance(rest).max(f64::MIN_POSITIVE);
    (share >= LEAST_GAIN).then_some(share.min(1.0))
}

fn variance(values: &[f64]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n
}

/// The F test of the fold: the share explained, where noise hardly would.
fn fold_test(values: &[f64], steps: usize, df_taken: usize) -> Option<f64> {
    let (gain, chance) = fold(values, steps, df_taken)?;
    (chance < SIGNIFICANCE).then_some(gain)
}

/// What share of the variance the fold explains, and with what chance noise would explain as much; `df_taken` places'
/// worth of freedom went to shorter cycles.
fn fold(values: &[f64], steps: usize, df_taken: usize) -> Option<(f64, f64)> {
    let flat = detrended(values, steps);
    let n_rows = flat.len() / steps;
    if n_rows < 2 || steps < 3 + df_taken {
        return None;
    }
    let profile = profile(&flat, steps);
    let between = n_rows as f64 * profile.iter().map(|slot| slot * slot).sum::<f64>();
    let residuals: Vec<f64> = flat.iter().enumerate().map(|(idx, value)| value - profile[idx % steps]).collect();
    let within: f64 = residuals.iter().map(|residual| residual * residual).sum();
    let total = between + within;
    // Rounding alone is no pattern.
    if total <= 1e-20 * flat.len() as f64 {
        return None;
    }
    let df_between = (steps - 1 - df_taken) as f64;
    // Trend removal takes a degree of freedom per row.
    let df_within = ((n_rows - 1) * (steps - 1)) as f64;
    let gain = 1.0 - (within / df_within) / (total / (df_within + df_between));
    if gain < LEAST_GAIN {
        return None;
    }
    if within <= 1e-9 * total {
        return Some((gain, 0.0));
    }
    let ratio = (between / df_between) / (within / df_within);
    // Neighbouring errors that agree are worth fewer: fewer degrees on both sides.
    let first = (residuals.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / within).clamp(0.0, 0.99);
    let worth = (1.0 - first) / (1.0 + first);
    let degrees = |df: f64| (df * worth).max(1.0);
    let chance = FisherSnedecor::new(degrees(df_between), degrees(df_within)).ok()?.sf(ratio);
    Some((gain, chance))
}

/// Whether the series resembles itself one cycle earlier more than it does around that lag and at half of it.
fn comes_back(rest: &[f64], steps: usize) -> bool {
    let flat = detrended(rest, steps);
    let around = (steps / 10).max(1);
    let r = autocorrelations(&flat, steps + around);
    // A lag of k leaves n - k pairs; without the correction two cycles could never come back.
    let at = |lag: usize| r[lag] * flat.len() as f64 / (flat.len() - lag.min(flat.len() - 1)) as f64;
    let here = at(steps);
    let is_peak = (steps - around..=steps + around).all(|lag| at(lag) <= here + 0.02);
    is_peak && here > 2.0 / (flat.len() as f64).sqrt() && here > at(steps / 2) + 0.02
}

/// The calendar's cycle where a found one is off by a step or 2 %: in noise, the neighbour may look better by chance.
fn snapped(steps: usize, past: &Past<'_>) -> usize {
    let reach = (steps / 50).max(1);
    let near = candidates(past).into_iter().filter(|known| known.abs_diff(steps) <= reach);
    near.min_by_key(|known| known.abs_diff(steps)).unwrap_or(steps)
}

#[cfg(test)]
mod tests;
