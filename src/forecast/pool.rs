//! Several forecasts made into one: a middle that weighs each method by how it did.
//!
//! In: what each of some methods scored on the series' own past. Out: a [`Pool`], its errors there, and a fitted model
//! made of fitted models.
//!
//! A weight is the score to the power of minus [`POWER`]; who scores worse than [`WORST`] times the best is left out. So
//! a method that is clearly best decides alone, and where none can be told from the others, which is where choosing one
//! of them loses most, they are averaged. The middle is the weighted median, which one member gone astray does not
//! move; where the past is too short for weights to be trusted, and of two members, it is the weighted mean. Sources:
//! weights without correlations, which a short replay cannot tell, as in Bates and Granger, "The combination of
//! forecasts", 1969, and Smith and Wallis, "A simple explanation of the forecast combination puzzle", 2009; the median
//! as in Petropoulos and Svetunkov, "A simple combination of univariate models", 2020.

use std::collections::BTreeMap;

use super::backtest::Replay;
use super::model::{Fitted, Updated};
use super::past::Regressors;

/// How much a better score counts.
const POWER: f64 = 3.0;

/// What a member may score at most, in scores of the best.
const WORST: f64 = 2.0;

/// A weight below this share of all is not worth a model.
const LEAST_WEIGHT: f64 = 0.04;

/// How the forecasts of a pool become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Middle {
    /// The weighted mean.
    #[default]
    Mean,
    /// The weighted median.
    Median,
}

impl Middle {
    /// Of values with their weights, which are reordered; NaN when there is none.
    pub fn of(self, values: &mut [(f64, f64)]) -> f64 {
        let total: f64 = values.iter().map(|(_, weight)| weight).sum();
        if self == Middle::Mean || values.len() < 3 {
            return values.iter().map(|(value, weight)| value * (weight / total)).sum::<f64>() / f64::from(total > 0.0);
        }
        values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        // Each value stands in the middle of its weight; straight lines between.
        let (mut below, mut before) = (0.0, values[0]);
        let mut stood = f64::NEG_INFINITY;
        for &(value, weight) in values.iter() {
            let stands = (below + weight / 2.0) / total;
            if stands >= 0.5 {
                let share = if stood.is_finite() { (0.5 - stood) / (stands - stood) } else { 1.0 };
                return before.0 * (1.0 - share) + value * share;
            }
            (below, stood, before) = (below + weight, stands, (value, weight));
        }
        before.0
    }
}

/// Who takes part, by place in a list of candidates, and with what weight.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pool {
    /// The weightiest first; weights add up to 1.
    pub members: Vec<(usize, f64)>,
    pub middle: Middle,
}

impl Pool {
    /// Of candidates whose scores are finite; empty when none is. Lower scores are better, 0 is perfect.
    pub fn of(scores: &[f64], middle: Middle) -> Pool {
        let best = scores.iter().copied().fold(f64::INFINITY, f64::min);
        if !best.is_finite() {
            return Pool::default();
        }
        let weight = |score: f64| match (score, best) {
            (score, best) if score <= best => 1.0,
            (_, best) if best <= 0.0 => 0.0,
            (score, best) if score <= WORST * best => (best / score).powf(POWER),
            _ => 0.0,
        };
        let mut members: Vec<(usize, f64)> = scores.iter().map(|score| weight(*score)).enumerate().collect();
        members.sort_by(|a, b| b.1.total_cmp(&a.1));
        let total: f64 = members.iter().map(|(_, weight)| weight).sum();
        members.retain(|(_, weight)| *weight >= LEAST_WEIGHT * total);
        let total: f64 = members.iter().map(|(_, weight)| weight).sum();
        members.iter_mut().for_each(|(_, weight)| *weight /= total);
        Pool { members, middle }
    }

    /// Its errors from origin `nr` of its members' replays, into `row`; members that were not replayed there are left
    /// out, and without any the row is all gaps.
    pub fn errors_into(&self, replays: &[Replay], nr: usize, row: &mut [f64]) {
        let known = |(idx, _): &&(usize, f64)| replays[*idx].errors[nr].iter().any(|error| !error.is_nan());
        let members: Vec<(&[f64], f64)> =
            self.members.iter().filter(known).map(|(idx, weight)| (&replays[*idx].errors[nr][..], *weight)).collect();
        let mut cell = Vec::with_capacity(members.len());
        for (lead, error) in row.iter_mut().enumerate() {
            cell.clear();
            cell.extend(members.iter().map(|(errors, weight)| (errors[lead], *weight)));
            // Gaps are gaps in all of them.
            *error = if cell.iter().any(|(error, _)| error.is_nan()) { f64::NAN } else { self.middle.of(&mut cell) };
        }
    }
}

