//! Where cells begin that all series share, and those of days.
//!
//! Cells are even: the same number of milliseconds each, so that a season is a number of cells. Those shorter than a day,
//! and those that are no whole days, begin at multiples of their step since 1970, UTC. Those of whole days begin at
//! midnight where the metric is, and those of whole weeks on its Mondays. Summer time moves that midnight; the grid goes
//! by the newest sample, which is where a forecast goes on, so that on the other side of the change cells begin an hour
//! off it.
//!
//! Cells of one series alone need no such grid: over files they stand where its samples do, and means shorter than a day
//! are laid back from the newest one.

use super::time::{DAY, Millis, Step, WEEK};
use super::zone::Zone;

/// The first Monday since 1970 began.
const MONDAY: Millis = 4 * DAY;

/// The cells of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    step: Step,
    /// Where one of the cells begins.
    origin: Millis,
}

impl Grid {
    /// The cells of `step` of a metric in `zone` whose newest sample is at `newest`.
    pub fn new(step: Step, zone: Zone, newest: Millis) -> Grid {
        let origin = if step.is_of_days() {
            let monday = if step.millis() % WEEK == 0 { MONDAY } else { 0 };
            monday - zone.offset_at(newest)
        } else {
            0
        };
        Grid { step, origin }
    }

    /// The cells of `step` of which one begins at `at`: those of samples that come by it and stand where they do.
    pub fn through(step: Step, at: Millis) -> Grid {
        Grid { step, origin: at }
    }

    /// How long each cell is.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Where the cell begins in which `at` lies.
    pub fn start_of(&self, at: Millis) -> Millis {
        at.saturating_sub(at.saturating_sub(self.origin).rem_euclid(self.step.millis()))
    }

    /// Where the first cell begins that lies wholly at or after `at`.
    pub fn next_start(&self, at: Millis) -> Millis {
        let start = self.start_of(at);
        if start == at { at } else { start.saturating_add(self.step.millis()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{HOUR, MINUTE};

    /// 2026-03-31T10:00:00Z, a Tuesday; since two days clocks in Berlin show summer time.
    const TUESDAY: Millis = 1_774_951_200_000;

    fn check(step: Millis, zone: &str, newest: Millis, expected: &str) {
        let grid = Grid::new(Step::new(step).unwrap(), zone.parse().unwrap(), newest);
        let start = chrono::DateTime::from_timestamp_millis(grid.start_of(TUESDAY)).unwrap();
        assert_eq!(start.to_rfc3339(), expected, "{step} in {zone}");
        assert_eq!(grid.start_of(start.timestamp_millis()), start.timestamp_millis());
        assert_eq!(grid.start_of(start.timestamp_millis() - 1), start.timestamp_millis() - step);
        assert_eq!(grid.next_start(TUESDAY - 1), grid.start_of(TUESDAY - 2) + step);
    }

    #[test]
    fn days_begin_at_midnight_and_weeks_on_monday() {
        check(DAY, "UTC", TUESDAY, "2026-03-31T00:00:00+00:00");
        check(DAY, "Europe/Berlin", TUESDAY, "2026-03-30T22:00:00+00:00");
        // What was recorded before the change goes by the time before it.
        check(DAY, "Europe/Berlin", TUESDAY - 7 * DAY, "2026-03-30T23:00:00+00:00");
        check(DAY, "Asia/Kolkata", TUESDAY, "2026-03-30T18:30:00+00:00");
        check(DAY, "-08:00", TUESDAY, "2026-03-31T08:00:00+00:00");
        check(WEEK, "UTC", TUESDAY, "2026-03-30T00:00:00+00:00");
        check(WEEK, "Europe/Berlin", TUESDAY, "2026-03-29T22:00:00+00:00");
    }

    #[test]
    fn cells_that_are_no_whole_days_stay_where_they_are() {
        for zone in ["UTC", "Europe/Berlin", "Asia/Kolkata"] {
            check(HOUR, zone, TUESDAY, "2026-03-31T10:00:00+00:00");
            check(6 * HOUR, zone, TUESDAY, "2026-03-31T06:00:00+00:00");
            check(7 * MINUTE, zone, TUESDAY, "2026-03-31T09:58:00+00:00");
            let odd = Grid::new(Step::new(36 * HOUR).unwrap(), zone.parse().unwrap(), TUESDAY);
            assert_eq!(odd.start_of(TUESDAY) % (36 * HOUR), 0);
        }
    }

    #[test]
    fn the_ends_of_time_have_cells_too() {
        let grid = Grid::new(Step::new(DAY).unwrap(), "+02:00".parse().unwrap(), 0);
        assert!(grid.start_of(Millis::MAX) > Millis::MAX - DAY);
        assert!(grid.start_of(Millis::MIN) < Millis::MIN + DAY && grid.next_start(Millis::MAX) == Millis::MAX);
    }
}
