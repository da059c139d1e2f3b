//! Bands from the errors a method made out of sample: split conformal prediction, pooled over the leads.
//!
//! In: the errors of a replay, one row per origin, one column per lead.
//! Out: what to add to the points for any coverage, or the reason why the coverage cannot be promised. Never a guess: a
//! width is the size of errors that were made. Widths do not shrink with the lead, and a larger coverage never gives a
//! narrower band.
//!
//! Each error is divided by the mean size at its lead, made non-decreasing by the closest such sequence. Of n errors so
//! divided, the k-th smallest size times the mean size at a lead is half the band's width there, k = ceil((n + 1) *
//! coverage): then a further error of the same kind is inside with at least that probability (Vovk, Gammerman and
//! Shafer, "Algorithmic Learning in a Random World", 2005; Lei et al., "Distribution-free predictive inference for
//! regression", 2018). A cell that was forecast from several origins counts once in n.
//!
//! Errors of forecasts that overlap are no further evidence, however many there are. A band takes
//! [`LEAST_APART`] forecasts that do not: with fewer, on the M3 and M4 series, it held less than it promised.

use std::ops::Range;

use super::backtest::Replay;
use super::model::Coverage;

/// Forecasts that do not overlap, from which on bands kept their promise.
const LEAST_APART: f64 = 4.0;

/// The same for the bands that are made of a part of the errors to see whether they hold the rest.
const LEAST_APART_HELD_OUT: f64 = 2.0;

/// Errors that are sorted at most; of more, every so manieth lead is taken.
const MOST_POOLED: usize = 20_000;

/// Sizes that are kept at most; of more, every so manieth, so that a quantile is off by a twentieth of a percent.
const MOST_KEPT: usize = 2_000;

/// Parts into which the origins are cut, each to be held by a band made of the others.
const N_PARTS: usize = 5;

/// Steps in which coverage is counted.
const N_LEVELS: usize = 1_000;

/// What bands are made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Conformal {
    /// Mean size of the errors per lead, made non-decreasing.
    growth: Vec<f64>,
    /// Sizes over `growth`, all leads together, sorted and thinned.
    sizes: Vec<f64>,
    /// Cells that were forecast out of sample, each counted once.
    n_cells: usize,
    n_origins: usize,
    /// From the first origin to the last, in steps.
    span: usize,
    /// How many errors lie in bands of which coverage at least, held out; empty when that is not known.
    held_out: Vec<u32>,
}

/// The least n for which a band at `coverage` is finite.
fn least_needed(coverage: Coverage) -> usize {
    (coverage.share() / (1.0 - coverage.share()) - 1e-9).ceil() as usize
}

impl Conformal {
    pub fn new(replay: &Replay) -> Conformal {
        let mut held_out = vec![0u32; N_LEVELS + 1];
        for level in held_out_levels(replay).iter().flatten().filter(|level| !level.is_nan()) {
            held_out[(level * N_LEVELS as f64) as usize] += 1;
        }
        if held_out.iter().all(|n| *n == 0) {
            held_out = Vec::new();
        }
        Conformal { held_out, ..Conformal::of(&replay.origins, &replay.errors) }
    }

    /// Without knowing what it would have held.
    fn of(origins: &[usize], rows: &[Vec<f64>]) -> Conformal {
        let n_leads = rows.iter().map(Vec::len).max().unwrap_or(0);
        let means: Vec<f64> = (0..n_leads)
            .map(|lead| super::backtest::mean(rows.iter().map(|row| row.get(lead).map_or(f64::NAN, |e| e.abs()))))
            .map(|mean| if mean.is_nan() { 0.0 } else { mean })
            .collect();
        let growth = isotonic(&means);
        let n_errors = rows.len() * n_leads;
        let every = n_errors.div_ceil(MOST_POOLED).max(1);
        let mut sizes: Vec<f64> = rows
            .iter()
            .flat_map(|row| row.iter().zip(&growth).step_by(every))
            .filter(|(error, _)| !error.is_nan())
            .map(|(error, growth)| share(*error, *growth))
            .collect();
        sizes.sort_unstable_by(f64::total_cmp);
        let every = sizes.len().div_ceil(MOST_KEPT).max(1);
        // The largest of each group, so that a quantile is never too small.
        let sizes = sizes.chunks(every).filter_map(|group| group.last().copied()).collect();
        let span = origins.last().zip(origins.first()).map_or(0, |(last, first)| last - first);
        Conformal {
            growth,
            sizes,
            n_cells: n_cells(origins, rows),
            n_origins: origins.len(),
            span,
            held_out: Vec::new(),
        }
    }

