//! What did they ask? Selectors, times and limits as people write them, and the answers that need no model.
//!
//! In: texts from a command line or a request, and the [`Store`](crate::storage::Store).
//! Out: checked [`Selector`](crate::series::Selector)s, instants and limits; the samples of a selector at an instant
//! or on even steps with Prometheus' rules for staleness; statistics over windows and before moments. No question
//! reads more samples than its [`Budget`] has.
//!
//! PromQL beyond selectors is absent on purpose so far: [`parse_selector`] tells what it was given and what it
//! understands.

mod before;
mod budget;
mod error;
mod limit;
mod points;
mod selector;
mod stats;
mod time;

pub use before::summaries_before;
pub use budget::Budget;
pub use error::QueryError;
pub use limit::{parse_amount, parse_limit, parse_named};
pub use points::{LOOKBACK, MAX_STEPS, Stand, Steps, instant, range};
pub use selector::parse_selector;
pub use stats::{SeriesStats, WindowStats, stats, summarize_window};
pub use time::{format_number, parse_time};
