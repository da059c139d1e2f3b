//! Prometheus' HTTP API, as far as it needs no expressions: Grafana and promtool read names, series and plain values.
//!
//! Source: prometheus.io, "HTTP API". Unknown parameters are ignored here, as Prometheus does. Answers are its shapes:
//! values are text, instants are seconds. An expression that is more than a selector is refused in words rather than
//! answered wrongly.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::json as value;

use super::answer::{Answer, json, success, success_with};
use super::error::Error;
use super::params::Params;
use super::routes::{Accepts, Param, optional, repeated, required};
use super::state::App;
use crate::query::{self, LOOKBACK, Stand};
use crate::series::{Key, Millis, Sample, Selector, TimeRange, parse_duration};

pub(super) const INSTANT_PARAMS: &[Param] = &[
    required("query", "a selector; other PromQL is not supported yet"),
    optional("time", "the instant: RFC 3339 or seconds since the epoch", "now"),
    optional("limit", "at most so many series; 0 is all", "0"),
];

pub(super) const RANGE_PARAMS: &[Param] = &[
    required("query", "a selector; other PromQL is not supported yet"),
    required("start", "the first instant: RFC 3339 or seconds since the epoch"),
    required("end", "the last instant"),
    required("step", "the spacing: a span (15s) or seconds"),
    optional("limit", "at most so many series; 0 is all", "0"),
];

pub(super) const SERIES_PARAMS: &[Param] = &[
    repeated("match[]", "selector; several are joined", true),
    optional("start", "series with a sample at this instant or later", "the beginning"),
    optional("end", "series with a sample by this instant", "the end"),
    optional("limit", "at most so many; 0 is all", "0"),
];

pub(super) const LABELS_PARAMS: &[Param] = &[
    repeated("match[]", "only of these series", false),
    optional("start", "only of series with a sample at this instant or later", "the beginning"),
    optional("end", "only of series with a sample by this instant", "the end"),
    optional("limit", "at most so many; 0 is all", "0"),
];

pub(super) const LABEL_VALUES_PARAMS: &[Param] = &[
    required("name", "the label; __name__ is the metric"),
    repeated("match[]", "only of these series", false),
    optional("start", "only of series with a sample at this instant or later", "the beginning"),
    optional("end", "only of series with a sample by this instant", "the end"),
    optional("limit", "at most so many; 0 is all", "0"),
];

pub(super) const METADATA_PARAMS: &[Param] =
    &[optional("metric", "only of this metric", "all"), optional("limit", "at most so many metrics; 0 is all", "0")];

/// The labels of a series as a JSON object, the metric's name among them.
struct LabelSet<'a>(&'a Key);

impl Serialize for LabelSet<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.labels().len()))?;
        for (name, value) in self.0.labels().iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// `[seconds, "value"]`.
struct Pair(Sample);

impl Serialize for Pair {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0.at as f64 / 1e3, query::format_number(self.0.value)).serialize(serializer)
    }
}

#[derive(Serialize)]
struct Values<T> {
    #[serde(rename = "resultType")]
    result_type: &'static str,
    result: Vec<T>,
}

#[derive(Serialize)]
struct InstantSeries<'a> {
    metric: LabelSet<'a>,
    value: Pair,
}

#[derive(Serialize)]
struct RangeSeries<'a> {
    metric: LabelSet<'a>,
    values: Vec<Pair>,
}

pub(super) fn instant(app: &App, params: &Params) -> Answer {
    let selector = selector(params)?;
    let now = app.now();
    let at = params.time("time", now, now)?;
    let found = query::instant(&app.store, &selector, at, LOOKBACK, app.budget())?;
    let result: Vec<InstantSeries<'_>> = found
        .iter()
        .take(most(params)?)
        // Stamped with the instant asked for, as Prometheus does.
        .map(|(key, sample)| InstantSeries { metric: LabelSet(key), value: Pair(Sample { at, value: sample.value }) })
        .collect();
    Ok(success(&Values { result_type: "vector", result }))
}

pub(super) fn range(app: &App, params: &Params) -> Answer {
    let selector = selector(params)?;
    let now = app.now();
    params.required("start", "now-1h")?;
    params.required("end", "now")?;
    let (start, end) = (params.time("start", now, now)?, params.time("end", now, now)?);
    if end < start {
        return Err(Error::bad_data("`end` lies before `start`; swap them"));
    }
    let step = step(params.required("step", "15s")?)?;
    let found = query::range(&app.store, &selector, start, end, step, LOOKBACK, app.budget())?;
    let result: Vec<RangeSeries<'_>> = found
        .series
        .iter()
        .take(most(params)?)
        .map(|series| RangeSeries {
            metric: LabelSet(&series.key),
            values: series.samples.iter().copied().map(Pair).collect(),
        })
        .collect();
    let told = found.tier.map(|(tier, why)| match why {
        Stand::Retired => format!(
            "samples of a part of this range are not kept any more; values there are the last of windows of {tier}"
        ),
        Stand::TooMany => format!(
            "this range has more samples than one question may read; values are the last of windows of {tier}; ask for \
             fewer series or less time, or raise http.max_query_samples, for samples"
        ),
    });
    Ok(success_with(&Values { result_type: "matrix", result }, told.as_slice()))
}

