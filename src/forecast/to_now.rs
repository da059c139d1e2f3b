//! The errors of the past, as large as they would be now.
//!
//! In: the errors of a replay, and the values it was made on. Out: the same errors, each row times a factor, and each
//! lead times another, where few forecasts tell how large errors are ([`expected`](super::expected)). Where noise is
//! of another size of late than ever before, errors from before that are taken to it first ([`unrest`](super::unrest)).
//!
//! What grows has larger errors than it had, what has become restless too, and what was foretold badly of late will
//! be so again. So the size of the errors made from an origin is taken to go by three things that were known there,
//! each to a power: the level, the size of the changes, and the size of the errors that had come true. Powers are
//! what they usually are ([`USUALLY`]), corrected by how sizes went with these three on this series: one step of a
//! regression of sizes with a logarithmic link, for sizes that scatter in proportion to their mean (McCullagh and
//! Nelder, "Generalized Linear Models", 1989, chapter 8), from the usual powers and shrunk to them (Hoerl and
//! Kennard, "Ridge regression", 1970), as a few forecasts tell little. Errors so scaled are more alike, which is what
//! a band that pools them takes for granted.

use super::backtest::{Replay, mean};
use super::expected;
use super::growth::Growth;
use super::least_squares::Normal;
use super::unrest::Unrest;

/// What the size of errors goes by: level, changes, errors that came true.
const N_MARKS: usize = 3;
const CHANGES: usize = 1;

/// The power to which each usually counts. Half as much again or less of any changes what bands cost by 0.1 %.
const USUALLY: [f64; N_MARKS] = [0.4, 0.2, 0.2];

/// How far a series' own powers usually are from those. A factor of 1.5 either way changes it by 0.05 %.
const SPREAD: f64 = 0.5;

/// How far they may be moved.
const MOST_MOVED: f64 = 1.0;

/// The variance of sizes about what is expected of them, in squares of that, at the least.
const LEAST_SCATTER: f64 = 0.1;

/// Cells that tell of the level and of changes, at the least.
const LEAST_CELLS: usize = 6;

/// The share of the whole past in the size of changes: what did not move of late is not dead.
const SHARE_OF_ALL: f64 = 0.1;

/// By how much an error may be scaled, up or down.
const MOST_RESCALED: f64 = 4.0;

/// What answers err, over what their replays did, whose models were fitted earlier and to less. On nine tables of
/// public series with room for many forecasts, bands of 80 % without it would have had to be 0.81 to 1.10 as wide,
/// 0.94 in the mean.
const OF_ANSWERS: f64 = 0.96;

/// `replay`, made on `values` with a cycle of `season` steps, as if all of it had been forecast from where they end.
pub(super) fn to_now(mut replay: Replay, values: &[f64], season: Option<usize>) -> Replay {
    let mut growth = Growth::of(&replay.origins, &replay.errors, season);
    let unrest = Unrest::of(&replay, &growth, values.len());
    if let Some(unrest) = unrest {
        unrest.everywhere(&mut replay);
        growth = Growth::of(&replay.origins, &replay.errors, season);
    }
    let mut sizes: Vec<Vec<f64>> = Vec::with_capacity(replay.errors.len());
    growth.at_all(&replay.origins, |nr, usual| {
        let size = |(error, usual): (&f64, &f64)| if *usual > 0.0 { error.abs() / usual } else { f64::NAN };
        sizes.push(replay.errors[nr].iter().zip(usual).map(size).collect());
    });
    let marks = Marks::new(values, season, growth.n_leads(), &replay.origins, &sizes);
    let mut now = marks.at(values.len());
    if unrest.is_some() {
        // What they would say of it is said.
        now[CHANGES] = f64::NAN;
    }
    let grown: Vec<[f64; N_MARKS]> = replay.origins.iter().map(|&origin| grown(marks.at(origin), now)).collect();
    let means: Vec<f64> = sizes.iter().map(|row| mean(row.iter().copied())).collect();
    let n_apart = replay.n_apart();
    let powers = powers(&grown, &means, n_apart);
    let expected = expected::factors(&growth, values, season, n_apart);
    for (row, grown) in replay.errors.iter_mut().zip(&grown) {
        let factor = OF_ANSWERS * times(&powers, grown).clamp(1.0 / MOST_RESCALED, MOST_RESCALED);
        let cells = row.iter_mut().zip(&expected);
        cells.for_each(|(error, expected)| *error = (*error * factor * expected).clamp(-f64::MAX, f64::MAX));
    }
    replay
}

