//! What a capacity question is made of and answered with: plain data, converted by the surfaces.

use crate::forecast::Events;
use crate::series::{DAY, Millis, Season, Side};

/// The value that must not be crossed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// In the metric's unit.
    pub value: f64,
    /// `Up` (and `Both`): the series must stay below; `Down`: it must stay above.
    pub side: Side,
}

/// What to assume in an assessment.
#[derive(Clone, Debug, PartialEq)]
pub struct CapacitySettings {
    /// How far to look ahead, ms; default 180 days.
    pub horizon: Millis,
    /// For how long the recommended amount should last, ms; default 30 days. A short history recommends for less.
    pub keep: Millis,
    /// The season in steps when it is known; unset, it is found.
    pub season: Option<Season>,
    /// What the values are counted in, for the recommendation: `bytes`, `ratio`, `seconds`, or any noun.
    pub unit: Option<String>,
    /// What shares are shares of, such as a file system's size when the limit is an empty remainder; unset, the limit.
    pub whole: Option<f64>,
    /// What is planned for the series and for its limit; default nothing.
    pub events: Events,
    /// How many random paths to draw; default 1,000.
    pub n_paths: usize,
    /// The seed of the paths; default 9275.
    pub seed: u64,
}

impl Default for CapacitySettings {
    fn default() -> Self {
        CapacitySettings {
            horizon: 180 * DAY,
            keep: 30 * DAY,
            season: None,
            unit: None,
            whole: None,
            events: Events::default(),
            n_paths: 1_000,
            seed: 9275,
        }
    }
}

/// When the limit is crossed.
#[derive(Clone, Debug, PartialEq)]
pub enum Exhaustion {
    /// It is crossed already.
    Crossed {
        /// The first sample of the present crossing; `None` when the history starts beyond the limit.
        since: Option<Millis>,
    },
    /// It will be: with 10, 50 and 90 % probability by these instants; `None` is beyond the horizon.
    Expected {
        /// By then with 10 % probability.
        p10: Option<Millis>,
        /// By then with 50 % probability.
        p50: Option<Millis>,
        /// By then with 90 % probability.
        p90: Option<Millis>,
    },
    /// The series does not move towards the limit, as far as the history tells.
    NotGrowing,
    /// Nothing can be said.
    Unknown {
        /// Because of this.
        reason: String,
    },
}

/// What is left between the series and its limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Headroom {
    /// How far ahead, ms; 0 is now.
    pub after: Millis,
    /// In the metric's unit: now, at the last value; later, at the expected peak of a cycle. Negative beyond the limit;
    /// `None` when unknown, also because the history is too short to speak for that day.
    pub value: Option<f64>,
    /// As a share of the limit or of the declared whole; `None` when unknown or that is 0.
    pub share: Option<f64>,
}

/// The answer to a capacity question.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// The last value; NaN when there is none.
    pub level: f64,
    /// The limit that was asked about.
    pub limit: Limit,
    /// When the limit is crossed.
    pub exhaustion: Exhaustion,
    /// How likely the limit is crossed within `horizon`, 0..1; `None` when unknown.
    pub probability: Option<f64>,
    /// How far ahead this answer speaks, ms: as far as was asked, or less when the history is too short for that.
    pub horizon: Millis,
    /// Now and after 7, 30 and 90 days.
    pub headroom: Vec<Headroom>,
    /// What to do, in words.
    pub recommendation: String,
    /// How much to add (or to free), in the metric's unit; `None` when nothing need be done.
    pub amount: Option<f64>,
    /// Change per day in the metric's unit; 0 when no change is significant.
    pub slope_per_day: f64,
    /// How the answer was come by: `trend`, `envelope` (the peaks of a saw-tooth), `recurrent`
    /// (it crosses now and then without growing), `planned` (it does not grow, but something is planned), `none`.
    pub method: &'static str,
    /// The names of the planned events that were reckoned with.
    pub events: Vec<String>,
}
