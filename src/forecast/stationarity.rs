//! How often a series must be differenced before its level stays.
//!
//! In: values, gaps left out. Out: Kwiatkowski's statistic, large where a level wanders, and the answer drawn from it.
//! Source: Kwiatkowski, Phillips, Schmidt and Shin, "Testing the null hypothesis of stationarity against the alternative
//! of a unit root", 1992 (KPSS).

/// The statistic that one series in twenty with a steady level exceeds.
const CRITICAL: f64 = 0.463;

/// The KPSS statistic for a steady level; NaN for constants.
pub(super) fn kpss(values: &[f64]) -> f64 {
    let seen = || values.iter().copied().filter(|value| !value.is_nan());
    let n = seen().count() as f64;
    let mean = seen().sum::<f64>() / n;
    let off: Vec<f64> = seen().map(|value| value - mean).collect();
    let n_lags = (3.0 * n.sqrt() / 13.0) as usize;
    let product = |lag: usize| off.iter().zip(off.iter().skip(lag)).map(|(a, b)| a * b).sum::<f64>() / n;
    let weighted = |lag: usize| 2.0 * (1.0 - lag as f64 / (n_lags + 1) as f64) * product(lag);
    let long_run = product(0) + (1..=n_lags).map(weighted).sum::<f64>();
    let mut sum = 0.0;
    let squares: f64 = off
        .iter()
        .map(|off| {
            sum += off;
            sum * sum
        })
        .sum();
    squares / (n * n * long_run)
}

/// How often to difference `values`, at most `most` times.
pub(super) fn n_differences(values: &[f64], most: usize) -> usize {
    let mut values = values.to_vec();
    for n in 0..most {
        let does_wander = values.len() >= 8 && kpss(&values) > CRITICAL;
        if !does_wander {
            return n;
        }
        values = differences(&values, 1)[1..].to_vec();
    }
    most
}

/// Each value less the one `lag` before it; NaN for the first and at gaps.
pub(super) fn differences(values: &[f64], lag: usize) -> Vec<f64> {
    let lag = lag.min(values.len());
    std::iter::repeat_n(f64::NAN, lag).chain(values.iter().zip(&values[lag..]).map(|(a, b)| b - a)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::air_passengers::AIR_PASSENGERS;
    use crate::forecast::tests::Noise;

    /// statsmodels 0.15, `kpss(regression="c", nlags=2)`.
    #[test]
    fn the_statistic_is_that_of_the_reference() {
        assert!((kpss(&AIR_PASSENGERS) - 4.342_286_797_114_149).abs() < 1e-9);
        let changes = differences(&AIR_PASSENGERS, 1);
        assert!((kpss(&changes) - 0.011_484_728_338_723_346).abs() < 1e-12);
        assert_eq!(n_differences(&AIR_PASSENGERS, 2), 1);
    }

    #[test]
    fn a_wandering_level_is_differenced_and_a_steady_one_is_not() {
        let mut noise = Noise::seeded(4);
        assert_eq!(n_differences(&noise.walk(400, 1.0), 2), 1);
        assert_eq!(n_differences(&noise.walk(400, 0.2), 2), 0);
        assert_eq!(n_differences(&[5.0; 40], 2), 0);
        assert_eq!(n_differences(&[f64::NAN; 40], 2), 0);
        assert_eq!(n_differences(&[], 2), 0);
    }
}