/// What is known of a series at a moment.
struct Marks<'a> {
    values: &'a [f64],
    cycle: usize,
    n_leads: usize,
    has_level: bool,
    usual_change: f64,
    origins: &'a [usize],
    // Sums and counts of the sizes of each row's errors before a lead.
    sums: Vec<Vec<(f64, f64)>>,
}

impl<'a> Marks<'a> {
    /// `sizes` are those of the errors of forecasts made at `origins`, in usual sizes; NaN is a gap.
    fn new(
        values: &'a [f64],
        season: Option<usize>,
        n_leads: usize,
        origins: &'a [usize],
        sizes: &[Vec<f64>],
    ) -> Marks<'a> {
        let running = |row: &Vec<f64>| {
            let mut sums = vec![(0.0, 0.0)];
            let (mut sum, mut n) = (0.0, 0.0);
            for size in row {
                if !size.is_nan() {
                    (sum, n) = (sum + size, n + 1.0);
                }
                sums.push((sum, n));
            }
            sums
        };
        Marks {
            values,
            cycle: season.unwrap_or(1).max(LEAST_CELLS),
            n_leads,
            // Of values some of which are negative, the mean is no size.
            has_level: values.iter().all(|value| value.is_nan() || *value >= 0.0),
            usual_change: change(values),
            origins,
            sums: sizes.iter().map(running).collect(),
        }
    }

    /// Of the cells before `end`; NaN or infinite where there is none to tell of.
    fn at(&self, end: usize) -> [f64; N_MARKS] {
        let last = |n: usize| &self.values[end.saturating_sub(n)..end];
        let level = if self.has_level { mean(last(self.cycle).iter().copied()) } else { f64::NAN };
        // One more cell than changes.
        let recent = change(last(self.n_leads.max(LEAST_CELLS) + 1));
        let changes = recent * (1.0 - SHARE_OF_ALL) + self.usual_change * SHARE_OF_ALL;
        [level, changes, self.missed(end)]
    }

    /// The mean size of the errors of the last cells before `end`, as many as a forecast has, that were known by then;
    /// and of one forecast of the usual size, as there may be few.
    fn missed(&self, end: usize) -> f64 {
        let n_leads = self.n_leads.max(1);
        let (mut sum, mut n) = (1.0, 1.0);
        for (origin, sums) in self.origins.iter().zip(&self.sums).filter(|(origin, _)| **origin < end) {
            let known = (end - origin).min(sums.len() - 1);
            let old = (end - origin).saturating_sub(n_leads).min(known);
            sum += (sums[known].0 - sums[old].0) / n_leads as f64;
            n += (sums[known].1 - sums[old].1) / n_leads as f64;
        }
        sum / n
    }
}

/// The mean size of the changes from cell to cell.
fn change(values: &[f64]) -> f64 {
    mean(values.iter().zip(values.iter().skip(1)).map(|(before, value)| (value - before).abs()))
}

/// By how much the logarithm of each mark has grown; 0 where that cannot be said.
fn grown(then: [f64; N_MARKS], now: [f64; N_MARKS]) -> [f64; N_MARKS] {
    std::array::from_fn(|nr| {
        let grown = (now[nr] / then[nr]).ln();
        if grown.is_finite() { grown.clamp(-MOST_RESCALED.ln(), MOST_RESCALED.ln()) } else { 0.0 }
    })
}

/// The factor of growth to the `powers`.
fn times(powers: &[f64; N_MARKS], grown: &[f64; N_MARKS]) -> f64 {
    powers.iter().zip(grown).map(|(power, grown)| power * grown).sum::<f64>().exp()
}

