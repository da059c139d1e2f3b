//! One fitted model: what it is for, what it takes in, what it answers.

use super::error::WatchError;
use super::history::{means, nearest};
use super::standing::ForecastAsk;
use crate::forecast::{Correction, Events, Forecast, Horizon, Prepared, UnderEvents, Updated};
use crate::series::{Grid, Key, Millis, Sample, Step, format_duration};

/// Points of one answer, those before its start among them; more than a chart or a plan can use.
const MAX_POINTS: usize = 100_000;
/// Leads for which bands are made.
const MAX_LEADS: usize = 5_000;
/// A model that cannot be updated is fitted at once when it lags by more than this share of what it has seen.
const MAX_LAG_SHARE: f64 = 0.05;
/// Cells read before the model's end, so that a counter's first new sample has a predecessor.
const OVERLAP: Millis = 3;

/// What a fitted model is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Purpose {
    pub key: Key,
    pub model: String,
    pub step: Option<Step>,
    /// The horizon, rounded up to a power of two of seconds, so that similar questions share a model.
    pub class: u32,
}

impl Purpose {
    /// What `ask` needs.
    pub fn of(key: &Key, ask: &ForecastAsk) -> Purpose {
        let seconds = u64::try_from(ask.horizon / 1_000).unwrap_or(0).max(1);
        Purpose {
            key: key.clone(),
            model: ask.model.clone(),
            step: ask.step,
            class: seconds.next_power_of_two().ilog2(),
        }
    }

    pub fn longest(&self) -> Millis {
        (1i64 << self.class.min(40)) * 1_000
    }
}

/// A model under events, and how far it has come since it was fitted.
pub(super) struct Model {
    under: UnderEvents,
    native: Step,
    /// Steps since the model's end whose values it could not take in.
    lag: usize,
    /// When the series' last sample stands, also where the model could not take it in.
    last_seen: Millis,
    fitted_at: Millis,
    n_updates: usize,
}

impl Model {
    /// `under` was fitted at `now` to samples that come `native` apart, the last of which stands at `last_seen`.
    pub fn new(under: UnderEvents, native: Step, last_seen: Millis, now: Millis) -> Model {
        Model { under, native, lag: 0, last_seen, fitted_at: now, n_updates: 0 }
    }

    /// The same when the last sample stands at `newest`, though the model may not have been told of it yet.
    #[must_use]
    pub fn having_seen(self, newest: Option<Millis>) -> Model {
        Model { last_seen: newest.map_or(self.last_seen, |newest| newest.max(self.last_seen)), ..self }
    }

    pub fn fitted_at(&self) -> Millis {
        self.fitted_at
    }

    pub fn n_bytes(&self) -> usize {
        self.under.n_bytes()
    }

    fn prepared(&self) -> &Prepared {
        self.under.prepared()
    }

    /// With bands as forecasts that were kept and came true say.
    pub fn corrected_by(self, correction: &Correction) -> Model {
        Model { under: self.under.corrected_by(correction), ..self }
    }

    /// With what the values since the fit of `before` have taught of its bands.
    pub fn going_on_from(self, before: &Model) -> Model {
        Model { under: self.under.going_on_from(&before.under), ..self }
    }

    /// From when on samples are read for [`take`](Model::take).
    pub fn reads_from(&self) -> Millis {
        let step = self.prepared().step().millis().max(self.native.millis());
        self.prepared().end().saturating_sub(OVERLAP * step)
    }

    /// Whether its cells begin where those of the series do now that these have come: summer time moves days.
    pub fn is_on_grid(&self, points: &[Sample]) -> bool {
        let (prepared, newest) = (self.prepared(), points.iter().rfind(|point| point.value.is_finite()));
        let (end, step) = (prepared.end(), prepared.step());
        let is_coarse = step.millis() > self.native.millis();
        !is_coarse || newest.is_none_or(|newest| Grid::new(step, prepared.facts().zone, newest.at).start_of(end) == end)
    }

