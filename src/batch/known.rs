//! Columns known beforehand, from a file: prices, plans, temperatures, beside the series that they move.
//!
//! In: a Parquet or CSV file with a time column and a column of numbers, or of true and false as 1 and 0, for each
//! thing that is known; text columns, and whole numbers called like a label of the series, narrow a row to some series,
//! `series` by name, `metric`, others by the label of their name. Out: for a history, each column that concerns it as
//! [`Regressor`]s on its grid, ahead as far as they are known.
//!
//! A number holds from its time until the next one's, at most for the column's own step: of hours, each of a day's
//! numbers counts; a number per day holds for each hour of it. A cell gets the mean over its time, and none where
//! nothing is known: no number is made up.

mod read;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::rows::{Axis, Source};
use super::times::rfc3339;
use crate::forecast::Regressor;
use crate::series::{History, METRIC_NAME, Millis, Sample, detect_step, resolve};

/// Names of text columns that say the name of a series, and its metric.
const SERIES_NAMES: [&str; 2] = ["series", "unique_id"];
const METRIC_NAMES: [&str; 3] = ["metric", METRIC_NAME, "metric_name"];

/// One column, or the part of it that is of some series.
#[derive(Clone, Debug)]
struct Known {
    name: String,
    /// Names and texts of the columns that narrow it.
    narrowed: Vec<(String, String)>,
    axis: Axis,
    samples: Vec<Sample>,
}

/// The columns of a file.
#[derive(Clone, Debug, Default)]
pub struct KnownColumns {
    path: PathBuf,
    columns: Vec<Known>,
    /// What of the file was passed over.
    notes: Vec<String>,
}

/// Why columns cannot be laid beside a series.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct KnownColumnsError {
    /// The file.
    pub path: PathBuf,
    /// What does not fit.
    pub reason: String,
}

impl KnownColumns {
    /// What of the file was passed over, to be told once.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Those that concern none of `sources`, as name and what narrows them: mostly a slip.
    pub fn idle(&self, sources: &[Source]) -> Vec<String> {
        let idle = self.columns.iter().filter(|known| !sources.iter().any(|source| known.concerns(source)));
        let told = |known: &Known| {
            let by: Vec<String> = known.narrowed.iter().map(|(name, text)| format!("{name}={text:?}")).collect();
            format!("{}{{{}}}", known.name, by.join(","))
        };
        idle.map(told).collect()
    }

    /// The columns that concern every one of `sources`, on the grid of `history` and for up to `n_ahead` cells beyond
    /// its end; and what is to be said of how far they reach.
    ///
    /// # Errors
    /// When one says nothing of any cell of the history.
    pub(super) fn beside<'a>(
        &self,
        mut sources: impl Iterator<Item = &'a Source> + Clone,
        history: &History,
        n_ahead: usize,
    ) -> Result<(Vec<Regressor>, Vec<String>), KnownColumnsError> {
        let mut named: BTreeMap<&str, Vec<&Known>> = BTreeMap::new();
        let mut partial: BTreeSet<&str> = BTreeSet::new();
        for known in &self.columns {
            if sources.clone().all(|source| known.concerns(source)) {
                named.entry(&known.name).or_default().push(known);
            } else if sources.clone().any(|source| known.concerns(source)) {
                partial.insert(&known.name);
            }
        }
        let axis = sources.next().map(|source| source.axis);
        let (mut regressors, mut notes) = (Vec::new(), Vec::new());
        notes.extend(partial.into_iter().map(|name| {
            format!("numbers of the known column `{name}` that concern only some of its series are left out")
        }));
        for (name, parts) in named {
            if parts.iter().any(|known| Some(known.axis) != axis) {
                let reason = "the known columns and the series are not dated alike: one has timestamps, the other \
                              counts steps";
                return Err(self.unfit(reason.to_owned()));
            }
            let samples = joined(parts);
            let mut values = on_grid(&samples, history, n_ahead);
            let told = |at: Millis| moment(axis.unwrap_or(Axis::Time), at);
            let n_cells = history.len();
            if values[..n_cells].iter().all(|value| value.is_nan()) {
                let first_and_last = samples.first().zip(samples.last());
                let (first, last) =
                    first_and_last.map_or_else(Default::default, |(first, last)| (told(first.at), told(last.at)));
                let (start, end) = (told(history.start()), told(history.at(n_cells.saturating_sub(1))));
                return Err(self.unfit(format!(
                    "column `{name}` is known from {first} to {last}, and the series from {start} to {end}: they do \
                     not overlap"
                )));
            }
            let n_known = values.iter().rposition(|value| !value.is_nan()).map_or(0, |last| last + 1);
            values.truncate(n_known);
            let n_lacking = values[..n_cells.min(n_known)].iter().filter(|value| value.is_nan()).count()
                + n_cells.saturating_sub(n_known);
            if n_lacking > 0 {
                notes.push(format!(
                    "the known column `{name}` says nothing of {n_lacking} of its {n_cells} steps, and nothing is \
                     learned of any column from those"
                ));
            }
            if n_known < n_cells + n_ahead {
                notes.push(format!(
                    "the known column `{name}` reaches to {}, {} of {n_ahead} steps ahead: beyond, it is taken to be \
                     what it usually is",
                    told(history.at(n_known.saturating_sub(1))),
                    n_known.saturating_sub(n_cells),
                ));
            }
            regressors.push(Regressor { name: name.to_owned(), values });
        }
        Ok((regressors, notes))
    }

    fn unfit(&self, reason: String) -> KnownColumnsError {
        KnownColumnsError { path: self.path.clone(), reason }
    }
}

