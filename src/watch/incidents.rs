//! The incidents in memory, made anew from anomalies where these changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::incident::{GroupSettings, Incident, Member, group};
use crate::series::{Millis, TimeRange};

/// Anomalies further apart than this many times the reach are never grouped, so each stretch is on its own.
const GAP: Millis = 2;

/// Incidents by start.
#[derive(Debug, Default)]
pub(super) struct Incidents {
    incidents: BTreeMap<(Millis, String), Incident>,
    dirty: BTreeSet<(Millis, String)>,
    /// Incidents that were written and no longer exist, joined with others.
    retracted: BTreeMap<(Millis, String), Incident>,
}

/// The longest pause between onsets that may still belong together.
pub(super) fn reach(settings: &GroupSettings) -> Millis {
    settings.reach.saturating_mul(GAP)
}

impl Incidents {
    /// Replaces the incidents from the first of `members` on, which are every anomaly from there on, by start.
    pub fn regroup(&mut self, members: &[Member], settings: &GroupSettings) {
        let Some(first) = members.first() else { return };
        let old = self.incidents.split_off(&(first.anomaly.start, String::new()));
        let reach = reach(settings);
        let mut from = 0;
        for to in 1..=members.len() {
            let is_end =
                to == members.len() || members[to].anomaly.start.saturating_sub(members[to - 1].anomaly.start) > reach;
            if is_end {
                for incident in group(&members[from..to], settings) {
                    self.incidents.insert((incident.start, incident.id.clone()), incident);
                }
                from = to;
            }
        }
        for (id, incident) in &self.incidents {
            if old.get(id).is_none_or(|before| before != incident) && id.0 >= first.anomaly.start {
                self.dirty.insert(id.clone());
                self.retracted.remove(id);
            }
        }
        for (id, incident) in old {
            if !self.incidents.contains_key(&id) {
                self.dirty.remove(&id);
                self.retracted.insert(id, incident);
            }
        }
    }

    /// Those that overlap `range`, by start.
    pub fn select(&self, range: TimeRange) -> Vec<Incident> {
        let overlaps = |incident: &&Incident| {
            range.overlaps(incident.start, incident.end) || (incident.is_open && incident.start < range.end())
        };
        self.incidents.values().filter(overlaps).cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.incidents.len()
    }

    /// What changed since the last call, for writing: incidents, and whether they were retracted.
    pub fn take_dirty(&mut self) -> Vec<(Incident, bool)> {
        let dirty = std::mem::take(&mut self.dirty);
        let retracted = std::mem::take(&mut self.retracted);
        let changed = dirty.iter().filter_map(|id| Some((self.incidents.get(id)?.clone(), false)));
        changed.chain(retracted.into_values().map(|incident| (incident, true))).collect()
    }

    /// Puts back what could not be written.
    pub fn put_back(&mut self, changes: Vec<(Incident, bool)>) {
        for (incident, is_retracted) in changes {
            let id = (incident.start, incident.id.clone());
            if is_retracted {
                self.retracted.insert(id, incident);
            } else {
                self.dirty.insert(id);
            }
        }
    }

    /// Everything in memory counts as written; after loading.
    pub fn mark_written(&mut self) {
        self.dirty.clear();
        self.retracted.clear();
    }

    /// Forgets incidents that ended before `before`.
    pub fn shrink(&mut self, before: Millis) {
        let dirty = &self.dirty;
        self.incidents.retain(|id, incident| incident.is_open || incident.end >= before || dirty.contains(id));
    }
}
