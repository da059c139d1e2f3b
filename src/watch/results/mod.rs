//! Forecasts, anomalies and incidents on disk: Parquet under `results/`, one folder per kind and day.
//!
//! In: rows that changed. Out: small files that are there whole or not at all, merged when a day has many of them.
//! A row that changes is written again; of several versions the one written last counts, and a merge keeps only that.
//! `docs/formats/results.md` describes the columns.

mod accuracy;
mod anomalies;
mod columns;
mod forecasts;
mod incidents;
mod scored;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, new_null_array};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{Field, SchemaRef};
use chrono::DateTime;
use hashbrown::{HashMap, HashSet};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use ulid::Ulid;

pub(super) use accuracy::{judged_of, judged_rows, read_waiting, waiting_rows};
pub(super) use anomalies::{anomalies_of, anomaly_rows};
pub(super) use forecasts::{KeptForecast, forecast_rows};
pub(super) use incidents::incident_rows;
pub(super) use scored::{read_scored, scored_rows};

use super::error::WatchError;
use crate::series::{DAY, Millis};
use crate::storage::write_durably;

/// A day with more files than this is merged into one.
const MAX_FILES: usize = 8;
/// The version of the columns, in each file's metadata as `barograph.results`.
const VERSION: &str = "1";

/// The kinds of results, each a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Forecasts,
    Accuracy,
    Anomalies,
    Incidents,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Forecasts, Kind::Accuracy, Kind::Anomalies, Kind::Incidents];

    fn folder(self) -> &'static str {
        match self {
            Kind::Forecasts => "forecasts",
            Kind::Accuracy => "accuracy",
            Kind::Anomalies => "anomalies",
            Kind::Incidents => "incidents",
        }
    }

    /// Per row: what it is a row of, its version, and which row of that.
    fn identities(self, rows: &RecordBatch) -> io::Result<Vec<(u64, i64, i64)>> {
        match self {
            Kind::Forecasts => forecasts::identities(rows),
            Kind::Accuracy => accuracy::identities(rows),
            Kind::Anomalies => anomalies::identities(rows),
            Kind::Incidents => incidents::identities(rows),
        }
    }
}

/// The results folder of a data directory.
#[derive(Debug)]
pub(super) struct Results {
    dir: PathBuf,
}

impl Results {
    /// The folder below the data directory `data`, made when it is not there.
    pub fn open(data: &Path) -> Result<Results, WatchError> {
        let dir = data.join("results");
        for kind in Kind::ALL {
            let path = dir.join(kind.folder());
            fs::create_dir_all(&path).map_err(|source| WatchError::Results { path, source })?;
        }
        Ok(Results { dir })
    }

    /// Writes rows that belong to the day of `at`.
    pub fn write(&self, kind: Kind, at: Millis, rows: &RecordBatch) -> io::Result<()> {
        let folder = self.dir.join(kind.folder()).join(format!("date={}", date_of(at)));
        fs::create_dir_all(&folder)?;
        write_parquet(&folder.join(format!("{}.parquet", Ulid::generate())), rows)?;
        let files = parquet_files(&folder)?;
        if files.len() > MAX_FILES { merge(kind, &folder, &files) } else { Ok(()) }
    }

    /// The rows of a kind from the day of `since` on, the last version of each, days in order.
    ///
    /// A file that cannot be read is left out and logged: results are made anew, the record is in the store.
    pub fn read(&self, kind: Kind, since: Millis) -> io::Result<Vec<RecordBatch>> {
        let since = format!("date={}", date_of(since));
        let mut days = Vec::new();
        for (name, folder) in self.days(kind)? {
            if name < since {
                continue;
            }
            let mut batches = Vec::new();
            for file in parquet_files(&folder)? {
                match read_parquet(&file) {
                    Ok(read) => batches.extend(read),
                    Err(error) => {
                        tracing::warn!(file = %file.display(), %error, "a results file cannot be read; it is left out");
                    }
                }
            }
            if let Some(rows) = latest(kind, &batches)? {
                days.push(rows);
            }
        }
        Ok(days)
    }

    /// Removes days that ended before `before`.
    pub fn retire(&self, before: Millis) -> io::Result<()> {
        let first_kept = format!("date={}", date_of(before));
        for kind in Kind::ALL {
            for (name, folder) in self.days(kind)? {
                if name < first_kept {
                    fs::remove_dir_all(folder)?;
                }
            }
        }
        Ok(())
    }

    /// Where the time up to which each series was scored is kept.
    pub fn scored_path(&self) -> PathBuf {
        self.dir.join("scored.parquet")
    }

    /// Where the forecasts that wait to be judged are kept.
    pub fn waiting_path(&self) -> PathBuf {
        self.dir.join("waiting.parquet")
    }

