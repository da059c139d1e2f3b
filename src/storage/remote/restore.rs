//! From the bucket alone to a data directory.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{Remote, RemoteError, RemoteSettings};
use crate::storage::block::{Block, is_id};
use crate::storage::durable::{create_dir_durably, sync_dir};
use crate::storage::error::{BlockError, FlushError, OpenError};
use crate::storage::files::{self, Disk, Files};
use crate::storage::fsck::fsck;
use crate::storage::layout::Layout;
use crate::storage::manifest::{BlockEntry, Place};
use crate::storage::open::make_dirs;
use crate::storage::snapshot::{RESTORING, RestoreError, Restored, checked, failed};

/// Makes a data directory in the empty directory `dir` from what is in the bucket, and checks it.
///
/// Without `take_over` every block is copied: the new directory stands on its own, and the bucket is as it was. With
/// it the blocks stay in the bucket, only their sidecars are copied, and the bucket is the new directory's from now on:
/// a store that still runs on the old one stops uploading.
///
/// # Errors
/// [`RestoreError`]. A copy that failed half way cannot be served by mistake; empty the directory and try again.
pub fn restore_from_bucket(settings: &RemoteSettings, dir: &Path, take_over: bool) -> Result<Restored, RestoreError> {
    restore_with(dir, take_over, |files, layout| {
        let wrong = || OpenError::Setting { name: "s3", reason: "no bucket is configured".to_owned() };
        Remote::open(files, layout, settings)?.ok_or_else(wrong)
    })
}

pub(super) fn restore_with(
    dir: &Path,
    take_over: bool,
    connect: impl FnOnce(&Arc<dyn Files>, &Layout) -> Result<Arc<Remote>, OpenError>,
) -> Result<Restored, RestoreError> {
    create_dir_durably(dir).map_err(failed("create", dir))?;
    if fs::read_dir(dir).map_err(failed("list", dir))?.next().is_some() {
        return Err(RestoreError::NotEmpty(dir.to_owned()));
    }
    let (layout, files): (Layout, Arc<dyn Files>) = (Layout::new(dir), Arc::new(Disk));
    let found = connect(&files, &layout).and_then(|remote| Ok((remote.manifest()?, remote)));
    let (manifest, remote) = found.inspect_err(|_| drop(fs::remove_dir(&layout.cache)))?;
    let Some(mut manifest) = manifest else {
        // Empty again, for the next attempt.
        let _ = fs::remove_dir(&layout.cache);
        return Err(RestoreError::EmptyBucket(remote.bucket.place().to_owned()));
    };
    make_dirs(&*files, &layout)?;
    let mark = dir.join(RESTORING);
    fs::write(&mark, "a restore into this directory has not finished\n").map_err(failed("write", &mark))?;
    let (mut n_files, mut n_bytes) = (0, 0);
    for entry in &mut manifest.blocks {
        // Names become paths: nobody else's may lead out of the directory.
        let is_name = is_id(&entry.id) && entry.date.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        if !is_name {
            let (object, reason) = (remote.url(super::BUCKET_MANIFEST), format!("`{}` is no block's name", entry.id));
            return Err(OpenError::from(RemoteError::Damaged { object, reason }).into());
        }
        bring(&remote, &files, &layout, entry, take_over).map_err(RestoreError::Bucket)?;
        n_files += if take_over { 1 } else { 2 };
        n_bytes += if take_over { 0 } else { entry.n_bytes };
    }
    for folder in [&layout.index, &layout.blocks, &layout.root] {
        sync_dir(folder).map_err(failed("sync", folder))?;
    }
    if take_over {
        remote.take_over(&*files, &layout).map_err(RestoreError::Bucket)?;
    }
    // The manifest last, as always.
    manifest.publish(&*files, dir).map_err(failed("write the manifest in", dir))?;
    for delete in &manifest.deletes {
        let path = layout.delete(&delete.id);
        files::make_dir(&*files, &layout.deletes).map_err(failed("create", &layout.deletes))?;
        delete.write(&*files, &layout.tmp, &path).map_err(failed("write", &path))?;
    }
    drop(remote);
    let report = checked(dir, fsck(dir)?)?;
    fs::remove_file(&mark).map_err(failed("remove", &mark))?;
    sync_dir(dir).map_err(failed("sync", dir))?;
    Ok(Restored { n_files: n_files + 1, n_bytes, report })
}

/// Brings a block and its sidecar here, or only the sidecar; notes in the entry where the block is.
fn bring(
    remote: &Arc<Remote>,
    files: &Arc<dyn Files>,
    layout: &Layout,
    entry: &mut BlockEntry,
    stays: bool,
) -> Result<(), FlushError> {
    entry.place = Place::Bucket;
    let path = layout.block(&entry.date, &entry.id);
    if !stays {
        let day_dir = layout.day_dir(&entry.date);
        files::make_dir(&**files, &day_dir).map_err(FlushError::io("create", &day_dir))?;
        remote.fetch(entry, &**files, &path).map_err(FlushError::block(&path))?;
        files.sync_dir(&day_dir).map_err(FlushError::io("sync", &day_dir))?;
        entry.place = Place::Local;
    }
    let sidecar = layout.sidecar(&entry.id);
    match remote.sidecar(&entry.id)? {
        Some(bytes) => {
            files::write_new(&**files, &layout.tmp, &sidecar, &bytes).map_err(FlushError::io("write", &sidecar))?;
        }
        None => {
            let block = Block::new(entry.clone(), layout, Some(remote));
            block.ensure_sidecar(&**files).map_err(FlushError::block(&sidecar))?;
        }
    }
    // Of a file that is not what it should be the check at the end would speak; of one that stays nobody does.
    let is_there = || remote.bucket.head(&super::block_name(&entry.date, &entry.id));
    if stays && is_there()?.is_none_or(|about| about.n_bytes != entry.n_bytes) {
        let object = remote.url(&super::block_name(&entry.date, &entry.id));
        let reason = "it is missing or of another size than the manifest says".to_owned();
        return Err(FlushError::block(&path)(BlockError::Remote(RemoteError::Damaged { object, reason })));
    }
    Ok(())
}
