//! Fitted models at hand: fitted once, then only told the new values.
//!
//! A question for a series, model and step that was asked before costs a read of the newest samples and a look ahead.
//! Models that cannot take in single values answer from where they stood, the steps since then left out, until the
//! refresh thread has fitted them anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::error::WatchError;
use super::history::{
    history_of, is_known, native_step, newest_finite, points_of, samples_of, span_for, step_for, until,
};
use super::model::{Model, Purpose, leads_for};
use super::settings::WatchSettings;
use super::standing::{ForecastAsk, Plans};
use crate::events::PlannedEvents;
use crate::forecast::{
    AUTO, Correction, Events, Facts, Forecast, Horizon, Past, Request, SeasonChoice, UnderEvents, find,
};
use crate::presets::Presets;
use crate::series::{History, Key, MetricSettings, Millis, Sample, Season, Step, TimeRange};
use crate::storage::{SelectError, Store};

/// Fitted models kept; the ones not asked for longest go first.
const MAX_PREPARED: usize = 256;
/// What they may hold together, in bytes.
const MAX_BYTES: usize = 64 << 20;

#[derive(Default)]
struct Slot {
    model: Mutex<Option<Model>>,
    used: AtomicU64,
    n_bytes: AtomicUsize,
}

/// Counts, for the figures.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub n_fits: AtomicU64,
    pub n_warm: AtomicU64,
    pub n_cold: AtomicU64,
}

/// The fitted models.
pub(super) struct Forecasts {
    store: Arc<Store>,
    presets: Presets,
    planned: Arc<Plans>,
    default_model: String,
    history_cells: usize,
    refresh_every: Millis,
    slots: Mutex<HashMap<Purpose, Arc<Slot>>>,
    due: Mutex<Vec<Purpose>>,
    tick: AtomicU64,
    pub counts: Counts,
}

impl Forecasts {
    pub fn new(store: Arc<Store>, presets: Presets, planned: Arc<Plans>, settings: &WatchSettings) -> Forecasts {
        Forecasts {
            store,
            presets,
            planned,
            default_model: settings.forecaster.clone(),
            history_cells: settings.history_cells,
            refresh_every: settings.refresh_every,
            slots: Mutex::default(),
            due: Mutex::default(),
            tick: AtomicU64::new(0),
            counts: Counts::default(),
        }
    }

    /// Lets go of every model: other events are planned. What is being fitted meanwhile is not kept.
    pub fn forget(&self) {
        self.slots.lock().clear();
    }

    /// Answers a question at `now`, with bands as `correction` says where no model at hand knows better.
    pub fn forecast(
        &self,
        key: &Key,
        ask: &ForecastAsk,
        correction: &Correction,
        now: Millis,
    ) -> Result<Forecast, WatchError> {
        if ask.horizon <= 0 {
            return Err(WatchError::Ask("the horizon must be longer than zero, for example 1h".to_owned()));
        }
        let purpose = Purpose::of(key, ask);
        let slot = self.slot(&purpose);
        let mut held = slot.model.lock();
        let is_warm = match held.as_mut() {
            Some(model) => self.catch_up(&purpose, model, now)? && model.has_band_for(ask.horizon),
            None => false,
        };
        if is_warm {
            self.counts.n_warm.fetch_add(1, Ordering::Relaxed);
        } else {
            self.counts.n_cold.fetch_add(1, Ordering::Relaxed);
            let model = self.fit(&purpose, Events::NONE, now)?;
            let model = match held.as_ref() {
                Some(before) => model.going_on_from(before),
                None => model.corrected_by(correction),
            };
            slot.n_bytes.store(model.n_bytes(), Ordering::Relaxed);
            *held = Some(model);
            self.make_room(&purpose);
        }
        let model = held.as_ref().expect("fitted just now, or before");
        if now - model.fitted_at() >= self.refresh_every {
            self.mark_due(&purpose);
        }
        let assumed = ask.assumed.of(key);
        if let Some(forecast) = model.answer(ask, &assumed, now)? {
            return Ok(forecast);
        }
        drop(held);
        // What is assumed concerns the past too, so that the model has to be another.
        self.fit(&purpose, &assumed, now)?.corrected_by(correction).answer_alone(ask, now)
    }

    /// Answers from a model of its own, which is not kept: for forecasts that are made now and then only.
    pub fn fit_and_forget(
        &self,
        key: &Key,
        ask: &ForecastAsk,
        correction: &Correction,
        now: Millis,
    ) -> Result<Forecast, WatchError> {
        let model = self.fit(&Purpose::of(key, ask), &ask.assumed.of(key), now)?;
        model.corrected_by(correction).answer_alone(ask, now)
    }

    /// Fits anew what was asked for lately and is old; one model per call. `None` when nothing is due.
    pub fn refresh_one(&self, now: Millis) -> Option<()> {
        let purpose = {
            let mut due = self.due.lock();
            due.pop()?
        };
        let slot = self.slots.lock().get(&purpose).cloned()?;
        // Fitted outside the lock, so that questions are answered from the old model meanwhile.
        match self.fit(&purpose, Events::NONE, now) {
            Ok(model) => {
                slot.n_bytes.store(model.n_bytes(), Ordering::Relaxed);
                let mut held = slot.model.lock();
                *held = Some(match held.as_ref() {
                    Some(before) => model.going_on_from(before),
                    None => model,
                });
                drop(held);
                self.make_room(&purpose);
            }
            Err(error) => tracing::debug!(series = %purpose.key, %error, "a model could not be refreshed"),
        }
        Some(())
    }

    fn mark_due(&self, purpose: &Purpose) {
        let mut due = self.due.lock();
        if !due.contains(purpose) {
            due.push(purpose.clone());
        }
    }

