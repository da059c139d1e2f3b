//! A level, a scale or a slope that was left for good, or not.
//!
//! In: the errors of a replay, and the values it was made on. Out: a [`Shift`], where the errors of the last forecast
//! that has come true end in a stretch that lies on one side and beyond all that earlier forecasts erred by; the past as
//! it would have been after the shift; and a model that goes on after it.
//!
//! Methods learn of a shift as slowly as their memory is long, and those that know a season need a whole one to do so:
//! the forecast of the day after is wrong by most of it. So the past is put where the series stands now, as that before
//! a known step is (see [`super::events`]), and learnt from again: an intercept correction, which puts forecasts back on
//! track after a location shift (Clements and Hendry, "Forecasting economic time series", 1998, chapter 8). Whether it
//! is one, or an outage that will be over in an hour, nobody knows. As long as it is more likely than not to last
//! ([`FALLS`]), points follow it; and bands reach to where the series goes if it does not.

use std::collections::BTreeMap;

use super::backtest::Replay;
use super::model::{Fitted, Other, Updated};
use super::past::{Past, Regressors};
use super::still::FALLS;

/// Steps ahead from which on errors tell a shift from noise.
const LEAST_LEADS: usize = 4;

/// Forecasts that do not overlap, among which there must be none like it.
const LEAST_FORECASTS: f64 = 5.0;

/// The share of the last forecast's squared errors that it must explain.
const EXPLAINED: f64 = 0.4;

/// How many times what earlier forecasts erred by it must be.
const UNSEEN: f64 = 2.0;

/// Lengths that are tried.
const MOST_TRIED: usize = 64;

/// What a slope or a scale must leave of the squares that a level leaves.
const CLEARLY: f64 = 0.9;

/// Horizons that are looked back.
const MOST_HORIZONS: usize = 4;

/// A shift is over when values were as without it for one in so many of its steps.
const WRONG: usize = 4;

/// Steps it must have lasted for points to follow it, and a slope to be told from a level.
const LEAST_LENGTH: usize = 3;
const LEAST_FOR_SLOPE: usize = 8;

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
}

impl Shift {
    /// The shift in the latest cells of `past` that is unlike all that `replay` on it erred by before.
    pub fn of(replay: &Replay, past: &Past<'_>) -> Option<Shift> {
        if replay.n_apart() < LEAST_FORECASTS {
            return None;
        }
        let rows = || replay.origins.iter().zip(&replay.errors).rev();
        let n_leads = replay.errors.first()?.len();
        if n_leads < LEAST_LEADS {
            return None;
        }
        let late = rows().take_while(|(origin, _)| **origin + MOST_HORIZONS * n_leads >= past.len());
        late.filter_map(|(origin, row)| Shift::in_row(*origin, row, replay, past)).next()
    }

    /// The shift at the end of the forecast from `origin`, whose errors are `row`.
    fn in_row(origin: usize, row: &[f64], replay: &Replay, past: &Past<'_>) -> Option<Shift> {
        let values = &past.values()[origin..];
        let all: f64 = row.iter().filter(|error| !error.is_nan()).map(|error| error * error).sum();
        let tried = lengths(row.len()).flat_map(|length| explained(row, values, length));
        let (shift, gain) = tried.max_by(|a, b| a.1.total_cmp(&b.1))?;
        if !(gain >= EXPLAINED * all && gain.is_finite()) {
            return None;
        }
        let began = origin + row.len() - shift.length;
        let late = shift.length.div_ceil(2);
        let size = largest(&row[row.len() - late..], late);
        let is_unseen = |(origin, row): (&usize, &Vec<f64>)| {
            let until = began.saturating_sub(*origin).min(row.len());
            size > UNSEEN * largest(&row[..until], late)
        };
        let is_unlike_all = size > 0.0 && replay.origins.iter().zip(&replay.errors).all(is_unseen);
        is_unlike_all.then_some(Shift { length: past.len() - began, ..shift })
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
        self.length < cycle.unwrap_or(0).max(LEAST_LENGTH)
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
        Box::new(Shifted { after, before, is_followed, cycle, takes_values, shift: self, n_other: 0 })
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

/// Up to [`MOST_TRIED`] lengths of up to `n` steps, spread evenly by their logarithm.
fn lengths(n: usize) -> impl Iterator<Item = usize> {
    let mut last = 0;
    (0..MOST_TRIED.min(n)).map(move |nr| {
        let even = (n as f64).powf((nr + 1) as f64 / MOST_TRIED.min(n) as f64).round() as usize;
        last = even.max(last + 1).min(n);
        last
    })
}

/// The changes that explain the last `length` errors of a forecast best, with what they take off the sum of squares.
fn explained(row: &[f64], values: &[f64], length: usize) -> impl Iterator<Item = (Shift, f64)> {
    let from = row.len() - length;
    // Of regressions through the origin on one, the step and what was foretold: sums with the error, and of squares.
    let [mut on_level, mut on_step, mut on_foretold] = [(0.0, 0.0); 3];
    let (mut n_known, mut all, mut is_above_zero) = (0, 0.0, true);
    for (idx, (error, value)) in row[from..].iter().zip(&values[from..]).enumerate() {
        if error.is_nan() {
            continue;
        }
        let foretold = value - error;
        for (sums, x) in [(&mut on_level, 1.0), (&mut on_step, (idx + 1) as f64), (&mut on_foretold, foretold)] {
            *sums = (sums.0 + x * error, sums.1 + x * x);
        }
        n_known += 1;
        all += error * error;
        is_above_zero &= *value > 0.0 && foretold > 0.0;
    }
    // The coefficient, and what it takes off.
    let through = |(with, own): (f64, f64)| if own > 0.0 { (with / own, with * with / own) } else { (0.0, 0.0) };
    let is_known = 2 * n_known > length;
    let ((level, by_level), (slope, by_slope)) = (through(on_level), through(on_step));
    let (times, by_factor) = if is_above_zero { through(on_foretold) } else { (0.0, 0.0) };
    // What explains no more than a level does is a level.
    let is_clear = move |gain: &f64| all - gain < CLEARLY * (all - by_level);
    let slope = Some((Turn::Slope(slope), by_slope)).filter(|(_, gain)| length >= LEAST_FOR_SLOPE && is_clear(gain));
    let factor = Some((Turn::Factor(1.0 + times), by_factor)).filter(|(_, gain)| times > -1.0 && is_clear(gain));
    let found = [Some((Turn::Level(level), by_level)), slope, factor].into_iter().flatten();
    found.filter(move |_| is_known).map(move |(change, gain)| (Shift { change, length }, gain))
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
    // How many values since the fit were as without it.
    n_other: usize,
}

impl Shifted {
    /// For how many steps it is followed, being more likely than not to last.
    fn follows(&self) -> usize {
        let lasts = self.shift.length as f64 * (FALLS.recip().exp2() - 1.0);
        if self.is_followed { lasts as usize } else { 0 }
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
            let without = self.shift.change.without(point, (self.shift.length + idx + 1) as f64);
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
        let without = self.shift.change.without(after[0], (self.shift.length + 1) as f64);
        let [after, without] = [after[0], without].map(|point| (value - point).abs());
        let n_other = self.n_other + usize::from(without < after);
        // A gap says nothing of how long it has lasted.
        let shift = Shift { length: self.shift.length + usize::from(!value.is_nan()), ..self.shift };
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
