//! One file of a tier: writing it, series by series, and reading some series' windows.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, MapBuilder, MapFieldNames, RecordBatch, StringArray,
    StringBuilder, TimestampMillisecondArray,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType,
};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::super::block::{BlockIndex, IndexBuilder, Run, new_id};
use super::super::error::BlockError;
use super::super::files::{self, Files, Output, Summed};
use super::super::layout::Layout;
use super::{Tier, TierEntry, Window};
use crate::series::{Key, Millis};

/// The version of the format this build writes, and the newest it reads.
const TIER_VERSION: u32 = 1;
const BATCH_ROWS: usize = 16_384;
const GROUP_ROWS: usize = 262_144;
/// The columns that hold numbers, in their order after the timestamp.
const NUMBERS: [&str; 4] = ["min", "max", "sum", "last"];

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let number = |name| Field::new(name, DataType::Float64, false);
    let (key, value) = (Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, false));
    Arc::new(Schema::new(vec![
        Field::new("metric", DataType::Utf8, false),
        Field::new("series_id", DataType::Int64, false),
        Field::new("timestamp", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false),
        number("min"),
        number("max"),
        number("sum"),
        Field::new("count", DataType::Int64, false),
        number("last"),
        Field::new_map("labels", "key_value", key, value, false, false),
    ]))
});

