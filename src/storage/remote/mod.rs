//! Blocks in a bucket of S3-compatible storage: a second home for them, and when they are old the only one.
//!
//! In: blocks that have been on this disk for a while. Out: the same files below `blocks/date=.../` in the bucket, their
//! sidecars, and a manifest there, so that the bucket alone can be restored, or read by any Parquet reader. The log is
//! always local, and so is each sidecar, so that only samples of blocks that are in the bucket alone need the network.
//!
//! An upload counts once it was verified. A local file goes after that and after the bucket's manifest names the block;
//! an object goes after no manifest names it. `docs/formats/bucket.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::error::OpenError;
use super::figures::RemoteFigures;
use super::files::Files;
use super::keeper::piece;
use super::layout::Layout;
use super::manifest::{BlockEntry, Place};
use super::shared::Counter;
use super::view::View;
use crate::series::Millis;

mod bucket;
mod cache;
mod connect;
mod error;
mod etag;
mod far;
mod home;
mod owner;
mod restore;
mod settings;
mod upload;

#[cfg(test)]
mod tests;

pub(super) use bucket::Bucket;
pub(super) use cache::Cache;
pub use error::RemoteError;
pub(super) use far::Far;
pub(super) use owner::OWNER_NAME;
pub use restore::restore_from_bucket;
pub use settings::RemoteSettings;

/// The manifest's name in the bucket.
pub(super) const BUCKET_MANIFEST: &str = super::manifest::MANIFEST_NAME;

/// What a block's object is called: as its file in the data directory.
pub(super) fn block_name(date: &str, id: &str) -> String {
    format!("blocks/date={date}/{id}.parquet")
}

/// What a sidecar's object is called.
pub(super) fn sidecar_name(id: &str) -> String {
    format!("index/{id}.series")
}

/// The bucket, and what of it is here.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) settings: RemoteSettings,
    tick: Duration,
    pub(super) bucket: Bucket,
    pub(super) cache: Cache,
    pub(super) counters: Counters,
    /// Until when merges leave alone what is in the bucket only.
    house_pause: Mutex<Option<Instant>>,
    /// As the last pass found it.
    n_superseded: AtomicU64,
    state: Mutex<Progress>,
}

/// What is done in the bucket in this process.
#[derive(Debug, Default)]
struct Progress {
    // Whether blocks of the bucket that a lost manifest forgot have been taken back.
    is_adopted: bool,
    // The manifest that is there.
    written: Option<super::manifest::Manifest>,
}

/// The counters behind the fields of [`Figures`](super::Figures) that begin with `remote`.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) n_uploads: Counter,
    pub(super) n_upload_bytes: Counter,
    pub(super) n_upload_errors: Counter,
    pub(super) n_drops: Counter,
    pub(super) n_deletes: Counter,
    pub(super) n_cache_hits: Counter,
    pub(super) n_cache_misses: Counter,
    pub(super) n_read_bytes: Counter,
    pub(super) n_read_errors: Counter,
}

impl Remote {
    /// The bucket that the settings name, if they name one; nothing is sent yet.
    pub(super) fn open(
        files: &Arc<dyn Files>,
        layout: &Layout,
        settings: &RemoteSettings,
    ) -> Result<Option<Arc<Remote>>, OpenError> {
        if settings.bucket.is_none() {
            return Ok(None);
        }
        let wrong = |reason| OpenError::Setting { name: "s3", reason };
        if let Some(problem) = settings.problem() {
            return Err(wrong(problem));
        }
        let store = connect::connect(settings).map_err(wrong)?;
        Remote::over(store, files, layout, settings, upload::TICK).map(Some)
    }

    /// As [`open`](Remote::open), over any store of objects, looked after every `tick`.
    pub(super) fn over(
        store: Arc<dyn object_store::ObjectStore>,
        files: &Arc<dyn Files>,
        layout: &Layout,
        settings: &RemoteSettings,
        tick: Duration,
    ) -> Result<Arc<Remote>, OpenError> {
        let bucket = Bucket::new(store, settings.place(), &settings.prefix, settings.timeout)
            .map_err(OpenError::io("start the threads for", &layout.cache))?;
        let (dir, tmp) = (layout.cache.clone(), layout.tmp.clone());
        let cache = Cache::open(Arc::clone(files), dir, tmp, settings.cache_size)
            .map_err(OpenError::io("open the cache", &layout.cache))?;
        Ok(Arc::new(Remote {
            settings: settings.clone(),
            tick,
            bucket,
            cache,
            counters: Counters::default(),
            house_pause: Mutex::new(None),
            n_superseded: AtomicU64::new(0),
            state: Mutex::default(),
        }))
    }

    /// What there is to tell about it; how many objects wait to be deleted only the manifest knows.
    pub(super) fn figures(&self, view: &View, now: Millis) -> RemoteFigures {
        let entries = || view.blocks.iter().map(|block| block.entry());
        let at = |place: Place| entries().filter(move |entry| entry.place == place);
        let due = || at(Place::Local).filter(|entry| self.is_due(entry, now));
        let counters = &self.counters;
        RemoteFigures {
            is_reachable: self.bucket.is_reachable(),
            n_both: at(Place::Both).count() as u64,
            n_bucket_only: at(Place::Bucket).count() as u64,
            bucket_only_bytes: at(Place::Bucket).map(|entry| entry.n_bytes).sum(),
            n_backlog: due().count() as u64,
            backlog_bytes: due().map(|entry| entry.n_bytes).sum(),
            n_superseded: self.n_superseded.load(Ordering::Relaxed),
            n_uploads: counters.n_uploads.get(),
            n_upload_bytes: counters.n_upload_bytes.get(),
            n_upload_errors: counters.n_upload_errors.get(),
            n_drops: counters.n_drops.get(),
            n_deletes: counters.n_deletes.get(),
            n_cache_hits: counters.n_cache_hits.get(),
            n_cache_misses: counters.n_cache_misses.get(),
            cache_bytes: self.cache.n_bytes(),
            n_read_bytes: counters.n_read_bytes.get(),
            n_read_errors: counters.n_read_errors.get(),
        }
    }

    /// How an object is called in messages.
    pub(super) fn url(&self, name: &str) -> String {
        self.bucket.url(name)
    }

    /// Names and sizes of the objects below `folder`.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, RemoteError> {
        self.bucket.list(folder)
    }

    /// The checksum of an object as the manifest writes it, after reading all of it.
    pub(super) fn crc32(&self, name: &str, n_bytes: u64) -> Result<String, RemoteError> {
        Ok(format!("{:08x}", self.bucket.crc32(name, n_bytes)?))
    }

    /// Whether a block has been here for long enough to be uploaded.
    fn is_due(&self, entry: &BlockEntry, now: Millis) -> bool {
        entry.place == Place::Local && now.saturating_sub(piece(entry).born) >= self.settings.upload_after
    }

    /// Whether merges may bring blocks back from the bucket now.
    pub(super) fn may_fetch(&self) -> bool {
        let is_paused = self.house_pause.lock().is_some_and(|until| Instant::now() < until);
        !is_paused && self.bucket.check_reachable().is_ok()
    }

    /// Leaves alone what is in the bucket only for a while.
    pub(super) fn pause_fetching(&self) {
        *self.house_pause.lock() = Some(Instant::now() + Duration::from_secs(300));
    }
}
