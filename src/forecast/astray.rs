//! What went astray and came back: outages, incidents, a holiday of one day.
//!
//! In: a past and its cycles. Out: the spans of it that no cycle before knew, each with what the cycles before had
//! there. Who takes a value a cycle ago for the next one would repeat an outage, so a pool is shown a past in which it
//! was as usual. What recurs is not astray, as a cycle before had it at the same place; what lasts longer than a cycle
//! is a new level; what is not over yet may become one and stays as it is, and so do the last cells.
//!
//! The errors of a replay at such cells are of one event, however many forecasts met it, and apart from the others for
//! who makes bands of them ([`Astray::taken_out`]).
//!
//! Until a few cycles have been seen after a long gap, it is bridged by the cycles before it likewise: few values tell
//! no cycle, and a level only beside one.
//!
//! Everything is told of a span by the values before its end and the few after that show it is over, so that each
//! origin of a replay is shown what was known then, and no more; but for what known columns do, of which values are
//! freed before spans are looked for in them: what they taught later may hide a span that was one then.

use std::borrow::Cow;

use super::backtest::Replay;
use super::guard::clip;
use super::past::Past;
use crate::series::median_of;

/// Cycles before, of which a cell's usual value is the median.
const BEFORE: usize = 5;

/// The least values that those must have at its place.
const LEAST_BEFORE: usize = 2;

/// Cycles, and cells, by which it is told how far off values usually are.
const OF_SIZE: usize = 4;
const LEAST_OF_SIZE: usize = 200;

/// How often in a cycle that is told anew, at most.
const SIZED: usize = 8;

/// The size that so many of the values keep to.
const USUALLY: f64 = 0.95;

/// Sizes off, from the usual value and from all that cycles before had there, at which a span begins,
const FAR: f64 = 3.0;

/// to which it goes on,
const NEAR: f64 = 1.0;

/// and below which the cells after it are on average where it is over.
const BACK: f64 = 0.7;

/// One in so many places of the cycle is as near as what recurs may be to where it was.
const NEARBY: usize = 100;

/// The least cells by which a span is seen to be over, and the share of the shortest cycle that is always enough.
const LEAST_AFTER: usize = 2;
const AFTER: usize = 4;

/// A gap is long from this share of the shortest cycle on: a line across it would invent a pattern.
const LONG_GAP: usize = 4;

/// Cycles after it that make it no matter.
const SEEN_AFTER: usize = 4;

/// A span of values astray, or of gaps.
#[derive(Clone, Debug, PartialEq)]
struct Span {
    from: usize,
    /// How many cells must be known to tell that it is one, and how many from which on it is no matter.
    told_at: usize,
    until: usize,
    /// What was usual there; NaN where nothing was, or the value stands.
    usual: Vec<f64>,
}

impl Span {
    /// The first cell after it.
    fn end(&self) -> usize {
        self.from + self.usual.len()
    }

    fn covers(&self, at: usize) -> bool {
        (self.from..self.end()).contains(&at)
    }

    /// Whether there was none like it just before, and it is no gap.
    fn is_once(&self) -> bool {
        self.until == usize::MAX
    }

    /// Puts what was usual in its place.
    fn mend(&self, values: &mut [f64]) {
        let cells = values[self.from..].iter_mut().zip(&self.usual);
        cells.filter(|(_, usual)| !usual.is_nan()).for_each(|(cell, usual)| *cell = *usual);
    }
}

/// The spans of a past that went astray or are gaps, in the order in which they became known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Astray {
    spans: Vec<Span>,
    // The shortest and the longest cycle, and how far ahead a forecast looks.
    cycles: [usize; 2],
    n_leads: usize,
    // The cells of which it could be told whether they are astray.
    n_looked: usize,
}

impl Astray {
    /// Nothing.
    pub const NONE: &'static Astray = &Astray { spans: Vec::new(), cycles: [0; 2], n_leads: 0, n_looked: 0 };

    /// In `past`, which has cycles of `seasons` steps and is to be forecast `n_leads` ahead.
    pub fn of(past: &Past<'_>, seasons: impl Iterator<Item = usize> + Clone, n_leads: usize) -> Astray {
        let enough = |steps: &usize| *steps > 1 && (LEAST_BEFORE + 1) * steps <= past.len();
        let Some(longest) = seasons.clone().filter(enough).max() else { return Astray::default() };
        let shortest = seasons.filter(enough).min().unwrap_or(longest);
        let cycles = Cycles { values: past.values(), longest, shortest };
        let facts = past.facts();
        let mut spans = cycles.spans();
        spans.extend(cycles.gaps());
        spans.sort_by_key(|span| span.told_at);
        for usual in spans.iter_mut().flat_map(|span| &mut span.usual) {
            *usual = if usual.is_finite() { clip(*usual, facts.min, facts.max) } else { f64::NAN };
        }
        let n_looked = past.len() - LEAST_BEFORE * longest;
        Astray { spans, cycles: [shortest, longest], n_leads, n_looked }
    }

