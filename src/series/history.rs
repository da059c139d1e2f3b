//! What a model sees: an even grid of values with gaps marked.
//!
//! In: samples as they arrived, in any order, with duplicates, steps backwards, NaN, infinities and stale markers.
//! Out: a [`History`] whose values stand `step` apart; a cell without a finite sample is NaN, a gap.
//!
//! The rules, in the order in which they apply: samples sort by time, of several with one timestamp the last
//! written wins ([`resolve`]); counters become per-second rates ([`rates`]); values that are not finite become
//! gaps; the step is the usual distance ([`detect_step`]), or months where all stand on a day of the month ([`Calendar`]);
//! a cell takes the latest sample nearest to it.

use super::calendar::Calendar;
use super::metric::MetricKind;
use super::sample::Sample;
use super::time::{HOUR, Millis, Step};
use super::zone::Zone;

/// More cells than any model can use; a grid beyond it means a wrong step or a stray timestamp.
const MAX_CELLS: usize = 50_000_000;

/// What clocks are put forward or back at most; a newest sample further off came at an hour of its own.
const MOST_MOVED: Millis = 2 * HOUR;

/// Why samples could not become a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Nothing finite among the samples.
    #[error("there is no finite sample; a history needs at least one")]
    Empty,
    /// One timestamp only, and no step given.
    #[error("the step cannot be found from a single timestamp; give the step")]
    NoStep,
    /// The samples do not fill a single cell yet.
    #[error("the samples do not fill one step of {step} yet; give a smaller step, or ask again later")]
    TooYoung {
        /// The step that was asked for.
        step: Step,
    },
    /// The grid would be absurdly long.
    #[error(
        "samples from {first} to {last} ms at a step of {step} would make {cells} cells; give a larger step or a shorter time range"
    )]
    TooSparse {
        /// First timestamp, ms.
        first: Millis,
        /// Last timestamp, ms.
        last: Millis,
        /// The step that was found or given.
        step: Step,
        /// How many cells it would take.
        cells: i64,
    },
}

/// Values at `start`, `start + step`, and so on, or at the instant of the calendar next to that; NaN marks a gap and no
/// value is infinite.
#[derive(Clone, Debug)]
pub struct History {
    start: Millis,
    step: Step,
    calendar: Option<Calendar>,
    values: Vec<f64>,
    n_gaps: usize,
}

impl History {
    /// A history from an even grid; infinite values become gaps.
    pub fn new(start: Millis, step: Step, mut values: Vec<f64>) -> History {
        for value in &mut values {
            if value.is_infinite() {
                *value = f64::NAN;
            }
        }
        History::of_cells(start, step, values)
    }

    /// `values` are finite or NaN.
    fn of_cells(start: Millis, step: Step, values: Vec<f64>) -> History {
        let n_gaps = values.iter().filter(|value| value.is_nan()).count();
        History { start, step, calendar: None, values, n_gaps }
    }

    /// The same cells, each at the instant of `calendar` next to it.
    #[must_use]
    pub fn on(self, calendar: Option<Calendar>) -> History {
        History { calendar, ..self }
    }

    /// Puts samples of a metric of `kind` on a grid with `step`, or the detected one.
    ///
    /// # Errors
    /// When no sample is finite, when one timestamp alone cannot tell the step, when the grid would be absurd.
    pub fn from_samples(samples: &[Sample], kind: MetricKind, step: Option<Step>) -> Result<History, HistoryError> {
        History::from_samples_in(Zone::UTC, samples, kind, step)
    }

