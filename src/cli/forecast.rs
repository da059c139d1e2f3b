//! `barograph forecast`: points with a band for every series of some files.

use std::path::PathBuf;

use clap::builder::ArgAction;

use crate::batch::{self, Ahead, ForecastAsk, ForecastFailure, Grouping, Rows, SeriesForecast, Source};
use crate::forecast::{Coverage, Forecast, SeasonChoice};
use crate::presets::Presets;
use crate::series::{Aggregate, MetricKind};

use super::arguments::{self, Cells, Columns, Inputs, Known, Place, Planned, influences};
use super::{Failure, progress};

/// Forecast every series of Parquet or CSV files
///
/// The answer has a row per series and step: series, step (from 1), timestamp, value, lo, hi, model, season (in steps),
/// fallback, kind (a counter's values are per second). Bands come from errors on the series' own past; where it is too
/// short to promise one, lo and hi are empty.
/// `fallback` says why `auto` answers with a yardstick, keeps to levels of the past or doubts a new one.
///
/// A horizon that is a duration and has more than 2000 of a series' steps is forecast by a longer step, from means; one
/// that is a number of steps never is. Samples on a day of the month, as the first or the last, are followed by points
/// on that day, and months, quarters and years are steps.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  barograph forecast metrics.parquet --horizon 7d -o forecast.parquet\n  \
    barograph forecast 'hourly/*.csv' --horizon 48 --season 24 --level 0.8 -o -\n  \
    barograph forecast metrics.parquet --horizon 30d --events planned.yaml -o forecast.parquet\n  \
    barograph forecast metrics.parquet --horizon 7d --aggregate sum --by host -o -")]
pub(super) struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// How far to look ahead: a number of steps, or a duration such as 7d or 1h30m.
    #[arg(long, allow_hyphen_values = true, value_name = "H", action = ArgAction::Set)]
    horizon: Ahead,
    /// The season in steps, `auto` to look for it, or `none`.
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "N",
        default_value = "auto",
        value_parser = arguments::season
    )]
    season: SeasonChoice,
    /// A method from `barograph models`; `auto` picks by its errors on the series' past.
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = arguments::model_name)]
    model: String,
    /// The share of future values that the band promises to hold.
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "SHARE",
        default_value = "0.95",
        value_parser = arguments::level
    )]
    level: Coverage,
    /// Forecast the sum or the mean of the series, per metric, instead of each: `sum` or `mean`.
    #[arg(long, value_name = "HOW")]
    aggregate: Option<Aggregate>,
    /// Labels by whose values the aggregate is taken apart; several with commas.
    #[arg(long, value_name = "LABEL", value_delimiter = ',', requires = "aggregate")]
    by: Vec<String>,
    #[command(flatten)]
    cells: Cells,
    #[command(flatten)]
    planned: Planned,
    #[command(flatten)]
    columns: Columns,
    #[command(flatten)]
    known: Known,
    #[command(flatten)]
    place: Place,
    /// Where to write: .parquet, .csv, .json, or - for a table.
    #[arg(short, long, value_name = "OUT", default_value = "-", value_parser = arguments::output)]
    output: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    batch::has_folder(&arguments.output)?;
    let presets = arguments.place.of(arguments.known.load()?);
    let rows = arguments.inputs.read()?;
    let ask = ForecastAsk {
        model: arguments.model.clone(),
        season: arguments.season,
        ahead: arguments.horizon,
        coverage: arguments.level,
        cells: arguments.cells.cells,
        events: arguments.planned.read(&rows, &arguments.place)?,
        columns: arguments.columns.read(&rows)?,
    };
    if let Some(how) = arguments.aggregate {
        return forecast_groups(arguments, &rows, &Grouping { how, by: arguments.by.clone() }, &ask, &presets);
    }
    let bar = progress::bar(rows.sources.len(), "forecasting");
    let forecasts = batch::forecast_all(&rows, &ask, &presets, || bar.inc(1));
    bar.finish_and_clear();
    let kind = |source: &Source| source.kind_by(&source.settings(&presets));
    let all: Vec<_> = rows.sources.iter().zip(&forecasts).map(|(source, one)| (source, kind(source), one)).collect();
    tell(arguments, &all)
}

fn forecast_groups(
    arguments: &Arguments,
    rows: &Rows,
    grouping: &Grouping,
    ask: &ForecastAsk,
    presets: &Presets,
) -> Result<(), Failure> {
    let names = |label: &String| rows.sources.iter().any(|source| source.key.labels().get(label).is_some());
    if let Some(unknown) = grouping.by.iter().find(|label| !names(label)) {
        return Err(Failure::Usage(format!("--by {unknown}: no series has this label")));
    }
    let groups = batch::forecast_groups(rows, grouping, ask, presets, || ());
    for group in &groups {
        eprintln!("note: `{}` is of {} series", group.source.name, group.n_members);
    }
    let all: Vec<_> = groups.iter().map(|group| (&group.source, group.kind, &group.outcome)).collect();
    tell(arguments, &all)
}

/// What became of a series.
type Outcome<'a> = (&'a Source, MetricKind, &'a Result<SeriesForecast, ForecastFailure>);

/// Writes the forecasts there are, and tells of those there are not.
fn tell<'a>(arguments: &Arguments, all: &[Outcome<'a>]) -> Result<(), Failure> {
    let failures: Vec<(String, String)> = all
        .iter()
        .filter_map(|(source, _, forecast)| Some((source.name.clone(), forecast.as_ref().err()?.to_string())))
        .collect();
    arguments::tell_failures(&failures, all.len(), "forecast")?;
    let answered: Vec<(&str, &SeriesForecast)> =
        all.iter().filter_map(|(source, _, one)| Some((source.name.as_str(), one.as_ref().ok()?))).collect();
    arguments::tell_notes(answered.iter().flat_map(|(name, one)| one.notes.iter().map(|note| (*name, note.clone()))));
    let told = |pick: fn(&Forecast) -> Option<String>| {
        arguments::tell_notes(answered.iter().filter_map(|(name, one)| Some((*name, pick(&one.forecast)?))));
    };
    told(|forecast| forecast.band_reason.as_ref().map(|reason| format!("no band: {reason}")));
    told(|forecast| forecast.fallback.clone());
    arguments::tell_notes(answered.iter().flat_map(|(name, one)| influences(name, &one.forecast.influences)));
    let made = |outcome: &Outcome<'a>| Some((outcome.0, outcome.1, &outcome.2.as_ref().ok()?.forecast));
    batch::forecast_table(all.iter().filter_map(made)).write(&arguments.output)?;
    if !arguments::is_stdout(&arguments.output) {
        eprintln!("{} series forecast into {}", answered.len(), arguments.output.display());
    }
    Ok(())
}
