//! Which blocks are live, what of them is deleted, and how much of the log they hold: one small file that alone decides it.
//!
//! A new manifest replaces the old one by rename, so that a reader or a crash meets the one or the other. What the
//! manifest no longer names may be deleted once it is durable, and not before. `docs/formats/manifest.md`.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::deletes::Delete;
use super::files::{self, Files};
use super::tiers::TierEntry;
use crate::series::Millis;

/// The newest version this build reads, written when blocks are in a bucket. Version 1 knew neither deletes nor
/// checksums of blocks.
pub(super) const MANIFEST_VERSION: u32 = 3;
/// What is written when no block is in a bucket, so that an earlier barograph still reads it.
const LOCAL_VERSION: u32 = 2;
/// Its name in the data directory.
pub(super) const MANIFEST_NAME: &str = "manifest.json";

/// What the manifest says of one block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BlockEntry {
    /// The block's name: a ULID.
    pub(super) id: String,
    /// The UTC day of its oldest sample, `YYYY-MM-DD`: the folder it is in.
    pub(super) date: String,
    /// Where it stands in the order of arrival: of two blocks with a sample for the same series and time, the one
    /// with the higher number has the newer value.
    pub(super) sequence: u64,
    pub(super) n_samples: u64,
    pub(super) n_series: u64,
    /// Of its oldest sample.
    pub(super) min_time: Millis,
    /// Of its newest sample.
    pub(super) max_time: Millis,
    /// Size of the Parquet file.
    pub(super) n_bytes: u64,
    /// CRC32 of the Parquet file, eight hexadecimal digits; unknown for blocks of version 1 and after a rebuild.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) crc32: Option<String>,
    /// Whether it is compressed as hard as it will ever be; before, it is still written anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_lasting: bool,
    /// Where its Parquet file is.
    #[serde(default, skip_serializing_if = "Place::is_local")]
    pub(super) place: Place,
}

/// Where a block's Parquet file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Place {
    /// In the data directory.
    #[default]
    Local,
    /// In the data directory, and verified in the bucket.
    Both,
    /// In the bucket only; its sidecar is in the data directory.
    Bucket,
}

impl Place {
    fn is_local(&self) -> bool {
        *self == Place::Local
    }
}

/// A block that is not live any more and whose objects are still in the bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Superseded {
    pub(super) block: BlockEntry,
    /// The block that has its samples now. Until that one is uploaded, this one stands for it in the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<String>,
}

/// The live blocks and the covered part of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Every segment up to this number is in blocks: it is not replayed, and may be deleted.
    pub(super) wal_covered: u64,
    /// The sequence number the next flush gets.
    pub(super) next_sequence: u64,
    /// The live blocks, by day and sequence.
    pub(super) blocks: Vec<BlockEntry>,
    /// What was deleted and is still in some of the blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) deletes: Vec<Delete>,
    /// The files of the tiers, by tier and day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tiers: Vec<TierEntry>,
    /// Blocks that were live and whose files may still be there: to be deleted, not to be wondered at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) gone: Vec<String>,
    /// Blocks that were live and whose objects in the bucket are to be deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) superseded: Vec<Superseded>,
}

#[derive(Serialize, Deserialize)]
struct OnDisk {
    format: u32,
    crc32: String,
    manifest: Manifest,
}