    /// The same of a metric in `zone`, whose months are those of the calendar there.
    ///
    /// # Errors
    /// As [`History::from_samples`].
    pub fn from_samples_in(
        zone: Zone,
        samples: &[Sample],
        kind: MetricKind,
        step: Option<Step>,
    ) -> Result<History, HistoryError> {
        let resolved = resolve(samples);
        let points = match kind {
            MetricKind::Gauge => resolved,
            MetricKind::Counter => rates(&resolved),
        };
        let finite = || points.iter().filter(|sample| sample.value.is_finite());
        let (Some(first), Some(last)) = (finite().next(), finite().next_back()) else {
            return Err(HistoryError::Empty);
        };
        let of_months = if step.is_none() { Calendar::of(&points, zone) } else { None };
        if let Some((calendar, months)) = of_months {
            return History::of_months(finite(), calendar, months).ok_or(HistoryError::NoStep);
        }
        let step = match step {
            Some(step) => step,
            None => detect_step(&points).ok_or(HistoryError::NoStep)?,
        };
        let span = last.at.checked_sub(first.at).unwrap_or(Millis::MAX);
        let cells = if span > Millis::MAX / 2 { Millis::MAX } else { (span + step.millis() / 2) / step.millis() + 1 };
        if cells > MAX_CELLS as i64 {
            return Err(HistoryError::TooSparse { first: first.at, last: last.at, step, cells });
        }
        // Clocks that are put forward or back move days: they go by the newest sample, as those of a `Grid` do.
        let moved = span - (cells - 1) * step.millis();
        let is_by_clocks = step.is_of_days() && moved.abs() <= MOST_MOVED;
        let start = if is_by_clocks { first.at.saturating_add(moved) } else { first.at };
        let cell_of = |at: Millis| ((at - start).saturating_add(step.millis() / 2)) / step.millis();
        let mut values = vec![f64::NAN; cells as usize];
        for sample in finite() {
            values[cell_of(sample.at) as usize] = sample.value;
        }
        Ok(History::of_cells(start, step, values))
    }

    /// `finite` samples that stand `months` apart, or multiples of it.
    fn of_months<'a>(
        finite: impl Iterator<Item = &'a Sample> + Clone,
        calendar: Calendar,
        months: u32,
    ) -> Option<History> {
        let first = finite.clone().next()?.at;
        let cell_of = |at| {
            let cell = (calendar.month_of(at)? - calendar.month_of(first)?) / i64::from(months);
            usize::try_from(cell).ok()
        };
        let mut values = Vec::new();
        for sample in finite {
            values.resize(cell_of(sample.at)?, f64::NAN);
            values.push(sample.value);
        }
        Some(History::of_cells(first, Calendar::step(months)?, values).on(Some(calendar)))
    }

    /// When the first cell stands.
    pub fn start(&self) -> Millis {
        self.start
    }

    /// When the cell after the last would stand: the first instant a forecast is about.
    pub fn end(&self) -> Millis {
        self.at(self.values.len())
    }

    /// The spacing.
    pub fn step(&self) -> Step {
        self.step
    }

    /// The days of months at which the cells stand, if they do.
    pub fn calendar(&self) -> Option<Calendar> {
        self.calendar
    }

    /// The cells; NaN marks a gap.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// How many cells there are, gaps among them.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no cell.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many cells are gaps.
    pub fn n_gaps(&self) -> usize {
        self.n_gaps
    }

    /// When cell `idx` stands; it may lie past the end.
    pub fn at(&self, idx: usize) -> Millis {
        let even = self.start.saturating_add(self.step.millis().saturating_mul(idx as Millis));
        self.calendar.map_or(even, |calendar| calendar.next_to(even))
    }

    /// Cells `from..to` as a history of their own, as many of them as there are.
    pub fn slice(&self, from: usize, to: usize) -> History {
        let to = to.min(self.len());
        let from = from.min(to);
        History::of_cells(self.at(from), self.step, self.values[from..to].to_vec()).on(self.calendar)
    }

    /// The last `n` cells, or all when there are fewer.
    pub fn tail(&self, n: usize) -> History {
        self.slice(self.len().saturating_sub(n), self.len())
    }

    /// The cells with gaps filled, see [`filled`].
    pub fn filled(&self) -> Vec<f64> {
        filled(&self.values)
    }

    /// The cells as samples, gaps left out.
    pub fn samples(&self) -> impl Iterator<Item = Sample> + '_ {
        let present = self.values.iter().enumerate().filter(|(_, value)| !value.is_nan());
        present.map(|(idx, &value)| Sample { at: self.at(idx), value })
    }
}

/// `values` with gaps filled: straight lines between neighbours, the nearest value at the ends.
///
/// For methods that cannot skip a gap. Empty when every value is a gap.
pub fn filled(values: &[f64]) -> Vec<f64> {
    let present: Vec<usize> = (0..values.len()).filter(|&idx| !values[idx].is_nan()).collect();
    let (Some(&first), Some(&last)) = (present.first(), present.last()) else {
        return Vec::new();
    };
    let mut filled = values.to_vec();
    filled[..first].fill(values[first]);
    filled[last + 1..].fill(values[last]);
    for pair in present.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let (a, b) = (values[from], values[to]);
        for (idx, cell) in filled[from..to].iter_mut().enumerate().skip(1) {
            let share = idx as f64 / (to - from) as f64;
            // Weighted ends rather than a + share * (b - a), whose difference can overflow.
            *cell = a * (1.0 - share) + b * share;
        }
    }
    filled
}

