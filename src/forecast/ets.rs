//! ETS: exponential smoothing with the errors, trend and season that the series asks for.
//!
//! In: at least [`LEAST_VALUES`] values. Out: the model with the least AICc of those with additive or multiplicative
//! errors, no trend, a straight or a damped one, no season, an additive or a multiplicative one: fifteen for positive
//! values, six for others. Additive errors are not paired with a multiplicative season, which is not stable, and a
//! trend is never multiplied, which explodes.
//!
//! Models that differ in their errors alone walk through the same states, so each trend and season is looked at with a
//! coarse grid of weights once; the [`N_REFINED`] best models are then refined. The first season is that of the first
//! cycles, and not searched, so that a cycle of thousands of steps costs no more than a short one.
//!
//! Source: Hyndman, Koehler, Ord and Snyder, "Forecasting with Exponential Smoothing", 2008; the recursion is that of
//! `smoothing`.

use std::collections::BTreeMap;

use super::model::{FitError, Fitted, Forecaster, Updated};
use super::past::{Past, Regressors};
use super::scale::Scale;
use super::smoothing::estimate::Loss;
use super::smoothing::{From, LONGEST, MOST_CYCLES, Search, Seasonal, Shape, Smoothed, State, Trend, start_of};
use crate::series::Season;

/// Fewer have no AICc for the simplest model.
const LEAST_VALUES: usize = 6;

/// How many models are refined.
const N_REFINED: usize = 3;

/// With more values than this a season's first level and trend are long forgotten, and not searched.
const START_MATTERS: usize = 200;

/// The share of the trend kept per step; the bounds that R's `ets` uses.
const DAMPED: Trend = Trend::Damped { least: 0.8, most: 0.98 };

/// The best of the family by AICc.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ets {
    pub season: Option<Season>,
}

/// One model of the family, and the best weights of the grid for it.
#[derive(Clone, Debug)]
struct Model {
    shape: Shape,
    start: State,
    is_relative: bool,
    at: Vec<f64>,
    aicc: f64,
}

#[derive(Clone, Debug)]
struct FittedEts {
    smoothed: Smoothed,
    shape: Shape,
    is_relative: bool,
    aicc: f64,
}

impl Forecaster for Ets {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let steps = self.season.map_or(1, Season::steps);
        let stretch = Stretch::of(past, steps)?;
        let Stretch { scaled, n_values, is_positive, .. } = &stretch;
        let has_season = steps > 1 && scaled.len().min(2 * *n_values) >= 2 * steps;
        let seasonals = [
            Some(Seasonal::None),
            has_season.then_some(Seasonal::Additive(steps)),
            (has_season && *is_positive).then_some(Seasonal::Multiplicative(steps)),
        ];
        let mut models: Vec<Model> = Vec::new();
        for seasonal in seasonals.into_iter().flatten() {
            for trend in [Trend::None, Trend::Straight, DAMPED] {
                models.extend(scanned(Shape { trend, seasonal }, &stretch));
            }
        }
        models.sort_by(|a, b| a.aicc.total_cmp(&b.aicc));
        models.truncate(N_REFINED);
        let mut failure = FitError::NotFinite("no smoothing model has a likelihood".to_owned());
        let mut best: Option<FittedEts> = None;
        for model in models {
            let Model { shape, start, is_relative, at, .. } = model;
            match refined(shape, is_relative, &start, From::Point(&at), &stretch) {
                Ok(fitted) if best.as_ref().is_none_or(|best| fitted.aicc < best.aicc) => best = Some(fitted),
                Ok(_) => {}
                Err(error) => failure = error,
            }
        }
        best.map(|fitted| Box::new(fitted) as Box<dyn Fitted>).ok_or(failure)
    }
}

/// What a fit looks at.
struct Stretch {
    scaled: Vec<f64>,
    n_values: usize,
    is_positive: bool,
    scale: Scale,
}

impl Stretch {
    /// The latest cells of `past` for a season of so many steps, from a value on.
    fn of(past: &Past<'_>, steps: usize) -> Result<Stretch, FitError> {
        let cells = past.values();
        let cells = &cells[cells.len().saturating_sub(LONGEST.max(MOST_CYCLES * steps))..];
        let lead = cells.iter().position(|value| !value.is_nan()).unwrap_or(cells.len());
        let cells = &cells[lead..];
        let seen = || cells.iter().copied().filter(|value| !value.is_nan());
        let n_values = seen().count();
        if n_values < LEAST_VALUES {
            return Err(FitError::TooShort { needed: LEAST_VALUES, got: n_values });
        }
        let is_positive = seen().all(|value| value > 0.0);
        let scale = if is_positive { Scale::uncentred(cells) } else { Scale::centred(cells) };
        let scaled = cells.iter().map(|&value| scale.apply(value)).collect();
        Ok(Stretch { scaled, n_values, is_positive, scale })
    }
}

