//! Deletes: which samples are gone although a block still holds them. `docs/formats/delete.md`.
//!
//! A delete names the blocks it hides samples in. It is made after a flush, so that every sample acknowledged before
//! is in one of them; what arrives later is in other blocks, and is not hidden. A merge leaves hidden samples out and
//! replaces the blocks it read: when no named block is left, the delete is carried out and forgotten.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::files::{self, Files};
use crate::series::{Key, MatchOp, Matcher, MatcherError, Millis, Sample, Selector, TimeRange};

/// The version this build writes, and the newest it reads.
pub(super) const DELETE_VERSION: u32 = 1;

/// One condition on a label, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Condition {
    pub(super) name: String,
    /// `=`, `!=`, `=~` or `!~`.
    pub(super) op: String,
    pub(super) value: String,
}

/// One delete that is not carried out yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delete {
    /// A ULID.
    pub(super) id: String,
    /// All must hold; none holds for every series.
    pub(super) matchers: Vec<Condition>,
    /// The first instant that is deleted.
    pub(super) start: Millis,
    /// The first instant after the last that is deleted.
    pub(super) end: Millis,
    /// The last segment of the log with samples from before the delete.
    pub(super) wal_upto: u64,
    /// The blocks that still hold deleted samples.
    pub(super) blocks: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct OnDisk {
    format: u32,
    crc32: String,
    delete: Delete,
}

impl Delete {
    pub(super) fn new(id: String, selector: &Selector, range: TimeRange, wal_upto: u64, blocks: Vec<String>) -> Delete {
        let condition = |matcher: &Matcher| Condition {
            name: matcher.name().to_owned(),
            op: matcher.op().as_str().to_owned(),
            value: matcher.value().to_owned(),
        };
        let matchers = selector.matchers.iter().map(condition).collect();
        Delete { id, matchers, start: range.start(), end: range.end(), wal_upto, blocks }
    }

    /// Whether neither a block nor the log holds what it hides.
    pub(super) fn is_done(&self, wal_covered: u64) -> bool {
        self.blocks.is_empty() && self.wal_upto <= wal_covered
    }

    /// The bytes of the file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let on_disk = OnDisk { format: DELETE_VERSION, crc32: checksum(self), delete: self.clone() };
        let mut bytes = serde_json::to_vec_pretty(&on_disk).expect("plain structs become JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the bytes of the file; what is wrong with it otherwise.
    pub(super) fn decode(bytes: &[u8]) -> Result<Delete, String> {
        let OnDisk { format, crc32, delete } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if format > DELETE_VERSION {
            return Err(format!("it is of format version {format}, newer than {DELETE_VERSION}"));
        }
        let expected = checksum(&delete);
        if crc32 != expected {
            return Err(format!("its checksum is {expected}, and it says {crc32}"));
        }
        Ok(delete)
    }

    /// Writes the file, durably.
    pub(super) fn write(&self, files: &dyn Files, tmp_dir: &Path, path: &Path) -> io::Result<()> {
        files::write_new(files, tmp_dir, path, &self.encode())?;
        path.parent().map_or(Ok(()), |dir| files.sync_dir(dir))
    }
}

// As the manifest's: over the compact JSON, so that white space is free.
fn checksum(delete: &Delete) -> String {
    let bytes = serde_json::to_vec(delete).expect("plain structs become JSON");
    format!("{:08x}", crc32fast::hash(&bytes))
}

/// A delete that is ready to be asked.
#[derive(Clone, Debug)]
struct Tombstone {
    selector: Selector,
    range: TimeRange,
    wal_upto: u64,
    blocks: Vec<String>,
}

/// Every delete that is not carried out yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Tombstones(Arc<Vec<Tombstone>>);

impl Tombstones {
    /// # Errors
    /// When a regular expression does not compile, which none did that was ever written.
    pub(super) fn of(deletes: &[Delete]) -> Result<Tombstones, MatcherError> {
        let tombstone = |delete: &Delete| {
            let matcher = |condition: &Condition| {
                let op = match condition.op.as_str() {
                    "!=" => MatchOp::NotEqual,
                    "=~" => MatchOp::Regex,
                    "!~" => MatchOp::NotRegex,
                    _ => MatchOp::Equal,
                };
                Matcher::new(&condition.name, op, &condition.value)
            };
            let matchers = delete.matchers.iter().map(matcher).collect::<Result<_, _>>()?;
            let range = TimeRange::new(delete.start, delete.end.max(delete.start)).unwrap_or(TimeRange::ALL);
            let (wal_upto, blocks) = (delete.wal_upto, delete.blocks.clone());
            Ok(Tombstone { selector: Selector { matchers }, range, wal_upto, blocks })
        };
        Ok(Tombstones(Arc::new(deletes.iter().map(tombstone).collect::<Result<_, MatcherError>>()?)))
    }

