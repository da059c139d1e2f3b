//! Auto: the methods that did best on the series' own past, averaged by how well they did.
//!
//! In: any history with a value. Out: one registered method, or a [`Pool`] of several, fitted to the whole history.
//! Every candidate of the registry that suits the history is replayed from rolling origins; seasonal methods stand once
//! per season found, and for one that the history hints at.
//!
//! Who did well is told by the [`Election`]. A method whose forecast explodes ([`Fence`]) is left out. Where the pool
//! does not beat the better of naive and seasonal naive on the past, that one answers, and the answer says so; so it
//! does in a history too short to be replayed.
//!
//! The errors of which bands are made are honest about the choosing: at each origin they are those of the pool that the
//! other origins would have made.

use std::collections::BTreeMap;

use super::astray::Astray;
use super::backtest::{MOST_ORIGINS, Plan, Replay};
use super::candidates::{Candidate, everyone};
use super::election::{Election, n_apart};
use super::guard::Fence;
use super::model::{FitError, Fitted, Forecaster, Horizon, Updated};
use super::past::{Past, Regressors};
use super::pool::FittedPool;
use super::registry::{Entry, Settings};
use super::season::{Seasons, look_for_seasons};
use super::still::Still;
use super::thinned::thinned;
use super::year::Year;
use crate::series::Season;

/// How much better a yardstick must be than the pool to answer in its stead, over the root of the number of forecasts
/// that do not overlap.
const CHANCE: f64 = 0.5;

/// The registry's name of the method this file makes.
pub const AUTO: &str = "auto";

/// Who won.
#[derive(Debug)]
pub(super) struct Chosen {
    /// The names of those that take part, the weightiest first, with plus signs between.
    pub name: String,
    /// The season of the weightiest that has one.
    pub season: Option<Season>,
    pub fitted: Box<dyn Fitted>,
    /// Its own errors; empty when the history could not be replayed.
    pub replayed: Replay,
    /// The errors of choosing as well.
    pub honest: Replay,
    /// Why a yardstick answers that was not asked for, points keep to levels of the past, or a new one is in doubt.
    pub fallback: Option<String>,
    /// What of the past it was not shown.
    pub astray: Astray,
}

impl Chosen {
    /// Kept to the levels of `past`.
    fn still(self, past: &Past<'_>, horizon: usize) -> Chosen {
        let reason = "points keep to levels of the past: the series mostly stands still".to_owned();
        Chosen { fitted: Still::over(self.fitted, past, horizon), fallback: Some(reason), ..self }
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
    let seasons = candidates.iter().filter_map(|candidate| candidate.season).map(Season::steps);
    // Who is asked for by name is shown what there was.
    let astray = if stands_alone { Astray::default() } else { Astray::of(past, seasons, horizon) };
    let election = Election::new(candidates, past, &astray, plan);
    let scores = election.scores(None);
    let order = election.order(&scores);
    if stands_alone {
        return alone(&election, past, plan, &order, horizon, None);
    }
    let fence = Fence::around(past, horizon);
    let mut points = vec![0.0; horizon];
    let mut allowed = vec![true; candidates.len()];
    let mut fitted: Vec<Option<Box<dyn Fitted>>> = candidates.iter().map(|_| None).collect();
    // Until every member of the pool can be fitted and keeps to the ground; each round forbids one.
    loop {
        let pool = election.pool(&scores, &allowed);
        let sound = |idx: usize, points: &mut [f64]| {
            let fitted = election.fit(idx, past)?;
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
            return alone(&election, past, plan, &order, horizon, Some(reason));
        }
        let replayed = election.replayed(Some(&pool), &allowed);
        let stands_still = election.stands_still(&scores);
        if let Some(&anchor) = election.anchors().iter().min_by(|a, b| scores[**a].total_cmp(&scores[**b])) {
            let roots: Vec<f64> = replayed.maes().into_iter().map(f64::sqrt).collect();
            let (of_anchor, of_pool) = (scores[anchor], election.sum(&roots).score());
            // Of a few forecasts that hardly differ, the better is so by chance.
            if of_pool > of_anchor * (1.0 + CHANCE / n_apart(plan).sqrt())
                && !(pool.members.len() == 1 && pool.members[0].0 == anchor)
            {
                let reason = "no method did better on the series' own past";
                let chosen = alone(&election, past, plan, &[anchor], horizon, Some(reason))?;
                return Ok(if stands_still && candidates[anchor].is_naive() {
                    chosen.still(past, horizon)
                } else {
                    chosen
                });
            }
        }
        let mut names: Vec<&str> = pool.members.iter().map(|(idx, _)| candidates[*idx].entry.name).collect();
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(*name));
        let takes_values = pool.members.iter().all(|(idx, _)| election.replays[*idx].takes_values);
        let members: Vec<(Box<dyn Fitted>, f64)> = pool
            .members
            .iter()
            .filter_map(|(idx, weight)| fitted[*idx].take().map(|fitted| (fitted, *weight)))
            .collect();
        let of_members = pool.members.iter().filter_map(|(idx, _)| candidates[*idx].season);
        let longest = of_members.map(Season::steps).max().unwrap_or(0);
        let replays: Vec<&Replay> = pool.members.iter().map(|(idx, _)| &election.replays[*idx]).collect();
        let whole = FittedPool { members, middle: pool.middle, takes_values };
        let mut fitted = thinned(whole, &replays, past, horizon, longest);
        let (mut replayed, mut honest) = (replayed, election.replayed(None, &allowed));
        let seasons = candidates.iter().filter_map(|candidate| candidate.season);
        if let Some(year) = Year::of(past, &astray, seasons, horizon)
            && let Some([own, others]) = year.raised([&replayed, &honest], past, &astray)
        {
            (fitted, replayed, honest) = (year.over(fitted, past), own, others);
        }
        let chosen = Chosen {
            name: names.join("+"),
            season: told(&election, &scores, pool.members.iter().map(|(idx, _)| *idx), plan),
            fitted,
            replayed: Replay { takes_values, ..replayed.from(election.banded_from).known() },
            honest: honest.from(election.banded_from).known(),
            fallback: None,
            astray: astray.clone(),
        };
        return Ok(if stands_still { chosen.still(past, horizon) } else { chosen });
    }
}

