//! The default: a learned level with its daily or weekly profile, and five questions about every sample.
//!
//! In: samples of any operations metric. Out: the highest of five scores, each 1 where about one sample in 100,000 of
//! an ordinary series would be:
//!
//! - *point*: how far from what is usual now, against an edge learned from the series' own tail;
//! - *jump*: how far from the sample before, for series that move slowly;
//! - *unrest*: are the last ten samples together more unusual than ten mostly are (the anomaly likelihood);
//! - *drift*: have residuals leaned to one side for longer than they mostly do: a leak, a slow shift;
//! - *record*: is it clearly outside everything seen so far.
//!
//! A sample at its expected value scores 0 whatever came before. After a level shift that lasts, the new level is the
//! usual one; should the old one come back soon, it is taken back at once.
//!
//! About 300 bytes, and 5 KiB for the profiles of a day and a week; constant work per sample.
//! Sources: Ahmad, Lavin, Purdy and Agha, "Unsupervised real-time anomaly detection for streaming data" (2017) for the
//! likelihood; Siffer et al. (2017) for the learned edge; the rest is textbook exponential weighting.

use super::baseline::{Baseline, Usual};
use super::contract::{Guarded, Method, flat, tame, widening};
use super::detector::{Detector, Score, Scorer, StartError};
use super::registry::Settings;
use crate::series::{History, Millis};

/// Samples before the first score.
const MIN_SAMPLES: usize = 20;
/// How slowly a young band narrows: an edge learned from n samples is 1 + 30 / n as wide.
const COLD: f64 = 30.0;
/// A deviation below this share of the level, or of the range seen, is rounding.
const LEAST_SHARE_OF_LEVEL: f64 = 1e-5;
const LEAST_SHARE_OF_RANGE: f64 = 1e-3;
/// Jumps tell more than deviations where they are at most this share of them.
const JUMPY: f64 = 0.5;
/// Samples in a row beyond the band on one side after which that is the level.
const ADOPT_AFTER: usize = 40;
/// Samples during which the level before is remembered.
const REMEMBER: usize = 2_000;
/// Samples in a row near the remembered level after which it is back.
const BACK_AFTER: usize = 3;

/// Samples that the unrest is averaged over, and the scale of a deviation in it.
const UNREST_WINDOW: usize = 10;
const UNREST_SCALE: f64 = 2.0;
/// Deviations of the average at its edge: a tail of 1 in 100,000.
const UNREST_EDGE: f64 = 4.26;
/// Least mean and deviation of the unrest, below which nothing is to be read into it.
const UNREST_FLOOR: (f64, f64) = (0.03, 0.0173);
/// Averages seen before the unrest counts.
const MIN_UNREST: usize = 100;

/// Weight of a sample in the lean: half-life 60 samples.
const DRIFT_WEIGHT: f64 = 0.011_49;
/// Deviations of the lean at its edge, more than for the unrest because it comes back only slowly.
const DRIFT_EDGE: f64 = 5.0;
/// Least deviation of the lean: that of white noise.
const DRIFT_FLOOR: f64 = 0.09;
/// Samples before the lean counts.
const MIN_DRIFT: usize = 300;

/// How far outside the range seen a record lies, in ranges, and in deviations.
const RECORD_SHARE: f64 = 0.1;
const RECORD_SIGMAS: f64 = 4.0;
/// Samples before there is a record to break.
const MIN_RECORD: usize = 100;
/// Share of the range that is forgotten per sample: half-life 35,000 samples.
const RANGE_DECAY: f64 = 2e-5;

/// Builds the method.
pub(super) fn build(settings: &Settings) -> Box<dyn Detector> {
    Box::new(Auto { settings: settings.clone() })
}

struct Auto {
    settings: Settings,
}

impl Detector for Auto {
    fn start(&self, warmup: &History) -> Result<Box<dyn Scorer>, StartError> {
        let method = Watch {
            baseline: Baseline::new(&self.settings),
            n: 0,
            before: 0.0,
            has_moved: false,
            quantum: Quantum::default(),
            tail: Tail::default(),
            jump: Jump::default(),
            unrest: Unrest::default(),
            drift: Drift::default(),
            range: (0.0, 0.0),
            run: Run::default(),
            old_level: None,
        };
        Ok(Guarded::start(method, &self.settings.metric, warmup))
    }
}

