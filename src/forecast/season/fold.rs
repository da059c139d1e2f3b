//! Do the places of a cycle differ by more than its cycles do?
//!
//! In: values, NaN for a gap, and a cycle's length. Out: what share of the variance the cycle explains, and with what
//! chance noise would explain as much: an F test, with fewer degrees of freedom for noise that remembers. Only what was
//! seen is tested; gaps are filled for the trend alone.

use std::borrow::Cow;

use statrs::distribution::{ContinuousCDF, FisherSnedecor};

use crate::forecast::fourier::products;
use crate::series::filled;

/// The chance that noise passes one test.
pub const SIGNIFICANCE: f64 = 0.001;

/// The least share of the variance left by shorter cycles that a cycle must explain.
pub const LEAST_GAIN: f64 = 0.03;

/// Places of a cycle that are seen must be seen so often, on average.
const PER_PLACE: usize = 2;

/// `values` without their trend, straight lines between the middles of the cycles, and centred; whole cycles only.
fn detrended(values: &[f64], steps: usize) -> Vec<f64> {
    let whole = &values[values.len() % steps..];
    let has_gaps = whole.iter().any(|value| value.is_nan());
    let known = if has_gaps { Cow::Owned(filled(whole)) } else { Cow::Borrowed(whole) };
    let means: Vec<f64> = known.chunks_exact(steps).map(|row| row.iter().sum::<f64>() / steps as f64).collect();
    let Some(last) = means.len().checked_sub(1) else { return Vec::new() };
    let middle = (steps as f64 - 1.0) / 2.0;
    let mut flat: Vec<f64> = whole
        .iter()
        .enumerate()
        .map(|(idx, value)| {
            let at = (idx as f64 - middle) / steps as f64;
            // Beyond the first and last middle the neighbouring line goes on.
            let from = (at.max(0.0) as usize).min(last.saturating_sub(1));
            let slope = if last == 0 { 0.0 } else { means[from + 1] - means[from] };
            value - means[from] - slope * (at - from as f64)
        })
        .collect();
    if has_gaps {
        // Lines through what was filled in do not lie in the middle of what was seen.
        let n_seen = flat.iter().filter(|value| !value.is_nan()).count().max(1);
        let mean = flat.iter().filter(|value| !value.is_nan()).sum::<f64>() / n_seen as f64;
        flat.iter_mut().for_each(|value| *value -= mean);
    }
    flat
}

/// The mean at each place of the cycle, and of how many values.
struct Profile {
    means: Vec<f64>,
    counts: Vec<f64>,
}

impl Profile {
    fn of(detrended: &[f64], steps: usize) -> Profile {
        let mut profile = Profile { means: vec![0.0; steps], counts: vec![0.0; steps] };
        for row in detrended.chunks_exact(steps) {
            for ((mean, count), value) in profile.means.iter_mut().zip(&mut profile.counts).zip(row) {
                if !value.is_nan() {
                    *mean += value;
                    *count += 1.0;
                }
            }
        }
        let n_seen = profile.n_seen();
        let centre = profile.means.iter().sum::<f64>() / n_seen.max(1.0);
        for (mean, count) in profile.means.iter_mut().zip(&profile.counts) {
            *mean = if *count > 0.0 { *mean / count - centre } else { 0.0 };
        }
        profile
    }

    fn n_seen(&self) -> f64 {
        self.counts.iter().sum()
    }

    fn n_places(&self) -> usize {
        self.counts.iter().filter(|count| **count > 0.0).count()
    }

    /// The sum of squares that it explains.
    fn between(&self) -> f64 {
        self.means.iter().zip(&self.counts).map(|(mean, count)| count * mean * mean).sum()
    }
}

/// How evenly a cycle's places are seen: the share of values among those that its cycles could have at places that were
/// ever seen; 1 without gaps. A day of ten hours is seen evenly by the day and not by the half.
pub fn evenness(values: &[f64], steps: usize) -> f64 {
    let whole = &values[values.len() % steps..];
    let mut counts = vec![0usize; steps];
    whole.chunks_exact(steps).for_each(|row| {
        row.iter().zip(&mut counts).for_each(|(value, count)| *count += usize::from(!value.is_nan()));
    });
    let n_places = counts.iter().filter(|count| **count > 0).count();
    let most = n_places * (whole.len() / steps);
    counts.iter().sum::<usize>() as f64 / most.max(1) as f64
}

/// The variance of the cycle's shape.
pub fn explained(values: &[f64], steps: usize) -> f64 {
    let profile = Profile::of(&detrended(values, steps), steps);
    profile.between() / profile.n_seen().max(1.0)
}

/// Takes the cycle's shape off `values`.
pub fn subtract_profile(values: &mut [f64], steps: usize) {
    let profile = Profile::of(&detrended(values, steps), steps);
    let from = values.len() % steps;
    for (idx, value) in values.iter_mut().enumerate() {
        *value -= profile.means[(idx + steps - from) % steps];
    }
}

