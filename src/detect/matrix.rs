//! Several columns that belong to one entity, judged together, row by row.
//!
//! In: rows of a matrix in time order, one column per metric of the entity.
//! Out: one score per row on the same contract as a single series' [`Score`](super::Score), and how much of it each
//! column is to blame for.

use std::fmt::Debug;

use ndarray::ArrayView2;

use super::detector::StartError;
use crate::series::Millis;

/// How odd a row is, and which columns made it so.
#[derive(Clone, Debug, PartialEq)]
pub struct RowScore {
    /// 0 expected, 1 the edge, above 1 anomalous; finite and never negative.
    pub value: f64,
    /// One share per column, none negative, together 1.
    pub blame: Vec<f64>,
}

/// A method for matrices with its settings: a value that starts scorers.
///
/// # For implementers
/// As with [`Detector`](super::Detector): starting on the first rows and scoring the rest gives what scoring all of
/// them gives, bit for bit. The number of columns is that of the first row seen.
pub trait MatrixDetector: Send + Sync {
    /// A scorer that has seen the rows of `warmup`, which may be empty.
    ///
    /// # Errors
    /// [`StartError`] when the settings do not hold together; never because of the warm-up's values.
    fn start(&self, warmup: ArrayView2<'_, f64>) -> Result<Box<dyn MatrixScorer>, StartError>;
}

/// Walks forward along a matrix, one row at a time.
///
/// # For implementers
/// A score depends on this row and earlier ones only. No panic on any `f64`, timestamp or row length.
pub trait MatrixScorer: Send + Debug {
    /// Scores the row, then learns from it; `None` while there are too few rows to go by, for a row with nothing
    /// finite, for a row of another width than the first, and for a timestamp not after the last. A value that is not
    /// finite counts as missing and takes no blame.
    fn score(&mut self, at: Millis, row: &[f64]) -> Option<RowScore>;
}
