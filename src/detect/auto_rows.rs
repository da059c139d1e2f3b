//! The default for a matrix: `channels` and `pca`, whichever says more.
//!
//! In: standardised rows. Out: the higher of the two scores with its blame. Both are calibrated to the same rate of
//! false alarms, so the maximum needs no weights; averaging would dilute a fault that only one of them can see.

use ndarray::Array2;

use super::channels::Channels;
use super::matrix::MatrixDetector;
use super::pca::Pca;
use super::registry::Settings;
use super::rows::{RowModel, Scheduled};

/// Builds the method.
pub(super) fn build(_settings: &Settings) -> Box<dyn MatrixDetector> {
    Box::new(Scheduled::<Either>::detector())
}

#[derive(Debug)]
struct Either {
    channels: Channels,
    pca: Option<Pca>,
}

impl RowModel for Either {
    fn fit(rows: &Array2<f64>) -> Option<Either> {
        Some(Either { channels: Channels::fit(rows)?, pca: Pca::fit(rows) })
    }

    fn judge(&self, row: &[f64], blame: &mut Vec<f64>) -> f64 {
        let by_plane = self.pca.as_ref().map(|pca| (pca.judge(row, blame), blame.clone()));
        let by_channel = self.channels.judge(row, blame);
        match by_plane {
            Some((score, parts)) if score > by_channel => {
                *blame = parts;
                score
            }
            _ => by_channel,
        }
    }
}
