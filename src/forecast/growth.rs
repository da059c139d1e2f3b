//! How the usual size of an error grows with the lead, and over the places of the cycle.
//!
//! In: errors by origin and lead. Out: a size per lead that does not shrink, kept at a few knots however long the
//! horizon, and a factor per stretch of the season, where the replay is long enough to tell them apart. Sizes are those
//! of errors that are not exactly zero. What stands still is foretold to the digit until it moves: how often there is
//! an error at all is another question than how large it is, and has its own answer per lead, which does not shrink
//! either.

use super::compact::Kept;
use super::conformal::n_cells;

/// Leads at which the size is kept; straight lines lie between.
const MOST_KNOTS: usize = 24;

/// Stretches that a cycle is cut into at most.
const MOST_STRETCHES: usize = 48;

/// Forecasts that met a stretch which count as much as the belief that all stretches are alike.
const STRETCH_PRIOR: f64 = 16.0;

/// Steps in which the factors of stretches are kept.
const FACTOR_STEP: f64 = 0.01;

/// How many stretches a cycle of `season` steps is cut into.
pub(super) fn n_stretches(season: usize) -> usize {
    season.min(MOST_STRETCHES)
}

/// The stretch of a cell: its place in the cycle.
pub(super) fn stretch(cell: usize, season: usize) -> usize {
    cell % season * n_stretches(season) / season
}

/// The stretches of cell `from` and those after it.
pub(super) fn stretches_from(from: usize, season: usize) -> impl Iterator<Item = usize> {
    let n = n_stretches(season);
    let mut next = stretch(from, season);
    // Steps of a stretch are counted rather than divided, as there is one for each error.
    let mut over = from % season * n % season;
    std::iter::from_fn(move || {
        let now = next;
        over += n;
        if over >= season {
            over -= season;
            next = if next + 1 == n { 0 } else { next + 1 };
        }
        Some(now)
    })
}

/// The usual size of an error.
#[derive(Clone, Debug, Default)]
pub(super) struct Growth {
    // Leads, ascending from 0, and the size at each as a share of the largest.
    knots: Vec<(u32, f32)>,
    largest: f64,
    n_leads: usize,
    // The share of errors that are not zero at each knot; empty where all are not.
    moved: Box<[f32]>,
    // Factors per stretch, empty when all are alike; the stretch of an origin's cell is its place in the cycle.
    stretches: Kept,
    season: usize,
}

impl Growth {
    /// Of errors `rows[nr][lead]` made at `origins`, of a series with a cycle of `season` steps.
    pub fn of<R: AsRef<[f64]>>(origins: &[usize], rows: &[R], season: Option<usize>) -> Growth {
        let n_leads = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
        let [mut means, mut n_moved, mut n_known] = [(); 3].map(|()| vec![0.0; n_leads]);
        for row in rows {
            for (lead, error) in row.as_ref().iter().enumerate().filter(|(_, error)| !error.is_nan()) {
                n_known[lead] += 1.0;
                if is_moved(*error) {
                    n_moved[lead] += 1.0;
                    means[lead] += error.abs();
                }
            }
        }
        means.iter_mut().zip(&n_moved).filter(|(_, n)| **n > 0.0).for_each(|(sum, n)| *sum /= n);
        // Of few that were right none says that the next one is: as if one more had not been.
        let mut shares: Vec<f64> =
            n_moved.iter().zip(&n_known).map(|(n, all)| ((n + 1.0) / (all + 1.0)).min(1.0)).collect();
        // Fewer cells than leads do not tell one lead from another.
        if n_cells(origins, rows) < n_leads {
            for (values, counts) in [(&mut means, &n_moved), (&mut shares, &n_known)] {
                let all: f64 = counts.iter().sum();
                let level = values.iter().zip(counts).map(|(value, count)| value * (count / all.max(1.0))).sum();
                values.fill(level);
            }
        }
        let sizes = isotonic(&means, &n_moved);
        let largest = sizes.last().copied().unwrap_or(0.0);
        let knots = knots(&sizes, largest);
        let moved = if n_moved == n_known {
            Box::default()
        } else {
            let shares = isotonic(&shares, &n_known);
            knots.iter().map(|(lead, _)| shares[*lead as usize] as f32).collect()
        };
        let mut growth = Growth { knots, largest, n_leads, moved, ..Growth::default() };
        if let Some(season) = season {
            growth.learn_stretches(origins, rows, season);
        }
        growth
    }

