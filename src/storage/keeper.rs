//! Keeping house: memtables become blocks, blocks are merged, old ones go, and only then does what they replace.
//!
//! One thread flushes, another merges and retires, so that a long merge holds up no flush. Both change the live set
//! in one place, [`Keeper::publish`]: a new manifest first, then the view, and at last the deletions.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ulid::Ulid;

use super::block::{About, Block, BlockWriter, Effort, Footer, find_known, let_go};
use super::commit::Work;
use super::compaction::merge_blocks;
use super::deletes::{Delete, Tombstones};
use super::error::BlockError;
use super::error::{FlushError, is_disk_full};
use super::manifest::{self, BlockEntry, Manifest, Place, Published};
use super::memtable::{Cursor, window_of};
use super::parallel::alone;
use super::plan::{Piece, Plan, Rules, WINDOWS, cut, longest, plan};
use super::shared::{Shared, now};
use super::view::Frozen;
use super::wal::segment::path_of;
use crate::series::{Millis, TimeRange};

// How often to look whether something is due.
const FLUSH_TICK: Duration = Duration::from_secs(1);
const MERGE_TICK: Duration = Duration::from_millis(500);
// After a failure, so that a full disk is not hammered but space is noticed soon.
const RETRY_AFTER: Duration = Duration::from_secs(2);
const TRIM_EVERY: Duration = Duration::from_secs(5);
// Blocks of one flush from which on it is worth a word: late samples rarely reach back so far.
const MANY_BLOCKS: usize = 32;
// Samples of a series, on average, from which on a flush of several blocks remembers how far it was read.
const MANY_EACH: u64 = 32;

