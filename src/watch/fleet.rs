//! Capacity questions: which series have a limit, what it is, and the answers kept at hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::error::WatchError;
use super::history::{native_step, samples_of, span_for, until};
use crate::capacity::{Assessment, CapacitySettings, Exhaustion, Limit, assess};
use crate::presets::{Presets, Rule};
use crate::series::{DAY, HOUR, History, Key, Millis, Selector, Side, Step};
use crate::storage::{SelectError, Store};

/// Cells of history an assessment reads; it averages down to a fraction of them.
const CELLS: usize = 100_000;
/// Series assessed for one question at most.
const MAX_ASKED: usize = 1_000;
/// How long a question about the whole fleet may assess what is not at hand.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long a first answer counts as fresh; each later one for twice as long, up to a refresh.
const FIRST_FRESH: Millis = 5_000;

/// A limit, and the whole that shares are of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct KnownLimit {
    pub limit: Limit,
    pub whole: Option<f64>,
}

struct Kept {
    known: KnownLimit,
    horizon: Millis,
    at: Millis,
    /// For how long it is taken as fresh: soon made anew at first, as a young history says more every minute.
    fresh_for: Millis,
    assessment: Assessment,
}

/// Answers by series.
pub(super) struct Fleet {
    store: Arc<Store>,
    presets: Presets,
    horizon: Millis,
    refresh_every: Millis,
    /// The last values of series that measure limits, as scoring saw them.
    wholes: Mutex<HashMap<Key, f64>>,
    /// Series with a limit, in the order in which they appeared.
    limited: Mutex<Vec<Key>>,
    kept: Mutex<HashMap<Key, Kept>>,
}

impl Fleet {
    pub fn new(store: Arc<Store>, presets: Presets, horizon: Millis, refresh_every: Millis) -> Fleet {
        let (wholes, limited, kept) = Default::default();
        Fleet { store, presets, horizon, refresh_every, wholes, limited, kept }
    }

    /// Notes a series with a limit.
    pub fn add(&self, key: Key) {
        self.limited.lock().push(key);
    }

    /// Takes over the last values of the series that measure limits.
    pub fn set_wholes(&self, wholes: &HashMap<Key, f64>) {
        let mut held = self.wholes.lock();
        if *held != *wholes {
            held.clone_from(wholes);
        }
    }

    /// When the selected series reach their limit, soonest first; without a selector, the fleet.
    pub fn answer(
        &self,
        selector: Option<&Selector>,
        limit: Option<Limit>,
        horizon: Millis,
        now: Millis,
    ) -> Result<Vec<(Key, Assessment)>, WatchError> {
        if horizon <= 0 {
            return Err(WatchError::Ask("the horizon must be longer than zero, for example 90d".to_owned()));
        }
        let began = Instant::now();
        let (keys, is_fleet) = match selector {
            Some(selector) => (self.selected(selector, now)?, false),
            None => (self.limited.lock().clone(), limit.is_none()),
        };
        let mut answers = Vec::new();
        for key in keys {
            let known = match limit {
                Some(limit) => Some(KnownLimit { limit, whole: None }),
                None => self.limit_of(&key, now)?,
            };
            let Some(known) = known else { continue };
            let kept = self.kept_answer(&key, known, horizon, now);
            let answer = match kept {
                Some(answer) => answer,
                None if is_fleet && began.elapsed() > PATIENCE => continue,
                None => match self.assess_one(&key, known, horizon, now) {
                    Ok(answer) => answer,
                    // A series that is too new to say anything of must not silence the rest of the fleet.
                    Err(_) if is_fleet => continue,
                    Err(error) => return Err(error),
                },
            };
            answers.push((key, answer));
        }
        if let Some(selector) = selector
            && limit.is_none()
            && answers.is_empty()
        {
            return Err(WatchError::NoLimit(selector.to_string()));
        }
        answers
            .sort_by(|a, b| urgency(&a.1).cmp(&urgency(&b.1)).then_with(|| headroom(&a.1).total_cmp(&headroom(&b.1))));
        Ok(answers)
    }

    /// Assesses the series whose answer is oldest, if it is older than a refresh. `None` when all are fresh.
    pub fn refresh_one(&self, now: Millis) -> Option<()> {
        let limited = self.limited.lock().clone();
        let stale = {
            let kept = self.kept.lock();
            let overdue = |key: &Key| {
                kept.get(key).map_or(Millis::MAX, |kept| now.saturating_sub(kept.at.saturating_add(kept.fresh_for)))
            };
            let due = limited.into_iter().map(|key| (overdue(&key), key)).filter(|(overdue, _)| *overdue >= 0);
            due.max_by_key(|(overdue, _)| *overdue)
        };
        let (_, key) = stale?;
        let known = self.limit_of(&key, now).ok().flatten();
        let done = known.map(|known| self.assess_one(&key, known, self.horizon, now));
        if !matches!(done, Some(Ok(_))) {
            // Without a limit for now, or unreadable: asked again later, not at once.
            let known = KnownLimit { limit: Limit { value: f64::NAN, side: Side::Up }, whole: None };
            let assessment = assess(&nothing(now), known.limit, &CapacitySettings::default());
            self.keep(key, known, 0, now, assessment);
        }
        Some(())
    }

    fn selected(&self, selector: &Selector, now: Millis) -> Result<Vec<Key>, SelectError> {
        for span in [2 * HOUR, 30 * DAY, 400 * DAY] {
            let mut keys = self.store.keys(selector, until(now, span))?;
            if !keys.is_empty() {
                keys.truncate(MAX_ASKED);
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
        let is_fresh = now - kept.at < kept.fresh_for && !has_passed;
        (kept.known == known && kept.horizon == horizon && is_fresh).then(|| kept.assessment.clone())
    }

    fn assess_one(&self, key: &Key, known: KnownLimit, horizon: Millis, now: Millis) -> Result<Assessment, WatchError> {
        let metric = self.presets.settings_for(key);
        // With a sample or two the answer is that nothing can be said, and why.
        let native = native_step(&self.store, key, now)?.unwrap_or(Step::seconds(60));
        let samples = samples_of(&self.store, key, until(now, span_for(native, native, CELLS)))?;
        let history = History::from_samples(&samples, metric.kind_of(key.metric()), Some(native));
        let history = history.unwrap_or_else(|_| nothing(now));
        let season = metric.season.map(|season| native.count_in(season)).and_then(crate::series::Season::new);
        let settings =
            CapacitySettings { horizon, season, unit: metric.unit, whole: known.whole, ..CapacitySettings::default() };
        let assessment = assess(&history, known.limit, &settings);
        self.keep(key.clone(), known, horizon, now, assessment.clone());
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
        let Some(Rule { metric, limit_metric, .. }) = self.presets.rule_for(key) else { return Ok(None) };
        let side = if metric.matters == Side::Down { Side::Down } else { Side::Up };
        if let Some(source) = limit_metric {
            let seen = {
                let wholes = self.wholes.lock();
                source.whole_for(key, wholes.iter().map(|(key, value)| (key, *value)))
            };
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
