//! Z-score: how many standard deviations from the mean of the last samples?
//!
//! In: the last [`WINDOW`] samples before this one.
//! Out: mean ± [`EDGE`] deviations as the band. Simple and fast; one large outlier widens the band until it leaves the
//! window, which `robust-zscore` avoids.
//! Source: textbook; the moments of the sliding window join by Chan, Golub and LeVeque (1983), and the window is a
//! queue of two stacks, so that nothing is ever subtracted and no digit is lost when a huge value leaves.

use std::collections::VecDeque;

use super::contract::{Made, Method, flat, in_band, widening};
use super::detector::{Detector, Score};
use super::registry::Settings;
use crate::series::Millis;

/// Samples in the window.
const WINDOW: usize = 256;
/// Fewer than these, and a deviation is a guess.
const MIN_SAMPLES: usize = 20;
/// Deviations at the band's edge: 0.6 false crossings in 10,000 samples of Gaussian noise.
const EDGE: f64 = 4.0;

/// Builds the method.
pub(super) fn build(settings: &Settings) -> Box<dyn Detector> {
    Made::detector(settings, |_| Rolling { window: MomentsWindow::new(WINDOW) })
}

#[derive(Debug)]
struct Rolling {
    window: MomentsWindow,
}

impl Method for Rolling {
    fn judge(&mut self, _at: Millis, value: f64) -> Option<Score> {
        let n = self.window.len();
        let score = (n >= MIN_SAMPLES).then(|| match self.window.constant() {
            Some(centre) => {
                Score { value: flat(value, centre), expected: Some(centre), lower: Some(centre), upper: Some(centre) }
            }
            None => {
                let moments = self.window.moments();
                let reach = EDGE * moments.deviation() * widening(n, 10.0);
                in_band(value, moments.mean, reach, reach)
            }
        });
        self.window.push(value);
        score
    }
}

/// Count, mean and squared deviations of some values; joining two gives those of all their values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn of(value: f64) -> Moments {
        Moments { n: 1.0, mean: value, squares: 0.0 }
    }

    fn join(self, other: Moments) -> Moments {
        if self.n == 0.0 {
            return other;
        }
        if other.n == 0.0 {
            return self;
        }
        let n = self.n + other.n;
        let off = other.mean - self.mean;
        Moments {
            n,
            mean: self.mean + off * (other.n / n),
            squares: self.squares + other.squares + off * off * (self.n * other.n / n),
        }
    }

    /// The sample's standard deviation.
    pub(super) fn deviation(self) -> f64 {
        if self.n > 1.0 { (self.squares / (self.n - 1.0)).sqrt() } else { 0.0 }
    }
}

/// The moments of the last `capacity` values in amortised constant time.
#[derive(Debug)]
pub(super) struct MomentsWindow {
    capacity: usize,
    values: VecDeque<f64>,
    /// Moments of the older values, each entry joined with all younger ones in this stack; the oldest value's last.
    older: Vec<Moments>,
    /// Moments of the values that came since the stack was built.
    younger: Moments,
    /// How many of the latest values are the same.
    same: usize,
}

impl MomentsWindow {
    pub(super) fn new(capacity: usize) -> MomentsWindow {
        MomentsWindow { capacity, values: VecDeque::new(), older: Vec::new(), younger: Moments::default(), same: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The value all of the window has, if it has one.
    pub(super) fn constant(&self) -> Option<f64> {
        self.values.back().copied().filter(|_| self.same >= self.values.len())
    }

    pub(super) fn moments(&self) -> Moments {
        self.older.last().copied().unwrap_or_default().join(self.younger)
    }

    pub(super) fn push(&mut self, value: f64) {
        if self.values.len() == self.capacity {
            if self.older.is_empty() {
                let mut joined = Moments::default();
                for &young in self.values.iter().rev() {
                    joined = Moments::of(young).join(joined);
                    self.older.push(joined);
                }
                self.younger = Moments::default();
            }
            self.older.pop();
            self.values.pop_front();
        }
        self.same = if self.values.back() == Some(&value) { self.same + 1 } else { 1 };
        self.values.push_back(value);
        self.younger = self.younger.join(Moments::of(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_has_the_moments_of_its_values() {
        let mut window = MomentsWindow::new(5);
        let values: Vec<f64> = (0..40).map(|i| f64::from((i * 37) % 11)).collect();
        for (idx, &value) in values.iter().enumerate() {
            window.push(value);
            let seen = &values[idx.saturating_sub(4)..=idx];
            let mean = seen.iter().sum::<f64>() / seen.len() as f64;
            let squares: f64 = seen.iter().map(|v| (v - mean) * (v - mean)).sum();
            let moments = window.moments();
            assert!((moments.mean - mean).abs() < 1e-12, "{idx}");
            assert!((moments.squares - squares).abs() < 1e-9, "{idx}");
        }
    }

    #[test]
    fn a_huge_value_leaves_no_trace_once_it_left() {
        let mut window = MomentsWindow::new(4);
        for value in [1e150, 1.0, 2.0, 3.0, 4.0] {
            window.push(value);
        }
        assert_eq!(window.moments().mean, 2.5);
        assert!((window.moments().deviation() - 1.2909944487358056).abs() < 1e-12);
        assert_eq!(window.constant(), None);
    }
}
