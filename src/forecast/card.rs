//! Card: the mean of Delta and Rho, calibrated by a regression that takes it for what came.
//!
//! In: a history, in logarithms where it is well above zero. Out: the fitted values of that regression. Delta and Rho err
//! in different ways; their mean is appended to the history and one richer regression is fitted to both, whose fitted
//! values over the appended part are the forecast. Its lags are known numbers there, so nothing can explode.
//!
//! With several seasons Delta, which takes a season from differences of one noisy last value, is left out.
//! Source: Doornik, Castle and Hendry, "Card forecasts for M4", International Journal of Forecasting 36, 2020.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use super::card_data::{Nature, Stretch};
use super::compact::{FINE, Kept};
use super::delta::Path;
use super::lagged::{Design, Explained};
use super::model::{FitError, Fitted, Forecaster, Horizon, Updated};
use super::past::{Past, Regressors};
use super::recent::Shared;
use super::recursion::Recursion;
use super::rho;
use super::transform::Transform;
use crate::series::Season;

/// Steps for which the calibration is made where nobody says how many.
const USUAL_HORIZON: usize = 12;

/// Degrees of freedom that the step of the last cycles needs.
const LEAST_FREE: usize = 10;

/// Seasons whose last cycles may have a slope of their own: quarters, months and four weeks.
const SLOPED: [usize; 3] = [4, 12, 13];

/// Uses all of `seasons`; calibrated for `horizon`.
#[derive(Clone, Debug)]
pub(super) struct Card {
    pub seasons: Vec<Season>,
    pub horizon: Option<Horizon>,
    /// Whether values astray count for less.
    pub is_calm: bool,
}

/// The columns of the calibration beside lags and places.
#[derive(Clone, Copy, Debug)]
struct Columns {
    // A wave of this length; 0 is none.
    wave: usize,
    // Cells from which the step counts.
    step_from: Option<usize>,
    has_slope: bool,
    season: usize,
}

impl Columns {
    fn n(&self) -> usize {
        2 * usize::from(self.wave > 0) + usize::from(self.step_from.is_some()) + usize::from(self.has_slope)
    }

