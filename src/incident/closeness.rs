//! How far two anomalies are from each other: part onset, part labels, less where they are used to each other.
//!
//! In: two points and what is known of the past. Out: a distance from 0, the same moment at the same place, to 1.
//!
//! The distance is `(0.4 * gap + 0.6 * doubt) * (1 - bond / 2)`, and 1 where the onsets lie further apart than the
//! reach. The gap is that of the onsets as a share of the reach; where no label vouches for the pair it is at least the
//! chance that something unrelated began within that time, so that in a fleet where much alarms time alone joins
//! nothing. The doubt is that of the labels ([`evidence`](super::evidence)), the bond that of
//! [`habits`](super::habits). With the [`TOLERANCE`] of grouping that means, without a past:
//!
//! | labels | onsets at most apart, of a reach of 10 minutes |
//! |---|---|
//! | the same host and job, another metric | 8 minutes |
//! | the same host, nothing else | 7.2 minutes |
//! | the same service, nothing else | 6 minutes |
//! | another service, the same metric | 4.6 minutes |
//! | no name in common | 3.5 minutes |
//! | another service, another metric | 2 minutes |
//! | another host, the same metric and job | 1 minute |
//! | another host, and the metric or the job another | never by themselves |

use linfa::Float;
use linfa_nn::distance::Distance;
use ndarray::{ArrayView, Dimension};

use super::evidence::{Point, weigh};
use super::habits::Habits;
use crate::series::Millis;

/// Anomalies up to this distance belong together.
pub(super) const TOLERANCE: f64 = 0.44;
const TIME_WEIGHT: f64 = 0.4;
const LABEL_WEIGHT: f64 = 0.6;
/// What a full bond takes off the distance.
const BOND_WEIGHT: f64 = 0.5;

/// The distance between two anomalies, 0 to 1.
pub(super) fn distance(a: &Point, b: &Point, reach: Millis, habits: &Habits) -> f64 {
    let gap = a.onset.saturating_sub(b.onset).saturating_abs();
    if gap > reach {
        return 1.0;
    }
    let evidence = weigh(a, b);
    let mut share = if reach == 0 { 0.0 } else { gap as f64 / reach as f64 };
    if !evidence.is_vouched {
        share = share.max(habits.crowd(a.onset.min(b.onset), gap, reach));
    }
    let bond = habits.bond(a.series, b.series);
    (TIME_WEIGHT * share + LABEL_WEIGHT * evidence.doubt) * (1.0 - BOND_WEIGHT * bond)
}

/// [`distance`] as linfa wants it: between rows that hold one number, an index into the points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closeness<'a> {
    pub(super) points: &'a [&'a Point],
    pub(super) reach: Millis,
    pub(super) habits: &'a Habits,
}

impl<F: Float> Distance<F> for Closeness<'_> {
    fn distance<D: Dimension>(&self, a: ArrayView<'_, F, D>, b: ArrayView<'_, F, D>) -> F {
        let point = |row: ArrayView<'_, F, D>| {
            let idx = row.iter().next().and_then(|idx| idx.to_usize());
            idx.and_then(|idx| self.points.get(idx))
        };
        match (point(a), point(b)) {
            (Some(a), Some(b)) => F::cast(distance(a, b, self.reach, self.habits)),
            _ => F::cast(1.0),
        }
    }
}
