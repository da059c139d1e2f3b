//! The columns of a block, and how large its parts are.

use std::sync::{Arc, LazyLock};

use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor};

/// The version of the block format, in each block's footer.
pub(in crate::storage) const BLOCK_VERSION: u32 = 1;

/// Rows of a row group at most; a page's number in it fits a Parquet reader's 16 bits many times over.
pub(super) const MAX_GROUP_ROWS: usize = 262_144;
/// Rows that make a row group of series with few rows.
pub(super) const GROUP_ROWS: usize = 65_536;
/// Rows from which on a series gets row groups, and with them a dictionary, of its own.
pub(super) const LONG_RUN_ROWS: usize = 8_192;
/// Rows of a page of timestamps, and of values that do not stay: the least a reader of one series decodes;
/// VictoriaMetrics' blocks hold 8 K samples for the same reason.
pub(super) const PAGE_ROWS: usize = 8_192;
/// Labels of a page, which repeat from row to row and compress to almost nothing.
pub(super) const PAGE_LABELS: usize = 262_144;

/// The leaf columns, by number.
pub(super) const METRIC: usize = 0;
pub(super) const SERIES_ID: usize = 1;
pub(super) const TIMESTAMP: usize = 2;
pub(super) const VALUE: usize = 3;
pub(super) const LABEL_NAME: usize = 4;
pub(super) const LABEL_VALUE: usize = 5;

const COLUMNS: &str = "
    message schema {
        required binary metric (STRING);
        required int64 series_id;
        required int64 timestamp (TIMESTAMP(MILLIS, true));
        required double value;
        required group labels (MAP) {
            repeated group key_value {
                required binary key (STRING);
                required binary value (STRING);
            }
        }
    }";

/// What other programs see; `docs/formats/block.md` explains it.
pub(super) static SCHEMA: LazyLock<SchemaDescPtr> = LazyLock::new(|| {
    let schema = parse_message_type(COLUMNS).expect("a schema that is part of the program and tested");
    Arc::new(SchemaDescriptor::new(Arc::new(schema)))
});

/// How hard to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Effort {
    /// A flush or an early merge: the block is soon merged into another.
    Fresh,
    /// The last merge, whose block stays.
    Lasting,
}

impl Effort {
    /// The zstd level of values, of which there are most. On server metrics 12 saves 0.002 bytes a sample more than 11; 6
    /// takes a third less time to merge and 0.015 bytes a sample more.
    pub(super) fn level(self) -> i32 {
        match self {
            Effort::Fresh => 1,
            Effort::Lasting => 11,
        }
    }

    /// Rows of a page of values. Longer pages compress better, and are read where a series' rows are many.
    pub(super) fn value_page_rows(self) -> usize {
        match self {
            Effort::Fresh => PAGE_ROWS,
            Effort::Lasting => 2 * PAGE_ROWS,
        }
    }

    /// The zstd level of dictionaries of values: sorted doubles, which are no smaller at 15 than at 6.
    pub(super) fn dictionary_level(self) -> i32 {
        match self {
            Effort::Fresh => 1,
            Effort::Lasting => 6,
        }
    }
}

/// The settings of the file as a whole; its column chunks are made by hand.
pub(super) fn properties() -> WriterPropertiesPtr {
    let ascending = |column_idx| SortingColumn { column_idx, descending: false, nulls_first: false };
    let builder = WriterProperties::builder()
        .set_created_by(format!("barograph version {}", env!("CARGO_PKG_VERSION")))
        .set_sorting_columns(Some((0..3).map(ascending).collect()));
    Arc::new(builder.build())
}
