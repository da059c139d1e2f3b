//! Reading one block from its first byte to its last, as any stranger with a Parquet reader would, and holding it
//! against everything that is said about it elsewhere.

use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow::array::{
    Array, AsArray, Float64Array, Int64Array, MapArray, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMillisecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::statistics::Statistics;

use super::super::block::{BlockIndex, Footer, IndexBuilder, block_order, load_metadata};
use super::super::error::BlockError;
use super::super::layout::{date_of, day_of};
use super::super::manifest::BlockEntry;
use super::super::tiers::TierEntry;
use crate::series::{Key, LabelLimits, Labels, METRIC_NAME, Millis};

/// Why a block cannot be used.
#[derive(Debug)]
pub(in crate::storage) enum Fault {
    /// The system does not hand the bytes out; they may be fine.
    Unreadable(io::Error),
    /// The bytes are not what they were.
    Damaged(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Unreadable(error) => write!(f, "it cannot be read: {error}"),
            Fault::Damaged(what) => f.write_str(what),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Unreadable(error)
    }
}

impl From<BlockError> for Fault {
    fn from(error: BlockError) -> Fault {
        match error {
            BlockError::Io(error) => Fault::Unreadable(error),
            error => Fault::Damaged(error.to_string()),
        }
    }
}

fn damaged(what: impl Into<String>) -> Fault {
    Fault::Damaged(what.into())
}

/// Reads all of a block; answers its index, made from its rows.
///
/// `entry` is what the manifest says of it, `date` the day its folder is named after.
pub(in crate::storage) fn examine(path: &Path, entry: Option<&BlockEntry>, date: &str) -> Result<BlockIndex, Fault> {
    // A decoder may stumble over bytes that no encoder writes; here that is an answer, not an accident.
    catch_unwind(AssertUnwindSafe(|| examine_file(path, entry, date)))
        .unwrap_or_else(|_| Err(damaged("its Parquet decoder gives up on it")))
}

fn examine_file(path: &Path, entry: Option<&BlockEntry>, date: &str) -> Result<BlockIndex, Fault> {
    let (n_bytes, crc) = checksum(path)?;
    if let Some(entry) = entry {
        if n_bytes != entry.n_bytes {
            return Err(damaged(format!("it has {n_bytes} bytes, and the manifest says {}", entry.n_bytes)));
        }
        let crc = format!("{crc:08x}");
        if let Some(expected) = entry.crc32.as_ref().filter(|expected| **expected != crc) {
            return Err(damaged(format!("its checksum is {crc}, and the manifest says {expected}")));
        }
    }
    let footer = Footer::read(&File::open(path)?)?;
    let index = read_rows(path, Some(date), &["value"])?;
    agrees(&footer, &index, entry)?;
    Ok(index)
}

/// Reads all of a file of a tier.
pub(super) fn examine_tier(path: &Path, entry: &TierEntry) -> Result<(), Fault> {
    let look = || {
        let (n_bytes, crc) = checksum(path)?;
        let crc = format!("{crc:08x}");
        if n_bytes != entry.n_bytes || entry.crc32.as_ref().is_some_and(|expected| *expected != crc) {
            return Err(damaged("it is not what the manifest says: its size or its checksum is another"));
        }
        let n_rows = read_rows(path, None, &["min", "max", "sum", "last"])?.n_rows();
        if n_rows != entry.n_windows {
            return Err(damaged(format!("it has {n_rows} rows, and the manifest says {}", entry.n_windows)));
        }
        Ok(())
    };
    catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|_| Err(damaged("its Parquet decoder gives up on it")))
}

/// Size and CRC32 of a file.
pub(in crate::storage) fn checksum(path: &Path) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let (mut hasher, mut n_bytes, mut buffer) = (crc32fast::Hasher::new(), 0, vec![0; 1 << 16]);
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((n_bytes, hasher.finalize()));
        }
        hasher.update(&buffer[..n]);
        n_bytes += n as u64;
    }
}

fn agrees(footer: &Footer, index: &BlockIndex, entry: Option<&BlockEntry>) -> Result<(), Fault> {
    let (min_time, max_time) = index.span().unwrap_or_default();
    let found = (index.n_rows(), index.n_runs() as u64, min_time, max_time);
    let says = |what: &str, said: (u64, u64, Millis, Millis)| {
        let text =
            |(n_samples, n_series, min, max)| format!("{n_samples} rows of {n_series} series from {min} to {max}");
        if said == found {
            Ok(())
        } else {
            Err(damaged(format!("it has {}, and its {what} says {}", text(found), text(said))))
        }
    };
    says("footer", (footer.n_samples, footer.n_series, footer.min_time, footer.max_time))?;
    let Some(entry) = entry else { return Ok(()) };
    says("entry in the manifest", (entry.n_samples, entry.n_series, entry.min_time, entry.max_time))?;
    if footer.sequence != entry.sequence {
        let (footer, entry) = (footer.sequence, entry.sequence);
        return Err(damaged(format!("its footer has the sequence {footer}, and the manifest {entry}")));
    }
    Ok(())
}

fn parquet(error: impl std::fmt::Display) -> Fault {
    damaged(format!("it does not decode as Parquet: {error}"))
}

