//! How good are points and bands? The competitions' arithmetic, and ratios to the seasonal naive.
//!
//! sMAPE, MASE, OWA against Naive 2 and MSIS are those of Makridakis, Spiliotis and Assimakopoulos, "The M4
//! Competition", 2020; the nine quantiles' mean pinball loss stands for the CRPS (Gneiting and Raftery, 2007).

/// Quantiles that are scored.
pub const LEVELS: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// The mean of what is not NaN.
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.filter(|value| !value.is_nan()).fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    sum / n
}

/// The mean distance of values `lag` apart; NaN where it is nothing.
pub fn scale(past: &[f64], lag: usize) -> f64 {
    let found = mean(past.iter().zip(past.iter().skip(lag)).map(|(a, b)| (a - b).abs()));
    if found > 0.0 { found } else { f64::NAN }
}

pub fn mae(truth: &[f64], points: &[f64]) -> f64 {
    mean(truth.iter().zip(points).map(|(y, f)| (y - f).abs()))
}

pub fn smape(truth: &[f64], points: &[f64]) -> f64 {
    mean(truth.iter().zip(points).map(|(y, f)| {
        let size = y.abs() + f.abs();
        if size == 0.0 { 0.0 } else { 200.0 * (y - f).abs() / size }
    }))
}

/// The interval score at 95 %, not yet scaled.
pub fn interval_score(truth: &[f64], lower: &[f64], upper: &[f64]) -> f64 {
    mean((0..truth.len()).map(|idx| {
        let (y, lo, hi) = (truth[idx], lower[idx], upper[idx]);
        hi - lo + 40.0 * ((lo - y).max(0.0) + (y - hi).max(0.0))
    }))
}

/// The mean pinball loss of `quantiles`, one row per level of [`LEVELS`].
pub fn pinball(truth: &[f64], quantiles: &[Vec<f64>]) -> f64 {
    mean(LEVELS.iter().zip(quantiles).flat_map(|(level, row)| {
        truth.iter().zip(row).map(move |(y, q)| if y >= q { level * (y - q) } else { (1.0 - level) * (q - y) })
    }))
}

/// Repeats the last cycle; NaN where it has a gap takes the cycle before.
pub fn seasonal_naive(past: &[f64], lag: usize, horizon: usize) -> Vec<f64> {
    let lag = if past.len() >= lag { lag } else { 1 };
    let last = |mut idx: usize| {
        while past[idx].is_nan() && idx >= lag {
            idx -= lag;
        }
        if past[idx].is_nan() { mean(past.iter().copied()) } else { past[idx] }
    };
    (0..horizon).map(|ahead| last(past.len() - lag + ahead % lag)).collect()
}

/// Its quantiles, as if its in-sample errors were normal and cycles independent.
pub fn seasonal_naive_quantiles(past: &[f64], lag: usize, points: &[f64]) -> Vec<Vec<f64>> {
    const NORMAL: [f64; 9] = [-1.2816, -0.8416, -0.5244, -0.2533, 0.0, 0.2533, 0.5244, 0.8416, 1.2816];
    let squares = past.iter().zip(past.iter().skip(lag)).map(|(a, b)| (a - b) * (a - b));
    let deviation = mean(squares).sqrt();
    let deviation = if deviation.is_nan() { 0.0 } else { deviation };
    let spread = |ahead: usize| deviation * ((ahead / lag + 1) as f64).sqrt();
    NORMAL.map(|z| points.iter().enumerate().map(|(ahead, point)| point + z * spread(ahead)).collect()).to_vec()
}

/// The competition's yardstick: naive on values without their season, where there is one.
pub fn naive2(past: &[f64], lag: usize, horizon: usize) -> Vec<f64> {
    let last = past[past.len() - 1];
    let indices = if is_seasonal(past, lag) { seasonal_indices(past, lag) } else { None };
    let own = indices.as_ref().map_or(1.0, |indices| indices[(past.len() - 1) % lag]);
    match indices {
        Some(indices) if own != 0.0 => {
            (0..horizon).map(|ahead| last / own * indices[(past.len() + ahead) % lag]).collect()
        }
        _ => vec![last; horizon],
    }
}

fn is_seasonal(past: &[f64], lag: usize) -> bool {
    let n = past.len();
    if lag <= 1 || n < 3 * lag {
        return false;
    }
    let centre = mean(past.iter().copied());
    let total: f64 = past.iter().map(|value| (value - centre).powi(2)).sum();
    if total <= 0.0 {
        return false;
    }
    let r = |k: usize| (k..n).map(|idx| (past[idx] - centre) * (past[idx - k] - centre)).sum::<f64>() / total;
    let shorter: f64 = (1..lag).map(|k| r(k).powi(2)).sum();
    r(lag).abs() > 1.645 * ((1.0 + 2.0 * shorter) / n as f64).sqrt()
}

/// Multiplicative indices of classical decomposition, with a mean of 1.
fn seasonal_indices(past: &[f64], lag: usize) -> Option<Vec<f64>> {
    let half = lag / 2;
    let trend = |idx: usize| {
        let inner: f64 = past[idx - half + 1 - lag % 2..idx + half].iter().sum();
        if lag.is_multiple_of(2) {
            (inner + 0.5 * (past[idx - half] + past[idx + half])) / lag as f64
        } else {
            (inner + past[idx + half]) / lag as f64
        }
    };
    let ratio = |idx: usize| past[idx] / trend(idx);
    let means: Vec<f64> = (0..lag)
        .map(|phase| mean((phase..past.len() - half).step_by(lag).filter(|idx| *idx >= half).map(ratio)))
        .collect();
    let centre = mean(means.iter().copied());
    means.iter().all(|value| value.is_finite()).then(|| means.iter().map(|value| value / centre).collect())
}
