//! What the errors of one forecast say of a change near its end.
//!
//! In: errors by lead, with the values that came, and by how much the series usually grows. Out: the level, slope or
//! scale that explains the last of them best, those before being off by as much as they were anyway. Where a series
//! grew, the likeliest change of its slope is that it stopped, so that is believed unless another explains errors
//! clearly better: a slope of its own, told by a day or less, goes far astray where it is followed.

use super::{Shift, Turn};
use crate::series::median_of;

/// The share of a forecast's squared errors that a change must explain.
const EXPLAINED: f64 = 0.4;

/// Lengths that are tried.
const MOST_TRIED: usize = 64;

/// What a slope or a scale must leave of the squares that a level leaves.
const CLEARLY: f64 = 0.9;

/// Steps that a slope must have lasted to be told from a level.
const LEAST_FOR_SLOPE: usize = 8;

/// How many mean squares more an end of growth may leave than the best of all that was tried, and still be likely.
const LIKELY: f64 = 12.0;

/// How many times the usual error one counts as at most, so that sums keep the digits of the others.
const MOST_TIMES: f64 = 1e6;

/// As how many errors of zero it counts that forecasts are right on average.
const RIGHT: f64 = 4.0;

/// Sums over the first so many errors of a forecast.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    n: f64,
    error: f64,
    square: f64,
    // Of what changes go with, the lead and what was foretold: itself, its square, its product with the error.
    lead: [f64; 3],
    foretold: [f64; 3],
    n_not_above_zero: usize,
}

/// A change that explains errors: by how much their squares are less for it, and what is left of them.
#[derive(Clone, Copy)]
struct Explained {
    shift: Shift,
    gain: f64,
    left: f64,
}

impl Explained {
    fn is_enough(&self) -> bool {
        self.gain.is_finite() && self.gain >= EXPLAINED * (self.gain + self.left)
    }
}

/// The errors of one forecast, ready to be asked.
pub(super) struct Errors {
    // Of none, of the first, and so on to all.
    sums: Vec<Sum>,
}

impl Errors {
    /// Errors that `row` has by lead, where `values` came; NaN is a gap.
    pub fn of(row: &[f64], values: &[f64]) -> Errors {
        let usual = median_of(row.iter().map(|error| error.abs()).filter(|size| *size > 0.0));
        let most = MOST_TIMES * usual.unwrap_or(0.0);
        let mut sum = Sum::default();
        let mut sums = Vec::with_capacity(row.len() + 1);
        sums.push(sum);
        for (lead, (error, value)) in row.iter().zip(values).enumerate() {
            if !error.is_nan() {
                let foretold = value - error;
                let error = error.clamp(-most, most);
                sum.n += 1.0;
                sum.error += error;
                sum.square += error * error;
                for (sums, with) in [(&mut sum.lead, lead as f64), (&mut sum.foretold, foretold)] {
                    sums.iter_mut().zip([with, with * with, with * error]).for_each(|(sum, more)| *sum += more);
                }
                sum.n_not_above_zero += usize::from(!(*value > 0.0 && foretold > 0.0));
            }
            sums.push(sum);
        }
        Errors { sums }
    }

    fn len(&self) -> usize {
        self.sums.len() - 1
    }

    /// The change that explains the errors at the end best, of a series that usually has this `growth` from step to
    /// step.
    pub fn shift(&self, growth: f64) -> Option<Shift> {
        let tried = lengths(self.len()).flat_map(|length| self.explained(length));
        let best = tried.filter(|one| one.left.is_finite()).min_by(|a, b| a.left.total_cmp(&b.left))?;
        if !best.is_enough() {
            return None;
        }
        let likely = best.left * (1.0 + LIKELY / self.len() as f64);
        let stops = lengths(self.len()).filter(|length| *length >= LEAST_FOR_SLOPE && self.is_known(*length));
        let stops = stops.map(|length| self.with_slope(-growth, length)).filter(|stop| stop.left <= likely);
        let stops: Vec<Explained> = stops.filter(Explained::is_enough).collect();
        let Some(stop) = stops.iter().min_by(|a, b| a.left.total_cmp(&b.left)) else { return Some(best.shift) };
        let longest = stops.iter().map(|stop| stop.shift.length).max().unwrap_or(stop.shift.length);
        Some(Shift { longest, ..stop.shift })
    }

