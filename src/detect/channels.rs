//! Channels: is any one column odd by itself, or are many a little?
//!
//! In: standardised rows. Out: the largest deviation against the largest that is usual, or the sum of the deviations
//! against the sum that is usual, whichever says more; a column's blame is its deviation.
//! It knows nothing of how columns go together; `pca` does. It finds single faults, and is hard to fool.

use ndarray::Array2;

use super::matrix::MatrixDetector;
use super::registry::Settings;
use super::rows::{RowModel, Scheduled};
use super::tail::tail_quantile;

/// The share of rows that may be above the limit.
const PROBABILITY: f64 = 2e-5;
/// Deviations up to here are nothing, and do not add up.
const NOTHING: f64 = 1.5;

/// Builds the method.
pub(super) fn build(_settings: &Settings) -> Box<dyn MatrixDetector> {
    Box::new(Scheduled::<Channels>::detector())
}

/// Per column how far it usually goes, and how much all together.
#[derive(Debug)]
pub(super) struct Channels {
    limits: Vec<f64>,
    sum_limit: f64,
}

impl RowModel for Channels {
    fn fit(rows: &Array2<f64>) -> Option<Channels> {
        let (n, n_columns) = rows.dim();
        let caution = 1.0 + 20.0 / n as f64;
        // Each column may cross its limit less often, the more columns there are.
        let each = PROBABILITY / n_columns.max(1) as f64;
        let limit = |values: Vec<f64>, probability| {
            let mut sorted = values;
            sorted.sort_unstable_by(f64::total_cmp);
            tail_quantile(&sorted, probability).map(|limit| limit * caution)
        };
        let limits: Option<Vec<f64>> =
            rows.columns().into_iter().map(|column| limit(column.iter().map(|z| z.abs()).collect(), each)).collect();
        let sums = rows.outer_iter().map(|row| row.iter().map(|&z| part(z)).sum::<f64>().sqrt()).collect();
        Some(Channels { limits: limits?, sum_limit: limit(sums, PROBABILITY)? })
    }

    fn judge(&self, row: &[f64], blame: &mut Vec<f64>) -> f64 {
        blame.clear();
        blame.extend(row.iter().map(|&z| part(z)));
        let sum = blame.iter().sum::<f64>().sqrt();
        let broad = if self.sum_limit > 0.0 { sum / self.sum_limit } else { 0.0 };
        let single = row.iter().zip(&self.limits).map(|(&z, &limit)| if limit > 0.0 { z.abs() / limit } else { 0.0 });
        single.fold(broad, f64::max)
    }
}

fn part(z: f64) -> f64 {
    (z.abs() - NOTHING).max(0.0).powi(2)
}
