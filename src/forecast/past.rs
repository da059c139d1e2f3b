//! What a method is shown: a series up to some moment, and what is known of it beside its values.
//!
//! A [`Past`] borrows everything and is as cheap to cut as a slice, so that a replay shows a method one prefix after
//! the other without a copy.

use super::columns::Freed;
use super::facts::Facts;
use super::model::FitError;
use crate::series::{Calendar, History, Millis, Step, filled};

/// A column of numbers known beforehand, one per cell: a holiday, a planned load, a maintenance window.
#[derive(Clone, Debug, PartialEq)]
pub struct Regressor {
    /// What it is called.
    pub name: String,
    /// One per cell from the first of the history on, past its end as far as it is known; beyond that it is 0. Where
    /// [`UnderEvents`](super::UnderEvents) takes its effect out, NaN is not known, and what is not known is as usual.
    pub values: Vec<f64>,
}

/// Columns known beforehand, seen from some cell on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Regressors<'a> {
    columns: &'a [Regressor],
    from: usize,
}

impl<'a> Regressors<'a> {
    /// No column.
    pub const NONE: Regressors<'static> = Regressors { columns: &[], from: 0 };

    /// `columns`, from their first row on.
    pub fn new(columns: &'a [Regressor]) -> Regressors<'a> {
        Regressors { columns, from: 0 }
    }

    /// The columns; their rows count from the first cell of the history.
    pub fn columns(&self) -> &'a [Regressor] {
        self.columns
    }

    /// What `column` is at the cell `ahead` from here; 0 where nothing is known.
    pub fn get(&self, column: usize, ahead: usize) -> f64 {
        let row = self.columns.get(column).and_then(|column| column.values.get(self.from.saturating_add(ahead)));
        row.copied().unwrap_or(0.0)
    }

    /// The rows of `column` from here on, as far as they are known.
    pub(super) fn rows(&self, column: usize) -> &'a [f64] {
        let rows = self.columns.get(column).map_or(&[][..], |column| &column.values);
        &rows[self.from.min(rows.len())..]
    }

    /// The same, seen from `n` cells later.
    #[must_use]
    pub fn skip(self, n: usize) -> Regressors<'a> {
        Regressors { from: self.from.saturating_add(n), ..self }
    }
}

/// Values at `start`, `start + step` and so on, or at the instant of the calendar next to that, NaN for a gap, and what
/// is known beside them.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    start: Millis,
    step: Step,
    calendar: Option<Calendar>,
    values: &'a [f64],
    regressors: Regressors<'a>,
    freed: Option<Freed<'a>>,
    facts: &'a Facts,
}

impl<'a> From<&'a History> for Past<'a> {
    fn from(history: &'a History) -> Past<'a> {
        Past { calendar: history.calendar(), ..Past::new(history.start(), history.step(), history.values()) }
    }
}

impl<'a> From<&Past<'a>> for Past<'a> {
    fn from(past: &Past<'a>) -> Past<'a> {
        *past
    }
}

impl<'a> Past<'a> {
    /// An even grid of values that are finite, or NaN for a gap.
    pub fn new(start: Millis, step: Step, values: &'a [f64]) -> Past<'a> {
        Past { start, step, calendar: None, values, regressors: Regressors::NONE, freed: None, facts: Facts::NONE }
    }

    /// All of `history`.
    pub fn of(history: &'a History) -> Past<'a> {
        history.into()
    }

    /// The same values, of a metric of which `facts` are known.
    #[must_use]
    pub fn with_facts(self, facts: &'a Facts) -> Past<'a> {
        Past { facts, ..self }
    }

    /// The same values, beside columns whose first row belongs to the first value.
    #[must_use]
    pub fn with_regressors(self, columns: &'a [Regressor]) -> Past<'a> {
        Past { regressors: Regressors::new(columns), ..self }
    }

    /// The same values, which are what is left without the effects in `freed`; a replay then shows a method what was
    /// left without those that were known at the time.
    #[must_use]
    pub(super) fn freed_of(self, freed: Freed<'a>) -> Past<'a> {
        Past { freed: Some(freed), ..self }
    }

    /// The effects that the values were freed of.
    pub(super) fn freed(&self) -> Option<Freed<'a>> {
        self.freed
    }

    /// Other values at the same instants, as many, with the same beside them.
    #[must_use]
    pub fn with_values<'b>(&self, values: &'b [f64]) -> Past<'b>
    where
        'a: 'b,
    {
        debug_assert_eq!(values.len(), self.values.len());
        Past { values, ..*self }
    }

    /// When the first cell stands.
    pub fn start(&self) -> Millis {
        self.start
    }

    /// When the cell after the last would stand: the first instant a forecast is about.
    pub fn end(&self) -> Millis {
        self.at(self.values.len())
    }

    /// The spacing.
    pub fn step(&self) -> Step {
        self.step
    }

    /// The days of months at which the cells stand, if they do.
    pub fn calendar(&self) -> Option<Calendar> {
        self.calendar
    }

    /// The cells; NaN marks a gap.
    pub fn values(&self) -> &'a [f64] {
        self.values
    }

    /// How many cells there are, gaps among them.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no cell.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many cells are gaps; counts them.
    pub fn n_gaps(&self) -> usize {
        self.values.iter().filter(|value| value.is_nan()).count()
    }

    /// When cell `idx` stands; it may lie past the end.
    pub fn at(&self, idx: usize) -> Millis {
        let ahead = self.step.millis().saturating_mul(Millis::try_from(idx).unwrap_or(Millis::MAX));
        let even = self.start.saturating_add(ahead);
        self.calendar.map_or(even, |calendar| calendar.next_to(even))
    }

    /// How long cell `idx` is: of months each has its own days.
    pub fn length_of(&self, idx: usize) -> Millis {
        self.at(idx.saturating_add(1)).saturating_sub(self.at(idx))
    }

    /// What is known of the metric.
    pub fn facts(&self) -> &'a Facts {
        self.facts
    }

    /// Columns known beforehand, seen from the first cell on.
    pub fn regressors(&self) -> Regressors<'a> {
        self.regressors
    }

