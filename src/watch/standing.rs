//! The loop as its users see it: what is shared, and two threads, one that scores and one that refreshes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex, RwLock};

use super::anomalies::Anomalies;
use super::error::WatchError;
use super::figures::WatchFigures;
use super::fleet::{Fleet, FleetAnswer};
use super::forecasts::Forecasts;
use super::incidents::Incidents;
use super::issued::{DAYS, Issued, IssuedAccuracy};
use super::queue::Queue;
use super::results::{Kind, Results, anomalies_of, judged_of, read_scored, read_waiting};
use super::roster::Roster;
use super::scoring::Scoring;
use super::settings::WatchSettings;
use super::together::AggregateForecast;
use super::{refresh, score};
use crate::capacity::Limit;
use crate::events::PlannedEvents;
use crate::forecast::{AUTO, Correction, Coverage, Forecast};
use crate::incident::{Incident, Member};
use crate::presets::Presets;
use crate::series::{Aggregate, Batch, DAY, Key, Millis, Selector, Step, TimeRange};
use crate::storage::Store;

/// How far back results are read into memory at a start.
const REMEMBERED: Millis = 30 * DAY;

/// Says what time it is; tests drive it by hand.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// What to forecast.
#[derive(Clone, Debug)]
pub struct ForecastAsk {
    /// How far ahead, ms.
    pub horizon: Millis,
    /// The band's coverage.
    pub coverage: Coverage,
    /// The points' spacing; unset, the series' own, or coarser when the horizon is long.
    pub step: Option<Step>,
    /// A registered forecaster; `auto` takes the preset's, or the one from the settings.
    pub model: String,
    /// Whether the points begin after now even where the series' last sample is long ago; else they begin after that.
    pub from_now: bool,
    /// Events to assume beside those that are planned: what would be if.
    pub assumed: Arc<PlannedEvents>,
}

/// The planned events, replaced as a whole when their file changes.
#[derive(Debug, Default)]
pub(super) struct Plans(RwLock<Arc<PlannedEvents>>);

impl Plans {
    /// Those that hold now.
    pub fn get(&self) -> Arc<PlannedEvents> {
        Arc::clone(&self.0.read())
    }

    fn set(&self, events: PlannedEvents) {
        *self.0.write() = Arc::new(events);
    }
}

/// How often a rest looks whether it may end.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// While samples flood in, work takes this part of its share.
const FLOOD_SHARE: f64 = 0.2;

/// What the threads and the questions share. Locks are taken one at a time, but for `anomalies` before `roster`.
pub(super) struct Shared {
    pub store: Arc<Store>,
    pub settings: WatchSettings,
    pub clock: Clock,
    pub queue: Queue,
    pub anomalies: Mutex<Anomalies>,
    pub incidents: Mutex<Incidents>,
    pub planned: Arc<Plans>,
    pub forecasts: Forecasts,
    pub issued: Mutex<Issued>,
    pub fleet: Fleet,
    pub results: Results,
    pub roster: Arc<Mutex<Roster>>,
    pub figures: Mutex<WatchFigures>,
    pub stopping: Mutex<bool>,
    pub stopped: Condvar,
}

impl Shared {
    pub fn now(&self) -> Millis {
        (self.clock)()
    }

    /// Waits, and says whether the loop is stopping.
    pub fn pause(&self, span: Duration) -> bool {
        let mut stopping = self.stopping.lock();
        if !*stopping && !span.is_zero() {
            self.stopped.wait_for(&mut stopping, span);
        }
        *stopping
    }

    /// Rests after `worked`, so that work takes no more than `share` of a core, and a fifth of that during a flood.
    pub fn rest(&self, worked: Duration, share: f64) -> bool {
        let began = Instant::now();
        loop {
            let is_flooded = self.queue.is_flooded();
            let rest = rest_after(worked, share, is_flooded);
            let left = rest.saturating_sub(began.elapsed());
            // A flood may begin or end meanwhile.
            let is_over = self.pause(left.min(LOOK_EVERY));
            if is_over || left <= LOOK_EVERY {
                return is_over;
            }
        }
    }
}

/// How long to rest after `worked`.
fn rest_after(worked: Duration, share: f64, is_flooded: bool) -> Duration {
    let (share, most) = if is_flooded { (share * FLOOD_SHARE, 10) } else { (share, 2) };
    worked.mul_f64((1.0 / share - 1.0).clamp(0.0, 1_000.0)).min(Duration::from_secs(most))
}

