//! A live block whose bytes have changed: noticed when it is read or merged, set aside, and everything else is served.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::block::Block;
use super::error::BlockError;
use super::fsck::{Fault, checksum, examine};
use super::keeper::Keeper;
use super::shared::{Shared, now};

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

impl Keeper {
    /// Looks closely at the block at `path`, or whose sidecar is there, after it could not be read.
    ///
    /// When its bytes have changed it is moved to the quarantine and is live no more: answers true, and reading again
    /// answers without it. A block that merely cannot be read now stays.
    pub(super) fn set_aside_if_damaged(&self, path: &Path) -> bool {
        let Shared { layout, counters, .. } = &*self.shared;
        let _merging = self.merging.lock();
        let view = self.shared.view();
        let is_meant = |block: &&Arc<Block>| block.path() == path || block.index_path() == path;
        let Some(block) = view.blocks.iter().find(is_meant) else {
            // Gone already: whoever asks takes another view.
            return path.starts_with(&layout.blocks) && !path.exists();
        };
        let entry = block.entry();
        let reason = match examine(block.path(), Some(entry), &entry.date) {
            Err(Fault::Damaged(reason)) => reason,
            Err(Fault::Unreadable(_)) | Ok(_) => return false,
        };
        let to = layout.quarantine.join(format!("{}-{}.parquet", now(), entry.id));
        if let Err(error) = self.shared.files.rename(block.path(), &to) {
            tracing::error!(block = %block.path().display(), reason, %error, "a block is damaged and cannot be set aside");
            return false;
        }
        if let Err(error) = self.publish(&[], std::slice::from_ref(entry), None, |_| {}) {
            // Still named by the manifest: it must be where the manifest says.
            let _ = fs::rename(&to, block.path());
            tracing::error!(block = %block.path().display(), reason, %error, "a block is damaged and cannot be taken out of the manifest");
            return false;
        }
        counters.n_quarantined.add(1);
        tracing::error!(
            block = %block.path().display(), reason, to = %to.display(), n_samples = entry.n_samples,
            min_time = entry.min_time, max_time = entry.max_time,
            "a block is damaged; it is set aside, its samples are missing, everything else is served"
        );
        true
    }
}
