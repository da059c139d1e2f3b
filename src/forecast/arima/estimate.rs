//! The weights with the least sum of squared errors, given that nothing was odd before the first value.
//!
//! Gauss and Newton's steps, damped a little as Levenberg and Marquardt have it, and shortened until they help; the errors' slopes are differences of two walks. A walk is one pass
//! over the values. A gap has no error, and what was expected stands in for it.

use super::polynomial::{Orders, Weights};
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

/// Scratch for a walk: values less the mean and errors, each after as many zeros as the weights reach back.
#[derive(Debug, Default)]
struct Walk {
    centred: Vec<f64>,
    errors: Vec<f64>,
}

impl Errors<'_> {
    /// Walks over the values; writes each error to `errors`, 0 at a gap.
    fn walk(&self, weights: &Weights, walk: &mut Walk, errors: &mut Vec<f64>) {
        let reach = weights.reaches().0.max(weights.reaches().1);
        let n = self.values.len();
        walk.centred.clear();
        walk.centred.resize(reach, 0.0);
        walk.centred.extend(self.values.iter().map(|value| value - weights.mean));
        walk.errors.clear();
        walk.errors.resize(reach + n, 0.0);
        for t in reach..reach + n {
            let mut expected = 0.0;
            for &(lag, weight) in &weights.on_values {
                expected += weight * walk.centred[t - lag];
            }
            for &(lag, weight) in &weights.on_errors {
                expected += weight * walk.errors[t - lag];
            }
            if walk.centred[t].is_nan() {
                walk.centred[t] = expected;
            } else {
                walk.errors[t] = walk.centred[t] - expected;
            }
        }
        errors.clear();
        errors.extend_from_slice(&walk.errors[reach..]);
    }

    /// How many errors count.
    pub fn n_scored(&self) -> usize {
        self.values.iter().skip(self.n_unscored).filter(|value| !value.is_nan()).count()
    }

    fn loss(&self, errors: &[f64]) -> f64 {
        let sum: f64 = errors[self.n_unscored..].iter().map(|error| error * error).sum();
        if sum.is_finite() { sum } else { f64::MAX }
    }

    /// The best parameters from `start` on, in at most `most_steps`, and their sum of squares.
    pub fn minimise(&self, orders: &Orders, start: Vec<f64>, most_steps: usize) -> (Vec<f64>, f64) {
        let k = orders.n_parameters();
        let (mut walk, mut here, mut there) = (Walk::default(), Vec::new(), Vec::new());
        let mut at = start;
        self.walk(&Weights::of(orders, &at, self.steps), &mut walk, &mut here);
        let mut loss = self.loss(&here);
        let mut slopes = vec![Vec::new(); k];
        for _ in 0..if k > 0 { most_steps } else { 0 } {
            for (nr, slope) in slopes.iter_mut().enumerate() {
                let mut nudged = at.clone();
                nudged[nr] += NUDGE;
                self.walk(&Weights::of(orders, &nudged, self.steps), &mut walk, slope);
            }
            let mut normal = Normal::new(k);
            let mut row = vec![0.0; k];
            let mut sizes = vec![0.0; k];
            for (t, error) in here.iter().enumerate().skip(self.n_unscored) {
                for (column, slope) in row.iter_mut().zip(&slopes) {
                    *column = (error - slope[t]) / NUDGE;
                }
                sizes.iter_mut().zip(&row).for_each(|(size, slope)| *size += slope * slope);
                normal.add(&row, *error, 1.0);
            }
            for (nr, size) in sizes.iter().enumerate() {
                row.fill(0.0);
                row[nr] = 1.0;
                normal.add(&row, 0.0, DAMPING * size);
            }
            let Some(solution) = normal.solve() else { break };
            let mut share = 1.0;
            let mut gained = 0.0;
            for _ in 0..MOST_SHORTENED {
                let tried: Vec<f64> = at
                    .iter()
                    .zip(&solution.coefficients)
                    .map(|(at, step)| (at + share * step.clamp(-2.0, 2.0)).clamp(-FARTHEST, FARTHEST))
                    .collect();
                self.walk(&Weights::of(orders, &tried, self.steps), &mut walk, &mut there);
                let found = self.loss(&there);
                if found < loss {
                    gained = (loss - found) / loss;
                    (at, loss) = (tried, found);
                    std::mem::swap(&mut here, &mut there);
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
