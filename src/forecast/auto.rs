//! Auto: the methods that did best on the series' own past, averaged by how well they did.
//!
//! In: any history with a value. Out: one registered method, or a [`Pool`] of several, fitted to the whole history.
//! Every candidate of the registry that suits the history is replayed from rolling origins; seasonal methods stand once
//! per season found, and for one that the history hints at.
//!
//! Who did well is judged in [`Judged`]. A method whose forecast explodes ([`Fence`]) is left out. Where the pool does
//! not beat the better of naive and seasonal naive on the past, that one answers, and the answer says so; so it does in
//! a history too short to be replayed.
//!
//! The errors of which bands are made are honest about the choosing: at each origin they are those of the pool that the
//! other origins would have made.

use std::collections::BTreeMap;

use super::astray::Astray;
use super::backtest::{MOST_FITS, MOST_ORIGINS, Plan, Replay, mean, replay_to_the_end};
use super::guard::Fence;
use super::judged::{Judged, n_apart};
use super::model::{FitError, Fitted, Forecaster, Horizon, Updated};
use super::past::{Past, Regressors};
use super::pool::FittedPool;
use super::registry::{Cost, Entry, FORECASTERS, Role, SeasonUse, Settings, ValueNeed};
use super::season::{Seasons, look_for_seasons};
use super::shaped::Shaped;
use super::still::Still;
use super::thinned::thinned;
use super::year::Year;
use crate::series::{Season, median};

/// Multiplicative methods stand for election only where the smallest value is at least this share of the mean: near
/// zero, factors mean nothing.
const LEAST_SHARE: f64 = 0.02;

/// Methods of rare events stand for election where more than this share of the values is zero.
const LEAST_ZEROS: f64 = 0.3;

/// Methods that ask what is usual stand for election, with each season, from so many cycles of the shortest on, gaps not
/// counted: where that many days were seen, a few weeks do well. Where each season needs so many, errors on three of
/// eighteen sets grow by 2 to 6 in a hundred.
const MANY_CYCLES: usize = 16;

/// Methods of one level that is not the mean stand for election from so many horizons on, gaps not counted: in shorter
/// histories the last values say more than what was usual,
const MANY_HORIZONS: usize = 16;

/// unless values leap: changes from cell to cell are on average so many times their median. Of changes by a normal law
/// it is 1.2, by Laplace's 1.4.
const LEAPING: f64 = 3.0;

/// How much better a yardstick must be than the pool to answer in its stead, over the root of the number of forecasts
/// that do not overlap.
const CHANCE: f64 = 0.5;

/// Methods of which a fit is a search stand for election in histories of up to so many cells; in longer ones what they
/// add to the regressions is not worth ten times their cost.
const LONGEST_FOR_SEARCH: usize = 400;

/// The registry's name of the method this file makes.
pub const AUTO: &str = "auto";

/// A method with a season, standing for election.
pub(super) struct Candidate {
    pub entry: &'static Entry,
    /// The longest it uses.
    pub season: Option<Season>,
    /// Whether that is only hinted at.
    pub is_hinted: bool,
    pub method: Shaped<Box<dyn Forecaster>>,
}

impl Candidate {
    /// Whether it is a yardstick.
    pub fn is_anchor(&self) -> bool {
        self.entry.role == Role::Anchor
    }

    /// Whether it is the yardstick without a season.
    pub fn is_naive(&self) -> bool {
        self.is_anchor() && self.entry.season == SeasonUse::Ignores
    }

    /// What it is not shown of what went `astray`: nothing, if it knows what else there was beside values.
    pub fn astray<'a>(&self, astray: &'a Astray) -> &'a Astray {
        if self.entry.values == ValueNeed::KnownColumns { Astray::NONE } else { astray }
    }

    /// Its errors from the origins of `plan`, and the model that stood at the last.
    pub fn replay(&self, past: &Past<'_>, astray: &Astray, plan: &Plan) -> (Replay, Option<Box<dyn Fitted>>) {
        let most_fits = match self.entry.cost {
            Cost::Light => usize::MAX,
            Cost::Heavy => MOST_FITS,
        };
        replay_to_the_end(&self.method, past, self.astray(astray), plan, most_fits)
    }
}

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
}

