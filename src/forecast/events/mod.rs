//! What is planned, and what was: events known to change a series, taken out of the past and put into the future.
//!
//! In: the [`Event`]s of one series, a [`Past`] and a fitted model. Out: a quiet past for the model to learn from, and a
//! forecast under the events, points and band. No method need know of events: as X-13ARIMA-SEATS does with calendar
//! effects and outliers (US Census Bureau, "X-13ARIMA-SEATS Reference Manual", on prior adjustment), the past is
//! adjusted before the fit and the forecast after it.
//!
//! A step or ramp that has happened lifts what lay before it to where the series stands now, so that it passes neither
//! for a trend nor for noise. A one-off, a holiday and a maintenance window of the past become gaps: what they held
//! will not come again. Ahead, steps, ramps and one-offs change points and bands alike, and a holiday takes the shape of
//! the weekday it is like.

mod ahead;
mod measure;
#[cfg(test)]
mod tests;
mod under;

pub use under::UnderEvents;

use super::past::Past;
use crate::series::{DAY, Millis};

/// By how much something changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// So much is added, give or take: the true amount lies that close with 95 %.
    Add {
        /// In the metric's unit; per second for counters.
        by: f64,
        /// In the same unit, at least 0.
        give_or_take: f64,
    },
    /// It is multiplied.
    Times {
        /// The factor, at least 0.
        by: f64,
        /// How far off the factor may be with 95 %, at least 0.
        give_or_take: f64,
    },
    /// It is this, whatever it was.
    Become(f64),
    /// By as much as the values on both sides differ; of the past only.
    Measured,
}

/// A day that is like another of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holiday {
    /// Its first instant.
    pub start: Millis,
    /// The first instant after it.
    pub end: Millis,
    /// How many days ahead the next day of the kind that it is like lies, 0 to 6.
    pub days_to_like: i64,
}

/// What an event does.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The level changes at an instant, and stays.
    Step {
        /// From when on.
        at: Millis,
        /// Added, multiplied or measured.
        change: Change,
    },
    /// The level changes evenly over a span, and stays.
    Ramp {
        /// From when on.
        from: Millis,
        /// When all of it has come.
        to: Millis,
        /// Added or multiplied.
        change: Change,
    },
    /// The level changes for a span.
    OneOff {
        /// Its first instant.
        from: Millis,
        /// The first instant after it.
        to: Millis,
        /// Added, multiplied, or what it becomes.
        change: Change,
    },
    /// Days on which the series behaves as on another day of the week.
    Holidays(Vec<Holiday>),
    /// Spans whose values tell nothing of what the series does otherwise, as from and to.
    Maintenance(Vec<(Millis, Millis)>),
    /// The limit changes at an instant, and stays; the series does not.
    Limit {
        /// From when on.
        at: Millis,
        /// Added, multiplied, or what it becomes.
        change: Change,
    },
}

/// Something known beforehand, or afterwards, to change a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What it is called in answers.
    pub name: String,
    /// What it does.
    pub effect: Effect,
}

impl Event {
    /// The same event for a sum or a mean, in which what is added weighs `weight`; `None` when it concerns only some of
    /// what is summed (`is_of_all` is false) and is not an addition.
    pub fn weighted(&self, weight: f64, is_of_all: bool) -> Option<Event> {
        let change = |change: Change| match change {
            Change::Add { by, give_or_take } => {
                Some(Change::Add { by: by * weight, give_or_take: give_or_take * weight })
            }
            Change::Become(value) if is_of_all => Some(Change::Become(value * weight)),
            Change::Times { .. } | Change::Measured if is_of_all => Some(change),
            Change::Become(_) | Change::Times { .. } | Change::Measured => None,
        };
        let effect = match &self.effect {
            Effect::Step { at, change: by } => Effect::Step { at: *at, change: change(*by)? },
            Effect::Ramp { from, to, change: by } => Effect::Ramp { from: *from, to: *to, change: change(*by)? },
            Effect::OneOff { from, to, change: by } => Effect::OneOff { from: *from, to: *to, change: change(*by)? },
            Effect::Limit { at, change: by } => Effect::Limit { at: *at, change: change(*by)? },
            Effect::Holidays(_) | Effect::Maintenance(_) => is_of_all.then(|| self.effect.clone())?,
        };
        Some(Event { name: self.name.clone(), effect })
    }
}

/// `a * value + b`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Affine {
    pub a: f64,
    pub b: f64,
}

impl Affine {
    pub const SAME: Affine = Affine { a: 1.0, b: 0.0 };

    pub fn of(self, value: f64) -> f64 {
        self.a * value + self.b
    }

    /// What was there before; NaN where nothing of it is left.
    fn undone(self, value: f64) -> f64 {
        if self.a > 0.0 { (value - self.b) / self.a } else { f64::NAN }
    }
}

