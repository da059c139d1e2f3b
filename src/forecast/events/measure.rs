//! How large was a step? By the values on both sides of it.

use super::{Change, Effect, Event, Events};
use crate::forecast::past::Past;
use crate::series::{DAY, median};

/// Values on each side that are looked at, at least and at most.
const LEAST: usize = 4;
const MOST: usize = 2_000;

/// Time on each side that is looked at where the past has it: what recurs by the week cancels out.
const SPAN: i64 = 7 * DAY;

impl Events {
    /// The same, with steps whose size is to be measured measured on `past`.
    ///
    /// The size is the difference of the medians of as many whole weeks on each side, or days, or whatever there is, up
    /// to the next change of level; half of what the sides themselves drift is taken off. With fewer than four values on
    /// a side nothing can be measured, and the step changes nothing yet.
    #[must_use]
    pub fn measured(&self, past: &Past<'_>) -> Events {
        let mut known: Vec<Event> = self.events.clone();
        for nr in 0..known.len() {
            let Effect::Step { at, change: Change::Measured } = known[nr].effect else { continue };
            let others: Vec<Event> =
                known.iter().enumerate().filter(|(other, _)| *other != nr).map(|(_, event)| event.clone()).collect();
            if let Some(by) = Events::new(others).step_size(past, at) {
                known[nr].effect = Effect::Step { at, change: Change::Add { by, give_or_take: 0.0 } };
            }
        }
        Events { events: known }
    }

    /// By how much the level differs on both sides of `at`, other events taken out.
    fn step_size(&self, past: &Past<'_>, at: i64) -> Option<f64> {
        let len = past.step().millis();
        let quiet = self.quiet(past);
        let turn = (0..past.len()).position(|idx| past.at(idx) >= at).filter(|turn| *turn > 0)?;
        let room = turn.min(past.len() - turn);
        let whole = |span: i64| usize::try_from(span / len).ok().filter(|cells| *cells >= LEAST && *cells <= room);
        let n = whole(SPAN).or_else(|| whole(DAY)).unwrap_or(room).min(MOST);
        let present = |cells: &[f64]| -> Vec<f64> { cells.iter().copied().filter(|value| !value.is_nan()).collect() };
        let (before, after) = (present(&quiet[turn - n..turn]), present(&quiet[turn..turn + n]));
        if before.len() < LEAST || after.len() < LEAST {
            return None;
        }
        // The drift from the first half of a side to its second, which is half a side long, is seen twice between the
        // middles of the sides.
        let drift = |side: &[f64]| Some(median(&side[side.len() / 2..])? - median(&side[..side.len() / 2])?);
        let drift = drift(&before)?.abs().min(drift(&after)?.abs()).copysign(drift(&before)? + drift(&after)?);
        Some(median(&after)? - median(&before)? - 2.0 * drift)
    }
}
