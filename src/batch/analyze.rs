//! Everything at once over historical files: forecasts, anomalies, incidents, capacity.
//!
//! In: rows of any number of series. Out: an [`Analysis`], as tables and as values for a report.
//! The cost per series is bounded: every row is scored once, and what looks ahead sees at most a few thousand cells
//! ([`coarsen`]), whatever the history's length.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::capacity::{Assessment, CapacitySettings, Exhaustion, assess};
use crate::detect::{Anomaly, DetectError};
use crate::forecast::Forecast;
use crate::incident::{GroupSettings, Incident, Member, group};
use crate::presets::Presets;
use crate::series::{DAY, MetricKind, Millis, Sample, Step};

use super::coarsen::{coarsen, history_of};
use super::detect::{DetectAsk, detect_one};
use super::forecast::{ForecastAsk, ForecastFailure, events_of, forecast_coarse, forecast_table};
use super::limits::{GivenLimit, limits_of};
use super::parallel::spread;
use super::rows::{Axis, Rows, Source};
use super::table::{Column, Table};

/// Cells that a capacity answer looks at; few series have a limit, so this need not depend on how many there are.
const CAPACITY_CELLS: usize = 4_000;

/// What to analyze, and how.
#[derive(Clone, Debug)]
pub struct AnalyzeAsk {
    /// How to look ahead.
    pub forecast: ForecastAsk,
    /// Histories of more cells are averaged to so many before they are forecast.
    pub most_cells: usize,
    /// How to look for anomalies.
    pub detect: DetectAsk,
    /// When anomalies belong together.
    pub group: GroupSettings,
    /// What to assume about limits.
    pub capacity: CapacitySettings,
    /// Limits given beside those that the presets know.
    pub limits: Vec<GivenLimit>,
}

/// What was found.
#[derive(Debug)]
pub struct Analysis {
    /// The series, in order of first appearance.
    pub sources: Vec<Source>,
    /// How many rows they have.
    pub n_rows: usize,
    /// The first and the last timestamp, when there are any.
    pub span: Option<(Millis, Millis)>,
    /// How many series were averaged before they were forecast.
    pub n_averaged: usize,
    /// Of how many the first point stands before the last sample, by the step of their points: a day or a week that has
    /// begun.
    pub n_begun: BTreeMap<Step, usize>,
    /// One per source: of a counter every value is per second.
    pub kinds: Vec<MetricKind>,
    /// One per source.
    pub forecasts: Vec<Result<Forecast, ForecastFailure>>,
    /// With the index of the source they are of, by start.
    pub anomalies: Vec<(usize, Anomaly)>,
    /// By start.
    pub incidents: Vec<Incident>,
    /// With the index of the source they are of, soonest first.
    pub capacity: Vec<(usize, Assessment)>,
}

/// Analyzes every series; `done` is told after each.
///
/// # Errors
/// When the detector does not exist or lacks a setting.
pub fn analyze(
    rows: Rows,
    ask: &AnalyzeAsk,
    presets: &Presets,
    done: impl Fn() + Sync,
) -> Result<Analysis, DetectError> {
    let samples = rows.samples();
    let n_rows = rows.len();
    let sources = rows.sources;
    // The rows are in `samples` now; ten million of them need not be held twice.
    drop((rows.source_idx, rows.at, rows.value));
    let is_timed = |idx: &usize| sources[*idx].axis == Axis::Time;
    let instants = || (0..sources.len()).filter(is_timed).flat_map(|idx| samples[idx].iter().map(|sample| sample.at));
    let span = instants().min().zip(instants().max());
    let lasts: Vec<f64> = samples.iter().map(|samples| last_value(samples)).collect();
    let kinds = sources.iter().map(|source| source.kind_by(&source.settings(presets))).collect();
    let limits = limits_of(&sources, &lasts, &ask.limits, presets);

    let items: Vec<_> = sources.iter().zip(samples).zip(limits).collect();
    let per_series = spread(
        items,
        |((source, samples), limit)| {
            let found = detect_one(source, &[], &samples, &ask.detect, presets, false)?;
            let metric = source.settings(presets);
            let history = history_of(source, &samples, &metric);
            let newest = samples.iter().filter(|sample| sample.value.is_finite()).map(|sample| sample.at).max();
            drop(samples);
            let is_averaged = history.as_ref().is_ok_and(|history| history.len() > ask.most_cells);
            let assessment = match (&history, limit) {
                (Ok(history), Some(known)) => {
                    let mut settings = ask.capacity.clone();
                    settings.whole = settings.whole.or(known.whole);
                    settings.unit = settings.unit.or_else(|| metric.unit.clone());
                    let coarse = coarsen(history, CAPACITY_CELLS, metric.zone());
                    let events = events_of(source, &ask.forecast.events);
                    settings.events = events.on_dates(coarse.start(), coarse.step(), metric.zone()).into_owned();
                    Some(assess(&coarse, known.limit, &settings))
                }
                _ => None,
            };
            let forecast = history
                .map_err(ForecastFailure::from)
                .and_then(|history| forecast_coarse(source, &history, &ask.forecast, ask.most_cells, presets));
            let begun = forecast.as_ref().ok().filter(|it| is_averaged && Some(it.at(0)) <= newest).map(|it| it.step);
            Ok::<_, DetectError>((found.anomalies, forecast, assessment, is_averaged, begun))
        },
        done,
    );

    let (mut anomalies, mut forecasts, mut capacity) = (Vec::new(), Vec::new(), Vec::new());
    let (mut n_averaged, mut n_begun) = (0, BTreeMap::new());
    for (idx, outcome) in per_series.into_iter().enumerate() {
        let (found, forecast, assessment, is_averaged, begun) = outcome?;
        n_averaged += usize::from(is_averaged);
        if let Some(step) = begun {
            *n_begun.entry(step).or_default() += 1;
        }
        anomalies.extend(found.into_iter().map(|anomaly| (idx, anomaly)));
        forecasts.push(forecast);
        capacity.extend(assessment.map(|assessment| (idx, assessment)));
    }
    anomalies.sort_by_key(|(idx, anomaly)| (anomaly.start, *idx));
    capacity.sort_by_key(|(idx, assessment)| (soonness(assessment), *idx));
    // Steps of different series are not the same instants, so only series with a clock share incidents.
    let members: Vec<Member> = anomalies
        .iter()
        .filter(|(idx, _)| sources[*idx].axis == Axis::Time)
        .map(|(idx, anomaly)| Member { key: sources[*idx].key.clone(), anomaly: anomaly.clone() })
        .collect();
    let incidents = group(&members, &ask.group);
    Ok(Analysis { sources, n_rows, span, n_averaged, n_begun, kinds, forecasts, anomalies, incidents, capacity })
}

