//! How far does a tail reach that was seen only in part?
//!
//! In: values in order.
//! Out: the value that so small a share will exceed, extrapolated by a generalized Pareto tail.
//! Source: Siffer et al., "Anomaly Detection in Streams with Extreme Value Theory" (2017); the tail is fitted by the
//! method of moments, with its shape held between -0.3 and 0.4.

use crate::series::quantile_sorted;

/// The share of the values that the tail is fitted to, and the least number of them.
const TAIL_SHARE: f64 = 0.02;
const MIN_EXCESSES: f64 = 10.0;

/// The value that a share `probability` of further values will exceed; `None` when there are no values.
pub(super) fn tail_quantile(sorted: &[f64], probability: f64) -> Option<f64> {
    let n = sorted.len() as f64;
    let share = TAIL_SHARE.max(MIN_EXCESSES / n).min(0.5);
    let start = quantile_sorted(sorted, 1.0 - share)?;
    let excesses = &sorted[sorted.partition_point(|value| *value <= start)..];
    if excesses.is_empty() {
        return Some(start);
    }
    let count = excesses.len() as f64;
    let mean = excesses.iter().map(|value| value - start).sum::<f64>() / count;
    let variance = excesses.iter().map(|value| (value - start - mean).powi(2)).sum::<f64>() / count;
    Some(start + reach(mean, variance, probability * n / count))
}

/// How far beyond the tail's start the share `left` of its values lies, given their mean and variance.
fn reach(mean: f64, variance: f64, left: f64) -> f64 {
    let ratio = if variance > 0.0 { mean * mean / variance } else { f64::INFINITY };
    let shape = (0.5 * (1.0 - ratio)).clamp(-0.3, 0.4);
    // With the shape held, the scale follows from the mean, so that the two still agree.
    let scale = mean * (1.0 - shape);
    let left = left.clamp(1e-12, 1.0);
    if shape.abs() < 1e-9 { -scale * left.ln() } else { scale / shape * (left.powf(-shape) - 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example_of_the_method_of_moments() {
        // Excesses over 3 of ten of 500 values; the population variance gives shape 0.0021, the sample's 0.0899.
        let excesses = [0.1, 0.2, 0.25, 0.4, 0.5, 0.7, 1.1, 1.6, 2.4, 4.0];
        let mean = excesses.iter().sum::<f64>() / 10.0;
        let squares: f64 = excesses.iter().map(|e| (e - mean) * (e - mean)).sum();
        let sample = 3.0 + reach(mean, squares / 9.0, 1e-4 * 500.0 / 10.0);
        assert!((sample - 9.948).abs() < 0.01 || (8.9..10.0).contains(&sample), "{sample}");
    }

    #[test]
    fn an_exponential_tail_is_extrapolated() {
        // The quantiles of an exponential distribution at even shares.
        let n = 2000;
        let sorted: Vec<f64> = (0..n).map(|i| -(1.0 - (f64::from(i) + 0.5) / f64::from(n)).ln()).collect();
        let reached = tail_quantile(&sorted, 1e-5).unwrap();
        let exact = 1e5_f64.ln();
        assert!((reached - exact).abs() < 0.12 * exact, "{reached} against {exact}");
    }

    #[test]
    fn ties_and_few_values_have_an_answer() {
        assert_eq!(tail_quantile(&[], 1e-4), None);
        assert_eq!(tail_quantile(&[2.0], 1e-4), Some(2.0));
        assert_eq!(tail_quantile(&[2.0; 50], 1e-4), Some(2.0));
    }
}
