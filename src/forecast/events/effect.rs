//! One event: what it is called, what it does, and what of that holds at a cell.

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
    /// Spans, as from and to, of what happens again and again; what it does is learned from those that are past.
    Recurring(Vec<(Millis, Millis)>),
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
            Effect::Holidays(_) | Effect::Maintenance(_) | Effect::Recurring(_) => {
                is_of_all.then(|| self.effect.clone())?
            }
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
    pub(super) fn undone(self, value: f64) -> f64 {
        if self.a > 0.0 { (value - self.b) / self.a } else { f64::NAN }
    }
}

impl Change {
    /// The part `share` of it, from 0 for none to 1 for all.
    pub(super) fn part(self, share: f64) -> Affine {
        match self {
            Change::Add { by, .. } => Affine { a: 1.0, b: by * share },
            Change::Times { by, .. } => Affine { a: 1.0 + (by - 1.0) * share, b: 0.0 },
            Change::Become(value) => Affine { a: 1.0 - share, b: value * share },
            Change::Measured => Affine::SAME,
        }
    }

    /// How far off it may be on a level of `value`, with 95 %.
    pub(super) fn doubt(self, value: f64) -> f64 {
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
    pub(super) fn onset(&self) -> Millis {
        match self {
            Effect::Step { at, .. } | Effect::Limit { at, .. } => *at,
            Effect::Ramp { from, .. } | Effect::OneOff { from, .. } => *from,
            Effect::Holidays(days) => days.iter().map(|day| day.start).min().unwrap_or(Millis::MAX),
            Effect::Maintenance(spans) | Effect::Recurring(spans) => {
                spans.iter().map(|(from, _)| *from).min().unwrap_or(Millis::MAX)
            }
        }
    }

    /// Whether it touches anything in `from..to`.
    pub(super) fn touches(&self, from: Millis, to: Millis) -> bool {
        let meets = |start: Millis, end: Millis| start < to && from < end;
        match self {
            Effect::Step { at, .. } | Effect::Limit { at, .. } => (from..to).contains(at),
            Effect::Ramp { from: start, to: end, .. } | Effect::OneOff { from: start, to: end, .. } => {
                meets(*start, *end)
            }
            Effect::Holidays(days) => days.iter().any(|day| meets(day.start, day.end)),
            Effect::Maintenance(spans) | Effect::Recurring(spans) => {
                spans.iter().any(|(start, end)| meets(*start, *end))
            }
        }
    }

    /// What of it lasts, at a cell.
    pub(super) fn lasting(&self, at: Millis, len: Millis) -> Option<(Change, f64)> {
        match self {
            Effect::Step { at: from, change } => Some((*change, overlap(at, len, *from, Millis::MAX))),
            Effect::Ramp { from, to, change } => {
                let middle = at.saturating_add(len / 2).clamp(*from, *to);
                let share = (middle - from) as f64 / (to - from).max(1) as f64;
                Some((*change, share))
            }
            Effect::OneOff { .. }
            | Effect::Holidays(_)
            | Effect::Maintenance(_)
            | Effect::Recurring(_)
            | Effect::Limit { .. } => None,
        }
    }

    /// What of it holds at a cell, lasting or not.
    pub(super) fn holding(&self, at: Millis, len: Millis) -> Option<(Change, f64)> {
        match self {
            Effect::OneOff { from, to, change } => Some((*change, overlap(at, len, *from, *to))),
            Effect::Step { .. }
            | Effect::Ramp { .. }
            | Effect::Holidays(_)
            | Effect::Maintenance(_)
            | Effect::Recurring(_)
            | Effect::Limit { .. } => self.lasting(at, len),
        }
    }

    /// Whether the values of a cell tell nothing of what the series does otherwise.
    pub(super) fn hides(&self, at: Millis, len: Millis) -> bool {
        match self {
            // A day within a longer cell is a part of it like others.
            Effect::Holidays(days) if len <= DAY => days.iter().any(|day| overlap(at, len, day.start, day.end) > 0.5),
            Effect::OneOff { from, to, .. } => overlap(at, len, *from, *to) > 0.0,
            Effect::Maintenance(spans) => spans.iter().any(|(from, to)| overlap(at, len, *from, *to) > 0.0),
            Effect::Step { .. }
            | Effect::Ramp { .. }
            | Effect::Holidays(_)
            | Effect::Recurring(_)
            | Effect::Limit { .. } => false,
        }
    }
}
