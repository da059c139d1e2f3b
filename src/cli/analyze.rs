//! `barograph analyze`: everything at once over historical files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::batch::{self, Ahead, AnalyzeAsk, DetectAsk, ForecastAsk, GivenLimit, ReportFormat, Rows};
use crate::capacity::CapacitySettings;
use crate::detect::{AlarmSettings, Settings};
use crate::forecast::{Coverage, Forecast, SeasonChoice};
use crate::incident::GroupSettings;
use crate::query::parse_limit;
use crate::series::MetricKind;

use super::arguments::{self, Inputs, Known, Place, Planned};
use super::{Failure, progress};

/// Cells that an analysis forecasts from per series at most; longer histories are averaged to fit.
const MOST_CELLS: usize = 4_000;
/// The same when there are very many series; still some ten cells a day over a month.
const FEWEST_CELLS: usize = 250;
/// What all series share, so that a thousand take little longer than sixty: choosing a model costs some 0.1 ms a cell.
const CELLS_IN_ALL: usize = 250_000;

/// Forecast, find anomalies and incidents, and judge capacity over historical files
///
/// Writes forecasts.parquet, anomalies.parquet, incidents.parquet and capacity.parquet into DIR, and a report. Long
/// histories are averaged before they are forecast, to at most 4,000 cells, and fewer when there are more than sixty
/// series, and a horizon in steps counts the averaged ones; every row is scored.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  barograph analyze 'history/*.parquet' --limit 'disk_used_bytes{host=\"db-1\"}=500GiB' \\\n    \
    -o analysis --report analysis/report.md"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// A limit for the series that a selector matches, or the one of this name, beside those the presets know; may be
    /// given several times.
    #[arg(long = "limit", value_name = "SELECTOR=VALUE", value_parser = limit_text)]
    limits: Vec<String>,
    /// How far to look ahead: a number of steps, or a duration such as 7d.
    #[arg(long, allow_hyphen_values = true, value_name = "H", default_value = "24")]
    horizon: Ahead,
    /// The forecasting method, from `barograph models`.
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = arguments::model_name)]
    model: String,
    /// The detection method, from `barograph models`.
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = arguments::detector_name)]
    detector: String,
    /// The share of future values that bands promise to hold.
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "SHARE",
        default_value = "0.95",
        value_parser = arguments::level
    )]
    level: Coverage,
    #[command(flatten)]
    planned: Planned,
    #[command(flatten)]
    known: Known,
    #[command(flatten)]
    place: Place,
    /// The folder to write to; created when missing.
    #[arg(short, long, value_name = "DIR", default_value = "analysis")]
    output: PathBuf,
    /// A report to write beside the Parquet files: .md for people, .json for programs.
    #[arg(long, value_name = "F")]
    report: Option<PathBuf>,
}

