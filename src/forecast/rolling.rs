//! Backtests: what would have been answered at moments of the past, and how right it was.
//!
//! In: a [`Past`], a [`Request`], and how many origins. Out: a [`Backtest`]: figures over all and by lead.
//! At each origin everything is done anew as it would have been done then, from the values before it alone: the search
//! for seasons, the choice of a method, its fit, its band. That is dearer than the replay behind selection and bands,
//! and it is what a person who asked at that moment would have been told.

use super::backtest::{Plan, mean};
use super::events::{Events, UnderEvents};
use super::learn::baseline;
use super::model::{Coverage, Forecaster};
use super::past::Past;
use super::prepare::{ForecastError, Request};
use super::season::{SeasonChoice, find_season};
use super::tally::{Judged, Tally};
use crate::series::Season;

/// How right the forecasts from some origins were. Backtests of the same request add up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backtest {
    /// How many origins gave a forecast.
    pub n_origins: usize,
    /// The registered names of the methods that made the forecasts, and at how many origins each did.
    pub models: Vec<(String, usize)>,
    /// The seasons used, and at how many origins each was.
    pub seasons: Vec<(Option<usize>, usize)>,
    /// At how many origins `auto` answered with a yardstick, kept to levels of the past or doubted a new one.
    pub n_fallbacks: usize,
    /// Over all leads.
    pub overall: Tally,
    /// By lead, from one step ahead on.
    pub leads: Vec<Tally>,
}

impl Backtest {
    /// Takes in what `other` has.
    pub fn merge(&mut self, other: &Backtest) {
        self.n_origins += other.n_origins;
        self.n_fallbacks += other.n_fallbacks;
        add_counts(&mut self.models, &other.models);
        add_counts(&mut self.seasons, &other.seasons);
        self.overall.merge(&other.overall);
        if self.leads.len() < other.leads.len() {
            self.leads.resize(other.leads.len(), Tally::default());
        }
        for (own, other) in self.leads.iter_mut().zip(&other.leads) {
            own.merge(other);
        }
    }

    /// The method that made most forecasts; the first of several.
    pub fn model(&self) -> Option<&str> {
        most_often(&self.models).map(String::as_str)
    }

    /// The season that was used most often; the first of several.
    pub fn season(&self) -> Option<usize> {
        most_often(&self.seasons).copied().flatten()
    }
}

fn add_counts<T: Clone + PartialEq>(own: &mut Vec<(T, usize)>, other: &[(T, usize)]) {
    for (what, n) in other {
        match own.iter_mut().find(|(known, _)| known == what) {
            Some((_, known)) => *known += n,
            None => own.push((what.clone(), *n)),
        }
    }
}

fn most_often<T>(counts: &[(T, usize)]) -> Option<&T> {
    counts.iter().rev().max_by_key(|(_, n)| *n).map(|(what, _)| what)
}

/// How many cells lie before each of up to `most` origins in `past`, ascending; empty when it is too short for one.
///
/// They are spread over the later half, or more where that is short, and the last leaves room for the whole horizon.
pub fn origins<'a>(past: impl Into<Past<'a>>, request: &Request, most: usize) -> Vec<usize> {
    let given = match request.season {
        SeasonChoice::Steps(season) => Some(season.steps()),
        SeasonChoice::Auto | SeasonChoice::None => None,
    };
    let plan = Plan::new(past.into().len(), request.horizon.steps(), given, most);
    plan.map_or_else(Vec::new, |plan| plan.origins)
}

/// The forecast that `request` would have got with the first `origin` cells of `past`, judged by those that came.
///
/// `events` count as known beforehand; what came in maintenance windows is not judged.
///
/// # Errors
/// As [`prepare`](super::prepare()) on the cells before the origin.
pub fn backtest_at<'a>(
    past: impl Into<Past<'a>>,
    events: &Events,
    request: &Request,
    coverage: Coverage,
    origin: usize,
) -> Result<Backtest, ForecastError> {
    let past = past.into();
    let before = past.upto(origin);
    let forecast = UnderEvents::prepare(&before, events, request)?.forecast(0, request.horizon, coverage);
    let season = match request.season {
        SeasonChoice::Auto => find_season(before),
        SeasonChoice::None => None,
        SeasonChoice::Steps(season) => Some(season),
    };
    let season = season.filter(|season| season.steps() < before.len());
    let scale = naive_error(before.values(), season);
    let naive = baseline(season, request.horizon.steps()).method.fit(&before).ok();
    let naive = naive.map(|naive| naive.points(request.horizon));
    let events = events.on_dates(past.start(), past.step(), past.facts().zone);
    let mut report = Backtest {
        n_origins: 1,
        models: vec![(forecast.model.clone(), 1)],
        seasons: vec![(forecast.season, 1)],
        n_fallbacks: usize::from(forecast.fallback.is_some()),
        ..Backtest::default()
    };
    for (idx, value) in past.values().iter().skip(origin).take(request.horizon.steps()).enumerate() {
        let cell = origin + idx;
        let value = if events.is_maintained(past.at(cell), past.length_of(cell)) { &f64::NAN } else { value };
        let naive = naive.as_ref().map(|naive| naive[idx]);
        let mut lead = Tally::default();
        lead.add(&Judged { naive, scale, ..Judged::of(&forecast, idx, *value) });
        report.overall.merge(&lead);
        report.leads.push(lead);
    }
    Ok(report)
}

