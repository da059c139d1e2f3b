//! Statistics over windows that end now: mean, spread, percentiles, count and rate per series.
//!
//! In: the store, a selector, window lengths. Out: a [`Summary`] per series and window.
//!
//! A counter's values only say how long it has been running, so its mean, spread and percentiles are those of its
//! per-second rates between neighbouring samples, resets handled as Prometheus' `rate` does; `rate` is the whole
//! increase over the window's samples per second, and `count` counts samples, as for a gauge.

use super::error::QueryError;
use crate::series::{Key, MetricKind, Millis, Sample, Selector, Summary, TimeRange, rates, summarize};
use crate::storage::Store;

/// One window's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowStats {
    /// The window's length in milliseconds.
    pub window: Millis,
    /// What its samples are like; for a counter, what its rates are like.
    pub summary: Summary,
}

/// One series' answers.
#[derive(Clone, Debug)]
pub struct SeriesStats {
    /// Whose statistics these are.
    pub key: Key,
    /// A counter's summaries describe per-second rates.
    pub kind: MetricKind,
    /// One per window, in the order in which they were asked for.
    pub windows: Vec<WindowStats>,
}

/// Summarizes each matching series over the last `windows`, sorted by key; `settings_of` tells gauges from counters.
///
/// A series is in the answer when it has a sample in the longest window.
///
/// # Errors
/// When a window is not positive or the store cannot read.
pub fn stats(
    store: &Store,
    selector: &Selector,
    windows: &[Millis],
    now: Millis,
    settings_of: &dyn Fn(&Key) -> MetricKind,
) -> Result<Vec<SeriesStats>, QueryError> {
    if let Some(&empty) = windows.iter().find(|window| **window <= 0) {
        return Err(QueryError::Window(empty));
    }
    let Some(&longest) = windows.iter().max() else {
        return Ok(Vec::new());
    };
    let found = store.select(selector, TimeRange::last(longest, now))?;
    Ok(found
        .into_iter()
        .map(|series| {
            let kind = settings_of(&series.key);
            let windows = windows
                .iter()
                .map(|&window| {
                    let range = TimeRange::last(window, now);
                    let first = series.samples.partition_point(|sample| sample.at < range.start());
                    WindowStats { window, summary: summarize_window(&series.samples[first..], kind) }
                })
                .collect();
            SeriesStats { key: series.key, kind, windows }
        })
        .collect())
}

/// Summarizes one window's resolved samples; a counter by its rates.
pub fn summarize_window(resolved: &[Sample], kind: MetricKind) -> Summary {
    let values = summarize(resolved, kind);
    match kind {
        MetricKind::Gauge => values,
        MetricKind::Counter => {
            let of_rates = summarize(&rates(resolved), MetricKind::Gauge);
            Summary { count: values.count, rate: values.rate, ..of_rates }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_described_by_its_rates() {
        // 2 per second, a reset, then 10 per second.
        let samples: Vec<Sample> = [(0, 100.0), (1000, 102.0), (2000, 104.0), (3000, 10.0), (4000, 20.0)]
            .map(|(at, value)| Sample { at, value })
            .to_vec();
        let summary = summarize_window(&samples, MetricKind::Counter);
        assert_eq!((summary.count, summary.rate), (5, Some(6.0)));
        assert_eq!((summary.mean, summary.min, summary.max), (Some(6.0), Some(2.0), Some(10.0)));
        let as_gauge = summarize_window(&samples, MetricKind::Gauge);
        assert_eq!((as_gauge.max, as_gauge.rate), (Some(104.0), Some(-20.0)));
    }
}
