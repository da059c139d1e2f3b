//! What may become an anomaly, or is one: a run of scores that count, told at the highest.

use super::super::anomaly::{Anomaly, Kind};
use super::super::detector::Score;
use super::super::explain::{self, Told};
use super::super::static_threshold;
use crate::series::{MetricSettings, Millis, Sample, Side};

/// So many samples beyond the band on one side are a new level, not a spike.
const SHIFT_SAMPLES: usize = 8;

/// A run of scores that count.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) start: Millis,
    end: Millis,
    peak: Sample,
    pub(super) score: Score,
    pub(super) side: Option<Side>,
    /// The longest run of samples beyond the band on one side, and the current one.
    longest_beyond: usize,
    beyond: (usize, Option<Side>),
    leaned: bool,
    detail: Option<String>,
}

impl Span {
    /// A span that begins with a sample, which is still to be taken in by [`Span::extend`].
    pub(super) fn new(sample: Sample, score: Score, side: Option<Side>) -> Span {
        Span {
            start: sample.at,
            end: sample.at,
            peak: sample,
            score,
            side,
            longest_beyond: 0,
            beyond: (0, None),
            leaned: false,
            detail: None,
        }
    }

    /// Takes in a sample that counts; `leans` when those around it were mostly on one side.
    pub(super) fn extend(
        &mut self,
        sample: Sample,
        score: Score,
        side: Option<Side>,
        leans: bool,
        detail: Option<&dyn Fn() -> String>,
    ) {
        let beyond = is_beyond(sample.value, &score);
        self.end = sample.at;
        self.leaned |= leans && !beyond;
        if beyond {
            let run = if self.beyond.1 == side { self.beyond.0 + 1 } else { 1 };
            self.beyond = (run, side);
            self.longest_beyond = self.longest_beyond.max(run);
        }
        if score.value > self.score.value || self.detail.is_none() {
            self.detail = detail.map(|text| text());
        }
        if score.value > self.score.value {
            (self.peak, self.score, self.side) = (sample, score, side);
        }
    }

    /// The span as an anomaly that `detector` found.
    pub(super) fn anomaly(&self, is_open: bool, detector: &str, metric: &MetricSettings) -> Anomaly {
        let kind = self.kind(detector, metric);
        let told = Told {
            kind,
            value: self.peak.value,
            score: &self.score,
            lasting: self.end.saturating_sub(self.start),
            unit: metric.unit.as_deref(),
            detail: self.detail.as_deref(),
        };
        Anomaly {
            start: self.start,
            end: self.end,
            is_open,
            peak_at: self.peak.at,
            score: self.score.value,
            value: self.peak.value,
            expected: self.score.expected,
            lower: self.score.lower,
            upper: self.score.upper,
            kind,
            detector: detector.to_owned(),
            explanation: explain::sentence(&told),
        }
    }

    pub(super) fn kind(&self, detector: &str, metric: &MetricSettings) -> Kind {
        if self.detail.is_some() {
            return Kind::Multivariate;
        }
        if detector == static_threshold::NAME || is_outside(metric, self.peak.value) {
            return Kind::Threshold;
        }
        if self.longest_beyond >= SHIFT_SAMPLES {
            return Kind::Trend;
        }
        if is_beyond(self.peak.value, &self.score) {
            return if self.side == Some(Side::Down) { Kind::Drop } else { Kind::Spike };
        }
        if self.leaned { Kind::Trend } else { Kind::Pattern }
    }
}

/// Whether the metric cannot have this value.
pub(super) fn is_outside(metric: &MetricSettings, value: f64) -> bool {
    metric.valid_min.is_some_and(|min| value < min) || metric.valid_max.is_some_and(|max| value > max)
}

/// To which side of what was expected, or of the band, the value lies.
pub(super) fn side_of(value: f64, score: &Score) -> Option<Side> {
    if score.upper.is_some_and(|upper| value > upper) {
        return Some(Side::Up);
    }
    if score.lower.is_some_and(|lower| value < lower) {
        return Some(Side::Down);
    }
    match score.expected {
        Some(expected) if value > expected => Some(Side::Up),
        Some(expected) if value < expected => Some(Side::Down),
        _ => None,
    }
}

/// Whether the value lies outside the band; a score above 1 without a band counts as outside.
fn is_beyond(value: f64, score: &Score) -> bool {
    match (score.lower, score.upper) {
        (None, None) => true,
        (lower, upper) => lower.is_some_and(|edge| value < edge) || upper.is_some_and(|edge| value > edge),
    }
}
