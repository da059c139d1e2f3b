//! Where a level is heading: a robust slope over the latest stretch without a break, and how sure it is.
//!
//! Sources: Theil (1950) and Sen (1968) for the slope; the split of the scatter into wandering and noise is the
//! variogram of the local level model (Harvey, 1989): the mean square of differences over k blocks is
//! `k * wander^2 + 2 * noise^2`. A slope's variance is `6/5 * wander^2 / n` from wandering and `12 * noise^2 / n^3`
//! from noise; a trend-stationary and a random-walk series thus each get the certainty they deserve.

use crate::series::{mad, median};

/// The least stretch a slope is taken from, in blocks.
pub(super) const MIN_BLOCKS: usize = 6;
/// The one-sided significance of growth, in standard errors: 1 %.
const SIGNIFICANT: f64 = 2.326;
/// A break must improve the fit by this many Bayesian information criteria of its three parameters.
const BREAK_PENALTY: f64 = 2.0;

/// A level's drift, per block.
#[derive(Clone, Debug)]
pub(super) struct Trend {
    /// Change per block.
    pub slope: f64,
    /// Its standard error.
    pub slope_error: f64,
    /// Standard deviation of the level's own steps, per square root of a block.
    pub wander: f64,
    /// Standard deviation of what does not last, per block.
    pub noise: f64,
    /// The level at the end of the last block.
    pub level: f64,
    /// Its standard error.
    pub level_error: f64,
    /// How the level keeps around its line when it comes back to it: standard deviation, and blocks it remembers.
    pub reversion: Option<(f64, f64)>,
    /// How many blocks the stretch has.
    pub n: usize,
    /// The level's steps beside the drift, in units of their deviation: mean 0, variance 1, in order of time.
    pub shocks: Vec<f64>,
}

impl Trend {
    /// Whether the slope tells of growth, and not of chance.
    pub fn is_growing(&self) -> bool {
        self.z() > SIGNIFICANT
    }

    /// Whether the slope tells of decline.
    pub fn is_falling(&self) -> bool {
        self.z() < -SIGNIFICANT
    }

    fn z(&self) -> f64 {
        // Rounding in the sixteenth digit is no growth.
        let least = 1e-9 * self.level.abs() / self.n as f64;
        if self.slope.abs() <= least {
            0.0
        } else if self.slope_error > 0.0 {
            self.slope / self.slope_error
        } else {
            self.slope.signum() * f64::INFINITY
        }
    }

    /// The trend of `blocks`, NaN where there is a gap; `None` below [`MIN_BLOCKS`] values.
    pub fn of(blocks: &[f64]) -> Option<Trend> {
        let points: Vec<(f64, f64)> = blocks
            .iter()
            .enumerate()
            .filter(|(_, value)| !value.is_nan())
            .map(|(idx, &value)| (idx as f64, value))
            .collect();
        if points.len() < MIN_BLOCKS {
            return None;
        }
        let stretch = &points[latest_break(&points)..];
        let slope = theil_sen(stretch);
        let Scatter { wander, noise, shocks } = scatter(stretch, slope);
        let n = stretch.len() as f64;
        let slope_error = (1.2 * wander * wander / n + 12.0 * noise * noise / (n * n * n)).sqrt();
        let end = blocks.len() as f64 - 0.5;
        let (level, level_error) = level_at(stretch, slope, wander, noise, end);
        let off: Vec<f64> = stretch.iter().map(|(x, y)| y - slope * x).collect();
        let reversion = reversion(&off);
        Some(Trend { slope, slope_error, wander, noise, level, level_error, reversion, n: stretch.len(), shocks })
    }
}

/// The median of the slopes between all pairs.
fn theil_sen(points: &[(f64, f64)]) -> f64 {
    let mut slopes = Vec::with_capacity(points.len() * (points.len() - 1) / 2);
    for (idx, a) in points.iter().enumerate() {
        slopes.extend(points[idx + 1..].iter().map(|b| (b.1 - a.1) / (b.0 - a.0)));
    }
    median(&slopes).unwrap_or(0.0)
}