fn selector(params: &Params) -> Result<Selector, Error> {
    let text = params.required("query", "up")?;
    query::parse_selector(text).map_err(|error| Error::bad_data(format!("parameter `query`: {error}")))
}

/// A span, or seconds with a fraction, as Prometheus takes steps.
fn step(text: &str) -> Result<Millis, Error> {
    let millis = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() => (seconds * 1e3).round() as Millis,
        Ok(_) | Err(_) => {
            parse_duration(text).map_err(|error| Error::bad_data(format!("parameter `step`: {error}")))?
        }
    };
    if millis > 0 { Ok(millis) } else { Err(Error::bad_data("parameter `step`: it must be longer than 0")) }
}

/// `limit`, where 0 is no limit.
fn most(params: &Params) -> Result<usize, Error> {
    let Some(text) = params.one("limit")? else { return Ok(usize::MAX) };
    match text.parse() {
        Ok(0) => Ok(usize::MAX),
        Ok(most) => Ok(most),
        Err(_) => Err(Error::bad_data(format!("parameter `limit`: `{text}` is not a whole number"))),
    }
}

/// The selectors of `match[]`; none is every series.
fn selectors(params: &Params) -> Result<Vec<Selector>, Error> {
    let parsed = params.all("match[]").map(|text| {
        query::parse_selector(text).map_err(|error| Error::bad_data(format!("parameter `match[]`: {error}")))
    });
    parsed.collect()
}

pub(super) fn series(app: &App, params: &Params) -> Answer {
    let selectors = selectors(params)?;
    if selectors.is_empty() {
        return Err(Error::bad_data(
            "the parameter `match[]` is missing; add at least one selector, for example match[]=up",
        ));
    }
    let range = params.range_or_all(app.now())?;
    let mut keys = Vec::new();
    for selector in &selectors {
        keys.extend(app.store.keys(selector, range)?);
    }
    keys.sort_unstable();
    keys.dedup();
    let listed: Vec<LabelSet<'_>> = keys.iter().take(most(params)?).map(LabelSet).collect();
    Ok(success(&listed))
}

pub(super) fn labels(app: &App, params: &Params) -> Answer {
    let range = params.range_or_all(app.now())?;
    listed(params, |selector| Ok(app.store.label_names(selector, range)?))
}

pub(super) fn label_values(app: &App, params: &Params) -> Answer {
    let name = params.required("name", "__name__")?;
    let range = params.range_or_all(app.now())?;
    listed(params, |selector| Ok(app.store.label_values(name, selector, range)?))
}

/// The sorted union over `match[]`.
fn listed(params: &Params, read: impl Fn(&Selector) -> Result<Vec<String>, Error>) -> Answer {
    let selectors = selectors(params)?;
    let mut found = BTreeSet::new();
    if selectors.is_empty() {
        found.extend(read(&Selector::all())?);
    }
    for selector in &selectors {
        found.extend(read(selector)?);
    }
    let found: Vec<String> = found.into_iter().take(most(params)?).collect();
    Ok(success(&found))
}

#[derive(Serialize)]
struct Metadata {
    #[serde(rename = "type")]
    kind: &'static str,
    help: String,
    unit: String,
}

pub(super) fn metadata(app: &App, params: &Params) -> Answer {
    let wanted = params.one("metric")?;
    let selector = wanted.map_or_else(Selector::all, Selector::metric);
    let mut found: BTreeMap<String, [Metadata; 1]> = BTreeMap::new();
    let most = most(params)?;
    for metric in app.store.label_values(crate::series::METRIC_NAME, &selector, TimeRange::ALL)?.into_iter().take(most)
    {
        let Ok(key) = Key::from_pairs(&metric, &[]) else { continue };
        let settings = app.presets.settings_for(&key);
        let kind = settings.kind_of(&metric).as_str();
        found.insert(metric, [Metadata { kind, help: String::new(), unit: settings.unit.unwrap_or_default() }]);
    }
    Ok(success(&found))
}

pub(super) fn build_info(_: &App, _: &Params, _: Accepts) -> Answer {
    let data = value!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "application": "barograph",
    });
    Ok(json(StatusCode::OK, &value!({"status": "success", "data": data})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_spans_or_seconds() {
        assert_eq!(step("15s").unwrap(), 15_000);
        assert_eq!(step("0.5").unwrap(), 500);
        for text in ["0", "-1", "x", "NaN", "inf"] {
            assert!(step(text).is_err(), "{text}");
        }
    }
}
