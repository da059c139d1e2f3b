//! Who did well on the series' own past?
//!
//! In: candidates and where to replay them. Out: a score for each, and the pool that the scores make.
//!
//! A score is the error as a share of naive's: the square of a mean of roots, which asks how good a method usually is
//! rather than how bad it once was. Late origins count most ([`HALF_LIFE`]): what a series is changes, and with it who
//! foretells it. One origin that went wild counts for at most [`WILDEST`] times the usual error of naive. Naive takes
//! part only where it is the best: what it would add otherwise is the noise of one value.
//! Source: Stock and Watson, "Combination forecasts of output growth in a seven-country data set", 2004, on discounted
//! errors; the roots are our own.

use super::astray::Astray;
use super::backtest::{Plan, Replay};
use super::candidates::Candidate;
use super::model::{FitError, Fitted, Forecaster};
use super::past::Past;
use super::pool::{Middle, Pool};
use crate::series::median;

/// Values from which on a few more hardly ever ask for another model of a family.
const SETTLED: usize = 150;

/// What an origin counts for at most, in usual errors of naive.
const WILDEST: f64 = 20.0;

/// After how many horizons an origin counts for half.
const HALF_LIFE: f64 = 2.0;

/// After how many origins at the earliest one counts for half, as scores of fewer would go by chance.
const LEAST_HALF_LIFE: f64 = 6.0;

/// Origins that are enough to make bands of.
const ENOUGH_ORIGINS: usize = 12;

/// What a score must be at most, as a share of naive's, to be clearly better where the series usually stands still.
const CLEARLY: f64 = 0.5;

/// The share of cells of which naive must be exactly right to be so of nearly all.
const NEARLY_ALL: f64 = 0.9;

/// A candidate must be known at one in so many of the origins that the best known is.
const LEAST_KNOWN: usize = 4;

/// Forecasts that do not overlap, from which on weights are trusted.
const ENOUGH_APART: f64 = 8.0;

/// What the replays of some candidates say of them.
pub(super) struct Election<'a> {
    pub candidates: &'a [Candidate],
    /// What of the past they are not shown.
    pub astray: &'a Astray,
    pub replays: Vec<Replay>,
    // The models that stood at the last origin.
    latest: Vec<Option<Box<dyn Fitted>>>,
    // The root of the mean absolute error per candidate and origin, no origin counting too much.
    roots: Vec<Vec<f64>>,
    // What each origin counts for.
    weights: Vec<f64>,
    /// The first origin of whose errors bands are made.
    pub banded_from: usize,
    middle: Middle,
    sums: Vec<Sum>,
}

/// Weighted sums of the roots of a candidate's and of the first anchor's errors, over the origins where both are known:
/// not every candidate is known at every origin, and some origins are harder than others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    own: f64,
    usual: f64,
    n_known: usize,
}

impl Sum {
    /// The error as a share of the anchor's.
    pub fn score(self) -> f64 {
        match (self.own > 0.0, self.usual > 0.0) {
            (false, _) => 0.0,
            (true, true) => (self.own / self.usual).powi(2),
            (true, false) => f64::MAX,
        }
    }
}

