//! The weights of a recursion, and where it began: those with the least loss of the one-step errors.

use super::{Seasonal, Shape, State, Trend, Weights};
use crate::forecast::optimise::{Bounds, REACH, minimise};
use crate::series::median;

/// Values whose means are multiplied before a logarithm is taken of the product: none of them is below 1e-18.
const MEANS_PER_LOGARITHM: usize = 15;

/// What makes one set of weights better than another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::forecast) enum Loss {
    /// Squares up to the kink, and lines beyond it, so that single spikes do not decide.
    Huber { kink: f64 },
    /// n ln of the sum of squared errors: twice the negative log-likelihood of normal errors, up to a constant.
    Additive,
    /// The same of errors relative to the expected value.
    Relative,
}

impl Loss {
    /// A Huber loss whose kink is at 2.5 standard deviations of an error, judged by the usual change of the values.
    pub fn huber(scaled: &[f64], seasonal: Seasonal) -> Loss {
        Loss::Huber { kink: 2.5 * 1.05 * usual_change(scaled, seasonal.steps()) }
    }
}

/// The usual size of a step (of a cycle's change, with a season), beyond a few times which an error is an outlier.
fn usual_change(scaled: &[f64], lag: usize) -> f64 {
    let changes: Vec<f64> =
        scaled.iter().zip(scaled.iter().skip(lag)).map(|(a, b)| (b - a).abs()).filter(|c| !c.is_nan()).collect();
    let usual = median(&changes).unwrap_or(0.0);
    if usual > 0.0 { usual } else { changes.iter().sum::<f64>() / changes.len().max(1) as f64 }
}

/// Where a search begins.
#[derive(Clone, Copy, Debug)]
pub(in crate::forecast) enum From<'a> {
    /// At the best of a coarse look: the loss has several valleys in alpha.
    Nowhere,
    /// At a point of the box.
    Point(&'a [f64]),
    /// At weights that were the best of a shorter past, which are not far from the best of a longer one.
    Weights(&'a Weights),
}

/// Walks that a search may take for each number that it looks for, and one that begins near its end.
const MOST_EVALUATIONS: usize = 60;
const FEW_EVALUATIONS: usize = 12;

/// Sums over the one-step errors of a walk.
#[derive(Clone, Copy, Debug)]
pub(in crate::forecast) struct Errors {
    n: f64,
    squares: f64,
    relative_squares: f64,
    // The sum of the logarithms of the expected values.
    logs: f64,
}

impl Errors {
    /// The likelihood losses, as [`Loss::Additive`] and [`Loss::Relative`] have them.
    pub fn loss(&self, is_relative: bool) -> f64 {
        if is_relative {
            self.n * self.relative_squares.max(f64::MIN_POSITIVE).ln() + 2.0 * self.logs
        } else {
            self.n * self.squares.max(f64::MIN_POSITIVE).ln()
        }
    }
}

/// Walks `state` over `scaled`. Relative errors mean something only where every expected value is positive; without
/// `HAS_RELATIVE` there are none.
pub(in crate::forecast) fn walk<const HAS_RELATIVE: bool>(
    state: &mut State,
    scaled: &[f64],
    weights: &Weights,
    seasonal: Seasonal,
) -> Errors {
    // A loop for each kind of season, as the loop is where all fits spend their time.
    match seasonal {
        Seasonal::None => walk_as::<HAS_RELATIVE>(state, scaled, weights, Seasonal::None),
        Seasonal::Additive(steps) => walk_as::<HAS_RELATIVE>(state, scaled, weights, Seasonal::Additive(steps)),
        Seasonal::Multiplicative(steps) => {
            walk_as::<HAS_RELATIVE>(state, scaled, weights, Seasonal::Multiplicative(steps))
        }
    }
}

#[inline(always)]
fn walk_as<const HAS_RELATIVE: bool>(
    state: &mut State,
    scaled: &[f64],
    weights: &Weights,
    seasonal: Seasonal,
) -> Errors {
    let mut errors = Errors { n: 0.0, squares: 0.0, relative_squares: 0.0, logs: 0.0 };
    let (mut product, mut n_multiplied) = (1.0, 0);
    for &value in scaled {
        let Some(error) = state.step(value, weights, seasonal) else { continue };
        let expected = value - error;
        errors.n += 1.0;
        errors.squares += error * error;
        if !HAS_RELATIVE {
            continue;
        }
        errors.relative_squares += (error / expected) * (error / expected);
        // An expected value that is not positive makes the logarithm, and with it the loss, no number.
        product *= if expected > 0.0 { expected } else { f64::NAN };
        n_multiplied += 1;
        if n_multiplied == MEANS_PER_LOGARITHM {
            errors.logs += product.ln();
            (product, n_multiplied) = (1.0, 0);
        }
    }
    errors.logs += product.ln();
    if !HAS_RELATIVE {
        errors.relative_squares = f64::NAN;
    }
    errors
}

/// What is searched: which weights, and whether the first level and trend too.
#[derive(Debug)]
pub(in crate::forecast) struct Search<'a> {
    pub shape: Shape,
    pub start: &'a State,
    pub scaled: &'a [f64],
    pub loss: Loss,
    /// Whether the first level and trend are searched too: a wrong start lives on in a slow level.
    pub is_start_searched: bool,
}

