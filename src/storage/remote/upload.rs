//! What belongs into the bucket is brought there, verified, named by a manifest; what does not is deleted.
//!
//! One thread does so, over and over. Each pass looks at the manifest anew and asks the bucket before it acts, so that
//! a pass which ended half way, by a failure or a `kill -9`, is simply done again.

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::bucket::{About, Sent, measure};
use super::etag::bare;
use super::{BUCKET_MANIFEST, Remote, RemoteError, block_name, sidecar_name};
use crate::series::Millis;
use crate::storage::block::{Block, random_u64};
use crate::storage::error::{BlockError, FlushError};
use crate::storage::keeper::Keeper;
use crate::storage::manifest::{BlockEntry, Manifest, Place};
use crate::storage::shared::{Shared, now};

/// How often the bucket is looked after.
pub(super) const TICK: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(300);
// Blocks between two manifests in the bucket.
const BLOCKS_PER_PASS: usize = 32;

impl Keeper {
    /// The uploading thread: works until `stop` is dropped.
    pub(in crate::storage) fn run_uploads(&self, stop: &Receiver<()>) {
        let Some(remote) = self.shared.remote.clone() else { return };
        let mut n_failures = 0_u32;
        loop {
            if !matches!(stop.recv_timeout(wait_after(n_failures, remote.tick)), Err(RecvTimeoutError::Timeout)) {
                return;
            }
            match self.upload(&remote, now()) {
                Ok(()) => n_failures = 0,
                Err(_) if self.shared.is_closed.load(Ordering::Relaxed) => return,
                Err(error) => {
                    n_failures = n_failures.saturating_add(1);
                    remote.counters.n_upload_errors.add(1);
                    tracing::error!(%error, n_failures, "bringing blocks to the bucket failed; everything is still here, and it is tried again");
                    if let FlushError::Block { path, .. } = &error {
                        self.set_aside_if_damaged(path);
                    }
                }
            }
        }
    }

    /// Blocks that are to be uploaded, oldest first.
    fn due(&self, remote: &Remote, now: Millis) -> Vec<Arc<Block>> {
        let view = self.shared.view();
        let is_due = |block: &&Arc<Block>| remote.is_due(block.entry(), now);
        let mut due: Vec<Arc<Block>> = view.blocks.iter().filter(is_due).cloned().collect();
        due.sort_by_key(|block| block.entry().min_time);
        due
    }

    /// Everything there is to do in the bucket now.
    pub(in crate::storage) fn upload(&self, remote: &Arc<Remote>, now: Millis) -> Result<(), FlushError> {
        loop {
            let due = self.due(remote, now);
            if due.is_empty() && remote.state.lock().is_adopted && !self.has_other_work(remote, now) {
                return Ok(());
            }
            let Shared { files, layout, is_closed, .. } = &*self.shared;
            let has_uploads = self.state.lock().manifest.has_uploads();
            remote.claim(&**files, layout, has_uploads)?;
            self.adopt(remote)?;
            for block in due.iter().take(BLOCKS_PER_PASS) {
                if is_closed.load(Ordering::Relaxed) {
                    return Err(FlushError::Closed);
                }
                self.upload_block(remote, block)?;
            }
            self.write_manifest(remote)?;
            self.delete_superseded(remote)?;
            self.drop_local(remote, now)?;
            if due.len() <= BLOCKS_PER_PASS {
                return Ok(());
            }
        }
    }

    fn has_other_work(&self, remote: &Remote, now: Millis) -> bool {
        let state = self.state.lock();
        remote.n_superseded.store(state.manifest.superseded.len() as u64, Ordering::Relaxed);
        let progress = remote.state.lock();
        let is_named = progress.written.as_ref() == Some(&state.manifest.of_bucket());
        !is_named
            || !state.manifest.superseded_and_free().is_empty()
            || !self.droppable(remote, &state.manifest, now).is_empty()
    }