impl Change {
    /// The part `share` of it, from 0 for none to 1 for all.
    fn part(self, share: f64) -> Affine {
        match self {
            Change::Add { by, .. } => Affine { a: 1.0, b: by * share },
            Change::Times { by, .. } => Affine { a: 1.0 + (by - 1.0) * share, b: 0.0 },
            Change::Become(value) => Affine { a: 1.0 - share, b: value * share },
            Change::Measured => Affine::SAME,
        }
    }

    /// How far off it may be on a level of `value`, with 95 %.
    fn doubt(self, value: f64) -> f64 {
        match self {
            Change::Add { give_or_take, .. } => give_or_take,
            Change::Times { give_or_take, .. } => give_or_take * value.abs(),
            Change::Become(_) | Change::Measured => 0.0,
        }
    }
}

/// What part of `start..start + len` lies in `from..to`.
fn overlap(start: Millis, len: Millis, from: Millis, to: Millis) -> f64 {
    let end = start.saturating_add(len);
    let shared = end.min(to).saturating_sub(start.max(from)).max(0);
    shared as f64 / len.max(1) as f64
}

impl Effect {
    /// When it begins; the end of time for nothing.
    fn onset(&self) -> Millis {
        match self {
            Effect::Step { at, .. } | Effect::Limit { at, .. } => *at,
            Effect::Ramp { from, .. } | Effect::OneOff { from, .. } => *from,
            Effect::Holidays(days) => days.iter().map(|day| day.start).min().unwrap_or(Millis::MAX),
            Effect::Maintenance(spans) => spans.iter().map(|(from, _)| *from).min().unwrap_or(Millis::MAX),
        }
    }

    /// Whether it touches anything in `from..to`.
    fn touches(&self, from: Millis, to: Millis) -> bool {
        let meets = |start: Millis, end: Millis| start < to && from < end;
        match self {
            Effect::Step { at, .. } | Effect::Limit { at, .. } => (from..to).contains(at),
            Effect::Ramp { from: start, to: end, .. } | Effect::OneOff { from: start, to: end, .. } => {
                meets(*start, *end)
            }
            Effect::Holidays(days) => days.iter().any(|day| meets(day.start, day.end)),
            Effect::Maintenance(spans) => spans.iter().any(|(start, end)| meets(*start, *end)),
        }
    }

    /// What of it lasts, at a cell.
    fn lasting(&self, at: Millis, len: Millis) -> Option<(Change, f64)> {
        match self {
            Effect::Step { at: from, change } => Some((*change, overlap(at, len, *from, Millis::MAX))),
            Effect::Ramp { from, to, change } => {
                let middle = at.saturating_add(len / 2).clamp(*from, *to);
                let share = (middle - from) as f64 / (to - from).max(1) as f64;
                Some((*change, share))
            }
            Effect::OneOff { .. } | Effect::Holidays(_) | Effect::Maintenance(_) | Effect::Limit { .. } => None,
        }
    }

    /// What of it holds at a cell, lasting or not.
    fn holding(&self, at: Millis, len: Millis) -> Option<(Change, f64)> {
        match self {
            Effect::OneOff { from, to, change } => Some((*change, overlap(at, len, *from, *to))),
            Effect::Step { .. }
            | Effect::Ramp { .. }
            | Effect::Holidays(_)
            | Effect::Maintenance(_)
            | Effect::Limit { .. } => self.lasting(at, len),
        }
    }

    /// Whether the values of a cell tell nothing of what the series does otherwise.
    fn hides(&self, at: Millis, len: Millis) -> bool {
        match self {
            // A day within a longer cell is a part of it like others.
            Effect::Holidays(days) if len <= DAY => days.iter().any(|day| overlap(at, len, day.start, day.end) > 0.5),
            Effect::OneOff { from, to, .. } => overlap(at, len, *from, *to) > 0.0,
            Effect::Maintenance(spans) => spans.iter().any(|(from, to)| overlap(at, len, *from, *to) > 0.0),
            Effect::Step { .. } | Effect::Ramp { .. } | Effect::Holidays(_) | Effect::Limit { .. } => false,
        }
    }
}

/// The events of one series, in the order in which they begin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Events {
    events: Vec<Event>,
}

impl Events {
    /// No event.
    pub const NONE: &'static Events = &Events { events: Vec::new() };

