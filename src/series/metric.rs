//! Facts about a metric that no method can learn from its values.

use serde::{Deserialize, Serialize};

use super::aggregate::Aggregate;
use super::time::Millis;
use super::zone::Zone;

/// Whether the value itself or its growth is of interest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// Goes up and down; modelled as it is.
    #[default]
    Gauge,
    /// Only grows, until it restarts at zero; modelled as its per-second rate.
    Counter,
}

impl MetricKind {
    /// The kind that Prometheus' naming convention gives away.
    pub fn of_name(metric: &str) -> MetricKind {
        let is_counter = ["_total", "_count", "_sum", "_bucket"].iter().any(|suffix| metric.ends_with(suffix));
        if is_counter { MetricKind::Counter } else { MetricKind::Gauge }
    }

    /// `gauge` or `counter`, as every answer writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
        }
    }
}

/// Which deviations matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Only values above the expected: errors, latency, saturation.
    Up,
    /// Only values below the expected: free space, hit ratio.
    Down,
    /// Either.
    #[default]
    Both,
}

/// What is known of a metric beforehand. They belong to the metric, not to a detector or a forecaster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricSettings {
    /// Gauge or counter; unset, the metric's name decides.
    pub kind: Option<MetricKind>,
    /// Which deviations matter; default both.
    pub matters: Side,
    /// The least deviation from the expected value worth telling, in the metric's unit; default 0.
    pub least_absolute: f64,
    /// The least deviation worth telling as a share of the expected value (0.2 = 20 %); default 0.
    pub least_relative: f64,
    /// Smallest possible value; values below it score at least 1.01 and forecasts stop there. Unset, forecasts of a
    /// series that never went below 0 stop at 0; minus infinity lets them go anywhere.
    pub valid_min: Option<f64>,
    /// Largest possible value; values above it score at least 1.01 and forecasts stop there.
    pub valid_max: Option<f64>,
    /// Whether values are whole numbers, as counts are; forecasts are then too. Not of rates and means.
    pub integer: bool,
    /// The value that must not be reached: a full disk, a pool's size. In the metric's unit.
    pub limit: Option<f64>,
    /// What the values are counted in, for reports: `bytes`, `ratio`, `seconds`.
    pub unit: Option<String>,
    /// The metric's season when it is known, in milliseconds.
    pub season: Option<Millis>,
    /// Where its days and weeks begin; unset, where the configuration or the command says, else UTC.
    pub time_zone: Option<Zone>,
}

impl Default for MetricSettings {
    fn default() -> Self {
        MetricSettings {
            kind: None,
            matters: Side::Both,
            least_absolute: 0.0,
            least_relative: 0.0,
            valid_min: None,
            valid_max: None,
            integer: false,
            limit: None,
            unit: None,
            season: None,
            time_zone: None,
        }
    }
}

impl MetricSettings {
    /// What is known of an aggregate of series of which this is known.
    #[must_use]
    pub fn aggregated(&self, how: Aggregate) -> MetricSettings {
        match how {
            Aggregate::Mean => MetricSettings { integer: false, ..self.clone() },
            // However many there are, values of at least 0 add up to at least 0; what none may exceed, the sum may.
            Aggregate::Sum => MetricSettings {
                valid_min: self.valid_min.map(|least| if least >= 0.0 { 0.0 } else { f64::NEG_INFINITY }),
                valid_max: Some(f64::INFINITY),
                limit: None,
                ..self.clone()
            },
        }
    }

    /// Where its days and weeks begin.
    pub fn zone(&self) -> Zone {
        self.time_zone.unwrap_or_default()
    }

    /// The declared kind, or the one the name gives away.
    pub fn kind_of(&self, metric: &str) -> MetricKind {
        self.kind.unwrap_or_else(|| MetricKind::of_name(metric))
    }
}
