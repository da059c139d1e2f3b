//! Piecewise linear trend: straight lines between points at which the series changed its course.
//!
//! In: at least three values; gaps are left out. Out: the last line, its slope shrunk by its own uncertainty and fading
//! over as long as it has lasted, with the season's profile on it when there is a season.
//!
//! The season is taken off, single spikes are replaced by the median around them, and the history is thinned to a few
//! hundred medians. Where lines break is the optimum of squared error plus a price per line, found by dynamic programming
//! with pruning; the price comes from the noise in second differences. After thinning the cost is O(n).
//! Source: Killick, Fearnhead and Eckley, "Optimal detection of changepoints with a linear computational cost", 2012.

use std::collections::BTreeMap;

use super::line::Scaled;
use super::model::{FitError, Fitted, Forecaster};
use super::past::{Past, Regressors};
use super::profile::{centred, profile_of};
use super::scale::Scale;
use super::theil_sen::blocks;
use crate::series::{Season, median};

/// The price of a line, in noise variances times the logarithm of the number of points.
const PRICE: f64 = 3.0;

/// The least points of a line.
const LEAST_POINTS: usize = 8;

/// Points on either side whose median a point is compared with.
const AROUND: usize = 3;

/// How many usual distances from the median around it make a point a spike.
const SPIKE: f64 = 5.0;

/// Lines between change points, with one season.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PiecewiseLinear {
    pub season: Option<Season>,
}

#[derive(Clone, Debug)]
struct FittedPiecewise {
    scale: Scale,
    // At the last cell, in scaled values, and per cell.
    level: f64,
    slope: f64,
    damping: f64,
    // Empty without a season; `profile[idx % len]` belongs to cell idx.
    profile: Vec<f64>,
    n_cells: usize,
    n_lines: usize,
    began: usize,
}

/// Sums over prefixes that give the least-squares line of any run of points at once.
struct Sums(Vec<[f64; 6]>);

/// A line through a run of points.
#[derive(Clone, Copy, Debug)]
struct Line {
    mean_x: f64,
    mean_y: f64,
    slope: f64,
    // The squares it leaves, and those of x about its mean.
    rest: f64,
    spread: f64,
    n: f64,
}

impl Sums {
    /// Both should be about the size of one, or differences of sums lose their digits.
    fn of(xs: &[f64], ys: &[f64]) -> Sums {
        let mut sums = vec![[0.0; 6]];
        for (&x, &y) in xs.iter().zip(ys) {
            let mut next = sums[sums.len() - 1];
            for (sum, term) in next.iter_mut().zip([1.0, x, x * x, y, x * y, y * y]) {
                *sum += term;
            }
            sums.push(next);
        }
        Sums(sums)
    }

    fn line(&self, from: usize, to: usize) -> Line {
        let [n, x, xx, y, xy, yy]: [f64; 6] = std::array::from_fn(|idx| self.0[to][idx] - self.0[from][idx]);
        let (spread, along, power) = (xx - x * x / n, xy - x * y / n, yy - y * y / n);
        let slope = if spread > 0.0 { along / spread } else { 0.0 };
        Line { mean_x: x / n, mean_y: y / n, slope, rest: (power - slope * along).max(0.0), spread, n }
    }
}

/// Where lines begin, 0 first: the least sum of what the lines leave and `price` for each.
fn breaks(sums: &Sums, n: usize, least: usize, price: f64) -> Vec<usize> {
    let mut best = vec![f64::INFINITY; n + 1];
    let mut previous = vec![0; n + 1];
    best[0] = 0.0;
    let mut starts = vec![0];
    for end in least..=n {
        let cost = |start: usize| best[start] + sums.line(start, end).rest;
        let mut found = (f64::INFINITY, 0);
        let costs: Vec<f64> = starts.iter().map(|&start| cost(start)).collect();
        for (&start, &cost) in starts.iter().zip(&costs) {
            if cost + price < found.0 {
                found = (cost + price, start);
            }
        }
        (best[end], previous[end]) = found;
        // A start that is dearer than the best by now, the next line's price left out, never comes back.
        let mut kept = costs.iter().map(|cost| *cost <= found.0);
        starts.retain(|_| kept.next().unwrap_or(true));
        if end + 1 >= 2 * least {
            starts.push(end + 1 - least);
        }
    }
    let mut begins = Vec::new();
    let mut at = n;
    while at > 0 {
        at = previous[at];
        begins.push(at);
    }
    begins.reverse();
    begins
}

