//! The weights with the least sum of squared errors, given that nothing was odd before the first value.
//!
//! Gauss and Newton's steps, damped a little as Levenberg and Marquardt have it, and shortened until they help; the
//! errors' slopes are differences of two walks. A walk is one pass over the values. A gap has no error, and what was
//! expected stands in for it.

use super::polynomial::{Orders, Terms, Weights};
use crate::forecast::least_squares::Normal;

/// How much a parameter is moved to find a slope.
const NUDGE: f64 = 1e-5;

/// Parameters stay within this, where a partial autocorrelation is within 1e-3 of its bound.
const FARTHEST: f64 = 25.0;

/// The damping, as a share of each slope's sum of squares: what tells apart parameters that do nearly the same.
const DAMPING: f64 = 1e-3;

/// A step that takes off less than this share of the loss is the last.
const LEAST_GAIN: f64 = 1e-5;

/// What is kept of a step that did not help, and how often.
const SHORTER: f64 = 0.35;
const MOST_SHORTENED: usize = 4;

/// Values to be explained, and from which on errors count.
#[derive(Debug)]
pub(super) struct Errors<'a> {
    pub values: &'a [f64],
    pub steps: usize,
    pub n_unscored: usize,
}

/// Walks that go side by side: each waits for its own last error, so that four cost little more than one.
const ABREAST: usize = 4;

/// Scratch for `N` walks side by side: values less the mean and errors, each after as many zeros as the weights reach
/// back; and weights at their lags, which all walks have in common.
#[derive(Debug)]
struct Walk<const N: usize> {
    weights: [Weights; N],
    on_values: Vec<(usize, [f64; N])>,
    on_errors: Vec<(usize, [f64; N])>,
    centred: Vec<[f64; N]>,
    errors: Vec<[f64; N]>,
    reach: usize,
    nudged: Vec<f64>,
}

impl<const N: usize> Default for Walk<N> {
    fn default() -> Walk<N> {
        Walk {
            weights: std::array::from_fn(|_| Weights::default()),
            on_values: Vec::new(),
            on_errors: Vec::new(),
            centred: Vec::new(),
            errors: Vec::new(),
            reach: 0,
            nudged: Vec::new(),
        }
    }
}

impl<const N: usize> Walk<N> {
    /// Walks over `values` with the weights of models of the same orders; a gap's error is 0.
    fn over(&mut self, values: &[f64]) {
        let lanes = |lanes: &mut Vec<(usize, [f64; N])>, terms: fn(&Weights) -> &Terms| {
            lanes.clear();
            let lags = terms(&self.weights[0]).iter().map(|term| term.0).enumerate();
            lanes.extend(lags.map(|(nr, lag)| (lag, self.weights.each_ref().map(|weights| terms(weights)[nr].1))));
        };
        lanes(&mut self.on_values, |weights| &weights.on_values);
        lanes(&mut self.on_errors, |weights| &weights.on_errors);
        let means = self.weights.each_ref().map(|weights| weights.mean);
        self.reach = self.weights[0].reaches().0.max(self.weights[0].reaches().1);
        self.centred.clear();
        self.centred.resize(self.reach + values.len(), [0.0; N]);
        self.errors.clear();
        self.errors.resize(self.reach + values.len(), [0.0; N]);
        for (t, &value) in (self.reach..).zip(values) {
            let mut expected = [0.0; N];
            for (terms, numbers) in [(&self.on_values, &self.centred), (&self.on_errors, &self.errors)] {
                for (lag, weights) in terms {
                    let earlier = &numbers[t - lag];
                    for lane in 0..N {
                        expected[lane] += weights[lane] * earlier[lane];
                    }
                }
            }
            if value.is_nan() {
                self.centred[t] = expected;
            } else {
                let centred = means.map(|mean| value - mean);
                self.centred[t] = centred;
                self.errors[t] = std::array::from_fn(|lane| centred[lane] - expected[lane]);
            }
        }
    }

    /// The errors of the last walks.
    fn errors(&self) -> &[[f64; N]] {
        &self.errors[self.reach..]
    }

