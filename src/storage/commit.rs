//! Group commit: one thread owns the log and writes for everybody who waits.
//!
//! Appending threads encode their samples and hand them over. The writer thread takes all that wait, adds definitions
//! of series the segment does not know yet, writes everything in one write, syncs once, moves the samples into the
//! memtable and answers all. So the order in the log is the order in the memtable, and a replay gives the same result.
//!
//! After a failed write or sync nobody knows what is on disk: the group is refused, the segment is never written again
//! and the next group goes to a new one.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Instant;

use super::block::random_u64;
use super::error::AppendError;
use super::memtable::Memtable;
use super::settings::Ack;
use super::shared::{Shared, now};
use super::view::Frozen;
use super::wal::record::{RefSamples, SeriesRef, encode_samples, encode_series};
use super::wal::segment::{Segment, path_of};
use crate::series::Key;

// A group takes in no more once it holds this much, so that the first in it does not wait for ever.
const MAX_GROUP_BYTES: usize = 16 << 20;
// Samples in a record: what a damaged byte costs at most.
const MAX_RECORD_SAMPLES: usize = 65_536;
const MAX_RECORD_SERIES: usize = 256;

/// What the writer thread is asked to do.
pub(super) enum Work {
    /// Commit these samples.
    Append(Pending),
    /// Freeze the memtable and go on in a new segment; answer when done.
    Cut(SyncSender<()>),
    /// Sync and end.
    Stop,
}

/// Samples whose sender waits.
pub(super) struct Pending {
    // In which the series' numbers were asked for.
    epoch: u32,
    samples: RefSamples,
    // The series that may be among the samples.
    series: Vec<SeriesRef>,
    // Encoded by the sender, in parallel with other senders.
    records: Vec<(Vec<u8>, u32)>,
    reply: SyncSender<Result<(), Refused>>,
}

impl Pending {
    /// Samples of some of `series`, whose numbers are those of `epoch`.
    pub(super) fn new(
        epoch: u32,
        samples: RefSamples,
        series: Vec<SeriesRef>,
        reply: SyncSender<Result<(), Refused>>,
    ) -> Pending {
        let mut records = Vec::new();
        for start in (0..samples.refs.len()).step_by(MAX_RECORD_SAMPLES) {
            let part = start..samples.refs.len().min(start + MAX_RECORD_SAMPLES);
            let mut payload = Vec::new();
            let (at, value) = (&samples.at[part.clone()], &samples.value[part.clone()]);
            encode_samples(&samples.refs[part], at, value, &mut payload);
            let crc = crc32fast::hash(&payload);
            records.push((payload, crc));
        }
        Pending { epoch, samples, series, records, reply }
    }

    fn n_bytes(&self) -> usize {
        self.records.iter().map(|(payload, _)| payload.len()).sum()
    }
}

/// Why samples were not committed.
#[derive(Debug)]
pub(super) enum Refused {
    /// A series went quiet and was forgotten while they were on their way: resolve the keys again.
    Stale,
    /// The log could not take them.
    Failed(AppendError),
}