/// Why a manifest could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManifestError {
    #[error("format version {0}")]
    Version(u32),
    #[error("{0}")]
    Damaged(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How far a new manifest got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Published {
    /// It survives power loss; what it no longer names may go.
    Durable,
    /// It is in place, but whether power loss brings the old one back is unknown: nothing may be deleted yet.
    InPlace,
}

impl Manifest {
    /// Takes these blocks out; a delete that no block waits for any more, nor the log, goes with them.
    ///
    /// Answers the ids of the deletes that went.
    pub(super) fn remove(&mut self, removed: &[BlockEntry]) -> Vec<String> {
        self.blocks.retain(|entry| !removed.iter().any(|gone| gone.id == entry.id));
        // What waits in the bucket is still hidden to whoever reads the bucket.
        let is_waiting = |id: &String| self.superseded.iter().any(|waiting| waiting.block.id == *id);
        for delete in &mut self.deletes {
            delete.blocks.retain(|id| !removed.iter().any(|gone| gone.id == *id) || is_waiting(id));
        }
        self.finish_deletes()
    }

    fn finish_deletes(&mut self) -> Vec<String> {
        let wal_covered = self.wal_covered;
        let (done, open): (Vec<Delete>, Vec<Delete>) =
            std::mem::take(&mut self.deletes).into_iter().partition(|delete| delete.is_done(wal_covered));
        self.deletes = open;
        done.into_iter().map(|delete| delete.id).collect()
    }

    /// Notes that `by` stands for these blocks from now on, which must still be named; nobody does when it is `None`.
    pub(super) fn supersede(&mut self, removed: &[BlockEntry], by: Option<&str>) {
        for entry in self.blocks.iter().filter(|entry| removed.iter().any(|gone| gone.id == entry.id)) {
            // One that stood for others and goes before it was uploaded hands them on.
            for waiting in self.superseded.iter_mut().filter(|waiting| waiting.by.as_ref() == Some(&entry.id)) {
                waiting.by = by.map(str::to_owned);
            }
            if entry.place != Place::Local {
                self.superseded.push(Superseded { block: entry.clone(), by: by.map(str::to_owned) });
            }
        }
    }

    /// Takes out superseded blocks whose objects are gone; answers the ids of deletes that go with them.
    pub(super) fn forget_superseded(&mut self, ids: &[String]) -> Vec<String> {
        self.superseded.retain(|waiting| !ids.contains(&waiting.block.id));
        for delete in &mut self.deletes {
            delete.blocks.retain(|id| !ids.contains(id));
        }
        self.finish_deletes()
    }

    /// The manifest that goes into the bucket: as if the data directory had never had more than what is there.
    ///
    /// A superseded block is in it until the block that stands for it is in the bucket as well.
    pub(super) fn of_bucket(&self) -> Manifest {
        let is_there = |id: &String| self.blocks.iter().any(|entry| entry.id == *id && entry.place != Place::Local);
        let is_needed = |waiting: &&Superseded| waiting.by.as_ref().is_some_and(|by| !is_there(by));
        let live = self.blocks.iter().filter(|entry| entry.place != Place::Local);
        let needed = self.superseded.iter().filter(is_needed).map(|waiting| &waiting.block);
        let mut blocks: Vec<BlockEntry> =
            live.chain(needed).map(|entry| BlockEntry { place: Place::Bucket, ..entry.clone() }).collect();
        blocks.sort_by(|a, b| (&a.date, a.sequence).cmp(&(&b.date, b.sequence)));
        let mut deletes = self.deletes.clone();
        for delete in &mut deletes {
            delete.blocks.retain(|id| blocks.iter().any(|entry| entry.id == *id));
        }
        deletes.retain(|delete| !delete.blocks.is_empty());
        // Not ours, which grow with every flush: it changes only when what it names does.
        let next_sequence = blocks.iter().map(|entry| entry.sequence + 1).max().unwrap_or(0);
        let wal_covered = deletes.iter().map(|delete| delete.wal_upto).max().unwrap_or(0);
        Manifest { wal_covered, next_sequence, blocks, deletes, ..Manifest::default() }
    }

    /// Superseded blocks that the bucket's manifest does not name any more.
    pub(super) fn superseded_and_free(&self) -> Vec<BlockEntry> {
        let named = self.of_bucket().blocks;
        let blocks = self.superseded.iter().map(|waiting| &waiting.block);
        blocks.filter(|block| !named.iter().any(|entry| entry.id == block.id)).cloned().collect()
    }

    /// Whether a block is, or was, in a bucket.
    pub(super) fn has_uploads(&self) -> bool {
        !self.superseded.is_empty() || self.blocks.iter().any(|entry| entry.place != Place::Local)
    }

    /// Takes out the files of tiers that `is_gone` says; deletes wait for them no more.
    pub(super) fn remove_tiers(&mut self, is_gone: impl Fn(&TierEntry) -> bool) {
        for entry in self.tiers.extract_if(.., |entry| is_gone(entry)) {
            for delete in &mut self.deletes {
                delete.blocks.retain(|id| *id != entry.id);
            }
        }
    }

    /// The bytes of the file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let format = if self.has_uploads() { MANIFEST_VERSION } else { LOCAL_VERSION };
        let on_disk = OnDisk { format, crc32: checksum(self), manifest: self.clone() };
        let mut bytes = serde_json::to_vec_pretty(&on_disk).expect("plain structs become JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the bytes of the file.
    pub(super) fn decode(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let damaged = |error: serde_json::Error| ManifestError::Damaged(error.to_string());
        // The version first: a future manifest may look different in every other way.
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(damaged)?;
        let format =
            value.get("format").and_then(serde_json::Value::as_u64).and_then(|format| u32::try_from(format).ok());
        match format {
            Some(format) if format > MANIFEST_VERSION => return Err(ManifestError::Version(format)),
            Some(_) => {}
            None => return Err(ManifestError::Damaged("the format version is missing".to_owned())),
        }
        let OnDisk { crc32, manifest, .. } = serde_json::from_value(value).map_err(damaged)?;
        let expected = checksum(&manifest);
        if crc32 != expected {
            return Err(ManifestError::Damaged(format!("its checksum is {expected}, and it says {crc32}")));
        }
        Ok(manifest)
    }

    /// Reads the manifest of data directory `dir`; `None` when there is none.
    pub(super) fn load(files: &dyn Files, dir: &Path) -> Result<Option<Manifest>, ManifestError> {
        match files.read(&path_in(dir)) {
            Ok(bytes) => Manifest::decode(&bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts this manifest in the place of the old one.
    ///
    /// # Errors
    /// When the old one is still in place.
    pub(super) fn publish(&self, files: &dyn Files, dir: &Path) -> io::Result<Published> {
        files::write_new(files, &dir.join("tmp"), &path_in(dir), &self.encode())?;
        match files.sync_dir(dir) {
            Ok(()) => Ok(Published::Durable),
            Err(error) => {
                tracing::error!(dir = %dir.display(), %error, "the new manifest could not be synced; nothing is deleted until it is");
                Ok(Published::InPlace)
            }
        }
    }
}

/// Where the manifest of data directory `dir` is.
pub(super) fn path_in(dir: &Path) -> PathBuf {
    dir.join(MANIFEST_NAME)
}

// Over the compact JSON of the manifest proper, whose fields always come in the same order: white space is free.
fn checksum(manifest: &Manifest) -> String {
    let bytes = serde_json::to_vec(manifest).expect("plain structs become JSON");
    format!("{:08x}", crc32fast::hash(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let block = BlockEntry {
            id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
            date: "2026-11-20".into(),
            sequence: 4,
            n_samples: 10,
            n_series: 2,
            min_time: -5,
            max_time: 7,
            n_bytes: 999,
            crc32: Some("00c0ffee".into()),
            is_lasting: true,
            place: Place::Local,
        };
        let delete = Delete {
            id: "01ARZ3NDEKTSV4RRFFQ69G5FAW".into(),
            matchers: Vec::new(),
            start: 1,
            end: 2,
            wal_upto: 3,
            blocks: vec![block.id.clone()],
        };
        let gone = vec!["01ARZ3NDEKTSV4RRFFQ69G5FAX".into()];
        Manifest {
            wal_covered: 3,
            next_sequence: 5,
            blocks: vec![block],
            deletes: vec![delete],
            gone,
            ..Manifest::default()
        }
    }

    #[test]
    fn it_comes_back() {
        assert_eq!(Manifest::decode(&manifest().encode()).unwrap(), manifest());
    }

    #[test]
    fn every_flipped_bit_is_noticed_or_harmless() {
        let bytes = manifest().encode();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                if let Ok(read) = Manifest::decode(&flipped) {
                    assert_eq!(read, manifest(), "byte {at} bit {bit}");
                }
            }
        }
    }

    #[test]
    fn a_delete_goes_with_the_last_block_that_waits_for_it() {
        let mut manifest = manifest();
        let block = manifest.blocks[0].clone();
        manifest.deletes[0].wal_upto = 4;
        assert_eq!(manifest.remove(std::slice::from_ref(&block)), Vec::<String>::new());
        manifest.wal_covered = 4;
        assert_eq!((manifest.remove(&[]).len(), manifest.deletes.len(), manifest.blocks.len()), (1, 0, 0));
    }

    #[test]
    fn what_is_superseded_stays_in_the_bucket_until_its_successor_is_there() {
        let mut manifest = manifest();
        let [old, mut new, mut newer] =
            ["A", "B", "C"].map(|id| BlockEntry { id: id.into(), ..manifest.blocks[0].clone() });
        manifest.blocks = vec![BlockEntry { place: Place::Both, ..old.clone() }];
        manifest.deletes = Vec::new();
        let named =
            |manifest: &Manifest| manifest.of_bucket().blocks.into_iter().map(|entry| entry.id).collect::<Vec<_>>();
        // A becomes B, and B becomes C before it was uploaded.
        for (gone, by) in [(&old, &mut new), (&BlockEntry { id: "B".into(), ..old.clone() }, &mut newer)] {
            manifest.supersede(std::slice::from_ref(gone), Some(&by.id));
            manifest.remove(std::slice::from_ref(gone));
            manifest.blocks.push(by.clone());
            assert_eq!(named(&manifest), ["A"]);
        }
        assert_eq!(manifest.superseded.len(), 1);
        manifest.blocks[0].place = Place::Both;
        assert_eq!(named(&manifest), ["C"]);
        assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);
        manifest.forget_superseded(&["A".to_owned()]);
        assert_eq!((manifest.superseded.len(), manifest.has_uploads()), (0, true));
        // Nothing stands for it when its time is over.
        manifest.supersede(std::slice::from_ref(&newer), None);
        manifest.remove(&[newer]);
        assert_eq!((named(&manifest).len(), manifest.superseded.len()), (0, 1));
    }

    #[test]
    fn a_delete_is_in_force_in_the_bucket_until_its_block_has_gone_there() {
        let mut manifest = manifest();
        manifest.blocks[0].place = Place::Both;
        let old = manifest.blocks[0].clone();
        let new = BlockEntry { id: "B".into(), place: Place::Local, ..old.clone() };
        manifest.supersede(std::slice::from_ref(&old), Some("B"));
        assert_eq!(manifest.remove(std::slice::from_ref(&old)), Vec::<String>::new());
        manifest.blocks.push(new);
        let bucket = manifest.of_bucket();
        assert_eq!((bucket.blocks.len(), bucket.deletes.len()), (1, 1));
        assert_eq!(manifest.forget_superseded(&[old.id]), ["01ARZ3NDEKTSV4RRFFQ69G5FAW"]);
    }

    #[test]
    fn a_newer_format_is_said_to_be_one() {
        let text = r#"{"format": 9, "everything": "else"}"#;
        assert!(matches!(Manifest::decode(text.as_bytes()), Err(ManifestError::Version(9))));
    }
}
