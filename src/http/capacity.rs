//! `GET` and `POST /api/v1/capacity`: when a limit is crossed, what is left, what to do; and what would be if.

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Answer, SeriesName, Time, idle_events, success_with};
use super::error::Error;
use super::params::Params;
use super::routes::{Param, optional};
use super::state::App;
use crate::capacity::{Assessment, Exhaustion, Limit};
use crate::query;
use crate::series::{DAY, Key, Millis, Side, TimeRange, format_duration};
use crate::watch::FleetAnswer;

pub(super) const PARAMS: &[Param] = &[
    optional("match", "selector of the series", "every series whose preset knows its limit"),
    optional(
        "limit",
        "the value that must not be crossed, in the metric's unit: 95, 0.9, 10GiB, 80%",
        "what the preset knows",
    ),
    optional("side", "up: the series must stay below the limit; down: above", "up"),
    optional("horizon", "how far ahead to look", "180d"),
    optional(
        "events",
        "events to assume, as JSON: what would be if; a POST takes them as a list in its body; no `recurring` ones",
        "none",
    ),
];

/// Capacity answers, soonest exhaustion first.
#[derive(Serialize, ToSchema)]
pub(super) struct Capacity {
    /// How many series the question means.
    matched: usize,
    /// Set when not all of them are listed: why, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<String>,
    series: Vec<AssessmentDoc>,
}

/// When one series crosses its limit, and what to do.
#[derive(Serialize, ToSchema)]
pub(super) struct AssessmentDoc {
    #[serde(flatten)]
    name: SeriesName,
    /// The last value.
    level: Option<f64>,
    /// The limit.
    limit: f64,
    /// `up` when the series must stay below the limit, `down` when above.
    side: &'static str,
    exhaustion: ExhaustionDoc,
    /// How likely the limit is crossed within `horizon`, 0 to 1.
    probability: Option<f64>,
    /// How far ahead this answer speaks: as asked, or less when the history is too short for that.
    #[schema(example = "180d")]
    horizon: String,
    /// Now and after 7, 30 and 90 days.
    headroom: Vec<HeadroomDoc>,
    /// What to do, in words.
    recommendation: String,
    /// How much to add or to free, in the metric's unit; null when nothing need be done.
    amount: Option<f64>,
    /// Change per day in the metric's unit; 0 when no change is significant.
    slope_per_day: f64,
    /// How the answer was come by.
    method: &'static str,
    /// The names of the events, planned or assumed, that were reckoned with.
    events: Vec<String>,
}

