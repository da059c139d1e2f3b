//! The loop as its users see it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::WatchError;
use super::figures::WatchFigures;
use super::settings::WatchSettings;
use crate::capacity::{Assessment, Limit};
use crate::forecast::{Coverage, Forecast};
use crate::incident::{Incident, Member};
use crate::presets::Presets;
use crate::series::{Batch, Key, Millis, Selector, Step, TimeRange};
use crate::storage::Store;

/// Says what time it is; tests drive it by hand.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// What to forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct ForecastAsk {
    /// How far ahead, ms.
    pub horizon: Millis,
    /// The band's coverage.
    pub coverage: Coverage,
    /// The points' spacing; unset, the series' own, or coarser when the horizon is long.
    pub step: Option<Step>,
    /// A registered forecaster; `auto` chooses, and takes the preset's when there is one.
    pub model: String,
}

/// The standing loop. Shared between threads as `Arc<Watch>`.
pub struct Watch {
    store: Arc<Store>,
    settings: WatchSettings,
}

impl Watch {
    /// Loads earlier results, scores stored history in the background, then everything that is observed.
    ///
    /// # Errors
    /// When a setting is out of range, when the results folder cannot be used.
    pub fn start(store: Arc<Store>, presets: Presets, settings: WatchSettings) -> Result<Arc<Watch>, WatchError> {
        let system = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis);
        Watch::start_at(store, presets, settings, Arc::new(system))
    }

    /// As [`Watch::start`], with a clock of the caller's.
    ///
    /// # Errors
    /// As [`Watch::start`].
    pub fn start_at(
        store: Arc<Store>,
        presets: Presets,
        settings: WatchSettings,
        clock: Clock,
    ) -> Result<Arc<Watch>, WatchError> {
        if let Some(problem) = settings.problem() {
            return Err(WatchError::Settings(problem));
        }
        let _ = (presets, clock);
        Ok(Arc::new(Watch { store, settings }))
    }

    /// Takes note of samples that were stored. Never waits: a full queue is caught up with from the store.
    pub fn observe(&self, batch: &Batch) {
        let _ = batch;
    }

    /// The next values of a series, with a band.
    ///
    /// # Errors
    /// When there are no samples, or no model can forecast them.
    pub fn forecast(&self, key: &Key, ask: &ForecastAsk) -> Result<Forecast, WatchError> {
        let _ = (ask, &self.store, &self.settings);
        Err(WatchError::NoSamples(key.clone()))
    }

    /// The anomalies of the selected series that overlap `range` and peak at `min_score` or above, by start.
    pub fn anomalies(&self, selector: &Selector, range: TimeRange, min_score: f64) -> Vec<Member> {
        let _ = (selector, range, min_score);
        Vec::new()
    }

    /// The incidents that overlap `range`, by start.
    pub fn incidents(&self, range: TimeRange) -> Vec<Incident> {
        let _ = range;
        Vec::new()
    }

    /// When the selected series reach `limit` (or the limit their preset knows), soonest first; without a selector,
    /// every series with a limit.
    ///
    /// # Errors
    /// When the store cannot be read, or series are selected for which no limit is known.
    pub fn capacity(
        &self,
        selector: Option<&Selector>,
        limit: Option<Limit>,
        horizon: Millis,
    ) -> Result<Vec<(Key, Assessment)>, WatchError> {
        let _ = (selector, limit, horizon);
        Ok(Vec::new())
    }

    /// Counts and sizes, for `/metrics`.
    pub fn figures(&self) -> WatchFigures {
        WatchFigures::default()
    }

    /// Scores what waits, writes results, and stops the threads; questions are answered still. Stopping twice is fine.
    pub fn stop(&self) {}
}
