//! Reading a block's timestamps and values: some series' rows, or all from first to last.
//!
//! Pages are found through the index and read one at a time; neither the footer nor any other column is touched. A
//! page whose timestamps all lie outside of the wanted range is not read.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use zstd::bulk::Decompressor;

use super::super::bytes::Reader;
use super::super::error::BlockError;
use super::index::BlockIndex;
use super::page_header::PageHeader;
use super::pages::Place;
use super::{delta, values};
use crate::series::{Millis, Sample, TimeRange};

// No page of ours is nearly as large; a damaged header must not ask for all memory.
const MAX_PAGE_BYTES: usize = 64 << 20;

/// Reads pages of one block, and keeps the last one of each kind.
pub(in crate::storage) struct BlockReader {
    file: File,
    index: Arc<BlockIndex>,
    unzip: Decompressor<'static>,
    times: Option<(usize, Vec<Millis>)>,
    values: Option<(usize, Vec<f64>)>,
    dictionary: Option<(u32, Vec<f64>)>,
    // The next row that `take` answers.
    next_row: u64,
}

impl BlockReader {
    /// Reads the pages of `file` that `index` says it has.
    ///
    /// # Errors
    /// When there is no memory to decompress them.
    pub(in crate::storage) fn new(file: File, index: Arc<BlockIndex>) -> Result<BlockReader, BlockError> {
        let unzip = Decompressor::new()?;
        Ok(BlockReader { file, index, unzip, times: None, values: None, dictionary: None, next_row: 0 })
    }

    /// The index that it reads by.
    pub(in crate::storage) fn index(&self) -> &Arc<BlockIndex> {
        &self.index
    }

    /// The samples in `range` of a run; cheapest when runs are asked for in row order.
    ///
    /// # Errors
    /// When the file cannot be read or does not have what the index says.
    pub(in crate::storage) fn run(&mut self, run: usize, range: TimeRange) -> Result<Vec<Sample>, BlockError> {
        let run = self.index.runs()[run];
        let mut samples = Vec::new();
        self.rows(run.row_start..run.row_start + u64::from(run.n_rows), Some(range), &mut samples)?;
        Ok(samples)
    }

    /// Appends the samples of the next `n_rows` rows.
    ///
    /// # Errors
    /// As [`run`](BlockReader::run).
    pub(in crate::storage) fn take(&mut self, n_rows: u32, samples: &mut Vec<Sample>) -> Result<(), BlockError> {
        let rows = self.next_row..self.next_row + u64::from(n_rows);
        self.next_row = rows.end;
        self.rows(rows, None, samples)
    }

    /// The samples of a run that can still be read: those of a damaged page are left out.
    ///
    /// Pages carry a checksum of their own, so that what is answered is what was written.
    pub(in crate::storage) fn left_of(&mut self, run: usize) -> Vec<Sample> {
        let index = Arc::clone(&self.index);
        let run = index.runs()[run];
        let rows = run.row_start..run.row_start + u64::from(run.n_rows);
        let (times, values) = (&index.pages.times, &index.pages.values);
        let mut borders = vec![rows.start, rows.end];
        let is_inside = |row: &u64| rows.contains(row);
        borders.extend(
            times
                .iter()
                .skip(index.pages.time_page_of(rows.start))
                .map(|page| page.row)
                .take_while(|row| *row < rows.end)
                .filter(is_inside),
        );
        borders.extend(
            values
                .iter()
                .skip(index.pages.value_page_of(rows.start))
                .map(|page| page.row)
                .take_while(|row| *row < rows.end)
                .filter(is_inside),
        );
        borders.sort_unstable();
        borders.dedup();
        let mut left: Vec<Sample> = Vec::new();
        for part in borders.windows(2) {
            let mut samples = Vec::new();
            let is_read = self.rows(part[0]..part[1], None, &mut samples).is_ok();
            let is_sound = samples.is_sorted_by(|a, b| a.at < b.at)
                && samples.iter().all(|sample| (run.min_time..=run.max_time).contains(&sample.at));
            let is_later = left.last().zip(samples.first()).is_none_or(|(last, first)| last.at < first.at);
            if is_read && is_sound && is_later {
                left.append(&mut samples);
            }
        }
        left
    }

