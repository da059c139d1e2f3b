//! How far two anomalies are from each other: part onset, part labels.
//!
//! In: anomalies' onsets and label sets. Out: a distance from 0, the same moment at the same place, to 1.
//!
//! The distance is `0.4 * gap + 0.6 * (1 - overlap)`: the gap is that of the onsets as a share of the reach, the
//! overlap is the Jaccard index of the label sets, in which the metric's name weighs half, for two metrics of one host
//! say more than one metric of two hosts. Onsets further apart than the reach are at 1, and so are anomalies without
//! any common label, whatever the time. With the [`TOLERANCE`] of grouping that means:
//!
//! | common | onsets at most apart, of a reach of 10 minutes |
//! |---|---|
//! | all labels, another time of the same series | 10 minutes |
//! | host and job, another metric | 6 minutes |
//! | host alone, another metric | 3.5 minutes |
//! | metric and job, another host | 2.4 minutes |
//! | metric alone, or job alone | never by themselves |

use hashbrown::HashMap;
use linfa::Float;
use linfa_nn::distance::Distance;
use ndarray::{ArrayView, Dimension};

use crate::series::{Key, METRIC_NAME, Millis};

/// Anomalies up to this distance belong together.
pub(super) const TOLERANCE: f64 = 0.44;
const TIME_WEIGHT: f64 = 0.4;
const LABEL_WEIGHT: f64 = 0.6;
/// What the metric's name weighs, where another label weighs 1.
const METRIC_WEIGHT: f64 = 0.5;

/// An anomaly as the distance sees it.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) onset: Millis,
    metric: u32,
    /// The other labels, ascending.
    labels: Vec<u32>,
}

/// Numbers label pairs, so that comparing two sets compares numbers.
#[derive(Debug, Default)]
pub(super) struct Numbering(HashMap<(String, String), u32>);

impl Numbering {
    /// The point of an anomaly of `key` that began at `onset`.
    pub(super) fn point(&mut self, key: &Key, onset: Millis) -> Point {
        let mut number = |name: &str, value: &str| {
            let next = self.0.len() as u32;
            *self.0.entry((name.to_owned(), value.to_owned())).or_insert(next)
        };
        let metric = number(METRIC_NAME, key.metric());
        let mut labels: Vec<u32> = key.labels().without_metric().map(|(name, value)| number(name, value)).collect();
        labels.sort_unstable();
        Point { onset, metric, labels }
    }
}

/// The weighted Jaccard index of two label sets.
pub(super) fn overlap(a: &Point, b: &Point) -> f64 {
    let (mut i, mut j, mut n_common) = (0, 0, 0);
    while i < a.labels.len() && j < b.labels.len() {
        match a.labels[i].cmp(&b.labels[j]) {
            std::cmp::Ordering::Equal => {
                n_common += 1;
                i += 1;
                j += 1;
            }
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
        }
    }
    let n_all = a.labels.len() + b.labels.len() - n_common;
    let (metric_common, metric_all) =
        if a.metric == b.metric { (METRIC_WEIGHT, METRIC_WEIGHT) } else { (0.0, 2.0 * METRIC_WEIGHT) };
    (n_common as f64 + metric_common) / (n_all as f64 + metric_all)
}

/// The distance between two anomalies, 0 to 1.
pub(super) fn distance(a: &Point, b: &Point, reach: Millis) -> f64 {
    let gap = a.onset.abs_diff(b.onset);
    if gap > reach.unsigned_abs() {
        return 1.0;
    }
    let common = overlap(a, b);
    if common == 0.0 {
        return 1.0;
    }
    let share = if reach == 0 { 0.0 } else { gap as f64 / reach as f64 };
    TIME_WEIGHT * share + LABEL_WEIGHT * (1.0 - common)
}

/// [`distance`] as linfa wants it: between rows that hold one number, an index into the points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closeness<'a> {
    pub(super) points: &'a [Point],
    pub(super) reach: Millis,
}

impl<F: Float> Distance<F> for Closeness<'_> {
    fn distance<D: Dimension>(&self, a: ArrayView<'_, F, D>, b: ArrayView<'_, F, D>) -> F {
        let point = |row: ArrayView<'_, F, D>| {
            let idx = row.iter().next().and_then(|idx| idx.to_usize());
            idx.and_then(|idx| self.points.get(idx))
        };
        match (point(a), point(b)) {
            (Some(a), Some(b)) => F::cast(distance(a, b, self.reach)),
            _ => F::cast(1.0),
        }
    }
}
