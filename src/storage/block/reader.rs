//! Reading a block's timestamps and values: some series' rows, or all from first to last.
//!
//! Pages are found through the index and read one at a time; neither the footer nor any other column is touched. A
//! page whose timestamps all lie outside of the wanted range is not read.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use zstd::bulk::Decompressor;

use super::super::bytes::Reader;
use super::super::error::BlockError;
use super::super::merge::part_between;
use super::delta;
use super::index::{BlockIndex, Run};
use super::page_header::PageHeader;
use super::pages::Place;
use super::source::Source;
use super::value_page::{self, ValuePage};
use crate::series::{Millis, Sample, TimeRange};

// No page of ours is nearly as large; a damaged header must not ask for all memory.
const MAX_PAGE_BYTES: usize = 64 << 20;

/// What unpacking needs and readers can share: one of these serves many blocks in turn.
pub(in crate::storage) struct Unzip {
    zstd: Decompressor<'static>,
    packed: Vec<u8>,
}

impl Unzip {
    /// # Errors
    /// When there is no memory for it.
    pub(in crate::storage) fn new() -> io::Result<Unzip> {
        Ok(Unzip { zstd: Decompressor::new()?, packed: Vec::new() })
    }
}

/// Reads pages of one block, and keeps the last one of each kind.
pub(in crate::storage) struct BlockReader {
    source: Box<dyn Source>,
    index: Arc<BlockIndex>,
    times: Page<Vec<Millis>>,
    values: Page<Option<ValuePage>>,
    dictionary: Option<(u32, Vec<f64>)>,
    // The next row that `take` answers.
    next_row: u64,
}

/// A page in memory; of no rows before the first.
#[derive(Default)]
struct Page<T> {
    rows: Range<u64>,
    // Of values only.
    dictionary: Option<u32>,
    content: T,
}

impl BlockReader {
    /// Reads the pages of `source` that `index` says it has.
    pub(in crate::storage) fn new(source: Box<dyn Source>, index: Arc<BlockIndex>) -> BlockReader {
        BlockReader { source, index, times: Page::default(), values: Page::default(), dictionary: None, next_row: 0 }
    }

    /// The index that it reads by.
    pub(in crate::storage) fn index(&self) -> &Arc<BlockIndex> {
        &self.index
    }

    /// Appends the samples in `range` of a run; cheapest when runs are asked for in row order.
    ///
    /// # Errors
    /// When the file cannot be read or does not have what the index says; `out` then holds some of them.
    pub(in crate::storage) fn run(
        &mut self,
        unzip: &mut Unzip,
        run: &Run,
        range: TimeRange,
        out: &mut Vec<Sample>,
    ) -> Result<(), BlockError> {
        let is_whole = range.contains(run.min_time) && range.contains(run.max_time);
        let rows = run.row_start..run.row_start + u64::from(run.n_rows);
        self.rows(unzip, rows, (!is_whole).then_some(range), out)
    }