    /// The errors of one forecast are large or small together, so each counts once in a stretch, however many of its
    /// cells lie there.
    fn learn_stretches<R: AsRef<[f64]>>(&mut self, origins: &[usize], rows: &[R], season: usize) {
        let n = n_stretches(season);
        let usual = self.sizes();
        // Of all forecasts, and of one.
        let (mut sums, mut counts) = (vec![0.0; n], vec![0.0; n]);
        let (mut own_sums, mut own_counts) = (vec![0.0; n], vec![0.0; n]);
        let (mut sum_of_all, mut n_all) = (0.0, 0.0);
        for (&origin, row) in origins.iter().zip(rows) {
            own_sums.fill(0.0);
            own_counts.fill(0.0);
            for ((error, usual), stretch) in row.as_ref().iter().zip(&usual).zip(stretches_from(origin, season)) {
                if is_moved(*error) && *usual > 0.0 {
                    own_sums[stretch] += error.abs() / usual;
                    own_counts[stretch] += 1.0;
                }
            }
            for stretch in (0..n).filter(|&stretch| own_counts[stretch] > 0.0) {
                sums[stretch] += own_sums[stretch] / own_counts[stretch];
                counts[stretch] += 1.0;
            }
            sum_of_all += own_sums.iter().sum::<f64>();
            n_all += own_counts.iter().sum::<f64>();
        }
        if sum_of_all <= 0.0 {
            return;
        }
        let centre = sum_of_all / n_all;
        let stretches =
            sums.iter().zip(&counts).map(|(sum, count)| (sum / centre + STRETCH_PRIOR) / (count + STRETCH_PRIOR));
        self.stretches = Kept::whole(&stretches.collect::<Vec<f64>>());
        self.stretches.coarsen(FACTOR_STEP);
        self.season = season;
    }

    /// How many leads are known.
    pub fn n_leads(&self) -> usize {
        self.n_leads
    }

    /// The share of errors at `lead`, counted from 0, that are not zero.
    pub fn moved(&self, lead: usize) -> f64 {
        let knot = self.knots.partition_point(|(at, _)| (*at as usize) < lead);
        self.moved.get(knot.min(self.moved.len().saturating_sub(1))).map_or(1.0, |share| f64::from(*share))
    }

    /// The usual size at `lead`, counted from 0, of a forecast made at `origin`.
    pub fn at(&self, origin: usize, lead: usize) -> f64 {
        self.size(lead) * self.factor(origin, lead)
    }

    /// Shows `take` the usual sizes at all leads of each forecast in turn, made at `origins`.
    pub fn at_all(&self, origins: &[usize], mut take: impl FnMut(usize, &[f64])) {
        let sizes = self.sizes();
        let mut row = sizes.clone();
        let n_factors = if self.stretches.is_empty() { 0 } else { n_stretches(self.season) };
        let factors: Vec<f64> = (0..n_factors).map(|stretch| self.stretches.get(stretch)).collect();
        for (nr, &origin) in origins.iter().enumerate() {
            if !factors.is_empty() {
                let usual = row.iter_mut().zip(&sizes).zip(stretches_from(origin, self.season));
                usual.for_each(|((usual, size), stretch)| *usual = size * factors[stretch]);
            }
            take(nr, &row);
        }
    }

    /// What a size counts for at the place of the cycle of a cell that is forecast.
    fn factor(&self, origin: usize, lead: usize) -> f64 {
        if self.stretches.is_empty() {
            return 1.0;
        }
        self.stretches.get(stretch(origin.wrapping_add(lead), self.season))
    }

    /// The leads at which a size is kept.
    pub fn leads(&self) -> impl Iterator<Item = usize> + '_ {
        self.knots.iter().map(|(lead, _)| *lead as usize)
    }

    /// The usual size at `lead`, wherever in the cycle.
    pub fn size(&self, lead: usize) -> f64 {
        let after = self.knots.partition_point(|(at, _)| (*at as usize) < lead);
        let Some(&(at, size)) = self.knots.get(after) else { return self.largest };
        if at as usize == lead || after == 0 {
            return f64::from(size) * self.largest;
        }
        let (from, before) = self.knots[after - 1];
        let share = (lead - from as usize) as f64 / f64::from(at - from);
        (f64::from(before) * (1.0 - share) + f64::from(size) * share) * self.largest
    }

    fn sizes(&self) -> Vec<f64> {
        (0..self.n_leads).map(|lead| self.size(lead)).collect()
    }

    /// What it holds on the heap.
    pub fn n_bytes(&self) -> usize {
        size_of_val(self.knots.as_slice()) + size_of_val(&*self.moved) + self.stretches.n_bytes()
    }
}

/// Every lead of a short horizon; of a long one the first few and then ever fewer, the last among them.
fn knots(sizes: &[f64], largest: f64) -> Vec<(u32, f32)> {
    let n = sizes.len();
    let knot = |lead: usize| (lead as u32, if largest > 0.0 { (sizes[lead] / largest) as f32 } else { 0.0 });
    if n <= MOST_KNOTS {
        return (0..n).map(knot).collect();
    }
    let ratio = (n as f64).powf(1.0 / (MOST_KNOTS - 1) as f64);
    let mut leads: Vec<usize> = (0..MOST_KNOTS).map(|nr| (ratio.powi(nr as i32) as usize).min(n) - 1).collect();
    (leads[0], leads[MOST_KNOTS - 1]) = (0, n - 1);
    leads.dedup();
    // The greatest up to a knot, so that straight lines do not cut a step short by much.
    leads.into_iter().map(knot).collect()
}

/// Whether `error` is known, and is one.
pub(super) fn is_moved(error: f64) -> bool {
    !error.is_nan() && error != 0.0
}