/// Sorts by time and keeps, of several samples with one timestamp, the one written last.
pub fn resolve(samples: &[Sample]) -> Vec<Sample> {
    let mut sorted = samples.to_vec();
    // Stable, so that arrival order decides between equals.
    sorted.sort_by_key(|sample| sample.at);
    sorted.dedup_by(|later, kept| {
        let same = later.at == kept.at;
        if same {
            *kept = *later;
        }
        same
    });
    sorted
}

/// Turns a counter's samples into per-second rates, one at a time, so that live watching and replay agree.
///
/// A fall is a reset: the counter restarted at zero, so the new value is the increase, as Prometheus' `rate` has it.
/// Neither a stale marker nor another value that is not finite is bridged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    before: Option<Sample>,
}

impl Rates {
    /// The rate since the sample before, at the time of this one; `None` for the first, after a value that is not
    /// finite, and for a timestamp not after the last, which is ignored.
    pub fn next(&mut self, sample: Sample) -> Option<Sample> {
        if !sample.value.is_finite() {
            self.before = None;
            return None;
        }
        let Some(before) = self.before else {
            self.before = Some(sample);
            return None;
        };
        if sample.at <= before.at {
            return None;
        }
        self.before = Some(sample);
        let increase = if sample.value < before.value { sample.value } else { sample.value - before.value };
        let seconds = sample.at.saturating_sub(before.at) as f64 / 1e3;
        Some(Sample { at: sample.at, value: increase / seconds })
    }
}

/// A counter's resolved samples as per-second rates; see [`Rates`].
pub fn rates(resolved: &[Sample]) -> Vec<Sample> {
    let mut rates = Rates::default();
    resolved.iter().filter_map(|&sample| rates.next(sample)).collect()
}

/// The usual distance between resolved samples, or `None` below two timestamps.
///
/// The median distance, so that up to half the distances may be gaps; then the mean of the distances within a
/// tenth of it, so that jitter averages out; then rounded to a whole second, or to a tenth below ten seconds,
/// when that is within 2 %. A median of whole days is the step: clocks are put forward and back.
pub fn detect_step(resolved: &[Sample]) -> Option<Step> {
    let mut distances: Vec<Millis> = resolved
        .windows(2)
        .map(|pair| pair[1].at.saturating_sub(pair[0].at))
        .filter(|distance| *distance > 0)
        .collect();
    if distances.is_empty() {
        return None;
    }
    distances.sort_unstable();
    let usual = distances[(distances.len() - 1) / 2];
    // A day of 23 or 25 hours now and then is what clocks do, and no jitter.
    if let Some(days) = Step::new(usual).filter(|step| step.is_of_days()) {
        return Some(days);
    }
    let tolerance = usual.unsigned_abs() / 10;
    let near: Vec<Millis> = distances.into_iter().filter(|distance| distance.abs_diff(usual) <= tolerance).collect();
    // Wide, because a sum of distances can pass 64 bits when a timestamp is absurd.
    let mean = near.iter().map(|&distance| i128::from(distance)).sum::<i128>() / near.len() as i128;
    let unit = if mean < 10_000 { 100 } else { 1_000 };
    let rounded = (mean + unit / 2) / unit * unit;
    let is_close = rounded > 0 && (rounded - mean).abs() * 50 <= mean;
    Step::new(Millis::try_from(if is_close { rounded } else { mean }).unwrap_or(usual))
}

/// Distances of one kind in a row, the newest, that tell that samples come less often for good.
const SETTLED: usize = 100;

/// The distance at which samples have come of late, where it is longer than [`detect_step`] finds over all of them: they
/// came more often once, and will not again. `None` where nothing has changed, or too lately to tell.
///
/// A grid of the old step would be mostly gaps from then on. Where samples come more often than before, the old step
/// stays until most of them do: a finer grid would have gaps before.
pub fn longer_step(resolved: &[Sample]) -> Option<Step> {
    let usual = detect_step(resolved)?;
    let newest = detect_step(&resolved[resolved.len().saturating_sub(SETTLED + 1)..])?;
    // Below that it is a gap here and there, or jitter.
    if newest.millis() < usual.millis().saturating_mul(3) / 2 {
        return None;
    }
    let is_short = |pair: &[Sample]| pair[1].at.saturating_sub(pair[0].at) < newest.millis() / 10 * 9;
    let n_long = resolved.windows(2).rev().take_while(|pair| !is_short(pair)).count();
    (n_long >= SETTLED).then_some(newest)
}

#[cfg(test)]
mod tests;