/// The crossing of the limit.
#[derive(Serialize, ToSchema)]
pub(super) struct ExhaustionDoc {
    /// `crossed`, `expected`, `not growing` or `unknown`.
    status: &'static str,
    /// Crossed since; null when it was so from the start of the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Time>,
    /// By then with 10 % probability; null is beyond the horizon.
    p10: Option<Time>,
    /// By then with 50 % probability; null is beyond the horizon.
    p50: Option<Time>,
    /// By then with 90 % probability; null is beyond the horizon.
    p90: Option<Time>,
    /// Why nothing can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What is left between the series and its limit.
#[derive(Serialize, ToSchema)]
pub(super) struct HeadroomDoc {
    /// How far ahead; `0s` is now.
    #[schema(example = "30d")]
    after: String,
    /// In the metric's unit; negative beyond the limit, null where the history is too short to tell.
    value: Option<f64>,
    /// As a share of the limit.
    share: Option<f64>,
}

pub(super) fn answer(app: &App, params: &Params) -> Answer {
    let selector = params.selector("match")?;
    let side = match params.one("side")? {
        None | Some("up") => Side::Up,
        Some("down") => Side::Down,
        Some(other) => return Err(Error::bad_data(format!("parameter `side`: `{other}` is neither up nor down"))),
    };
    let limit = match params.one("limit")? {
        None => None,
        Some(text) => {
            let value =
                query::parse_amount(text).map_err(|error| Error::bad_data(format!("parameter `limit`: {error}")))?;
            Some(Limit { value, side })
        }
    };
    if limit.is_some() && selector.is_none() {
        return Err(Error::bad_data("`limit` says what must not be crossed, but not by which series; add `match`"));
    }
    let horizon = params.span("horizon")?.unwrap_or(180 * DAY);
    let keys = selector.as_ref().map(|selector| app.keys(selector, TimeRange::ALL)).transpose()?;
    let assumed = params.events("events", app.config.time_zone, app.watch.now())?;
    if let Some(name) = assumed.recurring() {
        return Err(Error::bad_data(format!(
            "parameter `events`: `{name}` recurs, and capacity does not reckon with what recurs; leave it out, or \
             assume a `one-off` with an amount for its next time"
        )));
    }
    let found = app.watch.capacity(selector.as_ref(), limit, horizon, &assumed)?;
    let doc = Capacity {
        matched: found.n_matched,
        truncated: truncated(&found),
        series: found.series.iter().map(|(key, assessment)| AssessmentDoc::of(key, assessment)).collect(),
    };
    let warnings = match &keys {
        Some(keys) => idle_events(&assumed, keys.iter()),
        // Some are not known yet.
        None if found.n_pending > 0 => Vec::new(),
        None => {
            let failed = found.failed.iter().map(|(key, _)| key);
            idle_events(&assumed, found.series.iter().map(|(key, _)| key).chain(failed))
        }
    };
    Ok(success_with(&doc, &warnings))
}

/// What is missing from the list, in words.
fn truncated(found: &FleetAnswer) -> Option<String> {
    let mut parts = Vec::new();
    if found.n_beyond > 0 {
        let n_asked = found.n_matched - found.n_beyond;
        parts.push(format!("{} series match and {n_asked} were assessed; narrow `match`", found.n_matched));
    }
    if found.n_pending > 0 {
        parts.push(format!("{} series are not assessed yet; ask again later", found.n_pending));
    }
    if let Some((key, error)) = found.failed.first() {
        parts.push(format!("{} series could not be assessed, the first, {key}, because: {error}", found.failed.len()));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

impl AssessmentDoc {
    fn of(key: &Key, assessment: &Assessment) -> AssessmentDoc {
        AssessmentDoc {
            name: SeriesName::of(key),
            level: assessment.level.is_finite().then_some(assessment.level),
            limit: assessment.limit.value,
            side: match assessment.limit.side {
                Side::Up | Side::Both => "up",
                Side::Down => "down",
            },
            exhaustion: ExhaustionDoc::of(&assessment.exhaustion),
            probability: assessment.probability,
            horizon: days(assessment.horizon),
            headroom: assessment
                .headroom
                .iter()
                .map(|left| HeadroomDoc { after: days(left.after), value: left.value, share: left.share })
                .collect(),
            recommendation: assessment.recommendation.clone(),
            amount: assessment.amount,
            slope_per_day: assessment.slope_per_day,
            method: assessment.method,
            events: assessment.events.clone(),
        }
    }
}

/// `0s`, `7d`, `30d`: whole days stay days.
fn days(span: Millis) -> String {
    if span > 0 && span % DAY == 0 { format!("{}d", span / DAY) } else { format_duration(span) }
}

impl ExhaustionDoc {
    fn of(exhaustion: &Exhaustion) -> ExhaustionDoc {
        let mut doc =
            ExhaustionDoc { status: "not growing", since: None, p10: None, p50: None, p90: None, reason: None };
        match exhaustion {
            Exhaustion::Crossed { since } => {
                doc.status = "crossed";
                doc.since = since.map(Time);
            }
            Exhaustion::Expected { p10, p50, p90 } => {
                doc.status = "expected";
                (doc.p10, doc.p50, doc.p90) = (p10.map(Time), p50.map(Time), p90.map(Time));
            }
            Exhaustion::NotGrowing => {}
            Exhaustion::Unknown { reason } => {
                doc.status = "unknown";
                doc.reason = Some(reason.clone());
            }
        }
        doc
    }
}