    /// How many leads were calibrated.
    pub fn n_leads(&self) -> usize {
        self.growth.len()
    }

    /// What it holds on the heap.
    pub fn n_bytes(&self) -> usize {
        size_of_val(self.growth.as_slice()) + size_of_val(self.sizes.as_slice()) + size_of_val(self.held_out.as_slice())
    }

    /// How many of the replayed forecasts do not overlap over their first `n_leads` leads.
    fn n_apart(&self, n_leads: usize) -> f64 {
        (1.0 + self.span as f64 / n_leads.max(1) as f64).min(self.n_origins as f64)
    }

    /// What to add to the points for the lower and the upper edge, at each of `leads`, counted from 0; or why the
    /// coverage cannot be promised.
    pub fn offsets(&self, coverage: Coverage, leads: Range<usize>) -> Result<Vec<(f64, f64)>, String> {
        let percent = coverage.share() * 100.0;
        if self.sizes.is_empty() {
            return Err("the history is too short to replay a forecast, and a band comes from replayed errors".into());
        }
        if leads.end > self.n_leads() {
            return Err(format!(
                "errors are known up to {} steps ahead, not {}; a longer history or calibration horizon gives more",
                self.n_leads(),
                leads.end
            ));
        }
        let n_apart = self.n_apart(leads.end);
        if n_apart < LEAST_APART {
            return Err(format!(
                "a band takes the errors of {LEAST_APART} forecasts of {} steps that do not overlap, the history \
                 gives {:.1}; record longer or ask for a shorter horizon",
                leads.end,
                (n_apart * 10.0).floor() / 10.0
            ));
        }
        let needed = least_needed(coverage);
        if self.n_cells < needed {
            return Err(format!(
                "a {percent} % band needs {needed} values forecast out of sample, the history gives {}; record longer \
                 or ask for less coverage",
                self.n_cells
            ));
        }
        let most = self.quantile(coverage.share());
        Ok(self.growth[leads].iter().map(|growth| growth * most).map(|width| (-width, width)).collect())
    }

    /// The conformal quantile of the sizes; the largest when it lies beyond.
    fn quantile(&self, share: f64) -> f64 {
        let (n, worth) = (self.sizes.len() as f64, self.n_cells as f64);
        let level = ((worth + 1.0) * share / worth).min(1.0);
        // Off by a hair for what is a whole number but for rounding: 0.95 of 20 is 19.
        let idx = ((level * n - 1e-9).ceil() as usize).clamp(1, self.sizes.len());
        self.sizes[idx - 1]
    }

    /// The coverage above which the band holds `error` at `lead`; 1 when none does.
    fn level_of(&self, lead: usize, error: f64) -> f64 {
        let size = share(error, self.growth[lead]);
        let below = self.sizes.partition_point(|other| *other < size);
        if below == self.sizes.len() {
            return 1.0;
        }
        let worth = self.n_cells as f64;
        below as f64 / self.sizes.len() as f64 * (worth / (worth + 1.0))
    }

    /// The share of replayed values inside a band made without them or their neighbours.
    pub fn coverage(&self, coverage: Coverage) -> Option<f64> {
        let all: u32 = self.held_out.iter().sum();
        let inside: u32 = self.held_out.iter().take((coverage.share() * N_LEVELS as f64).ceil() as usize).sum();
        (all > 0).then(|| f64::from(inside) / f64::from(all))
    }
}

/// The size of `error` in units of the usual size.
fn share(error: f64, usual: f64) -> f64 {
    match (error.abs(), usual) {
        (size, usual) if usual > 0.0 => size / usual,
        (0.0, _) => 0.0,
        _ => f64::MAX,
    }
}

