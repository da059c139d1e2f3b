//! Auto: the methods that did best on the series' own past, averaged by how well they did.
//!
//! In: any history with a value. Out: one registered method, or a [`Pool`] of several, fitted to the whole history.
//! Every candidate of the registry that suits the history is replayed from rolling origins; seasonal methods stand once
//! per season found, and for one that the history hints at.
//!
//! A score is the error as a share of naive's: the square of a mean of roots, which asks how good a method usually is
//! rather than how bad it once was. Late origins count most ([`HALF_LIFE`]): what a series is changes, and with it who
//! foretells it (Stock and Watson, "Combination forecasts of output growth in a seven-country data set", 2004, on
//! discounted errors). One origin that went wild counts for at most [`WILDEST`] times the usual error of naive. A method
//! whose forecast explodes ([`Fence`]) is left out, and so is naive unless it is the best: what it would add is the
//! noise of one value. Where the pool does not beat the better of naive and seasonal naive on the past, that one
//! answers, and the answer says so; so it does in a history too short to be replayed.
//!
//! The errors of which bands are made are honest about the choosing: at each origin they are those of the pool that the
//! other origins would have made.

use std::collections::BTreeMap;

use super::backtest::{MOST_FITS, MOST_ORIGINS, Plan, Replay, mean, replay};
use super::guard::Fence;
use super::model::{FitError, Fitted, Forecaster, Horizon, Updated};
use super::past::{Past, Regressors};
use super::pool::{FittedPool, Middle, Pool};
use super::registry::{Cost, Entry, FORECASTERS, Role, SeasonUse, Settings, ValueNeed};
use super::season::{Seasons, look_for_seasons};
use super::shaped::Shaped;
use crate::series::{Season, median};

/// What an origin counts for at most, in usual errors of naive.
const WILDEST: f64 = 20.0;

/// After how many horizons an origin counts for half.
const HALF_LIFE: f64 = 4.0;

/// After how many origins at the earliest one counts for half, as scores of fewer would go by chance.
const LEAST_HALF_LIFE: f64 = 6.0;

/// Multiplicative methods stand for election only where the smallest value is at least this share of the mean: near
/// zero, factors mean nothing.
const LEAST_SHARE: f64 = 0.02;

/// Methods of rare events stand for election where more than this share of the values is zero.
const LEAST_ZEROS: f64 = 0.3;

/// Origins that are enough to judge by.
const ENOUGH_ORIGINS: usize = 12;

/// A candidate must be known at one in so many of the origins that the best known is.
const LEAST_KNOWN: usize = 4;

/// How much better a yardstick must be than the pool to answer in its stead, over the root of the number of forecasts
/// that do not overlap.
const CHANCE: f64 = 0.25;

/// Forecasts that do not overlap, from which on weights are trusted.
const ENOUGH_APART: f64 = 8.0;

/// Methods of which a fit is a search stand for election in histories of up to so many cells; in longer ones what they
/// add to the regressions is not worth ten times their cost.
const LONGEST_FOR_SEARCH: usize = 400;

/// The registry's name of the method this file makes.
pub(super) const AUTO: &str = "auto";

/// A method with a season, standing for election.
pub(super) struct Candidate {
    pub entry: &'static Entry,
    /// The longest it uses.
    pub season: Option<Season>,
    pub method: Shaped<Box<dyn Forecaster>>,
}

impl Candidate {
    fn is_anchor(&self) -> bool {
        self.entry.role == Role::Anchor
    }

    /// Whether it is the yardstick without a season.
    fn is_naive(&self) -> bool {
        self.is_anchor() && self.entry.season == SeasonUse::Ignores
    }

    /// Its errors from the origins of `plan`.
    pub fn replay(&self, past: &Past<'_>, plan: &Plan) -> Replay {
        let most_fits = match self.entry.cost {
            Cost::Light => usize::MAX,
            Cost::Heavy => MOST_FITS,
        };
        replay(&self.method, past, plan, most_fits)
    }
}

/// Who won.
#[derive(Debug)]
pub(super) struct Chosen {
    /// The names of those that take part, the weightiest first, with plus signs between.
    pub name: String,
    pub season: Option<Season>,
    pub fitted: Box<dyn Fitted>,
    /// Its own errors; empty when the history could not be replayed.
    pub replayed: Replay,
    /// The errors of choosing as well.
    pub honest: Replay,
    /// Why a yardstick answers, where one does that was not asked for.
    pub fallback: Option<String>,
}