    /// Columns known beforehand, seen from the cell after the last on: what a forecast may know.
    pub fn ahead(&self) -> Regressors<'a> {
        self.regressors.skip(self.values.len())
    }

    /// The first `n` cells, or all when there are fewer.
    #[must_use]
    pub fn upto(self, n: usize) -> Past<'a> {
        Past { values: &self.values[..n.min(self.values.len())], ..self }
    }

    /// The last `n` cells, or all when there are fewer.
    #[must_use]
    pub fn tail(self, n: usize) -> Past<'a> {
        let from = self.values.len().saturating_sub(n);
        Past {
            start: self.at(from),
            values: &self.values[from..],
            regressors: self.regressors.skip(from),
            freed: self.freed.map(|freed| freed.skip(from)),
            ..self
        }
    }

    /// The last `longest` cells from the first value on, as what a leading gap would be worth is unknown, and how many
    /// values are among them.
    pub(super) fn latest(&self, longest: usize) -> (&'a [f64], usize) {
        let cells = self.tail(longest).values;
        let lead = cells.iter().position(|value| !value.is_nan()).unwrap_or(cells.len());
        let cells = &cells[lead..];
        (cells, cells.iter().filter(|value| !value.is_nan()).count())
    }

    /// As [`latest`](Past::latest).
    ///
    /// # Errors
    /// When there are fewer than `least` values.
    pub(super) fn latest_at_least(&self, least: usize, longest: usize) -> Result<(&'a [f64], usize), FitError> {
        let (cells, n_values) = self.latest(longest);
        if n_values < least {
            return Err(FitError::TooShort { needed: least, got: n_values });
        }
        Ok((cells, n_values))
    }

    /// When the last value stands that is not a gap.
    pub fn last_seen(&self) -> Option<Millis> {
        self.values.iter().rposition(|value| !value.is_nan()).map(|idx| self.at(idx))
    }

    /// The cells with gaps filled by straight lines; empty when every cell is a gap.
    pub fn filled(&self) -> Vec<f64> {
        filled(self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_time_values_and_columns_together() {
        let values: Vec<f64> = (0..10).map(f64::from).collect();
        let columns = [Regressor { name: "holiday".to_owned(), values: (0..12).map(|i| f64::from(100 + i)).collect() }];
        let past = Past::new(5_000, Step::seconds(1), &values).with_regressors(&columns);
        let cut = past.upto(8).tail(3);
        assert_eq!((cut.start(), cut.values(), cut.end()), (10_000, &[5.0, 6.0, 7.0][..], 13_000));
        assert_eq!((cut.regressors().get(0, 0), cut.ahead().get(0, 0), cut.ahead().get(0, 3)), (105.0, 108.0, 111.0));
        // Beyond its last row a column is 0, and so is a column that there is not.
        assert_eq!((cut.ahead().get(0, 4), cut.ahead().get(1, 0)), (0.0, 0.0));
        let gaps = [f64::NAN, 1.0, f64::NAN, 2.0];
        let past_gaps = Past::new(0, Step::seconds(1), &gaps);
        assert_eq!((past_gaps.latest(9).0.len(), past_gaps.latest(9).1, past_gaps.latest(2).0), (3, 2, &[2.0][..]));
        assert_eq!(past_gaps.latest_at_least(3, 9).unwrap_err(), FitError::TooShort { needed: 3, got: 2 });
        assert_eq!((past.upto(99).len(), past.tail(99).start()), (10, 5_000));
    }

    #[test]
    fn the_last_value_seen_is_no_gap() {
        let values = [1.0, 2.0, f64::NAN];
        assert_eq!(Past::new(0, Step::seconds(1), &values).last_seen(), Some(1_000));
        assert_eq!(Past::new(0, Step::seconds(1), &values[2..]).last_seen(), None);
    }
}
