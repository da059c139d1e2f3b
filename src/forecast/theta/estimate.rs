//! The numbers of a theta model: the smoothing weight by a search in one dimension, the rest in closed form.
//!
//! For a given alpha every error is linear in the first level and in w = 1 - 1/theta, so the best pair is the answer of
//! two equations; only alpha is searched. That is exact where a simplex over all three stops on the flat floor of the
//! valley. Several alphas are walked side by side: each walk is a chain of sums that wait for one another, so that
//! eight cost little more than two: a first look, a second between the neighbours of the best, and the bottom of the
//! parabola through what is best then, past which another look changes nothing that matters. The loss is the sum of
//! squares from the fourth step on, as in the source; nothing in it depends on the unit of the values.

use super::recursion::{Decay, Lines};

/// Alphas that are walked side by side.
const ABREAST: usize = 8;

/// Weights that are looked at before the search closes in on the best; the outer two are the bounds.
const ALPHAS: [f64; ABREAST] = [0.02, 0.06, 0.15, 0.3, 0.5, 0.7, 0.88, 0.99];

/// The largest theta: a larger one changes w by less than a fiftieth.
const MOST_THETA: f64 = 50.0;

/// Steps whose errors do not count: the first level is still felt in them.
const N_UNSCORED: usize = 3;

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

/// Values and the lines to bend them by, whose best weights are searched for.
pub(super) struct Problem<'a> {
    values: &'a [f64],
    lines: &'a Lines,
    // Of the first errors' level; one further off than the values reach is the floor of a valley without a bottom.
    levels: (f64, f64),
    n_scored: f64,
    has_gaps: bool,
    // What was walked: members whose best alphas are near each other ask for the same.
    walked: Vec<([f64; ABREAST], [Sums; ABREAST])>,
}

impl<'a> Problem<'a> {
    /// Of `values` centred on 0, the first no gap.
    pub fn new(values: &'a [f64], lines: &'a Lines) -> Problem<'a> {
        let (least, most) = values
            .iter()
            .filter(|v| !v.is_nan())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        Problem {
            values,
            lines,
            levels: (2.0 * least - most, 2.0 * most - least),
            n_scored: values.iter().skip(N_UNSCORED).filter(|value| !value.is_nan()).count() as f64,
            has_gaps: values.iter().any(|value| value.is_nan()),
            walked: Vec::new(),
        }
    }

    fn walk(&mut self, alphas: [f64; ABREAST]) -> [Sums; ABREAST] {
        if let Some((_, sums)) = self.walked.iter().find(|(walked, _)| *walked == alphas) {
            return *sums;
        }
        let sums = self.sums(alphas);
        self.walked.push((alphas, sums));
        sums
    }

    fn sums<const N: usize>(&self, alphas: [f64; N]) -> [Sums; N] {
        if self.has_gaps {
            Sums::of::<N, true>(self.values, self.lines, alphas)
        } else {
            Sums::of::<N, false>(self.values, self.lines, alphas)
        }
    }

    /// The best numbers, and their AICc.
    pub fn solve(&mut self, is_optimised: bool) -> (Estimated, f64) {
        let shares = if is_optimised { (0.0, 1.0 - 1.0 / MOST_THETA) } else { (0.5, 0.5) };
        let levels = self.levels;
        let mut all = |alphas: [f64; ABREAST]| -> [(Estimated, f64); ABREAST] {
            let sums = self.walk(alphas);
            std::array::from_fn(|nr| sums[nr].best(shares, levels, alphas[nr]))
        };
        let first = all(ALPHAS);
        let best = best_of(&first);
        let (before, after) = (first[best.saturating_sub(1)], first[(best + 1).min(ABREAST - 1)]);
        let (low, high) = (before.0.alpha, after.0.alpha);
        let alphas = std::array::from_fn(|nr| low + (high - low) * (nr + 1) as f64 / (ABREAST + 1) as f64);
        // The alphas that stand next to each other, with what each gives.
        let mut row = Vec::with_capacity(ABREAST + 3);
        row.extend([before, first[best], after]);
        row.extend(all(alphas));
        row.sort_by(|a, b| a.0.alpha.total_cmp(&b.0.alpha));
        let best = best_of(&row);
        let mut found = row[best];
        if let Some(alpha) = vertex(&row, best) {
            let tried = self.sums([alpha])[0].best(shares, self.levels, alpha);
            found = if tried.1 < found.1 { tried } else { found };
        }
        let (estimated, loss) = found;
        // The weight, the first level, the errors' spread, and theta.
        let k = if is_optimised { 4.0 } else { 3.0 };
        let n = self.n_scored;
        let correction = if n > k + 1.0 { 2.0 * k * (k + 1.0) / (n - k - 1.0) } else { f64::INFINITY };
        (estimated, n * loss.max(f64::MIN_POSITIVE).ln() + 2.0 * k + correction)
    }
}

