//! Autocorrelation and periodogram by the fast Fourier transform.
//!
//! Source: Cooley and Tukey, 1965; the radix-2 form, in place.

use std::f64::consts::PI;

/// Transforms complex numbers given as (real, imaginary), whose count is a power of two.
fn transform(re: &mut [f64], im: &mut [f64]) {
    let n = re.len();
    let mut mirrored = 0;
    for idx in 1..n {
        let mut bit = n >> 1;
        while mirrored & bit != 0 {
            mirrored ^= bit;
            bit >>= 1;
        }
        mirrored |= bit;
        if idx < mirrored {
            re.swap(idx, mirrored);
            im.swap(idx, mirrored);
        }
    }
    // Those of the last round; each round before takes every second of the next one's.
    let twiddles = twiddles(n);
    let mut half = 1;
    while half < n {
        // Side by side, so that several are multiplied at once.
        let (cos, sin): (Vec<f64>, Vec<f64>) = twiddles.iter().step_by(n / 2 / half).copied().unzip();
        let (cos, sin) = (&cos[..half], &sin[..half]);
        for (re, im) in re.chunks_exact_mut(2 * half).zip(im.chunks_exact_mut(2 * half)) {
            let ((re_a, re_b), (im_a, im_b)) = (re.split_at_mut(half), im.split_at_mut(half));
            let (re_b, im_a, im_b) = (&mut re_b[..half], &mut im_a[..half], &mut im_b[..half]);
            for k in 0..half {
                let (x, y) = (re_b[k] * cos[k] - im_b[k] * sin[k], re_b[k] * sin[k] + im_b[k] * cos[k]);
                (re_b[k], im_b[k]) = (re_a[k] - x, im_a[k] - y);
                (re_a[k], im_a[k]) = (re_a[k] + x, im_a[k] + y);
            }
        }
        half *= 2;
    }
}

/// The first half of the `n`-th roots of one, `n` being a power of two: an eighth of the circle is reckoned, the others
/// mirror it.
fn twiddles(n: usize) -> Vec<(f64, f64)> {
    let angle = -2.0 * PI / n as f64;
    let eighth: Vec<(f64, f64)> = (0..=n / 8).map(|k| (angle * k as f64).sin_cos()).collect();
    let of_quarter = |k: usize| match eighth.get(k) {
        Some((sin, cos)) => (*cos, *sin),
        None => (-eighth[n / 4 - k].0, -eighth[n / 4 - k].1),
    };
    (0..n / 2)
        .map(|k| {
            if k <= n / 4 {
                of_quarter(k)
            } else {
                let (cos, sin) = of_quarter(n / 2 - k);
                (-cos, sin)
            }
        })
        .collect()
}

/// The power at each frequency of `values`, padded with zeros to at least `n_padded`: bin k of n is the period n / k.
/// Returns the padded count and the bins 0..=n/2.
pub(super) fn power(values: &[f64], n_padded: usize) -> (usize, Vec<f64>) {
    let n = n_padded.max(values.len()).next_power_of_two();
    let mut re = values.to_vec();
    re.resize(n, 0.0);
    let mut im = vec![0.0; n];
    transform(&mut re, &mut im);
    (n, (0..=n / 2).map(|k| re[k] * re[k] + im[k] * im[k]).collect())
}

/// So many lags take less time one by one than by two transforms.
const MOST_DIRECT_LAGS: usize = 512;

/// The sum of the products, as far as the shorter one goes; in four chains, none of which waits for the others.
fn product(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (a[..n].chunks_exact(4), b[..n].chunks_exact(4));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0.0; 4];
    for (a, b) in a.zip(b) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    rest + sums.iter().sum::<f64>()
}

/// The powers of two series at once, as [`power`] has them.
pub(super) fn powers(a: &[f64], b: &[f64], n_padded: usize) -> (usize, [Vec<f64>; 2]) {
    let n = n_padded.max(a.len()).max(b.len()).next_power_of_two();
    let (mut re, mut im) = (a.to_vec(), b.to_vec());
    re.resize(n, 0.0);
    im.resize(n, 0.0);
    transform(&mut re, &mut im);
    // The transform of a real series is its own mirror's conjugate; what is not belongs to the other.
    let parts = |k: usize| {
        let mirror = (n - k) % n;
        let (own, other) = ((re[k] + re[mirror], im[k] - im[mirror]), (im[k] + im[mirror], re[mirror] - re[k]));
        [own, other].map(|(x, y)| (x * x + y * y) / 4.0)
    };
    let (a, b) = (0..=n / 2).map(parts).map(|[a, b]| (a, b)).unzip();
    (n, [a, b])
}

