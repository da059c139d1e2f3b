//! Which number stands for which active series, in the log and in the memtable.
//!
//! Many appending threads look numbers up at once; only the writer thread takes series out. A number is never given
//! twice in the life of a process, so that a number once handed out means one series or nothing.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::{RwLock, RwLockReadGuard};

use super::postings::{NumberSet, Postings};
use super::wal::record::SeriesRef;
use crate::series::{Key, Selector};

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

/// The active series and their numbers.
#[derive(Debug)]
pub(super) struct SeriesTable {
    // Under which keys remember the numbers of this table.
    owner: u32,
    shards: [RwLock<HashMap<Key, SeriesRef, IdBuild>>; N_SHARDS],
    // Indexed by number; `None` once a series has gone quiet. Locked after a shard, never before.
    keys: RwLock<Vec<Option<Key>>>,
    // Locked after `keys`. Series that have gone quiet stay in it for a while.
    postings: RwLock<Postings>,
    n_listed: AtomicUsize,
    n_active: AtomicUsize,
    max_active: usize,
}

impl SeriesTable {
    pub(super) fn new(max_active: usize) -> SeriesTable {
        static N_TABLES: AtomicU32 = AtomicU32::new(0);
        SeriesTable {
            owner: N_TABLES.fetch_add(1, Ordering::Relaxed) + 1,
            shards: std::array::from_fn(|_| RwLock::default()),
            keys: RwLock::default(),
            postings: RwLock::default(),
            n_listed: AtomicUsize::new(0),
            n_active: AtomicUsize::new(0),
            max_active,
        }
    }

    /// The number of `key`, given now if it has none; `None` when there are as many series as there may be.
    ///
    /// The key may remember a number that has been swept since; then [`resolve_anew`](SeriesTable::resolve_anew).
    pub(super) fn resolve(&self, key: &Key) -> Option<SeriesRef> {
        key.number(self.owner).or_else(|| self.resolve_anew(key))
    }

    /// As [`resolve`](SeriesTable::resolve), whatever the key remembers.
    pub(super) fn resolve_anew(&self, key: &Key) -> Option<SeriesRef> {
        self.resolve_up_to(key, self.max_active)
    }

    /// As [`resolve`](SeriesTable::resolve) without a limit: what is in the log was accepted before.
    pub(super) fn resolve_always(&self, key: &Key) -> Option<SeriesRef> {
        self.resolve_up_to(key, usize::MAX)
    }

    fn resolve_up_to(&self, key: &Key, max_active: usize) -> Option<SeriesRef> {
        let number = self.look_up(key, max_active);
        if let Some(number) = number {
            key.set_number(self.owner, number);
        }
        number
    }

    fn look_up(&self, key: &Key, max_active: usize) -> Option<SeriesRef> {
        let shard = &self.shards[shard_of(key)];
        if let Some(known) = shard.read().get(key) {
            return Some(*known);
        }
        let mut shard = shard.write();
        // Another thread may have been here between the two locks.
        if let Some(known) = shard.get(key) {
            return Some(*known);
        }
        let mut keys = self.keys.write();
        if self.n_active() >= max_active {
            return None;
        }
        let given = SeriesRef::try_from(keys.len()).ok()?;
        keys.push(Some(key.clone()));
        self.postings.write().add(given, key.labels());
        self.n_listed.fetch_add(1, Ordering::Relaxed);
        shard.insert(key.clone(), given);
        self.n_active.fetch_add(1, Ordering::Relaxed);
        Some(given)
    }

    /// The key for each number; `None` for series that have gone quiet.
    pub(super) fn keys(&self) -> RwLockReadGuard<'_, Vec<Option<Key>>> {
        self.keys.read()
    }

    pub(super) fn n_active(&self) -> usize {
        self.n_active.load(Ordering::Relaxed)
    }

    pub(super) fn max_active(&self) -> usize {
        self.max_active
    }

    /// The numbers of the active series that `selector` means, and perhaps of some that are not; `None` stands for all.
    pub(super) fn matching(&self, selector: &Selector) -> Option<NumberSet> {
        self.postings.read().matching(selector)
    }

    /// Which numbers have which labels.
    pub(super) fn postings(&self) -> RwLockReadGuard<'_, Postings> {
        self.postings.read()
    }

    /// Forgets the series whose number `is_quiet`. Whoever still holds such a number finds no key and asks again.
    ///
    /// Their labels are still found while samples under that number are to be read: as long as `is_readable`.
    pub(super) fn sweep(&self, is_quiet: impl Fn(SeriesRef) -> bool, is_readable: impl Fn(SeriesRef) -> bool) {
        let numbered = |keys: &[Option<Key>]| -> Vec<(SeriesRef, Key)> {
            let numbered = (0..).zip(keys).filter_map(|(number, key)| Some((number, key.clone()?)));
            numbered.filter(|(number, _)| is_quiet(*number)).collect()
        };
        let quiet = numbered(&self.keys());
        for (number, key) in quiet {
            let mut shard = self.shards[shard_of(&key)].write();
            if shard.remove(&key).is_some() {
                self.keys.write()[number as usize] = None;
                self.n_active.fetch_sub(1, Ordering::Relaxed);
            }
        }
        // Not for every few series: it goes over all lists.
        if self.n_listed.load(Ordering::Relaxed) > 2 * self.n_active() + MIN_LISTED {
            let keys = self.keys.read();
            let is_known = |number: SeriesRef| keys.get(number as usize).is_some_and(Option::is_some);
            self.postings.write().retain(|number| is_known(number) || is_readable(number));
            self.n_listed.store(self.n_active(), Ordering::Relaxed);
        }
    }
}

fn shard_of(key: &Key) -> usize {
    // Not the low bits and not the top seven, which the map within the shard uses.
    (key.id() >> 32) as usize % N_SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_once_and_never_again() {
        let table = SeriesTable::new(2);
        let [a, b, c] = ["a", "b", "c"].map(|metric| Key::from_pairs(metric, &[]).unwrap());
        assert_eq!((table.resolve(&a), table.resolve(&b), table.resolve(&a)), (Some(0), Some(1), Some(0)));
        assert_eq!(table.resolve(&c), None);
        table.sweep(|number| number == 0, |_| false);
        assert_eq!((table.n_active(), table.keys()[0].clone()), (1, None));
        assert_eq!((table.resolve(&c), table.resolve_anew(&a)), (Some(2), None));
        assert_eq!(table.resolve(&a), Some(0), "remembered, and refused by the writer");
        assert_eq!(table.resolve_always(&a), Some(3));
    }
}