    /// Has what these runs need in `range` brought near in few requests, when the block is far away.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(in crate::storage) fn expect(
        &self,
        runs: impl Iterator<Item = Run>,
        range: TimeRange,
    ) -> Result<(), BlockError> {
        if !self.source.is_far() {
            return Ok(());
        }
        let pages = &self.index.pages;
        let stretch = |place: Place| place.offset..place.offset + u64::from(place.len);
        let mut stretches = Vec::new();
        for run in runs {
            let rows = run.row_start..run.row_start + u64::from(run.n_rows);
            let times = (pages.time_page_of(rows.start)..pages.times.len())
                .take_while(|page| pages.times[*page].row < rows.end);
            for page in times.filter(|page| range.overlaps(pages.times[*page].min_time, pages.times[*page].max_time)) {
                stretches.push(stretch(pages.times[page].place));
                let in_page = pages.time_rows(page);
                let (first, end) = (rows.start.max(in_page.start), rows.end.min(in_page.end));
                let values = pages.values.iter().skip(pages.value_page_of(first)).take_while(|page| page.row < end);
                for page in values {
                    stretches.push(stretch(page.place));
                    stretches.extend(page.dictionary.map(|number| stretch(pages.dictionaries[number as usize])));
                }
            }
        }
        self.source.expect(&stretches)
    }

    /// Appends the samples of the next `n_rows` rows.
    ///
    /// # Errors
    /// As [`run`](BlockReader::run).
    pub(in crate::storage) fn take(
        &mut self,
        unzip: &mut Unzip,
        n_rows: u32,
        out: &mut Vec<Sample>,
    ) -> Result<(), BlockError> {
        let rows = self.next_row..self.next_row + u64::from(n_rows);
        self.next_row = rows.end;
        self.rows(unzip, rows, None, out)
    }

    /// Forgets the pages it keeps.
    pub(in crate::storage) fn forget(&mut self) {
        (self.times, self.values, self.dictionary) = (Page::default(), Page::default(), None);
    }

    /// The samples of a run that can still be read: those of a damaged page are left out.
    ///
    /// Pages carry a checksum of their own, so that what is answered is what was written.
    pub(in crate::storage) fn left_of(&mut self, unzip: &mut Unzip, run: usize) -> Vec<Sample> {
        let index = Arc::clone(&self.index);
        let run = index.run(run);
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
            let is_read = self.rows(unzip, part[0]..part[1], None, &mut samples).is_ok();
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
    fn rows(
        &mut self,
        unzip: &mut Unzip,
        mut rows: Range<u64>,
        range: Option<TimeRange>,
        out: &mut Vec<Sample>,
    ) -> Result<(), BlockError> {
        while !rows.is_empty() {
            if !self.times.rows.contains(&rows.start) {
                let page = self.index.pages.time_page_of(rows.start);
                let Some(place) = self.index.pages.times.get(page) else { return Err(damaged("no page")) };
                let in_page = self.index.pages.time_rows(page);
                if range.is_some_and(|range| !range.overlaps(place.min_time, place.max_time)) {
                    rows.start = in_page.end.max(rows.start + 1);
                    continue;
                }
                self.load_times(unzip, page, in_page)?;
            }
            let in_page = &self.times.rows;
            if !in_page.contains(&rows.start) {
                return Err(damaged("no page"));
            }
            let end = rows.end.min(in_page.end);
            let part = offset(rows.start, in_page.start)..offset(end, in_page.start);
            let at = &self.times.content[part.clone()];
            let wanted = range.map_or(0..at.len(), |range| part_between(at, range.start(), range.end()));
            let wanted = part.start + wanted.start..part.start + wanted.end;
            let first = in_page.start;
            self.append(unzip, wanted, first, out)?;
            rows.start = end;
        }
        Ok(())
    }

    /// Appends the samples of a part of the page of timestamps that is loaded and begins with row `first`.
    fn append(
        &mut self,
        unzip: &mut Unzip,
        mut part: Range<usize>,
        first: u64,
        out: &mut Vec<Sample>,
    ) -> Result<(), BlockError> {
        while !part.is_empty() {
            let row = first + part.start as u64;
            if !self.values.rows.contains(&row) {
                self.load_values(unzip, row)?;
            }
            let Page { rows, dictionary, content: Some(page) } = &self.values else { return Err(damaged("no page")) };
            let n = part.len().min(offset(rows.end, row));
            let dictionary = self.dictionary.as_ref().filter(|(number, _)| Some(*number) == *dictionary);
            let dictionary = dictionary.map_or(&[][..], |(_, dictionary)| dictionary);
            let start = offset(row, rows.start);
            let at = &self.times.content[part.start..part.start + n];
            page.append(start..start + n, at, dictionary, out).ok_or_else(|| damaged("values"))?;
            part.start += n;
        }
        Ok(())
    }

    fn load_times(&mut self, unzip: &mut Unzip, page: usize, rows: Range<u64>) -> Result<(), BlockError> {
        // Nothing is loaded if this fails.
        self.times.rows = 0..0;
        let (_, raw) = self.load(unzip, self.index.pages.times[page].place)?;
        let n = offset(rows.end, rows.start);
        delta::decode(&raw, n, &mut self.times.content).ok_or_else(|| damaged("timestamps"))?;
        self.times.rows = rows;
        Ok(())
    }

    /// Loads the page of values with this row.
    fn load_values(&mut self, unzip: &mut Unzip, row: u64) -> Result<(), BlockError> {
        self.values.rows = 0..0;
        let page = self.index.pages.value_page_of(row);
        let place = *self.index.pages.values.get(page).ok_or_else(|| damaged("no page"))?;
        let rows = self.index.pages.value_rows(page);
        if !rows.contains(&row) {
            return Err(damaged("no page"));
        }
        if let Some(number) = place.dictionary {
            self.load_dictionary(unzip, number)?;
        }
        let (header, raw) = self.load(unzip, place.place)?;
        let dictionary = self.dictionary.as_ref().filter(|(number, _)| Some(*number) == place.dictionary);
        let dictionary = dictionary.map_or(&[][..], |(_, dictionary)| dictionary);
        let n = offset(rows.end, rows.start);
        let content = ValuePage::read(raw, header.encoding, n, dictionary).ok_or_else(|| damaged("values"))?;
        self.values = Page { rows, dictionary: place.dictionary, content: Some(content) };
        Ok(())
    }

    fn load_dictionary(&mut self, unzip: &mut Unzip, number: u32) -> Result<(), BlockError> {
        if self.dictionary.as_ref().is_none_or(|(loaded, _)| *loaded != number) {
            let (_, raw) = self.load(unzip, self.index.pages.dictionaries[number as usize])?;
            self.dictionary = Some((number, value_page::dictionary(&raw)));
        }
        Ok(())
    }

    /// A page's header, and its content unpacked.
    fn load(&self, unzip: &mut Unzip, place: Place) -> Result<(PageHeader, Vec<u8>), BlockError> {
        if place.len as usize > MAX_PAGE_BYTES {
            return Err(damaged("pages of impossible size"));
        }
        let Unzip { zstd, packed } = unzip;
        packed.resize(place.len as usize, 0);
        self.source.read_exact_at(packed, place.offset)?;
        let mut reader = Reader::new(packed);
        let header = PageHeader::read(&mut reader).filter(|header| header.n_raw <= MAX_PAGE_BYTES);
        let header = header.ok_or_else(|| damaged("page headers"))?;
        let packed = reader.take(header.n_compressed).ok_or_else(|| damaged("pages cut short"))?;
        let raw = zstd
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
