//! The same analysis over historical Parquet and CSV: files in, tables out.
//!
//! In: files, globs and directories with long or wide tables ([`read`]), read by polars.
//! Out: [`Table`]s of forecasts, scores, anomalies, incidents and capacity, written whole or not at all
//! ([`Table::write`]).
//! Relies on the numeric rooms for every number; this room only cuts the work into series, spreads them over the
//! cores and puts the answers back in order.

mod aggregate;
mod ahead;
mod analyze;
mod backtest;
mod coarsen;
mod detect;
mod forecast;
mod input;
mod known;
mod limits;
mod parallel;
mod read;
mod report;
mod roles;
mod rows;
mod shown;
mod table;
mod times;
mod write;

pub use aggregate::{GroupForecast, Grouping, forecast_groups};
pub use ahead::{Ahead, AheadError};
pub use analyze::{Analysis, AnalyzeAsk, analyze};
pub use backtest::{
    BacktestAsk, SeriesBacktest, backtest_all, backtest_table, lead_summary, model_summary, series_summary,
};
pub use coarsen::{begun_note, coarsen, history_of};
pub use detect::{
    DetectAsk, EntityScores, SeriesScores, detect_all, detect_matrices, detect_table, entity_table, warmup_of,
};
pub use forecast::{ForecastAsk, ForecastFailure, SeriesForecast, forecast_all, forecast_table};
pub use input::{InputFile, expand};
pub use known::{KnownColumns, KnownColumnsError};
pub use limits::GivenLimit;
pub use parallel::{n_workers, spread};
pub use read::{Matrix, ReadError, read, read_matrix};
pub use report::{ReportFormat, UnknownReport, write_report};
pub use rows::{Axis, Rows, Source};
pub use table::{Column, Table};
pub(crate) use write::short;
pub use write::{Format, WriteError, has_folder, write_whole};
