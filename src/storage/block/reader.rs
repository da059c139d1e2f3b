//! Reading blocks: some series' rows, all rows, the footer.

use std::fs::File;
use std::ops::Range;

use arrow::array::{Array, AsArray, Float64Array, MapArray, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{Float64Type, TimestampMillisecondType};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::PageIndexPolicy;

use super::super::error::BlockError;
use super::index::{BlockIndex, Run};
use super::schema::{BLOCK_VERSION, TIMESTAMP_LEAF, VALUE_LEAF};
use crate::series::{Key, LabelLimits, Labels, METRIC_NAME, Millis, Sample, TimeRange};

const BATCH_ROWS: usize = 16_384;

/// Reads the footer, with the page index where there is one.
pub(super) fn load_metadata(file: &File) -> Result<ArrowReaderMetadata, BlockError> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    Ok(ArrowReaderMetadata::load(file, options)?)
}

fn builder(file: File, metadata: ArrowReaderMetadata) -> ParquetRecordBatchReaderBuilder<File> {
    ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_batch_size(BATCH_ROWS)
}

/// The samples in `range` of each of `runs`, which are in row order.
pub(super) fn read(
    file: File,
    metadata: ArrowReaderMetadata,
    runs: &[&Run],
    range: TimeRange,
) -> Result<Vec<Vec<Sample>>, BlockError> {
    let wanted = runs.iter().map(|run| rows_of(run)).collect::<Result<Vec<_>, _>>()?;
    // Row groups without a wanted row are left out, and the selection counts the rows of the others only.
    let (mut groups, mut selected) = (Vec::new(), Vec::new());
    let (mut group_start, mut n_kept) = (0, 0);
    for (group_idx, group) in metadata.metadata().row_groups().iter().enumerate() {
        let group_rows = group_start..group_start + usize::try_from(group.num_rows()).unwrap_or(0);
        let first = wanted.partition_point(|rows| rows.end <= group_rows.start);
        let n_before = selected.len();
        selected.extend(wanted[first..].iter().take_while(|rows| rows.start < group_rows.end).map(|rows| {
            let (start, end) = (rows.start.max(group_rows.start), rows.end.min(group_rows.end));
            start - group_rows.start + n_kept..end - group_rows.start + n_kept
        }));
        if selected.len() > n_before {
            groups.push(group_idx);
            n_kept += group_rows.len();
        }
        group_start = group_rows.end;
    }
    let mask = ProjectionMask::leaves(metadata.parquet_schema(), [TIMESTAMP_LEAF, VALUE_LEAF]);
    let selection = RowSelection::from_consecutive_ranges(selected.into_iter(), n_kept);
    let builder = builder(file, metadata).with_projection(mask).with_row_groups(groups);
    let mut cursor = Cursor { reader: builder.with_row_selection(selection).build()?, batch: None, n_used: 0 };
    wanted.iter().map(|rows| cursor.take(rows.len(), range)).collect()
}

fn rows_of(run: &Run) -> Result<Range<usize>, BlockError> {
    let row = |number: u64| {
        usize::try_from(number).map_err(|_| BlockError::Damaged("a row number does not fit this machine".to_owned()))
    };
    Ok(row(run.row_start)?..row(run.row_start + run.n_rows)?)
}

/// Walks over timestamps and values in row order.
pub(in crate::storage) struct Cursor {
    reader: ParquetRecordBatchReader,
    batch: Option<(TimestampMillisecondArray, Float64Array)>,
    // Rows of the batch that were taken already.
    n_used: usize,
}

impl Cursor {
    pub(super) fn new(file: File, metadata: ArrowReaderMetadata) -> Result<Cursor, BlockError> {
        let mask = ProjectionMask::leaves(metadata.parquet_schema(), [TIMESTAMP_LEAF, VALUE_LEAF]);
        let reader = builder(file, metadata).with_projection(mask).build()?;
        Ok(Cursor { reader, batch: None, n_used: 0 })
    }

    /// The next `n_rows` rows, those outside of `range` left out.
    ///
    /// # Errors
    /// When the file ends before, or cannot be read.
    pub(in crate::storage) fn take(&mut self, mut n_rows: usize, range: TimeRange) -> Result<Vec<Sample>, BlockError> {
        let mut samples = Vec::with_capacity(n_rows.min(BATCH_ROWS));
        while n_rows > 0 {
            let Some((at, value)) = &self.batch else {
                let next = self.reader.next().transpose()?;
                let next =
                    next.ok_or_else(|| BlockError::Damaged("the block has fewer rows than its index".to_owned()))?;
                (self.batch, self.n_used) = (Some(columns(&next)?), 0);
                continue;
            };
            let n = n_rows.min(at.len() - self.n_used);
            let part = self.n_used..self.n_used + n;
            let rows = at.values()[part.clone()].iter().zip(&value.values()[part]);
            let rows = rows.map(|(at, value)| Sample { at: *at, value: *value });
            samples.extend(rows.filter(|sample| range.contains(sample.at)));
            n_rows -= n;
            self.n_used += n;
            if self.n_used == at.len() {
                self.batch = None;
            }
        }
        Ok(samples)
    }
}

