//! Auto: the method that did best on the series' own past.
//!
//! In: any history with a value. Out: the registered method with the least mean absolute error over a replay from
//! rolling origins, fitted to the whole history. Seasonal methods stand for election once per season found.
//!
//! Judged are the origins in the later half. Three rules keep luck from winning. A method has to beat the better of
//! naive and seasonal naive by [`LEAST_GAIN`], so the answer is never worse than naive on its own replay. One origin
//! that went wild counts for at most [`WILDEST`] times the usual error of naive. And a winner whose forecast explodes
//! ([`Fence`]) is passed over. A history too short to be replayed gets the seasonal naive, or the naive.
//!
//! The errors of which bands are made are honest about the choosing: at each origin they are those of the method that
//! the other origins would have chosen.

use std::collections::BTreeMap;

use super::backtest::{MOST_FITS, MOST_ORIGINS, Plan, Replay, mean, replay};
use super::guard::Fence;
use super::model::{FitError, Fitted, Forecaster, Horizon, Updated};
use super::past::{Past, Regressors};
use super::registry::{Cost, Entry, FORECASTERS, Role, SeasonUse, Settings, ValueNeed};
use super::season::find_seasons;
use super::shaped::Shaped;
use crate::series::{Season, median};

/// How much better than the better naive a method must be.
const LEAST_GAIN: f64 = 0.01;

/// What an origin counts for at most, in usual errors of naive.
const WILDEST: f64 = 20.0;

/// Multiplicative methods stand for election only where the smallest value is at least this share of the mean: near
/// zero, factors mean nothing.
const LEAST_SHARE: f64 = 0.02;

/// Methods of rare events stand for election where more than this share of the values is zero.
const LEAST_ZEROS: f64 = 0.3;

/// Origins that are enough to judge by.
const ENOUGH_ORIGINS: usize = 12;

/// A candidate must be known at one in so many of the origins that the best known is.
const LEAST_KNOWN: usize = 4;

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
    pub entry: &'static Entry,
    pub season: Option<Season>,
    pub fitted: Box<dyn Fitted>,
    /// Its own errors; empty when the history could not be replayed.
    pub replayed: Replay,
    /// The errors of choosing as well.
    pub honest: Replay,
}

/// One method of the registry with each of `seasons` that it would use.
pub(super) fn variants(entry: &'static Entry, seasons: &[Season], horizon: usize) -> Vec<Candidate> {
    let with = |seasons: &[Season]| Candidate {
        entry,
        season: seasons.iter().max_by_key(|season| season.steps()).copied(),
        method: Shaped((entry.build)(&Settings { seasons: seasons.to_vec(), horizon: Horizon::new(horizon) })),
    };
    match entry.season {
        SeasonUse::Ignores => vec![with(&[])],
        SeasonUse::TakesAll | SeasonUse::NeedsAll => vec![with(seasons)],
        SeasonUse::Takes | SeasonUse::Needs if seasons.is_empty() => vec![with(&[])],
        SeasonUse::Takes | SeasonUse::Needs => seasons.iter().map(|&season| with(&[season])).collect(),
    }
}

/// Everything in the registry but `auto` itself, as far as it suits `past`.
pub(super) fn everyone(past: &Past<'_>, seasons: &[Season], horizon: usize) -> Vec<Candidate> {
    let present = || past.values().iter().copied().filter(|value| !value.is_nan());
    let smallest = present().fold(f64::INFINITY, f64::min);
    let is_clear_of_zero = smallest > LEAST_SHARE * mean(present());
    let n_zeros = present().filter(|value| *value == 0.0).count();
    let is_intermittent = smallest >= 0.0 && n_zeros as f64 > LEAST_ZEROS * present().count() as f64;
    let suits = |entry: &&Entry| {
        let has_seasons = !matches!(entry.season, SeasonUse::Needs | SeasonUse::NeedsAll) || !seasons.is_empty();
        let has_values = match entry.values {
            ValueNeed::Any => true,
            ValueNeed::ClearOfZero => is_clear_of_zero,
            ValueNeed::Intermittent => is_intermittent,
        };
        !matches!(entry.role, Role::Chooser | Role::Named) && has_seasons && has_values
    };
    FORECASTERS.iter().filter(suits).flat_map(|entry| variants(entry, seasons, horizon)).collect()
}

