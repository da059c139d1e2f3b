//! The refresh thread: models that are due, forecasts to keep, capacity answers; within its share of a core.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::results::{KeptForecast, Kind, day_of, forecast_rows, judged_rows, waiting_rows, write_parquet};
use super::schedule::Schedule;
use super::standing::{ForecastAsk, Shared};
use crate::forecast::{AUTO, Coverage};
use crate::series::{Key, MINUTE, Millis, SECOND, Step};

/// The longest wait for something to do.
const TICK: Duration = Duration::from_millis(250);
/// Points in a kept forecast.
const N_POINTS: Millis = 96;
/// Forecasts written in one file.
const MAX_HELD: usize = 200;
/// How often it is looked who is there, at most while series come and go, and at least.
const LIST_AT_MOST_EVERY: Duration = Duration::from_secs(1);
const LIST_EVERY: Duration = Duration::from_secs(60);
/// When a forecast that could not be made is first tried again.
const RETRY: Millis = 30 * SECOND;

/// Runs until the loop stops.
pub(super) fn run(shared: &Shared) {
    let mut keeper = Keeper {
        shared,
        turns: Schedule::default(),
        waits: HashMap::new(),
        version: 0,
        listed: None,
        held: Vec::new(),
        held_since: Instant::now(),
        recorded_at: shared.now(),
    };
    loop {
        let began = Instant::now();
        let now = shared.now();
        let did = shared.forecasts.refresh_one(now).is_some()
            || (shared.settings.enabled && (shared.fleet.refresh_one(now).is_some() || keeper.keep_one(now)));
        keeper.write_when_due(false);
        keeper.record_when_due(now, false);
        let worked = began.elapsed();
        let is_over = if did {
            shared.figures.lock().refresh_seconds += worked.as_secs_f64();
            shared.rest(worked, shared.settings.cpu_share)
        } else {
            shared.pause(TICK)
        };
        if is_over {
            break;
        }
    }
    keeper.write_when_due(true);
    keeper.record_when_due(shared.now(), true);
}

struct Keeper<'a> {
    shared: &'a Shared,
    /// When each series' forecast is due again.
    turns: Schedule,
    /// How long to wait after a failure, by series that have failed.
    waits: HashMap<Key, Millis>,
    /// The roster's version when the series were last listed, and when that was.
    version: u64,
    listed: Option<Instant>,
    held: Vec<KeptForecast>,
    held_since: Instant,
    /// When accuracy was last written down, by the loop's clock.
    recorded_at: Millis,
}

