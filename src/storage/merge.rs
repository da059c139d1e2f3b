//! Last write wins: several runs of one series' samples become one.

use crate::series::{Millis, Sample, TimeRange};

/// Merges runs of one series, the earliest arrived first, each in time order without duplicate timestamps.
///
/// Where two runs have the same timestamp the later run's value stays.
pub(super) fn merge(mut runs: Vec<Vec<Sample>>) -> Vec<Sample> {
    runs.retain(|run| !run.is_empty());
    let follow = |pair: &[Vec<Sample>]| pair[0].last().map(|last| last.at) < pair[1].first().map(|first| first.at);
    match runs.len() {
        0 => Vec::new(),
        1 => runs.swap_remove(0),
        // The usual case: series grow at their end.
        _ if runs.windows(2).all(follow) => runs.concat(),
        _ => {
            let mut all = runs.concat();
            // Stable, so that samples of the same time stay in order of arrival.
            all.sort_by_key(|sample| sample.at);
            keep_last(&mut all);
            all
        }
    }
}

/// Drops all but the last of neighbours with the same timestamp.
pub(super) fn keep_last(samples: &mut Vec<Sample>) {
    samples.dedup_by(|later, kept| {
        let is_same = later.at == kept.at;
        if is_same {
            *kept = *later;
        }
        is_same
    });
}

/// The part of a sorted column of timestamps that lies in `start..end`.
pub(super) fn part_between(at: &[Millis], start: Millis, end: Millis) -> std::ops::Range<usize> {
    at.partition_point(|at| *at < start)..at.partition_point(|at| *at < end)
}

/// About how many of `n` samples from `first` to `last` lie in the range, were they spread evenly.
pub(super) fn share_within(n: u64, first: Millis, last: Millis, range: TimeRange) -> u64 {
    let span = last as f64 - first as f64 + 1.0;
    let inside = (range.end() as f64).min(last as f64 + 1.0) - range.start().max(first) as f64;
    (n as f64 * (inside / span).clamp(0.0, 1.0)).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(samples: &[(Millis, f64)]) -> Vec<Sample> {
        samples.iter().map(|(at, value)| Sample { at: *at, value: *value }).collect()
    }

    #[test]
    fn the_later_run_wins() {
        let runs = vec![run(&[(1, 1.0), (5, 1.0)]), run(&[]), run(&[(3, 2.0), (5, 2.0)]), run(&[(5, 3.0), (9, 3.0)])];
        assert_eq!(merge(runs), run(&[(1, 1.0), (3, 2.0), (5, 3.0), (9, 3.0)]));
        assert_eq!(merge(vec![run(&[(1, 1.0)]), run(&[(2, 2.0)])]), run(&[(1, 1.0), (2, 2.0)]));
        assert_eq!(merge(vec![]), []);
    }
}
