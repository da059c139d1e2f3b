//! Forecasts for every series of some files.

use std::sync::Arc;

use crate::events::PlannedEvents;
use crate::forecast::{Coverage, Events, Facts, Forecast, ForecastError, Past, Request, SeasonChoice, UnderEvents};
use crate::presets::Presets;
use crate::series::{History, HistoryError, MetricKind, Millis, Sample, Step, format_duration};

use super::ahead::{Ahead, LONGEST_HORIZON};
use super::coarsen::{coarsen, history_and_notes};
use super::known::{KnownColumns, KnownColumnsError};
use super::parallel::spread;
use super::rows::{Axis, Rows, Source};
use super::shown::{Shown, shown};
use super::table::{Column, Table};

/// What to forecast.
#[derive(Clone, Debug)]
pub struct ForecastAsk {
    /// A registered forecaster.
    pub model: String,
    /// Where the season comes from.
    pub season: SeasonChoice,
    /// How far to look ahead.
    pub ahead: Ahead,
    /// What the band promises.
    pub coverage: Coverage,
    /// The newest cells that are looked at; `None` as many as are usual for the horizon.
    pub cells: Option<usize>,
    /// What is known to change the series; those that only count steps have no dates for it.
    pub events: Arc<PlannedEvents>,
    /// What is known beforehand beside the series.
    pub columns: Arc<KnownColumns>,
}

/// Why a series has no forecast.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ForecastFailure {
    /// Its samples make no history.
    #[error(transparent)]
    History(HistoryError),
    /// There is but one of them.
    #[error("there are samples of one moment only, and what comes next takes two at least; record longer")]
    OneMoment,
    /// No method could be fitted.
    #[error(transparent)]
    Forecast(#[from] ForecastError),
    /// The known columns are of another time.
    #[error(transparent)]
    Columns(#[from] KnownColumnsError),
    /// A duration was asked of a series that only counts steps.
    #[error("the series has steps but no timestamps, so the horizon must be a number of steps, not a duration")]
    NoClock,
    /// The duration has too many of the series' steps.
    #[error(
        "{} at a step of {step} is more than {LONGEST_HORIZON} steps; ask for a shorter horizon",
        format_duration(*span)
    )]
    TooFar {
        /// What was asked for.
        span: Millis,
        /// The series' step.
        step: Step,
    },
    /// The duration has so many of them that it is forecast by longer ones, of which the history has none.
    #[error(
        "{} ahead is forecast by points of {step}, which the history does not fill once; ask for a shorter horizon",
        format_duration(*span)
    )]
    TooYoung {
        /// What was asked for.
        span: Millis,
        /// The longer step.
        step: Step,
    },
}

impl From<HistoryError> for ForecastFailure {
    fn from(error: HistoryError) -> ForecastFailure {
        match error {
            // Over files there is no step that could be given.
            HistoryError::NoStep => ForecastFailure::OneMoment,
            error => ForecastFailure::History(error),
        }
    }
}

/// A forecast, and what its reader has to know of how it was made.
#[derive(Clone, Debug)]
pub struct SeriesForecast {
    /// What comes next.
    pub forecast: Forecast,
    /// What was left out or made coarser, a sentence each.
    pub notes: Vec<String>,
}

/// Forecasts every series; answers stand in the order of `rows.sources`.
///
/// `done` is told after each series.
pub fn forecast_all(
    rows: &Rows,
    ask: &ForecastAsk,
    presets: &Presets,
    done: impl Fn() + Sync,
) -> Vec<Result<SeriesForecast, ForecastFailure>> {
    let items: Vec<(&Source, Vec<Sample>)> = rows.sources.iter().zip(rows.samples()).collect();
    spread(items, |(source, samples)| forecast_one(source, &samples, ask, presets), done)
}

fn forecast_one(
    source: &Source,
    samples: &[Sample],
    ask: &ForecastAsk,
    presets: &Presets,
) -> Result<SeriesForecast, ForecastFailure> {
    let metric = source.settings(presets);
    let (history, told) = history_and_notes(source, samples, &metric)?;
    let facts = |is_mean| source.facts(&metric, is_mean);
    let events = events_of(source, &ask.events);
    let mut made = forecast_newest(std::iter::once(source), history, ask, facts, &events)?;
    made.notes.splice(0..0, told);
    Ok(made)
}

/// The forecast from what is to be seen of `history`, which is of `sources`; `facts` are told whether cells are means
/// of its own.
pub(super) fn forecast_newest<'a>(
    sources: impl Iterator<Item = &'a Source> + Clone,
    history: History,
    ask: &ForecastAsk,
    facts: impl Fn(bool) -> Facts,
    events: &Events,
) -> Result<SeriesForecast, ForecastFailure> {
    let zone = facts(false).zone;
    let axis = sources.clone().next().map_or(Axis::Time, |source| source.axis);
    let Shown { history, horizon, season, is_mean, mut notes, begun } =
        shown(axis, history, ask.ahead, ask.season, ask.cells, zone)?;
    let request = Request { model: ask.model.clone(), season, horizon };
    let (columns, more) = ask.columns.beside(sources, &history, horizon.steps())?;
    notes.extend(begun.into_iter().chain(more));
    let facts = facts(is_mean);
    let past = Past::of(&history).with_facts(&facts).with_regressors(&columns);
    let forecast = forecast_past(&past, &request, ask.coverage, events)?;
    Ok(SeriesForecast { forecast, notes })
}