/// Decodes every column of every row group and checks the order of the rows; answers whose rows are where.
///
/// The oldest row of a block must be of the day `date`; a file of a tier has no `date` here, and its index no pages.
/// `numbers` are the columns with samples.
pub(in crate::storage) fn read_rows(path: &Path, date: Option<&str>, numbers: &[&str]) -> Result<BlockIndex, Fault> {
    let metadata = load_metadata(&File::open(path)?).map_err(parquet)?;
    let mut rows = Rows { index: IndexBuilder::default(), last: None, n_rows: 0, numbers };
    for (idx, group) in metadata.metadata().row_groups().iter().enumerate() {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(File::open(path)?, metadata.clone());
        let reader = builder.with_row_groups(vec![idx]).with_batch_size(16_384).build().map_err(parquet)?;
        let before = rows.n_rows;
        let mut span = (Millis::MAX, Millis::MIN);
        for batch in reader {
            let (min, max) = rows.take(&batch.map_err(parquet)?)?;
            span = (span.0.min(min), span.1.max(max));
        }
        let n_rows = rows.n_rows - before;
        if i64::try_from(n_rows).ok() != Some(group.num_rows()) {
            return Err(damaged(format!(
                "its row group {idx} has {n_rows} rows, and its footer says {}",
                group.num_rows()
            )));
        }
        let mut columns = group.columns().iter();
        let statistics =
            columns.find(|column| column.column_path().string() == "timestamp").and_then(|it| it.statistics());
        if let Some(Statistics::Int64(times)) = statistics {
            let said = (times.min_opt().copied().unwrap_or(span.0), times.max_opt().copied().unwrap_or(span.1));
            if said != span {
                return Err(damaged(format!(
                    "its row group {idx} is from {} to {}, and its statistics say {} to {}",
                    span.0, span.1, said.0, said.1
                )));
            }
        }
    }
    let Some(date) = date else { return Ok(rows.index.finish_without_pages()) };
    let index = rows.index.finish_by(metadata.metadata())?;
    if let Some((first, _)) = index.span()
        && date_of(day_of(first)) != date
    {
        return Err(damaged(format!("its oldest row is from {first}, which is not of its day")));
    }
    Ok(index)
}

/// The rows read so far.
struct Rows<'a> {
    index: IndexBuilder,
    /// The series of the last row, and its time.
    last: Option<(Key, Millis)>,
    n_rows: u64,
    numbers: &'a [&'a str],
}

impl Rows<'_> {
    /// Takes in the next rows; answers their first and last time.
    fn take(&mut self, batch: &RecordBatch) -> Result<(Millis, Millis), Fault> {
        let columns =
            Columns::of(batch, self.numbers).ok_or_else(|| damaged("its columns are not those of a block"))?;
        let mut span = (Millis::MAX, Millis::MIN);
        for row in 0..batch.num_rows() {
            let at = columns.at.value(row);
            span = (span.0.min(at), span.1.max(at));
            let (number, value) = (self.n_rows, columns.last.value(row));
            match self.last.as_mut().filter(|(key, _)| columns.is_of(key, row)) {
                Some((_, before)) if at <= *before => {
                    return Err(damaged(format!(
                        "its row {number} is not later than the row before, of the same series"
                    )));
                }
                Some((_, before)) => {
                    *before = at;
                    self.index.extend_last(at, value);
                }
                None => {
                    let key = columns.key(row)?;
                    if columns.series_id.value(row) != key.id() {
                        return Err(damaged(format!("its row {number} has a series_id that is not that of {key}")));
                    }
                    if self.last.as_ref().is_some_and(|(last, _)| block_order(last, &key).is_ge()) {
                        return Err(damaged(format!("its row {number}, of {key}, is out of order")));
                    }
                    self.index.push_key(&key, 1, (at, at), value)?;
                    self.last = Some((key, at));
                }
            }
            self.n_rows += 1;
        }
        Ok(span)
    }
}

struct Columns {
    metric: StringArray,
    series_id: Int64Array,
    at: TimestampMillisecondArray,
    /// The last of the columns with samples: a block's value.
    last: Float64Array,
    labels: MapArray,
}

impl Columns {
    fn of(batch: &RecordBatch, numbers: &[&str]) -> Option<Columns> {
        if batch.columns().iter().any(|column| column.null_count() > 0) {
            return None;
        }
        let mut last = None;
        for name in numbers {
            last = Some(batch.column_by_name(name)?.as_primitive_opt::<Float64Type>()?);
        }
        let labels = batch.column_by_name("labels")?.as_map_opt()?;
        labels.keys().as_string_opt::<i32>()?;
        labels.values().as_string_opt::<i32>()?;
        Some(Columns {
            metric: batch.column_by_name("metric")?.as_string_opt::<i32>()?.clone(),
            series_id: batch.column_by_name("series_id")?.as_primitive_opt::<Int64Type>()?.clone(),
            at: batch.column_by_name("timestamp")?.as_primitive_opt::<TimestampMillisecondType>()?.clone(),
            last: last?.clone(),
            labels: labels.clone(),
        })
    }

    fn pairs(&self, row: usize) -> impl Iterator<Item = (&str, &str)> {
        let offsets = self.labels.value_offsets();
        let (names, values) = (self.labels.keys().as_string::<i32>(), self.labels.values().as_string::<i32>());
        (offsets[row]..offsets[row + 1]).filter_map(move |entry| {
            let entry = usize::try_from(entry).ok()?;
            Some((names.value(entry), values.value(entry)))
        })
    }

    fn is_of(&self, key: &Key, row: usize) -> bool {
        key.metric() == self.metric.value(row) && key.labels().without_metric().eq(self.pairs(row))
    }

    fn key(&self, row: usize) -> Result<Key, Fault> {
        let limits = LabelLimits { max_labels: usize::MAX, max_name_len: usize::MAX, max_value_len: usize::MAX };
        let all = std::iter::once((METRIC_NAME, self.metric.value(row))).chain(self.pairs(row));
        Ok(Key::new(Labels::new(all, &limits).map_err(|error| damaged(error.to_string()))?))
    }
}
