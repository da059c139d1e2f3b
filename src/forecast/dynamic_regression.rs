//! Dynamic regression: what is known of a moment, and errors that remember.
//!
//! In: a history, in logarithms where it is well above zero, and the columns known beside it. Out: waves of each
//! season, a trend that fades, weekdays and the turn of the month on the wall's clock, every given column (a holiday, a
//! planned load), and an autoregression of what these leave, continued. One fit answers several what-ifs: the columns
//! ahead come in when it looks ahead.
//!
//! Estimated twice: plainly, then on values and columns filtered by the errors' autoregression, so that errors that
//! remember do not pass for effects. A given column is held back as by one more time at which it had no effect, so that
//! a single event teaches half of what it seemed to do. Rows at gaps are left out. Source: Hyndman and Athanasopoulos,
//! "Forecasting: Principles and Practice", on dynamic regression and harmonics; Cochrane and Orcutt, "Application of
//! least squares regression to relationships containing autocorrelated error terms", 1949.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use super::day_columns::DayColumns;
use super::lagged::Design;
use super::least_squares::Normal;
use super::model::{FitError, Fitted, Forecaster, Updated};
use super::past::{Past, Regressors};
use super::recursion::Recursion;
use super::transform::Transform;
use crate::series::{Millis, Season, WEEK};

/// Cells that a fit looks back on.
const LONGEST: usize = 2000;

/// Cycles of the longest season that a fit looks back on when that is longer.
const MOST_CYCLES: usize = 4;

/// Waves per season, tried in turn until there are values enough.
const WAVES: [usize; 5] = [10, 6, 3, 1, 0];

/// Values that a column must have to itself.
const LEAST_PER_COLUMN: usize = 4;

/// The longest autoregression of the errors.
const MOST_LAGS: usize = 3;

/// The least values a fit needs.
const LEAST_VALUES: usize = 6;

/// Uses all of `seasons`.
#[derive(Clone, Debug)]
pub(super) struct DynamicRegression {
    pub seasons: Vec<Season>,
}

/// What is known of a cell, as numbers: a constant, the trend, waves, the calendar, the given columns.
#[derive(Clone, Debug)]
struct Columns {
    seasons: Vec<usize>,
    n_waves: usize,
    days: DayColumns,
    n_given: usize,
    n_cells: usize,
}

impl Columns {
    fn n_waves(&self, season: usize) -> usize {
        self.n_waves.min(season / 2)
    }

    /// Columns before the given ones.
    fn n_own(&self) -> usize {
        let of_waves: usize = self.seasons.iter().map(|&season| 2 * self.n_waves(season)).sum();
        2 + of_waves + self.days.n()
    }

    fn n(&self) -> usize {
        self.n_own() + self.n_given
    }

    /// The row of cell `idx`, whose given columns are `ahead` of where `known` stands.
    fn write(&self, idx: usize, known: Regressors<'_>, ahead: usize, row: &mut [f64]) {
        let mut cells = row.iter_mut();
        let mut put = |value: f64| cells.next().into_iter().for_each(|cell| *cell = value);
        put(1.0);
        // Within the history a line from -1 to 0; beyond it the trend fades over half as long.
        let n = self.n_cells as f64;
        let beyond = idx as f64 - (n - 1.0);
        put(if beyond <= 0.0 { beyond / n } else { 0.5 * (1.0 - (-2.0 * beyond / n).exp()) });
        for &season in &self.seasons {
            let turn = TAU * (idx % season) as f64 / season as f64;
            for nr in 1..=self.n_waves(season) {
                let (sin, cos) = (nr as f64 * turn).sin_cos();
                put(sin);
                put(cos);
            }
        }
        self.days.write(idx, &mut put);
        (0..self.n_given).for_each(|column| put(known.get(column, ahead)));
    }
}

#[derive(Clone, Debug)]
struct FittedDynamic {
    transform: Transform,
    columns: Columns,
    coefficients: Vec<f64>,
    errors: Recursion,
    on_errors: Vec<f64>,
    // The cell of the coming step.
    next: usize,
}

fn along(row: &[f64], coefficients: &[f64]) -> f64 {
    row.iter().zip(coefficients).map(|(x, c)| x * c).sum()
}

/// What `coefficients` leave of each value; NaN at gaps.
fn rests(values: &[f64], rows: &[f64], coefficients: &[f64]) -> Vec<f64> {
    let k = coefficients.len();
    values.iter().zip(rows.chunks_exact(k)).map(|(value, row)| value - along(row, coefficients)).collect()
}

