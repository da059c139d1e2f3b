//! Noise that became wider of late, or narrower.
//!
//! In: the errors of a replay, and their usual sizes. Out: an [`Unrest`], where the latest errors are of another size
//! than ever before in that replay; and those before it as they would be now.
//!
//! A scale has two states, the usual one and another, and it is the usual one unless the latest cells say otherwise
//! more clearly than any did before: series whose bursts come and go have had them. What a cell says is told twice, by
//! the size of its errors and by how far they are from those of the cell before. A level that is new, or a span astray,
//! makes errors larger for long but changes them rarely; a series that walks makes them change no more than it did;
//! noise does both. Medians stand for the cells of a stretch, so that a spike does not.

use super::backtest::{Replay, mean};
use super::growth::Growth;

/// Cells that tell of noise, at the least.
const LEAST_CELLS: usize = 12;

/// So many times as many must be known before them.
const BEFORE: usize = 5;

/// How many times the largest before the median must be, or the smallest how many times it.
const UNSEEN: f64 = 1.5;

/// By how much errors are scaled at most, either way.
const MOST_TIMES: f64 = 4.0;

/// Noise of another size than it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unrest {
    /// The first cell of it.
    began: usize,
    /// How many times as large errors are from there on.
    times: f64,
}

impl Unrest {
    /// That of the latest of `n_cells` cells, by the errors of `replay` beside what they usually are.
    pub fn of(replay: &Replay, growth: &Growth, n_cells: usize) -> Option<Unrest> {
        let sizes = by_cell(replay, n_cells, |origin, row, lead| row[lead].abs() / growth.at(origin, lead));
        // How much errors change does not grow with the lead, but may differ over the cycle.
        let changes = by_cell(replay, n_cells, |origin, row, lead| {
            let before = if lead == 0 { f64::NAN } else { row[lead - 1] };
            (row[lead] - before).abs() * growth.size(lead) / growth.at(origin, lead)
        });
        let is_known = |cell: &usize| sizes[*cell].is_finite() && changes[*cell].is_finite();
        let known: Vec<usize> = (0..n_cells).filter(is_known).collect();
        let both = [sizes, changes].map(|of| known.iter().map(|cell| of[*cell]).collect::<Vec<f64>>());
        let lengths = std::iter::successors(Some(LEAST_CELLS), |length| Some(length + length / 3));
        let tried = lengths.take_while(|length| length * (BEFORE + 1) <= known.len()).filter_map(|length| {
            let [sizes, changes] = both.each_ref().map(|values| Told::of(values, length));
            let (clear, times) = sizes.and(&changes)?;
            Some((clear, Unrest { began: known[known.len() - length], times }))
        });
        tried.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, unrest)| unrest)
    }

    /// Makes the errors of `replay` from before it as large as they would be now.
    pub fn everywhere(&self, replay: &mut Replay) {
        for (&origin, row) in replay.origins.iter().zip(&mut replay.errors) {
            let before = self.began.saturating_sub(origin).min(row.len());
            row[..before].iter_mut().for_each(|error| *error = (*error * self.times).clamp(-f64::MAX, f64::MAX));
        }
    }
}

/// What the last values say beside those before.
struct Told {
    /// How many times as large they are in the median, and in the mean.
    times: [f64; 2],
    /// How many times the largest median of as many before, and how many times that is smaller than the smallest.
    wider: f64,
    narrower: f64,
}

impl Told {
    fn of(values: &[f64], length: usize) -> Told {
        let (before, last) = values.split_at(values.len() - length);
        let earlier: Vec<f64> = medians(before, length).collect();
        let now = median(&mut last.to_vec());
        Told {
            times: [now / median(&mut before.to_vec()), mean(last.iter().copied()) / mean(before.iter().copied())],
            wider: now / earlier.iter().copied().fold(0.0, f64::max),
            narrower: earlier.iter().copied().fold(f64::INFINITY, f64::min) / now,
        }
    }

    /// How clearly sizes and `changes` are both larger or smaller, and how many times sizes are, by the nearer of the
    /// two.
    fn and(&self, changes: &Told) -> Option<(f64, f64)> {
        let times = || self.times.into_iter();
        if !times().chain(changes.times).all(|times| times.is_finite() && times > 0.0) {
            return None;
        }
        let (wider, narrower) = (self.wider.min(changes.wider), self.narrower.min(changes.narrower));
        let (clear, times) = if wider > narrower {
            (wider, times().fold(MOST_TIMES, f64::min).max(1.0))
        } else {
            (narrower, times().fold(1.0 / MOST_TIMES, f64::max).min(1.0))
        };
        (clear > UNSEEN).then_some((clear, times))
    }
}

