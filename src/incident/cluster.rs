//! Clusters of anomalies: DBSCAN on the distance of [`closeness`](super::closeness).
//!
//! In: points by onset. Out: which belong together, single ones among them.
//!
//! A chain must not join what its ends keep apart: two hosts that fail at the same time, and a queue that names no host.
//! So points that say where they are cluster among themselves, the others among themselves, and each cluster of the
//! others then joins the one placed cluster that a point of it is closest to.
//!
//! DBSCAN compares every pair, so it must not be given all of them: first the onsets fall into stretches with no
//! pause longer than the reach, which nothing can bridge; then, in a stretch of a storm, anomalies of one place (the
//! same labels but for the metric) that began within a tenth of the reach stand for each other; and what is still too
//! long is cut into runs of [`MAX_POINTS`] that overlap, whose clusters join where they hold the same point. That is
//! done by onset and again by labels, so that one place is never cut. Time grows with the number of anomalies times
//! that constant, memory with the number of anomalies.

use hashbrown::HashMap;
use linfa::ParamGuard;
use linfa::traits::Transformer;
use linfa_clustering::Dbscan;
use linfa_nn::CommonNearestNeighbour;
use ndarray::Array2;

use super::closeness::{Closeness, TOLERANCE, distance};
use super::evidence::Point;
use super::habits::Habits;
use crate::series::Millis;

/// Points that DBSCAN sees at a time, and how many of them it sees again with the next.
const MAX_POINTS: usize = 1024;
const SEEN_AGAIN: usize = 256;
/// A stretch of more anomalies than this is a storm.
const STORM: usize = 512;

/// Runs of points, which stand by onset, without a pause longer than `reach`.
pub(super) fn stretches(points: &[Point], reach: Millis) -> Vec<(usize, usize)> {
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

/// The clusters of one stretch, as ascending indices.
pub(super) fn clusters(points: &[Point], reach: Millis, habits: &Habits) -> Vec<Vec<usize>> {
    let (standing_for, leaders) =
        if points.len() > STORM { stand_ins(points, reach) } else { ((0..points.len()).collect(), points.to_vec()) };
    let mut joined = Joined::new(leaders.len());
    let (placed, others): (Vec<usize>, Vec<usize>) = (0..leaders.len()).partition(|&idx| leaders[idx].is_placed());
    for part in [&placed, &others] {
        join_runs(&leaders, part, reach, habits, &mut joined);
        if part.len() > MAX_POINTS {
            let mut by_place = part.clone();
            by_place.sort_by(|&a, &b| leaders[a].place().cmp(leaders[b].place()));
            join_runs(&leaders, &by_place, reach, habits, &mut joined);
        }
    }
    join_closest(&leaders, &placed, &others, reach, habits, &mut joined);
    let mut found: HashMap<usize, Vec<usize>> = HashMap::new();
    for (idx, &leader) in standing_for.iter().enumerate() {
        found.entry(joined.root(leader)).or_default().push(idx);
    }
    found.into_values().collect()
}

/// For each point the position of its stand-in among the leaders, and the leaders: the first of each place in each
/// tenth of the reach, with the metrics of all it stands for.
fn stand_ins(points: &[Point], reach: Millis) -> (Vec<usize>, Vec<Point>) {
    let slot = (reach / 10).max(1);
    let mut leader_of: HashMap<(Vec<(u32, u32)>, Millis), usize> = HashMap::new();
    let mut leaders: Vec<Point> = Vec::new();
    let mut standing_for = Vec::with_capacity(points.len());
    for point in points {
        let leader = *leader_of.entry((point.place().collect(), point.onset.div_euclid(slot))).or_insert(leaders.len());
        match leaders.get_mut(leader) {
            Some(first) => first.stand_for(point),
            None => leaders.push(point.clone()),
        }
        standing_for.push(leader);
    }
    (standing_for, leaders)
}

/// Joins what DBSCAN puts into one cluster, run by run along `order`.
fn join_runs(points: &[Point], order: &[usize], reach: Millis, habits: &Habits, joined: &mut Joined) {
    let mut from = 0;
    while from < order.len() {
        let to = (from + MAX_POINTS).min(order.len());
        dbscan(points, &order[from..to], reach, habits, joined);
        from = if to == order.len() { to } else { to - SEEN_AGAIN };
    }
}

fn dbscan(points: &[Point], run: &[usize], reach: Millis, habits: &Habits, joined: &mut Joined) {
    let seen: Vec<&Point> = run.iter().map(|&idx| &points[idx]).collect();
    let rows = Array2::from_shape_fn((run.len(), 1), |(idx, _)| idx as f64);
    let closeness = Closeness { points: &seen, reach, habits };
    let params = Dbscan::params_with(2, closeness, CommonNearestNeighbour::LinearSearch).tolerance(TOLERANCE);
    let Ok(params) = params.check() else {
        return;
    };
    let mut first_of: HashMap<usize, usize> = HashMap::new();
    for (&idx, cluster) in run.iter().zip(params.transform(&rows).iter()) {
        if let Some(cluster) = cluster {
            joined.join(*first_of.entry(*cluster).or_insert(idx), idx);
        }
    }
}

/// Joins each cluster of the others to the placed cluster that is closest to it; of equals, to the earliest.
fn join_closest(
    points: &[Point],
    placed: &[usize],
    others: &[usize],
    reach: Millis,
    habits: &Habits,
    joined: &mut Joined,
) {
    let mut closest: HashMap<usize, (f64, usize)> = HashMap::new();
    for &other in others {
        let root = joined.root(other);
        let from = placed.partition_point(|&idx| points[idx].onset < points[other].onset.saturating_sub(reach));
        let near = placed[from..].iter().take(MAX_POINTS);
        for &idx in near.take_while(|&&idx| points[idx].onset <= points[other].onset.saturating_add(reach)) {
            let found = (distance(&points[other], &points[idx], reach, habits), idx);
            let best = closest.entry(root).or_insert(found);
            if found.0 < best.0 {
                *best = found;
            }
        }
    }
    let mut closest: Vec<(usize, (f64, usize))> = closest.into_iter().collect();
    closest.sort_unstable_by_key(|(root, _)| *root);
    for (root, (distance, idx)) in closest {
        if distance < TOLERANCE {
            joined.join(root, idx);
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