    fn days(&self, kind: Kind) -> io::Result<BTreeMap<String, PathBuf>> {
        let mut days = BTreeMap::new();
        for entry in fs::read_dir(self.dir.join(kind.folder()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("date=") && entry.file_type()?.is_dir() {
                days.insert(name, entry.path());
            }
        }
        Ok(days)
    }
}

/// The day of an instant as the folders are named; instants no calendar has count as the first day.
fn date_of(at: Millis) -> String {
    const FIRST: Millis = -62_135_596_800_000;
    const LAST: Millis = 253_402_300_799_999;
    let at = at.clamp(FIRST, LAST);
    DateTime::from_timestamp_millis(at)
        .map_or_else(|| "1970-01-01".to_owned(), |time| time.format("%Y-%m-%d").to_string())
}

/// The first instant of the day of `at`: rows are gathered per day.
pub(super) fn day_of(at: Millis) -> Millis {
    at.div_euclid(DAY).saturating_mul(DAY)
}

pub(super) fn write_parquet(path: &Path, rows: &RecordBatch) -> io::Result<()> {
    let version = KeyValue::new("barograph.results".to_owned(), VERSION.to_owned());
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(io::Error::other)?))
        .set_key_value_metadata(Some(vec![version]))
        .build();
    write_durably(path, |file| {
        let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).map_err(io::Error::other)?;
        writer.write(rows).map_err(io::Error::other)?;
        writer.close().map_err(io::Error::other)?;
        Ok(())
    })
}

pub(super) fn read_parquet(path: &Path) -> io::Result<Vec<RecordBatch>> {
    let file = fs::File::open(path)?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(ParquetRecordBatchReaderBuilder::build);
    reader.map_err(io::Error::other)?.collect::<Result<_, _>>().map_err(io::Error::other)
}

/// By name, so that files written later come later.
fn parquet_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Writes the last versions into one file, then removes what it replaces. A crash in between leaves rows twice, and
/// the next reading or merge keeps one of each. Files whose columns cannot be brought into the newest file's stay.
fn merge(kind: Kind, folder: &Path, files: &[PathBuf]) -> io::Result<()> {
    let mut read = Vec::with_capacity(files.len());
    for file in files {
        read.push((file, read_parquet(file)?));
    }
    let newest = read.iter().rev().find_map(|(_, batches)| batches.first()).map(RecordBatch::schema);
    let Some(schema) = newest else { return Ok(()) };
    read.retain(|(_, batches)| batches.iter().all(|batch| conformed(batch, &schema).is_some()));
    let batches: Vec<RecordBatch> = read.iter().flat_map(|(_, batches)| batches.iter().cloned()).collect();
    if let Some(rows) = latest(kind, &batches)? {
        write_parquet(&folder.join(format!("{}.parquet", Ulid::generate())), &rows)?;
        for (file, _) in read {
            fs::remove_file(file)?;
        }
    }
    Ok(())
}

/// `rows` with the columns of `schema`: by name, as its types, null where there is none; `None` where that is not
/// possible.
fn conformed(rows: &RecordBatch, schema: &SchemaRef) -> Option<RecordBatch> {
    let column = |field: &Arc<Field>| match rows.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()).ok(),
        None => Some(new_null_array(field.data_type(), rows.num_rows())),
    };
    let columns = schema.fields().iter().map(column).collect::<Option<Vec<_>>>()?;
    // Refused where a column that must not have nulls would.
    RecordBatch::try_new(Arc::clone(schema), columns).ok()
}

/// The rows of the highest version of each thing, each once, with the columns of the last batch.
fn latest(kind: Kind, batches: &[RecordBatch]) -> io::Result<Option<RecordBatch>> {
    let Some(last) = batches.last() else { return Ok(None) };
    let schema = last.schema();
    let alike: Vec<RecordBatch> = batches.iter().filter_map(|batch| conformed(batch, &schema)).collect();
    if alike.len() < batches.len() {
        let n_left_out = batches.len() - alike.len();
        tracing::warn!(kind = kind.folder(), n_left_out, "results with other columns are left out; they stay on disk");
    }
    let rows = concat_batches(&schema, &alike).map_err(io::Error::other)?;
    let identities = kind.identities(&rows)?;
    let mut newest: HashMap<u64, i64> = HashMap::new();
    for (thing, version, _) in &identities {
        let known = newest.entry(*thing).or_insert(*version);
        *known = (*known).max(*version);
    }
    let mut seen = HashSet::new();
    let keep = identities
        .iter()
        .map(|(thing, version, row)| newest.get(thing) == Some(version) && seen.insert((*thing, *row)));
    let keep = BooleanArray::from(keep.collect::<Vec<bool>>());
    let kept = filter_record_batch(&rows, &keep).map_err(io::Error::other)?;
    debug_assert_eq!(keep.len(), rows.num_rows());
    Ok(Some(kept))
}

#[cfg(test)]
mod tests;