/// The place of the least loss.
fn best_of(row: &[(Estimated, f64)]) -> usize {
    (0..row.len()).min_by(|&a, &b| row[a].1.total_cmp(&row[b].1)).unwrap_or(0)
}

/// The bottom of the parabola through the best and its neighbours, where it has one between them.
fn vertex(row: &[(Estimated, f64)], best: usize) -> Option<f64> {
    let (before, after) = (row.get(best.checked_sub(1)?)?, row.get(best + 1)?);
    let (x, y) = (row[best].0.alpha, row[best].1);
    let (left, right) = (x - before.0.alpha, after.0.alpha - x);
    let (rise, fall) = (before.1 - y, after.1 - y);
    let bend = left * fall + right * rise;
    let alpha = x + 0.5 * (right * right * rise - left * left * fall) / bend;
    (bend > 0.0 && alpha.is_finite()).then(|| alpha.clamp(x - left, x + right))
}

/// The sums of squares and products of what the errors are made of, for one alpha: value less learnt level, what is
/// left of the first level, and what w multiplies.
#[derive(Clone, Copy, Debug)]
struct Sums {
    rests: f64,
    rests_by_level: f64,
    rests_by_bend: f64,
    levels: f64,
    levels_by_bend: f64,
    bends: f64,
}

impl Sums {
    /// For each of `alphas`.
    fn of<const N: usize, const HAS_GAPS: bool>(values: &[f64], Lines(lines): &Lines, alphas: [f64; N]) -> [Sums; N] {
        // One row for each sum, as lanes that lie beside each other are added up together.
        let mut rows = [[0.0; N]; 6];
        let mut decay = [Decay::START; N];
        // The level is `learnt + felt * first + w * drifted`; it drifts at gaps only. Without any, as much is felt of
        // the first level as is left of the line's constant.
        let (mut learnt, mut felt, mut drifted) = ([0.0; N], [1.0; N], [0.0; N]);
        let kept = alphas.map(|alpha| 1.0 - alpha);
        let mut bends = [0.0; N];
        for (idx, (&value, &line)) in values.iter().zip(lines).enumerate() {
            if !HAS_GAPS {
                felt = decay.map(|decay| decay.power());
            }
            for lane in 0..N {
                bends[lane] = decay[lane].step(kept[lane], line);
            }
            if HAS_GAPS && value.is_nan() {
                for lane in 0..N {
                    drifted[lane] += alphas[lane] * bends[lane];
                }
                continue;
            }
            let rests = learnt.map(|learnt| value - learnt);
            if idx >= N_UNSCORED {
                for lane in 0..N {
                    let (rest, felt) = (rests[lane], felt[lane]);
                    let bend = if HAS_GAPS { bends[lane] + drifted[lane] } else { bends[lane] };
                    rows[0][lane] += rest * rest;
                    rows[1][lane] += rest * felt;
                    rows[2][lane] += rest * bend;
                    rows[3][lane] += felt * felt;
                    rows[4][lane] += felt * bend;
                    rows[5][lane] += bend * bend;
                }
            }
            for lane in 0..N {
                learnt[lane] += alphas[lane] * rests[lane];
                if HAS_GAPS {
                    felt[lane] = if felt[lane] > 1e-200 { felt[lane] * kept[lane] } else { 0.0 };
                    drifted[lane] *= kept[lane];
                }
            }
        }
        let [rests, rests_by_level, rests_by_bend, levels, levels_by_bend, bends] = rows;
        std::array::from_fn(|lane| Sums {
            rests: rests[lane],
            rests_by_level: rests_by_level[lane],
            rests_by_bend: rests_by_bend[lane],
            levels: levels[lane],
            levels_by_bend: levels_by_bend[lane],
            bends: bends[lane],
        })
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
