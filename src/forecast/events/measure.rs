//! How large was a step, and how sure is that? By the values on both sides of it.
//!
//! Of the two sides the one with fewer values is held against the other: against what was right before the step, and
//! against the same hours of days and weeks, and the same places of the seasons, before it. Each way is tried as well
//! at earlier instants, where there was no step: what it finds there is its error, from which it learns what it is off
//! by on average, as on a slope, and how far it scatters. The way that scatters least answers, and so far as it
//! scatters is the step not known. (Trying an estimate where nothing happened is what Abadie, Diamond and Hainmueller,
//! "Synthetic Control Methods for Comparative Case Studies", JASA 105 (2010), call placebos in time.)

use statrs::distribution::{Continuous, ContinuousCDF, Normal, StudentsT};

use super::{Change, Effect, Event, Events};
use crate::forecast::past::Past;
use crate::forecast::season::find_seasons;
use crate::series::{DAY, WEEK, median};

/// Values on each side that are looked at, at least and at most.
const LEAST: usize = 4;
const MOST: usize = 2_000;

/// Time on the shorter side that is looked at where the past has it: what recurs by the week cancels out.
const SPAN: i64 = WEEK;

/// Cycles before the step that say what the same place of a cycle is.
const CYCLES: usize = 5;

/// Instants without a step at which a way is tried, at least to be believed and at most.
const FEWEST_TRIALS: usize = 4;
const MOST_TRIALS: usize = 28;

/// Of so many trials the worst is left out: something may have happened there as well.
const TRIALS_PER_ASTRAY: usize = 10;

/// What is promised without a trial, in standard errors of values that tell nothing of each other.
const UNTRIED: f64 = 3.0;

/// What a step was found to be.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Size {
    by: f64,
    /// How far off that may be with 95 %.
    give_or_take: f64,
    /// The part of what forecasts rest on that lies before the step, from 0 to 1.
    share_before: f64,
}

impl Events {
    /// The same, with steps whose size is to be measured measured on `past`, and what that may be off by.
    ///
    /// With fewer than four values on a side nothing can be measured, and the step changes nothing yet.
    #[must_use]
    pub fn measured(&self, past: &Past<'_>) -> Events {
        let mut known: Vec<Event> = self.events.clone();
        let mut doubt = self.doubt;
        for nr in 0..known.len() {
            let Effect::Step { at, change: Change::Measured } = known[nr].effect else { continue };
            let others: Vec<Event> =
                known.iter().enumerate().filter(|(other, _)| *other != nr).map(|(_, event)| event.clone()).collect();
            if let Some(size) = Events::new(others).step_size(past, at) {
                let change = Change::Add { by: size.by, give_or_take: size.give_or_take };
                known[nr].effect = Effect::Step { at, change };
                // What has been seen since the step is as it is, however large the step was.
                doubt = doubt.hypot(size.give_or_take * size.share_before);
            }
        }
        Events { events: known, doubt }
    }

    /// By how much the level differs on both sides of `at`, other events taken out.
    fn step_size(&self, past: &Past<'_>, at: i64) -> Option<Size> {
        let len = past.step().millis();
        let mut cells = self.quiet(past);
        let turn = (0..past.len()).position(|idx| past.at(idx) >= at).filter(|turn| *turn > 0)?;
        let n_since = past.len() - turn;
        let in_cells = |span: i64| usize::try_from((span + len / 2) / len).ok().filter(|cells| *cells > 1);
        let (day, week) = (in_cells(DAY), in_cells(WEEK));
        let seasons = find_seasons(past.upto(turn));
        let mut cycles: Vec<usize> = day.into_iter().chain(week).collect();
        cycles.extend(seasons.iter().map(|season| season.steps()));
        cycles.sort_unstable();
        cycles.dedup();
        // The side with more values says what is usual, whichever it is: time may as well run backwards.
        let (turn, sign) = if turn < n_since { (n_since, -1.0) } else { (turn, 1.0) };
        if sign < 0.0 {
            cells.reverse();
        }
        let room = cells.len() - turn;
        let n = in_cells(SPAN).filter(|span| *span >= LEAST).map_or(room, |span| span.min(room)).min(MOST);
        let ways = cycles.iter().map(|steps| Way::Cycle { steps: *steps }).chain([Way::Beside]);
        let found: Vec<Found> = ways.filter_map(|way| Found::by(way, &cells, turn, n, day.unwrap_or(1))).collect();
        let smallest =
            |is_asked: fn(&&Found) -> bool| found.iter().filter(is_asked).min_by(|a, b| a.error.total_cmp(&b.error));
        let best = smallest(|found| found.is_tried || found.is_cycle).or_else(|| smallest(|_| true))?;
        // What forecasts rest on: the last week, or the longest cycle where that is more.
        let rested_on = cycles.iter().copied().chain(in_cells(SPAN)).max().unwrap_or(LEAST);
        let share_before = 1.0 - n_since.min(rested_on) as f64 / rested_on as f64;
        Some(Size { by: sign * best.by, give_or_take: best.error, share_before })
    }
}

/// What the values from a step on are held against.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Each against the middle one of those at the same place of the last cycles.
    Cycle {
        /// The cycle's length in cells.
        steps: usize,
    },
    /// All of them against as many right before the step.
    Beside,
}

