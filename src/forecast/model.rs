//! The two traits every forecasting method implements, and the checked numbers they take.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::num::NonZeroUsize;

use super::past::{Past, Regressors};
use super::recent::Shared;

/// How many steps ahead, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Horizon(NonZeroUsize);

impl Horizon {
    /// `steps` ahead; `None` for zero.
    pub const fn new(steps: usize) -> Option<Horizon> {
        match NonZeroUsize::new(steps) {
            Some(steps) => Some(Horizon(steps)),
            None => None,
        }
    }

    /// How many steps, at least one.
    pub const fn steps(self) -> usize {
        self.0.get()
    }
}

/// The share of future values that a band promises to hold, above 0 and below 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Coverage(f64);

impl Coverage {
    /// 95 %.
    pub const P95: Coverage = Coverage(0.95);

    /// `share` as a coverage; `None` outside (0, 1).
    pub fn new(share: f64) -> Option<Coverage> {
        (share > 0.0 && share < 1.0).then_some(Coverage(share))
    }

    /// The share, above 0 and below 1.
    pub const fn share(self) -> f64 {
        self.0
    }
}

/// Why a method could not be fitted to a history.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// Too few values.
    #[error("the method needs {needed} values, the history has {got}; record longer or choose a simpler model")]
    TooShort {
        /// The least number of values, gaps not counted.
        needed: usize,
        /// How many the history has.
        got: usize,
    },
    /// A seasonal method, and no season.
    #[error("the method needs a season, and none is given or found; set one with --season")]
    NoSeason,
    /// A multiplicative method on values that are not positive.
    #[error("the method needs positive values; the smallest is {smallest}")]
    NotPositive {
        /// The smallest value.
        smallest: f64,
    },
    /// The numbers did not work out.
    #[error("the fit did not give finite numbers: {0}")]
    NotFinite(String),
}

/// What a fitted model did with a new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// It took it in and now agrees with a fit to the longer history.
    Exact,
    /// It took it in by its recursion; what was estimated or chosen stays that of the last fit.
    Filtered,
    /// It cannot; fit again. The model is unchanged.
    NeedsRefit,
}

/// A method with its settings: a value that can be fitted to histories.
///
/// # For implementers
/// `fit` must not panic on any past: empty, all gaps, constant, huge or tiny values. It reads the past alone, and of
/// the columns known beforehand what it likes; the same past gives the same fit, bit for bit. It takes time linear in
/// the past's length, up to a logarithm. It need not keep points within the metric's range: that is done around it.
pub trait Forecaster: Send + Sync {
    /// Fits the method to `past`.
    ///
    /// # Errors
    /// [`FitError`] when the past does not carry the method.
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError>;
}

impl<F: Forecaster + ?Sized> Forecaster for Box<F> {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        (**self).fit(past)
    }
}

/// Where a step may go instead of where it is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Other {
    /// The least and the greatest of it.
    pub lower: f64,
    /// At least `lower`.
    pub upper: f64,
    /// The chance that it does, 0 to 1.
    pub chance: f64,
}

/// A fitted method that can look ahead.
///
/// # For implementers
/// Points start one step after the last value seen, are always finite, and a longer horizon only appends. What is
/// known beforehand comes in from outside, from the next step on, so that the same model answers what would be if.
pub trait Fitted: Send + Sync + Debug {
    /// Writes the expected values of the next steps, as many as `points` holds.
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]);

    /// Takes in the value at the next step; NaN is a gap. The first row of `known` belongs to that step.
    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        let _ = (value, known);
        Updated::NeedsRefit
    }

    /// The same model with its numbers estimated anew on a longer `past`, its own being where the search begins: close
    /// to what a fit would find, without the search for which model it should be. `None` where a fit is cheap, or this
    /// does not work out.
    fn fitted_again(&self, past: &Past<'_>) -> Option<Box<dyn Fitted>> {
        let _ = past;
        None
    }

    /// Writes the values of the next steps below which `share` of what may come lies, where the method itself knows:
    /// otherwise false, and `points` are as they were.
    fn quantile_into(&self, share: f64, known: Regressors<'_>, points: &mut [f64]) -> bool {
        let _ = (share, known, points);
        false
    }

    /// Where each of the next `n` steps may go instead; empty where the method knows of nothing.
    fn others(&self, known: Regressors<'_>, n: usize) -> Vec<Other> {
        let _ = (known, n);
        Vec::new()
    }

    /// What was estimated or chosen, by name: `alpha`, `season`, `slope`.
    fn settings(&self) -> BTreeMap<&'static str, f64>;

    /// Makes it smaller where that moves points by a small share of `tolerance` only, in the unit of the values. It
    /// need know no quantiles from then on, and values taken in may move it in a simpler way.
    fn thin(&mut self, tolerance: f64) {
        let _ = tolerance;
    }

    /// The last values it keeps to go on from, gaps bridged, the latest last: what the members of a pool can keep
    /// together. Empty where it keeps none.
    fn recent(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Reads them from `recent` from now on, where that goes back as far. Who has them takes in each value after this.
    fn lean_on(&mut self, recent: &Shared) {
        let _ = recent;
    }

    /// What the model holds on the heap, in bytes: what bounds how many are kept.
    fn n_bytes(&self) -> usize {
        0
    }

    /// The expected values at the next `horizon` steps, where nothing is known beforehand.
    fn points(&self, horizon: Horizon) -> Vec<f64> {
        let mut points = vec![0.0; horizon.steps()];
        self.points_into(Regressors::NONE, &mut points);
        points
    }
}
