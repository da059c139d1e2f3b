//! A model that was fitted with the events of its series taken out, and looks ahead with them put in.

use super::Events;
use crate::forecast::correction::Correction;
use crate::forecast::model::{Coverage, Horizon, Updated};
use crate::forecast::outlook::Forecast;
use crate::forecast::past::{Past, Regressors};
use crate::forecast::prepare::{ForecastError, Prepared, Request, prepare, prepare_as_known};
use crate::series::Millis;

/// A [`Prepared`] model and the events it was prepared under.
#[derive(Debug)]
pub struct UnderEvents {
    prepared: Prepared,
    events: Events,
    /// The instant whose level the model's values have.
    reference: Millis,
}

impl UnderEvents {
    /// As [`prepare`](super::super::prepare()), on a past from which `events` are taken out; steps without a size are
    /// measured on it.
    ///
    /// # Errors
    /// As [`prepare`](super::super::prepare()); also when the events leave no value.
    pub fn prepare(past: &Past<'_>, events: &Events, request: &Request) -> Result<UnderEvents, ForecastError> {
        let reference = past.end();
        if events.is_empty() {
            return Ok(UnderEvents { prepared: prepare(*past, request)?, events: Events::default(), reference });
        }
        let events = events.measured(past);
        let quiet = events.quiet(past);
        // What the series itself kept to: without its events it may lie anywhere.
        let facts = past.facts().learned_from(past.values());
        let prepared = prepare_as_known(&past.with_values(&quiet).with_facts(&facts), request)?;
        Ok(UnderEvents { prepared, events, reference })
    }

    /// As [`Prepared::corrected_by`].
    #[must_use]
    pub fn corrected_by(self, correction: &Correction) -> UnderEvents {
        UnderEvents { prepared: self.prepared.corrected_by(correction, Regressors::NONE), ..self }
    }

    /// As [`Prepared::going_on_from`].
    #[must_use]
    pub fn going_on_from(self, before: &UnderEvents) -> UnderEvents {
        UnderEvents { prepared: self.prepared.going_on_from(&before.prepared, Regressors::NONE), ..self }
    }

    /// The model itself; what it says knows of no event.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// Points and bands with the events ahead; the first point stands `skipped` steps after the next.
    pub fn forecast(&self, skipped: usize, horizon: Horizon, coverage: Coverage) -> Forecast {
        self.events.forecast(&self.prepared, self.reference, skipped, horizon, coverage)
    }

    /// The same with events assumed beside those that are planned; `None` when one of them begins before the model's
    /// end, so that it has to be prepared anew under them.
    pub fn forecast_if(
        &self,
        assumed: &Events,
        skipped: usize,
        horizon: Horizon,
        coverage: Coverage,
    ) -> Option<Forecast> {
        if assumed.is_empty() {
            return Some(self.forecast(skipped, horizon, coverage));
        }
        if assumed.begin_before(self.prepared.end()) {
            return None;
        }
        Some(self.events.and(assumed).forecast(&self.prepared, self.reference, skipped, horizon, coverage))
    }

    /// Takes in the value at the next step, as [`Prepared::update`].
    pub fn update(&mut self, value: f64) -> Updated {
        let (at, len) = (self.prepared.end(), self.prepared.step().millis());
        let quiet = if self.events.is_empty() { value } else { self.events.quieted(value, at, len, self.reference) };
        self.prepared.update_from(value, quiet, Regressors::NONE)
    }
}
