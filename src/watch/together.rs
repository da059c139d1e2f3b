//! Forecasts of the sum or the mean of stored series, made when they are asked for.

use super::error::WatchError;
use super::forecasts::Forecasts;
use super::history::{history_on, native_step, newest_finite, newest_of, samples_of, span_for, step_for, until};
use super::model::Purpose;
use super::standing::ForecastAsk;
use crate::forecast::Forecast;
use crate::series::{Aggregate, Aggregator, Grid, History, HistoryError, Key, Millis, Step};

/// The forecast of an aggregate.
#[derive(Clone, Debug)]
pub struct AggregateForecast {
    /// What comes next.
    pub forecast: Forecast,
    /// How many of the series had values.
    pub n_members: usize,
    /// Events that concern only some of the members and could not be reckoned with.
    pub left_out: Vec<String>,
}

impl Forecasts {
    /// Adds up the series of `keys`, which are of one metric, and forecasts what comes out as one series of the key
    /// `about`: its band comes from its own errors.
    pub fn aggregate(
        &self,
        about: &Key,
        keys: &[Key],
        how: Aggregate,
        ask: &ForecastAsk,
        now: Millis,
    ) -> Result<AggregateForecast, WatchError> {
        let purpose = Purpose::of(about, ask);
        let (mut metric, named) = self.metric(keys.first().unwrap_or(about));
        metric.time_zone = self.presets().shared_zone(keys.iter().map(|key| self.metric(key).0.time_zone));
        let mut natives: Vec<(&Key, Step)> = Vec::with_capacity(keys.len());
        for key in keys {
            natives.extend(native_step(self.store(), key, now)?.map(|step| (key, step)));
        }
        let Some(native) = natives.iter().map(|(_, step)| *step).max() else {
            return Err(WatchError::NoSamples(about.clone()));
        };
        let step = step_for(native, purpose.longest(), ask.step);
        let range = until(now, span_for(native, step, self.history_cells()));
        let is_mixed = natives.iter().any(|(_, own)| *own != step);
        let mut newest = None;
        // Only days can begin elsewhere before a change of clocks than after it, or elsewhere than at midnight.
        if step.is_of_days() && (!metric.zone().has_one_offset() || !is_mixed) {
            for (key, _) in &natives {
                newest = newest.max(newest_of(self.store(), key, now)?.map(|at| (at, *key)));
            }
        }
        let grid = match newest {
            // What comes daily is added up where it stands.
            Some((at, key)) if !is_mixed => {
                let samples = samples_of(self.store(), key, range)?;
                let own = History::from_samples(&samples, metric.kind_of(key.metric()), Some(step));
                Grid::through(step, own.map_or(at, |own| own.end()))
            }
            _ => Grid::new(step, metric.zone(), newest.map_or(now, |(at, _)| at)),
        };
        let start = grid.start_of(range.start());
        let n_cells = usize::try_from((range.end() - start) / step.millis() + 1).unwrap_or(0);
        let mut all = Aggregator::new(start, step, n_cells);
        let mut members: Vec<&Key> = Vec::with_capacity(natives.len());
        let mut last_sample = None;
        for (key, own) in natives {
            let samples = samples_of(self.store(), key, range)?;
            // A member without a value in the range is none.
            let Ok(history) = history_on(&samples, metric.kind_of(key.metric()), own, grid) else { continue };
            all.add(&history);
            last_sample = last_sample.max(newest_finite(&samples));
            members.push(key);
        }
        let n_members = all.n_members();
        let history = all.finish(how);
        if history.is_empty() {
            return Err(WatchError::History { key: about.clone(), source: HistoryError::Empty });
        }
        let history = history.tail(self.history_cells());
        let metric = metric.aggregated(how);
        let named_keys = members.iter().map(|key| (*key, ""));
        let (planned, mut left_out) = self.planned().of_aggregate(named_keys.clone(), how);
        let (assumed, more) = ask.assumed.of_aggregate(named_keys, how);
        left_out.extend(more);
        let model = self.model_of(&purpose, &history, native, (metric, named), &planned.and(&assumed), now)?;
        let forecast = model.having_seen(last_sample).answer_alone(ask, now)?;
        Ok(AggregateForecast { forecast, n_members, left_out })
    }
}