/// For the many series of an analysis: like [`forecast_all`] for one, on a history of at most `most` cells made by
/// averaging, so that a long one costs no more than a short one.
pub(super) fn forecast_coarse(
    source: &Source,
    history: &History,
    ask: &ForecastAsk,
    most: usize,
    presets: &Presets,
) -> Result<Forecast, ForecastFailure> {
    let metric = source.settings(presets);
    let coarse = coarsen(history, most, metric.zone());
    let horizon = ask.ahead.in_steps(source.axis, coarse.step())?;
    let is_mean = coarse.step() != history.step();
    let (facts, events) = (source.facts(&metric, is_mean), events_of(source, &ask.events));
    let request = Request { model: ask.model.clone(), season: ask.season, horizon };
    forecast_past(&Past::of(&coarse).with_facts(&facts), &request, ask.coverage, &events)
}

/// The forecast of one past.
fn forecast_past(
    past: &Past<'_>,
    request: &Request,
    coverage: Coverage,
    events: &Events,
) -> Result<Forecast, ForecastFailure> {
    let model = UnderEvents::prepare(past, events, request)?;
    Ok(model.forecast(0, request.horizon, coverage))
}

/// The events that concern a source.
pub(super) fn events_of(source: &Source, planned: &PlannedEvents) -> Events {
    match source.axis {
        Axis::Time => planned.of_named(&source.key, &source.name),
        Axis::Steps => Events::default(),
    }
}

