//! The two traits every detection method implements, and the score they answer with.

use std::fmt::Debug;

use crate::series::{History, Sample};

/// How odd a sample is, and against what.
///
/// The same for every method: 0 at the expected value, 1 at the edge of the band, above 1 anomalous and growing with
/// the overshoot; always finite and never negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The score.
    pub value: f64,
    /// What was expected, in the metric's unit, when the method has an expectation.
    pub expected: Option<f64>,
    /// The band's lower edge, when the method has a band.
    pub lower: Option<f64>,
    /// The band's upper edge, when the method has a band.
    pub upper: Option<f64>,
}

/// Why a detector could not start.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StartError {
    /// The detector is not told what it must be told.
    #[error("the detector needs {0}")]
    Missing(&'static str),
    /// A setting outside its range.
    #[error("the detector's setting {name} is {got}, and must be {expected}")]
    BadSetting {
        /// Which setting.
        name: &'static str,
        /// Its value.
        got: f64,
        /// What it may be.
        expected: &'static str,
    },
}

/// A method with its settings: a value that starts scorers.
///
/// # For implementers
/// `start` feeds the warm-up through the scorer and drops the scores, so that starting on the first half of a series
/// and scoring the rest equals scoring all of it from nothing: the same scores, bit for bit.
pub trait Detector: Send + Sync {
    /// A scorer that has seen `warmup`, which may be empty.
    ///
    /// # Errors
    /// [`StartError`] when the settings do not hold together; never because of the warm-up's values.
    fn start(&self, warmup: &History) -> Result<Box<dyn Scorer>, StartError>;
}

/// Walks forward along one series, one sample at a time.
///
/// # For implementers
/// A score depends on this sample and earlier ones only. No panic on any `f64` or timestamp. The degenerate-series
/// contract in this room's module docs holds.
pub trait Scorer: Send + Debug {
    /// Scores the sample, then learns from it; `None` while there is too little to go by, for a value that is not
    /// finite, and for a timestamp not after the last.
    fn score(&mut self, sample: Sample) -> Option<Score>;
}
