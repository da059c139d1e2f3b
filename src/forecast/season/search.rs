//! A cycle that no calendar knows.
//!
//! In: values without gaps. Out: the length of the cycle that their spectrum hints at, sharpened on the autocorrelation,
//! where it passes the test that those of the calendar have to pass.

use super::{Found, SIGNIFICANCE, comes_back, fold_test};
use crate::forecast::fourier::{autocorrelations, power};
use crate::forecast::smoothing::line_through;

/// A cycle of unknown length, from the spectrum of the whitened values.
pub fn search(values: &[f64]) -> Option<Found> {
    let n = values.len();
    if n < 24 {
        return None;
    }
    // The first differences of a random walk are white; those of a trend are flat. Whitening by the first
    // autocorrelation goes as far towards them as the series asks for.
    let level = detrended_by_line(values);
    let first = autocorrelations(&level, 1)[1].clamp(0.0, 1.0);
    let white: Vec<f64> = level.windows(2).map(|pair| pair[1] - first * pair[0]).collect();
    let (n_padded, bins) = power(&hann(&white), white.len());
    let least_bin = (3 * n_padded).div_ceil(n).max(2);
    let usable = &bins[least_bin.min(bins.len() - 1)..];
    let total: f64 = usable.iter().sum();
    let (top, most) = usable.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
    // Fisher's g, for a peak that a window spreads over neighbouring bins: P(max > g) <= m * exp(-m g).
    let n_free = (white.len() as f64 / 2.0).max(1.0);
    let g = most / total.max(f64::MIN_POSITIVE) * usable.len() as f64 / n_free;
    if total <= 0.0 || n_free * (-n_free * g).exp() > SIGNIFICANCE {
        return None;
    }
    let hint = n_padded as f64 / (top + least_bin) as f64;
    let r = autocorrelations(&level, n / 2);
    // The peak may be an overtone, so its first multiples are looked at as well; the least that passes with most of
    // the best gain is the cycle.
    let mut passed: Vec<Found> = Vec::new();
    for multiple in 1..=6 {
        let centre = hint * f64::from(multiple);
        // A bin is as wide as this in steps.
        let reach = (centre * centre / n as f64).max(1.0);
        let from = ((centre - reach).floor() as usize).max(3);
        let to = ((centre + reach).ceil() as usize).min(n / 3);
        let Some(steps) = (from..=to).max_by(|&a, &b| r[a].total_cmp(&r[b])) else { break };
        for steps in [steps - 1, steps, steps + 1] {
            if steps >= 3 && steps * 3 <= n {
                let gain = fold_test(values, steps, 0).filter(|_| comes_back(values, steps));
                passed.extend(gain.map(|gain| Found { steps, gain }));
            }
        }
    }
    let best = passed.iter().map(|found| found.gain).fold(0.0, f64::max);
    passed.sort_by_key(|found| found.steps);
    let first = passed.iter().position(|found| found.gain >= 0.9 * best)?;
    // Of neighbours the better one.
    let near = passed.iter().filter(|found| found.steps.abs_diff(passed[first].steps) <= 1);
    near.copied().max_by(|a, b| a.gain.total_cmp(&b.gain))
}

fn detrended_by_line(values: &[f64]) -> Vec<f64> {
    let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(idx, &value)| (idx as f64, value)).collect();
    let (intercept, slope) = line_through(&points);
    points.into_iter().map(|(x, y)| y - intercept - slope * x).collect()
}

fn hann(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    let weight = |idx: usize| (std::f64::consts::PI * (idx as f64 + 0.5) / n).sin().powi(2);
    values.iter().enumerate().map(|(idx, value)| value * weight(idx)).collect()
}
