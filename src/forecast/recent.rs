//! The last values of a series, kept once for the members of a pool that go on from them.
//!
//! In: values without gaps. Out: the value so many steps before the next. A gap that comes is bridged by what the pool
//! expected, rather than by what each member did.

use std::sync::Arc;

use parking_lot::RwLock;

use super::compact::{FINE, Kept};

/// A value so many times as far from where it was expected as the series reaches is no value of this series.
const WILDEST: f64 = 1e3;

/// Larger ones are not kept in single precision.
const LARGEST: f64 = 1e30;

/// Read by members, written by the pool that has them. Never both at once, so that nobody waits.
pub type Shared = Arc<RwLock<Recent>>;

/// The last values, in the unit of the series.
#[derive(Clone, Debug)]
pub struct Recent {
    values: Kept,
    oldest: usize,
    // How far off a value may be.
    most_off: f64,
}

impl Recent {
    /// `values`, the latest last, kept as well as forecasts need that are off by `tolerance`; `None` of none, or of what
    /// is too large.
    pub fn shared(values: &[f64], tolerance: f64) -> Option<Shared> {
        let (least, most) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        if values.is_empty() || !(least >= -LARGEST && most <= LARGEST) {
            return None;
        }
        let reach = (most - least).max(tolerance);
        let most_off = if reach > 0.0 { WILDEST * reach } else { LARGEST };
        let mut values = Kept::whole(values);
        values.coarsen(FINE * tolerance);
        Some(Arc::new(RwLock::new(Recent { values, oldest: 0, most_off })))
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// The value `lag` steps before the next; `lag` is 1 up to the length.
    pub fn get(&self, lag: usize) -> f64 {
        let len = self.values.len();
        self.values.get((self.oldest + len - lag) % len)
    }

    /// Moves on by one step at which `value` was seen; where it is a gap, or no value of this series, `expected` stands
    /// in for it.
    pub fn take(&mut self, value: f64, expected: f64) {
        let is_of_series = (value - expected).abs() <= self.most_off;
        self.values.set(self.oldest, if is_of_series { value } else { expected });
        self.oldest = (self.oldest + 1) % self.values.len();
    }

    /// What it holds, itself too, in bytes.
    pub fn n_bytes(&self) -> usize {
        // An `Arc` has two counts beside.
        size_of::<RwLock<Recent>>() + 2 * size_of::<usize>() + self.values.n_bytes()
    }
}
