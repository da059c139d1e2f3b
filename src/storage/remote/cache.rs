//! Pieces of the bucket's blocks, kept on this disk up to a size; what was not used for the longest time goes first.
//!
//! A piece is a file of its own, written under another name and renamed, with its CRC32 at the end: a piece that a
//! crash left half written does not pass for one, and is fetched again. So nothing here is ever synced, and all of it
//! may be deleted at any time.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::super::files::Files;

/// Bytes of a piece; the last of a block may be shorter.
pub(super) const PIECE: u64 = 256 << 10;

type Name = (Arc<str>, u64);

/// The pieces on disk.
#[derive(Debug)]
pub(in crate::storage) struct Cache {
    files: Arc<dyn Files>,
    dir: PathBuf,
    tmp_dir: PathBuf,
    limit: u64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    n_bytes: u64,
    // Counts uses; the larger, the later.
    clock: u64,
    pieces: HashMap<Name, (u64, u64)>,
    by_use: BTreeMap<u64, Name>,
    n_writes: u64,
}

impl Known {
    fn insert(&mut self, name: Name, n_bytes: u64) {
        self.remove(&name);
        self.clock += 1;
        self.by_use.insert(self.clock, name.clone());
        self.pieces.insert(name, (n_bytes, self.clock));
        self.n_bytes += n_bytes;
    }

    fn touch(&mut self, name: &Name) -> bool {
        let Some((_, used)) = self.pieces.get_mut(name) else { return false };
        self.clock += 1;
        self.by_use.remove(used);
        *used = self.clock;
        self.by_use.insert(self.clock, name.clone());
        true
    }

    fn remove(&mut self, name: &Name) -> bool {
        let Some((n_bytes, used)) = self.pieces.remove(name) else { return false };
        self.by_use.remove(&used);
        self.n_bytes -= n_bytes;
        true
    }
}

impl Cache {
    /// The cache in `dir`, with what an earlier process left there, up to `limit` bytes.
    pub(super) fn open(files: Arc<dyn Files>, dir: PathBuf, tmp_dir: PathBuf, limit: u64) -> std::io::Result<Cache> {
        files.create_dir(&dir)?;
        let mut known = Known::default();
        for block in files.list(&dir)?.into_iter().filter(|entry| entry.is_dir) {
            let id: Arc<str> = block.name().into();
            for piece in files.list(&block.path)? {
                if let Ok(number) = piece.name().parse() {
                    known.insert((Arc::clone(&id), number), piece.n_bytes);
                }
            }
        }
        let cache = Cache { files, dir, tmp_dir, limit, known: Mutex::new(known) };
        cache.make_room(0);
        Ok(cache)
    }

    /// Bytes that it takes.
    pub(super) fn n_bytes(&self) -> u64 {
        self.known.lock().n_bytes
    }