/// What a model of this shape costs in AICc beside its likelihood; infinite where there are too few values for it.
fn penalty(shape: Shape, n: usize) -> f64 {
    let trend = match shape.trend {
        Trend::None => 0,
        Trend::Straight => 2,
        Trend::Damped { .. } => 3,
    };
    let season = match shape.seasonal {
        Seasonal::None => 0,
        Seasonal::Additive(steps) | Seasonal::Multiplicative(steps) => steps,
    };
    // Weights and first states, where those of a season add up to a constant, and the errors' spread.
    let k = (2 + trend + season + 1) as f64;
    let n = n as f64;
    if n > k + 1.0 { 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0) } else { f64::INFINITY }
}

/// The models of one shape, each with the best weights of the grid.
fn scanned(shape: Shape, stretch: &Stretch) -> Vec<Model> {
    let Stretch { scaled, n_values, is_positive, .. } = stretch;
    let penalty = penalty(shape, *n_values);
    // Whatever the likelihood: without a penalty that is a number only the simplest shape stands for election.
    if penalty.is_infinite() {
        return Vec::new();
    }
    let start = start_of(shape, scaled);
    let is_start_searched = is_start_searched(shape, *n_values);
    let search = Search { shape, start: &start, scaled, loss: Loss::Additive, is_start_searched };
    let mut best = [(f64::INFINITY, Vec::new()), (f64::INFINITY, Vec::new())];
    search.scan(|at, errors| {
        for (is_relative, best) in [false, true].into_iter().zip(&mut best) {
            let loss = errors.loss(is_relative);
            if loss < best.0 {
                *best = (loss, at.to_vec());
            }
        }
    });
    let is_multiplied = matches!(shape.seasonal, Seasonal::Multiplicative(_));
    [false, true]
        .into_iter()
        .zip(best)
        .filter(|(is_relative, (loss, _))| loss.is_finite() && if *is_relative { *is_positive } else { !is_multiplied })
        .map(|(is_relative, (loss, at))| Model { shape, start: start.clone(), is_relative, at, aicc: loss + penalty })
        .collect()
}

fn is_start_searched(shape: Shape, n: usize) -> bool {
    shape.seasonal == Seasonal::None || n <= START_MATTERS
}

/// The best weights of one model, searched `from` somewhere on.
fn refined(
    shape: Shape,
    is_relative: bool,
    start: &State,
    from: From<'_>,
    stretch: &Stretch,
) -> Result<FittedEts, FitError> {
    let Stretch { scaled, n_values, scale, .. } = stretch;
    let loss = if is_relative { Loss::Relative } else { Loss::Additive };
    let search = Search { shape, start, scaled, loss, is_start_searched: is_start_searched(shape, *n_values) };
    let (weights, start, loss) = search.run(from);
    let smoothed = Smoothed::walked(shape, weights, start, scaled, *scale, false)?;
    let unit_logs = 2.0 * *n_values as f64 * scale.unit().ln();
    Ok(FittedEts { smoothed, shape, is_relative, aicc: loss + penalty(shape, *n_values) + unit_logs })
}

impl FittedEts {
    fn is_multiplied(&self) -> bool {
        matches!(self.shape.seasonal, Seasonal::Multiplicative(_))
    }
}

