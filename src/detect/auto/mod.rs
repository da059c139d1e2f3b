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
//! About 700 bytes, and 600 for the profiles of a day and a week; constant work per sample.
//! Sources: Ahmad, Lavin, Purdy and Agha, "Unsupervised real-time anomaly detection for streaming data" (2017) for the
//! likelihood; Siffer et al. (2017) for the learned edge; the rest is textbook exponential weighting. What the edge, the
//! jump, the unrest and the drift have learned is each in a file of its own.

mod edge;
mod jump;
mod quantum;
mod run;
mod slow;

use super::baseline::{Baseline, Usual};
use super::contract::{Made, Method, flat, tame, widening};
use super::detector::{Detector, Score};
use super::registry::Settings;
use crate::series::Millis;
use edge::Edge;
use jump::Jump;
use quantum::Quantum;
use run::Run;
use slow::{Drift, Unrest};

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

/// How far outside the range seen a record lies, in ranges, and from the usual value as a share of the edge, since a
/// heavy tail begins with nothing but records; in deviations that is between these.
const RECORD_SHARE: f64 = 0.1;
const RECORD_EDGES: f64 = 0.8;
const RECORD_SIGMAS: (f64, f64) = (4.0, 6.0);
/// Samples before there is a record to break.
const MIN_RECORD: usize = 100;
/// Share of the range that is forgotten per sample: half-life 35,000 samples.
const RANGE_DECAY: f64 = 2e-5;

/// Builds the method.
pub(super) fn build(settings: &Settings) -> Box<dyn Detector> {
    Made::detector(settings, |settings| Watch {
        baseline: Baseline::new(settings),
        n: 0,
        before: 0.0,
        has_moved: false,
        quantum: Quantum::default(),
        edge: Edge::of_values(),
        jump: Jump::default(),
        unrest: Unrest::default(),
        drift: Drift::default(),
        range: (0.0, 0.0),
        run: Run::default(),
        old_level: None,
    })
}

#[derive(Debug)]
struct Watch {
    baseline: Baseline,
    n: usize,
    before: f64,
    has_moved: bool,
    quantum: Quantum,
    edge: Edge,
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
        let reach = self.edge.sigmas() * cold * sigma;
        let point = off.abs() / reach;
        let jump_reach = self.jump.reach(floor) * cold;
        let jump = if self.jump.sigma() <= JUMPY * sigma { self.jump.off(value).abs() / jump_reach } else { 0.0 };
        // What builds up over many samples is told at samples that are off themselves.
        let gate = z.abs().min(1.0);
        let slow = self.unrest.score(z).max(self.drift.score(off, floor));
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
        self.edge.learn(z, self.run.n);
        self.unrest.learn(z);
        self.drift.learn(off, floor);
        self.follow_level(off, sigma, point > 1.0);
        self.jump.learn(value, jump > 1.0, floor);
        self.quantum.learn(value - self.before, worst > 1.0);
        self.learn(at, value, usual, floor, self.run.n > 0);
        score
    }

    fn learn(&mut self, at: Millis, value: f64, usual: Usual, floor: f64, hold: bool) {
        if self.baseline.learn(at, value, floor, hold) {
            // Residuals are other numbers from now on; what was learned of the old ones does not hold for them.
            self.edge = Edge::of_values();
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
        let least = (RECORD_EDGES * self.edge.sigmas()).clamp(RECORD_SIGMAS.0, RECORD_SIGMAS.1);
        if self.n < MIN_RECORD || z.abs() < least || beyond <= RECORD_SHARE * span {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scorer_is_small() {
        // A fleet has a hundred thousand; what it has in memory is bounded by how small this is.
        assert!(size_of::<Watch>() <= 400, "{}", size_of::<Watch>());
    }
}
