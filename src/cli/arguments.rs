//! Arguments that several commands share, checked where they come in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::{Axis, Format, KnownColumns, Matrix, ReadError, Rows};
use crate::events::PlannedEvents;
use crate::forecast::{Coverage, Influence, SeasonChoice};
use crate::presets::Presets;
use crate::series::Zone;

use super::Failure;

/// What to read; the same words in every command's help.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Inputs {
    /// Parquet or CSV: files, folders, or quoted globs.
    ///
    /// Long tables have a time column and `value`, with `series`, or `metric` and label columns, or nothing beside them
    /// (the file is one series). Wide tables have a time column and one number column per series.
    /// Times are datetimes, RFC 3339 texts, epoch numbers of any unit, or whole step numbers in `t`.
    #[arg(required = true, value_name = "INPUT")]
    pub(super) inputs: Vec<String>,
}

impl Inputs {
    /// Every row, with what was passed over told on standard error.
    pub(super) fn read(&self) -> Result<Rows, Failure> {
        read(&self.inputs)
    }
}

/// What is planned; the same words in every command's help.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Planned {
    /// A YAML or JSON file of planned events: steps, ramps, one-offs, holidays, maintenance windows, what
    /// recurs, new limits.
    #[arg(long, value_name = "FILE")]
    pub(super) events: Option<PathBuf>,
}

impl Planned {
    /// The events, with those that concern none of the series told on standard error; `place` says where the times are
    /// of a file that does not.
    pub(super) fn read(&self, rows: &Rows, place: &Place) -> Result<Arc<PlannedEvents>, Failure> {
        let Some(path) = &self.events else { return Ok(Arc::default()) };
        let planned = PlannedEvents::load_beside_files(path, place.zone(), |name| is_name(rows, name))?;
        for name in planned.idle(rows.sources.iter().map(|source| (&source.key, source.name.as_str())), usize::MAX) {
            eprintln!("warning: {}: `{name}` concerns none of the series; check its `match`", path.display());
        }
        if rows.sources.iter().any(|source| source.axis == Axis::Steps) {
            eprintln!("warning: {}: series that count steps have no dates, and no events", path.display());
        }
        Ok(Arc::new(planned))
    }
}

/// What is known beside the series; the same words in every command's help.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Columns {
    /// A Parquet or CSV file of what is known beforehand: a time column, and a column of numbers, or of true and false,
    /// for each thing known, ahead as far as it is known. What each does is learned from the past.
    ///
    /// Text columns narrow a row to some series: `series` by name, `metric`, or a label by its name; an empty cell is
    /// of all. So do whole numbers in a column that is called like a label of the series. A number holds until the next
    /// one's time, at most for the usual distance of two.
    #[arg(long, value_name = "FILE")]
    pub(super) columns: Option<PathBuf>,
}

impl Columns {
    /// The columns, with those that concern none of the series told on standard error.
    pub(super) fn read(&self, rows: &Rows) -> Result<Arc<KnownColumns>, Failure> {
        let Some(path) = &self.columns else { return Ok(Arc::default()) };
        let columns = KnownColumns::load(path, &rows.sources).map_err(read_failure)?;
        for note in columns.notes() {
            eprintln!("note: {note}");
        }
        for name in columns.idle(&rows.sources) {
            eprintln!("warning: {}: `{name}` concerns none of the series; check its text columns", path.display());
        }
        Ok(Arc::new(columns))
    }
}

/// What is known of metrics beforehand; the same words in every command's help.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Known {
    /// A YAML file of presets of your own (models/README.md), asked before the shipped ones; may be given several
    /// times.
    ///
    /// There a metric gets its range (`valid_min`, `valid_max`), whole numbers (`integer`), unit and limit. Without
    /// them forecasts of what was never below 0 stay at or above 0, and shares (`_percent`, `_ratio`) within their
    /// whole.
    #[arg(long, value_name = "FILE")]
    presets: Vec<String>,
}

impl Known {
    /// The given presets, then the shipped ones.
    pub(super) fn load(&self) -> Result<Presets, Failure> {
        if let Some(other) = self.presets.iter().find(|path| !path.ends_with(".yaml") && !path.ends_with(".yml")) {
            return Err(Failure::Usage(format!("--presets {other}: a file that ends in .yaml or .yml is wanted")));
        }
        let names = self.presets.iter().cloned().chain(Presets::names().map(str::to_owned));
        Presets::load(&names.collect::<Vec<_>>()).map_err(|error| Failure::Failed(error.into()))
    }
}

/// Where the series are; the same words in every command's help.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Place {
    /// Where days and weeks begin and months turn, for series whose preset names no `time_zone` and events whose file
    /// names none: a name such as Europe/Berlin, with its summer times, or an offset such as +02:00. Unset: UTC.
    ///
    /// Forecasts by days begin them at midnight there, by weeks on Monday, as the newest sample's clock has it.
    /// Timestamps without an offset are UTC's all the same.
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    time_zone: Option<Zone>,
}