/// `ys` with spikes replaced by the median around them.
fn calmed(ys: &[f64]) -> Vec<f64> {
    let around = |idx: usize| {
        let window = &ys[idx.saturating_sub(AROUND)..(idx + AROUND + 1).min(ys.len())];
        median(window).unwrap_or(ys[idx])
    };
    let medians: Vec<f64> = (0..ys.len()).map(around).collect();
    let offs: Vec<f64> = ys.iter().zip(&medians).map(|(y, middle)| (y - middle).abs()).collect();
    // The usual distance of those that have one, as the middle of a run is often its own median.
    let away: Vec<f64> = offs.iter().copied().filter(|off| *off > 0.0).collect();
    let bound = SPIKE * 1.4826 * median(&away).unwrap_or(0.0);
    ys.iter().zip(&medians).zip(&offs).map(|((&y, &middle), &off)| if off > bound { middle } else { y }).collect()
}

/// The noise's standard deviation, by the median of second differences, which lines do not have.
fn noise(ys: &[f64]) -> f64 {
    let bends: Vec<f64> = ys.windows(3).map(|w| (w[2] - 2.0 * w[1] + w[0]).abs()).collect();
    let usual = median(&bends).unwrap_or(0.0) / 0.6745 / 6f64.sqrt();
    let reach = ys.iter().fold(0.0f64, |most, y| most.max(y.abs()));
    usual.max(1e-6 * reach)
}

/// The season's profile about a moving mean of one cycle.
fn seasonal(values: &[f64], season: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0)];
    for value in values {
        let (sum, n) = sums[sums.len() - 1];
        sums.push(if value.is_nan() { (sum, n) } else { (sum + value, n + 1.0) });
    }
    let half = season / 2;
    let off = |(idx, value): (usize, &f64)| {
        // Near the ends the whole window is not there, and a part of a cycle is no mean of one.
        let Some(from) = idx.checked_sub(half).filter(|from| from + season <= values.len()) else { return f64::NAN };
        let (a, b) = (sums[from], sums[from + season]);
        value - (b.0 - a.0) / (b.1 - a.1)
    };
    let offs: Vec<f64> = values.iter().enumerate().map(off).collect();
    centred(profile_of(&offs, season))
}

impl Forecaster for PiecewiseLinear {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let scaled = Scaled::of(past, self.season)?;
        let n_cells = scaled.values.len();
        let profile = scaled.season.map_or_else(Vec::new, |season| seasonal(&scaled.values, season));
        let of_place = |idx: usize| if profile.is_empty() { 0.0 } else { profile[idx % profile.len()] };
        let level: Vec<f64> = scaled.values.iter().enumerate().map(|(idx, value)| value - of_place(idx)).collect();
        let (xs, ys) = blocks(&level, 1);
        let ys = calmed(&ys);
        let unit = n_cells as f64;
        let xs: Vec<f64> = xs.into_iter().map(|x| x / unit).collect();
        let sums = Sums::of(&xs, &ys);
        let n = ys.len();
        let per_block = n_cells.div_ceil(n.max(1));
        let least = LEAST_POINTS.max(profile.len().div_ceil(per_block)).min(n.max(1));
        let price = PRICE * noise(&ys).powi(2) * (n as f64).ln();
        let begins = if n < 2 * least { vec![0] } else { breaks(&sums, n, least, price) };
        let from = begins.last().copied().unwrap_or(0);
        let line = sums.line(from, n);
        let doubt = line.rest / (line.n - 2.0).max(1.0) / line.spread.max(f64::MIN_POSITIVE);
        let certain = line.slope * line.slope;
        let slope = if certain > 0.0 { line.slope * certain / (certain + doubt) } else { 0.0 };
        let lasted = ((1.0 - xs[from]) * unit).max(2.0);
        let fitted = FittedPiecewise {
            scale: scaled.scale,
            level: line.mean_y + line.slope * ((unit - 1.0) / unit - line.mean_x),
            slope: slope / unit,
            damping: 1.0 - 1.0 / lasted,
            profile,
            n_cells,
            n_lines: begins.len(),
            began: (xs[from] * unit) as usize,
        };
        let is_finite = fitted.level.is_finite() && fitted.slope.is_finite();
        if is_finite { Ok(Box::new(fitted)) } else { Err(FitError::NotFinite("the last line".to_owned())) }
    }
}

