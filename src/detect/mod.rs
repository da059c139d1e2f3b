//! How odd is it?
//!
//! In: samples of one series, or rows of several columns, walked forward.
//! Out: a [`Score`] per sample, and from scores, by the one [`Alarm`] stage, anomalies with a [`Kind`] and a sentence.
//! One method per file; [`DETECTORS`] and [`MATRIX_DETECTORS`] are the lists that everything else reads.
//!
//! # The score contract
//!
//! 0 at the expected value, 1 at the edge of the band, above 1 anomalous and growing with the overshoot; finite and
//! never negative. A score depends on its sample and earlier ones only: replay gives what live watching gave, and
//! starting on the first part of a series and scoring the rest gives what scoring all of it gives, bit for bit. Not
//! even the length of a file is looked at: a scorer's first samples are its warm-up, and it learns on from there.
//!
//! # The degenerate-series contract
//!
//! It holds for every registered method, is kept in one place (`contract`, which stands before every method), and is
//! tested over the registries:
//!
//! | input | answer |
//! |---|---|
//! | fewer samples than the method's minimum (20 to 64), a single one among them | no score, never 0 |
//! | never moved, value at the centre | 0 |
//! | never moved, value elsewhere | finite, above 1, growing with the distance |
//! | outside the declared valid range | at least 1.01, from the first sample on, whatever was learned |
//! | NaN, infinite | no score, nothing learned |
//! | timestamp not after the last: duplicate or backwards | no score, nothing learned |
//! | nothing but gaps | no score |
//! | values near zero, near the largest number | as any other; cut at ±1e150 before a method sees them |
//! | a counter that restarts | [`Watcher`] watches its rate, in which a restart is no event |
//! | a row without a finite cell, or of another width | no score |
//! | a missing cell | counts as usual, takes no blame |
//! | a column that never moved | no part in the model; any change is above 1 and that column's blame |
//!
//! `static-threshold` learns nothing, so it scores from the first sample; without a limit or a valid range it does not
//! start, and says so.

mod alarm;
mod anomaly;
mod auto;
mod auto_rows;
mod baseline;
mod bins;
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

pub use alarm::{Alarm, AlarmKinds, AlarmSettings, Transition};
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