    /// `events`, of one series, in any order.
    pub fn new(mut events: Vec<Event>) -> Events {
        events.sort_by_key(|event| event.effect.onset());
        Events { events }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Each of them, in the order in which they begin.
    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    /// These and `others`.
    #[must_use]
    pub fn and(&self, others: &Events) -> Events {
        Events::new(self.events.iter().chain(&others.events).cloned().collect())
    }

    /// The names of those that change something in `from..to`.
    pub fn names(&self, from: Millis, to: Millis) -> Vec<String> {
        let touching = self.events.iter().filter(|event| event.effect.touches(from, to));
        touching.map(|event| event.name.clone()).collect()
    }

    /// Whether any begins before `at`, so that a past up to there is another with them.
    pub fn begin_before(&self, at: Millis) -> bool {
        self.events.iter().any(|event| event.effect.onset() < at)
    }

    /// Whether a value at the cell is not to be judged: it lies in a maintenance window.
    pub fn is_maintained(&self, at: Millis, len: Millis) -> bool {
        let windows = self.events.iter().filter(|event| matches!(event.effect, Effect::Maintenance(_)));
        windows.into_iter().any(|event| event.effect.hides(at, len))
    }

    /// All lasting effects at a cell, the first first.
    fn lasting(&self, at: Millis, len: Millis) -> Affine {
        self.fold(|effect| effect.lasting(at, len))
    }

    /// All effects at a cell, the first first.
    fn holding(&self, at: Millis, len: Millis) -> Affine {
        self.fold(|effect| effect.holding(at, len))
    }

    fn fold(&self, part: impl Fn(&Effect) -> Option<(Change, f64)>) -> Affine {
        let parts = self.events.iter().filter_map(|event| part(&event.effect));
        parts.fold(Affine::SAME, |all, (change, share)| {
            let next = change.part(share);
            Affine { a: next.a * all.a, b: next.of(all.b) }
        })
    }

    /// What a value at the cell becomes at the level of `reference`; NaN where it tells nothing.
    ///
    /// A model that learned values at this level takes in later ones at this level too.
    pub fn quieted(&self, value: f64, at: Millis, len: Millis, reference: Millis) -> f64 {
        if self.events.iter().any(|event| event.effect.hides(at, len)) {
            return f64::NAN;
        }
        self.lasting(reference, 1).of(self.lasting(at, len).undone(value))
    }

    /// The values of `past` at the level of its end, NaN where they tell nothing of what the series does otherwise.
    pub fn quiet(&self, past: &Past<'_>) -> Vec<f64> {
        let (len, reference) = (past.step().millis(), past.end());
        let quieted = |(idx, value): (usize, &f64)| self.quieted(*value, past.at(idx), len, reference);
        past.values().iter().enumerate().map(quieted).collect()
    }

    /// The values of `past` without those in maintenance windows, which are not to be judged.
    pub fn without_maintenance(&self, past: &Past<'_>) -> Vec<f64> {
        let len = past.step().millis();
        let kept = |(idx, value): (usize, &f64)| {
            if self.is_maintained(past.at(idx), len) { f64::NAN } else { *value }
        };
        past.values().iter().enumerate().map(kept).collect()
    }

    /// What a level at the level of `reference` is at `at`, with every event.
    pub(crate) fn level_at(&self, at: Millis, reference: Millis) -> Affine {
        let (then, now) = (self.holding(at, 1), self.lasting(reference, 1));
        // then(now^-1(value)); what is multiplied by nothing now cannot be told from nothing.
        let a = if now.a > 0.0 { then.a / now.a } else { 1.0 };
        Affine { a, b: then.b - a * now.b }
    }

    /// What a limit that is `value` at `now` is at `at`.
    pub(crate) fn limit_at(&self, value: f64, now: Millis, at: Millis) -> f64 {
        let changes = self.events.iter().filter_map(|event| match event.effect {
            Effect::Limit { at: from, change } if now < from && from <= at => Some(change),
            Effect::Limit { .. }
            | Effect::Step { .. }
            | Effect::Ramp { .. }
            | Effect::OneOff { .. }
            | Effect::Holidays(_)
            | Effect::Maintenance(_) => None,
        });
        changes.fold(value, |value, change| change.part(1.0).of(value))
    }

    /// The names of those that move a level or a limit in `from..to`.
    pub(crate) fn moving(&self, from: Millis, to: Millis) -> Vec<String> {
        let moves = |event: &&Event| {
            !matches!(event.effect, Effect::Holidays(_) | Effect::Maintenance(_)) && event.effect.touches(from, to)
        };
        self.events.iter().filter(moves).map(|event| event.name.clone()).collect()
    }

    /// The instants after `from` at which a level or a limit begins or ceases to change.
    pub(crate) fn turns_after(&self, from: Millis) -> Vec<Millis> {
        let turns = self.events.iter().flat_map(|event| match event.effect {
            Effect::Step { at, .. } | Effect::Limit { at, .. } => vec![at],
            Effect::Ramp { from, to, .. } | Effect::OneOff { from, to, .. } => vec![from, to],
            Effect::Holidays(_) | Effect::Maintenance(_) => Vec::new(),
        });
        let mut turns: Vec<Millis> = turns.filter(|at| *at > from).collect();
        turns.sort_unstable();
        turns
    }
}
