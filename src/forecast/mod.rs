//! What comes next, and how sure?

mod model;
mod outlook;

pub use model::{Coverage, FitError, Fitted, Forecaster, Horizon, Updated};
pub use outlook::{Accuracy, Band, Direction, Forecast, Heading};