/// The coefficients where values and columns are filtered by `on_errors`, those from `n_own` on held back.
fn regress(values: &[f64], rows: &[f64], k: usize, n_own: usize, on_errors: &[f64]) -> Option<Vec<f64>> {
    let mut sums = Normal::new(k);
    let mut filtered = vec![0.0; k];
    for idx in on_errors.len()..values.len() {
        filtered.copy_from_slice(&rows[idx * k..(idx + 1) * k]);
        let mut value = values[idx];
        for (back, weight) in on_errors.iter().enumerate() {
            let before = idx - back - 1;
            value -= weight * values[before];
            filtered.iter_mut().zip(&rows[before * k..]).for_each(|(column, x)| *column -= weight * x);
        }
        if !value.is_nan() {
            sums.add(&filtered, value, 1.0);
        }
    }
    for column in n_own..k {
        let largest = rows.iter().skip(column).step_by(k).fold(0.0f64, |most, x| most.max(x.abs()));
        let mut alone = vec![0.0; k];
        alone[column] = largest;
        sums.add(&alone, 0.0, 1.0);
    }
    Some(sums.solve()?.coefficients)
}

/// The autoregression of `errors` with the least AICc: its coefficients, lag 1 first; none where none helps.
pub(super) fn autoregression(errors: &[f64]) -> Vec<f64> {
    let n_known = errors.iter().filter(|error| !error.is_nan()).count() as f64;
    let power: f64 = errors.iter().filter(|error| !error.is_nan()).map(|error| error * error).sum();
    let score = |variance: f64, k: f64, n: f64| n * variance.max(1e-300).ln() + 2.0 * k * n / (n - k - 1.0).max(1.0);
    let mut best = (score(power / n_known.max(1.0), 1.0, n_known), Vec::new());
    for p in 1..=MOST_LAGS {
        let lags: Vec<usize> = (1..=p).collect();
        // All from the same cell on, so that they compare.
        let Some(explained) = Design::of(&lags, 1).explain(errors, MOST_LAGS) else { break };
        let found = score(explained.deviation.powi(2), p as f64 + 2.0, n_known);
        if found < best.0 {
            best = (found, explained.on_lags);
        }
    }
    // Errors that grow would be a trend, which is a column.
    let size: f64 = best.1.iter().map(|weight: &f64| weight.abs()).sum();
    if size > 1.0 && best.1.iter().sum::<f64>() > MOST_MEMORY {
        let by = MOST_MEMORY / best.1.iter().sum::<f64>();
        best.1.iter_mut().for_each(|weight| *weight *= by);
    }
    best.1
}

/// The most of an error that may be left a step later.
const MOST_MEMORY: f64 = 0.999;

impl DynamicRegression {
    fn columns(&self, tail: &Past<'_>, n_values: usize) -> Columns {
        let mut seasons: Vec<usize> = self.seasons.iter().map(|season| season.steps()).collect();
        seasons.sort_unstable();
        seasons.dedup();
        seasons.retain(|season| 2 * season <= tail.len());
        let step = tail.step().millis();
        let has_week = seasons.iter().any(|&season| step.saturating_mul(season as Millis) % WEEK == 0);
        let mut columns = Columns {
            seasons,
            n_waves: 0,
            days: DayColumns::of(tail, has_week),
            n_given: tail.regressors().columns().len(),
            n_cells: tail.len(),
        };
        for n_waves in WAVES {
            columns.n_waves = n_waves;
            if columns.n_own() * LEAST_PER_COLUMN <= n_values {
                return columns;
            }
        }
        columns.days = columns.days.left_out();
        columns
    }
}

impl Forecaster for DynamicRegression {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let longest = self.seasons.iter().map(|season| season.steps()).max().unwrap_or(1);
        let tail = past.tail(LONGEST.max(MOST_CYCLES * longest));
        let n_values = tail.len() - tail.n_gaps();
        if n_values < LEAST_VALUES {
            return Err(FitError::TooShort { needed: LEAST_VALUES, got: n_values });
        }
        let transform = Transform::of(tail.values());
        let values: Vec<f64> = tail.values().iter().map(|&value| transform.apply(value)).collect();
        let columns = self.columns(&tail, n_values);
        let (k, n_own) = (columns.n(), columns.n_own());
        let mut rows = vec![0.0; values.len() * k];
        for (idx, row) in rows.chunks_exact_mut(k).enumerate() {
            columns.write(idx, tail.regressors(), idx, row);
        }
        let lost = || FitError::NotFinite("the columns' sums".to_owned());
        let plain = regress(&values, &rows, k, n_own, &[]).ok_or_else(lost)?;
        let on_errors = autoregression(&rests(&values, &rows, &plain));
        let coefficients = if on_errors.is_empty() {
            plain
        } else {
            regress(&values, &rows, k, n_own, &on_errors).ok_or_else(lost)?
        };
        let lags: Vec<usize> = (1..=on_errors.len()).collect();
        let errors = Recursion::new(&lags, &on_errors, &[0.0], &rests(&values, &rows, &coefficients));
        Ok(Box::new(FittedDynamic { transform, columns, coefficients, errors, on_errors, next: values.len() }))
    }
}

