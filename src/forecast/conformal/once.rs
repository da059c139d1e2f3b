//! Errors at cells that went astray for once: an outage, an incident.
//!
//! In: those errors, and how much of the past such cells are. Out: which share of usual errors a band must hold instead
//! of its coverage, and how far it must reach beyond them. An outage of a day is one event, of which every forecast
//! that met it made a day's errors; in one pool with the others they are about as many as lie beyond a band of 95 %, so
//! that it ends among them or short of them by chance. Two kinds of which the shares are known need no common pool: as
//! long as usual errors are enough for the coverage, a band holds more of those and none of the others; a band of more
//! than what is usual reaches to the others, as far as it must (a mixture of two distributions far apart).

use super::ROUNDED;

/// Quantiles that are kept of either side.
const N_KEPT: usize = 16;

/// Errors of which a share of the future will be, if it is as the past was.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Once {
    share: f64,
    below: [f32; N_KEPT],
    above: [f32; N_KEPT],
}

impl Once {
    /// Of `errors` at cells that are a `share` of all; `None` where nothing is known of them.
    pub fn of(errors: &[f64], share: f64) -> Option<Once> {
        if errors.is_empty() || !(share > 0.0 && share < 1.0) {
            return None;
        }
        let side = |sign: f64| {
            let mut reaches: Vec<f64> = errors.iter().map(|error| (sign * error).max(0.0)).collect();
            reaches.sort_unstable_by(f64::total_cmp);
            std::array::from_fn(|nr| {
                let idx = ((nr + 1) * reaches.len()).div_ceil(N_KEPT) - 1;
                reaches[idx].min(f64::from(f32::MAX)) as f32
            })
        };
        Some(Once { share, below: side(-1.0), above: side(1.0) })
    }

    /// The share of cells that are none of these.
    pub fn usual(&self) -> f64 {
        1.0 - self.share
    }

    /// The share of usual errors that a band of `share` of all must hold: no more than they have a quantile for, which
    /// is `most`, but where the band asks for that by itself.
    pub fn of_usual(&self, share: f64, most: f64) -> f64 {
        (share / self.usual()).min(most.max(share))
    }

    /// How far such a band reaches below and above at least.
    pub fn reach(&self, share: f64) -> (f64, f64) {
        let place = (share - self.usual()) / self.share * N_KEPT as f64;
        if place <= 0.0 {
            return (0.0, 0.0);
        }
        let idx = (place.ceil() as usize).clamp(1, N_KEPT) - 1;
        (f64::from(self.below[idx]) * ROUNDED, f64::from(self.above[idx]) * ROUNDED)
    }
}
