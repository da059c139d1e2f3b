//! How odd is it?

mod alarm;
mod anomaly;
mod auto;
mod contract;
mod detector;
mod explain;
mod matrix;
mod registry;
mod static_threshold;
mod watcher;
mod zscore;

pub use alarm::{Alarm, AlarmSettings, Transition};
pub use anomaly::{Anomaly, Kind};
pub use detector::{Detector, Score, Scorer, StartError};
pub use matrix::{MatrixDetector, MatrixScorer, RowScore};
pub use registry::{DETECTORS, Entry, MATRIX_DETECTORS, MatrixEntry, Settings, UnknownDetector, find, find_matrix};
pub use watcher::{
    DetectError, Detection, MatrixDetection, MatrixWatcher, Outcome, RowOutcome, Watcher, detect, detect_rows,
};