impl<'a> Election<'a> {
    /// Replays `candidates` on `past`, of which they are not shown what went `astray`, from the origins of `plan`.
    pub fn new(candidates: &'a [Candidate], past: &Past<'_>, astray: &'a Astray, plan: Option<&Plan>) -> Election<'a> {
        let (replays, latest) = match plan {
            Some(plan) if !plan.origins.is_empty() => {
                candidates.iter().map(|candidate| candidate.replay(past, astray, plan)).unzip()
            }
            _ => (vec![Replay::default(); candidates.len()], Vec::new()),
        };
        Election { latest, astray, ..Election::of(candidates, replays, past, plan) }
    }

    /// Candidate `idx` on the whole `past`: the model of its family that stood at the last origin, as it is that which
    /// was judged, or a fit where that is cheap.
    pub fn fit(&self, idx: usize, past: &Past<'_>) -> Option<Box<dyn Fitted>> {
        let latest = self.latest.get(idx).and_then(Option::as_ref).filter(|_| past.len() >= SETTLED);
        let shown = self.candidates[idx].astray(self.astray).mended(past.values(), past.len());
        let again = latest.and_then(|fitted| fitted.fitted_again(&past.with_values(&shown)));
        again.or_else(|| self.fitted(idx, past).ok())
    }

    /// A fit of candidate `idx` to the whole `past`.
    ///
    /// # Errors
    /// When the past does not carry it.
    pub fn fitted(&self, idx: usize, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let candidate = &self.candidates[idx];
        let shown = candidate.astray(self.astray).mended(past.values(), past.len());
        candidate.method.fit(&past.with_values(&shown))
    }

    /// Judges by replays on `past` from the origins of `plan`.
    fn of(candidates: &'a [Candidate], replays: Vec<Replay>, past: &Past<'_>, plan: Option<&Plan>) -> Election<'a> {
        let mut roots = clipped(replays.iter().map(Replay::maes).collect(), candidates);
        roots.iter_mut().flatten().for_each(|mae| *mae = mae.sqrt());
        let mut election = Election {
            candidates,
            astray: Astray::NONE,
            replays,
            latest: Vec::new(),
            roots,
            weights: plan.map_or_else(Vec::new, |plan| discounts(plan, past.values())),
            banded_from: plan.map_or(0, |plan| banded_from(plan, past.len())),
            middle: if n_apart(plan) >= ENOUGH_APART { Middle::Median } else { Middle::Mean },
            sums: Vec::new(),
        };
        election.sums = election.roots.iter().map(|row| election.sum(row)).collect();
        election
    }

    /// The place of the candidate that the others' errors are shares of.
    fn reference(&self) -> usize {
        self.candidates.iter().position(Candidate::is_anchor).unwrap_or(0)
    }

    /// Over the origins where `roots` are known.
    pub fn sum(&self, roots: &[f64]) -> Sum {
        let mut sum = Sum::default();
        for ((own, usual), weight) in roots.iter().zip(&self.roots[self.reference()]).zip(&self.weights) {
            if !own.is_nan() && !usual.is_nan() {
                sum.own += weight * own;
                sum.usual += weight * usual;
                sum.n_known += 1;
            }
        }
        sum
    }

    /// Each candidate's error as a share of the yardstick's, without origin `left_out`; infinite where it missed nearly
    /// all origins.
    pub fn scores(&self, left_out: Option<usize>) -> Vec<f64> {
        let most_known = self.sums.iter().map(|sum| sum.n_known).max().unwrap_or(0);
        let reference = self.reference();
        let score = |idx: usize| {
            let mut sum = self.sums[idx];
            if let Some(nr) = left_out {
                let (own, usual) = (self.roots[idx][nr], self.roots[reference][nr]);
                if !own.is_nan() && !usual.is_nan() {
                    sum.own = (sum.own - self.weights[nr] * own).max(0.0);
                    sum.usual = (sum.usual - self.weights[nr] * usual).max(0.0);
                    sum.n_known -= 1;
                }
            }
            let is_unknown = sum.n_known == 0 || (sum.n_known + 1) * LEAST_KNOWN < most_known;
            if is_unknown { f64::INFINITY } else { sum.score() }
        };
        (0..self.candidates.len()).map(score).collect()
    }

    /// The errors of `pool`, or of the pool that the other origins would have made of `allowed`, at each origin.
    pub fn replayed(&self, pool: Option<&Pool>, allowed: &[bool]) -> Replay {
        let Some(first) = self.replays.first() else { return Replay::default() };
        let mut replayed = first.clone();
        for (nr, row) in replayed.errors.iter_mut().enumerate() {
            match pool {
                Some(pool) => pool.errors_into(&self.replays, nr, row),
                None => self.pool(&self.scores(Some(nr)), allowed).errors_into(&self.replays, nr, row),
            }
        }
        replayed
    }