/// Owns the manifest.
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    work: Sender<Work>,
    // Held during a flush, so that memtables become blocks one after another. Taken after `merging`, before `state`.
    pub(super) flushing: Mutex<()>,
    // Held by whatever takes blocks away, so that none goes twice: merges, retirement, deletes. Taken first.
    pub(super) merging: Mutex<()>,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) manifest: Manifest,
    // Whether the manifest on disk survives power loss.
    is_durable: bool,
    // What no manifest names any more, and may go once `is_durable`.
    pub(super) doomed: Vec<PathBuf>,
    // Folders of blocks from which files were deleted that power loss may bring back.
    unsynced: std::collections::BTreeSet<PathBuf>,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, work: Sender<Work>, manifest: Manifest) -> Keeper {
        let state = State { manifest, is_durable: true, doomed: Vec::new(), unsynced: Default::default() };
        Keeper { shared, work, flushing: Mutex::new(()), merging: Mutex::new(()), state: Mutex::new(state) }
    }

    /// The flushing thread: works until the channel that wakes it is dropped.
    pub(super) fn run_flushes(&self, wake: &Receiver<()>) {
        loop {
            match wake.recv_timeout(FLUSH_TICK) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.shared.is_closed.load(Ordering::Relaxed) {
                return;
            }
            let view = self.shared.view();
            let due = self.shared.settings.flush_interval;
            // A clock that was set back must not put the flush off until it has caught up.
            let is_old = view.active.born().is_some_and(|born| now().saturating_sub(born).saturating_abs() >= due);
            let is_full = view.active.n_samples() >= self.shared.settings.flush_samples as u64;
            // One memtable at a time is on its way; a flush that fails must not freeze ever more of them.
            let result = if view.frozen.is_empty() && (is_old || is_full) { self.flush() } else { self.flush_frozen() };
            if let Err(error) = result {
                tracing::error!(%error, "flushing to Parquet failed; the samples stay in memory and in the log, and it is tried again");
                std::thread::sleep(RETRY_AFTER);
            }
        }
    }

    /// The merging thread: works until `stop` is dropped.
    pub(super) fn run_merges(&self, stop: &Receiver<()>) {
        let mut next_trim = Instant::now() + TRIM_EVERY;
        let mut not_before = Instant::now();
        while matches!(stop.recv_timeout(MERGE_TICK), Err(RecvTimeoutError::Timeout)) {
            if Instant::now() >= not_before
                && let Err(error) = self.keep_house()
                && !self.shared.is_closed.load(Ordering::Relaxed)
            {
                self.shared.counters.n_flush_errors.add(1);
                tracing::error!(%error, "merging or retiring blocks failed; it is tried again in a minute");
                not_before = Instant::now() + Duration::from_secs(60);
            }
            self.tidy(&mut self.state.lock());
            if Instant::now() >= next_trim {
                next_trim = Instant::now() + TRIM_EVERY;
                let_go(&self.shared.view().blocks);
            }
        }
    }

    /// Everything that is due beside flushing.
    pub(super) fn keep_house(&self) -> Result<(), FlushError> {
        self.set_condemned_aside();
        let due = || {
            self.retire(now())?;
            self.carry_out_deletes()?;
            self.merge_all(true)?;
            self.downsample(now())
        };
        let outcome = due();
        if let (Err(error), Some(remote)) = (&outcome, &self.shared.remote)
            && error.is_of_bucket()
        {
            // What is in the bucket only is left alone for a while, so that everything else goes on.
            remote.pause_fetching();
        }
        match &outcome {
            // One damaged block must not keep the others from being merged for ever.
            Err(FlushError::Block { path, .. }) if self.set_aside_if_damaged(path) => Ok(()),
            _ => outcome,
        }
    }

    /// Freezes the memtable and writes it, and any that were frozen before, to blocks.
    pub(super) fn flush(&self) -> Result<(), FlushError> {
        self.cut()?;
        self.flush_frozen()
    }

    /// Freezes the memtable.
    pub(super) fn cut(&self) -> Result<(), FlushError> {
        let (reply, answer) = sync_channel(1);
        self.work.send(Work::Cut(reply)).map_err(|_| FlushError::Closed)?;
        answer.recv().map_err(|_| FlushError::Closed)
    }

    fn flush_frozen(&self) -> Result<(), FlushError> {
        let _flushing = self.flushing.lock();
        self.flush_all_frozen()
    }

    /// Writes every frozen memtable to blocks, while the caller holds `flushing`.
    pub(super) fn flush_all_frozen(&self) -> Result<(), FlushError> {
        loop {
            let Some(frozen) = self.shared.view.read().frozen.first().cloned() else { return Ok(()) };
            let result = self.flush_one(&frozen);
            let is_full = matches!(&result, Err(error) if is_for_want_of_space(error));
            self.shared.is_full.store(is_full, Ordering::Relaxed);
            if result.is_err() {
                self.shared.counters.n_flush_errors.add(1);
            }
            result?;
            self.shared.counters.n_flushes.add(1);
        }
    }

    fn flush_one(&self, frozen: &Frozen) -> Result<(), FlushError> {
        let sequence = self.state.lock().manifest.next_sequence;
        let mut written = Vec::new();
        let outcome = alone(|| self.write_blocks(frozen, sequence, &mut written)).and_then(|()| {
            let view_changes = |view: &mut super::view::View| {
                view.frozen.remove(0);
            };
            self.publish(&written, &[], Some((frozen.wal_upto, sequence + 1)), view_changes)
        });
        if outcome.is_err() {
            self.remove_unpublished(&written);
        }
        outcome
    }

    /// Writes the memtable's samples to blocks, cut by time as [`cut`] says; one series at a time, so that it takes no
    /// second copy of them.
    fn write_blocks(&self, frozen: &Frozen, sequence: u64, written: &mut Vec<BlockEntry>) -> Result<(), FlushError> {
        let memtable = frozen.memtable.look();
        let order = memtable.in_block_order();
        let mut samples = Vec::new();
        let Shared { files, layout, .. } = &*self.shared;
        let mut cut = cut(&frozen.memtable.windows());
        cut.iter_mut().for_each(|windows| windows.sort_unstable());
        // In order of time, so that a series whose samples are in order is read through once for all of them. Those of
        // which there are few are read anew for each: that costs less than remembering where each stood.
        cut.sort_unstable();
        let has_many = frozen.memtable.n_samples() >= MANY_EACH * order.len() as u64;
        let mut cursors = vec![Cursor::default(); if cut.len() > 1 && has_many { order.len() } else { 0 }];
        if cut.len() > MANY_BLOCKS {
            let n_blocks = cut.len();
            tracing::warn!(
                n_blocks,
                "the samples of this flush are scattered over many days; each 30 days get a block, however few they are"
            );
        }
        for (number, windows) in cut.iter().enumerate() {
            let (Some(first), Some(last)) = (windows.first(), windows.last()) else { continue };
            let range = TimeRange::new(first * WINDOWS[0], (last + 1) * WINDOWS[0]).unwrap_or(TimeRange::ALL);
            let next = cut.get(number + 1).and_then(|windows| windows.first()).map_or(range.end(), |w| w * WINDOWS[0]);
            let has_gaps = (last - first + 1) as usize > windows.len();
            let about = About { sequence, wal_upto: frozen.wal_upto, sources: Vec::new(), effort: Effort::Fresh };
            let mut writer = BlockWriter::create(&**files, layout, about).map_err(FlushError::block(&layout.tmp))?;
            writer.expect(order.len(), find_known(|keys| keys.len() == order.len()).as_ref());
            let path = writer.path().to_owned();
            for (number, place) in order.iter().enumerate() {
                samples.clear();
                match cursors.get_mut(number) {
                    Some(cursor) => memtable.append_onward(*place, cursor, (range, next), &mut samples),
                    None => memtable.append_to(*place, range, &mut samples),
                }
                if has_gaps {
                    samples.retain(|sample| windows.binary_search(&window_of(sample.at)).is_ok());
                }
                if !samples.is_empty() {
                    writer.push(memtable.key(*place), &samples).map_err(FlushError::block(&path))?;
                }
            }
            written.extend(writer.finish().map_err(FlushError::block(&path))?);
        }
        Ok(())
    }

    /// Makes `added` live instead of `removed`, with `covered` as the new end of the flushed log and next sequence.
    ///
    /// The manifest goes first: when it cannot be replaced nothing has changed. Deletions come last.
    pub(super) fn publish(
        &self,
        added: &[BlockEntry],
        removed: &[BlockEntry],
        covered: Option<(u64, u64)>,
        change_view: impl FnOnce(&mut super::view::View),
    ) -> Result<(), FlushError> {
        self.publish_with(added, removed, covered, |_| {}, change_view)
    }

    /// As [`publish`](Keeper::publish), with a further change to the manifest.
    pub(super) fn publish_with(
        &self,
        added: &[BlockEntry],
        removed: &[BlockEntry],
        covered: Option<(u64, u64)>,
        change_manifest: impl FnOnce(&mut Manifest),
        change_view: impl FnOnce(&mut super::view::View),
    ) -> Result<(), FlushError> {
        let Shared { files, layout, .. } = &*self.shared;
        let mut state = self.state.lock();
        let mut manifest = state.manifest.clone();
        if let Some((wal_covered, next_sequence)) = covered {
            (manifest.wal_covered, manifest.next_sequence) = (wal_covered, next_sequence);
        }
        // Before `remove`, so that a delete whose last file goes here is done here.
        change_manifest(&mut manifest);
        manifest.supersede(removed, added.first().map(|entry| entry.id.as_str()));
        manifest.remove(removed);
        manifest.blocks.extend_from_slice(added);
        manifest.blocks.sort_by(|a, b| (&a.date, a.sequence).cmp(&(&b.date, b.sequence)));
        manifest.tiers.sort_by(|a, b| (a.tier, &a.date, &a.id).cmp(&(b.tier, &b.date, &b.id)));
        // What a crash would leave of blocks that were live once.
        let is_doomed =
            |id: &String| state.doomed.iter().any(|path| path.file_stem().is_some_and(|stem| *stem == **id));
        let may_come_back = !state.unsynced.is_empty();
        manifest.gone.retain(|id| may_come_back || is_doomed(id));
        // Not those in the quarantine: put back by hand, such a file must not be deleted.
        let is_there = |entry: &&BlockEntry| layout.block(&entry.date, &entry.id).exists();
        manifest.gone.extend(removed.iter().filter(is_there).map(|entry| entry.id.clone()));
        let tombstones = Tombstones::of(&manifest.deletes).map_err(|error| {
            FlushError::io("read a delete in", &manifest::path_in(&layout.root))(std::io::Error::other(error))
        })?;
        let published = manifest
            .publish(&**files, &layout.root)
            .map_err(FlushError::io("write the manifest", &manifest::path_in(&layout.root)))?;
        let tiers = Arc::new(manifest.tiers.clone());
        let old = std::mem::replace(&mut state.manifest, manifest);
        let is_done = |delete: &&Delete| !state.manifest.deletes.iter().any(|other| other.id == delete.id);
        let deletes_done: Vec<_> = old.deletes.iter().filter(is_done).map(|delete| layout.delete(&delete.id)).collect();
        state.is_durable = published == Published::Durable;
        {
            let mut view = self.shared.view.write();
            let was_live = |entry: &BlockEntry| old.blocks.iter().any(|other| other.id == entry.id);
            let is_named = |block: &Arc<Block>| state.manifest.blocks.iter().find(|entry| entry.id == block.entry().id);
            let kept = view.blocks.iter().filter_map(|block| {
                let entry = is_named(block)?;
                Some(if entry == block.entry() { Arc::clone(block) } else { Arc::new(block.moved(entry.clone())) })
            });
            let mut blocks: Vec<_> = kept.collect();
            // Not those that were named before and have no file here: they are missing.
            let new = state.manifest.blocks.iter().filter(|entry| !was_live(entry));
            blocks.extend(new.map(|entry| Arc::new(Block::new(entry.clone(), layout, self.shared.remote.as_ref()))));
            blocks.sort_by_key(|block| block.entry().sequence);
            view.blocks = Arc::new(blocks);
            view.tombstones = tombstones;
            view.tiers = Arc::clone(&tiers);
            change_view(&mut view);
        }
        for entry in removed {
            state.doomed.extend([layout.block(&entry.date, &entry.id), layout.sidecar(&entry.id)]);
        }
        for entry in old.tiers.iter().filter(|old| !tiers.iter().any(|entry| entry.id == old.id)) {
            state.doomed.extend([layout.tier_file(entry), layout.sidecar(&entry.id)]);
        }
        state.doomed.extend(deletes_done);
        if let Some((wal_covered, _)) = covered {
            let mut segments = self.shared.segments.lock();
            let kept = segments.split_off(&(wal_covered + 1));
            state.doomed.extend(segments.keys().map(|seq| path_of(&layout.wal, *seq)));
            *segments = kept;
        }
        self.tidy(&mut state);
        Ok(())
    }

    /// Changes the manifest, and the view to what it says then.
    pub(super) fn change(&self, change: impl FnOnce(&mut Manifest)) -> Result<(), FlushError> {
        self.publish_with(&[], &[], None, change, |_| {})
    }

    /// The ids that the blocks whose files are here name as their sources.
    pub(super) fn sources_of_blocks(&self, is_wanted: bool) -> std::collections::HashSet<String> {
        let view = self.shared.view();
        let blocks = view.blocks.iter().filter(|block| is_wanted && block.entry().place != Place::Bucket);
        let footer = |block: &Arc<Block>| Footer::read(&self.shared.files.open(block.path()).ok()?).ok();
        blocks.filter_map(footer).flat_map(|footer| footer.sources).collect()
    }

    /// Deletes what no manifest names any more, once the manifest that says so is durable.
    pub(super) fn tidy(&self, state: &mut State) {
        let Shared { files, layout, .. } = &*self.shared;
        if !state.is_durable {
            state.is_durable = files.sync_dir(&layout.root).is_ok();
        }
        if state.is_durable {
            let State { doomed, unsynced, .. } = &mut *state;
            doomed.retain(|path| match files.remove(path) {
                Ok(()) => {
                    unsynced.extend(path.parent().filter(|dir| dir.starts_with(&layout.blocks)).map(PathBuf::from));
                    false
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "a file that is no longer needed could not be deleted; it is tried again");
                    true
                }
            });
            // Until then the manifest goes on saying that they are gone.
            unsynced.retain(|dir| files.sync_dir(dir).is_err());
        }
    }

    /// Fails unless the manifest that is in force survives power loss.
    pub(super) fn ensure_durable(&self) -> Result<(), FlushError> {
        let mut state = self.state.lock();
        self.tidy(&mut state);
        if state.is_durable {
            return Ok(());
        }
        let root = &self.shared.layout.root;
        Err(FlushError::io("sync", root)(std::io::Error::other("the change is in force, and a power cut may undo it")))
    }

    /// Removes blocks that were written but did not become live; other programs would count their samples twice.
    pub(super) fn remove_unpublished(&self, entries: &[BlockEntry]) {
        let Shared { layout, .. } = &*self.shared;
        let mut state = self.state.lock();
        for entry in entries {
            state.doomed.extend([layout.block(&entry.date, &entry.id), layout.sidecar(&entry.id)]);
        }
        self.tidy(&mut state);
    }

    /// Merges blocks as long as there is something to merge; unless `is_patient`, also where more may still come.
    pub(super) fn merge_all(&self, is_patient: bool) -> Result<(), FlushError> {
        self.merge_all_at(now(), is_patient)
    }

    pub(super) fn merge_all_at(&self, now: Millis, is_patient: bool) -> Result<(), FlushError> {
        loop {
            let is_done = self.shared.is_closed.load(Ordering::Relaxed) || !self.merge_once(now, is_patient)?;
            if is_done {
                return Ok(());
            }
        }
    }

    fn merge_once(&self, now: Millis, is_patient: bool) -> Result<bool, FlushError> {
        let _merging = self.merging.lock();
        let Shared { files, layout, settings, .. } = &*self.shared;
        let view = self.shared.view();
        let mut pieces: Vec<Piece> = view.blocks.iter().map(|block| piece(block.entry())).collect();
        for (piece, block) in pieces.iter_mut().zip(view.blocks.iter()) {
            piece.is_within_reach = self.is_within_reach(block.entry());
        }
        let longest = longest(settings.retention);
        let rules = Rules { now, max_blocks: settings.max_blocks_per_day, is_patient, longest };
        let Some(Plan { blocks, effort }) = plan(&pieces, rules) else { return Ok(false) };
        let sources = blocks.iter().map(|number| self.at_home(&view.blocks[*number]));
        let sources = sources.collect::<Result<Vec<Arc<Block>>, _>>()?;
        let wal_upto = self.state.lock().manifest.wal_covered;
        let is_closed = &self.shared.is_closed;
        let tombstones = &view.tombstones;
        let merged = alone(|| merge_blocks(&**files, layout, &sources, wal_upto, effort, is_closed, tombstones))?;
        let added: Vec<BlockEntry> = merged.into_iter().collect();
        let removed: Vec<BlockEntry> = sources.iter().map(|block| block.entry().clone()).collect();
        let published = self.publish(&added, &removed, None, |_| {});
        if published.is_err() {
            self.remove_unpublished(&added);
        }
        published?;
        self.shared.counters.n_compactions.add(1);
        Ok(true)
    }
}

pub(super) fn piece(entry: &BlockEntry) -> Piece {
    let born = Ulid::from_string(&entry.id).map(|id| id.timestamp_ms()).unwrap_or_default();
    Piece {
        sequence: entry.sequence,
        min_time: entry.min_time,
        max_time: entry.max_time,
        n_samples: entry.n_samples,
        n_series: entry.n_series,
        born: Millis::try_from(born).unwrap_or(Millis::MAX),
        is_lasting: entry.is_lasting,
        is_within_reach: true,
    }
}

fn is_for_want_of_space(error: &FlushError) -> bool {
    match error {
        FlushError::Io { source, .. } | FlushError::Block { source: BlockError::Io(source), .. } => {
            is_disk_full(source)
        }
        FlushError::Block { source: BlockError::Parquet(parquet::errors::ParquetError::External(source)), .. } => {
            source.downcast_ref::<std::io::Error>().is_some_and(is_disk_full)
        }
        FlushError::Block { .. } | FlushError::Remote(_) | FlushError::Closed => false,
    }
}
