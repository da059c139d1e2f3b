//! Blocks leave this disk when the bucket has them, and come back when they are to be rewritten.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::{Remote, RemoteError, block_name, sidecar_name};
use crate::series::Millis;
use crate::storage::block::Block;
use crate::storage::error::{BlockError, FlushError};
use crate::storage::files::{self, Files, Output, Summed};
use crate::storage::keeper::Keeper;
use crate::storage::manifest::{BlockEntry, Manifest, Place};
use crate::storage::retire::expired;
use crate::storage::shared::Shared;

/// The oldest of these blocks, as many as bring the files here down to `limit` bytes; `entries` by age.
fn beyond(entries: &[BlockEntry], limit: u64) -> Vec<BlockEntry> {
    let mut n_bytes: u64 = entries.iter().filter(|entry| entry.place != Place::Bucket).map(|entry| entry.n_bytes).sum();
    let mut gone = Vec::new();
    for entry in entries.iter().filter(|entry| entry.place == Place::Both) {
        if n_bytes <= limit {
            break;
        }
        n_bytes -= entry.n_bytes;
        gone.push(entry.clone());
    }
    gone
}

impl Keeper {
    /// Blocks whose files may leave this disk by age or size.
    pub(super) fn droppable(&self, remote: &Remote, manifest: &Manifest, now: Millis) -> Vec<BlockEntry> {
        let (age, size) = (remote.settings.keep_local, remote.settings.keep_local_size);
        let mut entries = manifest.blocks.clone();
        entries.sort_by_key(|entry| (entry.max_time, entry.sequence));
        let mut gone = age.map_or_else(Vec::new, |age| expired(&entries, age, now));
        gone.retain(|entry| entry.place == Place::Both);
        for entry in entries.iter_mut().filter(|entry| gone.iter().any(|gone| gone.id == entry.id)) {
            entry.place = Place::Bucket;
        }
        gone.extend(size.map_or_else(Vec::new, |size| beyond(&entries, size)));
        gone
    }

    /// Removes files of blocks that the bucket has, once its manifest names them.
    pub(super) fn drop_local(&self, remote: &Remote, now: Millis) -> Result<(), FlushError> {
        let droppable = self.droppable(remote, &self.state.lock().manifest, now);
        if droppable.is_empty() {
            return Ok(());
        }
        // Whoever takes blocks away holds it, and it may take long: then the next pass does it.
        let Some(_merging) = self.merging.try_lock() else { return Ok(()) };
        let Shared { files, layout, .. } = &*self.shared;
        let view = self.shared.view();
        for entry in droppable {
            let is_named = |manifest: &Manifest| manifest.blocks.iter().any(|named| named.id == entry.id);
            let Some(block) = view.blocks.iter().find(|block| block.entry().id == entry.id) else { continue };
            if !remote.state.lock().written.as_ref().is_some_and(is_named) {
                continue;
            }
            let path = block.path();
            block.ensure_sidecar(&**files).map_err(FlushError::block(block.index_path()))?;
            // Once more, right before the only other copy goes: the bucket may have changed since.
            let file = files.open(path).map_err(BlockError::from).map_err(FlushError::block(path))?;
            let here = super::bucket::measure(&file).map_err(BlockError::from).map_err(FlushError::block(path))?;
            let name = block_name(&entry.date, &entry.id);
            let is_there = match remote.bucket.head(&name)? {
                Some(about) => remote.is_same(&name, &about, &here)?,
                None => false,
            };
            if !is_there {
                tracing::error!(
                    object = remote.bucket.url(&name),
                    "a block is not in the bucket any more as it was uploaded; it stays here and is uploaded again"
                );
                self.set_place(&entry.id, Place::Local)?;
                continue;
            }
            self.set_place(&entry.id, Place::Bucket)?;
            let mut state = self.state.lock();
            state.doomed.push(layout.block(&entry.date, &entry.id));
            self.tidy(&mut state);
            remote.counters.n_drops.add(1);
            tracing::info!(block = %path.display(), n_bytes = entry.n_bytes, "a block is in the bucket only from now on");
        }
        Ok(())
    }

