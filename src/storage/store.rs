//! The store as its users see it: opening, taking in, keeping house, closing. Questions are in `reads.rs`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use super::commit::{Pending, Refused, Work, Writer};
use super::durable::create_dir_durably;
use super::error::{AppendError, FlushError, OpenError};
use super::figures::Figures;
use super::files::{Disk, Files};
use super::keeper::Keeper;
use super::layout::{END_TIME, FIRST_TIME, Layout};
use super::lock::Lock;
use super::open::{make_dirs, open};
use super::remote::{Remote, RemoteSettings};
use super::retire::Deleted;
use super::settings::StoreSettings;
use super::shared::{Counters, Shared, now};
use super::snapshot::Snapshot;
use super::table::SeriesTable;
use super::view::View;
use super::wal::record::{RefSamples, SeriesRef};
use crate::series::{Batch, Key, Millis, Selector, TimeRange};

mod reads;

// How long an append waits for a flush that lags before it is refused.
const MAX_WAIT: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 10_000 });
// Memory beyond this many times `flush_samples` means that flushing lags: one is on its way, and the next is full.
const MAX_MEMTABLES: u64 = 2;
// Not fewer, whatever the setting: a large batch alone is no lag.
const MIN_LAG_SAMPLES: u64 = 1_000_000;

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Samples that are stored, as durably as [`Ack`](super::Ack) says.
    pub n_accepted: usize,
    /// Samples that are not: their index in the batch, and why.
    pub rejected: Vec<(usize, String)>,
}

/// A data directory, open for reading and writing. Shared between threads as `Arc<Store>`.
pub struct Store {
    shared: Arc<Shared>,
    keeper: Arc<Keeper>,
    work: Sender<Work>,
    // Present until the store is closed.
    running: Mutex<Option<Running>>,
}

