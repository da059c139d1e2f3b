//! A cycle that no calendar knows.
//!
//! In: values, NaN for a gap. Out: the length of the cycle that their spectrum or their echo hints at, sharpened on the
//! autocorrelation, where it passes the test that those of the calendar have to pass. A wave stands out in the spectrum;
//! a short job or a reset spreads over all its overtones there, and is heard as an echo of itself instead.

use super::Found;
use super::fold::{SIGNIFICANCE, comes_back, fold_test};
use crate::forecast::fourier::{autocorrelations, powers, products_of_power};
use crate::forecast::smoothing::line_through;
use crate::series::{filled, mad, median};

/// What one value counts for in an echo at most, in standard deviations: two bursts alone are none.
const LOUDEST: f64 = 5.0;

/// By what share of it a period may be off one that it is meant to be.
const NEAR: f64 = 0.02;

/// A cycle of unknown length, at most `longest` steps, that stands out in `rest`, what the `known` cycles left of
/// `values`, and by itself explains at least as much of those as any that is known.
pub fn search(rest: &[f64], values: &[f64], known: &[Found], longest: usize) -> Option<Found> {
    let n = rest.len();
    if n < 24 {
        return None;
    }
    // The first differences of a random walk are white; those of a trend are flat. Whitening by the first
    // autocorrelation goes as far towards them as the series asks for.
    let level = detrended_by_line(&filled(rest));
    let first = autocorrelations(&level, 1)[1].clamp(0.0, 1.0);
    let white: Vec<f64> = level.windows(2).map(|pair| pair[1] - first * pair[0]).collect();
    let (wave, echo) = hints(&white, longest);
    // What is left of a known cycle whose size changes is no other.
    let is_new = |hint: &f64| !known.iter().any(|one| is_overtone(one.steps as f64, *hint));
    let (wave, echo) = (wave.filter(is_new), echo.filter(|lag| is_new(&(*lag as f64))));
    if wave.is_none() && echo.is_none() {
        return None;
    }
    let r = autocorrelations(&level, longest);
    // A peak of the spectrum may be an overtone, so its first multiples are looked at as well; the loudest echo may be
    // the second or third, so its parts are.
    let multiples = wave.into_iter().flat_map(|wave| (1..=6).map(move |multiple| wave * f64::from(multiple)));
    let mut tried: Vec<usize> = multiples
        .filter_map(|centre| {
            // A bin of the spectrum is as wide as this in steps.
            let reach = (centre * centre / n as f64).max(1.0);
            let from = ((centre - reach).floor() as usize).max(3);
            let to = ((centre + reach).ceil() as usize).min(longest);
            (from..=to).max_by(|&a, &b| r[a].total_cmp(&r[b]))
        })
        .chain(echo.into_iter().flat_map(|lag| (1..=3).map(move |part| lag / part)))
        .flat_map(|steps| steps.saturating_sub(1)..=steps + 1)
        .filter(|steps| (3..=longest).contains(steps))
        .collect();
    tried.sort_unstable();
    tried.dedup();
    let least = most_explained(values, known);
    let passes = |steps: usize| {
        let gain = fold_test(values, steps, 0).filter(|gain| *gain >= least && comes_back(values, steps))?;
        Some(Found { steps, gain })
    };
    // The least that passes with most of the best gain is the cycle.
    let passed: Vec<Found> = tried.into_iter().filter_map(passes).collect();
    let best = passed.iter().map(|found| found.gain).fold(0.0, f64::max);
    let first = passed.iter().find(|found| found.gain >= 0.9 * best)?;
    // Of neighbours the better one.
    let near = passed.iter().filter(|found| found.steps.abs_diff(first.steps) <= 1);
    near.copied().max_by(|a, b| a.gain.total_cmp(&b.gain))
}

/// The most that one of `known` explains by itself.
pub fn most_explained(values: &[f64], known: &[Found]) -> f64 {
    known.iter().filter_map(|one| fold_test(values, one.steps, 0)).fold(0.0, f64::max)
}

/// Whether `hint` is one of the first overtones of a cycle of so many steps.
fn is_overtone(steps: f64, hint: f64) -> bool {
    let times = (steps / hint).round();
    (1.0..=10.0).contains(&times) && (steps / hint - times).abs() <= NEAR * times
}

/// The period of the highest peak of the spectrum of white values, and the lag at which they resemble themselves most,
/// each where noise hardly has one.
fn hints(white: &[f64], longest: usize) -> (Option<f64>, Option<usize>) {
    let centre = median(white).unwrap_or(0.0);
    let most = LOUDEST * 1.4826 * mad(white, centre).unwrap_or(0.0);
    // As many of the last as leave room for a third of their number in the transform that the spectrum takes anyway.
    let n_padded = white.len().next_power_of_two();
    let late = &white[white.len().saturating_sub(n_padded / 4 * 3)..];
    let held: Vec<f64> = late.iter().map(|value| (value - centre).clamp(-most, most)).collect();
    let (n_padded, [waves, echoes]) = powers(&hann(white), &held, n_padded);
    let sums = products_of_power(n_padded, &echoes, longest.min(held.len() / 3));
    (wave(n_padded, &waves, white.len()), echo(&sums, held.len()))
}

fn wave(n_padded: usize, bins: &[f64], n_white: usize) -> Option<f64> {
    let least_bin = (3 * n_padded).div_ceil(n_white + 1).max(2);
    let usable = &bins[least_bin.min(bins.len() - 1)..];
    let total: f64 = usable.iter().sum();
    let (top, most) = usable.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
    // Fisher's g, for a peak that a window spreads over neighbouring bins: P(max > g) <= m * exp(-m g).
    let n_free = (n_white as f64 / 2.0).max(1.0);
    let g = most / total.max(f64::MIN_POSITIVE) * usable.len() as f64 / n_free;
    let is_clear = total > 0.0 && n_free * (-n_free * g).exp() <= SIGNIFICANCE;
    is_clear.then(|| n_padded as f64 / (top + least_bin) as f64)
}

fn echo(sums: &[f64], n_white: usize) -> Option<usize> {
    let longest = sums.len() - 1;
    // The sum over n - k pairs of white values deviates by the root of n - k, in units of one variance.
    let n = n_white as f64;
    let loudness = |lag: usize| sums[lag] / sums[0].max(f64::MIN_POSITIVE) * n / (n - lag as f64).sqrt();
    let lag = (3..=longest).max_by(|&a, &b| loudness(a).total_cmp(&loudness(b)))?;
    (loudness(lag) > (2.0 * (longest as f64 / SIGNIFICANCE).ln()).sqrt()).then_some(lag)
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
