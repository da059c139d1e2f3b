//! What known columns are worth: a regression with errors that remember, on all of a past.
//!
//! In: a past and columns. Out: for each column a coefficient and how sure it is. Beside the columns stand what would
//! else pass for their effects: the places of the longest cycle that was seen often enough, waves of other cycles,
//! weekdays, a trend; and the errors' autoregression, as in [`dynamic_regression`](crate::forecast) and by the same
//! source. Places are taken off every column before the sums are made (Frisch and Waugh, "Partial time regressions as
//! compared with individual trends", 1933): filtered by an autoregression, a cycle stays a cycle.
//!
//! How far off a coefficient may be is told twice, by the regression and by what the same pattern would have seemed to
//! do at moments when nothing happened, and the worse is believed: errors that go together for a day are many cells and
//! one accident (placebo tests in space and time: Abadie, Diamond and Hainmueller, "Synthetic control methods for
//! comparative case studies", 2010). A past of many cells is looked at by means of several.

use std::f64::consts::TAU;

use chrono::Datelike;

use crate::forecast::backtest::mean;
use crate::forecast::day_columns::day_of;
use crate::forecast::dynamic_regression::autoregression;
use crate::forecast::least_squares::{Normal, dot};
use crate::forecast::past::Past;
use crate::forecast::transform::Transform;
use crate::series::{DAY, Millis, Season, WEEK};

/// Rows of a regression, at most.
const MOST_ROWS: usize = 6_000;

/// Cycles that were seen from which on each place has its own effect.
const ENOUGH_CYCLES: usize = 4;

/// Waves of each other cycle.
const N_WAVES: usize = 4;

/// Rows that each coefficient must have to itself.
const LEAST_PER_COLUMN: usize = 4;

/// How often a thing must have happened to have taught anything.
pub(super) const LEAST_TIMES: usize = 2;

/// Coefficients count that are so many times as large as what they may be off by. With 2, one meaningless column in
/// twenty would count.
const SHOWS: f64 = 2.5;

/// Effects count that are at least so large, on a scale on which the series has about the size of one: smaller ones are
/// rounding where there is no noise.
const LEAST_EFFECT: f64 = 1e-6;

/// What is left at least of what is usual where a column takes a share of it.
const LEAST_FACTOR: f64 = 0.01;

/// Moments at which a pattern is tried where it did not happen.
const N_PLACEBOS: usize = 48;

/// What a column is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::forecast) struct Estimate {
    /// How often it happened beside a value.
    pub n_times: usize,
    /// What a unit of it adds on the regression's scale, held back by how unsure it is; 0 where it does not show.
    pub coefficient: f64,
    /// By how much it may be off the next time, as a standard deviation: what it does differs from time to time.
    pub deviation: f64,
}

/// The cells of a past and its columns, as rows of a regression.
#[derive(Debug)]
pub(super) struct Table {
    /// Cells in a row.
    per_row: usize,
    /// Cells left out before the first row.
    skipped: usize,
    values: Vec<f64>,
    /// In their furthest from what is usual, so that sums neither overflow nor vanish.
    given: Vec<Vec<f64>>,
    furthest: Vec<f64>,
    /// In cells, and longer than a row.
    seasons: Vec<usize>,
    weekdays: Option<Vec<u32>>,
    /// What nothing is, where columns add a share of what is usual at a place of the cycle rather than an amount.
    nothing: Option<f64>,
}

