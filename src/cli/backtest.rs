//! `barograph backtest`: how methods would have done on the past of some files.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::batch::{self, Ahead, BacktestAsk, Column, DetectAsk, Rows, SeriesBacktest, SeriesScores, Table};
use crate::detect::{AlarmSettings, Settings};
use crate::forecast::{Coverage, FORECASTERS, SeasonChoice};
use crate::presets::Presets;
use crate::series::{Millis, format_duration};

use super::arguments::{self, Cells, Columns, Inputs, Known, Place, Planned};
use super::{Failure, progress};

/// The word that stands for every method.
const ALL: &str = "all";
/// Rows of single series shown to people; a file has them all.
const MOST_SHOWN: usize = 40;

/// Judge methods on the past: accuracy and bands by lead time, or how often a detector would have fired
///
/// Each model forecasts from several moments of the past. Everything is done as it would have been done then, from the
/// values before that moment alone: the season, the method, its band. What came is compared with it.
///
/// mase: mean error over that of the seasonal naive one cycle ahead; relative: over that of the seasonal naive for the
/// same values (below 1 is better), of errors scaled as mase scales them where several series are taken together; smape
/// in percent; msis: the bands' width with a fine for each miss, in the unit of mase; coverage: the share of values
/// inside the band; bias: mean of value minus forecast, in the unit of mase on the terminal and in the series' own in
/// the file. A file has a row for each series, model and lead; rows without a lead are over all leads, rows without a
/// series over all series. It also has season, the one used most often, in steps, and fallbacks: at how many origins
/// `auto` answered with a yardstick, kept to levels of the past or doubted a new one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  barograph backtest metrics.parquet --model auto,seasonal-naive --horizon 24\n  \
    barograph backtest 'hourly/*.csv' --model all --season 24 --origins 30 -o backtest.parquet\n  \
    barograph backtest metrics.parquet --detector auto")]
pub(super) struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// Methods to judge, from `barograph models`; several with commas, or `all`.
    #[arg(long, value_name = "NAME", default_value = "auto", value_delimiter = ',', value_parser = model_or_all)]
    model: Vec<String>,
    /// Replay this detector instead, and count how often it would have fired.
    #[arg(
        long,
        value_name = "NAME",
        value_parser = arguments::detector_name,
        conflicts_with_all = ["model", "horizon", "season", "level", "origins", "events", "columns", "time_zone"]
    )]
    detector: Option<String>,
    /// How far each forecast looks ahead: a number of steps, or a duration such as 1d.
    #[arg(long, allow_hyphen_values = true, value_name = "H", default_value = "24")]
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
    /// The share of future values that the band promises to hold.
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "SHARE",
        default_value = "0.95",
        value_parser = arguments::level
    )]
    level: Coverage,
    /// From how many moments of the past to forecast, spread over its later half.
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "N",
        default_value_t = 10,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000)
    )]
    origins: usize,
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
    /// Where to write every number: .parquet, .csv or .json.
    #[arg(short, long, value_name = "OUT", value_parser = arguments::output)]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.output.as_deref().map_or(Ok(()), batch::has_folder)?;
    let presets = arguments.place.of(arguments.known.load()?);
    let rows = arguments.inputs.read()?;
    match &arguments.detector {
        Some(detector) => replay_detector(arguments, &rows, detector, &presets),
        None => judge_models(arguments, &rows, &presets),
    }
}

/// A method's name, or the word for every one of them.
fn model_or_all(text: &str) -> Result<String, String> {
    if text == ALL {
        return Ok(text.to_owned());
    }
    arguments::model_name(text).map_err(|error| format!("{error}, and `{ALL}` for every one of them"))
}