impl Way {
    /// What the values of `cells` from `turn` on, `n` of them, are above what they are held against, and the standard
    /// error of it as far as they scatter; `None` with too few values.
    fn of(self, cells: &[f64], turn: usize, n: usize) -> Option<(f64, f64)> {
        let (before, after) = (&cells[..turn], &cells[turn..(turn + n).min(cells.len())]);
        match self {
            Way::Cycle { steps } => {
                let usual = |place: usize| {
                    // From the last whole cycle before the step back.
                    let first = (turn + place).checked_sub(steps * (place / steps + 1))?;
                    let known: Vec<f64> = (0..CYCLES)
                        .filter_map(|nr| before.get(first.checked_sub(nr * steps)?))
                        .copied()
                        .filter(|value| !value.is_nan())
                        .collect();
                    median(&known)
                };
                let differences: Vec<f64> =
                    after.iter().enumerate().filter_map(|(place, value)| Some(value - usual(place)?)).collect();
                let differences = present(&differences);
                Some((median(&differences)?, scatter(&differences)?))
            }
            Way::Beside => {
                let (before, after) = (present(&before[turn.saturating_sub(n)..]), present(after));
                let error = scatter(&before)?.hypot(scatter(&after)?);
                // The drift from the first half of a side to its second, which is half a side long, is seen twice
                // between the middles of the sides.
                let drift = |side: &[f64]| Some(median(&side[side.len() / 2..])? - median(&side[..side.len() / 2])?);
                let (first, second) = (drift(&before)?, drift(&after)?);
                let drift = first.abs().min(second.abs()).copysign(first + second);
                Some((median(&after)? - median(&before)? - 2.0 * drift, error))
            }
        }
    }

    /// What it finds in `cells`, in which there is no step, at instants `apart`.
    fn trials(self, cells: &[f64], n: usize, apart: usize) -> Vec<f64> {
        let instants = (n.div_ceil(apart)..).map_while(|nr| cells.len().checked_sub(nr * apart));
        let instants = instants.take_while(|instant| self.is_whole(*instant) && *instant >= LEAST).take(MOST_TRIALS);
        instants.filter_map(|instant| self.of(cells, instant, n)).map(|(found, _)| found).collect()
    }

    /// Whether every place has been seen in `turn` cells.
    fn is_whole(self, turn: usize) -> bool {
        match self {
            Way::Cycle { steps } => turn >= steps,
            Way::Beside => true,
        }
    }
}

/// What a way found.
struct Found {
    by: f64,
    /// How far off that may be with 95 %.
    error: f64,
    /// Whether that is what it was off by where there was no step.
    is_tried: bool,
    /// Whether the same places of a whole cycle are what it goes by.
    is_cycle: bool,
}

impl Found {
    /// Measures the step at `turn`, and tries the same at instants before it: at the same hour of days of `day` cells, or
    /// closer together where there are too few.
    fn by(way: Way, cells: &[f64], turn: usize, n: usize, day: usize) -> Option<Found> {
        let is_cycle = matches!(way, Way::Cycle { steps } if turn >= steps);
        let (by, error) = way.of(cells, turn, n)?;
        let (mut apart, mut trials) = (day, way.trials(&cells[..turn], n, day));
        if trials.len() < FEWEST_TRIALS && n < day {
            (apart, trials) = (n, way.trials(&cells[..turn], n, n));
        }
        if trials.len() < FEWEST_TRIALS {
            return Some(Found { by, error: UNTRIED * error, is_tried: false, is_cycle });
        }
        let usual = median(&trials)?;
        let mut squares: Vec<f64> = trials.iter().map(|trial| (trial - usual).powi(2)).collect();
        squares.sort_by(f64::total_cmp);
        squares.truncate(trials.len() - trials.len() / TRIALS_PER_ASTRAY);
        let n_kept = squares.len() as f64;
        let variance = squares.iter().sum::<f64>() / (n_kept - 1.0) / left_of_variance(n_kept / trials.len() as f64);
        // Trials that share values tell little of their own. The step's error and that of what the way is usually off by:
        let n_free = (trials.len() * apart / n).clamp(2, trials.len()) as f64;
        let deviation = (variance * (1.0 + 1.0 / n_free)).sqrt();
        let quantile = StudentsT::new(0.0, 1.0, n_free - 1.0).ok()?.inverse_cdf(0.975);
        Some(Found { by: by - usual, error: quantile * deviation, is_tried: true, is_cycle })
    }
}

/// What is left of the variance of Gaussian values when only the `share` of them nearest to the middle is kept.
fn left_of_variance(share: f64) -> f64 {
    let normal = Normal::standard();
    let farthest = normal.inverse_cdf(0.5 + share / 2.0);
    if farthest.is_finite() { 1.0 - 2.0 * farthest * normal.pdf(farthest) / share } else { 1.0 }
}

fn present(cells: &[f64]) -> Vec<f64> {
    cells.iter().copied().filter(|value| !value.is_nan()).collect()
}

/// The standard error of the median of `values` if each is an independent one; `None` with too few of them.
fn scatter(values: &[f64]) -> Option<f64> {
    if values.len() < LEAST {
        return None;
    }
    let middle = median(values)?;
    let distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    // The deviation of Gaussian values by their median distance, and the error of a median for that of a mean.
    Some(median(&distances)? * 1.4826 * 1.2533 / (values.len() as f64).sqrt())
}
