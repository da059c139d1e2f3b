//! What a forecast answers with: plain data, converted by the surfaces.

use std::collections::BTreeMap;

use crate::series::{Calendar, MINUTE, Millis, Step};

use super::columns::Influence;
use super::facts::Facts;
use super::model::Coverage;

/// Lower and upper values between which the future lies with the promised coverage.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// Promised share of future values inside.
    pub coverage: Coverage,
    /// One per lead time.
    pub lower: Vec<f64>,
    /// One per lead time, never below `lower`.
    pub upper: Vec<f64>,
}

/// Where the series is heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heading {
    /// It grows.
    Rising,
    /// It shrinks.
    Falling,
    /// Neither, as far as the history can tell.
    Flat,
}

impl Heading {
    /// `rising`, `falling` or `flat`.
    pub fn as_str(self) -> &'static str {
        match self {
            Heading::Rising => "rising",
            Heading::Falling => "falling",
            Heading::Flat => "flat",
        }
    }
}

/// A heading and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Direction {
    /// Rising or falling only when significant at 5 %.
    pub heading: Heading,
    /// Change per step, in the metric's unit.
    pub slope_per_step: f64,
    /// How likely a slope this large is when nothing grows or shrinks: a p-value, 0..1.
    pub p_value: f64,
}

/// How a model did on the series' own past, from rolling origins; after a shift, how the one chosen before it did, as
/// what came was foretold by that one.
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracy {
    /// How many origins were replayed.
    pub n_origins: usize,
    /// How many steps ahead each went.
    pub n_leads: usize,
    /// Mean absolute error.
    pub mae: f64,
    /// Symmetric mean absolute percentage error, 0..200.
    pub smape: f64,
    /// Mean absolute scaled error: against the in-sample error of seasonal naive (naive without a season).
    pub mase: Option<f64>,
    /// Mean absolute error of seasonal naive (naive without a season) at the same origins and leads.
    pub baseline_mae: f64,
    /// Share of the replayed values inside a band made without them; `None` when there were too few to say.
    pub coverage: Option<f64>,
}

impl Accuracy {
    /// What [`mase`](Accuracy::mase) divides by; `None` where that is not known.
    pub fn scale(&self) -> Option<f64> {
        self.mase.filter(|mase| *mase > 0.0).map(|mase| self.mae / mase).filter(|scale| scale.is_finite())
    }
}

/// Points at the next steps, with a band where one can be promised.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// When the first point stands: one step after the history's last cell, unless a later start was asked for.
    pub start: Millis,
    /// The spacing of the points.
    pub step: Step,
    /// The days of months at which they stand, if they do; the step is then a mean one.
    pub calendar: Option<Calendar>,
    /// The expected values.
    pub points: Vec<f64>,
    /// `None` when the history is too short to promise the coverage; `band_reason` says so.
    pub band: Option<Band>,
    /// Why there is no band.
    pub band_reason: Option<String>,
    /// When the last value stands that the model has seen; where this is long ago, the series has fallen silent.
    pub last_seen: Millis,
    /// Where the series is heading.
    pub direction: Direction,
    /// The registered name of the method that made the points; under `auto` those it chose, the weightiest first, with
    /// plus signs between.
    pub model: String,
    /// Why `auto` answers with a yardstick, or keeps points to levels of the past, where it does.
    pub fallback: Option<String>,
    /// What the method estimated or chose.
    pub settings: BTreeMap<String, f64>,
    /// How the method did on the series' own past; `None` when it is too short to replay.
    pub accuracy: Option<Accuracy>,
    /// The season used, in steps.
    pub season: Option<usize>,
    /// What points and bands keep to: the range of the metric, as declared or as its history has it.
    pub facts: Facts,
    /// The names of the planned events that change a point.
    pub events: Vec<String>,
    /// What was learned of known columns and of what recurs.
    pub influences: Vec<Influence>,
}

/// Steps without a sample after which a series counts as silent,
const SILENT_STEPS: Millis = 5;
/// but not before so much time.
const SILENT_SPAN: Millis = MINUTE;

impl Forecast {
    /// For how long the series has been silent at `now`; `None` while samples come in.
    pub fn silent_for(&self, now: Millis) -> Option<Millis> {
        let span = now.saturating_sub(self.last_seen);
        (span > self.step.millis().saturating_mul(SILENT_STEPS).max(SILENT_SPAN)).then_some(span)
    }

    /// When point `idx` stands.
    pub fn at(&self, idx: usize) -> Millis {
        let even = self.start.saturating_add(self.step.millis().saturating_mul(idx as Millis));
        self.calendar.map_or(even, |calendar| calendar.next_to(even))
    }
}
