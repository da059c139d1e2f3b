//! Random futures of a level, and when each crosses its limit.
//!
//! The drift of a path is drawn from what is known of it (Student's t, stratified, so that a thousand paths do), its
//! steps from what the level did before, in runs of neighbours (block bootstrap: quiet and wild times stay together).
//! A path crosses when level, season and noise together reach the limit.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use crate::series::quantile_sorted;

use super::trend::Trend;

/// Steps from now to the horizon; looked at again more closely when the crossing comes early.
const N_STEPS: usize = 400;
/// Neighbouring shocks that stay together.
const RUN: usize = 5;
/// How the highest value of `n` normal steps falls short of the highest of the motion between them.
/// Source: Broadie, Glasserman and Kou (1997), 0.5826 standard deviations of a step.
const DISCRETE: f64 = 0.5826;
/// Entries in the table that noise is drawn from.
const N_NOISE: usize = 256;

/// Everything a path depends on; times are in blocks after now.
pub(super) struct Future<'a> {
    pub trend: &'a Trend,
    /// The most the season adds between two times.
    pub profile_max: &'a dyn Fn(f64, f64) -> f64,
    /// How far a block's highest cell stands above its level, ascending.
    pub peaks: &'a [f64],
    /// What the level must not reach at a time.
    pub limit: &'a dyn Fn(f64) -> f64,
    /// When that moves.
    pub turns: &'a [f64],
    /// Where the recorded spacing lies, in blocks: nothing is finer than that.
    pub cell: f64,
    pub horizon: f64,
    pub n_paths: usize,
    pub seed: u64,
}

/// The times by which 10, 50 and 90 % of the paths have crossed, and the share that crosses within the horizon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Crossing {
    pub quantiles: [Option<f64>; 3],
    pub probability: f64,
}

impl Future<'_> {
    /// Draws the paths.
    pub fn crossing(&self) -> Crossing {
        let times = self.times(self.horizon);
        let n = times.len();
        let mut quantiles = quantiles_of(&times);
        let probability = times.iter().filter(|time| time.is_finite()).count() as f64 / n as f64;
        let mut horizon = self.horizon;
        // Closer looks, as long as the crossing lies in the first part of the look before.
        for _ in 0..6 {
            let [p10, p50, p90] = quantiles;
            let (closer, n_known) = match (p10, p50, p90) {
                (_, _, Some(p90)) if p90 < 0.4 * horizon => (1.25 * p90, 3),
                (_, Some(p50), _) if p50 < 0.1 * horizon => (1.5 * p50, 2),
                (Some(p10), _, _) if p10 < 0.05 * horizon => (2.0 * p10, 1),
                _ => break,
            };
            if horizon / (N_STEPS as f64) <= self.cell {
                break;
            }
            horizon = closer.max(self.cell * 20.0).min(horizon);
            let near = quantiles_of(&self.times(horizon));
            for idx in 0..n_known {
                quantiles[idx] = near[idx].or(quantiles[idx]);
            }
            if n_known < 3 {
                break;
            }
        }
        // Looks of different closeness may disagree by a step.
        for idx in 1..3 {
            if let (Some(before), Some(this)) = (quantiles[idx - 1], quantiles[idx]) {
                quantiles[idx] = Some(this.max(before));
            }
        }
        Crossing { quantiles, probability }
    }

    /// When each path crosses, ascending; infinite beyond `horizon`.
    fn times(&self, horizon: f64) -> Vec<f64> {
        let trend = self.trend;
        let dt = horizon / N_STEPS as f64;
        let noise = self.noise_table(dt);
        // Between two steps the level may have been higher, as far as the recorded spacing would have shown it.
        let missed = DISCRETE * trend.wander * (dt.sqrt() - self.cell.sqrt()).max(0.0);
        let barrier: Vec<f64> = (0..N_STEPS)
            .map(|step| {
                let (from, to) = (step as f64 * dt, (step + 1) as f64 * dt);
                self.lowest_limit(from, to) - (self.profile_max)(from, to) - missed
            })
            .collect();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let freedom = (trend.n as f64 - 2.0).max(3.0);
        let student = StudentsT::new(0.0, 1.0, freedom).expect("three degrees of freedom at least");
        let normal = Normal::standard();
        let scale = trend.wander * dt.sqrt();
        let n_shocks = trend.shocks.len();
        let mut times: Vec<f64> = (0..self.n_paths)
            .map(|path| {
                let share = (path as f64 + 0.5) / self.n_paths as f64;
                let drift = (trend.slope + trend.slope_error * student.inverse_cdf(share)) * dt;
                let start = if trend.level_error > 0.0 {
                    trend.level + trend.level_error * normal.inverse_cdf(rng.gen_range(1e-6..1.0 - 1e-6))
                } else {
                    trend.level
                };
                let mut level = start;
                let (mut at, mut left) = (0, 0);
                for (step, barrier) in barrier.iter().enumerate() {
                    let before = level;
                    level += drift;
                    if scale > 0.0 {
                        if left == 0 {
                            (at, left) = (rng.gen_range(0..n_shocks), RUN);
                        }
                        level += scale * trend.shocks[at];
                        at = (at + 1) % n_shocks;
                        left -= 1;
                    }
                    let edge = match &noise {
                        Some(table) => barrier - table[rng.gen_range(0..N_NOISE)],
                        None => *barrier,
                    };
                    if level >= edge {
                        let part =
                            if level > before { ((edge - before) / (level - before)).clamp(0.0, 1.0) } else { 0.0 };
                        return (step as f64 + part) * dt;
                    }
                }
                f64::INFINITY
            })
            .collect();
        times.sort_unstable_by(f64::total_cmp);
        times
    }

    /// The lowest that the limit is after `from` and up to `to`.
    fn lowest_limit(&self, from: f64, to: f64) -> f64 {
        let first = self.turns.partition_point(|turn| *turn <= from);
        let turns = self.turns[first..].iter().take_while(|turn| **turn <= to);
        turns.map(|turn| (self.limit)(*turn)).fold((self.limit)(to), f64::min)
    }

    /// What noise adds at most during a step of `dt` blocks, as a table of equally likely values.
    fn noise_table(&self, dt: f64) -> Option<Vec<f64>> {
        let top = self.peaks.last().copied().unwrap_or(0.0);
        if top <= 0.0 && self.trend.noise <= 0.0 {
            return None;
        }
        let normal = Normal::standard();
        let entry = |idx: usize| {
            // The highest of n independent draws is below x with the n-th power of one draw's probability. A hundred
            // is where a usual peak ends and a freak begins.
            let share = ((idx as f64 + 0.5) / N_NOISE as f64).powf(1.0 / dt.clamp(0.01, 100.0));
            let peak = quantile_sorted(self.peaks, share).unwrap_or(0.0);
            peak + self.trend.noise * normal.inverse_cdf(share.clamp(1e-4, 1.0 - 1e-4))
        };
        Some((0..N_NOISE).map(entry).collect())
    }
}

fn quantiles_of(ascending: &[f64]) -> [Option<f64>; 3] {
    let n = ascending.len() as f64;
    [0.1, 0.5, 0.9].map(|share| {
        let rank = ((share * n).ceil() as usize).clamp(1, ascending.len());
        Some(ascending[rank - 1]).filter(|time| time.is_finite())
    })
}
