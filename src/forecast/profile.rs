//! What a cycle looks like once the trend is taken off.

use crate::series::{filled, median_of};

/// The median of `detrended` at each place of a cycle of `season`; places count from the first cell.
pub(super) fn profile_of(detrended: &[f64], season: usize) -> Vec<f64> {
    (0..season).map(|slot| median_of(detrended.iter().skip(slot).step_by(season).copied()).unwrap_or(0.0)).collect()
}

/// `profile` with a mean of nothing.
pub(super) fn centred(mut profile: Vec<f64>) -> Vec<f64> {
    let mean = profile.iter().sum::<f64>() / profile.len().max(1) as f64;
    profile.iter_mut().for_each(|slot| *slot -= mean);
    profile
}

/// Straight lines across the gaps of a cycle that comes round; zeros for one of gaps alone.
pub(super) fn mended(cycle: &[f64]) -> Vec<f64> {
    let n = cycle.len();
    let Some(first) = cycle.iter().position(|value| !value.is_nan()) else { return vec![0.0; n] };
    // One cycle from a place that is known to the same place again.
    let round: Vec<f64> = (0..=n).map(|idx| cycle[(first + idx) % n]).collect();
    let mut mended = filled(&round);
    mended.truncate(n);
    mended.rotate_right(first);
    mended
}
