//! The isolation forest on a matrix: rows are points.
//!
//! In: standardised rows. Out: as for one series: isolation among the training rows, plus how far the row lies beyond
//! all of them, and per column its share of both.

use linfa::traits::Fit;
use linfa::{DatasetBase, ParamGuard};
use ndarray::Array2;

use super::super::matrix::MatrixDetector;
use super::super::registry::Settings;
use super::super::rows::{RowModel, Scheduled};
use super::IsolationForest;
use super::series::overshoot;
use crate::series::quantile_sorted;

/// Where the most isolated training row stands on the score.
const ISOLATED: f64 = 0.85;

/// Builds the method.
pub(in crate::detect) fn build(_settings: &Settings) -> Box<dyn MatrixDetector> {
    Box::new(Scheduled::<RowForest>::detector())
}

/// A forest over rows, with what its training rows scored.
#[derive(Debug)]
struct RowForest {
    forest: IsolationForest,
    usual: f64,
    isolated: f64,
    bounds: Vec<(f64, f64)>,
    /// With more columns and fewer rows, something is beyond the bounds more often.
    caution: f64,
}

impl RowModel for RowForest {
    fn fit(rows: &Array2<f64>) -> Option<RowForest> {
        let params = IsolationForest::params().check().ok()?;
        let forest = params.fit(&DatasetBase::from(rows.view())).ok()?;
        let mut scores: Vec<f64> = rows.outer_iter().map(|row| forest.score(&row.to_vec())).collect();
        scores.sort_unstable_by(f64::total_cmp);
        let bounds = rows
            .columns()
            .into_iter()
            .map(|column| column.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |b, &v| (b.0.min(v), b.1.max(v))))
            .collect();
        let (n, n_columns) = rows.dim();
        let caution = 1.0 + 80.0 / n as f64 + 0.2 * (n_columns as f64).ln();
        let at_share = |share| quantile_sorted(&scores, share);
        Some(RowForest { usual: at_share(0.5)?, isolated: at_share(1.0)?, forest, bounds, caution })
    }

    fn judge(&self, row: &[f64], blame: &mut Vec<f64>) -> f64 {
        let raw = self.forest.score_with_blame(row, blame);
        let span = self.isolated - self.usual;
        let isolated = if span > 0.0 { (ISOLATED * (raw - self.usual) / span).max(0.0) } else { 0.0 };
        let mut worst = 0.0_f64;
        for ((share, &value), &bound) in blame.iter_mut().zip(row).zip(&self.bounds) {
            let beyond = overshoot(value, bound) / self.caution;
            *share = *share * isolated + beyond;
            worst = worst.max(beyond);
        }
        isolated + worst
    }
}
