//! What comes next, and how sure?
//!
//! In: a [`Past`] (a [`History`](crate::series::History) and what is known beside it), a method by name, a horizon and
//! a coverage.
//! Out: a [`Forecast`]: points, a band that held its promise on the series' own past, a direction, and how the
//! method did against seasonal naive.
//!
//! A method is one file and one line of [`FORECASTERS`]; it knows nothing of bands, selection or backtests, which are
//! written once, over the [`Forecaster`] trait: a replay from rolling origins gives a method's errors, `conformal`
//! turns them into bands, `auto` picks by them, and [`backtest()`] judges what all of that would have answered.
//! [`prepare`] does all of it once, so that [`Prepared::forecast`] costs microseconds.

mod adjust;
mod aggregate;
mod ar;
mod arima;
mod astray;
mod auto;
mod backtest;
mod candidates;
mod card;
mod card_data;
mod ces;
mod columns;
mod compact;
mod conformal;
mod continued;
mod correction;
mod croston;
mod cycle_median;
mod damped;
mod day_columns;
mod delta;
mod direction;
mod dynamic_regression;
mod edge_augurs;
mod election;
mod entry;
mod ets;
mod events;
mod expected;
mod facts;
mod fourier;
mod growth;
mod guard;
mod holt;
mod holt_winters_additive;
mod holt_winters_multiplicative;
mod intermittent;
mod lagged;
mod learn;
mod least_squares;
mod line;
mod linear;
mod model;
mod moving_average;
mod moving_median;
mod mstl;
mod naive;
mod often;
mod optimise;
mod outlook;
mod past;
mod period_fold;
mod piecewise_linear;
mod pool;
mod power;
mod prepare;
mod profile;
mod recalibrate;
mod recent;
mod recursion;
mod registry;
mod rho;
mod rolling;
mod sba;
mod scale;
mod season;
mod seasonal_ar;
mod seasonal_naive;
mod ses;
mod shaped;
mod shift;
mod slope;
mod slot_profile;
mod smoothing;
mod stationarity;
mod still;
mod stuck;
mod student;
mod tally;
mod theil_sen;
mod theta;
mod thinned;
mod to_now;
mod transform;
mod tsb;
mod unrest;
mod year;

#[cfg(test)]
mod air_passengers;
#[cfg(test)]
mod tests;

pub use aggregate::{Total, TotalError, aggregate};
pub use auto::AUTO;
pub use columns::{Influence, Learned};
pub use correction::{Correction, Outcome};
pub use direction::direction;
pub use edge_augurs::{Augurs, AugursError, FittedAugurs};
pub use events::{Change, Effect, Event, Events, Holiday, UnderEvents};
pub use facts::Facts;
pub use model::{Coverage, FitError, Fitted, Forecaster, Horizon, Updated};
pub use outlook::{Accuracy, Band, Direction, Forecast, Heading};
pub use past::{Past, Regressor, Regressors};
pub use prepare::{ForecastError, Prepared, Request, prepare};
pub use registry::{Cost, Entry, FORECASTERS, Role, SeasonUse, Settings, UnknownModel, ValueNeed, find};
pub use rolling::{Backtest, backtest, backtest_at, origins};
pub use season::{SeasonChoice, SeasonChoiceError, find_season, find_seasons};
pub use tally::{Figures, Judged, Tally, lead_group};