#[derive(Debug)]
struct Watch {
    baseline: Baseline,
    n: usize,
    before: f64,
    has_moved: bool,
    quantum: Quantum,
    tail: Tail,
    jump: Jump,
    unrest: Unrest,
    drift: Drift,
    range: (f64, f64),
    run: Run,
    /// How far the level before lies from the one now, and for how many samples that is still of interest.
    old_level: Option<(f64, usize)>,
}

impl Method for Watch {
    fn judge(&mut self, at: Millis, value: f64) -> Option<Score> {
        if self.n == 0 {
            (self.before, self.range) = (value, (value, value));
        }
        let is_first_move = !self.has_moved && value != self.before;
        let was_constant = !self.has_moved;
        self.has_moved |= is_first_move;
        let usual = self.baseline.usual(at);
        let floor = self.floor(usual.centre);
        let score = if was_constant {
            let centre = self.before;
            let score =
                Score { value: flat(value, centre), expected: Some(centre), lower: Some(centre), upper: Some(centre) };
            self.learn(at, value, Usual { centre, sigma: 0.0 }, floor, false);
            score
        } else {
            self.score(at, value, usual, floor)
        };
        self.before = value;
        self.n += 1;
        (self.n > MIN_SAMPLES).then_some(score)
    }
}

impl Watch {
    /// The least deviation to reckon with.
    fn floor(&self, centre: f64) -> f64 {
        let range = (self.range.1 - self.range.0) * LEAST_SHARE_OF_RANGE;
        (centre.abs() * LEAST_SHARE_OF_LEVEL).max(range).max(self.quantum.sigma()).max(1e-150)
    }

    fn score(&mut self, at: Millis, value: f64, usual: Usual, floor: f64) -> Score {
        let sigma = usual.sigma.max(floor);
        let off = value - usual.centre;
        let z = off / sigma;
        let cold = widening(self.n, COLD);
        let reach = self.tail.edge() * cold * sigma;
        let point = off.abs() / reach;
        let jump_reach = self.jump.reach(floor) * cold;
        let jump = if self.jump.sigma() <= JUMPY * sigma { self.jump.off(value).abs() / jump_reach } else { 0.0 };
        // What builds up over many samples is told at samples that are off themselves.
        let gate = z.abs().min(1.0);
        let slow = self.unrest.score(z).max(self.drift.score(z));
        let worst = tame(point.max(jump).max(slow * gate).max(self.record(value, z)));
        let score = if jump > 1.0 && point <= 1.0 {
            let reference = self.jump.reference.unwrap_or(value);
            Score {
                value: worst,
                expected: Some(reference),
                lower: Some(reference - jump_reach),
                upper: Some(reference + jump_reach),
            }
        } else {
            let (lower, upper) = (Some(usual.centre - reach), Some(usual.centre + reach));
            Score { value: worst, expected: Some(usual.centre), lower, upper }
        };
        self.tail.learn(z, self.run.n);
        self.unrest.learn(z);
        self.drift.learn(z);
        self.follow_level(off, sigma, point > 1.0);
        self.jump.learn(value, jump > 1.0, floor);
        self.quantum.learn(value - self.before, worst > 1.0);
        self.learn(at, value, usual, floor, self.run.n > 0);
        score
    }

    fn learn(&mut self, at: Millis, value: f64, usual: Usual, floor: f64, hold: bool) {
        if self.baseline.learn(at, value, floor, hold) {
            // Residuals are other numbers from now on; what was learned of the old ones does not hold for them.
            self.tail = Tail::default();
            self.unrest = Unrest::default();
            self.drift = Drift::default();
        }
        let (low, high) = self.range;
        let fade = |edge: f64| edge + (usual.centre - edge) * RANGE_DECAY;
        self.range = (fade(low).min(value), fade(high).max(value));
    }

    /// How clearly the value is outside all that was seen.
    fn record(&self, value: f64, z: f64) -> f64 {
        let (low, high) = self.range;
        let span = high - low;
        let beyond = (low - value).max(value - high);
        if self.n < MIN_RECORD || z.abs() < RECORD_SIGMAS || beyond <= RECORD_SHARE * span {
            return 0.0;
        }
        1.0 + (beyond / span - RECORD_SHARE).min(1.0)
    }

