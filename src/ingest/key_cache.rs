//! Recognises a series by the bytes its labels had on the wire.
//!
//! In: the raw label bytes of one series in a request. Out: the [`Key`] they stood for last time, so that in the
//! steady state no label is parsed, checked, sorted or allocated.
//!
//! A hit is certain: the bytes are compared, not only their hash. Most senders write the labels as they are in the key,
//! sorted and each as short as it can be; then the key itself is what they are compared with, and a copy is kept of
//! others only. The hash is seeded per cache, so a sender cannot aim at one bucket. Senders repeat their series in the
//! same order, so each entry remembers which one came after it last time: a right guess saves hashing, and finding where
//! the labels end. A request reads under one lock from its first series to its last and brings what was new when it is
//! done. Memory is bounded: series that were not seen for a while go, so that it holds a fleet once, however often its
//! members are replaced; and a full cache keeps what was used lately.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use hashbrown::HashTable;
use parking_lot::{RwLock, RwLockReadGuard};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::protobuf::starts_with_labels;
use crate::series::{Key, MINUTE, Millis};

/// Memory one entry takes beside its bytes and its key: its fields, and its places in the list and the table.
const ENTRY_OVERHEAD: usize = 96;
/// After so long a generation ends. An entry stays for the next one, and goes when it is not used in that either.
const GENERATION: Millis = 30 * MINUTE;

/// What is known of a series on the wire.
#[derive(Debug)]
pub(super) struct Entry {
    hash: u64,
    key: Key,
    // The bytes on the wire; empty when they are what the key's labels are written as.
    raw: Box<[u8]>,
    raw_len: u32,
    // The entry that followed this one last time.
    next: AtomicU32,
    // Where the key stood in the last batch it was in.
    key_idx: AtomicU32,
    // The generation in which it was used last.
    used: AtomicU32,
}

impl Entry {
    fn new(hash: u64, raw: &[u8], key: Key) -> Entry {
        let (next, key_idx, used) = Default::default();
        let is_plain = starts_with_labels(raw, key.labels()) == Some(raw.len());
        let raw_len = u32::try_from(raw.len()).expect("a request is smaller than 4 GiB");
        let raw = if is_plain { Box::default() } else { raw.into() };
        Entry { hash, key, raw, raw_len, next, key_idx, used }
    }

    /// Whether `message` begins with these labels.
    #[inline]
    fn begins(&self, message: &[u8]) -> bool {
        if self.raw.is_empty() {
            starts_with_labels(message, self.key.labels()).is_some()
        } else {
            message.starts_with(&self.raw)
        }
    }

    /// Whether `raw` are the bytes of these labels, and no more.
    fn is(&self, raw: &[u8]) -> bool {
        raw.len() == self.raw_len() && self.begins(raw)
    }

    fn is_same(&self, other: &Entry) -> bool {
        self.raw == other.raw && self.key == other.key
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// Bytes of the labels on the wire.
    pub(super) fn raw_len(&self) -> usize {
        self.raw_len as usize
    }

    /// Where the key stood in some earlier batch: a guess for this one, to be checked.
    pub(super) fn key_idx_hint(&self) -> u32 {
        self.key_idx.load(Ordering::Relaxed)
    }

    pub(super) fn remember_key_idx(&self, key_idx: u32) {
        self.key_idx.store(key_idx, Ordering::Relaxed);
    }

    fn weight(&self) -> usize {
        ENTRY_OVERHEAD + self.raw.len() + self.key.n_bytes()
    }
}

#[derive(Debug, Default)]
struct Known {
    entries: Vec<Entry>,
    by_hash: HashTable<u32>,
    n_bytes: usize,
    generation: u32,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct KeyCache {
    seed: u64,
    known: RwLock<Known>,
    max_bytes: usize,
    // When this generation began.
    began: AtomicI64,
}

impl KeyCache {
    /// A cache that takes about `max_bytes` at most.
    pub(super) fn new(max_bytes: usize) -> KeyCache {
        KeyCache {
            seed: RandomState::new().hash_one(0),
            known: RwLock::default(),
            max_bytes,
            began: AtomicI64::new(Millis::MIN),
        }
    }

    /// Looks series up until it is dropped; what it is taught meanwhile waits for [`KeyCache::learn`].
    pub(super) fn reader(&self) -> CacheReader<'_> {
        CacheReader { seed: self.seed, known: self.known.read(), last: None, fresh: HashTable::new() }
    }

    /// Takes in what a reader was taught, at `now`.
    pub(super) fn learn(&self, fresh: Fresh, now: Millis) {
        let began = self.began.load(Ordering::Relaxed);
        // A clock that was set back ends a generation too early rather than never.
        let is_over = now.saturating_sub(began).saturating_abs() >= GENERATION;
        if fresh.0.is_empty() && !is_over {
            return;
        }
        let mut known = self.known.write();
        if is_over && self.began.swap(now, Ordering::Relaxed) == began {
            known.shed(self.max_bytes, 1);
        }
        for entry in fresh.0 {
            known.insert(entry, self.max_bytes);
        }
    }

