//! `GET /api/v1/forecast`: what comes next, and how sure.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Answer, SeriesName, Time, success};
use super::error::{Error, Fault};
use super::params::Params;
use super::routes::{Param, optional, required};
use super::state::App;
use crate::forecast::{Accuracy, Coverage, Direction, Forecast};
use crate::series::{DAY, MINUTE, Millis, Step, TimeRange, format_duration};
use crate::watch::{ForecastAsk, WatchError};

pub(super) const PARAMS: &[Param] = &[
    required("match", "selector of the series, such as disk_used_bytes{host=\"a\"}"),
    optional("horizon", "how far ahead, such as 6h, 7d, 90d", "7d"),
    optional("level", "share of future values the band promises to hold, above 0 and below 1", "0.95"),
    optional("step", "spacing of the points, such as 1m, 1h", "the series' own"),
    optional("from", "`end` begins the points after the last sample, `now` after now", "end"),
    optional("model", "a model's name, or auto; `barograph models` lists them", "auto"),
    optional("limit", "at most so many series, 1 to 1000", "20"),
];

/// The forecasts of the matching series.
#[derive(Serialize, ToSchema)]
pub(super) struct Forecasts {
    /// How many series match; more than are listed when `limit` cut the list.
    matched: usize,
    /// Set when `limit` cut the list: what to do to see the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<String>,
    /// In the order of the series' names.
    forecasts: Vec<SeriesForecast>,
}

/// One series' forecast, or why there is none.
#[derive(Serialize, ToSchema)]
pub(super) struct SeriesForecast {
    #[serde(flatten)]
    name: SeriesName,
    /// Why there is no forecast; then the other fields are absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
}

/// A forecast.
#[derive(Serialize, ToSchema)]
pub(super) struct Found {
    /// The model that made it; under `auto` those that were chosen, the weightiest first, with plus signs between.
    model: String,
    /// Why `auto` answers with a yardstick (naive or seasonal naive), where it does.
    fallback: Option<String>,
    /// What the model estimated or chose.
    settings: BTreeMap<String, f64>,
    /// The season used, in steps.
    season: Option<usize>,
    /// Spacing of the points, in seconds.
    step: f64,
    /// What the values are: `gauge` as stored, `counter` per second.
    kind: &'static str,
    /// The promised coverage of the band; null when there is no band.
    level: Option<f64>,
    /// Why there is no band.
    band_reason: Option<String>,
    /// When the last sample stands that the model has seen.
    last_sample: Time,
    /// Set when the series has fallen silent: since how long, and what that means for the points.
    silent: Option<String>,
    direction: DirectionDoc,
    /// How the model did on the series' own past; null when that is too short to say.
    accuracy: Option<AccuracyDoc>,
    points: Vec<Point>,
}

/// Where the series is heading.
#[derive(Serialize, ToSchema)]
pub(super) struct DirectionDoc {
    /// `rising`, `falling` or `flat`; rising and falling only when significant at 5 %.
    heading: &'static str,
    /// Change per day, in the metric's unit.
    slope_per_day: f64,
    /// How likely such a slope is when nothing changes.
    p_value: f64,
}

/// Backtested accuracy, next to seasonal naive's.
#[derive(Serialize, ToSchema)]
pub(super) struct AccuracyDoc {
    /// Origins replayed.
    origins: usize,
    /// Steps each went ahead.
    leads: usize,
    /// Mean absolute error.
    mae: Option<f64>,
    /// Symmetric mean absolute percentage error, 0 to 200.
    smape: Option<f64>,
    /// Mean absolute scaled error; below 1 beats seasonal naive.
    mase: Option<f64>,
    /// Mean absolute error of seasonal naive at the same origins.
    baseline_mae: Option<f64>,
    /// Share of past values inside a band made without them.
    coverage: Option<f64>,
}

/// One point.
#[derive(Serialize, ToSchema)]
pub(super) struct Point {
    time: Time,
    value: f64,
    /// The band's lower edge; null without a band.
    lower: Option<f64>,
    /// The band's upper edge; null without a band.
    upper: Option<f64>,
}

