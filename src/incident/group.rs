//! From anomalies to incidents: DBSCAN on the distance of [`closeness`](super::closeness).
//!
//! In: any number of anomalies. Out: incidents by start.
//!
//! DBSCAN compares every pair, so it must not be given all of them: first the onsets fall into stretches with no
//! pause longer than the reach, which nothing can bridge; then, in a stretch of a storm, anomalies of one place (the
//! same labels but for the metric) that began within a tenth of the reach stand for each other; and what is still too
//! long is cut into runs of [`MAX_POINTS`] that overlap, whose clusters join where they hold the same point. Time grows
//! with the number of anomalies times that constant, memory with the number of anomalies.

use hashbrown::HashMap;
use linfa::ParamGuard;
use linfa::traits::Transformer;
use linfa_clustering::Dbscan;
use linfa_nn::CommonNearestNeighbour;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3Default;

use super::cause::{Cause, rank};
use super::closeness::{Closeness, Numbering, Point, TOLERANCE};
use super::summary;
use crate::detect::Anomaly;
use crate::series::{Key, METRIC_NAME, MINUTE, Millis, Step};

/// Points that DBSCAN sees at a time, and how many of them it sees again with the next.
const MAX_POINTS: usize = 1024;
const SEEN_AGAIN: usize = 256;
/// A stretch of more anomalies than this is a storm.
const STORM: usize = 512;
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

/// Groups anomalies into incidents, in the order of their start. The order of `members` does not matter.
pub fn group(members: &[Member], settings: &GroupSettings) -> Vec<Incident> {
    let reach = settings.reach.max(0);
    let mut ordered: Vec<&Member> = members.iter().collect();
    ordered.sort_by(|a, b| a.anomaly.start.cmp(&b.anomaly.start).then_with(|| a.key.cmp(&b.key)));
    let mut numbering = Numbering::default();
    let points: Vec<Point> = ordered.iter().map(|m| numbering.point(&m.key, m.anomaly.start)).collect();
    let mut incidents = Vec::new();
    for (from, to) in stretches(&points, reach) {
        for cluster in clusters(&ordered[from..to], &points[from..to], reach) {
            if cluster.len() >= settings.min_members {
                let members = cluster.into_iter().map(|idx| ordered[from + idx].clone()).collect();
                incidents.push(incident(members, reach));
            }
        }
    }
    incidents.sort_by(|a, b| a.start.cmp(&b.start).then_with(|| a.id.cmp(&b.id)));
    incidents
}

/// Runs of points, which stand by onset, without a pause longer than `reach`.
fn stretches(points: &[Point], reach: Millis) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut from = 0;
    for idx in 1..=points.len() {
        if idx == points.len() || points[idx].onset.saturating_sub(points[idx - 1].onset) > reach {
            found.push((from, idx));
            from = idx;
        }
    }
    found
}

/// The clusters of one stretch, as ascending indices, single points among them.
fn clusters(members: &[&Member], points: &[Point], reach: Millis) -> Vec<Vec<usize>> {
    let (standing_for, leaders) = if points.len() > STORM {
        stand_ins(members, reach)
    } else {
        ((0..points.len()).collect(), (0..points.len()).collect())
    };
    let led: Vec<Point> = leaders.iter().map(|&idx| points[idx].clone()).collect();
    let mut joined = Joined::new(led.len());
    let mut from = 0;
    while from < led.len() {
        let to = (from + MAX_POINTS).min(led.len());
        dbscan(&led[from..to], reach, from, &mut joined);
        from = if to == led.len() { to } else { to - SEEN_AGAIN };
    }
    let mut found: HashMap<usize, Vec<usize>> = HashMap::new();
    for (idx, &leader) in standing_for.iter().enumerate() {
        found.entry(joined.root(leader)).or_default().push(idx);
    }
    found.into_values().collect()
}

/// A member's labels without its metric.
type Place<'a> = Vec<(&'a str, &'a str)>;

/// For each member the position of its stand-in among the leaders, and the leaders: the first of each place in each
/// tenth of the reach.
fn stand_ins(members: &[&Member], reach: Millis) -> (Vec<usize>, Vec<usize>) {
    let slot = (reach / 10).max(1);
    let mut leader_of: HashMap<(Place<'_>, Millis), usize> = HashMap::new();
    let mut leaders = Vec::new();
    let standing_for = members.iter().enumerate().map(|(idx, member)| {
        let place = member.key.labels().without_metric().collect();
        let when = member.anomaly.start.div_euclid(slot);
        *leader_of.entry((place, when)).or_insert_with(|| {
            leaders.push(idx);
            leaders.len() - 1
        })
    });
    let standing_for = standing_for.collect();
    (standing_for, leaders)
}

/// Joins those of `points` that DBSCAN puts into one cluster; they stand from `offset` on.
fn dbscan(points: &[Point], reach: Millis, offset: usize, joined: &mut Joined) {
    let rows = Array2::from_shape_fn((points.len(), 1), |(idx, _)| idx as f64);
    let closeness = Closeness { points, reach };
    let params = Dbscan::params_with(2, closeness, CommonNearestNeighbour::LinearSearch).tolerance(TOLERANCE);
    let Ok(params) = params.check() else {
        return;
    };
    let mut first_of: HashMap<usize, usize> = HashMap::new();
    for (idx, cluster) in params.transform(&rows).iter().enumerate() {
        if let Some(cluster) = cluster {
            let first = *first_of.entry(*cluster).or_insert(idx);
            joined.join(offset + first, offset + idx);
        }
    }
}

/// Who belongs to whom.
struct Joined(Vec<usize>);

impl Joined {
    fn new(n: usize) -> Joined {
        Joined((0..n).collect())
    }

    fn root(&mut self, mut idx: usize) -> usize {
        while self.0[idx] != idx {
            self.0[idx] = self.0[self.0[idx]];
            idx = self.0[idx];
        }
        idx
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
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
