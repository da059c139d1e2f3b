//! Fit once, replay the past once, then forecast in microseconds.
//!
//! In: a history and a [`Request`]. Out: a [`Prepared`], which answers [`Forecast`]s for any horizon and coverage and
//! takes in new values as they come.

use super::auto::{AUTO, Candidate, Chosen, choose, everyone, variants};
use super::backtest::{MOST_ORIGINS, Plan, Replay, accuracy, replay};
use super::conformal::Conformal;
use super::direction::direction;
use super::guard::clip;
use super::model::{Coverage, FitError, Fitted, Forecaster, Horizon, Updated};
use super::naive::Naive;
use super::outlook::{Accuracy, Band, Direction, Forecast};
use super::registry::{self, UnknownModel};
use super::season::{SeasonChoice, find_seasons};
use super::seasonal_naive::SeasonalNaive;
use crate::series::{History, Millis, Season, Step};

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
            model: AUTO.to_owned(),
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
    /// The history has values, but too few to replay one forecast.
    #[error("the history of {got} values is too short to replay a forecast; record longer")]
    TooShort {
        /// How many cells it has.
        got: usize,
    },
}

/// A fitted method with what its replay taught about its errors.
#[derive(Debug)]
pub struct Prepared {
    model: &'static str,
    fitted: Box<dyn Fitted>,
    residuals: Vec<Vec<f64>>,
    bands: Conformal,
    accuracy: Option<Accuracy>,
    direction: Direction,
    season: Option<usize>,
    valid_min: Option<f64>,
    valid_max: Option<f64>,
    end: Millis,
    step: Step,
    n_seen: usize,
}

/// Fits the method of `request` to `history` and replays its past.
///
/// A seasonal method asked for by name without a season takes the one of those found that did best.
///
/// # Errors
/// When no method bears the name, when the history is empty, when the method cannot be fitted to it.
pub fn prepare(history: &History, request: &Request) -> Result<Prepared, ForecastError> {
    let (chosen, accuracy, seasons) = run(history, request, MOST_ORIGINS)?;
    let bands = Conformal::new(&chosen.honest);
    Ok(Prepared {
        model: chosen.name,
        fitted: chosen.fitted,
        residuals: chosen.honest.errors,
        bands,
        accuracy,
        direction: direction(history, seasons.first().copied()),
        season: chosen.season.map(Season::steps),
        valid_min: request.valid_min,
        valid_max: request.valid_max,
        end: history.end(),
        step: history.step(),
        n_seen: history.len(),
    })
}

/// What [`backtest`](super::backtest()) reports: the method's name, its errors, and how it did.
pub(super) fn replay_request(
    history: &History,
    request: &Request,
    n_origins: usize,
) -> Result<(String, Replay, Option<Accuracy>), ForecastError> {
    let (chosen, accuracy, _) = run(history, request, n_origins)?;
    Ok((chosen.name.to_owned(), chosen.replayed, accuracy))
}

fn run(
    history: &History,
    request: &Request,
    n_origins: usize,
) -> Result<(Chosen, Option<Accuracy>, Vec<Season>), ForecastError> {
    let entry = registry::find(&request.model)?;
    if history.n_gaps() == history.len() {
        return Err(ForecastError::Empty);
    }
    let seasons = seasons_for(history, request);
    let horizon = request.horizon.steps();
    // The longest season decides how much must lie before the first origin, if the history can give it.
    let longest = seasons.iter().map(|season| season.steps()).filter(|steps| steps * 4 <= history.len()).max();
    let lead_in = longest.or_else(|| seasons.first().map(|season| season.steps()));
    let plan = Plan::new(history.len(), horizon, lead_in, n_origins);
    let candidates: Vec<Candidate> =
        if entry.name == AUTO { everyone(history, &seasons) } else { variants(entry, &seasons) };
    let chosen = choose(&candidates, history, plan.as_ref(), horizon)
        .map_err(|source| ForecastError::Fit { model: entry.name.to_owned(), source })?;
    let season = seasons.first().filter(|season| season.steps() < history.len()).copied();
    let accuracy = plan.and_then(|plan| {
        let baseline: Box<dyn Forecaster> =
            if season.is_some() { Box::new(SeasonalNaive { season }) } else { Box::new(Naive) };
        accuracy(history, &chosen.replayed, &replay(&*baseline, history, &plan), season.map(Season::steps))
    });
    Ok((chosen, accuracy, seasons))
}

/// The seasons to try, the one that stands out most first.
fn seasons_for(history: &History, request: &Request) -> Vec<Season> {
    match request.season {
        SeasonChoice::None => Vec::new(),
        SeasonChoice::Auto => find_seasons(history),
        // `auto` may add a longer cycle made of whole given ones: the week over the day.
        SeasonChoice::Steps(given) if request.model == AUTO => {
            let is_longer =
                |found: &Season| found.steps() > given.steps() && found.steps().is_multiple_of(given.steps());
            std::iter::once(given).chain(find_seasons(history).into_iter().filter(is_longer).take(1)).collect()
        }
        SeasonChoice::Steps(given) => vec![given],
    }
}

impl Prepared {
    /// Points for the next `horizon` steps with a band at `coverage`, where one can be promised.
    pub fn forecast(&self, horizon: Horizon, coverage: Coverage) -> Forecast {
        let clip = |value: f64| clip(value.clamp(-f64::MAX, f64::MAX), self.valid_min, self.valid_max);
        let raw = self.fitted.points(horizon);
        let (band, band_reason) = match self.bands.half_widths(coverage, horizon.steps()) {
            Ok(widths) => {
                let edge =
                    |sign: f64| raw.iter().zip(&widths).map(|(point, width)| clip(point + sign * width)).collect();
                (Some(Band { coverage, lower: edge(-1.0), upper: edge(1.0) }), None)
            }
            Err(reason) => (None, Some(reason)),
        };
        Forecast {
            start: self.end,
            step: self.step,
            points: raw.into_iter().map(clip).collect(),
            band,
            band_reason,
            direction: self.direction,
            model: self.model.to_owned(),
            settings: self.fitted.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            accuracy: self.accuracy.clone().map(|known| Accuracy { coverage: self.bands.coverage(coverage), ..known }),
            season: self.season,
        }
    }

    /// Takes in the value at the next step; NaN is a gap. Bands, accuracy and direction stay those of the last fit.
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
        self.model
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
