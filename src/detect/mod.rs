//! How odd is it?

mod alarm;
mod anomaly;
mod auto;
mod auto_rows;
mod baseline;
mod channels;
mod contract;
mod detector;
mod explain;
mod iqr;
mod isolation_forest;
mod learned_threshold;
mod matrix;
mod pca;
mod profile;
mod registry;
mod robust_zscore;
mod rows;
mod sorted;
mod static_threshold;
mod tail;
mod watcher;
mod zscore;

pub use alarm::{Alarm, AlarmSettings, Transition};
pub use anomaly::{Anomaly, Kind};
pub use detector::{Detector, Score, Scorer, StartError};
pub use isolation_forest::{ForestError, IsolationForest, IsolationForestParams, IsolationForestValidParams};
pub use matrix::{MatrixDetector, MatrixScorer, RowScore};
pub use registry::{DETECTORS, Entry, MATRIX_DETECTORS, MatrixEntry, Settings, UnknownDetector, find, find_matrix};
pub use watcher::{
    DetectError, Detection, MatrixDetection, MatrixWatcher, Outcome, RowOutcome, Watcher, detect, detect_rows,
};

#[cfg(test)]
mod tests;
