//! `barograph detect`: a score for every row of some files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::batch::{self, DetectAsk, Matrix, Rows};
use crate::detect::{AlarmSettings, MATRIX_DETECTORS, Settings, find, find_matrix};
use crate::series::Season;

use super::arguments::{self, Inputs, Known};
use super::{Failure, progress};

/// Score every row of Parquet or CSV files: how odd is it?
///
/// The answer has the rows in input order: series, timestamp, value, score, expected, lo, hi, anomaly, kind. A score is
/// 0 at the expected value, 1 at the edge of the band, and above 1 anomalous; it depends on earlier rows only. A row
/// that cannot be scored (the warm-up, an empty cell, a repeated timestamp) has no expected value; its score is a dash
/// in a printed table, and 0 in a file, where readers rank every row, or empty with --keep-empty. A counter is scored
/// as its per-second rate, and its value is that rate.
///
/// With --multivariate each file is one entity: series, timestamp, score, anomaly, kind, and for every input column,
/// under its name, its share of the blame. Several files are written into the folder OUT, one Parquet file each.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  barograph detect metrics.parquet -o scores.parquet\n  \
    barograph detect 'machines/*.parquet' --multivariate -o scores/")]
pub(super) struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// A method from `barograph models`.
    #[arg(long, value_name = "NAME", default_value = "auto")]
    detector: String,
    /// Take each file as one entity, whose columns are judged together.
    #[arg(long)]
    multivariate: bool,
    /// Earlier data of the same series (or, with --multivariate, files of the same names), learned from but not scored.
    #[arg(long, value_name = "INPUT")]
    warmup: Vec<String>,
    /// The season in steps when it is known; unset, the detector looks for it.
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = season)]
    season: Option<Season>,
    /// Scores above this make an anomaly.
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "SCORE",
        default_value_t = AlarmSettings::default().open_at,
        value_parser = threshold
    )]
    threshold: f64,
    #[command(flatten)]
    known: Known,
    /// Leave the score of rows that cannot be scored empty in files, too, instead of 0.
    #[arg(long)]
    keep_empty: bool,
    /// Where to write: .parquet, .csv, .json, or - for a table; with --multivariate also a folder.
    #[arg(short, long, value_name = "OUT", default_value = "-")]
    output: PathBuf,
}

fn season(text: &str) -> Result<Season, String> {
    text.parse().ok().and_then(Season::new).ok_or_else(|| "the season is a number of steps of at least 2".to_owned())
}

fn threshold(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "the threshold is a number above 0".to_owned())
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let usual = AlarmSettings::default();
    let alarm = AlarmSettings {
        open_at: arguments.threshold,
        severe_at: usual.severe_at * arguments.threshold,
        close_below: usual.close_below * arguments.threshold,
        ..usual
    };
    let settings = Settings { season: arguments.season, ..Settings::default() };
    let ask = DetectAsk { detector: arguments.detector.clone(), settings, alarm };
    if arguments.multivariate { run_matrices(arguments, ask) } else { run_series(arguments, &ask) }
}

impl Arguments {
    /// Whether rows that cannot be scored get a number all the same.
    fn fills(&self) -> bool {
        !self.keep_empty && !arguments::is_stdout(&self.output)
    }
}

fn run_series(arguments: &Arguments, ask: &DetectAsk) -> Result<(), Failure> {
    find(&arguments.detector).map_err(|unknown| Failure::Usage(unknown.to_string()))?;
    arguments::output(&arguments.output.to_string_lossy()).map_err(Failure::Usage)?;
    batch::has_folder(&arguments.output)?;
    let presets = arguments.known.load()?;
    let rows = arguments.inputs.read()?;
    let warmup = if arguments.warmup.is_empty() { None } else { Some(arguments::read(&arguments.warmup)?) };
    if let Some(warmup) = &warmup {
        warn_of_cold(&rows, warmup);
    }
    let bar = progress::bar(rows.sources.len(), "detecting");
    let found = batch::detect_all(&rows, warmup.as_ref(), ask, &presets, || bar.inc(1))?;
    bar.finish_and_clear();
    batch::detect_table(&rows, &found, arguments.fills()).write(&arguments.output)?;
    if !arguments::is_stdout(&arguments.output) {
        let n_anomalies: usize = found.iter().map(|series| series.anomalies.len()).sum();
        eprintln!(
            "{} rows of {} series scored into {}; {n_anomalies} anomalies",
            rows.len(),
            rows.sources.len(),
            arguments.output.display()
        );
    }
    Ok(())
}

