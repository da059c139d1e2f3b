//! Where the pages of timestamps and values are in a block's file.

use std::ops::Range;

use super::chunk::Parts;
use crate::series::Millis;

/// A stretch of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) len: u32,
}

/// A page of timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimePage {
    /// Its first row, counted over the whole block.
    pub(super) row: u64,
    pub(super) place: Place,
    pub(super) min_time: Millis,
    pub(super) max_time: Millis,
}

/// A page of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ValuePage {
    /// Its first row, counted over the whole block.
    pub(super) row: u64,
    pub(super) place: Place,
    /// Which dictionary its values are in, when they are in one.
    pub(super) dictionary: Option<u32>,
}

/// Every page of timestamps and values, in row order.
#[derive(Debug, Default, PartialEq)]
pub(in crate::storage) struct Pages {
    pub(super) times: Vec<TimePage>,
    pub(super) values: Vec<ValuePage>,
    pub(super) dictionaries: Vec<Place>,
    pub(super) n_rows: u64,
}

impl Pages {
    /// Bytes of memory that the lists take.
    pub(super) fn n_bytes(&self) -> usize {
        let (times, values) = (self.times.capacity(), self.values.capacity());
        let dictionaries = self.dictionaries.capacity() * size_of::<Place>();
        times * size_of::<TimePage>() + values * size_of::<ValuePage>() + dictionaries
    }

    /// Adds those of a row group whose two chunks begin at these offsets.
    pub(super) fn add_group(&mut self, times: (&Parts, u64), bounds: &[(Millis, Millis)], values: (&Parts, u64)) {
        let start = self.n_rows;
        let mut row = start;
        for (page, (min_time, max_time)) in times.0.pages.iter().zip(bounds) {
            let place = Place { offset: times.1 + page.offset, len: page.len };
            self.times.push(TimePage { row, place, min_time: *min_time, max_time: *max_time });
            row += page.n_rows;
        }
        let dictionary = values.0.dictionary.map(|page| {
            self.dictionaries.push(Place { offset: values.1 + page.offset, len: page.len });
            self.dictionaries.len() as u32 - 1
        });
        let mut row = start;
        for page in &values.0.pages {
            self.values.push(ValuePage {
                row,
                place: Place { offset: values.1 + page.offset, len: page.len },
                dictionary,
            });
            row += page.n_rows;
        }
        self.n_rows = row;
    }

    /// Rows of a page of timestamps.
    pub(super) fn time_rows(&self, page: usize) -> Range<u64> {
        self.times[page].row..self.times.get(page + 1).map_or(self.n_rows, |next| next.row)
    }

    /// Rows of a page of values.
    pub(super) fn value_rows(&self, page: usize) -> Range<u64> {
        self.values[page].row..self.values.get(page + 1).map_or(self.n_rows, |next| next.row)
    }

    /// The page of timestamps that has this row.
    pub(super) fn time_page_of(&self, row: u64) -> usize {
        self.times.partition_point(|page| page.row <= row).saturating_sub(1)
    }

    /// The page of values that has this row.
    pub(super) fn value_page_of(&self, row: u64) -> usize {
        self.values.partition_point(|page| page.row <= row).saturating_sub(1)
    }
}