    /// Takes in what has come since its end: sorted, a counter's as rates.
    pub fn take(&mut self, points: &[Sample]) {
        let (end, step) = (self.prepared().end(), self.prepared().step());
        if let Some(last) = points.iter().rev().find(|point| point.value.is_finite()) {
            self.last_seen = self.last_seen.max(last.at);
        }
        let is_coarse = step.millis() > self.native.millis();
        let values = if is_coarse { means(points, end, step, self.native) } else { nearest(points, end, step) };
        if self.lag > 0 || values.len() > allowed_lag(self.prepared().n_seen()).max(1_000) {
            // What it missed is never taken in one by one later: the order would be wrong.
            self.lag = values.len();
            return;
        }
        for (idx, value) in values.iter().enumerate() {
            if self.under.update(*value) == Updated::NeedsRefit {
                self.lag = values.len() - idx;
                break;
            }
            self.n_updates += 1;
        }
    }

    /// Whether it should be fitted anew when there is time.
    pub fn is_worn(&self) -> bool {
        self.lag > 0 || self.n_updates as f64 > 0.1 * self.prepared().n_seen() as f64
    }

    /// Whether it stands near enough to the series' end to answer.
    pub fn keeps_up(&self) -> bool {
        self.lag <= allowed_lag(self.prepared().n_seen())
    }

    /// Whether the band reaches to the end of `horizon` in spite of the lag, or would not without it either.
    pub fn has_band_for(&self, horizon: Millis) -> bool {
        let (steps, n_leads) = (self.prepared().step().count_in(horizon), self.prepared().n_leads());
        self.lag.saturating_add(steps) <= n_leads || steps > n_leads
    }

    /// What it forecasts under the events that it knows.
    pub fn answer_alone(&self, ask: &ForecastAsk, now: Millis) -> Result<Forecast, WatchError> {
        let forecast = self.answer(ask, Events::NONE, now)?;
        Ok(forecast.expect("a model has to be another only when events are assumed"))
    }

    /// What it forecasts under `assumed`; `None` when these begin before its end.
    pub fn answer(&self, ask: &ForecastAsk, assumed: &Events, now: Millis) -> Result<Option<Forecast>, WatchError> {
        let (end, step) = (self.prepared().end(), self.prepared().step());
        let horizon = ask.steps_of(step)?;
        let mut skipped = self.lag;
        if ask.from_now && end <= now {
            let until_now = usize::try_from(now.saturating_sub(end) / step.millis()).unwrap_or(usize::MAX);
            skipped = skipped.max(until_now.saturating_add(1));
        }
        if skipped.saturating_add(horizon.steps()) > MAX_POINTS + self.lag {
            return Err(WatchError::Ask(format!(
                "the last sample is {skipped} steps of {step} old, and {MAX_POINTS} points at most are made; leave \
                 `from` out, or lengthen `step`"
            )));
        }
        let forecast = self.under.forecast_if(assumed, skipped, horizon, ask.coverage);
        Ok(forecast.map(|forecast| Forecast { last_seen: self.last_seen, ..forecast }))
    }
}

impl ForecastAsk {
    /// The horizon in steps of `step`.
    ///
    /// # Errors
    /// When that is more points than a chart or a plan can use: mostly the step was forgotten.
    pub fn steps_of(&self, step: Step) -> Result<Horizon, WatchError> {
        let steps = step.count_in(self.horizon);
        Horizon::new(steps).filter(|_| steps <= MAX_POINTS).ok_or_else(|| {
            WatchError::Ask(format!(
                "a horizon of {} at a step of {step} is {steps} points, more than {MAX_POINTS}; shorten `horizon` or \
                 lengthen `step`",
                format_duration(self.horizon)
            ))
        })
    }
}

/// How many steps a model that cannot take in single values may stand behind, having seen `n_seen`.
fn allowed_lag(n_seen: usize) -> usize {
    ((MAX_LAG_SHARE * n_seen as f64) as usize).max(8)
}

/// How many leads to make bands for when `steps` are asked for: more, for the time when the model stands behind.
pub(super) fn leads_for(steps: usize, n_seen: usize) -> usize {
    let room = allowed_lag(n_seen).min((steps / 8).max(32));
    steps.saturating_add(room).min(MAX_LEADS)
}