/// Tells of series of which the warm-up knows nothing: mostly a file that is one series, and so called otherwise.
fn warn_of_cold(rows: &Rows, warmup: &Rows) {
    let known: HashSet<&str> = warmup.sources.iter().map(|source| source.name.as_str()).collect();
    let cold: Vec<&str> =
        rows.sources.iter().map(|source| source.name.as_str()).filter(|name| !known.contains(name)).collect();
    if let (Some(first), Some(other)) = (cold.first(), warmup.sources.first()) {
        eprintln!(
            "warning: {} of {} series are not warmed up, as `{first}`: series go by their names, and --warmup has such as \
             `{}`",
            cold.len(),
            rows.sources.len(),
            other.name
        );
    }
}

fn run_matrices(arguments: &Arguments, mut ask: DetectAsk) -> Result<(), Failure> {
    // The registry of matrix detectors need not have an `auto`; its first entry is the default then.
    if ask.detector == "auto" && find_matrix("auto").is_err() {
        let first = MATRIX_DETECTORS.first().map(|entry| entry.name.to_owned());
        ask.detector = first.ok_or_else(|| anyhow::anyhow!("no multivariate detector is built in"))?;
    }
    find_matrix(&ask.detector).map_err(|unknown| Failure::Usage(unknown.to_string()))?;
    let is_folder = arguments.output.extension().is_none() && !arguments::is_stdout(&arguments.output);
    if !is_folder {
        arguments::output(&arguments.output.to_string_lossy()).map_err(Failure::Usage)?;
        batch::has_folder(&arguments.output)?;
    }
    let files = batch::expand(&arguments.inputs.inputs).map_err(arguments::read_failure)?;
    if !is_folder && files.len() > 1 {
        let (n_files, out) = (files.len(), arguments.output.display());
        return Err(Failure::Usage(format!(
            "{n_files} files are {n_files} entities, which do not fit into the one file {out}; give a folder: \
             -o scores/"
        )));
    }
    let entities = arguments::read_matrix(&arguments.inputs.inputs)?;
    let warmup = arguments::read_matrix(&arguments.warmup)?;
    // By the files that were given: where one of several has no rows, what is left need not belong together.
    let n_earlier = batch::expand(&arguments.warmup).map_err(arguments::read_failure)?.len();
    let is_pair = files.len() == 1 && n_earlier == 1;
    let warmed_up = |entity: Matrix| {
        let before = batch::warmup_of(&entity, &warmup, is_pair).unwrap_or_else(|reason| {
            eprintln!("warning: {reason}");
            None
        });
        (entity, before)
    };
    let entities: Vec<_> = entities.into_iter().map(warmed_up).collect();
    let bar = progress::bar(entities.len(), "detecting");
    let found = batch::detect_matrices(entities, &ask, || bar.inc(1))?;
    bar.finish_and_clear();
    for entity in &found {
        let path = if is_folder { folder_path(&arguments.output, &entity.name)? } else { arguments.output.clone() };
        batch::entity_table(entity, arguments.fills()).write(&path)?;
    }
    if !arguments::is_stdout(&arguments.output) {
        let n_anomalies: usize = found.iter().map(|entity| entity.anomalies.len()).sum();
        eprintln!("{} entities scored into {}; {n_anomalies} anomalies", found.len(), arguments.output.display());
    }
    Ok(())
}

/// The entity's file in the folder, with `/` in its name written as `__`.
fn folder_path(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|error| anyhow::anyhow!("{}: the folder cannot be created: {error}", folder.display()))?;
    Ok(folder.join(format!("{}.parquet", name.replace('/', "__"))))
}