fn columns(batch: &RecordBatch) -> Result<(TimestampMillisecondArray, Float64Array), BlockError> {
    let at = batch.column_by_name("timestamp").and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
    let value = batch.column_by_name("value").and_then(|column| column.as_primitive_opt::<Float64Type>());
    match (at, value) {
        (Some(at), Some(value)) if at.null_count() == 0 && value.null_count() == 0 => Ok((at.clone(), value.clone())),
        _ => Err(BlockError::Damaged("the columns timestamp and value are not what a block has".to_owned())),
    }
}

/// Makes a block's index from its rows.
pub(super) fn rebuild_index(file: File) -> Result<BlockIndex, BlockError> {
    let metadata = load_metadata(&file)?;
    let mut runs: Vec<Run> = Vec::new();
    let mut row = 0;
    for batch in builder(file, metadata).build()? {
        let batch = batch?;
        let (times, _) = columns(&batch)?;
        let (metric, labels) = names(&batch)?;
        for idx in 0..batch.num_rows() {
            let (at, metric) = (times.value(idx), metric.value(idx));
            match runs.last_mut() {
                // Series come in runs: comparing with the run before is cheaper than making a key per row.
                Some(run) if is_same(&run.key, metric, &labels, idx) => {
                    run.n_rows += 1;
                    run.max_time = at;
                }
                _ => {
                    let key = key_at(metric, &labels, idx)?;
                    runs.push(Run { key, row_start: row, n_rows: 1, min_time: at, max_time: at });
                }
            }
            row += 1;
        }
    }
    Ok(BlockIndex::new(runs))
}

fn names(batch: &RecordBatch) -> Result<(StringArray, MapArray), BlockError> {
    let metric = batch.column_by_name("metric").and_then(|column| column.as_string_opt::<i32>());
    let labels = batch.column_by_name("labels").and_then(|column| column.as_map_opt());
    match (metric, labels) {
        (Some(metric), Some(labels)) => Ok((metric.clone(), labels.clone())),
        _ => Err(BlockError::Damaged("the columns metric and labels are not what a block has".to_owned())),
    }
}

fn pairs(labels: &MapArray, row: usize) -> impl Iterator<Item = (&str, &str)> {
    let offsets = labels.value_offsets();
    let entries = usize::try_from(offsets[row]).unwrap_or(0)..usize::try_from(offsets[row + 1]).unwrap_or(0);
    let (names, values) = (labels.keys().as_string_opt::<i32>(), labels.values().as_string_opt::<i32>());
    entries.filter_map(move |entry| Some((names?.value(entry), values?.value(entry))))
}

fn is_same(key: &Key, metric: &str, labels: &MapArray, row: usize) -> bool {
    key.metric() == metric && key.labels().without_metric().eq(pairs(labels, row))
}

fn key_at(metric: &str, labels: &MapArray, row: usize) -> Result<Key, BlockError> {
    let limits = LabelLimits { max_labels: usize::MAX, max_name_len: usize::MAX, max_value_len: usize::MAX };
    let all = std::iter::once((METRIC_NAME, metric)).chain(pairs(labels, row));
    let labels = Labels::new(all, &limits).map_err(|error| BlockError::Damaged(error.to_string()))?;
    Ok(Key::new(labels))
}

/// What a block says of itself, read without a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Footer {
    pub(in crate::storage) sequence: u64,
    pub(in crate::storage) wal_upto: u64,
    pub(in crate::storage) sources: Vec<String>,
    pub(in crate::storage) n_samples: u64,
    pub(in crate::storage) n_series: u64,
    pub(in crate::storage) min_time: Millis,
    pub(in crate::storage) max_time: Millis,
}

impl Footer {
    /// Reads the footer of a block.
    ///
    /// # Errors
    /// When the file is no block, or one of a newer format.
    pub(in crate::storage) fn read(file: &File) -> Result<Footer, BlockError> {
        let metadata = load_metadata(file)?;
        let file_metadata = metadata.metadata().file_metadata();
        let text = |name: &str| {
            let name = format!("barograph.{name}");
            let mut entries = file_metadata.key_value_metadata().into_iter().flatten();
            entries.find(|entry| entry.key == name).and_then(|entry| entry.value.clone())
        };
        let number = |name: &str| {
            let number = text(name).and_then(|text| text.parse::<i64>().ok());
            number.ok_or_else(|| BlockError::Damaged(format!("the footer has no barograph.{name}")))
        };
        let natural = |name: &str| Ok::<_, BlockError>(number(name)?.unsigned_abs());
        let version = natural("format_version")?;
        if version > u64::from(BLOCK_VERSION) {
            let text = format!("the block is of format version {version}, newer than {BLOCK_VERSION}");
            return Err(BlockError::Damaged(text));
        }
        let sources = text("sources").unwrap_or_default();
        Ok(Footer {
            sequence: natural("sequence")?,
            wal_upto: natural("wal_upto")?,
            sources: sources.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect(),
            n_samples: u64::try_from(file_metadata.num_rows()).unwrap_or(0),
            n_series: natural("series_count")?,
            min_time: number("min_time")?,
            max_time: number("max_time")?,
        })
    }
}