/// The season to name where `members` answer, the weightiest first: that of the first that has one. One that is only
/// hinted at must have been worth it on the past; else the longest that was found.
fn told(
    election: &Election<'_>,
    scores: &[f64],
    mut members: impl Iterator<Item = usize>,
    plan: Option<&Plan>,
) -> Option<Season> {
    let candidates = election.candidates;
    let first = &candidates[members.find(|idx| candidates[*idx].season.is_some())?];
    // Among the methods that stand with it and without, as others may owe nothing to the season.
    let stands = |entry: &Entry, hinted: bool| {
        candidates.iter().any(|one| one.entry.name == entry.name && one.is_hinted == hinted)
    };
    let best = |hinted: bool| {
        let alike = candidates.iter().zip(scores).filter(|(one, _)| one.is_hinted == hinted);
        let both = alike.filter(|(one, _)| stands(one.entry, !hinted));
        both.map(|(_, score)| *score).fold(f64::INFINITY, f64::min)
    };
    // Of a few forecasts that hardly differ, the better is so by chance.
    let is_worth_it = || best(true) * (1.0 + CHANCE / n_apart(plan).sqrt()) < best(false);
    if !first.is_hinted || is_worth_it() {
        return first.season;
    }
    let found = candidates.iter().filter(|one| !one.is_hinted).filter_map(|one| one.season);
    found.max_by_key(|season| season.steps())
}

/// The first of `order` that can be fitted and does not explode.
fn alone(
    election: &Election<'_>,
    past: &Past<'_>,
    plan: Option<&Plan>,
    order: &[usize],
    horizon: usize,
    fallback: Option<&str>,
) -> Result<Chosen, FitError> {
    let fence = Fence::around(past, horizon);
    let scores = election.scores(None);
    let mut points = vec![0.0; horizon];
    let mut failure = FitError::TooShort { needed: 1, got: 0 };
    let mut exploded = None;
    for &idx in order {
        let candidate = &election.candidates[idx];
        match election.fitted(idx, past) {
            Ok(fitted) => {
                let replay = &election.replays[idx];
                let chosen = Chosen {
                    name: candidate.entry.name.to_owned(),
                    season: told(election, &scores, std::iter::once(idx), plan),
                    fitted,
                    replayed: replay.from(election.banded_from).known(),
                    honest: replay.from(election.banded_from).known(),
                    fallback: fallback.map(|reason| format!("{} answers: {reason}", candidate.entry.name)),
                    astray: election.astray.clone(),
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
        size_of_val(&*self.0) + self.0.n_bytes()
    }
}
