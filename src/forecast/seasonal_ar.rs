//! Seasonal autoregression: a value is what the last one, the one a cycle ago and the place of the cycle make it.
//!
//! In: a history, in logarithms where it is well above zero. Out: the recursion, continued. The value is regressed on
//! the one before, on the ones a cycle and a cycle and a step ago of each season, and on the places of the shortest
//! season, by least squares in which values far astray count for less. Rows that touch a gap are left out; a gap among
//! the last values is bridged by what the model expected there. In a short history the longest season goes first, then
//! all lags.
//!
//! Where the last value counts so much that a unit root cannot be told from it, the differences are regressed instead
//! and the drift is shrunk by its own uncertainty: the root rule of Doornik, Castle and Hendry, "Card forecasts for M4",
//! International Journal of Forecasting 36, 2020.

use std::f64::consts::TAU;

use super::continued::Continued;
use super::lagged::{Design, Explained};
use super::model::{FitError, Fitted, Forecaster};
use super::past::Past;
use super::recursion::Recursion;
use super::transform::Transform;
use crate::series::Season;

/// Cells that a fit looks back on: half a year of hours.
const LONGEST: usize = 5000;

/// Cycles of the longest season that a fit looks back on when that is longer.
const MOST_CYCLES: usize = 8;

/// The least values a fit needs.
const LEAST_VALUES: usize = 6;

/// A first coefficient that may, by two standard errors, be as large as this is taken for 1.
const ROOT: f64 = 0.99;

/// Cycles of the longest season after which a value counts half, but no fewer cells than [`LEAST_HALF_LIFE`].
const HALF_LIFE: f64 = 2.5;

/// Cells after which a value may count half at the soonest.
const LEAST_HALF_LIFE: f64 = 100.0;

/// Cycles from which each place of the cycle has an effect of its own; below, the cycle is a sum of waves.
const ENOUGH_CYCLES: usize = 3;

/// Places above which a cycle is a sum of waves, unless there are so many more cycles.
const MOST_PLACES: usize = 336;

/// Waves that a cycle of many places is made of.
const MOST_WAVES: usize = 8;

const NAMES: [&str; 6] = ["first_coefficient", "deviation", "log", "season", "second_season", "third_season"];

/// Uses all of `seasons`.
#[derive(Clone, Debug)]
pub(super) struct SeasonalAr {
    pub seasons: Vec<Season>,
    /// A first coefficient that may be as large as this is taken for a unit root.
    pub root: f64,
    /// Cycles of the longest season after which a value counts half; all count alike without.
    pub half_life: Option<f64>,
    /// Whether values astray count for less.
    pub is_calm: bool,
}

impl SeasonalAr {
    pub fn of(seasons: &[Season]) -> SeasonalAr {
        SeasonalAr { seasons: seasons.to_vec(), root: ROOT, half_life: Some(HALF_LIFE), is_calm: true }
    }
}

impl Forecaster for SeasonalAr {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let mut seasons: Vec<usize> = self.seasons.iter().map(|season| season.steps()).collect();
        seasons.sort_unstable();
        seasons.dedup();
        let longest = seasons.last().copied().unwrap_or(1);
        let tail = past.tail(LONGEST.max(MOST_CYCLES * longest));
        let n_values = tail.len() - tail.n_gaps();
        if n_values < LEAST_VALUES {
            return Err(FitError::TooShort { needed: LEAST_VALUES, got: n_values });
        }
        let transform = Transform::of(tail.values());
        let values: Vec<f64> = tail.values().iter().map(|&value| transform.apply(value)).collect();
        loop {
            if let Some((recursion, explained, is_differenced)) = self.regress(&values, &seasons) {
                let first = explained.on_lags.first().copied().unwrap_or(0.0);
                let season = |nr: usize| seasons.get(nr).map_or(f64::NAN, |&steps| steps as f64);
                let settings = Box::new([
                    if is_differenced { 1.0 } else { first },
                    explained.deviation,
                    f64::from(u8::from(matches!(transform, Transform::Log { .. }))),
                    season(0),
                    season(1),
                    season(2),
                ]);
                return Ok(Box::new(Continued { transform, recursion, names: &NAMES, settings }));
            }
            if seasons.pop().is_none() {
                return Err(FitError::NotFinite("too few values stand beside each other".to_owned()));
            }
        }
    }
}

