//! One series under watch: counter to rate, scorer, alarm, in that order; and batch detection, which is the same.
//!
//! In: samples, or rows of a matrix, as they arrive.
//! Out: per sample a score and what happened to the series' anomaly. [`detect`] and [`detect_rows`] run the same
//! watchers over what is already there, so that replay equals live watching to the bit.

use ndarray::{Array2, ArrayView2};

use super::alarm::{Alarm, AlarmKinds, AlarmSettings, Transition};
use super::anomaly::Anomaly;
use super::detector::{Score, Scorer, StartError};
use super::matrix::{MatrixScorer, RowScore};
use super::registry::{Settings, UnknownDetector, find, find_matrix};
use crate::series::{History, MetricKind, Millis, Rates, Sample, Step};

/// Why nothing could be detected.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DetectError {
    /// No detector of that name.
    #[error(transparent)]
    UnknownDetector(#[from] UnknownDetector),
    /// The detector did not start.
    #[error("the detector `{detector}` cannot start: {source}")]
    Start {
        /// Which detector.
        detector: String,
        /// Why not.
        source: StartError,
    },
    /// A matrix that does not fit its timestamps or its column names.
    #[error("the matrix has {rows} rows and {columns} columns, but there are {times} timestamps and {names} names")]
    Shape {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
        /// Timestamps given.
        times: usize,
        /// Column names given.
        names: usize,
    },
}

/// What became of one sample, or of one row of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<S = Score> {
    /// Its score, when there is one; a row's says who is to blame.
    pub score: Option<S>,
    /// What was scored: the value, a counter's per-second rate, the value of the column most to blame; NaN while there
    /// is nothing to score.
    pub value: f64,
    /// Whether it belongs to an open anomaly.
    pub is_in_anomaly: bool,
    /// What happened to the anomaly, if anything.
    pub transition: Option<Transition>,
}

/// What became of one row.
pub type RowOutcome = Outcome<RowScore>;

impl<S> Outcome<S> {
    /// Of what cannot be scored.
    fn unscored(value: f64) -> Outcome<S> {
        Outcome { score: None, value, is_in_anomaly: false, transition: None }
    }
}

/// What was found in a series, or in a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection<S = Score> {
    /// One per sample or row, in input order.
    pub scores: Vec<Option<S>>,
    /// Whether the sample or row, when it came, belonged to an open anomaly; in input order.
    pub in_anomaly: Vec<bool>,
    /// The anomalies, by start; the last may still be open.
    pub anomalies: Vec<Anomaly>,
}

/// What was found in a matrix.
pub type MatrixDetection = Detection<RowScore>;

impl<S> Detection<S> {
    /// Gathers what became of each; what is still open is not among it.
    fn of(outcomes: impl Iterator<Item = Outcome<S>>) -> Detection<S> {
        let mut detection = Detection { scores: Vec::new(), in_anomaly: Vec::new(), anomalies: Vec::new() };
        for outcome in outcomes {
            detection.scores.push(outcome.score);
            detection.in_anomaly.push(outcome.is_in_anomaly);
            if let Some(Transition::Closed(anomaly)) = outcome.transition {
                detection.anomalies.push(anomaly);
            }
        }
        detection
    }
}

/// One series' scorer and alarm.
#[derive(Debug)]
pub struct Watcher {
    rates: Option<Rates>,
    scorer: Box<dyn Scorer>,
    alarm: Alarm,
}

impl Watcher {
    /// A watcher that has seen nothing; to warm it up, step it along the stored samples.
    ///
    /// # Errors
    /// When there is no such detector, or it lacks a setting.
    pub fn new(
        detector: &str,
        settings: &Settings,
        alarm: AlarmSettings,
        kind: MetricKind,
    ) -> Result<Watcher, DetectError> {
        let nothing = History::new(0, settings.step.unwrap_or(Step::seconds(1)), Vec::new());
        let built = (find(detector)?.build)(settings);
        let start = built.start(&nothing);
        let scorer = start.map_err(|source| DetectError::Start { detector: detector.to_owned(), source })?;
        let rates = (kind == MetricKind::Counter).then(Rates::default);
        Ok(Watcher { rates, scorer, alarm: Alarm::new(detector, alarm, &settings.metric) })
    }

    /// Has what its alarm has in common with other series' in one place with them.
    pub fn share(&mut self, kinds: &mut AlarmKinds) {
        self.alarm.share(kinds);
    }

    /// Takes in the next sample.
    pub fn step(&mut self, sample: Sample) -> Outcome {
        let scored = match &mut self.rates {
            Some(rates) => rates.next(sample),
            None => Some(sample),
        };
        let Some(scored) = scored else {
            return Outcome::unscored(f64::NAN);
        };
        let Some(score) = self.scorer.score(scored) else {
            return Outcome::unscored(scored.value);
        };
        let transition = self.alarm.step(scored, Some(score));
        let is_in_anomaly = self.alarm.is_in_anomaly();
        Outcome { score: Some(score), value: scored.value, is_in_anomaly, transition }
    }

