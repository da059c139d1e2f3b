//! Every detector by name: the one list that command line, HTTP, documentation and contract tests read.

use super::detector::Detector;
use super::matrix::MatrixDetector;
use super::{
    auto, auto_rows, channels, iqr, isolation_forest, learned_threshold, pca, robust_zscore, static_threshold, zscore,
};
use crate::series::{MetricSettings, Season, Step};

/// What a registry entry needs to build a detector.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The cycle's length in steps, when it is known; `metric.season` says the same in milliseconds and wins.
    pub season: Option<Season>,
    /// The series' spacing, when it is known; unset, it is learned from the first samples.
    pub step: Option<Step>,
    /// Facts about the metric: its limit, its valid range.
    pub metric: MetricSettings,
}

/// A detector for one series.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The stable name, as written on command lines and in results.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Builds it.
    pub build: fn(&Settings) -> Box<dyn Detector>,
}

/// A detector for several columns together.
#[derive(Clone, Copy, Debug)]
pub struct MatrixEntry {
    /// The stable name, as written on command lines and in results.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Builds it.
    pub build: fn(&Settings) -> Box<dyn MatrixDetector>,
}

/// Every detector for one series, in listing order.
pub const DETECTORS: &[Entry] = &[
    Entry {
        name: "auto",
        summary: "the default: learned level, daily and weekly profile, learned edge; sees spikes, shifts, drifts, unrest",
        build: auto::build,
    },
    Entry { name: "zscore", summary: "deviations from the mean of the last samples", build: zscore::build },
    Entry {
        name: "robust-zscore",
        summary: "median absolute deviations from the median of the last samples",
        build: robust_zscore::build,
    },
    Entry { name: "iqr", summary: "Tukey's outer fences around the quartiles of the last samples", build: iqr::build },
    Entry {
        name: "isolation-forest",
        summary: "how few random cuts isolate a sample's residual, difference and movement",
        build: isolation_forest::build_series,
    },
    Entry {
        name: static_threshold::NAME,
        summary: "the metric's own limit or valid range; learns nothing",
        build: static_threshold::build,
    },
    Entry {
        name: "learned-threshold",
        summary: "the highest and lowest value the series should ever reach, from its tails",
        build: learned_threshold::build,
    },
];

/// Every detector for a matrix, in listing order.
pub const MATRIX_DETECTORS: &[MatrixEntry] = &[
    MatrixEntry {
        name: "auto",
        summary: "the default: channels and pca, whichever says more",
        build: auto_rows::build,
    },
    MatrixEntry {
        name: "channels",
        summary: "robust deviations column by column: the largest, or all together",
        build: channels::build,
    },
    MatrixEntry {
        name: "pca",
        summary: "distance from, and within, the plane that usual rows lie in",
        build: pca::build,
    },
    MatrixEntry {
        name: "isolation-forest",
        summary: "how few random cuts isolate a row",
        build: isolation_forest::build_rows,
    },
];

/// A detector's name that is not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no detector `{name}`; known are {known}")]
pub struct UnknownDetector {
    /// The name that was asked for.
    pub name: String,
    /// The names there are, comma-separated.
    pub known: String,
}

/// The detector of that name.
///
/// # Errors
/// When there is none; the error lists those there are.
pub fn find(name: &str) -> Result<&'static Entry, UnknownDetector> {
    DETECTORS.iter().find(|entry| entry.name == name).ok_or_else(|| unknown(name, DETECTORS.iter().map(|e| e.name)))
}

/// The matrix detector of that name.
///
/// # Errors
/// When there is none; the error lists those there are.
pub fn find_matrix(name: &str) -> Result<&'static MatrixEntry, UnknownDetector> {
    let found = MATRIX_DETECTORS.iter().find(|entry| entry.name == name);
    found.ok_or_else(|| unknown(name, MATRIX_DETECTORS.iter().map(|e| e.name)))
}

fn unknown(name: &str, known: impl Iterator<Item = &'static str>) -> UnknownDetector {
    UnknownDetector { name: name.to_owned(), known: known.collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_known() {
        let error = find("magic").map(|entry| entry.name).unwrap_err().to_string();
        assert!(error.contains("`magic`") && error.contains("auto, zscore"), "{error}");
        for entry in DETECTORS {
            assert_eq!(find(entry.name).map(|found| found.name), Ok(entry.name));
        }
        for entry in MATRIX_DETECTORS {
            assert_eq!(find_matrix(entry.name).map(|found| found.name), Ok(entry.name));
        }
    }
}
