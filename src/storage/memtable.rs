//! Recent samples in memory, a pair of columns per series, in the order they arrived.
//!
//! One thread writes, many read. Sharded so that a reader of one shard leaves the writer free in the others.
//! Frozen, it is the same thing that nobody writes any more.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};

use super::merge::{keep_last, part_between, share_within};
use super::postings::NumberSet;
use super::wal::record::{RefSamples, SeriesRef};
use crate::series::{Key, Millis, Sample, TimeRange};

const N_SHARDS: usize = 16;

/// One series' samples in order of arrival.
#[derive(Debug)]
pub(super) struct Column {
    key: Key,
    at: Vec<Millis>,
    value: Vec<f64>,
    min_at: Millis,
    max_at: Millis,
    // Timestamps only grow: then arrival order is time order and nothing needs sorting.
    is_ascending: bool,
}

impl Column {
    fn new(key: Key) -> Column {
        Column { key, at: Vec::new(), value: Vec::new(), min_at: Millis::MAX, max_at: Millis::MIN, is_ascending: true }
    }

    fn push(&mut self, at: Millis, value: f64) {
        self.is_ascending &= self.at.is_empty() || at > self.max_at;
        self.min_at = self.min_at.min(at);
        self.max_at = self.max_at.max(at);
        self.at.push(at);
        self.value.push(value);
    }

    /// Whose samples they are.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// About how many samples lie in `range`; exactly, while they arrive in time order.
    pub(super) fn n_about(&self, range: TimeRange) -> u64 {
        if range.contains(self.min_at) && range.contains(self.max_at) {
            return self.at.len() as u64;
        }
        if self.is_ascending {
            return part_between(&self.at, range.start(), range.end()).len() as u64;
        }
        share_within(self.at.len() as u64, self.min_at, self.max_at, range)
    }

    /// The samples in `range`, in time order, of duplicates the one that arrived last.
    pub(super) fn samples(&self, range: TimeRange) -> Vec<Sample> {
        let mut samples = Vec::new();
        self.append_to(range, &mut samples);
        samples
    }

    /// Appends what [`samples`](Column::samples) answers.
    fn append_to(&self, range: TimeRange, samples: &mut Vec<Sample>) {
        let sample = |(at, value): (&Millis, &f64)| Sample { at: *at, value: *value };
        if self.is_ascending {
            let part = part_between(&self.at, range.start(), range.end());
            samples.extend(self.at[part.clone()].iter().zip(&self.value[part]).map(sample));
            return;
        }
        let inside = self.at.iter().zip(&self.value).filter(|(at, _)| range.contains(**at));
        let mut unsorted: Vec<Sample> = inside.map(sample).collect();
        unsorted.sort_by_key(|sample| sample.at);
        keep_last(&mut unsorted);
        samples.append(&mut unsorted);
    }
}

/// The series whose number leaves the same remainder.
#[derive(Debug, Default)]
struct Shard {
    columns: Vec<(SeriesRef, Column)>,
    // By number without the remainder: where in `columns` the series is, or `NOWHERE`.
    places: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Shard {
    #[inline]
    fn column(&mut self, series_ref: SeriesRef, keys: &[Option<Key>]) -> &mut Column {
        let number = series_ref as usize / N_SHARDS;
        let place = self.places.get(number).copied().unwrap_or(NOWHERE);
        let place = if place == NOWHERE { self.add(series_ref, number, keys) } else { place };
        &mut self.columns[place as usize].1
    }

    fn find(&self, series_ref: SeriesRef) -> Option<&Column> {
        let place = self.places.get(series_ref as usize / N_SHARDS).filter(|place| **place != NOWHERE)?;
        Some(&self.columns[*place as usize].1)
    }

    #[cold]
    fn add(&mut self, series_ref: SeriesRef, number: usize, keys: &[Option<Key>]) -> u32 {
        let key = keys[series_ref as usize].clone();
        let key = key.expect("the writer thread alone forgets series, and it has just looked");
        let place = u32::try_from(self.columns.len()).expect("series have numbers of 32 bits");
        self.columns.push((series_ref, Column::new(key)));
        if self.places.len() <= number {
            self.places.resize(number + 1, NOWHERE);
        }
        self.places[number] = place;
        place
    }
}

/// Recent samples by series.
#[derive(Debug)]
pub(super) struct Memtable {
    shards: [RwLock<Shard>; N_SHARDS],
    n_samples: AtomicU64,
    // When its first sample arrived, by the wall clock; `Millis::MAX` while it is empty.
    born: AtomicI64,
}

impl Memtable {
    pub(super) fn new() -> Memtable {
        Memtable {
            shards: std::array::from_fn(|_| RwLock::default()),
            n_samples: AtomicU64::new(0),
            born: AtomicI64::new(Millis::MAX),
        }
    }

