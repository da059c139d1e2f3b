//! The log at a start: segments are replayed or deleted, and what is damaged in them is kept for a person.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::deletes::{Hidden, Tombstones};
use super::super::error::OpenError;
use super::super::files::{self, Entry};
use super::super::layout::{END_TIME, FIRST_TIME};
use super::super::manifest::Manifest;
use super::super::memtable::Memtable;
use super::super::shared::now;
use super::super::table::SeriesTable;
use super::super::wal::frame::{BadHeader, SEGMENT_VERSION};
use super::super::wal::record::RefSamples;
use super::super::wal::replay::{explain, replay};
use super::super::wal::segment::seq_of;
use super::Opening;

impl Opening<'_> {
    /// Replays the segments that no block covers, oldest first, and deletes the others.
    pub(super) fn log(
        &mut self,
        manifest: &Manifest,
        tombstones: &Tombstones,
        table: &SeriesTable,
    ) -> Result<(BTreeMap<u64, u64>, u64, Memtable), OpenError> {
        let memtable = Memtable::new(0);
        let mut segments = BTreeMap::new();
        let mut last_seq = manifest.wal_covered;
        for entry in self.list(&self.layout.wal)? {
            let Some(seq) = seq_of(entry.name()) else {
                tracing::warn!(file = %entry.path.display(), "this file is not a segment of the log; it is left alone");
                continue;
            };
            last_seq = last_seq.max(seq);
            if seq <= manifest.wal_covered {
                // Its samples are in blocks: a crash came between the manifest and this.
                self.files.remove(&entry.path).map_err(OpenError::io("remove", &entry.path))?;
            } else if self.replay_segment(&entry, &tombstones.of_segment(seq), table, &memtable)? {
                segments.insert(seq, entry.n_bytes);
            }
        }
        Ok((segments, last_seq + 1, memtable))
    }

    /// Answers whether the segment stays.
    fn replay_segment(
        &mut self,
        entry: &Entry,
        hidden: &Hidden<'_>,
        table: &SeriesTable,
        memtable: &Memtable,
    ) -> Result<bool, OpenError> {
        let bytes = self.files.read(&entry.path).map_err(OpenError::io("read", &entry.path))?;
        let mut samples = RefSamples::default();
        let mut n_refused = 0_u64;
        let replayed = replay(&bytes, |key, at, value| {
            if hidden.hides(key, at) {
                return;
            }
            let is_in_calendar = (FIRST_TIME..END_TIME).contains(&at);
            if let (Some(series_ref), true) = (table.resolve_always(key), is_in_calendar) {
                samples.refs.push(series_ref);
                samples.at.push(at);
                samples.value.push(value);
            } else {
                n_refused += 1;
            }
        });
        let segment = entry.path.display();
        let replayed = match replayed {
            Ok(replayed) => replayed,
            // Made just before a crash: nothing in it was acknowledged.
            Err(BadHeader::CutShort) => return Ok(true),
            Err(BadHeader::Version(found)) => {
                return Err(OpenError::Version { path: entry.path.clone(), found, known: SEGMENT_VERSION });
            }
            Err(BadHeader::Damaged) => {
                tracing::error!(%segment, error = %explain(BadHeader::Damaged), "a segment of the log cannot be replayed; its samples are missing");
                self.quarantine(&entry.path)?;
                return Ok(false);
            }
        };
        memtable.take(&samples, &table.keys(), now());
        if replayed.n_torn > 0 {
            tracing::info!(%segment, n_bytes = replayed.n_torn, "the log ends in a write that a crash cut short; it was not acknowledged");
        }
        if replayed.n_orphans + n_refused > 0 {
            let copy = self.layout.quarantine.join(entry.name());
            tracing::error!(%segment, n_samples = replayed.n_orphans + n_refused, copy = %copy.display(), "samples are missing: the part of the log that says whose they are is damaged; the segment is set aside whole");
            self.copy_aside(&copy, &bytes)?;
        }
        for range in replayed.damaged {
            let copy = self.layout.quarantine.join(format!("{}-{}", entry.name(), range.start));
            tracing::error!(%segment, from = range.start, to = range.end, copy = %copy.display(), "bytes in the middle of the log have changed; they are set aside, the rest is replayed");
            self.n_quarantined += 1;
            self.copy_aside(&copy, &bytes[range])?;
        }
        Ok(true)
    }

    /// Copies bytes of the log to the quarantine, again at every start until a flush covers the segment, always to
    /// the same name. Without the copy that flush would destroy them, so a store that cannot make it does not open.
    fn copy_aside(&self, copy: &Path, bytes: &[u8]) -> Result<(), OpenError> {
        let copied = files::write_new(self.files, &self.layout.tmp, copy, bytes);
        copied.and_then(|()| self.files.sync_dir(&self.layout.quarantine)).map_err(OpenError::io("set aside", copy))
    }
}