/// All of [`origins`], judged. An origin with too little before it for the method is left out.
///
/// # Errors
/// As [`backtest_at`] when no origin gives a forecast, and when the past is too short for a single origin.
pub fn backtest<'a>(
    past: impl Into<Past<'a>>,
    request: &Request,
    coverage: Coverage,
    n_origins: usize,
) -> Result<Backtest, ForecastError> {
    let past = past.into();
    let mut report = Backtest::default();
    let mut failure = ForecastError::TooShort { got: past.len() };
    for origin in origins(past, request, n_origins) {
        match backtest_at(past, Events::NONE, request, coverage, origin) {
            Ok(judged) => report.merge(&judged),
            Err(error) => failure = error,
        }
    }
    if report.n_origins > 0 { Ok(report) } else { Err(failure) }
}

/// The mean error of seasonal naive (of naive without a season) one cycle ahead.
fn naive_error(values: &[f64], season: Option<Season>) -> Option<f64> {
    let lag = season.map_or(1, Season::steps);
    let error = mean(values.iter().zip(values.iter().skip(lag)).map(|(before, value)| (value - before).abs()));
    Some(error).filter(|error| error.is_finite() && *error > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Effect, Event, Horizon};
    use crate::series::Step;

    fn request(model: &str, horizon: usize) -> Request {
        Request { model: model.to_owned(), horizon: Horizon::new(horizon).unwrap(), ..Request::default() }
    }

    #[test]
    fn each_lead_is_judged_beside_naive() {
        // A line: naive is off by one more at each lead, and by one a step before the origin.
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let past = Past::new(0, Step::seconds(60), &values);
        let report = backtest(past, &request("naive", 6), Coverage::P95, 12).unwrap();
        assert_eq!((report.n_origins, report.leads.len(), report.model()), (12, 6, Some("naive")));
        for (idx, lead) in report.leads.iter().enumerate() {
            let off = idx as f64 + 1.0;
            assert_eq!((lead.n(), lead.mae(), lead.bias()), (12, Some(off), Some(off)));
            assert!((lead.mase().unwrap() - off).abs() < 1e-9 && lead.relative() == Some(1.0), "{lead:?}");
        }
        assert_eq!((report.overall.n(), report.overall.mae()), (72, Some(3.5)));
        let linear = backtest(past, &request("linear", 6), Coverage::P95, 12).unwrap();
        assert!(linear.overall.relative().unwrap() < 1e-6, "{linear:?}");
    }

    #[test]
    fn nothing_after_an_origin_is_seen() {
        let wave = |t: usize| (t as f64 / 24.0 * std::f64::consts::TAU).sin() * 10.0 + ((t * 7919) % 13) as f64;
        let mut values: Vec<f64> = (0..400).map(wave).collect();
        let origin = 300;
        let point = |values: &[f64]| {
            let past = Past::new(0, Step::seconds(3_600), values);
            // The same targets, so that only what the model saw can differ.
            let report = backtest_at(past, Events::NONE, &request("auto", 24), Coverage::P95, origin).unwrap();
            (report.model().map(str::to_owned), report.overall.mase())
        };
        let told = point(&values);
        values[324..].iter_mut().enumerate().for_each(|(idx, value)| *value = 1e6 * idx as f64);
        assert_eq!(point(&values), told);
    }

    #[test]
    fn gaps_are_not_judged_and_short_pasts_say_so() {
        let mut values: Vec<f64> = (0..60).map(f64::from).collect();
        values[50..].fill(f64::NAN);
        let past = Past::new(0, Step::seconds(60), &values);
        assert_eq!(backtest_at(past, Events::NONE, &request("naive", 12), Coverage::P95, 45).unwrap().overall.n(), 5);
        let maintained = (past.at(46), past.at(48));
        let window = Event { name: "w".to_owned(), effect: Effect::Maintenance(vec![maintained]) };
        let events = Events::new(vec![window]);
        let report = backtest_at(past, &events, &request("naive", 12), Coverage::P95, 45).unwrap();
        assert_eq!(report.overall.n(), 3);
        let error = backtest(past.upto(2), &request("naive", 6), Coverage::P95, 12).unwrap_err();
        assert_eq!(error, ForecastError::TooShort { got: 2 });
    }
}
