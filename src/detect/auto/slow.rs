//! What single samples do not show: unrest and drift.

use super::super::contract::widening;

/// Samples that the unrest is averaged over, and the scale of a deviation in it.
const UNREST_WINDOW: usize = 10;
const UNREST_SCALE: f64 = 2.0;
/// Deviations of the average at its edge: a tail of 1 in 100,000.
const UNREST_EDGE: f64 = 4.26;
/// Least mean and deviation of the unrest, below which nothing is to be read into it.
const UNREST_FLOOR: (f64, f64) = (0.03, 0.0173);
/// Averages seen before the unrest counts.
const MIN_UNREST: u32 = 100;

/// Weight of a sample in the lean: half-life 60 samples.
const DRIFT_WEIGHT: f64 = 0.011_49;
/// Deviations of the lean at its edge, more than for the unrest because it comes back only slowly.
const DRIFT_EDGE: f64 = 5.0;
/// Least deviation of the lean: that of white noise.
const DRIFT_FLOOR: f64 = 0.09;
/// A residual leans as at most so many deviations.
const DRIFT_CLIP: f64 = 5.0;
/// Residuals that their deviation is a guess for.
const EARLY: u32 = 30;
/// Samples before the lean counts.
const MIN_DRIFT: u32 = 300;

/// How slowly the edges narrow: those learned from n averages, which have most samples in common, are 1 + 100 / n as
/// wide.
const COLD: f64 = 100.0;

/// A mean and variance over the far past, of a number that is itself an average.
#[derive(Debug, Default)]
pub(super) struct Past {
    n: u32,
    mean: f64,
    variance: f64,
}

impl Past {
    /// Half-life 2,000 samples.
    const WEIGHT: f64 = 3.466e-4;

    /// Learns the number, cut at three deviations.
    pub(super) fn learn(&mut self, number: f64, least_sigma: f64) {
        let reach = if self.n < MIN_UNREST { f64::INFINITY } else { 3.0 * self.variance.sqrt().max(least_sigma) };
        let weight = Self::WEIGHT.max(1.0 / (f64::from(self.n) + 1.0));
        let off = (number - self.mean).clamp(-reach, reach);
        self.mean += weight * off;
        self.variance = (1.0 - weight) * (self.variance + weight * off * off);
        self.n = self.n.saturating_add(1);
    }
}

/// Whether the last samples together are more unusual than the same number mostly is.
#[derive(Debug, Default)]
pub(super) struct Unrest {
    recent: [f32; UNREST_WINDOW],
    next: u8,
    past: Past,
}

impl Unrest {
    pub(super) fn of(z: f64) -> f32 {
        (1.0 - (-z.abs() / UNREST_SCALE).exp()) as f32
    }

    /// The average with `z` in the place of the oldest.
    pub(super) fn average(&self, z: f64) -> f64 {
        let sum: f32 = self.recent.iter().sum::<f32>() - self.recent[usize::from(self.next)] + Self::of(z);
        f64::from(sum) / UNREST_WINDOW as f64
    }

    pub(super) fn score(&self, z: f64) -> f64 {
        if self.past.n < MIN_UNREST {
            return 0.0;
        }
        let mean = self.past.mean.max(UNREST_FLOOR.0);
        let sigma = self.past.variance.sqrt().max(UNREST_FLOOR.1);
        // One-sided: an unusually quiet time is no anomaly.
        ((self.average(z) - mean) / (sigma * UNREST_EDGE * widening(self.past.n as usize, COLD))).max(0.0)
    }

    pub(super) fn learn(&mut self, z: f64) {
        self.past.learn(self.average(z), UNREST_FLOOR.1);
        self.recent[usize::from(self.next)] = Self::of(z);
        self.next = (self.next + 1) % UNREST_WINDOW as u8;
    }
}

/// Whether residuals have leaned to one side for longer than they mostly do.
#[derive(Debug, Default)]
pub(super) struct Drift {
    /// The residuals, whose deviation here follows so slowly that a leak does not widen it.
    residuals: Past,
    lean: f64,
    past: Past,
}

impl Drift {
    fn with(&self, off: f64, floor: f64) -> f64 {
        let z = off / self.residuals.variance.sqrt().max(floor);
        self.lean + DRIFT_WEIGHT * (z.clamp(-DRIFT_CLIP, DRIFT_CLIP) - self.lean)
    }

    /// How far a residual lets the lean be from what it mostly is; `floor` is the least deviation to reckon with.
    pub(super) fn score(&self, residual: f64, floor: f64) -> f64 {
        if self.past.n < MIN_DRIFT {
            return 0.0;
        }
        let off = self.with(residual, floor) - self.past.mean;
        let reach = DRIFT_EDGE * widening(self.past.n as usize, COLD) * self.past.variance.sqrt().max(DRIFT_FLOOR);
        if off * residual <= 0.0 { 0.0 } else { off.abs() / reach }
    }

    pub(super) fn learn(&mut self, residual: f64, floor: f64) {
        if self.residuals.n >= EARLY {
            self.lean = self.with(residual, floor);
            self.past.learn(self.lean, DRIFT_FLOOR);
        }
        self.residuals.learn(residual, floor);
    }

    /// What the level has taken over, the residuals need no longer lean towards.
    pub(super) fn forgive(&mut self) {
        self.lean = self.past.mean;
    }
}
