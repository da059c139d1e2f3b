//! A year's course: what the level did at this time of earlier years, on top of what the methods say.
//!
//! In: more than a year of days, the errors a forecast of some weeks made on it, and the fitted model. Out: the model,
//! each of its points raised by a share of what the level rose by from this time of the year on in earlier years.
//! Methods that know a week do not know a year, and a season of a year is more than its few cycles can tell: so the
//! course is that of medians over two whole weeks, of `k` years `k / (k + 1)` of their mean, as one year is a sample of
//! one and the methods follow a part of it themselves; and it is taken only where it would have made the errors of the
//! replay smaller by [`LEAST_GAIN`]. What went astray for less than a cycle, and weeks in which nothing moved, do not
//! come again; what fell and came back otherwise does by that share, as it may be a season. A holiday that moves within
//! two weeks is met half; what is known of it is an event's to say. Own work; the shrinkage is that of a mean with a
//! prior worth one observation.

use std::collections::BTreeMap;

use super::astray::Astray;
use super::backtest::{Replay, mean};
use super::facts::Facts;
use super::model::{Fitted, Updated};
use super::past::{Past, Regressors};
use super::shaped::shape;
use crate::series::{DAY, Season, median};

/// A week in days.
const WEEK: usize = 7;

/// A year in days, so that weekdays meet.
const YEAR: usize = 52 * WEEK;

/// The level that a course starts from is the median of so many days before it.
const OF_LEVEL: usize = 8 * WEEK;

/// Days to either side of which a level within the course is the median.
const AROUND: usize = WEEK;

/// Years that are looked back.
const MOST_YEARS: usize = 5;

/// Shorter horizons stay within what the last weeks say.
const LEAST_HORIZON: usize = 2 * WEEK;

/// Where standing still takes one in so many days or more, that is how the series is.
const MANY_STILL: usize = 8;

/// By what share the errors must have been smaller.
const LEAST_GAIN: f64 = 0.03;

/// What a year adds.
#[derive(Clone, Debug)]
pub(super) struct Year {
    n_leads: usize,
    // After the past, as far again as is asked for, for the values that are taken in.
    ahead: Vec<f64>,
}

impl Year {
    /// For steps of a day: by the clock, or because the shortest of the methods' seasons has seven steps. `None` for
    /// others, where the horizon is short, and where a method knows a season that long. What went `astray` does not
    /// come again.
    pub fn of(
        past: &Past<'_>,
        astray: &Astray,
        seasons: impl Iterator<Item = Season> + Clone,
        horizon: usize,
    ) -> Option<Year> {
        let is_weekly = seasons.clone().map(Season::steps).min() == Some(WEEK);
        let is_daily = past.step().millis() == DAY || is_weekly;
        let is_known = seasons.map(Season::steps).any(|steps| steps >= YEAR / 2);
        let is_long = horizon >= LEAST_HORIZON && past.len() > YEAR + OF_LEVEL;
        let does = is_daily && is_long && !is_known;
        let ahead = does.then(|| rises(&shown(past, astray, past.len()), horizon.saturating_mul(2))).flatten()?;
        Some(Year { n_leads: horizon, ahead })
    }

    /// `replays` from the same origins as if their forecasts had been raised by what was known there; `None` where that
    /// would not have made each of them clearly better.
    pub fn raised<const N: usize>(
        &self,
        replays: [&Replay; N],
        past: &Past<'_>,
        astray: &Astray,
    ) -> Option<[Replay; N]> {
        let mut raised = replays.map(Replay::clone);
        let (mut before, mut after) = ([0.0; N], [0.0; N]);
        let size = |row: &[f64]| mean(row.iter().map(|error| error.abs()));
        for (nr, &origin) in replays.first()?.origins.iter().enumerate() {
            let Some(rises) = rises(&shown(past, astray, origin), self.n_leads) else { continue };
            for ((replay, before), after) in raised.iter_mut().zip(&mut before).zip(&mut after) {
                let row = &mut replay.errors[nr];
                let own = size(row);
                row.iter_mut().zip(&rises).for_each(|(error, rise)| *error -= rise);
                if !own.is_nan() {
                    *before += own;
                    *after += size(row);
                }
            }
        }
        let is_better = before.iter().zip(&after).all(|(before, after)| *after < (1.0 - LEAST_GAIN) * before);
        is_better.then_some(raised)
    }

    /// `fitted` to `past`, raised.
    pub fn over(self, fitted: Box<dyn Fitted>, past: &Past<'_>) -> Box<dyn Fitted> {
        let rises = self.ahead.into_iter().map(|rise| rise as f32).collect();
        Box::new(Raised { fitted, rises, n_taken: 0, facts: past.facts().clone() })
    }
}

/// What was known at `origin` of the values before it, without what does not come again.
fn shown(past: &Past<'_>, astray: &Astray, origin: usize) -> Vec<f64> {
    let mut shown = astray.mended(past.values(), origin).into_owned();
    if let Some(freed) = past.freed().filter(|_| origin < past.len()) {
        shown = freed.before(&shown);
    }
    forget_standstills(&mut shown);
    shown
}

