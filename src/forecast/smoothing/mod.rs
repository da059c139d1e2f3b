//! The one recursion behind every exponential smoothing method: a level, perhaps a trend, perhaps a season.
//!
//! In: a history. Out: a fitted model that looks ahead and takes in further values in place.
//!
//! With q = level + phi * trend: the level moves by alpha, the trend by beta, the season by gamma towards what a value
//! says of them. This is the error-correction form of Hyndman, Koehler, Ord and Snyder, "Forecasting with Exponential
//! Smoothing", 2008, whose beta is alpha times the classical one. A gap moves the state by its own transition and
//! teaches nothing.
//!
//! Weights minimise a Huber loss of the one-step errors, so that single spikes do not decide them. A long history is
//! cut to its last [`LONGEST`] cells or [`MOST_CYCLES`] cycles first: what lies before has no weight left.

pub(super) mod estimate;
mod start;

use std::collections::BTreeMap;

use super::model::{FitError, Fitted, Updated};
use super::past::{Past, Regressors};
use super::scale::Scale;
use estimate::Loss;
pub(super) use estimate::{From, Search};
pub(super) use start::{line_through, start_of};

/// Cells that a fit looks back on; enough for a level that forgets 0.5 % per step.
pub(super) const LONGEST: usize = 1500;

/// Cycles that a fit looks back on when that is longer.
pub(super) const MOST_CYCLES: usize = 6;

/// A value so many times the reach of the history is no value of this series.
const WILDEST: f64 = 1e100;

/// How the season enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seasonal {
    None,
    Additive(usize),
    Multiplicative(usize),
}

impl Seasonal {
    pub fn steps(self) -> usize {
        match self {
            Seasonal::None => 1,
            Seasonal::Additive(steps) | Seasonal::Multiplicative(steps) => steps,
        }
    }
}

/// How the trend enters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Trend {
    None,
    /// Goes on for ever.
    Straight,
    /// Loses a share of itself at each step; the share is estimated between these.
    Damped {
        least: f64,
        most: f64,
    },
}

/// What the recursion has: the method, without its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub trend: Trend,
    pub seasonal: Seasonal,
}

/// How fast each part learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weights {
    pub alpha: f64,
    pub beta: f64,
    pub gamma: f64,
    pub phi: f64,
}

/// Where the recursion stands: `season[next]` belongs to the coming step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub level: f64,
    pub trend: f64,
    pub season: Vec<f64>,
    pub next: usize,
}

/// Multiplicative seasons divide by the level; it is held off zero, in units of the largest value.
const LEAST_LEVEL: f64 = 1e-9;

impl State {
    /// One step on: the error of the expected value, or `None` at a gap.
    #[inline(always)]
    pub fn step(&mut self, value: f64, weights: &Weights, seasonal: Seasonal) -> Option<f64> {
        let Weights { alpha, beta, gamma, phi } = *weights;
        let drift = phi * self.trend;
        let before = self.level + drift;
        let mut error = None;
        match seasonal {
            Seasonal::None => {
                (self.level, self.trend) = (before, drift);
                if !value.is_nan() {
                    let e = value - before;
                    self.level += alpha * e;
                    self.trend += beta * e;
                    error = Some(e);
                }
            }
            Seasonal::Additive(steps) => {
                (self.level, self.trend) = (before, drift);
                let slot = &mut self.season[self.next];
                if !value.is_nan() {
                    let e = value - before - *slot;
                    self.level += alpha * e;
                    self.trend += beta * e;
                    *slot += gamma * e;
                    error = Some(e);
                }
                self.next = if self.next + 1 == steps { 0 } else { self.next + 1 };
            }
            Seasonal::Multiplicative(steps) => {
                let before = before.max(LEAST_LEVEL);
                (self.level, self.trend) = (before, drift);
                let slot = &mut self.season[self.next];
                if !value.is_nan() {
                    error = Some(value - before * *slot);
                    let surprise = value / slot.max(LEAST_LEVEL) - before;
                    self.level += alpha * surprise;
                    self.trend += beta * surprise;
                    *slot += gamma * (value / before - *slot);
                }
                self.next = if self.next + 1 == steps { 0 } else { self.next + 1 };
            }
        }
        error
    }

