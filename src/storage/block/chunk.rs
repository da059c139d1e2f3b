//! One column chunk, written page by page from bytes that are encoded already.
//!
//! In: pages of encoded values. Out: the chunk's bytes and what the footer says of them: offsets, sizes, bounds.
//! Data pages are of version 1, which every reader knows, compressed with zstd and its checksum.

use parquet::basic::BoundaryOrder;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use super::super::error::BlockError;

/// Compresses pages.
pub(super) struct Zip(Compressor<'static>);

impl Zip {
    pub(super) fn new() -> Result<Zip, BlockError> {
        let mut compressor = Compressor::new(1)?;
        // Changed bytes on the disk are then noticed by whoever reads them, in any program.
        compressor.include_checksum(true)?;
        Ok(Zip(compressor))
    }

    pub(super) fn compress(&mut self, raw: &[u8], level: i32) -> Result<Vec<u8>, BlockError> {
        self.0.set_compression_level(level)?;
        Ok(self.0.compress(raw)?)
    }
}

/// The least and the greatest value of a page, as Parquet's PLAIN has them.
pub(super) type Bounds = (Vec<u8>, Vec<u8>);

/// A column chunk that grows page by page.
pub(super) struct ChunkWriter<'a> {
    column: ColumnDescPtr,
    zip: &'a mut Zip,
    level: i32,
    sink: TrackedWrite<Vec<u8>>,
    offsets: OffsetIndexBuilder,
    bounds: Vec<Bounds>,
    /// Of its pages.
    encodings: Vec<Encoding>,
    tells_dictionary: bool,
    parts: Parts,
    n_values: i64,
    n_raw_bytes: usize,
}

/// Where a page is in its chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrittenPage {
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) n_rows: u64,
}

/// A chunk that is done.
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) close: ColumnCloseResult,
    pub(super) parts: Parts,
}

/// What a chunk consists of, in the order of its bytes.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) dictionary: Option<WrittenPage>,
    pub(super) pages: Vec<WrittenPage>,
}

impl<'a> ChunkWriter<'a> {
    pub(super) fn new(column: ColumnDescPtr, zip: &'a mut Zip, level: i32) -> ChunkWriter<'a> {
        ChunkWriter {
            column,
            zip,
            level,
            sink: TrackedWrite::new(Vec::new()),
            offsets: OffsetIndexBuilder::new(),
            bounds: Vec::new(),
            encodings: Vec::new(),
            tells_dictionary: false,
            parts: Parts::default(),
            n_values: 0,
            n_raw_bytes: 0,
        }
    }

    /// How hard to compress the pages that follow.
    pub(super) fn set_level(&mut self, level: i32) {
        self.level = level;
    }

    /// Has the footer say that every data page is in the dictionary, so that a reader may look there whether a value
    /// occurs. It takes some bytes of each row group, and serves where values are looked for.
    pub(super) fn tell_dictionary(&mut self) {
        self.tells_dictionary = true;
    }

    /// Writes the dictionary, which comes before all data: `n` values in PLAIN.
    pub(super) fn dictionary(&mut self, raw: &[u8], n: usize) -> Result<(), BlockError> {
        let (buf, num_values) = (self.zip.compress(raw, self.level)?.into(), count(n)?);
        let page = Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
        let written = self.write(CompressedPage::new(page, raw.len()))?;
        self.note(Encoding::PLAIN);
        self.parts.dictionary = Some(WrittenPage { offset: written.offset, len: length(&written)?, n_rows: 0 });
        Ok(())
    }

    /// Writes a page with `n_values` values, which `raw` has with their levels, of `n_rows` rows.
    pub(super) fn page(
        &mut self,
        raw: &[u8],
        (n_values, n_rows): (usize, usize),
        encoding: Encoding,
        bounds: Option<Bounds>,
    ) -> Result<(), BlockError> {
        let page = Page::DataPage {
            buf: self.zip.compress(raw, self.level)?.into(),
            num_values: count(n_values)?,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let written = self.write(CompressedPage::new(page, raw.len()))?;
        self.note(encoding);
        let len = length(&written)?;
        self.offsets.append_row_count(n_rows as i64);
        self.offsets.append_offset_and_size(written.offset as i64, len as i32);
        self.parts.pages.push(WrittenPage { offset: written.offset, len, n_rows: n_rows as u64 });
        self.bounds.extend(bounds);
        self.n_values += n_values as i64;
        Ok(())
    }

    fn write(&mut self, page: CompressedPage) -> Result<PageWriteSpec, BlockError> {
        let written = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.n_raw_bytes += written.uncompressed_size;
        Ok(written)
    }

    fn note(&mut self, encoding: Encoding) {
        if !self.encodings.contains(&encoding) {
            self.encodings.push(encoding);
        }
    }

    /// Ends the chunk, with the bounds of all its values; `order` is that of its pages' bounds.
    pub(super) fn close(self, statistics: Option<Statistics>, order: BoundaryOrder) -> Result<Chunk, BlockError> {
        let bytes = self.sink.into_inner()?;
        let mut index = ColumnIndexBuilder::new(self.column.physical_type());
        index.set_boundary_order(order);
        let has_bounds = self.bounds.len() == self.parts.pages.len();
        for (least, greatest) in self.bounds {
            index.append(false, least, greatest, 0);
        }
        let n_rows = self.parts.pages.iter().map(|page| page.n_rows).sum();
        let kind = |page_type, encoding, n: usize| PageEncodingStats { page_type, encoding, count: n as i32 };
        let kinds = self.tells_dictionary.then(|| {
            vec![
                kind(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
                kind(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, self.parts.pages.len()),
            ]
        });
        // RLE is what the levels of nested columns are in, and what readers expect to be named.
        let encodings = self.encodings.into_iter().chain([Encoding::RLE]).collect();
        let mut metadata = ColumnChunkMetaData::builder(self.column)
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_encodings(encodings)
            .set_num_values(self.n_values)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(self.n_raw_bytes as i64)
            .set_dictionary_page_offset(self.parts.dictionary.map(|page| page.offset as i64))
            .set_data_page_offset(self.parts.pages.first().map_or(0, |page| page.offset as i64));
        if let Some(kinds) = kinds {
            metadata = metadata.set_page_encoding_stats(kinds);
        }
        if let Some(statistics) = statistics {
            metadata = metadata.set_statistics(statistics);
        }
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: n_rows,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: if has_bounds { Some(index.build()?) } else { None },
            offset_index: Some(self.offsets.build()),
        };
        Ok(Chunk { bytes, close, parts: self.parts })
    }
}

fn count(n: usize) -> Result<u32, BlockError> {
    u32::try_from(n).map_err(|_| BlockError::Damaged("a page would hold more than 2^32 values".to_owned()))
}

fn length(written: &PageWriteSpec) -> Result<u32, BlockError> {
    count(written.compressed_size)
}
