//! What the labels of two anomalies say: for one fault, against it, or nothing.
//!
//! In: label sets. Out: a doubt from 0, surely the same place, over 0.5, nothing to compare, to 1.
//!
//! Only a label's name that both have can speak. What its values say depends on what it names, told by its words:
//!
//! | a label that says | e.g. | the same value | another value |
//! |---|---|---|---|
//! | where: a thing that fails alone | `host`, `instance`, `pod` | for, 1 | against, 2.5 |
//! | around: what many things share | `cluster`, `zone`, `rack`, `env` | nothing by itself | against, 2.5 |
//! | which part: anything else | `service`, `job`, `queue` | for, 0.5 | against, 0.25 each, 1 at most |
//! | the metric | `__name__` | for, 0.5 | nothing |
//!
//! Faults spread from one part of a system to the next, so another service says little; another host says much, and
//! only the same metric with something else in common makes up for it. Several labels of one row count once, for they
//! repeat each other; around counts with the parts where a place differs. The doubt is the share of what is against,
//! with half a vote on each side to begin with.

use hashbrown::HashMap;

use crate::series::{Key, Millis, SeriesId};

/// The doubt where there is nothing to compare.
#[cfg(test)]
pub(super) const NEUTRAL: f64 = 0.5;

const WHERE: [&str; 12] =
    ["address", "host", "hostname", "instance", "ip", "machine", "node", "nodename", "pid", "pod", "server", "vm"];
const AROUND: [&str; 11] =
    ["az", "cluster", "datacenter", "dc", "env", "environment", "rack", "region", "site", "tenant", "zone"];

const SAME_PLACE: f64 = 1.0;
const OTHER_PLACE: f64 = 2.5;
const SAME_PART: f64 = 0.5;
const OTHER_PART: f64 = 0.25;
const MOST_OTHER_PARTS: f64 = 1.0;
const SAME_METRIC: f64 = 0.5;
/// The vote that both sides begin with.
const PRIOR: f64 = 0.5;

/// What a label says, by the words of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Where,
    Around,
    Part,
}

impl Says {
    fn of(name: &str) -> Says {
        let name = name.to_ascii_lowercase();
        let has = |list: &[&str]| name.split(['_', '.', '-', '/']).any(|word| list.contains(&word));
        if has(&WHERE) {
            Says::Where
        } else if has(&AROUND) {
            Says::Around
        } else {
            Says::Part
        }
    }
}

/// An anomaly as the distance sees it, or several of one place.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) onset: Millis,
    /// The series' id.
    pub(super) series: SeriesId,
    /// Ascending.
    metrics: Vec<u32>,
    /// By name: its number, what it says, the number of the value.
    labels: Vec<(u32, Says, u32)>,
}

impl Point {
    /// Whether a label says where it is.
    pub(super) fn is_placed(&self) -> bool {
        self.labels.iter().any(|(_, says, _)| *says == Says::Where)
    }

    /// Lets the point stand for another of the same labels but for the metric.
    pub(super) fn stand_for(&mut self, other: &Point) {
        for metric in &other.metrics {
            if let Err(idx) = self.metrics.binary_search(metric) {
                self.metrics.insert(idx, *metric);
            }
        }
    }

    /// The labels as numbers, to sort by.
    pub(super) fn place(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.labels.iter().map(|(name, _, value)| (*name, *value))
    }
}

/// Numbers names and values, so that comparing two sets compares numbers.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    numbers: HashMap<String, u32>,
    says: HashMap<u32, Says>,
}

impl Numbering {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let next = self.numbers.len() as u32;
        self.numbers.insert(text.to_owned(), next);
        next
    }

    /// The point of an anomaly of `key` that began at `onset`.
    pub(super) fn point(&mut self, key: &Key, onset: Millis) -> Point {
        let mut labels = Vec::new();
        for (name, value) in key.labels().without_metric() {
            let (number, value) = (self.number(name), self.number(value));
            let says = *self.says.entry(number).or_insert_with(|| Says::of(name));
            labels.push((number, says, value));
        }
        labels.sort_unstable_by_key(|(name, _, _)| *name);
        Point { onset, series: key.id(), metrics: vec![self.number(key.metric())], labels }
    }
}

/// What two label sets say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Evidence {
    /// How doubtful one fault is, 0 to 1.
    pub(super) doubt: f64,
    /// Whether a label, the metric aside, speaks for it.
    pub(super) is_vouched: bool,
}

/// Weighs the labels of two points.
pub(super) fn weigh(a: &Point, b: &Point) -> Evidence {
    let (mut same, mut other) = ([0_u32; 3], [0_u32; 3]);
    let (mut i, mut j) = (0, 0);
    while i < a.labels.len() && j < b.labels.len() {
        let ((left, says, ours), (right, _, theirs)) = (a.labels[i], b.labels[j]);
        if left == right {
            let counts = if ours == theirs { &mut same } else { &mut other };
            counts[says as usize] += 1;
        }
        i += usize::from(left <= right);
        j += usize::from(right <= left);
    }
    let has = |counts: [u32; 3], says: Says| counts[says as usize] > 0;
    let is_elsewhere = has(other, Says::Where) || has(other, Says::Around);
    let shares_part = has(same, Says::Part) || (is_elsewhere && has(same, Says::Around));
    let shares_metric = a.metrics.iter().any(|metric| b.metrics.binary_search(metric).is_ok());
    let vote = |counts: bool, weight: f64| if counts { weight } else { 0.0 };
    let named = vote(has(same, Says::Where), SAME_PLACE) + vote(shares_part, SAME_PART);
    let pro = PRIOR + named + vote(shares_metric, SAME_METRIC);
    let parts = (f64::from(other[Says::Part as usize]) * OTHER_PART).min(MOST_OTHER_PARTS);
    let contra = PRIOR + if is_elsewhere { OTHER_PLACE } else { parts };
    Evidence { doubt: contra / (pro + contra), is_vouched: named > 0.0 }
}