impl Table {
    /// Of a past, with what each column is at each of its cells, NaN where that is not known; `transform` is applied to
    /// the values of the rows.
    pub fn new(past: &Past<'_>, cells: &[Vec<f64>], seasons: &[Season], transform: &Transform) -> Table {
        let mut seasons: Vec<usize> = seasons.iter().map(|season| season.steps()).collect();
        seasons.sort_unstable();
        seasons.dedup();
        let per_row = per_row(past.len(), seasons.first().copied());
        let skipped = past.len() % per_row;
        let rows = |cells: &[f64]| -> Vec<f64> {
            cells[skipped..].chunks_exact(per_row).map(|row| mean(row.iter().copied())).collect()
        };
        let mut values: Vec<f64> = rows(past.values()).iter().map(|&value| transform.apply(value)).collect();
        let mut given: Vec<Vec<f64>> = cells.iter().map(|cells| rows(cells)).collect();
        for column in &mut given {
            // A row of which one column is not known tells nothing of the others either.
            for (x, value) in column.iter_mut().zip(&mut values).filter(|(x, _)| x.is_nan()) {
                (*x, *value) = (0.0, f64::NAN);
            }
        }
        let furthest: Vec<f64> =
            given.iter().map(|column| column.iter().fold(0.0, |most: f64, x| most.max(x.abs()))).collect();
        for (column, furthest) in given.iter_mut().zip(&furthest).filter(|(_, furthest)| **furthest > 0.0) {
            column.iter_mut().for_each(|x| *x /= furthest);
        }
        seasons.retain(|season| *season > per_row);
        let step = past.step().millis();
        let len = step.saturating_mul(per_row as Millis);
        let has_week = seasons.iter().any(|&season| step.saturating_mul(season as Millis) % WEEK == 0);
        let span = len.saturating_mul(values.len() as Millis);
        let weekday = |row: usize| {
            day_of(past.facts().zone, past.at(skipped + row * per_row), len)
                .map_or(6, |day| day.weekday().num_days_from_monday())
        };
        let has_weekdays = len <= DAY && span >= 3 * WEEK && !has_week;
        let weekdays = has_weekdays.then(|| (0..values.len()).map(weekday).collect());
        Table { per_row, skipped, values, given, furthest, seasons, weekdays, nothing: None }
    }

    /// The same where columns add shares of what is usual, `nothing` being zero on the values' scale, if that leaves
    /// less unexplained: a series that rests at night has half as much again of nothing then.
    pub fn in_shares_if_better(mut self, nothing: f64) -> Table {
        let n_rows = self.values.len();
        let of_amounts = self.unexplained(n_rows);
        self.nothing = Some(nothing);
        let of_shares = self.unexplained(n_rows);
        if !of_amounts.zip(of_shares).is_some_and(|(amounts, shares)| shares < amounts) {
            self.nothing = None;
        }
        self
    }

    /// Whether columns add shares.
    pub fn is_of_shares(&self) -> bool {
        self.nothing.is_some()
    }

    /// The sum of squares that a plain regression leaves.
    fn unexplained(&self, n_rows: usize) -> Option<f64> {
        let (n_places, mut columns) = self.own(n_rows);
        columns.extend(self.scaled(n_rows, n_places));
        let found = Regression::new(&self.values[..n_rows], &columns, n_places)?;
        Some(found.rests.iter().filter(|rest| !rest.is_nan()).map(|rest| rest * rest).sum())
    }

    /// The given columns; where they add shares, times what is usual at each place of the cycle while all of them are.
    fn scaled(&self, n_rows: usize, n_places: usize) -> Vec<Vec<f64>> {
        let given = self.given.iter().map(|column| column[..n_rows].to_vec());
        let Some(nothing) = self.nothing else { return given.collect() };
        let mut usual = vec![(0.0, 0.0); n_places];
        for row in (0..n_rows).filter(|&row| self.given.iter().all(|column| column[row] == 0.0)) {
            let place = &mut usual[row % n_places];
            if !self.values[row].is_nan() {
                *place = (place.0 + self.values[row] - nothing, place.1 + 1.0);
            }
        }
        let level = |row: usize| {
            let (sum, n) = usual[row % n_places];
            if n > 0.0 { (sum / n).max(0.0) } else { 0.0 }
        };
        given.map(|column| column.iter().enumerate().map(|(row, x)| x * level(row)).collect()).collect()
    }

    /// How many rows there are up to cell `n_cells` of the past.
    pub fn rows_upto(&self, n_cells: usize) -> usize {
        (n_cells.saturating_sub(self.skipped) / self.per_row).min(self.values.len())
    }