/// For each error the coverage above which a band made of other, not overlapping origins holds it; NaN where there are
/// too few of those.
pub(super) fn held_out_levels(replay: &Replay) -> Vec<Vec<f64>> {
    let n = replay.origins.len();
    let part_len = n.div_ceil(N_PARTS).max(1);
    let mut levels = Vec::with_capacity(n);
    for (nr, part) in replay.errors.chunks(part_len).enumerate() {
        let part_origins = &replay.origins[nr * part_len..nr * part_len + part.len()];
        let n_leads = part.iter().map(Vec::len).max().unwrap_or(0);
        let is_apart = |origin: usize| part_origins.iter().all(|own| own.abs_diff(origin) >= n_leads);
        let (origins, rows): (Vec<usize>, Vec<Vec<f64>>) = replay
            .origins
            .iter()
            .zip(&replay.errors)
            .filter(|(origin, _)| is_apart(**origin))
            .map(|(origin, row)| (*origin, row.clone()))
            .unzip();
        let rest = Conformal::of(&origins, &rows);
        // The origins on both sides of the part, which is a hole in their span.
        let hole = part_origins.last().zip(part_origins.first()).map_or(0, |(last, first)| last - first + 2 * n_leads);
        let n_apart = 1.0 + rest.span.saturating_sub(hole) as f64 / n_leads.max(1) as f64;
        let is_enough = n_apart.min(rest.n_origins as f64) >= LEAST_APART_HELD_OUT && !rest.sizes.is_empty();
        for row in part {
            levels.push(
                row.iter()
                    .enumerate()
                    .map(
                        |(lead, error)| {
                            if is_enough && !error.is_nan() { rest.level_of(lead, *error) } else { f64::NAN }
                        },
                    )
                    .collect(),
            );
        }
    }
    levels
}

/// How many cells were forecast, each counted once.
fn n_cells(origins: &[usize], rows: &[Vec<f64>]) -> usize {
    let mut counted_to = 0;
    let mut n = 0;
    for (&origin, row) in origins.iter().zip(rows) {
        let from = counted_to.max(origin);
        n += row.iter().skip(from - origin).filter(|error| !error.is_nan()).count();
        counted_to = counted_to.max(origin + row.len());
    }
    n
}

