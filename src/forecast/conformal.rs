//! Bands from the errors a method made out of sample: split conformal prediction, per lead.
//!
//! In: the errors of a replay, one row per origin, one column per lead.
//! Out: a half-width per lead for any coverage, or the reason why the coverage cannot be promised. Never a guess: a
//! width is always the size of an error that was made. Widths do not shrink with the lead, and a larger coverage
//! never gives a narrower band.
//!
//! With n errors at a lead, the half-width is the k-th smallest of their sizes, k = ceil((n + 1) * coverage): then a
//! further error of the same kind is inside with at least that probability (Vovk, Gammerman and Shafer,
//! "Algorithmic Learning in a Random World", 2005; Lei et al., "Distribution-free predictive inference for
//! regression", 2018). With fewer origins than that takes, errors of all leads are pooled after division by the mean
//! size at their lead, and k is taken at the number of values they are worth, as leads of one origin err together.

use super::backtest::Replay;
use super::model::Coverage;

/// Sorted sizes of errors, by lead and pooled.
#[derive(Clone, Debug, Default)]
pub(super) struct Conformal {
    by_lead: Vec<Vec<f64>>,
    /// Mean size of the errors per lead, made non-decreasing.
    growth: Vec<f64>,
    /// Sizes over `growth`, all leads together.
    pooled: Vec<f64>,
    /// Cells that were forecast out of sample, each counted once.
    n_cells: usize,
    /// How many steps it takes until errors forget each other.
    memory: f64,
    /// For each origin whose band can be made from origins that do not overlap it: how many sizes those have, and
    /// where the origin's own sizes stand among them, as shares, sorted.
    held_out: Vec<(usize, Vec<f64>)>,
}

/// The rank of the conformal quantile among `n` sizes.
fn rank(n: f64, coverage: Coverage) -> f64 {
    // Off by a hair for what is a whole number but for rounding: 0.95 of 20 is 19.
    ((n + 1.0) * coverage.share() - 1e-9).ceil()
}

/// The least n for which a band at `coverage` is finite.
fn least_needed(coverage: Coverage) -> usize {
    (coverage.share() / (1.0 - coverage.share()) - 1e-9).ceil() as usize
}

impl Conformal {
    pub fn new(replay: &Replay) -> Conformal {
        let n_leads = replay.errors.iter().map(Vec::len).max().unwrap_or(0);
        let mut by_lead = vec![Vec::new(); n_leads];
        for row in &replay.errors {
            for (sizes, error) in by_lead.iter_mut().zip(row) {
                if !error.is_nan() {
                    sizes.push(error.abs());
                }
            }
        }
        let means: Vec<f64> =
            by_lead.iter().map(|sizes| sizes.iter().map(|size| size / sizes.len() as f64).sum()).collect();
        for sizes in &mut by_lead {
            sizes.sort_unstable_by(f64::total_cmp);
        }
        let growth = isotonic(&means);
        let share = |lead: usize, error: f64| if growth[lead] > 0.0 { error.abs() / growth[lead] } else { 0.0 };
        let rows: Vec<Vec<f64>> = replay
            .errors
            .iter()
            .map(|row| {
                let mut shares: Vec<f64> =
                    row.iter().enumerate().filter(|(_, e)| !e.is_nan()).map(|(lead, &e)| share(lead, e)).collect();
                shares.sort_unstable_by(f64::total_cmp);
                shares
            })
            .collect();
        let mut pooled: Vec<f64> = rows.iter().flatten().copied().collect();
        pooled.sort_unstable_by(f64::total_cmp);
        let held_out = held_out(&replay.origins, &rows, n_leads);
        let memory = memory_of(&replay.errors, &growth);
        Conformal { by_lead, growth, pooled, n_cells: replay.n_cells(), memory, held_out }
    }

    /// How many leads were calibrated.
    pub fn n_leads(&self) -> usize {
        self.by_lead.len()
    }