    /// The expected values ahead.
    pub fn points_into(&self, points: &mut [f64], phi: f64, seasonal: Seasonal) {
        let (mut level, mut drift, mut next) = (self.level, self.trend, self.next);
        for point in points {
            drift *= phi;
            level += drift;
            let slot = self.season.get(next).copied();
            next = if next + 1 >= self.season.len() { 0 } else { next + 1 };
            *point = match seasonal {
                Seasonal::None => level,
                Seasonal::Additive(_) => level + slot.unwrap_or(0.0),
                Seasonal::Multiplicative(_) => level.max(LEAST_LEVEL) * slot.unwrap_or(1.0),
            };
        }
    }
}

/// A fitted recursion.
#[derive(Clone, Debug)]
pub(super) struct Smoothed {
    shape: Shape,
    weights: Weights,
    state: State,
    scale: Scale,
    // Whether the weights were given, or are the best ones of the values fitted to.
    is_fixed: bool,
}

/// Fits `shape` to `past`, with `fixed` weights or the best ones.
pub(super) fn fit(shape: Shape, fixed: Option<Weights>, past: &Past<'_>) -> Result<Smoothed, FitError> {
    fit_from(From::Nowhere, shape, fixed, past)
}

fn fit_from(from: From<'_>, shape: Shape, fixed: Option<Weights>, past: &Past<'_>) -> Result<Smoothed, FitError> {
    let steps = shape.seasonal.steps();
    // One walk with given weights is cheap, and begins where every longer one begins.
    let longest = if fixed.is_some() { usize::MAX } else { LONGEST.max(MOST_CYCLES * steps) };
    // The phase does not matter, the season starts anew below.
    let (cells, n_values) = past.latest(longest);
    let n_cells = if steps > 1 { cells.len().min(n_values * 2) } else { n_values };
    let needed = match (shape.seasonal, shape.trend) {
        (Seasonal::None, Trend::None) => 2,
        (Seasonal::None, _) => 4,
        _ => 2 * steps,
    };
    if n_cells < needed {
        return Err(FitError::TooShort { needed, got: n_cells });
    }
    let scale = match shape.seasonal {
        Seasonal::Multiplicative(_) => {
            let smallest = cells.iter().copied().filter(|value| !value.is_nan()).fold(f64::INFINITY, f64::min);
            if smallest <= 0.0 {
                return Err(FitError::NotPositive { smallest });
            }
            Scale::uncentred(cells)
        }
        Seasonal::None | Seasonal::Additive(_) => Scale::centred(cells),
    };
    let scaled: Vec<f64> = cells.iter().map(|&value| scale.apply(value)).collect();
    let start = start_of(shape, &scaled);
    let (weights, start) = match fixed {
        Some(weights) => (weights, start),
        None => {
            let (seasonal, loss) = (shape.seasonal, Loss::huber(&scaled, shape.seasonal));
            let search =
                Search { shape, start: &start, scaled: &scaled, loss, is_start_searched: seasonal == Seasonal::None };
            let (weights, start, _) = search.run(from);
            (weights, start)
        }
    };
    Smoothed::walked(shape, weights, start, &scaled, scale, fixed.is_some())
}

impl Smoothed {
    /// Its weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The recursion with these weights from `start`, the state before the first of `scaled`, to their end.
    pub fn walked(
        shape: Shape,
        weights: Weights,
        start: State,
        scaled: &[f64],
        scale: Scale,
        is_fixed: bool,
    ) -> Result<Smoothed, FitError> {
        let mut state = start;
        for &value in scaled {
            state.step(value, &weights, shape.seasonal);
        }
        let all_finite =
            state.level.is_finite() && state.trend.is_finite() && state.season.iter().all(|s| s.is_finite());
        if !all_finite {
            return Err(FitError::NotFinite(format!("the smoothing state left the numbers with {weights:?}")));
        }
        Ok(Smoothed { shape, weights, state, scale, is_fixed })
    }
}

