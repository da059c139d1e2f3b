//! The calendar as columns of a regression: which weekday a cell is, and whether it begins or ends a month.

use chrono::{Datelike, Days, NaiveDate};

use super::past::Past;
use crate::series::{DAY, Millis, WEEK, Zone};

/// Weeks that a weekday must have been seen in.
const LEAST_WEEKS: Millis = 3;

/// Days that hold three turns of the month.
const LEAST_DAYS: Millis = 92;

/// The days of a grid of cells, where the metric is.
#[derive(Clone, Debug)]
pub(super) struct DayColumns {
    has_weekdays: bool,
    has_month: bool,
    start: Millis,
    step: Millis,
    zone: Zone,
}

impl DayColumns {
    /// What `past` is long enough for; its weekdays only without `has_week`, when no season is a week already.
    pub fn of(past: &Past<'_>, has_week: bool) -> DayColumns {
        let step = past.step().millis();
        let span = step.saturating_mul(Millis::try_from(past.len()).unwrap_or(Millis::MAX));
        DayColumns {
            has_weekdays: step <= DAY && span >= LEAST_WEEKS * WEEK && !has_week,
            has_month: step <= DAY && span >= LEAST_DAYS * DAY,
            start: past.start(),
            step,
            zone: past.facts().zone,
        }
    }

    /// The same without a column, for a history with too few values.
    pub fn left_out(&self) -> DayColumns {
        DayColumns { has_weekdays: false, has_month: false, ..*self }
    }

    /// How many columns there are.
    pub fn n(&self) -> usize {
        6 * usize::from(self.has_weekdays) + 2 * usize::from(self.has_month)
    }

    /// Puts the columns of cell `idx`.
    pub fn write(&self, idx: usize, mut put: impl FnMut(f64)) {
        if self.n() == 0 {
            return;
        }
        let day = self.day(idx);
        if self.has_weekdays {
            // Against the last of the week, so that the seven do not add up to the constant.
            let weekday = day.map_or(6, |day| day.weekday().num_days_from_monday());
            (0..6).for_each(|nr| put(f64::from(u8::from(weekday == nr))));
        }
        if self.has_month {
            let is_last = day.and_then(|day| day.checked_add_days(Days::new(1))).is_some_and(|next| next.day() == 1);
            put(f64::from(u8::from(is_last)));
            put(f64::from(u8::from(day.is_some_and(|day| day.day() == 1))));
        }
    }

    /// The day of cell `idx`.
    fn day(&self, idx: usize) -> Option<NaiveDate> {
        let ahead = self.step.saturating_mul(Millis::try_from(idx).unwrap_or(Millis::MAX));
        day_of(self.zone, self.start.saturating_add(ahead), self.step)
    }
}

/// The day of a cell of `step` that begins at `start`.
pub(super) fn day_of(zone: Zone, start: Millis, step: Millis) -> Option<NaiveDate> {
    // A day from midnight to midnight UTC is a date as files have it, whatever clocks show then.
    if step == DAY && start.rem_euclid(DAY) == 0 {
        return Zone::UTC.date_at(start);
    }
    // Days are an even grid, and where clocks are moved it is an hour off midnight on one side of the change: there the
    // middle of a day says which one it is.
    let into = if step == DAY { DAY / 2 } else { 0 };
    zone.date_at(start.saturating_add(into))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use crate::forecast::dynamic_regression::DynamicRegression;
    use crate::forecast::{Facts, Forecaster, Horizon};
    use crate::series::{HOUR, Season, Step};

    /// 2026-03-29T01:00:00Z, when clocks in Berlin go from two to three.
    const MARCH: Millis = 1_774_746_000_000;

    fn berlin() -> Facts {
        Facts { zone: "Europe/Berlin".parse().unwrap(), ..Facts::default() }
    }

    #[test]
    fn each_cell_has_the_day_of_its_own_side_of_summer_time() {
        let days = |start: Millis, step: Millis, n: usize, cells: &[usize]| {
            let (facts, values) = (berlin(), vec![0.0; n]);
            let past = Past::new(start, Step::new(step).unwrap(), &values).with_facts(&facts);
            let columns = DayColumns::of(&past, false);
            cells.iter().map(|&idx| columns.day(idx).unwrap().to_string()).collect::<Vec<_>>()
        };
        // From ten in the evening on, by UTC: before the change that is eleven in Berlin, after it midnight.
        let start = MARCH - 3 * HOUR - 10 * DAY;
        assert_eq!(days(start, HOUR, 600, &[0, 1]), ["2026-03-18", "2026-03-19"]);
        assert_eq!(days(start, HOUR, 600, &[239, 240, 264]), ["2026-03-28", "2026-03-28", "2026-03-30"]);
        // Days that begin at midnight on one side of the change begin at eleven or one on the other.
        for start in [start, start + HOUR] {
            assert_eq!(days(start, DAY, 40, &[0, 10, 11]), ["2026-03-19", "2026-03-29", "2026-03-30"]);
        }
    }

    #[test]
    fn dates_of_a_file_are_days_everywhere() {
        // 2026-01-01T00:00:00Z, as a file has it that says no more than the date; and the same day by the clocks there.
        let new_year = 1_767_225_600_000;
        for (zone, offset) in [("America/Phoenix", -7), ("-07:00", -7), ("Pacific/Auckland", 13), ("Asia/Tokyo", 9)] {
            let zone: Zone = zone.parse().unwrap();
            for start in [new_year, new_year - offset * HOUR] {
                assert_eq!(day_of(zone, start, DAY).unwrap().to_string(), "2026-01-01", "{zone} {start}");
            }
            let shown = zone.date_at(new_year).unwrap();
            assert_eq!(day_of(zone, new_year, HOUR), Some(shown), "an hour is of the day on the wall");
        }
    }

    #[test]
    fn a_weekend_begins_when_clocks_there_show_midnight() {
        // Twelve weeks of hours up to the Sunday of the change, 40 lower on Saturdays and Sundays there.
        let (facts, n) = (berlin(), 12 * 7 * 24);
        let method = DynamicRegression { seasons: Season::new(24).into_iter().collect() };
        let start = MARCH - n as Millis * HOUR;
        let at = |t: usize| {
            let day = facts.zone.date_at(start + t as Millis * HOUR).unwrap();
            let is_weekend = day.weekday().num_days_from_monday() >= 5;
            (if is_weekend { -40.0 } else { 0.0 }) + (TAU * (t % 24) as f64 / 24.0).sin()
        };
        let values: Vec<f64> = (0..n).map(at).collect();
        let off = |facts: &Facts| {
            let past = Past::new(start, Step::new(HOUR).unwrap(), &values).with_facts(facts);
            let points = method.fit(&past).unwrap().points(Horizon::new(240).unwrap());
            points.iter().enumerate().map(|(ahead, point)| (point - at(n + ahead)).abs()).fold(0.0, f64::max)
        };
        // The last of the errors' memory fades within the first hours; by UTC the edges of every weekend are missed.
        let (here, elsewhere) = (off(&facts), off(&Facts::default()));
        assert!(here < 2.0 && elsewhere > 20.0, "{here} {elsewhere}");
    }
}