fn last_value(samples: &[Sample]) -> f64 {
    let finite = samples.iter().filter(|sample| sample.value.is_finite());
    finite.max_by_key(|sample| sample.at).map_or(f64::NAN, |sample| sample.value)
}

/// Sorts by urgency: crossed, then by the median date, then those beyond the horizon, not growing, unknown.
fn soonness(assessment: &Assessment) -> (u8, Millis) {
    match &assessment.exhaustion {
        Exhaustion::Crossed { .. } => (0, 0),
        Exhaustion::Expected { p10, p50, .. } => {
            (1, p50.or(p10.map(|at| at.saturating_add(365 * DAY))).unwrap_or(Millis::MAX))
        }
        Exhaustion::NotGrowing => (2, 0),
        Exhaustion::Unknown { .. } => (3, 0),
    }
}

/// A date or the word that stands in for it.
pub(super) fn outcome_word(exhaustion: &Exhaustion) -> &'static str {
    match exhaustion {
        Exhaustion::Crossed { .. } => "crossed",
        Exhaustion::Expected { .. } => "expected",
        Exhaustion::NotGrowing => "not growing",
        Exhaustion::Unknown { .. } => "unknown",
    }
}

impl Analysis {
    /// As [`forecast_table`].
    pub fn forecast_table(&self) -> Table {
        let sources = self.sources.iter().zip(&self.kinds);
        let made = sources.zip(&self.forecasts);
        forecast_table(made.filter_map(|((source, kind), made)| Some((source, *kind, made.as_ref().ok()?))))
    }

    /// Each anomaly: series, start, end, peak_at, score, value, expected, lo, hi, kind, detector, open, explanation.
    /// A series that only counts steps has its step numbers in start_step and end_step instead.
    pub fn anomaly_table(&self) -> Table {
        let all = &self.anomalies;
        let timed = |idx: usize, at: Millis| (self.sources[idx].axis == Axis::Time).then_some(at);
        let stepped =
            |idx: usize, at: Millis| (self.sources[idx].axis == Axis::Steps).then(|| at / Axis::STEP.millis());
        Table::new()
            .with("series", self.names(all.iter().map(|(idx, _)| *idx)))
            .with("start", Column::Time(all.iter().map(|(idx, it)| timed(*idx, it.start)).collect()))
            .with("end", Column::Time(all.iter().map(|(idx, it)| timed(*idx, it.end)).collect()))
            .with("peak_at", Column::Time(all.iter().map(|(idx, it)| timed(*idx, it.peak_at)).collect()))
            .with("start_step", Column::Int(all.iter().map(|(idx, it)| stepped(*idx, it.start)).collect()))
            .with("end_step", Column::Int(all.iter().map(|(idx, it)| stepped(*idx, it.end)).collect()))
            .with("score", Column::Float(all.iter().map(|(_, it)| it.score).collect()))
            .with("value", Column::Float(all.iter().map(|(_, it)| it.value).collect()))
            .with("expected", Column::floats(all.iter().map(|(_, it)| it.expected)))
            .with("lo", Column::floats(all.iter().map(|(_, it)| it.lower)))
            .with("hi", Column::floats(all.iter().map(|(_, it)| it.upper)))
            .with("kind", Column::texts(all.iter().map(|(_, it)| it.kind.as_str())))
            .with("detector", Column::texts(all.iter().map(|(_, it)| it.detector.clone())))
            .with("open", Column::Bool(all.iter().map(|(_, it)| it.is_open).collect()))
            .with("explanation", Column::texts(all.iter().map(|(_, it)| it.explanation.clone())))
    }

