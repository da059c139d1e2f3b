//! What may be said about the alarm.

use serde::{Deserialize, Serialize};

use crate::series::{HOUR, Millis};

/// When scores become an anomaly, and when it is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlarmSettings {
    /// A score above this counts towards opening; default 1, the edge of the band.
    pub open_at: f64,
    /// A score from here on opens at once, whatever `open_after` and `min_duration` say; default 2.
    pub severe_at: f64,
    /// Scores below this count towards closing; default 0.6.
    pub close_below: f64,
    /// Opens when `k` of the last `n` scores count, as `[k, n]`; default 1 of 1 for samples at least 30 s apart, else
    /// 2 of 3. `n` is 64 at most.
    pub open_after: Option<(usize, usize)>,
    /// Opens no sooner than this after the first score that counts, in milliseconds; default 0.
    pub min_duration: Millis,
    /// Closes after so many scores in a row below `close_below`; default 5.
    pub close_after: usize,
    /// Stays silent after closing for this share of the samples seen; default 0.01.
    pub mute_share: f64,
    /// The longest such silence in samples; default 60.
    pub mute_samples: usize,
    /// The longest such silence in milliseconds; default 6 hours.
    pub mute_span: Millis,
    /// A score of so many times the last peak breaks the silence, as does a deviation to the other side; default 1.3.
    pub unmute_at: f64,
}

impl Default for AlarmSettings {
    fn default() -> Self {
        AlarmSettings {
            open_at: 1.0,
            severe_at: 2.0,
            close_below: 0.6,
            open_after: None,
            min_duration: 0,
            close_after: 5,
            mute_share: 0.01,
            mute_samples: 60,
            mute_span: 6 * HOUR,
            unmute_at: 1.3,
        }
    }
}
