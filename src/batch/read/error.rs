//! Why inputs could not be read, and the words of it.

use std::path::{Path, PathBuf};

use polars::prelude::PolarsError;

use crate::batch::roles::NEEDED;
use crate::batch::times::EpochCell;

/// Why inputs could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The path does not exist.
    #[error("{}: there is no such file or folder; check the path", path.display())]
    NotFound {
        /// What was asked for.
        path: PathBuf,
    },
    /// A glob that matches nothing.
    #[error("{pattern}: the pattern matches no file; check the folder, and quote the pattern")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// A glob that is not one.
    #[error("{pattern}: the pattern is not valid: {reason}")]
    BadGlob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder without data.
    #[error("{}: the folder holds no .parquet or .csv file", path.display())]
    NothingInFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Another kind of file.
    #[error("{}: the file is neither Parquet nor CSV; give a .parquet or .csv file", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
    },
    /// Nothing in it.
    #[error("{}: the file is empty; it needs {NEEDED}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Columns, but no row.
    #[error("{}: the file has columns but no rows", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// Damaged, truncated, not allowed.
    #[error("{}: the file cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The wrong columns.
    #[error("{}: {reason}\n  found:  {found}\n  needed: {needed}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
        /// The columns that are there, with their types.
        found: String,
        /// What the table needs.
        needed: &'static str,
    },
    /// A timestamp that is none.
    #[error(
        "{}: row {row}: `{text}` in column `{column}` is not a timestamp; write RFC 3339 (2024-05-01T12:30:00Z), \
         `2024-05-01 12:30:00`, or epoch numbers in every row", path.display()
    )]
    BadTime {
        /// The file.
        path: PathBuf,
        /// Which row, the first being 1.
        row: usize,
        /// The time column.
        column: String,
        /// What it holds.
        text: String,
    },
    /// Epoch numbers of two units.
    #[error(
        "{}: column `{column}` has epoch numbers of two units: {first}, and {second}; write all in one", path.display()
    )]
    MixedTimes {
        /// The file.
        path: PathBuf,
        /// The time column.
        column: String,
        /// The first.
        first: EpochCell,
        /// One of another unit.
        second: EpochCell,
    },
    /// A row without timestamp.
    #[error("{}: row {row}: column `{column}` is empty; every row needs a timestamp", path.display())]
    NoTime {
        /// The file.
        path: PathBuf,
        /// Which row, the first being 1.
        row: usize,
        /// The time column.
        column: String,
    },
    /// A value that is no number.
    #[error("{}: row {row}: `{text}` in column `{column}` is not a number; {}", path.display(), advice(text))]
    BadValue {
        /// The file.
        path: PathBuf,
        /// Which row, the first being 1.
        row: usize,
        /// The value column.
        column: String,
        /// What it holds.
        text: String,
    },
    /// Labels that make no series.
    #[error("{}: row {row}: {reason}", path.display())]
    BadLabels {
        /// The file.
        path: PathBuf,
        /// Which row, the first being 1.
        row: usize,
        /// What is wrong.
        reason: String,
    },
    /// A known column with two numbers for the same series and moment.
    #[error(
        "{}: column `{column}` is both {} and {} at {at}, and one number is wanted; {hint}", path.display(), numbers.0,
        numbers.1
    )]
    TwoNumbers {
        /// The file.
        path: PathBuf,
        /// Which column.
        column: String,
        /// When.
        at: String,
        /// The first two.
        numbers: (f64, f64),
        /// What may be meant, and how to write it.
        hint: String,
    },
}

impl ReadError {
    /// Whether all that is wrong is that there is nothing in the file.
    pub(super) fn is_of_nothing(&self) -> bool {
        matches!(self, ReadError::Empty { .. } | ReadError::NoRows { .. })
    }
}

/// What to write instead of a text that is no number.
fn advice(text: &str) -> &'static str {
    let has_comma = text.contains(',') && text.replace(',', "").parse::<f64>().is_ok();
    if has_comma {
        "write it with a decimal point, and without a comma"
    } else {
        "leave the cell empty for a missing value"
    }
}

pub(super) fn bad_labels(path: &Path, row: usize, reason: impl ToString) -> ReadError {
    ReadError::BadLabels { path: path.to_owned(), row: row + 1, reason: reason.to_string() }
}

/// What polars says of a file it cannot read.
pub(super) fn unreadable(path: &Path) -> impl Fn(PolarsError) -> ReadError + Copy {
    move |err| ReadError::Unreadable { path: path.to_owned(), reason: first_line(&err.to_string()) }
}

pub(super) fn first_line(text: &str) -> String {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

/// A name as it can be shown: garbage escaped, and not longer than a line.
pub(super) fn printable(name: &str) -> String {
    let escaped: String = name.chars().take(40).flat_map(char::escape_debug).collect();
    if name.chars().count() > 40 { format!("{escaped}...") } else { escaped }
}