impl Fitted for FittedEts {
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]) {
        self.smoothed.points_into(known, points);
    }

    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        self.smoothed.update(value, known)
    }

    fn fitted_again(&self, past: &Past<'_>) -> Option<Box<dyn Fitted>> {
        let stretch = Stretch::of(past, self.shape.seasonal.steps()).ok()?;
        let is_fit = stretch.is_positive || !(self.is_relative || self.is_multiplied());
        if !is_fit {
            return None;
        }
        let start = start_of(self.shape, &stretch.scaled);
        let from = From::Weights(self.smoothed.weights());
        let fitted = refined(self.shape, self.is_relative, &start, from, &stretch).ok()?;
        Some(Box::new(fitted))
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let mut settings = self.smoothed.settings();
        settings.insert("multiplicative_error", f64::from(u8::from(self.is_relative)));
        settings.insert("multiplicative_season", f64::from(u8::from(self.is_multiplied())));
        settings.insert("aicc", self.aicc);
        settings
    }

    fn n_bytes(&self) -> usize {
        self.smoothed.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::forecast::air_passengers::AIR_PASSENGERS;
    use crate::forecast::tests::Noise;
    use crate::series::Step;

    fn fit(season: usize, values: &[f64]) -> Box<dyn Fitted> {
        Ets { season: Season::new(season) }.fit(&Past::new(0, Step::seconds(1), values)).unwrap()
    }

    /// statsforecast 2.1's AutoETS chooses (M,N,M) with an AICc of 1458.10; R's ets reaches about 1400 with (M,Ad,M).
    /// Ours counts the same parameters.
    #[test]
    fn the_passengers_model_is_at_least_as_likely_as_the_references() {
        let settings = fit(12, &AIR_PASSENGERS).settings();
        assert_eq!((settings["multiplicative_error"], settings["multiplicative_season"]), (1.0, 1.0));
        assert!(settings["aicc"] < 1458.10, "{settings:?}");
    }

    /// statsforecast 2.1's ANN on the passengers: alpha .9999, AICc 1733.958.
    #[test]
    fn the_level_alone_is_as_likely_as_the_reference() {
        let stretch = Stretch::of(&Past::new(0, Step::seconds(1), &AIR_PASSENGERS), 1).unwrap();
        let shape = Shape { trend: Trend::None, seasonal: Seasonal::None };
        let model = scanned(shape, &stretch).remove(0);
        assert!(!model.is_relative);
        let fitted = refined(shape, false, &model.start, From::Point(&model.at), &stretch).unwrap();
        assert!(fitted.smoothed.settings()["alpha"] > 0.999);
        assert!((fitted.aicc - 1733.958).abs() < 0.05, "{}", fitted.aicc);
    }

    #[test]
    fn each_series_gets_the_parts_it_was_made_of() {
        let mut noise = Noise::seeded(6);
        let wave = |t: usize| (t % 24) as f64 / 24.0 * std::f64::consts::TAU;
        let level: Vec<f64> = (0..300).map(|_| 50.0 + noise.normal()).collect();
        let settings = fit(24, &level).settings();
        assert!(!settings.contains_key("gamma") && !settings.contains_key("beta"), "{settings:?}");
        let rising: Vec<f64> = (0..300).map(|t| 3.0 * t as f64 - 80.0 + noise.normal()).collect();
        let settings = fit(24, &rising).settings();
        assert!(settings.contains_key("beta") && settings["multiplicative_error"] == 0.0, "{settings:?}");
        let added: Vec<f64> = (0..700).map(|t| 5.0 * wave(t).sin() + 0.5 * noise.normal()).collect();
        let settings = fit(24, &added).settings();
        assert_eq!((settings["season"], settings["multiplicative_season"]), (24.0, 0.0));
        let multiplied: Vec<f64> = (0..700)
            .map(|t| (20.0 + 0.2 * t as f64) * (1.0 + 0.5 * wave(t).sin()) * (1.0 + 0.02 * noise.normal()))
            .collect();
        let settings = fit(24, &multiplied).settings();
        assert_eq!((settings["season"], settings["multiplicative_season"]), (24.0, 1.0));
    }

    #[test]
    fn values_taken_in_move_level_and_season() {
        let values: Vec<f64> = (0..400).map(|t| 100.0 + 0.1 * f64::from(t) + 9.0 * f64::from(t % 8)).collect();
        let mut fitted = fit(8, &values[..300]);
        for &value in &values[300..] {
            assert_eq!(fitted.update(value, Regressors::NONE), Updated::Filtered);
        }
        let points = fitted.points(Horizon::new(8).unwrap());
        for (ahead, point) in points.iter().enumerate() {
            let t = (400 + ahead) as f64;
            assert!((point - 100.0 - 0.1 * t - 9.0 * (t % 8.0)).abs() < 1.0, "{points:?}");
        }
    }

    #[test]
    fn a_fitted_model_keeps_a_week_of_hours_in_less_than_four_kibibytes() {
        let values: Vec<f64> = (0..1000).map(|t| 10.0 + f64::from(t % 168 * 13 % 29)).collect();
        let fitted = fit(168, &values);
        assert_eq!(fitted.settings()["season"], 168.0);
        assert!(size_of::<FittedEts>() + fitted.n_bytes() < 4096);
    }
}