    /// The first `origin` of `values`, with what was usual in place of what was then known to be astray.
    pub fn mended<'a>(&self, values: &'a [f64], origin: usize) -> Cow<'a, [f64]> {
        let mut shown = Cow::Borrowed(&values[..origin.min(values.len())]);
        for span in self.spans.iter().filter(|span| self.is_mended(span, origin)) {
            span.mend(shown.to_mut());
        }
        shown
    }

    /// The past of which these are, as if it had been as usual wherever it went astray for once.
    pub fn all_mended<'a>(&self, values: &'a [f64]) -> Cow<'a, [f64]> {
        let mut shown = Cow::Borrowed(values);
        for span in self.spans.iter().filter(|span| span.is_once()) {
            span.mend(shown.to_mut());
        }
        shown
    }

    /// Takes the errors at cells that went astray for once out of `replay`; with the share of such cells, one more
    /// being as not yet seen. Those of forecasts that were shown a part of such a span, and nothing of its end, are no
    /// longer in it either.
    pub fn taken_out(&self, replay: &mut Replay) -> (Vec<f64>, f64) {
        let spans = || self.spans.iter().filter(|span| span.is_once());
        let mut taken = Vec::new();
        for (&origin, row) in replay.origins.iter().zip(&mut replay.errors) {
            for span in spans() {
                let from = span.from.max(origin) - origin;
                let upto = (span.end().max(origin) - origin).min(row.len());
                let errors = row.get_mut(from..upto).unwrap_or_default().iter_mut();
                taken.extend(errors.filter(|error| !error.is_nan()).map(|error| std::mem::replace(error, f64::NAN)));
                if (span.from + 1..span.told_at).contains(&origin) {
                    row.fill(f64::NAN);
                }
            }
        }
        let n_astray: usize = spans().map(|span| span.usual.len()).sum();
        (taken, (n_astray as f64 + 1.0) / (self.n_looked as f64 + 1.0))
    }

    /// Whether more of the past is mended at `origin` than was for a model of its first `before` cells.
    pub fn is_told_anew(&self, before: usize, origin: usize) -> bool {
        self.spans.iter().any(|span| self.is_mended(span, origin) && !self.is_mended(span, before))
    }

    /// Whether `span` is no longer shown as it was from `origin`: a long one, which moves whole levels, as soon as it
    /// is known, a short one where it lies a cycle before a cell to be forecast, or a step further. What else there is
    /// to learn of a short one, how it fades and that it happens, is learnt from what it was.
    fn is_mended(&self, span: &Span, origin: usize) -> bool {
        let end = span.end();
        let is_before = |cycle: usize| {
            let upto = origin.saturating_add(self.n_leads).saturating_sub(cycle);
            span.from < upto && end.saturating_add(cycle) >= origin
        };
        let is_known = span.told_at <= origin && origin < span.until;
        let is_long = AFTER * span.usual.len() >= self.cycles[0];
        is_known && (is_long || self.cycles.into_iter().any(is_before))
    }
}

struct Cycles<'a> {
    values: &'a [f64],
    longest: usize,
    shortest: usize,
}

