//! Recent samples in memory, a list per series, in the order they arrived.
//!
//! One thread writes, many read. Sharded so that a reader of one shard leaves the writer free in the others.
//! Frozen, it is the same thing that nobody writes any more. Most series have a few samples in it and there may be a
//! million of them, so a series costs 80 bytes and its samples are kept as what changed from one to the next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};

use super::block::block_order;
use super::plan::WINDOWS;
use super::postings::NumberSet;
use super::wal::record::{RefSamples, SeriesRef};
use crate::series::{Key, Millis, Sample, SeriesId, TimeRange};

mod chunks;
mod column;

use chunks::Chunks;
pub(super) use column::{Column, Cursor};

const N_SHARDS: usize = 16;
/// What a window's count takes in its map, about.
const WINDOW_BYTES: usize = 24;

/// The series whose number leaves the same remainder.
#[derive(Debug, Default)]
struct Shard {
    columns: Vec<Column>,
    // By number without the remainder: where in `columns` the series is, or `NOWHERE`.
    places: Vec<u32>,
    // The samples of all columns.
    chunks: Chunks,
}

const NOWHERE: u32 = u32::MAX;

impl Shard {
    #[inline]
    fn push(&mut self, series_ref: SeriesRef, at: Millis, value: f64, keys: &[Option<Key>]) {
        let number = series_ref as usize / N_SHARDS;
        let place = self.places.get(number).copied().unwrap_or(NOWHERE);
        let place = if place == NOWHERE { self.add(series_ref, number, keys) } else { place };
        self.columns[place as usize].push(at, value, &mut self.chunks);
    }

    fn find(&self, series_ref: SeriesRef) -> Option<&Column> {
        let place = self.places.get(series_ref as usize / N_SHARDS).filter(|place| **place != NOWHERE)?;
        Some(&self.columns[*place as usize])
    }

    #[cold]
    fn add(&mut self, series_ref: SeriesRef, number: usize, keys: &[Option<Key>]) -> u32 {
        let key = keys[series_ref as usize].clone();
        let key = key.expect("the writer thread alone forgets series, and it has just looked");
        let place = u32::try_from(self.columns.len()).expect("series have numbers of 32 bits");
        self.columns.push(Column::new(key, series_ref, &mut self.chunks));
        if self.places.len() <= number {
            self.places.resize(number + 1, NOWHERE);
        }
        self.places[number] = place;
        place
    }

    fn n_bytes(&self) -> usize {
        let (columns, places) = (self.columns.capacity(), self.places.capacity());
        self.chunks.n_bytes() + columns * size_of::<Column>() + places * size_of::<u32>()
    }
}

/// Recent samples by series.
#[derive(Debug)]
pub(super) struct Memtable {
    shards: [RwLock<Shard>; N_SHARDS],
    n_samples: AtomicU64,
    n_bytes: AtomicU64,
    // When its first sample arrived, by the wall clock; `Millis::MAX` while it is empty.
    born: AtomicI64,
    // How many samples came of each 2 hours, by the window's number: what a flush is cut by.
    windows: Mutex<BTreeMap<Millis, u64>>,
}

impl Memtable {
    /// An empty one, in which about `n_series` series are expected.
    pub(super) fn new(n_series: usize) -> Memtable {
        // Some more, as the last of many would have to move them all to twice the room.
        let n_each = (n_series + n_series / 8) / N_SHARDS;
        let shard = || Shard { columns: Vec::with_capacity(n_each), ..Shard::default() };
        Memtable {
            shards: std::array::from_fn(|_| RwLock::new(shard())),
            n_samples: AtomicU64::new(0),
            n_bytes: AtomicU64::new(0),
            born: AtomicI64::new(Millis::MAX),
            windows: Mutex::default(),
        }
    }

    /// Takes samples in; `keys` holds the key of every number in them. One thread at a time.
    pub(super) fn take(&self, samples: &RefSamples, keys: &[Option<Key>], now: Millis) {
        if samples.refs.is_empty() {
            return;
        }
        self.born.fetch_min(now, Ordering::Relaxed);
        let n_windows = self.note(&samples.at);
        let mut shards = self.shards.each_ref().map(RwLock::write);
        let columns = samples.refs.iter().zip(&samples.at).zip(&samples.value);
        for ((series_ref, at), value) in columns {
            shards[*series_ref as usize % N_SHARDS].push(*series_ref, *at, *value, keys);
        }
        let n_bytes = shards.iter().map(|shard| shard.n_bytes()).sum::<usize>() + n_windows * WINDOW_BYTES;
        self.n_bytes.store(n_bytes as u64, Ordering::Relaxed);
        self.n_samples.fetch_add(samples.refs.len() as u64, Ordering::Relaxed);
    }

    /// Notes of which windows samples come, before they are in: a flush writes what is noted.
    fn note(&self, times: &[Millis]) -> usize {
        let mut windows = self.windows.lock();
        let mut rest = times;
        while let [first, others @ ..] = rest {
            let window = window_of(*first);
            let start = window.saturating_mul(WINDOWS[0]);
            let range = start..start.saturating_add(WINDOWS[0]);
            let n_others = others.iter().take_while(|at| range.contains(at)).count();
            *windows.entry(window).or_default() += 1 + n_others as u64;
            rest = &others[n_others..];
        }
        windows.len()
    }

