//! A live block whose bytes have changed: noticed when it is read or merged, set aside, and everything else is served.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::block::Block;
use super::error::BlockError;
use super::fsck::{Fault, checksum, examine};
use super::keeper::Keeper;
use super::manifest::{BlockEntry, Place};
use super::salvage::salvage;
use super::shared::{Shared, now};

// Samples of a block from which saving what is left takes a few tenths of a second.
const QUICKLY_SAVED: u64 = 1_000_000;

/// Refuses a block whose bytes are not those that were written, as far as the manifest knows them.
///
/// Asked before a merge: what it read from a damaged block would be written again with a right checksum.
///
/// # Errors
/// [`BlockError::Damaged`], or when the file cannot be read.
pub(super) fn verify(block: &Block) -> Result<(), BlockError> {
    let Some(expected) = &block.entry().crc32 else { return Ok(()) };
    let found = format!("{:08x}", checksum(block.path())?.1);
    if found == *expected {
        return Ok(());
    }
    Err(BlockError::Damaged(format!("its checksum is {found}, and the manifest says {expected}")))
}

/// What looking closely at a block that could not be read has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is live no more, or reads leave it out from now on.
    Out,
    /// Its sidecar was wrong, and has been made again.
    Mended,
    /// Nothing is known to be wrong with it.
    Stays,
}

/// Whether a block's bytes have changed, and how it shows.
fn damage(block: &Block) -> Option<String> {
    let entry = block.entry();
    match verify(block) {
        Err(BlockError::Damaged(reason)) => Some(reason),
        Err(_) => None,
        // These are the bytes that were written.
        Ok(()) if entry.crc32.is_some() => None,
        Ok(()) => match examine(block.path(), Some(entry), &entry.date) {
            Err(Fault::Damaged(reason)) => Some(reason),
            Err(Fault::Unreadable(_)) | Ok(_) => None,
        },
    }
}

impl Keeper {
    /// Looks closely at the block at `path`, or whose sidecar is there, after it could not be read by a question.
    ///
    /// A damaged block is set aside at once, or when the merge under way is over; until then reads leave it out, so
    /// that nobody waits.
    pub(super) fn look_into(&self, path: &Path) -> Fate {
        let Some(block) = self.block_at(path) else {
            // Gone already: whoever asks takes another view.
            let is_gone = path.starts_with(&self.shared.layout.blocks) && !path.exists();
            return if is_gone { Fate::Out } else { Fate::Stays };
        };
        if block.entry().place == Place::Bucket {
            // Nothing here is damaged but perhaps what was cached: reading again fetches it anew.
            let has_forgotten = block.remote().is_ok_and(|remote| remote.cache.forget(&block.entry().id));
            return if has_forgotten { Fate::Mended } else { Fate::Stays };
        }
        let Some(reason) = damage(&block) else {
            let is_mended = block.renew_index(&*self.shared.files).unwrap_or(false);
            return if is_mended { Fate::Mended } else { Fate::Stays };
        };
        if !block.condemn() {
            tracing::error!(block = %block.path().display(), reason, "a block is damaged; answers are without its samples from now on");
        }
        // Saving what is left of a large block takes seconds, for which a question does not wait.
        if block.entry().n_samples <= QUICKLY_SAVED
            && let Some(_merging) = self.merging.try_lock()
        {
            self.set_aside(&block, &reason);
        }
        Fate::Out
    }

    /// Sets aside the blocks that were found damaged while a merge was under way.
    pub(super) fn set_condemned_aside(&self) {
        for block in self.shared.view().blocks.iter().filter(|block| block.is_condemned()) {
            self.set_aside_if_damaged(block.path());
        }
    }

    /// Moves the block at `path`, or whose sidecar is there, to the quarantine if its bytes have changed: answers true,
    /// and it is live no more. A block that merely cannot be read now stays.
    pub(super) fn set_aside_if_damaged(&self, path: &Path) -> bool {
        let _merging = self.merging.lock();
        let Some(block) = self.block_at(path) else {
            return path.starts_with(&self.shared.layout.blocks) && !path.exists();
        };
        damage(&block).is_some_and(|reason| self.set_aside(&block, &reason))
    }

    fn block_at(&self, path: &Path) -> Option<Arc<Block>> {
        let is_meant = |block: &&Arc<Block>| block.path() == path || block.index_path() == path;
        self.shared.view().blocks.iter().find(is_meant).cloned()
    }

    /// Moves a damaged block to the quarantine, while the caller holds `merging`, and puts what can still be read of it
    /// in its place.
    fn set_aside(&self, block: &Block, reason: &str) -> bool {
        let Shared { layout, counters, .. } = &*self.shared;
        let entry = block.entry();
        let wal_upto = self.state.lock().manifest.wal_covered;
        let tombstones = self.shared.view().tombstones;
        let mut saved: Vec<BlockEntry> = Vec::new();
        if entry.place == Place::Local {
            saved.extend(salvage(&*self.shared.files, layout, entry, wal_upto, &tombstones).ok().flatten());
        }
        let to = layout.quarantine.join(format!("{}-{}.parquet", now(), entry.id));
        if let Err(error) = self.shared.files.rename(block.path(), &to) {
            self.remove_unpublished(&saved);
            tracing::error!(block = %block.path().display(), reason, %error, "a block is damaged and cannot be set aside");
            return false;
        }
        let published = match entry.place {
            // The bucket has it as it was.
            Place::Both => self.set_place(&entry.id, Place::Bucket),
            Place::Local | Place::Bucket => self.publish(&saved, std::slice::from_ref(entry), None, |_| {}),
        };
        if let Err(error) = published {
            self.remove_unpublished(&saved);
            // Still named by the manifest: it must be where the manifest says.
            let _ = fs::rename(&to, block.path());
            tracing::error!(block = %block.path().display(), reason, %error, "a block is damaged and cannot be taken out of the manifest");
            return false;
        }
        counters.n_quarantined.add(1);
        tracing::error!(
            block = %block.path().display(), reason, to = %to.display(), n_samples = entry.n_samples,
            n_saved = saved.iter().map(|entry| entry.n_samples).sum::<u64>(),
            min_time = entry.min_time, max_time = entry.max_time,
            is_in_bucket = entry.place == Place::Both,
            "a block is damaged; it is set aside, what could be read of it and everything else is served"
        );
        true
    }
}
