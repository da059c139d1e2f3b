//! `GET /api/v1/stats`: plain statistics over windows that end now.

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Answer, SeriesName, Time, success};
use super::params::Params;
use super::routes::{Param, optional, required};
use super::state::App;
use crate::query;
use crate::series::{Millis, Summary};

pub(super) const PARAMS: &[Param] = &[
    required("match", "selector of the series"),
    optional("window", "spans of time that end now, separated by commas", "1h,24h,7d"),
    optional("limit", "at most so many series, 1 to 10000", "1000"),
];

/// The statistics of the matching series.
#[derive(Serialize, ToSchema)]
pub(super) struct Stats {
    /// When every window ends.
    end: Time,
    /// How many series match; more than are listed when `limit` cut the list.
    matched: usize,
    /// Set when `limit` cut the list: what to do to see the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<String>,
    /// In the order of the series' names.
    series: Vec<SeriesStatsDoc>,
}

/// One series' statistics.
#[derive(Serialize, ToSchema)]
pub(super) struct SeriesStatsDoc {
    #[serde(flatten)]
    name: SeriesName,
    /// `gauge` or `counter`; it decides what the rate is.
    kind: &'static str,
    windows: Vec<WindowDoc>,
}

/// One window of one series.
#[derive(Serialize, ToSchema)]
pub(super) struct WindowDoc {
    /// How long, as it was asked for.
    #[schema(example = "24h")]
    window: String,
    #[serde(flatten)]
    summary: SummaryDoc,
}

/// Plain statistics of finite samples; null where there are too few.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct SummaryDoc {
    /// Finite samples.
    count: usize,
    mean: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    /// Standard deviation of the sample.
    deviation: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    /// Change per second; for a counter its increase, resets allowed for.
    rate: Option<f64>,
}

impl SummaryDoc {
    pub(super) fn of(summary: &Summary) -> SummaryDoc {
        let Summary { count, mean, min, max, deviation, p50, p90, p95, p99, rate } = *summary;
        SummaryDoc { count, mean, min, max, deviation, p50, p90, p95, p99, rate }
    }
}

pub(super) fn answer(app: &App, params: &Params) -> Answer {
    let selector = params.required_selector("match")?;
    let windows = params.spans("window", "1h,24h,7d")?;
    let limit = params.count("limit", 1000, 10_000)?;
    let lengths: Vec<Millis> = windows.iter().map(|(_, length)| *length).collect();
    let now = app.now();
    let found = query::stats(&app.store, &selector, &lengths, now, &|key| app.kind_of(key), app.budget())?;
    let matched = found.len();
    if matched == 0 {
        return Err(app.nothing_matches(&selector));
    }
    let series = found.iter().take(limit).map(|one| SeriesStatsDoc {
        name: SeriesName::of(&one.key),
        kind: one.kind.as_str(),
        windows: one
            .windows
            .iter()
            .zip(&windows)
            .map(|(window, (text, _))| WindowDoc {
                window: (*text).to_owned(),
                summary: SummaryDoc::of(&window.summary),
            })
            .collect(),
    });
    let truncated = (matched > limit)
        .then(|| format!("{matched} series match and {limit} are listed; narrow `match`, or raise `limit`"));
    Ok(success(&Stats { end: Time(now), matched, truncated, series: series.collect() }))
}