    /// The slope of the `n` errors from the `from`th on, beginning at what those before were; 0 where half are missing.
    pub fn slope(&self, from: usize, n: usize) -> f64 {
        let (with, own) = self.products(Turn::Slope(0.0), from, from + n);
        let is_known = 2.0 * (self.sums[from + n].n - self.sums[from].n) > n as f64;
        if is_known && own > 0.0 { with / own } else { 0.0 }
    }

    /// Whether more than half of the last `length` errors are.
    fn is_known(&self, length: usize) -> bool {
        let all = self.len();
        2.0 * (self.sums[all].n - self.sums[all - length].n) > length as f64
    }

    /// What errors before the `from`th usually were.
    fn usual(&self, from: usize) -> f64 {
        self.sums[from].error / (self.sums[from].n + RIGHT)
    }

    /// Of the errors from the `from`th to the `until`th, less what those before were, the sum of products with what
    /// `change` goes with, and that of its squares.
    fn products(&self, change: Turn, from: usize, until: usize) -> (f64, f64) {
        let (first, last) = (&self.sums[from], &self.sums[until]);
        let off = self.usual(from);
        let (n, error) = (last.n - first.n, last.error - first.error);
        let less = |of: fn(&Sum) -> [f64; 3]| -> [f64; 3] { std::array::from_fn(|nr| of(last)[nr] - of(first)[nr]) };
        match change {
            Turn::Level(_) => (error - off * n, n),
            Turn::Slope(_) => {
                let [leads, squares, with] = less(|sum| sum.lead);
                // Steps are counted from 1.
                let zero = from as f64 - 1.0;
                let steps = leads - zero * n;
                (with - zero * error - off * steps, squares - 2.0 * zero * leads + zero * zero * n)
            }
            Turn::Factor(_) => {
                let [foretold, squares, with] = less(|sum| sum.foretold);
                (with - off * foretold, squares)
            }
        }
    }

    /// The squares of the errors from the `from`th on, or of all, less what those before that were.
    fn squares(&self, from: usize, of: usize) -> f64 {
        let (first, last) = (&self.sums[of], &self.sums[self.len()]);
        let off = self.usual(from);
        last.square - first.square - 2.0 * off * (last.error - first.error) + off * off * (last.n - first.n)
    }

    /// The changes that explain the last `length` errors best.
    fn explained(&self, length: usize) -> impl Iterator<Item = Explained> {
        let from = self.len() - length;
        // The coefficient of a regression through the origin, and what it takes off.
        let found = |change: Turn| {
            let (with, own) = self.products(change, from, self.len());
            if own > 0.0 { (with / own, with * with / own) } else { (0.0, 0.0) }
        };
        let [(level, by_level), (slope, by_slope), (times, by_factor)] =
            [Turn::Level(0.0), Turn::Slope(0.0), Turn::Factor(0.0)].map(found);
        let [all, late] = [0, from].map(|of| self.squares(from, of));
        let is_above_zero = self.sums[self.len()].n_not_above_zero == self.sums[from].n_not_above_zero;
        // What explains no more than a level does is a level.
        let is_clear = |gain: f64| late - gain < CLEARLY * (late - by_level);
        let has_slope = length >= LEAST_FOR_SLOPE && is_clear(by_slope);
        let has_factor = is_above_zero && times > -1.0 && is_clear(by_factor);
        let found = [
            Some((Turn::Level(level), by_level)),
            has_slope.then_some((Turn::Slope(slope), by_slope)),
            has_factor.then_some((Turn::Factor(1.0 + times), by_factor)),
        ];
        let is_known = self.is_known(length);
        let explained = move |(change, gain)| Explained {
            shift: Shift { change, length, longest: length },
            gain,
            left: all - gain,
        };
        found.into_iter().flatten().filter(move |_| is_known).map(explained)
    }