impl Chosen {
    /// Kept to the levels of `past`.
    fn still(self, past: &Past<'_>, horizon: usize) -> Chosen {
        let reason = "points keep to levels of the past: the series mostly stands still".to_owned();
        Chosen { fitted: Still::over(self.fitted, past, horizon), fallback: Some(reason), ..self }
    }
}

/// One method of the registry with each of `seasons` that it would use.
pub(super) fn variants(entry: &'static Entry, seasons: &Seasons, horizon: usize) -> Vec<Candidate> {
    let with = |of: &[Season]| {
        let season = of.iter().max_by_key(|season| season.steps()).copied();
        Candidate {
            entry,
            season,
            is_hinted: season.is_some_and(|season| seasons.hinted.contains(&season)),
            method: Shaped((entry.build)(&Settings { seasons: of.to_vec(), horizon: Horizon::new(horizon) })),
        }
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
    let shortest = seasons.all().iter().map(|season| season.steps()).min();
    let n_seen = past.len() - past.n_gaps();
    let has_many_cycles = shortest.is_some_and(|steps| n_seen >= steps.saturating_mul(MANY_CYCLES));
    let is_about_a_level = n_seen >= horizon.saturating_mul(MANY_HORIZONS) || is_leaping(past.values());
    let has_columns = !past.regressors().columns().is_empty();
    let suits = |entry: &&Entry| {
        let is_for_columns = entry.values == ValueNeed::KnownColumns;
        let has_seasons = !matches!(entry.season, SeasonUse::Needs | SeasonUse::NeedsAll) || !seasons.is_empty();
        let has_values = match entry.values {
            ValueNeed::Any => true,
            ValueNeed::ClearOfZero => is_clear_of_zero,
            ValueNeed::Intermittent => is_intermittent,
            ValueNeed::KnownColumns => has_columns,
            ValueNeed::ManyCycles => has_many_cycles,
            ValueNeed::Level => is_about_a_level,
        };
        let is_affordable = entry.cost == Cost::Light || past.len() <= LONGEST_FOR_SEARCH || is_for_columns;
        matches!(entry.role, Role::Anchor | Role::Candidate) && has_seasons && has_values && is_affordable
    };
    FORECASTERS.iter().filter(suits).flat_map(|entry| variants(entry, seasons, horizon)).collect()
}

/// Whether most changes from cell to cell are small beside the mean one.
fn is_leaping(values: &[f64]) -> bool {
    let changes = values.iter().zip(values.iter().skip(1)).map(|(before, value)| (value - before).abs());
    let known: Vec<f64> = changes.filter(|change| !change.is_nan()).collect();
    median(&known).is_some_and(|usual| mean(known.iter().copied()) > LEAPING * usual)
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
    let judged = Judged::new(candidates, past, &astray, plan);
    let scores = judged.scores(None);
    let order = judged.order(&scores);
    if stands_alone {
        return alone(&judged, past, plan, &order, horizon, None);
    }
    let fence = Fence::around(past, horizon);
    let mut points = vec![0.0; horizon];
    let mut allowed = vec![true; candidates.len()];
    let mut fitted: Vec<Option<Box<dyn Fitted>>> = candidates.iter().map(|_| None).collect();
    // Until every member of the pool can be fitted and keeps to the ground; each round forbids one.
    loop {
        let pool = judged.pool(&scores, &allowed);
        let sound = |idx: usize, points: &mut [f64]| {
            let fitted = judged.fit(idx, past)?;
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
            return alone(&judged, past, plan, &order, horizon, Some(reason));
        }
        let replayed = judged.replayed(Some(&pool), &allowed);
        let stands_still = judged.stands_still(&scores);
        if let Some(&anchor) = judged.anchors().iter().min_by(|a, b| scores[**a].total_cmp(&scores[**b])) {
            let roots: Vec<f64> = replayed.maes().into_iter().map(f64::sqrt).collect();
            let (of_anchor, of_pool) = (scores[anchor], judged.sum(&roots).score());
            // Of a few forecasts that hardly differ, the better is so by chance.
            if of_pool > of_anchor * (1.0 + CHANCE / n_apart(plan).sqrt())
                && !(pool.members.len() == 1 && pool.members[0].0 == anchor)
            {
                let reason = "no method did better on the series' own past";
                let chosen = alone(&judged, past, plan, &[anchor], horizon, Some(reason))?;
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
        let takes_values = pool.members.iter().all(|(idx, _)| judged.replays[*idx].takes_values);
        let members: Vec<(Box<dyn Fitted>, f64)> = pool
            .members
            .iter()
            .filter_map(|(idx, weight)| fitted[*idx].take().map(|fitted| (fitted, *weight)))
            .collect();
        let of_members = pool.members.iter().filter_map(|(idx, _)| candidates[*idx].season);
        let longest = of_members.map(Season::steps).max().unwrap_or(0);
        let replays: Vec<&Replay> = pool.members.iter().map(|(idx, _)| &judged.replays[*idx]).collect();
        let whole = FittedPool { members, middle: pool.middle, takes_values };
        let mut fitted = thinned(whole, &replays, past, horizon, longest);
        let (mut replayed, mut honest) = (replayed, judged.replayed(None, &allowed));
        let seasons = candidates.iter().filter_map(|candidate| candidate.season);
        if let Some(year) = Year::of(past, &astray, seasons, horizon)
            && let Some([own, others]) = year.raised([&replayed, &honest], past, &astray)
        {
            (fitted, replayed, honest) = (year.over(fitted, past), own, others);
        }
        let chosen = Chosen {
            name: names.join("+"),
            season: told(&judged, &scores, pool.members.iter().map(|(idx, _)| *idx), plan),
            fitted,
            replayed: Replay { takes_values, ..replayed.from(judged.banded_from).known() },
            honest: honest.from(judged.banded_from).known(),
            fallback: None,
        };
        return Ok(if stands_still { chosen.still(past, horizon) } else { chosen });
    }
}

/// The season to name where `members` answer, the weightiest first: that of the first that has one. One that is only
/// hinted at must have been worth it on the past; else the longest that was found.
fn told(
    judged: &Judged<'_>,
    scores: &[f64],
    mut members: impl Iterator<Item = usize>,
    plan: Option<&Plan>,
) -> Option<Season> {
    let candidates = judged.candidates;
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
    judged: &Judged<'_>,
    past: &Past<'_>,
    plan: Option<&Plan>,
    order: &[usize],
    horizon: usize,
    fallback: Option<&str>,
) -> Result<Chosen, FitError> {
    let fence = Fence::around(past, horizon);
    let scores = judged.scores(None);
    let mut points = vec![0.0; horizon];
    let mut failure = FitError::TooShort { needed: 1, got: 0 };
    let mut exploded = None;
    for &idx in order {
        let candidate = &judged.candidates[idx];
        match judged.fitted(idx, past) {
            Ok(fitted) => {
                let replay = &judged.replays[idx];
                let chosen = Chosen {
                    name: candidate.entry.name.to_owned(),
                    season: told(judged, &scores, std::iter::once(idx), plan),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Step;

    #[test]
    fn a_method_that_wants_many_cycles_stands_once_that_many_of_the_shortest_were_seen() {
        let seasons = Seasons { found: [24, 168].into_iter().filter_map(Season::new).collect(), hinted: Vec::new() };
        let with = |values: &[f64]| -> Vec<usize> {
            let past = Past::new(0, Step::seconds(3600), values);
            let candidates = everyone(&past, &seasons, 24);
            let wanting = candidates.iter().filter(|candidate| candidate.entry.values == ValueNeed::ManyCycles);
            wanting.filter_map(|candidate| candidate.season).map(|season| season.steps()).collect()
        };
        let mut values: Vec<f64> = (0..16 * 24).map(|t| f64::from(t % 24 + 5)).collect();
        assert_eq!(with(&values), [24, 168]);
        assert!(with(&values[1..]).is_empty());
        values[7] = f64::NAN;
        assert!(with(&values).is_empty());
    }

    #[test]
    fn a_method_of_a_usual_level_stands_where_there_are_many_horizons_or_values_leap() {
        let stands = |values: &[f64], horizon: usize| {
            let past = Past::new(0, Step::seconds(60), values);
            let seasons = Seasons { found: Vec::new(), hinted: Vec::new() };
            everyone(&past, &seasons, horizon).iter().any(|one| one.entry.values == ValueNeed::Level)
        };
        let mut values: Vec<f64> = (0..160).map(|t| f64::from(t * 37 % 19)).collect();
        assert!(stands(&values, 10) && !stands(&values, 11));
        values[80] = 900.0;
        assert!(stands(&values, 11));
    }
}