/// Fitted models with their weights, which add up to 1.
#[derive(Debug)]
pub(super) struct FittedPool {
    pub members: Vec<(Box<dyn Fitted>, f64)>,
    pub middle: Middle,
    /// Whether every member takes in values; if one cannot, none is told.
    pub takes_values: bool,
}

impl Fitted for FittedPool {
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]) {
        let n = points.len();
        let mut all = vec![0.0; n * self.members.len()];
        for ((member, _), own) in self.members.iter().zip(all.chunks_exact_mut(n.max(1))) {
            member.points_into(known, own);
        }
        let mut cell = Vec::with_capacity(self.members.len());
        for (lead, point) in points.iter_mut().enumerate() {
            cell.clear();
            cell.extend(self.members.iter().enumerate().map(|(nr, (_, weight))| (all[nr * n + lead], *weight)));
            *point = self.middle.of(&mut cell);
        }
    }

    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        if !self.takes_values {
            return Updated::NeedsRefit;
        }
        for (member, _) in &mut self.members {
            member.update(value, known);
        }
        // The weights are those of the fit.
        Updated::Filtered
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        // Those of the member that weighs most.
        self.members.first().map_or_else(BTreeMap::new, |(member, _)| member.settings())
    }

    fn n_bytes(&self) -> usize {
        let of_member = |(member, _): &(Box<dyn Fitted>, f64)| size_of_val(&**member) + member.n_bytes();
        size_of_val(self.members.as_slice()) + self.members.iter().map(of_member).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_clearly_best_stands_alone_and_equals_share() {
        let of = |scores: &[f64]| Pool::of(scores, Middle::Mean).members;
        assert_eq!(of(&[2.0, 0.5, f64::INFINITY]), [(1, 1.0)]);
        assert_eq!(of(&[1.0, 1.0]), [(0, 0.5), (1, 0.5)]);
        let shared = of(&[1.2, 1.0]);
        assert_eq!(shared[0].0, 1);
        assert!((shared[0].1 - 1.0 / (1.0 + 1.2f64.powf(-POWER))).abs() < 1e-12);
        assert_eq!(of(&[0.0, 1.0]), [(0, 1.0)]);
        assert_eq!(of(&[f64::INFINITY]), []);
    }

    #[test]
    fn the_median_goes_by_weight_and_one_astray_does_not_move_it() {
        let median = |mut values: Vec<(f64, f64)>| Middle::Median.of(&mut values);
        assert_eq!(median(vec![(3.0, 1.0), (1.0, 1.0), (2.0, 1.0)]), 2.0);
        assert_eq!(median(vec![(1e9, 1.0), (1.0, 1.0), (2.0, 1.0)]), 2.0);
        // In the middles of their weights stand 1 at 0.3, 5 at 0.7 and 9 at 0.9.
        assert!((median(vec![(5.0, 1.0), (1.0, 3.0), (9.0, 1.0)]) - 3.0).abs() < 1e-12);
        assert_eq!(median(vec![(1.0, 8.0), (2.0, 1.0), (3.0, 1.0)]), 1.0 + (0.5 - 0.4) / (0.85 - 0.4));
        assert_eq!(median(vec![(1.0, 3.0), (5.0, 1.0)]), 2.0);
        assert!(median(Vec::new()).is_nan() && Middle::Mean.of(&mut []).is_nan());
    }

    #[test]
    fn errors_are_averaged_over_who_was_replayed() {
        let replay = |row: [f64; 2]| Replay { origins: vec![9], errors: vec![row.to_vec()], takes_values: true };
        let replays = [replay([1.0, 2.0]), replay([f64::NAN; 2]), replay([3.0, f64::NAN])];
        let mut row = [0.0; 2];
        let pool = Pool { members: vec![(0, 0.5), (1, 0.25), (2, 0.25)], middle: Middle::Mean };
        pool.errors_into(&replays, 0, &mut row);
        assert!((row[0] - (0.5 + 0.75) / 0.75).abs() < 1e-12 && row[1].is_nan());
    }
}
