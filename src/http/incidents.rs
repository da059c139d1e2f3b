//! `GET /api/v1/incidents`: anomalies that belong together, with likely causes.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::anomalies::AnomalyDoc;
use super::answer::{Answer, SeriesName, Time, success};
use super::params::Params;
use super::routes::{Param, optional};
use super::state::App;
use crate::incident::{Cause, Incident};
use crate::series::DAY;

pub(super) const PARAMS: &[Param] = &[
    optional(
        "start",
        "incidents that last to this instant or later: RFC 3339, seconds since the epoch, or now-1h",
        "24h before end",
    ),
    optional("end", "incidents that begin by this instant", "now"),
    optional("limit", "at most so many, the newest stay, 1 to 1000", "100"),
];

/// The incidents in a time range.
#[derive(Serialize, ToSchema)]
pub(super) struct Incidents {
    /// How many there are; more than are listed when `limit` cut the list.
    matched: usize,
    /// Set when `limit` cut the list: what to do to see the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<String>,
    /// Oldest first.
    incidents: Vec<IncidentDoc>,
}

/// Anomalies close in time and labels.
#[derive(Serialize, ToSchema)]
pub(super) struct IncidentDoc {
    /// The same from one answer to the next.
    id: String,
    start: Time,
    end: Time,
    /// Whether one of its anomalies may still grow.
    is_open: bool,
    /// One sentence for a person.
    summary: String,
    /// Labels that all members share.
    shared_labels: BTreeMap<String, String>,
    /// Likeliest first.
    causes: Vec<CauseDoc>,
    /// The timeline: oldest first.
    members: Vec<AnomalyDoc>,
}

/// A series that may have started it.
#[derive(Serialize, ToSchema)]
pub(super) struct CauseDoc {
    #[serde(flatten)]
    name: SeriesName,
    /// When it became odd.
    onset: Time,
    /// Seconds behind the first of the incident.
    lag: f64,
    /// 0 to 1.
    strength: f64,
    /// Why it is ranked here.
    reason: String,
}

pub(super) fn answer(app: &App, params: &Params) -> Answer {
    let range = params.range(app.now(), DAY)?;
    let limit = params.count("limit", 100, 1000)?;
    let mut found = app.watch.incidents(range);
    let matched = found.len();
    found.sort_by_key(|incident| incident.start);
    found.drain(..matched.saturating_sub(limit));
    let truncated = (matched > limit).then(|| {
        format!("{matched} incidents match and the newest {limit} are listed; narrow the time range, or raise `limit`")
    });
    Ok(success(&Incidents { matched, truncated, incidents: found.iter().map(IncidentDoc::of).collect() }))
}

impl IncidentDoc {
    fn of(incident: &Incident) -> IncidentDoc {
        let mut members: Vec<_> = incident.members.iter().collect();
        members.sort_by_key(|member| member.anomaly.start);
        IncidentDoc {
            id: incident.id.clone(),
            start: Time(incident.start),
            end: Time(incident.end),
            is_open: incident.is_open,
            summary: incident.summary.clone(),
            shared_labels: incident.shared_labels.iter().cloned().collect(),
            causes: incident.causes.iter().map(CauseDoc::of).collect(),
            members: members.into_iter().map(AnomalyDoc::of).collect(),
        }
    }
}

impl CauseDoc {
    fn of(cause: &Cause) -> CauseDoc {
        CauseDoc {
            name: SeriesName::of(&cause.key),
            onset: Time(cause.onset),
            lag: cause.lag as f64 / 1e3,
            strength: cause.strength,
            reason: cause.reason.clone(),
        }
    }
}
