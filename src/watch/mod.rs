//! The standing loop: scores every sample as it comes, keeps models and forecasts fresh, remembers what it found.
//!
//! In: batches as they were stored. Out: anomalies, incidents, forecasts and capacity answers from memory, and all of
//! them as Parquet in the data directory (`docs/formats/results.md`).
//!
//! It relies on the store having every sample already: what the loop misses, by a full queue or a restart, it reads
//! back from there. It never holds up ingestion.

mod anomalies;
mod error;
mod figures;
mod fleet;
mod forecasts;
mod history;
mod incidents;
mod issued;
mod model;
mod queue;
mod refresh;
mod results;
mod roster;
mod schedule;
mod score;
mod scoring;
mod settings;
mod standing;
#[cfg(test)]
mod tests;
mod together;

pub use error::WatchError;
pub use figures::WatchFigures;
pub use fleet::FleetAnswer;
pub use issued::IssuedAccuracy;
pub use settings::WatchSettings;
pub use standing::{Clock, ForecastAsk, Watch};
pub use together::AggregateForecast;
