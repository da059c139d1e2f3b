//! From anomalies to incidents.

use serde::{Deserialize, Serialize};

use crate::detect::Anomaly;
use crate::series::{Key, MINUTE, Millis};

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

/// A member as a likely cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// Which series.
    pub key: Key,
    /// When its anomaly began.
    pub onset: Millis,
    /// How long after the first onset of the incident.
    pub lag: Millis,
    /// How likely it started the incident, 0 to 1, from its score and its onset.
    pub strength: f64,
    /// Why it stands where it stands.
    pub reason: String,
}

/// Anomalies that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// A stable name: the hash of the first member.
    pub id: String,
    /// The first onset.
    pub start: Millis,
    /// The last end so far.
    pub end: Millis,
    /// Whether a member is still open.
    pub is_open: bool,
    /// The labels every member has.
    pub shared_labels: Vec<(String, String)>,
    /// The members' series, the likeliest cause first.
    pub causes: Vec<Cause>,
    /// The members by onset.
    pub members: Vec<Member>,
    /// One sentence for a person.
    pub summary: String,
}

/// Groups anomalies into incidents, in the order of their start.
pub fn group(members: &[Member], settings: &GroupSettings) -> Vec<Incident> {
    let _ = (members, settings);
    Vec::new()
}