/// The closest non-decreasing sequence, each value counting as often as `counts` says, by pooling adjacent violators.
/// What counts for nothing is what comes before it, or first of all.
pub(super) fn isotonic(values: &[f64], counts: &[f64]) -> Vec<f64> {
    // Runs of (mean, count, length); a run that undercuts the one before is merged with it.
    let mut runs: Vec<(f64, f64, usize)> = Vec::with_capacity(values.len());
    for (&value, &count) in values.iter().zip(counts) {
        let mut run = (value, count, 1);
        while let Some(&(mean, weight, n)) = runs.last() {
            let total = weight + run.1;
            if mean <= run.0 && weight > 0.0 && run.1 > 0.0 {
                break;
            }
            let merged = if total > 0.0 { mean * (weight / total) + run.0 * (run.1 / total) } else { 0.0 };
            run = (merged, total, n + run.2);
            runs.pop();
        }
        runs.push(run);
    }
    runs.into_iter().flat_map(|(mean, _, n)| std::iter::repeat_n(mean, n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_rising_sequence() {
        assert_eq!(isotonic(&[1.0, 3.0, 2.0, 4.0, 2.0, 4.0], &[1.0; 6]), [1.0, 2.5, 2.5, 3.0, 3.0, 4.0]);
        assert_eq!(isotonic(&[0.0, 4.0, 1.0, 0.0, 3.0], &[0.0, 1.0, 2.0, 0.0, 1.0]), [2.0, 2.0, 2.0, 2.0, 3.0]);
        assert_eq!(isotonic(&[], &[]), [] as [f64; 0]);
    }

    #[test]
    fn stretches_one_after_the_other_are_those_of_the_cells() {
        for season in [2, 7, 24, 48, 49, 96, 131, 168, 1_440] {
            for from in [0, 1, season - 1, season, 5 * season + 3, 10_007] {
                let cells = (from..from + 2 * season + 1).map(|cell| stretch(cell, season));
                assert!(stretches_from(from, season).take(2 * season + 1).eq(cells), "{season} {from}");
            }
        }
    }

    #[test]
    fn how_often_and_how_large_are_told_apart() {
        // One in ten errs at the first lead and every second at the last, each time by three.
        let origins: Vec<usize> = (0..200).collect();
        let rows: Vec<Vec<f64>> =
            (0..200).map(|nr| [10, 5, 2].map(|every| if nr % every == 0 { 3.0 } else { 0.0 }).to_vec()).collect();
        let growth = Growth::of(&origins, &rows, None);
        for (lead, share) in [0.1, 0.2, 0.5].into_iter().enumerate() {
            assert!((growth.at(0, lead) - 3.0).abs() < 1e-9, "{lead}: {}", growth.at(0, lead));
            assert!((growth.moved(lead) - share).abs() < 0.01, "{lead}: {}", growth.moved(lead));
        }
        let all = Growth::of(&origins, &vec![vec![1.0, 2.0, 3.0]; 200], None);
        assert!((0..3).all(|lead| all.moved(lead) == 1.0) && all.moved.is_empty());
        // Of eight that were right the ninth need not be.
        let few = Growth::of(&origins[..8], &vec![vec![0.0]; 8], None);
        assert!(few.moved(0) > 0.1, "{}", few.moved(0));
    }

    #[test]
    fn a_long_horizon_is_kept_at_a_few_knots() {
        let rows: Vec<Vec<f64>> = (0..5).map(|_| (0..5_000).map(|lead| f64::from(lead + 1).sqrt()).collect()).collect();
        let growth = Growth::of(&[0, 9, 18, 27, 36], &rows, None);
        assert!(growth.n_bytes() < 512, "{}", growth.n_bytes());
        for lead in [0, 1, 5, 99, 700, 3_000, 4_999] {
            let usual = ((lead + 1) as f64).sqrt();
            assert!((growth.at(0, lead) / usual - 1.0).abs() < 0.05, "{lead}: {}", growth.at(0, lead));
        }
        assert_eq!(Growth::default().at(0, 3), 0.0);
    }

    #[test]
    fn errors_that_differ_over_the_day_have_sizes_that_do() {
        // Twice as large in the second half of each day, wherever the forecast began.
        let size = |cell: usize| if cell % 24 >= 12 { 2.0 } else { 1.0 };
        let origins: Vec<usize> = (0..60).map(|nr| 100 + nr * 31).collect();
        let rows: Vec<Vec<f64>> = origins
            .iter()
            .map(|origin| (0..24).map(|lead| size(origin + lead) * if lead % 2 == 0 { 1.0 } else { -1.0 }).collect())
            .collect();
        let growth = Growth::of(&origins, &rows, Some(24));
        let ratio = growth.at(24 * 90, 18) / growth.at(24 * 90, 6);
        assert!((1.6..=2.0).contains(&ratio), "{ratio}");
        // Of a few forecasts less is believed, though each has several errors at each place.
        let few = Growth::of(&origins[..4], &rows[..4], Some(24));
        let of_few = few.at(24 * 90, 18) / few.at(24 * 90, 6);
        assert!((1.0..1.3).contains(&of_few) && of_few < ratio, "{of_few}");
    }
}