    fn upload_block(&self, remote: &Remote, block: &Block) -> Result<(), FlushError> {
        let Shared { files, .. } = &*self.shared;
        let entry = block.entry();
        // First, so that a block in the bucket is never without one.
        block.ensure_sidecar(&**files).map_err(FlushError::block(block.index_path()))?;
        let opened = |path| files.open(path).map_err(BlockError::from).map_err(FlushError::block(path));
        let sidecar = opened(block.index_path())?;
        remote.put_verified(&sidecar_name(&entry.id), sidecar, block.index_path(), None)?;
        let file = match files.open(block.path()) {
            // Merged meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(BlockError::from).map_err(FlushError::block(block.path()))?,
        };
        let name = block_name(&entry.date, &entry.id);
        let sent = remote.put_verified(&name, file, block.path(), entry.crc32.as_deref())?;
        let crc32 = format!("{:08x}", sent.crc32);
        let mut is_live = false;
        self.change(|manifest| {
            if let Some(entry) = manifest.blocks.iter_mut().find(|live| live.id == entry.id) {
                entry.place = Place::Both;
                entry.crc32.get_or_insert(crc32);
                is_live = true;
            }
        })?;
        if !is_live {
            // It was merged while it was under way: nothing names it, here or there.
            remote.delete_block(entry)?;
            return Ok(());
        }
        remote.counters.n_uploads.add(1);
        remote.counters.n_upload_bytes.add(sent.n_bytes);
        tracing::info!(object = remote.bucket.url(&name), n_bytes = sent.n_bytes, "a block is in the bucket");
        Ok(())
    }

    /// Puts the manifest of what is in the bucket there, when it has changed.
    fn write_manifest(&self, remote: &Remote) -> Result<(), FlushError> {
        let manifest = self.state.lock().manifest.of_bucket();
        if remote.state.lock().written.as_ref() == Some(&manifest) {
            return Ok(());
        }
        let bytes = manifest.encode();
        remote.bucket.put(BUCKET_MANIFEST, bytes.clone())?;
        if *remote.bucket.get(BUCKET_MANIFEST)? != *bytes {
            let (object, reason) = (remote.bucket.url(BUCKET_MANIFEST), "another one was read back".to_owned());
            return Err(FlushError::Remote(RemoteError::Damaged { object, reason }));
        }
        remote.cache.retain(|id| manifest.blocks.iter().any(|entry| entry.id == id));
        remote.state.lock().written = Some(manifest);
        Ok(())
    }

    /// Deletes objects that neither manifest needs any more, and forgets them.
    fn delete_superseded(&self, remote: &Remote) -> Result<(), FlushError> {
        // A snapshot that names a block in the bucket still needs it.
        let held = self.held_by_snapshots();
        let free = self.state.lock().manifest.superseded_and_free();
        let free: Vec<BlockEntry> = free.into_iter().filter(|entry| !held.contains(&entry.id)).collect();
        if free.is_empty() {
            return Ok(());
        }
        // What no longer names them must be durable first.
        self.ensure_durable()?;
        let mut gone = Vec::new();
        let outcome = free.iter().try_for_each(|entry| {
            remote.delete_block(entry)?;
            gone.push(entry.id.clone());
            Ok::<_, FlushError>(())
        });
        remote.counters.n_deletes.add(gone.len() as u64);
        if !gone.is_empty() {
            self.change(|manifest| drop(manifest.forget_superseded(&gone)))?;
        }
        outcome
    }

    /// The blocks that a snapshot has in the bucket only.
    fn held_by_snapshots(&self) -> HashSet<String> {
        let Shared { files, layout, .. } = &*self.shared;
        let mut held = HashSet::new();
        for snapshot in files.list(&layout.snapshots).unwrap_or_default() {
            if let Ok(Some(manifest)) = Manifest::load(&**files, &snapshot.path) {
                let far = manifest.blocks.into_iter().filter(|entry| entry.place == Place::Bucket);
                held.extend(far.map(|entry| entry.id));
            }
        }
        held
    }

