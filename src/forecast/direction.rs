//! Is the series rising, falling or neither?
//!
//! In: a history and its season. Out: the heading, the change per step, and how likely a change this steady is when
//! nothing rises or falls.
//!
//! The season is taken off and the history thinned to at most [`MOST_POINTS`] means. Then the slope is tested as
//! Perron and Yabu ("Estimating deterministic trends with an integrated or stationary noise component", 2009) do:
//! the errors about the line follow a first-order autoregression; where its coefficient cannot be told from 1 it is
//! taken to be 1, so that a random walk is judged by its mean step and not by the slope it happens to show; what
//! correlation is left enters by a Newey-West variance.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::outlook::{Direction, Heading};
use super::profile::{centred, profile_of};
use super::scale::Scale;
use super::smoothing::line_through;
use crate::series::{History, Season};

/// Means that the history is thinned to. Few, so that noise averages out and a wandering level shows as one.
const MOST_POINTS: usize = 40;

/// Below this many values nothing can be said.
const LEAST_POINTS: usize = 8;

/// A coefficient within this many times 1 / sqrt(n) of 1 is taken for 1. Perron and Yabu have 1; twice that keeps
/// random walks of a few dozen values from being called, at the cost of some trends in very sticky noise.
const WALK_MARGIN: f64 = 2.0;

/// A slope this unlikely by chance is a heading.
const SIGNIFICANCE: f64 = 0.05;

const UNKNOWN: Direction = Direction { heading: Heading::Flat, slope_per_step: 0.0, p_value: 1.0 };

/// The heading of `history`, cleared of `season`.
pub fn direction(history: &History, season: Option<Season>) -> Direction {
    let cells = history.values();
    if cells.len() - history.n_gaps() < LEAST_POINTS {
        return UNKNOWN;
    }
    let scale = Scale::centred(cells);
    let scaled: Vec<f64> = cells.iter().map(|&value| scale.apply(value)).collect();
    let season = season.map(Season::steps).filter(|season| scaled.len() >= 2 * season);
    let clear = without_season(scaled, season);
    // Blocks of whole cycles where there are enough of them; what is left of the season then averages out.
    let unit = season.filter(|season| clear.len() / season >= 20).unwrap_or(1);
    let n_units = clear.len() / unit;
    let block = unit * n_units.div_ceil(MOST_POINTS).max(1);
    let means: Vec<f64> =
        clear[clear.len() % block..].chunks(block).map(|cells| super::backtest::mean(cells.iter().copied())).collect();
    let Some((slope, p_value)) = slope_test(&means) else {
        return UNKNOWN;
    };
    let heading = match slope {
        _ if p_value >= SIGNIFICANCE || slope == 0.0 => Heading::Flat,
        slope if slope > 0.0 => Heading::Rising,
        _ => Heading::Falling,
    };
    let slope_per_step = (slope / block as f64 * scale.unit()).clamp(-f64::MAX, f64::MAX);
    Direction { heading, slope_per_step, p_value }
}

/// Takes the season's profile off, measured about the line that values a whole number of cycles apart show.
fn without_season(mut values: Vec<f64>, season: Option<usize>) -> Vec<f64> {
    let Some(season) = season else {
        return values;
    };
    let whole: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .skip(values.len() % season)
        .filter(|(_, value)| !value.is_nan())
        .map(|(idx, &value)| (idx as f64, value))
        .collect();
    let (intercept, slope) = line_through(&whole);
    let detrended: Vec<f64> =
        values.iter().enumerate().map(|(idx, value)| value - intercept - slope * idx as f64).collect();
    let profile = centred(profile_of(&detrended, season));
    for (idx, value) in values.iter_mut().enumerate() {
        *value -= profile[idx % season];
    }
    values
}

