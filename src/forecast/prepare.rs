//! Fit once, replay the past once, then forecast in microseconds.

use super::direction::direction;
use super::model::{Coverage, FitError, Fitted, Horizon, Updated};
use super::outlook::{Direction, Forecast};
use super::registry::{self, Settings, UnknownModel};
use super::season::{SeasonChoice, find_season};
use crate::series::{History, Millis, Step};

/// What to forecast with, and how far.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// A registered name.
    pub model: String,
    /// Where the season comes from.
    pub season: SeasonChoice,
    /// The longest lead for which bands are made.
    pub horizon: Horizon,
    /// Smallest possible value; points and bands stop there.
    pub valid_min: Option<f64>,
    /// Largest possible value; points and bands stop there.
    pub valid_max: Option<f64>,
}

impl Default for Request {
    fn default() -> Request {
        Request {
            model: "auto".to_owned(),
            season: SeasonChoice::Auto,
            horizon: Horizon::new(24).expect("24 is not zero"),
            valid_min: None,
            valid_max: None,
        }
    }
}

/// Why there is no forecast.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ForecastError {
    /// No method bears the name.
    #[error(transparent)]
    UnknownModel(#[from] UnknownModel),
    /// The method cannot be fitted to the history.
    #[error("model `{model}`: {source}")]
    Fit {
        /// The method's name.
        model: String,
        /// Why.
        source: FitError,
    },
    /// The history has no value.
    #[error("the history has no value to learn from")]
    Empty,
}

/// A fitted method with what its replay taught about its errors.
#[derive(Debug)]
pub struct Prepared {
    model: String,
    fitted: Box<dyn Fitted>,
    residuals: Vec<Vec<f64>>,
    direction: Direction,
    season: Option<usize>,
    end: Millis,
    step: Step,
    n_seen: usize,
}

/// Fits the method of `request` to `history` and replays its past.
///
/// # Errors
/// When no method bears the name, when the history is empty, when the method cannot be fitted to it.
pub fn prepare(history: &History, request: &Request) -> Result<Prepared, ForecastError> {
    let name = if request.model == "auto" { "naive" } else { &request.model };
    let entry = registry::find(name)?;
    let season = match request.season {
        SeasonChoice::Auto => find_season(history),
        SeasonChoice::None => None,
        SeasonChoice::Steps(season) => Some(season),
    };
    if history.n_gaps() == history.len() {
        return Err(ForecastError::Empty);
    }
    let fitted = (entry.build)(&Settings { season })
        .fit(history)
        .map_err(|source| ForecastError::Fit { model: entry.name.to_owned(), source })?;
    Ok(Prepared {
        model: entry.name.to_owned(),
        fitted,
        residuals: Vec::new(),
        direction: direction(history, season),
        season: season.map(|season| season.steps()),
        end: history.end(),
        step: history.step(),
        n_seen: history.len(),
    })
}

impl Prepared {
    /// Points for the next `horizon` steps with a band at `coverage`, where one can be promised.
    pub fn forecast(&self, horizon: Horizon, coverage: Coverage) -> Forecast {
        let _ = coverage;
        Forecast {
            start: self.end,
            step: self.step,
            points: self.fitted.points(horizon),
            band: None,
            band_reason: Some("not calibrated".to_owned()),
            direction: self.direction,
            model: self.model.clone(),
            settings: self.fitted.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            accuracy: None,
            season: self.season,
        }
    }

    /// Takes in the value at the next step; NaN is a gap.
    pub fn update(&mut self, value: f64) -> Updated {
        let updated = self.fitted.update(value);
        if updated == Updated::InPlace {
            self.n_seen += 1;
            self.end = self.end.saturating_add(self.step.millis());
        }
        updated
    }

    /// How many cells the model has seen, gaps among them.
    pub fn n_seen(&self) -> usize {
        self.n_seen
    }

    /// The registered name of the method that makes the points; under `auto` the one it chose.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// When the first forecast point stands.
    pub fn end(&self) -> Millis {
        self.end
    }

    /// The spacing of the points.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Value minus forecast, one row per replayed origin, by lead; NaN where the history has a gap.
    pub fn residuals(&self) -> &[Vec<f64>] {
        &self.residuals
    }
}
