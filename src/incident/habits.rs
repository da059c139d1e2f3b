//! What usually alarms together, and how much alarms at all.
//!
//! In: anomalies of the past, by onset. Out: for two series how strongly they belong together, 0 to 1, and for a span
//! how likely something unrelated begins in it. Of the past only: what is grouped is learned afterwards.
//!
//! The first is the Jaccard index of the times that two series alarmed within the reach of each other, shrunk while
//! these were few; the second takes places, not series, as what begins on its own.

use hashbrown::{HashMap, HashSet};

use super::evidence::Point;
use crate::series::{DAY, HOUR, Millis, SeriesId};

/// Times that are worth as much as knowing nothing.
const FEW: f64 = 3.0;
/// More at once than this teach nothing of pairs: then everything alarms.
const MOST_AT_ONCE: usize = 64;
/// How far back the rate of onsets looks, and what it takes for granted: a rate from less is none.
const RATE_SPAN: Millis = DAY;
const LEAST_SPAN: Millis = 2 * HOUR;

/// What was learned.
#[derive(Debug, Default)]
pub(super) struct Habits {
    times: HashMap<SeriesId, u32>,
    together: HashMap<(SeriesId, SeriesId), u32>,
    /// When something began at a place, by onset, and when last at each.
    onsets: Vec<Millis>,
    last_at: HashMap<Vec<(u32, u32)>, Millis>,
}

fn pair(a: SeriesId, b: SeriesId) -> (SeriesId, SeriesId) {
    (a.min(b), a.max(b))
}

impl Habits {
    /// Notes when and where something began, for the rate of onsets; `points` stand by onset, after those noted before.
    pub(super) fn note(&mut self, points: &[Point], reach: Millis) {
        for point in points {
            let last = self.last_at.insert(point.place().collect(), point.onset);
            if last.is_none_or(|last| point.onset.saturating_sub(last) > reach) {
                self.onsets.push(point.onset);
            }
        }
    }

    /// Learns who alarmed together in a stretch, which stands by onset.
    pub(super) fn learn(&mut self, stretch: &[Point], reach: Millis) {
        if stretch.len() > MOST_AT_ONCE {
            return;
        }
        let mut seen: HashSet<(SeriesId, SeriesId)> = HashSet::new();
        for (idx, point) in stretch.iter().enumerate() {
            if seen.insert(pair(point.series, point.series)) {
                *self.times.entry(point.series).or_default() += 1;
            }
            for later in &stretch[idx + 1..] {
                let is_near = later.onset.saturating_sub(point.onset) <= reach;
                let both = pair(point.series, later.series);
                if is_near && both.0 != both.1 && seen.insert(both) {
                    *self.together.entry(both).or_default() += 1;
                }
            }
        }
    }

    /// How strongly two series belong together by what they did before, 0 to 1.
    pub(super) fn bond(&self, a: SeriesId, b: SeriesId) -> f64 {
        let Some(&both) = self.together.get(&pair(a, b)) else {
            return 0.0;
        };
        let times = |series: SeriesId| f64::from(self.times.get(&series).copied().unwrap_or(0));
        f64::from(both) / (times(a) + times(b) - f64::from(both) + FEW)
    }

    /// How likely it is that something unrelated begins within `gap` of `at`, before or after, 0 to 1. What began within
    /// the reach before it may well be related and is not counted.
    pub(super) fn crowd(&self, at: Millis, gap: Millis, reach: Millis) -> f64 {
        let until = |moment: Millis| self.onsets.partition_point(|onset| *onset <= moment);
        let (from, to) = (at.saturating_sub(RATE_SPAN), at.saturating_sub(reach));
        let n = until(to).saturating_sub(until(from));
        let known = self.onsets.first().map_or(0, |first| at.saturating_sub(*first)).clamp(LEAST_SPAN, RATE_SPAN);
        1.0 - (-2.0 * n as f64 * gap as f64 / known as f64).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence::Numbering;
    use super::*;
    use crate::series::{Key, MINUTE};

    fn stretch(numbering: &mut Numbering, at: Millis, names: &[&str]) -> Vec<Point> {
        let key = |name: &&str| Key::from_pairs("m", &[("service", *name)]).unwrap();
        names.iter().map(|name| numbering.point(&key(name), at)).collect()
    }

    #[test]
    fn a_bond_grows_with_each_time_together_and_shrinks_with_each_time_apart() {
        let (mut habits, mut numbering) = (Habits::default(), Numbering::default());
        let bond = |habits: &Habits, points: &[Point]| habits.bond(points[0].series, points[1].series);
        let both = stretch(&mut numbering, 0, &["a", "b"]);
        assert_eq!(bond(&habits, &both), 0.0);
        let mut bonds = Vec::new();
        for time in 0..3 {
            habits.learn(&stretch(&mut numbering, time * HOUR, &["a", "b"]), 10 * MINUTE);
            bonds.push(bond(&habits, &both));
        }
        assert_eq!(bonds, [0.25, 0.4, 0.5]);
        habits.learn(&stretch(&mut numbering, 4 * HOUR, &["a"]), 10 * MINUTE);
        assert!((bond(&habits, &both) - 3.0 / 7.0).abs() < 1e-12);
    }

    #[test]
    fn a_busy_day_makes_coincidence_likely() {
        let (mut habits, mut numbering) = (Habits::default(), Numbering::default());
        assert_eq!(habits.crowd(0, 10 * MINUTE, MINUTE), 0.0);
        for time in 0..288 {
            habits.note(&stretch(&mut numbering, time * 5 * MINUTE, &["a"]), MINUTE);
        }
        let at = 288 * 5 * MINUTE;
        assert!((habits.crowd(at, 5 * MINUTE, MINUTE) - (1.0 - (-2.0_f64).exp())).abs() < 0.01);
        assert!(habits.crowd(at, MINUTE / 2, MINUTE) < 0.2);
        assert_eq!(habits.crowd(at + 3 * DAY, 5 * MINUTE, MINUTE), 0.0);
        // A handful to begin with says nothing of the rate.
        assert!(habits.crowd(15 * MINUTE, 4 * MINUTE, 5 * MINUTE) < 0.2);
    }
}