/// Makes gaps of weeks and more in which nothing moved, unless they are many, or about that time of another year
/// nothing moved either: an outage or a meter that hung rather than a holiday.
fn forget_standstills(values: &mut [f64]) {
    let mut at = 0;
    let mut still: Vec<(usize, usize)> = Vec::new();
    for run in values.chunk_by(|a, b| a == b) {
        if run.len() >= WEEK {
            still.push((at, at + run.len()));
        }
        at += run.len();
    }
    let n_still: usize = still.iter().map(|(from, to)| to - from).sum();
    if n_still * MANY_STILL > values.len() {
        return;
    }
    let comes_again = |run: &(usize, usize)| {
        still.iter().filter(|other| *other != run).any(|other| {
            // How far apart they begin, beside whole years.
            let apart = run.0.abs_diff(other.0);
            let years = (apart + YEAR / 2) / YEAR;
            years > 0 && apart.abs_diff(years * YEAR) <= 2 * AROUND
        })
    };
    // What is not over may be how it goes on.
    let is_over = |run: &&(usize, usize)| run.1 < values.len();
    let forgotten: Vec<_> = still.iter().filter(is_over).filter(|run| !comes_again(run)).collect();
    for &(from, to) in forgotten {
        values[from..to].fill(f64::NAN);
    }
}

/// By how much to raise each of so many steps after `values`; `None` when they hold no year.
fn rises(values: &[f64], n_leads: usize) -> Option<Vec<f64>> {
    let level = |from: usize, to: usize| -> Option<f64> {
        let known: Vec<f64> = values[from..to].iter().copied().filter(|value| !value.is_nan()).collect();
        median(&known)
    };
    let n = values.len();
    let now = level(n.checked_sub(OF_LEVEL)?, n)?;
    let is_above_zero = values.iter().all(|value| value.is_nan() || *value >= 0.0);
    let mut rises = vec![0.0; n_leads];
    let mut n_years = 0.0;
    for start in (1..=MOST_YEARS).map_while(|year| n.checked_sub(year * YEAR)).filter(|start| *start >= OF_LEVEL) {
        let Some(then) = level(start - OF_LEVEL, start) else { continue };
        // What grows rises by more.
        let grown = if is_above_zero && then > 0.0 { now / then } else { 1.0 };
        let mut rise = 0.0;
        for (lead, sum) in rises.iter_mut().enumerate() {
            let (from, to) = ((start + lead - AROUND).min(n), (start + lead + AROUND).min(n));
            let is_seen = values[from..to].iter().filter(|value| !value.is_nan()).count() > AROUND / 2;
            if let Some(level) = level(from, to).filter(|_| is_seen && to - from > AROUND) {
                rise = grown * (level - then);
            }
            *sum += rise;
        }
        n_years += 1.0;
    }
    rises.iter_mut().for_each(|rise| *rise /= n_years + 1.0);
    // A year that began with next to nothing has no proportion to now.
    let late = || values[n.saturating_sub(YEAR + OF_LEVEL)..].iter().copied().filter(|value| !value.is_nan());
    let (least, most) = late().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let is_sound = |rise: &f64| rise.abs() <= most - least && rise.abs() <= f64::from(f32::MAX) / 4.0;
    (n_years > 0.0 && rises.iter().all(is_sound)).then_some(rises)
}

/// A model whose points are raised.
#[derive(Debug)]
struct Raised {
    fitted: Box<dyn Fitted>,
    rises: Box<[f32]>,
    n_taken: usize,
    facts: Facts,
}

impl Raised {
    /// What was raised at a step, counted from the first after the fit; beyond what is known as at the end of it.
    fn at(&self, step: usize) -> f64 {
        self.rises.get(step).or(self.rises.last()).copied().map_or(0.0, f64::from)
    }
}

