//! Which number stands for which active series, in the log and in the memtable.
//!
//! Many appending threads look numbers up at once; only the writer thread takes series out. The number of a series that
//! is gone is given to another in the end, so that the table is as large as the most series there were at a time, however
//! many come and go. So numbers hold good for an [`epoch`](SeriesTable::epoch): whoever asked in an earlier one has to
//! ask again.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use hashbrown::{Equivalent, HashMap};
use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};

use super::postings::Postings;
use super::wal::record::SeriesRef;
use crate::series::{Key, SeriesId};

const N_SHARDS: usize = 16;
// Lists of so few series are not worth cleaning.
const MIN_LISTED: usize = 10_000;

/// Passes a series id through: it already is a hash.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        // Keys write their id and refs are numbers; anything else is still hashed, if poorly.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_i64(&mut self, id: i64) {
        self.0 = id.cast_unsigned();
    }

    fn write_u32(&mut self, number: u32) {
        // Fibonacci hashing spreads neighbouring numbers over the whole word.
        self.0 = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(super) type IdBuild = BuildHasherDefault<IdHasher>;

/// What finds a key that nobody has at hand.
struct Named<I> {
    id: SeriesId,
    labels: I,
}

impl<I> Hash for Named<I> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As a key does.
        state.write_i64(self.id);
    }
}

impl<'a, I: Iterator<Item = (&'a str, &'a str)> + Clone> Equivalent<Key> for Named<I> {
    fn equivalent(&self, key: &Key) -> bool {
        let mut labels = self.labels.clone();
        let is_next = |(name, value)| labels.next().is_some_and(|label| label.0 == name && label.1 == value);
        self.id == key.id() && key.labels().iter().all(is_next) && labels.next().is_none()
    }
}

/// The active series and their numbers.
#[derive(Debug)]
pub(super) struct SeriesTable {
    // Under which keys remember the numbers of this table. No two tables and no two epochs have the same.
    epoch: AtomicU32,
    shards: [RwLock<HashMap<Key, SeriesRef, IdBuild>>; N_SHARDS],
    // Locked after a shard, never before.
    numbers: RwLock<Numbers>,
    // Locked after `numbers`. Series that have gone quiet stay in it for a while.
    postings: RwLock<Postings>,
    n_listed: AtomicUsize,
    n_active: AtomicUsize,
    // Of the active series' keys.
    key_bytes: AtomicUsize,
    max_active: usize,
}

#[derive(Debug, Default)]
struct Numbers {
    // Indexed by number; `None` once a series has gone quiet.
    keys: Vec<Option<Key>>,
    // Those that are nobody's any more, neither in a list nor in a memtable, the largest first.
    free: Vec<SeriesRef>,
}

fn new_epoch() -> u32 {
    static N_EPOCHS: AtomicU32 = AtomicU32::new(0);
    // 0 is nobody's. Only a key that was last sent four thousand million epochs ago would remember one of now.
    loop {
        let epoch = N_EPOCHS.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if epoch != 0 {
            return epoch;
        }
    }
}

impl SeriesTable {
    pub(super) fn new(max_active: usize) -> SeriesTable {
        SeriesTable {
            epoch: new_epoch().into(),
            shards: std::array::from_fn(|_| RwLock::default()),
            numbers: RwLock::default(),
            postings: RwLock::default(),
            n_listed: AtomicUsize::new(0),
            n_active: AtomicUsize::new(0),
            key_bytes: AtomicUsize::new(0),
            max_active,
        }
    }

    /// What numbers hold good for: those that [`resolve`](SeriesTable::resolve) answers to whoever has read this first,
    /// as long as it is this.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The number of `key` in `epoch`, given now if it has none; `None` when there are as many series as there may be.
    ///
    /// The key may remember a number that has been swept since; then [`resolve_anew`](SeriesTable::resolve_anew).
    pub(super) fn resolve(&self, key: &Key, epoch: u32) -> Option<SeriesRef> {
        key.number(epoch).or_else(|| self.resolve_anew(key, epoch))
    }

