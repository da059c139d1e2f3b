//! Who is to forecast, and how right he was.
//!
//! In: a [`Past`] and a [`Request`]. Out: a [`Fitting`]: the method asked for or chosen, fitted, with its errors on the
//! past; and the values that it was learnt from, which are those the past would have had after a shift, if there was
//! one, and gaps where it was [stuck].

use std::borrow::Cow;

use super::astray::Astray;
use super::auto::{Chosen, choose};
use super::backtest::{MOST_ORIGINS, Plan, accuracy, mean};
use super::candidates::{Candidate, everyone, variants};
use super::facts::Facts;
use super::outlook::Accuracy;
use super::past::Past;
use super::prepare::{ForecastError, Request};
use super::registry::{self, Entry, FORECASTERS, Role, SeasonUse};
use super::season::{SeasonChoice, Seasons, find_seasons, look_beside};
use super::shift::Shift;
use super::stuck;
use crate::series::Season;

/// What errors after a shift must shrink to where the past is seen as it would be after it, and what all errors may
/// grow to by the chance of a few.
const LESS: f64 = 0.7;
const MORE: f64 = 1.1;

/// What all errors must shrink to where a shift is so old that several forecasts were wrong by it.
const MUCH_LESS: f64 = 0.5;

/// Who was chosen, how right he was on the past, and the seasons found.
pub(super) struct Fitting {
    pub chosen: Chosen,
    pub accuracy: Option<Accuracy>,
    pub seasons: Vec<Season>,
}

impl Fitting {
    /// The mean size of the errors at cells from `from` on.
    fn error(&self, from: usize) -> f64 {
        let replayed = &self.chosen.replayed;
        let rows = replayed.origins.iter().zip(&replayed.errors);
        mean(rows.flat_map(|(origin, row)| row.iter().skip(from.saturating_sub(*origin)).map(|error| error.abs())))
    }

    /// The season that stands out most, in steps.
    pub fn cycle(&self) -> Option<usize> {
        self.seasons.first().map(|season| season.steps())
    }
}

/// Learns from `past`, and after a shift from what the past would be after it, where the method may be chosen; with the
/// values that were learnt from. Where the seasons of `past` were looked for before, they are those `found`.
pub(super) fn learn<'a>(
    found: Option<Vec<Season>>,
    past: &Past<'a>,
    request: &Request,
) -> Result<(Fitting, Cow<'a, [f64]>), ForecastError> {
    match unstuck(past, request)? {
        Cow::Borrowed(_) => learn_of_now(found, past, request),
        Cow::Owned(values) => {
            let (fitting, values) = learn_of_now(None, &past.with_values(&values), request)?;
            let values = values.into_owned();
            Ok((fitting, values.into()))
        }
    }
}

/// The values of `past` with gaps where it was stuck for longer than the longest cycle, as far as the method may be
/// chosen.
fn unstuck<'a>(past: &Past<'a>, request: &Request) -> Result<Cow<'a, [f64]>, ForecastError> {
    let entry = registry::find(&request.model)?;
    let mut runs = if entry.role == Role::Chooser { stuck::runs(past.values()) } else { Vec::new() };
    if !runs.is_empty() {
        let rest = stuck::without(past.values(), &runs);
        let seasons = seasons_for(None, &past.with_values(&rest), request, entry).found;
        let longest = seasons.iter().map(|season| season.steps()).max().unwrap_or(usize::MAX);
        runs.retain(|run| run.len() > longest);
    }
    Ok(stuck::without(past.values(), &runs))
}

/// The same of a past that was not stuck.
fn learn_of_now<'a>(
    found: Option<Vec<Season>>,
    past: &Past<'a>,
    request: &Request,
) -> Result<(Fitting, Cow<'a, [f64]>), ForecastError> {
    let mut before = learn_once(found, past, request)?;
    let is_chooser = registry::find(&request.model)?.role == Role::Chooser;
    let shift = Shift::of(&before.chosen.replayed, past, before.cycle())
        .filter(|_| is_chooser && past.regressors().columns().is_empty() && before.chosen.fallback.is_none());
    let Some(shift) = shift else { return Ok((before, past.values().into())) };
    let values = shift.everywhere(past.values());
    // A past that is moved may go beyond what the metric can be; its points are kept to that in the end.
    let facts = Facts { min: None, max: None, ..past.facts().clone() };
    let after = learn_once(None, &past.with_values(&values).with_facts(&facts), request);
    let is_old = shift.is_old(request.horizon.steps());
    // Errors are not larger without it, and those of it are clearly smaller.
    let is_better = |after: &Fitting| {
        let [since, all] = [shift.began(past), 0].map(|from| after.error(from) / before.error(from));
        since <= LESS && all <= shift.scale() * if is_old { MUCH_LESS } else { MORE }
    };
    let Some(mut after) = after.ok().filter(is_better) else { return Ok((before, past.values().into())) };
    let cycle = before.cycle();
    let takes_values = after.chosen.replayed.takes_values && before.chosen.replayed.takes_values;
    if shift.is_young(cycle) {
        before.chosen.fitted = shift.between(after.chosen.fitted, before.chosen.fitted, cycle, takes_values);
        before.chosen.fallback = Some(shift.reason(false));
        return Ok((before, past.values().into()));
    }
    if !is_old {
        after.chosen.fitted = shift.between(after.chosen.fitted, before.chosen.fitted, cycle, takes_values);
        let reasons = [Some(shift.reason(true)), after.chosen.fallback.take()];
        after.chosen.fallback = Some(reasons.into_iter().flatten().collect::<Vec<_>>().join("; "));
    }
    // How right forecasts were is told of the past as it was: none of them knew of the shift.
    after.accuracy = before.accuracy;
    Ok((after, values.into()))
}

