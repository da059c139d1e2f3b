//! Which cycle, if any, does a series repeat?
//!
//! In: a history. Out: at most two seasons, the one that explains most first; none for noise, trends and random walks.
//!
//! Cycles of the calendar are tested first, shortest first, by folding: do the places of the cycle differ by more than
//! the cycles do (an F test, with a stricter bar for autocorrelated noise)? What shorter cycles explain is taken off
//! first, so that multiples of a cycle explain nothing more. A long cycle made of shorter ones, a week of days, is also
//! tested on the means of its days, as its many places would dilute the effect. What they leave is searched for a cycle
//! that no calendar knows; it must pass the same test and explain at least as much as the calendar's does, which is
//! then asked anew, so that none found there by mistake ends the search. Source: the fold test is one-way analysis of
//! variance; the search follows Vlachos, Yu and Castelli, "On periodicity detection and structural periodic similarity"
//! (AUTOPERIOD), 2005.

mod calendar;
mod fold;
mod search;

use std::str::FromStr;

use calendar::{candidates, is_count_alone, is_day, is_rounded};
use fold::{LEAST_GAIN, comes_back, evenness, explained, fold, fold_test, subtract_profile, variance};
use search::{most_explained, search};

use super::backtest::mean;
use super::past::Past;
use super::scale::Scale;
use crate::series::{Season, mad, median};

/// How the season is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeasonChoice {
    /// Looked for in the history.
    #[default]
    Auto,
    /// None, whatever the history looks like.
    None,
    /// Given.
    Steps(Season),
}

/// A season that is neither `auto`, `none` nor a number of at least 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the season is `{0}`, but must be `auto`, `none` or a number of steps of at least 2")]
pub struct SeasonChoiceError(pub String);

impl FromStr for SeasonChoice {
    type Err = SeasonChoiceError;

    fn from_str(text: &str) -> Result<SeasonChoice, SeasonChoiceError> {
        match text.trim() {
            "auto" => Ok(SeasonChoice::Auto),
            "none" => Ok(SeasonChoice::None),
            steps => steps
                .parse()
                .ok()
                .and_then(Season::new)
                .map(SeasonChoice::Steps)
                .ok_or_else(|| SeasonChoiceError(text.to_owned())),
        }
    }
}

/// Cells that are looked at, the last ones; four weeks of minutes.
const LONGEST: usize = 40_320;

/// Fewer values tell of no cycle.
const LEAST_VALUES: usize = 8;

/// The chance of noise at which a cycle is no more than hinted at.
const HINT: f64 = 0.1;

/// Cycles of which a history must have so many for a hint.
const HINT_CYCLES: usize = 3;

/// What share of the variance the calendar's cycles must leave for others to be searched for.
const MOST_LEFT: f64 = 0.2;

/// Cycles of which a history must have so many to be searched for,
const SEARCH_CYCLES: usize = 3;

/// and beside one of the calendar, as what wanders seems to come back once or twice.
const COMPETING_CYCLES: usize = 8;

/// Only so many of the last cells are searched for such a one, for the time it takes.
const COMPETING_CELLS: usize = 4_096;

/// Where there are gaps: how evenly a cycle's places must be seen, as a share of the most.
const EVENLY: f64 = 2.0 / 3.0;

/// What share of a found cycle's gain its neighbour in the calendar must have.
const AS_GOOD: f64 = 0.95;

/// The seasons of a history.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seasons {
    /// Beyond doubt; the one that stands out most first.
    pub found: Vec<Season>,
    /// Not beyond doubt, but worth a try: who uses it is judged by its errors.
    pub hinted: Vec<Season>,
}

impl Seasons {
    /// All, those found first.
    pub fn all(&self) -> Vec<Season> {
        self.found.iter().chain(&self.hinted).copied().collect()
    }

    /// Whether there is none to try.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.hinted.is_empty()
    }
}

/// The seasons found, and one more to try: the week over a day, the month or year over a week of days, which only about
/// repeat, or the likeliest cycle of a short history.
pub(super) fn look_for_seasons(past: &Past<'_>) -> Seasons {
    look_beside(find_seasons(past), past)
}

/// The same where those that were `found` in `past` are known.
pub(super) fn look_beside(mut found: Vec<Season>, past: &Past<'_>) -> Seasons {
    let n = past.len();
    let is_whole = |season: &Season| !is_rounded(season.steps(), past.step());
    if found.iter().any(is_whole)
        && let Some(at) = found.iter().position(|season| !is_whole(season))
    {
        let rounded = found.remove(at);
        return Seasons { found, hinted: vec![rounded] };
    }
    let is_new = |steps: &usize| steps * HINT_CYCLES <= n && found.iter().all(|season| season.steps() != *steps);
    let hinted = if found.is_empty() {
        likeliest(past)
    } else {
        let days = found.iter().map(|season| season.steps()).filter(|steps| is_day(*steps, past.step()));
        days.map(|steps| 7 * steps).min()
    };
    let hinted = hinted.filter(is_new).and_then(Season::new).into_iter().collect();
    Seasons { found, hinted }
}