/// The closest non-decreasing sequence, by pooling adjacent violators.
fn isotonic(values: &[f64]) -> Vec<f64> {
    // Runs of (mean, length); a run that undercuts the one before is merged with it.
    let mut runs: Vec<(f64, usize)> = Vec::with_capacity(values.len());
    for &value in values {
        let mut run = (value, 1);
        while let Some(&(mean, n)) = runs.last() {
            if mean <= run.0 {
                break;
            }
            let total = (n + run.1) as f64;
            run = (mean * (n as f64 / total) + run.0 * (run.1 as f64 / total), n + run.1);
            runs.pop();
        }
        runs.push(run);
    }
    runs.into_iter().flat_map(|(mean, n)| std::iter::repeat_n(mean, n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_lead(sizes: &[f64]) -> Conformal {
        let errors = sizes.iter().map(|&size| vec![size]).collect();
        Conformal::new(&Replay { origins: (10..10 + sizes.len()).collect(), errors })
    }

    fn noise(origin: u32, lead: u32) -> f64 {
        f64::from((origin * 31 + lead * 17).wrapping_mul(2_654_435_761) >> 16) / 65_536.0 - 0.5
    }

    #[test]
    fn the_half_width_is_the_finite_sample_quantile() {
        let nine = one_lead(&[0.9, 0.3, 1.8, 0.5, 2.9, 0.7, 1.4, 1.1, 2.2]);
        let offsets = |share, leads| nine.offsets(Coverage::new(share).unwrap(), leads);
        let width = |share| offsets(share, 0..1).unwrap()[0];
        assert!((width(0.8).1 - 2.2).abs() < 1e-12 && (width(0.8).0 + 2.2).abs() < 1e-12);
        assert!((width(0.9).1 - 2.9).abs() < 1e-12);
        let reason = offsets(0.95, 0..1).unwrap_err();
        assert!(reason.contains("needs 19 values") && reason.contains("gives 9"), "{reason}");
        assert!(offsets(0.95, 0..2).unwrap_err().contains("1 steps ahead, not 2"));
        assert!(one_lead(&[]).offsets(Coverage::P95, 0..1).unwrap_err().contains("too short"));
    }

    #[test]
    fn forecasts_that_overlap_are_no_evidence_of_their_own() {
        let errors = |n: u32| (0..n).map(|origin| (0..24).map(|lead| noise(origin, lead)).collect()).collect();
        let bands = |origins: Vec<usize>| {
            let replay = Replay { errors: errors(origins.len() as u32), origins };
            Conformal::new(&replay).offsets(Coverage::P95, 0..24)
        };
        // One forecast of 24 steps has 24 errors, and tells of one moment.
        assert!(bands(vec![8]).unwrap_err().contains("that do not overlap, the history gives 1"), "one origin");
        assert!(bands((8..60).collect()).unwrap_err().contains("gives 3.1"), "52 origins a step apart");
        assert!(bands((0..4).map(|nr| 8 + nr * 24).collect()).is_ok(), "four side by side");
        // Over the first leads they do not overlap.
        let replay = Replay { errors: errors(52), origins: (8..60).collect() };
        assert!(Conformal::new(&replay).offsets(Coverage::P95, 0..17).is_ok());
    }

    #[test]
    fn no_lead_is_cut_below_what_its_errors_ask_for() {
        // Large errors at the first lead and none at the second: a mean of the two widths would hold too little.
        let errors = (0..40).map(|nr| vec![if nr % 2 == 0 { 18.0 } else { -18.0 }, 0.0]).collect();
        let bands = Conformal::new(&Replay { origins: (0..40).map(|nr| 8 + 2 * nr).collect(), errors });
        let offsets = bands.offsets(Coverage::P95, 0..2).unwrap();
        assert!(offsets[0].1 >= 18.0 && offsets[1].1 >= offsets[0].1, "{offsets:?}");
    }

    #[test]
    fn widths_grow_with_the_lead_and_nest_with_the_coverage() {
        for n_origins in [8, 60] {
            let errors = (0..n_origins)
                .map(|origin| (0..24).map(|lead| noise(origin, lead) * f64::from(lead + 1).sqrt()).collect())
                .collect();
            let replay = Replay { origins: (0..n_origins as usize).map(|nr| 50 + nr * 24).collect(), errors };
            let conformal = Conformal::new(&replay);
            let [narrow, wide] = [0.8, 0.95].map(|c| conformal.offsets(Coverage::new(c).unwrap(), 0..24).unwrap());
            assert!(narrow.iter().zip(&wide).all(|(a, b)| b.0 <= a.0 && a.1 <= b.1));
            assert!(wide.windows(2).all(|pair| pair[0].1 <= pair[1].1));
            let held = conformal.coverage(Coverage::new(0.8).unwrap()).unwrap();
            assert!((held - 0.8).abs() < 0.08, "{held}");
        }
    }

    #[test]
    fn what_is_held_out_is_counted_as_the_bands_would_hold_it() {
        let errors: Vec<Vec<f64>> = (0..50).map(|nr| (0..4).map(|lead| noise(nr, lead)).collect()).collect();
        let bands = Conformal::of(&(0..50).map(|nr| nr * 4).collect::<Vec<_>>(), &errors);
        for (nr, lead) in [(0, 0), (7, 2), (31, 3)] {
            let error: f64 = errors[nr][lead];
            for percent in 30..100 {
                let coverage = Coverage::new(f64::from(percent) / 100.0 + 0.001).unwrap();
                let width = bands.offsets(coverage, 0..4).unwrap()[lead].1;
                let is_inside = bands.level_of(lead, error) < coverage.share();
                assert_eq!(is_inside, error.abs() <= width * (1.0 + 1e-12), "{nr} {lead} {percent}");
            }
        }
    }

    #[test]
    fn a_long_horizon_costs_little_to_keep() {
        let n_leads = 5_000;
        let errors = (0..60).map(|nr| (0..n_leads).map(|lead| noise(nr, lead)).collect()).collect();
        let bands = Conformal::new(&Replay { origins: (0..60).map(|nr| 8 + nr * 400).collect(), errors });
        assert!(bands.n_bytes() < 64 << 10, "{}", bands.n_bytes());
        assert!(bands.offsets(Coverage::P95, 0..n_leads as usize).is_ok());
    }

    #[test]
    fn overlapping_forecasts_count_a_cell_once() {
        assert_eq!(n_cells(&[5, 6, 8], &[vec![0.0; 2], vec![f64::NAN, 0.0], vec![0.0; 2]]), 5);
    }

    #[test]
    fn the_closest_rising_sequence() {
        assert_eq!(isotonic(&[1.0, 3.0, 2.0, 4.0, 2.0, 4.0]), [1.0, 2.5, 2.5, 3.0, 3.0, 4.0]);
        assert_eq!(isotonic(&[]), [] as [f64; 0]);
    }
}