/// The slope per point and its two-sided p-value; `None` below [`LEAST_POINTS`] known points.
fn slope_test(points: &[f64]) -> Option<(f64, f64)> {
    let seen: Vec<(f64, f64)> =
        points.iter().enumerate().filter(|(_, v)| !v.is_nan()).map(|(idx, &v)| (idx as f64, v)).collect();
    let n = seen.len();
    if n < LEAST_POINTS {
        return None;
    }
    let (intercept, slope) = line_through(&seen);
    let errors: Vec<f64> = seen.iter().map(|(x, y)| y - intercept - slope * x).collect();
    let power: f64 = errors.iter().map(|e| e * e).sum();
    let size: f64 = seen.iter().map(|(_, y)| y * y).sum();
    if power <= 1e-24 * size.max(f64::MIN_POSITIVE) {
        // Nothing but the line; rounding aside, it is certain.
        let is_flat = slope.abs() * n as f64 <= 1e-9 * size.sqrt();
        return Some(if is_flat { (0.0, 1.0) } else { (slope, 0.0) });
    }
    let correlation = |lag: usize| -> f64 { (lag..n).map(|idx| errors[idx] * errors[idx - lag]).sum::<f64>() / power };
    let (first, second) = (correlation(1), correlation(2));
    // Noise on top of a wandering level hides the wandering from the first correlation, but not from how slowly
    // correlations decay after it.
    let has_memory = first > 1.5 / (n as f64).sqrt();
    let raw = if has_memory { first.max(second / first).min(1.0) } else { first };
    // Least squares about a line underestimates the coefficient by about this much (Kendall 1954, for a trend).
    let unbiased = raw + (2.0 + 4.0 * raw) / n as f64;
    let is_walk = unbiased >= 1.0 - WALK_MARGIN / (n as f64).sqrt();
    let alpha = if is_walk { 1.0 } else { unbiased.max(-0.9) };
    Some(quasi_differenced(&seen, alpha))
}

/// Generalised least squares with errors that keep the share `alpha` of the one before.
fn quasi_differenced(seen: &[(f64, f64)], alpha: f64) -> (f64, f64) {
    // Rows of (constant, time, value); across a gap of k steps the share kept is alpha^k.
    let mut rows = Vec::with_capacity(seen.len());
    if alpha < 1.0 {
        let weight = (1.0 - alpha * alpha).sqrt();
        rows.push((weight, weight * seen[0].0, weight * seen[0].1));
    }
    for pair in seen.windows(2) {
        let kept = alpha.abs().powf(pair[1].0 - pair[0].0) * alpha.signum();
        rows.push((1.0 - kept, pair[1].0 - kept * pair[0].0, pair[1].1 - kept * pair[0].1));
    }
    let n = rows.len() as f64;
    if alpha >= 1.0 {
        // First differences: the slope is their mean.
        let slope = rows.iter().map(|row| row.2).sum::<f64>() / rows.iter().map(|row| row.1).sum::<f64>();
        let errors: Vec<f64> = rows.iter().map(|row| row.2 - slope * row.1).collect();
        let deviation = (long_run_variance(&errors) / n).sqrt();
        return (slope, p_value(slope, deviation, n - 1.0));
    }
    let sum = |of: &dyn Fn(&(f64, f64, f64)) -> f64| rows.iter().map(of).sum::<f64>();
    let (cc, ct, tt) = (sum(&|r| r.0 * r.0), sum(&|r| r.0 * r.1), sum(&|r| r.1 * r.1));
    let (cy, ty) = (sum(&|r| r.0 * r.2), sum(&|r| r.1 * r.2));
    let determinant = cc * tt - ct * ct;
    if determinant <= 0.0 {
        return (0.0, 1.0);
    }
    let slope = (cc * ty - ct * cy) / determinant;
    let constant = (tt * cy - ct * ty) / determinant;
    let errors: Vec<f64> = rows.iter().map(|r| r.2 - constant * r.0 - slope * r.1).collect();
    let deviation = (long_run_variance(&errors) * n / (n - 2.0) * cc / determinant).sqrt();
    (slope, p_value(slope, deviation, n - 2.0))
}

