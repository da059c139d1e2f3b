//! The few fields of a Parquet page header that reading a page needs.
//!
//! Headers are Thrift structs in the compact protocol; anything else in them is skipped.

use super::super::bytes::Reader;

/// A page header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// Bytes of the page before compression.
    pub(super) n_raw: usize,
    /// Bytes after the header.
    pub(super) n_compressed: usize,
    pub(super) n_values: usize,
    /// As Parquet numbers its encodings.
    pub(super) encoding: i32,
}

// Types of fields in the compact protocol.
const STOP: u8 = 0;
const BOOLEANS: std::ops::RangeInclusive<u8> = 1..=2;
const BYTE: u8 = 3;
const INTEGERS: std::ops::RangeInclusive<u8> = 4..=6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LISTS: std::ops::RangeInclusive<u8> = 9..=10;
const STRUCT: u8 = 12;
// Nothing in a page header is nested deeper.
const MAX_DEPTH: u32 = 8;

impl PageHeader {
    /// Reads a header, and leaves the reader behind it; `None` when it makes no sense.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<PageHeader> {
        let mut header = PageHeader::default();
        let mut id = 0;
        while let Some((field, kind)) = next_field(reader, &mut id)? {
            match (field, kind) {
                (2, 5) => header.n_raw = natural(reader)?,
                (3, 5) => header.n_compressed = natural(reader)?,
                // A data page of version 1, or a dictionary page.
                (5 | 7, STRUCT) => {
                    let mut inner_id = 0;
                    while let Some((field, kind)) = next_field(reader, &mut inner_id)? {
                        match (field, kind) {
                            (1, 5) => header.n_values = natural(reader)?,
                            (2, 5) => header.encoding = i32::try_from(natural(reader)?).ok()?,
                            _ => skip(reader, kind, MAX_DEPTH)?,
                        }
                    }
                }
                _ => skip(reader, kind, MAX_DEPTH)?,
            }
        }
        Some(header)
    }
}

/// The next field's number and type; `Some(None)` at the end of the struct.
fn next_field(reader: &mut Reader<'_>, id: &mut i64) -> Option<Option<(i64, u8)>> {
    let byte = reader.byte()?;
    if byte == STOP {
        return Some(None);
    }
    *id = match i64::from(byte >> 4) {
        0 => integer(reader)?,
        step => *id + step,
    };
    Some(Some((*id, byte & 0x0f)))
}

fn integer(reader: &mut Reader<'_>) -> Option<i64> {
    let number = reader.varint()?;
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

fn natural(reader: &mut Reader<'_>) -> Option<usize> {
    usize::try_from(integer(reader)?).ok()
}

fn skip(reader: &mut Reader<'_>, kind: u8, depth: u32) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    match kind {
        kind if BOOLEANS.contains(&kind) => {}
        BYTE => {
            reader.byte()?;
        }
        kind if INTEGERS.contains(&kind) => {
            reader.varint()?;
        }
        DOUBLE => {
            reader.take(8)?;
        }
        BINARY => {
            let len = reader.count()?;
            reader.take(len)?;
        }
        kind if LISTS.contains(&kind) => {
            let head = reader.byte()?;
            let n = if head >> 4 == 15 { reader.count()? } else { usize::from(head >> 4) };
            for _ in 0..n {
                // In a list, and only there, a boolean is a byte.
                let kind = if BOOLEANS.contains(&(head & 0x0f)) { BYTE } else { head & 0x0f };
                skip(reader, kind, depth)?;
            }
        }
        STRUCT => {
            let mut id = 0;
            while let Some((_, kind)) = next_field(reader, &mut id)? {
                skip(reader, kind, depth)?;
            }
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use parquet::basic::Encoding;
    use parquet::column::page::{CompressedPage, Page, PageWriter};
    use parquet::file::statistics::{Statistics, ValueStatistics};
    use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
    use proptest::prelude::*;

    use super::*;

    fn written(page: Page, n_raw: usize) -> Vec<u8> {
        let mut sink = TrackedWrite::new(Vec::new());
        SerializedPageWriter::new(&mut sink).write_page(CompressedPage::new(page, n_raw)).unwrap();
        sink.into_inner().unwrap()
    }

    #[test]
    fn headers_of_the_parquet_writer_are_understood() {
        let data = |statistics| Page::DataPage {
            buf: vec![7; 30].into(),
            num_values: 8192,
            encoding: Encoding::BYTE_STREAM_SPLIT,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics,
        };
        let bounds = ValueStatistics::new(Some(1.5), Some(2.5), Some(3), Some(0), true);
        for statistics in [None, Some(Statistics::Double(bounds))] {
            let bytes = written(data(statistics), 65_536);
            let mut reader = Reader::new(&bytes);
            let encoding = Encoding::BYTE_STREAM_SPLIT as i32;
            let expected = PageHeader { n_raw: 65_536, n_compressed: 30, n_values: 8192, encoding };
            assert_eq!((PageHeader::read(&mut reader), reader.n_left()), (Some(expected), 30));
        }
        let dictionary = Page::DictionaryPage {
            buf: vec![1; 9].into(),
            num_values: 300,
            encoding: Encoding::PLAIN,
            is_sorted: true,
        };
        let expected = PageHeader { n_raw: 2400, n_compressed: 9, n_values: 300, encoding: 0 };
        assert_eq!(PageHeader::read(&mut Reader::new(&written(dictionary, 2400))), Some(expected));
    }

    proptest! {
        #[test]
        fn nonsense_is_an_answer_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = PageHeader::read(&mut Reader::new(&bytes));
        }
    }
}