/// The sums of the products of a series with itself `0..=n_lags` cells later, from its power as [`power`] has it,
/// padded by at least so many lags.
pub(super) fn products_of_power(n: usize, power: &[f64], n_lags: usize) -> Vec<f64> {
    // The power is even, so a second forward transform is the inverse one.
    let mut re: Vec<f64> = (0..n).map(|k| power[k.min(n - k)]).collect();
    let mut im = vec![0.0; n];
    transform(&mut re, &mut im);
    re.truncate(n_lags + 1);
    re.iter_mut().for_each(|sum| *sum /= n as f64);
    re
}

/// The sums of the products of `values` with themselves `0..=n_lags` cells later; 0 beyond the end.
pub(super) fn products(values: &[f64], n_lags: usize) -> Vec<f64> {
    if n_lags <= MOST_DIRECT_LAGS {
        let at = |lag: usize| values.get(lag..).map_or(0.0, |later| product(later, values));
        return (0..=n_lags).map(at).collect();
    }
    let (n, half) = power(values, 2 * values.len());
    let mut sums = products_of_power(n, &half, n_lags.min(values.len().saturating_sub(1)));
    sums.resize(n_lags + 1, 0.0);
    sums
}

/// Autocorrelations of lags `0..=n_lags`, each divided by the total sum of squares; zeros for a constant.
pub(super) fn autocorrelations(values: &[f64], n_lags: usize) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let mut sums = products(&centred, n_lags);
    let total = sums[0];
    sums.iter_mut().for_each(|sum| *sum = if total > 0.0 { *sum / total } else { 0.0 });
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn autocorrelations_agree_with_their_definition() {
        let values: Vec<f64> = (0..45).map(|i| f64::from(i * 29 % 17) + f64::from(i) * 0.1).collect();
        let mean = values.iter().sum::<f64>() / 45.0;
        let transformed = autocorrelations(&values, MOST_DIRECT_LAGS + 1);
        let found = autocorrelations(&values, 50);
        let sum = |lag: usize| (lag..45).map(|i| (values[i] - mean) * (values[i - lag] - mean)).sum::<f64>();
        for (lag, correlation) in found.iter().enumerate().take(45) {
            assert!((correlation - sum(lag) / sum(0)).abs() < 1e-12, "{lag}");
            assert!((transformed[lag] - correlation).abs() < 1e-12, "{lag}");
        }
        assert_eq!(found[50], 0.0);
        assert_eq!(autocorrelations(&[3.0; 9], 2), [0.0; 3]);
    }

    #[test]
    fn two_series_are_transformed_at_once_as_one_by_one() {
        let a: Vec<f64> = (0..50).map(|i| f64::from(i * 29 % 17)).collect();
        let b: Vec<f64> = (0..50).map(|i| f64::from(i * 13 % 11) - 4.0).collect();
        let (n, both) = powers(&a, &b, 100);
        assert_eq!(n, 128);
        for (own, together) in [power(&a, 100).1, power(&b, 100).1].iter().zip(&both) {
            assert!(own.iter().zip(together).all(|(one, other)| (one - other).abs() < 1e-8));
        }
        let sums = products_of_power(n, &both[1], 20);
        assert_eq!(sums.len(), 21);
        assert!(sums.iter().zip(products(&b, 20)).all(|(one, other)| (one - other).abs() < 1e-9));
    }

    #[test]
    fn roots_of_one_that_mirror_others_are_what_they_would_be() {
        for n in [1usize, 2, 4, 8, 16, 1_024] {
            let found = twiddles(n);
            assert_eq!(found.len(), n / 2);
            for (k, (cos, sin)) in found.into_iter().enumerate() {
                let angle = -2.0 * PI * k as f64 / n as f64;
                assert!((cos - angle.cos()).abs() < 1e-15 && (sin - angle.sin()).abs() < 1e-15, "{n} {k}: {cos} {sin}");
            }
        }
    }

    #[test]
    fn the_power_stands_at_the_period() {
        let values: Vec<f64> = (0..64).map(|i| (2.0 * PI * f64::from(i) / 8.0).sin()).collect();
        let (n, bins) = power(&values, 64);
        let top = (0..bins.len()).max_by(|&a, &b| bins[a].total_cmp(&bins[b])).unwrap();
        assert_eq!(n / top, 8);
    }
}