pub(super) fn answer(app: &App, params: &Params) -> Answer {
    let selector = params.required_selector("match")?;
    let horizon = params.span("horizon")?.unwrap_or(7 * DAY);
    let level = params.number("level")?.unwrap_or(Coverage::P95.share());
    let coverage = Coverage::new(level).ok_or_else(|| {
        Error::bad_data(format!("parameter `level`: {level} is not above 0 and below 1, such as 0.95"))
    })?;
    let step = params.span("step")?.and_then(Step::new);
    let model = params.one("model")?.unwrap_or("auto").to_owned();
    let limit = params.count("limit", 20, 1000)?;
    crate::forecast::find(&model).map_err(|error| Error::bad_data(format!("parameter `model`: {error}")))?;
    let from_now = match params.one("from")? {
        None | Some("end") => false,
        Some("now") => true,
        Some(other) => return Err(Error::bad_data(format!("parameter `from`: `{other}` is neither `end` nor `now`"))),
    };
    let ask = ForecastAsk { horizon, coverage, step, model, from_now };
    let now = app.watch.now();
    // Before any model is fitted; where no step is asked for, each series has its own.
    if let Some(step) = step {
        ask.steps_of(step)?;
    }
    let keys = app.keys(&selector, TimeRange::ALL)?;
    let matched = keys.len();
    let mut first_error = None;
    let mut forecasts = Vec::with_capacity(matched.min(limit));
    for key in keys.into_iter().take(limit) {
        let name = SeriesName::of(&key);
        let kind = kind_word(app.kind_of(&key));
        forecasts.push(match app.watch.forecast(&key, &ask) {
            Ok(forecast) => SeriesForecast { name, error: None, found: Some(Found::of(forecast, kind, now)) },
            // What is wrong with the question is wrong with all of it.
            Err(error @ WatchError::Ask(_)) => return Err(error.into()),
            Err(error) => {
                let error = error.to_string();
                first_error.get_or_insert_with(|| error.clone());
                SeriesForecast { name, error: Some(error), found: None }
            }
        });
    }
    if let Some(error) = first_error.filter(|_| forecasts.iter().all(|one| one.found.is_none())) {
        return Err(Error::new(Fault::Execution, format!("there is no forecast: {error}")));
    }
    let truncated = (matched > limit)
        .then(|| format!("{matched} series match and {limit} are listed; narrow `match`, or raise `limit`"));
    Ok(success(&Forecasts { matched, truncated, forecasts }))
}

/// `gauge` or `counter`, as every answer writes it.
pub(super) fn kind_word(kind: crate::series::MetricKind) -> &'static str {
    match kind {
        crate::series::MetricKind::Gauge => "gauge",
        crate::series::MetricKind::Counter => "counter",
    }
}

fn silence(span: Millis, is_from_now: bool) -> String {
    // To the minute, for people.
    let span = format_duration(if span > MINUTE { span - span % MINUTE } else { span });
    let start = if is_from_now { "now" } else { "there; from=now begins them now" };
    format!("no sample for {span}: the points go by what was known then, and begin {start}")
}

impl Found {
    fn of(forecast: Forecast, kind: &'static str, now: Millis) -> Found {
        let silent = forecast.silent_for(now).map(|span| silence(span, forecast.start > now));
        let edge = |edges: Option<&Vec<f64>>, idx: usize| edges.and_then(|edges| edges.get(idx).copied());
        let (lower, upper) =
            (forecast.band.as_ref().map(|band| &band.lower), forecast.band.as_ref().map(|band| &band.upper));
        let points = forecast.points.iter().enumerate().map(|(idx, &value)| Point {
            time: Time(forecast.at(idx)),
            value,
            lower: edge(lower, idx),
            upper: edge(upper, idx),
        });
        Found {
            points: points.collect(),
            step: forecast.step.millis() as f64 / 1e3,
            kind,
            level: forecast.band.as_ref().map(|band| band.coverage.share()),
            direction: DirectionDoc::of(forecast.direction, forecast.step),
            accuracy: forecast.accuracy.map(AccuracyDoc::of),
            model: forecast.model,
            fallback: forecast.fallback,
            settings: forecast.settings,
            season: forecast.season,
            band_reason: forecast.band_reason,
            last_sample: Time(forecast.last_seen),
            silent,
        }
    }
}

impl DirectionDoc {
    fn of(direction: Direction, step: Step) -> DirectionDoc {
        DirectionDoc {
            heading: direction.heading.as_str(),
            slope_per_day: direction.slope_per_step * (DAY as f64 / step.millis() as f64),
            p_value: direction.p_value,
        }
    }
}

impl AccuracyDoc {
    fn of(accuracy: Accuracy) -> AccuracyDoc {
        let finite = |number: f64| number.is_finite().then_some(number);
        AccuracyDoc {
            origins: accuracy.n_origins,
            leads: accuracy.n_leads,
            mae: finite(accuracy.mae),
            smape: finite(accuracy.smape),
            mase: accuracy.mase.and_then(finite),
            baseline_mae: finite(accuracy.baseline_mae),
            coverage: accuracy.coverage,
        }
    }
}
