//! A level, a scale or a slope that was left for good, or not.
//!
//! In: the errors of a replay, and the values it was made on. Out: a [`Shift`], where the errors of the last forecast
//! that has come true end in a stretch that lies on one side and beyond all that earlier forecasts erred by; the past
//! as it would have been after the shift; and a model that goes on after it. What changed is told by its [`errors`].
//!
//! Methods learn of a shift as slowly as their memory is long, and those that know a season need a whole one to do so:
//! the forecast of the day after is wrong by most of it. So the past is put where the series stands now, as that before
//! a known step is (see [`super::events`]), and learnt from again: an intercept correction, which puts forecasts back
//! on track after a location shift (Clements and Hendry, "Forecasting economic time series", 1998, chapter 8). Whether
//! it is one, or an outage that will be over in an hour, nobody knows. As long as it is more likely than not to last
//! ([`FALLS`]), points follow it; and bands reach to where the series goes if it does not.

mod errors;

use std::collections::BTreeMap;

use errors::Errors;

use super::backtest::Replay;
use super::model::{Fitted, Other, Updated};
use super::past::{Past, Regressors};
use super::still::FALLS;

/// Steps ahead from which on errors tell a shift from noise.
const LEAST_LEADS: usize = 4;

/// Forecasts that do not overlap, among which there must be none like it.
const LEAST_FORECASTS: f64 = 5.0;

/// How many times the largest mean that earlier forecasts erred by over half as many steps its own must be.
const UNSEEN: f64 = 2.0;

/// How many times as steep a slope must be as any in the errors of earlier forecasts over as many steps. Half a slope's
/// errors are no larger than a level's, so that means tell it late. With 1.5 as many ends of growth
/// a day ago are found, and with 2 a few less.
const STEEPER: f64 = 1.7;

/// Horizons that are looked back.
const MOST_HORIZONS: usize = 4;

/// A shift is over when values were as without it for one in so many of its steps.
const WRONG: usize = 4;

/// Steps it must have lasted for points to follow it.
const LEAST_LENGTH: usize = 3;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Turn {
    /// By so much from one step to the next.
    Level(f64),
    /// To so many times what it was.
    Factor(f64),
    /// By so much more with each step.
    Slope(f64),
}

impl Turn {
    /// What `value` would have been `steps` after it, counted from 1, had it come about.
    fn of(self, value: f64, steps: f64) -> f64 {
        match self {
            Turn::Level(by) => value + by,
            Turn::Factor(by) => value * by,
            Turn::Slope(by) => value + by * steps,
        }
    }

    /// What `value` would have been without it.
    fn without(self, value: f64, steps: f64) -> f64 {
        match self {
            Turn::Level(by) => value - by,
            Turn::Factor(by) => value / by,
            Turn::Slope(by) => value - by * steps,
        }
    }
}

/// What changed, and how many steps ago.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shift {
    change: Turn,
    length: usize,
    /// How many it may be.
    longest: usize,
}

impl Shift {
    /// The shift in the latest cells of `past`, of a series with this cycle, that is unlike all that `replay` on it
    /// erred by before.
    pub fn of(replay: &Replay, past: &Past<'_>, cycle: Option<usize>) -> Option<Shift> {
        if replay.n_apart() < LEAST_FORECASTS {
            return None;
        }
        let rows = || replay.origins.iter().zip(&replay.errors).rev();
        let n_leads = replay.errors.first()?.len();
        if n_leads < LEAST_LEADS {
            return None;
        }
        let late = rows().take_while(|(origin, _)| **origin + MOST_HORIZONS * n_leads >= past.len());
        late.filter_map(|(origin, row)| Shift::in_row(*origin, row, replay, past, cycle)).next()
    }