    /// As [`resolve`](SeriesTable::resolve), whatever the key remembers.
    pub(super) fn resolve_anew(&self, key: &Key, epoch: u32) -> Option<SeriesRef> {
        let number = self.look_up(key, self.max_active)?;
        key.set_number(epoch, number);
        Some(number)
    }

    /// The number of `key` without a limit: what is in the log was accepted before.
    pub(super) fn resolve_always(&self, key: &Key) -> Option<SeriesRef> {
        self.look_up(key, usize::MAX)
    }

    fn look_up(&self, key: &Key, max_active: usize) -> Option<SeriesRef> {
        let shard = &self.shards[shard_of(key.id())];
        if let Some(known) = shard.read().get(key) {
            return Some(*known);
        }
        let mut shard = shard.write();
        // Another thread may have been here between the two locks.
        if let Some(known) = shard.get(key) {
            return Some(*known);
        }
        let mut numbers = self.numbers.write();
        if self.n_active() >= max_active {
            return None;
        }
        let given = match numbers.free.pop() {
            Some(free) => free,
            None => {
                let new = SeriesRef::try_from(numbers.keys.len()).ok()?;
                numbers.keys.push(None);
                new
            }
        };
        numbers.keys[given as usize] = Some(key.clone());
        self.postings.write().add(given, key.labels());
        self.n_listed.fetch_add(1, Ordering::Relaxed);
        shard.insert(key.clone(), given);
        self.n_active.fetch_add(1, Ordering::Relaxed);
        self.key_bytes.fetch_add(key.n_bytes(), Ordering::Relaxed);
        Some(given)
    }

    /// The key of the active series with this id and these labels, which all who need it share.
    pub(super) fn key<'a>(
        &self,
        id: SeriesId,
        labels: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Option<Key> {
        let shard = self.shards[shard_of(id)].read();
        shard.get_key_value(&Named { id, labels }).map(|(key, _)| key.clone())
    }

    /// The key for each number; `None` for series that have gone quiet.
    pub(super) fn keys(&self) -> MappedRwLockReadGuard<'_, [Option<Key>]> {
        RwLockReadGuard::map(self.numbers.read(), |numbers| &*numbers.keys)
    }

    pub(super) fn n_active(&self) -> usize {
        self.n_active.load(Ordering::Relaxed)
    }

    pub(super) fn max_active(&self) -> usize {
        self.max_active
    }

    /// Which numbers have which labels.
    pub(super) fn postings(&self) -> RwLockReadGuard<'_, Postings> {
        self.postings.read()
    }

    /// Bytes of memory it takes; the keys, which others have too, are counted here.
    pub(super) fn n_bytes(&self) -> usize {
        let found: usize = self.shards.iter().map(|shard| shard.read().allocation_size()).sum();
        let listed = {
            let Numbers { keys, free } = &*self.numbers.read();
            keys.capacity() * size_of::<Option<Key>>() + free.capacity() * size_of::<SeriesRef>()
        };
        found + listed + self.key_bytes.load(Ordering::Relaxed) + self.postings().n_bytes()
    }

    /// Forgets the series whose number `is_quiet`. Whoever still holds such a number finds no key and asks again.
    ///
    /// Their labels are still found, for samples under their numbers may be read.
    pub(super) fn sweep(&self, is_quiet: impl Fn(SeriesRef) -> bool) {
        let numbered = |keys: &[Option<Key>]| -> Vec<(SeriesRef, Key)> {
            let numbered = (0..).zip(keys).filter_map(|(number, key)| Some((number, key.as_ref()?)));
            numbered.filter(|(number, _)| is_quiet(*number)).map(|(number, key)| (number, key.clone())).collect()
        };
        let quiet = numbered(&self.keys());
        for (number, key) in quiet {
            let mut shard = self.shards[shard_of(key.id())].write();
            if shard.remove(&key).is_some() {
                self.numbers.write().keys[number as usize] = None;
                self.n_active.fetch_sub(1, Ordering::Relaxed);
                self.key_bytes.fetch_sub(key.n_bytes(), Ordering::Relaxed);
            }
        }
    }

    /// Whether so many series are gone that it is worth going over all lists to free their numbers.
    pub(super) fn has_many_gone(&self) -> bool {
        self.n_listed.load(Ordering::Relaxed) > 2 * self.n_active() + MIN_LISTED
    }

    /// Ends the epoch, so that numbers may be freed; answers the new one.
    pub(super) fn begin_epoch(&self) -> u32 {
        let epoch = new_epoch();
        self.epoch.store(epoch, Ordering::Release);
        epoch
    }

    /// Frees the numbers of series that are gone, but for those under which samples are to be read: that are `in_use`.
    ///
    /// For the writer thread, after [`begin_epoch`](SeriesTable::begin_epoch).
    pub(super) fn free_numbers(&self, in_use: impl Fn(SeriesRef) -> bool) {
        let mut numbers = self.numbers.write();
        let Numbers { keys, free } = &mut *numbers;
        let is_kept = |number: SeriesRef| keys[number as usize].is_some() || in_use(number);
        *free = (0..keys.len() as SeriesRef).rev().filter(|number| !is_kept(*number)).collect();
        self.postings.write().retain(is_kept);
        self.n_listed.store(keys.len() - free.len(), Ordering::Relaxed);
    }
}