/// The means over the forecasts of each cell, of what each says of its error at a lead; NaN where none does.
fn by_cell(replay: &Replay, n_cells: usize, of: impl Fn(usize, &[f64], usize) -> f64) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); n_cells];
    for (&origin, row) in replay.origins.iter().zip(&replay.errors) {
        for (lead, sum) in sums.iter_mut().skip(origin).take(row.len()).enumerate() {
            let told = of(origin, row, lead);
            if !told.is_nan() {
                *sum = (sum.0 + told, sum.1 + 1.0);
            }
        }
    }
    sums.into_iter().map(|(sum, n)| sum / n).collect()
}

/// The median of `values`, which come out in another order; NaN of none.
fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() { f64::NAN } else { *values.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

/// The medians of stretches of `n` values, a quarter of that apart, the last of them at the end.
fn medians(values: &[f64], n: usize) -> impl Iterator<Item = f64> {
    let last = values.len().saturating_sub(n);
    (0..=last).rev().step_by((n / 4).max(1)).map(move |from| median(&mut values[from..from + n].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::model::{Coverage, Horizon};
    use crate::forecast::past::Past;
    use crate::forecast::tests::Noise;
    use crate::forecast::{Request, prepare};
    use crate::series::Step;

    const N: usize = 1_008;
    const AHEAD: usize = 72;

    /// What is found where cells err by normal noise, made by the hours from now something else.
    fn found(made: impl Fn(usize, f64) -> f64) -> Option<Unrest> {
        let mut noise = Noise::seeded(5);
        let errors: Vec<f64> = (0..N).map(|cell| made(N - cell, noise.normal())).collect();
        let origins: Vec<usize> = (504..=N - AHEAD).step_by(8).collect();
        let rows = origins.iter().map(|&origin| errors[origin..origin + AHEAD].to_vec()).collect();
        let replay = Replay { origins, errors: rows, takes_values: true };
        Unrest::of(&replay, &Growth::of(&replay.origins, &replay.errors, Some(24)), N)
    }

    #[test]
    fn noise_of_another_size_is_found_where_it_began() {
        for times in [3.0, 1.0 / 3.0] {
            let unrest = found(|ago, error| if ago <= 48 { times * error } else { error }).unwrap();
            let off = (unrest.times / times).ln().abs();
            assert!((N - 60..N - 36).contains(&unrest.began) && off < 0.5, "{times}: {unrest:?}");
        }
        let far = found(|ago, error| if ago <= 48 { 1e3 * error } else { error }).unwrap();
        assert_eq!(far.times, MOST_TIMES);
    }

    #[test]
    fn levels_spikes_walks_and_what_has_been_before_are_no_noise() {
        assert_eq!(found(|_, error| error), None);
        for hours in [3, 8, 16, 30, 60] {
            assert_eq!(found(|ago, error| if ago <= hours { error + 30.0 } else { error }), None, "{hours}");
        }
        assert_eq!(found(|ago, error| if (17..20).contains(&ago) { 30.0 } else { error }), None);
        assert_eq!(found(|ago, error| if ago <= 40 { error + (40 - ago) as f64 } else { error }), None);
        assert_eq!(found(|ago, error| if ago % 200 <= 48 { 3.0 * error } else { error }), None);
        assert_eq!(found(|ago, error| if ago <= 8 { 3.0 * error } else { error }), None);
    }

    #[test]
    fn what_tells_nothing_is_no_noise() {
        for value in [0.0, f64::NAN, f64::MAX] {
            assert_eq!(found(|_, _| value), None, "{value}");
        }
        assert_eq!(found(|ago, error| if ago <= 48 { error } else { 0.0 }), None);
        assert_eq!(Unrest::of(&Replay::default(), &Growth::default(), 0), None);
    }

    #[test]
    fn bands_hold_noise_three_times_as_wide_after_two_days() {
        let horizon = Horizon::new(AHEAD).unwrap();
        let held = |seed: u64| {
            let mut noise = Noise::seeded(seed);
            let usual = |t: usize| 100.0 + 20.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin();
            let size = |t: usize| if t >= N - 48 { 9.0 } else { 3.0 };
            let values: Vec<f64> = (0..N + AHEAD).map(|t| usual(t) + size(t) * noise.normal()).collect();
            let past = Past::new(0, Step::seconds(3_600), &values[..N]);
            let prepared = prepare(past, &Request { horizon, ..Request::default() }).unwrap();
            let band = prepared.forecast(horizon, Coverage::new(0.8).unwrap()).band.unwrap();
            let edges = band.lower.iter().zip(&band.upper);
            values[N..].iter().zip(edges).filter(|(value, (lower, upper))| (*lower..=*upper).contains(value)).count()
        };
        let shares: Vec<f64> = (1..=4).map(|seed| held(seed) as f64 / AHEAD as f64).collect();
        assert!((0.6..0.95).contains(&mean(shares.iter().copied())), "{shares:?}");
    }
}
