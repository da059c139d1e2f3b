//! `GET /api/v1/anomalies`: spans in which a series was odd.

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Answer, SeriesName, Time, success};
use super::params::Params;
use super::routes::{Param, optional};
use super::state::App;
use super::stats::SummaryDoc;
use crate::incident::Member;
use crate::query::summaries_before;
use crate::series::{DAY, HOUR, Key, Millis, Selector};

pub(super) const PARAMS: &[Param] = &[
    optional("match", "selector of the series", "all series"),
    optional(
        "start",
        "anomalies that last to this instant or later: RFC 3339, seconds since the epoch, or now-1h",
        "24h before end",
    ),
    optional("end", "anomalies that begin by this instant", "now"),
    optional("min_score", "anomalies with at least this score; 1 is the edge of the band", "1"),
    optional("limit", "at most so many, the worst first to stay, 1 to 10000", "1000"),
];

/// The anomalies in a time range.
#[derive(Serialize, ToSchema)]
pub(super) struct Anomalies {
    /// How many there are; more than are listed when `limit` cut the list.
    matched: usize,
    /// Set when `limit` cut the list: what to do to see the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<String>,
    /// Oldest first.
    anomalies: Vec<AnomalyDoc>,
}

/// A span of samples whose score crossed the threshold, told at its worst sample.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct AnomalyDoc {
    #[serde(flatten)]
    name: SeriesName,
    /// `spike`, `drop`, `trend`, `pattern`, `multivariate` or `threshold`.
    kind: &'static str,
    /// The first sample above the threshold.
    start: Time,
    /// The last sample above it so far.
    end: Time,
    /// Whether it may still grow.
    is_open: bool,
    /// The sample with the highest score.
    peak_at: Time,
    /// The highest score: 1 is the edge of the band.
    score: f64,
    /// The value at the peak, per second for a counter.
    value: f64,
    /// What was expected there.
    expected: Option<f64>,
    /// The band's lower edge there.
    lower: Option<f64>,
    /// The band's upper edge there.
    upper: Option<f64>,
    /// The detector that found it.
    detector: String,
    /// One sentence for a person.
    explanation: String,
    /// The hour before it began, per second for a counter: what was normal.
    #[serde(skip_serializing_if = "Option::is_none")]
    hour_before: Option<SummaryDoc>,
}

impl AnomalyDoc {
    pub(super) fn of(member: &Member) -> AnomalyDoc {
        let anomaly = &member.anomaly;
        AnomalyDoc {
            name: SeriesName::of(&member.key),
            kind: anomaly.kind.as_str(),
            start: Time(anomaly.start),
            end: Time(anomaly.end),
            is_open: anomaly.is_open,
            peak_at: Time(anomaly.peak_at),
            score: anomaly.score,
            value: anomaly.value,
            expected: anomaly.expected,
            lower: anomaly.lower,
            upper: anomaly.upper,
            detector: anomaly.detector.clone(),
            explanation: anomaly.explanation.clone(),
            hour_before: None,
        }
    }
}

pub(super) fn answer(app: &App, params: &Params) -> Answer {
    let selector = params.selector("match")?.unwrap_or_else(Selector::all);
    let range = params.range(app.now(), DAY)?;
    let min_score = params.number("min_score")?.unwrap_or(1.0);
    let limit = params.count("limit", 1000, 10_000)?;
    let mut found = app.watch.anomalies(&selector, range, min_score);
    let matched = found.len();
    if matched > limit {
        found.sort_by(|a, b| b.anomaly.score.total_cmp(&a.anomaly.score));
        found.truncate(limit);
    }
    found.sort_by(|a, b| a.anomaly.start.cmp(&b.anomaly.start).then_with(|| a.key.cmp(&b.key)));
    // Plain statistics of the hour before stand beside each anomaly.
    let starts: Vec<(Key, Millis)> = found.iter().map(|member| (member.key.clone(), member.anomaly.start)).collect();
    let before = summaries_before(&app.store, &starts, HOUR, &|key| app.kind_of(key), app.budget())?;
    let described = found.iter().zip(before).map(|(member, before)| {
        let hour_before = before.as_ref().map(SummaryDoc::of);
        AnomalyDoc { hour_before, ..AnomalyDoc::of(member) }
    });
    let anomalies = described.collect();
    let truncated = (matched > limit)
        .then(|| format!("{matched} anomalies match and the {limit} worst are listed; narrow `match` or the time range, or raise `limit`"));
    Ok(success(&Anomalies { matched, truncated, anomalies }))
}
