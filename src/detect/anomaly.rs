//! An anomaly: a span of samples whose score crossed the threshold.

use crate::series::Millis;

/// What an anomaly looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A short excursion upwards.
    Spike,
    /// A short excursion downwards.
    Drop,
    /// A lasting move of the level or the slope.
    Trend,
    /// Values within their usual range in an unusual order or at an unusual time.
    Pattern,
    /// Several metrics together, none of which need be odd alone.
    Multivariate,
    /// A fixed limit was crossed.
    Threshold,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] =
        [Kind::Spike, Kind::Drop, Kind::Trend, Kind::Pattern, Kind::Multivariate, Kind::Threshold];

    /// The kind as written in answers and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Spike => "spike",
            Kind::Drop => "drop",
            Kind::Trend => "trend",
            Kind::Pattern => "pattern",
            Kind::Multivariate => "multivariate",
            Kind::Threshold => "threshold",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A span of samples whose score crossed the threshold, told at its worst sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// The first sample above the threshold.
    pub start: Millis,
    /// The last sample above it so far.
    pub end: Millis,
    /// Whether it may still grow: true until the score fell below the closing threshold.
    pub is_open: bool,
    /// The sample with the highest score.
    pub peak_at: Millis,
    /// The highest score, above 1.
    pub score: f64,
    /// The value at the peak, in the metric's unit (per second for a counter).
    pub value: f64,
    /// What was expected at the peak.
    pub expected: Option<f64>,
    /// The band's lower edge at the peak.
    pub lower: Option<f64>,
    /// The band's upper edge at the peak.
    pub upper: Option<f64>,
    /// What it looks like.
    pub kind: Kind,
    /// The registered name of the detector.
    pub detector: String,
    /// One sentence for a person: what, by how much, against what.
    pub explanation: String,
}
