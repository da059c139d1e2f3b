//! Recognises a series by the bytes its labels had on the wire.
//!
//! In: the raw label bytes of one series in a request. Out: the [`Key`] they stood for last time, so that in the
//! steady state no label is parsed, checked, sorted or allocated.
//!
//! A hit is certain: the stored bytes are compared, not only their hash. The hash is seeded per cache, so a sender
//! cannot aim at one bucket. Memory is bounded: each shard has two generations, a full young one becomes the old
//! one and the old one is dropped; what is still in use moves back to the young one when it is asked for.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::series::Key;

/// Shards, so that concurrent requests rarely wait for each other. A power of two.
const N_SHARDS: usize = 16;
/// Memory one entry takes beside its raw bytes, the key's parsed labels included: they are about three times as
/// large as the raw bytes, so entries are weighed by four times those.
const ENTRY_OVERHEAD: usize = 128;

struct Entry {
    hash: u64,
    raw: Box<[u8]>,
    key: Key,
}

impl Entry {
    fn weight(&self) -> usize {
        ENTRY_OVERHEAD + 4 * self.raw.len()
    }
}

#[derive(Default)]
struct Shard {
    young: HashTable<Entry>,
    old: HashTable<Entry>,
    young_bytes: usize,
}

/// See the module's documentation.
pub(super) struct KeyCache {
    seed: u64,
    shards: Box<[Mutex<Shard>]>,
    // Of one generation of one shard.
    max_bytes: usize,
}

impl KeyCache {
    /// A cache that takes about `max_bytes` at most.
    pub(super) fn new(max_bytes: usize) -> KeyCache {
        KeyCache {
            seed: RandomState::new().hash_one(0),
            shards: (0..N_SHARDS).map(|_| Mutex::default()).collect(),
            max_bytes: max_bytes / N_SHARDS / 2,
        }
    }

    /// The key these label bytes stand for; `parse` is asked when they are new, and its errors are not kept.
    pub(super) fn get_or_parse<E>(&self, raw: &[u8], parse: impl FnOnce() -> Result<Key, E>) -> Result<Key, E> {
        let hash = xxh3_64_with_seed(raw, self.seed);
        // Low bits: hashbrown uses the high ones for its tags and the low ones for the bucket, of which any will do.
        let shard = &self.shards[(hash >> 32) as usize % N_SHARDS];
        if let Some(key) = shard.lock().get(hash, raw, self.max_bytes) {
            return Ok(key);
        }
        // Not under the lock: another request may parse the same series meanwhile, and both get equal keys.
        let key = parse()?;
        shard.lock().insert(Entry { hash, raw: raw.into(), key: key.clone() }, self.max_bytes);
        Ok(key)
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        let weigh = |table: &HashTable<Entry>| table.iter().map(Entry::weight).sum::<usize>();
        let weigh_both = |shard: &Shard| weigh(&shard.young) + weigh(&shard.old);
        self.shards.iter().map(|shard| weigh_both(&shard.lock())).sum()
    }
}

impl Shard {
    #[inline]
    fn get(&mut self, hash: u64, raw: &[u8], max_bytes: usize) -> Option<Key> {
        if let Some(entry) = self.young.find(hash, |entry| *entry.raw == *raw) {
            return Some(entry.key.clone());
        }
        let (entry, _) = self.old.find_entry(hash, |entry| *entry.raw == *raw).ok()?.remove();
        let key = entry.key.clone();
        self.insert(entry, max_bytes);
        Some(key)
    }

    fn insert(&mut self, entry: Entry, max_bytes: usize) {
        let weight = entry.weight();
        if weight > max_bytes {
            return;
        }
        if self.young_bytes + weight > max_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.find(entry.hash, |other| other.raw == entry.raw).is_none() {
            self.young_bytes += weight;
            self.young.insert_unique(entry.hash, entry, |entry| entry.hash);
        }
    }
}

impl std::fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Result<Key, ()> {
        Ok(Key::from_pairs(name, &[]).unwrap())
    }

    #[test]
    fn bytes_seen_before_are_not_parsed_again() {
        let cache = KeyCache::new(1 << 20);
        let first = cache.get_or_parse(b"raw", || key("a")).unwrap();
        let again = cache.get_or_parse(b"raw", || panic!("parsed again")) as Result<Key, ()>;
        assert_eq!(again, Ok(first));
        assert_eq!(cache.get_or_parse(b"raw2", || key("b")), key("b"));
    }

    #[test]
    fn a_failed_parse_leaves_nothing_behind() {
        let cache = KeyCache::new(1 << 20);
        assert_eq!(cache.get_or_parse(b"raw", || Err("bad")), Err("bad"));
        assert_eq!(cache.get_or_parse(b"raw", || key("a")), key("a"));
    }

    #[test]
    fn memory_is_bounded_and_what_is_in_use_stays() {
        let max_bytes = 1 << 18;
        let cache = KeyCache::new(max_bytes);
        let hot = b"hot".as_slice();
        cache.get_or_parse(hot, || key("hot")).unwrap();
        for i in 0_u32..100_000 {
            cache.get_or_parse(&i.to_le_bytes(), || key("x")).unwrap();
            cache.get_or_parse(hot, || -> Result<Key, ()> { panic!("the hot series was forgotten at {i}") }).unwrap();
        }
        assert!(cache.bytes() <= max_bytes, "{}", cache.bytes());
        let huge = vec![0; max_bytes];
        cache.get_or_parse(&huge, || key("huge")).unwrap();
        assert!(cache.bytes() <= max_bytes, "{}", cache.bytes());
    }
}