    /// Takes back the blocks that the bucket's manifest names and that a lost manifest here forgot.
    fn adopt(&self, remote: &Remote) -> Result<(), FlushError> {
        if remote.state.lock().is_adopted {
            return Ok(());
        }
        let known = |manifest: &Manifest, id: &String| {
            let mut superseded = manifest.superseded.iter().map(|waiting| &waiting.block.id);
            manifest.blocks.iter().any(|entry| entry.id == *id) || superseded.any(|other| other == id)
        };
        let there = remote.manifest()?.unwrap_or_default();
        let ours = self.state.lock().manifest.clone();
        let mut missing: Vec<BlockEntry> = there.blocks.into_iter().filter(|entry| !known(&ours, &entry.id)).collect();
        // Not what has become a part of another block here.
        let merged: HashSet<String> = self.sources_of_blocks(!missing.is_empty());
        missing.retain(|entry| !merged.contains(&entry.id));
        if !missing.is_empty() {
            tracing::error!(
                n_blocks = missing.len(),
                bucket = remote.bucket.place(),
                "the bucket's manifest names blocks that the one here does not: it was lost, or is an old one; they are taken back"
            );
            self.change(|manifest| {
                let mut missing = missing.clone();
                missing.retain(|entry| !known(manifest, &entry.id));
                let last = missing.iter().map(|entry| entry.sequence + 1).max().unwrap_or(0);
                manifest.next_sequence = manifest.next_sequence.max(last);
                manifest.blocks.extend(missing);
            })?;
        }
        remote.state.lock().is_adopted = true;
        Ok(())
    }
}

impl Remote {
    /// The bucket's manifest; `None` when there is none.
    pub(super) fn manifest(&self) -> Result<Option<Manifest>, RemoteError> {
        let object = self.bucket.url(BUCKET_MANIFEST);
        match self.bucket.get(BUCKET_MANIFEST) {
            Ok(bytes) => Manifest::decode(&bytes)
                .map(Some)
                .map_err(|error| RemoteError::Damaged { object, reason: error.to_string() }),
            Err(RemoteError::Missing { reason, .. }) if !reason.contains("NoSuchBucket") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a file unless it is there already, and makes sure that what is there is the file.
    fn put_verified(
        &self,
        name: &str,
        file: File,
        path: &std::path::Path,
        crc32: Option<&str>,
    ) -> Result<Sent, FlushError> {
        let here = measure(&file).map_err(BlockError::from).map_err(FlushError::block(path))?;
        let found = format!("{:08x}", here.crc32);
        if let Some(expected) = crc32.filter(|expected| **expected != found) {
            let what = format!("its checksum is {found}, and the manifest says {expected}");
            return Err(FlushError::block(path)(BlockError::Damaged(what)));
        }
        if let Some(about) = self.bucket.head(name)?
            && self.is_same(name, &about, &here)?
        {
            return Ok(here);
        }
        self.bucket.put_file(name, file, here.n_bytes)?;
        let about = self.bucket.head(name)?;
        if let Some(about) = &about
            && self.is_same(name, about, &here)?
        {
            return Ok(here);
        }
        let reason = match about {
            None => "it was sent, and is not there".to_owned(),
            Some(about) if about.n_bytes != here.n_bytes => {
                format!("{} bytes were sent, and it has {}", here.n_bytes, about.n_bytes)
            }
            Some(_) => "its bytes are others than those that were sent".to_owned(),
        };
        Err(FlushError::Remote(RemoteError::Damaged { object: self.bucket.url(name), reason }))
    }

    /// Whether an object is what was measured here: by size and tag, or, where tags mean something else, read back.
    pub(super) fn is_same(&self, name: &str, about: &About, here: &Sent) -> Result<bool, RemoteError> {
        if about.n_bytes != here.n_bytes {
            return Ok(false);
        }
        if about.etag.as_deref().map(bare) == Some(&here.etag) {
            return Ok(true);
        }
        Ok(self.bucket.crc32(name, here.n_bytes)? == here.crc32)
    }

    fn delete_block(&self, entry: &BlockEntry) -> Result<(), RemoteError> {
        self.bucket.delete(&block_name(&entry.date, &entry.id))?;
        self.bucket.delete(&sidecar_name(&entry.id))
    }
}

/// How long to wait after so many failures in a row: twice as long each time, and never all stores at once.
fn wait_after(n_failures: u32, tick: Duration) -> Duration {
    let wait = tick.saturating_mul(2_u32.saturating_pow(n_failures)).min(MAX_WAIT);
    let share = 0.75 + 0.5 * (random_u64() % 1000) as f64 / 1000.0;
    if n_failures == 0 { tick } else { wait.mul_f64(share) }
}