    /// What each column is worth, by the first `n_rows` rows.
    pub fn estimates(&self, n_rows: usize) -> Vec<Estimate> {
        let values = &self.values[..n_rows];
        let given: Vec<&[f64]> = self.given.iter().map(|column| &column[..n_rows]).collect();
        let times: Vec<Vec<(usize, usize)>> = given.iter().map(|column| times(column, values)).collect();
        let mut estimates: Vec<Estimate> =
            times.iter().map(|times| Estimate { n_times: times.len(), ..Estimate::default() }).collect();
        let used: Vec<usize> = (0..given.len()).filter(|&nr| times[nr].len() >= LEAST_TIMES).collect();
        let n_known = values.iter().filter(|value| !value.is_nan()).count();
        let (n_places, own) = self.own(n_rows);
        let n_own = own.len();
        let scaled = self.scaled(n_rows, n_places);
        let columns: Vec<Vec<f64>> = own.into_iter().chain(used.iter().map(|&nr| scaled[nr].clone())).collect();
        if used.is_empty() || n_known < n_places.min(n_known) + LEAST_PER_COLUMN * columns.len() {
            return estimates;
        }
        let Some(plain) = Regression::new(values, &columns, n_places) else { return estimates };
        let memory = autoregression(&plain.rests);
        let filtered = (!memory.is_empty()).then(|| {
            let columns: Vec<Vec<f64>> = columns.iter().map(|column| filtered(column, &memory)).collect();
            Regression::new(&filtered(values, &memory), &columns, n_places)
        });
        let found = filtered.flatten();
        let found = found.as_ref().unwrap_or(&plain);
        for (place, &nr) in used.iter().enumerate() {
            let reach = memory.len();
            let (coefficient, error, spread) = found.of(n_own + place, &times[nr], reach);
            if coefficient.abs() > (SHOWS * error).max(LEAST_EFFECT) && plain.helps(n_own + place, &times[nr]) {
                // What is left of an estimate when its chance part is taken off: James and Stein, 1961.
                let held_back = coefficient * (1.0 - (error / coefficient).powi(2));
                let (by, deviation) = self.effect(held_back, error.hypot(spread));
                estimates[nr].coefficient = by / self.furthest[nr];
                estimates[nr].deviation = deviation / self.furthest[nr];
            }
        }
        estimates
    }

    /// A coefficient with its deviation as the logarithm of a factor, where columns add shares.
    fn effect(&self, coefficient: f64, deviation: f64) -> (f64, f64) {
        if !self.is_of_shares() {
            return (coefficient, deviation);
        }
        let factor = (1.0 + coefficient).max(LEAST_FACTOR);
        (factor.ln(), deviation / factor)
    }

    /// The places that are told apart, and the columns that stand beside the given ones.
    fn own(&self, n_rows: usize) -> (usize, Vec<Vec<f64>>) {
        let rows = || 0..n_rows;
        let (per_row, n_cells) = (self.per_row, n_rows * self.per_row);
        let has_places =
            |season: &&usize| season.is_multiple_of(per_row) && season.saturating_mul(ENOUGH_CYCLES) <= n_cells;
        let n_places = self.seasons.iter().filter(has_places).max().map_or(1, |season| season / per_row);
        let is_other =
            |season: &&usize| !(n_places * per_row).is_multiple_of(**season) && season.saturating_mul(2) <= n_cells;
        let mut own = vec![rows().map(|row| row as f64 / n_rows as f64).collect::<Vec<f64>>()];
        for &season in self.seasons.iter().filter(is_other) {
            for nr in 1..=N_WAVES.min(season / (2 * per_row)) {
                let turn = |row: usize| TAU * (nr * (row * per_row % season)) as f64 / season as f64;
                own.push(rows().map(|row| turn(row).sin()).collect());
                own.push(rows().map(|row| turn(row).cos()).collect());
            }
        }
        if let Some(weekdays) = &self.weekdays {
            let is = |day: u32| rows().map(|row| f64::from(u8::from(weekdays[row] == day))).collect();
            own.extend((0..6).map(is));
        }
        (n_places, own)
    }
}

/// Cells in a row, so that a past of `n_cells` has few enough: a part of the shortest season, or whole ones, where that
/// does not make rows much longer. What happens for an hour does not show in the mean of a day.
fn per_row(n_cells: usize, season: Option<usize>) -> usize {
    let least = n_cells.div_ceil(MOST_ROWS).max(1);
    let Some(season) = season else { return least };
    let fits = |n: &usize| season.is_multiple_of(*n) || n.is_multiple_of(season);
    (least..=2 * least).find(fits).unwrap_or(least)
}

/// From where to where a column is above what is usual, or below it, one after the other, where values are known.
fn times(column: &[f64], values: &[f64]) -> Vec<(usize, usize)> {
    let side = |row: usize| column.get(row).filter(|x| **x != 0.0).map(|x| *x > 0.0);
    let mut times = Vec::new();
    let mut from = 0;
    for row in 1..=column.len() {
        if side(row) != side(from) || row == column.len() {
            if side(from).is_some() && values[from..row].iter().any(|value| !value.is_nan()) {
                times.push((from, row));
            }
            from = row;
        }
    }
    times
}

/// What is left of each cell when what the ones before leave in it is taken off; NaN for the first, which have none.
fn filtered(cells: &[f64], memory: &[f64]) -> Vec<f64> {
    let left = |idx: usize| -> f64 {
        if idx < memory.len() {
            return f64::NAN;
        }
        cells[idx] - memory.iter().enumerate().map(|(back, weight)| weight * cells[idx - back - 1]).sum::<f64>()
    };
    (0..cells.len()).map(left).collect()
}