    /// The shift at the end of the forecast from `origin`, whose errors are `row`.
    fn in_row(origin: usize, row: &[f64], replay: &Replay, past: &Past<'_>, cycle: Option<usize>) -> Option<Shift> {
        let growth = growth(&past.values()[..origin], row.len(), cycle);
        let shift = Errors::of(row, &past.values()[origin..]).shift(growth)?;
        let n = shift.length;
        let began = origin + row.len() - n;
        // Of each forecast what came true before it.
        let rows = || replay.origins.iter().copied().zip(&replay.errors);
        let before = || rows().map(|(at, row)| (at, &row[..began.saturating_sub(at).min(row.len())]));
        let is_unlike_all = if let Turn::Slope(_) = shift.change {
            let size = |row: &[f64], origin: usize| {
                let errors = Errors::of(row, &past.values()[origin..]);
                move |from: usize| errors.slope(from, n).abs()
            };
            let now = size(row, origin)(row.len() - n);
            let earlier =
                before().filter(|(_, row)| row.len() >= n).flat_map(|(at, row)| (0..=row.len() - n).map(size(row, at)));
            let most = earlier.fold(0.0, f64::max);
            now > 0.0 && now > STEEPER * most
        } else {
            let late = n.div_ceil(2);
            let size = largest(&row[row.len() - late..], late);
            size > 0.0 && before().all(|(_, row)| size > UNSEEN * largest(row, late))
        };
        let more = past.len() - origin - row.len();
        is_unlike_all.then_some(Shift { length: n + more, longest: shift.longest + more, ..shift })
    }

    /// `values` as if all of them had come after it.
    pub fn everywhere(&self, values: &[f64]) -> Vec<f64> {
        let from = values.len().saturating_sub(self.length);
        let moved = |(idx, value): (usize, &f64)| {
            if idx >= from { *value } else { self.change.of(*value, idx as f64 - from as f64 + 1.0) }
        };
        values.iter().enumerate().map(moved).collect()
    }

    /// How many times as large errors are where all of the past is seen as after it.
    pub fn scale(&self) -> f64 {
        if let Turn::Factor(by) = self.change { by } else { 1.0 }
    }

    /// The first cell of `past` that is after it.
    pub fn began(&self, past: &Past<'_>) -> usize {
        past.len().saturating_sub(self.length)
    }

    /// Whether a whole forecast of `n_leads` lies after it.
    pub fn is_old(&self, n_leads: usize) -> bool {
        self.length >= n_leads
    }

    /// Whether it may be over with the cycle, as a holiday is, or is a blip.
    pub fn is_young(&self, cycle: Option<usize>) -> bool {
        self.longest < cycle.unwrap_or(0).max(LEAST_LENGTH)
    }

    /// Of `after`, fitted to values after it, and `before`, fitted to the values as they are: while it is young by
    /// `cycle`, `before`, which may go where `after` does; else `after`, as long as that is likely to last, and as
    /// `before` from then on. Values are taken in where both models `take_values`.
    pub fn between(
        self,
        after: Box<dyn Fitted>,
        before: Box<dyn Fitted>,
        cycle: Option<usize>,
        takes_values: bool,
    ) -> Box<dyn Fitted> {
        let is_followed = !self.is_young(cycle);
        Box::new(Shifted { after, before, is_followed, cycle, takes_values, shift: self, n_other: 0, n_silent: 0 })
    }

    /// What to say of it.
    pub fn reason(&self, is_followed: bool) -> String {
        let what = match self.change {
            Turn::Level(_) => "level",
            Turn::Factor(_) => "scale",
            Turn::Slope(_) => "slope",
        };
        let length = self.length;
        if is_followed {
            format!("the {what} of the last {length} steps is new: bands reach to where it was before as well")
        } else {
            format!("the {what} of the last {length} steps is new and may not last: bands reach there as well")
        }
    }
}

/// By how much `values` lately grew from one step to the next, over whole cycles as long as a forecast; 0 where they do
/// not tell.
fn growth(values: &[f64], n_leads: usize, cycle: Option<usize>) -> f64 {
    let lag = n_leads.next_multiple_of(cycle.unwrap_or(1).max(1));
    let late = &values[values.len().saturating_sub((MOST_HORIZONS + 1) * lag)..];
    let grown = late.iter().zip(late.get(lag..).unwrap_or_default()).map(|(before, value)| value - before);
    let mut grown: Vec<f64> = grown.filter(|grown| !grown.is_nan()).collect();
    if grown.len() < lag {
        return 0.0;
    }
    let middle = grown.len() / 2;
    *grown.select_nth_unstable_by(middle, f64::total_cmp).1 / lag as f64
}

