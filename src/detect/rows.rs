//! What every matrix method shares: standardising, filling gaps, learning on a schedule.
//!
//! In: rows as they arrive. Out: rows in robust deviations from each column's median, for a [`RowModel`].
//!
//! The first [`MIN_ROWS`] rows are the warm-up and get no score. The model is fitted after 64, 128, 256 and so on up
//! to [`MAX_ROWS`] rows, and then every [`MAX_ROWS`], from the last rows that were not far out: never from a row that
//! is still to come, nor from the length of a file. A column that never moved takes no part in the model: any change
//! of it is odd in itself.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::marker::PhantomData;

use ndarray::{Array2, ArrayView2};

use super::contract::{LARGEST, flat, tame};
use super::detector::StartError;
use super::matrix::{MatrixDetector, MatrixScorer, RowScore};
use super::sorted::{MAD_TO_SIGMA, MEAN_DEVIATION_TO_SIGMA};
use crate::series::{Millis, mad, median};

/// Rows before the first score.
pub(super) const MIN_ROWS: usize = 64;
/// Rows that a model is fitted to, at most.
const MAX_ROWS: usize = 4096;
/// Rows above this score are not learned from ...
const FAR_OUT: f64 = 1.5;
/// ... unless so many come in a row: then that is how the entity is now.
const ACCEPT_AFTER: usize = 512;
/// Deviations are cut here, so that one glitch does not become the model.
const CLIP: f64 = 50.0;

/// A model of what rows look like.
pub(super) trait RowModel: Sized + Debug + Send + 'static {
    /// Fits standardised, gapless rows; `None` when they do not suffice.
    fn fit(rows: &Array2<f64>) -> Option<Self>;

    /// The score of a standardised row, and in `blame` what each column contributed to it, none negative.
    fn judge(&self, row: &[f64], blame: &mut Vec<f64>) -> f64;
}

/// A [`RowModel`] with its schedule.
#[derive(Debug)]
pub(super) struct Scheduled<M> {
    rows: VecDeque<Vec<f64>>,
    n_until_fit: usize,
    next_wait: usize,
    columns: Vec<Column>,
    model: Option<M>,
    n_far_out: usize,
    n_columns: Option<usize>,
    last: Option<Millis>,
    standardised: Vec<f64>,
    blame: Vec<f64>,
}

/// A column's centre and spread; a spread of 0 means that it never moved.
#[derive(Clone, Copy, Debug)]
struct Column {
    centre: f64,
    spread: f64,
}

impl Column {
    fn of(values: &[f64]) -> Column {
        let Some(centre) = median(values) else {
            return Column { centre: 0.0, spread: 0.0 };
        };
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let robust = mad(&finite, centre).unwrap_or(0.0) * MAD_TO_SIGMA;
        let mean = finite.iter().map(|value| (value - centre).abs()).sum::<f64>() / finite.len().max(1) as f64;
        Column { centre, spread: if robust > 0.0 { robust } else { mean * MEAN_DEVIATION_TO_SIGMA } }
    }

    fn standardise(self, value: f64) -> f64 {
        if self.spread > 0.0 && value.is_finite() {
            ((value - self.centre) / self.spread).clamp(-CLIP, CLIP)
        } else {
            0.0
        }
    }
}

impl<M: RowModel> Scheduled<M> {
    /// The detector that starts these.
    pub(super) fn detector() -> ScheduledDetector<M> {
        ScheduledDetector(PhantomData)
    }

    pub(super) fn new() -> Scheduled<M> {
        Scheduled {
            rows: VecDeque::new(),
            n_until_fit: MIN_ROWS,
            next_wait: MIN_ROWS,
            columns: Vec::new(),
            model: None,
            n_far_out: 0,
            n_columns: None,
            last: None,
            standardised: Vec::new(),
            blame: Vec::new(),
        }
    }

    /// Scores and learns a row that is in order.
    pub(super) fn feed(&mut self, row: &[f64]) -> Option<RowScore> {
        if *self.n_columns.get_or_insert(row.len()) != row.len() || !row.iter().any(|value| value.is_finite()) {
            return None;
        }
        let score = self.judge(row);
        let value = score.as_ref().map_or(0.0, |score| score.value);
        self.n_far_out = if value > FAR_OUT { self.n_far_out + 1 } else { 0 };
        if value <= FAR_OUT || self.n_far_out > ACCEPT_AFTER {
            if self.rows.len() == MAX_ROWS {
                self.rows.pop_front();
            }
            let cut = |value: &f64| if value.is_finite() { value.clamp(-LARGEST, LARGEST) } else { f64::NAN };
            self.rows.push_back(row.iter().map(cut).collect());
        }
        self.n_until_fit -= 1;
        if self.n_until_fit == 0 {
            self.n_until_fit = self.next_wait;
            self.next_wait = (self.next_wait * 2).min(MAX_ROWS);
            self.fit();
        }
        score
    }

    fn judge(&mut self, row: &[f64]) -> Option<RowScore> {
        let model = self.model.as_ref()?;
        self.standardised.clear();
        self.standardised.extend(row.iter().zip(&self.columns).map(|(&value, column)| column.standardise(value)));
        let mut value = tame(model.judge(&self.standardised, &mut self.blame));
        self.blame.resize(row.len(), 0.0);
        for ((column, &cell), share) in self.columns.iter().zip(row).zip(&mut self.blame) {
            let moved = if column.spread == 0.0 && cell.is_finite() {
                flat(cell.clamp(-LARGEST, LARGEST), column.centre)
            } else {
                0.0
            };
            *share = if cell.is_finite() { tame(*share) + moved } else { 0.0 };
            value = value.max(moved);
        }
        let sum: f64 = self.blame.iter().sum();
        let n_present = row.iter().filter(|cell| cell.is_finite()).count() as f64;
        let blame = self.blame.iter().zip(row).map(|(&share, cell)| match (sum > 0.0, cell.is_finite()) {
            (true, _) => share / sum,
            (false, true) => 1.0 / n_present,
            (false, false) => 0.0,
        });
        Some(RowScore { value, blame: blame.collect() })
    }

    fn fit(&mut self) {
        let n_columns = self.n_columns.unwrap_or(0);
        let column = |idx: usize| self.rows.iter().map(|row| row[idx]).collect::<Vec<f64>>();
        let columns: Vec<Column> = (0..n_columns).map(|idx| Column::of(&column(idx))).collect();
        let shape = (self.rows.len(), n_columns);
        let rows = Array2::from_shape_fn(shape, |(row, idx)| columns[idx].standardise(self.rows[row][idx]));
        if let Some(model) = M::fit(&rows) {
            self.model = Some(model);
            self.columns = columns;
        }
    }
}

impl<M: RowModel> MatrixScorer for Scheduled<M> {
    fn score(&mut self, at: Millis, row: &[f64]) -> Option<RowScore> {
        if self.last.is_some_and(|last| at <= last) {
            return None;
        }
        self.last = Some(at);
        self.feed(row)
    }
}

/// Starts [`Scheduled`] scorers.
pub(super) struct ScheduledDetector<M>(PhantomData<fn() -> M>);

impl<M: RowModel> MatrixDetector for ScheduledDetector<M> {
    fn start(&self, warmup: ArrayView2<'_, f64>) -> Result<Box<dyn MatrixScorer>, StartError> {
        let mut scorer = Scheduled::<M>::new();
        for row in warmup.outer_iter() {
            scorer.feed(&row.to_vec());
        }
        Ok(Box::new(scorer))
    }
}