    fn slot(&self, purpose: &Purpose) -> Arc<Slot> {
        let tick = self.tick.fetch_add(1, Ordering::Relaxed);
        let slot = {
            let mut slots = self.slots.lock();
            let slot = slots.entry(purpose.clone()).or_default();
            slot.used.store(tick, Ordering::Relaxed);
            Arc::clone(slot)
        };
        self.make_room(purpose);
        slot
    }

    /// Drops what was not asked for longest until the rest is within the bounds; never `kept`.
    fn make_room(&self, kept: &Purpose) {
        let mut slots = self.slots.lock();
        let mut n_bytes: usize = slots.values().map(|slot| slot.n_bytes.load(Ordering::Relaxed)).sum();
        while slots.len() > MAX_PREPARED || n_bytes > MAX_BYTES {
            let others = slots.iter().filter(|(purpose, _)| *purpose != kept);
            let oldest = others.min_by_key(|(_, slot)| slot.used.load(Ordering::Relaxed));
            let Some(oldest) = oldest.map(|(purpose, _)| purpose.clone()) else { break };
            n_bytes -= slots.remove(&oldest).map_or(0, |slot| slot.n_bytes.load(Ordering::Relaxed)).min(n_bytes);
        }
    }

    /// The series' samples in `range`, sorted, a counter's as rates.
    pub fn points(&self, key: &Key, range: TimeRange) -> Result<Vec<Sample>, SelectError> {
        let samples = samples_of(&self.store, key, range)?;
        Ok(points_of(&samples, self.metric(key).0.kind_of(key.metric())))
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn planned(&self) -> Arc<PlannedEvents> {
        self.planned.get()
    }

    pub fn presets(&self) -> &Presets {
        &self.presets
    }

    /// How many cells a model sees at most.
    pub fn history_cells(&self) -> usize {
        self.history_cells
    }

    /// What is known of a series, and the forecaster its preset names.
    pub fn metric(&self, key: &Key) -> (MetricSettings, Option<String>) {
        let rule = self.presets.rule_for(key);
        (self.presets.settings_by(rule), rule.and_then(|rule| rule.forecaster.clone()))
    }

    /// Which of the registered models `model` means for a series: as the preset or the settings have it for `auto`.
    pub fn asked(&self, key: &Key, model: &str) -> &'static str {
        find(&self.resolved(model, self.metric(key).1)).map_or(AUTO, |entry| entry.name)
    }

    fn resolved(&self, model: &str, named: Option<String>) -> String {
        if model == AUTO { named.unwrap_or_else(|| self.default_model.clone()) } else { model.to_owned() }
    }

    /// A model under the planned events and those that are assumed.
    fn fit(&self, purpose: &Purpose, assumed: &Events, now: Millis) -> Result<Model, WatchError> {
        let key = &purpose.key;
        let events = self.planned.get().of(key).and(assumed);
        let about = self.metric(key);
        let kind = about.0.kind_of(key.metric());
        let Some(native) = native_step(&self.store, key, now)? else {
            return Err(if is_known(&self.store, key, now)? {
                WatchError::History { key: key.clone(), source: crate::series::HistoryError::NoStep }
            } else {
                WatchError::NoSamples(key.clone())
            });
        };
        let step = step_for(native, purpose.longest(), purpose.step);
        let range = until(now, span_for(native, step, self.history_cells));
        let samples = samples_of(&self.store, key, range)?;
        let history = history_of(&samples, kind, native, step, about.0.zone())
            .map_err(|source| WatchError::History { key: key.clone(), source })?;
        let model = self.model_of(purpose, &history.tail(self.history_cells), native, about, &events, now)?;
        // A cell that has begun is none of the history, but its samples have been seen.
        Ok(model.having_seen(newest_finite(&samples)))
    }

    /// A model of `history`, whose samples come `native` apart, by what is known `about` it.
    pub fn model_of(
        &self,
        purpose: &Purpose,
        history: &History,
        native: Step,
        about: (MetricSettings, Option<String>),
        events: &Events,
        now: Millis,
    ) -> Result<Model, WatchError> {
        let (key, step, (metric, named)) = (&purpose.key, history.step(), about);
        let season = metric.season.map(|season| step.count_in(season)).and_then(Season::new);
        let model = self.resolved(&purpose.model, named);
        let request = Request {
            model,
            season: season.map_or(SeasonChoice::Auto, SeasonChoice::Steps),
            horizon: Horizon::new(leads_for(step.count_in(purpose.longest()), history.len()))
                .expect("count_in answers at least one"),
        };
        let kind = metric.kind_of(key.metric());
        let facts = Facts::declared(&metric, key.metric(), kind, step.millis() > native.millis());
        let under = UnderEvents::prepare(&Past::of(history).with_facts(&facts), events, &request)
            .map_err(|source| WatchError::Forecast { key: key.clone(), source })?;
        self.counts.n_fits.fetch_add(1, Ordering::Relaxed);
        // A sample within a maintenance window is no silence.
        let last_seen = Past::of(history).last_seen().unwrap_or_else(|| under.prepared().last_seen());
        Ok(Model::new(under, native, last_seen, now))
    }

    /// Tells the model what has come since; `false` when it must be fitted anew at once.
    fn catch_up(&self, purpose: &Purpose, model: &mut Model, now: Millis) -> Result<bool, WatchError> {
        let from = model.reads_from();
        let Ok(range) = TimeRange::new(from, until(now, 0).end().max(from)) else { return Ok(false) };
        let points = self.points(&purpose.key, range)?;
        if !model.is_on_grid(&points) {
            return Ok(false);
        }
        model.take(&points);
        if model.is_worn() {
            self.mark_due(purpose);
        }
        Ok(model.keeps_up())
    }
}
