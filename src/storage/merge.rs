//! Last write wins: of samples of one series at the same time the one that arrived last stays.

use crate::series::{Millis, Sample, TimeRange};

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

    #[test]
    fn the_last_of_the_same_time_stays() {
        let all = [(1, 1.0), (3, 2.0), (5, 1.0), (5, 2.0), (5, 3.0), (9, 3.0)];
        let mut samples = all.map(|(at, value)| Sample { at, value }).to_vec();
        keep_last(&mut samples);
        assert_eq!(
            samples.iter().map(|sample| (sample.at, sample.value)).collect::<Vec<_>>(),
            [(1, 1.0), (3, 2.0), (5, 3.0), (9, 3.0)]
        );
    }

    #[test]
    fn a_share_is_by_proportion_and_never_more_than_all() {
        let range = |start, end| TimeRange::new(start, end).unwrap();
        assert_eq!(share_within(100, 0, 99, range(0, 50)), 50);
        assert_eq!(share_within(100, 0, 99, range(-500, 500)), 100);
        assert_eq!(share_within(100, 0, 99, range(100, 500)), 0);
    }
}
