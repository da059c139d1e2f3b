//! What known columns do to a past, as it was known at each of its moments.
//!
//! In: a past and columns. Out: the past without what the columns did, for a method to learn from, and for a replay
//! what of that was not known yet: effects are estimated anew at some moments from what lay before, so that no origin
//! knows of a payday that came after it.

use std::sync::OnceLock;

use super::MOST_LOG;
use super::column::Column;
use super::estimate::{Estimate, Table};
use crate::forecast::past::Past;
use crate::forecast::transform::Transform;
use crate::series::Season;

/// Moments of a past at which effects are estimated: a replay knows those of the last one before each origin.
const N_MOMENTS: usize = 16;

/// Cells between two such moments at least.
const LEAST_CELLS: usize = 4;

/// The effects of columns on the cells of one past.
#[derive(Debug)]
pub(in crate::forecast) struct Learnt {
    transform: Transform,
    table: Table,
    /// What each column is at each cell, less what is usual; 0 where it is not known.
    cells: Vec<Vec<f64>>,
    /// By the whole past.
    now: Vec<Estimate>,
    /// Coefficients by the first cells, so many apart.
    before: Vec<OnceLock<Vec<f64>>>,
    apart: usize,
}

impl Learnt {
    /// Of `columns` on the values of `past`, which has `seasons`.
    pub fn new(past: &Past<'_>, columns: &[Column], seasons: &[Season]) -> Learnt {
        let cells = |column: &Column| -> Vec<f64> {
            (0..past.len()).map(|idx| column.at(past.at(idx), past.length_of(idx)).unwrap_or(f64::NAN)).collect()
        };
        let mut cells: Vec<Vec<f64>> = columns.iter().map(cells).collect();
        let transform = Transform::of(past.values());
        let mut table = Table::new(past, &cells, seasons, &transform);
        let is_never_below = past.values().iter().all(|value| value.is_nan() || *value >= 0.0);
        if is_never_below && matches!(transform, Transform::Linear(_)) {
            table = table.in_shares_if_better(transform.apply(0.0));
        }
        cells.iter_mut().flatten().filter(|x| x.is_nan()).for_each(|x| *x = 0.0);
        let now = table.estimates(table.rows_upto(past.len()));
        let apart = past.len().div_ceil(N_MOMENTS).max(LEAST_CELLS);
        let before = (0..=past.len() / apart).map(|_| OnceLock::new()).collect();
        Learnt { transform, table, cells, now, before, apart }
    }

    /// What each column is worth by the whole past, in the order of the columns.
    pub fn estimates(&self) -> &[Estimate] {
        &self.now
    }

    /// Whether effects are factors, in logarithms, rather than amounts.
    pub fn is_of_factors(&self) -> bool {
        matches!(self.transform, Transform::Log { .. }) || self.table.is_of_shares()
    }

    /// What a unit of a column's coefficient is in the unit of the values, where effects are amounts.
    pub fn unit(&self) -> f64 {
        match &self.transform {
            Transform::Linear(scale) if !self.is_of_factors() => scale.unit(),
            Transform::Linear(_) | Transform::Log { .. } => 1.0,
        }
    }

    /// Whether any column does anything that shows.
    pub fn shows(&self) -> bool {
        self.now.iter().any(|estimate| estimate.coefficient != 0.0)
    }

    /// What `column` is at its furthest from what is usual, in this past.
    pub fn furthest(&self, column: usize) -> f64 {
        self.cells[column].iter().copied().fold(0.0, |most: f64, x| if x.abs() > most.abs() { x } else { most })
    }

    /// `values`, those of the past, without what the columns did.
    pub fn quiet(&self, values: &[f64]) -> Vec<f64> {
        let effect = |cell: usize| -> f64 {
            self.now.iter().zip(&self.cells).map(|(estimate, xs)| estimate.coefficient * xs[cell]).sum()
        };
        values.iter().enumerate().map(|(cell, value)| self.moved(*value, -effect(cell))).collect()
    }

    /// How much more of cell `cell` the columns are known to do now than was known at `origin`.
    pub fn learnt_since(&self, origin: usize, cell: usize) -> f64 {
        let then = self.known_at(origin);
        let parts = self.now.iter().zip(then).zip(&self.cells);
        parts.map(|((now, then), xs)| (now.coefficient - then) * xs.get(cell).copied().unwrap_or(0.0)).sum()
    }

    /// `value` moved by an effect.
    pub fn moved(&self, value: f64, effect: f64) -> f64 {
        if effect == 0.0 {
            return value;
        }
        let moved = if self.is_of_factors() {
            value * effect.clamp(-MOST_LOG, MOST_LOG).exp()
        } else {
            value + effect * self.unit()
        };
        if value.is_nan() { f64::NAN } else { moved.clamp(-f64::MAX, f64::MAX) }
    }

    /// The coefficients that were known at `origin`. What does not show now is no effect at any moment.
    fn known_at(&self, origin: usize) -> &[f64] {
        let nr = (origin / self.apart).min(self.before.len() - 1);
        self.before[nr].get_or_init(|| {
            let found = self.table.estimates(self.table.rows_upto(nr * self.apart));
            let known = found.iter().zip(&self.now);
            known.map(|(then, now)| if now.coefficient == 0.0 { 0.0 } else { then.coefficient }).collect()
        })
    }
}

/// The effects that a past was freed of, seen from one of its cells on.
#[derive(Clone, Copy, Debug)]
pub(in crate::forecast) struct Freed<'a> {
    learnt: &'a Learnt,
    from: usize,
}

impl<'a> Freed<'a> {
    /// Of the effects in `learnt`.
    pub fn of(learnt: &'a Learnt) -> Freed<'a> {
        Freed { learnt, from: 0 }
    }

    /// The same, seen from `n` cells later.
    #[must_use]
    pub fn skip(self, n: usize) -> Freed<'a> {
        Freed { from: self.from + n, ..self }
    }

    /// A value of `cell` as it would be if it were freed of what was known at `origin`.
    pub fn as_known_at(self, origin: usize, cell: usize, value: f64) -> f64 {
        self.learnt.moved(value, self.learnt.learnt_since(self.from + origin, self.from + cell))
    }

    /// The other way round: a point for `cell` among values so freed, among those of the past.
    pub fn as_known_now(self, origin: usize, cell: usize, point: f64) -> f64 {
        self.learnt.moved(point, -self.learnt.learnt_since(self.from + origin, self.from + cell))
    }

    /// The first `values` of the past as they were known at their end.
    pub fn before(self, values: &[f64]) -> Vec<f64> {
        let origin = values.len();
        values.iter().enumerate().map(|(cell, value)| self.as_known_at(origin, cell, *value)).collect()
    }
}