    /// How many samples came of each 2 hours, by the window's number; those that came twice count twice.
    pub(super) fn windows(&self) -> MutexGuard<'_, BTreeMap<Millis, u64>> {
        self.windows.lock()
    }

    /// Bytes of memory it takes, the keys excepted, which others have too.
    pub(super) fn n_bytes(&self) -> u64 {
        self.n_bytes.load(Ordering::Relaxed)
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
        let shard = self.shards[series_ref as usize % N_SHARDS].read();
        if let Some(column) = shard.find(series_ref) {
            column.append_to(range, &shard.chunks, samples);
        }
    }

    /// When the newest sample of the series with this number is; `Millis::MIN` without one.
    pub(super) fn newest(&self, series_ref: SeriesRef) -> Millis {
        self.shards[series_ref as usize % N_SHARDS].read().find(series_ref).map_or(Millis::MIN, Column::newest)
    }

    /// Shows every series with one of these numbers, all when there are none, whose samples may lie in `range`.
    pub(super) fn for_each(
        &self,
        wanted: Option<&NumberSet>,
        range: TimeRange,
        mut show: impl FnMut(SeriesRef, &Column),
    ) {
        let mut look = |number: SeriesRef, column: &Column| {
            if column.overlaps(range) {
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
                columns
                    .filter(|column| is_wanted(column.series_ref))
                    .for_each(|column| look(column.series_ref, column));
            }
        }
    }

    /// How many series have samples in it.
    pub(super) fn n_series(&self) -> usize {
        self.look().n_series()
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
            .flat_map(|shard| shard.read().columns.iter().map(|column| column.series_ref).collect::<Vec<_>>())
            .collect()
    }
}

/// The number of the 2 hours that an instant is in.
pub(super) fn window_of(at: Millis) -> Millis {
    at.div_euclid(WINDOWS[0])
}

/// Where a series is in a memtable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    shard: u32,
    column: u32,
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

    fn column(&self, place: Place) -> (&Column, &Chunks) {
        let shard = &self.0[place.shard as usize];
        (&shard.columns[place.column as usize], &shard.chunks)
    }

    /// Where every series is, in the order of a block.
    pub(super) fn in_block_order(&self) -> Vec<Place> {
        let mut metrics: Vec<&str> = Vec::new();
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut order: Vec<(u32, SeriesId, Place)> = Vec::with_capacity(self.n_series());
        for (shard, columns) in (0..).zip(self.0.iter().map(|shard| &shard.columns)) {
            for (place, column) in (0..).zip(columns) {
                let metric = column.key().metric();
                let number = *numbers.entry(metric).or_insert_with(|| {
                    metrics.push(metric);
                    metrics.len() as u32 - 1
                });
                order.push((number, column.key().id(), Place { shard, column: place }));
            }
        }
        // Sorted by numbers, as there are few metrics and each has many series.
        let mut ranks = vec![0; metrics.len()];
        let mut by_name: Vec<u32> = (0..metrics.len() as u32).collect();
        by_name.sort_unstable_by_key(|number| metrics[*number as usize]);
        (0..).zip(by_name).for_each(|(rank, number)| ranks[number as usize] = rank);
        order.iter_mut().for_each(|(number, ..)| *number = ranks[*number as usize]);
        order.sort_unstable_by(|a, b| {
            let by_text = || block_order(self.column(a.2).0.key(), self.column(b.2).0.key());
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(by_text)
        });
        order.into_iter().map(|(.., place)| place).collect()
    }

    /// Whose samples are there.
    pub(super) fn key(&self, place: Place) -> &Key {
        self.column(place).0.key()
    }

    /// Appends the samples there that lie in `range`, in time order, of duplicates the one that arrived last.
    pub(super) fn append_to(&self, place: Place, range: TimeRange, samples: &mut Vec<Sample>) {
        let (column, chunks) = self.column(place);
        column.append_to(range, chunks, samples);
    }

    /// The same, for several ranges of this series: see [`Column::append_onward`].
    pub(super) fn append_onward(
        &self,
        place: Place,
        cursor: &mut Cursor,
        range_and_next: (TimeRange, Millis),
        samples: &mut Vec<Sample>,
    ) {
        let (column, chunks) = self.column(place);
        column.append_onward(cursor, range_and_next, chunks, samples);
    }

    /// Whether the series with this number has samples that may lie in `range`.
    pub(super) fn is_in(&self, series_ref: SeriesRef, range: TimeRange) -> bool {
        self.find(series_ref).is_some_and(|column| column.overlaps(range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_and_double_samples_are_put_in_order_when_read() {
        let key = Key::from_pairs("up", &[]).unwrap();
        let memtable = Memtable::new(1);
        assert_eq!(memtable.born(), None);
        let samples = RefSamples { refs: vec![0; 4], at: vec![30, 10, 20, 10], value: vec![3.0, 1.0, 2.0, 1.5] };
        memtable.take(&samples, &[Some(key)], 77);
        let read = |start, end| {
            let mut found: Vec<Sample> = Vec::new();
            let range = TimeRange::new(start, end).unwrap();
            memtable.append_to(0, range, &mut found);
            found.iter().map(|sample| (sample.at, sample.value)).collect::<Vec<_>>()
        };
        assert_eq!(read(0, 100), [(10, 1.5), (20, 2.0), (30, 3.0)]);
        assert_eq!(read(11, 30), [(20, 2.0)]);
        assert_eq!(read(31, 100), []);
        assert_eq!((memtable.n_samples(), memtable.born()), (4, Some(77)));
        assert_eq!(*memtable.windows(), BTreeMap::from([(0, 4)]));
    }

    #[test]
    fn windows_are_counted_as_samples_come() {
        let memtable = Memtable::new(1);
        let at = vec![-1, WINDOWS[0], 0, WINDOWS[0] - 1, WINDOWS[0], WINDOWS[0], -WINDOWS[0]];
        let samples = RefSamples { refs: vec![0; at.len()], value: vec![0.5; at.len()], at };
        memtable.take(&samples, &[Key::from_pairs("up", &[]).ok()], 0);
        assert_eq!(*memtable.windows(), BTreeMap::from([(-1, 2), (0, 2), (1, 3)]));
    }
}