/// One method of the registry with each of `seasons` that it would use.
pub(super) fn variants(entry: &'static Entry, seasons: &Seasons, horizon: usize) -> Vec<Candidate> {
    let with = |seasons: &[Season]| Candidate {
        entry,
        season: seasons.iter().max_by_key(|season| season.steps()).copied(),
        method: Shaped((entry.build)(&Settings { seasons: seasons.to_vec(), horizon: Horizon::new(horizon) })),
    };
    let (found, all) = (seasons.found.as_slice(), seasons.all());
    let each = || all.iter().map(|&season| with(&[season])).collect::<Vec<_>>();
    match entry.season {
        SeasonUse::Ignores => vec![with(&[])],
        SeasonUse::TakesAll | SeasonUse::NeedsAll if found.len() == all.len() => vec![with(found)],
        SeasonUse::TakesAll | SeasonUse::NeedsAll => vec![with(found), with(&all)],
        SeasonUse::Takes if all.is_empty() => vec![with(&[])],
        SeasonUse::Needs if all.is_empty() => vec![with(&[])],
        SeasonUse::Takes | SeasonUse::Needs => each(),
    }
}

/// Everything in the registry but `auto` itself, as far as it suits `past`.
pub(super) fn everyone(past: &Past<'_>, seasons: &Seasons, horizon: usize) -> Vec<Candidate> {
    let present = || past.values().iter().copied().filter(|value| !value.is_nan());
    let smallest = present().fold(f64::INFINITY, f64::min);
    let is_clear_of_zero = smallest > LEAST_SHARE * mean(present());
    let n_zeros = present().filter(|value| *value == 0.0).count();
    let is_intermittent = smallest >= 0.0 && n_zeros as f64 > LEAST_ZEROS * present().count() as f64;
    let has_columns = !past.regressors().columns().is_empty();
    let suits = |entry: &&Entry| {
        let is_for_columns = entry.values == ValueNeed::KnownColumns;
        let has_seasons = !matches!(entry.season, SeasonUse::Needs | SeasonUse::NeedsAll) || !seasons.is_empty();
        let has_values = match entry.values {
            ValueNeed::Any => true,
            ValueNeed::ClearOfZero => is_clear_of_zero,
            ValueNeed::Intermittent => is_intermittent,
            ValueNeed::KnownColumns => has_columns,
        };
        let is_affordable = entry.cost == Cost::Light || past.len() <= LONGEST_FOR_SEARCH || is_for_columns;
        matches!(entry.role, Role::Anchor | Role::Candidate) && has_seasons && has_values && is_affordable
    };
    FORECASTERS.iter().filter(suits).flat_map(|entry| variants(entry, seasons, horizon)).collect()
}

/// What the replays of some candidates say of them.
struct Judged<'a> {
    candidates: &'a [Candidate],
    replays: Vec<Replay>,
    // The root of the mean absolute error per candidate and origin, no origin counting too much.
    roots: Vec<Vec<f64>>,
    // What each origin counts for.
    weights: Vec<f64>,
    // The first origin of whose errors bands are made.
    banded_from: usize,
    middle: Middle,
    sums: Vec<Sum>,
}

/// Weighted sums of the roots of a candidate's and of the first anchor's errors, over the origins where both are known:
/// not every candidate is known at every origin, and some origins are harder than others.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    own: f64,
    usual: f64,
    n_known: usize,
}

impl Sum {
    /// The error as a share of the anchor's.
    fn score(self) -> f64 {
        match (self.own > 0.0, self.usual > 0.0) {
            (false, _) => 0.0,
            (true, true) => (self.own / self.usual).powi(2),
            (true, false) => f64::MAX,
        }
    }
}