/// The writer thread's own things.
pub(super) struct Writer {
    shared: Arc<Shared>,
    // `None` until something is to be written, and after an error.
    segment: Option<Segment>,
    next_seq: u64,
    // By series number: whether the current segment defines it.
    is_defined: Vec<bool>,
    // By series number: the last memtable it was in, counted by cuts.
    last_used: Vec<u64>,
    n_cuts: u64,
    // When the oldest write that is not synced was made.
    unsynced_since: Option<Instant>,
    // Tells the keeper that the memtable is full.
    wake: SyncSender<()>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, next_seq: u64, wake: SyncSender<()>) -> Writer {
        Writer {
            shared,
            segment: None,
            next_seq,
            is_defined: Vec::new(),
            last_used: Vec::new(),
            n_cuts: 0,
            unsynced_since: None,
            wake,
        }
    }

    /// Works until told to stop, or until nobody can ask any more.
    pub(super) fn run(mut self, work: &Receiver<Work>) {
        while let Some(first) = self.next(work) {
            let mut group = Vec::new();
            let mut n_bytes = 0;
            let mut current = Some(first);
            let mut other = None;
            while let Some(work_item) = current.take() {
                match work_item {
                    Work::Append(pending) => {
                        n_bytes += pending.n_bytes();
                        group.push(pending);
                    }
                    not_append => {
                        other = Some(not_append);
                        break;
                    }
                }
                if n_bytes < MAX_GROUP_BYTES {
                    current = work.try_recv().ok();
                }
            }
            self.commit(group);
            match other {
                None => {}
                Some(Work::Cut(reply)) => {
                    self.cut();
                    // Whoever asked may have gone.
                    let _ = reply.send(());
                }
                Some(Work::Append(_) | Work::Stop) => break,
            }
        }
        self.end_segment();
    }

    /// Waits for work; syncs in between when the interval for it is over.
    fn next(&mut self, work: &Receiver<Work>) -> Option<Work> {
        let Ack::Interval(every) = self.shared.settings.ack else { return work.recv().ok() };
        loop {
            let Some(since) = self.unsynced_since else { return work.recv().ok() };
            let left = every.saturating_sub(since.elapsed());
            if left.is_zero() {
                self.sync();
                continue;
            }
            match work.recv_timeout(left) {
                Ok(work) => return Some(work),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn commit(&mut self, group: Vec<Pending>) {
        let (group, stale) = self.split_stale(group);
        for pending in stale {
            let _ = pending.reply.send(Err(Refused::Stale));
        }
        if group.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let counters = &shared.counters;
        match self.write(&group) {
            Ok(()) => {
                counters.n_commits.add(1);
                let view = shared.view();
                let keys = shared.table.keys();
                for pending in &group {
                    view.active.take(&pending.samples, &keys, now());
                    counters.n_appended.add(pending.samples.refs.len() as u64);
                }
                drop(keys);
                if view.active.n_samples() >= shared.settings.flush_samples as u64 {
                    // A wake-up that is waiting already will do.
                    let _ = self.wake.try_send(());
                }
                for pending in group {
                    let _ = pending.reply.send(Ok(()));
                }
            }
            Err(error) => {
                counters.n_append_errors.add(1);
                for pending in group {
                    let _ = pending.reply.send(Err(Refused::Failed(error.clone())));
                }
            }
        }
        if self.segment.as_ref().is_some_and(|segment| segment.n_good() >= shared.settings.segment_size) {
            self.end_segment();
        }
    }

    /// Parts those of whose series one has been forgotten since they were resolved, and those whose numbers are of an
    /// epoch that has ended since: they may be other series' by now.
    fn split_stale(&self, group: Vec<Pending>) -> (Vec<Pending>, Vec<Pending>) {
        let keys = self.shared.table.keys();
        let is_known = |series_ref: &SeriesRef| keys.get(*series_ref as usize).is_some_and(Option::is_some);
        let epoch = self.shared.table.epoch();
        group.into_iter().partition(|pending| pending.epoch == epoch && pending.series.iter().all(is_known))
    }

    fn write(&mut self, group: &[Pending]) -> Result<(), AppendError> {
        let mut segment = match self.segment.take() {
            Some(segment) => segment,
            None => self.start_segment()?,
        };
        for series in self.define(group).chunks(MAX_RECORD_SERIES) {
            let mut payload = Vec::new();
            encode_series(series, &mut payload);
            segment.add(&payload, crc32fast::hash(&payload));
        }
        for (payload, crc) in group.iter().flat_map(|pending| &pending.records) {
            segment.add(payload, *crc);
        }
        let then_sync = self.shared.settings.ack == Ack::Fsync;
        match segment.write(then_sync) {
            Ok(()) => {
                if then_sync {
                    self.shared.counters.n_fsyncs.add(1);
                } else {
                    self.unsynced_since.get_or_insert_with(Instant::now);
                }
                self.shared.segments.lock().insert(segment.seq(), segment.n_good());
                self.segment = Some(segment);
                Ok(())
            }
            Err(error) => {
                let answer = AppendError::io(segment.path(), &error);
                let was_promised = self.unsynced_since.is_some();
                self.give_up(segment, &error);
                if was_promised {
                    self.rescue();
                }
                Err(answer)
            }
        }
    }

    /// The series in `group` that the current segment does not define yet; from now on it does.
    fn define(&mut self, group: &[Pending]) -> Vec<(SeriesRef, Key)> {
        let keys = self.shared.table.keys();
        self.is_defined.resize(keys.len(), false);
        let mut series = Vec::new();
        for series_ref in group.iter().flat_map(|pending| &pending.series) {
            let is_defined = &mut self.is_defined[*series_ref as usize];
            if let (false, Some(key)) = (*is_defined, &keys[*series_ref as usize]) {
                *is_defined = true;
                series.push((*series_ref, key.clone()));
            }
        }
        series
    }

    fn start_segment(&mut self) -> Result<Segment, AppendError> {
        let Shared { files, layout, segments, .. } = &*self.shared;
        let seq = self.next_seq;
        // A number is used once, even when its file could not be made: remains of it must never be written to.
        self.next_seq += 1;
        self.is_defined.fill(false);
        let segment = Segment::create(&**files, &layout.wal, seq, random_u64()).map_err(|error| {
            tracing::error!(segment = seq, %error, "cannot start a segment of the log");
            AppendError::io(&path_of(&layout.wal, seq), &error)
        })?;
        segments.lock().insert(seq, segment.n_good());
        Ok(segment)
    }

    /// Never writes to this segment again.
    fn give_up(&mut self, segment: Segment, error: &std::io::Error) {
        tracing::error!(segment = %segment.path().display(), %error, "the log could not be written; it goes on in a new segment");
        self.unsynced_since = None;
        let mut segments = self.shared.segments.lock();
        if segment.is_empty() {
            segments.remove(&segment.seq());
        }
        segment.abandon(&*self.shared.files);
    }

    fn sync(&mut self) {
        self.unsynced_since = None;
        let Some(mut segment) = self.segment.take() else { return };
        match segment.sync() {
            Ok(()) => {
                self.shared.counters.n_fsyncs.add(1);
                self.segment = Some(segment);
            }
            Err(error) => {
                self.shared.counters.n_append_errors.add(1);
                self.give_up(segment, &error);
                self.rescue();
            }
        }
    }

    /// After a failed sync, samples that were acknowledged before it may exist in memory only; as a block they are
    /// safe again.
    fn rescue(&mut self) {
        self.cut();
        let _ = self.wake.try_send(());
    }

    /// Ends the segment that is being written, if there is one.
    fn end_segment(&mut self) {
        let Some(segment) = self.segment.take() else { return };
        let was_promised = self.unsynced_since.take().is_some();
        let seq = segment.seq();
        match segment.seal() {
            Ok(n_bytes) => {
                self.shared.counters.n_fsyncs.add(1);
                self.shared.segments.lock().insert(seq, n_bytes);
            }
            Err(error) => {
                tracing::warn!(segment = seq, %error, "a segment of the log could not be ended in order");
                // With a sync before every answer only the note that nothing follows is missing.
                if was_promised {
                    self.rescue();
                }
            }
        }
    }

    /// Freezes the memtable, at a place where the log goes on in a new segment.
    fn cut(&mut self) {
        if self.shared.view.read().active.n_samples() == 0 {
            return;
        }
        self.end_segment();
        if self.shared.view.read().active.n_samples() == 0 {
            // Ending the segment failed, and froze it already.
            return;
        }
        let memtable = {
            let mut view = self.shared.view.write();
            let next = Memtable::new(view.active.n_series());
            let memtable = std::mem::replace(&mut view.active, Arc::new(next));
            view.frozen.push(Frozen { memtable: Arc::clone(&memtable), wal_upto: self.next_seq - 1 });
            memtable
        };
        self.forget_quiet_series(&memtable);
    }

    /// Series that were neither in the memtable just frozen nor in the one before are active no more.
    fn forget_quiet_series(&mut self, frozen: &Memtable) {
        self.n_cuts += 1;
        let n_cuts = self.n_cuts;
        let Shared { table, view, .. } = &*self.shared;
        // Numbers given out since the last cut count as used, as their samples may still be on their way: new ones now,
        // and those that are given again from here on.
        {
            let keys = table.keys();
            self.last_used.resize(keys.len(), n_cuts);
            let gone = self.last_used.iter_mut().zip(&*keys).filter(|(_, key)| key.is_none());
            gone.for_each(|(last_used, _)| *last_used = n_cuts);
        }
        frozen.refs().into_iter().for_each(|series_ref| self.last_used[series_ref as usize] = n_cuts);
        let last_used = &self.last_used;
        table.sweep(|series_ref| last_used.get(series_ref as usize).is_some_and(|last_used| last_used + 1 < n_cuts));
        if table.has_many_gone() {
            // Together, so that whoever reads this view afterwards knows that it has the numbers of this epoch. What
            // is in a memtable of it keeps its number.
            let view = {
                let mut view = view.write();
                view.epoch = table.begin_epoch();
                view.clone()
            };
            table.free_numbers(|series_ref| view.memtables().any(|memtable| memtable.has(series_ref)));
        }
    }
}
