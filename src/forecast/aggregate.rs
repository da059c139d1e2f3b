//! What will many series be together?
//!
//! In: the pasts of some series with one step. Out: the forecast of their sum or mean, with a band of its own.
//!
//! Points add up. Bands do not: series that err apart make up for each other, series that err together do not. So every
//! series is replayed from the same moments, the errors made at one moment are added up lead by lead, and the band is
//! made of those sums as any band is of errors: whatever correlation there is is in them. Source: joint error paths for
//! hierarchies as in Panagiotelis, Gamakumara, Athanasopoulos and Hyndman, "Probabilistic forecast reconciliation", 2023.

use super::backtest::{MOST_ORIGINS, Plan, Replay};
use super::conformal::Conformal;
use super::direction::direction;
use super::facts::Facts;
use super::learn::learn_on;
use super::model::Coverage;
use super::outlook::{Band, Forecast};
use super::past::Past;
use super::prepare::{ForecastError, Request};
use super::to_now::to_now;
use crate::series::Season;

/// How series are taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
}

/// Why there is no forecast of a total.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TotalError {
    /// Nothing to take together.
    #[error("there is no series to take together")]
    NoSeries,
    /// Series that do not share a step cannot be added up.
    #[error("series {idx} has a step of {step} ms, the first one of {first} ms; ask for one step for all")]
    Steps {
        /// Which, counted from 0.
        idx: usize,
        /// Its step.
        step: i64,
        /// The first one's.
        first: i64,
    },
    /// Series that do not overlap in time.
    #[error("the series have no {0} steps in common; a total takes a past they all have")]
    Apart(usize),
    /// A series has no forecast.
    #[error("series {idx}: {source}")]
    Member {
        /// Which, counted from 0.
        idx: usize,
        /// Why.
        source: ForecastError,
    },
}

/// The least number of steps that the series must have in common.
const LEAST_COMMON: usize = 3;