/// The largest mean of `n` errors one after the other, or of all where there are fewer.
fn largest(row: &[f64], n: usize) -> f64 {
    let known: Vec<f64> = row.iter().copied().filter(|error| !error.is_nan()).collect();
    let n = n.min(known.len()).max(1);
    known.windows(n).map(|window| (window.iter().sum::<f64>() / n as f64).abs()).fold(0.0, f64::max)
}

/// A model of what comes if a shift lasts, and one that learnt from the values as they are.
#[derive(Debug)]
struct Shifted {
    after: Box<dyn Fitted>,
    before: Box<dyn Fitted>,
    is_followed: bool,
    cycle: Option<usize>,
    takes_values: bool,
    shift: Shift,
    // How many values since the fit were as without it, and how many were none.
    n_other: usize,
    n_silent: usize,
}

impl Shifted {
    /// For how many steps it is followed, being more likely than not to last.
    fn follows(&self) -> usize {
        let lasts = self.shift.length as f64 * (FALLS.recip().exp2() - 1.0);
        if self.is_followed { lasts as usize } else { 0 }
    }

    /// What a point so many steps ahead, counted from 1, is without it.
    fn without(&self, point: f64, steps: usize) -> f64 {
        self.shift.change.without(point, (self.shift.length + self.n_silent + steps) as f64)
    }

    /// The chance that it lasts for so many steps more.
    fn chance(&self, steps: usize) -> f64 {
        (self.shift.length as f64 / (self.shift.length + steps) as f64).powf(FALLS)
    }
}

impl Fitted for Shifted {
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]) {
        let follows = self.follows();
        if follows == 0 {
            return self.before.points_into(known, points);
        }
        self.after.points_into(known, points);
        if follows < points.len() {
            let mut later = vec![0.0; points.len()];
            self.before.points_into(known, &mut later);
            points[follows..].copy_from_slice(&later[follows..]);
        }
    }

    fn others(&self, known: Regressors<'_>, n: usize) -> Vec<Other> {
        let follows = self.follows();
        let mut points = vec![0.0; n];
        self.after.points_into(known, &mut points);
        let other = |(idx, point): (usize, f64)| {
            let goes_on = self.chance(idx + 1);
            let without = self.without(point, idx + 1);
            let without = if without.is_finite() { without } else { point };
            if idx < follows {
                return Other { lower: without, upper: without, chance: 1.0 - goes_on };
            }
            // What has not been followed has been learnt of by half, so it is as far to either side.
            Other { lower: point.min(without), upper: point.max(without), chance: goes_on }
        };
        points.into_iter().enumerate().map(other).collect()
    }

    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        // One alone must not be told.
        if !self.takes_values {
            return Updated::NeedsRefit;
        }
        let mut after = [0.0];
        self.after.points_into(known, &mut after);
        let without = self.without(after[0], 1);
        let [after, without] = [after[0], without].map(|point| (value - point).abs());
        let n_other = self.n_other + usize::from(without < after);
        // A gap says nothing of how long it has lasted.
        let more = usize::from(!value.is_nan());
        let shift = Shift { length: self.shift.length + more, longest: self.shift.longest + more, ..self.shift };
        // Where it turned out to be over, or is no longer in doubt, another fit is asked for.
        let is_over = WRONG * n_other > self.shift.length;
        if is_over || !(self.is_followed || shift.is_young(self.cycle)) {
            return Updated::NeedsRefit;
        }
        for fitted in [&mut self.after, &mut self.before] {
            if fitted.update(value, known) == Updated::NeedsRefit {
                return Updated::NeedsRefit;
            }
        }
        (self.shift, self.n_other) = (shift, n_other);
        self.n_silent += 1 - more;
        Updated::Filtered
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        if self.is_followed { self.after.settings() } else { self.before.settings() }
    }

    fn n_bytes(&self) -> usize {
        [&self.after, &self.before].iter().map(|fitted| size_of_val(&***fitted) + fitted.n_bytes()).sum()
    }
}

#[cfg(test)]
mod tests;
