//! Plain statistics over a window of samples.

use super::metric::MetricKind;
use super::sample::Sample;
use super::time::Millis;

/// Describes the finite samples of a window; absent numbers are `None`, never NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Finite samples in the window.
    pub count: usize,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Smallest value.
    pub min: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// Standard deviation of the sample (divisor n - 1); needs two samples.
    pub deviation: Option<f64>,
    /// Median.
    pub p50: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Change per second: a counter's increase with resets, a gauge's last minus first, over their distance in time.
    pub rate: Option<f64>,
}

/// Summarizes resolved samples; values that are not finite are left out.
pub fn summarize(resolved: &[Sample], kind: MetricKind) -> Summary {
    let finite: Vec<Sample> = resolved.iter().copied().filter(|sample| sample.value.is_finite()).collect();
    let mut sorted: Vec<f64> = finite.iter().map(|sample| sample.value).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let count = sorted.len();
    if count == 0 {
        return Summary::default();
    }
    // Welford's update: neither a large offset nor a long window costs digits.
    let (mut mean, mut squares) = (0.0, 0.0);
    for (idx, sample) in finite.iter().enumerate() {
        let off = sample.value - mean;
        mean += off / (idx + 1) as f64;
        squares += off * (sample.value - mean);
    }
    let at_share = |share| quantile_sorted(&sorted, share);
    Summary {
        count,
        mean: Some(mean),
        min: Some(sorted[0]),
        max: Some(sorted[count - 1]),
        deviation: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()),
        p50: at_share(0.5),
        p90: at_share(0.9),
        p95: at_share(0.95),
        p99: at_share(0.99),
        rate: rate_of(&finite, kind),
    }
}

fn rate_of(finite: &[Sample], kind: MetricKind) -> Option<f64> {
    let (first, last) = (finite.first()?, finite.last()?);
    let span: Millis = last.at - first.at;
    if span <= 0 {
        return None;
    }
    let change = match kind {
        MetricKind::Gauge => last.value - first.value,
        MetricKind::Counter => finite
            .windows(2)
            .map(|pair| if pair[1].value < pair[0].value { pair[1].value } else { pair[1].value - pair[0].value })
            .sum(),
    };
    Some(change / (span as f64 / 1e3))
}

/// The value below which `share` of an ascending slice lies, interpolated between neighbours; `None` when empty.
///
/// Source: Hyndman and Fan (1996), type 7, the default of R, NumPy and Prometheus' `quantile_over_time`.
pub fn quantile_sorted(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = share.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    let part = position - below as f64;
    Some(sorted[below] * (1.0 - part) + sorted[above] * part)
}

/// The median of the values that are not NaN; `None` when there are none.
pub fn median(values: &[f64]) -> Option<f64> {
    median_of(values.iter().copied())
}

/// The same of values as they come.
pub(crate) fn median_of(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut known = Vec::with_capacity(values.size_hint().1.unwrap_or(0));
    known.extend(values.filter(|value| !value.is_nan()));
    let half = known.len() / 2;
    if half == 0 {
        return known.first().copied();
    }
    // The rest need not be in order.
    let is_even = known.len().is_multiple_of(2);
    let (below, &mut above, _) = known.select_nth_unstable_by(half, f64::total_cmp);
    let below = below.iter().copied().max_by(f64::total_cmp).filter(|_| is_even);
    Some(below.map_or(above, |below| below * 0.5 + above * 0.5))
}

/// The median absolute deviation around `centre`, unscaled; `None` when there are no values.
pub fn mad(values: &[f64], centre: f64) -> Option<f64> {
    median_of(values.iter().map(|value| (value - centre).abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_described() {
        let samples: Vec<Sample> = (0..101).map(|i| Sample { at: i * 1000, value: i as f64 }).collect();
        let summary = summarize(&samples, MetricKind::Gauge);
        assert_eq!(summary.count, 101);
        assert_eq!((summary.mean, summary.min, summary.max), (Some(50.0), Some(0.0), Some(100.0)));
        assert_eq!((summary.p50, summary.p90, summary.p99), (Some(50.0), Some(90.0), Some(99.0)));
        assert_eq!(summary.rate, Some(1.0));
        assert!((summary.deviation.unwrap() - 29.300170647967224).abs() < 1e-12);
    }

    #[test]
    fn nothing_finite_means_nothing_known() {
        assert_eq!(summarize(&[Sample { at: 0, value: f64::NAN }], MetricKind::Gauge), Summary::default());
        let one = summarize(&[Sample { at: 0, value: 2.0 }], MetricKind::Gauge);
        assert_eq!((one.count, one.mean, one.deviation, one.rate), (1, Some(2.0), None, None));
    }

    #[test]
    fn a_counter_rate_survives_a_reset() {
        let samples = [(0, 10.0), (1000, 20.0), (2000, 5.0)].map(|(at, value)| Sample { at, value });
        assert_eq!(summarize(&samples, MetricKind::Counter).rate, Some(7.5));
    }
}
