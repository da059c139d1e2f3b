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

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::read::{ReadError, read_known};
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
    /// Reads a file of what is known of `sources`.
    ///
    /// # Errors
    /// When it cannot be read, has no time column or no number column, or two numbers for the same series and moment.
    pub fn load(path: &Path, sources: &[Source]) -> Result<KnownColumns, ReadError> {
        if !path.exists() {
            return Err(ReadError::NotFound { path: path.to_owned() });
        }
        let labels: BTreeSet<&str> =
            sources.iter().flat_map(|source| source.key.labels().without_metric().map(|(name, _)| name)).collect();
        let rows = read_known(path, &labels)?;
        let all = rows.samples();
        refuse_two_numbers(path, &rows.sources, &all)?;
        let of = |(source, samples): (&Source, Vec<Sample>)| Known {
            name: source.key.metric().to_owned(),
            narrowed: source.key.labels().without_metric().map(|(name, text)| (name.into(), text.into())).collect(),
            axis: source.axis,
            samples: resolve(&samples),
        };
        let columns = rows.sources.iter().zip(all).map(of);
        // Rows that are narrowed alike may have numbers in some columns only.
        let is_said = |known: &Known| known.samples.iter().any(|sample| sample.value.is_finite());
        Ok(KnownColumns { path: path.to_owned(), columns: columns.filter(is_said).collect(), notes: rows.notes })
    }

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

