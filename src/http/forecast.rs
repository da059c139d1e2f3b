//! `GET` and `POST /api/v1/forecast`: what comes next, and how sure; and what would be if.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Answer, SeriesName, Time, success};
use super::error::{Error, Fault};
use super::params::Params;
use super::routes::{Param, optional, required};
use super::state::App;
use crate::forecast::{Accuracy, Coverage, Direction, Facts, Forecast, Tally};
use crate::series::{Aggregate, DAY, Key, MINUTE, Millis, Step, TimeRange, format_duration};
use crate::watch::{ForecastAsk, IssuedAccuracy, WatchError};

pub(super) const PARAMS: &[Param] = &[
    required("match", "selector of the series, such as disk_used_bytes{host=\"a\"}"),
    optional("horizon", "how far ahead, such as 6h, 7d, 90d", "7d"),
    optional("level", "share of future values the band promises to hold, above 0 and below 1", "0.95"),
    optional(
        "step",
        "spacing of the points, such as 1m, 1h",
        "the series' own, or the next readable one at which the horizon has 2000 points",
    ),
    optional("from", "`end` begins the points after the last sample, `now` after now", "end"),
    optional("model", "a model's name, or auto; `barograph models` lists them", "auto"),
    optional("limit", "at most so many series, 1 to 1000", "20"),
    optional("aggregate", "`sum` or `mean` of the matching series of each metric, forecast as one", "each series"),
    optional("by", "labels that take the aggregate apart, with commas between", "none"),
    optional("events", "events to assume, as JSON: what would be if; a POST takes them as a list in its body", "none"),
];

/// Series that one aggregate may have; each is read for it.
const MOST_MEMBERS: usize = 1_000;

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
    /// Set when it is of several series.
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate: Option<AggregateDoc>,
    /// Why there is no forecast; then the other fields are absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
}

/// What several series were made into.
#[derive(Serialize, ToSchema)]
pub(super) struct AggregateDoc {
    /// `sum` or `mean`.
    of: String,
    /// How many series are in it.
    members: usize,
    /// Events that concern only some of them in a way that cannot be reckoned with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events_left_out: Vec<String>,
}

/// A forecast.
#[derive(Serialize, ToSchema)]
pub(super) struct Found {
    /// The model that made it; under `auto` those that were chosen, the weightiest first, with plus signs between.
    model: String,
    /// Why `auto` answers with a yardstick (naive or seasonal naive), or keeps to levels of the past, where it does.
    fallback: Option<String>,
    /// What the model estimated or chose.
    settings: BTreeMap<String, f64>,
    /// The season used, in steps.
    season: Option<usize>,
    /// Spacing of the points, in seconds.
    step: f64,
    /// Where points and band stop.
    range: RangeDoc,
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
    /// How forecasts of this series that this server issued have turned out; null before any was judged.
    issued: Option<IssuedDoc>,
    /// The names of the events, planned or assumed, that change a point.
    events: Vec<String>,
    points: Vec<Point>,
}