impl<'a> Judged<'a> {
    fn new(candidates: &'a [Candidate], past: &Past<'_>, plan: Option<&Plan>) -> Judged<'a> {
        let replays: Vec<Replay> = match plan {
            Some(plan) if !plan.origins.is_empty() => {
                candidates.iter().map(|candidate| candidate.replay(past, plan)).collect()
            }
            _ => vec![Replay::default(); candidates.len()],
        };
        let mut roots = clipped(replays.iter().map(Replay::maes).collect(), candidates);
        roots.iter_mut().flatten().for_each(|mae| *mae = mae.sqrt());
        let mut judged = Judged {
            candidates,
            replays,
            roots,
            weights: plan.map_or_else(Vec::new, discounts),
            banded_from: plan.map_or(0, |plan| banded_from(plan, past.len())),
            middle: if n_apart(plan) >= ENOUGH_APART { Middle::Median } else { Middle::Mean },
            sums: Vec::new(),
        };
        judged.sums = judged.roots.iter().map(|row| judged.sum(row)).collect();
        judged
    }

    /// The place of the candidate that the others' errors are shares of.
    fn reference(&self) -> usize {
        self.candidates.iter().position(Candidate::is_anchor).unwrap_or(0)
    }

    /// Over the origins where `roots` are known.
    fn sum(&self, roots: &[f64]) -> Sum {
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
    fn scores(&self, left_out: Option<usize>) -> Vec<f64> {
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
    fn replayed(&self, pool: Option<&Pool>, allowed: &[bool]) -> Replay {
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

    fn pool(&self, scores: &[f64], allowed: &[bool]) -> Pool {
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

    fn anchors(&self) -> Vec<usize> {
        (0..self.candidates.len()).filter(|&idx| self.candidates[idx].is_anchor()).collect()
    }

    /// Whom to ask, one after the other, when there is no pool: the best by `scores`; without scores a seasonal anchor
    /// first, then any other: the order of trust in a short history.
    fn order(&self, scores: &[f64]) -> Vec<usize> {
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

/// The pool that did best of `candidates` on `past`; the best of them alone, if only one `stands_alone`.
///
/// # Errors
/// When none can be fitted: what the last one said.
pub(super) fn choose(
    candidates: &[Candidate],
    past: &Past<'_>,
    plan: Option<&Plan>,
    horizon: usize,
    stands_alone: bool,
) -> Result<Chosen, FitError> {
    let judged = Judged::new(candidates, past, plan);
    let scores = judged.scores(None);
    let order = judged.order(&scores);
    if stands_alone {
        return alone(&judged, past, &order, horizon, None);
    }
    let fence = Fence::around(past, horizon);
    let mut points = vec![0.0; horizon];
    let mut allowed = vec![true; candidates.len()];
    let mut fitted: Vec<Option<Box<dyn Fitted>>> = candidates.iter().map(|_| None).collect();
    // Until every member of the pool can be fitted and keeps to the ground; each round forbids one.
    loop {
        let pool = judged.pool(&scores, &allowed);
        let sound = |idx: usize, points: &mut [f64]| {
            let fitted = candidates[idx].method.fit(past).ok()?;
            fitted.points_into(past.ahead(), points);
            fence.holds(points).then_some(fitted)
        };
        for &(idx, _) in &pool.members {
            if fitted[idx].is_none() {
                fitted[idx] = sound(idx, &mut points);
                allowed[idx] = fitted[idx].is_some();
            }
        }
        if pool.members.iter().any(|(idx, _)| !allowed[*idx]) {
            continue;
        }
        if pool.members.is_empty() {
            let reason = "the history is too short to compare methods on it";
            return alone(&judged, past, &order, horizon, Some(reason));
        }
        let replayed = judged.replayed(Some(&pool), &allowed);
        if let Some(&anchor) = judged.anchors().iter().min_by(|a, b| scores[**a].total_cmp(&scores[**b])) {
            let roots: Vec<f64> = replayed.maes().into_iter().map(f64::sqrt).collect();
            let (of_anchor, of_pool) = (scores[anchor], judged.sum(&roots).score());
            // Of a few forecasts that hardly differ, the better is so by chance.
            if of_pool > of_anchor * (1.0 + CHANCE / n_apart(plan).sqrt())
                && !(pool.members.len() == 1 && pool.members[0].0 == anchor)
            {
                let reason = "no method did better on the series' own past";
                return alone(&judged, past, &[anchor], horizon, Some(reason));
            }
        }
        let mut names: Vec<&str> = pool.members.iter().map(|(idx, _)| candidates[*idx].entry.name).collect();
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(*name));
        let takes_values = pool.members.iter().all(|(idx, _)| judged.replays[*idx].takes_values);
        let mut members: Vec<(Box<dyn Fitted>, f64)> = pool
            .members
            .iter()
            .filter_map(|(idx, weight)| fitted[*idx].take().map(|fitted| (fitted, *weight)))
            .collect();
        let is_one = members.len() == 1;
        let fitted: Box<dyn Fitted> = match members.pop() {
            Some((fitted, _)) if is_one => fitted,
            last => {
                members.extend(last);
                Box::new(FittedPool { members, middle: pool.middle, takes_values })
            }
        };
        return Ok(Chosen {
            name: names.join("+"),
            season: candidates[pool.members[0].0].season,
            fitted,
            replayed: replayed.from(judged.banded_from).known(),
            honest: judged.replayed(None, &allowed).from(judged.banded_from).known(),
            fallback: None,
        });
    }
}

/// The first of `order` that can be fitted and does not explode.
fn alone(
    judged: &Judged<'_>,
    past: &Past<'_>,
    order: &[usize],
    horizon: usize,
    fallback: Option<&str>,
) -> Result<Chosen, FitError> {
    let fence = Fence::around(past, horizon);
    let mut points = vec![0.0; horizon];
    let mut failure = FitError::TooShort { needed: 1, got: 0 };
    let mut exploded = None;
    for &idx in order {
        let candidate = &judged.candidates[idx];
        match candidate.method.fit(past) {
            Ok(fitted) => {
                let replay = &judged.replays[idx];
                let chosen = Chosen {
                    name: candidate.entry.name.to_owned(),
                    season: candidate.season,
                    fitted,
                    replayed: replay.from(judged.banded_from).known(),
                    honest: replay.from(judged.banded_from).known(),
                    fallback: fallback.map(|reason| format!("{} answers: {reason}", candidate.entry.name)),
                };
                chosen.fitted.points_into(past.ahead(), &mut points);
                if fence.holds(&points) {
                    return Ok(chosen);
                }
                exploded = exploded.or(Some(chosen));
            }
            Err(error) => failure = error,
        }
    }
    // An explosion that was asked for by name is answered as it is.
    exploded.ok_or(failure)
}

/// How many forecasts that do not overlap the origins of `plan` have room for.
fn n_apart(plan: Option<&Plan>) -> f64 {
    plan.map_or(0.0, |plan| 1.0 + plan.span() as f64 / plan.n_leads as f64)
}

/// What each origin of `plan` counts for: the last 1, one a half-life before it half.
fn discounts(plan: &Plan) -> Vec<f64> {
    let apart = plan.span() as f64 / (plan.origins.len().max(2) - 1) as f64;
    let half_life = (HALF_LIFE * plan.n_leads as f64).max(LEAST_HALF_LIFE * apart);
    let last = plan.origins.last().copied().unwrap_or(0);
    plan.origins.iter().map(|origin| 0.5f64.powf((last - origin) as f64 / half_life)).collect()
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

/// The registered method: everything above behind one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Auto {
    /// Seasons are looked for when there is none.
    pub settings: Settings,
}

#[derive(Debug)]
struct FittedAuto(Box<dyn Fitted>);

impl Forecaster for Auto {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let seasons = if self.settings.seasons.is_empty() {
            look_for_seasons(past)
        } else {
            Seasons { found: self.settings.seasons.clone(), hinted: Vec::new() }
        };
        let cycle = seasons.found.first().map(|season| season.steps());
        let horizon = self.settings.horizon.map_or(cycle.unwrap_or(12), Horizon::steps);
        let plan = Plan::new(past.len(), horizon, cycle, MOST_ORIGINS / 2);
        let chosen = choose(&everyone(past, &seasons, horizon), past, plan.as_ref(), horizon, false)?;
        Ok(Box::new(FittedAuto(chosen.fitted)))
    }
}

impl Fitted for FittedAuto {
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]) {
        self.0.points_into(known, points);
    }

    fn quantile_into(&self, share: f64, known: Regressors<'_>, points: &mut [f64]) -> bool {
        self.0.quantile_into(share, known, points)
    }

    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        match self.0.update(value, known) {
            // Another pool might be made with the value.
            Updated::Exact | Updated::Filtered => Updated::Filtered,
            Updated::NeedsRefit => Updated::NeedsRefit,
        }
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        self.0.settings()
    }

    fn n_bytes(&self) -> usize {
        self.0.n_bytes()
    }
}