/// Of several rows that are narrowed alike, only one can have a column's number of a moment: mostly another column was
/// to say which series each is of.
fn refuse_two_numbers(path: &Path, sources: &[Source], samples: &[Vec<Sample>]) -> Result<(), ReadError> {
    let mut found: Vec<(&Source, Millis, (f64, f64))> = Vec::new();
    for (source, samples) in sources.iter().zip(samples) {
        let mut known: Vec<&Sample> = samples.iter().filter(|sample| sample.value.is_finite()).collect();
        known.sort_by_key(|sample| sample.at);
        let mut pairs = known.windows(2).map(|pair| (pair[0], pair[1]));
        let two = pairs.find(|(one, other)| one.at == other.at && one.value != other.value);
        found.extend(two.map(|(one, other)| (source, one.at, (one.value, other.value))));
    }
    let column = |source: &Source| source.key.metric().to_owned();
    // Labels are whole numbers, and more of them than a yes and a no.
    let all_are = |name: &str, is: fn(f64) -> bool| {
        let of_column = sources.iter().zip(samples).filter(|(source, _)| source.key.metric() == name);
        of_column.flat_map(|(_, samples)| samples).all(|sample| sample.value.is_nan() || is(sample.value))
    };
    let is_label = |name: &String| {
        all_are(name, |value| value.fract() == 0.0) && !all_are(name, |value| value == 0.0 || value == 1.0)
    };
    let label = found.iter().map(|(source, ..)| column(source)).find(is_label);
    let told = found.iter().find(|(source, ..)| Some(column(source)) != label);
    let Some(&(source, at, numbers)) = told.or(found.first()) else { return Ok(()) };
    let by_text = "a text column, such as `series` or a label, says";
    // A label beside nothing else would be of nothing.
    let label = label.filter(|label| sources.iter().any(|source| source.key.metric() != label));
    let hint = match label {
        None => format!("{by_text} which series a row is of"),
        Some(label) => {
            let mut hint = format!("if `{label}` says which series a row is of, call it as their label is called");
            // Where the other numbers are alike, it is all that contradicts itself, and may as well be a number.
            if told.is_none() {
                hint.push_str(&format!("; if it is a number, {by_text} it"));
            }
            hint
        }
    };
    let at = moment(source.axis, at);
    Err(ReadError::TwoNumbers { path: path.to_owned(), column: column(source), at, numbers, hint })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Column, Table};
    use crate::series::{DAY, HOUR, Key, Step};

    fn source(name: &str, labels: &[(&str, &str)]) -> Source {
        let key = Key::from_pairs(name, labels).unwrap();
        Source { name: key.to_string(), key, axis: Axis::Time, is_metric: true }
    }

    fn load(text: &str) -> Result<KnownColumns, ReadError> {
        load_beside(text, &[])
    }

    fn load_beside(text: &str, sources: &[Source]) -> Result<KnownColumns, ReadError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known.csv");
        std::fs::write(&path, text).unwrap();
        KnownColumns::load(&path, sources)
    }

    fn hours(n: usize) -> History {
        History::new(0, Step::new(HOUR).unwrap(), vec![1.0; n])
    }

    #[test]
    fn a_number_holds_until_the_next_and_a_cell_has_their_mean() {
        let text = "timestamp,price,value\n1970-01-01,5,1\n1970-01-02,7,\n1970-01-03,9,3\n";
        let known = load(text).unwrap();
        let up = source("up", &[]);
        let (regressors, notes) = known.beside(std::iter::once(&up), &hours(48), 48).unwrap();
        assert_eq!(regressors.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["price", "value"]);
        // Nothing is known of the fourth day, and of one column on the second.
        let price = &regressors[0].values;
        assert_eq!((price.len(), price[0], price[23], price[24], price[71]), (72, 5.0, 5.0, 7.0, 9.0));
        assert!(regressors[1].values[24].is_nan() && regressors[1].values[48] == 3.0);
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[0].contains("`price` reaches to 1970-01-03T23:00:00Z, 24 of 48 steps"), "{notes:?}");
        assert!(notes[1].contains("`value` says nothing of 24 of its 48 steps"), "{notes:?}");
        // A day of hours: the mean of what held.
        let days = History::new(0, Step::new(DAY).unwrap(), vec![1.0; 2]);
        let hour = |nr: i64| rfc3339(nr * HOUR);
        let hourly: String = (0..48).map(|nr| format!("{},{}\n", hour(nr), nr % 24)).collect();
        let known = load(&format!("ts,load\n{hourly}")).unwrap();
        assert_eq!(known.beside(std::iter::once(&up), &days, 0).unwrap().0[0].values, [11.5, 11.5]);
    }

    #[test]
    fn text_columns_narrow_and_what_concerns_nobody_is_told() {
        let text = "timestamp,host,series,load\n1970-01-01,a,,1\n1970-01-01,b,,2\n1970-01-01,,free,3\n";
        let known = load(text).unwrap();
        let of = |source: &Source| -> Vec<f64> {
            let found = known.beside(std::iter::once(source), &hours(1), 0).unwrap().0;
            found.iter().map(|regressor| regressor.values[0]).collect()
        };
        let both = load("timestamp,host,load,price\n1970-01-01,a,1,\n1970-01-01,,2,7\n").unwrap();
        let (a, free) = (source("cpu", &[("host", "a")]), source("free", &[]));
        let values = |source: &Source| -> Vec<f64> {
            let found = both.beside(std::iter::once(source), &hours(1), 0).unwrap().0;
            found.iter().map(|regressor| regressor.values[0]).collect()
        };
        assert_eq!(
            (values(&a), values(&free)),
            (vec![1.0, 7.0], vec![2.0, 7.0]),
            "what is narrower wins, if it is said"
        );
        let of_a = load("timestamp,host,load,price\n1970-01-01,a,1,\n1970-01-01,,,7\n").unwrap();
        let (found, _) = of_a.beside(std::iter::once(&free), &hours(1), 0).unwrap();
        assert_eq!(found.len(), 1, "a column that says nothing of a series is none of its: {found:?}");
        assert_eq!((of(&a), of(&free), of(&source("up", &[]))), (vec![1.0], vec![3.0], vec![]));
        assert_eq!(known.idle(&[a.clone(), free]), ["load{host=\"b\"}"]);
        let b = source("cpu", &[("host", "b")]);
        let both = known.beside([&a, &b].into_iter(), &hours(1), 0).unwrap();
        assert!(both.0.is_empty(), "what is known of one is not known of the sum: {both:?}");
    }

    #[test]
    fn whole_numbers_that_are_labels_narrow_and_two_numbers_at_a_moment_are_refused() {
        let text = "date,store,price\n1970-01-01,1,5.5\n1970-01-01,2,7\n1970-01-02,1,6\n1970-01-02,2,7\n";
        let stores = [source("sales", &[("store", "1")]), source("sales", &[("store", "2")])];
        let known = load_beside(text, &stores).unwrap();
        let prices = |source: &Source| {
            let (found, _) = known.beside(std::iter::once(source), &hours(48), 0).unwrap();
            assert_eq!(found.len(), 1, "a label is no column: {found:?}");
            (found[0].values[0], found[0].values[47])
        };
        assert_eq!((prices(&stores[0]), prices(&stores[1])), ((5.5, 6.0), (7.0, 7.0)));
        // Of series that have no such label nobody can tell.
        let error = load_beside(text, &[source("sales", &[])]).unwrap_err().to_string();
        assert!(error.contains("known.csv: column `price` is both 5.5 and 7 at 1970-01-01T00:00:00Z"), "{error}");
        assert!(
            error.contains("if `store` says which series a row is of, call it as their label is called"),
            "{error}"
        );
        let text = "date,up,shop\n1970-01-01,1,1\n1970-01-01,0,2\n";
        let error = load(text).unwrap_err().to_string();
        assert!(error.contains("`up` is both 1 and 0") && error.contains("if `shop` says"), "{error}");
        // Where the prices are alike, the label is all that contradicts itself.
        let error = load("date,store,price\n1970-01-01,1,5.5\n1970-01-01,2,5.5\n").unwrap_err().to_string();
        assert!(error.contains("`store` is both 1 and 2") && error.contains("if `store` says which series"), "{error}");
        assert!(error.ends_with("; if it is a number, a text column, such as `series` or a label, says it"), "{error}");
        let error = load("t,price\n1,5\n2,5\n2,\n2,6\n").unwrap_err().to_string();
        assert!(error.contains("`price` is both 5 and 6 at step 2"), "{error}");
        assert!(error.contains("a text column, such as `series`"), "{error}");
        // Rows that say the same, or other columns, or are of others, do not contradict each other.
        let text = "date,host,price,load\n1970-01-01,,5,\n1970-01-01,,5,3\n1970-01-01,,,3\n1970-01-01,a,6,\n";
        assert!(load(text).is_ok());
        // What names series is no number either.
        let known = load("date,unique_id,price\n1970-01-01,1,5\n1970-01-01,2,7\n").unwrap();
        let second = Source { name: "2".to_owned(), ..source("second", &[]) };
        let (found, _) = known.beside(std::iter::once(&second), &hours(1), 0).unwrap();
        assert_eq!(found.iter().map(|it| it.values[0]).collect::<Vec<_>>(), [7.0]);
    }

    #[test]
    fn true_is_one_false_is_none_and_what_is_passed_over_is_told() {
        let known = load("date,is_promo\n1970-01-01,false\n1970-01-02,True\n1970-01-03,\n").unwrap();
        let days = History::new(0, Step::new(DAY).unwrap(), vec![1.0; 2]);
        let (found, _) = known.beside(std::iter::once(&source("up", &[])), &days, 1).unwrap();
        assert_eq!((found[0].name.as_str(), &found[0].values[..]), ("is_promo", &[0.0, 1.0][..]));
        assert!(known.notes().is_empty());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known.parquet");
        let table = Table::new().with("date", Column::Time(vec![Some(0)])).with("seen", Column::Time(vec![Some(HOUR)]));
        table.with("load", Column::Float(vec![1.0])).write(&path).unwrap();
        let known = KnownColumns::load(&path, &[]).unwrap();
        assert_eq!(known.notes(), [format!("{}: passed over seen", path.display())]);
    }

    #[test]
    fn what_cannot_be_laid_beside_a_series_says_why() {
        let wrong = |text: &str| load(text).unwrap_err().to_string();
        assert!(wrong("when,load\nnoon,1\n").contains("there is no time column"));
        let text = wrong("timestamp,name\n1970-01-01,x\n");
        assert!(text.contains("no number column") && text.contains("one number column for each thing"), "{text}");
        let known = load("timestamp,load\n1980-01-01,1\n1980-01-02,2\n").unwrap();
        let error = known.beside(std::iter::once(&source("up", &[])), &hours(3), 5).unwrap_err().to_string();
        assert!(error.contains("known from 1980-01-01T00:00:00Z to 1980-01-02T00:00:00Z"), "{error}");
        assert!(error.contains("1970-01-01T02:00:00Z: they do not overlap"), "{error}");
        let steps = load("t,load\n1,1\n2,2\n").unwrap();
        let error = steps.beside(std::iter::once(&source("up", &[])), &hours(3), 5).unwrap_err();
        assert!(
            error.to_string().contains("known.csv: the known columns and the series are not dated alike"),
            "{error}"
        );
    }
}