    fn write(&self, idx: usize, row: &mut [f64]) {
        let mut row = row.iter_mut();
        let mut put = |value: f64| row.next().into_iter().for_each(|cell| *cell = value);
        if self.wave > 0 {
            let (sin, cos) = (TAU * (idx % self.wave) as f64 / self.wave as f64).sin_cos();
            put(sin);
            put(cos);
        }
        if let Some(from) = self.step_from {
            let is_late = f64::from(u8::from(idx >= from));
            put(is_late);
            if self.has_slope {
                put(is_late * (idx as f64 - from as f64) / self.season as f64);
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Calibration {
    lags: Box<[usize]>,
    columns: Columns,
    // What a unit of each lag and of each column adds, and what the places do.
    on_lags: Box<[f64]>,
    on_others: Box<[f64]>,
    effects: Kept,
}

#[derive(Clone, Debug)]
struct FittedCard {
    transform: Transform,
    delta: Option<Box<Path>>,
    rho: Recursion,
    calibration: Option<Calibration>,
    // The cell of the coming step.
    next: usize,
    // The last values, the latest last, as many as the calibration's longest lag, or fewer; none where `rho` keeps them.
    recent: Kept,
    season: usize,
}

impl Forecaster for Card {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let mut stretch = Stretch::of(past, &self.seasons)?;
        let (rho, _, nature) = rho::bearable(&mut stretch, self.is_calm)?;
        let delta = (stretch.seasons.len() < 2).then(|| Box::new(Path::of(&stretch.values, stretch.season(), nature)));
        let horizon = self.horizon.map_or(USUAL_HORIZON.max(stretch.season()), Horizon::steps);
        let n_cells = stretch.values.len();
        let mut fitted = FittedCard {
            transform: stretch.transform,
            delta,
            rho,
            calibration: None,
            next: n_cells,
            recent: Kept::none(),
            season: stretch.season(),
        };
        // Beyond its own length a history says little of what the forecasts should be.
        let mut appended = vec![0.0; horizon.min(n_cells)];
        fitted.average_into(&mut appended);
        let mut values = stretch.values;
        values.extend(appended);
        fitted.calibration = calibration(&values, n_cells, &stretch.seasons, nature, self.is_calm);
        let reach = fitted.calibration.as_ref().and_then(|known| known.lags.last().copied()).unwrap_or(0);
        if fitted.rho.reach() < reach {
            fitted.recent = Kept::of(&values[n_cells - reach.min(n_cells)..n_cells]);
        }
        (0..stretch.n_silent).for_each(|_| fitted.take(f64::NAN));
        Ok(Box::new(fitted))
    }
}

/// The regression over `values`, of which those from `n_cells` on are forecasts.
fn calibration(
    values: &[f64],
    n_cells: usize,
    seasons: &[usize],
    nature: Nature,
    is_calm: bool,
) -> Option<Calibration> {
    let season = seasons.first().copied().unwrap_or(1);
    let mut lags = Vec::new();
    if nature.wanders {
        lags.push(1);
        if nature.comes_back && n_cells > 4 * season {
            lags.extend([season, season + 1]);
        }
        for &longer in seasons.iter().skip(1).filter(|longer| n_cells > **longer * 3) {
            lags.extend([longer, longer + 1]);
        }
    }
    lags.sort_unstable();
    lags.dedup();
    let n_places = if nature.has_profile { season } else { 1 };
    let wave = if nature.has_profile || season < 3 { 0 } else { season };
    let n_numbers = lags.len() + n_places + 2 * usize::from(wave > 0) + 2;
    let is_long = n_cells > 3 * season && values.len() > lags.last().unwrap_or(&0) + n_numbers + LEAST_FREE;
    // Two cycles before the end, or half of a shorter history.
    let step_from = (season != 24 && is_long).then(|| n_cells.saturating_sub((4 * season).min(values.len()) / 2 + 1));
    let has_slope = step_from.is_some() && nature.wanders && SLOPED.contains(&season);
    let columns = Columns { wave, step_from, has_slope, season };
    let others = |idx: usize, row: &mut [f64]| columns.write(idx, row);
    let design = Design { lags: &lags, n_places, n_others: columns.n(), others: &others, half_life: None };
    let Explained { on_lags, on_others, effects, .. } = design.explain_as(values, is_calm)?;
    let (on_lags, on_others) = (on_lags.into(), on_others.into());
    Some(Calibration { lags: lags.into(), columns, on_lags, on_others, effects: Kept::of(&effects) })
}

impl FittedCard {
    /// The mean of the two, on the method's scale.
    fn average_into(&self, points: &mut [f64]) {
        self.rho.points_into(points, |point| self.transform.held(point));
        if let Some(delta) = &self.delta {
            let mut other = vec![0.0; points.len()];
            delta.points_into(&mut other);
            for (point, other) in points.iter_mut().zip(other) {
                *point = f64::midpoint(*point, self.transform.held(other));
            }
        }
    }

    /// The value so many steps before the next.
    fn recent(&self, lag: usize) -> f64 {
        if self.recent.is_empty() {
            return self.rho.recent(lag);
        }
        self.recent.get(self.recent.len().saturating_sub(lag))
    }

    fn take(&mut self, value: f64) {
        let mut value = value;
        if value.is_nan() {
            let mut expected = [0.0];
            self.average_into(&mut expected);
            value = expected[0];
            self.rho.take(f64::NAN);
            self.delta.iter_mut().for_each(|delta| delta.take(f64::NAN));
        } else {
            self.rho.take(value);
            self.delta.iter_mut().for_each(|delta| delta.take(value));
        }
        self.recent.shift(value);
        self.next += 1;
    }
}

impl Fitted for FittedCard {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        let mut average = vec![0.0; points.len()];
        self.average_into(&mut average);
        let mut row = vec![0.0; self.calibration.as_ref().map_or(0, |known| known.columns.n())];
        for ahead in 0..points.len() {
            let point = match &self.calibration {
                None => average[ahead],
                Some(Calibration { lags, columns, on_lags, on_others, effects }) => {
                    let idx = self.next + ahead;
                    columns.write(idx, &mut row);
                    let lagged = |lag: usize| match lag {
                        lag if lag <= ahead => average[ahead - lag],
                        lag => self.recent(lag - ahead),
                    };
                    let of_lags: f64 = lags.iter().zip(on_lags).map(|(&lag, c)| c * lagged(lag)).sum();
                    let of_others: f64 = row.iter().zip(on_others).map(|(x, c)| c * x).sum();
                    effects.get(idx % effects.len()) + of_lags + of_others
                }
            };
            points[ahead] = self.transform.undo(point);
        }
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        self.take(self.transform.apply(value));
        Updated::Filtered
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let is_calibrated = f64::from(u8::from(self.calibration.is_some()));
        BTreeMap::from([("season", self.season as f64), ("calibrated", is_calibrated)])
    }

    fn recent(&self) -> Vec<f64> {
        let own: Vec<f64> = if self.recent.is_empty() { self.rho.own() } else { self.recent.iter().collect() };
        own.into_iter().map(|value| self.transform.undo(value)).collect()
    }

    fn lean_on(&mut self, recent: &Shared) {
        if recent.read().len() >= self.recent.len() {
            self.rho.lean_on(recent, self.transform);
            if self.rho.own().is_empty() {
                self.recent = Kept::none();
            }
        }
    }

    fn thin(&mut self, tolerance: f64) {
        let tolerance = self.transform.tolerance(tolerance);
        self.rho.thin(tolerance);
        self.delta.iter_mut().for_each(|delta| delta.thin(tolerance));
        self.recent.coarsen(FINE * tolerance);
        self.calibration.iter_mut().for_each(|known| known.effects.coarsen(FINE * tolerance));
    }

    fn n_bytes(&self) -> usize {
        let calibration = self.calibration.as_ref().map_or(0, |known| {
            size_of_val(&known.lags[..]) * 2 + size_of_val(&known.on_others[..]) + known.effects.n_bytes()
        });
        calibration
            + self.rho.n_bytes()
            + self.delta.as_deref().map_or(0, |delta| size_of::<Path>() + delta.n_bytes())
            + self.recent.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::air_passengers::AIR_PASSENGERS;
    use crate::series::Step;

    /// The paper's rules in numpy, 6 ahead.
    #[test]
    fn it_gives_the_worked_numbers() {
        let horizon = Horizon::new(6);
        let card = Card { seasons: Season::new(12).into_iter().collect(), horizon, is_calm: false };
        let points = card.fit(&Past::new(0, Step::seconds(1), &AIR_PASSENGERS)).unwrap().points(horizon.unwrap());
        for (point, expected) in points.iter().zip([447.71, 430.45, 478.38, 482.00, 497.63, 572.75]) {
            assert!((point - expected).abs() < 0.0051, "{points:?}");
        }
    }

    #[test]
    fn it_moves_on_with_values_and_gaps() {
        let at = |t: usize| 100.0 + 30.0 * (TAU * t as f64 / 12.0).sin() + (t * 37 % 11) as f64 / 5.0;
        let values: Vec<f64> = (0..150).map(at).collect();
        let card = Card { seasons: Season::new(12).into_iter().collect(), horizon: Horizon::new(12), is_calm: false };
        let mut fitted = card.fit(&Past::new(0, Step::seconds(1), &values)).unwrap();
        for t in 150..180 {
            let value = if t % 7 == 0 { f64::NAN } else { at(t) };
            assert_eq!(fitted.update(value, Regressors::NONE), Updated::Filtered);
        }
        let points = fitted.points(Horizon::new(24).unwrap());
        for (ahead, point) in points.iter().enumerate() {
            assert!((point - at(180 + ahead)).abs() < 4.0, "{ahead}: {point} {}", at(180 + ahead));
        }
        assert!(fitted.n_bytes() < 4096);
    }

    #[test]
    fn values_astray_do_not_bend_it() {
        let at = |t: usize| 20.0 + 6.0 * (TAU * (t % 7) as f64 / 7.0).sin();
        let mut noise = crate::forecast::tests::Noise::seeded(2);
        let mut values: Vec<f64> = (0..700).map(|t| at(t) + 0.2 * noise.normal()).collect();
        (9..690).step_by(31).for_each(|t| values[t] = 90.0);
        let horizon = Horizon::new(56);
        let error = |is_calm: bool| {
            let card = Card { seasons: Season::new(7).into_iter().collect(), horizon, is_calm };
            let points = card.fit(&Past::new(0, Step::seconds(3600), &values)).unwrap().points(horizon.unwrap());
            points.iter().enumerate().map(|(ahead, point)| (point - at(700 + ahead)).abs()).sum::<f64>() / 56.0
        };
        assert!(error(true) < 0.5 * error(false), "{} {}", error(true), error(false));
    }
}