    /// Adds to `slopes` by how much each of `N` parameters from `first` on takes off the errors `here` when moved from
    /// where it is `at`.
    fn add_slopes(
        &mut self,
        errors: &Errors<'_>,
        orders: &Orders,
        at: &[f64],
        first: usize,
        here: &[f64],
        slopes: &mut Vec<f64>,
    ) {
        let n_lanes = N.min(at.len() - first);
        for (lane, weights) in self.weights.iter_mut().enumerate() {
            self.nudged.clear();
            self.nudged.extend_from_slice(at);
            // Lanes that are left over walk like the last.
            self.nudged[first + lane.min(n_lanes - 1)] += NUDGE;
            weights.set(orders, &self.nudged, errors.steps);
        }
        self.over(errors.values);
        let there = &self.errors()[errors.n_unscored..];
        for lane in 0..n_lanes {
            slopes.extend(here.iter().zip(there).map(|(here, there)| (here - there[lane]) * (1.0 / NUDGE)));
        }
    }
}

/// What a search writes to; kept from one to the next, as a fit looks at many models.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    one: Walk<1>,
    two: Walk<2>,
    many: Walk<ABREAST>,
    here: Vec<f64>,
    // By how much each parameter takes off each error that counts, one parameter after the other.
    slopes: Vec<f64>,
}

impl Errors<'_> {
    /// How many errors count.
    pub fn n_scored(&self) -> usize {
        self.values.iter().skip(self.n_unscored).filter(|value| !value.is_nan()).count()
    }

    /// Walks with the parameters `at`; returns the sum of squares.
    fn walk(&self, orders: &Orders, at: &[f64], walk: &mut Walk<1>) -> f64 {
        walk.weights[0].set(orders, at, self.steps);
        walk.over(self.values);
        let sum: f64 = walk.errors()[self.n_unscored..].iter().map(|[error]| error * error).sum();
        if sum.is_finite() { sum } else { f64::MAX }
    }

    /// Writes by how much each parameter takes off the errors when moved from where it is `at`.
    fn find_slopes(&self, orders: &Orders, at: &[f64], scratch: &mut Scratch) {
        let Scratch { two, many, here, slopes, .. } = scratch;
        slopes.clear();
        for first in (0..at.len()).step_by(ABREAST) {
            if at.len() - first > 2 {
                many.add_slopes(self, orders, at, first, here, slopes);
            } else {
                two.add_slopes(self, orders, at, first, here, slopes);
            }
        }
    }

    /// The best parameters from `start` on, in at most `most_steps`, and their sum of squares.
    pub fn minimise(
        &self,
        orders: &Orders,
        start: Vec<f64>,
        most_steps: usize,
        scratch: &mut Scratch,
    ) -> (Vec<f64>, f64) {
        let k = orders.n_parameters();
        let mut at = start;
        let mut loss = self.walk(orders, &at, &mut scratch.one);
        for _ in 0..if k > 0 { most_steps } else { 0 } {
            scratch.here.clear();
            scratch.here.extend(scratch.one.errors()[self.n_unscored..].iter().map(|[error]| error));
            self.find_slopes(orders, &at, scratch);
            let columns = scratch.slopes.chunks_exact(scratch.here.len().max(1));
            let mut normal = Normal::of_columns(columns, &scratch.here, None);
            normal.damp(DAMPING);
            let Some(solution) = normal.solve() else { break };
            let mut share = 1.0;
            let mut gained = 0.0;
            for _ in 0..MOST_SHORTENED {
                let tried: Vec<f64> = at
                    .iter()
                    .zip(&solution.coefficients)
                    .map(|(at, step)| (at + share * step.clamp(-2.0, 2.0)).clamp(-FARTHEST, FARTHEST))
                    .collect();
                let found = self.walk(orders, &tried, &mut scratch.one);
                if found < loss {
                    gained = (loss - found) / loss;
                    (at, loss) = (tried, found);
                    break;
                }
                share *= SHORTER;
            }
            if gained < LEAST_GAIN {
                break;
            }
        }
        (at, loss)
    }
}