    /// Half the band's width at each of the first `n_leads` leads, or why the coverage cannot be promised.
    pub fn half_widths(&self, coverage: Coverage, n_leads: usize) -> Result<Vec<f64>, String> {
        if n_leads == 0 {
            return Ok(Vec::new());
        }
        let percent = coverage.share() * 100.0;
        if self.pooled.is_empty() {
            return Err("the history is too short to replay a forecast, and a band comes from replayed errors".into());
        }
        if n_leads > self.n_leads() {
            return Err(format!(
                "errors are known up to {} steps ahead, not {n_leads}; a longer history or calibration horizon gives more",
                self.n_leads()
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
        let fewest = self.by_lead.iter().map(Vec::len).min().unwrap_or(0);
        let widths: Vec<f64> = if fewest >= needed {
            self.by_lead
                .iter()
                .enumerate()
                .map(|(idx, sizes)| {
                    // Overlapping forecasts err together: at most so many of a lead's errors are independent.
                    let worth = (self.n_cells as f64 / self.memory.min(idx as f64 + 1.0)).min(sizes.len() as f64);
                    quantile(sizes, worth, coverage)
                })
                .collect()
        } else {
            let worth = (self.n_cells as f64 / self.memory).max(1.0);
            let most = quantile(&self.pooled, worth, coverage);
            // Not below the largest error of a lead, which is what its own quantile comes to at less coverage: so a
            // larger coverage stays the wider one when the two come from different quantiles.
            let largest = |lead: usize| self.by_lead[lead].last().copied().unwrap_or(0.0);
            self.growth.iter().enumerate().map(|(lead, growth)| largest(lead).max(growth * most)).collect()
        };
        let mut widths = isotonic(&widths);
        widths.truncate(n_leads);
        Ok(widths)
    }

    /// The share of replayed values inside a band made without them or their neighbours.
    pub fn coverage(&self, coverage: Coverage) -> Option<f64> {
        let needed = least_needed(coverage);
        let (mut inside, mut all) = (0, 0);
        for (_, shares) in self.held_out.iter().filter(|(n, _)| *n >= needed) {
            inside += shares.partition_point(|share| *share < coverage.share());
            all += shares.len();
        }
        (all > 0).then(|| inside as f64 / all as f64)
    }
}

/// The conformal quantile of sorted `sizes` that are worth `worth` independent ones; the largest when it lies beyond.
fn quantile(sizes: &[f64], worth: f64, coverage: Coverage) -> f64 {
    let level = (rank(worth, coverage) / worth).min(1.0);
    let idx = ((level * sizes.len() as f64 - 1e-9).ceil() as usize).clamp(1, sizes.len());
    sizes[idx - 1]
}

fn held_out(origins: &[usize], rows: &[Vec<f64>], n_leads: usize) -> Vec<(usize, Vec<f64>)> {
    (0..rows.len())
        .map(|left| {
            let others: Vec<&Vec<f64>> = (0..rows.len())
                .filter(|&other| origins[other].abs_diff(origins[left]) >= n_leads)
                .map(|other| &rows[other])
                .collect();
            let n: usize = others.iter().map(|row| row.len()).sum();
            let mut shares: Vec<f64> = rows[left]
                .iter()
                .map(|size| {
                    let below: usize = others.iter().map(|row| row.partition_point(|other| other < size)).sum();
                    below as f64 / (n as f64 + 1.0)
                })
                .collect();
            shares.sort_unstable_by(f64::total_cmp);
            (n, shares)
        })
        .collect()
}

/// 1 + 2 * the sum of the leading positive autocorrelations of the errors along the leads.
fn memory_of(rows: &[Vec<f64>], growth: &[f64]) -> f64 {
    let n_leads = growth.len();
    let unit = |row: &Vec<f64>, lead: usize| -> f64 {
        let size = if growth[lead] > 0.0 { growth[lead] } else { 1.0 };
        row.get(lead).map_or(f64::NAN, |error| error / size)
    };
    let mean_product = |lag: usize| -> f64 {
        let (mut sum, mut n) = (0.0, 0);
        for row in rows {
            for lead in lag..n_leads {
                let product = unit(row, lead) * unit(row, lead - lag);
                if !product.is_nan() {
                    sum += product;
                    n += 1;
                }
            }
        }
        if n == 0 { 0.0 } else { sum / f64::from(n) }
    };
    let power = mean_product(0);
    let mut memory = 1.0;
    if power > 0.0 {
        for lag in 1..n_leads.min(64) {
            let correlation = mean_product(lag) / power;
            if correlation <= 0.05 {
                break;
            }
            memory += 2.0 * correlation;
        }
    }
    memory.min(n_leads.max(1) as f64)
}

/// The closest non-decreasing sequence, by pooling adjacent violators. It keeps the order of two sequences, so that
/// nested bands stay nested.
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

    #[test]
    fn the_half_width_is_the_finite_sample_quantile() {
        let nine = one_lead(&[0.9, 0.3, 1.8, 0.5, 2.9, 0.7, 1.4, 1.1, 2.2]);
        let width = |share| nine.half_widths(Coverage::new(share).unwrap(), 1);
        assert_eq!(width(0.8), Ok(vec![2.2]));
        assert_eq!(width(0.9), Ok(vec![2.9]));
        let reason = width(0.95).unwrap_err();
        assert!(reason.contains("needs 19 values") && reason.contains("gives 9"), "{reason}");
        assert!(nine.half_widths(Coverage::P95, 2).unwrap_err().contains("1 steps ahead, not 2"));
        assert!(one_lead(&[]).half_widths(Coverage::P95, 1).unwrap_err().contains("too short"));
    }

    #[test]
    fn widths_grow_with_the_lead_and_nest_with_the_coverage() {
        let error = |origin: u32, lead: u32| {
            let noise = f64::from((origin * 31 + lead * 17).wrapping_mul(2_654_435_761) >> 16) / 65_536.0 - 0.5;
            noise * f64::from(lead + 1).sqrt()
        };
        for n_origins in [8, 60] {
            let errors = (0..n_origins).map(|origin| (0..24).map(|lead| error(origin, lead)).collect()).collect();
            let replay = Replay { origins: (0..n_origins as usize).map(|nr| 50 + nr * 24).collect(), errors };
            let conformal = Conformal::new(&replay);
            let [narrow, wide] = [0.8, 0.95].map(|c| conformal.half_widths(Coverage::new(c).unwrap(), 24).unwrap());
            assert!(narrow.iter().zip(&wide).all(|(a, b)| a <= b));
            assert!(wide.windows(2).all(|pair| pair[0] <= pair[1]));
            let held = conformal.coverage(Coverage::new(0.8).unwrap()).unwrap();
            assert!((held - 0.8).abs() < 0.08, "{held}");
        }
    }

    #[test]
    fn the_closest_rising_sequence() {
        assert_eq!(isotonic(&[1.0, 3.0, 2.0, 4.0, 2.0, 4.0]), [1.0, 2.5, 2.5, 3.0, 3.0, 4.0]);
        assert_eq!(isotonic(&[]), [] as [f64; 0]);
    }
}
