//! How odd is it?

mod anomaly;
mod detector;

pub use anomaly::{Anomaly, Kind};
pub use detector::{Detector, Score, Scorer, StartError};