    /// Each incident: id, start, end, open, n_members, shared_labels, cause, cause_strength, cause_reason, members,
    /// summary.
    /// Labels and members are JSON texts.
    pub fn incident_table(&self) -> Table {
        let all = &self.incidents;
        let shared = |incident: &Incident| {
            let labels: serde_json::Map<String, serde_json::Value> =
                incident.shared_labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
            serde_json::Value::Object(labels).to_string()
        };
        let members = |incident: &Incident| {
            let keys: Vec<String> = incident.members.iter().map(|member| member.key.to_string()).collect();
            serde_json::Value::from(keys).to_string()
        };
        let cause = |incident: &Incident| incident.causes.first().map(|cause| cause.key.to_string());
        let reason = |incident: &Incident| incident.causes.first().map(|cause| cause.reason.clone());
        Table::new()
            .with("id", Column::texts(all.iter().map(|it| it.id.clone())))
            .with("start", Column::Time(all.iter().map(|it| Some(it.start)).collect()))
            .with("end", Column::Time(all.iter().map(|it| Some(it.end)).collect()))
            .with("open", Column::Bool(all.iter().map(|it| it.is_open).collect()))
            .with("n_members", Column::Int(all.iter().map(|it| Some(it.members.len() as i64)).collect()))
            .with("shared_labels", Column::texts(all.iter().map(shared)))
            .with("cause", Column::Text(all.iter().map(cause).collect()))
            .with("cause_strength", Column::floats(all.iter().map(|it| it.causes.first().map(|cause| cause.strength))))
            .with("cause_reason", Column::Text(all.iter().map(reason).collect()))
            .with("members", Column::texts(all.iter().map(members)))
            .with("summary", Column::texts(all.iter().map(|it| it.summary.clone())))
    }

    /// Each series with a limit: series, level, limit, outcome, p10, p50, p90, since, probability, headroom_now,
    /// headroom_7d, headroom_30d, headroom_90d, slope_per_day, amount, recommendation, reason.
    pub fn capacity_table(&self) -> Table {
        let all = &self.capacity;
        let date = |pick: &dyn Fn(&Exhaustion) -> Option<Millis>| {
            Column::Time(all.iter().map(|(_, it)| pick(&it.exhaustion)).collect())
        };
        let expected = |nth: usize| {
            move |exhaustion: &Exhaustion| match exhaustion {
                Exhaustion::Expected { p10, p50, p90 } => [*p10, *p50, *p90][nth],
                Exhaustion::Crossed { .. } | Exhaustion::NotGrowing | Exhaustion::Unknown { .. } => None,
            }
        };
        let since = |exhaustion: &Exhaustion| match exhaustion {
            Exhaustion::Crossed { since } => *since,
            Exhaustion::Expected { .. } | Exhaustion::NotGrowing | Exhaustion::Unknown { .. } => None,
        };
        let reason = |exhaustion: &Exhaustion| match exhaustion {
            Exhaustion::Unknown { reason } => Some(reason.clone()),
            Exhaustion::Expected { .. } | Exhaustion::NotGrowing | Exhaustion::Crossed { .. } => None,
        };
        let headroom = |after: Millis| {
            let of =
                move |it: &Assessment| it.headroom.iter().find(|room| room.after == after).and_then(|room| room.value);
            Column::floats(all.iter().map(move |(_, it)| of(it)))
        };
        Table::new()
            .with("series", self.names(all.iter().map(|(idx, _)| *idx)))
            .with("level", Column::Float(all.iter().map(|(_, it)| it.level).collect()))
            .with("limit", Column::Float(all.iter().map(|(_, it)| it.limit.value).collect()))
            .with("outcome", Column::texts(all.iter().map(|(_, it)| outcome_word(&it.exhaustion))))
            .with("p10", date(&expected(0)))
            .with("p50", date(&expected(1)))
            .with("p90", date(&expected(2)))
            .with("since", date(&since))
            .with("probability", Column::floats(all.iter().map(|(_, it)| it.probability)))
            .with("headroom_now", headroom(0))
            .with("headroom_7d", headroom(7 * DAY))
            .with("headroom_30d", headroom(30 * DAY))
            .with("headroom_90d", headroom(90 * DAY))
            .with("slope_per_day", Column::Float(all.iter().map(|(_, it)| it.slope_per_day).collect()))
            .with("amount", Column::floats(all.iter().map(|(_, it)| it.amount)))
            .with("recommendation", Column::texts(all.iter().map(|(_, it)| it.recommendation.clone())))
            .with("reason", Column::Text(all.iter().map(|(_, it)| reason(&it.exhaustion)).collect()))
    }

    fn names(&self, idx: impl Iterator<Item = usize>) -> Column {
        let texts: Vec<String> = self.sources.iter().map(|source| source.name.clone()).collect();
        Column::Name { texts: Arc::from(texts), idx: idx.map(|idx| idx as u32).collect() }
    }
}