/// Forecasts the total of `pasts` with the method of `request`, chosen for each series by itself.
///
/// Cells are matched by time, to the nearest; the forecast begins where the series that ends first ends. The settings,
/// the direction's slope and the accuracy are of the total: `settings` has the number of series as `series`.
///
/// # Errors
/// When the series do not share a step or a time, or one of them has no forecast.
pub fn aggregate(
    pasts: &[Past<'_>],
    total: Total,
    request: &Request,
    coverage: Coverage,
) -> Result<Forecast, TotalError> {
    let first = pasts.first().ok_or(TotalError::NoSeries)?;
    let step = first.step();
    if let Some((idx, other)) = pasts.iter().enumerate().find(|(_, past)| past.step() != step) {
        return Err(TotalError::Steps { idx, step: other.step().millis(), first: step.millis() });
    }
    let end = pasts.iter().map(Past::end).min().unwrap_or_default();
    let cut: Vec<Past<'_>> = pasts
        .iter()
        .map(|past| {
            let beyond = (past.end().saturating_sub(end) + step.millis() / 2) / step.millis();
            past.upto(past.len().saturating_sub(usize::try_from(beyond).unwrap_or(0)))
        })
        .collect();
    let n_common = cut.iter().map(Past::len).min().unwrap_or(0);
    if n_common < LEAST_COMMON {
        return Err(TotalError::Apart(LEAST_COMMON));
    }
    let share = match total {
        Total::Sum => 1.0,
        Total::Mean => 1.0 / pasts.len() as f64,
    };
    // The same moments for all, counted back from the common end.
    let plan = Plan::new(n_common, request.horizon.steps(), None, MOST_ORIGINS);
    let mut points = vec![0.0; request.horizon.steps()];
    let mut errors = plan.as_ref().map_or_else(Vec::new, |plan| vec![vec![0.0; plan.n_leads]; plan.origins.len()]);
    let mut season: Option<Season> = None;
    for (idx, past) in cut.iter().enumerate() {
        let member = |source| TotalError::Member { idx, source };
        let own = plan.as_ref().map(|plan| plan.later(past.len() - n_common));
        let (chosen, found) = learn_on(past, request, own).map_err(member)?;
        season = season.or(found.first().copied());
        let mut own_points = vec![0.0; points.len()];
        chosen.fitted.points_into(past.ahead(), &mut own_points);
        points.iter_mut().zip(own_points).for_each(|(sum, point)| *sum += share * point);
        let Some(plan) = &plan else { continue };
        for (nr, origin) in plan.origins.iter().enumerate() {
            let at = origin + past.len() - n_common;
            // What a member does not know of a moment, nobody knows of the total.
            let row = chosen.honest.origins.binary_search(&at).ok().map(|found| &chosen.honest.errors[found]);
            for (lead, sum) in errors[nr].iter_mut().enumerate() {
                *sum += share * row.map_or(f64::NAN, |row| row[lead]);
            }
        }
    }
    let replay = Replay { origins: plan.map_or_else(Vec::new, |plan| plan.origins), errors, takes_values: false };
    let season = season.map(Season::steps);
    let values: Vec<f64> = (0..n_common)
        .map(|cell| cut.iter().map(|past| share * past.values()[past.len() - n_common + cell]).sum())
        .collect();
    let bands = Conformal::new(&to_now(replay.known(), &values, season), season);
    let whole = Past::new(cut[0].at(cut[0].len() - n_common), step, &values);
    let (band, band_reason) = match bands.check(points.len()) {
        Ok(()) => {
            let reaches = bands.reaches(coverage.share());
            let edges = |(lead, point): (usize, &f64)| {
                let (below, above) = reaches(n_common, lead);
                (point - below, point + above)
            };
            let (lower, upper) = points.iter().enumerate().map(edges).unzip();
            (Some(Band { coverage, lower, upper }), None)
        }
        Err(reason) => (None, Some(reason)),
    };
    Ok(Forecast {
        start: end,
        step,
        calendar: cut[0].calendar(),
        points,
        band,
        band_reason,
        last_seen: cut.iter().filter_map(Past::last_seen).max().unwrap_or(end),
        direction: direction(whole, season.and_then(Season::new)),
        model: request.model.clone(),
        fallback: None,
        settings: [("series".to_owned(), pasts.len() as f64)].into(),
        accuracy: None,
        season,
        facts: Facts::default(),
        events: Vec::new(),
        influences: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::tests::Noise;
    use crate::forecast::{Horizon, prepare};
    use crate::series::Step;

    fn request() -> Request {
        Request { horizon: Horizon::new(6).unwrap(), model: "moving-average".to_owned(), ..Request::default() }
    }

    fn width(forecast: &Forecast) -> f64 {
        let band = forecast.band.as_ref().unwrap();
        band.upper[5] - band.lower[5]
    }

    /// Ten series of noise, together moved by `common`, and the widths of the total's band and of their bands' sum.
    fn widths(common: f64) -> (f64, f64) {
        let mut noise = Noise::seeded(9);
        let shared: Vec<f64> = (0..400).map(|_| noise.normal()).collect();
        let series: Vec<Vec<f64>> =
            (0..10).map(|_| shared.iter().map(|shared| 50.0 + common * shared + noise.normal()).collect()).collect();
        let pasts: Vec<Past<'_>> = series.iter().map(|values| Past::new(0, Step::seconds(60), values)).collect();
        let total = aggregate(&pasts, Total::Sum, &request(), Coverage::P95).unwrap();
        let alone =
            |past: &Past<'_>| width(&prepare(*past, &request()).unwrap().forecast(request().horizon, Coverage::P95));
        assert!((total.points[0] - 500.0).abs() < 10.0 + 5.0 * common, "{:?}", total.points);
        (width(&total), pasts.iter().map(alone).sum())
    }

    #[test]
    fn errors_made_apart_make_up_for_each_other_and_those_made_together_do_not() {
        // Ten independent errors add up to the root of ten of them.
        let (total, sum) = widths(0.0);
        assert!((0.2..0.45).contains(&(total / sum)), "{total} {sum}");
        let (total, sum) = widths(10.0);
        assert!((0.8..1.15).contains(&(total / sum)), "{total} {sum}");
    }

    #[test]
    fn a_band_of_a_total_holds_what_it_promises() {
        let mut noise = Noise::seeded(31);
        let (mut inside, mut all) = (0, 0);
        for _ in 0..60 {
            let shared = noise.walk(206, 0.9);
            let series: Vec<Vec<f64>> =
                (0..4).map(|_| shared.iter().map(|shared| shared + 2.0 * noise.normal()).collect()).collect();
            let pasts: Vec<Past<'_>> =
                series.iter().map(|values| Past::new(0, Step::seconds(60), &values[..200])).collect();
            let forecast = aggregate(&pasts, Total::Mean, &request(), Coverage::new(0.8).unwrap()).unwrap();
            let band = forecast.band.unwrap();
            for lead in 0..6 {
                let came = series.iter().map(|values| values[200 + lead] / 4.0).sum::<f64>();
                inside += i32::from((band.lower[lead]..=band.upper[lead]).contains(&came));
                all += 1;
            }
        }
        let share = f64::from(inside) / f64::from(all);
        assert!((0.72..=0.9).contains(&share), "{share}");
    }

    #[test]
    fn series_are_matched_by_time_and_end_with_the_one_that_ends_first() {
        let values: Vec<f64> = (0..120).map(f64::from).collect();
        let minute = Step::seconds(60);
        let (long, late) = (Past::new(0, minute, &values), Past::new(20 * 60_000, minute, &values[..80]));
        let naive = Request { model: "naive".to_owned(), ..request() };
        let forecast = aggregate(&[long, late], Total::Sum, &naive, Coverage::P95).unwrap();
        // At minute 99 the long one was 99, the late one 79.
        assert_eq!((forecast.start, forecast.points[0]), (100 * 60_000, 178.0));
        assert_eq!(aggregate(&[], Total::Sum, &naive, Coverage::P95), Err(TotalError::NoSeries));
        let hourly = Past::new(0, Step::seconds(3600), &values);
        let mixed = aggregate(&[long, hourly], Total::Sum, &naive, Coverage::P95);
        assert!(matches!(mixed, Err(TotalError::Steps { idx: 1, .. })));
        let before = Past::new(-900 * 60_000, minute, &values);
        assert!(aggregate(&[long, before], Total::Sum, &naive, Coverage::P95).is_err());
    }
}
