//! Why a question to the standing loop has no answer.

use std::path::PathBuf;

use crate::forecast::ForecastError;
use crate::series::{HistoryError, Key};
use crate::storage::SelectError;

/// Why the loop could not start, or a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A setting out of its range.
    #[error("{0}")]
    Settings(String),
    /// The results folder cannot be used.
    #[error("the results folder {} cannot be used: {source}; check that it exists and is writable", path.display())]
    Results {
        /// Which folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
    /// The store could not be read.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// There is no such series, or it has no samples.
    #[error("there are no samples of {0}; check the name and the labels, and that it is being recorded")]
    NoSamples(Key),
    /// Its samples do not make a history.
    #[error("{key}: {source}")]
    History {
        /// Which series.
        key: Key,
        /// Why not.
        source: HistoryError,
    },
    /// The model cannot forecast it.
    #[error("{key}: {source}")]
    Forecast {
        /// Which series.
        key: Key,
        /// Why not.
        source: ForecastError,
    },
    /// A question out of its range.
    #[error("{0}")]
    Ask(String),
    /// Nothing says what must not be exceeded.
    #[error("no limit is known for {0}; give one with limit=, or with `limit` or `limit_from` in a preset")]
    NoLimit(String),
}
