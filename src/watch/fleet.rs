//! Capacity questions: which series have a limit, what it is, and the answers kept at hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;

use super::error::WatchError;
use super::history::{native_step, samples_of, span_for, until};
use super::roster::Roster;
use super::schedule::Schedule;
use super::standing::Plans;
use crate::capacity::{Assessment, CapacitySettings, Exhaustion, Limit, assess};
use crate::events::PlannedEvents;
use crate::forecast::Events;
use crate::presets::Presets;
use crate::series::{DAY, HOUR, History, Key, Millis, SECOND, Selector, Side, Step};
use crate::storage::{SelectError, Store};

/// Cells of history an assessment reads; it averages down to a fraction of them.
const CELLS: usize = 100_000;
/// Series assessed for one question at most.
const MAX_ASKED: usize = 1_000;
/// How long a question about the whole fleet may assess what is not at hand.
const PATIENCE: Duration = Duration::from_secs(5);
/// When a series that could not be assessed is tried again.
const RETRY: Millis = 30 * SECOND;
/// For how long a first answer counts as fresh; each later one for twice as long, up to a refresh.
const FIRST_FRESH: Millis = 5_000;

/// A limit, and the whole that shares are of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct KnownLimit {
    pub limit: Limit,
    pub whole: Option<f64>,
}

/// What was asked about the capacity of some series.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetAnswer {
    /// The answers, soonest exhaustion first.
    pub series: Vec<(Key, Assessment)>,
    /// How many series the question means, with a limit or without.
    pub n_matched: usize,
    /// How many of them were left out, being more than one question may assess.
    pub n_beyond: usize,
    /// How many were not assessed yet for want of time; they are by and by.
    pub n_pending: usize,
    /// Those that could not be assessed, and why.
    pub failed: Vec<(Key, String)>,
}

struct Kept {
    known: KnownLimit,
    horizon: Millis,
    at: Millis,
    /// For how long it is taken as fresh: soon made anew at first, as a young history says more every minute.
    fresh_for: Millis,
    assessment: Assessment,
}

impl Kept {
    fn fresh_until(&self) -> Millis {
        self.at.saturating_add(self.fresh_for)
    }

    fn is_fresh(&self, now: Millis) -> bool {
        now < self.fresh_until()
    }
}

/// Answers by series.
pub(super) struct Fleet {
    store: Arc<Store>,
    presets: Presets,
    planned: Arc<Plans>,
    horizon: Millis,
    refresh_every: Millis,
    roster: Arc<Mutex<Roster>>,
    turns: Mutex<Turns>,
    kept: Mutex<HashMap<Key, Kept>>,
}

/// The series with a limit as the roster had them when it was last looked at, and when each is assessed anew.
#[derive(Default)]
struct Turns {
    limited: Arc<[Key]>,
    schedule: Schedule,
    version: u64,
}

impl Fleet {
    pub fn new(
        store: Arc<Store>,
        presets: Presets,
        planned: Arc<Plans>,
        roster: Arc<Mutex<Roster>>,
        horizon: Millis,
        refresh_every: Millis,
    ) -> Fleet {
        let (turns, kept) = Default::default();
        Fleet { store, presets, planned, horizon, refresh_every, roster, turns, kept }
    }

    /// Lets go of every answer: other events are planned.
    pub fn forget(&self) {
        self.kept.lock().clear();
    }

    /// The series with a limit, as the roster has them now.
    fn limited(&self, now: Millis) -> Arc<[Key]> {
        let known = self.turns.lock().version;
        let (version, listed) = {
            let roster = self.roster.lock();
            let version = roster.limited_version();
            (version, (version != known).then(|| roster.limited()))
        };
        let Some(listed) = listed else { return Arc::clone(&self.turns.lock().limited) };
        let limited: Arc<[Key]> = listed.into();
        {
            let mut turns = self.turns.lock();
            turns.version = version;
            turns.schedule.set_members(&limited);
            turns.limited = Arc::clone(&limited);
        }
        // What was asked for besides lasts no longer than it is fresh.
        {
            let members: HashSet<&Key> = limited.iter().collect();
            self.kept.lock().retain(|key, kept| members.contains(key) || kept.is_fresh(now));
        }
        limited
    }

