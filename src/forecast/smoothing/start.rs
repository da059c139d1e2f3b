//! Where a recursion begins: the level, the trend and the season before the first value, from the first values or
//! cycles.

use super::{LEAST_LEVEL, Seasonal, Shape, State, Trend};
use crate::series::median;

/// Cycles that tell the first season.
const START_CYCLES: usize = 4;

/// The state before the first of `scaled`, from its first values or cycles.
pub(in crate::forecast) fn start_of(shape: Shape, scaled: &[f64]) -> State {
    let steps = shape.seasonal.steps();
    if shape.seasonal == Seasonal::None {
        let first: Vec<(f64, f64)> = scaled
            .iter()
            .enumerate()
            .filter(|(_, value)| !value.is_nan())
            .map(|(idx, &v)| (idx as f64, v))
            .take(10)
            .collect();
        let (level, trend) = match shape.trend {
            Trend::None => (first.iter().take(5).map(|(_, v)| v).sum::<f64>() / first.len().min(5) as f64, 0.0),
            Trend::Straight | Trend::Damped { .. } => {
                let (intercept, slope) = line_through(&first);
                (intercept - slope, slope)
            }
        };
        return State { level, trend, season: Vec::new(), next: 0 };
    }
    let n_cycles = (scaled.len() / steps).clamp(1, START_CYCLES);
    let cycles: Vec<&[f64]> = scaled.chunks(steps).take(n_cycles).collect();
    let means: Vec<f64> = cycles.iter().map(|cycle| mean_of(cycle.iter().copied())).collect();
    let known: Vec<(f64, f64)> =
        means.iter().enumerate().filter(|(_, m)| !m.is_nan()).map(|(idx, &m)| (idx as f64, m)).collect();
    let (first_mean, per_cycle) = line_through(&known);
    let slope = per_cycle / steps as f64;
    let middle = (steps as f64 - 1.0) / 2.0;
    let expected = |cycle: usize, slot: usize| {
        let mean = if means[cycle].is_nan() { first_mean + per_cycle * cycle as f64 } else { means[cycle] };
        mean + slope * (slot as f64 - middle)
    };
    let is_additive = matches!(shape.seasonal, Seasonal::Additive(_));
    let mut season: Vec<f64> = (0..steps)
        .map(|slot| {
            let seen: Vec<f64> = cycles
                .iter()
                .enumerate()
                .filter_map(|(idx, cycle)| cycle.get(slot).filter(|v| !v.is_nan()).map(|v| (idx, *v)))
                .map(
                    |(idx, v)| {
                        if is_additive { v - expected(idx, slot) } else { v / expected(idx, slot).max(LEAST_LEVEL) }
                    },
                )
                .collect();
            median(&seen).unwrap_or(if is_additive { 0.0 } else { 1.0 })
        })
        .collect();
    let mean = season.iter().sum::<f64>() / steps as f64;
    for slot in &mut season {
        if is_additive {
            *slot -= mean;
        } else {
            *slot /= mean.max(LEAST_LEVEL);
        }
    }
    let trend = if shape.trend == Trend::None { 0.0 } else { slope };
    State { level: first_mean - slope * (middle + 1.0), trend, season, next: 0 }
}

fn mean_of(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.filter(|v| !v.is_nan()).fold((0.0, 0), |(sum, n), v| (sum + v, n + 1));
    if n == 0 { f64::NAN } else { sum / n as f64 }
}

/// Intercept and slope of the least-squares line; slope 0 through fewer than two abscissae.
pub(in crate::forecast) fn line_through(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    if points.is_empty() {
        return (0.0, 0.0);
    }
    let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let sxx: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    let sxy: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    let slope = if sxx > 0.0 { sxy / sxx } else { 0.0 };
    (my - slope * mx, slope)
}
