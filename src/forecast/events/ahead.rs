//! The future with events in it: points and bands of a model that knows of none, changed by what is planned.

use statrs::distribution::{ContinuousCDF, Normal};

use super::{Effect, Events, Holiday};
use crate::forecast::columns::Effects;
use crate::forecast::model::{Coverage, Horizon};
use crate::forecast::outlook::Forecast;
use crate::forecast::past::Regressors;
use crate::forecast::prepare::Prepared;
use crate::forecast::shaped::shape;
use crate::series::{DAY, Millis};

/// How far beyond the horizon a holiday looks for the day it is like, and for that day a week later.
const BEYOND: Millis = 14 * DAY;

impl Events {
    /// What `prepared`, which was fitted to values at the level of `reference` without the `effects` of known columns,
    /// forecasts with these events and columns ahead: as [`Prepared::forecast_after`] without them.
    ///
    /// Bands move and are scaled with the points; what an event or a column may be off by, or the size of a measured
    /// one, widens them, as independent errors add up. A value that an event sets keeps the width of the band that it
    /// replaces.
    pub(in crate::forecast) fn forecast(
        &self,
        prepared: &Prepared,
        effects: &Effects,
        reference: Millis,
        skipped: usize,
        horizon: Horizon,
        coverage: Coverage,
    ) -> Forecast {
        let known = |n: usize| effects.rows(skipped.saturating_add(n), |idx| prepared.after_end(idx));
        let rows = known(horizon.steps());
        let mut forecast = prepared.forecast_after(skipped, horizon, coverage, Regressors::new(&rows));
        forecast.influences = effects.influences().to_vec();
        if self.is_empty() && effects.is_empty() {
            return forecast;
        }
        let (n, len) = (horizon.steps(), forecast.step.millis());
        let end = forecast.at(n);
        let has_holidays = len <= DAY
            && self
                .events
                .iter()
                .any(|event| matches!(event.effect, Effect::Holidays(_)) && event.effect.touches(forecast.start, end));
        if has_holidays {
            let further = n.saturating_add(usize::try_from(BEYOND / len).unwrap_or(0) + 1);
            if let Some(further) = Horizon::new(further) {
                let rows = known(further.steps());
                let longer = prepared.forecast_after(skipped, further, coverage, Regressors::new(&rows)).points;
                self.put_holidays(&mut forecast, &longer);
            }
        }
        let facts = prepared.facts();
        let normal = Normal::standard();
        // From 95 % to the band's own coverage.
        let stretch = normal.inverse_cdf(0.5 + coverage.share() / 2.0) / normal.inverse_cdf(0.975);
        let now = self.lasting(reference, 1);
        for idx in 0..n {
            let at = forecast.at(idx);
            // Months have days of their own.
            let len = forecast.at(idx + 1).saturating_sub(at);
            let then = self.holding(at, len);
            let column = effects.at(at, len);
            // As the columns have it at the level of the reference, and from there as the events have it.
            let own = column.of(forecast.points[idx]);
            let base = now.undone(own);
            let base = if base.is_nan() { own } else { base };
            let point = then.of(base);
            if let Some(band) = &mut forecast.band {
                let scale = if now.a > 0.0 && then.a > 0.0 { then.a / now.a } else { 1.0 };
                let below = (forecast.points[idx] - band.lower[idx]) * scale * column.a;
                let above = (band.upper[idx] - forecast.points[idx]) * scale * column.a;
                let of_columns = effects.doubt(at, len, own).hypot(self.doubt) * scale;
                let doubt = stretch * self.doubt(at, len, reference, base).hypot(of_columns);
                band.lower[idx] = shape(point - below.hypot(doubt), facts);
                band.upper[idx] = shape(point + above.hypot(doubt), facts);
            }
            forecast.points[idx] = shape(point, facts);
        }
        forecast.events = self.names(forecast.start, end, effects);
        forecast
    }

    /// How far off the events after `reference` may be at a cell, with 95 %, as independent errors add up.
    fn doubt(&self, at: Millis, len: Millis, reference: Millis, base: f64) -> f64 {
        let to_come = self.events.iter().filter(|event| event.effect.onset() >= reference);
        let parts = to_come.filter_map(|event| event.effect.holding(at, len));
        parts.map(|(change, share)| (change.doubt(base) * share).powi(2)).sum::<f64>().sqrt()
    }

    /// Gives each cell of a holiday the points of the nearest day that it is like, moved by what the forecast drifts
    /// between the two; `longer` goes on where `forecast` ends.
    fn put_holidays(&self, forecast: &mut Forecast, longer: &[f64]) {
        let days: Vec<&Holiday> = self
            .events
            .iter()
            .filter_map(|event| if let Effect::Holidays(days) = &event.effect { Some(days) } else { None })
            .flatten()
            .collect();
        let len = forecast.step.millis();
        let day_of = |at: Millis| {
            let middle = at.saturating_add(len / 2);
            days.iter().find(|day| (day.start..day.end).contains(&middle)).copied()
        };
        let week = (7 * DAY + len / 2) / len;
        for idx in 0..forecast.points.len() {
            let Some(day) = day_of(forecast.at(idx)) else { continue };
            let candidates = [day.days_to_like, day.days_to_like - 7, day.days_to_like + 7];
            let found = candidates
                .into_iter()
                .filter_map(|n_days| {
                    let there = usize::try_from(idx as i64 + (n_days * DAY) / len).ok()?;
                    // Not another holiday, and known there and a week on.
                    let is_known = there + (week as usize) < longer.len();
                    (is_known && day_of(forecast.at(there)).is_none_or(|_| n_days == 0)).then_some((n_days, there))
                })
                .min_by_key(|(n_days, _)| n_days.abs());
            let Some((n_days, there)) = found else { continue };
            let drift = (longer[there + week as usize] - longer[there]) / 7.0;
            let point = longer[there] - drift * n_days as f64;
            if let Some(band) = &mut forecast.band {
                let moved = point - forecast.points[idx];
                band.lower[idx] += moved;
                band.upper[idx] += moved;
            }
            forecast.points[idx] = point;
        }
    }
}
