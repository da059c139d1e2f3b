//! `barograph forecast`: points with a band for every series of some files.

use std::path::PathBuf;

use clap::builder::ArgAction;

use crate::batch::{self, Ahead, ForecastAsk};
use crate::forecast::{Coverage, SeasonChoice};
use crate::presets::Presets;

use super::arguments::{self, Inputs, MOST_CELLS};
use super::{Failure, progress};

/// Forecast every series of Parquet or CSV files
///
/// The answer has a row per series and step: series, step (from 1), timestamp, value, lo, hi, model. Bands come from
/// errors on the series' own past; where it is too short to promise one, lo and hi are empty.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  barograph forecast metrics.parquet --horizon 7d -o forecast.parquet\n  \
    barograph forecast 'hourly/*.csv' --horizon 48 --season 24 --level 0.8 -o -")]
pub(super) struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// How far to look ahead: a number of steps, or a duration such as 7d or 1h30m.
    #[arg(long, value_name = "H", action = ArgAction::Set)]
    horizon: Ahead,
    /// The season in steps, `auto` to look for it, or `none`.
    #[arg(long, value_name = "N", default_value = "auto", value_parser = arguments::season)]
    season: SeasonChoice,
    /// A method from `barograph models`; `auto` picks by its errors on the series' past.
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = arguments::model_name)]
    model: String,
    /// The share of future values that the band promises to hold.
    #[arg(long, value_name = "SHARE", default_value = "0.95", value_parser = arguments::level)]
    level: Coverage,
    /// Where to write: .parquet, .csv, .json, or - for a table.
    #[arg(short, long, value_name = "OUT", default_value = "-", value_parser = arguments::output)]
    output: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let rows = arguments.inputs.read()?;
    let ask = ForecastAsk {
        model: arguments.model.clone(),
        season: arguments.season,
        ahead: arguments.horizon,
        coverage: arguments.level,
        most_cells: MOST_CELLS,
    };
    let bar = progress::bar(rows.sources.len(), "forecasting");
    let forecasts = batch::forecast_all(&rows, &ask, &Presets::shipped(), || bar.inc(1));
    bar.finish_and_clear();
    let failures: Vec<(String, String)> = rows
        .sources
        .iter()
        .zip(&forecasts)
        .filter_map(|(source, forecast)| Some((source.name.clone(), forecast.as_ref().err()?.to_string())))
        .collect();
    arguments::tell_failures(&failures, rows.sources.len(), "forecast")?;
    let answered: Vec<_> = rows
        .sources
        .iter()
        .zip(&forecasts)
        .filter_map(|(source, forecast)| Some((source, forecast.as_ref().ok()?)))
        .collect();
    for (source, forecast) in &answered {
        if let Some(reason) = &forecast.band_reason {
            eprintln!("note: `{}` has no band: {reason}", source.name);
        }
    }
    batch::forecast_table(answered.iter().copied()).write(&arguments.output)?;
    if !arguments::is_stdout(&arguments.output) {
        eprintln!("{} series forecast into {}", answered.len(), arguments.output.display());
    }
    Ok(())
}
