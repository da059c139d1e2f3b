//! The refresh thread: models that are due, forecasts to keep, capacity answers; within its share of a core.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::results::{KeptForecast, Kind, day_of, forecast_rows};
use super::standing::{ForecastAsk, Shared};
use crate::forecast::Coverage;
use crate::series::{Key, MINUTE, Millis, SECOND, Step};

/// The longest wait for something to do.
const TICK: Duration = Duration::from_millis(250);
/// Points in a kept forecast.
const N_POINTS: Millis = 96;
/// Forecasts written in one file.
const MAX_HELD: usize = 200;
/// When a forecast that could not be made is first tried again.
const RETRY: Millis = 30 * SECOND;

/// Runs until the loop stops.
pub(super) fn run(shared: &Shared) {
    let mut keeper =
        Keeper { shared, due: HashMap::new(), order: VecDeque::new(), held: Vec::new(), held_since: Instant::now() };
    loop {
        let began = Instant::now();
        let now = shared.now();
        let did = shared.forecasts.refresh_one(now).is_some()
            || (shared.settings.enabled && (shared.fleet.refresh_one(now).is_some() || keeper.keep_one(now)));
        keeper.write_when_due(false);
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
}

struct Keeper<'a> {
    shared: &'a Shared,
    /// When each series' forecast is due again, and after how long if it fails once more.
    due: HashMap<Key, (Millis, Millis)>,
    order: VecDeque<Key>,
    held: Vec<KeptForecast>,
    held_since: Instant,
}

impl Keeper<'_> {
    /// Makes the forecast that is due longest; whether there was one.
    fn keep_one(&mut self, now: Millis) -> bool {
        if self.order.is_empty() && !self.fill_order(now) {
            return false;
        }
        let Some(key) = self.order.pop_front() else { return false };
        let settings = &self.shared.settings;
        let step = Step::new((settings.keep_horizon / N_POINTS / MINUTE * MINUTE).max(MINUTE));
        let coverage = Coverage::new(settings.coverage).unwrap_or(Coverage::P95);
        let ask = ForecastAsk { horizon: settings.keep_horizon, coverage, step, model: "auto".to_owned() };
        match self.shared.forecasts.fit_and_forget(&key, &ask, now) {
            Ok(forecast) => {
                self.due.insert(key.clone(), (now.saturating_add(settings.refresh_every), RETRY));
                if self.held.is_empty() {
                    self.held_since = Instant::now();
                }
                self.held.push(KeptForecast { key, issued_at: now, forecast });
            }
            Err(error) => {
                // Mostly too short a history; that changes soon at first, then less and less likely.
                let wait = self.due.get(&key).map_or(RETRY, |(_, wait)| *wait).min(settings.refresh_every);
                tracing::debug!(series = %key, %error, "no forecast to keep");
                self.due.insert(key, (now.saturating_add(wait), wait.saturating_mul(2)));
            }
        }
        true
    }

    /// Lists the series whose forecasts are due, those with a preset first.
    fn fill_order(&mut self, now: Millis) -> bool {
        let settings = &self.shared.settings;
        let keepers = self.shared.keepers.lock();
        let all = keepers.0.iter().chain(&keepers.1).take(settings.max_forecasts);
        let is_due = |key: &&Key| self.due.get(*key).is_none_or(|(at, _)| now >= *at);
        self.order = all.filter(is_due).cloned().collect();
        !self.order.is_empty()
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