/// The one before, and those a cycle and a cycle and a step ago.
fn lags_of(seasons: &[usize]) -> Vec<usize> {
    let mut lags: Vec<usize> = std::iter::once(1).chain(seasons.iter().flat_map(|&steps| [steps, steps + 1])).collect();
    lags.sort_unstable();
    lags.dedup();
    lags
}

impl SeasonalAr {
    fn regress(&self, values: &[f64], seasons: &[usize]) -> Option<(Recursion, Explained, bool)> {
        let lags = lags_of(seasons);
        let cycle = seasons.first().copied().unwrap_or(1);
        let n_cycles = values.len().saturating_sub(seasons.last().copied().unwrap_or(1)) / cycle;
        let is_by_place = cycle == 1 || n_cycles >= ENOUGH_CYCLES && (cycle <= MOST_PLACES || n_cycles >= cycle);
        let n_waves = if is_by_place { 0 } else { MOST_WAVES.min((cycle - 1) / 2) };
        let waves = |idx: usize, row: &mut [f64]| {
            let turn = TAU * (idx % cycle) as f64 / cycle as f64;
            for (nr, pair) in row.chunks_exact_mut(2).enumerate() {
                let (sin, cos) = ((nr + 1) as f64 * turn).sin_cos();
                (pair[0], pair[1]) = (sin, cos);
            }
        };
        let n_places = if is_by_place { cycle } else { 1 };
        let longest = seasons.last().copied().unwrap_or(1) as f64;
        let half_life = self.half_life.map(|cycles| (cycles * longest).max(LEAST_HALF_LIFE));
        let design = |lags| Design { lags, n_places, n_others: 2 * n_waves, others: &waves, half_life };
        let explain = |lags, values: &[f64]| design(lags).explain_as(values, self.is_calm);
        // Each place of the cycle, waves among its effect.
        let effects_of = |explained: &Explained| -> Vec<f64> {
            let mut row = vec![0.0; 2 * n_waves];
            let at = |idx: usize| {
                waves(idx, &mut row);
                let of_waves: f64 = row.iter().zip(&explained.on_others).map(|(wave, c)| wave * c).sum();
                explained.effects[idx % n_places] + of_waves
            };
            (0..cycle).map(at).collect()
        };
        let levels = explain(&lags[..], values)?;
        let first = levels.on_lags[0];
        if first > 0.5 && first + 2.0 * levels.first_error > self.root {
            let changes: Vec<f64> =
                std::iter::once(f64::NAN).chain(values.windows(2).map(|pair| pair[1] - pair[0])).collect();
            if let Some(explained) = explain(&lags[1..], &changes) {
                let constant = explained.constant();
                let uncertainty = 1.645 * explained.deviation / ((explained.n_rows - 1) as f64).sqrt();
                let drift = constant.signum() * (constant.abs() - uncertainty).max(0.0);
                let effects: Vec<f64> =
                    effects_of(&explained).into_iter().map(|effect| effect - constant + drift).collect();
                let recursion = Recursion::integrated(&lags[1..], &explained.on_lags, &effects, values, &changes);
                return Some((recursion, levels, true));
            }
        }
        Some((Recursion::new(&lags, &levels.on_lags, &effects_of(&levels), values), levels, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::forecast::air_passengers::AIR_PASSENGERS;
    use crate::forecast::{Regressors, Updated};
    use crate::series::Step;

    fn fit(values: &[f64], seasons: &[usize], root: f64, half_life: Option<f64>) -> Box<dyn Fitted> {
        let seasons = seasons.iter().filter_map(|&steps| Season::new(steps)).collect();
        SeasonalAr { seasons, root, half_life, is_calm: false }.fit(&Past::new(0, Step::seconds(3600), values)).unwrap()
    }

    /// Ordinary least squares by numpy 2 (`lstsq`, logarithms, centred dummies, lags 1, 12, 13), with the root rule at
    /// 0.99 and at 0.9.
    #[test]
    fn it_agrees_with_plain_least_squares_on_either_side_of_the_root_rule() {
        let six = Horizon::new(6).unwrap();
        let levels = fit(&AIR_PASSENGERS, &[12], 0.99, None);
        assert!((levels.settings()["first_coefficient"] - 0.792918).abs() < 5e-7, "{:?}", levels.settings());
        assert!((levels.settings()["deviation"] - 0.036082).abs() < 5e-7, "{:?}", levels.settings());
        let differences = fit(&AIR_PASSENGERS, &[12], 0.9, None);
        for (fitted, expected) in [
            (levels, [446.60, 430.48, 480.84, 481.99, 493.10, 565.29]),
            (differences, [442.81, 423.64, 476.44, 473.62, 483.99, 550.44]),
        ] {
            for (point, expected) in fitted.points(six).iter().zip(expected) {
                assert!((point - expected).abs() < 0.0051, "{:?}", fitted.points(six));
            }
        }
    }

    #[test]
    fn a_day_within_a_week_is_continued_over_gaps_and_beyond_a_value() {
        let at = |t: usize| {
            let weekend = if t / 24 % 7 >= 5 { 0.6 } else { 1.0 };
            200.0 + weekend * 80.0 * (TAU * (t % 24) as f64 / 24.0).sin()
        };
        let mut values: Vec<f64> = (0..900).map(at).collect();
        for idx in [300, 301, 302, 640, 897, 899] {
            values[idx] = f64::NAN;
        }
        let mut fitted = fit(&values, &[168, 24], ROOT, Some(HALF_LIFE));
        assert_eq!((fitted.settings()["season"], fitted.settings()["second_season"]), (24.0, 168.0));
        for n in [900, 901, 902] {
            for (ahead, point) in fitted.points(Horizon::new(200).unwrap()).into_iter().enumerate() {
                assert!((point - at(n + ahead)).abs() < 0.5, "{n} {ahead}: {point} {}", at(n + ahead));
            }
            let value = if n == 900 { f64::NAN } else { at(n) };
            assert_eq!(fitted.update(value, Regressors::NONE), Updated::Filtered);
        }
        assert!(fitted.n_bytes() < 4096);
    }

    #[test]
    fn a_long_cycle_seen_a_few_times_is_a_sum_of_waves() {
        let at = |t: usize| 50.0 + 20.0 * (TAU * t as f64 / 720.0).sin() + (t * 7919 % 13) as f64 / 13.0;
        let values: Vec<f64> = (0..1700).map(at).collect();
        let points = fit(&values, &[720], ROOT, Some(HALF_LIFE)).points(Horizon::new(360).unwrap());
        let error = points.iter().enumerate().map(|(ahead, p)| (p - at(1700 + ahead)).abs()).sum::<f64>() / 360.0;
        assert!(error < 1.5, "{error}");
    }

    #[test]
    fn values_astray_do_not_bend_it() {
        let at = |t: usize| 20.0 + 6.0 * (TAU * (t % 7) as f64 / 7.0).sin();
        let mut noise = crate::forecast::tests::Noise::seeded(2);
        let mut values: Vec<f64> = (0..700).map(|t| at(t) + 0.2 * noise.normal()).collect();
        (9..690).step_by(31).for_each(|t| values[t] = 90.0);
        let error = |is_calm: bool| {
            let method = SeasonalAr { is_calm, ..SeasonalAr::of(&Season::new(7).into_iter().collect::<Vec<_>>()) };
            let points =
                method.fit(&Past::new(0, Step::seconds(3600), &values)).unwrap().points(Horizon::new(56).unwrap());
            points.iter().enumerate().map(|(ahead, point)| (point - at(700 + ahead)).abs()).sum::<f64>() / 56.0
        };
        let (calm, plain) = (error(true), error(false));
        assert!(calm < 0.5 * plain && calm < 1.2, "{calm} {plain}");
    }

    #[test]
    fn a_short_history_gives_up_its_longest_season_first() {
        let values: Vec<f64> = (0..120).map(|t| 10.0 + f64::from(t % 12) + f64::from(t * 37 % 11) / 5.0).collect();
        let seasons = |n: usize| fit(&values[..n], &[12, 84], ROOT, None).settings().get("season").copied();
        assert_eq!((seasons(120), seasons(14)), (Some(12.0), None));
        let none = SeasonalAr::of(&[]).fit(&Past::new(0, Step::seconds(1), &[1.0, 2.0])).unwrap_err();
        assert_eq!(none, FitError::TooShort { needed: LEAST_VALUES, got: 2 });
    }
}
