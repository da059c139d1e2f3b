//! A forecast as JSON: the points, and what their reader has to know of how they were made.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::answer::Time;
use super::issued::IssuedDoc;
use crate::forecast::{Accuracy, Change, Direction, Facts, Forecast, Influence, Learned};
use crate::series::{DAY, MINUTE, Millis, Step, format_duration};

/// A forecast.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Found {
    /// The model that made it; under `auto` those that were chosen, the weightiest first, with plus signs between.
    model: String,
    /// Why `auto` answers with a yardstick (naive or seasonal naive), keeps to levels of the past, or doubts a new one.
    fallback: Option<String>,
    /// What the model estimated or chose.
    settings: BTreeMap<String, f64>,
    /// The season used, in steps.
    season: Option<usize>,
    /// Spacing of the points, in seconds.
    step: f64,
    /// Where the metric is: means of whole days begin at midnight there, those of whole weeks on Mondays.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Where points and band stop.
    range: RangeDoc,
    /// What the values are: `gauge` as stored, `counter` per second.
    kind: &'static str,
    /// The promised coverage of the band; null when there is no band.
    level: Option<f64>,
    /// Why there is no band.
    band_reason: Option<String>,
    /// When the last sample stands that the model has seen.
    last_sample: Time,
    /// Set when the series has fallen silent: since how long, and what that means for the points.
    silent: Option<String>,
    /// Set when the first point is of a span that has begun, so that it stands before the last sample.
    begun: Option<String>,
    direction: DirectionDoc,
    /// How the model did on the series' own past; null when that is too short to say.
    accuracy: Option<AccuracyDoc>,
    /// How forecasts of this series that this server issued have turned out; null before any was judged.
    issued: Option<IssuedDoc>,
    /// The names of the events, planned or assumed, that change a point.
    events: Vec<String>,
    /// What was learned of each recurring event, planned or assumed; empty without any.
    influences: Vec<InfluenceDoc>,
    points: Vec<Point>,
}

/// What a recurring event does to the series, learned from its past times.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct InfluenceDoc {
    /// The event's.
    #[schema(example = "payday")]
    name: String,
    /// How often it was seen beside a value.
    occurrences: usize,
    /// The factor, where it multiplies; null where it does not, or nothing shows.
    times: Option<f64>,
    /// The amount, where it adds; null where it does not, or nothing shows.
    add: Option<f64>,
    /// How close the next time is to that with 95 %, in the same unit.
    give_or_take: Option<f64>,
    /// The same for people; where there is no effect, why.
    note: String,
}

/// The least and the greatest value that the metric can have, as far as they are known.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct RangeDoc {
    /// The metric's `valid_min`, or 0 where the series was never below.
    min: Option<f64>,
    /// The metric's `valid_max`, or the whole where a share never exceeded it.
    max: Option<f64>,
    /// Which of the two the history tells rather than a setting.
    learned: Vec<&'static str>,
    /// Whether values are whole numbers.
    integer: bool,
}

/// Where the series is heading.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct DirectionDoc {
    /// `rising`, `falling` or `flat`; rising and falling only when significant at 5 %.
    heading: &'static str,
    /// Change per day, in the metric's unit.
    slope_per_day: f64,
    /// How likely such a slope is when nothing changes.
    p_value: f64,
}

/// Backtested accuracy, next to seasonal naive's.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct AccuracyDoc {
    /// Origins replayed.
    origins: usize,
    /// Steps each went ahead.
    leads: usize,
    /// Mean absolute error.
    mae: Option<f64>,
    /// Symmetric mean absolute percentage error, 0 to 200.
    smape: Option<f64>,
    /// Mean absolute scaled error; below 1 beats seasonal naive.
    mase: Option<f64>,
    /// Mean absolute error of seasonal naive at the same origins.
    baseline_mae: Option<f64>,
    /// Share of past values inside a band made without them.
    coverage: Option<f64>,
}

/// One point.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Point {
    time: Time,
    value: f64,
    /// The band's lower edge; null without a band.
    lower: Option<f64>,
    /// The band's upper edge; null without a band.
    upper: Option<f64>,
}