fn properties(about: Vec<KeyValue>) -> WriterProperties {
    let path = |name: &str| ColumnPath::from(name);
    let ascending = |column_idx| SortingColumn { column_idx, descending: false, nulls_first: false };
    WriterProperties::builder()
        .set_created_by(format!("barograph version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(6).unwrap_or_default()))
        .set_data_page_row_count_limit(8_192)
        .set_write_batch_size(8_192)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_sorting_columns(Some((0..3).map(ascending).collect()))
        .set_column_dictionary_enabled(path("timestamp"), false)
        .set_column_encoding(path("timestamp"), Encoding::DELTA_BINARY_PACKED)
        .set_key_value_metadata(Some(about))
        .build()
}

/// A file of a tier that is being written. Dropped unfinished, it leaves nothing.
pub(super) struct TierWriter<'a> {
    files: &'a dyn Files,
    layout: &'a Layout,
    entry: TierEntry,
    tmp: PathBuf,
    writer: Option<ArrowWriter<Box<dyn Output>>>,
    index: IndexBuilder,
    rows: Vec<(Key, Window)>,
}

impl<'a> TierWriter<'a> {
    /// Starts the file of `tier` for the block `source` of `date`.
    pub(super) fn create(
        files: &'a dyn Files,
        layout: &'a Layout,
        tier: Tier,
        date: &str,
        source: &str,
    ) -> Result<TierWriter<'a>, BlockError> {
        let id = new_id();
        let tmp = layout.tmp.join(format!("{id}.parquet"));
        let about = [
            ("format_version", TIER_VERSION.to_string()),
            ("tier", tier.name().to_owned()),
            ("source", source.to_owned()),
        ];
        let about = about.map(|(name, value)| KeyValue::new(format!("barograph.{name}"), value)).to_vec();
        let output: Box<dyn Output> = Box::new(Summed::new(files.create(&tmp)?));
        let options = ArrowWriterOptions::new().with_properties(properties(about)).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(output, Arc::clone(&SCHEMA), options)?;
        let entry = TierEntry {
            tier,
            id,
            date: date.to_owned(),
            source: source.to_owned(),
            is_final: false,
            n_windows: 0,
            n_series: 0,
            min_time: Millis::MAX,
            max_time: Millis::MIN,
            n_bytes: 0,
            crc32: None,
        };
        Ok(TierWriter {
            files,
            layout,
            entry,
            tmp,
            writer: Some(writer),
            index: IndexBuilder::default(),
            rows: Vec::new(),
        })
    }

    /// Adds a series, after the one before in block order, its windows by start.
    pub(super) fn push(&mut self, key: &Key, windows: &[Window]) -> Result<(), BlockError> {
        let ([first, ..], [.., last]) = (windows, windows) else { return Ok(()) };
        self.index.push_key(key, windows.len(), (first.start, last.start), last.last)?;
        self.entry.n_windows += windows.len() as u64;
        self.entry.min_time = self.entry.min_time.min(first.start);
        self.entry.max_time = self.entry.max_time.max(last.start);
        self.rows.extend(windows.iter().map(|window| (key.clone(), *window)));
        if self.rows.len() >= BATCH_ROWS { self.write_rows() } else { Ok(()) }
    }

    fn write_rows(&mut self) -> Result<(), BlockError> {
        let rows = std::mem::take(&mut self.rows);
        let number = |get: fn(&Window) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(rows.iter().map(|(_, window)| get(window))))
        };
        let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
        let mut labels = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
            .with_keys_field(Field::new("key", DataType::Utf8, false))
            .with_values_field(Field::new("value", DataType::Utf8, false));
        for (key, _) in &rows {
            for (name, value) in key.labels().without_metric() {
                labels.keys().append_value(name);
                labels.values().append_value(value);
            }
            labels.append(true)?;
        }
        let starts = rows.iter().map(|(_, window)| window.start);
        let counts = rows.iter().map(|(_, window)| i64::try_from(window.count).unwrap_or(i64::MAX));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|(key, _)| key.metric()))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|(key, _)| key.id()))),
            Arc::new(TimestampMillisecondArray::from_iter_values(starts).with_timezone("UTC")),
            number(|window| window.min),
            number(|window| window.max),
            number(|window| window.sum),
            Arc::new(Int64Array::from_iter_values(counts)),
            number(|window| window.last),
            Arc::new(labels.finish()),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&SCHEMA), columns)?;
        self.writer.as_mut().expect("finish consumes the writer").write(&batch)?;
        Ok(())
    }

    /// Writes the rest, syncs file and sidecar and moves them to where they belong. Without a window: no file.
    pub(super) fn finish(mut self) -> Result<Option<TierEntry>, BlockError> {
        if self.index.n_runs() == 0 {
            return Ok(None);
        }
        self.write_rows()?;
        let mut writer = self.writer.take().expect("finish consumes the writer");
        writer.finish()?;
        self.entry.n_bytes = writer.bytes_written() as u64;
        self.entry.crc32 = writer.inner().crc32().map(|crc| format!("{crc:08x}"));
        writer.inner_mut().sync()?;
        let index = std::mem::take(&mut self.index).finish_without_pages();
        self.entry.n_series = index.n_runs() as u64;
        let path = self.layout.tier_file(&self.entry);
        let sidecar = self.layout.sidecar(&self.entry.id);
        let day_dir = path.parent().map(PathBuf::from).unwrap_or_default();
        let tier_dir = self.layout.tiers.join(self.entry.tier.name());
        let place = || -> io::Result<()> {
            files::write_new_with(self.files, &self.layout.tmp, &sidecar, |output| index.write_to(output))?;
            self.files.sync_dir(&self.layout.index)?;
            for dir in [&self.layout.tiers, &tier_dir, &day_dir] {
                files::make_dir(self.files, dir)?;
            }
            self.files.rename(&self.tmp, &path)?;
            self.files.sync_dir(&day_dir)
        };
        place().inspect_err(|_| {
            // The error is the answer; what cannot be removed now is removed at the next start.
            let _ = self.files.remove(&path);
            let _ = self.files.remove(&sidecar);
        })?;
        Ok(Some(self.entry.clone()))
    }
}

impl Drop for TierWriter<'_> {
    fn drop(&mut self) {
        // After a success the name is gone already.
        let _ = self.files.remove(&self.tmp);
    }
}

fn damaged(what: impl Into<String>) -> BlockError {
    BlockError::Damaged(what.into())
}

/// Whose rows are where; made again from the file when the sidecar is lost.
pub(super) fn index_of(files: &dyn Files, layout: &Layout, entry: &TierEntry) -> Result<BlockIndex, BlockError> {
    let sidecar = layout.sidecar(&entry.id);
    let loaded = files.read(&sidecar).map_err(BlockError::from);
    let is_outdated = loaded.as_ref().is_ok_and(|bytes| BlockIndex::is_outdated(bytes));
    match loaded.and_then(|bytes| BlockIndex::decode(&bytes)) {
        Ok(index) if index.n_rows() == entry.n_windows => Ok(index),
        Ok(_) | Err(_) => {
            let path = layout.tier_file(entry);
            // Opened before anything is said: when the file is gone, that is what the caller must hear.
            files.open(&path)?;
            if !is_outdated {
                tracing::error!(sidecar = %sidecar.display(), "a tier's series index cannot be used; making it again");
            }
            let index =
                super::super::fsck::read_rows(&path, None, &NUMBERS).map_err(|fault| damaged(fault.to_string()))?;
            if let Err(error) = files::write_new_with(files, &layout.tmp, &sidecar, |output| index.write_to(output)) {
                tracing::warn!(sidecar = %sidecar.display(), %error, "the new series index could not be written");
            }
            Ok(index)
        }
    }
}