impl Keeper<'_> {
    /// Makes the forecast that is due longest; whether there was one.
    fn keep_one(&mut self, now: Millis) -> bool {
        self.list_members(now);
        let Some(key) = self.turns.due(now).cloned() else { return false };
        self.judge(&key, now);
        let settings = &self.shared.settings;
        let step = Step::new((settings.keep_horizon / N_POINTS / MINUTE * MINUTE).max(MINUTE));
        let coverage = Coverage::new(settings.coverage).unwrap_or(Coverage::P95);
        let ask = ForecastAsk {
            horizon: settings.keep_horizon,
            coverage,
            step,
            model: AUTO.to_owned(),
            from_now: false,
            assumed: Arc::default(),
        };
        let correction = self.shared.issued.lock().correction(&key);
        match self.shared.forecasts.fit_and_forget(&key, &ask, &correction, now) {
            Ok(forecast) => {
                self.turns.postpone(&key, now.saturating_add(settings.refresh_every));
                self.waits.remove(&key);
                if self.held.is_empty() {
                    self.held_since = Instant::now();
                }
                let zone = self.shared.forecasts.metric(&key).0.zone();
                let events = self.shared.planned.get().of(&key);
                let events = events.on_dates(forecast.start, forecast.step, zone);
                let model = self.shared.forecasts.asked(&key, &ask.model);
                self.shared.issued.lock().add(&key, now, model, &forecast, &events);
                self.held.push(KeptForecast { key, issued_at: now, forecast });
            }
            Err(error) => {
                // Mostly too short a history; that changes soon at first, then less and less likely.
                let wait = self.waits.get(&key).map_or(RETRY, |wait| *wait).min(settings.refresh_every);
                tracing::debug!(series = %key, %error, "no forecast to keep");
                self.turns.postpone(&key, now.saturating_add(wait));
                self.waits.insert(key, wait.saturating_mul(2));
            }
        }
        true
    }

    /// Compares what was forecast of a series with what has come since.
    fn judge(&self, key: &Key, now: Millis) {
        let Some(range) = self.shared.issued.lock().needed(key, now) else { return };
        match self.shared.forecasts.points(key, range) {
            Ok(points) => self.shared.issued.lock().judge(key, now, &points),
            Err(error) => tracing::warn!(series = %key, %error, "forecasts wait longer to be judged"),
        }
    }

    /// Writes down how forecasts turned out: as results, and as series of their own.
    fn record_when_due(&mut self, now: Millis, is_last: bool) {
        let shared = self.shared;
        if !shared.settings.enabled || !(is_last || now - self.recorded_at >= shared.settings.refresh_every) {
            return;
        }
        self.recorded_at = now;
        let (days, waiting, samples) = {
            let mut issued = shared.issued.lock();
            (issued.take_changed(), issued.waiting(), issued.take_samples(now))
        };
        let mut n_rows = 0;
        for (day, rows) in days {
            let written = judged_rows(&rows, now).and_then(|batch| shared.results.write(Kind::Accuracy, day, &batch));
            match written {
                Ok(()) => n_rows += rows.len(),
                Err(error) => {
                    shared.issued.lock().give_back(&rows);
                    self.failed(&error, "accuracy cannot be written");
                }
            }
        }
        // After the days, which say up to when everything is judged, so that nothing is judged twice after a crash.
        let written = waiting_rows(&waiting).and_then(|rows| write_parquet(&shared.results.waiting_path(), &rows));
        if let Err(error) = written {
            self.failed(&error, "forecasts that wait to be judged cannot be written");
        }
        if !samples.is_empty()
            && let Err(error) = shared.store.append(&samples)
        {
            tracing::warn!(%error, "the accuracy of forecasts is not recorded");
        }
        shared.figures.lock().n_result_rows += n_rows as u64;
    }

    fn failed(&self, error: &std::io::Error, what: &str) {
        self.shared.figures.lock().n_failed_writes += 1;
        tracing::error!(%error, "{what}; it is tried again");
    }

    /// Takes over from the roster whose forecasts are kept, when it has changed, and now and then for who is silent.
    fn list_members(&mut self, now: Millis) {
        let since = self.listed.map(|listed| listed.elapsed());
        if since.is_some_and(|since| since < LIST_AT_MOST_EVERY) {
            return;
        }
        let roster = self.shared.roster.lock();
        if roster.version() == self.version && since.is_some_and(|since| since < LIST_EVERY) {
            return;
        }
        self.version = roster.version();
        let (members, n_all) = roster.to_forecast(self.shared.settings.max_forecasts, now);
        drop(roster);
        self.listed = Some(Instant::now());
        self.turns.set_members(&members);
        self.waits.retain(|key, _| self.turns.has(key));
        let mut figures = self.shared.figures.lock();
        figures.n_unforecast = (n_all - members.len()) as u64;
        let are_all_known = figures.is_backfilled;
        drop(figures);
        // Until the store was read after a start, a series that is not listed may only not have been met yet.
        if are_all_known {
            self.shared.issued.lock().retain(now, |key| self.turns.has(key));
        }
    }

    fn write_when_due(&mut self, is_last: bool) {
        let wait = Duration::from_millis(u64::try_from(self.shared.settings.flush_every.max(SECOND)).unwrap_or(0));
        if self.held.is_empty() || !(is_last || self.held.len() >= MAX_HELD || self.held_since.elapsed() >= wait) {
            return;
        }
        let held = std::mem::take(&mut self.held);
        let day = day_of(held[0].issued_at);
        let written = forecast_rows(&held).and_then(|rows| {
            self.shared.results.write(Kind::Forecasts, day, &rows)?;
            Ok(rows.num_rows())
        });
        let mut figures = self.shared.figures.lock();
        match written {
            Ok(n_rows) => {
                figures.n_kept_forecasts += held.len() as u64;
                figures.n_result_rows += n_rows as u64;
            }
            Err(error) => {
                figures.n_failed_writes += 1;
                tracing::error!(%error, "forecasts cannot be written; they are tried again");
                self.held = held;
                self.held.truncate(10 * MAX_HELD);
                self.held_since = Instant::now();
            }
        }
    }
}