    /// The samples of neighbouring rows of one series, those outside of `range` left out.
    fn rows(&mut self, rows: Range<u64>, range: Option<TimeRange>, out: &mut Vec<Sample>) -> Result<(), BlockError> {
        let index = Arc::clone(&self.index);
        let mut page = index.pages.time_page_of(rows.start);
        while let Some(place) = index.pages.times.get(page).filter(|place| place.row < rows.end) {
            let is_wanted = range.is_none_or(|range| range.overlaps(place.min_time, place.max_time));
            if is_wanted {
                let in_page = index.pages.time_rows(page);
                let part = rows.start.max(in_page.start)..rows.end.min(in_page.end);
                self.load_times(page)?;
                let times = self.times.as_ref().map_or(&[][..], |(_, times)| times);
                let at = &times[offset(part.start, in_page.start)..offset(part.end, in_page.start)];
                let wanted = match range {
                    Some(range) => super::super::merge::part_between(at, range.start(), range.end()),
                    None => 0..at.len(),
                };
                let first = part.start + wanted.start as u64;
                let n_before = out.len();
                out.extend(at[wanted].iter().map(|at| Sample { at: *at, value: 0.0 }));
                self.fill_values(first, &mut out[n_before..])?;
            }
            page += 1;
        }
        Ok(())
    }

    /// Gives samples, whose rows begin at `row`, their values.
    fn fill_values(&mut self, mut row: u64, mut samples: &mut [Sample]) -> Result<(), BlockError> {
        while !samples.is_empty() {
            let page = self.index.pages.value_page_of(row);
            let in_page = self.index.pages.value_rows(page);
            self.load_values(page)?;
            let values = self.values.as_ref().map_or(&[][..], |(_, values)| values);
            let values = &values[offset(row, in_page.start)..];
            let n = values.len().min(samples.len());
            if n == 0 {
                return Err(damaged("fewer values"));
            }
            let (now, later) = std::mem::take(&mut samples).split_at_mut(n);
            now.iter_mut().zip(values).for_each(|(sample, value)| sample.value = *value);
            row = in_page.end;
            samples = later;
        }
        Ok(())
    }

    fn load_times(&mut self, page: usize) -> Result<(), BlockError> {
        if self.times.as_ref().is_none_or(|(loaded, _)| *loaded != page) {
            let rows = self.index.pages.time_rows(page);
            let n = offset(rows.end, rows.start);
            let (_, raw) = self.load(self.index.pages.times[page].place)?;
            let times = delta::decode(&raw, n).ok_or_else(|| damaged("timestamps"))?;
            self.times = Some((page, times));
        }
        Ok(())
    }

    fn load_values(&mut self, page: usize) -> Result<(), BlockError> {
        if self.values.as_ref().is_none_or(|(loaded, _)| *loaded != page) {
            let rows = self.index.pages.value_rows(page);
            let n = offset(rows.end, rows.start);
            let place = self.index.pages.values[page];
            if let Some(number) = place.dictionary {
                self.load_dictionary(number)?;
            }
            let (header, raw) = self.load(place.place)?;
            let dictionary = self.dictionary.as_ref().filter(|(number, _)| Some(*number) == place.dictionary);
            let dictionary = dictionary.map_or(&[][..], |(_, dictionary)| dictionary);
            let values = values::decode(&raw, header.encoding, n, dictionary).ok_or_else(|| damaged("values"))?;
            self.values = Some((page, values));
        }
        Ok(())
    }

    fn load_dictionary(&mut self, number: u32) -> Result<(), BlockError> {
        if self.dictionary.as_ref().is_none_or(|(loaded, _)| *loaded != number) {
            let (_, raw) = self.load(self.index.pages.dictionaries[number as usize])?;
            self.dictionary = Some((number, values::decode_plain(&raw)));
        }
        Ok(())
    }

    /// A page's header, and its content unpacked.
    fn load(&mut self, place: Place) -> Result<(PageHeader, Vec<u8>), BlockError> {
        if place.len as usize > MAX_PAGE_BYTES {
            return Err(damaged("pages of impossible size"));
        }
        let mut bytes = vec![0; place.len as usize];
        self.file.read_exact_at(&mut bytes, place.offset)?;
        let mut reader = Reader::new(&bytes);
        let header = PageHeader::read(&mut reader).filter(|header| header.n_raw <= MAX_PAGE_BYTES);
        let header = header.ok_or_else(|| damaged("page headers"))?;
        let packed = reader.take(header.n_compressed).ok_or_else(|| damaged("pages cut short"))?;
        let raw = self
            .unzip
            .decompress(packed, header.n_raw)
            .map_err(|error: io::Error| BlockError::Damaged(format!("a page cannot be unpacked: {error}")))?;
        Ok((header, raw))
    }
}

fn damaged(what: &str) -> BlockError {
    BlockError::Damaged(format!("where the index says that there are rows, the block has {what} that make no sense"))
}

fn offset(row: u64, start: u64) -> usize {
    (row - start) as usize
}