/// The customary cycle that chance explains least, of a history in which none is beyond doubt; none where most is gaps.
fn likeliest(past: &Past<'_>) -> Option<usize> {
    let tail = past.tail(LONGEST);
    if tail.len() < LEAST_VALUES || tail.n_gaps() * 2 > tail.len() {
        return None;
    }
    let values = calmed(tail.values());
    let tested = evenly_seen(candidates(&tail), &tail).into_iter().filter(|steps| steps * HINT_CYCLES <= values.len());
    let likely = tested.filter_map(|steps| {
        let (_, chance) = fold(&values, steps, 0)?;
        (chance < HINT).then_some((steps, chance))
    });
    likely.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(steps, _)| steps)
}

/// The season that stands out most, or `None`.
pub fn find_season<'a>(past: impl Into<Past<'a>>) -> Option<Season> {
    find_seasons(past).first().copied()
}

/// At most two seasons, the one that explains most of the history first.
pub fn find_seasons<'a>(past: impl Into<Past<'a>>) -> Vec<Season> {
    let tail = past.into().tail(LONGEST);
    if tail.len() - tail.n_gaps() < LEAST_VALUES {
        return Vec::new();
    }
    let values = calmed(tail.values());
    let candidates = evenly_seen(candidates(&tail), &tail);
    let is_count = |steps: usize| is_count_alone(steps, tail.step());
    let mut rest = values.clone();
    let found = of_calendar(&mut rest, &candidates, None, is_count);
    // What is filled in between a few values has a spectrum of its own.
    let other = if tail.n_gaps() * 2 > tail.len() {
        None
    } else if found.is_empty() {
        search(&rest, &values, &found, values.len() / SEARCH_CYCLES)
    } else {
        competing(&rest, &values, &found)
    };
    let is_even = |other: &Found| {
        evenly_seen(candidates.iter().copied().chain([other.steps]).collect(), &tail).contains(&other.steps)
    };
    let Some(other) = other.filter(is_even).map(|other| snapped(other, &values, &candidates)) else {
        return ranked(&found);
    };
    if found.is_empty() {
        return ranked(&[other]);
    }
    // What the calendar explains is asked anew beside it: after what it is a multiple of, before what it is not.
    let mut rest = values;
    if found.iter().any(|one| other.steps.is_multiple_of(one.steps)) {
        let mut all = candidates;
        let at = all.partition_point(|steps| *steps < other.steps);
        all.insert(at, other.steps);
        all.dedup();
        return ranked(&of_calendar(&mut rest, &all, None, is_count));
    }
    subtract_profile(&mut rest, other.steps);
    let mut all = of_calendar(&mut rest, &candidates, Some(other), is_count);
    all.push(other);
    ranked(&all)
}

/// A cycle that explains as much of `values` as any that was `found`, searched for in what those left of the last
/// cells.
fn competing(rest: &[f64], values: &[f64], found: &[Found]) -> Option<Found> {
    if variance(rest) <= MOST_LEFT * variance(values) {
        return None;
    }
    let from = values.len().saturating_sub(COMPETING_CELLS);
    let late = &values[from..];
    let other = search(&rest[from..], late, found, late.len() / COMPETING_CYCLES)?;
    let gain = fold_test(values, other.steps, 0)?;
    (gain >= most_explained(values, found)).then_some(Found { gain, ..other })
}

/// The shortest cycle that `whole` is made of and that explains about as much of `rest`; it itself where none does.
fn shortest_part(whole: Found, rest: &[f64], shorter: &[Found]) -> Found {
    let parts = (4..=whole.steps / 2).filter(|steps| whole.steps.is_multiple_of(*steps));
    let passed = parts.filter_map(|steps| Some(Found { steps, gain: test(rest, steps, shorter)? }));
    let mut as_good = passed.filter(|part| part.gain >= AS_GOOD * whole.gain);
    as_good.next().unwrap_or(whole)
}

