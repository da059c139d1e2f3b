//! Cycles that machines and people keep, in steps.
//!
//! In: a step, and how many cells there are. Out: the cycles worth a test. Where the clock is known they are those of
//! the clock alone: 168 is a week of hours and nothing in minutes. A series without a clock stands an hour apart, so that
//! in hours the counts of its quarters, weekdays, months and weeks are tried as well.

use crate::forecast::past::Past;
use crate::series::{DAY, HOUR, MINUTE, Millis, Step, WEEK};

/// Cycles of the calendar, but for the day, the month and the year. Of two, three and fourteen days, of which there are
/// fewer and which a series that wanders seems to keep, the search hears where they are.
const CALENDAR: [Millis; 12] = [
    MINUTE / 6,
    MINUTE / 4,
    MINUTE / 2,
    MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    6 * HOUR,
    12 * HOUR,
    WEEK,
];

/// Months and years are no whole number of steps; the nearest will do.
const MONTH: Millis = DAY * 61 / 2;

/// As for months.
const YEAR: Millis = DAY * 365;

/// Counts of steps that are cycles whatever the step is said to be: quarters, weekdays, months, hours, weeks, and the
/// day and week in hours and five minutes.
const CUSTOMARY: [usize; 8] = [4, 7, 12, 24, 52, 168, 288, 1440];

/// Days in hours, half hours, quarters of an hour, ten, five and one minutes.
const DAYS: [usize; 6] = [24, 48, 96, 144, 288, 1440];

/// By what share of itself a day rounded to whole steps may have moved over the history.
const MOST_DRIFT: f64 = 0.05;

/// Shorter cycles have too few places to tell from their neighbours.
const LEAST_STEPS: usize = 4;

/// Whether a step is said to be an hour because nothing else was said.
fn may_lack_a_clock(step: Step) -> bool {
    step.millis() == HOUR
}

/// Cycles worth a test, shortest first, of which the history has at least two.
pub fn candidates(past: &Past<'_>) -> Vec<usize> {
    let step = past.step();
    let is_whole = |cycle: &Millis| cycle % step.millis() == 0;
    let whole = CALENDAR.into_iter().filter(is_whole).chain([MONTH, YEAR]).map(|cycle| step.count_in(cycle));
    let customary = CUSTOMARY.into_iter().filter(|_| may_lack_a_clock(step));
    let mut candidates: Vec<usize> = whole.chain(days(past)).chain(customary).collect();
    candidates.retain(|&steps| steps >= LEAST_STEPS && steps <= past.len() / 2);
    candidates.sort_unstable();
    candidates.dedup();
    candidates
}

/// The day in steps, rounded where that hardly matters, or else the fewest days that are whole steps.
fn days(past: &Past<'_>) -> Option<usize> {
    let step = past.step();
    let day = step.count_in(DAY);
    let moved = (day as f64 * step.millis() as f64 - DAY as f64).abs() * (past.len() / day) as f64;
    let whole = || (2..7).map(|n| n * DAY).find(|days| days % step.millis() == 0);
    if moved <= MOST_DRIFT * DAY as f64 { Some(day) } else { whole().map(|days| step.count_in(days)) }
}

/// Whether so many steps are a cycle by count alone, and none of the clock.
pub fn is_count_alone(steps: usize, step: Step) -> bool {
    let is_of_clock = |cycle: Millis| step.count_in(cycle) == steps;
    CUSTOMARY.contains(&steps) && !CALENDAR.into_iter().chain([DAY, MONTH, YEAR]).any(is_of_clock)
}

/// Whether so many steps are a month or a year, rounded to days.
pub fn is_rounded(steps: usize, step: Step) -> bool {
    step.millis() == DAY && [MONTH, YEAR].into_iter().any(|cycle| step.count_in(cycle) == steps)
}

/// Whether so many steps are a day.
pub fn is_day(steps: usize, step: Step) -> bool {
    steps == step.count_in(DAY).max(2) || (may_lack_a_clock(step) && DAYS.contains(&steps))
}