/// Whether values around a line come back to it: their standard deviation and how many steps they remember.
///
/// Source: Dickey and Fuller (1979), with one lagged difference; beyond -3.41 a random walk around a fitted line is
/// ruled out at 5 %.
fn reversion(off: &[f64]) -> Option<(f64, f64)> {
    const RULED_OUT: f64 = -3.41;
    let n = off.len();
    if n < 20 {
        return None;
    }
    let centre = off.iter().sum::<f64>() / n as f64;
    let steps: Vec<f64> = off.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Step on level before and step before, all three centred, so that the constant drops out.
    let rows: Vec<[f64; 3]> = (1..steps.len()).map(|idx| [off[idx] - centre, steps[idx - 1], steps[idx]]).collect();
    let m = rows.len() as f64;
    let means: [f64; 3] = std::array::from_fn(|column| rows.iter().map(|row| row[column]).sum::<f64>() / m);
    let product = |a: usize, b: usize| rows.iter().map(|row| (row[a] - means[a]) * (row[b] - means[b])).sum::<f64>();
    let (xx, xz, zz, xy, zy, yy) =
        (product(0, 0), product(0, 1), product(1, 1), product(0, 2), product(1, 2), product(2, 2));
    let determinant = xx * zz - xz * xz;
    if determinant <= 1e-12 * xx * zz {
        return None;
    }
    let pull = (xy * zz - zy * xz) / determinant;
    let push = (zy * xx - xy * xz) / determinant;
    let left = (yy - pull * xy - push * zy).max(0.0) / (m - 3.0);
    let error = (left * zz / determinant).sqrt();
    let variance = off.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / (n - 1) as f64;
    let keeps = (1.0 + pull).clamp(0.0, 0.99);
    (pull < RULED_OUT * error).then(|| (variance.sqrt(), (1.0 + keeps) / (1.0 - keeps)))
}

struct Scatter {
    wander: f64,
    noise: f64,
    shocks: Vec<f64>,
}