/// What may be a limit: which names there are is known when the files are read.
fn limit_text(text: &str) -> Result<String, String> {
    parse_limit(text, |_| true).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn limit(text: &str, rows: &Rows) -> Result<GivenLimit, Failure> {
    let (selector, value) = parse_limit(text, |name| arguments::is_name(rows, name))
        .map_err(|error| Failure::Usage(format!("--limit {text}: {error}; no series is called so either")))?;
    let name = text.rsplit_once('=').map_or(text, |(name, _)| name).trim().to_owned();
    Ok(GivenLimit { selector, text: name, value })
}

fn cells_per_series(n_series: usize) -> usize {
    (CELLS_IN_ALL / n_series.max(1)).clamp(FEWEST_CELLS, MOST_CELLS)
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let started = Instant::now();
    let report = match &arguments.report {
        Some(path) => {
            let format = ReportFormat::of_path(path).map_err(|error| Failure::Usage(error.to_string()))?;
            Some((path, format))
        }
        None => None,
    };
    let presets = arguments.place.of(arguments.known.load()?);
    let rows = arguments.inputs.read()?;
    // Before the work rather than after it.
    if arguments.output.is_file() {
        return Err(anyhow::anyhow!("{}: this is a file; give a folder", arguments.output.display()).into());
    }
    std::fs::create_dir_all(&arguments.output)
        .map_err(|error| anyhow::anyhow!("{}: the folder cannot be created: {error}", arguments.output.display()))?;
    // Which may lie in it.
    arguments.report.as_deref().map_or(Ok(()), batch::has_folder)?;
    let ask = AnalyzeAsk {
        forecast: ForecastAsk {
            model: arguments.model.clone(),
            season: SeasonChoice::Auto,
            ahead: arguments.horizon,
            coverage: arguments.level,
            cells: None,
            events: arguments.planned.read(&rows, &arguments.place)?,
            columns: Arc::default(),
        },
        most_cells: cells_per_series(rows.sources.len()),
        detect: DetectAsk {
            detector: arguments.detector.clone(),
            settings: Settings::default(),
            alarm: AlarmSettings::default(),
        },
        group: GroupSettings::default(),
        capacity: CapacitySettings::default(),
        limits: arguments.limits.iter().map(|text| limit(text, &rows)).collect::<Result<_, Failure>>()?,
    };
    for limit in &ask.limits {
        let is_used = rows.sources.iter().any(|source| limit.matches(source));
        if !is_used {
            eprintln!("warning: --limit {}: no series matches", limit.text);
        }
    }
    let bar = progress::bar(rows.sources.len(), "analyzing");
    let analysis = batch::analyze(rows, &ask, &presets, || bar.inc(1))?;
    bar.finish_and_clear();

    let into = |name: &str| arguments.output.join(name);
    analysis.forecast_table().write(&into("forecasts.parquet"))?;
    analysis.anomaly_table().write(&into("anomalies.parquet"))?;
    analysis.incident_table().write(&into("incidents.parquet"))?;
    analysis.capacity_table().write(&into("capacity.parquet"))?;
    if let Some((path, format)) = report {
        batch::write_report(&analysis, path, format)?;
    }
    tell_notes(&analysis);
    tell(&analysis, &arguments.output, arguments.report.as_deref(), started);
    Ok(())
}

fn tell_notes(analysis: &batch::Analysis) {
    if analysis.n_averaged > 0 {
        eprintln!(
            "note: {} of {} series were averaged before they were forecast: their forecasts have a longer step than \
             their samples",
            analysis.n_averaged,
            analysis.sources.len()
        );
    }
    for (step, n) in &analysis.n_begun {
        eprintln!("note: of {n} of {} series {}", analysis.sources.len(), batch::begun_note(*step, None));
    }
    let n_counters = analysis.kinds.iter().filter(|kind| **kind == MetricKind::Counter).count();
    if n_counters > 0 {
        eprintln!(
            "note: {n_counters} of {} series are counters: their values are what they rise by per second",
            analysis.sources.len()
        );
    }
    let failure = |(source, it): (&batch::Source, &Result<Forecast, batch::ForecastFailure>)| {
        Some((source.name.clone(), it.as_ref().err()?.to_string()))
    };
    let failures: Vec<_> = analysis.sources.iter().zip(&analysis.forecasts).filter_map(failure).collect();
    arguments::warn_of(&failures, "forecast");
    let told = |pick: fn(&Forecast) -> Option<String>| {
        let forecasts = analysis.sources.iter().zip(&analysis.forecasts);
        arguments::tell_notes(
            forecasts.filter_map(|(source, it)| Some((source.name.as_str(), pick(it.as_ref().ok()?)?))),
        );
    };
    told(|forecast| forecast.band_reason.as_ref().map(|reason| format!("no band: {reason}")));
    told(|forecast| forecast.fallback.clone());
    let forecasts = analysis.sources.iter().zip(&analysis.forecasts);
    arguments::tell_notes(
        forecasts
            .filter_map(|(source, it)| Some((source, it.as_ref().ok()?)))
            .flat_map(|(source, forecast)| arguments::influences(source.name.as_str(), &forecast.influences)),
    );
}

fn tell(analysis: &batch::Analysis, folder: &Path, report: Option<&Path>, started: Instant) {
    println!(
        "{} samples of {} series in {:.1} s: {} forecasts, {} anomalies, {} incidents, {} capacity answers",
        analysis.n_rows,
        analysis.sources.len(),
        started.elapsed().as_secs_f64(),
        analysis.forecasts.iter().filter(|forecast| forecast.is_ok()).count(),
        analysis.anomalies.len(),
        analysis.incidents.len(),
        analysis.capacity.len(),
    );
    for (idx, assessment) in analysis.capacity.iter().take(5) {
        println!("  {}: {}", analysis.sources[*idx].name, assessment.recommendation);
    }
    if let Some(incident) = analysis.incidents.last() {
        println!("  latest incident: {}", incident.summary);
    }
    match report {
        Some(report) => println!("written to {} and {}", folder.display(), report.display()),
        None => println!("written to {}", folder.display()),
    }
}
