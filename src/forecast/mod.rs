//! What comes next, and how sure?
//!
//! In: a [`History`](crate::series::History), a method by name, a horizon and a coverage.
//! Out: a [`Forecast`]: points, a band that held its promise on the series' own past, a direction, and how the
//! method did against seasonal naive.
//!
//! A method is one file and one line of [`FORECASTERS`]; it knows nothing of bands, selection or backtests, which are
//! written once, over the [`Forecaster`] trait: [`backtest`] replays a method from rolling origins, `conformal` turns
//! the errors of such a replay into bands, `auto` picks by them. [`prepare`] does all of it once, so that
//! [`Prepared::forecast`] costs microseconds.

mod backtest;
mod direction;
mod model;
mod naive;
mod outlook;
mod prepare;
mod registry;
mod season;

pub use backtest::{Backtest, LeadAccuracy, backtest};
pub use direction::direction;
pub use model::{Coverage, FitError, Fitted, Forecaster, Horizon, Updated};
pub use outlook::{Accuracy, Band, Direction, Forecast, Heading};
pub use prepare::{ForecastError, Prepared, Request, prepare};
pub use registry::{Entry, FORECASTERS, Settings, UnknownModel, find};
pub use season::{SeasonChoice, SeasonChoiceError, find_season};