/// Splits what the slope leaves into wandering and noise by how it grows with the distance.
fn scatter(points: &[(f64, f64)], slope: f64) -> Scatter {
    let n = points.len();
    let off: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    let max_lag = (n / 4).clamp(2, 24);
    // Weighted least squares of mean squares on lags; a mean square's own spread grows with its lag.
    let (mut sw, mut swx, mut swy, mut swxx, mut swxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for lag in 1..=max_lag {
        let mut squares: Vec<f64> = Vec::with_capacity(n);
        let mut span = 0.0;
        for idx in 0..n - lag {
            squares.push((off[idx + lag] - off[idx]).powi(2));
            span += points[idx + lag].0 - points[idx].0;
        }
        span /= squares.len() as f64;
        // A single jump says little about what the level usually does.
        let edge = 25.0 / 0.455 * median(&squares).unwrap_or(0.0);
        if edge > 0.0 {
            squares.iter_mut().for_each(|square| *square = square.min(edge));
        }
        let mean = squares.iter().sum::<f64>() / squares.len() as f64;
        // The slope was fitted to these very points and took part of the spread with it.
        let mean = mean / (1.0 - lag as f64 / n as f64);
        let weight = 1.0 / (span * span);
        sw += weight;
        swx += weight * span;
        swy += weight * mean;
        swxx += weight * span * span;
        swxy += weight * span * mean;
    }
    let determinant = sw * swxx - swx * swx;
    let mut wander2 = if determinant > 0.0 { (sw * swxy - swx * swy) / determinant } else { 0.0 };
    let mut noise2 = 0.5 * (swy - wander2 * swx) / sw;
    if noise2 < 0.0 {
        noise2 = 0.0;
        wander2 = swxy / swxx;
    } else if wander2 < 0.0 {
        wander2 = 0.0;
        noise2 = 0.5 * swy / sw;
    }
    let steps: Vec<f64> =
        points.windows(2).zip(off.windows(2)).map(|(x, y)| (y[1] - y[0]) / (x[1].0 - x[0].0).sqrt()).collect();
    Scatter { wander: wander2.max(0.0).sqrt(), noise: noise2.max(0.0).sqrt(), shocks: standardise(steps) }
}

/// Shifts and scales to mean 0 and variance 1; plus and minus one when there is nothing to scale.
fn standardise(mut steps: Vec<f64>) -> Vec<f64> {
    let n = steps.len() as f64;
    let mean = steps.iter().sum::<f64>() / n;
    let variance = steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / n;
    if variance.is_finite() && variance > 0.0 {
        let deviation = variance.sqrt();
        steps.iter_mut().for_each(|step| *step = (*step - mean) / deviation);
        steps
    } else {
        vec![-1.0, 1.0]
    }
}

/// The level at `end` by the steady-state filter of the local level model, and its standard error.
fn level_at(points: &[(f64, f64)], slope: f64, wander: f64, noise: f64, end: f64) -> (f64, f64) {
    let off: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    let base = median(&off).unwrap_or(0.0);
    let n = points.len() as f64;
    if wander <= 0.0 {
        return (base + slope * end, 2.0 * noise / n.sqrt());
    }
    let gain = if noise > 0.0 {
        let ratio = (wander / noise).powi(2);
        let ahead = 0.5 * (ratio + (ratio * ratio + 4.0 * ratio).sqrt());
        ahead / (ahead + 1.0)
    } else {
        1.0
    };
    let level = off.iter().fold(base, |level, value| level + gain * (value - level));
    (level + slope * end, gain.sqrt() * noise)
}

/// Sums that give a straight line's squared error over any stretch in constant time.
struct Sums(Vec<[f64; 5]>);

impl Sums {
    fn of(points: &[(f64, f64)]) -> Sums {
        // Centred first: squares of large, nearly equal values would cancel their digits away.
        let n = points.len() as f64;
        let centre = points.iter().map(|point| point.1).sum::<f64>() / n;
        let mut sums = vec![[0.0; 5]];
        for (x, y) in points {
            let (y, last) = (y - centre, sums[sums.len() - 1]);
            sums.push([last[0] + x, last[1] + y, last[2] + x * x, last[3] + x * y, last[4] + y * y]);
        }
        Sums(sums)
    }

    fn error(&self, from: usize, to: usize) -> f64 {
        let n = (to - from) as f64;
        let [x, y, xx, xy, yy] = std::array::from_fn(|idx| self.0[to][idx] - self.0[from][idx]);
        let (sxx, sxy, syy) = (xx - x * x / n, xy - x * y / n, yy - y * y / n);
        if sxx > 0.0 { (syy - sxy * sxy / sxx).max(0.0) } else { syy.max(0.0) }
    }
}

/// Where the latest stretch begins that one straight line describes.
fn latest_break(points: &[(f64, f64)]) -> usize {
    let mut first = 0;
    for _ in 0..4 {
        match one_break(&points[first..]) {
            Some(at) => first += at,
            None => break,
        }
    }
    first
}

fn one_break(points: &[(f64, f64)]) -> Option<usize> {
    let n = points.len();
    let least = MIN_BLOCKS.max(n / 16);
    if n < 4 * MIN_BLOCKS {
        return None;
    }
    let sums = Sums::of(points);
    let whole = sums.error(0, n);
    let scale = points.iter().map(|point| point.1.abs()).fold(0.0, f64::max);
    // Rounding noise is not to be explained by breaks.
    let floor = n as f64 * (1e-9 * scale).powi(2);
    let (at, split) =
        (least..=n - least).map(|at| (at, sums.error(0, at) + sums.error(at, n))).min_by(|a, b| a.1.total_cmp(&b.1))?;
    if whole <= floor {
        return None;
    }
    let gain = n as f64 * (whole / split.max(floor).max(f64::MIN_POSITIVE)).ln();
    if gain < BREAK_PENALTY * 3.0 * (n as f64).ln() {
        return None;
    }
    // A random walk looks broken everywhere. A break is believed when what two lines leave is noise, or when the
    // steps themselves changed their mean.
    let is_noise = lag_one(&left_over(points, at)) < 0.5;
    (is_noise || steps_changed(points, at)).then_some(at)
}

/// What two lines, one up to `at` and one from it, leave.
fn left_over(points: &[(f64, f64)], at: usize) -> Vec<f64> {
    let line = |points: &[(f64, f64)]| {
        let n = points.len() as f64;
        let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
        let sxx: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
        let sxy: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
        let slope = if sxx > 0.0 { sxy / sxx } else { 0.0 };
        points.iter().map(|p| p.1 - my - slope * (p.0 - mx)).collect::<Vec<f64>>()
    };
    let mut left = line(&points[..at]);
    left.extend(line(&points[at..]));
    left
}

fn lag_one(values: &[f64]) -> f64 {
    let variance: f64 = values.iter().map(|value| value * value).sum();
    let product: f64 = values.windows(2).map(|pair| pair[0] * pair[1]).sum();
    if variance > 0.0 { product / variance } else { 0.0 }
}

fn steps_changed(points: &[(f64, f64)], at: usize) -> bool {
    let steps: Vec<f64> = points.windows(2).map(|pair| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0)).collect();
    let (left, right) = (&steps[..at - 1], &steps[at..]);
    let about = |steps: &[f64]| {
        let centre = median(steps).unwrap_or(0.0);
        (centre, 1.4826 * mad(steps, centre).unwrap_or(0.0), steps.len() as f64)
    };
    let ((a, da, na), (b, db, nb)) = (about(left), about(right));
    // A median's variance is pi/2 that of a mean.
    let error = (std::f64::consts::FRAC_PI_2 * (da * da / na + db * db / nb)).sqrt();
    (a - b).abs() > 4.5 * error && (a - b).abs() > 1e-9 * (a.abs() + b.abs())
}
