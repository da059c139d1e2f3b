//! Who stands for election: the methods of the registry that suit a history, with each season they would use.
//!
//! In: a [`Past`], its seasons, a horizon. Out: [`Candidate`]s, which can be replayed and fitted. What suits whom is in
//! the registry; what a history must have for it is here.

use super::astray::Astray;
use super::backtest::{MOST_FITS, Plan, Replay, mean, replay_to_the_end};
use super::model::{Fitted, Forecaster, Horizon};
use super::past::Past;
use super::registry::{Cost, Entry, FORECASTERS, Role, SeasonUse, Settings, ValueNeed};
use super::season::Seasons;
use super::shaped::Shaped;
use crate::series::{Season, median};

/// Multiplicative methods stand for election only where the smallest value is at least this share of the mean: near
/// zero, factors mean nothing.
const LEAST_SHARE: f64 = 0.02;

/// Methods of rare events stand for election where more than this share of the values is zero.
const LEAST_ZEROS: f64 = 0.3;

/// Methods that ask what is usual stand for election, with each season, from so many cycles of the shortest on, gaps
/// not counted: where that many days were seen, a few weeks do well. Where each season needs so many, errors on three
/// of eighteen sets grow by 2 to 6 in a hundred.
const MANY_CYCLES: usize = 16;

/// Methods of one level that is not the mean stand for election from so many horizons on, gaps not counted: in shorter
/// histories the last values say more than what was usual,
const MANY_HORIZONS: usize = 16;

/// unless values leap: changes from cell to cell are on average so many times their median. Of changes by a normal law
/// it is 1.2, by Laplace's 1.4.
const LEAPING: f64 = 3.0;

/// Methods of which a fit is a search stand for election in histories of up to so many cells; in longer ones what they
/// add to the regressions is not worth ten times their cost.
const LONGEST_FOR_SEARCH: usize = 400;

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