    /// Takes samples in; `keys` holds the key of every number in them. One thread at a time.
    pub(super) fn take(&self, samples: &RefSamples, keys: &[Option<Key>], now: Millis) {
        if samples.refs.is_empty() {
            return;
        }
        self.born.fetch_min(now, Ordering::Relaxed);
        let mut shards = self.shards.each_ref().map(RwLock::write);
        let columns = samples.refs.iter().zip(&samples.at).zip(&samples.value);
        for ((series_ref, at), value) in columns {
            shards[*series_ref as usize % N_SHARDS].column(*series_ref, keys).push(*at, *value);
        }
        self.n_samples.fetch_add(samples.refs.len() as u64, Ordering::Relaxed);
    }

    pub(super) fn n_samples(&self) -> u64 {
        self.n_samples.load(Ordering::Relaxed)
    }

    /// When its first sample arrived; `None` while it is empty.
    pub(super) fn born(&self) -> Option<Millis> {
        Some(self.born.load(Ordering::Relaxed)).filter(|born| *born != Millis::MAX)
    }

    /// Appends the samples in `range` of the series with this number, in time order without duplicates.
    pub(super) fn append_to(&self, series_ref: SeriesRef, range: TimeRange, samples: &mut Vec<Sample>) {
        if let Some(column) = self.shards[series_ref as usize % N_SHARDS].read().find(series_ref) {
            column.append_to(range, samples);
        }
    }

    /// Shows every series with one of these numbers, all when there are none, whose samples may lie in `range`.
    pub(super) fn for_each(
        &self,
        wanted: Option<&NumberSet>,
        range: TimeRange,
        mut show: impl FnMut(SeriesRef, &Column),
    ) {
        let mut look = |number: SeriesRef, column: &Column| {
            if range.overlaps(column.min_at, column.max_at) {
                show(number, column);
            }
        };
        let all = self.look();
        match wanted {
            // A few are looked up, many are met on the way through all.
            Some(wanted) if wanted.len() < all.n_series() / 4 => {
                wanted
                    .iter()
                    .filter_map(|number| Some((number, all.find(number)?)))
                    .for_each(|(n, column)| look(n, column));
            }
            _ => {
                let is_wanted = |number: SeriesRef| wanted.is_none_or(|wanted| wanted.contains(number));
                let columns = all.0.iter().flat_map(|shard| &shard.columns);
                columns.filter(|(number, _)| is_wanted(*number)).for_each(|(number, column)| look(*number, column));
            }
        }
    }

    /// Whether it has samples of the series with this number.
    pub(super) fn has(&self, series_ref: SeriesRef) -> bool {
        self.shards[series_ref as usize % N_SHARDS].read().find(series_ref).is_some()
    }

    /// Everything at once; while it is held nothing is written.
    pub(super) fn look(&self) -> Look<'_> {
        Look(self.shards.each_ref().map(RwLock::read))
    }

    /// The numbers of the series in it.
    pub(super) fn refs(&self) -> Vec<SeriesRef> {
        self.shards
            .iter()
            .flat_map(|shard| shard.read().columns.iter().map(|(number, _)| *number).collect::<Vec<_>>())
            .collect()
    }
}

/// A look at all shards of a memtable.
pub(super) struct Look<'a>([RwLockReadGuard<'a, Shard>; N_SHARDS]);

impl Look<'_> {
    fn n_series(&self) -> usize {
        self.0.iter().map(|shard| shard.columns.len()).sum()
    }

    fn find(&self, series_ref: SeriesRef) -> Option<&Column> {
        self.0[series_ref as usize % N_SHARDS].find(series_ref)
    }

    /// Whether the series with this number has samples that may lie in `range`.
    pub(super) fn is_in(&self, series_ref: SeriesRef, range: TimeRange) -> bool {
        self.find(series_ref).is_some_and(|column| range.overlaps(column.min_at, column.max_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_and_double_samples_are_put_in_order_when_read() {
        let key = Key::from_pairs("up", &[]).unwrap();
        let memtable = Memtable::new();
        assert_eq!(memtable.born(), None);
        let samples = RefSamples { refs: vec![0; 4], at: vec![30, 10, 20, 10], value: vec![3.0, 1.0, 2.0, 1.5] };
        memtable.take(&samples, &[Some(key)], 77);
        let read = |start, end| {
            let mut found = Vec::new();
            let range = TimeRange::new(start, end).unwrap();
            memtable.for_each(None, range, |_, column| found = column.samples(range));
            found.iter().map(|sample| (sample.at, sample.value)).collect::<Vec<_>>()
        };
        assert_eq!(read(0, 100), [(10, 1.5), (20, 2.0), (30, 3.0)]);
        assert_eq!(read(11, 30), [(20, 2.0)]);
        assert_eq!(read(31, 100), []);
        assert_eq!((memtable.n_samples(), memtable.born()), (4, Some(77)));
    }
}