impl Known {
    fn concerns(&self, source: &Source) -> bool {
        let is = |names: &[&str], name: &str| names.iter().any(|known| name.eq_ignore_ascii_case(known));
        self.narrowed.iter().all(|(name, text)| {
            if source.key.labels().get(name) == Some(text) {
                return true;
            }
            if is(&SERIES_NAMES, name) {
                return source.name == *text || source.key.to_string() == *text;
            }
            is(&METRIC_NAMES, name) && source.key.metric() == text
        })
    }
}

/// A moment as the files have it.
fn moment(axis: Axis, at: Millis) -> String {
    match axis {
        Axis::Steps => format!("step {}", at / Axis::STEP.millis()),
        Axis::Time => rfc3339(at),
    }
}

/// The samples of all parts: of one moment the number of the part that is narrowed most, and none where nobody has one.
fn joined(mut parts: Vec<&Known>) -> Vec<Sample> {
    parts.sort_by_key(|known| known.narrowed.len());
    let all = || parts.iter().flat_map(|known| &known.samples).copied();
    let (numbers, gaps): (Vec<Sample>, Vec<Sample>) = all().partition(|sample| sample.value.is_finite());
    // The last wins.
    resolve(&[gaps, numbers].concat())
}

/// The mean of what holds over each cell of `history` and of `n_ahead` beyond; NaN where nothing is known.
fn on_grid(samples: &[Sample], history: &History, n_ahead: usize) -> Vec<f64> {
    let len = history.step().millis();
    // A single number holds for a cell.
    let hold = detect_step(samples).map_or(len, |step| step.millis());
    let n = history.len().saturating_add(n_ahead);
    let mut values = Vec::with_capacity(n);
    let mut first = 0;
    for idx in 0..n {
        let at = history.at(idx);
        let end = history.at(idx + 1);
        let until = |nr: usize| {
            let own = samples[nr].at.saturating_add(hold);
            samples.get(nr + 1).map_or(own, |next| own.min(next.at))
        };
        while first < samples.len() && until(first) <= at {
            first += 1;
        }
        let (mut sum, mut span) = (0.0, 0.0);
        for (nr, sample) in samples.iter().enumerate().skip(first).take_while(|(_, sample)| sample.at < end) {
            let part = (until(nr).min(end) - sample.at.max(at)).max(0) as f64;
            if sample.value.is_finite() {
                sum += part * sample.value;
                span += part;
            }
        }
        values.push(if span > 0.0 { sum / span } else { f64::NAN });
    }
    values
}