impl Fitted for FittedDynamic {
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]) {
        self.errors.points_into(points, |error| error.clamp(-1e60, 1e60));
        let mut row = vec![0.0; self.columns.n()];
        for (ahead, point) in points.iter_mut().enumerate() {
            self.columns.write(self.next + ahead, known, ahead, &mut row);
            *point = self.transform.undo(*point + along(&row, &self.coefficients));
        }
    }

    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        let mut row = vec![0.0; self.columns.n()];
        self.columns.write(self.next, known, 0, &mut row);
        self.errors.take(self.transform.apply(value) - along(&row, &self.coefficients));
        self.next += 1;
        Updated::Filtered
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let mut settings = BTreeMap::from([
            ("columns", self.columns.n() as f64),
            ("waves", self.columns.n_waves as f64),
            ("memory", self.on_errors.iter().sum()),
        ]);
        let names = ["season", "second_season", "third_season"];
        settings.extend(names.into_iter().zip(self.columns.seasons.iter().map(|&steps| steps as f64)));
        settings
    }

    fn n_bytes(&self) -> usize {
        let lists = size_of_val(&self.coefficients[..]) + size_of_val(&self.on_errors[..]);
        lists + size_of_val(&self.columns.seasons[..]) + self.errors.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike};

    use super::*;
    use crate::forecast::tests::Noise;
    use crate::forecast::{Facts, Horizon, Regressor};
    use crate::series::{DAY, HOUR, Step};

    fn seasons(steps: &[usize]) -> DynamicRegression {
        DynamicRegression { seasons: steps.iter().filter_map(|&steps| Season::new(steps)).collect() }
    }

    #[test]
    fn an_event_a_wave_and_errors_that_remember_are_told_apart() {
        let mut noise = Noise::seeded(31);
        let errors = noise.walk(1200, 0.7);
        let is_event = |t: usize| f64::from(u8::from(t * 7919 % 97 < 3));
        let at = |t: usize| 20.0 * (TAU * t as f64 / 24.0).sin() + 15.0 * is_event(t);
        let mut values: Vec<f64> = (0..1000).map(|t| at(t) + errors[t]).collect();
        values[500] = f64::NAN;
        let columns = [Regressor { name: "event".to_owned(), values: (0..1100).map(is_event).collect() }];
        let past = Past::new(0, Step::new(HOUR).unwrap(), &values).with_regressors(&columns);
        let fitted = seasons(&[24]).fit(&past).unwrap();
        assert!((fitted.settings()["memory"] - 0.7).abs() < 0.07, "{:?}", fitted.settings());
        let (mut with, mut without) = ([0.0; 97], [0.0; 97]);
        fitted.points_into(past.ahead(), &mut with);
        fitted.points_into(Regressors::NONE, &mut without);
        for ahead in 0..97 {
            let effect = with[ahead] - without[ahead];
            assert!((effect - 15.0 * is_event(1000 + ahead)).abs() < 1.0, "{ahead}: {effect}");
            let remembered = errors[999] * 0.7f64.powi(ahead as i32 + 1);
            assert!((with[ahead] - at(1000 + ahead) - remembered).abs() < 1.6, "{ahead}");
        }
    }

    #[test]
    fn a_value_taken_in_moves_the_errors_on() {
        let errors = Noise::seeded(2).walk(700, 0.8);
        let at = |t: usize| 5.0 * (TAU * t as f64 / 12.0).cos() + errors[t];
        let values: Vec<f64> = (0..700).map(at).collect();
        let past = Past::new(0, Step::new(HOUR).unwrap(), &values);
        let mut fitted = seasons(&[12]).fit(&past.upto(600)).unwrap();
        let mut point = [0.0];
        let mut off = 0.0;
        for &value in &values[600..] {
            fitted.points_into(Regressors::NONE, &mut point);
            off += (value - point[0]).abs() / 100.0;
            assert_eq!(fitted.update(value, Regressors::NONE), Updated::Filtered);
        }
        // The mean size of a standard normal is 0.8.
        assert!(off < 0.95, "{off}");
        assert!(fitted.n_bytes() < 4096);
    }

    #[test]
    fn weekdays_and_the_turn_of_the_month_go_by_the_clock_on_the_wall() {
        // 1 January 2024 is a Monday; two hours ahead of UTC its first hours lie in the old year.
        let zone = 2 * HOUR;
        let start = 1_704_067_200_000 - zone;
        let at = |t: usize| {
            let day = DateTime::from_timestamp_millis(start + zone + t as Millis * DAY).unwrap().date_naive();
            let is_weekend = day.weekday().num_days_from_monday() >= 5;
            100.0 - if is_weekend { 40.0 } else { 0.0 } + if day.day() == 1 { 30.0 } else { 0.0 }
        };
        let values: Vec<f64> = (0..500).map(|t| at(t) - 100.0).collect();
        let facts = Facts { zone: "+02:00".parse().unwrap(), ..Facts::default() };
        let past = Past::new(start, Step::new(DAY).unwrap(), &values).with_facts(&facts);
        let points = seasons(&[]).fit(&past).unwrap().points(Horizon::new(60).unwrap());
        for (ahead, point) in points.into_iter().enumerate() {
            assert!((point - at(500 + ahead) + 100.0).abs() < 3.0, "{ahead}: {point} {}", at(500 + ahead) - 100.0);
        }
    }
}