struct Running {
    // Dropping one of these ends the thread that listens.
    wake_flushes: SyncSender<()>,
    stop_merges: SyncSender<()>,
    stop_uploads: SyncSender<()>,
    writer: JoinHandle<()>,
    flusher: JoinHandle<()>,
    merger: JoinHandle<()>,
    uploader: JoinHandle<()>,
    _lock: Lock,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.shared.layout.root).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the data directory `dir`, making it when it is not there, and replays its log.
    ///
    /// # Errors
    /// [`OpenError`] says what and which file: locked by another process, not writable, of a newer format.
    pub fn open(dir: &Path, settings: StoreSettings) -> Result<Store, OpenError> {
        create_dir_durably(dir).map_err(OpenError::io("create", dir))?;
        Store::open_with(Arc::new(Disk), dir, settings)
    }

    pub(super) fn open_with(files: Arc<dyn Files>, dir: &Path, settings: StoreSettings) -> Result<Store, OpenError> {
        let connect = Remote::open;
        Store::open_over(files, dir, settings, connect)
    }

    /// As [`open`](Store::open), with a way to the bucket that the settings name.
    pub(super) fn open_over(
        files: Arc<dyn Files>,
        dir: &Path,
        settings: StoreSettings,
        connect: impl FnOnce(&Arc<dyn Files>, &Layout, &RemoteSettings) -> Result<Option<Arc<Remote>>, OpenError>,
    ) -> Result<Store, OpenError> {
        check(&settings)?;
        let lock = Lock::take(dir)?;
        let layout = Layout::new(dir);
        make_dirs(&*files, &layout)?;
        let remote = connect(&files, &layout, &settings.s3)?;
        let table = SeriesTable::new(settings.max_series);
        let opened = open(&*files, &layout, &table, remote.as_ref())?;
        if let Some(remote) = &remote {
            remote.claim_at_start(&*files, &layout, opened.manifest.has_uploads())?;
        }
        let counters = Counters::default();
        counters.n_replayed.add(opened.n_replayed);
        counters.n_quarantined.add(opened.n_quarantined);
        let view = View {
            blocks: Arc::new(opened.blocks),
            frozen: Vec::new(),
            active: Arc::new(opened.memtable),
            tombstones: opened.tombstones,
            tiers: Arc::new(opened.manifest.tiers.clone()),
            epoch: table.epoch(),
        };
        let shared = Arc::new(Shared {
            settings,
            files,
            layout,
            remote,
            table,
            view: RwLock::new(view),
            segments: Mutex::new(opened.segments),
            counters,
            is_closed: false.into(),
            is_full: false.into(),
        });

        let (work, to_do) = channel();
        // One waiting wake-up says as much as many.
        let (wake_flushes, woken) = sync_channel(1);
        let (stop_merges, stopped) = sync_channel(0);
        let (stop_uploads, uploads_stopped) = sync_channel(0);
        let keeper = Arc::new(Keeper::new(Arc::clone(&shared), work.clone(), opened.manifest));
        let writer = Writer::new(Arc::clone(&shared), opened.next_seq, wake_flushes.clone());
        let (flushes, merges, uploads) = (Arc::clone(&keeper), Arc::clone(&keeper), Arc::clone(&keeper));
        let running = Running {
            wake_flushes,
            stop_merges,
            stop_uploads,
            writer: spawn("store-writer", move || writer.run(&to_do))?,
            flusher: spawn("store-flusher", move || flushes.run_flushes(&woken))?,
            merger: spawn("store-merger", move || merges.run_merges(&stopped))?,
            uploader: spawn("store-uploader", move || uploads.run_uploads(&uploads_stopped))?,
            _lock: lock,
        };
        Ok(Store { shared, keeper, work, running: Mutex::new(Some(running)) })
    }

    /// Stores a batch; returns when it is durable.
    ///
    /// Samples that cannot be stored are rejected with a reason each, and the others are stored all the same.
    ///
    /// # Errors
    /// [`AppendError`]: nothing of the batch is acknowledged, and sending it again is safe.
    pub fn append(&self, batch: &Batch) -> Result<Appended, AppendError> {
        self.wait_for_room()?;
        let mut resolve: fn(&SeriesTable, &Key, u32) -> Option<SeriesRef> = SeriesTable::resolve;
        loop {
            if self.shared.is_closed.load(Ordering::Relaxed) {
                return Err(AppendError::Closed);
            }
            let table = &self.shared.table;
            let epoch = table.epoch();
            let refs: Vec<_> = batch.keys().iter().map(|key| resolve(table, key, epoch)).collect();
            let (samples, rejected) = self.number(batch, &refs);
            let n_accepted = samples.refs.len();
            if n_accepted > 0 {
                let (reply, answer) = sync_channel(1);
                let pending = Pending::new(epoch, samples, refs.into_iter().flatten().collect(), reply);
                self.work.send(Work::Append(pending)).map_err(|_| AppendError::Closed)?;
                match answer.recv() {
                    Ok(Ok(())) => {}
                    Ok(Err(Refused::Stale)) => {
                        resolve = SeriesTable::resolve_anew;
                        continue;
                    }
                    Ok(Err(Refused::Failed(error))) => return Err(error),
                    Err(_) => return Err(AppendError::Closed),
                }
            }
            self.shared.counters.n_rejected.add(rejected.len() as u64);
            return Ok(Appended { n_accepted, rejected });
        }
    }

    /// The samples under their series' numbers, which are `refs` in the order of the keys; and what cannot be stored.
    fn number(&self, batch: &Batch, refs: &[Option<SeriesRef>]) -> (RefSamples, Vec<(usize, String)>) {
        let columns = batch.columns();
        let mut samples = RefSamples {
            refs: Vec::with_capacity(batch.len()),
            at: Vec::with_capacity(batch.len()),
            value: Vec::with_capacity(batch.len()),
        };
        let mut rejected = Vec::new();
        let rows = columns.key_idx.iter().zip(&columns.at).zip(&columns.value);
        for (idx, ((key_idx, at), value)) in rows.enumerate() {
            match refs[*key_idx as usize] {
                Some(series_ref) if (FIRST_TIME..END_TIME).contains(at) => {
                    samples.refs.push(series_ref);
                    samples.at.push(*at);
                    samples.value.push(*value);
                }
                Some(_) => rejected.push((idx, out_of_calendar(*at))),
                None => rejected.push((idx, too_many_series(self.shared.table.max_active()))),
            }
        }
        (samples, rejected)
    }

    /// Holds senders back while flushing lags, so that memory does not grow without end.
    fn wait_for_room(&self) -> Result<(), AppendError> {
        let limit = (MAX_MEMTABLES * self.shared.settings.flush_samples as u64).max(MIN_LAG_SAMPLES);
        let deadline = Instant::now() + MAX_WAIT;
        loop {
            let n_waiting = self.shared.view.read().n_memtable_samples();
            if n_waiting <= limit {
                return Ok(());
            }
            if self.shared.is_closed.load(Ordering::Relaxed) {
                return Err(AppendError::Closed);
            }
            if self.shared.is_full.load(Ordering::Relaxed) {
                return Err(AppendError::DiskFull { path: self.shared.layout.blocks.clone() });
            }
            if Instant::now() >= deadline {
                return Err(AppendError::Overloaded { n_waiting: usize::try_from(n_waiting).unwrap_or(usize::MAX) });
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Writes the memtable to blocks.
    ///
    /// # Errors
    /// [`FlushError`]; everything stays in memory and in the log, and is tried again.
    pub fn flush(&self) -> Result<(), FlushError> {
        self.keeper.flush()
    }

    /// Deletes what is past its retention, carries out deletes and merges blocks now, without waiting for what may
    /// still come; otherwise a thread does so in the background.
    ///
    /// # Errors
    /// When a block cannot be read or written; the blocks stay as they are.
    pub fn compact(&self) -> Result<(), FlushError> {
        self.keeper.retire(now())?;
        self.keeper.carry_out_deletes()?;
        self.keeper.merge_all(false)?;
        self.keeper.downsample(now())
    }

    /// Deletes every sample in `range`, of those acknowledged before, of the series that `selector` means.
    ///
    /// They are hidden from every read on return, durably, and leave the disk when their blocks are rewritten, which a
    /// thread does in the background. Samples that arrive later are not concerned, whatever their timestamps.
    ///
    /// # Errors
    /// [`FlushError`]; nothing is deleted.
    pub fn delete(&self, selector: &Selector, range: TimeRange) -> Result<Deleted, FlushError> {
        self.keeper.delete(selector, range)
    }

    /// Copies everything acknowledged so far into `snapshots/<id>` below the data directory, while writing goes on.
    ///
    /// Blocks never change, so that their files are linked rather than copied where the file system can.
    ///
    /// # Errors
    /// [`FlushError`]; nothing of the snapshot is left.
    pub fn snapshot(&self) -> Result<Snapshot, FlushError> {
        self.keeper.snapshot()
    }

    /// Flushes and stops the store's threads; further appends are refused, reading goes on. Closing twice is fine.
    ///
    /// # Errors
    /// As [`flush`](Store::flush); the log then still has everything, and the next open replays it.
    pub fn close(&self) -> Result<(), FlushError> {
        let Some(running) = self.running.lock().take() else { return Ok(()) };
        self.shared.is_closed.store(true, Ordering::Relaxed);
        let flushed = self.keeper.flush();
        self.stop(running);
        flushed
    }

    fn stop(&self, running: Running) {
        self.shared.is_closed.store(true, Ordering::Relaxed);
        let Running { wake_flushes, stop_merges, stop_uploads, writer, flusher, merger, uploader, _lock } = running;
        // The writer may be gone after a panic of its own; then there is nothing to stop.
        let _ = self.work.send(Work::Stop);
        let _ = wake_flushes.try_send(());
        drop((wake_flushes, stop_merges, stop_uploads));
        for thread in [writer, flusher, merger, uploader] {
            if thread.join().is_err() {
                tracing::error!("a thread of the store has panicked; what was acknowledged is in the log");
            }
        }
    }

    /// Counts and sizes, for `/metrics`.
    pub fn figures(&self) -> Figures {
        self.shared.figures()
    }

    /// For tests that do not wait until something is due.
    #[cfg(test)]
    pub(super) fn upload(&self) -> Result<(), FlushError> {
        let remote = self.shared.remote.as_ref().expect("the test has a bucket");
        self.keeper.upload(remote, now())
    }

    /// For tests that do not wait until something is due.
    #[cfg(test)]
    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Makes the tiers of all blocks, as if they had been there for a day.
    #[cfg(test)]
    pub(crate) fn downsample_early(&self) {
        self.keeper.downsample(now() + crate::series::DAY).expect("tiers are made");
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.shared.layout.root
    }
}

impl Drop for Store {
    /// Stops the threads without flushing: the log has everything, and the next open replays it.
    fn drop(&mut self) {
        if let Some(running) = self.running.lock().take() {
            self.stop(running);
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(OpenError::io("start the thread", Path::new(name)))
}

fn check(settings: &StoreSettings) -> Result<(), OpenError> {
    let positive = |name: &'static str, is_positive: bool| match is_positive {
        true => Ok(()),
        false => Err(OpenError::Setting { name, reason: "must be above zero".to_owned() }),
    };
    positive("flush_samples", settings.flush_samples > 0)?;
    positive("flush_interval", settings.flush_interval > 0)?;
    positive("segment_size", settings.segment_size > 0)?;
    positive("max_series", settings.max_series > 0)?;
    for (name, retention) in [("retention_5m", settings.retention_5m), ("retention_1h", settings.retention_1h)] {
        positive(name, retention.is_none_or(|retention| retention > 0))?;
    }
    positive("retention_size", settings.retention_size.is_none_or(|retention_size| retention_size > 0))?;
    positive("retention", settings.retention.is_none_or(|retention| retention > 0))
}

fn out_of_calendar(at: Millis) -> String {
    format!(
        "the timestamp {at} is not between the years 1 and 9999; timestamps are milliseconds since 1970, not micro- or nanoseconds"
    )
}

fn too_many_series(max: usize) -> String {
    format!("there are {max} active series already, as many as allowed (config: store.max_series)")
}