    pub(in crate::storage) fn set_place(&self, id: &str, place: Place) -> Result<(), FlushError> {
        self.change(|manifest| {
            for entry in manifest.blocks.iter_mut().filter(|entry| entry.id == id) {
                entry.place = place;
            }
        })
    }

    /// Whether a block's file is here, or may be fetched now.
    pub(in crate::storage) fn is_within_reach(&self, entry: &BlockEntry) -> bool {
        entry.place != Place::Bucket || self.shared.remote.as_ref().is_some_and(|remote| remote.may_fetch())
    }

    /// The block with its file here, fetched when it is in the bucket only. The caller holds `merging`.
    ///
    /// # Errors
    /// When it cannot be fetched or is not what was uploaded; nothing has changed.
    pub(in crate::storage) fn at_home(&self, block: &Arc<Block>) -> Result<Arc<Block>, FlushError> {
        let entry = block.entry();
        if entry.place != Place::Bucket {
            return Ok(Arc::clone(block));
        }
        let Shared { files, layout, .. } = &*self.shared;
        let remote = block.remote().map_err(FlushError::block(block.path()))?;
        let path = block.path();
        let day_dir = layout.day_dir(&entry.date);
        // A removal that failed before and waits must not hit the new file.
        self.state.lock().doomed.retain(|doomed| doomed != path);
        let tmp = layout.tmp.join(format!("{}.fetched", entry.id));
        let fetched = remote.fetch(entry, &**files, &tmp).map_err(FlushError::block(path)).and_then(|()| {
            files::make_dir(&**files, &day_dir).map_err(FlushError::io("create", &day_dir))?;
            files.rename(&tmp, path).map_err(FlushError::io("rename", &tmp))?;
            files.sync_dir(&day_dir).map_err(FlushError::io("sync", &day_dir))
        });
        if fetched.is_err() {
            let _ = files.remove(&tmp);
        }
        fetched?;
        self.set_place(&entry.id, Place::Both)?;
        let view = self.shared.view();
        let found = view.blocks.iter().find(|other| other.entry().id == entry.id).cloned();
        found.ok_or(FlushError::Closed)
    }
}

impl Remote {
    /// Fetches a block into the new file `to`, synced, and holds it against what the manifest says.
    pub(in crate::storage) fn fetch(&self, entry: &BlockEntry, files: &dyn Files, to: &Path) -> Result<(), BlockError> {
        // Left by an attempt whose cleaning up failed.
        let _ = files.remove(to);
        let mut output = Summed::new(files.create(to)?);
        let name = block_name(&entry.date, &entry.id);
        let written = self.bucket.download(&name, entry.n_bytes, |part| output.write_all(part));
        written.inspect_err(|_| self.counters.n_read_errors.add(1))??;
        self.counters.n_read_bytes.add(entry.n_bytes);
        let found = format!("{:08x}", output.crc32().unwrap_or_default());
        if let Some(expected) = entry.crc32.as_ref().filter(|expected| **expected != found) {
            let reason = format!("its checksum is {found}, and the manifest says {expected}");
            return Err(RemoteError::Damaged { object: self.bucket.url(&name), reason }.into());
        }
        Ok(output.sync()?)
    }

    /// Copies a block's object, whatever is in it, into the new file `to`.
    pub(in crate::storage) fn copy_as_it_is(&self, entry: &BlockEntry, to: &Path) -> Result<(), BlockError> {
        let name = block_name(&entry.date, &entry.id);
        let Some(about) = self.bucket.head(&name)? else { return Ok(()) };
        let mut file = std::fs::File::create_new(to)?;
        self.bucket.download(&name, about.n_bytes, |part| file.write_all(part))??;
        Ok(file.sync_all()?)
    }

    /// A sidecar in the bucket; `None` when it is not there.
    pub(in crate::storage) fn sidecar(&self, id: &str) -> Result<Option<bytes::Bytes>, RemoteError> {
        match self.bucket.get(&sidecar_name(id)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(RemoteError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