    /// The anomaly that is open now.
    pub fn open_anomaly(&self) -> Option<Anomaly> {
        self.alarm.current()
    }

    /// The series' alarm.
    pub fn alarm(&self) -> &Alarm {
        &self.alarm
    }
}

/// Scores samples as they are, in the order given; a counter must be turned into rates first.
///
/// A sample at a timestamp not after the last is left unscored, as live watching leaves it.
///
/// # Errors
/// When there is no such detector, or it lacks a setting.
pub fn detect(
    samples: &[Sample],
    detector: &str,
    settings: &Settings,
    alarm: &AlarmSettings,
) -> Result<Detection, DetectError> {
    let mut watcher = Watcher::new(detector, settings, alarm.clone(), MetricKind::Gauge)?;
    let mut detection = Detection::of(samples.iter().map(|&sample| watcher.step(sample)));
    detection.anomalies.extend(watcher.alarm.finish());
    Ok(detection)
}

/// One entity's scorer and alarm, over several columns.
#[derive(Debug)]
pub struct MatrixWatcher {
    columns: Vec<String>,
    scorer: Box<dyn MatrixScorer>,
    alarm: Alarm,
}

impl MatrixWatcher {
    /// A watcher over these columns that has seen nothing.
    ///
    /// # Errors
    /// When there is no such matrix detector, or it lacks a setting.
    pub fn new(
        detector: &str,
        columns: &[String],
        settings: &Settings,
        alarm: AlarmSettings,
    ) -> Result<MatrixWatcher, DetectError> {
        let built = (find_matrix(detector)?.build)(settings);
        let start = built.start(Array2::zeros((0, columns.len())).view());
        let scorer = start.map_err(|source| DetectError::Start { detector: detector.to_owned(), source })?;
        Ok(MatrixWatcher { columns: columns.to_vec(), scorer, alarm: Alarm::new(detector, alarm, &settings.metric) })
    }

    /// Takes in the next row; one of another width than the columns is left unscored.
    pub fn step(&mut self, at: Millis, row: &[f64]) -> RowOutcome {
        let score = if row.len() == self.columns.len() { self.scorer.score(at, row) } else { None };
        let Some(judged) = score else {
            return Outcome::unscored(f64::NAN);
        };
        let worst = (0..row.len()).max_by(|&a, &b| judged.blame[a].total_cmp(&judged.blame[b]));
        let value = worst.map_or(f64::NAN, |column| row[column]);
        let plain = Score { value: judged.value, expected: None, lower: None, upper: None };
        let detail = || blamed(&self.columns, row, &judged.blame);
        let transition = self.alarm.step_told(Sample { at, value }, Some(plain), Some(&detail));
        Outcome { score: Some(judged), value, is_in_anomaly: self.alarm.is_in_anomaly(), transition }
    }

    /// The anomaly that is open now.
    pub fn open_anomaly(&self) -> Option<Anomaly> {
        self.alarm.current()
    }
}

/// The three columns most to blame, with their share and value.
fn blamed(columns: &[String], row: &[f64], blame: &[f64]) -> String {
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by(|&a, &b| blame[b].total_cmp(&blame[a]));
    let told = order.into_iter().take(3).filter(|&column| blame[column] >= 0.05);
    let parts: Vec<String> = told
        .map(|column| {
            let (share, value) = (blame[column] * 100.0, super::explain::number(row[column]));
            format!("{} at {value} ({share:.0} % of the blame)", columns[column])
        })
        .collect();
    if parts.is_empty() { "all columns a little".to_owned() } else { parts.join(", ") }
}

/// Scores the rows of a matrix in the order given; `columns` names its columns.
///
/// From nothing, the first rows are the detector's warm-up and get no score.
///
/// # Errors
/// When there is no such matrix detector, when it lacks a setting, when the shapes do not fit.
pub fn detect_rows(
    times: &[Millis],
    rows: ArrayView2<'_, f64>,
    columns: &[String],
    detector: &str,
    settings: &Settings,
    alarm: &AlarmSettings,
) -> Result<MatrixDetection, DetectError> {
    if times.len() != rows.nrows() || columns.len() != rows.ncols() {
        let (times, names) = (times.len(), columns.len());
        return Err(DetectError::Shape { rows: rows.nrows(), columns: rows.ncols(), times, names });
    }
    let mut watcher = MatrixWatcher::new(detector, columns, settings, alarm.clone())?;
    let rows = times.iter().zip(rows.outer_iter());
    let mut detection = Detection::of(rows.map(|(&at, row)| watcher.step(at, &row.to_vec())));
    detection.anomalies.extend(watcher.alarm.finish());
    Ok(detection)
}