    /// Bytes of memory that the entries take, their keys included.
    pub(super) fn n_bytes(&self) -> usize {
        self.known.read().n_bytes
    }
}

/// One request's view of the cache.
pub(super) struct CacheReader<'a> {
    seed: u64,
    known: RwLockReadGuard<'a, Known>,
    // The entry that was found last.
    last: Option<u32>,
    fresh: HashTable<Entry>,
}

/// Series that a reader was taught.
pub(super) struct Fresh(HashTable<Entry>);

impl CacheReader<'_> {
    /// The series that followed the last one before, if the series message `message` begins with its labels.
    ///
    /// Whether more labels follow is for the caller to see.
    #[inline]
    pub(super) fn guess(&mut self, message: &[u8]) -> Option<&Entry> {
        let entries = &self.known.entries;
        let next = entries.get(self.last? as usize)?.next.load(Ordering::Relaxed);
        let entry = entries.get(next as usize).filter(|entry| entry.begins(message))?;
        self.last = Some(next);
        entry.used.store(self.known.generation, Ordering::Relaxed);
        Some(entry)
    }

    /// The series with these label bytes; `parse` is asked when they are new, and its errors are not kept.
    pub(super) fn get_or_parse<E>(&mut self, raw: &[u8], parse: impl FnOnce() -> Result<Key, E>) -> Result<&Entry, E> {
        let hash = xxh3_64_with_seed(raw, self.seed);
        let Known { entries, by_hash, generation, .. } = &*self.known;
        if let Some(&idx) = by_hash.find(hash, |&idx| entries[idx as usize].is(raw)) {
            if let Some(last) = self.last {
                entries[last as usize].next.store(idx, Ordering::Relaxed);
            }
            self.last = Some(idx);
            let entry = &entries[idx as usize];
            entry.used.store(*generation, Ordering::Relaxed);
            return Ok(entry);
        }
        use hashbrown::hash_table::Entry::{Occupied, Vacant};
        match self.fresh.entry(hash, |entry| entry.is(raw), |entry| entry.hash) {
            Occupied(known) => Ok(known.into_mut()),
            Vacant(place) => Ok(place.insert(Entry::new(hash, raw, parse()?)).into_mut()),
        }
    }

    /// What was new, for [`KeyCache::learn`]; the cache is free again.
    pub(super) fn finish(self) -> Fresh {
        Fresh(self.fresh)
    }
}

impl Known {
    fn insert(&mut self, entry: Entry, max_bytes: usize) {
        let weight = entry.weight();
        // Another request may have brought it meanwhile.
        let is_known = |&idx: &u32| self.entries[idx as usize].is_same(&entry);
        if weight > max_bytes / 2 || self.by_hash.find(entry.hash, is_known).is_some() {
            return;
        }
        if self.n_bytes + weight > max_bytes {
            self.shed(max_bytes / 2, 0);
        }
        let Ok(idx) = u32::try_from(self.entries.len()) else { return };
        self.n_bytes += weight;
        entry.used.store(self.generation, Ordering::Relaxed);
        let entries = &self.entries;
        self.by_hash.insert_unique(entry.hash, idx, |&idx| entries[idx as usize].hash);
        self.entries.push(entry);
    }

    /// Keeps what was used in this generation or in the `n_before` before it, up to `max_bytes`, and begins the next.
    fn shed(&mut self, max_bytes: usize, n_before: u32) {
        let generation = self.generation;
        self.n_bytes = 0;
        self.entries.retain(|entry| {
            let age = generation.wrapping_sub(entry.used.load(Ordering::Relaxed));
            let is_kept = age <= n_before && self.n_bytes + entry.weight() <= max_bytes;
            self.n_bytes += if is_kept { entry.weight() } else { 0 };
            is_kept
        });
        if self.entries.capacity() > 4 * self.entries.len() {
            self.entries.shrink_to(2 * self.entries.len());
        }
        self.generation = generation.wrapping_add(1);
        self.by_hash.clear();
        let entries = &self.entries;
        for (idx, entry) in (0..).zip(entries) {
            self.by_hash.insert_unique(entry.hash, idx, |&idx: &u32| entries[idx as usize].hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Result<Key, &'static str> {
        Ok(Key::from_pairs(name, &[]).unwrap())
    }

    fn get(
        cache: &KeyCache,
        raw: &[u8],
        parse: impl FnOnce() -> Result<Key, &'static str>,
    ) -> Result<Key, &'static str> {
        let mut reader = cache.reader();
        let found = reader.get_or_parse(raw, parse).map(|entry| entry.key().clone());
        let fresh = reader.finish();
        cache.learn(fresh, 0);
        found
    }

    #[test]
    fn bytes_seen_before_are_not_parsed_again() {
        let cache = KeyCache::new(1 << 20);
        let first = get(&cache, b"raw", || key("a")).unwrap();
        assert_eq!(get(&cache, b"raw", || panic!("parsed again")), Ok(first));
        assert_eq!(get(&cache, b"raw2", || key("b")), key("b"));
        let mut reader = cache.reader();
        reader.get_or_parse(b"new", || key("c")).unwrap();
        reader.get_or_parse(b"new", || -> Result<Key, ()> { panic!("parsed again in one request") }).unwrap();
    }

    #[test]
    fn the_order_of_the_last_request_is_guessed_and_checked() {
        let cache = KeyCache::new(1 << 20);
        let request = |reader: &mut CacheReader<'_>| {
            for raw in [b"one", b"two"] {
                reader.get_or_parse(raw, || key(std::str::from_utf8(raw).unwrap())).unwrap();
            }
        };
        for _ in 0..2 {
            let mut reader = cache.reader();
            request(&mut reader);
            let fresh = reader.finish();
            cache.learn(fresh, 0);
        }
        let mut reader = cache.reader();
        assert!(reader.guess(b"one").is_none(), "nothing came before the first");
        reader.get_or_parse(b"one", || key("one")).unwrap();
        assert!(reader.guess(b"tw").is_none());
        assert!(reader.guess(b"twig").is_none());
        assert_eq!(reader.guess(b"two and what follows").map(|entry| entry.key().metric()), Some("two"));
    }

