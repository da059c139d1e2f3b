//! The two traits every forecasting method implements, and the checked numbers they take.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::num::NonZeroUsize;

use crate::series::History;

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

/// Whether a fitted model took a new value in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// It did, and now agrees with a fit to the longer history with the same settings.
    InPlace,
    /// It cannot; fit again. The model is unchanged.
    NeedsRefit,
}

/// A method with its settings: a value that can be fitted to histories.
///
/// # For implementers
/// `fit` must not panic on any history: empty, all gaps, constant, huge or tiny values. It reads the history alone;
/// the same history gives the same fit, bit for bit. It takes time linear in the history's length, up to a logarithm.
pub trait Forecaster: Send + Sync {
    /// Fits the method to `history`.
    ///
    /// # Errors
    /// [`FitError`] when the history does not carry the method.
    fn fit(&self, history: &History) -> Result<Box<dyn Fitted>, FitError>;
}

/// A fitted method that can look ahead.
///
/// # For implementers
/// Points start one step after the last value seen, are always finite, and a longer horizon only appends.
pub trait Fitted: Send + Sync + Debug {
    /// The expected values at the next `horizon` steps.
    fn points(&self, horizon: Horizon) -> Vec<f64>;

    /// Takes in the value at the next step; NaN is a gap.
    fn update(&mut self, value: f64) -> Updated {
        let _ = value;
        Updated::NeedsRefit
    }

    /// What was estimated or chosen, by name: `alpha`, `season`, `slope`.
    fn settings(&self) -> BTreeMap<&'static str, f64>;
}