/// Newey and West's, with Bartlett weights; never below the plain variance, which a short sample would undercut.
fn long_run_variance(errors: &[f64]) -> f64 {
    let n = errors.len() as f64;
    let mean = errors.iter().sum::<f64>() / n;
    let product = |lag: usize| -> f64 {
        (lag..errors.len()).map(|idx| (errors[idx] - mean) * (errors[idx - lag] - mean)).sum::<f64>() / n
    };
    let plain = product(0);
    // Far more lags than is usual: what wandering is left shows in many small correlations.
    let n_lags = errors.len() / 4;
    let weighted: f64 =
        (1..=n_lags.min(errors.len() - 1)).map(|lag| (1.0 - lag as f64 / (n_lags as f64 + 1.0)) * product(lag)).sum();
    plain + 2.0 * weighted.max(0.0)
}

fn p_value(slope: f64, deviation: f64, freedom: f64) -> f64 {
    if deviation <= 0.0 || freedom < 1.0 {
        return if slope == 0.0 { 1.0 } else { 0.0 };
    }
    match StudentsT::new(0.0, 1.0, freedom) {
        Ok(t) => (2.0 * t.sf((slope / deviation).abs())).min(1.0),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::tests::Noise;
    use crate::series::Step;

    fn of(values: Vec<f64>, season: usize) -> Direction {
        direction(&History::new(0, Step::seconds(60), values), Season::new(season))
    }

    /// How many of 300 histories made by `next` are called rising or falling.
    fn called(n: usize, season: usize, mut next: impl FnMut(&mut Noise, usize) -> Vec<f64>) -> usize {
        let mut noise = Noise::seeded(n as u64);
        (0..300).filter(|_| of(next(&mut noise, n), season).heading != Heading::Flat).count()
    }

    #[test]
    fn chance_alone_is_called_flat() {
        for n in [30, 100, 700] {
            let white = called(n, 0, |noise, n| (0..n).map(|_| noise.normal()).collect());
            assert!(white <= 30, "white noise of {n}: {white} of 300");
            let walks = called(n, 0, |noise, n| noise.walk(n, 1.0));
            assert!(walks <= 50, "random walks of {n}: {walks} of 300");
            let sticky = called(n, 0, |noise, n| noise.walk(n, 0.7));
            assert!(sticky <= 50, "autoregressions of {n}: {sticky} of 300");
        }
        let seasonal = called(24 * 9 + 7, 24, |noise, n| {
            (0..n).map(|t| 5.0 * ((t % 24) as f64 / 24.0 * std::f64::consts::TAU).sin() + noise.normal()).collect()
        });
        assert!(seasonal <= 30, "seasonal noise: {seasonal} of 300");
    }

    #[test]
    fn a_trend_is_called_through_noise_season_and_gaps() {
        let mut noise = Noise::seeded(8);
        for sign in [1.0, -1.0] {
            let mut values: Vec<f64> = (0..24 * 14)
                .map(|t| sign * 0.02 * t as f64 + 5.0 * ((t % 24) as f64 / 4.0).sin() + noise.normal())
                .collect();
            values[40..60].fill(f64::NAN);
            let found = of(values, 24);
            assert_eq!(found.heading, if sign > 0.0 { Heading::Rising } else { Heading::Falling });
            assert!((found.slope_per_step - sign * 0.02).abs() < 0.003, "{found:?}");
            assert!(found.p_value < 0.001);
        }
    }

    #[test]
    fn a_line_is_certain_and_a_constant_is_flat() {
        let line = of((0..50).map(|t| 1e9 + 3.0 * f64::from(t)).collect(), 0);
        assert_eq!(line.heading, Heading::Rising);
        assert!((line.slope_per_step - 3.0).abs() < 1e-6 && line.p_value < 1e-9, "{line:?}");
        for values in [vec![4.0; 50], vec![f64::NAN; 50], vec![1.0, 2.0], vec![], vec![0.1; 9]] {
            let found = of(values, 0);
            assert_eq!((found.heading, found.p_value), (Heading::Flat, 1.0));
        }
    }
}
