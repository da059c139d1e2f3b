//! What a block says without its sidecar: its footer, and its index made again from all of its rows.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, MapArray, RecordBatch, StringArray};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMillisecondType};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;

use super::super::error::BlockError;
use super::super::texts::TextId;
use super::index::{BlockIndex, IndexBuilder};
use super::pages::{Pages, Place, TimePage, ValuePage};
use super::schema::{BLOCK_VERSION, TIMESTAMP, VALUE};
use crate::series::{METRIC_NAME, Millis};

const BATCH_ROWS: usize = 16_384;

/// Reads the footer, with the page index where there is one.
pub(in crate::storage) fn load_metadata(file: &File) -> Result<ArrowReaderMetadata, BlockError> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    Ok(ArrowReaderMetadata::load(file, options)?)
}

fn damaged(what: &str) -> BlockError {
    BlockError::Damaged(what.to_owned())
}

/// Makes a block's index from its rows.
pub(super) fn rebuild_index(file: File) -> Result<BlockIndex, BlockError> {
    let metadata = load_metadata(&file)?;
    let parquet = Arc::clone(metadata.metadata());
    let mut builder = IndexBuilder::default();
    let mut last: Option<(i64, Vec<(TextId, TextId)>)> = None;
    let reader =
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_batch_size(BATCH_ROWS).build()?;
    for batch in reader {
        let batch = batch?;
        let columns = Columns::of(&batch).ok_or_else(|| damaged("the columns are not what a block has"))?;
        for row in 0..batch.num_rows() {
            let (id, at, value) = (columns.id.value(row), columns.at[row], columns.value[row]);
            // Series come in runs: comparing with the run before is cheaper than looking its texts up per row.
            let is_same = last.as_ref().is_some_and(|(last_id, labels)| {
                let texts = builder.texts();
                let labels = labels.iter().map(|(name, value)| (texts.get(*name), texts.get(*value)));
                *last_id == id && labels.eq(columns.labels(row))
            });
            if is_same {
                builder.extend_last(at, value);
            } else {
                let labels: Vec<_> =
                    columns.labels(row).map(|(name, value)| (builder.text(name), builder.text(value))).collect();
                builder.push(id, &labels, 1, (at, at), value)?;
                last = Some((id, labels));
            }
        }
    }
    builder.finish_by(&parquet)
}

impl IndexBuilder {
    /// Ends the index of a block, whose footer says where its pages are.
    ///
    /// # Errors
    /// When the footer has no page index, or one of other rows.
    pub(in crate::storage) fn finish_by(self, footer: &ParquetMetaData) -> Result<BlockIndex, BlockError> {
        let pages = pages_of(footer).ok_or_else(|| damaged("the block has no page index"))?;
        if self.n_rows() != pages.n_rows {
            return Err(damaged("the block's page index counts other rows than it has"));
        }
        Ok(self.finish(pages))
    }
}

/// The columns of a batch of rows.
struct Columns<'a> {
    metric: &'a StringArray,
    id: &'a Int64Array,
    at: &'a [Millis],
    value: &'a [f64],
    labels: &'a MapArray,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Option<Columns<'a>> {
        let at = batch.column_by_name("timestamp")?.as_primitive_opt::<TimestampMillisecondType>()?;
        let value = batch.column_by_name("value")?.as_primitive_opt::<Float64Type>()?;
        (at.null_count() == 0 && value.null_count() == 0).then_some(())?;
        Some(Columns {
            metric: batch.column_by_name("metric")?.as_string_opt()?,
            id: batch.column_by_name("series_id")?.as_primitive_opt::<Int64Type>()?,
            at: at.values(),
            value: value.values(),
            labels: batch.column_by_name("labels")?.as_map_opt()?,
        })
    }

    /// A row's labels in name order, the metric's name in its place among them.
    fn labels(&self, row: usize) -> impl Iterator<Item = (&'a str, &'a str)> {
        let offsets = self.labels.value_offsets();
        let entries = usize::try_from(offsets[row]).unwrap_or(0)..usize::try_from(offsets[row + 1]).unwrap_or(0);
        let (names, values) = (self.labels.keys().as_string_opt::<i32>(), self.labels.values().as_string_opt::<i32>());
        let mut pairs = entries.filter_map(move |entry| Some((names?.value(entry), values?.value(entry)))).peekable();
        let mut metric = Some((METRIC_NAME, self.metric.value(row)));
        std::iter::from_fn(move || match pairs.peek() {
            Some((name, _)) if *name < METRIC_NAME => pairs.next(),
            _ => metric.take().or_else(|| pairs.next()),
        })
    }
}

/// Where the footer and the page index say that the pages are.
fn pages_of(metadata: &ParquetMetaData) -> Option<Pages> {
    let mut pages = Pages::default();
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let start = pages.n_rows;
        let locations = |leaf: usize| Some(metadata.offset_index()?.get(number)?.get(leaf)?.page_locations());
        let bounds = metadata.column_index().and_then(|index| index.get(number)?.get(TIMESTAMP));
        let place =
            |offset: i64, len: i32| Some(Place { offset: u64::try_from(offset).ok()?, len: u32::try_from(len).ok()? });
        for (idx, page) in locations(TIMESTAMP)?.iter().enumerate() {
            // Without bounds the page may hold any time.
            let bounds = match bounds {
                Some(ColumnIndexMetaData::INT64(index)) => index.min_value(idx).zip(index.max_value(idx)),
                _ => None,
            };
            let (min_time, max_time) = bounds.map_or((Millis::MIN, Millis::MAX), |(min, max)| (*min, *max));
            let place = place(page.offset, page.compressed_page_size)?;
            let row = start + u64::try_from(page.first_row_index).ok()?;
            pages.times.push(TimePage { row, place, min_time, max_time });
        }
        let column = group.column(VALUE);
        let dictionary = match column.dictionary_page_offset() {
            Some(offset) => {
                let len = i32::try_from(column.data_page_offset() - offset).ok()?;
                pages.dictionaries.push(place(offset, len)?);
                Some(pages.dictionaries.len() as u32 - 1)
            }
            None => None,
        };
        for page in locations(VALUE)? {
            let place = place(page.offset, page.compressed_page_size)?;
            let row = start + u64::try_from(page.first_row_index).ok()?;
            pages.values.push(ValuePage { row, place, dictionary });
        }
        pages.n_rows += u64::try_from(group.num_rows()).ok()?;
    }
    Some(pages)
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
    /// As in the manifest's entry; older blocks do not say it.
    pub(in crate::storage) is_lasting: bool,
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
            is_lasting: text("lasting").is_some_and(|text| text == "true"),
        })
    }
}