/// The standing loop. Shared between threads as `Arc<Watch>`.
pub struct Watch {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("figures", &self.figures()).finish_non_exhaustive()
    }
}

impl Watch {
    /// Loads earlier results, scores stored history in the background, then everything that is observed.
    ///
    /// # Errors
    /// When a setting is out of range, when the results folder cannot be used, when a thread does not start.
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
        let results = Results::open(store.dir())?;
        let unreadable = |source| WatchError::Results { path: store.dir().join("results"), source };
        let since = clock().saturating_sub(REMEMBERED);
        let mut anomalies = Anomalies::default();
        for rows in results.read(Kind::Anomalies, since).map_err(unreadable)? {
            for member in anomalies_of(&rows).map_err(unreadable)? {
                anomalies.load(member);
            }
        }
        let scored = read_scored(&results.scored_path()).unwrap_or_else(|error| {
            tracing::warn!(%error, "what was scored before the start is not known; stored history is told anew");
            Default::default()
        });
        anomalies.shrink(settings.recent_anomalies);
        let mut incidents = Incidents::default();
        if let Some(members) = anomalies.take_ungrouped(super::incidents::reach(&settings.incidents)) {
            incidents.regroup(&members, &settings.incidents);
            incidents.mark_written();
        }
        let mut issued = Issued::new(settings.waiting_targets, settings.accuracy_sets);
        let mut judged = Vec::new();
        for rows in results.read(Kind::Accuracy, clock().saturating_sub(DAYS * DAY)).map_err(unreadable)? {
            judged.extend(judged_of(&rows).map_err(unreadable)?);
        }
        let waiting = read_waiting(&results.waiting_path()).unwrap_or_else(|error| {
            tracing::warn!(%error, "forecasts issued before the start are not judged");
            Vec::new()
        });
        issued.load(judged, waiting);
        let planned = Arc::new(Plans::default());
        let forecasts = Forecasts::new(Arc::clone(&store), presets.clone(), Arc::clone(&planned), &settings);
        let roster = Arc::new(Mutex::new(Roster::new(usize::try_from(settings.memory).unwrap_or(usize::MAX))));
        let (horizon, every) = (settings.capacity_horizon, settings.refresh_every);
        let fleet =
            Fleet::new(Arc::clone(&store), presets.clone(), Arc::clone(&planned), Arc::clone(&roster), horizon, every);
        let scoring = Scoring::new(presets, settings.clone(), scored, clock());
        let is_enabled = settings.enabled;
        let shared = Arc::new(Shared {
            queue: Queue::new(settings.queue_samples),
            store,
            settings,
            clock,
            anomalies: Mutex::new(anomalies),
            incidents: Mutex::new(incidents),
            planned,
            forecasts,
            issued: Mutex::new(issued),
            fleet,
            results,
            roster,
            figures: Mutex::default(),
            stopping: Mutex::new(false),
            stopped: Condvar::new(),
        });
        let mut threads = Vec::new();
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.to_owned()).spawn(run).map_err(WatchError::Thread)
        };
        if is_enabled {
            let shared = Arc::clone(&shared);
            threads.push(spawn("watch-score", Box::new(move || score::run(&shared, scoring)))?);
        }
        // Models are kept fresh for whoever asks, whether or not anything is scored.
        let for_refresh = Arc::clone(&shared);
        threads.push(spawn("watch-refresh", Box::new(move || refresh::run(&for_refresh)))?);
        Ok(Arc::new(Watch { shared, threads: Mutex::new(threads) }))
    }

    /// Takes note of samples that were stored. Never waits: a full queue is caught up with from the store.
    pub fn observe(&self, batch: Batch) {
        if self.shared.settings.enabled {
            let n_missed = self.shared.queue.push(batch, Instant::now());
            if n_missed > 0 {
                self.shared.figures.lock().n_overflowed += n_missed;
            }
        }
    }

    /// The next values of a series, with a band.
    ///
    /// The first question for a series, model and step fits a model, later ones look ahead from it.
    ///
    /// # Errors
    /// When there are no samples, or no model can forecast them.
    pub fn forecast(&self, key: &Key, ask: &ForecastAsk) -> Result<Forecast, WatchError> {
        let forecasts = &self.shared.forecasts;
        // Errors of one method say nothing of the bands of another.
        let is_kept = forecasts.asked(key, &ask.model) == forecasts.asked(key, AUTO);
        let correction = if is_kept { self.shared.issued.lock().correction(key) } else { Correction::default() };
        forecasts.forecast(key, ask, &correction, self.shared.now())
    }

    /// The next values of the sum or the mean of series of one metric, as a series of the key `about`. It is fitted for
    /// this answer alone.
    ///
    /// # Errors
    /// When none of them has samples, or no model can forecast what they add up to.
    pub fn forecast_aggregate(
        &self,
        about: &Key,
        keys: &[Key],
        how: Aggregate,
        ask: &ForecastAsk,
    ) -> Result<AggregateForecast, WatchError> {
        self.shared.forecasts.aggregate(about, keys, how, ask, self.shared.now())
    }

    /// How the kept forecasts of a series turned out; `None` before any was judged.
    pub fn issued(&self, key: &Key) -> Option<IssuedAccuracy> {
        self.shared.issued.lock().of(key)
    }

    /// What time it is, by the clock that the loop goes by.
    pub fn now(&self) -> Millis {
        self.shared.now()
    }

    /// The anomalies of the selected series that overlap `range` and peak at `min_score` or above, by start.
    pub fn anomalies(&self, selector: &Selector, range: TimeRange, min_score: f64) -> Vec<Member> {
        self.shared.anomalies.lock().select(selector, range, min_score)
    }

    /// The incidents that overlap `range`, by start.
    pub fn incidents(&self, range: TimeRange) -> Vec<Incident> {
        self.shared.incidents.lock().select(range)
    }

    /// When the selected series reach `limit` (or the limit their preset knows), soonest first; without a selector,
    /// every series with a limit. `assumed` are events to reckon with beside those that are planned.
    ///
    /// # Errors
    /// When the store cannot be read, or series are selected for which no limit is known.
    pub fn capacity(
        &self,
        selector: Option<&Selector>,
        limit: Option<Limit>,
        horizon: Millis,
        assumed: &PlannedEvents,
    ) -> Result<FleetAnswer, WatchError> {
        self.shared.fleet.answer(selector, limit, horizon, assumed, self.shared.now())
    }

    /// From now on these are the planned events; what was fitted or assessed without them is done anew.
    pub fn set_events(&self, events: PlannedEvents) {
        self.shared.planned.set(events);
        self.shared.forecasts.forget();
        self.shared.fleet.forget();
    }

    /// Counts and sizes, for `/metrics`.
    pub fn figures(&self) -> WatchFigures {
        let mut figures = *self.shared.figures.lock();
        figures.n_queued = self.shared.queue.len() as u64;
        figures.queue_bytes = self.shared.queue.n_bytes() as u64;
        figures.n_open = self.shared.anomalies.lock().n_open() as u64;
        figures.n_incidents = self.shared.incidents.lock().len() as u64;
        let (roster, roster_bytes) = {
            let roster = self.shared.roster.lock();
            (roster.counts(), roster.n_bytes())
        };
        (figures.n_watched, figures.n_unwatched) = (roster.n_scored, roster.n_waiting);
        (figures.scorer_bytes, figures.n_forgotten) = (roster.cost, roster.n_left);
        figures.roster_bytes = roster_bytes as u64;
        let issued = self.shared.issued.lock().counts();
        (figures.n_judged, figures.n_unjudged, figures.n_waiting) =
            (issued.n_judged, issued.n_unjudged, issued.n_waiting);
        let counts = &self.shared.forecasts.counts;
        figures.n_fits = counts.n_fits.load(Ordering::Relaxed);
        figures.n_warm_forecasts = counts.n_warm.load(Ordering::Relaxed);
        figures.n_cold_forecasts = counts.n_cold.load(Ordering::Relaxed);
        figures
    }

    /// Scores what waits, writes results, and stops the threads; questions are answered still. Stopping twice is fine.
    pub fn stop(&self) {
        *self.shared.stopping.lock() = true;
        self.shared.stopped.notify_all();
        self.shared.queue.stop();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the standing loop panicked");
            }
        }
    }
}

#[cfg(test)]
impl Watch {
    /// Keeps scoring from going on.
    pub(super) fn hold_anomalies(&self) -> parking_lot::MutexGuard<'_, Anomalies> {
        self.shared.anomalies.lock()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_makes_work_rest_five_times_longer() {
        let rest = |share, is_flooded| rest_after(Duration::from_millis(100), share, is_flooded).as_millis();
        assert_eq!((rest(1.0, false), rest(0.5, false), rest(0.25, false)), (0, 100, 300));
        assert_eq!((rest(1.0, true), rest(0.5, true), rest(0.25, true)), (400, 900, 1_900));
        assert_eq!((rest(0.001, false), rest(0.001, true)), (2_000, 10_000), "within bounds");
    }
}
