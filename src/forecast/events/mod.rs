//! What is planned, and what was: events known to change a series, taken out of the past and put into the future.
//!
//! In: the [`Event`]s of one series, a [`Past`] and a fitted model. Out: a quiet past for the model to learn from, and
//! a forecast under the events, points and band. No method need know of events: as X-13ARIMA-SEATS does with calendar
//! effects and outliers (US Census Bureau, "X-13ARIMA-SEATS Reference Manual", on prior adjustment), the past is
//! adjusted before the fit and the forecast after it.
//!
//! A step or ramp that has happened lifts what lay before it to where the series stands now, so that it passes neither
//! for a trend nor for noise. What recurs is taken out of its past times by what it is seen to do there. A one-off, a
//! holiday and a maintenance window of the past become gaps: what they held will not come again. Ahead, steps, ramps,
//! one-offs and what recurs change points and bands alike, and a holiday takes the shape of the weekday it is like.

mod ahead;
mod dates;
mod effect;
mod measure;
#[cfg(test)]
mod tests;
mod under;

pub(crate) use effect::Affine;
pub use effect::{Change, Effect, Event, Holiday};
pub use under::UnderEvents;

use super::columns::{Column, Effects};
use super::past::Past;
use crate::series::Millis;

/// The events of one series, in the order in which they begin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Events {
    events: Vec<Event>,
    /// How far off forecasts may be with 95 % for what is not known of the steps that were measured.
    doubt: f64,
}

impl Events {
    /// No event.
    pub const NONE: &'static Events = &Events { events: Vec::new(), doubt: 0.0 };

    /// `events`, of one series, in any order.
    pub fn new(mut events: Vec<Event>) -> Events {
        events.sort_by_key(|event| event.effect.onset());
        Events { events, doubt: 0.0 }
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
        let all = Events::new(self.events.iter().chain(&others.events).cloned().collect());
        Events { doubt: self.doubt.hypot(others.doubt), ..all }
    }

    /// The names of those that change something in `from..to`, where what recurs does what `effects` have learned.
    fn names(&self, from: Millis, to: Millis, effects: &Effects) -> Vec<String> {
        let shows = |event: &&Event| !matches!(event.effect, Effect::Recurring(_)) || effects.shows(&event.name);
        let mut names: Vec<String> = Vec::new();
        for event in self.events.iter().filter(|event| event.effect.touches(from, to)).filter(shows) {
            // What recurs may be told in several events of one name.
            if !matches!(event.effect, Effect::Recurring(_)) || !names.contains(&event.name) {
                names.push(event.name.clone());
            }
        }
        names
    }

    /// What recurs, a column for each name.
    pub(super) fn columns(&self) -> Vec<Column> {
        let mut named: Vec<(&str, Vec<(Millis, Millis)>)> = Vec::new();
        for event in &self.events {
            let Effect::Recurring(spans) = &event.effect else { continue };
            match named.iter_mut().find(|(name, _)| *name == event.name) {
                Some((_, all)) => all.extend(spans),
                None => named.push((&event.name, spans.clone())),
            }
        }
        named.into_iter().map(|(name, spans)| Column::of_windows(name.to_owned(), spans)).collect()
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

    /// The instant whose level values of `past` are brought to: just before its end, so that what begins with the first
    /// step ahead moves none of them.
    pub(crate) fn reference_of(past: &Past<'_>) -> Millis {
        past.end().saturating_sub(1)
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

    /// The values of `past` at the level of [`Events::reference_of`] it, NaN where they tell nothing of what the series
    /// does otherwise.
    pub fn quiet(&self, past: &Past<'_>) -> Vec<f64> {
        let reference = Events::reference_of(past);
        let quieted = |(idx, value): (usize, &f64)| self.quieted(*value, past.at(idx), past.length_of(idx), reference);
        past.values().iter().enumerate().map(quieted).collect()
    }

    /// The values of `past` without those in maintenance windows, which are not to be judged.
    pub fn without_maintenance(&self, past: &Past<'_>) -> Vec<f64> {
        let kept = |(idx, value): (usize, &f64)| {
            if self.is_maintained(past.at(idx), past.length_of(idx)) { f64::NAN } else { *value }
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
            | Effect::Maintenance(_)
            | Effect::Recurring(_) => None,
        });
        changes.fold(value, |value, change| change.part(1.0).of(value))
    }

    /// The names of those that move a level or a limit in `from..to`.
    pub(crate) fn moving(&self, from: Millis, to: Millis) -> Vec<String> {
        let moves = |event: &&Event| {
            let is_passing =
                matches!(event.effect, Effect::Holidays(_) | Effect::Maintenance(_) | Effect::Recurring(_));
            !is_passing && event.effect.touches(from, to)
        };
        self.events.iter().filter(moves).map(|event| event.name.clone()).collect()
    }

    /// The instants after `from` at which a level or a limit begins or ceases to change.
    pub(crate) fn turns_after(&self, from: Millis) -> Vec<Millis> {
        let turns = self.events.iter().flat_map(|event| match event.effect {
            Effect::Step { at, .. } | Effect::Limit { at, .. } => vec![at],
            Effect::Ramp { from, to, .. } | Effect::OneOff { from, to, .. } => vec![from, to],
            Effect::Holidays(_) | Effect::Maintenance(_) | Effect::Recurring(_) => Vec::new(),
        });
        let mut turns: Vec<Millis> = turns.filter(|at| *at > from).collect();
        turns.sort_unstable();
        turns
    }
}