    /// Of the candidates that are `allowed`, by their `scores`; naive only where it is the best.
    pub fn pool(&self, scores: &[f64], allowed: &[bool]) -> Pool {
        let mut of_allowed: Vec<f64> =
            scores.iter().zip(allowed).map(|(score, is)| if *is { *score } else { f64::INFINITY }).collect();
        let best = of_allowed.iter().copied().fold(f64::INFINITY, f64::min);
        for (score, candidate) in of_allowed.iter_mut().zip(self.candidates) {
            if candidate.is_naive() && *score > best {
                *score = f64::INFINITY;
            }
        }
        Pool::of(&of_allowed, self.middle)
    }

    /// Whether naive was exactly right from most origins, or of nearly all cells, and nobody did clearly better: then
    /// the series goes on at a level it has, and what a pool adds to it is a trifle that was learnt of a time that is
    /// over.
    pub fn stands_still(&self, scores: &[f64]) -> bool {
        let idx = self.reference();
        if !self.candidates.get(idx).is_some_and(Candidate::is_naive) {
            return false;
        }
        let known: Vec<f64> = self.roots[idx].iter().copied().filter(|root| !root.is_nan()).collect();
        let best = scores.iter().copied().fold(f64::INFINITY, f64::min);
        let cells = || self.replays[idx].errors.iter().flatten().filter(|error| !error.is_nan());
        let n_right = cells().filter(|error| **error == 0.0).count();
        let is_often_right = n_right > 0 && n_right as f64 >= NEARLY_ALL * cells().count() as f64;
        (median(&known) == Some(0.0) || is_often_right) && best >= CLEARLY * scores[idx]
    }

    /// The places of the yardsticks.
    pub fn anchors(&self) -> Vec<usize> {
        (0..self.candidates.len()).filter(|&idx| self.candidates[idx].is_anchor()).collect()
    }

    /// Whom to ask, one after the other, when there is no pool: the best by `scores`; without scores a seasonal anchor
    /// first, then any other: the order of trust in a short history.
    pub fn order(&self, scores: &[f64]) -> Vec<usize> {
        let anchors = self.anchors();
        let trust = |idx: usize| match anchors.iter().rposition(|&anchor| anchor == idx) {
            Some(place) => anchors.len() - place,
            None => anchors.len() + 1 + idx,
        };
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(trust(a).cmp(&trust(b))));
        order
    }
}

/// How many forecasts that do not overlap the origins of `plan` have room for.
pub(super) fn n_apart(plan: Option<&Plan>) -> f64 {
    plan.map_or(0.0, Plan::n_apart)
}

/// What each origin of `plan` counts for: the last 1, one a half-life before it half, by the share of its forecast that
/// came. In a gap of `values` nothing ages: what is known before it tells more than the few values after.
fn discounts(plan: &Plan, values: &[f64]) -> Vec<f64> {
    let n_known = |from: usize, upto: usize| {
        let (from, upto) = (from.min(values.len()), upto.min(values.len()));
        values[from..upto].iter().filter(|value| !value.is_nan()).count() as f64
    };
    let apart = plan.span() as f64 / (plan.origins.len().max(2) - 1) as f64;
    let half_life = (HALF_LIFE * plan.n_leads as f64).max(LEAST_HALF_LIFE * apart);
    let last = plan.origins.last().copied().unwrap_or(0);
    let mut weights = Vec::with_capacity(plan.origins.len());
    let (mut age, mut before) = (0.0, last);
    for &origin in plan.origins.iter().rev() {
        age += n_known(origin, before);
        before = origin;
        let came = n_known(origin, origin + plan.n_leads) / plan.n_leads.max(1) as f64;
        weights.push(came * 0.5f64.powf(age / half_life));
    }
    weights.reverse();
    weights
}

/// The first origin of whose errors bands are made: those in the later half of the history, if they are enough, as they
/// should tell of forecasts from as much history as there is now.
fn banded_from(plan: &Plan, n_cells: usize) -> usize {
    let first = plan.origins.partition_point(|origin| *origin < n_cells / 2);
    if plan.origins.len() - first >= ENOUGH_ORIGINS { first } else { 0 }
}

