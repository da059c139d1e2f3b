//! Events beside a file of dates: what a date means is a date, wherever the metric is.

use std::borrow::Cow;

use super::{Effect, Event, Events, Holiday};
use crate::series::{DAY, Millis, Step, Zone};

impl Events {
    /// The same events as cells of `step` from `start` on have them, of a series in `zone`.
    ///
    /// Whole days from midnight to midnight UTC are dates as files have them, whatever clocks in the zone show then.
    /// Beside such cells each instant is the one at which UTC's clocks show what the zone's show at it, so that an
    /// event of a date lies on that date's cell and on no other. Applied to the events as they were planned, and once.
    pub fn on_dates(&self, start: Millis, step: Step, zone: Zone) -> Cow<'_, Events> {
        if self.is_empty() || zone == Zone::UTC || !step.is_of_days() || start.rem_euclid(DAY) != 0 {
            return Cow::Borrowed(self);
        }
        let shown = |at: Millis| at.saturating_add(zone.offset_at(at));
        // What begins and ends within the hour that clocks show twice must not end before it begins.
        let span = |from: Millis, to: Millis| (shown(from), shown(to).max(shown(from)));
        let spans = |all: &[(Millis, Millis)]| all.iter().map(|&(from, to)| span(from, to)).collect();
        let moved = |event: &Event| {
            let effect = match &event.effect {
                Effect::Step { at, change } => Effect::Step { at: shown(*at), change: *change },
                Effect::Limit { at, change } => Effect::Limit { at: shown(*at), change: *change },
                Effect::Ramp { from, to, change } => {
                    let (from, to) = span(*from, *to);
                    Effect::Ramp { from, to, change: *change }
                }
                Effect::OneOff { from, to, change } => {
                    let (from, to) = span(*from, *to);
                    Effect::OneOff { from, to, change: *change }
                }
                Effect::Holidays(days) => {
                    let day = |day: &Holiday| {
                        let (start, end) = span(day.start, day.end);
                        Holiday { start, end, days_to_like: day.days_to_like }
                    };
                    Effect::Holidays(days.iter().map(day).collect())
                }
                Effect::Maintenance(all) => Effect::Maintenance(spans(all)),
                Effect::Recurring(all) => Effect::Recurring(spans(all)),
            };
            Event { name: event.name.clone(), effect }
        };
        Cow::Owned(Events { doubt: self.doubt, ..Events::new(self.events.iter().map(moved).collect()) })
    }
}
