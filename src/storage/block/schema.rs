//! The columns of a block and how each is encoded.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::schema::types::ColumnPath;

/// The version of the block format, in each block's footer.
pub(in crate::storage) const BLOCK_VERSION: u32 = 1;

/// Rows in a row group: the unit for which a value encoding is chosen and a dictionary read.
pub(super) const ROW_GROUP_ROWS: usize = 262_144;
// A page is the least a reader of one series decodes; VictoriaMetrics' blocks hold 8 K samples for the same reason.
const PAGE_ROWS: usize = 8_192;
// Large enough that a dictionary never overflows into another encoding within a row group.
const DICTIONARY_BYTES: usize = 64 << 20;

/// Leaf number of a column that a select reads.
pub(super) const TIMESTAMP_LEAF: usize = 2;
/// Leaf number of a column that a select reads.
pub(super) const VALUE_LEAF: usize = 3;

fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The columns as they are handed to the Parquet writer. What other programs see is in `docs/formats/block.md`.
pub(super) static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let labels = Field::new_map(
        "labels",
        "key_value",
        Field::new("key", dictionary(), false),
        Field::new("value", dictionary(), false),
        false,
        false,
    );
    Arc::new(Schema::new(vec![
        Field::new("metric", dictionary(), false),
        Field::new("series_id", DataType::Int64, false),
        Field::new("timestamp", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false),
        Field::new("value", DataType::Float64, false),
        labels,
    ]))
});

/// How the values of one row group are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueEncoding {
    /// Each distinct value once: states, sizes, counters that stand still.
    Dictionary,
    /// As they are: what zstd alone does best.
    Plain,
    /// The first bytes of all values, then the second ones, and so on: noisy measurements.
    ByteStreamSplit,
}

impl ValueEncoding {
    pub(super) const ALL: [ValueEncoding; 3] =
        [ValueEncoding::Dictionary, ValueEncoding::Plain, ValueEncoding::ByteStreamSplit];
}

/// How hard to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Effort {
    /// A flush, which samples wait for; the block is soon merged into another.
    Fresh,
    /// A merge, whose block stays.
    Merged,
}

/// The writer's settings.
pub(super) fn properties(effort: Effort, value: ValueEncoding) -> WriterPropertiesPtr {
    let level = match effort {
        Effort::Fresh => 1,
        Effort::Merged => 6,
    };
    let path = |parts: &[&str]| ColumnPath::from(parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>());
    let ascending = |column_idx| SortingColumn { column_idx, descending: false, nulls_first: false };
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("barograph version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default()))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_sorting_columns(Some((0..3).map(ascending).collect()))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_column_dictionary_enabled(path(&["timestamp"]), false)
        .set_column_encoding(path(&["timestamp"]), Encoding::DELTA_BINARY_PACKED)
        .set_column_statistics_enabled(path(&["value"]), EnabledStatistics::Chunk);
    // The least and greatest label of a page say nothing to anyone.
    for leaf in ["key", "value"] {
        builder = builder.set_column_statistics_enabled(path(&["labels", "key_value", leaf]), EnabledStatistics::None);
    }
    let column = path(&["value"]);
    builder = match value {
        ValueEncoding::Dictionary => builder.set_column_dictionary_enabled(column, true),
        ValueEncoding::Plain => {
            builder.set_column_dictionary_enabled(column.clone(), false).set_column_encoding(column, Encoding::PLAIN)
        }
        ValueEncoding::ByteStreamSplit => builder
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT),
    };
    Arc::new(builder.build())
}