    /// This `slope` over the last `length` steps.
    fn with_slope(&self, slope: f64, length: usize) -> Explained {
        let change = Turn::Slope(slope);
        let from = self.len() - length;
        let (with, own) = self.products(change, from, self.len());
        let gain = slope * (2.0 * with - slope * own);
        Explained { shift: Shift { change, length, longest: length }, gain, left: self.squares(from, 0) - gain }
    }
}

/// Up to [`MOST_TRIED`] lengths of up to `n` steps, spread evenly by their logarithm.
fn lengths(n: usize) -> impl Iterator<Item = usize> {
    let mut last = 0;
    (0..MOST_TRIED.min(n)).map(move |nr| {
        let even = (n as f64).powf((nr + 1) as f64 / MOST_TRIED.min(n) as f64).round() as usize;
        last = even.max(last + 1).min(n);
        last
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::tests::Noise;

    /// Errors of normal noise on what `made` says by the lead, where 100 was foretold.
    fn errors(made: impl Fn(f64) -> f64) -> Errors {
        let mut noise = Noise::seeded(7);
        let row: Vec<f64> = (0..72).map(|lead| made(f64::from(lead)) + noise.normal()).collect();
        let values: Vec<f64> = row.iter().map(|error| 100.0 + error).collect();
        Errors::of(&row, &values)
    }

    fn since(lead: f64, from: f64) -> f64 {
        (lead - from + 1.0).max(0.0)
    }

    #[test]
    fn a_slope_is_told_from_what_errors_were_before() {
        let off = errors(|lead| 6.0 - 0.5 * since(lead, 48.0));
        assert!((off.slope(48, 24) + 0.5).abs() < 0.05, "{}", off.slope(48, 24));
        // Where nothing was before, from zero.
        assert!(
            off.slope(24, 24).abs() < 0.12 && off.slope(0, 24) > 0.25,
            "{} {}",
            off.slope(24, 24),
            off.slope(0, 24)
        );
        let missing = Errors::of(&[f64::NAN; 9], &[1.0; 9]);
        assert_eq!((missing.slope(1, 8), missing.shift(0.5)), (0.0, None));
    }

    #[test]
    fn growth_that_stopped_is_likelier_than_any_slope() {
        let errors = errors(|lead| -0.45 * since(lead, 32.0));
        let stop = errors.shift(0.46).unwrap();
        assert_eq!(stop.change, Turn::Slope(-0.46));
        assert!((36..=44).contains(&stop.length) && stop.longest >= stop.length, "{stop:?}");
        // Of what did not grow, or far less, it is the slope's own.
        for growth in [0.0, 0.1, -0.45] {
            let shift = errors.shift(growth).unwrap();
            assert!(matches!(shift.change, Turn::Slope(by) if (by + 0.45).abs() < 0.05), "{growth}: {shift:?}");
            assert_eq!(shift.longest, shift.length);
        }
    }

    #[test]
    fn levels_and_scales_are_told_from_slopes() {
        let level = errors(|lead| if lead >= 60.0 { 80.0 } else { 0.0 }).shift(0.5).unwrap();
        assert!(matches!(level.change, Turn::Level(by) if (by - 80.0).abs() < 2.0) && level.length == 12, "{level:?}");
        assert_eq!(errors(|_| 0.0).shift(0.5), None);
        // Twice what was foretold, which is a wave.
        let foretold = |lead: i32| 100.0 + 60.0 * (f64::from(lead) / 4.0).sin();
        let row: Vec<f64> = (0..72).map(|lead| if lead >= 40 { foretold(lead) } else { 0.0 }).collect();
        let values: Vec<f64> = (0..72).map(|lead| row[lead as usize] + foretold(lead)).collect();
        let scale = Errors::of(&row, &values).shift(0.0).unwrap();
        assert!(matches!(scale.change, Turn::Factor(by) if (by - 2.0).abs() < 0.01) && scale.length == 32, "{scale:?}");
    }

    #[test]
    fn lengths_go_up_to_the_whole_without_a_repeat() {
        for n in [1, 4, 60, 500] {
            let tried: Vec<usize> = lengths(n).collect();
            assert!(
                tried[0] == 1 && tried.last() == Some(&n) && tried.windows(2).all(|pair| pair[0] < pair[1]),
                "{tried:?}"
            );
        }
    }
}