impl Fitted for FittedPiecewise {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        let (mut level, mut slope) = (self.level, self.slope);
        for (ahead, point) in points.iter_mut().enumerate() {
            slope *= self.damping;
            level += slope;
            let idx = self.n_cells + ahead;
            let season = if self.profile.is_empty() { 0.0 } else { self.profile[idx % self.profile.len()] };
            *point = self.scale.undo(level + season);
        }
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let mut settings = BTreeMap::from([
            ("slope", self.slope * self.scale.unit()),
            ("lines", self.n_lines as f64),
            ("last_begins", self.began as f64),
        ]);
        if !self.profile.is_empty() {
            settings.insert("season", self.profile.len() as f64);
        }
        settings
    }

    fn n_bytes(&self) -> usize {
        size_of_val(self.profile.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::forecast::tests::Noise;
    use crate::series::Step;

    fn fit(values: &[f64], season: Option<Season>) -> Box<dyn Fitted> {
        PiecewiseLinear { season }.fit(&Past::new(0, Step::seconds(1), values)).unwrap()
    }

    /// Worked by least squares in numpy.
    #[test]
    fn prefix_sums_give_the_squares_that_lines_leave() {
        let ys = [0.0, 1.0, 2.0, 3.0, 4.0, 10.0, 10.5, 10.0, 9.5, 10.0];
        let xs: Vec<f64> = (0..10).map(f64::from).collect();
        let sums = Sums::of(&xs, &ys);
        assert!((sums.line(0, 10).rest - 26.48788).abs() < 5e-6);
        for (at, before, after) in [(5, 0.0, 0.4), (4, 0.0, 19.3), (6, 11.90476, 0.3)] {
            assert!((sums.line(0, at).rest - before).abs() < 5e-6, "{at}");
            assert!((sums.line(at, 10).rest - after).abs() < 5e-6, "{at}");
        }
        assert_eq!(breaks(&sums, 10, 3, 2.0), [0, 5]);
        assert_eq!(breaks(&sums, 10, 3, 40.0), [0]);
    }

    #[test]
    fn pruning_loses_nothing() {
        let mut noise = Noise::seeded(12);
        for _ in 0..20 {
            let ys = noise.walk(60, 0.9);
            let xs: Vec<f64> = (0..60).map(|i| f64::from(i) / 60.0).collect();
            let sums = Sums::of(&xs, &ys);
            let (least, price) = (4, 3.0);
            // All partitions, by the same recursion without pruning.
            let mut best = vec![f64::INFINITY; 61];
            best[0] = 0.0;
            for end in least..=60 {
                let starts = (0..=end - least).filter(|start| *start == 0 || *start >= least);
                best[end] =
                    starts.map(|start| best[start] + sums.line(start, end).rest + price).fold(f64::MAX, f64::min);
            }
            let begins = breaks(&sums, 60, least, price);
            let ends = begins.iter().skip(1).copied().chain([60]);
            let cost: f64 = begins.iter().zip(ends).map(|(&from, to)| sums.line(from, to).rest + price).sum();
            assert!((cost - best[60]).abs() < 1e-9, "{cost} {}", best[60]);
        }
    }

    #[test]
    fn the_last_course_is_continued_through_spikes_season_and_gaps() {
        let mut noise = Noise::seeded(4);
        let season = [6.0, -1.0, -5.0, 0.0];
        let at = |t: usize| {
            let trend = if t < 240 { 100.0 + 0.5 * t as f64 } else { 180.0 - 0.3 * (t - 240) as f64 };
            trend + season[t % 4]
        };
        let mut values: Vec<f64> = (0..400).map(|t| at(t) + 0.5 * noise.normal()).collect();
        values[50] = 900.0;
        values[333] = -400.0;
        values[370..380].fill(f64::NAN);
        let fitted = fit(&values, Season::new(4));
        let settings = fitted.settings();
        assert!((2.0..=3.0).contains(&settings["lines"]), "{settings:?}");
        assert!(
            (settings["last_begins"] - 240.0).abs() <= 3.0 && (settings["slope"] + 0.3).abs() < 0.01,
            "{settings:?}"
        );
        for (ahead, point) in fitted.points(Horizon::new(20).unwrap()).into_iter().enumerate() {
            assert!((point - at(400 + ahead)).abs() < 1.5, "{ahead}: {point} {}", at(400 + ahead));
        }
    }
}