/// The powers by which mean `sizes` went with what has `grown` since, as far as `n_apart` forecasts that do not overlap
/// can tell.
fn powers(grown: &[[f64; N_MARKS]], sizes: &[f64], n_apart: f64) -> [f64; N_MARKS] {
    let known = || grown.iter().zip(sizes).filter(|(_, size)| !size.is_nan());
    let n_known = known().count() as f64;
    let expected = mean(known().map(|(grown, size)| size * times(&USUALLY, grown)));
    if !(expected > 0.0 && expected.is_finite()) {
        return USUALLY;
    }
    // By how much less than expected: what had too large errors then has shrunk by more.
    let less = |grown: &[f64; N_MARKS], size: f64| 1.0 - size * times(&USUALLY, grown) / expected;
    let scatter = mean(known().map(|(grown, size)| less(grown, *size).powi(2))).max(LEAST_SCATTER);
    let centre: [f64; N_MARKS] = std::array::from_fn(|nr| mean(known().map(|(grown, _)| grown[nr])));
    let mut regression = Normal::new(N_MARKS);
    for (grown, size) in known() {
        let row: [f64; N_MARKS] = std::array::from_fn(|nr| grown[nr] - centre[nr]);
        regression.add(&row, less(grown, *size), n_apart.min(n_known) / n_known / scatter);
    }
    for nr in 0..N_MARKS {
        let mut row = [0.0; N_MARKS];
        row[nr] = 1.0;
        regression.add(&row, 0.0, SPREAD.powi(-2));
    }
    let Some(found) = regression.solve() else { return USUALLY };
    std::array::from_fn(|nr| USUALLY[nr] + found.coefficients[nr].clamp(-MOST_MOVED, MOST_MOVED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(origins: &[usize], sizes: impl Fn(usize) -> f64) -> Replay {
        let errors = origins.iter().map(|&origin| vec![sizes(origin), f64::NAN, -sizes(origin)]).collect();
        Replay { origins: origins.to_vec(), errors, takes_values: true }
    }

    /// Values that rise and fall by a tenth about a level.
    fn values(n: usize, level: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..n).map(|at| level(at) * if at % 2 == 0 { 0.9 } else { 1.1 }).collect()
    }

    #[test]
    fn errors_of_a_lower_level_are_scaled_up_and_of_now_stay() {
        // Of two levels, a quarter and one; all errors as large, which is too few to tell otherwise.
        let values = values(60, |at| if at < 30 { 25.0 } else { 100.0 });
        let sizes = to_now(replay(&[20, 50], |_| 1.0), &values, None).maes();
        // Beside changes so large, two errors of one are believed to be larger by the root of two.
        assert!((1.2..4.0).contains(&(sizes[0] / sizes[1])), "{sizes:?}");
        assert!((0.8..1.2).contains(&(sizes[1] / 2f64.sqrt())), "{sizes:?}");
        // The changes alone speak for what has negative values.
        let below: Vec<f64> = values.iter().map(|value| value - 1e6).collect();
        let by_changes = to_now(replay(&[20, 50], |_| 1.0), &below, None).maes();
        assert!(by_changes[0] > OF_ANSWERS && by_changes[0] < sizes[0], "{by_changes:?}");
    }

    #[test]
    fn many_forecasts_tell_by_which_power_sizes_go() {
        let level = |at: usize| 50.0 + 40.0 * (at as f64 / 60.0).sin();
        let values = values(1_000, level);
        let origins: Vec<usize> = (0..60).map(|nr| 300 + nr * 11).collect();
        let ratio = |power: f64| {
            let sizes = to_now(replay(&origins, |at| level(at).powf(power)), &values, None).maes();
            let [most, least] = [f64::max, f64::min].map(|of| sizes.iter().copied().reduce(of).unwrap());
            most / least
        };
        // As they were: 9 to the power, and 9 to the usual powers where sizes stay the same.
        assert!(ratio(1.0) < 3.0, "{}", ratio(1.0));
        assert!(ratio(0.0) < 2.5, "{}", ratio(0.0));
    }

    #[test]
    fn what_was_foretold_badly_of_late_is_expected_to_be_so() {
        // To the end of the last forecast.
        let values = values(480, |_| 10.0);
        let origins: Vec<usize> = (0..60).map(|nr| 300 + nr * 3).collect();
        let late = to_now(replay(&origins, |at| if at > 440 { 5.0 } else { 1.0 }), &values, None).maes();
        let early = to_now(replay(&origins, |at| if at < 360 { 5.0 } else { 1.0 }), &values, None).maes();
        assert!(late[30] > 1.5 && early[0] < 5.0 && early[40] < 1.1, "{} {} {}", late[30], early[0], early[40]);
    }

    #[test]
    fn what_tells_nothing_changes_nothing() {
        let still = to_now(replay(&[20, 50], |_| 1.0), &[3.0; 60], None);
        assert_eq!(still.maes(), [OF_ANSWERS; 2]);
        let gaps = to_now(replay(&[20, 50], |_| f64::NAN), &[f64::NAN; 60], None);
        assert!(gaps.errors.iter().flatten().all(|error| error.is_nan()));
        let none = to_now(Replay::default(), &[1.0, 2.0], None);
        assert!(none.errors.is_empty());
        let huge = to_now(replay(&[20, 50], |_| f64::MAX), &values(60, |_| f64::MAX / 4.0), None);
        assert!(huge.errors.iter().flatten().all(|error| error.is_nan() || error.is_finite()));
    }
}