impl Search<'_> {
    fn has_trend(&self) -> bool {
        self.shape.trend != Trend::None
    }

    fn has_season(&self) -> bool {
        self.shape.seasonal != Seasonal::None
    }

    /// The box: alpha, beta as a share of alpha, gamma as a share of 1 - alpha, phi, level, trend; without those that
    /// the shape lacks. The shares keep the recursion stable.
    fn bounds(&self) -> Vec<Bounds> {
        let mut bounds = vec![Bounds::new(1e-4, 0.9999, 0.3)];
        if self.has_trend() {
            bounds.push(Bounds::new(1e-4, 1.0, 0.1));
        }
        if self.has_season() {
            bounds.push(Bounds::new(1e-4, 1.0, 0.1));
        }
        if let Trend::Damped { least, most } = self.shape.trend {
            bounds.push(Bounds::new(least, most, least + 0.9 * (most - least)));
        }
        if self.is_start_searched {
            let State { level, trend, .. } = *self.start;
            bounds.push(Bounds::new(level - 1.0, level + 1.0, level));
            if self.has_trend() {
                bounds.push(Bounds::new(trend - 0.1, trend + 0.1, trend));
            }
        }
        bounds
    }

    fn unpack(&self, at: &[f64]) -> (Weights, f64, f64) {
        let mut at = at.iter().copied();
        let mut next = |has: bool, otherwise: f64| if has { at.next().unwrap_or(otherwise) } else { otherwise };
        let alpha = next(true, 0.3);
        let beta = alpha * next(self.has_trend(), 0.0);
        let gamma = (1.0 - alpha) * next(self.has_season(), 0.0);
        let is_damped = matches!(self.shape.trend, Trend::Damped { .. });
        let phi = next(is_damped, if self.has_trend() { 1.0 } else { 0.0 });
        let level = next(self.is_start_searched, self.start.level);
        let trend = next(self.is_start_searched && self.has_trend(), self.start.trend);
        (Weights { alpha, beta, gamma, phi }, level, trend)
    }

    /// Evaluates `visit` at weights of a coarse grid, each with a walk from the start.
    pub fn scan(&self, mut visit: impl FnMut(&[f64], Errors)) {
        let mut at: Vec<f64> = self.bounds().iter().map(|bound| bound.start).collect();
        let mut state = self.start.clone();
        let slow_and_fast: &[f64] = if self.has_season() { &[0.05, 0.4] } else { &[0.1] };
        for alpha in [0.02, 0.15, 0.45, 0.85] {
            for &share in slow_and_fast {
                at[0] = alpha;
                if self.has_season() {
                    at[1 + usize::from(self.has_trend())] = share;
                }
                let errors = self.walk_from::<true>(&mut state, &at);
                visit(&at, errors);
            }
        }
    }

    fn walk_from<const HAS_RELATIVE: bool>(&self, state: &mut State, at: &[f64]) -> Errors {
        let (weights, level, trend) = self.unpack(at);
        self.rewind(state, level, trend);
        walk::<HAS_RELATIVE>(state, self.scaled, &weights, self.shape.seasonal)
    }

    fn rewind(&self, state: &mut State, level: f64, trend: f64) {
        (state.level, state.trend, state.next) = (level, trend, 0);
        state.season.copy_from_slice(&self.start.season);
    }

    /// The loss at a point of the box; `state` is scratch.
    fn loss_at(&self, state: &mut State, at: &[f64]) -> f64 {
        let kink = match self.loss {
            Loss::Huber { kink } => kink,
            Loss::Additive => return self.walk_from::<false>(state, at).loss(false),
            Loss::Relative => return self.walk_from::<true>(state, at).loss(true),
        };
        let (weights, level, trend) = self.unpack(at);
        self.rewind(state, level, trend);
        let mut sum = 0.0;
        for &value in self.scaled {
            if let Some(error) = state.step(value, &weights, self.shape.seasonal) {
                let size = error.abs();
                sum += if size <= kink { 0.5 * size * size } else { kink * (size - 0.5 * kink) };
            }
        }
        sum
    }

    /// The point of the box where `weights` stand, with the first level and trend of the start.
    fn point_of(&self, weights: &Weights) -> Vec<f64> {
        let Weights { alpha, beta, gamma, phi } = *weights;
        let is_damped = matches!(self.shape.trend, Trend::Damped { .. });
        let State { level, trend, .. } = *self.start;
        [
            (true, alpha),
            (self.has_trend(), beta / alpha),
            (self.has_season(), gamma / (1.0 - alpha)),
            (is_damped, phi),
            (self.is_start_searched, level),
            (self.is_start_searched && self.has_trend(), trend),
        ]
        .into_iter()
        .filter_map(|(has, at)| has.then_some(at))
        .collect()
    }

    /// The best weights, the state before the first value, and the loss.
    pub fn run(&self, from: From<'_>) -> (Weights, State, f64) {
        let mut bounds = self.bounds();
        let mut state = self.start.clone();
        let mut loss = |at: &[f64]| self.loss_at(&mut state, at);
        let start_at = |bounds: &mut [Bounds], at: &[f64]| {
            bounds.iter_mut().zip(at).for_each(|(bound, at)| bound.start = at.clamp(bound.least, bound.most));
        };
        let (reach, most) = match from {
            From::Point(at) => {
                start_at(&mut bounds, at);
                (REACH, MOST_EVALUATIONS)
            }
            From::Weights(weights) => {
                start_at(&mut bounds, &self.point_of(weights));
                (REACH / 4.0, FEW_EVALUATIONS)
            }
            From::Nowhere => {
                let mut best = (f64::INFINITY, 0.3);
                for alpha in [0.02, 0.1, 0.3, 0.6, 0.9] {
                    bounds[0].start = alpha;
                    let at: Vec<f64> = bounds.iter().map(|bound| bound.start).collect();
                    let found = loss(&at);
                    if found < best.0 {
                        best = (found, alpha);
                    }
                }
                bounds[0].start = best.1;
                (REACH, MOST_EVALUATIONS)
            }
        };
        let found = minimise(&bounds, reach, most * bounds.len(), &mut loss);
        let least = loss(&found);
        let (weights, level, trend) = self.unpack(&found);
        (weights, State { level, trend, ..self.start.clone() }, least)
    }
}