impl Fitted for Smoothed {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        self.state.points_into(points, self.weights.phi, self.shape.seasonal);
        for point in points {
            *point = self.scale.undo(*point);
        }
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        let scaled = self.scale.apply(value);
        // A value absurdly far beyond those of the fit is passed over like a gap, lest the state become infinite.
        let taken = if scaled.abs() < WILDEST { scaled } else { f64::NAN };
        self.state.step(taken, &self.weights, self.shape.seasonal);
        if self.is_fixed { Updated::Exact } else { Updated::Filtered }
    }

    fn fitted_again(&self, past: &Past<'_>) -> Option<Box<dyn Fitted>> {
        let from = From::Weights(&self.weights);
        let again = fit_from(from, self.shape, self.is_fixed.then_some(self.weights), past);
        again.ok().map(|smoothed| Box::new(smoothed) as Box<dyn Fitted>)
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let mut settings = BTreeMap::from([("alpha", self.weights.alpha)]);
        if self.shape.trend != Trend::None {
            settings.insert("beta", self.weights.beta);
            settings.insert("trend", self.state.trend * self.scale.unit());
        }
        if matches!(self.shape.trend, Trend::Damped { .. }) {
            settings.insert("phi", self.weights.phi);
        }
        if self.shape.seasonal != Seasonal::None {
            settings.insert("gamma", self.weights.gamma);
            settings.insert("season", self.shape.seasonal.steps() as f64);
        }
        settings
    }

    fn n_bytes(&self) -> usize {
        size_of_val(self.state.season.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use estimate::walk;

    const S8: [f64; 8] = [10.0, 12.0, 11.0, 14.0, 13.0, 16.0, 15.0, 19.0];

    fn check(seasonal: Seasonal, weights: Weights, mut state: State, expected: (f64, f64), season: &[f64]) {
        for value in S8 {
            state.step(value, &weights, seasonal);
        }
        assert!((state.level - expected.0).abs() < 1e-6, "{state:?}");
        assert!((state.trend - expected.1).abs() < 1e-6, "{state:?}");
        let mut slots = state.season.clone();
        slots.rotate_left(state.next);
        for (slot, expected) in slots.iter().zip(season) {
            assert!((slot - expected).abs() < 1e-6, "{state:?}");
        }
    }

    /// States computed with statsforecast 2.1 for fixed weights and starts.
    #[test]
    fn the_recursion_gives_the_reference_states() {
        let weights = |beta, gamma, phi| Weights { alpha: 0.5, beta, gamma, phi };
        let state = |level, trend, season: &[f64]| State { level, trend, season: season.to_vec(), next: 0 };
        check(Seasonal::None, weights(0.0, 0.0, 0.0), state(10.0, 0.0, &[]), (16.84375, 0.0), &[]);
        check(Seasonal::None, weights(0.1, 0.0, 1.0), state(9.0, 1.0, &[]), (17.804892, 1.159526), &[]);
        check(Seasonal::None, weights(0.1, 0.0, 0.9), state(9.0, 1.0, &[]), (17.466694, 0.878967), &[]);
        let additive = state(9.0, 1.0, &[-0.5, 0.5]);
        check(Seasonal::Additive(2), weights(0.1, 0.2, 1.0), additive, (17.572624, 1.106093), &[-0.80789, 1.020077]);
        let product = state(9.0, 1.0, &[0.95, 1.05]);
        let season = [0.939574, 1.073176];
        check(Seasonal::Multiplicative(2), weights(0.1, 0.2, 1.0), product, (17.432113, 1.079516), &season);
    }

    /// n ln of the sum of squared errors, for relative errors plus twice the logarithms of the means: statsforecast 2.1
    /// for the same weights and starts as above.
    #[test]
    fn likelihoods_are_those_of_the_reference() {
        let check =
            |seasonal, (beta, gamma, phi), (level, trend, season): (f64, f64, &[f64]), is_relative, expected: f64| {
                let mut state = State { level, trend, season: season.to_vec(), next: 0 };
                let weights = Weights { alpha: 0.5, beta, gamma, phi };
                let found: f64 = walk::<true>(&mut state, &S8, &weights, seasonal).loss(is_relative);
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            };
        check(Seasonal::None, (0.0, 0.0, 0.0), (10.0, 0.0, &[]), false, 30.052451);
        check(Seasonal::None, (0.1, 0.0, 1.0), (9.0, 1.0, &[]), false, 22.509734);
        check(Seasonal::None, (0.1, 0.0, 0.9), (9.0, 1.0, &[]), false, 24.212339);
        check(Seasonal::None, (0.1, 0.0, 1.0), (9.0, 1.0, &[]), true, 21.319097);
        check(Seasonal::Additive(2), (0.1, 0.2, 1.0), (9.0, 1.0, &[-0.5, 0.5]), false, 11.696396);
        check(Seasonal::Multiplicative(2), (0.1, 0.2, 1.0), (9.0, 1.0, &[0.95, 1.05]), true, 7.304493);
    }
}