/// A regression on columns and places.
struct Regression {
    /// Less the means of their places; 0 in rows that tell nothing.
    columns: Vec<Vec<f64>>,
    /// What is left of each row; NaN where it tells nothing.
    rests: Vec<f64>,
    coefficients: Vec<f64>,
    errors: Vec<f64>,
}

impl Regression {
    fn new(values: &[f64], columns: &[Vec<f64>], n_places: usize) -> Option<Regression> {
        let known: Vec<usize> = (0..values.len()).filter(|&row| !values[row].is_nan()).collect();
        let mut counts = vec![0.0; n_places];
        known.iter().for_each(|row| counts[row % n_places] += 1.0);
        let off_places = |cells: &[f64]| -> Vec<f64> {
            let mut means = vec![0.0; n_places];
            known.iter().for_each(|row| means[row % n_places] += cells[*row] / counts[row % n_places]);
            known.iter().map(|row| cells[*row] - means[row % n_places]).collect()
        };
        let off: Vec<Vec<f64>> = columns.iter().map(|column| off_places(column)).collect();
        let own = off_places(values);
        let solution = Normal::of_columns(off.iter().map(Vec::as_slice), &own, None).solve()?;
        let n_used = counts.iter().filter(|count| **count > 0.0).count();
        let deviation = solution.deviation(n_used);
        let errors = (0..columns.len()).map(|nr| solution.standard_error(nr, deviation)).collect();
        let mut left = own;
        for (column, coefficient) in off.iter().zip(&solution.coefficients) {
            left.iter_mut().zip(column).for_each(|(left, x)| *left -= coefficient * x);
        }
        let spread = |cells: &[f64], gap: f64| {
            let mut rows = vec![gap; values.len()];
            known.iter().zip(cells).for_each(|(row, cell)| rows[*row] = *cell);
            rows
        };
        let columns = off.iter().map(|column| spread(column, 0.0)).collect();
        Some(Regression { columns, rests: spread(&left, f64::NAN), coefficients: solution.coefficients, errors })
    }

    /// Whether values at `times` are nearer to what is expected of them with the column than without it. An amount that
    /// is right in the mean of a day helps nobody where half of the day has twice as much and the other half nothing.
    fn helps(&self, nr: usize, times: &[(usize, usize)]) -> bool {
        let rows = || times.iter().flat_map(|&(from, to)| from..to).filter(|&row| !self.rests[row].is_nan());
        let off = |row: usize| (self.rests[row] + self.coefficients[nr] * self.columns[nr][row]).abs();
        rows().map(|row| self.rests[row].abs()).sum::<f64>() < rows().map(off).sum::<f64>()
    }

    /// The coefficient of a column that happened at `times`, how far off it may be, and how it differs from time to
    /// time, both as standard deviations; what happens is felt for `reach` rows longer.
    fn of(&self, nr: usize, times: &[(usize, usize)], reach: usize) -> (f64, f64, f64) {
        let column = &self.columns[nr];
        let rests: Vec<f64> = self.rests.iter().map(|rest| if rest.is_nan() { 0.0 } else { *rest }).collect();
        let power = dot(column, column);
        if power <= 0.0 {
            return (0.0, 0.0, 0.0);
        }
        let n = column.len();
        let placebo = |nr: usize| {
            let shift = ((2 * nr + 1) * n / (2 * N_PLACEBOS)).min(n - 1);
            let moved = dot(&column[..n - shift], &rests[shift..]) + dot(&column[n - shift..], &rests[..shift]);
            (moved / power).powi(2)
        };
        let by_chance = (0..N_PLACEBOS).map(placebo).sum::<f64>() / N_PLACEBOS as f64;
        let (mut weights, mut squares) = (0.0, 0.0);
        for &(from, to) in times {
            let rows = from..(to + reach).min(n);
            let weight = dot(&column[rows.clone()], &column[rows.clone()]);
            if weight > 0.0 {
                let off = dot(&column[rows.clone()], &rests[rows]) / weight;
                weights += weight;
                squares += weight * off * off;
            }
        }
        let m = times.len() as f64;
        let spread = if weights > 0.0 && m > 1.0 { (squares / weights * m / (m - 1.0)).sqrt() } else { 0.0 };
        (self.coefficients[nr], self.errors[nr].max(by_chance.sqrt()), spread)
    }
}