impl Fitted for Raised {
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]) {
        self.fitted.points_into(known, points);
        // The level of the last weeks has a part of the course already.
        let taken = (self.n_taken.saturating_sub(OF_LEVEL)..self.n_taken).map(|step| self.at(step)).sum::<f64>();
        let in_level = taken / OF_LEVEL as f64;
        for (lead, point) in points.iter_mut().enumerate() {
            *point = shape(*point + self.at(self.n_taken + lead) - in_level, &self.facts);
        }
    }

    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        self.facts.take(value);
        match self.fitted.update(value, known) {
            Updated::NeedsRefit => Updated::NeedsRefit,
            Updated::Exact | Updated::Filtered => {
                self.n_taken += 1;
                Updated::Filtered
            }
        }
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        self.fitted.settings()
    }

    fn n_bytes(&self) -> usize {
        size_of_val(&*self.rises) + size_of_val(&*self.fitted) + self.fitted.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::tests::{Noise, Says};
    use crate::forecast::{Coverage, Horizon, Request, prepare};
    use crate::series::Step;

    /// Days with a week, on a level that rises and falls by so much in a year.
    fn days(n: usize, course: f64) -> Vec<f64> {
        let mut noise = Noise::seeded(3);
        let level = |t: usize| 100.0 * (1.0 + course * (std::f64::consts::TAU * t as f64 / YEAR as f64).sin());
        (0..n).map(|t| level(t) * (1.0 + 0.1 * (t % WEEK) as f64) + 5.0 * noise.normal()).collect()
    }

    #[test]
    fn what_came_at_this_time_of_last_year_is_foretold_in_part() {
        let horizon = Horizon::new(28).unwrap();
        let values = days(YEAR + 250 + 28, 0.4);
        let past = Past::new(0, Step::seconds(86_400), &values[..YEAR + 250]);
        let request = Request { horizon, ..Request::default() };
        let prepared = prepare(past, &request).unwrap();
        let points = prepared.forecast(horizon, Coverage::P95).points;
        let level = |values: &[f64]| mean(values.iter().copied());
        let (now, truth) = (level(&values[YEAR + 222..YEAR + 250]), level(&values[YEAR + 264..]));
        let share = (level(&points[14..]) - now) / (truth - now);
        assert!((0.3..1.2).contains(&share), "{now} {truth} {share}");
    }

    #[test]
    fn an_outage_of_last_year_does_not_come_again() {
        let horizon = Horizon::new(28).unwrap();
        let foretold = |values: &[f64]| {
            let past = Past::new(0, Step::seconds(86_400), values);
            let prepared = prepare(past, &Request { horizon, ..Request::default() }).unwrap();
            mean(prepared.forecast(horizon, Coverage::P95).points[5..19].iter().copied())
        };
        let clean = days(480, 0.3);
        // Zeros for two weeks, or for one; nothing for two.
        for (value, n_days) in [(0.0, 14), (0.0, 7), (f64::NAN, 14)] {
            let mut values = clean.clone();
            let from = values.len() - YEAR + 5;
            values[from..from + n_days].fill(value);
            let (with, without) = (foretold(&values), foretold(&clean));
            assert!((with / without - 1.0).abs() < 0.1, "{value} {n_days}: {with} {without}");
        }
    }

    #[test]
    fn what_stands_still_about_the_same_time_each_year_or_often_is_how_the_series_is() {
        let moving = days(2 * YEAR, 0.4);
        let n_forgotten = |spans: &[(usize, usize)]| {
            let mut values = moving.clone();
            spans.iter().for_each(|&(from, to)| values[from..to].fill(1.0));
            forget_standstills(&mut values);
            values.iter().filter(|value| value.is_nan()).count()
        };
        assert_eq!(n_forgotten(&[(100, 114)]), 14);
        assert_eq!(n_forgotten(&[(100, 106)]), 0);
        assert_eq!(n_forgotten(&[(100, 114), (102 + YEAR, 118 + YEAR)]), 0);
        assert_eq!(n_forgotten(&[(100, 114), (150 + YEAR, 160 + YEAR)]), 24);
        assert_eq!(n_forgotten(&[(100, 200)]), 0);
        // What has stopped may stay so.
        assert_eq!(n_forgotten(&[(2 * YEAR - 35, 2 * YEAR)]), 0);
    }

    #[test]
    fn it_takes_days_a_year_and_weeks_ahead() {
        let values = days(2 * YEAR, 0.4);
        let of = |step: u32, n: usize, horizon: usize| {
            let past = Past::new(0, Step::seconds(step), &values[..n]);
            Year::of(&past, Astray::NONE, std::iter::empty(), horizon).is_some()
        };
        assert!(of(86_400, 2 * YEAR, 28));
        assert!(!of(3_600, 2 * YEAR, 28) && !of(86_400, YEAR, 28) && !of(86_400, 2 * YEAR, 7));
        let with = |steps: usize| {
            let seasons = [WEEK, steps].into_iter().filter_map(Season::new);
            Year::of(&Past::new(0, Step::seconds(3_600), &values), Astray::NONE, seasons, 28).is_some()
        };
        assert!(with(WEEK) && !with(YEAR));
        assert!(rises(&values[..YEAR], 28).is_none());
    }

    #[test]
    fn values_taken_in_move_along_the_course() {
        let rises: Box<[f32]> = (0..40).map(|step| if step < 10 { 0.0 } else { 6.0 }).collect();
        let mut raised = Raised { fitted: Box::new(Says(50.0)), rises, n_taken: 0, facts: Facts::default() };
        let first = raised.points(Horizon::new(12).unwrap());
        assert_eq!((first[9], first[10]), (50.0, 56.0));
        (0..10 + OF_LEVEL).for_each(|_| assert_eq!(raised.update(1.0, Regressors::NONE), Updated::Filtered));
        // All of the last weeks stood there: the model has it.
        assert_eq!(raised.points(Horizon::new(30).unwrap()), [50.0; 30]);
    }
}