fn learn_once(found: Option<Vec<Season>>, past: &Past<'_>, request: &Request) -> Result<Fitting, ForecastError> {
    let (entry, seasons) = look(found, past, request)?;
    let found = &seasons.found;
    // The longest season decides how much must lie before the first origin, if the past can give it.
    let longest = found.iter().map(|season| season.steps()).filter(|steps| steps * 4 <= past.len()).max();
    let lead_in = longest.or_else(|| found.first().map(|season| season.steps()));
    let horizon = request.horizon.steps();
    let plan = Plan::new(past.len(), horizon, lead_in, MOST_ORIGINS);
    let chosen = chosen(past, request, entry, &seasons, plan.as_ref())?;
    let season = found.first().filter(|season| season.steps() < past.len()).copied();
    let accuracy = plan.and_then(|plan| {
        let baseline = baseline(season, horizon).replay(past, Astray::NONE, &plan).0;
        accuracy(past, &chosen.replayed, &baseline, season.map(Season::steps))
    });
    Ok(Fitting { chosen, accuracy, seasons: seasons.found })
}

/// Who is chosen when replayed from the origins of `plan`, and the seasons found.
pub(super) fn learn_on(
    past: &Past<'_>,
    request: &Request,
    plan: Option<Plan>,
) -> Result<(Chosen, Vec<Season>), ForecastError> {
    let values = unstuck(past, request)?;
    let past = &past.with_values(&values);
    let (entry, seasons) = look(None, past, request)?;
    Ok((chosen(past, request, entry, &seasons, plan.as_ref())?, seasons.found))
}

/// The method asked for, and the seasons to try.
fn look(
    found: Option<Vec<Season>>,
    past: &Past<'_>,
    request: &Request,
) -> Result<(&'static Entry, Seasons), ForecastError> {
    let entry = registry::find(&request.model)?;
    if past.last_seen().is_none() {
        return Err(ForecastError::Empty);
    }
    Ok((entry, seasons_for(found, past, request, entry)))
}

fn chosen(
    past: &Past<'_>,
    request: &Request,
    entry: &'static Entry,
    seasons: &Seasons,
    plan: Option<&Plan>,
) -> Result<Chosen, ForecastError> {
    let horizon = request.horizon.steps();
    let is_chooser = entry.role == Role::Chooser;
    let candidates: Vec<Candidate> =
        if is_chooser { everyone(past, seasons, horizon) } else { variants(entry, seasons, horizon) };
    choose(&candidates, past, plan, horizon, !is_chooser)
        .map_err(|source| ForecastError::Fit { model: entry.name.to_owned(), source })
}

/// The yardstick of every answer: the registry's anchor that uses a season, where there is one, else the one without.
pub(super) fn baseline(season: Option<Season>, horizon: usize) -> Candidate {
    let suits = |use_of: SeasonUse| (use_of == SeasonUse::Needs) == season.is_some();
    let entry = FORECASTERS.iter().find(|entry| entry.role == Role::Anchor && suits(entry.season));
    let entry = entry.expect("an anchor with a season and one without are registered");
    let seasons = Seasons { found: season.into_iter().collect(), hinted: Vec::new() };
    variants(entry, &seasons, horizon).swap_remove(0)
}

/// The season that was given.
pub(super) fn given(request: &Request) -> Option<Season> {
    match request.season {
        SeasonChoice::Steps(given) => Some(given),
        SeasonChoice::Auto | SeasonChoice::None => None,
    }
}

/// The seasons to try, the one that stands out most first.
fn seasons_for(found: Option<Vec<Season>>, past: &Past<'_>, request: &Request, entry: &Entry) -> Seasons {
    let is_chooser = entry.role == Role::Chooser;
    match request.season {
        SeasonChoice::None => Seasons::default(),
        SeasonChoice::Auto => {
            let found = found.unwrap_or_else(|| find_seasons(past));
            if is_chooser { look_beside(found, past) } else { Seasons { found, hinted: Vec::new() } }
        }
        // Who chooses may try a longer cycle made of whole given ones beside them: the week over the day.
        SeasonChoice::Steps(given) => {
            let is_longer =
                |found: &Season| found.steps() > given.steps() && found.steps().is_multiple_of(given.steps());
            let found = if is_chooser { find_seasons(past) } else { Vec::new() };
            Seasons { found: vec![given], hinted: found.into_iter().filter(is_longer).take(1).collect() }
        }
    }
}