    /// What hides samples of the block `id`.
    pub(super) fn of_block(&self, id: &str) -> Hidden<'_> {
        Hidden(self.0.iter().filter(|tombstone| tombstone.blocks.iter().any(|block| block == id)).collect())
    }

    /// What hides samples of the segment `seq`: nothing, unless the manifest was lost and all of the log is replayed.
    pub(super) fn of_segment(&self, seq: u64) -> Hidden<'_> {
        Hidden(self.0.iter().filter(|tombstone| seq <= tombstone.wal_upto).collect())
    }
}

/// The deletes that concern one block or one segment.
#[derive(Debug)]
pub(super) struct Hidden<'a>(Vec<&'a Tombstone>);

impl Hidden<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a sample of `key` at `at` is deleted.
    pub(super) fn hides(&self, key: &Key, at: Millis) -> bool {
        self.0.iter().any(|tombstone| tombstone.range.contains(at) && tombstone.selector.matches(key.labels()))
    }

    /// Whether every sample of `key` from `first` to `last` is deleted, by one delete.
    pub(super) fn covers(&self, key: &Key, first: Millis, last: Millis) -> bool {
        let is_inside = |range: TimeRange| range.contains(first) && range.contains(last);
        self.0.iter().any(|tombstone| is_inside(tombstone.range) && tombstone.selector.matches(key.labels()))
    }

    /// Whether any instant from `first` to `last` is deleted for `key`.
    pub(super) fn touches(&self, key: &Key, first: Millis, last: Millis) -> bool {
        self.0.iter().any(|tombstone| tombstone.range.overlaps(first, last) && tombstone.selector.matches(key.labels()))
    }

    /// Takes what is deleted out of a series' samples.
    pub(super) fn take_from(&self, key: &Key, samples: &mut Vec<Sample>) {
        for tombstone in self.0.iter().filter(|tombstone| tombstone.selector.matches(key.labels())) {
            samples.retain(|sample| !tombstone.range.contains(sample.at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delete() -> Delete {
        let selector = Selector { matchers: vec![Matcher::new("host", MatchOp::Regex, "a|b").unwrap()] };
        Delete::new("D".into(), &selector, TimeRange::new(10, 20).unwrap(), 3, vec!["X".into()])
    }

    #[test]
    fn it_comes_back_and_every_flipped_bit_is_noticed_or_harmless() {
        let bytes = delete().encode();
        assert_eq!(Delete::decode(&bytes), Ok(delete()));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(
                    Delete::decode(&flipped).is_ok_and(|read| read == delete()) || Delete::decode(&flipped).is_err()
                );
            }
        }
    }

    #[test]
    fn it_hides_in_its_blocks_and_segments_only() {
        let tombstones = Tombstones::of(&[delete()]).unwrap();
        let [a, c] = ["a", "c"].map(|host| Key::from_pairs("up", &[("host", host)]).unwrap());
        let hidden = tombstones.of_block("X");
        assert!(hidden.hides(&a, 10) && !hidden.hides(&a, 20) && !hidden.hides(&c, 10));
        assert!(hidden.covers(&a, 10, 19) && !hidden.covers(&a, 9, 19) && !hidden.covers(&c, 10, 19));
        let mut samples: Vec<Sample> = [9, 10, 19, 20].map(|at| Sample { at, value: 0.0 }).to_vec();
        hidden.take_from(&a, &mut samples);
        assert_eq!(samples.iter().map(|sample| sample.at).collect::<Vec<_>>(), [9, 20]);
        assert!(tombstones.of_block("Y").is_empty());
        assert!(!tombstones.of_segment(3).is_empty() && tombstones.of_segment(4).is_empty());
    }
}
