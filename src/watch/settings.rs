//! How the standing loop behaves: one struct, every field with its unit, its default and its effect.

use serde::{Deserialize, Serialize};

use crate::detect::AlarmSettings;
use crate::incident::GroupSettings;
use crate::series::{DAY, MINUTE, Millis, SECOND, duration_text};

/// Everything about the standing loop that can be set. Durations are written as `5m`, `1h30m`, `14d`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchSettings {
    /// Whether samples are scored and forecasts are kept; default true. Questions are answered either way.
    pub enabled: bool,
    /// Bytes of memory that the scorers of all series may take; default 50 MB, which is room for 25,000 series with
    /// the detector `auto`.
    /// Series beyond it, those without a preset first, are stored and forecast but not scored, and counted.
    pub memory: u64,
    /// Series silent for so long, and for three of their own steps, are not watched any more; they begin anew when
    /// they come back; default `1d`.
    #[serde(with = "duration_text")]
    pub forget_after: Millis,
    /// Samples that wait to be scored at most; default 250,000, about 5 MB. Those beyond are read back from the store.
    pub queue_samples: usize,
    /// Samples read back from the store after an overflow at most; default 2,000,000, as at a start. Older ones stay
    /// unscored, and are counted.
    pub catch_up_samples: usize,
    /// How far back stored history is scored at a start, so that no detector starts cold; default `14d`.
    #[serde(with = "duration_text")]
    pub backfill: Millis,
    /// Samples scored at a start at most, the newest; default 2,000,000.
    pub backfill_samples: usize,
    /// The detector for series whose preset names none; default `auto`.
    pub detector: String,
    /// The forecaster for series whose preset names none; default `auto`.
    pub forecaster: String,
    /// When scores become an anomaly.
    pub alarm: AlarmSettings,
    /// When anomalies become an incident.
    pub incidents: GroupSettings,
    /// How often forecasts and capacity answers are made anew; default `15m`.
    #[serde(with = "duration_text")]
    pub refresh_every: Millis,
    /// Series whose forecasts are kept at each refresh at most, those with a preset first; default 500.
    pub max_forecasts: usize,
    /// How far ahead the kept forecasts look; default `1d`.
    #[serde(with = "duration_text")]
    pub keep_horizon: Millis,
    /// The coverage of the kept forecasts' bands; default 0.95.
    pub coverage: f64,
    /// Values forecast that wait at most to be judged by what comes; default 200,000, about 20 MB. Those beyond are
    /// counted and not judged.
    pub waiting_targets: usize,
    /// Sets of metric, lead and model for which the accuracy of issued forecasts is recorded at most, five series each;
    /// default 1,000. What is beyond is recorded together; 0 records nothing.
    pub accuracy_sets: usize,
    /// Cells of history a model sees at most; default 20,000.
    pub history_cells: usize,
    /// How far ahead the fleet's capacity is assessed; default `180d`.
    #[serde(with = "duration_text")]
    pub capacity_horizon: Millis,
    /// The share of one core that scoring may use, and that refreshing may use; default 0.25 each. While samples come
    /// faster than they can be scored both take a fifth of that, for ingestion goes first.
    pub cpu_share: f64,
    /// How often results are written to Parquet; default `30s`.
    #[serde(with = "duration_text")]
    pub flush_every: Millis,
    /// Anomalies kept in memory at most, the newest; default 10,000. Older ones are in the Parquet files only.
    pub recent_anomalies: usize,
    /// For how long results are kept on disk; default `365d`.
    #[serde(with = "duration_text")]
    pub results_retention: Millis,
}

impl Default for WatchSettings {
    fn default() -> Self {
        WatchSettings {
            enabled: true,
            memory: 50_000_000,
            forget_after: DAY,
            queue_samples: 250_000,
            catch_up_samples: 2_000_000,
            backfill: 14 * DAY,
            backfill_samples: 2_000_000,
            detector: "auto".to_owned(),
            forecaster: "auto".to_owned(),
            alarm: AlarmSettings::default(),
            incidents: GroupSettings::default(),
            refresh_every: 15 * MINUTE,
            max_forecasts: 500,
            keep_horizon: DAY,
            coverage: 0.95,
            waiting_targets: 200_000,
            accuracy_sets: 1_000,
            history_cells: 20_000,
            capacity_horizon: 180 * DAY,
            cpu_share: 0.25,
            flush_every: 30 * SECOND,
            recent_anomalies: 10_000,
            results_retention: 365 * DAY,
        }
    }
}

impl WatchSettings {
    /// What is wrong with these settings, if anything: a number out of its range, an unknown method.
    pub fn problem(&self) -> Option<String> {
        let range = |is_fine: bool, text: &str| (!is_fine).then(|| text.to_owned());
        range(self.cpu_share > 0.0 && self.cpu_share <= 1.0, "watch.cpu_share must be above 0 and at most 1")
            .or_else(|| range(self.coverage > 0.0 && self.coverage < 1.0, "watch.coverage must be between 0 and 1"))
            .or_else(|| range(self.queue_samples > 0, "watch.queue_samples must be at least 1"))
            .or_else(|| range(self.history_cells >= 100, "watch.history_cells must be at least 100"))
            .or_else(|| crate::detect::find(&self.detector).err().map(|error| format!("watch.detector: {error}")))
            .or_else(|| crate::forecast::find(&self.forecaster).err().map(|error| format!("watch.forecaster: {error}")))
    }
}

/// Bytes that the scorer of one series takes with this detector, its alarm and its place in the lists included.
///
/// As `scoring_takes_the_memory_it_is_said_to` measures it, rounded up.
pub(super) fn memory_of(detector: &str) -> usize {
    match detector {
        "static-threshold" => 1_000,
        "auto" => 2_000,
        // A hundred trees of up to a thousand points each.
        "isolation-forest" => 1_100_000,
        _ => 11_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_and_read_back() {
        let settings = WatchSettings::default();
        assert_eq!(settings.problem(), None);
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<WatchSettings>(&text).unwrap(), settings);
        let short: WatchSettings = serde_json::from_str(r#"{"backfill": "2d", "refresh_every": "5m"}"#).unwrap();
        assert_eq!((short.backfill, short.refresh_every), (2 * DAY, 5 * MINUTE));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(serde_json::from_str::<WatchSettings>(r#"{"backfil": "2d"}"#).is_err());
        assert!(serde_json::from_str::<WatchSettings>(r#"{"backfill": "0s"}"#).is_err());
        let wrong = WatchSettings { detector: "magic".to_owned(), ..WatchSettings::default() };
        assert!(wrong.problem().unwrap().contains("known are"), "{:?}", wrong.problem());
        assert!(WatchSettings { cpu_share: 0.0, ..WatchSettings::default() }.problem().is_some());
    }
}