impl Cycles<'_> {
    /// Values of cycles before at the place of cell `at` that are known, and how many.
    fn before(&self, at: usize) -> ([f64; BEFORE], usize) {
        let mut known = [0.0; BEFORE];
        let mut n = 0;
        for back in 1..=BEFORE {
            let Some(&value) = at.checked_sub(back * self.longest).and_then(|idx| self.values.get(idx)) else { break };
            if !value.is_nan() {
                known[n] = value;
                n += 1;
            }
        }
        (known, n)
    }

    /// What each cell is off by from what cycles before usually had there; NaN where that is not known.
    fn offs(&self) -> Vec<f64> {
        let off = |(at, value): (usize, &f64)| {
            let (mut known, n) = self.before(at);
            if n < LEAST_BEFORE || value.is_nan() {
                return f64::NAN;
            }
            known[..n].sort_unstable_by(f64::total_cmp);
            value - f64::midpoint(known[(n - 1) / 2], known[n / 2])
        };
        self.values.iter().enumerate().map(off).collect()
    }

    /// How far `value` is from all that the cycles before had at the place of cell `at` or near it.
    fn beyond(&self, at: usize, value: f64) -> f64 {
        let reach = self.longest / NEARBY;
        let near = |place: usize| {
            let (known, n) = self.before(place);
            known.into_iter().take(n)
        };
        let places = at.saturating_sub(reach)..=at + reach;
        let (least, most) =
            places.flat_map(near).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        (least - value).max(value - most).max(0.0)
    }

    fn spans(&self) -> Vec<Span> {
        let offs = self.offs();
        let window = (OF_SIZE * self.longest).max(LEAST_OF_SIZE);
        let every = self.shortest.max(self.longest / SIZED);
        let mut spans: Vec<Span> = Vec::new();
        let (mut size, mut sized_at) = (f64::NAN, 0);
        let mut at = LEAST_BEFORE * self.longest;
        // Cells before this belong to a span that was told.
        let mut free_from = 0;
        while at < offs.len() {
            if at >= sized_at {
                size = usual_size(&offs[at.saturating_sub(window)..at], self.shortest);
                sized_at = at + every;
            }
            if !(size > 0.0 && offs[at].abs() > FAR * size && self.beyond(at, self.values[at]) > FAR * size) {
                at += 1;
                continue;
            }
            // Levels wander: what the cells just before were off by is none of the span's.
            let is_astray = |idx: &usize| spans.last().is_some_and(|span| span.covers(*idx));
            let before = (0..at).rev().filter(|idx| !is_astray(idx)).take(self.shortest);
            let level = median_of(before.map(|idx| offs[idx])).unwrap_or(0.0);
            let sign = (offs[at] - level).signum();
            let off = |idx: usize| sign * (offs[idx] - level) / size;
            if !is_beyond(off(at), FAR) {
                at += 1;
                continue;
            }
            let mut first = at;
            while first > free_from && off(first - 1) > NEAR {
                first -= 1;
            }
            let (end, told_at) = self.end(first, at, &off);
            if let Some(told_at) = told_at {
                let usual = (first..end).map(|idx| self.values[idx] - offs[idx] + level).collect();
                // What went astray in the last cycles as well does so again and again: that is how the series is.
                let is_rare = !spans.iter().any(|span| span.from + window > first);
                let until = if is_rare { usize::MAX } else { 0 };
                spans.push(Span { from: first, told_at, until, usual });
            }
            (at, free_from) = (end, end);
        }
        spans
    }

    /// Long gaps that are over, each as told by two values after it, by a few and by a cycle.
    fn gaps(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut end = 0;
        while let Some(from) = (end..self.values.len()).find(|idx| self.values[*idx].is_nan()) {
            let Some(len) = self.values[from..].iter().position(|value| !value.is_nan()) else { break };
            end = from + len;
            if len <= (self.shortest / LONG_GAP).max(2) || from < LEAST_BEFORE * self.longest {
                continue;
            }
            let usual: Vec<f64> = (0..self.longest).map(|place| self.usual_before(from, place)).collect();
            let off = |idx: usize| self.values[idx] - usual[(idx + self.longest - from % self.longest) % self.longest];
            let level_before = median_of((from - self.shortest..from).map(off)).unwrap_or(0.0);
            let few = (self.shortest / AFTER).max(LEAST_AFTER);
            for enough in [LEAST_AFTER, few, self.shortest.max(few)] {
                let told_at = end + enough;
                if told_at > self.values.len() {
                    break;
                }
                let level = median_of((end..told_at).map(off)).unwrap_or(level_before);
                let at = |nr: usize| {
                    let share = (nr + 1) as f64 / (len + 1) as f64;
                    usual[nr % self.longest] + level_before * (1.0 - share) + level * share
                };
                let until = end.saturating_add(SEEN_AFTER.saturating_mul(self.longest));
                spans.push(Span { from, told_at, until, usual: (0..len).map(at).collect() });
            }
        }
        spans
    }

    /// What the last cycles before cell `from` that have it usually had `place` cells after it; NaN where none has.
    fn usual_before(&self, from: usize, place: usize) -> f64 {
        let cycles = (1..=from / self.longest).map(|back| from + place % self.longest - back * self.longest);
        median_of(cycles.map(|idx| self.values[idx]).filter(|value| !value.is_nan()).take(BEFORE)).unwrap_or(f64::NAN)
    }

    /// Where the span ends that began at `first` and is there at `at`, and when that is told; never, if it lasts.
    fn end(&self, first: usize, at: usize, off: &impl Fn(usize) -> f64) -> (usize, Option<usize>) {
        let n = self.values.len();
        let mut end = at + 1;
        loop {
            let enough = (end - first).clamp(LEAST_AFTER, (self.shortest / AFTER).max(LEAST_AFTER));
            // The cells after that are known, as many as are enough.
            let after: Vec<usize> = (end..n).filter(|idx| !off(*idx).is_nan()).take(enough).collect();
            let told_at = (after.len() == enough).then(|| after[enough - 1] + 1);
            let mean = after.iter().map(|idx| off(*idx)).sum::<f64>() / enough as f64;
            if told_at.is_none() {
                return (n, None);
            }
            if mean < BACK && !is_beyond(off(end), NEAR) {
                return (end, told_at.filter(|_| end - first <= self.longest));
            }
            end += 1;
        }
    }
}

/// The size that most of `offs` keep to; NaN of fewer than `least`.
fn usual_size(offs: &[f64], least: usize) -> f64 {
    let mut sizes: Vec<f64> = offs.iter().map(|off| off.abs()).filter(|size| !size.is_nan()).collect();
    if sizes.is_empty() || sizes.len() < least {
        return f64::NAN;
    }
    let nth = ((sizes.len() - 1) as f64 * USUALLY) as usize;
    *sizes.select_nth_unstable_by(nth, f64::total_cmp).1
}

/// Whether a value is further off than that; a gap is not.
fn is_beyond(off: f64, most: f64) -> bool {
    off > most
}

#[cfg(test)]
mod tests;