    /// Adopts a level that lasts, and takes back the one before when it returns.
    fn follow_level(&mut self, off: f64, sigma: f64, is_beyond: bool) {
        self.run.step(off, is_beyond);
        self.old_level = self.old_level.filter(|(_, left)| *left > 0).map(|(offset, left)| (offset, left - 1));
        if let Some((offset, _)) = self.old_level
            && self.run.n >= BACK_AFTER
            && (self.run.mean() - offset).abs() < 2.0 * sigma
        {
            self.baseline.shift(offset);
            self.old_level = None;
            self.run = Run::default();
            self.drift.forgive();
        } else if self.run.n >= ADOPT_AFTER {
            let offset = self.run.mean();
            self.baseline.shift(offset);
            self.old_level = Some((-offset, REMEMBER));
            self.run = Run::default();
            self.drift.forgive();
        }
    }
}

/// Samples in a row beyond the band on one side.
#[derive(Debug, Default)]
struct Run {
    n: usize,
    sum: f64,
}

impl Run {
    fn step(&mut self, off: f64, is_beyond: bool) {
        if !is_beyond || (self.n > 0 && off.signum() != self.sum.signum()) {
            *self = Run::default();
        }
        if is_beyond {
            self.n += 1;
            self.sum += off;
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.n.max(1) as f64
    }
}

/// The smallest step that a series keeps taking: what is below it, rounding hides.
#[derive(Debug, Default)]
struct Quantum {
    step: f64,
    n: u32,
}

impl Quantum {
    /// Steps of one size that make it a habit.
    const HABIT: u32 = 6;

    fn sigma(&self) -> f64 {
        if self.n >= Self::HABIT { self.step / 12.0_f64.sqrt() } else { 0.0 }
    }

    fn learn(&mut self, moved: f64, is_odd: bool) {
        let size = moved.abs();
        if size == 0.0 {
            return;
        }
        if self.n == 0 || size < 0.5 * self.step {
            // An odd sample's way there and back is no habit of the series until it happens again and again.
            (self.step, self.n) = (size, 1);
        } else if size < 2.0 * self.step {
            self.step = self.step.min(size);
            self.n = self.n.saturating_add(if is_odd && self.n > Self::HABIT { 0 } else { 1 });
        }
    }
}

/// How far out the series' own tail makes a deviation ordinary.
///
/// The share beyond 2.5 deviations and the mean excess there give, by an exponential tail, where the share is 1 in
/// 100,000.
#[derive(Debug)]
struct Tail {
    share: f64,
    excess: f64,
    n_excesses: f64,
}

impl Default for Tail {
    /// As if ten excesses of Gaussian noise had been seen.
    fn default() -> Self {
        Tail { share: 0.0124, excess: 0.32, n_excesses: 10.0 }
    }
}

impl Tail {
    const START: f64 = 2.5;
    const PROBABILITY: f64 = 1e-5;
    const EDGES: (f64, f64) = (4.2, 12.0);
    /// Half-life 1,000 samples, and about 70 excesses.
    const SHARE_WEIGHT: f64 = 6.93e-4;
    const EXCESS_WEIGHT: f64 = 0.01;

    fn edge(&self) -> f64 {
        let left = (self.share / Self::PROBABILITY).max(1.0).ln();
        (Self::START + self.excess * left).clamp(Self::EDGES.0, Self::EDGES.1)
    }

    fn learn(&mut self, z: f64, run: usize) {
        // A shift is one event, however many samples it lasts.
        if run >= 3 {
            return;
        }
        let size = z.abs().min(self.edge());
        let is_excess = size > Self::START;
        self.share += Self::SHARE_WEIGHT * (f64::from(u8::from(is_excess)) - self.share);
        if is_excess {
            self.n_excesses += 1.0;
            self.excess += (1.0 / self.n_excesses).max(Self::EXCESS_WEIGHT) * (size - Self::START - self.excess);
        }
    }
}

/// Differences between neighbours, for series whose neighbours are alike.
#[derive(Debug, Default)]
struct Jump {
    /// The last value that was no jump itself, so that the way back from a spike is none either.
    reference: Option<f64>,
    n_away: usize,
    variance: f64,
    n: usize,
    tail: Tail,
}

impl Jump {
    const WEIGHT: f64 = 0.003_46;
    const CLIP: f64 = 3.0;
    /// Samples after which a jump's goal is where the series is.
    const ARRIVED: usize = 3;
    /// Differences have heavier tails than values: an edge of its own on top of the learned one.
    const CAUTION: f64 = 1.25;