/// The variance of what is not a gap.
pub fn variance(values: &[f64]) -> f64 {
    let seen = || values.iter().filter(|value| !value.is_nan());
    let n = seen().count().max(1) as f64;
    let mean = seen().sum::<f64>() / n;
    seen().map(|value| (value - mean).powi(2)).sum::<f64>() / n
}

/// The share explained, where noise hardly would; see [`fold`].
pub fn fold_test(values: &[f64], steps: usize, df_taken: usize) -> Option<f64> {
    let (gain, chance) = fold(values, steps, df_taken)?;
    (chance < SIGNIFICANCE).then_some(gain)
}

/// What share of the variance the fold explains, and with what chance noise would explain as much; `df_taken` places'
/// worth of freedom went to shorter cycles.
pub fn fold(values: &[f64], steps: usize, df_taken: usize) -> Option<(f64, f64)> {
    let flat = detrended(values, steps);
    if flat.len() / steps < 2 {
        return None;
    }
    let is_seen = |row: &&[f64]| row.iter().any(|value| !value.is_nan());
    let n_rows = flat.chunks_exact(steps).filter(is_seen).count();
    let profile = Profile::of(&flat, steps);
    let (n_places, n_seen) = (profile.n_places(), profile.n_seen());
    if n_rows < 2 || n_places < 3 + df_taken || n_seen < (PER_PLACE * n_places) as f64 {
        return None;
    }
    let between = profile.between();
    let residuals: Vec<f64> = flat.iter().enumerate().map(|(idx, value)| value - profile.means[idx % steps]).collect();
    let within: f64 = residuals.iter().filter(|residual| !residual.is_nan()).map(|residual| residual * residual).sum();
    let total = between + within;
    // Rounding alone is no pattern.
    if total <= 1e-20 * n_seen {
        return None;
    }
    let df_between = (n_places - 1 - df_taken) as f64;
    // Trend removal takes a degree of freedom per row.
    let df_within = n_seen + 1.0 - (n_places + n_rows) as f64;
    if df_within < 1.0 {
        return None;
    }
    let gain = 1.0 - (within / df_within) / (total / (df_within + df_between));
    if gain < LEAST_GAIN {
        return None;
    }
    if within <= 1e-9 * total {
        return Some((gain, 0.0));
    }
    let ratio = (between / df_between) / (within / df_within);
    // Neighbouring errors that agree are worth fewer: fewer degrees on both sides.
    let worth = {
        let (mut sum, mut n_pairs) = (0.0, 0.0);
        for pair in residuals.windows(2).filter(|pair| !pair[0].is_nan() && !pair[1].is_nan()) {
            sum += pair[0] * pair[1];
            n_pairs += 1.0;
        }
        let missing = if n_pairs > 0.0 { (n_seen - 1.0) / n_pairs } else { 0.0 };
        let first = (sum / within * missing).clamp(0.0, 0.99);
        (1.0 - first) / (1.0 + first)
    };
    let degrees = |df: f64| (df * worth).max(1.0);
    let chance = FisherSnedecor::new(degrees(df_between), degrees(df_within)).ok()?.sf(ratio);
    Some((gain, chance))
}

/// Whether the series resembles itself one cycle earlier more than it does around that lag and at half of it.
pub fn comes_back(rest: &[f64], steps: usize) -> bool {
    let flat = detrended(rest, steps);
    let around = (steps / 10).max(1);
    let n_lags = steps + around;
    let seen = || flat.iter().filter(|value| !value.is_nan());
    let n_seen = seen().count();
    let mean = seen().sum::<f64>() / n_seen.max(1) as f64;
    let known: Vec<f64> = flat.iter().map(|value| if value.is_nan() { 0.0 } else { value - mean }).collect();
    let sums = products(&known, n_lags);
    let n_pairs = (n_seen < flat.len()).then(|| {
        let mask: Vec<f64> = flat.iter().map(|value| f64::from(u8::from(!value.is_nan()))).collect();
        products(&mask, n_lags)
    });
    // A lag of k leaves n - k pairs; without the correction two cycles could never come back. Where there is no pair
    // there is no objection.
    let at = |lag: usize| {
        let pairs = n_pairs.as_ref().map_or((flat.len() - lag.min(flat.len() - 1)) as f64, |pairs| pairs[lag].round());
        (pairs > 0.0 && sums[0] > 0.0).then(|| sums[lag] / sums[0] * n_seen as f64 / pairs)
    };
    let Some(here) = at(steps) else { return false };
    let is_peak = (steps - around..=n_lags).filter_map(at).all(|there| there <= here + 0.02);
    is_peak && here > 2.0 / (n_seen as f64).sqrt() && at(steps / 2).is_none_or(|half| here > half + 0.02)
}
