//! When does it cross the limit, and what should be done?
//!
//! In: a series' [`History`](crate::series::History), a [`Limit`] and what to assume. Out: an [`Assessment`]: the
//! crossing as dates with their probability (or that it does not grow, or why nothing can be said), the headroom now
//! and later, and a recommendation with an amount. The same input gives the same answer, bit for bit: the random
//! paths behind the dates are drawn from a fixed seed.
//!
//! The model is a level that drifts and wanders, a seasonal profile on top, and noise on top of that. The drift is
//! robust (Theil-Sen over the latest stretch without a break), its uncertainty is part of the answer, and what the
//! level does beside drifting is drawn from what it did. A saw-tooth (log rotation, purges) is judged by its peaks.

mod answer;
mod assess;
mod level;
mod passage;
mod paths;
mod planned;
mod sawtooth;
#[cfg(test)]
mod tests;
mod trend;
mod wording;

pub use answer::{Assessment, CapacitySettings, Exhaustion, Headroom, Limit};
pub use assess::assess;
pub use passage::{crossing_probability, crossing_probability_unsure};
pub use wording::amount_text;
