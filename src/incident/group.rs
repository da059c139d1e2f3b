//! From anomalies to incidents: the clusters of [`cluster`](super::cluster), told as a person needs them.
//!
//! In: any number of anomalies. Out: incidents by start.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3Default;

use super::cause::{Cause, rank};
use super::cluster::{clusters, stretches};
use super::evidence::{Numbering, Point};
use super::habits::Habits;
use super::summary;
use crate::detect::Anomaly;
use crate::series::{Key, METRIC_NAME, MINUTE, Millis, Step};

/// The onset counts for 1/e after this share of the reach.
const PATIENCE: f64 = 0.3;

/// One series' anomaly.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Whose anomaly it is.
    pub key: Key,
    /// The anomaly.
    pub anomaly: Anomaly,
}

/// When anomalies belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupSettings {
    /// Anomalies whose onsets lie further apart than this never belong together, in milliseconds; default 10 minutes.
    pub reach: Millis,
    /// An incident has at least so many members; default 2.
    pub min_members: usize,
}

impl Default for GroupSettings {
    fn default() -> Self {
        GroupSettings { reach: 10 * MINUTE, min_members: 2 }
    }
}

impl GroupSettings {
    /// The defaults for samples `step` apart: the reach is at least three steps, since an onset is known to a step.
    pub fn for_step(step: Step) -> GroupSettings {
        let settings = GroupSettings::default();
        GroupSettings { reach: settings.reach.max(step.millis().saturating_mul(3)), ..settings }
    }
}

/// Anomalies that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// A name that stays while the incident grows: the hash of its first member.
    pub id: String,
    /// The first onset.
    pub start: Millis,
    /// The last end so far.
    pub end: Millis,
    /// Whether a member is still open.
    pub is_open: bool,
    /// The labels every member has, the metric's name among them when it is always the same.
    pub shared_labels: Vec<(String, String)>,
    /// The members' series, the likeliest cause first.
    pub causes: Vec<Cause>,
    /// The members by onset.
    pub members: Vec<Member>,
    /// One sentence for a person.
    pub summary: String,
}

/// Groups anomalies into incidents, in the order of their start. The order of `members` does not matter. What alarmed
/// together earlier among them counts later.
pub fn group(members: &[Member], settings: &GroupSettings) -> Vec<Incident> {
    group_after(&[], members, settings)
}

/// As [`group`], knowing what alarmed before: `past` is learned from and not grouped. All of it lies before `members`.
pub fn group_after(past: &[Member], members: &[Member], settings: &GroupSettings) -> Vec<Incident> {
    let reach = settings.reach.max(0);
    let mut numbering = Numbering::default();
    let mut habits = Habits::default();
    let (_, past) = by_onset(past, &mut numbering);
    habits.note(&past, reach);
    for (from, to) in stretches(&past, reach) {
        habits.learn(&past[from..to], reach);
    }
    let (ordered, points) = by_onset(members, &mut numbering);
    habits.note(&points, reach);
    let mut incidents = Vec::new();
    for (from, to) in stretches(&points, reach) {
        for cluster in clusters(&points[from..to], reach, &habits) {
            if cluster.len() >= settings.min_members {
                let members = cluster.into_iter().map(|idx| ordered[from + idx].clone()).collect();
                incidents.push(incident(members, reach));
            }
        }
        habits.learn(&points[from..to], reach);
    }
    incidents.sort_by(|a, b| a.start.cmp(&b.start).then_with(|| a.id.cmp(&b.id)));
    incidents
}

/// The members by onset, and their points.
fn by_onset<'a>(members: &'a [Member], numbering: &mut Numbering) -> (Vec<&'a Member>, Vec<Point>) {
    let mut ordered: Vec<&Member> = members.iter().collect();
    ordered.sort_by(|a, b| a.anomaly.start.cmp(&b.anomaly.start).then_with(|| a.key.cmp(&b.key)));
    let points = ordered.iter().map(|member| numbering.point(&member.key, member.anomaly.start)).collect();
    (ordered, points)
}

/// An incident of members that stand by onset.
fn incident(members: Vec<Member>, reach: Millis) -> Incident {
    let start = members.first().map_or(0, |member| member.anomaly.start);
    let end = members.iter().map(|member| member.anomaly.end).max().unwrap_or(start);
    let causes = rank(&members, (reach as f64 * PATIENCE) as Millis);
    let shared_labels = shared_labels(&members);
    let summary = summary::sentence(&members, &shared_labels, &causes, end.saturating_sub(start));
    Incident {
        id: id_of(&members),
        start,
        end,
        is_open: members.iter().any(|member| member.anomaly.is_open),
        shared_labels,
        causes,
        members,
        summary,
    }
}

fn shared_labels(members: &[Member]) -> Vec<(String, String)> {
    let Some((first, others)) = members.split_first() else {
        return Vec::new();
    };
    let is_shared = |(name, value): &(&str, &str)| others.iter().all(|m| m.key.labels().get(name) == Some(value));
    let mut shared: Vec<(&str, &str)> = first.key.labels().iter().filter(is_shared).collect();
    // The place first, the metric last.
    shared.sort_by_key(|(name, _)| *name == METRIC_NAME);
    shared.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn id_of(members: &[Member]) -> String {
    let mut hasher = Xxh3Default::new();
    if let Some(first) = members.first() {
        hasher.update(&first.key.id().to_le_bytes());
        hasher.update(&first.anomaly.start.to_le_bytes());
    }
    format!("{:016x}", hasher.digest())
}
