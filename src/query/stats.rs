//! Statistics over windows that end now: mean, spread, percentiles, count and rate per series.
//!
//! In: the store, a selector, window lengths. Out: a [`Summary`] per series and window.
//!
//! A counter's values only say how long it has been running, so its mean, spread and percentiles are those of its
//! per-second rates between neighbouring samples, resets handled as Prometheus' `rate` does; `rate` is the whole
//! increase over the window's samples per second, and `count` counts samples, as for a gauge.

use super::budget::Budget;
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
/// When a window is not positive, the longest has more samples than `budget` allows, or the store cannot read.
pub fn stats(
    store: &Store,
    selector: &Selector,
    windows: &[Millis],
    now: Millis,
    settings_of: &dyn Fn(&Key) -> MetricKind,
    budget: Budget,
) -> Result<Vec<SeriesStats>, QueryError> {
    if let Some(&empty) = windows.iter().find(|window| **window <= 0) {
        return Err(QueryError::Window(empty));
    }
    let Some(&longest) = windows.iter().max() else {
        return Ok(Vec::new());
    };
    let found = budget.select(store, selector, TimeRange::last(longest, now))?;
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

    const PLENTY: Budget = Budget::samples(1_000_000);

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

    #[test]
    fn each_window_ends_now_and_counts_its_own_samples() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), crate::storage::StoreSettings::default()).unwrap();
        let [gauge, counter] = ["queue_length", "requests_total"].map(|name| Key::from_pairs(name, &[]).unwrap());
        let now = 1_700_000_000_000;
        let minutes = (0..120).rev();
        let batch = minutes.flat_map(|ago: i64| {
            let at = now - ago * 60_000;
            let value = (120 - ago) as f64;
            [(gauge.clone(), Sample { at, value }), (counter.clone(), Sample { at, value: value * 60.0 })]
        });
        store.append(&crate::series::Batch::from_samples(batch)).unwrap();
        let kind = |key: &Key| MetricKind::of_name(key.metric());
        let all = stats(&store, &Selector::all(), &[1_800_000, 3_600_000, 86_400_000], now, &kind, PLENTY).unwrap();
        assert_eq!(
            all.iter().map(|series| series.key.metric()).collect::<Vec<_>>(),
            ["queue_length", "requests_total"]
        );
        let counts: Vec<usize> = all[0].windows.iter().map(|window| window.summary.count).collect();
        assert_eq!(counts, [31, 61, 120]);
        let last = &all[0].windows[2].summary;
        assert_eq!((last.mean, last.min, last.max, last.p50), (Some(60.5), Some(1.0), Some(120.0), Some(60.5)));
        let rate = &all[1].windows[1].summary;
        assert_eq!(
            (all[1].kind, rate.count, rate.mean, rate.max, rate.rate),
            (MetricKind::Counter, 61, Some(1.0), Some(1.0), Some(1.0))
        );
        assert!(matches!(stats(&store, &Selector::all(), &[0], now, &kind, PLENTY), Err(QueryError::Window(0))));
        assert!(stats(&store, &Selector::all(), &[1_000], now + 3_600_000, &kind, PLENTY).unwrap().is_empty());
        store.close().unwrap();
    }
}
