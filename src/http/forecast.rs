//! `GET` and `POST /api/v1/forecast`: what comes next, and how sure; and what would be if.

mod found;
mod issued;

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use self::found::Found;
use self::issued::IssuedDoc;
use super::answer::{Answer, SeriesName, idle_events, success_with};
use super::error::{Error, Fault};
use super::params::Params;
use super::routes::{Param, optional, required};
use super::state::App;
use crate::forecast::Coverage;
use crate::series::{Aggregate, DAY, Key, Millis, Step, TimeRange};
use crate::watch::{ForecastAsk, WatchError};

pub(super) const PARAMS: &[Param] = &[
    required("match", "selector of the series, such as disk_used_bytes{host=\"a\"}"),
    optional("horizon", "how far ahead, such as 6h, 7d, 90d", "7d"),
    optional("level", "share of future values the band promises to hold, above 0 and below 1", "0.95"),
    optional(
        "step",
        "spacing of the points, such as 1m, 1h; days begin at midnight and weeks on Monday where the metric is",
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
    let assumed = params.events("events", app.config.time_zone, now)?;
    let ask = ForecastAsk { horizon, coverage, step, model, from_now, assumed };
    // Before any model is fitted; where no step is asked for, each series has its own.
    if let Some(step) = step {
        ask.steps_of(step)?;
    }
    let keys = app.keys(&selector, TimeRange::ALL)?;
    if let Some(how) = how {
        return aggregates(app, &keys, (how, &by), &ask, limit, now);
    }
    let matched = keys.len();
    let mut listed = Listed { warnings: idle_events(&ask.assumed, keys.iter()), ..Listed::default() };
    for key in keys.into_iter().take(limit) {
        let kind = app.kind_of(&key).as_str();
        let found = app
            .watch
            .forecast(&key, &ask)
            .map(|forecast| Found::of(forecast, kind, app.watch.issued(&key).map(IssuedDoc::of), now));
        listed.add(SeriesName::of(&key), None, found)?;
    }
    let truncated = (matched > limit)
        .then(|| format!("{matched} series match and {limit} are listed; narrow `match`, or raise `limit`"));
    listed.answer(matched, truncated)
}

/// The forecast of each metric's aggregate, taken apart by labels.
fn aggregates(
    app: &App,
    keys: &[Key],
    (how, by): (Aggregate, &[String]),
    ask: &ForecastAsk,
    limit: usize,
    now: Millis,
) -> Answer {
    if keys.len() > MOST_MEMBERS {
        let text = format!("{} series match, more than {MOST_MEMBERS} for an aggregate; narrow `match`", keys.len());
        return Err(Error::bad_data(text));
    }
    let names = |label: &&String| keys.iter().any(|key| key.labels().get(label).is_some());
    if let Some(unknown) = by.iter().find(|label| !names(label)).filter(|_| !keys.is_empty()) {
        return Err(Error::bad_data(format!("parameter `by`: no matching series has the label `{unknown}`")));
    }
    let mut groups: BTreeMap<(String, Vec<String>), Vec<Key>> = BTreeMap::new();
    for key in keys {
        let values = by.iter().map(|label| key.labels().get(label).unwrap_or_default().to_owned()).collect();
        groups.entry((key.metric().to_owned(), values)).or_default().push(key.clone());
    }
    let matched = groups.len();
    let mut listed = Listed { warnings: idle_events(&ask.assumed, keys.iter()), ..Listed::default() };
    for ((metric, values), members) in groups.into_iter().take(limit) {
        let pairs: Vec<(&str, &str)> = by.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
        let about =
            Key::from_pairs(&metric, &pairs).map_err(|error| Error::bad_data(format!("parameter `by`: {error}")))?;
        let kind = app.kind_of(&members[0]).as_str();
        let mut aggregate = AggregateDoc { of: how.to_string(), members: members.len(), events_left_out: Vec::new() };
        let found = app.watch.forecast_aggregate(&about, &members, how, ask).map(|found| {
            (aggregate.members, aggregate.events_left_out) = (found.n_members, found.left_out);
            Found::of(found.forecast, kind, None, now)
        });
        listed.add(SeriesName::of(&about), Some(aggregate), found)?;
    }
    let truncated = (matched > limit).then(|| {
        format!("{matched} aggregates match and {limit} are listed; narrow `match` or `by`, or raise `limit`")
    });
    listed.answer(matched, truncated)
}

/// Forecasts as they are made, one after the other.
#[derive(Default)]
struct Listed {
    forecasts: Vec<SeriesForecast>,
    /// What is to be said of the question.
    warnings: Vec<String>,
}

impl Listed {
    /// Adds what became of one; what is wrong with the question is wrong with all of it.
    fn add(
        &mut self,
        name: SeriesName,
        aggregate: Option<AggregateDoc>,
        found: Result<Found, WatchError>,
    ) -> Result<(), Error> {
        let (error, found) = match found {
            Ok(found) => (None, Some(found)),
            Err(error @ WatchError::Ask(_)) => return Err(error.into()),
            Err(error) => (Some(error.to_string()), None),
        };
        self.forecasts.push(SeriesForecast { name, aggregate, error, found });
        Ok(())
    }

    /// The list; an error where there is none that could be forecast.
    fn answer(self, matched: usize, truncated: Option<String>) -> Answer {
        let Listed { forecasts, warnings } = self;
        let first_error = forecasts.iter().find_map(|one| one.error.as_ref());
        if let Some(error) = first_error.filter(|_| forecasts.iter().all(|one| one.found.is_none())) {
            return Err(Error::new(Fault::Execution, format!("there is no forecast: {error}")));
        }
        Ok(success_with(&Forecasts { matched, truncated, forecasts }, &warnings))
    }
}