fn shard_of(id: SeriesId) -> usize {
    // Not the low bits and not the top seven, which the map within the shard uses.
    (id >> 32) as usize % N_SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Selector;

    #[test]
    fn a_number_is_one_series_for_an_epoch_and_then_anothers() {
        let table = SeriesTable::new(2);
        let [a, b, c] = ["a", "b", "c"].map(|metric| Key::from_pairs(metric, &[]).unwrap());
        let before = table.epoch();
        let resolve = |key: &Key| table.resolve(key, table.epoch());
        assert_eq!((resolve(&a), resolve(&b), resolve(&a), resolve(&c)), (Some(0), Some(1), Some(0), None));
        let find = |key: &Key| table.key(key.id(), key.labels().iter());
        assert_eq!((find(&a), find(&c)), (Some(a.clone()), None));
        assert_eq!(table.key(a.id(), b.labels().iter()), None, "an id alone is no key");
        table.sweep(|number| number == 0);
        assert_eq!((table.n_active(), table.keys()[0].clone(), find(&a)), (1, None, None));
        assert_eq!(resolve(&a), Some(0), "remembered, and refused by the writer");
        assert_eq!((resolve(&c), table.resolve_anew(&a, before)), (Some(2), None));
        assert_ne!(table.begin_epoch(), before);
        table.free_numbers(|_| false);
        assert_eq!((resolve(&b), resolve(&c), resolve(&a)), (Some(1), Some(2), None));
        assert_eq!(table.resolve_always(&a), Some(0));
        assert_eq!(table.resolve(&a, before), Some(0), "remembered, for an epoch in which the writer takes it no more");
    }

    #[test]
    fn it_is_as_large_as_the_most_series_at_a_time() {
        let table = SeriesTable::new(20_000);
        let key = |round: usize, idx: usize| Key::from_pairs("pod", &[("pod", &format!("{round}-{idx}"))]).unwrap();
        let mut most = 0;
        for round in 0..60 {
            let epoch = table.epoch();
            let numbers: Vec<_> = (0..1_000).map(|idx| table.resolve(&key(round, idx), epoch).unwrap()).collect();
            // Those of the round before go.
            table.sweep(|number| !numbers.contains(&number));
            assert_eq!(table.n_active(), 1_000);
            if table.has_many_gone() {
                table.begin_epoch();
                table.free_numbers(|_| false);
                assert_eq!(table.postings().matching(&Selector::metric("pod")).unwrap().len(), 1_000);
            }
            most = most.max(table.n_bytes());
        }
        assert!(table.keys().len() <= MIN_LISTED + 4_000, "{}", table.keys().len());
        assert!(most < (MIN_LISTED + 4_000) * 400, "{most}");
    }
}