/// The windows of each of `runs`, which are in row order.
pub(super) fn read(
    files: &dyn Files,
    layout: &Layout,
    entry: &TierEntry,
    runs: &[Run],
) -> Result<Vec<Vec<Window>>, BlockError> {
    let file = files.open(&layout.tier_file(entry))?;
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let row = |number: u64| usize::try_from(number).map_err(|_| damaged("a row number does not fit this machine"));
    let mut ranges = Vec::with_capacity(runs.len());
    for run in runs {
        ranges.push(row(run.row_start)?..row(run.row_start + u64::from(run.n_rows))?);
    }
    let lens: Vec<usize> = ranges.iter().map(ExactSizeIterator::len).collect();
    let selection = RowSelection::from_consecutive_ranges(ranges.into_iter(), row(entry.n_windows)?);
    let mask = ProjectionMask::leaves(metadata.parquet_schema(), 2..8);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let reader = builder.with_projection(mask).with_row_selection(selection).with_batch_size(BATCH_ROWS).build()?;
    let mut windows = Vec::new();
    for batch in reader {
        append(&batch?, &mut windows).ok_or_else(|| damaged("the columns are not those of a tier"))?;
    }
    let mut rest = windows.as_slice();
    let mut parts = Vec::with_capacity(lens.len());
    for len in lens {
        let (part, left) =
            rest.split_at_checked(len).ok_or_else(|| damaged("the tier has fewer rows than its index"))?;
        parts.push(part.to_vec());
        rest = left;
    }
    Ok(parts)
}

fn append(batch: &RecordBatch, windows: &mut Vec<Window>) -> Option<()> {
    if batch.columns().iter().any(|column| column.null_count() > 0) {
        return None;
    }
    let start = batch.column_by_name("timestamp")?.as_primitive_opt::<TimestampMillisecondType>()?;
    let count = batch.column_by_name("count")?.as_primitive_opt::<Int64Type>()?;
    let number = |name| batch.column_by_name(name)?.as_primitive_opt::<Float64Type>();
    let [min, max, sum, last] = NUMBERS.map(number);
    let (min, max, sum, last) = (min?, max?, sum?, last?);
    windows.extend((0..batch.num_rows()).map(|row| Window {
        start: start.value(row),
        min: min.value(row),
        max: max.value(row),
        sum: sum.value(row),
        count: count.value(row).unsigned_abs(),
        last: last.value(row),
    }));
    Some(())
}

/// What a tier's file says of itself, for when the manifest is lost.
///
/// `is_final` is what the file cannot know; the caller finds out.
pub(in crate::storage) fn read_footer(
    path: &std::path::Path,
    id: &str,
    tier: Tier,
    date: &str,
) -> Result<TierEntry, BlockError> {
    let file = std::fs::File::open(path)?;
    let n_bytes = file.metadata()?.len();
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let text = |name: &str| {
        let entries = metadata.metadata().file_metadata().key_value_metadata().into_iter().flatten();
        let mut found = entries.filter(|entry| entry.key == format!("barograph.{name}"));
        found.next().and_then(|entry| entry.value.clone())
    };
    match text("format_version").and_then(|version| version.parse::<u32>().ok()) {
        Some(version) if version <= TIER_VERSION => {}
        _ => return Err(damaged("the footer states no format version that is known")),
    }
    let source = text("source").ok_or_else(|| damaged("the footer has no barograph.source"))?;
    let index = super::super::fsck::read_rows(path, None, &NUMBERS).map_err(|fault| damaged(fault.to_string()))?;
    let (min_time, max_time) = index.span().unwrap_or_default();
    Ok(TierEntry {
        tier,
        id: id.to_owned(),
        date: date.to_owned(),
        source,
        is_final: false,
        n_windows: index.n_rows(),
        n_series: index.n_runs() as u64,
        min_time,
        max_time,
        n_bytes,
        crc32: None,
    })
}