fn silence(span: Millis, is_from_now: bool) -> String {
    // To the minute, for people.
    let span = format_duration(if span > MINUTE { span - span % MINUTE } else { span });
    let start = if is_from_now { "now" } else { "there; from=now begins them now" };
    format!("no sample for {span}: the points go by what was known then, and begin {start}")
}

/// Of a first point that stands at `start`, when samples are known up to `last_seen`.
fn begun(start: Millis, step: Step, last_seen: Millis) -> Option<String> {
    (start <= last_seen).then(|| {
        format!(
            "each point is the mean of {step} from its time on; the first of them has begun, with samples up to \
             `last_sample`"
        )
    })
}

impl Found {
    pub(super) fn of(forecast: Forecast, kind: &'static str, issued: Option<IssuedDoc>, now: Millis) -> Found {
        let silent = forecast.silent_for(now).map(|span| silence(span, forecast.start > now));
        let begun = begun(forecast.at(0), forecast.step, forecast.last_seen);
        let edge = |edges: Option<&Vec<f64>>, idx: usize| edges.and_then(|edges| edges.get(idx).copied());
        let (lower, upper) =
            (forecast.band.as_ref().map(|band| &band.lower), forecast.band.as_ref().map(|band| &band.upper));
        let points = forecast.points.iter().enumerate().map(|(idx, &value)| Point {
            time: Time(forecast.at(idx)),
            value,
            lower: edge(lower, idx),
            upper: edge(upper, idx),
        });
        Found {
            points: points.collect(),
            step: forecast.step.millis() as f64 / 1e3,
            time_zone: forecast.facts.zone.to_string(),
            range: RangeDoc::of(&forecast.facts),
            kind,
            level: forecast.band.as_ref().map(|band| band.coverage.share()),
            direction: DirectionDoc::of(forecast.direction, forecast.step),
            accuracy: forecast.accuracy.map(AccuracyDoc::of),
            issued,
            events: forecast.events,
            influences: forecast.influences.iter().map(InfluenceDoc::of).collect(),
            model: forecast.model,
            fallback: forecast.fallback,
            settings: forecast.settings,
            season: forecast.season,
            band_reason: forecast.band_reason,
            last_sample: Time(forecast.last_seen),
            silent,
            begun,
        }
    }
}

impl InfluenceDoc {
    fn of(influence: &Influence) -> InfluenceDoc {
        let (times, add, give_or_take) = match influence.effect {
            Learned::Shows(Change::Times { by, give_or_take }) => (Some(by), None, Some(give_or_take)),
            Learned::Shows(Change::Add { by, give_or_take }) => (None, Some(by), Some(give_or_take)),
            Learned::Shows(Change::Become(_) | Change::Measured) | Learned::Nothing(_) | Learned::ByMethod => {
                (None, None, None)
            }
        };
        let (name, note) = (influence.name.clone(), influence.to_string());
        InfluenceDoc { name, occurrences: influence.n_times, times, add, give_or_take, note }
    }
}

impl RangeDoc {
    fn of(facts: &Facts) -> RangeDoc {
        let finite = |bound: Option<f64>| bound.filter(|bound| bound.is_finite());
        let (min, max) = facts.is_learned;
        let learned = [("min", min), ("max", max)].into_iter().filter_map(|(name, is)| is.then_some(name)).collect();
        RangeDoc { min: finite(facts.min), max: finite(facts.max), learned, integer: facts.is_integer }
    }
}

impl DirectionDoc {
    fn of(direction: Direction, step: Step) -> DirectionDoc {
        DirectionDoc {
            heading: direction.heading.as_str(),
            slope_per_day: direction.slope_per_step * (DAY as f64 / step.millis() as f64),
            p_value: direction.p_value,
        }
    }
}

impl AccuracyDoc {
    fn of(accuracy: Accuracy) -> AccuracyDoc {
        let finite = |number: f64| number.is_finite().then_some(number);
        AccuracyDoc {
            origins: accuracy.n_origins,
            leads: accuracy.n_leads,
            mae: finite(accuracy.mae),
            smape: finite(accuracy.smape),
            mase: accuracy.mase.and_then(finite),
            baseline_mae: finite(accuracy.baseline_mae),
            coverage: accuracy.coverage,
        }
    }
}