/// Errors per origin, none above so many times the usual error of the first anchor (of the first candidate without).
fn clipped(mut maes: Vec<Vec<f64>>, candidates: &[Candidate]) -> Vec<Vec<f64>> {
    let reference = candidates.iter().position(Candidate::is_anchor).unwrap_or(0);
    let usual = maes.get(reference).and_then(|row| {
        let known: Vec<f64> = row.iter().copied().filter(|mae| !mae.is_nan()).collect();
        median(&known)
    });
    if let Some(most) = usual.filter(|usual| *usual > 0.0).map(|usual| usual * WILDEST) {
        maes.iter_mut().flatten().filter(|mae| **mae > most).for_each(|mae| *mae = most);
    }
    maes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::candidates::variants;
    use crate::forecast::registry::find;
    use crate::forecast::season::Seasons;
    use crate::series::{Season, Step};

    fn candidates(names: &[&str]) -> Vec<Candidate> {
        let seasons = Seasons { found: Season::new(4).into_iter().collect(), hinted: Vec::new() };
        names.iter().flat_map(|name| variants(find(name).unwrap(), &seasons, 1)).collect()
    }

    /// Judges methods by the size of their errors one step ahead at origins ten steps apart.
    fn scores(candidates: &[Candidate], errors: &[&[f64]]) -> (Vec<f64>, Pool) {
        let origins: Vec<usize> = (0..errors[0].len()).map(|nr| 100 + 10 * nr).collect();
        let plan = Plan { origins: origins.clone(), n_leads: 1 };
        let replay = |row: &&[f64]| Replay {
            origins: origins.clone(),
            errors: row.iter().map(|error| vec![*error]).collect(),
            takes_values: true,
        };
        let past = Past::new(0, Step::seconds(60), &[0.0; 1000]);
        let election = Election::of(candidates, errors.iter().map(replay).collect(), &past, Some(&plan));
        let scores = election.scores(None);
        let pool = election.pool(&scores, &vec![true; candidates.len()]);
        (scores, pool)
    }

    #[test]
    fn late_errors_count_most() {
        let (early, late) = ([vec![1.0; 20], vec![3.0; 10]].concat(), [vec![3.0; 20], vec![1.0; 10]].concat());
        let three = candidates(&["naive", "seasonal-naive", "moving-average"]);
        let (scores, _) = scores(&three, &[&[2.0; 30], &early, &late]);
        assert!(scores[0] == 1.0 && scores[1] > 1.0 && scores[2] < 1.0, "{scores:?}");
        // Six origins, ten steps apart, are more than four horizons of one step.
        let plan = Plan { origins: vec![10, 40, 70], n_leads: 1 };
        let mut values = [0.0; 100];
        assert_eq!(discounts(&plan, &values), [0.5f64.powf(60.0 / 180.0), 0.5f64.powf(30.0 / 180.0), 1.0]);
        // A gap does not age what lies before it, and what did not come does not count.
        values[41..61].fill(f64::NAN);
        assert_eq!(discounts(&plan, &values), [0.5f64.powf(40.0 / 180.0), 0.5f64.powf(10.0 / 180.0), 1.0]);
        let plan = Plan { n_leads: 4, ..plan };
        assert_eq!(discounts(&plan, &values)[1], 0.25 * 0.5f64.powf(10.0 / 180.0));
    }

    #[test]
    fn one_bad_origin_does_not_outweigh_many_good_ones() {
        let mut once_bad = vec![1.0; 30];
        once_bad[28] = 20.0;
        let (scores, _) = scores(&candidates(&["naive", "moving-average"]), &[&[2.0; 30], &once_bad]);
        // By the mean of errors alone it would lose.
        assert!(scores[1] < 1.0, "{scores:?}");
    }

    #[test]
    fn naive_takes_part_only_where_it_is_the_best() {
        let two = candidates(&["naive", "moving-average"]);
        let members = |errors: &[&[f64]]| -> Vec<usize> {
            let (_, pool) = scores(&two, errors);
            pool.members.iter().map(|(idx, _)| *idx).collect()
        };
        assert_eq!(members(&[&[2.0; 20], &[1.9; 20]]), [1]);
        assert_eq!(members(&[&[1.9; 20], &[2.0; 20]]), [0, 1]);
    }
}
