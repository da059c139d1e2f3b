//! A model that was fitted with the events of its series taken out, and looks ahead with them put in.

use super::Events;
use crate::forecast::columns::{Column, Effects, Freed, Influence, row_of};
use crate::forecast::correction::Correction;
use crate::forecast::model::{Coverage, Horizon, Updated};
use crate::forecast::outlook::Forecast;
use crate::forecast::past::{Past, Regressor, Regressors};
use crate::forecast::prepare::{ForecastError, Prepared, Request, prepare, prepare_as_known, prepare_beside};
use crate::forecast::registry::{UnknownModel, ValueNeed, find};
use crate::forecast::season::{SeasonChoice, find_seasons};
use crate::series::{Millis, Season};

/// A [`Prepared`] model, the events it was prepared under, and what known columns do.
#[derive(Debug)]
pub struct UnderEvents {
    prepared: Prepared,
    events: Events,
    effects: Effects,
    /// The instant whose level the model's values have.
    reference: Millis,
}

impl UnderEvents {
    /// As [`prepare`](super::super::prepare()), on a past from which `events` are taken out; steps without a size are
    /// measured on it. What recurs, and the columns that the past has beside its values, are taken out by what they are
    /// seen to have done, unless the method that is asked for reckons with columns by itself.
    ///
    /// # Errors
    /// As [`prepare`](super::super::prepare()); also when the events leave no value.
    pub fn prepare(past: &Past<'_>, events: &Events, request: &Request) -> Result<UnderEvents, ForecastError> {
        let reference = Events::reference_of(past);
        let events = &*events.on_dates(past.start(), past.step(), past.facts().zone);
        let columns = columns_of(past, events);
        let past = past.with_regressors(&[]);
        if events.is_empty() && columns.is_empty() {
            let (events, effects) = (Events::default(), Effects::default());
            return Ok(UnderEvents { prepared: prepare(past, request)?, events, effects, reference });
        }
        let events = events.measured(&past);
        let quiet = events.quiet(&past);
        // What the series itself kept to: without its events it may lie anywhere.
        let facts = past.facts().learned_from(past.values());
        let past = past.with_values(&quiet).with_facts(&facts);
        if columns.is_empty() {
            let (prepared, effects) = (prepare_as_known(&past, request)?, Effects::default());
            return Ok(UnderEvents { prepared, events, effects, reference });
        }
        if is_by_method(request)? {
            let n = past.len().saturating_add(request.horizon.steps());
            let rows: Vec<Regressor> = columns.iter().map(|column| row_of(column, n, |idx| past.at(idx))).collect();
            let effects = Effects::by_method(&past, &columns);
            let prepared = prepare_as_known(&past.with_regressors(&rows), request)?;
            return Ok(UnderEvents { prepared, events, effects, reference });
        }
        let seasons = seasons_of(&past, request);
        let (effects, learnt) = Effects::learn(&past, columns, &seasons);
        let calm = if learnt.shows() { learnt.quiet(&quiet) } else { quiet.clone() };
        let past = if learnt.shows() { past.with_values(&calm).freed_of(Freed::of(&learnt)) } else { past };
        // Where nothing shows the values are those in which they were found.
        let found = Some(seasons).filter(|_| !learnt.shows() && request.season == SeasonChoice::Auto);
        Ok(UnderEvents { prepared: prepare_beside(found, &past, request)?, events, effects, reference })
    }

    /// What is learned of the columns beside `past` and of what recurs among `events`; as [`UnderEvents::prepare`] does
    /// for a request.
    pub fn influences(past: &Past<'_>, events: &Events, request: &Request) -> Vec<Influence> {
        let events = &*events.on_dates(past.start(), past.step(), past.facts().zone);
        let columns = columns_of(past, events);
        if columns.is_empty() {
            return Vec::new();
        }
        let past = past.with_regressors(&[]);
        if is_by_method(request).is_ok_and(|is| is) {
            return Effects::by_method(&past, &columns).influences().to_vec();
        }
        let quiet = events.measured(&past).quiet(&past);
        let past = past.with_values(&quiet);
        Effects::learn(&past, columns, &seasons_of(&past, request)).0.influences().to_vec()
    }

    /// As [`Prepared::corrected_by`].
    #[must_use]
    pub fn corrected_by(self, correction: &Correction) -> UnderEvents {
        let rows = self.coming();
        UnderEvents { prepared: self.prepared.corrected_by(correction, Regressors::new(&rows)), ..self }
    }

    /// As [`Prepared::going_on_from`].
    #[must_use]
    pub fn going_on_from(self, before: &UnderEvents) -> UnderEvents {
        let rows = self.coming();
        UnderEvents { prepared: self.prepared.going_on_from(&before.prepared, Regressors::new(&rows)), ..self }
    }

    /// What columns will be as far as bands are made, and at the step before, for a method that reckons with them.
    fn coming(&self) -> Vec<Regressor> {
        let n = self.prepared.n_leads().saturating_add(1);
        self.effects.rows(n, |idx| self.prepared.after_end(idx))
    }

    /// The model itself; what it says knows of no event.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// What it holds in memory.
    pub fn n_bytes(&self) -> usize {
        self.prepared.n_bytes() + self.effects.n_bytes()
    }

    /// Points and bands with the events ahead; the first point stands `skipped` steps after the next.
    pub fn forecast(&self, skipped: usize, horizon: Horizon, coverage: Coverage) -> Forecast {
        self.events.forecast(&self.prepared, &self.effects, self.reference, skipped, horizon, coverage)
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
        let end = self.prepared.end();
        let assumed = assumed.on_dates(end, self.prepared.step(), self.prepared.facts().zone);
        if assumed.begin_before(end) {
            return None;
        }
        let events = self.events.and(&assumed);
        let effects = self.effects.with_windows(events.columns());
        Some(events.forecast(&self.prepared, &effects, self.reference, skipped, horizon, coverage))
    }

    /// Takes in the value at the next step, as [`Prepared::update`].
    pub fn update(&mut self, value: f64) -> Updated {
        let at = self.prepared.end();
        let len = self.prepared.after_end(1).saturating_sub(at);
        let quiet = if self.events.is_empty() { value } else { self.events.quieted(value, at, len, self.reference) };
        let quiet = self.effects.quieted(quiet, at, len);
        let rows = self.coming();
        self.prepared.update_from(value, quiet, Regressors::new(&rows))
    }
}

/// Whether the method asked for reckons with columns by itself.
fn is_by_method(request: &Request) -> Result<bool, UnknownModel> {
    Ok(find(&request.model)?.values == ValueNeed::KnownColumns)
}

/// The columns beside `past`, and what recurs.
fn columns_of(past: &Past<'_>, events: &Events) -> Vec<Column> {
    let regressors = past.regressors();
    let beside = regressors.columns().iter().enumerate().map(|(nr, column)| {
        let values = regressors.rows(nr).to_vec();
        Column::of_cells(&Regressor { name: column.name.clone(), values }, past)
    });
    beside.chain(events.columns()).collect()
}

/// The cycles that stand beside the columns when their effects are learned.
fn seasons_of(past: &Past<'_>, request: &Request) -> Vec<Season> {
    match request.season {
        SeasonChoice::Auto => find_seasons(*past),
        SeasonChoice::None => Vec::new(),
        SeasonChoice::Steps(season) => vec![season],
    }
}
