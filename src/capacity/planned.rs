//! What is planned, as seen by a level that grows towards a limit: the barrier it meets, and when that moves.

use crate::forecast::Events;
use crate::series::{Millis, Side};

use super::answer::Limit;

/// A limit with the events that move it, or the series against it.
pub(super) struct Barrier<'a> {
    pub events: &'a Events,
    /// The instant whose level the history has.
    pub reference: Millis,
    /// The last value's.
    pub now: Millis,
    pub limit: Limit,
}

impl Barrier<'_> {
    fn sign(&self) -> f64 {
        if self.limit.side == Side::Down { -1.0 } else { 1.0 }
    }

    /// The limit `after` from now.
    pub fn limit_in(&self, after: Millis) -> f64 {
        self.events.limit_at(self.limit.value, self.now, self.now.saturating_add(after))
    }

    /// What must not be reached `after` from now by a level as it is at the reference, both mirrored so that growth is
    /// upwards: what is planned for the series counts against the limit.
    pub fn height_in(&self, after: Millis) -> f64 {
        let planned = self.events.level_at(self.now.saturating_add(after), self.reference);
        let room = self.sign() * (self.limit_in(after) - planned.b);
        match planned.a {
            a if a > 0.0 => room / a,
            // Whatever the level, the series is what the events make it.
            _ if room > 0.0 => f64::INFINITY,
            _ => f64::NEG_INFINITY,
        }
    }

    /// What is left `after` from now when the mirrored level is `level`, in the metric's unit.
    pub fn headroom_in(&self, after: Millis, level: f64) -> f64 {
        let planned = self.events.level_at(self.now.saturating_add(after), self.reference);
        self.sign() * (self.limit_in(after) - planned.of(self.sign() * level))
    }

    /// When it moves within `horizon` from now, as spans from now.
    pub fn turns(&self, horizon: Millis) -> Vec<Millis> {
        let turns = self.events.turns_after(self.now).into_iter().map(|at| at - self.now);
        turns.take_while(|after| *after <= horizon).collect()
    }

    /// How much of the headroom what is planned within `horizon` takes at most; 0 when it gives some.
    pub fn taken_within(&self, horizon: Millis) -> f64 {
        let now = self.height_in(0);
        let lowest = self.turns(horizon).into_iter().map(|after| self.height_in(after)).fold(now, f64::min);
        Some(now - lowest).filter(|taken| taken.is_finite()).map_or(0.0, |taken| taken.max(0.0))
    }

    /// The names of what moves it within `horizon`.
    pub fn names_within(&self, horizon: Millis) -> Vec<String> {
        self.events.moving(self.now, self.now.saturating_add(horizon))
    }
}