fn judge_models(arguments: &Arguments, rows: &Rows, presets: &Presets) -> Result<(), Failure> {
    let mut models: Vec<String> = Vec::new();
    for name in &arguments.model {
        let named = FORECASTERS.iter().filter(|entry| name == ALL || entry.name == name);
        for entry in named {
            if models.iter().all(|known| known != entry.name) {
                models.push(entry.name.to_owned());
            }
        }
    }
    let ask = BacktestAsk {
        models,
        season: arguments.season,
        ahead: arguments.horizon,
        coverage: arguments.level,
        n_origins: arguments.origins,
        cells: arguments.cells.cells,
        events: arguments.planned.read(rows, &arguments.place)?,
        columns: arguments.columns.read(rows)?,
    };
    let bar = OnceLock::new();
    let begin = |n_forecasts| {
        let _ = bar.set(progress::bar_of(n_forecasts, "judging", "forecasts"));
    };
    let done = || {
        if let Some(bar) = bar.get() {
            bar.inc(1);
        }
    };
    let all = batch::backtest_all(rows, &ask, presets, begin, done);
    if let Some(bar) = bar.get() {
        bar.finish_and_clear();
    }
    let failures: Vec<(String, String)> = all
        .iter()
        .filter_map(|one| {
            let name = format!("{} by {}", rows.sources[one.source_idx].name, one.asked);
            Some((name, one.outcome.as_ref().err()?.to_string()))
        })
        .collect();
    arguments::tell_failures(&failures, all.len(), "judged")?;
    let name = |one: &SeriesBacktest| rows.sources[one.source_idx].name.as_str();
    arguments::tell_notes(all.iter().flat_map(|one| one.notes.iter().map(move |note| (name(one), note.clone()))));
    arguments::tell_notes(all.iter().filter_map(|one| {
        let report = one.outcome.as_ref().ok().filter(|report| report.n_fallbacks > 0)?;
        let (n, all) = (report.n_fallbacks, report.n_origins);
        Some((
            name(one),
            format!("{} fell back to a yardstick, or to levels of the past, at {n} of {all} origins", one.asked),
        ))
    }));
    if let Some(path) = &arguments.output {
        batch::backtest_table(rows, &all).write(path)?;
        if arguments::is_stdout(path) {
            return Ok(());
        }
    }
    let mut out = std::io::stdout().lock();
    let level = arguments.level.share();
    if rows.sources.len() > 1 && all.len() <= MOST_SHOWN {
        batch::series_summary(rows, &all).to_text(&mut out)?;
        writeln!(out, "\nOver all series (the band promises {level}):")?;
    }
    batch::model_summary(&all).to_text(&mut out)?;
    writeln!(out, "\nBy lead time in steps (the band promises {level}):")?;
    batch::lead_summary(&all).to_text(&mut out)?;
    Ok(())
}

fn replay_detector(arguments: &Arguments, rows: &Rows, detector: &str, presets: &Presets) -> Result<(), Failure> {
    let ask =
        DetectAsk { detector: detector.to_owned(), settings: Settings::default(), alarm: AlarmSettings::default() };
    let bar = progress::bar(rows.sources.len(), "replaying");
    let found = batch::detect_all(rows, None, &ask, presets, || bar.inc(1))?;
    bar.finish_and_clear();
    let table = firings(rows, &found);
    if let Some(path) = &arguments.output {
        table.write(path)?;
        if arguments::is_stdout(path) {
            return Ok(());
        }
    }
    let n_fired: usize = found.iter().map(|series| series.anomalies.len()).sum();
    let n_series = found.iter().filter(|series| !series.anomalies.is_empty()).count();
    let first_and_last = rows.at.iter().min().zip(rows.at.iter().max());
    let span = first_and_last.map_or(0, |(first, last)| last - first);
    println!(
        "{detector} would have fired {n_fired} times, on {n_series} of {} series, in {}",
        rows.sources.len(),
        format_duration(rounded(span))
    );
    if n_fired > 0 {
        println!();
        table.to_text(&mut std::io::stdout().lock())?;
    }
    Ok(())
}

/// To the minute, for people.
fn rounded(span: Millis) -> Millis {
    if span > crate::series::HOUR { span - span % crate::series::MINUTE } else { span }
}

/// Per series that fired: fired, first, last, worst score and its kind, most often first.
fn firings(rows: &Rows, found: &[SeriesScores]) -> Table {
    let mut fired: Vec<usize> = (0..found.len()).filter(|idx| !found[*idx].anomalies.is_empty()).collect();
    fired.sort_by_key(|idx| (usize::MAX - found[*idx].anomalies.len(), *idx));
    let of = |idx: &usize| &found[*idx].anomalies;
    let worst = |idx: &usize| of(idx).iter().max_by(|a, b| a.score.total_cmp(&b.score));
    let is_timed = |idx: &usize| rows.sources[*idx].axis == batch::Axis::Time;
    let first = |idx: &usize| of(idx).first().filter(|_| is_timed(idx)).map(|anomaly| anomaly.start);
    let last = |idx: &usize| of(idx).last().filter(|_| is_timed(idx)).map(|anomaly| anomaly.start);
    let names: Vec<String> = rows.sources.iter().map(|source| source.name.clone()).collect();
    Table::new()
        .with("series", Column::Name { texts: Arc::from(names), idx: fired.iter().map(|idx| *idx as u32).collect() })
        .with("fired", Column::Int(fired.iter().map(|idx| Some(of(idx).len() as i64)).collect()))
        .with("first", Column::Time(fired.iter().map(first).collect()))
        .with("last", Column::Time(fired.iter().map(last).collect()))
        .with("worst_score", Column::floats(fired.iter().map(|idx| worst(idx).map(|anomaly| anomaly.score))))
        .with(
            "worst_kind",
            Column::texts(fired.iter().map(|idx| worst(idx).map_or("", |anomaly| anomaly.kind.as_str()))),
        )
}