    fn sigma(&self) -> f64 {
        self.variance.sqrt()
    }

    fn off(&self, value: f64) -> f64 {
        self.reference.map_or(0.0, |reference| value - reference)
    }

    fn reach(&self, floor: f64) -> f64 {
        self.tail.edge() * Self::CAUTION * self.sigma().max(floor)
    }

    fn learn(&mut self, value: f64, is_jump: bool, floor: f64) {
        let off = self.off(value);
        let sigma = self.sigma().max(floor);
        let reach = if self.n < 10 { f64::INFINITY } else { Self::CLIP * sigma };
        let clipped = off.clamp(-reach, reach);
        let weight = Self::WEIGHT.max(1.0 / (self.n + 1) as f64);
        self.variance = (1.0 - weight) * (self.variance + weight * clipped * clipped);
        self.tail.learn(off / sigma, 0);
        self.n += 1;
        self.n_away = if is_jump { self.n_away + 1 } else { 0 };
        if !is_jump || self.n_away >= Self::ARRIVED {
            self.reference = Some(value);
            self.n_away = 0;
        }
    }
}

/// A mean and variance over the far past, of a number that is itself an average.
#[derive(Debug, Default)]
struct Past {
    n: usize,
    mean: f64,
    variance: f64,
}

impl Past {
    /// Half-life 2,000 samples.
    const WEIGHT: f64 = 3.466e-4;

    /// Learns the number, cut at three deviations.
    fn learn(&mut self, number: f64, least_sigma: f64) {
        let reach = if self.n < MIN_UNREST { f64::INFINITY } else { 3.0 * self.variance.sqrt().max(least_sigma) };
        let weight = Self::WEIGHT.max(1.0 / (self.n + 1) as f64);
        let off = (number - self.mean).clamp(-reach, reach);
        self.mean += weight * off;
        self.variance = (1.0 - weight) * (self.variance + weight * off * off);
        self.n += 1;
    }
}

/// Whether the last samples together are more unusual than the same number mostly is.
#[derive(Debug, Default)]
struct Unrest {
    recent: [f32; UNREST_WINDOW],
    next: usize,
    past: Past,
}

impl Unrest {
    fn of(z: f64) -> f32 {
        (1.0 - (-z.abs() / UNREST_SCALE).exp()) as f32
    }

    /// The average with `z` in the place of the oldest.
    fn average(&self, z: f64) -> f64 {
        let sum: f32 = self.recent.iter().sum::<f32>() - self.recent[self.next] + Self::of(z);
        f64::from(sum) / UNREST_WINDOW as f64
    }

    fn score(&self, z: f64) -> f64 {
        if self.past.n < MIN_UNREST {
            return 0.0;
        }
        let mean = self.past.mean.max(UNREST_FLOOR.0);
        let sigma = self.past.variance.sqrt().max(UNREST_FLOOR.1);
        // One-sided: an unusually quiet time is no anomaly.
        ((self.average(z) - mean) / (sigma * UNREST_EDGE)).max(0.0)
    }

    fn learn(&mut self, z: f64) {
        self.past.learn(self.average(z), UNREST_FLOOR.1);
        self.recent[self.next] = Self::of(z);
        self.next = (self.next + 1) % UNREST_WINDOW;
    }
}

/// Whether residuals have leaned to one side for longer than they mostly do.
#[derive(Debug, Default)]
struct Drift {
    lean: f64,
    past: Past,
}

impl Drift {
    fn with(&self, z: f64) -> f64 {
        self.lean + DRIFT_WEIGHT * (z.clamp(-3.0, 3.0) - self.lean)
    }

    fn score(&self, z: f64) -> f64 {
        if self.past.n < MIN_DRIFT {
            return 0.0;
        }
        let off = self.with(z) - self.past.mean;
        if off * z <= 0.0 { 0.0 } else { off.abs() / (DRIFT_EDGE * self.past.variance.sqrt().max(DRIFT_FLOOR)) }
    }

    fn learn(&mut self, z: f64) {
        self.lean = self.with(z);
        self.past.learn(self.lean, DRIFT_FLOOR);
    }

    /// What the level has taken over, the residuals need no longer lean towards.
    fn forgive(&mut self) {
        self.lean = self.past.mean;
    }
}