    #[test]
    fn only_labels_that_are_written_in_another_way_are_copied() {
        let label = |name: &str, value: &str| {
            let inner =
                [&[0x0a, name.len() as u8], name.as_bytes(), &[0x12, value.len() as u8], value.as_bytes()].concat();
            [&[0x0a, inner.len() as u8], &*inner].concat()
        };
        let (name, host) = (label("__name__", "up"), label("host", "a"));
        let key = || Ok(Key::from_pairs("up", &[("host", "a")]).unwrap());
        let cache = KeyCache::new(1 << 20);
        let plain = [&*name, &*host].concat();
        let turned = [&*host, &*name].concat();
        assert_eq!(get(&cache, &plain, key), get(&cache, &turned, key));
        let copied =
            |cache: &KeyCache| cache.known.read().entries.iter().map(|entry| entry.raw.len()).collect::<Vec<_>>();
        assert_eq!(copied(&cache), [0, turned.len()]);
        let unknown = || Err("not known");
        for other in [&name, &[&*plain, &*host].concat(), &plain[..plain.len() - 1].to_vec()] {
            assert_eq!(get(&cache, other, unknown), Err("not known"), "{other:?}");
        }
        // A length in two bytes where one would do.
        let long = [&[0x8a, 0x00], &plain[1..]].concat();
        assert_eq!((get(&cache, &long, key), get(&cache, &plain, unknown)), (key(), key()));
        assert_eq!(copied(&cache), [0, turned.len(), long.len()]);
    }

    #[test]
    fn a_failed_parse_leaves_nothing_behind() {
        let cache = KeyCache::new(1 << 20);
        assert_eq!(get(&cache, b"raw", || Err("bad")), Err("bad"));
        assert_eq!(get(&cache, b"raw", || key("a")), key("a"));
    }

    #[test]
    fn who_is_replaced_every_hour_is_forgotten() {
        let cache = KeyCache::new(1 << 30);
        let mut largest = 0;
        for hour in 0..100_i64 {
            for minute in 0..60 {
                for pod in 0..20 {
                    let raw = format!("{hour}-{pod}");
                    let mut reader = cache.reader();
                    reader.get_or_parse(raw.as_bytes(), || key("pod")).unwrap();
                    let fresh = reader.finish();
                    cache.learn(fresh, (60 * hour + minute) * MINUTE);
                }
            }
            largest = largest.max(cache.known.read().entries.len());
        }
        assert!((20..=60).contains(&largest), "{largest} entries for 20 pods at a time");
        let known = cache.known.read();
        assert_eq!(known.n_bytes, known.entries.iter().map(Entry::weight).sum::<usize>());
    }

    #[test]
    fn memory_is_bounded_and_what_is_in_use_stays() {
        let max_bytes = 1 << 18;
        let cache = KeyCache::new(max_bytes);
        let hot = b"hot".as_slice();
        get(&cache, hot, || key("hot")).unwrap();
        for i in 0_u32..100_000 {
            get(&cache, &i.to_le_bytes(), || key("x")).unwrap();
            get(&cache, hot, || panic!("the hot series was forgotten at {i}")).unwrap();
        }
        assert!(cache.n_bytes() <= max_bytes, "{}", cache.n_bytes());
        let huge = vec![0; max_bytes];
        get(&cache, &huge, || key("huge")).unwrap();
        assert!(cache.n_bytes() <= max_bytes, "{}", cache.n_bytes());
    }
}