/// The forecasts as rows of series, step, timestamp, value, lo, hi, model, season, fallback, kind; series without one
/// are left out.
///
/// A series without timestamps has none in its forecast either; `lo` and `hi` are empty where no band can be promised,
/// `season` where none is used, and `fallback` unless `auto` answers with a yardstick, keeps to levels of the past or
/// doubts a new one: why.
/// Of the kind `counter` values are per second, of the kind `gauge` as they stand in the files.
pub fn forecast_table<'a>(forecasts: impl IntoIterator<Item = (&'a Source, MetricKind, &'a Forecast)>) -> Table {
    let (mut texts, mut series) = (Vec::new(), Vec::new());
    let (mut step, mut timestamp, mut value) = (Vec::new(), Vec::new(), Vec::new());
    let (mut lo, mut hi, mut model) = (Vec::new(), Vec::new(), Vec::new());
    let (mut season, mut fallback, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    for (source, kind, forecast) in forecasts {
        let name_idx = texts.len() as u32;
        texts.push(source.name.clone());
        for (lead, point) in forecast.points.iter().enumerate() {
            series.push(name_idx);
            step.push(Some(lead as i64 + 1));
            timestamp.push((source.axis == Axis::Time).then(|| forecast.at(lead)));
            value.push(*point);
            let band = forecast.band.as_ref();
            lo.push(band.map_or(f64::NAN, |band| band.lower[lead]));
            hi.push(band.map_or(f64::NAN, |band| band.upper[lead]));
            model.push(forecast.model.clone());
            season.push(forecast.season.and_then(|steps| i64::try_from(steps).ok()));
            fallback.push(forecast.fallback.clone());
            kinds.push(kind.as_str());
        }
    }
    Table::new()
        .with("series", Column::Name { texts: Arc::from(texts), idx: series })
        .with("step", Column::Int(step))
        .with("timestamp", Column::Time(timestamp))
        .with("value", Column::Float(value))
        .with("lo", Column::Float(lo))
        .with("hi", Column::Float(hi))
        .with("model", Column::texts(model))
        .with("season", Column::Int(season))
        .with("fallback", Column::Text(fallback))
        .with("kind", Column::texts(kinds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Grouping, forecast_groups};
    use crate::series::{Aggregate, HOUR, Key};

    fn ask(ahead: &str, season: SeasonChoice) -> ForecastAsk {
        let model = if season == SeasonChoice::None { "naive" } else { "seasonal-naive" };
        ForecastAsk {
            model: model.to_owned(),
            season,
            ahead: ahead.parse().unwrap(),
            coverage: Coverage::P95,
            cells: None,
            events: Arc::default(),
            columns: Arc::default(),
        }
    }

    fn date(text: &str) -> Millis {
        crate::batch::times::of_text(text).unwrap()
    }

    /// Rows of the metric `name`, one at each of `at`.
    fn rows(name: &str, at: &[Millis], value: impl Fn(usize) -> f64) -> Rows {
        let key = Key::from_pairs(name, &[("host", "a")]).unwrap();
        Rows {
            sources: vec![Source { name: name.to_owned(), key, axis: Axis::Time, is_metric: true }],
            source_idx: vec![0; at.len()],
            at: at.to_vec(),
            value: (0..at.len()).map(value).collect(),
            ..Rows::default()
        }
    }

    fn times(forecast: &Forecast) -> Vec<Millis> {
        (0..forecast.points.len()).map(|lead| forecast.at(lead)).collect()
    }

    /// The `day` of every `months`-th month from January 2015 on, or the last of its month.
    fn months(n: usize, months: usize, day: u32) -> Vec<Millis> {
        let at = |nr: usize| {
            let (year, month) = (2015 + nr * months / 12, nr * months % 12 + 1);
            let known =
                (1..=day).rev().find_map(|day| crate::batch::times::of_text(&format!("{year}-{month:02}-{day:02}")));
            known.unwrap()
        };
        (0..n).map(at).collect()
    }

    #[test]
    fn months_quarters_and_years_are_forecast_at_their_days() {
        let wave = |cycle: usize| move |t: usize| 100.0 + 30.0 * ((t % cycle) as f64) + ((t * 7919) % 13) as f64 / 10.0;
        for (apart, day, cycle, n) in
            [(1, 1, 12, 120), (1, 31, 12, 115), (3, 1, 4, 60), (3, 30, 4, 61), (1, 15, 12, 99)]
        {
            let all = months(n + 14, apart, day);
            let given = rows("orders", &all[..n], wave(cycle));
            let made = forecast_all(&given, &ask("14", SeasonChoice::Auto), &Presets::none(), || ()).remove(0).unwrap();
            assert_eq!(times(&made.forecast), all[n..], "every {apart} months on the {day}.");
            assert_eq!(made.forecast.season, Some(cycle), "every {apart} months on the {day}.");
            // The season has its place: what came a year ago comes again.
            for (lead, point) in made.forecast.points.iter().enumerate() {
                assert!((point - wave(cycle)(n + lead)).abs() < 2.0, "{lead}: {point}");
            }
        }
        let years = months(54, 12, 1);
        let given = rows("orders", &years[..40], |t| t as f64);
        let made = forecast_all(&given, &ask("14", SeasonChoice::None), &Presets::none(), || ()).remove(0).unwrap();
        assert_eq!(times(&made.forecast), years[40..]);
        // A duration has as many months as fit, and missing months are gaps.
        let all = months(132, 1, 1);
        let seen: Vec<Millis> = (0..120).filter(|nr| nr % 11 != 5).map(|nr| all[nr]).collect();
        let given = rows("orders", &seen, |t| t as f64);
        let made = forecast_all(&given, &ask("365d", SeasonChoice::None), &Presets::none(), || ()).remove(0).unwrap();
        assert_eq!(times(&made.forecast), all[120..]);
    }

    #[test]
    fn a_sum_of_months_stands_at_their_days_and_an_event_begins_with_its_month() {
        let all = months(72, 1, 1);
        let mut both = rows("orders", &all[..60], |_| 1.0);
        let mut second = rows("orders", &all[24..60], |_| 2.0);
        second.sources[0].key = Key::from_pairs("orders", &[("host", "b")]).unwrap();
        second.sources[0].name = "second".to_owned();
        both.append(second);
        let mut ask = ask("12", SeasonChoice::None);
        let plan = PlannedEvents::parse("- {name: more, kind: step, at: 2020-04-01, add: 5}").unwrap();
        ask.events = Arc::new(plan);
        let grouping = Grouping { how: Aggregate::Sum, by: Vec::new() };
        let made = forecast_groups(&both, &grouping, &ask, &Presets::none(), || ()).remove(0).outcome.unwrap();
        assert_eq!(times(&made.forecast), all[60..]);
        assert_eq!(made.forecast.points[..4], [3.0, 3.0, 3.0, 13.0]);
        let alone = forecast_all(&both, &ask, &Presets::none(), || ()).remove(0).unwrap();
        assert_eq!(alone.forecast.points[..4], [1.0, 1.0, 1.0, 6.0]);
    }

    #[test]
    fn a_counter_is_said_to_be_a_rate() {
        let at: Vec<Millis> = (0..200).map(|t| date("2024-01-01") + t * HOUR).collect();
        let mut both = rows("jobs_total", &at, |t| 7_200.0 * t as f64);
        both.append(rows("load", &at, |t| t as f64));
        let made = forecast_all(&both, &ask("3", SeasonChoice::None), &Presets::none(), || ());
        let (jobs, load) = (made[0].as_ref().unwrap(), made[1].as_ref().unwrap());
        assert_eq!(jobs.forecast.points, [2.0; 3]);
        assert!(jobs.notes[0].contains("per second") && load.notes.is_empty(), "{:?} {:?}", jobs.notes, load.notes);
        let kinds = both.sources.iter().map(|source| source.kind_by(&source.settings(&Presets::none())));
        let told = both.sources.iter().zip(kinds).zip(&made);
        let table = forecast_table(told.map(|((source, kind), made)| (source, kind, &made.as_ref().unwrap().forecast)));
        let Some(Column::Text(kinds)) = table.column("kind") else { panic!("{table:?}") };
        let kinds: Vec<&str> = kinds.iter().flatten().map(String::as_str).collect();
        assert_eq!(kinds, ["counter", "counter", "counter", "gauge", "gauge", "gauge"]);
    }
}
