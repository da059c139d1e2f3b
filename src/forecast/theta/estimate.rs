//! The numbers of a theta model: the smoothing weight by a search in one dimension, the rest in closed form.
//!
//! For a given alpha every error is linear in the first level and in w = 1 - 1/theta, so the best pair is the answer
//! of two equations; only alpha is searched. That is exact where a simplex over all three stops on the flat floor of
//! the valley, and costs some twenty passes. The loss is the sum of squares from the fourth step on, as in the source;
//! nothing in it depends on the unit of the values.

use super::recursion::{Decay, Lines};

/// Weights that are looked at before the search closes in on the best; the outer two are the bounds.
const ALPHAS: [f64; 8] = [0.02, 0.06, 0.15, 0.3, 0.5, 0.7, 0.88, 0.99];

/// The largest theta: a larger one changes w by less than a fiftieth.
const MOST_THETA: f64 = 50.0;

/// Steps whose errors do not count: the first level is still felt in them.
const N_UNSCORED: usize = 3;

/// Searches that close in on alpha; each takes off 38 % of the interval that is left.
const N_SECTIONS: usize = 12;

/// What was estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimated {
    /// How fast the level learns.
    pub alpha: f64,
    /// 1 - 1/theta: the share of the trend that is followed.
    pub share: f64,
    /// The level before the first step.
    pub level: f64,
}

impl Estimated {
    pub fn theta(&self) -> f64 {
        1.0 / (1.0 - self.share)
    }
}

/// The best numbers for `values` (centred on 0, the first no gap), and their AICc.
pub(super) fn estimate(values: &[f64], lines: &Lines, is_optimised: bool) -> (Estimated, f64) {
    let shares = if is_optimised { (0.0, 1.0 - 1.0 / MOST_THETA) } else { (0.5, 0.5) };
    let (least, most) = values
        .iter()
        .filter(|v| !v.is_nan())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    // A level further off than the values reach is the floor of a valley without a bottom.
    let levels = (2.0 * least - most, 2.0 * most - least);
    let at = |alpha: f64| Sums::of(values, lines, alpha).best(shares, levels, alpha);
    let mut tried: Vec<(Estimated, f64)> = ALPHAS.iter().map(|&alpha| at(alpha)).collect();
    let best = (0..tried.len()).min_by(|&a, &b| tried[a].1.total_cmp(&tried[b].1)).unwrap_or(0);
    let interval = (ALPHAS[best.saturating_sub(1)], ALPHAS[(best + 1).min(ALPHAS.len() - 1)]);
    tried.extend(golden(interval, at));
    let (estimated, loss) = tried.into_iter().reduce(|a, b| if b.1 < a.1 { b } else { a }).expect("some were tried");
    let n = values.iter().skip(N_UNSCORED).filter(|value| !value.is_nan()).count() as f64;
    // The weight, the first level, the errors' spread, and theta.
    let k = if is_optimised { 4.0 } else { 3.0 };
    let correction = if n > k + 1.0 { 2.0 * k * (k + 1.0) / (n - k - 1.0) } else { f64::INFINITY };
    (estimated, n * loss.max(f64::MIN_POSITIVE).ln() + 2.0 * k + correction)
}

/// Golden-section search: what it tried.
fn golden((mut low, mut high): (f64, f64), at: impl Fn(f64) -> (Estimated, f64)) -> Vec<(Estimated, f64)> {
    const SECTION: f64 = 0.618_033_988_749_895;
    let mut left = at(high - SECTION * (high - low));
    let mut right = at(low + SECTION * (high - low));
    let mut tried = vec![left, right];
    for _ in 2..N_SECTIONS {
        if left.1 < right.1 {
            (high, right) = (right.0.alpha, left);
            left = at(high - SECTION * (high - low));
            tried.push(left);
        } else {
            (low, left) = (left.0.alpha, right);
            right = at(low + SECTION * (high - low));
            tried.push(right);
        }
    }
    tried
}

/// The sums of squares and products of what the errors are made of, for one alpha: value less learnt level, what is
/// left of the first level, and what w multiplies.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    rests: f64,
    rests_by_level: f64,
    rests_by_bend: f64,
    levels: f64,
    levels_by_bend: f64,
    bends: f64,
}

impl Sums {
    fn of(values: &[f64], Lines(lines): &Lines, alpha: f64) -> Sums {
        let kept = 1.0 - alpha;
        let mut sums = Sums::default();
        let mut decay = Decay::START;
        // The level is `learnt + felt * first + w * drifted`; it drifts at gaps only.
        let (mut learnt, mut felt, mut drifted) = (0.0, 1.0, 0.0);
        for (idx, (&value, &line)) in values.iter().zip(lines).enumerate() {
            let bend = decay.step(kept, line);
            if value.is_nan() {
                drifted += alpha * bend;
                continue;
            }
            if idx >= N_UNSCORED {
                let (rest, bend) = (value - learnt, bend + drifted);
                sums.rests += rest * rest;
                sums.rests_by_level += rest * felt;
                sums.rests_by_bend += rest * bend;
                sums.levels += felt * felt;
                sums.levels_by_bend += felt * bend;
                sums.bends += bend * bend;
            }
            learnt += alpha * (value - learnt);
            felt = if felt > 1e-200 { felt * kept } else { 0.0 };
            drifted *= kept;
        }
        sums
    }

    fn loss(&self, share: f64, level: f64) -> f64 {
        self.rests - 2.0 * (level * self.rests_by_level + share * self.rests_by_bend)
            + level * level * self.levels
            + 2.0 * level * share * self.levels_by_bend
            + share * share * self.bends
    }

    /// The best level for a share, and the best share for a level, within bounds.
    fn level_for(&self, share: f64, (least, most): (f64, f64)) -> f64 {
        let best = (self.rests_by_level - share * self.levels_by_bend) / self.levels;
        if best.is_finite() { best.clamp(least, most) } else { 0f64.clamp(least, most) }
    }

    fn share_for(&self, level: f64, (least, most): (f64, f64)) -> f64 {
        let best = (self.rests_by_bend - level * self.levels_by_bend) / self.bends;
        if best.is_finite() { best.clamp(least, most) } else { 0.5f64.clamp(least, most) }
    }

    /// The least of a bowl over a box: its bottom if that is inside, else the least along the four walls.
    fn best(&self, shares: (f64, f64), levels: (f64, f64), alpha: f64) -> (Estimated, f64) {
        let determinant = self.levels * self.bends - self.levels_by_bend * self.levels_by_bend;
        let bottom = (
            (self.levels * self.rests_by_bend - self.levels_by_bend * self.rests_by_level) / determinant,
            (self.bends * self.rests_by_level - self.levels_by_bend * self.rests_by_bend) / determinant,
        );
        let is_inside = determinant > 1e-12 * self.levels * self.bends
            && (shares.0..=shares.1).contains(&bottom.0)
            && (levels.0..=levels.1).contains(&bottom.1);
        let walls = || {
            let ends = [shares.0, shares.1].map(|share| (share, self.level_for(share, levels)));
            let sides = [levels.0, levels.1].map(|level| (self.share_for(level, shares), level));
            let all = ends.into_iter().chain(sides);
            all.reduce(|a, b| if self.loss(b.0, b.1) < self.loss(a.0, a.1) { b } else { a }).expect("four walls")
        };
        let (share, level) = if is_inside { bottom } else { walls() };
        let loss = self.loss(share, level).max(0.0);
        (Estimated { alpha, share, level }, if loss.is_finite() { loss } else { f64::MAX })
    }
}
