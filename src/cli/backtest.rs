//! `barograph backtest`: how methods would have done on the past of some files.

use std::path::PathBuf;
use std::sync::Arc;

use crate::batch::{self, Ahead, BacktestAsk, Column, DetectAsk, Rows, SeriesScores, Table};
use crate::detect::{AlarmSettings, Settings};
use crate::forecast::{Coverage, SeasonChoice};
use crate::presets::Presets;
use crate::series::{Millis, format_duration};

use super::arguments::{self, Inputs, MOST_CELLS};
use super::{Failure, progress};

/// Replay methods on the past: accuracy and coverage by lead time, or how often a detector would have fired
///
/// Each model forecasts from several points in the past, seeing only what was known then. The summary has, per model,
/// MASE (below 1 beats the naive forecast), sMAPE, and the share of values inside the band; then the same by lead time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  barograph backtest metrics.parquet --model auto,seasonal-naive --horizon 24\n  \
    barograph backtest metrics.parquet --detector auto")]
pub(super) struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// Methods to replay, from `barograph models`; several with commas.
    #[arg(long, value_name = "NAME", default_value = "auto", value_delimiter = ',', value_parser = arguments::model_name)]
    model: Vec<String>,
    /// Replay this detector instead, and count how often it would have fired.
    #[arg(long, value_name = "NAME", value_parser = arguments::detector_name, conflicts_with_all = ["model", "horizon", "season", "level", "origins"])]
    detector: Option<String>,
    /// How far each replay looks ahead: a number of steps, or a duration such as 1d.
    #[arg(long, value_name = "H", default_value = "24")]
    horizon: Ahead,
    /// The season in steps, `auto` to look for it, or `none`.
    #[arg(long, value_name = "N", default_value = "auto", value_parser = arguments::season)]
    season: SeasonChoice,
    /// The share of future values that the band promises to hold.
    #[arg(long, value_name = "SHARE", default_value = "0.95", value_parser = arguments::level)]
    level: Coverage,
    /// From how many points in the past to forecast.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000))]
    origins: usize,
    /// Where to write every number: .parquet, .csv or .json.
    #[arg(short, long, value_name = "OUT", value_parser = arguments::output)]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let rows = arguments.inputs.read()?;
    match &arguments.detector {
        Some(detector) => replay_detector(arguments, &rows, detector),
        None => replay_models(arguments, &rows),
    }
}

fn replay_models(arguments: &Arguments, rows: &Rows) -> Result<(), Failure> {
    let ask = BacktestAsk {
        models: arguments.model.clone(),
        season: arguments.season,
        ahead: arguments.horizon,
        coverage: arguments.level,
        n_origins: arguments.origins,
        most_cells: MOST_CELLS,
    };
    let bar = progress::bar(rows.sources.len() * ask.models.len(), "replaying");
    let replays = batch::backtest_all(rows, &ask, &Presets::shipped(), || bar.inc(1));
    bar.finish_and_clear();
    let failures: Vec<(String, String)> = replays
        .iter()
        .filter_map(|replay| {
            let name = format!("{} by {}", rows.sources[replay.source_idx].name, replay.asked);
            Some((name, replay.outcome.as_ref().err()?.to_string()))
        })
        .collect();
    arguments::tell_failures(&failures, replays.len(), "replayed")?;
    if let Some(path) = &arguments.output {
        batch::backtest_table(rows, &replays).write(path)?;
        if arguments::is_stdout(path) {
            return Ok(());
        }
    }
    let mut out = std::io::stdout().lock();
    batch::model_summary(&replays).to_text(&mut out)?;
    println!("\nBy lead time (the band promises {}):", arguments.level.share());
    batch::lead_summary(&replays).to_text(&mut out)?;
    Ok(())
}

fn replay_detector(arguments: &Arguments, rows: &Rows, detector: &str) -> Result<(), Failure> {
    let ask =
        DetectAsk { detector: detector.to_owned(), settings: Settings::default(), alarm: AlarmSettings::default() };
    let bar = progress::bar(rows.sources.len(), "replaying");
    let found = batch::detect_all(rows, None, &ask, &Presets::shipped(), || bar.inc(1))?;
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