    /// Bytes that it may take.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.dir.join(&*name.0).join(name.1.to_string())
    }

    /// Whether a piece is there; it counts as used.
    pub(super) fn has(&self, id: &Arc<str>, number: u64) -> bool {
        self.known.lock().touch(&(Arc::clone(id), number))
    }

    /// A piece of `len` bytes, if it is there and whole.
    pub(super) fn get(&self, id: &Arc<str>, number: u64, len: usize) -> Option<Vec<u8>> {
        let name = (Arc::clone(id), number);
        if !self.known.lock().touch(&name) {
            return None;
        }
        let mut bytes = self.files.read(&self.path(&name)).unwrap_or_default();
        let is_whole = bytes
            .split_last_chunk::<4>()
            .is_some_and(|(piece, crc)| piece.len() == len && crc32fast::hash(piece) == u32::from_le_bytes(*crc));
        if is_whole {
            bytes.truncate(len);
            return Some(bytes);
        }
        self.known.lock().remove(&name);
        let _ = self.files.remove(&self.path(&name));
        None
    }

    /// Keeps a piece. A disk that is full or fails costs the next reader a request, and nobody an answer.
    pub(super) fn put(&self, id: &Arc<str>, number: u64, piece: &[u8]) {
        let name = (Arc::clone(id), number);
        let n_bytes = piece.len() as u64 + 4;
        self.make_room(n_bytes);
        let n_writes = {
            let mut known = self.known.lock();
            known.n_writes += 1;
            known.n_writes
        };
        // A name of its own: two readers may fetch the same piece.
        let tmp = self.tmp_dir.join(format!("{id}-{number}-{n_writes}.piece"));
        let written = self.files.create_dir(&self.dir.join(&**id)).and_then(|()| {
            let mut output = self.files.create(&tmp)?;
            output.write_all(piece)?;
            output.write_all(&crc32fast::hash(piece).to_le_bytes())?;
            self.files.rename(&tmp, &self.path(&name))
        });
        match written {
            Ok(()) => self.known.lock().insert(name, n_bytes),
            Err(error) => {
                let _ = self.files.remove(&tmp);
                tracing::debug!(block = %id, number, %error, "a piece of a block could not be cached");
            }
        }
    }

    fn make_room(&self, n_bytes: u64) {
        loop {
            let name = {
                let mut known = self.known.lock();
                if known.n_bytes + n_bytes <= self.limit {
                    return;
                }
                let Some(name) = known.by_use.values().next().cloned() else { return };
                known.remove(&name);
                name
            };
            let _ = self.files.remove(&self.path(&name));
        }
    }

    /// Lets go of all pieces of a block; answers whether there were any.
    pub(in crate::storage) fn forget(&self, id: &str) -> bool {
        let n_before = self.known.lock().pieces.len();
        self.retain(|other| other != id);
        self.known.lock().pieces.len() < n_before
    }

    /// Lets go of all pieces of blocks that `is_wanted` does not say.
    pub(super) fn retain(&self, is_wanted: impl Fn(&str) -> bool) {
        let gone: Vec<Name> = {
            let mut known = self.known.lock();
            let gone: Vec<Name> = known.pieces.keys().filter(|(id, _)| !is_wanted(id)).cloned().collect();
            for name in &gone {
                known.remove(name);
            }
            gone
        };
        for name in &gone {
            let _ = self.files.remove(&self.path(name));
        }
        for id in gone.iter().map(|(id, _)| id) {
            // Only when it is empty, and only once.
            let _ = std::fs::remove_dir(self.dir.join(&**id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::files::Disk;
    use super::*;

    fn cache(dir: &std::path::Path, limit: u64) -> Cache {
        std::fs::create_dir_all(dir.join("tmp")).unwrap();
        Cache::open(Arc::new(Disk), dir.join("cache"), dir.join("tmp"), limit).unwrap()
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 3 * 104);
        let id: Arc<str> = "A".into();
        for number in 0..3 {
            cache.put(&id, number, &[number as u8; 100]);
        }
        assert!(cache.has(&id, 0));
        cache.put(&id, 3, &[3; 100]);
        let there: Vec<bool> = (0..4).map(|number| cache.get(&id, number, 100).is_some()).collect();
        assert_eq!((there, cache.n_bytes()), (vec![true, false, true, true], 312));
        assert_eq!(std::fs::read_dir(dir.path().join("cache/A")).unwrap().count(), 3);
        assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn it_is_there_after_a_restart_and_damaged_pieces_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b]: [Arc<str>; 2] = ["A".into(), "B".into()];
        let first = cache(dir.path(), 1 << 20);
        first.put(&a, 7, b"seven");
        first.put(&a, 8, b"eight");
        first.put(&b, 0, b"b");
        drop(first);
        std::fs::write(dir.path().join("cache/A/8"), b"eigh").unwrap();
        let second = cache(dir.path(), 1 << 20);
        assert_eq!(second.get(&a, 7, 5).as_deref(), Some(&b"seven"[..]));
        assert_eq!((second.get(&a, 8, 5), second.has(&a, 8)), (None, false));
        assert_eq!(second.get(&a, 7, 4), None, "of another length than the block has");
        second.retain(|id| id == "A");
        assert!(!second.has(&b, 0) && !dir.path().join("cache/B").exists());
        // Smaller than before: what is too much goes at once.
        second.put(&a, 1, &[0; 1000]);
        assert_eq!(cache(dir.path(), 100).n_bytes(), 0);
    }
}