/// Those of `candidates` whose places are seen about as evenly as any one's.
fn evenly_seen(candidates: Vec<usize>, past: &Past<'_>) -> Vec<usize> {
    if past.n_gaps() == 0 {
        return candidates;
    }
    let evenness: Vec<f64> = candidates.iter().map(|steps| evenness(past.values(), *steps)).collect();
    let most = evenness.iter().copied().fold(0.0, f64::max);
    let is_even = |evenness: &f64| *evenness >= EVENLY * most;
    candidates.into_iter().zip(evenness).filter(|(_, evenness)| is_even(evenness)).map(|(steps, _)| steps).collect()
}

/// The cycles among `candidates` that pass, each taken off `rest` before the next is tested; beside one that was taken
/// off already. Of what `is_count` alone the shortest part is taken that explains as much: 288 steps may be six times
/// 48.
fn of_calendar(
    rest: &mut [f64],
    candidates: &[usize],
    known: Option<Found>,
    is_count: impl Fn(usize) -> bool,
) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for &steps in candidates {
        let shorter: Vec<Found> = found.iter().chain(&known).filter(|one| one.steps < steps).copied().collect();
        if let Some(gain) = test(rest, steps, &shorter) {
            let one = Found { steps, gain };
            let one = if is_count(steps) { shortest_part(one, rest, &shorter) } else { one };
            subtract_profile(rest, one.steps);
            found.push(one);
        }
    }
    found
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Found {
    steps: usize,
    /// Share of the variance at hand that it explained.
    gain: f64,
}

/// The strongest two; a cycle that is only the overtone of a longer one, explaining less than that, is dropped.
fn ranked(found: &[Found]) -> Vec<Season> {
    let is_overtone = |one: &Found| {
        found.iter().any(|other| {
            other.steps > one.steps && other.steps.is_multiple_of(one.steps) && {
                // A longer cycle's gain was measured on what this one had left.
                other.gain * (1.0 - one.gain) >= 0.5 * one.gain
            }
        })
    };
    let mut kept: Vec<Found> = found.iter().filter(|one| !is_overtone(one)).copied().collect();
    kept.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    kept.into_iter().take(2).filter_map(|one| Season::new(one.steps)).collect()
}

/// Scaled values with single outliers held back, which would otherwise pass for a pattern or drown one.
fn calmed(values: &[f64]) -> Vec<f64> {
    let scale = Scale::centred(values);
    let mut scaled: Vec<f64> = values.iter().map(|value| scale.apply(*value)).collect();
    let centre = median(&scaled).unwrap_or(0.0);
    let spread = 1.4826 * mad(&scaled, centre).unwrap_or(0.0);
    if spread > 0.0 {
        for value in &mut scaled {
            *value = value.clamp(centre - 10.0 * spread, centre + 10.0 * spread);
        }
    }
    scaled
}

/// The share of the variance that the cycle explains beyond what chance would; `None` when it fails the test.
fn test(rest: &[f64], steps: usize, shorter: &[Found]) -> Option<f64> {
    let nested = shorter.iter().filter(|found| steps.is_multiple_of(found.steps)).map(|found| found.steps).max();
    let gain = fold_test(rest, steps, nested.map_or(0, |inner| inner - 1));
    let is_confirmed = |gain: &f64| *gain > 0.4 || comes_back(rest, steps);
    if let Some(gain) = gain.filter(is_confirmed) {
        return Some(gain);
    }
    // Days of a week, hours of a day: fewer places, each the mean of an inner cycle.
    let inner = nested.filter(|inner| (4..=200).contains(&(steps / inner)))?;
    let from = rest.len() % steps;
    let means: Vec<f64> = rest[from..].chunks_exact(inner).map(|cells| mean(cells.iter().copied())).collect();
    let outer = steps / inner;
    if means.len() < 2 * outer {
        return None;
    }
    fold_test(&means, outer, 0)?;
    // What counts is the share of the whole that the means explain.
    let share = explained(&means, outer) / variance(rest).max(f64::MIN_POSITIVE);
    (share >= LEAST_GAIN).then_some(share.min(1.0))
}

/// The calendar's cycle where a found one is off by a step or 2 % and explains hardly more: in noise, the neighbour may
/// look better by chance.
fn snapped(found: Found, values: &[f64], candidates: &[usize]) -> Found {
    let reach = (found.steps / 50).max(1);
    let near = candidates.iter().filter(|known| known.abs_diff(found.steps) <= reach);
    let explains = |steps: usize| Some(Found { steps, gain: fold_test(values, steps, 0)? });
    let as_good = near.filter_map(|steps| explains(*steps)).filter(|known| known.gain >= AS_GOOD * found.gain);
    as_good.min_by_key(|known| known.steps.abs_diff(found.steps)).unwrap_or(found)
}

#[cfg(test)]
mod tests;