    /// When the selected series reach their limit, soonest first; without a selector, the fleet. Events that are
    /// `assumed` are reckoned with for this answer alone.
    pub fn answer(
        &self,
        selector: Option<&Selector>,
        limit: Option<Limit>,
        horizon: Millis,
        assumed: &PlannedEvents,
        now: Millis,
    ) -> Result<FleetAnswer, WatchError> {
        if horizon <= 0 {
            return Err(WatchError::Ask("the horizon must be longer than zero, for example 90d".to_owned()));
        }
        let began = Instant::now();
        let keys = match selector {
            Some(selector) => self.selected(selector, now)?.into(),
            None => self.limited(now),
        };
        let is_fleet = selector.is_none() && limit.is_none();
        let n_matched = keys.len();
        let n_asked = if is_fleet { n_matched } else { n_matched.min(MAX_ASKED) };
        let mut answer = FleetAnswer {
            series: Vec::new(),
            n_matched,
            n_beyond: n_matched - n_asked,
            n_pending: 0,
            failed: Vec::new(),
        };
        for key in &keys[..n_asked] {
            let known = match limit {
                Some(limit) => Some(KnownLimit { limit, whole: None }),
                None => self.limit_of(key, now)?,
            };
            let Some(known) = known else { continue };
            let assumed = assumed.of(key);
            let kept = if assumed.is_empty() { self.kept_answer(key, known, horizon, now) } else { None };
            if let Some(kept) = kept {
                answer.series.push((key.clone(), kept));
            } else if is_fleet && began.elapsed() > PATIENCE {
                answer.n_pending += 1;
            } else {
                match self.assess_one(key, known, horizon, &assumed, now) {
                    Ok(assessment) => answer.series.push((key.clone(), assessment)),
                    // One series must not silence the rest of the fleet.
                    Err(error) if is_fleet => answer.failed.push((key.clone(), error.to_string())),
                    Err(error) => return Err(error),
                }
            }
        }
        if let Some(selector) = selector
            && limit.is_none()
            && answer.series.is_empty()
        {
            return Err(WatchError::NoLimit(selector.to_string()));
        }
        answer
            .series
            .sort_by(|a, b| urgency(&a.1).cmp(&urgency(&b.1)).then_with(|| headroom(&a.1).total_cmp(&headroom(&b.1))));
        Ok(answer)
    }

