//! The anomalies in memory, by start, and which of them have changed since they were last written.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::detect::Anomaly;
use crate::incident::Member;
use crate::series::{Key, Millis, Selector, TimeRange};

/// Orders by start; the second part tells apart those that start together.
pub(super) type AnomalyId = (Millis, u64);

/// The stable name of the anomaly of `key` that began at `start`.
pub(super) fn anomaly_id(key: &Key, start: Millis) -> AnomalyId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&key.id().to_le_bytes());
    bytes[8..].copy_from_slice(&start.to_le_bytes());
    (start, xxh3_64(&bytes))
}

/// Anomalies by start.
#[derive(Debug, Default)]
pub(super) struct Anomalies {
    members: BTreeMap<AnomalyId, Member>,
    open: HashMap<Key, AnomalyId>,
    dirty: BTreeSet<AnomalyId>,
    /// The earliest start among what has changed since incidents were last made.
    ungrouped_from: Option<Millis>,
}

impl Anomalies {
    /// Takes in an anomaly that is on disk already.
    pub fn load(&mut self, member: Member) {
        let id = anomaly_id(&member.key, member.anomaly.start);
        self.put(id, member);
    }

    /// Takes in an anomaly as it is now.
    pub fn change(&mut self, key: &Key, anomaly: Anomaly) {
        let id = anomaly_id(key, anomaly.start);
        self.dirty.insert(id);
        self.put(id, Member { key: key.clone(), anomaly });
    }

    /// Takes in how far an open anomaly has come. It need not be written for that; its next change or end will be.
    pub fn touch(&mut self, key: &Key, anomaly: Anomaly) {
        let id = anomaly_id(key, anomaly.start);
        if self.members.get(&id).is_some_and(|member| member.anomaly != anomaly) {
            self.put(id, Member { key: key.clone(), anomaly });
        }
    }

    fn put(&mut self, id: AnomalyId, member: Member) {
        if member.anomaly.is_open {
            self.open.insert(member.key.clone(), id);
        } else if self.open.get(&member.key) == Some(&id) {
            self.open.remove(&member.key);
        }
        self.ungrouped_from = Some(self.ungrouped_from.map_or(id.0, |from| from.min(id.0)));
        self.members.insert(id, member);
    }

    /// The series' open anomaly.
    pub fn open_of(&self, key: &Key) -> Option<&Anomaly> {
        self.open.get(key).and_then(|id| self.members.get(id)).map(|member| &member.anomaly)
    }

    /// Ends the series' open anomaly where it is.
    pub fn close(&mut self, key: &Key) {
        if let Some(mut anomaly) = self.open_of(key).cloned() {
            anomaly.is_open = false;
            self.change(key, anomaly);
        }
    }

    /// Whose anomalies are open.
    pub fn open_keys(&self) -> impl Iterator<Item = &Key> {
        self.open.keys()
    }

    /// How many are open.
    pub fn n_open(&self) -> usize {
        self.open.len()
    }

    /// Those of the selected series that overlap `range` and peak at `min_score` or above, by start.
    pub fn select(&self, selector: &Selector, range: TimeRange, min_score: f64) -> Vec<Member> {
        self.members
            .values()
            .take_while(|member| member.anomaly.start < range.end())
            .filter(|member| {
                range.overlaps(member.anomaly.start, member.anomaly.end) || is_running(&member.anomaly, range)
            })
            .filter(|member| member.anomaly.score >= min_score && selector.matches(member.key.labels()))
            .cloned()
            .collect()
    }

    /// What has changed since the last call, for writing.
    pub fn take_dirty(&mut self) -> Vec<(AnomalyId, Member)> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().filter_map(|id| Some((id, self.members.get(&id)?.clone()))).collect()
    }

    /// Puts back what could not be written.
    pub fn put_back(&mut self, ids: impl IntoIterator<Item = AnomalyId>) {
        self.dirty.extend(ids);
    }

    /// When something changed since the last call: the members from the last gap of `reach` before it on, by start.
    pub fn take_ungrouped(&mut self, reach: Millis) -> Option<Vec<Member>> {
        let mut from = self.ungrouped_from.take()?;
        for (start, _) in self.members.range(..(from, 0)).rev().map(|(id, _)| *id) {
            if from.saturating_sub(start) > reach {
                break;
            }
            from = start;
        }
        Some(self.members.range((from, 0)..).map(|(_, member)| member.clone()).collect())
    }

    /// Forgets the oldest beyond `limit` that are closed and written.
    pub fn shrink(&mut self, limit: usize) {
        let excess = self.members.len().saturating_sub(limit);
        let old: Vec<AnomalyId> = self
            .members
            .iter()
            .filter(|(id, member)| !member.anomaly.is_open && !self.dirty.contains(*id))
            .map(|(id, _)| *id)
            .take(excess)
            .collect();
        for id in old {
            self.members.remove(&id);
        }
    }
}

/// An open anomaly lasts until now, whatever its last sample above the threshold.
fn is_running(anomaly: &Anomaly, range: TimeRange) -> bool {
    anomaly.is_open && anomaly.start < range.end() && anomaly.end < range.start()
}