/// The least and the greatest value that the metric can have, as far as they are known.
#[derive(Serialize, ToSchema)]
pub(super) struct RangeDoc {
    /// The metric's `valid_min`, or 0 where the series was never below.
    min: Option<f64>,
    /// The metric's `valid_max`, or the whole where a share never exceeded it.
    max: Option<f64>,
    /// Which of the two the history tells rather than a setting.
    learned: Vec<&'static str>,
    /// Whether values are whole numbers.
    integer: bool,
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

/// How issued forecasts turned out, over the last seven days.
#[derive(Serialize, ToSchema)]
pub(super) struct IssuedDoc {
    /// The first day that is told of.
    since: Time,
    /// Over all leads.
    #[serde(flatten)]
    overall: JudgedDoc,
    /// By how far ahead they spoke.
    by_lead: Vec<LeadDoc>,
}

/// Issued forecasts of one lead.
#[derive(Serialize, ToSchema)]
pub(super) struct LeadDoc {
    /// How far ahead.
    #[schema(example = "4h")]
    lead: String,
    #[serde(flatten)]
    judged: JudgedDoc,
}

/// What was forecast beside what came.
#[derive(Serialize, ToSchema)]
pub(super) struct JudgedDoc {
    /// Values compared.
    judged: u64,
    /// Mean absolute error.
    mae: Option<f64>,
    /// Mean of value minus forecast: above 0 the forecasts were too low.
    bias: Option<f64>,
    /// Mean absolute scaled error: 1 is as far off as seasonal naive one cycle ahead.
    mase: Option<f64>,
    /// Share of the values with a band that lay inside it.
    coverage: Option<f64>,
    /// What the bands promised.
    promised: Option<f64>,
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
    let how: Option<Aggregate> = params
        .one("aggregate")?
        .map(str::parse)
        .transpose()
        .map_err(|error| Error::bad_data(format!("parameter `aggregate`: {error}")))?;
    let by: Vec<String> = params.one("by")?.map_or_else(Vec::new, |text| {
        text.split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()).collect()
    });
    if how.is_none() && !by.is_empty() {
        return Err(Error::bad_data("`by` takes an aggregate apart; add `aggregate=sum` or `aggregate=mean`"));
    }
    crate::forecast::find(&model).map_err(|error| Error::bad_data(format!("parameter `model`: {error}")))?;
    let from_now = match params.one("from")? {
        None | Some("end") => false,
        Some("now") => true,
        Some(other) => return Err(Error::bad_data(format!("parameter `from`: `{other}` is neither `end` nor `now`"))),
    };
    let now = app.watch.now();
    let assumed = params.events("events", now)?;
    let ask = ForecastAsk { horizon, coverage, step, model, from_now, assumed };
    // Before any model is fitted; where no step is asked for, each series has its own.
    if let Some(step) = step {
        ask.steps_of(step)?;
    }
    let keys = app.keys(&selector, TimeRange::ALL)?;
    if let Some(how) = how {
        return aggregates(app, &keys, how, &by, &ask, limit);
    }
    let matched = keys.len();
    let mut first_error = None;
    let mut forecasts = Vec::with_capacity(matched.min(limit));
    for key in keys.into_iter().take(limit) {
        let name = SeriesName::of(&key);
        let kind = kind_word(app.kind_of(&key));
        forecasts.push(match app.watch.forecast(&key, &ask) {
            Ok(forecast) => {
                let issued = app.watch.issued(&key).map(IssuedDoc::of);
                SeriesForecast {
                    name,
                    aggregate: None,
                    error: None,
                    found: Some(Found { issued, ..Found::of(forecast, kind, now) }),
                }
            }
            // What is wrong with the question is wrong with all of it.
            Err(error @ WatchError::Ask(_)) => return Err(error.into()),
            Err(error) => {
                let error = error.to_string();
                first_error.get_or_insert_with(|| error.clone());
                SeriesForecast { name, aggregate: None, error: Some(error), found: None }
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

/// The forecast of each metric's aggregate, taken apart by labels.
fn aggregates(app: &App, keys: &[Key], how: Aggregate, by: &[String], ask: &ForecastAsk, limit: usize) -> Answer {
    if keys.len() > MOST_MEMBERS {
        let text = format!("{} series match, more than {MOST_MEMBERS} for an aggregate; narrow `match`", keys.len());
        return Err(Error::bad_data(text));
    }
    let mut groups: BTreeMap<(String, Vec<String>), Vec<Key>> = BTreeMap::new();
    for key in keys {
        let values = by.iter().map(|label| key.labels().get(label).unwrap_or_default().to_owned()).collect();
        groups.entry((key.metric().to_owned(), values)).or_default().push(key.clone());
    }
    let matched = groups.len();
    let (mut forecasts, mut first_error) = (Vec::new(), None);
    for ((metric, values), members) in groups.into_iter().take(limit) {
        let pairs: Vec<(&str, &str)> = by.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
        let about =
            Key::from_pairs(&metric, &pairs).map_err(|error| Error::bad_data(format!("parameter `by`: {error}")))?;
        let kind = kind_word(app.kind_of(&members[0]));
        let name = SeriesName::of(&about);
        let doc = |members, events_left_out| Some(AggregateDoc { of: how.to_string(), members, events_left_out });
        forecasts.push(match app.watch.forecast_aggregate(&about, &members, how, ask) {
            Ok(found) => SeriesForecast {
                name,
                aggregate: doc(found.n_members, found.left_out),
                error: None,
                found: Some(Found::of(found.forecast, kind, app.watch.now())),
            },
            Err(error @ WatchError::Ask(_)) => return Err(error.into()),
            Err(error) => {
                let error = error.to_string();
                first_error.get_or_insert_with(|| error.clone());
                SeriesForecast { name, aggregate: doc(members.len(), Vec::new()), error: Some(error), found: None }
            }
        });
    }
    if let Some(error) = first_error.filter(|_| forecasts.iter().all(|one| one.found.is_none())) {
        return Err(Error::new(Fault::Execution, format!("there is no forecast: {error}")));
    }
    let truncated = (matched > limit).then(|| {
        format!("{matched} aggregates match and {limit} are listed; narrow `match` or `by`, or raise `limit`")
    });
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
            range: RangeDoc::of(&forecast.facts),
            kind,
            level: forecast.band.as_ref().map(|band| band.coverage.share()),
            direction: DirectionDoc::of(forecast.direction, forecast.step),
            accuracy: forecast.accuracy.map(AccuracyDoc::of),
            issued: None,
            events: forecast.events,
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

impl RangeDoc {
    fn of(facts: &Facts) -> RangeDoc {
        let finite = |bound: Option<f64>| bound.filter(|bound| bound.is_finite());
        let (min, max) = facts.is_learned;
        let learned = [("min", min), ("max", max)].into_iter().filter_map(|(name, is)| is.then_some(name)).collect();
        RangeDoc { min: finite(facts.min), max: finite(facts.max), learned, integer: facts.is_integer }
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

impl IssuedDoc {
    fn of(issued: IssuedAccuracy) -> IssuedDoc {
        let lead =
            |(lead, tally): &(Millis, Tally)| LeadDoc { lead: format_duration(*lead), judged: JudgedDoc::of(tally) };
        IssuedDoc {
            since: Time(issued.since),
            overall: JudgedDoc::of(&issued.overall),
            by_lead: issued.leads.iter().map(lead).collect(),
        }
    }
}

impl JudgedDoc {
    fn of(tally: &Tally) -> JudgedDoc {
        JudgedDoc {
            judged: tally.n(),
            mae: tally.mae(),
            bias: tally.bias(),
            mase: tally.mase(),
            coverage: tally.coverage(),
            promised: tally.promised(),
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