    /// Assesses the series whose answer is due longest. `None` when all are fresh.
    pub fn refresh_one(&self, now: Millis) -> Option<()> {
        self.limited(now);
        let key = self.turns.lock().schedule.due(now)?.clone();
        let until = self.kept.lock().get(&key).filter(|kept| kept.is_fresh(now)).map(Kept::fresh_until);
        if let Some(until) = until {
            // Somebody has asked meanwhile.
            self.turns.lock().schedule.postpone(&key, until);
            return Some(());
        }
        let known = match self.limit_of(&key, now) {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(series = %key, %error, "the limit cannot be read");
                None
            }
        };
        let done = known.map(|known| self.assess_one(&key, known, self.horizon, Events::NONE, now));
        if let Some(Err(error)) = &done {
            tracing::warn!(series = %key, %error, "capacity cannot be assessed");
        }
        // Without a limit for now, or unreadable: asked again later, not at once.
        let kept = self.kept.lock().get(&key).filter(|_| matches!(done, Some(Ok(_)))).map(Kept::fresh_until);
        let next = kept.unwrap_or_else(|| now.saturating_add(self.refresh_every.min(RETRY)));
        self.turns.lock().schedule.postpone(&key, next);
        Some(())
    }

    fn selected(&self, selector: &Selector, now: Millis) -> Result<Vec<Key>, SelectError> {
        for span in [2 * HOUR, 30 * DAY, 400 * DAY] {
            let keys = self.store.keys(selector, until(now, span))?;
            if !keys.is_empty() {
                return Ok(keys);
            }
        }
        Ok(Vec::new())
    }

    fn kept_answer(&self, key: &Key, known: KnownLimit, horizon: Millis, now: Millis) -> Option<Assessment> {
        let kept = self.kept.lock();
        let kept = kept.get(key)?;
        // A date that has passed was said of a history that has grown since, or of one that ended.
        let has_passed = matches!(kept.assessment.exhaustion, Exhaustion::Expected { p50: Some(at), .. } if at < now);
        let is_fresh = kept.is_fresh(now) && !has_passed;
        (kept.known == known && kept.horizon == horizon && is_fresh).then(|| kept.assessment.clone())
    }

    fn assess_one(
        &self,
        key: &Key,
        known: KnownLimit,
        horizon: Millis,
        assumed: &Events,
        now: Millis,
    ) -> Result<Assessment, WatchError> {
        let metric = self.presets.settings_for(key);
        // With a sample or two the answer is that nothing can be said, and why.
        let native = native_step(&self.store, key, now)?.unwrap_or(Step::seconds(60));
        let samples = samples_of(&self.store, key, until(now, span_for(native, native, CELLS)))?;
        let history = History::from_samples(&samples, metric.kind_of(key.metric()), Some(native));
        let (history, problem) = match history {
            Ok(history) => (history, None),
            Err(error) => (nothing(now), Some(error)),
        };
        let season = metric.season.map(|season| native.count_in(season)).and_then(crate::series::Season::new);
        let events = self.planned.get().of(key).and(assumed);
        let events = events.on_dates(history.start(), history.step(), metric.zone()).into_owned();
        let settings = CapacitySettings {
            horizon,
            season,
            unit: metric.unit,
            whole: known.whole,
            events,
            ..CapacitySettings::default()
        };
        let mut assessment = assess(&history, known.limit, &settings);
        if let Some(problem) = problem {
            assessment.recommendation = format!("Nothing can be said: {problem}.");
            assessment.exhaustion = Exhaustion::Unknown { reason: problem.to_string() };
        }
        if assumed.is_empty() {
            self.keep(key.clone(), known, horizon, now, assessment.clone());
        }
        Ok(assessment)
    }

    fn keep(&self, key: Key, known: KnownLimit, horizon: Millis, at: Millis, assessment: Assessment) {
        let mut kept = self.kept.lock();
        let before = kept.get(&key).map_or(FIRST_FRESH / 2, |kept| kept.fresh_for);
        let fresh_for = before.saturating_mul(2).min(self.refresh_every);
        kept.insert(key, Kept { known, horizon, at, fresh_for, assessment });
    }

    /// The limit that the series' preset knows: a number, or a share of what another series measures.
    pub fn limit_of(&self, key: &Key, now: Millis) -> Result<Option<KnownLimit>, SelectError> {
        let Some(rule) = self.presets.rule_for(key) else { return Ok(None) };
        let metric = self.presets.settings_by(Some(rule));
        let side = if metric.matters == Side::Down { Side::Down } else { Side::Up };
        if let Some(source) = &rule.limit_metric {
            let seen = source.whole_for(key, self.roster.lock().wholes());
            let whole = match seen {
                Some(whole) => Some(whole),
                None => {
                    let stored = self.store.select(&source.selector, until(now, 2 * HOUR))?;
                    let last = |samples: &[crate::series::Sample]| {
                        samples.iter().rev().map(|sample| sample.value).find(|value| value.is_finite())
                    };
                    source
                        .whole_for(key, stored.iter().filter_map(|series| Some((&series.key, last(&series.samples)?))))
                }
            };
            if let Some(whole) = whole {
                let limit = Limit { value: source.share * whole, side };
                return Ok(Some(KnownLimit { limit, whole: Some(whole) }));
            }
        }
        Ok(metric.limit.map(|value| KnownLimit { limit: Limit { value, side }, whole: None }))
    }
}

fn nothing(now: Millis) -> History {
    History::new(now, Step::seconds(60), Vec::new())
}

/// Sorts by urgency: crossed, then by the likeliest date, then what does not grow, then what is unknown.
fn urgency(assessment: &Assessment) -> (u8, Millis, Millis) {
    match assessment.exhaustion {
        Exhaustion::Crossed { since } => (0, since.unwrap_or(Millis::MIN), 0),
        Exhaustion::Expected { p10, p50, .. } if p10.is_some() => {
            (1, p50.unwrap_or(Millis::MAX), p10.unwrap_or(Millis::MAX))
        }
        Exhaustion::Expected { .. } => (2, 0, 0),
        Exhaustion::NotGrowing => (3, 0, 0),
        Exhaustion::Unknown { .. } => (4, 0, 0),
    }
}

fn headroom(assessment: &Assessment) -> f64 {
    assessment.headroom.first().and_then(|headroom| headroom.share).unwrap_or(f64::MAX)
}