/// The best of `candidates` on `past`.
///
/// # Errors
/// When none can be fitted: what the last one said.
pub(super) fn choose(
    candidates: &[Candidate],
    past: &Past<'_>,
    plan: Option<&Plan>,
    horizon: usize,
) -> Result<Chosen, FitError> {
    let replays: Vec<Replay> = match plan {
        Some(plan) if !plan.origins.is_empty() => {
            candidates.iter().map(|candidate| candidate.replay(past, plan)).collect()
        }
        _ => vec![Replay::default(); candidates.len()],
    };
    let mut maes = clipped(replays.iter().map(Replay::maes).collect(), candidates);
    let judged_from = plan.map_or(0, |plan| judged_from(plan, past.len()));
    maes.iter_mut().for_each(|row| row.iter_mut().take(judged_from).for_each(|mae| *mae = f64::NAN));
    let anchors: Vec<usize> = (0..candidates.len()).filter(|&idx| candidates[idx].is_anchor()).collect();
    let order = ranking(&maes, &anchors, None);
    let fence = Fence::around(past, horizon);
    let mut points = vec![0.0; horizon];
    let mut failure = FitError::TooShort { needed: 1, got: 0 };
    let mut exploded = None;
    for &idx in &order {
        let candidate = &candidates[idx];
        match candidate.method.fit(past) {
            Ok(fitted) => {
                let chosen = Chosen {
                    entry: candidate.entry,
                    season: candidate.season,
                    fitted,
                    replayed: replays[idx].from(judged_from).known(),
                    honest: honest(&replays, &maes, &anchors, &order, idx),
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

/// The first origin that candidates are judged by: those in the later half of the history, if they are enough, as a
/// method should do well with as much history as there is now.
fn judged_from(plan: &Plan, n_cells: usize) -> usize {
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

/// Candidates from best to worst, leaving out origin `left_out`; those that missed nearly all origins last.
fn ranking(maes: &[Vec<f64>], anchors: &[usize], left_out: Option<usize>) -> Vec<usize> {
    let n_origins = maes.first().map_or(0, Vec::len);
    let n_known = |idx: usize| maes[idx].iter().filter(|mae| !mae.is_nan()).count();
    let most_known = (0..maes.len()).map(n_known).max().unwrap_or(0);
    let kept = |nr: &usize| Some(*nr) != left_out;
    // Not every candidate is known at every origin, and some origins are harder than others, so each is measured
    // against the first anchor at the origins where it is known.
    let reference = anchors.first().copied().unwrap_or(0);
    let score_of = |idx: usize| -> f64 {
        let both: Vec<(f64, f64)> = (0..n_origins)
            .filter(kept)
            .map(|nr| (maes[idx][nr], maes[reference][nr]))
            .filter(|(mae, usual)| !mae.is_nan() && !usual.is_nan())
            .collect();
        if both.is_empty() || (both.len() + 1) * LEAST_KNOWN < most_known {
            return f64::INFINITY;
        }
        let (own, usual) = (mean(both.iter().map(|pair| pair.0)), mean(both.iter().map(|pair| pair.1)));
        match (own > 0.0, usual > 0.0) {
            (false, _) => 0.0,
            (true, true) => own / usual,
            (true, false) => f64::MAX,
        }
    };
    let mut scores: Vec<f64> = (0..maes.len()).map(score_of).collect();
    let best_anchor = anchors.iter().map(|&idx| scores[idx]).fold(f64::INFINITY, f64::min);
    for (idx, score) in scores.iter_mut().enumerate() {
        // Not enough of a gain puts a method behind the anchors.
        let is_gain = *score < best_anchor * (1.0 - LEAST_GAIN);
        if !anchors.is_empty() && !anchors.contains(&idx) && score.is_finite() && !is_gain {
            *score = score.max(best_anchor) * (1.0 + 2.0 * LEAST_GAIN) + f64::MIN_POSITIVE;
        }
    }
    let mut order: Vec<usize> = (0..maes.len()).collect();
    // Without scores to compare, a seasonal anchor goes first, then any other: the order of trust in a short history.
    let trust = |idx: usize| match anchors.iter().rposition(|&anchor| anchor == idx) {
        Some(place) => anchors.len() - place,
        None => anchors.len() + 1 + idx,
    };
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(trust(a).cmp(&trust(b))));
    order
}

/// The errors at each origin of whom the other origins would have chosen among those ranked no better than `chosen`.
fn honest(replays: &[Replay], maes: &[Vec<f64>], anchors: &[usize], order: &[usize], chosen: usize) -> Replay {
    let mut replayed = replays[chosen].clone();
    let passed_over: Vec<usize> = order.iter().copied().take_while(|&idx| idx != chosen).collect();
    for nr in 0..replayed.errors.len() {
        let order = ranking(maes, anchors, Some(nr));
        if let Some(winner) = order.into_iter().find(|idx| !passed_over.contains(idx)) {
            let is_known = replays[winner].errors[nr].iter().any(|error| !error.is_nan());
            if is_known {
                replayed.errors[nr].clone_from(&replays[winner].errors[nr]);
            }
        }
    }
    replayed.known()
}

/// The registered method: everything above behind one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Auto {
    /// Seasons are looked for when there is none.
    pub settings: Settings,
}

#[derive(Debug)]
struct FittedAuto(Chosen);

impl Forecaster for Auto {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let found = if self.settings.seasons.is_empty() { find_seasons(past) } else { Vec::new() };
        let seasons = if found.is_empty() { &self.settings.seasons } else { &found };
        let cycle = seasons.first().map(|season| season.steps());
        let horizon = self.settings.horizon.map_or(cycle.unwrap_or(12), Horizon::steps);
        let plan = Plan::new(past.len(), horizon, cycle, MOST_ORIGINS / 2);
        Ok(Box::new(FittedAuto(choose(&everyone(past, seasons, horizon), past, plan.as_ref(), horizon)?)))
    }
}

impl Fitted for FittedAuto {
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]) {
        self.0.fitted.points_into(known, points);
    }

    fn quantile_into(&self, share: f64, known: Regressors<'_>, points: &mut [f64]) -> bool {
        self.0.fitted.quantile_into(share, known, points)
    }

    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        match self.0.fitted.update(value, known) {
            // Another method might be chosen with the value.
            Updated::Exact | Updated::Filtered => Updated::Filtered,
            Updated::NeedsRefit => Updated::NeedsRefit,
        }
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        self.0.fitted.settings()
    }

    fn n_bytes(&self) -> usize {
        let errors = |replay: &Replay| replay.errors.iter().map(|row| size_of_val(row.as_slice())).sum::<usize>();
        self.0.fitted.n_bytes() + errors(&self.0.replayed) + errors(&self.0.honest)
    }
}