impl Place {
    fn zone(&self) -> Zone {
        self.time_zone.unwrap_or_default()
    }

    /// `presets`, with the zone for metrics of which they know none.
    pub(super) fn of(&self, presets: Presets) -> Presets {
        presets.in_zone(self.zone())
    }
}

/// Reads rows and tells what was passed over.
pub(super) fn read(inputs: &[String]) -> Result<Rows, Failure> {
    let rows = crate::batch::read(inputs).map_err(read_failure)?;
    tell_warnings(&rows.warnings);
    for note in &rows.notes {
        eprintln!("note: {note}");
    }
    Ok(rows)
}

/// The same for entities.
pub(super) fn read_matrix(inputs: &[String]) -> Result<Vec<Matrix>, Failure> {
    let (entities, warnings) = crate::batch::read_matrix(inputs).map_err(read_failure)?;
    tell_warnings(&warnings);
    Ok(entities)
}

fn tell_warnings(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

/// A pattern that is none is bad usage; all else went wrong on the disk.
pub(super) fn read_failure(error: ReadError) -> Failure {
    match error {
        ReadError::BadGlob { .. } => Failure::Usage(error.to_string()),
        error => Failure::Failed(error.into()),
    }
}

/// Whether a series of the files is called so, or its metric: a file's name may be more than the metric made of it.
pub(super) fn is_name(rows: &Rows, name: &str) -> bool {
    rows.sources.iter().any(|source| source.name == name || source.key.metric() == name)
}

pub(super) fn model_name(text: &str) -> Result<String, String> {
    crate::forecast::find(text).map(|entry| entry.name.to_owned()).map_err(|unknown| unknown.to_string())
}

pub(super) fn detector_name(text: &str) -> Result<String, String> {
    crate::detect::find(text).map(|entry| entry.name.to_owned()).map_err(|unknown| unknown.to_string())
}

pub(super) fn season(text: &str) -> Result<SeasonChoice, String> {
    text.parse().map_err(|error: crate::forecast::SeasonChoiceError| error.to_string())
}

pub(super) fn level(text: &str) -> Result<Coverage, String> {
    let share = text.parse().ok().and_then(Coverage::new);
    share.ok_or_else(|| "the level must lie between 0 and 1, such as 0.95".to_owned())
}

pub(super) fn output(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    Format::of_path(&path).map_err(|error| error.to_string())?;
    Ok(path)
}

/// Whether the answer itself goes to standard output, so that nothing else may.
pub(super) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Lines of one kind that are told of single series; the others are counted.
const MOST_NOTES: usize = 3;

/// How many steps of a history to look at; the same words in every command's help.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Cells {
    /// The newest steps of each series that are looked at; unset, 50400 (five weeks of minutes), or five horizons where
    /// that is more. A note tells when steps are left out.
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=50_000_000)
    )]
    pub(super) cells: Option<usize>,
}

/// Tells notes, those of a series one after the other; of many series the first few, and how many more there are.
pub(super) fn tell_notes<'a>(notes: impl IntoIterator<Item = (&'a str, String)>) {
    let (mut told, mut left_out) = (Vec::new(), Vec::new());
    for (name, note) in notes {
        let is_told = told.last() == Some(&name);
        if is_told || told.len() < MOST_NOTES {
            eprintln!("note: `{name}`: {note}");
            if !is_told {
                told.push(name);
            }
        } else if left_out.last() != Some(&name) {
            left_out.push(name);
        }
    }
    if !left_out.is_empty() {
        eprintln!("note: the same of {} more series", left_out.len());
    }
}

/// What was learned of the columns that are known of a series, as notes.
pub(super) fn influences<'a>(
    name: &'a str,
    influences: &'a [Influence],
) -> impl Iterator<Item = (&'a str, String)> + use<'a> {
    influences.iter().map(move |influence| (name, influence.to_string()))
}

/// Tells of series that failed; an error when none succeeded.
pub(super) fn tell_failures(failures: &[(String, String)], n_all: usize, doing: &str) -> Result<(), Failure> {
    if failures.len() == n_all
        && let Some((name, reason)) = failures.first()
    {
        let others = if n_all > 1 { format!(" (and {} other series)", n_all - 1) } else { String::new() };
        return Err(anyhow::anyhow!("no series could be {doing}; `{name}`{others}: {reason}").into());
    }
    warn_of(failures, doing);
    Ok(())
}

/// Tells of series that failed.
pub(super) fn warn_of(failures: &[(String, String)], doing: &str) {
    const MOST_TOLD: usize = 10;
    for (name, reason) in failures.iter().take(MOST_TOLD) {
        eprintln!("warning: `{name}` could not be {doing}: {reason}");
    }
    if failures.len() > MOST_TOLD {
        eprintln!("warning: {} more series could not be {doing}", failures.len() - MOST_TOLD);
    }
}
